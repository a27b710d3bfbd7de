package storage

import (
	"context"
	"time"
)

// DomainBlock says that ActorID, of this node, wants nothing to do with anybody of a domain, as Actor.Domain has it. Nobody else learns of it.
type DomainBlock struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID   ID
	Domain    string
	CreatedAt time.Time
}

// SaveDomainBlock adds one. fresh is false, and nothing is changed, when it is there already.
func (db *DB) SaveDomainBlock(ctx context.Context, b *DomainBlock) (fresh bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		b.ID, b.CreatedAt = tx.NewID(), tx.Now().UTC()
		fresh, err = tx.insert(ctx, b, "")
		return err
	})
	return fresh, err
}

// DeleteDomainBlock takes one back. ErrNotFound when there is none.
func (db *DB) DeleteDomainBlock(ctx context.Context, actor ID, domain string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return one(tx.q(ctx).Where("actor_id = ? AND domain = ?", actor, domain).Delete(&DomainBlock{}))
	})
}

// DomainBlocks lists the domains that an actor blocks, newest first.
func (db *DB) DomainBlocks(ctx context.Context, actor ID, p Page) ([]DomainBlock, error) {
	var bs []DomainBlock
	return bs, translate(p.of(db.q(ctx).Where("actor_id = ?", actor)).Find(&bs).Error)
}

// CountDomainBlocks counts the domains that an actor blocks.
func (db *DB) CountDomainBlocks(ctx context.Context, actor ID) (n int64, err error) {
	err = db.one(ctx, "SELECT COUNT(*) FROM domain_blocks WHERE actor_id = ?", []any{actor}, &n)
	return n, err
}

// DomainBlocked finds which of some actors are of a domain that an actor blocks.
func (db *DB) DomainBlocked(ctx context.Context, actor ID, among ...ID) (map[ID]bool, error) {
	out := map[ID]bool{}
	if len(among) == 0 {
		return out, nil
	}
	var ids []ID
	err := db.q(ctx).Model(&Actor{}).Where("id IN ? AND domain IN (SELECT domain FROM domain_blocks WHERE actor_id = ?)", padded(append([]ID(nil), among...)), actor).Pluck("id", &ids).Error
	for _, id := range ids {
		out[id] = true
	}
	return out, translate(err)
}

// FollowsWith finds the actors of a domain that an actor follows, and those that follow her, also those that only ask to.
func (db *DB) FollowsWith(ctx context.Context, actor ID, domain string) (followed, followers []Actor, err error) {
	err = db.q(ctx).Where("domain = ? AND id IN (SELECT target_id FROM follows WHERE actor_id = ?)", domain, actor).Order("id").Find(&followed).Error
	if err == nil {
		err = db.q(ctx).Where("domain = ? AND id IN (SELECT actor_id FROM follows WHERE target_id = ?)", domain, actor).Order("id").Find(&followers).Error
	}
	return followed, followers, translate(err)
}

// ForgetNewsFrom deletes what an actor was told of anybody of a domain, and its conversations whose last word is of there.
func (db *DB) ForgetNewsFrom(ctx context.Context, actor ID, domain string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if _, err := tx.run(ctx, "DELETE FROM notifications WHERE actor_id = ? AND from_id IN (SELECT id FROM actors WHERE domain = ?)", actor, domain); err != nil {
			return err
		}
		_, err := tx.run(ctx, `DELETE FROM conversations WHERE actor_id = ? AND last_post_id IN (SELECT p.id FROM posts p JOIN actors a ON a.id = p.actor_id WHERE a.domain = ? AND p.visibility = 'direct')`,
			actor, domain)
		return err
	})
}
