package activitypub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// stage is a node with a co-op, and a peer elsewhere.
func stage(t *testing.T) (*aptest.Network, *aptest.Node, activitypub.By, *aptest.Peer) {
	t.Helper()
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	peer := aptest.NewPeer("https://far.example", "ann", 9, false)
	peer.Now = net.Now
	net.Serve("far.example", peer)
	return net, rye, baker, peer
}

// post sends a request to the node and returns the status and the body.
func post(t *testing.T, net *aptest.Network, r *http.Request) (int, string) {
	t.Helper()
	res, err := net.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode >= 400 && res.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a refusal is %q, want an RFC 9457 document", res.Header.Get("Content-Type"))
	}
	return res.StatusCode, string(body)
}

const ryeInbox = "https://rye.example/inbox"

func TestAFollowIsAcceptedOnceAndAnsweredAgainWhenRepeated(t *testing.T) {
	net, rye, baker, peer := stage(t)
	for i := range 2 {
		if got, body := post(t, net, peer.Request(string(baker.Actor.Inbox), peer.Activity("Follow", fmt.Sprint(i), baker.Actor.IRI))); got != 202 {
			t.Fatalf("%d %s", got, body)
		}
		net.Deliver()
	}
	if n, err := rye.DB.CountFollowers(t.Context(), baker.Actor.ID); err != nil || n != 1 {
		t.Errorf("%d followers, %v; want 1", n, err)
	}
	got := peer.Received()
	if len(got) != 2 {
		t.Fatalf("the peer got %d answers, want 2", len(got))
	}
	var accept struct {
		Type, Actor string
		Object      struct{ ID, Type, Actor, Object string }
		Proof       map[string]any
	}
	if err := json.Unmarshal(got[0], &accept); err != nil {
		t.Fatal(err)
	}
	if accept.Type != "Accept" || accept.Object.Type != "Follow" || accept.Object.Actor != peer.ID() || accept.Object.Object != string(baker.Actor.IRI) || accept.Object.ID == "" {
		t.Errorf("the answer embeds %+v, want the whole Follow", accept)
	}
	if accept.Proof["cryptosuite"] != "eddsa-jcs-2022" {
		t.Errorf("the answer carries the proof %v", accept.Proof)
	}
}

func TestAnUndoThatOvertakesItsFollow(t *testing.T) {
	net, rye, baker, peer := stage(t)
	follow := peer.Activity("Follow", "1", baker.Actor.IRI)
	post(t, net, peer.Request(ryeInbox, peer.Activity("Undo", "2", follow)))
	post(t, net, peer.Request(ryeInbox, follow))
	if n, _ := rye.DB.CountFollowers(t.Context(), baker.Actor.ID); n != 0 {
		t.Errorf("the follow that was taken back counts")
	}
	// The other way: a new Follow overtakes the Undo of the old one.
	post(t, net, peer.Request(ryeInbox, peer.Activity("Follow", "3", baker.Actor.IRI)))
	post(t, net, peer.Request(ryeInbox, peer.Activity("Follow", "4", baker.Actor.IRI)))
	post(t, net, peer.Request(ryeInbox, peer.Activity("Undo", "5", peer.Activity("Follow", "3", baker.Actor.IRI))))
	if n, _ := rye.DB.CountFollowers(t.Context(), baker.Actor.ID); n != 1 {
		t.Errorf("the new follow was ended by the old one's Undo")
	}
	post(t, net, peer.Request(ryeInbox, peer.Activity("Undo", "6", peer.Activity("Follow", "never-sent", baker.Actor.IRI))))
	if n, _ := rye.DB.CountFollowers(t.Context(), baker.Actor.ID); n != 0 {
		t.Errorf("an Undo with an id of its own does not end the follow")
	}
}

