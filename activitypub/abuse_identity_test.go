package activitypub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// IDN: who somebody is, and whose an id is (FEP-fe34).

func TestWordsArePutIntoNobodysMouth(t *testing.T) {
	s := newScene(t)
	s.net.Serve("third.example", shelf{})
	ours := s.rye.Say(s.baker, "our own words")
	s.net.Deliver()
	with := func(key string, value any) func(dict) { return func(n dict) { n[key] = value } }
	under := func(id string) dict { a := s.says(s.ann, "x"); a["id"] = id; return a }
	s.refuse(t,
		abuse{"IDN048 a post with an id on a third host", s.ann, s.says(s.ann, "forged", with("id", "https://third.example/notes/1")), refusals},
		abuse{"IDN048 a post that is said to be a third's", s.ann, s.says(s.ann, "forged", with("id", "https://third.example/notes/1"), with("attributedTo", "https://third.example/users/tom")), refusals},
		abuse{"IDN049 a post with the id of one of ours", s.ann, s.says(s.ann, "forged", with("id", ours.IRI)), refusals},
		abuse{"IDN049 a post with an id of ours that is free", s.ann, s.says(s.ann, "forged", with("id", "https://rye.example/users/baker/statuses/1")), refusals},
		abuse{"IDN049 an edit of one of ours", s.ann, s.does(s.ann, "Update", noteBy(s.ann, string(ours.IRI), "forged")), refusals},
		abuse{"IDN050 a post by another of the same host", s.ann, s.says(s.ann, "forged", with("attributedTo", s.bob.ID())), refusals},
		abuse{"IDN050 a post by somebody elsewhere", s.ann, s.says(s.ann, "forged", with("attributedTo", s.eve.ID())), refusals},
		abuse{"IDN050 a post by one of ours", s.ann, s.says(s.ann, "forged", with("attributedTo", s.baker.Actor.IRI)), refusals},
		abuse{"IDN051 a post by nobody", s.ann, s.says(s.ann, "forged", func(n dict) { delete(n, "attributedTo") }), refusals},
		abuse{"IDN051 a post by null", s.ann, s.says(s.ann, "forged", with("attributedTo", nil)), refusals},
		abuse{"IDN051 a post by two", s.ann, s.says(s.ann, "forged", with("attributedTo", []any{s.ann.ID(), s.bob.ID()})), refusals},
		abuse{"IDN051 a post by an embedded actor who is another", s.ann, s.says(s.ann, "forged", with("attributedTo", dict{"type": "Person", "id": s.bob.ID()})), refusals},
		abuse{"IDN051 a post by an embedded actor without an id", s.ann, s.says(s.ann, "forged", with("attributedTo", dict{"type": "Person"})), refusals},
		abuse{"IDN052 an activity with an id on another host", s.ann, under("https://evil.example/activities/1"), refusals},
		abuse{"IDN052 an activity with an id of ours", s.ann, under("https://rye.example/activities/1"), refusals},
		abuse{"IDN077 a post with an http id", s.ann, s.says(s.ann, "forged", with("id", "http://far.example/users/ann/notes/1")), refusals},
		abuse{"IDN077 an activity with an http id", s.ann, under("http://far.example/users/ann/activities/1"), refusals},
		abuse{"IDN078 a post on another port of the host", s.ann, s.says(s.ann, "forged", with("id", "https://far.example:8443/users/ann/notes/1")), refusals},
		abuse{"IDN078 an activity on another port of the host", s.ann, under("https://far.example:8443/users/ann/activities/1"), refusals},
	)
	if got := s.post(t, string(ours.IRI)); got.Content != ours.Content {
		t.Errorf("our post says %q now", got.Content)
	}
}

// IDN076: addresses that one parser reads in one way and another in another.
func TestIDN076IDsThatParsersReadDifferently(t *testing.T) {
	s := newScene(t)
	for i, id := range []string{
		"https://far.example@evil.example/1", "https://evil.example\\@far.example/1", "https://far.example\\.evil.example/1", "https://far.example\t/1", "https://far\n.example/1",
		"https:///far.example/1", "https:far.example/1", "//far.example/1", "https://far.example%2Fevil.example/1", "https://far.example:443@evil.example/1",
		"https://[far.example]/1", "https://far.example:0/1", "https://far.example:99999/1", " https://far.example/1", "https://far.example/a b", "https://far。example/1",
		"https://ｆａｒ.example/1", "acct:ann@far.example", "javascript:alert(1)", "https://far.example/\u202e1", "https://", "https://.", "#", "?",
	} {
		act := s.says(s.ann, "x")
		act["id"] = id
		s.refuse(t, abuse{fmt.Sprintf("IDN076 the activity %d is %q", i, id), s.ann, act, refusals})
		s.refuse(t, abuse{fmt.Sprintf("IDN076 the post %d is %q", i, id), s.ann, s.says(s.ann, "x", func(n dict) { n["id"] = id }), refusals})
	}
}

