package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
	"planet/storage/storagetest"
)

// breads and towns make offers that differ.
var (
	breads = strings.Fields("sourdough rye spelt wheat barley oat maize chestnut walnut olive")
	towns  = strings.Fields("Reus Girona Valls Lleida Tortosa Manresa Vic Olot Figueres Berga")
)

func someOffer(i int) activitypub.OfferDraft {
	lat, lon := 40.5+float64(i%200)/100, 0.5+float64(i/200%200)/100
	return activitypub.OfferDraft{Title: fmt.Sprintf("%s loaf no%d", breads[i%len(breads)], i), Text: "Baked this morning with flour from the farms around, in a wood oven. Ask for slices.",
		Price: fmt.Sprintf("%d.%02d", 1+i%9, i%100), Currency: "EUR", Quantity: "20", Place: towns[i/10%len(towns)], Latitude: &lat, Longitude: &lon, Tags: []string{"bread"}}
}

// BenchmarkOffersPublished publishes offers on 16 goroutines, each with its Note, its Proposal and its words durably stored, and plain posts beside them.
func BenchmarkOffersPublished(b *testing.B) {
	n, by := localNode(b, 0, http.NotFoundHandler())
	var made atomic.Int64
	var offers, posts float64
	for range 3 {
		offers = max(offers, perSecond(16, 2*time.Second, func(_, _ int) {
			if _, err := n.PublishOffer(b.Context(), by, someOffer(int(made.Add(1)))); err != nil {
				b.Error(err)
			}
		}))
		posts = max(posts, perSecond(16, 2*time.Second, func(_, i int) {
			if _, err := n.Publish(b.Context(), by, activitypub.Draft{Text: "note " + strconv.Itoa(i)}); err != nil {
				b.Error(err)
			}
		}))
	}
	b.ReportMetric(offers, "offers/s")
	b.ReportMetric(posts, "posts/s")
	b.ReportMetric(fsyncs(b), "fsyncs/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkOffersReceived posts offers of another server over HTTP to a node that is a process, and waits until it has fetched every Proposal and shows
// it in its market: signature, Note, job, a signed request for each, and the offer's words. The peer shares the processors.
func BenchmarkOffersReceived(b *testing.B) {
	const count = 2000
	n := newNode(b)
	n.run("user", "create", "nuria")
	far := httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(far.Listener.Addr().String())
	peer := aptest.NewPeer("http://far.localhost:"+port, "ann", 1, false)
	far.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := strings.CutPrefix(r.URL.Path, "/offers/")
		if !ok {
			peer.ServeHTTP(w, r)
			return
		}
		iri := peer.Origin + "/offers/" + id
		one := map[string]any{"hasUnit": "one", "hasNumericalValue": "1"}
		w.Header().Set("Content-Type", "application/activity+json")
		_ = json.NewEncoder(w).Encode(map[string]any{"@context": "https://www.w3.org/ns/activitystreams", "id": iri, "type": "Proposal", "purpose": "offer", "attributedTo": peer.ID(),
			"name": "Loaf " + id, "content": "<p>Baked this morning.</p>", "unitBased": true, "to": "https://www.w3.org/ns/activitystreams#Public",
			"publishes":  map[string]any{"id": iri + "#primary", "type": "Intent", "action": "transfer", "resourceQuantity": one},
			"reciprocal": map[string]any{"id": iri + "#reciprocal", "type": "Intent", "action": "transfer", "resourceQuantity": one}})
	})
	far.Start()
	b.Cleanup(far.Close)
	n.start()
	b.Cleanup(n.kill)
	n.run("follow", "--as", "nuria", "@ann@far.localhost:"+port)
	requests := make([]*http.Request, count)
	for i := range requests {
		id := strconv.Itoa(i)
		create := peer.Note(id, "Offer: loaf "+id)
		create["object"].(map[string]any)["attachment"] = []any{map[string]any{"type": "Link", "href": peer.Origin + "/offers/" + id, "rel": []any{"payment", storage.RelProposal},
			"mediaType": `application/ld+json; profile="https://www.w3.org/ns/activitystreams"`}}
		requests[i] = peer.Request(n.origin()+"/inbox", create)
	}
	db, err := storage.Open(b.Context(), storage.Config{DSN: filepath.Join(n.dir, "data", "planet.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	var next atomic.Int64
	var wg sync.WaitGroup
	before, start := cpu(n.cmd.Process.Pid), time.Now()
	for range 32 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < count; i = next.Add(1) - 1 {
				requests[i].URL.Host = n.address // its name is for the Host header
				requests[i].Host = "planet.localhost:" + n.port()
				res, err := client.Do(requests[i])
				if err != nil {
					b.Error(err)
					return
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusAccepted {
					b.Errorf("answered %d", res.StatusCode)
				}
			}
		})
	}
	wg.Wait()
	accepted := time.Since(start)
	for have := 0; have < count; {
		if time.Since(start) > 2*time.Minute {
			b.Fatalf("%d of %d offers after two minutes", have, count)
		}
		time.Sleep(20 * time.Millisecond)
		offers, err := db.Market(b.Context(), storage.Market{Page: storage.Page{Limit: count + 1}})
		if err != nil {
			b.Fatal(err)
		}
		have = len(offers)
	}
	b.ReportMetric(count/time.Since(start).Seconds(), "offers/s")
	b.ReportMetric(count/accepted.Seconds(), "accepted/s")
	b.ReportMetric(float64((cpu(n.cmd.Process.Pid)-before).Microseconds())/count, "node-µs/offer")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkMarket searches among 10,000 offers with 8 readers at once, and with one reader, beside the way that comes to mind first: a scan for
// the word, which one offer has.
func BenchmarkMarket(b *testing.B) {
	const count = 10_000
	n, by := localNode(b, 0, http.NotFoundHandler())
	var made atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := made.Add(1); i <= count; i = made.Add(1) {
				if _, err := n.PublishOffer(b.Context(), by, someOffer(int(i))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	near := [2]float64{41.5, 1.2}
	queries := map[string]activitypub.MarketQuery{
		"newest": {}, "every-offer-has-it": {Text: "bread"}, "one-in-ten": {Text: "rye"}, "one": {Text: "no4711"}, "beginning": {Text: "sour"}, "two-words": {Text: "walnut girona"},
		"three-words": {Text: "oat loaf vic"}, "none": {Text: "bicycle"}, "cheap": {Most: "1.50", Currency: "EUR"}, "near": {Near: &near, Within: 5}, "near-and-word": {Near: &near, Within: 20, Text: "olive"},
	}
	var all []time.Duration
	var worst time.Duration
	var names []string
	for name := range queries {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		took := timed(8, 2*time.Second, func() {
			if _, err := n.SearchMarket(b.Context(), queries[name]); err != nil {
				b.Error(err)
			}
		})
		all, worst = append(all, took...), max(worst, at(took, 99))
		b.Logf("%-20s p50 %8s  p99 %8s  of %d", name, at(took, 50), at(took, 99), len(took))
	}
	b.ReportMetric(float64(at(all, 50).Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(at(all, 99).Microseconds())/1000, "p99-ms")
	naive := timed(1, 2*time.Second, func() {
		storagetest.Count(b, n.DB, "SELECT * FROM offers WHERE state = 'open' AND (lower(title) LIKE '%no4711%' OR lower(content) LIKE '%no4711%') ORDER BY id DESC LIMIT 20")
	})
	alone := timed(1, 2*time.Second, func() {
		if _, err := n.SearchMarket(b.Context(), activitypub.MarketQuery{Text: "no4711"}); err != nil {
			b.Error(err)
		}
	})
	b.ReportMetric(float64(worst.Microseconds())/1000, "slowest-kind-p99-ms")
	b.ReportMetric(float64(at(alone, 50).Microseconds())/1000, "one-reader-p50-ms")
	b.ReportMetric(float64(at(naive, 50).Microseconds())/1000, "one-reader-scan-p50-ms")
	b.ReportMetric(float64(at(naive, 99).Microseconds())/1000, "one-reader-scan-p99-ms")
	b.ReportMetric(0, "ns/op")
}

// timed runs f on w goroutines for a while and says how long each took, the shortest first.
func timed(w int, d time.Duration, f func()) []time.Duration {
	var mu sync.Mutex
	var all []time.Duration
	perSecond(w, d, func(_, _ int) {
		start := time.Now()
		f()
		mu.Lock()
		defer mu.Unlock()
		all = append(all, time.Since(start))
	})
	slices.Sort(all)
	return all
}

// at is a percentile of what is sorted, or becomes so.
func at(all []time.Duration, percent int) time.Duration {
	slices.Sort(all)
	return all[min(len(all)*percent/100, len(all)-1)].Round(10 * time.Microsecond)
}
