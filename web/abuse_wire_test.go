package web_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/storage"
)

// wire is a node that listens on this machine, for requests that no client would write.
func (s *site) wire() (say func(text string) []answered) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			s.t.Error(err)
		}
	})
	const last = "GET /healthz HTTP/1.1\r\nHost: rye.example\r\nConnection: close\r\n\r\n"
	// say sends text as it is, and an honest request behind it on the same connection; it hears until the node hangs up.
	return func(text string) (heard []answered) {
		s.t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			s.t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, text+last); err != nil {
			s.t.Fatal(err)
		}
		r := bufio.NewReader(c)
		for {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				return heard
			}
			body, _ := io.ReadAll(res.Body)
			heard = append(heard, answered{res, string(body)})
		}
	}
}

type answered struct {
	*http.Response
	body string
}

// statuses are those of answers, in their order.
func statuses(heard []answered) string {
	var out []string
	for _, a := range heard {
		out = append(out, strconv.Itoa(a.StatusCode))
	}
	return strings.Join(out, " ")
}

func TestWEB257OneHostAndOneAlone(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	say := s.wire()
	for name, c := range map[string]struct{ head, want string }{
		"its own":                            {"GET /@baker HTTP/1.1\r\nHost: rye.example\r\n", "200 200"},
		"an absolute address of another":     {"GET http://evil.example/@baker HTTP/1.1\r\nHost: rye.example\r\n", "421 200"},
		"an absolute address counts":         {"GET https://rye.example/@baker HTTP/1.1\r\nHost: evil.example\r\n", "200 200"}, // RFC 9112 §3.2.2
		"two of them":                        {"GET /@baker HTTP/1.1\r\nHost: rye.example\r\nHost: evil.example\r\n", "400"},
		"two, the other first":               {"GET /@baker HTTP/1.1\r\nHost: evil.example\r\nhost: rye.example\r\n", "400"},
		"none":                               {"GET /@baker HTTP/1.1\r\n", "400"},
		"none, as of old":                    {"GET /@baker HTTP/1.0\r\nConnection: keep-alive\r\n", "421 200"},
		"one that goes on":                   {"GET /@baker HTTP/1.1\r\nHost: rye.example\r\n .evil.example\r\n", "400"},
		"with a user":                        {"GET /@baker HTTP/1.1\r\nHost: rye.example@evil.example\r\n", "400"},
		"another, and a proxy that vouches":  {"GET /@baker HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: rye.example\r\n", "421 200"},
		"its own, and a proxy that disputes": {"GET /@baker HTTP/1.1\r\nHost: rye.example\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nX-Original-Host: evil.example\r\nX-Original-URL: /about\r\n", "200 200"},
	} {
		heard := say(c.head + "\r\n")
		if got := statuses(heard); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		for _, a := range heard {
			if strings.Contains(a.body+fmt.Sprint(a.Header), "evil") {
				t.Errorf("%s: it speaks of the other host: %s %v", name, a.body, a.Header)
			}
		}
		if c.want == "200 200" && !strings.Contains(heard[0].body, `<link rel="canonical" href="https://rye.example/@baker">`) {
			t.Errorf("%s: the page is not where it says", name)
		}
	}
}

