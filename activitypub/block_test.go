package activitypub_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

func decoded(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestABlockEndsWhatWasAndKeepsItFromBeginningAgain(t *testing.T) {
	net, rye, oak, baker, ana := neighbours(t)
	follows(t, net, rye, baker, "@ana@oak.example")
	followers := func(n *aptest.Node, by activitypub.By) int64 {
		c, err := n.DB.CountFollowers(t.Context(), by.Actor.ID)
		return count(t, c, err)
	}
	before := rye.Say(baker, "Fresh bread")
	net.Deliver()
	_, err := rye.Block(t.Context(), baker, "@ana@oak.example")
	must(t, err)
	net.Deliver()
	want(t, "the baker's followers here", followers(rye, baker), 0)
	want(t, "the baker's followers as oak has them", followers(oak, activitypub.By{Actor: actorOf(t, oak, baker)}), 0)
	want(t, "ana's followers", followers(oak, ana), 0)

	// ACT158: nothing of hers arrives any more.
	there := copyOf(t, oak, before.IRI)
	for _, do := range []func() error{
		func() error { _, err := oak.Like(t.Context(), ana, there.ID); return err },
		func() error { _, err := oak.Boost(t.Context(), ana, there.ID, ""); return err },
		func() error {
			_, err := oak.Publish(t.Context(), ana, activitypub.Draft{Text: "Why? @baker@rye.example", InReplyTo: before.IRI})
			return err
		},
		func() error {
			_, err := oak.Publish(t.Context(), ana, activitypub.Draft{Text: "@baker@rye.example hello?", Visibility: storage.Direct})
			return err
		},
	} {
		_ = do() // oak may know of the block and refuse already
	}
	net.Deliver()
	want(t, "what the baker was told", fmt.Sprint(told(t, rye, baker)), "[follow]")
	want(t, "what the baker sees", len(rye.Home(baker)), 1)
	likes, err := rye.DB.CountLikes(t.Context(), before.ID)
	want(t, "likes", count(t, likes, err), 0)
	if _, err := oak.Follow(t.Context(), ana, "@baker@rye.example"); status(err) != 403 {
		t.Errorf("ana follows again: %v, want a refusal", err)
	}

	_, err = rye.Unblock(t.Context(), baker, "@ana@oak.example")
	must(t, err)
	net.Deliver()
	follows(t, net, oak, ana, "@baker@rye.example")
	want(t, "the baker's followers after all", followers(rye, baker), 1)
}

// actorOf is an actor as another node has it.
func actorOf(t *testing.T, n *aptest.Node, by activitypub.By) *storage.Actor {
	t.Helper()
	a, err := n.DB.ActorByIRI(t.Context(), by.Actor.IRI)
	must(t, err)
	return a
}

func TestACT158WhoIsBlockedIsNotHeard(t *testing.T) {
	net, rye, baker, peer := stage(t)
	direct := peer.Note("dm", "hello", string(baker.Actor.IRI))
	direct["object"].(map[string]any)["to"] = []string{string(baker.Actor.IRI)}
	post(t, net, peer.Request(ryeInbox, direct))
	p := rye.Say(baker, "Fresh bread")
	want(t, "what the baker sees", len(rye.Home(baker)), 2)
	_, err := rye.Block(t.Context(), baker, "@ann@far.example")
	must(t, err)
	edit := direct["object"].(map[string]any)
	edit["content"], edit["updated"] = "<p>insults</p>", net.Now().Add(time.Hour).Format(time.RFC3339)
	for i, act := range []map[string]any{
		peer.Note("m", "hello again", string(baker.Actor.IRI)), peer.Activity("Like", "l", p.IRI), peer.Activity("Announce", "b", p.IRI),
		peer.Activity("Update", "e", edit), peer.Activity("Follow", "f", baker.Actor.IRI), peer.Activity("QuoteRequest", "q", p.IRI),
	} {
		act["instrument"] = peer.ID() + "/notes/q"
		if got, body := post(t, net, peer.Request(ryeInbox, act)); got != 202 {
			t.Errorf("%d: %d %s", i, got, body)
		}
	}
	reply := peer.Note("r", "hm", "https://far.example/users/x")
	reply["object"].(map[string]any)["inReplyTo"] = p.IRI
	post(t, net, peer.Request(ryeInbox, reply))
	net.Deliver()
	want(t, "what the baker sees", len(rye.Home(baker)), 1) // the old message is hidden too
	want(t, "what the baker was told", fmt.Sprint(told(t, rye, baker)), "[mention]")
	want(t, "the old message", copyOf(t, rye, storage.IRI(peer.ID()+"/notes/dm")).Content, "<p>hello</p>")
	want(t, "the answer to the follow", lastOf(t, peer, "Reject")["object"].(map[string]any)["type"], any("Follow"))
	// ACT154: asked under her name, nothing is there; asked by anyone, it is.
	for _, part := range []string{"", "/replies", "/likes"} {
		want(t, "as the one who is blocked"+part, ask(t, net, string(p.IRI)+part, signedBy(peer)).status, 404)
		want(t, "as anyone"+part, ask(t, net, string(p.IRI)+part).status, 200)
	}
	for _, part := range []string{"/outbox", "/followers", "/featured", "/liked"} {
		want(t, "as the one who is blocked"+part, ask(t, net, string(baker.Actor.IRI)+part, signedBy(peer)).status, 404)
	}
	want(t, "the actor herself, for her key", ask(t, net, string(baker.Actor.IRI), signedBy(peer)).status, 200)
}

func TestAMuteHidesAndEnds(t *testing.T) {
	net, rye, oak, baker, ana := neighbours(t)
	rye.Say(baker, "one @ana@oak.example")
	net.Deliver()
	_, err := oak.Mute(t.Context(), ana, "@baker@rye.example", time.Hour)
	must(t, err)
	want(t, "what ana sees", len(oak.Home(ana)), 0)
	rye.Say(baker, "two @ana@oak.example")
	net.Deliver()
	want(t, "what ana was told", fmt.Sprint(told(t, oak, ana)), "[mention]")
	net.Sleep(2 * time.Hour)
	want(t, "what ana sees after an hour", len(oak.Home(ana)), 2)
	_, err = oak.Unmute(t.Context(), ana, "@baker@rye.example")
	must(t, err)
	_, err = oak.Unmute(t.Context(), ana, "@baker@rye.example")
	want(t, "a second time", status(err), 404)
}

func TestABlockFromElsewhereIsKept(t *testing.T) {
	net, rye, baker, peer := stage(t)
	post(t, net, peer.Request(ryeInbox, peer.Activity("Follow", "f", baker.Actor.IRI)))
	block := peer.Activity("Block", "b", baker.Actor.IRI)
	if got, body := post(t, net, peer.Request(ryeInbox, block)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	n, err := rye.DB.CountFollowers(t.Context(), baker.Actor.ID)
	want(t, "followers", count(t, n, err), 0)
	_, err = rye.Follow(t.Context(), baker, "@ann@far.example")
	want(t, "a follow of who blocks us", status(err), 403)
	if got, body := post(t, net, peer.Request(ryeInbox, peer.Activity("Undo", "u", block))); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	_, err = rye.Follow(t.Context(), baker, "@ann@far.example")
	must(t, err)
}
