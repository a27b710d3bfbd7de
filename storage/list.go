package storage

import (
	"context"
	"database/sql"

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
	var ps []Post
	err := p.of(db.audible(q, l.ActorID)).Find(&ps).Error
	return ps, translate(err)
}

// FollowedTag is a hashtag that an actor follows, or shows on its profile.
type FollowedTag struct {
	ID       ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID  ID
	Name     string // lower case, without #
	Featured bool   // shown, not followed
}

// FollowedTags lists the hashtags that an actor follows, or with featured those that it shows, newest first.
func (db *DB) FollowedTags(ctx context.Context, actor ID, featured bool, p Page) ([]FollowedTag, error) {
	var ts []FollowedTag
	err := p.of(db.q(ctx).Where("actor_id = ? AND featured = ?", actor, featured)).Find(&ts).Error
	return ts, translate(err)
}

// SaveFollowedTag adds one; ID is that of the row that is there.
func (db *DB) SaveFollowedTag(ctx context.Context, t *FollowedTag) error {
	return db.Transaction(ctx, func(tx *DB) error {
		t.ID = tx.NewID()
		if _, err := tx.insert(ctx, t, ""); err != nil {
			return err
		}
		return tx.take(ctx, t, "actor_id = ? AND name = ? AND featured = ?", t.ActorID, t.Name, t.Featured)
	})
}

// DeleteFollowedTag takes one away, by name.
func (db *DB) DeleteFollowedTag(ctx context.Context, actor ID, name string, featured bool) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("actor_id = ? AND name = ? AND featured = ?", actor, name, featured).Delete(&FollowedTag{}).Error)
	})
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

// InList reports whether a post belongs to the timeline of a list.
func (db *DB) InList(ctx context.Context, l *List, post ID) (bool, error) {
	ps, err := db.ListTimeline(ctx, l, Page{MaxID: post + 1, MinID: post - 1, Limit: 1})
	return len(ps) == 1 && ps[0].ID == post, err
}

type mutedConversation struct {
	ActorID      ID     `gorm:"primaryKey;autoIncrement:false"`
	Conversation string `gorm:"primaryKey"`
}

// MuteConversation keeps an actor from hearing of a conversation, or lets it hear again.
func (db *DB) MuteConversation(ctx context.Context, actor ID, conversation string, mute bool) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if !mute {
			return translate(tx.q(ctx).Where("actor_id = ? AND conversation = ?", actor, conversation).Delete(&mutedConversation{}).Error)
		}
		return translate(tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&mutedConversation{actor, conversation}).Error)
	})
}

// MutedConversations finds which of some conversations an actor does not hear of.
func (db *DB) MutedConversations(ctx context.Context, actor ID, among []string) (map[string]bool, error) {
	out := map[string]bool{}
	if len(among) == 0 {
		return out, nil
	}
	var names []string
	err := db.q(ctx).Model(&mutedConversation{}).Where("actor_id = ? AND conversation IN ?", actor, padded(append([]string(nil), among...))).Pluck("conversation", &names).Error
	for _, name := range names {
		out[name] = true
	}
	return out, translate(err)
}
