package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
)

// The numbered cases about what apps send, search, stream and upload.

// uploaded is a request that brings a file, named and labelled as somebody likes.
func uploaded(token, method, path, field, name, kind string, body []byte) *http.Request {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	h := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + field + `"; filename="` + name + `"`}}
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	part, _ := w.CreatePart(h) // to memory
	_, _ = part.Write(body)
	_ = w.Close()
	r := from(method, path, &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// files are those below a directory.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// What is no picture is not taken, whatever it is called, said to be or begins with; so nothing of this host is served as a document, a page or a script but by the node itself.
func TestIDN057XSS187OnlyPicturesAreUploaded(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	token := s.register("read write").token("by_baker", "", "read write")
	before := storagetest.Rows(t, s.db)
	actor := `{"@context":"https://www.w3.org/ns/activitystreams","id":"https://rye.example/media/x","type":"Person","preferredUsername":"admin","inbox":"https://evil.example/inbox"}`
	for what, body := range map[string]string{
		"an actor": actor, "an actor after a mark": "\ufeff" + actor, "an activity": `{"@context":"https://www.w3.org/ns/activitystreams","type":"Create"}`, "JSON with spaces before": strings.Repeat(" ", 600) + actor,
		"SVG": `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`, "HTML": "<!doctype html><script>alert(1)</script>", "XML": `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>`, "a script": "alert(1)", "a style": "body{}", "nothing": "",
	} {
		for name, kind := range map[string]string{"a.json": "application/json", "a.jsonld": "application/ld+json", "a.activity": activityJSON, "a.txt": "text/plain", "a.png": "image/png", "a.jpg": "image/jpeg", "a.svg": "image/svg+xml", "a.html": "text/html", "a.xml": "application/xml", "a": "", "a.webp": "application/octet-stream"} {
			for _, way := range []struct{ method, path, field string }{{"POST", "/api/v2/media", "file"}, {"POST", "/api/v1/media", "file"}, {"PATCH", "/api/v1/accounts/update_credentials", "avatar"}, {"PATCH", "/api/v1/accounts/update_credentials", "header"}} {
				if way.field != "file" && name != "a.png" && name != "a.json" {
					continue
				}
				if w := s.ask(uploaded(token, way.method, way.path, way.field, name, kind, []byte(body))); w.Code != http.StatusUnprocessableEntity {
					t.Errorf("%s as %s (%s) to %s is answered %d %s", what, name, kind, way.path, w.Code, w.Body)
				}
			}
		}
	}
	after := storagetest.Rows(t, s.db, "changes")
	for _, rows := range []map[string][]storagetest.Row{before, after} { // a profile that was sent with a face that is none is written anew, as it was
		for _, table := range []string{"changes", "actors", "activities", "acts", "deliveries"} {
			delete(rows, table)
		}
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("something is left: %s", diff)
	}
	if left := files(t, s.node.MediaDir); len(left) != 0 {
		t.Errorf("%q is left", left)
	}
	// A picture with a document behind it is a picture, and the document is gone.
	var got struct{ URL string }
	s.answers(uploaded(token, "POST", "/api/v2/media", "file", "a.json", activityJSON, append(pngOf(8, 8, 1), actor...)), 200, &got)
	for _, accept := range []string{activityJSON, "text/html", "*/*"} {
		w := s.getAs(accept, s.path(got.URL))
		if s.wantNot(w, "preferredUsername"); w.Code != 200 || w.Header().Get("Content-Type") != "image/png" || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Security-Policy") != mediaHeaders["Content-Security-Policy"] {
			t.Errorf("as %s it is %d %v", accept, w.Code, w.Header())
		}
	}
}

