package mastodon

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"planet/activitypub"
	"planet/storage"
)

// target is the actor in the path, as somebody may see her.
func (a *API) target(c *call) (*storage.Actor, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	x, err := a.DB.ActorByID(c.ctx, id)
	if err == nil && x.DeletedAt != nil {
		err = storage.ErrNotFound
	}
	return x, err
}

func (a *API) verifyCredentials(c *call) error {
	e, err := a.accountOf(c.ctx, c.who.Actor)
	if err != nil {
		return err
	}
	if err := a.own(c.ctx, c.who, e); err != nil {
		return err
	}
	return c.ok(e)
}

func (a *API) updateCredentials(c *call) error {
	if err := a.Node.May(c.ctx, c.by(), "profile"); err != nil {
		return err
	}
	x := *c.who.Actor
	f := c.form
	if f.Has("display_name") {
		if x.Name = f.Text("display_name"); strings.TrimSpace(x.Name) == "" {
			x.Name = x.Username
		}
	}
	if f.Has("note") {
		x.Source = f.Text("note")
	}
	x.Locked, x.Discoverable, x.Indexable = f.Bool("locked", x.Locked), f.Bool("discoverable", x.Discoverable), f.Bool("indexable", x.Indexable)
	if links, any := fieldsOf(f.Values); any {
		x.Links = links
	}
	if err := a.Node.UpdateProfile(c.ctx, c.by(), &x); err != nil {
		return err
	}
	for name, set := range map[string]func(storage.ID) error{
		"avatar": func(id storage.ID) error { return a.Node.SetIcon(c.ctx, c.by(), id) },
		"header": func(id storage.ID) error { return a.Node.SetHeader(c.ctx, c.by(), id) },
	} {
		file := f.Files[name]
		if file == nil {
			continue
		}
		r, err := file.Open()
		if err != nil {
			return err
		}
		m, err := a.Node.Upload(c.ctx, c.by(), r, activitypub.Description{Alt: f.Text(name + "_description")})
		_ = r.Close()
		if err != nil {
			return err
		}
		if err := set(m.ID); err != nil {
			return err
		}
	}
	now, err := a.DB.ActorByID(c.ctx, x.ID)
	if err != nil {
		return err
	}
	c.who.Actor = now
	return a.verifyCredentials(c)
}

// fieldsOf reads fields_attributes, written as a list of objects or as objects by number. A value that is an address is a link of the profile; others are not kept.
func fieldsOf(values map[string][]string) (links []storage.Link, any bool) {
	get := func(i, name string) (string, bool) {
		v, ok := values["fields_attributes["+i+"]["+name+"]"]
		if !ok || len(v) == 0 {
			return "", ok
		}
		return v[0], true
	}
	for _, i := range []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		name, ok := get(i, "name")
		if !ok {
			continue
		}
		any = true
		value, _ := get(i, "value")
		if name = strings.TrimSpace(name); name != "" && value != "" {
			links = append(links, storage.Link{Name: name, URL: strings.TrimSpace(value)})
		}
	}
	return links, any
}

func (a *API) showAccount(c *call) error {
	x, err := a.target(c)
	if err != nil {
		return err
	}
	e, err := a.accountOf(c.ctx, x)
	if err != nil {
		return err
	}
	return c.ok(e)
}

func (a *API) lookup(c *call) error {
	x, err := a.known(c, c.form.Text("acct"))
	if err != nil {
		return err
	}
	e, err := a.accountOf(c.ctx, x)
	if err != nil {
		return err
	}
	return c.ok(e)
}

// known finds an actor by handle who is known here already.
func (a *API) known(c *call, handle string) (*storage.Actor, error) {
	name, host, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(handle), "@"), "@")
	var x *storage.Actor
	var err error
	if host == "" || strings.EqualFold(host, a.Node.Host) {
		x, err = a.DB.LocalActor(c.ctx, name)
	} else {
		x, err = a.DB.ActorByHandle(c.ctx, name, strings.ToLower(host))
	}
	if err == nil && x.DeletedAt != nil {
		err = storage.ErrNotFound
	}
	return x, err
}

