package ledger

import (
	"bytes"
	"cmp"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
)

// Book is the whole of some currencies in memory: what a store keeps, for replaying a log, for simulation and for tests.
type Book struct {
	Snapshot
	holds map[ID]*holds // by currency: pending, and some that are over
	owed  []Entry       // made by Replay, not seen in the log yet
}

// NewBook is an empty book.
func NewBook() *Book {
	return &Book{holds: map[ID]*holds{}, Snapshot: Snapshot{Currencies: map[ID]Currency{}, Accounts: map[ID]Account{}, Transfers: map[ID]Transfer{},
		Outcomes: map[ID]Outcome{}, Settled: map[ID]ID{}}}
}

// Apply is the function Apply on the whole book, and keeps what it did.
func (b *Book) Apply(at Instant, gs ...Group) (Delta, []Result) {
	b.Due = b.takeDue(b.DueUntil(at))
	d, results := Apply(&b.Snapshot, at, gs)
	b.Merge(d)
	b.giveBack()
	return d, results
}

// Expire is the function Expire on the whole book, and keeps what it did.
func (b *Book) Expire(at Instant, limit int) Delta {
	b.Due = b.takeDue(b.DueUntil(at))
	d := Expire(&b.Snapshot, at, limit)
	b.Merge(d)
	b.giveBack()
	return d
}

// takeDue takes the pending transfers that expire until the instant off the heaps, in order.
func (b *Book) takeDue(until Instant) (due []Transfer) {
	for _, h := range b.holds {
		for len(*h) > 0 && (*h)[0].at <= until {
			t := b.Transfers[heap.Pop(h).(hold).id]
			if t.State == Pending {
				due = append(due, t)
			}
		}
	}
	slices.SortFunc(due, compareDue)
	return due
}

func (b *Book) giveBack() {
	for _, t := range b.Due {
		if b.Transfers[t.ID].State == Pending {
			b.hold(t)
		}
	}
	b.Due = nil
}

func (b *Book) hold(t Transfer) {
	h := b.holds[t.Currency]
	if h == nil {
		h = new(holds)
		b.holds[t.Currency] = h
	}
	heap.Push(h, hold{t.Expires, t.ID})
}

// Merge keeps what an Apply on this book did.
func (b *Book) Merge(d Delta) {
	for _, c := range d.Currencies {
		b.Currencies[c.ID] = c
	}
	for _, a := range d.Accounts {
		b.Accounts[a.ID] = a
	}
	for _, t := range d.Transfers {
		if _, known := b.Transfers[t.ID]; !known && t.State == Pending {
			b.hold(t)
		}
		b.Transfers[t.ID] = t
		if t.Settles.IsZero() {
			continue
		}
		if t.State == Pending || t.State == Posted {
			b.Settled[t.Settles] = t.ID
		} else if b.Settled[t.Settles] == t.ID {
			delete(b.Settled, t.Settles)
		}
	}
	for _, o := range d.Outcomes {
		b.Outcomes[o.ID] = o
	}
}

// Replay takes the next entry of a log and does again what it says. An error names what does not follow from the entries before it:
// the log is not what an honest Apply would have written (I8). Several currencies have a book each, or are replayed into one in the
// order in which they were written, because a claim (Settles) may be paid in any of them.
func (b *Book) Replay(e Entry) error {
	_, expiry := e.Cmd.(expire)
	if !expiry && !known(e.Cmd) {
		return fmt.Errorf("entry %d has no command", e.Seq)
	}
	if e.At <= 0 || e.At >= maxInstant {
		return fmt.Errorf("entry %d is at %d, which no clock gives", e.Seq, e.At)
	}
	if len(b.owed) > 0 {
		want := b.owed[0]
		b.owed = b.owed[1:]
		return sameEntry(e, want)
	}
	if !expiry {
		if err := b.noneOverdue(NewID("currency", e.Currency), e.At); err != nil {
			return fmt.Errorf("entry %d: %w", e.Seq, err)
		}
	}
	r := newRun(&b.Snapshot, e.At, 2)
	if expiry {
		if !r.expire(e.ID()) {
			return fmt.Errorf("entry %d expires %s, which is not due", e.Seq, e.ID())
		}
	} else {
		if o, seen := r.outcome(e.ID()); seen {
			return fmt.Errorf("entry %d has the id of entry %d", e.Seq, o.Seq)
		}
		r.gid = e.Group
		if code := r.do(e.Cmd, DigestOf(e.Cmd)); code != OKCreated {
			return fmt.Errorf("entry %d could not happen: %s", e.Seq, code)
		}
	}
	d := r.delta()
	if err := sameEntry(e, d.Entries[0]); err != nil {
		return err
	}
	b.owed = append(b.owed, d.Entries[1:]...)
	b.Merge(d)
	return nil
}

