package activitypub

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"planet/ledger"
	"planet/storage"
)

// sameAmount reports whether a decimal is so many minor units, however many zeros it ends with.
func sameAmount(decimal string, v ledger.Amount, u ledger.Currency) bool {
	d, ok := storage.ParseDecimal(decimal)
	if !ok {
		return false
	}
	want, ok := storage.ParseDecimal(ledger.FormatAmount(int64(v), u.Scale))
	return ok && d == want
}

// payer and payee of an order's money: of an offer whoever ordered pays, of a request whoever asked.
func moneySides(f *storage.Offer, p parties) (payer, payee *storage.Actor) {
	if f.Purpose == storage.PurposeRequest {
		return p.proposer, p.responder
	}
	return p.responder, p.proposer
}

// claimOf finds the order of this node that a payment is to fulfil, with its offer and its sides; nil when it names none.
func (n *Node) claimOf(ctx context.Context, db *storage.DB, fulfills storage.IRI) (*storage.Order, *storage.Offer, parties, error) {
	iri, ok := strings.CutSuffix(string(fulfills), "#reciprocal")
	if !ok {
		return nil, nil, parties{}, nil
	}
	o, err := db.OrderByIRI(ctx, storage.IRI(iri))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil, parties{}, nil
	}
	if err != nil {
		return nil, nil, parties{}, err
	}
	f, err := db.OfferByID(ctx, o.OfferID)
	if err != nil {
		return nil, nil, parties{}, err
	}
	p, err := n.partiesOf(ctx, db, o)
	return o, f, p, err
}

// owed says whether an order is to be paid as a payment does it: a refusal in the words of the wire, or nil.
func owed(o *storage.Order, f *storage.Offer, p parties, row *storage.Payment, u ledger.Currency) error {
	payer, payee := moneySides(f, p)
	switch {
	case payer.IRI != row.Payer || payee.IRI != row.Payee:
		return &refusedBefore{codeAgreement, "The order is not between these two."}
	case o.Amount == "" || f.Currency != storage.IRI(u.IRI):
		return &refusedBefore{codeAgreement, "The order is not paid in " + u.Code + "."}
	case !sameAmount(string(o.Amount), row.Amount, u):
		return &refusedBefore{codeAgreement, "The order costs " + f.Money(o.Amount) + ", and not " + ledger.FormatAmount(int64(row.Amount), u.Scale) + ": pay what it says."}
	case o.PaymentID != 0 && o.PaymentID != row.ID:
		return &refusedBefore{codeSettled, "The order has been paid already."}
	case o.State == storage.OrderProposed || o.State == storage.OrderRejected || o.State == storage.OrderExpired || o.State == storage.OrderCancelled:
		return &refusedBefore{codeAgreement, "The order is " + o.State + ": there is nothing to pay."}
	}
	return nil
}

// stillOwed looks, within the transaction that moves the money, at what of this node a payment is to fulfil.
func (n *Node) stillOwed(ctx context.Context, tx *storage.DB, row *storage.Payment, u ledger.Currency) error {
	if row.Fulfills == "" || row.RefundOf != nil {
		return nil
	}
	o, f, p, err := n.claimOf(ctx, tx, row.Fulfills)
	if err != nil {
		return err
	}
	if o != nil {
		return owed(o, f, p, row, u)
	}
	if iri, _, _ := strings.Cut(string(row.Fulfills), "#"); !n.isOurs(storage.IRI(iri)) {
		return nil // looked at before: checkClaim
	}
	return n.stillRequested(ctx, tx, row)
}

// payable makes a payment the one for an order.
func (n *Node) payable(ctx context.Context, row *storage.Payment, o *storage.Order, m *Money) error {
	o, err := n.DB.OrderByID(ctx, o.ID) // as it stands now
	if err != nil {
		return err
	}
	f, err := n.DB.OfferByID(ctx, o.OfferID)
	if err != nil {
		return err
	}
	p, err := n.partiesOf(ctx, n.DB, o)
	if err != nil {
		return err
	}
	if o.IRI == "" {
		return problem(http.StatusConflict, codeAgreement, "the order is %s: it is paid once it is accepted", o.State)
	}
	if old, err := n.DB.PaymentByIRI(ctx, row.IRI); err == nil {
		row.ID = old.ID // asked again
	}
	row.Fulfills, row.OrderID = o.IRI+"#reciprocal", o.ID
	if err := owed(o, f, p, row, m.Book); err != nil {
		var r *refusedBefore
		errors.As(err, &r)
		return problem(http.StatusConflict, r.code, "%s", r.words)
	}
	return nil
}

