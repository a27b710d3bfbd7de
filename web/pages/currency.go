package pages

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

// currencyPage is what everybody may know of a currency.
type currencyPage struct {
	Code, Name, Kind string
	Coop             *profileCard // nil when it is not shown
	Limit            string       // what a new member may owe, "" for nothing or no limit
	Entries          int64
	Log, Vkey        string
}

// kinds say what a kind of currency is.
var kinds = map[ledger.Kind]string{
	ledger.Mutual: "Mutual credit: members owe each other, and all balances together are zero.",
	ledger.Hours:  "A time bank: members give each other hours, and all balances together are zero.",
	ledger.Issued: "Issued by the co-op, which owes what is in circulation.",
	ledger.Backed: "Issued by the co-op, which keeps something for what is in circulation.",
	ledger.Gift:   "Gifts, which are counted.",
}

// Currency shows a currency. Its address is that of its document, too.
func (p *Pages) Currency(c echo.Context) error {
	ctx := c.Request().Context()
	code := c.Param("*")
	if code == "" || len(code) > 12 || code != strings.ToLower(code) {
		return storage.ErrNotFound
	}
	cur, err := p.DB.CurrencyByCode(ctx, code)
	if err != nil {
		return err
	}
	body := currencyPage{Code: cur.Book.Code, Name: cur.Name, Kind: kinds[cur.Book.Kind], Entries: int64(cur.Book.Next), Log: activitypub.LogURL(cur)}
	if f := cur.Book.Rules.Floor; f.Set && f.V < 0 {
		body.Limit = cur.Book.Format(-f.V)
	}
	if body.Vkey, err = cur.Vkey(); err != nil {
		return err
	}
	coop, err := p.DB.ActorByID(ctx, cur.ActorID)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if err == nil && visible(coop) {
		card := p.profileCard(coop)
		body.Coop = &card
	}
	return p.render(c, http.StatusOK, "currency", view{Title: cur.Name, Description: cur.Name + " (" + cur.Book.Code + "), a currency on " + p.Node.Host + ".",
		Canonical: cur.Book.IRI, Alternate: cur.Book.IRI, Body: body})
}
