package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"planet/storage"
	"planet/storage/storagetest"
)

// stall is an actor of a node who offers bread.
type stall struct {
	t     testing.TB
	db    *storage.DB
	actor *storage.Actor
	made  int
}

func newStall(t testing.TB, db *storage.DB) *stall {
	t.Helper()
	s := &stall{t: t, db: db, actor: &storage.Actor{IRI: "https://rye.example/users/baker", Type: storage.Organization, Username: "baker", Inbox: "https://rye.example/users/baker/inbox"}}
	if err := db.SaveActor(context.Background(), s.actor); err != nil {
		t.Fatal(err)
	}
	return s
}

// offer offers so many loaves, nil for any number, of which at least so many are in one order.
func (s *stall) offer(stock *int64, minimum int64, words ...string) *storage.Offer {
	s.t.Helper()
	s.made++
	o := &storage.Offer{IRI: storage.IRI(fmt.Sprintf("https://rye.example/offers/%d", s.made)), ActorID: s.actor.ID, Purpose: storage.PurposeOffer, Title: "Bread", Category: storage.Goods,
		Unit: "one", Per: "1", UnitBased: true, Stock: stock, Available: stock, Minimum: minimum, Pricing: storage.PriceGift, State: storage.OfferOpen, Orderable: true, Listed: true,
		PublishedAt: s.db.Now().UTC(), UpdatedAt: s.db.Now().UTC()}
	if fresh, err := s.db.AddOffer(context.Background(), o, words); err != nil || !fresh {
		s.t.Fatalf("offer: %v, %v", fresh, err)
	}
	return o
}

// order keeps an order of an offer that was accepted.
func (s *stall) order(f *storage.Offer, lots int64) *storage.Order {
	s.t.Helper()
	s.made++
	o := &storage.Order{AskIRI: storage.IRI(fmt.Sprintf("https://oak.example/asks/%d", s.made)), OfferID: f.ID, ProposerID: s.actor.ID, ResponderID: s.actor.ID, Lots: lots,
		Quantity: storage.Decimal(fmt.Sprint(lots)), State: storage.OrderAccepted, Reserved: true, ExpiresAt: s.db.Now()}
	if _, err := s.db.AddOrder(context.Background(), o); err != nil {
		s.t.Fatal(err)
	}
	return o
}

