package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"gorm.io/driver/sqlite"
)

// ErrUnsupported: this database has a tool of its own for that.
var ErrUnsupported = errors.New("not with this database")

// Snapshot writes a copy of the database, as it is at one moment, to a file that is not there yet; SQLite alone. Others write
// meanwhile: what they commit after the first page was read is not in the copy. The copy does not reach the disk by itself.
//
// It is VACUUM INTO and not SQLite's backup interface (docs/decisions/0008-backup.md).
func (db *DB) Snapshot(ctx context.Context, path string) error {
	if db.dialect != sqliteDialect {
		return ErrUnsupported
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // SQLite takes an empty file
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	// A connection of its own, as the readers' may not write, not even elsewhere.
	pool, err := sql.Open(sqlite.DriverName, strings.Replace(sqliteDSN(db.dsn, false), "_query_only=1", "_query_only=0", 1)+"&_cache_size=-8000")
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	pool.SetMaxOpenConns(1)
	_, err = pool.ExecContext(ctx, "VACUUM INTO ?", path)
	if err := errors.Join(err, pool.Close()); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// Check says what is wrong with the whole of a database that may have been copied, moved or kept for long: its pages, rows that
// point nowhere, the origin that every id is made of. It reads everything, and takes as long as that takes.
//
// Whatever else must hold of a database that is to be trusted is asked here, first of all what the ledger has to say of its books.
func Check(ctx context.Context, db *DB) error {
	if err := db.Check(ctx); err != nil {
		return err
	}
	if err := db.checkReferences(ctx); err != nil {
		return err
	}
	switch _, err := db.Setting(ctx, "origin"); {
	case errors.Is(err, ErrNotFound):
		return errors.New("the database names no origin: no node has ever run on it")
	case err != nil:
		return err
	}
	books, err := db.Currencies(ctx)
	if err != nil {
		return err
	}
	for _, c := range books {
		if _, err := db.Verify(ctx, c); err != nil {
			return err
		}
	}
	return db.verifyAudits(ctx)
}

// checkReferences looks for rows that point nowhere. PostgreSQL lets none be.
func (db *DB) checkReferences(ctx context.Context) error {
	if db.dialect != sqliteDialect {
		return nil
	}
	rows, err := db.q(ctx).Raw(`SELECT "table", coalesce(rowid, 0), "parent" FROM pragma_foreign_key_check LIMIT 3`).Rows()
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	var bad []string
	for rows.Next() {
		var table, parent string
		var row int64
		if err := rows.Scan(&table, &row, &parent); err != nil {
			return err
		}
		bad = append(bad, fmt.Sprintf("row %d of %s names one of %s that is not there", row, table, parent))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(bad) > 0 {
		return fmt.Errorf("the database is damaged: %s", strings.Join(bad, "; "))
	}
	return nil
}

// SchemaVersion is the last migration that the database has seen, and the last one that this program knows.
func (db *DB) SchemaVersion(ctx context.Context) (now, known int64, err error) {
	err = db.goose(func(p *goose.Provider) error {
		now, known, err = p.GetVersions(ctx)
		return err
	})
	return now, known, err
}

// MediaNames lists the files of the pictures that are needed, each once.
func (db *DB) MediaNames(ctx context.Context) ([]string, error) {
	var names []string
	return names, translate(db.q(ctx).Model(&Media{}).Where("freed_at IS NULL").Distinct("name").Order("name").Pluck("name", &names).Error)
}

// restoredKey is the setting that marks a database as restored: the time of the backup, until somebody confirms.
const restoredKey = "restored_from"

// Restored reports whether this database came out of a backup and nobody has confirmed yet that it may go on from there, and when
// the backup was made. What happened after that time is unknown here, and others may hold the node to it: nothing that spends may
// be written before ConfirmRestored.
func (db *DB) Restored(ctx context.Context) (time.Time, bool, error) {
	s, err := db.Setting(ctx, restoredKey)
	if errors.Is(err, ErrNotFound) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, true, fmt.Errorf("setting %s: %w", restoredKey, err)
	}
	return t, true, nil
}

// MarkRestored says that this database came out of a backup made at a time, and freezes the currencies: see Resume. A mark of an earlier time stays: that much more is unknown.
func (db *DB) MarkRestored(ctx context.Context, made time.Time) error {
	return db.Transaction(ctx, func(tx *DB) error {
		old, marked, err := tx.Restored(ctx)
		if err != nil {
			return err
		}
		why := "restored from a backup made at " + made.UTC().Format(time.RFC3339) + ": what was paid after that is not in this copy"
		if err := tx.q(ctx).Exec("UPDATE currencies SET frozen = ? WHERE frozen = ''", why).Error; err != nil {
			return translate(err)
		}
		if marked && old.Before(made) {
			return nil
		}
		return tx.SetSetting(ctx, restoredKey, made.UTC().Format(time.RFC3339Nano))
	})
}

// ConfirmRestored takes the mark away. Without one nothing happens.
func (db *DB) ConfirmRestored(ctx context.Context) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("key = ?", restoredKey).Delete(&setting{}).Error)
	})
}
