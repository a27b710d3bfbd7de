package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
)

// applyLedgersWord takes down what a ledger elsewhere says of a payment from or to somebody here. It is the only authority (§6.7): what it says has to be what was asked for.
func (n *Node) applyLedgersWord(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		p, err := n.DB.PaymentByIRI(ctx, act.Object)
		known := err == nil
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, err
		}
		result := act.top.child("result")
		var event eventTerms
		if act.Type != "Reject" {
			if result == nil || len(act.top.list("result")) != 1 {
				return nil, problem(http.StatusBadRequest, "result", "the one event of the payment is not embedded")
			}
			if event, err = readEvent(result); err != nil {
				return nil, err
			}
		}
		currency := event.currency
		if known {
			currency = p.Currency
		} else if act.Type == "Reject" {
			return nothing, nil // of nothing that is known here
		}
		m, err := n.Money(ctx, string(currency))
		if err != nil {
			return nil, retryLater(err)
		}
		refuse := func(why string) error {
			n.count("payment.foul")
			return problem(http.StatusForbidden, "payment", "the answer of the ledger %s", why)
		}
		switch {
		case m.Here != nil || m.Keeper != signer.IRI:
			return nil, refuse("is not by the ledger of this currency")
		case act.top["proof"] != nil && n.proofSigner(ctx, act) == nil:
			return nil, refuse("carries a proof that does not hold")
		}
		if act.Type == "Reject" {
			return n.heardOf(act, signer, m, event, 0), nil
		}
		amount, err := ledger.ParseAmount(event.amount, m.Book.Scale)
		id := storage.IRI(result.str("id"))
		switch {
		case err != nil:
			return nil, refuse("has an amount that cannot be")
		case act.Type == "Accept" && (n.usable(id) == "" || !sameOrigin(string(id), string(signer.IRI)) || result.iri("attributedTo") != signer.IRI):
			return nil, refuse("has no event of its own")
		case !known && (!sameOrigin(string(act.Object), string(event.provider)) || n.isOurs(event.provider)):
			return nil, refuse("is about nothing that its payer has asked for")
		}
		if known {
			original, err := n.corrected(ctx, n.DB, p)
			if err != nil {
				return nil, err
			}
			if event.provider != p.Payer || event.receiver != p.Payee || event.currency != p.Currency || event.fulfills != p.Fulfills || act.Type == "Accept" && event.corrects != original ||
				amount != p.Amount && (p.Hold == 0 || amount > p.Amount || amount <= 0 || act.Type != "Accept") {
				return nil, refuse("is not about what was asked for")
			}
		} else {
			payee, err := n.DB.ActorByIRI(ctx, event.receiver)
			if errors.Is(err, storage.ErrNotFound) || err == nil && (!payee.Local() || payee.DeletedAt != nil) {
				return nothing, nil // it concerns nobody here
			}
			if err != nil {
				return nil, err
			}
			if _, err := n.actor(ctx, event.provider); err != nil {
				return nil, retryLater(err)
			}
			if event.corrects != "" { // without the first one nobody would see that it was given back
				if _, err := n.DB.PaymentByEvent(ctx, event.corrects); errors.Is(err, storage.ErrNotFound) {
					return nil, problem(http.StatusServiceUnavailable, "payment", "the payment that is given back, %s, has not come here yet: send this again in a while", event.corrects)
				} else if err != nil {
					return nil, err
				}
			}
		}
		return n.heardOf(act, signer, m, event, amount), nil
	}
}

