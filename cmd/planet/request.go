package main

import (
	"time"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

// requestEntry is a request for payment as --json prints one. The amount is a decimal with a point.
type requestEntry struct {
	ID       storage.ID  `json:"id"`
	IRI      storage.IRI `json:"iri"`
	From     storage.IRI `json:"from"` // who is to pay
	To       storage.IRI `json:"to"`
	Amount   string      `json:"amount"`
	Currency string      `json:"currency"`
	Book     storage.IRI `json:"currency_iri"`
	Memo     string      `json:"memo,omitempty"`
	State    string      `json:"state"`
	Payment  storage.ID  `json:"payment,omitempty"`
	Link     string      `json:"link"`
	Expires  time.Time   `json:"expires"`
	Created  time.Time   `json:"created"`
}

func requestOf(n *activitypub.Node, u ledger.Currency, r *storage.PaymentRequest) requestEntry {
	return requestEntry{ID: r.ID, IRI: r.IRI, From: r.Payer, To: r.Payee, Amount: *decimal(u, int64(r.Amount)), Currency: u.Code, Book: r.Currency, Memo: r.Memo, State: r.Standing(n.Now()),
		Payment: r.PaymentID, Link: n.RequestLink(r), Expires: r.ExpiresAt, Created: r.CreatedAt}
}

type paymentRequestCmd struct {
	As       string        `required:"" placeholder:"NAME" help:"The person or co-op that asks, and is paid."`
	By       string        `placeholder:"USER" help:"Who asks as a co-op: her role has to allow it (default: the operator)."`
	Of       string        `required:"" placeholder:"HANDLE" help:"Who is to pay."`
	Amount   string        `required:"" help:"How much, such as 3.00; in a currency of hours also 1:30."`
	Currency string        `required:"" placeholder:"CODE" help:"In which currency: its code, or the address of one of another node."`
	Memo     string        `help:"What it is for: at most 500 characters."`
	Within   time.Duration `placeholder:"720h" help:"How long it may be paid (default: thirty days)."`
	JSON     bool          `help:"Print JSON."`
}

func (paymentRequestCmd) Help() string {
	return `Whoever is asked gets a direct message with a link, which any app shows. It is paid with planet pay --request.

Example: planet payment request --as bakery --of @pat@far.example --amount 9.00 --currency GRN --memo "2 loaves"`
}

func (cmd paymentRequestCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		var by activitypub.By
		var err error
		if by.Actor, err = c.actor(n.DB, cmd.As); err != nil {
			return err
		}
		if cmd.By != "" {
			if by.User, err = c.user(n.DB, cmd.By); err != nil {
				return err
			}
		}
		m, err := n.Money(c.ctx, cmd.Currency)
		if err != nil {
			return err
		}
		of, err := c.owner(n, cmd.Of)
		if err != nil {
			return err
		}
		r, err := n.RequestPayment(c.ctx, by, activitypub.NewRequest{Currency: m, Of: of, Amount: cmd.Amount, Memo: cmd.Memo, Lasts: cmd.Within})
		if err != nil {
			return refusal(err, nil)
		}
		if cmd.JSON {
			return c.json(requestOf(n, m.Book, r))
		}
		c.say("%s asks %s for %s until %s UTC: request %s, %s", by.Actor.Username, of.Handle(n.Host), money(m.Book, int64(r.Amount)), stamp(&r.ExpiresAt), r.ID, r.IRI)
		return nil
	})
}

type paymentRequestsCmd struct {
	Of     string     `required:"" placeholder:"NAME" help:"Of and to this person or co-op."`
	Before storage.ID `placeholder:"ID" help:"Older than this one."`
	Limit  int        `default:"50" help:"At most so many."`
	JSON   bool       `help:"Print JSON."`
}

func (paymentRequestsCmd) Help() string {
	return `Requests that another node makes come as direct messages: its link leads to them.

Example: planet payment requests --of bakery`
}

func (cmd paymentRequestsCmd) Run(c *app) error {
	if cmd.Limit < 1 || cmd.Limit > 10_000 {
		return usageError{"--limit: want 1 to 10000"}
	}
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.actor(n.DB, cmd.Of)
		if err != nil {
			return err
		}
		rs, err := n.DB.PaymentRequests(c.ctx, a.IRI, storage.Page{MaxID: cmd.Before, Limit: cmd.Limit})
		if err != nil {
			return err
		}
		list, t := []requestEntry{}, c.table("REQUEST", "TIME", "OF", "BY", "AMOUNT", "STATE", "FOR")
		for i := range rs {
			r := &rs[i]
			m, err := n.Money(c.ctx, string(r.Currency))
			if err != nil {
				return err
			}
			list = append(list, requestOf(n, m.Book, r))
			t.row(r.ID.String(), stamp(&r.CreatedAt), c.nameOf(n.DB, r.Payer), c.nameOf(n.DB, r.Payee), sum(m, r.Amount), r.Standing(n.Now()), r.Memo)
		}
		if cmd.JSON {
			return c.json(list)
		}
		return t.flush()
	})
}

// requestAct is what the two commands that end a request have in common.
type requestAct struct {
	Request storage.ID `arg:"" help:"Which request."`
	As      string     `required:"" placeholder:"NAME" help:"Who says so."`
	By      string     `placeholder:"USER" help:"Who says so as a co-op (default: the operator)."`
}

func (cmd requestAct) run(c *app, words string, do func(n *activitypub.Node, by activitypub.By) (*storage.PaymentRequest, error)) error {
	return c.withNode(func(n *activitypub.Node) error {
		var by activitypub.By
		var err error
		if by.Actor, err = c.actor(n.DB, cmd.As); err != nil {
			return err
		}
		if cmd.By != "" {
			if by.User, err = c.user(n.DB, cmd.By); err != nil {
				return err
			}
		}
		r, err := do(n, by)
		if err != nil {
			return refusal(err, nil)
		}
		c.say("%s: request %s", words, r.ID)
		return nil
	})
}

type paymentWithdrawCmd struct{ requestAct }

func (paymentWithdrawCmd) Help() string {
	return "Example: planet payment withdraw 123456789 --as bakery"
}

func (cmd paymentWithdrawCmd) Run(c *app) error {
	return cmd.run(c, "taken back", func(n *activitypub.Node, by activitypub.By) (*storage.PaymentRequest, error) {
		return n.WithdrawRequest(c.ctx, by, cmd.Request)
	})
}

type paymentDeclineCmd struct{ requestAct }

func (paymentDeclineCmd) Help() string { return "Example: planet payment decline 123456789 --as ana" }

func (cmd paymentDeclineCmd) Run(c *app) error {
	return cmd.run(c, "refused", func(n *activitypub.Node, by activitypub.By) (*storage.PaymentRequest, error) {
		return n.DeclineRequest(c.ctx, by, cmd.Request)
	})
}
