package web

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/time/rate"

	"planet/activitypub"
	"planet/web/oauth"
)

// observe gives each request an id, and writes its line and its numbers when it has been answered. The line names the route
// and the path, but for routes that carry a code; never the query, a body, a token or an address.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := requestID()
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		start := s.DB.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		took := s.DB.Now().Sub(start)
		r, status := c.Request(), c.Response().Status
		s.counts.observe(c.Path(), r.Method, status, took)
		path := r.URL.Path
		if path = withoutCode(path); secretRoute(c.Path()) {
			path = c.Path()
		}
		level := slog.LevelInfo
		if operational(c.Path()) {
			level = slog.LevelDebug // probes ask every few seconds
		}
		s.Log.Log(r.Context(), level, "request", "id", id, "method", r.Method, "path", path, "status", status, "bytes", c.Response().Size, "took", took)
		return nil
	}
}

func requestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

// secretRoute reports whether a route's path holds something that only its reader may know.
func secretRoute(route string) bool { return strings.Contains(route, ":code") }

// withoutCode is a path that is to be logged, also one of no route: a link that was copied with a slash too many still opens what it opens.
func withoutCode(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts[:len(parts)-1] {
		if slices.Contains([]string{"setup", "invite", "pay"}, strings.ToLower(part)) {
			return strings.Join(parts[:i+1], "/") + "/…"
		}
	}
	return path
}

// operational are the addresses for whoever runs the node; they answer by any name.
func operational(route string) bool {
	return route == "/healthz" || route == "/readyz" || route == "/metrics"
}

// contentPolicy lets a page load our own images and styles, send forms to us, and nothing else: no script at all.
const contentPolicy = "default-src 'none'; img-src 'self'; style-src 'self'; manifest-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; object-src 'none'"

// secureHeaders are on every answer, errors too (security.md XSS 188). The referrer stays on this site: with no-referrer
// browsers would send "Origin: null" along with our own forms.
func (s *Server) secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), browsing-topics=()")
		if strings.HasPrefix(s.Origin, "https://") {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		// net/http takes a body in chunks that gives its length too, and a proxy may have believed the length: what stands behind it is nobody's next request (RFC 9112 §6.1).
		if len(c.Request().TransferEncoding) > 0 {
			h.Set("Connection", "close")
		}
		return next(c)
	}
}

// trimSlash takes the slash from the end of an address of the API: Mastodon.py asks for /api/v1/instance/ and toot for /oauth/authorize/,
// and both give up on anything but an answer.
func (s *Server) trimSlash(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u := c.Request().URL
		if (strings.HasPrefix(u.Path, "/api/") || strings.HasPrefix(u.Path, "/oauth/")) && strings.HasSuffix(u.Path, "/") {
			u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
		}
		return next(c)
	}
}

// forScripts reports whether pages of other sites may read an address: clients that run in a browser. None of it is answered by a cookie.
func forScripts(path string) bool {
	for _, prefix := range []string{"/api/", "/.well-known/", "/nodeinfo/", "/media/"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	if strings.HasPrefix(path, "/static/") && strings.HasSuffix(path, ".png") { // who has no face is shown with ours
		return true
	}
	return path == "/oauth/token" || path == "/oauth/revoke" || path == "/oauth/userinfo"
}

// cors lets scripts of other sites read the API (security.md WEB 262: never with credentials), and answers what browsers ask first. It stands before the routes, so that
// what is not found can be read as well.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, h := c.Request(), c.Response().Header()
		if !forScripts(r.URL.Path) {
			return next(c)
		}
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "Link, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id")
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			return next(c)
		}
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key")
		h.Set("Access-Control-Max-Age", "86400")
		return c.NoContent(http.StatusNoContent)
	}
}

// recoverPanic turns a panic into a 500 and a line with its stack.
func (s *Server) recoverPanic() echo.MiddlewareFunc {
	return middleware.RecoverWithConfig(middleware.RecoverConfig{
		DisableStackAll: true, DisableErrorHandler: true,
		LogErrorFunc: func(c echo.Context, err error, stack []byte) error {
			s.counts.panics.Add(1)
			s.Log.Error("panic", "method", c.Request().Method, "route", c.Path(), "err", err, "stack", string(stack))
			return errPanic
		},
	})
}

