package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/backup"
)

// openDB opens the database of the settings, which may be new. It does not migrate.
func openDB(ctx context.Context, cfg *Config, log *slog.Logger) (*storage.DB, error) {
	if err := makeDataDir(cfg.Data); err != nil {
		return nil, err
	}
	if err := backup.Finished(cfg.Data, cfg.Database); err != nil {
		return nil, err
	}
	db, err := storage.Open(ctx, storage.Config{DSN: cfg.Database, Log: log})
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", masked(cfg.Database), err)
	}
	return db, nil
}

// makeDataDir makes sure that the data directory is there, is ours to write in, and is nobody else's to read.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data directory %s cannot be made: %w", dir, reason(err))
	}
	st, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if !st.IsDir() {
		return fmt.Errorf("data directory %s is a file", dir)
	}
	if st.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("data directory %s may be read by others, and that cannot be changed: %w", dir, reason(err))
		}
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("data directory %s cannot be written to: %w", dir, reason(err))
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// reason drops the operation and path that a file error repeats.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// withDB runs a command on the database. A new database is made ready; an old one must be migrated by whoever runs the node, since
// the node may be running as an older version.
func (c *app) withDB(f func(db *storage.DB) error) error {
	db, err := openDB(c.ctx, c.cfg, c.cfg.logger(c.stderr))
	if err != nil {
		return err
	}
	defer db.Close()
	pending, err := db.Pending(c.ctx)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		_, err := os.Stat(filepath.Join(c.cfg.Data, nodeFile))
		if err == nil {
			return fmt.Errorf("the database waits for %d migrations: run planet migrate, or start this version of the node", len(pending))
		}
		if err := db.Migrate(c.ctx); err != nil {
			return err
		}
	}
	return f(db)
}

// withNode runs a command as the node, beside the running one if there is one: what it has to deliver it leaves in the queue.
func (c *app) withNode(f func(n *activitypub.Node) error) error {
	return c.withDB(func(db *storage.DB) error {
		n, err := makeNode(c.ctx, c.cfg, db, c.cfg.logger(c.stderr))
		if err != nil {
			return err
		}
		return f(n)
	})
}

// The running node keeps a file in the data directory and touches it, so that commands can say whether what they queue is
// delivered now or at the next start. A node that crashed is believed for as long as runningFor.
const (
	nodeFile   = "node"
	touchEvery = 10 * time.Second
	runningFor = 30 * time.Second
)

// keepAlive touches the node file until ctx ends, then marks it as stopped.
func keepAlive(ctx context.Context, dir string) error {
	path := filepath.Join(dir, nodeFile)
	defer os.WriteFile(path, []byte("stopped\n"), 0o600)
	for {
		if err := os.WriteFile(path, []byte("running\n"), 0o600); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(touchEvery):
		}
	}
}

// running reports whether a node serves this data directory.
func (c *app) running(now time.Time) bool {
	path := filepath.Join(c.cfg.Data, nodeFile)
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "running") {
		return false
	}
	st, err := os.Stat(path)
	return err == nil && now.Sub(st.ModTime()) < runningFor
}

// queued is what a command adds to its line when it left deliveries that nobody carries out yet.
func (c *app) queued(db *storage.DB) string {
	if c.running(db.Now()) {
		return ""
	}
	return " (no node is running here: what is to be delivered waits for planet serve)"
}

// actor finds an actor of this node by name; "@name" will do.
func (c *app) actor(db *storage.DB, name string) (*storage.Actor, error) {
	a, err := db.LocalActor(c.ctx, strings.TrimPrefix(name, "@"))
	if errors.Is(err, storage.ErrNotFound) || err == nil && a.DeletedAt != nil {
		return nil, fmt.Errorf("nobody on this node is called %q", name)
	}
	return a, err
}

// anyone finds an actor here or elsewhere by handle or address. Who is known is found without asking her server, which may be
// away, blocked, or no more.
func (c *app) anyone(n *activitypub.Node, whom string) (*storage.Actor, error) {
	var a *storage.Actor
	err := storage.ErrNotFound
	if name, host, at := strings.Cut(strings.TrimPrefix(whom, "@"), "@"); strings.Contains(whom, "://") {
		a, err = n.DB.ActorByIRI(c.ctx, storage.IRI(whom))
	} else if at && host != n.Host {
		a, err = n.DB.ActorByHandle(c.ctx, name, host)
	}
	if err == nil && a.DeletedAt == nil || err != nil && !errors.Is(err, storage.ErrNotFound) {
		return a, err
	}
	return n.Resolve(c.ctx, whom)
}

// user finds a person of this node by name.
func (c *app) user(db *storage.DB, name string) (*storage.User, error) {
	u, err := db.UserByName(c.ctx, strings.TrimPrefix(name, "@"))
	if err == nil {
		var gone bool
		if gone, err = c.gone(db, u); err == nil && gone {
			err = storage.ErrNotFound
		}
	}
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("no person on this node is called %q", name)
	}
	return u, err
}

// gone reports whether a person's account was deleted; her row stays, so that nobody else gets her name.
func (c *app) gone(db *storage.DB, u *storage.User) (bool, error) {
	a, err := db.ActorByID(c.ctx, u.ActorID)
	return err == nil && a.DeletedAt != nil, err
}

// coop finds a co-op of this node by name.
func (c *app) coop(db *storage.DB, name string) (*storage.Actor, error) {
	a, err := c.actor(db, name)
	if err != nil {
		return nil, err
	}
	if a.Type != storage.Organization {
		return nil, fmt.Errorf("%s is not a co-op", a.Username)
	}
	return a, nil
}

// host is the node's name in handles.
func (c *app) host() string {
	_, host, _ := strings.Cut(c.cfg.Origin, "://")
	return host
}

// stamp shows a time to people, to the second; nil is "".
func stamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// inUse reports whether listening failed because another process has the port.
func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }
