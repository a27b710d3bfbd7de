package activitypub_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"planet/activitypub"
	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
)

func TestAHoldIsTakenLetGoOrRunsOut(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	hold := func(amount string) *storage.Payment {
		t.Helper()
		o := b.order(cleo, amount)
		o.Hold = time.Hour
		p, err := b.Pay(ctx, bo, o)
		b.must(err)
		if p.State != storage.PaymentHeld || p.ExpiresAt == nil || !p.ExpiresAt.Equal(b.Clock().Add(time.Hour)) && p.ExpiresAt.Sub(b.Clock().Add(time.Hour)).Abs() > time.Millisecond {
			t.Fatalf("got %+v, want a hold of an hour", p)
		}
		return p
	}
	a := hold("10")
	if _, err := b.Pay(ctx, bo, b.order(b.coop, "90.01")); err == nil {
		t.Error("what is held was spent again")
	}
	taken, err := b.TakePayment(ctx, cleo, a.ID, "7.50", "")
	b.must(err)
	if taken.State != storage.PaymentCommitted || taken.Amount != 750 || taken.SettledAt == nil {
		t.Errorf("got %+v", taken)
	}
	b.wantBalance(cleo, "7.50")
	_, err = b.TakePayment(ctx, cleo, a.ID, "", "")
	wantRefused(t, err, ledger.AlreadyPosted)
	_, err = b.ReleasePayment(ctx, cleo, a.ID, "")
	wantRefused(t, err, ledger.AlreadyPosted)

	c := hold("10")
	_, err = b.TakePayment(ctx, cleo, c.ID, "10.01", "")
	wantRefused(t, err, ledger.ExceedsPendingAmount)
	b.net.Sleep(time.Hour + time.Millisecond)
	_, err = b.TakePayment(ctx, cleo, c.ID, "", "") // nobody has swept yet
	wantRefused(t, err, ledger.TransferExpired)
	d := hold("10")
	b.net.Sleep(2 * time.Hour)
	b.must(b.ExpireHolds(ctx))
	for _, id := range []storage.ID{c.ID, d.ID} {
		p, err := b.DB.PaymentByID(ctx, id)
		b.must(err)
		if p.State != storage.PaymentExpired || p.SettledAt == nil {
			t.Errorf("got %+v, want it expired", p)
		}
	}
	b.wantBalance(bo, "-7.50")
	b.audit()
}

func TestF28APayeeLetsAHoldGo(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	o := b.order(cleo, "10")
	o.Hold = time.Hour
	p, err := b.Pay(ctx, bo, o)
	b.must(err)
	for _, who := range []activitypub.By{bo, b.coop} { // the one who pays has promised
		_, err := b.ReleasePayment(ctx, who, p.ID, "")
		wantProblem(t, err, "payee")
		_, err = b.TakePayment(ctx, who, p.ID, "", "")
		wantProblem(t, err, "payee")
		_, err = b.RefundPayment(ctx, who, p.ID, "", "", "")
		wantProblem(t, err, "payee")
	}
	p, err = b.ReleasePayment(ctx, cleo, p.ID, "no")
	b.must(err)
	if p.State != storage.PaymentCancelled {
		t.Errorf("got %s", p.State)
	}
	if again, err := b.ReleasePayment(ctx, cleo, p.ID, "no"); err != nil || again.State != storage.PaymentCancelled {
		t.Errorf("the same again: got %+v, %v", again, err)
	}
	b.wantBalance(bo, "0.00")
}

func TestF03TheSameAgainIsAskedAbout(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	twin := func(p *storage.Payment) storage.ID {
		t.Helper()
		q, err := b.Twin(ctx, p)
		b.must(err)
		if q == nil {
			return 0
		}
		return q.ID
	}
	first := b.pay(bo, cleo, "3")
	if got := twin(first); got != 0 {
		t.Errorf("the first payment has a twin %s", got)
	}
	for name, p := range map[string]*storage.Payment{"another amount": b.pay(bo, cleo, "3.01"), "the other way": b.pay(cleo, bo, "3"), "somebody else": b.pay(bo, b.coop, "3")} {
		if twin(p) != 0 {
			t.Errorf("%s has a twin", name)
		}
	}
	b.net.Sleep(59 * time.Second)
	second := b.pay(bo, cleo, "3.00") // both are good: it is a question
	if got := twin(second); got != first.ID {
		t.Errorf("got the twin %s, want %s", got, first.ID)
	}
	if got := twin(&storage.Payment{Payer: bo.Actor.IRI, Payee: cleo.Actor.IRI, Currency: storage.IRI(b.currency.Book.IRI), Amount: 300}); got != second.ID {
		t.Errorf("before it is made: got the twin %s, want %s", got, second.ID)
	}
	b.net.Sleep(61 * time.Second)
	if got := twin(b.pay(bo, cleo, "3")); got != 0 {
		t.Errorf("a minute later: got the twin %s", got)
	}
}

func TestAKeyMakesARetrySafe(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	o := b.order(cleo, "3")
	o.Key, o.Memo = "monday", "bread, and a word"
	var wg sync.WaitGroup
	ids := make([]storage.ID, 20)
	for i := range ids {
		wg.Add(1)
		go func() { // all at once, each with a salt of its own for the words
			defer wg.Done()
			p, err := b.Pay(ctx, bo, o)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = p.ID
		}()
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("one key made the payments %v", ids)
		}
	}
	b.wantBalance(cleo, "3.00")
	for name, change := range map[string]func(*activitypub.PayOrder){
		"another amount": func(o *activitypub.PayOrder) { o.Amount = "4" },
		"other words":    func(o *activitypub.PayOrder) { o.Memo = "cake" },
		"no words":       func(o *activitypub.PayOrder) { o.Memo = "" },
		"somebody else":  func(o *activitypub.PayOrder) { o.To = b.coop.Actor },
		"a hold":         func(o *activitypub.PayOrder) { o.Hold = time.Hour },
	} {
		other := o
		change(&other)
		if _, err := b.Pay(ctx, bo, other); err == nil {
			t.Errorf("%s under the same key was paid", name)
		} else {
			wantRefused(t, err, ledger.ExistsWithDifferent)
		}
	}
	if p, err := b.Pay(ctx, cleo, activitypub.PayOrder{Currency: o.Currency, To: bo.Actor, Amount: "1", Key: "monday"}); err != nil || p.ID == ids[0] {
		t.Errorf("another's key: got %+v, %v", p, err)
	}
	// A refusal stays the answer, whatever changed meanwhile.
	big := b.order(cleo, "99")
	big.Key = "big"
	p, err := b.Pay(ctx, bo, big)
	wantRefused(t, err, ledger.ExceedsFloor)
	if p == nil || p.State != storage.PaymentRejected || p.Reason != "credit_limit" {
		t.Errorf("got %+v", p)
	}
	b.pay(cleo, bo, "2") // now there would be enough
	again, err := b.Pay(ctx, bo, big)
	wantRefused(t, err, ledger.ExceedsFloor)
	if again == nil || p == nil || again.ID != p.ID {
		t.Errorf("got %+v, want the same refusal", again)
	}
	if v := b.audit(); v.Transfers != 3 {
		t.Errorf("%d transfers, want 3", v.Transfers)
	}
}

func TestF11APaymentForLaterIsNone(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	b.net.Sleep(60 * 24 * time.Hour)
	for _, d := range []time.Duration{time.Second, 24 * time.Hour, 1000 * 24 * time.Hour} {
		o := b.order(b.people["cleo"], "1")
		o.Dated = b.Clock().Add(d)
		_, err := b.Pay(t.Context(), b.people["bo"], o)
		wantInvalid(t, err, "dated")
	}
	o := b.order(b.people["cleo"], "1")
	o.Dated = b.Clock().Add(-31 * 24 * time.Hour)
	_, err := b.Pay(t.Context(), b.people["bo"], o)
	wantInvalid(t, err, "dated")
	o.Dated = b.Clock().Add(-3 * 24 * time.Hour)
	p, err := b.Pay(t.Context(), b.people["bo"], o)
	b.must(err)
	transfer, _, err := b.DB.Transfer(t.Context(), p.Transfer())
	b.must(err)
	if at := time.Unix(0, int64(transfer.At)); b.Clock().Sub(at).Abs() > time.Second {
		t.Errorf("it took place at %s: a day that is written on it moves nothing", at)
	}
	if v := b.audit(); v.Transfers != 1 {
		t.Errorf("%d transfers, want 1", v.Transfers)
	}
}

