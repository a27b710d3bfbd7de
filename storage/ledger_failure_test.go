package storage_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-sqlite3"

	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
	"planet/storage/storagetest"
)

// The tests are named after the cases of docs/ledger.md.

// reopen opens the database of b once more, as a node that starts again or a second copy of it does.
func (b *books) reopen() *books {
	b.t.Helper()
	db, err := storage.Open(context.Background(), storage.Config{DSN: b.DSN()})
	b.must(err)
	b.t.Cleanup(func() { _ = db.Close() })
	db.Now = b.Now
	return &books{DB: db, t: b.t, c: b.c}
}

// submit pays alone.
func (b *books) submit(g ...ledger.Command) (ledger.Result, error) {
	return b.Pay(context.Background(), storage.Submission{Currency: b.c.Book.ID, Group: g})
}

func (b *books) want(code ledger.ResultCode, g ...ledger.Command) ledger.Result {
	b.t.Helper()
	r, err := b.submit(g...)
	if err != nil || r.Code != code {
		b.t.Errorf("got %s, %v; want %s", r.Code, err, code)
	}
	return r
}

func TestF01AReplayGetsTheSameAnswerForEver(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, people...)
		loaf, much := b.pay("loaf", "ana", "bo", 450), b.pay("much", "ana", "bo", 1_000_001)
		first := b.want(ledger.OKCreated, loaf)
		b.want(ledger.ExceedsFloor, much)
		b.want(ledger.OKCreated, b.pay("back", "bo", "ana", 450)) // by now it could be paid
		for _, again := range []*books{b, b.reopen()} {
			for range 3 {
				if r := again.want(ledger.OKExists, loaf); r.Seq != first.Seq || r.At != first.At {
					t.Errorf("got %+v, want the entry of %+v", r, first)
				}
				if r := again.want(ledger.IDAlreadyFailed, much); r.Cause != ledger.ExceedsFloor {
					t.Errorf("got %+v, want the first cause", r)
				}
			}
		}
		if v := b.verify(); v.Transfers != 2 || v.Failures != 1 {
			t.Errorf("got %+v", v)
		}
	})
}

// The original stays. What is kept of the second body is what Rows stores: the activity under its own digest, beside the first; without a digest
// an activity of the same id and actor is one that was seen before, and is dropped.
func TestF02ASecondBodyUnderOneIDIsRefusedAndKept(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b, ctx := newBooks(t, db, ledger.Mutual, people...), t.Context()
		iri := storage.IRI("https://coop.example/activities/1")
		send := func(p ledger.Pay, body string) ledger.Result {
			r, err := db.Pay(ctx, storage.Submission{Currency: b.c.Book.ID, Group: ledger.Group{p}, Rows: func(r ledger.Result) storage.Rows {
				a := &storage.Activity{IRI: iri, ActorIRI: "https://coop.example/users/ana", Type: "Offer", Local: true, Raw: []byte(body)}
				if r.Code == ledger.ExistsWithDifferent {
					a.Digest = fmt.Sprintf("%x", ledger.DigestOf(p))
					return storage.Rows{Activities: []*storage.Activity{a}}
				}
				return storage.Rows{Activities: []*storage.Activity{a}, Payments: []*storage.Payment{{IRI: iri, UID: p.ID[:], CurrencyID: b.c.ID, Amount: p.Amount, State: storage.PaymentCommitted}}}
			}})
			b.must(err)
			return r
		}
		loaf := b.pay("loaf", "ana", "bo", 450)
		send(loaf, "four fifty")
		other := loaf
		other.Amount = 4500
		for range 2 {
			if r := send(other, "forty-five"); r.Code != ledger.ExistsWithDifferent {
				t.Errorf("got %s", r.Code)
			}
		}
		if got, _, err := db.Transfer(ctx, loaf.ID); err != nil || got.Amount != 450 || got.Digest != ledger.DigestOf(loaf) {
			t.Errorf("the original is %+v, %v", got, err)
		}
		if p, err := db.PaymentByIRI(ctx, iri); err != nil || p.Amount != 450 {
			t.Errorf("the payment is %+v, %v", p, err)
		}
		var bodies []string
		b.must(db.Q(ctx).Raw("SELECT raw FROM activities WHERE iri = ? ORDER BY id", iri).Scan(&bodies).Error)
		if diff := cmp.Diff([]string{"four fifty", "forty-five"}, bodies); diff != "" {
			t.Errorf("bodies (-want +got):\n%s", diff)
		}
		b.verify()
	})
}

func TestF04PaymentsThatRaceForOneBalance(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, people...)
		b.want(ledger.OKCreated, ledger.SetLimits{ID: ledger.NewID("limits"), Account: b.account("ana"), Floor: ledger.At(-55), Decision: "https://coop.example/decisions/1"})
		var mu sync.Mutex
		codes := map[ledger.ResultCode]int{}
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				p := b.pay(fmt.Sprint(i), "ana", "bo", 10)
				if p.Pending = i%2 == 0; p.Pending {
					p.Timeout = time.Hour
				}
				r, err := b.submit(p)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				codes[r.Code]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if diff := cmp.Diff(map[ledger.ResultCode]int{ledger.OKCreated: 5, ledger.ExceedsFloor: 35}, codes); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		b.verify()
	})
}

// shifted is a time as a clock shows it that somebody has set by d: the wall clock moves, the time that passes does not.
func shifted(now time.Time, d time.Duration) time.Time {
	t := now.Add(d)
	(*struct {
		wall uint64
		ext  int64 // monotonic reading
	})(unsafe.Pointer(&t)).ext -= int64(d)
	return t
}

