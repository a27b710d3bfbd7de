package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEveryStateOfASmallBook goes from an empty book to each state that some commands can bring about: three accounts, two of which may
// owe 2; amounts 1 and 2; holds, posts, voids, refunds, expiries, a claim, floors of -2 and 0 that move. Of each command in each state it
// asks the oracle for its answer, and holds the invariants I1 to I10. What it finds true is true of every book of this size.
// PLANET_LEDGER_DEPTH is how many commands it takes.
func TestEveryStateOfASmallBook(t *testing.T) {
	depth := full(t, "PLANET_LEDGER_DEPTH", 4)
	if testing.Short() {
		depth = 2
	}
	x := explorer{t: t, seen: map[string]bool{}}
	frontier := [][]step{nil}
	x.seen[x.rebuild(nil).key()] = true
	t.Logf("depth 0: 1 state")
	for d := 1; d <= depth; d++ {
		var next [][]step
		for _, path := range frontier {
			next = append(next, x.expand(path)...)
			if t.Failed() {
				return
			}
		}
		frontier = next
		t.Logf("depth %d: %d states, %d transitions so far, %d of which were refused", d, len(x.seen), x.transitions, x.refused)
	}
}

type explorer struct {
	t                    *testing.T
	seen                 map[string]bool
	transitions, refused int
}

// step is one command, after some time.
type step struct {
	cmd   Command
	after time.Duration
}

var corner = []ID{acct(grn, "a"), acct(grn, "b"), acct(grn, "c")}

// small is a state: the book, the oracle, and the log that led to them.
type small struct {
	book   *Book
	oracle *oracle
	at     Instant
	log    []Entry
}

func (x *explorer) rebuild(path []step) *small {
	s := &small{book: NewBook(), oracle: newOracle(), at: noon}
	c := grn
	c.Rules.Ceil, c.Rules.MaxPending = At(3), 2
	g := Group{OpenCurrency{ID: act("c"), Currency: c}}
	for i, name := range []string{"a", "b", "c"} {
		o := c.NewAccount(person(name), Member)
		if o.Floor = At(-2); i == 2 {
			o.Floor = At(0)
		}
		g = append(g, o)
	}
	d, _ := s.book.Apply(s.at, g)
	s.log = d.Entries
	s.oracle.apply(s.at, []Group{g})
	s.at += Instant(time.Second)
	for _, p := range path {
		s.at += Instant(p.after)
		d, _ := s.book.Apply(s.at, Group{p.cmd})
		s.log = append(s.log, d.Entries...)
		s.oracle.apply(s.at, []Group{{p.cmd}})
	}
	return s
}

func (s *small) clone() *small {
	return &small{book: cloneBook(s.book), oracle: s.oracle.clone(), at: s.at, log: slices.Clip(s.log)}
}

// key is all of a state that decides about what may come: what the accounts have, hold and may owe, what is held in the order of its end,
// what may be refunded, and whether the claim is open. What ended is not in it, nor who has which id.
func (s *small) key() string {
	var b strings.Builder
	for _, id := range corner {
		a := s.book.Accounts[id]
		fmt.Fprintf(&b, "%d %d %d|", a.Balance(), a.Floor.V, a.PendingCount)
	}
	var holds []Transfer
	var back []string
	for _, x := range s.book.Transfers {
		switch {
		case x.State == Pending:
			holds = append(holds, x)
		case x.State == Posted && x.Code != RefundCode && x.Posted > x.Refunded:
			back = append(back, fmt.Sprint(slices.Index(corner, x.Debit), slices.Index(corner, x.Credit), x.Posted-x.Refunded))
		}
	}
	slices.SortFunc(holds, compareDue)
	slices.Sort(back)
	for _, h := range holds {
		fmt.Fprint(&b, slices.Index(corner, h.Debit), slices.Index(corner, h.Credit), h.Amount, h.Settles.IsZero(), " ")
	}
	fmt.Fprint(&b, back, len(s.book.Settled))
	return b.String()
}

// steps are the commands that are tried in a state.
func (s *small) steps(depth int) (out []step) {
	id := act(fmt.Sprint("step ", depth))
	for _, from := range corner {
		for _, to := range corner {
			for n := range Amount(3) {
				if n == 0 && from != to || n != 0 && from == to {
					continue // zero once for each account, to itself
				}
				p := Pay{ID: id, Currency: grn.ID, Debit: from, Credit: to, Amount: n}
				h := p
				h.Pending, h.Timeout = true, time.Minute
				out = append(out, step{cmd: p}, step{cmd: h})
				if from == corner[0] && to == corner[1] && n == 1 {
					p.Settles, h.Settles = NewID("claim"), NewID("claim")
					out = append(out, step{cmd: p}, step{cmd: h})
				}
			}
		}
	}
	var first Instant
	for _, x := range sortedTransfers(s.book) {
		for _, n := range []Amount{1, 2, All} {
			out = append(out, step{cmd: Post{ID: id, Pending: x.ID, Amount: n}}, step{cmd: Refund{ID: id, Original: x.ID, Amount: n}})
		}
		out = append(out, step{cmd: Void{ID: id, Pending: x.ID}}, step{cmd: Abort{ID: id, Currency: grn.ID, Target: x.ID}})
		if x.State == Pending && (first == 0 || x.Expires < first) {
			first = x.Expires
			out = append(out, step{cmd: Post{ID: id, Pending: x.ID, Amount: 1}, after: time.Duration(first - s.at)}) // in the moment of its end
		}
	}
	for _, account := range corner {
		for _, floor := range []int64{-2, 0} {
			if s.book.Accounts[account].Floor.V != floor {
				out = append(out, step{cmd: SetLimits{ID: id, Account: account, Floor: At(floor), Ceil: At(3), Decision: decided}})
			}
		}
	}
	return append(out, step{cmd: Abort{ID: id, Currency: grn.ID, Target: act(fmt.Sprint("step ", depth+1))}})
}