func TestF74AmountsHaveOneFormWhereverPeopleLive(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	bo, cleo := b.people["bo"], b.people["cleo"]
	for _, typed := range []string{"1,000", "1.000,00", "1 000", "1\u00a0000", "1\u202f000", "1'000", "1,5", "1٫5", "１２", "١٢", "€3", "3 €", "3.00 GRN", "+3", "-3", "−3", "3-", "(3)", "1e1", "0x10",
		"01", "1.", ".5", "1.005", "1..0", "1.0.0", " 3", "3 ", "", "NaN", "Inf", "½", "3\n", "3\x00", "1:30", "99999999999999999999"} {
		_, err := b.Pay(t.Context(), bo, b.order(cleo, typed))
		var a *ledger.AmountError
		if !errors.As(err, &a) || !strings.Contains(err.Error(), "want digits with at most 2 after a point") {
			t.Errorf("%q: got %v, want it refused with the form that is allowed", typed, err)
		}
	}
	b.wantBalance(bo, "0.00")
	for typed, want := range map[string]string{"3": "3.00", "0.5": "0.50", "0.05": "0.05", "12.34": "12.34"} {
		if got := b.currency.Book.Format(int64(b.pay(bo, cleo, typed).Amount)); got != want {
			t.Errorf("%q: got %s, want %s", typed, got, want)
		}
	}
}

func TestF56WordsStayWordsAndAreCommittedTo(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	for in, want := range map[string]string{
		"2 loaves":                                      "2 loaves",
		"  two\n lines\ttab ":                           "two lines tab",
		"cafe\u0301":                                    "café",
		"<b>bold</b> & \"quoted\"; it's":                "<b>bold</b> & \"quoted\"; it's",
		"evil\u202egnp.exe\u2066x\u2069\u200f":          "evilgnp.exex",
		"bell\x07 nul\x00 esc\x1b[31m del\x7f c1\u0085": "bell nul esc[31m del c1",
		"\ufeffmark":                                    "mark",
		"👩\u200d🍳 baker":                                "👩\u200d🍳 baker",
		strings.Repeat("é", 500):                        strings.Repeat("é", 500),
		strings.Repeat("e\u0301", 500):                  strings.Repeat("é", 500),
		" \n ":                                          "",
	} {
		o := b.order(cleo, "0.01")
		o.Memo = in
		p, err := b.Pay(ctx, bo, o)
		b.must(err)
		if p.Memo != want {
			t.Errorf("%.60q: got %.60q, want %.60q", in, p.Memo, want)
		}
		if want == "" {
			continue
		}
		_, seq, err := b.DB.Transfer(ctx, p.Transfer())
		b.must(err)
		b.must(b.DB.EachEntry(ctx, b.fresh(), seq, func(e ledger.Entry, _ bool) error {
			if pay, ok := e.Cmd.(ledger.Pay); ok && e.Seq == seq && pay.Memo != ledger.Digest(proof.Commitment([32]byte(p.MemoSalt), []byte(p.Memo))) {
				t.Errorf("%.60q: the book commits to something else", in)
			}
			return nil
		}))
	}
	for name, in := range map[string]string{"long": strings.Repeat("é", 501), "huge": strings.Repeat("x", 10<<20), "broken": "a\xff"} {
		o := b.order(cleo, "0.01")
		o.Memo = in
		_, err := b.Pay(ctx, bo, o)
		wantInvalid(t, err, "memo")
		if !utf8.ValidString(err.Error()) || len(err.Error()) > 200 {
			t.Errorf("%s: got the answer %.300q", name, err)
		}
	}
}

func TestF42WhatIsPaidWithAnOrderIsPaidOnce(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	offer, err := b.PublishOffer(ctx, cleo, activitypub.OfferDraft{Title: "Loaf", Price: "3.00", Currency: "GRN", AutoAccept: true})
	b.must(err)
	ordered, err := b.PlaceOrder(ctx, bo, activitypub.OrderDraft{Offer: offer})
	b.must(err)
	o := b.order(cleo, "3")
	o.Order, o.Hold = ordered, time.Hour
	p, err := b.Pay(ctx, bo, o)
	b.must(err)
	o.Hold = 0
	_, err = b.Pay(ctx, bo, o)
	wantRefused(t, err, ledger.AlreadySettled)
	_, err = b.ReleasePayment(ctx, cleo, p.ID, "")
	b.must(err)
	_, err = b.Pay(ctx, bo, o) // it is open again
	b.must(err)
	_, err = b.Pay(ctx, bo, o)
	wantProblem(t, err, "already_settled")
	_, err = b.Pay(ctx, b.coop, o) // nobody pays another's order
	wantProblem(t, err, "agreement_mismatch")
	b.audit()
}

