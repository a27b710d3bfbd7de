package economy

import (
	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

// Currency is a currency whose book this node keeps.
type Currency struct {
	IRI         string  `json:"iri" doc:"Its address: its document, and its page."`
	Code        string  `json:"code"`
	Name        string  `json:"name"`
	Kind        string  `json:"kind" enum:"mutual,hours,issued,backed,gift"`
	Scale       int     `json:"scale" doc:"Digits after the point."`
	Coop        Party   `json:"coop"`
	Log         string  `json:"log" doc:"Where its C2SP tile log is."`
	Vkey        string  `json:"vkey" doc:"The key that signs its checkpoints."`
	Credit      *string `json:"credit_limit" doc:"What a new member may owe; null: without end."`
	MaxTransfer *string `json:"max_payment" doc:"The most of one payment; null: no limit."`
	Levy        *Levy   `json:"levy" doc:"What a payer gives on top; null: nothing."`
	Created     string  `json:"created_at"`
}

// Levy is a share of payments.
type Levy struct {
	BasisPoints int     `json:"basis_points" doc:"Hundredths of a percent, rounded down."`
	Least       string  `json:"least"`
	Most        *string `json:"most" doc:"null: no limit."`
}

func (a *API) currency(c *call, x *storage.Currency) (Currency, error) {
	coop, err := a.DB.ActorByID(c.ctx, x.ActorID)
	if err != nil {
		return Currency{}, err
	}
	vkey, err := x.Vkey()
	if err != nil {
		return Currency{}, err
	}
	u := x.Book
	say := func(v int64) *string {
		s := ledger.FormatAmount(v, u.Scale)
		return &s
	}
	e := Currency{IRI: u.IRI, Code: u.Code, Name: x.Name, Kind: u.Kind.String(), Scale: int(u.Scale), Coop: a.partyOf(coop), Log: activitypub.LogURL(x), Vkey: vkey, Created: stamp(x.CreatedAt)}
	if u.Rules.Floor.Set {
		e.Credit = say(-u.Rules.Floor.V)
	}
	if u.Rules.MaxTransfer > 0 {
		e.MaxTransfer = say(int64(u.Rules.MaxTransfer))
	}
	if l := u.Rules.Levy; !l.To.IsZero() {
		e.Levy = &Levy{BasisPoints: int(l.BasisPoints), Least: *say(int64(l.Least))}
		if l.Most > 0 {
			e.Levy.Most = say(int64(l.Most))
		}
	}
	return e, nil
}

func (a *API) currencies(c *call) (any, error) {
	all, err := a.DB.Currencies(c.ctx)
	if err != nil {
		return nil, err
	}
	out := []Currency{}
	for _, x := range all {
		e, err := a.currency(c, x)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func (a *API) showCurrency(c *call) (any, error) {
	x, err := a.DB.CurrencyByCode(c.ctx, c.Param("code"))
	if err != nil {
		return nil, err
	}
	return a.currency(c, x)
}
