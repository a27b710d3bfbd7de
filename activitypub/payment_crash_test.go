package activitypub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
	"planet/storage/storagetest"
)

// What becomes of a payment when a node's database fails, or the node is killed, at any of the statements that the payment takes.

// frail is an economy whose databases can be made to fail.
type frail struct {
	*economy
	faults map[string]*storagetest.Faults // by host
	loaf   *storage.Offer
}

func newFrail(t *testing.T, hosts [3]string) *frail {
	t.Helper()
	net := aptest.New(t)
	f := &frail{faults: map[string]*storagetest.Faults{}}
	net.Database = func(host string) *storage.DB {
		db, faults := storagetest.Failing(t)
		f.faults[host] = faults
		return db
	}
	net.Forgive("an error was logged") // each of these has its cause
	f.economy = newEconomyIn(t, net, hosts)
	return f
}

// farPayer is somebody on a server of the test's own, with an account.
func (e *economy) farPayer() *aptest.Peer {
	e.t.Helper()
	far := aptest.NewProver("https://far.example", "fay", 7)
	far.Now = e.Now
	e.Serve("far.example", far)
	fay, err := e.mint.Resolve(e.t.Context(), far.ID())
	e.must(err)
	_, err = e.mint.OpenAccount(e.t.Context(), e.coop, e.currency, fay)
	e.must(err)
	return far
}

// owes is what somebody has less, in minor units.
func (e *economy) owes(who storage.IRI) int64 {
	e.t.Helper()
	a, err := e.mint.DB.Account(e.t.Context(), e.currency, who)
	e.must(err)
	return -a.Balance()
}

// send brings an activity of a peer to the inbox of the ledger.
func (e *economy) send(p *aptest.Peer, activity any) (status int, h http.Header) {
	e.t.Helper()
	res, err := e.RoundTrip(p.Request("https://"+e.mint.Host+"/ledger/inbox", activity))
	e.must(err)
	_ = res.Body.Close()
	return res.StatusCode, res.Header
}

// answers are the ids of the ledger's answers to an Offer that a peer got.
func answers(t *testing.T, p *aptest.Peer, offer string) map[string]int {
	t.Helper()
	ids := map[string]int{}
	for _, raw := range p.Received() {
		var a struct{ ID, Type, Object string }
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatal(err)
		}
		if a.Object == offer {
			ids[a.Type+" "+a.ID]++
		}
	}
	return ids
}

// failures are what is tried at each statement: with PLANET_TEST_PAYMENT_SEEDS, full disks too.
func failures() []storagetest.Failure {
	if os.Getenv("PLANET_TEST_PAYMENT_SEEDS") != "" {
		return []storagetest.Failure{storagetest.Crash, storagetest.CrashAfter, storagetest.Full, storagetest.Busy}
	}
	return []storagetest.Failure{storagetest.Crash, storagetest.CrashAfter}
}

// eachStatement runs a story again and again, with the n-th statement after arm failing, for all n until none does.
func eachStatement(t *testing.T, faults *storagetest.Faults, how storagetest.Failure, story func(n int, arm func(), mend func() bool)) {
	t.Helper()
	for n := 1; ; n++ {
		at, mended := "", false
		story(n, func() { faults.Break(n, how) }, func() bool {
			at, mended = faults.Mend(), true
			return at != ""
		})
		if t.Failed() {
			t.Fatalf("%s, at statement %d: %.300s", how, n, at)
		}
		if !mended || at == "" {
			if n == 1 || n < 5 && how != storagetest.CrashAfter {
				t.Fatalf("it took %d statements", n-1)
			}
			t.Logf("%s: %d statements", how, n-1)
			return
		}
	}
}

