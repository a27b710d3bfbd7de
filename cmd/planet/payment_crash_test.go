package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"planet/ledger"
	"planet/storage"
)

// TestPaymentsBetweenProcessesThatAreKilled: payer, payee and ledger are nodes of their own that speak HTTP, and each is killed in turn, with kill -9 and in the middle of
// its work, while payments, holds, payments of orders and refunds are made by commands. In the end all three agree on every payment, each that was asked for under one word was
// made at most once, the balances are zero in all, and every book verifies. PLANET_TEST_PAYMENT_KILLS says how often.
func TestPaymentsBetweenProcessesThatAreKilled(t *testing.T) {
	kills := 3
	if s := os.Getenv("PLANET_TEST_PAYMENT_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	mint, there, here := newNode(t), newNode(t), newNode(t)
	nodes := []*node{mint, there, here}
	mint.run("user", "create", "nuria")
	mint.run("coop", "create", "mint", "--title", "Mint", "--founder", "nuria")
	mint.run("currency", "create", "GRN", "--coop", "mint", "--kind", "mutual", "--credit-limit", "100000")
	there.run("user", "create", "ana")
	there.run("coop", "create", "bakery", "--title", "Bakery", "--founder", "ana")
	here.run("user", "create", "bo")

	db, err := storage.Open(t.Context(), storage.Config{DSN: filepath.Join(mint.dir, "data", "planet.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	grn, err := db.CurrencyByIRI(t.Context(), storage.IRI(mint.origin()+"/currencies/grn"))
	if err != nil {
		t.Fatal(err)
	}
	for _, iri := range []string{there.origin() + "/users/bakery", here.origin() + "/users/bo"} {
		open := grn.Book.NewAccount(iri, ledger.Member)
		if r, err := db.Pay(t.Context(), storage.Submission{Currency: grn.Book.ID, Group: ledger.Group{open}}); err != nil || !r.Code.OK() {
			t.Fatalf("an account for %s: %s, %v", iri, r.Code, err)
		}
	}
	for _, n := range nodes {
		n.start()
		t.Cleanup(n.kill)
	}
	await := func(what string, within time.Duration, done func() bool) {
		t.Helper()
		for end := time.Now().Add(within); !done(); time.Sleep(200 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s did not come about\nmint: %s\nthere: %s\nhere: %s", what, mint.log.String(), there.log.String(), here.log.String())
			}
		}
	}
	bakery := "@bakery@planet.localhost:" + there.port()
	offer := read[offerEntry](there, "offer", "create", "--as", "bakery", "--title", "Loaf", "--price", "0.05", "--currency", grn.Book.IRI, "--quantity", "1000", "--auto-accept")
	asked := func(key, amount string, more ...string) { // whatever refuses does so for a reason: the end tells
		args := []string{"pay", "--as", "bo", "--to", bakery, "--amount", amount, "--currency", grn.Book.IRI, "--id", key, "--memo", key, "--wait", "1s"}
		_, _ = here.try(append(args, more...)...)
	}
	list := func(n *node, of string) (out []paymentEntry) {
		args := []string{"payment", "list", "--limit", "10000", "--json"}
		if of != "" {
			args = append(args, "--of", of)
		}
		if s, err := n.try(args...); err == nil {
			_ = json.Unmarshal([]byte(s), &out)
		}
		return out
	}
	takes := func() {
		for i, p := range list(there, "bakery") {
			switch {
			case p.State == storage.PaymentHeld && i%3 > 0:
				_, _ = there.try("payment", "post", p.ID.String(), "--amount", "0.03", "--id", "take "+p.ID.String(), "--wait", "0s")
			case p.State == storage.PaymentHeld:
				_, _ = there.try("payment", "void", p.ID.String(), "--id", "void "+p.ID.String(), "--wait", "0s")
			case p.State == storage.PaymentCommitted && p.Amount == "0.07":
				_, _ = there.try("payment", "refund", p.ID.String(), "--amount", "0.02", "--id", "back "+p.ID.String(), "--wait", "0s")
			}
		}
	}
	orders := func(key string) {
		_, _ = here.try("order", "place", "--as", "bo", string(offer.IRI), "--quantity", "1", "--id", key, "--json")
		var mine []orderEntry
		if s, err := here.try("order", "list", "--as", "bo", "--state", storage.OrderAccepted, "--json"); err == nil {
			_ = json.Unmarshal([]byte(s), &mine)
		}
		for _, o := range mine {
			asked("order "+o.ID.String(), "0.05", "--order", o.ID.String())
		}
	}
	for i := range kills {
		var all sync.WaitGroup
		key := fmt.Sprint(i)
		all.Go(func() { asked("a"+key, "0.07"); asked("a"+key, "0.07") })
		all.Go(func() { asked("b"+key, "0.05", "--hold", "1h"); takes() })
		all.Go(func() { orders("c" + key) })
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		n := nodes[i%3]
		n.kill()
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		n.start()
		all.Wait()
	}
	var book map[storage.IRI]paymentEntry
	agreed := func() bool {
		for _, n := range nodes {
			_, _ = n.try("queue", "retry")
		}
		takes()
		orders("c0")
		book = map[storage.IRI]paymentEntry{}
		for _, p := range list(mint, "") {
			book[p.IRI] = p
		}
		paid := 0
		for _, n := range []*node{there, here} {
			for _, p := range list(n, "") {
				if q := book[p.IRI]; q.State != p.State || q.Amount != p.Amount || q.State == storage.PaymentHeld {
					return false
				}
				if paid++; p.State == storage.PaymentCommitted && p.Event == "" {
					return false
				}
			}
		}
		for _, p := range list(here, "bo") {
			delete(book, p.IRI)
		}
		return paid > 0 && len(book) == 0
	}
	await("agreement on every payment", 90*time.Second, agreed)

	var sum int64
	accounts, err := db.Accounts(t.Context(), grn)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		sum += a.Balance()
	}
	if sum != 0 {
		t.Errorf("the balances are %d in all", sum)
	}
	once := map[string]int{}
	for _, p := range list(mint, "") {
		if once[p.Memo]++; p.Memo != "" && once[p.Memo] > 1 {
			t.Errorf("%q was asked for once, and is there %d times", p.Memo, once[p.Memo])
		}
	}
	for _, n := range nodes {
		n.run("ledger", "verify")
	}
	t.Logf("%d kills, payments by memo: %v", kills, once)
}
