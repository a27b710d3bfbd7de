package storage

import (
	"context"
	"errors"
	"time"

	"planet/ledger"
)

// SignatureRule says above what a payment of a co-op in one currency waits for a second person. nil: never.
type SignatureRule struct {
	CoopID     ID
	Currency   IRI
	PerPayment *ledger.Amount
	PerDay     *ledger.Amount // of all payments of a day (UTC), with this one
	OwnBenefit *ledger.Amount // of a payment to whoever proposes it
}

// SetSignatureRule stores a rule; one that says nothing takes it away.
func (db *DB) SetSignatureRule(ctx context.Context, r *SignatureRule) error {
	return db.Transaction(ctx, func(tx *DB) error {
		err := tx.q(ctx).Where("coop_id = ? AND currency = ?", r.CoopID, r.Currency).Delete(&SignatureRule{}).Error
		if err != nil || r.PerPayment == nil && r.PerDay == nil && r.OwnBenefit == nil {
			return translate(err)
		}
		return translate(tx.q(ctx).Create(r).Error)
	})
}

// SignatureRule is the rule of a co-op in a currency; without one it says nothing.
func (db *DB) SignatureRule(ctx context.Context, coop ID, currency IRI) (*SignatureRule, error) {
	r := SignatureRule{CoopID: coop, Currency: currency}
	err := translate(db.q(ctx).Where("coop_id = ? AND currency = ?", coop, currency).Take(&r).Error)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return &r, err
}

// SignatureRules lists the rules of a co-op by currency.
func (db *DB) SignatureRules(ctx context.Context, coop ID) ([]SignatureRule, error) {
	var rs []SignatureRule
	return rs, translate(db.q(ctx).Where("coop_id = ?", coop).Order("currency").Find(&rs).Error)
}

// PaidSince sums what an actor pays in a currency since a time: what was paid, is held, on its way, or waits for a second person.
func (db *DB) PaidSince(ctx context.Context, payer, currency IRI, since time.Time) (sum ledger.Amount, err error) {
	err = db.one(ctx, "SELECT COALESCE(SUM(amount), 0) FROM payments WHERE payer = ? AND currency = ? AND created_at >= ? AND state IN ('waiting', 'sent', 'held', 'committed')",
		[]any{payer, currency, since.UTC()}, &sum)
	return sum, err
}
