package storage_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"planet/storage"
	"planet/storage/storagetest"
)

// pushed is a database with two people, each with a token.
type pushed struct {
	t      *testing.T
	db     *storage.DB
	actors [2]*storage.Actor
	users  [2]*storage.User
	tokens int
}

func newPushed(t *testing.T, db *storage.DB) *pushed {
	t.Helper()
	p := &pushed{t: t, db: db}
	for i, name := range []string{"ana", "bo"} {
		p.actors[i] = &storage.Actor{IRI: storage.IRI("https://rye.example/users/" + name), Type: storage.Person, Username: name}
		p.must(db.SaveActor(t.Context(), p.actors[i]))
		p.users[i] = &storage.User{ActorID: p.actors[i].ID, Username: name, Role: storage.NodeUser}
		p.must(db.CreateUser(t.Context(), p.users[i]))
	}
	return p
}

func (p *pushed) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// token is a new one of ana's.
func (p *pushed) token() *storage.Token {
	p.t.Helper()
	p.tokens++
	t := &storage.Token{Hash: fmt.Sprint("token ", p.tokens), UserID: p.users[0].ID, ActorID: p.actors[0].ID, Scopes: "push"}
	p.must(p.db.SaveToken(p.t.Context(), t))
	return t
}

func (p *pushed) subscription(t *storage.Token, host string) *storage.PushSubscription {
	return &storage.PushSubscription{TokenID: t.ID, ActorID: p.actors[0].ID, Endpoint: "https://" + host + "/1", Host: host, P256dh: []byte{4}, Auth: []byte{1}, Bearer: []byte{2},
		Alerts: []string{"mention", "follow_request"}, Policy: storage.PushAll}
}

// subscribe makes a subscription of a token's, or of a new one's.
func (p *pushed) subscribe(t *storage.Token, host string) *storage.PushSubscription {
	p.t.Helper()
	if t == nil {
		t = p.token()
	}
	s := p.subscription(t, host)
	p.must(p.db.SavePushSubscription(p.t.Context(), s))
	return s
}

// tell tells ana something; what makes it news of its own.
func (p *pushed) tell(kind string, what storage.ID) error {
	return p.db.Notify(p.t.Context(), &storage.Notification{ActorID: p.actors[0].ID, Kind: kind, FromID: p.actors[1].ID, PostID: what})
}

func (p *pushed) claim(busy ...string) []storage.PushClaim {
	p.t.Helper()
	cs, err := p.db.ClaimPushes(p.t.Context(), busy, 100, time.Minute)
	p.must(err)
	return cs
}

// TestPushesAreClaimedOneByOne: of a subscription the oldest first and one at a time, none for a busy host, each by one worker alone.
func TestPushesAreClaimedOneByOne(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		p := newPushed(t, db)
		clock := db.Now()
		db.Now = func() time.Time { return clock }
		one, two := p.subscribe(nil, "one.example"), p.subscribe(nil, "two.example")
		p.must(p.tell("mention", 1))
		p.must(p.tell("mention", 1)) // told before
		p.must(p.tell("mention", 2))
		p.must(p.tell("follow", 0)) // wanted by nobody; follow_request is not follow
		first := p.claim()
		if len(first) != 2 || first[0].Subscription.ID != one.ID || first[1].Subscription.ID != two.ID || first[0].Attempts != 1 || first[0].Subscription.Alerts[1] != "follow_request" {
			t.Fatalf("claimed %+v", first)
		}
		if again := p.claim(); len(again) != 0 {
			t.Errorf("claimed twice, or two at a time: %+v", again)
		}
		p.must(db.FinishPush(t.Context(), first[0].Push.ID))
		p.must(db.PostponePush(t.Context(), first[1].Push.ID, clock.Add(time.Hour)))
		if busy := p.claim("one.example", "three.example"); len(busy) != 1 || busy[0].Subscription.ID != two.ID || busy[0].NotificationID == first[1].NotificationID {
			t.Errorf("with one host busy, and what failed put off: %+v", busy)
		}
		clock = clock.Add(2 * time.Minute) // that worker has died
		left := p.claim()
		if len(left) != 2 || left[1].Attempts+left[0].Attempts != 3 {
			t.Errorf("left are %+v", left)
		}
		for _, c := range left {
			p.must(db.FinishPush(t.Context(), c.Push.ID))
		}
		if due, err := db.PushDue(t.Context()); err != nil || due {
			t.Errorf("what was put off is due: %v, %v", due, err)
		}
		clock = clock.Add(time.Hour)
		if late := p.claim(); len(late) != 1 || late[0].Push.ID != first[1].Push.ID || late[0].Attempts != 2 {
			t.Errorf("after an hour: %+v", late)
		}
	})
}

