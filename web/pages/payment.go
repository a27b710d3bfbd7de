package pages

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

// paymentDesk is a payment as one of its sides sees it who is signed in.
type paymentDesk struct {
	Payment  *storage.Payment
	As       profileCard    // on whose side she is
	Instead  *storage.Actor // the other side, where that is hers as well
	Gets     bool           // it is paid
	Other    profileCard
	Amount   string
	Proposer string // who has proposed what waits for a second person
	State    string
	Next     string
	Acts     []string
	Words    string
	Refused  string
	Ticket   string
}

// Can reports whether she can do something now.
func (d paymentDesk) Can(act string) bool { return slices.Contains(d.Acts, act) }

// paymentFor finds a payment, and the sides of it that are hers: first the one that decides, if one does.
func (p *Pages) paymentFor(c echo.Context, v *visitor) (*storage.Payment, []*storage.Actor, error) {
	id, err := storage.ParseID(c.Param("id"))
	if err != nil {
		return nil, nil, storage.ErrNotFound
	}
	x, err := p.DB.PaymentByID(c.Request().Context(), id)
	if err != nil {
		return nil, nil, err
	}
	parties := []storage.IRI{x.Payer, x.Payee}
	if x.State == storage.PaymentHeld {
		slices.Reverse(parties)
	}
	sides, err := p.sides(c, v, parties...)
	return x, sides, err
}

// payment is the page of a payment, and what its buttons do.
func (p *Pages) payment(c echo.Context) error {
	v, err := p.member(c)
	if v == nil || err != nil {
		return err
	}
	x, sides, err := p.paymentFor(c, v)
	if err != nil {
		return err
	}
	if c.Request().Method != http.MethodPost {
		return p.showPayment(c, v, http.StatusOK, x, sides, paymentDesk{})
	}
	return p.decidePayment(c, v, x, sides)
}

// decidePayment says yes or no to what waits for a second person, and takes what is held or lets it go. Nothing else moves on this page.
func (p *Pages) decidePayment(c echo.Context, v *visitor, x *storage.Payment, sides []*storage.Actor) (err error) {
	as, _ := chosen(c, sides)
	ctx, by, form := c.Request().Context(), activitypub.By{User: v.user, Actor: as}, c.Request().PostForm
	switch form.Get("act") {
	case "approve":
		_, err = p.Node.ApprovePayment(ctx, by, x.ID)
	case "refuse":
		_, err = p.Node.RefusePayment(ctx, by, x.ID, form.Get("words"))
	case "take":
		_, err = p.Node.TakePayment(ctx, by, x.ID, "", "page:take:"+x.ID.String())
	case "release":
		_, err = p.Node.ReleasePayment(ctx, by, x.ID, "page:release:"+x.ID.String())
	default:
		return echo.NewHTTPError(http.StatusUnprocessableEntity)
	}
	var (
		refused *activitypub.Problem
		invalid *activitypub.InvalidError
		unpaid  *activitypub.RefusedError
		denied  *ledger.RefusedError
	)
	switch {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, c.Request().URL.RequestURI())
	case errors.As(err, &refused), errors.As(err, &invalid), errors.As(err, &unpaid), errors.As(err, &denied):
		why := err.Error()
		if invalid != nil {
			why = invalid.Msg
		}
		if x, err = p.DB.PaymentByID(ctx, x.ID); err != nil { // as it stands by now
			return err
		}
		return p.showPayment(c, v, http.StatusUnprocessableEntity, x, sides, paymentDesk{Refused: strings.TrimSuffix(why, "."), Words: form.Get("words")})
	default:
		return err
	}
}

func (p *Pages) showPayment(c echo.Context, v *visitor, status int, x *storage.Payment, sides []*storage.Actor, body paymentDesk) error {
	ctx := c.Request().Context()
	as, instead := chosen(c, sides)
	body.Instead = instead
	m, err := p.Node.MoneyOf(ctx, x)
	if err != nil {
		return err
	}
	other := x.Payee
	if body.Gets = as.IRI == x.Payee; body.Gets {
		other = x.Payer
	}
	body.Payment, body.As, body.Amount, body.Ticket = x, p.profileCard(as), m.Book.Format(int64(x.Amount))+" "+m.Name(), formTicket(c, v)
	if a, err := p.DB.ActorByIRI(ctx, other); err == nil {
		body.Other = p.profileCard(a)
	} else if errors.Is(err, storage.ErrNotFound) {
		body.Other = profileCard{Name: string(other), Handle: string(other)}
	} else {
		return err
	}
	if u, err := p.DB.UserByID(ctx, x.UserID); err == nil {
		body.Proposer = u.Username
	} else if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	may := p.Node.May(ctx, activitypub.By{User: v.user, Actor: as}, "pay") == nil
	switch x.State {
	case storage.PaymentWaiting:
		body.State, body.Next = "Waits for a second person", "Nothing has moved."
		if may && v.user.ID != x.UserID {
			body.Acts = []string{"approve", "refuse"}
		}
	case storage.PaymentHeld:
		body.State, body.Next = "Held", "It is not paid before the payee takes it."
		if may && body.Gets {
			body.Acts = []string{"take", "release"}
		}
	case storage.PaymentSent:
		body.State, body.Next = "On its way", "The ledger has not answered. Nothing is paid before it does."
	case storage.PaymentCommitted:
		body.State = "Paid"
	case storage.PaymentRejected, storage.PaymentRefused:
		body.State, body.Next = "Refused", "Nothing was paid."
	case storage.PaymentCancelled:
		body.State, body.Next = "Cancelled", "Nothing was paid."
	default:
		body.State, body.Next = "Expired", "Nothing was paid."
	}
	return p.render(c, status, "payment", view{Title: "Payment", NoIndex: true, Body: body})
}
