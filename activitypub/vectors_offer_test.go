package activitypub_test

import (
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// listing is an offer as it was read, in plain values. Lots is what is left of it, -1 for as much as anybody wants.
type listing struct {
	Purpose, Title, Category, Resource                string
	Unit, Per                                         string
	UnitBased                                         bool
	Lots, Minimum                                     int64
	Pricing, Price, Money, Currency, CurrencyName     string
	Place, Ends, State, Words, URL, Author, Published string
	Latitude, Longitude                               float64
	Tags                                              []string
	Images                                            int
	Orderable, Listed, HasPost                        bool
}

func listingOf(o *storage.Offer) listing {
	l := listing{
		Purpose: o.Purpose, Title: o.Title, Category: o.Category, Resource: string(o.Resource), Unit: o.Unit, Per: string(o.Per), UnitBased: o.UnitBased, Lots: -1, Minimum: o.Minimum,
		Pricing: o.Pricing, Price: string(o.Price), Currency: string(o.Currency), CurrencyName: o.CurrencyName, Place: o.Place, State: o.State, Words: words(o.Content), URL: o.URL,
		Published: o.PublishedAt.Format(time.DateOnly), Tags: o.Tags, Images: len(o.Images), Orderable: o.Orderable, Listed: o.Listed, HasPost: o.PostID != 0,
	}
	if o.Available != nil {
		l.Lots = *o.Available
	}
	if o.Pricing == storage.PricePriced {
		l.Money = o.Money(o.Price)
	}
	if o.EndsAt != nil {
		l.Ends = o.EndsAt.Format(time.DateOnly)
	}
	if o.Latitude != nil && o.Longitude != nil {
		l.Latitude, l.Longitude = *o.Latitude, *o.Longitude
	}
	return l
}

const wikidata = "https://www.wikidata.org/wiki/"

// listings is what must have been read of the vectors that offer or ask for something. Ordinary is for those that need not say it.
var listings = map[string]listing{
	"good_object_proposal_mitra.json": {
		Title: "Pay for subscription", Category: storage.Services, Resource: wikidata + "Q579716", Unit: "second", UnitBased: true, Minimum: 40000, Pricing: storage.PricePriced, Price: "25000", Money: "25000",
		Currency: "caip:19:monero:3f1c9a0b7d2e4586a1b2c3d4e5f60718/slip44:128", CurrencyName: "piconero", Orderable: true, Listed: true,
	},
	"good_object_proposal_mitra_om2.json": {
		Title: "Pay for subscription", Category: storage.Services, Resource: wikidata + "Q579716", Unit: "second", UnitBased: true, Pricing: storage.PricePriced, Price: "25000", Money: "25000",
		Currency: "caip:19:monero:3f1c9a0b7d2e4586a1b2c3d4e5f60718/slip44:128", CurrencyName: "piconero", Orderable: true, Listed: true,
	},
	"good_object_proposal_full.json": { // 30 kg are three times 12.5: a lot is the least step
		Purpose: storage.PurposeRequest, Title: "Firewood wanted", Words: "Oakorbeech,dry.", Resource: wikidata + "Q243543", Unit: "kilogram", Per: "12.5", UnitBased: true, Lots: 40, Minimum: 3,
		Pricing: storage.PricePriced, Price: "3.5", Money: "3.50", Currency: wikidata + "Q4916", CurrencyName: "EUR", Place: "Olot", Latitude: 42.18, Longitude: 2.49,
		Published: "2026-03-01", Ends: "2036-05-01", Tags: []string{"firewood"}, Orderable: true, Listed: true,
	},
	"good_object_proposal_minimal.json": {Orderable: true, Listed: true},
	"good_object_proposal_any_amount.json": {
		Purpose: storage.PurposeRequest, Title: "Donations for the mill", Resource: wikidata + "Q4916", UnitBased: true, Orderable: true, Listed: true,
	},
	"good_object_proposal.json": {
		Title: "Used bike", Words: "Blue,somerust", Pricing: storage.PricePriced, Price: "30", Money: "30", Latitude: 41.98, Longitude: 2.82, Published: "2026-03-18", Orderable: true, Listed: true,
	},
	"good_create_note_that_is_a_proposal.json": {
		Title: "Wool socks", Words: "Woolsocks,knittedhere.", Per: "2", Lots: 4, Pricing: storage.PricePriced, Price: "6", Money: "6", Currency: "https://stall.example/currencies/thread", CurrencyName: "THREAD",
		Published: "2026-03-01", Orderable: true, Listed: true, HasPost: true,
	},
	"good_create_proposal_bonfire.json": { // what is wanted in return is no money
		Title: "Seedlings for stakes", Words: "Tomatoseedlings,againsthazelstakes.", Per: "6", UnitBased: true, Lots: 10, Pricing: storage.PricePriced, Price: "2.5", Money: "2.5", CurrencyName: "kilogram",
		Place: "Community garden", Latitude: 41.7, Longitude: 2.9, Published: "2026-03-05", Ends: "2036-06-02", Listed: true,
	},
	"good_create_intent_bonfire.json": {
		Purpose: storage.PurposeRequest, Title: "Help with the hedge", Words: "Twohandsforanafternoon.", Category: storage.Services, Unit: "hour", Per: "0.3", Published: "2026-03-05", Ends: "2036-07-25", Listed: true,
	},
	"good_create_intent_bonfire_of_what_is_there.json": {
		Title: "Spare honey", Words: "Notmuch.", Unit: "kilogram", Per: "0.7", Lots: 1, State: storage.OfferClosed, Listed: true,
	},
	"good_create_note_flohmarkt.json": {
		Title: "A radio", Words: "thatworks", Pricing: storage.PricePriced, Price: "25", Money: "25", Currency: wikidata + "Q4916", CurrencyName: "EUR", Latitude: 41.98, Longitude: 2.82,
		Published: "2026-03-18", URL: "https://flohmarkt.example/~flo/1111", Listed: true, HasPost: true,
	},
	"good_object_proposal_nextjs_shop.json": {
		Title: "Old camera", Words: "Itworks,andwascleaned.", Resource: "https://schema.org/Product", Unit: "EA", UnitBased: true, Lots: 3, Pricing: storage.PricePriced, Price: "120.5", Money: "120.5", Currency: wikidata + "Q4916", CurrencyName: "EUR",
		Place: "Reus", URL: "https://shop.example/listings/camera", Published: "2026-03-12", Images: 1, Listed: true,
	},
	"good_object_proposal_unfathomably.json": {
		Title: "Desk lamp", Words: "Itbends.", Pricing: storage.PricePriced, Price: "15", Money: "15.00", CurrencyName: "CAD", Ends: "2036-04-01", Listed: true,
	},
	"good_object_proposal_whole_addresses.json": { // its unit would have to be written as it does
		Purpose: storage.PurposeRequest, Title: "Bread flour", Resource: wikidata + "Q36465", Unit: "kilogram", Per: "25", UnitBased: true, Minimum: 2, Pricing: storage.PricePriced, Price: "31.25", Money: "31.25",
		Currency: "https://graph.example/currencies/grn", CurrencyName: "GRN", Listed: true,
	},
	"good_object_proposal_prefixes_of_the_old_namespace.json": {
		Title: "Bicycle repair", Category: storage.Services, Unit: "hour", Per: "0.5", UnitBased: true, Listed: true,
	},
	"good_object_proposal_for_one_reader.json": { // nobody else is to find it
		Purpose: storage.PurposeRequest, Title: "What you owe me", Resource: "https://graph.example/currencies/grn", Per: "12", Orderable: true,
	},
}

// realListings are likewise of the fixtures, where they are.
var realListings = map[string]listing{
	"mitra/proposal_subscription.json": {
		Title: "Pay for subscription", Category: storage.Services, Resource: wikidata + "Q579716", Unit: "second", UnitBased: true, Minimum: 50000, Pricing: storage.PricePriced, Price: "20000", Money: "20000",
		Currency: "caip:19:monero:418015bb9ae982a1975da7d79277c270/slip44:128", CurrencyName: "piconero", Orderable: true, Listed: true,
	},
	"mitra/proposal_subscription_om2.json": {
		Title: "Pay for subscription", Category: storage.Services, Resource: wikidata + "Q579716", Unit: "second", UnitBased: true, Minimum: 50, Pricing: storage.PricePriced, Price: "20000", Money: "20000",
		Currency: "caip:19:monero:418015bb9ae982a1975da7d79277c270/slip44:128", CurrencyName: "piconero", Orderable: true, Listed: true,
	},
	"fep/0837_proposal_full.json": {
		Title: "Offering used bike", Words: "Blueone-speedbike,15yearsold,somerust", Resource: wikidata + "Q11442", Lots: 1, Pricing: storage.PricePriced, Price: "30", Money: "30", Currency: wikidata + "Q4917", CurrencyName: "USD",
		Latitude: 25, Longitude: -71, Published: "2023-06-18", Orderable: true, Listed: true,
	},
	"fep/0837_proposal_minimal.json": {Orderable: true, Listed: true},
	"flohmarkt/create_listing.json": {
		Title: "Alien federation radio", Words: "Aworkingreceiverfromanotherworld.", Pricing: storage.PricePriced, Price: "25", Money: "25", Currency: wikidata + "Q1104069", CurrencyName: "CAD", Latitude: 45.4215, Longitude: -75.6972,
		Published: "2026-07-18", URL: "https://flohmarkt.example/~seller/11111111-1111-4111-8111-111111111111", Listed: true, HasPost: true,
	},
}

// TestOffersOfOthers: what other servers offer and ask for is read as they mean it, whichever way it comes: as an activity, or found at its address.
func TestOffersOfOthers(t *testing.T) {
	sets := map[string]map[string]listing{"testdata/vectors": listings}
	if dir := fixtures(t); dir != "" {
		sets[dir] = realListings
	}
	for dir, set := range sets {
		for name, want := range set {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				doc := readVector(t, filepath.Join(dir, filepath.FromSlash(name)))
				got := newPlay(t, name, doc, map[string]dict{}).offered()
				if diff := cmp.Diff(want.ordinary(doc, got), listingOf(got)); diff != "" {
					t.Errorf("read of it (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// ordinary fills in what most offers say, or what follows from their not saying it.
func (l listing) ordinary(doc dict, o *storage.Offer) listing {
	fill := func(s *string, ordinary string) {
		if *s == "" {
			*s = ordinary
		}
	}
	fill(&l.Purpose, storage.PurposeOffer)
	fill(&l.Category, storage.Goods)
	fill(&l.Unit, "one")
	fill(&l.Per, "1")
	fill(&l.Pricing, storage.PriceGift)
	fill(&l.State, storage.OfferOpen)
	fill(&l.URL, string(o.IRI))
	fill(&l.Published, o.PublishedAt.Format(time.DateOnly))
	if l.Minimum = max(l.Minimum, 1); l.Lots == 0 {
		l.Lots = -1
	}
	return l
}

// offered brings a vector to the node, whose co-op follows its author, and finds what is offered in it.
func (p *play) offered() *storage.Offer {
	p.t.Helper()
	object := p.doc
	if p.actor() != "" && p.doc["attributedTo"] == nil {
		object = child(p.doc, "object")
	}
	author := iri(object["attributedTo"])
	p.followed(author)
	if p.doc["type"] == "Create" {
		p.take(author, p.doc)
	} else {
		p.world.put(p.doc)
		if _, err := p.rye.ResolveOffer(p.t.Context(), p.baker, str(p.doc, "id")); err != nil {
			p.t.Fatalf("it was not found: %v", err)
		}
	}
	o, err := p.rye.DB.OfferByIRI(p.t.Context(), storage.IRI(str(object, "id")))
	if err != nil {
		p.t.Fatalf("it was not read: %v", err)
	}
	if o.ActorID != p.row(author).ID {
		p.t.Errorf("it is offered by actor %s, want %s", o.ActorID, author)
	}
	p.sameRaw(o.Raw, object)
	return o
}

// TestAnOfferWithinANoteIsReadWhereItIs: some servers put the Proposal into the Note; what is said there counts for nothing until its address says the same.
func TestAnOfferWithinANoteIsReadWhereItIs(t *testing.T) {
	doc := readVector(t, "testdata/vectors/good_create_note_unfathomably_with_its_proposal.json")
	p := newPlay(t, "", doc, map[string]dict{})
	inner := child(child(doc, "object"), "attachment")
	served := maps.Clone(inner)
	served["name"] = "A lamp, as its server says"
	p.followed(p.actor())
	p.world.put(served)
	p.take(p.actor(), doc)
	o, err := p.rye.DB.OfferByIRI(t.Context(), storage.IRI(str(inner, "id")))
	if err != nil || o.Title != "A lamp, as its server says" {
		t.Fatalf("the offer is %+v, %v", o, err)
	}
	if post := p.kept(str(child(doc, "object"), "id")); words(post.Content) != "Desklamp,15CAD" {
		t.Errorf("the post says %q", post.Content)
	}
}

// inWholeAddresses writes an Agreement as Fedify does inside of an activity: the terms of ValueFlows are addresses, and values have types.
func inWholeAddresses(doc dict) dict {
	const vf, om2 = "https://w3id.org/valueflows/ont/vf#", "http://www.ontology-of-units-of-measure.org/resource/om-2/"
	out := dict{}
	for key, value := range doc {
		switch key {
		case "type":
			out[key] = vf + value.(string)
		case "stipulates", "stipulatesReciprocal", "resourceQuantity":
			out[vf+key] = inWholeAddresses(value.(dict))
		case "satisfies":
			out[vf+key] = dict{"id": value}
		case "hasUnit":
			out[om2+key], out["type"] = value, om2+"Measure"
		case "hasNumericalValue":
			out[om2+key] = dict{"@value": value, "type": "xsd:decimal"}
		default:
			out[key] = value
		}
	}
	return out
}

// agreementOf is an Agreement as others write it.
func agreementOf(proposal, quantity, unit, amount string) dict {
	commit := func(name, unit, value string) dict {
		return dict{"type": "Commitment", "satisfies": proposal + "#" + name, "resourceQuantity": dict{"hasUnit": unit, "hasNumericalValue": value}}
	}
	return dict{"type": "Agreement", "stipulates": commit("primary", unit, quantity), "stipulatesReciprocal": commit("reciprocal", "one", amount)}
}

func TestAnOrderInWholeAddressesIsTaken(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	ana := rye.Person("ana")
	f, err := rye.PublishOffer(t.Context(), ana, activitypub.OfferDraft{Title: "Bread", Unit: "kg", Price: "4.50", Currency: "EUR", AutoAccept: true})
	if err != nil {
		t.Fatal(err)
	}
	fay := aptest.NewPeer("https://fedify.example", "fay", 3, false)
	fay.Now = net.Now
	net.Serve("fedify.example", fay)
	offer := fay.Activity("Offer", "1", inWholeAddresses(agreementOf(string(f.IRI), "3", "kilogram", "13.50")))
	if got, body := post(t, net, fay.Request(ryeInbox, offer)); got != 202 {
		t.Fatalf("the Offer was answered %d %s", got, body)
	}
	net.Deliver()
	if accept := last(t, fay, "Accept"); accept["object"] != offer["id"] {
		t.Errorf("accepted is %v", accept["object"])
	}
	if o, err := rye.DB.OrderByAsk(t.Context(), storage.IRI(str(offer, "id"))); err != nil || o.Quantity != "3" || o.Amount != "13.5" || o.State != storage.OrderAccepted {
		t.Errorf("the order is %+v, %v", o, err)
	}
}

func TestAnAgreementInWholeAddressesIsUnderstood(t *testing.T) {
	p := newPlay(t, "", readVector(t, "testdata/vectors/good_object_proposal_full.json"), map[string]dict{})
	f := p.offered()
	placed, err := p.rye.PlaceOrder(t.Context(), p.baker, activitypub.OrderDraft{Offer: f, Quantity: "37.5"})
	if err != nil {
		t.Fatal(err)
	}
	p.net.Deliver()
	author, id := str(p.doc, "attributedTo"), "https://stall.example/agreements/3"
	final := agreementOf(str(p.doc, "id"), "37.5", "kilogram", "10.50")
	final["id"], final["attributedTo"] = id, author
	child(final, "stipulates")["id"], child(final, "stipulatesReciprocal")["id"] = id+"#primary", id+"#reciprocal"
	accept := p.does(author, "Accept", string(placed.AskIRI))
	accept["result"] = inWholeAddresses(final)
	p.take(author, accept)
	wantOrder(t, p.rye, placed, storage.OrderAccepted, id)
}
