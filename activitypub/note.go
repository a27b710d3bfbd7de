package activitypub

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"planet/storage"
)

// Limits of a post, here and from elsewhere.
const (
	MaxPostRunes   = 5000
	maxContent     = 150_000 // bytes of HTML
	maxMentions    = 20      // that are resolved for one post of ours
	maxAttachments = 16
	lateCreate     = 24 * time.Hour // after that an edit of a post that never came is no news (Mastodon's limit)
)

// noteToWire is a post of this node as a Note.
func (n *Node) noteToWire(p *storage.Post, author *storage.Actor) map[string]any {
	to, cc := audienceOf(p, author)
	m := map[string]any{
		"id": p.IRI, "type": "Note", "attributedTo": author.IRI, "to": to, "cc": cc, "content": p.Content,
		"published": wireTime(p.PublishedAt), "url": p.URL, "sensitive": p.Sensitive,
		"replies":    map[string]any{"id": p.IRI + "/replies", "type": "Collection"},
		"likes":      map[string]any{"id": p.IRI + "/likes", "type": "Collection"},
		"shares":     map[string]any{"id": p.IRI + "/shares", "type": "Collection"},
		"attachment": attachmentsToWire(p),
	}
	if p.Policy != nil {
		m["interactionPolicy"] = policyToWire(p.Policy)
	}
	if p.Approval != "" && p.Approval != storage.ApprovalPending && p.Approval != storage.ApprovalRejected {
		m["approvedBy"] = p.Approval
	}
	if p.Conversation != "" {
		m["context"], m["conversation"] = p.Conversation, p.Conversation
	}
	if p.Source != "" {
		m["source"] = map[string]any{"content": p.Source, "mediaType": "text/plain"}
	}
	if p.Language != "" {
		m["contentMap"] = map[string]any{p.Language: p.Content}
	}
	if p.Summary != "" {
		m["summary"] = p.Summary
	}
	if p.InReplyTo != "" {
		m["inReplyTo"] = p.InReplyTo
	}
	if p.EditedAt != nil {
		m["updated"] = wireTime(*p.EditedAt)
	}
	var tags []any
	for _, mention := range p.Mentions {
		tags = append(tags, map[string]any{"type": "Mention", "href": mention.IRI, "name": mention.Handle})
	}
	origin, _, _ := strings.Cut(string(p.IRI), "/users/")
	for _, tag := range p.Tags {
		tags = append(tags, map[string]any{"type": "Hashtag", "href": origin + "/tags/" + tag, "name": "#" + tag})
	}
	if len(tags) > 0 {
		m["tag"] = tags
	}
	return m
}

// audienceOf is to and cc of a post, by its visibility (federation.md §3.2).
func audienceOf(p *storage.Post, author *storage.Actor) (to, cc []storage.IRI) {
	var named []storage.IRI
	for _, m := range p.Mentions {
		named = append(named, m.IRI)
	}
	switch p.Visibility {
	case storage.Public:
		return []storage.IRI{publicAddress}, append([]storage.IRI{author.Followers}, named...)
	case storage.Unlisted:
		return []storage.IRI{author.Followers}, append([]storage.IRI{publicAddress}, named...)
	case storage.Private:
		return append([]storage.IRI{author.Followers}, named...), []storage.IRI{}
	default:
		return append([]storage.IRI{}, named...), []storage.IRI{}
	}
}

// visibilityOf reads who may see a post of another server from its addresses.
func visibilityOf(o object, followers storage.IRI) string {
	switch {
	case slices.ContainsFunc(o.iris("to"), isPublic):
		return storage.Public
	case slices.ContainsFunc(o.iris("cc"), isPublic):
		return storage.Unlisted
	case followers != "" && slices.Contains(o.audience(), followers):
		return storage.Private
	default:
		return storage.Direct
	}
}

// noteTypes are the objects that are read as posts: those that say something, and those that Mastodon converts, of which
// title, text and link are kept.
var noteTypes = []string{"Note", storage.Question, "Article", "Page", "Event", "Image", "Audio", "Video", "ChatMessage"}

func isNoteType(t string) bool { return slices.Contains(noteTypes, t) }

// isMedium reports whether a type is one whose address leads to the medium itself.
func isMedium(t string) bool { return t == "Image" || t == "Audio" || t == "Video" }

