package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
	"planet/web"
	"planet/web/oauth"
)

// Addresses that differ from the registered one in what a careless comparison overlooks, with it as a prefix, a suffix or beside it.
func TestOAU203NoAddressIsNearEnough(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a := s.register("read", home, "http://127.0.0.1:8000/back", "http://localhost/back")
	a.signsIn(a.asks(nil), "by_bakery")
	for _, to := range []string{home + "?", home + "#", home + "%2f", home + "/..", home + "/../evil", home + ".evil.example", home + "%00", home + "\n", " " + home, home + " ", home + "\t", "https://app.example:443/back", "https://app.example//back", "https://app.example/./back", "https://app.example/%62ack", "https://app.example/Back", "HTTPS://app.example/back",
		"https://app.example@evil.example/back", "https://evil.example/#" + home, "https://evil.example/?" + home, "https://evil.example\\@app.example/back", "https:app.example/back", "//app.example/back", "/back", "https://app.example/back," + home, "https://ａpp.example/back", "https://app.example/back\u200b",
		"http://127.0.0.1:8001/back", "http://127.0.0.1/back", "http://127.0.0.2:8000/back", "http://[::1]:8000/back", "http://localhost:8000/back", "http://localhost.evil.example/back", "data:text/html,x", "javascript:alert(1)//" + home, oauth.OutOfBand} {
		for _, w := range []*httptest.ResponseRecorder{a.browse(http.MethodGet, a.asks(url.Values{"redirect_uri": {to}}), nil), a.browse(http.MethodPost, a.asks(url.Values{"redirect_uri": {to}}), url.Values{"do": {"deny"}})} {
			if w.Code != 400 || w.Header().Get("Location") != "" {
				t.Errorf("to %q: %d to %q", to, w.Code, w.Header().Get("Location"))
			}
		}
	}
	// Twice is none, whichever comes first.
	for _, path := range []string{a.asks(nil) + "&redirect_uri=https%3A%2F%2Fevil.example", strings.Replace(a.asks(nil), "?", "?redirect_uri=https%3A%2F%2Fevil.example&", 1)} {
		if w := a.browse(http.MethodGet, path, nil); w.Code != 400 || w.Header().Get("Location") != "" {
			t.Errorf("%s: %d to %q", path, w.Code, w.Header().Get("Location"))
		}
	}
	if w := a.consents(a.asks(nil), ""); !strings.HasPrefix(w.Header().Get("Location"), home+"?code=") {
		t.Errorf("the right one: %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// A code travels to the app in an address: in plain text that is for this machine alone, or everybody on the way has it.
func TestOAU204NoCodeTravelsInPlainText(t *testing.T) {
	s := newSite(t)
	for to, want := range map[string]int{"http://app.example/back": 422, "http://127.0.0.1.evil.example/": 422, "http://localhost.evil.example/": 422, "http://10.0.0.1/back": 422, "HTTP://app.example/": 422, "http://127.0.0.1/back": 200, "http://127.0.0.1:8000/back": 200, "http://[::1]:8000/back": 200,
		"http://localhost:3000/back": 200, "http://app.localhost/back": 200, "https://app.example/back": 200, "breadapp://back": 200, "com.example.app:/back": 200, oauth.OutOfBand: 200, "filesystem:https://app.example/x": 422, "jar:https://app.example!/x": 422, "view-source:https://app.example/": 422, "about:blank": 422} {
		if w := s.ask(s.form("/api/v1/apps", url.Values{"client_name": {"x"}, "redirect_uris": {to}})); w.Code != want {
			t.Errorf("%q: %d %s, want %d", to, w.Code, w.Body, want)
		}
	}
}

func TestOAU206ACodeIsGoodOnceAlsoAtOnce(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a := s.register("read")
	code := a.code("by_bakery", "", nil)
	codes := make([]int, 20)
	var all sync.WaitGroup
	for i := range codes {
		all.Go(func() { codes[i] = a.trade(code, nil).Code })
	}
	all.Wait()
	good := 0
	for _, c := range codes {
		switch c {
		case 200:
			good++
		case 400:
		default:
			t.Errorf("it is answered %d", c)
		}
	}
	if good != 1 {
		t.Errorf("%d of 20 got a token for one code", good)
	}
	holds := 0
	for _, row := range storagetest.Rows(t, s.db)["tokens"] {
		if row["revoked_at"] == nil {
			holds++
		}
	}
	if holds != 0 {
		t.Errorf("%d tokens of a code that came twice hold", holds)
	}
}

// The page of a code and the way to the app are kept by nobody, and the next site learns nothing of them.
func TestOAU219NeitherTheConsentNorTheCodeIsKept(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a := s.register("read", home, oauth.OutOfBand)
	a.signsIn(a.asks(nil), "by_bakery")
	out := a.asks(url.Values{"redirect_uri": {oauth.OutOfBand}})
	for name, w := range map[string]*httptest.ResponseRecorder{"the page to sign in": s.get(a.asks(nil)), "the consent": a.browse(http.MethodGet, a.asks(nil), nil), "the way to the app": a.consents(a.asks(nil), ""), "the page of a code": a.consents(out, ""), "the way of an error": a.browse(http.MethodGet, a.asks(url.Values{"scope": {"nonsense"}}), nil),
		"the page of an error": a.browse(http.MethodGet, a.asks(url.Values{"client_id": {"nobody"}}), nil), "a token": a.trade("x", nil)} {
		h := w.Header()
		if h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s is kept: %d %q", name, w.Code, h.Get("Cache-Control"))
		}
		policy := h.Get("Referrer-Policy")
		if leaves := h.Get("Location") != ""; policy != "no-referrer" && (leaves || policy != "same-origin") {
			t.Errorf("%s is told to the next site: %q", name, policy)
		}
		if strings.Contains(h.Get("Location"), "#") {
			t.Errorf("%s has its answer behind a #: %s", name, h.Get("Location"))
		}
	}
}

func TestOAU223AFloodOfApps(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	s := newSite(t, func(c *web.Config) { c.RateLimit = true; c.DB.Now = func() time.Time { return now } })
	made, refused := 0, 0
	for i := range 100 {
		path := []string{"/api/v1/apps", "/api/v1/apps/", "/api/v1/apps?x=1"}[i%3]
		r := s.form(path, url.Values{"client_name": {"x"}, "redirect_uris": {home}})
		if i%2 == 0 {
			r = from(http.MethodPost, path, strings.NewReader(`{"client_name":"x","redirect_uris":"`+home+`"}`))
			r.Header.Set("Content-Type", "application/json")
		}
		r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i))
		switch w := s.ask(r); w.Code {
		case 200:
			made++
		case 429:
			if refused++; w.Header().Get("Retry-After") == "" || w.Header().Get("X-RateLimit-Limit") == "" {
				t.Errorf("it is not told when to come again: %v", w.Header())
			}
		default:
			t.Fatalf("%s answers %d %s", path, w.Code, w.Body)
		}
	}
	if made != 20 || refused != 80 {
		t.Errorf("%d apps were made and %d refused, want 20 and 80", made, refused)
	}
	// A day later those that nobody uses are gone.
	now = now.Add(25 * time.Hour)
	if err := s.db.PruneClients(t.Context(), now.Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if left := storagetest.Rows(t, s.db)["apps"]; len(left) != 0 {
		t.Errorf("%d apps are left", len(left))
	}
}

// What only its reader may know is in no log, however its address was written.
func TestOAU218NoSecretOfAnAddressIsLogged(t *testing.T) {
	const code = "0123456789abcdef"
	s := newSite(t, func(c *web.Config) { c.SetupCode = func(context.Context) (string, error) { return code, nil } })
	s.coop("bakery", "Bakery")
	token := s.register("read").token("by_bakery", "", "read")
	s.log.Reset()
	for _, way := range []string{"/invite/", "/setup/", "/pay/", "/Invite/", "//invite/", "/invite//", "/api/invite/"} {
		for _, tail := range []string{"", "/", "/x", ".", ")", "?a=b", "%20", "%2f"} {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "PROPFIND"} {
				r := from(method, "/", nil)
				u, err := url.ParseRequestURI(way + code + tail)
				if err != nil {
					t.Fatal(err)
				}
				if r.URL = u; strings.HasPrefix(way, "//") {
					r.URL = &url.URL{Path: way + code}
				}
				s.ask(r)
			}
		}
	}
	for _, path := range []string{me + "?access_token=" + token, "/api/v1/streaming?access_token=" + token, "/api/v1/streaming/user?access_token=" + token + "x", "/oauth/authorize?code=" + code + "&state=" + code, "/oauth/token?code=" + code} {
		r := from(http.MethodGet, path, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.ask(r.WithContext(ctx))
	}
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, code) || strings.Contains(line, token) {
			t.Errorf("the log has %s", line)
		}
	}
}

