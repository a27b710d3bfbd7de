package storage

import (
	"context"

	"gorm.io/gorm/clause"
)

// List is some of those whom an actor follows, to be read apart.
type List struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID   ID
	Title     string
	Replies   string // of whose replies to others are shown: followed, list or none
	Exclusive bool   // what is in it is not in the home timeline
}

type listMember struct {
	ListID   ID `gorm:"primaryKey;autoIncrement:false"`
	TargetID ID `gorm:"primaryKey;autoIncrement:false"`
}

// SaveList adds a list, or changes one of the same actor.
func (db *DB) SaveList(ctx context.Context, l *List) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if l.ID == 0 {
			l.ID = tx.NewID()
			return translate(tx.q(ctx).Create(l).Error)
		}
		return translate(tx.q(ctx).Model(l).Where("actor_id = ?", l.ActorID).Select("title", "replies", "exclusive").Updates(l).Error)
	})
}

// ListOf finds a list of an actor's; that of anybody else is ErrNotFound.
func (db *DB) ListOf(ctx context.Context, actor, id ID) (*List, error) {
	var l List
	return &l, db.take(ctx, &l, "id = ? AND actor_id = ?", id, actor)
}

// Lists lists an actor's lists; of those that somebody is in alone unless member is 0.
func (db *DB) Lists(ctx context.Context, actor, member ID) ([]List, error) {
	q := db.q(ctx).Where("actor_id = ?", actor)
	if member != 0 {
		q = q.Where("id IN (SELECT list_id FROM list_members WHERE target_id = ?)", member)
	}
	var ls []List
	err := q.Order("id").Find(&ls).Error
	return ls, translate(err)
}

// DeleteList deletes a list.
func (db *DB) DeleteList(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if err := tx.q(ctx).Where("list_id = ?", id).Delete(&listMember{}).Error; err != nil {
			return translate(err)
		}
		return translate(tx.q(ctx).Where("id = ?", id).Delete(&List{}).Error)
	})
}

// ListMembers lists who is in a list, by id.
func (db *DB) ListMembers(ctx context.Context, list ID) (ids []ID, err error) {
	err = db.q(ctx).Model(&listMember{}).Where("list_id = ?", list).Order("target_id").Pluck("target_id", &ids).Error
	return ids, translate(err)
}

// SetListMember puts somebody into a list, or takes her out.
func (db *DB) SetListMember(ctx context.Context, list, target ID, in bool) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if !in {
			return translate(tx.q(ctx).Where("list_id = ? AND target_id = ?", list, target).Delete(&listMember{}).Error)
		}
		return translate(tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&listMember{list, target}).Error)
	})
}

// ListTimeline lists what those in a list say, newest first, as far as its owner follows them.
func (db *DB) ListTimeline(ctx context.Context, l *List, p Page) ([]Post, error) {
	q := db.q(ctx).Where(`deleted_at IS NULL AND visibility <> 'direct' AND actor_id IN (SELECT m.target_id FROM list_members m JOIN follows f ON f.target_id = m.target_id
		WHERE m.list_id = ? AND f.actor_id = ? AND f.state = 'accepted')`, l.ID, l.ActorID)
	switch l.Replies {
	case "none":
		q = q.Where("in_reply_to = ''")
	case "list":
		q = q.Where("(in_reply_to = '' OR in_reply_to_id IN (SELECT r.id FROM posts r JOIN list_members m ON m.target_id = r.actor_id WHERE m.list_id = ? AND r.id = posts.in_reply_to_id))", l.ID)
	}
	return found[Post](db, p.of(q.Where(db.audible(l.ActorID))), p.limit())
}

// InList reports whether a post belongs to the timeline of a list.
func (db *DB) InList(ctx context.Context, l *List, post ID) (bool, error) {
	ps, err := db.ListTimeline(ctx, l, Page{MaxID: post + 1, MinID: post - 1, Limit: 1})
	return len(ps) == 1 && ps[0].ID == post, err
}
