package mastodon

import (
	"context"
	"html"
	"slices"
	"strconv"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// stamp writes a time with three digits and a Z: clients read no other form.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func stampOrNil(t *time.Time) *string {
	if t == nil || t.IsZero() {
		return nil
	}
	s := stamp(*t)
	return &s
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// The shapes of docs.joinmastodon.org/entities, with every field that a client was seen to need. What may be null is a pointer; a list is never null.

// Account is a person or co-op as apps see one.
type Account struct {
	ID             string  `json:"id"`
	Username       string  `json:"username"`
	Acct           string  `json:"acct"`
	DisplayName    string  `json:"display_name"`
	Locked         bool    `json:"locked"`
	Bot            bool    `json:"bot"`
	Group          bool    `json:"group"`
	Discoverable   bool    `json:"discoverable"`
	Indexable      bool    `json:"indexable"`
	CreatedAt      string  `json:"created_at"`
	Note           string  `json:"note"`
	URL            string  `json:"url"`
	URI            string  `json:"uri"`
	Avatar         string  `json:"avatar"`
	AvatarStatic   string  `json:"avatar_static"`
	Header         string  `json:"header"`
	HeaderStatic   string  `json:"header_static"`
	FollowersCount int64   `json:"followers_count"`
	FollowingCount int64   `json:"following_count"`
	StatusesCount  int64   `json:"statuses_count"`
	LastStatusAt   *string `json:"last_status_at"`
	Emojis         []Emoji `json:"emojis"`
	Fields         []Field `json:"fields"`
	Roles          []Role  `json:"roles"`
	Suspended      bool    `json:"suspended,omitempty"`
	Limited        bool    `json:"limited,omitempty"`
	Source         *Source `json:"source,omitempty"` // of one's own account
	Role           *Role   `json:"role,omitempty"`
	Moved          any     `json:"moved,omitempty"`
}

// Emoji is a picture in a text. This node keeps none.
type Emoji struct {
	Shortcode       string `json:"shortcode"`
	URL             string `json:"url"`
	StaticURL       string `json:"static_url"`
	VisibleInPicker bool   `json:"visible_in_picker"`
}

// Field is a line of a profile.
type Field struct {
	Name       string  `json:"name"`
	Value      string  `json:"value"`
	VerifiedAt *string `json:"verified_at"`
}

// Role is what somebody is on the node.
type Role struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Color       string `json:"color"`
	Permissions string `json:"permissions"`
	Highlighted bool   `json:"highlighted"`
}

// Source is an account as its owner edits it.
type Source struct {
	Privacy             string  `json:"privacy"`
	Sensitive           bool    `json:"sensitive"`
	Language            string  `json:"language"`
	Note                string  `json:"note"`
	Fields              []Field `json:"fields"`
	FollowRequestsCount int     `json:"follow_requests_count"`
	HideCollections     bool    `json:"hide_collections"`
	Discoverable        bool    `json:"discoverable"`
	Indexable           bool    `json:"indexable"`
}

// Status is a post.
type Status struct {
	ID                 string       `json:"id"`
	URI                string       `json:"uri"`
	URL                string       `json:"url"`
	CreatedAt          string       `json:"created_at"`
	EditedAt           *string      `json:"edited_at"`
	InReplyToID        *string      `json:"in_reply_to_id"`
	InReplyToAccountID *string      `json:"in_reply_to_account_id"`
	Sensitive          bool         `json:"sensitive"`
	SpoilerText        string       `json:"spoiler_text"`
	Visibility         string       `json:"visibility"`
	Language           *string      `json:"language"`
	RepliesCount       int64        `json:"replies_count"`
	ReblogsCount       int64        `json:"reblogs_count"`
	FavouritesCount    int64        `json:"favourites_count"`
	Content            string       `json:"content"`
	Text               *string      `json:"text,omitempty"` // of what was deleted, to write it anew
	Reblog             *Status      `json:"reblog"`
	Application        *Application `json:"application"`
	Account            *Account     `json:"account"`
	MediaAttachments   []Attachment `json:"media_attachments"`
	Mentions           []Mention    `json:"mentions"`
	Tags               []Tag        `json:"tags"`
	Emojis             []Emoji      `json:"emojis"`
	Card               *Card        `json:"card"`
	Poll               *Poll        `json:"poll"`
	Planet             *Planet      `json:"planet,omitempty"`
	*Marks                          // with a token
}

