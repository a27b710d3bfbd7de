package web_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

// told is a notification as an app that knows nothing of orders reads it.
type told struct {
	ID, Type string
	Account  struct{ Username string }
	Status   struct {
		ID, Content, Visibility string
		Account                 struct{ Username string }
		Mentions                []struct{ Username string }
	}
}

// hears reads the newest notification of a token, which has to be a mention by the node itself, and the address in it.
func (a *app) hears(token, words string) string {
	a.t.Helper()
	var all []told
	a.answers(with(token, "GET", "/api/v1/notifications?limit=1&types[]=mention", nil), 200, &all)
	if len(all) != 1 {
		a.t.Fatalf("nobody was told that %s", words)
	}
	n := all[0]
	if n.Type != "mention" || n.Status.Visibility != "direct" || n.Account.Username != "actor" || n.Status.Account.Username != "actor" || !strings.Contains(n.Status.Content, words) {
		a.t.Fatalf("told %+v, want %q", n, words)
	}
	// The app opens it, as it opens any status.
	a.answers(with(token, "GET", "/api/v1/statuses/"+n.Status.ID, nil), 200, nil)
	a.answers(with(token, "GET", "/api/v1/statuses/"+n.Status.ID+"/context", nil), 200, nil)
	link := regexp.MustCompile(`href="https://rye\.example(/[^"]+)"`).FindStringSubmatch(n.Status.Content)
	if link == nil {
		return ""
	}
	return link[1]
}

// decides goes to a page, signing in where she has to, and presses a button.
func (a *app) decides(name, path, act, words string) {
	a.t.Helper()
	if a.cookie == nil {
		a.want(a.browse("GET", path, nil), http.StatusUnauthorized, "Sign in", "for people of")
		a.signsIn(path, name)
	}
	page := a.browse("GET", path, nil)
	a.want(page, http.StatusOK, `value="`+act+`"`)
	ticket := ticketField.FindStringSubmatch(page.Body.String())
	if ticket == nil {
		a.t.Fatalf("%s has no form: %s", path, page.Body)
	}
	w := a.browse("POST", path, url.Values{"ticket": {ticket[1]}, "act": {act}, "words": {words}})
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != path {
		a.t.Fatalf("%s on %s: %d %s", act, path, w.Code, w.Body)
	}
}

