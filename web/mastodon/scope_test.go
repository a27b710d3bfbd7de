package mastodon_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
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

// within is what each scope lets an app do besides itself, written down here once more: the code must come to the same.
var within = map[string]string{
	"": "", "payments": "", "push": "", "profile": "", "admin:read": "", "admin:write": "",
	"read": `read:accounts read:blocks read:bookmarks read:favourites read:filters read:follows read:lists read:mutes read:notifications read:search read:statuses profile`,
	"write": `write:accounts write:blocks write:bookmarks write:conversations write:favourites write:filters write:follows write:lists write:media write:mutes write:notifications write:reports
		write:statuses`,
	"follow":        "read:blocks write:blocks read:follows write:follows read:mutes write:mutes",
	"read:accounts": "profile", "read:blocks": "", "read:bookmarks": "", "read:favourites": "", "read:filters": "", "read:follows": "", "read:lists": "", "read:mutes": "", "read:notifications": "",
	"read:search": "", "read:statuses": "", "write:accounts": "", "write:blocks": "", "write:bookmarks": "", "write:conversations": "", "write:favourites": "", "write:filters": "", "write:follows": "",
	"write:lists": "", "write:media": "", "write:mutes": "", "write:notifications": "", "write:reports": "", "write:statuses": "",
}

// lets reports whether a token with one scope may do what takes another.
func lets(has, needs string) bool {
	return has == needs && has != "" || slices.Contains(strings.Fields(within[has]), needs)
}

// How a route answers somebody before it does anything.
const (
	asNobody = "as nobody"                     // she is not known, and reads what anybody reads
	admitted = "admitted"                      // whatever it says then, it is no refusal of who asks
	noToken  = "401"                           // no token, or one that has ended
	noScope  = "403 the scope"                 // the token lacks it
	noPerson = "422 an app that is nobody"     // a token of an app by itself
	untold   = "the test does not know a case" // for which it fails
)

// role is somebody who asks.
type role struct {
	name  string
	token func(scopes string) string // "" for none
	kind  string                     // nobody, app, person, or ended: somebody whose token does not hold
}

// answer is the table: what a route of some scope says to somebody of some kind with one scope. It knows the kinds of scopes, and no single route.
func answer(route mastodon.Route, kind, has string) string {
	needs, anybody := strings.CutPrefix(route.Scope, mastodon.Known)
	if route.Scope == mastodon.Stream {
		switch {
		case strings.HasSuffix(route.Path, "/notification"):
			needs = "read:notifications"
		case strings.HasSuffix(route.Path, "/list"):
			needs = "read:lists"
		default:
			needs = "read:statuses"
		}
	}
	if route.Scope == mastodon.ByApp {
		switch {
		case kind == "nobody", kind == "ended":
			return noToken
		case kind == "app" && lets(has, "write:accounts"):
			return admitted
		}
		return noScope
	}
	if _, isScope := within[needs]; !isScope && needs != mastodon.Anyone {
		return untold
	}
	open := route.Scope == mastodon.Open || anybody
	switch {
	case kind == "ended":
		return noToken
	case kind == "nobody" && open, kind == "app" && open, route.Scope == mastodon.Open:
		return asNobody
	case kind == "nobody":
		return noToken
	case kind == "app":
		return noPerson
	case needs == mastodon.Anyone, lets(has, needs):
		return admitted
	}
	return noScope
}

// briefly is a recorder that hangs up as soon as it is answered, so that streams end.
type briefly struct {
	*httptest.ResponseRecorder
	hangUp func()
}

func (b briefly) WriteHeader(status int) { b.ResponseRecorder.WriteHeader(status); b.hangUp() }

// said is how the handler of the whole node answers, in the words of the table.
func (d *desk) said(token, method, path string) string {
	ctx, hangUp := context.WithCancel(d.t.Context())
	defer hangUp()
	r := httptest.NewRequestWithContext(ctx, method, path, nil)
	r.Host = "rye.example"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := briefly{httptest.NewRecorder(), hangUp}
	d.web.Handler().ServeHTTP(w, r)
	body := w.Body.String()
	switch {
	case w.Code >= 500:
		return "broken: " + body
	case w.Code == 401:
		return noToken
	case w.Code == 403 && strings.Contains(body, "outside the authorized scopes"):
		return noScope
	case w.Code == 422 && strings.Contains(body, "requires an authenticated user"):
		return noPerson
	}
	return admitted
}

