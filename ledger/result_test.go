package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a book with four currencies, as the tests that tell stories begin it, and the oracle beside it.
type world struct {
	t      testing.TB
	book   *Book
	oracle *oracle
	at     Instant
	log    []Entry
}

var (
	grn = testCurrency("GRN", Mutual, Rules{Floor: At(-20), Ceil: At(25), MaxTransfer: 1000, MaxPending: 2})
	top = testCurrency("TOP", Mutual, Rules{MaxPending: 2}) // without limits
	eur = testCurrency("EUR", Issued, Preset(Issued, 0))
	gft = testCurrency("GFT", Gift, Rules{MaxPending: 2})

	ana, bo, cy, fund = acct(grn, "ana"), acct(grn, "bo"), acct(grn, "cy"), acct(grn, "fund")
	tia, tom          = acct(top, "tia"), acct(top, "tom")
	bank, eva         = acct(eur, "bank"), acct(eur, "eva")
	gia, gus          = acct(gft, "gia"), acct(gft, "gus")
	nobody            = NewID("nobody")
)

const decided = "https://coop.example/decisions/1"

func testCurrency(code string, k Kind, r Rules) Currency {
	iri := "https://coop.example/currencies/" + strings.ToLower(code)
	return Currency{ID: NewID("currency", iri), IRI: iri, Code: code, Kind: k, Rules: r}
}

func acct(c Currency, name string) ID { return NewID("account", c.IRI, person(name)) }

func person(name string) string { return "https://coop.example/users/" + name }

func act(name string) ID { return NewID("act", name) }

func newWorld(t testing.TB) *world {
	w := &world{t: t, book: NewBook(), oracle: newOracle(), at: noon - Instant(time.Hour)}
	for _, c := range []Currency{grn, top, eur, gft} {
		w.must(OpenCurrency{ID: NewID("create", c.IRI), Currency: c})
	}
	for _, name := range []string{"ana", "bo", "cy"} {
		w.must(grn.NewAccount(person(name), Member))
	}
	w.must(grn.NewAccount(person("fund"), Commons))
	w.must(top.NewAccount(person("tia"), Member))
	w.must(top.NewAccount(person("tom"), Member))
	w.must(eur.NewAccount(person("bank"), Issuer))
	w.must(eur.NewAccount(person("eva"), Member))
	w.must(gft.NewAccount(person("gia"), Member))
	w.must(gft.NewAccount(person("gus"), Member))
	w.at = noon
	return w
}

// send gives one group to the book and to the oracle, which have to agree.
func (w *world) send(g ...Command) Result {
	w.t.Helper()
	d, results := w.book.Apply(w.at, g)
	w.log = append(w.log, d.Entries...)
	if want := w.oracle.apply(w.at, []Group{g}); results[0] != want[0] {
		w.t.Errorf("%+v: got %+v (%s), the oracle %+v (%s)", g, results[0], results[0].Code, want[0], want[0].Code)
	}
	if err := Check(&w.book.Snapshot); err != nil {
		w.t.Fatal(err)
	}
	return results[0]
}

func (w *world) must(g ...Command) Result {
	w.t.Helper()
	r := w.send(g...)
	if r.Code != OKCreated {
		w.t.Fatalf("%+v: %s", g, r.Code)
	}
	return r
}

func (w *world) want(code ResultCode, g ...Command) Result {
	w.t.Helper()
	r := w.send(g...)
	if r.Code != code {
		w.t.Errorf("%+v: got %s (cause %s), want %s", g, r.Code, r.Cause, code)
	}
	return r
}

func (w *world) balance(id ID, want int64) {
	w.t.Helper()
	if got := w.book.Accounts[id].Balance(); got != want {
		w.t.Errorf("balance %d, want %d", got, want)
	}
}

// later lets time pass.
func (w *world) later(d time.Duration) { w.at += Instant(d) }

// do takes commands, times that pass, and refusals that are expected.
func (w *world) do(steps []any) {
	w.t.Helper()
	for _, s := range steps {
		switch s := s.(type) {
		case refused:
			if r := w.send(s.Command); r.Code.OK() {
				w.t.Fatalf("%+v was done", s.Command)
			}
		case Command:
			w.must(s)
		case time.Duration:
			w.later(s)
		default:
			w.t.Fatalf("%T is no step", s)
		}
	}
}

// refused is a command that is expected to be.
type refused struct{ Command }

// ended replays the log.
func (w *world) ended() {
	w.t.Helper()
	for _, apart := range []bool{false, true} {
		if err := replay(w.book, w.log, apart); err != nil {
			w.t.Error(err)
		}
	}
}

func pay(name string, from, to ID, n Amount, change ...func(*Pay)) Pay {
	p := Pay{ID: act(name), Currency: grn.ID, Debit: from, Credit: to, Amount: n}
	for _, f := range change {
		f(&p)
	}
	return p
}

func in(c Currency) func(*Pay)           { return func(p *Pay) { p.Currency = c.ID } }
func code(c Code) func(*Pay)             { return func(p *Pay) { p.Code = c } }
func settles(s string) func(*Pay)        { return func(p *Pay) { p.Settles = NewID("invoice", s) } }
func claimed(at Instant) func(*Pay)      { return func(p *Pay) { p.EffectiveAt = at } }
func held(d time.Duration) func(*Pay)    { return func(p *Pay) { p.Pending, p.Timeout = true, d } }
func timeout(d time.Duration) func(*Pay) { return func(p *Pay) { p.Timeout = d } }
func under(id ID) func(*Pay)             { return func(p *Pay) { p.ID = id } }

func post(name, hold string, n Amount) Post {
	return Post{ID: act(name), Pending: act(hold), Amount: n}
}
func void(name, hold string) Void { return Void{ID: act(name), Pending: act(hold)} }
func refund(name, of string, n Amount) Refund {
	return Refund{ID: act(name), Original: act(of), Amount: n}
}

func flags(name string, account ID, f Flags) SetFlags {
	return SetFlags{ID: act(name), Account: account, Flags: f, Decision: decided}
}

func limits(name string, account ID, floor, ceil Bound) SetLimits {
	return SetLimits{ID: act(name), Account: account, Floor: floor, Ceil: ceil, Decision: decided}
}

func rules(name string, c Currency, change func(*Rules)) SetRules {
	r := c.Rules
	change(&r)
	return SetRules{ID: act(name), Currency: c.ID, Rules: r, Decision: decided}
}

func levied(points uint16, least, most Amount) func(*Rules) {
	return func(r *Rules) { r.Levy = Levy{BasisPoints: points, Least: least, Most: most, To: fund} }
}

func with[T any](v T, change func(*T)) T {
	change(&v)
	return v
}

func open(name string, c Currency, change func(*OpenAccount)) OpenAccount {
	o := c.NewAccount(person(name), Member)
	o.ID = act("open " + name)
	change(&o)
	return o
}

func as(role Role) func(*OpenAccount) { return func(o *OpenAccount) { o.Role = role } }

func newCurrency(code string, change func(*Currency)) OpenCurrency {
	c := testCurrency(code, Mutual, Rules{})
	change(&c)
	return OpenCurrency{ID: act("new " + code), Currency: c}
}

func note(kind NoteKind, n int) Note {
	return Note{ID: act("note"), Currency: grn.ID, Kind: kind, Body: make([]byte, n)}
}

const minute = time.Minute

// row is one line of the table of result codes.
type row struct {
	name  string
	given []any
	cmd   Command
	want  ResultCode
	over  ResultCode // with want, another reason that stands in the order after it: want takes precedence
}

