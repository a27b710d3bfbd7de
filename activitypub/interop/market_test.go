package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"planet/activitypub"
	"planet/storage"
)

// peerAnswer is what was said to Fedify of an order, as Fedify read it.
type peerAnswer struct {
	Type, ID, Actor, Object, Summary, Content, Ends string
	Agreement                                       *peerAgreement
	Receipt                                         *struct{ ID, Name, Context string }
}

type peerMeasure struct{ Unit, Value string }

type peerIntent struct {
	ID, Action, Resource         string
	Quantity, Available, Minimum *peerMeasure
}

type peerProposal struct {
	Type, ID, Name, Content, Purpose string
	AttributedTo                     string `json:"attributed_to"`
	UnitBased                        bool   `json:"unit_based"`
	Publishes, Reciprocal            *peerIntent
	Ends, Place, URL, Preview        string
	Latitude, Longitude              float64
	To                               []string
}

type peerCommitment struct {
	ID, Satisfies string
	Quantity      *peerMeasure
}

type peerAgreement struct {
	Type, ID             string
	AttributedTo         string `json:"attributed_to"`
	Stipulates           *peerCommitment
	StipulatesReciprocal *peerCommitment `json:"stipulates_reciprocal"`
	Link, State, Ends    string
	Rels, Context        []string
}

// market is a bakery of this node's, whose ana of a Fedify server follows it and orders there.
type market struct {
	*story
	node  *activitypub.Node // on the database of the node that runs, as its commands are
	by    activitypub.By
	offer *storage.Offer
	note  *storage.Post
	heard int // answers of Fedify's that were looked at
}

// TestFedifyMarket: an offer of ours is a Note and a Proposal to Fedify; it orders with the classes that it has for FEP-0837 and understands each answer.
func TestFedifyMarket(t *testing.T) {
	needPeer(t)
	a := newAuthority(t, "planet.localhost", "mill.localhost")
	p := startPlanet(t, a, "planet.localhost")
	mill := startPeer(t, a, "mill.localhost", "rfc9421", "PEER_SECURE=on")
	_, err := p.try(t, "a long enough password\n", "user", "create", "nuria", "--password-stdin")
	must(t, err)
	p.run(t, "coop", "create", "baker", "--title", "The bakery", "--founder", "nuria")
	m := &market{story: &story{
		planet: p, peer: mill, scheme: "rfc9421", baker: p.origin + "/users/baker", bakerHandle: "@baker@" + p.host(),
		anaIRI: mill.origin + "/people/ana", anaAcct: "@ana@" + mill.host(),
	}}
	client, err := activitypub.NewClient(activitypub.ClientConfig{Origin: p.origin, Version: "test", Now: p.db.Now})
	must(t, err)
	m.node, err = activitypub.New(t.Context(), activitypub.Config{Origin: p.origin, DB: p.db, Client: client, MediaDir: filepath.Join(p.data, "media")})
	must(t, err)
	baker, err := p.db.LocalActor(t.Context(), "baker")
	must(t, err)
	m.by = activitypub.By{Actor: baker}

	for _, step := range []struct {
		name string
		do   func(t *testing.T)
	}{
		{"fedify follows the bakery", m.peerFollows},
		{"the offer is a Note with a picture and a link", m.arrives},
		{"the Proposal is read by Fedify's classes", m.proposal},
		{"an order is taken, accepted, delivered and confirmed", m.ordered},
		{"an order that cannot be is refused, and Fedify goes on", m.refused},
		{"an order is taken back", m.undone},
		{"what is left reaches Fedify as an edit", m.retold},
		{"fedify had nothing to complain of", m.noErrors},
	} {
		if !t.Failed() { // each step stands on those before it
			t.Run(step.name, step.do)
		}
	}
}

