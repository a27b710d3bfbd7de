// Package web serves a node to people, apps and other servers over HTTP.
//
// What other servers ask goes to activitypub's own handler untouched; everything else is a page (web/pages) or, later, an
// API. routes.go is the table of addresses and holds the one content negotiation; errors.go is the one table from errors to
// answers. The origin comes from the settings, never from a request: neither Host nor X-Forwarded-* makes a link.
package web

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
	"planet/web/economy"
	"planet/web/mastodon"
	"planet/web/oauth"
	"planet/web/pages"
)

// How long a client may take, and how long a stop waits for those that are being served.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	writeTimeout      = 2 * time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	drainFor          = 20 * time.Second
)

// Config is what a Server needs to run.
type Config struct {
	Node           *activitypub.Node
	DB             *storage.DB
	Origin         string         // scheme and host, as the node has it
	Listen         string         // host:port for Run
	TrustedProxies []netip.Prefix // whose X-Forwarded-For counts; none: the connection's address is the client's
	RateLimit      bool           // bound what one client address may ask
	Log            *slog.Logger   // nil: the default one
	Version        string
	Signup         string // closed, invite, approval or open; "" is invite
	// SetupCode is the one-time code of the link that makes the first administrator: "" or storage.ErrNotFound when there is
	// none (any more). nil: there never is one.
	SetupCode func(ctx context.Context) (string, error)
}

// Server answers HTTP for one node.
type Server struct {
	Config
	host     string // of the origin, lower case, without the scheme's own port
	echo     *echo.Echo
	oauth    *oauth.Server
	api      *mastodon.API
	economy  *economy.API
	pages    *pages.Pages
	counts   *counters
	limits   *limits
	serving  atomic.Int64 // requests that are being answered, but for those of operational
	draining atomic.Bool  // a stop was asked for; set by Serve
}

// New makes a server. It opens nothing: see Run, Serve and Handler.
func New(c Config) (*Server, error) {
	if c.Node == nil || c.DB == nil {
		return nil, errors.New("web: a node and its database are needed")
	}
	scheme, host, ok := strings.Cut(c.Origin, "://")
	if !ok || host == "" || strings.ContainsAny(host, "/?#@") {
		return nil, fmt.Errorf("web: the origin %q is not a scheme and a host", c.Origin)
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Signup == "" {
		c.Signup = "invite"
	}
	auth := &oauth.Server{DB: c.DB, Origin: c.Origin, VapidKey: c.Node.VapidKey(), MaySpeak: c.Node.MaySpeak}
	p, err := pages.New(pages.Config{
		Node: c.Node, DB: c.DB, Origin: c.Origin, Version: c.Version, Signup: c.Signup, SetupCode: c.SetupCode, OAuth: auth,
	})
	if err != nil {
		return nil, err
	}
	api := mastodon.New(mastodon.Config{Node: c.Node, DB: c.DB, OAuth: auth, Origin: c.Origin, Version: c.Version, Signup: c.Signup})
	own, err := economy.New(economy.Config{Node: c.Node, DB: c.DB, OAuth: auth, Origin: c.Origin, Version: c.Version})
	if err != nil {
		return nil, err
	}
	s := &Server{api: api, economy: own, Config: c, host: trimPort(scheme, host), oauth: auth, pages: p, counts: newCounters(), limits: newLimits(c.DB.Now)}
	s.echo = s.routes()
	return s, nil
}

// Handler answers every request of the node.
func (s *Server) Handler() http.Handler { return s.echo }

// Stop ends what would last for ever: the streams of apps. Serve does it by itself.
func (s *Server) Stop() { s.api.Stop() }

// PushLoop tells apps of notifications until ctx ends.
func (s *Server) PushLoop(ctx context.Context) error { return s.Node.PushLoop(ctx, s.api.PushWords) }

// DoPushes tells apps of every notification that is due now.
func (s *Server) DoPushes(ctx context.Context) error { return s.Node.DoPushes(ctx, s.api.PushWords) }

// Run listens on Config.Listen and serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.Listen, err)
	}
	return s.Serve(ctx, l)
}

// Serve answers on l until ctx ends. Then it gives the requests that are being answered drainFor to end, and tells whoever comes
// meanwhile to come again (see refuseWhenStopping). It closes l, and returns nil after an orderly stop.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(acceptErrors{s.Log}, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.Stop()
	srv.SetKeepAlivesEnabled(false)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	for s.serving.Load() > 0 && drain.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	err := srv.Shutdown(drain) // one that began in the very moment of the stop is waited for here
	if err != nil {
		s.Log.Warn("requests were cut off", "after", drainFor)
		err = srv.Close()
	}
	<-served // http.ErrServerClosed: the loop has ended
	return err
}

// acceptErrors passes on what net/http complains of only when it is about this machine (no more files, say): its other lines
// are about single clients, and name their addresses.
type acceptErrors struct{ log *slog.Logger }

func (a acceptErrors) Write(line []byte) (int, error) {
	if strings.HasPrefix(string(line), "http: Accept error") {
		a.log.Error("accept", "err", strings.TrimSpace(string(line)))
	}
	return len(line), nil
}

// trimPort takes a scheme's own port from a host, and writes it in lower case.
func trimPort(scheme, host string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "https":
		return strings.TrimSuffix(host, ":443")
	case "http":
		return strings.TrimSuffix(host, ":80")
	}
	return host
}
