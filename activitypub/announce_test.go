package activitypub_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

func TestABoostReachesTheAuthorAndTheFollowersAndIsTakenBack(t *testing.T) {
	net, rye, oak, baker, ana := neighbours(t)
	elm := net.Add("elm.example")
	bo := elm.Person("bo")
	follows(t, net, elm, bo, "@ana@oak.example")
	p := rye.Say(baker, "Fresh bread")
	net.Deliver()
	for range 2 {
		_, err := oak.Boost(t.Context(), ana, copyOf(t, oak, p.IRI).ID, "")
		must(t, err)
		net.Deliver()
	}
	boosts, err := rye.DB.CountBoosts(t.Context(), p.ID)
	want(t, "boosts", count(t, boosts, err), 1)
	want(t, "the baker was told", fmt.Sprint(told(t, rye, baker)), "[reblog follow]")
	home := elm.Home(bo)
	if len(home) != 1 || home[0].BoostOfID == nil || *home[0].BoostOfID != copyOf(t, elm, p.IRI).ID {
		t.Fatalf("bo sees %+v, want ana's boost of the baker's post", home)
	}
	want(t, "the words that bo reads", copyOf(t, elm, p.IRI).Content, p.Content)

	_, err = oak.Unboost(t.Context(), ana, copyOf(t, oak, p.IRI).ID)
	must(t, err)
	net.Deliver()
	boosts, err = rye.DB.CountBoosts(t.Context(), p.ID)
	want(t, "boosts after the undo", count(t, boosts, err), 0)
	want(t, "what bo sees", len(elm.Home(bo)), 0)

	// What was boosted and is deleted is gone from where it was boosted to.
	_, err = oak.Boost(t.Context(), ana, copyOf(t, oak, p.IRI).ID, "")
	must(t, err)
	net.Deliver()
	want(t, "what bo sees again", len(elm.Home(bo)), 1)
	must(t, oak.DB.DeletePost(t.Context(), copyOf(t, oak, p.IRI).ID))
	want(t, "what ana shows", len(oak.Home(ana)), 0)
}

// Bo of elm.example knows what tom said by ana's boost alone. When it is gone at its origin, ana's boost is taken back.
func TestABoostOfWhatIsDeletedElsewhereIsTakenBack(t *testing.T) {
	at := func(n string) string { return "https://third.example/users/tom/notes/" + n }
	for name, gone := range map[string]func(t *testing.T, net *aptest.Network, oak *aptest.Node, tom *aptest.Peer, documents map[string]string){
		"the post is deleted": func(t *testing.T, net *aptest.Network, _ *aptest.Node, tom *aptest.Peer, _ map[string]string) {
			post(t, net, tom.Request("https://oak.example/inbox", tom.Activity("Delete", "d", at("1"))))
		},
		"its author is deleted": func(t *testing.T, net *aptest.Network, _ *aptest.Node, tom *aptest.Peer, _ map[string]string) {
			post(t, net, tom.Request("https://oak.example/inbox", tom.Activity("Delete", "d", tom.ID())))
		},
		"it is seen that it is gone": func(t *testing.T, net *aptest.Network, oak *aptest.Node, tom *aptest.Peer, documents map[string]string) {
			delete(documents, "/users/tom/notes/1")
			act := tom.Activity("Delete", "d", at("1"))
			act["signature"] = map[string]any{"type": "RsaSignature2017"}
			ann := newcomer(net, "far.example", "ann", 14)
			post(t, net, ann.Request("https://oak.example/inbox", act))
		},
	} {
		t.Run(name, func(t *testing.T) {
			net, _, oak, _, ana := neighbours(t)
			elm := net.Add("elm.example")
			bo := elm.Person("bo")
			follows(t, net, elm, bo, "@ana@oak.example")
			tom := aptest.NewPeer("https://third.example", "tom", 12, false)
			tom.Now = net.Now
			documents := map[string]string{"/users/tom/notes/1": fmt.Sprintf(noteForAll, at("1"), "Note", tom.ID(), "what he said")}
			net.Serve("third.example", feed(tom, documents))
			p, err := oak.ResolvePost(t.Context(), ana, at("1"))
			must(t, err)
			_, err = oak.Boost(t.Context(), ana, p.ID, "")
			must(t, err)
			net.Deliver()
			want(t, "what bo sees", len(elm.Home(bo)), 1)
			gone(t, net, oak, tom, documents)
			net.Deliver()
			want(t, "what bo sees when it is gone", len(elm.Home(bo)), 0)
			outbox := decoded(t, []byte(ask(t, net, string(ana.Actor.Outbox)).body))
			want(t, "what ana's outbox counts", outbox["totalItems"], any(float64(0)))
		})
	}
}

