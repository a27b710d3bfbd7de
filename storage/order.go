package storage

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// The states of an order.
const (
	OrderProposed  = "proposed"  // the responder wants it, the proposer has not answered
	OrderAccepted  = "accepted"  // the proposer has promised it, and its lots are reserved
	OrderFulfilled = "fulfilled" // whoever provides has delivered
	OrderDisputed  = "disputed"  // whoever receives says that something is wrong
	OrderConfirmed = "confirmed" // whoever receives has it
	OrderRejected  = "rejected"
	OrderExpired   = "expired"
	OrderCancelled = "cancelled"
)

// Order is what somebody ordered: an Agreement of FEP-0837, in the words that both sides have of it. The proposer, whose offer or request it is,
// has the last word on how it stands.
type Order struct {
	ID          ID      `gorm:"primaryKey;autoIncrement:false"`
	AskIRI      IRI     // of the Offer(Agreement), or of the reply that asks for it
	IRI         IRI     // of the Agreement; "" before there is one
	OfferID     ID      // storage.Offer
	ProposerID  ID      // whose offer or request it is
	ResponderID ID      // who orders
	UserID      ID      // who ordered for the responder; 0 elsewhere and for the operator
	PostID      ID      // the reply that asked for it; 0 for none
	Lots        int64   // of the offer
	Quantity    Decimal // Lots in the offer's unit
	Amount      Decimal // in the offer's currency; "" for a gift
	Note        string
	State       string
	Code        string // why it was rejected, expired, cancelled or disputed
	Words       string // likewise, for people
	Reserved    bool   // Lots are taken from what is available
	Agreed      bool   // the responder has said so bindingly: by her Offer, or behind the link
	CancelAsked bool   // the responder wants out, and the proposer elsewhere has not answered
	ProposerAt  time.Time
	ResponderAt time.Time // the last word of each, by her own clock: what is older than that came late
	Answer      IRI       // the activity of ours that says how it stands; "" for none
	PaymentID   ID        // that paid it and was not given back in full; 0: none
	ExpiresAt   time.Time // of what is proposed, or accepted and not fulfilled
	NextAt      *time.Time
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Over reports whether nothing is owed any more.
func (o *Order) Over() bool {
	return o.State == OrderConfirmed || o.State == OrderRejected || o.State == OrderExpired || o.State == OrderCancelled
}

// OrderStep is one line of what happened to an order. Rows are never changed.
type OrderStep struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	OrderID   ID
	ActorID   ID // who did it; 0: nobody, time passed
	UserID    ID
	Act       string
	State     string // afterwards
	Words     string
	Activity  IRI // what said so; "" for none
	CreatedAt time.Time
}

// AddOrder inserts an order. fresh is false when there is one of this AskIRI, and nothing is changed.
func (db *DB) AddOrder(ctx context.Context, o *Order) (fresh bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) (err error) {
		if o.ID == 0 {
			o.ID = tx.NewID()
		}
		o.CreatedAt = tx.Now().UTC()
		o.UpdatedAt = o.CreatedAt
		fresh, err = tx.insert(ctx, o, "ask_iri")
		return err
	})
	return fresh, err
}

// SaveOrder stores how an order stands; its terms stay.
func (db *DB) SaveOrder(ctx context.Context, o *Order) error {
	return db.Transaction(ctx, func(tx *DB) error {
		o.UpdatedAt = tx.Now().UTC()
		return translate(tx.q(ctx).Model(o).Select("iri", "post_id", "state", "code", "words", "reserved", "agreed", "cancel_asked",
			"proposer_at", "responder_at", "answer", "payment_id", "expires_at", "next_at", "updated_at").Updates(o).Error)
	})
}

// LockOrder reads an order and makes others wait who want to change it, until the transaction ends. ErrNotFound.
func (db *DB) LockOrder(ctx context.Context, id ID) (*Order, error) {
	if db.dialect == postgresDialect {
		if err := db.one(ctx, "SELECT id FROM orders WHERE id = ? FOR UPDATE", []any{id}, new(ID)); err != nil {
			return nil, err
		}
	}
	return db.OrderByID(ctx, id)
}

// OrderByID finds an order, or ErrNotFound.
func (db *DB) OrderByID(ctx context.Context, id ID) (*Order, error) {
	var o Order
	return &o, translate(db.q(ctx).Where("id = ?", id).Take(&o).Error)
}

// OrderByAsk finds an order by what asked for it, or ErrNotFound.
func (db *DB) OrderByAsk(ctx context.Context, iri IRI) (*Order, error) {
	var o Order
	return &o, translate(db.q(ctx).Where("ask_iri = ?", iri).Take(&o).Error)
}

// OrderByIRI finds an order by the id of its Agreement, or ErrNotFound.
func (db *DB) OrderByIRI(ctx context.Context, iri IRI) (*Order, error) {
	var o Order
	return &o, translate(db.q(ctx).Where("iri = ? AND iri <> ''", iri).Take(&o).Error)
}

