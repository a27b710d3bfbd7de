package mastodon_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
	"planet/web"
	"planet/web/mastodon"
	"planet/web/oauth"
)

// desk is a node with two people, each with a co-op, and what one of them has.
type desk struct {
	t    testing.TB
	db   *storage.DB
	node *activitypub.Node
	web  *web.Server
	by   activitypub.By // ana, as herself
	post *storage.Post
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	return newDeskOn(t, storagetest.New(t))
}

func newDeskOn(t testing.TB, db *storage.DB) *desk {
	t.Helper()
	return newDeskFor(t, db, "")
}

// newDeskWith is one at a node where people sign up in some way.
func newDeskWith(t testing.TB, signup string) *desk {
	t.Helper()
	return newDeskFor(t, storagetest.New(t), signup)
}

func newDeskFor(t testing.TB, db *storage.DB, signup string) *desk {
	t.Helper()
	node, err := activitypub.New(t.Context(), activitypub.Config{Origin: "https://rye.example", DB: db, Log: slog.New(slog.DiscardHandler), MediaDir: filepath.Join(t.TempDir(), "media")})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := web.New(web.Config{Node: node, DB: db, Origin: "https://rye.example", Log: slog.New(slog.DiscardHandler), Signup: signup})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, db: db, node: node, web: srv}
	d.by = d.person("ana")
	if d.post, err = node.Publish(t.Context(), d.by, activitypub.Draft{Text: "Fresh #bread", Poll: &activitypub.PollDraft{Options: []string{"a", "b"}, Lasts: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) person(name string) activitypub.By {
	d.t.Helper()
	u, a, err := d.node.CreatePerson(d.t.Context(), activitypub.NewUser{Username: name})
	if err != nil {
		d.t.Fatal(err)
	}
	return activitypub.By{User: u, Actor: a}
}

// invite makes an invitation to the node, and says its code.
func (d *desk) invite(uses int) (code string) {
	d.t.Helper()
	code = oauth.NewSecret()
	if err := d.db.SaveInvite(d.t.Context(), &storage.Invite{CodeHash: oauth.Hash(code), UsesLeft: uses}); err != nil {
		d.t.Fatal(err)
	}
	return code
}

// token lets an app do some things as somebody.
func (d *desk) token(by activitypub.By, scopes string) string {
	d.t.Helper()
	secret := oauth.NewSecret()
	if err := d.db.SaveToken(d.t.Context(), &storage.Token{Hash: oauth.Hash(secret), UserID: by.User.ID, ActorID: by.Actor.ID, Scopes: scopes}); err != nil {
		d.t.Fatal(err)
	}
	return secret
}

// appToken is a token of an app by itself.
func (d *desk) appToken(scopes string) string {
	d.t.Helper()
	app := &storage.App{ClientID: oauth.NewSecret(), SecretHash: oauth.Hash("x"), Name: "An app", RedirectURIs: []string{oauth.OutOfBand}, Scopes: "read write"}
	if err := d.db.SaveApp(d.t.Context(), app); err != nil {
		d.t.Fatal(err)
	}
	secret := oauth.NewSecret()
	if err := d.db.SaveToken(d.t.Context(), &storage.Token{Hash: oauth.Hash(secret), AppID: app.ID, Scopes: scopes}); err != nil {
		d.t.Fatal(err)
	}
	return secret
}

// ask is a request by a token ("": none).
func (d *desk) ask(token, method, path string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	r.Host = "rye.example"
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	d.web.Handler().ServeHTTP(w, r)
	return w
}

// askKeyed publishes something under an app's own key.
func (d *desk) askKeyed(token, key, text string) *httptest.ResponseRecorder {
	return d.askForm(token, key, url.Values{"status": {text}})
}

func (d *desk) askForm(token, key string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/api/v1/statuses", strings.NewReader(form.Encode()))
	r.Host = "rye.example"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Idempotency-Key", key)
	w := httptest.NewRecorder()
	d.web.Handler().ServeHTTP(w, r)
	return w
}

// every is each scope that is part of another, and those that are alone.
var every = strings.Fields(`read:accounts read:blocks read:bookmarks read:favourites read:filters read:follows read:lists read:mutes read:notifications read:search read:statuses
	write:accounts write:blocks write:bookmarks write:conversations write:favourites write:filters write:follows write:lists write:media write:mutes write:notifications write:reports write:statuses
	push profile payments`)

// TestOAU213EveryRouteTakesItsScope asks each route of the table without a token, with every scope but its own, and with that alone.
func TestOAU213EveryRouteTakesItsScope(t *testing.T) {
	d := newDesk(t)
	for _, r := range mastodon.Routes() {
		path := strings.NewReplacer(":id", "1", ":tag", "bread", ":name", "x").Replace(r.Path)
		anonymous := d.ask("", r.Method, path, nil).Code
		switch r.Scope {
		case mastodon.Open:
			if anonymous == 401 || anonymous == 403 || anonymous >= 500 {
				t.Errorf("%s %s is for anybody, and answers %d", r.Method, path, anonymous)
			}
			continue
		case mastodon.Stream, mastodon.Anyone:
			if anonymous != 401 {
				t.Errorf("%s %s answers %d without a token", r.Method, path, anonymous)
			}
			continue
		case mastodon.ByApp:
			if anonymous != 401 {
				t.Errorf("%s %s answers %d without a token", r.Method, path, anonymous)
			}
			for what, c := range map[string]struct {
				token string
				want  int
			}{"a token of a person": {d.token(d.by, "write"), 403}, "an app without its scope": {d.appToken("read write:media"), 403}, "an app with it": {d.appToken("write:accounts"), 422}} {
				if got := d.ask(c.token, r.Method, path, nil); got.Code != c.want {
					t.Errorf("%s %s answers %d %s to %s, want %d", r.Method, path, got.Code, got.Body, what, c.want)
				}
			}
			continue
		}
		top, _, _ := strings.Cut(r.Scope, ":")
		var others []string
		for _, s := range every {
			if s != r.Scope && !(r.Scope == top && strings.HasPrefix(s, top+":")) {
				others = append(others, s)
			}
		}
		without, with, wide := d.token(d.by, strings.Join(others, " ")), d.token(d.by, r.Scope), d.token(d.by, top)
		if anonymous != 401 {
			t.Errorf("%s %s answers %d without a token", r.Method, path, anonymous)
		}
		if got := d.ask(without, r.Method, path, nil); got.Code != 403 || !strings.Contains(got.Body.String(), "outside the authorized scopes") {
			t.Errorf("%s %s answers %d %s with every scope but %s", r.Method, path, got.Code, got.Body, r.Scope)
		}
		for name, token := range map[string]string{r.Scope: with, top: wide} {
			if got := d.ask(token, r.Method, path, nil); got.Code == 401 || got.Code >= 500 || got.Code == 403 && strings.Contains(got.Body.String(), "scopes") {
				t.Errorf("%s %s answers %d %s with %s", r.Method, path, got.Code, got.Body, name)
			}
		}
	}
}

// TestADM242WhatIsHersIsHers: bo reaches nothing of ana's by its number.
func TestADM242WhatIsHersIsHers(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	bo := d.person("bo")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	list := &storage.List{ActorID: d.by.Actor.ID, Title: "Bakers", Replies: "list"}
	must(d.db.SaveList(ctx, list))
	filter := &storage.Filter{ActorID: d.by.Actor.ID, Title: "x", Contexts: []string{"home"}, Action: "warn", Keywords: []storage.FilterKeyword{{Keyword: "x"}}}
	must(d.db.SaveFilter(ctx, filter))
	must(d.db.Notify(ctx, &storage.Notification{ActorID: d.by.Actor.ID, Kind: "follow", FromID: bo.Actor.ID}))
	news, err := d.db.Notifications(ctx, d.by.Actor.ID, storage.Page{Limit: 1})
	must(err)
	secret, err := d.node.Publish(ctx, d.by, activitypub.Draft{Text: "to myself", Visibility: storage.Private})
	must(err)
	tag := &storage.FollowedTag{ActorID: d.by.Actor.ID, Name: "rye", Featured: true}
	must(d.db.SaveFollowedTag(ctx, tag))
	inFilter := &storage.FilterPost{FilterID: filter.ID, PostID: d.post.ID}
	must(d.db.AddFilterPost(ctx, inFilter))
	waits, err := d.node.Schedule(ctx, d.by, activitypub.Draft{Text: "later"}, time.Now().Add(time.Hour), 0)
	must(err)
	d.says(d.by, activitypub.Draft{Text: "@ana@rye.example a note to myself", Visibility: storage.Direct})
	talks, err := d.db.Conversations(ctx, d.by.Actor.ID, storage.Page{})
	must(err)
	before := storagetest.Rows(t, d.db, "tokens", "changes")
	token := d.token(bo, "read write")
	for _, c := range []struct{ method, path string }{
		{"GET", "/api/v1/lists/" + list.ID.String()}, {"PUT", "/api/v1/lists/" + list.ID.String()}, {"DELETE", "/api/v1/lists/" + list.ID.String()}, {"GET", "/api/v1/lists/" + list.ID.String() + "/accounts"},
		{"POST", "/api/v1/lists/" + list.ID.String() + "/accounts"}, {"GET", "/api/v1/timelines/list/" + list.ID.String()},
		{"GET", "/api/v2/filters/" + filter.ID.String()}, {"PUT", "/api/v2/filters/" + filter.ID.String()}, {"DELETE", "/api/v2/filters/" + filter.ID.String()},
		{"GET", "/api/v2/filters/keywords/" + filter.Keywords[0].ID.String()}, {"DELETE", "/api/v2/filters/keywords/" + filter.Keywords[0].ID.String()},
		{"GET", "/api/v1/filters/" + filter.Keywords[0].ID.String()}, {"DELETE", "/api/v1/filters/" + filter.Keywords[0].ID.String()},
		{"GET", "/api/v1/notifications/" + news[0].ID.String()}, {"POST", "/api/v1/notifications/" + news[0].ID.String() + "/dismiss"},
		{"GET", "/api/v1/statuses/" + secret.ID.String()}, {"DELETE", "/api/v1/statuses/" + secret.ID.String()}, {"PUT", "/api/v1/statuses/" + secret.ID.String()},
		{"POST", "/api/v1/statuses/" + secret.ID.String() + "/favourite"}, {"POST", "/api/v1/statuses/" + secret.ID.String() + "/reblog"}, {"POST", "/api/v1/statuses/" + secret.ID.String() + "/bookmark"},
		{"GET", "/api/v1/statuses/" + secret.ID.String() + "/context"}, {"GET", "/api/v1/statuses/" + secret.ID.String() + "/source"}, {"GET", "/api/v1/statuses/" + secret.ID.String() + "/history"},
		{"DELETE", "/api/v1/statuses/" + d.post.ID.String()}, {"PUT", "/api/v1/statuses/" + d.post.ID.String()}, {"GET", "/api/v1/statuses/" + d.post.ID.String() + "/source"},
		{"DELETE", "/api/v1/featured_tags/" + tag.ID.String()},
		{"GET", "/api/v1/scheduled_statuses/" + waits.ID.String()}, {"PUT", "/api/v1/scheduled_statuses/" + waits.ID.String()}, {"DELETE", "/api/v1/scheduled_statuses/" + waits.ID.String()},
		{"POST", "/api/v1/conversations/" + talks[0].ID.String() + "/read"}, {"DELETE", "/api/v1/conversations/" + talks[0].ID.String()},
		{"GET", "/api/v2/filters/" + filter.ID.String() + "/statuses"}, {"POST", "/api/v2/filters/" + filter.ID.String() + "/statuses"},
		{"GET", "/api/v2/filters/statuses/" + inFilter.ID.String()}, {"DELETE", "/api/v2/filters/statuses/" + inFilter.ID.String()},
	} {
		var body io.Reader
		if c.method != http.MethodGet {
			body = strings.NewReader("status=mine&title=mine&context[]=home&account_ids[]=" + bo.Actor.ID.String())
		}
		if got := d.ask(token, c.method, c.path, body); got.Code != 404 {
			t.Errorf("%s %s answers %d %s", c.method, c.path, got.Code, got.Body)
		}
	}
	if diff := cmp.Diff(before, storagetest.Rows(t, d.db, "tokens", "changes")); diff != "" {
		t.Errorf("the database has changed (-before +after):\n%s", diff)
	}
}
