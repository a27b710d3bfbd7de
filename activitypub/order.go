package activitypub

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"planet/storage"
)

// Times of an order.
const (
	orderLife    = 7 * 24 * time.Hour  // an order waits so long for an answer, unless it says how long
	maxOrderLife = 30 * 24 * time.Hour // however long it says
	agreeLife    = 3 * 24 * time.Hour  // an order by a reply waits so long for its link to be opened
	askAgain     = 24 * time.Hour      // after an order's end, who ordered asks again so often what became of it
	clockGrace   = 10 * time.Minute
	maxWaiting   = 20 // orders of one actor that wait for another's answer
)

// The parties of an order.
const (
	proposer  = "proposer"  // whose offer or request it is; decides how the order stands
	responder = "responder" // who ordered
	provider  = "provider"  // who gives: of an offer the proposer
	receiver  = "receiver"  // who gets it
)

// What is done with an order.
const (
	actAccept  = "accept"
	actDecline = "decline"
	actCancel  = "cancel"
	actAgree   = "agree"
	actFulfil  = "fulfil"
	actConfirm = "confirm"
	actDispute = "dispute"
	actExpire  = "expire"
	actPaid    = "pay" // told by a ledger: nobody does it by itself
)

// orderRule is one row of the table of orders: who may do what, when, and how the order then stands.
type orderRule struct {
	act   string
	party string
	from  []string
	to    string
}

// orderRules is the whole life of an order (docs/payments.md). What has no row is refused.
var orderRules = []orderRule{
	{actAccept, proposer, []string{storage.OrderProposed}, storage.OrderAccepted},
	{actDecline, proposer, []string{storage.OrderProposed}, storage.OrderRejected},
	{actAgree, responder, []string{storage.OrderAccepted}, storage.OrderAccepted},
	{actCancel, responder, []string{storage.OrderProposed, storage.OrderAccepted}, storage.OrderCancelled},
	{actCancel, proposer, []string{storage.OrderAccepted, storage.OrderDisputed}, storage.OrderCancelled},
	{actFulfil, provider, []string{storage.OrderAccepted, storage.OrderDisputed}, storage.OrderFulfilled},
	{actConfirm, receiver, []string{storage.OrderAccepted, storage.OrderFulfilled, storage.OrderDisputed}, storage.OrderConfirmed},
	{actDispute, receiver, []string{storage.OrderAccepted, storage.OrderFulfilled}, storage.OrderDisputed},
	{actExpire, proposer, []string{storage.OrderProposed, storage.OrderAccepted}, storage.OrderExpired},
}

// Why an order is refused: the code of a Reject's summary.
const (
	codeSoldOut   = "sold_out"
	codeMinimum   = "below_minimum"
	codeMultiple  = "not_a_multiple"
	codeUnit      = "unit_mismatch"
	codeAmount    = "amount_mismatch"
	codeExpired   = "expired"
	codeClosed    = "closed"
	codeOwn       = "own_offer"
	codeForbidden = "not_authorized"
	codeLimited   = "rate_limited"
	codeMalformed = "malformed"
	codeDeclined  = "declined"
	codeCancelled = "cancelled"
	codeDisputed  = "disputed"
)

// OrderDraft is what somebody wants to order.
type OrderDraft struct {
	Offer    *storage.Offer
	Quantity string        // in the offer's unit; "" for the least that can be ordered
	Amount   string        // of an open price: what it is worth to her
	Note     string        // plain text for the other side
	Lasts    time.Duration // how long it waits for an answer; 0 for a week
	Key      string        // the same order under the same key is made once; "" for none
}

// parties are both sides of an order.
type parties struct{ proposer, responder *storage.Actor }

// turn is what one side does with an order.
type turn struct {
	act, side string
	user      storage.ID  // who did it for that side; 0 elsewhere and for the operator
	words     string      // for the other side
	activity  storage.IRI // by which it was said; "" for none
}

func (n *Node) partiesOf(ctx context.Context, db *storage.DB, o *storage.Order) (p parties, err error) {
	if p.proposer, err = db.ActorByID(ctx, o.ProposerID); err != nil {
		return p, err
	}
	p.responder, err = db.ActorByID(ctx, o.ResponderID)
	return p, err
}