// Orders lists the orders in which an actor is a party, of the states given (nil for all), newest first.
func (db *DB) Orders(ctx context.Context, actor ID, states []string, p Page) ([]Order, error) {
	return db.orders(db.q(ctx).Where("(proposer_id = ? OR responder_id = ?)", actor, actor), states, p)
}

// EachOrder hands over all orders in which an actor ever was a party, oldest first, so many at a time.
func (db *DB) EachOrder(ctx context.Context, actor ID, at int, fn func(*Order) error) error {
	for after := ID(0); ; {
		var os []Order
		if err := translate(db.q(ctx).Where("(proposer_id = ? OR responder_id = ?) AND id > ?", actor, actor, after).Order("id").Limit(at).Find(&os).Error); err != nil {
			return err
		}
		for i := range os {
			if err := fn(&os[i]); err != nil {
				return err
			}
			after = os[i].ID
		}
		if len(os) < at {
			return nil
		}
	}
}

// OrdersOfOffer lists the orders of an offer, of the states given (nil for all), newest first.
func (db *DB) OrdersOfOffer(ctx context.Context, offer ID, states []string, p Page) ([]Order, error) {
	return db.orders(db.q(ctx).Where("offer_id = ?", offer), states, p)
}

func (db *DB) orders(q *gorm.DB, states []string, p Page) ([]Order, error) {
	if len(states) > 0 {
		q = q.Where("state IN ?", states)
	}
	var os []Order
	return os, translate(p.of(q).Find(&os).Error)
}

// RefusedLately reports whether an actor's order of another's offers was refused with a code since a time.
func (db *DB) RefusedLately(ctx context.Context, proposer, responder ID, code string, since time.Time) (bool, error) {
	var n int64
	err := db.one(ctx, "SELECT COUNT(*) FROM orders WHERE proposer_id = ? AND responder_id = ? AND code = ? AND created_at > ?", []any{proposer, responder, code, since.UTC()}, &n)
	return n > 0, err
}

// OrdersDue lists the orders that are to be looked at again now, the most urgent first.
func (db *DB) OrdersDue(ctx context.Context, limit int) ([]Order, error) {
	var os []Order
	return os, translate(db.q(ctx).Where("next_at IS NOT NULL AND next_at <= ?", db.Now().UTC()).Order("next_at").Limit(limit).Find(&os).Error)
}

// CountOpenOrders counts what an actor has proposed to another and got no answer to.
func (db *DB) CountOpenOrders(ctx context.Context, proposer, responder ID) (n int64, err error) {
	err = db.one(ctx, "SELECT COUNT(*) FROM orders WHERE proposer_id = ? AND responder_id = ? AND state = 'proposed'", []any{proposer, responder}, &n)
	return n, err
}

// OwnActors lists the actors of their own of those who have one of some roles in a co-op.
func (db *DB) OwnActors(ctx context.Context, coop ID, roles []string) ([]ID, error) {
	var ids []ID
	return ids, translate(db.q(ctx).Model(&User{}).Where("suspended_at IS NULL AND id IN (SELECT user_id FROM members WHERE coop_id = ? AND role IN ?)", coop, roles).Order("id").Pluck("actor_id", &ids).Error)
}

// WaitingOrders lists the orders in which an actor is a party and that are to be answered or fulfilled, oldest first.
func (db *DB) WaitingOrders(ctx context.Context, actor ID) ([]Order, error) {
	var os []Order
	return os, translate(db.q(ctx).Where("(proposer_id = ? OR responder_id = ?) AND state IN ('proposed', 'accepted')", actor, actor).Order("id").Find(&os).Error)
}

// PostponeOrder says when an order is to be looked at again.
func (db *DB) PostponeOrder(ctx context.Context, id ID, at time.Time) error {
	return db.Transaction(ctx, func(tx *DB) error {
		_, err := tx.run(ctx, "UPDATE orders SET next_at = ? WHERE id = ?", at.UTC(), id)
		return err
	})
}

// AddOrderStep appends to what happened to an order.
func (db *DB) AddOrderStep(ctx context.Context, s *OrderStep) error {
	return db.Transaction(ctx, func(tx *DB) error {
		s.ID, s.CreatedAt = tx.NewID(), tx.Now().UTC()
		_, err := tx.insert(ctx, s, "")
		return err
	})
}

// OrderSteps lists what happened to an order, oldest first.
func (db *DB) OrderSteps(ctx context.Context, order ID) ([]OrderStep, error) {
	var ss []OrderStep
	return ss, translate(db.q(ctx).Where("order_id = ?", order).Order("id").Find(&ss).Error)
}

// CheckStock compares what is left of an offer with its orders: stock = available + reserved. It returns the three; stock is nil when there is no end to it.
func (db *DB) CheckStock(ctx context.Context, offer ID) (stock, available *int64, reserved int64, err error) {
	err = db.moment(ctx, func(tx *DB) error {
		o, err := tx.OfferByID(ctx, offer)
		if err != nil {
			return err
		}
		stock, available = o.Stock, o.Available
		return tx.one(ctx, "SELECT COALESCE(SUM(lots), 0) FROM orders WHERE offer_id = ? AND reserved", []any{offer}, &reserved)
	})
	return stock, available, reserved, err
}
