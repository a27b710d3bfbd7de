package activitypub_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
	"planet/storage/storagetest"
)

// The race for the last loaf, on both databases: as many are accepted as there are.

// onEach runs a test on a node with SQLite, and on one with PostgreSQL where there is a server.
func onEach(t *testing.T, test func(t *testing.T, net *aptest.Network, rye *aptest.Node)) {
	t.Run("sqlite", func(t *testing.T) {
		net := aptest.New(t, "rye.example")
		test(t, net, net.Node("rye.example"))
	})
	t.Run("postgres", func(t *testing.T) {
		db := storagetest.Postgres(t)
		net := aptest.New(t)
		rye := net.Add("rye.example", func(c *activitypub.Config) {
			db.Now, db.Log = c.Now, c.Log
			c.DB = db
		})
		rye.DB = db
		test(t, net, rye)
	})
}

// atOnce does something many times at the same time, and counts how often it was done, and how often refused with a code.
func atOnce(t *testing.T, n int, code string, do func(i int) error) (done, refused int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			err := do(i)
			mu.Lock()
			defer mu.Unlock()
			var p *activitypub.Problem
			switch {
			case err == nil:
				done++
			case errors.As(err, &p) && p.Code == code:
				refused++
			default:
				t.Errorf("number %d: %v", i, err)
			}
		})
	}
	close(start)
	all.Wait()
	return done, refused
}

func TestTheLastLoafIsSoldOnce(t *testing.T) {
	onEach(t, func(t *testing.T, net *aptest.Network, rye *aptest.Node) {
		ctx := context.Background()
		ana := rye.Person("ana")
		bakery := rye.Coop(ana, "bakery")
		var guests []activitypub.By
		for i := range 20 {
			guests = append(guests, rye.Person(fmt.Sprint("guest", i)))
		}
		s := &scene{net: net, rye: rye, baker: bakery}
		s.ann = s.peer("far.example", "ann", 1)
		net.Serve("far.example", s.ann)
		count := func(f *storage.Offer, states ...string) int {
			os, err := rye.DB.OrdersOfOffer(ctx, f.ID, states, storage.Page{Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			return len(os)
		}
		sold := func(f *storage.Offer) {
			t.Helper()
			now, err := rye.DB.OfferByID(ctx, f.ID)
			if err != nil || now.State != storage.OfferSold || *now.Available != 0 {
				t.Errorf("the offer is %s with %d left, want it sold; %v", now.State, *now.Available, err)
			}
			s.left(t, f)
		}

		t.Run("by orders on the node, accepted at once", func(t *testing.T) {
			f := s.bread(t, activitypub.OfferDraft{Quantity: "7", AutoAccept: true})
			done, refused := atOnce(t, 20, "sold_out", func(i int) error {
				_, err := rye.PlaceOrder(ctx, guests[i], activitypub.OrderDraft{Offer: f})
				return err
			})
			if done != 7 || refused != 13 || count(f, storage.OrderAccepted) != 7 || count(f) != 7 {
				t.Errorf("%d orders were taken and %d refused, want 7 and 13", done, refused)
			}
			sold(f)
		})
		t.Run("by orders from elsewhere, accepted at once", func(t *testing.T) {
			f := s.bread(t, activitypub.OfferDraft{Quantity: "7", AutoAccept: true})
			var asks []dict
			for range 20 {
				asks = append(asks, s.asks(s.ann, f, "1", nil))
			}
			atOnce(t, 40, "", func(i int) error { // each of them comes twice
				if got, body := post(t, net, s.ann.Request(ryeInbox, asks[i/2])); got != 202 {
					return fmt.Errorf("%d %s", got, body)
				}
				return nil
			})
			if a, r := count(f, storage.OrderAccepted), count(f, storage.OrderRejected); a != 7 || r != 13 {
				t.Errorf("%d orders were accepted and %d refused, want 7 and 13", a, r)
			}
			sold(f)
		})
		t.Run("by hand, while others give theirs back", func(t *testing.T) {
			f := s.bread(t, activitypub.OfferDraft{Quantity: "7"})
			orders := make([]*storage.Order, len(guests))
			for i, g := range guests {
				var err error
				if orders[i], err = rye.PlaceOrder(ctx, g, activitypub.OrderDraft{Offer: f}); err != nil {
					t.Fatal(err)
				}
			}
			done, refused := atOnce(t, 20, "sold_out", func(i int) error {
				_, err := rye.MoveOrder(ctx, bakery, orders[i].ID, "accept", "")
				return err
			})
			if done != 7 || refused != 13 {
				t.Errorf("%d orders were accepted and %d refused, want 7 and 13", done, refused)
			}
			sold(f)
			accepted, err := rye.DB.OrdersOfOffer(ctx, f.ID, []string{storage.OrderAccepted}, storage.Page{Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			waiting, err := rye.DB.OrdersOfOffer(ctx, f.ID, []string{storage.OrderProposed}, storage.Page{Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			atOnce(t, 14+13, "sold_out", func(i int) error { // both sides cancel the same seven at once, and all others are accepted
				if i >= 14 {
					_, err := rye.MoveOrder(ctx, bakery, waiting[i-14].ID, "accept", "")
					return err
				}
				by := bakery
				if i%2 == 1 {
					for _, g := range guests {
						if g.Actor.ID == accepted[i/2].ResponderID {
							by = g
						}
					}
				}
				_, err := rye.MoveOrder(ctx, by, accepted[i/2].ID, "cancel", "")
				var p *activitypub.Problem
				if errors.As(err, &p) && p.Code == "state" { // the other one was faster
					err = nil
				}
				return err
			})
			if n := count(f, storage.OrderCancelled); n != 7 {
				t.Errorf("%d are cancelled, want 7", n)
			}
			left := s.left(t, f)
			if n := count(f, storage.OrderAccepted); left != fmt.Sprint(7-n) {
				t.Errorf("%d are accepted of 7 and %s left", n, left)
			}
		})
		t.Run("by one who presses the button again and again", func(t *testing.T) {
			f := s.bread(t, activitypub.OfferDraft{Quantity: "7", AutoAccept: true})
			atOnce(t, 20, "", func(int) error {
				_, err := rye.PlaceOrder(ctx, guests[0], activitypub.OrderDraft{Offer: f, Key: "button"})
				return err
			})
			if n := count(f); n != 1 || s.left(t, f) != "6" {
				t.Errorf("there are %d orders, want one, and %s left", n, s.left(t, f))
			}
		})
	})
}
