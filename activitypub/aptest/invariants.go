package aptest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"planet/storage/storagetest"
)

// What holds whatever others send, and is checked of every test on a Network: a node never answers 5xx but 503 with
// Retry-After, never logs an error or a panic, answers within bounds, and asks no server that the test did not put there.

// maxAnswer is more than any answer of a node to one request.
const maxAnswer = 1 << 20

// Forgive lets a breach of the invariants pass whose text holds one of these: a test that breaks something on purpose says what.
func (net *Network) Forgive(parts ...string) {
	net.mu.Lock()
	defer net.mu.Unlock()
	net.forgiven = append(net.forgiven, parts...)
}

func (net *Network) breach(format string, args ...any) {
	net.mu.Lock()
	defer net.mu.Unlock()
	net.broken = append(net.broken, fmt.Sprintf(format, args...))
}

// audit fails the test for every breach.
func (net *Network) audit() {
	net.mu.Lock()
	defer net.mu.Unlock()
	for _, b := range net.broken {
		if !slices.ContainsFunc(net.forgiven, func(part string) bool { return strings.Contains(b, part) }) {
			net.T.Errorf("invariant: %s", b)
		}
	}
}

// judge looks at an answer of a node of ours.
func (net *Network) judge(h http.Handler, r *http.Request, rec *httptest.ResponseRecorder) {
	if !slices.ContainsFunc(net.nodes, func(n *Node) bool { return n.Handler() == h }) {
		return
	}
	switch {
	case rec.Code >= 500 && rec.Code != http.StatusServiceUnavailable:
		net.breach("%s %s was answered %d %.200s", r.Method, r.URL, rec.Code, rec.Body)
	case (rec.Code == http.StatusServiceUnavailable || rec.Code == http.StatusTooManyRequests) && rec.Header().Get("Retry-After") == "":
		net.breach("%s %s was answered %d without Retry-After", r.Method, r.URL, rec.Code)
	case rec.Body.Len() > maxAnswer:
		net.breach("the answer to %s %s has %d bytes", r.Method, r.URL, rec.Body.Len())
	}
}

// log is what the nodes write to.
func (net *Network) log() *slog.Logger { return slog.New(errorLog{net}) }

// errorLog keeps errors, as breaches, and lets everything else go.
type errorLog struct{ net *Network }

// Enabled is true of errors.
func (l errorLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

// Handle keeps an error.
func (l errorLog) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += fmt.Sprintf(" %s=%.500v", a.Key, a.Value); return true })
	l.net.breach("an error was logged: %s", text)
	return nil
}

// WithAttrs changes nothing.
func (l errorLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup changes nothing.
func (l errorLog) WithGroup(string) slog.Handler { return l }

// State is all that a node holds and others could want to change, row by row: actors, keys, follows, posts, notifications,
// what was sent and is to be sent. How it was told (activities of others as received, deletions that it remembers) and
// what it keeps for its own comfort (the health of hosts, when a document was read) are not part of it.
type State map[string][]string

var (
	comfort        = []string{"hosts", "jobs", "settings", "goose_db_version", "tombstones"}
	comfortColumns = map[string][]string{"actors": {"fetched_at", "updated_at"}, "keys": {"created_at"}}
)

// State reads a node's.
func (n *Node) State() State {
	n.net.T.Helper()
	s := State{}
	for table, rows := range storagetest.Rows(n.net.T, n.DB, comfort...) {
		for _, row := range rows {
			if local, ok := row["local"]; ok && table == "activities" && fmt.Sprint(local) != "true" && fmt.Sprint(local) != "1" {
				continue
			}
			if done := fmt.Sprint(row["done"]); table == "calls" && done != "true" && done != "1" {
				continue // what an app asked for, and did not get
			}
			for _, column := range comfortColumns[table] {
				delete(row, column)
			}
			mark := ""
			if table == "actors" && row["domain"] != "" || table == "keys" && row["private"] == "" {
				mark = elsewhere
			}
			s[table] = append(s[table], mark+fmt.Sprint(map[string]any(row)))
		}
		slices.Sort(s[table])
	}
	return s
}

// Hash is the same for two states that are the same.
func (s State) Hash() string {
	h := sha256.New()
	for _, table := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(h, "%q%q", table, s[table])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// elsewhere marks what may become known when nothing happens: a node reads about others in order to judge them.
const elsewhere = "elsewhere "

// Changes says what is different afterwards: "- row" is gone, "+ row" is new. Actors elsewhere that became known, and their
// keys, are no change; that one of them became another is.
func (s State) Changes(after State) (out []string) {
	tables := slices.Concat(slices.Collect(maps.Keys(s)), slices.Collect(maps.Keys(after)))
	slices.Sort(tables)
	for _, table := range slices.Compact(tables) {
		for _, row := range s[table] {
			if !slices.Contains(after[table], row) {
				out = append(out, fmt.Sprintf("- %s %.600s", table, row))
			}
		}
		for _, row := range after[table] {
			if !slices.Contains(s[table], row) && !strings.HasPrefix(row, elsewhere) {
				out = append(out, fmt.Sprintf("+ %s %.600s", table, row))
			}
		}
	}
	return out
}

// WantUnmoved fails the test when a node's state is not what it was.
func (n *Node) WantUnmoved(before State) {
	n.net.T.Helper()
	for _, change := range before.Changes(n.State()) {
		n.net.T.Errorf("it changed the state of %s: %s", n.Host, change)
	}
}
