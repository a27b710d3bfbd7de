// Package economy is the API of this node for what Mastodon's has no words for: co-ops, offers, orders, currencies, accounts and payments. Apps use it with the tokens of web/oauth, as
// the person or co-op that the token is for.
//
// It is JSON alone, strictly read. Amounts are decimal strings beside their currency, ids are strings, times are RFC 3339 in UTC. What moves value, and what shows it, takes the scope
// payments, which no other contains; what moves it takes an Idempotency-Key, which is kept for ever (call.go). api.go is the table of routes; the document at /api/openapi.json is made
// of it (openapi.go).
package economy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
)

// base is where the API stands.
const base = "/api/planet/v1"

// maxBody is what an app may send at most.
const maxBody = 64 << 10

// Config is what the API needs.
type Config struct {
	Node    *activitypub.Node
	DB      *storage.DB
	OAuth   *oauth.Server
	Origin  string
	Version string // of PLANET
}

// API answers apps.
type API struct {
	Config
	document []byte // what /api/openapi.json says
}

// New makes an API.
func New(c Config) (a *API, err error) {
	a = &API{Config: c}
	a.document, err = a.describe()
	return a, err
}

// call is one request of an app.
type call struct {
	echo.Context
	ctx  context.Context
	who  *oauth.Caller // nil for nobody
	form *oauth.Form   // the query
	body []byte
	key  string        // Idempotency-Key
	call *storage.Call // what is known of it; nil without one

	parties map[storage.IRI]Party              // that this answer has named before: lists name the same ones again and again
	money   map[storage.IRI]*activitypub.Money // likewise
}

// by is who acts, as whom. Without a token it is nobody.
func (c *call) by() activitypub.By {
	if c.who == nil {
		return activitypub.By{}
	}
	return activitypub.By{User: c.who.User, Actor: c.who.Actor, Call: c.call}
}

// The scopes of the table. Money is seen and moved by apps that have asked for it by name, and by no others.
const (
	open     = ""
	money    = oauth.Payments
	readCoop = "read:accounts"
	joinCoop = "write:accounts"
	publish  = "write:statuses"
)

// route is a line of the table. What a handler returns is the answer, unless it has answered itself.
type route struct {
	method, path string
	scope        string
	keyed        bool // takes an Idempotency-Key
	name         string
	words        string // what it does
	query        []param
	in           any // the body; nil for none
	out          any // the answer; nil: it is no JSON
	status       int
	handle       func(*API, *call) (any, error)
}

// param is a parameter of the query.
type param struct{ name, words string }

var paged = []param{{"limit", "How many at most: 40 unless said, and no more than 80."}, {"max_id", "Older than this one."}, {"since_id", "Newer than this one."}, {"min_id", "Just newer than this one."}}

