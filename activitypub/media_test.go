package activitypub_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// files are all that a node keeps of pictures.
func files(t *testing.T, n *aptest.Node) (names []string) {
	t.Helper()
	err := filepath.WalkDir(n.MediaDir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, d.Name())
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return names
}

func shown(t *testing.T, n *aptest.Node, m *storage.Media) bool {
	t.Helper()
	f, _, err := n.OpenMedia(t.Context(), m.Name)
	if errors.Is(err, storage.ErrNotFound) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return f.Close() == nil
}

func TestAPictureTravelsWithItsPostAndGoesWithIt(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker, ana := rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana")
	follows(t, net, oak, ana, "@baker@rye.example")

	second, first := rye.Picture(baker, 1, ""), rye.Picture(baker, 2, "Two loaves & a board")
	if _, err := rye.Describe(t.Context(), baker, first.ID, activitypub.Description{Alt: first.Alt, FocusX: -0.5, FocusY: 0.25}); err != nil {
		t.Fatal(err)
	}
	post, err := rye.Publish(t.Context(), baker, activitypub.Draft{Media: []storage.ID{first.ID, second.ID}}) // without a word
	if err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	doc := open(t, net, string(post.IRI))
	list(t, doc, "attachment")
	want := map[string]any{"type": "Document", "mediaType": "image/png", "url": "https://rye.example/media/" + first.Name, "name": "Two loaves & a board",
		"width": 40.0, "height": 20.0, "blurhash": first.Blurhash, "focalPoint": []any{-0.5, 0.25}}
	attachments, _ := doc["attachment"].([]any)
	if len(attachments) != 2 || fmt.Sprint(attachments[0]) != fmt.Sprint(want) {
		t.Errorf("attached are %v, want first %v", attachments, want)
	}
	home := oak.Home(ana)
	if len(home) != 1 || len(home[0].Attachments) != 2 {
		t.Fatalf("ana sees %+v", home)
	}
	if got := home[0].Attachments[0]; got.Name != first.Alt || got.Width != 40 || got.Height != 20 || got.FocusX != -0.5 || got.FocusY != 0.25 || got.Blurhash != first.Blurhash || got.MediaID != 0 {
		t.Errorf("ana sees %+v", got)
	}

	// The description changes; the post keeps its pictures though the edit does not name them.
	net.Sleep(time.Minute)
	if _, err := rye.Describe(t.Context(), baker, second.ID, activitypub.Description{Alt: "An oven"}); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	if home = oak.Home(ana); home[0].Attachments[1].Name != "An oven" || home[0].EditedAt == nil {
		t.Errorf("after the new description ana sees %+v, edited %v", home[0].Attachments[1], home[0].EditedAt)
	}
	net.Sleep(time.Minute)
	if post, err = rye.Edit(t.Context(), baker, post.ID, activitypub.Draft{Text: "Bread"}); err != nil || len(post.Attachments) != 2 {
		t.Fatalf("after an edit of the words it has %d pictures, %v", len(post.Attachments), err)
	}
	third := rye.Picture(baker, 3, "A door")
	net.Sleep(time.Minute)
	if post, err = rye.Edit(t.Context(), baker, post.ID, activitypub.Draft{Text: "Bread", Media: []storage.ID{third.ID, second.ID}}); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	if home = oak.Home(ana); len(home[0].Attachments) != 2 || home[0].Attachments[0].Name != "A door" || home[0].Attachments[1].Name != "An oven" {
		t.Errorf("after the edit ana sees %+v", home[0].Attachments)
	}
	if shown(t, rye, first) || !shown(t, rye, second) || !shown(t, rye, third) {
		t.Error("the picture that was taken out is shown, or another one is not")
	}

	if err := rye.Delete(t.Context(), baker, post.ID); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	if shown(t, rye, second) || shown(t, rye, third) {
		t.Error("the pictures of a deleted post are shown")
	}
	tidied, err := rye.TidyMedia(t.Context())
	if err != nil || tidied.Files != 3 || tidied.Bytes == 0 || len(files(t, rye)) != 0 {
		t.Errorf("tidied %+v, %v; left are %q", tidied, err, files(t, rye))
	}
	if got := len(oak.Home(ana)); got != 0 {
		t.Errorf("ana still sees %d posts", got)
	}
}

