package activitypub

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"planet/ledger"
	"planet/storage"
)

// PayOrder is what somebody wants to pay.
type PayOrder struct {
	Currency *Money
	To       *storage.Actor
	Amount   string         // as typed
	Memo     string         // plain text
	Hold     time.Duration  // 0: pay at once; else hold the amount for so long, until the payee takes it or lets it go
	Order    *storage.Order // what is paid with it, once; nil for none
	Fulfills storage.IRI    // likewise, of a request for payment; "" for none
	Dated    time.Time      // the day that people give to it, at most a month back; zero: none. It moves nothing in time
	Lasts    time.Duration  // how long a ledger elsewhere may take to accept it; 0: paymentLife
	Key      string         // of the one who asks: the same order under the same key is done once; "" for none
}

// Times of a payment.
const (
	paymentLife    = 15 * time.Minute   // a ledger may accept it so long, unless it says how long
	maxPaymentLife = 7 * 24 * time.Hour // however long it says
	firstAsk       = 15 * time.Second   // after so long without an answer the ledger is asked for it
	maxAsk         = 12 * time.Hour     // and at last so often
)

// maxMemoRunes and maxKey bound the words of a payment, and a key that makes it safe to ask again.
const (
	maxMemoRunes = 500
	maxKey       = 200
)

// cleanMemo makes plain text of what a payment is for (F56).
func cleanMemo(s string) (string, error) { return cleanWords("memo", s) }

// cleanWords makes plain text of what somebody typed in a field: NFC, on one line, without control characters and without those that turn the direction of
// writing.
func cleanWords(field, s string) (string, error) {
	if len(s) > 64*maxMemoRunes || !utf8.ValidString(s) {
		return "", invalid(field, "at most %d characters of UTF-8", maxMemoRunes)
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == 0x2028, r == 0x2029:
			return ' '
		case unicode.IsControl(r), r == 0x61c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff:
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(norm.NFC.String(s)), " ")
	if utf8.RuneCountInString(s) > maxMemoRunes {
		return "", invalid(field, "at most %d characters, this has %d", maxMemoRunes, utf8.RuneCountInString(s))
	}
	return s, nil
}

// actIRI is the id of an activity that an act is known by: of the actor and her key, so that asking again is asking for the same; or a fresh one. The number
// is the payment's, if it becomes one.
func (n *Node) actIRI(by By, key string) (storage.IRI, storage.ID, error) {
	id := n.DB.NewID()
	if key == "" {
		return storage.IRI(n.Origin + "/activities/" + id.String()), id, nil
	}
	if len(key) > maxKey || !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl) {
		return "", 0, invalid("id", "at most %d bytes of plain text", maxKey)
	}
	return storage.IRI(n.Origin + "/activities/" + ledger.NewID("key", string(by.Actor.IRI), key).String()), id, nil
}

// Pay pays, or holds, as by.Actor: a person as herself, a co-op by its admins, treasurers and cashiers. In a currency of this node the payment is settled when
// Pay returns; a ledger elsewhere answers later, and until then the payment is sent, and nothing is paid. Above the co-op's thresholds it waits for a second person.
// A refusal of a ledger of this node is a *RefusedError, or a *ledger.RefusedError when it is not kept, beside the payment that tells it; one that is kept stays the answer to the
// same key.
func (n *Node) Pay(ctx context.Context, by By, o PayOrder) (*storage.Payment, error) {
	t, err := n.tenderOf(ctx, by, o)
	if err != nil {
		return nil, err
	}
	return n.launch(ctx, by, t)
}

