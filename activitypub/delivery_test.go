package activitypub_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// farFollowers gives an actor a follower on each of n hosts, served by the handler that make returns.
func farFollowers(t testing.TB, net *aptest.Network, node *aptest.Node, of *storage.Actor, n int, answer func(i int) http.Handler) {
	t.Helper()
	err := node.DB.Transaction(t.Context(), func(tx *storage.DB) error {
		for i := range n {
			host := fmt.Sprintf("h%03d.example", i)
			iri := storage.IRI("https://" + host + "/users/ann")
			a := &storage.Actor{IRI: iri, Type: storage.Person, Username: "ann", Domain: host, Inbox: iri + "/inbox", SharedInbox: storage.IRI("https://" + host + "/inbox")}
			if err := tx.SaveActor(t.Context(), a); err != nil {
				return err
			}
			if err := tx.SaveFollow(t.Context(), &storage.Follow{IRI: iri + "#follow", ActorID: a.ID, TargetID: of.ID, State: storage.FollowAccepted}); err != nil {
				return err
			}
			net.Serve(host, answer(i))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Twenty hosts do not answer at all while two posts go out; the other 180 get both. Nothing is timed: if a slow host held
// up another, the second post would never arrive.
func TestFLO176SlowHostsHoldNobodyUp(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	release := make(chan struct{})
	var healthy, slow sync.WaitGroup
	healthy.Add(2 * 180)
	slow.Add(2 * 20)
	farFollowers(t, net, rye, baker.Actor, 200, func(i int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if i%10 == 0 {
				<-release
				slow.Done()
			} else {
				healthy.Done()
			}
			w.WriteHeader(http.StatusAccepted)
		})
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- rye.Run(ctx) }()
	rye.Say(baker, "one")
	rye.Say(baker, "two")
	all := make(chan struct{})
	go func() { healthy.Wait(); close(all) }()
	select {
	case <-all:
	case <-ctx.Done():
		t.Error("the healthy hosts wait for the slow ones")
	}
	close(release)
	slow.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Deliveries about one object reach a host in the order of the deeds, and what a deletion makes pointless is not sent.
func TestREL319OrderOfOneObject(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker, ana := rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana")
	follows(t, net, oak, ana, "@baker@rye.example")
	net.Serve("oak.example", nil)
	kept, lost := rye.Say(baker, "kept"), rye.Say(baker, "never seen")
	net.Deliver() // fails, waits
	if _, err := rye.Edit(t.Context(), baker, kept.ID, activitypub.Draft{Text: "kept, edited"}); err != nil {
		t.Fatal(err)
	}
	if err := rye.Delete(t.Context(), baker, lost.ID); err != nil {
		t.Fatal(err)
	}
	net.Serve("oak.example", oak.Handler())
	net.Sleep(10 * time.Minute)
	net.Deliver()
	home := oak.Home(ana)
	if len(home) != 1 || home[0].IRI != kept.IRI || home[0].EditedAt == nil {
		t.Errorf("ana sees %+v, want the edited post alone", home)
	}
}

func TestREL315GoneAndMissingInboxesAreFinal(t *testing.T) {
	for _, status := range []int{http.StatusGone, http.StatusNotFound} {
		net := aptest.New(t, "rye.example")
		rye := net.Node("rye.example")
		baker := rye.Coop(rye.Person("nuria"), "baker")
		tries := 0
		farFollowers(t, net, rye, baker.Actor, 1, func(int) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tries++; w.WriteHeader(status) })
		})
		rye.Say(baker, "hello")
		for range 5 {
			net.Deliver()
			net.Sleep(time.Hour)
		}
		if tries != 1 {
			t.Errorf("an inbox that answers %d was tried %d times, want once", status, tries)
		}
	}
}

func TestREL317RetryAfterIsClamped(t *testing.T) {
	for _, c := range []struct {
		header string
		after  time.Duration // by then it was tried again
	}{{"31536000", 25 * time.Hour}, {"-5", time.Minute}, {"soon", time.Minute}, {"Thu, 01 Jan 1970 00:00:00 GMT", time.Minute}} {
		t.Run(c.header, func(t *testing.T) {
			net := aptest.New(t, "rye.example")
			rye := net.Node("rye.example")
			baker := rye.Coop(rye.Person("nuria"), "baker")
			tries := 0
			farFollowers(t, net, rye, baker.Actor, 1, func(int) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					tries++
					w.Header().Set("Retry-After", c.header)
					w.WriteHeader(http.StatusServiceUnavailable)
				})
			})
			rye.Say(baker, "hello")
			net.Deliver()
			net.Sleep(c.after)
			net.Deliver()
			if tries != 2 {
				t.Errorf("tried %d times after %s, want 2", tries, c.after)
			}
		})
	}
}