// noteFromWire reads a post of another server. The author was checked against attributedTo before.
func (n *Node) noteFromWire(o object, raw []byte, author *storage.Actor) (*storage.Post, *storage.Poll, error) {
	id := storage.IRI(o.str("id"))
	if _, err := n.Client.parseIRI(string(id)); err != nil {
		return nil, nil, problem(400, "object", "the object's id is not usable: %v", err)
	}
	content, language := o.text("content")
	if len(content) > maxContent {
		return nil, nil, problem(413, "content", "the content is longer than %d bytes", maxContent)
	}
	if language == "" { // Lemmy's and Mobilizon's words for it
		if language = o.child("language").str("identifier"); language == "" || language == "und" {
			language = o.str("inLanguage")
		}
	}
	p := &storage.Post{
		IRI: id, ActorID: author.ID, Type: o.kind(isNoteType), InReplyTo: n.usable(o.iri("inReplyTo")), Conversation: clip(string(o.iri("context")), 2048),
		Visibility: visibilityOf(o, author.Followers), Content: sanitise(content), Language: clip(language, 35), Policy: policyFromWire(o),
		Sensitive: o.boolean("sensitive"), URL: n.displayURL(o, id), Raw: raw, PublishedAt: n.Now().UTC(),
	}
	if p.Conversation == "" {
		p.Conversation = clip(o.str("conversation"), 2048)
	}
	if p.Type == "ChatMessage" { // Pleroma's, which is never for everyone
		p.Visibility = storage.Direct
	}
	summary, _ := o.text("summary")
	if p.Type == "Note" || p.Type == storage.Question || p.Type == "ChatMessage" {
		p.Summary = clip(plainText(summary), 1000)
	} else {
		name, _ := o.text("name")
		p.Title = clip(strings.Join(strings.Fields(plainText(name)), " "), 500)
		if p.Content == "" {
			p.Content = sanitise(clip(summary, maxContent))
		}
	}
	if p.Type == "Event" {
		p.Content = occasion(o) + p.Content
	}
	var poll *storage.Poll
	if p.Type == storage.Question {
		poll = pollFromWire(o, p.PublishedAt)
	}
	if t, ok := o.time("published"); ok && t.Before(p.PublishedAt) && t.After(time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)) {
		p.PublishedAt = t
	}
	if t, ok := o.time("updated"); ok && t.After(p.PublishedAt) {
		p.EditedAt = &t
	}
	tags := o.children("tag")
	p.Quote, p.QuoteApproval = n.quoteFromWire(o, tags), n.usable(o.iri("quoteAuthorization"))
	attachments := o.list("attachment")
	if isMedium(p.Type) {
		attachments = append(mediaOf(o), attachments...)
	}
	for _, raw := range attachments {
		if a, ok := n.attachmentFromWire(raw); ok && len(p.Attachments) < maxAttachments && !slices.ContainsFunc(p.Attachments, func(b storage.Attachment) bool { return b.URL == a.URL }) {
			p.Attachments = append(p.Attachments, a)
		}
	}
	for _, t := range tags {
		switch t.kind(nil) {
		case "Hashtag":
			name := strings.ToLower(strings.TrimPrefix(plainText(t.str("name")), "#"))
			if name != "" && len(name) <= 255 && !slices.Contains(p.Tags, name) && len(p.Tags) < 100 {
				p.Tags = append(p.Tags, name)
			}
		case "Mention":
			href := storage.IRI(t.str("href"))
			if _, err := n.Client.parseIRI(string(href)); err == nil && len(p.Mentions) < 100 {
				p.Mentions = append(p.Mentions, storage.Mention{IRI: href, Handle: clip(plainText(t.str("name")), 255), URL: string(href)})
			}
		}
	}
	return p, poll, nil
}

// usable lets an id of elsewhere through that could be asked for, and nothing else.
func (n *Node) usable(i storage.IRI) storage.IRI {
	if _, err := n.Client.parseIRI(string(i)); err != nil {
		return ""
	}
	return i
}

// usables are the first of the ids of elsewhere that could be asked for.
func (n *Node) usables(ids []storage.IRI, limit int) []storage.IRI {
	ids = slices.DeleteFunc(ids, func(i storage.IRI) bool { return n.usable(i) == "" })
	return ids[:min(len(ids), limit)]
}

