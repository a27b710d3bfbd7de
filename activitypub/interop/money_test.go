package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/storage"
)

// paymentsOne is what an actor implements who understands what a ledger says (docs/federation.md).
const paymentsOne = "https://w3id.org/planet-coop/ns#payments-1"

// peerPayment is what was said to Fedify of a payment, as it came and was read there.
type peerPayment struct {
	Type, ID, Actor, Object, Summary, Content, Ends string
	To                                              []string
	Proven                                          bool // by Fedify's own check of the proof
	Event                                           *peerEvent
}

type peerEvent struct {
	Type                                                               []string
	ID, Action, Provider, Receiver, Content, Instrument, Corrects, Due string
	Currency                                                           string `json:"resourceConformsTo"`
	Quantity                                                           struct {
		Value string `json:"hasNumericalValue"`
	} `json:"resourceQuantity"`
	URL struct{ Href string }
}

// purse is a currency of this node's, in which ana and bruno of a Fedify server have accounts.
type purse struct {
	*story
	grn, ledger string
	heard       int // what was said to Fedify of payments and was looked at
}

// TestFedifyMoney: a server on Fedify hears every activity about money, and says every one that its people may.
func TestFedifyMoney(t *testing.T) {
	needPeer(t)
	a := newAuthority(t, "planet.localhost", "mill.localhost")
	p := startPlanet(t, a, "planet.localhost")
	mill := startPeer(t, a, "mill.localhost", "cavage", "PEER_SECURE=on", "PEER_IMPLEMENTS="+paymentsOne)
	p.run(t, "user", "create", "nuria")
	p.run(t, "user", "create", "bo")
	p.run(t, "coop", "create", "baker", "--title", "The bakery", "--founder", "nuria")
	p.run(t, "currency", "create", "GRN", "--coop", "baker", "--kind", "mutual", "--credit-limit", "20")
	p.run(t, "account", "open", "--currency", "GRN", "bo", "@ana@"+mill.host(), "@bruno@"+mill.host())
	m := &purse{story: &story{
		planet: p, peer: mill, scheme: "cavage", baker: p.origin + "/users/baker", bakerHandle: "@baker@" + p.host(),
		anaIRI: mill.origin + "/people/ana", anaAcct: "@ana@" + mill.host(),
	}, grn: p.origin + "/currencies/grn", ledger: p.origin + "/ledger"}
	for _, step := range []struct {
		name string
		do   func(t *testing.T)
	}{
		{"ana pays the bakery, and reads what became of it", m.pays},
		{"the same bytes again get the same answer", m.again},
		{"ana pays more than she may", m.tooMuch},
		{"ana is paid, who hears payments", m.paid},
		{"bruno is paid, who does not: in words", m.whispered},
		{"ana's payment is held, and the bakery takes less", m.held},
		{"ana's payment is held, and the bakery lets it go", m.letGo},
		{"ana takes what is held for her, and lets go", m.takes},
		{"ana takes a payment back before it comes, and after", m.takenBack},
		{"the bakery gives ana back what she paid", m.givenBack},
		{"ana gives the bakery back what it paid", m.givesBack},
		{"the bakery asks ana for money, and she pays", m.asked},
		{"ana reads her account", m.account},
		{"a ledger on Fedify's side is asked, and nothing looks paid", m.ledgerThere},
		{"the books are sound", func(t *testing.T) { p.run(t, "ledger", "verify") }},
		{"fedify had nothing to complain of", m.noErrors},
	} {
		if !t.Failed() { // each step stands on those before it
			t.Run(step.name, step.do)
		}
	}
}

// offers has one of Fedify's people pay.
func (m *purse) offers(t *testing.T, as, to, amount string, more map[string]any) string {
	t.Helper()
	in := map[string]any{"as": as, "ledger": m.ledger, "currency": m.grn, "to": to, "amount": amount}
	for k, v := range more {
		in[k] = v
	}
	var sent struct{ ID string }
	m.peer.ask(t, "pay", in, &sent)
	return sent.ID
}

