package storage_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
)

// till is a book on a database whose writer can be held: what is queued meanwhile is one batch.
type till struct {
	*books
	bakery *bakery
}

func newTill(t testing.TB, db *storage.DB) *till {
	t.Helper()
	b := newBooks(t, db, ledger.Mutual, people...)
	return &till{b, newBakery(t, db)}
}

// ended is what became of a submission.
type ended func() (ledger.Result, error)

// queue submits, and returns when it stands in the queue. The writer is held meanwhile.
func (l *till) queue(ctx context.Context, s storage.Submission) ended {
	l.t.Helper()
	n := l.Waiting()
	var r ledger.Result
	var err error
	done := make(chan bool)
	go func() {
		r, err = l.Pay(ctx, s)
		close(done)
	}()
	for l.Waiting() == n {
		runtime.Gosched()
	}
	return func() (ledger.Result, error) { <-done; return r, err }
}

// one is a payment of 1 from Ana to Bo.
func (l *till) one(id string) storage.Submission {
	return storage.Submission{Currency: l.c.Book.ID, Group: ledger.Group{l.pay(id, "ana", "bo", 1)}}
}

func (l *till) wantPaid(e ended) {
	l.t.Helper()
	if r, err := e(); err != nil || r.Code != ledger.OKCreated {
		l.t.Errorf("got %s, %v; want it paid", r.Code, err)
	}
}

// wantStanding says whose payments are in the book, exactly once, and that the book is sound.
func (l *till) wantStanding(paid int, ids ...string) {
	l.t.Helper()
	if v := l.verify(); v.Transfers != paid {
		l.t.Errorf("%d payments stand in the book, want %d", v.Transfers, paid)
	}
	for _, id := range ids {
		if _, _, err := l.Transfer(l.t.(*testing.T).Context(), ledger.NewID("pay", id)); err != nil {
			l.t.Errorf("%s: %v", id, err)
		}
	}
}

func TestABatchOfPaymentsAndOthersIsOneCommit(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		l, ctx := newTill(t, db), t.Context()
		release, before := l.bakery.hold(), db.Commits()
		var paid []ended
		var baked []func() error
		names := []string{"held"}
		for i := range 40 {
			paid = append(paid, l.queue(ctx, l.one(fmt.Sprint(i))))
			name := fmt.Sprint("loaf ", i)
			names = append(names, name)
			baked = append(baked, l.bakery.queueLoaf(name))
		}
		burnt := l.bakery.queue(ctx, func(tx *storage.DB) error { // it asks the ledger itself, and fails after that
			rs, err := tx.Ledger(ctx, ledger.Group{l.pay("burnt", "ana", "bo", 1)})
			l.must(err)
			l.must(rs[0].Err())
			return errBurnt
		})
		inside := l.bakery.queue(ctx, func(tx *storage.DB) error {
			rs, err := tx.Ledger(ctx, ledger.Group{l.pay("inside", "ana", "bo", 1)})
			l.must(err)
			return rs[0].Err()
		})
		l.must(release())
		for i := range paid {
			l.wantPaid(paid[i])
			l.must(baked[i]())
		}
		l.must(inside())
		if err := burnt(); err != errBurnt {
			t.Errorf("got %v, want the error as it was returned", err)
		}
		if n := db.Commits() - before; n != 1 {
			t.Errorf("%d commits, want 1", n)
		}
		l.bakery.want(names...)
		l.wantStanding(41, "0", "39", "inside")
	})
}

func TestACallerWhoGivesUpOnAPayment(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		l := newTill(t, db)
		release := l.bakery.hold()
		waits, stopWaiting := context.WithCancel(t.Context())
		late, stopLate := context.WithCancel(t.Context())
		first := l.queue(t.Context(), l.one("first"))
		gone := l.queue(waits, l.one("gone"))
		s := l.one("too late to stop")
		s.Check = func(*storage.DB) error { stopLate(); return nil }
		tooLate := l.queue(late, s)
		last := l.queue(t.Context(), l.one("last"))
		stopWaiting()
		if _, err := gone(); err != context.Canceled { // while the writer is still held
			t.Errorf("got %v, want context.Canceled", err)
		}
		l.must(release())
		l.wantPaid(first)
		l.wantPaid(tooLate) // its turn had come: the answer is what happened
		l.wantPaid(last)
		if _, err := db.Pay(late, l.one("never")); err != context.Canceled {
			t.Errorf("a context that had ended before: %v", err)
		}
		l.wantStanding(3, "first", "too late to stop", "last")
	})
}