func TestALinkLeadsWhereItsIDIs(t *testing.T) {
	s := newScene(t)
	good := func(id string) string { return id + "/page" }
	for _, c := range []struct {
		name string
		url  func(id string) any
		want func(id string) string // "" for the id
	}{
		{"a page of the same host", func(id string) any { return good(id) }, good},
		{"IDN059 a page on another host", func(string) any { return "https://evil.example/login" }, nil},
		{"IDN059 the same as a Link", func(string) any {
			return dict{"type": "Link", "mediaType": "text/html", "href": "https://evil.example/login"}
		}, nil},
		{"IDN059 another host first, its own second", func(id string) any { return []any{"https://evil.example/login", good(id)} }, good},
		{"IDN060 a script", func(string) any { return "javascript:alert(1)" }, nil},
		{"IDN060 a script in other letters", func(string) any { return "JavaScript:alert(1)" }, nil},
		{"IDN060 data", func(string) any { return "data:text/html,<script>alert(1)</script>" }, nil},
		{"IDN060 vbscript", func(string) any { return "vbscript:msgbox" }, nil},
		{"IDN060 without a scheme", func(string) any { return "//far.example/x" }, nil},
		{"IDN060 a tab before the scheme", func(string) any { return "\thttps://far.example/x" }, nil},
		{"IDN060 a tab within the scheme", func(string) any { return "java\tscript:alert(1)" }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var id string
			s.take(t, s.ann, s.says(s.ann, "look", func(n dict) {
				id = n["id"].(string)
				n["url"] = c.url(id)
				n["attachment"] = []any{dict{"type": "Image", "mediaType": "image/png", "url": c.url(id)}, dict{"type": "Link", "href": c.url(id)}}
				n["tag"] = []any{dict{"type": "Mention", "href": c.url(id), "name": "@x"}}
			}))
			want := id
			if c.want != nil {
				want = c.want(id)
			}
			p := s.post(t, id)
			if p.URL != want {
				t.Errorf("the link leads to %q, want %q", p.URL, want)
			}
			links := []string{p.URL}
			for _, a := range p.Attachments {
				links = append(links, a.URL)
			}
			for _, m := range p.Mentions {
				links = append(links, m.URL, string(m.IRI))
			}
			for _, l := range links {
				if !strings.HasPrefix(l, "https://") {
					t.Errorf("a link leads to %q", l)
				}
			}
		})
	}
}

// profile changes the document of a peer and announces it.
func (s *scene) profile(t *testing.T, p *aptest.Peer, change dict, want ...int) {
	t.Helper()
	p.Extra = change
	got, body := post(t, s.net, p.Request(ryeInbox, s.does(p, "Update", p.Document())))
	if !slices.Contains(want, got) {
		t.Errorf("%d %s, want %v", got, body, want)
	}
}

func TestAProfileWithHostileAddresses(t *testing.T) {
	s := newScene(t)
	for _, hostile := range []string{"javascript:alert(1)", "data:image/svg+xml,<svg onload=alert(1)>", "vbscript:x", "//far.example/i.png", "\thttps://far.example/i.png", "https://u@far.example/i.png"} {
		t.Run("IDN060 "+hostile, func(t *testing.T) {
			s.profile(t, s.ann, dict{"url": hostile, "icon": dict{"type": "Image", "url": hostile}, "image": dict{"type": "Image", "url": hostile}}, 202)
			a := s.actor(t, s.ann.ID())
			if a.URL != s.ann.ID() || a.IconURL != "" || a.HeaderURL != "" {
				t.Errorf("the profile leads to %q, with the images %q and %q", a.URL, a.IconURL, a.HeaderURL)
			}
		})
	}
}

