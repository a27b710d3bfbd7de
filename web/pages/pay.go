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

// orderPage is an order as the one sees it who ordered, behind the link that her direct message brought.
type orderPage struct {
	Order    *storage.Order
	Offer    *storage.Offer
	Other    profileCard // whose offer or request it is
	Page     string      // of the offer, "" when it is gone
	Request  bool
	What     string // 2, or 1.5 kg
	Amount   string // 9.00 GRN, "" for a gift
	Currency string // page of a currency of this node, or ""
	State    string
	Next     string // what happens now
	Until    bool   // the order waits until ExpiresAt
	Steps    []orderStep
	Acts     []string // what she can do now
	Words    string   // what she typed
	Refused  string   // why what she did was not done
	Field    string   // why her words were not taken
}

// Can reports whether she can do something now.
func (o orderPage) Can(act string) bool { return slices.Contains(o.Acts, act) }

// orderStep is one line of what happened to an order.
type orderStep struct {
	storage.OrderStep
	Who  string // "" for nobody: time passed
	Mine bool   // she did it herself
}

// pay is the page behind an order's link. Whoever has the link is the one who ordered; looking changes nothing, since programs that show
// previews look, too.
func (p *Pages) pay(c echo.Context) error {
	if strings.HasPrefix(c.Param("code"), "r") {
		return p.request(c)
	}
	o, err := p.Node.LinkedOrder(c.Request().Context(), c.Param("code"))
	if err != nil {
		return err
	}
	return p.showOrder(c, http.StatusOK, o, orderPage{})
}

// paySubmit does one thing with the order, and shows how it stands then. What cannot be done is told on the page.
func (p *Pages) paySubmit(c echo.Context) error {
	ctx, code := c.Request().Context(), c.Param("code")
	if strings.HasPrefix(code, "r") {
		return p.requestSubmit(c)
	}
	o, err := p.Node.LinkedOrder(ctx, code)
	if err != nil {
		return err
	}
	act, words := c.Request().PostFormValue("act"), c.Request().PostFormValue("words")
	if act == "dispute" && strings.TrimSpace(words) == "" {
		return p.showOrder(c, http.StatusUnprocessableEntity, o, orderPage{Field: "say what is wrong, so that it can be put right"})
	}
	var (
		refused *activitypub.Problem
		invalid *activitypub.InvalidError
	)
	switch moved, err := p.Node.MoveLinkedOrder(ctx, code, act, words); {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, p.Node.OrderLink(moved))
	case errors.As(err, &invalid) && invalid.Field == "memo":
		return p.showOrder(c, http.StatusUnprocessableEntity, o, orderPage{Words: words, Field: invalid.Msg})
	case errors.As(err, &invalid):
		return p.showOrder(c, http.StatusUnprocessableEntity, o, orderPage{Refused: invalid.Msg})
	case errors.As(err, &refused):
		if o, err = p.Node.LinkedOrder(ctx, code); err != nil { // as it stands by now
			return err
		}
		return p.showOrder(c, refused.Status, o, orderPage{Refused: strings.TrimSuffix(refused.Detail, ".")})
	default:
		return err
	}
}

// showOrder answers with the page of an order. Its address is a secret: it is kept nowhere, and no link tells where it was followed.
func (p *Pages) showOrder(c echo.Context, status int, o *storage.Order, body orderPage) error {
	ctx := c.Request().Context()
	f, err := p.DB.OfferByID(ctx, o.OfferID)
	if err != nil {
		return err
	}
	other, err := p.DB.ActorByID(ctx, o.ProposerID)
	if err != nil {
		return err
	}
	steps, err := p.DB.OrderSteps(ctx, o.ID)
	if err != nil {
		return err
	}
	body.Order, body.Offer, body.Other, body.Request = o, f, p.profileCard(other), f.Purpose == storage.PurposeRequest
	body.What = activitypub.WithUnit(o.Quantity, f.Unit)
	if o.Amount != "" {
		body.Amount = strings.TrimSpace(f.Money(o.Amount) + " " + f.CurrencyName)
	}
	if f.DeletedAt == nil && visible(other) {
		body.Page = webAddress(f.URL)
	}
	if strings.HasPrefix(string(f.Currency), p.Origin+"/currencies/") {
		body.Currency = string(f.Currency)
	}
	for _, s := range steps {
		step := orderStep{OrderStep: s, Mine: s.ActorID == o.ResponderID}
		if s.ActorID != 0 && !step.Mine {
			step.Who = body.Other.Name
		}
		body.Steps = append(body.Steps, step)
	}
	if body.Acts = activitypub.OrderActs(o, f, o.ResponderID); !o.Agreed { // first things first
		body.Acts = slices.DeleteFunc(body.Acts, func(act string) bool { return act != "agree" && act != "cancel" })
	}
	body.State, body.Next = standing(o, body.Request, body.Other.Name)
	body.Until = o.State == storage.OrderAccepted
	secretPage(c)
	return p.render(c, status, "pay", view{Title: "Your order", NoIndex: true, Body: body})
}

// secretPage is for a page whose address is a secret.
func secretPage(c echo.Context) {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Robots-Tag", "noindex")
}

// standing says how an order stands to whoever placed it, and what comes next. Of a request she is the one who brings.
func standing(o *storage.Order, request bool, other string) (state, next string) {
	switch o.State {
	case storage.OrderAccepted:
		switch {
		case !o.Agreed:
			return "Accepted, and waiting for you", "Look whether all is as you want it, and confirm it. Until then it is not binding."
		case request:
			return "Confirmed", "Bring it, and say so here."
		default:
			return "Confirmed", other + " keeps it for you. When you have it, say so here."
		}
	case storage.OrderFulfilled:
		if request {
			return "Delivered", other + " says whether all is well."
		}
		return "Delivered", "Say whether all is well."
	case storage.OrderDisputed:
		if request {
			return "Something is wrong", "Write to " + other + " to put it right."
		}
		return "Something is wrong", other + " knows of it. When it is put right, say that you have it."
	case storage.OrderConfirmed:
		return "Done", "Nothing is left to do here."
	case storage.OrderCancelled:
		return "Cancelled", "Nobody owes anything."
	case storage.OrderExpired:
		return "Expired", "Its time ran out. Nobody owes anything."
	case storage.OrderRejected:
		return "Declined", "Nobody owes anything."
	default:
		return "Asked for", other + " has not answered yet."
	}
}
