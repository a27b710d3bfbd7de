package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// BenchmarkStreams opens five hundred WebSockets to a node that is a process, and says what they take of its memory, and how long it is from asking to post something until the
// first, the middle and the last of them have it. The clients share the processors.
func BenchmarkStreams(b *testing.B) {
	const people, each, posts = 20, 25, 20
	n := newNode(b)
	tokens := make([]string, people)
	for i := range tokens {
		name := fmt.Sprintf("reader%02d", i)
		n.run("user", "create", name)
		tokens[i] = strings.TrimSpace(n.run("token", "create", name, "--scopes", "read write"))
	}
	n.start()
	b.Cleanup(n.kill)
	time.Sleep(time.Second)
	idle := n.rss(b)
	ctx, cancel := context.WithCancel(b.Context())
	b.Cleanup(cancel)
	type arrival struct {
		post string
		at   time.Time
	}
	arrivals := make(chan arrival, people*each*posts*2)
	var wg sync.WaitGroup
	for _, token := range tokens {
		for range each {
			conn, _, err := websocket.Dial(ctx, "ws://"+n.address+"/api/v1/streaming?stream=public:local&access_token="+token, &websocket.DialOptions{Host: strings.TrimPrefix(n.origin(), "http://")})
			if err != nil {
				b.Fatal(err)
			}
			conn.SetReadLimit(1 << 20)
			wg.Go(func() {
				defer conn.CloseNow()
				for {
					_, raw, err := conn.Read(ctx)
					if err != nil {
						return
					}
					at, text := time.Now(), string(raw)
					if i := strings.Index(text, "number "); i >= 0 && strings.Contains(text, `"event":"update"`) {
						word, _, _ := strings.Cut(text[i+len("number "):], "\\")
						arrivals <- arrival{word[:min(len(word), 3)], at}
					}
				}
			})
		}
	}
	time.Sleep(time.Second)
	open := n.rss(b)
	var first, middle, last []time.Duration
	for i := range posts {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.address+"/api/v1/statuses", strings.NewReader(url.Values{"status": {fmt.Sprintf("number %03d", i)}}.Encode()))
		if err != nil {
			b.Fatal(err)
		}
		r.Host = strings.TrimPrefix(n.origin(), "http://")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Bearer "+tokens[0])
		start := time.Now()
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode != http.StatusOK {
			b.Fatalf("%v %v", res, err)
		}
		res.Body.Close()
		var took []time.Duration
		for len(took) < people*each {
			select {
			case a := <-arrivals:
				took = append(took, a.at.Sub(start))
			case <-time.After(20 * time.Second):
				b.Fatalf("post %d has reached %d of %d", i, len(took), people*each)
			}
		}
		slices.Sort(took)
		first, middle, last = append(first, took[0]), append(middle, took[len(took)/2]), append(last, took[len(took)-1])
		time.Sleep(50 * time.Millisecond)
	}
	after := n.rss(b)
	cancel()
	wg.Wait()
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(idle, "MB-idle")
	b.ReportMetric(open, "MB-500-open")
	b.ReportMetric(after, "MB-after-20-posts")
	b.ReportMetric(ms(at(first, 50)), "first-p50-ms")
	b.ReportMetric(ms(at(middle, 50)), "middle-p50-ms")
	b.ReportMetric(ms(at(last, 50)), "last-p50-ms")
	b.ReportMetric(0, "ns/op")
}
