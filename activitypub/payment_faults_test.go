package activitypub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
)

// fair is an economy in which everything goes wrong: bo and the bakery pay each other, hold, take, let go, give back and take back, order loaves and pay for them, while
// requests get lost, come twice, late or out of order, nodes are killed, and clocks differ.
type fair struct {
	*economy
	dice  *rand.Rand
	loaf  *storage.Offer // as the bakery has it
	sides []side         // who pays
	done  []string       // what happened, for whoever reads of a failure
	asked map[storage.IRI]bool
	keys  map[string]activitypub.PayOrder
}

func newFair(t *testing.T, hosts [3]string, seed uint64) *fair {
	t.Helper()
	f := &fair{economy: newEconomy(t, hosts), dice: rand.New(rand.NewPCG(seed, 3)), asked: map[storage.IRI]bool{}, keys: map[string]activitypub.PayOrder{}}
	if f.here != f.there {
		_, err := f.here.Follow(t.Context(), f.bo, string(f.bakery.Actor.IRI))
		f.must(err)
		f.Deliver()
	}
	var err error
	f.loaf, err = f.there.PublishOffer(t.Context(), f.bakery, activitypub.OfferDraft{Title: "Loaf", Price: "4.50", Currency: f.currency.Book.IRI, Quantity: "60"})
	f.must(err)
	f.Deliver()
	f.sides = []side{{f.here, f.bo}, {f.there, f.bakery}}
	return f
}

