package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
)

// offer offers something as by.
func (s *site) offer(by activitypub.By, d activitypub.OfferDraft) *storage.Offer {
	s.t.Helper()
	if d.Title == "" {
		d.Title = "Sourdough loaf"
	}
	o, err := s.node.PublishOffer(s.t.Context(), by, d)
	if err != nil {
		s.t.Fatalf("offer %q: %v", d.Title, err)
	}
	return o
}

// page is the path of an offer's page.
func page(o *storage.Offer) string { return strings.TrimPrefix(o.URL, "https://rye.example") }

// set opens, pauses or closes an offer.
func (s *site) set(by activitypub.By, o *storage.Offer, state string) {
	s.t.Helper()
	if _, err := s.node.SetOffer(s.t.Context(), by, o.ID, state); err != nil {
		s.t.Fatal(err)
	}
}

// oli is a person on a server that knows no orders.
func (s *site) oli(name string) *storage.Actor {
	s.t.Helper()
	a := &storage.Actor{IRI: storage.IRI("https://social.example/users/" + name), Type: storage.Person, Username: name, Domain: "social.example", Name: "Oli",
		Inbox: storage.IRI("https://social.example/users/" + name + "/inbox")}
	if err := s.db.SaveActor(s.t.Context(), a); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// ordered is an order by a reply of a's, accepted, and the path of its link.
func (s *site) ordered(by activitypub.By, o *storage.Offer, a *storage.Actor, text string) (*storage.Order, string) {
	s.t.Helper()
	post := &storage.Post{IRI: a.IRI + storage.IRI("/notes/"+s.db.NewID().String()), ActorID: a.ID, Type: "Note", InReplyTo: "https://rye.example/x", InReplyToID: &o.PostID,
		Visibility: storage.Public, Content: text, PublishedAt: s.db.Now()}
	if err := s.db.SavePost(s.t.Context(), post); err != nil {
		s.t.Fatal(err)
	}
	order, err := s.node.OrderFromReply(s.t.Context(), by, post.ID, "2")
	if err != nil {
		s.t.Fatal(err)
	}
	order = s.move(by, order, "accept", "")
	return order, strings.TrimPrefix(s.node.OrderLink(order), "https://rye.example")
}

func (s *site) move(by activitypub.By, o *storage.Order, act, words string) *storage.Order {
	s.t.Helper()
	o, err := s.node.MoveOrder(s.t.Context(), by, o.ID, act, words)
	if err != nil {
		s.t.Fatal(err)
	}
	return o
}

func TestAnOfferIsADocumentAndThePageOfItsNote(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	o := s.offer(baker, activitypub.OfferDraft{Price: "4.50", Currency: "EUR", Quantity: "20"})
	gone := s.offer(baker, activitypub.OfferDraft{Title: "A mistake"})
	if err := s.node.DeleteOffer(t.Context(), baker, gone.ID); err != nil {
		t.Fatal(err)
	}
	id := "/offers/" + o.ID.String()
	for _, c := range []struct {
		name, accept, path string
		status             int
		goes, is           string // Location, and the type of the document
	}{
		{"a server asks for the offer", activityJSON, id, 200, "", "Proposal"},
		{"by its profile", `application/ld+json; profile="https://www.w3.org/ns/activitystreams"`, id, 200, "", "Proposal"},
		{"a browser is sent to the page", browser, id, 303, o.URL, ""},
		{"who says nothing is, too", "", id, 303, o.URL, ""},
		{"a page is preferred", "text/html, application/activity+json;q=0.9", id, 303, o.URL, ""},
		{"a server asks the page for its Note", activityJSON, page(o), 200, "", "Note"},
		{"an offer that is gone, for a browser", browser, "/offers/" + gone.ID.String(), 404, "", ""},
		{"and for a server", activityJSON, "/offers/" + gone.ID.String(), 410, "", "Tombstone"},
		{"its page", browser, page(gone), 404, "", ""},
		{"no offer", browser, "/offers/1", 404, "", ""},
		{"no offer, for a server", activityJSON, "/offers/1", 404, "", ""},
		{"no number", browser, "/offers/x", 404, "", ""},
		{"no number, for a server", activityJSON, "/offers/..%2f..%2factor", 404, "", ""},
		{"an agreement is for its sides", activityJSON, "/agreements/1", 401, "", ""},
		{"whatever is accepted", browser, "/agreements/1", 401, "", ""},
		{"a receipt, too", activityJSON, "/receipts/1", 401, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := s.getAs(c.accept, c.path)
			if w.Code != c.status || w.Header().Get("Location") != c.goes {
				t.Errorf("got %d to %q, want %d to %q: %s", w.Code, w.Header().Get("Location"), c.status, c.goes, w.Body)
			}
			if got := w.Header().Get("Vary"); strings.HasPrefix(c.path, "/offers/") && w.Code != 404 && got != "Accept, Signature" {
				t.Errorf("Vary is %q", got)
			}
			var doc struct{ Type string }
			if _ = json.Unmarshal(w.Body.Bytes(), &doc); c.is != "" && doc.Type != c.is {
				t.Errorf("got a %q, want a %s: %s", doc.Type, c.is, w.Body)
			}
		})
	}
}

