package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"planet/storage"
)

const pageSize = 20

// routes are the addresses that this package answers (docs/architecture.md has them all).
func (n *Node) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/webfinger", n.webfinger)
	mux.HandleFunc("GET /.well-known/host-meta", n.hostMeta)
	mux.HandleFunc("GET /.well-known/host-meta.json", n.hostMetaJSON)
	mux.HandleFunc("GET /.well-known/nodeinfo", n.nodeinfoLinks)
	mux.HandleFunc("GET /nodeinfo/{version}", n.nodeinfo)
	mux.HandleFunc("/inbox", n.inbox)
	for _, base := range []string{"/users/{name}", "/actor", "/ledger"} {
		mux.HandleFunc(base+"/inbox", n.inbox)
		mux.HandleFunc("GET "+base+"/inbox", n.document(n.getInbox))
		mux.HandleFunc("GET "+base, n.document(n.getActor))
		mux.HandleFunc("GET "+base+"/outbox", n.document(n.getOutbox))
		mux.HandleFunc(base+"/outbox", n.readOnly)
		mux.HandleFunc("GET "+base+"/followers", n.document(n.getFollows))
		mux.HandleFunc("GET "+base+"/following", n.document(n.getFollows))
		mux.HandleFunc("GET "+base+"/featured", n.document(n.getFeatured))
		mux.HandleFunc("GET "+base+"/liked", n.document(n.getLiked))
		mux.HandleFunc("GET "+base+"/statuses/{id}", n.document(n.getPost))
		mux.HandleFunc("GET "+base+"/statuses/{id}/{part}", n.document(n.getPost))
	}
	mux.HandleFunc("GET /users/{name}/stamps/{id}", n.document(n.getStamp))
	mux.HandleFunc("GET /activities/{id}", n.document(n.getActivity))
	mux.HandleFunc("GET /offers/{id}", n.document(n.getOffer))
	mux.HandleFunc("GET /agreements/{id}", n.document(n.getAgreement))
	mux.HandleFunc("GET /receipts/{id}", n.document(n.getReceipt))
	mux.HandleFunc("GET /requests/{id}", n.document(n.getRequest))
	mux.HandleFunc("GET /ledger/results/{hash}", n.document(n.getResult))
	mux.HandleFunc("GET /ledger/results/{hash}/{part}", n.document(n.getResult))
	mux.HandleFunc("GET /ledger/events/{id}", n.document(n.getEvent))
	mux.HandleFunc("GET /ledger/events/{id}/receipt", n.getEventReceipt)
	mux.HandleFunc("GET /ledger/accounts", n.document(n.getAccount))
	mux.HandleFunc("GET /ledger/statement", n.document(n.getStatement))
	mux.HandleFunc("GET /currencies/{code}", n.document(n.getCurrency))
	mux.HandleFunc("GET /currencies/{code}/{path...}", n.getLog)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { n.fail(w, r, storage.ErrNotFound) })
	return mux
}

// WantsActivity reports whether an Accept header prefers an ActivityPub document to a page: one of its media types is
// named, with a quality not below that of text/html.
func WantsActivity(accept string) bool {
	activity, page := 0.0, 0.0
	for _, part := range strings.Split(accept, ",") {
		kind, params, _ := strings.Cut(part, ";")
		q := 1.0
		for _, p := range strings.Split(params, ";") {
			if v, ok := strings.CutPrefix(strings.ReplaceAll(p, " ", ""), "q="); ok {
				q, _ = strconv.ParseFloat(v, 64)
			}
		}
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case activityJSON, "application/ld+json":
			activity = max(activity, q)
		case "text/html", "application/xhtml+xml":
			page = max(page, q)
		}
	}
	return activity > 0 && activity >= page
}

