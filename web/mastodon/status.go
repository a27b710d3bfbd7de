package mastodon

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// keyLife is for how long an Idempotency-Key is remembered.
const keyLife = time.Hour

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
	key := c.Request().Header.Get("Idempotency-Key")
	if len(key) > 255 {
		return invalid("the Idempotency-Key is longer than 255 bytes")
	}
	if key != "" {
		unlock := a.keys.lock(c.who.Actor.ID.String() + " " + key) // a second one waits for the first
		defer unlock()
		id, err := a.DB.MadeUnder(c.ctx, c.who.Actor.ID, key, a.since(keyLife))
		if err == nil {
			return a.shown(c, id)
		}
		if !isNotFound(err) {
			return err
		}
	}
	d, err := a.draft(c)
	if err != nil {
		return err
	}
	if c.form.Has("scheduled_at") && c.form.Text("scheduled_at") != "" {
		return invalid("Scheduled at cannot be used on this node yet: publish it now")
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
	p, err := a.Node.Publish(c.ctx, c.by(), d)
	if err != nil {
		return err
	}
	if key != "" {
		if err := a.DB.KeepKey(c.ctx, c.who.Actor.ID, key, p.ID); err != nil {
			return err
		}
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

// history is what this node keeps of edits: how the post stands now.
func (a *API) history(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	e, err := a.statusOf(c.ctx, c.reader(), p)
	if err != nil {
		return err
	}
	at := e.CreatedAt
	if e.EditedAt != nil {
		at = *e.EditedAt
	}
	return c.ok([]any{map[string]any{"content": e.Content, "spoiler_text": e.SpoilerText, "sensitive": e.Sensitive, "created_at": at, "account": e.Account, "poll": e.Poll,
		"media_attachments": e.MediaAttachments, "emojis": e.Emojis}})
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

func (a *API) rebloggedBy(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	page := c.page(40, 80)
	rows, err := a.DB.BoostsOf(c.ctx, p.ID, page)
	if err != nil {
		return err
	}
	rows = ordered(page, rows)
	var ids []storage.ID
	for _, b := range rows {
		if b.DeletedAt == nil {
			ids = append(ids, b.ActorID)
		}
	}
	if len(rows) > 0 {
		a.linked(c, page, len(rows), rows[0].ID, rows[len(rows)-1].ID)
	}
	return a.people(c, ids)
}

func (a *API) favouritedBy(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	page := c.page(40, 80)
	rows, err := a.DB.LikesOf(c.ctx, p.ID, page)
	if err != nil {
		return err
	}
	rows = ordered(page, rows)
	var ids []storage.ID
	for _, l := range rows {
		ids = append(ids, l.ActorID)
	}
	if len(rows) > 0 {
		a.linked(c, page, len(rows), rows[0].ID, rows[len(rows)-1].ID)
	}
	return a.people(c, ids)
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

func (a *API) favourite(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return a.Node.Like(c.ctx, c.by(), id) })
}

// gone turns the error of taking back what was not done into none, where the post can be seen: the answer shows how it stands.
func gone(p *storage.Post, err error) (*storage.Post, error) {
	if isNotFound(err) {
		return p, nil
	}
	return p, err
}

func (a *API) unfavourite(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return gone(a.Node.Unlike(c.ctx, c.by(), id)) })
}

// reblog answers with the post that shares.
func (a *API) reblog(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	b, err := a.Node.Boost(c.ctx, c.by(), id, c.form.Text("visibility"))
	if err != nil {
		return err
	}
	return a.shown(c, b.ID)
}

func (a *API) unreblog(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return gone(a.Node.Unboost(c.ctx, c.by(), id)) })
}

func (a *API) bookmark(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return nil, a.Node.Bookmark(c.ctx, c.by(), id, true) })
}

func (a *API) unbookmark(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) {
		return gone(nil, a.Node.Bookmark(c.ctx, c.by(), id, false))
	})
}

func (a *API) hears(c *call, mute bool) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	if p.Conversation != "" {
		if err := a.DB.MuteConversation(c.ctx, c.who.Actor.ID, p.Conversation, mute); err != nil {
			return err
		}
	}
	return a.shown(c, p.ID)
}

func (a *API) muteThread(c *call) error   { return a.hears(c, true) }
func (a *API) unmuteThread(c *call) error { return a.hears(c, false) }

func (a *API) pin(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return nil, a.Node.Pin(c.ctx, c.by(), id) })
}

func (a *API) unpin(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return gone(nil, a.Node.Unpin(c.ctx, c.by(), id)) })
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

func (a *API) favourites(c *call) error {
	p := c.page(20, 40)
	rows, err := a.DB.LikesBy(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	rows = ordered(p, rows)
	var ids []storage.ID
	for _, l := range rows {
		ids = append(ids, l.PostID)
	}
	if len(rows) > 0 {
		a.linked(c, p, len(rows), rows[0].ID, rows[len(rows)-1].ID)
	}
	return a.collected(c, ids)
}

func (a *API) bookmarks(c *call) error {
	p := c.page(20, 40)
	rows, err := a.DB.Bookmarks(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	rows = ordered(p, rows)
	var ids []storage.ID
	for _, b := range rows {
		ids = append(ids, b.PostID)
	}
	if len(rows) > 0 {
		a.linked(c, p, len(rows), rows[0].ID, rows[len(rows)-1].ID)
	}
	return a.collected(c, ids)
}

func (a *API) showPoll(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	return a.pollShown(c, p.ID)
}

func (a *API) pollShown(c *call, id storage.ID) error {
	poll, err := a.DB.PollOf(c.ctx, id)
	if err != nil {
		return err
	}
	var own []int
	if c.who != nil {
		votes, err := a.DB.VotesBy(c.ctx, id, c.who.Actor.ID)
		if err != nil {
			return err
		}
		for _, v := range votes {
			own = append(own, v.Choice)
		}
	}
	return c.ok(a.poll(poll, own, c.reader()))
}

func (a *API) vote(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	var choices []int
	for _, text := range c.form.List("choices") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return invalid("The chosen vote option does not exist")
		}
		choices = append(choices, n)
	}
	if _, err := a.Node.Vote(c.ctx, c.by(), p.ID, choices); err != nil {
		return err
	}
	return a.pollShown(c, p.ID)
}

