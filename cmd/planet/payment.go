package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

type payCmd struct {
	As       string        `required:"" placeholder:"NAME" help:"The person or co-op that pays."`
	By       string        `placeholder:"USER" help:"Who pays as a co-op: her role has to allow it, and the amount (default: the operator)."`
	To       string        `placeholder:"HANDLE" help:"Who is paid."`
	Amount   string        `help:"How much, such as 3.00; in a currency of hours also 1:30."`
	Currency string        `placeholder:"CODE" help:"In which currency: its code, or the address of one of another node."`
	Request  string        `placeholder:"REQUEST" help:"Pay what this request for payment asks for, by its number or its address, instead of --to, --amount and --currency."`
	Memo     string        `help:"What it is for: at most 500 characters."`
	Order    string        `placeholder:"ORDER" help:"The order that is paid with it, by its number or its address: it is paid once."`
	Hold     time.Duration `placeholder:"1h" help:"Hold the amount for so long, until the payee takes it (payment post) or lets it go (payment void)."`
	Dated    string        `placeholder:"DAY" help:"The day to write on it, at most a month back."`
	Within   time.Duration `placeholder:"15m" help:"How long a ledger elsewhere may take to accept it; later it is not paid (default: 15m)."`
	Wait     time.Duration `default:"10s" help:"How long to wait here for the answer of a ledger elsewhere; the payment goes its way all the same."`
	ID       string        `name:"id" placeholder:"KEY" help:"A word of your own: the same command with the same word pays once, however often it is run."`
	JSON     bool          `help:"Print JSON."`
}

func (payCmd) Help() string {
	return "Example: planet pay --as ana --to bakery --amount 3.00 --currency GRN --memo \"2 loaves\" --id order-17"
}

// paymentEntry is a payment as --json prints one. The amount is a decimal with a point.
type paymentEntry struct {
	ID       storage.ID  `json:"id"`
	IRI      storage.IRI `json:"iri"`
	Transfer string      `json:"transfer"`
	Currency string      `json:"currency"`
	Book     storage.IRI `json:"currency_iri"`
	From     storage.IRI `json:"from"`
	To       storage.IRI `json:"to"`
	Amount   string      `json:"amount"`
	Code     string      `json:"code"`
	Memo     string      `json:"memo,omitempty"`
	State    string      `json:"state"`
	Reason   string      `json:"reason,omitempty"`
	Words    string      `json:"words,omitempty"`
	Fulfills storage.IRI `json:"fulfills,omitempty"`
	Event    storage.IRI `json:"event,omitempty"`
	Order    storage.ID  `json:"order,omitempty"`
	Ends     *time.Time  `json:"ends,omitempty"`
	RefundOf *storage.ID `json:"refund_of,omitempty"`
	Expires  *time.Time  `json:"expires,omitempty"`
	Created  time.Time   `json:"created"`
	Settled  *time.Time  `json:"settled,omitempty"`
	Twin     *storage.ID `json:"twin,omitempty"` // the same was paid shortly before
}

func paymentOf(u ledger.Currency, p *storage.Payment) paymentEntry {
	return paymentEntry{ID: p.ID, IRI: p.IRI, Transfer: p.Transfer().String(), Currency: u.Code, Book: p.Currency, From: p.Payer, To: p.Payee, Amount: *decimal(u, int64(p.Amount)), Code: p.Code,
		Memo: p.Memo, State: p.State, Reason: p.Reason, Words: p.Words, Fulfills: p.Fulfills, Event: p.Event, Order: p.OrderID, Ends: p.EndsAt, RefundOf: p.RefundOf, Expires: p.ExpiresAt, Created: p.CreatedAt, Settled: p.SettledAt}
}

