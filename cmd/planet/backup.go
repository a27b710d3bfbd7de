package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"planet/storage/backup"
)

type backupCmd struct {
	Create backupCreateCmd `cmd:"" default:"withargs" help:"Make a backup (the word create may be left out)."`
	Verify backupVerifyCmd `cmd:"" help:"Say whether a backup is whole and can be restored."`
}

func (backupCmd) Help() string { return "Example: planet backup /var/backups/planet/monday.planet" }

// backupEntry is a backup as --json prints one.
type backupEntry struct {
	File     string    `json:"file"`
	Origin   string    `json:"origin"`
	Time     time.Time `json:"time"`
	Planet   string    `json:"planet"`
	Format   int       `json:"format"`
	Schema   int64     `json:"schema"`
	Bytes    int64     `json:"bytes"` // of what is in it
	Pictures int       `json:"pictures"`
	Missing  []string  `json:"missing"` // pictures whose files were not there when it was made
}

func backupOf(file string, m *backup.Manifest) backupEntry {
	return backupEntry{file, m.Origin, m.Time, m.Planet, m.Format, m.Schema, m.Bytes(), m.Pictures(), append([]string{}, m.Missing...)}
}

// contents says in words what is in a backup.
func contents(m *backup.Manifest) string {
	text := fmt.Sprintf("%s, %d pictures, of %s at %s UTC", size(m.Bytes()), m.Pictures(), m.Origin, stamp(&m.Time))
	if n := len(m.Missing); n > 0 {
		text += fmt.Sprintf("; the files of %d pictures were not there when it was made", n)
	}
	return text
}

type backupCreateCmd struct {
	File string `arg:"" help:"The file to make, which must not be there yet; - is standard output."`
	JSON bool   `help:"Print JSON."`
}

func (backupCreateCmd) Help() string {
	return `Puts database, keys, pictures and, if it lies in the data directory, planet.toml into one file, while the node runs. Whoever has the
file can speak as everyone on this node: guard it. It needs room for the database twice where it is made.

Example: planet backup "/var/backups/planet/$(date +%F).planet"`
}

func (cmd backupCreateCmd) Run(c *app) error {
	if postgres(c.cfg) {
		return fmt.Errorf("the database is PostgreSQL: take it with pg_dump, and then the pictures in %s (docs/operating.md, Backups)", filepath.Join(c.cfg.Data, "media"))
	}
	if _, err := os.Stat(c.cfg.Database); err != nil {
		return fmt.Errorf("there is no node to back up: %s: %w", c.cfg.Database, reason(err))
	}
	db, err := openDB(c.ctx, c.cfg, c.cfg.logger(c.stderr))
	if err != nil {
		return err
	}
	defer db.Close()
	node := backup.Node{DB: db, Data: c.cfg.Data, Planet: version()}
	if cmd.File == "-" {
		if cmd.JSON {
			return usageError{"--json would stand in the middle of the backup: give a file"}
		}
		if terminal(c.stdout) {
			return usageError{"a backup is not for a terminal: name a file, or send it on with |"}
		}
		_, err := backup.Stream(c.ctx, node, c.stdout, c.cfg.Data)
		return err
	}
	m, err := backup.Create(c.ctx, node, cmd.File)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if cmd.JSON {
		return c.json(backupOf(cmd.File, m))
	}
	c.say("made %s: %s", cmd.File, contents(m))
	return nil
}

type backupVerifyCmd struct {
	File string `arg:"" help:"The backup; - is standard input."`
	JSON bool   `help:"Print JSON."`
}

func (backupVerifyCmd) Help() string {
	return `Reads all of it: every member against its SHA-256, every page of the database, every picture that a post shows. It needs room
for the database beside the file, or else where TMPDIR says, and touches no node.

Example: planet backup verify monday.planet`
}

func (cmd backupVerifyCmd) Run(c *app) error {
	m, err := c.readBackup(cmd.File, func(r io.Reader, dir string) (*backup.Manifest, error) {
		return backup.Verify(c.ctx, r, dir)
	})
	if err != nil {
		return err
	}
	if cmd.JSON {
		return c.json(backupOf(cmd.File, m))
	}
	c.say("%s is sound: %s", cmd.File, contents(m))
	return nil
}

type restoreCmd struct {
	File string `arg:"" help:"The backup; - is standard input."`
	JSON bool   `help:"Print JSON."`
}

func (restoreCmd) Help() string {
	return `Puts a backup into the data directory, which must be empty or not there. All of it is verified before anything is in its place.

Example: planet restore monday.planet --data /var/lib/planet`
}

func (cmd restoreCmd) Run(c *app) error {
	if postgres(c.cfg) {
		return errors.New("the database is PostgreSQL: restore it with pg_restore or psql, and put the pictures back beside it (docs/operating.md, Backups)")
	}
	m, err := c.readBackup(cmd.File, func(r io.Reader, _ string) (*backup.Manifest, error) {
		return backup.Restore(c.ctx, r, c.cfg.Data, c.cfg.Database)
	})
	if err != nil {
		return err
	}
	if cmd.JSON {
		return c.json(backupOf(cmd.File, m))
	}
	c.say("restored into %s: %s", c.cfg.Data, contents(m))
	if m.Origin != c.cfg.Origin {
		c.say("It belongs to %s: set PLANET_ORIGIN to that, here it is %s.", m.Origin, c.cfg.Origin)
	}
	c.say("What happened after %s UTC is not in it. Make sure that the old node is stopped for good, then look with planet doctor and start with planet serve.", stamp(&m.Time))
	c.say("Currencies are closed to payments until somebody decides that they go on from here: planet ledger resume CODE --decision URL.")
	return nil
}

// readBackup opens a backup and hands it on, with a directory for what must lie on a disk meanwhile. Errors name the file.
func (c *app) readBackup(file string, f func(r io.Reader, dir string) (*backup.Manifest, error)) (*backup.Manifest, error) {
	in, dir := c.stdin, ""
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, reason(err))
		}
		defer opened.Close()
		in = opened
		// Beside the file, where there is room for it: what TMPDIR says is often memory.
		if probe, err := os.MkdirTemp(filepath.Dir(file), ".planet-backup-"); err == nil {
			_ = os.Remove(probe)
			dir = filepath.Dir(file)
		}
	}
	m, err := f(in, dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
}

// postgres reports whether the database is one that pg_dump takes.
func postgres(cfg *Config) bool { return strings.Contains(cfg.Database, "://") }

// terminal reports whether somebody would see what is written.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}
