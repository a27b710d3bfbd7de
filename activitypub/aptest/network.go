// Package aptest is a fediverse in memory for tests: nodes that reach each other without a network, a clock that tests
// move, and verbs to tell stories with. Nothing here ships.
package aptest

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
)

// Network carries requests between nodes by host name.
type Network struct {
	T testing.TB

	mu    sync.Mutex
	hosts map[string]http.Handler
	now   time.Time
	trips []string
	keys  int
	nodes []*Node

	faults   Faults
	dice     *rand.Rand // nil: nothing goes wrong
	away     map[string]bool
	underWay []late

	// Database makes the database of a node; storagetest.New unless a test sets it.
	Database func(host string) *storage.DB

	forgiven []string // what the invariants let pass, see Forgive
	broken   []string // what broke them
}

// Node is one server of the network.
type Node struct {
	*activitypub.Node
	DB  *storage.DB
	net *Network

	config activitypub.Config
	off    atomic.Int64 // of its clock, against the network's
}

// New makes a network with a node for each host name.
func New(t testing.TB, hosts ...string) *Network {
	t.Helper()
	net := &Network{T: t, hosts: map[string]http.Handler{}, now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC),
		Database: func(string) *storage.DB { return storagetest.New(t) }}
	for _, h := range hosts {
		net.Add(h)
	}
	t.Cleanup(net.audit)
	return net
}

// Add makes a node under a host name.
func (net *Network) Add(host string, change ...func(*activitypub.Config)) *Node {
	net.T.Helper()
	db, dir := net.Database(host), net.T.TempDir()
	node := &Node{DB: db, net: net}
	db.Now, db.Log = node.Clock, net.log()
	origin := "https://" + host
	client, err := activitypub.NewClient(activitypub.ClientConfig{Origin: origin, Version: "test", Now: node.Clock, Transport: net})
	if err != nil {
		net.T.Fatal(err)
	}
	c := activitypub.Config{Origin: origin, DB: db, Client: client, Now: node.Clock, Log: net.log(), Version: "test", Keys: net.nextKeys,
		MediaDir: filepath.Join(dir, "media"), MediaCacheDir: filepath.Join(dir, "cache"), MediaCache: 1 << 20}
	for _, f := range change {
		f(&c)
	}
	n, err := activitypub.New(net.T.Context(), c)
	if err != nil {
		net.T.Fatal(err)
	}
	node.Node, node.config = n, c
	net.mu.Lock()
	defer net.mu.Unlock()
	net.hosts[host] = n.Handler()
	net.nodes = append(net.nodes, node)
	return node
}

func (net *Network) nextKeys() (rsaPrivate, rsaPublic, edPrivate, edPublic string, err error) {
	net.mu.Lock()
	defer net.mu.Unlock()
	net.keys++
	k := Key(net.keys)
	return k.RSAPrivate, k.RSAPublic, k.EdPrivate, k.EdPublic, nil
}

// Serve puts any handler behind a host name: a peer of the test's own.
func (net *Network) Serve(host string, h http.Handler) {
	net.mu.Lock()
	defer net.mu.Unlock()
	net.hosts[host] = h
}

// Node finds a node by host name.
func (net *Network) Node(host string) *Node {
	net.T.Helper()
	for _, n := range net.nodes {
		if n.Host == host {
			return n
		}
	}
	net.T.Fatalf("no node %s", host)
	return nil
}

// Now is the network's clock; it stands until Sleep moves it.
func (net *Network) Now() time.Time {
	net.mu.Lock()
	defer net.mu.Unlock()
	return net.now
}

// Sleep moves the clock.
func (net *Network) Sleep(d time.Duration) {
	net.mu.Lock()
	defer net.mu.Unlock()
	net.now = net.now.Add(d)
}

// Trips are the requests so far, as "METHOD https://host/path".
func (net *Network) Trips() []string {
	net.mu.Lock()
	defer net.mu.Unlock()
	return append([]string(nil), net.trips...)
}

