package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"planet/ledger"
)

// The states of a payment: those before the ledger has answered, and its answers.
const (
	PaymentWaiting   = "waiting" // for a second person to approve it; nothing is signed yet
	PaymentRefused   = "refused" // she said no, or nothing in time
	PaymentSent      = "sent"    // to a ledger elsewhere, which has not answered
	PaymentHeld      = "held"
	PaymentCommitted = "committed"
	PaymentRejected  = "rejected"
	PaymentCancelled = "cancelled"
	PaymentExpired   = "expired"
)

// Payment is what people see of a transfer: who, to whom, what for, and what came of it. There is one on the node of the ledger, and one on those of payer
// and payee, each for itself; of one node the same one.
type Payment struct {
	ID         ID     `gorm:"primaryKey;autoIncrement:false"`
	IRI        IRI    // of the Offer that asks for it
	UID        []byte // of the transfer
	CurrencyID ID     // 0: its book is kept elsewhere
	Currency   IRI
	Payer      IRI
	Payee      IRI
	Amount     ledger.Amount // asked for; of a hold that was posted in part, what was posted
	Code       string
	Memo       string
	MemoSalt   []byte
	Fulfills   IRI    // the commitment or intent that is paid; "" for none
	Body       []byte // SHA-256 of the canonical Offer without its proof; nil while it is not signed
	State      string
	Reason     string // of a refusal: its code
	Words      string // likewise, for people
	Event      IRI    // the EconomicEvent; "" before there is one
	Receipt    []byte // the entry's proof, of a book elsewhere
	RefundOf   *ID
	OrderID    ID         // 0: none
	UserID     ID         // who acted; 0: the operator, or somebody elsewhere
	SecondID   ID         // who approved it; 0: nobody had to
	Hold       int64      // seconds that it is held at most; 0: it is paid at once
	ExpiresAt  *time.Time // of a hold, or of what waits for a second person
	EndsAt     *time.Time // the ledger accepts it until then
	NextAt     *time.Time // when this node looks at it again
	Tries      int
	Owes       bool // it ended by itself, and the parties have not been told
	CreatedAt  time.Time
	SettledAt  *time.Time
}

// Over reports whether nothing will change any more.
func (p *Payment) Over() bool {
	return p.State != PaymentWaiting && p.State != PaymentSent && p.State != PaymentHeld
}

// Transfer is the ledger's id of the payment.
func (p *Payment) Transfer() ledger.ID { return toID(p.UID) }

// Submission is one act for the ledger in one currency, with the rows that stand and fall with it.
type Submission struct {
	Currency ledger.ID
	Group    ledger.Group

	// Check looks at the transaction before the ledger does; its error is the answer and nothing is stored. Optional. It only reads.
	Check func(tx *DB) error

	// Rows says what else to store, now that the ledger has answered. It may be called again with another answer, has no effect of its own, and runs beside
	// those of other submissions: to sign answers takes longer than to store them. Optional.
	Rows func(ledger.Result) Rows
}

// Rows is what a submission stores beside the ledger's own.
type Rows struct {
	Activities []*Activity
	Payments   []*Payment
	Deliveries []*Delivery
	Acts       []*Act

	// Then does the rest, after these rows, with what stands by then. Its error gives the whole batch up. Optional.
	Then func(tx *DB) error
}

// Pay hands one act to the ledger and returns its answer after the fsync. Acts that wait for each other share one Apply, one set of multi-row
// statements, one checkpoint and one fsync. A refusal is an answer, stored as durably as an acceptance; an error means that nothing was stored,
// or with ErrUnknown that nobody knows: then the same act under the same ids tells.
// Other transactions that share the commit have their turn before it.
func (db *DB) Pay(ctx context.Context, s Submission) (ledger.Result, error) {
	if db.tx != nil {
		return ledger.Result{}, errors.New("pay inside a transaction: use Ledger")
	}
	if err := ctx.Err(); err != nil {
		return ledger.Result{}, err
	}
	t := &turn{ctx: ctx, money: &s, db: db, done: make(chan error, 1)}
	if err := db.writer.join(t); err != nil {
		return ledger.Result{}, err
	}
	select {
	case err := <-t.done:
		return t.result, err
	case <-ctx.Done():
		if t.state.CompareAndSwap(waiting, withdrawn) {
			return ledger.Result{}, ctx.Err()
		}
		return t.result, <-t.done
	}
}