// tenderOf reads what somebody wants to pay.
func (n *Node) tenderOf(ctx context.Context, by By, o PayOrder) (*tender, error) {
	m := o.Currency
	amount, err := ledger.ParseTyped(o.Amount, m.Book.Kind, m.Book.Scale)
	if err != nil {
		return nil, err
	}
	memo, err := cleanMemo(o.Memo)
	if err != nil {
		return nil, err
	}
	iri, number, err := n.actIRI(by, o.Key)
	if err != nil {
		return nil, err
	}
	now := n.Now()
	if o.Lasts == 0 {
		o.Lasts = paymentLife
	}
	switch {
	case o.Hold != 0 && (o.Hold < ledger.MinTimeout || o.Hold > ledger.MaxTimeout):
		return nil, invalid("hold", "between %s and %d days", ledger.MinTimeout, ledger.MaxTimeout/(24*time.Hour))
	case o.Dated.After(now):
		return nil, invalid("dated", "a payment takes place when it is made: one for a later day cannot be ordered ahead") // F11
	case !o.Dated.IsZero() && now.Sub(o.Dated) > ledger.MaxEffectiveAge:
		return nil, invalid("dated", "at most %d days back", ledger.MaxEffectiveAge/(24*time.Hour))
	case o.Lasts < time.Minute || o.Lasts > maxPaymentLife:
		return nil, invalid("lasts", "between a minute and %d days", maxPaymentLife/(24*time.Hour))
	case o.To.DeletedAt != nil:
		return nil, invalid("to", "%s is gone", o.To.Username)
	}
	uid := ledger.NewID("pay", string(iri))
	row := storage.Payment{ID: number, IRI: iri, UID: uid[:], Currency: storage.IRI(m.Book.IRI), Payer: by.Actor.IRI, Payee: o.To.IRI, Amount: amount,
		Code: ledger.Payment.String(), Memo: memo, Fulfills: o.Fulfills, Hold: int64((o.Hold + time.Second - 1) / time.Second)}
	if m.Here != nil {
		row.CurrencyID = m.Here.ID
	}
	if o.Order != nil {
		if err := n.payable(ctx, &row, o.Order, m); err != nil {
			return nil, err
		}
	}
	if by.User != nil {
		row.UserID = by.User.ID
	}
	return &tender{row: row, money: m, payer: by.Actor, payee: o.To, dated: o.Dated, lasts: o.Lasts, act: "pay"}, nil
}

// tender is a payment on its way to a ledger: the row that is to stand for it, the parties as they are known here, and the Offer once it is signed.
type tender struct {
	row          storage.Payment
	money        *Money
	payer, payee *storage.Actor // payee: nil when she cannot be found
	dated        time.Time
	lasts        time.Duration
	act          string           // the right that it takes
	by           *By              // who of this node acts; nil elsewhere
	original     *storage.Payment // that is given back; nil for none
	evidence     *storage.Activity
	code, words  string                     // why it cannot be, before the ledger is asked; "" when nothing speaks against it
	perDay       *ledger.Amount             // the co-op's limit of a day, above which it takes a second person; nil: none
	opens        bool                       // it brings an account of the payee about
	waited       bool                       // its row is there, as it had to wait for a second person
	also         func(tx *storage.DB) error // what is done in the transaction that settles or sends it; optional
}

