package activitypub

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
)

// Why a ledger refuses a payment: the code of its Reject's summary (docs/payments.md).
const (
	codeNoAccount       = "no_account"
	codeCreditLimit     = "credit_limit"
	codeReceiverLimit   = "receiver_limit"
	codeFrozen          = "account_frozen"
	codeBadAmount       = "bad_amount"
	codeUnknownCurrency = "unknown_currency"
	codeAgreement       = "agreement_mismatch"
	codeIdempotency     = "idempotency_mismatch"
	codeSettled         = "already_settled"
	codeRefund          = "refund_too_large"
	codeNotPending      = "not_pending"
	codeNoAnswer        = "no_answer" // of our own: the ledger knew nothing of it when its time was over
)

// ledgerCodes are the codes on the wire of what the ledger answers; what has none is malformed.
var ledgerCodes = map[ledger.ResultCode]string{
	ledger.ExceedsFloor: codeCreditLimit, ledger.ExceedsCeiling: codeReceiverLimit, ledger.DebitBlocked: codeFrozen, ledger.CreditBlocked: codeFrozen,
	ledger.AccountClosed: codeFrozen, ledger.ExistsWithDifferent: codeIdempotency, ledger.AccountNotFound: codeNoAccount, ledger.DebitAccountNotFound: codeNoAccount,
	ledger.CreditAccountNotFound: codeNoAccount, ledger.TooManyPending: codeLimited, ledger.ExceedsOriginal: codeRefund, ledger.RefundOfRefund: codeRefund,
	ledger.OriginalNotFound: codeRefund, ledger.OriginalNotPosted: codeRefund, ledger.PendingNotFound: codeNotPending, ledger.PendingNotPending: codeNotPending,
	ledger.AlreadyPosted: codeNotPending, ledger.AlreadyVoided: codeNotPending, ledger.TransferExpired: codeNotPending, ledger.AlreadySettled: codeSettled,
	ledger.AmountZero: codeBadAmount, ledger.AmountTooLarge: codeBadAmount, ledger.Overflow: codeBadAmount, ledger.ExceedsPendingAmount: codeBadAmount,
	ledger.CurrencyNotFound: codeUnknownCurrency, ledger.CurrencyMismatch: codeUnknownCurrency, ledger.AccountsMustDiffer: codeAgreement, ledger.IDAborted: codeCancelled,
}

// CodeOf is the code on the wire of what the ledger answered (docs/payments.md).
func CodeOf(r ledger.Result) string {
	if code, ok := ledgerCodes[r.Reason()]; ok {
		return code
	}
	return codeMalformed
}

// refusalWords says why the ledger refused, to the payer: of her own account with its figures, of the payee's no more than that it cannot be.
func refusalWords(r ledger.Result, u ledger.Currency) string {
	switch r.Reason() {
	case ledger.ExceedsFloor:
		if r.Code == ledger.ExceedsFloor && r.Limit == 0 {
			return fmt.Sprintf("You may not owe in %s; this payment would take you to %s. Receive first, or pay less.", u.Code, u.Format(r.Would))
		} else if r.Code == ledger.ExceedsFloor {
			return fmt.Sprintf("Your limit in %s is %s; this payment would take you to %s. Pay less, or ask the co-op of the currency for another limit.", u.Code, u.Format(r.Limit), u.Format(r.Would))
		}
	case ledger.ExceedsCeiling:
		return "The payee can receive less than this at the moment. Pay less, or ask her."
	case ledger.DebitAccountNotFound:
		return fmt.Sprintf("You have no account in %s: ask the co-op of the currency for one.", u.Code)
	case ledger.CreditAccountNotFound:
		return fmt.Sprintf("The payee has no account in %s.", u.Code)
	case ledger.DebitBlocked:
		return "Your account is frozen: ask the co-op of the currency."
	case ledger.CreditBlocked, ledger.AccountClosed:
		return "The account cannot take this payment."
	}
	words := r.Err().Error()
	return strings.ToUpper(words[:1]) + words[1:] + "."
}

// ReceiptOf is the receipt of a payment (C2SP tlog-proof), of a book here or elsewhere. ErrNotFound when there is none (yet).
func (n *Node) ReceiptOf(ctx context.Context, p *storage.Payment) ([]byte, error) {
	if p.CurrencyID == 0 {
		if p.Receipt == nil {
			return nil, storage.ErrNotFound
		}
		return p.Receipt, nil
	}
	c, err := n.DB.CurrencyByID(ctx, p.CurrencyID)
	if err != nil {
		return nil, err
	}
	return n.receiptOf(ctx, p, c)
}

// receiptOf is the proof of the entry that moved a payment of a book of this node.
func (n *Node) receiptOf(ctx context.Context, p *storage.Payment, c *storage.Currency) ([]byte, error) {
	_, moved, err := n.DB.Transfer(ctx, p.Transfer())
	if err != nil {
		return nil, err
	}
	return n.DB.Receipt(ctx, c.Book.ID, moved)
}