// Planet is what this node has to say of a post beyond what Mastodon knows. Other apps leave it aside.
type Planet struct {
	Proposal Proposal `json:"proposal"`
}

// Proposal is what a post offers or asks for, for apps that know offers: /api/planet/v1/offers/:id says more, and takes orders.
type Proposal struct {
	ID        string  `json:"id"` // of the offer in the API of this node
	URI       string  `json:"uri"`
	Purpose   string  `json:"purpose"` // offer or request
	Title     string  `json:"title"`
	State     string  `json:"state"`
	Pricing   string  `json:"pricing"` // price, gift or open
	Price     *string `json:"price"`   // of one lot
	Currency  *string `json:"currency"`
	Code      *string `json:"code"` // of the currency
	Unit      string  `json:"unit"`
	Per       string  `json:"per"` // one lot
	Available *string `json:"available"`
	Place     string  `json:"place"`
}

func proposalOf(o *storage.Offer) *Planet {
	p := Proposal{ID: o.ID.String(), URI: string(o.IRI), Purpose: o.Purpose, Title: o.Title, State: o.State, Pricing: o.Pricing, Currency: textOrNil(string(o.Currency)), Code: textOrNil(o.CurrencyName),
		Unit: o.Unit, Per: string(o.Per), Place: o.Place}
	if o.Pricing == storage.PricePriced {
		p.Price = textOrNil(o.Money(o.Price))
	}
	if o.Available != nil {
		if left, ok := o.Per.Times(*o.Available); ok {
			p.Available = textOrNil(string(left))
		}
	}
	return &Planet{p}
}

// Marks is what the reader has done with a post.
type Marks struct {
	Favourited bool           `json:"favourited"`
	Reblogged  bool           `json:"reblogged"`
	Muted      bool           `json:"muted"`
	Bookmarked bool           `json:"bookmarked"`
	Pinned     bool           `json:"pinned"`
	Filtered   []FilterResult `json:"filtered"`
}

// PushSubscription is where an app is told of notifications.
type PushSubscription struct {
	ID        int64           `json:"id"` // a number, alone among the ids
	Endpoint  string          `json:"endpoint"`
	Standard  bool            `json:"standard"`
	ServerKey string          `json:"server_key"`
	Alerts    map[string]bool `json:"alerts"` // every kind, wanted or not
	Policy    string          `json:"policy"`
}

// Application is the app by which a post was written.
type Application struct {
	Name    string  `json:"name"`
	Website *string `json:"website"`
}

// Mention is somebody named in a post.
type Mention struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Acct     string `json:"acct"`
	URL      string `json:"url"`
}

// Tag is a hashtag.
type Tag struct {
	Name      string `json:"name"`
	URL       string `json:"url"`
	History   []any  `json:"history"`
	Following *bool  `json:"following,omitempty"`
}

// Attachment is a picture, or something that is no picture and is linked.
type Attachment struct {
	ID               string  `json:"id"`
	Type             string  `json:"type"`
	URL              string  `json:"url"`
	PreviewURL       string  `json:"preview_url"`
	RemoteURL        *string `json:"remote_url"`
	PreviewRemoteURL *string `json:"preview_remote_url"`
	TextURL          *string `json:"text_url"`
	Description      *string `json:"description"`
	Blurhash         *string `json:"blurhash"`
	Meta             meta    `json:"meta"`
}

