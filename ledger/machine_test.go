package ledger

import (
	"container/heap"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const noon Instant = 1_767_268_800_000_000_000 // 1 January 2026

// full reads how large a proof is to be from the environment; what it is without is small enough for every run.
func full(t testing.TB, name string, def int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		if testing.Short() {
			return max(1, def/8)
		}
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number above zero", name, v)
	}
	return n
}

const stepsPerRun = 80

// TestOracle compares Apply with the oracle, step by step, on random commands of which a third or more is hostile.
// PLANET_LEDGER_STEPS is how many steps it takes.
func TestOracle(t *testing.T) {
	runs := max(1, full(t, "PLANET_LEDGER_STEPS", 24_000)/70)
	set(t, "rapid.checks", strconv.Itoa(runs))
	if runs < 100 { // whoever asks for so few wants to know whether, not why
		set(t, "rapid.shrinktime", "1s")
	}
	var seen tally
	rapid.Check(t, func(rt *rapid.T) { oracleProperty(rt, &seen) })
	t.Logf("%d steps, %d commands in %d groups, %.0f %% of which were not done; %d entries\n%s", seen.steps, seen.commands, seen.groups, 100*seen.refused(), seen.entries, &seen)
	if seen.refused() < 0.3 {
		t.Errorf("only %.0f %% of the commands were refused: the machine is too kind", 100*seen.refused())
	}
	if seen.steps >= 20_000 {
		for code := range numResults {
			if seen.codes[code] == 0 {
				t.Errorf("%s never came up", code)
			}
		}
	}
}

// set sets a flag for one test.
func set(t *testing.T, name, value string) {
	t.Helper()
	f := flag.Lookup(name)
	old := f.Value.String()
	t.Cleanup(func() { _ = f.Value.Set(old) })
	if err := f.Value.Set(value); err != nil {
		t.Fatal(err)
	}
}

func FuzzOracle(f *testing.F) {
	var seen tally
	f.Fuzz(rapid.MakeFuzz(func(rt *rapid.T) { oracleProperty(rt, &seen) }))
}

// tally is what the machine met.
type tally struct {
	steps, groups, commands, entries int
	codes                            [numResults]int // of groups
}

func (s *tally) refused() float64 {
	return 1 - float64(s.codes[OKCreated])/float64(max(1, s.groups))
}

func (s *tally) String() string {
	var b strings.Builder
	for c, n := range s.codes {
		fmt.Fprintf(&b, "%s %d  ", ResultCode(c), n)
	}
	return b.String()
}

func oracleProperty(rt *rapid.T, seen *tally) {
	t := &dice{T: rt, salt: rapid.Uint64().Draw(rt, "salt")}
	m := newMachine(t)
	for range t.within(1, stepsPerRun, "steps") + stepsPerRun/2 {
		m.step(t, seen)
	}
	seen.entries += len(m.log)
	m.replay(t)
}

// machine is a book, its oracle, and what commands may name.
type machine struct {
	book       *Book
	oracle     *oracle
	at         Instant
	log        []Entry
	n          int
	currencies []Currency
	accounts   []ID
	ids        []ID // of commands that were given
	holds      []ID // of transfers that were made to be held
	paid       []ID // of those that are posted, some of them after a hold
	given      []Command
}

