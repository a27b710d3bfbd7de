package activitypub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"planet/ledger"
	"planet/storage"
)

// transferOrder is an Offer(EconomicEvent): what its payer has signed, as it was written (payments.md of the design, §6.4).
type transferOrder struct {
	iri                storage.IRI // of the Offer
	payer, payee       storage.IRI
	currency           storage.IRI
	amount             string
	fulfills, corrects storage.IRI
	memo               string
	dated              time.Time // the day that people give to it; zero: none
	due                time.Time // a hold lasts until then; zero: it is no hold
	published, ends    time.Time
	body               [32]byte // SHA-256 of the canonical Offer without its proof
}

// paymentsOne is what actors implement who are paid by activities (FEP-844e): others are told by a direct message.
const paymentsOne = namespace + "payments-1"

// hearsPayments reports whether an actor's server understands what a ledger says to a payee; to others it is told in words.
func hearsPayments(a *storage.Actor) bool {
	if a.Local() {
		return true
	}
	return slices.ContainsFunc(parseObject(a.Raw).children("generator"), func(g object) bool {
		return slices.ContainsFunc(g.list("implements"), func(raw json.RawMessage) bool {
			href, isString := stringOf(raw)
			return isString && href == paymentsOne || !isString && parseObject(raw).str("href") == paymentsOne
		})
	})
}

// isPayment reports whether an activity is an Offer of an EconomicEvent.
func isPayment(act *Activity) bool {
	return act.Type == "Offer" && act.inner != nil && economicKind(act.inner) == "EconomicEvent"
}

// eventOf reads an EconomicEvent in plain terms.
type eventTerms struct {
	provider, receiver, currency storage.IRI
	amount                       string
	fulfills, corrects           storage.IRI
}

// readEvent reads who gives what to whom. The number has to be a string: one that is not was rounded by some computer before.
func readEvent(o object) (e eventTerms, err error) {
	for _, part := range []object{o, terms(o).child("resourceQuantity")} {
		if name := twiceNamed(part); name != "" {
			return e, problem(http.StatusBadRequest, "twice", "a payment says %s once: of two nobody can tell which was meant", name)
		}
	}
	o = terms(o)
	for _, key := range []string{"action", "provider", "receiver", "resourceConformsTo", "resourceQuantity", "fulfills", "corrects"} {
		if len(o.list(key)) > 1 {
			return e, problem(http.StatusBadRequest, key, "a payment has one %s: of several nobody can tell which was meant", key)
		}
	}
	if a := localName(o.str("action")); a != actionTransfer {
		return e, problem(http.StatusBadRequest, "action", "a payment is an EconomicEvent with the action transfer")
	}
	q := o.flow("resourceQuantity")
	number, isString := stringOf(q["hasNumericalValue"])
	if q == nil || !isString {
		return e, problem(http.StatusBadRequest, "amount", `the amount has to be a string in resourceQuantity.hasNumericalValue, as in "9.00"`)
	}
	if unit := localName(q.str("hasUnit")); unit != "one" {
		return e, problem(http.StatusBadRequest, "unit", "money is counted in the unit one")
	}
	return eventTerms{o.iri("provider"), o.iri("receiver"), o.iri("resourceConformsTo"), number, o.iri("fulfills"), o.iri("corrects")}, nil
}

// readTransferOrder reads an Offer(EconomicEvent). What cannot be understood is a Problem with 400; whether it can be done is the ledger's to say.
func (n *Node) readTransferOrder(act *Activity) (*transferOrder, error) {
	if len(act.parts) != 1 {
		return nil, problem(http.StatusBadRequest, "object", "an Offer asks for one payment, not %d: what is asked for at once cannot be answered at once", len(act.parts))
	}
	e, err := readEvent(act.inner)
	if err != nil {
		return nil, err
	}
	o := &transferOrder{iri: act.ID, payer: e.provider, payee: n.usable(e.receiver), currency: e.currency, amount: e.amount, fulfills: e.fulfills, corrects: e.corrects}
	event := terms(act.inner)
	var ok bool
	if o.ends, ok = act.top.time("endTime"); !ok {
		return nil, problem(http.StatusBadRequest, "endTime", "a payment says by its endTime until when it may be accepted")
	}
	o.published, _ = act.top.time("published")
	for key, at := range map[string]*time.Time{"due": &o.due, "hasPointInTime": &o.dated} {
		if *at, ok = event.time(key); !ok && event[key] != nil {
			return nil, problem(http.StatusBadRequest, key, "%s is no time", key)
		}
	}
	if o.payee == "" || o.currency == "" || act.ID == "" {
		return nil, problem(http.StatusBadRequest, "payment", "a payment has an id, a receiver and a currency (resourceConformsTo)")
	}
	if len(o.fulfills) > ledger.MaxText || len(o.corrects) > ledger.MaxText || len(o.currency) > ledger.MaxText || len(o.payee) > ledger.MaxText {
		return nil, problem(http.StatusBadRequest, "payment", "an id has at most %d bytes", ledger.MaxText)
	}
	text, _ := event.text("content")
	if utf8.RuneCountInString(text) > maxMemoRunes {
		return nil, problem(http.StatusBadRequest, "content", "at most %d characters", maxMemoRunes)
	}
	if o.memo, err = cleanMemo(text); err != nil {
		return nil, problem(http.StatusBadRequest, "content", "%v", err)
	}
	doc, err := act.withoutProof()
	o.body = sha256.Sum256(doc)
	return o, err
}

