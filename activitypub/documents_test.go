package activitypub_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	as2           = "https://www.w3.org/ns/activitystreams"
	asPublic      = as2 + "#Public"
	activityMedia = "application/activity+json"
	problems      = "application/problem+json"
)

// served is what a node answered.
type served struct {
	status int
	header http.Header
	body   string
}

// ask sends a GET as Mastodon does; change may sign it or ask for something else.
func ask(t *testing.T, net *aptest.Network, address string, change ...func(*http.Request)) served {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/activity+json, application/ld+json")
	for _, f := range change {
		f(r)
	}
	res, err := net.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return served{res.StatusCode, res.Header, string(body)}
}

// signedBy signs a GET as GoToSocial and Mastodon do.
func signedBy(p *aptest.Peer) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Date", p.Now().UTC().Format(http.TimeFormat))
		p.Sign(r, "(request-target)", "host", "date")
	}
}

// broken signs a GET over another target than its own, as Fedify does when it asks for a key.
func broken(p *aptest.Peer) func(*http.Request) {
	return func(r *http.Request) {
		address := *r.URL
		r.URL.Path += "/elsewhere"
		signedBy(p)(r)
		*r.URL = address
	}
}

func accepting(accept string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Accept", accept) }
}

// hand is an actor of a node as a signer of requests, with the key that the node keeps for it.
func hand(t *testing.T, net *aptest.Network, n *aptest.Node, a *storage.Actor) *aptest.Peer {
	t.Helper()
	keys, err := n.DB.KeysOf(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Kind != storage.KeyRSA {
			continue
		}
		block, _ := pem.Decode([]byte(k.Private))
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return &aptest.Peer{Origin: n.Origin, Name: a.Username, KeyID: string(k.IRI), Key: key.(crypto.Signer), Now: net.Now}
	}
	t.Fatalf("%s has no RSA key", a.IRI)
	return nil
}

// newcomer is one more peer, at a host of its own.
func newcomer(net *aptest.Network, host, name string, pool int) *aptest.Peer {
	p := aptest.NewPeer("https://"+host, name, pool, false)
	p.Now = net.Now
	net.Serve(host, p)
	return p
}

// befriend lets a peer follow an actor of the node.
func befriend(t *testing.T, net *aptest.Network, p *aptest.Peer, a *storage.Actor) {
	t.Helper()
	if got, body := post(t, net, p.Request(string(a.Inbox), p.Activity("Follow", "follow", a.IRI))); got != 202 {
		t.Fatalf("the follow is answered %d %s", got, body)
	}
	net.Deliver()
}

// open reads a document that must be there, and holds what all documents have: the media type, Vary, a context that
// names ActivityStreams by itself, and an id that is the address.
func open(t *testing.T, net *aptest.Network, address string, change ...func(*http.Request)) map[string]any {
	t.Helper()
	s := ask(t, net, address, change...)
	if s.status != 200 {
		t.Fatalf("%s is %d %s, want 200", address, s.status, s.body)
	}
	if got := s.header.Get("Content-Type"); got != activityMedia+"; charset=utf-8" {
		t.Errorf("%s is %q, want ActivityPub", address, got)
	}
	if got := s.header.Get("Vary"); got != "Accept, Signature" {
		t.Errorf("%s varies by %q", address, got)
	}
	doc := decode(t, s.body)
	if context, ok := doc["@context"].([]any); !ok || !slices.Contains(context, any(as2)) {
		t.Errorf("%s has the context %v, want a list with %s", address, doc["@context"], as2)
	}
	if doc["id"] != address {
		t.Errorf("the document at %s calls itself %v", address, doc["id"])
	}
	return doc
}

func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return m
}

// list reads a property that must be an array on the wire, whatever it holds; texts are its strings.
func list(t *testing.T, m map[string]any, key string) (all []any, texts []string) {
	t.Helper()
	all, ok := m[key].([]any)
	if !ok {
		t.Errorf("%s of %v is %T, want an array", key, m["id"], m[key])
	}
	for _, v := range all {
		if s, ok := v.(string); ok {
			texts = append(texts, s)
		}
	}
	return all, texts
}

