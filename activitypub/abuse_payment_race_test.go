package activitypub_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

// Payments at the same moment.

// parallel sends Offers all at once, and says how often each status was answered.
func (e *economy) parallel(requests ...*http.Request) map[int]int {
	e.t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	statuses := map[int]int{}
	for _, r := range requests {
		all.Go(func() {
			res, err := e.RoundTrip(r)
			if err != nil {
				e.t.Error(err)
				return
			}
			_ = res.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			statuses[res.StatusCode]++
		})
	}
	all.Wait()
	return statuses
}

func TestPAY270TheSamePaymentAHundredTimesAtOnce(t *testing.T) {
	e := newEconomy(t, constellations["one node"])
	far := e.farPayer()
	for round, copies := range []int{2, 100} {
		id := fmt.Sprint("same-", round)
		offer := far.Proven(far.PaymentOffer(id, "https://rye.example/ledger", e.currency.Book.IRI, string(e.bakery.Actor.IRI), "0.01", nil))
		owed := e.owes(storage.IRI(far.ID()))
		var requests []*http.Request
		for range copies {
			requests = append(requests, far.Request("https://rye.example/ledger/inbox", offer))
		}
		if got := e.parallel(requests...); got[202] != copies {
			t.Errorf("%d at once were answered %v", copies, got)
		}
		e.paidOnce(far, id, offer, owed)
	}
}

func TestPAY273TwoPaymentsAtOnceEachOfAllThatThereIs(t *testing.T) {
	e := newEconomy(t, constellations["one node"])
	far := e.farPayer()
	var requests []*http.Request
	var ids []string
	for i := range 10 {
		ids = append(ids, fmt.Sprint("all-", i))
		offer := far.Proven(far.PaymentOffer(ids[i], "https://rye.example/ledger", e.currency.Book.IRI, string(e.bakery.Actor.IRI), "100.00", nil))
		requests = append(requests, far.Request("https://rye.example/ledger/inbox", offer))
	}
	if got := e.parallel(requests...); got[202] != len(requests) {
		t.Errorf("they were answered %v", got)
	}
	e.rest()
	accepted := 0
	for _, id := range ids {
		for what := range answers(t, far, far.ID()+"/activities/"+id) {
			if what[:6] == "Accept" {
				accepted++
			}
		}
	}
	if got := e.owes(storage.IRI(far.ID())); accepted != 1 || got != 100_00 {
		t.Errorf("%d were accepted, and she owes %d", accepted, got)
	}
	e.sound()
}

// TestPAY274AHundredAtOnceOnOneAccount: people, another server, refunds and the co-op that moves limits, all on the account of the bakery. The book replays, so each entry
// was allowed where it stands, within the limits of that moment; and what had been answered before another was asked for stands before it: the history is linearizable.
func TestPAY274AHundredAtOnceOnOneAccount(t *testing.T) {
	e := newEconomy(t, constellations["one node"])
	far := e.farPayer()
	ctx := context.Background()
	first := e.pay(e.order("60.00"))
	type span struct {
		from, to int64
		moved    ledger.ID
	}
	var clock atomic.Int64
	var mu sync.Mutex
	var spans []span
	var all sync.WaitGroup
	act := func(do func() (ledger.ID, error)) {
		all.Go(func() {
			s := span{from: clock.Add(1)}
			id, err := do()
			s.to, s.moved = clock.Add(1), id
			var refused *activitypub.RefusedError
			var problem *activitypub.Problem
			var ledgers *ledger.RefusedError
			if err != nil && !errors.As(err, &refused) && !errors.As(err, &problem) && !errors.As(err, &ledgers) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			spans = append(spans, s)
		})
	}
	of := func(p *storage.Payment, err error) (ledger.ID, error) {
		if p == nil {
			return ledger.ID{}, err
		}
		return p.Transfer(), err
	}
	bo, err := e.there.DB.ActorByIRI(ctx, e.bo.Actor.IRI)
	e.must(err)
	for i := range 25 {
		toBakery, back := e.order("7.00"), activitypub.PayOrder{Currency: activitypub.MoneyHere(e.currency), To: bo, Amount: "11.00"}
		offer := far.Request("https://rye.example/ledger/inbox", far.Proven(far.PaymentOffer(fmt.Sprint("hundred-", i), "https://rye.example/ledger", e.currency.Book.IRI, string(e.bakery.Actor.IRI), "9.00", nil)))
		act(func() (ledger.ID, error) { return of(e.here.Pay(ctx, e.bo, toBakery)) })
		act(func() (ledger.ID, error) {
			if i%2 == 0 {
				return of(e.there.Pay(ctx, e.bakery, back))
			}
			return of(e.there.RefundPayment(ctx, e.bakery, first.ID, "5.00", "", ""))
		})
		act(func() (ledger.ID, error) {
			res, err := e.RoundTrip(offer)
			if err == nil {
				err = res.Body.Close()
			}
			return ledger.NewID("pay", fmt.Sprintf("%s/activities/hundred-%d", far.ID(), i)), err
		})
		act(func() (ledger.ID, error) {
			limit := fmt.Sprint(50 + i)
			return ledger.ID{}, e.mint.SetLimits(ctx, e.coop, e.currency, e.mintsBakery, activitypub.NewLimits{Credit: &limit, Ceiling: new("130")}, "https://rye.example/decisions/1")
		})
	}
	all.Wait()
	e.rest()
	e.sound()
	if back, err := e.mint.DB.Refunded(ctx, first.ID); err != nil || back > first.Amount {
		t.Errorf("%d of %d were given back: %v", back, first.Amount, err)
	}
	seq, moved := map[ledger.ID]ledger.Seq{}, 0
	for _, s := range spans {
		switch _, at, err := e.mint.DB.Transfer(ctx, s.moved); {
		case err == nil:
			seq[s.moved] = at
			moved++
		case !errors.Is(err, storage.ErrNotFound):
			t.Fatal(err)
		}
	}
	for _, a := range spans {
		for _, b := range spans {
			if x, ok := seq[a.moved]; ok && a.to < b.from {
				if y, ok := seq[b.moved]; ok && x >= y {
					t.Errorf("what was answered first stands at %d, what was asked for after it at %d", x, y)
				}
			}
		}
	}
	if len(spans) != 100 || moved < 10 || moved == len(spans) {
		t.Errorf("%d of %d moved something", moved, len(spans))
	}
	t.Logf("%d of %d moved something", moved, len(spans))
}

