package activitypub_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/ledger"
	"planet/storage"
)

// Who leaves a co-op leaves nothing behind on her account, and owes nothing.
func TestWhoLeavesIsSquare(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	for _, by := range []activitypub.By{bo, cleo} {
		b.must(b.DB.AddMember(ctx, &storage.Member{UserID: by.User.ID, CoopID: b.coop.Actor.ID, Role: storage.RoleMember}))
	}
	b.pay(bo, cleo, "3")
	wantProblem(t, b.Leave(ctx, bo, b.coop.Actor), "balance")
	wantProblem(t, b.Leave(ctx, cleo, b.coop.Actor), "balance")
	wantProblem(t, b.TakeRole(ctx, b.coop, cleo.User, ""), "balance")
	b.pay(cleo, bo, "3")
	o := b.order(cleo, "1")
	o.Hold = time.Hour
	held, err := b.Pay(ctx, bo, o)
	b.must(err)
	wantProblem(t, b.Leave(ctx, bo, b.coop.Actor), "held")
	wantProblem(t, b.Leave(ctx, cleo, b.coop.Actor), "held")
	_, err = b.ReleasePayment(ctx, cleo, held.ID, "")
	b.must(err)
	b.must(b.Leave(ctx, bo, b.coop.Actor))
	b.must(b.TakeRole(ctx, b.coop, cleo.User, ""))
}

// Who deletes herself, here or elsewhere, is paid nothing and pays nothing any more; what she has or owes stays in the book, what was held goes back, and the co-op is told.
func TestPAY290WhoIsGoneLeavesAFrozenAccount(t *testing.T) {
	for _, name := range []string{"one node", "payer elsewhere", "payee elsewhere", "each on a node of its own"} {
		for _, side := range []string{"payer", "payee"} {
			t.Run(name+", the "+side, func(t *testing.T) {
				e := newEconomy(t, constellations[name])
				ctx := t.Context()
				paid := e.pay(e.order("9.00"))
				o := e.order("20.00")
				o.Hold = time.Hour
				held := e.pay(o)
				e.rest()
				home, gone := e.here, e.bo
				if side == "payee" {
					home, gone = e.there, e.bakery
				}
				e.must(home.DeleteActor(ctx, gone))
				e.rest()
				e.balances("-9.00", "9.00")
				e.want(paid, storage.PaymentCommitted, "9.00")
				for _, n := range []*aptest.Node{e.mint, e.there, e.here} {
					if q := e.at(n, held); n != home && q.State != storage.PaymentCancelled {
						t.Errorf("what was held is %s at %s", q.State, n.Host)
					}
				}
				a, err := e.mint.DB.Account(ctx, e.currency, gone.Actor.IRI)
				e.must(err)
				if a.Flags != ledger.NoDebit|ledger.NoCredit || a.DebitsPending != 0 || a.CreditsPending != 0 {
					t.Errorf("the account is %+v", a)
				}
				ns, err := e.mint.DB.Notifications(ctx, e.coop.Actor.ID, storage.Page{Limit: 20})
				e.must(err)
				told := 0
				for _, n := range ns {
					if n.Kind == "account.frozen" {
						told++
					}
				}
				if told != 1 {
					t.Errorf("the co-op was told %d times", told)
				}
				e.audit()
			})
		}
	}
}

// A Move moves followers. The account, and what is held, stays with who had it.
func TestPAY291AMoveMovesNoMoney(t *testing.T) {
	e := newEconomy(t, constellations["payer elsewhere"])
	ctx := t.Context()
	e.pay(e.order("9.00"))
	o := e.order("20.00")
	o.Hold = time.Hour
	held := e.pay(o)
	e.rest()
	second := e.Add("ash.example")
	new := second.Person("bo")
	e.must(second.SetAliases(ctx, new, []string{"@bo@oak.example"}))
	_, err := e.here.Move(ctx, e.bo, "@bo@ash.example")
	e.must(err)
	e.rest()
	e.balances("-9.00", "9.00")
	e.want(held, storage.PaymentHeld, "20.00")
	as, err := e.mint.DB.Accounts(ctx, e.currency)
	e.must(err)
	for _, a := range as {
		if a.Ref == string(new.Actor.IRI) {
			t.Errorf("the new one has an account: %+v", a)
		}
	}
	_, err = e.there.TakePayment(ctx, e.bakery, e.at(e.there, held).ID, "", "")
	e.must(err)
	e.rest()
	e.balances("-29.00", "29.00")
	e.audit()
}