// takePayment brings an Offer(EconomicEvent) of somebody elsewhere to the ledger of this node. What is well formed and rightly signed is kept and answered by an
// activity, whatever the answer; an error says that nothing was kept.
func (n *Node) takePayment(ctx context.Context, act *Activity, signer *storage.Actor) error {
	o, err := n.readTransferOrder(act)
	if err != nil {
		return err
	}
	if !n.isOurs(o.currency) && act.top.iri("target") != n.keeper.IRI && !slices.Contains(act.top.iris("to"), n.keeper.IRI) {
		n.count("payment.elsewhere")
		return nil // what somebody asks of another ledger says nothing yet: that ledger tells when there is something
	}
	if n.RateLimit && !n.payers.take(string(signer.IRI), n.Now()) {
		n.count("limited")
		return problem(http.StatusTooManyRequests, "rate-limit", "more payments of %s than this ledger takes at once: send it again in a while", signer.IRI)
	}
	t := &tender{payer: signer, dated: o.dated, act: "pay", money: &Money{Book: ledger.Currency{IRI: string(o.currency)}, Keeper: n.keeper.IRI}}
	if t.code, t.words, err = n.consent(ctx, act, signer); err != nil {
		return err
	}
	uid := ledger.NewID("pay", string(o.iri))
	t.row = storage.Payment{ID: n.DB.NewID(), IRI: o.iri, UID: uid[:], Currency: o.currency, Payer: o.payer, Payee: o.payee, Code: ledger.Payment.String(), Memo: o.memo,
		Fulfills: o.fulfills, Body: o.body[:], EndsAt: &o.ends}
	t.evidence = &storage.Activity{ID: n.DB.NewID(), IRI: act.ID, ActorIRI: act.Actor, Type: act.Type, Object: act.ID, Raw: act.Raw}
	c, err := n.DB.CurrencyByIRI(ctx, o.currency)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		t.refuse(codeUnknownCurrency, "This ledger keeps no such currency: look at its id again.")
	case err != nil:
		return err
	default:
		t.money, t.row.CurrencyID = MoneyHere(c), c.ID
		if err := n.judgePayment(ctx, t, o); err != nil {
			return err
		}
	}
	if _, err = n.settleHere(ctx, t); err != nil {
		if refused := (*RefusedError)(nil); errors.As(err, &refused) {
			n.count("payment.refused")
			err = nil // it is answered
		}
		err = closedNow(err)
	}
	n.Wake()
	return err
}

// closedNow turns a book that cannot be written now into an answer that makes the sender try again.
func closedNow(err error) error {
	if errors.Is(err, storage.ErrFrozen) || errors.Is(err, storage.ErrClock) {
		return problem(http.StatusServiceUnavailable, "frozen", "this currency takes no payments now: send it again later")
	}
	return err
}

// refuse notes why a payment cannot be; the first reason stays.
func (t *tender) refuse(code, words string) {
	if t.code == "" {
		t.code, t.words = code, words
	}
}

// consent checks that the payer herself has signed an Offer (FEP-8b32): the signature of a request is no lasting evidence (F07). One by a key that she has replaced is
// a refusal that is answered (F08); one that is missing or that is somebody else's is a Problem, and nothing is kept (F06).
func (n *Node) consent(ctx context.Context, act *Activity, signer *storage.Actor) (code, words string, err error) {
	if n.proofSigner(ctx, act) != nil {
		return "", "", nil
	}
	method := storage.IRI(act.top.child("proof").str("verificationMethod"))
	key, err := n.DB.KeyByIRI(ctx, method)
	if errors.Is(err, storage.ErrNotFound) {
		return "", "", problem(http.StatusForbidden, "proof", "a payment has to carry an %s proof by a key of its payer that her actor document lists (assertionMethod)", cryptosuite)
	}
	if err != nil {
		return "", "", err
	}
	if key.ActorID == signer.ID && key.RetiredAt != nil {
		return codeForbidden, "The payment is signed by a key that its payer has replaced: sign it anew, under a new id.", nil
	}
	return "", "", problem(http.StatusForbidden, "proof", "the proof of the payment is not by a key of its payer, or does not fit")
}

// judgePayment looks at an order for a payment in a currency of this node before any transaction, and asks other servers where it has to.
func (n *Node) judgePayment(ctx context.Context, t *tender, o *transferOrder) error {
	u, now := t.money.Book, n.Now()
	switch {
	case !now.Before(o.ends):
		t.refuse(codeExpired, "The payment came after its end ("+wireTime(o.ends)+"): nothing was paid. Pay again.")
	case o.published.After(now.Add(clockGrace)):
		t.refuse(codeExpired, "The payment is dated ahead ("+wireTime(o.published)+"): set the clock of its server right, and pay again.") // F11
	}
	amount, err := ledger.ParseAmount(o.amount, u.Scale)
	if err != nil {
		t.refuse(codeBadAmount, fmt.Sprintf("The amount %q cannot be: write it like %s.", clip(o.amount, 40), ledger.FormatAmount(450, u.Scale)))
	}
	t.row.Amount = amount
	if !o.due.IsZero() {
		switch hold := o.due.Sub(now); {
		case hold < ledger.MinTimeout:
			t.refuse(codeExpired, "The hold had ended before it came: nothing is held.")
		case hold > ledger.MaxTimeout:
			t.refuse(codeExpired, fmt.Sprintf("Nothing is held for longer than %d days.", ledger.MaxTimeout/(24*time.Hour)))
		default:
			due := o.due.UTC()
			t.row.Hold, t.row.ExpiresAt = int64((hold+time.Second-1)/time.Second), &due
		}
	}
	if !t.dated.IsZero() && (t.dated.After(now) || now.Sub(t.dated) > ledger.MaxEffectiveAge) {
		t.dated = time.Time{} // F10: booked when it comes
	}
	if t.payee, err = n.actor(ctx, o.payee); err != nil {
		var fe *FetchError
		if _, e := n.DB.Account(ctx, t.money.Here, o.payee); e == nil && errors.As(err, &fe) && fe.Temporary {
			return retryLater(err)
		}
		t.payee = nil // the ledger says whether she has an account
	}
	if o.corrects != "" {
		first, err := n.DB.PaymentByEvent(ctx, o.corrects)
		switch {
		case err != nil && !errors.Is(err, storage.ErrNotFound):
			return err
		case err != nil, first.CurrencyID != t.row.CurrencyID, first.Payee != o.payer && first.Payer != o.payer:
			t.refuse(codeRefund, "There is no such payment to give back.")
		case first.Payee != o.payer:
			t.refuse(codeForbidden, "Only the payee of a payment gives it back.")
		case first.Payer != o.payee:
			t.refuse(codeAgreement, "A payment is given back to who paid it.")
		default:
			t.original, t.row.RefundOf = first, &first.ID
		}
	}
	if t.code == "" && o.fulfills != "" {
		return n.checkClaim(ctx, t)
	}
	return nil
}

