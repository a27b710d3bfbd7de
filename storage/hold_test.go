package storage_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
	"planet/storage/storagetest"
)

// Whoever notices that a hold ran out, the loop or another payment, its payment says so.
func TestHoldsThatRunOutEndTheirPayments(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, "ana", "bo")
		ctx, now := context.Background(), time.Now()
		db.Now = func() time.Time { return now }
		hold := func(id string) *storage.Payment {
			t.Helper()
			pay := b.pay(id, "ana", "bo", 100)
			pay.Pending, pay.Timeout = true, time.Minute
			p := &storage.Payment{IRI: storage.IRI("https://coop.example/activities/" + id), UID: pay.ID[:], CurrencyID: b.c.ID, Payer: "https://coop.example/users/ana",
				Payee: "https://coop.example/users/bo", Amount: 100, Code: "payment", Memo: "for " + id, State: storage.PaymentHeld}
			_, err := db.Pay(ctx, storage.Submission{Currency: b.c.Book.ID, Group: ledger.Group{pay}, Rows: func(ledger.Result) storage.Rows {
				return storage.Rows{Payments: []*storage.Payment{p}, Acts: []*storage.Act{{ActorID: b.c.ActorID, Kind: "payment.hold", Object: p.IRI}}}
			}})
			b.must(err)
			return p
		}
		state := func(p *storage.Payment) string {
			t.Helper()
			kept, err := db.PaymentByID(ctx, p.ID)
			b.must(err)
			if (kept.SettledAt != nil) != (kept.State == storage.PaymentExpired) {
				t.Errorf("%s settled at %v", kept.State, kept.SettledAt)
			}
			return kept.State
		}
		expire := func(limit int) int {
			t.Helper()
			c, err := db.CurrencyByID(ctx, b.c.ID)
			b.must(err)
			n, err := db.Expire(ctx, c, limit)
			b.must(err)
			return n
		}
		one, two, three := hold("one"), hold("two"), hold("three")
		if n := expire(10); n != 0 || state(one) != storage.PaymentHeld {
			t.Errorf("%d ran out before their time", n)
		}
		now = now.Add(2 * time.Minute)
		if n := expire(1); n != 1 || state(one) != storage.PaymentExpired || state(two) != storage.PaymentHeld {
			t.Errorf("%d ran out, want the first", n)
		}
		_, err := db.Ledger(ctx, ledger.Group{b.pay("four", "ana", "bo", 1)}) // sweeps first
		b.must(err)
		if state(two) != storage.PaymentExpired || state(three) != storage.PaymentExpired || expire(10) != 0 {
			t.Errorf("got %s and %s, want both expired", state(two), state(three))
		}
		if acts, err := db.Acts(ctx, b.c.ActorID, storage.Page{Limit: 10}); err != nil || len(acts) != 3 || acts[0].Object != three.IRI {
			t.Errorf("got the acts %+v, %v", acts, err)
		}
		c, err := db.CurrencyByID(ctx, b.c.ID)
		b.must(err)
		if memos, err := db.Memos(ctx, c); err != nil || len(memos) != 3 || memos[three.Transfer()] != "for three" {
			t.Errorf("got the words %v, %v", memos, err)
		}
		b.must(db.Freeze(ctx, c.ID, "for a test"))
		now = now.Add(time.Hour)
		if n, err := db.Expire(ctx, c, 10); err != nil || n != 0 { // nothing is due
			t.Errorf("got %d, %v", n, err)
		}
		b.must(db.Thaw(ctx, c.ID))
		b.verify()
		if err := db.Continues(ctx, c, proof.Checkpoint{Origin: c.Origin(), Size: 100}); err == nil || !errors.As(err, new(*storage.DamageError)) {
			t.Errorf("got %v", err)
		}
	})
}
