package activitypub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// Orders of other servers, written without our code: what is refused and how, and what nobody may say of an order of others.

// bread makes the baker of a scene offer something.
func (s *scene) bread(t *testing.T, d activitypub.OfferDraft) *storage.Offer {
	t.Helper()
	if d.Title == "" {
		d.Title = "Sourdough loaf"
	}
	o, err := s.rye.PublishOffer(t.Context(), s.baker, d)
	if err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
	return o
}

// quantity is a measure as FEP-0837 writes it; the number may be of any form.
func quantity(unit string, number any) dict {
	return dict{"hasUnit": unit, "hasNumericalValue": number}
}

// asks is an Offer(Agreement) for so much of an offer; money is nil for none.
func (s *scene) asks(p *aptest.Peer, f *storage.Offer, goods, money any) dict {
	agreement := dict{"type": "Agreement", "stipulates": dict{"type": "Commitment", "satisfies": f.IRI + "#primary", "resourceQuantity": quantity(f.Unit, goods)}}
	if money != nil {
		agreement["stipulatesReciprocal"] = dict{"type": "Commitment", "satisfies": f.IRI + "#reciprocal", "resourceQuantity": quantity("one", money)}
	}
	act := s.does(p, "Offer", agreement)
	act["to"], act["published"] = []any{s.baker.Actor.IRI}, s.net.Now().Format(time.RFC3339)
	return act
}

// about are the activities about an Offer that came to a peer, as bytes, in their order.
func about(p *aptest.Peer, ask dict) (out []json.RawMessage) {
	for _, raw := range p.Received() {
		var m struct {
			Object json.RawMessage
		}
		if json.Unmarshal(raw, &m) == nil && strings.Contains(string(m.Object), fmt.Sprint(ask["id"])) {
			out = append(out, raw)
		}
	}
	return out
}

// ordered is an order as the node has it.
func (s *scene) ordered(t *testing.T, ask dict) *storage.Order {
	t.Helper()
	o, err := s.rye.DB.OrderByAsk(t.Context(), storage.IRI(ask["id"].(string)))
	if err != nil {
		t.Fatalf("the order %v: %v", ask["id"], err)
	}
	return o
}

