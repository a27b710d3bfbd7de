package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// Pin puts a post on top of its author's profile.
type Pin struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID   ID
	PostID    ID
	CreatedAt time.Time
}

// SavePin pins a post. Pinning again changes nothing.
func (db *DB) SavePin(ctx context.Context, actor, post ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		p := Pin{ID: tx.NewID(), ActorID: actor, PostID: post, CreatedAt: tx.Now().UTC()}
		return translate(tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&p).Error)
	})
}

// DeletePin takes a pin away. ErrNotFound when there is none.
func (db *DB) DeletePin(ctx context.Context, actor, post ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		r := tx.q(ctx).Where("actor_id = ? AND post_id = ?", actor, post).Delete(&Pin{})
		if r.Error == nil && r.RowsAffected == 0 {
			return ErrNotFound
		}
		return translate(r.Error)
	})
}

// Pinned lists an actor's pinned posts of the given visibilities, the one pinned last first.
func (db *DB) Pinned(ctx context.Context, actor ID, visibilities []string) ([]Post, error) {
	var ps []Post
	return ps, translate(db.q(ctx).Model(&Post{}).Joins("JOIN pins ON pins.post_id = posts.id AND pins.actor_id = ?", actor).
		Where("posts.deleted_at IS NULL AND posts.visibility IN ?", visibilities).Order("pins.id DESC").Limit(100).Find(&ps).Error)
}

// CountPins counts an actor's pinned posts.
func (db *DB) CountPins(ctx context.Context, actor ID) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&Pin{}).Where("actor_id = ?", actor).Count(&n).Error)
}