func TestREL316AHostThatFailsForAWeekIsAskedOnceADay(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	var tries atomic.Int64
	var up atomic.Bool
	farFollowers(t, net, rye, baker.Actor, 1, func(int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tries.Add(1)
			if !up.Load() {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			w.WriteHeader(http.StatusAccepted)
		})
	})
	for range 9 {
		rye.Say(baker, "news of the day")
		net.Deliver()
		net.Sleep(24*time.Hour + time.Minute)
	}
	h, err := rye.DB.HostByName(t.Context(), "h000.example")
	if err != nil || h.UnavailableAt == nil {
		t.Fatalf("after nine days of failures the host is %+v, %v; want unavailable", h, err)
	}
	before := tries.Load()
	for range 24 {
		net.Deliver()
		net.Sleep(time.Hour)
	}
	if n := tries.Load() - before; n > 2 {
		t.Errorf("an unavailable host was tried %d times in a day", n)
	}
	up.Store(true)
	net.Sleep(25 * time.Hour)
	net.Deliver()
	if h, err = rye.DB.HostByName(t.Context(), "h000.example"); err != nil || h.UnavailableAt != nil {
		t.Errorf("the host is back, but %+v, %v", h, err)
	}
}

func TestTheSecondKnockIsRemembered(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	var schemes []string
	farFollowers(t, net, rye, baker.Actor, 1, func(int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Signature-Input") == "" {
				schemes = append(schemes, "cavage")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			schemes = append(schemes, "rfc9421")
			w.WriteHeader(http.StatusAccepted)
		})
	})
	rye.Say(baker, "one")
	net.Deliver()
	rye.Say(baker, "two")
	net.Deliver()
	if got, want := fmt.Sprint(schemes), "[cavage rfc9421 rfc9421]"; got != want {
		t.Errorf("knocks: %s, want %s", got, want)
	}
}

// An unavailable host that signs something has proved that it lives: what waits for it goes out at once.
func TestREL316AHostThatSpeaksIsBack(t *testing.T) {
	net, rye, baker, ann := stage(t)
	befriend(t, net, ann, baker.Actor)
	ann.Answer = http.StatusBadGateway
	for range 9 {
		rye.Say(baker, "news of the day")
		net.Deliver()
		net.Sleep(24*time.Hour + time.Minute)
	}
	if h, err := rye.DB.HostByName(t.Context(), "far.example"); err != nil || h.UnavailableAt == nil {
		t.Fatalf("the host is %+v, %v; want unavailable", h, err)
	}
	ann.Answer = 0
	before := len(ann.Received())
	if got, body := post(t, net, ann.Request(ryeInbox, ann.Note("back", "I am back", string(baker.Actor.IRI)))); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	rye.Say(baker, "welcome back")
	net.Deliver()
	if got := len(ann.Received()) - before; got == 0 {
		t.Error("nothing goes out to her")
	}
}

// The clock jumps while a delivery waits for its next try: nothing is tried in a burst, and nothing is stuck.
func TestREL318TheClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			net, rye, baker, ann := stage(t)
			befriend(t, net, ann, baker.Actor)
			var tries atomic.Int64
			var up atomic.Bool
			net.Serve("far.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tries.Add(1)
				if !up.Load() {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				ann.ServeHTTP(w, r)
			}))
			const posts = 5
			for i := range posts {
				rye.Say(baker, fmt.Sprint("post ", i))
			}
			net.Deliver()
			if n := tries.Load(); n > posts {
				t.Fatalf("%d tries of %d deliveries before the jump", n, posts)
			}
			before := tries.Load()
			net.Sleep(jump)
			net.Deliver()
			if got := tries.Load() - before; got > posts {
				t.Errorf("%d tries of %d deliveries right after the jump", got, posts)
			}
			up.Store(true)
			for range 4 {
				net.Sleep(45 * time.Minute)
				net.Deliver()
			}
			seen := 0
			for _, raw := range ann.Received() {
				if strings.Contains(string(raw), `"Create"`) {
					seen++
				}
			}
			if seen != posts {
				t.Errorf("%d of %d posts arrived", seen, posts)
			}
		})
	}
}