func TestOrdersThatAreRefusedAreAnsweredOnceInWords(t *testing.T) {
	hour := func(s *scene, d time.Duration) *time.Time { at := s.net.Now().Add(d); return &at }
	priced := activitypub.OfferDraft{Price: "4.50", Currency: "EUR", Quantity: "20"}
	change := func(f func(act, agreement dict)) func(*scene, dict) {
		return func(_ *scene, act dict) { f(act, act["object"].(dict)) }
	}
	in := func(agreement dict, which string) dict { return agreement[which].(dict) }
	for _, c := range []struct {
		name         string
		offer        activitypub.OfferDraft
		before       func(t *testing.T, s *scene, f *storage.Offer)
		goods, money any
		change       func(s *scene, act dict)
		code         string
	}{
		{"more than is left", priced, nil, "21", "94.50", nil, "sold_out"},
		{"nothing is left", activitypub.OfferDraft{Quantity: "2", AutoAccept: true}, func(t *testing.T, s *scene, f *storage.Offer) {
			s.take(t, s.bob, s.asks(s.bob, f, "2", nil))
		}, "1", nil, nil, "sold_out"},
		{"below the minimum", activitypub.OfferDraft{Quantity: "20", Minimum: "5"}, nil, "4", nil, nil, "below_minimum"},
		{"nothing at all", activitypub.OfferDraft{Quantity: "20"}, nil, "0", nil, nil, "below_minimum"},
		{"an offer that has ended", activitypub.OfferDraft{}, func(t *testing.T, s *scene, f *storage.Offer) {
			d := activitypub.OfferDraft{Title: f.Title, EndsAt: hour(s, time.Hour)}
			if _, err := s.rye.EditOffer(t.Context(), s.baker, f.ID, d); err != nil {
				t.Fatal(err)
			}
			s.net.Sleep(2 * time.Hour)
		}, "1", nil, nil, "expired"},
		{"an order that had ended", activitypub.OfferDraft{}, nil, "1", nil, func(s *scene, act dict) { act["endTime"] = s.net.Now().Add(-time.Minute).Format(time.RFC3339) }, "expired"},
		{"another unit", activitypub.OfferDraft{Unit: "kg"}, nil, "1", nil, change(func(_, a dict) { in(a, "stipulates")["resourceQuantity"] = quantity("one", "1") }), "unit_mismatch"},
		{"money in kilograms", priced, nil, "1", "4.50", change(func(_, a dict) { in(a, "stipulatesReciprocal")["resourceQuantity"] = quantity("kilogram", "4.50") }), "unit_mismatch"},
		{"too little money", priced, nil, "2", "8.99", nil, "amount_mismatch"},
		{"too much money", priced, nil, "2", "9.01", nil, "amount_mismatch"},
		{"yesterday's price", priced, func(t *testing.T, s *scene, f *storage.Offer) {
			if _, err := s.rye.EditOffer(t.Context(), s.baker, f.ID, activitypub.OfferDraft{Title: f.Title, Price: "5", Currency: "EUR"}); err != nil {
				t.Fatal(err)
			}
		}, "2", "9.00", nil, "amount_mismatch"},
		{"nothing for what has a price", priced, nil, "2", nil, nil, "amount_mismatch"},
		{"nothing for what has an open price", activitypub.OfferDraft{OpenPrice: true}, nil, "2", nil, nil, "amount_mismatch"},
		{"zero for what has an open price", activitypub.OfferDraft{OpenPrice: true}, nil, "2", "0", nil, "amount_mismatch"},
		{"money for a gift", activitypub.OfferDraft{}, nil, "2", "9", nil, "amount_mismatch"},
		{"half a loaf", priced, nil, "1.5", "6.75", nil, "not_a_multiple"},
		{"no step of it", activitypub.OfferDraft{Unit: "kg", Per: "0.25"}, nil, "0.3", nil, nil, "not_a_multiple"},
		{"an unknown fragment", priced, nil, "2", "9", change(func(_, a dict) {
			in(a, "stipulates")["satisfies"] = in(a, "stipulates")["satisfies"].(storage.IRI) + "x"
		}), "malformed"},
		{"the two turned round", priced, nil, "2", "9", change(func(_, a dict) {
			a["stipulates"], a["stipulatesReciprocal"] = a["stipulatesReciprocal"], a["stipulates"]
		}), "malformed"},
		{"paid with another offer", priced, nil, "2", "9", change(func(_, a dict) {
			in(a, "stipulatesReciprocal")["satisfies"] = "https://rye.example/offers/1#reciprocal"
		}), "malformed"},
		{"no number", priced, nil, "2", "9", change(func(_, a dict) { delete(in(a, "stipulates")["resourceQuantity"].(dict), "hasNumericalValue") }), "malformed"},
		{"no quantity", priced, nil, "2", "9", change(func(_, a dict) { delete(in(a, "stipulates"), "resourceQuantity") }), "malformed"},
		{"fewer than none", priced, nil, "-1", "4.50", nil, "malformed"},
		{"fewer than none, as a number", priced, nil, -1, "4.50", nil, "malformed"},
		{"money to be got", priced, nil, "1", "-4.50", nil, "malformed"},
		{"an exponent", priced, nil, "1e1", "45", nil, "malformed"},
		{"more digits than anybody counts", priced, nil, strings.Repeat("9", 1000), "9", nil, "malformed"},
		{"an amount of a thousand digits", priced, nil, "2", strings.Repeat("9", 1000), nil, "malformed"},
		{"a fraction of a thousand digits", priced, nil, "2." + strings.Repeat("0", 999) + "1", "9", nil, "malformed"},
		{"more than there ever was", activitypub.OfferDraft{}, nil, "999999999999999999", nil, nil, "sold_out"},
		{"more than money can tell", activitypub.OfferDraft{Price: "999999999999999999", Currency: "https://x.example/c"}, nil, "1000000000", "1", nil, "amount_mismatch"},
		{"digits of another script", priced, nil, "٢", "9", nil, "malformed"},
		{"a yes", priced, nil, true, "9", nil, "malformed"},
		{"paused", priced, func(t *testing.T, s *scene, f *storage.Offer) { s.set(t, f, storage.OfferPaused) }, "2", "9", nil, "closed"},
		{"closed", priced, func(t *testing.T, s *scene, f *storage.Offer) { s.set(t, f, storage.OfferClosed) }, "2", "9", nil, "closed"},
		{"deleted", priced, func(t *testing.T, s *scene, f *storage.Offer) {
			if err := s.rye.DeleteOffer(t.Context(), s.baker, f.ID); err != nil {
				t.Fatal(err)
			}
		}, "2", "9", nil, "closed"},
		{"too many that wait", priced, func(t *testing.T, s *scene, f *storage.Offer) {
			for range 20 {
				s.take(t, s.ann, s.asks(s.ann, f, "1", "4.50"))
			}
		}, "2", "9", nil, "rate_limited"},
		{"blocked", priced, func(t *testing.T, s *scene, f *storage.Offer) {
			if _, err := s.rye.Block(t.Context(), s.baker, "@ann@far.example"); err != nil {
				t.Fatal(err)
			}
		}, "2", "9", nil, "not_authorized"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			f := s.bread(t, c.offer)
			if c.before != nil {
				c.before(t, s, f)
				s.net.Deliver()
			}
			act := s.asks(s.ann, f, c.goods, c.money)
			if c.change != nil {
				c.change(s, act)
			}
			left := s.left(t, f)
			s.take(t, s.ann, act)
			s.net.Deliver()
			got := about(s.ann, act)
			if len(got) != 1 {
				t.Fatalf("there were %d answers, want one Reject: %s", len(got), got)
			}
			var m dict
			if err := json.Unmarshal(got[0], &m); err != nil {
				t.Fatal(err)
			}
			if m["type"] != "Reject" || m["summary"] != c.code || m["content"] == nil || m["content"] == "" || m["actor"] != string(s.baker.Actor.IRI) || m["object"] != act["id"] || m["proof"] == nil {
				t.Errorf("the answer is %s, want a Reject of %s in words", got[0], c.code)
			}
			if to, _ := m["to"].([]any); len(to) != 1 || to[0] != s.ann.ID() {
				t.Errorf("it is addressed to %v, want %s alone", m["to"], s.ann.ID())
			}
			if now := s.left(t, f); now != left {
				t.Errorf("%s are left, before it were %s", now, left)
			}
			// The same question has the same answer, whatever else stands under its id.
			stands := *s.ordered(t, act)
			s.take(t, s.ann, act)
			s.net.Deliver()
			other := s.asks(s.ann, f, "1", nil)
			other["id"] = act["id"]
			s.take(t, s.ann, other)
			s.net.Deliver()
			got = about(s.ann, act)
			if len(got) != 3 || string(got[0]) != string(got[1]) || string(got[0]) != string(got[2]) {
				t.Errorf("asked again it was answered %s", got[1:])
			}
			if now := *s.ordered(t, act); now != stands {
				t.Errorf("asked again the order is %+v, before it was %+v", now, stands)
			}
		})
	}
}