// settle runs submissions, each currency's through one Apply, and sets what each came to. An error means that the whole transaction of the
// database has to be given up.
func (w *writer) settle(ts []*turn) error {
	books := make(map[ledger.ID][]*turn, 1)
	var order []ledger.ID
	for _, t := range ts {
		if t.err = t.ctx.Err(); t.err != nil {
			continue
		}
		if books[t.money.Currency] == nil {
			order = append(order, t.money.Currency)
		}
		books[t.money.Currency] = append(books[t.money.Currency], t)
	}
	for _, id := range order {
		if err := w.settleBook(books[id]); err != nil {
			return err
		}
	}
	return nil
}

// rowsOf asks submissions for their rows, on all processors.
func rowsOf(ts []*turn, results []ledger.Result) ([]Rows, error) {
	const share = 8
	made, failed := make([]Rows, len(ts)), make([]error, len(ts)/share+1)
	var wg sync.WaitGroup
	for first := 0; first < len(ts); first += share {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					failed[first/share] = fmt.Errorf("panic in a submission: %v\n%s", p, debug.Stack())
				}
			}()
			for i := first; i < min(first+share, len(ts)); i++ {
				if ts[i].money.Rows != nil {
					made[i] = ts[i].money.Rows(results[i])
				}
			}
		})
	}
	wg.Wait()
	return made, errors.Join(failed...)
}

