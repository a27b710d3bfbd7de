package activitypub

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"planet/storage"
)

// By is who does something, and as whom: a person, or the operator at the command line when User is nil.
type By struct {
	User  *storage.User
	Actor *storage.Actor
	Call  *storage.Call // under which key of hers an app asks for it; nil: under none
}

// as is the same person for something that is kept with another actor.
func (by By) as(a *storage.Actor) By { return By{User: by.User, Actor: a, Call: by.Call} }

// record keeps who did what as whom, in the transaction of the act, and that what an app asked for is done.
func record(ctx context.Context, tx *storage.DB, by By, kind string, object storage.IRI) error {
	return recordWith(ctx, tx, by, kind, object, "")
}

// recordWith keeps a word more: what was, and what is now.
func recordWith(ctx context.Context, tx *storage.DB, by By, kind string, object storage.IRI, detail string) error {
	act := &storage.Act{ActorID: by.Actor.ID, Kind: kind, Object: object, Detail: detail}
	if by.User != nil {
		act.UserID = by.User.ID
	}
	if err := tx.RecordAct(ctx, act); err != nil || by.Call == nil {
		return err
	}
	return tx.EndCall(ctx, by.Call, object)
}

// shipment is where an activity goes.
type shipment struct {
	object    storage.IRI   // what it is about: its deliveries go out in order
	line      storage.IRI   // in whose order instead: what is done, taken back and done again has an id of its own each time; see lineOf
	inboxes   []storage.IRI // of others; those of this node are left out
	supersede storage.Supersede
	public    bool
	lasting   bool  // it is for somebody in particular, and waits for her server however long that is away
	context   []any // nil for that of posts
}

// send gives an activity of ours an id and a proof (FEP-8b32), stores its bytes, and queues its deliveries: all in tx.
func (n *Node) send(ctx context.Context, tx *storage.DB, from *storage.Actor, m map[string]any, s shipment) error {
	var keyID storage.IRI
	var key ed25519.PrivateKey
	keys, err := tx.KeysOf(ctx, from.ID)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Kind == storage.KeyEd25519 && k.Private != "" {
			parsed, err := parsePrivateKey(k.Private)
			if err != nil {
				return err
			}
			keyID, key = k.IRI, parsed.(ed25519.PrivateKey)
			break
		}
	}
	row, err := n.seal(from, keyID, key, m, s)
	if err != nil {
		return err
	}
	if _, err := tx.SaveActivity(ctx, row); err != nil {
		return err
	}
	return tx.Enqueue(ctx, n.deliveriesOf(row, from, s), s.supersede)
}

// seal gives an activity of ours an id and a proof (FEP-8b32); without a key it gets none. Nothing is stored.
func (n *Node) seal(from *storage.Actor, keyID storage.IRI, key ed25519.PrivateKey, m map[string]any, s shipment) (*storage.Activity, error) {
	row := &storage.Activity{ID: n.DB.NewID(), ActorIRI: from.IRI, Type: m["type"].(string), Object: s.object, Local: true, Public: s.public}
	if _, ok := m["id"]; !ok {
		m["id"] = n.Origin + "/activities/" + row.ID.String()
	}
	row.IRI = storage.IRI(fmt.Sprint(m["id"]))
	if m["@context"] = contextActivity; s.context != nil {
		m["@context"] = s.context
	}
	raw, err := encode(m)
	if err != nil {
		return nil, err
	}
	if key != nil {
		if raw, err = signProof(raw, string(keyID), key, n.Now()); err != nil {
			return nil, err
		}
	}
	row.Raw = raw
	return row, nil
}

// deliveriesOf are the ways of an activity of ours to the inboxes of others.
func (n *Node) deliveriesOf(row *storage.Activity, from *storage.Actor, s shipment) (ds []storage.Delivery) {
	if s.line == "" {
		s.line = s.object
	}
	seen := map[storage.IRI]bool{}
	for _, inbox := range s.inboxes {
		if inbox == "" || seen[inbox] || n.isOurs(inbox) {
			continue
		}
		seen[inbox] = true
		ds = append(ds, storage.Delivery{ActivityID: row.ID, Inbox: inbox, Host: hostOf(inbox), ActorID: from.ID, Object: s.line, Lasting: s.lasting})
	}
	return ds
}

// lineOf is the order of all that one actor does to another or to a post, in one way, and takes back.
func lineOf(actor storage.IRI, does string, object storage.IRI) storage.IRI {
	return actor + storage.IRI(" "+does+" ") + object
}