// showsLists reports whether a reader may see whom an actor follows and who follows her: of a co-op that keeps its members to itself she sees nothing.
func (a *API) relations(c *call, followers bool) error {
	x, err := a.target(c)
	if err != nil {
		return err
	}
	p := c.page(40, 80)
	list := a.DB.Following
	if followers {
		list = a.DB.Followers
	}
	rows, err := list(c.ctx, x.ID, storage.FollowAccepted, p)
	if err != nil {
		return err
	}
	rows = ordered(p, rows)
	ids := make([]storage.ID, len(rows))
	for i, f := range rows {
		if ids[i] = f.TargetID; followers {
			ids[i] = f.ActorID
		}
	}
	if len(rows) > 0 {
		a.linked(c, p, len(rows), rows[0].ID, rows[len(rows)-1].ID)
	}
	return a.people(c, ids)
}

func (a *API) followers(c *call) error { return a.relations(c, true) }
func (a *API) following(c *call) error { return a.relations(c, false) }

// people answers with accounts, in the order of their ids.
func (a *API) people(c *call, ids []storage.ID) error {
	rows, err := a.DB.ActorsByID(c.ctx, ids)
	if err != nil {
		return err
	}
	byID := map[storage.ID]*storage.Actor{}
	for i := range rows {
		byID[rows[i].ID] = &rows[i]
	}
	actors := []*storage.Actor{}
	for _, id := range ids {
		if x := byID[id]; x != nil && x.DeletedAt == nil && x.SuspendedAt == nil {
			actors = append(actors, x)
		}
	}
	out, err := a.accounts(c.ctx, actors)
	if err != nil {
		return err
	}
	return c.ok(out)
}

func (a *API) accountStatuses(c *call) error {
	x, err := a.target(c)
	if err != nil {
		return err
	}
	visible := []string{storage.Public, storage.Unlisted}
	if reader := c.reader(); reader != nil {
		if blocked, err := a.DB.Blocked(c.ctx, x.ID, reader.ID); err != nil {
			return err
		} else if blocked {
			return c.ok([]any{})
		}
		f, err := a.DB.FollowBetween(c.ctx, reader.ID, x.ID)
		if err != nil && !isNotFound(err) {
			return err
		}
		if reader.ID == x.ID || err == nil && f.State == storage.FollowAccepted {
			visible = append(visible, storage.Private)
		}
	}
	if x.SuspendedAt != nil {
		return c.ok([]any{})
	}
	p := c.page(20, 40)
	var posts []storage.Post
	if c.form.Bool("pinned", false) {
		posts, err = a.DB.Pinned(c.ctx, x.ID, visible)
	} else {
		f := storage.PostFilter{OnlyMedia: c.form.Bool("only_media", false), NoReplies: c.form.Bool("exclude_replies", false), NoBoosts: c.form.Bool("exclude_reblogs", false),
			Tag: strings.ToLower(strings.TrimPrefix(c.form.Text("tagged"), "#"))}
		posts, err = a.DB.PostsOf(c.ctx, x.ID, visible, f, p)
	}
	if err != nil {
		return err
	}
	return a.listed(c, p, posts, "account")
}

// listed answers with a page of posts, but for those that the reader wants to be hidden where she reads.
func (a *API) listed(c *call, p storage.Page, posts []storage.Post, where string) error {
	posts = ordered(p, posts)
	if len(posts) > 0 {
		a.linked(c, p, len(posts), posts[0].ID, posts[len(posts)-1].ID)
	}
	out, err := a.statuses(c.ctx, c.reader(), posts)
	if err != nil {
		return err
	}
	return c.ok(slices.DeleteFunc(out, func(e *Status) bool { return hidden(e, where) }))
}

