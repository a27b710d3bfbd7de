package economy

import (
	"errors"
	"net/http"
	"time"

	qrcode "github.com/skip2/go-qrcode"

	"planet/activitypub"
	"planet/storage"
)

// Request is a request for payment: an invoice.
type Request struct {
	ID       string  `json:"id"`
	IRI      string  `json:"iri" doc:"Of the Proposal, for servers."`
	From     Party   `json:"from" doc:"Who is to pay."`
	To       Party   `json:"to" doc:"Who asks."`
	Amount   string  `json:"amount"`
	Currency string  `json:"currency"`
	Code     string  `json:"code"`
	Memo     string  `json:"memo"`
	State    string  `json:"state" enum:"open,paid,withdrawn,refused,expired"`
	Payment  *string `json:"payment_id" doc:"That paid it."`
	Link     string  `json:"link" doc:"The page of the request. Whoever has it can see and refuse the request: it is for whom it asks."`
	QR       string  `json:"qr" doc:"The same as a QR code: a PNG, with the token of this API."`
	Expires  string  `json:"expires_at"`
	Created  string  `json:"created_at"`
}

// RequestDraft asks somebody for a payment.
type RequestDraft struct {
	From     string `json:"from" doc:"Who is to pay: a handle or an address."`
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
	Memo     string `json:"memo,omitempty"`
	Lasts    int64  `json:"lasts,omitempty" doc:"In seconds: thirty days unless said."`
}

func (a *API) request(c *call, r *storage.PaymentRequest) (Request, error) {
	m, err := a.Node.Money(c.ctx, string(r.Currency))
	if err != nil {
		return Request{}, err
	}
	e := Request{ID: r.ID.String(), IRI: string(r.IRI), Amount: *decimal(m.Book, int64(r.Amount)), Currency: string(r.Currency), Code: m.Book.Code, Memo: r.Memo, State: r.Standing(a.Node.Now()), Payment: idOrNil(r.PaymentID),
		Link: a.Node.RequestLink(r), QR: a.Origin + base + "/requests/" + r.ID.String() + "/qr", Expires: stamp(r.ExpiresAt), Created: stamp(r.CreatedAt)}
	if e.From, err = a.party(c, r.Payer); err != nil {
		return e, err
	}
	e.To, err = a.party(c, r.Payee)
	return e, err
}

func (a *API) asked(c *call) func(r *storage.PaymentRequest, err error) (any, error) {
	return func(r *storage.PaymentRequest, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return a.request(c, r)
	}
}

func (a *API) requestPayment(c *call) (any, error) {
	var in RequestDraft
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.Lasts < 0 || in.Lasts > 400*24*3600 {
		return nil, &activitypub.InvalidError{Field: "lasts", Msg: "want seconds"}
	}
	m, err := a.Node.Money(c.ctx, in.Currency)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, &activitypub.Problem{Status: http.StatusUnprocessableEntity, Code: "unknown_currency", Detail: "There is no currency " + in.Currency + " here."}
	} else if err != nil {
		return nil, err
	}
	of, err := a.resolve(c.ctx, "from", in.From)
	if err != nil {
		return nil, err
	}
	return a.doOnce(c, in, func(by activitypub.By) (any, error) {
		return a.asked(c)(a.Node.RequestPayment(c.ctx, by, activitypub.NewRequest{Currency: m, Of: of, Amount: in.Amount, Memo: in.Memo, Lasts: time.Duration(in.Lasts) * time.Second}))
	}, func(iri storage.IRI) (any, error) { return a.asked(c)(a.DB.PaymentRequestByIRI(c.ctx, iri)) })
}

func (a *API) requests(c *call) (any, error) {
	if err := a.Node.May(c.ctx, c.by(), "inside"); err != nil {
		return nil, err
	}
	p := c.form.Page(40, 80)
	rs, err := a.DB.PaymentRequests(c.ctx, c.who.Actor.IRI, p)
	if err != nil {
		return nil, err
	}
	return list(a, c, p, rs, func(r *storage.PaymentRequest) storage.ID { return r.ID }, func(r *storage.PaymentRequest) (Request, error) { return a.request(c, r) })
}

// ownRequest finds a request of whom the token is for, or to her.
func (a *API) ownRequest(c *call) (*storage.PaymentRequest, error) {
	if err := a.Node.May(c.ctx, c.by(), "inside"); err != nil {
		return nil, err
	}
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	r, err := a.DB.PaymentRequestByID(c.ctx, id)
	if err == nil && r.Payer != c.who.Actor.IRI && r.Payee != c.who.Actor.IRI {
		err = storage.ErrNotFound
	}
	return r, err
}

func (a *API) showRequest(c *call) (any, error) {
	return a.asked(c)(a.ownRequest(c))
}

func (a *API) requestCode(c *call) (any, error) {
	r, err := a.ownRequest(c)
	if err != nil {
		return nil, err
	}
	picture, err := qrcode.Encode(a.Node.RequestLink(r), qrcode.Medium, 512)
	if err != nil {
		return nil, err
	}
	return nil, c.Blob(http.StatusOK, "image/png", picture)
}

// endRequest is what withdrawing and declining have in common.
func (a *API) endRequest(c *call, do func(by activitypub.By, id storage.ID) (*storage.PaymentRequest, error)) (any, error) {
	r, err := a.ownRequest(c)
	if err != nil {
		return nil, err
	}
	return a.doOnce(c, nil, func(by activitypub.By) (any, error) { return a.asked(c)(do(by, r.ID)) }, func(storage.IRI) (any, error) { return a.showRequest(c) })
}

func (a *API) withdrawRequest(c *call) (any, error) {
	return a.endRequest(c, func(by activitypub.By, id storage.ID) (*storage.PaymentRequest, error) {
		return a.Node.WithdrawRequest(c.ctx, by, id)
	})
}

func (a *API) declineRequest(c *call) (any, error) {
	return a.endRequest(c, func(by activitypub.By, id storage.ID) (*storage.PaymentRequest, error) {
		return a.Node.DeclineRequest(c.ctx, by, id)
	})
}
