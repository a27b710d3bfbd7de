package storage_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"planet/storage"
	"planet/storage/storagetest"
)

var update = flag.Bool("update", false, "write golden files anew")

// TestSchema holds the one page on which the schema can be read against the migrations.
func TestSchema(t *testing.T) {
	db := storagetest.New(t)
	got, err := db.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "schema.sql")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the schema differs from %s; look at the difference, then run this test with -update", golden)
	}
}

func actor(t *testing.T, db *storage.DB, name, domain string) *storage.Actor {
	t.Helper()
	host := domain
	if host == "" {
		host = "rye.example"
	}
	iri := storage.IRI("https://" + host + "/users/" + name)
	a := &storage.Actor{IRI: iri, Type: storage.Person, Username: name, Domain: domain, Inbox: iri + "/inbox", Followers: iri + "/followers",
		Links: []storage.Link{{Name: "Shop", URL: "https://shop.example"}}, Principles: []string{"1", "7"}}
	if err := db.SaveActor(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestActorsAreKeptWhole(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		a := actor(t, db, "Ana", "")
		lat := 41.98
		a.Latitude, a.Locked, a.Fields = &lat, true, []storage.Field{{Name: "x", Value: "<b>"}}
		if err := db.SaveActor(ctx, a); err != nil {
			t.Fatal(err)
		}
		a.Locked = false // false is saved too
		if err := db.SaveActor(ctx, a); err != nil {
			t.Fatal(err)
		}
		got, err := db.LocalActor(ctx, "ANA")
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != a.ID || got.Locked || got.Latitude == nil || *got.Latitude != lat || len(got.Links) != 1 || len(got.Fields) != 1 || got.Principles[1] != "7" || !got.CreatedAt.Equal(a.CreatedAt) {
			t.Errorf("got %+v", got)
		}
		twin := &storage.Actor{IRI: "https://rye.example/users/other", Type: storage.Person, Username: "aNa"}
		if err := db.SaveActor(ctx, twin); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("two actors of one name: %v, want ErrConflict", err)
		}
		if _, err := db.ActorByIRI(ctx, "https://nobody.example"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
	})
}

func TestPostsTheirEditsAndTombstones(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		ana, bo := actor(t, db, "ana", ""), actor(t, db, "bo", "far.example")
		p := &storage.Post{IRI: bo.IRI + "/1", ActorID: bo.ID, Type: "Note", Visibility: storage.Direct, Content: "one", Tags: []string{"bread"},
			Mentions: []storage.Mention{{ActorID: ana.ID, IRI: ana.IRI}}, PublishedAt: time.Now().UTC(), Raw: []byte("{}")}
		if err := db.SavePost(ctx, p); err != nil {
			t.Fatal(err)
		}
		home := func() []storage.Post {
			ps, err := db.HomeTimeline(ctx, ana.ID, storage.Page{})
			if err != nil {
				t.Fatal(err)
			}
			return ps
		}
		if got := home(); len(got) != 1 || got[0].Content != "one" || got[0].Tags[0] != "bread" {
			t.Fatalf("ana sees %+v", got)
		}
		edit := *p
		edit.ID, edit.Content, edit.Visibility, edit.Tags = 0, "two", storage.Public, nil
		if err := db.SavePost(ctx, &edit); err != nil {
			t.Fatal(err)
		}
		if got := home(); len(got) != 1 || got[0].Content != "two" || got[0].Visibility != storage.Direct || len(got[0].Tags) != 0 {
			t.Errorf("after an edit ana sees %+v; who may read it must stay", got)
		}
		forged := *p
		forged.ActorID = ana.ID
		if err := db.SavePost(ctx, &forged); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("another author takes the id: %v", err)
		}
		if err := db.DeletePost(ctx, p.ID); err != nil {
			t.Fatal(err)
		}
		if got := home(); len(got) != 0 {
			t.Errorf("after the deletion ana sees %+v", got)
		}
		if gone, err := db.PostByID(ctx, p.ID); err != nil || gone.DeletedAt == nil || gone.Content != "" || gone.Raw != nil {
			t.Errorf("the tombstone is %+v, %v", gone, err)
		}
		if err := db.SavePost(ctx, p); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("a deleted id is used again: %v", err)
		}
	})
}