// hostOf is the key of a server's queue: the host of an address, with its port unless it is the scheme's own.
func hostOf(i storage.IRI) string {
	u, err := url.Parse(string(i))
	if err != nil {
		return ""
	}
	if h, err := normaliseHost(u.Host); err == nil {
		return h
	}
	return strings.ToLower(u.Host)
}

// NewUser is a person who is to sign in here.
type NewUser struct {
	Username string
	Name     string // shown to others; "" for the username
	Email    string
	Password string // "" for none yet
	Role     string // on the node; "" for storage.NodeUser
}

var localNames = regexp.MustCompile(`^[a-z0-9_]{1,30}$`)

// checkName refuses names that cannot be a handle here, or that would look like the node itself.
func checkName(name string) error {
	if !localNames.MatchString(name) {
		return invalid("username", "use 1 to 30 of the letters a-z, digits and _")
	}
	if slices.Contains(reserved, name) {
		return invalid("username", "%q is reserved for the node", name)
	}
	return nil
}

// CreatePerson adds a user and her actor. InvalidError when a field cannot be used, ErrConflict wrapped when the name is
// taken, also by someone who is gone.
func (n *Node) CreatePerson(ctx context.Context, in NewUser) (*storage.User, *storage.Actor, error) {
	u, a, err := n.newPerson(in)
	if err != nil {
		return nil, nil, err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error { return n.addPerson(ctx, tx, u, a) })
	return u, a, err
}

// newPerson makes the rows of a person, which are not stored.
func (n *Node) newPerson(in NewUser) (*storage.User, *storage.Actor, error) {
	name := strings.ToLower(strings.TrimSpace(in.Username))
	if err := checkName(name); err != nil {
		return nil, nil, err
	}
	if in.Email != "" && !plausibleEmail(in.Email) {
		return nil, nil, invalid("email", "%q is not an e-mail address", in.Email)
	}
	u := &storage.User{Username: name, Email: in.Email, Role: in.Role}
	if u.Role == "" {
		u.Role = storage.NodeUser
	}
	if !slices.Contains([]string{storage.NodeOwner, storage.NodeAdmin, storage.NodeModerator, storage.NodeUser}, u.Role) {
		return nil, nil, invalid("role", "%q is no role on the node", u.Role)
	}
	if in.Password != "" {
		hash, err := storage.HashPassword(in.Password)
		if err != nil {
			return nil, nil, invalid("password", "%v", err)
		}
		u.PasswordHash = hash
	}
	a := &storage.Actor{Type: storage.Person, Username: name, Name: clip(strings.TrimSpace(in.Name), 200), Discoverable: true, Indexable: true}
	if a.Name == "" {
		a.Name = name
	}
	n.addresses(a)
	return u, a, nil
}

// addPerson stores what newPerson made.
func (n *Node) addPerson(ctx context.Context, tx *storage.DB, u *storage.User, a *storage.Actor) error {
	if err := n.freeName(ctx, tx, u.Username); err != nil {
		return err
	}
	if err := n.addActor(ctx, tx, a); err != nil {
		return err
	}
	u.ActorID = a.ID
	if err := tx.CreateUser(ctx, u); err != nil {
		return err
	}
	return recordWith(ctx, tx, By{User: u, Actor: a}, "user.create", a.IRI, u.Role)
}

