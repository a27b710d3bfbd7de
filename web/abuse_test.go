package web_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
)

// The numbered cases of abuse that pages and the outer HTTP decide; those of federation are in activitypub.

// nowhere is a network on which every request is remembered, and fails.
type nowhere struct{ asked []string }

func (n *nowhere) RoundTrip(r *http.Request) (*http.Response, error) {
	n.asked = append(n.asked, r.URL.String())
	return nil, errors.New("no network")
}

func (s *site) offline() *nowhere {
	s.t.Helper()
	n := &nowhere{}
	client, err := activitypub.NewClient(activitypub.ClientConfig{Origin: s.Origin, Now: time.Now, Transport: n})
	if err != nil {
		s.t.Fatal(err)
	}
	s.node.Client = client
	return n
}

func TestFET094NobodyMakesUsAskByALink(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	net := s.offline()
	for _, uri := range []string{"http://169.254.169.254/", "https://oak.example/users/ana", "acct:ana@oak.example", "@ana@oak.example", "file:///etc/passwd", "http://127.0.0.1:6379/", "https://rye.example/users/baker", "https://rye.example/users/nobody", "javascript:alert(1)"} {
		for _, path := range []string{"/authorize_interaction?uri=", "/authorize_interaction?acct="} {
			if w := s.get(path + url.QueryEscape(uri)); w.Code >= 500 || w.Code >= 300 && w.Code < 400 {
				t.Errorf("%s%s is %d", path, uri, w.Code)
			}
		}
		s.send("/interact", url.Values{"uri": {uri}, "handle": {"@ana@oak.example"}})
		s.send("/interact", url.Values{"uri": {string(baker.Actor.IRI)}, "handle": {uri}})
		s.getAs(activityJSON, "/.well-known/webfinger?resource="+url.QueryEscape(uri))
	}
	if len(net.asked) != 0 {
		t.Errorf("anonymous visitors made it ask for %v", net.asked)
	}
}

// hostile are values that mean something to SQL, to shells, to paths or to templates.
var hostile = []string{
	`'`, `"`, `''`, `' OR '1'='1`, `1 OR 1=1`, `1;DROP TABLE posts`, `1; DROP TABLE posts--`, `' UNION SELECT public FROM keys--`, `\'`, `%27`, `%`, `_`, `*`, `?`, `$1`, `:name`, `@p1`, `/**/`, `--`, "`", `[1]`, `{"a":1}`,
	`(select 1)`, `1=1`, `NULL`, `0x27`, `ＯＲ`, "\u02bc OR 1=1", "a\nb", "a\tb", "\u202e", `{{.}}`, `<script>`, `..`, `../..`, `a b`, `;`, `|`, `&`, `a'b@c"d`, strings.Repeat("'", 2000), "\u007f", "\xff", "é'",
}