func (s *stall) at(id storage.ID) *storage.Offer {
	s.t.Helper()
	o, err := s.db.OfferByID(context.Background(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return o
}

func lots(n int64) *int64 { return &n }

// A plain model of an offer's stock beside the real one: reserving, giving back, setting anew, pausing and closing in any order.
func TestStockIsWhatIsLeftAndWhatIsReserved(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStall(t, db)
		ctx := context.Background()
		rapid.Check(t, func(rt *rapid.T) {
			minimum := rapid.Int64Range(1, 3).Draw(rt, "minimum")
			left := rapid.Int64Range(0, 9).Draw(rt, "stock") + minimum
			unlimited := rapid.IntRange(0, 5).Draw(rt, "unlimited") == 0
			var f *storage.Offer
			if f = s.offer(nil, minimum); !unlimited {
				f = s.offer(lots(left), minimum)
			}
			state := storage.OfferOpen
			var held []*storage.Order
			soldOrOpen := func() {
				if state == storage.OfferOpen || state == storage.OfferSold {
					if state = storage.OfferOpen; !unlimited && left < minimum {
						state = storage.OfferSold
					}
				}
			}
			for range rapid.IntRange(1, 25).Draw(rt, "acts") {
				switch rapid.SampledFrom([]string{"reserve", "reserve", "release", "restock", "state"}).Draw(rt, "act") {
				case "reserve":
					n := rapid.Int64Range(1, 6).Draw(rt, "lots")
					err := db.Reserve(ctx, f.ID, n)
					if fits := unlimited || n <= left; fits != (err == nil) || !fits && !errors.Is(err, storage.ErrConflict) {
						rt.Fatalf("%d of %d: %v", n, left, err)
					}
					if err == nil {
						if held = append(held, s.order(f, n)); !unlimited {
							left -= n
							soldOrOpen()
						}
					}
				case "release":
					if len(held) == 0 {
						continue
					}
					i := rapid.IntRange(0, len(held)-1).Draw(rt, "whose")
					o := held[i]
					held = append(held[:i:i], held[i+1:]...)
					err := db.Transaction(ctx, func(tx *storage.DB) error {
						o.Reserved, o.State = false, storage.OrderCancelled
						if err := tx.Release(ctx, f.ID, o.Lots); err != nil {
							return err
						}
						return tx.SaveOrder(ctx, o)
					})
					if err != nil {
						rt.Fatal(err)
					}
					if !unlimited {
						left += o.Lots
						soldOrOpen()
					}
				case "restock":
					if unlimited = rapid.IntRange(0, 4).Draw(rt, "any") == 0; unlimited {
						if err := db.Restock(ctx, f.ID, nil); err != nil {
							rt.Fatal(err)
						}
					} else {
						left = rapid.Int64Range(0, 9).Draw(rt, "there are")
						if err := db.Restock(ctx, f.ID, &left); err != nil {
							rt.Fatal(err)
						}
					}
					soldOrOpen()
				case "state":
					to := rapid.SampledFrom([]string{storage.OfferOpen, storage.OfferPaused, storage.OfferClosed}).Draw(rt, "to")
					if to == storage.OfferOpen && !unlimited && left < minimum {
						continue // activitypub refuses it
					}
					if err := db.SetOfferState(ctx, f.ID, to); err != nil {
						rt.Fatal(err)
					}
					state = to
				}
				now := s.at(f.ID)
				stock, available, reserved, err := db.CheckStock(ctx, f.ID)
				if err != nil {
					rt.Fatal(err)
				}
				var want int64
				for _, o := range held {
					want += o.Lots
				}
				switch {
				case now.State != state:
					rt.Fatalf("the offer is %s, want %s", now.State, state)
				case reserved != want:
					rt.Fatalf("%d are reserved, want %d", reserved, want)
				case unlimited != (stock == nil) || unlimited != (available == nil):
					rt.Fatalf("unlimited is %v, and of %v there are %v left", unlimited, stock, available)
				case !unlimited && (*available != left || *stock != left+want):
					rt.Fatalf("of %d there are %d left, want %d of %d", *stock, *available, left, left+want)
				}
			}
		})
	})
}

func TestALotThatIsNotThereIsNeverTaken(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStall(t, db)
		f := s.offer(lots(5), 1)
		for _, c := range []struct {
			n    int64
			want error
		}{{6, storage.ErrConflict}, {4, nil}, {2, storage.ErrConflict}, {1, nil}, {1, storage.ErrConflict}} {
			if err := db.Reserve(t.Context(), f.ID, c.n); !errors.Is(err, c.want) {
				t.Errorf("%d more: %v, want %v", c.n, err, c.want)
			}
		}
		if err := db.Reserve(t.Context(), 1, 1); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("of no offer at all: %v", err)
		}
	})
}

// What an order is about is written once; what happened to it is never written anew.
func TestTermsOfAnOrderAndItsStepsStay(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStall(t, db)
		f := s.offer(lots(5), 1)
		o := s.order(f, 2)
		if err := db.AddOrderStep(t.Context(), &storage.OrderStep{OrderID: o.ID, Act: "place", State: o.State}); err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{
			"UPDATE orders SET lots = 3", "UPDATE orders SET quantity = '3'", "UPDATE orders SET amount = '1'", "UPDATE orders SET offer_id = offer_id + 1", "UPDATE orders SET ask_iri = 'x'",
			"UPDATE orders SET proposer_id = responder_id + 1", "UPDATE orders SET responder_id = 7", "DELETE FROM orders", "UPDATE order_steps SET act = 'accept'", "UPDATE order_steps SET words = 'x'",
			"DELETE FROM order_steps", "UPDATE orders SET state = 'eaten'", "UPDATE offers SET available = -1", "UPDATE offers SET available = stock + 1", "UPDATE offers SET state = 'eaten'",
		} {
			if err := storagetest.Try(db, query); err == nil {
				t.Errorf("%s was done", query)
			}
		}
		changed := *o
		changed.Lots, changed.Quantity, changed.Amount, changed.State, changed.Note = 4, "4", "1", storage.OrderFulfilled, "other"
		if err := db.SaveOrder(t.Context(), &changed); err != nil {
			t.Fatal(err)
		}
		now, err := db.OrderByID(t.Context(), o.ID)
		if err != nil || now.State != storage.OrderFulfilled || now.Lots != 2 || now.Quantity != "2" || now.Amount != "" || now.Note != "" {
			t.Errorf("the order is %+v, %v: want its state changed, and its terms as they were", now, err)
		}
		if fresh, err := db.AddOrder(t.Context(), &storage.Order{AskIRI: o.AskIRI, OfferID: f.ID, ProposerID: s.actor.ID, ResponderID: s.actor.ID, State: storage.OrderProposed}); err != nil || fresh {
			t.Errorf("a second order of the same ask: %v, %v", fresh, err)
		}
		first, second := s.order(f, 1), s.order(f, 1)
		first.IRI, second.IRI = "https://rye.example/agreements/1", "https://rye.example/agreements/1"
		if err := db.SaveOrder(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if err := db.SaveOrder(t.Context(), second); err == nil {
			t.Error("two orders have one agreement")
		}
	})
}