func TestF25AnAnswerBeforeItsQuestionChangesNothing(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	pay := ledger.Pay{ID: ledger.NewID("pay", "later"), Currency: b.currency.Book.ID, Debit: ledger.NewID("account", b.currency.Book.IRI, string(bo.Actor.IRI)),
		Credit: ledger.NewID("account", b.currency.Book.IRI, string(cleo.Actor.IRI)), Amount: 300, Pending: true, Timeout: time.Hour}
	for _, c := range []ledger.Command{ledger.Post{ID: ledger.NewID("post", "a"), Pending: pay.ID, Amount: ledger.All}, ledger.Void{ID: ledger.NewID("void", "a"), Pending: pay.ID}} {
		rs, err := b.DB.Ledger(ctx, ledger.Group{c})
		b.must(err)
		wantRefused(t, rs[0].Err(), ledger.PendingNotFound)
	}
	rs, err := b.DB.Ledger(ctx, ledger.Group{pay})
	b.must(err)
	b.must(rs[0].Err())
	rs, err = b.DB.Ledger(ctx, ledger.Group{ledger.Post{ID: ledger.NewID("post", "b"), Pending: pay.ID, Amount: ledger.All}})
	b.must(err)
	b.must(rs[0].Err())
	b.wantBalance(cleo, "3.00")
	b.audit()
}

func TestF26OfTakingAndLettingGoOneWins(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	for range 10 {
		o := b.order(cleo, "1")
		o.Hold = time.Hour
		p, err := b.Pay(ctx, bo, o)
		b.must(err)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if i%2 == 0 {
					_, errs[i] = b.TakePayment(ctx, cleo, p.ID, "", "")
				} else {
					_, errs[i] = b.ReleasePayment(ctx, cleo, p.ID, "")
				}
			}()
		}
		wg.Wait()
		won := 0
		for i, err := range errs {
			var r *ledger.RefusedError
			switch {
			case err == nil:
				won++
			case !errors.As(err, &r) || r.Result.Reason() != ledger.AlreadyPosted && r.Result.Reason() != ledger.AlreadyVoided:
				t.Errorf("%d: got %v", i, err)
			}
		}
		kept, err := b.DB.PaymentByID(ctx, p.ID)
		b.must(err)
		if won != 1 || kept.State != storage.PaymentCommitted && kept.State != storage.PaymentCancelled {
			t.Errorf("%d won, and the payment is %s", won, kept.State)
		}
	}
	b.audit()
}

func TestF36WhoIsGoneIsNotPaid(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	bo, cleo := b.people["bo"], b.people["cleo"]
	b.pay(bo, cleo, "3")
	b.must(b.DeleteActor(t.Context(), cleo))
	gone, err := b.DB.ActorByID(t.Context(), cleo.Actor.ID)
	b.must(err)
	_, err = b.Pay(t.Context(), bo, activitypub.PayOrder{Currency: activitypub.MoneyHere(b.currency), To: gone, Amount: "1"})
	wantInvalid(t, err, "to")
	b.wantBalance(cleo, "3.00") // what she had stays in the book until somebody decides
	_, err = b.OpenAccount(t.Context(), b.coop, b.currency, gone)
	wantInvalid(t, err, "handle")
	b.audit()
}