// set opens, pauses or closes an offer of the baker.
func (s *scene) set(t *testing.T, f *storage.Offer, state string) {
	t.Helper()
	if _, err := s.rye.SetOffer(t.Context(), s.baker, f.ID, state); err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
}

// left is how much there is of an offer, checked against its orders.
func (s *scene) left(t *testing.T, f *storage.Offer) string {
	t.Helper()
	stock, left, reserved, err := s.rye.DB.CheckStock(t.Context(), f.ID)
	if err != nil {
		t.Fatal(err)
	}
	if stock == nil {
		return "any"
	}
	if *stock != *left+reserved {
		t.Errorf("of %d there are %d left and %d reserved", *stock, *left, reserved)
	}
	return fmt.Sprint(*left)
}

func TestWhoIsBlockedIsToldOnceAndThenNothing(t *testing.T) {
	s := newScene(t)
	f := s.bread(t, activitypub.OfferDraft{})
	if _, err := s.rye.Block(t.Context(), s.baker, "@ann@far.example"); err != nil {
		t.Fatal(err)
	}
	first, second := s.asks(s.ann, f, "1", nil), s.asks(s.ann, f, "1", nil)
	for _, act := range []dict{first, second, second, first} {
		s.take(t, s.ann, act)
		s.net.Deliver()
	}
	if a, b := len(about(s.ann, first)), len(about(s.ann, second)); a != 2 || b != 0 {
		t.Errorf("the first order was answered %d times and the second %d, want 2 (it was asked twice) and 0", a, b)
	}
}

