package storage_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/mattn/go-sqlite3"

	"planet/storage"
	"planet/storage/storagetest"
)

// loaf is a row of these tests' own table. Its key makes it fail to be stored twice.
type loaf struct {
	Name string `gorm:"primaryKey"`
	Size int
}

// bakery is a database with a table of loaves and a way to hold the writer.
type bakery struct {
	*storage.DB
	t testing.TB
}

func newBakery(t testing.TB, db *storage.DB) *bakery {
	t.Helper()
	b := &bakery{db, t}
	b.must(db.Exec(context.Background(), "CREATE TABLE loafs (name TEXT PRIMARY KEY, size BIGINT NOT NULL)"))
	return b
}

func (b *bakery) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// bake stores a loaf in tx.
func bake(ctx context.Context, tx *storage.DB, name string) error {
	return tx.Q(ctx).Create(&loaf{Name: name}).Error
}

// order is a transaction that bakes one loaf.
func (b *bakery) order(ctx context.Context, name string) error {
	return b.Transaction(ctx, func(tx *storage.DB) error { return bake(ctx, tx, name) })
}

// hold keeps the writer busy with a transaction that bakes "held" until release is called; release returns how it ended.
func (b *bakery) hold() (release func() error) {
	b.t.Helper()
	begun, let, ended := make(chan bool, 2), make(chan bool), make(chan error, 1)
	go func() {
		ended <- b.Transaction(context.Background(), func(tx *storage.DB) error {
			begun <- true
			<-let
			return bake(context.Background(), tx, "held")
		})
	}()
	<-begun
	return sync.OnceValue(func() error { close(let); return <-ended })
}

// queue starts a transaction and returns once it stands in the queue; the function says how it ended.
func (b *bakery) queue(ctx context.Context, fn func(tx *storage.DB) error) (ended func() error) {
	b.t.Helper()
	n := b.Waiting()
	result := make(chan error, 1)
	go func() { result <- b.Transaction(ctx, fn) }()
	for b.Waiting() == n {
		runtime.Gosched()
	}
	return sync.OnceValue(func() error { return <-result })
}

// queueLoaf queues a transaction that bakes one loaf.
func (b *bakery) queueLoaf(name string) func() error {
	b.t.Helper()
	return b.queue(context.Background(), func(tx *storage.DB) error { return bake(context.Background(), tx, name) })
}

// want compares what is on the shelf.
func (b *bakery) want(names ...string) {
	b.t.Helper()
	var got []string
	b.must(b.Q(context.Background()).Model(&loaf{}).Order("name").Pluck("name", &got).Error)
	slices.Sort(got)
	slices.Sort(names)
	if diff := cmp.Diff(names, got, cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("loaves (-want +got):\n%s", diff)
	}
}

func TestTransactionsThatWaitShareOneCommit(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBakery(t, db)
		release := b.hold()
		before := db.Commits()
		names, ends := []string{"held"}, []func() error{release}
		for i := range 40 {
			name := fmt.Sprintf("loaf %02d", i)
			names, ends = append(names, name), append(ends, b.queueLoaf(name))
		}
		for _, end := range ends {
			b.must(end())
		}
		if n := db.Commits() - before; n != 1 {
			t.Errorf("41 transactions took %d commits, want 1", n)
		}
		b.want(names...)
	})
}

func TestABatchHasAnEnd(t *testing.T) {
	db := storagetest.New(t)
	db.SetBatch(4)
	b := newBakery(t, db)
	release := b.hold()
	before := db.Commits()
	ends := []func() error{release}
	for i := range 7 {
		ends = append(ends, b.queueLoaf(fmt.Sprint(i)))
	}
	for _, end := range ends {
		b.must(end())
	}
	if n := db.Commits() - before; n != 2 {
		t.Errorf("8 transactions in batches of 4 took %d commits", n)
	}
}

