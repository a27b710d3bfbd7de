package ledger

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// around is a command that is none of ours, though it looks like one.
type around struct{ Command }

func TestApplyTakesWhateverItIsGiven(t *testing.T) {
	w := newWorld(t)
	var nothing *Pay
	p := pay("p", ana, bo, 5)
	for _, c := range []Command{nil, nothing, &p, around{p}, around{}, (*Note)(nil), expire{act("p")}, expire{}} {
		gs := []Group{{c}, {pay("q", ana, bo, 1), c}, nil, {}}
		before := StateDigest(&w.book.Snapshot)
		if k := Keys(gs); slices.Contains(k.IDs, act("p")) {
			t.Errorf("%T: got the keys %v", c, k)
		}
		w.book.WantIDs(gs)
		_, results := w.book.Apply(noon, gs...)
		for i, r := range results {
			if r.Code != Malformed {
				t.Errorf("%T, group %d: %s", c, i, r.Code)
			}
		}
		if results[1].Index != 1 {
			t.Errorf("%T: command %d is malformed, want 1", c, results[1].Index)
		}
		if StateDigest(&w.book.Snapshot) != before {
			t.Errorf("%T changed the book", c)
		}
		if err := w.book.Replay(Entry{Cmd: c, At: noon + 1}); err == nil {
			t.Errorf("%T was replayed", c)
		}
	}
	if d, results := Apply(&Snapshot{}, noon, []Group{{p}}); results[0].Code != CurrencyNotFound || len(d.Entries) != 0 {
		t.Errorf("on nothing: got %+v, %+v", d, results)
	}
	if d, results := Apply(&Snapshot{}, noon, nil); !reflect.DeepEqual(d, Delta{Entries: []Entry{}}) || len(results) != 0 {
		t.Errorf("of nothing: got %+v, %+v", d, results)
	}
}

func TestNoClockOutOfItsMindMovesAnything(t *testing.T) {
	for _, at := range []Instant{0, -1, -1 << 63, maxInstant, 1<<63 - 1} {
		w := newWorld(t)
		w.must(pay("h", ana, bo, 5, held(minute)))
		w.at = at
		w.want(Malformed, pay("p", ana, bo, 5))
		if d := w.book.Expire(at, 10); len(d.Entries) != 0 {
			t.Errorf("at %d, %d entries", at, len(d.Entries))
		}
		s := w.book.Snapshot
		s.Due = dues(&s, 1<<63-1, nil)
		if d := Expire(&s, at, 10); len(d.Entries) != 0 {
			t.Errorf("at %d, %d entries", at, len(d.Entries))
		}
		w.at = noon + 100
		w.must(post("p", "h", All))
		w.ended()
	}
	w := newWorld(t)
	w.at = maxInstant - 1
	w.must(pay("p", ana, bo, 5))
	w.at = 1
	w.must(pay("q", ana, bo, 5))
}

func TestExpireTakesTheFirstOfWhatIsDue(t *testing.T) {
	w := newWorld(t)
	w.must(pay("a", ana, bo, 1, held(3*time.Second)))
	w.must(pay("b", tia, tom, 2, in(top), held(2*time.Second)))
	w.must(pay("c", cy, bo, 3, held(time.Second)))
	w.must(pay("d", bo, cy, 4, held(9*time.Second)))
	w.later(4 * time.Second)
	var got []ID
	for _, limit := range []int{-1, 0, 1, 1, 5, 5} {
		d := w.book.Expire(w.at, limit)
		for _, e := range d.Entries {
			got = append(got, e.ID())
			if e.Kind() != "expire" || !e.Group.IsZero() {
				t.Errorf("got %+v", e)
			}
		}
		if n := len(d.Entries); limit < 2 && n != max(0, limit) {
			t.Errorf("limit %d: %d entries", limit, n)
		}
		if err := Check(&w.book.Snapshot); err != nil {
			t.Fatal(err)
		}
		w.log = append(w.log, d.Entries...)
	}
	if want := []ID{act("c"), act("b"), act("a")}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	w.ended()
}

