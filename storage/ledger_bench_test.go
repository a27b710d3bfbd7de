package storage_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
)

// BenchmarkPayments measures durable payments per second: decided, logged, signed and on disk. Run it with -benchtime 1x; each part pays for some seconds.
// In the same run stand the limit (bare multi-row inserts of the same rows) and what is often done (a gorm transaction per payment). docs/performance.md
func BenchmarkPayments(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *storage.DB{"sqlite": storagetest.New, "postgres": storagetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			const members = 10_000
			names := make([]string, members)
			for i := range names {
				names[i] = fmt.Sprint("m", i)
			}
			fresh := func(b *testing.B) (*books, []ledger.ID) {
				bk := newBooks(b, open(b), ledger.Mutual, names...)
				ids := make([]ledger.ID, members)
				for i := range ids {
					ids[i] = bk.account(names[i])
				}
				return bk, ids
			}
			b.Run("bare-256", func(b *testing.B) {
				bk, ids := fresh(b)
				rnd := rand.New(rand.NewPCG(1, 2))
				n, start := 0, time.Now()
				for time.Since(start) < 4*time.Second {
					bk.must(bk.BarePayments(context.Background(), bk.c, ids, 256, rnd))
					n += 256
				}
				b.ReportMetric(float64(n)/time.Since(start).Seconds(), "payments/s")
			})
			for _, submitters := range []int{1, 16, 256} {
				for _, hot := range []int{0, 50, 100} {
					b.Run(fmt.Sprintf("submitters-%d/hot-%d", submitters, hot), func(b *testing.B) {
						bk, ids := fresh(b)
						var n atomic.Int64
						commits, start := bk.Commits(), time.Now()
						var wg sync.WaitGroup
						for w := range submitters {
							wg.Add(1)
							go func() {
								defer wg.Done()
								rnd := rand.New(rand.NewPCG(uint64(w), 7))
								for time.Since(start) < 4*time.Second {
									from, to := ids[rnd.IntN(members)], ids[rnd.IntN(members)]
									if rnd.IntN(100) < hot {
										to = ids[0]
									}
									if from == to {
										continue
									}
									p := ledger.Pay{ID: ledger.NewID("pay", fmt.Sprint(w, " ", n.Add(1))), Currency: bk.c.Book.ID, Debit: from, Credit: to, Amount: 1}
									if r, err := bk.Pay(context.Background(), storage.Submission{Currency: p.Currency, Group: ledger.Group{p}}); err != nil || !r.Code.OK() {
										b.Errorf("%s %v", r.Code, err)
										return
									}
								}
							}()
						}
						wg.Wait()
						took := time.Since(start).Seconds()
						b.ReportMetric(float64(n.Load())/took, "payments/s")
						b.ReportMetric(float64(bk.Commits()-commits)/float64(n.Load()), "fsyncs/payment")
					})
				}
			}
			b.Run("one-gorm-transaction-each", func(b *testing.B) {
				bk := newNaive(b, open(b), members)
				rnd := rand.New(rand.NewPCG(1, 2))
				n, start := 0, time.Now()
				for ; time.Since(start) < 4*time.Second; n++ {
					bk.must(bk.naivePay(n, 1+rnd.IntN(members), 1+rnd.IntN(members)))
				}
				b.ReportMetric(float64(n)/time.Since(start).Seconds(), "payments/s")
			})
		})
	}
}

// The naive ledger: what one writes first. A balance in a row, a transfer in a row, a transaction each, no log and no proof.
type (
	naiveAccount struct {
		ID      int64 `gorm:"primaryKey;autoIncrement:false"`
		Balance int64
	}
	naiveTransfer struct {
		ID       string `gorm:"primaryKey"`
		From, To int64
		Amount   int64
		At       int64
	}
)

