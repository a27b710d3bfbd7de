package ledger

// Apply decides about gs in order, at an instant. It is pure, total and deterministic: it changes nothing in s, panics on no input, and
// the same arguments give the same answer, to the bit. The delta and the results share no memory with s but the commands themselves.
//
// An entry's time is at, or a nanosecond after the entry before it, whichever is later. A group whose command fails leaves no trace
// but the memory of its failure (ResultCode.Durable).
func Apply(s *Snapshot, at Instant, gs []Group) (Delta, []Result) {
	n := 0
	for _, g := range gs {
		n += len(g)
	}
	r := newRun(s, at, n)
	results := make([]Result, len(gs))
	for i, g := range gs {
		r.sweep(len(r.due))
		results[i] = r.group(g)
	}
	return r.delta(), results
}

// Expire ends at most limit pending transfers that are due at the instant, in the order of their expiry and seq.
func Expire(s *Snapshot, at Instant, limit int) Delta {
	r := newRun(s, at, max(0, min(limit, len(s.Due))))
	r.sweep(limit)
	return r.delta()
}

// run is one Apply at work: copies of what it touched, each once, and the trail that undoes a group.
type run struct {
	s  *Snapshot
	at Instant

	currencies shelf[Currency]
	accounts   shelf[Account]
	transfers  shelf[Transfer]
	outcomes   []Outcome
	outIndex   map[ID]int32
	settled    map[ID]ID // over s.Settled; zero: free again
	entries    []Entry
	due        []*Transfer // of s.Due, not done
	latest     Instant     // no currency has a later next entry

	gid     ID      // of the group at work, when it has several entries
	keep    bool    // the group may have to be undone
	unclaim []claim // settles keys as they were before the group at work, last first

	would, limit int64 // of the balance that broke a limit last
}

// claim is a settles key and the live transfer that has it, if it was looked at before.
type claim struct {
	key, id ID
	known   bool
}

func newRun(s *Snapshot, at Instant, n int) *run {
	r := &run{
		s: s, at: at, latest: at,
		currencies: newShelf(s.Currencies, min(n, len(s.Currencies), fewCopies)),
		accounts:   newShelf(s.Accounts, min(2*n, len(s.Accounts))),
		transfers:  newShelf(s.Transfers, n),
		entries:    make([]Entry, 0, n),
	}
	if len(s.Due) == 0 || !r.sane() {
		return r
	}
	for _, c := range s.Currencies {
		r.latest = max(r.latest, c.Last+1)
	}
	for i := range s.Due {
		r.due = append(r.due, &s.Due[i])
	}
	return r
}

// sane says that the instant is one that a clock could give.
func (r *run) sane() bool { return r.at > 0 && r.at < maxInstant }

func (r *run) delta() Delta {
	return Delta{Currencies: r.currencies.changed(), Accounts: r.accounts.changed(), Transfers: r.transfers.changed(), Outcomes: r.outcomes, Entries: r.entries}
}

// The lookups give a place; -1: it does not exist.

func (r *run) currency(id ID) int { return r.currencies.find(id) }

func (r *run) account(id ID) int { return r.accounts.find(id) }

func (r *run) transfer(id ID) int { return r.transfers.find(id) }

// remember notes what came of an id that is no transfer.
func (r *run) remember(o Outcome) {
	if r.outIndex == nil {
		r.outIndex = make(map[ID]int32)
	}
	r.outcomes = append(r.outcomes, o)
	r.outIndex[o.ID] = int32(len(r.outcomes) - 1)
}

// settle notes which live transfer has a settles key; zero: none.
func (r *run) settle(key, id ID) {
	if key.IsZero() {
		return
	}
	if r.settled == nil {
		r.settled = make(map[ID]ID)
	}
	if r.keep {
		old, known := r.settled[key]
		r.unclaim = append(r.unclaim, claim{key, old, known})
	}
	r.settled[key] = id
}

func (r *run) isSettled(key ID) bool {
	id, ok := r.settled[key]
	if !ok {
		id = r.s.Settled[key]
	}
	return !id.IsZero()
}

// undo takes the group at work back: what it did to each shelf, and what it added since there were so many entries and outcomes.
func (r *run) undo(entries, outcomes int) {
	r.currencies.undo()
	r.accounts.undo()
	r.transfers.undo()
	for i := len(r.unclaim) - 1; i >= 0; i-- {
		c := r.unclaim[i]
		if r.settled[c.key] = c.id; !c.known {
			delete(r.settled, c.key)
		}
	}
	for _, o := range r.outcomes[outcomes:] {
		delete(r.outIndex, o.ID)
	}
	r.outcomes, r.entries = r.outcomes[:outcomes], r.entries[:entries]
}

// begin begins a group.
func (r *run) begin(id ID, keep bool) {
	r.gid, r.keep, r.unclaim = id, keep, r.unclaim[:0]
	r.currencies.begin()
	r.accounts.begin()
	r.transfers.begin()
}

// outcome is what came of an id before.
func (r *run) outcome(id ID) (Outcome, bool) {
	if i := r.transfer(id); i >= 0 {
		t := &r.transfers.v[i]
		return Outcome{ID: id, Digest: t.Digest, Code: OKCreated, Seq: t.Seq, At: t.At}, true
	}
	if i, ok := r.outIndex[id]; ok {
		return r.outcomes[i], true
	}
	o, ok := r.s.Outcomes[id]
	return o, ok
}