// settleBook runs the submissions in one currency.
func (w *writer) settleBook(ts []*turn) (err error) {
	ctx, tx := context.Background(), w.handle(ts[0].db)
	defer func() {
		tx.over.Store(true)
		if p := recover(); p != nil {
			tx.Log.Error("panic in a submission", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in a submission: %v", p)
		}
	}()
	groups, asked := make([]ledger.Group, 0, len(ts)), ts[:0:0]
	for _, t := range ts {
		if t.money.Check != nil {
			if t.err = t.money.Check(tx); t.err != nil {
				if !w.live.Load() || spoils(t.err) || tx.dialect == postgresDialect && refused(t.err) {
					return t.err
				}
				continue
			}
		}
		groups, asked = append(groups, t.money.Group), append(asked, t)
	}
	if len(groups) == 0 {
		return nil
	}
	b, err := tx.bookkeeper(ctx)
	var results []ledger.Result
	if err == nil {
		results, err = b.apply(ctx, groups)
	}
	switch {
	case errors.Is(err, ErrFrozen), errors.Is(err, ErrClock): // before anything was written
		if len(asked) == 1 {
			asked[0].err = err
			return nil
		}
		for _, t := range asked { // it may be the affair of one, that names another currency as well
			if err := w.settleBook([]*turn{t}); err != nil {
				return err
			}
		}
		return nil
	case err != nil:
		return err
	}
	var all Rows
	var rest []func(tx *DB) error
	made, err := rowsOf(asked, results)
	if err != nil {
		return err
	}
	for i, t := range asked {
		if t.result = results[i]; t.money.Rows != nil {
			r := made[i]
			all.Activities = append(all.Activities, r.Activities...)
			all.Payments = append(all.Payments, r.Payments...)
			all.Deliveries = append(all.Deliveries, r.Deliveries...)
			all.Acts = append(all.Acts, r.Acts...)
			if r.Then != nil {
				rest = append(rest, r.Then)
			}
		}
	}
	if err := all.store(ctx, tx); err != nil {
		return err
	}
	for _, then := range rest {
		if err := then(tx); err != nil {
			return err
		}
	}
	return nil
}

var (
	insertActivities = newBulk("INSERT INTO activities (id, iri, actor_iri, type, object, digest, local, public, raw, seen_at) VALUES ", 10, " ON CONFLICT (iri, actor_iri, digest) DO NOTHING")
	insertPayments   = newBulk(`INSERT INTO payments (id, iri, uid, currency_id, currency, payer, payee, amount, code, memo, memo_salt, fulfills, body, state, reason, words,
		event, receipt, refund_of, order_id, user_id, second_id, hold, expires_at, ends_at, next_at, tries, owes, created_at, settled_at) VALUES `, paymentColumns, " ON CONFLICT (iri) DO NOTHING")
	insertActs       = newBulk("INSERT INTO acts (id, user_id, actor_id, kind, object, created_at) VALUES ", 6, "")
	insertDeliveries = newBulk("INSERT INTO deliveries (id, activity_id, inbox, host, actor_id, object, lasting, state, attempts, next_at, lease_until, last_status, last_error, created_at) VALUES ", 14, "")
)

const paymentColumns = 30

// store writes the rows, and draws the ids of those that have none.
func (r Rows) store(ctx context.Context, tx *DB) error {
	now := tx.Now().UTC()
	args := make([]any, 0, paymentColumns*max(len(r.Activities), len(r.Payments), len(r.Deliveries)))
	for _, a := range r.Activities {
		if a.ID == 0 {
			a.ID = tx.NewID()
		}
		a.SeenAt = now
		args = append(args, a.ID, a.IRI, a.ActorIRI, a.Type, a.Object, a.Digest, a.Local, a.Public, a.Raw, a.SeenAt)
	}
	if err := insertActivities.exec(ctx, tx, args); err != nil {
		return fmt.Errorf("store activities: %w", err)
	}
	args = args[:0]
	for _, p := range r.Payments {
		if p.ID == 0 {
			p.ID = tx.NewID()
		}
		p.CreatedAt = now
		args = append(args, p.ID, p.IRI, p.UID, p.CurrencyID, p.Currency, p.Payer, p.Payee, int64(p.Amount), p.Code, p.Memo, p.MemoSalt, p.Fulfills, p.Body, p.State, p.Reason,
			p.Words, p.Event, p.Receipt, p.RefundOf, p.OrderID, p.UserID, p.SecondID, p.Hold, p.ExpiresAt, p.EndsAt, p.NextAt, p.Tries, p.Owes, p.CreatedAt, p.SettledAt)
	}
	if err := insertPayments.exec(ctx, tx, args); err != nil {
		return fmt.Errorf("store payments: %w", err)
	}
	args = args[:0]
	for _, d := range r.Deliveries {
		d.ID, d.State, d.CreatedAt, d.NextAt, d.LeaseUntil = tx.NewID(), DeliveryQueued, now, now, now
		args = append(args, d.ID, d.ActivityID, d.Inbox, d.Host, d.ActorID, d.Object, d.Lasting, d.State, d.Attempts, d.NextAt, d.LeaseUntil, d.LastStatus, d.LastError, d.CreatedAt)
	}
	if err := insertDeliveries.exec(ctx, tx, args); err != nil {
		return fmt.Errorf("store deliveries: %w", err)
	}
	args = args[:0]
	for _, a := range r.Acts {
		a.ID, a.CreatedAt = tx.NewID(), now
		args = append(args, a.ID, a.UserID, a.ActorID, a.Kind, a.Object, a.CreatedAt)
	}
	if err := insertActs.exec(ctx, tx, args); err != nil {
		return fmt.Errorf("store acts: %w", err)
	}
	return nil
}

// PaymentByID finds a payment, or ErrNotFound.
func (db *DB) PaymentByID(ctx context.Context, id ID) (*Payment, error) {
	var p Payment
	return &p, db.take(ctx, &p, "id = ?", id)
}

// PaymentByIRI finds a payment by the id of the activity that asked for it, or ErrNotFound.
func (db *DB) PaymentByIRI(ctx context.Context, iri IRI) (*Payment, error) {
	var p Payment
	return &p, db.take(ctx, &p, "iri = ?", iri)
}

// Payments lists the payments from and to an actor ("": of all), newest first, before an id (0: from the newest on).
func (db *DB) Payments(ctx context.Context, actor IRI, before ID, limit int) ([]Payment, error) {
	var ps []Payment
	q := db.q(ctx).Order("id DESC").Limit(limit)
	if actor != "" {
		q = q.Where("payer = ? OR payee = ?", actor, actor)
	}
	if before != 0 {
		q = q.Where("id < ?", before)
	}
	return ps, translate(q.Find(&ps).Error)
}

// WaitingPayments lists the payments of a payer that wait for a second person, oldest first.
func (db *DB) WaitingPayments(ctx context.Context, payer IRI) ([]Payment, error) {
	var ps []Payment
	return ps, translate(db.q(ctx).Where("payer = ? AND state = ?", payer, PaymentWaiting).Order("id").Find(&ps).Error)
}

// PaymentTwin finds the newest payment that moves or holds the same amount between the same two, made after an instant and before the given one; or ErrNotFound.
// Whoever pressed twice wants to know (F03).
func (db *DB) PaymentTwin(ctx context.Context, p *Payment, after time.Time) (*Payment, error) {
	var twin Payment
	q := db.q(ctx).Where("payer = ? AND payee = ? AND currency = ? AND amount = ? AND refund_of IS NULL AND created_at >= ?", p.Payer, p.Payee, p.Currency, p.Amount, after.UTC()).
		Where("state IN ?", []string{PaymentWaiting, PaymentSent, PaymentHeld, PaymentCommitted}).Order("id DESC")
	if p.ID != 0 {
		q = q.Where("id < ?", p.ID)
	}
	return &twin, translate(q.Take(&twin).Error)
}

// Memos are the words of the payments in a currency, by the ledger's id of the transfer.
func (db *DB) Memos(ctx context.Context, c *Currency) (map[ledger.ID]string, error) {
	memos := map[ledger.ID]string{}
	err := db.each(ctx, selectMemos, []any{c.ID}, func(rows *sql.Rows) error {
		var uid sql.RawBytes
		var memo string
		err := rows.Scan(&uid, &memo)
		memos[toID(uid)] = memo
		return err
	})
	return memos, err
}

const selectMemos = "SELECT uid, memo FROM payments WHERE currency_id = ? AND memo <> ''"

// Expire ends at most limit holds of a currency whose time has passed, and says how many. ErrFrozen and ErrClock as from Ledger.
func (db *DB) Expire(ctx context.Context, c *Currency, limit int) (n int, err error) {
	var due int
	err = db.one(ctx, "SELECT count(*) FROM (SELECT 1 FROM transfers WHERE currency_id = ? AND state = 0 AND expires <= ? LIMIT 1) AS d", []any{c.ID, db.Now().UnixNano()}, &due)
	if err != nil || due == 0 {
		return 0, err
	}
	err = db.Transaction(ctx, func(tx *DB) error {
		b, err := tx.bookkeeper(ctx)
		if err != nil {
			return err
		}
		s, err := b.load(ctx, ledger.KeySet{Currencies: []ledger.ID{c.Book.ID}}, nil)
		if err != nil {
			return err
		}
		if err := b.ready(); err != nil {
			return err
		}
		d := ledger.Expire(s, b.at, limit)
		n = len(d.Transfers)
		return b.store(ctx, d)
	})
	return n, err
}

// expired notes on the payments of transfers that ran out, whoever noticed it, what became of them.
func (b *bookkeeper) expired(ctx context.Context, d ledger.Delta) error {
	for i := range d.Transfers {
		t := &d.Transfers[i]
		if t.State != ledger.Expired {
			continue
		}
		if _, err := b.tx.run(ctx, expirePayment, PaymentExpired, time.Unix(0, int64(t.ResolvedAt)).UTC(), t.ID[:], PaymentHeld); err != nil {
			return fmt.Errorf("payment of the transfer %s: %w", t.ID, err)
		}
	}
	return nil
}

const expirePayment = "UPDATE payments SET state = ?, reason = 'expired', owes = TRUE, settled_at = ? WHERE uid = ? AND state = ? AND currency_id <> 0"

// SavePayment adds a payment to the rows of a transaction that asked the ledger itself. ErrConflict when its IRI is taken.
func (db *DB) SavePayment(ctx context.Context, p *Payment) error {
	p.CreatedAt = db.Now().UTC()
	return db.create(ctx, &p.ID, p)
}

// SettlePayment notes what became of a payment; its terms stay.
func (db *DB) SettlePayment(ctx context.Context, p *Payment) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if p.Over() && p.SettledAt == nil {
			now := tx.Now().UTC()
			p.SettledAt = &now
		}
		_, err := tx.run(ctx, `UPDATE payments SET amount = ?, code = ?, memo_salt = ?, body = ?, state = ?, reason = ?, words = ?, event = ?, receipt = ?, order_id = ?, second_id = ?,
			expires_at = ?, ends_at = ?, next_at = ?, tries = ?, owes = ?, settled_at = ? WHERE id = ?`, int64(p.Amount), p.Code, p.MemoSalt, p.Body, p.State, p.Reason, p.Words, p.Event,
			p.Receipt, p.OrderID, p.SecondID, p.ExpiresAt, p.EndsAt, p.NextAt, p.Tries, p.Owes, p.SettledAt, p.ID)
		return err
	})
}