// checkClaim looks at what a payment is to fulfil, when that is of another server: the agreement or the request is asked for as the ledger, and has to say what the
// Offer says (§6.5 j). What is of this node is looked at within the transaction: see stillOwed.
func (n *Node) checkClaim(ctx context.Context, t *tender) error {
	iri, fragment, _ := strings.Cut(string(t.row.Fulfills), "#")
	if n.isOurs(storage.IRI(iri)) {
		return nil
	}
	mismatch := func(why string) { t.refuse(codeAgreement, "What is paid for "+why+".") }
	if !sameOrigin(iri, string(t.row.Payee)) && !sameOrigin(iri, string(t.row.Payer)) {
		mismatch("is not of the payee")
		return nil
	}
	if err := n.admits(ctx, n.DB, storage.IRI(iri)); err != nil {
		return err
	}
	raw, err := n.Client.FetchDocument(ctx, iri, n.signGetAs(n.keeper.ID))
	if fe := (*FetchError)(nil); errors.As(err, &fe) && !fe.Temporary {
		mismatch("cannot be read by the ledger")
		return nil
	}
	if err != nil {
		return retryLater(err)
	}
	doc := terms(parseObject(raw))
	author := doc.iri("attributedTo")
	var flow object
	switch {
	case fragment == "reciprocal" && economicKind(doc) == "Agreement":
		if author != t.row.Payee && author != t.row.Payer {
			mismatch("is an agreement of somebody else")
		}
		flow = doc.flow("stipulatesReciprocal")
	case fragment == "primary" && economicKind(doc) == "Proposal" && localName(doc.str("purpose")) == storage.PurposeRequest:
		if author != t.row.Payee {
			mismatch("is asked for by somebody else")
		}
		if !slices.Contains(doc.iris("to"), t.row.Payer) {
			mismatch("is asked of somebody else")
		}
		if flow = doc.flow("publishes"); flow.iri("resourceConformsTo") != t.row.Currency {
			mismatch("is in another currency")
		}
	default:
		mismatch("is neither an agreement nor a request for payment")
		return nil
	}
	number, _ := stringOf(flow.flow("resourceQuantity")["hasNumericalValue"])
	if flow.id() != t.row.Fulfills || !sameAmount(number, t.row.Amount, t.money.Book) {
		mismatch("is another amount than this: read it again, and pay what it says")
	}
	return nil
}

// applyPartysWord is for what the payee of a hold in a book of this node says of it from elsewhere, and for a payer who takes a payment back. What ends a hold has its own
// transaction; one that ended before is answered as it stands.
func (n *Node) applyPartysWord(signer *storage.Actor, id storage.ID) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		p, err := n.DB.PaymentByID(ctx, id)
		if err != nil {
			return nil, err
		}
		if act.Type == "Undo" { // too late, or not yet held: the answer tells
			return func(ctx context.Context, tx *storage.DB) error { return nil }, n.answerPayment(ctx, p, signer)
		}
		if n.proofSigner(ctx, act) == nil {
			return nil, problem(http.StatusForbidden, "proof", "what moves money has to carry an %s proof by a key of its actor", cryptosuite)
		}
		c, err := n.DB.CurrencyByID(ctx, p.CurrencyID)
		if err != nil {
			return nil, err
		}
		end, err := n.readEnd(act.Raw, p, c.Book)
		if err != nil {
			return nil, err
		}
		_, err = n.endHoldHere(ctx, p, MoneyHere(c), end, nil, &storage.Activity{ID: n.DB.NewID(), IRI: act.ID, ActorIRI: act.Actor, Type: act.Type, Object: act.Object, Raw: act.Raw})
		if refused := (*ledger.RefusedError)(nil); errors.As(err, &refused) {
			n.count("payment.refused")
			err = nil
		}
		if err != nil {
			return nil, closedNow(err)
		}
		return nothing, n.answerPayment(ctx, p, signer) // also to what came again: its answer may have been lost
	}
}

// standsFor is the account that a payment names for one of its sides; opened is 0 when she has none.
type standsFor struct {
	id     ledger.ID
	opened ledger.Instant
}

