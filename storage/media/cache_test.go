package media_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"planet/storage/media"
)

func TestTheCacheForgetsWhatNobodyLookedAt(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	dir := filepath.Join(t.TempDir(), "cache")
	clock := func() time.Time { return now }
	c := media.NewCache(dir, 10_000, clock)
	picture := append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 3000-8)...)
	keep := func(address string) {
		t.Helper()
		now = now.Add(time.Hour)
		f, kind, err := c.Keep(address, func(w io.Writer) error { _, err := w.Write(picture); return err })
		if err != nil || kind != media.PNG {
			t.Fatalf("%s: got %s, %v", address, kind, err)
		}
		defer f.Close()
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, picture) {
			t.Errorf("%s: gave %d bytes, %v", address, len(got), err)
		}
	}
	has := func(address string) bool {
		t.Helper()
		f, kind, ok := c.Open(address)
		if !ok {
			return false
		}
		defer f.Close()
		got, err := io.ReadAll(f)
		return err == nil && kind == media.PNG && bytes.Equal(got, picture)
	}
	keep("one")
	keep("two")
	keep("three")
	now = now.Add(time.Hour)
	if !has("one") { // so that the second is the one that was not looked at for longest
		t.Error("the first is gone already")
	}
	keep("four")
	for address, want := range map[string]bool{"one": true, "two": false, "three": true, "four": true} {
		if has(address) != want {
			t.Errorf("%s: here is %v, want %v", address, !want, want)
		}
	}

	// Another process finds what is there, and counts it.
	c = media.NewCache(dir, 10_000, clock)
	if files, bytes, err := c.Usage(); files != 3 || bytes != 9000 || err != nil || !has("four") {
		t.Errorf("after a restart there are %d files, %d bytes, %v", files, bytes, err)
	}
	keep("five")
	if files, _, _ := c.Usage(); files != 3 {
		t.Errorf("%d files are there, want 3", files)
	}
	if files, bytes, err := c.Clear(); files != 3 || bytes != 9000 || err != nil {
		t.Errorf("cleared %d files, %d bytes, %v", files, bytes, err)
	}
	keep("six")
	if !has("six") || has("five") {
		t.Error("after it was emptied it does not work")
	}
}

func TestTheCacheKeepsNothingThatIsNoPictureOrTooLargeOrBrokenOff(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	write := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, _ = io.WriteString(w, s)
			return err
		}
	}
	c := media.NewCache(dir, 20, func() time.Time { return now })
	if _, _, err := c.Keep("x", write("<svg/>", nil)); !errors.Is(err, media.ErrUnsupported) {
		t.Errorf("a drawing gives %v", err)
	}
	broken := errors.New("broken off")
	if _, _, err := c.Keep("x", write("GIF89a", broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	f, kind, err := c.Keep("x", write("GIF89a, which is longer than all of the cache", nil))
	if err != nil || kind != media.GIF {
		t.Fatalf("got %s, %v", kind, err)
	}
	if got, err := io.ReadAll(f); err != nil || len(got) != 45 {
		t.Errorf("it shows %q, %v", got, err)
	}
	f.Close()
	none := media.NewCache(filepath.Join(dir, "off"), 0, func() time.Time { return now })
	if f, _, err = none.Keep("x", write("GIF89a", nil)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, _, ok := c.Open("x"); ok {
		t.Error("something was kept")
	}
	entries, err := os.ReadDir(filepath.Join(dir, "off"))
	if err != nil || len(entries) != 0 {
		t.Errorf("a cache that is off holds %v, %v", entries, err)
	}
	if files, _, _ := c.Usage(); files != 0 {
		t.Errorf("%d files are there", files)
	}
}