func TestManyWritersAtOnceStoreEverythingOnce(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBakery(t, db)
		var want []string
		var wg sync.WaitGroup
		for i := range 16 {
			for j := range 20 {
				if (i+j)%3 != 0 {
					want = append(want, fmt.Sprintf("%02d-%02d", i, j))
				}
			}
			wg.Go(func() {
				for j := range 20 {
					err := db.Transaction(t.Context(), func(tx *storage.DB) error {
						if err := bake(t.Context(), tx, fmt.Sprintf("%02d-%02d", i, j)); err != nil {
							return err
						}
						if (i+j)%3 == 0 {
							return errBurnt
						}
						return nil
					})
					if burnt := (i+j)%3 == 0; burnt != errors.Is(err, errBurnt) || !burnt && err != nil {
						t.Errorf("%d-%d: %v", i, j, err)
					}
				}
			})
		}
		wg.Wait()
		b.want(want...)
	})
}

var errBurnt = errors.New("burnt")

func TestOneThatFailsIsRolledBackAlone(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		b := newBakery(t, db)
		release := b.hold()
		before := db.Commits()
		rye := b.queueLoaf("rye")
		burnt := b.queue(ctx, func(tx *storage.DB) error {
			if err := bake(ctx, tx, "burnt"); err != nil {
				return err
			}
			return errBurnt
		})
		twin := b.queue(ctx, func(tx *storage.DB) error { // its second statement fails in the database
			if err := bake(ctx, tx, "white"); err != nil {
				return err
			}
			return bake(ctx, tx, "rye")
		})
		oat := b.queueLoaf("oat")
		b.must(release())
		b.must(rye())
		if err := burnt(); err != errBurnt {
			t.Errorf("got %v, want the error as it was returned", err)
		}
		if err := twin(); err == nil {
			t.Error("the same loaf was stored twice")
		}
		b.must(oat())
		if n := db.Commits() - before; n != 1 {
			t.Errorf("%d commits, want 1: a failure must not give up the batch", n)
		}
		b.want("held", "oat", "rye")
	})
}

func TestACallerWhoGivesUpWhileWaitingLeavesNothing(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBakery(t, db)
		release := b.hold()
		ctx, cancel := context.WithCancel(t.Context())
		gone := b.queue(ctx, func(tx *storage.DB) error {
			t.Error("the function ran")
			return bake(ctx, tx, "gone")
		})
		rye := b.queueLoaf("rye")
		cancel()
		if err := gone(); err != context.Canceled { // while the writer is still held
			t.Errorf("got %v, want context.Canceled", err)
		}
		b.must(release())
		b.must(rye())
		if err := b.order(ctx, "late"); err != context.Canceled {
			t.Errorf("a context that had ended before: %v", err)
		}
		b.want("held", "rye")
	})
}

func TestACallerCancelledInsideABatchLeavesNothingHalfApplied(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBakery(t, db)
		release := b.hold()
		before := db.Commits()
		rye := b.queueLoaf("rye")
		ctx, cancel := context.WithCancel(t.Context())
		gone := b.queue(ctx, func(tx *storage.DB) error {
			if err := bake(ctx, tx, "first half"); err != nil {
				return err
			}
			cancel()
			if err := bake(ctx, tx, "second half"); err != nil {
				t.Errorf("a statement ended with its caller: %v", err) // SQLite would roll back rye too
			}
			return nil
		})
		oat := b.queueLoaf("oat")
		b.must(release())
		b.must(rye())
		b.must(oat())
		if err := gone(); err != context.Canceled {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if n := db.Commits() - before; n != 1 {
			t.Errorf("%d commits, want 1", n)
		}
		b.want("held", "oat", "rye")
	})
}

// A statement that runs with its caller's context after all is interrupted; SQLite then rolls back the whole transaction, and PostgreSQL's
// driver drops the connection.
func TestAnInterruptedStatementGivesUpTheBatchAndNobodyElseNotices(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBakery(t, db)
		release := b.hold()
		rye := b.queueLoaf("rye")
		ctx, cancel := context.WithCancel(t.Context())
		gone := b.queue(ctx, func(tx *storage.DB) error {
			if err := bake(ctx, tx, "half"); err != nil {
				return err
			}
			time.AfterFunc(50*time.Millisecond, cancel)
			err := tx.Q(ctx).WithContext(ctx).Exec(`INSERT INTO loafs (name, size) WITH RECURSIVE c(n) AS
				(SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 50000000) SELECT 'mass', count(*) FROM c`).Error
			if err == nil {
				t.Error("the long statement was not interrupted")
			}
			_ = bake(ctx, tx, "after") // would be committed by itself
			return nil
		})
		oat := b.queueLoaf("oat")
		b.must(release())
		b.must(rye())
		b.must(oat())
		if err := gone(); err == nil {
			t.Error("no error for the one that was interrupted")
		}
		b.want("held", "oat", "rye")
		b.must(b.order(t.Context(), "next"))
		b.want("held", "next", "oat", "rye")
	})
}