var resultRows = []row{
	{"a payment", nil, pay("p", ana, bo, 5), OKCreated, 0},
	{"a payment of all that may be owed", nil, pay("p", ana, bo, 20), OKCreated, 0},
	{"a hold", nil, pay("p", ana, bo, 5, held(minute)), OKCreated, 0},
	{"the shortest hold", nil, pay("p", ana, bo, 5, held(MinTimeout)), OKCreated, 0},
	{"the longest hold", nil, pay("p", ana, bo, 5, held(MaxTimeout)), OKCreated, 0},
	{"the largest amount", nil, pay("p", tia, tom, MaxAmount, in(top)), OKCreated, 0},
	{"the largest transfer of the currency", []any{limits("l", ana, Bound{}, Bound{}), limits("m", bo, Bound{}, Bound{})}, pay("p", ana, bo, 1000), OKCreated, 0},
	{"a gift of nothing", nil, pay("p", gia, gus, 0, in(gft)), OKCreated, 0},
	{"money issued", nil, pay("p", bank, eva, 5, in(eur), code(Issue)), OKCreated, 0},
	{"money redeemed", []any{pay("i", bank, eva, 5, in(eur), code(Issue))}, pay("p", eva, bank, 5, in(eur), code(Redeem)), OKCreated, 0},
	{"a payment claimed for now", nil, pay("p", ana, bo, 5, claimed(noon)), OKCreated, 0},
	{"a whole post", []any{pay("h", ana, bo, 5, held(minute))}, post("p", "h", All), OKCreated, 0},
	{"a post of a part", []any{pay("h", ana, bo, 5, held(minute))}, post("p", "h", 4), OKCreated, 0},
	{"a post in the last moment", []any{pay("h", ana, bo, 5, held(minute)), minute - 1}, post("p", "h", 4), OKCreated, 0},
	{"a void", []any{pay("h", ana, bo, 5, held(minute))}, void("v", "h"), OKCreated, 0},
	{"a void by whoever is frozen", []any{pay("h", ana, bo, 5, held(minute)), flags("f", ana, NoDebit), flags("g", bo, NoCredit)}, void("v", "h"), OKCreated, 0},
	{"a refund", []any{pay("o", ana, bo, 5)}, refund("r", "o", All), OKCreated, 0},
	{"a refund of a hold that was posted", []any{pay("h", ana, bo, 5, held(minute)), post("p", "h", 3)}, refund("r", "h", 3), OKCreated, 0},
	{"an id given up", nil, Abort{ID: act("a"), Currency: grn.ID, Target: act("x")}, OKCreated, 0},
	{"an id given up twice", []any{Abort{ID: act("a"), Currency: grn.ID, Target: act("x")}}, Abort{ID: act("b"), Currency: grn.ID, Target: act("x")}, OKCreated, 0},
	{"a failed id given up", []any{refused{pay("x", ana, bo, 21)}}, Abort{ID: act("b"), Currency: grn.ID, Target: act("x")}, OKCreated, 0},
	{"a note", nil, note(NoteStatement, MaxNote), OKCreated, 0},
	{"the next epoch", nil, note(NoteEpoch, 0), OKCreated, 0},
	{"a currency of hours", nil, newCurrency("HRS", func(c *Currency) { c.Kind = Hours }), OKCreated, 0},
	{"limits below the balance", []any{pay("o", ana, bo, 5)}, limits("l", bo, At(-20), At(1)), OKCreated, 0},
	{"limits at the version seen", nil, with(limits("l", bo, Bound{}, Bound{}), func(s *SetLimits) { s.IfVersion = 1 }), OKCreated, 0},
	{"an empty account closed", nil, flags("f", ana, Closed), OKCreated, 0},
	{"a closed account opened again", []any{flags("f", ana, Closed)}, flags("g", ana, 0), OKCreated, 0},
	{"another owner", nil, Rebind{ID: act("r"), Account: ana, NewRef: person("ana2"), Decision: decided}, OKCreated, 0},
	{"a levy set", nil, rules("s", grn, levied(100, 1, 5)), OKCreated, 0},

	{"a payment again", []any{pay("p", ana, bo, 5)}, pay("p", ana, bo, 5), OKExists, 0},
	{"a payment again, where it would not go", []any{pay("p", ana, bo, 20)}, pay("p", ana, bo, 20), OKExists, 0},
	{"a payment again to an account that closed", []any{pay("p", ana, bo, 5), pay("q", bo, ana, 5), flags("f", bo, Closed)}, pay("p", ana, bo, 5), OKExists, 0},
	{"a void again", []any{pay("h", ana, bo, 5, held(minute)), void("v", "h")}, void("v", "h"), OKExists, 0},
	{"a post again, later", []any{pay("h", ana, bo, 5, held(minute)), post("v", "h", 1), 2 * minute}, post("v", "h", 1), OKExists, 0},
	{"an account again", nil, grn.NewAccount(person("ana"), Member), OKExists, 0},

	{"an id with another amount", []any{pay("p", ana, bo, 5)}, pay("p", ana, bo, 6), ExistsWithDifferent, 0},
	{"an id with another payee", []any{pay("p", ana, bo, 5)}, pay("p", ana, cy, 5), ExistsWithDifferent, 0},
	{"an id with another signature", []any{pay("p", ana, bo, 5)}, pay("p", ana, bo, 5, func(p *Pay) { p.Auth[31] = 1 }), ExistsWithDifferent, 0},
	{"an id with other words", []any{pay("p", ana, bo, 5)}, pay("p", ana, bo, 5, func(p *Pay) { p.Memo[0] = 1 }), ExistsWithDifferent, 0},
	{"an id for another act", []any{pay("p", ana, bo, 5)}, void("p", "h"), ExistsWithDifferent, 0},
	{"an id that failed, with another body", []any{refused{pay("p", ana, bo, 21)}}, pay("p", ana, bo, 5), ExistsWithDifferent, IDAlreadyFailed},
	{"an account that another act opened", nil, open("ana", grn, func(*OpenAccount) {}), ExistsWithDifferent, 0},
	{"an account that exists, badly named", nil, open("ana", grn, func(o *OpenAccount) { o.Ref = "" }), ExistsWithDifferent, Malformed},
	{"an account that exists, elsewhere", nil, open("ana", grn, func(o *OpenAccount) { o.Currency = NewID("nowhere") }), ExistsWithDifferent, CurrencyNotFound},
	{"a currency that exists", nil, OpenCurrency{ID: act("c"), Currency: grn}, ExistsWithDifferent, 0},
	{"a currency that exists, badly described", nil, OpenCurrency{ID: act("c"), Currency: with(grn, func(c *Currency) { c.Code = "" })}, ExistsWithDifferent, Malformed},
	{"a payment whose levy's id is taken", []any{rules("s", grn, levied(1000, 1, 0)), pay("x", ana, bo, 1, under(LevyID(act("p"))))}, pay("p", ana, bo, 5), ExistsWithDifferent, 0},
	{"a payment whose levy's id was given up", []any{rules("s", grn, levied(1000, 1, 0)), Abort{ID: act("a"), Currency: grn.ID, Target: LevyID(act("p"))}}, pay("p", ana, bo, 5), ExistsWithDifferent, 0},
	{"a post whose levy's id is taken", []any{rules("s", grn, levied(1000, 1, 0)), pay("h", ana, bo, 5, held(minute)), pay("x", ana, bo, 1, under(LevyID(act("p"))))}, post("p", "h", 5), ExistsWithDifferent, 0},
	{"a void whose levy's id is taken", []any{rules("s", grn, levied(1000, 1, 0)), pay("h", ana, bo, 5, held(minute)), pay("x", ana, bo, 1, under(LevyID(act("v"))))}, void("v", "h"), ExistsWithDifferent, 0},

	{"a failure again", []any{refused{pay("p", ana, bo, 21)}}, pay("p", ana, bo, 21), IDAlreadyFailed, 0},
	{"a failure again, when it would go", []any{refused{pay("p", ana, bo, 21)}, limits("l", ana, Bound{}, Bound{})}, pay("p", ana, bo, 21), IDAlreadyFailed, 0},
	{"a failed id that was given up too", []any{refused{pay("p", ana, bo, 21)}, Abort{ID: act("a"), Currency: grn.ID, Target: act("p")}}, pay("p", ana, bo, 21), IDAlreadyFailed, IDAborted},
	{"an id that was given up", []any{Abort{ID: act("a"), Currency: grn.ID, Target: act("p")}}, pay("p", ana, bo, 5), IDAborted, 0},
	{"an id that was given up, for nonsense", []any{Abort{ID: act("a"), Currency: grn.ID, Target: act("p")}}, pay("p", ana, bo, -5), IDAborted, Malformed},

	{"no id", nil, pay("p", ana, bo, 5, under(ID{})), Malformed, 0},
	{"the id of ones", nil, pay("p", ana, bo, 5, under(reserved)), Malformed, 0},
	{"an amount below zero", nil, pay("p", ana, bo, -1), Malformed, 0},
	{"an amount below zero in no currency", nil, pay("p", ana, bo, -1, in(Currency{ID: nobody})), Malformed, CurrencyNotFound},
	{"a levy by hand", nil, pay("p", ana, bo, 5, code(LevyCode)), Malformed, 0},
	{"a refund by hand", nil, pay("p", ana, bo, 5, code(RefundCode)), Malformed, 0},
	{"a code that is none", nil, pay("p", ana, bo, 5, code(Share+1)), Malformed, 0},
	{"no currency named", nil, pay("p", ana, bo, 5, in(Currency{})), Malformed, CurrencyNotFound},
	{"no payer named", nil, pay("p", ID{}, bo, 5), Malformed, DebitAccountNotFound},
	{"no payee named", nil, pay("p", ana, reserved, 5), Malformed, CreditAccountNotFound},
	{"a hold without end", nil, pay("p", ana, bo, 5, held(0)), Malformed, 0},
	{"a hold too short", nil, pay("p", ana, bo, 5, held(MinTimeout-1)), Malformed, 0},
	{"a hold too long", nil, pay("p", ana, bo, 5, held(MaxTimeout+1)), Malformed, 0},
	{"a payment with an end", nil, pay("p", ana, bo, 5, timeout(minute)), Malformed, 0},
	{"a claimed time to come", nil, pay("p", ana, bo, 5, claimed(noon+Instant(minute))), Malformed, 0},
	{"a claimed time below zero", nil, pay("p", ana, bo, 5, claimed(-1)), Malformed, 0},
	{"a claimed time too old", []any{2 * MaxEffectiveAge}, pay("p", ana, bo, 5, claimed(noon+Instant(MaxEffectiveAge)-1)), Malformed, 0},
	{"a claimed time as old as may be", []any{2 * MaxEffectiveAge}, pay("p", ana, bo, 5, claimed(noon+Instant(MaxEffectiveAge))), OKCreated, 0},
	{"a claimed time before the payer came", nil, pay("p", ana, bo, 5, claimed(noon-2*Instant(time.Hour))), Malformed, 0},
	{"a claimed time before the payee came", []any{minute, open("dan", grn, func(*OpenAccount) {})}, pay("p", ana, acct(grn, "dan"), 5, claimed(noon+Instant(time.Second))), Malformed, 0},
	{"a post below zero", []any{pay("h", ana, bo, 5, held(minute))}, post("p", "h", -1), Malformed, 0},
	{"a post of nothing named", nil, Post{ID: act("p"), Amount: 1}, Malformed, PendingNotFound},
	{"a void of nothing named", nil, Void{ID: act("p")}, Malformed, PendingNotFound},
	{"a refund below zero", []any{pay("o", ana, bo, 5)}, refund("r", "o", -1), Malformed, 0},
	{"a refund of nothing named", nil, Refund{ID: act("p"), Amount: 1}, Malformed, OriginalNotFound},
	{"an abort of nothing", nil, Abort{ID: act("a"), Currency: grn.ID}, Malformed, 0},
	{"an abort of itself", nil, Abort{ID: act("a"), Currency: grn.ID, Target: act("a")}, Malformed, 0},
	{"an abort in no currency named", nil, Abort{ID: act("a"), Target: act("b")}, Malformed, CurrencyNotFound},
	{"a note too long", nil, note(NoteStatement, MaxNote+1), Malformed, 0},
	{"a note of no kind", nil, note(NoteEpoch+1, 1), Malformed, 0},
	{"an account without a name", nil, open("dan", grn, func(o *OpenAccount) { o.Ref = "" }), Malformed, 0},
	{"an account whose name has two lines", nil, open("dan", grn, func(o *OpenAccount) { o.Ref = "a\nb" }), Malformed, 0},
	{"an account whose name begins with a new line", nil, open("dan", grn, func(o *OpenAccount) { o.Ref = "\nb" }), Malformed, 0},
	{"an account whose name has a tilde and what comes after C1", nil, open("dan", grn, func(o *OpenAccount) { o.Ref = " ~\u00a0" }), OKCreated, 0},
	{"an account whose name has a DEL", nil, open("dan", grn, func(o *OpenAccount) { o.Ref = "a\x7f" }), Malformed, 0},
	{"an account whose name has the last of C1", nil, open("dan", grn, func(o *OpenAccount) { o.Ref = "a\u009f" }), Malformed, 0},
	{"an account whose name is too long", nil, open("dan", grn, func(o *OpenAccount) { o.Ref = strings.Repeat("a", MaxText+1) }), Malformed, 0},
	{"an account whose name is as long as may be", nil, open("dan", grn, func(o *OpenAccount) { o.Ref = strings.Repeat("a", MaxText) }), OKCreated, 0},
	{"an account decided in two lines", nil, open("dan", grn, func(o *OpenAccount) { o.Decision = "a\nb" }), Malformed, 0},
	{"an account without an id", nil, open("dan", grn, func(o *OpenAccount) { o.Account = ID{} }), Malformed, 0},
	{"an account of no role", nil, open("dan", grn, as(Suspense+1)), Malformed, 0},
	{"an account with its floor above its ceiling", nil, open("dan", grn, func(o *OpenAccount) { o.Floor, o.Ceil = At(2), At(1) }), Malformed, 0},
	{"an account that may hold one sum alone", nil, open("dan", grn, func(o *OpenAccount) { o.Floor, o.Ceil = At(0), At(0) }), OKCreated, 0},
	{"an account with a value for no limit", nil, open("dan", grn, func(o *OpenAccount) { o.Ceil = Bound{V: 1} }), Malformed, 0},
	{"an account with the lowest floor of all", nil, open("dan", grn, func(o *OpenAccount) { o.Floor = At(-1 << 63) }), Malformed, 0},
	{"limits without a decision", nil, with(limits("l", ana, Bound{}, Bound{}), func(s *SetLimits) { s.Decision = "" }), Malformed, 0},
	{"limits with a decision in two lines", nil, with(limits("l", ana, Bound{}, Bound{}), func(s *SetLimits) { s.Decision = "a\r" }), Malformed, 0},
	{"limits out of order", nil, limits("l", ana, At(1), At(0)), Malformed, 0},
	{"soft limits out of order", nil, with(limits("l", ana, Bound{}, Bound{}), func(s *SetLimits) { s.SoftFloor, s.SoftCeil = At(1), At(0) }), Malformed, 0},
	{"limits of no account named", nil, limits("l", ID{}, Bound{}, Bound{}), Malformed, AccountNotFound},
	{"flags that are none", nil, flags("f", ana, 8), Malformed, 0},
	{"flags without a decision", nil, SetFlags{ID: act("f"), Account: ana}, Malformed, 0},
	{"no other owner", nil, Rebind{ID: act("r"), Account: ana, Decision: decided}, Malformed, 0},
	{"another owner in two lines", nil, Rebind{ID: act("r"), Account: ana, NewRef: "a\n", Decision: decided}, Malformed, 0},
	{"another owner undecided", nil, Rebind{ID: act("r"), Account: ana, NewRef: "a"}, Malformed, 0},
	{"rules undecided", nil, SetRules{ID: act("s"), Currency: grn.ID, Rules: grn.Rules}, Malformed, 0},
	{"rules with a levy above all", nil, rules("s", grn, levied(10_001, 0, 0)), Malformed, 0},
	{"rules with a levy of all", nil, rules("s", grn, levied(10_000, 0, 0)), OKCreated, 0},
	{"rules with a levy below zero", nil, rules("s", grn, levied(1, -1, 0)), Malformed, 0},
	{"rules with a levy whose least is above its most", nil, rules("s", grn, levied(1, 2, 1)), Malformed, 0},
	{"rules with a levy whose least is its most", nil, rules("s", grn, levied(1, 2, 2)), OKCreated, 0},
	{"rules with a levy of the largest amount", nil, rules("s", grn, levied(1, MaxAmount, MaxAmount)), OKCreated, 0},
	{"rules with a levy of more at least", nil, rules("s", grn, levied(1, MaxAmount+1, 0)), Malformed, 0},
	{"rules with a levy of more at most", nil, rules("s", grn, levied(1, 0, MaxAmount+1)), Malformed, 0},
	{"rules with a levy of less than nothing at most", nil, rules("s", grn, levied(1, 0, -1)), Malformed, 0},
	{"rules with the largest transfer", nil, rules("s", grn, func(r *Rules) { r.MaxTransfer = MaxAmount }), OKCreated, 0},
	{"rules with a levy to nobody", nil, rules("s", grn, func(r *Rules) { r.Levy.BasisPoints = 1 }), Malformed, 0},
	{"rules with a levy to the id of ones", nil, rules("s", grn, func(r *Rules) { r.Levy.To = reserved }), Malformed, AccountNotFound},
	{"rules with a transfer below zero", nil, rules("s", grn, func(r *Rules) { r.MaxTransfer = -1 }), Malformed, 0},
	{"rules with a transfer above all", nil, rules("s", grn, func(r *Rules) { r.MaxTransfer = MaxAmount + 1 }), Malformed, 0},
	{"rules that say badly who opens", nil, rules("s", grn, func(r *Rules) { r.Open = OpenOnCredit + 1 }), Malformed, 0},
	{"a currency without an address", nil, newCurrency("NEW", func(c *Currency) { c.IRI, c.ID = "", NewID("currency", "") }), Malformed, 0},
	{"a currency under another's id", nil, newCurrency("NEW", func(c *Currency) { c.IRI += "x" }), Malformed, 0},
	{"a currency with a code in small letters", nil, newCurrency("NEw", func(*Currency) {}), Malformed, 0},
	{"a currency with a code of one letter", nil, newCurrency("N", func(*Currency) {}), Malformed, 0},
	{"a currency with a code of thirteen letters", nil, newCurrency("ABCDEFGHIJKLM", func(*Currency) {}), Malformed, 0},
	{"a currency with the code ZA", nil, newCurrency("ZA", func(*Currency) {}), OKCreated, 0},
	{"a currency with the code AZ09", nil, newCurrency("AZ09", func(*Currency) {}), OKCreated, 0},
	{"a currency with the code A[", nil, newCurrency("A[", func(*Currency) {}), Malformed, 0},
	{"a currency with the code A@", nil, newCurrency("A@", func(*Currency) {}), Malformed, 0},
	{"a currency with the code A/", nil, newCurrency("A/", func(*Currency) {}), Malformed, 0},
	{"a currency with the code A:", nil, newCurrency("A:", func(*Currency) {}), Malformed, 0},
	{"a currency with the code [A", nil, newCurrency("[A", func(*Currency) {}), Malformed, 0},
	{"a currency with the code @A", nil, newCurrency("@A", func(*Currency) {}), Malformed, 0},
	{"a currency with a code of twelve letters and digits", nil, newCurrency("ABCDEFGHIJ09", func(*Currency) {}), OKCreated, 0},
	{"a currency with ten digits", nil, newCurrency("NEW", func(c *Currency) { c.Scale = 10 }), Malformed, 0},
	{"a currency with nine digits", nil, newCurrency("NEW", func(c *Currency) { c.Scale = 9 }), OKCreated, 0},
	{"a currency of hours with fractions", nil, newCurrency("NEW", func(c *Currency) { c.Kind, c.Scale = Hours, 2 }), Malformed, 0},
	{"a currency of no kind", nil, newCurrency("NEW", func(c *Currency) { c.Kind = Gift + 1 }), Malformed, 0},
	{"a currency of no privacy", nil, newCurrency("NEW", func(c *Currency) { c.Privacy = Public + 1 }), Malformed, 0},
	{"a currency that begins with a levy", nil, newCurrency("NEW", func(c *Currency) { c.Rules.Levy.To = ana }), Malformed, 0},
	{"a currency that began before", nil, newCurrency("NEW", func(c *Currency) { c.Next = 1 }), Malformed, 0},
	{"a currency that has a last entry", nil, newCurrency("NEW", func(c *Currency) { c.Last = 1 }), Malformed, 0},
	{"a currency in its second epoch", nil, newCurrency("NEW", func(c *Currency) { c.Epoch = 1 }), Malformed, 0},
	{"a currency that has an issuer", nil, newCurrency("NEW", func(c *Currency) { c.Issuer = ana }), Malformed, 0},

	{"a payment in no currency", nil, pay("p", ana, bo, 5, in(Currency{ID: nobody})), CurrencyNotFound, 0},
	{"money issued in no currency", nil, pay("p", ana, bo, 5, in(Currency{ID: nobody}), code(Issue)), CurrencyNotFound, WrongCurrencyKind},
	{"an account in no currency", nil, open("dan", grn, func(o *OpenAccount) { o.Currency = nobody }), CurrencyNotFound, 0},
	{"rules of no currency", nil, rules("s", Currency{ID: nobody}, func(*Rules) {}), CurrencyNotFound, 0},
	{"a note in no currency", nil, Note{ID: act("n"), Currency: nobody}, CurrencyNotFound, 0},
	{"an abort in no currency", []any{pay("p", ana, bo, 5)}, Abort{ID: act("a"), Currency: nobody, Target: act("p")}, CurrencyNotFound, AlreadyPosted},
	{"money issued where nobody issues", nil, pay("p", ana, bo, 5, code(Issue)), WrongCurrencyKind, 0},
	{"money issued by a member", nil, pay("p", eva, bank, 5, in(eur), code(Issue)), WrongCurrencyKind, ExceedsFloor},
	{"money redeemed where nobody issues", nil, pay("p", ana, bo, 5, code(Redeem)), WrongCurrencyKind, 0},
	{"money redeemed by the issuer", nil, pay("p", bank, eva, 5, in(eur), code(Redeem)), WrongCurrencyKind, 0},
	{"money issued to oneself where nobody issues", nil, pay("p", ana, ana, 5, code(Issue)), WrongCurrencyKind, AccountsMustDiffer},
	{"an issuer where nobody issues", nil, open("dan", grn, as(Issuer)), WrongCurrencyKind, 0},
	{"a second issuer", nil, open("dan", eur, as(Issuer)), WrongCurrencyKind, 0},
	{"a member who may owe what is issued", nil, open("dan", eur, func(o *OpenAccount) { o.Floor = At(-1) }), WrongCurrencyKind, 0},
	{"a member without a floor under what is issued", nil, open("dan", eur, func(o *OpenAccount) { o.Floor = Bound{} }), WrongCurrencyKind, 0},
	{"a member made to owe what is issued", nil, limits("l", eva, At(-1), Bound{}), WrongCurrencyKind, 0},
	{"a member made to owe what is issued, seen before", nil, with(limits("l", eva, At(-1), Bound{}), func(s *SetLimits) { s.IfVersion = 9 }), WrongCurrencyKind, VersionMismatch},
	{"rules by which members owe what is issued", nil, rules("s", eur, func(r *Rules) { r.Floor = At(-1) }), WrongCurrencyKind, 0},
	{"rules by which members owe what is issued, and a levy for nobody", nil, rules("s", eur, func(r *Rules) { r.Floor, r.Levy.To = At(-1), nobody }), WrongCurrencyKind, AccountNotFound},
	{"a currency whose members owe what is issued", nil, newCurrency("NEW", func(c *Currency) { c.Kind, c.Rules.Floor = Backed, At(-1) }), WrongCurrencyKind, 0},
	{"a payment to oneself", nil, pay("p", ana, ana, 5), AccountsMustDiffer, 0},
	{"nothing to oneself", nil, pay("p", ana, ana, 0), AccountsMustDiffer, AmountZero},
	{"nothing", nil, pay("p", ana, bo, 0), AmountZero, 0},
	{"nothing from nobody", nil, pay("p", nobody, bo, 0), AmountZero, DebitAccountNotFound},
	{"a post of nothing", []any{pay("h", ana, bo, 5, held(minute))}, post("p", "h", 0), AmountZero, 0},
	{"a post of nothing, too late", []any{pay("h", ana, bo, 5, held(minute)), minute}, post("p", "h", 0), AmountZero, TransferExpired},
	{"a refund of nothing", []any{pay("o", ana, bo, 5)}, refund("r", "o", 0), AmountZero, ExceedsOriginal},
	{"more than one payment may be", nil, pay("p", ana, bo, 1001), AmountTooLarge, ExceedsFloor},
	{"more than any payment may be", nil, pay("p", tia, tom, MaxAmount+1, in(top)), AmountTooLarge, 0},
	{"too much from nobody", nil, pay("p", nobody, bo, 1001), AmountTooLarge, DebitAccountNotFound},
	{"a post of more than there is", nil, post("p", "h", MaxAmount+1), AmountTooLarge, PendingNotFound},
	{"a refund of more than there is", nil, refund("r", "o", MaxAmount+1), AmountTooLarge, OriginalNotFound},
	{"limits of nobody", nil, limits("l", nobody, Bound{}, Bound{}), AccountNotFound, 0},
	{"flags of nobody", nil, flags("f", nobody, 0), AccountNotFound, 0},
	{"another owner of nothing", nil, Rebind{ID: act("r"), Account: nobody, NewRef: "a", Decision: decided}, AccountNotFound, 0},
	{"a levy to nobody", nil, rules("s", grn, func(r *Rules) { r.Levy.To = nobody }), AccountNotFound, 0},
	{"a payment by nobody", nil, pay("p", nobody, bo, 5), DebitAccountNotFound, 0},
	{"a payment by nobody to nobody", nil, pay("p", nobody, NewID("nobody either"), 5), DebitAccountNotFound, CreditAccountNotFound},
	{"a payment to nobody", nil, pay("p", ana, nobody, 5), CreditAccountNotFound, 0},
	{"a payment to nobody by somebody elsewhere", nil, pay("p", tia, nobody, 5), CreditAccountNotFound, CurrencyMismatch},
	{"a payment by somebody elsewhere", nil, pay("p", tia, bo, 5), CurrencyMismatch, 0},
	{"a payment to somebody elsewhere", nil, pay("p", ana, tom, 5), CurrencyMismatch, 0},
	{"a payment by somebody elsewhere whose account is closed", []any{flags("f", tia, Closed)}, pay("p", tia, bo, 5), CurrencyMismatch, AccountClosed},
	{"a levy to somebody elsewhere", nil, rules("s", grn, func(r *Rules) { r.Levy.To = tom }), CurrencyMismatch, 0},
	{"a payment by a closed account", []any{flags("f", ana, Closed)}, pay("p", ana, bo, 5), AccountClosed, 0},
	{"a payment to a closed account", []any{flags("f", bo, Closed)}, pay("p", ana, bo, 5), AccountClosed, 0},
	{"a payment by a closed and frozen account", []any{flags("f", ana, Closed|NoDebit)}, pay("p", ana, bo, 5), AccountClosed, DebitBlocked},
	{"a refund to a closed account", []any{pay("o", ana, bo, 5), pay("q", bo, ana, 5), flags("f", ana, Closed)}, refund("r", "o", 1), AccountClosed, 0},
	{"another owner of a closed account", []any{flags("f", ana, Closed)}, Rebind{ID: act("r"), Account: ana, NewRef: "a", Decision: decided}, AccountClosed, 0},
	{"a payment with a levy to a closed account", []any{rules("s", grn, levied(1000, 1, 0)), flags("f", fund, Closed)}, pay("p", ana, bo, 5), AccountClosed, 0},
	{"a payment by a frozen account", []any{flags("f", ana, NoDebit)}, pay("p", ana, bo, 5), DebitBlocked, 0},
	{"a payment by a frozen account to a shut one", []any{flags("f", ana, NoDebit), flags("g", bo, NoCredit)}, pay("p", ana, bo, 5), DebitBlocked, CreditBlocked},
	{"a post from a frozen account", []any{pay("h", ana, bo, 5, held(minute)), flags("f", ana, NoDebit)}, post("p", "h", 5), DebitBlocked, 0},
	{"a refund from a frozen account", []any{pay("o", ana, bo, 5), flags("f", bo, NoDebit)}, refund("r", "o", 5), DebitBlocked, 0},
	{"a payment to a shut account", []any{flags("g", bo, NoCredit)}, pay("p", ana, bo, 5), CreditBlocked, 0},
	{"a payment to a shut account of what is settled", []any{pay("o", cy, ana, 5, settles("1")), flags("g", bo, NoCredit)}, pay("p", ana, bo, 5, settles("1")), CreditBlocked, AlreadySettled},
	{"a post to a shut account, too late", []any{pay("h", ana, bo, 5, held(minute)), flags("g", bo, NoCredit), minute}, post("p", "h", 5), CreditBlocked, TransferExpired},
	{"a post whose levy goes to a shut account", []any{rules("s", grn, levied(1000, 1, 0)), pay("h", ana, bo, 5, held(minute)), flags("g", fund, NoCredit)}, post("p", "h", 5), CreditBlocked, 0},
	{"a void whose levy goes to a shut account", []any{rules("s", grn, levied(1000, 1, 0)), pay("h", ana, bo, 5, held(minute)), flags("g", fund, NoCredit)}, void("p", "h"), OKCreated, 0},
	{"an account with a balance closed", []any{pay("o", ana, bo, 5)}, flags("f", bo, Closed), AccountNotEmpty, 0},
	{"an account with a debt closed", []any{pay("o", ana, bo, 5)}, flags("f", ana, Closed), AccountNotEmpty, 0},
	{"an account that holds closed", []any{pay("o", ana, bo, 5, held(minute))}, flags("f", ana, Closed), AccountNotEmpty, 0},
	{"an account that waits closed", []any{pay("o", ana, bo, 5, held(minute))}, flags("f", bo, Closed), AccountNotEmpty, 0},
	{"an account that holds nothing closed", []any{pay("o", gia, gus, 0, in(gft), held(minute))}, flags("f", gia, Closed), AccountNotEmpty, 0},
	{"an account with a balance closed, seen before", []any{pay("o", ana, bo, 5)}, with(flags("f", bo, Closed), func(s *SetFlags) { s.IfVersion = 9 }), AccountNotEmpty, VersionMismatch},
	{"an invoice paid twice", []any{pay("o", cy, ana, 5, settles("1"))}, pay("p", ana, bo, 5, settles("1")), AlreadySettled, 0},
	{"an invoice held twice", []any{pay("o", cy, ana, 5, settles("1"), held(minute))}, pay("p", ana, bo, 5, settles("1")), AlreadySettled, 0},
	{"an invoice paid after a void", []any{pay("o", cy, ana, 5, settles("1"), held(minute)), void("v", "o")}, pay("p", ana, bo, 5, settles("1")), OKCreated, 0},
	{"an invoice paid after an expiry", []any{pay("o", cy, ana, 5, settles("1"), held(minute)), minute}, pay("p", ana, bo, 5, settles("1")), OKCreated, 0},
	{"an invoice of a post", []any{pay("o", cy, ana, 5, settles("1"), held(minute)), post("v", "o", 1)}, pay("p", ana, bo, 5, settles("1")), AlreadySettled, 0},
	{"an invoice paid twice and held too often", []any{pay("o", ana, bo, 1, settles("1"), held(minute)), pay("q", ana, bo, 1, held(minute))}, pay("p", ana, bo, 5, settles("1"), held(minute)), AlreadySettled, TooManyPending},
	{"a post of what is not", nil, post("p", "h", 5), PendingNotFound, 0},
	{"a void of what is not", nil, void("p", "h"), PendingNotFound, 0},
	{"a post of an account's opening", nil, Post{ID: act("p"), Pending: NewID("open", ana.String()), Amount: 1}, PendingNotFound, 0},
	{"a post of a levy alone", []any{rules("s", grn, levied(1000, 1, 0)), pay("h", ana, bo, 5, held(minute))}, Post{ID: act("p"), Pending: LevyID(act("h")), Amount: 1}, PendingNotFound, 0},
	{"a void of a levy alone", []any{rules("s", grn, levied(1000, 1, 0)), pay("h", ana, bo, 5, held(minute))}, Void{ID: act("p"), Pending: LevyID(act("h"))}, PendingNotFound, 0},
	{"a post of what was paid at once", []any{pay("o", ana, bo, 5)}, post("p", "o", 5), PendingNotPending, AlreadyPosted},
	{"a void of what was paid at once", []any{pay("o", ana, bo, 5)}, void("p", "o"), PendingNotPending, AlreadyPosted},
	{"a post of a refund", []any{pay("o", ana, bo, 5), refund("r", "o", 5)}, post("p", "r", 5), PendingNotPending, 0},
	{"a post after a post", []any{pay("h", ana, bo, 5, held(minute)), post("a", "h", 5)}, post("p", "h", 5), AlreadyPosted, 0},
	{"a void after a post", []any{pay("h", ana, bo, 5, held(minute)), post("a", "h", 5)}, void("p", "h"), AlreadyPosted, 0},
	{"a post after a post, late", []any{pay("h", ana, bo, 5, held(minute)), post("a", "h", 5), minute}, post("p", "h", 6), AlreadyPosted, TransferExpired},
	{"an abort of what happened", []any{pay("p", ana, bo, 5)}, Abort{ID: act("a"), Currency: grn.ID, Target: act("p")}, AlreadyPosted, 0},
	{"an abort of what is held", []any{pay("p", ana, bo, 5, held(minute))}, Abort{ID: act("a"), Currency: grn.ID, Target: act("p")}, AlreadyPosted, 0},
	{"an abort of a decision that is in the book", []any{flags("f", ana, 0)}, Abort{ID: act("a"), Currency: grn.ID, Target: act("f")}, AlreadyPosted, 0},
	{"a post after a void", []any{pay("h", ana, bo, 5, held(minute)), void("a", "h")}, post("p", "h", 5), AlreadyVoided, 0},
	{"a void after a void", []any{pay("h", ana, bo, 5, held(minute)), void("a", "h")}, void("p", "h"), AlreadyVoided, 0},
	{"a post after a void, late", []any{pay("h", ana, bo, 5, held(minute)), void("a", "h"), minute}, post("p", "h", 5), AlreadyVoided, TransferExpired},
	{"a post too late", []any{pay("h", ana, bo, 5, held(minute)), minute}, post("p", "h", 5), TransferExpired, 0},
	{"a post of too much, too late", []any{pay("h", ana, bo, 5, held(minute)), minute}, post("p", "h", 6), TransferExpired, ExceedsPendingAmount},
	{"a void too late", []any{pay("h", ana, bo, 5, held(minute)), minute}, void("p", "h"), TransferExpired, 0},
	{"a post of more than was held", []any{pay("h", ana, bo, 5, held(minute))}, post("p", "h", 6), ExceedsPendingAmount, 0},
	{"a post of almost all there is", []any{pay("h", ana, bo, 5, held(minute))}, post("p", "h", All-1), ExceedsPendingAmount, 0},
	{"a refund of what is not", nil, refund("r", "o", 5), OriginalNotFound, 0},
	{"a refund of what is held", []any{pay("h", ana, bo, 5, held(minute))}, refund("r", "h", 5), OriginalNotPosted, ExceedsOriginal},
	{"a refund of what was voided", []any{pay("h", ana, bo, 5, held(minute)), void("v", "h")}, refund("r", "h", All), OriginalNotPosted, ExceedsOriginal},
	{"a refund of what expired", []any{pay("h", ana, bo, 5, held(minute)), minute}, refund("r", "h", 5), OriginalNotPosted, ExceedsOriginal},
	{"a refund of a refund", []any{pay("o", ana, bo, 5), refund("a", "o", 5)}, refund("r", "a", 5), RefundOfRefund, 0},
	{"a refund of more than a refund", []any{pay("o", ana, bo, 5), refund("a", "o", 5)}, refund("r", "a", 6), RefundOfRefund, ExceedsOriginal},
	{"a refund of more than was paid", []any{pay("o", ana, bo, 5)}, refund("r", "o", 6), ExceedsOriginal, 0},
	{"refunds of more than was paid", []any{pay("o", ana, bo, 5), refund("a", "o", 3)}, refund("r", "o", 3), ExceedsOriginal, 0},
	{"a refund of all that is left, which is nothing", []any{pay("o", ana, bo, 5), refund("a", "o", 5)}, refund("r", "o", All), ExceedsOriginal, 0},
	{"a refund of all of a gift of nothing", []any{pay("o", gia, gus, 0, in(gft))}, refund("r", "o", All), OKCreated, 0},
	{"a refund of more than was posted", []any{pay("h", ana, bo, 5, held(minute)), post("p", "h", 3)}, refund("r", "h", 4), ExceedsOriginal, 0},
	{"a refund of far more than was paid", []any{pay("o", tia, tom, 1, in(top)), pay("q", tom, tia, MaxAmount, in(top)), pay("s", tom, tia, MaxAmount-1, in(top))}, refund("r", "o", MaxAmount-1), ExceedsOriginal, Overflow},
	{"limits at a version gone by", []any{limits("l", ana, Bound{}, Bound{})}, with(limits("m", ana, Bound{}, Bound{}), func(s *SetLimits) { s.IfVersion = 1 }), VersionMismatch, 0},
	{"flags at a version to come", nil, with(flags("f", ana, NoDebit), func(s *SetFlags) { s.IfVersion = 2 }), VersionMismatch, 0},
	{"one hold too many", []any{pay("a", ana, bo, 1, held(minute)), pay("b", ana, bo, 1, held(minute))}, pay("p", ana, bo, 1, held(minute)), TooManyPending, 0},
	{"one hold more, when one expired", []any{pay("a", ana, bo, 1, held(minute)), pay("b", ana, bo, 1, held(2*minute)), minute}, pay("p", ana, bo, 1, held(minute)), OKCreated, 0},
	{"a payment beside too many holds", []any{pay("a", ana, bo, 1, held(minute)), pay("b", ana, bo, 1, held(minute))}, pay("p", ana, bo, 1), OKCreated, 0},
	{"a hold with a levy where one is left", []any{rules("s", grn, levied(1000, 1, 0)), pay("a", bo, ana, 1, held(minute), code(Exchange)), pay("b", ana, bo, 1, held(minute), code(Exchange))}, pay("p", ana, bo, 1, held(minute)), TooManyPending, 0},
	{"one hold too many, of too much", []any{pay("a", tia, tom, MaxAmount, in(top), held(minute)), pay("b", tia, tom, MaxAmount, in(top), held(minute))}, pay("p", tia, tom, 2, in(top), held(minute)), TooManyPending, Overflow},
	{"more than a payer's counter counts", []any{pay("a", tia, tom, MaxAmount, in(top)), pay("b", tia, tom, MaxAmount, in(top))}, pay("p", tia, tom, 2, in(top)), Overflow, 0},
	{"as much as a counter counts", []any{pay("a", tia, tom, MaxAmount, in(top)), pay("b", tia, tom, MaxAmount, in(top))}, pay("p", tia, tom, 1, in(top)), OKCreated, 0},
	{"more than a counter counts, and than may be owed", []any{pay("a", tia, tom, MaxAmount, in(top)), pay("b", tia, tom, MaxAmount, in(top)), limits("l", tia, At(0), Bound{})}, pay("p", tia, tom, 2, in(top)), Overflow, ExceedsFloor},
	{"more than may be owed", nil, pay("p", ana, bo, 21), ExceedsFloor, 0},
	{"more than may be owed beside what is held", []any{pay("h", ana, bo, 15, held(minute))}, pay("p", ana, bo, 6), ExceedsFloor, 0},
	{"what waits does not count as spendable", []any{pay("h", bo, ana, 15, held(minute))}, pay("p", ana, bo, 21), ExceedsFloor, 0},
	{"more than may be owed, and than may be had", nil, pay("p", ana, bo, 26), ExceedsFloor, ExceedsCeiling},
	{"more than may be owed with the levy", []any{rules("s", grn, levied(1000, 1, 0))}, pay("p", ana, bo, 20), ExceedsFloor, 0},
	{"a refund of what is spent", []any{pay("o", ana, bo, 5), limits("l", bo, At(0), Bound{}), pay("q", bo, cy, 1)}, refund("r", "o", 5), ExceedsFloor, 0},
	{"more than may be had", []any{pay("a", ana, bo, 20)}, pay("p", cy, bo, 6), ExceedsCeiling, 0},
	{"as much as may be had", []any{pay("a", ana, bo, 20)}, pay("p", cy, bo, 5), OKCreated, 0},
	{"more than may be had beside what waits", []any{pay("a", ana, bo, 20, held(minute))}, pay("p", cy, bo, 6), ExceedsCeiling, 0},
}

