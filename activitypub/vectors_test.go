package activitypub_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// Vectors are documents of other servers, each as such a server writes it. A document is sent rightly signed by its actor, or
// lies at its origin and is asked for there, and what the node then holds is compared with what the document says, field by
// field. Ours are in testdata/vectors: good_* must be taken, fail_* refused without any effect. Where the fixtures of real
// servers stand beside the repository, or where PLANET_TEST_FIXTURES points, they go the same way.
//
// A document speaks to somebody: that becomes the co-op at rye.example, and what is liked, answered or reported there becomes
// a post of hers (see play.localise). The keys of its actor become some that the test can sign with. Nothing else is changed.

func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	playAll(t, "testdata/vectors", files)
}

func TestFixtures(t *testing.T) {
	dir := fixtures(t)
	if dir == "" {
		t.Log("NO FIXTURES of real servers: neither ../shared/fixtures beside the repository nor PLANET_TEST_FIXTURES; only our own vectors were played")
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures in %s: %v", dir, err)
	}
	index, err := os.ReadFile(filepath.Join(dir, "INDEX.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name, _ := filepath.Rel(dir, f)
		if !strings.Contains(string(index), "| "+filepath.ToSlash(name)+" |") {
			t.Errorf("%s has no row in the index: nobody has said what is right for it", name)
		}
	}
	for name := range strings.SplitSeq(string(index), "\n") {
		if name, _, ok := strings.Cut(strings.TrimPrefix(name, "| "), " | "); ok && strings.HasSuffix(name, ".json") && !slices.Contains(files, filepath.Join(dir, filepath.FromSlash(name))) {
			t.Errorf("the index has a row for %s, which is not there", name)
		}
	}
	playAll(t, dir, files)
}

// fixtures is the directory of what real servers wrote; "" when there is none.
func fixtures(t *testing.T) string {
	if dir := os.Getenv("PLANET_TEST_FIXTURES"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			dir = filepath.Join(dir, "..", "shared", "fixtures")
			if _, err := os.Stat(dir); err == nil {
				return dir
			}
			return ""
		}
	}
	return ""
}

// abridged are examples of texts that leave out what every real document of their kind has: it is added before they are used,
// and without it they are refused, as vectors of ours show.
var abridged = map[string]dict{
	"fep/0837_actor_payment_link.json": {"preferredUsername": "alice"},
	"fep/8b32_actor.json":              {"preferredUsername": "alice"},
	"mastodon/docs_question.json":      {"attributedTo": "https://mastodon.example/users/alice", "to": []any{asPublic}},
	"mastodon/docs_note_hashtag.json":  {"to": []any{asPublic}},
}

func playAll(t *testing.T, dir string, files []string) {
	all := map[string]dict{}
	known := map[string]dict{} // actors and objects of the set by id: they are what the world serves
	for _, f := range files {
		name, _ := filepath.Rel(dir, f)
		name = filepath.ToSlash(name)
		all[name] = readVector(t, f)
		maps.Copy(all[name], abridged[name])
		if id := str(all[name], "id"); id != "" && all[name]["actor"] == nil && !strings.HasPrefix(name, "fail_") {
			known[id] = all[name]
		}
	}
	for name, doc := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, name, doc, known)
			if strings.HasPrefix(name, "fail_") {
				p.refused()
				return
			}
			p.run()
		})
	}
}

