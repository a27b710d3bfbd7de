package activitypub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"planet/storage"
)

// stands are the names of an order's states in an Agreement's preview: those of Mitra where it has one.
var stands = map[string]string{
	storage.OrderAccepted: "Open", storage.OrderFulfilled: "Completed", storage.OrderDisputed: "Disputed", storage.OrderConfirmed: "Confirmed",
	storage.OrderCancelled: "Cancelled", storage.OrderExpired: "Timeout", storage.OrderRejected: "Failed",
}

// standOf is how an order stands, in a word; one that is paid and not delivered is Paid.
func standOf(o *storage.Order) string {
	if o.PaymentID != 0 && o.State == storage.OrderAccepted {
		return "Paid"
	}
	return stands[o.State]
}

// agreementToWire is an order as an Agreement: without ids as it is proposed, with them once it is made (FEP-0837).
func (n *Node) agreementToWire(o *storage.Order, f *storage.Offer, p parties) map[string]any {
	commit := func(name, unit string, value string) map[string]any {
		c := map[string]any{"type": "Commitment", "satisfies": f.IRI + storage.IRI("#"+name), "resourceQuantity": measureToWire(unit, value)}
		if o.IRI != "" {
			c["id"] = o.IRI + storage.IRI("#"+name)
		}
		return c
	}
	m := map[string]any{"type": "Agreement", "stipulates": commit("primary", f.Unit, string(o.Quantity))}
	if o.Amount != "" {
		m["stipulatesReciprocal"] = commit("reciprocal", "one", f.Money(o.Amount))
	}
	if o.IRI == "" {
		return m
	}
	m["id"], m["attributedTo"], m["context"] = o.IRI, p.proposer.IRI, o.AskIRI
	m["published"], m["updated"] = wireTime(o.CreatedAt), wireTime(o.ProposerAt)
	m["preview"] = map[string]any{"type": "Note", "name": standOf(o)}
	m["url"] = map[string]any{"type": "Link", "href": n.OrderLink(o), "rel": []any{"payment"}}
	if o.State == storage.OrderAccepted {
		m["endTime"] = wireTime(o.ExpiresAt)
	}
	return m
}

// SummaryOf says in one line what an order is, for people: 2 × Sourdough loaf, 9.00 GRN.
func SummaryOf(o *storage.Order, f *storage.Offer) string {
	s := string(o.Quantity) + " × " + f.Title
	if f.Unit != "one" {
		s = WithUnit(o.Quantity, f.Unit) + " " + f.Title
	}
	if o.Amount != "" {
		s += ", " + strings.TrimSpace(f.Money(o.Amount)+" "+f.CurrencyName)
	}
	return s
}

// sendAbout sends one side's word of an order to the other side, in the order in which it is said.
func (n *Node) sendAbout(ctx context.Context, tx *storage.DB, o *storage.Order, from, to *storage.Actor, at time.Time, m map[string]any) (storage.IRI, error) {
	if _, ok := m["id"]; !ok {
		m["id"] = n.Origin + "/activities/" + tx.NewID().String()
	}
	m["actor"], m["to"], m["published"] = from.IRI, []any{to.IRI}, wireTime(at)
	s := shipment{object: o.AskIRI, line: lineOf(from.IRI, "order", o.AskIRI), inboxes: []storage.IRI{to.Inbox}, lasting: true, context: contextValueFlows}
	return storage.IRI(fmt.Sprint(m["id"])), n.send(ctx, tx, from, m, s)
}

// sendAsk sends the Offer(Agreement) of an order.
func (n *Node) sendAsk(ctx context.Context, tx *storage.DB, o *storage.Order, f *storage.Offer, p parties) error {
	m := map[string]any{"id": string(o.AskIRI), "type": "Offer", "object": n.agreementToWire(o, f, p), "endTime": wireTime(o.ExpiresAt), "summary": SummaryOf(o, f)}
	if o.Note != "" {
		m["content"] = o.Note
	}
	_, err := n.sendAbout(ctx, tx, o, p.responder, p.proposer, o.ResponderAt, m)
	return err
}

// askOnce sends the Offer of an order again, byte for byte: whoever has answered it answers the same again.
func (n *Node) askOnce(ctx context.Context, tx *storage.DB, o *storage.Order, p parties) error {
	return n.sendAgain(ctx, tx, o.AskIRI, p.responder, p.proposer, o)
}

