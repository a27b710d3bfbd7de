package storage

import (
	"context"

	"gorm.io/gorm/clause"
)

type setting struct {
	Key   string `gorm:"primaryKey"`
	Value string
}

// Setting reads what the node knows of itself, or ErrNotFound.
func (db *DB) Setting(ctx context.Context, key string) (string, error) {
	var s setting
	err := translate(db.q(ctx).Where("key = ?", key).Take(&s).Error)
	return s.Value, err
}

// SetSetting writes what the node knows of itself.
func (db *DB) SetSetting(ctx context.Context, key, value string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&setting{key, value}).Error)
	})
}
