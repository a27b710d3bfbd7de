package storage

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"

	"github.com/mattn/go-sqlite3"
	"gorm.io/gorm"

	"planet/ledger"
)

// Exec runs a statement of a test's own.
func (db *DB) Exec(ctx context.Context, sql string) error {
	return db.Transaction(ctx, func(tx *DB) error { return tx.q(ctx).Exec(sql).Error })
}

// Q is a fresh session, as the nouns use it.
func (db *DB) Q(ctx context.Context) *gorm.DB { return db.q(ctx) }

// Create is how a noun inserts a row with an id.
func (db *DB) Create(ctx context.Context, id *ID, row any) error { return db.create(ctx, id, row) }

// Planned leaves one connection to read, and says how many columns SQLite has looked up since, while it planned statements, there and on the
// connection that writes (sqlite3_set_authorizer).
func (db *DB) Planned(ctx context.Context) (columns func() int64, err error) {
	var n atomic.Int64
	watch := func(c any) error {
		c.(*sqlite3.SQLiteConn).RegisterAuthorizer(func(op int, _, _, _ string) int {
			if op == sqlite3.SQLITE_READ {
				n.Add(1)
			}
			return sqlite3.SQLITE_OK
		})
		return nil
	}
	db.pool.SetMaxOpenConns(1)
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	write := func(*DB) error { return db.writer.conn.Raw(watch) }
	return n.Load, errors.Join(conn.Raw(watch), conn.Close(), db.Transaction(ctx, write))
}

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

// BarePayments stores the rows of n payments between random ones of accounts as the ledger does, in one transaction and the same statements, and does
// nothing else: no decision, no text, no hash, no signature. It is the limit that Pay is measured against.
func (db *DB) BarePayments(ctx context.Context, c *Currency, accounts []ledger.ID, n int, rnd *rand.Rand) error {
	return db.Transaction(ctx, func(tx *DB) error {
		var first int64
		if err := tx.one(ctx, "SELECT coalesce(max(seq), 0) + 1 FROM entries WHERE currency_id = ?", []any{c.ID}, &first); err != nil {
			return err
		}
		var entries, openings, transfers, touched []any
		seen := map[ledger.ID]bool{}
		for i := range n {
			leaf, opening, id, digest := make([]byte, 250), make([]byte, 190), make([]byte, 16), make([]byte, 32)
			for j := range id {
				id[j] = byte(rnd.Uint32())
			}
			seq := first + int64(i)
			d, e := accounts[rnd.IntN(len(accounts))], accounts[rnd.IntN(len(accounts))]
			entries = append(entries, c.ID, seq, leaf)
			openings = append(openings, c.ID, seq, digest, opening)
			transfers = append(transfers, c.ID, seq, id, d[:], e[:], int64(1), int64(0), int64(1), false, int64(0), nil, nil, int64(1), int64(0), int64(1), int64(1), digest,
				seq, int64(1), int64(1), int64(1), int64(1))
			for _, id := range []ledger.ID{d, e} {
				if !seen[id] {
					seen[id] = true
					touched = append(touched, id[:], c.ID, id.String(), "member", int64(-1), nil, nil, nil, int64(0), int64(0), seq, int64(0), seq, int64(0), int64(1), int64(1), seq)
				}
			}
		}
		for _, err := range []error{insertEntries.exec(ctx, tx, entries), insertOpenings.exec(ctx, tx, openings), upsertTransfers.exec(ctx, tx, transfers), upsertAccounts.exec(ctx, tx, touched)} {
			if err != nil {
				return err
			}
		}
		_, err := tx.run(ctx, "UPDATE currencies SET frontier = ? WHERE id = ?", make([]byte, 300), c.ID)
		return err
	})
}

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

// HeadsEvery is how often checkpoints are kept beside the database.
const HeadsEvery = headsEvery

// KeepNoHeads is for tests that turn a database back while it is open. Call it before the first commit.
func (db *DB) KeepNoHeads() { db.heads = nil }

// AuditHash is the hash of an entry of an audit log.
func AuditHash(entry string) string { return auditHash([]byte(entry)) }