// An Offer whose acceptance fails at any statement changes nothing and is answered 503; sent again, it is paid once.
func TestPAY308ADatabaseThatFailsWithinAnAcceptance(t *testing.T) {
	for _, how := range []storagetest.Failure{storagetest.Busy, storagetest.ReadOnly, storagetest.Full} {
		t.Run(how.String(), func(t *testing.T) {
			t.Parallel()
			f := newFrail(t, constellations["one node"])
			far := f.farPayer()
			eachStatement(t, f.faults[f.mint.Host], how, func(n int, arm func(), mend func() bool) {
				id := fmt.Sprint(int(how), "-", n)
				offer := far.Proven(far.PaymentOffer(id, "https://rye.example/ledger", f.currency.Book.IRI, string(f.bakery.Actor.IRI), "0.01", nil))
				before, owed := f.mint.State(), f.owes(storage.IRI(far.ID()))
				arm()
				status, header := f.send(far, offer)
				hit := mend()
				switch changes := before.Changes(f.mint.State()); {
				case status == 503 && (len(changes) > 0 || header.Get("Retry-After") == ""):
					t.Errorf("it was answered 503 (Retry-After: %q), and there is %q", header.Get("Retry-After"), changes)
				case status == 503, status == 202 && f.owes(storage.IRI(far.ID())) == owed+1:
				default:
					t.Errorf("it was answered %d, and she owes %d more", status, f.owes(storage.IRI(far.ID()))-owed)
				}
				if !hit && status != 202 {
					t.Errorf("nothing failed, and it was answered %d", status)
				}
				f.sound()
				f.paidOnce(far, id, offer, owed)
			})
		})
	}
}

// paidOnce sends an Offer again, now that nothing fails any more.
func (e *economy) paidOnce(far *aptest.Peer, id string, offer []byte, owed int64) {
	e.t.Helper()
	for range 2 {
		if status, _ := e.send(far, offer); status != 202 {
			e.t.Errorf("again: %d", status)
		}
	}
	e.rest()
	if got := e.owes(storage.IRI(far.ID())) - owed; got != 1 {
		e.t.Errorf("she owes %d more, want 1", got)
	}
	if got := answers(e.t, far, far.ID()+"/activities/"+id); len(got) != 1 {
		e.t.Errorf("the answers are %v, want one Accept", got)
	}
	e.sound()
}

// The ledger's node is gone before or after any statement of an acceptance: between the entry in the book, the answer in the outbox, the commit and the 202. When it is back
// there is all of the payment or nothing; asked again it is paid once, and the payer sees exactly one answer.
func TestPAY306TheLedgerIsKilledAtEveryStepOfAnAcceptance(t *testing.T) {
	for _, how := range []storagetest.Failure{storagetest.Crash, storagetest.CrashAfter} {
		t.Run(how.String(), func(t *testing.T) {
			t.Parallel()
			f := newFrail(t, constellations["one node"])
			far := f.farPayer()
			f.Forgive("was answered 5")
			kept := 0
			eachStatement(t, f.faults[f.mint.Host], how, func(n int, arm func(), mend func() bool) {
				id := fmt.Sprint(int(how), "-", n)
				offer := far.Proven(far.PaymentOffer(id, "https://rye.example/ledger", f.currency.Book.IRI, string(f.bakery.Actor.IRI), "0.01", nil))
				before, owed := f.mint.State(), f.owes(storage.IRI(far.ID()))
				arm()
				status, _ := f.send(far, offer)
				hit := mend()
				f.mint.Restart()
				f.sound()
				changes := before.Changes(f.mint.State())
				switch got := f.owes(storage.IRI(far.ID())) - owed; {
				case got == 0 && len(changes) > 0 || got == 1 && len(changes) == 0 || got != 0 && got != 1:
					t.Errorf("she owes %d more, and there is %q", got, changes)
				case got == 0 && status == 202:
					t.Error("it was answered 202, and is not there")
				case got == 1 && hit:
					kept++
					for _, table := range []string{"activities", "deliveries", "entries", "payments", "transfers"} {
						if !strings.Contains(strings.Join(changes, "\n"), "+ "+table) {
							t.Errorf("nothing of it is in %s: %q", table, changes)
						}
					}
				}
				f.paidOnce(far, id, offer, owed)
			})
			if how == storagetest.CrashAfter && kept == 0 {
				t.Error("no payment was there after the crash: it was never in the commit")
			}
		})
	}
}