// Ended says whether a log may end here: nothing is missing that the last entry brought along.
func (b *Book) Ended() error {
	if len(b.owed) == 0 {
		return nil
	}
	return fmt.Errorf("the log ends before entry %d, which belongs to entry %d", b.owed[0].Seq, b.owed[0].Seq-1)
}

// noneOverdue says that every hold in the currency was ended in its time.
func (b *Book) noneOverdue(currency ID, at Instant) error {
	h := b.holds[currency]
	for h != nil && len(*h) > 0 && (*h)[0].at <= at-Instant(Slack) {
		if id := (*h)[0].id; b.Transfers[id].State == Pending {
			return fmt.Errorf("transfer %s should have expired before", id)
		}
		heap.Pop(h)
	}
	return nil
}

func sameEntry(got, want Entry) error {
	var x, y [1024]byte
	g, w := AppendOpening(AppendHead(x[:0], got), got), AppendOpening(AppendHead(y[:0], want), want)
	if bytes.Equal(g, w) {
		return nil
	}
	gl, wl := bytes.Split(g, []byte("\n")), bytes.Split(w, []byte("\n"))
	for i := range min(len(gl), len(wl)) {
		if !bytes.Equal(gl[i], wl[i]) {
			return fmt.Errorf("entry %d says %q where %q follows from what was before", got.Seq, gl[i], wl[i])
		}
	}
	return fmt.Errorf("entry %d has more or fewer lines than follow from what was before", got.Seq)
}

