package storage

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// The ledger's rows go to the database many at a time, in prepared statements of a few fixed lengths: with one payment per statement the
// statements would cost more than the payments.

// lengths are the numbers of rows that a statement may have, longest first.
var lengths = [...]int{512, 256, 128, 64, 32, 16, 8, 4, 2, 1}

// bulk is a statement over n rows or values, for each of lengths and each dialect.
type bulk struct {
	cols int
	text [len(lengths)][2]string // SQLite, PostgreSQL
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
		text := head + row + strings.Repeat(", "+row, n-1) + tail
		b.text[i] = [2]string{text, dollars(text)}
	}
	return b
}

// dollars writes the placeholders as PostgreSQL has them.
func dollars(text string) string {
	var out strings.Builder
	n := 0
	for i := range len(text) {
		if text[i] == '?' {
			n++
			out.WriteString("$" + strconv.Itoa(n))
			continue
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

// exec runs the statement over all rows in args, in as few statements as there need to be.
func (b *bulk) exec(ctx context.Context, tx *DB, args []any) error {
	conn, ctx, d, err := tx.bare(ctx)
	if err != nil {
		return err
	}
	for i, n := range lengths {
		for n *= b.cols; len(args) >= n; args = args[n:] {
			if _, err := conn.ExecContext(ctx, b.text[i][d], args[:n]...); err != nil {
				return translate(err)
			}
		}
	}
	return nil
}

// query runs the statement over all values in args and hands each row to each. A list of almost one of lengths is filled up with its last value.
func (b *bulk) query(ctx context.Context, tx *DB, args []any, each func(*sql.Rows) error) error {
	conn, ctx, d, err := tx.bare(ctx)
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
			if err := queryEach(ctx, conn, b.text[i][d], args[:n], each); err != nil {
				return err
			}
		}
	}
	return nil
}

func queryEach(ctx context.Context, conn gorm.ConnPool, text string, args []any, each func(*sql.Rows) error) error {
	rows, err := conn.QueryContext(ctx, text, args...)
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

// bare is the connection of a transaction, or the read pool, below gorm; and which text of a bulk is its.
func (db *DB) bare(ctx context.Context) (gorm.ConnPool, context.Context, int, error) {
	d := 0
	if db.dialect == postgresDialect {
		d = 1
	}
	if db.tx == nil {
		return db.pool, ctx, d, nil
	}
	if db.over.Load() {
		return nil, nil, 0, errOver
	}
	return db.tx.Statement.ConnPool, context.WithoutCancel(ctx), d, nil
}