func (m *market) arrives(t *testing.T) {
	file, err := os.Open(picture(t, "loaf.png", 80, 60))
	must(t, err)
	defer file.Close()
	image, err := m.node.Upload(t.Context(), m.by, file, activitypub.Description{Alt: "Two loaves"})
	must(t, err)
	ends := time.Now().Add(30 * 24 * time.Hour).UTC().Truncate(time.Second)
	lat, lon := 41.98, 2.82
	m.offer, err = m.node.PublishOffer(t.Context(), m.by, activitypub.OfferDraft{
		Title: "Sourdough loaf", Text: "Baked on Fridays & Mondays.", Language: "en", Price: "4.50", Currency: "EUR", Quantity: "20", Minimum: "1", Resource: "https://www.wikidata.org/wiki/Q7802",
		Place: "Girona", Latitude: &lat, Longitude: &lon, Fuzz: "exact", EndsAt: &ends, Media: []storage.ID{image.ID}, Tags: []string{"bread"},
	})
	must(t, err)
	m.note, err = m.planet.db.PostByID(t.Context(), m.offer.PostID)
	must(t, err)
	at := m.note.Attachments
	if len(at) != 2 {
		t.Fatalf("the offer has the attachments %+v, want a picture and a link", at)
	}
	m.wantNote(t, peerNote{
		Type: "Note", ID: string(m.note.IRI), AttributedTo: m.baker, Content: m.note.Content, Language: "en", URL: m.note.URL, Published: m.note.PublishedAt,
		To: []string{public}, Cc: []string{m.baker + "/followers"},
		Tags: []peerTag{{"Hashtag", "#coopmarket", m.planet.origin + "/tags/coopmarket"}, {"Hashtag", "#bread", m.planet.origin + "/tags/bread"}},
		Attachments: []peerMedium{
			{Type: "Document", URL: at[0].URL, Name: "Two loaves", MediaType: "image/png", Width: 80, Height: 60, Blurhash: at[0].Blurhash},
			{Type: "Link", URL: string(m.offer.IRI), Name: "Order", MediaType: `application/ld+json; profile="https://www.w3.org/ns/activitystreams"`, Rels: []string{"payment", "https://w3id.org/valueflows/ont/vf#Proposal"}},
		},
	})
	for _, part := range []string{"Offer: Sourdough loaf", "4.50 EUR each · 20 available · Girona", "<p>Baked on Fridays &amp; Mondays.</p>", m.note.URL} {
		if !strings.Contains(m.note.Content, part) {
			t.Errorf("the Note says %q, want %q in it", m.note.Content, part)
		}
	}
}

func (m *market) proposal(t *testing.T) {
	var got peerProposal
	m.peer.ask(t, "proposal", map[string]any{"id": string(m.offer.IRI)}, &got)
	id := string(m.offer.IRI)
	one, all := &peerMeasure{"one", "1"}, &peerMeasure{"one", "20"}
	want := peerProposal{
		Type: "Proposal", ID: id, Name: "Sourdough loaf", Content: m.offer.Content, Purpose: "offer", AttributedTo: m.baker, UnitBased: true,
		Publishes:  &peerIntent{ID: id + "#primary", Action: "transfer", Resource: "https://www.wikidata.org/wiki/Q7802", Quantity: one, Available: all, Minimum: one},
		Reciprocal: &peerIntent{ID: id + "#reciprocal", Action: "transfer", Resource: "https://www.wikidata.org/wiki/Q4916", Quantity: &peerMeasure{"one", "4.50"}},
		Ends:       m.offer.EndsAt.Format(time.RFC3339), Place: "Girona", Latitude: 41.98, Longitude: 2.82, URL: m.note.URL, Preview: string(m.note.IRI), To: []string{public},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the proposal as Fedify reads it (-want +got):\n%s", diff)
	}
}

// places lets ana order, and waits until the bakery has it.
func (m *market) places(t *testing.T, order map[string]any, state string) (ask string, o *storage.Order) {
	t.Helper()
	var sent struct{ ID string }
	order["as"], order["id"] = "ana", string(m.offer.IRI)
	m.peer.ask(t, "order", order, &sent)
	eventually(t, "the order has come", func() (err error) {
		if o, err = m.planet.db.OrderByAsk(t.Context(), storage.IRI(sent.ID)); err == nil && o.State != state {
			err = fmt.Errorf("it is %s (%s), want %s", o.State, o.Code, state)
		}
		return err
	})
	return sent.ID, o
}

// hears waits for the next answers that reach ana, of these types in any order.
func (m *market) hears(t *testing.T, types ...string) (next []peerAnswer) {
	t.Helper()
	slices.Sort(types)
	eventually(t, fmt.Sprintf("ana hears %v", types), func() error {
		next = m.peer.state(t).Answers[m.heard:]
		var got []string
		for _, a := range next {
			got = append(got, a.Type)
		}
		if slices.Sort(got); !slices.Equal(got, types) {
			return fmt.Errorf("she has heard %v", got)
		}
		return nil
	})
	m.heard += len(next)
	for _, a := range next {
		if a.Actor != m.baker {
			t.Errorf("%s is by %s, want the bakery", a.Type, a.Actor)
		}
	}
	return next
}

// bakes does something with an order as the bakery; the node that runs brings it to ana.
func (m *market) bakes(t *testing.T, act string, o *storage.Order, words string) *storage.Order {
	t.Helper()
	now, err := m.node.MoveOrder(t.Context(), m.by, o.ID, act, words)
	must(t, err)
	return now
}

