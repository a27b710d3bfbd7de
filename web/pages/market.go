package pages

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
)

// How many offers the home shows, and a profile.
const (
	offersOnHome    = 6
	offersOnProfile = 12
)

// marketForm is what a visitor looks for, as she typed it.
type marketForm struct {
	Purpose, Text, Category, Currency, Most, Near, Within, Coop string
	Problems                                                    map[string]string // by field
}

type marketPage struct {
	marketForm
	Path    string // of the list without its filters
	Of      string // name of the co-op that it is of alone, "" for all
	Offers  []offerCard
	Codes   []string // of this node's currencies
	Newest  bool
	Narrow  bool // something is looked for
	Request bool
	Older   string
}

// market lists what is offered here and elsewhere.
func (p *Pages) market(c echo.Context) error { return p.search(c, storage.PurposeOffer) }

// needs lists what is looked for.
func (p *Pages) needs(c echo.Context) error { return p.search(c, storage.PurposeRequest) }

func (p *Pages) search(c echo.Context, purpose string) error {
	ctx := c.Request().Context()
	field := func(name string) string { return strings.TrimSpace(c.QueryParam(name)) }
	body := marketPage{marketForm: marketForm{Purpose: field("purpose"), Text: field("q"), Category: field("category"), Currency: field("currency"), Most: field("most"),
		Near: field("near"), Within: field("within"), Coop: field("coop")}}
	if body.Purpose == "" {
		body.Purpose = purpose
	}
	if body.Request = body.Purpose == storage.PurposeRequest; body.Request {
		body.Path = "/needs"
	} else {
		body.Path = "/offers"
	}
	body.Narrow = body.query() != ""
	from, err := before(c)
	if err != nil {
		return err
	}
	body.Newest = from.MaxID == 0
	status := http.StatusOK
	q, err := body.read()
	if err == nil && body.Coop != "" {
		if q.Coop, err = p.DB.LocalActor(ctx, body.Coop); err == nil && !visible(q.Coop) {
			err = storage.ErrNotFound
		}
		if err == nil {
			body.Of = p.profileCard(q.Coop).Name
		}
	}
	var offers []storage.Offer
	if err == nil {
		q.Page = from
		offers, err = p.Node.SearchMarket(ctx, q)
	}
	var invalid *activitypub.InvalidError
	if errors.As(err, &invalid) {
		status, body.Problems = http.StatusUnprocessableEntity, map[string]string{invalid.Field: invalid.Msg}
	} else if err != nil {
		return err
	}
	if len(offers) > postsOnPage {
		offers = offers[:postsOnPage]
		body.Older = body.Path + "?" + strings.TrimPrefix(body.query()+"&before=", "&") + offers[postsOnPage-1].ID.String()
	}
	if body.Offers, err = p.offerCards(ctx, offers); err != nil {
		return err
	}
	currencies, err := p.DB.Currencies(ctx)
	if err != nil {
		return err
	}
	for _, cur := range currencies {
		body.Codes = append(body.Codes, cur.Book.Code)
	}
	v := view{Title: "Market", Description: "What co-ops and their people offer, on " + p.Node.Host + " and on servers that it knows.", Canonical: p.Origin + body.Path,
		NoIndex: !body.Newest || body.Narrow || status != http.StatusOK, Body: body}
	if body.Request {
		v.Title, v.Description = "Wanted", "What co-ops and their people look for, on "+p.Node.Host+" and on servers that it knows."
	}
	return p.render(c, status, "market", v)
}

// read makes a question for the market of a form. InvalidError when a field cannot be used.
func (f marketForm) read() (q activitypub.MarketQuery, err error) {
	wrong := func(field, msg string) (activitypub.MarketQuery, error) {
		return q, &activitypub.InvalidError{Field: field, Msg: msg}
	}
	q = activitypub.MarketQuery{Text: f.Text, Purpose: f.Purpose, Category: f.Category, Currency: f.Currency, Most: strings.Replace(f.Most, ",", ".", 1)}
	if f.Purpose != storage.PurposeOffer && f.Purpose != storage.PurposeRequest {
		return wrong("purpose", "what is in the market is an offer or a request")
	}
	if f.Category != "" && f.Category != storage.Goods && f.Category != storage.Services {
		return wrong("category", "choose goods or services")
	}
	if f.Within != "" {
		if q.Within, err = strconv.ParseFloat(strings.Replace(f.Within, ",", ".", 1), 64); err != nil || !(q.Within > 0) {
			return wrong("within", "write a number of kilometres, such as 25")
		}
	}
	if f.Near == "" {
		return q, nil
	}
	lat, lon, ok := strings.Cut(f.Near, ",")
	y, err := strconv.ParseFloat(strings.TrimSpace(lat), 64)
	x, other := strconv.ParseFloat(strings.TrimSpace(lon), 64)
	if !ok || err != nil || other != nil {
		return wrong("near", "write latitude and longitude in degrees, such as 41.98, 2.82")
	}
	q.Near = &[2]float64{y, x}
	return q, nil
}

// query is the form as the query of an address, without what was left empty.
func (f marketForm) query() string {
	v := url.Values{}
	for name, value := range map[string]string{"q": f.Text, "category": f.Category, "currency": f.Currency, "most": f.Most, "near": f.Near, "within": f.Within, "coop": f.Coop} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v.Encode()
}
