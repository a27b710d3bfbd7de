package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"planet/ledger"
	"planet/storage"
)

// crashCurrency is the currency of the crash test. Its accounts are unlimited, so that every payment can be accepted.
func crashCurrency() ledger.Currency {
	iri := "https://coop.example/currencies/grn"
	return ledger.Currency{ID: ledger.NewID("currency", iri), IRI: iri, Code: "GRN", Scale: 2, Rules: ledger.Rules{MaxPending: 65535}}
}

// crashPay is the submission that the name stands for, so that both processes know it: one payment or hold, sometimes into an account that it opens, with its
// activity, its payment and a delivery.
func crashPay(db *storage.DB, coop, currency storage.ID, name string) (ledger.Pay, storage.Submission) {
	sum := sha256.Sum256([]byte(name))
	u := crashCurrency()
	who := func(n byte) string { return fmt.Sprintf("https://coop.example/users/m%d", n%8) }
	from, to := who(sum[0]), who(sum[0]+1+sum[1]%7)
	p := ledger.Pay{ID: ledger.NewID("crash", name), Currency: u.ID, Amount: 1 + ledger.Amount(binary.BigEndian.Uint16(sum[2:])), Auth: sum}
	var g ledger.Group
	switch sum[4] % 8 {
	case 0:
		to = "https://far.example/users/" + name
		g = append(g, u.NewAccount(to, ledger.Member))
	case 1:
		p.Pending, p.Timeout = true, time.Hour
	}
	p.Debit, p.Credit = ledger.NewID("account", u.IRI, from), ledger.NewID("account", u.IRI, to)
	iri := storage.IRI("https://coop.example/activities/" + name)
	return p, storage.Submission{Currency: u.ID, Group: append(g, p), Rows: func(r ledger.Result) storage.Rows {
		if r.Code != ledger.OKCreated {
			return storage.Rows{}
		}
		a := &storage.Activity{ID: db.NewID(), IRI: iri, ActorIRI: storage.IRI(from), Type: "Offer", Local: true, Raw: []byte("{}")}
		return storage.Rows{Activities: []*storage.Activity{a},
			Payments: []*storage.Payment{{IRI: iri, UID: p.ID[:], CurrencyID: currency, Payer: storage.IRI(from), Payee: storage.IRI(to), Amount: p.Amount,
				Code: "payment", State: storage.PaymentCommitted}},
			Deliveries: []*storage.Delivery{{ActivityID: a.ID, Inbox: "https://far.example/inbox", Host: "far.example", ActorID: coop}}}
	}}
}

// payer is a process of the test's own: it pays from many goroutines until it is killed, and says what it asks for and what was acknowledged.
func payer() {
	path, cycle := os.Args[1], os.Args[2]
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	db, err := storage.Open(ctx, storage.Config{DSN: path, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	fail(err)
	c, err := db.CurrencyByCode(ctx, "GRN")
	fail(err)
	for w := range 24 {
		go func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("%s-%d-%d", cycle, w, n)
				p, s := crashPay(db, c.ActorID, c.ID, name)
				fmt.Println("ask", name)
				r, err := db.Pay(ctx, s)
				if err == nil {
					err = r.Err()
				}
				fail(err)
				fmt.Println("ack", name, ledger.Entry{Cmd: p}.ID())
			}
		}()
	}
	select {}
}

