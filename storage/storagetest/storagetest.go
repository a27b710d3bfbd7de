// Package storagetest gives tests real databases: a fresh SQLite file each, and PostgreSQL where there is one.
package storagetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	return open(t, storage.Config{DSN: path})
}

func open(t testing.TB, c storage.Config) *storage.DB {
	t.Helper()
	dsn := c.DSN
	db, err := storage.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	side := openSide(t, db, dsn)
	dsns.Store(db, dsn)
	t.Cleanup(func() {
		sides.Delete(db)
		dsns.Delete(db)
		if err := errors.Join(side.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Again opens the database of a test a second time, as another copy of the node does.
func Again(t testing.TB, db *storage.DB) *storage.DB {
	t.Helper()
	dsn, _ := dsns.Load(db)
	return open(t, storage.Config{DSN: dsn.(string)})
}

// dsns are where the databases are.
var dsns sync.Map // *storage.DB to string

// sides are second ways into the databases, past the node's code: to read all of one, and to break it.
var sides sync.Map // *storage.DB to *sql.DB

func openSide(t testing.TB, db *storage.DB, dsn string) *sql.DB {
	t.Helper()
	driver := "pgx"
	if db.Dialect() == "sqlite" {
		driver, dsn = "sqlite3", "file:"+strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(dsn)+"?_busy_timeout=5000"
	}
	side, err := sql.Open(driver, dsn) // connects at its first use
	if err != nil {
		t.Fatal(err)
	}
	side.SetMaxOpenConns(1)
	sides.Store(db, side)
	return side
}

// Exec runs a statement past the node's code.
func Exec(t testing.TB, db *storage.DB, query string) {
	t.Helper()
	if err := Try(db, query); err != nil {
		t.Fatal(err)
	}
}

// Try is Exec for a statement that the database may refuse.
func Try(db *storage.DB, query string) error {
	side, _ := sides.Load(db)
	_, err := side.(*sql.DB).Exec(query)
	return err
}

// Count runs a query past the node's code and says how many rows it has.
func Count(t testing.TB, db *storage.DB, query string) int {
	t.Helper()
	side, _ := sides.Load(db)
	return len(read(t, side.(*sql.DB), query))
}

// Row is one row of any table: its columns by name.
type Row map[string]any

// Rows reads all tables but those in except, each in the order of its rows' text.
func Rows(t testing.TB, db *storage.DB, except ...string) map[string][]Row {
	t.Helper()
	side, _ := sides.Load(db)
	pool := side.(*sql.DB)
	list := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if db.Dialect() == "postgres" {
		list = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
	}
	all := map[string][]Row{}
	for _, table := range read(t, pool, list) {
		for _, name := range table {
			if name := fmt.Sprint(name); !slices.Contains(except, name) {
				rows := read(t, pool, `SELECT * FROM "`+name+`"`)
				type line struct {
					text string
					row  Row
				}
				lines := make([]line, len(rows))
				for i, row := range rows {
					lines[i] = line{fmt.Sprint(row), row}
				}
				slices.SortFunc(lines, func(a, b line) int { return strings.Compare(a.text, b.text) })
				for i := range lines {
					rows[i] = lines[i].row
				}
				all[name] = rows
			}
		}
	}
	return all
}

func read(t testing.TB, pool *sql.DB, query string) (out []Row) {
	t.Helper()
	rows, err := pool.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, row := make([]any, len(names)), Row{}
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			switch v := (*v.(*any)).(type) {
			case []byte:
				row[names[i]] = string(v)
			default:
				row[names[i]] = v
			}
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// Each runs a test on SQLite, and on PostgreSQL in a schema of its own where PLANET_TEST_POSTGRES is the postgres:// address of a
// server. Without one that half is skipped, and fails when PLANET_TEST_ALL is set.
func Each(t *testing.T, test func(t *testing.T, db *storage.DB)) {
	t.Run("sqlite", func(t *testing.T) { test(t, New(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

var schemas atomic.Int64

// Postgres is a migrated PostgreSQL database of the test's own; the test is skipped where there is no server.
func Postgres(t testing.TB) *storage.DB {
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
	db := open(t, storage.Config{DSN: u.String()})
	if err := db.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return db
}

// ExecFile runs statements on a SQLite file that no DB has open.
func ExecFile(t testing.TB, path string, statements ...string) {
	t.Helper()
	pool, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := pool.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := pool.Close(); err != nil {
		t.Fatal(err)
	}
}
