package activitypub

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
)

// PayOrder is what somebody wants to pay.
type PayOrder struct {
	Currency *storage.Currency
	To       *storage.Actor
	Amount   string        // as typed
	Memo     string        // plain text
	Hold     time.Duration // 0: pay at once; else hold the amount for so long, until the payee takes it or lets it go
	Order    storage.IRI   // what is paid with it: the payer pays it to the payee once
	Dated    time.Time     // the day that people give to it, at most a month back; zero: none. It moves nothing in time
	Key      string        // of the one who asks: the same order under the same key is done once; "" for none
}

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

// accountOf names the account of an owner for a payment: hers, or one that does not exist. An account that was given to somebody else is not hers any more (F37).
func (n *Node) accountOf(ctx context.Context, c *storage.Currency, owner *storage.Actor) (ledger.Account, error) {
	a, err := n.DB.Account(ctx, c, owner.IRI)
	if !errors.Is(err, storage.ErrNotFound) {
		return a, err
	}
	id := ledger.NewID("account", c.Book.IRI, string(owner.IRI))
	switch _, err := n.DB.AccountByID(ctx, id); {
	case err == nil:
		id = ledger.NewID("no account", c.Book.IRI, string(owner.IRI))
	case !errors.Is(err, storage.ErrNotFound):
		return a, err
	}
	return ledger.Account{ID: id}, nil
}

