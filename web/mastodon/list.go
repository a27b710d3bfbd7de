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

func (a *API) addListAccounts(c *call) error    { return a.setListAccounts(c, true) }
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

// tagName reads a hashtag in the path.
func tagName(c *call) (string, error) {
	name := strings.ToLower(strings.TrimPrefix(c.Param("tag"), "#"))
	if name == "" || utf8.RuneCountInString(name) > 100 || strings.ContainsAny(name, " /#@") {
		return "", storage.ErrNotFound
	}
	return name, nil
}

func (a *API) tagShown(c *call, name string) error {
	t := a.tag(name)
	if c.who != nil {
		tags, err := a.DB.FollowedTags(c.ctx, c.who.Actor.ID, false, storage.Page{Limit: 1000})
		if err != nil {
			return err
		}
		follows := false
		for _, f := range tags {
			follows = follows || f.Name == name
		}
		t.Following = &follows
	}
	return c.ok(t)
}

func (a *API) showTag(c *call) error {
	name, err := tagName(c)
	if err != nil {
		return err
	}
	return a.tagShown(c, name)
}

func (a *API) followTag(c *call) error {
	name, err := tagName(c)
	if err != nil {
		return err
	}
	if err := a.DB.SaveFollowedTag(c.ctx, &storage.FollowedTag{ActorID: c.who.Actor.ID, Name: name}); err != nil {
		return err
	}
	return a.tagShown(c, name)
}

func (a *API) unfollowTag(c *call) error {
	name, err := tagName(c)
	if err != nil {
		return err
	}
	if err := a.DB.DeleteFollowedTag(c.ctx, c.who.Actor.ID, name, false); err != nil {
		return err
	}
	return a.tagShown(c, name)
}

func (a *API) followedTags(c *call) error {
	p := c.page(100, 200)
	rows, err := a.DB.FollowedTags(c.ctx, c.who.Actor.ID, false, p)
	if err != nil {
		return err
	}
	rows = ordered(p, rows)
	if len(rows) > 0 {
		a.linked(c, p, len(rows), rows[0].ID, rows[len(rows)-1].ID)
	}
	out, yes := []Tag{}, true
	for _, r := range rows {
		t := a.tag(r.Name)
		t.Following = &yes
		out = append(out, t)
	}
	return c.ok(out)
}

func (a *API) featuredTag(t *storage.FollowedTag, owner *storage.Actor) map[string]any {
	return map[string]any{"id": t.ID.String(), "name": t.Name, "url": owner.URL + "/tagged/" + t.Name, "statuses_count": "0", "last_status_at": nil}
}

func (a *API) featuredShown(c *call, x *storage.Actor) error {
	rows, err := a.DB.FollowedTags(c.ctx, x.ID, true, storage.Page{Limit: 20})
	if err != nil {
		return err
	}
	out := []any{}
	for i := range rows {
		out = append(out, a.featuredTag(&rows[i], x))
	}
	return c.ok(out)
}

func (a *API) featuredTags(c *call) error { return a.featuredShown(c, c.who.Actor) }

func (a *API) featuredTagsOf(c *call) error {
	x, err := a.target(c)
	if err != nil {
		return err
	}
	return a.featuredShown(c, x)
}

func (a *API) featureTag(c *call) error {
	name := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(c.form.Text("name")), "#"))
	if name == "" || utf8.RuneCountInString(name) > 100 || strings.ContainsAny(name, " /#@") {
		return invalid("Tag is not a valid hashtag")
	}
	if rows, err := a.DB.FollowedTags(c.ctx, c.who.Actor.ID, true, storage.Page{Limit: 20}); err != nil {
		return err
	} else if len(rows) >= 10 {
		return invalid("You have already featured the maximum number of hashtags")
	}
	t := &storage.FollowedTag{ActorID: c.who.Actor.ID, Name: name, Featured: true}
	if err := a.DB.SaveFollowedTag(c.ctx, t); err != nil {
		return err
	}
	return c.ok(a.featuredTag(t, c.who.Actor))
}

func (a *API) unfeatureTag(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	rows, err := a.DB.FollowedTags(c.ctx, c.who.Actor.ID, true, storage.Page{Limit: 20})
	if err != nil {
		return err
	}
	for _, t := range rows {
		if t.ID == id {
			if err := a.DB.DeleteFollowedTag(c.ctx, t.ActorID, t.Name, true); err != nil {
				return err
			}
			return a.nothing(c)
		}
	}
	return storage.ErrNotFound
}
