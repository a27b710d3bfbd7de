package ledger_test

import (
	"testing"

	"planet/ledger"
)

const year2026 ledger.Instant = 1_767_225_600_000_000_000

// A bakery's afternoon: a payment, a payment too large, a refund; the log says it all again.
func TestAnAfternoonAtTheBakery(t *testing.T) {
	iri := "https://coop.example/currencies/grn"
	grain := ledger.Currency{ID: ledger.NewID("currency", iri), IRI: iri, Code: "GRN", Scale: 2, Kind: ledger.Mutual, Rules: ledger.Preset(ledger.Mutual, 100_00)}
	bakery, pat := grain.NewAccount("https://coop.example/users/bakery", ledger.Member), grain.NewAccount("https://b.example/u/pat", ledger.Member)
	book := ledger.NewBook()
	var log []ledger.Entry
	do := func(want ledger.ResultCode, g ...ledger.Command) {
		t.Helper()
		d, results := book.Apply(year2026, ledger.Group(g))
		log = append(log, d.Entries...)
		if results[0].Code != want {
			t.Fatalf("got %s, want %s", results[0].Code, want)
		}
		if err := ledger.Check(&book.Snapshot); err != nil {
			t.Fatal(err)
		}
	}
	do(ledger.OKCreated, ledger.OpenCurrency{ID: ledger.NewID("act", "1"), Currency: grain}, bakery, pat)
	loaf := ledger.Pay{ID: ledger.NewID("act", "2"), Currency: grain.ID, Debit: pat.Account, Credit: bakery.Account, Amount: 4_50}
	do(ledger.OKCreated, loaf)
	do(ledger.OKExists, loaf)
	do(ledger.ExceedsFloor, ledger.Pay{ID: ledger.NewID("act", "3"), Currency: grain.ID, Debit: pat.Account, Credit: bakery.Account, Amount: 95_51})
	do(ledger.OKCreated, ledger.Refund{ID: ledger.NewID("act", "4"), Original: loaf.ID, Amount: 1_00})
	do(ledger.ExceedsOriginal, ledger.Refund{ID: ledger.NewID("act", "5"), Original: loaf.ID, Amount: 3_51})
	if got := book.Accounts[pat.Account].Balance(); got != -3_50 {
		t.Errorf("Pat stands at %d, want -350", got)
	}

	again := ledger.NewBook()
	for _, e := range log {
		read, err := ledger.ParseEntry(ledger.Canon(e))
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Replay(read); err != nil {
			t.Fatal(err)
		}
	}
	if err := again.Ended(); err != nil {
		t.Fatal(err)
	}
	again.Outcomes = book.Outcomes // failures are remembered beside the log
	if ledger.StateDigest(&again.Snapshot) != ledger.StateDigest(&book.Snapshot) {
		t.Error("the replayed log gives another state")
	}
}