// relationship says how the caller and somebody stand to each other.
func (a *API) relationship(c *call, id storage.ID) (*Relationship, error) {
	me := c.who.Actor.ID
	r := &Relationship{ID: id.String(), Languages: []string{}}
	if f, err := a.DB.FollowBetween(c.ctx, me, id); err == nil {
		r.Following, r.Requested = f.State == storage.FollowAccepted, f.State == storage.FollowPending
		w, err := a.DB.FollowWishOf(c.ctx, me, id)
		if err != nil {
			return nil, err
		}
		r.ShowingReblogs, r.Notifying = r.Following && !w.NoBoosts, r.Following && w.Notify
	} else if !isNotFound(err) {
		return nil, err
	}
	if f, err := a.DB.FollowBetween(c.ctx, id, me); err == nil {
		r.FollowedBy, r.RequestedBy = f.State == storage.FollowAccepted, f.State == storage.FollowPending
	} else if !isNotFound(err) {
		return nil, err
	}
	if _, err := a.DB.BlockBetween(c.ctx, me, id); err == nil {
		r.Blocking = true
	} else if !isNotFound(err) {
		return nil, err
	}
	if _, err := a.DB.BlockBetween(c.ctx, id, me); err == nil {
		r.BlockedBy = true
	} else if !isNotFound(err) {
		return nil, err
	}
	muted, err := a.DB.Muted(c.ctx, me, id)
	if err != nil {
		return nil, err
	}
	r.Muting, r.MutingNotifications = muted, muted
	r.Note, err = a.DB.NoteAbout(c.ctx, me, id)
	return r, err
}

func (a *API) related(c *call, id storage.ID) error {
	r, err := a.relationship(c, id)
	if err != nil {
		return err
	}
	return c.ok(r)
}

func (a *API) relationships(c *call) error {
	out := []*Relationship{}
	for _, text := range c.form.List("id") {
		id, err := storage.ParseID(text)
		if err != nil || len(out) >= 80 {
			continue
		}
		if _, err := a.DB.ActorByID(c.ctx, id); isNotFound(err) {
			continue
		} else if err != nil {
			return err
		}
		r, err := a.relationship(c, id)
		if err != nil {
			return err
		}
		out = append(out, r)
	}
	return c.ok(out)
}

func (a *API) familiarFollowers(c *call) error {
	out := []any{}
	for _, id := range c.form.List("id") {
		if _, err := storage.ParseID(id); err == nil {
			out = append(out, map[string]any{"id": id, "accounts": []any{}})
		}
	}
	return c.ok(out)
}

// toward does something about the account in the path, and answers how both stand then.
func (a *API) toward(c *call, do func(whom string) error) error {
	x, err := a.target(c)
	if err != nil {
		return err
	}
	if x.ID == c.who.Actor.ID {
		return &activitypub.Problem{Status: http.StatusForbidden, Code: "self", Detail: "This action is not allowed"}
	}
	if err := do(string(x.IRI)); err != nil {
		return err
	}
	return a.related(c, x.ID)
}

func (a *API) follow(c *call) error {
	return a.toward(c, func(whom string) error {
		f, err := a.Node.Follow(c.ctx, c.by(), whom)
		if err != nil || !c.form.Has("reblogs") && !c.form.Has("notify") {
			return err
		}
		w, err := a.DB.FollowWishOf(c.ctx, c.who.Actor.ID, f.TargetID)
		if err != nil {
			return err
		}
		w.NoBoosts, w.Notify = !c.form.Bool("reblogs", !w.NoBoosts), c.form.Bool("notify", w.Notify)
		return a.DB.SaveFollowWish(c.ctx, w)
	})
}

func (a *API) unfollow(c *call) error {
	return a.toward(c, func(whom string) error {
		if err := a.Node.Unfollow(c.ctx, c.by(), whom); !isNotFound(err) {
			return err
		}
		return nil
	})
}

