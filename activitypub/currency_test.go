package activitypub_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
)

// bakery is a co-op with a currency in which some people have accounts, and one person in each role.
type bakery struct {
	*aptest.Node
	t        *testing.T
	net      *aptest.Network
	coop     activitypub.By // as its founder and admin
	currency *storage.Currency
	people   map[string]activitypub.By
}

func newBakery(t *testing.T, kind ledger.Kind, people ...string) *bakery {
	t.Helper()
	net := aptest.New(t, "rye.example")
	b := &bakery{Node: net.Node("rye.example"), t: t, net: net, people: map[string]activitypub.By{}}
	b.coop = b.Coop(b.person("nuria"), "bakery")
	in := activitypub.NewCurrency{Code: "GRN", Name: "Grain", Kind: kind}
	if kind == ledger.Mutual || kind == ledger.Hours {
		in.CreditLimit = "100"
	}
	c, err := b.FoundCurrency(t.Context(), b.coop, in)
	b.must(err)
	b.currency = c
	for _, name := range people {
		b.open(b.person(name))
	}
	return b
}

func (b *bakery) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bakery) person(name string) activitypub.By {
	b.people[name] = b.Person(name)
	return b.people[name]
}

// in is a person who acts as the co-op in a role of her own.
func (b *bakery) in(role string) activitypub.By {
	b.t.Helper()
	p := b.person("the_" + role)
	b.must(b.DB.AddMember(b.t.Context(), &storage.Member{UserID: p.User.ID, CoopID: b.coop.Actor.ID, Role: role}))
	return activitypub.By{User: p.User, Actor: b.coop.Actor}
}

func (b *bakery) open(whose activitypub.By) {
	b.t.Helper()
	_, err := b.OpenAccount(b.t.Context(), b.coop, b.currency, whose.Actor)
	b.must(err)
}

func (b *bakery) order(to activitypub.By, amount string) activitypub.PayOrder {
	return activitypub.PayOrder{Currency: activitypub.MoneyHere(b.fresh()), To: to.Actor, Amount: amount}
}

func (b *bakery) fresh() *storage.Currency {
	b.t.Helper()
	c, err := b.DB.CurrencyByID(b.t.Context(), b.currency.ID)
	b.must(err)
	return c
}

func (b *bakery) pay(from, to activitypub.By, amount string) *storage.Payment {
	b.t.Helper()
	p, err := b.Pay(b.t.Context(), from, b.order(to, amount))
	b.must(err)
	return p
}

func (b *bakery) wantBalance(of activitypub.By, want string) {
	b.t.Helper()
	a, err := b.DB.Account(b.t.Context(), b.currency, of.Actor.IRI)
	b.must(err)
	if got := b.currency.Book.Format(a.Balance()); got != want {
		b.t.Errorf("%s has %s, want %s", of.Actor.Username, got, want)
	}
}

// audit replays the whole book.
func (b *bakery) audit() storage.Verified {
	b.t.Helper()
	v, err := b.DB.Verify(b.t.Context(), b.fresh())
	b.must(err)
	return v
}