func TestF12TheClockGoesBack(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		var by time.Duration
		db.Now = func() time.Time { return shifted(time.Now(), by) }
		b := newBooks(t, db, ledger.Mutual, people...)
		last := b.want(ledger.OKCreated, b.pay("1", "ana", "bo", 1))
		by = -4 * time.Minute
		if r := b.want(ledger.OKCreated, b.pay("2", "ana", "bo", 1)); r.At != last.At+1 {
			t.Errorf("four minutes back: at %d, want the nanosecond after %d", r.At, last.At)
		}
		for _, by = range []time.Duration{-6 * time.Minute, -24 * time.Hour} {
			if _, err := b.submit(b.pay("3", "ana", "bo", 1)); !errors.Is(err, storage.ErrClock) || !strings.Contains(err.Error(), "set the clock right") {
				t.Errorf("%s back: %v, want ErrClock", by, err)
			}
			if _, err := db.Ledger(t.Context(), ledger.Group{b.pay("3", "ana", "bo", 1)}); !errors.Is(err, storage.ErrClock) {
				t.Errorf("%s back, in a transaction: %v, want ErrClock", by, err)
			}
		}
		by = 0 // set right again: that is no leap ahead
		b.want(ledger.OKCreated, b.pay("3", "ana", "bo", 1))
		b.verify()
	})
}

func TestF13TheClockLeapsAhead(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		var by time.Duration
		db.Now = func() time.Time { return shifted(time.Now(), by) }
		b := newBooks(t, db, ledger.Mutual, people...)
		hold := b.pay("hold", "ana", "bo", 1)
		hold.Pending, hold.Timeout = true, 10*time.Minute
		b.want(ledger.OKCreated, hold)
		by = 4 * time.Minute
		b.want(ledger.OKCreated, b.pay("1", "ana", "bo", 1))
		by = time.Hour
		for range 2 {
			if _, err := b.submit(b.pay("2", "ana", "bo", 1)); !errors.Is(err, storage.ErrClock) || !strings.Contains(err.Error(), "start the node again") {
				t.Errorf("an hour ahead: %v, want ErrClock", err)
			}
		}
		if got, _, err := db.Transfer(t.Context(), hold.ID); err != nil || got.State != ledger.Pending {
			t.Errorf("the hold is %s, %v; want it untouched", got.State, err)
		}
		again := b.reopen() // the operator says that the clock is right
		again.want(ledger.OKCreated, b.pay("2", "ana", "bo", 1))
		if got, _, err := db.Transfer(t.Context(), hold.ID); err != nil || got.State != ledger.Expired {
			t.Errorf("the hold is %s, %v; want it expired", got.State, err)
		}
		b.verify()
	})
}

// lost runs a batch of payments whose connection is lost at COMMIT, before it reached the database or after it.
func lost(t *testing.T, db *storage.DB, after bool) (b *books, ids []string) {
	t.Helper()
	l := newTill(t, db)
	var acts []ended
	release := l.bakery.hold()
	for i := range 30 {
		id := fmt.Sprint(i)
		ids = append(ids, id)
		acts = append(acts, l.queue(t.Context(), l.withRows(id)))
	}
	runs := 0
	db.OnCommit(func(commit func() error) error {
		if runs++; after {
			l.must(commit())
		}
		return driver.ErrBadConn
	})
	if err := release(); !errors.Is(err, storage.ErrUnknown) {
		t.Errorf("a transaction beside them: %v, want ErrUnknown", err)
	}
	for _, e := range acts {
		if _, err := e(); !errors.Is(err, storage.ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown", err)
		}
	}
	if runs != 1 {
		t.Errorf("COMMIT was tried %d times", runs)
	}
	db.OnCommit(nil)
	return l.books, ids
}

// withRows is a payment with its activity, its row and a delivery.
func (b *books) withRows(id string) storage.Submission {
	iri, p := storage.IRI("https://coop.example/activities/"+id), b.pay(id, "ana", "bo", 1)
	return storage.Submission{Currency: b.c.Book.ID, Group: ledger.Group{p}, Rows: func(r ledger.Result) storage.Rows {
		if r.Code != ledger.OKCreated {
			return storage.Rows{}
		}
		a := &storage.Activity{ID: b.NewID(), IRI: iri, ActorIRI: "https://coop.example/users/ana", Type: "Offer", Local: true, Raw: []byte("{}")}
		return storage.Rows{Activities: []*storage.Activity{a}, Payments: []*storage.Payment{{IRI: iri, UID: p.ID[:], CurrencyID: b.c.ID, Amount: 1}},
			Deliveries: []*storage.Delivery{{ActivityID: a.ID, Inbox: "https://oak.example/inbox", Host: "oak.example", ActorID: b.c.ActorID}}}
	}}
}

// wantAgain asks for all ids again, and counts what is there in the end: of everything one.
func (b *books) wantAgain(ids []string, code ledger.ResultCode) {
	b.t.Helper()
	for range 2 {
		for _, id := range ids {
			r, err := b.Pay(context.Background(), b.withRows(id))
			if err != nil || r.Code != code {
				b.t.Errorf("%s again: %s, %v; want %s", id, r.Code, err, code)
			}
		}
		code = ledger.OKExists
	}
	if v := b.verify(); v.Transfers != len(ids) {
		b.t.Errorf("%d transfers, want %d", v.Transfers, len(ids))
	}
	rows := storagetest.Rows(b.t, b.DB)
	for _, table := range []string{"payments", "activities", "deliveries"} {
		if got := len(rows[table]); got != len(ids) {
			b.t.Errorf("%d rows of %s, want %d", got, table, len(ids))
		}
	}
}

