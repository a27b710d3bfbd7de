package storage

import (
	"context"
	"fmt"
	"strings"
	"time"

	"planet/ledger"
	"planet/ledger/proof"
)

// RolledBack and Forked begin the reason of a currency that is frozen because somebody keeps a checkpoint of a longer log, or of another one: both
// are signed by its key, so it goes on in a new epoch alone (Resume).
const (
	RolledBack = "rolled back: "
	Forked     = "fork: "
)

// contradicted says whether a currency is frozen because its log is not the one that it vouched for.
func contradicted(frozen string) bool {
	return strings.HasPrefix(frozen, RolledBack) || strings.HasPrefix(frozen, Forked)
}

// Reason is why a currency with this damage is frozen.
func (e *DamageError) Reason() string {
	if contradicted(e.What) {
		return e.What
	}
	return e.Error()
}

// Continues compares the log with a checkpoint that somebody kept. The caller has checked its signature, by the key of VkeyAt. A *DamageError says that the
// log is shorter now (the book was rolled back, F22) or another one (a fork, F50). Of an epoch that has ended, the log need only hold what the next one took over.
func (db *DB) Continues(ctx context.Context, c *Currency, cp proof.Checkpoint) error {
	damage := func(format string, args ...any) error {
		return &DamageError{Code: c.Book.Code, Seq: NoEntry, What: fmt.Sprintf(format, args...)}
	}
	o, err := proof.ParseOrigin(cp.Origin)
	if err != nil {
		return err
	}
	size := int64(c.Book.Next)
	if o.Epoch <= c.Book.Epoch {
		if size, err = db.endOfEpoch(ctx, c, o.Epoch-1); err != nil {
			return err
		}
		if cp.Size > size {
			return fmt.Errorf("epoch %d had %d entries or more, and the next one goes on after %d of them: entries %d to %d are not in this book, by the decision in its entry %d",
				o.Epoch, cp.Size, size, size, cp.Size-1, size)
		}
	}
	if cp.Size > size {
		return damage(RolledBack+"a checkpoint that this currency signed has %d entries, and there are %d now: %d are gone", cp.Size, size, cp.Size-size)
	}
	then := *c
	then.Book.Next = ledger.Seq(cp.Size)
	root, err := db.tree(ctx, &then).Root()
	if err != nil {
		return fmt.Errorf("root of the first %d entries of %s: %w", cp.Size, c.Book.Code, err)
	}
	if ended := o.Epoch <= c.Book.Epoch; root != cp.Root && ended {
		return fmt.Errorf("in epoch %d, which has ended, the first %d entries of %s had the root %s, and have %s now: the history was rewritten", o.Epoch, cp.Size, c.Book.Code, cp.Root, root)
	} else if root != cp.Root {
		return damage(Forked+"its first %d entries had the root %s when it signed a checkpoint of them, and have %s now: the history was rewritten", cp.Size, cp.Root, root)
	}
	return nil
}

// endOfEpoch is how many entries there were when an epoch, as ledger.Currency counts it, ended: the place of the note that opened the next.
func (db *DB) endOfEpoch(ctx context.Context, c *Currency, epoch uint32) (size int64, err error) {
	now, found := uint32(0), false
	err = db.EachEntry(ctx, c, 0, func(e ledger.Entry, _ bool) error {
		if note, ok := e.Cmd.(ledger.Note); ok && note.Kind == ledger.NoteEpoch {
			if now == epoch {
				size, found = int64(e.Seq), true
			}
			now = ledger.NextEpoch(now, e.At)
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("this book of %s has no epoch %d: it comes from a backup that was made before that began", c.Book.Code, epoch+1)
	}
	return size, err
}

// Resume lets a frozen currency be written again, once the whole book has been verified: what is damaged stays frozen. A book that came out of a backup
// goes on in a new epoch, under a new name of its log: payments made after the backup are not in this copy, and signing over their places under the old
// name would contradict checkpoints that members hold (F22). decision says who decided that.
func (db *DB) Resume(ctx context.Context, c *Currency, decision string) error {
	if _, err := db.verify(ctx, c, ""); err != nil {
		return err
	}
	return db.Transaction(ctx, func(tx *DB) error {
		was, err := tx.currencyByUID(ctx, c.Book.ID)
		if err != nil || was.Frozen == "" {
			return err
		}
		if was.Book.Next != c.Book.Next {
			return fmt.Errorf("%s was written while it was verified: %w", c.Book.Code, ErrConflict)
		}
		if err := tx.Thaw(ctx, c.ID); err != nil {
			return err
		}
		made, restored, err := tx.Restored(ctx)
		if err != nil || !restored && !contradicted(was.Frozen) {
			return err
		}
		why := strings.TrimSpace(was.Frozen)
		if restored {
			why = "restored from a backup made at " + made.UTC().Format(time.RFC3339)
		}
		body := fmt.Sprintf("%s\ndecision %s\n\n%s", why, decision, was.Checkpoint)
		results, err := tx.Ledger(ctx, ledger.Group{ledger.Note{ID: ledger.NewID("epoch", c.Book.IRI, fmt.Sprint(was.Book.Epoch+1), fmt.Sprint(was.Book.Next)),
			Currency: c.Book.ID, Kind: ledger.NoteEpoch, Body: []byte(body)}})
		if err != nil {
			return err
		}
		if err := results[0].Err(); err != nil {
			return err
		}
		var frozen int64
		if err := tx.one(ctx, "SELECT count(*) FROM currencies WHERE frozen <> ''", nil, &frozen); err != nil || frozen > 0 || !restored {
			return err
		}
		return tx.ConfirmRestored(ctx)
	})
}

// Freeze stops all writing to a currency until Thaw, and says why. The first reason stays.
func (db *DB) Freeze(ctx context.Context, id ID, why string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Exec("UPDATE currencies SET frozen = ? WHERE id = ? AND frozen = ''", why, id).Error)
	})
}

// Thaw lets a currency be written again. Whoever calls it has verified it.
func (db *DB) Thaw(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Exec("UPDATE currencies SET frozen = '' WHERE id = ?", id).Error)
	})
}
