package economy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
	"planet/storage/storagetest"
	"planet/web"
	"planet/web/oauth"
)

type dict = map[string]any

// town is two nodes with their APIs: nuria and bo run a bakery at rye.example whose currency is GRN, ana has an account there; pat lives at oak.example.
type town struct {
	t        *testing.T
	net      *aptest.Network
	rye, oak *aptest.Node
	web      map[*aptest.Node]http.Handler
	grn      *storage.Currency

	nuria, bo, ana, bakery activitypub.By
	pat                    activitypub.By

	doc  *document
	keys int
}

func newTown(t *testing.T) *town {
	t.Helper()
	return newTownOn(t, storagetest.New(t))
}

// newTownOn is newTown with the database of rye.example.
func newTownOn(t *testing.T, db *storage.DB) *town {
	t.Helper()
	w := &town{t: t, net: aptest.New(t), web: map[*aptest.Node]http.Handler{}}
	w.net.Database = func(host string) *storage.DB {
		if host == "rye.example" {
			return db
		}
		return storagetest.New(t)
	}
	for _, host := range []string{"rye.example", "oak.example"} {
		n := w.net.Add(host)
		srv, err := web.New(web.Config{Node: n.Node, DB: n.DB, Origin: "https://" + host, Log: slog.New(slog.DiscardHandler), Version: "test"})
		w.must(err)
		w.web[n] = srv.Handler()
		w.net.Serve(host, srv.Handler())
	}
	w.rye, w.oak = w.net.Node("rye.example"), w.net.Node("oak.example")
	ctx := t.Context()
	w.nuria, w.bo, w.ana, w.pat = w.rye.Person("nuria"), w.rye.Person("bo"), w.rye.Person("ana"), w.oak.Person("pat")
	w.bakery = w.rye.Coop(w.nuria, "bakery")
	w.must(w.rye.GiveRole(ctx, w.bakery, w.bo.User, storage.RoleTreasurer))
	c, err := w.rye.FoundCurrency(ctx, w.bakery, activitypub.NewCurrency{Code: "GRN", Name: "Grain", Kind: ledger.Mutual, CreditLimit: "100"})
	w.must(err)
	w.grn = c
	_, err = w.rye.OpenAccount(ctx, w.bakery, c, w.ana.Actor)
	w.must(err)
	_, err = w.rye.OpenAccount(ctx, w.bakery, c, w.bo.Actor)
	w.must(err)
	w.doc = readDocument(t, w.web[w.rye])
	return w
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// app is a program that acts for somebody.
type app struct {
	w     *town
	node  *aptest.Node
	token string
}

func (w *town) app(n *aptest.Node, by activitypub.By, scopes string) *app {
	w.t.Helper()
	secret := oauth.NewSecret()
	w.must(n.DB.SaveToken(w.t.Context(), &storage.Token{Hash: oauth.Hash(secret), UserID: by.User.ID, ActorID: by.Actor.ID, Scopes: scopes}))
	return &app{w, n, secret}
}

// key is one that was not used before.
func (w *town) key() string {
	w.keys++
	return "key-" + strconv.Itoa(w.keys)
}

// sends sends a request and holds the answer to the document.
func (a *app) sends(method, path, key string, body any) *httptest.ResponseRecorder {
	a.w.t.Helper()
	var in io.Reader
	switch v := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(v)
	default:
		raw, err := json.Marshal(v)
		a.w.must(err)
		in = bytes.NewReader(raw)
	}
	r := httptest.NewRequest(method, a.node.Origin+"/api/planet/v1"+path, in)
	r.RemoteAddr = "192.0.2.9:1234"
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	rec := httptest.NewRecorder()
	a.w.web[a.node].ServeHTTP(rec, r)
	a.w.doc.judge(a.w.t, r, rec)
	return rec
}

// does sends a request under a fresh key and reads the answer, which has to be good.
func (a *app) does(method, path string, body any) dict {
	a.w.t.Helper()
	rec := a.sends(method, path, a.w.key(), body)
	if rec.Code >= 300 {
		a.w.t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
	}
	return a.w.object(rec)
}

func (w *town) object(rec *httptest.ResponseRecorder) (out dict) {
	w.t.Helper()
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		w.t.Fatalf("%v: %s", err, rec.Body)
	}
	return out
}

// lists reads a list.
func (a *app) lists(path string) (out []dict) {
	a.w.t.Helper()
	rec := a.sends("GET", path, "", nil)
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != 200 {
		a.w.t.Fatalf("GET %s: %d %s", path, rec.Code, rec.Body)
	}
	return out
}

// refused sends what must be refused, with this status and code.
func (a *app) refused(status int, code, method, path, key string, body any) dict {
	a.w.t.Helper()
	rec := a.sends(method, path, key, body)
	if rec.Code != status {
		a.w.t.Fatalf("%s %s: %d %s, want %d %s", method, path, rec.Code, rec.Body, status, code)
	}
	out := a.w.object(rec)
	if out["code"] != code {
		a.w.t.Errorf("%s %s: code %v (%v), want %s", method, path, out["code"], out["error"], code)
	}
	return out
}

func (w *town) balance(who activitypub.By) string {
	w.t.Helper()
	a, err := w.rye.DB.Account(w.t.Context(), w.grn, who.Actor.IRI)
	w.must(err)
	return ledger.FormatAmount(a.Balance(), 2)
}

func (w *town) wantBalance(who activitypub.By, want string) {
	w.t.Helper()
	if got := w.balance(who); got != want {
		w.t.Errorf("%s has %s, want %s", who.Actor.Username, got, want)
	}
}

// document is what /api/openapi.json says.
type document struct {
	raw     dict
	schemas *jsonschema.Compiler
	routes  []*operation
}

type operation struct {
	method, name string
	path         *regexp.Regexp
	op           dict
	seen         bool // it has answered well
}

