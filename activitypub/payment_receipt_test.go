package activitypub_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
	"planet/storage/storagetest"
)

// liar is a node whose receipts are replaced on their way out.
type liar struct {
	http.Handler
	mu      sync.Mutex
	receipt []byte // nil: the true one
	asked   int
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !strings.HasSuffix(r.URL.Path, "/receipt") {
		l.Handler.ServeHTTP(w, r)
		return
	}
	l.asked++
	if l.receipt == nil {
		l.Handler.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(l.receipt)
}

// receiptOf is the true receipt of a payment in a book of a node.
func receiptOf(t *testing.T, n *aptest.Node, c *storage.Currency, p *storage.Payment) []byte {
	t.Helper()
	q, err := n.DB.PaymentByIRI(t.Context(), p.IRI)
	if err != nil {
		t.Fatal(err)
	}
	_, moved, err := n.DB.Transfer(t.Context(), q.Transfer())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := n.DB.Receipt(t.Context(), c.Book.ID, moved)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// logOf is a book's log as somebody may write it who has its database in hand: the leaves, changed, under a checkpoint by a key, nil for its own.
func logOf(t *testing.T, n *aptest.Node, c *storage.Currency, file []byte, key ed25519.PrivateKey, change func(leaves [][]byte)) []byte {
	t.Helper()
	rows := storagetest.Rows(t, n.DB)
	var leaves [][]byte
	for _, row := range rows["entries"] {
		if fmt.Sprint(row["currency_id"]) == c.ID.String() {
			leaves = append(leaves, fmt.Appendf(nil, "%s", row["leaf"]))
		}
	}
	slices.SortFunc(leaves, func(a, b []byte) int { return seqOf(a) - seqOf(b) })
	for _, row := range rows["currencies"] {
		if key == nil && fmt.Sprint(row["id"]) == c.ID.String() {
			key = ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%s", row["secret"]))
		}
	}
	change(leaves)
	r, err := proof.ParseReceipt(file)
	if err != nil {
		t.Fatal(err)
	}
	tree := proof.Tree{Size: int64(len(leaves)), Tiles: func(level int, index int64, width int) ([]byte, error) {
		var hashes []byte
		for _, leaf := range leaves[:width] {
			h := proof.LeafHash(leaf)
			hashes = append(hashes, h[:]...)
		}
		return hashes, nil
	}}
	root, err := tree.Root()
	if err != nil {
		t.Fatal(err)
	}
	if r.Path, err = tree.Prove(r.Index); err != nil {
		t.Fatal(err)
	}
	s, err := proof.NewSigner(c.Origin(), key)
	if err != nil {
		t.Fatal(err)
	}
	if r.Checkpoint, err = s.Sign(tree.Size, root); err != nil {
		t.Fatal(err)
	}
	out, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// seqOf is the place that a leaf names.
func seqOf(leaf []byte) (n int) {
	_, after, _ := strings.Cut(string(leaf), "\nseq ")
	_, _ = fmt.Sscan(after, &n)
	return n
}

// A ledger that gives a receipt of something else gives none; the payment stands as its Accept says, and its receipt is asked for again.
func TestAReceiptOfSomethingElseIsNone(t *testing.T) {
	e := newEconomy(t, [3]string{"rye.example", "oak.example", "elm.example"})
	rye := &liar{Handler: e.mint.Handler()}
	e.Serve("rye.example", rye)
	ctx := t.Context()
	other, err := e.mint.FoundCurrency(ctx, e.coop, activitypub.NewCurrency{Code: "OAT", Name: "Oats", Kind: ledger.Mutual, CreditLimit: "100"})
	e.must(err)
	for _, a := range []*storage.Actor{e.mints, e.mintsBakery} {
		_, err := e.mint.OpenAccount(ctx, e.coop, other, a)
		e.must(err)
	}
	first := e.pay(e.order("9.00"))
	e.rest()
	o := e.order("9.00")
	o.Currency, err = e.here.Money(ctx, other.Book.IRI)
	e.must(err)
	inOats := e.pay(o)
	e.rest()
	stranger := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	untouched := func([][]byte) {}
	var second *storage.Payment
	for name, lie := range map[string]func() []byte{
		"of another payment":               func() []byte { return receiptOf(t, e.mint, e.currency, first) },
		"of a payment in another currency": func() []byte { return receiptOf(t, e.mint, other, inOats) },
		"signed by another key": func() []byte {
			return logOf(t, e.mint, e.currency, receiptOf(t, e.mint, e.currency, second), stranger, untouched)
		},
		"signed by the key of oats": func() []byte {
			return logOf(t, e.mint, e.currency, receiptOf(t, e.mint, e.currency, second), keyOfBook(t, e.mint, other), untouched)
		},
		"of an entry that is not in the log": func() []byte {
			return logOf(t, e.mint, e.currency, receiptOf(t, e.mint, e.currency, second), nil, func(l [][]byte) { l[len(l)-1] = []byte("nothing") })
		},
		"empty":             func() []byte { return []byte{} },
		"a page":            func() []byte { return []byte("<html>paid</html>") },
		"as long as a book": func() []byte { return bytes.Repeat([]byte("x"), 2<<20) },
		"with another place": func() []byte {
			return bytes.Replace(receiptOf(t, e.mint, e.currency, second), []byte("index "), []byte("index 1"), 1)
		},
		"of the first line alone": func() []byte { return []byte("c2sp.org/tlog-proof@v1\n") },
	} {
		t.Run(name, func(t *testing.T) {
			rye.set(nil)
			var err error
			second, err = e.here.Pay(ctx, e.bo, e.order("0.50"))
			e.must(err)
			e.Deliver()
			rye.set(lie())
			before := rye.times()
			e.must(e.here.CheckPayments(ctx))
			if rye.times() == before {
				t.Fatal("nobody asked for a receipt")
			}
			if p := e.at(e.here, second); p.State != storage.PaymentCommitted || len(p.Receipt) != 0 {
				t.Errorf("the payment is %s, with the receipt %.100q", p.State, p.Receipt)
			}
			rye.set(nil)
			e.Sleep(24 * time.Hour)
			e.rest()
			if p := e.at(e.here, second); len(p.Receipt) == 0 {
				t.Error("the true one was not taken afterwards")
			}
		})
	}
	e.audit()
}

func keyOfBook(t *testing.T, n *aptest.Node, c *storage.Currency) ed25519.PrivateKey {
	t.Helper()
	for _, row := range storagetest.Rows(t, n.DB)["currencies"] {
		if fmt.Sprint(row["id"]) == c.ID.String() {
			return ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%s", row["secret"]))
		}
	}
	t.Fatal("no such currency")
	return nil
}

func (l *liar) set(receipt []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.receipt = receipt
}

func (l *liar) times() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// Two receipts under checkpoints of one size and different roots: the book was rewritten, and whoever keeps one of them sees it (F49).
func TestTwoReceiptsOfOneSizeShowARewrittenBook(t *testing.T) {
	e := newEconomy(t, [3]string{"rye.example", "oak.example", "elm.example"})
	liar := &liar{Handler: e.mint.Handler()}
	e.Serve("rye.example", liar)
	ctx := t.Context()
	first, err := e.here.Pay(ctx, e.bo, e.order("9.00"))
	e.must(err)
	e.Deliver()
	second, err := e.here.Pay(ctx, e.bo, e.order("3.00"))
	e.must(err)
	e.Deliver()
	e.must(e.here.CheckPayments(ctx)) // both under the true checkpoint
	seen, err := e.here.DB.ForeignCurrencyByIRI(ctx, storage.IRI(e.currency.Book.IRI))
	e.must(err)
	if seen.Checkpoint == "" || len(e.at(e.here, first).Receipt) == 0 || len(e.at(e.here, second).Receipt) == 0 {
		t.Fatal("no receipt was kept")
	}
	key, err := proof.NewVerifier(vkeyOf(t, e.currency))
	e.must(err)
	if _, _, err := proof.Open([]byte(seen.Checkpoint), key); err != nil {
		t.Errorf("what is kept of the book convinces nobody else: %v", err)
	}
	// The payee asks later, and is shown a book without the first payment.
	e.must(e.there.CheckPayments(ctx))
	e.Forgive("was rewritten")
	forked := logOf(t, e.mint, e.currency, receiptOf(t, e.mint, e.currency, second), nil, func(l [][]byte) {
		l[len(l)-2] = bytes.Replace(l[len(l)-2], []byte("kind pay"), []byte("kind rules"), 1)
	})
	q := e.at(e.there, second)
	q.Receipt, q.NextAt = nil, new(time.Time)
	*q.NextAt = e.Now()
	e.must(e.there.DB.Transaction(ctx, func(tx *storage.DB) error { return tx.SettlePayment(ctx, q) }))
	before := e.there.Counts()["currency.forked"]
	liar.set(forked)
	e.must(e.there.CheckPayments(ctx))
	if got := e.there.Counts()["currency.forked"] - before; got != 1 {
		t.Errorf("the fork was seen %d times", got)
	}
	now, err := e.there.DB.ForeignCurrencyByIRI(ctx, storage.IRI(e.currency.Book.IRI))
	e.must(err)
	if now.Checkpoint != seen.Checkpoint {
		t.Errorf("the checkpoint that was seen first, %q, gave way to %q", seen.Checkpoint, now.Checkpoint)
	}
}
