// Package storage is the only place with SQL and files.
package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

//go:embed migrations
var migrations embed.FS

// IRI is the id of something on the fediverse.
type IRI string

// ID is the id of a row.
type ID int64

func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// MarshalJSON writes the id as a string.
func (id ID) MarshalJSON() ([]byte, error) { return []byte(`"` + id.String() + `"`), nil }

// UnmarshalJSON reads it.
func (id *ID) UnmarshalJSON(b []byte) error {
	v, err := ParseID(strings.Trim(string(b), `"`))
	*id = v
	return err
}

// ParseID reads an id.
func ParseID(s string) (ID, error) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("%q is not an id", s)
	}
	return ID(v), nil
}

// Config of a DB.
type Config struct {
	DSN       string
	ReadConns int
	Log       *slog.Logger
}

// DB is the database.
type DB struct {
	Now func() time.Time
	Log *slog.Logger
	w, r, tx *gorm.DB
	ids *ids
	mu *sync.Mutex
}

type ids struct { mu sync.Mutex; last int64 }

// Open opens.
func Open(ctx context.Context, c Config) (*DB, error) {
	o := func(dsn string, n int) (*gorm.DB, error) {
		g, err := gorm.Open(sqlite.Open(dsn), &gorm.Config{PrepareStmt: true, SkipDefaultTransaction: true, TranslateError: true, Logger: logger.Discard})
		if err != nil { return nil, err }
		s, _ := g.DB()
		s.SetMaxOpenConns(n)
		return g, nil
	}
	w, err := o("file:"+c.DSN+"?_journal_mode=WAL&_busy_timeout=5000&_foreign_keys=1&_synchronous=FULL&_txlock=immediate", 1)
	if err != nil { return nil, err }
	r, err := o("file:"+c.DSN+"?_busy_timeout=5000&_query_only=1", 4)
	if err != nil { return nil, err }
	return &DB{Now: time.Now, Log: c.Log, w: w, r: r, ids: &ids{last: rand.Int64N(1<<15)}, mu: &sync.Mutex{}}, nil
}

// Migrate migrates.
func (db *DB) Migrate(ctx context.Context) error {
	sub, _ := fs.Sub(migrations, "migrations/sqlite")
	s, _ := db.w.DB()
	p, err := goose.NewProvider(goose.DialectSQLite3, s, sub)
	if err != nil { return err }
	_, err = p.Up(ctx)
	return err
}

// Close closes.
func (db *DB) Close() error { for _, g := range []*gorm.DB{db.w, db.r} { s, _ := g.DB(); s.Close() }; return nil }

// NewID draws.
func (db *DB) NewID() ID {
	db.ids.mu.Lock(); defer db.ids.mu.Unlock()
	v := db.Now().UnixMilli() << 16
	if v <= db.ids.last { v = db.ids.last + 1 }
	db.ids.last = v
	return ID(v)
}

func (db *DB) q(ctx context.Context) *gorm.DB {
	if db.tx != nil { return db.tx.Session(&gorm.Session{NewDB: true, Context: context.WithoutCancel(ctx)}) }
	return db.r.WithContext(ctx)
}

// Transaction runs.
func (db *DB) Transaction(ctx context.Context, fn func(tx *DB) error) error {
	if db.tx != nil { return fn(db) }
	return db.w.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		d := *db
		d.tx = tx
		return fn(&d)
	}, &sql.TxOptions{})
}

// Errors.
var ErrNotFound = errors.New("not found")
var ErrConflict = errors.New("conflict")

func translate(err error) error {
	switch {
	case err == nil: return nil
	case errors.Is(err, gorm.ErrRecordNotFound): return ErrNotFound
	case errors.Is(err, gorm.ErrDuplicatedKey): return ErrConflict
	}
	return err
}