// bodyOf is the SHA-256 of the canonical form of an activity without its proof (RFC 8785): what is signed, whoever signed it when.
func bodyOf(raw []byte) (sum [32]byte, err error) {
	c, err := withoutProof(parseObject(raw))
	return sha256.Sum256(c), err
}

// resultIRI is the id of the ledger's answer to an Offer.
func resultIRI(of *storage.Actor, offer storage.IRI) storage.IRI {
	sum := sha256.Sum256([]byte(offer))
	return of.IRI + storage.IRI("/results/"+hex.EncodeToString(sum[:])[:32])
}

// eventIRI is the id of the EconomicEvent of a payment in a book of this node.
func (n *Node) eventIRI(p *storage.Payment) storage.IRI {
	return storage.IRI(n.Origin + "/ledger/events/" + p.ID.String())
}

// eventTypes are the types of a payment's event on the wire. An Object it is as well, because Fedify refuses an activity that holds something of no type that it knows.
var eventTypes = []any{"EconomicEvent", "Object"}

// eventToWire is a payment as an EconomicEvent: anonymous as it is asked for, with an id once it has happened.
func eventToWire(p *storage.Payment, u ledger.Currency, corrects storage.IRI) map[string]any {
	m := map[string]any{"type": eventTypes, "action": actionTransfer, "provider": p.Payer, "receiver": p.Payee, "resourceConformsTo": u.IRI,
		"resourceQuantity": measureToWire("one", ledger.FormatAmount(int64(p.Amount), u.Scale))}
	if p.Fulfills != "" {
		m["fulfills"] = p.Fulfills
	}
	if corrects != "" {
		m["corrects"] = corrects
	}
	if p.Memo != "" {
		m["content"] = p.Memo
	}
	if p.Event == "" {
		return m
	}
	keeper, _, _ := strings.Cut(string(p.Event), "/events/")
	m["id"], m["attributedTo"], m["instrument"] = p.Event, keeper, p.IRI
	if p.SettledAt != nil {
		m["hasPointInTime"] = wireTime(*p.SettledAt)
	}
	m["url"] = map[string]any{"type": "Link", "href": string(p.Event) + "/receipt", "rel": []any{"describedby"}, "mediaType": "text/plain"}
	return m
}

// paymentOfferToWire is the Offer by which a payer of this node asks a ledger for a payment.
func (n *Node) paymentOfferToWire(p *storage.Payment, u ledger.Currency, keeper, corrects storage.IRI, dated, now time.Time, summary string) map[string]any {
	event := eventToWire(p, u, corrects)
	if p.Hold != 0 {
		event["due"] = wireTime(p.ExpiresAt.Add(time.Second - 1)) // whole seconds on the wire: never less than was meant
	}
	if !dated.IsZero() {
		event["hasPointInTime"] = wireTime(dated)
	}
	return map[string]any{"id": string(p.IRI), "type": "Offer", "actor": p.Payer, "to": []any{keeper}, "cc": []any{p.Payee}, "target": keeper,
		"published": wireTime(now), "endTime": wireTime(*p.EndsAt), "summary": summary, "object": event}
}

// answer is what a ledger of this node says about a payment.
type answer struct {
	offer    storage.IRI
	p        *storage.Payment
	u        ledger.Currency
	corrects storage.IRI
}

// answerToWire is the ledger's word on a payment as it stands: Accept with the event, TentativeAccept of what is held, or Reject with a code.
func (n *Node) answerToWire(keeper *storage.Actor, a answer, at time.Time) map[string]any {
	p := a.p
	m := map[string]any{"id": string(resultIRI(keeper, a.offer)), "actor": keeper.IRI, "object": a.offer, "published": wireTime(at)}
	to := []any{p.Payer}
	switch p.State {
	case storage.PaymentCommitted:
		to = append(to, p.Payee)
		m["type"], m["result"] = "Accept", eventToWire(p, a.u, a.corrects)
	case storage.PaymentHeld:
		to = append(to, p.Payee)
		held := *p
		held.Event = ""
		m["id"] = string(resultIRI(keeper, a.offer)) + "/held"
		m["type"], m["summary"], m["endTime"], m["result"] = "TentativeAccept", "held", wireTime(*p.ExpiresAt), eventToWire(&held, a.u, "")
	default:
		if p.Hold != 0 && p.Event != "" { // it was held: the payee knows of it
			to = append(to, p.Payee)
		}
		m["type"], m["summary"], m["content"] = "Reject", p.Reason, p.Words
	}
	m["to"] = to
	return m
}