type meta struct {
	Original *size  `json:"original,omitempty"`
	Small    *size  `json:"small,omitempty"`
	Focus    *focus `json:"focus,omitempty"`
}

type size struct {
	Width  int     `json:"width"`
	Height int     `json:"height"`
	Size   string  `json:"size"`
	Aspect float64 `json:"aspect"`
}

type focus struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Card is what a link leads to.
type Card struct {
	URL          string  `json:"url"`
	Title        string  `json:"title"`
	Description  string  `json:"description"`
	Language     *string `json:"language"`
	Type         string  `json:"type"`
	AuthorName   string  `json:"author_name"`
	AuthorURL    string  `json:"author_url"`
	ProviderName string  `json:"provider_name"`
	ProviderURL  string  `json:"provider_url"`
	HTML         string  `json:"html"`
	Width        int     `json:"width"`
	Height       int     `json:"height"`
	Image        *string `json:"image"`
	ImageDesc    string  `json:"image_description"`
	EmbedURL     string  `json:"embed_url"`
	Blurhash     *string `json:"blurhash"`
	PublishedAt  *string `json:"published_at"`
	Authors      []any   `json:"authors"`
}

// Poll is a question with answers to choose from.
type Poll struct {
	ID          string       `json:"id"`
	ExpiresAt   *string      `json:"expires_at"`
	Expired     bool         `json:"expired"`
	Multiple    bool         `json:"multiple"`
	VotesCount  int64        `json:"votes_count"`
	VotersCount int64        `json:"voters_count"`
	Options     []PollOption `json:"options"`
	Emojis      []Emoji      `json:"emojis"`
	*Votes                   // with a token
}

// Votes is how the reader has voted.
type Votes struct {
	Voted    bool  `json:"voted"`
	OwnVotes []int `json:"own_votes"`
}

// PollOption is one answer.
type PollOption struct {
	Title      string `json:"title"`
	VotesCount int64  `json:"votes_count"`
}

// Relationship is how the reader and another stand to each other.
type Relationship struct {
	ID                  string   `json:"id"`
	Following           bool     `json:"following"`
	ShowingReblogs      bool     `json:"showing_reblogs"`
	Notifying           bool     `json:"notifying"`
	Languages           []string `json:"languages"`
	FollowedBy          bool     `json:"followed_by"`
	Blocking            bool     `json:"blocking"`
	BlockedBy           bool     `json:"blocked_by"`
	Muting              bool     `json:"muting"`
	MutingNotifications bool     `json:"muting_notifications"`
	Requested           bool     `json:"requested"`
	RequestedBy         bool     `json:"requested_by"`
	DomainBlocking      bool     `json:"domain_blocking"`
	Endorsed            bool     `json:"endorsed"`
	Note                string   `json:"note"`
}

// Notification is news for somebody.
type Notification struct {
	ID        string   `json:"id"`
	Type      string   `json:"type"`
	CreatedAt string   `json:"created_at"`
	GroupKey  string   `json:"group_key"`
	Account   *Account `json:"account"`
	Status    *Status  `json:"status,omitempty"`
}

// acct is a handle without its first @, and without the host of one of this node.
func acct(a *storage.Actor) string {
	if a.Local() {
		return a.Username
	}
	return a.Username + "@" + a.Domain
}

// accounts makes entities of actors, in their order.
func (a *API) accounts(ctx context.Context, actors []*storage.Actor) ([]*Account, error) {
	ids := make([]storage.ID, len(actors))
	for i, actor := range actors {
		ids[i] = actor.ID
	}
	tallies, err := a.DB.AccountTallies(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]*Account, len(actors))
	for i, actor := range actors {
		out[i] = a.account(actor, tallies[actor.ID])
	}
	return out, nil
}

