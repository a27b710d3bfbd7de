package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
	"planet/storage/storagetest"
)

// village is a node with four currencies beside a book in memory that is told the same, and the entries that both should have.
type village struct {
	*storage.DB
	t          testing.TB
	rng        *rand.Rand
	now        time.Time // what the node's clock says
	book       *ledger.Book
	currencies []*storage.Currency
	entries    map[string][]ledger.Entry // by currency
	said       []ledger.Group            // before
	moved      []ledger.ID               // transfers that were asked for
	names      int
}

var people = []string{"ana", "bo", "cleo", "dov"}

func newVillage(t testing.TB, db *storage.DB, seed uint64) *village {
	v := &village{DB: db, t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_800_000_000, 0), book: ledger.NewBook(), entries: map[string][]ledger.Entry{}}
	db.Now = func() time.Time { return v.now }
	ctx := context.Background()
	coop := storage.Actor{IRI: "https://coop.example/users/village", Type: "Organization", Username: "village"}
	v.must(db.Transaction(ctx, func(tx *storage.DB) error { return tx.Create(ctx, &coop.ID, &coop) }))
	for i, kind := range []ledger.Kind{ledger.Mutual, ledger.Issued, ledger.Hours, ledger.Gift} {
		iri := fmt.Sprintf("https://coop.example/currencies/cu%d", i)
		u := ledger.Currency{ID: ledger.NewID("currency", iri), IRI: iri, Code: fmt.Sprintf("CU%d", i), Kind: kind, Rules: ledger.Preset(kind, 500)}
		var g ledger.Group
		if kind == ledger.Issued {
			g = ledger.Group{u.NewAccount("https://coop.example/users/village", ledger.Issuer)}
		}
		for _, p := range people {
			g = append(g, u.NewAccount("https://coop.example/users/"+p, ledger.Member))
		}
		g = append(g, u.NewAccount("https://coop.example/users/fund", ledger.Commons))
		c := &storage.Currency{ActorID: coop.ID, Name: u.Code, Book: u}
		v.must(db.CreateCurrency(ctx, c, g))
		v.currencies = append(v.currencies, c)
		if r := v.tell(append(ledger.Group{ledger.OpenCurrency{ID: ledger.NewID("create", iri), Currency: u}}, g...)); r.Code != ledger.OKCreated {
			t.Fatal(r.Code)
		}
	}
	return v
}

func (v *village) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// tell tells the book alone.
func (v *village) tell(g ledger.Group) ledger.Result {
	d, results := v.book.Apply(ledger.Instant(v.now.UnixNano()), g)
	for _, e := range d.Entries {
		v.entries[e.Currency] = append(v.entries[e.Currency], e)
	}
	return results[0]
}