func (n *Node) sendAgain(ctx context.Context, tx *storage.DB, activity storage.IRI, from, to *storage.Actor, o *storage.Order) error {
	a, err := tx.ActivityByIRI(ctx, activity)
	if errors.Is(err, storage.ErrNotFound) || to.Local() {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.Redeliver(ctx, &storage.Delivery{ActivityID: a.ID, Inbox: to.Inbox, Host: hostOf(to.Inbox), ActorID: from.ID, Object: lineOf(from.IRI, "order", o.AskIRI), Lasting: true})
}

// state stores how an order of ours stands, and says so to the responder: by an activity, or, when her server knows no orders, by a direct message.
func (n *Node) state(ctx context.Context, tx *storage.DB, o *storage.Order, f *storage.Offer, p parties, d turn) error {
	o.NextAt, o.ProposerAt = dueAt(o), later(n.Now(), o.ProposerAt)
	if o.PostID != 0 && !p.responder.Local() {
		if d.side != responder {
			if err := n.whisperOrder(ctx, tx, o, f, p); err != nil {
				return err
			}
		}
		return tx.SaveOrder(ctx, o)
	}
	m := map[string]any{"object": o.AskIRI}
	switch {
	case o.State == storage.OrderProposed:
		m["type"], m["endTime"], m["summary"] = "TentativeAccept", wireTime(o.ExpiresAt), "A person will answer."
	case o.State == storage.OrderAccepted && d.act == actAccept:
		m["type"], m["result"] = "Accept", n.agreementToWire(o, f, p)
	case o.IRI == "" || o.State == storage.OrderCancelled || o.State == storage.OrderExpired:
		m["type"], m["summary"], m["content"] = "Reject", o.Code, refusalOf(o)
	default:
		m["type"], m["object"] = "Update", n.agreementToWire(o, f, p)
	}
	said, err := n.sendAbout(ctx, tx, o, p.proposer, p.responder, o.ProposerAt, m)
	if err != nil {
		return err
	}
	o.Answer = said
	if d.act == actFulfil && d.side == proposer {
		if _, err := n.sendReceipt(ctx, tx, o, p.proposer, p.responder, o.ProposerAt, "Receipt", d.words); err != nil {
			return err
		}
	}
	return tx.SaveOrder(ctx, o)
}

// refusalOf says in words why an order is over.
func refusalOf(o *storage.Order) string {
	if o.Words != "" {
		return o.Words
	}
	switch o.State {
	case storage.OrderCancelled:
		return "The order was cancelled."
	case storage.OrderExpired:
		return "The order was not answered in time."
	default:
		return "The order was declined."
	}
}

// sendReceipt sends the confirmation of a delivery, a Document that refers to the Agreement (FEP-0837).
func (n *Node) sendReceipt(ctx context.Context, tx *storage.DB, o *storage.Order, from, to *storage.Actor, at time.Time, name, words string) (storage.IRI, error) {
	id := n.Origin + "/receipts/" + tx.NewID().String()
	doc := map[string]any{"id": id, "type": "Document", "name": name, "attributedTo": from.IRI, "context": o.IRI, "url": id, "published": wireTime(at)}
	if words != "" {
		doc["content"] = words
	}
	return n.sendAbout(ctx, tx, o, from, to, at, map[string]any{"id": id + "/create", "type": "Create", "object": doc})
}

// sendWish says to a proposer elsewhere what the responder does or wants.
func (n *Node) sendWish(ctx context.Context, tx *storage.DB, o *storage.Order, p parties, d turn) (storage.IRI, error) {
	var m map[string]any
	switch d.act {
	case actConfirm:
		return n.sendReceipt(ctx, tx, o, p.responder, p.proposer, o.ResponderAt, "Received", d.words)
	case actFulfil:
		return n.sendReceipt(ctx, tx, o, p.responder, p.proposer, o.ResponderAt, "Delivered", d.words)
	case actDispute:
		m = map[string]any{"type": "Reject", "object": o.IRI, "summary": codeDisputed, "content": d.words}
	case actCancel:
		m = map[string]any{"type": "Undo", "object": map[string]any{"id": o.AskIRI, "type": "Offer", "actor": p.responder.IRI}}
		if d.words != "" {
			m["content"] = d.words
		}
	default:
		return "", problem(http.StatusConflict, "act", "this is not said to other servers")
	}
	return n.sendAbout(ctx, tx, o, p.responder, p.proposer, o.ResponderAt, m)
}

// ask is an Offer(Agreement) as received.
type ask struct {
	offer    *storage.Offer
	proposer *storage.Actor
	goods    measure
	money    *measure // nil for none
	whole    bool     // both commitments are about this offer
	note     string
	ends     time.Time // zero for none
}

// readAsk finds what an Offer(Agreement) wants of whom; nil when that is nothing of this node.
func (n *Node) readAsk(ctx context.Context, act *Activity) (*ask, error) {
	agreement := terms(act.inner)
	goods := agreement.flow("stipulates")
	iri, fragment, _ := strings.Cut(string(goods.iri("satisfies")), "#")
	if !n.isOurs(storage.IRI(iri)) {
		return nil, nil
	}
	f, err := n.DB.OfferByIRI(ctx, storage.IRI(iri))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a := &ask{offer: f, whole: fragment == "primary"}
	if a.proposer, err = n.DB.ActorByID(ctx, f.ActorID); err != nil || a.proposer.DeletedAt != nil || a.proposer.SuspendedAt != nil {
		return nil, err
	}
	var bad bool
	if a.goods, bad = measureFromWire(goods.child("resourceQuantity")); bad {
		a.whole = false
	}
	if money := agreement.flow("stipulatesReciprocal"); money != nil {
		m, bad := measureFromWire(money.child("resourceQuantity"))
		a.money = &m
		a.whole = a.whole && !bad && money.iri("satisfies") == f.IRI+"#reciprocal"
	}
	content, _ := act.top.text("content")
	if a.note, err = cleanMemo(clip(plainText(content), maxMemoRunes)); err != nil {
		a.note = ""
	}
	if t, ok := act.top.time("endTime"); ok {
		a.ends = t
	}
	return a, nil
}

// judge says why an order as received cannot be, for programs and for people, or fills in its terms.
func (a *ask) judge(o *storage.Order, f *storage.Offer, now time.Time) (code, words string) {
	if !a.whole || a.goods.Value == "" {
		return codeMalformed, "The order does not say how much of this offer it is about."
	}
	lots, exact := a.goods.Value.In(f.Per)
	if o.Quantity, o.Lots = a.goods.Value, lots; a.money != nil { // as it was asked for, also when that cannot be
		o.Amount = a.money.Value
	}
	if a.goods.Unit != f.Unit {
		return codeUnit, fmt.Sprintf("It is offered by %s, not by %s: order in that unit.", f.Unit, a.goods.Unit)
	}
	if code, words := orderable(f, lots, exact, now); code != "" {
		return code, words
	}
	amount, ok := amountOf(f, lots)
	switch {
	case !ok:
		return codeAmount, "That is more than anybody can pay: order less."
	case f.Pricing == storage.PriceGift && a.money != nil && a.money.Value.Positive():
		return codeAmount, "It is a gift: order it without an amount."
	case f.Pricing == storage.PricePriced && (a.money == nil || a.money.Value != amount):
		return codeAmount, fmt.Sprintf("It costs %s: read the offer again and order for %s.", PriceOf(f), f.Money(amount))
	case f.Pricing == storage.PriceOpen && (a.money == nil || !a.money.Value.Positive()):
		return codeAmount, "Its price is open: say what it is worth to you."
	case f.Pricing == storage.PriceOpen:
		amount = a.money.Value
	}
	if a.money != nil && a.money.Unit != "" && a.money.Unit != "one" {
		return codeUnit, "Money is counted in the unit one."
	}
	o.Lots, o.Amount = lots, amount
	if !o.ExpiresAt.After(now) {
		return codeExpired, "The order had ended before it came: order again."
	}
	return "", ""
}

// applyOffer takes an order from elsewhere, or refuses it; both are kept and answered.
func (n *Node) applyOffer(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		a, err := n.readAsk(ctx, act)
		if err != nil || a == nil {
			return nothing, err
		}
		if act.ID == "" {
			return nil, problem(400, "id", "an Offer needs an id")
		}
		return func(ctx context.Context, tx *storage.DB) error { return n.takeAsk(ctx, tx, a, act, signer) }, nil
	}
}