// accountsOf names the accounts of payer and payee for a payment: theirs, or ones that do not exist. An account that was given to somebody else is not
// hers any more (F37).
func (n *Node) accountsOf(ctx context.Context, c *storage.Currency, payer, payee storage.IRI) (debit, credit standsFor, err error) {
	held, err := n.DB.Holdings(ctx, c, payer, payee)
	if err != nil {
		return debit, credit, err
	}
	name := func(owner storage.IRI) (standsFor, error) {
		if h, ok := held[owner]; ok {
			return standsFor{h.Account, h.OpenedAt}, nil
		}
		id := ledger.NewID("account", c.Book.IRI, string(owner))
		_, err := n.DB.OwnerOf(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			return standsFor{id: id}, nil
		}
		return standsFor{id: ledger.NewID("no account", c.Book.IRI, string(owner))}, err
	}
	if debit, err = name(payer); err == nil {
		credit, err = name(payee)
	}
	return debit, credit, err
}

// stillOf says, within the transaction that moves the money, that an account is still its owner's: it may have been given to somebody else (F37).
// One that does not exist is the ledger's affair.
func stillOf(ctx context.Context, tx *storage.DB, owner storage.IRI, account ledger.ID) (exists bool, err error) {
	switch now, err := tx.OwnerOf(ctx, account); {
	case errors.Is(err, storage.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case now != owner:
		return true, problem(http.StatusForbidden, "account", "the account was given to somebody else")
	}
	return true, nil
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
	_, err = stillOf(ctx, tx, p.Payee, t.Credit)
	return err
}

// refusedBefore is a reason not to ask the ledger at all; it is kept and answered as the ledger's own refusals are.
type refusedBefore struct{ code, words string }

func (e *refusedBefore) Error() string { return e.words }

// errRepeated: there is a payment of this id.
var errRepeated = errors.New("this was asked before")

// settleHere brings a payment to a ledger of this node, with its row, the evidence, the answer and who is told: in one transaction (payments.md of the design, §6.5).
// A refusal of somebody of this node is a *RefusedError beside the row; one from elsewhere is answered.
func (n *Node) settleHere(ctx context.Context, t *tender) (*storage.Payment, error) {
	keyID, key, err := n.edKey(ctx, n.keeper.ID)
	if err != nil {
		return nil, err
	}
	if t.code != "" {
		return n.refuse(ctx, t, &refusedBefore{t.code, t.words})
	}
	c, u := t.money.Here, t.money.Book
	payer, payee, err := n.accountsOf(ctx, c, t.payer.IRI, t.row.Payee)
	if err != nil {
		return nil, err
	}
	row := t.row
	if row.Memo != "" {
		row.MemoSalt = make([]byte, 32)
		if _, err := rand.Read(row.MemoSalt); err != nil {
			return nil, err
		}
	}
	var memo ledger.Digest
	if row.Memo != "" {
		var salt [32]byte
		copy(salt[:], row.MemoSalt)
		memo = proof.Commitment(salt, []byte(row.Memo))
	}
	row.Event = n.eventIRI(&row)
	group, err := n.groupOf(t, &row, payer, payee, memo)
	if err != nil {
		return nil, err
	}
	var corrects storage.IRI
	if t.original != nil {
		corrects = t.original.Event
	}
	check := func(tx *storage.DB) error {
		if err := n.notBefore(ctx, tx, t); err != nil {
			return err
		}
		return n.mayPay(ctx, tx, t, payer.id, payee.id)
	}
	var made *storage.Payment // as it was stored; nil when its row was there before
	rows := func(r ledger.Result) storage.Rows {
		out := n.paymentRows(ctx, t, row, r, func(p *storage.Payment, at time.Time) (*storage.Activity, error) {
			return n.seal(n.keeper, keyID, key, n.answerToWire(n.keeper, answer{row.IRI, p, u, corrects}, at), shipment{object: row.IRI, context: contextValueFlows})
		})
		if made = nil; len(out.Payments) == 1 {
			made = out.Payments[0]
		}
		return out
	}
	for again := range 3 {
		res, err := n.DB.Pay(ctx, storage.Submission{Currency: u.ID, Group: group, Check: check, Rows: rows})
		var refused *refusedBefore
		switch {
		case errors.As(err, &refused):
			return n.refuse(ctx, t, refused)
		case errors.Is(err, errRepeated):
			return n.repeated(ctx, t)
		case errors.Is(err, storage.ErrUnknown) && again < 2:
			continue // the same again tells
		case err != nil:
			return nil, err
		}
		if res.Code == ledger.OKExists || res.Code == ledger.ExistsWithDifferent { // it came at the same time, and the other was first
			return n.repeated(ctx, t)
		}
		kept := made
		if kept == nil {
			if kept, err = n.DB.PaymentByIRI(ctx, row.IRI); errors.Is(err, storage.ErrNotFound) && !res.Code.OK() {
				return nil, res.Err()
			}
			if err != nil {
				return nil, err
			}
		}
		if !res.Code.OK() {
			return kept, &RefusedError{kept, res}
		}
		return kept, nil
	}
	return nil, storage.ErrUnknown
}

// groupOf is what a payment asks of a ledger of this node. It says in the row what the ledger calls it.
func (n *Node) groupOf(t *tender, row *storage.Payment, payer, payee standsFor, memo ledger.Digest) (ledger.Group, error) {
	u := t.money.Book
	var auth ledger.Digest
	copy(auth[:], row.Body)
	if t.original != nil {
		row.Code = ledger.RefundCode.String()
		return ledger.Group{ledger.Refund{ID: row.Transfer(), Original: t.original.Transfer(), Amount: row.Amount, Memo: memo, Auth: auth}}, nil
	}
	p := ledger.Pay{ID: row.Transfer(), Currency: u.ID, Debit: payer.id, Credit: payee.id, Amount: row.Amount, Memo: memo, Auth: auth}
	if row.Hold != 0 {
		p.Pending, p.Timeout = true, max(row.ExpiresAt.Sub(n.Now()), ledger.MinTimeout) // the shortest one has grown shorter on its way here
	}
	switch u.Issuer {
	case ledger.ID{}:
	case payer.id:
		p.Code, t.act = ledger.Issue, "issue"
	case payee.id:
		p.Code = ledger.Redeem
	}
	if !t.dated.IsZero() {
		if p.EffectiveAt = ledger.Instant(t.dated.UnixNano()); p.EffectiveAt < max(payer.opened, payee.opened) {
			if t.by != nil {
				return nil, invalid("dated", "one of the accounts was not open then")
			}
			p.EffectiveAt = 0 // what they say of its time is theirs to know: it is booked when it comes (security.md PAY 288)
		}
	}
	if row.Fulfills != "" {
		p.Settles = ledger.NewID("settles", u.IRI, string(row.Payer), string(row.Payee), string(row.Fulfills))
	}
	row.Code = p.Code.String()
	return append(n.onCredit(t.money.Here, payer, payee, t), p), nil
}

// notBefore says, within the transaction that settles or sends a payment, that nobody else did: there is none of this id, or it waits still. Else errRepeated.
func (n *Node) notBefore(ctx context.Context, tx *storage.DB, t *tender) error {
	if t.waited {
		now, err := tx.LockPayment(ctx, t.row.ID)
		if err == nil && now.State != storage.PaymentWaiting {
			err = errRepeated
		}
		return err
	}
	_, err := tx.PaymentByIRI(ctx, t.row.IRI)
	switch {
	case err == nil:
		return errRepeated
	case errors.Is(err, storage.ErrNotFound):
		return nil
	default:
		return err
	}
}

// repeated answers an Offer that came before: the same in the same way, another under its id with a refusal that leaves the first one alone (§6.6).
func (n *Node) repeated(ctx context.Context, t *tender) (*storage.Payment, error) {
	old, err := n.DB.PaymentByIRI(ctx, t.row.IRI)
	if err != nil {
		return nil, err
	}
	if t.by != nil {
		return n.askedBefore(ctx, old, t)
	}
	if string(old.Body) == string(t.row.Body) {
		return old, n.answerPayment(ctx, old, t.payer)
	}
	n.count("payment.other")
	return old, n.DB.Transaction(ctx, func(tx *storage.DB) error {
		other := *t.evidence // both are evidence (F02)
		other.Digest = hex.EncodeToString(t.row.Body)
		if fresh, err := tx.SaveActivity(ctx, &other); err != nil || !fresh {
			return err
		}
		m := map[string]any{"type": "Reject", "actor": n.keeper.IRI, "to": []any{t.payer.IRI}, "object": t.row.IRI, "published": wireTime(n.Now()), "summary": codeIdempotency,
			"content": "This id was used before for another payment, which stays as it is: take a new one."}
		return n.send(ctx, tx, n.keeper, m, shipment{object: t.row.IRI, line: lineOf(n.keeper.IRI, "payment", t.row.IRI), inboxes: []storage.IRI{t.payer.Inbox}, lasting: true, context: contextValueFlows})
	})
}

// answerPayment brings the ledger's answer to somebody elsewhere who asks again.
func (n *Node) answerPayment(ctx context.Context, p *storage.Payment, to *storage.Actor) error {
	if to.Local() {
		return nil
	}
	a, err := n.DB.ActivityByIRI(ctx, resultIRI(n.keeper, p.IRI))
	if errors.Is(err, storage.ErrNotFound) {
		a, err = n.DB.ActivityByIRI(ctx, resultIRI(n.keeper, p.IRI)+"/held")
	}
	if err != nil {
		return err
	}
	return n.DB.Redeliver(ctx, &storage.Delivery{ActivityID: a.ID, Inbox: to.Inbox, Host: hostOf(to.Inbox), ActorID: n.keeper.ID, Object: lineOf(n.keeper.IRI, "payment", p.IRI), Lasting: true})
}

// refuse keeps a refusal that the ledger was not asked for, as durably as its own.
func (n *Node) refuse(ctx context.Context, t *tender, why *refusedBefore) (*storage.Payment, error) {
	row := t.row
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		row = t.row
		row.State, row.Reason, row.Words, row.Event = storage.PaymentRejected, why.code, why.words, ""
		switch why.code { // as the payer's node reads the answer: heardOf
		case codeCancelled:
			row.State = storage.PaymentCancelled
		case codeExpired:
			row.State = storage.PaymentExpired
		}
		now := n.Now().UTC()
		row.SettledAt = &now
		if t.waited {
			if err := tx.SettlePayment(ctx, &row); err != nil {
				return err
			}
		} else if err := tx.SavePayment(ctx, &row); err != nil {
			return err
		}
		evidence := *t.evidence
		if _, err := tx.SaveActivity(ctx, &evidence); err != nil {
			return err
		}
		m := n.answerToWire(n.keeper, answer{row.IRI, &row, t.money.book(), ""}, now)
		if err := n.send(ctx, tx, n.keeper, m, shipment{object: row.IRI, line: lineOf(n.keeper.IRI, "payment", row.IRI), inboxes: []storage.IRI{t.payer.Inbox}, lasting: true, context: contextValueFlows}); err != nil {
			return err
		}
		if t.also != nil {
			return t.also(tx)
		}
		return nil
	})
	if errors.Is(err, storage.ErrConflict) {
		return n.repeated(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	return &row, &RefusedError{&row, ledger.Result{Code: ledger.Malformed}}
}

// mayPay says, within the transaction that moves the money, whether something speaks against a payment that is no affair of the ledger: the rights of who acts here,
// whose the accounts are, blocks, a cancellation that came first, and what was agreed.
func (n *Node) mayPay(ctx context.Context, tx *storage.DB, t *tender, debit, credit ledger.ID) error {
	if t.by != nil {
		if err := n.allowedAmount(ctx, tx, *t.by, t.act, t.money, t.row.Amount); err != nil {
			return err
		}
		if err := n.takesSecond(ctx, tx, *t.by, t); err != nil {
			return err
		}
	}
	holds, err := stillOf(ctx, tx, t.row.Payer, debit)
	if err == nil {
		_, err = stillOf(ctx, tx, t.row.Payee, credit)
	}
	if err == nil && t.original != nil {
		err = payeeStill(ctx, tx, t.original)
	}
	if given := (*Problem)(nil); errors.As(err, &given) && t.by == nil { // F37: refused, and the answer is kept
		return &refusedBefore{codeForbidden, "The account was given to somebody else."}
	}
	if err != nil {
		return err
	}
	if t.by == nil {
		if gone, err := tx.Tombstoned(ctx, t.row.IRI, t.row.Payer); err != nil {
			return err
		} else if gone {
			return &refusedBefore{codeCancelled, "The payment was cancelled before it came."}
		}
	}
	if t.payee != nil && t.payee.Local() && holds { // who has no account is told that alone (security.md PAY 310)
		if t.payee.SuspendedAt != nil || t.payee.DeletedAt != nil {
			return &refusedBefore{codeFrozen, "The account cannot take this payment."}
		}
		if blocked, err := tx.Blocked(ctx, t.payee.ID, t.payer.ID); err != nil {
			return err
		} else if blocked && t.original == nil { // what is given back is taken from anybody
			return &refusedBefore{codeFrozen, "The account cannot take this payment."}
		}
	}
	if t.opens {
		if err := n.mayBring(ctx, tx, t.payer); err != nil {
			return err
		}
	}
	return n.stillOwed(ctx, tx, &t.row, t.money.Book)
}

// paymentRows are what stands beside the ledger's answer to a payment: its row, the evidence, the answer, who is told of it, and who did it. Without an answer that can be
// sealed nothing is stored, not the movement either.
func (n *Node) paymentRows(ctx context.Context, t *tender, row storage.Payment, r ledger.Result, seal func(p *storage.Payment, at time.Time) (*storage.Activity, error)) (rows storage.Rows) {
	p, at := row, time.Unix(0, int64(r.At)).UTC()
	switch {
	case r.Code == ledger.OKExists, r.Code == ledger.ExistsWithDifferent:
		return rows
	case r.Code.OK() && p.Hold != 0:
		p.State = storage.PaymentHeld
	case r.Code.OK():
		p.State, p.SettledAt = storage.PaymentCommitted, &at
	case r.Reason().Durable() || t.by == nil:
		at = n.Now().UTC()
		p.State, p.Reason, p.Words, p.Event, p.SettledAt = storage.PaymentRejected, CodeOf(r), refusalWords(r, t.money.Book), "", &at
	default:
		return rows // nothing that stays: it may be asked again
	}
	said, err := seal(&p, at)
	if err != nil {
		rows.Then = func(*storage.DB) error { return err }
		return rows
	}
	said.ID = n.DB.NewID()
	evidence := *t.evidence
	rows.Activities = []*storage.Activity{&evidence, said}
	inboxes := []storage.IRI{t.payer.Inbox}
	if t.payee != nil && r.Code.OK() && hearsPayments(t.payee) {
		inboxes = append(inboxes, t.payee.Inbox)
	}
	for _, d := range n.deliveriesOf(said, n.keeper, shipment{object: p.IRI, line: lineOf(n.keeper.IRI, "payment", p.IRI), inboxes: inboxes, lasting: true}) {
		rows.Deliveries = append(rows.Deliveries, &d)
	}
	if t.by != nil && r.Code.OK() {
		a := &storage.Act{ActorID: t.by.Actor.ID, Kind: "payment." + payAct(&p), Object: p.IRI}
		if t.by.User != nil {
			a.UserID = t.by.User.ID
		}
		rows.Acts = []*storage.Act{a}
	}
	if t.opens && r.Code.OK() {
		rows.Acts = append(rows.Acts, &storage.Act{ActorID: t.payer.ID, Kind: actNewcomer, Object: p.Payee})
	}
	if !t.waited {
		rows.Payments = []*storage.Payment{&p}
	}
	rows.Then = func(tx *storage.DB) error {
		if t.waited {
			if err := tx.SettlePayment(ctx, &p); err != nil {
				return err
			}
		}
		if t.also != nil {
			if err := t.also(tx); err != nil {
				return err
			}
		}
		if r.Code.OK() {
			if err := n.withinDay(ctx, tx, t, 0); err != nil {
				return err
			}
		}
		return n.settledBetween(ctx, tx, &p, t.money.Book, t.payer, t.payee)
	}
	return rows
}

// holdEnd is what a payee said of a hold.
type holdEnd struct {
	iri    storage.IRI
	object storage.IRI // the Offer
	taken  bool
	amount ledger.Amount // of what is taken
	body   [32]byte
	raw    []byte
}

// readEnd reads what a payee says of a hold: an Accept with what she takes of it, or a Reject.
func (n *Node) readEnd(raw []byte, p *storage.Payment, u ledger.Currency) (*holdEnd, error) {
	act, err := parseActivity(raw)
	if err != nil {
		return nil, err
	}
	e := &holdEnd{iri: act.ID, object: act.Object, taken: act.Type == "Accept", raw: raw}
	if e.body, err = bodyOf(raw); err != nil || !e.taken {
		return e, err
	}
	result := act.top.child("result")
	if result == nil || len(act.top.list("result")) != 1 {
		return nil, problem(http.StatusBadRequest, "result", "say in result how much is taken, as one EconomicEvent")
	}
	terms, err := readEvent(result)
	if err != nil {
		return nil, err
	}
	if terms.provider != p.Payer || terms.receiver != p.Payee || terms.currency != p.Currency {
		return nil, problem(http.StatusForbidden, "result", "it is not about this payment")
	}
	e.amount, err = ledger.ParseAmount(terms.amount, u.Scale)
	if err != nil || e.amount <= 0 {
		return nil, problem(http.StatusUnprocessableEntity, codeBadAmount, "the amount %q cannot be", clip(terms.amount, 40))
	}
	return e, nil
}

// endHoldHere ends a hold in a book of this node, in one transaction with its row, the answer and who is told. A refusal leaves the hold as it is.
func (n *Node) endHoldHere(ctx context.Context, p *storage.Payment, m *Money, end *holdEnd, by *By, evidence *storage.Activity) (*storage.Payment, error) {
	var command ledger.Command = ledger.Void{ID: ledger.NewID("void", string(end.iri)), Pending: p.Transfer(), Auth: end.body}
	kind := endActs["Reject"]
	if end.taken {
		kind, command = endActs["Accept"], ledger.Post{ID: ledger.NewID("post", string(end.iri)), Pending: p.Transfer(), Amount: end.amount, Auth: end.body}
	}
	var res ledger.Result
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if by != nil {
			if err := n.allowed(ctx, tx, *by, "pay"); err != nil {
				return err
			}
		}
		if err := payeeStill(ctx, tx, p); err != nil {
			return err
		}
		results, err := tx.Ledger(ctx, ledger.Group{command})
		if err != nil {
			return err
		}
		row := *evidence
		if _, err := tx.SaveActivity(ctx, &row); err != nil {
			return err
		}
		if res = results[0]; res.Code != ledger.OKCreated {
			return nil // the refusal stays
		}
		now, err := tx.LockPayment(ctx, p.ID)
		if err != nil {
			return err
		}
		at := time.Unix(0, int64(res.At)).UTC()
		now.State, now.Reason, now.Words, now.SettledAt = storage.PaymentCancelled, codeCancelled, "The payee has let it go.", &at
		if end.taken {
			now.State, now.Amount, now.Reason, now.Words = storage.PaymentCommitted, end.amount, "", ""
		}
		if err := tx.SettlePayment(ctx, now); err != nil {
			return err
		}
		if err := n.tellEnd(ctx, tx, now, m.Book); err != nil {
			return err
		}
		if by == nil {
			return nil
		}
		return record(ctx, tx, *by, kind, p.IRI)
	})
	if err != nil {
		return nil, err
	}
	n.Wake()
	kept, err := n.DB.PaymentByID(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	return kept, res.Err()
}