func (n *Node) freeName(ctx context.Context, tx *storage.DB, name string) error {
	_, err := tx.LocalActor(ctx, name)
	if err == nil {
		return fmt.Errorf("the name %q is taken: %w", name, storage.ErrConflict)
	}
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// emails are what every mailer reads alike: one address, nothing quoted or escaped, no line of a header, no option of a program (security.md SES 238).
var emails = regexp.MustCompile(`^[\p{L}\p{N}!#$&'*+/=?^_{}~][\p{L}\p{N}!#$&'*+/=?^_{}~.-]*@([\p{L}\p{N}]([\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+[\p{L}\p{N}]([\p{L}\p{N}-]*[\p{L}\p{N}])?$`)

func plausibleEmail(s string) bool { return len(s) <= 254 && emails.MatchString(s) }

// checkProfile refuses profile fields that cannot be shown, and renders the summary from its source.
func (n *Node) checkProfile(a *storage.Actor) error {
	switch {
	case a.Name == "" && a.Type == storage.Organization:
		return invalid("title", "a co-op needs a title")
	case a.Name == "":
		return invalid("name", "a person needs a name that is shown")
	case utf8.RuneCountInString(a.Name) > 200:
		return invalid("title", "at most 200 characters")
	case utf8.RuneCountInString(a.Source) > MaxPostRunes:
		return invalid("summary", "at most %d characters", MaxPostRunes)
	case len(a.Place) > 200 || len(a.Hours) > 500 || len(a.Category) > 100:
		return invalid("profile", "place, hours and category have at most 200, 500 and 100 bytes")
	case len(a.Links)+len(a.Fields) > 20:
		return invalid("links", "at most 20 links and other lines")
	}
	for _, l := range a.Links {
		u, err := url.Parse(l.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || l.Name == "" || len(l.Name) > 255 || len(l.URL) > 2047 {
			return invalid("links", "%q is not a named http(s) address", l.URL)
		}
	}
	for _, f := range a.Fields {
		if f.Name == "" || len(f.Name) > 255 || len(f.Value) > 2047 {
			return invalid("fields", "a line has a name of at most 255 bytes, and at most 2047 more")
		}
	}
	for _, p := range a.Principles {
		if len(p) != 1 || p < "1" || p > "7" {
			return invalid("principles", "%q is not a principle of the International Cooperative Alliance: use 1 to 7", p)
		}
	}
	a.Summary = ""
	if a.Source != "" {
		a.Summary, _ = renderText(a.Source, nil, n.Origin)
	}
	return nil
}

// UpdateProfile stores what a person may change of an actor's profile, and tells its followers.
func (n *Node) UpdateProfile(ctx context.Context, by By, in *storage.Actor) error {
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "profile"); err != nil {
			return err
		}
		a, err := tx.ActorByID(ctx, by.Actor.ID)
		if err != nil {
			return err
		}
		a.Name, a.Source, a.Place, a.Category, a.Hours = in.Name, in.Source, in.Place, in.Category, in.Hours
		a.Fields, a.Links, a.Principles, a.Locked, a.Discoverable, a.Indexable = in.Fields, in.Links, in.Principles, in.Locked, in.Discoverable, in.Indexable
		a.Latitude, a.Longitude = in.Latitude, in.Longitude
		if err := n.checkProfile(a); err != nil {
			return err
		}
		if err := tx.SaveActor(ctx, a); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "profile.update", a.IRI); err != nil {
			return err
		}
		return n.announceActor(ctx, tx, a)
	})
	n.Wake()
	return err
}

// announceActor tells followers that an actor's document has changed, and the ledgers elsewhere that she pays with: who has her old key pays nothing there any more (F09).
func (n *Node) announceActor(ctx context.Context, tx *storage.DB, a *storage.Actor) error {
	doc, err := n.actorToWire(ctx, tx, a)
	if err != nil {
		return err
	}
	delete(doc, "@context")
	inboxes, err := n.followerInboxes(ctx, tx, a)
	if err != nil {
		return err
	}
	ledgers, err := tx.LedgersOf(ctx, a.IRI)
	if err != nil {
		return err
	}
	inboxes = append(inboxes, ledgers...)
	m := map[string]any{"type": "Update", "actor": a.IRI, "to": []any{publicAddress}, "cc": []any{a.Followers}, "object": doc}
	return n.send(ctx, tx, a, m, shipment{object: a.IRI, inboxes: inboxes, supersede: storage.SupersedeUpdates, public: true})
}

// RotateKeys gives an actor new keys and tells its followers. What was signed before is no longer verified by them.
func (n *Node) RotateKeys(ctx context.Context, by By) error {
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "keys"); err != nil {
			return err
		}
		old, err := tx.KeysOf(ctx, by.Actor.ID)
		if err != nil {
			return err
		}
		for _, k := range old {
			if err := tx.RetireKey(ctx, k.IRI); err != nil {
				return err
			}
		}
		mark := storage.IRI(tx.NewID().String())
		if err := n.addKeys(ctx, tx, by.Actor, "#key-"+mark, "#ed25519-"+mark); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "keys.rotate", by.Actor.IRI); err != nil {
			return err
		}
		return n.announceActor(ctx, tx, by.Actor)
	})
	n.Wake()
	return err
}