// wantGolden holds a document against a file. What differs from run to run is named in placeholders first: old, new, …
func wantGolden(t *testing.T, name string, doc map[string]any, placeholders ...string) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(doc); err != nil {
		t.Fatal(err)
	}
	got := strings.NewReplacer(placeholders...).Replace(b.String())
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./activitypub -run %s -update writes it anew):\n%s", name, t.Name(), got)
	}
}

// publish says something that must succeed.
func publish(t *testing.T, n *aptest.Node, by activitypub.By, d activitypub.Draft) *storage.Post {
	t.Helper()
	p, err := n.Publish(t.Context(), by, d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantNote holds what every server asks of a Note, whoever it is for.
func wantNote(t *testing.T, doc map[string]any, p *storage.Post, author *storage.Actor) {
	t.Helper()
	for key, want := range map[string]string{
		"type": "Note", "id": string(p.IRI), "attributedTo": string(author.IRI), "url": p.URL, "content": p.Content, "published": p.PublishedAt.Format(time.RFC3339),
	} {
		if doc[key] != want {
			t.Errorf("%s is %v, want %s", key, doc[key], want)
		}
	}
	list(t, doc, "to")
	list(t, doc, "cc")
	for _, key := range []string{"tag", "attachment"} {
		if doc[key] != nil {
			list(t, doc, key)
		}
	}
	if doc["name"] != nil {
		t.Errorf("a Note has the name %v; Lemmy makes a title of it", doc["name"])
	}
	if replies, _ := doc["replies"].(map[string]any); replies["id"] != string(p.IRI)+"/replies" || replies["type"] != "Collection" {
		t.Errorf("replies are %v", doc["replies"])
	}
}

func TestANoteSaysWhomItIsFor(t *testing.T) {
	net, rye, baker, ann := stage(t)
	befriend(t, net, ann, baker.Actor)
	followers, far := string(baker.Actor.Followers), ann.ID()
	for _, c := range []struct {
		visibility, text string
		to, cc           []string
	}{
		{storage.Public, "bread", []string{asPublic}, []string{followers}},
		{storage.Public, "bread for @ann@far.example", []string{asPublic}, []string{followers, far}},
		{storage.Unlisted, "bread", []string{followers}, []string{asPublic}},
		{storage.Unlisted, "bread for @ann@far.example", []string{followers}, []string{asPublic, far}},
		{storage.Private, "bread", []string{followers}, nil},
		{storage.Private, "bread for @ann@far.example", []string{followers, far}, nil},
		{storage.Direct, "bread for @ann@far.example", []string{far}, nil},
	} {
		t.Run(c.visibility+" "+c.text, func(t *testing.T) {
			p := publish(t, rye, baker, activitypub.Draft{Text: c.text, Visibility: c.visibility})
			note := open(t, net, string(p.IRI), signedBy(ann))
			wantNote(t, note, p, baker.Actor)
			create := open(t, net, string(p.IRI)+"/activity", signedBy(ann))
			if create["type"] != "Create" || create["actor"] != string(baker.Actor.IRI) || create["object"].(map[string]any)["id"] != string(p.IRI) {
				t.Errorf("the activity is %v", create)
			}
			wantNote(t, create["object"].(map[string]any), p, baker.Actor)
			for _, doc := range []map[string]any{note, create, create["object"].(map[string]any)} {
				if _, to := list(t, doc, "to"); !slices.Equal(to, c.to) {
					t.Errorf("%s is to %v, want %v", doc["type"], to, c.to)
				}
				if _, cc := list(t, doc, "cc"); !slices.Equal(cc, c.cc) {
					t.Errorf("%s is cc %v, want %v", doc["type"], cc, c.cc)
				}
			}
			if tags := 0; strings.Contains(c.text, "@ann") {
				all, _ := list(t, note, "tag")
				for _, raw := range all {
					tag := raw.(map[string]any)
					if tag["type"] == "Mention" && tag["href"] == far && tag["name"] == "@ann@far.example" {
						tags++
					}
				}
				if tags != 1 {
					t.Errorf("ann is tagged %d times in %v, want once", tags, all)
				}
			}
		})
	}
}

func TestANoteWithEverything(t *testing.T) {
	net, rye, baker, _ := stage(t)
	first := rye.Say(baker, "Open today")
	net.Sleep(time.Minute)
	p := publish(t, rye, baker, activitypub.Draft{Text: "x", InReplyTo: first.IRI, Language: "ca"})
	if doc := open(t, net, string(p.IRI)); doc["updated"] != nil || doc["summary"] != nil || doc["sensitive"] != false || doc["tag"] != nil {
		t.Errorf("a plain post is %v", doc)
	}
	net.Sleep(time.Minute)
	p, err := rye.Edit(t.Context(), baker, p.ID, activitypub.Draft{Language: "ca", Summary: "Wheat & rye",
		Text: "Fresh #Bread & <b>rolls</b> for @ann@far.example at https://rye.example/@baker\n\n#bread"})
	if err != nil {
		t.Fatal(err)
	}
	doc := open(t, net, string(p.IRI))
	wantNote(t, doc, p, baker.Actor)
	for key, want := range map[string]any{
		"inReplyTo": string(first.IRI), "summary": "Wheat & rye", "sensitive": true,
		"published": "2026-11-24T09:01:00Z", "updated": "2026-11-24T09:02:00Z",
	} {
		if doc[key] != want {
			t.Errorf("%s is %v, want %v", key, doc[key], want)
		}
	}
	if m, _ := doc["contentMap"].(map[string]any); len(m) != 1 || m["ca"] != p.Content {
		t.Errorf("contentMap is %v, want the content in Catalan", doc["contentMap"])
	}
	if doc["context"] != open(t, net, string(first.IRI))["context"] {
		t.Errorf("the answer is in the conversation %v", doc["context"])
	}
	wantGolden(t, "golden_note.json", doc, first.ID.String(), "FIRST", p.ID.String(), "SECOND")

	replies := open(t, net, string(first.IRI)+"/replies")
	if _, items := list(t, replies, "items"); replies["type"] != "Collection" || replies["totalItems"] != 1.0 || !slices.Equal(items, []string{string(p.IRI)}) {
		t.Errorf("the replies are %v", replies)
	}
	// The media type is the one that was asked for: Mitra takes JSON-LD alone.
	for accept, want := range map[string]string{
		`application/ld+json; profile="https://www.w3.org/ns/activitystreams"`: `application/ld+json; profile="https://www.w3.org/ns/activitystreams"`,
		"application/activity+json, application/ld+json":                       activityMedia + "; charset=utf-8",
		"application/activity+json":                                            activityMedia + "; charset=utf-8",
		"*/*":                                                                  activityMedia + "; charset=utf-8",
		"":                                                                     activityMedia + "; charset=utf-8",
	} {
		if s := ask(t, net, string(p.IRI), accepting(accept)); s.status != 200 || s.header.Get("Content-Type") != want {
			t.Errorf("to %q the answer is %d %q, want %q", accept, s.status, s.header.Get("Content-Type"), want)
		}
	}
}

func TestADeletedNoteIsATombstoneAtAllItsAddresses(t *testing.T) {
	net, rye, baker, _ := stage(t)
	p := rye.Say(baker, "the secret recipe")
	if err := rye.Delete(t.Context(), baker, p.ID); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"", "/activity", "/replies"} {
		s := ask(t, net, string(p.IRI)+part)
		if s.status != 410 || s.header.Get("Content-Type") != activityMedia+"; charset=utf-8" {
			t.Errorf("%s is %d %q", part, s.status, s.header.Get("Content-Type"))
		}
		if doc := decode(t, s.body); doc["type"] != "Tombstone" || doc["id"] != string(p.IRI) || strings.Contains(s.body, "recipe") {
			t.Errorf("%s is %s, want a tombstone", part, s.body)
		}
	}
	if page := ask(t, net, string(baker.Actor.Outbox)+"?page=true"); strings.Contains(page.body, "recipe") || strings.Contains(page.body, p.ID.String()) {
		t.Errorf("the outbox still shows it: %s", page.body)
	}
}

// sent are the ids of what a peer got, by type.
func sent(t *testing.T, p *aptest.Peer) map[string]string {
	t.Helper()
	ids := map[string]string{}
	for _, raw := range p.Received() {
		var act struct{ ID, Type string }
		if err := json.Unmarshal(raw, &act); err != nil {
			t.Fatal(err)
		}
		ids[act.Type] = act.ID
	}
	return ids
}

func TestADeletedNotesEditsAreGoneToo(t *testing.T) {
	net, rye, baker, ann := stage(t)
	befriend(t, net, ann, baker.Actor)
	p := rye.Say(baker, "the secret recipe")
	net.Sleep(time.Minute)
	if _, err := rye.Edit(t.Context(), baker, p.ID, activitypub.Draft{Text: "the secret recipe, corrected"}); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	update := sent(t, ann)["Update"]
	if s := ask(t, net, update); s.status != 200 || !strings.Contains(s.body, "recipe") {
		t.Fatalf("the edit is %d %s", s.status, s.body)
	}
	if err := rye.Delete(t.Context(), baker, p.ID); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	if s := ask(t, net, update); strings.Contains(s.body, "recipe") {
		t.Errorf("the edit is %d and still tells the words: %s", s.status, s.body)
	}
	// What tells others of the deletion stays.
	if s := ask(t, net, sent(t, ann)["Delete"]); s.status != 200 {
		t.Errorf("the Delete is %d, want 200", s.status)
	}
}

// circle is a locked co-op with everyone who may and may not read its posts.
type circle struct {
	net                                    *aptest.Network
	rye                                    *aptest.Node
	baker                                  activitypub.By
	follower, mentioned, pending, stranger *aptest.Peer
	private, direct                        *storage.Post
}

func newCircle(t *testing.T) *circle {
	t.Helper()
	c := &circle{}
	c.net, c.rye, c.baker, c.mentioned = stage(t)
	c.follower = newcomer(c.net, "oak.example", "fay", 10)
	c.pending = newcomer(c.net, "elm.example", "pau", 11)
	c.stranger = newcomer(c.net, "ash.example", "sol", 12)
	befriend(t, c.net, c.follower, c.baker.Actor)
	profile := *c.baker.Actor
	profile.Locked = true
	if err := c.rye.UpdateProfile(t.Context(), c.baker, &profile); err != nil {
		t.Fatal(err)
	}
	befriend(t, c.net, c.pending, c.baker.Actor)
	c.private = publish(t, c.rye, c.baker, activitypub.Draft{Text: "for followers", Visibility: storage.Private})
	c.direct = publish(t, c.rye, c.baker, activitypub.Draft{Text: "for @ann@far.example alone", Visibility: storage.Direct})
	return c
}

func TestWhoReadsAPostThatIsNotForEveryone(t *testing.T) {
	c := newCircle(t)
	own := hand(t, c.net, c.rye, c.baker.Actor)
	formerly := newcomer(c.net, "yew.example", "ivy", 13)
	unlocked := *c.baker.Actor
	if err := c.rye.UpdateProfile(t.Context(), c.baker, &unlocked); err != nil {
		t.Fatal(err)
	}
	befriend(t, c.net, formerly, c.baker.Actor)
	if s := ask(t, c.net, string(c.private.IRI), signedBy(formerly)); s.status != 200 {
		t.Errorf("ivy follows and is answered %d", s.status)
	}
	post(t, c.net, formerly.Request(ryeInbox, formerly.Activity("Undo", "undo", formerly.Activity("Follow", "follow", c.baker.Actor.IRI))))
	for _, r := range []struct {
		name            string
		sign            func(*http.Request)
		private, direct int
	}{
		{"nobody in particular", func(*http.Request) {}, 404, 404},
		{"a stranger", signedBy(c.stranger), 404, 404},
		{"who asked to follow", signedBy(c.pending), 404, 404},
		{"who followed once", signedBy(formerly), 404, 404},
		{"a follower", signedBy(c.follower), 200, 404},
		{"who is mentioned", signedBy(c.mentioned), 404, 200},
		{"a key of this node", signedBy(own), 401, 401},
	} {
		t.Run(r.name, func(t *testing.T) {
			for p, want := range map[*storage.Post]int{c.private: r.private, c.direct: r.direct} {
				for _, part := range []string{"", "/activity", "/replies"} {
					s := ask(t, c.net, string(p.IRI)+part, r.sign)
					if s.status != want {
						t.Errorf("%s%s is %d, want %d", p.Visibility, part, s.status, want)
					}
					if got := s.header.Get("Cache-Control"); s.status == 200 && got != "private, no-store" {
						t.Errorf("%s%s may be kept by others: %q", p.Visibility, part, got)
					}
				}
			}
		})
	}
}

func TestAPersonElsewhereReadsWhatIsForFollowers(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	ana, bo := oak.Person("ana"), oak.Person("bo")
	follows(t, net, oak, ana, "@baker@rye.example")
	p := publish(t, rye, baker, activitypub.Draft{Text: "for followers", Visibility: storage.Private})
	for who, want := range map[*storage.Actor]bool{ana.Actor: true, bo.Actor: false} {
		signer := hand(t, net, oak, who)
		raw, err := oak.Client.FetchDocument(t.Context(), string(p.IRI), func(r *http.Request) error { signedBy(signer)(r); return nil })
		if (err == nil) != want {
			t.Errorf("%s reads %s, %v; want her to read it: %v", who.Username, raw, err, want)
		}
	}
}

// unlike is where a post that may not be read can be told from one that is not there.
func (c *circle) unlike(t *testing.T, change ...func(*http.Request)) (differences []string) {
	t.Helper()
	absent := ask(t, c.net, string(c.baker.Actor.IRI)+"/statuses/1", change...)
	for _, p := range []*storage.Post{c.private, c.direct} {
		for _, part := range []string{"", "/activity", "/replies", "/nothing"} {
			s := ask(t, c.net, string(p.IRI)+part, change...)
			if s.status != absent.status || s.body != absent.body || !maps.EqualFunc(s.header, absent.header, slices.Equal) {
				differences = append(differences, fmt.Sprintf("%s%s is %d %v %s\n\tabsent is %d %v %s", p.Visibility, part, s.status, s.header, s.body, absent.status, absent.header, absent.body))
			}
		}
	}
	return differences
}

func TestAPostThatMayNotBeReadLooksLikeNone(t *testing.T) {
	c := newCircle(t)
	for name, change := range map[string]func(*http.Request){
		"unsigned": func(*http.Request) {}, "signed by a stranger": signedBy(c.stranger), "signed by one who asked": signedBy(c.pending),
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range c.unlike(t, change) {
				t.Error(d)
			}
			if s := ask(t, c.net, string(c.private.IRI), change); s.status != 404 || s.header.Get("Content-Type") != problems {
				t.Errorf("it is %d %q, want a 404 with a problem", s.status, s.header.Get("Content-Type"))
			}
		})
	}
}