func (cmd payCmd) Run(c *app) error {
	switch {
	case cmd.Request != "" && (cmd.To != "" || cmd.Amount != "" || cmd.Currency != "" || cmd.Memo != "" || cmd.Order != "" || cmd.Hold != 0 || cmd.Dated != "" || cmd.Within != 0):
		return usageError{"--request says who is paid how much in which currency, and what for: leave the rest away"}
	case cmd.Request == "" && (cmd.To == "" || cmd.Amount == "" || cmd.Currency == ""):
		return usageError{"want --to, --amount and --currency, or --request"}
	}
	var dated time.Time
	if cmd.Dated != "" {
		var err error
		if dated, err = time.Parse(time.DateOnly, cmd.Dated); err != nil {
			return usageError{fmt.Sprintf("--dated %s: want a day, such as 2026-11-01", cmd.Dated)}
		}
	}
	return c.withNode(func(n *activitypub.Node) error {
		by, err := c.actor(n.DB, cmd.As)
		if err != nil {
			return err
		}
		payer := activitypub.By{Actor: by}
		if cmd.By != "" {
			if payer.User, err = c.user(n.DB, cmd.By); err != nil {
				return err
			}
		}
		var m *activitypub.Money
		var to *storage.Actor
		var asked *activitypub.Asked
		if cmd.Request != "" {
			if asked, err = n.ReadRequest(c.ctx, payer, cmd.Request); err != nil {
				return err
			}
			if to, err = n.Resolve(c.ctx, string(asked.Payee)); err != nil {
				return err
			}
			m = asked.Money
		} else {
			if m, err = n.Money(c.ctx, cmd.Currency); err != nil {
				return err
			}
			if to, err = c.owner(n, cmd.To); err != nil {
				return err
			}
		}
		var order *storage.Order
		if cmd.Order != "" {
			if order, err = n.OrderOf(c.ctx, payer, cmd.Order); errors.Is(err, storage.ErrNotFound) {
				return fmt.Errorf("%s has no order %s: planet order list --as %s shows them", by.Username, printable(cmd.Order), by.Username)
			} else if err != nil {
				return err
			}
		}
		var p *storage.Payment
		if asked != nil {
			p, err = n.PayRequest(c.ctx, payer, asked, cmd.ID)
		} else {
			p, err = n.Pay(c.ctx, payer, activitypub.PayOrder{Currency: m, To: to, Amount: cmd.Amount, Memo: cmd.Memo, Order: order,
				Hold: cmd.Hold, Dated: dated, Lasts: cmd.Within, Key: cmd.ID})
		}
		if err != nil {
			return refusal(err, p)
		}
		if p, err = c.answered(n, p, cmd.Wait); err != nil {
			return err
		}
		twin, err := n.Twin(c.ctx, p)
		if err != nil {
			return err
		}
		e := paymentOf(m.Book, p)
		if twin != nil {
			e.Twin = &twin.ID
		}
		if cmd.JSON {
			return c.json(e)
		}
		switch p.State {
		case storage.PaymentHeld:
			c.say("held %s of %s for %s until %s UTC: payment %s, %s", money(m.Book, int64(p.Amount)), by.Username, to.Username, stamp(p.ExpiresAt), p.ID, p.State)
		case storage.PaymentCommitted:
			c.say("%s paid %s to %s: payment %s, %s", by.Username, money(m.Book, int64(p.Amount)), to.Username, p.ID, p.State)
		case storage.PaymentWaiting:
			c.say("%s to %s waits for a second person of %s: payment %s, until %s UTC", money(m.Book, int64(p.Amount)), to.Username, by.Username, p.ID, stamp(p.ExpiresAt))
		case storage.PaymentSent:
			c.say("%s to %s is on its way to the ledger of %s, which may accept it until %s UTC: payment %s. Nothing is paid before; planet payment show %s tells", money(m.Book, int64(p.Amount)), to.Username, m.Name(), stamp(p.EndsAt), p.ID, p.ID)
		default: // asked again
			c.say("this was asked before: payment %s, %s", p.ID, p.State)
		}
		if twin != nil {
			c.say("Twice? %s, between the same two, was payment %s, %d seconds before.", money(m.Book, int64(p.Amount)), twin.ID, int(p.CreatedAt.Sub(twin.CreatedAt).Seconds()))
		}
		return nil
	})
}