// heardOf is what an answer of a ledger elsewhere does, in the transaction that keeps it.
func (n *Node) heardOf(act *Activity, keeper *storage.Actor, m *Money, event eventTerms, amount ledger.Amount) effect {
	return func(ctx context.Context, tx *storage.DB) error {
		now := n.Now().UTC()
		p, err := tx.PaymentByIRI(ctx, act.Object)
		fresh := errors.Is(err, storage.ErrNotFound)
		if fresh {
			if act.Type == "Reject" {
				return nil
			}
			uid := ledger.NewID("pay", string(act.Object))
			memo, _ := act.top.child("result").text("content")
			if memo, err = cleanMemo(clip(plainText(memo), maxMemoRunes)); err != nil {
				memo = ""
			}
			p = &storage.Payment{IRI: act.Object, UID: uid[:], Currency: event.currency, Payer: event.provider, Payee: event.receiver, Amount: amount, Code: ledger.Payment.String(),
				Memo: memo, Fulfills: event.fulfills, State: storage.PaymentSent}
			if event.corrects != "" {
				if first, err := tx.PaymentByEvent(ctx, event.corrects); err == nil && first.Payee == p.Payer && first.Payer == p.Payee {
					p.RefundOf, p.Code = &first.ID, ledger.RefundCode.String()
				} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
					return err
				}
			}
			if until, ok := act.top.time("endTime"); ok && act.Type == "TentativeAccept" {
				p.Hold = max(1, int64(until.Sub(now)/time.Second))
			}
			if err := tx.SavePayment(ctx, p); err != nil {
				return err
			}
		} else if err != nil {
			return err
		} else if p, err = tx.LockPayment(ctx, p.ID); err != nil {
			return err
		}
		final := p.State == storage.PaymentCommitted || p.Over() && p.Reason != codeNoAnswer // what this node concluded alone, the ledger may still correct
		if final || p.State == storage.PaymentHeld && act.Type == "TentativeAccept" {
			return nil
		}
		switch act.Type {
		case "TentativeAccept":
			until, ok := act.top.time("endTime")
			if !ok {
				return problem(http.StatusBadRequest, "endTime", "a hold says by its endTime until when it lasts")
			}
			next := until.UTC().Add(clockGrace)
			until = until.UTC()
			p.State, p.ExpiresAt, p.NextAt, p.Tries = storage.PaymentHeld, &until, &next, 0
		case "Accept":
			if t, ok := act.top.child("result").time("hasPointInTime"); ok && t.Before(now.Add(clockGrace)) {
				t = t.UTC()
				p.SettledAt = &t
			} else {
				p.SettledAt = &now
			}
			p.State, p.Amount, p.Event, p.Reason, p.Words = storage.PaymentCommitted, amount, storage.IRI(act.top.child("result").str("id")), "", ""
			p.NextAt, p.Tries = &now, 0 // for its receipt
		case "Reject":
			p.State, p.NextAt = storage.PaymentRejected, nil
			switch p.Reason = clip(plainText(act.top.str("summary")), 60); p.Reason {
			case codeCancelled:
				p.State = storage.PaymentCancelled
			case codeExpired:
				p.State = storage.PaymentExpired
			case "":
				p.Reason = codeMalformed
			}
			p.SettledAt = &now
			if p.Words = wordsIn(act); p.Words == "" {
				p.Words = "The ledger has refused it (" + p.Reason + ")."
			}
		}
		if err := tx.SettlePayment(ctx, p); err != nil {
			return err
		}
		return n.settled(ctx, tx, p, m.Book)
	}
}

var errSilent = errors.New("its ledger does not answer now")

// paymentBatch is how many payments are looked at in one round.
const paymentBatch = 100

// CheckPayments looks at payments whose time has come: it asks ledgers elsewhere for answers that did not arrive, fetches the proofs of what was paid there, and ends what
// waited for a second person, or as a request for payment, in vain.
func (n *Node) CheckPayments(ctx context.Context) error {
	if err := n.DB.ExpirePaymentRequests(ctx); err != nil {
		return err
	}
	for {
		due, err := n.DB.PaymentsDue(ctx, paymentBatch)
		if err != nil {
			return err
		}
		silent := map[string]bool{} // hosts that do not answer now: none of them is waited for twice
		for i := range due {
			p := &due[i]
			host, err := hostOf(p.Currency), errSilent
			if !silent[host] {
				err = n.checkPayment(ctx, p)
			}
			if err != nil && ctx.Err() == nil { // one that cannot be looked at keeps no other from it
				if fe := (*FetchError)(nil); errors.As(err, &fe) && fe.Temporary {
					silent[host] = true
				}
				n.Log.Warn("a payment whose time has come", "payment", p.ID, "state", p.State, "err", err)
				err = n.DB.PostponePayment(ctx, p.ID, n.Now().Add(min(firstAsk<<min(p.Tries, 20), maxAsk)))
			}
			if err != nil {
				return err
			}
		}
		if len(due) < paymentBatch {
			break
		}
	}
	return nil
}

func (n *Node) checkPayment(ctx context.Context, p *storage.Payment) error {
	switch {
	case p.State == storage.PaymentWaiting:
		return n.endWaiting(ctx, p.ID)
	case p.CurrencyID != 0 || p.Over() && p.State != storage.PaymentCommitted:
		return n.DB.Transaction(ctx, func(tx *storage.DB) error {
			now, err := tx.LockPayment(ctx, p.ID)
			if err != nil {
				return err
			}
			now.NextAt = nil
			return tx.SettlePayment(ctx, now)
		})
	}
	m, err := n.moneyOf(ctx, n.DB, p)
	if err != nil {
		return err
	}
	ours, err := n.ourSide(ctx, p)
	if err != nil {
		return err
	}
	if p.State == storage.PaymentCommitted {
		return n.fetchReceipt(ctx, p, m, ours)
	}
	return n.askLedger(ctx, p, m, ours)
}

