package storage_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm/schema"

	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
)

type pair struct{ actor, target storage.ID }

// A home timeline is what its rules say, read one by one, whatever people follow, block, mute, share and name.
func TestAHomeTimelineIsWhatItsRulesSay(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		for seed := range uint64(4) {
			neighbours(t, db, seed)
		}
	})
}

func neighbours(t *testing.T, db *storage.DB, seed uint64) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	once := func(in int) bool { return rnd.IntN(in) == 0 }
	domains := []string{"", "", "far.example", "away.example", "gone.example"}
	var people []*storage.Actor
	for i := range 15 {
		people = append(people, actor(t, db, fmt.Sprintf("p%d_%d", seed, i), domains[i%len(domains)]))
	}
	someone := func() *storage.Actor { return people[rnd.IntN(len(people))] }
	suspended := someone()
	must(db.Exec(ctx, fmt.Sprintf("UPDATE actors SET suspended_at = '2026-01-01 00:00:00+00:00' WHERE id = %d", suspended.ID)))

	follows, noBoosts, blocks, mutes, apart := map[pair]bool{}, map[pair]bool{}, map[pair]bool{}, map[pair]bool{}, map[pair]bool{}
	tags, domainBlocks := map[storage.ID][]string{}, map[storage.ID][]string{}
	for _, a := range people {
		list := &storage.List{ActorID: a.ID, Title: "Apart", Replies: "list", Exclusive: true}
		must(db.SaveList(ctx, list))
		open := &storage.List{ActorID: a.ID, Title: "Friends", Replies: "list"}
		must(db.SaveList(ctx, open))
		if once(2) {
			must(db.SaveFollowedTag(ctx, &storage.FollowedTag{ActorID: a.ID, Name: "bread"}))
			tags[a.ID] = append(tags[a.ID], "bread")
		}
		must(db.SaveFollowedTag(ctx, &storage.FollowedTag{ActorID: a.ID, Name: "salt", Featured: true}))
		if once(3) {
			_, err := db.SaveDomainBlock(ctx, &storage.DomainBlock{ActorID: a.ID, Domain: "gone.example"})
			must(err)
			domainBlocks[a.ID] = append(domainBlocks[a.ID], "gone.example")
		}
		for _, b := range people {
			if a == b {
				continue
			}
			ab := pair{a.ID, b.ID}
			if iri := storage.IRI(fmt.Sprintf("https://rye.example/f/%d/%d", a.ID, b.ID)); once(2) {
				state := storage.FollowAccepted
				if once(4) {
					state = storage.FollowPending
				}
				must(db.SaveFollow(ctx, &storage.Follow{IRI: iri, ActorID: a.ID, TargetID: b.ID, State: state}))
				follows[ab] = state == storage.FollowAccepted
				must(db.SaveFollowWish(ctx, &storage.FollowWish{ActorID: a.ID, TargetID: b.ID, NoBoosts: once(3), Notify: once(2)}))
				w, err := db.FollowWishOf(ctx, a.ID, b.ID)
				must(err)
				noBoosts[ab] = w.NoBoosts
			}
			if once(12) {
				_, err := db.SaveBlock(ctx, &storage.Block{IRI: storage.IRI(fmt.Sprintf("https://rye.example/b/%d/%d", a.ID, b.ID)), ActorID: a.ID, TargetID: b.ID})
				must(err)
				blocks[ab] = true
			}
			if once(8) {
				m := &storage.Mute{ActorID: a.ID, TargetID: b.ID}
				if once(2) {
					at := db.Now().Add([]time.Duration{-time.Hour, time.Hour}[rnd.IntN(2)])
					m.ExpiresAt = &at
				}
				must(db.SaveMute(ctx, m))
				mutes[ab] = m.ExpiresAt == nil || m.ExpiresAt.After(db.Now())
			}
			if once(8) {
				must(db.SetListMember(ctx, list.ID, b.ID, true))
				apart[ab] = true
			}
			if once(8) {
				must(db.SetListMember(ctx, open.ID, b.ID, true))
			}
		}
	}

	byID, authors := map[storage.ID]*storage.Post{}, map[storage.ID]*storage.Actor{}
	for _, a := range people {
		authors[a.ID] = a
	}
	var posts []*storage.Post
	for i := range 300 {
		a := someone()
		p := &storage.Post{IRI: storage.IRI(fmt.Sprintf("https://x.example/%d/%d", seed, i)), ActorID: a.ID, Type: "Note", PublishedAt: db.Now(), Content: "<p>Rye.</p>",
			Visibility: []string{storage.Public, storage.Unlisted, storage.Private, storage.Direct}[rnd.IntN(4)]}
		if len(posts) > 0 && once(3) {
			b := posts[rnd.IntN(len(posts))]
			if b.BoostOfID != nil || slices.ContainsFunc(posts, func(o *storage.Post) bool { return o.ActorID == a.ID && o.BoostOfID != nil && *o.BoostOfID == b.ID }) {
				continue
			}
			p.Type, p.Content, p.BoostOfID = "Announce", "", &b.ID
		} else {
			for _, name := range []string{"bread", "salt"} {
				if once(4) {
					p.Tags = append(p.Tags, name)
				}
			}
			if to := someone(); once(3) {
				p.Mentions = []storage.Mention{{ActorID: to.ID, IRI: to.IRI, Handle: to.Handle("rye.example")}}
			}
		}
		fresh, err := db.AddPost(ctx, p)
		must(err)
		if !fresh {
			t.Fatal("a post is there already")
		}
		posts, byID[p.ID] = append(posts, p), p
	}
	gone := posts[rnd.IntN(len(posts))]
	must(db.Exec(ctx, fmt.Sprintf("UPDATE posts SET deleted_at = '2026-01-01 00:00:00+00:00' WHERE id = %d", gone.ID)))

	belongs := func(reader storage.ID, p *storage.Post) bool {
		to := pair{reader, p.ActorID}
		switch {
		case p == gone, authors[p.ActorID] == suspended, blocks[to], blocks[pair{p.ActorID, reader}], mutes[to], apart[to],
			slices.Contains(domainBlocks[reader], authors[p.ActorID].Domain):
			return false
		case p.BoostOfID != nil:
			shared := pair{reader, byID[*p.BoostOfID].ActorID}
			if noBoosts[to] || authors[shared.target] == suspended || blocks[shared] || mutes[shared] || slices.Contains(domainBlocks[reader], authors[shared.target].Domain) {
				return false
			}
		}
		return p.ActorID == reader || p.Visibility != storage.Direct && follows[to] ||
			slices.ContainsFunc(p.Mentions, func(m storage.Mention) bool { return m.ActorID == reader }) ||
			p.Visibility == storage.Public && slices.ContainsFunc(p.Tags, func(name string) bool { return slices.Contains(tags[reader], name) })
	}
	shown := 0
	for _, a := range people {
		var want, got []storage.ID
		for _, p := range slices.Backward(posts) {
			if belongs(a.ID, p) {
				want = append(want, p.ID)
			}
		}
		ps, err := db.HomeTimeline(ctx, a.ID, storage.Page{Limit: 1000})
		must(err)
		for _, p := range ps {
			if byID[p.ID] != nil { // else of another seed
				got = append(got, p.ID)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("seed %d, %s reads (-want +got):\n%s", seed, a.Username, diff)
		}
		if shown += len(got); len(got) == len(posts) {
			t.Errorf("%s reads everything", a.Username)
		}
	}
	if shown < len(posts) {
		t.Errorf("%d of %d posts are read by anybody: that tells little", shown, len(posts))
	}
}

