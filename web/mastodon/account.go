package mastodon

import (
	"errors"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
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
	if e.Roles, err = a.rolesOf(c, c.who.Actor); err != nil {
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
	if links, fields, any := fieldsOf(f); any {
		x.Links, x.Fields = links, fields
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

// withoutPicture takes a picture from the caller's profile, and shows how that is then.
func (a *API) withoutPicture(c *call, set func(activitypub.By, storage.ID) error) error {
	if err := set(c.by(), 0); err != nil {
		return err
	}
	now, err := a.DB.ActorByID(c.ctx, c.who.Actor.ID)
	if err != nil {
		return err
	}
	c.who.Actor = now
	return a.verifyCredentials(c)
}

func (a *API) deleteAvatar(c *call) error {
	return a.withoutPicture(c, func(by activitypub.By, none storage.ID) error { return a.Node.SetIcon(c.ctx, by, none) })
}

func (a *API) deleteHeader(c *call) error {
	return a.withoutPicture(c, func(by activitypub.By, none storage.ID) error { return a.Node.SetHeader(c.ctx, by, none) })
}

// fieldsOf reads fields_attributes, written as a list of objects or as objects by number: those that lead somewhere are links, the others words.
func fieldsOf(f *oauth.Form) (links []storage.Link, fields []storage.Field, any bool) {
	for i := range 20 {
		prefix := "fields_attributes[" + strconv.Itoa(i) + "]"
		if !f.Has(prefix + "[name]") {
			continue
		}
		any = true
		name, value := strings.TrimSpace(f.Text(prefix+"[name]")), strings.TrimSpace(f.Text(prefix+"[value]"))
		switch u, err := url.Parse(value); {
		case name == "" || value == "": // taken away
		case err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "":
			links = append(links, storage.Link{Name: name, URL: value})
		default:
			fields = append(fields, storage.Field{Name: name, Value: html.EscapeString(value)})
		}
	}
	return links, fields, any
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
	if e.Roles, err = a.rolesOf(c, x); err != nil {
		return err
	}
	return c.ok(e)
}

// rolesOf are the roles of a person in co-ops of this node, as far as whoever asks may know of them: she herself, and members of the same co-op.
func (a *API) rolesOf(c *call, x *storage.Actor) ([]Role, error) {
	out := []Role{}
	if c.who == nil || !x.Local() || x.Type != storage.Person {
		return out, nil
	}
	u, err := a.DB.UserByActor(c.ctx, x.ID)
	if isNotFound(err) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	coops, err := a.DB.CoopsOf(c.ctx, u.ID)
	if err != nil {
		return nil, err
	}
	for i := range coops {
		coop := &coops[i]
		roles, err := a.DB.RolesIn(c.ctx, u.ID, coop.ID)
		if err != nil {
			return nil, err
		}
		if u.ID != c.who.User.ID {
			var stranger *activitypub.Problem
			if err := a.Node.May(c.ctx, activitypub.By{User: c.who.User, Actor: coop}, "inside"); errors.As(err, &stranger) {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		for _, r := range roles {
			out = append(out, Role{ID: coop.ID.String() + "-" + r, Name: r + " of " + coop.Username, Permissions: "0", Highlighted: true})
		}
	}
	return out, nil
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
	posts = paged(a, c, p, posts, func(p *storage.Post) storage.ID { return p.ID })
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
	blocked, err := a.DB.DomainBlocked(c.ctx, me, id)
	if err != nil {
		return nil, err
	}
	r.DomainBlocking = blocked[id]
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

// maxFamiliar is how many are shown of those whom one follows and who follow somebody.
const maxFamiliar = 40

// familiarFollowers lists whom of those that the caller follows others are followed by.
func (a *API) familiarFollowers(c *call) error {
	out := []any{}
	for _, text := range c.form.List("id") {
		id, err := storage.ParseID(text)
		if err != nil || len(out) >= 80 {
			continue
		}
		rows, err := a.DB.FamiliarFollowers(c.ctx, c.who.Actor.ID, id, maxFamiliar)
		if err != nil {
			return err
		}
		actors := make([]*storage.Actor, len(rows))
		for i := range rows {
			actors[i] = &rows[i]
		}
		accounts, err := a.accounts(c.ctx, actors)
		if err != nil {
			return err
		}
		out = append(out, map[string]any{"id": text, "accounts": accounts})
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