func readDocument(t *testing.T, h http.Handler) *document {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "https://rye.example/api/openapi.json", nil))
	v, err := jsonschema.UnmarshalJSON(rec.Body)
	if err != nil || rec.Code != 200 {
		t.Fatalf("%d %v", rec.Code, err)
	}
	d := &document{raw: v.(dict), schemas: jsonschema.NewCompiler()}
	d.schemas.DefaultDraft(jsonschema.Draft2020) // what OpenAPI 3.1 is written in
	if err := d.schemas.AddResource("https://rye.example/api/openapi.json", v); err != nil {
		t.Fatal(err)
	}
	for path, item := range d.raw["paths"].(dict) {
		for method, op := range item.(dict) {
			at := regexp.MustCompile("^" + regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(path, "[^/]+") + "$")
			d.routes = append(d.routes, &operation{method: strings.ToUpper(method), name: op.(dict)["operationId"].(string), path: at, op: op.(dict)})
		}
	}
	slices.SortFunc(d.routes, func(a, b *operation) int { return strings.Compare(b.path.String(), a.path.String()) })
	return d
}

// find is the operation of an address: of two that fit, the one with fewer names in it.
func (d *document) find(method, path string) (best *operation) {
	for _, o := range d.routes {
		if o.method == method && o.path.MatchString(path) && (best == nil || strings.Count(o.path.String(), "[^/]+") < strings.Count(best.path.String(), "[^/]+")) {
			best = o
		}
	}
	return best
}

// judge holds an answer to the document.
func (d *document) judge(t *testing.T, r *http.Request, rec *httptest.ResponseRecorder) {
	t.Helper()
	o := d.find(r.Method, r.URL.Path)
	if o == nil {
		if rec.Code != http.StatusNotFound && rec.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s %s answers %d and is not in the document", r.Method, r.URL.Path, rec.Code)
		}
		return
	}
	responses := o.op["responses"].(dict)
	status := strconv.Itoa(rec.Code)
	answer, ok := responses[status].(dict)
	if !ok {
		status = status[:1] + "XX"
		answer, ok = responses[status].(dict)
	}
	if !ok {
		t.Errorf("%s answers %d, which the document does not know", o.name, rec.Code)
		return
	}
	kind, _, _ := strings.Cut(rec.Header().Get("Content-Type"), ";")
	content, _ := answer["content"].(dict)
	if content[kind] == nil {
		t.Errorf("%s answers %d with %s, want one of %v", o.name, rec.Code, kind, slices.Collect(maps.Keys(content)))
		return
	}
	if kind == "application/json" {
		at := fmt.Sprintf("https://rye.example/api/openapi.json#/paths/%s/%s/responses/%s/content/application~1json/schema", escaped(d.pathOf(o)), strings.ToLower(o.method), status)
		schema, err := d.schemas.Compile(at)
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(rec.Body.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: the answer is none of the document: %v\n%s", o.name, err, rec.Body)
		}
	}
	o.seen = o.seen || rec.Code < 300
}

func (d *document) pathOf(o *operation) string {
	for path, item := range d.raw["paths"].(dict) {
		if op, ok := item.(dict)[strings.ToLower(o.method)].(dict); ok && op["operationId"] == o.name {
			return path
		}
	}
	return ""
}

// escaped is a JSON pointer's part in a fragment.
func escaped(path string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(path)
}

// TestAnAppRunsTheEconomy is a day of two co-operators and a customer, in one app each: every operation of the document answers, as the document says.
func TestAnAppRunsTheEconomy(t *testing.T) {
	storagetest.Each(t, anAppRunsTheEconomy)
}

// Nothing that the story does goes through a whole table.
func TestNoOperationTakesAWholeTable(t *testing.T) {
	db, ran := storagetest.Failing(t)
	anAppRunsTheEconomy(t, db)
	ran.WantIndexes(t, db)
}

