// Package pages is what people see of a node with a browser: its home, profiles, posts, and the few forms of somebody who
// has not signed in.
//
// One page is one file with its template beside it. All pages work without scripts, and load nothing from other servers.
// What comes from elsewhere is text to a template, and escaped by it; the one way around that is safeHTML. A page of
// something that is not there looks like the page of something that may not be seen.
package pages

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// Config is what the pages need to be shown.
type Config struct {
	Node      *activitypub.Node
	DB        *storage.DB
	Origin    string
	Version   string
	Signup    string                                    // closed, invite, approval or open
	SetupCode func(ctx context.Context) (string, error) // as in web.Config
	OAuth     *oauth.Server
}

// Pages shows the pages of one node.
type Pages struct {
	Config
	templates map[string]*template.Template // by the file's name without .html
	assets    map[string]asset              // by name
	sameSite  *http.CrossOriginProtection

	joining sync.Mutex // one at a time uses up an invitation, or the setup link

	tries  tries                  // to sign in
	nobody func() (string, error) // the hash of a password that nobody knows, made when it is first needed: that takes 19 MiB for a moment
}

// asset is a file below /static.
type asset struct {
	body        []byte
	contentType string
	version     string // of its content: what is asked for with it may be kept for ever
}

// New reads the templates and the static files; both are part of the program.
func New(c Config) (*Pages, error) {
	p := &Pages{Config: c, templates: map[string]*template.Template{}, assets: map[string]asset{}, sameSite: http.NewCrossOriginProtection()}
	if err := p.readAssets(); err != nil {
		return nil, err
	}
	p.nobody = sync.OnceValues(func() (string, error) { return storage.HashPassword(oauth.NewSecret()) })
	parts, err := template.New("").Funcs(p.words()).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"home", "about", "profile", "post", "offer", "market", "pay", "request", "order", "payment", "tag", "currency", "interact", "continue", "setup", "signin", "authorize", "code", "invite", "welcome", "error"} {
		t, err := parts.Clone()
		if err != nil {
			return nil, err
		}
		if p.templates[name], err = t.ParseFS(templateFiles, "templates/"+name+".html"); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Register adds the routes of the pages; Profile, Post and Currency share theirs with documents, and are added by web/routes.go.
// A route with a :code in it is never logged as it was asked for.
func (p *Pages) Register(e *echo.Echo) {
	for _, r := range []struct {
		path   string
		handle echo.HandlerFunc
	}{
		{"/", p.home},
		{"/about", p.about},
		{"/tags/:name", p.tag},
		{"/offers", p.market},
		{"/needs", p.needs},
		{"/authorize_interaction", p.interact},
		{"/oauth/authorize", p.authorize},
		{"/setup/:code", p.setup},
		{"/invite/:code", p.invite},
		{"/pay/:code", p.pay},
		{"/orders/:id", p.order},
		{"/payments/:id", p.payment},
		{"/static/:name", p.static},
		{"/favicon.ico", p.favicon},
		{"/robots.txt", p.robots},
	} {
		e.Match([]string{http.MethodGet, http.MethodHead}, r.path, r.handle)
	}
	e.POST("/interact", p.continueElsewhere, p.ownForm)
	e.POST("/oauth/authorize", p.authorizeSubmit, p.ownForm)
	e.POST("/setup/:code", p.setupSubmit, p.ownForm)
	e.POST("/invite/:code", p.inviteSubmit, p.ownForm)
	e.POST("/pay/:code", p.paySubmit, p.ownForm)
	e.POST("/orders/:id", p.order, p.ownForm)
	e.POST("/payments/:id", p.payment, p.ownForm)
}

// maxForm bounds a form in bytes.
const maxForm = 64 << 10

// ownForm lets only forms through that were sent from a page of ours, and that are not too long.
func (p *Pages) ownForm(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if err := p.sameSite.Check(r); err != nil {
			return echo.NewHTTPError(http.StatusForbidden).SetInternal(err)
		}
		r.Body = http.MaxBytesReader(c.Response(), r.Body, maxForm)
		var tooLong *http.MaxBytesError
		if err := r.ParseForm(); errors.As(err, &tooLong) {
			return err
		} else if err != nil {
			return echo.NewHTTPError(http.StatusBadRequest).SetInternal(err)
		}
		return next(c)
	}
}

// view is what the layout needs to know of a page.
type view struct {
	Title       string // of the page alone; "" for the node's home
	Description string
	Canonical   string // address of the page; "" when it is not to be shared
	Alternate   string // id of the same thing as an ActivityPub document
	Kind        string // og:type; "" for website
	Image       string // address of a picture for previews; "" for the node's own
	Creator     string // handle for <meta name="fediverse:creator">
	Published   *time.Time
	NoIndex     bool

	Node   site
	Status int
	Body   any // of the page's own template
}