// is reports whether an actor's side of an order is the party that a rule names.
func is(f *storage.Offer, side, party string) bool {
	gives, gets := proposer, responder
	if f.Purpose == storage.PurposeRequest {
		gives, gets = gets, gives
	}
	switch party {
	case provider:
		return side == gives
	case receiver:
		return side == gets
	default:
		return side == party
	}
}

// orderRuleFor finds the rule for what one side does, or says in words why that cannot be.
func orderRuleFor(o *storage.Order, f *storage.Offer, side, act string) (*orderRule, error) {
	known, yours := false, false
	for i := range orderRules {
		r := &orderRules[i]
		if r.act != act {
			continue
		}
		known = true
		if !is(f, side, r.party) {
			continue
		}
		yours = true
		if slices.Contains(r.from, o.State) {
			return r, nil
		}
	}
	switch {
	case !known:
		return nil, invalid("act", "%q is nothing that is done with an order", act)
	case !yours:
		return nil, problem(http.StatusForbidden, "party", "it is for the other side of this order to %s it", act)
	default:
		return nil, problem(http.StatusConflict, "state", "the order is %s: it is not possible any more, or not yet, to %s it", o.State, act)
	}
}

// OrderActs lists what one of an order's sides may do with it as it stands, in the order of the table: for pages and lists. Whether it is done
// is decided anew when it is asked for.
func OrderActs(o *storage.Order, f *storage.Offer, actor storage.ID) (acts []string) {
	side := responder
	if actor == o.ProposerID {
		side = proposer
	}
	for _, r := range orderRules {
		if r.act == actExpire || r.act == actAgree && o.Agreed || !is(f, side, r.party) || !slices.Contains(r.from, o.State) || slices.Contains(acts, r.act) {
			continue
		}
		acts = append(acts, r.act)
	}
	return acts
}

// orderable judges whether so many lots of an offer can be ordered now, by the terms alone. The answer is a code for programs and words for the
// one who orders, or "".
func orderable(f *storage.Offer, lots int64, exact bool, now time.Time) (code, words string) {
	unit := func(lots int64) string { return WithUnit(quantityOf(f, lots), f.Unit) }
	switch {
	case f.EndsAt != nil && !now.Before(*f.EndsAt):
		return codeExpired, "This offer ended on " + f.EndsAt.UTC().Format("2 Jan 2006") + ". Look whether there is a new one."
	case f.State == storage.OfferSold:
		return codeSoldOut, "Nothing is left of it. Look again later, or ask for it."
	case f.State != storage.OfferOpen || f.DeletedAt != nil:
		return codeClosed, "It is not offered now. Look again later, or ask."
	case !exact:
		return codeMultiple, "It is sold in steps of " + unit(1) + ": order a multiple of that."
	case lots < f.Minimum:
		return codeMinimum, "The least that can be ordered is " + unit(f.Minimum) + ": order at least that."
	case !f.UnitBased && lots != 1:
		return codeMultiple, "It is sold as one, " + unit(1) + ": order exactly that."
	case f.Available != nil && *f.Available < lots:
		return codeSoldOut, "Only " + unit(*f.Available) + " is left: order less."
	case lots > maxLots:
		return codeSoldOut, "That is more than anybody has: order less."
	}
	return "", ""
}

// amountOf is what so many lots of an offer cost; ok is false when that is too large to be written.
func amountOf(f *storage.Offer, lots int64) (storage.Decimal, bool) {
	if f.Pricing != storage.PricePriced {
		return "", true
	}
	return f.Price.Times(lots)
}