// errPanic is what is left of a panic after it was logged.
var errPanic = errors.New("panic")

// checkHost answers only to the origin's own name (security.md ACT 168, WEB 257): a page or an id that was asked for by
// another name would be a lie, and caches would keep it.
func (s *Server) checkHost(next echo.HandlerFunc) echo.HandlerFunc {
	scheme, _, _ := strings.Cut(s.Origin, "://")
	return func(c echo.Context) error {
		if !operational(c.Path()) && trimPort(scheme, c.Request().Host) != s.host {
			return &activitypub.Problem{Status: http.StatusMisdirectedRequest, Code: "host", Detail: "This node answers at " + s.Origin + " only."}
		}
		return next(c)
	}
}

// clientAddress says who asks: the nearest address that is not a trusted proxy's. Without trusted proxies headers do not
// count; echo's own default would believe anybody (GHSA-246p-cpwv-v3jq).
func (s *Server) clientAddress() echo.IPExtractor {
	if len(s.TrustedProxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range s.TrustedProxies {
		trust = append(trust, echo.TrustIPRange(&net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// loopbackName reports whether a Host header names this very machine.
func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return addr.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// proxied reports whether a request says that it was passed on.
func proxied(h http.Header) bool {
	return slices.ContainsFunc([]string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"},
		func(name string) bool { return len(h[name]) > 0 })
}

// quota is how much one client may ask of one kind of address.
type quota struct {
	kind  string
	every rate.Limit // tokens a second
	burst int
}

// A server with many people on it sends many documents; a person reads few pages, and signs up once.
var (
	quotaDocuments = quota{"documents", 50, 1000}
	quotaPages     = quota{"pages", 10, 200}
	quotaForms     = quota{"forms", 0.2, 20}
	quotaMedia     = quota{"media", 50, 1000} // one page may show a hundred pictures
	quotaAPI       = quota{"api", 10, 600}    // a family behind one address, with several apps each
)

// What one app, or one address without a token, may ask of the API: Mastodon's numbers, which apps are made for.
var (
	quotaToken     = quota{"token", 1, 300}               // 300 in five minutes
	quotaNobody    = quota{"nobody", 1, 300}              // likewise
	quotaUpload    = quota{"upload", 30.0 / 1800, 30}     // 30 in half an hour
	quotaTakenBack = quota{"taken back", 30.0 / 1800, 30} // likewise: each goes out to other servers
	quotaSignUp    = quota{"sign-up", 5.0 / 1800, 5}      // 5 in half an hour
)

// claim is a quota that a request has to find room in, and whose that is.
type claim struct {
	quota
	whose string // a network, or the hash of a token
}

// claims are all the quotas of a request.
func claims(c echo.Context) []claim {
	r, from := c.Request(), network(c.RealIP()).String()
	if !strings.HasPrefix(r.URL.Path, "/api/") || c.Path() == "/api/v1/apps" {
		return []claim{{quotaOf(c), from}}
	}
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") || token == "" {
		return []claim{{quotaNobody, from}}
	}
	whose := oauth.Hash(strings.TrimSpace(token))
	all := []claim{{quotaAPI, from}, {quotaToken, whose}}
	switch r.Method + " " + c.Path() {
	case "POST /api/v1/media", "POST /api/v2/media":
		all = append(all, claim{quotaUpload, whose})
	case "DELETE /api/v1/statuses/:id", "POST /api/v1/statuses/:id/unreblog":
		all = append(all, claim{quotaTakenBack, whose})
	case "POST /api/v1/accounts":
		all = append(all, claim{quotaSignUp, from})
	}
	return all
}

func quotaOf(c echo.Context) quota {
	switch route := c.Path(); {
	case secretRoute(route) || c.Request().Method == http.MethodPost && !slices.Contains(documents, route):
		return quotaForms
	case strings.HasPrefix(route, "/media/"):
		return quotaMedia
	case slices.Contains(documents, route) || activitypub.WantsActivity(accept(c.Request())):
		return quotaDocuments
	default:
		return quotaPages
	}
}

// refuseWhenStopping answers 503 to whoever comes after a stop was asked for, so that other servers send it again; it also counts
// those whom the stop waits for.
func (s *Server) refuseWhenStopping(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if operational(c.Path()) {
			return next(c)
		}
		if s.draining.Load() {
			return errStopping
		}
		s.serving.Add(1)
		defer s.serving.Add(-1)
		return next(c)
	}
}

var errStopping = &activitypub.Problem{Status: http.StatusServiceUnavailable, Code: "stopping", Detail: "This node is being stopped or restarted. Try again in a minute."}

// limitRate refuses a client that asks too much with 429, and says when to come again.
func (s *Server) limitRate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !s.RateLimit || operational(c.Path()) {
			return next(c)
		}
		h, least := c.Response().Header(), -1
		for _, claim := range claims(c) {
			wait, left, full := s.limits.take(claim.whose, claim.quota)
			if wait > 0 {
				s.counts.limited.Add(1)
				limited(h, claim.quota, 0, s.DB.Now().Add(wait))
				return &limitError{wait}
			}
			if least < 0 || left < least { // the one that will be empty first
				least = left
				if strings.HasPrefix(c.Request().URL.Path, "/api/") {
					limited(h, claim.quota, left, s.DB.Now().Add(full))
				}
			}
		}
		return next(c)
	}
}

// limited says how much more a client may ask, and when all of it again or, with nothing left, the next.
func limited(h http.Header, q quota, left int, reset time.Time) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(q.burst))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(left))
	h.Set("X-RateLimit-Reset", reset.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// limitError says for how long a client had better wait.
type limitError struct{ wait time.Duration }

func (e *limitError) Error() string {
	return fmt.Sprintf("too many requests, wait %s", e.wait.Round(time.Second))
}

// limits remembers the clients of the last minutes: never more than maxClients, so that a flood of addresses cannot fill
// the memory.
type limits struct {
	now func() time.Time

	mu      sync.Mutex
	clients map[client]*bucket
	swept   time.Time
}

const (
	maxClients = 50_000
	sweepEvery = time.Minute
	idleClient = 40 * time.Minute // longer than any bucket takes to fill
)

// client is who asks for one kind of address: a network (an IPv4 address, or the /64 that one IPv6 customer has), or an app.
type client struct{ whose, kind string }

type bucket struct {
	*rate.Limiter
	seen time.Time
}

func newLimits(now func() time.Time) *limits {
	return &limits{now: now, clients: map[client]*bucket{}, swept: now()}
}

// take takes one token; when there is none it says how long it takes until there is one. It also says how many are left, and how long it takes until there are all again.
// Addresses that cannot be read share one bucket.
func (l *limits) take(whose string, q quota) (wait time.Duration, left int, full time.Duration) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.swept) >= sweepEvery {
		l.swept = now
		for k, b := range l.clients {
			if now.Sub(b.seen) >= idleClient {
				delete(l.clients, k)
			}
		}
	}
	key := client{whose, q.kind}
	b := l.clients[key]
	if b == nil {
		if len(l.clients) >= maxClients {
			for k := range l.clients { // any one: the order of a map is random
				delete(l.clients, k)
				break
			}
		}
		b = &bucket{Limiter: rate.NewLimiter(q.every, q.burst)}
		l.clients[key] = b
	}
	b.seen = now
	span := func(tokens float64) time.Duration {
		return time.Duration(tokens / float64(q.every) * float64(time.Second))
	}
	if b.AllowN(now, 1) {
		there := max(b.TokensAt(now), 0)
		return 0, int(there), span(float64(q.burst) - there)
	}
	return max(span(1-b.TokensAt(now)), time.Second), 0, 0
}

func network(address string) netip.Prefix {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // bits fit by construction
	return p
}
