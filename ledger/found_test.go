package ledger_test

import (
	"testing"

	"planet/ledger"
)

// What the simulator found (docs/simulation.md), each in its smallest form.

func opened(t *testing.T, codes ...string) (*ledger.Book, []ledger.Currency, *[]ledger.Entry) {
	t.Helper()
	book, log := ledger.NewBook(), new([]ledger.Entry)
	var cs []ledger.Currency
	for _, code := range codes {
		iri := "https://coop.example/currencies/" + code
		c := ledger.Currency{ID: ledger.NewID("currency", iri), IRI: iri, Code: code, Kind: ledger.Mutual, Rules: ledger.Preset(ledger.Mutual, 1000)}
		d, rs := book.Apply(year2026, ledger.Group{ledger.OpenCurrency{ID: ledger.NewID("act", code), Currency: c},
			c.NewAccount("ana", ledger.Member), c.NewAccount("bo", ledger.Member), c.NewAccount("fund", ledger.Commons)})
		if rs[0].Code != ledger.OKCreated {
			t.Fatal(rs[0].Code)
		}
		*log = append(*log, d.Entries...)
		cs = append(cs, c)
	}
	return book, cs, log
}

func payOf(c ledger.Currency, id string, amount ledger.Amount) ledger.Pay {
	return ledger.Pay{ID: ledger.NewID("act", id), Currency: c.ID, Debit: c.NewAccount("ana", ledger.Member).Account, Credit: c.NewAccount("bo", ledger.Member).Account, Amount: amount}
}

// A group of which the first command was there before is answered with that command's entry, now and when it is asked again.
func TestAGroupThatWasPartlyDoneHasOneAnswer(t *testing.T) {
	book, cs, _ := opened(t, "GRN")
	g := ledger.Group{cs[0].NewAccount("bo", ledger.Member), payOf(cs[0], "1", 5)}
	_, first := book.Apply(year2026+1e9, g)
	_, again := book.Apply(year2026+2e9, g)
	if first[0].Code != ledger.OKCreated || again[0].Code != ledger.OKExists || first[0].Seq != again[0].Seq || first[0].At != again[0].At {
		t.Errorf("got %+v, and again %+v", first[0], again[0])
	}
}

// Two restorations of one backup open two epochs, so that no two logs have one name.
func TestOneBackupRestoredTwiceOpensTwoEpochs(t *testing.T) {
	epoch := func(at ledger.Instant) uint32 {
		book, cs, log := opened(t, "GRN")
		d, rs := book.Apply(at, ledger.Group{ledger.Note{ID: ledger.NewID("act", "epoch"), Currency: cs[0].ID, Kind: ledger.NoteEpoch}})
		if rs[0].Code != ledger.OKCreated {
			t.Fatal(rs[0].Code)
		}
		again := ledger.NewBook()
		for _, e := range append(*log, d.Entries...) {
			if err := again.Replay(e); err != nil {
				t.Fatal(err)
			}
		}
		if again.Currencies[cs[0].ID] != book.Currencies[cs[0].ID] {
			t.Error("the log gives another epoch")
		}
		return book.Currencies[cs[0].ID].Epoch
	}
	if a, b := epoch(year2026+5e9), epoch(year2026+6e9); a == b || a == 0 {
		t.Errorf("got the epochs %d and %d", a, b)
	}
}
