package ledger

import (
	"cmp"
	"slices"
)

// Snapshot is all that Apply looks at. What is not in it does not exist: Keys says what has to be.
type Snapshot struct {
	Currencies map[ID]Currency
	Accounts   map[ID]Account
	Transfers  map[ID]Transfer
	Outcomes   map[ID]Outcome // of ids that are no transfer
	Settled    map[ID]ID      // settles key -> the live transfer that has it

	// Due holds each pending transfer of these currencies that expires until DueUntil, sorted by Expires and Seq; one too many does no harm.
	// They are expired before anything else happens, so that no result depends on when somebody looked.
	Due []Transfer
}

// DueUntil is the instant until which an Apply at the instant has to know what expires. Times never go back: where the clock did, the
// last entry counts (F12), and each entry may be a nanosecond later than the one before.
func (s *Snapshot) DueUntil(at Instant) Instant {
	for _, c := range s.Currencies {
		at = max(at, c.Last)
	}
	return at + Instant(Slack)
}

// Outcome is what came of a command id, for ever.
type Outcome struct {
	ID     ID
	Digest Digest
	Code   ResultCode // OKCreated, IDAborted, or the failure
	Seq    Seq        // with OKCreated
	At     Instant    // with OKCreated
}

// Entry is an accepted command in its place. Canon writes it down.
type Entry struct {
	Currency string // IRI
	Seq      Seq
	At       Instant
	Cmd      Command
	Group    ID // the first command of the group that it belongs to; zero when it stands alone

	// Of an entry that touches a transfer: the two accounts, what was moved, held or released, and their balances after it.
	Debit, Credit           ID
	Amount                  Amount
	DebitAfter, CreditAfter int64
}

// Delta is what Apply changed: each currency, account and transfer once, as it is in the end.
type Delta struct {
	Currencies []Currency
	Accounts   []Account
	Transfers  []Transfer
	Outcomes   []Outcome
	Entries    []Entry // in order; each currency's without a gap
}

// KeySet names what a Snapshot for some groups has to hold.
type KeySet struct {
	Currencies []ID
	Accounts   []ID
	IDs        []ID // of commands and of what they name: to be looked for among transfers and outcomes
	Settles    []ID
}

// Keys is what Apply needs to know about gs. A store loads in this order: IDs and Settles; the transfers that have the Settles, which may
// be of another currency and due; WantAccounts; WantCurrencies; WantIDs; Due of those currencies; and WantAccounts again, for what the dues and
// the levies added.
func Keys(gs []Group) KeySet {
	var k KeySet
	for _, g := range gs {
		for _, c := range g {
			switch c := c.(type) {
			default: // nothing that Apply would look at
				continue
			case OpenCurrency:
				k.Currencies = append(k.Currencies, c.Currency.ID)
			case SetRules:
				k.Currencies = append(k.Currencies, c.Currency)
				if !c.Rules.Levy.To.IsZero() {
					k.Accounts = append(k.Accounts, c.Rules.Levy.To)
				}
			case OpenAccount:
				k.Currencies, k.Accounts = append(k.Currencies, c.Currency), append(k.Accounts, c.Account)
			case SetLimits:
				k.Accounts = append(k.Accounts, c.Account)
			case SetFlags:
				k.Accounts = append(k.Accounts, c.Account)
			case Rebind:
				k.Accounts = append(k.Accounts, c.Account)
			case Pay:
				k.Currencies, k.Accounts = append(k.Currencies, c.Currency), append(k.Accounts, c.Debit, c.Credit)
				if !c.Settles.IsZero() {
					k.Settles = append(k.Settles, c.Settles)
				}
			case Post:
				k.IDs = append(k.IDs, c.Pending, LevyID(c.Pending), LevyID(c.ID))
			case Void:
				k.IDs = append(k.IDs, c.Pending, LevyID(c.Pending), LevyID(c.ID))
			case Refund:
				k.IDs = append(k.IDs, c.Original)
			case Abort:
				k.Currencies, k.IDs = append(k.Currencies, c.Currency), append(k.IDs, c.Target)
			case Note:
				k.Currencies = append(k.Currencies, c.Currency)
			}
			k.IDs = append(k.IDs, c.id())
		}
	}
	return KeySet{Currencies: sorted(k.Currencies), Accounts: sorted(k.Accounts), IDs: sorted(k.IDs), Settles: sorted(k.Settles)}
}