// readVector reads a document; of a recording of HTTP, the body. A node that speaks https asks nobody over http: ids of the time
// before https become such of today.
func readVector(t *testing.T, file string) dict {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc dict
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if body, ok := doc["body"].(string); ok && doc["headers"] != nil {
		doc = nil
		if err := json.Unmarshal([]byte(body), &doc); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	if doc["type"] == nil {
		return doc
	}
	return each(doc, func(s string) string {
		if rest, ok := strings.CutPrefix(s, "http://"); ok && !strings.HasPrefix(rest, "www.w3.org/") {
			return "https://" + rest
		}
		return s
	}).(dict)
}

// each changes every string of a document but those of its @context.
func each(v any, change func(string) string) any {
	switch v := v.(type) {
	case string:
		return change(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = each(v[i], change)
		}
		return out
	case dict:
		out := dict{}
		for k, e := range v {
			if out[k] = e; k != "@context" {
				out[k] = each(e, change)
			}
		}
		return out
	}
	return v
}

// str, listed, child and iri read documents as the test understands them: not with the node's own code.
func str(d dict, key string) string { s, _ := d[key].(string); return s }

func listed(d dict, key string) []any {
	switch v := d[key].(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

func child(d dict, key string) dict {
	for _, v := range listed(d, key) {
		if c, ok := v.(dict); ok {
			return c
		}
	}
	return dict{}
}

func iri(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case dict:
		if id := str(v, "id"); id != "" {
			return id
		}
		return str(v, "href")
	case []any:
		if len(v) > 0 {
			return iri(v[0])
		}
	}
	return ""
}

func kindOf(d dict) string {
	for _, k := range listed(d, "type") {
		if s, ok := k.(string); ok && (s == "Note" || len(listed(d, "type")) == 1 || slices.Contains(actorKinds, s) || slices.Contains(postKinds, s)) {
			return s
		}
	}
	return ""
}

var (
	actorKinds = []string{"Person", "Group", "Organization", "Application", "Service"}
	postKinds  = []string{"Note", "Question", "Article", "Page", "Event", "Image", "Audio", "Video", "ChatMessage"}
	plainPosts = []string{"Note", "Question", "ChatMessage"} // that have a warning where the others have a summary
)

func originOf(id string) string {
	u, err := url.Parse(id)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// world is every other server: it has documents at their ids, and inboxes.
type world struct {
	net *aptest.Network
	set map[string]dict // documents that the set brings

	mu       sync.Mutex
	docs     map[string]dict
	stubs    map[string]dict // of keys that are no fragments
	gone     map[string]bool
	fingers  map[string]dict
	peers    map[string]*aptest.Peer
	received []dict
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := "https://" + r.Host + r.URL.RequestURI()
	send := func(kind string, doc dict) {
		rw.Header().Set("Content-Type", kind)
		_ = json.NewEncoder(rw).Encode(doc)
	}
	if r.Method == http.MethodPost {
		var act dict
		_ = json.NewDecoder(r.Body).Decode(&act)
		w.received = append(w.received, act)
		rw.WriteHeader(http.StatusAccepted)
		return
	}
	if who := r.URL.Query().Get("resource"); r.URL.Path == "/.well-known/webfinger" {
		if f, ok := w.fingers[who]; ok {
			send("application/jrd+json", f)
			return
		}
		for id, d := range w.docs {
			if slices.Contains(actorKinds, kindOf(d)) && who == "acct:"+str(d, "preferredUsername")+"@"+r.Host && originOf(id) == "https://"+r.Host {
				send("application/jrd+json", dict{"subject": who, "links": []any{dict{"rel": "self", "type": "application/activity+json", "href": id}}})
				return
			}
		}
	}
	switch {
	case w.gone[at]:
		rw.WriteHeader(http.StatusGone)
	case w.docs[at] != nil:
		send("application/activity+json", w.docs[at])
	case w.stubs[at] != nil:
		send("application/activity+json", w.stubs[at])
	default:
		http.NotFound(rw, r)
	}
}

// put serves a document at its id, and lets the node reach every host that it names.
func (w *world) put(doc dict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id := str(doc, "id"); id != "" {
		w.docs[id] = doc
		if id == originOf(id) {
			w.docs[id+"/"] = doc
		}
	}
	w.reach(doc)
}

func (w *world) reach(doc dict) {
	each(doc, func(s string) string {
		if u, err := url.Parse(s); err == nil && u.Host != "" && u.Host != "rye.example" {
			w.net.Serve(u.Host, w)
		}
		return s
	})
}

// actor serves an actor, with a key that the test has; the document is the one of the set if it brings one.
func (w *world) actor(id string) *aptest.Peer {
	if p := w.peers[id]; p != nil {
		return p
	}
	n := len(w.peers) + 1
	p := aptest.NewPeer(originOf(id), "x", n, true)
	p.Now = w.net.Now
	doc := dict{
		"@context": as2, "id": id, "type": "Person", "preferredUsername": fmt.Sprintf("someone%d", n), "name": "Someone",
		"inbox": fmt.Sprintf("%s/inboxes/%d", originOf(id), n), "outbox": id + "/outbox", "followers": id + "/followers",
	}
	if d := w.set[id]; d != nil && slices.Contains(actorKinds, kindOf(d)) {
		doc = d
	}
	w.peers[id] = p
	w.rekey(p, doc)
	return p
}

// rekey serves an actor's document with a peer's key in the place of its own.
func (w *world) rekey(p *aptest.Peer, doc dict) {
	doc = each(doc, func(s string) string { return s }).(dict)
	id := str(doc, "id")
	der, _ := x509.MarshalPKIXPublicKey(p.Key.Public())
	key := dict{"id": id + "#main-key", "owner": id}
	if old := child(doc, "publicKey"); str(old, "id") != "" {
		key = old
	}
	key["publicKeyPem"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if _, many := doc["publicKey"].([]any); !many {
		doc["publicKey"] = key
	}
	p.KeyID = str(key, "id")
	if !strings.Contains(p.KeyID, "#") && p.KeyID != id {
		w.stubs[p.KeyID] = dict{"@context": as2, "id": id, "type": doc["type"], "preferredUsername": doc["preferredUsername"], "publicKey": key}
	}
	w.put(doc)
}

// answered are the activities of a type that came from the node.
func (w *world) answered(kind string) (out []dict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.received {
		if a["type"] == kind {
			out = append(out, a)
		}
	}
	return out
}

// play is one vector on its stage.
type play struct {
	t            *testing.T
	name         string
	net          *aptest.Network
	rye          *aptest.Node
	nuria, baker activitypub.By
	world        *world
	doc          dict
	sent         int
}

func newPlay(t *testing.T, name string, doc dict, set map[string]dict) *play {
	p := &play{t: t, name: name, net: aptest.New(t, "rye.example"), doc: doc}
	p.rye = p.net.Node("rye.example")
	p.nuria = p.rye.Person("nuria")
	p.baker = p.rye.Coop(p.nuria, "baker")
	p.world = &world{net: p.net, set: set, docs: map[string]dict{}, stubs: map[string]dict{}, gone: map[string]bool{}, fingers: map[string]dict{}, peers: map[string]*aptest.Peer{}}
	p.world.reach(doc)
	return p
}

// replace puts one string in the place of another, everywhere in the document.
func (p *play) replace(old string, by storage.IRI) {
	p.doc = each(p.doc, func(s string) string {
		if s == old {
			return string(by)
		}
		return s
	}).(dict)
}

// send brings a document to the shared inbox, signed by its actor.
func (p *play) send(by string, act dict) (int, string) {
	p.t.Helper()
	return post(p.t, p.net, p.world.actor(by).Request(ryeInbox, act))
}

// take sends what must be taken, and lets the node do what it then owes.
func (p *play) take(by string, act dict) {
	p.t.Helper()
	if got, body := p.send(by, act); got != 202 {
		p.t.Fatalf("%v was answered %d %s, want 202", act["type"], got, body)
	}
	p.net.Deliver()
}

// does is an activity beside the vector.
func (p *play) does(by, kind string, object any) dict {
	p.sent++
	return dict{"@context": as2, "id": fmt.Sprintf("%s/beside/%d", originOf(by), p.sent), "type": kind, "actor": by, "object": object}
}

// follow lets the co-op follow an actor, who agrees.
func (p *play) follow(id string) dict {
	p.t.Helper()
	p.world.actor(id)
	if _, err := p.rye.Follow(p.t.Context(), p.baker, id); err != nil {
		p.t.Fatalf("follow %s: %v", id, err)
	}
	p.net.Deliver()
	follows := p.world.answered("Follow")
	if len(follows) == 0 {
		p.t.Fatalf("%s got no Follow", id)
	}
	return follows[len(follows)-1]
}

func (p *play) followed(id string) {
	p.t.Helper()
	p.take(id, p.does(id, "Accept", p.follow(id)))
}

// refused plays a fail_ vector: it is answered 4xx, and nothing is changed.
func (p *play) refused() {
	actor := iri(p.doc["actor"])
	if actor == "" {
		p.refusedDocument()
		return
	}
	p.replace("{{LOCAL_ACTOR}}", p.baker.Actor.IRI)
	p.replace("{{LOCAL_POST_URL}}", p.rye.Say(p.baker, "bread").IRI)
	p.followed(actor)
	for _, about := range []dict{child(p.doc, "object"), child(child(p.doc, "object"), "object")} { // whom it wrongs is known here
		for _, key := range []string{"attributedTo", "actor"} {
			if id := iri(about[key]); id != "" && !strings.HasPrefix(id, "https://rye.example/") {
				p.world.actor(id)
				if _, err := p.rye.Resolve(p.t.Context(), id); err != nil {
					p.t.Fatal(err)
				}
			}
		}
	}
	before := p.rye.State()
	got, body := p.send(actor, p.doc)
	p.net.Deliver()
	if got < 400 || got > 499 {
		p.t.Errorf("it was answered %d %s, want a refusal", got, body)
	}
	p.rye.WantUnmoved(before)
}

// refusedDocument is a document that lies at its id and that the node must not take for what it says.
func (p *play) refusedDocument() {
	id := str(p.doc, "id")
	if slices.Contains(actorKinds, kindOf(p.doc)) {
		p.world.rekey(p.world.actor(id), p.doc)
	}
	p.world.put(p.doc)
	if a, err := p.rye.Resolve(p.t.Context(), id); err == nil {
		p.t.Errorf("it was taken for the actor %+v", a)
	}
	booster := "https://booster.example/users/bo"
	p.net.Serve("booster.example", p.world)
	p.followed(booster)
	p.take(booster, p.does(booster, "Announce", id))
	if kept, err := p.rye.DB.PostByIRI(p.t.Context(), storage.IRI(id)); err == nil {
		p.t.Errorf("it was kept as the post %+v", kept)
	}
}

// run plays a good vector by its kind.
func (p *play) run() {
	kind := kindOf(p.doc)
	switch {
	case p.doc["links"] != nil && p.doc["subject"] != nil:
		p.jrd()
	case kind == "": // NodeInfo: the node asks nobody for it
		p.notAnActor(p.doc)
	case slices.Contains(actorKinds, kind):
		p.person()
	case p.doc["actor"] != nil && !slices.Contains(postKinds, kind):
		p.activity(kind)
	default:
		p.object(kind)
	}
}

// person: an actor is found by its handle, and what its document says is kept.
func (p *play) person() {
	id := str(p.doc, "id")
	peer := p.world.actor(id)
	p.world.rekey(peer, p.doc)
	u, _ := url.Parse(id)
	handle := "@" + str(p.doc, "preferredUsername") + "@" + u.Host
	a, err := p.rye.Resolve(p.t.Context(), handle)
	if err != nil {
		p.t.Fatalf("%s: %v", handle, err)
	}
	p.wantActor(a, p.world.docs[id])
	if got, body := p.send(id, p.does(id, "Follow", string(p.baker.Actor.IRI))); got != 202 { // it can do what others do, by its key
		p.t.Errorf("its Follow was answered %d %s", got, body)
	}
}

// jrd: a WebFinger answer leads to the actor that it names.
func (p *play) jrd() {
	subject := str(p.doc, "subject")
	self := ""
	for _, l := range listed(p.doc, "links") {
		if l := l.(dict); l["rel"] == "self" && strings.HasPrefix(str(l, "type"), "application/") {
			self = str(l, "href")
		}
	}
	name, host, _ := strings.Cut(strings.TrimPrefix(subject, "acct:"), "@")
	p.world.actor(self)
	p.world.docs[self]["preferredUsername"] = name
	p.world.fingers[subject] = p.doc
	p.net.Serve(host, p.world)
	a, err := p.rye.Resolve(p.t.Context(), "@"+name+"@"+host)
	if err != nil {
		p.t.Fatal(err)
	}
	if string(a.IRI) != self || a.Handle("rye.example") != "@"+name+"@"+host && a.Handle("rye.example") != name+"@"+host {
		p.t.Errorf("%s leads to %s as %s, want %s", subject, a.IRI, a.Handle("rye.example"), self)
	}
}

// notAnActor: a document where an actor was looked for is refused in words.
func (p *play) notAnActor(doc dict) {
	at := "https://far.example/document"
	doc = maps.Clone(doc)
	doc["id"] = at
	p.world.put(doc)
	p.net.Serve("far.example", p.world)
	if a, err := p.rye.Resolve(p.t.Context(), at); err == nil {
		p.t.Errorf("it was taken for the actor %+v", a)
	}
}

// object: what lies at its id is found there, when somebody shares it; what is no post is not kept.
func (p *play) object(kind string) {
	id := str(p.doc, "id")
	booster := "https://booster.example/users/bo"
	p.net.Serve("booster.example", p.world)
	p.followed(booster)
	if id == "" {
		p.notAnActor(p.doc)
		return
	}
	for _, a := range listed(p.doc, "attributedTo") {
		p.world.actor(iri(a))
	}
	p.world.put(p.doc)
	if kind == "Tombstone" {
		p.tombstone(id)
		return
	}
	before := p.rye.State()
	if addressed := slices.Concat(listed(p.doc, "to"), listed(p.doc, "cc")); slices.Contains(postKinds, kind) && !slices.Contains(addressed, any(asPublic)) {
		p.local(iri(addressed[0]), false) // nobody shares it; its reader looks at it where it is
		p.world.put(p.doc)
		if _, err := p.rye.Publish(p.t.Context(), p.baker, activitypub.Draft{Text: "Yes.", InReplyTo: storage.IRI(id), Visibility: storage.Direct}); err != nil {
			p.t.Fatal(err)
		}
	} else {
		p.take(booster, p.does(booster, "Announce", id))
	}
	kept, err := p.rye.DB.PostByIRI(p.t.Context(), storage.IRI(id))
	if slices.Contains(postKinds, kind) {
		if err != nil {
			p.t.Fatalf("it was not kept: %v", err)
		}
		p.wantPost(kept, p.doc)
		if kind == "ChatMessage" && kept.Visibility != storage.Direct {
			p.t.Errorf("a private message is %s", kept.Visibility)
		}
		return
	}
	if err == nil {
		p.t.Errorf("it is no post, and was kept as %+v", kept)
	}
	for _, change := range before.Changes(p.rye.State()) {
		if !strings.Contains(change, "activities") {
			p.t.Errorf("it changed %s", change)
		}
	}
	if _, err := p.rye.Resolve(p.t.Context(), id); err == nil {
		p.t.Error("it was taken for an actor")
	}
}

// tombstone: what is found gone is forgotten, and its id is not taken again.
func (p *play) tombstone(id string) {
	author := originOf(id) + "/users/writer"
	p.followed(author)
	say := p.does(author, "Create", dict{"id": id, "type": "Note", "attributedTo": author, "content": "before", "to": []any{asPublic}})
	p.take(author, say)
	group := originOf(id) + "/c/group"
	p.followed(group)
	p.take(group, p.does(group, "Announce", p.does(author, "Delete", id)))
	if kept, err := p.rye.DB.PostByIRI(p.t.Context(), storage.IRI(id)); err != nil || kept.DeletedAt == nil || kept.Content != "" {
		p.t.Errorf("the post is %+v, %v; want it deleted", kept, err)
	}
	say["id"] = str(say, "id") + "/again"
	p.take(author, say)
	if kept, err := p.rye.DB.PostByIRI(p.t.Context(), storage.IRI(id)); err != nil || kept.DeletedAt == nil {
		p.t.Errorf("a late Create brought it back: %+v, %v", kept, err)
	}
}