// tellEnd says to both sides how a hold of a book of this node has ended.
func (n *Node) tellEnd(ctx context.Context, tx *storage.DB, p *storage.Payment, u ledger.Currency) error {
	var inboxes []storage.IRI
	for _, iri := range []storage.IRI{p.Payer, p.Payee} {
		a, err := tx.ActorByIRI(ctx, iri)
		if errors.Is(err, storage.ErrNotFound) || err == nil && a.DeletedAt != nil {
			continue
		}
		if err != nil {
			return err
		}
		if iri == p.Payer || hearsPayments(a) {
			inboxes = append(inboxes, a.Inbox)
		}
	}
	m := n.answerToWire(n.keeper, answer{p.IRI, p, u, ""}, n.Now())
	if err := n.send(ctx, tx, n.keeper, m, shipment{object: p.IRI, line: lineOf(n.keeper.IRI, "payment", p.IRI), inboxes: inboxes, lasting: true, context: contextValueFlows}); err != nil {
		return err
	}
	return n.settled(ctx, tx, p, u)
}

// whisperPayment tells a payee in a book of this node, whose server knows no payments, in words what has come of one: as the ledger, so that nobody of the co-op
// reads what its members pay each other.
func (n *Node) whisperPayment(ctx context.Context, tx *storage.DB, payer, payee *storage.Actor, p *storage.Payment, u ledger.Currency) error {
	if p.CurrencyID == 0 || payee == nil || payee.DeletedAt != nil || hearsPayments(payee) {
		return nil
	}
	c, err := tx.CurrencyByID(ctx, p.CurrencyID)
	if err != nil {
		return err
	}
	by := string(p.Payer)
	if payer != nil {
		by = strings.TrimPrefix(payer.Handle(n.Host), "@") // nobody else is mentioned, and told
	}
	amount, words := u.Format(int64(p.Amount))+" "+u.Code, ""
	switch p.State {
	case storage.PaymentCommitted:
		words = by + " has paid you " + amount
	case storage.PaymentHeld:
		words = by + " holds " + amount + " for you until " + p.ExpiresAt.UTC().Format("2 January 2006, 15:04 UTC")
	default:
		words = "What " + by + " held for you, " + amount + ", went back"
	}
	if p.Memo != "" {
		words += ": " + p.Memo
	}
	account, err := tx.Account(ctx, c, p.Payee)
	if err != nil {
		return err
	}
	return n.whisper(ctx, tx, n.keeper, payee, words+". Your account stands at "+u.Format(account.Balance())+" "+u.Code+" ("+u.IRI+").", 0)
}

