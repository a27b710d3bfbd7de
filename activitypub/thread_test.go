package activitypub_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

func TestAThreadIsCompletedInTheBackground(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example", "elm.example")
	rye, oak, elm := net.Node("rye.example"), net.Node("oak.example"), net.Node("elm.example")
	baker, ana, bo := rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana"), elm.Person("bo")
	first := oak.Say(ana, "Who bakes?")
	second, err := elm.Publish(t.Context(), bo, activitypub.Draft{Text: "They do", InReplyTo: first.IRI})
	must(t, err)
	net.Deliver()
	third, err := oak.Publish(t.Context(), ana, activitypub.Draft{Text: "You do? @baker@rye.example", InReplyTo: second.IRI})
	must(t, err)
	net.Deliver()
	a, b, c := copyOf(t, rye, first.IRI), copyOf(t, rye, second.IRI), copyOf(t, rye, third.IRI)
	if c.InReplyToID == nil || *c.InReplyToID != b.ID || b.InReplyToID == nil || *b.InReplyToID != a.ID {
		t.Errorf("the thread is %v <- %v <- %v", a.ID, b.InReplyToID, c.InReplyToID)
	}
	want(t, "what the baker was told", fmt.Sprint(told(t, rye, baker)), "[mention]")
	// FEP-7888: the conversation is a collection where it began.
	conversation := decoded(t, []byte(ask(t, net, string(first.IRI)+"/context?page=true").body))
	want(t, "the conversation", fmt.Sprint(conversation["orderedItems"]), fmt.Sprint([]any{string(first.IRI), string(second.IRI), string(third.IRI)}))
}

func TestFET109AnEndlessThreadIsFollowedAsFarAsTheBudgetGoes(t *testing.T) {
	net, rye, baker, peer := stage(t)
	asked := 0
	net.Serve("far.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/users/ann/deep/"))
		if err != nil {
			peer.ServeHTTP(w, r)
			return
		}
		asked++
		w.Header().Set("Content-Type", "application/activity+json")
		note := fmt.Sprintf(noteForAll, fmt.Sprint(peer.ID(), "/deep/", n), "Note", peer.ID(), "deep")
		_, _ = w.Write([]byte(strings.Replace(note, `"content"`, fmt.Sprintf(`"inReplyTo":"%s/deep/%d","content"`, peer.ID(), n+1), 1)))
	}))
	act := peer.Note("n", "hello", string(baker.Actor.IRI))
	act["object"].(map[string]any)["inReplyTo"] = peer.ID() + "/deep/1"
	if got, body := post(t, net, peer.Request(ryeInbox, act)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	want(t, "asked while the sender waits", asked, 0)
	net.Deliver()
	if asked < 10 || asked > 20 {
		t.Errorf("asked %d times, want up to 20", asked)
	}
	js, err := rye.DB.Jobs(t.Context(), 10)
	must(t, err)
	want(t, "jobs that are left", len(js), 0)
}