// nodes are those of the economy, each once.
func (e *economy) nodes() (out []*aptest.Node) {
	for _, n := range []*aptest.Node{e.mint, e.there, e.here} {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func (f *fair) note(format string, args ...any) {
	f.done = append(f.done, f.Now().Format("02 15:04:05 ")+fmt.Sprintf(format, args...))
}

// tell logs what happened, after a failure.
func (f *fair) tell() {
	if f.t.Failed() {
		f.t.Log("\n" + strings.Join(f.done, "\n"))
	}
}

// allowed lets refusals pass: whoever acts at random wants much that cannot be.
func (f *fair) allowed(what string, err error) {
	f.t.Helper()
	var p *activitypub.Problem
	var i *activitypub.InvalidError
	var r *activitypub.RefusedError
	var l *ledger.RefusedError
	var lost *activitypub.FetchError
	if err != nil && !errors.As(err, &p) && !errors.As(err, &i) && !errors.As(err, &r) && !errors.As(err, &l) && !errors.As(err, &lost) && !errors.Is(err, storage.ErrNotFound) {
		f.t.Fatalf("%s: %v", what, err)
	}
	f.note("%s: %v", what, err)
}

// asks brings one side's order for a payment to her node.
func (f *fair) asks(what string, who side, o activitypub.PayOrder) {
	m, err := who.node.Money(context.Background(), f.currency.Book.IRI)
	if err == nil {
		var p *storage.Payment
		o.Currency = m
		if p, err = who.node.Pay(context.Background(), who.by, o); p != nil {
			f.asked[p.IRI] = true
		}
	}
	f.allowed(what, err)
}

// pays lets one side pay the other, or hold for her; now and then it is what she asked for before, under the same key.
func (f *fair) pays() {
	i := f.dice.IntN(len(f.sides))
	from, to := f.sides[i], f.sides[(i+1)%len(f.sides)]
	there, err := from.node.DB.ActorByIRI(context.Background(), to.by.Actor.IRI)
	f.must(err)
	o := activitypub.PayOrder{To: there, Amount: fmt.Sprintf("%d.%02d", f.dice.IntN(30), 1+f.dice.IntN(99)), Memo: fmt.Sprint("no. ", len(f.done)),
		Key: fmt.Sprint(i, " ", f.dice.IntN(200)), Lasts: time.Duration(1+f.dice.IntN(300)) * time.Minute}
	if f.dice.IntN(3) == 0 {
		o.Hold = time.Duration(1+f.dice.IntN(20)) * 30 * time.Minute
	}
	if old, ok := f.keys[o.Key]; ok {
		o.Amount, o.Memo, o.Hold = old.Amount, old.Memo, old.Hold
	}
	f.keys[o.Key] = o
	f.asks(fmt.Sprintf("%s pays %s (hold %s) to %s under %s", from.by.Actor.Username, o.Amount, o.Hold, to.by.Actor.Username, o.Key), from, o)
}

// any is a payment as somebody has it, to or from her.
func (f *fair) any() (side, *storage.Payment) {
	who := f.sides[f.dice.IntN(len(f.sides))]
	ps, err := who.node.DB.Payments(context.Background(), who.by.Actor.IRI, 0, 1000)
	f.must(err)
	if len(ps) == 0 {
		return who, nil
	}
	if i := slices.IndexFunc(ps, func(p storage.Payment) bool { return !p.Over() }); i >= 0 && f.dice.IntN(2) == 0 {
		return who, &ps[i]
	}
	return who, &ps[f.dice.IntN(len(ps))]
}

// acts does anything with any payment.
func (f *fair) acts() {
	who, p := f.any()
	if p == nil {
		return
	}
	ctx, part := context.Background(), ""
	if f.dice.IntN(2) == 0 {
		part = ledger.FormatAmount(1+f.dice.Int64N(int64(p.Amount)), 2)
	}
	act := []string{"take", "take", "release", "refund", "cancel"}[f.dice.IntN(5)]
	var err error
	switch act {
	case "take":
		_, err = who.node.TakePayment(ctx, who.by, p.ID, part, "")
	case "release":
		_, err = who.node.ReleasePayment(ctx, who.by, p.ID, "")
	case "refund":
		var r *storage.Payment
		if r, err = who.node.RefundPayment(ctx, who.by, p.ID, part, "", ""); r != nil {
			f.asked[r.IRI] = true
		}
	case "cancel":
		_, err = who.node.CancelPayment(ctx, who.by, p.ID)
	}
	f.allowed(fmt.Sprintf("%s does %s %q with %s of %d (%s)", who.by.Actor.Username, act, part, p.IRI, p.Amount, p.State), err)
}

// orders places an order, or does something with one: the payer pays for it as soon as she can, perhaps twice.
func (f *fair) orders() {
	ctx := context.Background()
	if f.dice.IntN(3) == 0 {
		there, err := f.here.DB.OfferByIRI(ctx, f.loaf.IRI)
		if errors.Is(err, storage.ErrNotFound) {
			return
		}
		f.must(err)
		_, err = f.here.PlaceOrder(ctx, f.bo, activitypub.OrderDraft{Offer: there, Quantity: fmt.Sprint(1 + f.dice.IntN(3))})
		f.allowed("bo orders", err)
		return
	}
	who := f.sides[f.dice.IntN(len(f.sides))]
	all, err := who.node.DB.Orders(ctx, who.by.Actor.ID, nil, storage.Page{Limit: 100})
	f.must(err)
	if len(all) == 0 {
		return
	}
	o := &all[f.dice.IntN(len(all))]
	act := []string{"accept", "accept", "pay", "pay", "pay", "fulfil", "confirm", "cancel"}[f.dice.IntN(8)]
	if act == "pay" {
		payee, err := f.here.DB.ActorByIRI(ctx, f.bakery.Actor.IRI)
		f.must(err)
		mine, err := f.here.DB.OrderByAsk(ctx, o.AskIRI)
		if errors.Is(err, storage.ErrNotFound) {
			return
		}
		f.must(err)
		f.asks(fmt.Sprintf("bo pays for %s (%s)", o.AskIRI, o.State), side{f.here, f.bo},
			activitypub.PayOrder{To: payee, Amount: f.loaf.Money(mine.Amount), Order: mine, Lasts: time.Duration(1+f.dice.IntN(300)) * time.Minute})
		return
	}
	_, err = who.node.MoveOrder(ctx, who.by, o.ID, act, "")
	f.allowed(fmt.Sprintf("%s does %s with %s (%s)", who.by.Actor.Username, act, o.AskIRI, o.State), err)
}

// decides changes what somebody may owe or have, or stops her account for a while.
func (f *fair) decides() {
	ctx, who := context.Background(), []*storage.Actor{f.mints, f.mintsBakery}[f.dice.IntN(2)]
	if f.dice.IntN(2) == 0 {
		flags := []ledger.Flags{0, 0, 0, 0, 0, 0, ledger.NoDebit, ledger.NoCredit}[f.dice.IntN(8)]
		f.allowed(fmt.Sprintf("%s is stopped: %d", who.Username, flags), f.mint.SetFlags(ctx, f.coop, f.currency, who, flags, "https://rye.example/decisions/1"))
		return
	}
	limit := fmt.Sprint(40 + f.dice.IntN(100))
	f.allowed(who.Username+" may owe and have "+limit, f.mint.SetLimits(ctx, f.coop, f.currency, who, activitypub.NewLimits{Credit: &limit, Ceiling: &limit}, "https://rye.example/decisions/2"))
}

// pass lets time go by, and every node look at what is due.
func (f *fair) pass(d time.Duration) {
	f.t.Helper()
	f.Sleep(d)
	f.Deliver()
	for _, n := range f.nodes() {
		f.look(n)
	}
	f.Deliver()
}

// look is what a node does by itself.
func (f *fair) look(n *aptest.Node) {
	f.t.Helper()
	ctx := context.Background()
	f.must(errors.Join(n.ExpireHolds(ctx), n.CheckPayments(ctx), n.CheckOrders(ctx)))
}

// trouble is something that happens to a node.
func (f *fair) trouble() {
	all := f.nodes()
	n := all[f.dice.IntN(len(all))]
	switch f.dice.IntN(4) {
	case 0:
		f.note("%s is killed", n.Host)
		n.Restart()
	case 1:
		f.note("%s is killed at work", n.Host)
		n.Abandon(1 + f.dice.IntN(3))
		n.Restart()
	default:
		off := time.Duration(f.dice.IntN(240)-120) * time.Second
		f.note("the clock of %s is %s off", n.Host, off)
		n.SetClock(off)
	}
}

// payments are all that a node knows of, by the id of their Offers.
func (e *economy) paymentsAt(n *aptest.Node) map[storage.IRI]storage.Payment {
	e.t.Helper()
	ps, err := n.DB.Payments(context.Background(), "", 0, 100_000)
	e.must(err)
	out := map[storage.IRI]storage.Payment{}
	for _, p := range ps {
		out[p.IRI] = p
	}
	return out
}

// sound checks what has to be true at any moment: the book is whole and its balances are zero in all; nobody shows more than the ledger has booked; and each payment was
// made once or not at all.
func (e *economy) sound() {
	e.t.Helper()
	ctx := context.Background()
	v := e.audit()
	accounts, err := e.mint.DB.Accounts(ctx, e.currency)
	e.must(err)
	var sum int64
	for _, a := range accounts {
		sum += a.Balance()
	}
	if sum != 0 {
		e.t.Errorf("the balances are %d in all", sum)
	}
	made := 0
	for _, n := range e.nodes() {
		for iri, p := range e.paymentsAt(n) {
			t, _, err := e.mint.DB.Transfer(ctx, ledger.NewID("pay", string(iri)))
			there := err == nil
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				e.t.Fatal(err)
			}
			if n == e.mint && there {
				made++
			}
			posted := there && t.State == ledger.Posted
			want := map[ledger.TransferState]string{ledger.Pending: storage.PaymentHeld, ledger.Posted: storage.PaymentCommitted, ledger.Voided: storage.PaymentCancelled, ledger.Expired: storage.PaymentExpired}[t.State]
			switch {
			case p.State == storage.PaymentCommitted && (!posted || t.Posted != p.Amount || t.RefundOf.IsZero() != (p.RefundOf == nil)):
				e.t.Errorf("%s shows %s of %d as paid; the book has %+v", n.Host, iri, p.Amount, t)
			case p.State == storage.PaymentHeld && !there:
				e.t.Errorf("%s shows %s as held, and the book knows nothing of it", n.Host, iri)
			case n == e.mint && there && p.State != want:
				e.t.Errorf("%s is %s beside a transfer %+v", iri, p.State, t)
			case n == e.mint && !there && (!p.Over() || p.State == storage.PaymentCommitted):
				e.t.Errorf("%s is %s, and the book knows nothing of it", iri, p.State)
			}
		}
	}
	if v.Transfers != made {
		e.t.Errorf("there are %d transfers of %d payments", v.Transfers, made)
	}
}

// agree checks that, once everything came to rest, both sides have of every payment what the ledger has, with receipts that hold, and that orders are paid exactly when a
// payment of theirs was made and not given back.
func (e *economy) agree() {
	e.t.Helper()
	ctx := context.Background()
	e.sound()
	key, err := proof.NewVerifier(vkeyOf(e.t, e.currency))
	e.must(err)
	book := e.paymentsAt(e.mint)
	for _, n := range e.nodes() {
		here := e.paymentsAt(n)
		for iri, p := range here {
			q, known := book[iri]
			if !p.Over() {
				e.t.Errorf("%s still has %s as %s", n.Host, iri, p.State)
			}
			if known && (p.State != q.State || p.Amount != q.Amount || p.State == storage.PaymentCommitted && p.Event != q.Event || p.Fulfills != q.Fulfills) || !known && (p.State != storage.PaymentExpired || p.Reason != "no_answer") {
				e.t.Errorf("%s has %s as %s of %d (%s %s), the ledger as %s of %d (%s)", n.Host, iri, p.State, p.Amount, p.Reason, p.Words, q.State, q.Amount, q.Words)
			}
			if n != e.mint && p.State == storage.PaymentCommitted {
				if _, err := proof.Verify(p.Receipt, key); err != nil {
					e.t.Errorf("the receipt of %s at %s: %v", iri, n.Host, err)
				}
			}
		}
		for iri, q := range book {
			local := strings.HasPrefix(string(q.Payer), "https://"+n.Host+"/") || strings.HasPrefix(string(q.Payee), "https://"+n.Host+"/")
			if _, known := here[iri]; local && !known && q.State == storage.PaymentCommitted {
				e.t.Errorf("%s knows nothing of %s", n.Host, iri)
			}
		}
		e.must(n.DB.EachOrder(ctx, e.actorAt(n, e.bakery), 100, func(o *storage.Order) error {
			var paid []storage.IRI
			for iri, q := range book {
				if q.State == storage.PaymentCommitted && q.Fulfills == o.IRI+"#reciprocal" && q.RefundOf == nil {
					back, err := e.mint.DB.Refunded(ctx, q.ID)
					if err != nil {
						return err
					}
					if back < q.Amount {
						paid = append(paid, iri)
					}
				}
			}
			var marked storage.IRI
			if o.PaymentID != 0 {
				p, err := n.DB.PaymentByID(ctx, o.PaymentID)
				if err != nil {
					return err
				}
				marked = p.IRI
			}
			if len(paid) > 1 || len(paid) == 1 && marked != paid[0] || len(paid) == 0 && marked != "" {
				e.t.Errorf("at %s the order %s (%s) is paid by %q, in the books by %q", n.Host, o.AskIRI, o.State, marked, paid)
			}
			return nil
		}))
	}
}

// actorAt is somebody as a node knows her; 0: it does not.
func (e *economy) actorAt(n *aptest.Node, by activitypub.By) storage.ID {
	e.t.Helper()
	a, err := n.DB.ActorByIRI(context.Background(), by.Actor.IRI)
	if errors.Is(err, storage.ErrNotFound) {
		return 0
	}
	e.must(err)
	return a.ID
}

// TestPaymentsUnderEveryFault: whatever is lost, comes twice, late or in another order, whoever is killed or away for a week, at any time each payment was made once or not
// at all and nobody shows one as made that the ledger has not, and in the end everybody has what the ledger has. PLANET_TEST_PAYMENT_SEEDS asks for more than the few that a
// test run takes, PLANET_TEST_PAYMENT_SEED for one.
func TestPaymentsUnderEveryFault(t *testing.T) {
	from, seeds := uint64(0), uint64(10)
	if s, err := strconv.ParseUint(os.Getenv("PLANET_TEST_PAYMENT_SEEDS"), 10, 32); err == nil {
		seeds = s
	}
	if s, err := strconv.ParseUint(os.Getenv("PLANET_TEST_PAYMENT_SEED"), 10, 32); err == nil {
		from, seeds = s, s+1
	}
	spread := []string{"each on a node of its own", "payer elsewhere", "payee elsewhere", "ledger elsewhere", "one node"}
	for seed := from; seed < seeds; seed++ {
		name := spread[seed%uint64(len(spread))]
		t.Run(fmt.Sprintf("seed %d, %s", seed, name), func(t *testing.T) {
			t.Parallel()
			f := newFair(t, constellations[name], seed)
			defer f.tell()
			f.Disturb(seed, aptest.Faults{Lost: 60, Unanswered: 60, Twice: 80, Late: 120, Busy: 40})
			round := func() {
				switch f.dice.IntN(12) {
				case 0, 1, 2:
					f.pays()
				case 3, 4, 5:
					f.acts()
				case 6, 7, 8:
					f.orders()
				case 9:
					f.decides()
				case 10:
					f.trouble()
				default:
					f.pass(time.Duration(f.dice.IntN(2400)) * time.Second)
				}
			}
			for range 90 {
				if round(); f.dice.IntN(2) == 0 {
					f.Deliver()
				}
				if f.sound(); t.Failed() {
					return
				}
			}
			if seed%2 == 0 {
				all := f.nodes()
				gone := all[f.dice.IntN(len(all))]
				f.note("%s is away for a week", gone.Host)
				f.Away(gone.Host, true)
				for range 14 {
					round()
					f.pass(12 * time.Hour)
					f.sound()
				}
				f.Away(gone.Host, false)
			}
			f.calm(seed)
			f.agree()
			states := map[string]int{}
			for _, p := range f.paymentsAt(f.mint) {
				states[p.State+" "+p.Reason]++
			}
			t.Logf("%d payments, at the ledger %v", len(f.asked), states)
			if states["committed "] == 0 {
				t.Error("nothing was paid")
			}
		})
	}
}

// calm ends all trouble, and lets so much time pass that everything comes to rest.
func (f *fair) calm(seed uint64) {
	f.t.Helper()
	f.note("calm")
	f.Disturb(seed, aptest.Faults{})
	for _, n := range f.nodes() {
		n.SetClock(0)
		n.Restart()
	}
	for range 40 {
		f.pass(12 * time.Hour)
	}
}
