package mastodon_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
)

// BenchmarkHome has eight readers read home timelines of 20 posts at once over HTTP, from anywhere in 50,000 posts of 1,000 accounts whom each follows: each asks again as soon as
// she has read. Beside it: the same number of requests for /healthz, and the rows of the timeline alone.
func BenchmarkHome(b *testing.B) { onEach(b, home) }

// onEach runs a benchmark on SQLite, and on PostgreSQL where there is a server (PLANET_TEST_POSTGRES).
func onEach(b *testing.B, run func(b *testing.B, db *storage.DB)) {
	b.Run("sqlite", func(b *testing.B) { run(b, storagetest.New(b)) })
	b.Run("postgres", func(b *testing.B) { run(b, storagetest.Postgres(b)) })
}

func home(b *testing.B, db *storage.DB) {
	const accounts, each, readers, requests = 1000, 50, 8, 300
	defer debug.SetGCPercent(debug.SetGCPercent(300)) // as planet serve does
	d := newDeskOn(b, db)
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
	if db.Dialect() == "postgres" { // which otherwise counts what it holds when it finds the time, in the middle of this
		storagetest.Exec(b, db, "ANALYZE")
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
	server := httptest.NewServer(d.web.Handler())
	defer server.Close()
	server.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = readers
	var buffers [readers]bytes.Buffer
	read := func(by int, token, path string) []byte { // a call of the handler would not let others have their turn, as waiting for the network does
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL+path, nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Host = "rye.example"
		r.Header.Set("Authorization", "Bearer "+token)
		w, err := server.Client().Do(r)
		if err != nil {
			b.Error(err)
			return nil
		}
		defer w.Body.Close()
		body := &buffers[by]
		body.Reset()
		if _, err = body.ReadFrom(w.Body); err != nil || w.StatusCode != 200 {
			b.Errorf("%d %s %v", w.StatusCode, body, err)
		}
		return body.Bytes()
	}
	anywhere := func(r, i int) {
		at := ids[len(ids)-1-(i*977+r*131)%(len(ids)-100)]
		if body := read(r, tokens[r], "/api/v1/timelines/home?max_id="+at.String()); len(body) < 1000 {
			b.Errorf("got %s", body)
		}
	}
	anywhere(0, 0)
	b.ResetTimer()
	p50, p99 := measure(anywhere)
	n50, n99 := measure(func(r, _ int) { read(r, tokens[r], "/api/v1/timelines/home") })
	r50, r99 := measure(func(r, i int) {
		at := ids[len(ids)-1-(i*977+r*131)%(len(ids)-100)]
		if _, err := d.db.HomeTimeline(ctx, people[r].Actor.ID, storage.Page{MaxID: at}); err != nil {
			b.Error(err)
		}
		runtime.Gosched()
	})
	stranger := d.token(d.person("stranger"), "read") // who follows nobody: all posts are looked at
	one := time.Now()
	read(0, stranger, "/api/v1/timelines/home")
	b.ReportMetric(ms(time.Since(one)), "of-nobody-followed-ms")
	h50, h99 := measure(func(r, _ int) { read(r, "", "/healthz") })
	b.StopTimer()
	b.ReportMetric(ms(p50), "home-p50-ms")
	b.ReportMetric(ms(p99), "home-p99-ms")
	b.ReportMetric(ms(n50), "newest-p50-ms")
	b.ReportMetric(ms(n99), "newest-p99-ms")
	b.ReportMetric(ms(r50), "rows-alone-p50-ms")
	b.ReportMetric(ms(r99), "rows-alone-p99-ms")
	b.ReportMetric(ms(h50), "healthz-p50-ms")
	b.ReportMetric(ms(h99), "healthz-p99-ms")
	b.ReportMetric(float64(runtime.NumCPU()), "processors")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPosting has somebody with 1,000 followers on this node post by an app, and each time the last of them find it at home. Beside it: somebody whom nobody follows, in turn, and a
// row of its own that is stored durably.
func BenchmarkPosting(b *testing.B) { onEach(b, posting) }

func posting(b *testing.B, db *storage.DB) {
	const followers, posts = 1000, 200
	d := newDeskOn(b, db)
	ctx := b.Context()
	known, unknown, last := d.person("known"), d.person("unknown"), d.person("last")
	err := d.db.Transaction(ctx, func(tx *storage.DB) error {
		for i := range followers {
			who := last.Actor.ID
			if i > 0 {
				name := fmt.Sprintf("a%04d", i)
				iri := storage.IRI("https://rye.example/users/" + name)
				a := &storage.Actor{IRI: iri, Type: storage.Person, Username: name, Name: name, Inbox: iri + "/inbox", PublishedAt: tx.Now(), FetchedAt: tx.Now()}
				if err := tx.SaveActor(ctx, a); err != nil {
					return err
				}
				who = a.ID
			}
			f := &storage.Follow{IRI: storage.IRI(fmt.Sprintf("https://rye.example/f/%d", i)), ActorID: who, TargetID: known.Actor.ID, State: storage.FollowAccepted}
			if err := tx.SaveFollow(ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	reader := d.token(last, "read")
	say := func(token, text string) time.Duration {
		start := time.Now()
		if w := d.ask(token, "POST", "/api/v1/statuses", strings.NewReader(url.Values{"status": {text}}.Encode())); w.Code != 200 {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
		return time.Since(start)
	}
	var many, none, found, row []time.Duration
	b.ResetTimer()
	for i := range posts {
		text := fmt.Sprintf("number %03d", i)
		many = append(many, say(d.token(known, "write"), text))
		start := time.Now()
		if w := d.ask(reader, "GET", "/api/v1/timelines/home?limit=1", nil); !strings.Contains(w.Body.String(), text) {
			b.Fatalf("%s is not at home: %s", text, w.Body)
		}
		found = append(found, time.Since(start))
		none = append(none, say(d.token(unknown, "write"), text))
		start = time.Now()
		if err := d.db.SetSetting(ctx, "bench", text); err != nil {
			b.Fatal(err)
		}
		row = append(row, time.Since(start))
	}
	b.StopTimer()
	for name, all := range map[string][]time.Duration{"1000-followers": many, "no-followers": none, "seen-by-the-last": found, "one-row": row} {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, name+"-p50-ms")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, name+"-p99-ms")
	}
	b.ReportMetric(0, "ns/op")
}
