package activitypub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// FET: what the node asks of others, and how much it takes. What the client alone decides is in fetch_test.go.

// dialler is a node with a client of its own, which looks names up in a table and tells what it dials.
func dialler(t *testing.T, names map[string]string) (net *aptest.Network, rye *aptest.Node, dialled func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	net = aptest.New(t)
	rye = net.Add("rye.example", func(c *activitypub.Config) {
		client, err := activitypub.NewClient(activitypub.ClientConfig{Origin: c.Origin, Version: "test", Now: net.Now, Log: c.Log,
			Record: func(_, addr string) { mu.Lock(); defer mu.Unlock(); all = append(all, addr) },
			Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
				var ips []netip.Addr
				for ip := range strings.FieldsSeq(names[host]) {
					ips = append(ips, netip.MustParseAddr(ip))
				}
				return ips, nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		c.Client = client
	})
	return net, rye, func() []string { mu.Lock(); defer mu.Unlock(); return all }
}

// Every way in which others make the node ask somebody ends before a connection to its own networks.
func TestNoWayLeadsIntoOurOwnNetworks(t *testing.T) {
	net, rye, dialled := dialler(t, map[string]string{"loop.example": "127.0.0.1", "ten.example": "10.0.0.1", "meta.example": "169.254.169.254", "six.example": "::1", "two.example": "192.168.1.1 fd00::1"})
	baker := rye.Coop(rye.Person("nuria"), "baker")
	hosts := []string{"loop.example", "ten.example", "meta.example", "six.example", "two.example", "127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254", "localhost", "a.localhost", "2130706433", "0x7f.1", "127.1"}
	for i, host := range hosts {
		t.Run("FET079 a keyId at "+host, func(t *testing.T) {
			p := aptest.NewPeer("https://"+host, "ann", i, true)
			p.Now = net.Now
			unmoved(t, net, rye, baker, p.Request(ryeInbox, p.Activity("Follow", "1", baker.Actor.IRI)), 401)
			g, err := http.NewRequest(http.MethodGet, string(baker.Actor.Followers)+"?page=true", nil)
			if err != nil {
				t.Fatal(err)
			}
			signedBy(p)(g)
			if got, body := post(t, net, g); got != 401 {
				t.Errorf("a signed question: %d %s", got, body)
			}
		})
		t.Run("FET092 a handle at "+host, func(t *testing.T) {
			if a, err := rye.Resolve(t.Context(), "@ann@"+host); err == nil {
				t.Errorf("it leads to %+v", a)
			}
			if a, err := rye.Resolve(t.Context(), "https://"+host+"/users/ann"); err == nil {
				t.Errorf("it leads to %+v", a)
			}
		})
		t.Run("FET085 a post at "+host, func(t *testing.T) {
			if p, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "an answer", InReplyTo: storage.IRI("https://" + host + "/notes/1")}); err == nil {
				t.Errorf("it answers %+v", p)
			}
		})
		t.Run("FET086 an inbox at "+host, func(t *testing.T) {
			iri := storage.IRI(fmt.Sprintf("https://f%d.example/users/ann", i))
			a := &storage.Actor{IRI: iri, Type: storage.Person, Username: "ann", Domain: fmt.Sprintf("f%d.example", i), Inbox: storage.IRI("https://" + host + "/inbox")}
			if err := rye.DB.SaveActor(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if err := rye.DB.SaveFollow(t.Context(), &storage.Follow{IRI: iri + "#follow", ActorID: a.ID, TargetID: baker.Actor.ID, State: storage.FollowAccepted}); err != nil {
				t.Fatal(err)
			}
		})
	}
	rye.Say(baker, "hello, @ann@loop.example and @ann@127.0.0.1")
	net.Deliver()
	if left, err := rye.DB.Deliveries(t.Context(), storage.DeliveryQueued, 100); err != nil || len(left) != 0 {
		t.Errorf("%d deliveries wait for another try, %v; want all given up", len(left), err)
	}
	if got := dialled(); len(got) != 0 {
		t.Errorf("it dialled %v", got)
	}
}

// counting is a body that tells how much of it was read.
type counting struct {
	left, read int
}

func (c *counting) Read(p []byte) (int, error) {
	n := min(len(p), c.left)
	for i := range n {
		p[i] = ' '
	}
	c.left -= n
	c.read += n
	if n == 0 {
		return 0, fmt.Errorf("read to its end")
	}
	return n, nil
}

func TestFET103NoMoreIsReadThanIsTaken(t *testing.T) {
	_, rye, _, _ := stage(t)
	for name, length := range map[string]int64{"5 MB": 5 << 20, "FET103 without a length": -1, "FET103 the length is a lie": 10} {
		t.Run(name, func(t *testing.T) {
			body := &counting{left: 5 << 20}
			r := httptest.NewRequest(http.MethodPost, "/inbox", body)
			r.ContentLength, r.Host = length, "rye.example"
			r.Header.Set("Content-Type", activityMedia)
			rec := httptest.NewRecorder()
			rye.Handler().ServeHTTP(rec, r)
			if rec.Code != 413 {
				t.Errorf("%d, want 413", rec.Code)
			}
			if body.read > 1<<20+64<<10 {
				t.Errorf("%d bytes were read", body.read)
			}
		})
	}
}

func many(n int, one func(i int) any) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = one(i)
	}
	return out
}

