package pages

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
)

// requestPage is a request for payment as whoever is asked sees it, behind the link that her direct message brought.
type requestPage struct {
	Request  *storage.PaymentRequest
	Payee    profileCard
	Amount   string
	Currency string // page of a currency of this node, or ""
	State    string
	Next     string
	Open     bool
	Payer    string // her handle, as the command names her
	Refused  string // why what she did was not done
}

// request is the page behind the link of a request. Looking changes nothing.
func (p *Pages) request(c echo.Context) error {
	r, err := p.Node.LinkedRequest(c.Request().Context(), c.Param("code"))
	if err != nil {
		return err
	}
	return p.showRequest(c, http.StatusOK, r, requestPage{})
}

// requestSubmit refuses a request, which is all that can be done without an account.
func (p *Pages) requestSubmit(c echo.Context) error {
	ctx, code := c.Request().Context(), c.Param("code")
	r, err := p.Node.LinkedRequest(ctx, code)
	if err != nil {
		return err
	}
	if c.Request().PostFormValue("act") != "refuse" {
		return p.showRequest(c, http.StatusUnprocessableEntity, r, requestPage{Refused: "This cannot be done here"})
	}
	var refused *activitypub.Problem
	switch r, err = p.Node.DeclineLinkedRequest(ctx, code); {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, p.Node.RequestLink(r))
	case errors.As(err, &refused):
		if r, err = p.Node.LinkedRequest(ctx, code); err != nil { // as it stands by now
			return err
		}
		return p.showRequest(c, refused.Status, r, requestPage{Refused: strings.TrimSuffix(refused.Detail, ".")})
	default:
		return err
	}
}

func (p *Pages) showRequest(c echo.Context, status int, r *storage.PaymentRequest, body requestPage) error {
	ctx := c.Request().Context()
	payee, err := p.DB.ActorByIRI(ctx, r.Payee)
	if err != nil {
		return err
	}
	m, err := p.Node.Money(ctx, string(r.Currency))
	if err != nil {
		return err
	}
	body.Request, body.Payee, body.Amount = r, p.profileCard(payee), m.Book.Format(int64(r.Amount))+" "+m.Name()
	if payer, err := p.DB.ActorByIRI(ctx, r.Payer); err == nil {
		body.Payer = payer.Username
	}
	if m.Here != nil {
		body.Currency = m.Book.IRI
	}
	body.State, body.Next, body.Open = "Waits for you", "Pay it, or say that you will not.", false
	switch r.Standing(p.Node.Now()) {
	case storage.RequestOpen:
		body.Open = true
	case storage.RequestPaid:
		body.State, body.Next = "Paid", "Nothing is left to do here."
	case storage.RequestWithdrawn:
		body.State, body.Next = "Taken back", "There is nothing to pay."
	case storage.RequestRefused:
		body.State, body.Next = "Refused", "You have said that you will not pay it."
	default:
		body.State, body.Next = "Expired", "Its time ran out. Ask for a new one."
	}
	secretPage(c)
	return p.render(c, status, "request", view{Title: "Request for payment", NoIndex: true, Body: body})
}
