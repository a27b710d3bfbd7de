package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// Bookmark is a post that an actor wants to find again; nobody else learns of it.
type Bookmark struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID   ID
	PostID    ID
	CreatedAt time.Time
}

// SaveBookmark keeps a post. Keeping it again changes nothing.
func (db *DB) SaveBookmark(ctx context.Context, actor, post ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		b := Bookmark{ID: tx.NewID(), ActorID: actor, PostID: post, CreatedAt: tx.Now().UTC()}
		return translate(tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&b).Error)
	})
}

// DeleteBookmark lets go of a post. Letting go of what was not kept changes nothing.
func (db *DB) DeleteBookmark(ctx context.Context, actor, post ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("actor_id = ? AND post_id = ?", actor, post).Delete(&Bookmark{}).Error)
	})
}

// Bookmarks lists what an actor kept, the one kept last first.
func (db *DB) Bookmarks(ctx context.Context, actor ID, p Page) ([]Bookmark, error) {
	var bs []Bookmark
	return bs, translate(p.of(db.q(ctx).Where("actor_id = ?", actor)).Find(&bs).Error)
}
