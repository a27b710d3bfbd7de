package web_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
	"planet/web"
	"planet/web/oauth"
)

func TestMain(m *testing.M) {
	// The node's caches tidy themselves up for as long as the process lives.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/maypok86/otter/v2.periodicCleanUp[...]"))
}

const (
	activityJSON = "application/activity+json"
	browser      = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
)

// site is a node with its pages, and verbs to visit it.
type site struct {
	t    *testing.T
	db   *storage.DB
	node *activitypub.Node
	*web.Server
	log *bytes.Buffer
}

func newSite(t *testing.T, change ...func(*web.Config)) *site {
	t.Helper()
	return newSiteAt(t, "https://rye.example", change...)
}

func newSiteAt(t *testing.T, origin string, change ...func(*web.Config)) *site {
	t.Helper()
	db, dir := storagetest.New(t), t.TempDir()
	node, err := activitypub.New(t.Context(), activitypub.Config{Origin: origin, DB: db, Log: slog.New(slog.DiscardHandler), Version: "1.2.3",
		MediaDir: filepath.Join(dir, "media"), MediaCacheDir: filepath.Join(dir, "cache"), MediaCache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	c := web.Config{Node: node, DB: db, Origin: origin, Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "1.2.3"}
	for _, f := range change {
		f(&c)
	}
	srv, err := web.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &site{t: t, db: db, node: node, Server: srv, log: log}
}

// coop founds a co-op with a person who speaks for it.
func (s *site) coop(username, title string) activitypub.By {
	s.t.Helper()
	u, _, err := s.node.CreatePerson(s.t.Context(), activitypub.NewUser{Username: "by_" + username, Password: "a long enough password"})
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := s.node.FoundCoop(s.t.Context(), u, activitypub.NewCoop{Username: username, Title: title, Summary: "We bake.", Place: "Girona", Category: "food", Hours: "Tu-Sa 07:00-14:00",
		Links: []storage.Link{{Name: "Shop", URL: "https://bakery.example/shop"}}, Principles: []string{"1", "7"}})
	if err != nil {
		s.t.Fatal(err)
	}
	return activitypub.By{User: u, Actor: a}
}

func (s *site) say(by activitypub.By, d activitypub.Draft) *storage.Post {
	s.t.Helper()
	p, err := s.node.Publish(s.t.Context(), by, d)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// from is a request as it reaches the server; edit it, then ask.
func from(method, target string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, target, body)
	r.Host = "rye.example"
	r.RemoteAddr = "203.0.113.7:4711"
	r.Header.Set("Accept", browser)
	return r
}

func (s *site) ask(r *http.Request) *httptest.ResponseRecorder {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func (s *site) get(path string) *httptest.ResponseRecorder {
	s.t.Helper()
	return s.ask(from(http.MethodGet, path, nil))
}

func (s *site) getAs(accept, path string) *httptest.ResponseRecorder {
	s.t.Helper()
	r := from(http.MethodGet, path, nil)
	r.Header.Set("Accept", accept)
	return s.ask(r)
}

// send posts a form from the node's own page.
func (s *site) send(path string, form url.Values) *httptest.ResponseRecorder {
	s.t.Helper()
	r := from(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return s.ask(r)
}

func (s *site) want(w *httptest.ResponseRecorder, status int, parts ...string) {
	s.t.Helper()
	if w.Code != status {
		s.t.Errorf("got %d, want %d: %.300s", w.Code, status, w.Body)
	}
	for _, part := range parts {
		if !strings.Contains(w.Body.String(), part) {
			s.t.Errorf("the answer lacks %q:\n%s", part, w.Body)
		}
	}
}

func (s *site) wantNot(w *httptest.ResponseRecorder, parts ...string) {
	s.t.Helper()
	for _, part := range parts {
		if strings.Contains(w.Body.String(), part) {
			s.t.Errorf("the answer has %q:\n%s", part, w.Body)
		}
	}
}

func TestAnActorAndAPostAreAPageOrADocumentByAccept(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	post := s.say(baker, activitypub.Draft{Text: "Fresh bread"})
	id := post.ID.String()
	for _, c := range []struct {
		name, accept, path string
		document           string // its id; "" for a page
	}{
		{"Mastodon asks for an actor", `application/activity+json, application/ld+json`, "/users/baker", "https://rye.example/users/baker"},
		{"somebody pasted a page into a search", `application/ld+json; profile="https://www.w3.org/ns/activitystreams", application/activity+json, text/html;q=0.1`, "/@baker", "https://rye.example/users/baker"},
		{"the profile alone", `application/ld+json; profile="https://www.w3.org/ns/activitystreams"`, "/@baker", "https://rye.example/users/baker"},
		{"a post by its id", activityJSON, "/users/baker/statuses/" + id, "https://rye.example/users/baker/statuses/" + id},
		{"a post by its page", activityJSON, "/@baker/" + id, "https://rye.example/users/baker/statuses/" + id},
		{"a browser at the id of an actor", browser, "/users/baker", ""},
		{"a browser at a profile", browser, "/@baker", ""},
		{"a browser at the id of a post", browser, "/users/baker/statuses/" + id, ""},
		{"a browser at a post", browser, "/@baker/" + id, ""},
		{"an app that escapes the @", browser, "/%40baker", ""},
		{"who says nothing gets a page", "", "/@baker", ""},
		{"plain JSON is no ActivityPub", "application/json", "/@baker", ""},
		{"a page is preferred", "text/html, application/activity+json;q=0.9", "/@baker", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := s.getAs(c.accept, c.path)
			s.want(w, http.StatusOK)
			if got := w.Header().Values("Vary"); !cmp.Equal(got, []string{"Accept, Signature"}) {
				t.Errorf("Vary is %q", got)
			}
			kind := w.Header().Get("Content-Type")
			if c.document == "" {
				if !strings.HasPrefix(kind, "text/html") || !strings.Contains(w.Body.String(), "<h1") {
					t.Errorf("got %s, want a page", kind)
				}
				return
			}
			var doc struct{ ID string }
			if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || doc.ID != c.document || !strings.Contains(kind, "json") {
				t.Errorf("got %s with the id %q (%v), want %s", kind, doc.ID, err, c.document)
			}
		})
	}
}

func TestWhatOnlyServersAskGoesToTheNode(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	for _, path := range []string{"/users/baker/outbox", "/users/baker/followers", "/actor", "/.well-known/nodeinfo", "/nodeinfo/2.1",
		"/.well-known/webfinger?resource=acct:baker@rye.example"} {
		w := s.getAs(browser, path)
		if s.want(w, http.StatusOK); !strings.Contains(w.Header().Get("Content-Type"), "json") {
			t.Errorf("%s answers %s", path, w.Header().Get("Content-Type"))
		}
		var direct = httptest.NewRecorder()
		s.node.Handler().ServeHTTP(direct, from(http.MethodGet, path, nil))
		if got, want := w.Body.String(), direct.Body.String(); got != want {
			t.Errorf("%s: the body was changed on its way", path)
		}
	}
	r := from(http.MethodPost, "/inbox", strings.NewReader(`{}`))
	r.Header.Set("Content-Type", activityJSON)
	if w := s.ask(r); w.Code != http.StatusUnauthorized && w.Code != http.StatusBadRequest {
		t.Errorf("an unsigned activity was answered with %d", w.Code)
	}
}

func TestAPageSaysWhereItsDocumentIs(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	post := s.say(baker, activitypub.Draft{Text: "Fresh bread"})

	w := s.get("/@baker")
	s.want(w, http.StatusOK,
		`<link rel="canonical" href="https://rye.example/@baker">`,
		`<link rel="alternate" type="application/activity+json" href="https://rye.example/users/baker">`,
		`<meta name="fediverse:creator" content="@baker@rye.example">`,
		`<meta property="og:title" content="The Bakery (@baker@rye.example)">`, `<meta property="og:type" content="profile">`,
		"Girona", "Tu-Sa 07:00-14:00", "Voluntary and open membership", "Concern for community", "<p>We bake.</p>", "Fresh bread",
		`rel="me nofollow noopener">bakery.example</a>`, `action="/interact"`)
	s.wantNot(w, "Democratic member control")
	if got, want := w.Header().Get("Link"), `<https://rye.example/users/baker>; rel="alternate"; type="application/activity+json"`; got != want {
		t.Errorf("Link is %s, want %s", got, want)
	}

	w = s.get("/users/baker/statuses/" + post.ID.String())
	s.want(w, http.StatusOK,
		`<link rel="canonical" href="https://rye.example/@baker/`+post.ID.String()+`">`,
		`<link rel="alternate" type="application/activity+json" href="https://rye.example/users/baker/statuses/`+post.ID.String()+`">`,
		`<meta property="og:type" content="article">`, `<meta property="og:description" content="Fresh bread">`)

	s.want(s.get("/"), http.StatusOK, "The Bakery", "Girona", "Fresh bread", `<meta property="og:type" content="website">`)
	s.want(s.get("/about"), http.StatusOK, "@name@rye.example")
}

// What may not be seen looks exactly like what is not there: whoever guesses learns nothing.
func TestACT151HiddenThingsLookLikeAbsentOnes(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	other := s.coop("cobbler", "The Cobblers")
	gone := s.coop("gone", "Gone away")
	public := s.say(baker, activitypub.Draft{Text: "for all"})
	private := s.say(baker, activitypub.Draft{Text: "a secret", Visibility: storage.Private})
	direct := s.say(baker, activitypub.Draft{Text: "for @cobbler@rye.example alone", Visibility: storage.Direct})
	deleted := s.say(baker, activitypub.Draft{Text: "a mistake"})
	if err := s.node.Delete(t.Context(), baker, deleted.ID); err != nil {
		t.Fatal(err)
	}
	reply := s.say(other, activitypub.Draft{Text: "sincerely", InReplyTo: public.IRI})
	now := time.Now()
	gone.Actor.SuspendedAt = &now
	if err := s.db.SaveActor(t.Context(), gone.Actor); err != nil {
		t.Fatal(err)
	}

	absent := s.get("/@baker/1")
	s.want(absent, http.StatusNotFound, "There is nothing here, or nothing that you may see.")
	for _, path := range []string{
		"/@baker/" + private.ID.String(), "/users/baker/statuses/" + private.ID.String(), "/@baker/" + direct.ID.String(), "/@baker/" + deleted.ID.String(),
		"/@cobbler/" + public.ID.String(), // of another author
		"/@baker/0", "/@baker/-1", "/@baker/1%20OR%201", "/@baker/99999999999999999999", "/@baker/x", "/@gone", "/@nobody", "/@actor", "/users/ledger", "/@bak%00er", "/nothing", "/static/..%2fpages.go",
	} {
		w := s.get(path)
		if w.Code != absent.Code || w.Body.String() != absent.Body.String() {
			t.Errorf("%s differs from what is absent: %d\n%s", path, w.Code, cmp.Diff(absent.Body.String(), w.Body.String()))
		}
		a, b := absent.Header().Clone(), w.Header().Clone()
		for _, h := range []http.Header{a, b} {
			h.Del("X-Request-Id")
			h.Del("Vary")
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s has other headers: %s", path, diff)
		}
	}
	for _, path := range []string{"/", "/@baker", "/@baker/" + public.ID.String()} {
		s.wantNot(s.get(path), "a secret", "a mistake", "alone", "Gone away")
	}
	s.want(s.get("/@baker/"+public.ID.String()), http.StatusOK, "sincerely", "One reply")
	s.want(s.get("/@cobbler/"+reply.ID.String()), http.StatusOK, "In answer to", "for all")

	// The document says no more than the page.
	one, two := s.getAs(activityJSON, "/@baker/"+private.ID.String()), s.getAs(activityJSON, "/@baker/1")
	if one.Code != http.StatusNotFound || one.Body.String() != two.Body.String() {
		t.Errorf("a private document answers %d %s, an absent one %d %s", one.Code, one.Body, two.Code, two.Body)
	}
}

func TestACT150AReplyToSomethingPrivateDoesNotShowIt(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	private := s.say(baker, activitypub.Draft{Text: "a secret", Visibility: storage.Private})
	reply := s.say(baker, activitypub.Draft{Text: "said aloud", InReplyTo: private.IRI})
	w := s.get("/@baker/" + reply.ID.String())
	s.want(w, http.StatusOK, "said aloud")
	s.wantNot(w, "a secret", private.ID.String())
}

func TestXSS183HostileTextStaysText(t *testing.T) {
	s := newSite(t)
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'{{.}}`
	baker := s.coop("baker", evil)
	a := baker.Actor
	a.Category, a.Place, a.Hours, a.Locked = evil, evil, evil, false
	a.Links = []storage.Link{{Name: evil, URL: "https://x.example/" + evil}, {Name: "bad", URL: "javascript:alert(3)"}}
	a.Fields = []storage.Field{{Name: evil, Value: "fine"}}
	a.IconURL, a.HeaderURL = "https://tracker.example/pixel.png", "javascript:alert(4)"
	if err := s.db.SaveActor(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	post := s.say(baker, activitypub.Draft{Text: "plain", Summary: evil})
	stranger := &storage.Actor{IRI: "https://oak.example/users/eve", Type: storage.Person, Username: "eve", Domain: "oak.example", Name: evil, URL: "javascript:alert(5)"}
	if err := s.db.SaveActor(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	if err := s.db.SavePost(t.Context(), &storage.Post{IRI: "https://oak.example/users/eve/1", ActorID: stranger.ID, Type: "Note", InReplyTo: post.IRI, InReplyToID: &post.ID, Visibility: storage.Public,
		Content: "<p>hm</p>", Summary: evil, Language: evil, URL: "javascript:alert(6)", PublishedAt: time.Now(), Tags: []string{"x"},
		Attachments: []storage.Attachment{{URL: "https://tracker.example/x.png", MediaType: "image/png", Name: evil}, {URL: "data:text/html,x", Name: "bad"}}}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/about", "/@baker", "/@baker/" + post.ID.String(), "/tags/x", "/tags/%3Cscript%3E", "/authorize_interaction?uri=" + url.QueryEscape("https://x.example/"+evil),
		"/authorize_interaction?uri=javascript:alert(7)"} {
		w := s.get(path)
		s.want(w, http.StatusOK)
		s.wantNot(w, "<script", "<img src=x", `href="javascript:`, `src="javascript:`, `src="https://tracker`, "<img src=\"https://tracker", "data:text/html")
		if path != "/about" && !strings.Contains(path, "authorize") && !strings.Contains(w.Body.String(), "&lt;script&gt;") {
			t.Errorf("%s does not show the text", path)
		}
	}
}

func TestXSS188EveryAnswerHasTheHeaders(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	evil := from(http.MethodGet, "/", nil)
	evil.Host = "evil.example"
	for name, w := range map[string]*httptest.ResponseRecorder{
		"home": s.get("/"), "profile": s.get("/@baker"), "absent": s.get("/nothing"), "method": s.ask(from(http.MethodDelete, "/", nil)), "host": s.ask(evil),
		"style": s.get("/static/style.css"), "document": s.getAs(activityJSON, "/@baker"), "form": s.send("/interact", nil),
	} {
		policy := w.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy lacks %s: %s", name, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
			t.Errorf("%s: the policy is weak: %s", name, policy)
		}
		for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY", "Strict-Transport-Security": "max-age=31536000"} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		if len(w.Header().Get("X-Request-Id")) != 16 {
			t.Errorf("%s: no request id", name)
		}
		if body := w.Body.String(); strings.Contains(body, "<style") || strings.Contains(body, " style=") || strings.Contains(body, "<script") || strings.Contains(body, " onclick") {
			t.Errorf("%s has what its policy forbids", name)
		}
	}
}

func TestWEB257TheNodeAnswersToItsOwnNameAlone(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	for host, want := range map[string]int{
		"rye.example": 200, "RYE.example": 200, "rye.example:443": 200,
		"evil.example": 421, "rye.example.evil.example": 421, "rye.example:8080": 421, "": 421, "127.0.0.1": 421,
	} {
		r := from(http.MethodGet, "/@baker", nil)
		r.Host = host
		r.Header.Set("X-Forwarded-Host", "rye.example")
		if w := s.ask(r); w.Code != want {
			t.Errorf("Host %q: got %d, want %d", host, w.Code, want)
		} else if strings.Contains(w.Body.String(), "evil") {
			t.Errorf("Host %q came into the page", host)
		}
	}
	r := from(http.MethodPost, "/inbox", strings.NewReader("{}"))
	r.Host = "evil.example"
	if w := s.ask(r); w.Code != http.StatusMisdirectedRequest || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("an inbox by another name answers %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	r = from(http.MethodGet, "/healthz", nil)
	r.Host = "10.0.0.9:8080"
	s.want(s.ask(r), http.StatusOK, "ok")
	s.want(s.get("/readyz"), http.StatusOK, "ready")
}

func TestFailuresAreToldInTheWordsOfWhoAsks(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ accept, path, kind, part string }{
		{browser, "/nothing", "text/html; charset=UTF-8", "<h1>Not Found</h1>"},
		{activityJSON, "/@nobody", "application/problem+json", `"status":404`},
		{"application/json", "/nothing", "application/problem+json", `"status":404`},
		{browser, "/users/nobody/outbox", "application/problem+json", `"status":404`},
		{"*/*", "/api/v1/nothing", "application/json", `{"error":`},
	} {
		w := s.getAs(c.accept, c.path)
		s.want(w, http.StatusNotFound, c.part)
		if got := w.Header().Get("Content-Type"); got != c.kind {
			t.Errorf("%s for %s is %s, want %s", c.path, c.accept, got, c.kind)
		}
	}
}

// broken is what a fault of ours looks like from outside: nothing of its cause.
func TestWEB267AFaultSaysNothingOfItsCause(t *testing.T) {
	s := newSite(t, func(c *web.Config) {
		c.SetupCode = func(context.Context) (string, error) {
			return "", errors.New("select * from secrets: disk at /srv/planet is broken")
		}
	})
	w := s.get("/setup/abc")
	s.want(w, http.StatusInternalServerError, "Something went wrong")
	s.wantNot(w, "secrets", "/srv/planet")
	if !strings.Contains(s.log.String(), "disk at /srv/planet") {
		t.Error("the log does not say what happened")
	}
	s = newSite(t, func(c *web.Config) {
		c.SetupCode = func(context.Context) (string, error) { panic("a wild pointer") }
	})
	w = s.get("/setup/abc")
	s.want(w, http.StatusInternalServerError, "Something went wrong")
	s.wantNot(w, "wild pointer", "goroutine")
	if !strings.Contains(s.log.String(), "a wild pointer") || !strings.Contains(s.log.String(), "goroutine") {
		t.Error("the log does not tell of the panic with its stack")
	}
	s.want(s.get("/"), http.StatusOK)
}

func TestADM244TheSetupLinkMakesOneOwner(t *testing.T) {
	const code = "kq3v7m2x"
	s := newSite(t, func(c *web.Config) {
		c.SetupCode = func(context.Context) (string, error) { return code, nil }
	})
	absent := s.get("/nothing")
	if w := s.get("/setup/wrong"); w.Code != 404 || w.Body.String() != absent.Body.String() {
		t.Errorf("a wrong code answers %d", w.Code)
	}
	s.want(s.get("/setup/"+code), http.StatusOK, `name="password"`, `autocomplete="new-password"`)
	good := url.Values{"username": {"nuria"}, "name": {"Núria"}, "email": {""}, "password": {"correct horse battery"}, "role": {"user"}}

	s.want(s.send("/setup/wrong", good), http.StatusNotFound)
	for field, bad := range map[string]string{"username": "not a name!", "email": "nowhere", "password": "short"} {
		form := url.Values{}
		for k, v := range good {
			form[k] = v
		}
		form.Set(field, bad)
		w := s.send("/setup/"+code, form)
		s.want(w, http.StatusUnprocessableEntity, `id="`+field+`-problem"`, `value="Núria"`)
		s.wantNot(w, "correct horse")
	}
	if n, err := s.db.CountUsers(t.Context()); n != 0 || err != nil {
		t.Fatalf("there are %d users already, %v", n, err)
	}

	// Twenty at once: one owner.
	var wg sync.WaitGroup
	codes := make([]int, 20)
	for i := range codes {
		wg.Go(func() {
			form := url.Values{"username": {fmt.Sprintf("owner%d", i)}, "password": {"correct horse battery"}}
			codes[i] = s.send("/setup/"+code, form).Code
		})
	}
	wg.Wait()
	made := 0
	for _, c := range codes {
		switch c {
		case http.StatusCreated:
			made++
		case http.StatusNotFound:
		default:
			t.Errorf("got %d", c)
		}
	}
	users, err := s.db.Users(t.Context())
	if err != nil || made != 1 || len(users) != 1 || users[0].Role != storage.NodeOwner {
		t.Fatalf("%d were welcomed, the users are %+v, %v", made, users, err)
	}
	if err := storage.CheckPassword(users[0].PasswordHash, "correct horse battery"); err != nil {
		t.Error("the password does not fit")
	}
	for _, w := range []*httptest.ResponseRecorder{s.get("/setup/" + code), s.send("/setup/"+code, good)} {
		if w.Code != 404 || w.Body.String() != absent.Body.String() {
			t.Errorf("after the setup its link answers %d", w.Code)
		}
	}
	if strings.Contains(s.log.String(), code) {
		t.Error("the code is in the log")
	}
}

func TestWithoutACodeThereIsNoSetup(t *testing.T) {
	for name, f := range map[string]func(context.Context) (string, error){
		"none": nil, "empty": func(context.Context) (string, error) { return "", nil },
		"not found": func(context.Context) (string, error) { return "", storage.ErrNotFound },
	} {
		s := newSite(t, func(c *web.Config) { c.SetupCode = f })
		for _, path := range []string{"/setup/", "/setup/x", "/setup"} {
			if w := s.get(path); w.Code != http.StatusNotFound {
				t.Errorf("%s: %s answers %d", name, path, w.Code)
			}
		}
	}
}

func TestSES240AnInvitationLetsAPersonInToItsCoop(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	const code = "ab12cd34"
	if err := s.db.SaveInvite(t.Context(), &storage.Invite{CodeHash: hash(code), UsesLeft: 1, CoopID: baker.Actor.ID}); err != nil {
		t.Fatal(err)
	}
	s.want(s.get("/invite/wrong"), http.StatusNotFound)
	s.want(s.get("/invite/"+code), http.StatusOK, "The Bakery", "invites you")
	s.want(s.send("/invite/"+code, url.Values{"username": {"baker"}, "password": {"correct horse battery"}}), http.StatusUnprocessableEntity, "this name is taken")
	s.want(s.send("/invite/"+code, url.Values{"username": {"ana"}, "role": {"owner"}}), http.StatusUnprocessableEntity, "choose a password")

	var wg sync.WaitGroup
	made := make(chan string, 20)
	for i := range 20 {
		wg.Go(func() {
			name := fmt.Sprintf("ana%d", i)
			if w := s.send("/invite/"+code, url.Values{"username": {name}, "password": {"correct horse battery"}, "role": {"owner"}}); w.Code == http.StatusCreated {
				made <- name
			}
		})
	}
	wg.Wait()
	close(made)
	if len(made) != 1 {
		t.Fatalf("an invitation for one let %d in", len(made))
	}
	ana, err := s.db.UserByName(t.Context(), <-made)
	if err != nil || ana.Role != storage.NodeUser {
		t.Fatalf("got %+v, %v", ana, err)
	}
	roles, err := s.db.RolesIn(t.Context(), ana.ID, baker.Actor.ID)
	if err != nil || !cmp.Equal(roles, []string{storage.RoleMember}) {
		t.Errorf("her roles are %v, %v", roles, err)
	}
	s.want(s.get("/invite/"+code), http.StatusNotFound)
	if strings.Contains(s.log.String(), code) {
		t.Error("the code is in the log")
	}
}

func TestWhoIsInvitedAcceptsTheAgreementOfTheCoop(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	const code = "ab12cd34"
	if err := s.db.SaveInvite(t.Context(), &storage.Invite{CodeHash: hash(code), UsesLeft: 9, CoopID: baker.Actor.ID}); err != nil {
		t.Fatal(err)
	}
	set := func(text string) {
		t.Helper()
		if _, err := s.node.SetAgreement(t.Context(), baker, text); err != nil {
			t.Fatal(err)
		}
	}
	post := func(name, version string) *httptest.ResponseRecorder {
		return s.send("/invite/"+code, url.Values{"username": {name}, "password": {"correct horse battery"}, "agreement": {version}})
	}
	const box = `<input id="agreement" name="agreement" type="checkbox" value="1" required>`
	const label = `<label for="agreement">I have read and accept version 1</label>`
	s.wantNot(s.get("/invite/"+code), `name="agreement"`)
	set("We bake <together>.")
	s.want(s.get("/invite/"+code), http.StatusOK, "We bake &lt;together&gt;.", box, label)

	for name, version := range map[string]string{"nothing": "", "nonsense": "on", "another": "7"} {
		s.want(post(name, version), http.StatusUnprocessableEntity, `id="agreement-problem"`, `aria-describedby="agreement-problem" aria-invalid="true"`)
		if _, err := s.db.UserByName(t.Context(), name); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: a person was made: %v", name, err)
		}
	}
	s.want(s.send("/invite/"+code, url.Values{"username": {"ana"}, "agreement": {"1"}}), http.StatusUnprocessableEntity, "choose a password", `value="1" required checked>`)

	set("We bake on Fridays.") // while ana reads
	w := post("ana", "1")
	s.want(w, http.StatusUnprocessableEntity, "has changed since version 1", "We bake on Fridays.", "I have read and accept version 2")
	if strings.Contains(w.Body.String(), "checked") {
		t.Error("the box of the new version is ticked already")
	}
	s.want(post("ana", "2"), http.StatusCreated, "You are a member of")

	ana, err := s.db.UserByName(t.Context(), "ana")
	if err != nil {
		t.Fatal(err)
	}
	members, err := s.node.MembersOf(t.Context(), baker, baker.Actor)
	if err != nil || len(members) != 2 || members[1].User.ID != ana.ID || members[1].Accepted != 2 || members[1].AcceptedAt.IsZero() {
		t.Errorf("got %+v, %v", members, err)
	}
	left, err := s.db.InviteByCodeHash(t.Context(), hash(code))
	if err != nil || left.UsesLeft != 8 {
		t.Errorf("%+v is left of the invitation, %v; want one use less", left, err)
	}
}

// hash is what is kept of a code.
func hash(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

func TestAClosedNodeTakesNoInvitation(t *testing.T) {
	s := newSite(t, func(c *web.Config) { c.Signup = "closed" })
	if err := s.db.SaveInvite(t.Context(), &storage.Invite{CodeHash: hash("x"), UsesLeft: 1}); err != nil {
		t.Fatal(err)
	}
	s.want(s.get("/invite/x"), http.StatusNotFound)
	s.want(s.send("/invite/x", url.Values{"username": {"ana"}, "password": {"correct horse battery"}}), http.StatusNotFound)
}

func TestSES231SES232FormsFromOtherSitesAreRefused(t *testing.T) {
	s := newSite(t, func(c *web.Config) {
		c.SetupCode = func(context.Context) (string, error) { return "x", nil }
	})
	for name, edit := range map[string]func(h http.Header){
		"another site":         func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
		"a neighbour":          func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
		"an old browser":       func(h http.Header) { h.Set("Origin", "https://evil.example") },
		"a sandbox":            func(h http.Header) { h.Set("Origin", "null") },
		"a method in a header": func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site"); h.Set("X-HTTP-Method-Override", "GET") },
	} {
		r := from(http.MethodPost, "/setup/x?_method=GET", strings.NewReader("username=eve&password=correct+horse+battery&_method=GET"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		edit(r.Header)
		if w := s.ask(r); w.Code != http.StatusForbidden {
			t.Errorf("%s: got %d", name, w.Code)
		}
	}
	r := from(http.MethodPost, "/setup/x", strings.NewReader("username="+strings.Repeat("x", 100_000)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	s.want(s.ask(r), http.StatusRequestEntityTooLarge)
	if n, _ := s.db.CountUsers(t.Context()); n != 0 {
		t.Errorf("%d users were made", n)
	}
}

func TestAVisitorIsShownTheWayToHerOwnServer(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	post := s.say(baker, activitypub.Draft{Text: "Fresh bread"})
	private := s.say(baker, activitypub.Draft{Text: "a secret", Visibility: storage.Private})
	actor := string(baker.Actor.IRI)

	for handle, link := range map[string]string{
		"@ana@oak.example":            "https://oak.example/authorize_interaction?uri=https%3A%2F%2Frye.example%2Fusers%2Fbaker",
		"ana@OAK.example":             "https://oak.example/authorize_interaction?uri=https%3A%2F%2Frye.example%2Fusers%2Fbaker",
		" oak.example ":               "https://oak.example/authorize_interaction?uri=https%3A%2F%2Frye.example%2Fusers%2Fbaker",
		"https://oak.example/@ana":    "https://oak.example/authorize_interaction?uri=https%3A%2F%2Frye.example%2Fusers%2Fbaker",
		"@ana@oak.example:8443":       "https://oak.example:8443/authorize_interaction?uri=https%3A%2F%2Frye.example%2Fusers%2Fbaker",
		"@ana@xn--mnchen-3ya.example": "https://xn--mnchen-3ya.example/authorize_interaction?uri=https%3A%2F%2Frye.example%2Fusers%2Fbaker",
	} {
		w := s.send("/interact", url.Values{"uri": {actor}, "handle": {handle}})
		s.want(w, http.StatusOK, `href="`+link+`"`)
	}
	for _, handle := range []string{"", "ana", "@ana@", "@ana@localhost", "@ana@oak", "@ana@127.0.0.1", "@ana@[::1]", "@ana@169.254.169.254", "@ana@2130706433", "@ana@0x7f.1", "@ana@oak.example/evil", "@ana@oak.example?x",
		"@ana@oak.example#x", "javascript:alert(1)", "https://user@evil.example@oak", "@ana@-oak.example", "@ana@oak..example", "@ana@oak.example\nX: y", "@ana@printer.local", "@ana@db.internal", "@ana@münchen.example",
		`"><script>`, "//evil.example", `\\evil.example`, "http://oak.example/@ana", "@ana@" + strings.Repeat("a.", 200) + "example"} {
		w := s.send("/interact", url.Values{"uri": {actor}, "handle": {handle}})
		s.want(w, http.StatusUnprocessableEntity, `id="handle-problem"`)
		s.wantNot(w, "/authorize_interaction?", "<script")
	}
	s.want(s.send("/interact", url.Values{"uri": {string(post.IRI)}, "handle": {"@ana@oak.example"}}), http.StatusOK, "uri=https%3A%2F%2Frye.example%2Fusers%2Fbaker%2Fstatuses%2F"+post.ID.String(), "Fresh bread")
	for _, uri := range []string{"", "https://evil.example/x", string(private.IRI), "https://rye.example/users/nobody"} {
		s.want(s.send("/interact", url.Values{"uri": {uri}, "handle": {"@ana@oak.example"}}), http.StatusNotFound)
	}

	// The other way round: a member's own link elsewhere ends here. Her address is shown, and nothing is asked of it.
	s.want(s.get("/authorize_interaction?uri=acct:ana%40oak.example"), http.StatusOK, "ana@oak.example")
	s.want(s.get("/authorize_interaction?uri=http://169.254.169.254/"), http.StatusOK, "169.254.169.254")
	s.want(s.get("/authorize_interaction"), http.StatusBadRequest)
	s.want(s.get("/authorize_interaction?uri="+strings.Repeat("x", 3000)), http.StatusBadRequest)
}

func TestListsArePaged(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	for i := range 45 {
		s.say(baker, activitypub.Draft{Text: fmt.Sprintf("loaf number %d. #bread", i)})
	}
	for _, start := range []string{"/@baker", "/", "/tags/bread", "/tags/Bread"} {
		path, seen, pages := start, 0, 0
		for path != "" && pages < 10 {
			w := s.get(path)
			s.want(w, http.StatusOK)
			body := w.Body.String()
			seen += strings.Count(body, "<p>loaf number")
			pages++
			path = ""
			if _, rest, ok := strings.Cut(body, `rel="next" href="`); ok {
				path, _, _ = strings.Cut(rest, `"`)
				path, _, _ = strings.Cut(path, "#")
			}
		}
		if seen != 45 || pages != 3 {
			t.Errorf("%s shows %d posts on %d pages, want 45 on 3", start, seen, pages)
		}
	}
	s.want(s.get("/@baker?before=x"), http.StatusBadRequest)
	s.want(s.get("/?before=1%20OR%201"), http.StatusBadRequest)
}

func TestARequestLeavesOneLineWithoutSecrets(t *testing.T) {
	s := newSite(t)
	r := from(http.MethodPost, "/interact?token=hush", strings.NewReader("handle=ana%40oak.example&uri=https://rye.example/users/quiet"))
	r.Header.Set("Authorization", "Bearer hush")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "hush")
	s.ask(r)
	line := s.log.String()
	if strings.Count(line, "\n") != 1 || strings.Contains(line, "hush") || strings.Contains(line, "203.0.113.7") || strings.Contains(line, "oak.example") || strings.Contains(line, "quiet") {
		t.Errorf("the log is %s", line)
	}
	var got struct {
		Msg, Method, Path, ID string
		Status                int
	}
	if err := json.Unmarshal([]byte(line), &got); err != nil || got.Msg != "request" || got.Method != "POST" || got.Path != "/interact" || got.Status != 404 || got.ID == "" {
		t.Errorf("the line says %+v, %v", got, err)
	}
}

func TestSES226SES227OnlyTrustedProxiesSayWhoAsks(t *testing.T) {
	// The answer to "who asks" shows in whose bucket is emptied: forms have the smallest.
	exhaust := func(s *site, edit func(r *http.Request, i int)) (limited bool) {
		for i := range 60 {
			r := from(http.MethodGet, "/setup/x", nil)
			edit(r, i)
			if s.ask(r).Code == http.StatusTooManyRequests {
				return true
			}
		}
		return false
	}
	limit := func(proxies ...string) func(c *web.Config) {
		return func(c *web.Config) {
			c.RateLimit = true
			for _, p := range proxies {
				c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix(p))
			}
		}
	}
	forwarded := func(r *http.Request, i int) { r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i)) }
	for _, c := range []struct {
		name    string
		site    *site
		edit    func(r *http.Request, i int)
		limited bool
	}{
		{"without proxies the header counts for nothing", newSite(t, limit()), forwarded, true},
		{"without proxies not from loopback either", newSite(t, limit()), func(r *http.Request, i int) { r.RemoteAddr = "127.0.0.1:1"; forwarded(r, i) }, true},
		{"a stranger is no proxy", newSite(t, limit("127.0.0.0/8")), forwarded, true},
		{"X-Real-IP never counts", newSite(t, limit("127.0.0.0/8")), func(r *http.Request, i int) {
			r.RemoteAddr = "127.0.0.1:1"
			r.Header.Set("X-Real-IP", fmt.Sprintf("198.51.100.%d", i))
		}, true},
		{"nor does any other header", newSite(t, limit("127.0.0.0/8")), func(r *http.Request, i int) {
			r.RemoteAddr = "127.0.0.1:1"
			for _, h := range []string{"Forwarded", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "Fastly-Client-Ip", "X-Cluster-Client-Ip", "X-Originating-Ip", "X-Real-Ip"} {
				r.Header.Set(h, fmt.Sprintf("198.51.100.%d", i))
			}
		}, true},
		{"our proxy says who asks", newSite(t, limit("127.0.0.0/8")), func(r *http.Request, i int) { r.RemoteAddr = "127.0.0.1:1"; forwarded(r, i) }, false},
		{"what the client wrote before our proxy did counts for nothing", newSite(t, limit("127.0.0.0/8")), func(r *http.Request, i int) {
			r.RemoteAddr = "127.0.0.1:1"
			r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d, 203.0.113.9", i))
		}, true},
		{"private networks are not trusted unasked", newSite(t, limit("127.0.0.0/8")), func(r *http.Request, i int) { r.RemoteAddr = "10.0.0.5:1"; forwarded(r, i) }, true},
		{"one customer's IPv6 network is one client", newSite(t, limit()), func(r *http.Request, i int) { r.RemoteAddr = fmt.Sprintf("[2001:db8:1:2::%x]:1", i+1) }, true},
		{"a zone makes no other client", newSite(t, limit()), func(r *http.Request, i int) { r.RemoteAddr = fmt.Sprintf("[fe80::1%%eth%d]:1", i) }, true},
		{"an address written as IPv6 is the same", newSite(t, limit()), func(r *http.Request, i int) {
			r.RemoteAddr = []string{"203.0.113.7:1", "[::ffff:203.0.113.7]:1"}[i%2]
		}, true},
		{"other networks are other clients", newSite(t, limit()), func(r *http.Request, i int) { r.RemoteAddr = fmt.Sprintf("[2001:db8:1:%x::1]:1", i+1) }, false},
		{"the limit can be turned off", newSite(t), func(*http.Request, int) {}, false},
	} {
		if got := exhaust(c.site, c.edit); got != c.limited {
			t.Errorf("%s: limited is %v, want %v", c.name, got, c.limited)
		}
	}
}

func TestWEB264WhoAsksTooMuchIsToldWhenToComeAgain(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	s := newSite(t, func(c *web.Config) { c.RateLimit = true; c.DB.Now = func() time.Time { return now } })
	var w *httptest.ResponseRecorder
	asked := 0
	for asked = 1; asked < 5000; asked++ {
		if w = s.get("/"); w.Code != http.StatusOK {
			break
		}
	}
	s.want(w, http.StatusTooManyRequests, "faster than this node answers")
	if asked != 201 || w.Header().Get("Retry-After") != "1" || w.Header().Get("X-RateLimit-Limit") != "200" || w.Header().Get("X-RateLimit-Remaining") != "0" || w.Header().Get("X-RateLimit-Reset") != "2026-11-24T09:00:01.000Z" {
		t.Errorf("request %d was refused with %v", asked, w.Header())
	}
	s.want(s.get("/healthz"), http.StatusOK)
	s.want(s.getAs(activityJSON, "/actor"), http.StatusOK) // servers have a measure of their own
	now = now.Add(time.Second)
	s.want(s.get("/"), http.StatusOK)
}

// TestAnAppIsToldHowMuchItMayAsk: on every answer of the API, by token and by address, and less of what is dear.
func TestAnAppIsToldHowMuchItMayAsk(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	s := newSite(t, func(c *web.Config) { c.RateLimit = true; c.DB.Now = func() time.Time { return now } })
	by := s.coop("bakery", "Bakery")
	token := func() string {
		t.Helper()
		secret := oauth.NewSecret()
		if err := s.db.SaveToken(t.Context(), &storage.Token{Hash: oauth.Hash(secret), UserID: by.User.ID, ActorID: by.User.ActorID, Scopes: "read write"}); err != nil {
			t.Fatal(err)
		}
		return secret
	}
	ask := func(token, method, path string) *httptest.ResponseRecorder {
		r := from(method, path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return s.ask(r)
	}
	want := func(w *httptest.ResponseRecorder, code int, limit, left, reset string) {
		t.Helper()
		h := w.Header()
		if w.Code != code || h.Get("X-RateLimit-Limit") != limit || h.Get("X-RateLimit-Remaining") != left || h.Get("X-RateLimit-Reset") != "2026-11-24T"+reset+"Z" || (code == 429) != (h.Get("Retry-After") != "") {
			t.Errorf("%d %v, want %d with %s of %s until %s", w.Code, h, code, left, limit, reset)
		}
	}
	one, two := token(), token()
	const home = "/api/v1/timelines/home"
	want(ask(one, "GET", home), 200, "300", "299", "09:00:01.000")
	want(ask(one, "GET", home), 200, "300", "298", "09:00:02.000")
	want(ask(two, "GET", home), 200, "300", "299", "09:00:01.000")
	want(ask(one, "GET", "/api/v1/nothing"), 404, "300", "297", "09:00:03.000")
	want(ask("made up", "GET", home), 401, "300", "299", "09:00:01.000")
	want(ask("", "GET", "/api/v1/instance"), 200, "300", "299", "09:00:01.000")
	for range 297 {
		if w := ask(one, "GET", "/api/v1/streaming/health"); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	want(ask(one, "GET", home), 429, "300", "0", "09:00:01.000")
	want(ask(two, "GET", home), 200, "600", "296", "09:00:30.400") // another app, at an address that has asked for more
	now = now.Add(time.Second)
	want(ask(one, "GET", home), 200, "300", "0", "09:05:01.000")
	// What goes out to other servers, and what takes disk.
	want(ask(two, "DELETE", "/api/v1/statuses/1"), 404, "30", "29", "09:01:01.000")
	for range 29 {
		ask(two, "POST", "/api/v1/statuses/1/unreblog")
	}
	want(ask(two, "DELETE", "/api/v1/statuses/1"), 429, "30", "0", "09:01:01.000")
	want(ask(two, "POST", "/api/v2/media"), 422, "30", "29", "09:01:01.000")
	now = now.Add(time.Hour)
	app := func() string {
		t.Helper()
		a := &storage.App{ClientID: oauth.NewSecret(), SecretHash: "x", Name: "An app", RedirectURIs: []string{oauth.OutOfBand}, Scopes: "write"}
		if err := s.db.SaveApp(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		secret := oauth.NewSecret()
		if err := s.db.SaveToken(t.Context(), &storage.Token{Hash: oauth.Hash(secret), AppID: a.ID, Scopes: "write"}); err != nil {
			t.Fatal(err)
		}
		return secret
	}
	for i := range 5 { // by address: another app is no way around it
		want(ask(app(), "POST", "/api/v1/accounts"), 422, "5", strconv.Itoa(4-i), now.Add(time.Duration(i+1)*6*time.Minute).Format("15:04:05.000"))
	}
	want(ask(app(), "POST", "/api/v1/accounts"), 429, "5", "0", now.Add(6*time.Minute).Format("15:04:05.000"))
}

func TestADM245MetricsAreForThisMachine(t *testing.T) {
	s := newSiteAt(t, "http://localhost:8080")
	ask := func(edit func(r *http.Request)) *httptest.ResponseRecorder {
		r := from(http.MethodGet, "/metrics", nil)
		r.RemoteAddr, r.Host = "127.0.0.1:1234", "localhost:8080"
		edit(r)
		return s.ask(r)
	}
	absent := ask(func(r *http.Request) { r.URL.Path = "/nothing" })
	for name, edit := range map[string]func(r *http.Request){
		"from outside":        func(r *http.Request) { r.RemoteAddr = "203.0.113.7:1" },
		"through a proxy":     func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.7") },
		"through another":     func(r *http.Request) { r.Header.Set("Forwarded", "for=203.0.113.7") },
		"by the public name":  func(r *http.Request) { r.Host = "rye.example" },
		"claiming to be here": func(r *http.Request) { r.RemoteAddr = "203.0.113.7:1"; r.Header.Set("X-Forwarded-For", "127.0.0.1") },
	} {
		if w := ask(edit); w.Code != http.StatusNotFound || w.Body.String() != absent.Body.String() {
			t.Errorf("%s: got %d", name, w.Code)
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/vars", "/debug/pprof/heap"} {
		if w := ask(func(r *http.Request) { r.URL.Path = path }); w.Code != http.StatusNotFound {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
	w := ask(func(*http.Request) {})
	s.want(w, http.StatusOK, `planet_build_info{version="1.2.3"`, `planet_http_requests_total{route="/metrics",method="GET",code="404"} 5`, `planet_http_request_duration_seconds_bucket{le="+Inf"}`, "go_goroutines ")
	w = ask(func(r *http.Request) { r.RemoteAddr = "[::1]:1234"; r.Host = "[::1]:8080" })
	s.want(w, http.StatusOK)
	for _, line := range strings.Split(strings.TrimSpace(w.Body.String()), "\n") {
		if !strings.HasPrefix(line, "# ") && len(strings.Fields(line)) != 2 {
			t.Errorf("not a sample: %s", line)
		}
	}
}

func TestStaticFilesComeFromATable(t *testing.T) {
	s := newSite(t)
	w := s.get("/")
	_, rest, _ := strings.Cut(w.Body.String(), `<link rel="stylesheet" href="`)
	style, _, _ := strings.Cut(rest, `"`)
	w = s.get(style)
	s.want(w, http.StatusOK, "prefers-color-scheme: dark")
	if got := w.Header().Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Errorf("%s is kept as %q", style, got)
	}
	if w.Header().Get("Content-Type") != "text/css; charset=utf-8" || w.Header().Get("Etag") == "" {
		t.Errorf("got %v", w.Header())
	}
	r := from(http.MethodGet, "/static/style.css", nil)
	r.Header.Set("If-None-Match", w.Header().Get("Etag"))
	if w := s.ask(r); w.Code != http.StatusNotModified {
		t.Errorf("an unchanged file answers %d", w.Code)
	}
	for _, path := range []string{"/static/", "/static/..", "/static/../pages.go", "/static/%2e%2e%2fpages.go", "/static/..%5cpages.go", "/static/templates/home.html", "/static/style.css/x", "/media/..%2f..%2fplanet.db", "/%2e%2e/etc/passwd"} {
		if w := s.get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
	s.want(s.get("/favicon.ico"), http.StatusOK)
	s.want(s.get("/robots.txt"), http.StatusOK, "Disallow: /setup/")
	head := s.ask(from(http.MethodHead, "/", nil))
	s.want(head, http.StatusOK)
}

// What a post quotes is shown when the quoted author's server allows it, and until then nothing but where it is.
func TestAQuoteIsShownOnceItIsAllowed(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	quoted := s.say(baker, activitypub.Draft{Text: "Words of the baker"})
	ann := &storage.Actor{IRI: "https://far.example/users/ann", Type: storage.Person, Username: "ann", Domain: "far.example", Name: "Ann"}
	if err := s.db.SaveActor(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	quote := &storage.Post{IRI: "https://far.example/notes/1", ActorID: ann.ID, Type: "Note", Visibility: storage.Public, Content: "<p>Look</p>", Tags: []string{"bread"},
		Quote: quoted.IRI, QuoteApproval: baker.Actor.IRI + "/stamps/1", PublishedAt: s.db.Now()}
	if err := s.db.SavePost(t.Context(), quote); err != nil {
		t.Fatal(err)
	}
	w := s.get("/tags/bread")
	s.want(w, http.StatusOK, "Look", `href="`+string(quoted.IRI)+`"`, "has not said that it may be shown here")
	s.wantNot(w, "Words of the baker")
	if err := s.db.AllowQuote(t.Context(), quote, true); err != nil {
		t.Fatal(err)
	}
	w = s.get("/tags/bread")
	s.want(w, http.StatusOK, "Look", "Words of the baker", "@baker@rye.example")
	s.wantNot(w, "has not said")
	if err := s.node.Delete(t.Context(), baker, quoted.ID); err != nil {
		t.Fatal(err)
	}
	s.wantNot(s.get("/tags/bread"), "Words of the baker")
}

// A stop lets those that are being served end, and tells everybody new to come again; once nobody is served it is over.
func TestREL312AStopIsGraceful(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := newSite(t, func(c *web.Config) {
		c.SetupCode = func(context.Context) (string, error) { close(entered); <-leave; return "", nil }
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	send := func(method, path string) (*http.Response, error) {
		r, err := http.NewRequest(method, "http://"+l.Addr().String()+path, nil)
		if err != nil {
			return nil, err
		}
		r.Host = "rye.example"
		res, err := client.Do(r)
		if err == nil {
			res.Body.Close()
		}
		return res, err
	}
	ask := func(method, path string) *http.Response {
		t.Helper()
		res, err := send(method, path)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if res := ask(http.MethodGet, "/readyz"); res.StatusCode != http.StatusOK {
		t.Fatalf("not ready: %d", res.StatusCode)
	}
	slow := make(chan int, 1)
	go func() {
		res, err := send(http.MethodGet, "/setup/x")
		if err != nil {
			t.Error(err)
			slow <- 0
			return
		}
		slow <- res.StatusCode
	}()
	<-entered
	stop()
	for ask(http.MethodGet, "/readyz").StatusCode == http.StatusOK { // until it has heard of it
		time.Sleep(time.Millisecond)
	}
	for _, c := range []struct{ method, path string }{{http.MethodGet, "/"}, {http.MethodPost, "/inbox"}, {http.MethodPost, "/users/baker/inbox"}, {http.MethodGet, "/users/baker"}, {http.MethodGet, "/.well-known/webfinger?resource=acct:baker@rye.example"}} {
		if res := ask(c.method, c.path); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s of a stopping server: %d, Retry-After %q; want 503 and when to come again", c.method, c.path, res.StatusCode, res.Header.Get("Retry-After"))
		}
	}
	if res := ask(http.MethodGet, "/healthz"); res.StatusCode != http.StatusOK {
		t.Errorf("a stopping server does not live: %d", res.StatusCode)
	}
	select {
	case err := <-served:
		t.Fatalf("it ended before its last request: %v", err)
	default:
	}
	close(leave)
	if status := <-slow; status != http.StatusNotFound {
		t.Errorf("the last request was answered with %d", status)
	}
	if err := <-served; err != nil {
		t.Errorf("the stop was not orderly: %v", err)
	}
	if _, err := send(http.MethodGet, "/"); err == nil {
		t.Error("a server that has stopped answers")
	}
}

// Whoever does not end holds a stop up for 20 s, and is cut off then.
func TestREL312AStopWaitsTwentySeconds(t *testing.T) {
	entered := make(chan struct{})
	s := newSite(t, func(c *web.Config) {
		c.SetupCode = func(ctx context.Context) (string, error) { close(entered); <-ctx.Done(); return "", ctx.Err() }
	})
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx, l) }()
		c := l.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "GET /setup/x HTTP/1.1\r\nHost: rye.example\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-entered
		start := time.Now()
		stop()
		_, _ = io.Copy(io.Discard, c) // until it is cut off
		if err := <-served; err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 19*time.Second || took > 21*time.Second {
			t.Errorf("the stop took %v, want 20 s", took)
		}
	})
}

func TestRunSaysWhenItCannotListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newSite(t, func(c *web.Config) { c.Listen = l.Addr().String() })
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}