// Mastodon passes on what somebody answers to a post of ours with a Linked Data signature, which we do not read.
func TestSIG041WhatIsPassedOnIsLookedAtWhereItComesFrom(t *testing.T) {
	net, rye, baker, peer := stage(t)
	p := rye.Say(baker, "Fresh bread")
	author := aptest.NewPeer("https://third.example", "tom", 12, false)
	id := author.ID() + "/notes/1"
	documents := map[string]string{"/users/tom/notes/1": strings.Replace(fmt.Sprintf(noteForAll, id, "Note", author.ID(), "true words"), `"content"`, `"inReplyTo":"`+string(p.IRI)+`","content"`, 1)}
	net.Serve("third.example", feed(author, documents))
	forwarded := author.Note("1", "forged words")
	note := forwarded["object"].(map[string]any)
	note["inReplyTo"] = p.IRI
	if got, _ := post(t, net, peer.Request(ryeInbox, forwarded)); got != 401 {
		t.Errorf("without any signature of its author: %d, want 401", got)
	}
	forwarded["signature"] = map[string]any{"type": "RsaSignature2017", "creator": author.KeyID, "signatureValue": "AAAA"}
	if got, body := post(t, net, peer.Request(ryeInbox, forwarded)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	want(t, "at once", len(told(t, rye, baker)), 0)
	net.Deliver()
	want(t, "the words", copyOf(t, rye, storage.IRI(id)).Content, "<p>true words</p>")
	want(t, "the baker was told", fmt.Sprint(told(t, rye, baker)), "[mention]")
	// A Delete that is passed on: believed when its origin says so.
	remove := author.Activity("Delete", "2", map[string]any{"id": id, "type": "Tombstone"})
	remove["signature"] = forwarded["signature"]
	post(t, net, peer.Request(ryeInbox, remove))
	net.Deliver()
	want(t, "still there", copyOf(t, rye, storage.IRI(id)).DeletedAt == nil, true)
	delete(documents, "/users/tom/notes/1")
	remove["id"] = author.ID() + "/activities/3"
	post(t, net, peer.Request(ryeInbox, remove))
	net.Deliver()
	want(t, "gone", copyOf(t, rye, storage.IRI(id)).DeletedAt != nil, true)
}

func TestAPostIsFoundByItsIdAndByItsPage(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker, nuria, ana := rye.Coop(rye.Person("nuria"), "baker"), rye.Person("pau"), oak.Person("ana")
	here := rye.Say(baker, "Fresh bread")
	there := oak.Say(ana, "Who bakes?")
	private, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "For friends", Visibility: storage.Private})
	must(t, err)
	afar, err := oak.Publish(t.Context(), ana, activitypub.Draft{Text: "For friends", Visibility: storage.Private})
	must(t, err)
	for _, one := range []struct {
		by      activitypub.By
		address string
		want    storage.IRI // "" when it may not be read
	}{
		{nuria, string(here.IRI), here.IRI},
		{nuria, here.URL, here.IRI},
		{activitypub.By{}, here.URL, here.IRI},
		{nuria, string(there.IRI), there.IRI},
		{baker, private.URL, private.IRI},
		{nuria, private.URL, ""},
		{activitypub.By{}, string(private.IRI), ""},
		{nuria, string(afar.IRI), ""},
		{nuria, "https://rye.example/@baker/1", ""},
		{nuria, "https://rye.example/@baker", ""},
		{nuria, "https://rye.example/@pau/" + here.ID.String(), ""},
		{nuria, "https://oak.example/users/ana", ""},
	} {
		p, err := rye.ResolvePost(t.Context(), one.by, one.address)
		switch {
		case one.want == "" && err == nil:
			t.Errorf("%s led to %s", one.address, p.IRI)
		case one.want != "" && (err != nil || p.IRI != one.want):
			t.Errorf("%s: got %v, %v", one.address, p, err)
		}
	}
	for _, bad := range []string{"", "bread", "ftp://oak.example/x", "https://", "https://oak.example/a b"} {
		var invalid *activitypub.InvalidError
		if _, err := rye.ResolvePost(t.Context(), nuria, bad); !errors.As(err, &invalid) {
			t.Errorf("%q: %v, want an InvalidError", bad, err)
		}
	}

	b, err := rye.Boost(t.Context(), nuria, copyOf(t, rye, there.IRI).ID, "")
	must(t, err)
	p, err := rye.ResolvePost(t.Context(), nuria, string(b.IRI))
	must(t, err)
	want(t, "what a boost leads to", p.IRI, there.IRI)
	must(t, rye.Delete(t.Context(), baker, here.ID))
	want(t, "a deleted one", status(errOf(rye.ResolvePost(t.Context(), nuria, here.URL))), 404)
}

func TestAPostElsewhereIsFoundByItsPage(t *testing.T) {
	net, rye, baker, peer := stage(t)
	note := fmt.Sprintf(noteForAll, peer.ID()+"/n/1", "Note", peer.ID(), "hello")
	net.Serve("far.example", feed(peer, map[string]string{"/@ann/1": note, "/users/ann/n/1": note}))
	for range 2 {
		p, err := rye.ResolvePost(t.Context(), baker, "https://far.example/@ann/1")
		must(t, err)
		want(t, "the post", p.IRI, storage.IRI(peer.ID()+"/n/1"))
	}
}
