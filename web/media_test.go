package web_test

import (
	"bytes"
	"image"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// picture uploads a picture of 40 x 20; each seed is another one.
func (s *site) picture(by activitypub.By, seed uint8, alt string) *storage.Media {
	s.t.Helper()
	m, err := s.node.Upload(s.t.Context(), by, bytes.NewReader(pngOf(40, 20, seed)), activitypub.Description{Alt: alt})
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// pngOf is a picture; each seed is another one.
func pngOf(w, h int, seed uint8) []byte {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = seed + uint8(i)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // of memory to memory
	}
	return b.Bytes()
}

// path is what a page asks this node for, of an absolute address.
func (s *site) path(address string) string {
	s.t.Helper()
	path, ok := strings.CutPrefix(address, "https://rye.example/")
	if !ok {
		s.t.Fatalf("%q is not on this node", address)
	}
	return "/" + path
}

// far answers for all other servers: by what the path says.
type far struct{ asked []string }

func (f *far) RoundTrip(r *http.Request) (*http.Response, error) {
	f.asked = append(f.asked, r.URL.String())
	kind, body, status := "image/gif", "GIF89a\x01\x00\x01\x00\x00\x00\x00;<script>alert(1)</script>", http.StatusOK
	switch r.URL.Path {
	case "/page":
		kind, body = "text/html", "<script>alert(1)</script>"
	case "/actor":
		kind, body = activityJSON, `{"id":"https://rye.example/users/evil","type":"Person"}`
	case "/avif":
		kind, body = "image/avif", "\x00\x00\x00\x1cftypavif\x00\x00\x00\x00"
	case "/down":
		status = http.StatusBadGateway
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}, "Set-Cookie": {"a=b"}, "X-Evil": {"1"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1, Request: r}, nil
}

func (s *site) connect() *far {
	s.t.Helper()
	f := &far{}
	client, err := activitypub.NewClient(activitypub.ClientConfig{Origin: "https://rye.example", Version: "1", Now: time.Now, Transport: f})
	if err != nil {
		s.t.Fatal(err)
	}
	s.node.Client = client
	return f
}

var mediaHeaders = map[string]string{"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox", "X-Frame-Options": "DENY"}

// IDN 58: whatever Accept says, what was uploaded is a picture and no document of this node.
func TestIDN058APictureIsAPictureWhateverIsAskedFor(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	m := s.picture(baker, 1, "bread")
	at := "/media/" + m.Name
	for _, accept := range []string{"", browser, activityJSON, `application/ld+json; profile="https://www.w3.org/ns/activitystreams"`, "text/html", "image/avif,image/webp,*/*"} {
		w := s.getAs(accept, at)
		s.want(w, http.StatusOK, "\x89PNG")
		h := w.Header()
		if h.Get("Content-Type") != "image/png" || h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("Content-Disposition") != `inline; filename="`+m.Name+`"` {
			t.Errorf("%q: got %v", accept, h)
		}
		for name, want := range mediaHeaders {
			if got := h.Get(name); got != want {
				t.Errorf("%q: %s is %q, want %q", accept, name, got, want)
			}
		}
	}
	r := from(http.MethodGet, at, nil)
	r.Header.Set("Range", "bytes=1-3")
	if w := s.ask(r); w.Code != http.StatusPartialContent || w.Body.String() != "PNG" {
		t.Errorf("a part is %d %q", w.Code, w.Body)
	}
	r = from(http.MethodGet, at, nil)
	r.Header.Set("If-None-Match", `"`+m.Name+`"`)
	if w := s.ask(r); w.Code != http.StatusNotModified {
		t.Errorf("what the browser has is sent again: %d", w.Code)
	}
	if w := s.ask(from(http.MethodHead, at, nil)); w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("Content-Type") != "image/png" {
		t.Errorf("HEAD is %d with %d bytes", w.Code, w.Body.Len())
	}
	if w := s.ask(from(http.MethodPost, at, nil)); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST is %d", w.Code)
	}
}

// MED 201: a private post's picture has a name that nobody can guess, and is gone with the post.
func TestMED201APrivatePictureIsHardToGuessAndGoneAfterwards(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	m := s.picture(baker, 1, "the new recipe")
	post := s.say(baker, activitypub.Draft{Text: "for members", Visibility: storage.Private, Media: []storage.ID{m.ID}})
	if !regexp.MustCompile(`^[0-9a-f]{64}\.png$`).MatchString(m.Name) {
		t.Errorf("its name is %s", m.Name)
	}
	for _, page := range []string{"/", "/@baker", "/@baker/" + post.ID.String()} {
		s.wantNot(s.get(page), m.Name, "the new recipe")
	}
	s.want(s.get("/media/"+m.Name), http.StatusOK)
	if err := s.node.Delete(t.Context(), baker, post.ID); err != nil {
		t.Fatal(err)
	}
	w := s.get("/media/" + m.Name)
	s.want(w, http.StatusNotFound)
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("that it is gone is kept as %q", got)
	}
	if _, err := s.node.TidyMedia(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(s.get("/media/"+m.Name), http.StatusNotFound)
}

