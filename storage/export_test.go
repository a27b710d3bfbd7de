package storage

import "context"

// Exec runs a statement of a test's own.
func (db *DB) Exec(ctx context.Context, sql string) error {
	return db.Transaction(ctx, func(tx *DB) error { return tx.q(ctx).Exec(sql).Error })
}
