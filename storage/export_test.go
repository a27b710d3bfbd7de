package storage

import (
	"context"

	"gorm.io/gorm"
)

// Exec runs a statement of a test's own.
func (db *DB) Exec(ctx context.Context, sql string) error {
	return db.Transaction(ctx, func(tx *DB) error { return tx.q(ctx).Exec(sql).Error })
}

// Q is a fresh session, as the nouns use it.
func (db *DB) Q(ctx context.Context) *gorm.DB { return db.q(ctx) }

// Create is how a noun inserts a row with an id.
func (db *DB) Create(ctx context.Context, id *ID, row any) error { return db.create(ctx, id, row) }

// Commits is how often the writer committed.
func (db *DB) Commits() int { return int(db.writer.commits.Load()) }

// Waiting is how many turns stand in the writer's queue.
func (db *DB) Waiting() int {
	db.writer.mu.Lock()
	defer db.writer.mu.Unlock()
	return len(db.writer.queue)
}

// SetBatch bounds how many transactions share a commit. Call it before the first.
func (db *DB) SetBatch(n int) { db.writer.limit = n }

// CheckSQLite is what Open asks of the version.
var CheckSQLite = checkSQLite

// MaxQueue is how many transactions may wait.
const MaxQueue = maxQueue

// OnCommit puts fn where the writer says COMMIT; commit is what it would do. nil takes it away. Call it while nothing is being written.
func (db *DB) OnCommit(fn func(commit func() error) error) {
	plain := func() error { return db.writer.exec("COMMIT") }
	db.writer.commit = plain
	if fn != nil {
		db.writer.commit = func() error { return fn(plain) }
	}
}

// DSN is what the database was opened with.
func (db *DB) DSN() string { return db.dsn }
