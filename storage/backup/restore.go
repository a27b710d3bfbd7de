package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"planet/storage"
)

// Verify reads a backup and says in one line what is wrong with it. A copy of the database lies in dir meanwhile, and is read by the
// same code that a node reads it with.
func Verify(ctx context.Context, r io.Reader, dir string) (*Manifest, error) {
	work, err := os.MkdirTemp(dir, scratch)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	path := filepath.Join(work, databaseName)
	m, err := read(ctx, r, func(name string) (io.WriteCloser, error) {
		if name == databaseName {
			return create(path)
		}
		return nowhere{}, nil
	})
	if err != nil {
		return nil, err
	}
	return m, examine(ctx, path, m, false)
}

// nowhere takes what is only to be hashed.
type nowhere struct{}

// Write forgets.
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// Close does nothing.
func (nowhere) Close() error { return nil }

// examine asks a database that was taken out of a backup whether it is what the manifest says and has all its pictures. A database
// that is restored is marked as such.
func examine(ctx context.Context, path string, m *Manifest, mark bool) (err error) {
	db, err := storage.Open(ctx, storage.Config{DSN: path, ReadConns: 1})
	if err != nil {
		return fmt.Errorf("the backup cannot be used: %s: %w", databaseName, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	now, known, err := db.SchemaVersion(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("the backup cannot be used: %s: %w", databaseName, err)
	case now == 0:
		return fmt.Errorf("the backup cannot be used: %s is no database of a planet node", databaseName)
	case now > known:
		return fmt.Errorf("the database in the backup is of version %d, this planet knows %d: use a later planet", now, known)
	case now != m.Schema:
		return fmt.Errorf("the backup is not as it was made: its database is of version %d, the manifest says %d", now, m.Schema)
	}
	if err := storage.Check(ctx, db); err != nil {
		return fmt.Errorf("the backup cannot be used: %s: %w", databaseName, err)
	}
	origin, err := db.Setting(ctx, "origin")
	if err != nil {
		return err
	}
	if origin != m.Origin {
		return fmt.Errorf("the backup is not as it was made: its database belongs to %s, the manifest says %s", origin, m.Origin)
	}
	if err := m.hasPictures(ctx, db); err != nil {
		return err
	}
	if mark {
		return db.MarkRestored(ctx, m.Time)
	}
	return nil
}

// hasPictures wants every picture that the database needs to be in the backup, or to be known as missing.
func (m *Manifest) hasPictures(ctx context.Context, db *storage.DB) error {
	names, err := db.MediaNames(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, f := range m.Members {
		there[pictureOf(f.Name)] = true
	}
	for _, name := range m.Missing {
		there[name] = true
	}
	for _, name := range names {
		if !there[name] {
			return fmt.Errorf("the backup is not whole: picture %s is missing", name)
		}
	}
	return nil
}

// unfinished is the directory in the data directory in which a restore puts everything before it is all there. Where it is and no
// database is, a restore was broken off.
const unfinished = ".restore"

// Finished reports with an error that a restore into this data directory was broken off: a node must not start there, as it would
// found itself anew. Run again, the restore begins from its beginning.
func Finished(data, database string) error {
	left := filepath.Join(data, unfinished)
	if _, err := os.Lstat(left); err != nil {
		return nil
	}
	if _, err := os.Lstat(database); err != nil {
		return fmt.Errorf("a restore into %s was broken off: run planet restore again, or empty the directory", data)
	}
	return os.RemoveAll(left) // it was broken off after its last step
}

// Restore puts a backup into a data directory that is empty or not there, and the database where it belongs; the database says
// afterwards that it was restored. Everything is read, written to the disk and checked inside a directory of its own first, and then
// moved: the database last, with which the node is there. An error leaves the data directory as it was.
func Restore(ctx context.Context, r io.Reader, data, database string) (*Manifest, error) {
	made, err := makeDir(data)
	if err != nil {
		return nil, err
	}
	m, err := restore(ctx, r, data, database)
	if err != nil && made {
		_ = os.Remove(data) // which does nothing unless it is empty
	}
	return m, err
}

func restore(ctx context.Context, r io.Reader, data, database string) (*Manifest, error) {
	lock, err := os.Open(data)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("another restore into %s is running", data)
	}
	if err := vacant(data, database); err != nil {
		return nil, err
	}
	if err := os.Chmod(data, 0o700); err != nil {
		return nil, err
	}
	work := filepath.Join(data, unfinished)
	if err := os.Mkdir(work, 0o700); err != nil {
		return nil, err
	}
	m, err := unpack(ctx, r, work)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(work))
	}
	return m, settle(work, data, database)
}