func TestF15CrashBeforeCommit(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b, ids := lost(t, db, false)
		if v := b.verify(); v.Transfers != 0 {
			t.Errorf("%d payments happened", v.Transfers)
		}
		b.wantAgain(ids, ledger.OKCreated)
	})
}

func TestF16CrashAfterCommit(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b, ids := lost(t, db, true)
		if v := b.verify(); v.Transfers != len(ids) {
			t.Errorf("%d payments happened", v.Transfers)
		}
		b.wantAgain(ids, ledger.OKExists)
	})
}

// The file and its write-ahead log are what a crash leaves of them, cut at any byte. What is there after that is the book as it was after some
// commit: sound, and nothing by half. That it is shorter than it was, only others can tell who hold a checkpoint of it (F22).
func TestF17ATornWriteAheadLog(t *testing.T) {
	b := newBooks(t, storagetest.New(t), ledger.Mutual, people...)
	b.must(b.Exec(t.Context(), "UPDATE actors SET name = 'folded'"))
	ids := []string{}
	for i := range 40 {
		ids = append(ids, fmt.Sprint(i))
		_, err := b.Pay(t.Context(), b.withRows(ids[i]))
		b.must(err)
	}
	file, err := os.ReadFile(b.DSN())
	b.must(err)
	wal, err := os.ReadFile(b.DSN() + "-wal")
	b.must(err)
	rng, seen := rand.New(rand.NewPCG(17, 17)), map[int]bool{}
	for range 25 {
		path := filepath.Join(t.TempDir(), "planet.db")
		cut := bytes.Clone(wal[:rng.IntN(len(wal)+1)])
		if rng.IntN(2) == 0 && len(cut) > 100 { // or its last sector was never written
			clear(cut[len(cut)-100:])
		}
		b.must(os.WriteFile(path, file, 0o600))
		b.must(os.WriteFile(path+"-wal", cut, 0o600))
		db, err := storage.Open(t.Context(), storage.Config{DSN: path})
		b.must(err)
		c, err := db.CurrencyByCode(t.Context(), "GRN")
		if err != nil { // cut before the currency: the template alone
			b.must(db.Close())
			continue
		}
		torn := &books{DB: db, t: t, c: c}
		n := torn.verify().Transfers
		seen[n] = true
		for i, id := range ids {
			_, _, terr := db.Transfer(t.Context(), ledger.NewID("pay", id))
			_, perr := db.PaymentByIRI(t.Context(), storage.IRI("https://coop.example/activities/"+id))
			if (terr == nil) != (i < n) || (perr == nil) != (i < n) {
				t.Errorf("of %d payments that are there, %d: transfer %v, payment %v", n, i, terr, perr)
			}
		}
		if found, err := db.CheckBooks(t.Context()); err != nil || len(found) > 0 {
			t.Errorf("%v, %v", found, err)
		}
		b.must(db.Close())
	}
	if len(seen) < 10 {
		t.Errorf("the cuts left only books of %v payments", seen)
	}
}

// A byte of the file rots, anywhere. Whoever looks sees it, or nothing that the node keeps has changed.
func TestF18ARottenByteIsSeen(t *testing.T) {
	b := busy(t, storagetest.New(t))
	b.must(b.Exec(t.Context(), "UPDATE actors SET name = 'folded'"))
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.db")
	b.must(b.Snapshot(t.Context(), whole))
	file, err := os.ReadFile(whole)
	b.must(err)
	look := func(path string) (string, error) {
		db, err := storage.Open(t.Context(), storage.Config{DSN: path})
		if err != nil {
			return "", err
		}
		defer func() { _ = db.Close() }()
		if err := db.Check(t.Context()); err != nil {
			return "", err
		}
		c, err := db.CurrencyByCode(t.Context(), "GRN")
		if err != nil {
			return "", err
		}
		v, err := db.Verify(t.Context(), c)
		return fmt.Sprint(v), err
	}
	want, err := look(whole)
	b.must(err)
	leaves := rebuild(t, b.DB, b.fresh())
	rng, seen := rand.New(rand.NewPCG(18, 18)), 0
	for i := range 40 {
		at := rng.IntN(len(file))
		if i%2 == 0 { // within an entry, for sure
			leaf := leaves[rng.IntN(len(leaves))]
			if bytes.Count(file, leaf) != 1 {
				continue // it lies on two pages, or a page still has a copy that moved on
			}
			at = bytes.Index(file, leaf) + rng.IntN(len(leaf))
		}
		path := filepath.Join(dir, fmt.Sprint(i, ".db"))
		rotten := bytes.Clone(file)
		rotten[at] ^= 1 << rng.IntN(8)
		b.must(os.WriteFile(path, rotten, 0o600))
		got, err := look(path)
		if err != nil {
			seen++
		} else if got != want || i%2 == 0 {
			t.Errorf("byte %d has rotted and nobody sees it:\n got %s\nwant %s", at, got, want)
		}
		b.must(os.RemoveAll(path))
	}
	if seen < 15 {
		t.Errorf("only %d rotten bytes were seen", seen)
	}
}

