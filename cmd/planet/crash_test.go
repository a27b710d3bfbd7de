package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"planet/activitypub/aptest"
	"planet/storage"
)

// buildPlanet compiles the command once for the tests that need it as a process of its own.
var buildPlanet = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "planet-binary")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "planet")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

// node is a planet process on a loopback port.
type node struct {
	t                    testing.TB
	binary, dir, address string
	cmd                  *exec.Cmd
	log                  bytes.Buffer
}

func newNode(t testing.TB) *node {
	t.Helper()
	binary, err := buildPlanet()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return &node{t: t, binary: binary, dir: t.TempDir(), address: l.Addr().String()}
}

func (n *node) port() string { _, p, _ := net.SplitHostPort(n.address); return p }

func (n *node) origin() string { return "http://planet.localhost:" + n.port() }

func (n *node) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, n.binary, args...)
	c.Dir = n.dir
	c.Env = append(os.Environ(), "PLANET_ORIGIN="+n.origin(), "PLANET_LISTEN="+n.address, "PLANET_DATA="+filepath.Join(n.dir, "data"), "PLANET_RATE_LIMIT=off", "PLANET_LOG=warn")
	return c
}

// run runs one command to its end.
func (n *node) run(args ...string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 30*time.Second)
	defer cancel()
	out, err := n.command(ctx, args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("planet %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start serves, and returns when the node answers.
func (n *node) start() {
	n.t.Helper()
	n.cmd = n.command(context.Background(), "serve")
	n.cmd.Stdout, n.cmd.Stderr = &n.log, &n.log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	for range 500 {
		if c, err := net.DialTimeout("tcp", n.address, time.Second); err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.kill()
	n.t.Fatalf("the node does not listen:\n%s", n.log.String())
}

func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
}

// sender brings notes to a node from a peer of its own, and remembers which were accepted.
type sender struct {
	n        *node
	peer     *aptest.Peer
	client   *http.Client
	mu       sync.Mutex
	next     int      // under mu
	accepted []string // ids; under mu
	others   []string // what else was answered; under mu
}

func newSender(t testing.TB, n *node) *sender {
	t.Helper()
	far := httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(far.Listener.Addr().String())
	s := &sender{n: n, peer: aptest.NewPeer("http://far.localhost:"+port, "ann", 1, true)}
	far.Config.Handler = s.peer
	far.Start()
	t.Cleanup(far.Close)
	s.client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", n.address)
		}}}
	return s
}

// send sends until ctx ends, or the node does not answer any more.
func (s *sender) send(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		s.next++
		id := fmt.Sprint(s.next)
		s.mu.Unlock()
		act := s.peer.Note(id, "note "+id, s.n.origin()+"/users/baker")
		res, err := s.client.Do(s.peer.Request(s.n.origin()+"/inbox", act).WithContext(ctx))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		s.mu.Lock()
		if res.StatusCode == http.StatusAccepted {
			s.accepted = append(s.accepted, act["id"].(string))
		} else {
			s.others = append(s.others, fmt.Sprintf("%d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After")))
		}
		s.mu.Unlock()
	}
}