func TestACheckThatRefusesStopsItsOwnPaymentAlone(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		l, ctx := newTill(t, db), t.Context()
		for name, check := range map[string]func(tx *storage.DB) error{
			"refuses":              func(*storage.DB) error { return errBurnt },
			"breaks in a database": func(tx *storage.DB) error { return tx.Q(ctx).Exec("SELECT nothing FROM nowhere").Error },
			"panics":               func(*storage.DB) error { panic("the scales") },
		} {
			release := l.bakery.hold()
			first := l.queue(ctx, l.one(name+" first"))
			s := l.one(name)
			s.Check = check
			refused := l.queue(ctx, s)
			last := l.queue(ctx, l.one(name+" last"))
			l.must(release())
			l.wantPaid(first)
			l.wantPaid(last)
			if _, err := refused(); err == nil || name == "refuses" && err != errBurnt {
				t.Errorf("%s: got %v", name, err)
			}
			l.must(db.Exec(ctx, "DELETE FROM loafs"))
		}
		l.wantStanding(6)
	})
}

func TestRowsThatCannotBeStoredStopTheirOwnPaymentAlone(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		l, ctx := newTill(t, db), t.Context()
		for name, rows := range map[string]func(ledger.Result) storage.Rows{
			"panics": func(ledger.Result) storage.Rows { panic("the printer") },
			"a delivery of nothing": func(ledger.Result) storage.Rows {
				return storage.Rows{Deliveries: []*storage.Delivery{{ActivityID: 4711, Inbox: "https://oak.example/inbox", Host: "oak.example", ActorID: l.c.ActorID}}}
			},
		} {
			release := l.bakery.hold()
			first := l.queue(ctx, l.one(name+" first"))
			s := l.one(name)
			s.Rows = rows
			refused := l.queue(ctx, s)
			last := l.queue(ctx, l.one(name+" last"))
			l.must(release())
			l.wantPaid(first)
			l.wantPaid(last)
			if _, err := refused(); err == nil {
				t.Errorf("%s: no error", name)
			}
			l.must(db.Exec(ctx, "DELETE FROM loafs"))
		}
		l.wantStanding(4)
	})
}

// What a database does not take as text is refused by it, and concerns nobody else. (SQLite takes it.)
func TestF56AMemoThatTheDatabaseRefuses(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		l, ctx := newTill(t, db), t.Context()
		release := l.bakery.hold()
		memo := func(id, words string) ended {
			s := l.one(id)
			s.Rows = func(ledger.Result) storage.Rows {
				return storage.Rows{Payments: []*storage.Payment{{IRI: storage.IRI("https://coop.example/activities/" + id), UID: make([]byte, 16), CurrencyID: l.c.ID, Memo: words}}}
			}
			return l.queue(ctx, s)
		}
		first, bad, last := memo("first", "\u202eolleh 👩‍🌾"), memo("bad", "bread\x00\xff"), memo("last", strings.Repeat("é", 500))
		l.must(release())
		l.wantPaid(first)
		l.wantPaid(last)
		paid := 2
		if _, err := bad(); err == nil {
			paid++
		} else if db.Dialect() == "sqlite" {
			t.Error(err)
		}
		l.wantStanding(paid, "first", "last")
		for id, want := range map[string]string{"first": "\u202eolleh 👩‍🌾", "last": strings.Repeat("é", 500)} {
			if p, err := db.PaymentByIRI(ctx, storage.IRI("https://coop.example/activities/"+id)); err != nil || p.Memo != want {
				t.Errorf("%s: %+v, %v", id, p, err)
			}
		}
		// In the ledger itself no text has more than one line, or more bytes than MaxText.
		for _, ref := range []string{"https://coop.example/users/a\nb", "https://coop.example/\x00", "https://coop.example/" + strings.Repeat("a", ledger.MaxText), "\xff", ""} {
			rs, err := db.Ledger(ctx, ledger.Group{l.c.Book.NewAccount(ref, ledger.Member)})
			if l.must(err); rs[0].Code != ledger.Malformed {
				t.Errorf("an account of %q: %s", ref, rs[0].Code)
			}
		}
	})
}