// stages are the messages of payments, and on which node they are taken in.
var stages = map[string]struct {
	at  func(f *frail) *aptest.Node // whose database fails
	run func(f *frail, p *storage.Payment, o *storage.Order, arm func(), mend func() bool)
}{
	"the Offer at the ledger": {func(f *frail) *aptest.Node { return f.mint }, func(f *frail, p *storage.Payment, o *storage.Order, arm func(), mend func() bool) {
		arm()
		f.must(f.here.DeliverDue(f.t.Context()))
		mend()
	}},
	"the Accept at the payer": {func(f *frail) *aptest.Node { return f.here }, func(f *frail, p *storage.Payment, o *storage.Order, arm func(), mend func() bool) {
		f.must(f.here.DeliverDue(f.t.Context()))
		arm()
		f.must(f.mint.DeliverDue(f.t.Context()))
		mend()
	}},
	"the Accept at the payee": {func(f *frail) *aptest.Node { return f.there }, func(f *frail, p *storage.Payment, o *storage.Order, arm func(), mend func() bool) {
		f.must(f.here.DeliverDue(f.t.Context()))
		arm()
		f.must(f.mint.DeliverDue(f.t.Context()))
		mend()
	}},
}

// TestANodeIsKilledAtEveryStepOfAPaymentOfAnOrder: whoever is gone before or after any statement with which it takes in a message, in the end the order is paid once.
func TestANodeIsKilledAtEveryStepOfAPaymentOfAnOrder(t *testing.T) {
	for name, stage := range stages {
		for _, how := range failures() {
			t.Run(name+", "+how.String(), func(t *testing.T) {
				t.Parallel()
				f := newFrail(t, constellations["each on a node of its own"])
				f.Forgive("was answered 5")
				f.sellLoaves()
				node := stage.at(f)
				eachStatement(t, f.faults[node.Host], how, func(n int, arm func(), mend func() bool) {
					o := f.acceptedOrder()
					p, err := f.here.Pay(t.Context(), f.bo, f.payFor(o))
					f.must(err)
					stage.run(f, p, o, arm, mend)
					if how == storagetest.Crash || how == storagetest.CrashAfter {
						node.Restart()
					}
					f.sound()
					f.settle()
					f.want(p, storage.PaymentCommitted, "0.05")
					for _, at := range []*aptest.Node{f.there, f.here} {
						q := f.at(at, p)
						if got, err := at.DB.OrderByAsk(t.Context(), o.AskIRI); err != nil || q == nil || got.PaymentID != q.ID || len(q.Receipt) == 0 {
							t.Errorf("at %s the order is paid by %v (%v), want %+v", at.Host, got.PaymentID, err, q)
						}
					}
					if got := f.told(f.there, f.bakery, p); len(got) != 1 || got[0] != "payment.committed" {
						t.Errorf("the payee was told %v", got)
					}
					if got := f.told(f.here, f.bo, p); len(got) != 1 || got[0] != "payment.committed" {
						t.Errorf("the payer was told %v", got)
					}
					f.must(f.mint.SetLimits(t.Context(), f.coop, f.currency, f.mints, activitypub.NewLimits{Credit: new("1000")}, "https://rye.example/decisions/1"))
				})
			})
		}
	}
}

// settle lets two hours pass, in which everything that failed is tried again.
func (f *frail) settle() {
	f.t.Helper()
	for _, minutes := range []int{2, 3, 5, 25, 60} {
		f.Sleep(time.Duration(minutes) * time.Minute)
		f.Deliver()
		for _, n := range f.nodes() {
			f.must(n.ExpireHolds(f.t.Context()))
			f.must(n.CheckPayments(f.t.Context()))
			f.must(n.CheckOrders(f.t.Context()))
		}
	}
	f.Deliver()
}

