package activitypub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"planet/ledger"
	"planet/storage"
)

// Somebody elsewhere reads her account and what moved on it, page by page, and it comes to her balance; nobody else does.
func TestAnAccountElsewhereIsReadByItsOwner(t *testing.T) {
	e := newEconomy(t, constellations["payer elsewhere"])
	ctx := t.Context()
	want := int64(0)
	for i := range 130 {
		e.pay(e.order("0.10"))
		want -= 10
		if i == 60 {
			first, err := e.here.DB.Payments(ctx, e.bo.Actor.IRI, 0, 1)
			e.must(err)
			q := e.at(e.there, &first[0])
			_, err = e.there.RefundPayment(ctx, e.bakery, q.ID, "0.04", "", "")
			e.must(err)
			want += 4
		}
	}
	hold := e.order("5.00")
	hold.Hold = time.Hour
	e.pay(hold)
	e.rest()
	m, err := e.here.Money(ctx, e.currency.Book.IRI)
	e.must(err)
	a, err := e.here.AskAccount(ctx, e.bo, m)
	e.must(err)
	if a.Balance != want || a.Spendable == nil || *a.Spendable != want+10000-500 {
		t.Errorf("it stands at %d, and %d can be spent", a.Balance, *a.Spendable)
	}
	j, err := e.here.AskStatement(ctx, e.bo, m)
	e.must(err)
	if len(j.Movements) != 131 || j.Closing != want {
		t.Fatalf("%d movements come to %d", len(j.Movements), j.Closing)
	}
	running := int64(0)
	for _, v := range j.Movements {
		if v.Debit == j.Of {
			running -= v.Amount
		} else {
			running += v.Amount
		}
		if after := v.DebitAfter; v.Debit == j.Of && after.V != running {
			t.Errorf("after %+v it should be %d", v, running)
		}
	}
	if v := j.Movements[61]; v.Code != ledger.RefundCode || v.Amount != 4 {
		t.Errorf("the refund is %+v", v)
	}

	// Who has no account is told so; who is somebody else sees what nobody sees.
	ana := e.here.Person("ana")
	if _, err := e.here.AskAccount(ctx, ana, m); err == nil || !strings.Contains(err.Error(), "ana has no account") {
		t.Errorf("ana: %v", err)
	}
	eve := e.newcomer("eve")
	for _, path := range []string{"/ledger/accounts?actor=", "/ledger/statement?account="} {
		of := e.mint.Origin + path + url.QueryEscape(string(e.bo.Actor.IRI)) + "&currency=" + url.QueryEscape(e.currency.Book.IRI)
		none := e.mint.Origin + path + url.QueryEscape("https://oak.example/users/nobody") + "&currency=" + url.QueryEscape(e.currency.Book.IRI)
		if got := ask(t, e.Network, of); got.status != http.StatusUnauthorized {
			t.Errorf("nobody reads %s: %d", path, got.status)
		}
		got, absent := ask(t, e.Network, of, signedBy(eve)), ask(t, e.Network, none, signedBy(eve))
		if got.status != http.StatusNotFound || got.body != absent.body {
			t.Errorf("eve reads %d %s, and of one who is not there %s", got.status, got.body, absent.body)
		}
	}
}

// A movement that nobody asked for as a payment, such as what a rule of the currency takes, has an event too; and every movement has one by the id of its transfer.
func TestEveryMovementIsAnEventOfItsParties(t *testing.T) {
	e := newEconomy(t, constellations["one node"])
	ann := e.newcomer("ann")
	there, err := e.mint.Resolve(t.Context(), ann.ID())
	e.must(err)
	_, err = e.mint.OpenAccount(t.Context(), e.coop, e.currency, there)
	e.must(err)
	o := e.order("3.00")
	o.To = there
	p := e.pay(o)
	id := p.Transfer().String()
	got := ask(t, e.Network, fmt.Sprintf("%s/ledger/events/%s", e.mint.Origin, id), signedBy(ann))
	var event struct{ ID, Provider, Receiver string }
	e.must(json.Unmarshal([]byte(got.body), &event))
	if q := e.at(e.mint, p); got.status != http.StatusOK || storage.IRI(event.ID) != q.Event || event.Receiver != ann.ID() {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := ask(t, e.Network, fmt.Sprintf("%s/ledger/events/%s", e.mint.Origin, id), signedBy(e.newcomer("eve"))); got.status != http.StatusNotFound {
		t.Errorf("eve reads %d %s", got.status, got.body)
	}
	if got := ask(t, e.Network, fmt.Sprintf("%s/ledger/events/%032x", e.mint.Origin, 7), signedBy(ann)); got.status != http.StatusNotFound {
		t.Errorf("what is not there: %d %s", got.status, got.body)
	}
}