func (n *Node) takeAsk(ctx context.Context, tx *storage.DB, a *ask, act *Activity, signer *storage.Actor) error {
	f, err := tx.LockOffer(ctx, a.offer.ID)
	if err != nil {
		return err
	}
	now := n.Now().UTC().Truncate(time.Second)
	o := &storage.Order{AskIRI: act.ID, OfferID: f.ID, ProposerID: f.ActorID, ResponderID: signer.ID, Note: a.note, State: storage.OrderProposed, Agreed: true,
		ResponderAt: saidAt(act, now), ExpiresAt: now.Add(orderLife)}
	if !a.ends.IsZero() {
		o.ExpiresAt = a.ends
		if last := now.Add(maxOrderLife); o.ExpiresAt.After(last) {
			o.ExpiresAt = last
		}
	}
	p := parties{a.proposer, signer}
	code, words := a.judge(o, f, n.Now())
	if signer.ID == f.ActorID {
		code, words = codeOwn, "Nobody orders what she offers herself."
	}
	gone, err := tx.Tombstoned(ctx, act.ID, signer.IRI)
	if err != nil {
		return err
	}
	if gone { // its Undo came first
		code, words = codeCancelled, "The order was cancelled."
	}
	blocked, err := tx.Blocked(ctx, f.ActorID, signer.ID)
	if err != nil {
		return err
	}
	if blocked {
		if told, err := tx.RefusedLately(ctx, f.ActorID, signer.ID, codeForbidden, now.Add(-maxOrderLife)); err != nil || told {
			return err // once is enough
		}
		code, words = codeForbidden, "Your order was not taken."
	}
	if open, err := tx.CountOpenOrders(ctx, o.ProposerID, o.ResponderID); err != nil {
		return err
	} else if open >= maxWaiting && code == "" {
		code, words = codeLimited, "Too many of your orders wait for an answer: wait for it, or cancel some."
	}
	if code != "" {
		switch o.State, o.Code, o.Words = storage.OrderRejected, code, words; code {
		case codeCancelled:
			o.State = storage.OrderCancelled
		case codeExpired:
			o.State = storage.OrderExpired
		}
	}
	if fresh, err := tx.AddOrder(ctx, o); err != nil || !fresh {
		return err
	}
	if err := n.step(ctx, tx, o, "place", signer.ID, 0, o.Note, act.ID); err != nil {
		return err
	}
	if code != "" {
		return n.state(ctx, tx, o, f, p, turn{})
	}
	return n.consider(ctx, tx, o, f, p)
}

