package mastodon

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"planet/activitypub"
	"planet/storage"
)

// post is the post in the path, as the caller may see it.
func (a *API) post(c *call) (*storage.Post, *storage.Actor, error) {
	id, err := c.id()
	if err != nil {
		return nil, nil, err
	}
	return a.Node.ReadPost(c.ctx, c.reader(), id)
}

func (a *API) shown(c *call, id storage.ID) error {
	p, _, err := a.Node.ReadPost(c.ctx, c.reader(), id)
	if err != nil {
		return err
	}
	e, err := a.statusOf(c.ctx, c.reader(), p)
	if err != nil {
		return err
	}
	return c.ok(e)
}

func (a *API) showStatus(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	return a.shown(c, id)
}

func (a *API) showStatuses(c *call) error {
	var posts []storage.Post
	for _, text := range c.form.List("id") {
		id, err := storage.ParseID(text)
		if err != nil || len(posts) >= 40 {
			continue
		}
		p, _, err := a.Node.ReadPost(c.ctx, c.reader(), id)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		posts = append(posts, *p)
	}
	out, err := a.statuses(c.ctx, c.reader(), posts)
	if err != nil {
		return err
	}
	return c.ok(out)
}

// draft reads what somebody writes.
func (a *API) draft(c *call) (d activitypub.Draft, err error) {
	f := c.form
	d = activitypub.Draft{Text: f.Text("status"), Visibility: f.Text("visibility"), Summary: f.Text("spoiler_text"), Sensitive: f.Bool("sensitive", false), Language: f.Text("language")}
	for _, text := range f.List("media_ids") {
		id, err := storage.ParseID(text)
		if err != nil {
			return d, storage.ErrNotFound
		}
		d.Media = append(d.Media, id)
	}
	if options := f.List("poll[options]"); len(options) > 0 {
		d.Poll = &activitypub.PollDraft{Options: options, Multiple: f.Bool("poll[multiple]", false), Lasts: seconds(f.Text("poll[expires_in]"))}
	}
	if strings.TrimSpace(d.Text) == "" && len(d.Media) == 0 {
		return d, invalid("Text can't be blank")
	}
	return d, nil
}

func (a *API) publish(c *call) error {
	d, err := a.draft(c)
	if err != nil {
		return err
	}
	if d.Key = c.Request().Header.Get("Idempotency-Key"); len(d.Key) > 255 {
		return invalid("the Idempotency-Key is longer than 255 bytes")
	}
	if text := c.form.Text("in_reply_to_id"); text != "" {
		id, err := storage.ParseID(text)
		if err != nil {
			return storage.ErrNotFound
		}
		parent, _, err := a.Node.ReadPost(c.ctx, c.who.Actor, id)
		if isNotFound(err) {
			return &activitypub.Problem{Status: http.StatusNotFound, Code: "not-found", Detail: "The post you are trying to reply to does not appear to exist."}
		}
		if err != nil {
			return err
		}
		d.InReplyTo = parent.IRI
	}
	if c.form.Text("scheduled_at") != "" {
		return a.schedule(c, d)
	}
	p, err := a.Node.Publish(c.ctx, c.by(), d)
	if err != nil {
		return err
	}
	return a.shown(c, p.ID)
}

// mine finds a post of the caller's own in the path.
func (a *API) mine(c *call) (*storage.Post, error) {
	p, _, err := a.post(c)
	if err == nil && p.ActorID != c.who.Actor.ID {
		err = storage.ErrNotFound
	}
	return p, err
}

func (a *API) edit(c *call) error {
	p, err := a.mine(c)
	if err != nil {
		return err
	}
	d, err := a.draft(c)
	if err != nil {
		return err
	}
	if !c.form.Has("media_ids") {
		d.Media = nil
	} else if d.Media == nil {
		d.Media = []storage.ID{}
	}
	if d.Language == "" {
		d.Language = p.Language
	}
	for i := 0; ; i++ { // new descriptions of what is attached
		prefix := "media_attributes[" + strconv.Itoa(i) + "]"
		text := c.form.Text(prefix + "[id]")
		if text == "" {
			break
		}
		id, err := storage.ParseID(text)
		if err != nil {
			return storage.ErrNotFound
		}
		if err := a.describe(c, id, prefix+"[description]", prefix+"[focus]"); err != nil {
			return err
		}
	}
	d.Visibility = p.Visibility
	if _, err := a.Node.Edit(c.ctx, c.by(), p.ID, d); err != nil {
		return err
	}
	return a.shown(c, p.ID)
}

func (a *API) delete(c *call) error {
	p, err := a.mine(c)
	if err != nil {
		return err
	}
	e, err := a.statusOf(c.ctx, c.reader(), p)
	if err != nil {
		return err
	}
	e.Text = &p.Source
	if err := a.Node.Delete(c.ctx, c.by(), p.ID); err != nil {
		return err
	}
	return c.ok(e)
}

func (a *API) source(c *call) error {
	p, err := a.mine(c)
	if err != nil {
		return err
	}
	return c.ok(map[string]any{"id": p.ID.String(), "text": p.Source, "spoiler_text": p.Summary})
}

func (a *API) card(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	e, err := a.statusOf(c.ctx, c.reader(), p)
	if err != nil {
		return err
	}
	if e.Card == nil {
		return c.ok(struct{}{})
	}
	return c.ok(e.Card)
}

// Limits of what is shown around a post.
const (
	maxAncestors   = 40
	maxDescendants = 60
)

// thread is what a post answers, and what answers it.
func (a *API) thread(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	var above, below []storage.Post
	for at := p; at.InReplyToID != nil && len(above) < maxAncestors; {
		parent, _, err := a.Node.ReadPost(c.ctx, c.reader(), *at.InReplyToID)
		if isNotFound(err) {
			break
		}
		if err != nil {
			return err
		}
		above = append([]storage.Post{*parent}, above...)
		at = parent
	}
	all := []string{storage.Public, storage.Unlisted, storage.Private, storage.Direct}
	var walk func(p *storage.Post, depth int) error
	walk = func(p *storage.Post, depth int) error {
		if depth > 20 {
			return nil
		}
		replies, err := a.DB.Replies(c.ctx, p.IRI, all, storage.Page{Limit: maxDescendants, Up: true})
		if err != nil {
			return err
		}
		for i := range replies {
			if len(below) >= maxDescendants {
				return nil
			}
			r, _, err := a.Node.ReadPost(c.ctx, c.reader(), replies[i].ID)
			if isNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			if r.Approval == storage.ApprovalPending || r.Approval == storage.ApprovalRejected {
				continue
			}
			below = append(below, *r)
			if err := walk(r, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(p, 0); err != nil {
		return err
	}
	if above, err = a.outside(c, above); err != nil {
		return err
	}
	if below, err = a.outside(c, below); err != nil {
		return err
	}
	ancestors, err := a.statuses(c.ctx, c.reader(), above)
	if err != nil {
		return err
	}
	descendants, err := a.statuses(c.ctx, c.reader(), below)
	if err != nil {
		return err
	}
	return c.ok(map[string]any{"ancestors": ancestors, "descendants": descendants})
}

// outside leaves out posts of domains that the reader blocks.
func (a *API) outside(c *call, posts []storage.Post) ([]storage.Post, error) {
	if c.who == nil {
		return posts, nil
	}
	blocked, err := a.DB.DomainBlocked(c.ctx, c.who.Actor.ID, about(posts, func(p *storage.Post) storage.ID { return p.ActorID })...)
	return slices.DeleteFunc(posts, func(p storage.Post) bool { return blocked[p.ActorID] }), err
}

// acted does something with the post in the path, and answers how it stands then.
func (a *API) acted(c *call, do func(id storage.ID) (*storage.Post, error)) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	if _, err := do(id); err != nil {
		return err
	}
	p, _, err := a.Node.ReadPost(c.ctx, c.reader(), id)
	if err == nil && p.BoostOfID != nil { // what was meant is what was shared
		id = *p.BoostOfID
	}
	return a.shown(c, id)
}

// gone turns the error of taking back what was not done into none, where the post can be seen: the answer shows how it stands.
func gone(p *storage.Post, err error) (*storage.Post, error) {
	if isNotFound(err) {
		return p, nil
	}
	return p, err
}

// collected answers with the posts of rows that are about posts, in the order of the rows.
func (a *API) collected(c *call, ids []storage.ID) error {
	rows, err := a.DB.PostsByID(c.ctx, ids)
	if err != nil {
		return err
	}
	posts := []storage.Post{}
	for _, id := range ids {
		if rows[id] == nil {
			continue
		}
		if _, _, err := a.Node.ReadPost(c.ctx, c.reader(), id); isNotFound(err) {
			continue
		} else if err != nil {
			return err
		}
		posts = append(posts, *rows[id])
	}
	out, err := a.statuses(c.ctx, c.reader(), posts)
	if err != nil {
		return err
	}
	return c.ok(out)
}
