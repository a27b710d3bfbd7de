package activitypub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
	"planet/storage/storagetest"
)

// The life of an order, told again without the node's own table: every act by every side in every state, on one node and between two.

// side is one end of a trade.
type side struct {
	node *aptest.Node
	by   activitypub.By
}

// trade is a bakery and somebody who orders of it, on one node or on two.
type trade struct {
	*market
	proposer, responder side
	terms               activitypub.OfferDraft
	amount              string // that is offered for an open price
}

func newTrade(t *testing.T, together bool, terms activitypub.OfferDraft, amount string) *trade {
	m := newMarket(t)
	tr := &trade{market: m, proposer: side{m.rye, m.bakery}, responder: side{m.oak, m.dag}, terms: terms, amount: amount}
	if together {
		tr.responder = side{m.rye, m.rye.Person("pia")}
	}
	return tr
}

// of is the end that an act is for.
func (tr *trade) of(party string) side {
	gives, gets := tr.proposer, tr.responder
	if tr.terms.Request {
		gives, gets = gets, gives
	}
	switch party {
	case "proposer":
		return tr.proposer
	case "responder":
		return tr.responder
	case "provider":
		return gives
	case "receiver":
		return gets
	}
	tr.t.Fatalf("no party %s", party)
	return side{}
}

// place orders two lots of an offer.
func (tr *trade) place(f *storage.Offer) *storage.Order {
	tr.t.Helper()
	ctx := context.Background()
	there, err := tr.responder.node.DB.OfferByIRI(ctx, f.IRI)
	if err != nil {
		tr.t.Fatal(err)
	}
	o, err := tr.responder.node.PlaceOrder(ctx, tr.responder.by, activitypub.OrderDraft{Offer: there, Quantity: "2", Amount: tr.amount})
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.Deliver()
	return o
}

// does lets a party do something with an order, and tells everyone.
func (tr *trade) does(party, act string, o *storage.Order) error {
	tr.t.Helper()
	s := tr.of(party)
	_, err := s.node.MoveOrder(context.Background(), s.by, tr.at(s.node, o).ID, act, "")
	tr.Deliver()
	return err
}

// stand checks that both ends have an order in a state, with the same terms.
func (tr *trade) stand(o *storage.Order, state string) {
	tr.t.Helper()
	mine, theirs := tr.at(tr.proposer.node, o), tr.at(tr.responder.node, o)
	if mine.State != state || theirs.State != state {
		tr.t.Errorf("the order is %s at the proposer's and %s at the responder's, want %s", mine.State, theirs.State, state)
	}
	if mine.IRI != theirs.IRI || mine.Quantity != theirs.Quantity || mine.Amount != theirs.Amount {
		tr.t.Errorf("the two sides have different orders: %+v and %+v", mine, theirs)
	}
	if mine.CancelAsked || theirs.CancelAsked {
		tr.t.Errorf("somebody still waits to hear that an order that is %s is cancelled", state)
	}
	tr.wantStock()
}

// paths lead to each state: party and act, or a time that passes.
var paths = map[string][]string{
	storage.OrderProposed:  nil,
	storage.OrderAccepted:  {"proposer accept"},
	storage.OrderFulfilled: {"proposer accept", "provider fulfil"},
	storage.OrderDisputed:  {"proposer accept", "receiver dispute"},
	storage.OrderConfirmed: {"proposer accept", "receiver confirm"},
	storage.OrderRejected:  {"proposer decline"},
	storage.OrderExpired:   {"time"},
	storage.OrderCancelled: {"proposer accept", "proposer cancel"},
}

// ends says how an order stands after each act that is allowed in a state; what is not here is refused.
var ends = map[string]map[string]string{
	storage.OrderProposed: {"proposer accept": storage.OrderAccepted, "proposer decline": storage.OrderRejected, "responder cancel": storage.OrderCancelled},
	storage.OrderAccepted: {"proposer cancel": storage.OrderCancelled, "responder cancel": storage.OrderCancelled, "provider fulfil": storage.OrderFulfilled,
		"receiver confirm": storage.OrderConfirmed, "receiver dispute": storage.OrderDisputed},
	storage.OrderFulfilled: {"receiver confirm": storage.OrderConfirmed, "receiver dispute": storage.OrderDisputed},
	storage.OrderDisputed:  {"proposer cancel": storage.OrderCancelled, "provider fulfil": storage.OrderFulfilled, "receiver confirm": storage.OrderConfirmed},
	storage.OrderConfirmed: {}, storage.OrderRejected: {}, storage.OrderExpired: {}, storage.OrderCancelled: {},
}

