package storage

import (
	"context"
	"time"
)

// Kinds of keys: RSA-2048 signs requests, Ed25519 signs objects (FEP-8b32).
const (
	KeyRSA     = "rsa"
	KeyEd25519 = "ed25519"
)

// Key belongs to an actor. Private is PKCS#8 PEM, and "" for actors elsewhere;
// Public is SPKI PEM for RSA and a multibase Multikey (FEP-521a) for Ed25519.
type Key struct {
	IRI       IRI `gorm:"primaryKey"`
	ActorID   ID
	Kind      string
	Public    string
	Private   string
	CreatedAt time.Time
	RetiredAt *time.Time // signs no more
}

// KeyByIRI finds a key by its id, or ErrNotFound.
func (db *DB) KeyByIRI(ctx context.Context, iri IRI) (*Key, error) {
	var k Key
	return &k, db.take(ctx, &k, "iri = ?", iri)
}

// NewestKey is the id of the key of a kind that an actor of this node signs with now, or ErrNotFound.
func (db *DB) NewestKey(ctx context.Context, actor ID, kind string) (iri IRI, err error) {
	err = db.one(ctx, "SELECT iri FROM keys WHERE actor_id = ? AND kind = ? AND retired_at IS NULL ORDER BY created_at DESC, iri DESC LIMIT 1", []any{actor, kind}, &iri)
	return iri, err
}

// KeysOf lists an actor's keys in use, oldest first.
func (db *DB) KeysOf(ctx context.Context, actor ID) ([]Key, error) {
	var ks []Key
	return ks, translate(db.q(ctx).Where("actor_id = ? AND retired_at IS NULL", actor).Order("created_at, iri").Find(&ks).Error)
}

// SaveKey adds a key. ErrConflict when its id is taken.
func (db *DB) SaveKey(ctx context.Context, k *Key) error {
	return db.Transaction(ctx, func(tx *DB) error {
		k.CreatedAt = tx.Now().UTC()
		return translate(tx.q(ctx).Create(k).Error)
	})
}

// ReplaceKeys makes keys the only ones of an actor elsewhere. Those that she had until now stay known as retired, until the next ones are, so that who still signs with
// one can be told; when she is left with no keys, none stay.
func (db *DB) ReplaceKeys(ctx context.Context, actor ID, keys []Key) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if len(keys) == 0 {
			return translate(tx.q(ctx).Where("actor_id = ?", actor).Delete(&Key{}).Error)
		}
		ids := make([]IRI, len(keys))
		for i, k := range keys {
			ids[i] = k.IRI
		}
		if err := tx.q(ctx).Where("iri IN ? AND (actor_id = ? OR retired_at IS NOT NULL)", ids, actor).Delete(&Key{}).Error; err != nil {
			return translate(err)
		}
		left, err := tx.KeysOf(ctx, actor)
		if err != nil {
			return err
		}
		if len(left) != 0 {
			if err := tx.q(ctx).Where("actor_id = ? AND retired_at IS NOT NULL", actor).Delete(&Key{}).Error; err != nil {
				return translate(err)
			}
			if err := tx.q(ctx).Model(&Key{}).Where("actor_id = ?", actor).Update("retired_at", tx.Now().UTC()).Error; err != nil {
				return translate(err)
			}
		}
		for _, k := range keys {
			k.ActorID = actor
			if err := tx.SaveKey(ctx, &k); err != nil {
				return err
			}
		}
		return nil
	})
}

// RetireKey ends the use of a key of this node; it stays known, so that what it signed can be told apart.
func (db *DB) RetireKey(ctx context.Context, iri IRI) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Key{}).Where("iri = ?", iri).Update("retired_at", tx.Now().UTC()).Error)
	})
}