// The names of files that are uploaded reach no path and no header.
func TestMED198XSS191NamesOfFilesGoNowhere(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	token := s.register("read write").token("by_baker", "", "read write")
	for i, name := range []string{"../../x.png", "..%2f..%2fx.png", "/etc/passwd", `C:\\x.png`, "x\x00.png", strings.Repeat("a", 10_000) + ".png", "-i.png", "\u202egnp.exe", "a.png\r\nX-Evil: 1", "a%0d%0aX-Evil: 1", `a\"; x=\"b`, ".", "..", "", "con.png", "a/b.png", "$(id).png", "|id", "a\nb", "<script>.png"} {
		var got struct{ URL, Preview_URL string }
		w := s.ask(uploaded(token, "POST", "/api/v2/media", "file", strings.NewReplacer("\r", "%0d", "\n", "%0a").Replace(name), "image/png", pngOf(8, 8, uint8(i*7))))
		if w.Code != 200 && w.Code != 400 && w.Code != 422 { // what cannot be read as a header is no file
			t.Errorf("%.40q is answered %d %s", name, w.Code, w.Body)
		}
		if w.Code != 200 {
			continue
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || !regexp.MustCompile(`^https://rye\.example/media/[0-9a-f]{64}\.png$`).MatchString(got.URL) {
			t.Errorf("%.40q is at %s, %v", name, got.URL, err)
			continue
		}
		h := s.get(s.path(got.URL)).Header()
		if h.Get("X-Evil") != "" || !regexp.MustCompile(`^inline; filename="[0-9a-f]{64}\.png"$`).MatchString(h.Get("Content-Disposition")) {
			t.Errorf("%.40q is in %v", name, h)
		}
	}
	for _, path := range files(t, filepath.Dir(s.node.MediaDir)) {
		if rel, err := filepath.Rel(s.node.MediaDir, path); err != nil || !regexp.MustCompile(`^[0-9a-f]{2}/[0-9a-f]{64}\.png$`).MatchString(rel) {
			t.Errorf("there is a file %s, %v", rel, err)
		}
	}
}

// drip is a body that is never at its end, and knows how much of it was taken.
type drip struct {
	head io.Reader
	took int64
}

func (d *drip) Read(p []byte) (int, error) {
	n, err := d.head.Read(p)
	if err == io.EOF {
		n, err = len(p), nil
	}
	d.took += int64(n)
	return n, err
}

func TestMED199TooMuchIsRefusedWhileItComes(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir) // where parts of a form are kept
	s := newSite(t)
	s.coop("baker", "The Bakery")
	token := s.register("read write").token("by_baker", "", "read write")
	const head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.png\"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n"
	for name, c := range map[string]struct {
		method, path, kind, head string
		most                     int64
	}{
		"an upload":              {"POST", "/api/v2/media", "multipart/form-data; boundary=b", head, 18 << 20},
		"a face":                 {"PATCH", "/api/v1/accounts/update_credentials", "multipart/form-data; boundary=b", strings.ReplaceAll(head, `"file"`, `"avatar"`), 18 << 20},
		"a field of an upload":   {"POST", "/api/v2/media", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"description\"\r\n\r\n", 18 << 20},
		"a post in parts":        {"POST", "/api/v1/statuses", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"status\"\r\n\r\n", 2 << 20},
		"a post":                 {"POST", "/api/v1/statuses", "application/x-www-form-urlencoded", "status=", 2 << 20},
		"a post as JSON":         {"POST", "/api/v1/statuses", "application/json", `{"status":"`, 2 << 20},
		"a profile as JSON":      {"PATCH", "/api/v1/accounts/update_credentials", "application/json", `{"note":"`, 2 << 20}, // the room for a face is no room for words
		"an upload that is none": {"POST", "/api/v2/media", "application/json", `{"file":"`, 2 << 20},
		"an app":                 {"POST", "/api/v1/apps", "application/json", `{"client_name":"`, 1 << 20},
		"a token":                {"POST", "/oauth/token", "application/x-www-form-urlencoded", "code=", 1 << 20},
		"the consent":            {"POST", "/oauth/authorize", "application/x-www-form-urlencoded", "do=", 1 << 20},
		"an invitation in parts": {"POST", "/invite/x", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\n", 1 << 20},
	} {
		body := &drip{head: strings.NewReader(c.head)}
		r := from(c.method, c.path, body) // of no length that is said: in chunks
		r.Header.Set("Content-Type", c.kind)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		w := s.ask(r)
		if w.Code != http.StatusRequestEntityTooLarge && !(w.Code == 404 && strings.HasPrefix(c.path, "/invite/")) && !(w.Code == 400 && c.path == "/oauth/authorize") {
			t.Errorf("%s is answered %d %s", name, w.Code, w.Body)
		}
		if body.took > c.most {
			t.Errorf("of %s %d bytes were taken", name, body.took)
		}
	}
	if left := append(files(t, dir), files(t, s.node.MediaDir)...); len(left) != 0 {
		t.Errorf("%q is left", left)
	}
	// A whole upload leaves nothing either, but its picture.
	if w := s.ask(uploaded(token, "POST", "/api/v2/media", "file", "x.png", "image/png", append(pngOf(9, 9, 3), make([]byte, 12<<20)...))); w.Code != 200 {
		t.Errorf("a large one is answered %d %s", w.Code, w.Body)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("%q is left of an upload", left)
	}
}

func TestMED200ADM242AnothersPictureIsNobodys(t *testing.T) {
	s := newSite(t)
	by := s.coop("baker", "The Bakery")
	s.coop("mill", "The Mill")
	m := s.picture(by, 1, "bread")
	token := s.register("read write").token("by_mill", "", "read write")
	before := storagetest.Rows(t, s.db)
	id := m.ID.String()
	for _, r := range []*http.Request{
		with(token, "GET", "/api/v1/media/"+id, nil), with(token, "PUT", "/api/v1/media/"+id, url.Values{"description": {"mine"}}), with(token, "DELETE", "/api/v1/media/"+id, nil), with(token, "POST", "/api/v1/statuses", url.Values{"status": {"look"}, "media_ids[]": {id}}),
	} {
		if w := s.ask(r); w.Code != 404 {
			t.Errorf("%s %s is answered %d %s", r.Method, r.URL, w.Code, w.Body)
		}
	}
	if diff := cmp.Diff(before, storagetest.Rows(t, s.db)); diff != "" {
		t.Errorf("something changed: %s", diff)
	}
	// Nor by way of a post of her own.
	var own struct{ ID string }
	s.answers(with(token, "POST", "/api/v1/statuses", url.Values{"status": {"mine"}}), 200, &own)
	for _, form := range []url.Values{{"status": {"look"}, "media_ids[]": {id}}, {"status": {"look"}, "media_attributes[0][id]": {id}, "media_attributes[0][description]": {"mine"}}} {
		if w := s.ask(with(token, "PUT", "/api/v1/statuses/"+own.ID, form)); w.Code != 404 {
			t.Errorf("an edit is answered %d %s", w.Code, w.Body)
		}
	}
	if now, err := s.db.MediaByID(t.Context(), m.ID); err != nil || now.Alt != "bread" {
		t.Errorf("it is %+v, %v", now, err)
	}
}

// Who is nobody makes this node ask nothing of anybody, however she asks for an address or a name; nor does an app by itself.
func TestFET095NobodyMakesUsAskBySearching(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	net := s.offline()
	a := s.register("read write")
	var app struct {
		AccessToken string `json:"access_token"`
	}
	s.answers(s.form("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {a.id}, "client_secret": {a.secret}, "scope": {"read write"}}), 200, &app)
	narrow := a.token("by_baker", "", "read:statuses") // and not to search
	for _, q := range []string{"https://oak.example/users/ana", "https://oak.example/notes/1", "http://169.254.169.254/", "@ana@oak.example", "ana@oak.example", "acct:ana@oak.example", "http://127.0.0.1:6379/", "file:///etc/passwd", "#bread@oak.example"} {
		for _, path := range []string{"/api/v2/search?resolve=true&q=", "/api/v1/search?resolve=true&q=", "/api/v2/search?resolve=true&type=accounts&q=", "/api/v2/search?resolve=true&type=statuses&q=", "/api/v1/accounts/search?resolve=true&q=", "/api/v1/accounts/lookup?resolve=true&acct=", "/api/v1/directory?resolve=true&q=",
			"/offers?q=", "/authorize_interaction?uri=", "/api/oembed?url=", "/api/v1/accounts/lookup?acct=", "/search?q=", "/@", "/users/", "/proxy?url=", "/api/v1/statuses?id[]="} {
			for _, token := range []string{"", app.AccessToken, narrow} {
				r := from(http.MethodGet, path+url.QueryEscape(q), nil)
				if token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				if w := s.ask(r); w.Code >= 500 {
					t.Errorf("%s for %q is %d %s", path, q, w.Code, w.Body)
				}
			}
		}
	}
	if len(net.asked) != 0 {
		t.Errorf("it was made to ask for %v", net.asked)
	}
	// Somebody who is known does.
	s.status(a.token("", "", "read:search"), "GET", "/api/v2/search?resolve=true&q="+url.QueryEscape("https://oak.example/notes/1"), nil)
	if len(net.asked) == 0 {
		t.Error("nor may a member look something up")
	}
}

// A post for some is hidden from everybody else on every way that leads to posts.
func TestACT155AHiddenPostIsHiddenEverywhere(t *testing.T) {
	s := newSite(t)
	by := s.coop("baker", "The Bakery")
	s.coop("mill", "The Mill")
	const secret = "sourdough-formula"
	for _, p := range []*storage.Post{
		s.say(by, activitypub.Draft{Text: secret + " #hushhush", Visibility: storage.Private}),
		s.say(by, activitypub.Draft{Text: secret + " for @by_baker@rye.example #hushhush", Visibility: storage.Direct}),
	} {
		token := s.register("read write").token("by_mill", "", "read write")
		id, account := p.ID.String(), by.Actor.ID.String()
		iri := url.QueryEscape(string(p.IRI))
		page := url.QueryEscape("https://rye.example/@baker/" + id)
		for _, path := range []string{
			"/api/v2/search?q=" + iri, "/api/v2/search?resolve=true&q=" + iri, "/api/v2/search?resolve=true&type=statuses&q=" + page, "/api/v2/search?q=" + secret, "/api/v2/search?q=hushhush", "/api/v2/search?q=%23hushhush&type=hashtags", "/api/v1/accounts/" + account + "/statuses", "/api/v1/accounts/" + account + "/statuses?pinned=true",
			"/api/v1/accounts/" + account + "/statuses?tagged=hushhush", "/api/v1/timelines/public", "/api/v1/timelines/public?local=true", "/api/v1/timelines/tag/hushhush", "/api/v1/statuses?id[]=" + id, "/api/v1/statuses/" + id, "/api/v1/statuses/" + id + "/context", "/api/v1/statuses/" + id + "/history", "/api/v1/statuses/" + id + "/card",
			"/api/v1/statuses/" + id + "/reblogged_by", "/api/v1/statuses/" + id + "/favourited_by", "/api/v1/statuses/" + id + "/source", "/api/v1/polls/" + id, "/api/oembed?url=" + page, "/@baker/" + id, "/@baker/" + id + "/embed", "/@baker/" + id + ".json", "/embed/" + id, "/@baker.rss", "/@baker.atom", "/users/baker.rss", "/feed", "/tags/hushhush.rss",
			"/@baker", "/@baker/media", "/tags/hushhush", "/offers?q=" + secret, "/", "/users/baker/collections/featured", "/users/baker/featured", "/users/baker/outbox?page=true", "/users/baker/statuses/" + id, "/users/baker/statuses/" + id + "/activity", "/users/baker/statuses/" + id + "/replies", "/activities/" + id, "/authorize_interaction?uri=" + iri,
			"/api/v1/trends/statuses", "/api/v1/featured_tags", "/api/v1/accounts/" + account + "/featured_tags", "/api/v1/tags/hushhush", "/sitemap.xml",
		} {
			for _, accept := range []string{browser, activityJSON, "application/rss+xml", "application/json"} {
				for who, token := range map[string]string{"nobody": "", "a stranger": token} {
					r := from(http.MethodGet, path, nil)
					r.Header.Set("Accept", accept)
					if token != "" {
						r.Header.Set("Authorization", "Bearer "+token)
					}
					w := s.ask(r)
					body := w.Body.String()
					shown := strings.Contains(body, secret) && !strings.Contains(path, "offers?q=") // there it is the word looked for
					found := strings.Contains(path, "search") && strings.Contains(body, "hushhush")
					if w.Code >= 500 || shown || found || strings.Contains(path, "/"+id) && w.Code != 404 && w.Code != 401 && w.Code != 403 {
						t.Errorf("%s as %.20s shows %s: %d %.300s", path, accept, who, w.Code, body)
					}
				}
			}
		}
	}
	// Its author finds it.
	own := s.register("read").token("by_baker", by.Actor.ID.String(), "read")
	if w := s.ask(with(own, "GET", "/api/v1/accounts/"+by.Actor.ID.String()+"/statuses", nil)); !strings.Contains(w.Body.String(), secret) {
		t.Errorf("the author sees %d %.300s", w.Code, w.Body)
	}
}

// A form that says more than anybody has to say is refused as a whole, before anything is made of it.
func TestFLO180FormsWithoutEnd(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	const code = "setup-code"
	s := newSite(t)
	s.coop("baker", "The Bakery")
	if err := s.db.SaveInvite(t.Context(), &storage.Invite{CodeHash: hash(code), UsesLeft: 1}); err != nil {
		t.Fatal(err)
	}
	token := s.register("read write").token("by_baker", "", "read write")
	before := storagetest.Rows(t, s.db)
	var keys, short, list, objects, numbers strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&keys, "k%d=1&", i)
		if i < 9000 {
			fmt.Fprintf(&short, "%d&", i)
		}
		list.WriteString("account_ids[]=1&")
		if i > 0 {
			objects.WriteByte(',')
			numbers.WriteByte(',')
		}
		fmt.Fprintf(&objects, `"%d":1`, i)
		numbers.WriteByte('1')
	}
	parts := func(n int, file bool) (string, string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for i := range n {
			if file {
				f, _ := w.CreateFormFile(fmt.Sprintf("f%d", i), "x.png")
				_, _ = f.Write([]byte("x"))
			} else {
				_ = w.WriteField(fmt.Sprintf("f%d", i), "x")
			}
		}
		_ = w.WriteField("status", "hello")
		_ = w.WriteField("username", "ana")
		_ = w.WriteField("password", "correct horse battery")
		_ = w.Close()
		return w.FormDataContentType(), b.String()
	}
	border, fields := parts(10_000, false)
	borderFiles, attached := parts(10_000, true)
	const form = "application/x-www-form-urlencoded"
	person := "&username=ana&password=correct+horse+battery&status=hello"
	for _, path := range []string{"/api/v1/statuses", "/api/v1/accounts/update_credentials", "/api/v2/media", "/api/v1/lists", "/api/v1/apps", "/oauth/token", "/oauth/revoke", "/invite/" + code, "/interact"} {
		method := http.MethodPost
		if strings.HasSuffix(path, "update_credentials") {
			method = http.MethodPatch
		}
		api := strings.HasPrefix(path, "/api") || strings.HasPrefix(path, "/oauth")
		for name, c := range map[string]struct{ kind, body string }{
			"100000 keys": {form, keys.String() + person}, "9000 keys": {form, short.String() + person}, "a value 100000 times": {form, list.String() + person}, "10000 parts": {border, fields}, "10000 files": {borderFiles, attached},
			"an object of 100000": {"application/json", `{"status":"hello","client_name":"x",` + objects.String() + `}`}, "a list of 100000": {"application/json", `{"status":"hello","account_ids":[` + numbers.String() + `]}`}, "objects in each other": {"application/json", `{"status":` + strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9001)},
		} {
			if !api && (strings.Contains(c.kind, "json") || name == "9000 keys") {
				continue
			}
			r := from(method, path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", c.kind)
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			w := s.ask(r)
			if w.Code != 400 && w.Code != 413 && !(path == "/interact" && w.Code == 404) && !(!api && strings.HasPrefix(c.kind, "multipart") && w.Code == 422) {
				t.Errorf("%s to %s is answered %d %.200s", name, path, w.Code, w.Body)
			}
		}
	}
	if w := s.get("/api/v1/timelines/public?" + short.String()); w.Code != 400 {
		t.Errorf("a query of 9000 keys is answered %d", w.Code)
	}
	if diff := cmp.Diff(before, storagetest.Rows(t, s.db)); diff != "" {
		t.Errorf("something came of it: %s", diff)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("%d files are left", len(left))
	}
}

// outside is a way to have something done that writes, from within a bubble of time: the writer of the database lives outside of it.
func outside(t *testing.T) (do func(f func())) {
	t.Helper()
	work, done, gone := make(chan func()), make(chan bool), make(chan bool)
	go func() {
		defer close(gone)
		for f := range work {
			f()
			done <- true
		}
	}()
	t.Cleanup(func() { close(work); <-gone })
	return func(f func()) { work <- f; <-done }
}

// Streams that nobody reads cost what a few messages take, and end. One person opens so many and no more, and what ends makes room.
func TestFLO181StreamsThatNobodyReads(t *testing.T) {
	s := newSite(t)
	by := s.coop("baker", "The Bakery")
	token := s.register("read").token("by_baker", "", "read")
	s.say(by, activitypub.Draft{Text: "so that there are changes"})
	do := outside(t)
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx, l) }()
		// open begins a stream, reads the answer to that and nothing more; ended is closed once the node has hung up.
		open := func(socket bool) (status int, read func()) {
			c := l.dial()
			request := "GET /api/v1/streaming/public?access_token=" + token + " HTTP/1.1\r\nHost: rye.example\r\n\r\n"
			if socket {
				request = "GET /api/v1/streaming?stream=public&access_token=" + token + " HTTP/1.1\r\nHost: rye.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
			}
			go func() { _, _ = io.WriteString(c, request) }()
			var head []byte
			one := make([]byte, 1)
			for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
				if _, err := c.Read(one); err != nil {
					t.Fatalf("%v after %q", err, head)
				}
				head = append(head, one...)
			}
			_, _ = fmt.Sscanf(string(head), "HTTP/1.1 %d", &status)
			return status, func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() }
		}
		var ends []func()
		refused := 0
		for i := range 50 {
			switch status, read := open(i%2 == 0); status {
			case http.StatusSwitchingProtocols, http.StatusOK:
				ends = append(ends, read)
			case http.StatusServiceUnavailable:
				refused++
				go read()
			default:
				t.Fatalf("a stream is answered %d", status)
			}
		}
		if len(ends) != 32 || refused != 18 {
			t.Errorf("%d streams are open and %d were refused, want 32 and 18", len(ends), refused)
		}
		do(func() {
			for range 80 { // more than wait for one
				s.say(by, activitypub.Draft{Text: strings.Repeat("word ", 200)})
			}
		})
		time.Sleep(30 * time.Second) // nobody reads
		status, read := open(true)
		if status != http.StatusSwitchingProtocols {
			t.Errorf("half a minute later a stream is answered %d: those that nobody reads are still there", status)
		}
		for _, end := range append(ends, read) {
			go end()
		}
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second) // until who looks for changes has seen that nobody listens
		synctest.Wait()
	})
}

