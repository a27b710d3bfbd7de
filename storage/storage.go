// Package storage is the only place with SQL and files.
//
// DB is the database: SQLite in one file, or PostgreSQL, by the same code. Reads go to a pool of connections that cannot write.
// Every write is a Transaction, and all transactions go through one writer (write.go), which lets those that wait share a commit.
// The rows are the domain types: plain structs with plain foreign ids. Times are UTC. A missing row is ErrNotFound, never nil, nil.
// It knows nothing of the wire, of HTTP or of who may do what.
package storage

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/mattn/go-sqlite3"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// Config says which database to open, and how.
type Config struct {
	DSN       string       // path of a SQLite file, or postgres://user@host/database?…
	ReadConns int          // connections that read; 0 means as many as there are processors, and at least 4
	Log       *slog.Logger // nil means none
	Driver    string       // SQLite's, as database/sql knows it; "" means the usual one. A test has one that fails
}

// DB is the database, or inside Transaction a handle on that transaction. It is safe for concurrent use; the handle is not.
type DB struct {
	Now func() time.Time // the clock; set it before use, if at all
	Log *slog.Logger

	dialect string
	dsn     string
	driver  string // of SQLite
	ids     *ids
	inserts *inserts
	pool    *sql.DB // of the readers
	read    *gorm.DB
	writer  *writer
	clock   *ledgerClock
	heads   *heads // nil on PostgreSQL

	tx   *gorm.DB    // inside a transaction or a moment, and nil outside
	over atomic.Bool // the transaction has ended
}

// The databases that we speak to, as gorm calls them.
const (
	sqliteDialect   = "sqlite"
	postgresDialect = "postgres"
)

// minSQLite mended a race between checkpoint and write in WAL mode that could lose commits (https://www.sqlite.org/wal.html §11).
var minSQLite = [3]int{3, 51, 3}

// Open opens the database, and makes the file and its directory, for the owner's eyes only, if there are none.
// It does not migrate. Close ends what it starts.
func Open(ctx context.Context, c Config) (*DB, error) {
	db := &DB{Now: time.Now, Log: c.Log, dsn: c.DSN, driver: cmp.Or(c.Driver, sqlite.DriverName), ids: &ids{}, clock: &ledgerClock{}, inserts: &inserts{}}
	if db.Log == nil {
		db.Log = slog.New(slog.DiscardHandler)
	}
	n := c.ReadConns
	if n <= 0 {
		n = max(4, runtime.GOMAXPROCS(0))
	}
	open := db.openSQLite
	if strings.HasPrefix(c.DSN, "postgres://") || strings.HasPrefix(c.DSN, "postgresql://") {
		open = db.openPostgres
	}
	if err := open(ctx, n); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), db.closePools())
	}
	go db.writer.run()
	return db, nil
}

// Close lets the running transactions end and refuses the waiting ones with ErrClosed. Closing twice is harmless.
func (db *DB) Close() error {
	if db.tx != nil {
		return errors.New("close inside a transaction")
	}
	db.writer.close()
	if db.Commits() > 0 {
		db.keepHeads(db.pool, true)
	}
	return db.closePools()
}

// closePools closes the writer's connection last: SQLite then moves the write-ahead log into the file.
func (db *DB) closePools() error {
	var err error
	if db.pool != nil {
		err = db.pool.Close()
	}
	if db.writer != nil {
		if conn := db.writer.conn; conn != nil {
			_ = conn.Close()
		}
		err = errors.Join(err, db.writer.pool.Close())
	}
	return err
}

// Commits is how often this process committed something.
func (db *DB) Commits() int { return int(db.writer.commits.Load()) }

// Dialect is "sqlite" or "postgres".
func (db *DB) Dialect() string { return db.dialect }

