package economy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

// Account is an account of whom the token is for.
type Account struct {
	ID        string  `json:"id"`
	Currency  string  `json:"currency" doc:"The address of the currency."`
	Code      string  `json:"code" doc:"What people call it."`
	Name      string  `json:"name" doc:"Likewise; of a currency elsewhere also whose it is."`
	Here      bool    `json:"here" doc:"This node keeps the book."`
	Balance   *string `json:"balance" doc:"null: the ledger does not answer now."`
	Spendable *string `json:"spendable" doc:"What can be spent now; null: without end, or not known."`
	Held      *string `json:"held" doc:"Of what it gives; null: not known."`
	Incoming  *string `json:"incoming" doc:"What is held for it; null: not known."`
	Credit    *string `json:"credit_limit" doc:"What it may owe; null: without end, or not known."`
	Ceiling   *string `json:"ceiling" doc:"The most that it may hold; null: without end, or not known."`
	State     string  `json:"state" enum:"open,frozen,closed" doc:"A frozen one gives nothing, or takes nothing."`
}

// Statement is what moved on an account.
type Statement struct {
	Account Account `json:"account"`
	Opening string  `json:"opening" doc:"The balance before the first entry."`
	Closing string  `json:"closing" doc:"And after the last."`
	Entries []Entry `json:"entries"`
}

// Entry is a line of a statement.
type Entry struct {
	At      string  `json:"at"`
	Change  string  `json:"change" doc:"Below zero: given."`
	Balance string  `json:"balance" doc:"After it."`
	Other   Party   `json:"other"`
	Kind    string  `json:"kind" doc:"payment, refund, levy, …"`
	Memo    string  `json:"memo"`
	Payment *string `json:"payment_id" doc:"null: it is no payment of people, or none that this node knows."`
}

// maxStatement bounds one answer.
const maxStatement = 10_000

// abroadWithin is how long the ledgers elsewhere have, together, for one answer here.
const abroadWithin = 10 * time.Second

func decimal(u ledger.Currency, v int64) *string {
	s := ledger.FormatAmount(v, u.Scale)
	return &s
}

func accountHere(m *activitypub.Money, x ledger.Account) Account {
	u := m.Book
	e := Account{ID: x.ID.String(), Currency: u.IRI, Code: u.Code, Name: m.Name(), Here: true, Balance: decimal(u, x.Balance()), Held: decimal(u, x.DebitsPending), Incoming: decimal(u, x.CreditsPending), State: "open"}
	if left, bounded := x.Spendable(); bounded {
		e.Spendable = decimal(u, left)
	}
	if x.Floor.Set {
		e.Credit = decimal(u, -x.Floor.V)
	}
	if x.Ceil.Set {
		e.Ceiling = decimal(u, x.Ceil.V)
	}
	switch {
	case x.Flags&ledger.Closed != 0:
		e.State = "closed"
	case x.Flags&(ledger.NoDebit|ledger.NoCredit) != 0:
		e.State = "frozen"
	}
	return e
}

// accountAbroad asks a ledger elsewhere. One that does not answer is no fault of whoever asks: then the balance is not known.
func (a *API) accountAbroad(ctx context.Context, by activitypub.By, m *activitypub.Money) (Account, error) {
	e := Account{ID: ledger.NewID("account", m.Book.IRI, string(by.Actor.IRI)).String(), Currency: m.Book.IRI, Code: m.Book.Code, Name: m.Name(), State: "open"}
	x, err := a.Node.AskAccount(ctx, by, m)
	var silent *activitypub.FetchError
	if errors.As(err, &silent) || errors.Is(err, context.DeadlineExceeded) {
		return e, nil
	}
	if err != nil {
		return e, err
	}
	if e.Balance = decimal(m.Book, x.Balance); x.Spendable != nil {
		e.Spendable = decimal(m.Book, *x.Spendable)
	}
	return e, nil
}

// books are the currencies of this node in which somebody has an account, and those elsewhere in which she may have one.
func (a *API) books(ctx context.Context, own storage.IRI) (here []*activitypub.Money, accounts []ledger.Account, abroad []*activitypub.Money, err error) {
	all, err := a.DB.Currencies(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, x := range all {
		account, err := a.DB.Account(ctx, x, own)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, nil, err
		}
		here, accounts = append(here, activitypub.MoneyHere(x)), append(accounts, account)
	}
	fs, err := a.DB.ForeignCurrenciesOf(ctx, own)
	for i := range fs {
		m, err := a.Node.Money(ctx, string(fs[i].IRI))
		if err != nil {
			return nil, nil, nil, err
		}
		abroad = append(abroad, m)
	}
	return here, accounts, abroad, err
}