func TestAfterARollbackUnderneathNothingIsCommittedByItself(t *testing.T) {
	b := newBakery(t, storagetest.New(t))
	for _, kept := range []bool{true, false} { // whether the function keeps the error to itself
		err := b.Transaction(t.Context(), func(tx *storage.DB) error {
			if err := bake(t.Context(), tx, "before"); err != nil {
				return err
			}
			b.must(tx.Q(t.Context()).Exec("ROLLBACK").Error)
			err := bake(t.Context(), tx, "after")
			if err == nil {
				t.Error("a statement ran outside a transaction")
			}
			if kept {
				return nil
			}
			return err
		})
		if err == nil {
			t.Error("no error, and nothing stored")
		}
	}
	b.want()
}

func TestAFullDiskHitsOnlyTheOneThatFillsIt(t *testing.T) {
	b := newBakery(t, storagetest.New(t))
	ctx := t.Context()
	var pages int
	b.must(b.Q(ctx).Raw("PRAGMA page_count").Scan(&pages).Error)
	b.must(b.Exec(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages+20)))
	release := b.hold()
	rye := b.queueLoaf("rye")
	runs := 0
	mass := b.queue(ctx, func(tx *storage.DB) error {
		runs++
		if err := bake(ctx, tx, "small"); err != nil {
			return err
		}
		return bake(ctx, tx, strings.Repeat("mass", 1<<16))
	})
	oat := b.queueLoaf("oat")
	b.must(release())
	b.must(rye())
	b.must(oat())
	var full sqlite3.Error
	if err := mass(); !errors.As(err, &full) || full.Code != sqlite3.ErrFull {
		t.Errorf("got %v, want SQLITE_FULL", err)
	}
	if runs != 2 {
		t.Errorf("ran %d times, want 2: in the batch and again alone", runs)
	}
	b.want("held", "oat", "rye")
}

func TestACommitThatFailsIsFoundOutOneByOne(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBakery(t, db)
		b.must(db.Exec(t.Context(), "CREATE TABLE slices (name TEXT NOT NULL REFERENCES loafs (name) DEFERRABLE INITIALLY DEFERRED)"))
		release := b.hold()
		rye := b.queueLoaf("rye")
		orphan := b.queue(t.Context(), func(tx *storage.DB) error { // found out at COMMIT
			return tx.Q(t.Context()).Exec("INSERT INTO slices (name) VALUES ('nothing')").Error
		})
		oat := b.queueLoaf("oat")
		b.must(release())
		b.must(rye())
		b.must(oat())
		if err := orphan(); err == nil || errors.Is(err, storage.ErrUnknown) {
			t.Errorf("got %v, want the broken constraint", err)
		}
		b.want("held", "oat", "rye")
	})
}

func TestAPanicIsTheErrorOfItsOwnTransaction(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBakery(t, db)
		release := b.hold()
		bang := b.queue(t.Context(), func(tx *storage.DB) error {
			b.must(bake(t.Context(), tx, "bang"))
			panic("the oven")
		})
		rye := b.queueLoaf("rye")
		b.must(release())
		b.must(rye())
		if err := bang(); err == nil || !strings.Contains(err.Error(), "the oven") {
			t.Errorf("got %v", err)
		}
		b.want("held", "rye")
	})
}

func TestAFunctionThatEndsItsGoroutineDoesNotEndTheWriter(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBakery(t, db)
		err := db.Transaction(t.Context(), func(tx *storage.DB) error {
			b.must(bake(t.Context(), tx, "exit"))
			runtime.Goexit() // as t.FailNow does
			return nil
		})
		if err == nil {
			t.Error("no error")
		}
		b.must(b.order(t.Context(), "rye"))
		b.want("rye")
	})
}