func TestINJ254NoAddressLeadsOutOfTheDirectory(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	m := s.picture(baker, 1, "")
	outside := filepath.Join(s.node.MediaDir, "..", "node.db")
	if err := os.WriteFile(outside, []byte("keys"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/media/", "/media", "/media/..", "/media/../node.db", "/media/..%2fnode.db", "/media/..%2f..%2fnode.db", "/media/%2e%2e%2fnode.db", "/media/%252e%252e%252fnode.db", `/media/..%5cnode.db`, "/media/%00", "/media/" + m.Name + "%00", "/media/" + m.Name + "/",
		"/media/" + m.Name[:2] + "%2f" + m.Name, "/media/" + m.Name[:2] + "/" + m.Name, "/media/" + strings.ToUpper(m.Name), "/media/" + m.Name + ".html", "/media/.new-1", "/media/remote", "/media/remote/", "/media/remote/x", "/media/" + strings.Repeat("0", 64) + ".png", "/media/" + strings.Repeat("a", 10_000)} {
		w := s.get(path)
		if w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "keys") {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
}

func TestPicturesOfOthersAreShownByThisNode(t *testing.T) {
	s := newSite(t)
	far := s.connect()
	baker := s.coop("baker", "The Bakery")
	m := s.picture(baker, 1, `Bread & "butter"`)
	post := s.say(baker, activitypub.Draft{Text: "look", Media: []storage.ID{m.ID}})
	ana := &storage.Actor{IRI: "https://oak.example/users/ana", Type: storage.Person, Username: "ana", Domain: "oak.example", Name: "Ana", URL: "https://oak.example/@ana", IconURL: "https://cdn.oak.example/ana.gif", IconAlt: "Ana's face"}
	if err := s.db.SaveActor(t.Context(), ana); err != nil {
		t.Fatal(err)
	}
	if err := s.db.SavePost(t.Context(), &storage.Post{IRI: "https://oak.example/users/ana/1", ActorID: ana.ID, Type: "Note", InReplyTo: post.IRI, InReplyToID: &post.ID, Visibility: storage.Public, Content: "<p>mine</p>", URL: "https://oak.example/@ana/1", PublishedAt: time.Now(),
		Attachments: []storage.Attachment{
			{URL: "https://cdn.oak.example/rolls.gif?size=1&x=2", MediaType: "image/gif", Name: "Rolls", Width: 7, Height: 8}, {URL: "https://cdn.oak.example/film.mp4", MediaType: "video/mp4", Name: "A film"},
			{URL: "https://cdn.oak.example/drawing.svg", MediaType: "image/svg+xml", Name: "A drawing"}}}); err != nil {
		t.Fatal(err)
	}
	w := s.get("/@baker/" + post.ID.String())
	rolls, face := s.node.MediaURL("https://cdn.oak.example/rolls.gif?size=1&x=2"), s.node.MediaURL(ana.IconURL)
	s.want(w, http.StatusOK, `<img src="https://rye.example/media/`+m.Name+`" alt="Bread &amp; &#34;butter&#34;" loading="lazy" width="40" height="20">`, `<meta property="og:image" content="https://rye.example/media/`+m.Name+`"`,
		`<a href="https://cdn.oak.example/rolls.gif?size=1&amp;x=2" rel="nofollow noopener noreferrer"><img src="`+rolls+`" alt="Rolls" loading="lazy" width="7" height="8">`, `src="`+face+`" alt="Ana&#39;s face"`,
		`<a href="https://cdn.oak.example/film.mp4" rel="nofollow noopener noreferrer">A film</a>`, `>A drawing</a>`)
	s.wantNot(w, `src="https://cdn`)
	if len(far.asked) != 0 {
		t.Errorf("showing a page asked for %q", far.asked)
	}
	for range 2 {
		w = s.getAs(activityJSON, s.path(rolls))
		s.want(w, http.StatusOK, "GIF89a")
		for name, want := range mediaHeaders {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if h := w.Header(); h.Get("Content-Type") != "image/gif" || h.Get("Set-Cookie") != "" || h.Get("X-Evil") != "" {
			t.Errorf("the picture comes with %v", h)
		}
	}
	if len(far.asked) != 1 || far.asked[0] != "https://cdn.oak.example/rolls.gif?size=1&x=2" {
		t.Errorf("it asked for %q", far.asked)
	}
	if w := s.get(s.path(s.node.MediaURL("https://oak.example/avif"))); w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/avif" {
		t.Errorf("an AVIF is %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	for _, address := range []string{"https://oak.example/page", "https://oak.example/actor", "https://oak.example/down"} {
		if w := s.get(s.path(s.node.MediaURL(address))); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "alert") || strings.Contains(w.Header().Get("Content-Type"), "activity") {
			t.Errorf("%s becomes %d %s", address, w.Code, w.Header().Get("Content-Type"))
		}
	}
}

func TestFET097TheProxyTakesNoOrders(t *testing.T) {
	s := newSite(t)
	far := s.connect()
	good := s.path(s.node.MediaURL("https://oak.example/a.gif"))
	evil := s.path(s.node.MediaURL("https://oak.example/b.gif"))
	mac, _, _ := strings.Cut(strings.TrimPrefix(good, "/media/remote/"), "/")
	_, other, _ := strings.Cut(strings.TrimPrefix(evil, "/media/remote/"), "/")
	for _, path := range []string{good + "?file_type=png&proxy=http://127.0.0.1/", good + "?url=https://10.0.0.1/", good + "?x", good + "%3Fproxy=1", good + "%26proxy=1", good + "A", good + "=", "/media/remote/" + mac + "/" + other, "/media/remote/0/" + other,
		"/media/remote/" + mac + "/https:%2f%2f127.0.0.1%2f", "/media/remote/" + strings.Repeat("0", 32) + "/" + other} {
		if w := s.get(path); w.Code != http.StatusBadRequest {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
	if len(far.asked) != 0 {
		t.Errorf("it asked for %q", far.asked)
	}
	s.want(s.get(good), http.StatusOK, "GIF89a")
}
