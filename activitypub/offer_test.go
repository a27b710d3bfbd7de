package activitypub_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// market is a network of two nodes: rye with a bakery that dag of oak follows.
type market struct {
	*aptest.Network
	t           *testing.T
	rye, oak    *aptest.Node
	ana, bakery activitypub.By
	dag         activitypub.By
}

func newMarket(t *testing.T) *market {
	net := aptest.New(t, "rye.example", "oak.example")
	m := &market{Network: net, t: t, rye: net.Node("rye.example"), oak: net.Node("oak.example")}
	m.ana = m.rye.Person("ana")
	m.bakery = m.rye.Coop(m.ana, "bakery")
	m.dag = m.oak.Person("dag")
	if _, err := m.oak.Follow(context.Background(), m.dag, "@bakery@rye.example"); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	return m
}

// offer makes the bakery offer something.
func (m *market) offer(d activitypub.OfferDraft) *storage.Offer {
	m.t.Helper()
	if d.Title == "" {
		d.Title = "Sourdough loaf"
	}
	o, err := m.rye.PublishOffer(context.Background(), m.bakery, d)
	if err != nil {
		m.t.Fatalf("offer %q: %v", d.Title, err)
	}
	m.Deliver()
	return o
}

// seen is an offer as the other node has it.
func (m *market) seen(o *storage.Offer) *storage.Offer {
	m.t.Helper()
	there, err := m.oak.DB.OfferByIRI(context.Background(), o.IRI)
	if err != nil {
		m.t.Fatalf("the offer %s at the other node: %v", o.IRI, err)
	}
	return there
}

func TestAnOfferIsAPostEverywhereAndAListingWhereItCanBe(t *testing.T) {
	m := newMarket(t)
	o := m.offer(activitypub.OfferDraft{Title: "Sourdough loaf", Text: "Baked on Fridays.", Price: "4.50", Currency: "EUR", Quantity: "20", Place: "Girona", Tags: []string{"bread"}, Language: "en"})
	there := m.seen(o)
	if there.Title != "Sourdough loaf" || there.Money(there.Price) != "4.50" || there.CurrencyName != "EUR" || *there.Available != 20 || there.Place != "Girona" || !there.Orderable || !there.Listed {
		t.Errorf("the other node reads %+v", there)
	}
	posts := m.oak.Home(m.dag)
	if len(posts) != 1 || there.PostID != posts[0].ID {
		t.Fatalf("dag sees %d posts, want the offer's", len(posts))
	}
	var note struct {
		Type       json.RawMessage
		Name       *string
		Attachment []map[string]any
	}
	kept, err := m.oak.DB.PostByID(t.Context(), posts[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(kept.Raw, &note); err != nil {
		t.Fatal(err)
	}
	if string(note.Type) != `"Note"` || note.Name != nil || len(note.Attachment) != 1 || note.Attachment[0]["href"] != string(o.IRI) {
		t.Errorf("the Note is %s", kept.Raw)
	}
	found, err := m.oak.SearchMarket(context.Background(), activitypub.MarketQuery{Text: "sourdo GIRONÀ"})
	if err != nil || len(found) != 1 {
		t.Errorf("a search finds %d offers, %v", len(found), err)
	}
}

func TestWhatIsEditedSellsNothingTwiceAndForgetsNothing(t *testing.T) {
	m, ctx := newMarket(t), context.Background()
	o := m.offer(activitypub.OfferDraft{Title: "Sourdough loaf", Price: "4.50", Currency: "EUR", Quantity: "5", AutoAccept: true})
	m.order(o, "2")
	m.Deliver()
	again := activitypub.OfferDraft{Title: "Rye loaf", Price: "4.50", Currency: string(o.Currency), KeepStock: true}
	edited, err := m.rye.EditOffer(ctx, m.bakery, o.ID, again)
	if err != nil {
		t.Fatal(err)
	}
	if *edited.Available != 3 || *edited.Stock != 5 || edited.CurrencyName != "EUR" || edited.Money(edited.Price) != "4.50" {
		t.Errorf("after an edit %d of %d are left, for %s %s; want 3 of 5 for 4.50 EUR", *edited.Available, *edited.Stock, edited.Money(edited.Price), edited.CurrencyName)
	}
	again.Text = "Baked on *Mondays*."
	if edited, err = m.rye.EditOffer(ctx, m.bakery, o.ID, again); err != nil {
		t.Fatal(err)
	}
	m.Deliver()
	kept, err := m.rye.DB.OfferByID(ctx, o.ID)
	if err != nil || kept.Content != edited.Content || kept.Content == "" || m.seen(o).Content == "" {
		t.Errorf("after an edit its text is %q here and %q there, %v; want %q", kept.Content, m.seen(o).Content, err, edited.Content)
	}
	if found, err := m.rye.SearchMarket(ctx, activitypub.MarketQuery{Text: "mondays"}); err != nil || len(found) != 1 {
		t.Errorf("a search for the new words finds %d offers, %v", len(found), err)
	}
	again.Minimum = "4"
	if edited, err = m.rye.EditOffer(ctx, m.bakery, o.ID, again); err != nil || edited.State != storage.OfferSold {
		t.Errorf("three left of what is sold by four: %s, %v; want sold", edited.State, err)
	}
	again.Minimum, again.Per = "", "2"
	if _, err := m.rye.EditOffer(ctx, m.bakery, o.ID, again); err == nil {
		t.Error("the lots were made larger, and nobody was asked how many there are")
	}
}

func TestAnOfferThatIsOverComesBackWithAnotherDay(t *testing.T) {
	m, ctx := newMarket(t), context.Background()
	ends := m.rye.Now().Add(time.Hour)
	o := m.offer(activitypub.OfferDraft{EndsAt: &ends})
	m.Sleep(2 * time.Hour)
	if err := m.rye.CheckOrders(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := m.rye.SetOffer(ctx, m.bakery, o.ID, storage.OfferOpen); err == nil {
		t.Error("it is open again, and over")
	}
	ends = m.rye.Now().Add(time.Hour)
	if _, err := m.rye.EditOffer(ctx, m.bakery, o.ID, activitypub.OfferDraft{Title: o.Title, EndsAt: &ends}); err != nil {
		t.Fatalf("the edit that its refusal asked for: %v", err)
	}
	if o, err := m.rye.SetOffer(ctx, m.bakery, o.ID, storage.OfferOpen); err != nil || !o.Open(m.rye.Now()) {
		t.Errorf("it does not come back: %+v, %v", o, err)
	}
}
