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

// TestREL311FLO174Killed kills the node again and again while it receives. Whatever it answered 202 to is there afterwards,
// exactly once, and the database is sound. PLANET_TEST_KILLS says how often.
func TestREL311FLO174Killed(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 5
	}
	if s := os.Getenv("PLANET_TEST_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	n := newNode(t)
	n.run("user", "create", "nuria")
	n.run("coop", "create", "baker", "--title", "Baker", "--founder", "nuria")
	far := httptest.NewUnstartedServer(nil)
	_, port, _ := net.SplitHostPort(far.Listener.Addr().String())
	peer := aptest.NewPeer("http://far.localhost:"+port, "ann", 1, true)
	far.Config.Handler = peer
	far.Start()
	defer far.Close()

	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", n.address)
		}}}
	var mu sync.Mutex
	var accepted []string
	next := 0
	for round := range kills {
		n.start()
		client.CloseIdleConnections()
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		for range 4 {
			load.Go(func() {
				for ctx.Err() == nil {
					mu.Lock()
					next++
					id := fmt.Sprint(next)
					mu.Unlock()
					act := peer.Note(id, "note "+id, n.origin()+"/users/baker")
					res, err := client.Do(peer.Request(n.origin()+"/inbox", act).WithContext(ctx))
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					if res.StatusCode == http.StatusAccepted {
						mu.Lock()
						accepted = append(accepted, act["id"].(string))
						mu.Unlock()
					}
				}
			})
		}
		time.Sleep(time.Duration(50+rand.IntN(250)) * time.Millisecond)
		n.kill()
		cancel()
		load.Wait()
		if round == 0 && len(accepted) == 0 {
			t.Fatalf("the node accepted nothing:\n%s", n.log.String())
		}
	}
	db, err := storage.Open(t.Context(), storage.Config{DSN: filepath.Join(n.dir, "data", "planet.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, id := range accepted {
		got, err := db.CountActivities(t.Context(), storage.IRI(id), storage.IRI(peer.ID()))
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
	t.Logf("%d kills, %d activities accepted, all there once", kills, len(accepted))
}
