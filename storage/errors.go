package storage

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"
	"gorm.io/gorm"
)

// What callers of this package decide on. Everything else (a full disk, a lost connection) comes back as the driver's error, wrapped.
var (
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("not found")
	// ErrConflict: another row holds the same id, name or other unique value.
	ErrConflict = errors.New("already exists")
	// ErrClosed: the database was closed before the transaction had its turn; nothing of it was stored.
	ErrClosed = errors.New("database is closed")
	// ErrBusy: too many transactions wait already, or another copy of the node held a row for too long; nothing of this one was stored, and
	// it may be tried again later.
	ErrBusy = errors.New("the database is busy")
	// ErrUnknown: the connection was lost or the disk failed during COMMIT, so the transaction is stored as a whole or not at all, and nobody can say which.
	ErrUnknown = errors.New("lost during commit")
	// ErrBroken: the disk failed during a COMMIT before; nothing was stored, and nothing will be until the database is opened anew.
	ErrBroken = errors.New("the disk failed and nothing is written any more: see to the disk, then start the node again, which checks its books")
)

var (
	errRolledBack = errors.New("the database rolled the transaction back")
	errOver       = errors.New("transaction handle used after its end")
)

// translate turns the errors of gorm and of the drivers into ErrNotFound and ErrConflict, and hands on any other.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, gorm.ErrRecordNotFound), errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case errors.Is(err, ErrConflict):
		return err
	case errors.Is(err, gorm.ErrDuplicatedKey), duplicate(err):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}

// lockTimeout reports whether PostgreSQL gave up waiting for a row that another transaction holds.
func lockTimeout(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55P03" // lock_not_available
}

// duplicate is gorm.ErrDuplicatedKey where a statement goes past gorm.
func duplicate(err error) bool {
	var lite sqlite3.Error
	if errors.As(err, &lite) {
		return lite.ExtendedCode == sqlite3.ErrConstraintUnique || lite.ExtendedCode == sqlite3.ErrConstraintPrimaryKey
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505" // unique_violation
}

// spoils reports whether after err the transactions that share a commit cannot be trusted any more: SQLite may have rolled all of them
// back (https://www.sqlite.org/lang_transaction.html §3), and PostgreSQL wants the whole transaction repeated.
func spoils(err error) bool {
	var lite sqlite3.Error
	if errors.As(err, &lite) {
		switch lite.Code {
		case sqlite3.ErrFull, sqlite3.ErrIoErr, sqlite3.ErrNomem, sqlite3.ErrInterrupt, sqlite3.ErrCorrupt, sqlite3.ErrCantOpen, sqlite3.ErrProtocol:
			return true
		}
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "57014" || collided(err)) // query_canceled
}

// diskFailed reports whether err, of a COMMIT, leaves it open what is on the disk: SQLite could not write or fsync it.
func diskFailed(err error) bool {
	var lite sqlite3.Error
	return errors.As(err, &lite) && (lite.Code == sqlite3.ErrIoErr || lite.Code == sqlite3.ErrCorrupt)
}

// collided reports whether another copy of the node was in the way (serialization_failure, deadlock_detected), so that trying again helps.
func collided(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// refused reports whether the database itself said no, as against a connection that broke while it may have said yes.
func refused(err error) bool {
	var pg *pgconn.PgError
	var lite sqlite3.Error
	return errors.As(err, &lite) || errors.As(err, &pg)
}