// What one reads as the end of a request and another as its middle must not be answered twice. Each hides a request for /about in what it sends.
func TestWEB265NoRequestHidesInAnother(t *testing.T) {
	s := newSite(t)
	say := s.wire()
	const hidden = "GET /about HTTP/1.1\r\nHost: rye.example\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /interact HTTP/1.1\r\nHost: rye.example\r\nContent-Type: application/x-www-form-urlencoded\r\n" + headers + "\r\n" + body
	}
	for name, c := range map[string]struct{ text, want string }{
		"a length and chunks":            {post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), "404"},
		"chunks and a length":            {post("Transfer-Encoding: chunked\r\nContent-Length: 56\r\n", "0\r\n\r\n"+hidden), "404"},
		"a length, chunks on a new line": {post("Content-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+hidden), "404"},
		"chunks of another kind":         {post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+hidden), "501"},
		"chunks twice":                   {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+hidden), "501"},
		"a space before the colon":       {post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"+hidden), "400"},
		"two lengths":                    {post("Content-Length: 4\r\nContent-Length: 60\r\n", "abcd"+hidden), "400"},
		"two lengths on a line":          {post("Content-Length: 4, 60\r\n", "abcd"+hidden), "400"},
		"a length with a sign":           {post("Content-Length: +4\r\n", "abcd"+hidden), "400"},
		"a length below nothing":         {post("Content-Length: -1\r\n", hidden), "400"},
		"an end of a line inside":        {"GET /healthz HTTP/1.1\r\nHost: rye.example\r\nX-A: b\rGET /about HTTP/1.1\r\n\r\n", "400"},
		"a zero inside":                  {"GET /healthz HTTP/1.1\r\nHost: rye.example\r\nX-A: b\x00c\r\n\r\n", "400"},
		"a body of what has none":        {"GET /healthz HTTP/1.1\r\nHost: rye.example\r\nContent-Length: 42\r\n\r\n" + hidden, "200 200"},    // the body, and the honest one
		"a header that goes on":          {"GET /healthz HTTP/1.1\r\nHost: rye.example\r\nX-A: b\r\n GET /about HTTP/1.1\r\n\r\n", "200 200"}, // joined by a space, RFC 9112 §5.2
		"a chunk with more to say":       {post("Transfer-Encoding: chunked\r\n", "2;\nxx\r\n2d\r\n0\r\n\r\n"+hidden), "400"},
	} {
		heard := say(c.text)
		if got := statuses(heard); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		for _, a := range heard {
			if strings.Contains(a.body, "<h1") && a.StatusCode == 200 {
				t.Errorf("%s: the hidden request was answered", name)
			}
		}
	}
	for name, text := range map[string]string{
		"a page": "TRACE / HTTP/1.1\r\n", "the API": "TRACE /api/v1/instance HTTP/1.1\r\n", "an outbox": "TRACE /users/baker/outbox HTTP/1.1\r\n", "an inbox": "TRACE /inbox HTTP/1.1\r\n", "a picture": "TRACE /media/x HTTP/1.1\r\n", "the consent": "TRACE /oauth/authorize HTTP/1.1\r\n",
		"TRACK": "TRACK / HTTP/1.1\r\n", "a tunnel": "CONNECT rye.example:443 HTTP/1.1\r\n",
	} {
		heard := say(text + "Host: rye.example\r\nCookie: hush\r\nAuthorization: Bearer hush\r\n\r\n")
		if len(heard) == 0 || heard[0].StatusCode != 405 && heard[0].StatusCode != 404 || strings.Contains(heard[0].body, "hush") {
			t.Errorf("%s: %s", name, statuses(heard))
		}
	}
}

func TestWEB258WhatAStrangerForwardsCountsForNothing(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	a := s.register("read")
	plain := s.get("/@baker").Body.String()
	for _, scheme := range []string{"http", "https", "javascript", "gopher"} {
		edit := func(r *http.Request) *http.Request {
			for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Protocol", "X-Url-Scheme", "X-Forwarded-Scheme"} {
				r.Header.Set(name, scheme)
			}
			r.Header.Set("X-Forwarded-Ssl", "off")
			r.Header.Set("X-Forwarded-Host", "evil.example")
			r.Header.Set("X-Forwarded-Prefix", "/evil")
			r.Header.Set("Forwarded", `proto=http;host="evil.example"`)
			r.Header.Set("X-Rewrite-Url", "/about")
			return r
		}
		if w := s.ask(edit(from(http.MethodGet, "/@baker", nil))); w.Code != 200 || w.Body.String() != plain {
			t.Errorf("%s: the page is another one: %d", scheme, w.Code)
		}
		r := edit(from(http.MethodPost, a.asks(nil), strings.NewReader(url.Values{"do": {"signin"}, "name": {"by_baker"}, "password": {"a long enough password"}}.Encode())))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://rye.example")
		w := s.ask(r)
		if c := w.Result().Cookies(); len(c) != 1 || !c[0].Secure || c[0].Name != "__Host-planet" || w.Header().Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: the cookie is %+v", scheme, c)
		}
		if to := w.Header().Get("Location"); !strings.HasPrefix(to, "/oauth/authorize?") {
			t.Errorf("%s: she goes to %s", scheme, to)
		}
		var meta struct{ Issuer string }
		s.answers(edit(from(http.MethodGet, "/.well-known/oauth-authorization-server", nil)), 200, &meta)
		if meta.Issuer != "https://rye.example/" {
			t.Errorf("%s: the issuer is %s", scheme, meta.Issuer)
		}
	}
}

// elsewhere are addresses that a browser, or a careless prefix, takes for one of another site.
var elsewhere = []string{"//evil.example", `/\evil.example`, `\\evil.example`, "/\t/evil.example", "/%09/evil.example", "https:evil.example", "https:/evil.example", "https://evil.example/", "/%2F%2Fevil.example", "/%5cevil.example", "///evil.example",
	"////evil.example", "https://rye.example@evil.example", "https://rye.example.evil.example", "javascript:alert(1)//", "data:text/html,x", ".evil.example", "@evil.example", "/.//evil.example", "//evil.example/%2e%2e"}

