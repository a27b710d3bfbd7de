package activitypub

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"planet/ledger"
	"planet/storage"
)

// approvalLife is how long a payment waits for a second person.
const approvalLife = 7 * 24 * time.Hour

// errSecond: the payment takes a second person; nothing was stored.
var errSecond = errors.New("the payment takes a second person")

// takesSecond says, within the transaction that would move or send the money and before it does, whether a payment of a co-op takes a second person: errSecond.
func (n *Node) takesSecond(ctx context.Context, tx *storage.DB, by By, t *tender) error {
	if t.waited || by.Actor.Type == storage.Person {
		return nil
	}
	r, err := tx.SignatureRule(ctx, by.Actor.ID, t.row.Currency)
	if err != nil {
		return err
	}
	above := func(limit *ledger.Amount, v ledger.Amount) bool { return limit != nil && v > *limit }
	if r.OwnBenefit != nil && by.User != nil {
		own, err := tx.ActorByID(ctx, by.User.ActorID)
		if err != nil {
			return err
		}
		if own.IRI == t.row.Payee && above(r.OwnBenefit, t.row.Amount) {
			return errSecond
		}
	}
	if above(r.PerPayment, t.row.Amount) {
		return errSecond
	}
	if t.perDay = r.PerDay; t.perDay == nil {
		return nil
	}
	if _, err := tx.LockCoop(ctx, by.Actor.ID); err != nil { // payments that are decided at the same time wait for each other
		return err
	}
	return n.withinDay(ctx, tx, t, t.row.Amount)
}

// withinDay says whether what is paid today, with more, keeps within what the co-op has set: nil or errSecond. It is asked before a payment is stored, and after it: payments that
// share a transaction do not see each other before.
func (n *Node) withinDay(ctx context.Context, tx *storage.DB, t *tender, more ledger.Amount) error {
	if t.perDay == nil {
		return nil
	}
	sum, err := tx.PaidSince(ctx, t.row.Payer, t.row.Currency, n.Now().UTC().Truncate(24*time.Hour))
	if err == nil && sum+more > *t.perDay {
		err = errSecond
	}
	return err
}

// keepWaiting keeps a payment that takes a second person, unsigned, and tells those who can approve it.
func (n *Node) keepWaiting(ctx context.Context, by By, t *tender) (*storage.Payment, error) {
	if !t.dated.IsZero() {
		return nil, invalid("dated", "a payment that waits for a second person takes place when she approves it: leave the day out")
	}
	row := t.row
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		row = t.row
		if err := n.allowedAmount(ctx, tx, by, t.act, t.money, row.Amount); err != nil {
			return err
		}
		ends := n.Now().Add(approvalLife).UTC().Truncate(time.Second)
		row.State, row.Body, row.EndsAt, row.ExpiresAt, row.NextAt = storage.PaymentWaiting, nil, nil, &ends, &ends
		if err := tx.SavePayment(ctx, &row); err != nil {
			return err
		}
		people, err := tx.OwnActors(ctx, by.Actor.ID, rightTo(t.act).roles)
		if err != nil {
			return err
		}
		others := slices.DeleteFunc(people, func(id storage.ID) bool { return by.User != nil && id == by.User.ActorID })
		if len(others) == 0 {
			return problem(http.StatusConflict, "nobody-else", "this takes a second person of %s, and nobody else has one of the roles %s: give somebody a role first", by.Actor.Username, strings.Join(rightTo(t.act).roles, ", "))
		}
		if err := n.askSecond(ctx, tx, others, by, &row, t.money); err != nil {
			return err
		}
		return record(ctx, tx, by, "payment.propose", row.IRI)
	})
	if errors.Is(err, storage.ErrConflict) { // the same key at the same time
		old, err := n.DB.PaymentByIRI(ctx, row.IRI)
		if err != nil {
			return nil, err
		}
		return n.askedBefore(ctx, old, t)
	}
	if err != nil {
		return nil, err
	}
	return &row, nil
}

// ApprovePayment says yes to a payment that waits, as a second person with the role, and brings it to its ledger: all in the transaction that settles or sends it. Whoever proposed
// it, or is paid by it, cannot.
func (n *Node) ApprovePayment(ctx context.Context, by By, id storage.ID) (*storage.Payment, error) {
	p, err := n.DB.PaymentByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := n.maySecond(ctx, n.DB, by, p); err != nil {
		return nil, err
	}
	if by.User.ID == p.UserID {
		return nil, problem(http.StatusForbidden, "own-case", "%s has proposed it: it takes somebody else", by.User.Username)
	}
	own, err := n.DB.ActorByID(ctx, by.User.ActorID)
	if err != nil {
		return nil, err
	}
	if own.IRI == p.Payee {
		return nil, problem(http.StatusForbidden, "own-case", "%s is paid by it: it takes somebody else", by.User.Username)
	}
	m, err := n.moneyOf(ctx, n.DB, p)
	if err != nil {
		return nil, err
	}
	payee, err := n.actor(ctx, p.Payee)
	if err != nil {
		return nil, err
	}
	t := &tender{row: *p, money: m, payer: by.Actor, payee: payee, lasts: paymentLife, act: "pay", waited: true}
	if p.RefundOf != nil {
		if t.original, err = n.DB.PaymentByID(ctx, *p.RefundOf); err != nil {
			return nil, err
		}
	}
	t.row.SecondID, t.row.NextAt = by.User.ID, nil
	t.also = func(tx *storage.DB) error {
		if err := n.audit(ctx, tx, by, by.Actor, change{act: "payment.approve", subject: p.IRI, after: paymentFacts(p, m)}); err != nil {
			return err
		}
		return n.tellProposer(ctx, tx, p, by.Actor.ID, "payment.approved")
	}
	return n.launch(ctx, by, t)
}

