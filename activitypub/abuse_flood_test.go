package activitypub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// FLO: too much of everything. What is counted is work (rows, requests, bytes), never time.

// limited is a node that bounds what others may bring, with a co-op, and a peer elsewhere that it knows.
func limited(t *testing.T) (*aptest.Network, *aptest.Node, activitypub.By, *aptest.Peer) {
	t.Helper()
	net := aptest.New(t)
	rye := net.Add("rye.example", func(c *activitypub.Config) { c.RateLimit = true })
	baker := rye.Coop(rye.Person("nuria"), "baker")
	peer := aptest.NewPeer("https://far.example", "ann", 1, true)
	peer.Now = net.Now
	net.Serve("far.example", peer)
	return net, rye, baker, peer
}

func TestFLO171OneServerSendsWithoutEnd(t *testing.T) {
	net, rye, baker, peer := limited(t)
	other := aptest.NewPeer("https://oak.example", "bo", 2, true)
	other.Now = net.Now
	net.Serve("oak.example", other)
	taken, refused := 0, 0
	send := func() int {
		note := peer.Note(fmt.Sprint(taken+refused), "to the world")
		if taken+refused < 3 { // a few that concern somebody here, the rest nobody
			note = peer.Note(fmt.Sprint(taken+refused), "hello", string(baker.Actor.IRI))
		}
		res, err := net.RoundTrip(peer.Request(ryeInbox, note))
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == http.StatusTooManyRequests {
			refused++
			if res.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		} else {
			taken++
		}
		return res.StatusCode
	}
	for range 1200 {
		send()
	}
	if taken != 1000 || refused != 200 {
		t.Errorf("%d were taken and %d refused, want 1000 and 200", taken, refused)
	}
	if home := rye.Home(baker); len(home) != 3 {
		t.Errorf("%d posts are here, want the first 3", len(home))
	}
	if got, body := post(t, net, other.Request(ryeInbox, other.Note("1", "hello", string(baker.Actor.IRI)))); got != 202 {
		t.Errorf("another server is answered %d %s", got, body)
	}
	net.Sleep(time.Second)
	if got := send(); got == http.StatusTooManyRequests {
		t.Error("a second later it is still refused")
	}
}

func TestFLO172BadRequestsCauseNoWork(t *testing.T) {
	net, rye, baker, peer := limited(t)
	net.Serve("victim.example", http.NotFoundHandler())
	befriend(t, net, peer, baker.Actor)
	before, trips := rye.State(), len(net.Trips())
	asked := func(host string) (n int) {
		for _, trip := range net.Trips()[trips:] {
			if strings.HasPrefix(trip, "GET https://"+host+"/") {
				n++
			}
		}
		return n
	}
	send := func(n int, change func(i int, r *http.Request), want ...int) {
		t.Helper()
		for i := range n {
			r := peer.Request(ryeInbox, peer.Note("n", "hello", string(baker.Actor.IRI)))
			change(i, r)
			res, err := net.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			ok := false
			for _, w := range want {
				ok = ok || res.StatusCode == w
			}
			if !ok {
				t.Fatalf("number %d is answered %d, want %v", i, res.StatusCode, want)
			}
		}
	}
	send(1000, func(_ int, r *http.Request) { r.Header.Del("Signature") }, 401)
	send(1000, func(_ int, r *http.Request) { r.Header.Set("Date", "Mon, 01 Jan 2007 00:00:00 GMT") }, 401)
	if n := asked("far.example") + asked("victim.example"); n != 0 {
		t.Errorf("unsigned and old requests made it ask %d times", n)
	}
	// A thousand keys that somebody makes up are not a thousand requests to the host that is to suffer.
	send(1000, func(i int, r *http.Request) {
		r.Header.Set("Signature", strings.Replace(r.Header.Get("Signature"), peer.KeyID, fmt.Sprintf("https://victim.example/users/u%d#main-key", i), 1))
	}, 401, 503)
	if n := asked("victim.example"); n == 0 || n > 300 {
		t.Errorf("the victim was asked %d times, want at most 300", n)
	}
	if got, body := post(t, net, peer.Request(ryeInbox, peer.Note("n", "hello", string(baker.Actor.IRI)))); got != 202 {
		t.Errorf("and the honest one: %d %s", got, body)
	}
	for _, change := range before.Changes(rye.State()) {
		if !strings.Contains(change, "hello") && !strings.HasPrefix(change, "+ notifications") && !strings.HasPrefix(change, "+ mentions") && !strings.HasPrefix(change, "+ changes") {
			t.Errorf("they changed %s", change)
		}
	}
}