// pairsApart are neighbours in the order that no command can meet at once, with the reason.
var pairsApart = map[ResultCode]string{
	OKCreated:            "a command happens now or happened before",
	OKExists:             "an id has one body",
	AmountZero:           "an amount is zero or large",
	AmountTooLarge:       "account_not_found is of decisions, which have no amount",
	AccountNotFound:      "decisions and transfers name different accounts",
	CreditBlocked:        "account_not_empty is of SetFlags, which moves nothing",
	AccountNotEmpty:      "already_settled is of Pay",
	AlreadySettled:       "pending_not_found is of Post and Void",
	PendingNotFound:      "what is not found is in no state",
	AlreadyPosted:        "a transfer ends once",
	ExceedsPendingAmount: "original_not_found is of Refund",
	OriginalNotFound:     "what is not found is in no state",
	OriginalNotPosted:    "a refund is always posted",
	ExceedsOriginal:      "version_mismatch is of decisions",
	VersionMismatch:      "too_many_pending is of Pay",
}

func TestResultCodes(t *testing.T) {
	names := map[string]bool{}
	for _, r := range resultRows {
		if names[r.name] {
			t.Errorf("two rows are called %q", r.name)
		}
		names[r.name] = true
		t.Run(r.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(r.given)
			w.want(r.want, r.cmd)
			if r.over > IDAborted {
				o := w.oracle.clone()
				if o.do(r.cmd); !slices.Contains(o.why, r.over) {
					t.Errorf("%s does not apply: only %v do", r.over, o.why)
				}
			}
			w.ended()
		})
	}
	if len(resultRows) < 120 {
		t.Errorf("there are %d rows, want 120 or more", len(resultRows))
	}
}

