package activitypub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/ledger"
	"planet/storage"
)

const decided = "https://rye.example/@mint/1"

// opens sets who brings accounts about.
func (e *economy) opens(rule ledger.OpenRule) {
	e.t.Helper()
	e.must(e.mint.SetRules(e.t.Context(), e.coop, e.currency, activitypub.NewRules{Open: &rule}, decided))
	c, err := e.mint.DB.CurrencyByID(e.t.Context(), e.currency.ID)
	e.must(err)
	e.currency = c
}

// newcomer is somebody of a server without any code of ours, who has no account.
func (e *economy) newcomer(name string) *aptest.Peer {
	e.t.Helper()
	p := aptest.NewProver("https://"+name+".example", name, 8)
	p.Now = e.Now
	e.Serve(name+".example", p)
	return p
}

// Whom a member pays gets an account by it where the rules say so, and owes nothing; elsewhere nobody does.
func TestF35AMembersPaymentBringsAnAccountAbout(t *testing.T) {
	for _, rule := range []ledger.OpenRule{ledger.OpenByAdmin, ledger.OpenByInvite, ledger.OpenOnCredit} {
		for _, name := range []string{"one node", "payer elsewhere"} {
			t.Run(fmt.Sprint(rule, ", ", name), func(t *testing.T) {
				e := newEconomy(t, constellations[name])
				ctx := t.Context()
				e.opens(rule)
				pat := e.newcomer("pat")
				to, err := e.here.Resolve(ctx, pat.ID())
				e.must(err)
				o := e.order("3.00")
				o.To = to
				p, err := e.here.Pay(ctx, e.bo, o)
				if name == "payer elsewhere" {
					e.must(err)
				}
				e.rest()
				a, err := e.mint.DB.Account(ctx, e.currency, storage.IRI(pat.ID()))
				q := e.at(e.here, p)
				if rule != ledger.OpenOnCredit {
					if err == nil || q.State != storage.PaymentRejected || q.Reason != "no_account" {
						t.Errorf("it is %s (%s), and the account is there: %v", q.State, q.Reason, err == nil)
					}
					e.balances("0.00", "0.00")
					return
				}
				e.must(err)
				if q.State != storage.PaymentCommitted || a.Balance() != 300 || !a.Floor.Set || a.Floor.V != 0 {
					t.Errorf("it is %s %s %s, the account %+v", q.State, q.Reason, q.Words, a)
				}
				o = e.order("200.00") // a refused payment opens none
				sly := e.newcomer("sly")
				if o.To, err = e.here.Resolve(ctx, sly.ID()); err != nil {
					t.Fatal(err)
				}
				_, _ = e.here.Pay(ctx, e.bo, o)
				e.rest()
				if _, err := e.mint.DB.Account(ctx, e.currency, storage.IRI(sly.ID())); err == nil {
					t.Error("a refused payment has opened an account")
				}
				e.audit()
			})
		}
	}
}