func TestIDN062IDN064AHandleIsWhatBothEndsSay(t *testing.T) {
	s := newScene(t)
	jrd := func(subject, self string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/jrd+json")
			_ = json.NewEncoder(w).Encode(dict{"subject": subject, "links": []any{dict{"rel": "self", "type": activityMedia, "href": self}}})
		}
	}
	for i, c := range []struct{ name, subject, self string }{
		{"IDN062 eve's host answers for a handle of ann's", "acct:ann@far.example", "https://evil.example/users/eve"},
		{"IDN064 eve's host gives her handle to ann", "", s.ann.ID()},
		{"IDN064 eve's host gives a handle to one of ours", "", string(s.baker.Actor.IRI)},
		{"IDN064 eve's host leads to a document with another id", "", "https://evil.example/users/lie"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mux := http.NewServeMux()
			user := fmt.Sprintf("u%d", i)
			if c.subject == "" {
				c.subject = "acct:" + user + "@evil.example"
			}
			mux.Handle("/.well-known/webfinger", jrd(c.subject, c.self))
			mux.Handle("/users/eve", s.eve)
			mux.Handle("/users/lie", shelf{"/users/lie": s.ann.Document()})
			s.net.Serve("evil.example", mux)
			before := s.rye.State()
			a, err := s.rye.Resolve(t.Context(), "@"+user+"@evil.example")
			if err == nil && (a.Local() || a.Username == user || a.IRI == storage.IRI(s.ann.ID()) && a.Domain != "far.example") {
				t.Errorf("the handle leads to %s of %s", a.IRI, a.Handle("rye.example"))
			}
			s.rye.WantUnmoved(before)
			if a := s.actor(t, s.ann.ID()); a.Username != "ann" || a.Domain != "far.example" {
				t.Errorf("ann is %s now", a.Handle(""))
			}
		})
	}
}

func TestIDN065OneAccountHasOneRow(t *testing.T) {
	s := newScene(t)
	s.net.Serve("xn--mnchen-3ya.example", town{s.peer("xn--mnchen-3ya.example", "kim", 5)})
	rows := func() int {
		n := 0
		for _, r := range s.rye.State()["actors"] {
			if strings.Contains(r, "preferredUsername") { // the document of one elsewhere
				n++
			}
		}
		return n
	}
	before := rows()
	var first storage.ID
	for i, handle := range []string{"@ann@far.example", "ann@FAR.example", "@ANN@far.example.", "acct:ann@far.example:443", "Ann@Far.Example."} {
		a, err := s.rye.Resolve(t.Context(), handle)
		if err != nil {
			t.Errorf("%s: %v", handle, err)
			continue
		}
		if i == 0 {
			first = a.ID
		}
		if a.ID != first {
			t.Errorf("%s is another account", handle)
		}
	}
	for _, handle := range []string{"@kim@münchen.example", "@kim@MÜNCHEN.example", "@kim@xn--mnchen-3ya.example", "@KIM@XN--MNCHEN-3YA.example"} {
		if a, err := s.rye.Resolve(t.Context(), handle); err != nil || a.Domain != "xn--mnchen-3ya.example" {
			t.Errorf("%s: %+v, %v", handle, a, err)
		}
	}
	for _, id := range []string{"https://FAR.example/users/ann", "https://far.example:443/users/ann", "https://far.example./users/ann"} {
		act := s.does(s.ann, "Follow", s.baker.Actor.IRI)
		act["actor"] = id
		s.refuse(t, abuse{"IDN065 the actor calls herself " + id, s.ann, act, refusals})
	}
	if got := rows() - before; got != 1 {
		t.Errorf("%d rows more, want kim's alone", got)
	}
}

