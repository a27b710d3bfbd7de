package activitypub_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// neighbours are two nodes: the baker's on rye, and ana on oak, who follows her.
func neighbours(t *testing.T) (net *aptest.Network, rye, oak *aptest.Node, baker, ana activitypub.By) {
	t.Helper()
	net = aptest.New(t, "rye.example", "oak.example")
	rye, oak = net.Node("rye.example"), net.Node("oak.example")
	baker, ana = rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana")
	follows(t, net, oak, ana, "@baker@rye.example")
	return net, rye, oak, baker, ana
}

// copyOf is a post as another node has it.
func copyOf(t *testing.T, n *aptest.Node, iri storage.IRI) *storage.Post {
	t.Helper()
	p, err := n.DB.PostByIRI(t.Context(), iri)
	if err != nil {
		t.Fatalf("%s at %s: %v", iri, n.Host, err)
	}
	return p
}

// told are the kinds of what an actor was told, the latest first.
func told(t *testing.T, n *aptest.Node, by activitypub.By) []string {
	t.Helper()
	ns, err := n.DB.Notifications(t.Context(), by.Actor.ID, storage.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	kinds := []string{}
	for _, n := range ns {
		kinds = append(kinds, n.Kind)
	}
	return kinds
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func count(t *testing.T, n int64, err error) int64 {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// status is the status of a Problem, 404 for what is not found, 0 for no error.
func status(err error) int {
	var p *activitypub.Problem
	var i *activitypub.InvalidError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &p):
		return p.Status
	case errors.As(err, &i):
		return 422
	case errors.Is(err, storage.ErrNotFound):
		return 404
	}
	return 500
}

func TestALikeIsCountedWhereThePostIsAndTakenBack(t *testing.T) {
	net, rye, oak, baker, ana := neighbours(t)
	post := rye.Say(baker, "Fresh bread")
	net.Deliver()
	there := copyOf(t, oak, post.IRI)
	for range 2 {
		_, err := oak.Like(t.Context(), ana, there.ID)
		must(t, err)
		net.Deliver()
	}
	likes := func() int64 { n, err := rye.DB.CountLikes(t.Context(), post.ID); return count(t, n, err) }
	want(t, "likes", likes(), 1)
	want(t, "the baker was told", fmt.Sprint(told(t, rye, baker)), "[favourite follow]")
	_, err := oak.Unlike(t.Context(), ana, there.ID)
	must(t, err)
	net.Deliver()
	want(t, "likes after the undo", likes(), 0)
	want(t, "the baker was told", fmt.Sprint(told(t, rye, baker)), "[follow]")
	_, err = oak.Unlike(t.Context(), ana, there.ID)
	want(t, "a second undo", status(err), 404)

	// The like and its Undo were made while the other server was away: neither arrives, or both do.
	net.Serve("rye.example", nil)
	_, err = oak.Like(t.Context(), ana, there.ID)
	must(t, err)
	_, err = oak.Unlike(t.Context(), ana, there.ID)
	must(t, err)
	net.Deliver()
	net.Serve("rye.example", rye.Handler())
	for range 5 {
		net.Sleep(2 * 60 * 1e9)
		net.Deliver()
	}
	want(t, "likes in the end", likes(), 0)
}

func TestACT146ManyLikesByOneActorCountOnce(t *testing.T) {
	net, rye, baker, peer := stage(t)
	post1 := rye.Say(baker, "Fresh bread")
	for i := range 20 {
		like := peer.Activity([]string{"Like", "EmojiReact"}[i%2], fmt.Sprint("l", i), post1.IRI)
		like["content"] = "🍞"
		if got, body := post(t, net, peer.Request(ryeInbox, like)); got != 202 {
			t.Fatalf("%d %s", got, body)
		}
		if got, body := post(t, net, peer.Request(ryeInbox, peer.Activity("Announce", fmt.Sprint("a", i), post1.IRI))); got != 202 {
			t.Fatalf("%d %s", got, body)
		}
	}
	likes, err := rye.DB.CountLikes(t.Context(), post1.ID)
	want(t, "likes", count(t, likes, err), 1)
	boosts, err := rye.DB.CountBoosts(t.Context(), post1.ID)
	want(t, "boosts", count(t, boosts, err), 1)
	want(t, "the baker was told", fmt.Sprint(told(t, rye, baker)), "[reblog favourite]")
}

func TestACT147NobodyLikesWhatSheMayNotRead(t *testing.T) {
	net, rye, baker, peer := stage(t)
	p, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "for followers", Visibility: storage.Private})
	must(t, err)
	for i, kind := range []string{"Like", "Announce", "QuoteRequest"} {
		act := peer.Activity(kind, fmt.Sprint(i), p.IRI)
		act["instrument"] = peer.ID() + "/notes/q"
		if got, body := post(t, net, peer.Request(ryeInbox, act)); got != 202 {
			t.Errorf("%s: %d %s", kind, got, body)
		}
	}
	net.Deliver()
	likes, err := rye.DB.CountLikes(t.Context(), p.ID)
	want(t, "likes", count(t, likes, err), 0)
	boosts, err := rye.DB.CountBoosts(t.Context(), p.ID)
	want(t, "boosts", count(t, boosts, err), 0)
	want(t, "the peer was told", len(peer.Received()), 0)
}

func TestACT129AnUndoOfAnothersLike(t *testing.T) {
	net, rye, baker, peer := stage(t)
	p := rye.Say(baker, "Fresh bread")
	like := peer.Activity("Like", "1", p.IRI)
	post(t, net, peer.Request(ryeInbox, like))
	bob := aptest.NewPeer("https://far.example", "bob", 11, false)
	bob.Now = net.Now
	net.Serve("far.example", twoOf(peer, bob))
	forged := map[string]any{"id": like["id"], "type": "Like", "actor": bob.ID(), "object": p.IRI}
	if got, body := post(t, net, bob.Request(ryeInbox, bob.Activity("Undo", "u", forged))); got != 403 {
		t.Errorf("%d %s, want 403", got, body)
	}
	likes, err := rye.DB.CountLikes(t.Context(), p.ID)
	want(t, "likes", count(t, likes, err), 1)
	// Her own goes, whatever id she gives it.
	mine := map[string]any{"id": peer.ID() + "#likes/77/undone", "type": "Like", "actor": peer.ID(), "object": p.IRI}
	if got, body := post(t, net, peer.Request(ryeInbox, peer.Activity("Undo", "u", mine))); got != 202 {
		t.Errorf("%d %s", got, body)
	}
	likes, err = rye.DB.CountLikes(t.Context(), p.ID)
	want(t, "likes", count(t, likes, err), 0)
}

// twoOf serves several peers of one host.
func twoOf(peers ...*aptest.Peer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, p := range peers {
			if strings.HasPrefix(r.URL.Path, "/users/"+p.Name) || strings.Contains(r.URL.RawQuery, p.Name+"%40") {
				p.ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	})
}
