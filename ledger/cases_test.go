package ledger

import (
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// The cases of docs/ledger.md that the core decides alone, by their numbers.

func TestF01AReplayGetsTheSameAnswerAndHasOneEffect(t *testing.T) {
	w := newWorld(t)
	p := pay("p", ana, bo, 5)
	first := w.must(p)
	for range 3 {
		w.later(time.Hour)
		if got, want := w.want(OKExists, p), (Result{Code: OKExists, Seq: first.Seq, At: first.At}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	w.balance(bo, 5)
	w.ended()
}

func TestF02OneIDWithTwoBodiesIsRefused(t *testing.T) {
	w := newWorld(t)
	w.must(pay("p", ana, bo, 5))
	w.want(ExistsWithDifferent, pay("p", ana, cy, 5))
	w.want(OKExists, pay("p", ana, bo, 5)) // the first is not harmed
	w.balance(bo, 5)
	w.balance(cy, 0)
	w.ended()
}

func TestF04TwoPaymentsRaceOneBalance(t *testing.T) {
	w := newWorld(t)
	_, results := w.book.Apply(w.at, Group{pay("p", ana, bo, 12)}, Group{pay("q", ana, cy, 12)}, Group{pay("r", ana, cy, 8)})
	got := []ResultCode{results[0].Code, results[1].Code, results[2].Code}
	if want := []ResultCode{OKCreated, ExceedsFloor, OKCreated}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, results = w.book.Apply(w.at, Group{pay("q", ana, cy, 12)})
	if got := results[0]; got.Code != IDAlreadyFailed || got.Cause != ExceedsFloor {
		t.Errorf("the loser is told %s (%s) later", got.Code, got.Cause)
	}
	w.balance(ana, -20)
}

func TestF04WhatIsHeldCountsAsSpent(t *testing.T) {
	w := newWorld(t)
	w.must(pay("h", ana, bo, 15, held(minute)))
	w.want(ExceedsFloor, pay("p", ana, cy, 6))
	w.must(pay("q", ana, cy, 5))
	if left, limited := w.book.Accounts[ana].Spendable(); left != 0 || !limited {
		t.Errorf("may spend %d, want 0", left)
	}
	w.must(post("c", "h", 10)) // what is not posted is free again
	w.must(pay("r", ana, cy, 5))
	w.ended()
}

func TestF05WhatIsToComeCannotBeSpent(t *testing.T) {
	w := newWorld(t)
	w.must(limits("l", bo, At(0), Bound{}))
	w.must(pay("h", ana, bo, 10, held(minute)))
	if left, _ := w.book.Accounts[bo].Spendable(); left != 0 {
		t.Errorf("may spend %d, want 0", left)
	}
	w.want(ExceedsFloor, pay("p", bo, cy, 1))
	w.must(post("c", "h", All))
	w.must(pay("q", bo, cy, 1))
	w.ended()
}

func TestF10AClaimedTimeIsDataOnly(t *testing.T) {
	w := newWorld(t)
	w.later(60 * 24 * time.Hour)
	w.want(Malformed, pay("p", ana, bo, 5, claimed(w.at-Instant(MaxEffectiveAge)-1)))
	old := w.must(pay("p", ana, bo, 5, claimed(w.at-Instant(MaxEffectiveAge))))
	if old.At != w.at {
		t.Errorf("it stands at %d, want %d", old.At, w.at)
	}
	w.later(time.Second)
	if next := w.must(pay("q", ana, bo, 5, claimed(w.at-1), held(minute))); next.Seq != old.Seq+1 || next.At != w.at {
		t.Errorf("the next stands at %d, %d", next.Seq, next.At)
	}
	if got, want := w.book.Transfers[act("q")].Expires, w.at+Instant(minute); got != want {
		t.Errorf("it expires at %d, want %d", got, want)
	}
	w.later(time.Second)
	w.must(open("dan", grn, func(*OpenAccount) {}))
	opened := w.book.Accounts[acct(grn, "dan")].OpenedAt
	w.later(time.Second)
	w.want(Malformed, pay("r", acct(grn, "dan"), bo, 5, claimed(opened-1)))
	w.want(Malformed, pay("r", ana, acct(grn, "dan"), 5, claimed(opened-1)))
	w.must(pay("r", acct(grn, "dan"), bo, 5, claimed(opened)))
	w.must(pay("s", ana, acct(grn, "dan"), 5, claimed(opened)))
	w.ended()
}

// Nobody else's clock ends a hold: its time is a length, counted from the instant that the book gave it.
func TestF14AHoldLastsAsLongAsThePromiserSays(t *testing.T) {
	w := newWorld(t)
	w.later(60 * 24 * time.Hour)
	w.must(pay("p", ana, bo, 5, claimed(w.at-Instant(10*24*time.Hour)), held(minute))) // the payer's clock is ten days late
	w.later(minute - time.Second)
	w.must(Post{ID: act("post p"), Pending: act("p"), Amount: 2})
	w.must(pay("q", ana, bo, 5, claimed(w.at-Instant(10*24*time.Hour)), held(minute)))
	w.later(minute + time.Second)
	w.want(TransferExpired, Post{ID: act("post q"), Pending: act("q"), Amount: 2})
	w.ended()
}

func TestF11AFutureDateIsNoTransfer(t *testing.T) {
	w := newWorld(t)
	w.want(Malformed, pay("p", ana, bo, 5, claimed(w.at+1)))
	w.must(pay("p", ana, bo, 5, claimed(w.at)))
}

func TestF12TimesNeverGoBack(t *testing.T) {
	w := newWorld(t)
	first := w.must(pay("p", ana, bo, 5))
	w.later(-5 * minute)
	second := w.must(pay("q", ana, bo, 5))
	if second.At != first.At+1 {
		t.Errorf("got %d after %d", second.At, first.At)
	}
	w.must(pay("h", ana, bo, 1, held(time.Second)))
	if got, want := w.book.Transfers[act("h")].Expires, second.At+1+Instant(time.Second); got != want {
		t.Errorf("a hold ends at %d, want %d", got, want)
	}
	w.ended()
}

// TestF12ASlowClockDoesNotKeepHoldsAlive puts the head of the book close to an expiry while the clock is five minutes behind: the hold
// ends when the book's own time reaches it.
func TestF12ASlowClockDoesNotKeepHoldsAlive(t *testing.T) {
	w := newWorld(t)
	w.must(pay("h", ana, bo, 20, held(minute)))
	w.later(minute - 2)
	w.must(pay("a", bo, cy, 1)) // at a nanosecond before the end
	w.later(-5 * minute)
	w.must(pay("b", bo, cy, 1)) // and this at a moment before it
	w.must(pay("c", ana, cy, 20))
	if got := w.book.Transfers[act("h")].State; got != Expired {
		t.Errorf("the hold is %s", got)
	}
	w.ended()
}

func TestF26AnAnswerAndAnUndoRace(t *testing.T) {
	for _, first := range []string{"accept", "undo"} {
		w := newWorld(t)
		w.must(pay("h", ana, bo, 5, held(minute)))
		accept, undo := post("accept", "h", All), void("undo", "h")
		if first == "accept" {
			w.must(accept)
			w.want(AlreadyPosted, undo)
			w.balance(bo, 5)
		} else {
			w.must(undo)
			w.want(AlreadyVoided, accept)
			w.balance(bo, 0)
		}
		w.ended()
	}
}

func TestF27OneEndAloneWins(t *testing.T) {
	ends := map[string]func(w *world) ResultCode{
		"post":   func(w *world) ResultCode { return w.send(post("post", "h", 3)).Code },
		"void":   func(w *world) ResultCode { return w.send(void("void", "h")).Code },
		"expire": func(w *world) ResultCode { w.later(minute); return OKCreated },
	}
	refusals := map[string]ResultCode{"post": AlreadyPosted, "void": AlreadyVoided, "expire": TransferExpired}
	for first, end := range ends {
		for second, other := range ends {
			w := newWorld(t)
			w.must(pay("h", ana, bo, 5, held(minute)))
			if got := end(w); got != OKCreated {
				t.Fatalf("%s: %s", first, got)
			}
			want := refusals[first]
			if first == second {
				want = OKExists
			}
			if got := other(w); second != "expire" && got != want {
				t.Errorf("%s after %s: got %s, want %s", second, first, got, want)
			}
			w.must(note(NotePolicy, 0)) // anything: what is due ends before it
			state := w.book.Transfers[act("h")].State
			if want := map[string]TransferState{"post": Posted, "void": Voided, "expire": Expired}[first]; state != want {
				t.Errorf("%s, then %s: it is %s", first, second, state)
			}
			w.ended()
		}
	}
}

func TestF28APayeeMayAlwaysRefuseWhatIsHeld(t *testing.T) {
	w := newWorld(t)
	w.must(pay("h", ana, bo, 5, held(minute)))
	w.must(flags("f", bo, NoDebit|NoCredit))
	w.must(flags("g", ana, NoDebit|NoCredit))
	w.must(limits("l", bo, At(0), At(0)))
	w.must(void("v", "h"))
	w.balance(bo, 0)
	w.ended()
}

func TestF29AmountsBelowOneAreRefused(t *testing.T) {
	for _, s := range []string{"-1", "-0", "+1", "−1"} {
		if _, err := ParseAmount(s, 2); err == nil {
			t.Errorf("%q was read", s)
		}
	}
	w := newWorld(t)
	w.want(Malformed, pay("p", ana, bo, -1))
	w.want(AmountZero, pay("q", ana, bo, 0))
	w.must(pay("r", gia, gus, 0, in(gft)))
	w.ended()
}

func TestF30CountersNeverOverflow(t *testing.T) {
	w := newWorld(t)
	w.must(pay("a", tia, tom, MaxAmount, in(top)))
	w.must(pay("b", tia, tom, MaxAmount, in(top), held(minute)))
	w.want(Overflow, pay("c", tia, tom, 2, in(top)))
	w.want(AmountTooLarge, pay("d", tia, tom, MaxAmount+1, in(top)))
	w.must(pay("e", tia, tom, 1, in(top)))
	w.balance(tom, int64(MaxAmount)+1)
	w.must(post("f", "b", All))
	w.balance(tom, MaxCounter)
	w.balance(tia, -MaxCounter)
	w.want(Overflow, pay("g", tia, tom, 1, in(top), held(minute)))
	w.must(refund("h", "a", All))
	w.want(Overflow, pay("i", tia, tom, 1, in(top))) // what was posted stays counted
	w.ended()
}

func TestF30AFloorFarAwayDoesNotOverflow(t *testing.T) {
	w := newWorld(t)
	w.must(limits("l", tia, At(MaxCounter), Bound{}))
	w.want(ExceedsFloor, pay("a", tia, tom, 1, in(top)))
	w.must(limits("m", tia, At(-MaxCounter), At(MaxCounter)))
	w.must(limits("n", tom, At(-MaxCounter), At(-MaxCounter)))
	w.want(ExceedsCeiling, pay("b", tia, tom, MaxAmount, in(top)))
	w.must(limits("o", tom, At(-MaxCounter), At(MaxCounter)))
	w.must(pay("c", tia, tom, MaxAmount, in(top)))
	for _, x := range []struct {
		balance, floor, want int64
	}{{0, MaxCounter, -MaxCounter}, {-10, MaxCounter, -MaxCounter}, {10, -MaxCounter, MaxCounter}, {0, -5, 5}, {-3, 4, -7}, {7, 7, 0}, {-MaxCounter, -MaxCounter, 0}, {-1, MaxCounter - 1, -MaxCounter}, {1, -MaxCounter + 1, MaxCounter}} {
		a := Account{Floor: At(x.floor), CreditsPosted: max(0, x.balance), DebitsPosted: max(0, -x.balance)}
		if got, limited := a.Spendable(); got != x.want || !limited {
			t.Errorf("balance %d, floor %d: may spend %d, want %d", x.balance, x.floor, got, x.want)
		}
	}
	if _, limited := (Account{}).Spendable(); limited {
		t.Error("an account without a floor is limited")
	}
	w.ended()
}

func TestF31OnlyOneFormOfAnAmountIsRead(t *testing.T) {
	good := map[string]Amount{"0": 0, "0.00": 0, "0.1": 10, "0.01": 1, "12": 1200, "12.5": 1250, "12.50": 1250, "46116860184273879.03": MaxAmount, "9.99": 999}
	for s, want := range good {
		if got, err := ParseAmount(s, 2); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "1e3", "01", "00", "1.0000001", "１２", " 1", "1 ", "1\n", "NaN", "Inf", "0x1", "1_000", ".5", "5.", ".", "1.2.3", "1,5", "46116860184273879.04", "999999999999999999",
		"1000000000000000000", "1.", "٣", "1\x00", "--1", "1-", "½"} {
		if got, err := ParseAmount(s, 2); err == nil {
			t.Errorf("%q was read as %d", s, got)
		}
	}
	if got, err := ParseAmount("999999999999999999", 0); err != nil || got != 999_999_999_999_999_999 {
		t.Errorf("18 digits: got %d, %v", got, err)
	}
	if got, err := ParseAmount("4611686018.427387903", 9); err != nil || got != MaxAmount {
		t.Errorf("scale 9: got %d, %v", got, err)
	}
	for _, s := range []string{"4611686018.427387904", "9223372036.854775808", "18446744073.709551615", "18446744073.709551616", "18446744074", "36893488148", "999999999999999999.999999999"} {
		if got, err := ParseAmount(s, 9); err == nil { // around what 64 bits hold, and twice that
			t.Errorf("%s at scale 9 was read as %d", s, got)
		}
	}
	if _, err := ParseAmount("1", 10); err == nil {
		t.Error("scale 10 was taken")
	}
}

func TestF31AnAmountErrorSaysWhatIsWanted(t *testing.T) {
	for _, x := range []struct {
		s     string
		scale uint8
		want  string
	}{
		{"", 0, `amount "": it is empty; want digits alone, like 12`},
		{"-1", 1, `amount "-1": an amount has no sign; want digits with at most 1 after a point, like 12 or 12.5`},
		{"1,0", 2, `amount "1,0": only the digits 0 to 9 and one point are read; want digits with at most 2 after a point, like 12 or 12.55`},
		{".5", 3, `amount ".5": a digit is missing before the point; want digits with at most 3 after a point, like 12 or 12.55`},
		{"01", 0, `amount "01": it begins with a needless 0; want digits alone, like 12`},
		{"1.5", 0, `amount "1.5": this currency has no fractions; want digits alone, like 12`},
		{"1.", 2, `amount "1.": a digit is missing after the point; want digits with at most 2 after a point, like 12 or 12.55`},
		{"1.555", 2, `amount "1.555": it has too many digits after the point; want digits with at most 2 after a point, like 12 or 12.55`},
		{"1000000000000000000", 0, `amount "1000000000000000000": it is too large; want digits alone, like 12`},
		{"99999999999999999", 2, `amount "99999999999999999": it is too large; want digits with at most 2 after a point, like 12 or 12.55`},
		{"1", 10, `amount "1": the currency has a scale above 9; want digits with at most 10 after a point, like 12 or 12.55`},
	} {
		if _, err := ParseAmount(x.s, x.scale); err == nil || err.Error() != x.want {
			t.Errorf("got  %v\nwant %s", err, x.want)
		}
	}
}

func TestF32AnotherScaleIsNotGuessed(t *testing.T) {
	for _, x := range []struct {
		s     string
		scale uint8
		want  Amount
	}{{"1.5", 0, -1}, {"1.55", 1, -1}, {"1.5", 1, 15}, {"1.5", 2, 150}, {"1.50", 2, 150}, {"1.500", 2, -1}, {"15", 3, 15000}} {
		got, err := ParseAmount(x.s, x.scale)
		if x.want < 0 && err == nil || x.want >= 0 && (err != nil || got != x.want) {
			t.Errorf("%q at scale %d: got %d, %v", x.s, x.scale, got, err)
		}
	}
	for _, x := range []struct {
		v     int64
		scale uint8
		want  string
	}{{0, 0, "0"}, {0, 2, "0.00"}, {5, 2, "0.05"}, {-5, 2, "-0.05"}, {1250, 2, "12.50"}, {-1 << 63, 0, "-9223372036854775808"}, {1<<63 - 1, 9, "9223372036.854775807"}, {10, 1, "1.0"}, {99, 2, "0.99"}, {100, 2, "1.00"}} {
		if got := FormatAmount(x.v, x.scale); got != x.want {
			t.Errorf("%d at scale %d: got %s, want %s", x.v, x.scale, got, x.want)
		}
	}
}

func TestF33ACodeIsALabel(t *testing.T) {
	w := newWorld(t)
	other := testCurrency("GRN", Mutual, Rules{})
	other.IRI = "https://other.example/currencies/grn"
	other.ID = NewID("currency", other.IRI)
	w.must(OpenCurrency{ID: act("c"), Currency: other})
	w.must(open("dan", other, func(*OpenAccount) {}))
	w.want(CurrencyMismatch, pay("p", ana, acct(other, "dan"), 5))
	w.want(CurrencyMismatch, pay("q", ana, bo, 5, in(other)))
	w.want(ExistsWithDifferent, newCurrency("GRN", func(c *Currency) { c.IRI = other.IRI }))
	w.ended()
}

func TestF34NobodyPaysHimself(t *testing.T) {
	w := newWorld(t)
	w.want(AccountsMustDiffer, pay("p", ana, ana, 5))
	w.want(IDAlreadyFailed, pay("p", ana, ana, 5))
}

func TestF35AnUnknownPayeeMayBeOpenedInTheSameGroup(t *testing.T) {
	w := newWorld(t)
	dan := grn.NewAccount(person("dan"), Member)
	w.want(CreditAccountNotFound, pay("p", ana, dan.Account, 5))
	dan.Floor = At(0)
	w.must(dan, pay("q", ana, dan.Account, 5))
	w.balance(dan.Account, 5)
	w.want(IDAlreadyFailed, pay("p", ana, dan.Account, 5)) // the first answer holds
	eve := grn.NewAccount(person("eve"), Member)
	if r := w.want(ExceedsFloor, eve, pay("r", ana, eve.Account, 50)); r.Index != 1 {
		t.Errorf("command %d failed, want 1", r.Index)
	}
	if _, there := w.book.Accounts[eve.Account]; there {
		t.Error("the account of a group that failed exists")
	}
	w.must(eve) // it alone was not refused
	if r := w.want(IDAlreadyFailed, eve, pay("r", ana, eve.Account, 50)); r.Index != 1 || r.Cause != ExceedsFloor {
		t.Errorf("got %+v", r)
	}
	w.ended()
}

func TestF36AClosedAccountIsEmptiedFirst(t *testing.T) {
	w := newWorld(t)
	w.must(pay("p", ana, bo, 5))
	w.want(AccountNotEmpty, flags("a", bo, Closed))
	w.must(pay("c", bo, fund, 5, code(Closing)), flags("b", bo, Closed)) // one act: the balance goes to the common fund
	w.want(AccountClosed, pay("q", ana, bo, 1))
	w.want(AccountClosed, pay("r", bo, ana, 1))
	w.want(AccountClosed, refund("s", "p", 5))
	if a := w.book.Accounts[bo]; a.CreditsPosted != 5 || a.DebitsPosted != 5 {
		t.Errorf("the counters of a closed account are %+v", a)
	}
	w.must(flags("d", bo, 0))
	w.must(pay("t", ana, bo, 1))
	w.ended()
}

func TestF37AnAccountOutlivesItsOwnersAddress(t *testing.T) {
	w := newWorld(t)
	w.must(pay("p", ana, bo, 5))
	w.want(Malformed, Rebind{ID: act("r"), Account: bo, NewRef: "https://other.example/u/bo"})
	w.must(Rebind{ID: act("r"), Account: bo, NewRef: "https://other.example/u/bo", Decision: decided, Auth: Digest{1}})
	a := w.book.Accounts[bo]
	if a.Ref != "https://other.example/u/bo" || a.Balance() != 5 || a.Version != 2 {
		t.Errorf("got %+v", a)
	}
	w.must(pay("q", ana, bo, 5))
	w.ended()
}

func TestF38AFloorMayRiseAboveTheBalance(t *testing.T) {
	w := newWorld(t)
	w.must(pay("p", ana, bo, 15))
	w.must(limits("l", ana, At(-10), Bound{}))
	w.balance(ana, -15)
	if left, _ := w.book.Accounts[ana].Spendable(); left != -5 {
		t.Errorf("may spend %d, want -5", left)
	}
	w.want(ExceedsFloor, pay("q", ana, bo, 1))
	w.must(pay("r", bo, ana, 4)) // what comes is welcome
	w.want(ExceedsFloor, pay("s", ana, bo, 1))
	w.must(pay("t", bo, ana, 2))
	w.must(pay("u", ana, bo, 1))
	w.ended()
}

func TestF39ACeilingMayFallBelowTheBalance(t *testing.T) {
	w := newWorld(t)
	w.must(pay("p", ana, bo, 15))
	w.must(limits("l", bo, At(-20), At(10)))
	w.want(ExceedsCeiling, pay("q", cy, bo, 1))
	w.must(pay("r", bo, cy, 5))
	w.want(ExceedsCeiling, pay("s", cy, bo, 1))
	w.must(pay("t", bo, cy, 1))
	w.must(pay("u", cy, bo, 1))
	w.ended()
}

func TestF40RefundsNeverExceedTheOriginal(t *testing.T) {
	w := newWorld(t)
	w.must(pay("h", ana, bo, 8, held(minute)))
	w.want(OriginalNotPosted, refund("a", "h", 1))
	w.must(post("c", "h", 6))
	w.must(refund("b", "h", 4))
	w.want(ExceedsOriginal, refund("d", "h", 3))
	w.must(refund("e", "h", All))
	w.want(ExceedsOriginal, refund("f", "h", All))
	w.want(RefundOfRefund, refund("g", "e", 1))
	if got := w.book.Transfers[act("h")]; got.Refunded != 6 || got.Posted != 6 {
		t.Errorf("got %+v", got)
	}
	w.balance(ana, 0)
	w.ended()
}

func TestF41ARefundObeysThePayeesFloor(t *testing.T) {
	w := newWorld(t)
	w.must(limits("l", bo, At(0), Bound{}))
	w.must(pay("p", ana, bo, 10))
	w.must(pay("q", bo, cy, 7))
	w.want(ExceedsFloor, refund("r", "p", 4))
	w.must(refund("s", "p", 3))
	w.must(limits("m", ana, At(-20), At(-7)))
	w.must(pay("t", cy, bo, 5))
	w.want(ExceedsCeiling, refund("u", "p", 1))
	w.ended()
}

func TestF42AnInvoiceIsPaidOnce(t *testing.T) {
	w := newWorld(t)
	w.must(pay("p", ana, bo, 5, settles("7"), held(minute)))
	w.want(AlreadySettled, pay("q", cy, bo, 5, settles("7")))
	w.must(void("v", "p"))
	w.must(pay("r", cy, bo, 5, settles("7")))
	w.must(refund("s", "r", All)) // given back, it was paid all the same
	w.want(AlreadySettled, pay("t", ana, bo, 5, settles("7")))
	w.want(AlreadySettled, pay("u", tia, tom, 5, settles("7"), in(top))) // in whatever currency
	w.must(pay("x", ana, bo, 1, settles("8"), held(minute)))
	w.later(minute + time.Second)
	w.must(pay("y", ana, bo, 1, settles("8")))
	w.ended()
}

func TestF43ALevyIsFixedWithItsPayment(t *testing.T) {
	w := newWorld(t)
	w.must(rules("r", grn, levied(2000, 0, 0)))
	w.must(pay("h", ana, bo, 10, held(minute)))
	w.must(pay("i", cy, bo, 10, held(minute)))
	w.must(rules("s", grn, levied(5000, 0, 0)))
	w.must(post("c", "h", 10))
	w.balance(fund, 2)
	w.balance(ana, -12)
	w.must(rules("n", grn, func(*Rules) {}))
	w.must(post("d", "i", 10))
	w.balance(fund, 4)
	w.ended()
}

func TestF43ALevyEndsWithItsPaymentAlone(t *testing.T) {
	w := newWorld(t)
	w.must(rules("r", grn, levied(2000, 0, 0)))
	w.must(pay("h", ana, bo, 10, held(minute)))
	w.want(PendingNotFound, Void{ID: act("a"), Pending: LevyID(act("h"))})
	w.want(PendingNotFound, Post{ID: act("b"), Pending: LevyID(act("h")), Amount: All})
	w.must(void("v", "h"))
	if got := w.book.Transfers[LevyID(act("h"))].State; got != Voided {
		t.Errorf("the levy is %s", got)
	}
	w.must(pay("i", ana, bo, 10, held(minute)))
	w.later(minute + time.Second)
	w.must(note(NotePolicy, 0))
	w.must(with(note(NotePolicy, 0), func(n *Note) { n.ID = act("n2") }))
	if got := w.book.Transfers[LevyID(act("i"))].State; got != Expired {
		t.Errorf("the levy is %s", got)
	}
	w.balance(fund, 0)
	w.ended()
}

// TestF43WhatHasALevysIDIsNotALevy gives the id of a levy to be to another transfer: a post of the payment must not touch that.
func TestF43WhatHasALevysIDIsNotALevy(t *testing.T) {
	w := newWorld(t)
	w.must(pay("x", cy, bo, 7, held(minute), under(LevyID(act("h")))))
	w.must(pay("h", ana, bo, 10, held(minute)))
	w.must(post("c", "h", 5))
	if got := w.book.Transfers[LevyID(act("h"))]; got.State != Pending {
		t.Errorf("the other hold is %s", got.State)
	}
	w.must(pay("i", ana, bo, 1, held(minute)))
	w.must(void("v", "i"))
	w.ended()
}

func TestF44FractionsNeverMakeUnits(t *testing.T) {
	w := newWorld(t)
	w.must(rules("r", grn, levied(2500, 0, 0)))
	w.must(pay("p", ana, bo, 7)) // a quarter of 7 is 1
	w.balance(fund, 1)
	w.must(pay("q", ana, bo, 3)) // and of 3 it is 0
	w.balance(fund, 1)
	w.must(pay("h", cy, bo, 9, held(minute))) // 2
	w.must(post("c", "h", 4))                 // of which 4/9 is 0
	w.balance(fund, 1)
	w.must(pay("i", cy, bo, 9, held(minute)))
	w.must(post("d", "i", 5)) // and 5/9 is 1
	w.balance(fund, 2)
	w.ended()
	for _, x := range []struct {
		total   Amount
		weights []uint32
		want    []Amount
	}{
		{10, []uint32{1, 1, 1}, []Amount{4, 3, 3}},
		{10, []uint32{1, 2, 3}, []Amount{2, 3, 5}},
		{0, []uint32{1, 2}, []Amount{0, 0}},
		{7, []uint32{0, 1}, []Amount{0, 7}},
		{1, []uint32{1, 1, 2}, []Amount{0, 0, 1}},
		{MaxAmount, []uint32{1<<32 - 1, 1<<32 - 1}, []Amount{1 << 61, 1<<61 - 1}},
		{5, []uint32{0, 0}, nil},
		{5, nil, nil},
		{-5, []uint32{1}, nil},
	} {
		if got := Split(x.total, x.weights); !slices.Equal(got, x.want) || (got == nil) != (x.want == nil) {
			t.Errorf("%d by %v: got %v, want %v", x.total, x.weights, got, x.want)
		}
	}
}

func TestF44PartsAreExactToOneUnit(t *testing.T) {
	for n := range 5000 {
		x := uint64(n)*0x9e3779b97f4a7c15 ^ 0x5bd1e995
		total := Amount(x >> (2 + n%60))
		weights := make([]uint32, 1+n%7)
		sum := new(big.Int)
		for i := range weights {
			x = x*6364136223846793005 + 1442695040888963407
			weights[i] = uint32(x >> 33 >> (n % 30))
			sum.Add(sum, big.NewInt(int64(weights[i])))
		}
		parts := Split(total, weights)
		if sum.Sign() == 0 {
			continue
		}
		var all Amount
		for i, p := range parts {
			exact := new(big.Int).Mul(big.NewInt(int64(total)), big.NewInt(int64(weights[i])))
			low := exact.Div(exact, sum).Int64()
			if int64(p) != low && int64(p) != low+1 {
				t.Fatalf("%d by %v: part %d is %d, want %d or one more", total, weights, i, p, low)
			}
			all += p
		}
		if all != total {
			t.Fatalf("%d by %v: the parts sum to %d", total, weights, all)
		}
	}
}

func TestF44ALevyHasBounds(t *testing.T) {
	for _, x := range []struct {
		points      uint16
		least, most Amount
		amount      Amount
		want        Amount
	}{
		{100, 0, 0, 1000, 10}, {100, 0, 0, 99, 0}, {100, 5, 0, 99, 5}, {100, 0, 7, 1000, 7}, {0, 3, 3, 1000, 3}, {0, 0, 0, 1000, 0},
		{10_000, 0, 0, MaxAmount, MaxAmount}, {1, 0, 0, MaxAmount, MaxAmount / 10_000}, {0, 2, 0, 0, 2}, {100, 0, 10, 1000, 10}, {100, 10, 0, 1000, 10},
	} {
		c := grn
		c.Rules.Levy = Levy{BasisPoints: x.points, Least: x.least, Most: x.most, To: fund}
		if got := c.LevyOf(x.amount); got != x.want {
			t.Errorf("%d points, %d to %d, of %d: got %d, want %d", x.points, x.least, x.most, x.amount, got, x.want)
		}
	}
	if got := grn.LevyOf(100); got != 0 {
		t.Errorf("without a levy: got %d", got)
	}
	w := newWorld(t)
	w.must(rules("r", grn, levied(2000, 0, 0)))
	w.must(pay("p", ana, fund, 10)) // the fund pays no levy, nor is one paid on what it gets
	w.must(pay("q", fund, bo, 10))
	w.must(pay("s", ana, bo, 5, code(Share)))
	w.balance(fund, 0)
	w.ended()
}

// TestF44AHoldOfNothingKeepsItsLevy: in a currency of gifts a levy may have a least amount.
func TestF44AHoldOfNothingKeepsItsLevy(t *testing.T) {
	w := newWorld(t)
	w.must(open("pot", gft, as(Commons)))
	pot := acct(gft, "pot")
	w.must(rules("r", gft, func(r *Rules) { r.Levy = Levy{Least: 2, To: pot} }))
	w.must(pay("p", gia, gus, 0, in(gft)))
	w.balance(pot, 2)
	w.must(pay("h", gia, gus, 0, in(gft), held(minute)))
	w.must(post("c", "h", All))
	w.balance(pot, 4)
	w.ended()
}

func TestF45DemurrageRunsOnce(t *testing.T) {
	w := newWorld(t)
	w.must(pay("p", ana, bo, 20))
	period := "2026-01"
	p, due := grn.DemurragePay(period, bo, fund, 20, 500)
	if !due || p.Amount != 1 || p.Code != Demurrage || p.Debit != bo || p.Credit != fund || p.Currency != grn.ID {
		t.Fatalf("got %+v, %v", p, due)
	}
	w.must(p)
	w.want(OKExists, p)
	later, _ := grn.DemurragePay(period, bo, fund, 400, 500) // with another balance it is another body under the same id
	w.want(ExistsWithDifferent, later)
	next, _ := grn.DemurragePay("2026-02", bo, fund, 20, 500)
	w.must(next)
	w.balance(fund, 2)
	for _, balance := range []int64{-20, 0, 1, 19} {
		if p, due := grn.DemurragePay(period, bo, fund, balance, 500); due {
			t.Errorf("of %d, %d is due", balance, p.Amount)
		}
	}
	if p, due := grn.DemurragePay(period, fund, fund, 100, 500); due {
		t.Errorf("the fund gives itself %d", p.Amount)
	}
	if p, due := grn.DemurragePay(period, bo, fund, MaxCounter, 10_000); !due || p.Amount != MaxAmount {
		t.Errorf("of all there can be, %d is due", p.Amount)
	}
	w.ended()
}

func TestF54HoldsAreCounted(t *testing.T) {
	w := newWorld(t)
	w.must(pay("a", ana, bo, 1, held(minute)))
	w.must(pay("b", ana, bo, 1, held(minute)))
	w.want(TooManyPending, pay("c", ana, bo, 1, held(minute)))
	w.must(pay("d", cy, bo, 1, held(minute))) // another payer's are his own
	w.must(void("v", "a"))
	w.must(pay("e", ana, bo, 1, held(minute)))
	w.later(minute + time.Second)
	w.must(pay("f", ana, bo, 1, held(minute)))
	if got := w.book.Accounts[ana].PendingCount; got != 1 {
		t.Errorf("%d holds, want 1", got)
	}
	w.must(limits("l", bo, Bound{}, Bound{}))
	w.must(pay("g", cy, bo, 20, held(minute))) // without a ceiling, what waits locks nobody
	w.must(pay("h", ana, bo, 19))
	w.ended()
}

func TestF55IDs(t *testing.T) {
	if got, want := NewID("currency", "https://coop.example/currencies/grn").String(), "55bab2f56e32db818762ded28506d09d"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if NewID("a", "bc") == NewID("ab", "c") || NewID("a", "b", "c") == NewID("a", "bc") || NewID("a") == NewID("a", "") {
		t.Error("parts run into each other")
	}
	for _, x := range []struct {
		id          ID
		zero, valid bool
	}{{ID{}, true, false}, {reserved, false, false}, {ID{15: 1}, false, true}, {NewID("x"), false, true}} {
		if x.id.IsZero() != x.zero || x.id.Valid() != x.valid {
			t.Errorf("%s: zero %v, valid %v", x.id, x.id.IsZero(), x.id.Valid())
		}
		if got, err := ParseID(x.id.String()); err != nil || got != x.id {
			t.Errorf("%s was read as %s, %v", x.id, got, err)
		}
	}
	for _, s := range []string{"", "00", "55BAB2F56E32DB818762DED28506D09D", "55bab2f56e32db818762ded28506d09", "55bab2f56e32db818762ded28506d09dd", "g5bab2f56e32db818762ded28506d09d", " 5bab2f56e32db818762ded28506d09d"} {
		if id, err := ParseID(s); err == nil || id != (ID{}) {
			t.Errorf("%q was read as %s", s, id)
		}
	}
	if LevyID(act("a")) == LevyID(act("b")) || LevyID(act("a")) == act("a") {
		t.Error("levies share ids")
	}
	// A payment whose levy would take an id that is in use fails closed, and leaves what is there.
	w := newWorld(t)
	w.must(rules("r", grn, levied(1000, 1, 0)))
	w.must(pay("x", cy, bo, 1, under(LevyID(act("p"))), code(Exchange)))
	w.want(ExistsWithDifferent, pay("p", ana, bo, 5))
	w.balance(ana, 0)
	w.ended()
}

func TestF72AnAdminsActsAreInTheBook(t *testing.T) {
	w := newWorld(t)
	for _, c := range []Command{limits("l", ana, At(-5), At(5)), flags("f", ana, NoDebit), rules("r", grn, func(r *Rules) { r.MaxPending = 1 }),
		Rebind{ID: act("b"), Account: ana, NewRef: "https://coop.example/users/ana2", Decision: decided}} {
		before := w.book.Currencies[grn.ID].Next
		w.must(c)
		if got := w.book.Currencies[grn.ID].Next; got != before+1 {
			t.Errorf("%T made %d entries", c, got-before)
		}
		text := string(Canon(w.log[len(w.log)-1]))
		if !strings.Contains(text, "\ndecision "+decided+"\n") {
			t.Errorf("the decision is not in\n%s", text)
		}
		undecided := reflect.New(reflect.TypeOf(c)).Elem()
		undecided.Set(reflect.ValueOf(c))
		undecided.FieldByName("Decision").SetString("")
		undecided.FieldByName("ID").Set(reflect.ValueOf(act("undecided")))
		w.want(Malformed, undecided.Interface().(Command))
	}
	if a := w.book.Accounts[ana]; a.Version != 4 || a.Floor != At(-5) || a.Ceil != At(5) || a.Flags != NoDebit {
		t.Errorf("got %+v", a)
	}
	w.ended()
}

func TestF74LocalFormsOfANumberAreRefused(t *testing.T) {
	for _, s := range []string{"1,000", "1.000,00", "1 000", "1'000", "1,5", "1\u00a0000", "1.000.000", "1٬000"} {
		for scale := range uint8(3) {
			if got, err := ParseAmount(s, scale); err == nil {
				t.Errorf("%q at scale %d was read as %d", s, scale, got)
			}
		}
	}
	for _, x := range []struct {
		s     string
		kind  Kind
		scale uint8
		want  Amount
	}{
		{"1:30", Hours, 0, 90}, {"0:05", Hours, 0, 5}, {"90", Hours, 0, 90}, {"0:59", Hours, 0, 59}, {"1:60", Hours, 0, -1}, {"1:5", Hours, 0, -1}, {"1:055", Hours, 0, -1},
		{":30", Hours, 0, -1}, {"-1:30", Hours, 0, -1}, {"1:3x", Hours, 0, -1}, {"01:30", Hours, 0, -1}, {"1:30", Mutual, 0, -1}, {"1:30", Hours, 2, -1}, {"1.5", Hours, 0, -1}, {"1:-1", Hours, 0, -1},
		{"76861433640456464:59", Hours, 0, (MaxAmount/60-1)*60 + 59}, {"76861433640456465:00", Hours, 0, -1}, {"1.50", Mutual, 2, 150},
	} {
		got, err := ParseTyped(x.s, x.kind, x.scale)
		if x.want < 0 && (err == nil || got != 0) || x.want >= 0 && (err != nil || got != x.want) {
			t.Errorf("%q: got %d, %v, want %d", x.s, got, err, x.want)
		}
	}
}

func TestF75AGroupIsAnAccountLikeAnother(t *testing.T) {
	w := newWorld(t)
	coop := grn.NewAccount("https://coop.example/groups/bakery", Member)
	w.must(coop)
	w.must(pay("p", ana, coop.Account, 5))
	w.must(pay("q", coop.Account, bo, 2))
	w.balance(coop.Account, 3)
	if again := grn.NewAccount("https://coop.example/groups/bakery", Member); again != coop {
		t.Errorf("got %+v, want %+v", again, coop)
	}
	w.ended()
}

func TestNewAccountsHaveTheLimitsOfTheirRole(t *testing.T) {
	c := grn
	for _, x := range []struct {
		role        Role
		floor, ceil Bound
	}{{Member, c.Rules.Floor, c.Rules.Ceil}, {Issuer, Bound{}, Bound{}}, {Commons, At(0), Bound{}}, {Peer, At(0), At(0)}, {Suspense, Bound{}, Bound{}}} {
		if got := c.NewAccount("r", x.role); got.Floor != x.floor || got.Ceil != x.ceil || got.Role != x.role {
			t.Errorf("%s: got %+v", x.role, got)
		}
	}
	for _, x := range []struct {
		kind  Kind
		floor Bound
	}{{Mutual, At(-7)}, {Hours, At(-7)}, {Issued, At(0)}, {Backed, At(0)}, {Gift, Bound{}}} {
		if got := Preset(x.kind, 7); got.Floor != x.floor || got.MaxPending != 64 {
			t.Errorf("%s: got %+v", x.kind, got)
		}
	}
}