func (v *village) fresh(what string) ledger.ID {
	v.names++
	return ledger.NewID(what, fmt.Sprint(v.names))
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// someone is the account of anybody, seldom of nobody.
func (v *village) someone(c *storage.Currency) ledger.ID {
	name := pick(v.rng, append(people, "fund", "village", "ana", "bo"))
	if v.rng.IntN(50) == 0 {
		name = "nobody"
	}
	if v.rng.IntN(80) == 0 {
		c = pick(v.rng, v.currencies)
	}
	return ledger.NewID("account", c.Book.IRI, "https://coop.example/users/"+name)
}

// command is anything that a currency may be asked for.
func (v *village) command(c *storage.Currency) ledger.Command {
	r, moved := v.rng, ledger.NewID("never")
	if len(v.moved) > 0 {
		moved = pick(r, v.moved[max(0, len(v.moved)-25):])
	}
	amount := ledger.Amount(r.IntN(120))
	switch n := r.IntN(100); {
	case n < 50:
		p := ledger.Pay{ID: v.fresh("pay"), Currency: c.Book.ID, Debit: v.someone(c), Credit: v.someone(c), Amount: amount, Memo: ledger.Digest{byte(n)}}
		if c.Book.Kind == ledger.Issued && r.IntN(3) == 0 {
			p.Code, p.Debit = ledger.Issue, ledger.NewID("account", c.Book.IRI, "https://coop.example/users/village")
		}
		if r.IntN(3) == 0 {
			p.Pending, p.Timeout = true, time.Duration(1+r.IntN(60))*time.Second
		}
		if r.IntN(6) == 0 {
			p.Settles = ledger.NewID("invoice", fmt.Sprint(r.IntN(12)))
		}
		v.moved = append(v.moved, p.ID)
		return p
	case n < 65:
		if r.IntN(3) == 0 {
			amount = ledger.All
		}
		return ledger.Post{ID: v.fresh("post"), Pending: moved, Amount: amount}
	case n < 72:
		return ledger.Void{ID: v.fresh("void"), Pending: moved}
	case n < 82:
		if r.IntN(3) == 0 {
			amount = ledger.All
		}
		f := ledger.Refund{ID: v.fresh("refund"), Original: moved, Amount: amount}
		v.moved = append(v.moved, f.ID)
		return f
	case n < 85:
		return ledger.SetLimits{ID: v.fresh("limits"), Account: v.someone(c), Floor: ledger.At(int64(-r.IntN(900))), Ceil: ledger.At(int64(r.IntN(2000))), SoftFloor: ledger.At(-5),
			Decision: "https://coop.example/decisions/1", IfVersion: uint64(r.IntN(3))}
	case n < 87:
		return ledger.SetFlags{ID: v.fresh("flags"), Account: v.someone(c), Flags: ledger.Flags(r.IntN(3)), Decision: "https://coop.example/decisions/2"}
	case n < 89:
		rules := c.Book.Rules
		rules.Levy = ledger.Levy{BasisPoints: uint16(r.IntN(1000)), Least: ledger.Amount(r.IntN(3)), To: ledger.NewID("account", c.Book.IRI, "https://coop.example/users/fund")}
		return ledger.SetRules{ID: v.fresh("rules"), Currency: c.Book.ID, Rules: rules, Decision: "https://coop.example/decisions/3"}
	case n < 91:
		return ledger.Rebind{ID: v.fresh("rebind"), Account: v.someone(c), NewRef: fmt.Sprintf("https://moved.example/users/%d", v.names), Decision: "https://coop.example/decisions/4"}
	case n < 94:
		return ledger.Abort{ID: v.fresh("abort"), Currency: c.Book.ID, Target: pick(r, []ledger.ID{moved, ledger.NewID("pay", fmt.Sprint(v.names+r.IntN(9)))})}
	case n < 96:
		return ledger.Note{ID: v.fresh("note"), Currency: c.Book.ID, Kind: ledger.NotePolicy, Body: []byte("quorum none")}
	}
	return c.Book.NewAccount(fmt.Sprintf("https://oak.example/users/%d", r.IntN(20)), ledger.Member)
}

// act is a group that somebody may ask for: mostly one command, sometimes one that was asked for before, or one that has its id.
func (v *village) act(c *storage.Currency) ledger.Group {
	r := v.rng
	var g ledger.Group
	switch n := r.IntN(20); {
	case n == 0 && len(v.said) > 0:
		return pick(r, v.said)
	case n == 1 && len(v.said) > 0:
		if p, ok := pick(r, v.said)[0].(ledger.Pay); ok {
			p.Amount++
			return ledger.Group{p}
		}
		fallthrough
	case n == 2: // a stranger is paid: an account and a payment
		o := c.Book.NewAccount(fmt.Sprintf("https://far.example/users/%d", r.IntN(20)), ledger.Member)
		p := ledger.Pay{ID: v.fresh("pay"), Currency: c.Book.ID, Debit: v.someone(c), Credit: o.Account, Amount: ledger.Amount(1 + r.IntN(50))}
		v.moved = append(v.moved, p.ID)
		g = ledger.Group{o, p}
	case n < 5:
		for range 2 + r.IntN(3) {
			g = append(g, v.command(c))
		}
	default:
		g = ledger.Group{v.command(c)}
	}
	v.said = append(v.said, g)
	return g
}

// tick lets some time pass, or goes back a little, and touches each currency: the node ends holds where it is asked something, the book everywhere.
func (v *village) tick() {
	v.t.Helper()
	v.now = v.now.Add(time.Duration(v.rng.Int64N(int64(40*time.Second))) - 6*time.Second)
	for _, c := range v.currencies {
		g := ledger.Group{ledger.Note{ID: v.fresh("tick"), Currency: c.Book.ID}}
		got, err := v.Ledger(context.Background(), g)
		v.must(err)
		if want := v.tell(g); got[0] != want {
			v.t.Fatalf("got %+v, want %+v", got[0], want)
		}
	}
}

// agree compares all that the node keeps with the book.
func (v *village) agree() {
	v.t.Helper()
	ctx := context.Background()
	if err := ledger.Check(&v.book.Snapshot); err != nil {
		v.t.Fatal(err)
	}
	accounts := 0
	for _, c := range v.currencies {
		c, err := v.CurrencyByCode(ctx, c.Book.Code)
		v.must(err)
		if diff := cmp.Diff(v.book.Currencies[c.Book.ID], c.Book); diff != "" {
			v.t.Errorf("currency (-book +node):\n%s", diff)
		}
		want := v.entries[c.Book.IRI]
		got, err := v.Verify(ctx, c)
		v.must(err)
		if got.Entries != int64(len(want)) {
			v.t.Fatalf("%s has %d entries, the book %d", c.Book.Code, got.Entries, len(want))
		}
		v.agreeAccounts(c, want)
		v.agreeLog(c, want)
		accounts += got.Accounts
	}
	if accounts != len(v.book.Accounts) {
		v.t.Errorf("%d accounts, the book has %d", accounts, len(v.book.Accounts))
	}
	for id, want := range v.book.Transfers {
		got, _, err := v.Transfer(ctx, id)
		if err != nil || got != want {
			v.t.Errorf("transfer: %v\n got %+v\nwant %+v", err, got, want)
		}
	}
	if found, err := v.CheckBooks(ctx); err != nil || len(found) != 0 {
		v.t.Errorf("the check at start: %v, %v", found, err)
	}
}

// agreeAccounts compares the accounts and their statements.
func (v *village) agreeAccounts(c *storage.Currency, entries []ledger.Entry) {
	v.t.Helper()
	ctx := context.Background()
	as, err := v.Accounts(ctx, c)
	v.must(err)
	for _, a := range as {
		if diff := cmp.Diff(v.book.Accounts[a.ID], a); diff != "" {
			v.t.Errorf("account (-book +node):\n%s", diff)
		}
		want := ledger.Statement{Account: a.ID}
		for _, e := range entries {
			if l, ok := ledger.LineOf(a.ID, e, func(id ledger.ID) ledger.Code { return v.book.Transfers[id].Code }); ok {
				l.Entry = ledger.ID{} // not in a statement of the node
				v.must(want.Add(l))
			}
		}
		got, more, err := v.Statement(ctx, a.ID, time.Time{}, time.Time{}, 0)
		v.must(err)
		if diff := cmp.Diff(want, got); diff != "" || more {
			v.t.Errorf("statement of %s (-book +node), more %t:\n%s", a.Ref, more, diff)
		}
	}
}

// agreeLog has every receipt checked as its holder would, and the tree built anew from what anybody may fetch.
func (v *village) agreeLog(c *storage.Currency, entries []ledger.Entry) {
	v.t.Helper()
	key := verifierOf(v.t, c)
	for i, e := range entries {
		file, err := v.Receipt(context.Background(), c.Book.ID, ledger.Seq(i))
		v.must(err)
		got, err := proof.Verify(file, key)
		v.must(err)
		if !bytes.Equal(got.Entry(), ledger.Canon(e)) {
			v.t.Fatalf("the receipt of entry %d says\n%s\nwant\n%s", i, got.Entry(), ledger.Canon(e))
		}
	}
	for i, leaf := range rebuild(v.t, v.DB, c) {
		if head := string(ledger.AppendHead(nil, entries[i])); !strings.HasPrefix(string(leaf), head+"body ") {
			v.t.Fatalf("leaf %d is\n%s\nwant it to begin\n%s", i, leaf, head)
		}
	}
}

func verifierOf(t testing.TB, c *storage.Currency) proof.Verifier {
	t.Helper()
	vkey, err := c.Vkey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := proof.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rebuild fetches all bundles and tiles of a log, holds each against the other and against the checkpoint, and returns the leaves.
func rebuild(t testing.TB, db *storage.DB, c *storage.Currency) (leaves [][]byte) {
	t.Helper()
	fetch := func(tile proof.Tile) []byte {
		b, err := db.Tile(context.Background(), c, tile)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	cp, _, err := proof.Open([]byte(c.Checkpoint), verifierOf(t, c))
	if err != nil {
		t.Fatal(err)
	}
	var frontier proof.Frontier
	levels := make([][]byte, 8) // hashes, by level
	for n := int64(0); n < cp.Size; n += proof.TileWidth {
		width := int(min(proof.TileWidth, cp.Size-n))
		bundle, err := proof.ParseBundle(fetch(proof.Tile{Level: proof.Entries, Index: n / proof.TileWidth, Width: width}), width)
		if err != nil {
			t.Fatal(err)
		}
		for _, leaf := range bundle {
			leaves = append(leaves, leaf)
			h := proof.LeafHash(leaf)
			levels[0] = append(levels[0], h[:]...)
			up, err := frontier.Append(h)
			if err != nil {
				t.Fatal(err)
			}
			for l := 1; l <= up; l++ {
				h, _ := frontier.TileHash(l)
				levels[l] = append(levels[l], h[:]...)
			}
		}
	}
	if frontier.Root() != cp.Root || int64(len(leaves)) != cp.Size {
		t.Fatalf("%d leaves with the root %s, the checkpoint says %d and %s", len(leaves), frontier.Root(), cp.Size, cp.Root)
	}
	const size = proof.TileWidth * 32
	for l, want := range levels {
		for i := 0; i*size < len(want); i++ {
			hashes := want[i*size : min((i+1)*size, len(want))]
			if got := fetch(proof.Tile{Level: l, Index: int64(i), Width: len(hashes) / 32}); !bytes.Equal(got, hashes) {
				t.Fatalf("tile %d/%d is not what the leaves give", l, i)
			}
		}
	}
	return leaves
}

// Whatever is asked for, in whatever way, the node answers as the book in memory does, and keeps the same.
func TestTheStoreAnswersAsTheBookDoes(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx, v := t.Context(), newVillage(t, db, 7)
		codes := map[ledger.ResultCode]int{}
		for i := range 350 {
			if v.rng.IntN(10) == 0 {
				v.tick()
			}
			c := pick(v.rng, v.currencies)
			gs := []ledger.Group{v.act(c)}
			var got []ledger.Result
			var err error
			switch v.rng.IntN(4) {
			case 0:
				gs = append(gs, v.act(pick(v.rng, v.currencies)), append(v.act(c), v.command(pick(v.rng, v.currencies))))
				got, err = db.Ledger(ctx, gs...)
			case 1:
				gs = append(gs, v.act(c))
				err = db.Transaction(ctx, func(tx *storage.DB) error {
					got = nil
					for _, g := range gs {
						r, err := tx.Ledger(ctx, g)
						if err != nil {
							return err
						}
						got = append(got, r...)
					}
					return nil
				})
			default:
				var r ledger.Result
				r, err = db.Pay(ctx, storage.Submission{Currency: c.Book.ID, Group: gs[0]})
				got = []ledger.Result{r}
			}
			v.must(err)
			for j, g := range gs {
				want := v.tell(g)
				codes[want.Code]++
				if got[j] != want {
					t.Fatalf("act %d: %+v\n got %+v\nwant %+v", i, g, got[j], want)
				}
			}
		}
		v.agree()
		if len(codes) < 20 {
			t.Errorf("the acts had only these answers: %v", codes)
		}
	})
}

// Many ask at once. What was accepted, told to a book in the order of its seq, gives the same entries, and every answer stays the same.
func TestManySubmittersAtOnceMakeOneBook(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx, v := t.Context(), newVillage(t, db, 11)
		type told struct {
			currency *storage.Currency
			group    ledger.Group
			result   ledger.Result
		}
		ask := func(w int, s *told) {
			var err error
			switch w % 4 {
			case 0:
				var rs []ledger.Result
				if rs, err = db.Ledger(ctx, s.group); err == nil {
					s.result = rs[0]
				}
			case 1:
				err = db.Transaction(ctx, func(tx *storage.DB) error {
					rs, err := tx.Ledger(ctx, s.group)
					if err == nil {
						s.result = rs[0]
					}
					return err
				})
			default:
				s.result, err = db.Pay(ctx, storage.Submission{Currency: s.currency.Book.ID, Group: s.group})
			}
			if err != nil {
				t.Error(err)
			}
		}
		var all []*told
		seen := map[ledger.ID]bool{}
		for len(all) < 480 {
			c := pick(v.rng, v.currencies)
			g := v.act(c)
			own := true // of one currency, and said once: else only the writer knows the order
			for _, cmd := range g {
				id := ledger.Entry{Cmd: cmd}.ID()
				own, seen[id] = own && !seen[id], true
				switch p := cmd.(type) {
				case ledger.Pay:
					own = own && v.book.Accounts[p.Debit].Currency == c.Book.ID && p.Settles.IsZero()
				case ledger.SetLimits, ledger.SetFlags, ledger.Rebind, ledger.Post, ledger.Void, ledger.Refund, ledger.Abort:
					own = own && len(g) == 1
				}
			}
			if own {
				all = append(all, &told{currency: c, group: g})
			}
		}
		var wg sync.WaitGroup
		const askers = 12
		for w := range askers {
			wg.Go(func() {
				for i := w; i < len(all); i += askers {
					ask(w, all[i])
				}
			})
		}
		wg.Wait()
		accepted := slices.DeleteFunc(slices.Clone(all), func(s *told) bool { return s.result.Code != ledger.OKCreated })
		slices.SortFunc(accepted, func(a, b *told) int { return int(a.result.Seq) - int(b.result.Seq) })
		if len(accepted) < len(all)/4 {
			t.Errorf("of %d only %d were accepted", len(all), len(accepted))
		}
		for _, s := range accepted {
			want := v.tell(s.group)
			if s.result.At != want.At || s.result.Seq != want.Seq && !crosses(s.group) {
				t.Fatalf("%+v\n got %+v\nwant %+v", s.group, s.result, want)
			}
		}
		v.agree()
		for _, s := range all {
			was := s.result
			ask(2, s)
			switch {
			case was.Code == ledger.OKCreated:
				if s.result.Code != ledger.OKExists || s.result.Seq != was.Seq || s.result.At != was.At {
					t.Errorf("accepted as %+v, and then %+v", was, s.result)
				}
			case was.Code.Durable():
				aborted := s.result.Code == ledger.IDAborted && len(s.group) > 1 // another command of the group, meanwhile
				if !aborted && (s.result.Code != ledger.IDAlreadyFailed || s.result.Cause != was.Code) {
					t.Errorf("refused as %+v, and then %+v", was, s.result)
				}
			case s.result.Code == ledger.OKCreated: // it came too early the first time
				v.tell(s.group)
			}
		}
		v.agree()
	})
}

