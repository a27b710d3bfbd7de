package economy

import (
	"slices"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// Order is something that was ordered.
type Order struct {
	ID          string   `json:"id"`
	IRI         *string  `json:"iri" doc:"Of the Agreement, once there is one."`
	Offer       string   `json:"offer_id"`
	Title       string   `json:"title"`
	Summary     string   `json:"summary" doc:"The whole in one line: 2 × Sourdough loaf, 9.00 GRN."`
	Proposer    Party    `json:"proposer" doc:"Whose offer or request it is."`
	Responder   Party    `json:"responder" doc:"Who ordered."`
	Quantity    string   `json:"quantity"`
	Unit        string   `json:"unit"`
	Amount      *string  `json:"amount"`
	Currency    *string  `json:"currency"`
	Code        *string  `json:"code"`
	Note        string   `json:"note"`
	State       string   `json:"state" enum:"proposed,accepted,fulfilled,disputed,confirmed,rejected,expired,cancelled"`
	Reason      *string  `json:"reason" doc:"Why it is as it is, for programs."`
	Words       string   `json:"words" doc:"Likewise, for people."`
	Agreed      bool     `json:"agreed" doc:"Who ordered has said so bindingly."`
	CancelAsked bool     `json:"cancel_asked" doc:"Who ordered wants out, and the other server has not answered."`
	Payment     *string  `json:"payment_id" doc:"That paid it."`
	Acts        []string `json:"acts" doc:"What whom the token is for can do now."`
	Expires     *string  `json:"expires_at" doc:"Until then it waits for an answer, or to be delivered."`
	Created     string   `json:"created_at"`
	Updated     string   `json:"updated_at"`
	Steps       []Step   `json:"steps"`
}

// Step is one line of what happened to an order.
type Step struct {
	At    string `json:"at"`
	By    *Party `json:"by" doc:"null: nobody, time has passed."`
	Act   string `json:"act"`
	State string `json:"state"`
	Words string `json:"words"`
}

// OrderDraft is what somebody orders.
type OrderDraft struct {
	Quantity string `json:"quantity,omitempty" doc:"In the offer's unit; the least that can be ordered unless said."`
	Amount   string `json:"amount,omitempty" doc:"What an open price is worth to whoever orders."`
	Note     string `json:"note,omitempty"`
	Lasts    int64  `json:"lasts,omitempty" doc:"How long it waits for an answer, in seconds: a week unless said."`
}

func (a *API) order(c *call, o *storage.Order) (Order, error) {
	f, err := a.DB.OfferByID(c.ctx, o.OfferID)
	if err != nil {
		return Order{}, err
	}
	e := Order{ID: o.ID.String(), IRI: textOrNil(string(o.IRI)), Offer: f.ID.String(), Title: f.Title, Summary: activitypub.SummaryOf(o, f), Quantity: string(o.Quantity), Unit: f.Unit, Note: o.Note, State: o.State,
		Reason: textOrNil(o.Code), Words: o.Words, Agreed: o.Agreed, CancelAsked: o.CancelAsked, Payment: idOrNil(o.PaymentID), Acts: append([]string{}, activitypub.OrderActs(o, f, c.who.Actor.ID)...),
		Created: stamp(o.CreatedAt), Updated: stamp(o.UpdatedAt), Steps: []Step{}}
	if o.Amount != "" {
		e.Amount, e.Currency, e.Code = textOrNil(f.Money(o.Amount)), textOrNil(string(f.Currency)), textOrNil(f.CurrencyName)
	}
	if o.State == storage.OrderProposed || o.State == storage.OrderAccepted {
		e.Expires = stampOrNil(&o.ExpiresAt)
	}
	sides := map[storage.ID]Party{}
	for _, id := range []storage.ID{o.ProposerID, o.ResponderID} {
		x, err := a.DB.ActorByID(c.ctx, id)
		if err != nil {
			return e, err
		}
		sides[id] = a.partyOf(x)
	}
	e.Proposer, e.Responder = sides[o.ProposerID], sides[o.ResponderID]
	steps, err := a.DB.OrderSteps(c.ctx, o.ID)
	if err != nil {
		return e, err
	}
	for _, s := range steps {
		step := Step{At: stamp(s.CreatedAt), Act: s.Act, State: s.State, Words: s.Words}
		if by, ok := sides[s.ActorID]; ok {
			step.By = &by
		}
		e.Steps = append(e.Steps, step)
	}
	return e, nil
}

func (a *API) placeOrder(c *call) (any, error) {
	var in OrderDraft
	if err := c.read(&in); err != nil {
		return nil, err
	}
	f, err := a.shown(c)
	if err != nil {
		return nil, err
	}
	if in.Lasts < 0 || in.Lasts > 366*24*3600 {
		return nil, &activitypub.InvalidError{Field: "lasts", Msg: "want seconds"}
	}
	return a.doNatively(c, in, func(by activitypub.By, key string) (any, error) {
		o, err := a.Node.PlaceOrder(c.ctx, by, activitypub.OrderDraft{Offer: f, Quantity: in.Quantity, Amount: in.Amount, Note: in.Note, Lasts: time.Duration(in.Lasts) * time.Second, Key: key})
		if err != nil {
			return nil, err
		}
		return a.order(c, o)
	})
}

func (a *API) orders(c *call) (any, error) {
	states := c.form.List("state")
	for _, s := range states {
		if !slices.Contains([]string{storage.OrderProposed, storage.OrderAccepted, storage.OrderFulfilled, storage.OrderDisputed, storage.OrderConfirmed, storage.OrderRejected, storage.OrderExpired, storage.OrderCancelled}, s) {
			return nil, &activitypub.InvalidError{Field: "state", Msg: "there is no state " + s}
		}
	}
	p := c.form.Page(40, 80)
	os, err := a.DB.Orders(c.ctx, c.who.Actor.ID, states, p)
	if err != nil {
		return nil, err
	}
	return list(a, c, p, os, func(o *storage.Order) storage.ID { return o.ID }, func(o *storage.Order) (Order, error) { return a.order(c, o) })
}

func (a *API) ownOrder(c *call) (*storage.Order, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return a.Node.OrderOf(c.ctx, c.by(), id.String())
}

func (a *API) showOrder(c *call) (any, error) {
	o, err := a.ownOrder(c)
	if err != nil {
		return nil, err
	}
	return a.order(c, o)
}

// orderActs are the last parts of the addresses by which an order is moved.
var orderActs = []string{"accept", "decline", "agree", "cancel", "fulfil", "confirm", "dispute"}

func (a *API) moveOrder(c *call) (any, error) {
	var in Words
	if err := c.read(&in); err != nil {
		return nil, err
	}
	act := c.Param("act")
	if !slices.Contains(orderActs, act) {
		return nil, storage.ErrNotFound
	}
	o, err := a.ownOrder(c)
	if err != nil {
		return nil, err
	}
	return a.doOnce(c, in, func(by activitypub.By) (any, error) {
		o, err := a.Node.MoveOrder(c.ctx, by, o.ID, act, in.Words)
		if err != nil {
			return nil, err
		}
		return a.order(c, o)
	}, func(storage.IRI) (any, error) { return a.showOrder(c) })
}