func newMachine(t *dice) *machine {
	m := &machine{book: NewBook(), oracle: newOracle(), at: noon}
	limits := Preset(Mutual, 20)
	limits.Ceil = At(25)
	limits.MaxPending = 3
	free := Rules{MaxPending: 2, MaxTransfer: 0}
	issued := Preset(Issued, 0)
	issued.MaxTransfer = 1 << 40
	for i, c := range []Currency{
		{Code: "GRN", Scale: 2, Kind: Mutual, Rules: limits},
		{Code: "TOP", Kind: Mutual, Rules: free, Privacy: Public},
		{Code: "EUR", Scale: 2, Kind: Issued, Rules: issued},
		{Code: "GIFT", Kind: Gift, Rules: Rules{MaxPending: 64}},
	} {
		c.IRI = fmt.Sprintf("https://coop.example/currencies/%d", i)
		c.ID = NewID("currency", c.IRI)
		m.currencies = append(m.currencies, c)
		g := Group{OpenCurrency{ID: NewID("create", c.IRI), Currency: c}}
		roles := []Role{Member, Member, Member, Commons}
		if c.Kind == Issued {
			roles[0] = Issuer
		}
		for k, role := range roles {
			o := c.NewAccount(fmt.Sprintf("https://coop.example/users/%d", k), role)
			if role == Commons && i == 1 {
				o.Floor = Bound{}
			}
			m.accounts = append(m.accounts, o.Account)
			g = append(g, o)
		}
		m.apply(t, m.at, []Group{g})
		// Half of the books ask for a contribution.
		if t.oneIn(2, "levied") {
			r := c.Rules
			r.Levy = Levy{BasisPoints: 2500, Least: Amount(i % 2), Most: 3, To: m.accounts[len(m.accounts)-1]}
			m.apply(t, m.at, []Group{{SetRules{ID: m.newID(), Currency: c.ID, Rules: r, Decision: "https://coop.example/d/0"}}})
		}
	}
	return m
}

func (m *machine) newID() ID {
	m.n++
	return NewID("act", strconv.Itoa(m.n))
}

func pick[T any](t *dice, from []T, what string) T {
	return from[t.within(0, len(from)-1, what)]
}

// dice are rapid's numbers, which are mostly small, turned to be as often one as the other. With a salt of zero, where shrinking leads,
// they are left alone.
type dice struct {
	*rapid.T
	salt, thrown uint64
}

func (d *dice) within(lo, hi int, what string) int {
	n, v := uint64(hi-lo+1), uint64(rapid.IntRange(0, hi-lo).Draw(d.T, what))
	if d.salt != 0 {
		d.thrown++
		x := (d.salt + d.thrown) * 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		v = (v + (x^x>>29)%n) % n
	}
	return lo + int(v)
}

// oneIn is true once in n.
func (d *dice) oneIn(n int, what string) bool { return d.within(1, n, what) == n }

func (m *machine) id(t *dice) ID {
	if !t.oneIn(12, "odd id") || len(m.ids) == 0 {
		id := m.newID()
		m.ids = append(m.ids, id)
		return id
	}
	switch t.within(0, 5, "which id") {
	case 0:
		return pick(t, []ID{{}, reserved}, "no id")
	case 1: // the levy's of what may come, or of what was
		return LevyID(NewID("act", strconv.Itoa(m.n+t.within(-3, 3, "near"))))
	}
	return pick(t, m.ids, "an old id")
}

func (m *machine) account(t *dice, c Currency) ID {
	switch t.within(0, 49, "account") {
	case 0:
		return NewID("nobody")
	case 1:
		return pick(t, m.accounts, "any account")
	case 2:
		return pick(t, []ID{{}, reserved}, "no account")
	}
	i := slices.IndexFunc(m.currencies, func(x Currency) bool { return x.IRI == c.IRI })
	return m.accounts[4*i+t.within(0, 3, "member")]
}

func (m *machine) amount(t *dice, c Currency) Amount {
	switch t.within(0, 19, "amount") {
	case 0:
		return 0
	case 1:
		return pick(t, []Amount{-1, All, All - 1, All + 1, 1<<63 - 1, -1 << 63, 1 << 40, 1<<40 + 1}, "odd amount")
	case 2, 3:
		if c.Code == "TOP" { // no limits there: what overflows is met
			return pick(t, []Amount{All, All - 1, 1 << 61}, "large amount")
		}
		return All
	}
	return Amount(t.within(1, 9, "small amount"))
}

func (m *machine) bound(t *dice) Bound {
	switch t.within(0, 9, "bound") {
	case 0, 1:
		return Bound{}
	case 2:
		return pick(t, []Bound{{V: 1}, At(-1 << 63), At(1<<63 - 1), At(-1<<63 + 1)}, "odd bound")
	}
	return At(int64(t.within(-20, 20, "limit")))
}