// PlaceOrder orders as by.Actor what is offered here or elsewhere, or answers a request. What the offer's terms do not allow is refused at once, with
// a Problem whose code is that of the wire; everything else is the proposer's to answer.
func (n *Node) PlaceOrder(ctx context.Context, by By, d OrderDraft) (*storage.Order, error) {
	if err := n.allowed(ctx, n.DB, by, "order"); err != nil {
		return nil, err
	}
	f := d.Offer
	if !f.Orderable {
		return nil, problem(http.StatusConflict, "not_orderable", "the server of this offer takes no orders: write to its author, as its page says (%s)", f.URL)
	}
	note, err := cleanMemo(d.Note)
	if err != nil {
		return nil, err
	}
	if d.Lasts == 0 {
		d.Lasts = orderLife
	}
	if d.Lasts < time.Minute || d.Lasts > maxOrderLife {
		return nil, invalid("lasts", "between a minute and %d days", maxOrderLife/(24*time.Hour))
	}
	iri, number, err := n.actIRI(by, d.Key)
	if err != nil {
		return nil, err
	}
	if d.Key != "" {
		if old, err := n.DB.OrderByAsk(ctx, iri); err == nil || !errors.Is(err, storage.ErrNotFound) {
			return old, err
		}
	}
	f, err = n.freshOffer(ctx, f)
	if err != nil {
		return nil, err
	}
	lots, exact := f.Minimum, true
	if d.Quantity != "" {
		q, ok := storage.ParseDecimal(d.Quantity)
		if !ok || !q.Positive() {
			return nil, invalid("quantity", "%q is no quantity: write 2 or 1.5", d.Quantity)
		}
		lots, exact = q.In(f.Per)
	}
	if f.ActorID == by.Actor.ID {
		return nil, problem(http.StatusConflict, codeOwn, "%s cannot order what it offers itself", by.Actor.Username)
	}
	if code, words := orderable(f, lots, exact, n.Now()); code != "" {
		return nil, problem(http.StatusConflict, code, "%s", words)
	}
	amount, ok := amountOf(f, lots)
	if f.Pricing == storage.PriceOpen {
		if amount, ok = storage.ParseDecimal(d.Amount); !ok || !amount.Positive() {
			return nil, invalid("amount", "its price is open: say what it is worth to you, as in 4.50")
		}
	} else if d.Amount != "" {
		return nil, invalid("amount", "its price is fixed: %s", PriceOf(f))
	}
	if !ok {
		return nil, invalid("quantity", "that is more than anybody can pay")
	}
	now := n.Now().UTC().Truncate(time.Second)
	o := &storage.Order{ID: number, AskIRI: iri, OfferID: f.ID, ProposerID: f.ActorID, ResponderID: by.Actor.ID, Lots: lots, Quantity: quantityOf(f, lots), Amount: amount,
		Note: note, State: storage.OrderProposed, Agreed: true, ResponderAt: now, ExpiresAt: now.Add(d.Lasts)}
	if by.User != nil {
		o.UserID = by.User.ID
	}
	terms := *o
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		*o = terms
		if err := n.allowed(ctx, tx, by, "order"); err != nil {
			return err
		}
		f, err := tx.LockOffer(ctx, f.ID)
		if err != nil {
			return err
		}
		p, err := n.partiesOf(ctx, tx, o)
		if err != nil {
			return err
		}
		if blocked, err := tx.Blocked(ctx, o.ProposerID, o.ResponderID); err != nil {
			return err
		} else if blocked {
			return problem(http.StatusForbidden, codeForbidden, "%s and %s do not meet: one of them blocks the other", by.Actor.Username, p.proposer.Handle(n.Host))
		}
		if open, err := tx.CountOpenOrders(ctx, o.ProposerID, o.ResponderID); err != nil {
			return err
		} else if open >= maxWaiting {
			return problem(http.StatusTooManyRequests, codeLimited, "%d orders wait for an answer of %s: wait for it, or cancel some", open, p.proposer.Handle(n.Host))
		}
		if fresh, err := tx.AddOrder(ctx, o); err != nil || !fresh {
			return err // the same key at the same time
		}
		if err := record(ctx, tx, by, "order.place", o.AskIRI); err != nil {
			return err
		}
		if err := n.sendAsk(ctx, tx, o, f, p); err != nil {
			return err
		}
		if err := n.step(ctx, tx, o, "place", by.Actor.ID, o.UserID, o.Note, o.AskIRI); err != nil {
			return err
		}
		if p.proposer.Local() {
			return n.consider(ctx, tx, o, f, p)
		}
		next := o.ExpiresAt.Add(clockGrace)
		o.NextAt = &next
		return tx.SaveOrder(ctx, o)
	})
	if err != nil {
		return nil, err
	}
	n.Wake()
	return n.DB.OrderByAsk(ctx, iri)
}

