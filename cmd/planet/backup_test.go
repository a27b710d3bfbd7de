package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"planet/storage"
)

// document fetches what other servers read at an address of a node.
func (n *node) document(path string) string {
	n.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+n.address+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	r.Host = strings.TrimPrefix(n.origin(), "http://")
	r.Header.Set("Accept", "application/activity+json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		n.t.Fatalf("%s: got %s, %v", path, res.Status, err)
	}
	return string(text)
}

// TestREL321ABackupUnderLoadIsRestored backs a node up while activities come in, loses it, and restores it: whatever was accepted
// before the backup began is there, actors and keys are the same, and the node takes and signs again.
func TestREL321ABackupUnderLoadIsRestored(t *testing.T) {
	n := newNode(t)
	n.run("user", "create", "nuria")
	n.run("coop", "create", "baker", "--title", "Baker", "--founder", "nuria")
	s := newSender(t, n)
	n.start()
	was := n.document("/users/baker")
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() { s.send(ctx) })
	}
	var before []string
	for i := range 3 {
		time.Sleep(200 * time.Millisecond)
		s.mu.Lock()
		before = append([]string{}, s.accepted...)
		s.mu.Unlock()
		n.run("backup", fmt.Sprint(i, ".planet"))
	}
	cancel()
	load.Wait()
	n.kill()
	after := len(s.accepted)
	if after <= len(before) || len(before) == 0 {
		t.Fatalf("%d were accepted before the last backup and %d after it", len(before), after-len(before))
	}
	if err := os.RemoveAll(filepath.Join(n.dir, "data")); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		n.run("backup", "verify", fmt.Sprint(i, ".planet"))
	}
	n.run("restore", "2.planet")
	n.start()
	if now := n.document("/users/baker"); now != was {
		t.Errorf("the restored co-op is\n%s\nand was\n%s", now, was)
	}
	n.run("post", "--as", "baker", "Back again")
	var outbox struct{ TotalItems int }
	if err := json.Unmarshal([]byte(n.document("/users/baker/outbox")), &outbox); err != nil || outbox.TotalItems != 1 {
		t.Errorf("got %+v, %v; want the post, signed with the key that it had", outbox, err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
	s.accepted = before
	s.send(ctx)
	cancel()
	n.kill()
	s.audit(t)
	if len(s.accepted) == len(before) {
		t.Error("the restored node accepted nothing")
	}
	t.Logf("%d accepted before the backup, %d while and after it was made, %d by the restored node", len(before), after-len(before), len(s.accepted)-len(before))
}

// pictures gives a node pictures that are not seen by any test, so that backup and restore take a while.
func pictures(t *testing.T, n *node, count int) {
	t.Helper()
	db, err := storage.Open(t.Context(), storage.Config{DSN: filepath.Join(n.dir, "data", "planet.db")})
	if err != nil {
		t.Fatal(err)
	}
	a, err := db.LocalActor(t.Context(), "baker")
	if err != nil {
		t.Fatal(err)
	}
	err = db.Transaction(t.Context(), func(tx *storage.DB) error {
		for i := range count {
			body := []byte(strings.Repeat(fmt.Sprint("crumb ", i), 20_000))
			name := fmt.Sprintf("%x.png", sha256.Sum256(body))
			path := filepath.Join(n.dir, "data", "media", name[:2], name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(path, body, 0o600); err != nil {
				return err
			}
			if err := tx.CreateMedia(t.Context(), &storage.Media{ActorID: a.ID, Profile: true, Name: name, MediaType: "image/png"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// killed runs a command and kills it at a moment; it reports whether the command was faster.
func (n *node) killed(after time.Duration, args ...string) (done bool) {
	n.t.Helper()
	c := n.command(context.Background(), args...)
	if err := c.Start(); err != nil {
		n.t.Fatal(err)
	}
	time.Sleep(after)
	_ = c.Process.Kill()
	_ = c.Wait()
	return c.ProcessState.Success()
}

// TestREL321ABackupIsKilled kills backups at one moment after another: the file is there and sound, or not there.
func TestREL321ABackupIsKilled(t *testing.T) {
	n := newNode(t)
	n.run("user", "create", "nuria")
	n.run("coop", "create", "baker", "--title", "Baker", "--founder", "nuria")
	pictures(t, n, 100)
	cut, whole := 0, 0
	for at := time.Duration(0); whole < 3 && at < time.Minute; at += 10*time.Millisecond + at/10 {
		name := fmt.Sprint(at.Milliseconds(), ".planet")
		done := n.killed(at, "backup", name)
		if _, err := os.Stat(filepath.Join(n.dir, name)); err == nil {
			n.run("backup", "verify", name)
			whole++
		} else if done {
			t.Fatalf("killed after %v: it said that it was done, and there is no file", at)
		} else {
			cut++
		}
	}
	if cut == 0 || whole == 0 {
		t.Errorf("%d were killed and %d were not: want both", cut, whole)
	}
	n.run("backup", "last.planet")
	t.Logf("%d backups were killed, %d were done", cut, whole)
}

// TestREL321ARestoreIsKilled kills restores at one moment after another: the node is there and sound, or it is not there, nobody
// starts another in its place, and the next restore brings it.
func TestREL321ARestoreIsKilled(t *testing.T) {
	n := newNode(t)
	n.run("user", "create", "nuria")
	n.run("coop", "create", "baker", "--title", "Baker", "--founder", "nuria")
	pictures(t, n, 40)
	n.run("backup", "monday.planet")
	cut, halfway, whole := 0, 0, 0
	for at := time.Duration(0); whole < 2 && at < time.Minute; at += 10*time.Millisecond + at/5 {
		data := filepath.Join(n.dir, fmt.Sprint(at.Milliseconds()))
		done := n.killed(at, "restore", "monday.planet", "--data", data)
		_, err := os.Stat(filepath.Join(data, "planet.db"))
		if err != nil {
			cut++
			if done {
				t.Fatalf("killed after %v: it said that it was done, and there is no database", at)
			}
			if left, err := os.ReadDir(data); err == nil && len(left) > 0 {
				halfway++
				c := n.command(t.Context(), "user", "list", "--data", data)
				if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "was broken off") {
					t.Errorf("killed after %v: a node was made of %v: %s", at, left, out)
				}
			}
			n.run("restore", "monday.planet", "--data", data)
		} else {
			whole++
		}
		n.run("coop", "show", "baker", "--data", data)
		name := fmt.Sprint("again", at.Milliseconds(), ".planet")
		n.run("backup", name, "--data", data)
		var m struct{ Pictures, Missing json.RawMessage }
		if err := json.Unmarshal([]byte(n.run("backup", "verify", name, "--json")), &m); err != nil || string(m.Pictures) != "40" || string(m.Missing) != "[]" {
			t.Errorf("killed after %v: got %s pictures, %s missing, %v", at, m.Pictures, m.Missing, err)
		}
		for _, path := range []string{data, filepath.Join(n.dir, name)} {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if halfway == 0 || whole == 0 {
		t.Errorf("%d were killed halfway and %d were done: want both", halfway, whole)
	}
	t.Logf("%d restores were killed, %d of them halfway, %d were done", cut, halfway, whole)
}
