package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
	"planet/web"
)

// The numbered cases about sessions, forms and those who look after a node.

// guess tries to sign in at the page of an app, as edit says it comes.
func (a *app) guess(name, password string, edit func(*http.Request)) *httptest.ResponseRecorder {
	a.t.Helper()
	r := from(http.MethodPost, a.asks(nil), strings.NewReader(url.Values{"do": {"signin"}, "name": {name}, "password": {password}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://rye.example")
	if edit != nil {
		edit(r)
	}
	return a.ask(r)
}

// Who guesses at many names from one place is slowed down by the place, and who guesses at one name from many by the name. Neither keeps her out whom they guess at.
func TestSES225GuessingFromOnePlaceAndFromMany(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	s := newSite(t, func(c *web.Config) { c.RateLimit = true; c.DB.Now = func() time.Time { return now } })
	s.coop("bakery", "Bakery")
	a := s.register("read")
	last := 0
	for i := range 26 {
		last = a.guess(fmt.Sprintf("somebody%d", i), "a wrong password", nil).Code
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the 26th guess of one place answers %d", last)
	}
	elsewhere := func(i int) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = fmt.Sprintf("198.51.100.%d:1", i) }
	}
	if w := a.guess("by_bakery", "a long enough password", elsewhere(200)); w.Code != http.StatusSeeOther {
		t.Errorf("she, elsewhere, is answered %d", w.Code)
	}
	for i := range 26 {
		last = a.guess("by_bakery", "a wrong password", elsewhere(i)).Code
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the 26th guess at one name answers %d", last)
	}
	for _, name := range []string{"BY_BAKERY", "@by_bakery", " by_bakery ", "by_bakery@rye.example", "@By_Bakery@RYE.example"} {
		if w := a.guess(name, "a wrong password", elsewhere(100)); w.Code != http.StatusTooManyRequests {
			t.Errorf("written as %q her name may be guessed at on: %d", name, w.Code)
		}
	}
	if w := a.guess("by_bakery", "a long enough password", elsewhere(201)); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("the right one is told apart from wrong ones meanwhile: %d %v", w.Code, w.Header())
	}
	now = now.Add(2 * time.Minute)
	if w := a.guess("by_bakery", "a long enough password", elsewhere(202)); w.Code != http.StatusSeeOther {
		t.Errorf("after two minutes she is answered %d", w.Code)
	}
}

// The address of the connection counts, whatever is written beside it; see also TestSES226SES227OnlyTrustedProxiesSayWhoAsks.
func TestSES226SES227NoHeaderAndNoNeighbourMakesANewGuesser(t *testing.T) {
	s := newSite(t, func(c *web.Config) { c.RateLimit = true })
	a := s.register("read")
	last := 0
	for i := range 26 {
		last = a.guess(fmt.Sprintf("somebody%d", i), "wrong", func(r *http.Request) {
			r.RemoteAddr = fmt.Sprintf("[2001:db8:1:2:%x::%x]:1", i, i+1)
			for _, h := range []string{"X-Forwarded-For", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip"} {
				r.Header.Set(h, fmt.Sprintf("198.51.100.%d", i))
			}
		}).Code
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the 26th guess is answered %d", last)
	}
}

// work is how often a password was hashed meanwhile, which takes 19 MiB each time.
func work(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / (19 << 20)
}

