package mastodon_test

import (
	"fmt"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// BenchmarkHome has eight readers read home timelines of 20 posts at once, from anywhere in 50,000 posts of 1,000 accounts whom each follows. Beside it: the same number of
// requests for /healthz, and the rows of the timeline alone.
func BenchmarkHome(b *testing.B) {
	const accounts, each, readers, requests = 1000, 50, 8, 300
	d := newDesk(b)
	ctx := b.Context()
	var follow []storage.ID
	for start := 0; start < accounts; start += 100 {
		err := d.db.Transaction(ctx, func(tx *storage.DB) error {
			for i := start; i < start+100; i++ {
				name := fmt.Sprintf("a%04d", i)
				iri := storage.IRI("https://far.example/users/" + name)
				a := &storage.Actor{IRI: iri, Type: storage.Person, Username: name, Domain: "far.example", Name: "Account " + name, Inbox: iri + "/inbox", URL: string(iri), PublishedAt: tx.Now(), FetchedAt: tx.Now()}
				if err := tx.SaveActor(ctx, a); err != nil {
					return err
				}
				follow = append(follow, a.ID)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	people := make([]activitypub.By, readers)
	tokens := make([]string, readers)
	for i := range people {
		people[i] = d.person(fmt.Sprintf("reader%d", i))
		tokens[i] = d.token(people[i], "read")
	}
	err := d.db.Transaction(ctx, func(tx *storage.DB) error {
		for _, p := range people {
			for _, id := range follow {
				f := &storage.Follow{IRI: storage.IRI(fmt.Sprintf("https://rye.example/f/%s/%s", p.Actor.ID, id)), ActorID: p.Actor.ID, TargetID: id, State: storage.FollowAccepted}
				if err := tx.SaveFollow(ctx, f); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	var ids []storage.ID
	for n := range each {
		err := d.db.Transaction(ctx, func(tx *storage.DB) error {
			for i, author := range follow {
				iri := storage.IRI(fmt.Sprintf("https://far.example/posts/%d/%d", n, i))
				p := &storage.Post{IRI: iri, ActorID: author, Type: "Note", Visibility: storage.Public, Content: "<p>What we baked today, and what it was made of: rye, water, salt and time.</p>", URL: string(iri),
					Conversation: string(iri), PublishedAt: tx.Now().UTC()}
				if _, err := tx.AddPost(ctx, p); err != nil {
					return err
				}
				ids = append(ids, p.ID)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	measure := func(one func(reader, i int)) (p50, p99 time.Duration) {
		var mu sync.Mutex
		var all []time.Duration
		var wg sync.WaitGroup
		for r := range readers {
			wg.Go(func() {
				for i := range requests {
					start := time.Now()
					one(r, i)
					took := time.Since(start)
					mu.Lock()
					all = append(all, took)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		slices.Sort(all)
		return all[len(all)/2], all[len(all)*99/100]
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	home := func(r, i int) {
		at := ids[len(ids)-1-(i*977+r*131)%(len(ids)-100)]
		w := d.ask(tokens[r], "GET", "/api/v1/timelines/home?max_id="+at.String(), nil)
		if w.Code != 200 || w.Body.Len() < 1000 {
			b.Errorf("%d %s", w.Code, w.Body)
		}
	}
	home(0, 0)
	b.ResetTimer()
	p50, p99 := measure(home)
	n50, n99 := measure(func(r, _ int) {
		if w := d.ask(tokens[r], "GET", "/api/v1/timelines/home", nil); w.Code != 200 {
			b.Errorf("%d %s", w.Code, w.Body)
		}
	})
	r50, r99 := measure(func(r, i int) {
		at := ids[len(ids)-1-(i*977+r*131)%(len(ids)-100)]
		if _, err := d.db.HomeTimeline(ctx, people[r].Actor.ID, storage.Page{MaxID: at}); err != nil {
			b.Error(err)
		}
	})
	stranger := d.token(d.person("stranger"), "read") // who follows nobody: all posts are looked at
	one := time.Now()
	d.ask(stranger, "GET", "/api/v1/timelines/home", nil)
	b.ReportMetric(ms(time.Since(one)), "of-nobody-followed-ms")
	h50, _ := measure(func(int, int) {
		r := httptest.NewRequest("GET", "/healthz", nil)
		d.web.Handler().ServeHTTP(httptest.NewRecorder(), r)
	})
	b.StopTimer()
	b.ReportMetric(ms(p50), "home-p50-ms")
	b.ReportMetric(ms(p99), "home-p99-ms")
	b.ReportMetric(ms(n50), "newest-p50-ms")
	b.ReportMetric(ms(n99), "newest-p99-ms")
	b.ReportMetric(ms(r50), "rows-alone-p50-ms")
	b.ReportMetric(ms(r99), "rows-alone-p99-ms")
	b.ReportMetric(ms(h50), "healthz-p50-ms")
	b.ReportMetric(float64(runtime.NumCPU()), "processors")
	b.ReportMetric(0, "ns/op")
}