func text(t *dice, n int) string {
	if t.oneIn(15, "odd text") {
		return pick(t, []string{"", "two\nlines", "\x7f", "\xff", strings.Repeat("x", MaxText+1), strings.Repeat("é", MaxText/2), "\u0085", "a b ", "\u202e"}, "odd text")
	}
	return "https://coop.example/t/" + strconv.Itoa(n)
}

// named is an id that a command names: mostly of a hold or a payment.
func (m *machine) named(t *dice, from []ID) ID {
	if len(from) == 0 || t.oneIn(15, "odd name") {
		switch t.within(0, 3, "which name") {
		case 0:
			return NewID("nothing")
		case 1:
			return pick(t, []ID{{}, reserved}, "no name")
		case 2:
			if len(from) > 0 {
				return LevyID(pick(t, from, "a levy"))
			}
		}
		return pick(t, append(m.ids, NewID("x")), "any id")
	}
	return from[max(0, len(from)-1-t.within(0, 5, "how long ago"))]
}

func (m *machine) command(t *dice) Command {
	if len(m.given) > 0 && t.oneIn(15, "again") {
		return pick(t, m.given, "which again")
	}
	c := m.generate(t)
	m.given = append(m.given, c)
	return c
}

func (m *machine) generate(t *dice) Command {
	c := pick(t, m.currencies, "currency")
	if t.oneIn(60, "no currency") {
		c.ID = pick(t, []ID{NewID("nowhere"), {}, reserved}, "which none")
	}
	var version uint64
	if t.oneIn(4, "versioned") {
		version = uint64(t.within(1, 4, "version"))
	}
	switch k := t.within(0, 59, "command"); {
	case k < 30:
		p := Pay{ID: m.id(t), Currency: c.ID, Debit: m.account(t, c), Credit: m.account(t, c), Amount: m.amount(t, c)}
		if p.Debit == p.Credit && !t.oneIn(4, "to oneself") {
			p.Credit = m.account(t, c)
		}
		if t.oneIn(6, "code") {
			p.Code = Code(t.within(0, int(Share)+1, "which code"))
		}
		if t.oneIn(2, "hold") {
			p.Pending = !t.oneIn(30, "not quite")
			p.Timeout = pick(t, []time.Duration{MinTimeout, 2 * time.Second, time.Minute, time.Hour, MaxTimeout}, "timeout")
			if t.oneIn(30, "odd timeout") {
				p.Timeout = pick(t, []time.Duration{0, -1, MinTimeout - 1, MaxTimeout + 1}, "which timeout")
			}
		}
		if t.oneIn(5, "settles") {
			p.Settles = NewID("invoice", strconv.Itoa(t.within(0, 3, "invoice")))
		}
		if t.oneIn(10, "claimed time") {
			back := pick(t, []time.Duration{-1, 0, 1, time.Second, MaxEffectiveAge, MaxEffectiveAge + 1}, "how old")
			if p.EffectiveAt = m.at - Instant(back); t.oneIn(10, "odd time") {
				p.EffectiveAt = -1
			}
		}
		return p
	case k < 38:
		return Post{ID: m.id(t), Pending: m.named(t, m.holds), Amount: m.amount(t, c)}
	case k < 42:
		return Void{ID: m.id(t), Pending: m.named(t, m.holds)}
	case k < 48:
		return Refund{ID: m.id(t), Original: m.named(t, m.paid), Amount: m.amount(t, c)}
	case k == 48:
		return Abort{ID: m.id(t), Currency: c.ID, Target: m.target(t)}
	case k < 51:
		return SetLimits{ID: m.id(t), Account: m.account(t, c), Floor: m.bound(t), Ceil: m.bound(t), SoftFloor: m.bound(t), SoftCeil: m.bound(t), Decision: text(t, m.n), IfVersion: version}
	case k < 53:
		flags := Flags(0)
		if t.oneIn(3, "stop") {
			flags = Flags(t.within(0, 9, "flags"))
		}
		return SetFlags{ID: m.id(t), Account: m.account(t, c), Flags: flags, Decision: text(t, m.n), IfVersion: version}
	case k == 53:
		return Rebind{ID: m.id(t), Account: m.account(t, c), NewRef: text(t, m.n), Decision: text(t, m.n)}
	case k < 56:
		r := c.Rules
		if t.oneIn(3, "other rules") {
			r = Rules{Floor: m.bound(t), Ceil: m.bound(t), MaxTransfer: m.amount(t, c), MaxPending: uint16(t.within(0, 4, "holds")), Open: OpenRule(t.within(0, 3, "open"))}
		}
		if t.oneIn(2, "levy") {
			r.Levy = Levy{BasisPoints: uint16(pick(t, []int{0, 100, 2500, 10_000, 10_001}, "points")), Least: Amount(t.within(-1, 2, "least")),
				Most: Amount(t.within(-1, 5, "most")), To: m.account(t, c)}
		}
		return SetRules{ID: m.id(t), Currency: c.ID, Rules: r, Decision: text(t, m.n)}
	case k == 56:
		n := Note{ID: m.id(t), Currency: c.ID, Kind: NoteKind(t.within(0, 5, "note")), Body: []byte(text(t, m.n))}
		if t.oneIn(5, "long") {
			n.Body = make([]byte, MaxNote+t.within(0, 1, "too long"))
		}
		return n
	case k == 57:
		u := c
		if t.oneIn(2, "new") {
			u = Currency{IRI: text(t, m.n), Code: pick(t, []string{"NEW", "n", "", "A", "TOOLONGACODEX", "1A", "AB"}, "code"), Scale: uint8(t.within(0, 10, "scale")),
				Kind: Kind(t.within(0, 5, "kind")), Privacy: Privacy(t.within(0, 2, "privacy")), Rules: Rules{Floor: m.bound(t)}}
			if u.ID = NewID("currency", u.IRI); t.oneIn(5, "not its id") {
				u.ID = m.newID()
			}
			switch t.within(0, 15, "not empty") {
			case 0:
				u.Next = 1
			case 1:
				u.Last = 1
			case 2:
				u.Epoch = 1
			case 3:
				u.Issuer = NewID("x")
			}
		}
		return OpenCurrency{ID: m.id(t), Currency: u}
	default:
		o := c.NewAccount(text(t, m.n), Role(t.within(0, 5, "role")))
		if t.oneIn(3, "odd limits") {
			o.Floor, o.Ceil = m.bound(t), m.bound(t)
		}
		if t.oneIn(4, "an old account") {
			o.Account = m.account(t, c)
		}
		o.ID = m.id(t)
		return o
	}
}