func TestFET106MuchOfEverything(t *testing.T) {
	s := newScene(t)
	s.refuse(t,
		abuse{"FET106 5 MB of content", s.ann, s.says(s.ann, strings.Repeat("x", 5<<20)), []int{413}},
		abuse{"FET106 200 kB of content", s.ann, s.says(s.ann, strings.Repeat("x", 200_000)), []int{413}},
		abuse{"FET105 100 000 readers", s.ann, s.says(s.ann, "x", func(n dict) { n["to"] = many(100_000, func(int) any { return "x" }) }), []int{400, 413, 422}},
		abuse{"FET105 50 000 tags", s.ann, s.says(s.ann, "x", func(n dict) { n["tag"] = many(50_000, func(int) any { return dict{} }) }), []int{400, 413, 422}},
		abuse{"FET105 10 000 attachments", s.ann, s.says(s.ann, "x", func(n dict) { n["attachment"] = many(10_000, func(int) any { return dict{} }) }), []int{400, 413, 422}},
		abuse{"FET105 10 000 options", s.ann, s.says(s.ann, "x", func(n dict) { n["type"], n["oneOf"] = "Question", many(10_000, func(int) any { return dict{} }) }), []int{400, 413, 422}},
	)
	t.Run("FET106 a post with a thousand of each", func(t *testing.T) {
		act := s.says(s.ann, "x", func(n dict) {
			n["summary"] = strings.Repeat("s", 100_000)
			n["tag"] = append(many(500, func(i int) any { return dict{"type": "Hashtag", "name": fmt.Sprint("#tag", i)} }),
				many(500, func(i int) any {
					return dict{"type": "Mention", "href": fmt.Sprintf("https://m%d.example/u", i), "name": strings.Repeat("@", 300)}
				})...)
			n["attachment"] = many(1000, func(i int) any {
				return dict{"type": "Image", "url": fmt.Sprintf("https://far.example/%d.png", i), "name": "alt", "mediaType": strings.Repeat("m", 300)}
			})
		})
		s.take(t, s.ann, act)
		s.net.Deliver()
		p := s.post(t, act["object"].(dict)["id"].(string))
		if len(p.Tags) > 100 || len(p.Mentions) > 101 || len(p.Attachments) > 16 || len(p.Summary) > 1000 || len(p.Attachments) > 0 && len(p.Attachments[0].MediaType) > 100 {
			t.Errorf("kept: %d tags, %d mentions, %d attachments, a warning of %d bytes", len(p.Tags), len(p.Mentions), len(p.Attachments), len(p.Summary))
		}
	})
	t.Run("FET106 a profile with much of everything", func(t *testing.T) {
		s.ann.Extra = dict{"name": strings.Repeat("n", 300_000), "summary": strings.Repeat("<p>s", 10_000), "alsoKnownAs": many(1000, func(i int) any { return fmt.Sprintf("https://x%d.example/u", i) }),
			"attachment": many(1000, func(i int) any {
				return dict{"type": "PropertyValue", "name": strings.Repeat("f", 250), "value": strings.Repeat("v", 20)}
			})}
		s.take(t, s.ann, s.does(s.ann, "Update", s.ann.ID()))
		s.take(t, s.ann, s.does(s.ann, "Update", dict{"type": "Person", "id": s.ann.ID()}))
		a := s.actor(t, s.ann.ID())
		if a.Name == "ann" || len(a.Name) > 2048 || len(a.Summary) > 60_000 || len(a.AlsoKnownAs) > 256 || len(a.Fields) > 50 || len(a.Fields) == 0 || len(a.Fields[0].Name) > 2047 {
			t.Errorf("kept: a name of %d, a summary of %d, %d other names, %d fields", len(a.Name), len(a.Summary), len(a.AlsoKnownAs), len(a.Fields))
		}
	})
	t.Run("FET106 a profile that is too much", func(t *testing.T) {
		for key, value := range map[string]any{"name": strings.Repeat("n", 2<<20), "alsoKnownAs": many(10_000, func(int) any { return "https://x.example/u" }), "attachment": many(5000, func(int) any { return dict{} })} {
			before := s.actor(t, s.ann.ID())
			s.ann.Extra = dict{key: value}
			if got, body := post(t, s.net, s.ann.Request(ryeInbox, s.does(s.ann, "Update", dict{"type": "Person", "id": s.ann.ID()}))); got >= 500 {
				t.Errorf("%d %s", got, body)
			}
			if after := s.actor(t, s.ann.ID()); after.Name != before.Name || len(after.AlsoKnownAs) != len(before.AlsoKnownAs) || len(after.Fields) != len(before.Fields) {
				t.Errorf("a document with too much of %s was kept", key)
			}
		}
	})
}

