package storage_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
)

// books is a node with a currency in which some members have accounts.
type books struct {
	*storage.DB
	t testing.TB
	c *storage.Currency
}

func newBooks(t testing.TB, db *storage.DB, kind ledger.Kind, members ...string) *books {
	t.Helper()
	b := &books{DB: db, t: t}
	ctx := context.Background()
	coop := storage.Actor{IRI: "https://coop.example/users/bakery", Type: "Organization", Username: "bakery"}
	b.must(db.Transaction(ctx, func(tx *storage.DB) error { return tx.Create(ctx, &coop.ID, &coop) }))
	iri := "https://coop.example/currencies/grn"
	u := ledger.Currency{ID: ledger.NewID("currency", iri), IRI: iri, Code: "GRN", Scale: 2, Kind: kind, Rules: ledger.Preset(kind, 1_000_000)}
	b.c = &storage.Currency{ActorID: coop.ID, Name: "Grain", Book: u}
	var g ledger.Group
	for _, m := range members {
		g = append(g, u.NewAccount("https://coop.example/users/"+m, ledger.Member))
	}
	b.must(db.CreateCurrency(ctx, b.c, g))
	return b
}

func (b *books) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *books) account(name string) ledger.ID {
	return ledger.NewID("account", b.c.Book.IRI, "https://coop.example/users/"+name)
}

func (b *books) pay(id, from, to string, amount ledger.Amount) ledger.Pay {
	return ledger.Pay{ID: ledger.NewID("pay", id), Currency: b.c.Book.ID, Debit: b.account(from), Credit: b.account(to), Amount: amount}
}

func (b *books) verify() storage.Verified {
	b.t.Helper()
	c, err := b.CurrencyByCode(context.Background(), "GRN")
	b.must(err)
	v, err := b.Verify(context.Background(), c)
	b.must(err)
	return v
}

func (b *books) balance(name string) int64 {
	b.t.Helper()
	a, err := b.Account(context.Background(), b.c, storage.IRI("https://coop.example/users/"+name))
	b.must(err)
	return a.Balance()
}

func TestPaymentsOfABatchStandInTheBook(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, "ana", "bo", "cleo")
		ctx := context.Background()
		var wg sync.WaitGroup
		for i := range 600 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				names := []string{"ana", "bo", "cleo"}
				r, err := db.Pay(ctx, storage.Submission{Currency: b.c.Book.ID, Group: ledger.Group{b.pay(fmt.Sprint(i), names[i%3], names[(i+1)%3], 100)}})
				if err != nil || r.Code != ledger.OKCreated {
					t.Errorf("payment %d: %s, %v", i, r.Code, err)
				}
			}()
		}
		wg.Wait()
		if v := b.verify(); v.Entries != 604 || v.Transfers != 600 {
			t.Errorf("got %+v", v)
		}
		s, more, err := db.Statement(ctx, b.account("ana"), time.Time{}, time.Time{}, 0)
		b.must(err)
		if len(s.Lines) != 400 || more || s.Closing != b.balance("ana") {
			t.Errorf("%d lines, more %t, closing %d, want %d", len(s.Lines), more, s.Closing, b.balance("ana"))
		}
	})
}