// WantAccounts is every account that Apply may touch on s: those of k, of the transfers and dues in s, and of the levies. Sorted, each once.
func (s *Snapshot) WantAccounts(k KeySet) []ID {
	ids := slices.Clone(k.Accounts)
	for _, t := range s.Transfers {
		ids = append(ids, t.Debit, t.Credit)
	}
	for i := range s.Due {
		ids = append(ids, s.Due[i].Debit, s.Due[i].Credit)
	}
	for _, c := range s.Currencies {
		if !c.Rules.Levy.To.IsZero() {
			ids = append(ids, c.Rules.Levy.To)
		}
	}
	return sorted(ids)
}

// WantCurrencies is every currency that Apply may touch on s: those of k, and of the transfers and accounts in s. Sorted, each once.
func (s *Snapshot) WantCurrencies(k KeySet) []ID {
	ids := slices.Clone(k.Currencies)
	for _, t := range s.Transfers {
		ids = append(ids, t.Currency)
	}
	for _, a := range s.Accounts {
		ids = append(ids, a.Currency)
	}
	return sorted(ids)
}

// WantIDs is what has to be looked for, like Keys.IDs, where payments bring levies along: the levies' own ids, which somebody may have
// used for something else. It is nil where no currency of s has a levy and none of gs gives it one.
func (s *Snapshot) WantIDs(gs []Group) []ID {
	levied := false
	for _, c := range s.Currencies {
		levied = levied || !c.Rules.Levy.To.IsZero()
	}
	var ids []ID
	for _, g := range gs {
		for _, c := range g {
			switch c := c.(type) {
			case SetRules:
				levied = levied || !c.Rules.Levy.To.IsZero()
			case Pay:
				if levied && c.Code == Payment {
					ids = append(ids, LevyID(c.ID))
				}
			}
		}
	}
	return sorted(ids)
}

func sorted(ids []ID) []ID {
	slices.SortFunc(ids, compareID)
	return slices.Compact(ids)
}

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
func (r *run) account(id ID) int  { return r.accounts.find(id) }
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
		return Result{Code: code, Index: i}
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

// pay makes a transfer of p; cmd is the same, as it came.
func (r *run) pay(p *Pay, cmd Command, digest Digest) ResultCode {
	if p.Code > Share || p.Amount < 0 || !p.Currency.Valid() || !p.Debit.Valid() || !p.Credit.Valid() || p.EffectiveAt < 0 ||
		p.Pending && (p.Timeout < MinTimeout || p.Timeout > MaxTimeout) || !p.Pending && p.Timeout != 0 {
		return Malformed
	}
	ci := r.currency(p.Currency)
	if ci < 0 {
		return CurrencyNotFound
	}
	cur, now := &r.currencies.v[ci], r.now(ci)
	di, ri := r.account(p.Debit), r.account(p.Credit) // before the pointers: a lookup may move the slice
	if p.EffectiveAt != 0 && (p.EffectiveAt > now || p.EffectiveAt < now-Instant(MaxEffectiveAge) ||
		di >= 0 && p.EffectiveAt < r.accounts.v[di].OpenedAt || ri >= 0 && p.EffectiveAt < r.accounts.v[ri].OpenedAt) {
		return Malformed
	}
	if p.Code == Issue && (cur.Issuer.IsZero() || p.Debit != cur.Issuer) || p.Code == Redeem && (cur.Issuer.IsZero() || p.Credit != cur.Issuer) {
		return WrongCurrencyKind
	}
	switch most := cur.Rules.MaxTransfer; {
	case p.Debit == p.Credit:
		return AccountsMustDiffer
	case p.Amount == 0 && cur.Kind != Gift:
		return AmountZero
	case p.Amount > MaxAmount, most > 0 && p.Amount > most:
		return AmountTooLarge
	}
	if code := r.parties(ci, di, ri); code != OKCreated {
		return code
	}
	switch {
	case !p.Settles.IsZero() && r.isSettled(p.Settles):
		return AlreadySettled
	case p.Pending && r.accounts.v[di].PendingCount >= cur.Rules.MaxPending:
		return TooManyPending
	}
	if code := r.room(di, ri, p.Amount); code != OKCreated {
		return code
	}
	levy, levied := cur.levy(p)
	if levied {
		if r.taken(levy.ID) {
			return ExistsWithDifferent
		}
		r.together(p.ID)
	}
	t := Transfer{ID: p.ID, Currency: p.Currency, Debit: p.Debit, Credit: p.Credit, Amount: p.Amount, Code: p.Code, State: Pending, Held: p.Pending,
		Settles: p.Settles, Digest: digest}
	if p.Pending {
		t.Expires = now + Instant(p.Timeout)
	}
	r.make(ci, di, ri, t, cmd)
	r.settle(p.Settles, p.ID)
	if !levied {
		return OKCreated
	}
	beside := Command(levy)
	return r.pay(&levy, beside, DigestOf(beside))
}

