package storage

import (
	"context"
	"errors"

	"gorm.io/gorm/clause"
)

// accountNote is what somebody wrote down about somebody else, for herself.
type accountNote struct {
	ActorID  ID `gorm:"primaryKey;autoIncrement:false"`
	TargetID ID `gorm:"primaryKey;autoIncrement:false"`
	Text     string
}

// NoteAbout is what an actor wrote down about another; "" for nothing.
func (db *DB) NoteAbout(ctx context.Context, actor, target ID) (text string, err error) {
	err = db.one(ctx, "SELECT text FROM account_notes WHERE actor_id = ? AND target_id = ?", []any{actor, target}, &text)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return text, err
}

// SaveNoteAbout writes down something about another, or with "" forgets it.
func (db *DB) SaveNoteAbout(ctx context.Context, actor, target ID, text string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if text == "" {
			return translate(tx.q(ctx).Where("actor_id = ? AND target_id = ?", actor, target).Delete(&accountNote{}).Error)
		}
		return translate(tx.q(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&accountNote{actor, target, text}).Error)
	})
}
