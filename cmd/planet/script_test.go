package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/rogpeppe/go-internal/testscript"

	"planet/activitypub/aptest"
)

// The scripts in testdata/script are sessions at a terminal: each runs the real program in a directory of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"planet": func() { end(pooledKeys) }, "payer": payer})
}

// pooledKeys are any of the pool: to make an RSA key takes longer than most commands.
func pooledKeys() (rsaPrivate, rsaPublic, edPrivate, edPublic string, err error) {
	k := aptest.Key(rand.IntN(1000))
	return k.RSAPrivate, k.RSAPublic, k.EdPrivate, k.EdPublic, nil
}

func TestScripts(t *testing.T) {
	testscript.Run(t, scripts(func(*testscript.Env) error { return nil }))
}

// The database of a node may be PostgreSQL: sessions that use one node alone run on it, too, each in a schema of its own.
func TestScriptsOnPostgres(t *testing.T) {
	server := os.Getenv("PLANET_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("PLANET_TEST_ALL") != "" {
			t.Fatal("PLANET_TEST_POSTGRES names no server, and PLANET_TEST_ALL wants every test")
		}
		t.Skip("SKIPPED: set PLANET_TEST_POSTGRES to the postgres:// address of a server to run this test on PostgreSQL")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	var schemas atomic.Int64
	t.Cleanup(func() {
		for i := range schemas.Load() {
			if _, err := pool.Exec(fmt.Sprintf("DROP SCHEMA planet_script_%d_%d CASCADE", os.Getpid(), i+1)); err != nil {
				t.Error(err)
			}
		}
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	p := scripts(func(e *testscript.Env) error {
		schema := fmt.Sprintf("planet_script_%d_%d", os.Getpid(), schemas.Add(1))
		if _, err := pool.Exec("CREATE SCHEMA " + schema); err != nil {
			return err
		}
		own := *u
		q := own.Query()
		q.Set("search_path", schema)
		own.RawQuery = q.Encode()
		e.Setenv("PLANET_DATABASE", own.String())
		return nil
	})
	p.Dir = ""
	for _, name := range []string{"user", "coop", "invite_token", "post", "domain", "media", "migrate_doctor", "setuplink", "signals", "currency", "payment", "offer", "order", "join", "agreement", "contribution"} {
		p.Files = append(p.Files, "testdata/script/"+name+".txtar")
	}
	testscript.Run(t, p)
}

// scripts says how every script is run; more is done to each one's environment.
func scripts(more func(*testscript.Env) error) testscript.Params {
	return testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for _, v := range []string{"A", "B"} { // room for two nodes
				port, err := freePort()
				if err != nil {
					return err
				}
				e.Setenv("PORT_"+v, port)
				e.Setenv("ORIGIN_"+v, "http://localhost:"+port)
			}
			e.Setenv("PLANET_ORIGIN", e.Getenv("ORIGIN_A"))
			e.Setenv("PLANET_LISTEN", "localhost:"+e.Getenv("PORT_A"))
			e.Setenv("PLANET_DATA", e.WorkDir+"/data")
			e.Setenv("PLANET_LOG", "warn")
			e.Values[halfDoneKey{}] = &halfDone{}
			return more(e)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"refused": func(ts *testscript.TestScript, _ bool, args []string) { exits(ts, exitRefused, args) },
			"wrong":   func(ts *testscript.TestScript, _ bool, args []string) { exits(ts, exitUsage, args) },
			"await":   await,
			"until":   until,
			"json":    jsonHas,
			"capture": capture,
			"get":     get,
			"term":    term,
			"begin":   begin,
			"finish":  finish,
			"picture": picture,
			"damage":  damage,
			"paste":   paste,
		},
	}
}

// freePort finds a port of this machine that nobody listens on now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// slowStatement is a line of the log that a machine which is busy with other things adds.
var slowStatement = regexp.MustCompile(`(?m)^\{.*"msg":"slow statement".*\n`)

