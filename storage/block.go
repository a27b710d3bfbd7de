package storage

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm/clause"
)

// Block says that ActorID wants nothing to do with TargetID. There is one row for each pair and direction.
type Block struct {
	ID        ID  `gorm:"primaryKey;autoIncrement:false"`
	IRI       IRI // of the Block activity
	ActorID   ID
	TargetID  ID
	CreatedAt time.Time
}

// Mute says that ActorID, of this node, does not want to read TargetID. Nobody else learns of it.
type Mute struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID   ID
	TargetID  ID
	ExpiresAt *time.Time
	CreatedAt time.Time
}

// SaveBlock adds a block. fresh is false, and nothing is changed, when there is one already.
func (db *DB) SaveBlock(ctx context.Context, b *Block) (fresh bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		b.ID, b.CreatedAt = tx.NewID(), tx.Now().UTC()
		r := tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(b)
		fresh = r.RowsAffected == 1
		return translate(r.Error)
	})
	return fresh, err
}

// BlockBetween finds the block of target by actor, or ErrNotFound.
func (db *DB) BlockBetween(ctx context.Context, actor, target ID) (*Block, error) {
	var b Block
	return &b, translate(db.q(ctx).Where("actor_id = ? AND target_id = ?", actor, target).Take(&b).Error)
}

// BlockByIRI finds a block by the id of its activity, or ErrNotFound.
func (db *DB) BlockByIRI(ctx context.Context, iri IRI) (*Block, error) {
	var b Block
	return &b, translate(db.q(ctx).Where("iri = ?", iri).Take(&b).Error)
}

// DeleteBlock forgets a block.
func (db *DB) DeleteBlock(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("id = ?", id).Delete(&Block{}).Error)
	})
}

// Blocked reports whether either of two actors blocks the other.
func (db *DB) Blocked(ctx context.Context, a, b ID) (bool, error) {
	var n int64
	err := db.one(ctx, "SELECT count(*) FROM blocks WHERE actor_id = ? AND target_id = ? OR actor_id = ? AND target_id = ?", []any{a, b, b, a}, &n)
	return n > 0, err
}

// Blocks lists whom an actor blocks, newest first.
func (db *DB) Blocks(ctx context.Context, actor ID, p Page) ([]Block, error) {
	var bs []Block
	return bs, translate(p.of(db.q(ctx).Where("actor_id = ?", actor)).Find(&bs).Error)
}

// Deaf reports whether the actor listener does not want to hear of the actor speaker: one of both blocks the other, or she is muted, or of a domain that listener blocks.
func (db *DB) Deaf(ctx context.Context, listener, speaker ID) (deaf bool, err error) {
	err = db.one(ctx, `SELECT EXISTS (SELECT 1 FROM blocks WHERE actor_id = ? AND target_id = ?)
		OR EXISTS (SELECT 1 FROM blocks WHERE actor_id = ? AND target_id = ?)
		OR EXISTS (SELECT 1 FROM mutes WHERE actor_id = ? AND target_id = ? AND (expires_at IS NULL OR expires_at > ?))
		OR EXISTS (SELECT 1 FROM domain_blocks d JOIN actors a ON a.domain = d.domain WHERE d.actor_id = ? AND a.id = ?)`,
		[]any{listener, speaker, speaker, listener, listener, speaker, db.Now().UTC(), listener, speaker}, &deaf)
	return deaf, err
}

// SaveMute adds a mute, or gives the pair's mute another end.
func (db *DB) SaveMute(ctx context.Context, m *Mute) error {
	return db.Transaction(ctx, func(tx *DB) error {
		m.ID, m.CreatedAt = tx.NewID(), tx.Now().UTC()
		return translate(tx.q(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "actor_id"}, {Name: "target_id"}},
			DoUpdates: clause.AssignmentColumns([]string{"expires_at"})}).Create(m).Error)
	})
}

// DeleteMute takes a mute back. ErrNotFound when there is none.
func (db *DB) DeleteMute(ctx context.Context, actor, target ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		r := tx.q(ctx).Where("actor_id = ? AND target_id = ?", actor, target).Delete(&Mute{})
		if r.Error == nil && r.RowsAffected == 0 {
			return ErrNotFound
		}
		return translate(r.Error)
	})
}

// Muted reports whether an actor has muted another for now.
func (db *DB) Muted(ctx context.Context, actor, target ID) (bool, error) {
	var n int
	err := db.one(ctx, "SELECT COUNT(*) FROM mutes WHERE actor_id = ? AND target_id = ? AND (expires_at IS NULL OR expires_at > ?)", []any{actor, target, db.Now().UTC()}, &n)
	return n > 0, err
}

// Mutes lists whom an actor mutes now, newest first.
func (db *DB) Mutes(ctx context.Context, actor ID, p Page) ([]Mute, error) {
	var ms []Mute
	return ms, translate(p.of(db.q(ctx).Where("actor_id = ? AND (expires_at IS NULL OR expires_at > ?)", actor, db.Now().UTC())).Find(&ms).Error)
}

type mutedConversation struct {
	ActorID      ID     `gorm:"primaryKey;autoIncrement:false"`
	Conversation string `gorm:"primaryKey"`
}

// MuteConversation keeps an actor from hearing of a conversation, or lets it hear again.
func (db *DB) MuteConversation(ctx context.Context, actor ID, conversation string, mute bool) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if !mute {
			return translate(tx.q(ctx).Where("actor_id = ? AND conversation = ?", actor, conversation).Delete(&mutedConversation{}).Error)
		}
		return translate(tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&mutedConversation{actor, conversation}).Error)
	})
}

// MutedConversations finds which of some conversations an actor does not hear of.
func (db *DB) MutedConversations(ctx context.Context, actor ID, among []string) (map[string]bool, error) {
	out := map[string]bool{}
	if len(among) == 0 {
		return out, nil
	}
	const query = "SELECT conversation FROM muted_conversations WHERE actor_id = ? AND conversation IN ?"
	return out, db.spread(ctx, query, []any{actor, padded(append([]string(nil), among...))}, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		out[name] = true
		return err
	})
}