func (db *DB) openSQLite(ctx context.Context, n int) error {
	db.dialect = sqliteDialect
	if db.dsn == "" || strings.Contains(db.dsn, ":memory:") {
		return fmt.Errorf("%q is not the path of a file", db.dsn)
	}
	if err := os.MkdirAll(filepath.Dir(db.dsn), 0o700); err != nil {
		return err
	}
	// Keys and mail addresses are in there. An existing file is left alone: to close it would drop locks that SQLite holds in this process.
	f, err := os.OpenFile(db.dsn, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	write, err := sql.Open(db.driver, sqliteDSN(db.dsn, true))
	if err != nil {
		return err
	}
	write.SetMaxOpenConns(1)
	db.heads = &heads{path: db.dsn + "-heads"}
	db.writer = newWriter(write, "BEGIN IMMEDIATE", func(c *sql.Conn) error {
		// A commit of payments writes some thousand pages; at the usual 1,000 each of them would be followed by a checkpoint.
		_, err := c.ExecContext(context.Background(), "PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8000")
		return err
	})
	if err := patient(ctx, func() error { return db.writer.connect(ctx) }); err != nil {
		return err
	}
	var version, mode string
	if err := db.writer.conn.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return err
	}
	if err := checkSQLite(version); err != nil {
		return err
	}
	if err := db.writer.conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("journal mode of %s is %s, want wal: is it on a network file system?", db.dsn, mode)
	}
	if db.pool, err = sql.Open(db.driver, sqliteDSN(db.dsn, false)); err != nil {
		return err
	}
	return db.openGorm(ctx, n, func(c gorm.ConnPool) gorm.Dialector {
		return steadyDialector{sqlite.New(sqlite.Config{Conn: c}).(*sqlite.Dialector)}
	})
}