// reach makes a new order and brings it into a state.
func (tr *trade) reach(f *storage.Offer, state string) *storage.Order {
	tr.t.Helper()
	o := tr.place(f)
	for _, step := range paths[state] {
		if step == "time" {
			tr.Sleep(8 * 24 * time.Hour)
			tr.check()
			continue
		}
		party, act, _ := strings.Cut(step, " ")
		if err := tr.does(party, act, o); err != nil {
			tr.t.Fatalf("on the way to %s, %s: %v", state, step, err)
		}
	}
	tr.stand(o, state)
	return o
}

// name is how the table of ends calls what an end of the trade does: proposer and responder, or provider and receiver.
func (tr *trade) name(state, party, act string) (end string, allowed bool) {
	if end, allowed = ends[state][party+" "+act]; allowed {
		return end, true
	}
	for _, other := range []string{"provider", "receiver"} {
		if tr.of(other) == tr.of(party) {
			if end, allowed = ends[state][other+" "+act]; allowed {
				return end, true
			}
		}
	}
	return "", false
}

func TestEveryActInEveryStateOfAnOrder(t *testing.T) {
	for i, c := range []struct {
		name     string
		together bool
		terms    activitypub.OfferDraft
		amount   string
	}{
		{"a priced offer between two nodes", false, activitypub.OfferDraft{Price: "4.50", Currency: "EUR", Quantity: "1000"}, ""},
		{"a request with an open price between two nodes", false, activitypub.OfferDraft{Request: true, OpenPrice: true, Currency: "EUR", Quantity: "1000", Unit: "kg", Per: "0.5"}, "7.25"},
		{"a gift on one node", true, activitypub.OfferDraft{Quantity: "1000"}, ""},
		{"a priced request on one node", true, activitypub.OfferDraft{Request: true, Price: "3", Currency: "EUR", Quantity: "1000"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTrade(t, c.together, c.terms, c.amount)
			f := tr.offer(c.terms)
			for _, state := range []string{storage.OrderProposed, storage.OrderAccepted, storage.OrderFulfilled, storage.OrderDisputed, storage.OrderConfirmed,
				storage.OrderRejected, storage.OrderExpired, storage.OrderCancelled} {
				o := tr.reach(f, state)
				before := []aptest.State{tr.proposer.node.State(), tr.responder.node.State()}
				var allowed [][3]string
				for _, party := range []string{"proposer", "responder"} {
					for _, act := range []string{"accept", "decline", "cancel", "agree", "fulfil", "confirm", "dispute", "expire", "", "steal"} {
						if end, ok := tr.name(state, party, act); ok {
							allowed = append(allowed, [3]string{party, act, end})
							continue
						}
						err := tr.does(party, act, o)
						var p *activitypub.Problem
						var invalid *activitypub.InvalidError
						if !errors.As(err, &p) && !errors.As(err, &invalid) {
							t.Errorf("the %s may %q an order that is %s: %v, want a refusal in words", party, act, state, err)
						} else if p != nil && (p.Detail == "" || p.Status < 400 || p.Status >= 500) {
							t.Errorf("the %s may not %q an order that is %s, but is told %d %q", party, act, state, p.Status, p.Detail)
						}
					}
				}
				tr.proposer.node.WantUnmoved(before[0])
				tr.responder.node.WantUnmoved(before[1])
				for j, a := range allowed {
					if j > 0 || i > 1 {
						o = tr.reach(f, state)
					}
					if err := tr.does(a[0], a[1], o); err != nil {
						t.Errorf("the %s may not %q an order that is %s: %v", a[0], a[1], state, err)
					}
					tr.stand(o, a[2])
				}
				strangers := []side{{tr.rye, tr.ana}, {tr.oak, tr.oak.Person("fox" + state)}}
				for _, s := range strangers {
					if mine, err := s.node.DB.OrderByAsk(context.Background(), o.AskIRI); err == nil {
						if _, err := s.node.MoveOrder(context.Background(), s.by, mine.ID, "cancel", ""); !errors.Is(err, storage.ErrNotFound) {
							t.Errorf("somebody who has no part in it may cancel: %v", err)
						}
					}
				}
			}
		})
	}
}

