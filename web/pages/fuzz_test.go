package pages

import (
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

// FuzzServer: the host that is read from a handle is a public name that was typed, and a link to it leads there.
func FuzzServer(f *testing.F) {
	for _, s := range []string{"@ana@oak.example", "ana@OAK.example.", "https://oak.example/@ana", "oak.example", "@ana@oak.example:8443", "@a@b@oak.example", "oak.example@evil.example",
		"https://oak.example\\@evil.example/", "https://oak.example?@evil.example", "@ana@127.0.0.1", "@ana@[::1]", "ana@localhost", "ana@x.localhost", "ana@bücher.example", "ana@oak.example:99999",
		"ana@oak.example:0", "javascript:alert(1)", "https://https://oak.example/", "acct:ana@oak.example", "a@rye.example", "a@0x7f.1", "ana@oak.example/..", "a@-x.example", "K@\u212aay.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, handle string) {
		host, wrong := serverOf(handle, "https://rye.example")
		if (host == "") == (wrong == "") {
			t.Fatalf("%q is %q, and %q", handle, host, wrong)
		}
		if host == "" {
			return
		}
		if !strings.Contains(strings.ToLower(handle), host) {
			t.Errorf("%q leads to %q", handle, host)
		}
		u, err := url.Parse(schemeFor(host, "https://rye.example") + "://" + host + "/authorize_interaction?uri=x")
		if err != nil || u.Host != host || u.Scheme != "https" || u.Path != "/authorize_interaction" || u.User != nil {
			t.Fatalf("%q leads to %v, %v", handle, u, err)
		}
		if _, err := netip.ParseAddr(u.Hostname()); err == nil || !strings.Contains(u.Hostname(), ".") || local(host) {
			t.Errorf("%q leads to %q", handle, host)
		}
		if port := u.Port(); port != "" {
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
				t.Errorf("%q leads to the port %q", handle, port)
			}
		}
	})
}

// FuzzLink: an address that becomes a link is one of the web, without anything in it that hides where it leads.
func FuzzLink(f *testing.F) {
	for _, s := range []string{"https://oak.example/@ana", "http://oak.example", "javascript:alert(1)", "https://oak.example@evil.example/", "HTTPS://oak.example", "//oak.example", "https:oak.example", "https:/oak.example",
		"data:text/html,x", "https://", "https://oak.example/\u202egpj", " https://oak.example", "https://oak.example:x", "acct:ana@oak.example", "https://[::1]:80/", "https://oak.example/%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		link := webAddress(s)
		if link == "" {
			return
		}
		u, err := url.Parse(link)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Opaque != "" {
			t.Errorf("%q links to %v, %v", s, u, err)
		}
		if webAddress(link) != link {
			t.Errorf("%q links to %q, which links to %q", s, link, webAddress(link))
		}
	})
}

// FuzzBefore: a list goes on below an id, or the question is refused; the link to what is older is a question that is not.
func FuzzBefore(f *testing.F) {
	for _, s := range []string{"", "before=7", "before=-7", "before=0", "before=007", "before=9223372036854775807", "before=9223372036854775808", "before=1 OR 1", "before=1&before=2", "before=%31", "before=\u0661", "%", "before=1;x"} {
		f.Add(s)
	}
	e := echo.New()
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/@baker", nil)
		r.URL.RawQuery = query
		page, err := before(e.NewContext(r, httptest.NewRecorder()))
		given := r.URL.Query().Get("before")
		switch {
		case page.MaxID < 0 || page.Limit != postsOnPage+1 || page.MinID != 0:
			t.Errorf("%q asks for %+v", query, page)
		case given == "" && (err != nil || page.MaxID != 0):
			t.Errorf("%q asks for %+v, %v", query, page, err)
		case err != nil:
			return
		case given != "" && strings.TrimLeft(given, "0") != strings.TrimLeft(page.MaxID.String(), "0"):
			t.Errorf("%q asks for %+v", query, page)
		}
		r.URL.RawQuery = "before=" + page.MaxID.String()
		if again, err := before(e.NewContext(r, httptest.NewRecorder())); err != nil || again.MaxID != page.MaxID {
			t.Errorf("%q goes on with %+v, %v", query, again, err)
		}
	})
}