// TestWhatIsDueDoesNotWaitForAnotherCurrency: the head of one currency may be ahead of the others'.
func TestWhatIsDueDoesNotWaitForAnotherCurrency(t *testing.T) {
	w := newWorld(t)
	w.must(pay("g", ana, bo, 1, held(10*time.Second)))
	w.must(pay("t", tia, tom, 1, in(top), held(11*time.Second)))
	w.later(20 * time.Second)
	w.at -= Instant(5 * time.Second)
	d, _ := Apply(&w.book.Snapshot, w.at, []Group{{pay("x", tia, tom, 1, in(top), code(Share))}}) // the head of TOP is here, the other's behind
	w.book.Merge(d)
	w.at = noon + Instant(9*time.Second)
	s := w.book.Snapshot
	s.Due = dues(&s, s.DueUntil(w.at), nil)
	if len(s.Due) != 2 {
		t.Fatalf("%d are due, want 2", len(s.Due))
	}
	d, _ = Apply(&s, w.at, []Group{{pay("y", tia, tom, 1, in(top), code(Share))}})
	if len(d.Entries) != 2 || d.Entries[0].ID() != act("t") || len(d.Currencies) != 1 {
		t.Errorf("got %+v", d.Entries)
	}
}

// TestReplayFindsWhatDoesNotFollow changes an honest log in many ways.
func TestReplayFindsWhatDoesNotFollow(t *testing.T) {
	w := newWorld(t)
	w.must(rules("r", grn, levied(1000, 1, 0)))
	w.must(pay("p", ana, bo, 5))
	w.must(pay("h", bo, cy, 2, held(minute)))
	w.must(post("c", "h", 1))
	w.must(pay("i", bo, cy, 2, held(minute), code(Share)))
	w.later(2 * minute)
	w.must(pay("q", ana, bo, 1), refund("s", "p", 2))
	w.must(flags("f", ana, NoDebit))
	var log []Entry
	for _, e := range w.log {
		if e.Currency == grn.IRI {
			log = append(log, e)
		}
	}
	run := func(log []Entry) error {
		b := NewBook()
		for _, e := range log {
			if err := b.Replay(e); err != nil {
				return err
			}
		}
		return b.Ended()
	}
	if err := run(log); err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(*Entry){
		"seq":     func(e *Entry) { e.Seq++ },
		"time":    func(e *Entry) { e.At -= Instant(2 * time.Hour) },
		"no time": func(e *Entry) { e.At = 0 },
		"far":     func(e *Entry) { e.At = maxInstant },
		"debit":   func(e *Entry) { e.Debit[0]++ },
		"credit":  func(e *Entry) { e.Credit[0]++ },
		"amount":  func(e *Entry) { e.Amount++ },
		"after":   func(e *Entry) { e.DebitAfter++ },
		"after 2": func(e *Entry) { e.CreditAfter-- },
		"book":    func(e *Entry) { e.Currency += "x" },
		"command": func(e *Entry) { e.Cmd = post("other", "p", 1) },
	}
	for name, change := range changes {
		for i := range log {
			bad := slices.Clone(log)
			change(&bad[i])
			if string(Canon(bad[i])) == string(Canon(log[i])) {
				continue // it had none
			}
			if name == "time" && i == 0 {
				continue // a book may begin whenever it likes
			}
			if err := run(bad); err == nil {
				t.Errorf("%s of entry %d (%s) was changed", name, i, log[i].Kind())
			}
		}
	}
	for i := range log {
		if err := run(slices.Delete(slices.Clone(log), i, i+1)); err == nil && i != len(log)-1 {
			t.Errorf("entry %d (%s) is missing", i, log[i].Kind())
		}
		if err := run(slices.Insert(slices.Clone(log), i, log[i])); err == nil {
			t.Errorf("entry %d (%s) is there twice", i, log[i].Kind())
		}
		if i == 0 {
			continue
		}
		levy := log[i].ID() == LevyID(log[i-1].ID())
		if err := run(log[:i]); (err != nil) != levy {
			t.Errorf("a log that ends before entry %d: %v", i, err)
		}
		if bad := slices.Clone(log); levy {
			bad[i].Group = ID{}
			if err := run(bad); err == nil {
				t.Errorf("the levy %d belongs to nothing", i)
			}
		}
	}
}

