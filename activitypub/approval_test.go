package activitypub_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

// guard sets the thresholds of the payer, a co-op with a founder and a second person.
func (e *economy) guard(perPayment, perDay, own string) (ana, bea activitypub.By) {
	e.t.Helper()
	ana = e.here.Person("ana2")
	coop := e.here.Coop(ana, "shop")
	second := e.here.Person("bea")
	e.must(e.here.DB.AddMember(e.t.Context(), &storage.Member{UserID: second.User.ID, CoopID: coop.Actor.ID, Role: storage.RoleTreasurer}))
	e.bo = coop // pays in the stories of economy
	e.mints = e.open(coop)
	m, err := e.here.Money(e.t.Context(), e.currency.Book.IRI)
	e.must(err)
	e.must(e.here.SetSignatures(e.t.Context(), coop, m, activitypub.NewSignatures{PerPayment: &perPayment, PerDay: &perDay, OwnBenefit: &own}))
	return coop, activitypub.By{User: second.User, Actor: coop.Actor}
}

func TestAPaymentAboveTheThresholdTakesASecondPerson(t *testing.T) {
	inEach(t, func(t *testing.T, e *economy) {
		ctx := t.Context()
		ana, bea := e.guard("10", "none", "none")
		small := e.pay(e.order("10.00"))
		e.rest()
		e.want(small, storage.PaymentCommitted, "10.00")

		o := e.order("10.01")
		o.Key = "flour"
		p, err := e.here.Pay(ctx, ana, o)
		e.must(err)
		e.rest()
		if q := e.at(e.here, p); q.State != storage.PaymentWaiting || q.Body != nil || e.there != e.here && e.at(e.there, p) != nil {
			t.Errorf("it is %s, and signed or seen elsewhere", q.State)
		}
		e.stands(ana, "-10.00")
		if again, err := e.here.Pay(ctx, ana, o); err != nil || again.ID != p.ID {
			t.Errorf("asked again: %v, %v", again, err)
		}
		_, err = e.here.ApprovePayment(ctx, ana, p.ID)
		wantProblem(t, err, "own-case")
		_, err = e.here.ApprovePayment(ctx, activitypub.By{Actor: ana.Actor}, p.ID)
		wantProblem(t, err, "named")
		stranger := e.here.Person("sly")
		_, err = e.here.ApprovePayment(ctx, activitypub.By{User: stranger.User, Actor: ana.Actor}, p.ID)
		wantProblem(t, err, "role")
		q, err := e.here.ApprovePayment(ctx, bea, p.ID)
		e.must(err)
		e.rest()
		e.want(q, storage.PaymentCommitted, "10.01")
		e.stands(ana, "-20.01")
		if q := e.at(e.here, p); q.UserID != ana.User.ID || q.SecondID != bea.User.ID {
			t.Errorf("proposed by %s, approved by %s", q.UserID, q.SecondID)
		}
		log, err := e.here.AuditOf(ctx, bea, bea.Actor, 0, 1)
		e.must(err)
		if len(log) != 1 || log[0].Act != "payment.approve" || !strings.HasSuffix(log[0].Who, "/users/bea") || log[0].Subject != p.IRI {
			t.Errorf("the audit log ends with %+v", log)
		}
	})
}

// stands checks what somebody has in the book.
func (e *economy) stands(by activitypub.By, want string) {
	e.t.Helper()
	a, err := e.mint.DB.Account(e.t.Context(), e.currency, by.Actor.IRI)
	e.must(err)
	if got := e.currency.Book.Format(a.Balance()); got != want {
		e.t.Errorf("%s has %s, want %s", by.Actor.Username, got, want)
	}
}

func TestAPaymentThatWaitsIsRefusedTakenBackOrForgotten(t *testing.T) {
	e := newEconomy(t, constellations["payer elsewhere"])
	ctx := t.Context()
	ana, bea := e.guard("10", "none", "none")
	propose := func() *storage.Payment {
		p, err := e.here.Pay(ctx, ana, e.order("20.00"))
		e.must(err)
		return p
	}
	p := propose()
	_, err := e.here.RefusePayment(ctx, bea, p.ID, " ")
	wantInvalid(t, err, "reason")
	q, err := e.here.RefusePayment(ctx, bea, p.ID, "we have flour")
	e.must(err)
	if q.State != storage.PaymentRefused || q.Words != "we have flour" || q.SecondID != bea.User.ID {
		t.Errorf("got %+v", q)
	}
	_, err = e.here.ApprovePayment(ctx, bea, p.ID)
	wantProblem(t, err, "state")

	p = propose()
	q, err = e.here.CancelPayment(ctx, ana, p.ID)
	e.must(err)
	if q.State != storage.PaymentCancelled {
		t.Errorf("got %s", q.State)
	}
	_, err = e.here.ApprovePayment(ctx, bea, p.ID)
	wantProblem(t, err, "state")

	p = propose()
	e.Sleep(7*24*time.Hour - time.Minute)
	e.rest()
	if q := e.at(e.here, p); q.State != storage.PaymentWaiting {
		t.Errorf("it is %s before its time", q.State)
	}
	e.Sleep(2 * time.Minute)
	e.rest()
	if q := e.at(e.here, p); q.State != storage.PaymentRefused || q.Reason != "expired" || q.NextAt != nil {
		t.Errorf("got %+v", q)
	}
	e.stands(ana, "0.00")
	ns, err := e.here.DB.Notifications(ctx, e.actorOf(ana).ID, storage.Page{Limit: 10})
	e.must(err)
	told := 0
	for _, n := range ns {
		if n.Kind == "payment.refused" {
			told++
		}
	}
	if told != 2 {
		t.Errorf("who proposed was told %d times, want of the refusal and of the end", told)
	}
}

