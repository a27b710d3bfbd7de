package ledger

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
		r.would, r.limit = d.CreditsPosted-(d.DebitsPosted+d.DebitsPending+n), d.Floor.V
		return ExceedsFloor
	case c.Ceil.Set && c.CreditsPosted+c.CreditsPending+n-c.DebitsPosted > c.Ceil.V:
		r.would, r.limit = c.CreditsPosted+c.CreditsPending+n-c.DebitsPosted, c.Ceil.V
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