func TestAFileStaysWhileSomebodyElseShowsTheSamePicture(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	ana, bo := rye.Person("ana"), rye.Person("bo")
	a, b := rye.Picture(ana, 1, "hers"), rye.Picture(bo, 1, "his")
	if a.Name != b.Name || a.ID == b.ID {
		t.Fatalf("the same picture is %s and %s", a.Name, b.Name)
	}
	publish := func(by activitypub.By, m *storage.Media) *storage.Post {
		t.Helper()
		p, err := rye.Publish(t.Context(), by, activitypub.Draft{Text: "look", Media: []storage.ID{m.ID}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	pa, pb := publish(ana, a), publish(bo, b)
	for _, del := range []struct {
		by    activitypub.By
		id    storage.ID
		shown bool
		files int
	}{{ana, pa.ID, true, 1}, {bo, pb.ID, false, 0}} {
		if err := rye.Delete(t.Context(), del.by, del.id); err != nil {
			t.Fatal(err)
		}
		if _, err := rye.TidyMedia(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(files(t, rye)); shown(t, rye, a) != del.shown || got != del.files {
			t.Errorf("after %s deleted hers it is shown: %v, %d files", del.by.Actor.Username, shown(t, rye, a), got)
		}
	}
}

func TestMED200NobodyTouchesAnothersPictures(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	ana, eve := rye.Person("ana"), rye.Person("eve")
	baker := rye.Coop(ana, "baker")
	loose, used := rye.Picture(ana, 1, "hers"), rye.Picture(ana, 2, "hers")
	if _, err := rye.Publish(t.Context(), ana, activitypub.Draft{Text: "x", Media: []storage.ID{used.ID}}); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*storage.Media{loose, used} {
		for name, err := range map[string]error{
			"attach":                    second2(rye.Publish(t.Context(), eve, activitypub.Draft{Text: "mine", Media: []storage.ID{m.ID}})),
			"describe":                  second2(rye.Describe(t.Context(), eve, m.ID, activitypub.Description{Alt: "mine"})),
			"discard":                   rye.Discard(t.Context(), eve, m.ID),
			"icon":                      rye.SetIcon(t.Context(), eve, m.ID),
			"header":                    rye.SetHeader(t.Context(), eve, m.ID),
			"as a co-op that she leads": second2(rye.Publish(t.Context(), baker, activitypub.Draft{Text: "ours", Media: []storage.ID{m.ID}})),
		} {
			if !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s: got %v, want not found", name, err)
			}
		}
	}
	if posts := rye.Home(eve); len(posts) != 0 {
		t.Errorf("half a post was published: %+v", posts)
	}
	var p *activitypub.Problem
	if _, err := rye.Upload(t.Context(), activitypub.By{User: eve.User, Actor: baker.Actor}, strings.NewReader("GIF89a"), activitypub.Description{}); !errors.As(err, &p) || p.Status != 403 {
		t.Errorf("eve uploads as the co-op: %v", err)
	}
	var invalid *activitypub.InvalidError
	if err := rye.Discard(t.Context(), ana, used.ID); !errors.As(err, &invalid) {
		t.Errorf("what is shown is discarded: %v", err)
	}
	if _, err := rye.Publish(t.Context(), ana, activitypub.Draft{Text: "again", Media: []storage.ID{used.ID}}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a picture is in two posts: %v", err)
	}
	if err := rye.Discard(t.Context(), ana, loose.ID); err != nil || shown(t, rye, loose) {
		t.Errorf("her own is not discarded: %v", err)
	}
}

func second2[T any](_ T, err error) error { return err }

func TestMED199MED195WhatIsNoPictureIsRefusedAndLeavesNothing(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	ana := rye.Person("ana")
	var p *activitypub.Problem
	endless := io.MultiReader(strings.NewReader("\x89PNG\r\n\x1a\n"), zeros{})
	if _, err := rye.Upload(t.Context(), ana, endless, activitypub.Description{}); !errors.As(err, &p) || p.Status != 413 {
		t.Errorf("a picture without end gives %v, want 413", err)
	}
	var invalid *activitypub.InvalidError
	for name, c := range map[string]struct {
		body string
		d    activitypub.Description
	}{
		"a drawing":            {"<svg/>", activitypub.Description{}},
		"an activity":          {`{"@context":"https://www.w3.org/ns/activitystreams","type":"Person"}`, activitypub.Description{}},
		"a film":               {"\x00\x00\x00\x20ftypisom", activitypub.Description{}},
		"half a PNG":           {"\x89PNG\r\n\x1a\n\x00\x00", activitypub.Description{}},
		"a long description":   {"GIF89a", activitypub.Description{Alt: strings.Repeat("x", 1501)}},
		"a broken description": {"GIF89a", activitypub.Description{Alt: "\xff"}},
		"a focus outside":      {"GIF89a", activitypub.Description{FocusX: 1.1}},
	} {
		if _, err := rye.Upload(t.Context(), ana, strings.NewReader(c.body), c.d); !errors.As(err, &invalid) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	var ids []storage.ID
	for i := range 5 {
		ids = append(ids, rye.Picture(ana, uint8(i), "").ID)
	}
	if _, err := rye.Publish(t.Context(), ana, activitypub.Draft{Text: "x", Media: ids}); !errors.As(err, &invalid) || invalid.Field != "media" {
		t.Errorf("five pictures: got %v", err)
	}
	if _, err := rye.Publish(t.Context(), ana, activitypub.Draft{Media: ids[:4]}); err != nil {
		t.Errorf("four pictures: %v", err)
	}
	if left := files(t, rye); len(left) != 5 {
		t.Errorf("%q are left, want five pictures", left)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestWhatIsNotUsedWithinADayGoes(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	ana := rye.Person("ana")
	loose, used, face := rye.Picture(ana, 1, ""), rye.Picture(ana, 2, ""), rye.Picture(ana, 3, "")
	if _, err := rye.Publish(t.Context(), ana, activitypub.Draft{Media: []storage.ID{used.ID}}); err != nil {
		t.Fatal(err)
	}
	if err := rye.SetIcon(t.Context(), ana, face.ID); err != nil {
		t.Fatal(err)
	}
	// A crash between the file and its row leaves a file that nothing names.
	stray := filepath.Join(rye.MediaDir, "aa", strings.Repeat("a", 64)+".png")
	if err := os.MkdirAll(filepath.Dir(stray), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stray, []byte("stray"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(stray, net.Now(), net.Now()); err != nil {
		t.Fatal(err)
	}
	net.Sleep(23 * time.Hour)
	if tidied, err := rye.TidyMedia(t.Context()); err != nil || tidied != (activitypub.Tidied{}) || !shown(t, rye, loose) {
		t.Errorf("within the day it tidied %+v, %v", tidied, err)
	}
	net.Sleep(2 * time.Hour)
	tidied, err := rye.TidyMedia(t.Context())
	if err != nil || tidied.Unattached != 1 || tidied.Files != 2 || tidied.Bytes != loose.Size+5 {
		t.Errorf("after a day it tidied %+v, %v", tidied, err)
	}
	if shown(t, rye, loose) || !shown(t, rye, used) || !shown(t, rye, face) || len(files(t, rye)) != 2 {
		t.Errorf("left are %q", files(t, rye))
	}
	u, err := rye.MediaUsage(t.Context())
	if err != nil || u.Attached != 2 || u.Unattached != 0 || u.Files != 2 || u.FileBytes != used.Size+face.Size || u.CacheLimit != 1<<20 {
		t.Errorf("usage is %+v, %v", u, err)
	}
}

func TestAFaceIsSeenElsewhereAndReplaced(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker, ana := rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana")
	follows(t, net, oak, ana, "@baker@rye.example")
	first, second, top := rye.Picture(baker, 1, "A loaf"), rye.Picture(baker, 2, "Two loaves"), rye.Picture(baker, 3, "")
	if err := errors.Join(rye.SetIcon(t.Context(), baker, first.ID), rye.SetHeader(t.Context(), baker, top.ID)); err != nil {
		t.Fatal(err)
	}
	doc := open(t, net, string(baker.Actor.IRI))
	want := map[string]any{"type": "Image", "mediaType": "image/png", "url": "https://rye.example/media/" + first.Name, "name": "A loaf"}
	if fmt.Sprint(doc["icon"]) != fmt.Sprint(want) {
		t.Errorf("the icon is %v, want %v", doc["icon"], want)
	}
	seen := func() *storage.Actor {
		t.Helper()
		net.Sleep(time.Hour)
		net.Deliver()
		a, err := oak.DB.ActorByIRI(t.Context(), baker.Actor.IRI)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := seen(); a.IconURL != "https://rye.example/media/"+first.Name || a.IconAlt != "A loaf" || a.HeaderURL == "" {
		t.Errorf("oak sees %s %q %s", a.IconURL, a.IconAlt, a.HeaderURL)
	}
	if _, err := rye.Describe(t.Context(), baker, first.ID, activitypub.Description{Alt: "A round loaf"}); err != nil {
		t.Fatal(err)
	}
	if a := seen(); a.IconAlt != "A round loaf" {
		t.Errorf("oak reads %q", a.IconAlt)
	}
	if err := rye.SetIcon(t.Context(), baker, second.ID); err != nil {
		t.Fatal(err)
	}
	if a := seen(); a.IconURL != "https://rye.example/media/"+second.Name || a.HeaderURL == "" || shown(t, rye, first) || !shown(t, rye, second) || !shown(t, rye, top) {
		t.Errorf("after the new face oak sees %s and %s", a.IconURL, a.HeaderURL)
	}
	if err := rye.SetIcon(t.Context(), baker, 0); err != nil {
		t.Fatal(err)
	}
	pau := rye.Person("pau")
	his := rye.Picture(pau, 9, "Pau")
	if err := rye.SetIcon(t.Context(), pau, his.ID); err != nil {
		t.Fatal(err)
	}
	if err := rye.DeleteActor(t.Context(), pau); err != nil || shown(t, rye, his) {
		t.Errorf("the face of somebody who left is shown: %v", err)
	}
	if a := seen(); a.IconURL != "" || a.HeaderURL == "" || shown(t, rye, second) || !shown(t, rye, top) {
		t.Errorf("without a face oak sees %q and %q", a.IconURL, a.HeaderURL)
	}
}

// elsewhere is a server of pictures that counts who asks.
type elsewhere struct {
	body, kind string
	asked      int
}

func (e *elsewhere) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	e.asked++
	w.Header().Set("Content-Type", e.kind)
	_, _ = io.WriteString(w, e.body)
}

const gif1 = "GIF89a\x01\x00\x01\x00\x00\x00\x00;"

// remote asks for a picture elsewhere by the address that MediaURL gives.
func remote(t *testing.T, n *aptest.Node, address string) (body string, kind string, err error) {
	t.Helper()
	rest, ok := strings.CutPrefix(n.MediaURL(address), n.Origin+"/media/remote/")
	if !ok {
		t.Fatalf("%s becomes %q", address, n.MediaURL(address))
	}
	mac, encoded, _ := strings.Cut(rest, "/")
	f, kind, err := n.RemoteMedia(t.Context(), mac, encoded)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	return string(raw), kind, err
}

func TestAPictureElsewhereIsAskedForOnceAndFailuresAreRemembered(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	far := &elsewhere{body: gif1, kind: "image/gif"}
	net.Serve("far.example", far)
	for range 3 {
		if body, kind, err := remote(t, rye, "https://far.example/a.gif?x=1&y=2"); body != gif1 || kind != "image/gif" || err != nil {
			t.Fatalf("got %q, %s, %v", body, kind, err)
		}
	}
	if far.asked != 1 {
		t.Errorf("it was asked for %d times", far.asked)
	}
	if files, bytes, err := rye.ClearMediaCache(); files != 1 || bytes != int64(len(gif1)) || err != nil {
		t.Errorf("the cache held %d files, %d bytes, %v", files, bytes, err)
	}
	far.kind = "text/html"
	for range 3 {
		if _, _, err := remote(t, rye, "https://far.example/a.gif?x=1&y=2"); !errors.Is(err, storage.ErrNotFound) {
			t.Fatalf("a page is shown: %v", err)
		}
	}
	if far.asked != 2 {
		t.Errorf("what fails was asked for %d times", far.asked-1)
	}
	far.kind = "image/png" // not what it is, but a picture: its bytes count
	net.Sleep(6 * time.Minute)
	if _, kind, err := remote(t, rye, "https://far.example/a.gif?x=1&y=2"); kind != "image/gif" || err != nil {
		t.Errorf("after a while it is %s, %v", kind, err)
	}

	if _, err := rye.SetDomainRule(t.Context(), nil, "far.example", storage.RuleBlock, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := remote(t, rye, "https://far.example/a.gif?x=1&y=2"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a picture of a blocked server is shown: %v", err)
	}

	off := net.Add("off.example", func(c *activitypub.Config) { c.MediaCache = 0 })
	far.asked = 0
	for range 2 {
		if body, _, err := remote(t, off, "https://far.example/b.gif"); body != gif1 || err != nil {
			t.Errorf("without a cache it is %q, %v", body, err)
		}
	}
	if files, _, _ := off.ClearMediaCache(); files != 0 || far.asked != 2 {
		t.Errorf("a cache that is off holds %d files after %d requests", files, far.asked)
	}
}

// FET 97: nobody but the node makes addresses for the proxy.
func TestFET097OnlyOurOwnAddressesAreFetched(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	net.Serve("far.example", &elsewhere{body: gif1, kind: "image/gif"})
	good := strings.TrimPrefix(rye.MediaURL("https://far.example/a.gif"), "https://rye.example/media/remote/")
	mac, encoded, _ := strings.Cut(good, "/")
	other := strings.TrimPrefix(oak.MediaURL("https://far.example/a.gif"), "https://oak.example/media/remote/")
	otherMac, _, _ := strings.Cut(other, "/")
	_, evil, _ := strings.Cut(strings.TrimPrefix(rye.MediaURL("https://far.example/evil"), "https://rye.example/media/remote/"), "/")
	for name, c := range map[string][2]string{
		"another address":     {mac, evil},
		"another node's mac":  {otherMac, encoded},
		"half a mac":          {mac[:16], encoded},
		"no mac":              {"", encoded},
		"a mac in capitals":   {strings.ToUpper(mac), encoded},
		"padding":             {mac, encoded + "="},
		"something behind":    {mac, encoded + "A"},
		"a parameter":         {mac, encoded + "?proxy=http://127.0.0.1"},
		"no address":          {mac, ""},
		"an address in clear": {mac, "https://far.example/a.gif"},
	} {
		var p *activitypub.Problem
		if _, _, err := rye.RemoteMedia(t.Context(), c[0], c[1]); !errors.As(err, &p) || p.Status != 400 {
			t.Errorf("%s: got %v, want 400", name, err)
		}
	}
	if trips := net.Trips(); len(trips) != 0 {
		t.Errorf("it asked for %v", trips)
	}
	for _, address := range []string{"", "x", "/media/x", "javascript:alert(1)", "data:image/png;base64,xx", "http://far.example/a.gif", "ftp://far.example/a", "https://a b.example/", "https://user@far.example/", "//far.example/a.gif", "https://far.example/" + strings.Repeat("x", 2048)} {
		if got := rye.MediaURL(address); got != "" {
			t.Errorf("%q becomes %s", address, got)
		}
	}
	own := "https://rye.example/media/" + strings.Repeat("0", 64) + ".png"
	if got := rye.MediaURL(own); got != own {
		t.Errorf("our own becomes %s", got)
	}
}

// FET 93: every picture that a peer names goes through the one client.
func TestFET093PicturesThatPeersNameDoNotReachOurNetwork(t *testing.T) {
	net, rye, baker, peer := stage(t)
	peer.Extra = map[string]any{"icon": map[string]any{"type": "Image", "url": "https://10.0.0.1/icon.png"}, "image": map[string]any{"type": "Image", "url": "https://169.254.169.254/latest/meta-data"}}
	befriend(t, net, peer, baker.Actor)
	create := peer.Note("n", "hello", string(baker.Actor.IRI))
	create["object"].(map[string]any)["attachment"] = []any{
		map[string]any{"type": "Document", "mediaType": "image/png", "url": "https://[::1]:6379/x.png"},
		map[string]any{"type": "Document", "mediaType": "image/png", "url": "https://localhost/x.png"},
		map[string]any{"type": "Document", "mediaType": "image/png", "url": "https://192.168.0.1:8443/x.png", "width": -5, "height": 1e12, "focalPoint": []any{7, "x"}},
	}
	if status, body := post(t, net, peer.Request(ryeInbox, create)); status != 202 {
		t.Fatalf("the post is answered %d %s", status, body)
	}
	p, err := rye.DB.PostByIRI(t.Context(), storage.IRI(peer.ID()+"/notes/n"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := rye.DB.ActorByIRI(t.Context(), storage.IRI(peer.ID()))
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{a.IconURL, a.HeaderURL}
	for _, at := range p.Attachments {
		addresses = append(addresses, at.URL)
		if at.Width != 0 || at.Height != 0 || at.FocusX != 0 {
			t.Errorf("nonsense was taken: %+v", at)
		}
	}
	if len(addresses) != 5 {
		t.Fatalf("the addresses are %q", addresses)
	}
	before := len(net.Trips())
	for _, address := range addresses {
		if address == "" || rye.MediaURL(address) == "" {
			continue // not even shown
		}
		if _, _, err := remote(t, rye, address); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: got %v", address, err)
		}
	}
	if trips := net.Trips(); len(trips) != before {
		t.Errorf("it went to %v", trips[before:])
	}
}

func TestManyPicturesAtOnceAreFetchedOnceEach(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	net.Serve("far.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-leave
		w.Header().Set("Content-Type", "image/gif")
		_, _ = io.Copy(w, bytes.NewReader([]byte(gif1)))
	}))
	results := make(chan error, 20)
	for range 20 {
		go func() {
			_, _, err := remote(t, rye, "https://far.example/a.gif")
			results <- err
		}()
	}
	<-entered
	close(leave)
	for range 20 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got := len(net.Trips()); got != 1 {
		t.Errorf("it was asked for %d times", got)
	}
}