// launch signs the Offer of a payment of this node and brings it to its ledger, unless it was before or has to wait for a second person.
func (n *Node) launch(ctx context.Context, by By, t *tender) (*storage.Payment, error) {
	t.by = &by
	if old, err := n.DB.PaymentByIRI(ctx, t.row.IRI); err == nil && !t.waited {
		return n.askedBefore(ctx, old, t)
	} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	now := n.Now()
	ends := now.Add(t.lasts).UTC().Truncate(time.Second)
	t.row.EndsAt, t.row.ExpiresAt = &ends, nil
	if t.row.Hold != 0 {
		due := now.Add(time.Duration(t.row.Hold) * time.Second).UTC()
		t.row.ExpiresAt = &due
	}
	var corrects storage.IRI
	if t.original != nil {
		corrects = t.original.Event
	}
	summary := t.payer.Username + " pays " + t.money.Book.Format(int64(t.row.Amount)) + " " + t.money.Book.Code + " to " + t.payee.Username
	keyID, key, err := n.edKey(ctx, t.payer.ID)
	if err != nil {
		return nil, err
	}
	t.evidence, err = n.seal(t.payer, keyID, key, n.paymentOfferToWire(&t.row, t.money.Book, t.money.Keeper, corrects, t.dated, now, summary), shipment{object: t.row.IRI, context: contextValueFlows})
	if err != nil {
		return nil, err
	}
	body, err := bodyOf(t.evidence.Raw)
	if err != nil {
		return nil, err
	}
	t.row.Body = body[:]
	var p *storage.Payment
	if t.money.Here != nil {
		if t.row.Fulfills != "" && t.row.OrderID == 0 { // a request for payment: that of another server is read by the ledger
			if err := n.checkClaim(ctx, t); err != nil {
				return nil, err
			}
		}
		p, err = n.settleHere(ctx, t)
	} else {
		p, err = n.sendPayment(ctx, t)
	}
	if errors.Is(err, errSecond) {
		return n.keepWaiting(ctx, by, t)
	}
	n.Wake()
	return p, err
}

// askedBefore answers who asks for a payment again under the same key: with what came of it, if it is the same.
func (n *Node) askedBefore(ctx context.Context, old *storage.Payment, t *tender) (*storage.Payment, error) {
	r := &t.row
	same := old.Payer == r.Payer && old.Payee == r.Payee && old.Currency == r.Currency && old.Memo == r.Memo && old.Fulfills == r.Fulfills && old.Hold == r.Hold &&
		(old.RefundOf == nil) == (r.RefundOf == nil) && (r.RefundOf == nil || *old.RefundOf == *r.RefundOf) && (old.Amount == r.Amount || old.Hold != 0 && old.Amount < r.Amount)
	if !same {
		return nil, ledger.Result{Code: ledger.ExistsWithDifferent}.Err()
	}
	return old, n.Refused(ctx, old)
}

// PaidUnder finds the payment that by.Actor has asked for under a key, or ErrNotFound.
func (n *Node) PaidUnder(ctx context.Context, by By, key string) (*storage.Payment, error) {
	iri, _, err := n.actIRI(by, key)
	if err != nil {
		return nil, err
	}
	return n.DB.PaymentByIRI(ctx, iri)
}