// RefusePayment says no to a payment that waits, and why.
func (n *Node) RefusePayment(ctx context.Context, by By, id storage.ID, reason string) (*storage.Payment, error) {
	reason, err := cleanWords("reason", reason)
	if err != nil {
		return nil, err
	}
	if reason == "" {
		return nil, invalid("reason", "say why: whoever proposed it reads it")
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		p, err := tx.LockPayment(ctx, id)
		if err != nil {
			return err
		}
		if err := n.maySecond(ctx, tx, by, p); err != nil {
			return err
		}
		m, err := n.moneyOf(ctx, tx, p)
		if err != nil {
			return err
		}
		p.State, p.Reason, p.Words, p.SecondID, p.NextAt = storage.PaymentRefused, codeDeclined, reason, by.User.ID, nil
		if err := tx.SettlePayment(ctx, p); err != nil {
			return err
		}
		if err := n.tellProposer(ctx, tx, p, by.Actor.ID, "payment.refused"); err != nil {
			return err
		}
		return n.audit(ctx, tx, by, by.Actor, change{act: "payment.refuse", subject: p.IRI, words: reason, after: paymentFacts(p, m)})
	})
	if err != nil {
		return nil, err
	}
	return n.DB.PaymentByID(ctx, id)
}

// maySecond says whether somebody is one of those who decide on a payment that waits.
func (n *Node) maySecond(ctx context.Context, db *storage.DB, by By, p *storage.Payment) error {
	switch {
	case by.Actor.IRI != p.Payer:
		return problem(http.StatusForbidden, "payer", "this is for the payer to decide, and that is not %s", by.Actor.Username)
	case by.User == nil:
		return problem(http.StatusForbidden, "named", "a second person has a name: say who decides")
	case p.State != storage.PaymentWaiting:
		return problem(http.StatusConflict, "state", "the payment is %s: nobody is waited for", p.State)
	}
	return n.allowed(ctx, db, by, "pay")
}

// endWaiting ends a payment that waited for a second person in vain.
func (n *Node) endWaiting(ctx context.Context, id storage.ID) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		p, err := tx.LockPayment(ctx, id)
		if err != nil || p.State != storage.PaymentWaiting || p.ExpiresAt == nil || p.ExpiresAt.After(n.Now()) {
			return err
		}
		payer, err := tx.ActorByIRI(ctx, p.Payer)
		if err != nil {
			return err
		}
		p.State, p.Reason, p.Words, p.NextAt = storage.PaymentRefused, codeExpired, "Nobody approved it in time.", nil
		if err := tx.SettlePayment(ctx, p); err != nil {
			return err
		}
		return n.tellProposer(ctx, tx, p, payer.ID, "payment.refused")
	})
}

// paymentFacts are what an audit log keeps of a payment.
func paymentFacts(p *storage.Payment, m *Money) map[string]any {
	return map[string]any{"to": p.Payee, "amount": ledger.FormatAmount(int64(p.Amount), m.Book.Scale), "currency": p.Currency}
}

// NewSignatures are what takes a second person, as typed; nil: as it was, Unlimited: nothing.
type NewSignatures struct {
	PerPayment, PerDay, OwnBenefit *string
}

// SetSignatures says above what payments of the co-op by.Actor in a currency take a second person.
func (n *Node) SetSignatures(ctx context.Context, by By, m *Money, in NewSignatures) error {
	return n.inCoop(ctx, by, "signatures", func(tx *storage.DB, _ *storage.Coop) error {
		r, err := tx.SignatureRule(ctx, by.Actor.ID, storage.IRI(m.Book.IRI))
		if err != nil {
			return err
		}
		before := signaturesOf(r, m)
		for _, l := range []struct {
			typed *string
			limit **ledger.Amount
		}{{in.PerPayment, &r.PerPayment}, {in.PerDay, &r.PerDay}, {in.OwnBenefit, &r.OwnBenefit}} {
			if l.typed == nil {
				continue
			}
			if *l.limit = nil; *l.typed == Unlimited {
				continue
			}
			v, err := ledger.ParseTyped(*l.typed, m.Book.Kind, m.Book.Scale)
			if err != nil {
				return err
			}
			*l.limit = &v
		}
		if err := tx.SetSignatureRule(ctx, r); err != nil {
			return err
		}
		return n.audit(ctx, tx, by, by.Actor, change{act: "signatures.set", subject: storage.IRI(m.Book.IRI), before: before, after: signaturesOf(r, m)})
	})
}

// SignaturesOf lists the rules of a co-op, to its members.
func (n *Node) SignaturesOf(ctx context.Context, by By, coop *storage.Actor) ([]storage.SignatureRule, error) {
	if err := n.insider(ctx, n.DB, by, coop); err != nil {
		return nil, err
	}
	return n.DB.SignatureRules(ctx, coop.ID)
}

// signaturesOf are a rule's limits as an audit log keeps them.
func signaturesOf(r *storage.SignatureRule, m *Money) map[string]any {
	out := map[string]any{}
	for name, limit := range map[string]*ledger.Amount{"per_payment": r.PerPayment, "per_day": r.PerDay, "own_benefit": r.OwnBenefit} {
		if out[name] = Unlimited; limit != nil {
			out[name] = ledger.FormatAmount(int64(*limit), m.Book.Scale)
		}
	}
	return out
}