// ends of a hold, and what goes on after it, with the node on which each fails.
var holdStages = map[string]struct {
	at     func(f *frail) *aptest.Node
	run    func(f *frail, p *storage.Payment, key string, arm func(), mend func())
	state  string
	amount string
	back   int64 // that is given back in the end
}{
	"the Offer of a hold at the ledger": {mintOf, func(f *frail, p *storage.Payment, key string, arm func(), mend func()) {
		arm()
		f.must(f.here.DeliverDue(f.t.Context()))
		mend()
	}, storage.PaymentExpired, "0.05", 0},
	"the TentativeAccept at the payee": {thereOf, func(f *frail, p *storage.Payment, key string, arm func(), mend func()) {
		f.must(f.here.DeliverDue(f.t.Context()))
		arm()
		f.must(f.mint.DeliverDue(f.t.Context()))
		mend()
	}, storage.PaymentExpired, "0.05", 0},
	"the payee takes of it": {thereOf, func(f *frail, p *storage.Payment, key string, arm func(), mend func()) {
		f.Deliver()
		id := f.at(f.there, p).ID
		arm()
		_, err := f.there.TakePayment(f.t.Context(), f.bakery, id, "0.03", key)
		if mend(); err != nil {
			_, err = f.there.TakePayment(f.t.Context(), f.bakery, id, "0.03", key)
		}
		f.must(err)
	}, storage.PaymentCommitted, "0.03", 0},
	"the payee's Accept at the ledger": {mintOf, func(f *frail, p *storage.Payment, key string, arm func(), mend func()) {
		f.Deliver()
		_, err := f.there.TakePayment(f.t.Context(), f.bakery, f.at(f.there, p).ID, "0.03", key)
		f.must(err)
		arm()
		f.must(f.there.DeliverDue(f.t.Context()))
		mend()
	}, storage.PaymentCommitted, "0.03", 0},
	"the payee's Reject at the ledger": {mintOf, func(f *frail, p *storage.Payment, key string, arm func(), mend func()) {
		f.Deliver()
		_, err := f.there.ReleasePayment(f.t.Context(), f.bakery, f.at(f.there, p).ID, key)
		f.must(err)
		arm()
		f.must(f.there.DeliverDue(f.t.Context()))
		mend()
	}, storage.PaymentCancelled, "0.05", 0},
	"a hold that runs out at the ledger": {mintOf, func(f *frail, p *storage.Payment, key string, arm func(), mend func()) {
		f.Deliver()
		f.Sleep(31 * time.Minute)
		arm()
		_ = f.mint.ExpireHolds(f.t.Context())
		mend()
	}, storage.PaymentExpired, "0.05", 0},
	"the payer's Undo at the ledger, before the Offer": {mintOf, func(f *frail, p *storage.Payment, key string, arm func(), mend func()) {
		f.Away(f.here.Host, true)
		f.must(f.here.DeliverDue(f.t.Context()))
		f.Away(f.here.Host, false)
		_, err := f.here.CancelPayment(f.t.Context(), f.bo, f.at(f.here, p).ID)
		f.must(err)
		arm()
		f.must(f.here.DeliverDue(f.t.Context()))
		mend()
	}, storage.PaymentCancelled, "0.05", 0},
	"a refund at the ledger": {mintOf, func(f *frail, p *storage.Payment, key string, arm func(), mend func()) {
		f.taken(p, key)
		_, err := f.there.RefundPayment(f.t.Context(), f.bakery, f.at(f.there, p).ID, "0.02", "", key+" back")
		f.must(err)
		arm()
		f.must(f.there.DeliverDue(f.t.Context()))
		mend()
	}, storage.PaymentCommitted, "0.03", 2},
	"a refund at the payer": {hereOf, func(f *frail, p *storage.Payment, key string, arm func(), mend func()) {
		f.taken(p, key)
		_, err := f.there.RefundPayment(f.t.Context(), f.bakery, f.at(f.there, p).ID, "0.02", "", key+" back")
		f.must(err)
		f.must(f.there.DeliverDue(f.t.Context()))
		arm()
		f.must(f.mint.DeliverDue(f.t.Context()))
		mend()
	}, storage.PaymentCommitted, "0.03", 2},
	"the receipt at the payer": {hereOf, func(f *frail, p *storage.Payment, key string, arm func(), mend func()) {
		f.Deliver()
		_, err := f.there.TakePayment(f.t.Context(), f.bakery, f.at(f.there, p).ID, "0.03", key)
		f.must(err)
		f.Deliver()
		arm()
		_ = f.here.CheckPayments(f.t.Context())
		mend()
	}, storage.PaymentCommitted, "0.03", 0},
}

func mintOf(f *frail) *aptest.Node  { return f.mint }
func thereOf(f *frail) *aptest.Node { return f.there }
func hereOf(f *frail) *aptest.Node  { return f.here }

// taken brings a hold to its payee, who takes of it.
func (f *frail) taken(p *storage.Payment, key string) {
	f.t.Helper()
	f.Deliver()
	_, err := f.there.TakePayment(f.t.Context(), f.bakery, f.at(f.there, p).ID, "0.03", key)
	f.must(err)
	f.rest()
}

