package activitypub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
)

// economy is a currency with a payer and a payee, each on a node of its own or together on fewer.
type economy struct {
	*aptest.Network
	t                  *testing.T
	mint, there, here  *aptest.Node   // of the ledger, the payee, the payer
	coop, bakery, bo   activitypub.By // whose currency it is, the payee, the payer
	currency           *storage.Currency
	payments           int
	mintsBakery, mints *storage.Actor // payee and payer as the ledger knows them
}

// constellations are the ways in which payer, payee and ledger can be spread over nodes.
var constellations = map[string][3]string{ // ledger, payee, payer
	"one node":                  {"rye.example", "rye.example", "rye.example"},
	"payer elsewhere":           {"rye.example", "rye.example", "oak.example"},
	"payee elsewhere":           {"rye.example", "oak.example", "rye.example"},
	"ledger elsewhere":          {"rye.example", "oak.example", "oak.example"},
	"each on a node of its own": {"rye.example", "oak.example", "elm.example"},
}

// inEach runs a story in every constellation.
func inEach(t *testing.T, story func(t *testing.T, e *economy)) {
	for name, hosts := range constellations {
		t.Run(name, func(t *testing.T) { story(t, newEconomy(t, hosts)) })
	}
}

func newEconomy(t *testing.T, hosts [3]string) *economy {
	t.Helper()
	return newEconomyIn(t, aptest.New(t), hosts)
}

// newEconomyIn is newEconomy in a network that a test has prepared.
func newEconomyIn(t *testing.T, net *aptest.Network, hosts [3]string, change ...func(*activitypub.Config)) *economy {
	t.Helper()
	e := &economy{Network: net, t: t}
	nodes := map[string]*aptest.Node{}
	for _, h := range hosts {
		if nodes[h] == nil {
			nodes[h] = e.Add(h, change...)
		}
	}
	e.mint, e.there, e.here = nodes[hosts[0]], nodes[hosts[1]], nodes[hosts[2]]
	e.coop = e.mint.Coop(e.mint.Person("nuria"), "mint")
	e.bakery = e.there.Coop(e.there.Person("ana"), "bakery")
	e.bo = e.here.Person("bo")
	c, err := e.mint.FoundCurrency(t.Context(), e.coop, activitypub.NewCurrency{Code: "GRN", Name: "Grain", Kind: ledger.Mutual, CreditLimit: "100"})
	e.must(err)
	e.currency = c
	e.mintsBakery, e.mints = e.open(e.bakery), e.open(e.bo)
	return e
}

func (e *economy) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// open gives somebody an account, wherever she is.
func (e *economy) open(by activitypub.By) *storage.Actor {
	e.t.Helper()
	a, err := e.mint.Resolve(e.t.Context(), string(by.Actor.IRI))
	e.must(err)
	_, err = e.mint.OpenAccount(e.t.Context(), e.coop, e.currency, a)
	e.must(err)
	return a
}

// order is what the payer wants to pay to the payee.
func (e *economy) order(amount string) activitypub.PayOrder {
	e.t.Helper()
	m, err := e.here.Money(e.t.Context(), e.currency.Book.IRI)
	e.must(err)
	to, err := e.here.Resolve(e.t.Context(), string(e.bakery.Actor.IRI))
	e.must(err)
	e.payments++
	return activitypub.PayOrder{Currency: m, To: to, Amount: amount, Memo: fmt.Sprintf("loaf %d", e.payments)}
}

// pay pays and lets everything arrive.
func (e *economy) pay(o activitypub.PayOrder) *storage.Payment {
	e.t.Helper()
	p, err := e.here.Pay(e.t.Context(), e.bo, o)
	e.must(err)
	e.Deliver()
	return p
}

// rest lets everything arrive, and all nodes look at what is due.
func (e *economy) rest() {
	e.t.Helper()
	for range 3 {
		e.Deliver()
		for _, n := range []*aptest.Node{e.mint, e.there, e.here} {
			e.must(n.ExpireHolds(context.Background()))
			e.must(n.CheckPayments(context.Background()))
		}
	}
	e.Deliver()
}

// at is a payment as a node has it; nil when it has none.
func (e *economy) at(n *aptest.Node, p *storage.Payment) *storage.Payment {
	e.t.Helper()
	q, err := n.DB.PaymentByIRI(e.t.Context(), p.IRI)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	e.must(err)
	return q
}

