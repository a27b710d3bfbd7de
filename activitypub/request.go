package activitypub

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
	"time"

	"planet/ledger"
	"planet/storage"
)

// Bounds of requests for payment.
const (
	requestLife    = 30 * 24 * time.Hour
	maxRequestLife = 366 * 24 * time.Hour
	maxRequests    = 20  // open ones of one actor to one other
	maxRequestsDay = 500 // of one actor
)

// NewRequest is a request for payment as somebody makes it: an invoice.
type NewRequest struct {
	Currency *Money
	Of       *storage.Actor // who is to pay
	Amount   string         // as typed
	Memo     string
	Lasts    time.Duration // 0: thirty days
}

// RequestPayment asks somebody for a payment, as by.Actor. She is told by a direct message with a link that any app shows, and with the Proposal that servers read
// which know payments (FEP-0ea0, FEP-0837).
func (n *Node) RequestPayment(ctx context.Context, by By, in NewRequest) (*storage.PaymentRequest, error) {
	var r *storage.PaymentRequest
	err := n.DB.Transaction(ctx, func(tx *storage.DB) (err error) {
		if err := n.allowed(ctx, tx, by, "pay"); err != nil {
			return err
		}
		r, err = n.requestPayment(ctx, tx, by, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	n.Wake()
	return r, nil
}

// requestPayment is RequestPayment within a transaction, of whoever may.
func (n *Node) requestPayment(ctx context.Context, tx *storage.DB, by By, in NewRequest) (*storage.PaymentRequest, error) {
	u := in.Currency.Book
	amount, err := ledger.ParseTyped(in.Amount, u.Kind, u.Scale)
	if err != nil {
		return nil, err
	}
	memo, err := cleanMemo(in.Memo)
	if err != nil {
		return nil, err
	}
	if in.Lasts == 0 {
		in.Lasts = requestLife
	}
	switch {
	case in.Lasts < time.Hour || in.Lasts > maxRequestLife:
		return nil, invalid("within", "between an hour and %d days", maxRequestLife/(24*time.Hour))
	case in.Of.DeletedAt != nil:
		return nil, invalid("of", "%s is gone", in.Of.Username)
	case in.Of.ID == by.Actor.ID:
		return nil, invalid("of", "whoever asks does not pay herself")
	}
	if err := n.admits(ctx, tx, in.Of.IRI); err != nil {
		return nil, err
	}
	if blocked, err := tx.Blocked(ctx, in.Of.ID, by.Actor.ID); err != nil {
		return nil, err
	} else if blocked {
		return nil, problem(http.StatusForbidden, "blocked", "%s does not want to hear from %s", in.Of.Username, by.Actor.Username)
	}
	switch open, err := tx.OpenPaymentRequests(ctx, by.Actor.IRI, in.Of.IRI); {
	case err != nil:
		return nil, err
	case open >= maxRequests:
		return nil, problem(http.StatusTooManyRequests, "requests", "%s is asked for %d payments already: wait until some are paid, or withdraw them", in.Of.Username, open)
	}
	switch day, err := tx.CountActs(ctx, by.Actor.ID, "request.make", n.Now().Add(-24*time.Hour)); {
	case err != nil:
		return nil, err
	case day >= maxRequestsDay:
		return nil, problem(http.StatusTooManyRequests, "requests", "at most %d requests for payment in a day", maxRequestsDay)
	}
	id := tx.NewID()
	r := &storage.PaymentRequest{ID: id, IRI: storage.IRI(n.Origin + "/requests/" + id.String()), Payee: by.Actor.IRI, Payer: in.Of.IRI, Currency: storage.IRI(u.IRI), Amount: amount, Memo: memo,
		State: storage.RequestOpen, ExpiresAt: n.Now().Add(in.Lasts).UTC().Truncate(time.Second)}
	if by.User != nil {
		r.UserID = by.User.ID
	}
	text := by.Actor.Username + " asks you for " + u.Format(int64(amount)) + " " + u.Code
	if memo != "" {
		text += ": " + memo
	}
	text += fmt.Sprintf(" – look at it by %s: %s", r.ExpiresAt.Format("2 January 2006"), n.RequestLink(r))
	p, err := n.whisperPost(ctx, tx, by.Actor, in.Of, text, 0, storage.Attachment{URL: string(r.IRI), MediaType: ldJSON, Name: "Pay", Rel: storage.RelProposal})
	if err != nil {
		return nil, err
	}
	if err := n.tellLocal(ctx, tx, p, by.Actor); err != nil {
		return nil, err
	}
	r.PostID = p.ID
	if err := tx.SavePaymentRequest(ctx, r); err != nil {
		return nil, err
	}
	return r, record(ctx, tx, by, "request.make", r.IRI)
}

// WithdrawRequest takes a request back, as whoever asked; the other side is told.
func (n *Node) WithdrawRequest(ctx context.Context, by By, id storage.ID) (*storage.PaymentRequest, error) {
	return n.endRequest(ctx, id, storage.RequestWithdrawn, func(tx *storage.DB, r *storage.PaymentRequest) error {
		if r.Payee != by.Actor.IRI {
			return problem(http.StatusForbidden, "payee", "this is for whoever asked to do, and that is not %s", by.Actor.Username)
		}
		if err := n.allowed(ctx, tx, by, "pay"); err != nil {
			return err
		}
		of, err := tx.ActorByIRI(ctx, r.Payer)
		if err != nil {
			return err
		}
		if err := n.whisper(ctx, tx, by.Actor, of, "You are not asked for this any more: there is nothing to pay.", r.PostID); err != nil {
			return err
		}
		return record(ctx, tx, by, "request.withdraw", r.IRI)
	})
}

// DeclineRequest says no to a request, as whoever is asked; who asked is told.
func (n *Node) DeclineRequest(ctx context.Context, by By, id storage.ID) (*storage.PaymentRequest, error) {
	return n.endRequest(ctx, id, storage.RequestRefused, func(tx *storage.DB, r *storage.PaymentRequest) error {
		if r.Payer != by.Actor.IRI {
			return problem(http.StatusForbidden, "payer", "this is for whoever is asked to say, and that is not %s", by.Actor.Username)
		}
		if err := n.allowed(ctx, tx, by, "pay"); err != nil {
			return err
		}
		if err := n.tellRequester(ctx, tx, r); err != nil {
			return err
		}
		return record(ctx, tx, by, "request.refuse", r.IRI)
	})
}

// DeclineLinkedRequest is DeclineRequest of whoever has the link.
func (n *Node) DeclineLinkedRequest(ctx context.Context, code string) (*storage.PaymentRequest, error) {
	r, err := n.LinkedRequest(ctx, code)
	if err != nil {
		return nil, err
	}
	return n.endRequest(ctx, r.ID, storage.RequestRefused, func(tx *storage.DB, r *storage.PaymentRequest) error { return n.tellRequester(ctx, tx, r) })
}

// endRequest ends a request that is open.
func (n *Node) endRequest(ctx context.Context, id storage.ID, state string, may func(tx *storage.DB, r *storage.PaymentRequest) error) (*storage.PaymentRequest, error) {
	var r *storage.PaymentRequest
	err := n.DB.Transaction(ctx, func(tx *storage.DB) (err error) {
		if r, err = tx.LockPaymentRequest(ctx, id); err != nil {
			return err
		}
		if err := may(tx, r); err != nil {
			return err
		}
		if now := r.Standing(n.Now()); now != storage.RequestOpen {
			return problem(http.StatusConflict, "state", "the request is %s: there is nothing left to do", now)
		}
		r.State = state
		return tx.EndPaymentRequest(ctx, r)
	})
	if err != nil {
		return nil, err
	}
	n.Wake()
	return r, nil
}

// tellRequester tells those who asked what has become of a request.
func (n *Node) tellRequester(ctx context.Context, tx *storage.DB, r *storage.PaymentRequest) error {
	payee, err := tx.ActorByIRI(ctx, r.Payee)
	if err != nil {
		return err
	}
	payer, err := tx.ActorByIRI(ctx, r.Payer)
	if err != nil {
		return err
	}
	ids, err := n.hearersOf(ctx, tx, payee, payer)
	if err != nil {
		return err
	}
	m, err := knownMoney(ctx, tx, r.Currency)
	if err != nil {
		return err
	}
	text := n.named(payer) + " will not pay the " + m.Book.Format(int64(r.Amount)) + " " + m.Name() + " that you asked for"
	if r.Memo != "" {
		text += ", for “" + r.Memo + "”"
	}
	return n.news(ctx, tx, ids, storage.Notification{Kind: "request." + storage.RequestRefused, FromID: payer.ID}, "/requests/"+r.ID.String(), text+".", "")
}

// RequestLink is the page of a request: a capability to see and to refuse it, which is told to nobody but whoever is asked.
func (n *Node) RequestLink(r *storage.PaymentRequest) string {
	return n.Origin + "/pay/r" + r.ID.String() + "-" + n.requestSecret(r.ID)
}

func (n *Node) requestSecret(id storage.ID) string {
	return hex.EncodeToString(n.digest("request", id.String())[:16])
}

// LinkedRequest finds the request that the last part of a link leads to, or ErrNotFound.
func (n *Node) LinkedRequest(ctx context.Context, code string) (*storage.PaymentRequest, error) {
	number, secret, _ := strings.Cut(strings.TrimPrefix(code, "r"), "-")
	id, err := storage.ParseID(number)
	if err != nil || !strings.HasPrefix(code, "r") || !hmac.Equal([]byte(secret), []byte(n.requestSecret(id))) {
		return nil, storage.ErrNotFound
	}
	return n.DB.PaymentRequestByID(ctx, id)
}

// requestToWire is a request as a Proposal that asks for a transfer (FEP-0837).
func (n *Node) requestToWire(r *storage.PaymentRequest, u ledger.Currency) map[string]any {
	m := map[string]any{"@context": contextValueFlows, "id": r.IRI, "type": "Proposal", "purpose": storage.PurposeRequest, "attributedTo": r.Payee, "name": "Request for payment",
		"published": wireTime(r.CreatedAt), "endTime": wireTime(r.ExpiresAt), "unitBased": false, "to": []any{r.Payer},
		"publishes": map[string]any{"id": r.IRI + "#primary", "type": "Intent", "action": actionTransfer, "resourceConformsTo": r.Currency,
			"resourceQuantity": measureToWire("one", ledger.FormatAmount(int64(r.Amount), u.Scale))}}
	if r.Memo != "" {
		m["content"] = html.EscapeString(r.Memo)
	}
	if r.State == storage.RequestPaid {
		m["preview"] = map[string]any{"type": "Note", "name": "Paid"}
	}
	return m
}

// getRequest answers whoever asked, whoever is asked, and the ledger of the currency with a request; one that was taken back, refused, or has expired is gone.
func (n *Node) getRequest(r *http.Request, by *reader) ([]byte, error) {
	ctx := r.Context()
	id, err := storage.ParseID(r.PathValue("id"))
	q := &storage.PaymentRequest{}
	if err == nil {
		if q, err = n.DB.PaymentRequestByID(ctx, id); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, err
		}
	}
	var names []storage.IRI
	var m *Money
	if err == nil {
		if m, err = n.Money(ctx, string(q.Currency)); err != nil {
			return nil, err
		}
		names = []storage.IRI{q.Payee, q.Payer, m.Keeper}
	}
	if err := mustBeAmong(by, names); err != nil {
		return nil, err
	}
	if now := q.Standing(n.Now()); now != storage.RequestOpen && now != storage.RequestPaid {
		return nil, gone(q.IRI)
	}
	return encodePlain(n.requestToWire(q, m.Book))
}

// Asked is a request for payment as whoever is asked reads it.
type Asked struct {
	IRI, Payee storage.IRI
	Money      *Money
	Amount     string // a decimal with a point
	Memo       string
	Ends       time.Time
}

// ReadRequest reads a request that by.Actor is asked to pay, by the id of its Proposal or, of this node, by its number; it is fetched in her name.
func (n *Node) ReadRequest(ctx context.Context, by By, name string) (*Asked, error) {
	if id, err := storage.ParseID(name); err == nil {
		name = n.Origin + "/requests/" + id.String()
	}
	none := fmt.Errorf("the request %s: %w", clip(name, 200), storage.ErrNotFound)
	if n.isOurs(storage.IRI(name)) {
		r, err := n.DB.PaymentRequestByIRI(ctx, storage.IRI(name))
		if errors.Is(err, storage.ErrNotFound) || err == nil && r.Payer != by.Actor.IRI {
			return nil, none
		}
		if err != nil {
			return nil, err
		}
		if now := r.Standing(n.Now()); now != storage.RequestOpen {
			return nil, problem(http.StatusConflict, "state", "the request is %s: there is nothing to pay", now)
		}
		m, err := n.Money(ctx, string(r.Currency))
		if err != nil {
			return nil, err
		}
		return &Asked{r.IRI, r.Payee, m, ledger.FormatAmount(int64(r.Amount), m.Book.Scale), r.Memo, r.ExpiresAt}, nil
	}
	if err := n.admits(ctx, n.DB, storage.IRI(name)); err != nil {
		return nil, err
	}
	raw, err := n.Client.FetchDocument(ctx, name, n.signGetAs(by.Actor.ID))
	if fe := (*FetchError)(nil); errors.As(err, &fe) && !fe.Temporary {
		return nil, fmt.Errorf("%w, or it is for somebody else, or was taken back", none)
	}
	if err != nil {
		return nil, fmt.Errorf("the request %s: %w", clip(name, 200), err)
	}
	return n.askedFromWire(ctx, by, name, raw)
}

// askedFromWire reads a Proposal that asks an actor of this node for a payment.
func (n *Node) askedFromWire(ctx context.Context, by By, name string, raw []byte) (*Asked, error) {
	refuse := func(why string) error {
		return problem(http.StatusUnprocessableEntity, "request", "what is at %s %s", clip(name, 200), why)
	}
	doc := terms(parseObject(raw))
	flow := doc.flow("publishes")
	number, _ := stringOf(flow.flow("resourceQuantity")["hasNumericalValue"])
	a := &Asked{IRI: doc.iri("id"), Payee: doc.iri("attributedTo"), Amount: number}
	switch {
	case economicKind(doc) != "Proposal" || localName(doc.str("purpose")) != storage.PurposeRequest || flow == nil || localName(flow.str("action")) != actionTransfer || doc["reciprocal"] != nil:
		return nil, refuse("is no request for payment")
	case string(a.IRI) != name || !sameOrigin(name, string(a.Payee)):
		return nil, refuse("is not where it says that it is, or not by whom")
	case flow.id() != a.IRI+"#primary":
		return nil, refuse("does not name what it asks for")
	case !slices.Contains(doc.iris("to"), by.Actor.IRI):
		return nil, refuse("is for somebody else")
	}
	var dated bool
	if a.Ends, dated = doc.time("endTime"); dated && !n.Now().Before(a.Ends) {
		return nil, refuse("has expired")
	}
	memo, _ := doc.text("content")
	if a.Memo = plainText(memo); a.Memo != "" {
		a.Memo, _ = cleanMemo(clip(a.Memo, maxMemoRunes))
	}
	var err error
	if a.Money, err = n.Money(ctx, string(flow.iri("resourceConformsTo"))); err != nil {
		return nil, err
	}
	if _, err := ledger.ParseAmount(a.Amount, a.Money.Book.Scale); err != nil {
		return nil, refuse("has no amount that can be paid")
	}
	return a, nil
}

// OrderOfRequest is what a request asks for, as an order to pay exactly that.
func (n *Node) OrderOfRequest(ctx context.Context, a *Asked) (PayOrder, error) {
	to, err := n.actor(ctx, a.Payee)
	return PayOrder{Currency: a.Money, To: to, Amount: a.Amount, Memo: a.Memo, Fulfills: a.IRI + "#primary"}, err
}

// PayRequest pays what a request asks for, exactly that: its ledger takes it once.
func (n *Node) PayRequest(ctx context.Context, by By, a *Asked, key string) (*storage.Payment, error) {
	o, err := n.OrderOfRequest(ctx, a)
	if err != nil {
		return nil, err
	}
	o.Key = key
	return n.Pay(ctx, by, o)
}

// requestOf finds the request of this node that something is to fulfil, or ErrNotFound.
func (n *Node) requestOf(ctx context.Context, tx *storage.DB, fulfills storage.IRI) (*storage.PaymentRequest, error) {
	iri, ok := strings.CutSuffix(string(fulfills), "#primary")
	if !ok || !n.isOurs(storage.IRI(iri)) {
		return nil, storage.ErrNotFound
	}
	return tx.PaymentRequestByIRI(ctx, storage.IRI(iri))
}

// stillRequested looks, within the transaction that moves the money, at the request of this node that a payment is to fulfil.
func (n *Node) stillRequested(ctx context.Context, tx *storage.DB, row *storage.Payment) error {
	r, err := n.requestOf(ctx, tx, row.Fulfills)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (r.Payer != row.Payer || r.Payee != row.Payee) {
		return &refusedBefore{codeAgreement, "There is no such request for payment between these two."}
	}
	if err != nil {
		return err
	}
	switch now := r.Standing(n.Now()); {
	case now == storage.RequestPaid:
		return &refusedBefore{codeSettled, "The request has been paid already."}
	case now != storage.RequestOpen:
		return &refusedBefore{codeAgreement, "The request is " + now + ": there is nothing to pay."}
	case r.Currency != row.Currency || r.Amount != row.Amount:
		return &refusedBefore{codeAgreement, "The request is for another amount than this: pay what it says."}
	}
	return nil
}

// paidRequest notes on a request of this node that it is paid. Money that came though it was taken back has come all the same.
func (n *Node) paidRequest(ctx context.Context, tx *storage.DB, p *storage.Payment) error {
	first, err := n.requestOf(ctx, tx, p.Fulfills)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := tx.LockPaymentRequest(ctx, first.ID)
	if err != nil {
		return err
	}
	if r.PaymentID != 0 || r.Payer != p.Payer || r.Payee != p.Payee || r.Currency != p.Currency || r.Amount != p.Amount {
		return nil
	}
	r.State, r.PaymentID = storage.RequestPaid, p.ID
	return tx.EndPaymentRequest(ctx, r)
}