// accountsByID makes entities of actors by id, of those that are neither gone nor suspended.
func (a *API) accountsByID(ctx context.Context, ids []storage.ID) (map[storage.ID]*Account, error) {
	found, err := a.DB.Faces(ctx, ids)
	if err != nil {
		return nil, err
	}
	var actors []*storage.Actor
	for i := range found {
		if x := &found[i]; x.DeletedAt == nil && x.SuspendedAt == nil {
			actors = append(actors, x)
		}
	}
	accounts, err := a.accounts(ctx, actors)
	if err != nil {
		return nil, err
	}
	known := map[storage.ID]*Account{}
	for i, x := range actors {
		known[x.ID] = accounts[i]
	}
	return known, nil
}

func (a *API) accountOf(ctx context.Context, actor *storage.Actor) (*Account, error) {
	out, err := a.accounts(ctx, []*storage.Actor{actor})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

func (a *API) account(x *storage.Actor, t storage.AccountTally) *Account {
	e := &Account{ID: x.ID.String(), Username: x.Username, Acct: acct(x), DisplayName: x.Name, Locked: x.Locked, Bot: x.Bot || x.Type == storage.Application || x.Type == storage.Service,
		Group: x.Type == storage.Group, Discoverable: x.Discoverable, Indexable: x.Indexable, Note: x.Summary, URL: x.URL, URI: string(x.IRI), FollowersCount: t.Followers,
		FollowingCount: t.Following, StatusesCount: t.Posts, Emojis: []Emoji{}, Fields: []Field{}, Roles: []Role{}, Suspended: x.SuspendedAt != nil, Limited: x.SilencedAt != nil}
	made := x.PublishedAt
	if made.IsZero() {
		made = x.CreatedAt
	}
	e.CreatedAt = stamp(made.UTC().Truncate(24 * time.Hour))
	if e.URL == "" {
		e.URL = string(x.IRI)
	}
	if t.Last != 0 {
		day := t.Last.Time().UTC().Format(time.DateOnly)
		e.LastStatusAt = &day
	}
	if e.Avatar = a.Node.MediaURL(x.IconURL); e.Avatar == "" {
		e.Avatar = a.Origin + "/static/touch.png"
	}
	if e.Header = a.Node.MediaURL(x.HeaderURL); e.Header == "" {
		e.Header = a.Origin + "/static/card.png"
	}
	e.AvatarStatic, e.HeaderStatic = e.Avatar, e.Header
	fields := x.Fields
	if x.Local() {
		fields = activitypub.FieldsOf(x)
	}
	for _, f := range fields {
		e.Fields = append(e.Fields, Field{Name: f.Name, Value: f.Value})
	}
	return e
}

// own adds what only an account's owner is told.
func (a *API) own(ctx context.Context, who *caller, e *Account) error {
	x := who.Actor
	asking, err := a.DB.Followers(ctx, x.ID, storage.FollowPending, storage.Page{Limit: 40})
	if err != nil {
		return err
	}
	fields := []Field{}
	for _, l := range x.Links {
		fields = append(fields, Field{Name: l.Name, Value: l.URL})
	}
	for _, f := range x.Fields {
		fields = append(fields, Field{Name: f.Name, Value: plain(f.Value)})
	}
	e.Source = &Source{Privacy: storage.Public, Language: "", Note: x.Source, Fields: fields, FollowRequestsCount: len(asking), Discoverable: x.Discoverable, Indexable: x.Indexable}
	e.Role = &Role{ID: "0", Name: "", Permissions: "0"}
	if who.User.ActorID == x.ID && who.User.Role != storage.NodeUser {
		e.Role = &Role{ID: "1", Name: who.User.Role, Permissions: "0", Highlighted: true}
	}
	return nil
}

// statuses makes entities of posts, in their order; what a reader (nil: anybody) may not see is left out.
func (a *API) statuses(ctx context.Context, reader *storage.Actor, posts []storage.Post) ([]*Status, error) {
	var inner []storage.ID
	for i := range posts {
		if posts[i].BoostOfID != nil {
			inner = append(inner, *posts[i].BoostOfID)
		}
	}
	shared, err := a.DB.PostsByID(ctx, inner)
	if err != nil {
		return nil, err
	}
	all := make([]*storage.Post, 0, len(posts)+len(shared))
	for i := range posts {
		all = append(all, &posts[i])
	}
	for id, p := range shared {
		if p.Visibility != storage.Public && p.Visibility != storage.Unlisted {
			if _, _, err := a.Node.ReadPost(ctx, reader, id); isNotFound(err) {
				delete(shared, id)
				continue
			} else if err != nil {
				return nil, err
			}
		}
		all = append(all, p)
	}
	v, err := a.gather(ctx, reader, all)
	if err != nil {
		return nil, err
	}
	out := make([]*Status, 0, len(posts))
	for i := range posts {
		p := &posts[i]
		e := v.status(p)
		if e == nil {
			continue
		}
		if p.BoostOfID != nil {
			s := shared[*p.BoostOfID]
			if s == nil {
				continue
			}
			if e.Reblog = v.status(s); e.Reblog == nil {
				continue
			}
			e.Content, e.SpoilerText, e.Sensitive, e.Language = e.Reblog.Content, e.Reblog.SpoilerText, e.Reblog.Sensitive, e.Reblog.Language
			e.RepliesCount, e.ReblogsCount, e.FavouritesCount = e.Reblog.RepliesCount, e.Reblog.ReblogsCount, e.Reblog.FavouritesCount
			e.MediaAttachments, e.Mentions, e.Tags, e.Poll, e.Card = e.Reblog.MediaAttachments, e.Reblog.Mentions, e.Reblog.Tags, e.Reblog.Poll, e.Reblog.Card
			if e.Reblog.Marks != nil {
				marks := *e.Reblog.Marks
				marks.Pinned = false
				e.Marks = &marks
				e.Filtered = v.sieve.sift(e)
				e.Reblog.Filtered = e.Filtered
			}
		}
		if e.Reblog == nil && e.Marks != nil && p.ActorID != reader.ID {
			e.Filtered = v.sieve.sift(e)
		}
		out = append(out, e)
	}
	return out, nil
}

// statusesByID are the entities of posts as reader sees them, by the ids that apps know.
func (a *API) statusesByID(ctx context.Context, reader *storage.Actor, posts []storage.Post) (map[string]*Status, error) {
	list, err := a.statuses(ctx, reader, posts)
	out := make(map[string]*Status, len(list))
	for _, s := range list {
		out[s.ID] = s
	}
	return out, err
}

func (a *API) statusOf(ctx context.Context, reader *storage.Actor, p *storage.Post) (*Status, error) {
	out, err := a.statuses(ctx, reader, []storage.Post{*p})
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, storage.ErrNotFound
	}
	return out[0], nil
}