// ourSide is the payer or the payee of a payment, whoever is of this node.
func (n *Node) ourSide(ctx context.Context, p *storage.Payment) (*storage.Actor, error) {
	for _, iri := range []storage.IRI{p.Payer, p.Payee} {
		if a, err := n.DB.ActorByIRI(ctx, iri); err == nil && a.Local() {
			return a, nil
		} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, err
		}
	}
	return nil, storage.ErrNotFound
}

// askLedger asks a ledger elsewhere, as the party herself, what became of a payment (§6.6, §6.12). As long as it may accept one that it does not know, the same bytes are
// sent again; when that time is over, one that it does not know was never made.
func (n *Node) askLedger(ctx context.Context, p *storage.Payment, m *Money, ours *storage.Actor) error {
	keeper, err := n.actor(ctx, m.Keeper)
	if err != nil {
		return err
	}
	if err := n.admits(ctx, n.DB, keeper.IRI); err != nil {
		return err
	}
	raw, err := n.Client.FetchDocument(ctx, string(resultIRI(keeper, p.IRI)), n.signGetAs(ours.ID))
	now := n.Now().UTC()
	var fe *FetchError
	if errors.As(err, &fe) && fe.Gone && p.State == storage.PaymentSent {
		over := p.EndsAt != nil && now.After(p.EndsAt.Add(clockGrace))
		return n.DB.Transaction(ctx, func(tx *storage.DB) error {
			p, err := tx.LockPayment(ctx, p.ID)
			if err != nil || p.State != storage.PaymentSent {
				return err
			}
			if over {
				p.State, p.Reason, p.NextAt = storage.PaymentExpired, codeNoAnswer, nil
				p.Words = "The payment did not reach the ledger in time: nothing was paid. Pay again if you still want to."
				if err := tx.SettlePayment(ctx, p); err != nil {
					return err
				}
				return n.settled(ctx, tx, p, m.Book)
			}
			next := now.Add(min(firstAsk<<min(p.Tries, 20), maxAsk))
			if p.EndsAt != nil && now.Before(*p.EndsAt) {
				if next.After(*p.EndsAt) {
					next = p.EndsAt.Add(clockGrace + time.Second)
				}
				if err := n.offerAgain(ctx, tx, p, keeper); err != nil {
					return err
				}
			} else if p.EndsAt != nil {
				next = p.EndsAt.Add(clockGrace + time.Second)
			}
			p.NextAt, p.Tries = &next, p.Tries+1
			return tx.SettlePayment(ctx, p)
		})
	}
	if err != nil {
		return err
	}
	act, err := parseActivity(raw)
	if err != nil {
		return err
	}
	if act.Actor != keeper.IRI || act.Object != p.IRI {
		return problem(http.StatusForbidden, "payment", "%s answers for another payment", keeper.IRI)
	}
	if act.Type == "TentativeAccept" && p.State == storage.PaymentHeld { // it is held still: ask again later
		return n.DB.PostponePayment(ctx, p.ID, now.Add(min(firstAsk<<min(p.Tries, 20), maxAsk)))
	}
	return n.fetched(ctx, act, keeper) // it came from the ledger's own origin
}

// offerAgain sends the Offer of a payment again, byte for byte.
func (n *Node) offerAgain(ctx context.Context, tx *storage.DB, p *storage.Payment, keeper *storage.Actor) error {
	a, err := tx.ActivityByIRI(ctx, p.IRI)
	if err != nil {
		return err
	}
	payer, err := tx.ActorByIRI(ctx, p.Payer)
	if err != nil {
		return err
	}
	return tx.Redeliver(ctx, &storage.Delivery{ActivityID: a.ID, Inbox: keeper.Inbox, Host: hostOf(keeper.Inbox), ActorID: payer.ID, Object: lineOf(payer.IRI, "payment", p.IRI)})
}

// fetchReceipt gets the proof of a payment in a book elsewhere, as the party herself, and keeps it when it holds: the entry is that of this payment, and stands in a log that
// its currency has signed.
func (n *Node) fetchReceipt(ctx context.Context, p *storage.Payment, m *Money, ours *storage.Actor) error {
	if err := n.admits(ctx, n.DB, p.Event); err != nil {
		return err
	}
	res, err := n.Client.Get(ctx, string(p.Event)+"/receipt", "text/plain", n.signGetAs(ours.ID))
	if err != nil {
		return err
	}
	if res.Status != http.StatusOK || !sameOrigin(res.FinalURL, string(m.Keeper)) {
		return fmt.Errorf("the receipt of %s: %d", p.Event, res.Status)
	}
	checkpoint, signed, err := n.checkReceipt(ctx, res.Body, p, m)
	if err != nil {
		return err
	}
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		now, err := tx.LockPayment(ctx, p.ID)
		if err != nil {
			return err
		}
		now.Receipt, now.NextAt = res.Body, nil
		if err := tx.SettlePayment(ctx, now); err != nil {
			return err
		}
		return n.saw(ctx, tx, m.Abroad.IRI, checkpoint, signed)
	})
}

