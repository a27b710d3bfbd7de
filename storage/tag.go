package storage

import (
	"context"
	"strings"
)

// FollowedTag is a hashtag that an actor follows, or shows on its profile.
type FollowedTag struct {
	ID       ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID  ID
	Name     string // lower case, without #
	Featured bool   // shown, not followed
}

// FollowedTags lists the hashtags that an actor follows, or with featured those that it shows, newest first.
func (db *DB) FollowedTags(ctx context.Context, actor ID, featured bool, p Page) ([]FollowedTag, error) {
	var ts []FollowedTag
	err := p.of(db.q(ctx).Where("actor_id = ? AND featured = ?", actor, featured)).Find(&ts).Error
	return ts, translate(err)
}

// SaveFollowedTag adds one; ID is that of the row that is there.
func (db *DB) SaveFollowedTag(ctx context.Context, t *FollowedTag) error {
	return db.Transaction(ctx, func(tx *DB) error {
		t.ID = tx.NewID()
		if _, err := tx.insert(ctx, t, ""); err != nil {
			return err
		}
		return tx.take(ctx, t, "actor_id = ? AND name = ? AND featured = ?", t.ActorID, t.Name, t.Featured)
	})
}

// DeleteFollowedTag takes one away, by name.
func (db *DB) DeleteFollowedTag(ctx context.Context, actor ID, name string, featured bool) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("actor_id = ? AND name = ? AND featured = ?", actor, name, featured).Delete(&FollowedTag{}).Error)
	})
}

// SearchTags finds hashtags that begin with a word (lower case, without #), of posts that everybody may read: those of others are nobody else's to know.
func (db *DB) SearchTags(ctx context.Context, word string, limit int) (names []string, err error) {
	if word == "" {
		return nil, nil
	}
	like := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(word) + "%"
	err = translate(db.q(ctx).Raw(`SELECT DISTINCT h.name FROM hashtags h JOIN posts p ON p.id = h.post_id WHERE h.name LIKE ? ESCAPE '\' AND p.visibility IN ('public', 'unlisted') AND p.deleted_at IS NULL
		AND (SELECT a.suspended_at IS NULL AND a.silenced_at IS NULL FROM actors a WHERE a.id = p.actor_id) ORDER BY h.name LIMIT ?`, like, limit).Scan(&names).Error)
	return names, err
}

// TagUse counts the public and unlisted posts of an actor with a hashtag, and finds the newest.
func (db *DB) TagUse(ctx context.Context, actor ID, name string) (n int64, last ID, err error) {
	err = db.one(ctx, `SELECT COUNT(*), COALESCE(MAX(p.id), 0) FROM posts p JOIN hashtags h ON h.post_id = p.id
		WHERE p.actor_id = ? AND h.name = ? AND p.deleted_at IS NULL AND p.visibility IN ('public', 'unlisted')`, []any{actor, name}, &n, &last)
	return n, last, err
}