func TestNumbersAreReadAsOthersWriteThem(t *testing.T) {
	for name, c := range map[string]struct{ goods, money any }{
		"as FEP-0837 writes them": {"2", "9.00"}, "in short": {"2", "9"}, "with zeros": {"2.000", "9.0000"}, "as numbers": {2, 9}, "as numbers with zeros": {json.Number("2.0"), json.Number("9.00")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			f := s.bread(t, activitypub.OfferDraft{Price: "4.50", Currency: "EUR", Quantity: "20", AutoAccept: true})
			act := s.asks(s.ann, f, c.goods, c.money)
			s.take(t, s.ann, act)
			s.net.Deliver()
			accept := s.received(t, s.ann, "Accept")
			result, _ := accept["result"].(dict)
			if accept["object"] != act["id"] || result == nil {
				t.Fatalf("the answer is %v", accept)
			}
			for part, want := range map[string]string{"stipulates": "2", "stipulatesReciprocal": "9.00"} {
				commitment, _ := result[part].(dict)
				if q, _ := commitment["resourceQuantity"].(dict); q["hasNumericalValue"] != want || commitment["id"] == nil {
					t.Errorf("%s is %v, want %s", part, commitment, want)
				}
			}
			// Accepted once: what comes later is an Update with the same ids.
			o := s.ordered(t, act)
			if _, err := s.rye.MoveOrder(t.Context(), s.baker, o.ID, "fulfil", "At the door."); err != nil {
				t.Fatal(err)
			}
			s.net.Deliver()
			update := s.received(t, s.ann, "Update")
			agreement, _ := update["object"].(dict)
			if agreement == nil || agreement["id"] != result["id"] || agreement["preview"].(dict)["name"] != "Completed" {
				t.Errorf("how it stands is said by %v", update)
			}
			if doc, _ := s.received(t, s.ann, "Create")["object"].(dict); doc == nil || doc["type"] != "Document" || doc["context"] != result["id"] {
				t.Errorf("the receipt is %v", doc)
			}
			// Whoever asks again gets how it stands now, once.
			before := len(s.ann.Received())
			s.take(t, s.ann, act)
			s.net.Deliver()
			if got := s.ann.Received()[before:]; len(got) != 1 || !strings.Contains(string(got[0]), "Completed") {
				t.Errorf("asked again it was answered %s", got)
			}
		})
	}
}

// An Undo, a receipt and a complaint of the one who ordered.
func TestWhatWhoOrderedSaysIsDone(t *testing.T) {
	for name, c := range map[string]struct {
		says func(s *scene, ask dict, agreement string) dict
		want string
	}{
		"she takes it back":           {func(s *scene, ask dict, _ string) dict { return s.does(s.ann, "Undo", ask) }, storage.OrderCancelled},
		"she takes it back by its id": {func(s *scene, ask dict, _ string) dict { return s.does(s.ann, "Undo", ask["id"]) }, storage.OrderCancelled},
		"she takes it back by an Undo without an id": {func(s *scene, ask dict, _ string) dict {
			u := s.does(s.ann, "Undo", ask["id"])
			delete(u, "id")
			return u
		}, storage.OrderCancelled},
		"she has it": {func(s *scene, _ dict, agreement string) dict {
			return s.does(s.ann, "Create", dict{"id": s.ann.ID() + "/receipts/1", "type": "Document", "context": agreement, "attributedTo": s.ann.ID()})
		}, storage.OrderConfirmed},
		"something is wrong": {func(s *scene, _ dict, agreement string) dict {
			return with(s.does(s.ann, "Reject", agreement), "summary", "disputed")
		}, storage.OrderDisputed},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			f := s.bread(t, activitypub.OfferDraft{Quantity: "20", AutoAccept: true})
			ask := s.asks(s.ann, f, "3", nil)
			s.take(t, s.ann, ask)
			s.net.Deliver()
			said := c.says(s, ask, s.received(t, s.ann, "Accept")["result"].(dict)["id"].(string))
			for range 2 {
				s.take(t, s.ann, said)
				s.net.Deliver()
			}
			if o := s.ordered(t, ask); o.State != c.want {
				t.Errorf("the order is %s, want %s", o.State, c.want)
			}
			want := "17"
			if c.want == storage.OrderCancelled {
				want = "20"
			}
			if left := s.left(t, f); left != want {
				t.Errorf("%s are left, want %s", left, want)
			}
		})
	}
}