func TestABatchWithAFrozenCurrency(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		l, ctx := newTill(t, db), t.Context()
		hours := l.second()
		l.must(db.Freeze(ctx, hours.c.ID, "the bakery wants to look at it"))
		release := l.bakery.hold()
		first := l.queue(ctx, l.one("first"))
		frozen := l.queue(ctx, storage.Submission{Currency: hours.c.Book.ID, Group: ledger.Group{hours.pay("frozen", "eve", "fay", 1)}})
		s := l.one("both") // in the name of one currency, and it names the other
		s.Group = append(s.Group, hours.pay("frozen too", "eve", "fay", 1))
		both := l.queue(ctx, s)
		loaf := l.bakery.queueLoaf("rye")
		last := l.queue(ctx, l.one("last"))
		l.must(release())
		l.wantPaid(first)
		l.wantPaid(last)
		l.must(loaf())
		for _, e := range []ended{frozen, both} {
			if _, err := e(); !errors.Is(err, storage.ErrFrozen) || !strings.Contains(err.Error(), "the bakery wants to look at it") {
				t.Errorf("got %v, want ErrFrozen and why", err)
			}
		}
		l.wantStanding(2, "first", "last")
		l.must(db.Thaw(ctx, hours.c.ID))
		if r, err := db.Pay(ctx, s); err != nil || r.Code != ledger.OKCreated {
			t.Errorf("after it: %s, %v", r.Code, err)
		}
	})
}

func TestPaymentsBeyondTheQueueAreTold(t *testing.T) {
	l := newTill(t, storagetest.New(t))
	release := l.bakery.hold()
	var paid []ended
	for i := range storage.MaxQueue {
		paid = append(paid, l.queue(t.Context(), l.one(fmt.Sprint(i))))
	}
	before := l.Commits()
	if _, err := l.Pay(t.Context(), l.one("too many")); err != storage.ErrBusy {
		t.Errorf("got %v, want ErrBusy", err)
	}
	l.must(release())
	for _, e := range paid {
		l.wantPaid(e)
	}
	if n := l.Commits() - before; n != 1 {
		t.Errorf("%d payments took %d commits", len(paid), n)
	}
	r, err := l.Pay(t.Context(), l.one("too many"))
	if l.must(err); r.Code != ledger.OKCreated {
		t.Error(r.Code)
	}
	l.wantStanding(storage.MaxQueue + 1)
}