func TestAnOffersPageSaysWhatItIsAndHowToOrderIt(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	lat, lon := 41.9831, 2.8249
	ends := time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC)
	o := s.offer(baker, activitypub.OfferDraft{Text: "Baked on Fridays.", Price: "4.50", Currency: "EUR", Quantity: "20", Minimum: "3", Place: "Girona", Latitude: &lat, Longitude: &lon,
		EndsAt: &ends, Tags: []string{"bread"}, Language: "es"})
	w := s.get(page(o))
	s.want(w, http.StatusOK, "Sourdough loaf</h1>", "4.50 EUR each", "20", "Girona", "31 Dec 2099", "<p>Baked on Fridays.</p>", `href="/tags/bread"`, "Open: it can be ordered.", "The Bakery", "How to order", "3 please",
		`name="uri" value="https://rye.example/users/baker/statuses/`+o.PostID.String()+`"`, `<link rel="alternate" type="application/activity+json" href="https://rye.example/users/baker/statuses/`,
		`<meta property="og:title" content="Offer: Sourdough loaf">`, `<meta property="og:description" content="4.50 EUR each. 20 left. Girona. Baked on Fridays.">`)
	s.wantNot(w, "41.9831", "cada uno", "An attachment", `>Order</a>`)
	var ld struct {
		Type         string `json:"@type"`
		Availability string
		ItemOffered  struct{ Name string }
		Seller       struct{ Name string }
		Price        struct{ Price, PriceCurrency string } `json:"priceSpecification"`
		Inventory    struct{ Value, UnitText string }      `json:"inventoryLevel"`
		At           struct {
			Geo struct{ Latitude float64 }
		} `json:"availableAtOrFrom"`
	}
	if err := json.Unmarshal([]byte(linked(t, w.Body.String())), &ld); err != nil {
		t.Fatal(err)
	}
	if ld.Type != "Offer" || ld.Availability != "https://schema.org/InStock" || ld.ItemOffered.Name != o.Title || ld.Seller.Name != "The Bakery" || ld.Price.Price != "4.50" ||
		ld.Price.PriceCurrency != "EUR" || ld.Inventory.Value != "20" || ld.At.Geo.Latitude != 41.98 {
		t.Errorf("machines read %+v", ld)
	}

	r := s.offer(baker, activitypub.OfferDraft{Title: "Flour", Request: true, Price: "1", Per: "0.5", Unit: "kg", Currency: "EUR"})
	w = s.get(page(r))
	s.want(w, http.StatusOK, "Wanted", "1.00 EUR per 0.5 kg", "How to answer", "I have 2", `"@type":"Demand"`)
	s.wantNot(w, "How to order", "can be ordered", `"seller"`)
	s.want(s.get(page(s.offer(baker, activitypub.OfferDraft{Title: "Crumbs"}))), http.StatusOK, "free", `"price":"0"`)
	s.want(s.get(page(s.offer(baker, activitypub.OfferDraft{Title: "Soup", OpenPrice: true, Currency: "EUR"}))), http.StatusOK, "say what it is worth to you (EUR)")
}