// target is an id to give up: mostly one that will be tried later.
func (m *machine) target(t *dice) ID {
	if t.oneIn(4, "old target") {
		return m.named(t, m.ids)
	}
	next := NewID("act", strconv.Itoa(m.n+t.within(1, 5, "next")))
	if t.oneIn(4, "levy's") {
		return LevyID(next)
	}
	return next
}

func (m *machine) step(t *dice, seen *tally) {
	switch t.within(0, 11, "time") {
	case 0, 1, 2:
		m.at++
	case 3, 4:
		m.at += Instant(time.Second)
	case 5:
		m.at += Instant(t.within(0, int(time.Minute), "pass"))
	case 6:
		m.at += Instant(Slack)
	case 7:
		m.at -= Instant(t.within(0, int(5*time.Minute), "back"))
	case 8:
		if t.oneIn(8, "long") {
			m.at += Instant(t.within(0, int(400*24*time.Hour), "jump"))
		}
	}
	at := m.at
	if t.oneIn(60, "no time") {
		at = pick(t, []Instant{0, -1, 1 << 62, 1<<63 - 1, -1 << 63}, "which time")
	}
	var gs []Group
	for range t.within(1, 3, "groups") {
		var g Group
		size := 1
		if t.oneIn(5, "grouped") {
			size = t.within(0, 4, "size")
		}
		for range size {
			g = append(g, m.command(t))
		}
		gs = append(gs, g)
	}
	m.probe(t, at, gs)
	results := m.apply(t, at, gs)
	seen.steps++
	for i, r := range results {
		seen.codes[r.Code]++
		seen.commands += max(1, len(gs[i]))
	}
	seen.groups += len(results)
}