// view is what the entities of some posts are made of.
type view struct {
	api     *API
	reader  *storage.Actor
	authors map[storage.ID]*Account
	people  map[storage.ID]*storage.Actor
	tallies map[storage.ID]storage.Tally
	marks   map[storage.ID]storage.Mark
	polls   map[storage.ID]*storage.Poll
	votes   map[storage.ID][]int
	offers  map[storage.ID]*storage.Offer
	parents map[storage.ID]*storage.Post
	muted   map[string]bool // conversations
	sieve   sieve
}

func (a *API) gather(ctx context.Context, reader *storage.Actor, posts []*storage.Post) (*view, error) {
	v := &view{api: a, reader: reader, votes: map[storage.ID][]int{}, people: map[storage.ID]*storage.Actor{}, authors: map[storage.ID]*Account{}}
	var ids, actors, asked, parents []storage.ID
	for _, p := range posts {
		ids = append(ids, p.ID)
		if !slices.Contains(actors, p.ActorID) {
			actors = append(actors, p.ActorID)
		}
		for _, m := range p.Mentions {
			if m.ActorID != 0 && !slices.Contains(actors, m.ActorID) {
				actors = append(actors, m.ActorID)
			}
		}
		if p.Type == storage.Question {
			asked = append(asked, p.ID)
		}
		if p.InReplyToID != nil {
			parents = append(parents, *p.InReplyToID)
		}
	}
	rows, err := a.DB.Faces(ctx, actors)
	if err != nil {
		return nil, err
	}
	tallies, err := a.tallies.of(ctx, a.DB, actors)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		x := &rows[i]
		v.people[x.ID] = x
		if x.DeletedAt == nil && x.SuspendedAt == nil {
			v.authors[x.ID] = a.account(x, tallies[x.ID])
		}
	}
	if v.tallies, err = a.DB.Tallies(ctx, ids); err != nil {
		return nil, err
	}
	if v.polls, err = a.DB.PollsOf(ctx, asked); err != nil {
		return nil, err
	}
	if v.offers, err = a.DB.OffersOfPosts(ctx, ids); err != nil {
		return nil, err
	}
	if v.parents, err = a.DB.PostsByID(ctx, parents); err != nil {
		return nil, err
	}
	if reader == nil {
		return v, nil
	}
	var conversations []string
	for _, p := range posts {
		if p.Conversation != "" && !slices.Contains(conversations, p.Conversation) {
			conversations = append(conversations, p.Conversation)
		}
	}
	if v.muted, err = a.DB.MutedConversations(ctx, reader.ID, conversations); err != nil {
		return nil, err
	}
	if v.sieve, err = a.sieveOf(ctx, reader.ID); err != nil {
		return nil, err
	}
	if v.marks, err = a.DB.Marks(ctx, reader.ID, ids); err != nil {
		return nil, err
	}
	for _, id := range asked {
		votes, err := a.DB.VotesBy(ctx, id, reader.ID)
		if err != nil {
			return nil, err
		}
		for _, vote := range votes {
			v.votes[id] = append(v.votes[id], vote.Choice)
		}
	}
	return v, nil
}

