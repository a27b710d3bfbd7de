package activitypub_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// Mitra is the one other server that speaks FEP-0837 to the end, for subscriptions that are paid in Monero. What it asks of a document is
// written down here from its source; the names are those of the wire, each is a string or an object and never a list.

type mitraQuantity struct {
	HasUnit           *string
	HasNumericalValue *string
}

// amount is a number of the smallest unit: whole, and without a sign.
func (q mitraQuantity) amount(t *testing.T, unit string) uint64 {
	t.Helper()
	if q.HasUnit == nil || q.HasNumericalValue == nil || *q.HasUnit != unit {
		t.Fatalf("a quantity is %s, want a number of %s", mustJSON(q), unit)
	}
	n, err := strconv.ParseUint(*q.HasNumericalValue, 10, 64)
	if err != nil {
		t.Fatalf("a quantity of %s is no whole number: %v", unit, err)
	}
	return n
}

type mitraIntent struct {
	Action, ResourceConformsTo string
	ResourceQuantity           mitraQuantity
}

type mitraProposal struct {
	ID, Purpose           string
	Publishes, Reciprocal mitraIntent
	UnitBased             *bool
}

type mitraCommitment struct {
	Satisfies        string
	ResourceQuantity mitraQuantity
}

type mitraAgreement struct {
	ID                               *string
	Stipulates, StipulatesReciprocal *mitraCommitment
	URL                              *struct{ Href string }
}

// read decodes as Mitra does: what it wants as a string must be one.
func read(t *testing.T, doc any, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(mustJSON(doc)), into); err != nil {
		t.Fatalf("Mitra cannot read %s: %v", mustJSON(doc), err)
	}
}

const monero = "caip:19:monero:3f1c9a0b7d2e4586a1b2c3d4e5f60718/slip44:128"

