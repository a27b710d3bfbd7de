package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

type orderCmd struct {
	Place   orderPlaceCmd   `cmd:"" help:"Order something, or answer a request, here or elsewhere."`
	List    orderListCmd    `cmd:"" help:"List the orders of a co-op or person."`
	Show    orderShowCmd    `cmd:"" help:"Show one order with what happened to it."`
	Accept  orderAcceptCmd  `cmd:"" help:"Promise what was ordered, as whose offer it is."`
	Decline orderDeclineCmd `cmd:"" help:"Refuse an order, as whose offer it is."`
	Agree   orderAgreeCmd   `cmd:"" help:"Say that an answer to an offer, which was accepted, was meant as an order."`
	Cancel  orderCancelCmd  `cmd:"" help:"Call an order off."`
	Fulfil  orderFulfilCmd  `cmd:"" help:"Say that it was delivered, as who gives."`
	Confirm orderConfirmCmd `cmd:"" help:"Say that it has arrived, as who gets it."`
	Dispute orderDisputeCmd `cmd:"" help:"Say that something is wrong, as who gets it."`
}

// orderEntry is an order as --json prints one.
type orderEntry struct {
	ID        storage.ID      `json:"id"`
	Ask       storage.IRI     `json:"ask"`           // what asked for it
	IRI       storage.IRI     `json:"iri,omitempty"` // of the agreement, once there is one
	Offer     storage.IRI     `json:"offer"`
	Title     string          `json:"title"`
	Summary   string          `json:"summary"`
	Proposer  string          `json:"proposer"`  // whose offer or request it is
	Responder string          `json:"responder"` // who ordered
	Quantity  storage.Decimal `json:"quantity"`
	Unit      string          `json:"unit"`
	Amount    string          `json:"amount,omitempty"`
	Currency  storage.IRI     `json:"currency,omitempty"`
	Code      string          `json:"code,omitempty"` // of the currency
	Note      string          `json:"note,omitempty"`
	State     string          `json:"state"`
	Reason    string          `json:"reason,omitempty"` // a word for programs
	Words     string          `json:"words,omitempty"`  // and some for people
	Agreed    bool            `json:"agreed"`
	Cancelled bool            `json:"cancel_asked,omitempty"`
	Expires   *time.Time      `json:"expires,omitempty"`
	Link      string          `json:"link,omitempty"`
	Created   time.Time       `json:"created"`
	Updated   time.Time       `json:"updated"`
	Steps     []stepEntry     `json:"steps,omitempty"`
}

type stepEntry struct {
	When  time.Time `json:"when"`
	By    string    `json:"by,omitempty"` // nobody: time passed
	Act   string    `json:"act"`
	State string    `json:"state"`
	Words string    `json:"words,omitempty"`
}

func (c *app) orderEntry(n *activitypub.Node, o *storage.Order) (e orderEntry, err error) {
	f, err := n.DB.OfferByID(c.ctx, o.OfferID)
	if err != nil {
		return e, err
	}
	e = orderEntry{ID: o.ID, Ask: o.AskIRI, IRI: o.IRI, Offer: f.IRI, Title: f.Title, Summary: activitypub.SummaryOf(o, f), Quantity: o.Quantity, Unit: f.Unit, Note: o.Note, State: o.State,
		Reason: o.Code, Words: o.Words, Agreed: o.Agreed, Cancelled: o.CancelAsked, Created: o.CreatedAt, Updated: o.UpdatedAt}
	if o.Amount != "" {
		e.Amount, e.Currency, e.Code = f.Money(o.Amount), f.Currency, f.CurrencyName
	}
	if o.State == storage.OrderProposed || o.State == storage.OrderAccepted {
		e.Expires = &o.ExpiresAt
	}
	p, err := n.DB.ActorByID(c.ctx, o.ProposerID)
	if err != nil {
		return e, err
	}
	if e.Proposer = p.Handle(c.host()); p.Local() && o.IRI != "" {
		e.Link = n.OrderLink(o)
	}
	e.Responder, err = c.handle(n.DB, o.ResponderID)
	return e, err
}

