package ledger

import (
	"slices"
	"testing"
	"time"
)

// What happens between the groups of one Apply, where nothing is stored yet.

// batch applies groups at once, to the book and to the oracle.
func (w *world) batch(gs ...Group) []ResultCode {
	w.t.Helper()
	d, results := w.book.Apply(w.at, gs...)
	want := w.oracle.apply(w.at, gs)
	w.log = append(w.log, d.Entries...)
	var codes []ResultCode
	for i := range results {
		if results[i] != want[i] {
			w.t.Errorf("group %d: got %+v (%s), the oracle %+v (%s)", i, results[i], results[i].Code, want[i], want[i].Code)
		}
		codes = append(codes, results[i].Code)
	}
	if err := Check(&w.book.Snapshot); err != nil {
		w.t.Fatal(err)
	}
	return codes
}

func wantCodes(t *testing.T, got []ResultCode, want ...ResultCode) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAGroupThatFailedLeavesClaimsAsTheyWere(t *testing.T) {
	w := newWorld(t)
	w.must(pay("h", ana, bo, 1, settles("1"), held(minute)))
	tooMuch := pay("x", cy, bo, 21)
	wantCodes(t, w.batch(
		Group{void("v", "h"), tooMuch},                                    // the claim was free for a moment
		Group{pay("p", cy, bo, 1, settles("1"))},                          // it is not
		Group{pay("q", cy, bo, 1, settles("2")), pay("y", cy, bo, 21)},    // and this one was taken for a moment
		Group{pay("r", cy, bo, 1, settles("2"))},                          // it is free
		Group{pay("s", cy, bo, 1, settles("2"))},                          // no more
		Group{void("u", "h"), pay("z", ana, bo, 1, settles("1"))},         // both in one act
		Group{void("t", "z"), pay("zz", ana, bo, 1, settles("1"))},        // a payment cannot be voided
		Group{pay("a1", ana, bo, 1), Abort{act("a2"), grn.ID, act("a1")}}, // nor what is paid be given up
		Group{pay("a1", ana, bo, 1)},
		Group{Abort{act("a3"), grn.ID, act("a4")}, pay("a5", ana, bo, 100)},
		Group{pay("a4", ana, bo, 1)}, // it was not given up
	), ExceedsFloor, AlreadySettled, ExceedsFloor, OKCreated, AlreadySettled, OKCreated, PendingNotPending, AlreadyPosted, OKCreated, ExceedsFloor, OKCreated)
	w.ended()
}

func TestAGroupThatFailedLeavesEverythingAsItWas(t *testing.T) {
	w := newWorld(t)
	w.must(pay("h", ana, bo, 3, held(minute)))
	w.must(pay("o", ana, bo, 4))
	before := StateDigest(&w.book.Snapshot)
	d, results := Apply(&w.book.Snapshot, w.at, []Group{{
		newCurrency("NEW", func(*Currency) {}), open("dan", grn, func(*OpenAccount) {}), pay("p", ana, acct(grn, "dan"), 2), post("c", "h", 2), refund("r", "o", 1),
		flags("f", cy, NoCredit), limits("l", bo, At(-1), Bound{}), rules("s", grn, levied(100, 1, 1)), note(NoteEpoch, 0),
		Rebind{ID: act("b"), Account: bo, NewRef: "x", Decision: decided}, void("v", "h"),
	}})
	if results[0].Code != AlreadyPosted || results[0].Index != 10 {
		t.Fatalf("got %+v", results[0])
	}
	if len(d.Currencies)+len(d.Accounts)+len(d.Transfers)+len(d.Entries) != 0 || len(d.Outcomes) != 1 || d.Outcomes[0].ID != act("v") {
		t.Errorf("a trace is left: %+v", d)
	}
	if StateDigest(&w.book.Snapshot) != before {
		t.Error("Apply changed its arguments")
	}
	w.want(AccountNotFound, flags("g", acct(grn, "dan"), 0))
	w.must(pay("p", ana, bo, 2))
}

// TestManyCopies makes a batch so large that its copies are indexed, and takes some of them back.
func TestManyCopies(t *testing.T) {
	w := newWorld(t)
	var gs []Group
	for i := range 40 {
		name := string(rune('A'+i%26)) + string(rune('a'+i/26))
		gs = append(gs, Group{open(name, grn, func(*OpenAccount) {}), pay("to "+name, ana, acct(grn, name), 1)})
		gs = append(gs, Group{pay("from "+name, acct(grn, name), ana, 1), pay("again "+name, acct(grn, name), ana, 30)}) // fails
		gs = append(gs, Group{pay("from "+name, acct(grn, name), ana, 1)})
	}
	for i, code := range w.batch(gs...) {
		if want := []ResultCode{OKCreated, ExceedsFloor, OKCreated}[i%3]; code != want {
			t.Fatalf("group %d: got %s, want %s", i, code, want)
		}
	}
	w.balance(ana, 0)
	w.ended()
}