func TestADeletedOfferKeepsWhatItsOrdersNeed(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStall(t, db)
		f := s.offer(lots(5), 1, "bread")
		if err := db.Reserve(t.Context(), f.ID, 5); err != nil {
			t.Fatal(err)
		}
		o := s.order(f, 5)
		if err := db.DeleteOffer(t.Context(), f.ID); err != nil {
			t.Fatal(err)
		}
		if err := db.Release(t.Context(), f.ID, o.Lots); err != nil {
			t.Fatal(err)
		}
		if now := s.at(f.ID); now.State != storage.OfferClosed || now.DeletedAt == nil || now.Title != "Bread" || now.Open(db.Now()) {
			t.Errorf("the deleted offer is %+v", now)
		}
		if found, err := db.Market(t.Context(), storage.Market{Words: []string{"bre"}}); err != nil || len(found) != 0 {
			t.Errorf("it is still found: %v, %v", found, err)
		}
	})
}

func TestTheMarketIsSearchedByBeginningsOfWordsAndByPlace(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStall(t, db)
		place := func(f *storage.Offer, lat, lon float64) {
			f.Latitude, f.Longitude = &lat, &lon
			if err := db.SaveOffer(t.Context(), f, nil); err != nil {
				t.Fatal(err)
			}
		}
		bread, cake := s.offer(nil, 1, "bread", "rye"), s.offer(lots(3), 1, "breakfast", "cake")
		fiji, samoa := s.offer(nil, 1), s.offer(nil, 1)
		place(fiji, -17, 179.5)
		place(samoa, -17, -179.5)
		sold := s.offer(lots(1), 1, "bread")
		if err := db.Reserve(t.Context(), sold.ID, 1); err != nil {
			t.Fatal(err)
		}
		ended := s.offer(nil, 1, "bread")
		past := db.Now().Add(-time.Minute)
		ended.EndsAt = &past
		if err := db.SaveOffer(t.Context(), ended, []string{"bread"}); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			ask  storage.Market
			want []*storage.Offer
		}{
			"a beginning":          {storage.Market{Words: []string{"brea"}}, []*storage.Offer{cake, bread}},
			"two words":            {storage.Market{Words: []string{"bre", "ry"}}, []*storage.Offer{bread}},
			"a word of none":       {storage.Market{Words: []string{"readb"}}, nil},
			"a percent sign":       {storage.Market{Words: []string{"%"}}, nil},
			"across the date line": {storage.Market{Near: &storage.Near{South: -18, North: -16, West: 179, East: -179}}, []*storage.Offer{samoa, fiji}},
			"east of it":           {storage.Market{Near: &storage.Near{South: -18, North: -16, West: 179, East: 180}}, []*storage.Offer{fiji}},
			"somewhere else":       {storage.Market{Near: &storage.Near{South: 40, North: 42, West: 1, East: 3}}, nil},
			"requests":             {storage.Market{Purpose: storage.PurposeRequest}, nil},
			"gifts are cheap":      {storage.Market{Most: 0.01, Words: []string{"cake"}}, []*storage.Offer{cake}},
		} {
			c.ask.Page.Limit = 100
			found, err := db.Market(t.Context(), c.ask)
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for i := range found {
				got = append(got, string(found[i].IRI))
			}
			for _, f := range c.want {
				want = append(want, string(f.IRI))
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
	})
}