// RoundTrip brings a request to its host, as http.RoundTripper, through whatever the network does to it (see Disturb).
func (net *Network) RoundTrip(r *http.Request) (*http.Response, error) {
	return net.disturbed(r, net.carry)
}

// senderOf is the host that sent a request, by its User-Agent; "" when that says nothing.
func senderOf(r *http.Request) string {
	_, origin, _ := strings.Cut(r.Header.Get("User-Agent"), "https://")
	host, _, _ := strings.Cut(origin, "/")
	return host
}

// carry brings a request to the handler of its host.
func (net *Network) carry(r *http.Request) (*http.Response, error) {
	net.mu.Lock()
	h, known := net.hosts[r.URL.Host]
	net.trips = append(net.trips, r.Method+" "+r.URL.String())
	net.mu.Unlock()
	if !known {
		net.breach("a request left for %s, which is no server of this test", r.URL.Host)
	}
	if h == nil {
		return nil, fmt.Errorf("dial %s: no such host", r.URL.Host)
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.RequestURI(), bytes.NewReader(body))
	in.Header = r.Header.Clone()
	in.Host = r.URL.Host
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, in)
	res := rec.Result()
	res.Request = r
	net.judge(h, r, rec)
	return res, nil
}

// Deliver lets all nodes do the jobs and bring out the deliveries that are due, until nothing is.
func (net *Network) Deliver() {
	net.T.Helper()
	net.arrivals()
	for range 20 {
		idle := true
		for _, n := range net.nodes {
			due, err := n.DB.DeliveryDue(context.Background())
			if err != nil {
				net.T.Fatal(err)
			}
			owed, err := n.DB.JobDue(context.Background())
			if err != nil {
				net.T.Fatal(err)
			}
			if !due && !owed {
				continue
			}
			idle = false
			if err := n.DoJobs(context.Background()); err != nil {
				net.T.Fatal(err)
			}
			if err := n.DeliverDue(context.Background()); err != nil {
				net.T.Fatal(err)
			}
		}
		if idle {
			return
		}
	}
	net.T.Fatal("the nodes do not come to rest")
}

// Person makes a person of this node and returns her as herself.
func (n *Node) Person(name string) activitypub.By {
	n.net.T.Helper()
	u, a, err := n.CreatePerson(context.Background(), activitypub.NewUser{Username: name})
	if err != nil {
		n.net.T.Fatal(err)
	}
	return activitypub.By{User: u, Actor: a}
}

// Coop founds a co-op and returns its founder acting as it.
func (n *Node) Coop(founder activitypub.By, name string) activitypub.By {
	n.net.T.Helper()
	a, err := n.FoundCoop(context.Background(), founder.User, activitypub.NewCoop{Username: name, Title: name + " co-op", Place: "Girona", Category: "food"})
	if err != nil {
		n.net.T.Fatal(err)
	}
	return activitypub.By{User: founder.User, Actor: a}
}

// Say publishes a post.
func (n *Node) Say(by activitypub.By, text string) *storage.Post {
	n.net.T.Helper()
	p, err := n.Publish(context.Background(), by, activitypub.Draft{Text: text})
	if err != nil {
		n.net.T.Fatal(err)
	}
	return p
}

// Home is what an actor sees.
func (n *Node) Home(by activitypub.By) []storage.Post {
	n.net.T.Helper()
	ps, err := n.DB.HomeTimeline(context.Background(), by.Actor.ID, storage.Page{Limit: 100})
	if err != nil {
		n.net.T.Fatal(err)
	}
	return ps
}

// Picture uploads a small picture of an actor; each seed is another one.
func (n *Node) Picture(by activitypub.By, seed uint8, alt string) *storage.Media {
	n.net.T.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 20))
	for i := range img.Pix {
		img.Pix[i] = seed + uint8(i)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		n.net.T.Fatal(err)
	}
	m, err := n.Upload(context.Background(), by, &b, activitypub.Description{Alt: alt})
	if err != nil {
		n.net.T.Fatal(err)
	}
	return m
}