func TestActivitiesAreRecordedOnce(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		fresh := 0
		for range 40 {
			wg.Go(func() {
				ok, err := db.SaveActivity(t.Context(), &storage.Activity{IRI: "https://far.example/1", ActorIRI: "https://far.example/users/ann", Type: "Create", Raw: []byte("{}")})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if ok {
					fresh++
				}
			})
		}
		wg.Wait()
		if fresh != 1 {
			t.Errorf("fresh %d times, want once", fresh)
		}
	})
}

func TestAPostThatCameIsKeptWhole(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		ana, bo := actor(t, db, "ana", ""), actor(t, db, "bo", "far.example")
		now := time.Now().UTC().Truncate(time.Microsecond)
		answer := &storage.Post{IRI: bo.IRI + "/2", ActorID: bo.ID, Type: "Note", Visibility: storage.Public, InReplyTo: bo.IRI + "/1", PublishedAt: now}
		p := &storage.Post{IRI: bo.IRI + "/1", ActorID: bo.ID, Type: "Article", Visibility: storage.Public, Title: "t", Content: "c", Summary: "s", Sensitive: true,
			Language: "de", URL: "https://far.example/1", Quote: "https://far.example/q", QuoteApproval: "https://far.example/s", Conversation: "k",
			Policy:      &storage.Policy{Like: &storage.PolicyRule{Automatic: []storage.IRI{bo.IRI}}},
			Attachments: []storage.Attachment{{URL: "https://far.example/a", FocusX: 0.5}}, Mentions: []storage.Mention{{ActorID: ana.ID, IRI: ana.IRI}},
			Tags: []string{"bread"}, Raw: []byte("{}"), PublishedAt: now, EditedAt: &now}
		for _, post := range []*storage.Post{answer, p} {
			if fresh, err := db.AddPost(ctx, post); err != nil || !fresh {
				t.Fatalf("%s is added: %v, %v", post.IRI, fresh, err)
			}
		}
		got, err := db.PostByIRI(ctx, p.IRI)
		if diff := cmp.Diff(p, got); err != nil || diff != "" {
			t.Errorf("%v, %s", err, diff)
		}
		if got, err := db.PostByIRI(ctx, answer.IRI); err != nil || got.InReplyToID == nil || *got.InReplyToID != p.ID {
			t.Errorf("the answer that came before is %+v, %v", got, err)
		}
		again := *p
		again.ID = 0
		if fresh, err := db.AddPost(ctx, &again); err != nil || fresh {
			t.Errorf("added again: %v, %v", fresh, err)
		}
		orphan := &storage.Post{ID: p.ID, IRI: bo.IRI + "/3", ActorID: bo.ID, Type: "Note", Visibility: storage.Public, PublishedAt: now}
		if _, err := db.AddPost(ctx, orphan); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("a row's id is taken twice: %v", err)
		}
	})
}

func TestWhoIsDeafToWhom(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		bo := actor(t, db, "bo", "far.example")
		now := time.Now()
		past, soon := now.Add(-time.Minute), now.Add(time.Minute)
		for _, c := range []struct {
			name string
			do   func(id storage.ID) error
			want bool
		}{
			{"nobody", func(storage.ID) error { return nil }, false},
			{"blocks", func(id storage.ID) error {
				_, err := db.SaveBlock(ctx, &storage.Block{IRI: "https://rye.example/b1", ActorID: id, TargetID: bo.ID})
				return err
			}, true},
			{"blocked", func(id storage.ID) error {
				_, err := db.SaveBlock(ctx, &storage.Block{IRI: "https://far.example/b2", ActorID: bo.ID, TargetID: id})
				return err
			}, true},
			{"mutes", func(id storage.ID) error { return db.SaveMute(ctx, &storage.Mute{ActorID: id, TargetID: bo.ID}) }, true},
			{"mutes_still", func(id storage.ID) error {
				return db.SaveMute(ctx, &storage.Mute{ActorID: id, TargetID: bo.ID, ExpiresAt: &soon})
			}, true},
			{"muted_once", func(id storage.ID) error {
				return db.SaveMute(ctx, &storage.Mute{ActorID: id, TargetID: bo.ID, ExpiresAt: &past})
			}, false},
			{"is_muted", func(id storage.ID) error { return db.SaveMute(ctx, &storage.Mute{ActorID: bo.ID, TargetID: id}) }, false},
		} {
			a := actor(t, db, c.name, "")
			if err := c.do(a.ID); err != nil {
				t.Fatal(err)
			}
			if got, err := db.Deaf(ctx, a.ID, bo.ID); err != nil || got != c.want {
				t.Errorf("%s: deaf is %v, %v, want %v", c.name, got, err, c.want)
			}
		}
	})
}

