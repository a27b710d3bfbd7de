package ledger

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