// saidAt is when something was said by the clock of who said it; one without a date, or of the future, was said now.
func saidAt(act *Activity, now time.Time) time.Time {
	if t, ok := act.top.time("published"); ok && !t.After(now.Add(clockGrace)) {
		return t
	}
	return now
}

// answerAgain is for an Offer that came before: its answer is brought again (payments.md of the design, §6.6: the same question has the same answer).
func (n *Node) answerAgain(ctx context.Context, act *Activity, signer *storage.Actor) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		o, err := tx.OrderByAsk(ctx, act.ID)
		if errors.Is(err, storage.ErrNotFound) || err == nil && (o.ResponderID != signer.ID || o.Answer == "") {
			return nil
		}
		if err != nil {
			return err
		}
		from, err := tx.ActorByID(ctx, o.ProposerID)
		if err != nil || !from.Local() {
			return err
		}
		return n.sendAgain(ctx, tx, o.Answer, from, signer, o)
	})
}

// orderFact is the order that an activity is about, by its sides.
type orderFact struct {
	id                  storage.ID
	proposer, responder storage.IRI
	asked               bool // the activity names what asked for it, not the agreement
}

// orderAbout finds the order that an Accept, Reject, TentativeAccept or Undo names, or ErrNotFound.
func (n *Node) orderAbout(ctx context.Context, db *storage.DB, iri storage.IRI) (*orderFact, error) {
	o, err := db.OrderByAsk(ctx, iri)
	asked := err == nil
	if errors.Is(err, storage.ErrNotFound) {
		o, err = db.OrderByIRI(ctx, iri)
	}
	if err != nil {
		return nil, err
	}
	p, err := n.partiesOf(ctx, db, o)
	if err != nil {
		return nil, err
	}
	return &orderFact{o.ID, p.proposer.IRI, p.responder.IRI, asked}, nil
}

// applyOrder does what another server says of an order.
func (n *Node) applyOrder(signer *storage.Actor, id storage.ID) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		return func(ctx context.Context, tx *storage.DB) error { return n.hearOrder(ctx, tx, act, signer, id) }, nil
	}
}

// applyAboutAgreement is for what names an Agreement inside: its Update, and a Document about it.
func (n *Node) applyAboutAgreement(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		name, other := act.Object, act.inner.iri("context")
		if act.Type == "Create" {
			name, other = other, ""
		}
		o, err := n.DB.OrderByIRI(ctx, name)
		if errors.Is(err, storage.ErrNotFound) && other != "" {
			o, err = n.DB.OrderByAsk(ctx, other)
		}
		if errors.Is(err, storage.ErrNotFound) || err == nil && o.ProposerID != signer.ID && o.ResponderID != signer.ID {
			return nothing, nil
		}
		if err != nil {
			return nil, err
		}
		return n.applyOrder(signer, o.ID)(ctx, act)
	}
}

// hearOrder does what one side says of an order, in the transaction that keeps it.
func (n *Node) hearOrder(ctx context.Context, tx *storage.DB, act *Activity, signer *storage.Actor, id storage.ID) error {
	first, err := tx.OrderByID(ctx, id)
	if err != nil {
		return err
	}
	f, err := tx.LockOffer(ctx, first.OfferID)
	if err != nil {
		return err
	}
	o, err := tx.LockOrder(ctx, id)
	if err != nil {
		return err
	}
	p, err := n.partiesOf(ctx, tx, o)
	if err != nil {
		return err
	}
	switch {
	case signer.ID == o.ResponderID && p.proposer.Local():
		return n.hearResponder(ctx, tx, act, o, f, p)
	case signer.ID == o.ProposerID && p.responder.Local():
		return n.hearProposer(ctx, tx, act, o, f, p)
	default:
		return nil
	}
}

// wordsIn are what somebody adds to an act, for people.
func wordsIn(act *Activity) string {
	content, _ := act.top.text("content")
	if content == "" {
		content, _ = act.inner.text("content")
	}
	words, err := cleanMemo(clip(plainText(content), maxMemoRunes))
	if err != nil {
		return ""
	}
	return words
}