// ours fails the test unless an answer leads nowhere, or to a page of this node.
func (s *site) ours(t *testing.T, what string, w *httptest.ResponseRecorder) {
	t.Helper()
	to := w.Header().Get("Location")
	u, err := url.Parse(to)
	// What browsers make of it: backslashes are slashes, and tabs and newlines are nothing.
	plain := strings.NewReplacer("\\", "/", "\t", "", "\n", "", "\r", "").Replace(to)
	if err != nil || u.Host != "" && u.Host != "rye.example" || u.Scheme != "" && u.Scheme != "https" || strings.HasPrefix(plain, "//") || to != "" && !strings.HasPrefix(plain, "/") && !strings.HasPrefix(plain, "https://rye.example/") {
		t.Errorf("%s leads to %q", what, to)
	}
	if refresh := w.Header().Get("Refresh"); refresh != "" || strings.Contains(strings.ToLower(w.Body.String()), "http-equiv=\"refresh") {
		t.Errorf("%s refreshes itself: %q", what, refresh)
	}
}

func TestWEB259NobodyIsSentElsewhere(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	a := s.register("read")
	s.say(baker, activitypub.Draft{Text: "Fresh bread"})
	names := []string{"return_to", "redirect", "redirect_to", "redirect_uri", "next", "continue", "url", "back", "rd", "dest", "goto", "ref"}
	for _, to := range elsewhere {
		q := url.Values{}
		for _, name := range names {
			q.Set(name, to)
		}
		for _, path := range []string{"/", "/about", "/@baker", "/offers", "/authorize_interaction", "/oauth/authorize", "/setup/x", "/invite/x", "/pay/x", "/auth/sign_in", "/login", "/logout", "/web", "/share", "/remote_interaction_helper", "/api/v1/instance"} {
			s.ours(t, path+" with "+to, s.get(path+"?"+q.Encode()))
		}
		q.Set("uri", string(baker.Actor.IRI))
		q.Set("handle", "@ana@oak.example")
		s.ours(t, "a form with "+to, s.send("/interact", q))
		// Signing in comes back to the same request, whatever stands in it beside.
		path := a.asks(url.Values{"return_to": {to}, "next": {to}, "state": {to}})
		a.cookie = nil
		s.ours(t, "signing in with "+to, a.browse(http.MethodPost, path, url.Values{"do": {"signin"}, "name": {"by_baker"}, "password": {"a long enough password"}, "return_to": {to}}))
	}
	// As an address of this node, of old routes of Mastodon and with a slash at the end, too.
	for _, path := range []string{"//evil.example", "//evil.example/", "/%2F%2Fevil.example", "/%2F/evil.example", "/%5Cevil.example", "/%09/evil.example", "/%0d%0aLocation:%20https://evil.example", "/users//evil.example/", "/@//evil.example", "/@baker//evil.example/", "/web//evil.example", "/web/%2F%2Fevil.example",
		"/api//evil.example/", "//evil.example/api/", "/oauth//evil.example/", "//evil.example/%2e%2e/", "/static//evil.example/", "/tags//evil.example", "/media//evil.example", "/offers//evil.example", "/currencies//evil.example/", "/.//evil.example/", "/authorize_follow?acct=//evil.example"} {
		r := from(http.MethodGet, "/", nil)
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.RequestURI = u, path
		if strings.HasPrefix(path, "//") { // as net/http reads it: a path
			r.URL = &url.URL{Path: path}
		}
		w := s.ask(r)
		if s.ours(t, path, w); w.Code >= 500 {
			t.Errorf("%s is %d", path, w.Code)
		}
	}
}