func (a *API) removeFollower(c *call) error {
	return a.toward(c, func(whom string) error {
		if _, err := a.Node.AnswerFollow(c.ctx, c.by(), whom, false); !isNotFound(err) {
			return err
		}
		return nil
	})
}

func (a *API) block(c *call) error {
	return a.toward(c, func(whom string) error { _, err := a.Node.Block(c.ctx, c.by(), whom); return err })
}

func (a *API) unblock(c *call) error {
	return a.toward(c, func(whom string) error {
		if _, err := a.Node.Unblock(c.ctx, c.by(), whom); !isNotFound(err) {
			return err
		}
		return nil
	})
}

func (a *API) mute(c *call) error {
	lasts := seconds(c.form.Text("duration"))
	return a.toward(c, func(whom string) error { _, err := a.Node.Mute(c.ctx, c.by(), whom, lasts); return err })
}

func (a *API) unmute(c *call) error {
	return a.toward(c, func(whom string) error {
		if _, err := a.Node.Unmute(c.ctx, c.by(), whom); !isNotFound(err) {
			return err
		}
		return nil
	})
}

func (a *API) setNote(c *call) error {
	x, err := a.target(c)
	if err != nil {
		return err
	}
	text := c.form.Text("comment")
	if utf8.RuneCountInString(text) > 2000 {
		return invalid("Comment is too long (maximum is 2000 characters)")
	}
	if err := a.DB.SaveNoteAbout(c.ctx, c.who.Actor.ID, x.ID, text); err != nil {
		return err
	}
	return a.related(c, x.ID)
}

func (a *API) followRequests(c *call) error {
	p := c.page(40, 80)
	rows, err := a.DB.Followers(c.ctx, c.who.Actor.ID, storage.FollowPending, p)
	if err != nil {
		return err
	}
	rows = ordered(p, rows)
	var ids []storage.ID
	for _, f := range rows {
		ids = append(ids, f.ActorID)
	}
	if len(rows) > 0 {
		a.linked(c, p, len(rows), rows[0].ID, rows[len(rows)-1].ID)
	}
	return a.people(c, ids)
}

func (a *API) answerFollow(c *call, accept bool) error {
	x, err := a.target(c)
	if err != nil {
		return err
	}
	if _, err := a.Node.AnswerFollow(c.ctx, c.by(), string(x.IRI), accept); err != nil {
		return err
	}
	return a.related(c, x.ID)
}

func (a *API) authorizeFollow(c *call) error { return a.answerFollow(c, true) }
func (a *API) rejectFollow(c *call) error    { return a.answerFollow(c, false) }

