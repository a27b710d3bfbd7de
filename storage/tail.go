package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"planet/ledger"
	"planet/ledger/proof"
)

// CheckBooks is what a node does with its money before it starts: for every currency the head, the newest entries, and whether the books balance.
// What is damaged is frozen and comes back; the rest of the node goes on. Verify is the whole check.
func (db *DB) CheckBooks(ctx context.Context) ([]*DamageError, error) {
	cs, err := db.Currencies(ctx)
	if err != nil {
		return nil, err
	}
	var found []*DamageError
	for _, c := range cs {
		kept := db.keptHead(c.Book.Code)
		err := db.moment(ctx, func(tx *DB) error {
			if err := tx.checkTail(ctx, c.ID); err != nil {
				return err
			}
			now, err := tx.currencyByID(ctx, c.ID)
			if err != nil {
				return err
			}
			return tx.checkKept(ctx, now, kept)
		})
		var damage *DamageError
		switch {
		case errors.As(err, &damage):
			found = append(found, damage)
			if err := db.Freeze(ctx, c.ID, damage.Reason()); err != nil {
				return found, err
			}
		case err != nil:
			return found, err
		}
	}
	return found, nil
}

// tail is how many of the newest entries are looked at when a node starts.
const tail = 1000

// checkTail runs within a moment.
func (db *DB) checkTail(ctx context.Context, id ID) error {
	c, err := db.currencyByID(ctx, id)
	if err != nil {
		return err
	}
	v := &verifier{db: db, c: c}
	size := int64(c.Book.Next)
	f, err := proof.ParseFrontier(c.frontier)
	if err != nil {
		return v.damage(NoEntry, "%v", err)
	}
	if f.Size() != size {
		return v.damage(NoEntry, "its frontier is of %d entries, it has %d", f.Size(), size)
	}
	if err := c.checkHead(size, f.Root()); err != nil {
		return v.damage(NoEntry, "%v", err)
	}
	switch root, err := db.tree(ctx, c).Root(); {
	case errors.Is(err, ErrNotFound), errors.Is(err, proof.ErrMalformed):
		return v.damage(NoEntry, "the root that was signed cannot be made of the newest entries and tiles: %v", err)
	case err != nil:
		return err
	case root != f.Root():
		return v.damage(NoEntry, "the newest entries and tiles do not give the root that was signed")
	}
	n, from := max(size-tail, 0), max(size-tail, 0)
	after := map[ledger.ID]int64{}
	err = db.eachEntry(ctx, c, from, func(seq int64, text, salt, opening []byte) error {
		at := ledger.Seq(n)
		if seq != n || opening == nil {
			return v.damage(at, "it, or its opening, is missing")
		}
		n++
		leaf, err := proof.ParseLeaf(text)
		if err == nil && leaf.Seq != uint64(seq) {
			err = fmt.Errorf("it calls itself entry %d", leaf.Seq)
		}
		if err == nil && len(salt) == 32 {
			err = leaf.CheckOpening([32]byte(salt), opening)
		}
		var e ledger.Entry
		if err == nil {
			e, err = ledger.ParseEntry(append(headOf(text), opening...))
		}
		if err != nil {
			return v.damage(at, "%v", err)
		}
		if !e.Debit.IsZero() {
			after[e.Debit], after[e.Credit] = e.DebitAfter, e.CreditAfter
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n != size {
		return v.damage(ledger.Seq(n), "it is missing: the book says that it has %d entries", size)
	}
	for id, want := range after {
		var got int64
		switch err := db.one(ctx, "SELECT credits_posted - debits_posted FROM accounts WHERE uid = ?", []any{id[:]}, &got); {
		case errors.Is(err, ErrNotFound):
			return v.damage(NoEntry, "the account %s is missing", id)
		case err != nil:
			return err
		case got != want:
			return v.damage(NoEntry, "the account %s stands at %d, its newest entry left %d", id, got, want)
		}
	}
	var posted, pending sql.NullFloat64 // exact where it matters: at zero
	if err := db.one(ctx, "SELECT sum(credits_posted - debits_posted), sum(credits_pending - debits_pending) FROM accounts WHERE currency_id = ?", []any{c.ID}, &posted, &pending); err != nil {
		return err
	}
	if posted.Float64 != 0 || pending.Float64 != 0 {
		return v.damage(NoEntry, "its balances sum to %.0f, and what is held to %.0f, instead of 0", posted.Float64, pending.Float64)
	}
	return nil
}
