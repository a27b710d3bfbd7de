package storage

import (
	"context"
	"database/sql"
	"strings"
	"sync"
)

// The ledger's rows go to the database many at a time, in prepared statements of a few fixed lengths: with one payment per statement the
// statements would cost more than the payments.

// lengths are the numbers of rows that a statement may have, longest first.
var lengths = [...]int{512, 256, 128, 64, 32, 16, 8, 4, 2, 1}

// bulk is a statement over n rows or values, for each of lengths and each dialect.
type bulk struct {
	cols int
	text [len(lengths)][2]func() string // SQLite, PostgreSQL; each is written when it is first needed: all of them are some megabytes
}

// newBulk makes "head (?, ?), (?, ?) tail" of rows with cols values. With cols 1 and no parentheses it fits IN (…) as well: see newIn.
func newBulk(head string, cols int, tail string) *bulk {
	return makeBulk(head, "(?"+strings.Repeat(", ?", cols-1)+")", cols, tail)
}

// newIn makes "head ?, ?, ? tail" for a condition IN (…).
func newIn(head, tail string) *bulk { return makeBulk(head, "?", 1, tail) }

func makeBulk(head, row string, cols int, tail string) *bulk {
	b := &bulk{cols: cols}
	for i, n := range lengths {
		text := func() string { return head + row + strings.Repeat(", "+row, n-1) + tail }
		b.text[i] = [2]func() string{sync.OnceValue(text), sync.OnceValue(func() string { return dollars(text()) })}
	}
	return b
}

// of is the text for lengths[i] in the dialect of db.
func (b *bulk) of(db *DB, i int) string {
	if db.dialect == postgresDialect {
		return b.text[i][1]()
	}
	return b.text[i][0]()
}

// exec runs the statement over all rows in args, in as few statements as there need to be.
func (b *bulk) exec(ctx context.Context, tx *DB, args []any) error {
	ctx, conn, err := tx.plain(ctx)
	if err != nil {
		return err
	}
	for i, n := range lengths {
		for n *= b.cols; len(args) >= n; args = args[n:] {
			if _, err := conn.ExecContext(ctx, b.of(tx, i), args[:n]...); err != nil {
				return translate(err)
			}
		}
	}
	return nil
}

// query runs the statement over all values in args and hands each row to each. A list of almost one of lengths is filled up with its last value.
func (b *bulk) query(ctx context.Context, tx *DB, args []any, each func(*sql.Rows) error) error {
	ctx, conn, err := tx.plain(ctx)
	if err != nil {
		return err
	}
	for i, n := range lengths {
		if left := len(args); left < n && left > n/2 {
			for range n - left {
				args = append(args[:len(args):len(args)], args[left-1])
			}
		}
		for ; len(args) >= n; args = args[n:] {
			if err := eachRow(ctx, conn, b.of(tx, i), args[:n], each); err != nil {
				return err
			}
		}
	}
	return nil
}