// apply runs groups on the book and on the oracle, and compares.
func (m *machine) apply(t *dice, at Instant, gs []Group) []Result {
	before := len(m.oracle.log)
	d, got := m.book.Apply(at, gs...)
	want := m.oracle.apply(at, gs)
	m.log = append(m.log, d.Entries...)
	for _, x := range d.Transfers {
		switch {
		case x.State == Pending && x.Code != LevyCode:
			m.holds = append(m.holds, x.ID)
		case x.State == Posted || t.oneIn(4, "ended"):
			m.paid = append(m.paid, x.ID)
		}
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%+v\ngot  %+v (%s)\nwant %+v (%s)", gs[i], got[i], got[i].Code, want[i], want[i].Code)
		}
	}
	m.compare(t, d, m.oracle.log[before:])
	if err := Check(&m.book.Snapshot); err != nil {
		t.Fatal(err)
	}
	return got
}

func (m *machine) compare(t *dice, d Delta, want []oracleEntry) {
	if len(d.Entries) != len(want) {
		t.Fatalf("got %d entries, want %d", len(d.Entries), len(want))
	}
	for i, e := range d.Entries {
		w := want[i]
		got := oracleEntry{currency: NewID("currency", e.Currency), id: e.ID(), group: e.Group, debit: e.Debit, credit: e.Credit, seq: e.Seq, at: e.At, amount: e.Amount}
		if !e.Debit.IsZero() {
			got.after = [2]string{strconv.FormatInt(e.DebitAfter, 10), strconv.FormatInt(e.CreditAfter, 10)}
		}
		if got != w {
			t.Fatalf("got  entry %+v\nwant entry %+v", got, w)
		}
		read, err := ParseEntry(Canon(e))
		if err != nil {
			t.Fatalf("%v in\n%s", err, Canon(e))
		}
		if DigestOf(read.Cmd) != DigestOf(e.Cmd) {
			t.Fatalf("%+v was read as %+v", e.Cmd, read.Cmd)
		}
	}
	b, o := m.book, m.oracle
	if len(b.Accounts) != len(o.accounts) || len(b.Transfers) != len(o.transfers) || len(b.Currencies) != len(o.currencies) {
		t.Fatalf("got %d, %d, %d accounts, transfers and currencies, want %d, %d, %d", len(b.Accounts), len(b.Transfers), len(b.Currencies), len(o.accounts), len(o.transfers), len(o.currencies))
	}
	for id, w := range o.accounts {
		a := b.Accounts[id]
		counters := [4]int64{a.DebitsPending, a.DebitsPosted, a.CreditsPending, a.CreditsPosted}
		for i, got := range counters {
			if sum := o.sum(id, i); !sum.IsInt64() || sum.Int64() != got {
				t.Fatalf("account %s: counter %d is %d, want %s", id, i, got, sum)
			}
		}
		if int(a.PendingCount) != o.held(id) {
			t.Fatalf("account %s holds %d, want %d", id, a.PendingCount, o.held(id))
		}
		if got := (oracleAccount{a.Currency, a.Ref, a.Role, a.Floor, a.Ceil, a.SoftFloor, a.SoftCeil, a.Flags, a.OpenedAt, a.Version}); got != w || a.ID != id {
			t.Fatalf("got  account %+v\nwant account %+v", got, w)
		}
	}
	for id, w := range o.transfers {
		x := b.Transfers[id]
		if got := (oracleTransfer{x.Currency, x.Debit, x.Credit, x.Settles, x.RefundOf, x.Amount, x.Posted, x.Refunded, x.Code, x.State, x.Held, x.At, x.Expires, x.Seq}); got != w || x.ID != id {
			t.Fatalf("got  transfer %+v\nwant transfer %+v", got, w)
		}
	}
	for id, w := range o.currencies {
		if got := b.Currencies[id]; got != w {
			t.Fatalf("got  currency %+v\nwant currency %+v", got, w)
		}
	}
	for id, k := range o.known {
		if _, ok := b.Transfers[id]; ok {
			continue
		}
		if got := b.Outcomes[id]; k.cmd == nil && got.Code != IDAborted || k.cmd != nil && (got.Code != k.code || got.Seq != k.seq || got.At != k.at) {
			t.Fatalf("of %s got %+v, want %+v", id, got, k)
		}
	}
	if len(b.Outcomes)+len(b.Transfers) != len(o.known) {
		t.Fatalf("got %d ids remembered, want %d", len(b.Outcomes)+len(b.Transfers), len(o.known))
	}
}