// holdEvery is how often holds are looked at whose time has passed; whoever touches one sees at once that it has.
const (
	holdEvery = 3 * time.Second
	holdBatch = 500
)

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
	return errors.Join(failed, n.tellExpired(ctx))
}

// tellExpired says to both sides of holds that ran out that they did.
func (n *Node) tellExpired(ctx context.Context) error {
	for {
		owed, err := n.DB.PaymentsOwed(ctx, holdBatch)
		if err != nil || len(owed) == 0 {
			return err
		}
		for i := range owed {
			err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
				p, err := tx.LockPayment(ctx, owed[i].ID)
				if err != nil || !p.Owes {
					return err
				}
				c, err := tx.CurrencyByID(ctx, p.CurrencyID)
				if err != nil {
					return err
				}
				p.Owes, p.Reason, p.Words = false, codeExpired, "The hold has run out."
				if err := tx.SettlePayment(ctx, p); err != nil {
					return err
				}
				return n.tellEnd(ctx, tx, p, c.Book)
			})
			if err != nil {
				return err
			}
		}
		n.Wake()
		if len(owed) < holdBatch {
			return nil
		}
	}
}

// freezeAccountsOf stops the accounts of an actor who leaves for good, here or elsewhere: what she has or owes stays in the books until the co-op decides (F36). What is held
// from or for her is let go, and her payments that wait for a second person are taken back.
func (n *Node) freezeAccountsOf(ctx context.Context, tx *storage.DB, a *storage.Actor) error {
	why := string(a.IRI) + "#delete"
	open, err := tx.OpenPayments(ctx, a.IRI)
	if err != nil {
		return err
	}
	for i := range open {
		p := &open[i]
		switch {
		case p.State == storage.PaymentWaiting && p.Payer == a.IRI:
			p.State, p.Reason, p.Words, p.NextAt = storage.PaymentCancelled, codeCancelled, "The payer has left.", nil
			err = tx.SettlePayment(ctx, p)
		case p.State == storage.PaymentHeld && p.CurrencyID != 0:
			err = n.letGo(ctx, tx, p, why)
		}
		if err != nil {
			return err
		}
	}
	cs, err := tx.Currencies(ctx)
	if err != nil {
		return err
	}
	for _, c := range cs {
		account, err := tx.Account(ctx, c, a.IRI)
		if errors.Is(err, storage.ErrNotFound) || err == nil && (c.Frozen != "" || account.Flags != 0) { // nothing moves in a book that is frozen; and what was decided before stays
			continue
		}
		if err != nil {
			return err
		}
		results, err := tx.Ledger(ctx, ledger.Group{ledger.SetFlags{ID: ledger.NewID("account.flags", why, c.Book.IRI), Account: account.ID, Flags: ledger.NoDebit | ledger.NoCredit, Decision: why}})
		if err != nil {
			return err
		}
		if err := results[0].Err(); err != nil {
			return err
		}
		coop, err := tx.ActorByID(ctx, c.ActorID)
		if err != nil {
			return err
		}
		told, err := n.hearersOf(ctx, tx, coop, a)
		if err != nil {
			return err
		}
		for _, id := range told {
			if err := tx.Notify(ctx, &storage.Notification{ActorID: id, Kind: "account.frozen", FromID: a.ID}); err != nil {
				return err
			}
		}
	}
	return nil
}