// Whatever the network does with an Offer and the Undo of it, the end depends on which of them was first at the ledger, and on nothing else.
func TestPAY289TheOrderOfArrivalDecidesOnce(t *testing.T) {
	for order, want := range map[string]string{"OU": "Accept", "UO": "Reject", "OOUU": "Accept", "UUOO": "Reject", "OUOU": "Accept", "UOUO": "Reject"} {
		t.Run(order, func(t *testing.T) {
			e := newEconomy(t, constellations["one node"])
			far := e.farPayer()
			iri := far.ID() + "/activities/1"
			offer := far.Proven(far.PaymentOffer("1", "https://rye.example/ledger", e.currency.Book.IRI, string(e.bakery.Actor.IRI), "1.00", nil))
			undo := far.Activity("Undo", "undo", dict{"id": iri, "type": "Offer", "actor": far.ID()})
			for _, what := range order {
				activity := any(undo)
				if what == 'O' {
					activity = offer
				}
				if got, _ := e.send(far, activity); got != 202 {
					t.Errorf("%c: %d", what, got)
				}
				e.sound()
			}
			e.rest()
			paid := int64(0)
			if want == "Accept" {
				paid = 100
			}
			if got := e.owes(storage.IRI(far.ID())); got != paid {
				t.Errorf("she owes %d, want %d", got, paid)
			}
			got := answers(t, far, iri)
			for what := range got {
				if what[:6] != want {
					t.Errorf("the ledger said %s, want %s", what, want)
				}
			}
			if len(got) != 1 {
				t.Errorf("the answers are %v", got)
			}
		})
	}
}

// F24: the ledger is away for a week. What it never got is over in time at its payer's, and stays so when the ledger is back and gets it after all; what it had said is heard.
func TestF24ALedgerThatIsAwayForAWeek(t *testing.T) {
	e := newEconomy(t, constellations["each on a node of its own"])
	before, err := e.here.Pay(t.Context(), e.bo, e.order("1.00"))
	e.must(err)
	e.must(e.here.DeliverDue(t.Context())) // it has decided, and nobody has heard
	e.Away(e.mint.Host, true)
	never, err := e.here.Pay(t.Context(), e.bo, e.order("2.00"))
	e.must(err)
	for range 14 {
		e.Sleep(12 * time.Hour)
		e.rest()
		e.sound()
	}
	if q := e.at(e.here, before); q.State != storage.PaymentSent {
		t.Errorf("what nobody has heard of is %s", q.State)
	}
	e.Away(e.mint.Host, false)
	for range 14 {
		e.Sleep(12 * time.Hour)
		e.rest()
	}
	e.want(before, storage.PaymentCommitted, "1.00")
	if q := e.at(e.here, never); q.State != storage.PaymentExpired {
		t.Errorf("what the ledger did not get in time is %s (%s)", q.State, q.Words)
	}
	e.balances("-1.00", "1.00")
	e.agree()
}