// hears waits for the next thing that is said to Fedify of a payment: by the ledger, with a proof that Fedify finds good, about this Offer.
func (m *purse) hears(t *testing.T, kind, offer string) peerPayment {
	t.Helper()
	var next peerPayment
	eventually(t, "Fedify hears a "+kind, func() error {
		all := m.peer.state(t).Payments[m.heard:]
		if len(all) == 0 {
			return fmt.Errorf("nothing was said yet")
		}
		next = all[0]
		return nil
	})
	m.heard++
	if next.Type != kind || next.Actor != m.ledger || next.Object != offer || !next.Proven {
		t.Fatalf("Fedify heard %+v, want a %s of the ledger about %s with a proof", next, kind, offer)
	}
	return next
}

// wantEvent compares an event with what was asked for.
func (m *purse) wantEvent(t *testing.T, got *peerEvent, from, to, amount, offer string) {
	t.Helper()
	if got == nil || !slices.Contains(got.Type, "EconomicEvent") || got.Action != "transfer" || got.Provider != from || got.Receiver != to || got.Quantity.Value != amount ||
		got.Currency != m.grn || got.ID != "" && got.Instrument != offer {
		t.Errorf("the event is %+v, want %s from %s to %s for %s", got, amount, from, to, offer)
	}
}

// wantBalance asks the node itself.
func (m *purse) wantBalance(t *testing.T, owner, want string) {
	t.Helper()
	out := m.planet.run(t, "account", "show", "--currency", "GRN", owner)
	if !slices.Contains(strings.Fields(out), want) {
		t.Errorf("the account of %s stands at %q, want %s", owner, out, want)
	}
}

// payment finds what the node knows of an Offer.
func (m *purse) payment(t *testing.T, offer, state string) (p *storage.Payment) {
	t.Helper()
	eventually(t, "the payment is "+state, func() (err error) {
		if p, err = m.planet.db.PaymentByIRI(t.Context(), storage.IRI(offer)); err == nil && p.State != state {
			err = fmt.Errorf("it is %s (%s: %s)", p.State, p.Reason, p.Words)
		}
		return err
	})
	return p
}

// document is what Fedify gets at an address with ana's signature.
func (m *purse) document(t *testing.T, id string, out any) {
	t.Helper()
	m.peer.ask(t, "read", map[string]any{"as": "ana", "id": id}, out)
}

func (m *purse) pays(t *testing.T) {
	offer := m.offers(t, "ana", m.baker, "9.00", map[string]any{"content": "2 loaves"})
	got := m.hears(t, "Accept", offer)
	m.wantEvent(t, got.Event, m.anaIRI, m.baker, "9.00", offer)
	if got.Event.Content != "2 loaves" || !slices.Equal(got.To, []string{m.anaIRI, m.baker}) {
		t.Errorf("the Accept is %+v of %+v", got, got.Event)
	}
	m.wantBalance(t, "baker", "9.00")
	m.wantBalance(t, m.anaAcct, "-9.00")

	var result struct {
		ID, Type string
		Result   peerEvent
	}
	m.document(t, got.ID, &result)
	m.wantEvent(t, &result.Result, m.anaIRI, m.baker, "9.00", offer)
	if result.ID != got.ID || result.Type != "Accept" {
		t.Errorf("at its address the answer is %+v", result)
	}
	var event peerEvent
	m.document(t, got.Event.ID, &event)
	m.wantEvent(t, &event, m.anaIRI, m.baker, "9.00", offer)
}

func (m *purse) again(t *testing.T) {
	offer := m.offers(t, "ana", m.baker, "1.00", nil)
	first := m.hears(t, "Accept", offer)
	m.peer.ask(t, "pay-again", map[string]any{"as": "ana", "id": offer}, nil)
	time.Sleep(time.Second) // Fedify passes what it has seen to nobody a second time
	if more := m.peer.state(t).Payments[m.heard:]; len(more) > 1 || len(more) == 1 && more[0].ID != first.ID {
		t.Errorf("Fedify heard %+v", more)
	} else {
		m.heard += len(more)
	}
	m.wantBalance(t, m.anaAcct, "-10.00")
}