func newNaive(t testing.TB, db *storage.DB, members int) *books {
	b := &books{DB: db, t: t}
	ctx := context.Background()
	b.must(db.Exec(ctx, "CREATE TABLE naive_accounts (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL)"))
	b.must(db.Exec(ctx, `CREATE TABLE naive_transfers (id TEXT PRIMARY KEY, "from" BIGINT NOT NULL, "to" BIGINT NOT NULL, amount BIGINT NOT NULL, at BIGINT NOT NULL)`))
	accounts := make([]naiveAccount, members)
	for i := range accounts {
		accounts[i].ID = int64(i + 1) // gorm takes 0 for "no id"
	}
	b.must(db.Transaction(ctx, func(tx *storage.DB) error { return tx.Q(ctx).CreateInBatches(accounts, 500).Error }))
	return b
}

func (b *books) naivePay(n, from, to int) error {
	ctx := context.Background()
	return b.Transaction(ctx, func(tx *storage.DB) error {
		var payer, payee naiveAccount
		if err := tx.Q(ctx).Where("id = ?", from).Take(&payer).Error; err != nil {
			return err
		}
		if err := tx.Q(ctx).Where("id = ?", to).Take(&payee).Error; err != nil {
			return err
		}
		if err := tx.Q(ctx).Model(&payer).Update("balance", payer.Balance-1).Error; err != nil {
			return err
		}
		if err := tx.Q(ctx).Model(&payee).Update("balance", payee.Balance+1).Error; err != nil {
			return err
		}
		return tx.Q(ctx).Create(&naiveTransfer{ID: fmt.Sprint(n), From: int64(from), To: int64(to), Amount: 1, At: tx.Now().UnixNano()}).Error
	})
}

// BenchmarkVerify builds a book of PLANET_BENCH_ENTRIES entries (a million by default) over 10,000 accounts, and measures what a node does with it:
// the whole verification, the check at start, a receipt, a statement. Run it with -benchtime 1x.
func BenchmarkVerify(b *testing.B) {
	n, _ := strconv.Atoi(cmp.Or(os.Getenv("PLANET_BENCH_ENTRIES"), "1000000"))
	const members = 10_000
	names := make([]string, members)
	for i := range names {
		names[i] = fmt.Sprint("m", i)
	}
	bk := newBooks(b, storagetest.New(b), ledger.Mutual, names...)
	ctx, rnd := context.Background(), rand.New(rand.NewPCG(3, 4))
	start := time.Now()
	for made := 0; made < n; {
		groups := make([]ledger.Group, 0, 4096)
		for len(groups) < cap(groups) {
			from, to := rnd.IntN(members), rnd.IntN(members)
			if from != to {
				groups = append(groups, ledger.Group{ledger.Pay{ID: ledger.NewID("pay", fmt.Sprint(made+len(groups))), Currency: bk.c.Book.ID,
					Debit: bk.account(names[from]), Credit: bk.account(names[to]), Amount: 1}})
			}
		}
		_, err := bk.Ledger(ctx, groups...)
		bk.must(err)
		made += len(groups)
	}
	b.Logf("%d payments stored in batches of 4,096: %.0f/s", n, float64(n)/time.Since(start).Seconds())
	c, err := bk.CurrencyByCode(ctx, "GRN")
	bk.must(err)
	for _, part := range []struct {
		name string
		does func() error
	}{
		{"verify", func() error { _, err := bk.Verify(ctx, c); return err }},
		{"at-start", func() error {
			found, err := bk.CheckBooks(ctx)
			if len(found) > 0 {
				return found[0]
			}
			return err
		}},
		{"receipt", func() error { _, err := bk.Receipt(ctx, c.Book.ID, ledger.Seq(n/3)); return err }},
		{"statement", func() error {
			_, _, err := bk.Statement(ctx, bk.account("m1"), time.Time{}, time.Time{}, 0)
			return err
		}},
	} {
		b.Run(part.name, func(b *testing.B) {
			for b.Loop() {
				bk.must(part.does())
			}
		})
	}
}