func TestIDN067AHandleIsNotTakenByRenaming(t *testing.T) {
	s := newScene(t)
	t.Run("IDN067 to the name of another on the host", func(t *testing.T) {
		s.profile(t, s.ann, dict{"preferredUsername": "bob"}, 202)
		if a := s.actor(t, s.ann.ID()); a.Username != "ann" {
			t.Errorf("ann is called %s", a.Username)
		}
		if a, err := s.rye.Resolve(t.Context(), "@bob@far.example"); err != nil || a.IRI != storage.IRI(s.bob.ID()) {
			t.Errorf("bob's handle leads to %v, %v", a, err)
		}
	})
	t.Run("IDN067 to the name of an administrator", func(t *testing.T) {
		s.profile(t, s.ann, dict{"preferredUsername": "admin"}, 202)
		if a := s.actor(t, s.ann.ID()); a.Username != "ann" {
			t.Errorf("ann is called %s", a.Username)
		}
	})
	t.Run("IDN067 a newcomer has the name of one who is known", func(t *testing.T) {
		twin := s.peer("far.example", "bo2", 6)
		twin.Extra = dict{"preferredUsername": "bob"}
		s.net.Serve("far.example", town{s.ann, s.bob, twin})
		post(t, s.net, twin.Request(ryeInbox, s.does(twin, "Follow", s.baker.Actor.IRI)))
		if a, err := s.rye.Resolve(t.Context(), "@bob@far.example"); err != nil || a.IRI != storage.IRI(s.bob.ID()) {
			t.Errorf("bob's handle leads to %v, %v", a, err)
		}
	})
	t.Run("a new name that WebFinger confirms is taken", func(t *testing.T) {
		s.ann.Extra = dict{"preferredUsername": "anna"}
		s.net.Serve("far.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/.well-known/webfinger" {
				w.Header().Set("Content-Type", "application/jrd+json")
				_ = json.NewEncoder(w).Encode(dict{"subject": "acct:anna@far.example", "links": []any{dict{"rel": "self", "type": activityMedia, "href": s.ann.ID()}}})
				return
			}
			town{s.ann, s.bob}.ServeHTTP(w, r)
		}))
		s.take(t, s.ann, s.does(s.ann, "Update", s.ann.Document()))
		if a := s.actor(t, s.ann.ID()); a.Username != "anna" {
			t.Errorf("ann is called %s, want anna", a.Username)
		}
	})
}

func TestIDN068NamesThatAreNoHandles(t *testing.T) {
	s := newScene(t)
	for i, name := range []string{"a/b", "a@b", "a\nb", "a b", "\u202eevil", "a\u200bb", strings.Repeat("a", 10_000), "", "../admin", "аnn", "a%00b", "<b>", ".ann", "ann."} {
		t.Run(fmt.Sprintf("IDN068 %.20q", name), func(t *testing.T) {
			host := fmt.Sprintf("n%d.example", i)
			p := s.peer(host, "who", 7)
			p.Extra = dict{"preferredUsername": name}
			s.net.Serve(host, p)
			unmoved(t, s.net, s.rye, s.baker, p.Request(ryeInbox, s.does(p, "Follow", s.baker.Actor.IRI)), refusals...)
			if a, err := s.rye.DB.ActorByIRI(t.Context(), storage.IRI(p.ID())); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("kept as %q, %v", a.Username, err)
			}
		})
	}
}