// makeDir makes a directory unless it is there.
func makeDir(dir string) (made bool, err error) {
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, os.MkdirAll(dir, 0o700)
	case err != nil:
		return false, err
	case !st.IsDir():
		return false, fmt.Errorf("%s is a file, not a directory", dir)
	}
	return false, nil
}

// vacant refuses directories in which anything is, save what a restore that was broken off left there: that it removes.
func vacant(data, database string) error {
	for _, path := range []string{database, database + "-wal", database + "-journal"} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already: a backup is restored into an empty directory, and never over a node", path)
		}
	}
	entries, err := os.ReadDir(data)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	ours := []string{unfinished, "media", settingsName}
	brokenOff := slices.Contains(names, unfinished)
	for _, name := range names {
		if !brokenOff || !slices.Contains(ours, name) {
			return fmt.Errorf("%s is not empty (there is %s): a backup is restored into an empty directory, and never over a node", data, name)
		}
	}
	slices.Reverse(names) // .restore, which says that the others may go, goes last
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(data, name)); err != nil {
			return err
		}
	}
	return sameDisk(data, database)
}

// sameDisk refuses a database that could not be moved to its place in one step.
func sameDisk(data, database string) error {
	dir := filepath.Dir(database)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var a, b syscall.Stat_t
	if err := errors.Join(syscall.Stat(data, &a), syscall.Stat(dir, &b)); err != nil {
		return err
	}
	if a.Dev != b.Dev {
		return fmt.Errorf("%s is on another file system than %s: restore without PLANET_DATABASE, then move %s", dir, data, databaseName)
	}
	return nil
}

// unpack takes everything out into a directory, checks it, and sees it to the disk.
func unpack(ctx context.Context, r io.Reader, work string) (*Manifest, error) {
	dirs := map[string]bool{work: true}
	m, err := read(ctx, r, func(name string) (io.WriteCloser, error) {
		path := filepath.Join(work, filepath.FromSlash(name))
		for dir := filepath.Dir(path); !dirs[dir]; dir = filepath.Dir(dir) {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return nil, err
			}
			dirs[dir] = true
		}
		return create(path)
	})
	if err != nil {
		return nil, err
	}
	if err := examine(ctx, filepath.Join(work, databaseName), m, true); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Join(work, databaseName+"-wal")); err == nil {
		return nil, fmt.Errorf("%s could not be closed", databaseName)
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// settle moves what was unpacked to its place, the database last.
func settle(work, data, database string) error {
	for _, name := range []string{"media", settingsName} {
		err := os.Rename(filepath.Join(work, name), filepath.Join(data, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := syncDir(data); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(work, databaseName), database); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(database)); err != nil {
		return err
	}
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	_ = syncDir(filepath.Dir(filepath.Clean(data))) // a directory that was there need not be ours to read
	return syncDir(data)
}

// create opens a new file that is on the disk when it is closed.
func create(path string) (io.WriteCloser, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return lasting{f}, nil
}

type lasting struct{ *os.File }

// Close sees the file to the disk.
func (f lasting) Close() error { return errors.Join(f.Sync(), f.File.Close()) }