// hearResponder does what whoever ordered says of an order of ours. What cannot be any more is answered with how the order stands.
func (n *Node) hearResponder(ctx context.Context, tx *storage.DB, act *Activity, o *storage.Order, f *storage.Offer, p parties) error {
	d := turn{side: responder, words: wordsIn(act), activity: act.ID}
	switch act.Type {
	case "Undo":
		d.act = actCancel
	case "Reject":
		d.act = actDispute
	case "Create":
		if isPaymentReceipt(act.inner) {
			return nil // whether something is paid, the ledger says
		}
		if d.act = actConfirm; is(f, responder, provider) {
			d.act = actFulfil
		}
	default:
		return nil
	}
	at := saidAt(act, n.Now().UTC())
	if at.Before(o.ResponderAt) {
		return nil // she has said something else since
	}
	o.ResponderAt = at
	err := n.decide(ctx, tx, o, f, p, d)
	var refused *Problem
	if errors.As(err, &refused) {
		return n.state(ctx, tx, o, f, p, turn{act: "again"})
	}
	return err
}

// hearProposer takes down what the proposer elsewhere says of an order of somebody here: she has the last word.
func (n *Node) hearProposer(ctx context.Context, tx *storage.DB, act *Activity, o *storage.Order, f *storage.Offer, p parties) error {
	at := saidAt(act, n.Now().UTC())
	if at.Before(o.ProposerAt) {
		return nil // she has said something else since
	}
	before := o.State
	switch act.Type {
	case "TentativeAccept":
		if o.State != storage.OrderProposed {
			return nil
		}
		if t, ok := act.top.time("endTime"); ok && t.Before(o.ExpiresAt) {
			o.ExpiresAt = t
		}
	case "Accept":
		unanswered := o.State == storage.OrderProposed || o.State == storage.OrderExpired && o.IRI == "" // a month of silence ends, too
		if err := n.agreed(ctx, tx, act.top.child("result"), o, f, p.proposer); err != nil {
			return err
		}
		if unanswered {
			o.State = storage.OrderAccepted
		}
	case "Update":
		if err := n.agreed(ctx, tx, act.inner, o, f, p.proposer); err != nil {
			return err
		}
		mirror(o, act.inner.child("preview").str("name"))
	case "Create": // her receipt (FEP-0837): the transaction is done
		if isPaymentReceipt(act.inner) {
			return nil // whether something is paid, the ledger says
		}
		if o.State == storage.OrderAccepted {
			o.State = storage.OrderFulfilled
		}
	case "Reject":
		code := act.top.str("summary")
		if code == codeDisputed && act.Object == o.IRI {
			o.State = storage.OrderDisputed
			break
		}
		switch code {
		case codeCancelled:
			o.State = storage.OrderCancelled
		case codeExpired:
			o.State = storage.OrderExpired
		default:
			if o.State = storage.OrderRejected; o.IRI != "" { // it was accepted before
				o.State = storage.OrderCancelled
			}
		}
		o.Code = clip(plainText(code), 60)
	}
	o.ProposerAt = at
	if o.State != storage.OrderProposed {
		o.CancelAsked, o.NextAt = o.CancelAsked && o.State == storage.OrderAccepted, nil
	}
	if o.State == before {
		return tx.SaveOrder(ctx, o)
	}
	if o.Words = wordsIn(act); o.Code == "" {
		o.Code = endCodes[o.State]
	}
	if err := n.step(ctx, tx, o, strings.ToLower(act.Type), p.proposer.ID, 0, o.Words, act.ID); err != nil {
		return err
	}
	if err := n.tellParty(ctx, tx, p.responder, p.proposer, o); err != nil {
		return err
	}
	return tx.SaveOrder(ctx, o)
}

// mirror sets an order to what its Agreement says; a word that is not known leaves an order that was made as it is.
func mirror(o *storage.Order, name string) {
	for state, word := range stands {
		if word == name {
			o.State = state
			return
		}
	}
	if o.State == storage.OrderProposed {
		o.State = storage.OrderAccepted
	}
}

