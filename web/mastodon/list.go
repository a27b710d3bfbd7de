package mastodon

import (
	"strings"
	"unicode/utf8"

	"planet/storage"
)

func listToWire(l *storage.List) map[string]any {
	return map[string]any{"id": l.ID.String(), "title": l.Title, "replies_policy": l.Replies, "exclusive": l.Exclusive}
}

// list is the list in the path, if it is the caller's (security.md ADM 242).
func (a *API) list(c *call) (*storage.List, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return a.DB.ListOf(c.ctx, c.who.Actor.ID, id)
}

func (a *API) listsShown(c *call, member storage.ID) error {
	rows, err := a.DB.Lists(c.ctx, c.who.Actor.ID, member)
	if err != nil {
		return err
	}
	out := []any{}
	for i := range rows {
		out = append(out, listToWire(&rows[i]))
	}
	return c.ok(out)
}

func (a *API) lists(c *call) error { return a.listsShown(c, 0) }

func (a *API) listsOf(c *call) error {
	x, err := a.target(c)
	if err != nil {
		return err
	}
	return a.listsShown(c, x.ID)
}

func (a *API) showList(c *call) error {
	l, err := a.list(c)
	if err != nil {
		return err
	}
	return c.ok(listToWire(l))
}

// fillList reads what a list is to be.
func fillList(c *call, l *storage.List) error {
	if c.form.Has("title") {
		l.Title = strings.TrimSpace(c.form.Text("title"))
	}
	if n := utf8.RuneCountInString(l.Title); n == 0 || n > 200 {
		return invalid("Title can't be blank, nor longer than 200 characters")
	}
	if policy := c.form.Text("replies_policy"); policy != "" {
		l.Replies = policy
	}
	if l.Replies != "followed" && l.Replies != "list" && l.Replies != "none" {
		return invalid("replies_policy is followed, list or none")
	}
	l.Exclusive = c.form.Bool("exclusive", l.Exclusive)
	return nil
}

func (a *API) createList(c *call) error {
	l := &storage.List{ActorID: c.who.Actor.ID, Replies: "list"}
	if err := fillList(c, l); err != nil {
		return err
	}
	all, err := a.DB.Lists(c.ctx, l.ActorID, 0)
	if err != nil {
		return err
	}
	if len(all) >= 50 {
		return invalid("You have reached the maximum number of lists")
	}
	if err := a.DB.SaveList(c.ctx, l); err != nil {
		return err
	}
	return c.ok(listToWire(l))
}

func (a *API) updateList(c *call) error {
	l, err := a.list(c)
	if err != nil {
		return err
	}
	if err := fillList(c, l); err != nil {
		return err
	}
	if err := a.DB.SaveList(c.ctx, l); err != nil {
		return err
	}
	return c.ok(listToWire(l))
}

func (a *API) deleteList(c *call) error {
	l, err := a.list(c)
	if err != nil {
		return err
	}
	if err := a.DB.DeleteList(c.ctx, l.ID); err != nil {
		return err
	}
	return a.nothing(c)
}

func (a *API) listAccounts(c *call) error {
	l, err := a.list(c)
	if err != nil {
		return err
	}
	ids, err := a.DB.ListMembers(c.ctx, l.ID)
	if err != nil {
		return err
	}
	return a.people(c, ids)
}

// setListAccounts puts people into a list, who have to be followed, or takes them out.
func (a *API) setListAccounts(c *call, in bool) error {
	l, err := a.list(c)
	if err != nil {
		return err
	}
	for _, text := range c.form.List("account_ids") {
		id, err := storage.ParseID(text)
		if err != nil {
			return storage.ErrNotFound
		}
		if in && id != c.who.Actor.ID {
			if f, err := a.DB.FollowBetween(c.ctx, c.who.Actor.ID, id); err != nil || f.State == storage.FollowRejected {
				if err != nil && !isNotFound(err) {
					return err
				}
				return storage.ErrNotFound
			}
		}
		if err := a.DB.SetListMember(c.ctx, l.ID, id, in); err != nil {
			return err
		}
	}
	return a.nothing(c)
}

func (a *API) addListAccounts(c *call) error { return a.setListAccounts(c, true) }

func (a *API) removeListAccounts(c *call) error { return a.setListAccounts(c, false) }

func (a *API) listTimeline(c *call) error {
	l, err := a.list(c)
	if err != nil {
		return err
	}
	p := c.page(20, 40)
	posts, err := a.DB.ListTimeline(c.ctx, l, p)
	if err != nil {
		return err
	}
	return a.listed(c, p, posts, "home")
}