// parties says whether the account at di may give to the one at ri at all.
func (r *run) parties(ci, di, ri int) ResultCode {
	switch {
	case di < 0:
		return DebitAccountNotFound
	case ri < 0:
		return CreditAccountNotFound
	}
	d, c, id := &r.accounts.v[di], &r.accounts.v[ri], r.currencies.v[ci].ID
	switch {
	case d.Currency != id, c.Currency != id:
		return CurrencyMismatch
	case (d.Flags|c.Flags)&Closed != 0:
		return AccountClosed
	case d.Flags&NoDebit != 0:
		return DebitBlocked
	case c.Flags&NoCredit != 0:
		return CreditBlocked
	}
	return OKCreated
}

// room says whether the limits leave room for amount. What is pending counts against both: as spent, and as received.
func (r *run) room(di, ri int, amount Amount) ResultCode {
	d, c, n := &r.accounts.v[di], &r.accounts.v[ri], int64(amount)
	switch {
	// The counters of a side never sum above MaxCounter, so that no balance and no check below can overflow.
	case n > MaxCounter-d.DebitsPosted-d.DebitsPending, n > MaxCounter-c.CreditsPosted-c.CreditsPending:
		return Overflow
	case d.Floor.Set && d.CreditsPosted-(d.DebitsPosted+d.DebitsPending+n) < d.Floor.V:
		return ExceedsFloor
	case c.Ceil.Set && c.CreditsPosted+c.CreditsPending+n-c.DebitsPosted > c.Ceil.V:
		return ExceedsCeiling
	}
	return OKCreated
}

// make adds a transfer for which there is room, held if it was asked for so, else posted at once.
func (r *run) make(ci, di, ri int, t Transfer, cmd Command) {
	d, c, n := r.accounts.change(di, r.keep), r.accounts.change(ri, r.keep), int64(t.Amount)
	if t.Held {
		d.DebitsPending += n
		c.CreditsPending += n
		d.PendingCount++
	} else {
		d.DebitsPosted += n
		c.CreditsPosted += n
		t.State, t.Posted = Posted, t.Amount
	}
	t.Seq, t.At = r.enter(ci, Entry{Cmd: cmd, Debit: t.Debit, Credit: t.Credit, Amount: t.Amount, DebitAfter: d.Balance(), CreditAfter: c.Balance()})
	if !t.Held {
		t.ResolvedAt = t.At
	}
	r.transfers.create(t.ID, t, r.keep)
}

// taken says that an id is in use, or given up.
func (r *run) taken(id ID) bool {
	_, taken := r.outcome(id)
	return taken
}

// held finds the transfer that a Post or Void names; code says why it cannot be ended, if it cannot. A missing one has ti < 0.
// A levy is missing too: it ends with its payment, and no other way.
func (r *run) held(id ID) (ti, ci, di, ri int, code ResultCode) {
	if ti = r.transfer(id); ti < 0 || r.transfers.v[ti].Code == LevyCode {
		return -1, 0, 0, 0, PendingNotFound
	}
	t := r.transfers.v[ti]
	ci, di, ri = r.currency(t.Currency), r.account(t.Debit), r.account(t.Credit)
	if ci < 0 || di < 0 || ri < 0 { // the snapshot lacks what it wants
		return -1, 0, 0, 0, PendingNotFound
	}
	switch {
	case !t.Held:
		code = PendingNotPending
	case t.State == Posted:
		code = AlreadyPosted
	case t.State == Voided:
		code = AlreadyVoided
	case t.State == Expired, t.Expires <= r.now(ci):
		code = TransferExpired
	}
	return ti, ci, di, ri, code
}