func (a *API) accounts(c *call) (any, error) {
	by := c.by()
	if err := a.Node.May(c.ctx, by, "inside"); err != nil {
		return nil, err
	}
	here, accounts, abroad, err := a.books(c.ctx, by.Actor.IRI)
	if err != nil {
		return nil, err
	}
	out := []Account{}
	for i, m := range here {
		out = append(out, accountHere(m, accounts[i]))
	}
	ctx, cancel := context.WithTimeout(c.ctx, abroadWithin)
	defer cancel()
	for _, m := range abroad {
		e, err := a.accountAbroad(ctx, by, m)
		var none *activitypub.Problem
		if errors.As(err, &none) && none.Status == http.StatusNotFound {
			continue // what was sent to her has never come
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// accountAt finds the account that the address names, with its currency: x is nil when the book is elsewhere.
func (a *API) accountAt(c *call) (m *activitypub.Money, x *ledger.Account, err error) {
	by := c.by()
	if err := a.Node.May(c.ctx, by, "inside"); err != nil {
		return nil, nil, err
	}
	here, accounts, abroad, err := a.books(c.ctx, by.Actor.IRI)
	if err != nil {
		return nil, nil, err
	}
	for i := range accounts {
		if accounts[i].ID.String() == c.Param("id") {
			return here[i], &accounts[i], nil
		}
	}
	for _, m := range abroad {
		if ledger.NewID("account", m.Book.IRI, string(by.Actor.IRI)).String() == c.Param("id") {
			return m, nil, nil
		}
	}
	return nil, nil, storage.ErrNotFound
}

func (a *API) showAccount(c *call) (any, error) {
	m, x, err := a.accountAt(c)
	if err != nil {
		return nil, err
	}
	if x != nil {
		return accountHere(m, *x), nil
	}
	return a.accountAbroad(c.ctx, c.by(), m)
}

// day reads the first or last day of a statement; the end is the beginning of the day after.
func (c *call) day(name string, add int) (t time.Time, err error) {
	text := c.form.Text(name)
	if text == "" {
		return t, nil
	}
	if t, err = time.Parse(time.DateOnly, text); err != nil {
		return t, &activitypub.InvalidError{Field: name, Msg: "want a day, such as 2026-11-01"}
	}
	return t.AddDate(0, 0, add), nil
}

// mediaTypes are those of the formats of a statement.
var mediaTypes = map[string]string{"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl", "hledger": "text/plain; charset=utf-8", "beancount": "text/plain; charset=utf-8", "ofx": "application/x-ofx"}

func (a *API) statement(c *call) (any, error) {
	from, err := c.day("from", 0)
	if err != nil {
		return nil, err
	}
	to, err := c.day("to", 1)
	if err != nil {
		return nil, err
	}
	format := c.form.Text("format")
	kind, file := mediaTypes[format]
	switch {
	case !from.IsZero() && !to.IsZero() && !from.Before(to):
		return nil, &activitypub.InvalidError{Field: "from", Msg: "is after to"}
	case format != "" && format != "json" && !file:
		return nil, &activitypub.InvalidError{Field: "format", Msg: "want json, csv, jsonl, hledger, beancount or ofx"}
	}
	m, x, err := a.accountAt(c)
	if err != nil {
		return nil, err
	}
	var j *ledger.Journal
	var payments map[ledger.ID]storage.ID
	if x == nil {
		s, err := a.Node.AskStatement(c.ctx, c.by(), m)
		if err != nil {
			return nil, err
		}
		s.Between(from, to)
		j = &s.Journal
	} else {
		s, more, err := a.Node.Statement(c.ctx, m.Here, x.ID, from, to, maxStatement)
		if err != nil {
			return nil, err
		}
		if more {
			return nil, &activitypub.InvalidError{Field: "from", Msg: "more than 10000 entries: ask for a shorter time"}
		}
		j, payments = &s.Journal, s.Payments
	}
	if file {
		h := c.Response().Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Disposition", `attachment; filename="statement.`+format+`"`)
		c.Response().WriteHeader(http.StatusOK)
		return nil, j.Write(c.Response(), format)
	}
	u := m.Book
	out := Statement{Opening: *decimal(u, j.Opening), Closing: *decimal(u, j.Closing), Entries: []Entry{}}
	if x != nil {
		out.Account = accountHere(m, *x)
	} else if out.Account, err = a.accountAbroad(c.ctx, c.by(), m); err != nil {
		return nil, err
	}
	owners := map[ledger.ID]storage.IRI{}
	for _, h := range j.Holders {
		owners[h.ID] = storage.IRI(h.Ref)
	}
	balance := j.Opening
	for _, v := range j.Movements {
		change, side := v.Amount, v.Debit
		if v.Debit == j.Of {
			change, side = -change, v.Credit
		}
		balance += change
		other, err := a.party(c, owners[side])
		if err != nil {
			return nil, err
		}
		out.Entries = append(out.Entries, Entry{At: stamp(time.Unix(0, int64(v.At))), Change: *decimal(u, change), Balance: *decimal(u, balance), Other: other, Kind: v.Code.String(), Memo: v.Memo,
			Payment: idOrNil(payments[v.Transfer])})
	}
	return out, nil
}