func anAppRunsTheEconomy(t *testing.T, db *storage.DB) {
	w := newTownOn(t, db)
	bakery, ana := w.app(w.rye, w.bakery, "read write payments"), w.app(w.rye, w.ana, "read write payments")
	second := w.app(w.rye, activitypub.By{User: w.bo.User, Actor: w.bakery.Actor}, "read write payments")
	nobody := &app{w, w.rye, ""}

	// Who is there, and what do they pay with?
	if coops := nobody.lists("/coops"); len(coops) != 1 || coops[0]["username"] != "bakery" || len(coops[0]["roles"].([]any)) != 0 {
		t.Errorf("the co-ops are %v", coops)
	}
	if coop := w.app(w.rye, w.bo, "read").does("GET", "/coops/bakery", nil); fmt.Sprint(coop["roles"]) != "[treasurer]" {
		t.Errorf("bo's roles are %v", coop["roles"])
	}
	if members := bakery.lists("/coops/bakery/members"); len(members) != 2 || members[0]["handle"] != "@nuria@rye.example" {
		t.Errorf("the members are %v", members)
	}
	if all := nobody.lists("/currencies"); len(all) != 1 || all[0]["code"] != "GRN" || all[0]["credit_limit"] != "100.00" {
		t.Errorf("the currencies are %v", all)
	}
	if c := nobody.does("GET", "/currencies/grn", nil); c["iri"] != "https://rye.example/currencies/grn" {
		t.Errorf("the currency is %v", c)
	}

	// Ana joins.
	joined := ana.does("POST", "/coops/bakery/join", dict{"reason": "I bake, too"})
	if joined["state"] != "pending" || joined["needed"] != 1.0 {
		t.Errorf("the request is %v", joined)
	}
	if rs := bakery.lists("/coops/bakery/requests"); len(rs) != 1 || rs[0]["id"] != joined["id"] || rs[0]["person"].(dict)["handle"] != "@ana@rye.example" {
		t.Errorf("the requests are %v", rs)
	}
	if r := bakery.does("POST", "/coops/bakery/requests/"+joined["id"].(string)+"/approve", nil); r["state"] != "approved" {
		t.Errorf("the request is %v", r)
	}
	late := w.app(w.rye, w.rye.Person("lia"), "write")
	asks := late.does("POST", "/coops/bakery/join", dict{})
	if r := bakery.does("POST", "/coops/bakery/requests/"+asks["id"].(string)+"/refuse", dict{"reason": "we are enough"}); r["state"] != "refused" || r["answer"] != "we are enough" {
		t.Errorf("the request is %v", r)
	}

	// The bakery offers, ana finds and orders, the bakery accepts and delivers.
	offer := bakery.does("POST", "/offers", dict{"title": "Sourdough loaf", "text": "800 g", "price": "4.50", "currency": "GRN", "quantity": "12", "tags": []string{"bread"}, "place": "Girona"})
	if offer["price"] != "4.50" || offer["available"] != "12" || offer["state"] != "open" {
		t.Errorf("the offer is %v", offer)
	}
	at := "/offers/" + offer["id"].(string)
	if found := ana.lists("/offers?q=sourd&near=41.98,2.82&limit=1"); len(found) != 0 {
		t.Errorf("%v is near, and has no point on the map", found)
	}
	if found := ana.lists("/offers?q=sourd&coop=bakery"); len(found) != 1 || found[0]["id"] != offer["id"] {
		t.Errorf("found %v", found)
	}
	if o := bakery.does("PATCH", at, dict{"price": "4.80"}); o["price"] != "4.80" || o["available"] != "12" || o["title"] != "Sourdough loaf" {
		t.Errorf("the offer is %v", o)
	}
	if o := bakery.does("PATCH", at, dict{"state": "paused"}); o["state"] != "paused" {
		t.Errorf("the offer is %v", o)
	}
	ana.refused(409, "closed", "POST", at+"/orders", w.key(), dict{"quantity": "2"})
	bakery.does("PATCH", at, dict{"state": "open"})
	order := ana.does("POST", at+"/orders", dict{"quantity": "2", "note": "on Friday"})
	if order["state"] != "proposed" || order["amount"] != "9.60" || order["summary"] != "2 × Sourdough loaf, 9.60 GRN" || fmt.Sprint(order["acts"]) != "[cancel]" {
		t.Errorf("the order is %v", order)
	}
	if os := bakery.lists("/orders?state=proposed"); len(os) != 1 || os[0]["id"] != order["id"] || fmt.Sprint(os[0]["acts"]) != "[accept decline]" {
		t.Errorf("the orders are %v", os)
	}
	path := "/orders/" + order["id"].(string)
	if o := bakery.does("POST", path+"/accept", nil); o["state"] != "accepted" {
		t.Errorf("the order is %v", o)
	}
	if o := nobody.does("GET", at, nil); o["available"] != "10" {
		t.Errorf("%v are left", o["available"])
	}

	// Ana looks what it costs, and pays what she saw.
	intent := ana.does("POST", "/payments/intents", dict{"to": "bakery", "amount": "9.60", "currency": "GRN", "order": order["id"]})
	if intent["to"].(dict)["handle"] != "@bakery@rye.example" || intent["balance_after"] != "-9.60" || intent["spendable_after"] != "90.40" || intent["refusal"] != nil {
		t.Errorf("the intent is %v", intent)
	}
	w.wantBalance(w.ana, "0.00")
	paid := ana.does("POST", "/payments", dict{"intent": intent["intent"]})
	if paid["state"] != "committed" || paid["order_id"] != order["id"] || paid["receipt"] != true {
		t.Errorf("the payment is %v", paid)
	}
	w.wantBalance(w.ana, "-9.60")
	if o := ana.does("GET", path, nil); o["payment_id"] != paid["id"] {
		t.Errorf("the order is %v", o)
	}
	for act, by := range map[string]*app{"fulfil": bakery} {
		by.does("POST", path+"/"+act, dict{"words": "it is at the door"})
	}
	if o := ana.does("POST", path+"/confirm", nil); o["state"] != "confirmed" || len(o["steps"].([]any)) < 5 {
		t.Errorf("the order is %v", o)
	}
	rec := ana.sends("GET", "/payments/"+paid["id"].(string)+"/receipt", "", nil)
	if r, err := proof.ParseReceipt(rec.Body.Bytes()); err != nil || len(r.Leaf) == 0 {
		t.Errorf("the receipt is %v: %s", err, rec.Body)
	}

	// Held, taken in part; held, let go; given back; asked for; twice.
	held := ana.does("POST", "/payments", dict{"to": "@bakery@rye.example", "amount": "20", "currency": "GRN", "hold": 3600, "memo": "deposit"})
	if held["state"] != "held" {
		t.Errorf("the payment is %v", held)
	}
	if p := bakery.does("POST", "/payments/"+held["id"].(string)+"/post", dict{"amount": "5"}); p["state"] != "committed" || p["amount"] != "5.00" {
		t.Errorf("the payment is %v", p)
	}
	held = ana.does("POST", "/payments", dict{"to": "bakery", "amount": "20", "currency": "GRN", "hold": 3600})
	if p := bakery.does("POST", "/payments/"+held["id"].(string)+"/void", nil); p["state"] != "cancelled" && p["state"] != "rejected" {
		t.Errorf("the payment is %v", p)
	}
	back := bakery.does("POST", "/payments/"+paid["id"].(string)+"/refund", dict{"amount": "4.80", "memo": "one was burnt"})
	if back["refund_of"] != paid["id"] || back["kind"] != "refund" {
		t.Errorf("the refund is %v", back)
	}
	w.wantBalance(w.ana, "-9.80")
	asked := bakery.does("POST", "/requests", dict{"from": "ana", "amount": "3", "currency": "GRN", "memo": "a bag"})
	if asked["state"] != "open" || !strings.HasPrefix(asked["link"].(string), "https://rye.example/pay/r") {
		t.Errorf("the request is %v", asked)
	}
	if rs := ana.lists("/requests"); len(rs) != 1 || rs[0]["id"] != asked["id"] {
		t.Errorf("the requests are %v", rs)
	}
	if rec := bakery.sends("GET", "/requests/"+asked["id"].(string)+"/qr", "", nil); !strings.HasPrefix(rec.Body.String(), "\x89PNG") {
		t.Errorf("the code is no picture: %d", rec.Code)
	}
	if p := ana.does("POST", "/payments", dict{"request": asked["id"]}); p["state"] != "committed" || p["amount"] != "3.00" {
		t.Errorf("the payment is %v", p)
	}
	if r := bakery.does("GET", "/requests/"+asked["id"].(string), nil); r["state"] != "paid" || r["payment_id"] == nil {
		t.Errorf("the request is %v", r)
	}
	two := bakery.does("POST", "/requests", dict{"from": "ana", "amount": "4", "currency": "GRN"})
	if r := ana.does("POST", "/requests/"+two["id"].(string)+"/decline", nil); r["state"] != "refused" {
		t.Errorf("the request is %v", r)
	}
	three := bakery.does("POST", "/requests", dict{"from": "ana", "amount": "5", "currency": "GRN"})
	if r := bakery.does("POST", "/requests/"+three["id"].(string)+"/withdraw", nil); r["state"] != "withdrawn" {
		t.Errorf("the request is %v", r)
	}

	// Above 5 the bakery wants two.
	five := "5"
	w.must(w.rye.SetSignatures(t.Context(), w.bakery, activitypub.MoneyHere(w.grn), activitypub.NewSignatures{PerPayment: &five}))
	if i := bakery.does("POST", "/payments/intents", dict{"to": "ana", "amount": "6", "currency": "GRN"}); i["second_person"] != true {
		t.Errorf("the intent is %v", i)
	}
	var waits []dict
	for range 3 {
		p := bakery.does("POST", "/payments", dict{"to": "ana", "amount": "6", "currency": "GRN"})
		if p["state"] != "waiting" {
			t.Errorf("the payment is %v", p)
		}
		waits = append(waits, p)
	}
	if all := second.lists("/approvals"); len(all) != 3 || all[0]["id"] != waits[0]["id"] {
		t.Errorf("the approvals are %v", all)
	}
	bakery.refused(403, "own-case", "POST", "/approvals/"+waits[0]["id"].(string)+"/approve", w.key(), nil)
	if p := second.does("POST", "/approvals/"+waits[0]["id"].(string)+"/approve", nil); p["state"] != "committed" {
		t.Errorf("the payment is %v", p)
	}
	if p := second.does("POST", "/approvals/"+waits[1]["id"].(string)+"/refuse", dict{"reason": "for what?"}); p["state"] != "refused" || p["words"] != "for what?" {
		t.Errorf("the payment is %v", p)
	}
	if p := bakery.does("POST", "/payments/"+waits[2]["id"].(string)+"/cancel", nil); p["state"] != "cancelled" {
		t.Errorf("the payment is %v", p)
	}

	// What it comes to.
	w.wantBalance(w.ana, "-6.80")
	w.wantBalance(w.bakery, "6.80")
	mine := ana.lists("/accounts")
	if len(mine) != 1 || mine[0]["balance"] != "-6.80" || mine[0]["credit_limit"] != "100.00" || mine[0]["spendable"] != "93.20" {
		t.Errorf("the accounts are %v", mine)
	}
	account := "/accounts/" + mine[0]["id"].(string)
	if x := ana.does("GET", account, nil); x["balance"] != "-6.80" {
		t.Errorf("the account is %v", x)
	}
	s := ana.does("GET", account+"/statement?from=2026-11-24&to=2026-11-24", nil)
	entries := s["entries"].([]any)
	if s["opening"] != "0.00" || s["closing"] != "-6.80" || len(entries) != 5 || entries[0].(dict)["change"] != "-9.60" || entries[0].(dict)["payment_id"] != paid["id"] ||
		entries[4].(dict)["balance"] != "-6.80" || entries[2].(dict)["memo"] != "one was burnt" {
		t.Errorf("the statement is %v", s)
	}
	if rec := ana.sends("GET", account+"/statement?format=csv", "", nil); strings.Count(rec.Body.String(), "\n") != 6 || !strings.Contains(rec.Body.String(), "one was burnt") {
		t.Errorf("the statement is %s", rec.Body)
	}
	if rec := ana.sends("GET", account+"/statement?format=hledger", "", nil); !strings.Contains(rec.Body.String(), "GRN") {
		t.Errorf("the statement is %s", rec.Body)
	}
	all := ana.lists("/payments?limit=2")
	if rec := ana.sends("GET", "/payments?limit=2", "", nil); len(all) != 2 || !strings.Contains(rec.Header().Get("Link"), `max_id=`+all[1]["id"].(string)) {
		t.Errorf("the page is %v, %q", all, rec.Header().Get("Link"))
	}
	if p := ana.does("GET", "/payments/"+paid["id"].(string), nil); p["amount"] != "9.60" {
		t.Errorf("the payment is %v", p)
	}
	bakery.does("DELETE", at, nil)
	nobody.refused(404, "not-found", "GET", at, "", nil)

	for _, o := range w.doc.routes {
		if !o.seen {
			t.Errorf("%s has not answered in this story", o.name)
		}
	}
}