// Text that some databases and parsers choke on, in each place where a string can stand.
func TestFET107HostileTextEverywhere(t *testing.T) {
	s := newScene(t)
	hostile := map[string]string{"NUL": `a\u0000b`, "half a pair": `a\ud800b`, "the other half": `a\udc00b`, "U+2028": `a\u2028b`, "raw bytes": "a\xff\xfeb", "an overlong slash": "a\xc0\xafb", "a raw NUL": "a\x00b", "a BOM": `\ufeffab`, "RTL": `a\u202eb`}
	places := []string{
		`"content":"%s"`, `"summary":"%s"`, `"name":"%s"`, `"url":"https://far.example/%s"`, `"inReplyTo":"%s"`, `"context":"%s"`, `"conversation":"%s"`, `"published":"%s"`, `"updated":"%s"`,
		`"contentMap":{"%s":"x"}`, `"contentMap":{"en":"%s"}`, `"%s":"x"`, `"tag":[{"type":"Hashtag","name":"#%s"}]`, `"tag":[{"type":"Mention","href":"https://x.example/%s","name":"@%s"}]`,
		`"attachment":[{"type":"Image","url":"https://far.example/%s","name":"%s","mediaType":"%s","blurhash":"%s"}]`, `"to":["%s"]`, `"source":{"content":"%s"}`, `"sensitive":"%s"`,
	}
	for name, text := range hostile {
		t.Run("FET107 "+name, func(t *testing.T) {
			for i, place := range places {
				place = strings.ReplaceAll(place, "%s", text)
				cc := fmt.Sprintf(`"cc":[%q]`, s.baker.Actor.IRI)
				id := s.id(s.ann, "notes")
				raw := fmt.Sprintf(`{"id":%q,"type":"Create","actor":%q,"object":{"id":%q,"type":"Note","attributedTo":%q,%s,%s}}`, s.id(s.ann, "activities"), s.ann.ID(), id, s.ann.ID(), cc, place)
				got, body := post(t, s.net, s.ann.Request(ryeInbox, []byte(raw)))
				if got != 202 && got != 400 && got != 413 && got != 422 {
					t.Errorf("%s: %d %s", place, got, body)
				}
				p, err := s.rye.DB.PostByIRI(t.Context(), storage.IRI(id))
				if err != nil {
					continue
				}
				p.Raw = nil
				kept, err := json.Marshal(p)
				if err != nil || !utf8.Valid(kept) || bytes.Contains(kept, []byte(`\u0000`)) {
					t.Errorf("place %d was kept as %s, %v", i, kept, err)
				}
			}
		})
	}
}