// TestASubscriptionThatWasReplacedEndsAlone: a worker that learns that the old one is gone leaves the new one be.
func TestASubscriptionThatWasReplacedEndsAlone(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		p := newPushed(t, db)
		token := p.token()
		old := p.subscribe(token, "one.example")
		p.must(p.tell("mention", 1))
		fresh := p.subscribe(token, "two.example")
		if fresh.ID == old.ID || len(p.claim()) != 0 {
			t.Errorf("what was owed to the old one is still owed; it was %d, is %d", old.ID, fresh.ID)
		}
		p.must(db.EndPushSubscription(t.Context(), old.ID))
		if s, err := db.PushSubscriptionOf(t.Context(), token.ID); err != nil || s.ID != fresh.ID {
			t.Errorf("the new one is %+v, %v", s, err)
		}
		p.must(db.DeletePushSubscription(t.Context(), token.ID))
		if again := p.subscribe(token, "one.example"); again.ID <= fresh.ID {
			t.Errorf("the id %d is given again", again.ID)
		}
	})
}

// TestSubscriptionsAreBounded: who subscribes over and over makes others send to a hundred addresses at most.
func TestSubscriptionsAreBounded(t *testing.T) {
	p := newPushed(t, storagetest.New(t))
	for range 103 {
		p.subscribe(nil, "one.example")
	}
	if rows := storagetest.Rows(t, p.db)["push_subscriptions"]; len(rows) != 100 {
		t.Errorf("there are %d", len(rows))
	}
	ended := p.token()
	p.must(p.db.RevokeTokens(t.Context(), p.users[0].ID))
	if rows := storagetest.Rows(t, p.db)["push_subscriptions"]; len(rows) != 0 {
		t.Errorf("after the end of all tokens there are %d", len(rows))
	}
	if err := p.db.SavePushSubscription(t.Context(), p.subscription(ended, "one.example")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a token that has ended subscribes: %v", err)
	}
}

// TestCopiesPushTogether: two copies of a node tell, claim, subscribe and sign out at once. No push is claimed twice, no news is lost, and no subscription outlives its token.
func TestCopiesPushTogether(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		p := newPushed(t, db)
		other := *p
		other.db = storagetest.Again(t, db)
		p.subscribe(nil, "one.example")
		var all sync.WaitGroup
		var mu sync.Mutex
		seen := map[int64]int{}
		for i := range 20 {
			token := p.token()
			all.Go(func() { p.check(p.db.SavePushSubscription(t.Context(), p.subscription(token, "one.example"))) })
			all.Go(func() { p.check(other.db.SavePushSubscription(t.Context(), p.subscription(token, "two.example"))) })
			all.Go(func() { p.check(other.tell("mention", storage.ID(i+1))) })
			all.Go(func() { p.check(p.tell("mention", storage.ID(i+100))) })
			all.Go(func() { p.check(other.db.RevokeToken(t.Context(), token.Hash, 0)) })
			for _, one := range []*storage.DB{p.db, other.db} {
				all.Go(func() {
					cs, err := one.ClaimPushes(t.Context(), nil, 100, time.Hour)
					p.check(err)
					mu.Lock()
					defer mu.Unlock()
					for _, c := range cs {
						seen[c.Push.ID]++
					}
				})
			}
		}
		all.Wait()
		for id, n := range seen {
			if n != 1 {
				t.Errorf("the push %d was claimed %d times", id, n)
			}
		}
		rows := storagetest.Rows(t, db)
		if len(rows["notifications"]) != 40 || len(rows["push_subscriptions"]) != 1 || len(rows["pushes"]) != 40 {
			t.Errorf("there are %d notifications, %d subscriptions, %d pushes", len(rows["notifications"]), len(rows["push_subscriptions"]), len(rows["pushes"]))
		}
	})
}

// TestNewsOutlivesASubscriptionThatEnds: what ends it is not committed yet when another copy of the node tells her something.
func TestNewsOutlivesASubscriptionThatEnds(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		p := newPushed(t, db)
		other := *p
		other.db = storagetest.Again(t, db)
		token := p.token()
		p.subscribe(token, "one.example")
		told := make(chan error, 1)
		p.must(db.Transaction(t.Context(), func(tx *storage.DB) error {
			if err := tx.DeletePushSubscription(t.Context(), token.ID); err != nil {
				return err
			}
			go func() { told <- other.tell("mention", 1) }()
			time.Sleep(300 * time.Millisecond) // until that waits
			return nil
		}))
		p.must(<-told)
		if rows := storagetest.Rows(t, db); len(rows["notifications"]) != 1 || len(rows["pushes"]) != 0 {
			t.Errorf("there are %d notifications, %d pushes", len(rows["notifications"]), len(rows["pushes"]))
		}
	})
}

// check wants no error but that of a token that has ended.
func (p *pushed) check(err error) {
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		p.t.Error(err)
	}
}