// routes is every address of the API, below base.
var routes = []route{
	{"GET", "/coops", open, false, "listCoops", "List the co-ops of this node.", nil, nil, []Coop{}, 200, (*API).coops},
	{"GET", "/coops/:name", open, false, "getCoop", "Show a co-op; with a token also which roles its person has there.", nil, nil, Coop{}, 200, (*API).showCoop},
	{"GET", "/coops/:name/members", readCoop, false, "listMembers", "List the members of a co-op with their roles, to its members.", nil, nil, []Member{}, 200, (*API).members},
	{"POST", "/coops/:name/join", joinCoop, true, "joinCoop", "Ask a co-op to become a member, as a person.", nil, JoinDraft{}, JoinRequest{}, 200, (*API).join},
	{"GET", "/coops/:name/requests", readCoop, false, "listJoinRequests", "List who asks to become a member, with a token of the co-op and as one of its admins.",
		[]param{{"all", "true: also those that were answered."}}, nil, []JoinRequest{}, 200, (*API).joinRequests},
	{"POST", "/coops/:name/requests/:id/approve", joinCoop, true, "approveJoin", "Say yes to who asks.", nil, nil, JoinRequest{}, 200, (*API).approveJoin},
	{"POST", "/coops/:name/requests/:id/refuse", joinCoop, true, "refuseJoin", "Say no to who asks, and why.", nil, Reason{}, JoinRequest{}, 200, (*API).refuseJoin},

	{"GET", "/offers", open, false, "listOffers", "Search the market: what is open here, and known from elsewhere.",
		append([]param{{"q", "Words that are found at the beginning of words."}, {"purpose", "offer or request."}, {"category", "goods or services."}, {"near", "Latitude and longitude, as in 41.98,2.82."},
			{"within", "Kilometres around near: 10 unless said."}, {"coop", "The handle of whose they are."}, {"currency", "A code or an address."}, {"most", "What one lot costs at most."}}, paged...),
		nil, []Offer{}, 200, (*API).offers},
	{"POST", "/offers", publish, true, "createOffer", "Offer something, or ask for it.", nil, OfferDraft{}, Offer{}, 201, (*API).createOffer},
	{"GET", "/offers/:id", open, false, "getOffer", "Show an offer.", nil, nil, Offer{}, 200, (*API).showOffer},
	{"PATCH", "/offers/:id", publish, true, "updateOffer", "Change an offer; what is not said stays as it is.", nil, OfferDraft{}, Offer{}, 200, (*API).updateOffer},
	{"DELETE", "/offers/:id", publish, false, "deleteOffer", "Take an offer back. What was accepted stays accepted.", nil, nil, Done{}, 200, (*API).deleteOffer},
	{"POST", "/offers/:id/orders", money, true, "placeOrder", "Order what is offered, or answer a request.", nil, OrderDraft{}, Order{}, 201, (*API).placeOrder},

	{"GET", "/orders", money, false, "listOrders", "List what was ordered by whom the token is for, and of her.", append([]param{{"state", "Only those in this state; it may be said several times."}}, paged...),
		nil, []Order{}, 200, (*API).orders},
	{"GET", "/orders/:id", money, false, "getOrder", "Show an order with what happened to it.", nil, nil, Order{}, 200, (*API).showOrder},
	{"POST", "/orders/:id/:act", money, true, "moveOrder", "Do something with an order: accept, decline, agree, cancel, fulfil, confirm or dispute.", nil, Words{}, Order{}, 200, (*API).moveOrder},

	{"GET", "/currencies", open, false, "listCurrencies", "List the currencies of this node.", nil, nil, []Currency{}, 200, (*API).currencies},
	{"GET", "/currencies/:code", open, false, "getCurrency", "Show a currency of this node.", nil, nil, Currency{}, 200, (*API).showCurrency},

	{"GET", "/accounts", money, false, "listAccounts", "List the accounts of whom the token is for, wherever their books are kept.", nil, nil, []Account{}, 200, (*API).accounts},
	{"GET", "/accounts/:id", money, false, "getAccount", "Show an account.", nil, nil, Account{}, 200, (*API).showAccount},
	{"GET", "/accounts/:id/statement", money, false, "getStatement", "What moved on an account, oldest first.",
		[]param{{"from", "From this day on, such as 2026-11-01 (UTC)."}, {"to", "Until the end of this day."}, {"format", "json unless said; also csv, jsonl, hledger, beancount or ofx."}}, nil, Statement{}, 200, (*API).statement},

	{"POST", "/payments/intents", money, false, "intendPayment", "Say what a payment would do. Nothing moves.", nil, PaymentDraft{}, Intent{}, 200, (*API).intend},
	{"POST", "/payments", money, true, "pay", "Pay: as an intent says, or at once.", nil, PaymentOrder{}, Payment{}, 202, (*API).pay},
	{"GET", "/payments", money, false, "listPayments", "List payments from and to whom the token is for, newest first.", paged[:2], nil, []Payment{}, 200, (*API).payments},
	{"GET", "/payments/:id", money, false, "getPayment", "Show a payment.", nil, nil, Payment{}, 200, (*API).showPayment},
	{"GET", "/payments/:id/receipt", money, false, "getReceipt", "The receipt of a payment: a C2SP tlog-proof, which holds without this node.", nil, nil, nil, 200, (*API).receipt},
	{"POST", "/payments/:id/post", money, true, "postPayment", "Take what is held, as its payee; of an amount, the rest goes back.", nil, Part{}, Payment{}, 202, (*API).postPayment},
	{"POST", "/payments/:id/void", money, true, "voidPayment", "Let what is held go, as its payee.", nil, nil, Payment{}, 202, (*API).voidPayment},
	{"POST", "/payments/:id/refund", money, true, "refundPayment", "Give a payment back, as its payee. The answer is the payment that does it.", nil, Refund{}, Payment{}, 202, (*API).refundPayment},
	{"POST", "/payments/:id/cancel", money, true, "cancelPayment", "Take a payment back that nobody has answered yet, as its payer.", nil, nil, Payment{}, 202, (*API).cancelPayment},

	{"POST", "/requests", money, true, "requestPayment", "Ask somebody for a payment: an invoice.", nil, RequestDraft{}, Request{}, 201, (*API).requestPayment},
	{"GET", "/requests", money, false, "listRequests", "List requests of whom the token is for, and to her, newest first.", paged, nil, []Request{}, 200, (*API).requests},
	{"GET", "/requests/:id", money, false, "getRequest", "Show a request.", nil, nil, Request{}, 200, (*API).showRequest},
	{"GET", "/requests/:id/qr", money, false, "getRequestCode", "The link of a request as a QR code, a PNG.", nil, nil, nil, 200, (*API).requestCode},
	{"POST", "/requests/:id/withdraw", money, true, "withdrawRequest", "Take a request back, as who asked.", nil, nil, Request{}, 200, (*API).withdrawRequest},
	{"POST", "/requests/:id/decline", money, true, "declineRequest", "Say no to a request, as who is asked.", nil, nil, Request{}, 200, (*API).declineRequest},

	{"GET", "/approvals", money, false, "listApprovals", "List the payments of a co-op that wait for a second person.", nil, nil, []Payment{}, 200, (*API).approvals},
	{"POST", "/approvals/:id/approve", money, true, "approvePayment", "Say yes to such a payment, as somebody else than who proposed it.", nil, nil, Payment{}, 202, (*API).approvePayment},
	{"POST", "/approvals/:id/refuse", money, true, "refusePayment", "Say no to such a payment, and why.", nil, Reason{}, Payment{}, 200, (*API).refusePayment},
}