// roles is everybody who may ask.
func (d *desk) roles() []role {
	as := func(by activitypub.By) func(string) string {
		return func(scopes string) string { return d.token(by, scopes) }
	}
	must := func(err error) {
		d.t.Helper()
		if err != nil {
			d.t.Fatal(err)
		}
	}
	ctx := d.t.Context()
	gone := d.person("gone")
	admin, _, err := d.node.CreatePerson(ctx, activitypub.NewUser{Username: "nuria", Role: storage.NodeOwner})
	must(err)
	nuria, err := d.db.ActorByID(ctx, admin.ActorID)
	must(err)
	app := &storage.App{Name: "app", ClientID: "app", RedirectURIs: []string{oauth.OutOfBand}, Scopes: "read write follow push profile payments"}
	must(d.db.SaveApp(ctx, app))
	out := []role{
		{"nobody", func(string) string { return "" }, "nobody"},
		{"an app by itself", func(scopes string) string {
			secret := oauth.NewSecret()
			must(d.db.SaveToken(ctx, &storage.Token{Hash: oauth.Hash(secret), AppID: app.ID, Scopes: scopes}))
			return secret
		}, "app"},
		{"a person", as(d.by), "person"},
		{"an admin of the node", as(activitypub.By{User: admin, Actor: nuria}), "person"},
		{"somebody suspended", as(gone), "ended"},
	}
	coop, err := d.node.FoundCoop(ctx, d.by.User, activitypub.NewCoop{Username: "bakery", Title: "Bakery"})
	must(err)
	for _, r := range storage.Roles {
		kind := "ended" // for who may neither post nor pay as the co-op there is no token as it
		if slices.Contains([]string{storage.RoleAdmin, storage.RoleTreasurer, storage.RoleCashier, storage.RoleEditor}, r) {
			kind = "person"
		}
		her := d.person("with_" + r)
		must(d.node.GiveRole(ctx, activitypub.By{User: d.by.User, Actor: coop}, her.User, r))
		out = append(out, role{"a co-op, by its " + r, as(activitypub.By{User: her.User, Actor: coop}), kind})
	}
	gone.Actor.SuspendedAt = new(time.Now())
	must(d.db.SaveActor(ctx, gone.Actor))
	return out
}