// want checks that all three agree on a payment, and that the books are whole.
func (e *economy) want(p *storage.Payment, state, amount string) {
	e.t.Helper()
	for name, n := range map[string]*aptest.Node{"ledger": e.mint, "payee": e.there, "payer": e.here} {
		q := e.at(n, p)
		switch {
		case q == nil && name == "payee" && (e.at(e.mint, p) == nil || e.at(e.mint, p).Event == ""): // nothing was moved or held: she hears of nothing
		case q == nil && name == "ledger" && state == storage.PaymentSent:
		case q == nil:
			e.t.Errorf("the node of the %s knows no payment", name)
		case q.State != state || ledger.FormatAmount(int64(q.Amount), 2) != amount:
			e.t.Errorf("the payment is %s of %s (%s %s) at the %s's, want %s of %s", q.State, ledger.FormatAmount(int64(q.Amount), 2), q.Reason, q.Words, name, state, amount)
		}
	}
	e.audit()
}

// audit replays the book.
func (e *economy) audit() storage.Verified {
	e.t.Helper()
	c, err := e.mint.DB.CurrencyByID(context.Background(), e.currency.ID)
	e.must(err)
	v, err := e.mint.DB.Verify(context.Background(), c)
	e.must(err)
	return v
}

// balances checks what payer and payee have in the book.
func (e *economy) balances(payer, payee string) {
	e.t.Helper()
	for iri, want := range map[storage.IRI]string{e.bo.Actor.IRI: payer, e.bakery.Actor.IRI: payee} {
		a, err := e.mint.DB.Account(e.t.Context(), e.currency, iri)
		e.must(err)
		if got := e.currency.Book.Format(a.Balance()); got != want {
			e.t.Errorf("%s has %s, want %s", iri, got, want)
		}
	}
}

// told are the kinds of news of somebody about a payment, oldest first.
func (e *economy) told(n *aptest.Node, who activitypub.By, p *storage.Payment) (kinds []string) {
	e.t.Helper()
	q := e.at(n, p)
	if q == nil {
		return nil
	}
	ns, err := n.DB.Notifications(e.t.Context(), who.Actor.ID, storage.Page{Limit: 100})
	e.must(err)
	for i := len(ns) - 1; i >= 0; i-- {
		if ns[i].PaymentID == q.ID {
			kinds = append(kinds, ns[i].Kind)
		}
	}
	return kinds
}

func TestAPaymentIsMadeByTheLedgerAlone(t *testing.T) {
	inEach(t, func(t *testing.T, e *economy) {
		p, err := e.here.Pay(t.Context(), e.bo, e.order("9.00"))
		e.must(err)
		if e.here != e.mint {
			if p.State != storage.PaymentSent {
				t.Errorf("it is %s before the ledger has said a word", p.State)
			}
			e.balances("0.00", "0.00")
		}
		e.rest()
		e.want(p, storage.PaymentCommitted, "9.00")
		e.balances("-9.00", "9.00")
		if got := e.told(e.there, e.bakery, p); len(got) != 1 || got[0] != "payment.committed" {
			t.Errorf("the payee was told %v", got)
		}
		for name, n := range map[string]*aptest.Node{"payee": e.there, "payer": e.here} {
			q := e.at(n, p)
			if q.Event == "" || q.Memo != "loaf 1" {
				t.Errorf("the %s has %+v", name, q)
			}
			if n == e.mint {
				continue
			}
			key, err := proof.NewVerifier(vkeyOf(t, e.currency))
			e.must(err)
			if _, err := proof.Verify(q.Receipt, key); err != nil {
				t.Errorf("the %s keeps no receipt that holds: %v", name, err)
			}
		}
	})
}

func vkeyOf(t *testing.T, c *storage.Currency) string {
	t.Helper()
	vkey, err := c.Vkey()
	if err != nil {
		t.Fatal(err)
	}
	return vkey
}

func TestAPaymentBeyondTheLimitIsRefusedInWords(t *testing.T) {
	inEach(t, func(t *testing.T, e *economy) {
		e.pay(e.order("90.00"))
		p, err := e.here.Pay(t.Context(), e.bo, e.order("22.50"))
		if (err != nil) != (e.here == e.mint) {
			t.Errorf("got %v", err)
		}
		e.rest()
		e.want(p, storage.PaymentRejected, "22.50")
		q := e.at(e.here, p)
		if want := "Your limit in GRN is -100.00; this payment would take you to -112.50. Pay less, or ask the co-op of the currency for another limit."; q.Reason != "credit_limit" || q.Words != want {
			t.Errorf("got %s: %s", q.Reason, q.Words)
		}
		e.balances("-90.00", "90.00")
	})
}