// TestCheckFindsWhatIsBroken breaks a book in one place after another.
func TestCheckFindsWhatIsBroken(t *testing.T) {
	build := func() *Book {
		w := newWorld(t)
		w.must(pay("p", ana, bo, 5, settles("1")))
		w.must(pay("h", ana, bo, 3, held(minute)))
		w.must(pay("i", ana, bo, 2, held(minute)))
		w.must(void("v", "i"))
		w.must(refund("r", "p", 2))
		w.must(pay("g", gia, gus, 0, in(gft)))
		w.must(pay("k", ana, cy, 1))
		w.must(pay("l", ana, fund, 1, held(minute)))
		return w.book
	}
	transfer := func(name string, change func(*Transfer)) func(*Book) {
		return func(b *Book) {
			x := b.Transfers[act(name)]
			change(&x)
			b.Transfers[act(name)] = x
		}
	}
	account := func(id ID, change func(*Account)) func(*Book) {
		return func(b *Book) {
			a := b.Accounts[id]
			change(&a)
			b.Accounts[id] = a
		}
	}
	for _, x := range []struct {
		want   string
		change func(*Book)
	}{
		{"no possible state", transfer("p", func(x *Transfer) { x.ID = ID{} })},
		{"no possible state", transfer("p", func(x *Transfer) { x.Amount = -1 })},
		{"no possible state", transfer("p", func(x *Transfer) { x.Amount = MaxAmount + 1 })},
		{"no possible state", transfer("p", func(x *Transfer) { x.Posted = -1 })},
		{"no possible state", transfer("p", func(x *Transfer) { x.Posted = 6 })},
		{"no possible state", transfer("p", func(x *Transfer) { x.Refunded = -1 })},
		{"no possible state", transfer("p", func(x *Transfer) { x.Refunded = 6 })},
		{"no possible state", transfer("p", func(x *Transfer) { x.State = Expired + 1 })},
		{"no possible state", transfer("p", func(x *Transfer) { x.ResolvedAt = 0 })},
		{"no possible state", transfer("h", func(x *Transfer) { x.ResolvedAt = 1 })},
		{"no possible state", transfer("h", func(x *Transfer) { x.Posted = 1 })},
		{"no possible state", transfer("h", func(x *Transfer) { x.Held = false })},
		{"no possible state", transfer("i", func(x *Transfer) { x.Held = false })},
		{"no possible state", transfer("i", func(x *Transfer) { x.Posted = 1 })},
		{"is of nothing", transfer("i", func(x *Transfer) { x.Amount = 0 })},
		{"one account on both sides", transfer("i", func(x *Transfer) { x.Debit = x.Credit })},
		{"settle the same claim", transfer("h", func(x *Transfer) { x.Settles = NewID("invoice", "1") })},
		{"claims are settled", transfer("h", func(x *Transfer) { x.Settles = NewID("invoice", "2") })},
		{"is said to be settled", func(b *Book) { b.Settled[NewID("invoice", "1")] = act("h") }},
		{"is said to be settled", func(b *Book) { b.Settled[NewID("invoice", "3")] = act("h") }},
		{"its refunds sum to 2, it says 1", transfer("p", func(x *Transfer) { x.Refunded = 1 })},
		{"its refunds sum to 2, it says 0", transfer("r", func(x *Transfer) { x.RefundOf = act("none") })},
		{"counter below zero", account(ana, func(a *Account) { a.DebitsPending = -1 })},
		{"counter below zero", account(ana, func(a *Account) { a.DebitsPosted = -1 })},
		{"counter below zero", account(ana, func(a *Account) { a.CreditsPending = -1 })},
		{"counter below zero", account(ana, func(a *Account) { a.CreditsPosted = -1 })},
		{"its pending counters", account(ana, func(a *Account) { a.DebitsPending++ })},
		{"its pending counters", account(ana, func(a *Account) { a.CreditsPending++ })},
		{"its pending counters", account(ana, func(a *Account) { a.PendingCount++ })},
		{"its posted counters", account(ana, func(a *Account) { a.DebitsPosted++ })},
		{"its posted counters", account(ana, func(a *Account) { a.CreditsPosted++ })},
		{"which does not exist", func(b *Book) { delete(b.Accounts, gus) }},
		{"(I1)", account(cy, func(a *Account) { a.Currency = top.ID })},
		{"(I1)", account(fund, func(a *Account) { a.Currency = top.ID })},
		{"(I1)", account(bo, func(a *Account) { a.Currency = top.ID })},
	} {
		b := build()
		if err := Check(&b.Snapshot); err != nil {
			t.Fatal(err)
		}
		x.change(b)
		if err := Check(&b.Snapshot); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("got %v, want %q", err, x.want)
		}
	}
}

