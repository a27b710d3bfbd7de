// Package media keeps pictures in files: those that people of this node upload (Store), and for a while those of other servers
// (Cache).
//
// What is uploaded is never kept as it came. It is recognised by its first bytes, measured before it is unpacked, unpacked one
// picture at a time, turned upright, scaled down and written anew: no camera's place, no comment and no second file inside the
// first gets through. A file is named after its content and a secret of the node, so the same picture is stored once, and nobody
// can guess a name or ask whether a picture that she has is here too. Which post a picture belongs to, and when it may go, is for
// the rows of package storage.
package media

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"planet/storage"
)

// What callers decide on; the errors of Put wrap one of these, or come from the reader or the disk.
var (
	// ErrUnsupported: not a JPEG, PNG, GIF or WebP.
	ErrUnsupported = errors.New("not a picture that this node takes")
	// ErrTooLarge: more bytes than the caller allows.
	ErrTooLarge = errors.New("too many bytes")
	// ErrTooManyPixels: too wide, too high, or too many frames to be unpacked.
	ErrTooManyPixels = errors.New("too many pixels")
	// ErrBroken: it begins like a picture and cannot be read as one.
	ErrBroken = errors.New("the picture is damaged")
)

// Image is a picture that Put stored.
type Image struct {
	Name          string // of the file: hexadecimal digits and an ending
	MediaType     string
	Width, Height int
	Size          int64
	Blurhash      string
}

// Store keeps pictures below one directory. It is safe for concurrent use, also by several processes.
type Store struct {
	dir    string
	secret []byte
	now    func() time.Time
	turn   chan struct{} // one picture is unpacked at a time: it may take a few hundred megabytes
}

// New makes a store; the directory is made by the first Put.
func New(dir string, secret []byte, now func() time.Time) *Store {
	return &Store{dir: dir, secret: secret, now: now, turn: make(chan struct{}, 1)}
}

// names are those that Put gives: nothing else ever reaches the file system.
var names = regexp.MustCompile(`^[0-9a-f]{64}\.(jpg|png)$`)

// scratch is how the names of files begin that are not complete yet.
const scratch = ".new-"

// Put reads a picture of at most limit bytes, makes it fit to be shown to anybody, and stores it. Storing the same again changes
// nothing but the file's time.
func (s *Store) Put(ctx context.Context, r io.Reader, limit int64) (*Image, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	// To a file first: many that upload slowly at once must not fill the memory, nor keep others from their turn.
	came, err := os.CreateTemp(s.dir, scratch+"*")
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = came.Close()
		_ = os.Remove(came.Name())
	}()
	if err := spool(came, r, limit); err != nil {
		return nil, err
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	raw, err := os.ReadFile(came.Name())
	if err != nil {
		return nil, err
	}
	im, body, err := remake(raw)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, s.secret)
	mac.Write(body)
	im.Name = hex.EncodeToString(mac.Sum(nil)) + ending[im.MediaType]
	im.Size = int64(len(body))
	return im, s.keep(im.Name, body)
}

// ending is how the names of stored files end.
var ending = map[string]string{JPEG: ".jpg", PNG: ".png"}

// MediaType is what a stored file is, by its name; "" for names that Put does not give.
func MediaType(name string) string {
	for kind, end := range ending {
		if strings.HasSuffix(name, end) && names.MatchString(name) {
			return kind
		}
	}
	return ""
}

// spool copies at most limit bytes of a picture; what does not begin like one is not read any further.
func spool(w io.Writer, r io.Reader, limit int64) error {
	head := make([]byte, sniffLen)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	if head = head[:n]; !readable(Sniff(head)) {
		return fmt.Errorf("%w: it takes JPEG, PNG, GIF and WebP", ErrUnsupported)
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	if int64(n) <= limit {
		var more int64
		if more, err = io.Copy(w, io.LimitReader(r, limit-int64(n)+1)); err != nil {
			return err
		}
		n += int(more)
	}
	if int64(n) > limit {
		return fmt.Errorf("%w: at most %d MiB", ErrTooLarge, limit>>20)
	}
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, Path(name)) }

// Path is where below the directory of a store the file of that name lies. Ask MediaType first whether it is a name.
func Path(name string) string { return filepath.Join(name[:2], name) }

// keep writes a file so that after a crash it is there as a whole or not at all.
func (s *Store) keep(name string, body []byte) error {
	path := s.path(name)
	now := s.now()
	if err := os.Chtimes(path, now, now); err == nil {
		return nil // the same picture; its time says that it is wanted again
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, scratch+"*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // after the rename there is nothing
	_, err = f.Write(body)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(f.Name(), now, now); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(path)), syncDir(s.dir))
}

// syncDir makes the names in a directory outlast a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open reads a stored file; storage.ErrNotFound for every name that Put did not give.
func (s *Store) Open(name string) (*os.File, error) {
	if !names.MatchString(name) {
		return nil, storage.ErrNotFound
	}
	f, err := os.Open(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, storage.ErrNotFound
	}
	return f, err
}

// Has reports whether a file is there.
func (s *Store) Has(name string) bool {
	if !names.MatchString(name) {
		return false
	}
	_, err := os.Stat(s.path(name))
	return err == nil
}

// Remove deletes a file, and says how large it was; one that is not there is 0 bytes.
func (s *Store) Remove(name string) (int64, error) {
	if !names.MatchString(name) {
		return 0, nil
	}
	st, err := os.Stat(s.path(name))
	if err == nil {
		err = os.Remove(s.path(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Older lists the files that were last put before a time, and removes what unfinished uploads left before then.
func (s *Store) Older(before time.Time) ([]string, error) {
	var old []string
	err := walk(s.dir, func(path string, st fs.FileInfo) error {
		switch name := filepath.Base(path); {
		case !st.ModTime().Before(before):
		case strings.HasPrefix(name, scratch):
			return os.Remove(path)
		case names.MatchString(name) && path == s.path(name):
			old = append(old, name)
		}
		return nil
	})
	return old, err
}

// Usage counts the files and their bytes.
func (s *Store) Usage() (files int, bytes int64, err error) { return usage(s.dir) }

func usage(dir string) (files int, bytes int64, err error) {
	err = walk(dir, func(path string, st fs.FileInfo) error {
		if !strings.HasPrefix(filepath.Base(path), scratch) {
			files++
			bytes += st.Size()
		}
		return nil
	})
	return files, bytes, err
}

// walk visits the files below a directory; it may not be there, and files may go meanwhile.
func walk(dir string, visit func(path string, st fs.FileInfo) error) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if err := visit(path, st); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