func wantRefused(t *testing.T, err error, code ledger.ResultCode) {
	t.Helper()
	var r *ledger.RefusedError
	if !errors.As(err, &r) || r.Result.Reason() != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

func wantProblem(t *testing.T, err error, code string) {
	t.Helper()
	var p *activitypub.Problem
	if !errors.As(err, &p) || p.Status != http.StatusForbidden && p.Status != http.StatusConflict || p.Code != code {
		t.Errorf("got %v, want the problem %q", err, code)
	}
}

func wantInvalid(t *testing.T, err error, field string) {
	t.Helper()
	var i *activitypub.InvalidError
	if !errors.As(err, &i) || i.Field != field {
		t.Errorf("got %v, want %s refused", err, field)
	}
}

func TestWhoMayDoWhatWithACurrency(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	decision := "https://rye.example/d/1"
	ceiling := "50"
	acts := map[string]func(by activitypub.By, n int) error{
		"found": func(by activitypub.By, n int) error {
			_, err := b.FoundCurrency(ctx, by, activitypub.NewCurrency{Code: fmt.Sprintf("C%d", n), Kind: ledger.Gift})
			return err
		},
		"open": func(by activitypub.By, n int) error {
			_, err := b.OpenAccount(ctx, by, b.currency, b.person(fmt.Sprintf("new_%d", n)).Actor)
			return err
		},
		"limit": func(by activitypub.By, _ int) error {
			return b.SetLimits(ctx, by, b.currency, bo.Actor, activitypub.NewLimits{Ceiling: &ceiling}, decision)
		},
		"flag": func(by activitypub.By, _ int) error { return b.SetFlags(ctx, by, b.currency, cleo.Actor, 0, decision) },
		"rules": func(by activitypub.By, _ int) error {
			return b.SetRules(ctx, by, b.currency, activitypub.NewRules{Ceiling: &ceiling}, decision)
		},
		"import": func(by activitypub.By, n int) error {
			_, err := b.ImportBalances(ctx, by, b.currency, []activitypub.OpeningBalance{{b.person(fmt.Sprintf("old_%d", n)).Actor, 5}}, "rest")
			return err
		},
		"pay": func(by activitypub.By, _ int) error { _, err := b.Pay(ctx, by, b.order(bo, "0.10")); return err },
		"hold": func(by activitypub.By, _ int) error {
			o := b.order(bo, "0.10")
			o.Hold = time.Hour
			_, err := b.Pay(ctx, by, o)
			return err
		},
		"take": func(by activitypub.By, _ int) error {
			o := b.order(b.coop, "0.10")
			o.Hold = time.Hour
			p, err := b.Pay(ctx, cleo, o)
			b.must(err)
			_, err = b.TakePayment(ctx, by, p.ID, "", "")
			return err
		},
		"refund": func(by activitypub.By, _ int) error {
			_, err := b.RefundPayment(ctx, by, b.pay(cleo, b.coop, "0.10").ID, "", "", "")
			return err
		},
	}
	may := map[string][]string{
		storage.RoleAdmin:     {"found", "open", "limit", "flag", "rules", "import", "pay", "hold", "take", "refund"},
		storage.RoleTreasurer: {"open", "limit", "flag", "rules", "import", "pay", "hold", "take", "refund"},
		storage.RoleCashier:   {"pay", "hold", "take", "refund"},
		storage.RoleEditor:    nil, storage.RoleMember: nil, storage.RoleObserver: nil,
	}
	n := 0
	for role, allowed := range may {
		by := b.in(role)
		for act, do := range acts {
			n++
			err := do(by, n)
			if len(allowed) > 0 && strings.Contains(" "+strings.Join(allowed, " ")+" ", " "+act+" ") {
				if err != nil {
					t.Errorf("%s, %s: %v", role, act, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%s may %s", role, act)
				continue
			}
			wantProblem(t, err, "role")
		}
	}

	// Nobody acts as somebody else, and no other co-op is at home in this one's book.
	wantProblem(t, acts["pay"](activitypub.By{User: bo.User, Actor: cleo.Actor}, 0), "role")
	mill := b.Coop(b.person("mia"), "mill")
	for _, act := range []string{"open", "limit", "flag", "rules", "import"} {
		wantProblem(t, acts[act](mill, 9000+n), "role")
		n++
	}
	_, err := b.Pay(ctx, mill, b.order(bo, "1"))
	wantRefused(t, err, ledger.DebitAccountNotFound)
	b.must(b.DB.Transaction(ctx, func(tx *storage.DB) error {
		now := b.Clock()
		bo.User.SuspendedAt = &now
		return tx.UpdateUser(ctx, bo.User)
	}))
	wantProblem(t, acts["pay"](bo, 0), "suspended")
	b.audit()
}

func TestF75ACoopPaysByItsRoles(t *testing.T) {
	b := newBakery(t, ledger.Issued, "bo")
	bo, treasurer, cashier := b.people["bo"], b.in(storage.RoleTreasurer), b.in(storage.RoleCashier)
	p := b.pay(treasurer, bo, "20")
	if p.Code != "issue" || p.Payer != b.coop.Actor.IRI || p.UserID != treasurer.User.ID {
		t.Errorf("got %+v: want an issue by the treasurer as the co-op", p)
	}
	_, err := b.Pay(t.Context(), cashier, b.order(bo, "1")) // what did not exist before is not a cashier's to give
	wantProblem(t, err, "role")
	if p := b.pay(bo, cashier, "5"); p.Code != "redeem" {
		t.Errorf("got %s, want a redeem", p.Code)
	}
	b.wantBalance(bo, "15.00")
	b.wantBalance(b.coop, "-15.00")
	acts, err := b.DB.Acts(t.Context(), b.coop.Actor.ID, storage.Page{Limit: 50})
	b.must(err)
	found := false
	for _, a := range acts {
		found = found || a.Kind == "payment.pay" && a.UserID == treasurer.User.ID && a.Object == p.IRI
	}
	if !found {
		t.Errorf("the record does not say who paid as the co-op: %+v", acts)
	}
	b.audit()
}

func TestF72WhatAdminsDoStandsInTheBookWithItsDecision(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo")
	ctx, bo, x := t.Context(), b.people["bo"], "5"
	for _, decision := range []string{"", "we said so", "ftp://rye.example/d", "https:///d", "https://rye.example/d\nfloor none", "javascript:alert(1)"} {
		wantInvalid(t, b.SetLimits(ctx, b.coop, b.currency, bo.Actor, activitypub.NewLimits{Credit: &x}, decision), "decision")
		wantInvalid(t, b.SetFlags(ctx, b.coop, b.currency, bo.Actor, ledger.NoDebit, decision), "decision")
		wantInvalid(t, b.SetRules(ctx, b.coop, b.currency, activitypub.NewRules{Credit: &x}, decision), "decision")
		wantInvalid(t, b.ResumeCurrency(ctx, b.coop, b.currency, decision), "decision")
	}
	before := b.audit().Entries
	b.must(b.SetLimits(ctx, b.coop, b.currency, bo.Actor, activitypub.NewLimits{Credit: &x}, "https://rye.example/d/1"))
	b.must(b.SetFlags(ctx, b.coop, b.currency, bo.Actor, ledger.NoDebit, "https://rye.example/d/2"))
	b.must(b.SetRules(ctx, b.coop, b.currency, activitypub.NewRules{Credit: &x}, "https://rye.example/d/3"))
	var got []string
	b.must(b.DB.EachEntry(ctx, b.fresh(), ledger.Seq(before), func(e ledger.Entry, _ bool) error {
		switch c := e.Cmd.(type) {
		case ledger.SetLimits:
			got = append(got, c.Decision)
		case ledger.SetFlags:
			got = append(got, c.Decision)
		case ledger.SetRules:
			got = append(got, c.Decision)
		}
		return nil
	}))
	if want := "https://rye.example/d/1 https://rye.example/d/2 https://rye.example/d/3"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestF33ACurrencyIsItsAddress(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	ctx, iris := t.Context(), map[string]string{}
	for _, host := range []string{"rye.example", "oak.example"} {
		n := net.Node(host)
		coop := n.Coop(n.Person("nuria"), "bakery")
		c, err := n.FoundCurrency(ctx, coop, activitypub.NewCurrency{Code: "GRN", Kind: ledger.Mutual})
		if err != nil {
			t.Fatal(err)
		}
		iris[host] = c.Book.IRI
	}
	rye := net.Node("rye.example")
	if c, err := rye.Currency(ctx, "grn"); err != nil || c.Book.IRI != iris["rye.example"] {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := rye.Currency(ctx, iris["oak.example"]); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("got %v: the same code elsewhere is another currency", err)
	}
}

func (b *bakery) get(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "https://rye.example"+path, nil)
	r.Header.Set("Accept", "application/activity+json")
	b.Handler().ServeHTTP(w, r)
	return w
}

func TestACurrencyHasADocument(t *testing.T) {
	b := newBakery(t, ledger.Mutual)
	w := b.get("/currencies/grn")
	var doc struct {
		ID, Type, Name, Symbol, Kind, Privacy, Log, Vkey, AttributedTo, Ledger string
		Scale                                                                  int
		AssertionMethod                                                        []struct{ ID, Type, Controller, PublicKeyMultibase string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d, %v: %s", w.Code, err, w.Body)
	}
	vkey, err := b.fresh().Vkey()
	b.must(err)
	if doc.ID != "https://rye.example/currencies/grn" || doc.Type != "ResourceSpecification" || doc.Name != "Grain" || doc.Symbol != "GRN" || doc.Kind != "mutual" ||
		doc.Privacy != "members" || doc.Scale != 2 || doc.Log != "https://rye.example/currencies/grn/log" || doc.Vkey != vkey || doc.Ledger != "https://rye.example/ledger" ||
		doc.AttributedTo != "https://rye.example/users/bakery" {
		t.Errorf("got %+v", doc)
	}
	if m := doc.AssertionMethod; len(m) != 1 || m[0].Type != "Multikey" || m[0].Controller != doc.ID || !strings.HasPrefix(m[0].PublicKeyMultibase, "z6Mk") {
		t.Errorf("got the key %+v", m)
	}
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "application/activity+json") {
		t.Errorf("got %s", got)
	}
}

// The log as anybody reads it: all leaves, hashed, give the root of the checkpoint that the currency's key signed.
func TestTheLogCanBeReadAndChecked(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	for range 300 {
		b.pay(b.people["bo"], b.people["cleo"], "0.10")
	}
	vkey, err := b.fresh().Vkey()
	b.must(err)
	key, err := proof.NewVerifier(vkey)
	b.must(err)
	w := b.get("/currencies/grn/log/checkpoint")
	cp, _, err := proof.Open(w.Body.Bytes(), key)
	b.must(err)
	if cp.Size != 304 || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("got %+v, %v", cp, w.Header())
	}
	var f proof.Frontier
	for _, tile := range []proof.Tile{{Level: proof.Entries, Index: 0, Width: 256}, {Level: proof.Entries, Index: 1, Width: 48}} {
		w := b.get("/currencies/grn/log/" + tile.Path())
		leaves, err := proof.ParseBundle(w.Body.Bytes(), tile.Width)
		b.must(err)
		want := "public, max-age=60"
		if tile.Width == 256 {
			want = "public, max-age=31536000, immutable"
		}
		if got := w.Header().Get("Cache-Control"); got != want {
			t.Errorf("%s: got %q, want %q", tile.Path(), got, want)
		}
		for _, leaf := range leaves {
			if bytes.Contains(leaf, []byte("amount")) || bytes.Contains(leaf, []byte("users/")) {
				t.Fatalf("a leaf shows who paid whom: %s", leaf)
			}
			_, err := f.Append(proof.LeafHash(leaf))
			b.must(err)
		}
	}
	if f.Root() != cp.Root {
		t.Errorf("the leaves give %s, the checkpoint has %s", f.Root(), cp.Root)
	}
	tree := proof.Tree{Size: cp.Size, Tiles: func(level int, index int64, width int) ([]byte, error) {
		w := b.get("/currencies/grn/log/" + proof.Tile{Level: level, Index: index, Width: width}.Path())
		if w.Code != http.StatusOK {
			return nil, fmt.Errorf("tile %d/%d.%d: %d", level, index, width, w.Code)
		}
		return w.Body.Bytes(), nil
	}}
	if root, err := tree.Root(); err != nil || root != cp.Root {
		t.Errorf("the tiles give %s, %v; the checkpoint has %s", root, err, cp.Root)
	}
}

// No path below a currency is a fault: it is served, or it is not there.
func TestEveryPathBelowACurrencyIsThereOrNot(t *testing.T) {
	b := newBakery(t, ledger.Mutual)
	for _, path := range []string{"", "log", "log/", "checkpoint", "log/checkpoint/", "log/checkpoint/x", "log/Checkpoint", "log/tile", "log/tile/", "log/tile/0", "log/tile/0/", "log/tile/0/000",
		"log/tile/0/000.p/0", "log/tile/0/000.p/3", "log/tile/0/000.p/256", "log/tile/0/000.p/257", "log/tile/0/000.p/-1", "log/tile/0/000.p/x", "log/tile/0/000.p/01", "log/tile/-1/000", "log/tile/00/000",
		"log/tile/8/000", "log/tile/63/000", "log/tile/64/000", "log/tile/99999999999999999999/000", "log/tile/0/0", "log/tile/0/0000", "log/tile/0/x000/000", "log/tile/0/001", "log/tile/0/x999/x999/x999/x999/x999/x999/999",
		"log/tile/0/" + strings.Repeat("x999/", 400) + "999", "log/tile/7/x999/x999/x999/x999/x999/x999/999.p/255", "log/tile/entries", "log/tile/entries/000", "log/tile/entries/000.p/3", "log/tile/entries/x/000", "log/tile/8/000/000", "log/tile/data/000",
		"e1/log/checkpoint", "e2/log/checkpoint", "e0/log/checkpoint", "e99999999999/log/checkpoint", "ex/log/checkpoint", "log/%00", "log/%2e%2e/x", "log/tile/0/%30%30%30%00", "log/issuer", "log/tile/0/000.p/2?x=1;y"} {
		if w := b.get("/currencies/grn/" + path); w.Code != http.StatusNotFound && !(strings.HasSuffix(path, "p/2?x=1;y") && w.Code == http.StatusOK) {
			t.Errorf("%.80s: got %d, want 404", path, w.Code)
		}
	}
}

// A checkpoint that somebody kept holds the node to its word. What a session at the command line makes of it: testdata/script/epoch.txtar of cmd/planet.
func TestF22AShorterBookThanSomebodyKeepsIsNamed(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	b.pay(b.people["bo"], b.people["cleo"], "1")
	var damage *storage.DamageError
	kept := proof.Checkpoint{Origin: "rye.example/currencies/grn", Size: 6, Root: proof.Hash{1}}
	if err := b.DB.Continues(t.Context(), b.fresh(), kept); !errors.As(err, &damage) || !strings.HasPrefix(damage.Reason(), storage.RolledBack) || !strings.Contains(err.Error(), "has 6 entries, and there are 5 now") {
		t.Errorf("got %v", err)
	}
	// Once it is known, the currency goes on in a new epoch alone.
	b.must(b.DB.Freeze(t.Context(), b.currency.ID, damage.Reason()))
	_, err := b.Pay(t.Context(), b.people["bo"], b.order(b.people["cleo"], "1"))
	if !errors.Is(err, storage.ErrFrozen) {
		t.Errorf("got %v, want it frozen", err)
	}
	b.must(b.ResumeCurrency(t.Context(), b.coop, b.fresh(), "https://rye.example/d/1"))
	c := b.fresh()
	origin := fmt.Sprintf("rye.example/currencies/grn/e%d", b.Clock().Unix()+1)
	if c.Frozen != "" || c.Origin() != origin || activitypub.LogURL(c) != "https://"+origin+"/log" {
		t.Errorf("got %q, epoch %d, %s", c.Frozen, c.Book.Epoch, c.Origin())
	}
	if w := b.get(strings.TrimPrefix(origin, "rye.example") + "/log/checkpoint"); w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), origin+"\n6\n") {
		t.Errorf("got %d, %s", w.Code, w.Body)
	}
	if w := b.get("/currencies/grn/log/checkpoint"); w.Code != http.StatusNotFound {
		t.Errorf("the log of the epoch that ended answers %d", w.Code)
	}
	var again *storage.DamageError
	if err := b.DB.Continues(t.Context(), c, kept); err == nil || errors.As(err, &again) {
		t.Errorf("got %v: what was decided is no new damage", err)
	}
	b.audit()
}

func TestF50AnotherHistoryThanSomebodyKeepsIsNamed(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	vkey, err := b.fresh().Vkey()
	b.must(err)
	key, err := proof.NewVerifier(vkey)
	b.must(err)
	var kept []proof.Checkpoint
	for range 20 {
		cp, _, err := proof.Open([]byte(b.fresh().Checkpoint), key)
		b.must(err)
		kept = append(kept, cp)
		b.pay(b.people["bo"], b.people["cleo"], "1")
	}
	for _, cp := range kept {
		b.must(b.DB.Continues(t.Context(), b.fresh(), cp))
		other := cp
		other.Root[0] ^= 1
		var damage *storage.DamageError
		if err := b.DB.Continues(t.Context(), b.fresh(), other); !errors.As(err, &damage) || !strings.HasPrefix(damage.Reason(), storage.Forked) {
			t.Errorf("size %d: got %v", cp.Size, err)
		}
	}
}