func TestStatementRunsWithTheBalance(t *testing.T) {
	w := newWorld(t)
	w.must(rules("r", grn, levied(1000, 1, 0)))
	w.must(pay("p", ana, bo, 5))
	w.must(pay("h", ana, bo, 4, held(minute)))
	w.must(post("c", "h", 3))
	w.must(pay("i", bo, ana, 1, held(minute), code(Share)))
	w.must(void("v", "i"))
	w.must(refund("f", "p", 2))
	w.must(flags("g", ana, NoDebit))
	codes := func(id ID) Code { return w.book.Transfers[id].Code }
	want := map[ID][]Line{
		ana: {{Entry: act("p"), Transfer: act("p"), Code: Payment, Other: bo, Change: -5, Balance: -5},
			{Entry: LevyID(act("p")), Transfer: LevyID(act("p")), Code: LevyCode, Other: fund, Change: -1, Balance: -6},
			{Entry: act("c"), Transfer: act("h"), Code: Payment, Other: bo, Change: -3, Balance: -9},
			{Entry: act("f"), Transfer: act("f"), Code: RefundCode, Other: bo, Change: 2, Balance: -7}},
		bo: {{Entry: act("p"), Transfer: act("p"), Code: Payment, Other: ana, Change: 5, Balance: 5},
			{Entry: act("c"), Transfer: act("h"), Code: Payment, Other: ana, Change: 3, Balance: 8},
			{Entry: act("f"), Transfer: act("f"), Code: RefundCode, Other: ana, Change: -2, Balance: 6}},
		fund: {{Entry: LevyID(act("p")), Transfer: LevyID(act("p")), Code: LevyCode, Other: ana, Change: 1, Balance: 1}},
		cy:   nil,
	}
	for id, lines := range want {
		s := Statement{Account: id}
		for _, e := range w.log {
			if l, ok := LineOf(id, e, codes); ok {
				if l.Seq != e.Seq || l.At != e.At {
					t.Errorf("got %+v of %+v", l, e)
				}
				l.Seq, l.At = 0, 0
				if err := s.Add(l); err != nil {
					t.Error(err)
				}
			}
		}
		if !slices.Equal(s.Lines, lines) || s.Closing != w.book.Accounts[id].Balance() {
			t.Errorf("got\n%+v\nwant\n%+v", s.Lines, lines)
		}
	}
	s := Statement{Account: ana, Opening: 5, Closing: 5}
	if err := s.Add(Line{Seq: 3, Change: 2, Balance: 8}); err == nil || len(s.Lines) != 0 || s.Closing != 5 {
		t.Errorf("got %v, %+v", err, s)
	}
}

func TestNamesAreReadAsTheyAreWritten(t *testing.T) {
	for k := range Gift + 1 {
		if got, err := ParseKind(k.String()); err != nil || got != k {
			t.Errorf("%s: got %s, %v", k, got, err)
		}
	}
	for c := range Share + 1 {
		if got, err := ParseCode(c.String()); err != nil || got != c {
			t.Errorf("%s: got %s, %v", c, got, err)
		}
	}
	for p := range Public + 1 {
		if got, err := ParsePrivacy(p.String()); err != nil || got != p {
			t.Errorf("%s: got %s, %v", p, got, err)
		}
	}
	for _, s := range []string{"", "Mutual", "unknown(9)", strings.Repeat("x", 100)} {
		if k, err := ParseKind(s); err == nil || k != 0 || len(err.Error()) > 200 {
			t.Errorf("%q: got %s, %v", s, k, err)
		}
	}
	for _, s := range []string{Kind(9).String(), Code(99).String(), Privacy(9).String(), Role(9).String(), TransferState(9).String(), OpenRule(9).String(), NoteKind(9).String(), ResultCode(99).String()} {
		if !strings.HasPrefix(s, "unknown(") {
			t.Errorf("got %q", s)
		}
	}
	for i, s := range []string{Pending.String(), Posted.String(), Voided.String(), Expired.String()} {
		if s != []string{"pending", "posted", "voided", "expired"}[i] {
			t.Errorf("got %q", s)
		}
	}
}