// letGo ends a hold in a book of this node of which one side has left, and tells the other.
func (n *Node) letGo(ctx context.Context, tx *storage.DB, p *storage.Payment, why string) error {
	c, err := tx.CurrencyByID(ctx, p.CurrencyID)
	if err != nil || c.Frozen != "" {
		return err
	}
	results, err := tx.Ledger(ctx, ledger.Group{ledger.Void{ID: ledger.NewID("void", why, p.Transfer().String()), Pending: p.Transfer()}})
	if err != nil {
		return err
	}
	if results[0].Code != ledger.OKCreated { // it has run out meanwhile: that is told by itself
		return nil
	}
	p.State, p.Reason, p.Words = storage.PaymentCancelled, codeCancelled, "The other side has left."
	if err := tx.SettlePayment(ctx, p); err != nil {
		return err
	}
	return n.tellEnd(ctx, tx, p, c.Book)
}

// onCredit is the opening of the payee's account that comes with a payment, where the currency's rules let a payment of a member do that (F35); nothing else.
func (n *Node) onCredit(c *storage.Currency, payer, payee standsFor, t *tender) ledger.Group {
	if c.Book.Rules.Open != ledger.OpenOnCredit || payer.opened == 0 || payee.opened != 0 || t.payee == nil {
		return nil
	}
	open := newcomer(c, t.payee)
	if open.Account != payee.id || mayHold(t.payee) != nil {
		return nil // the account that is hers by name was given to somebody else, or she can have none
	}
	t.opens = true
	return ledger.Group{open}
}