// Whose account it is decides at the moment when the money moves, not when somebody asked.
func TestF37AnAccountThatWasGivenAwayIsNobodysToUse(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo", "dan")
	ctx, bo, cleo, dan := t.Context(), b.people["bo"], b.people["cleo"], b.people["dan"]
	paid := b.pay(bo, cleo, "5")
	o := b.order(cleo, "10")
	o.Hold = time.Hour
	held, err := b.Pay(ctx, bo, o)
	b.must(err)
	hers, err := b.DB.Account(ctx, b.currency, cleo.Actor.IRI)
	b.must(err)

	// Cleo pays, and waits behind the decision that gives her account to somebody else.
	deciding, decided, asked := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		asked <- b.DB.Transaction(ctx, func(tx *storage.DB) error {
			close(deciding)
			<-decided
			results, err := tx.Ledger(ctx, ledger.Group{ledger.Rebind{ID: ledger.NewID("rebind", "1"), Account: hers.ID, NewRef: "https://else.example/users/eve", Decision: "https://coop.example/d/1"}})
			if err != nil {
				return err
			}
			return results[0].Err()
		})
	}()
	<-deciding
	late := make(chan error, 1)
	go func() {
		_, err := b.Pay(ctx, cleo, b.order(bo, "1"))
		late <- err
	}()
	time.Sleep(50 * time.Millisecond) // for her to come to the queue; who comes later has no account any more, and is refused for that
	close(decided)
	b.must(<-asked)
	if err := <-late; err == nil {
		t.Error("she paid from an account that was given away")
	}
	_, err = b.RefundPayment(ctx, cleo, paid.ID, "", "", "")
	wantProblem(t, err, "account")
	_, err = b.TakePayment(ctx, cleo, held.ID, "", "")
	wantProblem(t, err, "account")
	_, err = b.ReleasePayment(ctx, cleo, held.ID, "")
	wantProblem(t, err, "account")
	if _, err := b.Pay(ctx, dan, b.order(cleo, "1")); err == nil {
		t.Error("she was paid into an account that was given away")
	}
	if a, err := b.DB.AccountByID(ctx, hers.ID); err != nil || a.Balance() != 500 {
		t.Errorf("the account stands at %d (%v), want what it had", a.Balance(), err)
	}
	b.audit()
}

func TestF51APaymentNeedsNobodyElse(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	b.net.Away("rye.example", true)
	before := len(b.net.Trips())
	if p := b.pay(b.people["bo"], b.people["cleo"], "3"); p.State != storage.PaymentCommitted {
		t.Errorf("got %s", p.State)
	}
	if n := len(b.net.Trips()) - before; n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

func TestF52ARefusalIsKept(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	o := b.order(cleo, "500")
	o.Memo = "a barn"
	p, err := b.Pay(ctx, bo, o)
	wantRefused(t, err, ledger.ExceedsFloor)
	kept, err := b.DB.PaymentByID(ctx, p.ID)
	b.must(err)
	if kept.State != storage.PaymentRejected || kept.Reason != "credit_limit" || kept.Payer != bo.Actor.IRI || kept.UserID != bo.User.ID || kept.Memo != "a barn" || kept.Amount != 50_000 {
		t.Errorf("got %+v", kept)
	}
	list, err := b.DB.Payments(ctx, cleo.Actor.IRI, 0, 10)
	b.must(err)
	if len(list) != 1 {
		t.Errorf("the payee sees %d, want the refusal", len(list))
	}
}

func TestF53NobodyFloodsABook(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	_, err := b.OpenAccount(ctx, bo, b.currency, b.person("friend").Actor)
	wantProblem(t, err, "role")
	o := b.order(cleo, "0.01")
	o.Hold = time.Hour
	for range 64 {
		_, err := b.Pay(ctx, bo, o)
		b.must(err)
	}
	_, err = b.Pay(ctx, bo, o)
	wantRefused(t, err, ledger.TooManyPending)
	if _, err := b.Pay(ctx, cleo, b.order(bo, "1")); err != nil {
		t.Errorf("the payee is held up: %v", err)
	}
	b.audit()
}

func TestF57PayingAsksNoAddress(t *testing.T) {
	b := newBakery(t, ledger.Mutual, "bo", "cleo")
	ctx, bo, cleo := t.Context(), b.people["bo"], b.people["cleo"]
	before := len(b.net.Trips())
	for _, iri := range []string{"http://169.254.169.254/latest", "http://localhost/x", "https://oak.example/currencies/grn", "file:///etc/passwd", "gopher://x"} {
		if _, err := b.Currency(ctx, iri); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: got %v", iri, err)
		}
		o := b.order(cleo, "0.01")
		o.Memo = iri
		_, err := b.Pay(ctx, bo, o)
		b.must(err)
	}
	b.must(b.SetFlags(ctx, b.coop, b.currency, bo.Actor, 0, "http://169.254.169.254/latest"))
	if n := len(b.net.Trips()) - before; n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}