// freshOffer asks another server for an offer of its anew, that nobody orders by yesterday's price. One that does not answer now is taken as it is known.
func (n *Node) freshOffer(ctx context.Context, f *storage.Offer) (*storage.Offer, error) {
	if n.isOurs(f.IRI) {
		return n.DB.OfferByID(ctx, f.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	fresh, err := n.fetchOffer(ctx, f.IRI)
	if fe := (*FetchError)(nil); errors.As(err, &fe) && fe.Temporary || errors.Is(err, context.DeadlineExceeded) {
		return f, nil
	}
	return fresh, err
}

// consider is what the proposer's node does with an order that has just come in: accept what its author wants accepted at once, and ask people about the rest.
func (n *Node) consider(ctx context.Context, tx *storage.DB, o *storage.Order, f *storage.Offer, p parties) error {
	if f.AutoAccept && o.Agreed {
		return n.decide(ctx, tx, o, f, p, turn{act: actAccept, side: proposer})
	}
	if err := n.tellParty(ctx, tx, p.proposer, p.responder, o); err != nil {
		return err
	}
	return n.state(ctx, tx, o, f, p, turn{})
}

// decide does what one side wants with an order whose proposer is of this node, and says how it stands then. A refusal is a Problem or an InvalidError.
func (n *Node) decide(ctx context.Context, tx *storage.DB, o *storage.Order, f *storage.Offer, p parties, d turn) error {
	r, err := orderRuleFor(o, f, d.side, d.act)
	if err != nil {
		return err
	}
	if d.act == actCancel && o.PaymentID != 0 {
		return problem(http.StatusConflict, "paid", "the order is paid: it can be cancelled once the payment was given back")
	}
	now := n.Now().UTC().Truncate(time.Second)
	switch d.act {
	case actAccept:
		if !o.ExpiresAt.After(n.Now()) {
			return problem(http.StatusConflict, codeExpired, "it was to be answered by %s, and that has passed", o.ExpiresAt.Format("2 Jan 2006, 15:04 UTC"))
		}
		if err := tx.Reserve(ctx, f.ID, o.Lots); errors.Is(err, storage.ErrConflict) {
			return problem(http.StatusConflict, codeSoldOut, "so much of %q is not left: decline it, or edit the offer and say how much there is", f.Title)
		} else if err != nil {
			return err
		}
		o.Reserved, o.IRI = true, storage.IRI(n.Origin+"/agreements/"+o.ID.String())
		if o.ExpiresAt = now.Add(time.Duration(f.HoldSeconds) * time.Second); !o.Agreed {
			o.ExpiresAt = now.Add(agreeLife)
		}
	case actAgree:
		if o.Agreed {
			return problem(http.StatusConflict, "state", "it is confirmed already")
		}
		o.Agreed, o.ExpiresAt = true, now.Add(time.Duration(f.HoldSeconds)*time.Second)
	}
	o.State, o.Words, o.Code = r.to, d.words, endCodes[r.to]
	if o.Over() && o.State != storage.OrderConfirmed && o.Reserved {
		if err := tx.Release(ctx, f.ID, o.Lots); err != nil {
			return err
		}
		o.Reserved = false
	}
	if err := n.oweNews(ctx, tx, f); err != nil {
		return err
	}
	actor, other := p.proposer, p.responder
	if d.side == responder {
		actor, other = other, actor
	}
	doer := actor.ID
	if d.act == actExpire {
		doer = 0
		if err := n.tellParty(ctx, tx, actor, other, o); err != nil {
			return err
		}
	}
	if err := n.step(ctx, tx, o, d.act, doer, d.user, d.words, d.activity); err != nil {
		return err
	}
	if err := n.tellParty(ctx, tx, other, actor, o); err != nil {
		return err
	}
	return n.state(ctx, tx, o, f, p, d)
}

// endCodes say why an order is not as it should be.
var endCodes = map[string]string{storage.OrderRejected: codeDeclined, storage.OrderCancelled: codeCancelled, storage.OrderExpired: codeExpired, storage.OrderDisputed: codeDisputed}

// oweNews owes the readers of an offer's Note that what is left has changed since was: at once when it is sold out or can be had again, else within the hour,
// so that they are not told of every loaf.
func (n *Node) oweNews(ctx context.Context, tx *storage.DB, was *storage.Offer) error {
	now, err := tx.OfferByID(ctx, was.ID)
	switch {
	case err != nil || now.Available == nil || was.Available == nil || *now.Available == *was.Available || now.DeletedAt != nil || now.PostID == 0:
		return err
	case now.State != was.State:
		_, err := n.retellOffer(ctx, tx, was.ID)
		return err
	default:
		return enqueue(ctx, tx, jobStock, was.ID.String(), n.Now().Add(stockNews), work{Offer: was.ID})
	}
}

// stockNews is how often at most a change of what is left of an offer is told to those who read it.
const stockNews = time.Hour

// retellStock is the job of telling what is left of an offer.
func (n *Node) retellStock(ctx context.Context, id storage.ID) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		o, err := tx.LockOffer(ctx, id)
		if err != nil || o.DeletedAt != nil || o.PostID == 0 {
			return err
		}
		_, err = n.retellOffer(ctx, tx, id)
		return err
	})
}

