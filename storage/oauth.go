package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// App is a program of somebody else's that acts for people.
type App struct {
	ID           ID `gorm:"primaryKey;autoIncrement:false"`
	ClientID     string
	SecretHash   string
	Name         string
	Website      string
	RedirectURIs []string `gorm:"column:redirect_uris;serializer:json"`
	Scopes       string   // what it may ask for at most, with spaces between
	CreatedAt    time.Time
}

// Grant is a code that an app may change into a token, once. The code itself is not kept.
type Grant struct {
	ID          ID `gorm:"primaryKey;autoIncrement:false"`
	Hash        string
	AppID       ID
	UserID      ID
	ActorID     ID // as whom
	RedirectURI string
	Scopes      string
	Challenge   string // of PKCE, S256; "" for none
	CreatedAt   time.Time
	UsedAt      *time.Time
}

// Token lets an app act for a user as an actor, or for itself. The token itself is not kept.
type Token struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	Hash      string
	AppID     ID // 0: made at the command line
	GrantID   ID // 0: no code was used
	UserID    ID // 0: of the app itself
	ActorID   ID // as whom; 0 likewise
	Scopes    string
	CreatedAt time.Time
	RevokedAt *time.Time
}

// SaveApp registers an app.
func (db *DB) SaveApp(ctx context.Context, a *App) error {
	return db.Transaction(ctx, func(tx *DB) error {
		a.ID, a.CreatedAt = tx.NewID(), tx.Now().UTC()
		return translate(tx.q(ctx).Create(a).Error)
	})
}

// AppByClientID finds an app by the name that it was given, or ErrNotFound.
func (db *DB) AppByClientID(ctx context.Context, clientID string) (*App, error) {
	var a App
	return &a, db.take(ctx, &a, "client_id = ?", clientID)
}

// AppByID finds an app, or ErrNotFound.
func (db *DB) AppByID(ctx context.Context, id ID) (*App, error) {
	var a App
	return &a, db.take(ctx, &a, "id = ?", id)
}

// SaveGrant keeps a code.
func (db *DB) SaveGrant(ctx context.Context, g *Grant) error {
	return db.Transaction(ctx, func(tx *DB) error {
		g.ID, g.CreatedAt = tx.NewID(), tx.Now().UTC()
		return translate(tx.q(ctx).Create(g).Error)
	})
}

// UseGrant changes a code into a token, once, when judge has nothing against it. A code that comes again ends what was given for it (RFC 6749 §4.1.2), and is ErrNotFound
// as one is that nobody knows.
func (db *DB) UseGrant(ctx context.Context, hash string, judge func(*Grant) error, t *Token) error {
	again := false
	err := db.Transaction(ctx, func(tx *DB) error {
		again = false
		var g Grant
		if err := tx.q(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("hash = ?", hash).Take(&g).Error; err != nil {
			return translate(err)
		}
		now := tx.Now().UTC()
		if g.UsedAt != nil {
			again = true
			return tx.endTokens(ctx, "grant_id = ?", g.ID)
		}
		if err := judge(&g); err != nil {
			return err
		}
		if err := tx.q(ctx).Model(&g).Update("used_at", now).Error; err != nil {
			return translate(err)
		}
		t.ID, t.CreatedAt, t.GrantID, t.AppID, t.UserID, t.ActorID, t.Scopes = tx.NewID(), now, g.ID, g.AppID, g.UserID, g.ActorID, g.Scopes
		return translate(tx.q(ctx).Create(t).Error)
	})
	if err == nil && again {
		return ErrNotFound
	}
	return err
}

// SaveToken adds a token.
func (db *DB) SaveToken(ctx context.Context, t *Token) error {
	return db.Transaction(ctx, func(tx *DB) error {
		t.ID, t.CreatedAt = tx.NewID(), tx.Now().UTC()
		return translate(tx.q(ctx).Create(t).Error)
	})
}

// TokenByHash finds a token in use, or ErrNotFound.
func (db *DB) TokenByHash(ctx context.Context, hash string) (*Token, error) {
	var t Token
	return &t, db.take(ctx, &t, "hash = ? AND revoked_at IS NULL", hash)
}

// endTokens ends the tokens in use that are where, and what they have subscribed to.
func (db *DB) endTokens(ctx context.Context, where string, args ...any) error {
	var ids []ID
	err := db.q(ctx).Model(&Token{}).Clauses(clause.Locking{Strength: "UPDATE"}).Where("revoked_at IS NULL").Where(where, args...).Pluck("id", &ids).Error
	if err != nil || len(ids) == 0 {
		return translate(err)
	}
	if err := db.q(ctx).Where("token_id IN ?", padded(ids)).Delete(&PushSubscription{}).Error; err != nil {
		return translate(err)
	}
	return translate(db.q(ctx).Model(&Token{}).Where("id IN ?", padded(ids)).Update("revoked_at", db.Now().UTC()).Error)
}

// TokenByID finds a token in use, or ErrNotFound.
func (db *DB) TokenByID(ctx context.Context, id ID) (*Token, error) {
	var t Token
	return &t, db.take(ctx, &t, "id = ? AND revoked_at IS NULL", id)
}

// RevokeToken ends one token of an app; that of another app stays (RFC 7009 §2.1).
func (db *DB) RevokeToken(ctx context.Context, hash string, app ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return tx.endTokens(ctx, "hash = ? AND app_id = ?", hash, app)
	})
}

// RevokeTokens ends all tokens of a user, and signs her out everywhere.
func (db *DB) RevokeTokens(ctx context.Context, user ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if err := tx.q(ctx).Where("user_id = ?", user).Delete(&Session{}).Error; err != nil {
			return translate(err)
		}
		if err := tx.q(ctx).Where("user_id = ? AND used_at IS NULL", user).Delete(&Grant{}).Error; err != nil {
			return translate(err)
		}
		return tx.endTokens(ctx, "user_id = ?", user)
	})
}

// RevokeTokensAs ends the tokens by which a user acts as an actor.
func (db *DB) RevokeTokensAs(ctx context.Context, user, actor ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if err := tx.q(ctx).Where("user_id = ? AND actor_id = ? AND used_at IS NULL", user, actor).Delete(&Grant{}).Error; err != nil {
			return translate(err)
		}
		return tx.endTokens(ctx, "user_id = ? AND actor_id = ?", user, actor)
	})
}

// PruneClients forgets codes that were not used in time, and apps that nobody uses: registered before a moment, with no token that holds.
func (db *DB) PruneClients(ctx context.Context, before time.Time) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if err := tx.q(ctx).Where("created_at < ?", before).Delete(&Grant{}).Error; err != nil {
			return translate(err)
		}
		if err := tx.q(ctx).Where("expires_at < ?", tx.Now().UTC()).Delete(&Session{}).Error; err != nil {
			return translate(err)
		}
		if err := tx.q(ctx).Where("created_at < ?", before).Delete(&idempotencyKey{}).Error; err != nil {
			return translate(err)
		}
		return translate(tx.q(ctx).Where("created_at < ? AND NOT EXISTS (SELECT 1 FROM tokens t WHERE t.app_id = apps.id AND t.revoked_at IS NULL)", before).Delete(&App{}).Error)
	})
}