// A cache between us and others must know what an answer depends on, and keep none that depends on who asked.
func TestWEB260CachesAreToldWhatAnAnswerDependsOn(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	post := s.say(baker, activitypub.Draft{Text: "Fresh bread"})
	private := s.say(baker, activitypub.Draft{Text: "for followers", Visibility: storage.Private})
	names := func(w *httptest.ResponseRecorder) map[string]bool {
		on := map[string]bool{}
		for name := range strings.SplitSeq(strings.Join(w.Header().Values("Vary"), ","), ",") {
			on[strings.TrimSpace(name)] = true
		}
		return on
	}
	id := post.ID.String()
	for _, path := range []string{"/@baker", "/users/baker", "/@baker/" + id, "/users/baker/statuses/" + id, "/users/baker/statuses/" + private.ID.String(), "/@baker/1", "/@nobody", "/users/nobody"} {
		for _, accept := range []string{browser, activityJSON} {
			if w := s.getAs(accept, path); !names(w)["Accept"] || !names(w)["Signature"] {
				t.Errorf("%s as %.20s varies with %q", path, accept, w.Header().Values("Vary"))
			}
		}
	}
	// Who signs what she asks gets an answer of her own, also a refusal.
	r := from(http.MethodGet, "/users/baker/statuses/"+private.ID.String(), nil)
	r.Header.Set("Accept", activityJSON)
	r.Header.Set("Signature", `keyId="https://oak.example/users/ana#main-key",headers="(request-target) host date",signature="AAAA"`)
	if w := s.ask(r); !strings.Contains(w.Header().Get("Cache-Control"), "no-store") {
		t.Errorf("an answer to who signed is kept: %d %v", w.Code, w.Header())
	}
	// So does who brings a token, or a cookie.
	a := s.register("read write")
	token := a.token("by_baker", "", "read")
	for _, path := range []string{me, "/api/v1/timelines/public", "/api/v1/statuses/" + private.ID.String(), "/api/v1/instance", "/api/v1/accounts/lookup?acct=baker", "/api/v1/nothing", "/api/v1/statuses/1"} {
		for _, r := range []*http.Request{from(http.MethodGet, path, nil), with(token, http.MethodGet, path, nil), with("wrong", http.MethodGet, path, nil)} {
			if w := s.ask(r); !strings.Contains(w.Header().Get("Cache-Control"), "no-store") {
				t.Errorf("%s is kept: %d %v", path, w.Code, w.Header())
			} else if w.Code == 200 && !names(w)["Authorization"] {
				t.Errorf("%s varies with %q", path, w.Header().Values("Vary"))
			}
		}
	}
	if w := a.browse(http.MethodGet, a.asks(nil), nil); w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the consent of who is signed in is kept: %v", w.Header())
	}
}

func TestWEB262NoAnswerIsForAnothersCookie(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	a := s.register("read write")
	a.signsIn(a.asks(nil), "by_baker")
	for _, path := range []string{"/", "/oauth/authorize", a.asks(nil), "/interact", "/pay/x", "/setup/x", "/invite/x", "/admin", "/admin/accounts", "/offers", "/@baker", "/users/baker", "/inbox", "/metrics", "/api/v1/statuses", "/api/v1/admin/accounts", me, "/oauth/token", "/oauth/revoke"} {
		for _, method := range []string{http.MethodOptions, http.MethodGet, http.MethodPost} {
			for _, origin := range []string{"https://evil.example", "null", "https://rye.example.evil.example", "http://rye.example"} {
				r := from(method, path, nil)
				r.Header.Set("Origin", origin)
				r.Header.Set("Access-Control-Request-Method", "POST")
				r.Header.Set("Access-Control-Request-Headers", "content-type, cookie")
				r.AddCookie(a.cookie)
				h := s.ask(r).Header()
				allowed := h.Get("Access-Control-Allow-Origin")
				if h.Get("Access-Control-Allow-Credentials") != "" || allowed != "" && allowed != "*" {
					t.Errorf("%s %s for %s: %v", method, path, origin, h)
				}
				if open := strings.HasPrefix(path, "/api/") || path == "/oauth/token" || path == "/oauth/revoke"; open != (allowed == "*") {
					t.Errorf("%s %s for %s: scripts may read it: %q", method, path, origin, allowed)
				}
			}
		}
	}
	// A cookie is worth nothing where scripts may read.
	r := from(http.MethodGet, me, nil)
	r.AddCookie(a.cookie)
	if w := s.ask(r); w.Code != 401 {
		t.Errorf("the API answers a cookie with %d", w.Code)
	}
}

