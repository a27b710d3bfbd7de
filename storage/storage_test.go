package storage_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gorm.io/gorm"

	"planet/storage"
	"planet/storage/storagetest"
)

// TestMain finds goroutines that outlive their database.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOpenMakesAFileForTheOwnersEyesOnly(t *testing.T) {
	for _, name := range []string{"planet.db", "what? 100% #1.db"} {
		path := filepath.Join(t.TempDir(), "new", "data", name)
		db, err := storage.Open(t.Context(), storage.Config{DSN: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Exec(t.Context(), "CREATE TABLE loafs (name TEXT)"); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]os.FileMode{filepath.Dir(path): 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600} {
			if i, err := os.Stat(path); err != nil {
				t.Error(err)
			} else if got := i.Mode().Perm(); got != want {
				t.Errorf("%s has mode %o, want %o", path, got, want)
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
			t.Errorf("after Close there are %v, %v; want the file alone", files, err)
		}
	}
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	notADatabase := filepath.Join(t.TempDir(), "letter.txt")
	if err := os.WriteFile(notADatabase, bytes.Repeat([]byte("dear node, "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dsn := range []string{"", ":memory:", notADatabase, t.TempDir(), "postgres://127.0.0.1:1/none?connect_timeout=1", "postgres://%zz"} {
		if db, err := storage.Open(t.Context(), storage.Config{DSN: dsn}); err == nil {
			t.Errorf("opened %q", dsn)
			db.Close()
		}
	}
}

func TestTheDriverDoesWhatTheAddressAsks(t *testing.T) {
	db := storagetest.New(t)
	err := db.Transaction(t.Context(), func(tx *storage.DB) error {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000", "temp_store": "2", "cache_size": "-16000"} {
			var got string
			if err := tx.Q(t.Context()).Raw("PRAGMA " + pragma).Scan(&got).Error; err != nil || got != want {
				t.Errorf("%s is %q, %v; want %s", pragma, got, err, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	var readOnly string
	if err := db.Q(t.Context()).Raw("PRAGMA query_only").Scan(&readOnly).Error; err != nil || readOnly != "1" {
		t.Errorf("query_only of a reader is %q, %v", readOnly, err)
	}
}

func TestREL323SQLiteBeforeItsMendedWALIsRefused(t *testing.T) {
	for version, good := range map[string]bool{"3.51.3": true, "3.51.10": true, "3.52.0": true, "4.0.0": true,
		"3.51.2": false, "3.50.9": false, "3.9.12": false, "2.99.99": false, "": false, "new": false} {
		if err := storage.CheckSQLite(version); (err == nil) != good {
			t.Errorf("%q: %v", version, err)
		} else if err != nil && !strings.Contains(err.Error(), version) {
			t.Errorf("%q: the error does not say which: %v", version, err)
		}
	}
}

func TestReadersCannotWrite(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBakery(t, db)
		if err := bake(t.Context(), db, "secret"); err == nil {
			t.Error("a reader wrote")
		}
		if err := db.Q(t.Context()).Exec("DROP TABLE loafs").Error; err == nil {
			t.Error("a reader dropped a table")
		}
		b.want()
		b.must(b.order(t.Context(), "rye"))
		b.want("rye")
	})
}

func TestErrorsAreOurs(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		if _, err := db.Setting(t.Context(), "none"); err != nil && !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		if _, err := db.ActorByID(t.Context(), 1); err != storage.ErrNotFound {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

func TestTimesComeBackInUTC(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		want := time.Date(2026, 3, 29, 3, 30, 0, 123456000, time.FixedZone("CEST", 7200)).UTC()
		db.Now = func() time.Time { return want.Local() }
		type visit struct {
			ID        storage.ID `gorm:"primaryKey;autoIncrement:false"`
			At        time.Time
			CreatedAt time.Time // by gorm
			Left      *time.Time
		}
		column := map[string]string{"sqlite": "DATETIME", "postgres": "TIMESTAMPTZ"}[db.Dialect()]
		if err := db.Exec(t.Context(), strings.ReplaceAll(`CREATE TABLE visits (id BIGINT PRIMARY KEY, at TIME, created_at TIME, "left" TIME)`, "TIME", column)); err != nil {
			t.Fatal(err)
		}
		err := db.Transaction(t.Context(), func(tx *storage.DB) error {
			return tx.Q(t.Context()).Create(&visit{ID: 1, At: want, Left: &want}).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		var got visit
		if err := db.Q(t.Context()).Where("at = ?", want).Take(&got).Error; err != nil {
			t.Fatal(err)
		}
		for what, at := range map[string]time.Time{"At": got.At, "CreatedAt": got.CreatedAt, "Left": *got.Left} {
			if at != want { // the zone too
				t.Errorf("%s is %v, want %v", what, at, want)
			}
		}
	})
}

// A new file becomes WAL while nobody else is in it; SQLite does not wait for that by itself.
func TestOpeningWaitsForWhoeverMakesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "planet.db")
	other, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	for _, q := range []string{"CREATE TABLE x (y INTEGER)", "BEGIN", "INSERT INTO x VALUES (1)"} {
		if _, err := other.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	opened := make(chan error, 1)
	go func() {
		db, err := storage.Open(t.Context(), storage.Config{DSN: path})
		if err == nil {
			err = db.Close()
		}
		opened <- err
	}()
	select {
	case err := <-opened:
		t.Fatalf("opened beside somebody who makes the file: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if _, err := other.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
}

func TestMigrationsAreAppliedOnceWhoeverAsks(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "planet.db")
	var wg sync.WaitGroup
	for range 4 { // as the command line and a serving node do
		wg.Go(func() {
			db, err := storage.Open(ctx, storage.Config{DSN: path})
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Migrate(ctx); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		if names, err := db.Pending(ctx); err != nil || len(names) != 0 {
			t.Errorf("pending after Migrate: %v, %v", names, err)
		}
		if err := db.Migrate(ctx); err != nil {
			t.Errorf("again: %v", err)
		}
		if err := db.Exec(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)"); err != nil {
			t.Fatal(err)
		}
		if err := db.Migrate(ctx); err == nil || !strings.Contains(err.Error(), "99999") {
			t.Errorf("a database of a later planet: %v", err)
		}
	})
	fresh, err := storage.Open(ctx, storage.Config{DSN: filepath.Join(t.TempDir(), "fresh.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if names, err := fresh.Pending(ctx); err != nil || len(names) == 0 || names[0] != "0001_node.sql" {
		t.Errorf("pending in a new database: %v, %v", names, err)
	}
}

func TestIDsRiseWhateverTheClockDoes(t *testing.T) {
	db := storagetest.New(t)
	now := time.UnixMilli(1_800_000_000_000)
	db.Now = func() time.Time { return now }
	last := db.NewID()
	if ms := int64(last) >> 16; ms != now.UnixMilli() {
		t.Errorf("%d holds the time %d, want %d", last, ms, now.UnixMilli())
	}
	draw := func(n int) {
		t.Helper()
		for range n {
			id := db.NewID()
			if id <= last {
				t.Fatalf("%d after %d", id, last)
			}
			last = id
		}
	}
	draw(200_000) // more than a millisecond holds
	now = now.Add(-time.Hour)
	draw(10)
	now = now.Add(2 * time.Hour)
	draw(10)

	var mu sync.Mutex
	seen := map[storage.ID]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				id := db.NewID()
				mu.Lock()
				if seen[id] {
					t.Errorf("%d twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestIDsAreStringsInJSON(t *testing.T) {
	b, err := json.Marshal(map[storage.ID]storage.ID{117962854400000001: 9223372036854775807})
	if err != nil || string(b) != `{"117962854400000001":"9223372036854775807"}` {
		t.Errorf("got %s, %v", b, err)
	}
	for text, want := range map[string]storage.ID{`"117962854400000001"`: 117962854400000001, `12`: 12, `"0"`: 0} {
		var got storage.ID
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "+1", " 1", "1 ", "0x1", "1e3", "1.0", "9223372036854775808", "abc", "١"} {
		if id, err := storage.ParseID(text); err == nil {
			t.Errorf("%q is read as %d", text, id)
		}
	}
}

func TestAnIDThatIsTakenIsDrawnAgain(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		type cake struct {
			ID   storage.ID `gorm:"primaryKey;autoIncrement:false"`
			Name string
		}
		ctx := t.Context()
		if err := db.Exec(ctx, "CREATE TABLE cakes (id BIGINT PRIMARY KEY, name TEXT UNIQUE)"); err != nil {
			t.Fatal(err)
		}
		create := func(c *cake) error {
			return db.Transaction(ctx, func(tx *storage.DB) error { return tx.Create(ctx, &c.ID, c) })
		}
		now := time.UnixMilli(1_800_000_000_000)
		db.Now = func() time.Time { return now }
		first := cake{Name: "first"}
		if err := create(&first); err != nil {
			t.Fatal(err)
		}
		other := cake{ID: first.ID + 1, Name: "another copy's"}
		if err := create(&other); err != nil {
			t.Fatal(err)
		}
		second := cake{Name: "second"} // draws first.ID+1, which is taken
		if err := create(&second); err != nil || second.ID != first.ID+2 {
			t.Errorf("id %d, %v; want %d", second.ID, err, first.ID+2)
		}
		named := cake{ID: first.ID, Name: "named by its IRI"}
		if err := create(&named); !errors.Is(err, storage.ErrConflict) || named.ID != first.ID {
			t.Errorf("got %v and id %d, want ErrConflict and the id as it was", err, named.ID)
		}
		if err := create(&cake{Name: "first"}); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("another unique column: %v, want ErrConflict", err)
		}
	})
}

func TestASlowStatementIsLoggedWithoutItsValues(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "planet.db")
	db, err := storage.Open(t.Context(), storage.Config{DSN: path, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	slow := "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < ?) SELECT count(*) FROM c WHERE 'hush' <> ?"
	for rows := 1_000_000; log.Len() == 0; rows *= 2 { // until it is slow on this machine
		if err := db.Q(t.Context()).Raw(slow, rows, "secret").Scan(&n).Error; err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Q(t.Context()).Where("x = ?", "secret").Take(&struct{ gorm.Model }{}).Error; err == nil {
		t.Error("no error")
	}
	if got := log.String(); !strings.Contains(got, "slow statement") || !strings.Contains(got, "RECURSIVE") || strings.Contains(got, "secret") {
		t.Errorf("logged %s", got)
	}
}