func TestABrokenSignatureDoesNotTellAPrivatePostFromNone(t *testing.T) {
	c := newCircle(t)
	for _, d := range c.unlike(t, broken(c.stranger)) {
		t.Error(d)
	}
	// Nor does a question after the signer's key.
	asked := func(host, address string, pool int) bool {
		p := newcomer(c.net, host, "eve", pool)
		ask(t, c.net, address, signedBy(p))
		return slices.Contains(c.net.Trips(), "GET "+p.ID())
	}
	if private, absent := asked("one.example", string(c.private.IRI), 14), asked("two.example", string(c.baker.Actor.IRI)+"/statuses/1", 15); private != absent {
		t.Errorf("the key of who asks for a private post is fetched: %v; for none: %v", private, absent)
	}
}

func TestADeletedPrivatePostLooksLikeNone(t *testing.T) {
	c := newCircle(t)
	for _, p := range []*storage.Post{c.private, c.direct} {
		if err := c.rye.Delete(t.Context(), c.baker, p.ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range append(c.unlike(t), c.unlike(t, signedBy(c.stranger))...) {
		t.Error(d)
	}
	if s := ask(t, c.net, string(c.private.IRI), signedBy(c.follower)); s.status != 410 {
		t.Errorf("the follower is told %d, want 410", s.status)
	}
}

func TestNobodyReadsAPostUnderAnotherName(t *testing.T) {
	net, rye, baker, _ := stage(t)
	p := rye.Say(baker, "bread")
	for _, path := range []string{
		"/users/nuria/statuses/" + p.ID.String(), "/users/nobody/statuses/" + p.ID.String(), "/users/actor/statuses/" + p.ID.String(),
		"/users/baker/statuses/-1", "/users/baker/statuses/x", "/users/baker/statuses/99999999999999999999", "/users/baker/statuses/", "/activities/1", "/activities/x", "/nothing",
	} {
		if s := ask(t, net, "https://rye.example"+path); s.status != 404 || s.header.Get("Content-Type") != problems {
			t.Errorf("%s is %d %q, want 404 with a problem", path, s.status, s.header.Get("Content-Type"))
		}
	}
}

func TestAnActivityIsReadByThoseItNames(t *testing.T) {
	net, rye, baker, ann := stage(t)
	stranger := newcomer(net, "ash.example", "sol", 12)
	if _, err := rye.Follow(t.Context(), baker, "@ann@far.example"); err != nil {
		t.Fatal(err)
	}
	p := rye.Say(baker, "bread")
	net.Sleep(time.Minute)
	befriend(t, net, ann, baker.Actor)
	if _, err := rye.Edit(t.Context(), baker, p.ID, activitypub.Draft{Text: "more bread"}); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	got := sent(t, ann)
	for kind, want := range map[string][3]int{"Follow": {404, 404, 200}, "Accept": {404, 404, 200}, "Update": {200, 200, 200}} {
		if got[kind] == "" {
			t.Errorf("ann got %v, and no %s", got, kind)
			continue
		}
		for i, sign := range []func(*http.Request){func(*http.Request) {}, signedBy(stranger), signedBy(ann)} {
			if s := ask(t, net, got[kind], sign); s.status != want[i] {
				t.Errorf("the %s is %d to reader %d, want %d", kind, s.status, i, want[i])
			}
		}
	}
}

// authorized makes a node show its documents to signed requests only.
func authorized(c *activitypub.Config) { c.AuthorizedFetch = true }

func TestAuthorizedFetchAsksForASignature(t *testing.T) {
	net := aptest.New(t)
	rye := net.Add("rye.example", authorized)
	baker := rye.Coop(rye.Person("nuria"), "baker")
	stranger := newcomer(net, "ash.example", "sol", 12)
	p := rye.Say(baker, "bread")
	me := string(baker.Actor.IRI)
	for _, address := range []string{
		me, string(p.IRI), string(p.IRI) + "/activity", string(p.IRI) + "/replies", me + "/outbox", me + "/outbox?page=true", me + "/followers", me + "/following", me + "/featured",
		"https://rye.example/users/nuria", "https://rye.example/ledger", "https://rye.example/actor/outbox",
	} {
		for name, change := range map[string]func(*http.Request){"unsigned": func(*http.Request) {}, "with a broken signature": broken(stranger)} {
			if s := ask(t, net, address, change); s.status != 401 || s.header.Get("Content-Type") != problems || strings.Contains(s.body, "bread") {
				t.Errorf("%s %s is %d %s, want 401", address, name, s.status, s.body)
			}
		}
		s := ask(t, net, address, signedBy(stranger))
		if s.status != 200 || s.header.Get("Cache-Control") != "private, no-store" {
			t.Errorf("%s signed is %d, kept %q; want 200, kept by nobody", address, s.status, s.header.Get("Cache-Control"))
		}
	}
	// Absent documents are not told apart by who did not sign.
	for _, path := range []string{"/users/nobody", me[len("https://rye.example"):] + "/statuses/1", "/activities/1"} {
		if s := ask(t, net, "https://rye.example"+path); s.status != 401 {
			t.Errorf("%s unsigned is %d, want 401", path, s.status)
		}
		if s := ask(t, net, "https://rye.example"+path, signedBy(stranger)); s.status != 404 {
			t.Errorf("%s signed is %d, want 404", path, s.status)
		}
	}
	for _, path := range []string{
		"/actor", "/.well-known/webfinger?resource=acct:baker@rye.example", "/.well-known/host-meta", "/.well-known/host-meta.json", "/.well-known/nodeinfo", "/nodeinfo/2.0", "/nodeinfo/2.1",
	} {
		for name, change := range map[string]func(*http.Request){"unsigned": func(*http.Request) {}, "with a broken signature": broken(stranger), "signed": signedBy(stranger)} {
			if s := ask(t, net, "https://rye.example"+path, change); s.status != 200 {
				t.Errorf("%s %s is %d, want 200", path, name, s.status)
			}
		}
	}
}

// Fedify signs what it asks for keys with over the fragment too, and others sign with keys that are gone.
func TestAPublicDocumentIsReadWithABrokenSignature(t *testing.T) {
	net, rye, baker, ann := stage(t)
	p := rye.Say(baker, "bread")
	me := string(baker.Actor.IRI)
	nowhere := aptest.NewPeer("https://gone.example", "eve", 12, false)
	nowhere.Now = net.Now
	for _, address := range []string{me, string(p.IRI), string(p.IRI) + "/activity", string(p.IRI) + "/replies", me + "/outbox", me + "/outbox?page=true", me + "/featured", me + "/followers", "https://rye.example/actor", "https://rye.example/ledger"} {
		for name, change := range map[string]func(*http.Request){
			"over another target": broken(ann), "with a key that is nowhere": signedBy(nowhere),
			"that is none":     func(r *http.Request) { r.Header.Set("Signature", "hello") },
			"in Authorization": func(r *http.Request) { r.Header.Set("Authorization", "Signature hello") },
			"of RFC 9421, broken": func(r *http.Request) {
				r.Header.Set("Signature-Input", "hello")
				r.Header.Set("Signature", "sig1=:aGVsbG8=:")
			},
		} {
			if s := ask(t, net, address, change); s.status != 200 {
				t.Errorf("%s with a signature %s is %d %s, want 200", address, name, s.status, s.body)
			}
		}
	}
}

func TestTwoNodesThatAskForSignaturesFindEachOther(t *testing.T) {
	net := aptest.New(t)
	rye, oak := net.Add("rye.example", authorized), net.Add("oak.example", authorized)
	baker := rye.Coop(rye.Person("nuria"), "baker")
	ana := oak.Person("ana")
	if f := follows(t, net, oak, ana, "@baker@rye.example"); f.State != storage.FollowAccepted {
		t.Fatalf("ana's follow is %s, want accepted", f.State)
	}
	if f := follows(t, net, rye, baker, "@ana@oak.example"); f.State != storage.FollowAccepted {
		t.Fatalf("the baker's follow is %s, want accepted", f.State)
	}
	p := rye.Say(baker, "Bread for @ana@oak.example")
	net.Deliver()
	if home := oak.Home(ana); len(home) != 1 || home[0].IRI != p.IRI {
		t.Fatalf("ana sees %d posts, want the baker's one", len(home))
	}
	reply := publish(t, oak, ana, activitypub.Draft{Text: "Two please", InReplyTo: p.IRI})
	net.Deliver()
	if home := rye.Home(baker); len(home) != 2 || home[0].IRI != reply.IRI {
		t.Fatalf("the baker sees %d posts, want the reply and her own", len(home))
	}
	// A third, who follows nobody, answers what she has only heard of: her node fetches it, signed.
	elm := net.Add("elm.example", authorized)
	late := publish(t, elm, elm.Person("eva"), activitypub.Draft{Text: "And me", InReplyTo: p.IRI})
	net.Deliver()
	if home := rye.Home(baker); len(home) == 0 || !slices.ContainsFunc(home, func(h storage.Post) bool { return h.IRI == late.IRI }) {
		t.Errorf("eva's answer did not come back to the baker")
	}
}
