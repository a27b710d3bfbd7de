package activitypub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// order makes dag order an offer of the bakery from the other node.
func (m *market) order(o *storage.Offer, quantity string) *storage.Order {
	m.t.Helper()
	placed, err := m.oak.PlaceOrder(context.Background(), m.dag, activitypub.OrderDraft{Offer: m.seen(o), Quantity: quantity})
	if err != nil {
		m.t.Fatalf("order %s of %q: %v", quantity, o.Title, err)
	}
	m.Deliver()
	return placed
}

// at is an order as a node has it.
func (m *market) at(n *aptest.Node, o *storage.Order) *storage.Order {
	m.t.Helper()
	there, err := n.DB.OrderByAsk(context.Background(), o.AskIRI)
	if err != nil {
		m.t.Fatalf("the order %s at %s: %v", o.AskIRI, n.Host, err)
	}
	return there
}

// bakes does something with an order as the bakery.
func (m *market) bakes(act string, o *storage.Order, words string) {
	m.t.Helper()
	if _, err := m.rye.MoveOrder(context.Background(), m.bakery, m.at(m.rye, o).ID, act, words); err != nil {
		m.t.Fatalf("the bakery wants to %s: %v", act, err)
	}
	m.Deliver()
}

// dags does something with an order as dag.
func (m *market) dags(act string, o *storage.Order, words string) {
	m.t.Helper()
	if _, err := m.oak.MoveOrder(context.Background(), m.dag, m.at(m.oak, o).ID, act, words); err != nil {
		m.t.Fatalf("dag wants to %s: %v", act, err)
	}
	m.Deliver()
}

// want checks that both sides agree on an order, and that no lot is lost or sold twice.
func (m *market) want(o *storage.Order, state string) {
	m.t.Helper()
	there, here := m.at(m.rye, o), m.at(m.oak, o)
	if there.State != state || here.State != state {
		m.t.Errorf("the order is %s at the bakery's and %s at dag's, want %s", there.State, here.State, state)
	}
	if there.IRI != here.IRI || there.Quantity != here.Quantity || there.Amount != here.Amount {
		m.t.Errorf("the two sides have different orders: %+v and %+v", there, here)
	}
	m.wantStock()
}

// wantStock checks that what is left of each offer and what is reserved are all that there was.
func (m *market) wantStock() {
	m.t.Helper()
	ctx := context.Background()
	offers, err := m.rye.DB.OffersOf(ctx, m.bakery.Actor.ID, true, storage.Page{Limit: 1000})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, f := range offers {
		stock, left, reserved, err := m.rye.DB.CheckStock(ctx, f.ID)
		if err != nil {
			m.t.Fatal(err)
		}
		if stock != nil && *stock != *left+reserved {
			m.t.Errorf("of %q there were %d, %d are left and %d reserved", f.Title, *stock, *left, reserved)
		}
	}
}

// left is how many lots of an offer can still be ordered.
func (m *market) left(o *storage.Offer) int64 {
	m.t.Helper()
	now, err := m.rye.DB.OfferByID(context.Background(), o.ID)
	if err != nil {
		m.t.Fatal(err)
	}
	return *now.Available
}