// What she wants cannot be any more: she is told how the order stands.
func TestAWishThatComesTooLateIsAnsweredWithHowItStands(t *testing.T) {
	s := newScene(t)
	f := s.bread(t, activitypub.OfferDraft{Quantity: "20", AutoAccept: true})
	ask := s.asks(s.ann, f, "3", nil)
	s.take(t, s.ann, ask)
	o := s.ordered(t, ask)
	if _, err := s.rye.MoveOrder(t.Context(), activitypub.By{Actor: s.baker.Actor}, o.ID, "fulfil", ""); err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
	before := len(about(s.ann, ask))
	s.take(t, s.ann, s.does(s.ann, "Undo", ask))
	s.net.Deliver()
	if o := s.ordered(t, ask); o.State != storage.OrderFulfilled || s.left(t, f) != "17" {
		t.Errorf("the order is %s, and %s are left", o.State, s.left(t, f))
	}
	got := about(s.ann, ask)
	if len(got) != before+1 || !strings.Contains(string(got[before]), `"name":"Completed"`) {
		t.Errorf("she was told %s", got[before:])
	}
}

func TestAnUndoThatComesBeforeItsOfferHolds(t *testing.T) {
	s := newScene(t)
	f := s.bread(t, activitypub.OfferDraft{Quantity: "2", AutoAccept: true})
	ask := s.asks(s.ann, f, "2", nil)
	s.take(t, s.ann, s.does(s.ann, "Undo", ask))
	s.take(t, s.ann, ask)
	s.net.Deliver()
	if o := s.ordered(t, ask); o.State != storage.OrderCancelled || s.left(t, f) != "2" {
		t.Errorf("the order is %s, and %s are left", o.State, s.left(t, f))
	}
	if got := about(s.ann, ask); len(got) != 1 || !strings.Contains(string(got[0]), `"cancelled"`) {
		t.Errorf("she was told %s", got)
	}
	other := s.asks(s.bob, f, "2", nil)
	s.take(t, s.eve, s.does(s.eve, "Undo", other["id"]))
	s.take(t, s.bob, other)
	if o := s.ordered(t, other); o.State != storage.OrderAccepted {
		t.Errorf("eve's Undo of an order of bob's made it %s", o.State)
	}
}

// stall is a peer who sells, and an order that somebody of the node has made of hers.
type stall struct {
	*scene
	offer *storage.Offer
	order *storage.Order
	ask   dict // as she got it
}

// proposal is a Proposal of a peer's.
func proposal(p *aptest.Peer, id string) dict {
	iri := p.ID() + "/offers/" + id
	return dict{"@context": as2, "id": iri, "type": "Proposal", "purpose": "offer", "attributedTo": p.ID(), "name": "Honey", "unitBased": true, "to": asPublic,
		"publishes":  dict{"id": iri + "#primary", "type": "Intent", "action": "transfer", "resourceQuantity": quantity("one", "1"), "availableQuantity": quantity("one", "20")},
		"reciprocal": dict{"id": iri + "#reciprocal", "type": "Intent", "action": "transfer", "resourceQuantity": quantity("one", "5")}}
}

// both serves documents, and people beside them.
type both struct {
	shelf
	town
}

func (b both) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, ok := b.shelf[r.URL.Path]; ok {
		b.shelf.ServeHTTP(w, r)
		return
	}
	b.town.ServeHTTP(w, r)
}

// newStall makes ann offer honey and the baker order two jars.
func newStall(t *testing.T) *stall {
	s := &stall{scene: newScene(t)}
	docs := shelf{"/users/ann/offers/1": proposal(s.ann, "1")}
	s.net.Serve("far.example", both{docs, town{s.ann, s.bob}})
	var err error
	if s.offer, err = s.rye.ResolveOffer(t.Context(), s.baker, s.ann.ID()+"/offers/1"); err != nil {
		t.Fatal(err)
	}
	if s.order, err = s.rye.PlaceOrder(t.Context(), s.baker, activitypub.OrderDraft{Offer: s.offer, Quantity: "2"}); err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
	s.ask = s.received(t, s.ann, "Offer")
	return s
}

// agreement is the Agreement of a peer about the order of a stall.
func (s *stall) agreement(by *aptest.Peer, id string, change ...func(dict)) dict {
	iri := by.ID() + "/agreements/" + id
	commit := func(name, number string) dict {
		return dict{"id": iri + "#" + name, "type": "Commitment", "satisfies": s.offer.IRI + storage.IRI("#"+name), "resourceQuantity": quantity("one", number)}
	}
	m := dict{"id": iri, "type": "Agreement", "attributedTo": by.ID(), "stipulates": commit("primary", "2"), "stipulatesReciprocal": commit("reciprocal", "10"),
		"context": s.ask["id"], "preview": dict{"type": "Note", "name": "Open"}}
	for _, f := range change {
		f(m)
	}
	return m
}