func TestInboxRefuses(t *testing.T) {
	net, rye, baker, peer := stage(t)
	me := string(baker.Actor.IRI)
	raw := func(s string) *http.Request { return peer.Request(ryeInbox, []byte(s)) }
	note := func() *http.Request { return peer.Request(ryeInbox, peer.Note("n", "hello", me)) }
	with := func(r *http.Request, change func(r *http.Request)) *http.Request { change(r); return r }
	far := peer.ID()
	for _, c := range []struct {
		name string
		r    *http.Request
		want int
	}{
		{"SIG001 no signature", with(note(), func(r *http.Request) { r.Header.Del("Signature") }), 401},
		{"SIG002 only the date is signed", with(note(), func(r *http.Request) { peer.Sign(r, "date") }), 401},
		{"SIG004 another body", with(note(), func(r *http.Request) {
			b, _ := json.Marshal(peer.Note("n", "forged", me))
			r.Body = io.NopCloser(bytes.NewReader(b))
		}), 401},
		{"SIG030 two actors", raw(`{"id":"` + far + `/1","type":"Follow","actor":["` + far + `","https://v.example/u"],"object":"` + me + `"}`), 400},
		{"SIG045 actor twice", raw(`{"id":"` + far + `/1","type":"Follow","actor":"` + far + `","actor":"https://v.example/u","object":"` + me + `"}`), 400},
		{"ACT162 two types", raw(`{"id":"` + far + `/1","type":["Create","Delete"],"actor":"` + far + `","object":"` + me + `"}`), 400},
		{"ACT162 a number as type", raw(`{"id":"` + far + `/1","type":7,"actor":"` + far + `","object":"` + me + `"}`), 400},
		{"ACT163 no id", raw(`{"type":"Follow","actor":"` + far + `","object":"` + me + `"}`), 400},
		{"ACT163 an object as id", raw(`{"id":{},"type":"Follow","actor":"` + far + `","object":"` + me + `"}`), 400},
		{"not JSON", raw(`hello`), 400},
		{"an array", raw(`[]`), 400},
		{"FET104 depth", raw(strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500)), 400},
		{"FET103 size", raw(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`), 413},
		{"FET105 many addresses", raw(`{"id":"` + far + `/1","type":"Follow","actor":"` + far + `","object":"` + me + `","to":[` + strings.Repeat(`"x",`, 2000) + `"x"]}`), 400},
		{"media type", with(note(), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }), 415},
		{"nobody's inbox", peer.Request("https://rye.example/users/nobody/inbox", peer.Note("n", "hello", me)), 404},
		{"an unknown type", raw(`{"id":"` + far + `/1","type":"Levitate","actor":"` + far + `","object":"` + me + `"}`), 202},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, body := post(t, net, c.r); got != c.want {
				t.Errorf("%d %s, want %d", got, body, c.want)
			}
			if home := rye.Home(baker); len(home) != 0 {
				t.Errorf("%d posts were kept", len(home))
			}
		})
	}
	if rye.Counts()["unknown.Levitate"] != 1 {
		t.Errorf("the unknown type was not counted: %v", rye.Counts())
	}
}

func TestACT161WhatConcernsNobodyIsNotKept(t *testing.T) {
	net, rye, _, peer := stage(t)
	act := peer.Note("n", "to the world")
	if got, body := post(t, net, peer.Request(ryeInbox, act)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	if n, err := rye.DB.CountActivities(t.Context(), storage.IRI(act["id"].(string)), storage.IRI(peer.ID())); err != nil || n != 0 {
		t.Errorf("kept %d times, %v", n, err)
	}
}

func TestACT169TheSameActivityManyTimesAtOnce(t *testing.T) {
	net, rye, baker, peer := stage(t)
	act := peer.Note("n", "hello", string(baker.Actor.IRI))
	var all sync.WaitGroup
	for i := range 50 {
		inbox := ryeInbox
		if i%2 == 0 {
			inbox = string(baker.Actor.Inbox)
		}
		r := peer.Request(inbox, act)
		all.Go(func() {
			if res, err := net.RoundTrip(r); err != nil || res.StatusCode != 202 {
				t.Errorf("%v %v", res, err)
			}
		})
	}
	all.Wait()
	if home := rye.Home(baker); len(home) != 1 {
		t.Errorf("the baker sees %d posts, want 1", len(home))
	}
	if told, _ := rye.DB.Notifications(t.Context(), baker.Actor.ID, storage.Page{}); len(told) != 1 {
		t.Errorf("the baker was told %d times, want once", len(told))
	}
}

func TestADeletionThatOvertakesItsPost(t *testing.T) {
	net, rye, baker, peer := stage(t)
	act := peer.Note("n", "hello", string(baker.Actor.IRI))
	note := act["object"].(map[string]any)["id"]
	post(t, net, peer.Request(ryeInbox, peer.Activity("Delete", "d", map[string]any{"id": note, "type": "Tombstone"})))
	post(t, net, peer.Request(ryeInbox, act))
	if home := rye.Home(baker); len(home) != 0 {
		t.Errorf("the deleted post is there: %+v", home)
	}
}

func TestSIG036ADeletionOfSomebodyUnknownAsksNobody(t *testing.T) {
	net, _, _, peer := stage(t)
	before := len(net.Trips())
	if got, body := post(t, net, peer.Request(ryeInbox, peer.Activity("Delete", "d", peer.ID()))); got != 202 {
		t.Errorf("%d %s", got, body)
	}
	if trips := net.Trips()[before+1:]; len(trips) != 0 {
		t.Errorf("it asked %v", trips)
	}
}

func TestSIG034BadSignaturesAskForTheKeyOnce(t *testing.T) {
	net, _, baker, peer := stage(t)
	for range 100 {
		r := peer.Request(ryeInbox, peer.Note("n", "hello", string(baker.Actor.IRI)))
		r.Header.Set("Signature", strings.Replace(r.Header.Get("Signature"), `signature="`, `signature="AAAA`, 1))
		if got, body := post(t, net, r); got != 401 {
			t.Fatalf("%d %s", got, body)
		}
	}
	asked := 0
	for _, trip := range net.Trips() {
		if strings.HasPrefix(trip, "GET https://far.example/users/ann") {
			asked++
		}
	}
	if asked > 1 {
		t.Errorf("the key was asked for %d times", asked)
	}
}

func TestSIG035AKeyServerThatFailsIsNotTheSendersFault(t *testing.T) {
	net, _, baker, peer := stage(t)
	net.Serve("far.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	res, err := net.RoundTrip(peer.Request(ryeInbox, peer.Note("n", "hello", string(baker.Actor.IRI))))
	if err != nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("%v %v, want 503 with Retry-After", res, err)
	}
}

func TestACT168AnotherHostsName(t *testing.T) {
	net, rye, baker, peer := stage(t)
	_ = net
	r := peer.Request("https://other.example/inbox", peer.Note("n", "hello", string(baker.Actor.IRI)))
	body, _ := io.ReadAll(r.Body)
	in := httptest.NewRequest(http.MethodPost, "/inbox", bytes.NewReader(body))
	in.Header, in.Host = r.Header, "other.example"
	rec := httptest.NewRecorder()
	rye.Handler().ServeHTTP(rec, in)
	if rec.Code != 401 && rec.Code != 421 {
		t.Errorf("SIG011: signed for another host, answered %d", rec.Code)
	}
}

func TestWhatAnotherForwardsIsTakenWhenItsActorSignedItself(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	ana := oak.Person("ana")
	peer := aptest.NewPeer("https://far.example", "ann", 9, false)
	peer.Now = net.Now
	net.Serve("far.example", peer)
	if _, err := oak.Follow(t.Context(), ana, "@ann@far.example"); err != nil {
		t.Fatal(err)
	}
	if _, err := oak.Publish(t.Context(), ana, activitypub.Draft{Text: "Good bread, @ann@far.example and @baker@rye.example"}); err != nil {
		t.Fatal(err)
	}
	net.Serve("rye.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	net.Deliver() // the baker's copy does not arrive
	net.Serve("rye.example", rye.Handler())
	var create []byte
	for _, raw := range peer.Received() {
		if bytes.Contains(raw, []byte(`"Create"`)) {
			create = raw
		}
	}
	if create == nil {
		t.Fatal("the peer has no Create of ana's")
	}
	changed := bytes.Replace(create, []byte("Good bread"), []byte("Bad bread"), 1)
	if got, body := post(t, net, peer.Request(ryeInbox, changed)); got != 401 {
		t.Errorf("a forwarded forgery: %d %s, want 401", got, body)
	}
	if got, body := post(t, net, peer.Request(ryeInbox, create)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	if home := rye.Home(baker); len(home) != 1 || !strings.Contains(home[0].Content, "Good bread") {
		t.Errorf("the baker sees %d posts, want ana's", len(home))
	}
}

// Once an account is gone its server answers 410 for its key too, and its last Delete can be verified by nobody.
func TestADeletionWhoseKeyIsGoneIsBelievedWhenTheOriginSaysSo(t *testing.T) {
	net, rye, baker, peer := stage(t)
	if got, body := post(t, net, peer.Request(ryeInbox, peer.Note("n", "hello", string(baker.Actor.IRI)))); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	net.Serve("far.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }))
	if got, body := post(t, net, goodbye(net, peer)); got != 202 {
		t.Fatalf("%d %s, want 202", got, body)
	}
	if home := rye.Home(baker); len(home) != 0 {
		t.Errorf("the baker still sees %d posts of hers", len(home))
	}
	a, err := rye.DB.ActorByIRI(t.Context(), storage.IRI(peer.ID()))
	if err != nil || a.DeletedAt == nil {
		t.Errorf("the actor is %+v, %v; want her deleted", a, err)
	}
}

func TestADeletionWhoseKeyIsGoneIsRefusedWhileTheActorIsThere(t *testing.T) {
	net, rye, baker, peer := stage(t)
	post(t, net, peer.Request(ryeInbox, peer.Note("n", "hello", string(baker.Actor.IRI))))
	if got, body := post(t, net, goodbye(net, peer)); got != 401 {
		t.Errorf("%d %s, want 401", got, body)
	}
	if home := rye.Home(baker); len(home) != 1 {
		t.Errorf("the baker sees %d posts of hers, want the one", len(home))
	}
}

// goodbye is a Delete of an actor by herself, signed with a key that was never seen here.
func goodbye(net *aptest.Network, peer *aptest.Peer) *http.Request {
	other := aptest.NewPeer(peer.Origin, peer.Name, 10, false)
	other.Now, other.KeyID = net.Now, peer.ID()+"#another-key"
	return other.Request(ryeInbox, peer.Activity("Delete", "d", peer.ID()))
}
