package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"golang.org/x/sync/errgroup"

	"planet/activitypub"
	"planet/storage"
	"planet/web"
)

type serveCmd struct{}

// gcPercent spends memory on time: a node's heap is a few megabytes, and under load Go's own 100 would collect it dozens of
// times a second (docs/performance.md). GOGC overrides it.
const gcPercent = 300

func (serveCmd) Help() string {
	return `The first start makes the data directory, the database and the node's keys, and prints a link that makes the first
administrator. The first Ctrl-C or SIGTERM lets requests and deliveries under way finish; the second ends at once.

Example: planet serve --origin https://coop.example --listen localhost:8080 --data /var/lib/planet`
}

// Run serves one node until a signal comes or something breaks.
func (serveCmd) Run(c *app) error {
	log := c.cfg.logger(c.stderr)
	s, err := c.start(c.cfg, log)
	if err != nil {
		return err
	}
	defer s.close()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	link, err := s.setupLink(c.ctx)
	if err != nil {
		return err
	}
	c.say("planet %s serves %s on %s, data in %s", version(), c.cfg.Origin, s.listener.Addr(), filepath.Clean(c.cfg.Data))
	if link != "" {
		c.say("Open this once to become the first administrator: %s", link)
	}
	if _, port, _ := net.SplitHostPort(c.cfg.Listen); strings.HasPrefix(c.cfg.Origin, "http://") && !strings.HasSuffix(c.cfg.Origin, ":"+port) {
		log.Warn("the origin has another port than the address to listen on: other nodes will not find this one", "origin", c.cfg.Origin, "listen", c.cfg.Listen)
	}
	if err := s.run(c.ctx); err != nil {
		return err
	}
	c.say("stopped")
	return nil
}

// serving is one node that listens already; run makes it answer.
type serving struct {
	cfg      *Config
	log      *slog.Logger
	db       *storage.DB
	node     *activitypub.Node
	listener net.Listener
	web      *web.Server
}

// start opens and wires everything in order: database, migrations, node, pages, port.
func (c *app) start(cfg *Config, log *slog.Logger) (s *serving, err error) {
	// The port first: two nodes on one machine usually means one too many, and that is best said before anything is touched.
	listener, err := net.Listen("tcp", cfg.Listen)
	if inUse(err) {
		return nil, fmt.Errorf("%s is in use: another node or program listens there; stop it, or choose another address with --listen and --origin", cfg.Listen)
	} else if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	s = &serving{cfg: cfg, log: log, listener: listener}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.db, err = openDB(c.ctx, cfg, log); err != nil {
		return s, err
	}
	if err := s.db.Migrate(c.ctx); err != nil {
		return s, err
	}
	if s.node, err = makeNode(c.ctx, cfg, s.db, log); err != nil {
		return s, err
	}
	// A book that is damaged is frozen; the rest of the node goes on.
	damaged, err := s.db.CheckBooks(c.ctx)
	if err != nil {
		return s, err
	}
	for _, d := range damaged {
		log.Error("MONEY: a book is damaged, and frozen: nothing is paid in it any more; see docs/operating.md, Money", "currency", d.Code, "damage", d.Error())
	}
	proxies, err := prefixes("trusted_proxies", cfg.TrustedProxies)
	if err != nil {
		return s, err
	}
	s.web, err = web.New(web.Config{Node: s.node, DB: s.db, Origin: cfg.Origin, Listen: cfg.Listen, TrustedProxies: proxies,
		RateLimit: cfg.RateLimit == "on", Log: log, Version: version(), Signup: cfg.Signup, SetupCode: s.setupCode})
	return s, err
}

// makeNode makes the node of the settings on a migrated database.
func makeNode(ctx context.Context, cfg *Config, db *storage.DB, log *slog.Logger) (*activitypub.Node, error) {
	nets, err := prefixes("allow_nets", cfg.AllowNets)
	if err != nil {
		return nil, err
	}
	ca, err := cfg.extraCA()
	if err != nil {
		return nil, err
	}
	client, err := activitypub.NewClient(activitypub.ClientConfig{Origin: cfg.Origin, Version: version(), AllowNets: nets, ExtraCA: ca, Now: db.Now, Log: log})
	if err != nil {
		return nil, err
	}
	cache, err := parseSize(cfg.MediaCache)
	if err != nil {
		return nil, err
	}
	return activitypub.New(ctx, activitypub.Config{Origin: cfg.Origin, DB: db, Keys: cfg.keys, Client: client, Log: log, RateLimit: cfg.RateLimit == "on",
		AuthorizedFetch: cfg.AuthorizedFetch == "on", Federation: cfg.Federation, Version: version(), SignupOpen: cfg.Signup == "open",
		MediaDir: filepath.Join(cfg.Data, "media"), MediaCacheDir: filepath.Join(cfg.Data, "cache", "media"), MediaCache: cache})
}

// run answers requests and does the node's work until ctx ends or a part of it fails; then all parts end in order.
func (s *serving) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.node.Run(ctx) })
	g.Go(func() error { return s.web.PushLoop(ctx) })
	g.Go(func() error { return keepAlive(ctx, s.cfg.Data) })
	g.Go(func() error { return s.db.Watch(ctx) })
	g.Go(func() error { return s.web.Serve(ctx, s.listener) })
	return g.Wait()
}

// close gives back what start took.
func (s *serving) close() {
	if s.listener != nil {
		s.listener.Close()
	}
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			s.log.Error("close the database", "err", err)
		}
	}
}

// setupKey is the setting that holds the code of the one-time link, until the node has an owner.
const setupKey = "setup_code"

// setupLink makes the link that makes the first administrator; "" when there is one. It stays the same until it was used.
func (s *serving) setupLink(ctx context.Context) (string, error) {
	var code string
	err := s.db.Transaction(ctx, func(tx *storage.DB) error {
		code = ""
		owned, err := tx.HasOwner(ctx)
		if err != nil || owned {
			return err
		}
		if code, err = tx.Setting(ctx, setupKey); err == nil && code != "" {
			return nil
		} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		code = newSecret()
		return tx.SetSetting(ctx, setupKey, code)
	})
	if err != nil || code == "" {
		return "", err
	}
	return s.cfg.Origin + "/setup/" + code, nil
}

// setupCode is the code of the one-time link, or "" once the node has an owner, however she came.
func (s *serving) setupCode(ctx context.Context) (string, error) {
	owned, err := s.db.HasOwner(ctx)
	if err != nil || owned {
		return "", err
	}
	return s.db.Setting(ctx, setupKey)
}