func TestMitraReadsAnOfferAndItsAgreement(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	ana := rye.Person("ana")
	f, err := rye.PublishOffer(t.Context(), ana, activitypub.OfferDraft{Title: "Letters from the mill", Category: storage.Services, Resource: wikidata + "Q579716", Unit: "second", Price: "20000", Currency: monero, AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	mit := aptest.NewPeer("https://mitra.example", "mit", 3, false)
	mit.Now = net.Now
	net.Serve("mitra.example", mit)

	var proposal mitraProposal
	read(t, open(t, net, string(f.IRI)), &proposal)
	price := proposal.Reciprocal.ResourceQuantity.amount(t, "one")
	switch {
	case proposal.ID != string(f.IRI) || proposal.Purpose != "offer" || proposal.UnitBased == nil || !*proposal.UnitBased:
		t.Errorf("the proposal is %+v", proposal)
	case proposal.Publishes.Action != "deliverService" || proposal.Publishes.ResourceConformsTo != "https://www.wikidata.org/wiki/Q579716" || proposal.Publishes.ResourceQuantity.amount(t, "second") != 1:
		t.Errorf("it publishes %s", mustJSON(proposal.Publishes))
	case proposal.Reciprocal.Action != "transfer" || proposal.Reciprocal.ResourceConformsTo != monero || price != 20000:
		t.Errorf("it wants %s", mustJSON(proposal.Reciprocal))
	}

	commit := func(name, unit string, n uint64) dict {
		return dict{"type": "Commitment", "satisfies": string(f.IRI) + "#" + name, "resourceQuantity": dict{"hasUnit": unit, "hasNumericalValue": strconv.FormatUint(n, 10)}}
	}
	offer := mit.Activity("Offer", "1", dict{"type": "Agreement", "stipulates": commit("primary", "second", 50000), "stipulatesReciprocal": commit("reciprocal", "one", 50000*price)})
	offer["to"] = string(ana.Actor.IRI)
	if got, body := post(t, net, mit.Request(ryeInbox, offer)); got != 202 {
		t.Fatalf("its Offer was answered %d %s", got, body)
	}
	net.Deliver()
	accept := last(t, mit, "Accept")
	if accept["object"] != offer["id"] || accept["actor"] != string(ana.Actor.IRI) {
		t.Errorf("the Accept is of %v by %v, want %v: its object is an id and no more", accept["object"], accept["actor"], offer["id"])
	}
	var agreement mitraAgreement
	read(t, accept["result"], &agreement)
	if agreement.ID == nil || agreement.Stipulates == nil || agreement.StipulatesReciprocal == nil || agreement.URL == nil {
		t.Fatalf("the agreement is %s", mustJSON(accept["result"]))
	}
	result := child(accept, "result")
	for name, c := range map[string]dict{"primary": child(result, "stipulates"), "reciprocal": child(result, "stipulatesReciprocal")} {
		if c["id"] != *agreement.ID+"#"+name || c["satisfies"] != string(f.IRI)+"#"+name {
			t.Errorf("the %s commitment is %s", name, mustJSON(c))
		}
	}
	if agreement.Stipulates.ResourceQuantity.amount(t, "second") != 50000 || agreement.StipulatesReciprocal.ResourceQuantity.amount(t, "one") != 50000*price {
		t.Errorf("agreed upon is %s", mustJSON(result))
	}
	if result["attributedTo"] != string(ana.Actor.IRI) || child(result, "preview")["type"] != "Note" || child(result, "preview")["name"] != "Open" || !strings.Contains(mustJSON(child(result, "url")["rel"]), `"payment"`) {
		t.Errorf("the agreement is %s", mustJSON(result))
	}
	// So far, and no further: Mitra pays what is a CAIP-10 account of Monero, and our link is a page for people (FEDERATION.md).
	if !strings.HasPrefix(agreement.URL.Href, "https://rye.example/pay/") {
		t.Errorf("the link leads to %s", agreement.URL.Href)
	}
}

func TestMitraIsAskedForASubscription(t *testing.T) {
	doc := readVector(t, "testdata/vectors/good_object_proposal_mitra.json")
	p := newPlay(t, "", doc, map[string]dict{})
	f := p.offered()
	placed, err := p.rye.PlaceOrder(t.Context(), p.baker, activitypub.OrderDraft{Offer: f, Quantity: "86400"})
	if err != nil {
		t.Fatal(err)
	}
	p.net.Deliver()
	offers := p.world.answered("Offer")
	if len(offers) != 1 {
		t.Fatalf("Mitra got %d Offers, want one", len(offers))
	}
	offer := offers[0]
	var agreement mitraAgreement
	read(t, offer["object"], &agreement)
	if agreement.Stipulates == nil || agreement.StipulatesReciprocal == nil {
		t.Fatalf("the Offer is of %s", mustJSON(offer["object"]))
	}
	duration, amount := agreement.Stipulates.ResourceQuantity.amount(t, "second"), agreement.StipulatesReciprocal.ResourceQuantity.amount(t, "one")
	if agreement.Stipulates.Satisfies != str(doc, "id")+"#primary" || duration != 86400 || amount/25000 != duration || amount%25000 != 0 {
		t.Errorf("%d seconds of %s for %d piconero", duration, agreement.Stipulates.Satisfies, amount)
	}
	if offer["actor"] != string(p.baker.Actor.IRI) || child(offer, "object")["id"] != nil {
		t.Errorf("the Offer is %s", mustJSON(offer))
	}

	seller, id := str(doc, "attributedTo"), "https://mitra.example/objects/agreements/5"
	final := each(offer["object"], func(s string) string { return s }).(dict)
	final["id"], final["attributedTo"] = id, seller
	child(final, "stipulates")["id"], child(final, "stipulatesReciprocal")["id"] = id+"#primary", id+"#reciprocal"
	final["url"] = dict{"type": "Link", "href": "caip:10:monero:3f1c9a0b7d2e4586a1b2c3d4e5f60718:8xyz", "rel": []any{"payment"}}
	final["preview"] = dict{"type": "Note", "name": "Open"}
	accept := p.does(seller, "Accept", offer["id"])
	accept["result"] = final
	p.take(seller, accept)
	wantOrder(t, p.rye, placed, storage.OrderAccepted, id)
	final["preview"] = dict{"type": "Note", "name": "Paid"}
	p.take(seller, p.does(seller, "Update", final))
	wantOrder(t, p.rye, placed, storage.OrderAccepted, id) // paid is not delivered
	final["preview"] = dict{"type": "Note", "name": "Completed"}
	p.take(seller, p.does(seller, "Update", final))
	wantOrder(t, p.rye, placed, storage.OrderFulfilled, id)
}

func wantOrder(t *testing.T, n *aptest.Node, o *storage.Order, state, agreement string) {
	t.Helper()
	now, err := n.DB.OrderByAsk(t.Context(), o.AskIRI)
	if err != nil || now.State != state || string(now.IRI) != agreement {
		t.Errorf("the order is %s as %s, %v; want %s as %s", now.State, now.IRI, err, state, agreement)
	}
}

// last is the newest activity of a type that came to a peer.
func last(t *testing.T, p *aptest.Peer, kind string) (found dict) {
	t.Helper()
	for _, raw := range p.Received() {
		var act dict
		if err := json.Unmarshal(raw, &act); err != nil {
			t.Fatal(err)
		}
		if act["type"] == kind {
			found = act
		}
	}
	if found == nil {
		t.Fatalf("no %s has come", kind)
	}
	return found
}
