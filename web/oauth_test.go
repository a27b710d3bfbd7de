package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/storage/storagetest"
	"planet/web"
	"planet/web/oauth"
)

// app is a program of somebody's, and what she has in her browser while she lets it in.
type app struct {
	*site
	id, secret, redirect string
	cookie               *http.Cookie
	origin               string // "" for that of most tests
}

// atHost says that the node is elsewhere.
func (a *app) atHost(origin string) { a.origin = origin }

const home = "https://app.example/back"

// register makes an app that may be answered at some addresses.
func (s *site) register(scopes string, redirects ...string) *app {
	s.t.Helper()
	if len(redirects) == 0 {
		redirects = []string{home}
	}
	var got struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	s.answers(s.form("/api/v1/apps", url.Values{"client_name": {"Bread <app>"}, "redirect_uris": {strings.Join(redirects, "\n")}, "scopes": {scopes}}), 200, &got)
	return &app{site: s, id: got.ClientID, secret: got.ClientSecret, redirect: redirects[0]}
}

// form posts a form as a program does.
func (s *site) form(path string, values url.Values) *http.Request {
	r := from(http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "*/*")
	return r
}

// answers asks, and reads what comes as JSON.
func (s *site) answers(r *http.Request, status int, out any) *httptest.ResponseRecorder {
	s.t.Helper()
	w := s.ask(r)
	if w.Code != status {
		s.t.Fatalf("%s %s answered %d %s, want %d", r.Method, r.URL, w.Code, w.Body, status)
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			s.t.Fatalf("%s %s: %v in %s", r.Method, r.URL, err, w.Body)
		}
	}
	return w
}

func (a *app) asks(change url.Values) string {
	q := url.Values{"response_type": {"code"}, "client_id": {a.id}, "redirect_uri": {a.redirect}, "scope": {"read"}, "state": {"st&te"}}
	for k, v := range change {
		if q[k] = v; v == nil {
			delete(q, k)
		}
	}
	return "/oauth/authorize?" + q.Encode()
}

// browse is a request of her browser.
func (a *app) browse(method, path string, form url.Values) *httptest.ResponseRecorder {
	r := from(method, path, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://rye.example")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if a.origin != "" {
		r.Host = strings.TrimPrefix(a.origin, "http://")
	}
	if a.cookie != nil {
		r.AddCookie(a.cookie)
	}
	w := a.ask(r)
	for _, c := range w.Result().Cookies() {
		if a.cookie = c; c.MaxAge < 0 {
			a.cookie = nil
		}
	}
	return w
}

func (a *app) signsIn(path, name string) {
	a.t.Helper()
	w := a.browse(http.MethodPost, path, url.Values{"do": {"signin"}, "name": {name}, "password": {"a long enough password"}})
	if w.Code != http.StatusSeeOther || a.cookie == nil {
		a.t.Fatalf("signing in answered %d %s", w.Code, w.Body)
	}
}

var (
	ticketField = regexp.MustCompile(`name="ticket" value="([^"]+)"`)
	voiceField  = regexp.MustCompile(`name="as" id="as-(\d+)"`)
	codeShown   = regexp.MustCompile(`id="code">([^<]+)<`)
)

// consents says yes to the page at a path, as somebody ("": whoever is first).
func (a *app) consents(path, as string) *httptest.ResponseRecorder {
	a.t.Helper()
	page := a.browse(http.MethodGet, path, nil)
	ticket, voices := ticketField.FindStringSubmatch(page.Body.String()), voiceField.FindAllStringSubmatch(page.Body.String(), -1)
	if ticket == nil || len(voices) == 0 {
		a.t.Fatalf("the page answered %d without a form: %s", page.Code, page.Body)
	}
	if as == "" {
		as = voices[0][1]
	}
	return a.browse(http.MethodPost, path, url.Values{"do": {"allow"}, "ticket": {ticket[1]}, "as": {as}})
}

// code lets the app in, and is what it gets.
func (a *app) code(name, as string, change url.Values) string {
	a.t.Helper()
	path := a.asks(change)
	if a.cookie == nil {
		a.signsIn(path, name)
	}
	w := a.consents(path, as)
	u, err := url.Parse(w.Header().Get("Location"))
	if err != nil || w.Code != http.StatusFound || u.Query().Get("code") == "" || u.Query().Get("state") != "st&te" || !strings.HasPrefix(u.String(), a.redirect) {
		a.t.Fatalf("consent answered %d %s to %s", w.Code, w.Body, w.Header().Get("Location"))
	}
	return u.Query().Get("code")
}