func (m *purse) tooMuch(t *testing.T) {
	offer := m.offers(t, "ana", m.baker, "11.00", nil)
	got := m.hears(t, "Reject", offer)
	if got.Summary != "credit_limit" || !strings.Contains(got.Content, "Your limit in GRN is -20.00; this payment would take you to -21.00") || !slices.Equal(got.To, []string{m.anaIRI}) {
		t.Errorf("the Reject is %+v", got)
	}
	m.wantBalance(t, m.anaAcct, "-10.00")
}

func (m *purse) paid(t *testing.T) {
	var p struct{ IRI string }
	m.planet.read(t, &p, "pay", "--as", "baker", "--to", m.anaAcct, "--amount", "3.00", "--currency", "GRN", "--memo", "for flour")
	m.wantEvent(t, m.hears(t, "Accept", p.IRI).Event, m.baker, m.anaIRI, "3.00", p.IRI)
	m.wantBalance(t, m.anaAcct, "-7.00")
}

func (m *purse) whispered(t *testing.T) {
	bruno := m.peer.origin + "/people/bruno"
	m.planet.run(t, "pay", "--as", "bo", "--to", "@bruno@"+m.peer.host(), "--amount", "2.50", "--currency", "GRN", "--memo", "for the cart")
	eventually(t, "bruno has a letter of the ledger", func() error {
		for _, note := range m.peer.state(t).Notes {
			if note.AttributedTo == m.ledger && slices.Equal(note.To, []string{bruno}) {
				if !strings.Contains(note.Content, "bo@"+m.planet.host()+" has paid you 2.50 GRN: for the cart. Your account stands at 2.50 GRN") {
					t.Errorf("the letter says %q", note.Content)
				}
				return nil
			}
		}
		return fmt.Errorf("there is none")
	})
	if more := m.peer.state(t).Payments[m.heard:]; len(more) != 0 {
		t.Errorf("Fedify heard %+v as well", more)
	}
}