func TestTheNearestDomainRuleHolds(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		for domain, kind := range map[string]string{"example": storage.RuleBlock, "far.example": storage.RuleSilence, "b.c.d.far.example": storage.RuleAllow} {
			if err := db.SaveDomainRule(ctx, &storage.DomainRule{Domain: domain, Kind: kind, Reason: "r"}); err != nil {
				t.Fatal(err)
			}
		}
		for host, want := range map[string]string{"far.example": "far.example", "x.far.example:8080": "far.example", "old.example": "example",
			"z.a.b.c.d.far.example:8080": "b.c.d.far.example", "a.b.c.x.y.z.far.example": "far.example"} {
			if r, err := db.DomainRuleFor(ctx, host); err != nil || r.Domain != want || r.Reason != "r" {
				t.Errorf("for %s the rule is %+v, %v, want that of %s", host, r, err, want)
			}
		}
		if r, err := db.DomainRuleFor(ctx, "far.elsewhere"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a rule for nobody: %+v, %v", r, err)
		}
	})
}

func TestActsAreNeverChanged(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		a := actor(t, db, "ana", "")
		if err := db.RecordAct(t.Context(), &storage.Act{ActorID: a.ID, Kind: "post.create"}); err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{"UPDATE acts SET kind = 'x'", "DELETE FROM acts"} {
			if err := db.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v, want a refusal", sql, err)
			}
		}
	})
}

