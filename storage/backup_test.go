package storage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"planet/storage"
	"planet/storage/storagetest"
)

// Each transaction writes two settings to the same number. A copy in which they differ was not made at one moment.
func TestREL321ASnapshotUnderLoadIsOfOneMoment(t *testing.T) {
	db := storagetest.New(t)
	var load sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	done := make([]int, 4)
	for w := range done {
		load.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				err := db.Transaction(context.Background(), func(tx *storage.DB) error {
					for _, side := range []string{"left", "right"} {
						if err := tx.SetSetting(ctx, fmt.Sprint(side, w), fmt.Sprint(n)); err != nil {
							return err
						}
						if err := tx.SetSetting(ctx, fmt.Sprint(side, w, ".", n), strings.Repeat("x", 2000)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				done[w] = n
			}
		})
	}
	dir := t.TempDir()
	for i := range 5 {
		time.Sleep(50 * time.Millisecond)
		path := filepath.Join(dir, fmt.Sprint(i, ".db"))
		if err := db.Snapshot(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("got %v, %v; want mode 0600", st, err)
		}
		copied, err := storage.Open(t.Context(), storage.Config{DSN: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := copied.Check(t.Context()); err != nil {
			t.Error(err)
		}
		for w := range done {
			left, lerr := copied.Setting(t.Context(), fmt.Sprint("left", w))
			right, rerr := copied.Setting(t.Context(), fmt.Sprint("right", w))
			if left != right || lerr != nil || rerr != nil {
				t.Errorf("copy %d: got %q and %q, %v, %v; want the same number twice", i, left, right, lerr, rerr)
			}
			if _, err := copied.Setting(t.Context(), fmt.Sprint("right", w, ".", left)); err != nil {
				t.Errorf("copy %d: what was written beside number %s: %v", i, left, err)
			}
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	load.Wait()
	for w, n := range done {
		if n < 5 {
			t.Errorf("writer %d wrote %d times: the copies kept it from writing", w, n)
		}
	}
	t.Logf("writes beside five copies: %v", done)
	if err := db.Snapshot(t.Context(), filepath.Join(dir, "0.db")); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v, want that a file is not written over", err)
	}
}

func TestARestoredDatabaseSaysSoUntilItIsConfirmed(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		want := func(made time.Time, marked bool) {
			t.Helper()
			got, is, err := db.Restored(ctx)
			if !got.Equal(made) || is != marked || err != nil {
				t.Errorf("got %v, %v, %v; want %v, %v", got, is, err, made, marked)
			}
		}
		want(time.Time{}, false)
		monday := time.Date(2026, 11, 23, 3, 0, 0, 123456789, time.UTC)
		for _, made := range []time.Time{monday, monday.Add(time.Hour)} { // restored, backed up, restored: all since Monday is unknown
			if err := db.MarkRestored(ctx, made); err != nil {
				t.Fatal(err)
			}
			want(monday, true)
		}
		if err := db.MarkRestored(ctx, monday.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		want(monday.Add(-time.Hour), true)
		for range 2 {
			if err := db.ConfirmRestored(ctx); err != nil {
				t.Fatal(err)
			}
			want(time.Time{}, false)
		}
	})
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		if err := storage.Check(t.Context(), db); err == nil || !strings.Contains(err.Error(), "names no origin") {
			t.Errorf("got %v, want that there is no origin", err)
		}
		if err := db.SetSetting(t.Context(), "origin", "https://rye.example"); err != nil {
			t.Fatal(err)
		}
		if err := storage.Check(t.Context(), db); err != nil {
			t.Error(err)
		}
		if now, known, err := db.SchemaVersion(t.Context()); err != nil || now != known || now < 1 {
			t.Errorf("got %d of %d, %v", now, known, err)
		}
		if db.Dialect() != "sqlite" {
			if err := db.Snapshot(t.Context(), filepath.Join(t.TempDir(), "copy.db")); !errors.Is(err, storage.ErrUnsupported) {
				t.Errorf("got %v, want ErrUnsupported", err)
			}
			return
		}
		storagetest.Exec(t, db, "PRAGMA foreign_keys = OFF")
		storagetest.Exec(t, db, "INSERT INTO hashtags (name, post_id) VALUES ('bread', 4711)")
		if err := storage.Check(t.Context(), db); err == nil || !strings.Contains(err.Error(), "row 1 of hashtags names one of posts") {
			t.Errorf("got %v, want the row that points nowhere", err)
		}
	})
}