func TestREL320TheSameAgainAfterARestartAndADay(t *testing.T) {
	net, rye, baker, ann := stage(t)
	note, follow := ann.Note("n", "hello", string(baker.Actor.IRI)), ann.Activity("Follow", "f", baker.Actor.IRI)
	for _, act := range []map[string]any{note, follow} {
		if got, body := post(t, net, ann.Request(ryeInbox, act)); got != 202 {
			t.Fatalf("%d %s", got, body)
		}
	}
	net.Deliver()
	before := rye.State()
	for _, wait := range []time.Duration{0, 25 * time.Hour, 20 * 24 * time.Hour} {
		again, err := activitypub.New(t.Context(), rye.Config)
		if err != nil {
			t.Fatal(err)
		}
		net.Serve("rye.example", again.Handler())
		net.Sleep(wait)
		for _, act := range []map[string]any{note, follow} {
			if got, body := post(t, net, ann.Request(ryeInbox, act)); got != 202 {
				t.Errorf("after a restart and %s: %d %s", wait, got, body)
			}
		}
		rye.WantUnmoved(before)
	}
}

// An edit is due at once, but goes out after the post, which waits for its next try.
func TestWhatWaitsForAnOlderDeliveryIsNotDue(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	follows(t, net, oak, oak.Person("ana"), "@baker@rye.example")
	net.Away("oak.example", true)
	p := rye.Say(baker, "one")
	net.Deliver()
	if _, err := rye.Edit(t.Context(), baker, p.ID, activitypub.Draft{Text: "two"}); err != nil {
		t.Fatal(err)
	}
	if due, err := rye.DB.DeliveryDue(t.Context()); err != nil || due {
		t.Fatalf("the edit is due (%v, %v): whoever delivers until nothing is due never ends", due, err)
	}
	net.Deliver()
}

// What the simulated week found, one by one.

func TestADeletionIsToldToThoseWhoFollowNoMore(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker, ana := rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana")
	follows(t, net, oak, ana, "@baker@rye.example")
	p, private := rye.Say(baker, "one"), rye.Say(baker, "two")
	other, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "for followers", Visibility: storage.Private})
	must(t, err)
	net.Deliver()
	must(t, oak.Unfollow(t.Context(), ana, "@baker@rye.example"))
	net.Deliver()
	net.Sleep(time.Minute)
	must(t, rye.Delete(t.Context(), baker, p.ID))
	for _, id := range []storage.ID{private.ID, other.ID} {
		_, err := rye.Edit(t.Context(), baker, id, activitypub.Draft{Text: "edited"})
		must(t, err)
	}
	net.Deliver()
	for iri, want := range map[storage.IRI]string{p.IRI: "", private.IRI: "<p>edited</p>", other.IRI: "<p>for followers</p>"} {
		got, err := oak.DB.PostByIRI(t.Context(), iri)
		if err != nil || got.Content != want || (got.DeletedAt != nil) != (want == "") {
			t.Errorf("oak shows %+v, %v; want %q", got, err, want)
		}
	}
}

func TestABoostTakenBackIsToldToThoseWhoFollowNoMore(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker, ana := rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana")
	follows(t, net, oak, ana, "@baker@rye.example")
	p := rye.Say(rye.Person("pau"), "hello")
	b, err := rye.Boost(t.Context(), baker, p.ID, "")
	must(t, err)
	net.Deliver()
	if _, err := oak.DB.PostByIRI(t.Context(), b.IRI); err != nil {
		t.Fatal(err)
	}
	must(t, oak.Unfollow(t.Context(), ana, "@baker@rye.example"))
	net.Deliver()
	_, err = rye.Unboost(t.Context(), baker, p.ID)
	must(t, err)
	net.Deliver()
	if got, err := oak.DB.PostByIRI(t.Context(), b.IRI); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("oak shows %+v, %v", got, err)
	}
}

