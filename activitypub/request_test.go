package activitypub_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// bill asks bo for a payment, as the bakery.
func (e *economy) bill(amount string, lasts time.Duration) *storage.PaymentRequest {
	e.t.Helper()
	m, err := e.there.Money(e.t.Context(), e.currency.Book.IRI)
	e.must(err)
	of, err := e.there.Resolve(e.t.Context(), string(e.bo.Actor.IRI))
	e.must(err)
	r, err := e.there.RequestPayment(e.t.Context(), e.bakery, activitypub.NewRequest{Currency: m, Of: of, Amount: amount, Memo: "2 loaves", Lasts: lasts})
	e.must(err)
	e.Deliver()
	return r
}

// billed is a request as the bakery has it.
func (e *economy) billed(r *storage.PaymentRequest) *storage.PaymentRequest {
	e.t.Helper()
	q, err := e.there.DB.PaymentRequestByID(e.t.Context(), r.ID)
	e.must(err)
	return q
}

// settle pays what a request asks for.
func (e *economy) settle(r *storage.PaymentRequest) (*storage.Payment, error) {
	a, err := e.here.ReadRequest(e.t.Context(), e.bo, string(r.IRI))
	if err != nil {
		return nil, err
	}
	return e.here.PayRequest(e.t.Context(), e.bo, a, "")
}

func TestARequestIsPaidWherePayerPayeeAndLedgerAre(t *testing.T) {
	inEach(t, func(t *testing.T, e *economy) {
		r := e.bill("9.00", 0)
		var found *storage.Post
		for _, p := range e.here.Home(e.bo) {
			if strings.Contains(p.Content, "asks you for 9.00 GRN") {
				found = &p
			}
		}
		if found == nil || found.Visibility != storage.Direct || !strings.Contains(found.Content, e.there.RequestLink(r)) ||
			len(found.Attachments) != 1 || found.Attachments[0].URL != string(r.IRI) || found.Attachments[0].Rel != storage.RelProposal {
			t.Fatalf("bo was told %+v", found)
		}
		p, err := e.settle(r)
		e.must(err)
		e.rest()
		e.want(p, storage.PaymentCommitted, "9.00")
		if q := e.billed(r); q.State != storage.RequestPaid || q.PaymentID == 0 || q.EndedAt == nil {
			t.Errorf("the request is %s", q.State)
		}
		if q := e.at(e.mint, p); q.Fulfills != r.IRI+"#primary" || q.Memo != "2 loaves" {
			t.Errorf("the ledger has it for %q, %q", q.Fulfills, q.Memo)
		}
		e.balances("-9.00", "9.00")
	})
}

// One invoice is paid by two Offers with different ids: the ledger takes one of them, wherever the invoice is.
func TestPAY272OneInvoiceIsPaidOnce(t *testing.T) {
	inEach(t, func(t *testing.T, e *economy) {
		r := e.bill("9.00", 0)
		a, err := e.here.ReadRequest(t.Context(), e.bo, string(r.IRI))
		e.must(err)
		first, err := e.here.PayRequest(t.Context(), e.bo, a, "one")
		e.must(err)
		second, err := e.here.PayRequest(t.Context(), e.bo, a, "two")
		if refused := (*activitypub.RefusedError)(nil); err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		e.rest()
		p, q := e.at(e.here, first), e.at(e.here, second) // which of them came first is the network's to say
		if q.State == storage.PaymentCommitted {
			p, q = q, p
		}
		if p.State != storage.PaymentCommitted || q.State != storage.PaymentRejected || q.Reason != "already_settled" {
			t.Errorf("they are %s and %s (%s)", p.State, q.State, q.Reason)
		}
		e.balances("-9.00", "9.00")
		e.audit()
	})
}

func TestARequestSaysWhatIsPaid(t *testing.T) {
	inEach(t, func(t *testing.T, e *economy) {
		ctx := t.Context()
		refused := func(what, reason string, p *storage.Payment, err error) {
			t.Helper()
			if r := (*activitypub.RefusedError)(nil); err != nil && !errors.As(err, &r) {
				t.Errorf("%s: %v", what, err)
				return
			}
			e.rest()
			if q := e.at(e.here, p); q.State != storage.PaymentRejected || q.Reason != reason {
				t.Errorf("%s: it is %s (%s), want %s", what, q.State, q.Reason, reason)
			}
		}
		pays := func(amount string, fulfills storage.IRI) (*storage.Payment, error) {
			o := e.order(amount)
			o.Fulfills = fulfills
			return e.here.Pay(ctx, e.bo, o)
		}
		r := e.bill("9.00", 0)
		p, err := pays("8.99", r.IRI+"#primary")
		refused("less than it says", "agreement_mismatch", p, err)
		p, err = pays("9.00", storage.IRI(e.there.Origin+"/requests/1#primary"))
		refused("one that is not there", "agreement_mismatch", p, err)
		p, err = pays("9.00", r.IRI+"#reciprocal")
		refused("another part of it", "agreement_mismatch", p, err)

		taken := e.bill("1.00", 0)
		if _, err := e.there.WithdrawRequest(ctx, e.bakery, taken.ID); err != nil {
			t.Fatal(err)
		}
		e.Deliver()
		p, err = pays("1.00", taken.IRI+"#primary")
		refused("what was taken back", "agreement_mismatch", p, err)
		late := e.bill("1.00", time.Hour)
		e.Sleep(2 * time.Hour)
		if _, err := e.settle(late); err == nil {
			t.Error("a request was read after its end")
		}
		p, err = pays("1.00", late.IRI+"#primary")
		refused("what has expired", "agreement_mismatch", p, err)
		e.rest()
		if q := e.billed(late); q.State != storage.RequestExpired {
			t.Errorf("it is %s", q.State)
		}
		e.balances("0.00", "0.00")
	})
}