// Whoever is blocked or suspended moves nothing: a whole server is not heard, a person is answered, with the same words whatever the reason.
func TestPAY301WhoIsBlockedOrSuspendedPaysNothing(t *testing.T) {
	e := newEconomy(t, constellations["one node"])
	ctx := t.Context()
	far := e.farPayer()
	payments := 0
	offer := func() []byte {
		payments++
		return far.Proven(far.PaymentOffer(fmt.Sprint(payments), "https://rye.example/ledger", e.currency.Book.IRI, string(e.bakery.Actor.IRI), "1.00", nil))
	}
	want := func(what string, status int, code string) {
		t.Helper()
		if got, _ := e.send(far, offer()); got != status {
			t.Errorf("%s: got %d, want %d", what, got, status)
		}
		p, err := e.mint.DB.PaymentByIRI(ctx, storage.IRI(fmt.Sprintf("%s/activities/%d", far.ID(), payments)))
		switch {
		case code == "" && !errors.Is(err, storage.ErrNotFound):
			t.Errorf("%s: something is kept: %+v, %v", what, p, err)
		case code != "" && (err != nil || p.Reason != code || p.Words != "The account cannot take this payment."):
			t.Errorf("%s: got %+v, %v", what, p, err)
		}
		e.balances("0.00", "0.00")
	}
	_, err := e.there.Block(ctx, e.bakery, "@fay@far.example")
	e.must(err)
	want("the payee blocks her", 202, "account_frozen")
	_, err = e.there.Unblock(ctx, e.bakery, "@fay@far.example")
	e.must(err)

	suspend := func(iri storage.IRI, suspended bool) {
		t.Helper()
		a, err := e.mint.DB.ActorByIRI(ctx, iri)
		e.must(err)
		e.must(e.mint.SetStanding(ctx, nil, a, suspended, false))
	}
	suspend(e.bakery.Actor.IRI, true)
	want("the payee is suspended", 202, "account_frozen")
	suspend(e.bakery.Actor.IRI, false)
	suspend(storage.IRI(far.ID()), true)
	want("the payer is suspended", 403, "")
	suspend(storage.IRI(far.ID()), false)
	_, err = e.mint.SetDomainRule(ctx, nil, "far.example", storage.RuleBlock, "")
	e.must(err)
	want("her server is blocked", 403, "")
	e.audit()
}

// A server that is blocked holds a balance in the book: its account stays as it is, and nothing is promised to it any more; what was owed can still be settled.
func TestF46ABlockedServersMemberKeepsHerBalance(t *testing.T) {
	e := newEconomy(t, constellations["payer elsewhere"])
	ctx := t.Context()
	first := e.pay(e.order("9.00"))
	e.rest()
	at := func() int64 {
		a, err := e.mint.DB.Account(ctx, e.currency, e.bo.Actor.IRI)
		e.must(err)
		return a.Balance()
	}
	_, err := e.mint.SetDomainRule(ctx, nil, "oak.example", storage.RuleBlock, "spam")
	e.must(err)
	said := func() (n int) {
		for _, row := range e.here.State()["activities"] {
			if strings.Contains(row, "rye.example/ledger") {
				n++
			}
		}
		return n
	}
	before := said()
	p := e.pay(e.order("1.00"))
	e.rest()
	if q := e.at(e.mint, p); q != nil || at() != -900 {
		t.Errorf("the blocked server's payment is %+v, and the account at %d", q, at())
	}
	// Whoever was paid may give it back: that is no new debt of anybody's. The blocked server hears nothing of it.
	q := e.at(e.there, first)
	back, err := e.there.RefundPayment(ctx, e.bakery, q.ID, "4.00", "", "")
	e.must(err)
	e.rest()
	if now := e.at(e.there, back); now.State != storage.PaymentCommitted || at() != -500 {
		t.Errorf("the refund is %s (%s), and the account at %d", now.State, now.Words, at())
	}
	if got := said() - before; got != 1 { // her own Offer, which the ledger did not take
		t.Errorf("%d activities about the ledger are new at the blocked server", got)
	}
	e.audit()
	// Once it is welcome again, all is as before.
	e.must(e.mint.RemoveDomainRule(ctx, nil, "oak.example"))
	p = e.pay(e.order("1.00"))
	e.rest()
	if q := e.at(e.mint, p); q == nil || q.State != storage.PaymentCommitted || at() != -600 {
		t.Errorf("afterwards it is %+v, and the account at %d", q, at())
	}
	e.audit()
}
