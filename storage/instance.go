package storage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm/clause"
)

type setting struct {
	Key   string `gorm:"primaryKey"`
	Value string
}

// Setting reads what the node knows of itself, or ErrNotFound.
func (db *DB) Setting(ctx context.Context, key string) (string, error) {
	var s setting
	err := translate(db.q(ctx).Where("key = ?", key).Take(&s).Error)
	return s.Value, err
}

// SetSetting writes what the node knows of itself.
func (db *DB) SetSetting(ctx context.Context, key, value string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&setting{key, value}).Error)
	})
}

// KeepSetting writes what the node knows of itself unless it knows that already, and returns what it knows: when several copies of it come at once, all are told the same.
func (db *DB) KeepSetting(ctx context.Context, key, value string) (kept string, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		if err := tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&setting{key, value}).Error; err != nil {
			return translate(err)
		}
		kept, err = tx.Setting(ctx, key)
		return err
	})
	return kept, err
}

// Peers lists the domains of the actors that are known, but for those whose every actor is suspended, by name.
func (db *DB) Peers(ctx context.Context) ([]string, error) {
	names := []string{}
	err := db.q(ctx).Raw("SELECT DISTINCT domain FROM actors WHERE domain <> '' AND suspended_at IS NULL AND deleted_at IS NULL ORDER BY domain").Scan(&names).Error
	return names, translate(err)
}

// Bustle is what happened on this node in a while: posts, people who did something, and people who joined.
type Bustle struct{ Posts, People, Joined int64 }

// BustleBetween counts from one moment to before another.
func (db *DB) BustleBetween(ctx context.Context, from, to time.Time) (b Bustle, err error) {
	first, last := firstID(from), firstID(to)
	err = db.one(ctx, `SELECT (SELECT COUNT(*) FROM posts p JOIN actors a ON a.id = p.actor_id WHERE a.domain = '' AND p.deleted_at IS NULL AND p.boost_of_id IS NULL AND p.id >= ? AND p.id < ?),
		(SELECT COUNT(DISTINCT user_id) FROM acts WHERE user_id <> 0 AND id >= ? AND id < ?), (SELECT COUNT(*) FROM users WHERE id >= ? AND id < ?)`,
		[]any{first, last, first, last, first, last}, &b.Posts, &b.People, &b.Joined)
	return b, err
}

// firstID is below every id that is drawn from a moment on, and above those from before.
func firstID(at time.Time) ID { return ID(at.UnixMilli() << 16) }

// Schema is the SQLite schema as one text, for the golden file that people read.
func (db *DB) Schema(ctx context.Context) (string, error) {
	var lines []string
	err := db.q(ctx).Raw("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%' ORDER BY tbl_name, type DESC, name").Scan(&lines).Error
	return strings.Join(lines, ";\n\n") + ";\n", translate(err)
}

// Check asks the database whether it is sound; the error says what is not.
func (db *DB) Check(ctx context.Context) error {
	if db.Dialect() != "sqlite" {
		return nil
	}
	var lines []string
	if err := db.q(ctx).Raw("PRAGMA integrity_check").Scan(&lines).Error; err != nil {
		return translate(err)
	}
	if len(lines) != 1 || lines[0] != "ok" {
		return fmt.Errorf("the database is damaged: %s", strings.Join(lines, "; "))
	}
	return nil
}

// Version names the database software and its version, for people.
func (db *DB) Version(ctx context.Context) (string, error) {
	var v string
	if db.dialect == "postgres" {
		err := db.q(ctx).Raw("SHOW server_version").Scan(&v).Error
		return "PostgreSQL " + v, translate(err)
	}
	err := db.q(ctx).Raw("SELECT sqlite_version()").Scan(&v).Error
	return "SQLite " + v, translate(err)
}
