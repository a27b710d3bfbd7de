package aptest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// Faults are how many of a thousand requests go wrong on the way, and how. The network draws them from a seed. Deliveries to
// several hosts go out side by side and node ids and back-off draw for themselves, so one seed makes alike runs, not equal ones.
type Faults struct {
	Lost       int // it never arrives
	Unanswered int // it arrives, and its answer is lost
	Twice      int // it arrives twice
	Late       int // it is given up by its sender and arrives within two hours after all: POST only, others are lost
	Busy       int // something in front of the host answers 503
}

// late is a request that is still on its way.
type late struct {
	at     time.Time
	arrive func()
}

// Disturb makes requests go wrong from now on; with no Faults, none do.
func (net *Network) Disturb(seed uint64, f Faults) {
	net.mu.Lock()
	defer net.mu.Unlock()
	net.faults, net.dice = f, rand.New(rand.NewPCG(seed, 1))
}

// Away takes a host off the network, in both directions, or brings it back. It goes on by itself: who is at it does not notice.
func (net *Network) Away(host string, away bool) {
	net.mu.Lock()
	defer net.mu.Unlock()
	if net.away == nil {
		net.away = map[string]bool{}
	}
	net.away[host] = away
}

// Restart ends a node and starts another on the same database. What it had claimed and not finished stays claimed.
func (n *Node) Restart() {
	n.net.T.Helper()
	fresh, err := activitypub.New(n.net.T.Context(), n.config)
	if err != nil {
		n.net.T.Fatal(err)
	}
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	n.Node = fresh
	n.net.hosts[n.Host] = fresh.Handler()
}

// Abandon claims deliveries and jobs that are due as a worker does that dies right after.
func (n *Node) Abandon(limit int) {
	n.net.T.Helper()
	everyone := func(h storage.Host) int { return limit }
	if _, _, err := n.DB.ClaimDeliveries(context.Background(), nil, everyone, limit, 3*time.Minute); err != nil {
		n.net.T.Fatal(err)
	}
	if _, err := n.DB.ClaimJobs(context.Background(), limit, 5*time.Minute); err != nil {
		n.net.T.Fatal(err)
	}
}

// SetClock makes a node's clock differ from the network's from now on: it jumps.
func (n *Node) SetClock(off time.Duration) { n.off.Store(int64(off)) }

// Clock is the time as the node sees it.
func (n *Node) Clock() time.Time { return n.net.Now().Add(time.Duration(n.off.Load())) }

var (
	errLost = errors.New("the connection broke off")
	errAway = errors.New("no route to host")
)

// disturbed carries a request past the faults; carry brings it to its host.
func (net *Network) disturbed(r *http.Request, carry func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	net.mu.Lock()
	quiet := net.dice == nil && len(net.away) == 0
	net.mu.Unlock()
	if quiet {
		return carry(r)
	}
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	again := func() (*http.Response, error) {
		c := r.Clone(context.WithoutCancel(r.Context()))
		c.Body = io.NopCloser(bytes.NewReader(body))
		return carry(c)
	}
	net.mu.Lock()
	from := senderOf(r)
	gone := net.away[r.URL.Host] || net.away[from]
	roll, delay := 1000, time.Duration(0)
	if net.dice != nil && net.faults != (Faults{}) {
		roll, delay = net.dice.IntN(1000), time.Duration(net.dice.Int64N(int64(2*time.Hour)))
	}
	f, now := net.faults, net.now
	net.mu.Unlock()
	within := func(share int) bool {
		roll -= share
		return roll < 0
	}
	switch {
	case gone:
		return nil, errAway
	case within(f.Lost):
		return nil, errLost
	case within(f.Unanswered):
		if _, err := again(); err != nil {
			return nil, err
		}
		return nil, errLost
	case within(f.Twice):
		if _, err := again(); err != nil {
			return nil, err
		}
		return again()
	case within(f.Late):
		if r.Method == http.MethodPost {
			net.mu.Lock()
			net.underWay = append(net.underWay, late{now.Add(delay), func() { _, _ = again() }})
			net.mu.Unlock()
		}
		return nil, errLost
	case within(f.Busy):
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(nil)), Request: r}, nil
	}
	return again()
}

// arrivals brings what is late and due.
func (net *Network) arrivals() {
	net.mu.Lock()
	var due []late
	net.underWay = slices.DeleteFunc(net.underWay, func(l late) bool {
		if l.at.After(net.now) {
			return false
		}
		due = append(due, l)
		return true
	})
	net.mu.Unlock()
	for _, l := range due {
		l.arrive()
	}
}