func TestDeliveriesAreClaimedOnceInOrderAndPerHost(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := context.Background()
		a := actor(t, db, "ana", "")
		send := func(object storage.IRI, s storage.Supersede, kind string, inboxes ...storage.IRI) {
			t.Helper()
			err := db.Transaction(ctx, func(tx *storage.DB) error {
				act := &storage.Activity{IRI: storage.IRI("https://rye.example/" + tx.NewID().String()), ActorIRI: a.IRI, Type: kind, Object: object, Local: true, Raw: []byte(kind)}
				if _, err := tx.SaveActivity(ctx, act); err != nil {
					return err
				}
				var ds []storage.Delivery
				for _, i := range inboxes {
					ds = append(ds, storage.Delivery{ActivityID: act.ID, Inbox: i, Host: strings.Split(string(i), "/")[2], ActorID: a.ID, Object: object})
				}
				return tx.Enqueue(ctx, ds, s)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		claim := func(busy ...string) (out []string) {
			t.Helper()
			cs, _, err := db.ClaimDeliveries(ctx, busy, func(storage.Host) int { return 2 }, 10, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cs {
				out = append(out, c.Delivery.Host+" "+string(c.Raw))
				c.State = storage.DeliveryDone
				if err := db.FinishDelivery(ctx, &c.Delivery, nil); err != nil {
					t.Fatal(err)
				}
			}
			return out
		}
		send("https://rye.example/1", storage.SupersedeNone, "Create", "https://one.example/inbox", "https://two.example/inbox")
		send("https://rye.example/1", storage.SupersedeUpdates, "Update", "https://one.example/inbox")
		send("https://rye.example/1", storage.SupersedeUpdates, "Update", "https://one.example/inbox")
		if got := claim("two.example"); len(got) != 1 || got[0] != "one.example Create" {
			t.Fatalf("claimed %v, want the Create to one alone", got)
		}
		if got := claim(); len(got) != 2 {
			t.Fatalf("claimed %v, want the last Update to one and the Create to two", got)
		}
		if got := claim(); len(got) != 0 {
			t.Errorf("claimed %v again", got)
		}
		until := db.Now().Add(time.Hour).UTC()
		if err := db.SaveHost(ctx, &storage.Host{Host: "one.example", OpenUntil: &until}); err != nil {
			t.Fatal(err)
		}
		send("https://rye.example/2", storage.SupersedeNone, "Create", "https://one.example/inbox")
		if got := claim(); len(got) != 0 {
			t.Errorf("claimed %v although the breaker is open", got)
		}
		if due, err := db.DeliveryDue(ctx); err != nil || due {
			t.Errorf("due %v %v although the breaker is open", due, err)
		}
		if n, err := db.RetryDeliveries(ctx, 0); err != nil || n != 1 {
			t.Errorf("retried %d, %v", n, err)
		}
		if got := claim(); len(got) != 1 {
			t.Errorf("claimed %v after the retry", got)
		}
	})
}

func TestInvitesAreUsedUp(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		if err := db.SaveInvite(t.Context(), &storage.Invite{CodeHash: "h", UsesLeft: 3}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		used := 0
		for range 20 {
			wg.Go(func() {
				_, err := db.UseInvite(t.Context(), "h")
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					used++
				} else if !errors.Is(err, storage.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if used != 3 {
			t.Errorf("used %d times, want 3", used)
		}
	})
}

// What is known of hosts does not pile up for ever.
func TestFET113HostsWithoutNewsAreForgotten(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
		long, lately := now.Add(-100*24*time.Hour), now.Add(-time.Hour)
		for _, h := range []storage.Host{
			{Host: "silent.example", LastOKAt: &long, LastFailureAt: &long}, {Host: "never.example"},
			{Host: "well.example", LastOKAt: &lately, LastFailureAt: &long}, {Host: "ill.example", LastOKAt: &long, LastFailureAt: &lately},
		} {
			if err := db.SaveHost(t.Context(), &h); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := db.PruneHosts(t.Context(), now.Add(-90*24*time.Hour)); err != nil || n != 2 {
			t.Errorf("%d hosts were forgotten, %v; want 2", n, err)
		}
		for host, want := range map[string]error{"silent.example": storage.ErrNotFound, "never.example": storage.ErrNotFound, "well.example": nil, "ill.example": nil} {
			if _, err := db.HostByName(t.Context(), host); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", host, err, want)
			}
		}
	})
}

// A lookup for nothing finds nothing, and never the first row.
func TestINJ252NothingIsFoundByNothing(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		a := &storage.Actor{IRI: "https://rye.example/users/baker", Type: storage.Organization, Username: "baker"}
		if err := db.SaveActor(ctx, a); err != nil {
			t.Fatal(err)
		}
		if err := db.SavePost(ctx, &storage.Post{IRI: a.IRI + "/statuses/1", ActorID: a.ID, Type: "Note", Visibility: storage.Public}); err != nil {
			t.Fatal(err)
		}
		for name, find := range map[string]func() error{
			"ActorByID": func() error { _, err := db.ActorByID(ctx, 0); return err }, "ActorByIRI": func() error { _, err := db.ActorByIRI(ctx, ""); return err },
			"LocalActor": func() error { _, err := db.LocalActor(ctx, ""); return err }, "ActorByHandle": func() error { _, err := db.ActorByHandle(ctx, "", ""); return err },
			"ActorByFollowers": func() error { _, err := db.ActorByFollowers(ctx, ""); return err },
			"PostByID":         func() error { _, err := db.PostByID(ctx, 0); return err }, "PostByIRI": func() error { _, err := db.PostByIRI(ctx, ""); return err },
			"FollowByIRI": func() error { _, err := db.FollowByIRI(ctx, ""); return err }, "FollowBetween": func() error { _, err := db.FollowBetween(ctx, 0, 0); return err },
			"KeyByIRI": func() error { _, err := db.KeyByIRI(ctx, ""); return err }, "UserByID": func() error { _, err := db.UserByID(ctx, 0); return err },
			"ActivityByIRI": func() error { _, err := db.ActivityByIRI(ctx, ""); return err }, "ActivityByID": func() error { _, err := db.ActivityByID(ctx, 0); return err },
			"HostByName": func() error { _, err := db.HostByName(ctx, ""); return err },
		} {
			if err := find(); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%s finds by nothing: %v", name, err)
			}
		}
	})
}

