package web

import (
	"context"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
)

// documents are the addresses that only other servers ask: net/http from here on, echo does not enter activitypub.
var documents = []string{
	"/inbox", "/activities/*",
	"/users/*", // what hangs below an actor or a post; both themselves negotiate
	"/offers/*", "/agreements/*", "/receipts/*", "/requests/*",
	"/actor", "/actor/*", "/ledger", "/ledger/*",
	"/.well-known/*", "/nodeinfo/*",
}

// routes is every address of the node.
func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.fail
	e.IPExtractor = s.clientAddress()
	e.Pre(s.trimSlash, s.cors)
	e.Use(s.observe, s.secureHeaders, s.recoverPanic(), s.refuseWhenStopping, s.checkHost, s.limitRate)

	read := []string{http.MethodGet, http.MethodHead}
	e.Match(read, "/healthz", s.healthz)
	e.Match(read, "/readyz", s.readyz)
	e.Match(read, "/metrics", s.metrics)

	for _, at := range documents {
		e.Any(at, echo.WrapHandler(s.Node.Handler()))
	}
	for _, at := range []string{"/users/:name", "/@:name", "/%40:name"} { // some apps escape the @ in what they share
		e.Match(read, at, s.negotiate(s.pages.Profile))
	}
	for _, at := range []string{"/users/:name/statuses/:id", "/@:name/:id", "/%40:name/:id"} {
		e.Match(read, at, s.negotiate(s.pages.Post))
	}
	e.Match(read, "/offers/:id", s.offer)
	e.Match(read, "/currencies/*", s.currency)
	e.Match(read, "/media/:name", s.media)
	e.Match(read, "/media/remote/:mac/:address", s.remoteMedia)
	s.oauth.Register(e)
	s.economy.Register(e)
	s.api.Register(e)
	s.pages.Register(e)
	return e
}

// Only these can be in a canonical address: anything else is no actor and no post of ours.
var (
	names = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,255}$`)
	ids   = regexp.MustCompile(`^[0-9]{1,19}$`)
)

// negotiate answers an address that people and servers share: a page, or the ActivityPub document of the same actor or post
// (federation.md §7.5). The document is asked for by its canonical path; RequestURI stays what the sender signed.
func (s *Server) negotiate(page echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		c.Response().Header().Set("Vary", "Accept, Signature")
		if !activitypub.WantsActivity(accept(r)) {
			return page(c)
		}
		name, id := c.Param("name"), c.Param("id")
		if !names.MatchString(name) || id != "" && !ids.MatchString(id) {
			return echo.ErrNotFound
		}
		path := "/users/" + name
		if id != "" {
			path += "/statuses/" + id
		}
		if r.URL.Path != path || r.URL.RawPath != "" {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = path, ""
		}
		s.Node.Handler().ServeHTTP(c.Response(), r)
		return nil
	}
}

// offer answers with an offer's document, and sends a browser to the page of its Note.
func (s *Server) offer(c echo.Context) error {
	c.Response().Header().Set("Vary", "Accept, Signature")
	id := c.Param("id")
	if !ids.MatchString(id) {
		return echo.ErrNotFound
	}
	if activitypub.WantsActivity(accept(c.Request())) {
		s.Node.Handler().ServeHTTP(c.Response(), c.Request())
		return nil
	}
	page, err := s.Node.OfferPage(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, page)
}

// currency answers with the page of a currency, its document, or a part of its log.
func (s *Server) currency(c echo.Context) error {
	if strings.Contains(c.Param("*"), "/") {
		s.Node.Handler().ServeHTTP(c.Response(), c.Request())
		return nil
	}
	c.Response().Header().Set("Vary", "Accept, Signature")
	if !activitypub.WantsActivity(accept(c.Request())) {
		return s.pages.Currency(c)
	}
	s.Node.Handler().ServeHTTP(c.Response(), c.Request())
	return nil
}

// healthz says that the process answers.
func (s *Server) healthz(c echo.Context) error { return plain(c, http.StatusOK, "ok\n") }

// readyz says whether the node can serve: its database answers, and no stop was asked for.
func (s *Server) readyz(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
	defer cancel()
	switch _, err := s.DB.Setting(ctx, "origin"); {
	case s.draining.Load():
		return plain(c, http.StatusServiceUnavailable, "stopping\n")
	case err != nil:
		s.Log.Error("readiness", "err", err)
		return plain(c, http.StatusServiceUnavailable, "the database does not answer\n")
	default:
		return plain(c, http.StatusOK, "ready\n")
	}
}

// metrics is for a collector on this machine. For everybody else, and for whatever came through a proxy, it is not there.
func (s *Server) metrics(c echo.Context) error {
	r := c.Request()
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() || !loopbackName(r.Host) || proxied(r.Header) {
		return echo.ErrNotFound
	}
	c.Response().Header().Set(echo.HeaderContentType, "text/plain; version=0.0.4; charset=utf-8")
	c.Response().Header().Set("Cache-Control", "no-store")
	c.Response().WriteHeader(http.StatusOK)
	return s.counts.write(c.Response(), s.Version, s.Node.Counts())
}

func plain(c echo.Context, status int, text string) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.String(status, text)
}
