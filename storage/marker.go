package storage

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm/clause"
)

// The timelines of which is kept how far they were read.
const (
	MarkerHome          = "home"
	MarkerNotifications = "notifications"
)

// Marker is how far an actor has read a timeline.
type Marker struct {
	ActorID   ID     `gorm:"primaryKey;autoIncrement:false"`
	Timeline  string `gorm:"primaryKey"`
	LastRead  ID
	Version   int64
	UpdatedAt time.Time `gorm:"autoUpdateTime:false"`
}

// Markers lists an actor's markers.
func (db *DB) Markers(ctx context.Context, actor ID) ([]Marker, error) {
	var ms []Marker
	return ms, translate(db.q(ctx).Where("actor_id = ?", actor).Find(&ms).Error)
}

// SaveMarker notes how far an actor has read, also when that is less than before: an app may go back.
func (db *DB) SaveMarker(ctx context.Context, m *Marker) error {
	return db.Transaction(ctx, func(tx *DB) error {
		var old Marker
		err := translate(tx.q(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("actor_id = ? AND timeline = ?", m.ActorID, m.Timeline).Take(&old).Error)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		m.Version, m.UpdatedAt = old.Version+1, tx.Now().UTC()
		return translate(tx.q(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(m).Error)
	})
}
