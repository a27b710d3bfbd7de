package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"planet/ledger"
	"planet/storage"
)

// ledgerBenchCmd measures durable payments on this machine: the whole process, the real store, a disk of the operator's choice.
type ledgerBenchCmd struct {
	Seconds    int    `default:"5" help:"How long to pay."`
	Submitters int    `default:"256" help:"How many pay at once."`
	Members    int    `default:"10000" help:"How many accounts pay each other."`
	Hot        int    `default:"0" help:"Percent of the payments that go to one account."`
	Dir        string `placeholder:"DIR" help:"Where to make the throw-away database; in the data directory by default, or here when there is none."`
	JSON       bool   `help:"Print JSON."`
}

func (ledgerBenchCmd) Help() string {
	return "Example: planet ledger bench --seconds 5 --submitters 256\n\nIt touches nothing of the node: it pays in a currency of its own, in a database that it deletes."
}

// benchEntry is a measurement as --json prints one.
type benchEntry struct {
	Payments    int64   `json:"payments"`
	PerSecond   float64 `json:"payments_per_second"`
	FsyncsEach  float64 `json:"fsyncs_per_payment"`
	Fsyncs      float64 `json:"fsyncs_per_second_of_the_disk"`
	MedianMS    float64 `json:"median_ms"`
	P99MS       float64 `json:"p99_ms"`
	MemoryMB    float64 `json:"memory_mb,omitempty"`
	VerifySec   float64 `json:"verify_seconds"`
	DatabaseMB  float64 `json:"database_mb"`
	Submitters  int     `json:"submitters"`
	HotPercent  int     `json:"hot_percent"`
	MemberCount int     `json:"members"`
}

func (cmd ledgerBenchCmd) Run(c *app) (err error) {
	if cmd.Seconds < 1 || cmd.Submitters < 1 || cmd.Members < 2 || cmd.Hot < 0 || cmd.Hot > 100 {
		return errors.New("seconds and submitters must be at least 1, members at least 2, hot from 0 to 100")
	}
	dir := cmd.Dir
	if dir == "" {
		if dir = c.cfg.Data; !isDir(dir) { // nothing was ever kept there
			dir = "."
		}
	}
	dir, err = os.MkdirTemp(dir, ".planet-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	out := benchEntry{Submitters: cmd.Submitters, HotPercent: cmd.Hot, MemberCount: cmd.Members}
	path := filepath.Join(dir, "planet.db")
	db, err := storage.Open(c.ctx, storage.Config{DSN: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Migrate(c.ctx); err != nil {
		return err
	}
	book, accounts, err := benchBook(c.ctx, db, cmd.Members)
	if err != nil {
		return err
	}
	if out.Fsyncs, err = fsyncsPerSecond(filepath.Join(dir, "probe"), db.Now); err != nil {
		return err
	}
	stop, cancel := context.WithTimeout(c.ctx, time.Duration(cmd.Seconds)*time.Second)
	defer cancel()
	before, start := db.Commits(), db.Now()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		times []time.Duration
		fails error
	)
	for w := range cmd.Submitters {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			var mine []time.Duration
			var failed error
			for i := 0; stop.Err() == nil && failed == nil; i++ {
				from, to := accounts[rnd.IntN(len(accounts))], accounts[rnd.IntN(len(accounts))]
				if rnd.IntN(100) < cmd.Hot {
					to = accounts[0]
				}
				if from == to {
					continue
				}
				p := ledger.Pay{ID: ledger.NewID("pay", strconv.Itoa(w), strconv.Itoa(i)), Currency: book.Book.ID, Debit: from, Credit: to, Amount: 1}
				asked := db.Now()
				r, err := db.Pay(c.ctx, storage.Submission{Currency: p.Currency, Group: ledger.Group{p}})
				mine, failed = append(mine, db.Now().Sub(asked)), errors.Join(err, r.Err())
			}
			mu.Lock()
			defer mu.Unlock()
			times, fails = append(times, mine...), errors.Join(fails, failed)
		})
	}
	wg.Wait()
	took := db.Now().Sub(start)
	if fails != nil {
		return fails
	}
	slices.Sort(times)
	out.Payments = int64(len(times))
	out.PerSecond = float64(len(times)) / took.Seconds()
	out.FsyncsEach = float64(db.Commits()-before) / float64(max(len(times), 1))
	out.MedianMS, out.P99MS = millis(times, 50), millis(times, 99)
	out.MemoryMB = residentMB()
	if st, err := os.Stat(path); err == nil {
		out.DatabaseMB = float64(st.Size()) / 1e6
	}
	if book, err = db.CurrencyByCode(c.ctx, book.Book.Code); err != nil {
		return err
	}
	start = db.Now()
	if _, err := db.Verify(c.ctx, book); err != nil {
		return err
	}
	out.VerifySec = db.Now().Sub(start).Seconds()
	if cmd.JSON {
		return c.json(out)
	}
	c.say("%d payments in %.1f s by %d submitters among %d accounts (%d %% to one): %.0f/s", out.Payments, took.Seconds(), cmd.Submitters, cmd.Members, cmd.Hot, out.PerSecond)
	c.say("each with log, signed checkpoint and its share of an fsync: %.4f fsyncs a payment; this disk does %.0f a second", out.FsyncsEach, out.Fsyncs)
	c.say("half were acknowledged within %.2f ms, 99 of 100 within %.2f ms; the process holds %.0f MB", out.MedianMS, out.P99MS, out.MemoryMB)
	c.say("the whole book was verified in %.1f s", out.VerifySec)
	return nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// benchBook is a currency with members accounts.
func benchBook(ctx context.Context, db *storage.DB, members int) (*storage.Currency, []ledger.ID, error) {
	coop := storage.Actor{IRI: "https://bench.example/users/coop", Type: "Organization", Username: "coop"}
	if err := db.SaveActor(ctx, &coop); err != nil {
		return nil, nil, err
	}
	iri := "https://bench.example/currencies/bnch"
	u := ledger.Currency{ID: ledger.NewID("currency", iri), IRI: iri, Code: "BNCH", Scale: 2, Kind: ledger.Mutual, Rules: ledger.Preset(ledger.Mutual, 1<<40)}
	c := &storage.Currency{ActorID: coop.ID, Name: "Bench", Book: u}
	if err := db.CreateCurrency(ctx, c, nil); err != nil {
		return nil, nil, err
	}
	accounts := make([]ledger.ID, members)
	var g ledger.Group
	for i := range accounts {
		o := u.NewAccount(fmt.Sprintf("https://bench.example/users/m%d", i), ledger.Member)
		accounts[i], g = o.Account, append(g, o)
		if len(g) == 1000 || i == members-1 {
			if _, err := db.Ledger(ctx, g); err != nil {
				return nil, nil, err
			}
			g = nil
		}
	}
	return c, accounts, nil
}

// fsyncsPerSecond is what the disk does when each write of a page is waited for.
func fsyncsPerSecond(path string, now func() time.Time) (float64, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	page, start, n := make([]byte, 4096), now(), 0
	for now().Sub(start) < time.Second && err == nil {
		if _, err = f.WriteAt(page, int64(n%1000)*4096); err == nil {
			err = f.Sync()
		}
		n++
	}
	return float64(n) / now().Sub(start).Seconds(), errors.Join(err, f.Close())
}

func millis(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)*percent/100, len(sorted)-1)].Microseconds()) / 1000
}

// residentMB is what the process holds in memory, where the system says so; else 0.
func residentMB() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()) / 1e6
}
