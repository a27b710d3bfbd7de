package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"planet/activitypub"
	"planet/storage"
)

type migrateCmd struct {
	DryRun bool `help:"Only say what would be done."`
	JSON   bool `help:"Print JSON."`
}

func (migrateCmd) Help() string { return "Example: planet migrate --dry-run" }

func (cmd migrateCmd) Run(c *app) error {
	db, err := openDB(c.ctx, c.cfg, c.cfg.logger(c.stderr))
	if err != nil {
		return err
	}
	defer db.Close()
	pending, err := db.Pending(c.ctx)
	if err != nil {
		return err
	}
	if !cmd.DryRun {
		if err := db.Migrate(c.ctx); err != nil {
			return err
		}
	}
	if cmd.JSON {
		return c.json(struct {
			Pending []string `json:"pending"`
			Done    bool     `json:"done"`
		}{append([]string{}, pending...), !cmd.DryRun})
	}
	switch {
	case len(pending) == 0:
		c.say("the database is up to date")
	case cmd.DryRun:
		c.say("waiting: %s", strings.Join(pending, ", "))
	default:
		c.say("done: %s", strings.Join(pending, ", "))
	}
	return nil
}

type doctorCmd struct {
	JSON bool `help:"Print JSON."`
}

func (doctorCmd) Help() string {
	return "Exits with 1 when something is wrong.\n\nExample: planet doctor"
}

// symptom is one thing that the doctor looked at.
type symptom struct {
	What  string `json:"what"`
	State string `json:"state"` // good, warn or bad
	Says  string `json:"says"`
}

func (cmd doctorCmd) Run(c *app) error {
	found := c.examine()
	bad := 0
	for _, s := range found {
		if s.State == "bad" {
			bad++
		}
	}
	if cmd.JSON {
		if err := c.json(found); err != nil {
			return err
		}
	} else {
		t := c.table("STATE", "WHAT", "SAYS")
		for _, s := range found {
			t.row(s.State, s.What, s.Says)
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d things are wrong", bad, len(found))
	}
	return nil
}

// examine looks at everything that can be seen without the network, and changes nothing.
func (c *app) examine() []symptom {
	var found []symptom
	note := func(what string, err error, says string) bool {
		s := symptom{What: what, State: "good", Says: says}
		if err != nil {
			s.State, s.Says = "bad", err.Error()
		}
		found = append(found, s)
		return err == nil
	}
	warn := func(what, says string) { found = append(found, symptom{What: what, State: "warn", Says: says}) }

	if _, err := os.Stat(c.cfg.Data); err != nil {
		note("data directory", fmt.Errorf("%s: %w; planet serve makes it", c.cfg.Data, reason(err)), "")
		return found
	}
	if !note("data directory", makeDataDir(c.cfg.Data), c.cfg.Data) {
		return found
	}
	if free, ok := freeSpace(c.cfg.Data); !ok {
		warn("disk", "the free space cannot be read on this system")
	} else if text := fmt.Sprintf("%d MiB free", free>>20); free < 256<<20 {
		warn("disk", text+": a node needs room to write")
	} else {
		note("disk", nil, text)
	}
	db, err := openDB(c.ctx, c.cfg, c.cfg.logger(c.stderr))
	if !note("database", err, masked(c.cfg.Database)) {
		return found
	}
	defer db.Close()
	version, err := db.Version(c.ctx)
	note("database version", err, version)
	note("database pages", db.Check(c.ctx), "sound")
	pending, err := db.Pending(c.ctx)
	if err == nil && len(pending) > 0 {
		err = fmt.Errorf("%d wait: run planet migrate", len(pending))
	}
	if !note("migrations", err, "none wait") {
		return found
	}
	origin, err := db.Setting(c.ctx, "origin")
	switch {
	case errors.Is(err, storage.ErrNotFound):
		warn("origin", c.cfg.Origin+": not written down yet; the first start does it")
	case err == nil && origin != c.cfg.Origin:
		note("origin", fmt.Errorf("the database belongs to %s, the settings say %s", origin, c.cfg.Origin), "")
	default:
		note("origin", err, origin)
	}
	switch made, restored, err := db.Restored(c.ctx); {
	case err != nil:
		note("restored", err, "")
	case restored:
		warn("restored", fmt.Sprintf("from a backup made at %s UTC, not yet confirmed: what was paid after that is not known here", stamp(&made)))
	}
	switch cs, err := db.Currencies(c.ctx); {
	case err != nil:
		note("currencies", err, "")
	case len(cs) > 0:
		frozen := 0
		for _, cur := range cs {
			if cur.Frozen != "" {
				frozen++
				note("currency "+cur.Book.Code, fmt.Errorf("frozen: %s (see planet ledger verify, planet ledger resume)", cur.Frozen), "")
			}
		}
		if frozen == 0 {
			note("currencies", nil, fmt.Sprintf("%d, none is frozen", len(cs)))
		}
	}
	owned, err := db.HasOwner(c.ctx)
	if err == nil && !owned {
		warn("owner", "there is none yet: open the link that planet serve prints, or planet user create NAME --admin")
	} else {
		note("owner", err, "there is one")
	}
	ds, err := db.Deliveries(c.ctx, storage.DeliveryDead, 1000)
	if err == nil && len(ds) > 0 {
		warn("deliveries", fmt.Sprintf("%d were given up: see planet queue", len(ds)))
	} else {
		note("deliveries", err, "none were given up")
	}
	js, err := db.DeadJobs(c.ctx, 1000)
	if err == nil && len(js) > 0 {
		warn("jobs", fmt.Sprintf("%d were given up: see planet queue jobs --dead", len(js)))
	} else {
		note("jobs", err, "none were given up")
	}
	if c.running(db.Now()) {
		note("node", nil, "running")
	} else {
		warn("node", "not running on this data directory")
	}
	return found
}

type keysCmd struct {
	Rotate keysRotateCmd `cmd:"" help:"Give an actor new keys and tell its followers."`
}

type keysRotateCmd struct {
	Name string `arg:"" help:"The person or co-op."`
}

func (keysRotateCmd) Help() string { return "Example: planet keys rotate bakery" }

func (cmd keysRotateCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.actor(n.DB, cmd.Name)
		if err != nil {
			return err
		}
		if err := n.RotateKeys(c.ctx, activitypub.By{Actor: a}); err != nil {
			return err
		}
		c.say("%s has new keys%s", a.Username, c.queued(n.DB))
		return nil
	})
}

type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

func (versionCmd) Help() string { return "Example: planet version" }

func (cmd versionCmd) Run(c *app) error {
	if cmd.JSON {
		return c.json(struct {
			Version string `json:"version"`
			Go      string `json:"go"`
			OS      string `json:"os"`
			Arch    string `json:"arch"`
		}{version(), runtime.Version(), runtime.GOOS, runtime.GOARCH})
	}
	c.say("planet %s (%s, %s/%s)", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// version is the tag of the build, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "0.0.0-dev+" + s.Value[:12]
		}
	}
	return "0.0.0-dev"
}

// freeSpace is the room that the data directory's file system has left, in bytes; false when it cannot be read.
func freeSpace(dir string) (uint64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return uint64(st.Bavail) * uint64(st.Bsize), true
}