func (a *API) upload(c *call) error {
	file := c.form.Files["file"]
	if file == nil {
		return invalid("File can't be blank")
	}
	r, err := file.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	d := activitypub.Description{Alt: c.form.Text("description")}
	d.FocusX, d.FocusY = focusOf(c.form.Text("focus"))
	m, err := a.Node.Upload(c.ctx, c.by(), r, d)
	if err != nil {
		return err
	}
	return c.ok(a.medium(m))
}

func focusOf(text string) (x, y float64) {
	one, other, _ := strings.Cut(text, ",")
	x, _ = strconv.ParseFloat(strings.TrimSpace(one), 64)
	y, _ = strconv.ParseFloat(strings.TrimSpace(other), 64)
	return x, y
}

func (a *API) medium(m *storage.Media) Attachment {
	e := mediumEntity(m.ID.String(), m.Alt, m.Blurhash, m.Width, m.Height, m.FocusX, m.FocusY)
	e.URL = a.Origin + "/media/" + m.Name
	e.PreviewURL = e.URL
	return e
}

// ownMedia is a picture that the caller has uploaded; of anybody else there is none (security.md MED 200).
func (a *API) ownMedia(c *call, id storage.ID) (*storage.Media, error) {
	m, err := a.DB.MediaByID(c.ctx, id)
	if err == nil && m.ActorID != c.who.Actor.ID {
		err = storage.ErrNotFound
	}
	return m, err
}

func (a *API) showMedia(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	m, err := a.ownMedia(c, id)
	if err != nil {
		return err
	}
	return c.ok(a.medium(m))
}

func (a *API) describe(c *call, id storage.ID, alt, focus string) error {
	m, err := a.ownMedia(c, id)
	if err != nil {
		return err
	}
	d := activitypub.Description{Alt: m.Alt, FocusX: m.FocusX, FocusY: m.FocusY}
	if c.form.Has(alt) {
		d.Alt = c.form.Text(alt)
	}
	if c.form.Has(focus) {
		d.FocusX, d.FocusY = focusOf(c.form.Text(focus))
	}
	_, err = a.Node.Describe(c.ctx, c.by(), id, d)
	return err
}

func (a *API) describeMedia(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	if err := a.describe(c, id, "description", "focus"); err != nil {
		return err
	}
	return a.showMedia(c)
}

// search finds people, posts and hashtags. With resolve an address is looked up, here or where it leads: that is how clients open a link.
func (a *API) search(c *call) error {
	q, kind := strings.TrimSpace(c.form.Text("q")), c.form.Text("type")
	limit := min(max(c.form.Int("limit", 20), 1), 40)
	resolve := c.form.Bool("resolve", false)
	accounts, statuses, tags := []*Account{}, []*Status{}, []Tag{}
	address := strings.HasPrefix(q, "https://") || strings.HasPrefix(q, "http://")
	if address && (kind == "" || kind == "statuses") && c.who != nil {
		p, err := a.found(c, q, resolve)
		if err != nil && !isNotFound(err) {
			return err
		}
		if err == nil {
			e, err := a.statusOf(c.ctx, c.reader(), p)
			if err != nil && !isNotFound(err) {
				return err
			}
			if err == nil {
				statuses = append(statuses, e)
			}
		}
	}
	if (kind == "" || kind == "accounts") && q != "" && len(statuses) == 0 {
		found, err := a.findAccounts(c, q, limit, resolve)
		if err != nil {
			return err
		}
		accounts = found
	}
	if (kind == "" || kind == "hashtags") && !address && !strings.ContainsAny(q, "@ ") && q != "" {
		names, err := a.DB.SearchTags(c.ctx, strings.ToLower(strings.TrimPrefix(q, "#")), limit)
		if err != nil {
			return err
		}
		for _, name := range names {
			tags = append(tags, a.tag(name))
		}
	}
	return c.ok(map[string]any{"accounts": accounts, "statuses": statuses, "hashtags": tags})
}

// found is the post of an address: of ours, of an offer of ours, or, with resolve, elsewhere.
func (a *API) found(c *call, address string, resolve bool) (*storage.Post, error) {
	if o, err := a.DB.OfferByIRI(c.ctx, storage.IRI(address)); err == nil {
		p, _, err := a.Node.ReadPost(c.ctx, c.reader(), o.PostID)
		return p, err
	} else if !isNotFound(err) {
		return nil, err
	}
	if !resolve && !strings.HasPrefix(address, a.Origin+"/") {
		p, err := a.DB.PostByIRI(c.ctx, storage.IRI(address))
		if err != nil {
			return nil, err
		}
		p, _, err = a.Node.ReadPost(c.ctx, c.reader(), p.ID)
		return p, err
	}
	p, err := a.Node.ResolvePost(c.ctx, c.by(), address)
	var problem *activitypub.Problem
	var wrong *activitypub.InvalidError
	var fetch *activitypub.FetchError
	if errors.As(err, &problem) || errors.As(err, &wrong) || errors.As(err, &fetch) {
		return nil, storage.ErrNotFound
	}
	return p, err
}
