package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// Filter is what an actor does not want to read.
type Filter struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID   ID
	Title     string
	Contexts  []string `gorm:"serializer:json"` // home, notifications, public, thread, account
	Action    string   // warn or hide
	ExpiresAt *time.Time
	Keywords  []FilterKeyword `gorm:"-"`
}

// FilterKeyword is a word of a filter.
type FilterKeyword struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	FilterID  ID
	Keyword   string
	WholeWord bool
}

// SaveFilter adds a filter, or changes one, with all of its words: those without an id are new, those that are not named go.
func (db *DB) SaveFilter(ctx context.Context, f *Filter) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if f.ID == 0 {
			f.ID = tx.NewID()
		}
		if err := tx.q(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(f).Error; err != nil {
			return translate(err)
		}
		if err := tx.q(ctx).Where("filter_id = ?", f.ID).Delete(&FilterKeyword{}).Error; err != nil {
			return translate(err)
		}
		for i := range f.Keywords {
			k := &f.Keywords[i]
			if k.FilterID = f.ID; k.ID == 0 {
				k.ID = tx.NewID()
			}
			if err := tx.q(ctx).Create(k).Error; err != nil {
				return translate(err)
			}
		}
		return nil
	})
}

// DeleteFilter deletes a filter and its words.
func (db *DB) DeleteFilter(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if err := tx.q(ctx).Where("filter_id = ?", id).Delete(&FilterKeyword{}).Error; err != nil {
			return translate(err)
		}
		return translate(tx.q(ctx).Where("id = ?", id).Delete(&Filter{}).Error)
	})
}

// Filters lists an actor's filters with their words, those that have expired too.
func (db *DB) Filters(ctx context.Context, actor ID) ([]Filter, error) {
	var fs []Filter
	if err := db.q(ctx).Where("actor_id = ?", actor).Order("id").Find(&fs).Error; err != nil || len(fs) == 0 {
		return nil, translate(err)
	}
	var ks []FilterKeyword
	if err := db.q(ctx).Where("filter_id IN (SELECT id FROM filters WHERE actor_id = ?)", actor).Order("id").Find(&ks).Error; err != nil {
		return nil, translate(err)
	}
	for i := range fs {
		for _, k := range ks {
			if k.FilterID == fs[i].ID {
				fs[i].Keywords = append(fs[i].Keywords, k)
			}
		}
	}
	return fs, nil
}