func TestATransactionInATransactionIsPartOfIt(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		b := newBakery(t, db)
		both := func(end error) error {
			return db.Transaction(ctx, func(tx *storage.DB) error {
				if err := bake(ctx, tx, "outer"); err != nil {
					return err
				}
				err := tx.Transaction(ctx, func(tx *storage.DB) error {
					var n int64
					if err := tx.Q(ctx).Model(&loaf{}).Count(&n).Error; err != nil || n != 1 {
						t.Errorf("the inner one sees %d loaves, %v; want its own outer's", n, err)
					}
					if err := b.Q(ctx).Model(&loaf{}).Count(&n).Error; err != nil || n != 0 {
						t.Errorf("a reader sees %d loaves, %v; want none before the commit", n, err)
					}
					return bake(ctx, tx, "inner")
				})
				if err != nil {
					return err
				}
				return end
			})
		}
		if err := both(errBurnt); err != errBurnt {
			t.Error(err)
		}
		b.want()
		b.must(both(nil))
		b.want("inner", "outer")
	})
}

func TestAHandleIsDeadAfterItsTransaction(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		b := newBakery(t, db)
		var kept *storage.DB
		b.must(db.Transaction(t.Context(), func(tx *storage.DB) error { kept = tx; return nil }))
		if err := bake(t.Context(), kept, "late"); err == nil {
			t.Error("a handle still writes")
		}
		if err := kept.Transaction(t.Context(), func(*storage.DB) error { return nil }); err == nil {
			t.Error("a handle still takes transactions")
		}
		b.want()
	})
}