// A log beyond 65,536 entries has tiles of three levels. PLANET_TEST_ENTRIES makes it longer.
func TestALongLogHasTilesOfThreeLevels(t *testing.T) {
	n := 65_536 + 700
	if s := os.Getenv("PLANET_TEST_ENTRIES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	db := storagetest.New(t)
	b := newBooks(t, db, ledger.Mutual, people...)
	began := time.Now()
	for i := 0; i < n; {
		var gs []ledger.Group
		for range min(3001, n-i) { // no multiple of a tile's width
			gs = append(gs, ledger.Group{b.pay(fmt.Sprint(i), people[i%4], people[(i+1+i/7%3)%4], ledger.Amount(1+i%9))})
			i++
		}
		rs, err := db.Ledger(t.Context(), gs...)
		b.must(err)
		for _, r := range rs {
			b.must(r.Err())
		}
	}
	written := time.Since(began)
	c, err := db.CurrencyByCode(t.Context(), "GRN")
	b.must(err)
	leaves := rebuild(t, db, c)
	began = time.Now()
	b.verify()
	verified := time.Since(began)
	key := verifierOf(t, c)
	for _, i := range []int{0, 1, 255, 256, 65_535, 65_536, len(leaves) - 2, len(leaves) - 1, len(leaves) / 2} {
		file, err := db.Receipt(t.Context(), c.Book.ID, ledger.Seq(i))
		b.must(err)
		got, err := proof.Verify(file, key)
		b.must(err)
		if !bytes.Equal(got.Text, leaves[i]) {
			t.Errorf("the receipt of entry %d is of another", i)
		}
	}
	// The check at start looks at the newest entries; what is damaged further back only the whole check finds.
	storagetest.Exec(t, db, "DROP TRIGGER openings_keep_update")
	storagetest.Exec(t, db, "UPDATE openings SET opening = salt WHERE seq = 5000")
	if found, err := db.CheckBooks(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("the check at start says %v, %v of what is far back", found, err)
	}
	var damage *storage.DamageError
	if _, err := db.Verify(t.Context(), c); !errors.As(err, &damage) || damage.Seq != 5000 {
		t.Errorf("Verify says %v, want damage in entry 5000", err)
	}
	t.Logf("%d entries written in %s, verified in %s", len(leaves), written, verified)
}

// crosses says whether a group's first entry may be another command's, because what was there already is left out.
func crosses(g ledger.Group) bool { return len(g) > 1 }
