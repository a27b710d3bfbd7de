package storagetest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"os"
	"path/filepath"
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
	at    string // the statement that failed
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
	f := &Faults{}
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