// fresh is the currency as it is now.
func (b *books) fresh() *storage.Currency {
	b.t.Helper()
	c, err := b.CurrencyByCode(context.Background(), b.c.Book.Code)
	b.must(err)
	return c
}

func TestF19AFailingFsyncEndsAllWriting(t *testing.T) {
	l := newTill(t, storagetest.New(t))
	l.want(ledger.OKCreated, l.pay("before", "ana", "bo", 1))
	commits := 0
	release := l.bakery.hold()
	first, second := l.queue(t.Context(), l.one("first")), l.queue(t.Context(), l.one("second"))
	l.OnCommit(func(commit func() error) error {
		commits++
		return sqlite3.Error{Code: sqlite3.ErrIoErr, ExtendedCode: sqlite3.ErrIoErrFsync}
	})
	watched := make(chan error, 1)
	go func() { watched <- l.Watch(t.Context()) }()
	if err := release(); !errors.Is(err, storage.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	for _, e := range []ended{first, second} {
		if _, err := e(); !errors.Is(err, storage.ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown", err)
		}
	}
	for range 2 {
		if _, err := l.Pay(t.Context(), l.one("after")); !errors.Is(err, storage.ErrBroken) || !strings.Contains(err.Error(), "start the node again") {
			t.Errorf("got %v, want ErrBroken and what to do", err)
		}
		if err := l.bakery.order(t.Context(), "rye"); !errors.Is(err, storage.ErrBroken) {
			t.Errorf("got %v, want ErrBroken", err)
		}
	}
	select {
	case err := <-watched:
		if !errors.Is(err, storage.ErrBroken) {
			t.Errorf("whoever watches is told %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("whoever watches is told nothing")
	}
	if commits != 1 {
		t.Errorf("COMMIT was tried %d times, want once", commits)
	}
	if l.balance("bo") != 1 {
		t.Error("nothing can be read any more")
	}
	again := l.reopen()
	if found, err := again.CheckBooks(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	again.want(ledger.OKCreated, l.pay("first", "ana", "bo", 1)) // nothing had been written here
	again.want(ledger.OKExists, l.pay("before", "ana", "bo", 1))
	again.verify()
}

func TestF19WatchEndsWithItsContext(t *testing.T) {
	db := storagetest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Watch(ctx); err != nil {
		t.Error(err)
	}
}

func TestF20AFullDiskRefusesBeforeItPromises(t *testing.T) {
	b := newBooks(t, storagetest.New(t), ledger.Mutual, people...)
	ctx := t.Context()
	var pages int
	b.must(b.Q(ctx).Raw("PRAGMA page_count").Scan(&pages).Error)
	b.must(b.Exec(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages+25)))
	var mu sync.Mutex
	var paid, refused []string
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 60 {
				id := fmt.Sprint(w, "-", n)
				r, err := b.Pay(ctx, b.withRows(id))
				var full sqlite3.Error
				mu.Lock()
				switch {
				case err == nil && r.Code == ledger.OKCreated:
					paid = append(paid, id)
				case errors.As(err, &full) && full.Code == sqlite3.ErrFull:
					refused = append(refused, id)
				default:
					t.Errorf("%s: %s, %v", id, r.Code, err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(paid) == 0 || len(refused) == 0 {
		t.Fatalf("%d paid, %d refused", len(paid), len(refused))
	}
	if v := b.verify(); v.Transfers != len(paid) {
		t.Errorf("%d payments stand, %d were acknowledged", v.Transfers, len(paid))
	}
	b.must(b.Exec(ctx, "PRAGMA max_page_count = 1000000")) // somebody made room
	for _, id := range refused {
		r, err := b.Pay(ctx, b.withRows(id))
		if err != nil || r.Code != ledger.OKCreated {
			t.Errorf("%s again: %s, %v", id, r.Code, err)
		}
	}
	b.wantAgain(append(paid, refused...), ledger.OKExists)
}

func TestF21WhatIsAcknowledgedIsOnTheDisk(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		pragma, want := "PRAGMA synchronous", "2" // FULL
		if db.Dialect() == "postgres" {
			pragma, want = "SHOW synchronous_commit", "on"
			var name string
			if err := db.Q(t.Context()).Raw("SELECT current_database()").Scan(&name).Error; err != nil {
				t.Fatal(err)
			}
			user := "ALTER ROLE CURRENT_USER IN DATABASE \"" + name + "\" "
			storagetest.Exec(t, db, user+"SET synchronous_commit = off")
			defer storagetest.Exec(t, db, user+"RESET synchronous_commit")
			db = (&books{DB: db, t: t}).reopen().DB
		}
		ask := func() {
			err := db.Transaction(t.Context(), func(tx *storage.DB) error {
				var got string
				if err := tx.Q(t.Context()).Raw(pragma).Scan(&got).Error; err != nil || got != want {
					t.Errorf("%s says %q, %v; want %s", pragma, got, err, want)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		ask()
		db.OnCommit(func(func() error) error { return driver.ErrBadConn }) // and so on a new connection
		_ = db.Transaction(t.Context(), func(*storage.DB) error { return nil })
		db.OnCommit(nil)
		ask()
	})
}

// A node goes on from a backup, and payments made after it are not in the copy.
func TestF22ARestoredBookGoesOnInANewEpoch(t *testing.T) {
	b := newBooks(t, storagetest.New(t), ledger.Mutual, people...)
	ctx := t.Context()
	hours := b.second()
	b.want(ledger.OKCreated, b.pay("before", "ana", "bo", 1))
	path := filepath.Join(t.TempDir(), "copy.db")
	b.must(b.Snapshot(ctx, path))
	lost := b.want(ledger.OKCreated, b.pay("after the backup", "ana", "bo", 2))
	was := b.fresh()
	key := verifierOf(t, was)
	receipt := func(b *books, seq ledger.Seq) []byte {
		t.Helper()
		file, err := b.Receipt(ctx, b.c.Book.ID, seq)
		b.must(err)
		return file
	}
	old, gone := receipt(b, 0), receipt(b, lost.Seq)

	db, err := storage.Open(ctx, storage.Config{DSN: path})
	b.must(err)
	defer db.Close()
	r, rh := &books{DB: db, t: t, c: b.c}, &books{DB: db, t: t, c: hours.c}
	made := time.Now().Add(-time.Hour)
	b.must(db.MarkRestored(ctx, made))
	frozen := func(b *books, p ledger.Pay) {
		t.Helper()
		if _, err := b.submit(p); !errors.Is(err, storage.ErrFrozen) || !strings.Contains(err.Error(), "restored from a backup") {
			t.Errorf("got %v, want ErrFrozen and why", err)
		}
	}
	frozen(r, b.pay("again", "ana", "bo", 3))
	frozen(rh, hours.pay("again", "eve", "fay", 3))
	r.verify()

	b.must(r.Resume(ctx, r.fresh(), "https://coop.example/decisions/4"))
	frozen(rh, hours.pay("again", "eve", "fay", 3)) // each by its own decision
	if _, marked, err := db.Restored(ctx); err != nil || !marked {
		t.Errorf("the mark is gone before every book goes on: %v", err)
	}
	now := r.fresh()
	second := now.Book.Epoch // a time, so that no other copy takes the same
	if second == 0 || now.Origin() != fmt.Sprintf("coop.example/currencies/grn/e%d", second+1) {
		t.Errorf("epoch %d, origin %s", now.Book.Epoch, now.Origin())
	}
	next := r.want(ledger.OKCreated, b.pay("again", "ana", "bo", 3))
	now = r.fresh()
	newKey := verifierOf(t, now)
	for what, c := range map[string]struct {
		file []byte
		key  proof.Verifier
		good bool
	}{
		"an old receipt by the old key":            {old, key, true},
		"a receipt of a lost payment":              {gone, key, true},
		"an old receipt by the new key":            {old, newKey, false},
		"a new receipt by the new key":             {receipt(r, next.Seq), newKey, true},
		"a new receipt by the old key":             {receipt(r, next.Seq), key, false},
		"a new receipt of an old entry":            {receipt(r, 0), newKey, true},
		"a new receipt of an old entry, old key":   {receipt(r, 0), key, false},
		"the receipt of the note that goes before": {receipt(r, next.Seq-1), newKey, true},
	} {
		if _, err := proof.Verify(c.file, c.key); (err == nil) != c.good {
			t.Errorf("%s: %v, want it good: %t", what, err, c.good)
		}
	}
	if next.Seq != lost.Seq+1 {
		t.Errorf("it goes on at entry %d, after the note at %d", next.Seq, lost.Seq)
	}
	// The log that is signed under the new name says with which checkpoint of the old one it began, and who decided it.
	var note ledger.Note
	b.must(db.EachEntry(ctx, now, next.Seq-1, func(e ledger.Entry, _ bool) error {
		if n, ok := e.Cmd.(ledger.Note); ok {
			note = n
		}
		return nil
	}))
	if note.Kind != ledger.NoteEpoch || !strings.Contains(string(note.Body), "decisions/4") || !strings.Contains(string(note.Body), "coop.example/currencies/grn\n6\n") {
		t.Errorf("the note says %s", note.Body)
	}
	r.verify()

	// That copy is backed up and restored in its turn: nothing may go on before it is decided again.
	b.must(db.MarkRestored(ctx, time.Now()))
	frozen(r, b.pay("third", "ana", "bo", 3))
	if got, marked, err := db.Restored(ctx); err != nil || !marked || !got.Equal(made) {
		t.Errorf("restored from %s, %t, %v; want the older time to stay", got, marked, err)
	}
	b.must(r.Resume(ctx, r.fresh(), "https://coop.example/decisions/5"))
	b.must(rh.Resume(ctx, rh.fresh(), "https://coop.example/decisions/5"))
	if _, marked, err := db.Restored(ctx); err != nil || marked {
		t.Errorf("the mark is still there: %v", err)
	}
	r.want(ledger.OKCreated, b.pay("third", "ana", "bo", 3))
	if got := r.fresh(); got.Book.Epoch <= second {
		t.Errorf("epoch %d after %d", got.Book.Epoch, second)
	}
	if found, err := db.CheckBooks(ctx); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	r.verify()
}

// Two nodes on one database, by mistake or on purpose: they take turns, and the book stays one.
func TestF23TwoNodesOnOneDatabase(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, people...)
		other := b.reopen()
		hold := func(id string) ledger.Pay {
			p := b.pay(id, "ana", "bo", 10)
			p.Pending, p.Timeout = true, time.Hour
			return p
		}
		for i := range 40 {
			b.want(ledger.OKCreated, hold(fmt.Sprint("hold ", i)))
		}
		var mu sync.Mutex
		codes := map[ledger.ResultCode]int{}
		var wg sync.WaitGroup
		for w, node := range []*books{b, other, b, other, b, other, b, other} {
			wg.Go(func() {
				for n := range 20 {
					id := fmt.Sprint(w, "-", n)
					cmd := ledger.Command(b.pay(id, "ana", "bo", 1))
					switch n % 4 {
					case 1: // it names no currency: that is known only after a look
						cmd = ledger.Post{ID: ledger.NewID("post", id), Pending: ledger.NewID("pay", fmt.Sprint("hold ", (w*5+n/4)%40)), Amount: ledger.All}
					case 2: // both nodes get the same payment
						cmd = b.pay(fmt.Sprint("same ", n), "bo", "cleo", 1)
					}
					r, err := node.submit(cmd)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					codes[r.Code]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		// 8*10 payments, 40 posts, and 5 payments that all asked for.
		if want := map[ledger.ResultCode]int{ledger.OKCreated: 80 + 40 + 5, ledger.OKExists: 35}; cmp.Diff(want, codes) != "" {
			t.Errorf("answers (-want +got):\n%s", cmp.Diff(want, codes))
		}
		if got, want := b.balance("bo"), int64(80+400-5); got != want {
			t.Errorf("Bo has %d, want %d", got, want)
		}
		b.verify()
		other.verify()
	})
}

func TestF35APaymentOpensItsAccountOrNothing(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, people...)
		pat := b.c.Book.NewAccount("https://far.example/users/pat", ledger.Member)
		pay := func(id string, amount ledger.Amount) ledger.Pay {
			return ledger.Pay{ID: ledger.NewID("pay", id), Currency: b.c.Book.ID, Debit: b.account("ana"), Credit: pat.Account, Amount: amount}
		}
		if r := b.want(ledger.CreditAccountNotFound, pay("alone", 5)); r.Index != 0 {
			t.Error(r)
		}
		if r := b.want(ledger.ExceedsFloor, pat, pay("too much", 2_000_000)); r.Index != 1 {
			t.Error(r)
		}
		if _, err := db.Account(t.Context(), b.c, "https://far.example/users/pat"); err != storage.ErrNotFound {
			t.Errorf("the account was opened without its payment: %v", err)
		}
		b.want(ledger.OKCreated, pat, pay("welcome", 5))
		b.want(ledger.OKExists, pat, pay("welcome", 5))
		b.want(ledger.OKCreated, pat, pay("once more", 6)) // the account is there already
		if a, err := db.Account(t.Context(), b.c, "https://far.example/users/pat"); err != nil || a.Balance() != 11 || a.Floor != ledger.At(-1_000_000) {
			t.Errorf("%+v, %v", a, err)
		}
		b.want(ledger.IDAlreadyFailed, pay("alone", 5))
		b.verify()
	})
}

// Whoever finds two acts with one id has fooled himself: the second is refused.
func TestF55AnIDThatWasUsedForSomethingElse(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, people...)
		hours := b.second()
		b.want(ledger.OKCreated, b.pay("1", "ana", "bo", 1))
		b.want(ledger.ExceedsFloor, b.pay("too much", "ana", "bo", 2_000_000))
		b.want(ledger.OKCreated, ledger.Abort{ID: ledger.NewID("abort"), Currency: b.c.Book.ID, Target: ledger.NewID("given up")})
		b.want(ledger.OKCreated, ledger.Abort{ID: ledger.NewID("abort 2"), Currency: b.c.Book.ID, Target: ledger.NewID("pay", "too much")})
		take := func(id ledger.ID) ledger.Command {
			p := hours.pay("", "eve", "fay", 1)
			p.ID = id
			return p
		}
		for id, want := range map[ledger.ID]ledger.ResultCode{
			ledger.NewID("pay", "1"):                        ledger.ExistsWithDifferent,
			ledger.NewID("pay", "too much"):                 ledger.ExistsWithDifferent,
			ledger.NewID("abort"):                           ledger.ExistsWithDifferent,
			ledger.NewID("given up"):                        ledger.IDAborted,
			ledger.NewID("open", b.account("ana").String()): ledger.ExistsWithDifferent,
			{}:                                       ledger.Malformed,
			ledger.ID(bytes.Repeat([]byte{255}, 16)): ledger.Malformed,
		} {
			hours.want(want, take(id))
		}
		b.verify()
		if v, err := db.Verify(t.Context(), hours.fresh()); err != nil || v.Transfers != 0 {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

func TestF69WhatBecomesZeroIsStored(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, people...)
		ana, decision := b.account("ana"), "https://coop.example/decisions/1"
		rules := b.c.Book.Rules
		rules.Ceil, rules.MaxTransfer, rules.Levy = ledger.At(5000), 77, ledger.Levy{BasisPoints: 100, Least: 1, Most: 9, To: b.account("dov")}
		hold := b.pay("hold", "ana", "bo", 50)
		hold.Pending, hold.Timeout = true, time.Hour
		b.want(ledger.OKCreated, ledger.SetRules{ID: ledger.NewID("rules"), Currency: b.c.Book.ID, Rules: rules, Decision: decision})
		b.want(ledger.OKCreated, hold)
		b.want(ledger.OKCreated, ledger.SetLimits{ID: ledger.NewID("limits"), Account: ana, Floor: ledger.At(-500), Ceil: ledger.At(9), SoftFloor: ledger.At(-5), SoftCeil: ledger.At(5), Decision: decision})
		b.want(ledger.OKCreated, ledger.SetFlags{ID: ledger.NewID("flags"), Account: ana, Flags: ledger.NoCredit, Decision: decision})
		b.want(ledger.OKCreated, ledger.Void{ID: ledger.NewID("void"), Pending: hold.ID})
		b.want(ledger.OKCreated, ledger.SetLimits{ID: ledger.NewID("limits 2"), Account: ana, Floor: ledger.At(0), Decision: decision})
		b.want(ledger.OKCreated, ledger.SetFlags{ID: ledger.NewID("flags 2"), Account: ana, Decision: decision})
		b.want(ledger.OKCreated, ledger.SetRules{ID: ledger.NewID("rules 2"), Currency: b.c.Book.ID, Decision: decision})
		b.want(ledger.OKCreated, b.pay("there", "bo", "ana", 3), b.pay("and back", "ana", "bo", 3))
		for _, row := range storagetest.Rows(t, db)["accounts"] {
			if row["ref"] != "https://coop.example/users/ana" {
				continue
			}
			for column, want := range map[string]any{"floor": int64(0), "ceil": nil, "soft_floor": nil, "soft_ceil": nil, "flags": int64(0), "debits_pending": int64(0),
				"credits_pending": int64(0), "pending_count": int64(0), "debits_posted": int64(3), "credits_posted": int64(3), "version": int64(5)} {
				if row[column] != want {
					t.Errorf("%s is %v, want %v", column, row[column], want)
				}
			}
		}
		c := b.fresh()
		if c.Book.Rules != (ledger.Rules{}) {
			t.Errorf("the rules are %+v, want them empty", c.Book.Rules)
		}
		b.verify()
	})
}

func TestF70WhoeverWasAnsweredReadsIt(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, people...)
		var wg sync.WaitGroup
		for w := range 8 {
			from := b.c.Book.NewAccount(fmt.Sprint("https://far.example/users/", w), ledger.Member)
			b.want(ledger.OKCreated, from)
			wg.Go(func() {
				for n := range 12 {
					p := b.pay(fmt.Sprint(w, "-", n), "ana", "bo", 1)
					p.Debit = from.Account
					r, err := b.submit(p)
					got, moved, terr := db.Transfer(t.Context(), p.ID)
					a, aerr := db.Account(t.Context(), b.c, storage.IRI(from.Ref))
					s, _, serr := db.Statement(t.Context(), from.Account, time.Time{}, time.Time{}, 0)
					if err := errors.Join(err, terr, aerr, serr); err != nil || got.Seq != r.Seq || moved != r.Seq || a.Balance() != int64(-n-1) || s.Closing != int64(-n-1) || len(s.Lines) != n+1 {
						t.Errorf("after the answer %+v: %v, transfer %+v, account %+v, closing %d", r, err, got, a, s.Closing)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestF71ALongStatementComesInPages(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, people...)
		var gs []ledger.Group
		for i := range 2300 {
			gs = append(gs, ledger.Group{b.pay(fmt.Sprint(i), people[i%2], people[1+i%3], ledger.Amount(1+i%7))}) // some of them Bo to Bo
		}
		_, err := db.Ledger(t.Context(), gs...)
		b.must(err)
		whole, more, err := db.Statement(t.Context(), b.account("ana"), time.Time{}, time.Time{}, 0)
		b.must(err)
		if more || len(whole.Lines) < 1000 || whole.Closing != b.balance("ana") {
			t.Fatalf("%d lines, more %t, closing %d", len(whole.Lines), more, whole.Closing)
		}
		var lines []ledger.Line
		to, closing := time.Time{}, whole.Closing
		for more = true; more; {
			var page ledger.Statement
			page, more, err = db.Statement(t.Context(), b.account("ana"), time.Time{}, to, 101)
			b.must(err)
			if len(page.Lines) == 0 || len(page.Lines) > 101 || page.Closing != closing {
				t.Fatalf("a page of %d lines that closes at %d, want %d", len(page.Lines), page.Closing, closing)
			}
			lines = append(append([]ledger.Line{}, page.Lines...), lines...)
			to, closing = time.Unix(0, int64(page.Lines[0].At)), page.Opening
		}
		if diff := cmp.Diff(whole.Lines, lines); diff != "" || closing != 0 {
			t.Errorf("the pages together (-whole +pages), opening %d:\n%s", closing, diff)
		}
		at := func(i int) time.Time { return time.Unix(0, int64(whole.Lines[i].At)) }
		for _, c := range []struct{ from, to int }{{0, 10}, {500, 501}, {500, 500}, {len(whole.Lines) - 1, len(whole.Lines) - 1}} {
			s, more, err := db.Statement(t.Context(), b.account("ana"), at(c.from), at(c.to), 0)
			b.must(err)
			opening := int64(0)
			if c.from > 0 {
				opening = whole.Lines[c.from-1].Balance
			}
			if len(s.Lines) != c.to-c.from || s.Opening != opening || more {
				t.Errorf("lines %d to %d: %d lines, opening %d, more %t; want opening %d", c.from, c.to, len(s.Lines), s.Opening, more, opening)
			}
		}
		// One page costs the memory of a page, however long the history.
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, more, err = db.Statement(t.Context(), b.account("ana"), time.Time{}, time.Time{}, 20)
		b.must(err)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 300<<10 || !more {
			t.Errorf("a page of 20 lines allocates %d bytes, more %t", n, more)
		}
	})
}

func TestF72WhatAnAdminDoesIsALeafWithItsDecision(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBooks(t, db, ledger.Mutual, people...)
		const decision = "https://coop.example/decisions/12"
		cmds := func(decision string) []ledger.Command {
			return []ledger.Command{
				ledger.SetLimits{ID: ledger.NewID("1"), Account: b.account("ana"), Floor: ledger.At(-10), Decision: decision},
				ledger.SetFlags{ID: ledger.NewID("2"), Account: b.account("ana"), Flags: ledger.NoDebit, Decision: decision},
				ledger.SetRules{ID: ledger.NewID("3"), Currency: b.c.Book.ID, Decision: decision},
				ledger.Rebind{ID: ledger.NewID("4"), Account: b.account("ana"), NewRef: "https://far.example/users/ana", Decision: decision},
			}
		}
		for _, c := range cmds("") {
			b.want(ledger.Malformed, c)
		}
		n := b.verify().Entries
		for i, c := range cmds(decision) {
			r := b.want(ledger.OKCreated, c)
			if r.Seq != ledger.Seq(n)+ledger.Seq(i) {
				t.Errorf("entry %d, want %d", r.Seq, n+int64(i))
			}
			file, err := db.Receipt(t.Context(), b.c.Book.ID, r.Seq)
			b.must(err)
			got, err := proof.Verify(file, verifierOf(t, b.c))
			b.must(err)
			e, err := ledger.ParseEntry(got.Entry())
			b.must(err)
			if diff := cmp.Diff(c, e.Cmd); diff != "" || !strings.Contains(string(got.Opening), "\ndecision "+decision+"\n") {
				t.Errorf("the receipt (-said +logged): %s\n%s", diff, got.Opening)
			}
		}
		b.verify()
	})
}

func TestF73SaltsAreNowhereElseAndErasureBreaksNothing(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		var log bytes.Buffer
		db.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		b := busy(t, db)
		c := b.fresh()
		rows := storagetest.Rows(t, db)
		var public bytes.Buffer
		for i := range (c.Book.Next + 255) / 256 {
			for level := proof.Entries; level <= 1; level++ {
				for width := 256; width > 0; width-- {
					if raw, err := db.Tile(ctx, c, proof.Tile{Level: level, Index: int64(i), Width: width}); err == nil {
						public.Write(raw)
						break
					}
				}
			}
		}
		for _, leaf := range rebuild(t, db, c) {
			public.Write(leaf)
		}
		_, _ = io.WriteString(&public, c.Checkpoint)
		public.Write(log.Bytes())
		for _, row := range rows["openings"] {
			salt := row["salt"].(string)
			for _, secret := range []string{salt, hex.EncodeToString([]byte(salt)), row["opening"].(string)} {
				if len(salt) != 32 || strings.Contains(public.String(), secret) {
					t.Fatalf("the salt or opening of entry %v is among what anybody sees", row["seq"])
				}
			}
		}
		for _, secret := range []string{"/users/ana", b.account("ana").String()} {
			if strings.Contains(public.String(), secret) {
				t.Errorf("%s is among what anybody sees", secret)
			}
		}
		if strings.Contains(fmt.Sprint(rows["entries"], rows["tiles"]), "/users/ana") {
			t.Error("an owner is in the log")
		}

		before, ana := rebuild(t, db, c), b.account("ana")
		held, err := db.Receipt(ctx, c.Book.ID, 1) // of the entry that opened her account
		b.must(err)
		paid := storage.Payment{IRI: "https://coop.example/activities/1", UID: make([]byte, 16), CurrencyID: c.ID, Payer: "https://coop.example/users/ana",
			Payee: "https://coop.example/users/bo", Amount: 5, Code: "payment", Memo: "for Ana's birthday", MemoSalt: []byte("s"), State: storage.PaymentCommitted}
		b.must(db.Transaction(ctx, func(tx *storage.DB) error { paid.ID = 0; return tx.SavePayment(ctx, &paid) }))
		b.must(db.Erase(ctx, ana))
		b.must(db.Erase(ctx, ana)) // twice is once
		v := b.verify()
		if v.Erased != 1 {
			t.Errorf("%d entries are erased, want the one that names her", v.Erased)
		}
		if found, err := db.CheckBooks(ctx); err != nil || len(found) > 0 {
			t.Errorf("%v, %v", found, err)
		}
		for i, leaf := range rebuild(t, db, c) {
			if !bytes.Equal(leaf, before[i]) {
				t.Fatalf("leaf %d changed", i)
			}
		}
		key, refused := verifierOf(t, c), 0
		for seq := ledger.Seq(0); seq < c.Book.Next; seq += 1 + seq/20 {
			file, err := db.Receipt(ctx, c.Book.ID, seq)
			if errors.Is(err, storage.ErrNotFound) {
				refused++
				continue
			}
			b.must(err)
			if _, err := proof.Verify(file, key); err != nil {
				t.Errorf("entry %d: %v", seq, err)
			}
		}
		if refused != 1 {
			t.Errorf("%d receipts cannot be made any more, want one", refused)
		}
		if _, err := proof.Verify(held, key); err != nil {
			t.Errorf("the receipt that she holds: %v", err)
		}
		rows = storagetest.Rows(t, db)
		for _, table := range append([]string{"payments"}, ledgerTables...) {
			if text := fmt.Sprint(rows[table]); strings.Contains(text, "users/ana") || strings.Contains(text, "Ana's birthday") {
				t.Errorf("she is still named in %s", table)
			}
		}
		if _, err := db.Account(ctx, c, "https://coop.example/users/ana"); err != storage.ErrNotFound {
			t.Errorf("her account by her name: %v", err)
		}
		b.want(ledger.OKCreated, b.pay("after", "bo", "ana", 1))
		b.verify()
	})
}