// endlessShelf is a host where everything leads to something more: collections without end, threads without beginning.
type endlessShelf struct {
	mu    sync.Mutex
	asked int
	owner *aptest.Peer // of all that is there
}

func (e *endlessShelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/users/"+e.owner.Name {
		e.owner.ServeHTTP(w, r)
		return
	}
	e.mu.Lock()
	e.asked++
	n := 1000 + e.asked
	e.mu.Unlock()
	w.Header().Set("Content-Type", activityMedia)
	id := "https://" + r.Host + r.URL.RequestURI()
	next := fmt.Sprintf("https://%s/%s/%d", r.Host, strings.Split(r.URL.Path, "/")[1], n)
	doc := dict{"id": id}
	switch {
	case strings.HasPrefix(r.URL.Path, "/notes/"):
		doc["type"], doc["attributedTo"], doc["content"], doc["inReplyTo"], doc["to"] = "Note", e.owner.ID(), "and more", next, []any{asPublic}
		doc["replies"] = dict{"id": "https://" + r.Host + "/replies/1", "type": "Collection", "first": "https://" + r.Host + "/replies/2"}
		doc["context"] = "https://" + r.Host + "/context/1"
		doc["tag"] = []any{dict{"type": "Mention", "href": fmt.Sprintf("https://%s/people/%d", r.Host, n), "name": "@x"}}
	case strings.HasPrefix(r.URL.Path, "/loop/"):
		doc["type"], doc["partOf"], doc["next"], doc["first"], doc["orderedItems"] = "OrderedCollectionPage", id, id, id, []any{"https://" + r.Host + "/notes/x"}
	case strings.HasPrefix(r.URL.Path, "/foreign/"):
		doc["type"], doc["first"], doc["totalItems"] = "OrderedCollection", "https://trap.example/page", 1000
	default:
		doc["type"], doc["next"], doc["first"], doc["orderedItems"] = "OrderedCollectionPage", next, next, many(500, func(i int) any { return fmt.Sprintf("https://%s/notes/%d-%d", r.Host, n, i) })
	}
	_ = json.NewEncoder(w).Encode(doc)
}

// budgetOf runs all that an activity causes, and is how many requests left because of it.
func (s *scene) budgetOf(t *testing.T, by *aptest.Peer, act any) int {
	t.Helper()
	before := len(s.net.Trips())
	if got, body := post(t, s.net, by.Request(ryeInbox, act)); got >= 500 {
		t.Errorf("%d %s", got, body)
	}
	for range 6 { // and what is tried again
		s.net.Deliver()
		s.net.Sleep(time.Hour)
	}
	asked := 0
	for _, trip := range s.net.Trips()[before+1:] {
		if strings.HasPrefix(trip, "GET ") {
			asked++
		}
	}
	return asked
}