// paymentFact is the payment that an activity is about, by who may say what of it.
type paymentFact struct {
	id           storage.ID
	payer, payee storage.IRI
	keeper       storage.IRI // the ledger
	ours         bool        // its book is kept here
}

// paymentAbout finds the payment that an Accept, Reject, TentativeAccept or Undo names, or ErrNotFound.
func (n *Node) paymentAbout(ctx context.Context, db *storage.DB, offer storage.IRI) (*paymentFact, error) {
	p, err := db.PaymentByIRI(ctx, offer)
	if err != nil {
		return nil, err
	}
	f := &paymentFact{id: p.ID, payer: p.Payer, payee: p.Payee, ours: p.CurrencyID != 0, keeper: storage.IRI(n.Origin + "/ledger")}
	if !f.ours {
		c, err := db.ForeignCurrencyByIRI(ctx, p.Currency)
		if errors.Is(err, storage.ErrNotFound) { // it was refused, as there is no such currency: nobody says more about it
			return f, nil
		}
		if err != nil {
			return nil, err
		}
		f.keeper = c.Ledger
	}
	return f, nil
}

// mustBeAmong lets those whom an activity or event names read it, and answers everybody else as if there was nothing.
func mustBeAmong(by *reader, names []storage.IRI) error {
	if err := by.mustSign("this is for payer and payee"); err != nil {
		return err
	}
	if !slices.Contains(names, by.actor.IRI) {
		return storage.ErrNotFound
	}
	return nil
}

// getResult answers payer and payee with what the ledger said to an Offer (§6.12): they ask when its answer did not reach them.
func (n *Node) getResult(r *http.Request, by *reader) ([]byte, error) {
	base := storage.IRI(n.Origin + "/ledger/results/" + r.PathValue("hash"))
	var a *storage.Activity
	var err error
	if part := r.PathValue("part"); part != "" {
		a, err = n.DB.ActivityByIRI(r.Context(), base+storage.IRI("/"+part))
	} else if a, err = n.DB.ActivityByIRI(r.Context(), base); errors.Is(err, storage.ErrNotFound) {
		a, err = n.DB.ActivityByIRI(r.Context(), base+"/held")
	}
	absent := errors.Is(err, storage.ErrNotFound)
	if err != nil && !absent {
		return nil, err
	}
	var audience []storage.IRI
	if !absent {
		audience = parseObject(a.Raw).audience()
	}
	if err := mustBeAmong(by, audience); err != nil {
		return nil, err
	}
	return a.Raw, nil
}

// eventAt finds the payment of an address under /ledger/events for its parties and for those who audit the co-op's books.
func (n *Node) eventAt(r *http.Request, by *reader) (*storage.Payment, *storage.Currency, error) {
	ctx := r.Context()
	var p *storage.Payment
	id, err := storage.ParseID(r.PathValue("id"))
	if err == nil {
		p, err = n.DB.PaymentByID(ctx, id)
	}
	absent := err != nil || p.CurrencyID == 0 || p.Event == "" || p.State != storage.PaymentCommitted
	if err != nil && !errors.Is(err, storage.ErrNotFound) && id != 0 {
		return nil, nil, err
	}
	var parties []storage.IRI
	if !absent {
		parties = []storage.IRI{p.Payer, p.Payee}
	}
	if err := mustBeAmong(by, parties); err != nil {
		return nil, nil, err
	}
	c, err := n.DB.CurrencyByID(ctx, p.CurrencyID)
	return p, c, err
}

// getEvent answers the parties of a payment with its EconomicEvent, which never changes.
func (n *Node) getEvent(r *http.Request, by *reader) ([]byte, error) {
	if id, err := ledger.ParseID(r.PathValue("id")); err == nil {
		return n.getMovement(r, by, id)
	}
	p, c, err := n.eventAt(r, by)
	if err != nil {
		return nil, err
	}
	corrects, err := n.corrected(r.Context(), n.DB, p)
	if err != nil {
		return nil, err
	}
	m := eventToWire(p, c.Book, corrects)
	m["@context"] = contextValueFlows
	return encodePlain(m)
}

// corrected is the event that a refund gives back; "" for none.
func (n *Node) corrected(ctx context.Context, db *storage.DB, p *storage.Payment) (storage.IRI, error) {
	if p.RefundOf == nil {
		return "", nil
	}
	first, err := db.PaymentByID(ctx, *p.RefundOf)
	if err != nil {
		return "", err
	}
	return first.Event, nil
}

// getEventReceipt answers the parties of a payment with the proof that it stands in the log (C2SP tlog-proof).
func (n *Node) getEventReceipt(w http.ResponseWriter, r *http.Request) {
	by := &reader{n: n, r: r}
	err := by.barred()
	var p *storage.Payment
	var c *storage.Currency
	if err == nil {
		p, c, err = n.eventAt(r, by)
	}
	var raw []byte
	if err == nil {
		raw, err = n.receiptOf(r.Context(), p, c)
	}
	if err != nil {
		n.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "private, no-store")
	_, _ = w.Write(raw)
}