// site is what every page says of the node.
type site struct {
	Name, Host, Origin, Version, Description string
	Signup                                   string
}

// render answers with a page. Nothing is sent before all of it is there.
func (p *Pages) render(c echo.Context, status int, page string, v view) error {
	v.Status = status
	v.Node = site{Name: p.Node.Name, Host: p.Node.Host, Origin: p.Origin, Version: p.Version, Description: p.Node.Description, Signup: p.Signup}
	if status >= http.StatusBadRequest {
		v.Node.Version = "" // security.md WEB 267
	}
	var b bytes.Buffer
	if err := p.templates[page].ExecuteTemplate(&b, "layout", v); err != nil {
		return fmt.Errorf("page %s: %w", page, err)
	}
	h := c.Response().Header()
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache") // what is deleted is gone from browsers, too
	}
	if v.Alternate != "" {
		h.Set("Link", `<`+v.Alternate+`>; rel="alternate"; type="application/activity+json"`)
	}
	return c.HTMLBlob(status, b.Bytes())
}

// Error answers with the page of an error.
func (p *Pages) Error(c echo.Context, status int, detail string) error {
	return p.render(c, status, "error", view{Title: http.StatusText(status), NoIndex: true, Body: detail})
}

// safeHTML marks HTML as fit to be shown. This is the only place where a string goes into a page unescaped: posts, summaries
// and the values of fields, which storage holds as activitypub's sanitiser (html.go) left them, and nothing else.
func safeHTML(sanitised string) template.HTML { return template.HTML(sanitised) }

// words are the functions of the templates.
func (p *Pages) words() template.FuncMap {
	return template.FuncMap{
		"asset": func(name string) string { return "/static/" + name + "?v=" + p.assets[name].version },
		"day":   func(t time.Time) string { return t.UTC().Format("2 Jan 2006") },
		"stamp": func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") },
		"exact": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"month": func(t time.Time) string { return t.UTC().Format("January 2006") },
		"initial": func(names ...string) string { // of the first name that has one
			for _, r := range strings.Join(names, "") {
				if unicode.IsLetter(r) || unicode.IsDigit(r) {
					return string(unicode.ToUpper(r))
				}
			}
			return "·"
		},
		"tint": func(s string) string { // one of six colours, always the same for one name
			sum := sha256.Sum256([]byte(s))
			return fmt.Sprintf("tint-%d", sum[0]%6)
		},
		"count": func(n int64, one, many string) string {
			if n == 1 {
				return "1 " + one
			}
			return grouped(n) + " " + many
		},
		"host": hostOf,
	}
}

// grouped writes a number with narrow spaces between thousands.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && n >= 10_000; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".webmanifest": "application/manifest+json",
}

func (p *Pages) readAssets() error {
	entries, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return err
	}
	for _, e := range entries {
		body, err := fs.ReadFile(staticFiles, "static/"+e.Name())
		if err != nil {
			return err
		}
		kind := contentTypes[path.Ext(e.Name())]
		if kind == "" {
			return fmt.Errorf("static file %s has no content type", e.Name())
		}
		sum := sha256.Sum256(body)
		p.assets[e.Name()] = asset{body, kind, hex.EncodeToString(sum[:6])}
	}
	return nil
}

// static answers from a table of names: no path reaches a file system.
func (p *Pages) static(c echo.Context) error { return p.serveAsset(c, c.Param("name")) }

func (p *Pages) favicon(c echo.Context) error { return p.serveAsset(c, "favicon.ico") }

func (p *Pages) serveAsset(c echo.Context, name string) error {
	a, ok := p.assets[name]
	if !ok {
		return storage.ErrNotFound
	}
	h := c.Response().Header()
	h.Set("Etag", `"`+a.version+`"`)
	h.Set("Cache-Control", "public, max-age=3600")
	if c.QueryParam("v") == a.version {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Content-Type", a.contentType)
	http.ServeContent(c.Response(), c.Request(), name, time.Time{}, bytes.NewReader(a.body))
	return nil
}

// robots keeps crawlers from what is no page to read.
func (p *Pages) robots(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "public, max-age=86400")
	return c.String(http.StatusOK, "User-agent: *\nDisallow: /authorize_interaction\nDisallow: /interact\nDisallow: /oauth/\nDisallow: /setup/\nDisallow: /invite/\nDisallow: /pay/\n")
}