// sendPayment keeps a payment in a currency of another node and sends its Offer to the ledger there.
func (n *Node) sendPayment(ctx context.Context, t *tender) (*storage.Payment, error) {
	keeper, err := n.actor(ctx, t.money.Keeper)
	if err != nil {
		return nil, fmt.Errorf("the ledger of %s: %w", t.money.Name(), err)
	}
	row := t.row
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		row = t.row
		if err := n.notBefore(ctx, tx, t); err != nil {
			return err
		}
		if err := n.allowedAmount(ctx, tx, *t.by, t.act, t.money, row.Amount); err != nil {
			return err
		}
		if err := n.takesSecond(ctx, tx, *t.by, t); err != nil {
			return err
		}
		next := n.Now().Add(firstAsk).UTC()
		row.State, row.NextAt = storage.PaymentSent, &next
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
		ds := n.deliveriesOf(&evidence, t.payer, shipment{object: row.IRI, line: lineOf(t.payer.IRI, "payment", row.IRI), inboxes: []storage.IRI{keeper.Inbox}})
		if err := tx.Enqueue(ctx, ds, storage.SupersedeNone); err != nil {
			return err
		}
		if t.also != nil {
			if err := t.also(tx); err != nil {
				return err
			}
		}
		return record(ctx, tx, *t.by, "payment."+payAct(&row), row.IRI)
	})
	if errors.Is(err, storage.ErrConflict) || errors.Is(err, errRepeated) { // the same key, or the same approval, at the same time
		old, err := n.DB.PaymentByIRI(ctx, row.IRI)
		if err != nil {
			return nil, err
		}
		return n.askedBefore(ctx, old, t)
	}
	if err != nil {
		return nil, err
	}
	return n.DB.PaymentByID(ctx, row.ID)
}

// checkReceipt says whether a proof is that of a payment in a book elsewhere, and returns the checkpoint under which it stands, read and as it was signed.
func (n *Node) checkReceipt(ctx context.Context, file []byte, p *storage.Payment, m *Money) (seen proof.Checkpoint, signed []byte, err error) {
	var v proof.Verified
	verify := func() error {
		key, err := proof.NewVerifier(m.Abroad.Vkey)
		if err == nil {
			v, err = proof.Verify(file, key)
		}
		return err
	}
	err = verify()
	if errors.Is(err, proof.ErrUnsigned) || errors.Is(err, proof.ErrForeign) { // the book may have gone on in another epoch: its key has another name then
		f, e := n.fetchCurrency(ctx, m.Abroad.IRI)
		if e != nil {
			return seen, nil, e
		}
		*m = *moneyAbroad(f)
		err = verify()
	}
	if err != nil {
		return seen, nil, fmt.Errorf("the receipt of %s does not hold: %w", p.Event, err)
	}
	e, err := ledger.ParseEntry(v.Entry())
	if err != nil {
		return seen, nil, fmt.Errorf("the receipt of %s: %w", p.Event, err)
	}
	about := false
	switch c := e.Cmd.(type) {
	case ledger.Pay:
		about = c.ID == p.Transfer() && (p.Body == nil || c.Auth == ledger.Digest(p.Body))
	case ledger.Post:
		about = c.Pending == p.Transfer()
	case ledger.Refund:
		about = c.ID == p.Transfer() && (p.Body == nil || c.Auth == ledger.Digest(p.Body))
	}
	if !about || e.Currency != string(p.Currency) || e.Amount != p.Amount {
		n.count("payment.foul")
		return seen, nil, fmt.Errorf("the receipt of %s is that of something else", p.Event)
	}
	r, err := proof.ParseReceipt(file)
	return v.Checkpoint, r.Checkpoint, err
}

// saw keeps the newest signed checkpoint that was seen of a currency elsewhere. Two of one size with different roots prove that its book was rewritten (F49): the one that was
// there stays, and the other one stands in the receipt.
func (n *Node) saw(ctx context.Context, tx *storage.DB, currency storage.IRI, c proof.Checkpoint, signed []byte) error {
	f, err := tx.ForeignCurrencyByIRI(ctx, currency)
	if err != nil {
		return err
	}
	key, err := proof.NewVerifier(f.Vkey)
	if err != nil {
		return err
	}
	had, _, err := proof.Open([]byte(f.Checkpoint), key)
	switch {
	case err != nil, had.Origin != c.Origin, had.Size < c.Size:
		return tx.SaveCheckpoint(ctx, currency, string(signed))
	case had.Size == c.Size && had.Root != c.Root:
		n.count("currency.forked")
		n.Log.Error("the book of a currency elsewhere was rewritten: two signed checkpoints of one size differ", "currency", currency, "size", c.Size, "had", f.Checkpoint, "has", string(signed))
	}
	return nil
}