// changed waits until a payment is not in a state any more, as long as it is asked to: a ledger elsewhere answers the node that runs.
func (c *app) changed(n *activitypub.Node, p *storage.Payment, state string, wait time.Duration) (*storage.Payment, error) {
	for until := n.Now().Add(wait); p.State == state && n.Now().Before(until); {
		select {
		case <-c.ctx.Done():
			return p, c.ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		var err error
		if p, err = n.DB.PaymentByID(c.ctx, p.ID); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// answered waits for the answer to a payment that was sent, and tells a refusal as an error.
func (c *app) answered(n *activitypub.Node, p *storage.Payment, wait time.Duration) (*storage.Payment, error) {
	p, err := c.changed(n, p, storage.PaymentSent, wait)
	if err != nil {
		return nil, err
	}
	if p.State == storage.PaymentRejected || p.State == storage.PaymentExpired || p.State == storage.PaymentCancelled {
		return nil, fmt.Errorf("refused: %s (%s, payment %s)", p.Words, p.Reason, p.ID)
	}
	return p, nil
}

type paymentCmd struct {
	List   paymentListCmd   `cmd:"" help:"List payments, newest first."`
	Show   paymentShowCmd   `cmd:"" help:"Show one payment."`
	Post   paymentPostCmd   `cmd:"" help:"Take a payment that is held, as its payee."`
	Void   paymentVoidCmd   `cmd:"" help:"Let a payment that is held go, as its payee."`
	Refund paymentRefundCmd `cmd:"" help:"Give a payment back, as its payee."`
	Cancel paymentCancelCmd `cmd:"" help:"Take a payment back that nobody has accepted yet, as its payer."`

	Request  paymentRequestCmd  `cmd:"" help:"Ask somebody for a payment: an invoice."`
	Requests paymentRequestsCmd `cmd:"" help:"List the requests for payment of somebody, and those to her."`
	Withdraw paymentWithdrawCmd `cmd:"" help:"Take a request for payment back, as whoever asked."`
	Decline  paymentDeclineCmd  `cmd:"" help:"Say no to a request for payment, as whoever is asked."`

	Approve paymentApproveCmd `cmd:"" help:"Say yes to a payment that waits for a second person."`
	Refuse  paymentRefuseCmd  `cmd:"" help:"Say no to a payment that waits for a second person."`
}

type paymentListCmd struct {
	Of     string     `placeholder:"NAME" help:"From and to this person or co-op alone."`
	Before storage.ID `placeholder:"ID" help:"Older than this one."`
	Limit  int        `default:"50" help:"At most so many."`
	JSON   bool       `help:"Print JSON."`
}

func (paymentListCmd) Help() string { return "Example: planet payment list --of bakery" }

func (cmd paymentListCmd) Run(c *app) error {
	if cmd.Limit < 1 || cmd.Limit > 10_000 {
		return usageError{"--limit: want 1 to 10000"}
	}
	return c.withNode(func(n *activitypub.Node) error {
		db := n.DB
		var of storage.IRI
		if cmd.Of != "" {
			a, err := c.actor(db, cmd.Of)
			if err != nil {
				return err
			}
			of = a.IRI
		}
		ps, err := db.Payments(c.ctx, of, cmd.Before, cmd.Limit)
		if err != nil {
			return err
		}
		list, t := []paymentEntry{}, c.table("PAYMENT", "TIME", "FROM", "TO", "AMOUNT", "STATE", "FOR")
		books := map[storage.IRI]*activitypub.Money{}
		for i := range ps {
			p := &ps[i]
			m, ok := books[p.Currency]
			if !ok {
				if m, err = n.MoneyOf(c.ctx, p); err != nil {
					return err
				}
				books[p.Currency] = m
			}
			list = append(list, paymentOf(m.Book, p))
			t.row(p.ID.String(), stamp(&p.CreatedAt), c.nameOf(db, p.Payer), c.nameOf(db, p.Payee), sum(m, p.Amount), stateOf(p), p.Memo)
		}
		if cmd.JSON {
			return c.json(list)
		}
		return t.flush()
	})
}

func stateOf(p *storage.Payment) string {
	if p.Reason != "" {
		return p.State + ": " + p.Reason
	}
	return p.State
}

// nameOf is the name of an actor, or her id when she is not known here any more.
func (c *app) nameOf(db *storage.DB, iri storage.IRI) string {
	a, err := db.ActorByIRI(c.ctx, iri)
	switch {
	case err != nil:
		return string(iri)
	case a.Local():
		return a.Username
	}
	return a.Username + "@" + a.Domain
}

// sum is an amount with the name of its currency, and of one elsewhere whose it is.
func sum(m *activitypub.Money, v ledger.Amount) string {
	return m.Book.Format(int64(v)) + " " + m.Name()
}

// payment finds a payment with its currency.
func (c *app) payment(n *activitypub.Node, id storage.ID) (*storage.Payment, *activitypub.Money, error) {
	p, err := n.DB.PaymentByID(c.ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil, fmt.Errorf("there is no payment %s", id)
	} else if err != nil {
		return nil, nil, err
	}
	m, err := n.MoneyOf(c.ctx, p)
	return p, m, err
}

type paymentShowCmd struct {
	ID   storage.ID `arg:"" help:"Which payment."`
	JSON bool       `help:"Print JSON."`
}

func (paymentShowCmd) Help() string { return "Example: planet payment show 123456789" }

func (cmd paymentShowCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		db := n.DB
		p, m, err := c.payment(n, cmd.ID)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(paymentOf(m.Book, p))
		}
		t := c.table("payment", p.ID.String())
		t.row("id", string(p.IRI))
		t.row("from", c.nameOf(db, p.Payer))
		t.row("to", c.nameOf(db, p.Payee))
		t.row("amount", sum(m, p.Amount))
		t.row("what", p.Code)
		t.row("for", p.Memo)
		t.row("state", stateOf(p))
		if p.Words != "" {
			t.row("why", p.Words)
		}
		if p.OrderID != 0 {
			t.row("order", p.OrderID.String())
		}
		if p.Event != "" {
			t.row("event", string(p.Event))
		}
		if p.CurrencyID == 0 && p.State == storage.PaymentCommitted {
			t.row("receipt", map[bool]string{true: "kept", false: "not fetched yet"}[p.Receipt != nil])
		}
		t.row("made", stamp(&p.CreatedAt))
		t.row("held until", stamp(p.ExpiresAt))
		t.row("settled", stamp(p.SettledAt))
		if p.RefundOf != nil {
			t.row("refund of", p.RefundOf.String())
		}
		return t.flush()
	})
}

