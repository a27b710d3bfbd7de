package activitypub

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"planet/storage"
)

// Resolve finds an actor by handle (name@host, with or without @ or acct:) or by id, here or elsewhere. A handle elsewhere
// is what WebFinger says at both ends: the host of the handle and the host of the actor's id (FEP-2c59).
// InvalidError when whom is neither; ErrNotFound wrapped when nobody is there.
func (n *Node) Resolve(ctx context.Context, whom string) (*storage.Actor, error) {
	whom = strings.TrimSpace(whom)
	if strings.HasPrefix(whom, "https://") || strings.HasPrefix(whom, "http://") {
		return n.resolveAddress(ctx, whom)
	}
	name, host, ok := splitHandle(whom)
	if !ok {
		return nil, invalid("handle", "%q is not a handle such as @baker@coop.example, nor an address", clip(whom, 100))
	}
	if host == "" || host == n.Host {
		a, err := n.DB.LocalActor(ctx, name)
		if err != nil {
			return nil, notFound(whom, err)
		}
		if a.DeletedAt != nil {
			return nil, notFound(whom, storage.ErrNotFound)
		}
		return a, nil
	}
	a, err := n.DB.ActorByHandle(ctx, name, host)
	known := err == nil && a.DeletedAt == nil
	if known && n.Now().Sub(a.FetchedAt) < refreshActorAfter {
		return a, nil
	}
	if err := n.admitsHost(ctx, n.DB, host); err != nil {
		return nil, err
	}
	self, _, err := n.Client.WebFinger(ctx, name, host)
	var fe *FetchError
	switch {
	case err == nil:
	case known && errors.As(err, &fe) && fe.Temporary:
		return a, nil // so that she can be unfollowed, blocked or reported while her server is away
	default:
		return nil, notFound(whom, err)
	}
	if n.isOurs(storage.IRI(self)) {
		return nil, notFound(whom, storage.ErrNotFound) // somebody points at us under another name
	}
	a, err = n.meet(ctx, storage.IRI(self))
	if err != nil {
		return nil, notFound(whom, err)
	}
	if a.Domain == host || !strings.EqualFold(a.Username, name) {
		return a, nil
	}
	own, err := url.Parse(string(a.IRI))
	if err != nil {
		return nil, err
	}
	_, subject, err := n.Client.WebFinger(ctx, a.Username, own.Host)
	if err != nil || !strings.EqualFold(strings.TrimPrefix(subject, "acct:"), name+"@"+host) {
		return a, nil // only the host of its id vouches for it
	}
	a.Domain = host
	return a, n.DB.SaveActor(ctx, a)
}

// resolveAddress finds an actor by its id or by its page here.
func (n *Node) resolveAddress(ctx context.Context, address string) (*storage.Actor, error) {
	if name, ok := strings.CutPrefix(address, n.Origin+"/@"); ok {
		a, err := n.DB.LocalActor(ctx, name)
		return a, notFound(address, err)
	}
	a, err := n.DB.ActorByIRI(ctx, storage.IRI(address))
	if errors.Is(err, storage.ErrNotFound) && !n.isOurs(storage.IRI(address)) {
		a, err = n.meet(ctx, storage.IRI(address))
	} else if err == nil {
		a, err = n.actor(ctx, a.IRI)
	}
	if err == nil && a.DeletedAt != nil {
		err = storage.ErrNotFound
	}
	return a, notFound(address, err)
}

// meet fetches an actor elsewhere whom somebody here looks for. What a stranger has pinned is read too.
func (n *Node) meet(ctx context.Context, iri storage.IRI) (*storage.Actor, error) {
	known, err := n.known(ctx, iri)
	if err != nil {
		return nil, err
	}
	a, err := n.fetchActor(ctx, iri)
	if err != nil || known {
		return a, err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error { return askForPins(ctx, tx, a) })
	n.Wake()
	return a, err
}

// notFound names what was looked for; nil stays nil.
func notFound(what string, err error) error {
	if err == nil {
		return nil
	}
	return &lookupError{what, err}
}

// lookupError says that an actor could not be found, and why.
type lookupError struct {
	what string
	err  error
}

func (e *lookupError) Error() string {
	if errors.Is(e.err, storage.ErrNotFound) {
		return e.what + " is not known here, nor where it points to"
	}
	return e.what + " could not be found: " + e.err.Error()
}