// TestANodeIsKilledAtEveryStepOfAHold: and of what ends it, or gives it back.
func TestANodeIsKilledAtEveryStepOfAHold(t *testing.T) {
	for name, stage := range holdStages {
		for _, how := range failures() {
			t.Run(name+", "+how.String(), func(t *testing.T) {
				t.Parallel()
				f := newFrail(t, constellations["each on a node of its own"])
				f.Forgive("was answered 5")
				node := stage.at(f)
				eachStatement(t, f.faults[node.Host], how, func(n int, arm func(), mend func() bool) {
					owed := f.owes(f.bo.Actor.IRI)
					o := f.order("0.05")
					o.Hold = 30 * time.Minute
					p, err := f.here.Pay(t.Context(), f.bo, o)
					f.must(err)
					stage.run(f, p, fmt.Sprint("key ", n), arm, func() {
						mend()
						if how == storagetest.Crash || how == storagetest.CrashAfter {
							node.Restart()
						}
					})
					f.sound()
					f.settle()
					f.want(p, stage.state, stage.amount)
					f.agree()
					want := -stage.back
					if stage.state == storage.PaymentCommitted {
						want += 3
					}
					if got := f.owes(f.bo.Actor.IRI) - owed; got != want {
						t.Errorf("she owes %d more, want %d", got, want)
					}
				})
			})
		}
	}
}

// sellLoaves puts up loaves that are sold without a question.
func (f *frail) sellLoaves() {
	f.t.Helper()
	ctx := f.t.Context()
	if f.here != f.there {
		_, err := f.here.Follow(ctx, f.bo, string(f.bakery.Actor.IRI))
		f.must(err)
		f.Deliver()
	}
	var err error
	f.loaf, err = f.there.PublishOffer(ctx, f.bakery, activitypub.OfferDraft{Title: "Loaf", Price: "0.05", Currency: f.currency.Book.IRI, Quantity: "100000", AutoAccept: true})
	f.must(err)
	f.Deliver()
}

// acceptedOrder is one of bo's that is to be paid.
func (f *frail) acceptedOrder() *storage.Order {
	f.t.Helper()
	loaf, err := f.here.DB.OfferByIRI(f.t.Context(), f.loaf.IRI)
	f.must(err)
	o, err := f.here.PlaceOrder(f.t.Context(), f.bo, activitypub.OrderDraft{Offer: loaf, Quantity: "1"})
	f.must(err)
	f.Deliver()
	o, err = f.here.DB.OrderByID(f.t.Context(), o.ID)
	f.must(err)
	if o.State != storage.OrderAccepted {
		f.t.Fatalf("the order is %s", o.State)
	}
	return o
}

// payFor is the payment of an order.
func (f *frail) payFor(o *storage.Order) activitypub.PayOrder {
	f.t.Helper()
	p := f.order("0.05")
	p.Order = o
	return p
}

// An order is paid when the ledger says so, on both sides; and it is to be paid again when all of it was given back.
func TestAnOrderIsPaidAndGivenBackInEveryConstellation(t *testing.T) {
	for name, hosts := range constellations {
		t.Run(name, func(t *testing.T) {
			f := newFrail(t, hosts)
			f.sellLoaves()
			o := f.acceptedOrder()
			paid := func(want bool) {
				t.Helper()
				f.agree()
				for _, n := range []*aptest.Node{f.there, f.here} {
					if got, err := n.DB.OrderByAsk(t.Context(), o.AskIRI); err != nil || (got.PaymentID != 0) != want {
						t.Errorf("at %s the order is paid by %d (%v), want it paid: %t", n.Host, got.PaymentID, err, want)
					}
				}
			}
			p, err := f.here.Pay(t.Context(), f.bo, f.payFor(o))
			f.must(err)
			f.settle()
			f.want(p, storage.PaymentCommitted, "0.05")
			paid(true)
			if _, err := f.here.Pay(t.Context(), f.bo, f.payFor(o)); err == nil {
				t.Error("it can be paid twice")
			}
			for _, part := range []string{"0.02", ""} {
				paid(true)
				_, err = f.there.RefundPayment(t.Context(), f.bakery, f.at(f.there, p).ID, part, "", "")
				f.must(err)
				f.settle()
			}
			paid(false)
			f.balances("0.00", "0.00")
		})
	}
}