// MoveOrder does something with an order as by.Actor: accept, decline, cancel, fulfil, confirm or dispute. words are for the other side. A refusal is a
// Problem; ErrNotFound when by's actor has no part in the order.
func (n *Node) MoveOrder(ctx context.Context, by By, id storage.ID, act, words string) (*storage.Order, error) {
	d := turn{act: act, words: words}
	if by.User != nil {
		d.user = by.User.ID
	}
	return n.moveOrder(ctx, id, d, func(tx *storage.DB, o *storage.Order) (side string, err error) {
		if err := n.allowed(ctx, tx, by, "order"); err != nil {
			return "", err
		}
		switch by.Actor.ID {
		case o.ProposerID:
			side = proposer
		case o.ResponderID:
			side = responder
		default:
			return "", storage.ErrNotFound
		}
		return side, record(ctx, tx, by, "order."+act, o.AskIRI)
	})
}

// moveOrder does something with an order as the side that who finds.
func (n *Node) moveOrder(ctx context.Context, id storage.ID, d turn, who func(tx *storage.DB, o *storage.Order) (side string, err error)) (*storage.Order, error) {
	var err error
	if d.words, err = cleanMemo(d.words); err != nil {
		return nil, err
	}
	if d.act == actExpire {
		return nil, invalid("act", "orders expire by themselves")
	}
	var o *storage.Order
	err = n.DB.Transaction(ctx, func(tx *storage.DB) (err error) {
		first, err := tx.OrderByID(ctx, id)
		if err != nil {
			return err
		}
		f, err := tx.LockOffer(ctx, first.OfferID) // always before the order
		if err != nil {
			return err
		}
		if o, err = tx.LockOrder(ctx, id); err != nil {
			return err
		}
		p, err := n.partiesOf(ctx, tx, o)
		if err != nil {
			return err
		}
		d := d // afresh: it may run twice
		if d.side, err = who(tx, o); err != nil {
			return err
		}
		if p.proposer.Local() {
			return n.decide(ctx, tx, o, f, p, d)
		}
		return n.request(ctx, tx, o, f, p, d)
	})
	if err != nil {
		return nil, err
	}
	n.Wake()
	return n.DB.OrderByID(ctx, id)
}

// request says to a proposer elsewhere what the responder of this node wants with an order. How it stands is the proposer's to say; what the responder
// herself knows best is written down at once.
func (n *Node) request(ctx context.Context, tx *storage.DB, o *storage.Order, f *storage.Offer, p parties, d turn) error {
	r, err := orderRuleFor(o, f, responder, d.act)
	if err != nil {
		return err
	}
	if d.act == actCancel {
		if o.PaymentID != 0 {
			return problem(http.StatusConflict, "paid", "the order is paid: ask %s to give the payment back first", p.proposer.Handle(n.Host))
		}
		if o.CancelAsked {
			return problem(http.StatusConflict, "state", "%s was asked to cancel it, and has not answered yet", p.proposer.Handle(n.Host))
		}
		o.CancelAsked = true
	} else {
		o.State, o.Words, o.Code = r.to, d.words, endCodes[r.to]
	}
	o.ResponderAt = later(n.Now(), o.ResponderAt)
	said, err := n.sendWish(ctx, tx, o, p, d)
	if err != nil {
		return err
	}
	if err := n.step(ctx, tx, o, d.act, p.responder.ID, d.user, d.words, said); err != nil {
		return err
	}
	return tx.SaveOrder(ctx, o)
}