// status is one post; nil when its author is not to be seen.
func (v *view) status(p *storage.Post) *Status {
	author := v.authors[p.ActorID]
	if author == nil {
		return nil
	}
	t := v.tallies[p.ID]
	e := &Status{ID: p.ID.String(), URI: string(p.IRI), URL: p.URL, CreatedAt: stamp(p.PublishedAt), EditedAt: stampOrNil(p.EditedAt), Sensitive: p.Sensitive, SpoilerText: p.Summary,
		Visibility: p.Visibility, Language: textOrNil(p.Language), RepliesCount: t.Replies, ReblogsCount: t.Boosts, FavouritesCount: t.Likes, Content: p.Content, Account: author,
		MediaAttachments: []Attachment{}, Mentions: []Mention{}, Tags: []Tag{}, Emojis: []Emoji{}}
	if e.URL == "" {
		e.URL = string(p.IRI)
	}
	if p.Title != "" && p.BoostOfID == nil {
		e.Content = "<p><strong>" + html.EscapeString(p.Title) + "</strong></p>" + e.Content
	}
	if p.InReplyToID != nil {
		if parent := v.parents[*p.InReplyToID]; parent != nil {
			id, of := parent.ID.String(), parent.ActorID.String()
			e.InReplyToID, e.InReplyToAccountID = &id, &of
		}
	}
	for i, at := range p.Attachments {
		if at.Rel != "" {
			continue // the link to an offer is for programs
		}
		e.MediaAttachments = append(e.MediaAttachments, v.api.attachment(p, i, at))
	}
	for _, m := range p.Mentions {
		name := strings.TrimPrefix(m.Handle, "@")
		username, _, _ := strings.Cut(name, "@")
		if x := v.people[m.ActorID]; x != nil {
			name, username = acct(x), x.Username
		}
		link := m.URL
		if link == "" {
			link = string(m.IRI)
		}
		e.Mentions = append(e.Mentions, Mention{ID: m.ActorID.String(), Username: username, Acct: name, URL: link})
	}
	for _, name := range p.Tags {
		e.Tags = append(e.Tags, v.api.tag(name))
	}
	if poll := v.polls[p.ID]; poll != nil {
		e.Poll = v.api.poll(poll, v.votes[p.ID], v.reader)
	}
	if o := v.offers[p.ID]; o != nil {
		e.Card, e.Planet = v.api.offerCard(o, e), proposalOf(o)
	}
	if v.reader != nil {
		m := v.marks[p.ID]
		e.Marks = &Marks{Favourited: m.Liked, Reblogged: m.Boost != 0, Bookmarked: m.Bookmarked, Pinned: m.Pinned, Muted: v.muted[p.Conversation], Filtered: []FilterResult{}}
	}
	return e
}

