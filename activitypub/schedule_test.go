package activitypub_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
	"planet/storage/storagetest"
)

// TestAPostWhoseTimeHasComeIsPublishedOnceWhateverFails: at each statement the process is killed, the disk is full or the database busy; the post comes once, with its picture,
// and followers elsewhere get it once.
func TestAPostWhoseTimeHasComeIsPublishedOnceWhateverFails(t *testing.T) {
	net := aptest.New(t)
	var faults *storagetest.Faults
	net.Database = func(host string) *storage.DB {
		if host != "rye.example" {
			return storagetest.New(t)
		}
		db, f := storagetest.Failing(t)
		faults = f
		return db
	}
	net.Forgive("an error was logged")
	rye, oak := net.Add("rye.example"), net.Add("oak.example")
	ana, oli := rye.Person("ana"), oak.Person("oli")
	ctx := t.Context()
	if _, err := oak.Follow(ctx, oli, "@ana@rye.example"); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	seed := uint8(0)
	for _, how := range []storagetest.Failure{storagetest.Crash, storagetest.CrashAfter, storagetest.Full, storagetest.Busy} {
		eachStatement(t, faults, how, func(n int, arm func(), mend func() bool) {
			seed++
			m := rye.Picture(ana, seed, "a loaf")
			s, err := rye.Schedule(ctx, ana, activitypub.Draft{Text: "Loaf " + m.ID.String(), Media: []storage.ID{m.ID}}, rye.Clock().Add(10*time.Minute), 0)
			if err != nil {
				t.Fatal(err)
			}
			net.Sleep(10 * time.Minute)
			before := len(oak.Home(oli))
			arm()
			_ = rye.PublishScheduled(ctx)
			failed := mend()
			if failed {
				rye.Restart()
			}
			_, waits := rye.DB.ScheduledByID(ctx, ana.Actor.ID, s.ID)
			posts, err := rye.DB.PostsBy(ctx, ana.Actor.ID, []string{storage.Public}, storage.Page{Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			published := len(posts) == 1 && strings.Contains(posts[0].Source, m.ID.String())
			if (waits == nil) == published {
				t.Errorf("it waits: %v, it is published: %v", waits == nil, published)
			}
			net.Sleep(time.Hour) // a try that failed is made again
			for range 2 {
				if err := rye.PublishScheduled(ctx); err != nil {
					t.Error(err)
				}
			}
			net.Deliver()
			posts, err = rye.DB.PostsBy(ctx, ana.Actor.ID, []string{storage.Public}, storage.Page{Limit: 2})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(posts[0].Source, m.ID.String()) || len(posts) > 1 && strings.Contains(posts[1].Source, m.ID.String()) || len(posts[0].Attachments) != 1 {
				t.Errorf("in the end there are %+v", posts)
			}
			if got := len(oak.Home(oli)) - before; got != 1 {
				t.Errorf("the follower got %d of it", got)
			}
			if err := rye.Delete(ctx, ana, posts[0].ID); err != nil {
				t.Fatal(err)
			}
			net.Deliver()
		})
	}
}

// TestWhoIsGoneLeavesNothingOfHers: what only she saw goes with her.
func TestWhoIsGoneLeavesNothingOfHers(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		net := aptest.New(t)
		net.Database = func(string) *storage.DB { return db }
		rye := net.Add("rye.example")
		ana, bo := rye.Person("ana"), rye.Person("bo")
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		p := rye.Say(bo, "hello")
		for _, by := range []activitypub.By{ana, bo} {
			id := by.Actor.ID
			_, err := rye.Schedule(ctx, by, activitypub.Draft{Text: "later", Key: "k"}, rye.Clock().Add(time.Hour), 0)
			must(err)
			_, err = rye.Publish(ctx, by, activitypub.Draft{Text: "@" + by.Actor.Username + "@rye.example a note", Visibility: storage.Direct})
			must(err)
			must(rye.BlockDomain(ctx, by, "loud.example"))
			a, err := rye.CreateAnnouncement(ctx, "We move", nil)
			must(err)
			must(db.ReadAnnouncement(ctx, a.ID, id))
			must(db.React(ctx, a.ID, id, "🍞", 8))
			l := &storage.List{ActorID: id, Title: "x", Replies: "none"}
			must(db.SaveList(ctx, l))
			must(db.SetListMember(ctx, l.ID, bo.Actor.ID, true))
			f := &storage.Filter{ActorID: id, Title: "x", Contexts: []string{"home"}, Action: "warn", Keywords: []storage.FilterKeyword{{Keyword: "x"}}}
			must(db.SaveFilter(ctx, f))
			must(db.AddFilterPost(ctx, &storage.FilterPost{FilterID: f.ID, PostID: p.ID}))
			must(db.SaveNoteAbout(ctx, id, bo.Actor.ID, "x"))
			must(db.SaveFollowedTag(ctx, &storage.FollowedTag{ActorID: id, Name: "rye"}))
			must(db.SaveFollowWish(ctx, &storage.FollowWish{ActorID: id, TargetID: bo.Actor.ID, Notify: true}))
			must(db.SaveMarker(ctx, &storage.Marker{ActorID: id, Timeline: storage.MarkerHome, LastRead: 1}))
			must(db.MuteConversation(ctx, id, "x", true))
		}
		tables := []string{"scheduled_posts", "conversations", "domain_blocks", "announcement_readers", "announcement_reactions", "lists", "list_members", "filters", "filter_keywords", "filter_posts",
			"account_notes", "followed_tags", "follow_wishes", "markers", "muted_conversations", "idempotency_keys"}
		count := func(table string) int { return storagetest.Count(t, db, "SELECT * FROM "+table) }
		for _, table := range tables {
			if n := count(table); n != 2 {
				t.Fatalf("%s has %d rows, want one of each", table, n)
			}
		}
		must(rye.DeleteActor(ctx, ana))
		for _, table := range tables {
			if n := count(table); n != 1 {
				t.Errorf("%s has %d rows, want that of bo alone", table, n)
			}
		}
		if err := rye.Unschedule(ctx, ana, 1); err == nil || errors.Is(err, storage.ErrNotFound) {
			t.Errorf("who is gone is answered %v", err)
		}
	})
}
