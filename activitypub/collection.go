package activitypub

import (
	"errors"
	"fmt"
	"net/http"
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
		mux.HandleFunc("GET "+base, n.document(n.getActor))
		mux.HandleFunc("GET "+base+"/outbox", n.document(n.getOutbox))
		mux.HandleFunc("GET "+base+"/followers", n.document(n.getFollows))
		mux.HandleFunc("GET "+base+"/following", n.document(n.getFollows))
		mux.HandleFunc("GET "+base+"/featured", n.document(n.getFeatured))
	}
	mux.HandleFunc("GET /users/{name}/statuses/{id}", n.document(n.getPost))
	mux.HandleFunc("GET /users/{name}/statuses/{id}/{part}", n.document(n.getPost))
	mux.HandleFunc("GET /activities/{id}", n.document(n.getActivity))
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
	switch {
	case errors.As(err, &p):
	case errors.As(err, &s):
		p = problem(s.Status, "signature", "%s", s.Detail)
	case errors.Is(err, storage.ErrNotFound):
		p = problem(http.StatusNotFound, "not-found", "there is nothing here, or nothing that you may see")
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
		if n.AuthorizedFetch && r.URL.Path != "/actor" {
			err = by.mustSign("this node shows its documents to signed requests only")
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
		if by.asked {
			w.Header().Set("Cache-Control", "private, no-store")
		} else {
			w.Header().Set("Cache-Control", "public, max-age=60")
		}
		_, _ = w.Write(raw)
	}
}

// reader is whoever asks for a document. Who that is, is found out only where it matters: most documents are for everyone,
// and some servers sign what they ask for in ways that cannot be verified (docs/federation.md).
type reader struct {
	n     *Node
	r     *http.Request
	asked bool
	actor *storage.Actor
	err   error
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
	author, err := n.speaker(r)
	if err != nil {
		return nil, err
	}
	id, err := storage.ParseID(r.PathValue("id"))
	if err != nil {
		return nil, storage.ErrNotFound
	}
	p, err := n.DB.PostByID(r.Context(), id)
	if err == nil && p.ActorID != author.ID {
		err = storage.ErrNotFound
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	if err != nil || p.Visibility != storage.Public && p.Visibility != storage.Unlisted {
		// The signature is looked at where there is no post too: otherwise a broken one would tell which of both it is.
		reader, broken := by.signer()
		switch {
		case broken != nil:
			return nil, broken
		case err != nil:
			return nil, err
		}
		if may, err := n.mayRead(r.Context(), p, reader); err != nil || !may {
			return nil, errors.Join(err, storage.ErrNotFound)
		}
	}
	if p.DeletedAt != nil {
		return nil, gone(p.IRI)
	}
	switch r.PathValue("part") {
	case "":
		doc := n.noteToWire(p, author)
		doc["@context"] = contextNote
		return encode(doc)
	case "activity":
		to, cc := audienceOf(p, author)
		return encode(map[string]any{"@context": contextNote, "id": string(p.IRI) + "/activity", "type": "Create", "actor": author.IRI,
			"to": to, "cc": cc, "published": wireTime(p.PublishedAt), "object": n.noteToWire(p, author)})
	case "replies":
		rs, err := n.DB.Replies(r.Context(), p.IRI, []string{storage.Public, storage.Unlisted}, storage.Page{Limit: 100})
		if err != nil {
			return nil, err
		}
		items := []storage.IRI{}
		for _, r := range rs {
			items = append(items, r.IRI)
		}
		return encode(map[string]any{"id": string(p.IRI) + "/replies", "type": "Collection", "totalItems": len(items), "items": items})
	default:
		return nil, storage.ErrNotFound
	}
}

// getActivity answers with an activity of ours: to anyone when it is public, else to those whom it names.
func (n *Node) getActivity(r *http.Request, by *reader) ([]byte, error) {
	a, err := n.DB.ActivityByIRI(r.Context(), storage.IRI(n.Origin+"/activities/"+r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	if a.Type == "Create" || a.Type == "Update" {
		if p, err := n.DB.PostByIRI(r.Context(), a.Object); err == nil && p.DeletedAt != nil {
			return nil, gone(a.IRI) // it holds the words that were deleted
		}
	}
	if a.Public {
		return a.Raw, nil
	}
	signer, err := by.signer()
	if err != nil {
		return nil, err
	}
	if signer != nil {
		for _, to := range parseObject(a.Raw).audience() {
			if to == signer.IRI {
				return a.Raw, nil
			}
		}
	}
	return nil, storage.ErrNotFound
}

// getOutbox lists an actor's public and unlisted posts as Creates, newest first.
func (n *Node) getOutbox(r *http.Request, _ *reader) ([]byte, error) {
	a, err := n.speaker(r)
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
		to, cc := audienceOf(p, a)
		items = append(items, map[string]any{"id": string(p.IRI) + "/activity", "type": "Create", "actor": a.IRI, "to": to, "cc": cc,
			"published": wireTime(p.PublishedAt), "object": n.noteToWire(p, a)})
		last = p.ID
	}
	return n.collectionPage(a.Outbox, total, page, items, last)
}

// getFollows lists followers or following: to their owner and to those of this list's servers who sign; others see the number.
func (n *Node) getFollows(r *http.Request, by *reader) ([]byte, error) {
	a, err := n.speaker(r)
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

// getFeatured lists pinned posts: none yet.
func (n *Node) getFeatured(r *http.Request, _ *reader) ([]byte, error) {
	a, err := n.speaker(r)
	if err != nil {
		return nil, err
	}
	return encode(map[string]any{"id": a.Featured, "type": "OrderedCollection", "totalItems": 0, "orderedItems": []any{}})
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
	id := string(of) + "?page=true"
	if p.MaxID > 0 {
		id += "&max_id=" + p.MaxID.String()
	}
	m := map[string]any{"@context": contextNote, "id": id, "type": "OrderedCollectionPage", "partOf": of, "totalItems": total, "orderedItems": items}
	if len(items) == pageSize {
		m["next"] = fmt.Sprintf("%s?page=true&max_id=%s", of, last)
	}
	return encode(m)
}
