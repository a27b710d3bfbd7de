package storage

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// Call is what an app asks for under a key of its own, as an actor. It is done once, however often it is asked for: rows are kept for ever.
type Call struct {
	ActorID   ID     `gorm:"primaryKey;autoIncrement:false"`
	Key       string `gorm:"primaryKey"`
	Digest    []byte // SHA-256 of what was asked for
	Attempt   ID     // who does it, or has done it
	Done      bool
	Object    IRI // what came of it; "" before
	CreatedAt time.Time
}

// BeginCall notes that an app asks for something under a key, unless it did before: then it finds how that stands. ErrConflict when it was something else.
func (db *DB) BeginCall(ctx context.Context, actor ID, key string, digest []byte) (*Call, error) {
	c := &Call{ActorID: actor, Key: key, Digest: digest, Attempt: db.NewID(), CreatedAt: db.Now().UTC()}
	err := db.Transaction(ctx, func(tx *DB) error {
		fresh, err := tx.insert(ctx, c, "actor_id, key")
		if err != nil || fresh {
			return err
		}
		var old Call
		if err := translate(tx.q(ctx).Where("actor_id = ? AND key = ?", actor, key).Take(&old).Error); err != nil {
			return err
		}
		if !bytes.Equal(old.Digest, digest) {
			return ErrConflict
		}
		c.Done, c.Object = old.Done, old.Object
		return nil
	})
	return c, err
}

// ErrDone says that what an app asks for was done at the same time, by the same call.
var ErrDone = errors.New("this was done at the same time")

// EndCall notes what came of a call, in the transaction that does it. ErrDone when another has done it meanwhile: then nothing may be done.
func (db *DB) EndCall(ctx context.Context, c *Call, object IRI) error {
	return db.Transaction(ctx, func(tx *DB) error {
		n, err := tx.run(ctx, "UPDATE calls SET done = TRUE, attempt = ?, object = ? WHERE actor_id = ? AND key = ? AND NOT done", c.Attempt, object, c.ActorID, c.Key)
		if err != nil || n == 1 {
			return err
		}
		var by ID
		if err := tx.one(ctx, "SELECT attempt FROM calls WHERE actor_id = ? AND key = ?", []any{c.ActorID, c.Key}, &by); err != nil {
			return err
		}
		if by != c.Attempt {
			return ErrDone
		}
		return nil // the same act is recorded twice
	})
}