// Payments, transactions and failures of every kind at once: what was acknowledged stands exactly once, and nothing else.
func TestWhateverIsAcknowledgedStandsOnce(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		l := newTill(t, db)
		var mu sync.Mutex
		acknowledged, paid := []string{}, map[string]bool{}
		var wg sync.WaitGroup
		for w := range 16 {
			rng := rand.New(rand.NewPCG(3, uint64(w)))
			wg.Go(func() {
				for n := range 25 {
					id := fmt.Sprintf("%d-%d", w, n)
					ctx, cancel := context.WithCancel(t.Context())
					s := l.one(id)
					switch rng.IntN(8) {
					case 0:
						s.Check = func(*storage.DB) error { return errBurnt }
					case 1:
						s.Rows = func(ledger.Result) storage.Rows { panic("the printer") }
					case 2:
						time.AfterFunc(time.Duration(rng.IntN(3000))*time.Microsecond, cancel)
					case 3:
						s.Currency = ledger.ID{9} // a batch of its own
					}
					var r ledger.Result
					var err error
					if rng.IntN(5) == 0 {
						fails := rng.IntN(2) == 0
						err = db.Transaction(ctx, func(tx *storage.DB) error {
							rs, err := tx.Ledger(ctx, s.Group)
							if err != nil {
								return err
							}
							if r = rs[0]; fails {
								return errBurnt
							}
							return bake(ctx, tx, id)
						})
					} else {
						r, err = db.Pay(ctx, s)
					}
					cancel()
					if err == nil && r.Code == ledger.OKCreated {
						mu.Lock()
						acknowledged = append(acknowledged, id)
						paid[id] = true
						mu.Unlock()
					} else if err == nil {
						t.Errorf("%s: %s", id, r.Code)
					}
				}
			})
		}
		wg.Wait()
		if len(acknowledged) < 100 {
			t.Errorf("only %d were acknowledged", len(acknowledged))
		}
		l.wantStanding(len(acknowledged), acknowledged...)
		if got := l.balance("bo"); got != int64(len(acknowledged)) {
			t.Errorf("Bo has %d, want %d", got, len(acknowledged))
		}
	})
}

// A batch that is given up runs again one by one: then a new currency comes anew as well.
func TestANewCurrencyBesideOneThatGivesTheBatchUp(t *testing.T) {
	l := newTill(t, storagetest.New(t))
	ctx := t.Context()
	iri := "https://coop.example/currencies/rye"
	c := &storage.Currency{ActorID: l.c.ActorID, Name: "Rye", Book: ledger.Currency{IRI: iri, Code: "RYE", Kind: ledger.Issued, Rules: ledger.Preset(ledger.Issued, 0)}}
	u := c.Book
	u.ID = ledger.NewID("currency", iri)
	release := l.bakery.hold()
	n := l.Waiting()
	made := make(chan error)
	go func() {
		made <- l.CreateCurrency(ctx, c, ledger.Group{u.NewAccount("https://coop.example/users/mill", ledger.Issuer)})
	}()
	for l.Waiting() == n {
		runtime.Gosched()
	}
	spoilt := l.bakery.queue(ctx, func(tx *storage.DB) error {
		return tx.Q(ctx).Exec("ROLLBACK").Error
	})
	l.must(release())
	l.must(<-made)
	if err := spoilt(); err == nil {
		t.Error("no error")
	}
	got, err := l.CurrencyByCode(ctx, "RYE")
	l.must(err)
	if v, err := l.Verify(ctx, got); err != nil || v.Entries != 2 || got.Book != c.Book {
		t.Errorf("%+v, %v; the caller has %+v, the node %+v", v, err, c.Book, got.Book)
	}
}

// The ledger does not know owners. Who has an account already cannot be given, or open, another one under another id.
func TestAnOwnerHasOneAccountInACurrency(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		l, ctx := newTill(t, db), t.Context()
		rebind := ledger.Rebind{ID: ledger.NewID("rebind"), Account: l.account("ana"), NewRef: "https://coop.example/users/bo", Decision: "https://coop.example/decisions/1"}
		release := l.bakery.hold()
		first := l.queue(ctx, l.one("first"))
		s := l.one("")
		s.Group = ledger.Group{rebind}
		taken := l.queue(ctx, s)
		last := l.queue(ctx, l.one("last"))
		l.must(release())
		l.wantPaid(first)
		l.wantPaid(last)
		if _, err := taken(); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("got %v, want ErrConflict", err)
		}
		l.wantStanding(2)
	})
}

func TestVerifyAndTheCheckAtStartBesidePayments(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		l := newTill(t, db)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if _, err := db.Pay(ctx, l.one(fmt.Sprint(w, "-", n))); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		for range 12 {
			l.verify()
			if found, err := db.CheckBooks(t.Context()); err != nil || len(found) > 0 {
				t.Errorf("%v, %v", found, err)
			}
		}
		stop()
		wg.Wait()
		l.verify()
	})
}
