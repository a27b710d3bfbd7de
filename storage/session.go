package storage

import (
	"context"
	"time"
)

// Session is a person signed in with a browser. What her cookie holds is not kept.
type Session struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	Hash      string
	UserID    ID
	CreatedAt time.Time
	ExpiresAt time.Time
}

// SaveSession signs somebody in.
func (db *DB) SaveSession(ctx context.Context, s *Session) error {
	return db.Transaction(ctx, func(tx *DB) error {
		s.ID, s.CreatedAt = tx.NewID(), tx.Now().UTC()
		return translate(tx.q(ctx).Create(s).Error)
	})
}

// SessionByHash finds a session that has not ended, or ErrNotFound.
func (db *DB) SessionByHash(ctx context.Context, hash string) (*Session, error) {
	var s Session
	return &s, db.take(ctx, &s, "hash = ? AND expires_at > ?", hash, db.Now().UTC())
}

// DeleteSession signs out.
func (db *DB) DeleteSession(ctx context.Context, hash string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("hash = ?", hash).Delete(&Session{}).Error)
	})
}