// linked is the JSON-LD of a page.
func linked(t *testing.T, body string) string {
	t.Helper()
	_, rest, ok := strings.Cut(body, `<script type="application/ld+json">`)
	data, _, end := strings.Cut(rest, "</script>")
	if !ok || !end {
		t.Fatalf("no JSON-LD in %s", body)
	}
	return data
}

func TestAnOfferThatIsNotOpenSaysSo(t *testing.T) {
	s := newSite(t)
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	s.db.Now = func() time.Time { return now }
	baker := s.coop("baker", "The Bakery")
	soon := time.Now().Add(time.Hour) // the node has a clock of its own
	open := s.offer(baker, activitypub.OfferDraft{Title: "Open", Quantity: "3"})
	paused := s.offer(baker, activitypub.OfferDraft{Title: "On holiday"})
	closed := s.offer(baker, activitypub.OfferDraft{Title: "No more"})
	sold := s.offer(baker, activitypub.OfferDraft{Title: "All gone", Quantity: "2"})
	ends := s.offer(baker, activitypub.OfferDraft{Title: "Until soon", EndsAt: &soon})
	s.set(baker, paused, storage.OfferPaused)
	s.set(baker, closed, storage.OfferClosed)
	s.ordered(baker, sold, s.oli("oli"), "2 please")
	now = soon.Add(time.Minute)
	for o, want := range map[*storage.Offer][2]string{paused: {"It is paused", "OutOfStock"}, closed: {"It is closed", "Discontinued"}, sold: {"Sold out: nothing is left", "SoldOut"}, ends: {"It ended on", "Discontinued"}} {
		w := s.get(page(o))
		s.want(w, http.StatusOK, want[0], "https://schema.org/"+want[1], "Ask about it")
		s.wantNot(w, "How to order", "InStock")
	}
	s.want(s.get(page(open)), http.StatusOK, "How to order", "InStock")
}

