package activitypub

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"planet/storage"
)

// Limits of a post, here and from elsewhere.
const (
	maxPostRunes   = 5000
	maxContent     = 150_000 // bytes of HTML
	maxMentions    = 20      // that are resolved for one post of ours
	maxAttachments = 16
)

// noteToWire is a post of this node as a Note.
func (n *Node) noteToWire(p *storage.Post, author *storage.Actor) map[string]any {
	to, cc := audienceOf(p, author)
	m := map[string]any{
		"id": p.IRI, "type": "Note", "attributedTo": author.IRI, "to": to, "cc": cc, "content": p.Content,
		"published": wireTime(p.PublishedAt), "url": p.URL, "sensitive": p.Sensitive,
		"replies": map[string]any{"id": p.IRI + "/replies", "type": "Collection"},
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

// noteFromWire reads a post of another server. The author was checked against attributedTo before.
func (n *Node) noteFromWire(o object, raw []byte, author *storage.Actor) (*storage.Post, error) {
	id := storage.IRI(o.str("id"))
	if _, err := n.Client.parseIRI(string(id)); err != nil {
		return nil, problem(400, "object", "the object's id is not usable: %v", err)
	}
	content, language := o.text("content")
	if len(content) > maxContent {
		return nil, problem(413, "content", "the content is longer than %d bytes", maxContent)
	}
	p := &storage.Post{
		IRI: id, ActorID: author.ID, Type: o.kind(nil), InReplyTo: o.iri("inReplyTo"), Conversation: clip(string(o.iri("context")), 2048),
		Visibility: visibilityOf(o, author.Followers), Content: sanitise(content), Language: clip(language, 35),
		Sensitive: o.boolean("sensitive"), URL: n.displayURL(o, id), Raw: raw, PublishedAt: n.Now().UTC(),
	}
	if p.Conversation == "" {
		p.Conversation = clip(o.str("conversation"), 2048)
	}
	summary, _ := o.text("summary")
	p.Summary = clip(plainText(summary), 1000)
	if t, ok := o.time("published"); ok && t.Before(p.PublishedAt) && t.After(time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)) {
		p.PublishedAt = t
	}
	if t, ok := o.time("updated"); ok && t.After(p.PublishedAt) {
		p.EditedAt = &t
	}
	for _, raw := range o.list("attachment") {
		if a, ok := n.attachmentFromWire(raw); ok && len(p.Attachments) < maxAttachments {
			p.Attachments = append(p.Attachments, a)
		}
	}
	for _, raw := range o.list("tag") {
		t := parseObject(raw)
		if t == nil {
			continue
		}
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
	return p, nil
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
	if a.Name == "" {
		a.Name, _ = o.text("name")
	}
	a.Name = clip(plainText(a.Name), 10_000)
	_, err := n.Client.parseIRI(a.URL)
	return a, err == nil
}

// resolveLocal gives the mentions and the parent of a post from elsewhere their rows here, without any network; it says
// which of our actors are spoken to, and whether the post concerns anyone on this node (federation.md §3.2).
func (n *Node) resolveLocal(ctx context.Context, p *storage.Post, o object, author *storage.Actor) (told []storage.ID, related bool, err error) {
	named := map[storage.IRI]bool{}
	for i := range p.Mentions {
		m := &p.Mentions[i]
		if !n.isOurs(m.IRI) {
			continue
		}
		id, page, err := n.DB.LocalReader(ctx, m.IRI)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		m.ActorID, m.URL = id, page
		named[m.IRI] = true
		told = append(told, id)
	}
	for _, i := range o.audience() { // addressed without a Mention tag: the reader of a direct post all the same
		if !n.isOurs(i) || named[i] {
			continue
		}
		if a, err := n.DB.ActorByIRI(ctx, i); err == nil && a.DeletedAt == nil {
			p.Mentions = append(p.Mentions, storage.Mention{ActorID: a.ID, IRI: a.IRI, Handle: a.Handle(n.Host), URL: a.URL})
			named[i] = true
			told = append(told, a.ID)
		}
	}
	related = len(told) > 0
	if p.InReplyTo != "" {
		parent, err := n.DB.PostByIRI(ctx, p.InReplyTo)
		switch {
		case err == nil && parent.DeletedAt == nil:
			p.InReplyToID = &parent.ID
			if p.Conversation == "" {
				p.Conversation = parent.Conversation
			}
			if n.isOurs(parent.IRI) {
				related = true
				if p.Visibility != storage.Direct && !slices.Contains(told, parent.ActorID) {
					told = append(told, parent.ActorID)
				}
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

// applyCreateNote keeps a post that concerns someone here.
func (n *Node) applyCreateNote(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		p, err := n.noteFromWire(act.inner, act.top["object"], signer)
		if err != nil {
			return nil, err
		}
		told, related, err := n.resolveLocal(ctx, p, act.inner, signer)
		if err != nil || !related {
			return nothing, err
		}
		return func(ctx context.Context, tx *storage.DB) error {
			if gone, err := tx.Tombstoned(ctx, p.IRI, signer.IRI); err != nil || gone {
				return err // deleted before it arrived
			}
			if fresh, err := tx.AddPost(ctx, p); err != nil || !fresh {
				return err // it is here by another activity id, or its Update came first
			}
			return tell(ctx, tx, told, "mention", signer.ID, p.ID)
		}, nil
	}
}

func tell(ctx context.Context, tx *storage.DB, told []storage.ID, kind string, from, post storage.ID) error {
	for _, id := range told {
		if err := tx.Notify(ctx, &storage.Notification{ActorID: id, Kind: kind, FromID: from, PostID: post}); err != nil {
			return err
		}
	}
	return nil
}

// applyUpdateNote keeps an edit of a post that is here. An edit older than what is stored changes nothing; one without
// `updated` counts as made when it came. Who may read a post is never widened by an edit.
func (n *Node) applyUpdateNote(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		p, err := n.noteFromWire(act.inner, act.top["object"], signer)
		if err != nil {
			return nil, err
		}
		if p.EditedAt == nil {
			now := n.Now().UTC()
			p.EditedAt = &now
		}
		told, related, err := n.resolveLocal(ctx, p, act.inner, signer)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, tx *storage.DB) error {
			old, err := tx.PostByIRI(ctx, p.IRI)
			if errors.Is(err, storage.ErrNotFound) {
				if gone, err := tx.Tombstoned(ctx, p.IRI, signer.IRI); err != nil || gone || !related {
					return err
				}
				if err := tx.SavePost(ctx, p); err != nil { // its Create is late, or was lost
					return err
				}
				return tell(ctx, tx, told, "mention", signer.ID, p.ID)
			}
			if err != nil || old.DeletedAt != nil || old.ActorID != signer.ID {
				return err
			}
			if old.EditedAt != nil && !p.EditedAt.After(*old.EditedAt) {
				return nil
			}
			if old.Visibility == storage.Direct { // nobody new learns of a direct post by an edit
				p.Mentions = slices.DeleteFunc(p.Mentions, func(m storage.Mention) bool {
					return !slices.ContainsFunc(old.Mentions, func(o storage.Mention) bool { return o.IRI == m.IRI })
				})
			}
			return tx.SavePost(ctx, p)
		}, nil
	}
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
			if errors.Is(err, storage.ErrNotFound) || err == nil && (p.ActorID != signer.ID || p.DeletedAt != nil) {
				return nil
			}
			if err != nil {
				return err
			}
			return tx.DeletePost(ctx, p.ID)
		}, nil
	}
}

// fetchNote asks another server for a post that someone here answers, and keeps it.
func (n *Node) fetchNote(ctx context.Context, iri storage.IRI) (*storage.Post, error) {
	raw, err := n.Client.FetchDocument(ctx, string(iri), n.signGet)
	if err != nil {
		return nil, err
	}
	o := parseObject(raw)
	owners := o.iris("attributedTo")
	if !slices.Contains(noteTypes, o.kind(func(t string) bool { return slices.Contains(noteTypes, t) })) || len(owners) != 1 || !sameOrigin(string(owners[0]), o.str("id")) {
		return nil, problem(422, "object", "%s is not a post of one author at its origin", iri)
	}
	author, err := n.actor(ctx, owners[0])
	if err != nil {
		return nil, err
	}
	p, err := n.noteFromWire(o, raw, author)
	if err != nil {
		return nil, err
	}
	if _, _, err := n.resolveLocal(ctx, p, o, author); err != nil {
		return nil, err
	}
	return p, n.DB.SavePost(ctx, p)
}

// mayRead reports whether reader (nil: anyone) may see a post.
func (n *Node) mayRead(ctx context.Context, p *storage.Post, reader *storage.Actor) (bool, error) {
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
