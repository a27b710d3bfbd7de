package sim

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"planet/ledger"
)

// act is what a client wants: one group, sent until there is an answer.
type act struct {
	group   ledger.Group
	hostile bool
	whole   bool // its ids are its own: in the book are all of them, or none

	promise *promise // what the node said first; nil: nothing yet
	settled bool     // the client has an answer
	tries   int
	next    ledger.Instant // when the client tries again
}

// workload makes acts. It remembers what it made, so that later acts can be about earlier ones.
type workload struct {
	r *rand.Rand

	books   []*book
	acts    []*act
	settles []ledger.ID
}

// book is what the workload knows of a currency.
type book struct {
	ledger.Currency
	members []ledger.ID
	commons ledger.ID
	issuer  ledger.ID
	holds   []ledger.ID
	pays    []ledger.ID
}

const decision = "https://coop.example/decisions/1"

var codes = [...]string{"MUT", "ISS", "BAK", "HRS", "GFT"}

// newBook is the group that opens a currency of kind k with its accounts.
func (w *workload) newBook(k ledger.Kind) ledger.Group {
	iri := "https://coop.example/currencies/" + strings.ToLower(codes[k])
	c := ledger.Currency{ID: ledger.NewID("currency", iri), IRI: iri, Code: codes[k], Scale: 2, Kind: k, Rules: ledger.Preset(k, 500)}
	if k == ledger.Hours {
		c.Scale = 0
	}
	c.Rules.MaxPending = uint16(2 + w.r.IntN(6))
	if w.chance(0.3) {
		c.Rules.Ceil = ledger.At(int64(600 + w.r.IntN(600)))
	}
	if w.chance(0.3) {
		c.Rules.MaxTransfer = 300
	}
	b := &book{Currency: c}
	g := ledger.Group{ledger.OpenCurrency{ID: w.id(), Currency: c}}
	open := func(ref string, role ledger.Role) ledger.ID {
		o := c.NewAccount(ref, role)
		switch role {
		case ledger.Issuer:
			o.Floor = ledger.At(-20_000)
		case ledger.Peer:
			o.Floor, o.Ceil = ledger.At(-300), ledger.At(300)
		}
		g = append(g, o)
		return o.Account
	}
	for i := range 6 {
		b.members = append(b.members, open("https://coop.example/users/"+string(rune('a'+i)), ledger.Member))
	}
	b.members = append(b.members, open("https://far.example/u/z", ledger.Member), open("https://partner.example/", ledger.Peer))
	b.commons = open("https://coop.example/fund", ledger.Commons)
	open("https://coop.example/suspense", ledger.Suspense)
	if k == ledger.Issued || k == ledger.Backed {
		b.issuer = open("https://coop.example/", ledger.Issuer)
	}
	w.books = append(w.books, b)
	return g
}

func (w *workload) chance(p float64) bool { return w.r.Float64() < p }

func (w *workload) id() (id ledger.ID) {
	for i := range id {
		id[i] = byte(w.r.Uint32())
	}
	return id
}

func (w *workload) digest() (d ledger.Digest) {
	if w.chance(0.5) {
		d[0] = byte(1 + w.r.IntN(255))
	}
	return d
}

func pick[T any](w *workload, from []T) (x T) {
	if len(from) > 0 {
		x = from[w.r.IntN(len(from))]
	}
	return x
}

func (w *workload) amount() ledger.Amount { return ledger.Amount(1 + w.r.IntN(1+w.r.IntN(200))) }

func (w *workload) timeout() time.Duration {
	switch w.r.IntN(6) {
	case 0:
		return ledger.MinTimeout
	case 1:
		return time.Duration(1 + w.r.IntN(9*24)*int(time.Hour))
	case 2:
		return ledger.MinTimeout + time.Duration(w.r.IntN(2_000_000)) // within the slack of each other
	}
	return time.Minute * time.Duration(1+w.r.IntN(600))
}

// pay is an honest payment, or a hold.
func (w *workload) pay(b *book, held bool) ledger.Pay {
	p := ledger.Pay{ID: w.id(), Currency: b.ID, Debit: pick(w, b.members), Amount: w.amount(), Memo: w.digest(), Auth: w.digest()}
	if !b.issuer.IsZero() && w.chance(0.3) {
		p.Code, p.Debit, p.Amount = ledger.Issue, b.issuer, p.Amount*3
	}
	for p.Credit = p.Debit; p.Credit == p.Debit; {
		p.Credit = pick(w, b.members)
	}
	if !b.issuer.IsZero() && p.Code != ledger.Issue && w.chance(0.1) {
		p.Code, p.Credit = ledger.Redeem, b.issuer
	}
	if b.Kind == ledger.Gift && w.chance(0.5) {
		p.Amount = 0
	}
	if held {
		p.Pending, p.Timeout = true, w.timeout()
		if b.Kind != ledger.Gift {
			p.Amount = max(p.Amount, 1)
		}
		b.holds = append(b.holds, p.ID)
	} else {
		b.pays = append(b.pays, p.ID)
	}
	if w.chance(0.1) {
		p.Settles = w.id()
		w.settles = append(w.settles, p.Settles)
	}
	return p
}