// Refused is the refusal of a payment as an error; nil when it was not refused.
func (n *Node) Refused(ctx context.Context, p *storage.Payment) error {
	if p.State != storage.PaymentRejected {
		return nil
	}
	if p.CurrencyID != 0 { // the ledger has kept its answer
		if t, err := n.DB.Outcome(ctx, p.Transfer()); err == nil {
			return &RefusedError{p, ledger.Result{Code: ledger.IDAlreadyFailed, Cause: t}}
		} else if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	return &RefusedError{p, ledger.Result{Code: ledger.Malformed}}
}

// RefusedError is a payment that was refused, in the words of its ledger.
type RefusedError struct {
	Payment *storage.Payment
	Result  ledger.Result // of a ledger elsewhere only that it is none
}

func (e *RefusedError) Error() string { return e.Payment.Words }

// Unwrap gives the refusal of a ledger of this node.
func (e *RefusedError) Unwrap() error { return e.Result.Err() }

// payAct is what is recorded of who pays.
func payAct(p *storage.Payment) string {
	switch {
	case p.RefundOf != nil:
		return "refund"
	case p.Hold != 0:
		return "hold"
	default:
		return "pay"
	}
}

// twinWithin is how soon after a payment the same one again looks like a button that was pressed twice.
const twinWithin = time.Minute

// Twin finds a payment like p that was made shortly before it; nil when there is none. Both are good: it is a question for whoever pays (F03).
func (n *Node) Twin(ctx context.Context, p *storage.Payment) (*storage.Payment, error) {
	at := p.CreatedAt
	if at.IsZero() {
		at = n.Now()
	}
	twin, err := n.DB.PaymentTwin(ctx, p, at.Add(-twinWithin))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	return twin, err
}

// payeeOf finds a payment for its payee, with its currency.
func (n *Node) payeeOf(ctx context.Context, by By, id storage.ID) (*storage.Payment, *Money, error) {
	p, err := n.DB.PaymentByID(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if by.Actor.IRI != p.Payee {
		return nil, nil, problem(http.StatusForbidden, "payee", "this is for the payee to do, and that is not %s", by.Actor.Username)
	}
	m, err := n.moneyOf(ctx, n.DB, p)
	return p, m, err
}

// TakePayment completes a payment that is held, as its payee: of the amount as typed, "" for all of it. The rest goes back. When its ledger is elsewhere the payment
// stays held until that has answered.
func (n *Node) TakePayment(ctx context.Context, by By, id storage.ID, typed, key string) (*storage.Payment, error) {
	p, m, err := n.payeeOf(ctx, by, id)
	if err != nil {
		return nil, err
	}
	amount, err := n.optional(m.Book, typed, 0)
	if err != nil {
		return nil, err
	}
	return n.endHold(ctx, by, p, m, "Accept", amount, key)
}

// ReleasePayment lets a payment that is held go, as its payee: the amount is free again for the payer.
func (n *Node) ReleasePayment(ctx context.Context, by By, id storage.ID, key string) (*storage.Payment, error) {
	p, m, err := n.payeeOf(ctx, by, id)
	if err != nil {
		return nil, err
	}
	return n.endHold(ctx, by, p, m, "Reject", 0, key)
}

// endHold says as the payee what becomes of a hold, to its ledger: by an Accept with the amount that is taken, 0 for all of it, or by a Reject.
func (n *Node) endHold(ctx context.Context, by By, p *storage.Payment, m *Money, kind string, amount ledger.Amount, key string) (*storage.Payment, error) {
	iri, _, err := n.actIRI(by, key)
	if err != nil {
		return nil, err
	}
	if err := n.allowed(ctx, n.DB, by, "pay"); err != nil {
		return nil, err
	}
	said, err := n.DB.ActivityByIRI(ctx, iri)
	if errors.Is(err, storage.ErrNotFound) {
		said, err = n.sayEnd(ctx, by, p, m, kind, amount, iri)
	}
	if err != nil {
		return nil, err
	}
	end, err := n.readEnd(said.Raw, p, m.Book)
	if err != nil {
		return nil, err
	}
	if end.taken != (kind == "Accept") || end.object != p.IRI || amount != 0 && end.amount != amount {
		return nil, ledger.Result{Code: ledger.ExistsWithDifferent}.Err()
	}
	if m.Here != nil {
		return n.endHoldHere(ctx, p, m, end, &by, said)
	}
	keeper, err := n.actor(ctx, m.Keeper)
	if err != nil {
		return nil, err
	}
	if p.State != storage.PaymentHeld && p.State != storage.PaymentCommitted {
		return nil, problem(http.StatusConflict, codeNotPending, "the payment is %s: only what is held can be taken or let go", p.State)
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "pay"); err != nil {
			return err
		}
		now, err := tx.LockPayment(ctx, p.ID)
		if err != nil {
			return err
		}
		row := *said
		fresh, err := tx.SaveActivity(ctx, &row)
		if err != nil || !fresh || now.State != storage.PaymentHeld {
			return err
		}
		next := n.Now().Add(firstAsk).UTC()
		if now.NextAt, now.Tries = &next, 0; now.ExpiresAt != nil && now.ExpiresAt.Before(next) {
			now.NextAt = now.ExpiresAt
		}
		if err := tx.SettlePayment(ctx, now); err != nil {
			return err
		}
		ds := n.deliveriesOf(&row, by.Actor, shipment{object: p.IRI, line: lineOf(by.Actor.IRI, "payment", p.IRI), inboxes: []storage.IRI{keeper.Inbox}, lasting: true})
		if err := tx.Enqueue(ctx, ds, storage.SupersedeNone); err != nil {
			return err
		}
		return record(ctx, tx, by, endActs[kind], p.IRI)
	})
	if err != nil {
		return nil, err
	}
	n.Wake()
	return n.DB.PaymentByID(ctx, p.ID)
}