func (e *lookupError) Unwrap() error { return e.err }

// splitHandle reads name@host; host is "" for a name alone, and normalised otherwise.
func splitHandle(s string) (name, host string, ok bool) {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "acct:"), "@")
	name, host, at := strings.Cut(s, "@")
	if !usernames.MatchString(name) || len(name) > 255 || at && host == "" {
		return "", "", false
	}
	if at {
		var err error
		if host, err = normaliseHost(host); err != nil {
			return "", "", false
		}
	}
	return name, host, true
}

// webfinger answers RFC 7033 for handles, ids, pages and the node itself (FEP-d556).
func (n *Node) webfinger(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	resource := r.URL.Query().Get("resource")
	if resource == "" || len(resource) > 2048 {
		WriteProblem(w, problem(http.StatusBadRequest, "resource", "ask with ?resource=acct:name@%s", n.Host))
		return
	}
	if l := len(n.Origin); len(resource) >= l && strings.EqualFold(resource[:l], n.Origin) {
		resource = n.Origin + resource[l:] // scheme and host are the same in any case (RFC 3986 §6.2.2.1)
	}
	if resource == n.Origin || resource == n.Origin+"/" {
		n.writeJSON(w, "application/jrd+json", map[string]any{"subject": n.Origin + "/", "links": []any{
			map[string]any{"rel": activityStreams + "#Service", "type": activityJSON, "href": n.service.IRI}}})
		return
	}
	a, err := n.webfingerSubject(r.Context(), resource)
	if err != nil {
		n.fail(w, r, err)
		return
	}
	if a.DeletedAt != nil {
		WriteProblem(w, problem(http.StatusGone, "gone", "%s is gone", a.Username))
		return
	}
	links := []any{
		map[string]any{"rel": "self", "type": activityJSON, "href": a.IRI},
		map[string]any{"rel": "http://webfinger.net/rel/profile-page", "type": "text/html", "href": a.URL},
		map[string]any{"rel": "http://ostatus.org/schema/1.0/subscribe", "template": n.Origin + "/authorize_interaction?uri={uri}"},
	}
	for _, intent := range []string{"Follow", "Object"} { // FEP-3b86
		links = append(links, map[string]any{"rel": "https://w3id.org/fep/3b86/" + intent, "template": n.Origin + "/authorize_interaction?uri={object}"})
	}
	n.writeJSON(w, "application/jrd+json", map[string]any{
		"subject": "acct:" + a.Username + "@" + n.Host, "aliases": []any{a.URL, a.IRI}, "links": links,
	})
}

// webfingerSubject finds who a resource names: acct:name@host, an id, or a page.
func (n *Node) webfingerSubject(ctx context.Context, resource string) (*storage.Actor, error) {
	if strings.HasPrefix(resource, "http://") || strings.HasPrefix(resource, "https://") {
		if name, ok := strings.CutPrefix(resource, n.Origin+"/@"); ok {
			return n.DB.LocalActor(ctx, name)
		}
		a, err := n.DB.ActorByIRI(ctx, storage.IRI(resource))
		if err == nil && !a.Local() {
			err = storage.ErrNotFound
		}
		return a, err
	}
	name, host, ok := splitHandle(resource)
	if !ok || host == "" {
		return nil, problem(http.StatusBadRequest, "resource", "the resource is neither acct:name@%s nor an address of this node", n.Host)
	}
	if host != n.Host {
		return nil, storage.ErrNotFound
	}
	if name == n.service.Username || name == n.Host || name == "instance" {
		return n.service, nil
	}
	return n.DB.LocalActor(ctx, name)
}

// hostMeta points to WebFinger (RFC 6415), for those who still ask.
func (n *Node) hostMeta(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Content-Type", "application/xrd+xml; charset=utf-8")
	_, _ = w.Write([]byte(`<?xml version="1.0" encoding="UTF-8"?>
<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0"><Link rel="lrdd" template="` + n.Origin + `/.well-known/webfinger?resource={uri}"/></XRD>
`))
}

// hostMetaJSON is hostMeta as a JRD.
func (n *Node) hostMetaJSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	n.writeJSON(w, "application/jrd+json", map[string]any{"links": []any{
		map[string]any{"rel": "lrdd", "type": "application/jrd+json", "template": n.Origin + "/.well-known/webfinger?resource={uri}"}}})
}