// Lists have the order that they have: nobody names a column.
func TestINJ251NobodySaysHowAListIsSorted(t *testing.T) {
	s := newSite(t)
	by := s.coop("baker", "The Bakery")
	s.coop("mill", "The Mill")
	token := s.register("read").token("by_baker", "", "read")
	for i := range 5 {
		s.say(by, activitypub.Draft{Text: fmt.Sprintf("loaf %d #bread", i)})
		s.offer(by, activitypub.OfferDraft{Title: fmt.Sprintf("Loaf %d", 5-i)})
	}
	account := by.Actor.ID.String()
	hostile := []string{"balance", "id", "id desc", "id asc", "-id", "(select public from keys)", "id desc,case when (1=1) then 1 else (select 1 union select 2) end", "1", "random()", "id;drop table posts", "password_hash", "id--", "active", "new"}
	for _, path := range []string{"/", "/@baker", "/tags/bread", "/offers", "/needs", "/api/v1/directory", "/api/v1/timelines/public", "/api/v1/timelines/tag/bread", "/api/v1/timelines/home", "/api/v1/accounts/" + account + "/statuses", "/api/v1/accounts/" + account + "/followers", "/api/v2/search?q=loaf", "/api/v1/notifications",
		"/api/v1/lists", "/api/v2/filters", "/users/baker/outbox?page=true", "/users/baker/followers", "/api/v1/bookmarks", "/api/v1/favourites"} {
		ask := func(more string) *httptest.ResponseRecorder {
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			if more == "" {
				sep = ""
			}
			return s.ask(with(token, "GET", path+sep+more, nil))
		}
		plain := ask("")
		if plain.Code != 200 {
			t.Fatalf("%s is answered %d", path, plain.Code)
		}
		for _, value := range hostile {
			q := url.Values{}
			for _, name := range []string{"sort", "order", "order_by", "orderby", "sort_by", "dir", "direction", "by"} {
				q.Set(name, value)
			}
			w := ask(q.Encode())
			// What a list echoes of its own address is no order.
			same := strings.ReplaceAll(strings.ReplaceAll(w.Body.String(), q.Encode(), ""), html.EscapeString(q.Encode()), "")
			if w.Code != 400 && (w.Code != 200 || len(ids.FindAllString(same, -1)) == 0 && len(ids.FindAllString(plain.Body.String(), -1)) != 0 || !slices.Equal(ids.FindAllString(same, -1), ids.FindAllString(plain.Body.String(), -1))) {
				t.Errorf("%s sorted by %q is answered %d, and otherwise: %s", path, value, w.Code, cmp.Diff(plain.Body.String(), same))
			}
		}
	}
}