// TestOAU213EveryRouteByEveryRoleWithEveryScope asks every route of the table as everybody. One person asks with each scope alone. All others ask with each that lets them in,
// and with all that do not together: a scope more never takes anything away, so one answer stands for each of these.
func TestOAU213EveryRouteByEveryRoleWithEveryScope(t *testing.T) {
	d := newDesk(t)
	list := &storage.List{ActorID: d.by.Actor.ID, Title: "Bakers", Replies: "list"}
	if err := d.db.SaveList(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	every := slices.Sorted(maps.Keys(within))
	for _, r := range d.roles() {
		tokens := map[string]string{}
		for _, route := range mastodon.Routes() {
			path := strings.NewReplacer(":id", "1", ":tag", "bread").Replace(route.Path)
			if route.Scope == mastodon.Stream {
				path += "?stream=user&tag=bread&list=" + list.ID.String()
			}
			ask := func(has, want string) {
				if _, made := tokens[has]; !made {
					tokens[has] = r.token(has)
				}
				if want == asNobody {
					want = admitted
				}
				if got := d.said(tokens[has], route.Method, path); got != want {
					t.Errorf("%s %s (%s) says to %s with %q: %s; want %s", route.Method, route.Path, route.Scope, r.name, has, got, want)
				}
			}
			others := map[string][]string{}
			for _, has := range every {
				want := answer(route, r.kind, has)
				if want == admitted || want == untold || r.name == "a person" {
					ask(has, want)
				} else {
					others[want] = append(others[want], has)
				}
			}
			for want, scopes := range others {
				ask(strings.Join(scopes, " "), want)
			}
		}
	}
}

// TestOAU213WhatARoleDoesNotAllowNoRouteDoes: who may pay as a co-op may have a token as it, with every scope, and still changes nothing of it that others see. Every route that is not
// to read is asked with a form that has something for each of them; by the same an editor changes a lot.
func TestOAU213WhatARoleDoesNotAllowNoRouteDoes(t *testing.T) {
	seen := []string{"posts", "activities", "deliveries", "follows", "likes", "blocks", "reports", "votes", "pins", "actors", "hashtags", "mentions", "acts", "members"}
	changes := map[string]int{}
	for _, role := range []string{storage.RoleCashier, storage.RoleTreasurer, storage.RoleEditor} {
		d := newDesk(t)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		bo, her := d.person("bo"), d.person("cleo")
		coop, err := d.node.FoundCoop(t.Context(), d.by.User, activitypub.NewCoop{Username: "bakery", Title: "Bakery"})
		must(err)
		as := activitypub.By{User: d.by.User, Actor: coop}
		must(d.node.GiveRole(t.Context(), as, her.User, role))
		own, err := d.node.Publish(t.Context(), as, activitypub.Draft{Text: "ours"})
		must(err)
		token := d.token(activitypub.By{User: her.User, Actor: coop}, "read write follow push profile payments")
		form := url.Values{"status": {"more #bread"}, "display_name": {"Mallory"}, "note": {"x"}, "account_id": {bo.Actor.ID.String()}, "comment": {"x"}, "choices[]": {"0"}, "name": {"rye"}, "title": {"x"},
			"locked": {"true"}, "id": {bo.Actor.ID.String()}}
		before := storagetest.Rows(t, d.db)
		for _, r := range mastodon.Routes() {
			if r.Method == "GET" {
				continue
			}
			ids := []string{"1"}
			switch {
			case strings.HasPrefix(r.Path, "/api/v1/accounts/:id"):
				ids = []string{bo.Actor.ID.String()}
			case strings.HasPrefix(r.Path, "/api/v1/statuses/:id"):
				ids = []string{d.post.ID.String(), own.ID.String()}
			case strings.HasPrefix(r.Path, "/api/v1/polls/:id"):
				ids = []string{d.post.ID.String()}
			}
			for _, id := range ids {
				w := d.ask(token, r.Method, strings.NewReplacer(":id", id, ":tag", "bread").Replace(r.Path), strings.NewReader(form.Encode()))
				if w.Code >= 500 || w.Code == 401 {
					t.Errorf("%s %s answers %d %s", r.Method, r.Path, w.Code, w.Body)
				}
				after := storagetest.Rows(t, d.db)
				for _, table := range seen {
					if diff := cmp.Diff(before[table], after[table]); diff != "" {
						if changes[role]++; role != storage.RoleEditor {
							t.Errorf("%s %s lets a %s change %s: %s", r.Method, r.Path, role, table, diff)
						}
					}
				}
				before = after
			}
		}
	}
	if changes[storage.RoleEditor] < 30 {
		t.Errorf("an editor changed %d tables only: the test has nothing to compare with", changes[storage.RoleEditor])
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

// TestADM242NoNumberOpensWhatIsAnothers tries every number of what is ana's in every route that takes one, as bo: he reads nothing of hers that is not for him, and each of her rows stays
// as it is.
func TestADM242NoNumberOpensWhatIsAnothers(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	bo, cleo := d.person("bo"), d.person("cleo")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const secret = "only-for-ana"
	mine := d.by.Actor.ID
	list := &storage.List{ActorID: mine, Title: secret, Replies: "list"}
	must(d.db.SaveList(ctx, list))
	must(d.db.SetListMember(ctx, list.ID, cleo.Actor.ID, true))
	filter := &storage.Filter{ActorID: mine, Title: secret, Contexts: []string{"home"}, Action: "warn", Keywords: []storage.FilterKeyword{{Keyword: secret}}}
	must(d.db.SaveFilter(ctx, filter))
	must(d.db.SaveNoteAbout(ctx, mine, bo.Actor.ID, secret))
	must(d.db.SaveNoteAbout(ctx, mine, cleo.Actor.ID, secret))
	must(d.db.Notify(ctx, &storage.Notification{ActorID: mine, Kind: "follow", FromID: cleo.Actor.ID}))
	news, err := d.db.Notifications(ctx, mine, storage.Page{Limit: 1})
	must(err)
	hidden, err := d.node.Publish(ctx, d.by, activitypub.Draft{Text: secret, Summary: secret, Visibility: storage.Private, Poll: &activitypub.PollDraft{Options: []string{secret, "b"}, Lasts: time.Hour}})
	must(err)
	letter, err := d.node.Publish(ctx, d.by, activitypub.Draft{Text: secret + " @cleo@rye.example", Visibility: storage.Direct})
	must(err)
	var picture bytes.Buffer
	must(png.Encode(&picture, image.NewRGBA(image.Rect(0, 0, 8, 8))))
	medium, err := d.node.Upload(ctx, d.by, &picture, activitypub.Description{Alt: secret})
	must(err)
	d.by.Actor.Locked = true
	must(d.db.SaveActor(ctx, d.by.Actor))
	if _, err := d.node.Follow(ctx, cleo, "@ana@rye.example"); err != nil {
		t.Fatal(err)
	}
	tag := &storage.FollowedTag{ActorID: mine, Name: secret, Featured: true}
	must(d.db.SaveFollowedTag(ctx, tag))

	numbers := []storage.ID{list.ID, filter.ID, filter.Keywords[0].ID, news[0].ID, hidden.ID, letter.ID, medium.ID, tag.ID, cleo.Actor.ID, mine}
	all := url.Values{"status": {"x"}, "title": {"x"}, "comment": {"x"}, "context[]": {"home"}, "keyword": {"x"}, "description": {"x"}, "choices[]": {"0"}, "name": {"x"}}
	for _, id := range numbers {
		for _, name := range []string{"id[]", "account_ids[]", "status_ids[]", "media_ids[]", "account_id", "in_reply_to_id", "list", "max_id"} {
			all.Add(name, id.String())
		}
	}
	kept := func() map[string][]string {
		out := map[string][]string{}
		for table, rows := range storagetest.Rows(t, d.db) {
			for _, row := range rows {
				if fmt.Sprint(row["actor_id"]) == mine.String() || table == "list_members" {
					out[table] = append(out[table], fmt.Sprint(row))
				}
			}
		}
		return out
	}
	before := kept()
	token := d.token(bo, "read write follow push profile payments")
	asked := 0
	for _, r := range mastodon.Routes() {
		if r.Scope == mastodon.Stream {
			continue
		}
		ids := numbers
		if !strings.Contains(r.Path, ":id") {
			ids = ids[:1]
		}
		for _, id := range ids {
			path := strings.NewReplacer(":id", id.String(), ":tag", "bread").Replace(r.Path)
			var body io.Reader = strings.NewReader(all.Encode())
			if r.Method == "GET" {
				path, body = path+"?"+all.Encode(), nil
			}
			w := d.ask(token, r.Method, path, body)
			asked++
			if shown := strings.Contains(w.Body.String(), secret); w.Code >= 500 || shown && !strings.HasSuffix(r.Path, "featured_tags") { // what she features is for everybody
				t.Errorf("%s %s shows bo what is ana's: %d %.300s", r.Method, path, w.Code, w.Body)
			}
		}
	}
	after := kept()
	for table, rows := range before {
		for _, row := range rows {
			if table != "changes" && !slices.Contains(after[table], row) {
				t.Errorf("bo changed %s: %s is no more", table, row)
			}
		}
	}
	if asked < 400 {
		t.Errorf("only %d requests were made", asked)
	}
}

// TestOAU213TheProtocolTakesItsScope is the same of the one route of OAuth that takes a scope.
func TestOAU213TheProtocolTakesItsScope(t *testing.T) {
	d := newDesk(t)
	for has := range within {
		want := 403
		if lets(has, "profile") {
			want = 200
		}
		for _, method := range []string{"GET", "POST"} {
			if w := d.ask(d.token(d.by, has), method, "/oauth/userinfo", nil); w.Code != want {
				t.Errorf("%s with %q is answered %d %s, want %d", method, has, w.Code, w.Body, want)
			}
		}
	}
	if w := d.ask("", "GET", "/oauth/userinfo", nil); w.Code != 401 {
		t.Errorf("nobody is answered %d", w.Code)
	}
}