// accepts is an Accept of the order with an Agreement.
func (s *stall) accepts(by *aptest.Peer, agreement any) dict {
	return with(with(s.does(by, "Accept", s.ask["id"]), "result", agreement), "published", s.net.Now().Format(time.RFC3339))
}

// stands is how the order stands at the node.
func (s *stall) stands(t *testing.T) *storage.Order {
	t.Helper()
	o, err := s.rye.DB.OrderByID(t.Context(), s.order.ID)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestNobodyElseAnswersAnOrder(t *testing.T) {
	s := newStall(t)
	second, err := s.rye.PlaceOrder(t.Context(), s.baker, activitypub.OrderDraft{Offer: s.offer, Quantity: "3"})
	if err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
	edit := func(path []string, value any) func(dict) {
		return func(m dict) {
			for _, key := range path[:len(path)-1] {
				m = m[key].(dict)
			}
			if last := path[len(path)-1]; value == nil {
				delete(m, last)
			} else {
				m[last] = value
			}
		}
	}
	wrong := map[string][]func(dict){
		"of another amount":                  {edit([]string{"stipulatesReciprocal", "resourceQuantity", "hasNumericalValue"}, "11")},
		"of another quantity":                {edit([]string{"stipulates", "resourceQuantity", "hasNumericalValue"}, "1")},
		"of another unit":                    {edit([]string{"stipulates", "resourceQuantity", "hasUnit"}, "kilogram")},
		"of no quantity":                     {edit([]string{"stipulates", "resourceQuantity"}, nil)},
		"of nothing":                         {edit([]string{"stipulates"}, nil)},
		"for nothing":                        {edit([]string{"stipulatesReciprocal"}, nil)},
		"about another offer":                {edit([]string{"stipulates", "satisfies"}, s.ann.ID()+"/offers/2#primary")},
		"paid with another offer":            {edit([]string{"stipulatesReciprocal", "satisfies"}, s.ann.ID()+"/offers/2#reciprocal")},
		"without the id of its commitment":   {edit([]string{"stipulates", "id"}, nil)},
		"without the id of the other one":    {edit([]string{"stipulatesReciprocal", "id"}, nil)},
		"whose commitment is elsewhere":      {edit([]string{"stipulates", "id"}, s.eve.ID()+"/agreements/1#primary")},
		"without an id":                      {edit([]string{"id"}, nil)},
		"with an id of another origin":       {edit([]string{"id"}, "https://evil.example/agreements/1")},
		"with an id of ours":                 {edit([]string{"id"}, "https://rye.example/agreements/1")},
		"attributed to another":              {edit([]string{"attributedTo"}, s.bob.ID())},
		"attributed to us":                   {edit([]string{"attributedTo"}, string(s.baker.Actor.IRI))},
		"attributed to nobody":               {edit([]string{"attributedTo"}, nil)},
		"with a number that is none":         {edit([]string{"stipulates", "resourceQuantity", "hasNumericalValue"}, "2e0")},
		"with an amount of a million digits": {edit([]string{"stipulatesReciprocal", "resourceQuantity", "hasNumericalValue"}, strings.Repeat("1", 100_000))},
	}
	play := func(stage string) {
		for name, change := range wrong {
			s.refuse(t, abuse{stage + ", an agreement " + name, s.ann, s.accepts(s.ann, s.agreement(s.ann, "1", change...)), refusals})
			s.refuse(t, abuse{stage + ", an update of one " + name, s.ann, s.does(s.ann, "Update", s.agreement(s.ann, "1", change...)), nop})
		}
		s.refuse(t,
			abuse{stage + ", bob of her server accepts", s.bob, s.accepts(s.bob, s.agreement(s.bob, "1")), refusals},
			abuse{stage + ", bob accepts with her agreement", s.bob, s.accepts(s.bob, s.agreement(s.ann, "1")), refusals},
			abuse{stage + ", eve accepts", s.eve, s.accepts(s.eve, s.agreement(s.eve, "1")), refusals},
			abuse{stage + ", eve accepts in her name", s.eve, with(s.accepts(s.eve, s.agreement(s.ann, "1")), "actor", s.ann.ID()), refusals},
			abuse{stage + ", eve accepts for now", s.eve, s.does(s.eve, "TentativeAccept", s.ask["id"]), refusals},
			abuse{stage + ", eve refuses", s.eve, with(s.does(s.eve, "Reject", s.ask["id"]), "summary", "sold_out"), refusals},
			abuse{stage + ", bob refuses", s.bob, with(s.does(s.bob, "Reject", s.ask), "summary", "sold_out"), refusals},
			abuse{stage + ", eve takes it back", s.eve, s.does(s.eve, "Undo", s.ask), refusals},
			abuse{stage + ", she takes it back for us", s.ann, s.does(s.ann, "Undo", s.ask), refusals},
			abuse{stage + ", eve says how it stands", s.eve, s.does(s.eve, "Update", s.agreement(s.eve, "1")), nop},
			abuse{stage + ", bob says how it stands", s.bob, s.does(s.bob, "Update", s.agreement(s.bob, "1")), nop},
			abuse{stage + ", eve says how hers stands", s.eve, s.does(s.eve, "Update", s.agreement(s.ann, "1")), refusals},
			abuse{stage + ", bob says how hers stands", s.bob, s.does(s.bob, "Update", s.agreement(s.ann, "1")), refusals},
			abuse{stage + ", eve sends a receipt", s.eve, s.does(s.eve, "Create", dict{"id": s.eve.ID() + "/receipts/1", "type": "Document", "context": s.ann.ID() + "/agreements/1"}), nop},
			abuse{stage + ", bob sends her receipt", s.bob, s.does(s.bob, "Create", dict{"id": s.bob.ID() + "/receipts/1", "type": "Document", "attributedTo": s.ann.ID(), "context": s.ann.ID() + "/agreements/1"}), nop},
			abuse{stage + ", an agreement that is only named", s.ann, s.accepts(s.ann, s.ann.ID()+"/agreements/1"), refusals},
			abuse{stage + ", an agreement that is missing", s.ann, s.accepts(s.ann, nil), refusals},
			abuse{stage + ", an answer to an order that was never made", s.ann, with(s.accepts(s.ann, s.agreement(s.ann, "1")), "object", "https://rye.example/activities/1"), nop},
			abuse{stage + ", her agreement for another order", s.ann, with(s.accepts(s.ann, s.agreement(s.ann, "1")), "object", second.AskIRI), refusals},
		)
	}
	play("before the answer")
	if o := s.stands(t); o.State != storage.OrderProposed || o.IRI != "" {
		t.Fatalf("the order is %s now", o.State)
	}
	s.take(t, s.ann, s.accepts(s.ann, s.agreement(s.ann, "1")))
	if o := s.stands(t); o.State != storage.OrderAccepted || o.IRI != storage.IRI(s.ann.ID()+"/agreements/1") {
		t.Fatalf("the order is %s by %s", o.State, o.IRI)
	}
	play("once it is accepted")
	s.refuse(t,
		abuse{"another agreement than before", s.ann, s.accepts(s.ann, s.agreement(s.ann, "2")), refusals},
		abuse{"an update to another agreement than before", s.ann, s.does(s.ann, "Update", s.agreement(s.ann, "2")), refusals},
		abuse{"the id of the first order's agreement for the second", s.ann, with(s.accepts(s.ann, s.agreement(s.ann, "1", edit([]string{"stipulates", "resourceQuantity", "hasNumericalValue"}, "3"),
			edit([]string{"stipulatesReciprocal", "resourceQuantity", "hasNumericalValue"}, "15"))), "object", second.AskIRI), refusals},
		abuse{"eve says that what was agreed is wrong", s.eve, with(s.does(s.eve, "Reject", s.ann.ID()+"/agreements/1"), "summary", "disputed"), refusals},
		abuse{"bob takes back what was agreed", s.bob, s.does(s.bob, "Undo", s.ann.ID()+"/agreements/1"), refusals},
	)
	if o := s.stands(t); o.State != storage.OrderAccepted {
		t.Errorf("the order is %s now", o.State)
	}
}

// The answers of another server come in any order, more than once, and with any clock.
func TestTheLastWordOfTheProposerHolds(t *testing.T) {
	at := func(s *stall, act dict, minutes int) dict {
		return with(act, "published", s.net.Now().Add(time.Duration(minutes)*time.Minute).Format(time.RFC3339))
	}
	update := func(s *stall, name string) dict {
		return s.does(s.ann, "Update", s.agreement(s.ann, "1", func(m dict) { m["preview"] = dict{"type": "Note", "name": name} }))
	}
	receipt := func(s *stall) dict {
		return s.does(s.ann, "Create", dict{"id": s.id(s.ann, "receipts"), "type": "Document", "context": s.ann.ID() + "/agreements/1"})
	}
	reject := func(s *stall, code string) dict {
		return with(with(s.does(s.ann, "Reject", s.ask["id"]), "summary", code), "content", "Sorry.")
	}
	for name, c := range map[string]struct {
		says func(s *stall) []dict
		want string
		code string
	}{
		"accepted": {func(s *stall) []dict { return []dict{at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 0)} }, storage.OrderAccepted, ""},
		"accepted after a person looked": {func(s *stall) []dict {
			return []dict{at(s, s.does(s.ann, "TentativeAccept", s.ask["id"]), 0), at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 1)}
		}, storage.OrderAccepted, ""},
		"the look comes after the answer": {func(s *stall) []dict {
			return []dict{at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 1), at(s, s.does(s.ann, "TentativeAccept", s.ask["id"]), 0)}
		}, storage.OrderAccepted, ""},
		"an update before the accept": {func(s *stall) []dict {
			return []dict{at(s, update(s, "Completed"), 2), at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 0)}
		}, storage.OrderFulfilled, ""},
		"a receipt before the accept, and again": {func(s *stall) []dict {
			return []dict{at(s, receipt(s), 2), at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 0)}
		}, storage.OrderFulfilled, ""},
		"a receipt alone, as Mitra's": {func(s *stall) []dict {
			return []dict{at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 0), at(s, receipt(s), 2)}
		}, storage.OrderFulfilled, ""},
		"paid, which is no word of ours": {func(s *stall) []dict {
			return []dict{at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 0), at(s, update(s, "Paid"), 2)}
		}, storage.OrderAccepted, ""},
		"an update alone":        {func(s *stall) []dict { return []dict{at(s, update(s, "Open"), 0)} }, storage.OrderAccepted, ""},
		"refused":                {func(s *stall) []dict { return []dict{at(s, reject(s, "sold_out"), 0)} }, storage.OrderRejected, "sold_out"},
		"refused without a code": {func(s *stall) []dict { return []dict{s.does(s.ann, "Reject", s.ask["id"])} }, storage.OrderRejected, "declined"},
		"refused, then accepted late": {func(s *stall) []dict {
			return []dict{at(s, reject(s, "sold_out"), 2), at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 0)}
		}, storage.OrderRejected, "sold_out"},
		"accepted and cancelled": {func(s *stall) []dict {
			return []dict{at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 0), at(s, reject(s, "cancelled"), 1)}
		}, storage.OrderCancelled, "cancelled"},
		"cancelled before it was accepted": {func(s *stall) []dict {
			return []dict{at(s, reject(s, "cancelled"), 1), at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 0)}
		}, storage.OrderCancelled, "cancelled"},
		"accepted and refused after all": {func(s *stall) []dict {
			return []dict{at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 0), at(s, reject(s, "sold_out"), 1)}
		}, storage.OrderCancelled, "sold_out"},
		"disputed, and her delivery told late": {func(s *stall) []dict {
			return []dict{at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 0), at(s, update(s, "Disputed"), 2), at(s, update(s, "Completed"), 1)}
		}, storage.OrderDisputed, "disputed"},
		"accepted and expired": {func(s *stall) []dict {
			return []dict{at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 0), at(s, update(s, "Timeout"), 1)}
		}, storage.OrderExpired, "expired"},
		"by a clock five minutes ahead": {func(s *stall) []dict {
			return []dict{at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 5), at(s, update(s, "Completed"), 6)}
		}, storage.OrderFulfilled, ""},
		"by a clock an hour ahead": {func(s *stall) []dict {
			return []dict{at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), 60), at(s, update(s, "Completed"), 61)}
		}, storage.OrderFulfilled, ""},
		"by a clock an hour behind": {func(s *stall) []dict {
			return []dict{at(s, s.accepts(s.ann, s.agreement(s.ann, "1")), -60), at(s, update(s, "Completed"), -59)}
		}, storage.OrderFulfilled, ""},
		"without any clock": {func(s *stall) []dict {
			return []dict{s.accepts(s.ann, s.agreement(s.ann, "1")), update(s, "Completed"), update(s, "Confirmed")}
		}, storage.OrderConfirmed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStall(t)
			for _, act := range slices.Repeat(c.says(s), 2) {
				s.take(t, s.ann, act)
			}
			s.net.Deliver()
			if o := s.stands(t); o.State != c.want || o.Code != c.code {
				t.Errorf("the order is %s %q, want %s %q", o.State, o.Code, c.want, c.code)
			}
		})
	}
}
