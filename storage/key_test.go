package storage_test

import (
	"errors"
	"fmt"
	"testing"

	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
)

func TestAKeyThatWasReplacedIsKnownUntilTheNextOneIs(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		ann, bob := actor(t, db, "ann", "far.example"), actor(t, db, "bob", "far.example")
		replace := func(a *storage.Actor, names ...string) {
			t.Helper()
			var keys []storage.Key
			for _, n := range names {
				keys = append(keys, storage.Key{IRI: storage.IRI("https://far.example/keys/" + n), Kind: storage.KeyEd25519, Public: n})
			}
			if err := db.ReplaceKeys(ctx, a.ID, keys); err != nil {
				t.Fatal(err)
			}
		}
		want := func(what string) {
			t.Helper()
			got := ""
			for _, n := range []string{"1", "2", "3", "4"} {
				k, err := db.KeyByIRI(ctx, storage.IRI("https://far.example/keys/"+n))
				switch {
				case errors.Is(err, storage.ErrNotFound):
					got += "-"
				case err != nil:
					t.Fatal(err)
				case k.RetiredAt != nil:
					got += "r"
				default:
					got += "k"
				}
			}
			if got != what {
				t.Errorf("got %s, want %s", got, what)
			}
		}
		replace(ann, "1")
		replace(ann, "1") // her document was read again
		want("k---")
		replace(ann, "2", "3")
		want("rkk-")
		replace(ann, "3", "2")
		want("rkk-")
		replace(ann, "4")
		want("-rrk")
		replace(ann, "2") // back to an old one
		want("-k-r")
		replace(bob, "4") // of the same host: what nobody uses may be another's
		want("-k-k")
		replace(ann)
		want("---k")
		if ks, err := db.KeysOf(ctx, bob.ID); err != nil || len(ks) != 1 {
			t.Errorf("bob has %v, %v", ks, err)
		}
	})
}

func TestLedgersOfAnActorAreThoseWhereSheHasPaidOrWasPaid(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		for i, host := range []string{"mint.example", "far.example", "idle.example"} {
			keeper := actor(t, db, "ledger", host)
			c := &storage.ForeignCurrency{IRI: storage.IRI("https://" + host + "/currencies/grn"), Ledger: keeper.IRI, Coop: keeper.IRI, Code: "GRN", Name: "Grain", Scale: 2, Kind: "mutual", Vkey: "v"}
			if err := db.SaveForeignCurrency(ctx, c); err != nil {
				t.Fatal(err)
			}
			for n, side := range []storage.IRI{"https://rye.example/users/bo", "https://rye.example/users/ana"} {
				if i == 2 {
					continue
				}
				id := ledger.NewID(host, fmt.Sprint(n))
				p := &storage.Payment{IRI: storage.IRI(fmt.Sprintf("https://rye.example/activities/%d%d", i, n)), UID: id[:], Currency: c.IRI, Payer: side, Payee: "https://rye.example/users/cleo", Amount: 1, Code: "payment", State: storage.PaymentSent}
				if i == 1 {
					p.Payer, p.Payee = p.Payee, p.Payer
				}
				if err := db.Transaction(ctx, func(tx *storage.DB) error { return tx.SavePayment(ctx, p) }); err != nil {
					t.Fatal(err)
				}
			}
		}
		for who, want := range map[storage.IRI]int{"https://rye.example/users/bo": 2, "https://rye.example/users/ana": 2, "https://rye.example/users/cleo": 2, "https://rye.example/users/nobody": 0} {
			if got, err := db.LedgersOf(ctx, who); err != nil || len(got) != want {
				t.Errorf("%s: got %v, %v, want %d", who, got, err, want)
			}
		}
	})
}