// TestACurrencyElsewhere: pat of another node is paid, and pays back, in the bakery's currency.
func TestACurrencyElsewhere(t *testing.T) {
	w := newTown(t)
	ctx := t.Context()
	pat, bakery := w.app(w.oak, w.pat, "payments"), w.app(w.rye, w.bakery, "payments")
	m, err := w.oak.Money(ctx, w.grn.Book.IRI)
	w.must(err)
	far, err := w.rye.Resolve(ctx, "@pat@oak.example")
	w.must(err)
	_, err = w.rye.OpenAccount(ctx, w.bakery, w.grn, far)
	w.must(err)
	bakery.does("POST", "/payments", dict{"to": "@pat@oak.example", "amount": "8", "currency": "GRN"})
	w.net.Deliver()

	intent := pat.does("POST", "/payments/intents", dict{"to": "@bakery@rye.example", "amount": "3", "currency": m.Book.IRI})
	if intent["balance_after"] != "5.00" || intent["refusal"] != nil {
		t.Errorf("the intent is %v", intent)
	}
	if i := pat.does("POST", "/payments/intents", dict{"to": "@bakery@rye.example", "amount": "300", "currency": m.Book.IRI}); i["refusal"].(dict)["code"] != "credit_limit" {
		t.Errorf("the intent is %v", i)
	}
	sent := pat.does("POST", "/payments", dict{"intent": intent["intent"]})
	if sent["state"] != "sent" {
		t.Errorf("the payment is %v", sent)
	}
	w.net.Deliver()
	if p := pat.does("GET", "/payments/"+sent["id"].(string), nil); p["state"] != "committed" {
		t.Errorf("the payment is %v", p)
	}
	mine := pat.lists("/accounts")
	if len(mine) != 1 || mine[0]["balance"] != "5.00" || mine[0]["here"] != false || mine[0]["name"] != "GRN of rye.example" {
		t.Errorf("the accounts are %v", mine)
	}
	s := pat.does("GET", "/accounts/"+mine[0]["id"].(string)+"/statement", nil)
	if entries := s["entries"].([]any); s["closing"] != "5.00" || len(entries) != 2 || entries[1].(dict)["change"] != "-3.00" || entries[1].(dict)["other"].(dict)["handle"] != "@bakery@rye.example" {
		t.Errorf("the statement is %v", s)
	}

	// Away, the ledger says nothing, and the app is told so.
	w.net.Away("rye.example", true)
	w.net.Forgive("rye.example")
	if x := pat.does("GET", "/accounts/"+mine[0]["id"].(string), nil); x["balance"] != nil {
		t.Errorf("the account is %v", x)
	}
	if i := pat.does("POST", "/payments/intents", dict{"to": "@bakery@rye.example", "amount": "1", "currency": m.Book.IRI}); len(i["warnings"].([]any)) == 0 || i["balance_after"] != nil {
		t.Errorf("the intent is %v", i)
	}
}