func TestEveryResultCodeHasARow(t *testing.T) {
	for c := range numResults {
		if !slices.ContainsFunc(resultRows, func(r row) bool { return r.want == c }) {
			t.Errorf("%s has no row", c)
		}
		reason, apart := pairsApart[c]
		both := slices.ContainsFunc(resultRows, func(r row) bool { return r.want == c && r.over == c+1 })
		if c+1 < numResults && both == apart {
			t.Errorf("%s before %s: a row where both apply is there: %v; they cannot meet: %q", c, c+1, both, reason)
		}
		if got, err := ParseResultCode(c.String()); err != nil || got != c {
			t.Errorf("%s is read as %s, %v", c, got, err)
		}
	}
	if len(resultNames) != int(numResults) {
		t.Errorf("%d codes have %d names", numResults, len(resultNames))
	}
}

// TestAFailureIsRememberedOrNot sends a refused command again when nothing stands against it any more.
func TestAFailureIsRememberedOrNot(t *testing.T) {
	again := func(w *world) []any { return nil }
	rows := []struct {
		code  ResultCode
		given []any
		cmd   Command
		cure  func(w *world) []any
		want  ResultCode // of the second time
	}{
		{ExistsWithDifferent, []any{pay("p", ana, bo, 5)}, pay("p", ana, bo, 6), again, ExistsWithDifferent},
		{IDAlreadyFailed, []any{refused{pay("p", ana, bo, 21)}}, pay("p", ana, bo, 21), again, IDAlreadyFailed},
		{IDAborted, []any{Abort{ID: act("a"), Currency: grn.ID, Target: act("p")}}, pay("p", ana, bo, 21), again, IDAborted},
		{Malformed, nil, pay("p", ana, bo, 5, claimed(noon+Instant(minute))), func(*world) []any { return []any{minute} }, OKCreated},
		{CurrencyNotFound, nil, open("dan", testCurrency("NEW", Mutual, Rules{}), func(*OpenAccount) {}), func(*world) []any { return []any{newCurrency("NEW", func(*Currency) {})} }, OKCreated},
		{WrongCurrencyKind, []any{newCurrency("NEW", func(c *Currency) { c.Kind, c.Rules.Floor = Issued, At(0) }), open("dan", testCurrency("NEW", 0, Rules{Floor: At(0)}), func(*OpenAccount) {})},
			pay("p", acct(testCurrency("NEW", 0, Rules{}), "mint"), acct(testCurrency("NEW", 0, Rules{}), "dan"), 5, in(testCurrency("NEW", 0, Rules{})), code(Issue)),
			func(*world) []any { return []any{open("mint", testCurrency("NEW", 0, Rules{}), as(Issuer))} }, IDAlreadyFailed},
		{AccountsMustDiffer, nil, pay("p", ana, ana, 5), again, IDAlreadyFailed},
		{AmountZero, nil, pay("p", ana, bo, 0), again, IDAlreadyFailed},
		{AmountTooLarge, nil, pay("p", ana, bo, 1001), func(*world) []any {
			return []any{rules("s", grn, func(r *Rules) { r.MaxTransfer = 0 }), limits("l", ana, Bound{}, Bound{}), limits("m", bo, Bound{}, Bound{})}
		}, IDAlreadyFailed},
		{AccountNotFound, nil, flags("f", acct(grn, "dan"), NoDebit), func(*world) []any { return []any{open("dan", grn, func(*OpenAccount) {})} }, IDAlreadyFailed},
		{DebitAccountNotFound, nil, pay("p", acct(grn, "dan"), bo, 5), func(*world) []any { return []any{open("dan", grn, func(*OpenAccount) {})} }, IDAlreadyFailed},
		{CreditAccountNotFound, nil, pay("p", bo, acct(grn, "dan"), 5), func(*world) []any { return []any{open("dan", grn, func(*OpenAccount) {})} }, IDAlreadyFailed},
		{CurrencyMismatch, nil, pay("p", bo, tia, 5), again, IDAlreadyFailed},
		{AccountClosed, []any{flags("f", bo, Closed)}, pay("p", ana, bo, 5), func(*world) []any { return []any{flags("g", bo, 0)} }, IDAlreadyFailed},
		{DebitBlocked, []any{flags("f", ana, NoDebit)}, pay("p", ana, bo, 5), func(*world) []any { return []any{flags("g", ana, 0)} }, IDAlreadyFailed},
		{CreditBlocked, []any{flags("f", bo, NoCredit)}, pay("p", ana, bo, 5), func(*world) []any { return []any{flags("g", bo, 0)} }, IDAlreadyFailed},
		{AccountNotEmpty, []any{pay("o", ana, bo, 5)}, flags("f", bo, Closed), func(*world) []any { return []any{pay("q", bo, ana, 5)} }, IDAlreadyFailed},
		{AlreadySettled, []any{pay("o", ana, bo, 5, settles("1"), held(minute))}, pay("p", ana, bo, 5, settles("1")), func(*world) []any { return []any{void("v", "o")} }, IDAlreadyFailed},
		{PendingNotFound, nil, post("p", "h", 5), func(*world) []any { return []any{pay("h", ana, bo, 5, held(minute))} }, IDAlreadyFailed},
		{PendingNotPending, []any{pay("h", ana, bo, 5)}, post("p", "h", 5), again, IDAlreadyFailed},
		{AlreadyPosted, []any{pay("h", ana, bo, 5, held(minute)), post("a", "h", 5)}, post("p", "h", 5), again, IDAlreadyFailed},
		{AlreadyVoided, []any{pay("h", ana, bo, 5, held(minute)), void("a", "h")}, post("p", "h", 5), again, IDAlreadyFailed},
		{TransferExpired, []any{pay("h", ana, bo, 5, held(minute)), minute}, post("p", "h", 5), again, IDAlreadyFailed},
		{ExceedsPendingAmount, []any{pay("h", ana, bo, 5, held(minute))}, post("p", "h", 6), again, IDAlreadyFailed},
		{OriginalNotFound, nil, refund("r", "o", 5), func(*world) []any { return []any{pay("o", ana, bo, 5)} }, IDAlreadyFailed},
		{OriginalNotPosted, []any{pay("h", ana, bo, 5, held(minute))}, refund("r", "h", 5), func(*world) []any { return []any{post("a", "h", 5)} }, IDAlreadyFailed},
		{RefundOfRefund, []any{pay("o", ana, bo, 5), refund("a", "o", 5)}, refund("r", "a", 5), again, IDAlreadyFailed},
		{ExceedsOriginal, []any{pay("o", ana, bo, 5)}, refund("r", "o", 6), again, IDAlreadyFailed},
		{VersionMismatch, nil, with(flags("f", ana, NoDebit), func(s *SetFlags) { s.IfVersion = 2 }), func(*world) []any { return []any{flags("g", ana, 0)} }, OKCreated},
		{TooManyPending, []any{pay("a", ana, bo, 1, held(minute)), pay("b", ana, bo, 1, held(minute))}, pay("p", ana, bo, 1, held(minute)), func(*world) []any { return []any{void("v", "a")} }, IDAlreadyFailed},
		{Overflow, []any{pay("a", tia, tom, MaxAmount, in(top)), pay("b", tia, tom, MaxAmount, in(top), held(minute))}, pay("p", tia, tom, 2, in(top)), func(*world) []any { return []any{void("v", "b")} }, IDAlreadyFailed},
		{ExceedsFloor, nil, pay("p", ana, bo, 21), func(*world) []any { return []any{limits("l", ana, At(-30), At(30))} }, IDAlreadyFailed},
		{ExceedsCeiling, []any{pay("a", ana, bo, 20)}, pay("p", cy, bo, 6), func(*world) []any { return []any{limits("l", bo, At(-30), At(30))} }, IDAlreadyFailed},
	}
	seen := map[ResultCode]bool{OKCreated: true, OKExists: true}
	for _, r := range rows {
		seen[r.code] = true
		t.Run(r.code.String(), func(t *testing.T) {
			w := newWorld(t)
			w.do(r.given)
			first := w.want(r.code, r.cmd)
			w.do(r.cure(w))
			second := w.want(r.want, r.cmd)
			if second.Reason() != first.Reason() && r.want != OKCreated {
				t.Errorf("it failed of %s, and then of %s", first.Reason(), second.Reason())
			}
			if durable := r.want == IDAlreadyFailed && r.code != IDAlreadyFailed; durable != r.code.Durable() {
				t.Errorf("%s says Durable %v", r.code, r.code.Durable())
			}
			if third := w.send(r.cmd); r.want == IDAlreadyFailed && third != second {
				t.Errorf("got %+v, and then %+v", second, third)
			}
			w.ended()
		})
	}
	for c := range numResults {
		if !seen[c] {
			t.Errorf("%s is not tried again", c)
		}
	}
}