// TestAnAppThatKnowsNothingOfOrdersHearsOfThem: each event is a mention with a message of the node, and a link to the page where one decides.
func TestAnAppThatKnowsNothingOfOrdersHearsOfThem(t *testing.T) {
	s := newSite(t)
	baker, ana := s.coop("baker", "The Bakery"), s.coop("annas", "Anna's")
	anna := activitypub.By{User: ana.User}
	var err error
	if anna.Actor, err = s.db.ActorByID(t.Context(), ana.User.ActorID); err != nil {
		t.Fatal(err)
	}
	c, err := s.node.FoundCurrency(t.Context(), baker, activitypub.NewCurrency{Code: "GRN", Kind: ledger.Mutual, CreditLimit: "100"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.node.OpenAccount(t.Context(), baker, c, anna.Actor); err != nil {
		t.Fatal(err)
	}
	buyer, seller := s.register("read write"), s.register("read write")
	hers, his := buyer.token("by_annas", "", "read write"), seller.token("by_baker", "", "read write") // both as themselves
	buyer.cookie, seller.cookie = nil, nil

	offer := s.offer(baker, activitypub.OfferDraft{Title: "Sourdough loaf", Price: "4.50", Currency: "GRN", Quantity: "20"})
	order, err := s.node.PlaceOrder(t.Context(), anna, activitypub.OrderDraft{Offer: offer, Quantity: "2", Note: "sliced <b>thin</b>"})
	if err != nil {
		t.Fatal(err)
	}
	at := seller.hears(his, "by_annas@rye.example orders 2 × Sourdough loaf, 9.00 GRN (sliced &lt;b&gt;thin&lt;/b&gt;)")
	if at != "/orders/"+order.ID.String() {
		t.Fatalf("the link leads to %s", at)
	}
	seller.decides("by_baker", at, "accept", "with pleasure")
	at = buyer.hears(hers, "baker@rye.example has accepted your order: 2 × Sourdough loaf, 9.00 GRN. “with pleasure”")
	seller.decides("by_baker", "/orders/"+order.ID.String(), "fulfil", "")
	buyer.hears(hers, "has delivered 2 × Sourdough loaf")
	buyer.decides("by_annas", at, "confirm", "")
	seller.hears(his, "by_annas@rye.example has received 2 × Sourdough loaf")
	if o, err := s.db.OrderByID(t.Context(), order.ID); err != nil || o.State != storage.OrderConfirmed {
		t.Errorf("the order is %+v, %v", o, err)
	}

	// Money: paid, held and taken, and by two.
	pay := func(by activitypub.By, to *storage.Actor, o activitypub.PayOrder) *storage.Payment {
		t.Helper()
		o.Currency, o.To = activitypub.MoneyHere(c), to
		p, err := s.node.Pay(t.Context(), by, o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := pay(anna, baker.Actor, activitypub.PayOrder{Amount: "9", Memo: "2 loaves"})
	seller.hears(his, "by_annas@rye.example has paid baker 9.00 GRN for “2 loaves”")
	if _, err := s.node.RefundPayment(t.Context(), baker, first.ID, "4.50", "one was burnt", ""); err != nil {
		t.Fatal(err)
	}
	buyer.hears(hers, "baker@rye.example has given you back 4.50 GRN for “one was burnt”")
	pay(anna, baker.Actor, activitypub.PayOrder{Amount: "5", Hold: ledger.MinTimeout * 100})
	at = seller.hears(his, "holds 5.00 GRN for baker")
	seller.decides("by_baker", at, "take", "")
	buyer.hears(hers, "Your payment of 5.00 GRN to baker@rye.example has gone through")
	zero := "0"
	if err := s.node.SetSignatures(t.Context(), baker, activitypub.MoneyHere(c), activitypub.NewSignatures{PerPayment: &zero}); err != nil {
		t.Fatal(err)
	}
	second := s.coop("second", "Second")
	if err := s.node.GiveRole(t.Context(), baker, second.User, storage.RoleTreasurer); err != nil {
		t.Fatal(err)
	}
	other := s.register("read")
	theirs := other.token("by_second", "", "read")
	other.cookie = nil
	waits := pay(baker, anna.Actor, activitypub.PayOrder{Amount: "3", Memo: "a wreath"})
	at = other.hears(theirs, "by_baker wants baker to pay 3.00 GRN to by_annas@rye.example for “a wreath”. It takes a second person")
	s.want(seller.browse("GET", at, nil), http.StatusOK, "Waits for a second person")
	s.wantNot(seller.browse("GET", at, nil), `value="approve"`) // who has proposed it
	other.decides("by_second", at, "approve", "")
	buyer.hears(hers, "baker@rye.example has paid you 3.00 GRN for “a wreath”")
	seller.hears(his, "The payment of 3.00 GRN that you have proposed was approved")
	again := pay(baker, anna.Actor, activitypub.PayOrder{Amount: "4"})
	other.decides("by_second", "/payments/"+again.ID.String(), "refuse", "for what?")
	seller.hears(his, "was not approved. for what?")
	request, err := s.node.RequestPayment(t.Context(), baker, activitypub.NewRequest{Currency: activitypub.MoneyHere(c), Of: anna.Actor, Amount: "7", Memo: "a tray"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.node.DeclineRequest(t.Context(), anna, request.ID); err != nil {
		t.Fatal(err)
	}
	seller.hears(his, "by_annas@rye.example will not pay the 7.00 GRN that you asked for, for “a tray”")

	// None of it is anybody else's.
	stranger := s.register("read")
	s.coop("eve", "Eve's")
	eve := stranger.token("by_eve", "", "read")
	var none []told
	s.answers(with(eve, "GET", "/api/v1/notifications", nil), 200, &none)
	if len(none) != 0 {
		t.Errorf("eve hears of %+v", none)
	}
	for _, path := range []string{"/orders/" + order.ID.String(), "/payments/" + waits.ID.String(), "/payments/" + first.ID.String(), "/orders/0", "/payments/x"} {
		s.want(stranger.browse("GET", path, nil), http.StatusNotFound)
		s.want(stranger.browse("POST", path, url.Values{"act": {"approve"}}), http.StatusForbidden)
	}
	s.wantNot(s.get("/@actor"), "Sourdough", "GRN")
	s.wantNot(s.getAs(activityJSON, "/actor/outbox?page=true"), "Sourdough", "GRN")
	for _, p := range []string{"/api/v1/timelines/public", "/api/v1/timelines/public?local=true"} {
		s.wantNot(s.get(p), "wants baker", "has paid")
	}
}

// TestSES231WhoDecidesOnAPageIsHere: a form of another session, page or site does nothing.
func TestSES231WhoDecidesOnAPageIsHere(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	anna := s.coop("annas", "Anna's")
	offer := s.offer(baker, activitypub.OfferDraft{Title: "A loaf"})
	order, err := s.node.PlaceOrder(t.Context(), anna, activitypub.OrderDraft{Offer: offer})
	if err != nil {
		t.Fatal(err)
	}
	path := "/orders/" + order.ID.String()
	a, b := s.register("read"), s.register("read")
	a.signsIn(path, "by_baker")
	b.signsIn(path, "by_annas")
	s.want(a.browse("GET", path, nil), http.StatusOK, "asked for it", "You look at it as <bdi>The Bakery</bdi>") // what happened is said in words
	own, foreign := ticketField.FindStringSubmatch(a.browse("GET", path, nil).Body.String())[1], ticketField.FindStringSubmatch(b.browse("GET", path, nil).Body.String())[1]
	for name, form := range map[string]url.Values{"none": {"act": {"accept"}}, "another's": {"act": {"accept"}, "ticket": {foreign}}} {
		if w := a.browse("POST", path, form); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	r := s.form(path, url.Values{"act": {"accept"}, "ticket": {own}})
	r.AddCookie(a.cookie)
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if w := s.ask(r); w.Code != http.StatusForbidden {
		t.Errorf("from another site: %d", w.Code)
	}
	if w := b.browse("POST", path, url.Values{"act": {"accept"}, "ticket": {foreign}}); w.Code != http.StatusForbidden { // it is for the other side to accept
		t.Errorf("the buyer accepts: %d %s", w.Code, w.Body)
	}
	if o, err := s.db.OrderByID(t.Context(), order.ID); err != nil || o.State != storage.OrderProposed {
		t.Errorf("the order is %+v, %v", o, err)
	}
	if w := a.browse("POST", path, url.Values{"act": {"dispute"}, "ticket": {own}}); w.Code < 400 || w.Code > 499 {
		t.Errorf("disputing what is not accepted: %d", w.Code)
	}
	if w := a.browse("POST", path, url.Values{"act": {"accept"}, "ticket": {own}}); w.Code != http.StatusSeeOther {
		t.Errorf("accepting: %d %s", w.Code, w.Body)
	}
}

// TestPAY295APaymentIsDecidedOnItsPageAlone: looking pays nothing, nor does another site's form, and no page of others frames it.
func TestPAY295APaymentIsDecidedOnItsPageAlone(t *testing.T) {
	s := newSite(t)
	baker, second, anna := s.coop("baker", "The Bakery"), s.coop("second", "Second"), s.coop("annas", "Anna's")
	c, err := s.node.FoundCurrency(t.Context(), baker, activitypub.NewCurrency{Code: "GRN", Kind: ledger.Mutual, CreditLimit: "100"})
	if err != nil {
		t.Fatal(err)
	}
	m, zero := activitypub.MoneyHere(c), "0"
	if _, err := s.node.OpenAccount(t.Context(), baker, c, anna.Actor); err != nil {
		t.Fatal(err)
	}
	if err := s.node.SetSignatures(t.Context(), baker, m, activitypub.NewSignatures{PerPayment: &zero}); err != nil {
		t.Fatal(err)
	}
	if err := s.node.GiveRole(t.Context(), baker, second.User, storage.RoleTreasurer); err != nil {
		t.Fatal(err)
	}
	p, err := s.node.Pay(t.Context(), baker, activitypub.PayOrder{Currency: m, To: anna.Actor, Amount: "3"})
	if err != nil || p.State != storage.PaymentWaiting {
		t.Fatalf("%+v, %v", p, err)
	}
	path := "/payments/" + p.ID.String()
	b := s.register("read")
	b.signsIn(path, "by_second")
	page := b.browse("GET", path, nil)
	ticket := ticketField.FindStringSubmatch(page.Body.String())[1]
	if csp := page.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || page.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the page may be framed or kept: %q, %q", csp, page.Header().Get("Cache-Control"))
	}
	for range 2 {
		s.want(b.browse("GET", path+"?act=approve&ticket="+ticket, nil), http.StatusOK, "Waits for a second person")
	}
	form := url.Values{"act": {"approve"}, "ticket": {ticket}}
	r := s.form(path, form)
	r.AddCookie(b.cookie)
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	s.want(s.ask(r), http.StatusForbidden)
	s.want(b.browse("POST", path, url.Values{"act": {"approve"}}), http.StatusForbidden)
	if now, err := s.db.PaymentByID(t.Context(), p.ID); err != nil || now.State != storage.PaymentWaiting {
		t.Fatalf("it was decided: %+v, %v", now, err)
	}
	if w := b.browse("POST", path, form); w.Code != http.StatusSeeOther {
		t.Errorf("approving: %d %s", w.Code, w.Body)
	}
	s.want(b.browse("POST", path, form), http.StatusUnprocessableEntity, "nobody is waited for") // pressed twice
	if a, err := s.db.Account(t.Context(), c, anna.Actor.IRI); err != nil || a.Balance() != 300 {
		t.Errorf("anna has %d, %v", a.Balance(), err)
	}
}

// TestWhoIsOnBothSidesChooses: somebody orders from her own co-op, pays it, and decides for it too.
func TestWhoIsOnBothSidesChooses(t *testing.T) {
	s := newSite(t)
	baker := s.coop("baker", "The Bakery")
	own, err := s.db.ActorByID(t.Context(), baker.User.ActorID)
	if err != nil {
		t.Fatal(err)
	}
	her := activitypub.By{User: baker.User, Actor: own}
	c, err := s.node.FoundCurrency(t.Context(), baker, activitypub.NewCurrency{Code: "GRN", Kind: ledger.Mutual, CreditLimit: "100"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.node.OpenAccount(t.Context(), baker, c, own); err != nil {
		t.Fatal(err)
	}
	order, err := s.node.PlaceOrder(t.Context(), her, activitypub.OrderDraft{Offer: s.offer(baker, activitypub.OfferDraft{Title: "A loaf"})})
	if err != nil {
		t.Fatal(err)
	}
	b := s.register("read")
	path := "/orders/" + order.ID.String()
	hers, its := path+"?as="+own.ID.String(), path+"?as="+baker.Actor.ID.String()
	b.decides("by_baker", its, "accept", "")
	s.wantNot(b.browse("GET", hers, nil), `value="fulfil"`)
	b.decides("by_baker", path, "fulfil", "")
	s.want(b.browse("GET", path, nil), http.StatusOK, `href="?as=`+own.ID.String()+`"`)
	b.decides("by_baker", hers, "confirm", "")
	s.want(b.browse("GET", path+"?as=1", nil), http.StatusOK, "You look at it as <bdi>The Bakery</bdi>") // nobody else's side
	p, err := s.node.Pay(t.Context(), her, activitypub.PayOrder{Currency: activitypub.MoneyHere(c), To: baker.Actor, Amount: "2", Hold: ledger.MinTimeout * 100})
	if err != nil {
		t.Fatal(err)
	}
	s.wantNot(b.browse("GET", "/payments/"+p.ID.String()+"?as="+own.ID.String(), nil), `value="take"`)
	b.decides("by_baker", "/payments/"+p.ID.String(), "take", "")
	if a, err := s.db.Account(t.Context(), c, baker.Actor.IRI); err != nil || a.Balance() != 200 {
		t.Errorf("the bakery has %d, %v", a.Balance(), err)
	}
}
