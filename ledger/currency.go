package ledger

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