func TestINJ248SQLInEveryField(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	post := s.say(baker, activitypub.Draft{Text: "Fresh #bread"})
	s.offline()
	before := storagetest.Rows(t, s.db)
	type question func(value string) *http.Request
	path := func(format string) question {
		return func(v string) *http.Request {
			return from(http.MethodGet, fmt.Sprintf(format, strings.ReplaceAll(url.PathEscape(v), "..", "%2e%2e")), nil)
		}
	}
	query := func(format string) question {
		return func(v string) *http.Request {
			return from(http.MethodGet, fmt.Sprintf(format, url.QueryEscape(v)), nil)
		}
	}
	form := func(to, field string) question {
		return func(v string) *http.Request {
			r := from(http.MethodPost, to, strings.NewReader(url.Values{"uri": {string(post.IRI)}, "handle": {"@ana@oak.example"}, field: {v}}.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			return r
		}
	}
	header := func(name string) question {
		return func(v string) *http.Request {
			r := from(http.MethodGet, "/@baker", nil)
			r.Header.Set(name, v)
			return r
		}
	}
	id := post.ID.String()
	for name, ask := range map[string]question{
		"an actor": path("/users/%s"), "a profile": path("/@%s"), "a post": path("/@baker/%s"), "a post's document": path("/users/baker/statuses/%s"), "a part of a post": path("/users/baker/statuses/" + id + "/%s"),
		"an activity": path("/activities/%s"), "a stamp": path("/users/baker/stamps/%s"), "a collection": path("/users/baker/%s"), "an inbox": path("/users/%s/inbox"), "a tag": path("/tags/%s"), "NodeInfo": path("/nodeinfo/%s"), "a static file": path("/static/%s"),
		"a setup code": path("/setup/%s"), "an invitation": path("/invite/%s"), "a page of the outbox": query("/users/baker/outbox?page=true&max_id=%s"), "the end of a page": query("/users/baker/outbox?page=true&min_id=%s"),
		"whether it is a page": query("/users/baker/outbox?page=%s"), "a page of replies": query("/users/baker/statuses/" + id + "/replies?page=true&max_id=%s"), "a page of home": query("/?max_id=%s"), "a page of a tag": query("/tags/bread?max_id=%s"), "a page of a profile": query("/@baker?max_id=%s"),
		"WebFinger": query("/.well-known/webfinger?resource=%s"), "a handle for WebFinger": query("/.well-known/webfinger?resource=acct:%s@rye.example"), "a host for WebFinger": query("/.well-known/webfinger?resource=acct:baker@%s"),
		"a link": query("/authorize_interaction?uri=%s"), "a handle": form("/interact", "handle"), "an address": form("/interact", "uri"), "an unknown field": form("/interact", "id"),
		"an invitation's form": form("/invite/x", "username"), "Accept": header("Accept"), "Accept-Language": header("Accept-Language"), "a cookie": header("Cookie"),
		"a signature": header("Signature"), "If-None-Match": header("If-None-Match"), "the software": header("User-Agent"),
	} {
		t.Run("INJ248 "+name, func(t *testing.T) {
			for _, accept := range []string{browser, activityJSON} {
				set := func(r *http.Request) *http.Request {
					if name != "Accept" {
						r.Header.Set("Accept", accept)
					}
					return r
				}
				plain := s.ask(set(ask("zz")))
				for _, v := range hostile {
					w := s.ask(set(ask(v)))
					if w.Code >= 500 || w.Code != plain.Code && w.Code != 400 && w.Code != 404 && w.Code != 422 && w.Code != 401 {
						t.Errorf("%q is answered %d, an unknown value %d", v, w.Code, plain.Code)
					}
					if body := strings.ToLower(w.Body.String()); strings.Contains(body, "sqlite") || strings.Contains(body, "syntax error") || strings.Contains(body, "sqlstate") {
						t.Errorf("%q is answered with %.300s", v, w.Body)
					}
				}
			}
		})
	}
	if after := storagetest.Rows(t, s.db); !reflect.DeepEqual(before, after) {
		t.Error("a question changed a row")
	}
	if strings.Contains(s.log.String(), `"level":"ERROR"`) {
		t.Errorf("an error was logged: %.500s", s.log.String())
	}
}

// wantAbsent asks for a path as people and as servers do.
func (s *site) wantAbsent(t *testing.T, path string) {
	t.Helper()
	for _, accept := range []string{browser, activityJSON} {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatal(err)
		}
		r := from(http.MethodGet, "/", nil)
		r.URL, r.RequestURI = u, path
		r.Header.Set("Accept", accept)
		if w := s.ask(r); w.Code != http.StatusNotFound {
			t.Errorf("%s as %.20s is %d %.200s", path, accept, w.Code, w.Body)
		}
	}
}

func TestIDsThatAreNone(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	s.say(baker, activitypub.Draft{Text: "the first post"})
	for _, id := range []string{"1=1", "0%20OR%201", "1;drop", "1%3Bdrop%20table%20posts", "'%20OR%20'1'='1", "-1", "+1", "1e3", "0x10", "%201", "1%20", "９", "99999999999999999999", "1.0", "true"} {
		t.Run("INJ250 "+id, func(t *testing.T) {
			for _, path := range []string{"/@baker/", "/users/baker/statuses/", "/activities/", "/users/baker/stamps/"} {
				s.wantAbsent(t, path+id)
			}
		})
	}
	for _, id := range []string{"0", "00", "null", "undefined", "[]", "{}", "nil", "NaN", "%20"} {
		t.Run("INJ252 "+id, func(t *testing.T) {
			for _, path := range []string{"/@baker/", "/users/baker/statuses/", "/activities/", "/users/", "/@", "/users/baker/stamps/"} {
				s.wantAbsent(t, path+id)
			}
		})
	}
	for _, path := range []string{"/users/", "/@", "/@/1", "/users//statuses/1", "/activities/", "/users/baker/statuses/"} {
		t.Run("INJ252 nothing in "+path, func(t *testing.T) { s.wantAbsent(t, path) })
	}
	for _, resource := range []string{"acct:", "acct:@rye.example", "acct:0@rye.example", "acct:null@rye.example", "@", "0", "null", "[]", "https://rye.example/@", "https://rye.example/users/", "https://rye.example/@null"} {
		t.Run("INJ252 WebFinger "+resource, func(t *testing.T) {
			if w := s.get("/.well-known/webfinger?resource=" + url.QueryEscape(resource)); w.Code != 400 && w.Code != 404 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestINJ254PathsThatClimb(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	for _, path := range []string{
		"/media/..%2f..%2fplanet.db", "/media/..%2f..%2fnode.db", "/media/%2e%2e/%2e%2e/planet.db", "/media/%252e%252e%252fplanet.db", "/media/..%5c..%5cplanet.db", "/media/....//planet.db",
		"/static/%61dmin", "/static/..%2ftemplates%2fhome.html", "/static/%2e%2e%2fpages.go", "/static/%252e%252e/pages.go", "/static/..%5cpages.go", "/static/style.css%00.png", "/static//etc/passwd", "/static/./../../go.mod",
		"/admin%2Fx", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2Fetc/passwd", "/setup%2Fx/../y", "/users/..%2f..%2fetc/inbox%2f..", "/@baker/..%2f..%2fplanet.db", "/nodeinfo/..%2f2.1", "/.git/config", "/.env", "/planet.toml", "/data/planet.db",
	} {
		t.Run("INJ254 "+path, func(t *testing.T) { s.wantAbsent(t, path) })
	}
}

func TestACT151HiddenInEveryLanguage(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	private := s.say(baker, activitypub.Draft{Text: "a secret", Visibility: storage.Private})
	for _, language := range []string{"", "en", "ca", "es", "de-AT,de;q=0.9", "ar", "xx", "*", "../x", strings.Repeat("en,", 500)} {
		for _, accept := range []string{browser, activityJSON} {
			get := func(id string) *httptest.ResponseRecorder {
				r := from(http.MethodGet, "/@baker/"+id, nil)
				r.Header.Set("Accept", accept)
				r.Header.Set("Accept-Language", language)
				return s.ask(r)
			}
			hidden, absent := get(private.ID.String()), get("1")
			hidden.Header().Del("X-Request-Id")
			absent.Header().Del("X-Request-Id")
			if hidden.Code != 404 || absent.Code != 404 || hidden.Body.String() != absent.Body.String() || !reflect.DeepEqual(hidden.Header(), absent.Header()) {
				t.Errorf("in %.20q as %.20s a hidden post is %d and an absent one %d, or they look different", language, accept, hidden.Code, absent.Code)
			}
		}
	}
}

// pipes is a listener without a network: each dial is one end of a pipe.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// Two thousand clients who say nothing, or say it slowly, are let go in time; meanwhile everybody else is answered.
func TestFLO179ClientsWhoSayNothing(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx, l) }()
		begun := time.Now()
		var clients sync.WaitGroup
		var mu sync.Mutex
		longest := map[string]time.Duration{}
		// client says something at once and then a byte a second, until the server hangs up.
		client := func(kind, first, drip string) {
			c := l.dial()
			clients.Go(func() {
				defer c.Close()
				go func() {
					if _, err := io.WriteString(c, first); err != nil {
						return
					}
					for drip != "" {
						time.Sleep(time.Second)
						if _, err := io.WriteString(c, drip); err != nil {
							return
						}
					}
				}()
				_, _ = io.Copy(io.Discard, c) // ends when the server hangs up
				mu.Lock()
				defer mu.Unlock()
				longest[kind] = max(longest[kind], time.Since(begun))
			})
		}
		for range 2000 {
			client("idle", "", "")
		}
		for range 50 {
			client("slow headers", "GET / HTTP/1.1\r\nHost: rye.example\r\n", "x")
			client("slow body", "POST /inbox HTTP/1.1\r\nHost: rye.example\r\nContent-Type: application/activity+json\r\nContent-Length: 100000\r\n\r\n", " ")
		}
		for _, path := range []string{"/healthz", "/@baker", "/users/baker"} {
			c := l.dial()
			go func() {
				_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: rye.example\r\nConnection: close\r\n\r\n", path)
			}()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%s in the meantime: %v %v", path, res, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = c.Close()
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("the honest ones waited %s", took)
		}
		clients.Wait()
		time.Sleep(2 * time.Second) // those who dripped notice
		for kind, most := range map[string]time.Duration{"idle": 10 * time.Second, "slow headers": 11 * time.Second, "slow body": 62 * time.Second} {
			if longest[kind] == 0 || longest[kind] > most {
				t.Errorf("%s were let go after %s, want at most %s", kind, longest[kind], most)
			}
		}
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