func TestOnlyWhatIsForEveryoneIsBoosted(t *testing.T) {
	_, rye, _, baker, _ := neighbours(t)
	nuria, err := rye.Resolve(t.Context(), "nuria")
	must(t, err)
	for _, c := range []struct {
		visibility string
		by         activitypub.By
		want       int
	}{
		{storage.Private, activitypub.By{Actor: nuria}, 404}, {storage.Direct, baker, 403}, {storage.Private, baker, 0}, {storage.Unlisted, baker, 0},
	} {
		p, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "hello @ana@oak.example", Visibility: c.visibility})
		must(t, err)
		b, err := rye.Boost(t.Context(), c.by, p.ID, "")
		want(t, "a boost of a post that is "+c.visibility, status(err), c.want)
		if err == nil && c.visibility == storage.Private {
			want(t, "its own visibility", b.Visibility, storage.Private)
		}
	}
}

// feed makes a peer serve documents beside its actor.
func feed(peer http.Handler, documents map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		doc, ok := documents[r.URL.Path]
		if !ok || r.Method != http.MethodGet {
			peer.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/activity+json")
		_, _ = w.Write([]byte(doc))
	})
}

const noteForAll = `{"@context":"https://www.w3.org/ns/activitystreams","id":"%s","type":"%s","attributedTo":"%s","content":"<p>%s</p>","to":["https://www.w3.org/ns/activitystreams#Public"]}`

func TestACT143ABoostNeverBringsTheWordsThatItCarries(t *testing.T) {
	net, rye, baker, peer := stage(t)
	author := aptest.NewPeer("https://third.example", "tom", 12, false)
	id := "https://third.example/users/tom/notes/1"
	net.Serve("third.example", feed(author, map[string]string{"/users/tom/notes/1": fmt.Sprintf(noteForAll, id, "Note", author.ID(), "what he said")}))
	_, err := rye.Follow(t.Context(), baker, "@ann@far.example")
	must(t, err)
	act := peer.Activity("Announce", "1", map[string]any{"id": id, "type": "Note", "attributedTo": author.ID(), "content": "what he never said", "to": []string{"as:Public"}})
	if got, body := post(t, net, peer.Request(ryeInbox, act)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	net.Deliver()
	p := copyOf(t, rye, storage.IRI(id))
	want(t, "the words", p.Content, "<p>what he said</p>")
	boosts, err := rye.DB.CountBoosts(t.Context(), p.ID)
	want(t, "boosts", count(t, boosts, err), 1)
}

func TestACT144ACT145WhatIsNotBoosted(t *testing.T) {
	net, rye, baker, peer := stage(t)
	author := aptest.NewPeer("https://third.example", "tom", 12, false)
	_, err := rye.Follow(t.Context(), baker, "@ann@far.example")
	must(t, err)
	at := func(n string) string { return "https://third.example/users/tom/notes/" + n }
	direct := strings.Replace(fmt.Sprintf(noteForAll, at("direct"), "Note", author.ID(), "x"), "https://www.w3.org/ns/activitystreams#Public", "https://third.example/users/ida", 1)
	net.Serve("third.example", feed(author, map[string]string{
		"/users/tom/notes/direct":   direct,
		"/users/tom/notes/announce": `{"id":"` + at("announce") + `","type":"Announce","actor":"` + author.ID() + `","object":"` + at("direct") + `"}`,
		"/users/tom/notes/liar":     fmt.Sprintf(noteForAll, at("liar"), "Note", "https://victim.example/users/v", "x"),
		"/users/tom/notes/ok":       fmt.Sprintf(noteForAll, at("ok"), "Note", author.ID(), "x"),
	}))
	share := func(n string) {
		t.Helper()
		if got, body := post(t, net, peer.Request(ryeInbox, peer.Activity("Announce", n, at(n)))); got != 202 {
			t.Errorf("%s: %d %s", n, got, body)
		}
		net.Deliver()
	}
	for _, n := range []string{"direct", "announce", "liar", "gone"} {
		share(n)
	}
	want(t, "what the baker sees", len(rye.Home(baker)), 0)
	tom, err := rye.Resolve(t.Context(), "@tom@third.example")
	must(t, err)
	must(t, rye.SetStanding(t.Context(), nil, tom, true, false))
	share("ok")
	want(t, "what the baker sees of a suspended author", len(rye.Home(baker)), 0)
	if _, err := rye.DB.PostByIRI(t.Context(), storage.IRI(at("ok"))); err == nil {
		t.Errorf("a suspended author's post was kept")
	}
}

// FEP-1b12: a group passes on what was said to it; Lemmy announces the activity and then the page itself.
func TestAGroupPassesOnWhatItsMembersSay(t *testing.T) {
	net, rye, baker, _ := stage(t)
	group := aptest.NewPeer("https://lemmy.example", "bread", 12, false)
	group.Extra = map[string]any{"type": "Group"}
	member := aptest.NewPeer("https://third.example", "tom", 13, false)
	page := "https://third.example/users/tom/post/1"
	documents := map[string]string{"/users/tom/post/1": strings.Replace(fmt.Sprintf(noteForAll, page, "Page", member.ID(), "Long and slow."), `"content"`, `"name":"How to knead","audience":"`+group.ID()+`","content"`, 1)}
	net.Serve("lemmy.example", group)
	net.Serve("third.example", feed(member, documents))
	group.Now = net.Now
	announce := func(id string, object any) {
		t.Helper()
		if got, body := post(t, net, group.Request(ryeInbox, group.Activity("Announce", id, object))); got != 202 {
			t.Fatalf("%d %s", got, body)
		}
		net.Deliver()
	}
	create := map[string]any{"id": page + "/create", "type": "Create", "actor": member.ID(), "object": map[string]any{"id": page, "type": "Page", "name": "Forged", "attributedTo": member.ID()}}
	announce("0", create)
	want(t, "what comes from a group that nobody follows", len(rye.Home(baker)), 0)
	_, err := rye.Follow(t.Context(), baker, "@bread@lemmy.example")
	must(t, err)
	net.Deliver()
	if got, body := post(t, net, group.Request(ryeInbox, group.Activity("Accept", "f", lastOf(t, group, "Follow")))); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	announce("1", create)
	announce("2", page)
	home := rye.Home(baker)
	if len(home) != 1 || home[0].BoostOfID == nil {
		t.Fatalf("the baker sees %+v, want one boost by the group", home)
	}
	p := copyOf(t, rye, storage.IRI(page))
	want(t, "title", p.Title, "How to knead")
	want(t, "words", p.Content, "<p>Long and slow.</p>")

	documents["/users/tom/post/1"] = strings.Replace(strings.Replace(documents["/users/tom/post/1"], "slow", "slower", 1), `"content"`, `"updated":"2027-01-01T00:00:00Z","content"`, 1)
	announce("3", map[string]any{"id": page + "/update", "type": "Update", "actor": member.ID(), "object": map[string]any{"id": page, "type": "Page", "attributedTo": member.ID()}})
	want(t, "words after an edit", copyOf(t, rye, storage.IRI(page)).Content, "<p>Long and slower.</p>")
	announce("4", map[string]any{"id": page + "/delete", "type": "Delete", "actor": member.ID(), "object": page})
	want(t, "a deletion that its origin knows nothing of", copyOf(t, rye, storage.IRI(page)).DeletedAt == nil, true)
	delete(documents, "/users/tom/post/1")
	announce("5", map[string]any{"id": page + "/delete2", "type": "Delete", "actor": member.ID(), "object": page})
	want(t, "a deletion", copyOf(t, rye, storage.IRI(page)).DeletedAt != nil, true)
	want(t, "what the baker sees in the end", len(rye.Home(baker)), 0)
}

// lastOf is the last activity of a type that a peer received.
func lastOf(t *testing.T, p *aptest.Peer, kind string) map[string]any {
	t.Helper()
	var last map[string]any
	for _, raw := range p.Received() {
		if m := decoded(t, raw); m["type"] == kind {
			last = m
		}
	}
	if last == nil {
		t.Fatalf("the peer has received no %s", kind)
	}
	return last
}

func TestABoostIsNoPostToEditPinOrDelete(t *testing.T) {
	net, rye, oak, baker, ana := neighbours(t)
	p := rye.Say(baker, "Fresh bread")
	net.Deliver()
	b, err := oak.Boost(t.Context(), ana, copyOf(t, oak, p.IRI).ID, "")
	must(t, err)
	want(t, "an edit", status(errOf(oak.Edit(t.Context(), ana, b.ID, activitypub.Draft{Text: "Mine now"}))), 404)
	want(t, "a deletion", status(oak.Delete(t.Context(), ana, b.ID)), 404)
	want(t, "a pin", status(oak.Pin(t.Context(), ana, b.ID)), 404)
	_, err = oak.Unboost(t.Context(), ana, b.ID)
	must(t, err)
}
