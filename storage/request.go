package storage

import (
	"context"
	"time"

	"planet/ledger"
)

// The states of a request for payment.
const (
	RequestOpen      = "open"
	RequestPaid      = "paid"
	RequestWithdrawn = "withdrawn" // by whoever asked
	RequestRefused   = "refused"   // by whoever was asked
	RequestExpired   = "expired"
)

// PaymentRequest is an invoice of an actor of this node: it asks one actor, wherever she is, for one payment.
type PaymentRequest struct {
	ID        ID  `gorm:"primaryKey;autoIncrement:false"`
	IRI       IRI // of the Proposal
	Payee     IRI
	Payer     IRI
	Currency  IRI
	Amount    ledger.Amount
	Memo      string
	State     string
	PaymentID ID // that paid it; 0: none
	PostID    ID // the message that brought it; 0: none
	UserID    ID // who asked; 0: the operator
	ExpiresAt time.Time
	CreatedAt time.Time
	EndedAt   *time.Time
}

// Standing is how the request stands at a time: what is open ends by itself.
func (r *PaymentRequest) Standing(now time.Time) string {
	if r.State == RequestOpen && !now.Before(r.ExpiresAt) {
		return RequestExpired
	}
	return r.State
}

// SavePaymentRequest stores a new request.
func (db *DB) SavePaymentRequest(ctx context.Context, r *PaymentRequest) error {
	r.CreatedAt = db.Now().UTC()
	return db.create(ctx, &r.ID, r)
}

// PaymentRequestByID finds a request, or ErrNotFound.
func (db *DB) PaymentRequestByID(ctx context.Context, id ID) (*PaymentRequest, error) {
	var r PaymentRequest
	return &r, translate(db.q(ctx).Where("id = ?", id).Take(&r).Error)
}

// PaymentRequestByIRI finds a request by the id of its Proposal, or ErrNotFound.
func (db *DB) PaymentRequestByIRI(ctx context.Context, iri IRI) (*PaymentRequest, error) {
	var r PaymentRequest
	return &r, translate(db.q(ctx).Where("iri = ?", iri).Take(&r).Error)
}

// LockPaymentRequest reads a request and makes others wait who want to change it, until the transaction ends. ErrNotFound.
func (db *DB) LockPaymentRequest(ctx context.Context, id ID) (*PaymentRequest, error) {
	if db.dialect == postgresDialect {
		if err := db.one(ctx, "SELECT id FROM payment_requests WHERE id = ? FOR UPDATE", []any{id}, new(ID)); err != nil {
			return nil, err
		}
	}
	return db.PaymentRequestByID(ctx, id)
}

// EndPaymentRequest notes what became of a request; its terms stay.
func (db *DB) EndPaymentRequest(ctx context.Context, r *PaymentRequest) error {
	now := db.Now().UTC()
	r.EndedAt = &now
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&PaymentRequest{}).Where("id = ?", r.ID).Select("state", "payment_id", "ended_at").Updates(r).Error)
	})
}

// ExpirePaymentRequests ends the requests whose time has passed.
func (db *DB) ExpirePaymentRequests(ctx context.Context) error {
	now := db.Now().UTC()
	var n int64
	if err := db.one(ctx, "SELECT COUNT(*) FROM payment_requests WHERE state = 'open' AND expires_at <= ?", []any{now}, &n); err != nil || n == 0 {
		return err
	}
	return db.Transaction(ctx, func(tx *DB) error {
		_, err := tx.run(ctx, "UPDATE payment_requests SET state = 'expired', ended_at = ? WHERE state = 'open' AND expires_at <= ?", now, now)
		return err
	})
}

// OpenPaymentRequests counts what one actor asks of another and that is still open.
func (db *DB) OpenPaymentRequests(ctx context.Context, payee, payer IRI) (n int64, err error) {
	err = db.one(ctx, "SELECT COUNT(*) FROM payment_requests WHERE payee = ? AND payer = ? AND state = 'open' AND expires_at > ?", []any{payee, payer, db.Now().UTC()}, &n)
	return n, err
}

// PaymentRequests lists the requests of and to an actor, newest first.
func (db *DB) PaymentRequests(ctx context.Context, of IRI, p Page) ([]PaymentRequest, error) {
	var rs []PaymentRequest
	return rs, translate(p.of(db.q(ctx).Where("payee = ? OR payer = ?", of, of)).Find(&rs).Error)
}