func sortedTransfers(b *Book) []Transfer {
	var out []Transfer
	for _, id := range keysOf(b.Transfers) {
		out = append(out, b.Transfers[id])
	}
	return out
}

// expand tries every command in the state at the end of path, and gives the paths to states that were not seen before.
func (x *explorer) expand(path []step) (next [][]step) {
	from := x.rebuild(path)
	x.again(from, path)
	for _, st := range from.steps(len(path)) {
		x.transitions++
		to := from.clone()
		to.at += Instant(st.after)
		d, got := to.book.Apply(to.at, Group{st.cmd})
		if want := to.oracle.apply(to.at, []Group{{st.cmd}}); got[0] != want[0] {
			x.t.Fatalf("%+v, then %+v: got %s, the oracle %s", path, st, got[0].Code, want[0].Code)
		}
		to.log = append(to.log, d.Entries...)
		if err := x.invariants(from, to, d, st, got[0]); err != nil {
			x.t.Fatalf("%+v, then %+v (%s): %v", path, st, got[0].Code, err)
		}
		if !got[0].Code.OK() {
			x.refused++
		}
		if key := to.key(); !x.seen[key] {
			x.seen[key] = true
			if err := replay(to.book, to.log, false); err != nil { // I8
				x.t.Fatalf("%+v, then %+v: %v", path, st, err)
			}
			next = append(next, append(slices.Clip(path), st))
		}
	}
	return next
}

// again gives every command of the path once more: the answers are the first ones, and nothing changes (I7).
func (x *explorer) again(s *small, path []step) {
	before := StateDigest(&s.book.Snapshot)
	for _, p := range path {
		x.transitions++
		_, got := s.book.Apply(s.at, Group{p.cmd})
		if want := s.oracle.apply(s.at, []Group{{p.cmd}}); got[0] != want[0] || got[0].Code == OKCreated {
			x.t.Fatalf("%+v, again: got %+v, want %+v", p.cmd, got[0], want[0])
		}
	}
	if StateDigest(&s.book.Snapshot) != before {
		x.t.Fatalf("%+v, again, changed something", path)
	}
}

func (x *explorer) invariants(from, to *small, d Delta, st step, r Result) error {
	if err := Check(&to.book.Snapshot); err != nil { // I1, I2, I3, I5, I6, I10
		return err
	}
	for i, id := range corner {
		before, after := from.book.Accounts[id], to.book.Accounts[id]
		spend, had := after.Balance()-after.DebitsPending, before.Balance()-before.DebitsPending
		if spend < after.Floor.V && spend < had {
			return fmt.Errorf("account %d went from %d to %d below its floor of %d (I4)", i, had, spend, after.Floor.V)
		}
		if top, was := after.Balance()+after.CreditsPending, before.Balance()+before.CreditsPending; top > after.Ceil.V && top > was {
			return fmt.Errorf("account %d went from %d to %d above its ceiling of %d (I4)", i, was, top, after.Ceil.V)
		}
		if after.DebitsPosted < before.DebitsPosted || after.CreditsPosted < before.CreditsPosted {
			return fmt.Errorf("a posted counter of account %d fell (I2)", i)
		}
		same := before
		same.DebitsPending, same.DebitsPosted, same.CreditsPending, same.CreditsPosted, same.PendingCount = after.DebitsPending, after.DebitsPosted, after.CreditsPending, after.CreditsPosted, after.PendingCount
		if _, moved := st.cmd.(SetLimits); !moved && same != after {
			return fmt.Errorf("account %d was %+v and is %+v (I9)", i, before, after)
		}
	}
	for id, was := range from.book.Transfers {
		is, there := to.book.Transfers[id]
		same := was
		same.State, same.Posted, same.Refunded, same.ResolvedAt = is.State, is.Posted, is.Refunded, is.ResolvedAt
		if !there || same != is {
			return fmt.Errorf("transfer %+v became %+v (I9)", was, is)
		}
		if was.State != Pending && (is.State != was.State || is.Posted != was.Posted || is.ResolvedAt != was.ResolvedAt || is.Refunded < was.Refunded) {
			return fmt.Errorf("transfer %+v ended, and is %+v (I5)", was, is)
		}
	}
	for id, was := range from.book.Outcomes {
		if to.book.Outcomes[id] != was {
			return fmt.Errorf("of %s came %+v, and then %+v (I7)", id, was, to.book.Outcomes[id])
		}
		if _, there := to.book.Transfers[id]; there {
			return fmt.Errorf("%s is a transfer and %s (I7)", id, was.Code)
		}
	}
	last := from.log[len(from.log)-1]
	for _, e := range d.Entries {
		if e.Seq != last.Seq+1 || e.At <= last.At {
			return fmt.Errorf("entry %d at %d follows entry %d at %d (I8)", e.Seq, e.At, last.Seq, last.At)
		}
		last = e
	}
	if made := len(d.Entries) > 0 && d.Entries[len(d.Entries)-1].ID() == st.cmd.id(); made != (r.Code == OKCreated) {
		return fmt.Errorf("%d entries (I8)", len(d.Entries))
	}
	return nil
}