// A host is away for eight days. What waits for it is bounded, and what was given up and says what holds is told when it is
// back, also by a node that was restarted meanwhile and hears of it first.
func TestREL316WhatStillMattersGoesOutWhenTheHostIsBack(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		net := aptest.New(t, "rye.example", "oak.example")
		rye, oak := net.Node("rye.example"), net.Node("oak.example")
		baker, ana := rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana")
		follows(t, net, oak, ana, "@baker@rye.example")
		follows(t, net, rye, baker, "@ana@oak.example")
		gone, old := rye.Say(baker, "gone"), rye.Say(baker, "old")
		net.Deliver()
		net.Away("oak.example", true)
		must(t, rye.Delete(t.Context(), baker, gone.ID))
		_, err := rye.Edit(t.Context(), baker, old.ID, activitypub.Draft{Text: "new"})
		must(t, err)
		must(t, rye.Unfollow(t.Context(), baker, "@ana@oak.example"))
		var missed *storage.Post
		for day := range 8 {
			for range 10 {
				missed = rye.Say(baker, fmt.Sprint("day ", day))
				for range 2 {
					net.Deliver()
					net.Sleep(72 * time.Minute)
				}
			}
			if waiting, err := rye.DB.Deliveries(t.Context(), storage.DeliveryQueued, 1000); err != nil || len(waiting) > 45 {
				t.Fatalf("after %d days %d deliveries wait, %v", day, len(waiting), err)
			}
		}
		h, err := rye.DB.HostByName(t.Context(), "oak.example")
		if err != nil || h.UnavailableAt == nil {
			t.Fatalf("%+v, %v", h, err)
		}
		net.Away("oak.example", false)
		if restarted {
			rye.Restart()
			follows(t, net, oak, oak.Person("bo"), "@baker@rye.example") // oak signs something
		} else {
			net.Sleep(25 * time.Hour) // it is asked once a day
			net.Deliver()
		}
		net.Deliver()
		if p, err := oak.DB.PostByIRI(t.Context(), gone.IRI); err != nil || p.DeletedAt == nil {
			t.Errorf("restarted %v: oak shows %q, %v", restarted, p.Content, err)
		}
		if p, err := oak.DB.PostByIRI(t.Context(), old.IRI); err != nil || p.Content != "<p>new</p>" {
			t.Errorf("restarted %v: oak shows %q, %v", restarted, p.Content, err)
		}
		if n, err := oak.DB.CountFollowers(t.Context(), ana.Actor.ID); err != nil || n != 0 {
			t.Errorf("ana has %d followers, %v", n, err)
		}
		if _, err := oak.DB.PostByIRI(t.Context(), missed.IRI); err != nil {
			t.Errorf("the newest post did not come: %v", err)
		}
		posts, err := oak.DB.PostsBy(t.Context(), must2(oak.Resolve(t.Context(), "@baker@rye.example")).ID, []string{storage.Public}, storage.Page{Limit: 200})
		if err != nil || len(posts) > 50 {
			t.Errorf("%d posts came, %v: want those of the last days", len(posts), err)
		}
	}
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Somebody follows, likes and shares, takes it back and does it again while the other host is away: what is done last counts,
// whatever comes back first.
func TestWhatIsDoneAgainArrivesInOrder(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	nuria := rye.Person("nuria")
	baker, ana := rye.Coop(nuria, "baker"), oak.Person("ana")
	follows(t, net, oak, ana, "@baker@rye.example")
	p := rye.Say(baker, "hello")
	net.Deliver()
	seen := oak.Home(ana)[0].ID
	for round := range 4 {
		net.Away("rye.example", true)
		must2(oak.Like(t.Context(), ana, seen))
		must2(oak.Boost(t.Context(), ana, seen, ""))
		for range 1 + round {
			net.Deliver()
			must2(oak.Unlike(t.Context(), ana, seen))
			must2(oak.Unboost(t.Context(), ana, seen))
			must(t, oak.Unfollow(t.Context(), ana, "@baker@rye.example"))
			net.Sleep(time.Minute)
			net.Deliver()
			must2(oak.Like(t.Context(), ana, seen))
			must2(oak.Boost(t.Context(), ana, seen, ""))
			must2(oak.Follow(t.Context(), ana, "@baker@rye.example"))
		}
		net.Away("rye.example", false)
		for range 12 {
			net.Sleep(31 * time.Minute)
			net.Deliver()
		}
		likes, err := rye.DB.CountLikes(t.Context(), p.ID)
		must(t, err)
		boosts, err := rye.DB.CountBoosts(t.Context(), p.ID)
		must(t, err)
		followers, err := rye.DB.CountFollowers(t.Context(), baker.Actor.ID)
		must(t, err)
		if likes != 1 || boosts != 1 || followers != 1 {
			t.Errorf("after %d times: %d likes, %d boosts, %d followers, want one of each", 1+round, likes, boosts, followers)
		}
		must2(oak.Unlike(t.Context(), ana, seen))
		must2(oak.Unboost(t.Context(), ana, seen))
		net.Deliver()
	}
}