// LockPayment reads a payment and makes others wait who want to change it, until the transaction ends. ErrNotFound.
func (db *DB) LockPayment(ctx context.Context, id ID) (*Payment, error) {
	if db.dialect == postgresDialect {
		if err := db.one(ctx, "SELECT id FROM payments WHERE id = ? FOR UPDATE", []any{id}, new(ID)); err != nil {
			return nil, err
		}
	}
	return db.PaymentByID(ctx, id)
}

// PaymentByEvent finds a payment by its EconomicEvent, or ErrNotFound.
func (db *DB) PaymentByEvent(ctx context.Context, event IRI) (*Payment, error) {
	var p Payment
	return &p, translate(db.q(ctx).Where("event = ? AND event <> ''", event).Take(&p).Error)
}

// PaymentByTransfer finds a payment by the ledger's id of the transfer, or ErrNotFound.
func (db *DB) PaymentByTransfer(ctx context.Context, id ledger.ID) (*Payment, error) {
	var p Payment
	return &p, translate(db.q(ctx).Where("uid = ?", id[:]).Take(&p).Error)
}

// PaymentsDue lists the payments that are to be looked at now, the most urgent first.
func (db *DB) PaymentsDue(ctx context.Context, limit int) ([]Payment, error) {
	var ps []Payment
	return ps, translate(db.q(ctx).Where("next_at IS NOT NULL AND next_at <= ?", db.Now().UTC()).Order("next_at").Limit(limit).Find(&ps).Error)
}