// heard lists what an actor was told of orders, oldest first.
func heard(t *testing.T, n *aptest.Node, a *storage.Actor) (kinds []string) {
	t.Helper()
	ns, err := n.DB.Notifications(context.Background(), a.ID, storage.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for i := len(ns) - 1; i >= 0; i-- {
		if k, ok := strings.CutPrefix(ns[i].Kind, "order."); ok {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

func TestAnOrderGoesFromOneNodeToTheOtherAndIsDelivered(t *testing.T) {
	m := newMarket(t)
	bread := m.offer(activitypub.OfferDraft{Price: "4.50", Currency: "EUR", Quantity: "20"})
	o := m.order(bread, "2")
	if o.Amount != "9" {
		t.Errorf("two loaves cost %s, want 9", o.Amount)
	}
	m.want(o, storage.OrderProposed)
	m.bakes("accept", o, "")
	m.want(o, storage.OrderAccepted)
	if left := m.left(bread); left != 18 {
		t.Errorf("%d loaves are left, want 18", left)
	}
	m.bakes("fulfil", o, "On your doorstep.")
	m.want(o, storage.OrderFulfilled)
	m.dags("confirm", o, "")
	m.want(o, storage.OrderConfirmed)
	if got := strings.Join(heard(t, m.rye, m.ana.Actor), " "); got != "proposed confirmed" {
		t.Errorf("ana heard %q", got)
	}
	if got := strings.Join(heard(t, m.oak, m.dag.Actor), " "); got != "accepted fulfilled" {
		t.Errorf("dag heard %q", got)
	}
	if left := m.left(bread); left != 18 {
		t.Errorf("%d loaves are left at the end, want 18", left)
	}
}

func TestStockComesBackWhenAnOrderEnds(t *testing.T) {
	for name, end := range map[string]func(m *market, o *storage.Order) string{
		"the buyer cancels before the answer": func(m *market, o *storage.Order) string {
			m.dags("cancel", o, "Changed my mind.")
			return storage.OrderCancelled
		},
		"the buyer cancels what was accepted": func(m *market, o *storage.Order) string {
			m.bakes("accept", o, "")
			m.dags("cancel", o, "")
			return storage.OrderCancelled
		},
		"the seller cancels what was accepted": func(m *market, o *storage.Order) string {
			m.bakes("accept", o, "")
			m.bakes("cancel", o, "The oven broke.")
			return storage.OrderCancelled
		},
		"the seller declines": func(m *market, o *storage.Order) string {
			m.bakes("decline", o, "Not this week.")
			return storage.OrderRejected
		},
		"nobody answers": func(m *market, o *storage.Order) string {
			m.Sleep(8 * 24 * time.Hour)
			m.check()
			return storage.OrderExpired
		},
		"nobody delivers": func(m *market, o *storage.Order) string {
			m.bakes("accept", o, "")
			m.Sleep(15 * 24 * time.Hour)
			m.check()
			return storage.OrderExpired
		},
		"it was bad, and the seller takes it back": func(m *market, o *storage.Order) string {
			m.bakes("accept", o, "")
			m.bakes("fulfil", o, "")
			m.dags("dispute", o, "It is mouldy.")
			m.want(o, storage.OrderDisputed)
			m.bakes("cancel", o, "Sorry.")
			return storage.OrderCancelled
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMarket(t)
			bread := m.offer(activitypub.OfferDraft{Price: "4.50", Currency: "EUR", Quantity: "20"})
			o := m.order(bread, "2")
			m.want(o, end(m, o))
			if left := m.left(bread); left != 20 {
				t.Errorf("%d loaves are left, want all 20", left)
			}
		})
	}
}

// check lets both nodes look at the orders whose time has come.
func (m *market) check() {
	m.t.Helper()
	for _, n := range []*aptest.Node{m.rye, m.oak} {
		if err := n.CheckOrders(context.Background()); err != nil {
			m.t.Fatal(err)
		}
	}
	m.Deliver()
}

func TestWhatCannotBeOrderedIsRefusedInWords(t *testing.T) {
	for name, c := range map[string]struct {
		offer    activitypub.OfferDraft
		quantity string
		code     string
		words    string
	}{
		"more than there is":  {activitypub.OfferDraft{Quantity: "3"}, "4", "sold_out", "Only 3 is left"},
		"below the minimum":   {activitypub.OfferDraft{Minimum: "5"}, "2", "below_minimum", "at least that"},
		"half a loaf":         {activitypub.OfferDraft{}, "1.5", "not_a_multiple", "steps of 1"},
		"not a step of grams": {activitypub.OfferDraft{Unit: "kg", Per: "0.5"}, "0.7", "not_a_multiple", "steps of 0.5 kg"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMarket(t)
			o := m.offer(c.offer)
			_, err := m.oak.PlaceOrder(context.Background(), m.dag, activitypub.OrderDraft{Offer: m.seen(o), Quantity: c.quantity})
			var p *activitypub.Problem
			if !errors.As(err, &p) || p.Code != c.code || !strings.Contains(p.Detail, c.words) {
				t.Errorf("got %v, want %s and words like %q", err, c.code, c.words)
			}
		})
	}
}

func TestAReplyBecomesAnOrderBehindALink(t *testing.T) {
	m := newMarket(t)
	bread := m.offer(activitypub.OfferDraft{Price: "4.50", Currency: "EUR", Quantity: "20"})
	post := m.oak.Home(m.dag)[0]
	reply, err := m.oak.Publish(context.Background(), m.dag, activitypub.Draft{Text: "@bakery@rye.example 2 please", InReplyTo: post.IRI})
	if err != nil {
		t.Fatal(err)
	}
	m.Deliver()
	o, err := m.rye.DB.OrderByAsk(context.Background(), reply.IRI)
	if err != nil || o.Quantity != "2" || o.Agreed {
		t.Fatalf("the reply is order %+v, %v", o, err)
	}
	if o, err = m.rye.MoveOrder(context.Background(), m.bakery, o.ID, "accept", ""); err != nil {
		t.Fatal(err)
	}
	m.Deliver()
	dm := m.oak.Home(m.dag)[0]
	link := m.rye.OrderLink(o)
	if dm.Visibility != storage.Direct || !strings.Contains(dm.Content, link) {
		t.Fatalf("dag was told %q, want the link %s", dm.Content, link)
	}
	code := link[strings.LastIndex(link, "/")+1:]
	if _, err := m.rye.LinkedOrder(context.Background(), code[:len(code)-1]+"x"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a wrong link: %v, want nothing there", err)
	}
	if o, err = m.rye.MoveLinkedOrder(context.Background(), code, "agree", ""); err != nil || !o.Agreed {
		t.Fatalf("agree: %+v, %v", o, err)
	}
	if _, err = m.rye.MoveOrder(context.Background(), m.bakery, o.ID, "fulfil", ""); err != nil {
		t.Fatal(err)
	}
	if o, err = m.rye.MoveLinkedOrder(context.Background(), code, "confirm", ""); err != nil || o.State != storage.OrderConfirmed {
		t.Fatalf("confirm: %+v, %v", o, err)
	}
	m.wantStock()
	if left := m.left(bread); left != 18 {
		t.Errorf("%d left, want 18", left)
	}
}

func TestWhoeverLeavesKeepsNoOrderWaiting(t *testing.T) {
	ctx := context.Background()
	for name, leave := range map[string]func(m *market) error{
		"the seller": func(m *market) error { return m.rye.DeleteActor(ctx, m.bakery) },
		"the buyer":  func(m *market) error { return m.oak.DeleteActor(ctx, m.dag) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMarket(t)
			bread := m.offer(activitypub.OfferDraft{Price: "4.50", Currency: "EUR", Quantity: "20"})
			asked, accepted, delivered := m.order(bread, "2"), m.order(bread, "3"), m.order(bread, "4")
			m.bakes("accept", accepted, "")
			m.bakes("accept", delivered, "")
			m.bakes("fulfil", delivered, "")
			if err := leave(m); err != nil {
				t.Fatal(err)
			}
			m.Deliver()
			for range 3 {
				m.want(asked, storage.OrderCancelled)
				m.want(accepted, storage.OrderCancelled)
				m.want(delivered, storage.OrderFulfilled)
				m.Sleep(20 * 24 * time.Hour)
				m.check()
			}
			if found, err := m.oak.SearchMarket(ctx, activitypub.MarketQuery{}); err != nil || name == "the seller" && len(found) != 0 {
				t.Errorf("%d offers of a co-op that is gone are in the market, %v", len(found), err)
			}
			if left := m.left(bread); left != 16 {
				t.Errorf("%d are left, want 16", left)
			}
		})
	}
}