// quoteFromWire finds the post that another one quotes, in the words of FEP-044f, FEP-dd4b, Misskey, Fedibird and FEP-e232.
func (n *Node) quoteFromWire(o object, tags []object) storage.IRI {
	for _, key := range []string{"quote", "quoteUrl", "quoteUri", "_misskey_quote"} {
		if i := n.usable(o.iri(key)); i != "" {
			return i
		}
	}
	for _, t := range tags {
		if t.kind(nil) != "Link" || !isActivityType(t.str("mediaType")) {
			continue
		}
		for _, rel := range t.list("rel") {
			var s string
			if json.Unmarshal(rel, &s) == nil && strings.HasSuffix(s, "quote") {
				return n.usable(storage.IRI(t.str("href")))
			}
		}
	}
	return ""
}

// mediaOf lists what the url of a medium leads to, as PeerTube and others write it: an address, or links with their types.
func mediaOf(o object) []json.RawMessage {
	var out []json.RawMessage
	for _, raw := range o.list("url") {
		l := parseObject(raw)
		kind := o.str("mediaType")
		if l != nil {
			kind = l.str("mediaType")
		}
		if !strings.HasPrefix(kind, "image/") && !strings.HasPrefix(kind, "audio/") && !strings.HasPrefix(kind, "video/") {
			continue
		}
		if l == nil {
			m, err := marshal(map[string]any{"url": raw, "mediaType": kind, "name": o.str("summary")})
			if err != nil {
				continue
			}
			raw = m
		}
		return append(out, raw) // the first: the others are the same in other sizes
	}
	return out
}