func TestFLO173AFullQueueIsSaidBeforeAnythingIsTaken(t *testing.T) {
	net, rye, baker, peer := stage(t)
	befriend(t, net, peer, baker.Actor)
	var all sync.WaitGroup
	hold, held := make(chan struct{}), make(chan struct{})
	all.Go(func() {
		if err := rye.DB.Transaction(context.Background(), func(*storage.DB) error { close(held); <-hold; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-held
	full := make(chan struct{})
	var once sync.Once
	for range 5000 {
		all.Go(func() {
			switch err := rye.DB.Transaction(context.Background(), func(*storage.DB) error { return nil }); {
			case errors.Is(err, storage.ErrBusy):
				once.Do(func() { close(full) })
			case err != nil:
				t.Error(err)
			}
		})
	}
	<-full
	act := peer.Note("n", "hello", string(baker.Actor.IRI))
	res, err := net.RoundTrip(peer.Request(ryeInbox, act))
	if err != nil || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("%v %v, want 503 with Retry-After", res, err)
	}
	close(hold)
	all.Wait()
	if home := rye.Home(baker); len(home) != 0 {
		t.Errorf("what was refused is here: %d posts", len(home))
	}
	if got, body := post(t, net, peer.Request(ryeInbox, act)); got != 202 {
		t.Errorf("the next try: %d %s", got, body)
	}
	if home := rye.Home(baker); len(home) != 1 {
		t.Errorf("%d posts are here, want 1", len(home))
	}
}

// One activity makes the sender panic each time; it is given up, and everything else goes out.
func TestFLO175PoisonIsGivenUp(t *testing.T) {
	net := aptest.New(t, "rye.example")
	net.Forgive("panic in a delivery")
	rye := net.Node("rye.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	var tries, taken atomic.Int64
	farFollowers(t, net, rye, baker.Actor, 1, func(int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if bytes.Contains(body, []byte("poison")) {
				tries.Add(1)
				panic("poison")
			}
			taken.Add(1)
			w.WriteHeader(http.StatusAccepted)
		})
	})
	rye.Say(baker, "poison")
	for i := range 10 {
		rye.Say(baker, fmt.Sprint("bread ", i))
		net.Deliver()
		net.Sleep(16 * time.Hour) // five tries within the three days that a delivery lives
	}
	net.Deliver()
	if tries.Load() != 5 || taken.Load() != 10 {
		t.Errorf("the poison was tried %d times, want 5; %d of the other 10 went out", tries.Load(), taken.Load())
	}
	dead, err := rye.DB.Deliveries(t.Context(), storage.DeliveryDead, 10)
	if err != nil || len(dead) != 1 || !strings.Contains(dead[0].LastError, "panic") {
		t.Errorf("given up: %+v, %v", dead, err)
	}
}

// A host that hangs has two tries under way, however much is for it, and nobody else waits.
func TestFLO176AHostThatHangsHoldsTwoTries(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	release := make(chan struct{})
	var hanging, most atomic.Int64
	var healthy sync.WaitGroup
	const posts = 200
	healthy.Add(posts)
	farFollowers(t, net, rye, baker.Actor, 2, func(i int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if i == 0 {
				most.Store(max(most.Load(), hanging.Add(1)))
				<-release
				hanging.Add(-1)
			} else {
				healthy.Done()
			}
			w.WriteHeader(http.StatusAccepted)
		})
	})
	for i := range posts {
		rye.Say(baker, fmt.Sprint("post ", i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- rye.Run(ctx) }()
	healthy.Wait()
	if n := most.Load(); n == 0 || n > 2 {
		t.Errorf("%d tries were under way to the host that hangs, want 1 or 2", n)
	}
	cancel()
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFLO177DeletionsOfStrangersCostNothing(t *testing.T) {
	net, rye, _, _ := stage(t)
	before, trips := rye.State(), len(net.Trips())
	const n = 2000
	for i := range n {
		stranger := aptest.NewPeer(fmt.Sprintf("https://h%d.example", i%50), fmt.Sprint("u", i), i, true)
		stranger.Now = net.Now
		if got, body := post(t, net, stranger.Request(ryeInbox, stranger.Activity("Delete", "d", stranger.ID()))); got != 202 {
			t.Fatalf("%d %s", got, body)
		}
	}
	if got := len(net.Trips()) - trips; got != n {
		t.Errorf("%d requests were made because of them", got-n)
	}
	rye.WantUnmoved(before)
	for _, change := range before.Changes(rye.State()) {
		t.Error(change)
	}
	if actors := len(rye.State()["actors"]) - len(before["actors"]); actors != 0 {
		t.Errorf("%d strangers are known now", actors)
	}
}

// Ten thousand Follows from one server: a thousand are taken, the others are refused; of each follower one answer waits, they go out
// two at a time, and nobody else waits for them.
func TestFLO178AFloodOfFollows(t *testing.T) {
	net, rye, baker, _ := limited(t)
	const names = 200
	people := make([]*aptest.Peer, names)
	all := town{}
	for i := range people {
		people[i] = aptest.NewPeer("https://far.example", fmt.Sprint("u", i), i, true)
		people[i].Now = net.Now
		all = append(all, people[i])
	}
	var underWay, most atomic.Int64
	release := make(chan struct{})
	net.Serve("far.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			most.Store(max(most.Load(), underWay.Add(1)))
			defer underWay.Add(-1)
			<-release
		}
		all.ServeHTTP(w, r)
	}))
	counts := map[int]int{}
	for round := range 10_000 / names {
		for i, p := range people {
			res, err := net.RoundTrip(p.Request(ryeInbox, p.Activity("Follow", fmt.Sprint(round, "-", i), baker.Actor.IRI)))
			if err != nil {
				t.Fatal(err)
			}
			counts[res.StatusCode]++
			if res.StatusCode == 429 && res.Header.Get("Retry-After") == "" {
				t.Fatal("a refusal does not say when to come again")
			}
		}
	}
	if counts[202] != 1000 || counts[429] != 9000 {
		t.Errorf("answers: %v; want a thousand taken and the rest refused", counts)
	}
	followers, err := rye.DB.CountFollowers(t.Context(), baker.Actor.ID)
	want(t, "followers", count(t, followers, err), names)
	told, err := rye.DB.Notifications(t.Context(), baker.Actor.ID, storage.Page{Limit: 10_000})
	must(t, err)
	want(t, "how often the baker was told", len(told), names)
	waiting, err := rye.DB.Deliveries(t.Context(), storage.DeliveryQueued, 10_000)
	must(t, err)
	want(t, "answers that wait", len(waiting), names)

	reached := make(chan struct{})
	first := sync.OnceFunc(func() { close(reached) }) // a delivery whose answer was slow comes again
	farFollowers(t, net, rye, baker.Actor, 1, func(int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted); first() })
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- rye.Run(ctx) }()
	rye.Say(baker, "Fresh bread")
	<-reached // though everything that is for the other host hangs
	cancel()
	close(release)
	must(t, <-ended)
	net.Deliver()
	if n := most.Load(); n == 0 || n > 2 {
		t.Errorf("%d answers were under way at once, want 1 or 2", n)
	}
	for _, p := range people {
		answers := map[any]any{} // one that was under way when the node stopped is brought again
		for _, a := range kindsOf(t, p, "Accept") {
			answers[a["id"]] = a["object"].(map[string]any)["id"]
		}
		if ids := slices.Collect(maps.Values(answers)); len(ids) != 1 || ids[0] != p.ID()+"/activities/4-"+p.Name[1:] {
			t.Fatalf("%s got answers to %v, want one, to her last follow", p.Name, ids)
		}
	}
}

// What is remembered of hosts in memory is bounded, however many there are.
func TestFET113ManyHosts(t *testing.T) {
	_, rye, _, _ := limited(t)
	if got := rye.Remembers(30_000); got > 20_000 {
		t.Errorf("%d hosts are remembered", got)
	}
}