// followerInboxes are where an actor's followers elsewhere receive: the shared inbox of their server, once, if it has one.
func (n *Node) followerInboxes(ctx context.Context, db *storage.DB, a *storage.Actor) ([]storage.IRI, error) {
	rows, err := db.FollowerInboxes(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	out := make([]storage.IRI, 0, len(rows))
	for _, r := range rows {
		if r.SharedInbox != "" {
			out = append(out, r.SharedInbox)
		} else {
			out = append(out, r.Inbox)
		}
	}
	return out, nil
}

// Draft is what a person wants to say.
type Draft struct {
	Text       string // plain; links, mentions and hashtags are found in it
	Visibility string // "" for public
	Summary    string // content warning
	Sensitive  bool
	Language   string // BCP 47, "" for unknown
	InReplyTo  storage.IRI
	Poll       *PollDraft   // nil for none
	Quotes     string       // who may quote it: QuotePublic ("" too), QuoteFollowers or QuoteNobody
	Media      []storage.ID // pictures that were uploaded, in their order; for Edit nil leaves them as they are
	Key        string       // an app's own, under which it gets the same post again for an hour; "" for none

	scheduled storage.ID // it has waited for its time as this one; 0: it has not waited
}

func (d *Draft) check() error {
	d.Text = strings.TrimSpace(strings.ReplaceAll(d.Text, "\r\n", "\n"))
	if d.Visibility == "" {
		d.Visibility = storage.Public
	}
	switch {
	case d.Text == "" && len(d.Media) == 0:
		return invalid("text", "a post needs some text, or a picture")
	case len(d.Media) > MaxMedia:
		return invalid("media", "a post has at most %d pictures, this has %d", MaxMedia, len(d.Media))
	case len(d.Media) > 0 && d.Poll != nil:
		return invalid("media", "a poll has no pictures: other servers would show one or the other")
	case !utf8.ValidString(d.Text) || strings.ContainsRune(d.Text, 0):
		return invalid("text", "the text is not valid UTF-8")
	case utf8.RuneCountInString(d.Text) > MaxPostRunes:
		return invalid("text", "a post has at most %d characters, this has %d", MaxPostRunes, utf8.RuneCountInString(d.Text))
	case utf8.RuneCountInString(d.Summary) > 500:
		return invalid("summary", "a content warning has at most 500 characters")
	case !slices.Contains([]string{storage.Public, storage.Unlisted, storage.Private, storage.Direct}, d.Visibility):
		return invalid("visibility", "%q is not public, unlisted, private or direct", d.Visibility)
	case d.Language != "" && !regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`).MatchString(d.Language):
		return invalid("language", "%q is not a language code such as ca or en-GB", d.Language)
	}
	if !slices.Contains([]string{"", QuotePublic, QuoteFollowers, QuoteNobody}, d.Quotes) {
		return invalid("quotes", "%q is not public, followers or nobody", d.Quotes)
	}
	if d.Summary != "" {
		d.Sensitive = true
	}
	if d.Poll != nil {
		return d.Poll.check()
	}
	return nil
}

// resolveMentions finds whom a text speaks to. A handle that cannot be found stays text.
func (n *Node) resolveMentions(ctx context.Context, text string) ([]storage.Mention, error) {
	var out []storage.Mention
	handles := findMentions(text)
	for _, h := range handles[:min(len(handles), maxMentions)] {
		ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
		a, err := n.Resolve(ctx, h)
		cancel()
		if err != nil {
			var invalid *InvalidError
			var p *Problem
			var fe *FetchError
			if errors.Is(err, storage.ErrNotFound) || errors.As(err, &invalid) || errors.As(err, &p) || errors.As(err, &fe) || ctx.Err() == nil {
				continue
			}
			return nil, err
		}
		if !slices.ContainsFunc(out, func(m storage.Mention) bool { return m.IRI == a.IRI }) {
			out = append(out, mentionOf(n, a))
		}
	}
	return out, nil
}

func mentionOf(n *Node, a *storage.Actor) storage.Mention {
	return storage.Mention{ActorID: a.ID, IRI: a.IRI, Handle: a.Handle(n.Host), URL: a.URL}
}

// render makes HTML of a text, with the mentions that were resolved.
func (n *Node) render(text string, mentions []storage.Mention) (html string, tags []string) {
	known := make([]mention, 0, len(mentions))
	for _, m := range mentions {
		known = append(known, mention{Handle: m.Handle, URL: m.URL})
		if local, ok := strings.CutSuffix(m.Handle, "@"+n.Host); ok {
			known = append(known, mention{Handle: local, URL: m.URL})
		}
	}
	return renderText(text, known, n.Origin)
}

// Publish says something as an actor of this node: the post, its Create, the news to people here and the deliveries to
// servers elsewhere are one transaction.
func (n *Node) Publish(ctx context.Context, by By, d Draft) (*storage.Post, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if err := n.allowed(ctx, n.DB, by, "post"); err != nil {
		return nil, err
	}
	if d.Key != "" {
		if p, err := n.publishedUnder(ctx, by, d.Key); !errors.Is(err, storage.ErrNotFound) {
			return p, err
		}
	}
	mentions, err := n.resolveMentions(ctx, d.Text)
	if err != nil {
		return nil, err
	}
	p := &storage.Post{Type: "Note", ActorID: by.Actor.ID, Visibility: d.Visibility, Source: d.Text, Summary: d.Summary, Sensitive: d.Sensitive,
		Language: d.Language, PublishedAt: n.Now().UTC().Truncate(time.Second)}
	if by.User != nil {
		p.UserID = by.User.ID
	}
	if d.InReplyTo != "" {
		parent, author, err := n.parent(ctx, d.InReplyTo, by.Actor)
		if err != nil {
			return nil, err
		}
		switch may, err := n.permitted(ctx, n.DB, parent, author, by.Actor, func(p *storage.Policy) *storage.PolicyRule { return p.Reply }); {
		case err != nil:
			return nil, err
		case may == mayNot:
			return nil, problem(403, "policy", "%s does not let you answer this post", author.Handle(n.Host))
		case may == mayAsk:
			p.Approval = storage.ApprovalPending
		}
		p.InReplyTo, p.InReplyToID, p.Conversation = parent.IRI, &parent.ID, parent.Conversation
		if author.ID != by.Actor.ID && !slices.ContainsFunc(mentions, func(m storage.Mention) bool { return m.IRI == author.IRI }) {
			mentions = append(mentions, mentionOf(n, author))
		}
	}
	if p.Visibility == storage.Direct && len(mentions) == 0 {
		return nil, invalid("text", "a direct post needs to name its reader, as in @ana@coop.example")
	}
	p.Mentions = mentions
	p.Policy = &storage.Policy{Quote: quoteRule(p, by.Actor, d.Quotes)}
	p.Content, p.Tags = n.render(d.Text, mentions)
	var poll *storage.Poll
	if d.Poll != nil {
		p.Type = storage.Question
		ends := p.PublishedAt.Add(d.Poll.Lasts)
		poll = &storage.Poll{Multiple: d.Poll.Multiple, EndsAt: &ends}
		for _, o := range d.Poll.Options {
			poll.Options = append(poll.Options, storage.PollOption{Name: o})
		}
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "post"); err != nil {
			return err
		}
		n.place(tx, p, by.Actor)
		if d.scheduled != 0 { // first of all: it is published once
			if err := tx.TakeScheduled(ctx, d.scheduled); errors.Is(err, storage.ErrNotFound) {
				return errTaken
			} else if err != nil {
				return err
			}
			if err := tx.MoveKey(ctx, by.Actor.ID, d.scheduled, p.ID); err != nil {
				return err
			}
		}
		if d.Key != "" { // first of all: who comes second stores nothing
			if err := tx.KeepKey(ctx, by.Actor.ID, d.Key, p.ID); err != nil {
				return err
			}
		}
		if p.Conversation == "" {
			p.Conversation = string(p.IRI) + "/context"
		}
		if err := n.setMedia(ctx, tx, p, d.Media); err != nil {
			return err
		}
		if err := tx.SavePost(ctx, p); err != nil {
			return err
		}
		if poll != nil {
			poll.PostID = p.ID
			if err := tx.SavePoll(ctx, poll); err != nil {
				return err
			}
			if err := enqueue(ctx, tx, jobTally, "end "+p.ID.String(), *poll.EndsAt, work{Post: p.ID}); err != nil {
				return err
			}
		}
		if err := record(ctx, tx, by, "post.create", p.IRI); err != nil {
			return err
		}
		if err := n.tellLocal(ctx, tx, p, by.Actor); err != nil {
			return err
		}
		if err := n.noticeReply(ctx, tx, p, by.Actor); err != nil {
			return err
		}
		return n.sendPost(ctx, tx, by.Actor, p, p.Mentions, "Create")
	})
	if errors.Is(err, storage.ErrConflict) && d.Key != "" {
		if p, again := n.publishedUnder(ctx, by, d.Key); !errors.Is(again, storage.ErrNotFound) {
			return p, again
		}
	}
	n.Wake()
	return p, err
}

// publishedUnder finds what an app has published under a key of its own, or ErrNotFound.
func (n *Node) publishedUnder(ctx context.Context, by By, key string) (*storage.Post, error) {
	id, err := n.DB.MadeUnder(ctx, by.Actor.ID, key)
	if err != nil {
		return nil, err
	}
	return n.DB.PostByID(ctx, id)
}

// place gives a new post of an actor of this node its number and its addresses.
func (n *Node) place(tx *storage.DB, p *storage.Post, author *storage.Actor) {
	p.ID = tx.NewID()
	p.IRI = author.IRI + storage.IRI("/statuses/"+p.ID.String())
	p.URL = n.Origin + "/@" + author.Username + "/" + p.ID.String()
}

// parent finds the post that someone here answers; one that is not here is fetched. ErrNotFound when it may not be read.
func (n *Node) parent(ctx context.Context, iri storage.IRI, reader *storage.Actor) (*storage.Post, *storage.Actor, error) {
	p, err := n.DB.PostByIRI(ctx, iri)
	if errors.Is(err, storage.ErrNotFound) && !n.isOurs(iri) {
		p, err = n.fetchPost(ctx, iri)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the post %s: %w", iri, err)
	}
	if may, err := n.mayRead(ctx, p, reader); err != nil || !may || p.DeletedAt != nil {
		if err == nil {
			err = storage.ErrNotFound
		}
		return nil, nil, fmt.Errorf("the post %s: %w", iri, err)
	}
	author, err := n.DB.ActorByID(ctx, p.ActorID)
	return p, author, err
}

// tellLocal notifies those of this node whom a post speaks to.
func (n *Node) tellLocal(ctx context.Context, tx *storage.DB, p *storage.Post, author *storage.Actor) error {
	for _, m := range p.Mentions {
		if m.ActorID == 0 || m.ActorID == p.ActorID || !n.isOurs(m.IRI) {
			continue
		}
		if err := n.tell(ctx, tx, []storage.ID{m.ActorID}, "mention", author, p.ID); err != nil {
			return err
		}
	}
	return n.tellWishers(ctx, tx, p, author)
}

// tellWishers tells those who follow somebody and want to hear whenever she writes something that answers nobody.
func (n *Node) tellWishers(ctx context.Context, tx *storage.DB, p *storage.Post, author *storage.Actor) error {
	if p.InReplyTo != "" || p.Visibility == storage.Direct {
		return nil
	}
	ids, err := tx.Wishers(ctx, author.ID)
	if err != nil || len(ids) == 0 {
		return err
	}
	return n.tell(ctx, tx, ids, "status", author, p.ID)
}

// sendPost queues a Create, Update or Delete of a post to its followers, unless it is direct, and to those named. A reply
// whose parent's author wants to be asked goes to her alone until she has said yes (GoToSocial's interaction policies).
func (n *Node) sendPost(ctx context.Context, tx *storage.DB, author *storage.Actor, p *storage.Post, named []storage.Mention, kind string) error {
	var inboxes []storage.IRI
	asking := kind != "Delete" && (p.Approval == storage.ApprovalPending || p.Approval == storage.ApprovalRejected)
	if asking {
		parent, err := tx.PostByID(ctx, *p.InReplyToID)
		if err != nil {
			return err
		}
		named = slices.DeleteFunc(slices.Clone(named), func(m storage.Mention) bool { return m.ActorID != parent.ActorID })
	}
	if p.Visibility != storage.Direct && !asking {
		var err error
		if inboxes, err = n.followerInboxes(ctx, tx, author); err != nil {
			return err
		}
	}
	if !asking {
		reached, err := n.reached(ctx, tx, p, kind)
		if err != nil {
			return err
		}
		inboxes = append(inboxes, reached...)
	}
	var ids []storage.ID
	for _, m := range named {
		ids = append(ids, m.ActorID)
	}
	actors, err := tx.ActorsByID(ctx, ids)
	if err != nil {
		return err
	}
	for _, a := range actors {
		if a.SharedInbox != "" && p.Visibility != storage.Direct {
			inboxes = append(inboxes, a.SharedInbox)
		} else {
			inboxes = append(inboxes, a.Inbox)
		}
	}
	object := n.noteToWire(p, author)
	if p.Type == storage.Question && kind != "Delete" {
		poll, err := tx.PollOf(ctx, p.ID)
		if err != nil {
			return err
		}
		pollToWire(object, poll)
	}
	to, cc := audienceOf(&storage.Post{Visibility: p.Visibility, Mentions: named}, author)
	m := map[string]any{"type": kind, "actor": author.IRI, "to": to, "cc": cc, "published": wireTime(p.PublishedAt)}
	s := shipment{object: p.IRI, inboxes: inboxes, public: p.Visibility == storage.Public || p.Visibility == storage.Unlisted, lasting: p.Visibility == storage.Direct}
	switch kind {
	case "Create":
		m["object"] = object
		if p.Approval == "" || asking { // once allowed it is said again, to those who have not heard it
			m["id"] = string(p.IRI) + "/activity"
		}
	case "Update":
		m["object"], s.supersede = object, storage.SupersedeUpdates
		if p.EditedAt != nil { // new numbers of a poll are no edit
			m["published"] = wireTime(*p.EditedAt)
		}
	case "Delete":
		m["object"], s.supersede = map[string]any{"id": p.IRI, "type": "Tombstone"}, storage.SupersedeAll
		delete(m, "published")
	}
	return n.send(ctx, tx, author, m, s)
}

// reached is where a post may be known beside those whom it is for now: wherever it was sent, though nobody there follows any
// more, and where those are who like, share or answer it. They hear that it is gone, and of an edit when it is for everyone.
func (n *Node) reached(ctx context.Context, tx *storage.DB, p *storage.Post, kind string) ([]storage.IRI, error) {
	if kind != "Delete" && (kind != "Update" || p.Visibility != storage.Public && p.Visibility != storage.Unlisted) {
		return nil, nil
	}
	inboxes, err := tx.InboxesToldOf(ctx, p)
	if err != nil {
		return nil, err
	}
	concerned, err := tx.InboxesConcerned(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, c := range concerned {
		if c.SharedInbox != "" && p.Visibility != storage.Direct {
			inboxes = append(inboxes, c.SharedInbox)
		} else {
			inboxes = append(inboxes, c.Inbox)
		}
	}
	return inboxes, nil
}

// ownPost finds a post that by's actor wrote, or ErrNotFound: what it shared is not its own.
func (n *Node) ownPost(ctx context.Context, by By, id storage.ID) (*storage.Post, error) {
	p, err := n.DB.PostByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if p.ActorID != by.Actor.ID || p.DeletedAt != nil || p.BoostOfID != nil {
		return nil, storage.ErrNotFound
	}
	return p, nil
}

// Edit changes the words of a post; who may read it stays. ErrNotFound when the actor has no such post; the Note of an offer says what the offer says, see EditOffer.
func (n *Node) Edit(ctx context.Context, by By, id storage.ID, d Draft) (*storage.Post, error) {
	p, err := n.ownPost(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if o, err := n.DB.OfferByPost(ctx, id); err == nil {
		return nil, problem(409, "offer", "this post is the offer %q: edit the offer %s, and the post follows", o.Title, o.ID)
	} else if !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	d.Visibility = p.Visibility
	if err := n.keptMedia(ctx, p, &d); err != nil {
		return nil, err
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	if err := n.allowed(ctx, n.DB, by, "post"); err != nil {
		return nil, err
	}
	mentions, err := n.resolveMentions(ctx, d.Text)
	if err != nil {
		return nil, err
	}
	told := slices.Clone(p.Mentions) // those who were told before hear of the change
	if p.InReplyToID != nil {        // the one who is answered stays addressed
		if parent, err := n.DB.PostByID(ctx, *p.InReplyToID); err == nil {
			for _, m := range p.Mentions {
				if m.ActorID == parent.ActorID && !slices.ContainsFunc(mentions, func(o storage.Mention) bool { return o.IRI == m.IRI }) {
					mentions = append(mentions, m)
				}
			}
		}
	}
	for _, m := range mentions {
		if !slices.ContainsFunc(told, func(o storage.Mention) bool { return o.IRI == m.IRI }) {
			told = append(told, m)
		}
	}
	if p.Visibility == storage.Direct && len(mentions) == 0 {
		return nil, invalid("text", "a direct post needs to name its reader, as in @ana@coop.example")
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "post"); err != nil {
			return err
		}
		old, err := tx.PostByID(ctx, id)
		if err != nil {
			return err
		}
		if old.DeletedAt != nil {
			return storage.ErrNotFound
		}
		at := n.Now().UTC().Truncate(time.Second)
		last := old.PublishedAt
		if old.EditedAt != nil {
			last = *old.EditedAt
		}
		if !at.After(last) {
			at = last.Add(time.Second) // newer than before, also within one second
		}
		*p = *old
		p.Mentions, p.EditedAt, p.Source, p.Summary, p.Sensitive, p.Language = mentions, &at, d.Text, d.Summary, d.Sensitive, d.Language
		p.Content, p.Tags = n.render(d.Text, mentions)
		if err := n.setMedia(ctx, tx, p, d.Media); err != nil {
			return err
		}
		if err := tx.SavePost(ctx, p); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "post.edit", p.IRI); err != nil {
			return err
		}
		if err := n.tellLocal(ctx, tx, p, by.Actor); err != nil {
			return err
		}
		return n.sendPost(ctx, tx, by.Actor, p, told, "Update")
	})
	n.Wake()
	return p, err
}

// Delete leaves a tombstone where a post was, and tells everyone who was told of it. ErrNotFound when the actor has no such
// post; a boost is taken back by Unboost. With its Note an offer is taken back.
func (n *Node) Delete(ctx context.Context, by By, id storage.ID) error {
	if o, err := n.DB.OfferByPost(ctx, id); err == nil && o.DeletedAt == nil {
		return n.DeleteOffer(ctx, by, o.ID)
	} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "post"); err != nil {
			return err
		}
		p, err := tx.PostByID(ctx, id)
		if err != nil {
			return err
		}
		if p.ActorID != by.Actor.ID || p.DeletedAt != nil || p.BoostOfID != nil {
			return storage.ErrNotFound
		}
		if err := record(ctx, tx, by, "post.delete", p.IRI); err != nil {
			return err
		}
		if err := n.sendPost(ctx, tx, by.Actor, p, p.Mentions, "Delete"); err != nil {
			return err
		}
		return tx.DeletePost(ctx, id)
	})
	n.Wake()
	return err
}

// Follow asks an actor, here or elsewhere, to let one of ours read it. Asking again changes nothing.
func (n *Node) Follow(ctx context.Context, by By, whom string) (*storage.Follow, error) {
	if err := n.allowed(ctx, n.DB, by, "follow"); err != nil {
		return nil, err
	}
	target, err := n.Resolve(ctx, whom)
	if err != nil {
		return nil, err
	}
	if target.ID == by.Actor.ID {
		return nil, invalid("handle", "nobody follows herself")
	}
	if target.DeletedAt != nil || target.SuspendedAt != nil {
		return nil, fmt.Errorf("%s: %w", whom, storage.ErrNotFound)
	}
	if target.Local() && (target.Type == storage.Application || target.Type == storage.Service) {
		return nil, problem(403, "service", "%s is the node itself and cannot be followed", whom)
	}
	var f *storage.Follow
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "follow"); err != nil {
			return err
		}
		if blocked, err := tx.Blocked(ctx, by.Actor.ID, target.ID); err != nil {
			return err
		} else if blocked {
			return problem(403, "blocked", "%s and %s do not meet: one of them blocks the other", by.Actor.Username, whom)
		}
		if blocked, err := tx.DomainBlocked(ctx, by.Actor.ID, target.ID); err != nil {
			return err
		} else if blocked[target.ID] {
			return problem(403, "blocked", "%s does not want to hear from %s", by.Actor.Username, target.Domain)
		}
		if f, err = n.follow(ctx, tx, by, target); err != nil {
			return err
		}
		return record(ctx, tx, by, "follow.create", target.IRI)
	})
	n.Wake()
	return f, err
}

// follow makes by's actor follow target, or ask to; what is so already stays.
func (n *Node) follow(ctx context.Context, tx *storage.DB, by By, target *storage.Actor) (*storage.Follow, error) {
	old, err := tx.FollowBetween(ctx, by.Actor.ID, target.ID)
	if err == nil && old.State == storage.FollowAccepted {
		return old, nil
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	f := &storage.Follow{ActorID: by.Actor.ID, TargetID: target.ID, State: storage.FollowPending}
	f.IRI = storage.IRI(n.Origin + "/activities/" + tx.NewID().String())
	if target.Local() && !target.Locked {
		f.State = storage.FollowAccepted
	}
	if err := tx.SaveFollow(ctx, f); err != nil {
		return nil, err
	}
	if target.Local() {
		kind := "follow"
		if target.Locked {
			kind = "follow_request"
		}
		return f, n.tell(ctx, tx, []storage.ID{target.ID}, kind, by.Actor, 0)
	}
	if err := askForPins(ctx, tx, target); err != nil {
		return nil, err
	}
	return f, n.send(ctx, tx, by.Actor, followToWire(f, by.Actor.IRI, target.IRI), shipment{object: f.IRI, line: lineOf(by.Actor.IRI, "follows", target.IRI), inboxes: []storage.IRI{target.Inbox}})
}

// Unfollow takes a follow back. ErrNotFound when there is none.
func (n *Node) Unfollow(ctx context.Context, by By, whom string) error {
	target, err := n.Resolve(ctx, whom)
	if err != nil {
		return err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "follow"); err != nil {
			return err
		}
		f, err := tx.FollowBetween(ctx, by.Actor.ID, target.ID)
		if err != nil {
			return fmt.Errorf("%s does not follow %s: %w", by.Actor.Username, whom, err)
		}
		if err := tx.DeleteFollow(ctx, f.ID); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "follow.undo", target.IRI); err != nil {
			return err
		}
		if target.Local() {
			return nil
		}
		m := map[string]any{"type": "Undo", "actor": by.Actor.IRI, "to": []any{target.IRI}, "object": followToWire(f, by.Actor.IRI, target.IRI)}
		return n.send(ctx, tx, by.Actor, m, shipment{object: f.IRI, line: lineOf(by.Actor.IRI, "follows", target.IRI), inboxes: []storage.IRI{target.Inbox}})
	})
	n.Wake()
	return err
}