// Whether a name is known does not show: neither in what is said nor in what is done.
func TestSES228ANameThatIsKnownIsAnsweredLikeOneThatIsNot(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	_, _, err := s.node.CreatePerson(t.Context(), activitypub.NewUser{Username: "without"})
	if err != nil {
		t.Fatal(err)
	}
	gone, _, err := s.node.CreatePerson(t.Context(), activitypub.NewUser{Username: "gone", Password: "a long enough password", Email: "gone@mail.example"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	gone.SuspendedAt = &now
	if err := s.db.UpdateUser(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	a := s.register("read")
	absent := a.guess("nobody", "a wrong password", nil)
	if absent.Code != http.StatusUnprocessableEntity {
		t.Fatalf("an unknown name is answered %d", absent.Code)
	}
	for name, password := range map[string]string{"by_bakery": "a wrong password", "bakery": "a wrong password", "without": "", "gone": "a long enough password", "gone@mail.example": "a wrong password", "nobody@mail.example": "a wrong password", "nobody": "", "@": "x", "nobody2": strings.Repeat("x", 3000)} {
		var w *httptest.ResponseRecorder
		if n := work(func() { w = a.guess(name, password, nil) }); n != 1 {
			t.Errorf("for %q the node hashed %d times, for an unknown name once", name, n)
		}
		same := strings.ReplaceAll(w.Body.String(), `value="`+name+`"`, `value="nobody"`)
		if w.Code != absent.Code || same != absent.Body.String() || len(w.Result().Cookies()) != 0 {
			t.Errorf("%q is answered otherwise: %d %s", name, w.Code, cmp.Diff(absent.Body.String(), same))
		}
	}
	for range 26 { // nor by when it is too much
		absent = a.guess("nobody", "a wrong password", nil)
	}
	if absent.Code != http.StatusTooManyRequests {
		t.Errorf("somebody unknown may be guessed at on: %d", absent.Code)
	}
}

// A node of this machine has no https, and its cookie neither the prefix nor the mark that browsers would not take.
func TestSES230ACookieWithoutHTTPS(t *testing.T) {
	s := newSiteAt(t, "http://localhost:8080")
	s.coop("bakery", "Bakery")
	r := s.form("/api/v1/apps", url.Values{"client_name": {"x"}, "redirect_uris": {home}})
	r.Host = "localhost:8080"
	var got struct {
		ClientID string `json:"client_id"`
	}
	s.answers(r, 200, &got)
	a := &app{site: s, id: got.ClientID, redirect: home}
	w := a.guess("by_bakery", "a long enough password", func(r *http.Request) {
		r.Host = "localhost:8080"
		r.Header.Set("Origin", "http://localhost:8080")
	})
	c := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || len(c) != 1 || c[0].Name != "planet" || c[0].Secure || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode || c[0].Path != "/" || c[0].Domain != "" {
		t.Errorf("%d, the cookie is %+v", w.Code, c)
	}
}

// unsafe are the methods that may change something.
var unsafe = []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// Every route that may change something is sent what a page of another site can make her browser send, with her cookie. The doors are all open: a link to set the node up, an
// invitation, a link of hers to refuse a payment. Nothing changes.
func TestSES231SES232NoOtherSiteActsByHerCookie(t *testing.T) {
	const setup, invitation = "setup-code", "invitation-code"
	s := newSite(t, func(c *web.Config) { c.SetupCode = func(context.Context) (string, error) { return setup, nil } })
	by := s.coop("baker", "The Bakery")
	if err := s.db.SaveInvite(t.Context(), &storage.Invite{CodeHash: hash(invitation), UsesLeft: 100}); err != nil {
		t.Fatal(err)
	}
	grain, err := s.node.FoundCurrency(t.Context(), by, activitypub.NewCurrency{Code: "GRN", Name: "Grain", Kind: ledger.Mutual, CreditLimit: "100"})
	if err != nil {
		t.Fatal(err)
	}
	bill, err := s.node.RequestPayment(t.Context(), by, activitypub.NewRequest{Currency: activitypub.MoneyHere(grain), Of: s.oli("oli"), Amount: "9"})
	if err != nil {
		t.Fatal(err)
	}
	_, link, _ := strings.Cut(s.node.RequestLink(bill), "/pay/")
	post := s.say(by, activitypub.Draft{Text: "Fresh #bread"})
	a := s.register("read write")
	a.signsIn(a.asks(nil), "by_baker")
	query := strings.TrimPrefix(a.asks(nil), "/oauth/authorize")
	form := url.Values{"do": {"allow"}, "as": {by.User.ActorID.String()}, "ticket": {"x"}, "username": {"mallory"}, "password": {"correct horse battery"}, "act": {"refuse"}, "status": {"x"}, "uri": {string(by.Actor.IRI)}, "handle": {"@m@evil.example"},
		"grant_type": {"authorization_code"}, "client_id": {a.id}, "token": {"x"}, "code": {"x"}, "title": {"x"}, "account_id": {by.Actor.ID.String()}}
	asJSON := map[string]string{}
	for name := range form {
		asJSON[name] = form.Get(name)
	}
	text, err := json.Marshal(asJSON)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]string{"/setup/:code": setup, "/invite/:code": invitation, "/pay/:code": link}
	address := func(route string) string {
		path := strings.NewReplacer(":code", codes[route], ":id", post.ID.String(), ":name", "baker", ":tag", "bread", "*", "x").Replace(route)
		if route == "/oauth/authorize" {
			path += query
		}
		return path
	}
	ways := map[string]struct {
		kind, body string
		headers    map[string]string
	}{
		"a form of another site":           {"application/x-www-form-urlencoded", form.Encode(), map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}},
		"a form of an old browser":         {"application/x-www-form-urlencoded", form.Encode(), map[string]string{"Origin": "https://evil.example"}},
		"a form without an origin":         {"application/x-www-form-urlencoded", form.Encode(), map[string]string{"Sec-Fetch-Site": "cross-site"}},
		"a form of a sandbox":              {"application/x-www-form-urlencoded", form.Encode(), map[string]string{"Origin": "null"}},
		"a form of a neighbour":            {"application/x-www-form-urlencoded", form.Encode(), map[string]string{"Origin": "https://a.rye.example", "Sec-Fetch-Site": "same-site"}},
		"a form by http":                   {"application/x-www-form-urlencoded", form.Encode(), map[string]string{"Origin": "http://rye.example", "Sec-Fetch-Site": "cross-site"}},
		"JSON that says it is text":        {"text/plain", string(text), map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}},
		"JSON without a kind":              {"", string(text), map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}},
		"a form that says it is a GET":     {"application/x-www-form-urlencoded", form.Encode() + "&_method=GET", map[string]string{"Origin": "https://evil.example", "X-Http-Method-Override": "GET", "X-Http-Method": "GET", "X-Method-Override": "GET"}},
		"a GET that says it is a form":     {"application/x-www-form-urlencoded", form.Encode() + "&_method=POST", map[string]string{"Origin": "https://evil.example", "X-Http-Method-Override": "POST", "X-Http-Method": "POST", "X-Method-Override": "POST"}},
		"an upgrade":                       {"application/x-www-form-urlencoded", form.Encode(), map[string]string{"Origin": "https://evil.example", "Connection": "Upgrade", "Upgrade": "websocket"}},
		"a form that says whence it came":  {"application/x-www-form-urlencoded", form.Encode(), map[string]string{"Origin": "https://evil.example", "Referer": "https://rye.example/", "Host": "rye.example"}},
		"a form of ours without its token": {"application/x-www-form-urlencoded", "do=allow&as=" + by.User.ActorID.String(), map[string]string{"Origin": "https://rye.example", "Sec-Fetch-Site": "same-origin"}},
	}
	asked := 0
	before := storagetest.Rows(t, s.db)
	for _, route := range s.Routes() {
		if !slices.Contains(unsafe, route.Method) {
			continue
		}
		for name, way := range ways {
			method, path := route.Method, address(route.Path)
			if name == "a GET that says it is a form" {
				method = http.MethodGet
				path, _, _ = strings.Cut(path, "?")
				path += "?" + way.body
				if route.Path == "/oauth/authorize" {
					path += "&" + strings.TrimPrefix(query, "?")
				}
			}
			r := from(method, path, strings.NewReader(way.body))
			r.Header.Del("Accept")
			if way.kind != "" {
				r.Header.Set("Content-Type", way.kind)
			}
			for header, value := range way.headers {
				r.Header.Set(header, value)
			}
			r.AddCookie(a.cookie)
			w := s.ask(r)
			asked++
			ours := strings.HasPrefix(name, "a form of ours")
			switch page := codes[route.Path] != "" || route.Path == "/oauth/authorize" || route.Path == "/interact"; {
			case page && method == route.Method && !ours && w.Code != http.StatusForbidden:
				t.Errorf("%s %s, %s: %d", method, path, name, w.Code)
			case !page && w.Code < 400 && method == route.Method || w.Code >= 500 && w.Code != http.StatusNotImplemented:
				t.Errorf("%s %s, %s: %d %s", method, path, name, w.Code, w.Body)
			}
		}
		if diff := cmp.Diff(before, storagetest.Rows(t, s.db)); diff != "" {
			t.Fatalf("%s %s changed something: %s", route.Method, route.Path, diff)
		}
	}
	if asked < 500 {
		t.Errorf("only %d requests were made", asked)
	}
	// The same forms do it when she sends them.
	for path, want := range map[string]int{"/setup/" + setup: 201, "/pay/" + link: 303} {
		if w := s.send(path, form); w.Code != want {
			t.Errorf("her own form to %s is answered %d %s", path, w.Code, w.Body)
		}
	}
	form.Set("username", "ana")
	if w := s.send("/invite/"+invitation, form); w.Code != 201 {
		t.Errorf("her own form of an invitation is answered %d", w.Code)
	}
}