type orderPlaceCmd struct {
	As       string `required:"" placeholder:"NAME" help:"The co-op or person that orders."`
	Offer    string `arg:"" placeholder:"OFFER-IRI" help:"What: the address of an offer, its post or its page, here or elsewhere, or its number here."`
	Quantity string `placeholder:"N" help:"How much, in the offer's unit (the least that can be ordered unless said)."`
	Amount   string `placeholder:"A" help:"What an open price is worth to you."`
	Note     string `placeholder:"N" help:"Some words for the other side."`
	Lasts    string `placeholder:"3d" default:"7d" help:"How long it waits for an answer."`
	ID       string `name:"id" placeholder:"KEY" help:"A word of your own: the same command with the same word orders once, however often it is run."`
	JSON     bool   `help:"Print JSON."`
}

func (orderPlaceCmd) Help() string {
	return "Example: planet order place --as ana https://oak.example/offers/117034567890 --quantity 2 --note \"on Friday, please\" --id friday"
}

func (cmd orderPlaceCmd) Run(c *app) error {
	lasts, ok := span(cmd.Lasts)
	if !ok {
		return usageError{fmt.Sprintf("--lasts: want a span such as 36h or 3d, not %q", cmd.Lasts)}
	}
	return c.as(cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		f, err := c.offer(n, cmd.Offer)
		if err != nil {
			return err
		}
		o, err := n.PlaceOrder(c.ctx, by, activitypub.OrderDraft{Offer: f, Quantity: cmd.Quantity, Amount: cmd.Amount, Note: cmd.Note, Lasts: lasts, Key: cmd.ID})
		if err != nil {
			return refused(err)
		}
		return c.orderSaid(n, o, cmd.JSON, by.Actor.Username+" ordered")
	})
}

// orderSaid is the outcome of an act on an order.
func (c *app) orderSaid(n *activitypub.Node, o *storage.Order, asJSON bool, did string) error {
	e, err := c.orderEntry(n, o)
	if err != nil {
		return err
	}
	if asJSON {
		return c.json(e)
	}
	c.say("%s %s: order %s, %s%s", did, e.Summary, e.ID, standing(o), c.queued(n.DB))
	return nil
}

// standing says how an order stands, for people.
func standing(o *storage.Order) string {
	switch {
	case o.CancelAsked:
		return o.State + ", to be cancelled"
	case o.State == storage.OrderAccepted && !o.Agreed:
		return o.State + ", to be agreed to by who ordered"
	default:
		return o.State
	}
}

// orderStates are the words of --state.
var orderStates = []string{storage.OrderProposed, storage.OrderAccepted, storage.OrderFulfilled, storage.OrderDisputed, storage.OrderConfirmed, storage.OrderRejected, storage.OrderExpired, storage.OrderCancelled}

type orderListCmd struct {
	As    string   `required:"" placeholder:"NAME" help:"Whose orders: what she ordered, and what was ordered of her."`
	State []string `placeholder:"S" help:"Only those that are proposed, accepted, fulfilled, disputed, confirmed, rejected, expired or cancelled; several with commas."`
	Limit int      `default:"40" help:"How many at most, the newest first."`
	JSON  bool     `help:"Print JSON."`
}

func (orderListCmd) Help() string {
	return "Example: planet order list --as bakery --state proposed,accepted"
}

func (cmd orderListCmd) Run(c *app) error {
	if cmd.Limit < 1 || cmd.Limit > 10_000 {
		return usageError{"--limit: want 1 to 10000"}
	}
	for _, s := range cmd.State {
		if !slices.Contains(orderStates, s) {
			return usageError{fmt.Sprintf("--state: %q is none of them; see planet order list --help", s)}
		}
	}
	return c.as(cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		os, err := n.DB.Orders(c.ctx, by.Actor.ID, cmd.State, storage.Page{Limit: cmd.Limit})
		if err != nil {
			return err
		}
		entries, t := []orderEntry{}, c.table("ORDER", "TIME", "FROM", "WITH", "WHAT", "STATE")
		for i := range os {
			e, err := c.orderEntry(n, &os[i])
			if err != nil {
				return err
			}
			entries = append(entries, e)
			t.row(e.ID.String(), stamp(&e.Created), e.Responder, e.Proposer, e.Summary, standing(&os[i]))
		}
		if cmd.JSON {
			return c.json(entries)
		}
		return t.flush()
	})
}

type orderShowCmd struct {
	Order string `arg:"" help:"The order: its number, or the address of what asked for it or of the agreement."`
	JSON  bool   `help:"Print JSON."`
}

