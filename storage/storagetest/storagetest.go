// Package storagetest gives tests real databases: a fresh SQLite file each, and PostgreSQL where there is one.
package storagetest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"planet/storage"
)

// template is a migrated SQLite file, made once for a test process.
var template = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "planet-template")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "planet.db")
	db, err := storage.Open(context.Background(), storage.Config{DSN: path})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(context.Background()); err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// New is a migrated SQLite database of the test's own.
func New(t testing.TB) *storage.DB {
	t.Helper()
	raw, err := template()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "planet.db")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, path)
}

func open(t testing.TB, dsn string) *storage.DB {
	t.Helper()
	db, err := storage.Open(context.Background(), storage.Config{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Each runs a test on SQLite, and on PostgreSQL in a schema of its own where PLANET_TEST_POSTGRES is the postgres:// address of a
// server. Without one that half is skipped, and fails when PLANET_TEST_ALL is set.
func Each(t *testing.T, test func(t *testing.T, db *storage.DB)) {
	t.Run("sqlite", func(t *testing.T) { test(t, New(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

var schemas atomic.Int64

// Postgres is a migrated PostgreSQL database of the test's own; the test is skipped where there is no server.
func Postgres(t *testing.T) *storage.DB {
	t.Helper()
	server := os.Getenv("PLANET_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("PLANET_TEST_ALL") != "" {
			t.Fatal("PLANET_TEST_POSTGRES names no server, and PLANET_TEST_ALL wants every test")
		}
		t.Skip("SKIPPED: set PLANET_TEST_POSTGRES to the postgres:// address of a server to run this test on PostgreSQL")
	}
	name := fmt.Sprintf("planet_%d_%d", os.Getpid(), schemas.Add(1))
	pool, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(`CREATE SCHEMA "` + name + `"`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := pool.Exec(`DROP SCHEMA "` + name + `" CASCADE`); err != nil {
			t.Error(err)
		}
		_ = pool.Close()
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	db := open(t, u.String())
	if err := db.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return db
}
