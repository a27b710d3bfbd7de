package storagetest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mattn/go-sqlite3"

	"planet/storage"
)

// Failure is how a statement fails.
type Failure int

// The failures: what one statement meets, or a whole process.
const (
	Busy       Failure = iota // somebody else has the file: the statement does nothing
	ReadOnly                  // the file system takes no writes: likewise
	Full                      // the disk is full: SQLite rolls the transaction back
	Crash                     // the process is gone before the statement, and does nothing more until Mend
	CrashAfter                // a COMMIT is done, and then the process is gone: only COMMITs count
)

func (f Failure) String() string {
	return []string{"busy", "read-only", "full", "killed before it", "killed after it"}[f]
}

// Faults make the statements of one database fail.
type Faults struct {
	mu    sync.Mutex
	armed bool
	how   Failure
	left  int // statements until it fails
	hit   bool
	at    string          // the statement that failed
	ran   map[string]bool // the statements
}

// short are steps through what stays short however long a node is used: what its people have founded and set up, or a list that the statement itself has made.
var short = regexp.MustCompile(`^SCAN ((announcement_reactions|announcements|coops|currencies|domain_rules|hosts|users|few)\b|CONSTANT ROW|[0-9]+-ROW VALUES|\()`)

// WantIndexes fails when a statement that was run goes through a whole table that is not short, but for those that have a text of except in them, and those that go
// down from the newest row until a page is full. SQLite uses an index of a part of the rows only where the statement names that part in the same words
// (https://www.sqlite.org/partialindex.html §3).
func (f *Faults) WantIndexes(t testing.TB, db *storage.DB, except ...string) {
	t.Helper()
	f.mu.Lock()
	ran := slices.Sorted(maps.Keys(f.ran))
	f.mu.Unlock()
	side, _ := sides.Load(db)
	except = append(except, "ORDER BY id DESC LIMIT", "goose_", "sqlite_")
	for _, query := range ran {
		verb, _, _ := strings.Cut(query, " ")
		if !slices.Contains([]string{"SELECT", "UPDATE", "DELETE", "INSERT"}, verb) || slices.ContainsFunc(except, func(text string) bool { return strings.Contains(query, text) }) {
			continue
		}
		rows, err := side.(*sql.DB).Query("EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "?"))...)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		err = eachStep(rows, func(step string) {
			if strings.HasPrefix(step, "SCAN ") && !short.MatchString(step) {
				t.Errorf("%s:\n%s", step, query)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// eachStep hands on the steps of a plan (https://www.sqlite.org/eqp.html).
func eachStep(rows *sql.Rows, fn func(step string)) error {
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			return err
		}
		fn(step)
	}
	return rows.Err()
}

// Break makes the n-th statement from now on fail, counted from 1; in whatever connection.
func (f *Faults) Break(n int, how Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.how, f.left, f.hit, f.at = true, how, n, false, ""
}

// Mend ends all failures, and says which statement failed; "": none did.
func (f *Faults) Mend() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
	return f.at
}

// next is the fate of a statement: what to return instead of running it, or after it.
func (f *Faults) next(query string) (before, after error, rollback bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ran[query] = true
	if !f.armed {
		return nil, nil, false
	}
	if f.hit {
		if f.how == Crash || f.how == CrashAfter {
			return driver.ErrBadConn, nil, false
		}
		return nil, nil, false
	}
	if f.how == CrashAfter && query != "COMMIT" {
		return nil, nil, false
	}
	if f.left--; f.left > 0 {
		return nil, nil, false
	}
	f.hit, f.at = true, query
	switch f.how {
	case Busy:
		return sqlite3.Error{Code: sqlite3.ErrBusy}, nil, false
	case ReadOnly:
		return sqlite3.Error{Code: sqlite3.ErrReadonly}, nil, false
	case Full:
		return sqlite3.Error{Code: sqlite3.ErrFull}, nil, true
	case CrashAfter:
		return nil, driver.ErrBadConn, false
	default:
		return driver.ErrBadConn, nil, false
	}
}

// Failing is a migrated SQLite database of the test's own whose statements can be made to fail.
func Failing(t testing.TB) (*storage.DB, *Faults) {
	t.Helper()
	registerFailing()
	raw, err := template()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "planet.db")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	f := &Faults{ran: map[string]bool{}}
	broken.Store(path, f)
	t.Cleanup(func() { broken.Delete(path) })
	return open(t, storage.Config{DSN: path, Driver: failingDriver}), f
}

// broken are the Faults by the path of their database.
var broken sync.Map

const failingDriver = "sqlite3, failing"

var registerFailing = sync.OnceFunc(func() { sql.Register(failingDriver, failing{}) })

// failing is SQLite's driver with Faults.
type failing struct{ sqlite3.SQLiteDriver }

func (d failing) Open(dsn string) (driver.Conn, error) {
	c, err := d.SQLiteDriver.Open(dsn)
	if err != nil {
		return nil, err
	}
	path, _, _ := strings.Cut(strings.TrimPrefix(dsn, "file:"), "?")
	f, _ := broken.Load(path)
	return &failingConn{c.(*sqlite3.SQLiteConn), f.(*Faults)}, nil
}

type failingConn struct {
	*sqlite3.SQLiteConn
	faults *Faults
}

// fate runs a statement as it is meant to be run.
func fate[T any](c *failingConn, query string, run func() (T, error)) (out T, err error) {
	before, after, rollback := c.faults.next(query)
	if rollback && !c.AutoCommit() {
		if _, err := c.SQLiteConn.ExecContext(context.Background(), "ROLLBACK", nil); err != nil {
			return out, err
		}
	}
	if before != nil {
		return out, before
	}
	out, err = run()
	if after != nil && err == nil {
		err = after
	}
	return out, err
}

func (c *failingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return fate(c, query, func() (driver.Result, error) { return c.SQLiteConn.ExecContext(ctx, query, args) })
}

func (c *failingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := fate(c, query, func() (driver.Rows, error) { return c.SQLiteConn.QueryContext(ctx, query, args) })
	if err != nil && rows != nil {
		_ = rows.Close()
	}
	return rows, err
}

func (c *failingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return fate(c, query, func() (driver.Stmt, error) { return c.SQLiteConn.PrepareContext(ctx, query) })
}