func (orderShowCmd) Help() string {
	return "To whose offer it is, it shows the link by which a buyer whose server knows no orders sees and moves hers: whoever has the link can.\n\nExample: planet order show 117034567890"
}

func (cmd orderShowCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		o, err := c.order(n, activitypub.By{}, cmd.Order)
		if err != nil {
			return err
		}
		e, err := c.orderEntry(n, o)
		if err != nil {
			return err
		}
		if e.Steps, err = c.orderSteps(n.DB, o); err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(e)
		}
		t := c.table("order", e.ID.String())
		for _, row := range [][2]string{{"what", e.Summary}, {"offer", string(e.Offer)}, {"of", e.Proposer}, {"ordered by", e.Responder}, {"note", e.Note}, {"state", standing(o)},
			{"why", e.Words}, {"until", stamp(e.Expires)}, {"agreement", string(e.IRI)}, {"link", e.Link}} {
			if row[1] != "" {
				t.row(row[0], row[1])
			}
		}
		for _, s := range e.Steps {
			t.row(stamp(&s.When), s.By, s.Act, s.State, s.Words)
		}
		return t.flush()
	})
}

func (c *app) orderSteps(db *storage.DB, o *storage.Order) ([]stepEntry, error) {
	steps, err := db.OrderSteps(c.ctx, o.ID)
	if err != nil {
		return nil, err
	}
	entries := make([]stepEntry, 0, len(steps))
	for _, s := range steps {
		e := stepEntry{When: s.CreatedAt, Act: s.Act, State: s.State, Words: s.Words}
		if s.ActorID != 0 {
			if e.By, err = c.handle(db, s.ActorID); err != nil {
				return nil, err
			}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// order finds an order in which by's actor has a part; without an actor, any.
func (c *app) order(n *activitypub.Node, by activitypub.By, name string) (*storage.Order, error) {
	o, err := n.OrderOf(c.ctx, by, name)
	if errors.Is(err, storage.ErrNotFound) && by.Actor != nil {
		return nil, fmt.Errorf("%s has no order %s", by.Actor.Username, name)
	} else if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("there is no order %s", name)
	}
	return o, err
}

// onOrder is what every act on an order is called with.
type onOrder struct {
	As    string `required:"" placeholder:"NAME" help:"The co-op or person that does it."`
	Words string `placeholder:"W" help:"Some words for the other side."`
	JSON  bool   `help:"Print JSON."`
}

// move does something with an order and says how it stands then.
func (cmd onOrder) move(c *app, name, act, did string) error {
	return c.as(cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		o, err := c.order(n, by, name)
		if err != nil {
			return err
		}
		if o, err = n.MoveOrder(c.ctx, by, o.ID, act, cmd.Words); err != nil {
			return refused(err)
		}
		return c.orderSaid(n, o, cmd.JSON, by.Actor.Username+" "+did)
	})
}

type orderAcceptCmd struct {
	onOrder
	Reply    string `placeholder:"POST" help:"Instead of an order: an answer to an offer, which becomes one. For answers that were not understood."`
	Quantity string `placeholder:"N" help:"With --reply: how much was meant (the least that can be ordered unless said)."`
	Order    string `arg:"" optional:"" help:"The order: its number, or the address of what asked for it."`
}

func (orderAcceptCmd) Help() string {
	return "What is promised is taken from what is left of the offer, and kept for as long as its --hold.\n\nExample: planet order accept 117034567890 --as bakery\n         planet order accept --as bakery --reply https://social.example/@oli/1170345 --quantity 2"
}

func (cmd orderAcceptCmd) Run(c *app) error {
	switch {
	case (cmd.Order == "") == (cmd.Reply == ""):
		return usageError{"say which order, or with --reply which answer to an offer"}
	case cmd.Quantity != "" && cmd.Reply == "":
		return usageError{"--quantity goes with --reply: an order says itself how much"}
	case cmd.Reply == "":
		return cmd.move(c, cmd.Order, "accept", "accepted")
	}
	var made *storage.Order
	err := c.as(cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		p, err := c.postAt(n, by, cmd.Reply)
		if err != nil {
			return err
		}
		made, err = n.OrderFromReply(c.ctx, by, p.ID, cmd.Quantity)
		return refused(err)
	})
	if err != nil {
		return err
	}
	return cmd.move(c, made.ID.String(), "accept", "accepted")
}

