package storage

import (
	"context"
	"time"
)

// idempotencyKey is what an app has asked for under a key of its own.
type idempotencyKey struct {
	ActorID   ID     `gorm:"primaryKey;autoIncrement:false"`
	Key       string `gorm:"primaryKey"`
	ObjectID  ID
	CreatedAt time.Time
}

// TableName keeps gorm from guessing.
func (idempotencyKey) TableName() string { return "idempotency_keys" }

// keyLife is for how long an app gets the same for the same key; Mastodon's is an hour as well.
const keyLife = time.Hour

// MadeUnder is what came of what an actor has asked for under a key within the last hour, or ErrNotFound.
func (db *DB) MadeUnder(ctx context.Context, actor ID, key string) (object ID, err error) {
	err = db.one(ctx, "SELECT object_id FROM idempotency_keys WHERE actor_id = ? AND key = ? AND created_at > ?", []any{actor, key, db.Now().UTC().Add(-keyLife)}, &object)
	return object, err
}

// KeepKey notes what came of what an actor asks for under a key, in the transaction that makes it. ErrConflict when another copy of the node has just made something under it.
func (db *DB) KeepKey(ctx context.Context, actor ID, key string, object ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		if _, err := tx.run(ctx, "DELETE FROM idempotency_keys WHERE actor_id = ? AND key = ? AND created_at <= ?", actor, key, now.Add(-keyLife)); err != nil {
			return err
		}
		fresh, err := tx.insert(ctx, &idempotencyKey{actor, key, object, now}, "")
		if err == nil && !fresh {
			err = ErrConflict
		}
		return err
	})
}

// MoveKey lets a key that made one thing stand for what has become of it.
func (db *DB) MoveKey(ctx context.Context, actor, from, to ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		_, err := tx.run(ctx, "UPDATE idempotency_keys SET object_id = ? WHERE actor_id = ? AND object_id = ?", to, actor, from)
		return err
	})
}