// patient calls fn again while the database is locked, for five seconds: where SQLite changes a new file to WAL it does not wait by itself.
func patient(ctx context.Context, fn func() error) error {
	for try := 0; ; try++ {
		err := fn()
		var lite sqlite3.Error
		if !errors.As(err, &lite) || lite.Code != sqlite3.ErrBusy && lite.Code != sqlite3.ErrLocked || try == 250 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// sqliteDSN spells out path and pragmas for the driver, which also keeps the statements that it has prepared.
func sqliteDSN(path string, write bool) string {
	file := "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	q := url.Values{"_busy_timeout": {"5000"}, "_foreign_keys": {"1"}, "_stmt_cache_size": {"256"}}
	if write {
		q.Set("_journal_mode", "WAL")
		q.Set("_synchronous", "FULL")
		q.Set("_txlock", "immediate")
		q.Set("_cache_size", "-16000")
	} else {
		q.Set("mode", "rw") // a connection of mode ro keeps the last writer from folding the write-ahead log in; query_only refuses writes as well
		q.Set("_query_only", "1")
	}
	return file + "?" + q.Encode()
}

// checkSQLite refuses a library older than minSQLite.
func checkSQLite(version string) error {
	var v [3]int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &v[0], &v[1], &v[2]); err != nil {
		return fmt.Errorf("SQLite says that its version is %q", version)
	}
	for i, want := range minSQLite {
		if v[i] > want {
			return nil
		}
		if v[i] < want {
			return fmt.Errorf("SQLite is %s, want %d.%d.%d or newer: older ones can lose commits in WAL mode", version, minSQLite[0], minSQLite[1], minSQLite[2])
		}
	}
	return nil
}

func (db *DB) openPostgres(ctx context.Context, n int) error {
	db.dialect = postgresDialect
	// A timeout as SQLite's; what was acknowledged survives a power cut, whatever the server's default; and the writer looks rows up by their keys,
	// where a plan made while a table was small would read the whole of it.
	write, err := postgresPool(db.dsn, `SET lock_timeout = '5s'; SET enable_seqscan = off;
		SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	if err != nil {
		return err
	}
	write.SetMaxOpenConns(1)
	db.writer = newWriter(write, "BEGIN", nil)
	if err := db.writer.connect(ctx); err != nil {
		return err
	}
	// What is read is asked in the same way for everybody: to plan a page of a timeline anew each time takes longer than to find its rows.
	if db.pool, err = postgresPool(db.dsn, "SET default_transaction_read_only = on; SET plan_cache_mode = force_generic_plan"); err != nil {
		return err
	}
	return db.openGorm(ctx, n, func(c gorm.ConnPool) gorm.Dialector { return postgres.New(postgres.Config{Conn: c}) })
}

// postgresPool makes connections on which set has been run and which read times as UTC. pgx keeps the statements that it has prepared.
// They compile nothing (jit): to compile a statement takes longer than any of ours runs, up to seconds when a server has just started,
// and the writer waits for it with rows locked.
func postgresPool(dsn, set string) (*sql.DB, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	set = "SET jit = off; " + set
	return stdlib.OpenDB(*c, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
		_, err := conn.Exec(ctx, set)
		return err
	})), nil
}

// openGorm puts gorm on both. PrepareStmt stays off: both drivers keep prepared statements themselves, per connection and bounded,
// where gorm's cache is unbounded, does nothing inside a transaction but look statements up, and leaves a goroutine behind.
func (db *DB) openGorm(ctx context.Context, n int, dialector func(gorm.ConnPool) gorm.Dialector) error {
	db.pool.SetMaxOpenConns(n)
	db.pool.SetMaxIdleConns(n)
	if err := db.pool.PingContext(ctx); err != nil {
		return err
	}
	hushScan()
	config := func() *gorm.Config {
		return &gorm.Config{
			SkipDefaultTransaction: true,
			TranslateError:         true,
			DisableAutomaticPing:   true,
			Logger:                 slowLog{db.Log},
			NowFunc:                func() time.Time { return db.Now().UTC() },
		}
	}
	var err error
	if db.read, err = gorm.Open(dialector(db.pool), config()); err != nil {
		return err
	}
	db.writer.live.Store(true) // for the question after the version
	defer db.writer.live.Store(false)
	db.writer.gorm, err = gorm.Open(dialector(db.writer), config())
	return err
}

// q is a fresh gorm session for one statement: on the read pool, or inside a transaction on its connection.
// There statements run to their end whatever becomes of ctx (see Transaction).
func (db *DB) q(ctx context.Context) *gorm.DB {
	if db.tx == nil {
		return db.read.WithContext(ctx)
	}
	q := db.tx.WithContext(context.WithoutCancel(ctx))
	if db.over.Load() {
		_ = q.AddError(errOver)
	}
	return q
}

// moment runs fn on a handle to which the database is what it was at one moment, whatever others write meanwhile. It only reads. Inside a
// transaction it is a part of it.
func (db *DB) moment(ctx context.Context, fn func(tx *DB) error) error {
	if db.tx != nil {
		return fn(db)
	}
	return db.read.WithContext(ctx).Transaction(func(g *gorm.DB) error {
		tx := &DB{Now: db.Now, Log: db.Log, dialect: db.dialect, ids: db.ids, clock: db.clock, inserts: db.inserts, tx: g}
		defer tx.over.Store(true)
		return fn(tx)
	}, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// create inserts row under a new id, which it draws again while another copy of the node holds the same. id points into row.
// A row that comes with an id, because its IRI names it, keeps that; ErrConflict when it is taken.
func (db *DB) create(ctx context.Context, id *ID, row any) error {
	given := *id != 0
	for range 8 {
		if !given {
			*id = db.NewID()
		}
		r := db.q(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, DoNothing: true}).Create(row)
		switch {
		case r.Error != nil:
			return translate(r.Error)
		case r.RowsAffected == 1:
			return nil
		case given:
			return fmt.Errorf("id %s: %w", *id, ErrConflict)
		}
	}
	return fmt.Errorf("id %s: %w", *id, ErrConflict)
}

//go:embed migrations
var migrations embed.FS

// Migrate brings the schema up to date; every migration is a transaction. Call it before anything else uses the DB.
// Several copies of a node may call it at once.
func (db *DB) Migrate(ctx context.Context) error {
	return db.goose(func(p *goose.Provider) error {
		now, last, err := p.GetVersions(ctx)
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		if now > last {
			return fmt.Errorf("migrate: the database is of version %d, this planet knows %d: run a later one", now, last)
		}
		for try := 0; ; try++ {
			done, err := p.Up(ctx)
			for _, m := range done {
				db.Log.Info("migrated", "migration", filepath.Base(m.Source.Path), "duration", m.Duration)
			}
			if err == nil {
				return nil
			}
			if pending, perr := p.HasPending(ctx); perr == nil && !pending {
				return nil // another process was faster
			}
			// SQLite has no lock for the whole of it: another process may be between two migrations. It gets time to end.
			if try == 50 || db.dialect != sqliteDialect {
				return fmt.Errorf("migrate: %w", err)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}

// Pending names the migrations that Migrate would apply, in their order.
func (db *DB) Pending(ctx context.Context) ([]string, error) {
	var names []string
	err := db.goose(func(p *goose.Provider) error {
		all, err := p.Status(ctx)
		if err != nil {
			return fmt.Errorf("pending migrations: %w", err)
		}
		for _, m := range all {
			if m.State == goose.StatePending {
				names = append(names, filepath.Base(m.Source.Path))
			}
		}
		return nil
	})
	return names, err
}

// goose hands fn the migrations of the dialect, over a connection of their own: the writer keeps its.
func (db *DB) goose(fn func(*goose.Provider) error) error {
	if db.tx != nil {
		return errors.New("migrate inside a transaction")
	}
	files, err := fs.Sub(migrations, "migrations/"+db.dialect)
	if err != nil {
		return err
	}
	var pool *sql.DB
	var options []goose.ProviderOption
	dialect := goose.DialectSQLite3
	if db.dialect == postgresDialect {
		dialect = goose.DialectPostgres
		locker, lerr := lock.NewPostgresSessionLocker()
		if lerr != nil {
			return lerr
		}
		options = append(options, goose.WithSessionLocker(locker))
		pool, err = postgresPool(db.dsn, "")
	} else {
		pool, err = sql.Open(db.driver, sqliteDSN(db.dsn, true))
	}
	if err != nil {
		return err
	}
	defer pool.Close()
	p, err := goose.NewProvider(dialect, pool, files, options...)
	if err != nil {
		return err
	}
	return fn(p)
}

// IRI is the id of something on the fediverse: an absolute http or https address, compared byte by byte.
type IRI string

// ID is the id of a row, and sorts by the time when it was drawn: milliseconds since 1970 shifted left by 16, plus a counter.
// 0 is no id. In JSON it is a string, because it needs more digits than JavaScript has.
type ID int64

// String is the id in decimal digits.
func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// Time is when the id was drawn, to the millisecond.
func (id ID) Time() time.Time { return time.UnixMilli(int64(id) >> 16).UTC() }

// MarshalText writes decimal digits; JSON puts them between quotes.
func (id ID) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(id), 10), nil }

// UnmarshalText reads what MarshalText writes.
func (id *ID) UnmarshalText(b []byte) error {
	v, err := ParseID(string(b))
	if err == nil {
		*id = v
	}
	return err
}

// UnmarshalJSON reads a string, and a number too.
func (id *ID) UnmarshalJSON(b []byte) error { return id.UnmarshalText(bytes.Trim(b, `"`)) }

// ParseID reads the decimal digits of an id; it refuses signs, blanks and anything beyond 63 bits.
func ParseID(s string) (ID, error) {
	v, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not an id", s)
	}
	return ID(v), nil
}

// Committed says how many transactions of this process have stored something, so that who looks on need not ask the database whether there is anything new.
func (db *DB) Committed() int64 { return db.writer.commits.Load() }

// NewID draws an id, larger than any that this process drew before. Another copy of the node may draw the same (see create).
func (db *DB) NewID() ID { return db.ids.draw(db.Now()) }

// ids draws ids.
type ids struct {
	mu   sync.Mutex
	last int64
}

func (s *ids) draw(now time.Time) ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The counter starts anywhere in the lower half, so that copies of a node seldom meet and a millisecond seldom overflows into the next.
	if ms := now.UnixMilli(); ms > s.last>>16 {
		s.last = ms<<16 | rand.Int64N(1<<15)
	} else {
		s.last++ // the same millisecond, or the clock went back
	}
	return ID(s.last)
}

// slowAfter is how long a statement may take before the log hears of it.
const slowAfter = 500 * time.Millisecond

// slowLog is gorm's logger. It keeps quiet about errors, which callers decide on, and never logs the values of a statement.
type slowLog struct{ log *slog.Logger }

// LogMode changes nothing: the level is slog's.
func (l slowLog) LogMode(logger.LogLevel) logger.Interface { return l }

// Info logs what gorm has to say.
func (l slowLog) Info(ctx context.Context, msg string, args ...any) {
	l.log.InfoContext(ctx, fmt.Sprintf(msg, args...))
}

// Warn logs what gorm has to say.
func (l slowLog) Warn(ctx context.Context, msg string, args ...any) {
	l.log.WarnContext(ctx, fmt.Sprintf(msg, args...))
}

// Error logs nothing: gorm returns the same.
func (l slowLog) Error(context.Context, string, ...any) {}

// Trace logs a statement that took long.
func (l slowLog) Trace(ctx context.Context, begin time.Time, statement func() (string, int64), err error) {
	if d := time.Since(begin); d >= slowAfter {
		query, rows := statement()
		l.log.WarnContext(ctx, "slow statement", "duration", d, "rows", rows, "sql", query)
	}
}

// slow is called when a statement begins that gorm does not see, and what it returns when that has ended.
func (db *DB) slow(ctx context.Context, query string) (ended func()) {
	begin := time.Now()
	return func() { slowLog{db.Log}.Trace(ctx, begin, func() (string, int64) { return query, -1 }, nil) }
}

// ParamsFilter keeps the values out of what Trace sees.
func (l slowLog) ParamsFilter(_ context.Context, query string, _ ...any) (string, []any) {
	return query, nil
}

// hushScan does the same for Scan, which records the statement before Trace sees it; gorm has only a global switch for that.
var hushScan = sync.OnceFunc(func() { logger.RecorderParamsFilter = slowLog{}.ParamsFilter })