func (m *purse) held(t *testing.T) {
	offer := m.offers(t, "ana", m.baker, "5.00", map[string]any{"due": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
	got := m.hears(t, "TentativeAccept", offer)
	if m.wantEvent(t, got.Event, m.anaIRI, m.baker, "5.00", offer); got.Ends == "" || got.Event.ID != "" {
		t.Errorf("the TentativeAccept is %+v", got)
	}
	p := m.payment(t, offer, storage.PaymentHeld)
	m.planet.run(t, "payment", "post", p.ID.String(), "--as", "baker", "--amount", "4.50")
	got = m.hears(t, "Accept", offer)
	m.wantEvent(t, got.Event, m.anaIRI, m.baker, "4.50", offer)
	m.wantBalance(t, m.anaAcct, "-11.50")
}

func (m *purse) letGo(t *testing.T) {
	offer := m.offers(t, "ana", m.baker, "5.00", map[string]any{"due": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
	m.hears(t, "TentativeAccept", offer)
	m.planet.run(t, "payment", "void", m.payment(t, offer, storage.PaymentHeld).ID.String(), "--as", "baker")
	if got := m.hears(t, "Reject", offer); got.Summary != "cancelled" {
		t.Errorf("the Reject is %+v", got)
	}
	m.wantBalance(t, m.anaAcct, "-11.50")
}

// holdsForAna has bo hold something for ana, who hears of it.
func (m *purse) holdsForAna(t *testing.T, amount string) (offer string) {
	t.Helper()
	var p struct{ IRI string }
	m.planet.read(t, &p, "pay", "--as", "bo", "--to", m.anaAcct, "--amount", amount, "--currency", "GRN", "--hold", "1h")
	m.wantEvent(t, m.hears(t, "TentativeAccept", p.IRI).Event, m.planet.origin+"/users/bo", m.anaIRI, amount, p.IRI)
	return p.IRI
}

func (m *purse) takes(t *testing.T) {
	bo := m.planet.origin + "/users/bo"
	offer := m.holdsForAna(t, "4.00")
	m.peer.ask(t, "take", map[string]any{"as": "ana", "ledger": m.ledger, "currency": m.grn, "from": bo, "id": offer, "amount": "3.50"}, nil)
	m.wantEvent(t, m.hears(t, "Accept", offer).Event, bo, m.anaIRI, "3.50", offer)
	m.wantBalance(t, m.anaAcct, "-8.00")
	offer = m.holdsForAna(t, "4.00")
	m.peer.ask(t, "take", map[string]any{"as": "ana", "ledger": m.ledger, "from": bo, "id": offer}, nil)
	if got := m.hears(t, "Reject", offer); got.Summary != "cancelled" {
		t.Errorf("the Reject is %+v", got)
	}
	m.wantBalance(t, m.anaAcct, "-8.00")
}

func (m *purse) takenBack(t *testing.T) {
	offer := m.offers(t, "ana", m.baker, "1.00", nil)
	m.hears(t, "Accept", offer)
	m.peer.ask(t, "unpay", map[string]any{"as": "ana", "ledger": m.ledger, "id": offer}, nil)
	m.payment(t, offer, storage.PaymentCommitted)
	m.wantBalance(t, m.anaAcct, "-9.00")
	time.Sleep(time.Second)
	if more := m.peer.state(t).Payments[m.heard:]; len(more) > 1 || len(more) == 1 && more[0].Type != "Accept" {
		t.Errorf("to what was taken back too late Fedify heard %+v", more)
	} else {
		m.heard += len(more)
	}
}

func (m *purse) givenBack(t *testing.T) {
	offer := m.offers(t, "ana", m.baker, "2.00", nil)
	first := m.hears(t, "Accept", offer)
	var back struct{ IRI string }
	m.planet.read(t, &back, "payment", "refund", m.payment(t, offer, storage.PaymentCommitted).ID.String(), "--as", "baker", "--amount", "1.50")
	got := m.hears(t, "Accept", back.IRI)
	if m.wantEvent(t, got.Event, m.baker, m.anaIRI, "1.50", back.IRI); got.Event.Corrects != first.Event.ID {
		t.Errorf("the refund corrects %q, want %s", got.Event.Corrects, first.Event.ID)
	}
	m.wantBalance(t, m.anaAcct, "-9.50")
}

func (m *purse) givesBack(t *testing.T) {
	var p struct{ IRI string }
	m.planet.read(t, &p, "pay", "--as", "baker", "--to", m.anaAcct, "--amount", "2.00", "--currency", "GRN")
	first := m.hears(t, "Accept", p.IRI)
	offer := m.offers(t, "ana", m.baker, "2.00", map[string]any{"corrects": first.Event.ID})
	if got := m.hears(t, "Accept", offer); got.Event.Corrects != first.Event.ID {
		t.Errorf("the refund is %+v", got.Event)
	}
	more := m.offers(t, "ana", m.baker, "0.01", map[string]any{"corrects": first.Event.ID})
	if got := m.hears(t, "Reject", more); got.Summary != "refund_too_large" {
		t.Errorf("the Reject is %+v", got)
	}
	m.wantBalance(t, m.anaAcct, "-9.50")
}

func (m *purse) asked(t *testing.T) {
	m.planet.run(t, "payment", "request", "--as", "baker", "--by", "nuria", "--of", m.anaAcct, "--amount", "3.00", "--currency", "GRN", "--memo", "eggs")
	var proposal string
	eventually(t, "ana is asked by a direct message", func() error {
		for _, note := range m.peer.state(t).Notes {
			if strings.Contains(note.Content, "asks you for 3.00 GRN: eggs") {
				if !slices.Equal(note.To, []string{m.anaIRI}) || len(note.Attachments) != 1 {
					t.Errorf("the message is %+v", note)
				}
				proposal = note.Attachments[0].URL
				return nil
			}
		}
		return fmt.Errorf("there is no message")
	})
	var asked struct {
		Publishes struct {
			ID       string
			Quantity struct {
				Value string `json:"hasNumericalValue"`
			} `json:"resourceQuantity"`
		}
	}
	m.document(t, proposal, &asked)
	if asked.Publishes.Quantity.Value != "3.00" {
		t.Fatalf("the Proposal is %+v", asked)
	}
	offer := m.offers(t, "ana", m.baker, "3.00", map[string]any{"fulfills": asked.Publishes.ID})
	m.hears(t, "Accept", offer)
	twice := m.offers(t, "ana", m.baker, "3.00", map[string]any{"fulfills": asked.Publishes.ID})
	if got := m.hears(t, "Reject", twice); got.Summary != "already_settled" {
		t.Errorf("the second payment of the request is answered by %+v", got)
	}
	if out := m.planet.run(t, "payment", "requests", "--of", "baker"); !strings.Contains(out, "paid") {
		t.Errorf("the request stands as %s", out)
	}
	m.wantBalance(t, m.anaAcct, "-12.50")
}

func (m *purse) account(t *testing.T) {
	var account struct {
		Balance struct {
			Value string `json:"hasNumericalValue"`
		} `json:"accountingQuantity"`
	}
	m.document(t, m.planet.origin+"/ledger/accounts?currency="+m.grn+"&actor="+m.anaIRI, &account)
	if account.Balance.Value != "-12.50" {
		t.Errorf("the account is %+v", account)
	}
}

// ledgerThere: carla of the Fedify server says that she keeps the books of a currency. She hears the Offer and that it is taken back, answers nothing, and nothing looks paid.
func (m *purse) ledgerThere(t *testing.T) {
	var doc map[string]any
	m.document(t, m.grn, &doc)
	acorn := m.peer.origin + "/currencies/acorn"
	doc["id"], doc["url"], doc["ledger"], doc["attributedTo"], doc["symbol"], doc["name"] = acorn, acorn, m.peer.origin+"/people/carla", m.anaIRI, "ACO", "Acorns"
	m.peer.ask(t, "serve", map[string]any{"path": "/currencies/acorn", "document": doc}, nil)
	var sent, now struct {
		ID         string
		IRI, State string
	}
	m.planet.read(t, &sent, "pay", "--as", "bo", "--to", m.anaAcct, "--amount", "2.00", "--currency", acorn, "--wait", "1s")
	var offer peerPayment
	eventually(t, "carla hears the Offer", func() error {
		all := m.peer.state(t).Payments[m.heard:]
		if len(all) == 0 {
			return fmt.Errorf("nothing was said")
		}
		offer = all[0]
		return nil
	})
	m.heard++
	if offer.Type != "Offer" || offer.ID != sent.IRI || !offer.Proven || offer.Event == nil || offer.Event.Quantity.Value != "2.00" || offer.Event.Currency != acorn {
		t.Errorf("carla heard %+v", offer)
	}
	// ana is of the ledger's server, but not the ledger.
	bo := m.planet.origin + "/users/bo"
	m.peer.ask(t, "take", map[string]any{"as": "ana", "ledger": bo, "currency": acorn, "from": bo, "id": sent.IRI, "amount": "2.00", "status": 403}, nil)
	m.planet.run(t, "payment", "cancel", sent.ID, "--wait", "1s")
	eventually(t, "carla hears that it is taken back", func() error {
		for _, a := range m.peer.state(t).Activities {
			if a.Type == "Undo" && a.Actor == bo && a.Object == sent.IRI {
				return nil
			}
		}
		return fmt.Errorf("she has not")
	})
	if m.planet.read(t, &now, "payment", "show", sent.ID); now.State != storage.PaymentSent {
		t.Errorf("the payment is %s, and its ledger has said nothing", now.State)
	}
}