// trade asks for a token.
func (a *app) trade(code string, change url.Values) *httptest.ResponseRecorder {
	v := url.Values{"grant_type": {"authorization_code"}, "client_id": {a.id}, "client_secret": {a.secret}, "redirect_uri": {a.redirect}, "code": {code}}
	for key, values := range change {
		if v[key] = values; values == nil {
			delete(v, key)
		}
	}
	return a.ask(a.form("/oauth/token", v))
}

// token lets the app in to the end.
func (a *app) token(name, as, scope string) string {
	a.t.Helper()
	var got struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		Scope       string
		CreatedAt   int64 `json:"created_at"`
	}
	w := a.trade(a.code(name, as, url.Values{"scope": {scope}}), nil)
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.TokenType != "Bearer" || got.Scope != scope || got.CreatedAt == 0 {
		a.t.Fatalf("the token is %d %s", w.Code, w.Body)
	}
	return got.AccessToken
}

// with is a request by a token.
func with(token, method, path string, form url.Values) *http.Request {
	r := from(method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// status asks with a token, and is how it was answered.
func (s *site) status(token, method, path string, form url.Values) int {
	return s.ask(with(token, method, path, form)).Code
}

const me = "/api/v1/accounts/verify_credentials"

func TestAnAppIsLetInAsHerselfOrAsACoop(t *testing.T) {
	s := newSite(t)
	by := s.coop("bakery", "Bakery")
	a := s.register("read write")
	path := a.asks(nil)
	if w := a.browse(http.MethodGet, path, nil); w.Code != 200 || !strings.Contains(w.Body.String(), "Bread &lt;app&gt;") || strings.Contains(w.Body.String(), "As whom") {
		t.Fatalf("who is not signed in sees %d %s", w.Code, w.Body)
	}
	if w := a.browse(http.MethodPost, path, url.Values{"do": {"signin"}, "name": {"by_bakery"}, "password": {"another password"}}); w.Code != 422 || a.cookie != nil || !strings.Contains(w.Body.String(), "do not belong together") {
		t.Fatalf("a wrong password answers %d %s", w.Code, w.Body)
	}
	a.signsIn(path, "@By_Bakery@rye.example")
	page := a.browse(http.MethodGet, path, nil).Body.String()
	for _, part := range []string{"Bread &lt;app&gt;", "app.example", "@by_bakery@rye.example", "@bakery@rye.example", "read everything that you can read here"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page does not say %q: %s", part, page)
		}
	}
	var who struct{ Acct string }
	mine, coops := a.token("by_bakery", "", "read"), a.token("by_bakery", by.Actor.ID.String(), "read write")
	if s.answers(with(mine, "GET", me, nil), 200, &who); who.Acct != "by_bakery" {
		t.Errorf("she is %+v", who)
	}
	if s.answers(with(coops, "GET", me, nil), 200, &who); who.Acct != "bakery" {
		t.Errorf("the co-op is %+v", who)
	}
	var post struct{ Account struct{ Acct string } }
	s.answers(with(coops, "POST", "/api/v1/statuses", url.Values{"status": {"Fresh bread"}}), 200, &post)
	if acts, err := s.db.Acts(t.Context(), by.Actor.ID, storage.Page{Limit: 1}); err != nil || post.Account.Acct != "bakery" || acts[0].Kind != "post.create" || acts[0].UserID != by.User.ID {
		t.Errorf("what was written is of %+v, and the record says %+v, %v", post, acts, err)
	}
	// The role ends, and the token with it, at once.
	other, _, err := s.node.CreatePerson(t.Context(), activitypub.NewUser{Username: "ana", Password: "a long enough password"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{s.node.GiveRole(t.Context(), by, other, storage.RoleAdmin), s.node.TakeRole(t.Context(), activitypub.By{User: other, Actor: by.Actor}, by.User, "")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := s.status(coops, "GET", me, nil); got != 401 {
		t.Errorf("without the role the token answers %d", got)
	}
	if got := s.status(mine, "GET", me, nil); got != 200 {
		t.Errorf("her own token answers %d", got)
	}
}

func TestOAU203OAU205CodesGoToRegisteredAddressesAlone(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a := s.register("read", home, oauth.OutOfBand, "breadapp://back")
	for _, to := range []string{"https://app.example/back2", "https://app.example/back/", "https://app.example/", "https://app.example:8443/back", "https://APP.example/back", "https://app.example/back#x",
		"https://user@app.example/back", "https://app.example./back", "http://app.example/back", "https://evil.example/back", "https://app.example/back?x=1", "javascript:alert(1)", "", "breadapp://back2"} {
		if w := a.browse(http.MethodGet, a.asks(url.Values{"redirect_uri": {to}}), nil); w.Code != 400 || w.Header().Get("Location") != "" {
			t.Errorf("to %q: %d to %q", to, w.Code, w.Header().Get("Location"))
		}
	}
	// OAU 205: also an error goes nowhere but there.
	if w := a.browse(http.MethodGet, a.asks(url.Values{"redirect_uri": {"https://evil.example/"}, "scope": {"nonsense"}}), nil); w.Code != 400 || w.Header().Get("Location") != "" {
		t.Errorf("an error goes to %q", w.Header().Get("Location"))
	}
	if w := a.browse(http.MethodGet, a.asks(url.Values{"client_id": {"nobody"}}), nil); w.Code != 400 || w.Header().Get("Location") != "" {
		t.Errorf("an unknown client: %d %q", w.Code, w.Header().Get("Location"))
	}
	// An app without a page of its own shows a code.
	a.redirect = oauth.OutOfBand
	a.signsIn(a.asks(nil), "by_bakery")
	w := a.consents(a.asks(nil), "")
	code := codeShown.FindStringSubmatch(w.Body.String())
	if w.Code != 200 || code == nil || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("the page of a code is %d %s", w.Code, w.Body)
	}
	if w := a.trade(code[1], nil); w.Code != 200 {
		t.Errorf("its code answers %d %s", w.Code, w.Body)
	}
	a.redirect = "breadapp://back"
	w = a.consents(a.asks(nil), "")
	if to := w.Header().Get("Location"); w.Code != 302 || !strings.HasPrefix(to, "breadapp://back?code=") {
		t.Errorf("a scheme of its own: %d %q", w.Code, to)
	}
	if policy := a.browse(http.MethodGet, a.asks(nil), nil).Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' breadapp:;") {
		t.Errorf("the browser would not go there: %s", policy)
	}
}

func TestOAU204AddressesThatNoCodeIsSentTo(t *testing.T) {
	s := newSite(t)
	for _, to := range []string{"javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "JavaScript:alert(1)", "https://u:p@app.example/", "https://app.example/#x", "vbscript:x", "/back", "//app.example/", "https:///x", "https://app.example/a b"} {
		if w := s.ask(s.form("/api/v1/apps", url.Values{"client_name": {"x"}, "redirect_uris": {to}})); w.Code != 422 {
			t.Errorf("%q is registered: %d %s", to, w.Code, w.Body)
		}
	}
}

func TestOAU206ACodeIsGoodOnce(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a := s.register("read")
	code := a.code("by_bakery", "", nil)
	var got struct {
		AccessToken string `json:"access_token"`
	}
	w := a.trade(code, nil)
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || s.status(got.AccessToken, "GET", me, nil) != 200 {
		t.Fatalf("the token is %s, %v", w.Body, err)
	}
	if w := a.trade(code, nil); w.Code != 400 || !strings.Contains(w.Body.String(), "invalid_grant") {
		t.Errorf("the second time: %d %s", w.Code, w.Body)
	}
	if got := s.status(got.AccessToken, "GET", me, nil); got != 401 {
		t.Errorf("and what was given for it answers %d", got)
	}
}

func TestOAU208ACodeIsOfItsClient(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a, thief := s.register("read", home, "https://app.example/other"), s.register("read")
	code := a.code("by_bakery", "", nil)
	for name, change := range map[string]url.Values{
		"another client":       {"client_id": {thief.id}, "client_secret": {thief.secret}},
		"another redirect_uri": {"redirect_uri": {"https://app.example/other"}},
		"no redirect_uri":      {"redirect_uri": nil},
	} {
		if w := a.trade(code, change); w.Code != 400 || !strings.Contains(w.Body.String(), "invalid_grant") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for name, change := range map[string]url.Values{"no secret": {"client_secret": nil}, "another secret": {"client_secret": {thief.secret}}, "no client": {"client_id": {"x"}}} {
		if w := a.trade(code, change); w.Code != 401 || !strings.Contains(w.Body.String(), "invalid_client") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := a.trade(code, nil); w.Code != 200 {
		t.Errorf("after all that the right one: %d %s", w.Code, w.Body)
	}
}

func TestOAU209OAU210PKCE(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a := s.register("read")
	verifier := strings.Repeat("abcdefgh-", 6)
	sum := sha256.Sum256([]byte(verifier))
	asked := url.Values{"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	code := a.code("by_bakery", "", asked)
	for name, v := range map[string][]string{"none": nil, "another": {strings.Repeat("x", 50)}, "a short one": {"abc"}} {
		if w := a.trade(code, url.Values{"code_verifier": v}); w.Code != 400 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := a.trade(code, url.Values{"code_verifier": {verifier}, "client_secret": nil}); w.Code != 200 {
		t.Errorf("a public client with the right one: %d %s", w.Code, w.Body)
	}
	if w := a.trade(a.code("", "", nil), url.Values{"code_verifier": {verifier}}); w.Code != 400 {
		t.Errorf("a verifier without a challenge: %d %s", w.Code, w.Body)
	}
	// OAU 210: S256 and nothing else.
	for _, change := range []url.Values{{"code_challenge": {verifier}, "code_challenge_method": {"plain"}}, {"code_challenge": {verifier}}, {"code_challenge_method": {"S256"}}} {
		w := a.browse(http.MethodGet, a.asks(change), nil)
		if to := w.Header().Get("Location"); w.Code != 302 || !strings.HasPrefix(to, home+"?error=invalid_request") {
			t.Errorf("%v: %d %q", change, w.Code, to)
		}
	}
}

func TestOAU211ACodeLastsTenMinutes(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a := s.register("read")
	code := a.code("by_bakery", "", nil)
	now := s.db.Now()
	s.db.Now = func() time.Time { return now.Add(11 * time.Minute) }
	if w := a.trade(code, nil); w.Code != 400 || !strings.Contains(w.Body.String(), "expired") {
		t.Errorf("after eleven minutes: %d %s", w.Code, w.Body)
	}
}

func TestOAU212ScopesBeyondTheRegistration(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a := s.register("read write:statuses")
	for scope, fits := range map[string]bool{"read": true, "read:accounts write:statuses": true, "write": false, "read payments": false, "write:media": false, "follow": false, "nonsense": false, "admin:read": false} {
		w := a.browse(http.MethodGet, a.asks(url.Values{"scope": {scope}}), nil)
		if refused := strings.Contains(w.Header().Get("Location"), "error=invalid_scope"); refused == fits {
			t.Errorf("%q: %d %q", scope, w.Code, w.Header().Get("Location"))
		}
	}
	// No umbrella holds payments.
	wide := s.register("read write follow push profile")
	if w := wide.browse(http.MethodGet, wide.asks(url.Values{"scope": {"payments"}}), nil); !strings.Contains(w.Header().Get("Location"), "invalid_scope") {
		t.Errorf("payments are given with the rest: %d", w.Code)
	}
	if w := s.ask(s.form("/api/v1/apps", url.Values{"client_name": {"x"}, "redirect_uris": {home}, "scopes": {"read everything"}})); w.Code != 422 {
		t.Errorf("an unknown scope is registered: %d", w.Code)
	}
}

func TestOAU215AnAppByItselfIsNobody(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a := s.register("read write")
	var got struct {
		AccessToken string `json:"access_token"`
	}
	s.answers(s.form("/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {a.id}, "client_secret": {a.secret}, "scope": {"read write"}}), 200, &got)
	if code := s.status(got.AccessToken, "GET", "/api/v1/apps/verify_credentials", nil); code != 200 {
		t.Errorf("it may ask for itself, and is answered %d", code)
	}
	for _, path := range []string{me, "/api/v1/timelines/home", "/api/v1/notifications", "/api/v1/bookmarks"} {
		if code := s.status(got.AccessToken, "GET", path, nil); code != 422 && code != 403 && code != 401 {
			t.Errorf("%s answers %d", path, code)
		}
	}
	if code := s.status(got.AccessToken, "POST", "/api/v1/statuses", url.Values{"status": {"x"}}); code != 422 {
		t.Errorf("it writes: %d", code)
	}
	if code := s.status(got.AccessToken, "GET", "/api/v1/timelines/public", nil); code != 200 {
		t.Errorf("what is public answers %d", code)
	}
}

func TestOAU216OAU219NobodySaysYesInHerName(t *testing.T) {
	s := newSite(t)
	by := s.coop("bakery", "Bakery")
	a := s.register("read")
	path := a.asks(nil)
	a.signsIn(path, "by_bakery")
	page := a.browse(http.MethodGet, path, nil)
	h := page.Header()
	if h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("the page can be framed: %v", h)
	}
	// OAU 219
	if h.Get("Cache-Control") != "no-store" || !slices.Contains([]string{"no-referrer", "same-origin"}, h.Get("Referrer-Policy")) {
		t.Errorf("the page is kept, or its address told: %v", h)
	}
	for what, w := range map[string]*httptest.ResponseRecorder{"the page": page, "the way back": a.consents(path, ""), "the way on": a.browse(http.MethodPost, path, url.Values{"do": {"signin"}, "name": {"by_bakery"}, "password": {"a long enough password"}})} {
		if got := w.Header().Get("Cross-Origin-Opener-Policy"); got != "" {
			t.Errorf("%s cuts the window off that opened it: %s", what, got)
		}
	}
	ticket := ticketField.FindStringSubmatch(a.browse(http.MethodGet, path, nil).Body.String())[1]
	own := url.Values{"do": {"allow"}, "ticket": {ticket}, "as": {by.User.ActorID.String()}}
	post := func(path string, form url.Values, change func(*http.Request)) int {
		r := from(http.MethodPost, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://rye.example")
		r.AddCookie(a.cookie)
		change(r)
		return s.ask(r).Code
	}
	nothing := func(*http.Request) {}
	without := url.Values{"do": {"allow"}, "as": own["as"]}
	wider := a.asks(url.Values{"scope": {"read:accounts"}})
	for name, got := range map[string]int{
		"from another site": post(path, own, func(r *http.Request) {
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}),
		"without the ticket":            post(path, without, nothing),
		"for another request":           post(wider, own, nothing),
		"without a session":             post(path, own, func(r *http.Request) { r.Header.Del("Cookie") }),
		"as somebody whom she is not":   post(path, url.Values{"do": {"allow"}, "ticket": {ticket}, "as": {"1"}}, nothing),
		"with a session that has ended": post(path, own, func(r *http.Request) { r.Header.Set("Cookie", "__Host-planet=made-up") }),
	} {
		if got != http.StatusForbidden {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := post(path, own, nothing); got != http.StatusFound {
		t.Errorf("her own yes: %d", got)
	}
	if w := a.browse(http.MethodPost, path, url.Values{"do": {"deny"}, "ticket": {ticket}}); w.Code != 302 || !strings.HasPrefix(w.Header().Get("Location"), home+"?error=access_denied") {
		t.Errorf("her no: %d %q", w.Code, w.Header().Get("Location"))
	}
}

func TestOAU218ATokenIsInTheHeaderAlone(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	token := s.register("read").token("by_bakery", "", "read")
	if w := s.get(me + "?access_token=" + token); w.Code != 401 {
		t.Errorf("in the query it answers %d", w.Code)
	}
	if strings.Contains(s.log.String(), token) {
		t.Error("the log has the token")
	}
	for _, kind := range []string{"Basic " + token, "Bearer", "Bearer x", token, "bearer " + token + "x"} {
		r := from("GET", me, nil)
		r.Header.Set("Authorization", kind)
		if w := s.ask(r); w.Code != 401 || !strings.Contains(w.Body.String(), "The access token is invalid") {
			t.Errorf("%q: %d %s", kind, w.Code, w.Body)
		}
	}
}

func TestOAU220OneClientDoesNotEndAnothersToken(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a, other := s.register("read"), s.register("read")
	token := a.token("by_bakery", "", "read")
	revoke := func(app *app, secret string) int {
		return s.ask(s.form("/oauth/revoke", url.Values{"client_id": {app.id}, "client_secret": {secret}, "token": {token}})).Code
	}
	if got := revoke(other, other.secret); got != 200 || s.status(token, "GET", me, nil) != 200 {
		t.Errorf("another's: %d, and then %d", got, s.status(token, "GET", me, nil))
	}
	if got := revoke(a, other.secret); got != 401 || s.status(token, "GET", me, nil) != 200 {
		t.Errorf("without its secret: %d", got)
	}
	if got := revoke(a, a.secret); got != 200 || s.status(token, "GET", me, nil) != 401 {
		t.Errorf("its own: %d, and then %d", got, s.status(token, "GET", me, nil))
	}
	if got := revoke(a, a.secret); got != 200 {
		t.Errorf("again: %d", got)
	}
}

func TestOAU221WhatEndsATokenEndsItEverywhere(t *testing.T) {
	for name, end := range map[string]func(s *site, by activitypub.By) error{
		"a new password": func(s *site, by activitypub.By) error {
			u := *by.User
			u.PasswordHash = "another"
			return s.db.UpdateUser(s.t.Context(), &u)
		},
		"a suspension": func(s *site, by activitypub.By) error {
			a, err := s.db.ActorByID(s.t.Context(), by.User.ActorID)
			if err != nil {
				return err
			}
			return s.node.SetStanding(s.t.Context(), nil, a, true, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			by := s.coop("bakery", "Bakery")
			a := s.register("read")
			token := a.token("by_bakery", "", "read")
			code := a.code("", "", nil)
			if err := end(s, by); err != nil {
				t.Fatal(err)
			}
			if got := s.status(token, "GET", me, nil); got != 401 {
				t.Errorf("the token answers %d", got)
			}
			if w := a.trade(code, nil); w.Code == 200 {
				t.Errorf("a code from before is good: %s", w.Body)
			}
			if w := a.browse(http.MethodGet, a.asks(nil), nil); strings.Contains(w.Body.String(), "As whom") {
				t.Error("her browser is still signed in")
			}
		})
	}
}

func TestOAU224TheDatabaseHoldsNoSecrets(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a := s.register("read")
	code := a.code("by_bakery", "", nil)
	token := a.token("", "", "read")
	all := storagetest.Rows(t, s.db)
	for _, table := range []string{"apps", "grants", "tokens", "sessions"} {
		if len(all[table]) == 0 {
			t.Errorf("%s has no rows", table)
		}
	}
	text := fmt.Sprint(all)
	for what, secret := range map[string]string{"the app's secret": a.secret, "the code": code, "the token": token, "the session": a.cookie.Value, "the password": "a long enough password"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is kept", what)
		}
	}
}

func TestSES229SES230ASessionIsNewAndEnds(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	a := s.register("read")
	path := a.asks(nil)
	a.cookie = &http.Cookie{Name: "__Host-planet", Value: "chosen-by-another"}
	a.signsIn(path, "by_bakery")
	first := *a.cookie
	if first.Value == "chosen-by-another" {
		t.Error("a session that was there before is hers now")
	}
	// SES 230
	if first.Name != "__Host-planet" || !first.Secure || !first.HttpOnly || first.SameSite != http.SameSiteLaxMode || first.Path != "/" || first.Domain != "" {
		t.Errorf("the cookie is %+v", first)
	}
	ticket := ticketField.FindStringSubmatch(a.browse(http.MethodGet, path, nil).Body.String())[1]
	a.browse(http.MethodPost, path, url.Values{"do": {"signout"}, "ticket": {ticket}})
	a.cookie = &first
	if w := a.browse(http.MethodGet, path, nil); strings.Contains(w.Body.String(), "As whom") {
		t.Error("the session lives on after she has signed out")
	}
}

func TestWEB262ScriptsOfOtherSites(t *testing.T) {
	s := newSite(t)
	s.coop("bakery", "Bakery")
	r := from(http.MethodOptions, "/api/v1/statuses", nil)
	r.Header.Set("Origin", "https://elk.example")
	r.Header.Set("Access-Control-Request-Method", "POST")
	r.Header.Set("Access-Control-Request-Headers", "authorization,idempotency-key")
	w := s.ask(r)
	h := w.Header()
	if w.Code != 204 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Idempotency-Key") || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "PATCH") {
		t.Errorf("the browser asks, and hears %d %v", w.Code, h)
	}
	for path, readable := range map[string]bool{"/api/v1/instance": true, "/api/v1/nothing": true, "/oauth/token": true, "/.well-known/nodeinfo": true, "/static/touch.png": true, "/oauth/authorize": false, "/": false, "/offers": false} {
		r := from("GET", path, nil)
		r.Header.Set("Origin", "https://evil.example")
		h := s.ask(r).Header()
		if got := h.Get("Access-Control-Allow-Origin") == "*"; got != readable || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestTheMetadataOfOAuth(t *testing.T) {
	s := newSite(t, func(c *web.Config) {})
	var got struct {
		Authorization string   `json:"authorization_endpoint"`
		Methods       []string `json:"code_challenge_methods_supported"`
		Scopes        []string `json:"scopes_supported"`
	}
	s.answers(from("GET", "/.well-known/oauth-authorization-server", nil), 200, &got)
	if got.Authorization != "https://rye.example/oauth/authorize" || !slices.Equal(got.Methods, []string{"S256"}) || !slices.Contains(got.Scopes, "payments") {
		t.Errorf("%+v", got)
	}
}