// exits runs planet and wants this exit code and exactly one line on standard error.
func exits(ts *testscript.TestScript, want int, args []string) {
	err := ts.Exec("planet", args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		ts.Fatalf("planet %s: got %v, want exit code %d", strings.Join(args, " "), err, want)
	}
	if exit.ExitCode() != want {
		ts.Fatalf("planet %s: got exit code %d, want %d", strings.Join(args, " "), exit.ExitCode(), want)
	}
	if said := slowStatement.ReplaceAllString(ts.ReadFile("stderr"), ""); strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "planet: ") {
		ts.Fatalf("planet %s: want one line on standard error, got %q", strings.Join(args, " "), said)
	}
}

// patience is how long scripts wait for what takes a blink on an idle machine.
const patience = 45 * time.Second

// await ADDRESS waits until a node answers there; "! await" until it takes no more requests.
func await(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(patience)
	for {
		res, err := fresh.Get(args[0])
		if err == nil {
			res.Body.Close()
			if (res.StatusCode < 500) != neg {
				return
			}
		} else if neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not answer: %v", args[0], err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// fresh opens a connection for each request, as a node that stops still serves those that are open.
var fresh = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// begin ADDRESS starts a request and leaves it half done, once the node reads its body: a connection that is still in the
// listener's queue when the node stops is nobody's request yet.
func begin(ts *testscript.TestScript, _ bool, args []string) {
	u, err := url.Parse(args[0])
	ts.Check(err)
	c, err := net.Dial("tcp", u.Host)
	ts.Check(err)
	ts.Defer(func() { c.Close() })
	_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/activity+json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", u.Path, u.Host)
	ts.Check(err)
	ts.Check(c.SetDeadline(time.Now().Add(patience)))
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n" // net/http says it when a handler first reads the body
	said := make([]byte, len(goOn))
	_, err = io.ReadFull(c, said)
	ts.Check(err)
	if string(said) != goOn {
		ts.Fatalf("got %q, want %q", said, goOn)
	}
	_, err = c.Write([]byte("{"))
	ts.Check(err)
	ts.Value(halfDoneKey{}).(*halfDone).conn = c
}

// finish STATUS completes the request that was begun and wants this answer.
func finish(ts *testscript.TestScript, _ bool, args []string) {
	c := ts.Value(halfDoneKey{}).(*halfDone).conn
	ts.Check(c.SetDeadline(time.Now().Add(patience)))
	_, err := c.Write([]byte("}"))
	ts.Check(err)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	ts.Check(err)
	res.Body.Close()
	if strconv.Itoa(res.StatusCode) != args[0] {
		ts.Fatalf("got %d, want %s", res.StatusCode, args[0])
	}
}

// halfDone is the request of one script that was begun.
type halfDone struct{ conn net.Conn }

type halfDoneKey struct{}

// term sends SIGTERM to what runs in the background; testscript's own kill knows SIGINT and SIGKILL.
func term(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}

// until TEXT planet ARGS… runs the command again and again until its standard output holds the text; "! until" until it does not.
func until(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(patience)
	for {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: waited in vain (%v); it printed %s", strings.Join(args, " "), err, ts.ReadFile("stdout"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// json PATH WANT looks into the JSON that the last command printed; PATH is like 0.roles.1, len is a length, WANT * is anything but
// nothing.
func jsonHas(ts *testscript.TestScript, _ bool, args []string) {
	got := dig(ts, args[0])
	if args[1] == "*" && got != "" && got != "<nil>" {
		return
	}
	if got != args[1] {
		ts.Fatalf("json %s: got %q, want %q", args[0], got, args[1])
	}
}

// capture NAME [PATH] keeps what the last command printed, or a value of its JSON, in a variable; capture NAME /PATTERN keeps the
// first submatch of a regular expression.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 2 && strings.HasPrefix(args[1], "/") {
		m := regexp.MustCompile(args[1][1:]).FindStringSubmatch(ts.ReadFile("stdout"))
		if len(m) < 2 {
			ts.Fatalf("standard output does not match %s", args[1])
		}
		ts.Setenv(args[0], m[1])
		return
	}
	if len(args) == 2 {
		ts.Setenv(args[0], dig(ts, args[1]))
		return
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

func dig(ts *testscript.TestScript, path string) string {
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &v); err != nil {
		ts.Fatalf("standard output is no JSON: %v", err)
	}
	for _, step := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			if step == "len" {
				v = strconv.Itoa(len(x))
				continue
			}
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(x) {
				ts.Fatalf("json %s: there is no %s among %d", path, step, len(x))
			}
			v = x[i]
		default:
			ts.Fatalf("json %s: nothing at %s", path, step)
		}
	}
	return fmt.Sprint(v)
}

// picture FILE SEED writes a small PNG; each seed is another one.
func picture(ts *testscript.TestScript, _ bool, args []string) {
	seed, err := strconv.ParseUint(args[1], 10, 8)
	ts.Check(err)
	img := image.NewGray(image.Rect(0, 0, 40, 20))
	for i := range img.Pix {
		img.Pix[i] = byte(seed) + byte(i)
	}
	var b bytes.Buffer
	ts.Check(png.Encode(&b, img))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o600))
}