// What is asked again is planned once: SQLite would plan it anew each time if it could look at the values.
func TestStatementsArePlannedOnce(t *testing.T) {
	db := storagetest.New(t)
	ctx := context.Background()
	b := newBooks(t, db, ledger.Mutual, "ana", "bo")
	ana := actor(t, db, "ana2", "")
	columns, err := db.Planned(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for what, ask := range map[string]func(id storage.ID) error{
		"by gorm": func(id storage.ID) error {
			_, err := db.HomeTimeline(ctx, ana.ID, storage.Page{MaxID: id + 1, Limit: 20})
			return err
		},
		"a row": func(storage.ID) error { _, err := db.Deaf(ctx, ana.ID, ana.ID); return err },
		"by the ledger": func(id storage.ID) error {
			_, err := db.Ledger(ctx, ledger.Group{b.pay(id.String(), "ana", "bo", 1)})
			return err
		},
		"with a residual": func(id storage.ID) error { _, err := db.ListOf(ctx, ana.ID, id); return ignore(err) },
	} {
		begun := columns()
		if err := ask(10); err != nil {
			t.Fatal(what, err)
		}
		before := columns()
		if before == begun {
			t.Errorf("%s: SQLite has planned nothing", what)
		}
		for id := range storage.ID(5) {
			if err := ask(id); err != nil {
				t.Fatal(what, err)
			}
		}
		if n := columns() - before; n != 0 {
			t.Errorf("%s: SQLite planned again, and looked up %d columns", what, n)
		}
	}
}

// Rows that go past gorm have a place for NULL wherever a column may be NULL.
func TestWhatMayBeNullHasAPlaceForIt(t *testing.T) {
	db := storagetest.New(t)
	for _, row := range []any{&storage.Post{}, &storage.Actor{}, &storage.Offer{}, &storage.Filter{}} {
		table, err := schema.Parse(row, &sync.Map{}, schema.NamingStrategy{})
		if err != nil {
			t.Fatal(err)
		}
		var nullable []string
		if err := db.Q(t.Context()).Raw(`SELECT name FROM pragma_table_info(?) WHERE "notnull" = 0 AND pk = 0`, table.Table).Scan(&nullable).Error; err != nil {
			t.Fatal(err)
		}
		if len(nullable) == 0 {
			t.Errorf("%s: no column may be NULL", table.Table)
		}
		for _, name := range nullable {
			f := table.LookUpField(name)
			if f == nil || f.Serializer == nil && f.FieldType.Kind() != reflect.Pointer && f.FieldType != reflect.TypeFor[[]byte]() {
				t.Errorf("%s.%s may be NULL, and its field cannot", table.Table, name)
			}
		}
	}
}

func ignore(err error) error {
	if err == storage.ErrNotFound {
		return nil
	}
	return err
}