// agreed checks that an Agreement is the one that was asked for, whole and unchanged (FEP-0837), and takes down its id.
func (n *Node) agreed(ctx context.Context, tx *storage.DB, result object, o *storage.Order, f *storage.Offer, author *storage.Actor) error {
	refuse := func(why string) error { return problem(http.StatusForbidden, "agreement", "the agreement %s", why) }
	result = terms(result)
	id := storage.IRI(result.str("id"))
	switch {
	case result == nil:
		return problem(http.StatusBadRequest, "agreement", "the agreement is not embedded")
	case n.usable(id) == "" || !sameOrigin(string(id), string(author.IRI)):
		return refuse("has no id at its author's origin")
	case result.iri("attributedTo") != author.IRI:
		return refuse("is not attributed to who accepts")
	case o.IRI != "" && o.IRI != id:
		return refuse("is another one than before")
	}
	if other, err := tx.OrderByIRI(ctx, id); err == nil && other.ID != o.ID {
		return refuse("is that of another order")
	} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	same := func(name, unit string, want storage.Decimal) bool {
		property := "stipulates"
		if name == "reciprocal" {
			property = "stipulatesReciprocal"
		}
		c := result.flow(property)
		m, bad := measureFromWire(c.child("resourceQuantity"))
		return !bad && c.id() == id+storage.IRI("#"+name) && c.iri("satisfies") == f.IRI+storage.IRI("#"+name) && m.Value == want && m.Unit == unit
	}
	if !same("primary", f.Unit, o.Quantity) || o.Amount != "" && !same("reciprocal", "one", o.Amount) || o.Amount == "" && result.child("stipulatesReciprocal") != nil {
		return refuse("is not about what was ordered")
	}
	o.IRI = id
	return nil
}

// whisper sends a direct message from an actor of this node, in answer to a post when that is not 0.
func (n *Node) whisper(ctx context.Context, tx *storage.DB, from, to *storage.Actor, text string, answers storage.ID) error {
	_, err := n.whisperPost(ctx, tx, from, to, text, answers)
	return err
}

// whisperPost is whisper with attachments; it returns the message.
func (n *Node) whisperPost(ctx context.Context, tx *storage.DB, from, to *storage.Actor, text string, answers storage.ID, attached ...storage.Attachment) (*storage.Post, error) {
	p := &storage.Post{Type: "Note", ActorID: from.ID, Visibility: storage.Direct, PublishedAt: n.Now().UTC().Truncate(time.Second), Mentions: []storage.Mention{mentionOf(n, to)}, Attachments: attached}
	p.Source = to.Handle(n.Host) + " " + text
	p.Content, p.Tags = n.render(p.Source, p.Mentions)
	n.place(tx, p, from)
	p.Conversation = string(p.IRI) + "/context"
	if answers != 0 {
		parent, err := tx.PostByID(ctx, answers)
		if err != nil {
			return nil, err
		}
		if parent.DeletedAt == nil {
			p.InReplyTo, p.InReplyToID = parent.IRI, &parent.ID
			if parent.Conversation != "" {
				p.Conversation = parent.Conversation
			}
		}
	}
	if err := tx.SavePost(ctx, p); err != nil {
		return nil, err
	}
	return p, n.sendPost(ctx, tx, from, p, p.Mentions, "Create")
}

// whisperOrder tells somebody whose server knows no orders how hers stands, with the link by which she moves it.
func (n *Node) whisperOrder(ctx context.Context, tx *storage.DB, o *storage.Order, f *storage.Offer, p parties) error {
	var text string
	what, link := SummaryOf(o, f), n.OrderLink(o)
	switch o.State {
	case storage.OrderAccepted:
		text = fmt.Sprintf("Your order is accepted: %s. Look at it, and confirm or cancel it, by %s: %s", what, o.ExpiresAt.Format("2 January 2006"), link)
		if o.Agreed {
			text = fmt.Sprintf("Your order is confirmed: %s. Here you see how it stands: %s", what, link)
		}
	case storage.OrderFulfilled:
		text = fmt.Sprintf("Your order was delivered: %s. Please say whether all is well: %s", what, link)
	case storage.OrderConfirmed:
		text = fmt.Sprintf("What you brought has arrived: %s. Thank you.", what)
	case storage.OrderDisputed:
		text = fmt.Sprintf("Something is wrong with %s. %s", what, o.Words)
	case storage.OrderRejected, storage.OrderCancelled, storage.OrderExpired:
		text = fmt.Sprintf("About your order of %s: %s", what, refusalOf(o))
	default:
		return nil
	}
	return n.whisper(ctx, tx, p.proposer, p.responder, strings.TrimSpace(text), o.PostID)
}

// numberWords are the numbers that people write out when they order, in the languages of the market.
var numberWords = map[string]int64{
	"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "dozen": 12,
	"un": 1, "una": 1, "uno": 1, "dos": 2, "dues": 2, "tres": 3, "cuatro": 4, "quatre": 4, "cinco": 5, "cinc": 5, "cinq": 5, "seis": 6, "sis": 6,
	"siete": 7, "set": 7, "sept": 7, "ocho": 8, "vuit": 8, "huit": 8, "nueve": 9, "nou": 9, "neuf": 9, "diez": 10, "deu": 10, "dix": 10, "une": 1, "deux": 2, "trois": 3,
}

// politeWords turn a short answer into an order of the least, or a question with a number into one.
var politeWords = []string{"please", "pls", "plz", "porfa", "favor", "plau", "plait", "merci", "gracies", "gracias"}

