package mastodon

import (
	"context"
	"slices"

	"planet/storage"
)

// Conversation is a thread of direct posts.
type Conversation struct {
	ID         string     `json:"id"`
	Unread     bool       `json:"unread"`
	Accounts   []*Account `json:"accounts"` // the others
	LastStatus *Status    `json:"last_status"`
}

// talks makes entities of a reader's conversations, in their order; those whose last post she may not see any more are left out.
func (a *API) talks(ctx context.Context, reader *storage.Actor, rows []storage.Conversation) ([]*Conversation, error) {
	posts, err := a.DB.PostsByID(ctx, about(rows, func(c *storage.Conversation) storage.ID { return c.LastPostID }))
	if err != nil {
		return nil, err
	}
	var list []storage.Post
	var ids []storage.ID
	for id, p := range posts {
		if _, _, err := a.Node.ReadPost(ctx, reader, id); isNotFound(err) {
			continue // its author blocks her by now
		} else if err != nil {
			return nil, err
		}
		list = append(list, *p)
		ids = append(ids, others(p, reader)...)
	}
	statuses, err := a.statusesByID(ctx, reader, list)
	if err != nil {
		return nil, err
	}
	known, err := a.accountsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := []*Conversation{}
	for _, c := range rows {
		e := &Conversation{ID: c.ID.String(), Unread: c.Unread, Accounts: []*Account{}, LastStatus: statuses[c.LastPostID.String()]}
		if e.LastStatus == nil {
			continue
		}
		for _, id := range others(posts[c.LastPostID], reader) {
			if known[id] != nil {
				e.Accounts = append(e.Accounts, known[id])
			}
		}
		if len(e.Accounts) == 0 { // nobody, as far as is known here: clients want somebody
			me, err := a.accountOf(ctx, reader)
			if err != nil {
				return nil, err
			}
			e.Accounts = append(e.Accounts, me)
		}
		out = append(out, e)
	}
	return out, nil
}

// others are those who write and read a direct post, but for the reader.
func others(p *storage.Post, reader *storage.Actor) (ids []storage.ID) {
	add := func(id storage.ID) {
		if id != 0 && id != reader.ID && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	add(p.ActorID)
	for _, m := range p.Mentions {
		add(m.ActorID)
	}
	return ids
}

func (a *API) conversations(c *call) error {
	p := c.page(20, 40)
	rows, err := a.DB.Conversations(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	rows = paged(a, c, p, rows, func(t *storage.Conversation) storage.ID { return t.LastPostID })
	out, err := a.talks(c.ctx, c.who.Actor, rows)
	if err != nil {
		return err
	}
	return c.ok(out)
}

// conversation is the one in the path, if it is the caller's.
func (a *API) conversation(c *call) (*storage.Conversation, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return a.DB.ConversationOf(c.ctx, c.who.Actor.ID, id)
}

func (a *API) readConversation(c *call) error { return a.markConversation(c, false) }

func (a *API) unreadConversation(c *call) error { return a.markConversation(c, true) }

func (a *API) markConversation(c *call, unread bool) error {
	t, err := a.conversation(c)
	if err != nil {
		return err
	}
	if err := a.DB.MarkConversation(c.ctx, t.ID, unread); err != nil {
		return err
	}
	t.Unread = unread
	out, err := a.talks(c.ctx, c.who.Actor, []storage.Conversation{*t})
	if err != nil {
		return err
	}
	if len(out) == 0 {
		return storage.ErrNotFound
	}
	return c.ok(out[0])
}

func (a *API) deleteConversation(c *call) error {
	t, err := a.conversation(c)
	if err != nil {
		return err
	}
	if err := a.DB.DeleteConversation(c.ctx, t.ID); err != nil {
		return err
	}
	return a.nothing(c)
}
