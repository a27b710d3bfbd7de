package proof_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"

	"planet/ledger"
	"planet/ledger/proof"
)

// What package ledger decided goes into the log as leaves and comes back out of receipts, byte for byte.
func TestTheEntriesOfALedgerHaveReceipts(t *testing.T) {
	iri := "https://coop.example/currencies/grn"
	grain := ledger.Currency{ID: ledger.NewID("currency", iri), IRI: iri, Code: "GRN", Scale: 2, Kind: ledger.Mutual, Rules: ledger.Preset(ledger.Mutual, 100_00)}
	bakery, pat := grain.NewAccount("https://coop.example/users/bakery", ledger.Member), grain.NewAccount("https://b.example/u/pat", ledger.Member)
	loaf := ledger.Pay{ID: ledger.NewID("act", "2"), Currency: grain.ID, Debit: pat.Account, Credit: bakery.Account, Amount: 4_50}
	var entries []ledger.Entry
	book := ledger.NewBook()
	for _, group := range []ledger.Group{
		{ledger.OpenCurrency{ID: ledger.NewID("act", "1"), Currency: grain}, bakery, pat},
		{loaf},
		{ledger.Refund{ID: ledger.NewID("act", "4"), Original: loaf.ID, Amount: 1_00}},
	} {
		d, results := book.Apply(1_767_225_600_000_000_000, group)
		if results[0].Code != ledger.OKCreated {
			t.Fatal(results[0].Code)
		}
		entries = append(entries, d.Entries...)
	}

	signer, err := proof.NewSigner("coop.example/currencies/grn", ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	key, err := proof.NewVerifier(signer.Vkey())
	if err != nil {
		t.Fatal(err)
	}
	var frontier proof.Frontier
	var receipts []proof.Receipt
	var tile []byte
	for i, e := range entries {
		salt, opening := sha256.Sum256(fmt.Appendf(nil, "salt %d", i)), ledger.AppendOpening(nil, e)
		leaf := proof.AppendBody(ledger.AppendHead(nil, e), proof.Commitment(salt, opening))
		h := proof.LeafHash(leaf)
		if _, err := frontier.Append(h); err != nil {
			t.Fatal(err)
		}
		tile = append(tile, h[:]...)
		receipts = append(receipts, proof.Receipt{Leaf: leaf, Salt: salt, Opening: opening, Index: int64(e.Seq)})
	}
	tree := proof.Tree{Size: frontier.Size(), Tiles: func(int, int64, int) ([]byte, error) { return tile, nil }}
	signed, err := signer.Sign(tree.Size, frontier.Root())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range receipts {
		if r.Path, err = tree.Prove(r.Index); err != nil {
			t.Fatal(err)
		}
		r.Checkpoint = signed
		file, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		v, err := proof.Verify(file, key)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(v.Entry()), string(ledger.Canon(entries[i])); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		e, err := ledger.ParseEntry(v.Entry())
		if err != nil || v.Leaf.Kind != e.Kind() || v.Leaf.Seq != uint64(e.Seq) || v.Leaf.ID != [16]byte(e.ID()) || v.Leaf.At != int64(e.At) {
			t.Errorf("got %+v, %v, of the leaf %+v", e, err, v.Leaf)
		}
	}
}