// What goes wrong says what to do, and nothing of how the node is made.
func TestWEB267ErrorsSayNothingOfTheInside(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	token := s.register("read write").token("by_baker", "", "read write")
	json := func(method, path, body string) *http.Request {
		r := with(token, method, path, nil)
		r.Body = io.NopCloser(strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	inside := regexp.MustCompile(`(?i)goroutine|\.go\b|sqlite|gorm|select |insert |constraint|syntax error|unexpected end|strconv|multipart:|/tmp|/home|/root|panic|1\.2\.3|echo|json:|invalid character|no such table|runtime error`)
	upload := func(kind, body string) *http.Request {
		r := with(token, http.MethodPost, "/api/v2/media", nil)
		r.Body = io.NopCloser(strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		return r
	}
	for name, r := range map[string]*http.Request{
		"broken JSON": json("POST", "/api/v1/statuses", `{"status":`), "JSON that is a list": json("POST", "/api/v1/statuses", `[1]`), "JSON of wrong kinds": json("POST", "/api/v1/statuses", `{"status":{"a":[{}]},"poll":7,"media_ids":"x"}`),
		"a deep one":             json("POST", "/api/v1/statuses", strings.Repeat(`{"a":`, 20000)),
		"parts without a border": upload("multipart/form-data", "x"), "parts that end": upload("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"), "a form that is none": upload("application/x-www-form-urlencoded", "%zz=1"),
		"an id of SQL": with(token, "GET", "/api/v1/statuses/1'--", nil), "an id too long": with(token, "GET", "/api/v1/accounts/99999999999999999999", nil), "a page of SQL": with(token, "GET", "/api/v1/timelines/home?max_id='", nil),
		"a limit": with(token, "GET", "/api/v1/timelines/home?limit=99999999999999999999999", nil), "nothing there": with(token, "GET", "/api/v1/nothing", nil), "a method": with(token, "DELETE", "/api/v1/instance", nil),
		"a page": from("GET", "/nothing", nil), "a page's method": from("PUT", "/", nil), "a query": from("GET", "/?before='", nil), "a document": from("GET", "/users/nobody/outbox", nil), "a query that is none": from("GET", "/offers?q=%zz", nil),
		"a token": s.form("/oauth/token", url.Values{"grant_type": {"'"}}), "an app": s.form("/api/v1/apps", url.Values{"client_name": {"'"}, "redirect_uris": {"'"}}),
	} {
		w := s.ask(r)
		if w.Code < 400 && !strings.HasPrefix(name, "a page of") && name != "a limit" && name != "a query that is none" || w.Code >= 500 {
			t.Errorf("%s is answered %d %s", name, w.Code, w.Body)
		}
		if w.Code < 400 {
			continue
		}
		if found := inside.FindString(w.Body.String() + fmt.Sprint(w.Header())); found != "" {
			t.Errorf("%s tells of %q: %s", name, found, w.Body)
		}
		if w.Header().Get("Server") != "" || w.Header().Get("X-Powered-By") != "" {
			t.Errorf("%s: %v", name, w.Header())
		}
	}
}

func TestWEB268WebFinger(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	for query, want := range map[string]int{
		"": 400, "?": 400, "?resource=": 400, "?rel=self": 400, "?resource=acct:baker@rye.example": 200, "?resource=acct%3Abaker%40rye.example": 200, "?resource=https://rye.example/@baker": 200, "?resource=acct:baker@oak.example": 404,
		"?resource=acct:nobody@rye.example": 404, "?resource=acct:%00": 400, "?resource=acct:baker%00@rye.example": 400, "?resource=acct:": 400, "?resource=acct:baker": 400, "?resource=%zz": 400, "?resource=javascript:alert(1)": 400, "?resource=acct:baker@rye.example@oak.example": 400,
		"?resource=" + strings.Repeat("a", 5000): 400,
	} {
		w := s.get("/.well-known/webfinger" + query)
		if w.Code != want {
			t.Errorf("%.60q is answered %d, want %d: %s", query, w.Code, want, w.Body)
		}
		if got := w.Header().Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "*" {
			t.Errorf("%.60q may be read by %q", query, got)
		}
		if kind := w.Header().Get("Content-Type"); want == 200 && kind != "application/jrd+json" || want != 200 && !strings.Contains(kind, "json") {
			t.Errorf("%.60q is %s", query, kind)
		}
	}
}

func TestWEB269NoAnswerCallsAFunction(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	for _, path := range []string{"/api/v1/instance", "/api/v2/search", "/api/v1/timelines/public", "/api/v1/nothing", "/.well-known/nodeinfo", "/nodeinfo/2.1", "/.well-known/webfinger?resource=acct:baker@rye.example", "/users/baker", "/users/baker/outbox", "/users/nobody"} {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		plain := s.getAs(activityJSON, path)
		w := s.getAs(activityJSON, path+sep+"callback=alert&jsonp=alert&jsoncallback=alert&cb=alert")
		if w.Code != plain.Code || w.Body.String() != plain.Body.String() || w.Header().Get("Content-Type") != plain.Header().Get("Content-Type") || strings.Contains(w.Body.String(), "alert(") {
			t.Errorf("%s says %.200s", path, w.Body)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be taken for a script", path)
		}
	}
}
