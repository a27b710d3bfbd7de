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

// idempotencyKey is what an app has asked for under a key of its own.
type idempotencyKey struct {
	ActorID   ID     `gorm:"primaryKey;autoIncrement:false"`
	Key       string `gorm:"primaryKey"`
	ObjectID  ID
	CreatedAt time.Time
}

// TableName keeps gorm from guessing.
func (idempotencyKey) TableName() string { return "idempotency_keys" }

// MadeUnder is what came of what an actor asked for under a key after a moment, or ErrNotFound.
func (db *DB) MadeUnder(ctx context.Context, actor ID, key string, after time.Time) (object ID, err error) {
	err = db.one(ctx, "SELECT object_id FROM idempotency_keys WHERE actor_id = ? AND key = ? AND created_at > ?", []any{actor, key, after}, &object)
	return object, err
}

// KeepKey notes what came of what an actor asked for under a key.
func (db *DB) KeepKey(ctx context.Context, actor ID, key string, object ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		row := &idempotencyKey{ActorID: actor, Key: key, ObjectID: object, CreatedAt: tx.Now().UTC()}
		return translate(tx.q(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(row).Error)
	})
}

// note is what somebody wrote down about somebody else, for herself.
type note struct {
	ActorID  ID `gorm:"primaryKey;autoIncrement:false"`
	TargetID ID `gorm:"primaryKey;autoIncrement:false"`
	Text     string
}

// NoteAbout is what an actor wrote down about another; "" for nothing.
func (db *DB) NoteAbout(ctx context.Context, actor, target ID) (text string, err error) {
	err = db.one(ctx, "SELECT text FROM notes WHERE actor_id = ? AND target_id = ?", []any{actor, target}, &text)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return text, err
}

// SaveNoteAbout writes down something about another, or with "" forgets it.
func (db *DB) SaveNoteAbout(ctx context.Context, actor, target ID, text string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if text == "" {
			return translate(tx.q(ctx).Where("actor_id = ? AND target_id = ?", actor, target).Delete(&note{}).Error)
		}
		return translate(tx.q(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&note{actor, target, text}).Error)
	})
}