// Register adds the routes.
func (a *API) Register(e *echo.Echo) {
	for _, r := range routes {
		e.Add(r.method, base+r.path, func(c echo.Context) error { return a.serve(c, r) })
	}
	e.GET("/api/openapi.json", func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "public, max-age=3600")
		return c.Blob(http.StatusOK, "application/json", a.document)
	})
}

// serve asks who calls and whether she may, reads what she sent, and answers.
func (a *API) serve(c echo.Context, r route) error {
	req := c.Request()
	k := &call{Context: c, ctx: req.Context(), parties: map[storage.IRI]Party{}, money: map[storage.IRI]*activitypub.Money{}}
	h := c.Response().Header()
	h.Set("Cache-Control", "private, no-store")
	h.Set("Vary", "Authorization, Origin")
	if req.Header.Get("Authorization") != "" || r.scope != open {
		who, err := a.OAuth.Caller(req)
		if err != nil {
			return err
		}
		if r.scope != open {
			if err := who.Need(r.scope); err != nil {
				return err
			}
		}
		if who.User != nil && (r.scope != open || who.Scopes.Allow(readCoop)) { // else she reads what anybody reads
			k.who = who
		}
	}
	k.form = &oauth.Form{Values: req.URL.Query()}
	if err := k.readBody(r); err != nil {
		return err
	}
	if r.keyed {
		if err := k.readKey(); err != nil {
			return err
		}
	}
	out, err := r.handle(a, k)
	if err != nil || out == nil {
		return err
	}
	return c.JSON(r.status, out)
}