func TestARequestIsReadByThoseItConcerns(t *testing.T) {
	e := newEconomy(t, constellations["each on a node of its own"])
	r := e.bill("9.00", 0)
	eve := e.newcomer("eve")
	if got := ask(t, e.Network, string(r.IRI), signedBy(eve)); got.status != http.StatusNotFound {
		t.Errorf("eve reads %d %s", got.status, got.body)
	}
	if got := ask(t, e.Network, string(r.IRI)); got.status != http.StatusUnauthorized {
		t.Errorf("nobody reads %d %s", got.status, got.body)
	}
	// A third person cannot pay it: it is not asked of her.
	ana := e.here.Person("ana")
	e.open(ana)
	o := e.order("9.00")
	o.Fulfills = r.IRI + "#primary"
	p, err := e.here.Pay(t.Context(), ana, o)
	e.must(err)
	e.rest()
	if q := e.at(e.here, p); q.State != storage.PaymentRejected || q.Reason != "agreement_mismatch" {
		t.Errorf("ana's payment is %s (%s)", q.State, q.Reason)
	}
	if _, err := e.here.ReadRequest(t.Context(), ana, string(r.IRI)); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("ana reads it: %v", err)
	}
	// Refused by its link, it is gone.
	code := e.there.RequestLink(r)[len(e.there.Origin+"/pay/"):]
	for _, wrong := range []string{code + "0", code[1:], "r" + code, "r1-" + strings.Repeat("0", 32), "r"} {
		if _, err := e.there.DeclineLinkedRequest(t.Context(), wrong); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	if _, err := e.there.DeclineLinkedRequest(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	if _, err := e.there.DeclineLinkedRequest(t.Context(), code); err == nil {
		t.Error("it was refused twice")
	}
	if _, err := e.settle(r); err == nil {
		t.Error("what was refused can be read")
	}
	ns, err := e.there.DB.Notifications(t.Context(), e.bakery.Actor.ID, storage.Page{Limit: 10})
	e.must(err)
	if len(ns) == 0 || ns[0].Kind != "request.refused" {
		t.Errorf("the bakery was told %+v", ns)
	}
}

// A thousand requests to one member: few of them reach her, whether they come from here or from elsewhere.
func TestPAY302RequestsAreLimited(t *testing.T) {
	e := newEconomyIn(t, aptest.New(t), constellations["payer elsewhere"], func(c *activitypub.Config) { c.RateLimit = true })
	ctx := t.Context()
	m, err := e.there.Money(ctx, e.currency.Book.IRI)
	e.must(err)
	of, err := e.there.Resolve(ctx, string(e.bo.Actor.IRI))
	e.must(err)
	made := 0
	for range 1000 {
		_, err := e.there.RequestPayment(ctx, e.bakery, activitypub.NewRequest{Currency: m, Of: of, Amount: "1"})
		if err == nil {
			made++
			continue
		}
		if full := (*activitypub.Problem)(nil); !errors.As(err, &full) || full.Code != "requests" {
			t.Fatal(err)
		}
	}
	if made != 20 {
		t.Errorf("%d requests were made", made)
	}
	e.Deliver()
	eve := e.newcomer("eve")
	before, limited := len(e.here.State()["posts"]), 0
	for i := range 1000 {
		said := eve.Note(fmt.Sprint(i), "pay me", string(e.bo.Actor.IRI))
		note := said["object"].(map[string]any)
		note["to"], note["cc"] = note["cc"], nil
		note["attachment"] = []any{dict{"type": "Link", "href": fmt.Sprintf("%s/requests/%d", eve.Origin, i), "rel": []any{"payment", storage.RelProposal}, "mediaType": "application/ld+json"}}
		res, err := e.RoundTrip(eve.Request(string(e.bo.Actor.Inbox), said))
		e.must(err)
		if res.StatusCode == http.StatusTooManyRequests {
			limited++
		}
		_ = res.Body.Close()
	}
	if got := len(e.here.State()["posts"]) - before; limited != 950 || got != 50 {
		t.Errorf("%d of 1000 were limited, %d are there", limited, got)
	}
	e.audit()
}
