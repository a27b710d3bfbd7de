package storage

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm/clause"
)

// The states of a follow.
const (
	FollowPending  = "pending"
	FollowAccepted = "accepted"
	FollowRejected = "rejected"
)

// Follow says that ActorID reads TargetID. There is one row for each pair.
type Follow struct {
	ID        ID  `gorm:"primaryKey;autoIncrement:false"`
	IRI       IRI // of the Follow activity
	ActorID   ID
	TargetID  ID
	State     string
	CreatedAt time.Time
}

// Inbox is where an actor elsewhere receives.
type Inbox struct {
	ActorIRI    IRI
	Inbox       IRI
	SharedInbox IRI
}

// SaveFollow inserts the follow, or gives the pair's row its IRI and State. ID is set to the row's.
func (db *DB) SaveFollow(ctx context.Context, f *Follow) error {
	return db.Transaction(ctx, func(tx *DB) error {
		old, err := tx.FollowBetween(ctx, f.ActorID, f.TargetID)
		if err == nil {
			f.ID, f.CreatedAt = old.ID, old.CreatedAt
			return translate(tx.q(ctx).Model(f).Select("iri", "state").Updates(f).Error)
		}
		if err != ErrNotFound {
			return err
		}
		f.ID, f.CreatedAt = tx.NewID(), tx.Now().UTC()
		return translate(tx.q(ctx).Create(f).Error)
	})
}

// FollowBetween finds the follow of a pair, or ErrNotFound.
func (db *DB) FollowBetween(ctx context.Context, actor, target ID) (*Follow, error) {
	var f Follow
	return &f, translate(db.q(ctx).Where("actor_id = ? AND target_id = ?", actor, target).Take(&f).Error)
}

// FollowByIRI finds a follow by the id of its activity, or ErrNotFound.
func (db *DB) FollowByIRI(ctx context.Context, iri IRI) (*Follow, error) {
	var f Follow
	return &f, translate(db.q(ctx).Where("iri = ?", iri).Take(&f).Error)
}

// DeleteFollow forgets a follow.
func (db *DB) DeleteFollow(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("id = ?", id).Delete(&Follow{}).Error)
	})
}

// DeleteFollowsOf forgets all follows by and of an actor that is gone.
func (db *DB) DeleteFollowsOf(ctx context.Context, actor ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("actor_id = ? OR target_id = ?", actor, actor).Delete(&Follow{}).Error)
	})
}

// Followers lists who follows target, newest first. State "" means all.
func (db *DB) Followers(ctx context.Context, target ID, state string, p Page) ([]Follow, error) {
	q := db.q(ctx).Where("target_id = ?", target)
	if state != "" {
		q = q.Where("state = ?", state)
	}
	var fs []Follow
	return fs, translate(p.of(q).Find(&fs).Error)
}

// Following lists whom actor follows, newest first. State "" means all.
func (db *DB) Following(ctx context.Context, actor ID, state string, p Page) ([]Follow, error) {
	q := db.q(ctx).Where("actor_id = ?", actor)
	if state != "" {
		q = q.Where("state = ?", state)
	}
	var fs []Follow
	return fs, translate(p.of(q).Find(&fs).Error)
}

// CountFollowers counts those who were accepted.
func (db *DB) CountFollowers(ctx context.Context, target ID) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&Follow{}).Where("target_id = ? AND state = ?", target, FollowAccepted).Count(&n).Error)
}

// CountFollowing counts those who accepted.
func (db *DB) CountFollowing(ctx context.Context, actor ID) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&Follow{}).Where("actor_id = ? AND state = ?", actor, FollowAccepted).Count(&n).Error)
}

// FollowedLocally reports whether anyone on this node follows the actor, or asked to.
func (db *DB) FollowedLocally(ctx context.Context, target ID) (bool, error) {
	var ids []ID
	err := db.q(ctx).Model(&Follow{}).Where("target_id = ? AND state <> ? AND actor_id IN (SELECT id FROM actors WHERE domain = '')", target, FollowRejected).
		Limit(1).Pluck("id", &ids).Error
	return len(ids) > 0, translate(err)
}

// FollowerInboxes lists where the accepted followers elsewhere receive.
func (db *DB) FollowerInboxes(ctx context.Context, target ID) ([]Inbox, error) {
	var is []Inbox
	return is, translate(db.q(ctx).Model(&Actor{}).Select("iri AS actor_iri", "inbox", "shared_inbox").
		Where("domain <> '' AND deleted_at IS NULL AND suspended_at IS NULL AND id IN (SELECT actor_id FROM follows WHERE target_id = ? AND state = ?)", target, FollowAccepted).
		Order("id").Find(&is).Error)
}

// FollowWish is how an actor wants to follow another.
type FollowWish struct {
	ActorID  ID `gorm:"primaryKey;autoIncrement:false"`
	TargetID ID `gorm:"primaryKey;autoIncrement:false"`
	NoBoosts bool
	Notify   bool
}

// TableName keeps gorm from guessing.
func (FollowWish) TableName() string { return "follow_wishes" }

// FollowWishOf finds how an actor wants to follow another; whoever said nothing has said no to nothing.
func (db *DB) FollowWishOf(ctx context.Context, actor, target ID) (*FollowWish, error) {
	w := &FollowWish{ActorID: actor, TargetID: target}
	err := db.one(ctx, "SELECT no_boosts, notify FROM follow_wishes WHERE actor_id = ? AND target_id = ?", []any{actor, target}, &w.NoBoosts, &w.Notify)
	if err == ErrNotFound {
		err = nil
	}
	return w, err
}

// SaveFollowWish keeps how an actor wants to follow another.
func (db *DB) SaveFollowWish(ctx context.Context, w *FollowWish) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(w).Error)
	})
}

// Wishers lists who follows somebody and wants to hear whenever she writes.
func (db *DB) Wishers(ctx context.Context, target ID) (ids []ID, err error) {
	err = db.each(ctx, `SELECT w.actor_id FROM follow_wishes w JOIN follows f ON f.actor_id = w.actor_id AND f.target_id = w.target_id
		WHERE w.target_id = ? AND w.notify AND f.state = 'accepted'`, []any{target}, func(rows *sql.Rows) error {
		var id ID
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	})
	return ids, err
}

// FamiliarFollowers finds whom of those that an actor follows somebody is followed by, whom she got to know last first.
func (db *DB) FamiliarFollowers(ctx context.Context, actor, of ID, limit int) ([]Actor, error) {
	var as []Actor
	return as, translate(db.q(ctx).Where(`deleted_at IS NULL AND suspended_at IS NULL AND id IN (SELECT mine.target_id FROM follows mine JOIN follows theirs ON theirs.actor_id = mine.target_id
		WHERE mine.actor_id = ? AND mine.state = 'accepted' AND theirs.target_id = ? AND theirs.state = 'accepted')`, actor, of).Order("id DESC").Limit(limit).Find(&as).Error)
}