// Nobody fills a book with strangers: so many newcomers a day, by inviting and by paying together.
func TestF53SoManyNewcomersADay(t *testing.T) {
	e := newEconomy(t, constellations["one node"])
	ctx := t.Context()
	e.opens(ledger.OpenByAdmin)
	whom := func(i int) *storage.Actor {
		a, err := e.mint.Resolve(ctx, e.newcomer(fmt.Sprintf("n%d", i)).ID())
		e.must(err)
		return a
	}
	_, err := e.mint.InviteAccount(ctx, e.bo, e.currency, whom(0))
	wantProblem(t, err, "rules")
	e.opens(ledger.OpenOnCredit)
	stranger := e.here.Person("stranger")
	if _, err := e.mint.InviteAccount(ctx, stranger, e.currency, whom(0)); err == nil {
		t.Error("somebody without an account invites")
	}
	for i := range 5 {
		fresh, err := e.mint.InviteAccount(ctx, e.bo, e.currency, whom(i))
		if err != nil || !fresh {
			t.Fatalf("%d: %v, %v", i, fresh, err)
		}
	}
	if fresh, err := e.mint.InviteAccount(ctx, e.bo, e.currency, whom(0)); err != nil || fresh {
		t.Errorf("the same again: %v, %v", fresh, err)
	}
	for i := 5; i < 10; i++ {
		o := e.order("1.00")
		o.To = whom(i)
		if _, err := e.here.Pay(ctx, e.bo, o); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	o := e.order("1.00")
	o.To = whom(10)
	p, err := e.here.Pay(ctx, e.bo, o)
	if err == nil || p.Reason != "rate_limited" {
		t.Errorf("the eleventh: %+v, %v", p, err)
	}
	if _, err = e.mint.InviteAccount(ctx, e.bo, e.currency, whom(11)); err == nil {
		t.Error("an eleventh was invited")
	}
	e.Sleep(25 * time.Hour)
	o = e.order("1.00")
	o.To = whom(10)
	if _, err := e.here.Pay(ctx, e.bo, o); err != nil {
		t.Errorf("the next day: %v", err)
	}
	e.audit()
}

// An account goes to another owner by a decision, when both say that they are the same; then the old one moves nothing of it.
func TestF37AnAccountGoesToAnotherOwnerByADecision(t *testing.T) {
	e := newEconomy(t, constellations["payer elsewhere"])
	ctx := t.Context()
	e.pay(e.order("9.00"))
	o := e.order("20.00")
	o.Hold = time.Hour
	held := e.pay(o)
	e.rest()
	ash := e.Add("ash.example")
	bo := ash.Person("bo")
	to, err := e.mint.Resolve(ctx, string(bo.Actor.IRI))
	e.must(err)
	rebind := func(alone bool) error {
		return e.mint.RebindAccount(ctx, e.coop, e.currency, e.bo.Actor.IRI, to, alone, decided)
	}
	wantProblem(t, rebind(false), "proof")
	e.must(ash.SetAliases(ctx, bo, []string{"@bo@oak.example"}))
	wantProblem(t, rebind(false), "proof") // she says so alone
	if _, err := e.here.Move(ctx, e.bo, "@bo@ash.example"); err != nil {
		t.Fatal(err)
	}
	wantInvalid(t, e.mint.RebindAccount(ctx, e.coop, e.currency, e.bo.Actor.IRI, to, false, "we said so"), "decision")
	e.must(rebind(false))
	a, err := e.mint.DB.Account(ctx, e.currency, bo.Actor.IRI)
	e.must(err)
	if a.Balance() != -900 || a.DebitsPending != 2000 {
		t.Errorf("the account is %+v", a)
	}
	_, err = e.there.TakePayment(ctx, e.bakery, e.at(e.there, held).ID, "", "") // what was promised holds
	e.must(err)
	e.rest()
	if a, err := e.mint.DB.Account(ctx, e.currency, bo.Actor.IRI); err != nil || a.Balance() != -2900 {
		t.Errorf("got %+v, %v", a, err)
	}
	before := e.audit().Transfers
	p, err := e.here.Pay(ctx, e.bo, e.order("1.00"))
	e.must(err)
	e.rest()
	if q := e.at(e.here, p); q.State != storage.PaymentRejected || e.audit().Transfers != before {
		t.Errorf("the old owner's payment is %s", q.State)
	}
	if err := rebind(true); err == nil {
		t.Error("an account that is gone was given away again")
	}
}

// A payee whose server knows no payments is told in words, by the ledger, and gets no activity that it would not understand.
func TestAPayeeOfMastodonIsToldInWords(t *testing.T) {
	e := newEconomy(t, constellations["payer elsewhere"])
	ctx := t.Context()
	pat := e.newcomer("pat")
	to, err := e.here.Resolve(ctx, pat.ID())
	e.must(err)
	there, err := e.mint.Resolve(ctx, pat.ID())
	e.must(err)
	_, err = e.mint.OpenAccount(ctx, e.coop, e.currency, there)
	e.must(err)
	o := e.order("3.00")
	o.To = to
	p := e.pay(o)
	e.rest()
	if q := e.at(e.here, p); q.State != storage.PaymentCommitted {
		t.Fatalf("it is %s", q.State)
	}
	o = e.order("2.00")
	o.To, o.Hold = to, time.Hour
	e.pay(o)
	e.Sleep(2 * time.Hour)
	e.rest()
	var notes []string
	for _, raw := range pat.Received() {
		var a struct {
			Type, Actor string
			Object      struct{ Type, Content string }
			To          []string
		}
		e.must(json.Unmarshal(raw, &a))
		if a.Type != "Create" || a.Object.Type != "Note" || a.Actor != e.mint.Origin+"/ledger" || len(a.To) != 1 || a.To[0] != pat.ID() {
			t.Errorf("it got %s", raw)
		}
		notes = append(notes, a.Object.Content)
	}
	want := []string{"bo@oak.example has paid you 3.00 GRN: loaf 1. Your account stands at 3.00 GRN", "bo@oak.example holds 2.00 GRN for you until", "went back: loaf 2. Your account stands at 3.00 GRN"}
	if len(notes) != len(want) {
		t.Fatalf("it got %q", notes)
	}
	for i, w := range want {
		if !strings.Contains(notes[i], w) {
			t.Errorf("it got %q, want %q", notes[i], w)
		}
	}
}