func (m *market) ordered(t *testing.T) {
	ask, o := m.places(t, map[string]any{"quantity": "2", "amount": "9.00", "content": "For Saturday."}, storage.OrderProposed)
	if o.Quantity != "2" || o.Amount != "9" || o.Note != "For Saturday." || !o.Agreed {
		t.Errorf("the order is %+v", o)
	}
	if a := m.hears(t, "TentativeAccept")[0]; a.Object != ask || a.Ends == "" {
		t.Errorf("the TentativeAccept is %+v", a)
	}
	o = m.bakes(t, "accept", o, "")
	accept := m.hears(t, "Accept")[0]
	want := &peerAgreement{
		Type: "Agreement", ID: string(o.IRI), AttributedTo: m.baker, Link: m.node.OrderLink(o), Rels: []string{"payment"}, State: "Open", Context: []string{ask}, Ends: o.ExpiresAt.Format(time.RFC3339),
		Stipulates:           &peerCommitment{string(o.IRI) + "#primary", string(m.offer.IRI) + "#primary", &peerMeasure{"one", "2"}},
		StipulatesReciprocal: &peerCommitment{string(o.IRI) + "#reciprocal", string(m.offer.IRI) + "#reciprocal", &peerMeasure{"one", "9.00"}},
	}
	if diff := cmp.Diff(want, accept.Agreement); diff != "" || accept.Object != ask {
		t.Errorf("the Accept of %s, and its Agreement as Fedify reads it (-want +got):\n%s", accept.Object, diff)
	}
	var fetched peerAgreement
	m.peer.ask(t, "agreement", map[string]any{"as": "ana", "id": string(o.IRI)}, &fetched)
	if diff := cmp.Diff(want, &fetched); diff != "" {
		t.Errorf("the Agreement at its address (-want +got):\n%s", diff)
	}

	o = m.bakes(t, "fulfil", o, "On your doorstep.")
	for _, a := range m.hears(t, "Create", "Update") {
		switch {
		case a.Type == "Create" && (a.Receipt == nil || a.Receipt.Context != string(o.IRI) || a.Receipt.Name != "Receipt"):
			t.Errorf("the receipt is %+v", a.Receipt)
		case a.Type == "Update" && (a.Agreement == nil || a.Agreement.State != "Completed" || a.Agreement.ID != string(o.IRI)):
			t.Errorf("the agreement is %+v", a.Agreement)
		}
	}
	m.peer.ask(t, "receipt", map[string]any{"as": "ana", "agreement": string(o.IRI), "handle": m.bakerHandle, "content": "Still warm."}, nil)
	if a := m.hears(t, "Update")[0]; a.Agreement == nil || a.Agreement.State != "Confirmed" {
		t.Errorf("after ana's receipt the agreement is %+v", a.Agreement)
	}
	if o, err := m.planet.db.OrderByID(t.Context(), o.ID); err != nil || o.State != storage.OrderConfirmed || o.Words != "Still warm." {
		t.Errorf("the order ends as %+v, %v", o, err)
	}
}

func (m *market) refused(t *testing.T) {
	for _, c := range []struct {
		name  string
		order map[string]any
		code  string
	}{
		{"more than there is", map[string]any{"quantity": "21", "amount": "94.50"}, "sold_out"},
		{"half a loaf", map[string]any{"quantity": "1.5", "amount": "6.75"}, "not_a_multiple"},
		{"yesterday's price", map[string]any{"quantity": "1", "amount": "4.00"}, "amount_mismatch"},
		{"by weight", map[string]any{"quantity": "1", "amount": "4.50", "unit": "kilogram"}, "unit_mismatch"},
	} {
		ask, _ := m.places(t, c.order, storage.OrderRejected)
		if a := m.hears(t, "Reject")[0]; a.Object != ask || a.Summary != c.code || a.Content == "" {
			t.Errorf("%s: the Reject is %+v, want %s", c.name, a, c.code)
		}
	}
}

func (m *market) undone(t *testing.T) {
	ask, o := m.places(t, map[string]any{"quantity": "3", "amount": "13.50"}, storage.OrderProposed)
	m.hears(t, "TentativeAccept")
	m.bakes(t, "accept", o, "")
	m.hears(t, "Accept")
	m.peer.ask(t, "undo", map[string]any{"as": "ana", "id": ask}, nil)
	if a := m.hears(t, "Reject")[0]; a.Object != ask || a.Summary != "cancelled" {
		t.Errorf("the answer to the Undo is %+v", a)
	}
	if f, err := m.planet.db.OfferByID(t.Context(), m.offer.ID); err != nil || *f.Available != 18 {
		t.Errorf("%v loaves are left, %v; want the 18 that nobody took", f.Available, err)
	}
}

func (m *market) retold(t *testing.T) {
	_, err := m.node.SetOffer(t.Context(), m.by, m.offer.ID, storage.OfferPaused)
	must(t, err)
	eventually(t, "Fedify has the edit", func() error {
		if got := m.peer.state(t).Notes[string(m.note.IRI)]; !strings.Contains(got.Content, "PAUSED") || got.Updated == nil {
			return fmt.Errorf("the Note is %+v", got)
		}
		return nil
	})
	_, o := m.places(t, map[string]any{"quantity": "1", "amount": "4.50"}, storage.OrderRejected)
	if m.hears(t, "Reject"); o.Code != "closed" {
		t.Errorf("an order of what is paused is refused as %s", o.Code)
	}
}