// payeeAct is what the three commands of a payee have in common.
type payeeAct struct {
	Payment storage.ID    `arg:"" help:"Which payment."`
	As      string        `placeholder:"NAME" help:"The payee (default: whoever it is)."`
	Key     string        `name:"id" placeholder:"KEY" help:"A word of your own: the same command with the same word is done once."`
	Wait    time.Duration `default:"10s" help:"How long to wait here for the answer of a ledger elsewhere."`
	JSON    bool          `help:"Print JSON."`
}

func (cmd payeeAct) run(c *app, verb string, do func(n *activitypub.Node, by activitypub.By) (*storage.Payment, error)) error {
	return c.withNode(func(n *activitypub.Node) error {
		p, m, err := c.payment(n, cmd.Payment)
		if err != nil {
			return err
		}
		name := cmd.As
		if name == "" {
			name = c.nameOf(n.DB, p.Payee)
		}
		by, err := c.actor(n.DB, name)
		if err != nil {
			return err
		}
		kept, err := do(n, activitypub.By{Actor: by})
		if err != nil {
			if kept != nil && kept.ID == p.ID { // the refusal of an act on it is no payment
				kept = nil
			}
			return refusal(err, kept)
		}
		if kept.ID != p.ID {
			if kept, err = c.answered(n, kept, cmd.Wait); err != nil {
				return err
			}
		} else if m.Here == nil {
			if kept, err = c.changed(n, kept, storage.PaymentHeld, cmd.Wait); err != nil {
				return err
			}
		}
		if cmd.JSON {
			return c.json(paymentOf(m.Book, kept))
		}
		if m.Here == nil && (kept.State == storage.PaymentHeld || kept.State == storage.PaymentSent) {
			c.say("the ledger of %s was told; it has not answered yet: payment %s, %s", m.Name(), kept.ID, kept.State)
			return nil
		}
		c.say("%s %s %s: payment %s, %s", by.Username, verb, money(m.Book, int64(kept.Amount)), kept.ID, kept.State)
		return nil
	})
}

type paymentPostCmd struct {
	payeeAct
	Amount string `help:"How much of it (default: all); the rest goes back."`
}

func (paymentPostCmd) Help() string { return "Example: planet payment post 123456789 --amount 2.50" }

