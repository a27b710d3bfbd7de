package economy

import (
	"errors"
	"net/http"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// Payment is a payment as its parties see it.
type Payment struct {
	ID       string  `json:"id"`
	IRI      string  `json:"iri" doc:"Of the activity that asked for it."`
	Transfer string  `json:"transfer" doc:"The ledger's id."`
	From     Party   `json:"from"`
	To       Party   `json:"to"`
	Amount   string  `json:"amount"`
	Currency string  `json:"currency"`
	Code     string  `json:"code"`
	Memo     string  `json:"memo"`
	Kind     string  `json:"kind" doc:"payment, refund, issue, redeem, …"`
	State    string  `json:"state" enum:"waiting,refused,sent,held,committed,rejected,cancelled,expired" doc:"waiting: for a second person; sent: to a ledger elsewhere. Paid is what is committed, and nothing else."`
	Reason   *string `json:"reason" doc:"Why it was refused, for programs (docs/payments.md)."`
	Words    string  `json:"words" doc:"Likewise, for people."`
	Order    *string `json:"order_id"`
	Fulfills *string `json:"fulfills" doc:"What it pays, for servers."`
	RefundOf *string `json:"refund_of" doc:"The payment that it gives back."`
	Twin     *string `json:"twin_id" doc:"The same was paid within a minute before: is it meant twice?"`
	Receipt  bool    `json:"receipt" doc:"There is one."`
	Ends     *string `json:"ends_at" doc:"A ledger may accept it until then."`
	Expires  *string `json:"expires_at" doc:"Until then it is held, or waits for a second person."`
	Created  string  `json:"created_at"`
	Settled  *string `json:"settled_at"`
}

// PaymentDraft is what somebody wants to pay: an amount to somebody, or what a request asks for.
type PaymentDraft struct {
	To       string `json:"to,omitempty" doc:"A handle or an address."`
	Amount   string `json:"amount,omitempty" doc:"Such as 3.00; in a currency of hours also 1:30."`
	Currency string `json:"currency,omitempty" doc:"Its code, or the address of one of another node."`
	Memo     string `json:"memo,omitempty" doc:"At most 500 characters."`
	Order    string `json:"order,omitempty" doc:"The order that is paid."`
	Hold     int64  `json:"hold,omitempty" doc:"Hold the amount for so many seconds, until the payee takes it."`
	Request  string `json:"request,omitempty" doc:"A request for payment, by its id or address, instead of everything else."`
}

// PaymentOrder is a PaymentDraft, or the intent that was made of one.
type PaymentOrder struct {
	PaymentDraft
	Intent string `json:"intent,omitempty" doc:"Of an intent, instead of everything else."`
}

// Intent is what a payment would do.
type Intent struct {
	Intent    string   `json:"intent" doc:"Pay with this, and it is done as it says here or not at all."`
	To        Party    `json:"to" doc:"Who is paid: look whether it is who you mean."`
	Amount    string   `json:"amount"`
	Levy      string   `json:"levy" doc:"What is given on top."`
	Total     string   `json:"total"`
	Currency  string   `json:"currency"`
	Code      string   `json:"code"`
	Memo      string   `json:"memo"`
	Balance   *string  `json:"balance_after" doc:"null: not known."`
	Spendable *string  `json:"spendable_after" doc:"null: without end, or not known."`
	Second    bool     `json:"second_person" doc:"It will wait for a second person."`
	Refusal   *Refusal `json:"refusal" doc:"Why it would be refused; null: nothing speaks against it."`
	Warnings  []string `json:"warnings" doc:"What to show to whoever pays, before."`
	Expires   string   `json:"expires_at"`
}

// Refusal is why something would not be done.
type Refusal struct {
	Code  string `json:"code"`
	Words string `json:"words"`
}

// Part is how much of what is held is taken.
type Part struct {
	Amount string `json:"amount,omitempty" doc:"All of it unless said; the rest goes back."`
}

// Refund is how much of a payment is given back, and why.
type Refund struct {
	Amount string `json:"amount,omitempty" doc:"All that is left of it unless said."`
	Memo   string `json:"memo,omitempty"`
}

func (a *API) moneyOf(c *call, p *storage.Payment) (*activitypub.Money, error) {
	if m := c.money[p.Currency]; m != nil {
		return m, nil
	}
	m, err := a.Node.MoneyOf(c.ctx, p)
	c.money[p.Currency] = m
	return m, err
}

func (a *API) payment(c *call, p *storage.Payment) (Payment, error) {
	m, err := a.moneyOf(c, p)
	if err != nil {
		return Payment{}, err
	}
	e := Payment{ID: p.ID.String(), IRI: string(p.IRI), Transfer: p.Transfer().String(), Amount: *decimal(m.Book, int64(p.Amount)), Currency: string(p.Currency), Code: m.Book.Code, Memo: p.Memo, Kind: p.Code,
		State: p.State, Reason: textOrNil(p.Reason), Words: p.Words, Order: idOrNil(p.OrderID), Fulfills: textOrNil(string(p.Fulfills)), Receipt: p.State == storage.PaymentCommitted && (p.CurrencyID != 0 || p.Receipt != nil),
		Ends: stampOrNil(p.EndsAt), Expires: stampOrNil(p.ExpiresAt), Created: stamp(p.CreatedAt), Settled: stampOrNil(p.SettledAt)}
	if p.RefundOf != nil {
		e.RefundOf = idOrNil(*p.RefundOf)
	}
	twin, err := a.Node.Twin(c.ctx, p)
	if err != nil {
		return e, err
	}
	if twin != nil {
		e.Twin = idOrNil(twin.ID)
	}
	if e.From, err = a.party(c, p.Payer); err != nil {
		return e, err
	}
	e.To, err = a.party(c, p.Payee)
	return e, err
}

// orderOf reads what somebody wants to pay.
func (a *API) orderOf(c *call, in PaymentDraft) (o activitypub.PayOrder, err error) {
	if in.Request != "" {
		if in != (PaymentDraft{Request: in.Request}) {
			return o, &activitypub.InvalidError{Field: "request", Msg: "a request says who is paid how much: leave the rest away"}
		}
		asked, err := a.Node.ReadRequest(c.ctx, c.by(), in.Request)
		if err != nil {
			return o, err
		}
		return a.Node.OrderOfRequest(c.ctx, asked)
	}
	if in.Currency == "" {
		return o, &activitypub.InvalidError{Field: "currency", Msg: "in which? Say a code of this node, or an address"}
	}
	if in.Hold < 0 || in.Hold > 366*24*3600 {
		return o, &activitypub.InvalidError{Field: "hold", Msg: "want seconds"}
	}
	o = activitypub.PayOrder{Amount: in.Amount, Memo: in.Memo, Hold: time.Duration(in.Hold) * time.Second}
	if o.Currency, err = a.Node.Money(c.ctx, in.Currency); errors.Is(err, storage.ErrNotFound) {
		return o, &activitypub.Problem{Status: http.StatusUnprocessableEntity, Code: "unknown_currency", Detail: "There is no currency " + in.Currency + " here."}
	} else if err != nil {
		return o, err
	}
	if o.To, err = a.resolve(c.ctx, "to", in.To); err != nil {
		return o, err
	}
	if in.Order != "" {
		if o.Order, err = a.Node.OrderOf(c.ctx, c.by(), in.Order); errors.Is(err, storage.ErrNotFound) {
			return o, &activitypub.InvalidError{Field: "order", Msg: "there is no such order of yours"}
		}
	}
	return o, err
}

func (a *API) intend(c *call) (any, error) {
	var in PaymentDraft
	if err := c.read(&in); err != nil {
		return nil, err
	}
	o, err := a.orderOf(c, in)
	if err != nil {
		return nil, err
	}
	i, err := a.Node.Intend(c.ctx, c.by(), o)
	if err != nil {
		return nil, err
	}
	u := o.Currency.Book
	e := Intent{Intent: a.Node.SealIntent(c.by(), i), To: a.partyOf(o.To), Amount: *decimal(u, int64(i.Amount)), Levy: *decimal(u, int64(i.Levy)), Total: *decimal(u, int64(i.Amount+i.Levy)), Currency: u.IRI, Code: u.Code,
		Memo: o.Memo, Second: i.Second, Warnings: append([]string{}, i.Warnings...), Expires: stamp(i.Expires)}
	if i.Balance != nil {
		e.Balance = decimal(u, *i.Balance)
	}
	if i.Left != nil {
		e.Spendable = decimal(u, *i.Left)
	}
	if i.Code != "" {
		e.Refusal = &Refusal{i.Code, i.Words}
	}
	return e, nil
}

func (a *API) pay(c *call) (any, error) {
	var in PaymentOrder
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.Intent != "" && in.PaymentDraft != (PaymentDraft{}) {
		return nil, &activitypub.InvalidError{Field: "intent", Msg: "an intent says everything: leave the rest away"}
	}
	return a.doNatively(c, in, func(by activitypub.By, key string) (any, error) {
		if in.Intent != "" {
			return a.made(c)(a.Node.PayIntent(c.ctx, by, in.Intent, key))
		}
		if old, err := a.Node.PaidUnder(c.ctx, by, key); err == nil { // the request that it paid is open no more, say
			return a.made(c)(old, a.Node.Refused(c.ctx, old))
		} else if !errors.Is(err, storage.ErrNotFound) {
			return nil, err
		}
		o, err := a.orderOf(c, in.PaymentDraft)
		if err != nil {
			return nil, err
		}
		o.Key = key
		return a.made(c)(a.Node.Pay(c.ctx, by, o))
	})
}

// made shows a payment that was made, or why it was not.
func (a *API) made(c *call) func(p *storage.Payment, err error) (any, error) {
	return func(p *storage.Payment, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return a.payment(c, p)
	}
}

func (a *API) payments(c *call) (any, error) {
	if err := a.Node.May(c.ctx, c.by(), "inside"); err != nil {
		return nil, err
	}
	p := c.form.Page(40, 80)
	ps, err := a.DB.Payments(c.ctx, c.who.Actor.IRI, p.MaxID, p.Limit)
	if err != nil {
		return nil, err
	}
	return list(a, c, storage.Page{Limit: p.Limit}, ps, func(p *storage.Payment) storage.ID { return p.ID }, func(p *storage.Payment) (Payment, error) { return a.payment(c, p) })
}

// ownPayment finds a payment of whom the token is for.
func (a *API) ownPayment(c *call) (*storage.Payment, error) {
	if err := a.Node.May(c.ctx, c.by(), "inside"); err != nil {
		return nil, err
	}
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	p, err := a.DB.PaymentByID(c.ctx, id)
	if err == nil && p.Payer != c.who.Actor.IRI && p.Payee != c.who.Actor.IRI {
		err = storage.ErrNotFound
	}
	return p, err
}

func (a *API) showPayment(c *call) (any, error) {
	return a.made(c)(a.ownPayment(c))
}

func (a *API) receipt(c *call) (any, error) {
	p, err := a.ownPayment(c)
	if err != nil {
		return nil, err
	}
	file, err := a.Node.ReceiptOf(c.ctx, p)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, &activitypub.Problem{Status: http.StatusNotFound, Code: "no_receipt", Detail: "There is no receipt of this payment: it has moved nothing, or its ledger has sent none yet."}
	}
	if err != nil {
		return nil, err
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="payment-`+p.ID.String()+`.tlog-proof"`)
	return nil, c.Blob(http.StatusOK, "text/plain; charset=utf-8", file)
}

// onPayment does something with a payment that the ledger itself does once under the key.
func (a *API) onPayment(c *call, in any, do func(by activitypub.By, id storage.ID, key string) (*storage.Payment, error)) (any, error) {
	p, err := a.ownPayment(c)
	if err != nil {
		return nil, err
	}
	return a.doNatively(c, in, func(by activitypub.By, key string) (any, error) { return a.made(c)(do(by, p.ID, key)) })
}

// aboutPayment does something with a payment once; asked again, it shows how that stands.
func (a *API) aboutPayment(c *call, in any, do func(by activitypub.By, id storage.ID) (*storage.Payment, error)) (any, error) {
	p, err := a.ownPayment(c)
	if err != nil {
		return nil, err
	}
	return a.doOnce(c, in, func(by activitypub.By) (any, error) { return a.made(c)(do(by, p.ID)) }, func(storage.IRI) (any, error) { return a.showPayment(c) })
}

func (a *API) postPayment(c *call) (any, error) {
	var in Part
	if err := c.read(&in); err != nil {
		return nil, err
	}
	return a.onPayment(c, in, func(by activitypub.By, id storage.ID, key string) (*storage.Payment, error) {
		return a.Node.TakePayment(c.ctx, by, id, in.Amount, key)
	})
}

func (a *API) voidPayment(c *call) (any, error) {
	return a.onPayment(c, nil, func(by activitypub.By, id storage.ID, key string) (*storage.Payment, error) {
		return a.Node.ReleasePayment(c.ctx, by, id, key)
	})
}

func (a *API) refundPayment(c *call) (any, error) {
	var in Refund
	if err := c.read(&in); err != nil {
		return nil, err
	}
	return a.onPayment(c, in, func(by activitypub.By, id storage.ID, key string) (*storage.Payment, error) {
		return a.Node.RefundPayment(c.ctx, by, id, in.Amount, in.Memo, key)
	})
}

func (a *API) cancelPayment(c *call) (any, error) {
	return a.aboutPayment(c, nil, func(by activitypub.By, id storage.ID) (*storage.Payment, error) {
		return a.Node.CancelPayment(c.ctx, by, id)
	})
}

// approvals are the payments that wait, to those who can approve them.
func (a *API) approvals(c *call) (any, error) {
	if err := a.Node.May(c.ctx, c.by(), "pay"); err != nil {
		return nil, err
	}
	ps, err := a.DB.WaitingPayments(c.ctx, c.who.Actor.IRI)
	if err != nil {
		return nil, err
	}
	out := []Payment{}
	for i := range ps {
		e, err := a.payment(c, &ps[i])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func (a *API) approvePayment(c *call) (any, error) {
	return a.aboutPayment(c, nil, func(by activitypub.By, id storage.ID) (*storage.Payment, error) {
		return a.Node.ApprovePayment(c.ctx, by, id)
	})
}

func (a *API) refusePayment(c *call) (any, error) {
	var in Reason
	if err := c.read(&in); err != nil {
		return nil, err
	}
	return a.aboutPayment(c, in, func(by activitypub.By, id storage.ID) (*storage.Payment, error) {
		return a.Node.RefusePayment(c.ctx, by, id, in.Reason)
	})
}