func TestWhatWaitsForAHostThatIsAway(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		ana, bo, cy := actor(t, db, "ana", ""), actor(t, db, "bo", "elm.example"), actor(t, db, "cy", "ash.example")
		now := time.Now().UTC().Truncate(time.Second)
		db.Now = func() time.Time { return now }
		p := &storage.Post{IRI: "https://rye.example/users/ana/statuses/1", ActorID: ana.ID, Type: "Note", Visibility: storage.Public, PublishedAt: now}
		if err := db.SavePost(ctx, p); err != nil {
			t.Fatal(err)
		}
		send := func(kind string, s storage.Supersede, inboxes ...storage.IRI) {
			t.Helper()
			err := db.Transaction(ctx, func(tx *storage.DB) error {
				act := &storage.Activity{IRI: storage.IRI("https://rye.example/" + tx.NewID().String()), ActorIRI: ana.IRI, Type: kind, Object: p.IRI, Local: true, Raw: []byte(kind)}
				if _, err := tx.SaveActivity(ctx, act); err != nil {
					return err
				}
				var ds []storage.Delivery
				for _, i := range inboxes {
					ds = append(ds, storage.Delivery{ActivityID: act.ID, Inbox: i, Host: strings.Split(string(i), "/")[2], ActorID: ana.ID, Object: p.IRI})
				}
				return tx.Enqueue(ctx, ds, s)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		states := func() string {
			t.Helper()
			ds, err := db.Deliveries(ctx, "", 100)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, d := range ds {
				a, err := db.ActivityByID(ctx, d.ActivityID)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, d.Host+" "+a.Type+" "+d.State)
			}
			slices.Sort(out)
			return strings.Join(out, ", ")
		}
		want := func(what, want string) {
			t.Helper()
			if got := states(); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		const oak, elm = "https://oak.example/inbox", "https://elm.example/inbox"
		send("Create", storage.SupersedeNone, oak, elm)
		send("Update", storage.SupersedeUpdates, oak, elm)
		send("Update", storage.SupersedeUpdates, oak)
		want("an edit that one host gets", "elm.example Create queued, elm.example Update queued, oak.example Create queued, oak.example Update queued")
		if n, err := db.GiveUpDeliveries(ctx, "oak.example", now.Add(-time.Hour), now.Add(time.Hour)); err != nil || n != 1 {
			t.Errorf("%d, %v", n, err)
		}
		want("the post is given up", "elm.example Create queued, elm.example Update queued, oak.example Create dead, oak.example Update queued")
		if n, err := db.HastenDeliveries(ctx, "oak.example", 12); err != nil || n != 1 {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := db.GiveUpDeliveries(ctx, "elm.example", now.Add(time.Hour), now); err != nil || n != 2 {
			t.Errorf("%d, %v", n, err)
		}
		want("all is given up", "elm.example Create dead, elm.example Update dead, oak.example Create dead, oak.example Update queued")

		told, err := db.InboxesToldOf(ctx, p)
		if err != nil || !slices.Equal(told, []storage.IRI{elm, oak}) {
			t.Errorf("told were %v, %v", told, err)
		}
		if _, err := db.SaveLike(ctx, &storage.Like{IRI: "https://elm.example/l", ActorID: bo.ID, PostID: p.ID}); err != nil {
			t.Fatal(err)
		}
		answer := &storage.Post{IRI: "https://ash.example/1", ActorID: cy.ID, Type: "Note", InReplyTo: p.IRI, Visibility: storage.Public, PublishedAt: now}
		if err := db.SavePost(ctx, answer); err != nil {
			t.Fatal(err)
		}
		concerned, err := db.InboxesConcerned(ctx, p)
		if err != nil || len(concerned) != 2 || concerned[0].Inbox != bo.Inbox || concerned[1].Inbox != cy.Inbox {
			t.Errorf("concerned are %+v, %v", concerned, err)
		}
		for _, h := range []storage.Host{{Host: "up.example"}, {Host: "open.example", OpenUntil: &now}, {Host: "days.example", FailingDays: 2}} {
			if err := db.SaveHost(ctx, &h); err != nil {
				t.Fatal(err)
			}
		}
		if down, err := db.HostsDown(ctx, 10); err != nil || len(down) != 2 {
			t.Errorf("down are %v, %v", down, err)
		}
	})
}
