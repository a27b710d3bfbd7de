package storage_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
)

// Giving up an id that had failed before leaves a sound book: the failure stands, and the log says that the id was given up.
func TestABookInWhichAFailedIDWasGivenUpIsSound(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, "ana", "bo")
		tooMuch := b.pay("1", "ana", "bo", 2_000_000)
		abort := ledger.Abort{ID: ledger.NewID("abort", "1"), Currency: b.c.Book.ID, Target: tooMuch.ID}
		rs, err := db.Ledger(context.Background(), ledger.Group{tooMuch}, ledger.Group{abort}, ledger.Group{tooMuch})
		b.must(err)
		if rs[0].Code != ledger.ExceedsFloor || rs[1].Code != ledger.OKCreated || rs[2].Reason() != ledger.ExceedsFloor {
			t.Fatalf("got %v", rs)
		}
		b.verify()
	})
}

// A claim that a hold of another currency keeps is free when that hold's time has passed, whether or not anybody swept it.
func TestAClaimIsFreeWhenTheHoldOfAnotherCurrencyHasExpired(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		var ahead atomic.Int64
		now := db.Now
		db.Now = func() time.Time { return now().Add(time.Duration(ahead.Load())) }
		b := newBooks(t, db, ledger.Mutual, "ana", "bo")
		ctx, iri := context.Background(), "https://coop.example/currencies/hrs"
		u := ledger.Currency{ID: ledger.NewID("currency", iri), IRI: iri, Code: "HRS", Kind: ledger.Hours, Rules: ledger.Preset(ledger.Hours, 1000)}
		ana, bo := u.NewAccount("ana", ledger.Member), u.NewAccount("bo", ledger.Member)
		b.must(db.CreateCurrency(ctx, &storage.Currency{ActorID: b.c.ActorID, Name: "Hours", Book: u}, ledger.Group{ana, bo}))
		bill := ledger.NewID("bill", "1")
		hold := ledger.Pay{ID: ledger.NewID("pay", "hold"), Currency: u.ID, Debit: ana.Account, Credit: bo.Account, Amount: 5, Pending: true, Timeout: time.Minute, Settles: bill}
		pay := b.pay("1", "ana", "bo", 100)
		pay.Settles = bill
		rs, err := db.Ledger(ctx, ledger.Group{hold})
		b.must(err)
		if rs[0].Code != ledger.OKCreated {
			t.Fatal(rs[0].Code)
		}
		ahead.Store(int64(2 * time.Minute))
		rs, err = db.Ledger(ctx, ledger.Group{pay})
		b.must(err)
		if rs[0].Code != ledger.OKCreated {
			t.Errorf("got %s", rs[0].Code)
		}
		b.verify()
	})
}