func TestWEB263ListsOfOthersAreNoStreams(t *testing.T) {
	s := newSite(t)
	by := s.coop("bakery", "Bakery")
	s.coop("mill", "Mill")
	list := &storage.List{ActorID: by.User.ActorID, Title: "Bakers", Replies: "list"}
	if err := s.db.SaveList(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	a := s.register("read write")
	hers := a.token("by_bakery", "", "read")
	a.cookie = nil
	other := a.token("by_mill", "", "read")
	address := s.live()
	if conn, status := dial(t, address+"?stream=list&list="+list.ID.String()+"&access_token="+hers, nil); conn == nil {
		t.Errorf("her own list is answered %d", status)
	}
	for _, id := range []string{list.ID.String(), "1", "x", ""} {
		if conn, status := dial(t, address+"?stream=list&list="+id+"&access_token="+other, nil); conn != nil || status != 404 {
			t.Errorf("the list %q is answered %d", id, status)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // a stream that was let in has no end of its own
		if w := s.ask(with(other, "GET", "/api/v1/streaming/list?list="+id, nil).WithContext(ctx)); w.Code != 404 {
			t.Errorf("the events of the list %q are answered %d", id, w.Code)
		}
		cancel()
	}
	if w := s.ask(s.form("/oauth/revoke", url.Values{"client_id": {a.id}, "client_secret": {a.secret}, "token": {other}})); w.Code != 200 {
		t.Fatal(w.Code)
	}
	if conn, status := dial(t, address+"?stream=user&access_token="+other, nil); conn != nil || status != 401 {
		t.Errorf("with a token that has ended: %d", status)
	}
	// A page of another site, with her cookie and without a token.
	r := from(http.MethodGet, "/api/v1/streaming?stream=user", nil)
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": "https://evil.example"} {
		r.Header.Set(name, value)
	}
	a.cookie = nil
	a.signsIn(a.asks(nil), "by_bakery")
	r.AddCookie(a.cookie)
	if w := s.ask(r); w.Code != 401 {
		t.Errorf("with a cookie alone: %d", w.Code)
	}
}

// Whoever is told to come later is told when, in the words of each kind of client.
func TestWEB264EveryRefusalSaysWhenToComeAgain(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	s := newSite(t, func(c *web.Config) { c.RateLimit = true; c.DB.Now = func() time.Time { return now } })
	s.coop("bakery", "Bakery")
	a := s.register("read")
	for name, ask := range map[string]func() *httptest.ResponseRecorder{
		"a page": func() *httptest.ResponseRecorder { return s.get("/about") }, "the API": func() *httptest.ResponseRecorder { return s.get("/api/v1/instance") }, "a document": func() *httptest.ResponseRecorder { return s.getAs(activityJSON, "/users/bakery") },
		"a picture": func() *httptest.ResponseRecorder { return s.get("/media/x") }, "a form": func() *httptest.ResponseRecorder { return s.ask(s.form("/oauth/token", nil)) },
		"a name that is guessed at": func() *httptest.ResponseRecorder {
			return a.guess("by_bakery", strings.Repeat("x", 5000), func(r *http.Request) { r.RemoteAddr = fmt.Sprintf("198.51.100.%d:1", now.Nanosecond()%250) })
		},
	} {
		var w *httptest.ResponseRecorder
		for range 2000 {
			if name == "a name that is guessed at" {
				now = now.Add(time.Nanosecond)
			}
			if w = ask(); w.Code == http.StatusTooManyRequests {
				break
			}
		}
		h := w.Header()
		if w.Code != http.StatusTooManyRequests {
			t.Fatalf("%s: there is no end: %d", name, w.Code)
		}
		if h.Get("Retry-After") == "" || h.Get("X-RateLimit-Limit") == "" || h.Get("X-RateLimit-Remaining") != "0" || h.Get("X-RateLimit-Reset") == "" {
			t.Errorf("%s: %v", name, h)
		}
	}
}

// Every page that there is forbids scripts, frames, foreign forms and guessing of types; so does every error.
func TestXSS188EveryRouteHasTheHeaders(t *testing.T) {
	s := newSite(t)
	by := s.coop("baker", "The Bakery")
	post := s.say(by, activitypub.Draft{Text: "Fresh #bread"})
	a := s.register("read")
	a.signsIn(a.asks(nil), "by_baker")
	pages := 0
	for _, route := range s.Routes() {
		path := strings.NewReplacer(":code", "x", ":id", post.ID.String(), ":name", "baker", ":tag", "bread", "*", "x", ":mac", "x", ":address", "x").Replace(route.Path)
		for _, accept := range []string{browser, "*/*", activityJSON} {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			r := from(route.Method, path, nil).WithContext(ctx)
			r.Header.Set("Accept", accept)
			r.AddCookie(a.cookie)
			w := s.ask(r)
			cancel()
			h := w.Header()
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") == "" || h.Get("X-Frame-Options") != "DENY" || h.Get("Referrer-Policy") == "" {
				t.Errorf("%s %s as %.12s is %d %v", route.Method, path, accept, w.Code, h)
			}
			policy := h.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "object-src 'none'"} {
				if !strings.Contains(policy, part) && !strings.Contains(policy, "sandbox") {
					t.Errorf("%s %s lacks %s: %s", route.Method, path, part, policy)
				}
			}
			if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") || strings.Contains(policy, "*") {
				t.Errorf("%s %s: %s", route.Method, path, policy)
			}
			if strings.HasPrefix(h.Get("Content-Type"), "text/html") {
				pages++
				if body := w.Body.String(); strings.Contains(body, "<script") || strings.Contains(body, " style=") || strings.Contains(body, "<style") {
					t.Errorf("%s %s has what its policy forbids", route.Method, path)
				}
			}
		}
	}
	if pages < 50 {
		t.Errorf("only %d pages were looked at", pages)
	}
}