func TestOneActivityDoesNotMakeTheNodeAskWithoutEnd(t *testing.T) {
	const budget = 20
	for _, c := range []struct {
		name   string
		change func(s *scene) func(note dict)
	}{
		{"FET109 a thread of ten thousand", func(*scene) func(dict) { return func(n dict) { n["inReplyTo"] = "https://deep.example/notes/1" } }},
		{"FET109 a thread that begins with itself", func(*scene) func(dict) { return func(n dict) { n["inReplyTo"] = n["id"] } }},
		{"FET110 a thousand mentions of strangers", func(*scene) func(dict) {
			return func(n dict) {
				n["tag"] = many(1000, func(i int) any {
					return dict{"type": "Mention", "href": fmt.Sprintf("https://deep.example/people/%d", i), "name": "@x"}
				})
			}
		}},
		{"FET110 a thousand addresses", func(s *scene) func(dict) {
			return func(n dict) {
				n["cc"] = append(many(900, func(i int) any { return fmt.Sprintf("https://deep.example/people/%d", i) }), s.baker.Actor.IRI)
			}
		}},
		{"FET111 an answer to something embedded that answers something", func(*scene) func(dict) {
			return func(n dict) {
				n["inReplyTo"] = dict{"id": "https://deep.example/notes/1", "type": "Note", "inReplyTo": dict{"id": "https://deep.example/notes/2", "type": "Note", "inReplyTo": "https://deep.example/notes/3"}}
				n["tag"] = []any{dict{"type": "Link", "href": "https://deep.example/notes/4"}, "https://deep.example/notes/5"}
				n["attachment"] = []any{"https://deep.example/notes/6", dict{"type": "Note", "id": "https://deep.example/notes/7"}}
			}
		}},
		{"FET108 endless replies", func(*scene) func(dict) {
			return func(n dict) {
				n["replies"] = dict{"id": "https://deep.example/replies/1", "type": "Collection", "first": dict{"type": "CollectionPage", "next": "https://deep.example/replies/2"}}
				n["context"], n["likes"], n["shares"] = "https://deep.example/context/1", "https://deep.example/likes/1", "https://deep.example/shares/1"
			}
		}},
		{"FET108 replies whose next page is the same", func(*scene) func(dict) { return func(n dict) { n["replies"] = "https://deep.example/loop/1" } }},
		{"FET108 replies whose pages are elsewhere", func(*scene) func(dict) {
			return func(n dict) {
				n["replies"], n["context"] = "https://deep.example/foreign/1", "https://deep.example/foreign/2"
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			s.net.Serve("deep.example", &endlessShelf{owner: s.peer("deep.example", "dee", 8)})
			got := s.budgetOf(t, s.ann, s.says(s.ann, "x", c.change(s)))
			if got > budget {
				t.Errorf("%d requests, want at most %d", got, budget)
			}
			if strings.Contains(c.name, "ten thousand") && got < 5 {
				t.Errorf("%d requests: the thread was not followed at all", got)
			}
		})
	}
}

func TestFET108AnActorWithEndlessCollections(t *testing.T) {
	s := newScene(t)
	dee := s.peer("deep.example", "dee", 8)
	deep := &endlessShelf{owner: dee}
	page := func(kind string) string { return "https://deep.example/" + kind + "/1" }
	dee.Extra = dict{"outbox": page("outbox"), "followers": page("loop"), "following": page("foreign"), "featured": page("featured")}
	s.net.Serve("deep.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/users/") || strings.HasPrefix(r.URL.Path, "/.well-known") {
			dee.ServeHTTP(w, r)
			return
		}
		deep.ServeHTTP(w, r)
	}))
	if _, err := s.rye.Follow(t.Context(), s.nuria, "@dee@deep.example"); err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
	if got := s.budgetOf(t, dee, s.does(dee, "Accept", s.received(t, dee, "Follow"))); got > 20 {
		t.Errorf("%d requests because of an Accept, want at most 20", got)
	}
	if got := s.budgetOf(t, dee, s.does(dee, "Update", dee.Document())); got > 20 {
		t.Errorf("%d requests because of an Update, want at most 20", got)
	}
	if deep.asked > 30 {
		t.Errorf("%d pages were read", deep.asked)
	}
}