// maxOrderWords is how long an answer may be that is read as an order; whoever writes more talks.
const maxOrderWords = 12

var mentionsOfText = regexp.MustCompile(`@[\pL\pN_.-]+(@[\pL\pN_.:-]+)?`)

// orderIn reads how much "2 please" orders in an answer to an offer: "" when it orders nothing, "least" when it says no number.
func orderIn(text string) storage.Decimal {
	words := strings.Fields(mentionsOfText.ReplaceAllString(text, " "))
	if len(words) == 0 || len(words) > maxOrderWords {
		return ""
	}
	polite, asks := false, strings.Contains(text, "?")
	var number storage.Decimal
	for _, w := range words {
		plain := strings.Trim(w, ".,;:!?¡¿()×")
		folded := strings.Join(fold(plain), "")
		polite = polite || slices.Contains(politeWords, folded)
		if number != "" {
			continue
		}
		digits := strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(plain), "x"), "x")
		if d, ok := storage.ParseDecimal(strings.Replace(digits, ",", ".", 1)); ok && d.Positive() && len(d) <= 6 {
			number = d
		} else if v, ok := numberWords[folded]; ok {
			number = storage.Decimal(strconv.FormatInt(v, 10))
		}
	}
	switch {
	case asks && !polite:
		return ""
	case number == "" && polite:
		return "least"
	default:
		return number
	}
}

// noticeReply is for a post that answers an offer of this node: "2 please" becomes an order that the proposer can accept. Whoever cannot have what she asks for is told so.
func (n *Node) noticeReply(ctx context.Context, tx *storage.DB, p *storage.Post, author *storage.Actor) error {
	if p.InReplyToID == nil || !n.isOurs(p.InReplyTo) {
		return nil
	}
	f, err := tx.OfferByPost(ctx, *p.InReplyToID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (f.ActorID == author.ID || f.DeletedAt != nil || f.Pricing == storage.PriceOpen) {
		return nil // an open price takes an amount, and people to talk about it
	}
	if err != nil {
		return err
	}
	quantity := orderIn(plainText(p.Content))
	if quantity == "" {
		return nil
	}
	proposer, err := tx.ActorByID(ctx, f.ActorID)
	if err != nil || !proposer.Local() {
		return err
	}
	_, err = n.orderByReply(ctx, tx, f, p, parties{proposer, author}, quantity)
	var refused *Problem
	if !errors.As(err, &refused) {
		return err
	}
	if refused.Code == codeForbidden || author.Local() && refused.Code == codeLimited {
		return nil
	}
	if author.Local() { // she orders with her own node's help, which tells her
		return n.news(ctx, tx, []storage.ID{author.ID}, storage.Notification{Kind: "order." + storage.OrderRejected, FromID: proposer.ID}, "/offers/"+f.ID.String(), refused.Detail, f.URL)
	}
	return n.whisper(ctx, tx, proposer, author, refused.Detail, p.ID)
}

// orderByReply makes an order of an answer to an offer. quantity is in the offer's unit, or "least". A refusal is a Problem.
func (n *Node) orderByReply(ctx context.Context, tx *storage.DB, f *storage.Offer, p *storage.Post, who parties, quantity storage.Decimal) (*storage.Order, error) {
	if _, err := tx.LockOffer(ctx, f.ID); err != nil {
		return nil, err
	}
	if blocked, err := tx.Blocked(ctx, f.ActorID, p.ActorID); err != nil {
		return nil, err
	} else if blocked {
		return nil, problem(http.StatusForbidden, codeForbidden, "one of you blocks the other")
	}
	if open, err := tx.CountOpenOrders(ctx, f.ActorID, p.ActorID); err != nil {
		return nil, err
	} else if open >= maxWaiting {
		return nil, problem(http.StatusTooManyRequests, codeLimited, "Too many of your orders wait for an answer.")
	}
	lots, exact := f.Minimum, true
	if quantity != "least" {
		lots, exact = quantity.In(f.Per)
	}
	if code, words := orderable(f, lots, exact, n.Now()); code != "" {
		return nil, problem(http.StatusConflict, code, "%s", words)
	}
	amount, ok := amountOf(f, lots)
	if !ok {
		return nil, problem(http.StatusConflict, codeAmount, "That is more than anybody can pay: order less.")
	}
	now := n.Now().UTC().Truncate(time.Second)
	o := &storage.Order{AskIRI: p.IRI, OfferID: f.ID, ProposerID: f.ActorID, ResponderID: p.ActorID, PostID: p.ID, Lots: lots, Quantity: quantityOf(f, lots), Amount: amount,
		State: storage.OrderProposed, ResponderAt: now, ExpiresAt: now.Add(orderLife)}
	o.Note, _ = cleanMemo(clip(mentionsOfText.ReplaceAllString(plainText(p.Content), ""), maxMemoRunes))
	o.NextAt = dueAt(o)
	fresh, err := tx.AddOrder(ctx, o)
	if err != nil || !fresh {
		return nil, err
	}
	if err := n.step(ctx, tx, o, "place", p.ActorID, p.UserID, o.Note, p.IRI); err != nil {
		return nil, err
	}
	return o, n.tellParty(ctx, tx, who.proposer, who.responder, o)
}

// OrderFromReply makes an order of any answer to an offer of by's actor, for those whose words a machine does not understand.
func (n *Node) OrderFromReply(ctx context.Context, by By, post storage.ID, quantity string) (*storage.Order, error) {
	q := storage.Decimal("least")
	if quantity != "" {
		var ok bool
		if q, ok = storage.ParseDecimal(quantity); !ok || !q.Positive() {
			return nil, invalid("quantity", "%q is no quantity: write 2 or 1.5", quantity)
		}
	}
	var o *storage.Order
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "order"); err != nil {
			return err
		}
		p, err := tx.PostByID(ctx, post)
		if err != nil {
			return err
		}
		if p.DeletedAt != nil || p.InReplyToID == nil {
			return problem(http.StatusConflict, "reply", "this post answers no offer")
		}
		f, err := tx.OfferByPost(ctx, *p.InReplyToID)
		if errors.Is(err, storage.ErrNotFound) || err == nil && f.ActorID != by.Actor.ID {
			return problem(http.StatusConflict, "reply", "this post answers no offer of %s", by.Actor.Username)
		}
		if err != nil {
			return err
		}
		author, err := tx.ActorByID(ctx, p.ActorID)
		if err != nil {
			return err
		}
		if author.ID == by.Actor.ID {
			return problem(http.StatusConflict, codeOwn, "%s cannot order what it offers itself", by.Actor.Username)
		}
		if old, err := tx.OrderByAsk(ctx, p.IRI); err == nil {
			return problem(http.StatusConflict, "reply", "this answer is order %s already", old.ID)
		} else if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if o, err = n.orderByReply(ctx, tx, f, p, parties{by.Actor, author}, q); err != nil {
			return err
		}
		return record(ctx, tx, by, "order.from_reply", p.IRI)
	})
	n.Wake()
	return o, err
}