// endActs are what is recorded of who ends a hold.
var endActs = map[string]string{"Accept": "payment.post", "Reject": "payment.void"}

// sayEnd makes the activity by which a payee of this node ends a hold.
func (n *Node) sayEnd(ctx context.Context, by By, p *storage.Payment, m *Money, kind string, amount ledger.Amount, iri storage.IRI) (*storage.Activity, error) {
	w := map[string]any{"id": string(iri), "type": kind, "actor": by.Actor.IRI, "to": []any{m.Keeper}, "object": p.IRI, "published": wireTime(n.Now())}
	if kind == "Accept" {
		taken := *p
		if taken.Event = ""; amount != 0 {
			taken.Amount = amount
		}
		w["result"] = eventToWire(&taken, m.Book, "")
	}
	keyID, key, err := n.edKey(ctx, by.Actor.ID)
	if err != nil {
		return nil, err
	}
	return n.seal(by.Actor, keyID, key, w, shipment{object: p.IRI, context: contextValueFlows})
}

// RefundPayment gives a payment back, as its payee: of the amount as typed, "" for all that is left of it. A refund is a payment of its own; the first one stays.
func (n *Node) RefundPayment(ctx context.Context, by By, id storage.ID, typed, memo, key string) (*storage.Payment, error) {
	p, m, err := n.payeeOf(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if memo, err = cleanMemo(memo); err != nil {
		return nil, err
	}
	iri, number, err := n.actIRI(by, key)
	if err != nil {
		return nil, err
	}
	if p.State != storage.PaymentCommitted {
		return nil, problem(http.StatusConflict, codeRefund, "the payment is %s: only what was paid can be given back", p.State)
	}
	back, err := n.DB.Refunded(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	amount, err := n.optional(m.Book, typed, p.Amount-back)
	if err != nil {
		return nil, err
	}
	if typed == "" {
		if old, err := n.DB.PaymentByIRI(ctx, iri); err == nil {
			amount = old.Amount
		} else if p.RefundOf == nil && amount == 0 {
			return nil, problem(http.StatusConflict, codeRefund, "all of it was given back already")
		}
	}
	payee, err := n.actor(ctx, p.Payer)
	if err != nil {
		return nil, err
	}
	uid := ledger.NewID("pay", string(iri))
	row := storage.Payment{ID: number, IRI: iri, UID: uid[:], CurrencyID: p.CurrencyID, Currency: p.Currency, Payer: p.Payee, Payee: p.Payer, Amount: amount,
		Code: ledger.RefundCode.String(), Memo: memo, RefundOf: &p.ID}
	if by.User != nil {
		row.UserID = by.User.ID
	}
	return n.launch(ctx, by, &tender{row: row, money: m, payer: by.Actor, payee: payee, lasts: paymentLife, act: "pay", original: p})
}

// CancelPayment takes a payment back as its payer, as long as nobody has answered: one that waits for a second person at once, one that was sent if the ledger has not
// accepted it yet.
func (n *Node) CancelPayment(ctx context.Context, by By, id storage.ID) (*storage.Payment, error) {
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		p, err := tx.LockPayment(ctx, id)
		if err != nil {
			return err
		}
		if by.Actor.IRI != p.Payer {
			return problem(http.StatusForbidden, "payer", "this is for the payer to do, and that is not %s", by.Actor.Username)
		}
		if err := n.allowed(ctx, tx, by, "pay"); err != nil {
			return err
		}
		switch p.State {
		case storage.PaymentWaiting:
			p.State, p.Reason, p.Words, p.NextAt = storage.PaymentCancelled, codeCancelled, "The payer has taken it back.", nil
			if err := tx.SettlePayment(ctx, p); err != nil {
				return err
			}
		case storage.PaymentSent:
			m, err := n.moneyOf(ctx, tx, p)
			if err != nil {
				return err
			}
			keeper, err := tx.ActorByIRI(ctx, m.Keeper)
			if err != nil {
				return err
			}
			w := map[string]any{"type": "Undo", "actor": by.Actor.IRI, "to": []any{keeper.IRI}, "published": wireTime(n.Now()),
				"object": map[string]any{"id": p.IRI, "type": "Offer", "actor": p.Payer}}
			if err := n.send(ctx, tx, by.Actor, w, shipment{object: p.IRI, line: lineOf(p.Payer, "payment", p.IRI), inboxes: []storage.IRI{keeper.Inbox}, lasting: true,
				supersede: storage.SupersedeTried}); err != nil { // an Offer that still waits here never has to leave: what the ledger was told to forget it refuses when it comes
				return err
			}
			next := n.Now().Add(firstAsk).UTC()
			p.NextAt, p.Tries = &next, 0
			if err := tx.SettlePayment(ctx, p); err != nil {
				return err
			}
		default:
			return problem(http.StatusConflict, "state", "the payment is %s: it cannot be taken back. Ask the payee to give it back", p.State)
		}
		return record(ctx, tx, by, "payment.cancel", p.IRI)
	})
	if err != nil {
		return nil, err
	}
	n.Wake()
	return n.DB.PaymentByID(ctx, id)
}