// crashBook is a database with the currency in it.
func crashBook(t *testing.T) string {
	t.Helper()
	path, ctx := filepath.Join(t.TempDir(), "planet.db"), t.Context()
	db, err := storage.Open(ctx, storage.Config{DSN: path})
	if err == nil {
		err = db.Migrate(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetSetting(ctx, "origin", "https://coop.example"); err != nil {
		t.Fatal(err)
	}
	coop := storage.Actor{IRI: "https://coop.example/users/bakery", Type: "Organization", Username: "bakery"}
	if err := db.SaveActor(ctx, &coop); err != nil {
		t.Fatal(err)
	}
	u := crashCurrency()
	var g ledger.Group
	for n := range 8 {
		g = append(g, u.NewAccount(fmt.Sprintf("https://coop.example/users/m%d", n), ledger.Member))
	}
	if err := db.CreateCurrency(ctx, &storage.Currency{ActorID: coop.ID, Name: "Grain", Book: u}, g); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestF17P4KilledWhilePaying kills a process that pays, at any moment, again and again. Whatever it acknowledged is there afterwards under the same digest
// with all its rows, nothing is there by half, the book is sound, and who asks again for what was under way is told what became of it.
//
// PLANET_TEST_LEDGER_KILLS says how often. After each kill the check of a start runs and each id is looked up; the whole book, its pages and the number
// of its rows are verified after each 20th kill (5th by default) and at the end of a database, of which there is a new one each 100 kills.
func TestF17P4KilledWhilePaying(t *testing.T) {
	kills, every := 50, 5
	if s := os.Getenv("PLANET_TEST_LEDGER_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		every = 20
	}
	if testing.Short() {
		kills = 5
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const fresh = 100
	var path string
	var acknowledged, unsure, happened, early int
	began := time.Now()
	for kill := range kills {
		if kill%fresh == 0 {
			if path != "" {
				_ = os.RemoveAll(filepath.Dir(path))
			}
			path = crashBook(t)
		}
		asked, acked := payAndDie(t, self, path, kill)
		db, err := storage.Open(t.Context(), storage.Config{DSN: path})
		if err != nil {
			t.Fatal(err)
		}
		if found, err := db.CheckBooks(t.Context()); err != nil || len(found) > 0 {
			t.Fatalf("kill %d: the check at start: %v, %v", kill, found, err)
		}
		c, err := db.CurrencyByCode(t.Context(), "GRN")
		if err != nil {
			t.Fatal(err)
		}
		for name := range acked {
			p, _ := crashPay(db, c.ActorID, c.ID, name)
			if !stands(t, db, name, p) {
				t.Fatalf("kill %d: %s was acknowledged and is not there", kill, name)
			}
		}
		if len(acked) == 0 {
			early++
		}
		acknowledged += len(acked)
		for name := range asked { // acknowledged or not: ask again
			p, s := crashPay(db, c.ActorID, c.ID, name)
			there := stands(t, db, name, p)
			if acked[name] && rand.IntN(8) > 0 {
				continue
			}
			r, err := db.Pay(t.Context(), s)
			want := ledger.OKCreated
			if there {
				want = ledger.OKExists
			}
			if err != nil || r.Code != want {
				t.Fatalf("kill %d: %s again: %s, %v; want %s", kill, name, r.Code, err, want)
			}
			if !acked[name] {
				unsure++
				if there {
					happened++
				}
			}
		}
		if (kill+1)%every == 0 || (kill+1)%fresh == 0 || kill+1 == kills {
			v, err := db.Verify(t.Context(), c)
			if err != nil {
				t.Fatalf("kill %d: %v", kill, err)
			}
			if err := storage.Check(t.Context(), db); err != nil {
				t.Fatalf("kill %d: %v", kill, err)
			}
			ps, err := db.Payments(t.Context(), "", 0, 1<<30)
			if err != nil || len(ps) != v.Transfers {
				t.Fatalf("kill %d: %d transfers and %d payments, %v", kill, v.Transfers, len(ps), err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if (kill+1)%500 == 0 {
			t.Logf("%d kills after %s, %d payments acknowledged", kill+1, time.Since(began).Round(time.Second), acknowledged)
		}
	}
	if acknowledged < kills {
		t.Errorf("only %d payments were acknowledged in %d rounds", acknowledged, kills)
	}
	t.Logf("%d kills in %s, %d of them before the first payment: %d payments acknowledged and all there; of %d that were under way %d had happened", kills,
		time.Since(began).Round(time.Second), early, acknowledged, unsure, happened)
}

// payAndDie starts a payer, kills it, and gives the names of what it asked for and of what was acknowledged to it.
func payAndDie(t *testing.T, self, path string, kill int) (asked, acked map[string]bool) {
	t.Helper()
	var log bytes.Buffer
	c := exec.Command(self)
	c.Args = []string{"payer", path, fmt.Sprint(kill)}
	c.Stderr = &log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	asked, acked = map[string]bool{}, map[string]bool{}
	lines, first := bufio.NewScanner(out), true
	for lines.Scan() {
		if first { // most are killed while they pay, the others as soon as they begin
			first = false
			time.AfterFunc(time.Duration(rand.IntN(60_000))*time.Microsecond, func() { _ = c.Process.Kill() })
		}
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 2 && words[0] == "ask":
			asked[words[1]] = true
		case len(words) == 3 && words[0] == "ack" && words[2] == ledger.NewID("crash", words[1]).String():
			acked[words[1]] = true
		}
	}
	_ = c.Process.Kill()
	_ = c.Wait()
	if log.Len() > 0 {
		t.Fatalf("kill %d: the payer said %s", kill, log.String())
	}
	return asked, acked
}

// stands says whether a payment is there with all that belongs to it; none of it may be there alone.
func stands(t *testing.T, db *storage.DB, name string, want ledger.Pay) bool {
	t.Helper()
	iri := storage.IRI("https://coop.example/activities/" + name)
	got, _, terr := db.Transfer(t.Context(), want.ID)
	p, perr := db.PaymentByIRI(t.Context(), iri)
	a, aerr := db.ActivityByIRI(t.Context(), iri)
	switch {
	case terr == storage.ErrNotFound && perr == storage.ErrNotFound && aerr == storage.ErrNotFound:
		return false
	case terr != nil || perr != nil || aerr != nil:
		t.Fatalf("%s is there by half: transfer %v, payment %v, activity %v", name, terr, perr, aerr)
	case got.Digest != ledger.DigestOf(want), p.Transfer() != want.ID, a.Type != "Offer":
		t.Fatalf("%s is there as something else: %+v, %+v, %+v", name, got, p, a)
	}
	return true
}

// faultyFsync is loaded before the C library: while the file named by FAULT is there, every fsync fails as on a broken disk.
const faultyFsync = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int broken(void) { const char *p = getenv("FAULT"); return p && access(p, F_OK) == 0; }
int fsync(int fd) { if (broken()) { errno = EIO; return -1; } return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
int fdatasync(int fd) { if (broken()) { errno = EIO; return -1; } return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
`

// TestF19AServingNodeEndsWhenItsDiskFails breaks fsync under a node that serves: it accepts nothing more, ends by itself, and says what to do. Started
// again on a sound disk it is what it was.
func TestF19AServingNodeEndsWhenItsDiskFails(t *testing.T) {
	n := newNode(t)
	n.run("user", "create", "nuria")
	n.run("coop", "create", "baker", "--title", "Baker", "--founder", "nuria")
	source, lib, fault := filepath.Join(n.dir, "fault.c"), filepath.Join(n.dir, "fault.so"), filepath.Join(n.dir, "fault")
	if err := os.WriteFile(source, []byte(faultyFsync), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", lib, source, "-ldl").CombinedOutput(); err != nil { // cgo needs a compiler, too
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv("LD_PRELOAD", lib)
	t.Setenv("FAULT", fault)
	n.start()
	_ = os.Unsetenv("LD_PRELOAD")
	s := newSender(t, n)
	for start := time.Now(); len(s.accepted) == 0 && time.Since(start) < 20*time.Second; { // a machine with much else to do takes its time
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		s.send(ctx)
		cancel()
	}
	before := len(s.accepted)
	if before == 0 {
		n.kill()
		t.Fatalf("it accepts nothing on a sound disk:\n%s", n.log.String())
	}
	if err := os.WriteFile(fault, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.cmd.Wait() }()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	s.send(ctx)
	cancel()
	select {
	case err := <-ended:
		if err == nil {
			t.Errorf("it ended as if all were well:\n%s", n.log.String())
		}
	case <-time.After(25 * time.Second):
		n.kill()
		t.Fatalf("it goes on:\n%s", n.log.String())
	}
	if !strings.Contains(n.log.String(), "see to the disk, then start the node again") {
		t.Errorf("it does not say what to do:\n%s", n.log.String())
	}
	if len(s.accepted) != before {
		t.Errorf("it accepted %d activities after its disk had failed", len(s.accepted)-before)
	}
	s.audit(t)
	if err := os.Remove(fault); err != nil {
		t.Fatal(err)
	}
	n.start()
	s.client.CloseIdleConnections()
	ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
	s.send(ctx)
	cancel()
	n.kill()
	if len(s.accepted) <= before {
		t.Errorf("started again it accepts nothing:\n%s", n.log.String())
	}
	s.audit(t)
}