func (cmd paymentPostCmd) Run(c *app) error {
	return cmd.run(c, "took", func(n *activitypub.Node, by activitypub.By) (*storage.Payment, error) {
		return n.TakePayment(c.ctx, by, cmd.Payment, cmd.Amount, cmd.Key)
	})
}

type paymentVoidCmd struct{ payeeAct }

func (paymentVoidCmd) Help() string { return "Example: planet payment void 123456789" }

func (cmd paymentVoidCmd) Run(c *app) error {
	return cmd.run(c, "let go of", func(n *activitypub.Node, by activitypub.By) (*storage.Payment, error) {
		return n.ReleasePayment(c.ctx, by, cmd.Payment, cmd.Key)
	})
}

type paymentRefundCmd struct {
	payeeAct
	Amount string `help:"How much of it (default: all that is left)."`
	Memo   string `help:"Why: at most 500 characters."`
}

func (paymentRefundCmd) Help() string {
	return `A refund is a payment of its own; the first one stays in the book.

Example: planet payment refund 123456789 --amount 1.00 --memo "one loaf was burnt"`
}

func (cmd paymentRefundCmd) Run(c *app) error {
	return cmd.run(c, "gave back", func(n *activitypub.Node, by activitypub.By) (*storage.Payment, error) {
		return n.RefundPayment(c.ctx, by, cmd.Payment, cmd.Amount, cmd.Memo, cmd.Key)
	})
}

// second finds a payment of a co-op for somebody who decides on it.
func (c *app) second(n *activitypub.Node, id storage.ID, user string) (p *storage.Payment, m *activitypub.Money, by activitypub.By, err error) {
	if p, m, err = c.payment(n, id); err != nil {
		return
	}
	if by.Actor, err = n.DB.ActorByIRI(c.ctx, p.Payer); err != nil {
		return
	}
	by.User, err = c.user(n.DB, user)
	return
}

type paymentApproveCmd struct {
	Payment storage.ID    `arg:"" help:"Which payment."`
	By      string        `required:"" placeholder:"USER" help:"Who says so: somebody with the role, and not who proposed it."`
	Wait    time.Duration `default:"10s" help:"How long to wait here for the answer of a ledger elsewhere."`
	JSON    bool          `help:"Print JSON."`
}

func (paymentApproveCmd) Help() string {
	return "The payment is made by it.\n\nExample: planet payment approve 123456789 --by jordi"
}

func (cmd paymentApproveCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		p, m, by, err := c.second(n, cmd.Payment, cmd.By)
		if err != nil {
			return err
		}
		if p, err = n.ApprovePayment(c.ctx, by, p.ID); err != nil {
			return refusal(err, p)
		}
		if p, err = c.answered(n, p, cmd.Wait); err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(paymentOf(m.Book, p))
		}
		c.say("%s has approved it: %s to %s, payment %s, %s", by.User.Username, sum(m, p.Amount), c.nameOf(n.DB, p.Payee), p.ID, p.State)
		return nil
	})
}

type paymentRefuseCmd struct {
	Payment storage.ID `arg:"" help:"Which payment."`
	By      string     `required:"" placeholder:"USER" help:"Who says so: somebody with the role."`
	Reason  string     `required:"" help:"Why: whoever proposed it reads it."`
	JSON    bool       `help:"Print JSON."`
}

func (paymentRefuseCmd) Help() string {
	return `Nothing is paid.

Example: planet payment refuse 123456789 --by jordi --reason "we have flour for a month"`
}

func (cmd paymentRefuseCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		p, m, by, err := c.second(n, cmd.Payment, cmd.By)
		if err != nil {
			return err
		}
		if p, err = n.RefusePayment(c.ctx, by, p.ID, cmd.Reason); err != nil {
			return refusal(err, nil)
		}
		if cmd.JSON {
			return c.json(paymentOf(m.Book, p))
		}
		c.say("%s has refused it: payment %s, %s", by.User.Username, p.ID, p.State)
		return nil
	})
}

type paymentCancelCmd struct {
	Payment storage.ID    `arg:"" help:"Which payment."`
	Wait    time.Duration `default:"10s" help:"How long to wait here for the answer of a ledger elsewhere."`
	JSON    bool          `help:"Print JSON."`
}

