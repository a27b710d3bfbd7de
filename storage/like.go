package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// Like says that an actor likes a post. There is one row for each pair.
type Like struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	IRI       IRI
	ActorID   ID
	PostID    ID
	Content   string // the emoji of a reaction, "" for a plain like
	CreatedAt time.Time
}

// SaveLike adds a like. fresh is false, and nothing is changed, when the actor likes the post already.
func (db *DB) SaveLike(ctx context.Context, l *Like) (fresh bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		l.ID, l.CreatedAt = tx.NewID(), tx.Now().UTC()
		r := tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(l)
		fresh = r.RowsAffected == 1
		return translate(r.Error)
	})
	return fresh, err
}

// LikeBetween finds an actor's like of a post, or ErrNotFound.
func (db *DB) LikeBetween(ctx context.Context, actor, post ID) (*Like, error) {
	var l Like
	return &l, translate(db.q(ctx).Where("actor_id = ? AND post_id = ?", actor, post).Take(&l).Error)
}

// LikeByIRI finds a like by the id of its activity, or ErrNotFound.
func (db *DB) LikeByIRI(ctx context.Context, iri IRI) (*Like, error) {
	var l Like
	return &l, translate(db.q(ctx).Where("iri = ?", iri).Take(&l).Error)
}

// DeleteLike forgets a like and the news of it.
func (db *DB) DeleteLike(ctx context.Context, l *Like) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if err := tx.q(ctx).Where("id = ?", l.ID).Delete(&Like{}).Error; err != nil {
			return translate(err)
		}
		return tx.untell(ctx, "favourite", l.ActorID, l.PostID)
	})
}

// CountLikes counts who likes a post.
func (db *DB) CountLikes(ctx context.Context, post ID) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&Like{}).Where("post_id = ?", post).Count(&n).Error)
}

// LikesOf lists the likes of a post, newest first.
func (db *DB) LikesOf(ctx context.Context, post ID, p Page) ([]Like, error) {
	var ls []Like
	return ls, translate(p.of(db.q(ctx).Where("post_id = ?", post)).Find(&ls).Error)
}

// LikesBy lists what an actor likes, newest first.
func (db *DB) LikesBy(ctx context.Context, actor ID, p Page) ([]Like, error) {
	var ls []Like
	return ls, translate(p.of(db.q(ctx).Where("actor_id = ?", actor)).Find(&ls).Error)
}

// CountLiked counts what an actor likes.
func (db *DB) CountLiked(ctx context.Context, actor ID) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&Like{}).Where("actor_id = ?", actor).Count(&n).Error)
}