// group runs one group: first whether any of it was seen before, then command by command.
func (r *run) group(g Group) Result {
	if len(g) == 0 || !r.sane() {
		return Result{Code: Malformed}
	}
	var (
		single  [1]bool
		done    = single[:]
		all     = true
		answer  Result
		digests [1]Digest
		digest  = digests[:]
	)
	if len(g) > 1 {
		done, digest = make([]bool, len(g)), make([]Digest, len(g))
	}
	for i, c := range g {
		if !known(c) || !c.id().Valid() {
			return Result{Code: Malformed, Index: i}
		}
		digest[i] = DigestOf(c)
		o, ok := r.outcome(c.id())
		switch {
		case !ok:
			all = false
		case o.Code == IDAborted:
			return Result{Code: IDAborted, Index: i}
		case o.Digest != digest[i]:
			return Result{Code: ExistsWithDifferent, Index: i}
		case o.Code != OKCreated:
			return Result{Code: IDAlreadyFailed, Cause: o.Code, Index: i}
		default:
			if done[i] = true; i == 0 {
				answer = Result{Code: OKExists, Seq: o.Seq, At: o.At}
			}
		}
	}
	if all {
		return answer
	}

	if r.begin(ID{}, len(g) > 1); len(g) > 1 {
		r.gid = g[0].id()
	}
	entries, outcomes := len(r.entries), len(r.outcomes)
	for i, c := range g {
		if done[i] {
			continue
		}
		code := Malformed // the same id twice in a group
		if len(g) == 1 || !r.taken(c.id()) {
			code = r.do(c, digest[i])
		}
		if code == OKCreated {
			continue
		}
		r.undo(entries, outcomes)
		if r.keep = false; code.Durable() {
			r.remember(Outcome{ID: c.id(), Digest: digest[i], Code: code})
		}
		refused := Result{Code: code, Index: i}
		if code == ExceedsFloor || code == ExceedsCeiling {
			refused.Would, refused.Limit = r.would, r.limit
		}
		return refused
	}
	if done[0] { // the first command was there before: asked again, the answer is the same
		return Result{Code: OKCreated, Seq: answer.Seq, At: answer.At}
	}
	first := &r.entries[entries]
	return Result{Code: OKCreated, Seq: first.Seq, At: first.At}
}

// maxInstant leaves room for timeouts and for a nanosecond per entry: the year 2116.
const maxInstant Instant = 1 << 62

// known says that c is one of the commands that others may give: neither nil, nor a pointer, nor something around one, nor an expiry.
func known(c Command) bool {
	switch c.(type) {
	case Pay, Post, Void, Refund, Abort, OpenAccount, SetLimits, SetFlags, Rebind, SetRules, Note, OpenCurrency:
		return true
	}
	return false
}

// do runs one command that was never seen.
func (r *run) do(cmd Command, digest Digest) ResultCode {
	switch c := cmd.(type) {
	case Pay:
		if c.Code == LevyCode || c.Code == RefundCode {
			return Malformed
		}
		return r.pay(&c, cmd, digest)
	case Post:
		return r.post(c, digest)
	case Void:
		return r.void(c, digest)
	case Refund:
		return r.refund(c, digest)
	case Abort:
		return r.abort(c, digest)
	case OpenAccount:
		return r.openAccount(c, digest)
	case SetLimits:
		return r.setLimits(c, digest)
	case SetFlags:
		return r.setFlags(c, digest)
	case Rebind:
		return r.rebind(c, digest)
	case SetRules:
		return r.setRules(c, digest)
	case Note:
		return r.note(c, digest)
	case OpenCurrency:
		return r.openCurrency(c, digest)
	}
	return Malformed
}

// now is the time of the next entry in the currency at ci.
func (r *run) now(ci int) Instant { return max(r.at, r.currencies.v[ci].Last+1) }

// last is the time of a currency's last entry. It does not touch the currency: what is not changed has no place in the delta.
func (r *run) last(id ID) (Instant, bool) {
	if i := r.currencies.place(id); i >= 0 {
		return r.currencies.v[i].Last, true
	}
	c, ok := r.s.Currencies[id]
	return c.Last, ok
}

// enter appends an entry to the book at ci and gives its place.
func (r *run) enter(ci int, e Entry) (Seq, Instant) {
	at := r.now(ci)
	c := r.currencies.change(ci, r.keep)
	e.Currency, e.Seq, e.At, e.Group = c.IRI, c.Next, at, r.gid
	c.Next, c.Last = c.Next+1, at
	r.latest = max(r.latest, at+1)
	r.entries = append(r.entries, e)
	return e.Seq, e.At
}

// record enters a command that made no transfer, and remembers its id.
func (r *run) record(ci int, e Entry, digest Digest) ResultCode {
	seq, at := r.enter(ci, e)
	r.remember(Outcome{ID: e.Cmd.id(), Digest: digest, Code: OKCreated, Seq: seq, At: at})
	return OKCreated
}

// sweep expires at most limit of what is due before the next entry of its currency.
func (r *run) sweep(limit int) {
	if len(r.due) == 0 || r.due[0].Expires > r.latest {
		return
	}
	r.gid, r.keep = ID{}, false
	kept := 0 // currencies differ in the time of their next entry
	for i, d := range r.due {
		if limit <= 0 || d.Expires > r.latest {
			kept += copy(r.due[kept:], r.due[i:])
			break
		}
		if last, ok := r.last(d.Currency); ok && d.Expires > max(r.at, last+1) {
			r.due[kept] = d
			kept++
			continue
		}
		limit--
		if r.transfer(d.ID) < 0 {
			r.transfers.put(d.ID, *d)
		}
		r.expire(d.ID)
	}
	r.due = r.due[:kept]
}