// probe holds what is true of one Apply by itself, before the book goes on.
func (m *machine) probe(t *dice, at Instant, gs []Group) {
	switch t.within(0, 3, "probe") {
	case 0: // a store that loads what Keys says gets the same delta
		part := load(&m.book.Snapshot, at, gs)
		whole := m.book.Snapshot
		whole.Due = part.Due
		d1, r1 := Apply(&part, at, gs)
		d2, r2 := Apply(&whole, at, gs)
		if !reflect.DeepEqual(d1, d2) || !reflect.DeepEqual(r1, r2) {
			t.Fatalf("on what Keys names:\n%+v\n%+v\non the whole book:\n%+v\n%+v", d1, r1, d2, r2)
		}
	case 1: // the same twice, and nothing changed in what was given
		s := m.book.Snapshot
		s.Due = dues(&s, s.DueUntil(at), nil)
		due, digest, given := slices.Clone(s.Due), StateDigest(&s), fmt.Sprintf("%#v", gs)
		d1, r1 := Apply(&s, at, gs)
		if StateDigest(&s) != digest || !reflect.DeepEqual(due, s.Due) || fmt.Sprintf("%#v", gs) != given {
			t.Fatalf("Apply changed its arguments")
		}
		d2, r2 := Apply(&s, at, gs)
		if !reflect.DeepEqual(d1, d2) || !reflect.DeepEqual(r1, r2) {
			t.Fatalf("the same input gave\n%+v\n%+v\nand then\n%+v\n%+v", d1, r1, d2, r2)
		}
	case 2: // a batch in two parts
		cut := t.within(0, len(gs), "cut")
		one, two := cloneBook(m.book), cloneBook(m.book)
		d, r := one.Apply(at, gs...)
		d1, r1 := two.Apply(at, gs[:cut]...)
		d2, r2 := two.Apply(at, gs[cut:]...)
		if !slices.EqualFunc(d.Entries, append(d1.Entries, d2.Entries...), func(a, b Entry) bool { return string(Canon(a)) == string(Canon(b)) }) ||
			!reflect.DeepEqual(r, append(r1, r2...)) || StateDigest(&one.Snapshot) != StateDigest(&two.Snapshot) {
			t.Fatalf("cut at %d of %d, a batch gives something else", cut, len(gs))
		}
	case 3: // the sweep, whenever it comes, changes nothing but when it came
		limit := t.within(-1, 3, "limit")
		one := cloneBook(m.book)
		d := one.Expire(at, limit)
		if len(d.Entries) > max(0, limit) {
			t.Fatalf("got %d expiries, want at most %d", len(d.Entries), limit)
		}
		if err := Check(&one.Snapshot); err != nil {
			t.Fatal(err)
		}
		for _, e := range d.Entries {
			if x := m.book.Transfers[e.ID()]; x.State != Pending || x.Expires > e.At {
				t.Fatalf("%+v was expired at %d", x, e.At)
			}
		}
	}
}

