package media

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Cache keeps pictures of other servers by their address, up to a number of bytes; those that nobody looked at for longest go
// first. Nothing relies on what is in it. A file's time is when it was last asked for, so that several processes can share it.
type Cache struct {
	dir   string
	limit int64
	now   func() time.Time

	mu   sync.Mutex
	used int64 // bytes on disk as far as this process knows, -1 before the first look; under mu
}

// NewCache makes a cache of at most limit bytes; with 0 it keeps nothing. The directory is made by the first Keep.
func NewCache(dir string, limit int64, now func() time.Time) *Cache {
	return &Cache{dir: dir, limit: limit, now: now, used: -1}
}

// Limit is how many bytes it may keep.
func (c *Cache) Limit() int64 { return c.limit }

func (c *Cache) path(address string) string {
	sum := sha256.Sum256([]byte(address))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(c.dir, name[:2], name)
}

// touchEvery is how exact the order of going is.
const touchEvery = time.Minute

// Open finds the picture of an address and says what it is; false when it is not here.
func (c *Cache) Open(address string) (*os.File, string, bool) {
	path := c.path(address)
	f, err := os.Open(path)
	if err != nil {
		return nil, "", false
	}
	kind, err := sniffFile(f)
	if err != nil || kind == "" {
		_ = f.Close()
		_ = os.Remove(path)
		return nil, "", false
	}
	now := c.now()
	if st, err := f.Stat(); err == nil && now.Sub(st.ModTime()) >= touchEvery {
		_ = os.Chtimes(path, now, now)
	}
	return f, kind, true
}

// sniffFile recognises an open file from its beginning, and goes back there.
func sniffFile(f *os.File) (string, error) {
	head := make([]byte, sniffLen)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	_, err = f.Seek(0, io.SeekStart)
	return Sniff(head[:n]), err
}

// Keep stores what fetch writes under an address, and gives it back, open. With an error of fetch nothing is left behind.
func (c *Cache) Keep(address string, fetch func(w io.Writer) error) (*os.File, string, error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, "", err
	}
	f, err := os.CreateTemp(c.dir, scratch+"*")
	if err != nil {
		return nil, "", err
	}
	kind, err := c.fill(f, address, fetch)
	_ = os.Remove(f.Name()) // once it is renamed there is nothing; else it is shown once, by f
	if err != nil {
		_ = f.Close()
		return nil, "", err
	}
	return f, kind, nil
}

func (c *Cache) fill(f *os.File, address string, fetch func(w io.Writer) error) (kind string, err error) {
	if err := fetch(f); err != nil {
		return "", err
	}
	if kind, err = sniffFile(f); err != nil {
		return "", err
	}
	if kind == "" {
		return "", ErrUnsupported
	}
	st, err := f.Stat()
	if err != nil || st.Size() > c.limit {
		return kind, err // not kept
	}
	if err := f.Sync(); err != nil { // a crash must not leave half a picture under a whole one's name
		return "", err
	}
	now := c.now()
	if err := os.Chtimes(f.Name(), now, now); err != nil {
		return "", err
	}
	path := c.path(address)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", err
	}
	return kind, c.grew(st.Size())
}

// grew makes room when the cache has grown beyond its limit.
func (c *Cache) grew(by int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used >= 0 {
		if c.used += by; c.used <= c.limit {
			return nil
		}
	}
	type entry struct {
		path string
		st   fs.FileInfo
	}
	var all []entry
	var sum int64
	stale := c.now().Add(-time.Hour)
	err := walk(c.dir, func(path string, st fs.FileInfo) error {
		if strings.HasPrefix(filepath.Base(path), scratch) {
			if st.ModTime().Before(stale) { // what a crash left
				return os.Remove(path)
			}
			return nil
		}
		all = append(all, entry{path, st})
		sum += st.Size()
		return nil
	})
	if err != nil {
		return err
	}
	if sum > c.limit {
		slices.SortFunc(all, func(a, b entry) int { return a.st.ModTime().Compare(b.st.ModTime()) })
		for _, e := range all {
			if sum <= c.limit/10*9 { // a little more than needed: looking is what costs
				break
			}
			if err := os.Remove(e.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			sum -= e.st.Size()
		}
	}
	c.used = sum
	return nil
}

// Usage counts the files and their bytes.
func (c *Cache) Usage() (files int, bytes int64, err error) { return usage(c.dir) }

// Clear empties the cache, and counts what it removed.
func (c *Cache) Clear() (files int, bytes int64, err error) {
	err = walk(c.dir, func(path string, st fs.FileInfo) error {
		if strings.HasPrefix(filepath.Base(path), scratch) {
			return nil
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		files++
		bytes += st.Size()
		return nil
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = -1
	return files, bytes, err
}