// TestPAY297AKeyIsKeptForEver: the same under the same key is done once; something else under it is refused and changes nothing.
func TestPAY297AKeyIsKeptForEver(t *testing.T) {
	storagetest.Each(t, aKeyIsKeptForEver)
}

func aKeyIsKeptForEver(t *testing.T, db *storage.DB) {
	w := newTownOn(t, db)
	ana, bakery := w.app(w.rye, w.ana, "read write payments"), w.app(w.rye, w.bakery, "read write payments")
	body := dict{"to": "bakery", "amount": "2", "currency": "GRN"}
	first := w.object(ana.sends("POST", "/payments", "loaves", body))
	for range 3 {
		w.net.Sleep(400 * 24 * time.Hour)
		if again := w.object(ana.sends("POST", "/payments", "loaves", body)); again["id"] != first["id"] || again["state"] != "committed" {
			t.Errorf("got %v, want the first one", again)
		}
	}
	w.wantBalance(w.ana, "-2.00")
	before := w.rye.State()
	for name, other := range map[string]dict{"amount": {"to": "bakery", "amount": "3", "currency": "GRN"}, "memo": {"to": "bakery", "amount": "2", "currency": "GRN", "memo": "x"}, "hold": {"to": "bakery", "amount": "2", "currency": "GRN", "hold": 60}} {
		if out := ana.refused(409, "idempotency_mismatch", "POST", "/payments", "loaves", other); out["error"] == "" {
			t.Error(name)
		}
	}
	ana.refused(409, "idempotency_mismatch", "POST", "/requests", "loaves", dict{"from": "bakery", "amount": "2", "currency": "GRN"})
	w.rye.WantUnmoved(before)
	for _, key := range []string{"", " ", strings.Repeat("x", 151), "a\x01b"} {
		ana.refused(400, "idempotency_key", "POST", "/payments", key, body)
	}
	w.wantBalance(w.ana, "-2.00")

	// What is not a payment, too; and somebody else's key is another one.
	request := dict{"from": "ana", "amount": "1", "currency": "GRN"}
	one, two := w.object(bakery.sends("POST", "/requests", "bag", request)), w.object(bakery.sends("POST", "/requests", "bag", request))
	if one["id"] != two["id"] {
		t.Errorf("two requests under one key: %v, %v", one["id"], two["id"])
	}
	offer := dict{"title": "A loaf"}
	one, two = w.object(bakery.sends("POST", "/offers", "offer", offer)), w.object(bakery.sends("POST", "/offers", "offer", offer))
	if one["id"] != two["id"] {
		t.Errorf("two offers under one key: %v, %v", one["id"], two["id"])
	}
	if other := w.object(ana.sends("POST", "/offers", "offer", offer)); other["id"] == one["id"] {
		t.Errorf("ana got the bakery's offer")
	}
	order := w.object(ana.sends("POST", "/offers/"+one["id"].(string)+"/orders", "order", dict{}))
	if again := w.object(ana.sends("POST", "/offers/"+one["id"].(string)+"/orders", "order", dict{})); again["id"] != order["id"] {
		t.Errorf("two orders under one key")
	}
	for range 2 {
		if o := w.object(bakery.sends("POST", "/orders/"+order["id"].(string)+"/accept", "yes", nil)); o["state"] != "accepted" {
			t.Errorf("the order is %v", o)
		}
	}
	bakery.refused(409, "state", "POST", "/orders/"+order["id"].(string)+"/accept", "yes, again", nil)
	// A refusal leaves the key free for the same thing later.
	ana.refused(422, "credit_limit", "POST", "/payments", "much", dict{"to": "bakery", "amount": "150", "currency": "GRN"})
	ana.refused(422, "credit_limit", "POST", "/payments", "much", dict{"to": "bakery", "amount": "150", "currency": "GRN"})
	w.wantBalance(w.ana, "-2.00")
}