func (a *API) blocks(c *call) error {
	p := c.page(40, 80)
	rows, err := a.DB.Blocks(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	rows = ordered(p, rows)
	var ids []storage.ID
	for _, b := range rows {
		ids = append(ids, b.TargetID)
	}
	if len(rows) > 0 {
		a.linked(c, p, len(rows), rows[0].ID, rows[len(rows)-1].ID)
	}
	return a.people(c, ids)
}

func (a *API) mutes(c *call) error {
	p := c.page(40, 80)
	rows, err := a.DB.Mutes(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	rows = ordered(p, rows)
	var ids []storage.ID
	for _, m := range rows {
		ids = append(ids, m.TargetID)
	}
	if len(rows) > 0 {
		a.linked(c, p, len(rows), rows[0].ID, rows[len(rows)-1].ID)
	}
	return a.people(c, ids)
}

func (a *API) report(c *call) error {
	id, err := storage.ParseID(c.form.Text("account_id"))
	if err != nil {
		return storage.ErrNotFound
	}
	x, err := a.DB.ActorByID(c.ctx, id)
	if err != nil {
		return err
	}
	complaint := activitypub.Complaint{Whom: string(x.IRI), Comment: c.form.Text("comment"), Forward: c.form.Bool("forward", false)}
	statuses := []string{}
	for _, text := range c.form.List("status_ids") {
		if id, err := storage.ParseID(text); err == nil {
			complaint.Posts = append(complaint.Posts, id)
			statuses = append(statuses, text)
		}
	}
	r, err := a.Node.Report(c.ctx, c.by(), complaint)
	if err != nil {
		return err
	}
	e, err := a.accountOf(c.ctx, x)
	if err != nil {
		return err
	}
	category := c.form.Text("category")
	if category == "" {
		category = "other"
	}
	return c.ok(map[string]any{"id": r.ID.String(), "action_taken": false, "action_taken_at": nil, "category": category, "comment": complaint.Comment, "forwarded": complaint.Forward,
		"created_at": stamp(a.DB.Now()), "status_ids": statuses, "rule_ids": []string{}, "target_account": e})
}

// searchAccounts finds people by the beginning of their names; with resolve also somebody elsewhere whom a whole handle names.
func (a *API) searchAccounts(c *call) error {
	found, err := a.findAccounts(c, c.form.Text("q"), min(max(c.form.Int("limit", 40), 1), 80), c.form.Bool("resolve", false))
	if err != nil {
		return err
	}
	return c.ok(found)
}

func (a *API) findAccounts(c *call, q string, limit int, resolve bool) ([]*Account, error) {
	q = strings.TrimSpace(q)
	if q == "" {
		return []*Account{}, nil
	}
	var actors []*storage.Actor
	whole := strings.Count(strings.TrimPrefix(q, "@"), "@") == 1 || strings.HasPrefix(q, "https://") || strings.HasPrefix(q, "http://")
	if whole && resolve && c.who != nil {
		x, err := a.Node.Resolve(c.ctx, q)
		var p *activitypub.Problem
		var invalid *activitypub.InvalidError
		var fetch *activitypub.FetchError
		switch {
		case err == nil:
			actors = append(actors, x)
		case isNotFound(err), errors.As(err, &p), errors.As(err, &invalid), errors.As(err, &fetch):
		default:
			return nil, err
		}
	}
	following := storage.ID(0)
	if c.form.Bool("following", false) && c.who != nil {
		following = c.who.Actor.ID
	}
	more, err := a.DB.SearchActors(c.ctx, strings.TrimPrefix(q, "@"), following, c.form.Int("offset", 0), limit)
	if err != nil {
		return nil, err
	}
	for i := range more {
		if len(actors) == 0 || actors[0].ID != more[i].ID {
			actors = append(actors, &more[i])
		}
	}
	return a.accounts(c.ctx, actors[:min(len(actors), limit)])
}

// since is a moment so long ago.
func (a *API) since(d time.Duration) time.Time { return a.DB.Now().Add(-d) }

// tallies remembers the numbers of accounts for a while: to count them for each post that is shown took a third of the time (docs/performance.md). The account itself, asked
// for alone, has those of now.
type tallies struct {
	mu   sync.Mutex
	kept map[storage.ID]tallied // under mu
}

type tallied struct {
	storage.AccountTally
	at time.Time
}

const (
	tallyLife  = time.Minute
	maxTallied = 20_000
)

func (t *tallies) of(ctx context.Context, db *storage.DB, actors []storage.ID) (map[storage.ID]storage.AccountTally, error) {
	now := db.Now()
	out := make(map[storage.ID]storage.AccountTally, len(actors))
	var missing []storage.ID
	t.mu.Lock()
	for _, id := range actors {
		if k, ok := t.kept[id]; ok && now.Sub(k.at) < tallyLife {
			out[id] = k.AccountTally
		} else {
			missing = append(missing, id)
		}
	}
	t.mu.Unlock()
	if len(missing) == 0 {
		return out, nil
	}
	counted, err := db.AccountTallies(ctx, missing)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept == nil || len(t.kept)+len(missing) > maxTallied {
		t.kept = map[storage.ID]tallied{}
	}
	for _, id := range missing {
		out[id] = counted[id]
		t.kept[id] = tallied{counted[id], now}
	}
	return out, nil
}