// load is a store that knows nothing but what Keys, WantIDs, WantAccounts, WantCurrencies and DueUntil ask for.
func load(whole *Snapshot, at Instant, gs []Group) Snapshot {
	k := Keys(gs)
	s := Snapshot{Currencies: map[ID]Currency{}, Accounts: map[ID]Account{}, Transfers: map[ID]Transfer{}, Outcomes: map[ID]Outcome{}, Settled: map[ID]ID{}}
	take(s.Settled, whole.Settled, k.Settles)
	take(s.Transfers, whole.Transfers, k.IDs)
	take(s.Transfers, whole.Transfers, slices.Collect(maps.Values(s.Settled)))
	take(s.Outcomes, whole.Outcomes, k.IDs)
	take(s.Accounts, whole.Accounts, s.WantAccounts(k))
	take(s.Currencies, whole.Currencies, s.WantCurrencies(k))
	ids := s.WantIDs(gs)
	take(s.Transfers, whole.Transfers, ids)
	take(s.Outcomes, whole.Outcomes, ids)
	s.Due = dues(whole, s.DueUntil(at), s.Currencies)
	take(s.Accounts, whole.Accounts, s.WantAccounts(k))
	return s
}

func take[T any](into, from map[ID]T, ids []ID) {
	for _, id := range ids {
		if v, ok := from[id]; ok {
			into[id] = v
		}
	}
}

// dues is what Snapshot.Due asks for; in: of which currencies, nil for all.
func dues(s *Snapshot, until Instant, in map[ID]Currency) (due []Transfer) {
	for _, x := range s.Transfers {
		if _, ok := in[x.Currency]; x.State == Pending && x.Expires <= until && (in == nil || ok) {
			due = append(due, x)
		}
	}
	slices.SortFunc(due, compareDue)
	return due
}

func cloneBook(b *Book) *Book {
	c := &Book{holds: map[ID]*holds{}, Snapshot: Snapshot{Currencies: maps.Clone(b.Currencies), Accounts: maps.Clone(b.Accounts), Transfers: maps.Clone(b.Transfers),
		Outcomes: maps.Clone(b.Outcomes), Settled: maps.Clone(b.Settled)}}
	for id, h := range b.holds {
		x := slices.Clone(*h)
		heap.Init(&x)
		c.holds[id] = &x
	}
	return c
}

// replay reads the log again: each currency's entries have no gap and rising times, and together they give the same state.
func (m *machine) replay(t *dice) {
	if err := replay(m.book, m.log, t.oneIn(2, "a book for each currency")); err != nil {
		t.Fatal(err)
	}
}

func replay(book *Book, log []Entry, apart bool) error {
	next, last := map[string]Seq{}, map[string]Instant{}
	again, books := NewBook(), map[string]*Book{}
	for _, e := range log {
		if e.Seq != next[e.Currency] || e.At <= last[e.Currency] {
			return fmt.Errorf("entry %d at %d follows entry %d at %d", e.Seq, e.At, next[e.Currency], last[e.Currency])
		}
		next[e.Currency], last[e.Currency] = e.Seq+1, e.At
		read, err := ParseEntry(Canon(e))
		if err != nil {
			return err
		}
		b := again
		if apart {
			if b = books[e.Currency]; b == nil {
				b = NewBook()
				books[e.Currency] = b
			}
		}
		if err := b.Replay(read); err != nil {
			return err
		}
	}
	if err := again.Ended(); err != nil {
		return err
	}
	for _, b := range books {
		if err := b.Ended(); err != nil {
			return err
		}
		maps.Copy(again.Currencies, b.Currencies)
		maps.Copy(again.Accounts, b.Accounts)
		maps.Copy(again.Transfers, b.Transfers)
		maps.Copy(again.Outcomes, b.Outcomes)
		maps.Copy(again.Settled, b.Settled)
	}
	// Failures are kept beside the log: the same ids that failed are set aside on both sides.
	was := cloneBook(book)
	for id, o := range was.Outcomes {
		if o.Code != OKCreated && o.Code != IDAborted {
			delete(was.Outcomes, id)
			delete(again.Outcomes, id)
		}
	}
	if StateDigest(&again.Snapshot) != StateDigest(&was.Snapshot) {
		return fmt.Errorf("the replayed log gives another state")
	}
	return nil
}