// audit holds a node that has ended to what it answered: whatever was accepted is there, once, and the database is sound.
func (s *sender) audit(t *testing.T) {
	t.Helper()
	db, err := storage.Open(t.Context(), storage.Config{DSN: filepath.Join(s.n.dir, "data", "planet.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, id := range s.accepted {
		got, err := db.CountActivities(t.Context(), storage.IRI(id), storage.IRI(s.peer.ID()))
		if err != nil || got != 1 {
			t.Fatalf("%s was accepted and is there %d times, %v", id, got, err)
		}
		note := strings.Replace(id, "/activities/", "/notes/", 1)
		if _, err := db.PostByIRI(t.Context(), storage.IRI(note)); err != nil {
			t.Fatalf("%s was accepted, but its note: %v", id, err)
		}
	}
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestREL311FLO174Killed kills the node again and again while it receives. Whatever it answered 202 to is there afterwards,
// exactly once, and the database is sound. PLANET_TEST_KILLS says how often.
func TestREL311FLO174Killed(t *testing.T) {
	kills := 50
	if s := os.Getenv("PLANET_TEST_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	if testing.Short() {
		kills = 5
	}
	n := newNode(t)
	n.run("user", "create", "nuria")
	n.run("coop", "create", "baker", "--title", "Baker", "--founder", "nuria")
	s := newSender(t, n)
	for range kills {
		n.start()
		s.client.CloseIdleConnections()
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		for range 4 {
			load.Go(func() { s.send(ctx) })
		}
		time.Sleep(time.Duration(50+rand.IntN(250)) * time.Millisecond)
		n.kill()
		cancel()
		load.Wait()
	}
	if len(s.accepted) < kills { // a single round may be too short on a busy machine
		t.Errorf("the node accepted %d activities in %d rounds:\n%s", len(s.accepted), kills, n.log.String())
	}
	s.audit(t)
	t.Logf("%d kills, %d activities accepted, all there once", kills, len(s.accepted))
}

// TestREL312StoppedUnderLoad asks the node to stop while it receives: it ends in order and in time, whoever comes too late is told
// to come again, and what it took and what it owes is there.
func TestREL312StoppedUnderLoad(t *testing.T) {
	n := newNode(t)
	n.run("user", "create", "nuria")
	n.run("coop", "create", "baker", "--title", "Baker", "--founder", "nuria")
	s := newSender(t, n)
	s.peer.Answer = http.StatusServiceUnavailable // so that what the node owes it waits
	for round := range 3 {
		n.start()
		s.client.CloseIdleConnections()
		if round == 0 {
			res, err := s.client.Do(s.peer.Request(n.origin()+"/inbox", s.peer.Activity("Follow", "f", n.origin()+"/users/baker")))
			if err != nil || res.StatusCode != http.StatusAccepted {
				t.Fatalf("the follow: %v, %v", res, err)
			}
			_ = res.Body.Close()
		}
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		for range 4 {
			load.Go(func() { s.send(ctx) })
		}
		time.Sleep(200 * time.Millisecond)
		if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- n.cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("it did not end in order: %v\n%s", err, n.log.String())
			}
		case <-time.After(25 * time.Second):
			n.kill()
			t.Fatal("it takes more than the 20 s that it may")
		}
		cancel()
		load.Wait()
	}
	if len(s.accepted) == 0 {
		t.Fatalf("the node accepted nothing:\n%s", n.log.String())
	}
	for _, answer := range s.others {
		if answer != `503, Retry-After "60"` {
			t.Errorf("an activity was answered with %s; want 202, or 503 and when to come again", answer)
		}
	}
	s.audit(t)
	if queue := n.run("queue", "--json"); strings.Count(queue, `/users/baker answers `) != 1 {
		t.Errorf("the answer to the follow is owed no more: %s", queue)
	}
}

// TestREL322AMigrationIsKilled kills the first migration at one moment after another; the next one brings it to its end.
func TestREL322AMigrationIsKilled(t *testing.T) {
	for at := range 12 {
		n := newNode(t)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		c := n.command(ctx, "migrate")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(8*at) * time.Millisecond)
		_ = c.Process.Kill()
		_ = c.Wait()
		cancel()
		n.run("migrate")
		n.run("user", "create", "nuria")
		db, err := storage.Open(t.Context(), storage.Config{DSN: filepath.Join(n.dir, "data", "planet.db")})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Check(t.Context()); err != nil {
			t.Errorf("killed after %d ms: %v", 8*at, err)
		}
		if pending, err := db.Pending(t.Context()); err != nil || len(pending) != 0 {
			t.Errorf("killed after %d ms: %v is still to be done, %v", 8*at, pending, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