// paidOrder notes on an order of this node that it is paid, and says so to the other side when the order is ours to speak of.
func (n *Node) paidOrder(ctx context.Context, tx *storage.DB, p *storage.Payment, u ledger.Currency) error {
	first, f, sides, err := n.claimOf(ctx, tx, p.Fulfills)
	if err != nil || first == nil || owed(first, f, sides, p, u) != nil {
		return err // paid all the same, and it stands in the books; the order goes its own way
	}
	if f, err = tx.LockOffer(ctx, first.OfferID); err != nil {
		return err
	}
	o, err := tx.LockOrder(ctx, first.ID)
	if err != nil {
		return err
	}
	o.PaymentID = p.ID
	if p.OrderID != o.ID {
		p.OrderID = o.ID
		if err := tx.SettlePayment(ctx, p); err != nil {
			return err
		}
	}
	payer, payee := moneySides(f, sides)
	if err := n.step(ctx, tx, o, "pay", payer.ID, p.UserID, "", p.Event); err != nil {
		return err
	}
	if !sides.proposer.Local() {
		o.NextAt = nil
		return tx.SaveOrder(ctx, o)
	}
	if err := n.state(ctx, tx, o, f, sides, turn{act: actPaid}); err != nil || payee.ID != sides.proposer.ID {
		return err
	}
	return n.sendPaymentReceipt(ctx, tx, o, p, payee, payer)
}

// sendPaymentReceipt is the seller's confirmation of a payment, a Document that leads to the event of the ledger (FEP-0837): who reads it believes the ledger.
func (n *Node) sendPaymentReceipt(ctx context.Context, tx *storage.DB, o *storage.Order, p *storage.Payment, from, to *storage.Actor) error {
	id := n.Origin + "/receipts/" + tx.NewID().String()
	at := later(n.Now(), o.ProposerAt)
	doc := map[string]any{"id": id, "type": "Document", "name": "Paid", "attributedTo": from.IRI, "context": o.IRI, "url": id, "published": wireTime(at),
		"attachment": []any{map[string]any{"type": "Link", "href": p.Event, "rel": []any{valueFlows + "EconomicEvent"}, "mediaType": ldJSON}}}
	_, err := n.sendAbout(ctx, tx, o, from, to, at, map[string]any{"id": id + "/create", "type": "Create", "object": doc})
	return err
}

// isPaymentReceipt reports whether a Document is about a payment, which its ledger tells, and not about what was delivered.
func isPaymentReceipt(doc object) bool {
	return slices.ContainsFunc(doc.children("attachment"), func(o object) bool {
		return slices.ContainsFunc(o.list("rel"), func(raw json.RawMessage) bool { s, _ := stringOf(raw); return localName(s) == "EconomicEvent" })
	})
}

// givenBack notes on an order that its payment was given back, when all of it was.
func (n *Node) givenBack(ctx context.Context, tx *storage.DB, p *storage.Payment) error {
	first, err := tx.PaymentByID(ctx, *p.RefundOf)
	if err != nil || first.OrderID == 0 {
		return err
	}
	back, err := tx.Refunded(ctx, first.ID)
	if err != nil || back < first.Amount {
		return err
	}
	o, err := tx.OrderByID(ctx, first.OrderID)
	if err != nil {
		return err
	}
	f, err := tx.LockOffer(ctx, o.OfferID)
	if err != nil {
		return err
	}
	if o, err = tx.LockOrder(ctx, o.ID); err != nil || o.PaymentID != first.ID {
		return err
	}
	sides, err := n.partiesOf(ctx, tx, o)
	if err != nil {
		return err
	}
	o.PaymentID = 0
	_, payee := moneySides(f, sides)
	if err := n.step(ctx, tx, o, "refund", payee.ID, p.UserID, p.Memo, p.Event); err != nil {
		return err
	}
	if !sides.proposer.Local() {
		return tx.SaveOrder(ctx, o)
	}
	return n.state(ctx, tx, o, f, sides, turn{act: actPaid})
}