// actorOf is the own actor of somebody of the payer's node.
func (e *economy) actorOf(by activitypub.By) *storage.Actor {
	e.t.Helper()
	a, err := e.here.DB.ActorByID(e.t.Context(), by.User.ActorID)
	e.must(err)
	return a
}

func TestTheDayAndTheOwnPocketCountToo(t *testing.T) {
	e := newEconomy(t, constellations["one node"])
	ctx := t.Context()
	ana, bea := e.guard("none", "30", "0")
	for range 3 {
		if p := e.pay(e.order("10.00")); p.State != storage.PaymentCommitted {
			t.Fatalf("it is %s", p.State)
		}
	}
	p, err := e.here.Pay(ctx, ana, e.order("0.01"))
	e.must(err)
	if p.State != storage.PaymentWaiting {
		t.Errorf("one cent above the day's limit is %s", p.State)
	}
	e.Sleep(24 * time.Hour)
	if p := e.pay(e.order("10.00")); p.State != storage.PaymentCommitted {
		t.Errorf("the next day it is %s", p.State)
	}
	own := e.actorOf(ana)
	_, err = e.mint.OpenAccount(ctx, e.coop, e.currency, own)
	e.must(err)
	o := e.order("0.01")
	o.To = own
	if p, err = e.here.Pay(ctx, ana, o); err != nil || p.State != storage.PaymentWaiting {
		t.Errorf("to her own pocket: %v, %v", p, err)
	}
	_, err = e.here.ApprovePayment(ctx, bea, p.ID)
	e.must(err)
	o.To = e.actorOf(bea)
	_, err = e.mint.OpenAccount(ctx, e.coop, e.currency, o.To)
	e.must(err)
	zero := "0"
	e.must(e.here.SetSignatures(ctx, ana, o.Currency, activitypub.NewSignatures{PerPayment: &zero}))
	p, err = e.here.Pay(ctx, ana, o)
	e.must(err)
	_, err = e.here.ApprovePayment(ctx, bea, p.ID)
	wantProblem(t, err, "own-case") // she is paid by it
	e.audit()
}

// Of many at once no more go through than the day allows; the others wait.
func TestManyAtOnceDoNotPassTheDay(t *testing.T) {
	e := newEconomy(t, constellations["one node"])
	ana, _ := e.guard("none", "30", "none")
	orders := make([]activitypub.PayOrder, 20)
	for i := range orders {
		orders[i] = e.order("3.00")
	}
	var wg sync.WaitGroup
	states := make([]string, len(orders))
	for i := range orders {
		wg.Go(func() {
			p, err := e.here.Pay(t.Context(), ana, orders[i])
			if err != nil {
				t.Error(err)
				return
			}
			states[i] = p.State
		})
	}
	wg.Wait()
	paid := 0
	for _, s := range states {
		if s == storage.PaymentCommitted {
			paid++
		} else if s != storage.PaymentWaiting {
			t.Errorf("one is %q", s)
		}
	}
	if paid == 0 || paid > 10 {
		t.Errorf("%d went through, at most 10 fit into the day", paid)
	}
	e.audit()
}

// Yes, no and taking back at once: one of them wins, and it is paid at most once.
func TestOfYesAndNoOneWins(t *testing.T) {
	for _, name := range []string{"one node", "payer elsewhere"} {
		t.Run(name, func(t *testing.T) {
			e := newEconomy(t, constellations[name])
			ana, bea := e.guard("1", "none", "none")
			for range 6 {
				p, err := e.here.Pay(t.Context(), ana, e.order("2.00"))
				e.must(err)
				before := e.audit().Transfers
				var wg sync.WaitGroup
				for i := range 8 {
					wg.Go(func() {
						switch i % 4 {
						case 0, 1:
							_, _ = e.here.ApprovePayment(t.Context(), bea, p.ID)
						case 2:
							_, _ = e.here.RefusePayment(t.Context(), bea, p.ID, "no")
						default:
							_, _ = e.here.CancelPayment(t.Context(), ana, p.ID)
						}
					})
				}
				wg.Wait()
				e.rest()
				e.Sleep(time.Hour)
				e.rest()
				q, moved := e.at(e.here, p), e.audit().Transfers-before
				if !q.Over() || (q.State == storage.PaymentCommitted) != (moved == 1) || moved > 1 {
					t.Errorf("it is %s, and %d was moved", q.State, moved)
				}
			}
		})
	}
}

func TestNobodyWaitsForWhoIsNotThere(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo")
	zero := "0"
	b.must(b.SetSignatures(t.Context(), b.coop, activitypub.MoneyHere(b.currency), activitypub.NewSignatures{PerPayment: &zero}))
	_, err := b.Pay(t.Context(), b.coop, b.order(b.people["bo"], "1"))
	wantProblem(t, err, "nobody-else")
	if ps, err := b.DB.Payments(t.Context(), "", 0, 10); err != nil || len(ps) != 0 {
		t.Errorf("%d payments are kept (%v), want none", len(ps), err)
	}
}