func TestAnActorStaysWhoSheIs(t *testing.T) {
	s := newScene(t)
	eve := keyOf(s.eve)
	for _, c := range []struct {
		name   string
		change dict
	}{
		{"IDN069 the inbox moves to another origin", dict{"inbox": "https://evil.example/inbox"}},
		{"IDN069 the inbox moves to another port", dict{"inbox": "https://far.example:8443/inbox"}},
		{"IDN069 the inbox is one of ours", dict{"inbox": string(s.baker.Actor.Inbox)}},
		{"IDN069 the shared inbox moves", dict{"endpoints": dict{"sharedInbox": "https://evil.example/inbox"}}},
		{"IDN069 the collections move", dict{"followers": "https://evil.example/f", "outbox": string(s.baker.Actor.Outbox), "following": string(s.baker.Actor.Followers)}},
		{"IDN069 the key is another's", dict{"publicKey": dict{"id": s.eve.KeyID, "owner": s.eve.ID(), "publicKeyPem": eve["publicKeyPem"]}}},
		{"IDN069 the key says that another owns it", dict{"publicKey": dict{"id": s.ann.KeyID, "owner": s.eve.ID(), "publicKeyPem": eve["publicKeyPem"]}}},
		{"IDN069 the document has another id", dict{"id": s.eve.ID()}},
		{"IDN069 the document has the id of one of ours", dict{"id": string(s.baker.Actor.IRI)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.profile(t, s.ann, c.change, 202, 400, 401, 403, 503)
			a := s.actor(t, s.ann.ID())
			for what, iri := range map[string]storage.IRI{"inbox": a.Inbox, "shared inbox": a.SharedInbox, "outbox": a.Outbox, "followers": a.Followers, "following": a.Following} {
				if iri != "" && !strings.HasPrefix(string(iri), "https://far.example/") {
					t.Errorf("her %s is %s", what, iri)
				}
			}
			keys, err := s.rye.DB.KeysOf(t.Context(), a.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range keys {
				if k.Public == eve["publicKeyPem"] {
					t.Errorf("eve's key counts as ann's")
				}
			}
			if k, err := s.rye.DB.KeyByIRI(t.Context(), storage.IRI(s.eve.KeyID)); err != nil || k.ActorID != s.actor(t, s.eve.ID()).ID {
				t.Errorf("eve's key is %+v, %v", k, err)
			}
			if b := s.actor(t, string(s.baker.Actor.IRI)); !b.Local() || b.Inbox != s.baker.Actor.Inbox {
				t.Errorf("our actor is %+v", b)
			}
		})
	}
	s.ann.Extra = nil
	s.rye.ForgetRefusals()
	s.take(t, s.ann, s.does(s.ann, "Update", s.ann.Document()))
	forged := s.bob.Document()
	forged["publicKey"] = dict{"id": s.bob.KeyID, "owner": s.bob.ID(), "publicKeyPem": keyOf(s.ann)["publicKeyPem"]}
	s.refuse(t,
		abuse{"IDN070 ann gives bob a new key", s.ann, s.does(s.ann, "Update", forged), []int{403}},
		abuse{"IDN070 ann gives one of ours a new key", s.ann, s.does(s.ann, "Update", dict{"id": s.baker.Actor.IRI, "type": "Organization", "publicKey": forged["publicKey"]}), []int{403}},
	)
}

func TestIDN073ANameIsNeverGivenTwice(t *testing.T) {
	s := newScene(t)
	gone := s.rye.Person("iris")
	at := s.net.Now()
	gone.Actor.DeletedAt = &at
	if err := s.rye.DB.SaveActor(t.Context(), gone.Actor); err != nil {
		t.Fatal(err)
	}
	before := s.rye.State()
	for _, name := range []string{"iris", "IRIS", " iris "} {
		if _, _, err := s.rye.CreatePerson(t.Context(), activitypub.NewUser{Username: name}); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("a person %q: %v, want ErrConflict", name, err)
		}
		if _, err := s.rye.FoundCoop(t.Context(), s.nuria.User, activitypub.NewCoop{Username: name, Title: "Iris"}); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("a co-op %q: %v, want ErrConflict", name, err)
		}
	}
	s.rye.WantUnmoved(before)
}

func TestIDN074ADeletedPostDoesNotComeBack(t *testing.T) {
	s := newScene(t)
	gone := helloBy(s.ann)
	s.take(t, s.ann, s.does(s.ann, "Delete", gone))
	again := func(n dict) { n["id"] = gone }
	s.refuse(t,
		abuse{"IDN074 created again", s.ann, s.says(s.ann, "I am back", again), nop},
		abuse{"IDN074 edited", s.ann, s.does(s.ann, "Update", noteBy(s.ann, gone, "I am back")), nop},
		abuse{"IDN074 created by another of the host", s.bob, s.says(s.bob, "I am back", again), nop},
	)
	if p := s.post(t, gone); p.DeletedAt == nil || p.Content != "" {
		t.Errorf("it is back: %+v", p)
	}
	never := s.says(s.ann, "deleted before it came")
	id := never["object"].(dict)["id"].(string)
	// bob remembers it as deleted first; that is ann's to say, and when she says so it counts.
	s.take(t, s.bob, s.does(s.bob, "Delete", id))
	s.take(t, s.ann, s.does(s.ann, "Delete", id))
	s.refuse(t, abuse{"IDN074 the deletion came first, and another's before it", s.ann, never, nop})
}

func TestIDN075TheNodeItselfIsNoOnesFriend(t *testing.T) {
	s := newScene(t)
	for _, name := range []string{"/actor", "/ledger"} {
		id := "https://rye.example" + name
		t.Run("IDN075 "+name+" is followed", func(t *testing.T) {
			s.take(t, s.ann, s.does(s.ann, "Follow", id))
			s.net.Deliver()
			a := s.actor(t, id)
			if n, err := s.rye.DB.CountFollowers(t.Context(), a.ID); err != nil || n != 0 {
				t.Errorf("%s has %d followers, %v", name, n, err)
			}
			if got := s.received(t, s.ann, "Reject"); got["actor"] != id {
				t.Errorf("the answer is %v", got)
			}
		})
		alone := func(n dict) {
			n["cc"] = []any{id}
			n["tag"] = []any{dict{"type": "Mention", "href": id, "name": "@actor@rye.example"}}
		}
		s.refuse(t, abuse{"IDN075 " + name + " is mentioned", s.eve, s.says(s.eve, "hello, machine", alone), nop})
	}
}