func TestLeviesAreFoundWhateverWasLookedAtFirst(t *testing.T) {
	w := newWorld(t)
	w.must(rules("r", grn, levied(1000, 1, 0)))
	for i, c := range []func(hold string) []Group{
		func(h string) []Group {
			return []Group{{Void{ID: act("a" + h), Pending: LevyID(act(h))}}, {post("p"+h, h, All)}}
		},
		func(h string) []Group {
			return []Group{{Post{ID: act("b" + h), Pending: LevyID(act(h)), Amount: 1}}, {void("p"+h, h)}}
		},
		func(h string) []Group { return []Group{{flags("c"+h, fund, 0)}, {post("p"+h, h, All)}} },
		func(h string) []Group { return []Group{{flags("c"+h, fund, 0)}, {void("p"+h, h)}} },
		func(h string) []Group { return []Group{{flags("c"+h, ana, 0)}, {post("p"+h, h, All)}} },
	} {
		h := string(rune('0' + i))
		w.must(pay(h, ana, bo, 1, held(minute)))
		codes := w.batch(c(h)...)
		if codes[1] != OKCreated {
			t.Errorf("case %d: %v", i, codes)
		}
		if l := w.book.Transfers[LevyID(act(h))]; l.State == Pending {
			t.Errorf("case %d: the levy is held for ever", i)
		}
	}
	w.ended()
}

func TestALevyOfNothingLooksAtNobody(t *testing.T) {
	w := newWorld(t)
	w.must(rules("r", grn, levied(1000, 1, 0)))
	w.must(pay("h", ana, bo, 5, held(minute)))
	w.must(flags("f", fund, NoCredit))
	w.want(CreditBlocked, post("a", "h", 5))
	w.must(post("b", "h", 4)) // four fifths of 1 is nothing
	if l := w.book.Transfers[LevyID(act("h"))]; l.State != Voided {
		t.Errorf("the levy is %s", l.State)
	}
	w.ended()
}

// TestWhatIsDueWithinABatch: each entry is a nanosecond after the one before, and what is due by then ends first.
func TestWhatIsDueWithinABatch(t *testing.T) {
	w := newWorld(t)
	w.must(pay("h", ana, bo, 1, held(minute))) // at noon
	w.later(minute - 1)
	got := w.batch(Group{pay("a", cy, bo, 1)}, Group{post("b", "h", 1)}, Group{pay("c", cy, bo, 1)})
	wantCodes(t, got, OKCreated, TransferExpired, OKCreated)
	var kinds []string
	for _, e := range w.log[len(w.log)-3:] {
		kinds = append(kinds, e.Kind())
	}
	if !slices.Equal(kinds, []string{"pay", "expire", "pay"}) {
		t.Errorf("got %v", kinds)
	}
	w.must(pay("i", ana, bo, 1, held(time.Second)))
	at := w.book.Transfers[act("i")].Expires
	w.at = at - 1
	if r := w.send(pay("d", cy, bo, 1), post("e", "i", 1)); r.Code != TransferExpired || r.Index != 1 { // in the moment of its end, within a group
		t.Errorf("got %+v", r)
	}
	w.must(post("f", "i", 1)) // it is not over yet
	w.ended()
}

// TestWhatIsDueMayHaveEnded: a hold that is among the dues was voided earlier in the batch, whose copies are indexed.
func TestWhatIsDueMayHaveEnded(t *testing.T) {
	w := newWorld(t)
	w.must(pay("h", ana, bo, 1, held(minute)))
	w.later(minute - 2)
	gs := []Group{{void("v", "h")}}
	for i := range 12 {
		gs = append(gs, Group{pay("x"+string(rune('a'+i)), cy, bo, 1)})
	}
	for i, code := range w.batch(gs...) {
		if code != OKCreated {
			t.Errorf("group %d: %s", i, code)
		}
	}
	if got := w.book.Transfers[act("h")].State; got != Voided {
		t.Errorf("the hold is %s", got)
	}
	w.ended()
}