// recent prefers what is young.
func recent(w *workload, ids []ledger.ID) ledger.ID {
	if n := len(ids); n > 8 && w.chance(0.8) {
		ids = ids[n-8:]
	}
	return pick(w, ids)
}

// next makes an act.
func (w *workload) next() *act {
	a := &act{hostile: w.chance(0.4)}
	b := pick(w, w.books)
	if a.hostile {
		a.group = w.evil(b, a)
	} else {
		a.whole = true
		a.group = w.good(b, a)
	}
	w.acts = append(w.acts, a)
	return a
}

func one(c ledger.Command) ledger.Group { return ledger.Group{c} }

// good is what a client of good will asks for.
func (w *workload) good(b *book, a *act) ledger.Group {
	switch n := w.r.IntN(100); {
	case n < 38:
		return one(w.pay(b, false))
	case n < 54:
		return one(w.pay(b, true))
	case n < 64:
		p := ledger.Post{ID: w.id(), Pending: recent(w, b.holds), Amount: ledger.All}
		if w.chance(0.5) {
			p.Amount = w.amount()
		}
		b.pays = append(b.pays, p.Pending)
		return one(p)
	case n < 69:
		return one(ledger.Void{ID: w.id(), Pending: recent(w, b.holds)})
	case n < 76:
		f := ledger.Refund{ID: w.id(), Original: recent(w, b.pays), Amount: ledger.All}
		if w.chance(0.6) {
			f.Amount = w.amount()
		}
		return one(f)
	case n < 84: // a bill that is split, or an exchange between two currencies
		g := one(w.pay(b, false))
		for range 1 + w.r.IntN(3) {
			if w.chance(0.4) {
				b = pick(w, w.books)
			}
			g = append(g, w.pay(b, w.chance(0.2)))
		}
		return g
	case n < 87:
		return one(ledger.SetLimits{ID: w.id(), Account: pick(w, b.members), Floor: w.floor(b), Ceil: w.ceil(), SoftFloor: ledger.At(-50), Decision: decision})
	case n < 90:
		f := ledger.SetFlags{ID: w.id(), Account: pick(w, b.members), Decision: decision}
		if w.chance(0.4) {
			f.Flags = ledger.Flags(1 << w.r.IntN(3))
		}
		return one(f)
	case n < 92:
		r := b.Rules
		if w.chance(0.7) {
			r.Levy = ledger.Levy{BasisPoints: uint16(w.r.IntN(1000)), Least: ledger.Amount(w.r.IntN(3)), To: b.commons}
			if w.chance(0.3) {
				r.Levy.Most = 3 + ledger.Amount(w.r.IntN(10))
			}
		}
		return one(ledger.SetRules{ID: w.id(), Currency: b.ID, Rules: r, Decision: decision})
	case n < 95: // somebody new, welcomed with a payment; again under the same account id
		a.whole = false
		c := b.Currency
		o := c.NewAccount("https://new.example/u/"+string(rune('a'+w.r.IntN(6))), ledger.Member)
		if !slices.Contains(b.members, o.Account) {
			b.members = append(b.members, o.Account)
		}
		p := w.pay(b, false)
		if p.Credit = o.Account; p.Debit == p.Credit {
			p.Debit = b.commons
		}
		if p.Code == ledger.Redeem {
			p.Code = ledger.Payment
		}
		return ledger.Group{o, p}
	case n < 96:
		return one(ledger.Rebind{ID: w.id(), Account: pick(w, b.members), NewRef: "https://moved.example/u/m", Decision: decision})
	case n < 98:
		a.whole = false
		return one(ledger.Abort{ID: w.id(), Currency: b.ID, Target: w.anyID()})
	case n < 99:
		return one(ledger.Note{ID: w.id(), Currency: b.ID, Kind: ledger.NoteStatement, Body: make([]byte, w.r.IntN(200))})
	}
	p, ok := b.DemurragePay(string(rune('0'+w.r.IntN(5))), pick(w, b.members), b.commons, int64(w.amount())*100, 200)
	if a.whole = false; !ok {
		p = w.pay(b, false)
	}
	return one(p)
}