// inbox is the HTTP side of receive: 202 when it is durable.
func (n *Node) inbox(w http.ResponseWriter, r *http.Request) {
	if name := r.PathValue("name"); name != "" {
		if _, err := n.speaker(r); err != nil {
			n.fail(w, r, err)
			return
		}
	}
	if err := n.receive(r); err != nil {
		n.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// fail answers with the document that an error stands for. What is not foreseen is logged, and told as a 500 or, when the
// sender had better try again, a 503.
func (n *Node) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *Problem
	var s *signatureError
	var g goneError
	switch {
	case errors.As(err, &g):
		p = problem(http.StatusGone, "gone", "who was here is gone")
	case errors.As(err, &p):
	case errors.As(err, &s):
		p = problem(s.Status, "signature", "%s", s.Detail)
	case errors.Is(err, storage.ErrNotFound):
		p = problem(http.StatusNotFound, "not-found", "there is nothing here, or nothing that you may see")
	case errors.Is(err, storage.ErrBusy):
		n.count("busy")
		p = problem(http.StatusServiceUnavailable, "busy", "more came in than could be written down; send it again later")
	default:
		p = problem(http.StatusServiceUnavailable, "unavailable", "this could not be done now; try again")
		if r.Context().Err() == nil {
			n.Log.Error("request", "method", r.Method, "path", r.URL.Path, "err", err)
		}
	}
	n.Log.Debug("refused", "method", r.Method, "path", r.URL.Path, "status", p.Status, "detail", p.Detail)
	WriteProblem(w, p)
}

func (n *Node) writeJSON(w http.ResponseWriter, contentType string, v any) {
	raw, err := marshal(v)
	if err != nil {
		n.Log.Error("encode answer", "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(raw)
}

// document answers a GET with what find makes for its reader. With authorized fetch only signed requests read, but for
// the node's own actor: two nodes that ask each other for keys would wait for ever.
func (n *Node) document(find func(r *http.Request, by *reader) (raw []byte, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		by := &reader{n: n, r: r}
		var raw []byte
		var err error
		switch {
		case n.Federation == FederationOff:
			err = problem(http.StatusForbidden, "federation", "this node does not speak with other servers")
		case r.URL.Path == "/actor":
		case n.AuthorizedFetch:
			err = by.mustSign("this node shows its documents to signed requests only")
		}
		if err == nil {
			err = by.barred()
		}
		if err == nil {
			raw, err = find(r, by)
		}
		w.Header().Set("Vary", "Accept, Signature")
		if gone := (goneError{}); errors.As(err, &gone) {
			w.Header().Set("Content-Type", activityJSON+"; charset=utf-8")
			w.WriteHeader(http.StatusGone)
			_, _ = w.Write(gone.tombstone)
			return
		}
		if err != nil {
			n.fail(w, r, err)
			return
		}
		w.Header().Set("Content-Type", activityJSON+"; charset=utf-8")
		if accept := r.Header.Get("Accept"); strings.Contains(accept, "application/ld+json") && !strings.Contains(accept, activityJSON) {
			w.Header().Set("Content-Type", ldJSON)
		}
		if by.asked || by.filtered {
			w.Header().Set("Cache-Control", "private, no-store")
		} else {
			w.Header().Set("Cache-Control", "public, max-age=60")
		}
		_, _ = w.Write(raw)
	}
}

// barred refuses a reader who claims to be of a server that this node has nothing to do with. A claim is enough to be refused:
// nobody makes that one falsely.
func (by *reader) barred() error {
	if by.claim = by.n.claimedKey(by.r); by.claim == "" || by.r.URL.Path == "/actor" {
		return nil
	}
	return by.n.admits(by.r.Context(), by.n.DB, by.claim)
}

// claimedKey is the id of the key that a request says it is signed with, "" when it says nothing of the kind.
func (n *Node) claimedKey(r *http.Request) storage.IRI {
	h := r.Header
	if h.Get("Signature") == "" && h.Get("Signature-Input") == "" && !strings.HasPrefix(h.Get("Authorization"), "Signature ") {
		return ""
	}
	sig, err := n.parseSignature(r, nil)
	if err != nil {
		return ""
	}
	return storage.IRI(sig.KeyID)
}

// notBlocked hides what an actor of ours says from whoever claims to be one that she blocks.
func (by *reader) notBlocked(a *storage.Actor) error {
	if by.claim == "" {
		return nil
	}
	by.filtered = true
	ctx := by.r.Context()
	key, err := by.n.DB.KeyByIRI(ctx, by.claim)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if blocked, err := by.n.DB.Blocked(ctx, a.ID, key.ActorID); err != nil || blocked {
		return errors.Join(err, storage.ErrNotFound)
	}
	return nil
}

// reader is whoever asks for a document. Who that is, is found out only where it matters: most documents are for everyone,
// and some servers sign what they ask for in ways that cannot be verified (docs/federation.md).
type reader struct {
	n     *Node
	r     *http.Request
	asked bool
	actor *storage.Actor
	err   error

	claim    storage.IRI // the key that the request says it is signed with
	filtered bool        // what is answered depends on that
}

// signer is the actor who signed the request, nil when nobody did. A signature that does not hold is an error.
func (by *reader) signer() (*storage.Actor, error) {
	if by.asked {
		return by.actor, by.err
	}
	by.asked = true
	h := by.r.Header
	if h.Get("Signature") == "" && h.Get("Signature-Input") == "" && !strings.HasPrefix(h.Get("Authorization"), "Signature ") {
		return nil, nil
	}
	sig, err := by.n.parseSignature(by.r, nil)
	if err == nil {
		by.actor, err = by.n.verify(by.r.Context(), sig)
	}
	by.err = err
	return by.actor, err
}

// mustSign refuses a reader who has not signed.
func (by *reader) mustSign(why string) error {
	actor, err := by.signer()
	if err == nil && actor == nil {
		err = problem(http.StatusUnauthorized, "signature", "%s", why)
	}
	return err
}

// goneError answers 410 with a tombstone.
type goneError struct{ tombstone []byte }

func (goneError) Error() string { return "gone" }

func gone(iri storage.IRI) error {
	raw, err := encode(map[string]any{"id": iri, "type": "Tombstone"})
	if err != nil {
		return err
	}
	return goneError{raw}
}

// hostOfDocument finds the actor of this node that an address belongs to, unless it is suspended or blocks the reader.
func (n *Node) hostOfDocument(r *http.Request, by *reader) (*storage.Actor, error) {
	a, err := n.speaker(r)
	if err == nil && a.SuspendedAt != nil {
		err = storage.ErrNotFound // its own document says why
	}
	if err != nil {
		return nil, err
	}
	return a, by.notBlocked(a)
}

// speaker finds the actor of this node that an address belongs to.
func (n *Node) speaker(r *http.Request) (*storage.Actor, error) {
	name := r.PathValue("name")
	var a *storage.Actor
	var err error
	switch {
	case name != "":
		a, err = n.DB.LocalActor(r.Context(), name)
		if err == nil && (a.Type == storage.Application || a.Type == storage.Service) {
			err = storage.ErrNotFound // they have addresses of their own
		}
	case strings.HasPrefix(r.URL.Path, "/ledger"):
		a, err = n.DB.ActorByIRI(r.Context(), storage.IRI(n.Origin+"/ledger"))
	default:
		a = n.service
	}
	if err != nil {
		return nil, err
	}
	if a.DeletedAt != nil {
		return nil, gone(a.IRI)
	}
	return a, nil
}

func (n *Node) getActor(r *http.Request, _ *reader) ([]byte, error) {
	a, err := n.speaker(r)
	if err != nil {
		return nil, err
	}
	doc, err := n.actorToWire(r.Context(), n.DB, a)
	if err != nil {
		return nil, err
	}
	return encode(doc)
}

// getPost answers with a post, its Create (part "activity") or its public replies. What the reader may not see is not there.
func (n *Node) getPost(r *http.Request, by *reader) ([]byte, error) {
	author, err := n.hostOfDocument(r, by)
	if err != nil {
		return nil, err
	}
	id, err := storage.ParseID(r.PathValue("id"))
	if err != nil {
		return nil, storage.ErrNotFound
	}
	p, err := n.DB.PostByID(r.Context(), id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	if err != nil || p.ActorID != author.ID || p.Visibility != storage.Public && p.Visibility != storage.Unlisted {
		if err := n.mustRead(r.Context(), p, author, by); err != nil {
			return nil, err
		}
	}
	if p.BoostOfID != nil && r.PathValue("part") != "activity" {
		return nil, storage.ErrNotFound
	}
	if p.DeletedAt != nil {
		return nil, gone(p.IRI)
	}
	switch r.PathValue("part") {
	case "":
		doc, err := n.postToWire(r.Context(), p, author)
		if err != nil {
			return nil, err
		}
		doc["@context"] = contextNote
		return encode(doc)
	case "activity":
		doc, err := n.saidToWire(r.Context(), p, author)
		if err != nil {
			return nil, err
		}
		doc["@context"] = contextNote
		return encode(doc)
	case "replies":
		return n.repliesTo(r, p)
	case "context":
		return n.contextOf(r, p, author)
	case "likes":
		count, err := n.DB.CountLikes(r.Context(), p.ID)
		return n.tallyOf(p.IRI+"/likes", count, err)
	case "shares":
		count, err := n.DB.CountBoosts(r.Context(), p.ID)
		return n.tallyOf(p.IRI+"/shares", count, err)
	default:
		return nil, storage.ErrNotFound
	}
}

// tallyOf is a collection of which only the number is told.
func (n *Node) tallyOf(id storage.IRI, count int64, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return encode(map[string]any{"id": id, "type": "Collection", "totalItems": count})
}

// everyone is who may read what collections list.
var everyone = []string{storage.Public, storage.Unlisted}

// repliesTo lists the answers to a post that are for everyone, newest first.
func (n *Node) repliesTo(r *http.Request, p *storage.Post) ([]byte, error) {
	id := p.IRI + "/replies"
	total, err := n.DB.CountReplies(r.Context(), p.IRI, everyone)
	if err != nil {
		return nil, err
	}
	page, asked, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	if !asked {
		page.Limit = pageSize
	}
	rs, err := n.DB.Replies(r.Context(), p.IRI, everyone, page)
	if err != nil {
		return nil, err
	}
	items := []any{}
	for _, r := range rs {
		items = append(items, r.IRI)
	}
	first := map[string]any{"id": string(id) + "?page=true", "type": "CollectionPage", "partOf": id, "items": items}
	if page.MaxID > 0 {
		first["id"] = string(id) + "?page=true&max_id=" + page.MaxID.String()
	}
	if len(rs) == pageSize {
		first["next"] = fmt.Sprintf("%s?page=true&max_id=%s", id, rs[len(rs)-1].ID)
	}
	if asked {
		return encode(first)
	}
	if len(rs) < pageSize { // all of them
		return encode(map[string]any{"id": id, "type": "Collection", "totalItems": total, "items": items})
	}
	return encode(map[string]any{"id": id, "type": "Collection", "totalItems": total, "first": first})
}

// contextOf lists the posts of a conversation that began here and are for everyone, oldest first (FEP-7888, FEP-f228).
func (n *Node) contextOf(r *http.Request, p *storage.Post, author *storage.Actor) ([]byte, error) {
	id := string(p.IRI) + "/context"
	if p.Conversation != id {
		return nil, storage.ErrNotFound
	}
	total, err := n.DB.CountConversation(r.Context(), id, everyone)
	if err != nil {
		return nil, err
	}
	page, asked, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	if !asked {
		return encode(map[string]any{"id": id, "type": "OrderedCollection", "totalItems": total, "attributedTo": author.IRI, "first": id + "?page=true"})
	}
	ps, err := n.DB.Conversation(r.Context(), id, everyone, page.MinID, pageSize)
	if err != nil {
		return nil, err
	}
	items := []any{}
	for _, p := range ps {
		items = append(items, p.IRI)
	}
	m := map[string]any{"id": id + "?page=true", "type": "OrderedCollectionPage", "partOf": id, "totalItems": total, "orderedItems": items}
	if page.MinID > 0 {
		m["id"] = id + "?page=true&min_id=" + page.MinID.String()
	}
	if len(ps) == pageSize {
		m["next"] = fmt.Sprintf("%s?page=true&min_id=%s", id, ps[len(ps)-1].ID)
	}
	return encode(m)
}

// postToWire is a post of ours with everything that belongs to it.
func (n *Node) postToWire(ctx context.Context, p *storage.Post, author *storage.Actor) (map[string]any, error) {
	doc := n.noteToWire(p, author)
	for part, count := range map[string]func(context.Context, storage.ID) (int64, error){"likes": n.DB.CountLikes, "shares": n.DB.CountBoosts} {
		total, err := count(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		doc[part].(map[string]any)["totalItems"] = total
	}
	if p.Type == storage.Question {
		poll, err := n.DB.PollOf(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		pollToWire(doc, poll)
	}
	return doc, nil
}

// saidToWire is the activity by which a post of ours was said, or by which another one was shared.
func (n *Node) saidToWire(ctx context.Context, p *storage.Post, author *storage.Actor) (map[string]any, error) {
	if p.BoostOfID != nil {
		of, err := n.DB.PostByID(ctx, *p.BoostOfID)
		if err != nil {
			return nil, err
		}
		by, err := n.DB.ActorByID(ctx, of.ActorID)
		if err != nil {
			return nil, err
		}
		return boostToWire(p, author, by, of.IRI), nil
	}
	doc, err := n.postToWire(ctx, p, author)
	if err != nil {
		return nil, err
	}
	to, cc := audienceOf(p, author)
	return map[string]any{"id": string(p.IRI) + "/activity", "type": "Create", "actor": author.IRI, "to": to, "cc": cc,
		"published": wireTime(p.PublishedAt), "object": doc}, nil
}

// mustRead refuses whoever may not see a post that is not for everyone: to them it is not there. Whether it is or not, the
// signature is looked at, so that its answer and its question after a key tell nothing.
func (n *Node) mustRead(ctx context.Context, p *storage.Post, author *storage.Actor, by *reader) error {
	actor, err := by.signer()
	if err != nil {
		return err
	}
	if p.ActorID != author.ID {
		return storage.ErrNotFound
	}
	if may, err := n.mayRead(ctx, p, actor); err != nil || !may {
		return errors.Join(err, storage.ErrNotFound)
	}
	return nil
}

// getActivity answers with an activity of ours: to anyone when it is public, else to those whom it names. What tells the
// words of a post that was deleted since is not there any more.
func (n *Node) getActivity(r *http.Request, by *reader) ([]byte, error) {
	a, err := n.DB.ActivityByIRI(r.Context(), storage.IRI(n.Origin+"/activities/"+r.PathValue("id")))
	absent := errors.Is(err, storage.ErrNotFound)
	if err != nil && !absent {
		return nil, err
	}
	if absent || !a.Public {
		signer, err := by.signer() // also of what is not there: the answer must not tell
		if err != nil {
			return nil, err
		}
		if absent || signer == nil || !slices.Contains(parseObject(a.Raw).audience(), signer.IRI) {
			return nil, storage.ErrNotFound
		}
	}
	if p, err := n.DB.PostByIRI(r.Context(), a.Object); err == nil && p.DeletedAt != nil && a.Type != "Delete" {
		return nil, gone(a.IRI)
	} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	return a.Raw, nil
}

// getInbox is what others may read of an inbox (ActivityPub §5.2): that it is one. Our people read what came by other ways.
func (n *Node) getInbox(r *http.Request, by *reader) ([]byte, error) {
	a, err := n.hostOfDocument(r, by)
	if err != nil {
		return nil, err
	}
	return encode(map[string]any{"id": a.Inbox, "type": "OrderedCollection"})
}

// readOnly refuses what ActivityPub's client-to-server protocol would post: this node does not speak it.
func (n *Node) readOnly(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "GET, HEAD")
	n.fail(w, r, problem(http.StatusMethodNotAllowed, "method", "an outbox is read only here: apps use the client API"))
}

// getOutbox lists an actor's public and unlisted posts as Creates and Announces, newest first.
func (n *Node) getOutbox(r *http.Request, by *reader) ([]byte, error) {
	a, err := n.hostOfDocument(r, by)
	if err != nil {
		return nil, err
	}
	total, err := n.DB.CountPosts(r.Context(), a.ID)
	if err != nil {
		return nil, err
	}
	page, asked, err := pageOf(r)
	if err != nil || !asked {
		return n.collection(a.Outbox, total, true, err)
	}
	ps, err := n.DB.PostsBy(r.Context(), a.ID, []string{storage.Public, storage.Unlisted}, page)
	if err != nil {
		return nil, err
	}
	items, last := []any{}, storage.ID(0)
	for i := range ps {
		p := &ps[i]
		said, err := n.saidToWire(r.Context(), p, a)
		if err != nil {
			return nil, err
		}
		items = append(items, said)
		last = p.ID
	}
	return n.collectionPage(a.Outbox, total, page, items, last)
}

// getFollows lists followers or following: to their owner and to those of this list's servers who sign; others see the number.
func (n *Node) getFollows(r *http.Request, by *reader) ([]byte, error) {
	a, err := n.hostOfDocument(r, by)
	if err != nil {
		return nil, err
	}
	of, count, list := a.Followers, n.DB.CountFollowers, n.DB.Followers
	if strings.HasSuffix(r.URL.Path, "/following") {
		of, count, list = a.Following, n.DB.CountFollowing, n.DB.Following
	}
	total, err := count(r.Context(), a.ID)
	if err != nil {
		return nil, err
	}
	page, asked, err := pageOf(r)
	if err != nil || !asked {
		signer, _ := by.signer() // the number is for everyone
		return n.collection(of, total, signer != nil, err)
	}
	if err := by.mustSign("the list is shown to signed requests only"); err != nil {
		return nil, err
	}
	fs, err := list(r.Context(), a.ID, storage.FollowAccepted, page)
	if err != nil {
		return nil, err
	}
	items, last := []any{}, storage.ID(0)
	for _, f := range fs {
		other := f.ActorID
		if of == a.Following {
			other = f.TargetID
		}
		o, err := n.DB.ActorByID(r.Context(), other)
		if err != nil {
			return nil, err
		}
		items, last = append(items, o.IRI), f.ID
	}
	return n.collectionPage(of, total, page, items, last)
}

// getLiked lists what an actor likes of that which is for everyone: the number to all, the list to signed requests.
func (n *Node) getLiked(r *http.Request, by *reader) ([]byte, error) {
	a, err := n.hostOfDocument(r, by)
	if err != nil {
		return nil, err
	}
	total, err := n.DB.CountLiked(r.Context(), a.ID)
	if err != nil {
		return nil, err
	}
	page, asked, err := pageOf(r)
	if err != nil || !asked {
		signer, _ := by.signer() // the number is for everyone
		return n.collection(a.Liked, total, signer != nil, err)
	}
	if err := by.mustSign("the list is shown to signed requests only"); err != nil {
		return nil, err
	}
	ls, err := n.DB.LikesBy(r.Context(), a.ID, page)
	if err != nil {
		return nil, err
	}
	items, last := []any{}, storage.ID(0)
	for _, l := range ls {
		p, err := n.DB.PostByID(r.Context(), l.PostID)
		if err != nil {
			return nil, err
		}
		if slices.Contains(everyone, p.Visibility) {
			items = append(items, p.IRI)
		}
		last = l.ID
	}
	doc := n.pageDocument(a.Liked, total, page, items)
	if len(ls) == pageSize {
		doc["next"] = fmt.Sprintf("%s?page=true&max_id=%s", a.Liked, last)
	}
	return encode(doc)
}

// getFeatured lists the posts that an actor has pinned.
func (n *Node) getFeatured(r *http.Request, by *reader) ([]byte, error) {
	a, err := n.hostOfDocument(r, by)
	if err != nil {
		return nil, err
	}
	ps, err := n.DB.Pinned(r.Context(), a.ID, everyone)
	if err != nil {
		return nil, err
	}
	items := []any{}
	for _, p := range ps {
		items = append(items, p.IRI)
	}
	return encode(map[string]any{"id": a.Featured, "type": "OrderedCollection", "totalItems": len(items), "orderedItems": items})
}

// pageOf reads ?page=true&max_id=…; asked is false when the collection itself is meant.
func pageOf(r *http.Request) (p storage.Page, asked bool, err error) {
	q := r.URL.Query()
	if q.Get("page") == "" {
		return p, false, nil
	}
	p.Limit = pageSize
	if s := q.Get("max_id"); s != "" {
		if p.MaxID, err = storage.ParseID(s); err != nil {
			return p, true, problem(http.StatusBadRequest, "max_id", "max_id is not an id")
		}
	}
	if s := q.Get("min_id"); s != "" {
		if p.MinID, err = storage.ParseID(s); err != nil {
			return p, true, problem(http.StatusBadRequest, "min_id", "min_id is not an id")
		}
	}
	return p, true, nil
}

func (n *Node) collection(id storage.IRI, total int64, open bool, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	m := map[string]any{"id": id, "type": "OrderedCollection", "totalItems": total}
	if open {
		m["first"] = string(id) + "?page=true"
	}
	return encode(m)
}

func (n *Node) collectionPage(of storage.IRI, total int64, p storage.Page, items []any, last storage.ID) ([]byte, error) {
	m := n.pageDocument(of, total, p, items)
	if len(items) == pageSize {
		m["next"] = fmt.Sprintf("%s?page=true&max_id=%s", of, last)
	}
	return encode(m)
}

func (n *Node) pageDocument(of storage.IRI, total int64, p storage.Page, items []any) map[string]any {
	id := string(of) + "?page=true"
	if p.MaxID > 0 {
		id += "&max_id=" + p.MaxID.String()
	}
	return map[string]any{"@context": contextNote, "id": id, "type": "OrderedCollectionPage", "partOf": of, "totalItems": total, "orderedItems": items}
}
