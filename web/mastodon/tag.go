package mastodon

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"planet/storage"
)

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
	rows = paged(a, c, p, rows, func(t *storage.FollowedTag) storage.ID { return t.ID })
	out, yes := []Tag{}, true
	for _, r := range rows {
		t := a.tag(r.Name)
		t.Following = &yes
		out = append(out, t)
	}
	return c.ok(out)
}

// featuredTag is a hashtag on a profile, with how often its owner has used it where everybody reads, and when last.
func (a *API) featuredTag(c *call, t *storage.FollowedTag, owner *storage.Actor) (map[string]any, error) {
	n, last, err := a.DB.TagUse(c.ctx, owner.ID, t.Name)
	if err != nil {
		return nil, err
	}
	var day *string
	if n > 0 {
		s := last.Time().UTC().Format(time.DateOnly)
		day = &s
	}
	return map[string]any{"id": t.ID.String(), "name": t.Name, "url": owner.URL + "/tagged/" + t.Name, "statuses_count": strconv.FormatInt(n, 10), "last_status_at": day}, nil
}

func (a *API) featuredShown(c *call, x *storage.Actor) error {
	rows, err := a.DB.FollowedTags(c.ctx, x.ID, true, storage.Page{Limit: 20})
	if err != nil {
		return err
	}
	out := []any{}
	for i := range rows {
		e, err := a.featuredTag(c, &rows[i], x)
		if err != nil {
			return err
		}
		out = append(out, e)
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
	e, err := a.featuredTag(c, t, c.who.Actor)
	if err != nil {
		return err
	}
	return c.ok(e)
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