// ids are what a list has in it, in its order.
var ids = regexp.MustCompile(`[0-9]{15,}`)

// What is looked for is looked for as it is written.
func TestINJ253SearchesAreLiteral(t *testing.T) {
	s := newSite(t)
	by := s.coop("baker", "100% Rye_bread")
	s.coop("mill", "The Mill")
	s.say(by, activitypub.Draft{Text: "#rye_bread and #ryexbread"})
	s.offer(by, activitypub.OfferDraft{Title: "Sourdough loaf"})
	s.offer(by, activitypub.OfferDraft{Title: "Rye OR wheat"})
	token := s.register("read").token("by_baker", "", "read")
	type found struct {
		Accounts []struct{ Acct string }
		Hashtags []struct{ Name string }
		Statuses []any
	}
	search := func(q string) (f found) {
		t.Helper()
		s.answers(with(token, "GET", "/api/v2/search?q="+url.QueryEscape(q), nil), 200, &f)
		return f
	}
	for _, q := range []string{`"`, `*`, `%`, `_`, `NEAR(`, `NEAR(a b, 5)`, `a OR b`, `a AND`, `NOT`, `OR`, `()`, `^`, `-`, `{a b}:c`, `title:loaf`, `\`, `\%`, `''`, `"loaf`, `loaf*`, `lo*`, `%loaf%`, `l_af`, `loaf"; drop table posts; --`, `+`, `[a-z]`, `?`, "a\x00b", `"a" "b"`, strings.Repeat(`"a" OR `, 500), strings.Repeat("(", 2000), strings.Repeat("%_", 2000), "ﷺ", "\xff"} {
		for _, path := range []string{"/offers?q=", "/needs?q=", "/api/v2/search?q=", "/api/v1/accounts/search?q=", "/api/v2/search?type=hashtags&q=", "/offers?coop=", "/offers?currency=", "/api/v1/timelines/tag/", "/api/v1/accounts/lookup?acct="} {
			w := s.ask(with(token, "GET", path+strings.ReplaceAll(url.QueryEscape(q), "+", "%20"), nil))
			if w.Code >= 500 || strings.Contains(strings.ToLower(w.Body.String()), "fts5") || strings.Contains(w.Body.String(), "SQL") {
				t.Errorf("%s%.40q is answered %d %.200s", path, q, w.Code, w.Body)
			}
		}
	}
	for q, want := range map[string]string{"%": "baker", "_": "by_mill baker by_baker", "100%": "baker", "rye_bread": "baker", "rye%bread": "", "r_e": "", "%%": "", `\`: "", "mill": "mill by_mill", "m_ll": "", "mi%l": "", "by_m": "by_mill", "by%m": ""} {
		var names []string
		for _, a := range search(q).Accounts {
			names = append(names, a.Acct)
		}
		slices.Sort(names)
		sorted := strings.Fields(want)
		if slices.Sort(sorted); !slices.Equal(names, sorted) {
			t.Errorf("%q finds the accounts %q, want %q", q, names, sorted)
		}
	}
	for q, want := range map[string]string{"rye_bread": "rye_bread", "rye_": "rye_bread", "ryex": "ryexbread", "rye%": "", "_": "", "%": ""} {
		if f := search(q); len(f.Hashtags) != len(strings.Fields(want)) || want != "" && f.Hashtags[0].Name != want {
			t.Errorf("%q finds the hashtags %+v", q, f.Hashtags)
		}
	}
	for q, want := range map[string]bool{"loaf": true, "sourdough": true, "l_af": false, "%oaf": false, "sourdough OR nothing": false, "NOT loaf": false} {
		w := s.get("/offers?q=" + url.QueryEscape(q))
		if got := strings.Contains(w.Body.String(), ">Sourdough loaf<"); w.Code != 200 || got != want {
			t.Errorf("%q finds the loaf: %v, want %v (%d)", q, got, want, w.Code)
		}
	}
}

// A language is a word, and no name of a file.
func TestINJ255LanguagesAreNoNames(t *testing.T) {
	s := newSite(t)
	by := s.coop("baker", "The Bakery")
	s.say(by, activitypub.Draft{Text: "Fresh bread"})
	token := s.register("read write").token("by_baker", "", "read write")
	plain := map[string]string{}
	paths := []string{"/", "/about", "/@baker", "/offers", "/nothing", "/api/v1/instance", "/api/v2/instance", "/authorize_interaction?uri=acct:a@b.example"}
	for _, path := range paths {
		plain[path] = s.get(path).Body.String()
	}
	values := []string{"../../../etc/passwd", "..%2f..%2fx", "/etc/passwd", "en\x00", "{{.}}", "layout", "../templates/home", strings.Repeat("en-", 3000), "<script>", "'", "xx", "error.html"}
	for _, value := range values {
		for _, path := range paths {
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			q := url.Values{}
			for _, name := range []string{"lang", "language", "locale", "hl", "theme", "template", "skin", "style", "page", "view"} {
				q.Set(name, value)
			}
			r := from(http.MethodGet, path+sep+q.Encode(), nil)
			r.Header.Set("Accept-Language", strings.ReplaceAll(value, "\x00", ""))
			if w := s.ask(r); w.Body.String() != plain[path] {
				t.Errorf("%s in %.30q is another page: %d %s", path, value, w.Code, cmp.Diff(plain[path], w.Body.String()))
			}
		}
	}
	for _, value := range values {
		var got struct{ Language *string }
		w := s.ask(with(token, "POST", "/api/v1/statuses", url.Values{"status": {"Bon dia"}, "language": {value}}))
		if w.Code == 200 {
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Language != nil && *got.Language == value && value != "xx" && value != "layout" {
				t.Errorf("a post is in the language %.30q", value)
			}
		} else if w.Code != 422 {
			t.Errorf("a post in %.30q is answered %d %s", value, w.Code, w.Body)
		}
	}
}

// wantClean fails when markup could do anything: it is parsed as a browser does.
func wantClean(t *testing.T, what, markup string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(markup))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			if slices.Contains([]string{"script", "style", "iframe", "object", "embed", "form", "input", "base", "meta", "link", "svg", "math", "img", "video", "audio", "body", "template"}, tag.Data) {
				t.Errorf("%s has <%s> in it: %s", what, tag.Data, markup)
			}
			for _, a := range tag.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" || (a.Key == "href" || a.Key == "src") && !strings.HasPrefix(a.Val, "https://") && !strings.HasPrefix(a.Val, "http://") {
					t.Errorf("%s has %s=%q in it: %s", what, a.Key, a.Val, markup)
				}
			}
		}
	}
}

// evilMarkup is tried in everything that somebody can say.
const evilMarkup = `<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)><math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(4)&gt;"></svg><iframe src=//evil.example></iframe><style>@import 'x'</style><base href=//evil.example><form action=//evil.example><a href="javascript:alert(5)">x</a>`

// abroad is another server, that says what it likes.
type abroad map[string]any

func (a abroad) RoundTrip(r *http.Request) (*http.Response, error) {
	doc, known := a[r.URL.String()]
	status, body := http.StatusNotFound, []byte("{}")
	if known {
		status = http.StatusOK
		body, _ = json.Marshal(doc)
	}
	kind := activityJSON
	if strings.Contains(r.URL.Path, "webfinger") {
		kind = "application/jrd+json"
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: -1, Request: r}, nil
}

// What people here write and what another server sends becomes markup that does nothing, in the API and on pages alike.
func TestXSS182XSS183NoMarkupOfAnybodyActs(t *testing.T) {
	s := newSite(t)
	by := s.coop("baker", "The Bakery")
	const eve, note = "https://oak.example/users/eve", "https://oak.example/notes/1"
	client, err := activitypub.NewClient(activitypub.ClientConfig{Origin: s.Origin, Now: time.Now, Transport: abroad{
		eve: map[string]any{"@context": "https://www.w3.org/ns/activitystreams", "id": eve, "type": "Person", "preferredUsername": "eve", "name": evilMarkup, "summary": evilMarkup, "inbox": eve + "/inbox", "outbox": eve + "/outbox", "url": "javascript:alert(1)",
			"attachment": []any{map[string]any{"type": "PropertyValue", "name": evilMarkup, "value": evilMarkup}}, "tag": []any{map[string]any{"type": "Emoji", "name": ":" + evilMarkup + ":", "icon": map[string]any{"type": "Image", "url": "javascript:alert(1)"}}}},
		note: map[string]any{"@context": "https://www.w3.org/ns/activitystreams", "id": note, "type": "Question", "attributedTo": eve, "to": "https://www.w3.org/ns/activitystreams#Public", "content": evilMarkup, "summary": evilMarkup, "url": "javascript:alert(1)", "published": "2026-11-24T09:00:00Z",
			"oneOf": []any{map[string]any{"type": "Note", "name": evilMarkup}, map[string]any{"type": "Note", "name": "b"}}, "attachment": []any{map[string]any{"type": "Document", "mediaType": "image/png", "url": "https://oak.example/a.png", "name": evilMarkup}},
			"tag": []any{map[string]any{"type": "Hashtag", "name": "#<script>x", "href": "javascript:alert(1)"}, map[string]any{"type": "Emoji", "name": ":<script>:", "icon": map[string]any{"type": "Image", "url": "https://oak.example/e.png"}}}},
		"https://oak.example/.well-known/webfinger?resource=acct%3Aeve%40oak.example": map[string]any{"subject": "acct:eve@oak.example", "links": []any{map[string]any{"rel": "self", "type": activityJSON, "href": eve}}},
		"https://oak.example/.well-known/webfinger?resource=acct:eve@oak.example":     map[string]any{"subject": "acct:eve@oak.example", "links": []any{map[string]any{"rel": "self", "type": activityJSON, "href": eve}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.node.Client = client
	token := s.register("read write").token("by_baker", by.Actor.ID.String(), "read write")
	post := func(method, path string, form url.Values) string {
		t.Helper()
		w := s.ask(with(token, method, path, form))
		if w.Code >= 500 || w.Code == 401 {
			t.Errorf("%s %s is answered %d %s", method, path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	said := post("POST", "/api/v1/statuses", url.Values{"status": {evilMarkup + " #<script>"}, "spoiler_text": {evilMarkup}, "poll[options][]": {evilMarkup[:40], "b"}, "poll[expires_in]": {"3600"}})
	profile := post("PATCH", "/api/v1/accounts/update_credentials", url.Values{"display_name": {evilMarkup[:150]}, "note": {evilMarkup}, "fields_attributes[0][name]": {evilMarkup[:60]}, "fields_attributes[0][value]": {evilMarkup[:60]}, "fields_attributes[1][name]": {"x"}, "fields_attributes[1][value]": {"javascript:alert(1)"},
		"fields_attributes[2][name]": {"y"}, "fields_attributes[2][value]": {`https://a.example/"><script>alert(1)</script>`}})
	found := s.ask(with(token, "GET", "/api/v2/search?resolve=true&q="+url.QueryEscape(note), nil))
	var results struct{ Statuses []json.RawMessage }
	if err := json.Unmarshal(found.Body.Bytes(), &results); err != nil || len(results.Statuses) != 1 {
		t.Fatalf("the post of elsewhere is found as %d %s, %v", found.Code, found.Body, err)
	}
	// What the API calls markup, that clients show as it is.
	markup := map[string]bool{"content": true, "note": true, "value": true, "html": true, "description_html": true}
	checked := 0
	var walk func(what string, v any)
	walk = func(what string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, x := range v {
				if text, is := x.(string); is && markup[name] && !strings.HasPrefix(what, ".source") {
					checked++
					wantClean(t, what+"."+name, text)
				} else if is && (name == "url" || name == "uri" || strings.HasSuffix(name, "_url")) && text != "" && !strings.HasPrefix(text, "https://") {
					t.Errorf("%s.%s leads to %q", what, name, text)
				}
				if name != "source" {
					walk(what+"."+name, x)
				}
			}
		case []any:
			for _, x := range v {
				walk(what, x)
			}
		}
	}
	for name, text := range map[string]string{"what she said": said, "her profile": profile, "what they said": string(results.Statuses[0]), "the timeline": s.ask(with(token, "GET", "/api/v1/timelines/public", nil)).Body.String(), "the home": s.ask(with(token, "GET", "/api/v1/timelines/home", nil)).Body.String()} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Errorf("%s is %v: %s", name, err, text)
		}
		walk(name, v)
		if strings.Contains(text, "<script") {
			t.Errorf("%s has < as it is: a page that shows it as HTML would run it", name)
		}
	}
	if checked < 6 {
		t.Errorf("only %d texts were looked at", checked)
	}
	for _, path := range []string{"/", "/@baker", "/about", "/offers"} {
		w := s.get(path)
		s.want(w, http.StatusOK)
		s.wantNot(w, "<script", "<img src=x", "onload=alert(3)>", "<iframe", "<style", "<base", `href="javascript:`, `action="//evil`)
	}
}

// A link to a page elsewhere is a link: nothing is fetched for it, and nothing of it is shown.
func TestXSS186NothingIsEmbedded(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	net := s.offline()
	token := s.register("read write").token("by_baker", "", "read write")
	var got struct {
		ID   string
		Card any
	}
	s.answers(with(token, "POST", "/api/v1/statuses", url.Values{"status": {"look https://evil.example/video and https://www.youtube.com/watch?v=1"}}), 200, &got)
	if got.Card != nil {
		t.Errorf("it has the card %v", got.Card)
	}
	if w := s.ask(with(token, "GET", "/api/v1/statuses/"+got.ID+"/card", nil)); strings.Contains(w.Body.String(), "evil") || strings.Contains(w.Body.String(), "iframe") {
		t.Errorf("its card is %s", w.Body)
	}
	w := s.get("/@by_baker/" + got.ID)
	if s.want(w, http.StatusOK); strings.Contains(w.Body.String(), "<iframe") || strings.Contains(w.Body.String(), "oembed") {
		t.Errorf("its page embeds something: %s", w.Body)
	}
	if len(net.asked) != 0 {
		t.Errorf("it asked for %q", net.asked)
	}
	// What is ours is embedded nowhere else either.
	if h := w.Header(); h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("it may be framed: %v", h)
	}
	for _, path := range []string{"/api/oembed?url=https://rye.example/@by_baker/" + got.ID, "/@by_baker/" + got.ID + "/embed"} {
		s.want(s.get(path), http.StatusNotFound)
	}
}

// Whatever somebody puts into a request, the log has one line for it, and nothing that steers a terminal.
func TestXSS190OneLineForEachRequest(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	const evil = "x\r\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\n\x1b[2J\x1b]0;evil\x07\u009b31m\u2028\u202e"
	for _, r := range []*http.Request{
		{Method: "GET", URL: &url.URL{Path: "/@" + evil}}, {Method: "GET", URL: &url.URL{Path: "/users/baker/statuses/" + evil}}, {Method: "GET", URL: &url.URL{Path: "/" + evil, RawQuery: url.QueryEscape(evil)}}, {Method: "GE\x1bT", URL: &url.URL{Path: "/"}}, {Method: "GET", URL: &url.URL{Path: "/api/v1/" + evil}},
		{Method: "GET", URL: &url.URL{Path: "/.well-known/webfinger", RawQuery: "resource=acct:" + url.QueryEscape(evil) + "@rye.example"}}, {Method: "POST", URL: &url.URL{Path: "/inbox"}}, {Method: "GET", URL: &url.URL{Path: "/media/" + evil}},
	} {
		s.log.Reset()
		r.Host, r.RemoteAddr, r.Body = "rye.example", "203.0.113.7:1", io.NopCloser(strings.NewReader(`{"id":"`+evil+`"}`))
		r.Header = http.Header{"User-Agent": {evil}, "Referer": {evil}, "Signature": {`keyId="` + evil + `",headers="date",signature="AAAA"`}, "Signature-Input": {`sig=("@method");keyid="` + evil + `"`}, "X-Request-Id": {evil}, "Content-Type": {activityJSON}}
		w := s.ask(r)
		text := s.log.String()
		if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
			t.Errorf("%q leaves %d lines: %q", r.URL, strings.Count(text, "\n"), text)
		}
		if strings.ContainsFunc(strings.TrimSuffix(text, "\n"), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q leaves %q", r.URL, text)
		}
		for name, values := range w.Header() {
			if strings.ContainsAny(strings.Join(values, ""), "\r\n\x1b") {
				t.Errorf("%q comes back in %s: %q", r.URL, name, values)
			}
		}
	}
}

// Names and addresses that reach a header are written so that they end nothing there.
func TestXSS191NoLineOfAHeaderIsForged(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery\r\nX-Evil: 1")
	a := s.register("read")
	a.signsIn(a.asks(nil), "by_baker")
	for _, state := range []string{"x\r\nX-Evil: 1", "x%0d%0aX-Evil: 1", "x\nSet-Cookie: a=b", "x\x00y"} {
		path := a.asks(url.Values{"state": {state}})
		for _, w := range []*httptest.ResponseRecorder{a.browse(http.MethodGet, path, nil), a.consents(path, ""), a.browse(http.MethodGet, a.asks(url.Values{"state": {state}, "scope": {"nonsense"}}), nil)} {
			for name, values := range w.Header() {
				if strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") || name == "X-Evil" || w.Code == 200 && w.Header().Get("X-Evil") != "" {
					t.Errorf("%q reaches %s: %q", state, name, values)
				}
			}
		}
	}
	for _, w := range []*httptest.ResponseRecorder{s.get("/@baker"), s.get("/"), s.get("/tags/x%0d%0aX-Evil:1"), s.get("/@baker%0d%0aX-Evil:1"), s.get("/offers?q=%0d%0aX-Evil:1"), s.ask(with("x\r\ny", "GET", "/api/v1/timelines/public?a=%0d%0aX-Evil:1", nil))} {
		for name, values := range w.Header() {
			if strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
				t.Errorf("%s is %q", name, values)
			}
		}
	}
	for _, name := range []string{"x\r\ny", "x\ny", "x\x00y", "x\x1b[2Jy"} { // an app's name stands on the page where she says yes
		w := s.ask(s.form("/api/v1/apps", url.Values{"client_name": {name}, "redirect_uris": {home}}))
		var got struct{ Name string }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err == nil && w.Code == 200 && strings.ContainsFunc(got.Name, func(r rune) bool { return r < ' ' }) {
			t.Errorf("an app is called %q", got.Name)
		}
	}
}

// What ends a token ends the streams that were opened by it, within a minute.
func TestOAU221StreamsEndWithTheirToken(t *testing.T) {
	s := newSite(t)
	by := s.coop("baker", "The Bakery")
	a := s.register("read")
	other := s.register("read")
	cleo, _, err := s.node.CreatePerson(t.Context(), activitypub.NewUser{Username: "cleo", Password: "a long enough password"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.node.GiveRole(t.Context(), by, cleo, storage.RoleEditor); err != nil {
		t.Fatal(err)
	}
	dag, _, err := s.node.CreatePerson(t.Context(), activitypub.NewUser{Username: "dag", Password: "a long enough password"})
	if err != nil {
		t.Fatal(err)
	}
	eli, _, err := s.node.CreatePerson(t.Context(), activitypub.NewUser{Username: "eli", Password: "a long enough password"})
	if err != nil {
		t.Fatal(err)
	}
	kept := other.token("by_baker", "", "read")
	revoked := a.token("by_baker", "", "read")
	a.cookie = nil
	roleLost := a.token("cleo", by.Actor.ID.String(), "read")
	a.cookie = nil
	suspended := a.token("dag", "", "read")
	a.cookie = nil
	password := a.token("eli", "", "read")
	do := outside(t)
	cases := map[string]struct {
		token string
		end   func() error
	}{
		"it is revoked": {revoked, func() error {
			w := s.ask(s.form("/oauth/revoke", url.Values{"client_id": {a.id}, "client_secret": {a.secret}, "token": {revoked}}))
			if w.Code != 200 {
				return fmt.Errorf("%d", w.Code)
			}
			return nil
		}},
		"the role is lost":      {roleLost, func() error { return s.node.TakeRole(context.Background(), by, cleo, storage.RoleEditor) }},
		"somebody is suspended": {suspended, func() error { return s.node.SetStanding(context.Background(), nil, s.actorOf(dag), true, false) }},
		"a new password": {password, func() error {
			u := *eli
			u.PasswordHash = "another"
			return s.db.UpdateUser(context.Background(), &u)
		}},
		"nothing": {kept, func() error { return nil }},
	}
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx, l) }()
		client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil }}}
		defer client.CloseIdleConnections()
		ended := map[string]chan string{}
		for name, c := range cases {
			over := make(chan string, 2)
			ended[name] = over
			auth := http.Header{"Authorization": {"Bearer " + c.token}}
			conn, _, err := websocket.Dial(ctx, "ws://rye.example/api/v1/streaming?stream=user", &websocket.DialOptions{HTTPClient: client, HTTPHeader: auth})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://rye.example/api/v1/streaming/user", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = auth
			res, err := client.Do(r)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatal(res, err)
			}
			defer res.Body.Close()
			go func() {
				for {
					if _, _, err := conn.Read(ctx); err != nil {
						over <- "the WebSocket"
						return
					}
				}
			}()
			go func() { _, _ = io.Copy(io.Discard, res.Body); over <- "the events" }()
		}
		time.Sleep(time.Second)
		for name, c := range cases {
			do(func() {
				if err := c.end(); err != nil {
					t.Error(name, err)
				}
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for name, over := range ended {
			if want := map[bool]int{true: 0, false: 2}[name == "nothing"]; len(over) != want {
				t.Errorf("%s: of two streams %d have ended a minute later, want %d", name, len(over), want)
			}
		}
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second) // until who looks for changes has seen that nobody listens
	})
}