// TestARefusalHasWords asks for words for people for each failure that can be an answer's reason.
func TestARefusalHasWords(t *testing.T) {
	for c := range numResults {
		r := Result{Code: c}
		switch err := r.Err(); {
		case c.OK() != (err == nil):
			t.Errorf("%s is the error %v", c, err)
		case err == nil, c == IDAlreadyFailed:
		case err.Error() != resultWords[c] || resultWords[c] == "":
			t.Errorf("%s says %q", c, err)
		}
	}
	if got, want := (Result{Code: IDAlreadyFailed, Cause: ExceedsFloor}).Err().Error(), resultWords[ExceedsFloor]; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (&RefusedError{Result{Code: numResults}}).Error(); got != fmt.Sprintf("refused: unknown(%d)", numResults) {
		t.Errorf("got %q", got)
	}
}

// TestARefusalForALimitSaysHowFar: what the balance would be, all that is held counted, and what it may be; once, for a failure that is told again has no figures.
func TestARefusalForALimitSaysHowFar(t *testing.T) {
	for _, r := range []struct {
		name         string
		given        []any
		cmd          Command
		want         ResultCode
		would, limit int64
	}{
		{"spent", nil, pay("p", ana, bo, 21), ExceedsFloor, -21, -20},
		{"spent beside what is held", []any{pay("h", ana, bo, 15, held(minute))}, pay("p", ana, bo, 6), ExceedsFloor, -21, -20},
		{"what is to come is not there", []any{pay("h", bo, ana, 15, held(minute))}, pay("p", ana, bo, 21), ExceedsFloor, -21, -20},
		{"spent with the levy", []any{rules("s", grn, levied(1000, 1, 0))}, pay("p", ana, bo, 20), ExceedsFloor, -22, -20},
		{"given back", []any{pay("o", ana, bo, 5), limits("l", bo, At(0), Bound{}), pay("q", bo, cy, 1)}, refund("r", "o", 5), ExceedsFloor, -1, 0},
		{"received", []any{pay("a", ana, bo, 20)}, pay("p", cy, bo, 6), ExceedsCeiling, 26, 25},
		{"received beside what waits", []any{pay("a", ana, bo, 20, held(minute))}, pay("p", cy, bo, 6), ExceedsCeiling, 26, 25},
		{"more than a counter counts", []any{pay("a", tia, tom, MaxAmount, in(top)), pay("b", tia, tom, MaxAmount, in(top)), limits("l", tia, At(0), Bound{})}, pay("p", tia, tom, 2, in(top)), Overflow, 0, 0},
		{"to nobody", nil, pay("p", ana, acct(grn, "dan"), 21), CreditAccountNotFound, 0, 0},
	} {
		t.Run(r.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(r.given)
			if got := w.want(r.want, r.cmd); got.Would != r.would || got.Limit != r.limit {
				t.Errorf("it would be %d, and may be %d; want %d and %d", got.Would, got.Limit, r.would, r.limit)
			}
			if got := w.send(r.cmd); got.Code != IDAlreadyFailed || got.Would != 0 || got.Limit != 0 {
				t.Errorf("again: %+v", got)
			}
			w.ended()
		})
	}
}