// bad refuses what cannot be read.
func bad(format string, args ...any) error {
	return &activitypub.Problem{Status: http.StatusBadRequest, Code: "malformed", Detail: fmt.Sprintf(format, args...)}
}

// readBody reads the body. What asks for something has to be JSON, also where it says nothing: no form of another site can be sent so without being asked for first (CORS).
func (c *call) readBody(r route) error {
	req := c.Request()
	if r.method == http.MethodGet || req.Body == nil {
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), req.Body, maxBody))
	if err != nil {
		return err
	}
	if c.body = bytes.TrimSpace(body); len(c.body) == 0 {
		return nil
	}
	if kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type")); kind != "application/json" {
		return &activitypub.Problem{Status: http.StatusUnsupportedMediaType, Code: "malformed", Detail: "Send JSON, with Content-Type: application/json."}
	}
	return nil
}

// read reads the body into v, strictly: nothing unknown, nothing twice, and an amount is a string. ok is false when there is none.
func (c *call) read(v any) error {
	if len(c.body) == 0 {
		return nil
	}
	if err := unrepeated(json.NewDecoder(bytes.NewReader(c.body))); err != nil {
		return bad("The body cannot be read: %v.", err)
	}
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return bad("%s has to be a %s, and is a %s.", wrong.Field, kindOf(wrong.Type.Kind()), wrong.Value)
	case err != nil:
		return bad("The body cannot be read: %s.", strings.TrimPrefix(err.Error(), "json: "))
	case d.More():
		return bad("There is more than one value in the body.")
	}
	return nil
}

// unrepeated refuses an object that names a field twice: programs differ in which of the two they believe.
func unrepeated(d *json.Decoder) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		seen := map[string]bool{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return err
			}
			field, _ := name.(string)
			if field = strings.ToLower(field); seen[field] { // encoding/json takes names in any case
				return fmt.Errorf("%q is there twice", name)
			}
			seen[field] = true
			if err := unrepeated(d); err != nil {
				return err
			}
		}
		_, err = d.Token()
	case json.Delim('['):
		for d.More() {
			if err := unrepeated(d); err != nil {
				return err
			}
		}
		_, err = d.Token()
	}
	return err
}

// id reads the id in the path.
func (c *call) id() (storage.ID, error) {
	id, err := storage.ParseID(c.Param("id"))
	if err != nil || id == 0 {
		return 0, storage.ErrNotFound
	}
	return id, nil
}

// list puts a page of rows newest first, which with Up came the other way round, and says in the Link header where it goes on.
func list[T, E any](a *API, c *call, p storage.Page, rows []T, id func(*T) storage.ID, entity func(*T) (E, error)) (any, error) {
	if p.Up {
		slices.Reverse(rows)
	}
	out := make([]E, 0, len(rows))
	for i := range rows {
		e, err := entity(&rows[i])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if len(rows) > 0 {
		oauth.Link(c.Response().Header(), a.Origin, c.Request().URL, p, len(rows), id(&rows[0]), id(&rows[len(rows)-1]))
	}
	return out, nil
}

// stamp writes a time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func stampOrNil(t *time.Time) *string {
	if t == nil || t.IsZero() {
		return nil
	}
	s := stamp(*t)
	return &s
}

// idOrNil writes an id that there may not be.
func idOrNil(id storage.ID) *string {
	if id == 0 {
		return nil
	}
	s := id.String()
	return &s
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Done is the answer where there is nothing to say.
type Done struct{}

// Reason is why something is refused.
type Reason struct {
	Reason string `json:"reason" doc:"Why: whoever asked reads it."`
}

// Words are some for the other side.
type Words struct {
	Words string `json:"words,omitempty" doc:"Some words for the other side, at most 500 characters; a dispute says what is wrong."`
}