func (a *API) tag(name string) Tag {
	return Tag{Name: name, URL: a.Origin + "/tags/" + name, History: []any{}}
}

// attachment is the i-th of a post.
func (a *API) attachment(p *storage.Post, i int, at storage.Attachment) Attachment {
	id := at.MediaID
	if id == 0 {
		id = p.ID + storage.ID(i) + 1 // of nothing here; no app asks for it again
	}
	e := mediumEntity(id.String(), at.Name, at.Blurhash, at.Width, at.Height, at.FocusX, at.FocusY)
	shown := a.Node.MediaURL(at.URL)
	if at.MediaID == 0 {
		e.RemoteURL = &at.URL
	}
	if shown == "" || !strings.HasPrefix(at.MediaType, "image/") || at.MediaType == "image/svg+xml" {
		e.Type, e.URL, e.PreviewURL = "unknown", at.URL, at.URL
		return e
	}
	e.URL, e.PreviewURL = shown, shown
	return e
}

func mediumEntity(id, alt, blurhash string, w, h int, x, y float64) Attachment {
	e := Attachment{ID: id, Type: "image", Description: textOrNil(alt), Blurhash: textOrNil(blurhash)}
	if w > 0 && h > 0 {
		s := &size{w, h, strconv.Itoa(w) + "x" + strconv.Itoa(h), float64(w) / float64(h)}
		e.Meta.Original, e.Meta.Small = s, s
	}
	e.Meta.Focus = &focus{x, y}
	return e
}

func (a *API) poll(p *storage.Poll, own []int, reader *storage.Actor) *Poll {
	e := &Poll{ID: p.PostID.String(), ExpiresAt: stampOrNil(p.EndsAt), Expired: !p.Open(a.DB.Now()), Multiple: p.Multiple, VotersCount: p.Voters, Options: []PollOption{}, Emojis: []Emoji{}}
	for _, o := range p.Options {
		e.Options = append(e.Options, PollOption{o.Name, o.Votes})
		e.VotesCount += o.Votes
	}
	if reader != nil {
		e.Votes = &Votes{Voted: len(own) > 0, OwnVotes: append([]int{}, own...)}
	}
	return e
}

// offerCard shows what a post offers: a link to its page, with title, price and place.
func (a *API) offerCard(o *storage.Offer, s *Status) *Card {
	words := activitypub.PriceOf(o)
	if o.Place != "" {
		words += " · " + o.Place
	}
	c := &Card{URL: s.URL, Title: o.Title, Description: words, Type: "link", ProviderName: a.Node.Host, ProviderURL: a.Origin, AuthorName: s.Account.DisplayName, AuthorURL: s.Account.URL, Authors: []any{}}
	for _, m := range s.MediaAttachments {
		if m.Type == "image" {
			c.Image, c.Blurhash = &m.PreviewURL, m.Blurhash
			if m.Meta.Original != nil {
				c.Width, c.Height = m.Meta.Original.Width, m.Meta.Original.Height
			}
			break
		}
	}
	return c
}