// TestOneKeyAtOnce: twenty at the same time under one key are one.
func TestOneKeyAtOnce(t *testing.T) {
	storagetest.Each(t, oneKeyAtOnce)
}

func oneKeyAtOnce(t *testing.T, db *storage.DB) {
	w := newTownOn(t, db)
	ana, bakery := w.app(w.rye, w.ana, "payments"), w.app(w.rye, w.bakery, "read write payments")
	type answer struct {
		code int
		id   any
	}
	at := func(a *app, path, key string, body dict) map[any]int {
		answers := make(chan answer)
		raw, _ := json.Marshal(body)
		for range 20 {
			go func() {
				r := httptest.NewRequest("POST", "https://rye.example/api/planet/v1"+path, bytes.NewReader(raw))
				r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + a.token}, "Idempotency-Key": {key}}
				rec := httptest.NewRecorder()
				w.web[w.rye].ServeHTTP(rec, r)
				var out dict
				_ = json.Unmarshal(rec.Body.Bytes(), &out)
				answers <- answer{rec.Code, out["id"]}
			}()
		}
		ids := map[any]int{}
		for range 20 {
			if x := <-answers; x.code < 300 {
				ids[x.id]++
			} else {
				ids[x.code]++
			}
		}
		return ids
	}
	if ids := at(ana, "/payments", "one", dict{"to": "bakery", "amount": "2", "currency": "GRN"}); len(ids) != 1 {
		t.Errorf("payments: %v, want one", ids)
	}
	w.wantBalance(w.ana, "-2.00")
	if ids := at(bakery, "/requests", "two", dict{"from": "ana", "amount": "2", "currency": "GRN"}); len(ids) != 1 {
		t.Errorf("requests: %v, want one", ids)
	}
	if ids := at(bakery, "/offers", "three", dict{"title": "A loaf"}); len(ids) != 1 {
		t.Errorf("offers: %v, want one", ids)
	}
}

// TestAnIntentThatNoLongerFits: what would be otherwise than it was shown is not done.
func TestAnIntentThatNoLongerFits(t *testing.T) {
	w := newTown(t)
	ana, bo := w.app(w.rye, w.ana, "payments"), w.app(w.rye, w.bo, "payments")
	draft := dict{"to": "bakery", "amount": "60", "currency": "GRN"}
	intent := ana.does("POST", "/payments/intents", draft)
	ana.does("POST", "/payments", draft)
	ana.refused(409, "credit_limit", "POST", "/payments", "a", dict{"intent": intent["intent"]})
	w.wantBalance(w.ana, "-60.00")
	small := ana.does("POST", "/payments/intents", dict{"to": "bakery", "amount": "1", "currency": "GRN"})
	bo.refused(422, "invalid", "POST", "/payments", "b", dict{"intent": small["intent"]}) // of somebody else
	forged := small["intent"].(string)
	ana.refused(422, "invalid", "POST", "/payments", "c", dict{"intent": "x" + forged})
	ana.refused(422, "invalid", "POST", "/payments", "d", dict{"intent": forged[:len(forged)-1]})
	ana.refused(422, "invalid", "POST", "/payments", "e", dict{"intent": forged, "amount": "2"})
	half := uint16(5000)
	w.must(w.rye.SetRules(t.Context(), w.bakery, w.grn, activitypub.NewRules{Levy: &half, LevyTo: w.bo.Actor}, "https://rye.example/@bakery/1"))
	ana.refused(409, "intent_changed", "POST", "/payments", "f", dict{"intent": forged})
	fresh := ana.does("POST", "/payments/intents", dict{"to": "bakery", "amount": "1", "currency": "GRN"})
	w.net.Sleep(11 * time.Minute)
	ana.refused(409, "expired", "POST", "/payments", "g", dict{"intent": fresh["intent"]})
	w.wantBalance(w.ana, "-60.00")
	ana.refused(422, "invalid", "POST", "/payments/intents", "", dict{"to": "nobody", "amount": "1", "currency": "GRN"})
	ana.refused(422, "unknown_currency", "POST", "/payments/intents", "", dict{"to": "bakery", "amount": "1", "currency": "XXX"})
}

// TestPAY279PAY280WhatIsNoAmount, and what is no request at all.
func TestPAY279PAY280WhatIsNoAmount(t *testing.T) {
	w := newTown(t)
	ana := w.app(w.rye, w.ana, "payments")
	before := w.rye.State()
	for _, amount := range []string{"-1", "-0", "1e2", "1.001", "1,00", " 1", "１", "٣", "0x10", "NaN", "Infinity", "1000000000000000000000000000000", "9007199254740993000", "9223372036854775807", "9223372036854775808", ""} {
		ana.refused(422, "bad_amount", "POST", "/payments", w.key(), dict{"to": "bakery", "amount": amount, "currency": "GRN"})
	}
	for name, body := range map[string]string{
		"a number":          `{"to":"bakery","amount":0.1,"currency":"GRN"}`,
		"a list":            `{"to":"bakery","amount":["1"],"currency":"GRN"}`,
		"twice":             `{"to":"bakery","amount":"1","amount":"100","currency":"GRN"}`,
		"twice, in capital": `{"to":"bakery","amount":"1","AMOUNT":"100","currency":"GRN"}`,
		"two bodies":        `{"to":"bakery","amount":"1","currency":"GRN"}{"amount":"2"}`,
		"an unknown field":  `{"to":"bakery","amount":"1","currency":"GRN","from":"bo"}`,
		"cut off":           `{"to":"bakery","amount":"1"`,
		"a string":          `"pay"`,
	} {
		if rec := ana.sends("POST", "/payments", w.key(), body); rec.Code != 400 {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	r := httptest.NewRequest("POST", "https://rye.example/api/planet/v1/payments", strings.NewReader("to=bakery&amount=1&currency=GRN"))
	r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {"Bearer " + ana.token}, "Idempotency-Key": {"form"}}
	rec := httptest.NewRecorder()
	w.web[w.rye].ServeHTTP(rec, r)
	if rec.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d", rec.Code)
	}
	w.rye.WantUnmoved(before)
	ana.refused(422, "bad_amount", "POST", "/payments", w.key(), dict{"to": "bakery", "amount": "0", "currency": "GRN"}) // the ledger's own answer, which is kept
	w.wantBalance(w.ana, "0.00")
}