func (r *run) post(p Post, digest Digest) ResultCode {
	if p.Amount < 0 || !p.Pending.Valid() {
		return Malformed
	}
	if p.Amount > MaxAmount {
		return AmountTooLarge
	}
	ti, ci, di, ri, code := r.held(p.Pending)
	if ti < 0 {
		return code
	}
	if p.Amount == 0 && r.currencies.v[ci].Kind != Gift {
		return AmountZero
	}
	if blocked := r.parties(ci, di, ri); blocked != OKCreated {
		return blocked
	}
	if code != OKCreated {
		return code
	}
	t, amount := r.transfers.v[ti], p.Amount
	if amount == All {
		amount = t.Amount
	}
	if amount > t.Amount {
		return ExceedsPendingAmount
	}
	li := r.levyOf(t.ID)
	if li < 0 {
		r.resolve(ti, ci, di, ri, Posted, amount, p, digest)
		return OKCreated
	}
	// The levy was fixed with the payment; of a part, its part is due, rounded down (F43, F44).
	share := r.transfers.v[li].Amount
	if amount < t.Amount {
		share = part(share, uint64(amount), uint64(t.Amount))
	}
	if r.taken(LevyID(p.ID)) {
		return ExistsWithDifferent
	}
	if share > 0 {
		di, ri := r.account(t.Debit), r.account(r.transfers.v[li].Credit)
		if blocked := r.parties(ci, di, ri); blocked != OKCreated {
			return blocked
		}
	}
	r.together(p.ID)
	r.resolve(ti, ci, di, ri, Posted, amount, p, digest)
	r.endLevy(li, p.ID, share)
	return OKCreated
}

func (r *run) void(v Void, digest Digest) ResultCode {
	if !v.Pending.Valid() {
		return Malformed
	}
	ti, ci, di, ri, code := r.held(v.Pending)
	if code != OKCreated {
		return code
	}
	li := r.levyOf(v.Pending)
	if li < 0 {
		r.resolve(ti, ci, di, ri, Voided, 0, v, digest)
		return OKCreated
	}
	if r.taken(LevyID(v.ID)) {
		return ExistsWithDifferent
	}
	r.together(v.ID)
	r.resolve(ti, ci, di, ri, Voided, 0, v, digest)
	r.endLevy(li, v.ID, 0)
	return OKCreated
}

// levyOf finds the levy that is held beside a payment; -1: there is none.
func (r *run) levyOf(id ID) int {
	li := r.transfer(LevyID(id))
	if li < 0 {
		return -1
	}
	l := &r.transfers.v[li]
	if l.Code != LevyCode || l.State != Pending || r.account(l.Debit) < 0 || r.account(l.Credit) < 0 {
		return -1
	}
	return li
}

// endLevy ends a held levy beside the command by, which ended its payment: share of it moves.
func (r *run) endLevy(li int, by ID, share Amount) {
	l := r.transfers.v[li]
	ci, di, ri := r.currency(l.Currency), r.account(l.Debit), r.account(l.Credit)
	if share == 0 {
		v := Void{ID: LevyID(by), Pending: l.ID}
		r.resolve(li, ci, di, ri, Voided, 0, v, DigestOf(v))
		return
	}
	p := Post{ID: LevyID(by), Pending: l.ID, Amount: share}
	r.resolve(li, ci, di, ri, Posted, share, p, DigestOf(p))
}

