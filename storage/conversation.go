package storage

import (
	"context"
	"errors"
)

// Conversation is a thread of direct posts, as one actor of this node has it.
type Conversation struct {
	ID         ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID    ID
	Thread     string // Post.Conversation, or where that is "" the id of the first post that is known
	LastPostID ID
	Unread     bool
}

const maxThreadDepth = 50 // posts of a thread without a name that are looked at for its beginning

// threadOf names the thread of a post.
func (db *DB) threadOf(ctx context.Context, p *Post) (string, error) {
	for range maxThreadDepth {
		if p.Conversation != "" {
			return p.Conversation, nil
		}
		if p.InReplyToID == nil {
			break
		}
		parent, err := db.PostByID(ctx, *p.InReplyToID)
		if errors.Is(err, ErrNotFound) {
			break
		}
		if err != nil {
			return "", err
		}
		p = parent
	}
	return string(p.IRI), nil
}

// converse puts a new direct post into the conversations of those of this node who write and read it, but for readers who do not want to hear of its author.
func (db *DB) converse(ctx context.Context, p *Post) error {
	ids := []ID{p.ActorID}
	for _, m := range p.Mentions {
		ids = append(ids, m.ActorID)
	}
	actors, err := db.ActorsByID(ctx, ids)
	if err != nil {
		return err
	}
	thread, err := db.threadOf(ctx, p)
	if err != nil {
		return err
	}
	for i := range actors {
		a := &actors[i]
		if !a.Local() || a.DeletedAt != nil {
			continue
		}
		if deaf, err := db.Deaf(ctx, a.ID, p.ActorID); err != nil {
			return err
		} else if deaf {
			continue
		}
		c := &Conversation{ID: db.NewID(), ActorID: a.ID, Thread: thread, LastPostID: p.ID, Unread: a.ID != p.ActorID}
		_, err := db.run(ctx, `INSERT INTO conversations (id, actor_id, thread, last_post_id, unread) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (actor_id, thread) DO UPDATE SET last_post_id = excluded.last_post_id, unread = excluded.unread WHERE conversations.last_post_id < excluded.last_post_id`,
			c.ID, c.ActorID, c.Thread, c.LastPostID, c.Unread)
		if err != nil {
			return err
		}
		if err := db.one(ctx, "SELECT id FROM conversations WHERE actor_id = ? AND thread = ?", []any{a.ID, thread}, &c.ID); err != nil {
			return err
		}
		if err := db.changed(ctx, ChangeTalk, p.ID, a.ID, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// unconverse takes a post that goes out of the conversations of which it is the last: the one before it is that then, and without one the conversation is over.
func (db *DB) unconverse(ctx context.Context, post ID) error {
	var cs []Conversation
	if err := db.q(ctx).Where("last_post_id = ?", post).Find(&cs).Error; err != nil || len(cs) == 0 {
		return translate(err)
	}
	for _, c := range cs {
		var before ID
		err := db.one(ctx, `SELECT COALESCE(MAX(p.id), 0) FROM posts p WHERE (p.conversation = ? OR p.iri = ?) AND p.id < ? AND p.visibility = 'direct' AND p.deleted_at IS NULL
			AND (p.actor_id = ? OR EXISTS (SELECT 1 FROM mentions m WHERE m.actor_id = ? AND m.post_id = p.id))`, []any{c.Thread, c.Thread, post, c.ActorID, c.ActorID}, &before)
		if err == nil && before == 0 {
			_, err = db.run(ctx, "DELETE FROM conversations WHERE id = ?", c.ID)
		} else if err == nil {
			_, err = db.run(ctx, "UPDATE conversations SET last_post_id = ? WHERE id = ?", before, c.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Conversations lists an actor's conversations, that with the newest post first: a page is of the ids of those.
func (db *DB) Conversations(ctx context.Context, actor ID, p Page) ([]Conversation, error) {
	q := db.q(ctx).Where("actor_id = ?", actor)
	if p.MaxID > 0 {
		q = q.Where("last_post_id < ?", p.MaxID)
	}
	if p.MinID > 0 {
		q = q.Where("last_post_id > ?", p.MinID)
	}
	if p.Limit <= 0 {
		p.Limit = 20
	}
	if p.Up {
		q = q.Order("last_post_id")
	} else {
		q = q.Order("last_post_id DESC")
	}
	var cs []Conversation
	return cs, translate(q.Limit(p.Limit).Find(&cs).Error)
}

// ConversationOf finds a conversation of an actor's; that of anybody else is ErrNotFound.
func (db *DB) ConversationOf(ctx context.Context, actor, id ID) (*Conversation, error) {
	var c Conversation
	return &c, translate(db.q(ctx).Where("id = ? AND actor_id = ?", id, actor).Take(&c).Error)
}

// MarkConversation notes whether an actor has read a conversation of hers.
func (db *DB) MarkConversation(ctx context.Context, id ID, unread bool) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Conversation{}).Where("id = ?", id).Update("unread", unread).Error)
	})
}

// DeleteConversation takes a conversation out of its actor's list; its posts stay, and a new one brings it back.
func (db *DB) DeleteConversation(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("id = ?", id).Delete(&Conversation{}).Error)
	})
}