// stillOf says, within the transaction that moves the money, that an account is still its owner's: it may have been given to somebody else (F37).
// One that does not exist is the ledger's affair.
func stillOf(ctx context.Context, tx *storage.DB, owner storage.IRI, account ledger.ID) error {
	a, err := tx.AccountByID(ctx, account)
	if err == nil && a.Ref != string(owner) {
		return problem(http.StatusForbidden, "account", "the account was given to somebody else")
	}
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// payeeStill is stillOf for the payee of a transfer that was made.
func payeeStill(ctx context.Context, tx *storage.DB, p *storage.Payment) error {
	t, _, err := tx.Transfer(ctx, p.Transfer())
	if errors.Is(err, storage.ErrNotFound) {
		return nil // the ledger's affair
	}
	if err != nil {
		return err
	}
	return stillOf(ctx, tx, p.Payee, t.Credit)
}

// Pay pays, or holds, as by.Actor: a person as herself, a co-op by its admins, treasurers and cashiers. A refusal of the ledger is a *ledger.RefusedError
// beside the payment that tells it: it is kept, and stays the answer to the same key.
func (n *Node) Pay(ctx context.Context, by By, o PayOrder) (*storage.Payment, error) {
	c := o.Currency
	amount, err := ledger.ParseTyped(o.Amount, c.Book.Kind, c.Book.Scale)
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
	switch {
	case o.Hold != 0 && (o.Hold < ledger.MinTimeout || o.Hold > ledger.MaxTimeout):
		return nil, invalid("hold", "between %s and %d days", ledger.MinTimeout, ledger.MaxTimeout/(24*time.Hour))
	case o.Dated.After(now):
		return nil, invalid("dated", "a payment takes place when it is made: one for a later day cannot be ordered ahead") // F11
	case !o.Dated.IsZero() && now.Sub(o.Dated) > ledger.MaxEffectiveAge:
		return nil, invalid("dated", "at most %d days back", ledger.MaxEffectiveAge/(24*time.Hour))
	case o.To.DeletedAt != nil:
		return nil, invalid("to", "%s is gone", o.To.Username)
	}
	payer, err := n.accountOf(ctx, c, by.Actor)
	if err != nil {
		return nil, err
	}
	payee, err := n.accountOf(ctx, c, o.To)
	if err != nil {
		return nil, err
	}
	p := ledger.Pay{ID: ledger.NewID("pay", string(iri)), Currency: c.Book.ID, Debit: payer.ID, Credit: payee.ID, Amount: amount,
		Pending: o.Hold != 0, Timeout: o.Hold}
	act := "pay"
	switch c.Book.Issuer {
	case ledger.ID{}:
	case payer.ID:
		p.Code, act = ledger.Issue, "issue"
	case payee.ID:
		p.Code = ledger.Redeem
	}
	if !o.Dated.IsZero() {
		if p.EffectiveAt = ledger.Instant(o.Dated.UnixNano()); p.EffectiveAt < max(payer.OpenedAt, payee.OpenedAt) {
			return nil, invalid("dated", "one of the accounts was not open then")
		}
	}
	if o.Order != "" {
		if len(o.Order) > ledger.MaxText {
			return nil, invalid("order", "at most %d bytes", ledger.MaxText)
		}
		p.Settles = ledger.NewID("settles", c.Book.IRI, string(by.Actor.IRI), string(o.To.IRI), string(o.Order))
	}
	row := storage.Payment{ID: number, IRI: iri, UID: p.ID[:], CurrencyID: c.ID, Payer: by.Actor.IRI, Payee: o.To.IRI, Amount: amount, Code: p.Code.String(), Memo: memo}
	owners := func(tx *storage.DB) error {
		if err := stillOf(ctx, tx, by.Actor.IRI, p.Debit); err != nil {
			return err
		}
		return stillOf(ctx, tx, o.To.IRI, p.Credit)
	}
	return n.submit(ctx, by, c, row, act, owners, func(memo ledger.Digest) ledger.Command {
		p.Memo = memo
		return p
	}, o.Hold)
}

// submit hands a payment to the ledger, with its row and the record of who did it. owners checks, in its transaction, whose the accounts are; command makes
// the ledger's command around the commitment to the words.
func (n *Node) submit(ctx context.Context, by By, c *storage.Currency, row storage.Payment, act string, owners func(tx *storage.DB) error, command func(memo ledger.Digest) ledger.Command, hold time.Duration) (*storage.Payment, error) {
	if by.User != nil {
		row.UserID = by.User.ID
	}
	for again := range 3 {
		old, err := n.DB.PaymentByIRI(ctx, row.IRI)
		switch {
		case err == nil:
			row.MemoSalt = old.MemoSalt // asked before: the same words under the same salt are the same command
		case !errors.Is(err, storage.ErrNotFound):
			return nil, err
		case row.Memo != "":
			row.MemoSalt = make([]byte, 32)
			if _, err := rand.Read(row.MemoSalt); err != nil {
				return nil, err
			}
		}
		var digest ledger.Digest
		if row.Memo != "" {
			var salt [32]byte
			copy(salt[:], row.MemoSalt)
			digest = proof.Commitment(salt, []byte(row.Memo))
		}
		res, err := n.DB.Pay(ctx, storage.Submission{Currency: c.Book.ID, Group: ledger.Group{command(digest)},
			Check: func(tx *storage.DB) error {
				if err := n.allowedAmount(ctx, tx, by, act, c, row.Amount); err != nil {
					return err
				}
				return owners(tx)
			},
			Rows: func(r ledger.Result) storage.Rows { return paymentRows(by, row, r, hold) }})
		known := old.IRI != ""
		switch {
		case errors.Is(err, storage.ErrUnknown) && again < 2:
			continue // the same again tells
		case err != nil:
			return nil, err
		case res.Code == ledger.ExistsWithDifferent && !known && again < 2:
			if _, err := n.DB.PaymentByIRI(ctx, row.IRI); err == nil {
				continue // the same was asked for at the same time, and came first with its own salt
			}
		}
		kept, err := n.DB.PaymentByIRI(ctx, row.IRI)
		switch {
		case res.Code == ledger.ExistsWithDifferent, errors.Is(err, storage.ErrNotFound) && !res.Code.OK():
			return nil, res.Err()
		case err != nil:
			return nil, err
		}
		return kept, res.Err()
	}
	return nil, storage.ErrUnknown
}

// paymentRows are what stands beside the ledger's answer.
func paymentRows(by By, row storage.Payment, r ledger.Result, hold time.Duration) storage.Rows {
	p, at := row, time.Unix(0, int64(r.At)).UTC()
	switch {
	case r.Code.OK() && hold != 0:
		ends := at.Add(hold)
		p.State, p.ExpiresAt = storage.PaymentHeld, &ends
	case r.Code.OK():
		p.State, p.SettledAt = storage.PaymentCommitted, &at
	case r.Reason().Durable():
		p.State, p.Reason = storage.PaymentRejected, r.Reason().String()
	default:
		return storage.Rows{} // nothing that stays: it may be asked again
	}
	rows := storage.Rows{Payments: []*storage.Payment{&p}}
	if r.Code == ledger.OKCreated {
		kind := "payment.pay"
		switch {
		case p.RefundOf != nil:
			kind = "payment.refund"
		case hold != 0:
			kind = "payment.hold"
		}
		a := &storage.Act{ActorID: by.Actor.ID, Kind: kind, Object: p.IRI}
		if by.User != nil {
			a.UserID = by.User.ID
		}
		rows.Acts = []*storage.Act{a}
	}
	return rows
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

// payeeOf finds a payment for its payee.
func (n *Node) payeeOf(ctx context.Context, by By, id storage.ID) (*storage.Payment, *storage.Currency, error) {
	p, err := n.DB.PaymentByID(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if by.Actor.IRI != p.Payee {
		return nil, nil, problem(http.StatusForbidden, "payee", "this is for the payee to do, and that is not %s", by.Actor.Username)
	}
	c, err := n.DB.CurrencyByID(ctx, p.CurrencyID)
	return p, c, err
}

// TakePayment completes a payment that is held, as its payee: of the amount as typed, "" for all of it. The rest goes back.
func (n *Node) TakePayment(ctx context.Context, by By, id storage.ID, typed, key string) (*storage.Payment, error) {
	p, c, err := n.payeeOf(ctx, by, id)
	if err != nil {
		return nil, err
	}
	amount, err := n.optional(c.Book, typed, ledger.All)
	if err != nil {
		return nil, err
	}
	iri, _, err := n.actIRI(by, key)
	if err != nil {
		return nil, err
	}
	return n.endHold(ctx, by, p, "payment.post", ledger.Post{ID: ledger.NewID("post", string(iri)), Pending: p.Transfer(), Amount: amount})
}

// ReleasePayment lets a payment that is held go, as its payee: the amount is free again for the payer.
func (n *Node) ReleasePayment(ctx context.Context, by By, id storage.ID, key string) (*storage.Payment, error) {
	p, _, err := n.payeeOf(ctx, by, id)
	if err != nil {
		return nil, err
	}
	iri, _, err := n.actIRI(by, key)
	if err != nil {
		return nil, err
	}
	return n.endHold(ctx, by, p, "payment.void", ledger.Void{ID: ledger.NewID("void", string(iri)), Pending: p.Transfer()})
}

func (n *Node) endHold(ctx context.Context, by By, p *storage.Payment, kind string, command ledger.Command) (*storage.Payment, error) {
	var res ledger.Result
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "pay"); err != nil {
			return err
		}
		if err := payeeStill(ctx, tx, p); err != nil {
			return err
		}
		results, err := tx.Ledger(ctx, ledger.Group{command})
		if err != nil {
			return err
		}
		if res = results[0]; res.Code != ledger.OKCreated {
			return nil // the refusal stays
		}
		t, _, err := tx.Transfer(ctx, p.Transfer())
		if err != nil {
			return err
		}
		now := *p
		now.State = storage.PaymentCancelled
		if t.State == ledger.Posted {
			now.State, now.Amount = storage.PaymentCommitted, t.Posted
		}
		if err := tx.SettlePayment(ctx, &now); err != nil {
			return err
		}
		return record(ctx, tx, by, kind, p.IRI)
	})
	if err != nil {
		return nil, err
	}
	kept, err := n.DB.PaymentByID(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	return kept, res.Err()
}

// RefundPayment gives a payment back, as its payee: of the amount as typed, "" for all that is left of it. A refund is a payment of its own; the first one stays.
func (n *Node) RefundPayment(ctx context.Context, by By, id storage.ID, typed, memo, key string) (*storage.Payment, error) {
	p, c, err := n.payeeOf(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if memo, err = cleanMemo(memo); err != nil {
		return nil, err
	}
	amount, err := n.optional(c.Book, typed, ledger.All)
	if err != nil {
		return nil, err
	}
	iri, number, err := n.actIRI(by, key)
	if err != nil {
		return nil, err
	}
	f := ledger.Refund{ID: ledger.NewID("pay", string(iri)), Original: p.Transfer(), Amount: amount}
	row := storage.Payment{ID: number, IRI: iri, UID: f.ID[:], CurrencyID: c.ID, Payer: p.Payee, Payee: p.Payer, Amount: amount, Code: ledger.RefundCode.String(), Memo: memo, RefundOf: &p.ID}
	if typed == "" { // what is left is known to the ledger alone; a row says what people would read now
		t, _, err := n.DB.Transfer(ctx, p.Transfer())
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, err
		}
		row.Amount = t.Posted - t.Refunded
		if old, err := n.DB.PaymentByIRI(ctx, iri); err == nil {
			row.Amount = old.Amount
		}
		if row.Amount > 0 {
			f.Amount = row.Amount
		}
	}
	owners := func(tx *storage.DB) error { return payeeStill(ctx, tx, p) }
	return n.submit(ctx, by, c, row, "pay", owners, func(memo ledger.Digest) ledger.Command {
		f.Memo = memo
		return f
	}, 0)
}

// holdEvery is how often holds are looked at whose time has passed; whoever touches one sees at once that it has.
const (
	holdEvery = 3 * time.Second
	holdBatch = 500
)

// holdLoop ends holds whose time has passed.
func (n *Node) holdLoop(ctx context.Context) error {
	for {
		if err := n.ExpireHolds(ctx); err != nil && ctx.Err() == nil {
			n.Log.Error("holds whose time has passed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(holdEvery):
		}
	}
}

// ExpireHolds ends all holds whose time has passed, in every currency that may be written.
func (n *Node) ExpireHolds(ctx context.Context) error {
	cs, err := n.DB.Currencies(ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, c := range cs {
		if c.Frozen != "" {
			continue
		}
		for count := holdBatch; count == holdBatch; {
			if count, err = n.DB.Expire(ctx, c, holdBatch); err != nil && !errors.Is(err, storage.ErrFrozen) {
				failed = errors.Join(failed, err)
			}
		}
	}
	return failed
}
