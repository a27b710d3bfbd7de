package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// Activity is what was received or sent, byte for byte.
type Activity struct {
	ID       ID `gorm:"primaryKey;autoIncrement:false"`
	IRI      IRI
	ActorIRI IRI
	Type     string
	Object   IRI
	Digest   string // SHA-256 of an Update's bytes in hex, "" otherwise: servers reuse the id for another edit
	Local    bool
	Public   bool
	Raw      []byte
	SeenAt   time.Time
}

// SaveActivity records an activity. fresh is false when this actor sent this id before, and nothing is changed.
func (db *DB) SaveActivity(ctx context.Context, a *Activity) (fresh bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) (err error) {
		if a.ID == 0 {
			a.ID = tx.NewID()
		}
		a.SeenAt = tx.Now().UTC()
		fresh, err = tx.insert(ctx, a, "iri, actor_iri, digest")
		return err
	})
	return fresh, err
}

// ActivityByIRI finds an activity of this node by its id, or ErrNotFound.
func (db *DB) ActivityByIRI(ctx context.Context, iri IRI) (*Activity, error) {
	var a Activity
	return &a, translate(db.q(ctx).Where("iri = ? AND local", iri).Order("id DESC").Take(&a).Error)
}

// ActivityByID finds an activity by the id of its row, or ErrNotFound.
func (db *DB) ActivityByID(ctx context.Context, id ID) (*Activity, error) {
	var a Activity
	return &a, translate(db.q(ctx).Where("id = ?", id).Take(&a).Error)
}

// CountActivities counts the stored activities with this id by this actor: 0 or 1, and more only for Updates.
func (db *DB) CountActivities(ctx context.Context, iri, actor IRI) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&Activity{}).Where("iri = ? AND actor_iri = ?", iri, actor).Count(&n).Error)
}

// Tombstone marks an id that is gone, and who said so.
type Tombstone struct {
	IRI       IRI `gorm:"primaryKey"`
	ActorIRI  IRI `gorm:"primaryKey"`
	CreatedAt time.Time
}

// SaveTombstone remembers that actor deleted iri.
func (db *DB) SaveTombstone(ctx context.Context, iri, actor IRI) error {
	return db.Transaction(ctx, func(tx *DB) error {
		t := Tombstone{IRI: iri, ActorIRI: actor, CreatedAt: tx.Now().UTC()}
		return translate(tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&t).Error)
	})
}

// Tombstoned reports whether actor deleted iri before.
func (db *DB) Tombstoned(ctx context.Context, iri, actor IRI) (bool, error) {
	var n int64
	err := db.one(ctx, "SELECT count(*) FROM tombstones WHERE iri = ? AND actor_iri = ?", []any{iri, actor}, &n)
	return n > 0, err
}