// What a form or a body says beyond what it may say is not heard: no role, no number, no balance, no time.
func TestSES235NobodyMakesHerselfMore(t *testing.T) {
	s := newSite(t)
	by := s.coop("baker", "The Bakery")
	const invitation = "invitation-code"
	if err := s.db.SaveInvite(t.Context(), &storage.Invite{CodeHash: hash(invitation), UsesLeft: 5}); err != nil {
		t.Fatal(err)
	}
	evil := map[string]any{"role": "owner-of-all", "roles": []string{"owner-of-all"}, "admin": true, "is_admin": true, "moderator": true, "confirmed": true, "approved": true, "isPendingEmail": false, "email": "evil@evil.example", "balance": "987654321", "credit_limit": "987654321",
		"id": "42424242", "user_id": "42424242", "actor_id": "42424242", "account_id": "42424242", "iri": "https://rye.example/users/evil42", "uri": "https://rye.example/users/evil42", "url": "https://evil42.example", "created_at": "1999-09-09T09:09:09Z", "published_at": "1999-09-09T09:09:09Z",
		"suspended_at": "1999-09-09T09:09:09Z", "local": false, "domain": "evil42.example", "type": "Service", "inbox": "https://evil42.example/inbox", "uses_left": 9876, "username": "evil42", "client_id": "evil42", "client_secret": "evil42", "secret_hash": "evil42", "hash": "evil42",
		"user": map[string]any{"role": "owner-of-all"}, "account": map[string]any{"role": "owner-of-all", "id": "42424242"}, "status_id": "42424242", "favourites_count": "987654321", "UserID": "42424242", "ActorID": "42424242", "Role": "owner-of-all", "CreatedAt": "1999-09-09T09:09:09Z"}
	body := func(own map[string]any) map[string]any {
		all := map[string]any{}
		for _, m := range []map[string]any{evil, own} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	asForm := func(m map[string]any) url.Values {
		v := url.Values{}
		for k, x := range m {
			switch x := x.(type) {
			case map[string]any:
				for name, value := range x {
					v.Set(k+"["+name+"]", fmt.Sprint(value))
				}
			case []string:
				v[k+"[]"] = x
			default:
				v.Set(k, fmt.Sprint(x))
			}
		}
		return v
	}
	form := asForm(body(map[string]any{"username": "ana", "email": "ana@mail.example", "password": "correct horse battery"}))
	if w := s.send("/invite/"+invitation, form); w.Code != http.StatusCreated {
		t.Fatalf("her own form is answered %d %s", w.Code, w.Body)
	}
	a := s.register("read write")
	token := a.token("by_baker", "", "read write")
	post := s.say(activitypub.By{User: by.User, Actor: s.actorOf(by.User)}, activitypub.Draft{Text: "Fresh #bread"})
	id := post.ID.String()
	for _, c := range []struct {
		method, path string
		own          map[string]any
	}{
		{"POST", "/api/v1/statuses", map[string]any{"status": "mine"}}, {"PUT", "/api/v1/statuses/" + id, map[string]any{"status": "changed"}}, {"POST", "/api/v1/statuses/" + id + "/favourite", nil}, {"POST", "/api/v1/statuses/" + id + "/reblog", nil},
		{"POST", "/api/v1/statuses/" + id + "/bookmark", nil}, {"PATCH", "/api/v1/accounts/update_credentials", map[string]any{"display_name": "Ana"}}, {"POST", "/api/v1/accounts/" + by.Actor.ID.String() + "/follow", nil}, {"POST", "/api/v1/accounts/" + by.Actor.ID.String() + "/note", map[string]any{"comment": "x"}},
		{"POST", "/api/v1/lists", map[string]any{"title": "x"}}, {"POST", "/api/v2/filters", map[string]any{"title": "x", "context": []string{"home"}}}, {"POST", "/api/v1/filters", map[string]any{"phrase": "x", "context": []string{"home"}}}, {"POST", "/api/v1/featured_tags", map[string]any{"name": "rye"}},
		{"POST", "/api/v1/markers", map[string]any{"home[last_read_id]": id}}, {"POST", "/api/v1/apps", map[string]any{"client_name": "x", "redirect_uris": home}}, {"POST", "/api/v1/reports", map[string]any{"account_id": by.Actor.ID.String(), "comment": "x"}}, {"POST", "/api/v1/tags/bread/follow", nil},
	} {
		raw, err := json.Marshal(body(c.own))
		if err != nil {
			t.Fatal(err)
		}
		r := with(token, c.method, c.path, nil)
		r.Body = io.NopCloser(bytes.NewReader(raw))
		r.Header.Set("Content-Type", "application/json")
		if w := s.ask(r); w.Code != 200 {
			t.Errorf("%s %s as JSON is answered %d %s", c.method, c.path, w.Code, w.Body)
		}
		if w := s.ask(with(token, c.method, c.path, asForm(body(c.own)))); w.Code >= 500 || w.Code == 401 {
			t.Errorf("%s %s as a form is answered %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
	all := fmt.Sprint(storagetest.Rows(t, s.db))
	for _, trace := range []string{"owner-of-all", "987654321", "42424242", "evil42", "1999-09-09"} {
		if at := strings.Index(all, trace); at >= 0 {
			t.Errorf("%s was kept: …%s…", trace, all[max(0, at-200):min(len(all), at+100)])
		}
	}
	if left, err := s.db.InviteByCodeHash(t.Context(), hash(invitation)); err != nil || left.UsesLeft != 4 {
		t.Errorf("the invitation is %+v, %v", left, err)
	}
	users, err := s.db.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		if u.Role != storage.NodeUser || u.SuspendedAt != nil || strings.Contains(u.Email, "evil") {
			t.Errorf("she is %+v", u)
		}
	}
}

// actorOf is a person's own actor.
func (s *site) actorOf(u *storage.User) *storage.Actor {
	s.t.Helper()
	a, err := s.db.ActorByID(s.t.Context(), u.ActorID)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// The names that the setup page and invitations take, with a member called ana.
func TestSES237SES238NamesAndAddressesOfPages(t *testing.T) {
	const code = "setup-code"
	s := newSite(t, func(c *web.Config) { c.SetupCode = func(context.Context) (string, error) { return code, nil } })
	s.coop("ana", "Ana's")
	if err := s.db.SaveInvite(t.Context(), &storage.Invite{CodeHash: hash(code), UsesLeft: 1}); err != nil {
		t.Fatal(err)
	}
	before := storagetest.Rows(t, s.db)
	refused := func(field, value string) {
		t.Helper()
		form := url.Values{"username": {"bo"}, "password": {"correct horse battery"}, "email": {""}}
		form.Set(field, value)
		for _, path := range []string{"/setup/" + code, "/invite/" + code} {
			if w := s.send(path, form); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `id="`+field+`-problem"`) {
				t.Errorf("%s takes the %s %.40q: %d", path, field, value, w.Code)
			}
		}
	}
	for _, name := range []string{"admin", "Admin", "ADMIN ", "administrator", "support", "api", "inbox", "outbox", "actor", "ledger", "root", "moderator", "oauth", "setup", "invite", "pay", "media", "static", "users", "well-known", ".well-known", "nodeinfo", "planet", "webmaster", "postmaster", "abuse",
		"security", "noreply", "hostmaster", "null", "undefined", "ana", "ANA", "\u0430na", "an\u0430", "ａｎａ", "ana\u200b", "ana\u0301", "\u202eana", "an\x00a", "a na", "../ana", "ana@evil.example", "@ana", "", strings.Repeat("a", 31), "<b>ana</b>", "ana\n", "%61na", "-ana", "ana."} {
		if name == "ana\n" || name == "ADMIN " || name == "Admin" { // what stands around a name is cut off, and what is left is refused
			name = strings.TrimSpace(name)
		}
		refused("username", name)
	}
	for _, address := range []string{"ana%40evil@mail.example", "ana,eve@mail.example", "ana@mail.example,eve@evil.example", `"ana"@mail.example`, `ana"@mail.example`, strings.Repeat("a", 390) + "@m.example", "ana", "@mail.example", "ana@", "ana@mail", "ana@mail.example\nBcc: eve@evil.example", "ana@mail.example\r\nBcc: x@y.example",
		"ana@mail.example\x00", "ana@mail.example;eve@evil.example", "Ana <ana@mail.example>", "ana@@mail.example", "ana@eve@mail.example", "-oQ/tmp@mail.example", "ana@mail..example", "ana@.mail.example", "ana@mail.example.", "ana\u2028@mail.example", "ana@ma il.example", "ana(x)@mail.example", "ana@[127.0.0.1]", `ana\@mail.example`,
		"ana@mail.example\u202e", "|id@mail.example", "`id`@mail.example"} {
		refused("email", address)
	}
	if diff := cmp.Diff(before, storagetest.Rows(t, s.db)); diff != "" {
		t.Errorf("somebody was made: %s", diff)
	}
	for _, address := range []string{"ana+planet@mail.example", "Ana.Maria@Mail.example", "o'brien@mail.example", "a_b-c@sub.mail.example"} {
		if w := s.send("/invite/"+code, url.Values{"username": {"bo"}, "email": {address}}); strings.Contains(w.Body.String(), "email-problem") {
			t.Errorf("%q is refused", address)
		}
	}
}

// There is nothing to administer a node with over HTTP: whoever asks, and whatever she may do, the address is not there; and to say so takes no question to the database.
func TestADM241ThereIsNoAdministrationOverHTTP(t *testing.T) {
	s := newSite(t)
	s.coop("baker", "The Bakery")
	tokens := map[string]string{"nobody": ""}
	a := s.register("read write follow push profile payments admin:read admin:write")
	cookies := map[string]*http.Cookie{}
	for _, role := range []string{storage.NodeUser, storage.NodeModerator, storage.NodeAdmin, storage.NodeOwner} {
		if _, _, err := s.node.CreatePerson(t.Context(), activitypub.NewUser{Username: "the_" + role, Password: "a long enough password", Role: role}); err != nil {
			t.Fatal(err)
		}
		a.cookie = nil
		tokens[role] = a.token("the_"+role, "", "read write admin:read admin:write")
		cookies[role] = a.cookie
	}
	for role, token := range tokens {
		if want := map[bool]int{true: 200, false: 401}[token != ""]; s.status(token, "GET", me, nil) != want {
			t.Fatalf("%s has no token that holds", role)
		}
	}
	var paths []string
	for _, p := range []string{"", "/", "/accounts", "/accounts/1", "/accounts/1/action", "/accounts/1/approve", "/reports", "/reports/1", "/reports/1/resolve", "/domain_blocks", "/domain_blocks/1", "/domain_allows", "/email_domain_blocks", "/ip_blocks", "/canonical_email_blocks", "/measures", "/dimensions", "/retention",
		"/trends/tags", "/trends/statuses", "/trends/links", "/tags/1", "/invites", "/settings", "/users", "/queues", "/relays"} {
		paths = append(paths, "/admin"+p, "/api/v1/admin"+p, "/api/v2/admin"+p)
	}
	paths = append(paths, "/administrator", "/sidekiq", "/pghero", "/api/v1/pleroma/admin/users", "/api/pleroma/admin/users", "/api/planet/v1/admin/users", "/manage", "/moderation", "/.well-known/admin", "/api/v1/admin%2faccounts", "/API/v1/admin/accounts", "//api/v1/admin/accounts")
	if err := s.db.Close(); err != nil { // from here on a question to the database is a 5xx
		t.Fatal(err)
	}
	if got := s.status(tokens[storage.NodeOwner], "GET", me, nil); got < 500 {
		t.Fatalf("without its database the node answers %d", got)
	}
	for _, path := range paths {
		for role, token := range tokens {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
				r := from(method, "/", strings.NewReader("{}"))
				u, err := url.ParseRequestURI(path)
				if err != nil {
					t.Fatal(err)
				}
				if r.URL = u; strings.HasPrefix(path, "//") {
					r.URL = &url.URL{Path: path}
				}
				if token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
					r.AddCookie(cookies[role])
				}
				if w := s.ask(r); w.Code != http.StatusNotFound {
					t.Errorf("%s %s says to %s: %d %.200s", method, path, role, w.Code, w.Body)
				}
			}
		}
	}
}
