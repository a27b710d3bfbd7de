// Package backup puts a node into one file and takes it out again: the database with all keys, the pictures, and the settings if
// they lie beside them.
//
// The file is a plain tar, so that what is damaged stays local and any tar gets at the rest. It begins with a word that says what
// it is, and ends with a manifest that names every member by size and SHA-256, and the manifest's own SHA-256: a file that was cut
// off, changed or added to is told from a whole one while it is read, once, from its beginning to its end. Only names that this
// package itself writes are ever taken out. A backup is taken beside a running node and asks nothing of it; a restore goes into an
// empty directory, and a node does not start on one that was not finished.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"planet/storage"
	"planet/storage/media"
)

// Format is what this program writes; it reads none that is newer.
const Format = 1

// Manifest says what is in a backup.
type Manifest struct {
	Format   int       `json:"format"`
	Planet   string    `json:"planet"` // the version that made it
	Origin   string    `json:"origin"`
	Database string    `json:"database"` // sqlite
	Schema   int64     `json:"schema"`   // the last migration
	Time     time.Time `json:"time"`     // all that was stored before is in it
	Members  []Member  `json:"members"`
	Missing  []string  `json:"missing,omitempty"` // pictures that the database names and whose files were not there
}

// Member is one file.
type Member struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Pictures counts them.
func (m *Manifest) Pictures() int {
	n := 0
	for _, f := range m.Members {
		if strings.HasPrefix(f.Name, mediaDir) {
			n++
		}
	}
	return n
}

// Bytes is the size of all members.
func (m *Manifest) Bytes() int64 {
	var n int64
	for _, f := range m.Members {
		n += f.Size
	}
	return n
}

// The names in a backup. A picture is mediaDir and media.Path of its name.
const (
	magicName    = "planet-backup"
	databaseName = "planet.db"
	settingsName = "planet.toml"
	mediaDir     = "media/"
	manifestName = "manifest.json"
	sumName      = "manifest.sha256"
)

// scratch is how directories begin in which something is not finished. What a killed backup left is removed after a day.
const scratch = ".planet-backup-"

// Node is what a backup is made of.
type Node struct {
	DB     *storage.DB
	Data   string // the directory with media and perhaps planet.toml
	Planet string // the version of this program
}

// Create makes a backup in a file that is not there yet. It is there as a whole, on the disk and for its owner's eyes only, or not at
// all. There is room for the database twice beside it, or an error.
func Create(ctx context.Context, n Node, path string) (*Manifest, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s is there already, and is not written over", path)
	}
	dir := filepath.Dir(path)
	work, err := workIn(dir, n.DB.Now())
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	f, err := os.OpenFile(filepath.Join(work, "backup"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	m, err := n.write(ctx, f, work)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := publish(f.Name(), path); err != nil {
		return nil, err
	}
	return m, syncDir(dir)
}

// publish gives a finished file its name, unless that is taken.
func publish(from, to string) error {
	err := os.Link(from, to) // unlike a rename it never replaces
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, serr := os.Lstat(to); serr == nil { // a file system without links
		return fmt.Errorf("%s is there already, and is not written over", to)
	}
	return os.Rename(from, to)
}

// Stream writes a backup to w. The copy of the database lies in dir meanwhile.
func Stream(ctx context.Context, n Node, w io.Writer, dir string) (*Manifest, error) {
	work, err := workIn(dir, n.DB.Now())
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	return n.write(ctx, w, work)
}

// workIn makes a directory for what is not finished, and removes what was left by backups that were killed.
func workIn(dir string, now time.Time) (string, error) {
	old, err := filepath.Glob(filepath.Join(globbed(dir), scratch+"*"))
	if err != nil {
		return "", err
	}
	for _, path := range old {
		if st, err := os.Stat(path); err == nil && st.ModTime().Before(now.Add(-24*time.Hour)) {
			_ = os.RemoveAll(path)
		}
	}
	return os.MkdirTemp(dir, scratch)
}

// globbed is a directory whose name means itself in a pattern.
func globbed(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// write is the whole backup, in the order of the file. The database comes first: a picture that is stored afterwards is not in it
// and not needed, one that is removed meanwhile is noted as missing.
func (n Node) write(ctx context.Context, w io.Writer, work string) (*Manifest, error) {
	m := &Manifest{Format: Format, Planet: n.Planet, Database: "sqlite", Time: n.DB.Now().UTC()}
	copied := filepath.Join(work, databaseName)
	if err := n.DB.Snapshot(ctx, copied); err != nil {
		return nil, err
	}
	names, err := m.describe(ctx, copied)
	if err != nil {
		return nil, err
	}
	out := newArchive(w, m)
	if err := out.begin(); err != nil {
		return nil, err
	}
	if err := out.file(ctx, databaseName, copied); err != nil {
		return nil, err
	}
	if err := os.Remove(copied); err != nil { // its room may be needed for the pictures
		return nil, err
	}
	err = out.file(ctx, settingsName, filepath.Join(n.Data, settingsName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range names {
		err := out.file(ctx, mediaDir+filepath.ToSlash(media.Path(name)), filepath.Join(n.Data, "media", media.Path(name)))
		if errors.Is(err, fs.ErrNotExist) {
			m.Missing = append(m.Missing, name)
		} else if err != nil {
			return nil, err
		}
	}
	return m, out.end()
}

// describe reads from the copy itself what it is, and which pictures it needs.
func (m *Manifest) describe(ctx context.Context, path string) (names []string, err error) {
	db, err := storage.Open(ctx, storage.Config{DSN: path, ReadConns: 1})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if m.Schema, _, err = db.SchemaVersion(ctx); err != nil {
		return nil, err
	}
	if m.Schema == 0 {
		return nil, errors.New("the database is empty: there is nothing to back up yet")
	}
	if m.Origin, err = db.Setting(ctx, "origin"); errors.Is(err, storage.ErrNotFound) {
		return nil, errors.New("the database names no origin: there is nothing to back up yet")
	} else if err != nil {
		return nil, err
	}
	if names, err = db.MediaNames(ctx); err != nil {
		return nil, err
	}
	for _, name := range names {
		if media.MediaType(name) == "" {
			return nil, fmt.Errorf("the database names a picture %q, which is no name of a picture", name)
		}
	}
	return names, nil
}

// syncDir makes the names in a directory outlast a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