// occasion says when and where an event takes place, as HTML.
func occasion(o object) string {
	var parts []string
	if t, ok := o.time("startTime"); ok {
		parts = append(parts, t.Format("Monday, 2 January 2006, 15:04 UTC"))
	}
	if place := o.child("location"); place != nil {
		if name, _ := place.text("name"); name != "" {
			parts = append(parts, clip(plainText(name), 300))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "<p>" + html.EscapeString(strings.Join(parts, " – ")) + "</p>"
}

func (n *Node) attachmentFromWire(raw json.RawMessage) (storage.Attachment, bool) {
	o := parseObject(raw)
	if o == nil {
		return storage.Attachment{}, false
	}
	a := storage.Attachment{URL: string(o.iri("url")), MediaType: clip(o.str("mediaType"), 100), Name: o.str("summary"), Blurhash: clip(o.str("blurhash"), 100)}
	if a.URL == "" {
		a.URL = o.str("href")
	}
	if a.URL == "" && economicKind(o) == "Proposal" { // some embed what they offer; it is read where it is
		a.URL, a.MediaType, a.Rel = o.str("id"), ldJSON, storage.RelProposal
	}
	if a.Name == "" {
		a.Name, _ = o.text("name")
	}
	a.Name = clip(verbatim(a.Name), 10_000)
	if a.MediaType == "" {
		a.MediaType = clip(o.child("url").str("mediaType"), 100)
	}
	if a.MediaType == "" {
		a.MediaType = guessedType(o, a.URL)
	}
	for _, rel := range o.list("rel") {
		if s, _ := stringOf(rel); o.kind(nil) == "Link" && localName(s) == "Proposal" {
			a.Rel = storage.RelProposal
		}
	}
	measuresFromWire(o, &a)
	_, err := n.Client.parseIRI(a.URL)
	return a, err == nil
}

// endings are the media that the end of an address tells.
var endings = map[string]string{
	".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp", ".avif": "image/avif",
	".mp4": "video/mp4", ".webm": "video/webm", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".oga": "audio/ogg", ".opus": "audio/ogg", ".flac": "audio/flac",
}

// guessedType is what an attachment is that does not say so: what the end of its address tells, else, of a link, a page
// (Lemmy's links to pictures and to pages are written alike).
func guessedType(o object, address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	kind := endings[strings.ToLower(path.Ext(u.Path))]
	if kind == "" && o.kind(nil) == "Link" {
		kind = "text/html"
	}
	return kind
}

// arrival is a post of another server that was read, before it is kept.
type arrival struct {
	post    *storage.Post
	poll    *storage.Poll // of a Question
	author  *storage.Actor
	told    []storage.ID // whom of ours it speaks to
	related bool         // it concerns somebody here
	sought  bool         // it is kept because of another one, see fetchSought
}

// readArrival reads a post and finds whom it concerns, without any network and without changing anything.
func (n *Node) readArrival(ctx context.Context, o object, raw []byte, author *storage.Actor) (*arrival, error) {
	p, poll, err := n.noteFromWire(o, raw, author)
	if err != nil {
		return nil, err
	}
	a := &arrival{post: p, poll: poll, author: author}
	a.told, a.related, err = n.resolveLocal(ctx, p, o, author)
	return a, err
}

// resolveLocal gives the mentions and the parent of a post from elsewhere their rows here; it says which of our actors are
// spoken to, and whether the post concerns anyone on this node (federation.md §3.2). Whoever blocks the author, or is
// blocked by her, is not spoken to.
func (n *Node) resolveLocal(ctx context.Context, p *storage.Post, o object, author *storage.Actor) (told []storage.ID, related bool, err error) {
	named := map[storage.IRI]bool{}
	var here []*storage.Actor
	find := func(i storage.IRI) (*storage.Actor, error) {
		if !n.isOurs(i) || named[i] {
			return nil, nil
		}
		a, err := n.DB.LocalReader(ctx, i, author.ID)
		if errors.Is(err, storage.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		named[i] = true
		return a, nil
	}
	for i := range p.Mentions {
		m := &p.Mentions[i]
		a, err := find(m.IRI)
		if err != nil {
			return nil, false, err
		}
		if a != nil {
			m.ActorID, m.URL = a.ID, a.URL
			here = append(here, a)
		}
	}
	for _, i := range o.audience() { // addressed without a Mention tag: the reader of a direct post all the same
		a, err := find(i)
		if err != nil {
			return nil, false, err
		}
		if a != nil {
			p.Mentions = append(p.Mentions, storage.Mention{ActorID: a.ID, IRI: a.IRI, Handle: a.Handle(n.Host), URL: a.URL})
			here = append(here, a)
		}
	}
	for _, a := range here {
		told = append(told, a.ID)
	}
	related = len(told) > 0
	if p.InReplyTo != "" {
		parent, err := n.DB.PostByIRI(ctx, p.InReplyTo)
		switch {
		case err == nil && parent.DeletedAt == nil:
			if n.isOurs(parent.IRI) {
				if blocked, err := n.DB.Blocked(ctx, parent.ActorID, author.ID); err != nil || blocked {
					return nil, false, err
				}
				related = true
				if p.Visibility != storage.Direct && !slices.Contains(told, parent.ActorID) {
					told = append(told, parent.ActorID)
				}
			}
			p.InReplyToID = &parent.ID
			if p.Conversation == "" {
				p.Conversation = parent.Conversation
			}
		case err != nil && !errors.Is(err, storage.ErrNotFound):
			return nil, false, err
		}
	}
	if !related && p.Visibility != storage.Direct {
		related, err = n.DB.FollowedLocally(ctx, author.ID)
	}
	return told, related, err
}

// applyCreate keeps posts that concern someone here, and counts answers to polls. Several objects at once are how
// GoToSocial sends several votes.
func (n *Node) applyCreate(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		if act.inner == nil {
			return n.applyCreateByName(ctx, signer, act)
		}
		var all []effect
		for i, p := range act.parts {
			o := p.object
			var do effect
			var err error
			switch {
			case isVote(o) && n.isOurs(o.iri("inReplyTo")):
				do, err = n.applyVote(signer, o, i)(ctx, act)
			default:
				do, err = n.applyCreateNote(ctx, signer, act, o, p.raw)
			}
			if err != nil {
				return nil, err
			}
			if do != nil {
				all = append(all, do)
			}
		}
		if len(all) == 0 {
			return nothing, nil
		}
		return func(ctx context.Context, tx *storage.DB) error {
			for _, do := range all {
				if err := do(ctx, tx); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
}

// applyCreateByName looks at a post that a Create only names, when somebody here follows its author.
func (n *Node) applyCreateByName(ctx context.Context, signer *storage.Actor, act *Activity) (effect, error) {
	if followed, err := n.DB.FollowedLocally(ctx, signer.ID); err != nil || !followed {
		return nothing, err
	}
	return func(ctx context.Context, tx *storage.DB) error {
		return enqueue(ctx, tx, jobFetch, string(act.Object), time.Time{}, work{Object: act.Object})
	}, nil
}

// addressed gives an object that says of nobody that it is for her the addresses of its activity: some servers write them there alone.
func addressed(o object, act *Activity) object {
	if len(o.audience()) > 0 {
		return o
	}
	o = maps.Clone(o)
	o["to"], o["cc"] = act.top["to"], act.top["cc"]
	return o
}

func (n *Node) applyCreateNote(ctx context.Context, signer *storage.Actor, act *Activity, o object, raw []byte) (effect, error) {
	a, err := n.readArrival(ctx, addressed(o, act), raw, signer)
	if err != nil || !a.related {
		return nothing, err
	}
	if n.RateLimit && asksForMoney(a.post) && !n.askers.take(string(signer.IRI), n.Now()) {
		n.count("limited")
		return nil, problem(http.StatusTooManyRequests, "rate-limit", "more requests for payment of %s than this server takes at once: send it again in a while", signer.IRI)
	}
	return func(ctx context.Context, tx *storage.DB) error { return n.keepNew(ctx, tx, a) }, nil
}

// asksForMoney reports whether a message looks like a request for payment: it leads to a Proposal, and speaks to few.
func asksForMoney(p *storage.Post) bool {
	return p.Visibility == storage.Direct && slices.ContainsFunc(p.Attachments, func(a storage.Attachment) bool { return a.Rel == storage.RelProposal })
}

// keepNew keeps a post that is not here yet, tells those it speaks to, and owes the search for what it answers.
func (n *Node) keepNew(ctx context.Context, tx *storage.DB, a *arrival) error {
	p := a.post
	if gone, err := tx.Tombstoned(ctx, p.IRI, a.author.IRI); err != nil || gone {
		return err // deleted before it arrived
	}
	if fresh, err := tx.AddPost(ctx, p); err != nil || !fresh {
		return err // it is here by another activity id, or its Update came first
	}
	if a.poll != nil {
		a.poll.PostID = p.ID
		if err := tx.SavePoll(ctx, a.poll); err != nil {
			return err
		}
	}
	if p.InReplyTo != "" && p.InReplyToID == nil && !n.isOurs(p.InReplyTo) && a.related && !a.sought {
		if err := enqueue(ctx, tx, jobThread, p.ID.String(), time.Time{}, work{Post: p.ID}); err != nil {
			return err
		}
	}
	if !a.sought {
		if err := n.askForQuote(ctx, tx, p); err != nil {
			return err
		}
	}
	if err := n.noticeOffer(ctx, tx, a); err != nil {
		return err
	}
	if err := n.noticeReply(ctx, tx, p, a.author); err != nil {
		return err
	}
	if err := n.tell(ctx, tx, a.told, "mention", a.author, p.ID); err != nil || a.sought {
		return err
	}
	return n.tellWishers(ctx, tx, p, a.author)
}

// applyUpdateNote keeps an edit of a post that is here.
func (n *Node) applyUpdateNote(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		a, err := n.readArrival(ctx, addressed(act.inner, act), act.top["object"], signer)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, tx *storage.DB) error {
			old, err := tx.PostByIRI(ctx, a.post.IRI)
			if errors.Is(err, storage.ErrNotFound) {
				if !a.related || n.Now().Sub(a.post.PublishedAt) > lateCreate {
					return nil
				}
				return n.keepNew(ctx, tx, a) // its Create is late, or was lost
			}
			if err != nil {
				return err
			}
			return n.keepEdit(ctx, tx, a, old)
		}, nil
	}
}

// keepEdit keeps an edit of a post. One older than what is stored changes nothing; one without `updated` counts as made
// when it came, but of a poll, where it brings new numbers alone. Who may read a post is never widened by an edit.
func (n *Node) keepEdit(ctx context.Context, tx *storage.DB, a *arrival, old *storage.Post) error {
	p := a.post
	if old.DeletedAt != nil || old.ActorID != a.author.ID || old.BoostOfID != nil {
		return nil
	}
	if old.Visibility == storage.Direct && !a.related { // nobody is left who would hear of it
		return nil
	}
	same := p.EditedAt == nil || old.EditedAt != nil && !p.EditedAt.After(*old.EditedAt)
	p.ID, p.QuoteAllowed = old.ID, old.QuoteAllowed && p.Quote == old.Quote && p.QuoteApproval == old.QuoteApproval
	if err := n.askForQuote(ctx, tx, p); err != nil {
		return err
	}
	if stale := p.EditedAt != nil && old.EditedAt != nil && p.EditedAt.Before(*old.EditedAt); !stale && p.Quote == old.Quote && p.QuoteApproval != old.QuoteApproval {
		if err := tx.SetQuoteApproval(ctx, old.ID, p.QuoteApproval); err != nil {
			return err
		}
		if same && a.poll == nil && p.Content == old.Content {
			return nil // Mastodon says so that leave was given later: no edit
		}
	}
	if a.poll != nil {
		a.poll.PostID = old.ID
		if before, err := tx.PollOf(ctx, old.ID); err == nil && same && !sameAnswers(before, a.poll) {
			return nil // other answers are an edit, and that says when
		} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if same {
			if stale := p.EditedAt != nil && old.EditedAt != nil && p.EditedAt.Before(*old.EditedAt); stale {
				return nil
			}
			return tx.SavePoll(ctx, a.poll)
		}
	}
	if p.EditedAt == nil {
		now := n.Now().UTC()
		p.EditedAt = &now
	} else if same {
		return nil
	}
	if old.Visibility == storage.Direct { // nobody new learns of a direct post by an edit
		p.Mentions = slices.DeleteFunc(p.Mentions, func(m storage.Mention) bool {
			return !slices.ContainsFunc(old.Mentions, func(o storage.Mention) bool { return o.IRI == m.IRI })
		})
	}
	if err := tx.SavePost(ctx, p); err != nil {
		return err
	}
	if a.poll != nil { // behind the post: its version before keeps the answers from before
		if err := tx.SavePoll(ctx, a.poll); err != nil {
			return err
		}
	}
	return n.noticeOffer(ctx, tx, a)
}

func sameAnswers(a, b *storage.Poll) bool {
	return a.Multiple == b.Multiple && slices.EqualFunc(a.Options, b.Options, func(x, y storage.PollOption) bool { return x.Name == y.Name })
}

// applyDelete removes a post, or the sender herself. The id is remembered: what it named may still arrive.
func (n *Node) applyDelete(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		if act.Object == signer.IRI {
			return n.applyActorDelete(signer)(ctx, act)
		}
		if act.Object == "" {
			return nil, problem(400, "object", "a Delete names its object")
		}
		return func(ctx context.Context, tx *storage.DB) error {
			if err := tx.SaveTombstone(ctx, act.Object, signer.IRI); err != nil {
				return err
			}
			p, err := tx.PostByIRI(ctx, act.Object)
			if errors.Is(err, storage.ErrNotFound) {
				if o, err := tx.OfferByIRI(ctx, act.Object); err == nil && o.ActorID == signer.ID {
					return tx.DeleteOffer(ctx, o.ID)
				} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
					return err
				}
				return tx.DisallowQuotes(ctx, act.Object, signer.ID) // if it is a stamp of hers
			}
			if err == nil && (p.ActorID != signer.ID || p.DeletedAt != nil) {
				return nil
			}
			if err != nil {
				return err
			}
			return n.forgetPost(ctx, tx, p, signer)
		}, nil
	}
}

// ReadPost finds a post, or what shares one, that a reader (nil: anybody) may see, with its author; else ErrNotFound.
func (n *Node) ReadPost(ctx context.Context, reader *storage.Actor, id storage.ID) (*storage.Post, *storage.Actor, error) {
	p, err := n.DB.PostByID(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if p.DeletedAt != nil {
		return nil, nil, storage.ErrNotFound
	}
	if may, err := n.mayRead(ctx, p, reader); err != nil || !may {
		return nil, nil, errors.Join(err, storage.ErrNotFound)
	}
	author, err := n.DB.ActorByID(ctx, p.ActorID)
	if err == nil && (author.SuspendedAt != nil || author.DeletedAt != nil) {
		err = storage.ErrNotFound
	}
	return p, author, err
}

// mayRead reports whether reader (nil: anyone) may see a post. Whoever the author blocks may not.
func (n *Node) mayRead(ctx context.Context, p *storage.Post, reader *storage.Actor) (bool, error) {
	if reader != nil && reader.ID != p.ActorID {
		if blocked, err := n.DB.Blocked(ctx, p.ActorID, reader.ID); err != nil || blocked {
			return false, err
		}
	}
	if p.Visibility == storage.Public || p.Visibility == storage.Unlisted {
		return true, nil
	}
	if reader == nil {
		return false, nil
	}
	if reader.ID == p.ActorID {
		return true, nil
	}
	if named, err := n.DB.Mentioned(ctx, p.ID, reader.ID); err != nil || named {
		return named, err
	}
	if p.Visibility != storage.Private {
		return false, nil
	}
	f, err := n.DB.FollowBetween(ctx, reader.ID, p.ActorID)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil && f.State == storage.FollowAccepted, err
}