// damage SQL… does to the database behind the node's back what a bad disk would.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite3", ts.Getenv("PLANET_DATA")+"/planet.db")
	ts.Check(err)
	defer db.Close()
	for _, text := range args {
		_, err := db.Exec(text)
		ts.Check(err)
	}
}

// paste PAGE runs the blocks of a page of docs as one session of a shell, which ends at the first command that fails.
func paste(ts *testscript.TestScript, _ bool, args []string) {
	text, err := docs.ReadFile(args[0])
	ts.Check(err)
	var session strings.Builder
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			session.WriteString(command)
		}
	}
	ts.Check(ts.Exec("sh", "-e", "-c", session.String()))
}

// docs is the directory of the documentation; scripts run elsewhere.
var docs = os.DirFS("../../docs").(fs.ReadFileFS)

// get STATUS ADDRESS [ACCEPT [TOKEN]] asks a node.
func get(ts *testscript.TestScript, _ bool, args []string) {
	r, err := http.NewRequest(http.MethodGet, args[1], nil)
	ts.Check(err)
	if len(args) > 2 {
		r.Header.Set("Accept", args[2])
	}
	if len(args) > 3 {
		r.Header.Set("Authorization", "Bearer "+args[3])
	}
	res, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer res.Body.Close()
	if strconv.Itoa(res.StatusCode) != args[0] {
		ts.Fatalf("GET %s: got %d, want %s", args[1], res.StatusCode, args[0])
	}
}

// The contract of the command line: every command explains itself with an example, and has --json where it lists or creates.
func TestEveryCommandExplainsItself(t *testing.T) {
	parser, err := kong.New(&cli{}, kong.Name("planet"))
	if err != nil {
		t.Fatal(err)
	}
	leaves := 0
	for _, n := range parser.Model.Leaves(true) {
		leaves++
		if _, example, ok := strings.Cut(n.Detail, "Example: "); !ok || !strings.Contains(example, "planet ") {
			t.Errorf("%s: --help has no example", n.FullPath())
		}
		if n.Help == "" {
			t.Errorf("%s: no help", n.FullPath())
		}
		hasJSON := false
		for _, f := range n.Flags {
			hasJSON = hasJSON || f.Name == "json"
			if f.Help == "" && !f.Hidden {
				t.Errorf("%s: --%s has no help", n.FullPath(), f.Name)
			}
		}
		if (n.Name == "list" || n.Name == "create" || n.Name == "show") && !hasJSON {
			t.Errorf("%s: lists or creates without --json", n.FullPath())
		}
	}
	if leaves < 30 {
		t.Errorf("only %d commands were looked at", leaves)
	}
}