// TestReplayMissesWhatShouldHaveExpired replays what an Apply wrote that was not told what is due.
func TestReplayMissesWhatShouldHaveExpired(t *testing.T) {
	for late, ok := range map[Instant]bool{0: true, Instant(Slack) - 1: true, Instant(Slack): false, Instant(minute): false} {
		w := newWorld(t)
		w.must(pay("h", ana, bo, 5, held(minute)))
		w.must(pay("i", ana, bo, 5, held(minute)))
		w.must(void("v", "h")) // this one is not missed
		end := w.book.Transfers[act("i")].Expires
		d, _ := Apply(&w.book.Snapshot, end+late, []Group{{pay("x", tia, tom, 1, in(top))}, {pay("p", cy, bo, 1)}})
		for _, e := range d.Entries { // of the other currency, nothing is missed
			err := w.book.Replay(e)
			if want := ok || e.Currency == top.IRI; (err == nil) != want || err != nil && err.Error() != "entry "+string('0'+rune(e.Seq))+": transfer "+act("i").String()+" should have expired before" {
				t.Errorf("%d late: %v", late, err)
			}
		}
	}
}

func TestReplaySaysWhatDoesNotFollow(t *testing.T) {
	w := newWorld(t)
	w.must(rules("r", grn, levied(1000, 1, 0)))
	good := cloneBook(w.book)
	w.must(pay("p", ana, bo, 5))
	first, second := w.log[len(w.log)-2], w.log[len(w.log)-1]
	for _, x := range []struct {
		change func(*Entry)
		want   string
	}{
		{func(e *Entry) { e.CreditAfter = 6 }, `entry 6 says "credit_after 6" where "credit_after 5" follows from what was before`},
		{func(e *Entry) { e.Seq = 7 }, `entry 7 says "seq 7" where "seq 6" follows from what was before`},
		{func(e *Entry) { e.Cmd = pay("p", ana, bo, 50) }, "entry 6 could not happen: exceeds_floor"},
		{func(e *Entry) { e.Cmd = rules("r", grn, levied(1000, 1, 0)) }, "entry 6 has the id of entry 5"},
		{func(e *Entry) { e.Cmd = expire{act("h")} }, "entry 6 expires " + act("h").String() + ", which is not due"},
		{func(e *Entry) { e.Cmd = nil }, "entry 6 has no command"},
		{func(e *Entry) { e.At = -4 }, "entry 6 is at -4, which no clock gives"},
	} {
		e := first
		x.change(&e)
		if err := cloneBook(good).Replay(e); err == nil || err.Error() != x.want {
			t.Errorf("got %v, want %s", err, x.want)
		}
	}
	if err := good.Replay(first); err != nil {
		t.Fatal(err)
	}
	if err := good.Ended(); err == nil || err.Error() != "the log ends before entry 7, which belongs to entry 6" {
		t.Errorf("got %v", err)
	}
	bad := second
	bad.Cmd = note(NotePolicy, 1)
	if err := cloneOwing(good).Replay(bad); err == nil || err.Error() != `entry 7 says "kind note" where "kind pay" follows from what was before` {
		t.Errorf("got %v", err)
	}
	if err := good.Replay(second); err != nil || good.Ended() != nil {
		t.Errorf("got %v", err)
	}
	if err := sameEntry(Entry{Seq: 3, Cmd: note(NotePolicy, 0)}, Entry{Seq: 3, Cmd: note(NotePolicy, 1)}); err == nil || err.Error() != `entry 3 says "" where "body AA==" follows from what was before` {
		t.Errorf("got %v", err)
	}
}

func cloneOwing(b *Book) *Book {
	c := cloneBook(b)
	c.owed = slices.Clone(b.owed)
	return c
}

func TestWhatIsShownIsShort(t *testing.T) {
	for n, want := range map[int]int{63: 63, 64: 64, 65: 64 + len("…")} {
		if got := clip(strings.Repeat("x", n)); len(got) != want {
			t.Errorf("of %d: %d bytes, want %d", n, len(got), want)
		}
	}
}
