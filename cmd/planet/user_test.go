package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/storage"
	"planet/web"
)

// console is a node in a directory of its own, and who looks after it at the command line.
type console struct {
	t    *testing.T
	data string
}

func newConsole(t *testing.T) *console {
	t.Helper()
	c := &console{t, filepath.Join(t.TempDir(), "data")}
	for name, value := range map[string]string{"PLANET_ORIGIN": "http://localhost:8080", "PLANET_LISTEN": "localhost:8080", "PLANET_DATA": c.data, "PLANET_LOG": "error", "PLANET_DATABASE": "", "PLANET_CONFIG": ""} {
		t.Setenv(name, value)
	}
	return c
}

// run is a command: what it prints, and how it ends.
func (c *console) run(stdin string, args ...string) (out, said string, code int) {
	var stdout, stderr bytes.Buffer
	code = run(c.t.Context(), args, strings.NewReader(stdin), &stdout, &stderr, pooledKeys)
	return stdout.String(), stderr.String(), code
}

// does runs a command that has to work.
func (c *console) does(args ...string) string {
	c.t.Helper()
	out, said, code := c.run("", args...)
	if code != exitOK {
		c.t.Fatalf("planet %q ends with %d: %s", args, code, said)
	}
	return strings.TrimSpace(out)
}

// open is the node's own database.
func (c *console) open() *storage.DB {
	c.t.Helper()
	db, err := storage.Open(c.t.Context(), storage.Config{DSN: filepath.Join(c.data, "planet.db")})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { db.Close() })
	return db
}

