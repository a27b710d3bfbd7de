package pages

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
)

// orderDesk is an order as one of its sides sees it who is signed in. Behind its link the buyer alone sees hers, see pay.go.
type orderDesk struct {
	Order      *storage.Order
	Offer      *storage.Offer
	As         profileCard    // on whose side she is
	Instead    *storage.Actor // the other side, where that is hers as well
	Other      profileCard
	What       string
	Summary    string
	Amount     string
	Page       string // of the offer
	Steps      []orderStep
	Acts       []string // what she can do now
	Words      string   // what she typed
	Refused    string   // why what she did was not done
	Ticket     string
	Waits      bool // until ExpiresAt
	Responding bool // it is she who ordered
}

// Can reports whether she can do something now.
func (o orderDesk) Can(act string) bool { return slices.Contains(o.Acts, act) }

// orderFor finds an order, and the sides of it that are hers.
func (p *Pages) orderFor(c echo.Context, v *visitor) (o *storage.Order, sides []*storage.Actor, err error) {
	ctx := c.Request().Context()
	id, err := storage.ParseID(c.Param("id"))
	if err != nil {
		return nil, nil, storage.ErrNotFound
	}
	if o, err = p.DB.OrderByID(ctx, id); err != nil {
		return nil, nil, err
	}
	var parties []storage.IRI
	for _, id := range []storage.ID{o.ProposerID, o.ResponderID} {
		a, err := p.DB.ActorByID(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		parties = append(parties, a.IRI)
	}
	sides, err = p.sides(c, v, parties...)
	return o, sides, err
}

// order is the page of an order, and what its buttons do.
func (p *Pages) order(c echo.Context) error {
	v, err := p.member(c)
	if v == nil || err != nil {
		return err
	}
	o, sides, err := p.orderFor(c, v)
	if err != nil {
		return err
	}
	if c.Request().Method != http.MethodPost {
		return p.showDesk(c, v, http.StatusOK, o, sides, orderDesk{})
	}
	return p.moveOrder(c, v, o, sides)
}

// moveOrder does what a button says, and shows how the order stands then.
func (p *Pages) moveOrder(c echo.Context, v *visitor, o *storage.Order, sides []*storage.Actor) error {
	form := c.Request().PostForm
	as, _ := chosen(c, sides)
	var (
		refused *activitypub.Problem
		invalid *activitypub.InvalidError
	)
	_, err := p.Node.MoveOrder(c.Request().Context(), activitypub.By{User: v.user, Actor: as}, o.ID, form.Get("act"), form.Get("words"))
	switch {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, c.Request().URL.RequestURI())
	case errors.As(err, &refused), errors.As(err, &invalid):
		status, why := http.StatusUnprocessableEntity, err.Error()
		if refused != nil {
			status = refused.Status
		}
		if o, err = p.DB.OrderByID(c.Request().Context(), o.ID); err != nil { // as it stands by now
			return err
		}
		return p.showDesk(c, v, status, o, sides, orderDesk{Refused: strings.TrimSuffix(why, "."), Words: form.Get("words")})
	default:
		return err
	}
}

func (p *Pages) showDesk(c echo.Context, v *visitor, status int, o *storage.Order, sides []*storage.Actor, body orderDesk) error {
	ctx := c.Request().Context()
	as, instead := chosen(c, sides)
	body.Instead = instead
	f, err := p.DB.OfferByID(ctx, o.OfferID)
	if err != nil {
		return err
	}
	other := o.ProposerID
	if body.Responding = as.ID == o.ResponderID; !body.Responding {
		other = o.ResponderID
	}
	their, err := p.DB.ActorByID(ctx, other)
	if err != nil {
		return err
	}
	steps, err := p.DB.OrderSteps(ctx, o.ID)
	if err != nil {
		return err
	}
	body.Order, body.Offer, body.As, body.Other, body.Summary, body.What = o, f, p.profileCard(as), p.profileCard(their), activitypub.SummaryOf(o, f), activitypub.WithUnit(o.Quantity, f.Unit)
	body.Waits, body.Ticket = o.State == storage.OrderProposed || o.State == storage.OrderAccepted, formTicket(c, v)
	if o.Amount != "" {
		body.Amount = strings.TrimSpace(f.Money(o.Amount) + " " + f.CurrencyName)
	}
	if f.DeletedAt == nil {
		body.Page = webAddress(f.URL)
	}
	for _, s := range steps {
		step := orderStep{OrderStep: s, Mine: s.ActorID == as.ID}
		if s.ActorID != 0 && !step.Mine {
			step.Who = body.Other.Name
		}
		body.Steps = append(body.Steps, step)
	}
	if err := p.Node.May(ctx, activitypub.By{User: v.user, Actor: as}, "order"); err == nil {
		body.Acts = activitypub.OrderActs(o, f, as.ID)
	}
	return p.render(c, status, "order", view{Title: "Order", NoIndex: true, Body: body})
}