// The page of a picture is none: the bombs of storage/media are refused where apps bring them, too.
func TestMED193MED194BombsOfApps(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	token := s.register("read write").token("by_baker", "", "read write")
	whole := pngOf(40, 20, 1)
	huge := append([]byte{}, whole...)
	copy(huge[16:], "\x00\x00\xc3\x50\x00\x00\xc3\x50") // 50000 x 50000, as its header says
	for name, body := range map[string][]byte{"a bomb": huge, "half a picture": whole[:len(whole)/2], "a head": whole[:20], "a damaged one": append(append([]byte{}, whole[:60]...), make([]byte, 60)...), "a film": []byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom#EXTM3U\nhttp://127.0.0.1/\n")} {
		for path, field := range map[string]string{"/api/v2/media": "file", "/api/v1/media": "file", "/api/v1/accounts/update_credentials": "header"} {
			method := http.MethodPost
			if field == "header" {
				method = http.MethodPatch
			}
			if w := s.ask(uploaded(token, method, path, field, "x.png", "image/png", body)); w.Code != http.StatusUnprocessableEntity {
				t.Errorf("%s to %s is answered %d %s", name, path, w.Code, w.Body)
			}
		}
	}
	if left := files(t, s.node.MediaDir); len(left) != 0 {
		t.Errorf("%q is left", left)
	}
}
