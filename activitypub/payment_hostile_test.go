package activitypub_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/ledger/proof"
	"planet/storage"
)

// Servers that speak the right language with the wrong authority: keys, ledgers and currencies of their own. Whatever they send, nobody at rye.example is shown a
// payment that the ledger of its currency has not made.

// harbour is rye.example with a co-op that pays and is paid in grain of mint.example, whose ledger is honest. On mint.example another actor keeps the books of oats. ann,
// with whom it trades, and bob are of far.example. eve of evil.example has a ledger of her own, a currency that is called GRN too, and one that names the ledger of others.
type harbour struct {
	*scene
	till, oats, thief *aptest.Peer // the ledgers of grain, of oats and of eve
	evil              shelf        // what evil.example serves
	mint              shelf
}

const (
	grain     = "https://mint.example/currencies/grn"
	oats      = "https://mint.example/currencies/oat"
	evilGrain = "https://evil.example/currencies/grn"
)

func newHarbour(t *testing.T) *harbour {
	t.Helper()
	f := &harbour{scene: newScene(t)}
	f.till, f.oats, f.thief = f.peer("mint.example", "ledger", 4).Proves(4), f.peer("mint.example", "oats", 5).Proves(5), f.peer("evil.example", "ledger", 6).Proves(6)
	f.prove(t)
	f.mint = shelf{"/currencies/grn": currencyOf(t, grain, f.till.ID(), "GRN", 2, f.till.Ed), "/currencies/oat": currencyOf(t, oats, f.oats.ID(), "OAT", 2, f.oats.Ed)}
	f.evil = shelf{"/currencies/grn": currencyOf(t, evilGrain, f.thief.ID(), "GRN", 2, f.thief.Ed),
		"/currencies/stolen": currencyOf(t, "https://evil.example/currencies/stolen", f.till.ID(), "GRN", 2, f.thief.Ed)}
	f.net.Serve("mint.example", both{f.mint, town{f.till, f.oats}})
	f.net.Serve("evil.example", both{f.evil, town{f.eve, f.thief}})
	for _, iri := range []string{grain, oats, evilGrain} {
		if _, err := f.rye.Money(t.Context(), iri); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// currencyOf is the document of a currency.
func currencyOf(t *testing.T, iri, keeper, code string, scale int, key ed25519.PrivateKey) dict {
	t.Helper()
	s, err := proof.NewSigner(strings.TrimPrefix(iri, "https://"), key)
	if err != nil {
		t.Fatal(err)
	}
	return dict{"@context": as2, "id": iri, "type": "ResourceSpecification", "name": code, "symbol": code, "scale": scale, "kind": "mutual", "vkey": s.Vkey(),
		"attributedTo": keeper, "ledger": keeper}
}

// pays makes the co-op pay ann and returns what its ledger was sent.
func (f *harbour) pays(t *testing.T, amount string, change ...func(*activitypub.PayOrder)) (*storage.Payment, dict) {
	t.Helper()
	m, err := f.rye.Money(t.Context(), grain)
	if err != nil {
		t.Fatal(err)
	}
	o := activitypub.PayOrder{Currency: m, To: f.actor(t, f.ann.ID()), Amount: amount}
	for _, c := range change {
		c(&o)
	}
	p, err := f.rye.Pay(t.Context(), f.baker, o)
	if err != nil {
		t.Fatal(err)
	}
	f.net.Deliver()
	return p, f.received(t, f.till, "Offer")
}

// event is what a ledger says has happened: the terms of an Offer, with an id of the ledger's.
func event(by *aptest.Peer, number string, offer dict, change ...func(dict)) dict {
	e := dict{}
	for k, v := range offer["object"].(dict) {
		e[k] = v
	}
	e["id"], e["attributedTo"], e["instrument"] = by.Origin+"/events/"+number, by.ID(), offer["id"]
	for _, c := range change {
		c(e)
	}
	return e
}

func amountOf(s any) func(dict) { return func(e dict) { e["resourceQuantity"] = quantity("one", s) } }
func term(key string, v any) func(dict) {
	return func(e dict) { e[key] = v }
}

// answers is an Accept, or what kind says, of an Offer by somebody.
func (f *harbour) answers(by *aptest.Peer, kind string, offer dict, result any) dict {
	act := f.does(by, kind, offer["id"])
	act["published"], act["to"] = f.net.Now().Format(time.RFC3339), []any{offer["actor"]}
	if result != nil {
		act["result"] = result
	}
	return act
}

// settled are the payments at rye.example that look paid.
func (f *harbour) settled(t *testing.T) (out []string) {
	t.Helper()
	for _, row := range f.rye.State()["payments"] {
		if strings.Contains(row, "state:"+storage.PaymentCommitted) {
			out = append(out, row)
		}
	}
	return out
}

// stands is how a payment stands at rye.example.
func (f *harbour) stands(t *testing.T, p *storage.Payment) *storage.Payment {
	t.Helper()
	q, err := f.rye.DB.PaymentByIRI(t.Context(), p.IRI)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// attacks are answers to an Offer of ours that is under way, none of which is its ledger's.
func (f *harbour) attacks(t *testing.T, offer dict) []abuse {
	accept := func(by *aptest.Peer, change ...func(dict)) dict {
		return f.answers(by, "Accept", offer, event(by, "1", offer, change...))
	}
	till, evil := f.till, f.thief
	deep := []byte(`{"@context":"` + as2 + `","id":"` + till.ID() + `/deep","type":"Accept","actor":"` + till.ID() + `","object":"` + fmt.Sprint(offer["id"]) + `","result":` +
		strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat(`}`, 5000) + `}`)
	plain, err := json.Marshal(accept(till))
	if err != nil {
		t.Fatal(err)
	}
	twice := bytes.Replace(plain, []byte(`"resourceQuantity":`), []byte(`"resourceQuantity":{"hasUnit":"one","hasNumericalValue":"1.00"},"resourceQuantity":`), 1)
	lists := accept(till)
	lists["result"] = []any{event(till, "1", offer, amountOf("900.00")), event(till, "2", offer)}
	otherOffer := with(accept(till), "object", []any{till.ID() + "/other", offer["id"]})
	return []abuse{
		{"PAY276 by the payee, as if she kept the books", f.ann, accept(f.ann), refusals},
		{"PAY276 by the payee, with the ledger's event", f.ann, f.answers(f.ann, "Accept", offer, event(till, "1", offer)), refusals},
		{"PAY277 by another of the payee's host", f.bob, accept(f.bob), refusals},
		{"PAY277 by a ledger of somebody else", evil, accept(evil), refusals},
		{"PAY277 by a ledger of somebody else, in its currency of the same code", evil, accept(evil, term("resourceConformsTo", evilGrain)), refusals},
		{"PAY277 by the ledger of another currency of the same host", f.oats, accept(f.oats), refusals},
		{"PAY277 by the ledger of another currency of the same host, in that", f.oats, accept(f.oats, term("resourceConformsTo", oats)), refusals},
		{"PAY277 a refusal by a third party", f.eve, f.answers(f.eve, "Reject", offer, nil), refusals},
		{"PAY277 a refusal by the payee", f.ann, f.answers(f.ann, "Reject", offer, nil), refusals},
		{"PAY277 a hold by a third party", evil, with(f.answers(evil, "TentativeAccept", offer, event(evil, "1", offer)), "endTime", "2026-11-24T10:00:00Z"), refusals},
		{"PAY277 by the ledger, sent by eve", f.eve, accept(till), []int{401}},
		{"PAY277 by the ledger, signed by the ledger of oats", f.oats, accept(till), []int{401}},
		{"PAY277 by us", f.eve, with(accept(till), "actor", string(f.baker.Actor.IRI)), refusals},
		{"PAY277 by us as a ledger", f.eve, with(accept(till), "actor", "https://rye.example/ledger"), refusals},
		{"PAY276 less than was asked for", till, accept(till, amountOf("8.99")), refusals},
		{"PAY276 more than was asked for", till, accept(till, amountOf("9.01")), refusals},
		{"PAY276 a thousand times as much", till, accept(till, amountOf("9000.00")), refusals},
		{"PAY276 less than nothing", till, accept(till, amountOf("-9.00")), refusals},
		{"PAY276 a number", till, accept(till, amountOf(9)), refusals},
		{"PAY276 nothing", till, accept(till, amountOf(nil)), refusals},
		{"PAY276 a list", till, accept(till, amountOf([]any{"9.00"})), refusals},
		{"PAY276 another unit", till, accept(till, term("resourceQuantity", quantity("kilogram", "9.00"))), refusals},
		{"PAY276 to somebody else", till, accept(till, term("receiver", f.bob.ID())), refusals},
		{"PAY276 to us", till, accept(till, term("receiver", f.baker.Actor.IRI)), refusals},
		{"PAY276 from somebody else", till, accept(till, term("provider", f.bob.ID())), refusals},
		{"PAY276 in another currency of the host", till, accept(till, term("resourceConformsTo", oats)), refusals},
		{"PAY276 in a currency of eve's", till, accept(till, term("resourceConformsTo", evilGrain)), refusals},
		{"PAY276 for an order", till, accept(till, term("fulfills", f.ann.ID()+"/agreements/1#reciprocal")), refusals},
		{"PAY276 as what gives something back", till, accept(till, term("corrects", till.Origin+"/events/0")), refusals},
		{"PAY276 another action", till, accept(till, term("action", "produce")), refusals},
		{"an event of another host", till, accept(till, term("id", "https://evil.example/events/1")), refusals},
		{"an event of ours", till, accept(till, term("id", "https://rye.example/ledger/events/1")), refusals},
		{"an event without an id", till, accept(till, term("id", nil)), refusals},
		{"an event by another actor", till, accept(till, term("attributedTo", f.oats.ID())), refusals},
		{"an event by nobody", till, accept(till, term("attributedTo", nil)), refusals},
		{"an event that is an address", till, f.answers(till, "Accept", offer, till.Origin+"/events/1"), refusals},
		{"no event", till, f.answers(till, "Accept", offer, nil), refusals},
		{"an Agreement in its place", till, f.answers(till, "Accept", offer, dict{"type": "Agreement", "id": till.Origin + "/a", "attributedTo": till.ID()}), refusals},
		{"two events", till, lists, refusals},
		{"two Offers", till, otherOffer, nop},
		{"ends as deep as a well", till, deep, refusals},
		{"names that come twice", till, twice, refusals},
		{"a proof by eve", till, till.ProvenBy(accept(till), f.eve.ID()+"#ed25519-key", f.eve.Ed), refusals},
		{"a proof by eve under the ledger's name", till, till.ProvenBy(accept(till), till.ID()+"#ed25519-key", f.eve.Ed), refusals},
		{"a proof of something else", till, with(accept(till), "proof", proofOf(t, till.Proven(accept(till, amountOf("1.00"))))), refusals},
		{"an id of another host", till, with(accept(till), "id", "https://far.example/users/ann/x"), refusals},
		{"an event in a Create by the payee", f.ann, f.does(f.ann, "Create", event(f.ann, "1", offer)), nop},
		{"an event in a Create by the ledger", till, f.does(till, "Create", event(till, "1", offer)), nop},
		{"an event in an Update by the ledger", till, f.does(till, "Update", event(till, "1", offer)), nop},
		{"an Announce of the event", till, f.does(till, "Announce", event(till, "1", offer)), nop},
		{"PAY287 a Delete of our Offer", f.ann, f.does(f.ann, "Delete", offer["id"]), refusals},
		{"PAY287 an Undo of our Offer", f.ann, f.does(f.ann, "Undo", offer), refusals},
		{"PAY287 an Undo of our Offer by the ledger", till, f.does(till, "Undo", offer), refusals},
	}
}

// proofOf is the proof of a document.
func proofOf(t *testing.T, doc []byte) any {
	t.Helper()
	var m dict
	if err := json.Unmarshal(doc, &m); err != nil {
		t.Fatal(err)
	}
	return m["proof"]
}

func TestNobodyButItsLedgerMakesAPaymentOfOursLookPaid(t *testing.T) {
	f := newHarbour(t)
	p, offer := f.pays(t, "9.00")
	f.refuse(t, f.attacks(t, offer)...)
	if q := f.stands(t, p); q.State != storage.PaymentSent {
		t.Fatalf("the payment is %s, want it under way still", q.State)
	}
	accept := f.answers(f.till, "Accept", offer, event(f.till, "1", offer))
	f.take(t, f.till, accept)
	if q := f.stands(t, p); q.State != storage.PaymentCommitted || len(f.settled(t)) != 1 {
		t.Fatalf("the payment is %s after its ledger has accepted it", q.State)
	}
	again := f.answers(f.till, "Accept", offer, event(f.till, "2", offer))
	held := with(f.answers(f.till, "TentativeAccept", offer, event(f.till, "1", offer)), "endTime", "2026-11-24T10:00:00Z")
	f.refuse(t, append(f.attacks(t, offer),
		abuse{"PAY278 the same once more", f.till, accept, nop},
		abuse{"PAY278 accepted again, as another event", f.till, again, nop},
		abuse{"PAY278 held after it was accepted", f.till, held, nop},
		abuse{"PAY278 rejected after it was accepted", f.till, f.answers(f.till, "Reject", offer, nil), nop},
		abuse{"PAY287 an Undo of the Accept", f.till, f.does(f.till, "Undo", accept), nop},
		abuse{"PAY287 an Undo of the Accept by its id", f.till, f.does(f.till, "Undo", accept["id"]), nop},
		abuse{"PAY287 a Delete of the Accept", f.till, f.does(f.till, "Delete", accept["id"]), nop},
		abuse{"PAY287 a Delete of the event", f.till, f.does(f.till, "Delete", f.till.Origin+"/events/1"), nop},
		abuse{"PAY287 an Update of the event", f.till, f.does(f.till, "Update", event(f.till, "1", offer, amountOf("1.00"))), nop},
	)...)
}

func TestPAY278WhatIsOverStaysOver(t *testing.T) {
	f := newHarbour(t)
	p, offer := f.pays(t, "9.00")
	f.take(t, f.till, with(f.answers(f.till, "Reject", offer, nil), "summary", "credit_limit"))
	if q := f.stands(t, p); q.State != storage.PaymentRejected || q.Reason != "credit_limit" {
		t.Fatalf("the payment is %s (%s), want it rejected", q.State, q.Reason)
	}
	f.refuse(t, abuse{"PAY278 accepted after it was rejected", f.till, f.answers(f.till, "Accept", offer, event(f.till, "1", offer)), nop})
	held := with(f.answers(f.till, "TentativeAccept", offer, event(f.till, "1", offer)), "endTime", "2026-11-24T10:00:00Z")
	f.refuse(t, abuse{"PAY278 held after it was rejected", f.till, held, nop})
	never := dict{"id": "https://rye.example/activities/424242", "actor": offer["actor"], "object": offer["object"]}
	f.refuse(t, abuse{"PAY278 an Offer that was never made", f.till, f.answers(f.till, "Accept", never, event(f.till, "2", never)), refusals})
}

// What somebody elsewhere has paid to somebody here is said by the ledger of the currency, too, and here nobody knows of the Offer before.
func TestNobodyButItsLedgerSaysThatSomebodyHereIsPaid(t *testing.T) {
	f := newHarbour(t)
	offer := f.ann.PaymentOffer("pay1", f.till.ID(), grain, string(f.baker.Actor.IRI), "9.00", nil)
	accept := func(by *aptest.Peer, change ...func(dict)) dict {
		return f.answers(by, "Accept", offer, event(by, "1", offer, change...))
	}
	other := func(id any) dict { return with(accept(f.till), "object", id) }
	f.refuse(t,
		abuse{"the Offer alone", f.ann, f.ann.Proven(offer), nop},
		abuse{"the Offer alone, sent by eve", f.eve, f.ann.Proven(offer), nop},
		abuse{"PAY276 by the payer", f.ann, accept(f.ann), refusals},
		abuse{"PAY277 by another of her host", f.bob, accept(f.bob), refusals},
		abuse{"PAY277 by another ledger", f.thief, accept(f.thief), refusals},
		abuse{"PAY277 by the ledger of oats", f.oats, accept(f.oats), refusals},
		abuse{"PAY277 by the ledger of oats, in its currency, for what was paid elsewhere", f.oats, with(accept(f.oats, term("resourceConformsTo", oats)), "object", "https://rye.example/activities/1"), refusals},
		abuse{"a currency that names the ledger of others", f.till, accept(f.till, term("resourceConformsTo", "https://evil.example/currencies/stolen")), refusals},
		abuse{"a currency that names the ledger of others, by eve's ledger", f.thief, accept(f.thief, term("resourceConformsTo", "https://evil.example/currencies/stolen")), append([]int{422}, refusals...)},
		abuse{"a currency that is not there", f.till, accept(f.till, term("resourceConformsTo", "https://mint.example/currencies/none")), append([]int{422}, refusals...)},
		abuse{"PAY278 an Offer of an id of ours", f.till, other("https://rye.example/activities/1"), refusals},
		abuse{"PAY278 an Offer of another host than its payer", f.till, other("https://evil.example/users/eve/activities/1"), refusals},
		abuse{"PAY278 no Offer", f.till, with(accept(f.till), "object", nil), nop},
		abuse{"in the name of somebody here", f.till, accept(f.till, term("provider", f.nuria.Actor.IRI)), refusals},
		abuse{"in the name of somebody here, under an id of ours", f.till, with(accept(f.till, term("provider", f.nuria.Actor.IRI)), "object", f.nuria.Actor.IRI+"/x"), refusals},
		abuse{"to nobody here", f.till, accept(f.till, term("receiver", "https://rye.example/users/nobody")), nop},
		abuse{"PAY276 an event of another host", f.till, accept(f.till, term("id", "https://evil.example/1")), refusals},
		abuse{"PAY276 an event of another actor", f.till, accept(f.till, term("attributedTo", f.oats.ID())), refusals},
		abuse{"PAY279 more digits than the currency has", f.till, accept(f.till, amountOf("9.001")), refusals},
		abuse{"PAY279 a number", f.till, accept(f.till, amountOf(9)), refusals},
		abuse{"PAY279 more than there is", f.till, accept(f.till, amountOf("92233720368547758.08")), refusals},
		abuse{"a proof by eve", f.till, f.till.ProvenBy(accept(f.till), f.eve.ID()+"#ed25519-key", f.eve.Ed), refusals},
		abuse{"two events", f.till, with(accept(f.till), "result", []any{event(f.till, "1", offer), event(f.till, "2", offer)}), refusals},
		abuse{"a payment that gives back what never was", f.till, accept(f.till, term("corrects", f.till.Origin+"/events/0")), []int{503}},
	)
	f.take(t, f.till, accept(f.till))
	if got := f.settled(t); len(got) != 1 {
		t.Fatalf("the ledger's own Accept made %v", got)
	}
	f.refuse(t,
		abuse{"PAY278 accepted again", f.till, f.answers(f.till, "Accept", offer, event(f.till, "2", offer)), nop},
		abuse{"PAY278 rejected after it was accepted", f.till, f.answers(f.till, "Reject", offer, nil), nop},
	)
}

// A currency of eve's is called GRN as well. What is paid in it is shown as hers, is never added to the other, and pays nothing that has a price in grain.
func TestACodeIsALabelOfSomebody(t *testing.T) {
	f := newHarbour(t)
	bread := f.bread(t, activitypub.OfferDraft{Price: "9.00", Currency: grain, AutoAccept: true})
	ask := f.asks(f.eve, bread, "1", "9.00")
	f.take(t, f.eve, ask)
	f.net.Deliver()
	agreement := f.received(t, f.eve, "Accept")["result"].(dict)
	before := f.rye.State()["orders"]
	offer := f.eve.PaymentOffer("pay1", f.thief.ID(), evilGrain, string(f.baker.Actor.IRI), "9.00", dict{"fulfills": agreement["id"].(string) + "#reciprocal"})
	f.take(t, f.thief, f.answers(f.thief, "Accept", offer, event(f.thief, "1", offer)))
	f.net.Deliver()
	if o := f.ordered(t, ask); o.PaymentID != 0 || !slices.Equal(f.rye.State()["orders"], before) {
		t.Errorf("an order of 9.00 in grain looks paid by eve's money: %+v", o)
	}
	p, err := f.rye.DB.PaymentByIRI(t.Context(), storage.IRI(offer["id"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.rye.MoneyOf(t.Context(), p)
	if err != nil || m.Name() != "GRN of evil.example" {
		t.Errorf("what eve has paid with is called %q, %v", m.Name(), err)
	}
	for _, update := range []dict{f.does(f.eve, "Update", with(agreement, "preview", dict{"type": "Note", "name": "Paid"})), f.does(f.eve, "Create", dict{"id": f.eve.ID() + "/receipts/1", "type": "Document", "context": agreement["id"],
		"attributedTo": f.eve.ID(), "attachment": []any{dict{"type": "Link", "href": grain, "rel": []any{"https://w3id.org/valueflows/ont/vf#EconomicEvent"}}}})} {
		if got, body := post(t, f.net, f.eve.Request(ryeInbox, update)); got >= 500 {
			t.Errorf("%d %s", got, body)
		}
		if o := f.ordered(t, ask); o.PaymentID != 0 {
			t.Errorf("an order looks paid as its buyer says so: %+v", o)
		}
	}
}

// What calls itself a currency and is none, or one of others, is not read.
func TestPAY283ADocumentThatIsNoCurrencyOfItsHost(t *testing.T) {
	f := newHarbour(t)
	const fresh = "https://mint.example/currencies/new"
	for name, change := range map[string]func(dict){
		"a ledger of another origin":       term("ledger", f.thief.ID()),
		"a ledger of ours":                 term("ledger", "https://rye.example/ledger"),
		"no ledger":                        term("ledger", nil),
		"a ledger that is not there":       term("ledger", "https://mint.example/users/nobody"),
		"a code with a Cyrillic letter":    term("symbol", "ЕUR"),
		"a code in small letters":          term("symbol", "grn"),
		"a code with a mark":               term("symbol", "GRN\u200b"),
		"a code in wide letters":           term("symbol", "ＧＲＮ"),
		"no code":                          term("symbol", ""),
		"a code as long as a book":         term("symbol", strings.Repeat("G", 5000)),
		"a scale that is a word":           term("scale", "2"),
		"a scale below nothing":            term("scale", -1),
		"a scale beyond counting":          term("scale", 10),
		"a scale between two":              term("scale", 1.5),
		"no scale":                         term("scale", nil),
		"no vkey":                          term("vkey", nil),
		"a vkey that is none":              term("vkey", "mint.example+00000000+AAAA"),
		"a kind that nobody knows":         term("kind", "gold"),
		"the id of another of its host":    term("id", oats),
		"the id of one of another host":    term("id", evilGrain),
		"the id of one of ours":            term("id", "https://rye.example/currencies/new"),
		"no ResourceSpecification":         term("type", "Note"),
		"a list of terms":                  term("symbol", []any{"GRN", "OAT"}),
		"a ledger that is a list of lists": term("ledger", []any{[]any{f.till.ID()}}),
	} {
		t.Run(name, func(t *testing.T) {
			doc := currencyOf(t, fresh, f.till.ID(), "GRN", 2, f.till.Ed)
			change(doc)
			f.mint["/currencies/new"] = doc
			before := f.rye.State()
			if m, err := f.rye.Money(t.Context(), fresh); err == nil {
				t.Errorf("it was read as %+v", m)
			}
			f.rye.WantUnmoved(before)
			f.rye.ForgetRefusals()
		})
	}
	f.mint["/currencies/new"] = currencyOf(t, fresh, f.till.ID(), "NEW", 2, f.till.Ed)
	if m, err := f.rye.Money(t.Context(), fresh); err != nil || m.Name() != "NEW of mint.example" {
		t.Errorf("got %+v, %v", m, err)
	}
}

// A currency stays what it was when it was first read; its name, and the key of its log, may be new.
func TestACurrencyThatBecomesAnother(t *testing.T) {
	f := newHarbour(t)
	old, err := f.rye.DB.ForeignCurrencyByIRI(t.Context(), grain)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*storage.ForeignCurrency){
		"another scale":  func(c *storage.ForeignCurrency) { c.Scale = 0 },
		"another code":   func(c *storage.ForeignCurrency) { c.Code = "EUR" },
		"another kind":   func(c *storage.ForeignCurrency) { c.Kind = "backed" },
		"another ledger": func(c *storage.ForeignCurrency) { c.Ledger = storage.IRI(f.oats.ID()) },
	} {
		now := *old
		change(&now)
		if err := f.rye.DB.SaveForeignCurrency(t.Context(), &now); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if now, err := f.rye.DB.ForeignCurrencyByIRI(t.Context(), grain); err != nil || *now != *old {
		t.Errorf("it is %+v now, was %+v, %v", now, old, err)
	}
}

// Whoever asks a ledger for its answer believes what stands there only when it is about the payment.
func TestAnAnswerThatIsFetchedIsJudgedAsOneThatCame(t *testing.T) {
	for name, answer := range map[string]func(f *harbour, offer dict) any{
		"of another Offer": func(f *harbour, offer dict) any {
			return with(f.answers(f.till, "Accept", offer, event(f.till, "1", offer)), "object", "https://rye.example/activities/7")
		},
		"by another actor": func(f *harbour, offer dict) any { return f.answers(f.oats, "Accept", offer, event(f.oats, "1", offer)) },
		"by eve": func(f *harbour, offer dict) any {
			return f.answers(f.thief, "Accept", offer, event(f.thief, "1", offer))
		},
		"of another amount": func(f *harbour, offer dict) any {
			return f.answers(f.till, "Accept", offer, event(f.till, "1", offer, amountOf("1.00")))
		},
		"of another payee": func(f *harbour, offer dict) any {
			return f.answers(f.till, "Accept", offer, event(f.till, "1", offer, term("receiver", f.bob.ID())))
		},
		"in another currency": func(f *harbour, offer dict) any {
			return f.answers(f.till, "Accept", offer, event(f.till, "1", offer, term("resourceConformsTo", oats)))
		},
		"another activity": func(f *harbour, offer dict) any { return f.does(f.till, "Create", event(f.till, "1", offer)) },
		"the event alone":  func(f *harbour, offer dict) any { return event(f.till, "1", offer) },
		"our own Offer":    func(_ *harbour, offer dict) any { return offer },
		"two events": func(f *harbour, offer dict) any {
			return f.answers(f.till, "Accept", offer, []any{event(f.till, "1", offer), event(f.till, "2", offer)})
		},
		"somewhere else": func(*harbour, dict) any { return "https://evil.example/users/ledger/x" },
	} {
		t.Run(name, func(t *testing.T) {
			f := newHarbour(t)
			p, offer := f.pays(t, "9.00")
			address := f.till.ID() + "/results/" + hashOf(p.IRI)
			doc := answer(f, offer)
			if d, ok := doc.(dict); ok && name != "our own Offer" {
				doc = with(d, "id", address)
			}
			f.mint[strings.TrimPrefix(address, "https://mint.example")] = doc
			f.evil["/users/ledger/x"] = with(f.answers(f.till, "Accept", offer, event(f.till, "1", offer)), "id", "https://evil.example/users/ledger/x")
			f.net.Sleep(time.Minute)
			if err := f.rye.CheckPayments(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(f.net.Trips(), "GET "+address) {
				t.Fatal("the ledger was not asked")
			}
			if q := f.stands(t, p); q.State != storage.PaymentSent || q.Event != "" || len(f.settled(t)) != 0 {
				t.Errorf("the payment is %+v", q)
			}
		})
	}
}

func hashOf(offer storage.IRI) string {
	sum := sha256.Sum256([]byte(offer))
	return hex.EncodeToString(sum[:16])
}

// What seller or buyer say of a payment is what they say: an order is paid when the ledger of its currency has said so.
func TestAnOrderIsNotPaidBecauseOneSideSaysSo(t *testing.T) {
	s := newStall(t)
	agreement := s.agreement(s.ann, "1")
	s.take(t, s.ann, s.accepts(s.ann, agreement))
	if o := s.stands(t); o.State != storage.OrderAccepted {
		t.Fatalf("the order is %s", o.State)
	}
	paid := func(o dict) dict { return with(o, "preview", dict{"type": "Note", "name": "Paid"}) }
	link := []any{dict{"type": "Link", "href": "https://far.example/ledger/events/1", "rel": []any{"https://w3id.org/valueflows/ont/vf#EconomicEvent"}}}
	for name, c := range map[string]struct {
		by  *aptest.Peer
		act dict
	}{
		"the seller, by an Update of the Agreement": {s.ann, s.does(s.ann, "Update", paid(s.agreement(s.ann, "1")))},
		"the seller, by a receipt": {s.ann, s.does(s.ann, "Create", dict{"id": s.ann.ID() + "/receipts/9", "type": "Document", "name": "Paid", "context": agreement["id"],
			"attributedTo": s.ann.ID(), "attachment": link})},
		"the seller, by an event":  {s.ann, s.does(s.ann, "Create", dict{"id": s.ann.ID() + "/events/9", "type": "EconomicEvent", "action": "transfer", "fulfills": agreement["id"].(string) + "#reciprocal", "attributedTo": s.ann.ID()})},
		"somebody else":            {s.bob, s.does(s.bob, "Update", paid(s.agreement(s.ann, "1")))},
		"somebody else, as theirs": {s.bob, s.does(s.bob, "Update", paid(with(s.agreement(s.ann, "1"), "attributedTo", s.bob.ID())))},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.rye.State()["payments"]
			post(t, s.net, c.by.Request(ryeInbox, c.act))
			s.net.Deliver()
			if o := s.stands(t); o.PaymentID != 0 || len(s.rye.State()["payments"]) != len(before) {
				t.Errorf("the order looks paid: %+v", o)
			}
			for _, row := range s.rye.State()["notifications"] {
				if strings.Contains(row, "kind:payment.") {
					t.Errorf("somebody was told of a payment: %s", row)
				}
			}
		})
	}
}