// PaymentsOwed lists the payments that ended by themselves and whose parties have not been told, oldest first.
func (db *DB) PaymentsOwed(ctx context.Context, limit int) ([]Payment, error) {
	var ps []Payment
	return ps, translate(db.q(ctx).Where("owes").Order("id").Limit(limit).Find(&ps).Error)
}

// Refunded sums what was given back of a payment, as far as this node knows.
func (db *DB) Refunded(ctx context.Context, payment ID) (sum ledger.Amount, err error) {
	err = db.one(ctx, "SELECT COALESCE(SUM(amount), 0) FROM payments WHERE refund_of = ? AND state = 'committed'", []any{payment}, &sum)
	return sum, err
}

// OpenPayments lists the payments from and to an actor that wait, are on their way or held, oldest first.
func (db *DB) OpenPayments(ctx context.Context, actor IRI) ([]Payment, error) {
	var ps []Payment
	return ps, translate(db.q(ctx).Where("(payer = ? OR payee = ?) AND state IN ?", actor, actor, []string{PaymentWaiting, PaymentSent, PaymentHeld}).Order("id").Find(&ps).Error)
}

// PostponePayment says when a payment is to be looked at again.
func (db *DB) PostponePayment(ctx context.Context, id ID, at time.Time) error {
	return db.Transaction(ctx, func(tx *DB) error {
		_, err := tx.run(ctx, "UPDATE payments SET next_at = ?, tries = tries + 1 WHERE id = ?", at.UTC(), id)
		return err
	})
}