func TestAnOrderIsAcceptedAtOnceWhereItsAuthorWantsThat(t *testing.T) {
	for name, c := range map[string]struct {
		terms    activitypub.OfferDraft
		amount   string
		together bool
		want     storage.Decimal
	}{
		"priced, two nodes":     {activitypub.OfferDraft{Price: "0.25", Currency: "EUR"}, "", false, "0.5"},
		"a gift, two nodes":     {activitypub.OfferDraft{Quantity: "2"}, "", false, ""},
		"open, two nodes":       {activitypub.OfferDraft{OpenPrice: true}, "3.10", false, "3.1"},
		"a request, two nodes":  {activitypub.OfferDraft{Request: true, Price: "2", Currency: "EUR"}, "", false, "4"},
		"priced, one node":      {activitypub.OfferDraft{Price: "4.50", Currency: "EUR", Quantity: "2"}, "", true, "9"},
		"a gift, one node":      {activitypub.OfferDraft{}, "", true, ""},
		"open, one node":        {activitypub.OfferDraft{OpenPrice: true, Currency: "EUR"}, "5", true, "5"},
		"a request, one node":   {activitypub.OfferDraft{Request: true, Quantity: "4"}, "", true, ""},
		"a service, by hours":   {activitypub.OfferDraft{Category: "services", Unit: "h", Per: "1", Price: "12", Currency: "EUR"}, "", false, "24"},
		"the rest of what is":   {activitypub.OfferDraft{Quantity: "2", Minimum: "2"}, "", false, ""},
		"of a thousand million": {activitypub.OfferDraft{Quantity: "1000000000"}, "", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.terms.AutoAccept = true
			tr := newTrade(t, c.together, c.terms, c.amount)
			f := tr.offer(c.terms)
			o := tr.place(f)
			tr.stand(o, storage.OrderAccepted)
			if o.Amount != c.want {
				t.Errorf("it costs %q, want %q", o.Amount, c.want)
			}
			for _, step := range []string{"provider fulfil", "receiver dispute", "provider fulfil", "receiver confirm"} {
				party, act, _ := strings.Cut(step, " ")
				if err := tr.does(party, act, o); err != nil {
					t.Fatalf("%s: %v", step, err)
				}
			}
			tr.stand(o, storage.OrderConfirmed)
		})
	}
}

// A database that fails in the middle of an act leaves nothing of it, and the act is done when it is tried again.
func TestAnActThatFailsHalfwayLeavesNothing(t *testing.T) {
	for _, together := range []bool{true, false} {
		for _, table := range []string{"orders", "order_steps", "activities", "deliveries", "offers", "notifications"} {
			if together && (table == "deliveries" || table == "notifications") {
				continue
			}
			t.Run(fmt.Sprintf("%s, on one node: %v", table, together), func(t *testing.T) {
				tr := newTrade(t, together, activitypub.OfferDraft{Quantity: "10"}, "")
				tr.Forgive("answered 500", "an error was logged", "no room")
				f := tr.offer(tr.terms)
				breaks := func(n *aptest.Node, on bool) {
					for _, event := range []string{"INSERT", "UPDATE"} {
						if name := "broken_" + strings.ToLower(event); on {
							storagetest.Exec(t, n.DB, "CREATE TRIGGER "+name+" BEFORE "+event+" ON "+table+" BEGIN SELECT RAISE(ABORT, 'no room'); END")
						} else {
							storagetest.Exec(t, n.DB, "DROP TRIGGER "+name)
						}
					}
				}
				var o *storage.Order
				for _, step := range []string{"responder place", "proposer accept", "provider fulfil", "receiver dispute", "provider fulfil", "receiver confirm"} {
					party, act, _ := strings.Cut(step, " ")
					s := tr.of(party)
					do := func() (err error) {
						if act == "place" {
							there, err := s.node.DB.OfferByIRI(t.Context(), f.IRI)
							if err != nil {
								return err
							}
							o, err = s.node.PlaceOrder(t.Context(), s.by, activitypub.OrderDraft{Offer: there, Key: "the-one"})
							return err
						}
						_, err = s.node.MoveOrder(t.Context(), s.by, tr.at(s.node, o).ID, act, "")
						return err
					}
					before := s.node.State()
					breaks(s.node, true)
					err := do()
					breaks(s.node, false)
					if err != nil {
						s.node.WantUnmoved(before)
						if err := do(); err != nil {
							t.Fatalf("%s, again: %v", step, err)
						}
					}
					if !together { // and the other one cannot hear of it at first
						other := tr.proposer
						if s == other {
							other = tr.responder
						}
						before := other.node.State()
						breaks(other.node, true)
						if table != "deliveries" && table != "notifications" && table != "offers" { // these it may not need
							if err := s.node.DeliverDue(t.Context()); err != nil {
								t.Fatal(err)
							}
							other.node.WantUnmoved(before)
						}
						breaks(other.node, false)
					}
					for range 8 {
						tr.Sleep(time.Hour)
						tr.Deliver()
					}
				}
				tr.stand(o, storage.OrderConfirmed)
				if left := tr.left(f); left != 9 {
					t.Errorf("%d are left, want 9", left)
				}
			})
		}
	}
}
