package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"planet/storage"
)

// try runs one command to its end, and hands on what it answered.
func (n *node) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), 30*time.Second)
	defer cancel()
	out, err := n.command(ctx, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("planet %v: %w: %s", args, err, out)
	}
	return string(out), nil
}

// read runs a command with --json and reads what it prints.
func read[T any](n *node, args ...string) (out T) {
	n.t.Helper()
	if err := json.Unmarshal([]byte(n.run(append(args, "--json")...)), &out); err != nil {
		n.t.Fatalf("planet %v: %v", args, err)
	}
	return out
}

// TestOrdersBetweenProcessesThatAreKilled: two nodes trade over HTTP while each is killed in turn, with kill -9 and in the middle of its work. Their operators give
// commands all the while, whether the node runs or not. In the end both sides agree on every order, everything that was placed is there, and no loaf was sold twice.
// PLANET_TEST_ORDER_KILLS says how often.
func TestOrdersBetweenProcessesThatAreKilled(t *testing.T) {
	kills := 6
	if s := os.Getenv("PLANET_TEST_ORDER_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	stock := int64(2*kills - 2)
	rye, oak := newNode(t), newNode(t)
	rye.run("user", "create", "ana")
	rye.run("coop", "create", "bakery", "--title", "Bakery", "--founder", "ana")
	oak.run("user", "create", "dag")
	oak.run("user", "create", "eli")
	rye.start()
	oak.start()
	t.Cleanup(rye.kill)
	t.Cleanup(oak.kill)
	await := func(what string, within time.Duration, done func() bool) {
		t.Helper()
		for end := time.Now().Add(within); !done(); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s did not come about\nrye: %s\noak: %s", what, rye.log.String(), oak.log.String())
			}
		}
	}
	oak.run("follow", "--as", "dag", "@bakery@planet.localhost:"+rye.port())
	db, err := storage.Open(t.Context(), storage.Config{DSN: filepath.Join(rye.dir, "data", "planet.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	await("the follow", 30*time.Second, func() bool {
		bakery, err := db.LocalActor(t.Context(), "bakery")
		if err != nil {
			t.Fatal(err)
		}
		inboxes, err := db.FollowerInboxes(t.Context(), bakery.ID)
		return err == nil && len(inboxes) == 1
	})
	offer := read[offerEntry](rye, "offer", "create", "--as", "bakery", "--title", "Loaf", "--price", "4.50", "--currency", "EUR", "--quantity", strconv.FormatInt(stock, 10))
	await("the offer in oak's market", 30*time.Second, func() bool { return len(read[[]offerEntry](oak, "offer", "list", "--search", "loaf")) == 1 })

	var mu sync.Mutex
	placed := map[storage.IRI]bool{}
	move := func(n *node, as, act string, states ...string) { // whatever refuses does so for a reason: the end tells
		for _, state := range states {
			out, err := n.try("order", "list", "--as", as, "--state", state, "--json")
			var orders []orderEntry
			if err != nil || json.Unmarshal([]byte(out), &orders) != nil {
				continue
			}
			for _, o := range orders {
				_, _ = n.try("order", act, "--as", as, o.ID.String())
			}
		}
	}
	trade := func(key string, buyer string) {
		if out, err := oak.try("order", "place", "--as", buyer, string(offer.IRI), "--quantity", "2", "--id", key, "--json"); err == nil {
			var o orderEntry
			if json.Unmarshal([]byte(out), &o) == nil {
				mu.Lock()
				placed[o.Ask] = true
				mu.Unlock()
			}
		}
		move(rye, "bakery", "accept", storage.OrderProposed)
		move(rye, "bakery", "fulfil", storage.OrderAccepted)
		move(oak, buyer, "confirm", storage.OrderFulfilled)
	}
	for i := range kills {
		var all sync.WaitGroup
		for _, buyer := range []string{"dag", "eli"} {
			all.Go(func() { trade(fmt.Sprintf("%s-%d", buyer, i), buyer) })
		}
		time.Sleep(time.Duration(rand.IntN(600)) * time.Millisecond)
		n := []*node{rye, oak}[i%2]
		n.kill()
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		n.start()
		all.Wait()
	}
	agreed := func() bool {
		for _, n := range []*node{rye, oak} {
			_, _ = n.try("queue", "retry")
		}
		move(rye, "bakery", "accept", storage.OrderProposed)
		move(rye, "bakery", "decline", storage.OrderProposed) // nothing is left
		move(rye, "bakery", "fulfil", storage.OrderAccepted)
		there := map[storage.IRI]orderEntry{}
		for _, o := range read[[]orderEntry](rye, "order", "list", "--as", "bakery") {
			there[o.Ask] = o
		}
		for _, buyer := range []string{"dag", "eli"} {
			move(oak, buyer, "confirm", storage.OrderFulfilled)
			for _, o := range read[[]orderEntry](oak, "order", "list", "--as", buyer) {
				if other := there[o.Ask]; other.State != o.State || o.State != storage.OrderConfirmed && o.State != storage.OrderRejected || other.IRI != o.IRI || other.Quantity != o.Quantity {
					return false
				}
			}
		}
		return true
	}
	await("agreement on every order", 90*time.Second, agreed)

	sold, asks := int64(0), map[storage.IRI]bool{}
	for _, o := range read[[]orderEntry](rye, "order", "list", "--as", "bakery") {
		asks[o.Ask] = true
		if o.State == storage.OrderConfirmed {
			lots, _ := o.Quantity.In("1")
			sold += lots
		}
	}
	for ask := range placed {
		if !asks[ask] {
			t.Errorf("%s was placed, and the bakery never heard of it", ask)
		}
	}
	left := read[offerEntry](rye, "offer", "show", offer.ID.String()).Available
	if n, _ := left.In("1"); sold+n != stock || len(placed) == 0 {
		t.Errorf("%d of %d loaves are sold and %s left, after %d orders", sold, stock, left, len(placed))
	}
	t.Logf("%d kills, %d orders, %d loaves sold", kills, len(placed), sold)
}