// Check holds the invariants I1 to I6 and I10 of docs/ledger.md against a snapshot that is whole. An error names the first that is broken.
func Check(s *Snapshot) error {
	type sums struct{ dp, dd, cp, cc int64 } // pending and posted debits and credits
	want := make(map[ID]sums, len(s.Accounts))
	pending, refunds := make(map[ID]uint16), make(map[ID]Amount)
	live := make(map[ID]ID)
	for _, t := range s.Transfers {
		if t.ID.IsZero() || t.Amount < 0 || t.Amount > MaxAmount || t.Posted < 0 || t.Posted > t.Amount || t.Refunded < 0 || t.Refunded > t.Posted ||
			t.State != Posted && t.Posted != 0 || t.State > Expired || (t.State == Pending) != (t.ResolvedAt == 0) || t.State != Posted && !t.Held {
			return fmt.Errorf("transfer %s is in no possible state (I5)", t.ID)
		}
		if t.Amount == 0 && s.Currencies[t.Currency].Kind != Gift {
			return fmt.Errorf("transfer %s is of nothing (I10)", t.ID)
		}
		d, c := want[t.Debit], want[t.Credit]
		switch t.State {
		case Pending:
			d.dp += int64(t.Amount)
			c.cp += int64(t.Amount)
			pending[t.Debit]++
		case Posted:
			d.dd += int64(t.Posted)
			c.cc += int64(t.Posted)
		}
		want[t.Debit], want[t.Credit] = d, c
		if t.Debit == t.Credit {
			return fmt.Errorf("transfer %s has one account on both sides", t.ID)
		}
		if !t.RefundOf.IsZero() {
			refunds[t.RefundOf] += t.Posted
		}
		if t.Settles.IsZero() || t.State > Posted {
			continue
		}
		if other, twice := live[t.Settles]; twice {
			return fmt.Errorf("transfers %s and %s settle the same claim (I6)", other, t.ID)
		}
		live[t.Settles] = t.ID
	}
	for key, id := range s.Settled {
		if live[key] != id {
			return fmt.Errorf("the claim %s is said to be settled by %s, which does not (I6)", key, id)
		}
	}
	if len(live) != len(s.Settled) {
		return fmt.Errorf("%d claims are settled, %d are said to be (I6)", len(live), len(s.Settled))
	}
	for id, sum := range refunds {
		if o, ok := s.Transfers[id]; !ok || o.Refunded != sum {
			return fmt.Errorf("transfer %s: its refunds sum to %d, it says %d (I5)", id, sum, o.Refunded)
		}
	}
	totals := make(map[ID]*[4]big.Int)
	for _, a := range s.Accounts {
		w := want[a.ID]
		delete(want, a.ID)
		switch {
		case a.DebitsPending < 0, a.DebitsPosted < 0, a.CreditsPending < 0, a.CreditsPosted < 0:
			return fmt.Errorf("account %s has a counter below zero (I2)", a.ID)
		case a.DebitsPending != w.dp, a.CreditsPending != w.cp, a.PendingCount != pending[a.ID]:
			return fmt.Errorf("account %s: its pending counters are %d and %d, its transfers sum to %d and %d (I2)", a.ID, a.DebitsPending, a.CreditsPending, w.dp, w.cp)
		case a.DebitsPosted != w.dd, a.CreditsPosted != w.cc:
			return fmt.Errorf("account %s: its posted counters are %d and %d, its transfers sum to %d and %d (I3)", a.ID, a.DebitsPosted, a.CreditsPosted, w.dd, w.cc)
		}
		t := totals[a.Currency]
		if t == nil {
			t = new([4]big.Int)
			totals[a.Currency] = t
		}
		for i, n := range [...]int64{a.DebitsPending, a.CreditsPending, a.DebitsPosted, a.CreditsPosted} {
			t[i].Add(&t[i], big.NewInt(n))
		}
	}
	for id := range want {
		return fmt.Errorf("transfers touch the account %s, which does not exist", id)
	}
	for id, t := range totals {
		if t[0].Cmp(&t[1]) != 0 || t[2].Cmp(&t[3]) != 0 {
			return fmt.Errorf("currency %s: debits %s and %s, credits %s and %s (I1)", id, &t[0], &t[2], &t[1], &t[3])
		}
	}
	return nil
}

// StateDigest is a SHA-256 over everything in s but Due, in the order of ids: two books with one digest are bit-equal.
func StateDigest(s *Snapshot) Digest {
	h := sha256.New()
	put := func(v any) { _ = binary.Write(h, binary.BigEndian, v) }
	for _, id := range keysOf(s.Currencies) {
		c := s.Currencies[id]
		h.Write(OpenCurrency{Currency: c}.appendTo(nil))
	}
	for _, id := range keysOf(s.Accounts) {
		a := s.Accounts[id]
		h.Write(appendBounds(appendString(append(id[:], a.Currency[:]...), a.Ref), a.Floor, a.Ceil, a.SoftFloor, a.SoftCeil))
		put([]int64{a.DebitsPending, a.DebitsPosted, a.CreditsPending, a.CreditsPosted, int64(a.OpenedAt), int64(a.Version), int64(a.PendingCount), int64(a.Role), int64(a.Flags)})
	}
	for _, id := range keysOf(s.Transfers) {
		put(s.Transfers[id])
	}
	for _, id := range keysOf(s.Outcomes) {
		put(s.Outcomes[id])
	}
	for _, key := range keysOf(s.Settled) {
		put(key)
		put(s.Settled[key])
	}
	return Digest(h.Sum(nil))
}

func keysOf[T any](m map[ID]T) []ID {
	ids := make([]ID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	return sorted(ids)
}

// hold is a pending transfer in the heap of those that will expire.
type hold struct {
	at Instant
	id ID
}

type holds []hold

func (h holds) Len() int { return len(h) }
func (h holds) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), compareID(h[i].id, h[j].id)) < 0
}
func (h holds) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *holds) Push(x any)   { *h = append(*h, x.(hold)) }
func (h *holds) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
