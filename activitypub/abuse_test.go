package activitypub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// The abuse_*_test.go files replay the numbered cases of abuse (docs/security.md says where each group stands). A case sends
// what another server might and says what is answered and what must stay as it was; what holds for all of them is checked by
// aptest.Network and by TestMain.

func TestMain(m *testing.M) {
	// The node's caches tidy themselves up for as long as the process lives.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/maypok86/otter/v2.periodicCleanUp[...]"))
}

// scene is where most cases play: a co-op at rye.example that follows ann, and is followed by her. bob lives on ann's server,
// eve on another; the node knows them all, and has a post by each.
type scene struct {
	net           *aptest.Network
	rye           *aptest.Node
	baker, nuria  activitypub.By
	ann, bob, eve *aptest.Peer
	sent          int
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{net: aptest.New(t, "rye.example")}
	s.rye = s.net.Node("rye.example")
	s.nuria = s.rye.Person("nuria")
	s.baker = s.rye.Coop(s.nuria, "baker")
	s.ann, s.bob, s.eve = s.peer("far.example", "ann", 1), s.peer("far.example", "bob", 2), s.peer("evil.example", "eve", 3)
	s.net.Serve("far.example", town{s.ann, s.bob})
	s.net.Serve("evil.example", town{s.eve})
	if _, err := s.rye.Follow(t.Context(), s.baker, "@ann@far.example"); err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
	s.take(t, s.ann, s.ann.Activity("Accept", "accept", s.received(t, s.ann, "Follow")))
	s.take(t, s.ann, s.ann.Activity("Follow", "follow", s.baker.Actor.IRI))
	for _, p := range []*aptest.Peer{s.ann, s.bob, s.eve} {
		s.take(t, p, p.Note("hello", "hello from "+p.Name, string(s.baker.Actor.IRI)))
	}
	s.net.Deliver()
	return s
}

// peer is somebody elsewhere who signs with Ed25519.
func (s *scene) peer(host, name string, pool int) *aptest.Peer {
	p := aptest.NewPeer("https://"+host, name, pool, true)
	p.Now = s.net.Now
	return p
}

// prove gives everybody a key for what lasts, as whoever pays needs one.
func (s *scene) prove(t *testing.T) {
	t.Helper()
	for i, p := range []*aptest.Peer{s.ann, s.bob, s.eve} {
		p.Proves(i + 1)
		s.take(t, p, s.does(p, "Update", p.Document()))
	}
}

// town is a server with several people on it.
type town []*aptest.Peer

func (t town) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, p := range t {
		if r.URL.Path == "/users/"+p.Name || strings.HasPrefix(r.URL.Path, "/users/"+p.Name+"/") ||
			strings.HasPrefix(r.URL.Query().Get("resource"), "acct:"+p.Name+"@") {
			p.ServeHTTP(w, r)
			return
		}
	}
	http.NotFound(w, r)
}

// take sends an activity that must be taken.
func (s *scene) take(t *testing.T, by *aptest.Peer, act any) {
	t.Helper()
	if got, body := post(t, s.net, by.Request(ryeInbox, act)); got != 202 {
		t.Fatalf("%s: %d %s", by.Name, got, body)
	}
}

// received is the last activity of a type that came to a peer.
func (s *scene) received(t *testing.T, p *aptest.Peer, kind string) dict {
	t.Helper()
	all := p.Received()
	for _, raw := range slices.Backward(all) {
		var m dict
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		if m["type"] == kind {
			return m
		}
	}
	t.Fatalf("%s got no %s among %d activities", p.Name, kind, len(all))
	return nil
}

// id is a fresh one of a peer's.
func (s *scene) id(p *aptest.Peer, kind string) string {
	s.sent++
	return fmt.Sprintf("%s/%s/%d", p.ID(), kind, s.sent)
}

// does is an activity with a fresh id.
func (s *scene) does(p *aptest.Peer, kind string, object any) dict {
	return dict{"@context": as2, "id": s.id(p, "activities"), "type": kind, "actor": p.ID(), "object": object}
}

// says is a Create of a public Note that speaks to the co-op; change edits the Note.
func (s *scene) says(p *aptest.Peer, text string, change ...func(note dict)) dict {
	note := dict{"id": s.id(p, "notes"), "type": "Note", "attributedTo": p.ID(), "content": text, "to": []any{asPublic}, "cc": []any{s.baker.Actor.IRI}}
	for _, f := range change {
		f(note)
	}
	return s.does(p, "Create", note)
}

// helloBy is the id of the post that everyone begins with.
func helloBy(p *aptest.Peer) string { return p.ID() + "/notes/hello" }

// noteBy is a Note by a peer with the given id.
func noteBy(p *aptest.Peer, id, text string) dict {
	return dict{"id": id, "type": "Note", "attributedTo": p.ID(), "content": text, "to": []any{asPublic}}
}

// abuse is one thing that somebody sends and that must change nothing.
type abuse struct {
	name string
	by   *aptest.Peer
	act  any // a []byte is sent as it is
	want []int
}

// refuse plays cases one after another.
func (s *scene) refuse(t *testing.T, cases ...abuse) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			unmoved(t, s.net, s.rye, s.baker, c.by.Request(ryeInbox, c.act), c.want...)
		})
	}
}

// refusals are the statuses of what is well signed and not allowed.
var refusals = []int{400, 401, 403}

// nop is any answer at all that is no fault of ours, where nothing may change.
var nop = []int{200, 202, 400, 401, 403, 404, 409, 410, 413, 422}

// post is one of the node's posts by its id.
func (s *scene) post(t *testing.T, id string) *storage.Post {
	t.Helper()
	p, err := s.rye.DB.PostByIRI(t.Context(), storage.IRI(id))
	if err != nil {
		t.Fatalf("the post %s: %v", id, err)
	}
	return p
}

// actor is one of the actors that the node knows.
func (s *scene) actor(t *testing.T, id string) *storage.Actor {
	t.Helper()
	a, err := s.rye.DB.ActorByIRI(t.Context(), storage.IRI(id))
	if err != nil {
		t.Fatalf("the actor %s: %v", id, err)
	}
	return a
}
