package activitypub

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A peer's picture is typed as one, begins like one, and ends within the limit; whatever else it sends stays outside.
func TestFET100AForeignPictureIsBounded(t *testing.T) {
	const limit = 10_000
	picture := "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 2000)
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		send := func(kind, body string) {
			rw.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(rw, body)
		}
		switch r.URL.Path {
		case "/good":
			send("image/png", picture)
		case "/moved":
			http.Redirect(rw, r, "/good", http.StatusFound)
		case "/inward":
			http.Redirect(rw, r, "https://10.0.0.1/x.png", http.StatusFound)
		case "/labelled":
			send("image/jpeg; charset=binary", picture)
		case "/svg":
			send("image/svg+xml", "<svg/>")
		case "/svg-as-png":
			send("image/png", "<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>")
		case "/html":
			send("text/html", picture)
		case "/activity":
			send(activityJSON, picture)
		case "/untyped":
			rw.Header()["Content-Type"] = nil
			_, _ = io.WriteString(rw, picture)
		case "/large":
			send("image/png", picture+strings.Repeat("x", limit))
		case "/endless":
			rw.Header().Set("Content-Type", "image/png")
			_, _ = io.WriteString(rw, picture)
			for {
				if _, err := io.WriteString(rw, strings.Repeat("x", 1<<16)); err != nil {
					return
				}
			}
		case "/broken":
			rw.Header().Set("Content-Length", "5000")
			send("image/png", picture)
		case "/empty":
			send("image/png", "")
		default:
			http.NotFound(rw, r)
		}
	})
	for path, want := range map[string]string{
		"/good": "", "/moved": "", "/labelled": "", "/inward": "refused", "/svg": "not the type", "/svg-as-png": "not begin like a picture", "/html": "not the type", "/activity": "not the type",
		"/untyped": "not the type", "/large": "more than", "/endless": "more than", "/broken": "broke off", "/empty": "not begin like a picture", "/none": "404",
	} {
		var b bytes.Buffer
		kind, err := w.client.GetMedia(t.Context(), w.at("far.example", path), &b, limit)
		if want == "" {
			if err != nil || kind != "image/png" || b.String() != picture {
				t.Errorf("%s: got %s, %d bytes, %v", path, kind, b.Len(), err)
			}
			continue
		}
		var fe *FetchError
		if !errors.As(err, &fe) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %s, %v; want %s", path, kind, err, want)
		}
		if b.Len() > limit+1 {
			t.Errorf("%s: %d bytes were taken", path, b.Len())
		}
	}
	if _, err := w.client.GetMedia(t.Context(), w.at("far.example", "/good"), failing{}, limit); !errors.Is(err, errDisk) {
		t.Errorf("a full disk is %v", err)
	}
	for _, r := range w.seen {
		if r.Header.Get("Signature") != "" || r.Header.Get("Cookie") != "" || r.Header.Get("Referer") != "" {
			t.Errorf("it sent %v", r.Header)
		}
	}
}

var errDisk = fmt.Errorf("no room")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errDisk }

func TestFET093NoPictureIsFetchedFromASpecialAddress(t *testing.T) {
	w := newWorld(t, func(rw http.ResponseWriter, _ *http.Request) {}, func(c *ClientConfig) { c.AllowNets = nil })
	refused := func(address string) {
		t.Helper()
		if _, err := w.client.GetMedia(t.Context(), address, io.Discard, 1000); !errors.Is(err, errRefused) {
			t.Errorf("%s: got %v", address, err)
		}
	}
	for _, ip := range specialAddresses {
		if strings.Contains(ip, ":") {
			ip = "[" + ip + "]"
		}
		refused("https://" + ip + "/x.png")
	}
	for _, ip := range []string{"10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1"} {
		w.names["named.example"] = []string{ip}
		refused("https://named.example/x.png")
	}
	if len(w.dialed) != 0 {
		t.Errorf("it dialled %v", w.dialed)
	}
}