// orderArg is which order an act is about.
type orderArg struct {
	Order string `arg:"" help:"The order: its number, or the address of what asked for it or of the agreement."`
}

type orderDeclineCmd struct {
	onOrder
	orderArg
}

func (orderDeclineCmd) Help() string {
	return "Example: planet order decline 117034567890 --as bakery --words \"the oven is cold this week\""
}

func (cmd orderDeclineCmd) Run(c *app) error { return cmd.move(c, cmd.Order, "decline", "declined") }

type orderAgreeCmd struct {
	onOrder
	orderArg
}

func (orderAgreeCmd) Help() string {
	return "Whose server knows no orders does so by the link that she was sent.\n\nExample: planet order agree 117034567890 --as ana"
}

func (cmd orderAgreeCmd) Run(c *app) error { return cmd.move(c, cmd.Order, "agree", "agreed to") }

type orderCancelCmd struct {
	onOrder
	orderArg
}

func (orderCancelCmd) Help() string {
	return "Who ordered asks the other side, which says that it is cancelled. What was promised can be sold again.\n\nExample: planet order cancel 117034567890 --as ana"
}

func (cmd orderCancelCmd) Run(c *app) error { return cmd.move(c, cmd.Order, "cancel", "cancels") }

type orderFulfilCmd struct {
	onOrder
	orderArg
}

func (orderFulfilCmd) Help() string {
	return "Example: planet order fulfil 117034567890 --as bakery --words \"at the door\""
}

func (cmd orderFulfilCmd) Run(c *app) error { return cmd.move(c, cmd.Order, "fulfil", "delivered") }

type orderConfirmCmd struct {
	onOrder
	orderArg
}

func (orderConfirmCmd) Help() string { return "Example: planet order confirm 117034567890 --as ana" }

func (cmd orderConfirmCmd) Run(c *app) error { return cmd.move(c, cmd.Order, "confirm", "has") }

type orderDisputeCmd struct {
	onOrder
	orderArg
}

func (orderDisputeCmd) Help() string {
	return "Example: planet order dispute 117034567890 --as ana --words \"one loaf was burnt\""
}

func (cmd orderDisputeCmd) Run(c *app) error { return cmd.move(c, cmd.Order, "dispute", "disputes") }

// orderNews says in words what somebody was told of an order, and what she can do about it while it stands so.
func (c *app) orderNews(db *storage.DB, n *storage.Notification, from string) (string, error) {
	o, err := db.OrderByID(c.ctx, n.OrderID)
	if err != nil {
		return "", err
	}
	f, err := db.OfferByID(c.ctx, o.OfferID)
	if err != nil {
		return "", err
	}
	ours := o.ProposerID
	if n.FromID == ours {
		ours = o.ResponderID
	}
	party, err := db.ActorByID(c.ctx, ours)
	if err != nil {
		return "", err
	}
	state := strings.TrimPrefix(n.Kind, "order.")
	gets := (f.Purpose == storage.PurposeOffer) == (ours == o.ResponderID)
	text, next := "", ""
	switch what := activitypub.SummaryOf(o, f); state {
	case storage.OrderProposed:
		text, next = from+" ordered "+what, "accept"
		if f.Purpose == storage.PurposeRequest {
			text = from + " can bring " + what
		}
	case storage.OrderAccepted:
		if text = from + " accepted " + what; ours == o.ProposerID {
			text = from + " confirmed the order of " + what
		}
		switch {
		case ours == o.ResponderID && !o.Agreed:
			next = "agree"
		case !gets:
			next = "fulfil"
		}
	case storage.OrderFulfilled:
		text, next = from+" delivered "+what, "confirm"
	case storage.OrderConfirmed:
		text = from + " has received " + what
	case storage.OrderDisputed:
		text = from + " says that something is wrong with " + what
	case storage.OrderExpired:
		text = "the time of the order of " + what + " with " + from + " is over"
	default:
		text = from + " " + map[string]string{storage.OrderRejected: "declined", storage.OrderCancelled: "cancelled"}[state] + " the order of " + what
	}
	if o.State != state { // it has gone on since
		return text, nil
	}
	if o.Words != "" {
		text += fmt.Sprintf(" (%s)", o.Words)
	}
	if next != "" {
		text += fmt.Sprintf(": planet order %s %s --as %s", next, o.ID, party.Username)
	}
	return text, nil
}