// resolve ends a pending transfer: amount of it moves, the rest is released.
func (r *run) resolve(ti, ci, di, ri int, state TransferState, amount Amount, cmd Command, digest Digest) {
	t, d, c := r.transfers.change(ti, r.keep), r.accounts.change(di, r.keep), r.accounts.change(ri, r.keep)
	d.DebitsPending -= int64(t.Amount)
	c.CreditsPending -= int64(t.Amount)
	d.PendingCount--
	d.DebitsPosted += int64(amount)
	c.CreditsPosted += int64(amount)
	t.State, t.Posted = state, amount
	e := Entry{Cmd: cmd, Debit: t.Debit, Credit: t.Credit, Amount: amount, DebitAfter: d.Balance(), CreditAfter: c.Balance()}
	if state != Posted {
		e.Amount = t.Amount // what is released
		r.settle(t.Settles, ID{})
	}
	if _, ok := cmd.(expire); ok {
		_, t.ResolvedAt = r.enter(ci, e)
		return
	}
	r.record(ci, e, digest)
	t.ResolvedAt = r.currencies.v[ci].Last
}

// together makes a group of a command that brings a second entry along.
func (r *run) together(id ID) {
	if r.keep = true; r.gid.IsZero() {
		r.gid = id
	}
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

// expire ends one transfer whose time has come, and says whether there was one.
func (r *run) expire(id ID) bool {
	ti := r.transfer(id)
	if ti < 0 {
		return false
	}
	t := r.transfers.v[ti]
	ci, di, ri := r.currency(t.Currency), r.account(t.Debit), r.account(t.Credit)
	if ci < 0 || di < 0 || ri < 0 || t.State != Pending || t.Expires > r.now(ci) {
		return false
	}
	r.resolve(ti, ci, di, ri, Expired, 0, expire{Pending: id}, Digest{})
	return true
}

func (r *run) refund(f Refund, digest Digest) ResultCode {
	if f.Amount < 0 || !f.Original.Valid() {
		return Malformed
	}
	if f.Amount > MaxAmount {
		return AmountTooLarge
	}
	oi := r.transfer(f.Original)
	if oi < 0 {
		return OriginalNotFound
	}
	o, amount := r.transfers.v[oi], f.Amount
	ci, di, ri := r.currency(o.Currency), r.account(o.Credit), r.account(o.Debit)
	if ci < 0 { // the snapshot lacks what it wants
		return OriginalNotFound
	}
	gift := r.currencies.v[ci].Kind == Gift
	if amount == 0 && !gift {
		return AmountZero
	}
	if code := r.parties(ci, di, ri); code != OKCreated {
		return code
	}
	left := o.Posted - o.Refunded
	if amount == All {
		amount = left
	}
	switch {
	case o.State != Posted:
		return OriginalNotPosted
	case o.Code == RefundCode:
		return RefundOfRefund
	case amount > left, amount == 0 && !gift:
		return ExceedsOriginal
	}
	if code := r.room(di, ri, amount); code != OKCreated {
		return code
	}
	r.transfers.change(oi, r.keep).Refunded += amount
	r.make(ci, di, ri, Transfer{ID: f.ID, Currency: o.Currency, Debit: o.Credit, Credit: o.Debit, Amount: amount, Code: RefundCode,
		RefundOf: o.ID, Digest: digest}, f)
	return OKCreated
}

func (r *run) abort(a Abort, digest Digest) ResultCode {
	if !a.Target.Valid() || !a.Currency.Valid() || a.Target == a.ID {
		return Malformed
	}
	ci := r.currency(a.Currency)
	if ci < 0 {
		return CurrencyNotFound
	}
	if o, ok := r.outcome(a.Target); ok && o.Code == OKCreated {
		return AlreadyPosted
	} else if !ok {
		r.remember(Outcome{ID: a.Target, Code: IDAborted})
	}
	return r.record(ci, Entry{Cmd: a}, digest)
}

func (r *run) openCurrency(o OpenCurrency, digest Digest) ResultCode {
	c := o.Currency
	if r.currency(c.ID) >= 0 {
		return ExistsWithDifferent
	}
	if c.IRI == "" || !plain(c.IRI) || c.ID != NewID("currency", c.IRI) || !validCode(c.Code) || c.Scale > 9 || c.Kind > Gift || c.Privacy > Public ||
		c.Kind == Hours && c.Scale != 0 || c.Epoch != 0 || !c.Issuer.IsZero() || c.Next != 0 || c.Last != 0 ||
		!c.Rules.Levy.To.IsZero() || !c.Rules.valid() {
		return Malformed
	}
	if !c.Kind.lets(Member, c.Rules.Floor) {
		return WrongCurrencyKind
	}
	r.currencies.create(c.ID, c, r.keep)
	return r.record(r.currency(c.ID), Entry{Cmd: o}, digest)
}

func (r *run) setRules(s SetRules, digest Digest) ResultCode {
	if s.Decision == "" || !plain(s.Decision) || !s.Rules.valid() {
		return Malformed
	}
	ci := r.currency(s.Currency)
	switch {
	case ci < 0:
		return CurrencyNotFound
	case !r.currencies.v[ci].Kind.lets(Member, s.Rules.Floor):
		return WrongCurrencyKind
	}
	if to := s.Rules.Levy.To; !to.IsZero() {
		switch ai := r.account(to); {
		case ai < 0:
			return AccountNotFound
		case r.accounts.v[ai].Currency != s.Currency:
			return CurrencyMismatch
		}
	}
	r.currencies.change(ci, r.keep).Rules = s.Rules
	return r.record(ci, Entry{Cmd: s}, digest)
}

func (r *run) openAccount(o OpenAccount, digest Digest) ResultCode {
	if r.account(o.Account) >= 0 {
		return ExistsWithDifferent
	}
	if !o.Account.Valid() || o.Ref == "" || !plain(o.Ref) || !plain(o.Decision) || o.Role > Suspense || !ordered(o.Floor, o.Ceil) {
		return Malformed
	}
	ci := r.currency(o.Currency)
	if ci < 0 {
		return CurrencyNotFound
	}
	k := r.currencies.v[ci].Kind
	if !k.lets(o.Role, o.Floor) || o.Role == Issuer && !r.currencies.v[ci].Issuer.IsZero() {
		return WrongCurrencyKind
	}
	if o.Role == Issuer {
		r.currencies.change(ci, r.keep).Issuer = o.Account
	}
	r.accounts.create(o.Account, Account{ID: o.Account, Currency: o.Currency, Ref: o.Ref, Role: o.Role, Floor: o.Floor, Ceil: o.Ceil,
		OpenedAt: r.now(ci), Version: 1}, r.keep)
	return r.record(ci, Entry{Cmd: o}, digest)
}

// governed finds the account that an admin's command names, or says why the command may not touch it.
func (r *run) governed(id ID, decision string, ifVersion uint64) (ai, ci int, code ResultCode) {
	if !id.Valid() || decision == "" || !plain(decision) {
		return 0, 0, Malformed
	}
	if ai = r.account(id); ai < 0 {
		return 0, 0, AccountNotFound
	}
	a := &r.accounts.v[ai]
	if ci = r.currency(a.Currency); ci < 0 {
		return 0, 0, CurrencyNotFound
	}
	if ifVersion != 0 && ifVersion != a.Version {
		return 0, 0, VersionMismatch
	}
	return ai, ci, OKCreated
}

func (r *run) setLimits(s SetLimits, digest Digest) ResultCode {
	if !ordered(s.Floor, s.Ceil) || !ordered(s.SoftFloor, s.SoftCeil) {
		return Malformed
	}
	ai, ci, code := r.governed(s.Account, s.Decision, s.IfVersion)
	if code != OKCreated && code != VersionMismatch {
		return code
	}
	if i := r.account(s.Account); !r.kindOf(i).lets(r.accounts.v[i].Role, s.Floor) {
		return WrongCurrencyKind
	}
	if code != OKCreated {
		return code
	}
	a := r.accounts.change(ai, r.keep)
	a.Floor, a.Ceil, a.SoftFloor, a.SoftCeil = s.Floor, s.Ceil, s.SoftFloor, s.SoftCeil
	a.Version++
	return r.record(ci, Entry{Cmd: s}, digest)
}

// kindOf is the kind of the currency of the account at ai.
func (r *run) kindOf(ai int) Kind {
	return r.currencies.v[r.currency(r.accounts.v[ai].Currency)].Kind
}

func (r *run) setFlags(s SetFlags, digest Digest) ResultCode {
	if s.Flags&^allFlags != 0 {
		return Malformed
	}
	ai, ci, code := r.governed(s.Account, s.Decision, s.IfVersion)
	if code != OKCreated && code != VersionMismatch {
		return code
	}
	if a := &r.accounts.v[r.account(s.Account)]; s.Flags&Closed != 0 && (a.Balance() != 0 || a.DebitsPending != 0 || a.CreditsPending != 0 || a.PendingCount != 0) {
		return AccountNotEmpty
	}
	if code != OKCreated {
		return code
	}
	a := r.accounts.change(ai, r.keep)
	a.Flags = s.Flags
	a.Version++
	return r.record(ci, Entry{Cmd: s}, digest)
}

func (r *run) rebind(b Rebind, digest Digest) ResultCode {
	if b.NewRef == "" || !plain(b.NewRef) {
		return Malformed
	}
	ai, ci, code := r.governed(b.Account, b.Decision, 0)
	if code != OKCreated {
		return code
	}
	if r.accounts.v[ai].Flags&Closed != 0 {
		return AccountClosed
	}
	a := r.accounts.change(ai, r.keep)
	a.Ref = b.NewRef
	a.Version++
	return r.record(ci, Entry{Cmd: b}, digest)
}

func (r *run) note(n Note, digest Digest) ResultCode {
	if n.Kind > NoteEpoch || len(n.Body) > MaxNote {
		return Malformed
	}
	ci := r.currency(n.Currency)
	if ci < 0 {
		return CurrencyNotFound
	}
	if n.Kind == NoteEpoch {
		if r.currencies.v[ci].Epoch >= maxEpoch {
			return Overflow
		}
		at := r.now(ci)
		c := r.currencies.change(ci, r.keep)
		c.Epoch = NextEpoch(c.Epoch, at)
	}
	return r.record(ci, Entry{Cmd: n}, digest)
}

// NextEpoch is the epoch that a note opens at an instant, after the epoch was: the second of it. Counting from one would open the same epoch again
// where one backup is restored twice, and two logs would have one name.
func NextEpoch(was uint32, at Instant) uint32 {
	return max(was+1, uint32(min(at/1e9, maxEpoch)))
}

// maxEpoch leaves room for proof.Origin, which counts from 1.
const maxEpoch = 1<<32 - 2

// lets says whether an account of role may have this floor in a currency of kind k.
func (k Kind) lets(role Role, floor Bound) bool {
	issued := k == Issued || k == Backed
	switch {
	case role == Issuer:
		return issued
	case role == Member && issued:
		return floor.Set && floor.V >= 0 // only the issuer owes
	}
	return true
}

func (r Rules) valid() bool {
	l := r.Levy
	return ordered(r.Floor, r.Ceil) && r.MaxTransfer >= 0 && r.MaxTransfer <= MaxAmount && r.Open <= OpenOnCredit &&
		l.BasisPoints <= 10_000 && l.Least >= 0 && l.Least <= MaxAmount && l.Most >= 0 && l.Most <= MaxAmount && (l.Most == 0 || l.Least <= l.Most) &&
		(!l.To.IsZero() && l.To.Valid() || l == Levy{})
}

// ordered says that the bounds are canonical (an unset one is zero), symmetric, and in order.
func ordered(lo, hi Bound) bool {
	for _, b := range [...]Bound{lo, hi} {
		if !b.Set && b.V != 0 || b.V < -MaxCounter {
			return false
		}
	}
	return !lo.Set || !hi.Set || lo.V <= hi.V
}

// validCode is ^[A-Z][A-Z0-9]{1,11}$ (payments.md §6.3).
func validCode(s string) bool {
	if len(s) < 2 || len(s) > 12 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

func compareID(a, b ID) int { return slices.Compare(a[:], b[:]) }

// SortDue puts pending transfers in the order that Snapshot.Due wants.
func SortDue(due []Transfer) { slices.SortFunc(due, compareDue) }

// Moves gives the transfer that the entry moved, if it moved one.
func (e Entry) Moves() (ID, bool) {
	switch c := e.Cmd.(type) {
	case Pay:
		return c.ID, !c.Pending
	case Post:
		return c.Pending, true
	case Refund:
		return c.ID, true
	}
	return ID{}, false
}

func compareDue(a, b Transfer) int {
	return cmp.Or(cmp.Compare(a.Expires, b.Expires), cmp.Compare(a.Seq, b.Seq), compareID(a.ID, b.ID))
}