func TestAnOrderIsSeenAndMovedByItsLink(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	o := s.offer(baker, activitypub.OfferDraft{Price: "4.50", Currency: "EUR", Quantity: "20", Place: "Girona"})
	order, link := s.ordered(baker, o, s.oli("oli"), "2 please")

	before := storagetest.Rows(t, s.db)
	w := s.get(link)
	s.want(w, http.StatusOK, "2 × Sourdough loaf", "9.00 EUR", "The Bakery", "Accepted, and waiting for you", `value="agree"`, `value="cancel"`, "On pick-up", "2 please", "You asked for it", "The Bakery</bdi> accepted", `content="noindex"`)
	s.wantNot(w, `value="confirm"`, `value="dispute"`, "og:url", `rel="canonical"`)
	for header, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"} {
		if got := w.Header().Get(header); got != want {
			t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
	s.want(s.ask(from(http.MethodHead, link, nil)), http.StatusOK)
	s.want(s.get(link+"?act=agree"), http.StatusOK)
	wantRows(t, s, before)

	do := func(act, words string) {
		t.Helper()
		w := s.send(link, url.Values{"act": {act}, "words": {words}})
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "https://rye.example"+link {
			t.Fatalf("%s: got %d to %q: %s", act, w.Code, w.Header().Get("Location"), w.Body)
		}
	}
	do("agree", "")
	w = s.get(link)
	s.want(w, http.StatusOK, "Confirmed.", `value="confirm"`, `value="dispute"`, "You confirmed the order")
	s.wantNot(w, `value="agree"`)
	s.want(s.send(link, url.Values{"act": {"agree"}}), http.StatusConflict, "is confirmed already", `role="alert"`, "Confirmed.")
	s.move(baker, order, "fulfil", "On your doorstep.")
	s.want(s.get(link), http.StatusOK, "Delivered", "On your doorstep.")
	s.want(s.send(link, url.Values{"act": {"dispute"}, "words": {" "}}), http.StatusUnprocessableEntity, `id="words-problem"`, "say what is wrong")
	s.want(s.send(link, url.Values{"act": {"dispute"}, "words": {strings.Repeat("x", 501)}}), http.StatusUnprocessableEntity, `id="words-problem"`, "at most 500", strings.Repeat("x", 501)+"</textarea>")
	do("dispute", "One loaf is burnt.")
	s.want(s.get(link), http.StatusOK, "Something is wrong.", "One loaf is burnt.", `value="confirm"`)
	s.want(s.send(link, url.Values{"act": {"accept"}}), http.StatusForbidden, "other side", "Something is wrong.")
	s.want(s.send(link, url.Values{"act": {"expire"}}), http.StatusUnprocessableEntity, "by themselves")
	s.want(s.send(link, url.Values{"act": {"sing"}}), http.StatusUnprocessableEntity, "nothing that is done")
	do("confirm", "")
	w = s.get(link)
	s.want(w, http.StatusOK, "Done.", "said that it has arrived")
	s.wantNot(w, "<button", "<form", "How to pay")
	s.want(s.send(link, url.Values{"act": {"cancel"}}), http.StatusConflict, "the order is confirmed", "Done.")
	if now, err := s.db.OrderByID(t.Context(), order.ID); err != nil || now.State != storage.OrderConfirmed {
		t.Errorf("the order is %+v, %v", now, err)
	}
	_, secret, _ := strings.Cut(link, "-")
	if log := s.log.String(); strings.Contains(log, secret) || !strings.Contains(log, "/pay/:code") {
		t.Error("the code is in the log, or the request is not")
	}
}

// wantRows fails the test when the database is not what it was.
func wantRows(t *testing.T, s *site, before any) {
	t.Helper()
	was, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	is, err := json.Marshal(storagetest.Rows(t, s.db))
	if err != nil {
		t.Fatal(err)
	}
	if string(was) != string(is) {
		t.Error("the database has changed")
	}
}

func TestACT151ALinkOpensItsOwnOrderAlone(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	o := s.offer(baker, activitypub.OfferDraft{Price: "4.50", Currency: "EUR"})
	first, one := s.ordered(baker, o, s.oli("oli"), "2 please")
	second, two := s.ordered(baker, o, s.oli("mia"), "2 please")
	_, secret, _ := strings.Cut(one, "-")
	_, other, _ := strings.Cut(two, "-")
	absent := s.get("/nothing")
	before := storagetest.Rows(t, s.db)
	for _, path := range []string{"/pay/", "/pay/x", "/pay/-", "/pay/" + first.ID.String(), "/pay/" + first.ID.String() + "-", "/pay/" + first.ID.String() + "-" + other, "/pay/" + second.ID.String() + "-" + secret,
		"/pay/" + secret, "/pay/1-" + secret, one + "0", "/pay/" + strings.ToUpper(strings.TrimPrefix(one, "/pay/")), "/pay/%00", "/pay/" + strings.Repeat("9", 3000)} {
		for _, w := range []interface {
			Result() *http.Response
		}{s.get(path), s.send(path, url.Values{"act": {"cancel"}})} {
			if got := w.Result().StatusCode; got != http.StatusNotFound && !(got == http.StatusMethodNotAllowed && path == "/pay/") {
				t.Errorf("%s: got %d", path, got)
			}
		}
		if w := s.get(path); w.Body.String() != absent.Body.String() || w.Header().Get("Referrer-Policy") != absent.Header().Get("Referrer-Policy") {
			t.Errorf("%s differs from what is absent", path)
		}
	}
	for name, edit := range map[string]func(h http.Header){
		"another site":   func(h http.Header) { h.Set("Sec-Fetch-Site", "cross-site") },
		"a neighbour":    func(h http.Header) { h.Set("Sec-Fetch-Site", "same-site") },
		"an old browser": func(h http.Header) { h.Set("Origin", "https://evil.example") },
	} {
		r := from(http.MethodPost, one, strings.NewReader("act=cancel"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		edit(r.Header)
		if w := s.ask(r); w.Code != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", name, w.Code)
		}
	}
	wantRows(t, s, before)
}
