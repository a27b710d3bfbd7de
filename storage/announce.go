package storage

import (
	"context"

	"gorm.io/gorm/clause"
)

// Announce is the type of a post that shares another one: its BoostOfID names it, and it has no words of its own.
const Announce = "Announce"

// SaveBoost adds a post that shares another. fresh is false, and nothing is changed, when the actor shares it already.
func (db *DB) SaveBoost(ctx context.Context, p *Post) (fresh bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		p.Type = Announce
		if p.ID == 0 {
			p.ID = tx.NewID()
		}
		r := tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(p)
		if fresh = r.RowsAffected == 1; r.Error != nil || !fresh {
			return translate(r.Error)
		}
		return tx.changed(ctx, ChangePost, p.ID, p.ActorID, 0)
	})
	return fresh, err
}

// BoostBetween finds an actor's boost of a post, or ErrNotFound.
func (db *DB) BoostBetween(ctx context.Context, actor, post ID) (*Post, error) {
	var p Post
	return &p, translate(db.q(ctx).Where("actor_id = ? AND boost_of_id = ?", actor, post).Take(&p).Error)
}

// DeleteBoost forgets a boost and the news of it. Its id is not kept.
func (db *DB) DeleteBoost(ctx context.Context, p *Post) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if p.BoostOfID == nil {
			return ErrNotFound
		}
		if err := tx.q(ctx).Where("id = ? AND boost_of_id IS NOT NULL", p.ID).Delete(&Post{}).Error; err != nil {
			return translate(err)
		}
		return tx.untell(ctx, "reblog", p.ActorID, *p.BoostOfID)
	})
}

// CountBoosts counts who shares a post.
func (db *DB) CountBoosts(ctx context.Context, post ID) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&Post{}).Where("boost_of_id = ?", post).Count(&n).Error)
}

// BoostsOf lists the boosts of a post, newest first.
func (db *DB) BoostsOf(ctx context.Context, post ID, p Page) ([]Post, error) {
	var ps []Post
	return ps, translate(p.of(db.q(ctx).Where("boost_of_id = ?", post)).Find(&ps).Error)
}

// LocalBoostsOf lists the boosts of a post by actors of this node, oldest first.
func (db *DB) LocalBoostsOf(ctx context.Context, post ID) ([]Post, error) {
	var ps []Post
	return ps, translate(db.q(ctx).Where("boost_of_id = ? AND actor_id IN (SELECT id FROM actors WHERE domain = '' AND deleted_at IS NULL)", post).Order("id").Find(&ps).Error)
}

// BoostedHere lists the posts of an actor that actors of this node share, oldest first.
func (db *DB) BoostedHere(ctx context.Context, actor ID) ([]Post, error) {
	var ps []Post
	return ps, translate(db.q(ctx).Where(`actor_id = ? AND deleted_at IS NULL AND id IN (SELECT b.boost_of_id FROM posts b
		JOIN actors a ON a.id = b.actor_id WHERE b.boost_of_id IS NOT NULL AND a.domain = '' AND a.deleted_at IS NULL)`, actor).Order("id").Find(&ps).Error)
}