func TestAHoldIsTakenInPartOrLetGoOrRunsOut(t *testing.T) {
	inEach(t, func(t *testing.T, e *economy) {
		o := e.order("20.00")
		o.Hold = time.Hour
		p := e.pay(o)
		e.want(p, storage.PaymentHeld, "20.00")
		e.balances("0.00", "0.00")
		_, err := e.there.TakePayment(t.Context(), e.bakery, e.at(e.there, p).ID, "12.50", "")
		e.must(err)
		e.rest()
		e.want(p, storage.PaymentCommitted, "12.50")
		e.balances("-12.50", "12.50")

		o = e.order("20.00")
		o.Hold = time.Hour
		p = e.pay(o)
		_, err = e.there.ReleasePayment(t.Context(), e.bakery, e.at(e.there, p).ID, "")
		e.must(err)
		e.rest()
		e.want(p, storage.PaymentCancelled, "20.00")

		o = e.order("20.00")
		o.Hold = time.Hour
		p = e.pay(o)
		e.Sleep(time.Hour + time.Second)
		e.rest()
		e.want(p, storage.PaymentExpired, "20.00")
		e.balances("-12.50", "12.50")
	})
}

func TestARefundIsAPaymentOfItsOwn(t *testing.T) {
	inEach(t, func(t *testing.T, e *economy) {
		p := e.pay(e.order("9.00"))
		e.rest()
		r, err := e.there.RefundPayment(t.Context(), e.bakery, e.at(e.there, p).ID, "4.00", "burnt", "")
		e.must(err)
		e.rest()
		e.want(p, storage.PaymentCommitted, "9.00")
		e.want(r, storage.PaymentCommitted, "4.00")
		e.balances("-5.00", "5.00")
		for _, n := range []*aptest.Node{e.mint, e.there, e.here} {
			if q := e.at(n, r); q.RefundOf == nil || *q.RefundOf != e.at(n, p).ID || q.Code != "refund" {
				t.Errorf("%s does not see what was given back: %+v", n.Host, q)
			}
		}
		_, err = e.there.RefundPayment(t.Context(), e.bakery, e.at(e.there, p).ID, "6.00", "", "")
		if (err != nil) != (e.there == e.mint) {
			t.Errorf("got %v", err)
		}
		e.rest()
		e.balances("-5.00", "5.00")
	})
}

// Whoever writes to the ledger without any code of ours gets the same answers.
func TestAPeerPaysByAnOfferOfItsOwn(t *testing.T) {
	e := newEconomy(t, [3]string{"rye.example", "rye.example", "rye.example"})
	far := aptest.NewProver("https://far.example", "fay", 7)
	far.Now = e.Now
	e.Serve("far.example", far)
	fay, err := e.mint.Resolve(t.Context(), far.ID())
	e.must(err)
	_, err = e.mint.OpenAccount(t.Context(), e.coop, e.currency, fay)
	e.must(err)
	offer := far.PaymentOffer("1", "https://rye.example/ledger", e.currency.Book.IRI, string(e.bakery.Actor.IRI), "9.00", nil)
	send := func(activity any) int {
		res, err := e.RoundTrip(far.Request("https://rye.example/ledger/inbox", activity))
		e.must(err)
		return res.StatusCode
	}
	if got := send(offer); got != 403 {
		t.Errorf("without a proof: got %d", got)
	}
	signed := far.Proven(offer)
	for range 3 {
		if got := send(signed); got != 202 {
			t.Fatalf("got %d", got)
		}
	}
	e.rest()
	e.balances("0.00", "9.00")
	got := far.Received()
	if len(got) == 0 {
		t.Fatal("the ledger has not answered")
	}
	var accept struct{ Type, Object string }
	e.must(json.Unmarshal(got[len(got)-1], &accept))
	if accept.Type != "Accept" || accept.Object != far.ID()+"/activities/1" {
		t.Errorf("got %s", got[len(got)-1])
	}
	e.audit()
}

// A ledger that does not answer is waited for once in a round, and the payments that wait for it keep those of others from nothing.
func TestALedgerThatIsSilentIsAskedOnceInARound(t *testing.T) {
	e := newEconomy(t, constellations["each on a node of its own"])
	var ps []*storage.Payment
	for range 5 {
		p, err := e.here.Pay(t.Context(), e.bo, e.order("1.00"))
		e.must(err)
		ps = append(ps, p)
	}
	asked := 0
	e.Serve("rye.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			asked++
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	e.Deliver()
	e.Sleep(time.Minute)
	asked = 0
	e.must(e.here.CheckPayments(t.Context()))
	if asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
	e.Serve("rye.example", e.mint.Handler())
	for range 4 {
		e.Sleep(2 * time.Minute)
		e.rest()
	}
	for _, p := range ps {
		e.want(p, storage.PaymentCommitted, "1.00")
	}
	e.balances("-5.00", "5.00")
}