// endOrdersOf ends what waits between an actor who leaves and others: nobody is there any more who could deliver or take it. The others elsewhere learn it from her
// Delete. What was delivered stays as it is.
func (n *Node) endOrdersOf(ctx context.Context, tx *storage.DB, a *storage.Actor) error {
	orders, err := tx.WaitingOrders(ctx, a.ID)
	if err != nil {
		return err
	}
	for i := range orders {
		f, err := tx.LockOffer(ctx, orders[i].OfferID)
		if err != nil {
			return err
		}
		o, err := tx.LockOrder(ctx, orders[i].ID)
		if err != nil {
			return err
		}
		p, err := n.partiesOf(ctx, tx, o)
		if err != nil {
			return err
		}
		if o.Reserved {
			if err := tx.Release(ctx, f.ID, o.Lots); err != nil {
				return err
			}
		}
		other := p.proposer
		if other.ID == a.ID {
			other = p.responder
		} else if other.Local() {
			if err := n.oweNews(ctx, tx, f); err != nil {
				return err
			}
		}
		o.State, o.Code, o.Words, o.Reserved, o.CancelAsked, o.NextAt = storage.OrderCancelled, codeCancelled, "The other side has left.", false, false, nil
		if err := n.step(ctx, tx, o, actCancel, a.ID, 0, o.Words, ""); err != nil {
			return err
		}
		if err := n.tellParty(ctx, tx, other, a, o); err != nil {
			return err
		}
		if err := tx.SaveOrder(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// step writes down what happened to an order.
func (n *Node) step(ctx context.Context, tx *storage.DB, o *storage.Order, act string, actor, user storage.ID, words string, activity storage.IRI) error {
	return tx.AddOrderStep(ctx, &storage.OrderStep{OrderID: o.ID, ActorID: actor, UserID: user, Act: act, State: o.State, Words: words, Activity: activity})
}

// hearers are the roles whose holders hear of the orders and payments of a co-op.
var hearers = []string{storage.RoleAdmin, storage.RoleTreasurer, storage.RoleCashier, storage.RoleEditor}

// hearersOf lists who is told when somebody does something with a person or a co-op of this node: the party, whatever it thinks of her, and of a co-op those who look after its
// orders and its money, unless they do not want to hear of her. Of a party elsewhere, or one that is gone, nobody.
func (n *Node) hearersOf(ctx context.Context, tx *storage.DB, party, from *storage.Actor) ([]storage.ID, error) {
	if !party.Local() || party.DeletedAt != nil {
		return nil, nil
	}
	ids := []storage.ID{party.ID}
	if party.Type == storage.Person {
		return ids, nil
	}
	people, err := tx.OwnActors(ctx, party.ID, hearers)
	if err != nil {
		return nil, err
	}
	for _, id := range people {
		if id == from.ID {
			continue
		}
		deaf, err := tx.Deaf(ctx, id, from.ID)
		if err != nil {
			return nil, err
		}
		if !deaf {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// orderBatch is how many orders are looked at in one round.
const orderBatch = 100

// orderLoop looks at orders and offers whose time has come.
func (n *Node) orderLoop(ctx context.Context) error {
	return n.every(ctx, "orders whose time has come", n.CheckOrders)
}

// CheckOrders ends what was not answered, agreed to or fulfilled in time, asks proposers elsewhere who did not answer again, and closes offers that have ended.
func (n *Node) CheckOrders(ctx context.Context) error {
	for {
		due, err := n.DB.OrdersDue(ctx, orderBatch)
		if err != nil {
			return err
		}
		for i := range due {
			err := n.checkOrder(ctx, due[i].ID, due[i].OfferID)
			if err != nil && ctx.Err() == nil { // one that cannot be looked at keeps no other from it
				n.Log.Error("an order whose time has come", "order", due[i].ID, "err", err)
				err = n.DB.PostponeOrder(ctx, due[i].ID, n.Now().Add(time.Hour))
			}
			if err != nil {
				return err
			}
		}
		if len(due) < orderBatch {
			break
		}
	}
	n.Wake()
	return n.CloseEnded(ctx)
}

func (n *Node) checkOrder(ctx context.Context, id, offer storage.ID) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		f, err := tx.LockOffer(ctx, offer)
		if err != nil {
			return err
		}
		o, err := tx.LockOrder(ctx, id)
		if err != nil || o.NextAt == nil || o.NextAt.After(n.Now()) {
			return err // another copy of the node was faster
		}
		p, err := n.partiesOf(ctx, tx, o)
		if err != nil {
			return err
		}
		if p.proposer.Local() {
			if o.State != storage.OrderProposed && o.State != storage.OrderAccepted || o.PaymentID != 0 {
				o.NextAt = nil
				return tx.SaveOrder(ctx, o)
			}
			words := "Nobody answered in time."
			if o.State == storage.OrderAccepted {
				words = "It was not delivered in time."
				if !o.Agreed {
					words = "It was not confirmed in time."
				}
			}
			return n.decide(ctx, tx, o, f, p, turn{act: actExpire, side: proposer, words: words})
		}
		o.NextAt = nil
		if o.State == storage.OrderProposed || o.CancelAsked {
			if n.Now().Sub(o.ExpiresAt) > maxOrderLife { // a server that has not said a word for a month has gone
				o.State, o.Code, o.Words, o.CancelAsked = storage.OrderExpired, codeExpired, "There was no answer.", false
				if err := n.step(ctx, tx, o, actExpire, 0, 0, o.Words, ""); err != nil {
					return err
				}
				if err := n.tellParty(ctx, tx, p.responder, p.proposer, o); err != nil {
					return err
				}
				return tx.SaveOrder(ctx, o)
			}
			next := n.Now().Add(askAgain)
			o.NextAt = &next
			if err := n.askOnce(ctx, tx, o, p); err != nil {
				return err
			}
		}
		return tx.SaveOrder(ctx, o)
	})
}

// dueAt is when the proposer's node looks at an order again; nil for never.
func dueAt(o *storage.Order) *time.Time {
	if o.State != storage.OrderProposed && o.State != storage.OrderAccepted || o.PaymentID != 0 {
		return nil
	}
	at := o.ExpiresAt
	return &at
}

// OrderLink is the link by which whoever ordered without a server that knows orders sees and moves her order: a capability for that one order, which
// says so to nobody else.
func (n *Node) OrderLink(o *storage.Order) string {
	return n.Origin + "/pay/" + o.ID.String() + "-" + n.orderSecret(o.ID)
}

func (n *Node) orderSecret(id storage.ID) string {
	return hex.EncodeToString(n.digest("order", id.String())[:16])
}

// LinkedOrder finds the order that the last part of a link leads to, or ErrNotFound.
func (n *Node) LinkedOrder(ctx context.Context, code string) (*storage.Order, error) {
	number, secret, _ := strings.Cut(code, "-")
	id, err := storage.ParseID(number)
	if err != nil || !hmac.Equal([]byte(secret), []byte(n.orderSecret(id))) {
		return nil, storage.ErrNotFound
	}
	o, err := n.DB.OrderByID(ctx, id)
	if err == nil && o.IRI == "" {
		err = storage.ErrNotFound // nothing was accepted: there was no link
	}
	return o, err
}

// MoveLinkedOrder does something with an order as whoever holds its link: agree, cancel, confirm or dispute.
func (n *Node) MoveLinkedOrder(ctx context.Context, code, act, words string) (*storage.Order, error) {
	o, err := n.LinkedOrder(ctx, code)
	if err != nil {
		return nil, err
	}
	return n.moveOrder(ctx, o.ID, turn{act: act, words: words}, func(*storage.DB, *storage.Order) (string, error) { return responder, nil })
}

// OrderOf finds an order in which by's actor has a part, by its number, what asked for it, or the id of its agreement; ErrNotFound.
func (n *Node) OrderOf(ctx context.Context, by By, name string) (*storage.Order, error) {
	var o *storage.Order
	id, err := storage.ParseID(name)
	if err == nil {
		o, err = n.DB.OrderByID(ctx, id)
	} else if o, err = n.DB.OrderByIRI(ctx, storage.IRI(name)); errors.Is(err, storage.ErrNotFound) {
		o, err = n.DB.OrderByAsk(ctx, storage.IRI(name))
	}
	if err == nil && by.Actor != nil && o.ProposerID != by.Actor.ID && o.ResponderID != by.Actor.ID {
		err = storage.ErrNotFound
	}
	return o, err
}