// mustBeParty lets an order's sides read of it, and answers everybody else as if there was nothing.
func (n *Node) mustBeParty(by *reader, ids ...storage.ID) error {
	if err := by.mustSign("this is for the two sides of the order"); err != nil {
		return err
	}
	if !slices.Contains(ids, by.actor.ID) {
		return storage.ErrNotFound
	}
	return nil
}

// getAgreement answers the sides of an order with its Agreement, and the ledger of the currency in which it is paid: that one looks whether a payment is what was agreed.
func (n *Node) getAgreement(r *http.Request, by *reader) ([]byte, error) {
	ctx := r.Context()
	o, err := n.DB.OrderByIRI(ctx, storage.IRI(n.Origin+"/agreements/"+r.PathValue("id")))
	var f *storage.Offer
	if errors.Is(err, storage.ErrNotFound) {
		o, f, err = &storage.Order{}, &storage.Offer{}, nil // who asks has to sign all the same: it tells nobody what there is
	} else if err == nil {
		f, err = n.DB.OfferByID(ctx, o.OfferID)
	}
	if err != nil {
		return nil, err
	}
	if err := n.mustBeParty(by, o.ProposerID, o.ResponderID); errors.Is(err, storage.ErrNotFound) && f.Currency != "" && sameOrigin(string(by.actor.IRI), string(f.Currency)) {
		m, e := n.Money(ctx, string(f.Currency))
		if e != nil {
			return nil, retryLater(e)
		}
		if m.Keeper != by.actor.IRI {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	p, err := n.partiesOf(ctx, n.DB, o)
	if err != nil {
		return nil, err
	}
	m := n.agreementToWire(o, f, p)
	m["@context"] = contextValueFlows
	return encodePlain(m)
}

// getReceipt answers the sides of an order with the confirmation of its delivery.
func (n *Node) getReceipt(r *http.Request, by *reader) ([]byte, error) {
	ctx := r.Context()
	a, err := n.DB.ActivityByIRI(ctx, storage.IRI(n.Origin+"/receipts/"+r.PathValue("id")+"/create"))
	var o *storage.Order
	if err == nil {
		o, err = n.DB.OrderByAsk(ctx, a.Object)
	}
	if errors.Is(err, storage.ErrNotFound) {
		o = &storage.Order{}
	} else if err != nil {
		return nil, err
	}
	if err := n.mustBeParty(by, o.ProposerID, o.ResponderID); err != nil {
		return nil, err
	}
	var doc map[string]any
	if err := json.Unmarshal(parseObject(a.Raw)["object"], &doc); err != nil {
		return nil, err
	}
	return encode(doc)
}