func (paymentCancelCmd) Help() string {
	return `What a ledger has accepted stays: its payee can give it back.

Example: planet payment cancel 123456789`
}

func (cmd paymentCancelCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		p, m, err := c.payment(n, cmd.Payment)
		if err != nil {
			return err
		}
		by, err := n.DB.ActorByIRI(c.ctx, p.Payer)
		if err != nil {
			return err
		}
		if !by.Local() {
			return fmt.Errorf("%s is not of this node: only the payer takes a payment back", c.nameOf(n.DB, p.Payer))
		}
		if p, err = n.CancelPayment(c.ctx, activitypub.By{Actor: by}, p.ID); err != nil {
			return refusal(err, nil)
		}
		if p, err = c.changed(n, p, storage.PaymentSent, cmd.Wait); err != nil {
			return err
		}
		switch {
		case cmd.JSON:
			return c.json(paymentOf(m.Book, p))
		case p.State == storage.PaymentCommitted || p.State == storage.PaymentHeld:
			return fmt.Errorf("it came too late: payment %s is %s", p.ID, p.State)
		case p.State == storage.PaymentSent:
			c.say("the ledger of %s was told; it has not answered yet: payment %s, %s", m.Name(), p.ID, p.State)
		default:
			c.say("taken back: payment %s, %s", p.ID, p.State)
		}
		return nil
	})
}

// plural counts things.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, strings.TrimSpace(many))
}

// paymentNews says what has come of a payment, and what is to be done now.
func (c *app) paymentNews(db *storage.DB, n *storage.Notification) (string, error) {
	p, err := db.PaymentByID(c.ctx, n.PaymentID)
	if err != nil {
		return "", err
	}
	var u ledger.Currency
	if p.CurrencyID != 0 {
		here, err := db.CurrencyByID(c.ctx, p.CurrencyID)
		if err != nil {
			return "", err
		}
		u = here.Book
	} else {
		there, err := db.ForeignCurrencyByIRI(c.ctx, p.Currency)
		if err != nil {
			return "", err
		}
		u.Code, u.Scale = there.Code, uint8(there.Scale)
	}
	names := [2]string{string(p.Payer), string(p.Payee)}
	for i, iri := range []storage.IRI{p.Payer, p.Payee} {
		if a, err := db.ActorByIRI(c.ctx, iri); err == nil {
			names[i] = a.Handle(c.host())
		} else if !errors.Is(err, storage.ErrNotFound) {
			return "", err
		}
	}
	payer, payee := names[0], names[1]
	amount := u.Format(int64(p.Amount)) + " " + u.Code
	text, next := "", ""
	switch state := strings.TrimPrefix(n.Kind, "payment."); state {
	case storage.PaymentWaiting:
		who, err := c.whoActed(db, p.UserID)
		if err != nil {
			return "", err
		}
		text, next = fmt.Sprintf("%s wants %s to pay %s to %s", who, payer, amount, payee), fmt.Sprintf("planet payment approve %s --by", p.ID)
	case "approved":
		who, err := c.whoActed(db, p.SecondID)
		if err != nil {
			return "", err
		}
		text = fmt.Sprintf("%s said yes to %s for %s", who, amount, payee)
	case storage.PaymentRefused:
		text = fmt.Sprintf("%s for %s was not approved", amount, payee)
		if p.Words != "" {
			text += ": " + p.Words
		}
	case storage.PaymentHeld:
		text, next = fmt.Sprintf("%s holds %s for %s until %s", payer, amount, payee, stamp(p.ExpiresAt)), "planet payment post "+p.ID.String()
	case storage.PaymentCommitted:
		if text = fmt.Sprintf("%s paid %s to %s", payer, amount, payee); p.RefundOf != nil {
			text = fmt.Sprintf("%s gave %s back to %s", payer, amount, payee)
		}
	default:
		text = fmt.Sprintf("%s from %s to %s is %s", amount, payer, payee, state)
		if p.Words != "" {
			text += ": " + p.Words
		}
	}
	if p.Memo != "" {
		text += " (" + p.Memo + ")"
	}
	if next != "" && "payment."+p.State == n.Kind { // it may be over
		text += ": " + next
	}
	return text, nil
}
