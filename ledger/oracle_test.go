package ledger

import (
	"bytes"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The oracle is a second ledger, written from docs/ledger.md and the doc comments alone, to be slow and obvious: a balance is the sum of
// a list of movements, a count is a search, and of a refused command every reason is collected and the first in the order is taken.
type oracle struct {
	currencies map[ID]Currency
	accounts   map[ID]oracleAccount
	transfers  map[ID]oracleTransfer
	known      map[ID]oracleKnown
	moves      []oracleMove
	log        []oracleEntry
	at         Instant
	gid        ID
	why        reasons // all that spoke against the last command

	floor, ceil brokenLimit // of the transfer looked at last
}

// brokenLimit is what a balance would be, with all that is held, and what it may be.
type brokenLimit struct{ would, limit *big.Int }

// oracleAccount has no counters: they are summed from the movements.
type oracleAccount struct {
	currency            ID
	ref                 string
	role                Role
	floor, ceil, sf, sc Bound
	flags               Flags
	opened              Instant
	version             uint64
}

type oracleTransfer struct {
	currency, debit, credit, settles, refundOf ID
	amount, posted, refunded                   Amount
	code                                       Code
	state                                      TransferState
	held                                       bool
	at, expires                                Instant
	seq                                        Seq
}

type oracleKnown struct {
	cmd  Command // nil: given up by an Abort
	code ResultCode
	seq  Seq
	at   Instant
}

// oracleMove is an amount that came to one of the four counters of an account, or left it.
type oracleMove struct {
	account ID
	counter int // one of the four below
	amount  int64
}

const (
	debitsPending = iota
	debitsPosted
	creditsPending
	creditsPosted
)

type oracleEntry struct {
	currency, id, group, debit, credit ID
	seq                                Seq
	at                                 Instant
	amount                             Amount
	after                              [2]string
}

func newOracle() *oracle {
	return &oracle{currencies: map[ID]Currency{}, accounts: map[ID]oracleAccount{}, transfers: map[ID]oracleTransfer{}, known: map[ID]oracleKnown{}}
}

func (o *oracle) clone() *oracle {
	c := *o
	c.currencies, c.accounts, c.transfers, c.known = maps.Clone(o.currencies), maps.Clone(o.accounts), maps.Clone(o.transfers), maps.Clone(o.known)
	c.moves, c.log = slices.Clip(o.moves), slices.Clip(o.log)
	return &c
}

func (o *oracle) sum(account ID, counters ...int) *big.Int {
	sum := new(big.Int)
	for _, m := range o.moves {
		if m.account == account && slices.Contains(counters, m.counter) {
			sum.Add(sum, big.NewInt(m.amount))
		}
	}
	return sum
}

func (o *oracle) balance(account ID) *big.Int {
	return new(big.Int).Sub(o.sum(account, creditsPosted), o.sum(account, debitsPosted))
}

func (o *oracle) held(account ID) (n int) {
	for _, t := range o.transfers {
		if t.state == Pending && t.debit == account {
			n++
		}
	}
	return n
}

func (o *oracle) now(currency ID) Instant { return max(o.at, o.currencies[currency].Last+1) }

// apply runs groups at an instant, as Book.Apply does.
func (o *oracle) apply(at Instant, gs []Group) []Result {
	o.at = at
	var results []Result
	for _, g := range gs {
		sane := at > 0 && at < 1<<62
		for sane && o.expireOne() {
		}
		if !sane || len(g) == 0 {
			results = append(results, Result{Code: Malformed})
			continue
		}
		results = append(results, o.group(g))
	}
	return results
}

// expireOne ends the first hold, by expiry and seq, whose time has come.
func (o *oracle) expireOne() bool {
	var first ID
	for id, t := range o.transfers {
		f := o.transfers[first]
		if t.state == Pending && t.expires <= o.now(t.currency) && (first.IsZero() || t.expires < f.expires || t.expires == f.expires && (t.seq < f.seq ||
			t.seq == f.seq && bytes.Compare(id[:], first[:]) < 0)) {
			first = id
		}
	}
	if !first.IsZero() {
		o.end(first, Expired, 0, first)
	}
	return !first.IsZero()
}

func (o *oracle) group(g Group) Result {
	var fresh []int
	for i, c := range g {
		if id := c.id(); id == (ID{}) || id.String() == strings.Repeat("f", 32) {
			return Result{Code: Malformed, Index: i}
		}
		k, seen := o.known[c.id()]
		switch {
		case !seen:
			fresh = append(fresh, i)
		case k.cmd == nil:
			return Result{Code: IDAborted, Index: i}
		case !sameCommand(k.cmd, c):
			return Result{Code: ExistsWithDifferent, Index: i}
		case k.code != OKCreated:
			return Result{Code: IDAlreadyFailed, Cause: k.code, Index: i}
		}
	}
	if len(fresh) == 0 {
		k := o.known[g[0].id()]
		return Result{Code: OKExists, Seq: k.seq, At: k.at}
	}
	before := o.clone()
	if o.gid = (ID{}); len(g) > 1 {
		o.gid = g[0].id()
	}
	for _, i := range fresh {
		c, code := g[i], Malformed // the same id twice
		if _, twice := o.known[c.id()]; !twice {
			code = o.do(c)
		}
		if code != OKCreated {
			refused := Result{Code: code, Index: i}
			switch code {
			case ExceedsFloor:
				refused.Would, refused.Limit = o.floor.would.Int64(), o.floor.limit.Int64()
			case ExceedsCeiling:
				refused.Would, refused.Limit = o.ceil.would.Int64(), o.ceil.limit.Int64()
			}
			*o = *before
			if !slices.Contains([]ResultCode{Malformed, CurrencyNotFound, VersionMismatch, ExistsWithDifferent}, code) {
				o.known[c.id()] = oracleKnown{cmd: c, code: code}
			}
			return refused
		}
	}
	k := o.known[g[0].id()]
	return Result{Code: OKCreated, Seq: k.seq, At: k.at}
}

func sameCommand(a, b Command) bool {
	x, isNote := a.(Note)
	y, alsoNote := b.(Note)
	if isNote && alsoNote {
		return x.ID == y.ID && x.Currency == y.Currency && x.Kind == y.Kind && bytes.Equal(x.Body, y.Body)
	}
	return isNote == alsoNote && a == b
}

// reasons collects what speaks against a command.
type reasons []ResultCode

func (r *reasons) add(code ResultCode, applies bool) {
	if applies {
		*r = append(*r, code)
	}
}

func (r reasons) first() ResultCode {
	if len(r) == 0 {
		return OKCreated
	}
	return slices.Min(r)
}

func (o *oracle) do(c Command) ResultCode {
	var no reasons
	switch c := c.(type) {
	case Pay:
		if c.Code == LevyCode || c.Code == RefundCode {
			return Malformed
		}
		return o.pay(c)
	case Post, Void:
		return o.finish(c)
	case Refund:
		return o.refund(c)
	case Abort:
		cur, ok := o.currencies[c.Currency]
		no.add(Malformed, !good(c.Target) || !good(c.Currency) || c.Target == c.ID)
		no.add(CurrencyNotFound, !ok)
		k, seen := o.known[c.Target]
		no.add(AlreadyPosted, seen && k.cmd != nil && k.code == OKCreated)
		if len(no) == 0 {
			if !seen {
				o.known[c.Target] = oracleKnown{}
			}
			o.write(cur.ID, c, oracleEntry{})
		}
	case Note:
		cur, ok := o.currencies[c.Currency]
		no.add(Malformed, c.Kind > NoteEpoch || len(c.Body) > 16384)
		no.add(CurrencyNotFound, !ok)
		no.add(Overflow, c.Kind == NoteEpoch && cur.Epoch >= 1<<32-2)
		if len(no) == 0 {
			if c.Kind == NoteEpoch {
				second := new(big.Int).Div(big.NewInt(int64(o.now(cur.ID))), big.NewInt(1_000_000_000)).Int64()
				cur.Epoch = max(cur.Epoch+1, uint32(min(second, 1<<32-2)))
				o.currencies[cur.ID] = cur
			}
			o.write(cur.ID, c, oracleEntry{})
		}
	case OpenCurrency:
		u := c.Currency
		_, exists := o.currencies[u.ID]
		no.add(ExistsWithDifferent, exists)
		no.add(Malformed, u.ID != NewID("currency", u.IRI) || u.IRI == "" || !oneLine(u.IRI) || u.Scale > 9 || u.Kind > Gift ||
			u.Privacy > Public || !currencyCode.MatchString(u.Code) || u.Kind == Hours && u.Scale > 0 ||
			u.Epoch != 0 || !u.Issuer.IsZero() || u.Next != 0 || u.Last != 0 || u.Rules.Levy != Levy{} || !goodRules(u.Rules))
		no.add(WrongCurrencyKind, !mayHave(u.Kind, Member, u.Rules.Floor))
		if len(no) == 0 {
			o.currencies[u.ID] = u
			o.write(u.ID, c, oracleEntry{})
		}
	case SetRules:
		cur, ok := o.currencies[c.Currency]
		to, there := o.accounts[c.Rules.Levy.To]
		no.add(Malformed, badDecision(c.Decision) || !goodRules(c.Rules))
		no.add(CurrencyNotFound, !ok)
		no.add(WrongCurrencyKind, ok && !mayHave(cur.Kind, Member, c.Rules.Floor))
		no.add(AccountNotFound, !c.Rules.Levy.To.IsZero() && !there)
		no.add(CurrencyMismatch, there && to.currency != c.Currency)
		if len(no) == 0 {
			cur.Rules = c.Rules
			o.currencies[cur.ID] = cur
			o.write(cur.ID, c, oracleEntry{})
		}
	case OpenAccount:
		cur, ok := o.currencies[c.Currency]
		_, exists := o.accounts[c.Account]
		no.add(ExistsWithDifferent, exists)
		no.add(Malformed, !good(c.Account) || c.Ref == "" || !oneLine(c.Ref) || !oneLine(c.Decision) || c.Role > Suspense || !inOrder(c.Floor, c.Ceil))
		no.add(CurrencyNotFound, !ok)
		no.add(WrongCurrencyKind, !mayHave(cur.Kind, c.Role, c.Floor) || c.Role == Issuer && !cur.Issuer.IsZero())
		if len(no) == 0 {
			if c.Role == Issuer {
				cur.Issuer = c.Account
				o.currencies[cur.ID] = cur
			}
			o.accounts[c.Account] = oracleAccount{currency: c.Currency, ref: c.Ref, role: c.Role, floor: c.Floor, ceil: c.Ceil, opened: o.now(cur.ID), version: 1}
			o.write(cur.ID, c, oracleEntry{})
		}
	case SetLimits:
		a, ok := o.accounts[c.Account]
		no.add(Malformed, !good(c.Account) || badDecision(c.Decision) || !inOrder(c.Floor, c.Ceil) || !inOrder(c.SoftFloor, c.SoftCeil))
		no.add(AccountNotFound, !ok)
		no.add(WrongCurrencyKind, ok && !mayHave(o.currencies[a.currency].Kind, a.role, c.Floor))
		no.add(VersionMismatch, ok && c.IfVersion != 0 && c.IfVersion != a.version)
		if len(no) == 0 {
			a.floor, a.ceil, a.sf, a.sc = c.Floor, c.Ceil, c.SoftFloor, c.SoftCeil
			o.govern(c.Account, a, c)
		}
	case SetFlags:
		a, ok := o.accounts[c.Account]
		pending := o.sum(c.Account, debitsPending, creditsPending)
		no.add(Malformed, !good(c.Account) || badDecision(c.Decision) || c.Flags > 7)
		no.add(AccountNotFound, !ok)
		no.add(AccountNotEmpty, c.Flags >= 4 && (o.balance(c.Account).Sign() != 0 || pending.Sign() != 0 || o.held(c.Account) > 0))
		no.add(VersionMismatch, ok && c.IfVersion != 0 && c.IfVersion != a.version)
		if len(no) == 0 {
			a.flags = c.Flags
			o.govern(c.Account, a, c)
		}
	case Rebind:
		a, ok := o.accounts[c.Account]
		no.add(Malformed, !good(c.Account) || badDecision(c.Decision) || c.NewRef == "" || !oneLine(c.NewRef))
		no.add(AccountNotFound, !ok)
		no.add(AccountClosed, a.flags&Closed != 0)
		if len(no) == 0 {
			a.ref = c.NewRef
			o.govern(c.Account, a, c)
		}
	}
	o.why = no
	return no.first()
}

func (o *oracle) govern(id ID, a oracleAccount, c Command) {
	a.version++
	o.accounts[id] = a
	o.write(a.currency, c, oracleEntry{})
}

// write adds an entry, and the command to what is known.
func (o *oracle) write(currency ID, cmd Command, e oracleEntry) (Seq, Instant) {
	cur := o.currencies[currency]
	e.currency, e.seq, e.at, e.group = currency, cur.Next, o.now(currency), o.gid
	cur.Next, cur.Last = cur.Next+1, e.at
	o.currencies[currency] = cur
	if cmd != nil {
		e.id = cmd.id()
		o.known[e.id] = oracleKnown{cmd: cmd, seq: e.seq, at: e.at}
	}
	if !e.debit.IsZero() {
		e.after = [2]string{o.balance(e.debit).String(), o.balance(e.credit).String()}
	}
	o.log = append(o.log, e)
	return e.seq, e.at
}

var currencyCode = regexp.MustCompile(`^[A-Z][A-Z0-9]{1,11}$`)

func good(id ID) bool { return id != ID{} && id.String() != strings.Repeat("f", 32) }

func oneLine(s string) bool {
	return len(s) <= 2048 && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func badDecision(s string) bool { return s == "" || !oneLine(s) }

func inOrder(lo, hi Bound) bool {
	return (lo.Set || lo.V == 0) && (hi.Set || hi.V == 0) && lo.V != -1<<63 && hi.V != -1<<63 && !(lo.Set && hi.Set && lo.V > hi.V)
}

func mayHave(k Kind, role Role, floor Bound) bool {
	issued := k == Issued || k == Backed
	return role == Issuer && issued || role != Issuer && (role != Member || !issued || floor.Set && floor.V >= 0)
}

func goodRules(r Rules) bool {
	l := r.Levy
	return inOrder(r.Floor, r.Ceil) && r.MaxTransfer >= 0 && r.MaxTransfer <= MaxAmount && r.Open <= OpenOnCredit && (l == Levy{} || good(l.To) &&
		l.BasisPoints <= 10000 && l.Least >= 0 && l.Most >= 0 && l.Least <= MaxAmount && l.Most <= MaxAmount && (l.Most == 0 || l.Least <= l.Most))
}

// parties collects what speaks against a transfer between two accounts, whatever its amount.
func (o *oracle) parties(no *reasons, currency, debit, credit ID) {
	d, dok := o.accounts[debit]
	c, cok := o.accounts[credit]
	no.add(DebitAccountNotFound, !dok)
	no.add(CreditAccountNotFound, !cok)
	no.add(CurrencyMismatch, dok && d.currency != currency || cok && c.currency != currency)
	no.add(AccountClosed, d.flags&Closed != 0 || c.flags&Closed != 0)
	no.add(DebitBlocked, d.flags&NoDebit != 0)
	no.add(CreditBlocked, c.flags&NoCredit != 0)
}

// limits collects what speaks against the amount.
func (o *oracle) limits(no *reasons, debit, credit ID, amount Amount) {
	n, most := big.NewInt(int64(amount)), big.NewInt(1<<63-1)
	out, in := o.sum(debit, debitsPending, debitsPosted), o.sum(credit, creditsPending, creditsPosted)
	out.Add(out, n)
	in.Add(in, n)
	no.add(Overflow, out.Cmp(most) > 0 || in.Cmp(most) > 0)
	d, c := o.accounts[debit], o.accounts[credit]
	o.floor = brokenLimit{out.Sub(o.sum(debit, creditsPosted), out), big.NewInt(d.floor.V)}
	o.ceil = brokenLimit{in.Sub(in, o.sum(credit, debitsPosted)), big.NewInt(c.ceil.V)}
	no.add(ExceedsFloor, d.floor.Set && o.floor.would.Cmp(o.floor.limit) < 0)
	no.add(ExceedsCeiling, c.ceil.Set && o.ceil.would.Cmp(o.ceil.limit) > 0)
}

func (o *oracle) pay(p Pay) ResultCode {
	var no reasons
	cur, ok := o.currencies[p.Currency]
	d, dok := o.accounts[p.Debit]
	c, cok := o.accounts[p.Credit]
	now := o.now(p.Currency)
	no.add(Malformed, p.Code > Share || p.Amount < 0 || !good(p.Currency) || !good(p.Debit) || !good(p.Credit) || p.EffectiveAt < 0)
	no.add(Malformed, p.Pending && (p.Timeout < time.Second || p.Timeout > 366*24*time.Hour) || !p.Pending && p.Timeout != 0)
	no.add(Malformed, ok && p.EffectiveAt != 0 && (p.EffectiveAt > now || now-p.EffectiveAt > Instant(30*24*time.Hour) ||
		dok && p.EffectiveAt < d.opened || cok && p.EffectiveAt < c.opened))
	no.add(CurrencyNotFound, !ok)
	no.add(WrongCurrencyKind, p.Code == Issue && (cur.Issuer.IsZero() || cur.Issuer != p.Debit) || p.Code == Redeem && (cur.Issuer.IsZero() || cur.Issuer != p.Credit))
	no.add(AccountsMustDiffer, p.Debit == p.Credit)
	no.add(AmountZero, p.Amount == 0 && cur.Kind != Gift)
	no.add(AmountTooLarge, p.Amount > 1<<62-1 || cur.Rules.MaxTransfer > 0 && p.Amount > cur.Rules.MaxTransfer)
	o.parties(&no, p.Currency, p.Debit, p.Credit)
	for _, t := range o.transfers {
		no.add(AlreadySettled, !p.Settles.IsZero() && t.settles == p.Settles && (t.state == Pending || t.state == Posted))
	}
	no.add(TooManyPending, p.Pending && o.held(p.Debit) >= int(cur.Rules.MaxPending))
	o.limits(&no, p.Debit, p.Credit, p.Amount)
	if len(no) > 0 {
		o.why = no
		return no.first()
	}
	levy, levied := o.levy(p)
	if levied && o.gid.IsZero() {
		o.gid = p.ID
	}
	t := oracleTransfer{currency: cur.ID, debit: p.Debit, credit: p.Credit, settles: p.Settles, amount: p.Amount, code: p.Code, held: p.Pending}
	if p.Pending {
		t.expires = now + Instant(p.Timeout)
	}
	o.move(p, t)
	if levied {
		if _, taken := o.known[levy.ID]; taken {
			return ExistsWithDifferent
		}
		return o.pay(levy)
	}
	return OKCreated
}

// levy is the payment that the rules ask for beside p.
func (o *oracle) levy(p Pay) (Pay, bool) {
	l := o.currencies[p.Currency].Rules.Levy
	if l.To.IsZero() || p.Code != Payment || p.Debit == l.To || p.Credit == l.To {
		return Pay{}, false
	}
	share := new(big.Int).Mul(big.NewInt(int64(p.Amount)), big.NewInt(int64(l.BasisPoints)))
	amount := max(Amount(share.Div(share, big.NewInt(10000)).Int64()), l.Least)
	if l.Most > 0 && amount > l.Most {
		amount = l.Most
	}
	return Pay{ID: LevyID(p.ID), Currency: p.Currency, Debit: p.Debit, Credit: l.To, Amount: amount, Code: LevyCode, Pending: p.Pending, Timeout: p.Timeout}, amount > 0
}

func (o *oracle) put(account ID, counter int, amount Amount) {
	o.moves = append(o.moves, oracleMove{account, counter, int64(amount)})
}

// move makes a transfer.
func (o *oracle) move(cmd Command, t oracleTransfer) {
	if t.held {
		o.put(t.debit, debitsPending, t.amount)
		o.put(t.credit, creditsPending, t.amount)
	} else {
		o.put(t.debit, debitsPosted, t.amount)
		o.put(t.credit, creditsPosted, t.amount)
		t.state, t.posted = Posted, t.amount
	}
	t.seq, t.at = o.write(t.currency, cmd, oracleEntry{debit: t.debit, credit: t.credit, amount: t.amount})
	o.transfers[cmd.id()] = t
}

// end ends a held transfer; by is the command, or the transfer's id for an expiry.
func (o *oracle) end(id ID, state TransferState, amount Amount, by any) {
	t := o.transfers[id]
	o.put(t.debit, debitsPending, -t.amount)
	o.put(t.credit, creditsPending, -t.amount)
	o.put(t.debit, debitsPosted, amount)
	o.put(t.credit, creditsPosted, amount)
	t.state, t.posted = state, amount
	o.transfers[id] = t
	e := oracleEntry{debit: t.debit, credit: t.credit, amount: amount}
	if state != Posted {
		e.amount = t.amount
	}
	if cmd, ok := by.(Command); ok {
		o.write(t.currency, cmd, e)
		return
	}
	o.gid, e.id = ID{}, id
	o.write(t.currency, nil, e)
}

// finish is Post and Void.
func (o *oracle) finish(cmd Command) ResultCode {
	p, posting := cmd.(Post)
	v, _ := cmd.(Void)
	id := v.Pending
	if posting {
		id = p.Pending
	}
	var no reasons
	t, ok := o.transfers[id]
	ok = ok && t.code != LevyCode
	no.add(Malformed, !good(id) || p.Amount < 0)
	no.add(AmountTooLarge, p.Amount > 1<<62-1)
	no.add(PendingNotFound, !ok)
	if ok {
		no.add(AmountZero, posting && p.Amount == 0 && o.currencies[t.currency].Kind != Gift)
		no.add(PendingNotPending, !t.held)
		no.add(AlreadyPosted, t.state == Posted)
		no.add(AlreadyVoided, t.state == Voided)
		no.add(TransferExpired, t.held && t.expires <= o.now(t.currency))
		no.add(ExceedsPendingAmount, p.Amount > t.amount && p.Amount != All)
		if posting {
			o.parties(&no, t.currency, t.debit, t.credit)
		}
	}
	if len(no) > 0 {
		o.why = no
		return no.first()
	}
	amount := min(p.Amount, t.amount)
	levyID, sub := LevyID(id), LevyID(cmd.id())
	l, levied := o.transfers[levyID]
	levied = levied && l.code == LevyCode && l.state == Pending
	share := l.amount
	if amount < t.amount {
		part := new(big.Int).Mul(big.NewInt(int64(l.amount)), big.NewInt(int64(amount)))
		share = Amount(part.Div(part, big.NewInt(int64(t.amount))).Int64())
	}
	if levied {
		_, taken := o.known[sub]
		no.add(ExistsWithDifferent, taken)
		if posting && share > 0 {
			o.parties(&no, l.currency, l.debit, l.credit)
		}
		if len(no) > 0 {
			o.why = no
			return no.first()
		}
		if o.gid.IsZero() {
			o.gid = cmd.id()
		}
	}
	if posting {
		o.end(id, Posted, amount, cmd)
	} else {
		o.end(id, Voided, 0, cmd)
	}
	switch {
	case levied && posting && share > 0:
		o.end(levyID, Posted, share, Post{ID: sub, Pending: levyID, Amount: share})
	case levied:
		o.end(levyID, Voided, 0, Void{ID: sub, Pending: levyID})
	}
	return OKCreated
}

func (o *oracle) refund(f Refund) ResultCode {
	var no reasons
	t, ok := o.transfers[f.Original]
	no.add(Malformed, f.Amount < 0 || !good(f.Original))
	no.add(AmountTooLarge, f.Amount > 1<<62-1)
	no.add(OriginalNotFound, !ok)
	if !ok {
		o.why = no
		return no.first()
	}
	amount := f.Amount
	if amount == All {
		amount = t.posted - t.refunded
	}
	gift := o.currencies[t.currency].Kind == Gift
	no.add(AmountZero, f.Amount == 0 && !gift)
	o.parties(&no, t.currency, t.credit, t.debit)
	no.add(OriginalNotPosted, t.state != Posted)
	no.add(RefundOfRefund, t.code == RefundCode)
	no.add(ExceedsOriginal, amount > t.posted-t.refunded || amount == 0 && !gift)
	o.limits(&no, t.credit, t.debit, amount)
	if len(no) > 0 {
		o.why = no
		return no.first()
	}
	t.refunded += amount
	o.transfers[f.Original] = t
	o.move(f, oracleTransfer{currency: t.currency, debit: t.credit, credit: t.debit, refundOf: f.Original, amount: amount, code: RefundCode})
	return OKCreated
}