// TestWhatASnapshotLacksDoesNotExist takes away what Keys asks for.
func TestWhatASnapshotLacksDoesNotExist(t *testing.T) {
	w := newWorld(t)
	w.must(rules("r", grn, levied(1000, 1, 0)))
	w.must(pay("h", ana, bo, 2, held(minute)))
	w.must(pay("o", ana, bo, 2))
	for _, x := range []struct {
		lacks                ID
		post, refund, limits ResultCode
	}{
		{grn.ID, PendingNotFound, OriginalNotFound, CurrencyNotFound},
		{ana, PendingNotFound, CreditAccountNotFound, AccountNotFound},
		{bo, PendingNotFound, DebitAccountNotFound, OKCreated},
	} {
		b := cloneBook(w.book)
		delete(b.Currencies, x.lacks)
		delete(b.Accounts, x.lacks)
		for cmd, want := range map[Command]ResultCode{post("p", "h", 1): x.post, void("v", "h"): x.post, refund("f", "o", 1): x.refund, flags("g", ana, 0): x.limits, limits("l", ana, Bound{}, Bound{}): x.limits} {
			if _, results := Apply(&b.Snapshot, noon+100, []Group{{cmd}}); results[0].Code != want {
				t.Errorf("%+v: got %s, want %s", cmd, results[0].Code, want)
			}
		}
		at := noon + 2*Instant(minute)
		b.Due = dues(&b.Snapshot, b.DueUntil(at), nil)
		for i := range b.Due { // whichever comes first
			s := b.Snapshot
			if s.Due = b.Due[i : i+1]; x.lacks != grn.ID && x.lacks != s.Due[0].Debit && x.lacks != s.Due[0].Credit {
				continue
			}
			if d := Expire(&s, at, 5); len(d.Entries) != 0 {
				t.Errorf("%+v was expired", d.Entries)
			}
			if x.lacks != grn.ID {
				if d, results := Apply(&s, at, []Group{{note(NotePolicy, 1)}}); results[0].Code != OKCreated || len(d.Entries) != 1 {
					t.Errorf("got %+v", d.Entries)
				}
			}
		}
	}
	b := cloneBook(w.book) // the levy's account alone
	delete(b.Accounts, fund)
	if d, results := Apply(&b.Snapshot, noon+100, []Group{{post("p", "h", 1)}}); results[0].Code != OKCreated || len(d.Entries) != 1 {
		t.Errorf("got %+v", results[0])
	}
	s := w.book.Snapshot
	s.Due = []Transfer{s.Transfers[act("o")], s.Transfers[act("h")]} // one that is not due, one not yet
	if d := Expire(&s, noon+100, 5); len(d.Entries) != 0 {
		t.Errorf("%+v was expired", d.Entries)
	}
}

func TestWantIDsAreTheLevies(t *testing.T) {
	gs := []Group{{pay("a", ana, bo, 1), pay("b", ana, bo, 1, code(Share))}, {post("c", "h", 1)}, {pay("d", ana, bo, 1)}}
	want := sorted([]ID{LevyID(act("a")), LevyID(act("d"))})
	plain, with := Snapshot{Currencies: map[ID]Currency{grn.ID: grn}}, grn
	with.Rules.Levy.To = fund
	taxed := Snapshot{Currencies: map[ID]Currency{top.ID: top, grn.ID: with}}
	if got := plain.WantIDs(gs); got != nil {
		t.Errorf("without a levy: got %v", got)
	}
	if got := taxed.WantIDs(gs); !slices.Equal(got, want) {
		t.Errorf("with a levy: got %v, want %v", got, want)
	}
	if got := plain.WantIDs(append([]Group{{rules("r", grn, levied(1, 0, 0))}}, gs...)); !slices.Equal(got, want) {
		t.Errorf("with a levy to come: got %v, want %v", got, want)
	}
	if got := plain.WantIDs(append([]Group{{rules("r", grn, func(*Rules) {})}}, gs...)); got != nil {
		t.Errorf("with rules to come: got %v", got)
	}
}

func TestDueUntilFollowsTheLaterClock(t *testing.T) {
	s := Snapshot{Currencies: map[ID]Currency{grn.ID: {Last: 50}, top.ID: {Last: 70}}}
	for at, want := range map[Instant]Instant{10: 70, 60: 70, 80: 80} {
		if got := s.DueUntil(at); got != want+Instant(Slack) {
			t.Errorf("at %d: got %d, want %d and a millisecond", at, got, want)
		}
	}
}

func TestSortDueAndMoves(t *testing.T) {
	due := []Transfer{{Expires: 2, Seq: 1, ID: ID{1}}, {Expires: 1, Seq: 3, ID: ID{2}}, {Expires: 1, Seq: 2, ID: ID{4}}, {Expires: 1, Seq: 2, ID: ID{3}}}
	SortDue(due)
	var got []byte
	for _, x := range due {
		got = append(got, x.ID[0])
	}
	if !slices.Equal(got, []byte{3, 4, 2, 1}) {
		t.Errorf("got %v", got)
	}
	for _, x := range []struct {
		cmd   Command
		id    ID
		moves bool
	}{{pay("p", ana, bo, 1), act("p"), true}, {pay("h", ana, bo, 1, held(minute)), act("h"), false}, {post("c", "h", 1), act("h"), true}, {refund("r", "p", 1), act("r"), true},
		{void("v", "h"), ID{}, false}, {expire{act("h")}, ID{}, false}, {note(NotePolicy, 0), ID{}, false}} {
		if id, moves := (Entry{Cmd: x.cmd}).Moves(); id != x.id || moves != x.moves {
			t.Errorf("%+v: got %s, %v", x.cmd, id, moves)
		}
	}
}

// TestMoreCopiesThanExpected: one command, before which more ends than a small batch is made for.
func TestMoreCopiesThanExpected(t *testing.T) {
	w := newWorld(t)
	w.must(rules("r", grn, func(r *Rules) { r.MaxPending = 20 }))
	for i := range 12 {
		name := string(rune('A' + i))
		w.must(open(name, grn, func(*OpenAccount) {}))
		w.must(pay("to "+name, ana, acct(grn, name), 1, held(minute)))
	}
	w.later(2 * minute)
	w.must(pay("p", ana, bo, 20))
	if a := w.book.Accounts[ana]; a.PendingCount != 0 || a.DebitsPending != 0 || a.DebitsPosted != 20 {
		t.Errorf("got %+v", a)
	}
	w.ended()
}