// settled does on this node what follows from how a payment stands now: who is told, and the order, the request or the first payment that it is about.
func (n *Node) settled(ctx context.Context, tx *storage.DB, p *storage.Payment, u ledger.Currency) error {
	var sides [2]*storage.Actor
	for i, iri := range []storage.IRI{p.Payer, p.Payee} {
		a, err := tx.ActorByIRI(ctx, iri)
		if err == nil {
			sides[i] = a
		} else if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	return n.settledBetween(ctx, tx, p, u, sides[0], sides[1])
}

// settledBetween is settled for who has just looked at both sides; one of whom nothing is known is nil.
func (n *Node) settledBetween(ctx context.Context, tx *storage.DB, p *storage.Payment, u ledger.Currency, payer, payee *storage.Actor) error {
	over := p.Hold != 0 && p.State != storage.PaymentHeld // a hold has ended, some time after it was made
	if p.State == storage.PaymentCommitted || p.State == storage.PaymentHeld || over && p.State != storage.PaymentRejected {
		if err := n.tellOfPayment(ctx, tx, payee, payer, p, u); err != nil {
			return err
		}
		if err := n.whisperPayment(ctx, tx, payer, payee, p, u); err != nil {
			return err
		}
	}
	if p.CurrencyID == 0 || over { // else who pays here sees at once what comes of it
		if err := n.tellOfPayment(ctx, tx, payer, payee, p, u); err != nil {
			return err
		}
	}
	if p.State != storage.PaymentCommitted {
		return nil
	}
	if p.RefundOf != nil {
		return n.givenBack(ctx, tx, p)
	}
	if err := n.paidRequest(ctx, tx, p); err != nil {
		return err
	}
	return n.paidOrder(ctx, tx, p, u)
}

// holdLoop ends holds whose time has passed.
func (n *Node) holdLoop(ctx context.Context) error {
	return n.every(ctx, "holds whose time has passed", n.ExpireHolds)
}

// paymentLoop looks at payments whose time has come. It asks other servers, and so keeps no hold waiting.
func (n *Node) paymentLoop(ctx context.Context) error {
	return n.every(ctx, "payments whose time has come", n.CheckPayments)
}

// every does something again and again until ctx ends, holdEvery after it was done; what fails is noted.
func (n *Node) every(ctx context.Context, what string, do func(context.Context) error) error {
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			n.Log.Error(what, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(holdEvery):
		}
	}
}