// A new password at the command line ends what was opened with the old one: her browser, her apps, and the codes that wait.
func TestSES234ANewPasswordEndsWhatTheOldOneOpened(t *testing.T) {
	c := newConsole(t)
	if _, said, code := c.run("the old password\n", "user", "create", "ana", "--password-stdin"); code != exitOK {
		t.Fatal(said)
	}
	c.does("user", "create", "bo")
	tokens := map[string]string{"ana": c.does("token", "create", "ana", "--scopes", "read"), "bo": c.does("token", "create", "bo", "--scopes", "read")}
	db := c.open()
	node, err := activitypub.New(t.Context(), activitypub.Config{Origin: "http://localhost:8080", DB: db, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := web.New(web.Config{Node: node, DB: db, Origin: "http://localhost:8080", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ana, err := db.UserByName(t.Context(), "ana")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		db.SaveApp(t.Context(), &storage.App{Name: "app", ClientID: "app", RedirectURIs: []string{"x:y"}, Scopes: "read"}),
		db.SaveSession(t.Context(), &storage.Session{Hash: "hers", UserID: ana.ID, ExpiresAt: db.Now().AddDate(0, 0, 1)}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	app, err := db.AppByClientID(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SaveGrant(t.Context(), &storage.Grant{Hash: "code", AppID: app.ID, UserID: ana.ID, ActorID: ana.ActorID, RedirectURI: "x:y", Scopes: "read"}); err != nil {
		t.Fatal(err)
	}
	answers := func(name string) int {
		r := httptest.NewRequest(http.MethodGet, "http://localhost:8080/api/v1/accounts/verify_credentials", nil)
		r.Header.Set("Authorization", "Bearer "+tokens[name])
		w := httptest.NewRecorder()
		srv.Handler().ServeHTTP(w, r)
		return w.Code
	}
	if answers("ana") != 200 || answers("bo") != 200 {
		t.Fatalf("before, the tokens answer %d and %d", answers("ana"), answers("bo"))
	}
	if _, said, code := c.run("short", "user", "password", "ana", "--password-stdin"); code == exitOK || answers("ana") != 200 {
		t.Errorf("a password that is refused: %s, and her token answers %d", said, answers("ana"))
	}
	out := c.does("user", "password", "ana")
	if answers("ana") != 401 || answers("bo") != 200 {
		t.Errorf("after it the token answers %d, and another's %d", answers("ana"), answers("bo"))
	}
	if _, err := db.SessionByHash(t.Context(), "hers"); err == nil {
		t.Error("her browser is still signed in")
	}
	if err := db.UseGrant(t.Context(), "code", func(*storage.Grant) error { return nil }, &storage.Token{}); err == nil {
		t.Error("a code from before is good")
	}
	now, err := db.UserByName(t.Context(), "ana")
	if err != nil || storage.CheckPassword(now.PasswordHash, "the old password") == nil || storage.CheckPassword(now.PasswordHash, out[strings.LastIndex(out, " ")+1:]) != nil {
		t.Errorf("the old password is good, or the new one is not: %v", err)
	}
}

func TestSES237SES238NamesAndAddressesAtTheCommandLine(t *testing.T) {
	c := newConsole(t)
	c.does("user", "create", "ana")
	for _, name := range []string{"admin", "ADMIN", "support", "api", "inbox", ".well-known", "oauth", "users", "media", "ana", "Ana", "\u0430na", "ana\u200b", "a na", "../ana", "-", "ana@evil.example", strings.Repeat("a", 31)} {
		for _, args := range [][]string{{"user", "create", name}, {"coop", "create", name, "--title", "x", "--founder", "ana"}} {
			if _, said, code := c.run("", args...); code == exitOK || strings.Count(said, "\n") != 1 {
				t.Errorf("planet %q ends with %d %q", args, code, said)
			}
		}
	}
	for _, address := range []string{"a%b@mail.example", "a,b@mail.example", `"a"@mail.example`, strings.Repeat("a", 400) + "@mail.example", "a@mail.example\nBcc: b@mail.example", "a@b@mail.example", "a", "a@localhost"} {
		if _, said, code := c.run("", "user", "create", "bo", "--email", address); code == exitOK || strings.Count(said, "\n") != 1 {
			t.Errorf("%.40q is taken: %d %q", address, code, said)
		}
	}
	if out := c.does("user", "list", "--json"); strings.Count(out, `"name"`) != 1 {
		t.Errorf("the people are %s", out)
	}
}

// Each thing that the operator does to the node or to somebody is a line that cannot be changed any more: who, about whom, what was and what is now.
func TestADM246WhatTheOperatorDoesIsKept(t *testing.T) {
	c := newConsole(t)
	seen := map[storage.ID]bool{}
	actors := []string{"actor"}
	// kept is what has been added to the record of these actors: kind, of whom, object, detail.
	kept := func() (lines []string) {
		t.Helper()
		db, err := storage.Open(t.Context(), storage.Config{DSN: filepath.Join(c.data, "planet.db")})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, name := range actors {
			a, err := db.LocalActor(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			acts, err := db.Acts(t.Context(), a.ID, storage.Page{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			for _, act := range acts {
				if !seen[act.ID] {
					seen[act.ID] = true
					lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s | %s", name, act.Kind, strings.TrimPrefix(string(act.Object), "http://localhost:8080"), act.Detail)))
					if act.CreatedAt.IsZero() {
						t.Errorf("%s has no time", act.Kind)
					}
				}
			}
		}
		return lines
	}
	list := filepath.Join(t.TempDir(), "list.csv")
	if err := os.WriteFile(list, []byte("#domain,#severity,#public_comment\nspam.example,suspend,adverts\nnew.example,silence,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args []string
		want string // a line for each act, with * for what is another each time
	}{
		{[]string{"user", "create", "ana", "--admin"}, "ana user.create /users/ana | owner"},
		{[]string{"user", "create", "bo"}, "bo user.create /users/bo | user"},
		{[]string{"user", "role", "bo", "moderator"}, "bo user.role  | user → moderator"},
		{[]string{"user", "role", "bo", "admin"}, "bo user.role  | moderator → admin"},
		{[]string{"user", "password", "bo"}, "bo user.password  |"},
		{[]string{"user", "suspend", "bo"}, "bo user.suspend  |"},
		{[]string{"user", "unsuspend", "bo"}, "bo user.unsuspend  |"},
		{[]string{"user", "silence", "bo"}, "actor actor.silence /users/bo |  → silenced"},
		{[]string{"user", "unsilence", "bo"}, "actor actor.clear /users/bo | silenced →"},
		{[]string{"token", "create", "bo", "--scopes", "read"}, "bo token.create  | bo: read"},
		{[]string{"domain", "silence", "loud.example"}, "actor domain.silence loud.example |  → silence"},
		{[]string{"domain", "block", "loud.example", "--reason", "adverts"}, "actor domain.block loud.example | silence → block: adverts"},
		{[]string{"domain", "remove", "loud.example"}, "actor domain.remove loud.example | block: adverts →"},
		{[]string{"domain", "block", "spam.example"}, "actor domain.block spam.example |  → block"},
		{[]string{"domain", "import", list}, "actor domain.silence new.example |  → silence\nactor domain.block spam.example | block → block: adverts"},
		{[]string{"invite", "create", "--uses", "3", "--json"}, "actor invite.create /actor | *, for 3"},
		{[]string{"invite", "revoke", "*"}, "actor invite.revoke /actor | *"},
		{[]string{"user", "delete", "bo", "--yes"}, "bo actor.delete /users/bo |"},
	} {
		args := append([]string{}, step.args...)
		if args[0] == "invite" && args[1] == "revoke" {
			var invites []struct{ ID string }
			if err := json.Unmarshal([]byte(c.does("invite", "list", "--json")), &invites); err != nil || len(invites) != 1 {
				t.Fatal(invites, err)
			}
			args[2] = invites[0].ID
		}
		c.does(args...)
		if args[0] == "user" && args[1] == "create" {
			actors = append(actors, args[2])
		}
		got := kept()
		want := strings.Split(step.want, "\n")
		same := len(got) == len(want)
		for i := range min(len(got), len(want)) {
			before, after, any := strings.Cut(want[i], "*")
			same = same && (got[i] == want[i] || any && strings.HasPrefix(got[i], before) && strings.HasSuffix(got[i], after))
		}
		if !same {
			t.Errorf("planet %s leaves\n%s\nwant\n%s", strings.Join(args, " "), strings.Join(got, "\n"), step.want)
		}
	}
}