func TestCloseEndsTheRunningOneAndRefusesThoseThatWait(t *testing.T) {
	db, path := storagetest.New(t), ""
	b := newBakery(t, db)
	b.must(db.Q(t.Context()).Raw("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path).Error)
	release := b.hold()
	rye, oat := b.queueLoaf("rye"), b.queueLoaf("oat")
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	for _, end := range []func() error{rye, oat} {
		if err := end(); err != storage.ErrClosed {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
	select {
	case err := <-closed:
		t.Fatalf("Close returned (%v) while a transaction ran", err)
	case <-time.After(20 * time.Millisecond):
	}
	b.must(release())
	b.must(<-closed)
	if err := b.order(t.Context(), "late"); err != storage.ErrClosed {
		t.Errorf("got %v, want ErrClosed", err)
	}
	again, err := storage.Open(t.Context(), storage.Config{DSN: path})
	b.must(err)
	(&bakery{again, t}).want("held")
	b.must(again.Close())
	b.must(again.Close())
}

func TestFLO173AFullQueueRefusesTheNextAndKeepsTheOthers(t *testing.T) {
	b := newBakery(t, storagetest.New(t))
	release := b.hold()
	var waiting []func() error
	for range storage.MaxQueue {
		waiting = append(waiting, b.queue(t.Context(), func(*storage.DB) error { return nil }))
	}
	if err := b.order(t.Context(), "too late"); err != storage.ErrBusy {
		t.Errorf("got %v, want ErrBusy", err)
	}
	b.must(release())
	for _, end := range waiting {
		b.must(end())
	}
	b.must(b.order(t.Context(), "rye"))
	b.want("held", "rye")
}

func TestPostgresCollisionsAndLostConnectionsAreTriedAgain(t *testing.T) {
	b := newBakery(t, storagetest.Postgres(t))
	ctx := t.Context()
	for what, statement := range map[string]string{
		"collision":  "DO $$ BEGIN RAISE EXCEPTION 'collision' USING ERRCODE = '40001'; END $$",
		"connection": "SELECT pg_terminate_backend(pg_backend_pid())",
	} {
		release := b.hold()
		rye := b.queueLoaf("rye")
		runs := 0
		oat := b.queue(ctx, func(tx *storage.DB) error {
			if runs++; runs == 1 {
				if err := tx.Q(ctx).Exec(statement).Error; err == nil {
					t.Errorf("%s: no error", what)
				} else {
					return err
				}
			}
			return bake(ctx, tx, "oat")
		})
		b.must(release())
		b.must(rye())
		b.must(oat())
		b.want("held", "oat", "rye")
		b.must(b.Exec(ctx, "DELETE FROM loafs"))
	}
	runs := 0
	err := b.Transaction(ctx, func(tx *storage.DB) error { // alone from the start
		if runs++; runs < 3 {
			return tx.Q(ctx).Exec("DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$").Error
		}
		return bake(ctx, tx, "rye")
	})
	b.must(err)
	b.want("rye")
	err = b.Transaction(ctx, func(tx *storage.DB) error { // PostgreSQL would call its COMMIT a success
		_ = bake(ctx, tx, "rye")
		return nil
	})
	if err == nil {
		t.Error("a transaction that hides a failed statement says that it was stored")
	}
}

func TestPostgresARowThatAnotherCopyHoldsForTooLongIsBusy(t *testing.T) {
	b := newBakery(t, storagetest.Postgres(t))
	ctx := t.Context()
	b.must(b.order(ctx, "rye"))
	other := &bakery{storagetest.Again(t, b.DB), t}
	locked, release := make(chan struct{}), make(chan struct{})
	held := make(chan error, 1)
	go func() {
		held <- other.Transaction(ctx, func(tx *storage.DB) error {
			err := tx.Q(ctx).Exec("UPDATE loafs SET size = 2").Error
			close(locked)
			<-release
			return err
		})
	}()
	<-locked
	err := b.Transaction(ctx, func(tx *storage.DB) error {
		if err := tx.Q(ctx).Exec("SET LOCAL lock_timeout = '20ms'").Error; err != nil {
			return err
		}
		return tx.Exec(ctx, "UPDATE loafs SET size = 3")
	})
	if !errors.Is(err, storage.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	close(release)
	b.must(<-held)
	b.must(b.Exec(ctx, "UPDATE loafs SET size = 3"))
}

// PostgreSQL compiles what it takes for dear, which is every statement without an index where seqscan is off: seconds, on a busy machine.
func TestPostgresCompilesNothing(t *testing.T) {
	b := newBakery(t, storagetest.Postgres(t))
	jit := func(db *storage.DB) error {
		var on string
		if err := db.Q(t.Context()).Raw("SELECT current_setting('jit')").Scan(&on).Error; err != nil || on != "off" {
			return fmt.Errorf("jit is %q, want off (%v)", on, err)
		}
		return nil
	}
	if err := errors.Join(jit(b.DB), b.Transaction(t.Context(), jit)); err != nil {
		t.Error(err)
	}
}

// BenchmarkTransaction is one small transaction (read, update, insert) of 32 callers at once, with shared commits and with one commit each.
func BenchmarkTransaction(b *testing.B) {
	perOp := map[string]float64{}
	for _, mode := range []string{"shared", "alone"} {
		b.Run(mode, func(b *testing.B) {
			db := storagetest.New(b)
			if mode == "alone" {
				db.SetBatch(1)
			}
			ctx := context.Background()
			bk := newBakery(b, db)
			bk.must(bk.order(ctx, "total"))
			before := db.Commits()
			b.SetParallelism((31 + runtime.GOMAXPROCS(0)) / runtime.GOMAXPROCS(0))
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					name := db.NewID().String()
					err := db.Transaction(ctx, func(tx *storage.DB) error {
						var total loaf
						if err := tx.Q(ctx).Where("name = ?", "total").Take(&total).Error; err != nil {
							return err
						}
						if err := tx.Q(ctx).Model(&loaf{}).Where("name = ?", "total").Update("size", total.Size+1).Error; err != nil {
							return err
						}
						return bake(ctx, tx, name)
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
			b.StopTimer()
			perOp[mode] = float64(b.Elapsed()) / float64(b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
			b.ReportMetric(float64(b.N)/float64(db.Commits()-before), "tx/commit")
			if mode == "alone" && perOp["shared"] > 0 {
				b.ReportMetric(perOp["alone"]/perOp["shared"], "times-slower")
			}
			var total loaf
			bk.must(db.Q(ctx).Where("name = ?", "total").Take(&total).Error)
			if total.Size < b.N {
				b.Errorf("counted %d of %d", total.Size, b.N)
			}
		})
	}
}