// TestADM242MoneyOfOthers: what is hers is nobody else's to see or to move.
func TestADM242MoneyOfOthers(t *testing.T) {
	w := newTown(t)
	ana, bakery, bo := w.app(w.rye, w.ana, "read write payments"), w.app(w.rye, w.bakery, "read write payments"), w.app(w.rye, w.bo, "read write payments")
	held := ana.does("POST", "/payments", dict{"to": "bakery", "amount": "2", "currency": "GRN", "hold": 3600})
	asked := bakery.does("POST", "/requests", dict{"from": "ana", "amount": "1", "currency": "GRN"})
	offer := bakery.does("POST", "/offers", dict{"title": "A loaf"})
	order := ana.does("POST", "/offers/"+offer["id"].(string)+"/orders", nil)
	account := ana.lists("/accounts")[0]["id"].(string)
	before := w.rye.State()
	id := held["id"].(string)
	for _, path := range []string{"/payments/" + id, "/payments/" + id + "/receipt", "/requests/" + asked["id"].(string), "/requests/" + asked["id"].(string) + "/qr", "/orders/" + order["id"].(string), "/accounts/" + account,
		"/accounts/" + account + "/statement", "/payments/0", "/payments/1=1", "/accounts/x"} {
		bo.refused(404, "not-found", "GET", path, "", nil)
	}
	for _, path := range []string{"/payments/" + id + "/post", "/payments/" + id + "/void", "/payments/" + id + "/refund", "/payments/" + id + "/cancel", "/approvals/" + id + "/approve", "/requests/" + asked["id"].(string) + "/withdraw",
		"/requests/" + asked["id"].(string) + "/decline", "/orders/" + order["id"].(string) + "/cancel", "/orders/" + order["id"].(string) + "/accept"} {
		bo.refused(404, "not-found", "POST", path, w.key(), nil)
	}
	bo.refused(404, "not-found", "DELETE", "/offers/"+offer["id"].(string), "", nil)
	bo.refused(404, "not-found", "PATCH", "/offers/"+offer["id"].(string), w.key(), dict{"price": "0.01", "currency": "GRN"})
	bo.refused(403, "not_authorized", "GET", "/coops/bakery/requests", "", nil) // she is its treasurer, and this app acts for her alone
	ana.refused(403, "members-only", "GET", "/coops/bakery/members", "", nil)
	ana.refused(403, "payee", "POST", "/payments/"+id+"/post", w.key(), nil)
	bakery.refused(403, "payer", "POST", "/payments/"+id+"/cancel", w.key(), nil)
	w.rye.WantUnmoved(before)
	if len(bo.lists("/payments")) != 0 || len(bo.lists("/requests")) != 0 || len(bo.lists("/orders")) != 0 {
		t.Error("bo sees what is not his")
	}
}

// TestMoneyTakesItsScope: no umbrella contains payments, neither to see nor to move, and a role that ends ends the token.
func TestMoneyTakesItsScope(t *testing.T) {
	w := newTown(t)
	all := w.app(w.rye, w.ana, "read write follow push profile admin:read admin:write")
	for _, o := range w.doc.routes {
		security := o.op["security"].([]any)[0].(dict)
		scopes, _ := security["oauth"].([]any)
		path := regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(strings.TrimPrefix(w.doc.pathOf(o), "/api/planet/v1"), "1")
		switch {
		case len(scopes) == 0:
			continue
		case scopes[0] == "payments":
			all.refused(403, "scope", o.method, path, "", nil)
		default:
			w.app(w.rye, w.ana, "payments push").refused(403, "scope", o.method, path, "", nil)
		}
		(&app{w, w.rye, ""}).refused(401, "token", o.method, path, "", nil)
		(&app{w, w.rye, "wrong"}).refused(401, "token", o.method, path, "", nil)
	}
	bo := w.app(w.rye, activitypub.By{User: w.bo.User, Actor: w.bakery.Actor}, "payments")
	bo.does("POST", "/payments", dict{"to": "ana", "amount": "1", "currency": "GRN"})
	w.must(w.rye.TakeRole(t.Context(), w.bakery, w.bo.User, storage.RoleTreasurer))
	bo.refused(401, "token", "POST", "/payments", w.key(), dict{"to": "ana", "amount": "1", "currency": "GRN"})
	w.wantBalance(w.ana, "1.00")
}

// TestPAY294WhoIsPaidIsShown: as servers know her, with what is odd about it.
func TestPAY294WhoIsPaidIsShown(t *testing.T) {
	w := newTown(t)
	ana := w.app(w.rye, w.ana, "payments")
	for i, c := range []struct{ user, domain, name, want string }{
		{"bakery", "xn--rye-xqa.example", "Bakery", "looks like"}, {"treasurer", "far.example", "@bakery@rye.example", "calls herself by what looks like an address"}, {"b\u0430kery", "far.example", "Bakery", "letters that look like others"},
	} {
		iri := storage.IRI("https://" + c.domain + "/users/" + strconv.Itoa(i))
		a := &storage.Actor{IRI: iri, Type: storage.Person, Username: c.user, Domain: c.domain, Name: c.name, Inbox: iri + "/inbox", FetchedAt: w.net.Now(), PublishedAt: w.net.Now()}
		w.must(w.rye.DB.SaveActor(t.Context(), a))
		intent := ana.does("POST", "/payments/intents", dict{"to": string(iri), "amount": "1", "currency": "GRN"})
		warnings := fmt.Sprint(intent["warnings"])
		if to := intent["to"].(dict); to["handle"] != "@"+c.user+"@"+c.domain || to["iri"] != string(iri) || !strings.Contains(warnings, c.want) {
			t.Errorf("paying %s shows %v, and warns of %s", iri, to, warnings)
		}
	}
	if intent := ana.does("POST", "/payments/intents", dict{"to": "bakery", "amount": "1", "currency": "GRN"}); len(intent["warnings"].([]any)) != 0 {
		t.Errorf("the bakery next door is suspicious: %v", intent["warnings"])
	}
	ana.does("POST", "/payments", dict{"to": "bakery", "amount": "1", "currency": "GRN"})
	if intent := ana.does("POST", "/payments/intents", dict{"to": "bakery", "amount": "1", "currency": "GRN"}); !strings.Contains(fmt.Sprint(intent["warnings"]), "a second time") {
		t.Errorf("the same again warns of %v", intent["warnings"])
	}
}