func (w *workload) floor(b *book) ledger.Bound {
	if b.Kind == ledger.Issued || b.Kind == ledger.Backed {
		return ledger.At(0)
	}
	return ledger.At(-int64(w.r.IntN(1000)))
}

func (w *workload) ceil() ledger.Bound {
	if w.chance(0.5) {
		return ledger.Bound{}
	}
	return ledger.At(int64(w.r.IntN(1500)))
}

// anyID is an id that some act used, for whatever.
func (w *workload) anyID() ledger.ID {
	a := pick(w, w.acts)
	if a == nil || len(a.group) == 0 {
		return w.id()
	}
	return ledger.Entry{Cmd: pick(w, a.group)}.ID()
}

// evil is what should do no harm.
func (w *workload) evil(b *book, a *act) ledger.Group {
	p := w.pay(b, false)
	other := pick(w, w.books)
	switch w.r.IntN(30) {
	case 0:
		return pick(w, []ledger.Group{{}, {nil}, {p, nil}, {p, p}, {&p}})
	case 1:
		p.ID = pick(w, []ledger.ID{{}, {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}})
	case 2, 3, 4: // another body under an id that was used
		p.ID = w.anyID()
	case 5: // the id that the ledger itself would take
		p.ID = ledger.LevyID(w.anyID())
	case 6: // the id that a levy will need
		later := w.pay(b, w.chance(0.3))
		p.ID = ledger.LevyID(later.ID)
		return pick(w, []ledger.Group{{p, later}, {later, p}, one(p)})
	case 7:
		p.Debit = w.id()
	case 8:
		p.Credit = w.id()
	case 9:
		p.Currency = w.id()
	case 10:
		p.Amount = pick(w, []ledger.Amount{ledger.MaxAmount, ledger.MaxAmount + 1, 1<<63 - 1, 1 << 61, -1, -1 << 63})
	case 11:
		p.Debit = p.Credit
	case 12:
		p.Code = pick(w, []ledger.Code{ledger.Issue, ledger.Redeem, ledger.LevyCode, ledger.RefundCode, ledger.Share + 1, 255})
	case 13:
		p.Amount, p.Pending, p.Timeout = 0, w.chance(0.5), time.Hour
	case 14: // somebody else's book
		p.Debit, p.Credit, p.Currency = pick(w, b.members), pick(w, other.members), pick(w, w.books).ID
	case 15:
		p.Pending, p.Timeout = w.chance(0.7), pick(w, []time.Duration{-1, 1, ledger.MinTimeout - 1, ledger.MaxTimeout + 1, 1<<63 - 1})
	case 16:
		p.EffectiveAt = pick(w, []ledger.Instant{-1, 1, 1<<63 - 1, year + ledger.Instant(w.r.Int64N(int64(60*24*time.Hour)))})
	case 17:
		p.Settles = pick(w, w.settles)
	case 18: // ends what others hold, and more than once
		id := recent(w, pick(w, w.books).holds)
		return pick(w, []ledger.Group{
			one(ledger.Post{ID: w.id(), Pending: id, Amount: 1 << 61}),
			one(ledger.Post{ID: w.id(), Pending: id, Amount: -5}),
			one(ledger.Post{ID: w.id(), Pending: w.id(), Amount: 1}),
			{ledger.Post{ID: w.id(), Pending: id, Amount: 1}, ledger.Post{ID: w.id(), Pending: id, Amount: 1}},
			{ledger.Void{ID: w.id(), Pending: id}, ledger.Post{ID: w.id(), Pending: id, Amount: ledger.All}},
			one(ledger.Void{ID: w.id(), Pending: w.anyID()}),
		})
	case 19, 20:
		id := w.anyID()
		return pick(w, []ledger.Group{
			one(ledger.Refund{ID: w.id(), Original: id, Amount: 1 << 61}),
			one(ledger.Refund{ID: w.id(), Original: id, Amount: 0}),
			one(ledger.Refund{ID: w.id(), Original: ledger.LevyID(id), Amount: 1}),
			{ledger.Refund{ID: w.id(), Original: id, Amount: ledger.All}, ledger.Refund{ID: w.id(), Original: id, Amount: ledger.All}},
		})
	case 21: // a refund of a refund
		f := ledger.Refund{ID: w.id(), Original: recent(w, b.pays), Amount: 1}
		return ledger.Group{f, ledger.Refund{ID: w.id(), Original: f.ID, Amount: 1}}
	case 22: // the first is good, the last is not
		a.whole = true
		bad := w.pay(other, false)
		bad.Amount = pick(w, []ledger.Amount{1 << 40, 1 << 61, -1})
		return ledger.Group{p, w.pay(other, w.chance(0.5)), bad}
	case 23: // a part of what another asked for
		if x := pick(w, w.acts); x != nil && len(x.group) > 1 {
			x.whole = false
			return slices.Clone(x.group[:1+w.r.IntN(len(x.group)-1)])
		}
		p.Code = 99
	case 24:
		return pick(w, []ledger.Group{
			one(ledger.SetLimits{ID: w.id(), Account: pick(w, b.members), Floor: ledger.At(5), Ceil: ledger.At(-5), Decision: decision}),
			one(ledger.SetLimits{ID: w.id(), Account: pick(w, b.members), Floor: ledger.At(-1 << 63), Decision: decision}),
			one(ledger.SetLimits{ID: w.id(), Account: pick(w, b.members), Floor: ledger.At(0)}),
			one(ledger.SetLimits{ID: w.id(), Account: pick(w, b.members), Floor: ledger.At(-1_000_000), Decision: decision, IfVersion: 9}),
			one(ledger.SetLimits{ID: w.id(), Account: w.id(), Floor: ledger.At(-1_000_000), Decision: decision}),
		})
	case 25:
		return pick(w, []ledger.Group{
			one(ledger.SetFlags{ID: w.id(), Account: pick(w, b.members), Flags: 128, Decision: decision}),
			one(ledger.SetFlags{ID: w.id(), Account: pick(w, b.members), Flags: ledger.Closed, Decision: decision}),
			one(ledger.SetFlags{ID: w.id(), Account: pick(w, b.members), Flags: ledger.NoDebit, Decision: "two\nlines"}),
			one(ledger.Rebind{ID: w.id(), Account: pick(w, b.members), NewRef: "a\x00b", Decision: decision}),
			one(ledger.Rebind{ID: w.id(), Account: pick(w, b.members), NewRef: strings.Repeat("x", ledger.MaxText+1), Decision: decision}),
		})
	case 26:
		bad := b.Rules
		bad.Levy = pick(w, []ledger.Levy{{BasisPoints: 10_001, To: b.commons}, {BasisPoints: 5}, {To: w.id(), BasisPoints: 5}, {To: other.commons, Least: 1}, {To: b.commons, Least: -1}})
		return one(ledger.SetRules{ID: w.id(), Currency: b.ID, Rules: bad, Decision: decision})
	case 27:
		c := b.Currency
		c.Scale = 1
		o := c.NewAccount("https://evil.example/u/e", ledger.Member)
		o.Account, o.ID = w.id(), w.id()
		o.Floor = ledger.At(-1 << 40)
		return pick(w, []ledger.Group{
			one(ledger.OpenCurrency{ID: w.id(), Currency: c}),
			one(ledger.OpenAccount{ID: w.id(), Account: pick(w, b.members), Currency: b.ID, Ref: "https://evil.example/", Role: ledger.Member}),
			one(ledger.OpenAccount{ID: w.id(), Account: w.id(), Currency: b.ID, Ref: "https://evil.example/", Role: ledger.Issuer}),
			one(ledger.OpenAccount{ID: w.id(), Account: w.id(), Currency: b.ID, Ref: "", Role: ledger.Member}),
			one(ledger.OpenAccount{ID: w.id(), Account: w.id(), Currency: w.id(), Ref: "https://evil.example/", Role: ledger.Member}),
			one(ledger.Note{ID: w.id(), Currency: b.ID, Kind: 99}),
			one(ledger.Note{ID: w.id(), Currency: b.ID, Body: make([]byte, ledger.MaxNote+1)}),
		})
	case 28: // forbids what others may still want
		return pick(w, []ledger.Group{
			one(ledger.Abort{ID: w.id(), Currency: b.ID, Target: w.anyID()}),
			one(ledger.Abort{ID: p.ID, Currency: b.ID, Target: p.ID}),
			one(ledger.Abort{ID: w.id(), Currency: b.ID, Target: ledger.LevyID(w.anyID())}),
			{ledger.Abort{ID: w.id(), Currency: b.ID, Target: p.ID}, p},
		})
	default: // more than anybody has
		p.Amount = 1 << (10 + w.r.IntN(51))
	}
	return one(p)
}

// year is when the simulated time begins.
const year ledger.Instant = 1_767_225_600_000_000_000