// TestWhatARoleMayDo holds each act of the API to the table of roles (docs/coops.md), for those roles by which one speaks for a co-op at all.
func TestWhatARoleMayDo(t *testing.T) {
	w := newTown(t)
	ctx := t.Context()
	other := w.app(w.rye, w.ana, "read write payments")
	acts := []struct {
		name string
		may  []string
		do   func(a *app) *httptest.ResponseRecorder
	}{
		{"pay", []string{"admin", "treasurer", "cashier"}, func(a *app) *httptest.ResponseRecorder {
			return a.sends("POST", "/payments", w.key(), dict{"to": "ana", "amount": "1", "currency": "GRN"})
		}},
		{"intend to pay", []string{"admin", "treasurer", "cashier"}, func(a *app) *httptest.ResponseRecorder {
			return a.sends("POST", "/payments/intents", "", dict{"to": "ana", "amount": "1", "currency": "GRN"})
		}},
		{"take what is held", []string{"admin", "treasurer", "cashier"}, func(a *app) *httptest.ResponseRecorder {
			held := other.does("POST", "/payments", dict{"to": "bakery", "amount": "1", "currency": "GRN", "hold": 3600})
			return a.sends("POST", "/payments/"+held["id"].(string)+"/post", w.key(), nil)
		}},
		{"give back", []string{"admin", "treasurer", "cashier"}, func(a *app) *httptest.ResponseRecorder {
			paid := other.does("POST", "/payments", dict{"to": "bakery", "amount": "1", "currency": "GRN"})
			return a.sends("POST", "/payments/"+paid["id"].(string)+"/refund", w.key(), nil)
		}},
		{"ask for money", []string{"admin", "treasurer", "cashier"}, func(a *app) *httptest.ResponseRecorder {
			return a.sends("POST", "/requests", w.key(), dict{"from": "ana", "amount": "1", "currency": "GRN"})
		}},
		{"see what waits", []string{"admin", "treasurer", "cashier"}, func(a *app) *httptest.ResponseRecorder { return a.sends("GET", "/approvals", "", nil) }},
		{"order", []string{"admin", "treasurer", "cashier", "editor"}, func(a *app) *httptest.ResponseRecorder {
			offer := other.does("POST", "/offers", dict{"title": "Jam"})
			return a.sends("POST", "/offers/"+offer["id"].(string)+"/orders", w.key(), nil)
		}},
		{"offer", []string{"admin", "editor"}, func(a *app) *httptest.ResponseRecorder {
			return a.sends("POST", "/offers", w.key(), dict{"title": "Bread"})
		}},
		{"admit", []string{"admin"}, func(a *app) *httptest.ResponseRecorder { return a.sends("GET", "/coops/bakery/requests", "", nil) }},
		{"see the account", []string{"admin", "treasurer", "cashier", "editor"}, func(a *app) *httptest.ResponseRecorder { return a.sends("GET", "/accounts", "", nil) }},
	}
	for _, role := range storage.Roles {
		her := w.rye.Person("with_" + role)
		w.must(w.rye.GiveRole(ctx, w.bakery, her.User, role))
		a := w.app(w.rye, activitypub.By{User: her.User, Actor: w.bakery.Actor}, "read write payments")
		for _, act := range acts {
			rec := act.do(a)
			switch may := slices.Contains(act.may, role); {
			case !slices.Contains([]string{"admin", "treasurer", "cashier", "editor"}, role):
				if rec.Code != 401 { // there is no token as the co-op for her
					t.Errorf("a %s may %s: %d", role, act.name, rec.Code)
				}
			case may && rec.Code >= 300, !may && (rec.Code != 403 || w.object(rec)["code"] != "role"):
				t.Errorf("a %s may %s: %v; answered %d %s", role, act.name, may, rec.Code, rec.Body)
			}
		}
	}
}

// TestTheDocumentIsWhole: it is OpenAPI 3.1 as far as one can tell without its meta-schema: names, parameters, references and shapes hold together.
func TestTheDocumentIsWhole(t *testing.T) {
	w := newTown(t)
	if w.doc.raw["openapi"] != "3.1.0" {
		t.Errorf("openapi is %v", w.doc.raw["openapi"])
	}
	names := map[string]bool{}
	for _, o := range w.doc.routes {
		if names[o.name] {
			t.Errorf("two operations are called %s", o.name)
		}
		names[o.name] = true
		path := w.doc.pathOf(o)
		var inPath []string
		params, _ := o.op["parameters"].([]any)
		for _, p := range params {
			if p := p.(dict); p["in"] == "path" {
				inPath = append(inPath, "{"+p["name"].(string)+"}")
			}
		}
		if want := regexp.MustCompile(`\{[a-z]+\}`).FindAllString(path, -1); !slices.Equal(inPath, want) {
			t.Errorf("%s has the parameters %v, want %v", path, inPath, want)
		}
		if o.op["summary"] == "" {
			t.Errorf("%s says nothing", o.name)
		}
	}
	for name := range w.doc.raw["components"].(dict)["schemas"].(dict) {
		if _, err := w.doc.schemas.Compile("https://rye.example/api/openapi.json#/components/schemas/" + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
