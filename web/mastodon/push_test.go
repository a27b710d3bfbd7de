package mastodon_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
	"planet/storage/storagetest"
	"planet/web/oauth"
)

// pushService is where apps get their pushes from: it takes the place of the network.
type pushService struct {
	t       *testing.T
	mu      sync.Mutex
	got     []parcel
	answers []reply       // one after another, then 201
	stalled chan struct{} // unless nil: told of each request, which is then never answered
}

type parcel struct {
	url  string
	head http.Header
	body []byte
}

type reply struct {
	status int
	header http.Header
}

func (p *pushService) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.stalled != nil {
		p.stalled <- struct{}{}
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.Method != http.MethodPost {
		p.t.Errorf("the push service is asked to %s %s", r.Method, r.URL)
	}
	p.got = append(p.got, parcel{r.URL.String(), r.Header, body})
	a := reply{status: 201}
	if len(p.answers) > 0 {
		a, p.answers = p.answers[0], p.answers[1:]
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// took is what has come since it was asked last.
func (p *pushService) took() []parcel {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.got = nil }()
	return p.got
}

// phone is an app that is subscribed.
type phone struct {
	t      *testing.T
	key    *ecdh.PrivateKey
	auth   []byte
	token  string
	server string // the key that it was told
}

var b64 = base64.RawURLEncoding

// form is a subscription as a form.
func (p *phone) form(endpoint string, standard bool, more ...string) url.Values {
	f := url.Values{"subscription[endpoint]": {endpoint}, "subscription[keys][p256dh]": {b64.EncodeToString(p.key.PublicKey().Bytes())}, "subscription[keys][auth]": {b64.EncodeToString(p.auth)},
		"subscription[standard]": {strconv.FormatBool(standard)}}
	for i := 0; i < len(more); i += 2 {
		f.Set(more[i], more[i+1])
	}
	return f
}

// read opens a parcel as an app does, and checks as its push service does who has sent it.
func (p *phone) read(in parcel) map[string]any {
	p.t.Helper()
	fail := func(format string, args ...any) {
		p.t.Helper()
		p.t.Fatalf("the push "+format, args...)
	}
	h := in.head
	if h.Get("TTL") != "172800" || h.Get("Urgency") != "normal" || h.Get("Content-Type") != "application/octet-stream" || len(in.body) > 4096 {
		fail("has the headers %v and %d bytes", h, len(in.body))
	}
	fields := func(text, by string) map[string]string {
		out := map[string]string{}
		for part := range strings.SplitSeq(text, by) {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			out[name] = value
		}
		return out
	}
	raw := func(text string) []byte {
		out, err := b64.DecodeString(text)
		if err != nil {
			fail("has %q: %v", text, err)
		}
		return out
	}
	derive := func(secret, salt []byte, info string, n int) []byte {
		out, err := hkdf.Key(sha256.New, secret, salt, info, n)
		if err != nil {
			fail("%v", err)
		}
		return out
	}
	mine := string(p.key.PublicKey().Bytes())
	var token, by string
	var from, key, nonce, sealed, salt []byte
	agree := func() []byte {
		their, err := ecdh.P256().NewPublicKey(from)
		if err != nil {
			fail("has a bad key: %v", err)
		}
		shared, err := p.key.ECDH(their)
		if err != nil {
			fail("%v", err)
		}
		return shared
	}
	standard := h.Get("Content-Encoding") == "aes128gcm"
	if standard {
		scheme, rest, _ := strings.Cut(h.Get("Authorization"), " ")
		f := fields(rest, ",")
		token, by = f["t"], f["k"]
		if scheme != "vapid" || h.Get("Crypto-Key") != "" || binary.BigEndian.Uint32(in.body[16:20]) != 4096 || in.body[20] != 65 {
			fail("has the headers %v and begins with %x", h, in.body[:21])
		}
		salt, from, sealed = in.body[:16], in.body[21:86], in.body[86:]
		ikm := derive(agree(), p.auth, "WebPush: info\x00"+mine+string(from), 32)
		key, nonce = derive(ikm, salt, "Content-Encoding: aes128gcm\x00", 16), derive(ikm, salt, "Content-Encoding: nonce\x00", 12)
	} else {
		scheme, rest, _ := strings.Cut(h.Get("Authorization"), " ")
		f := fields(h.Get("Crypto-Key"), ";")
		token, by, from, salt, sealed = rest, f["p256ecdsa"], raw(f["dh"]), raw(fields(h.Get("Encryption"), ";")["salt"]), in.body
		if scheme != "WebPush" || h.Get("Content-Encoding") != "aesgcm" {
			fail("has the headers %v", h)
		}
		both := "P-256\x00\x00\x41" + mine + "\x00\x41" + string(from)
		ikm := derive(agree(), p.auth, "Content-Encoding: auth\x00", 32)
		key, nonce = derive(ikm, salt, "Content-Encoding: aesgcm\x00"+both, 16), derive(ikm, salt, "Content-Encoding: nonce\x00"+both, 12)
	}
	if by != p.server {
		fail("is signed by %s, the app knows %s", by, p.server)
	}
	verifier, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw(by))
	if err != nil {
		fail("%v", err)
	}
	parts := strings.Split(token, ".")
	sum, signature := sha256.Sum256([]byte(parts[0]+"."+parts[1])), raw(parts[2])
	if !ecdsa.Verify(verifier, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		fail("is signed by somebody else")
	}
	var claims struct {
		Aud, Sub string
		Exp      int64
	}
	if err := json.Unmarshal(raw(parts[1]), &claims); err != nil || claims.Aud != "https://push.example" || claims.Sub != "https://rye.example" || time.Until(time.Unix(claims.Exp, 0)) > 24*time.Hour {
		fail("claims %+v", claims)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		fail("%v", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		fail("%v", err)
	}
	plain, err := gcm.Open(nil, nonce, sealed, nil)
	if err != nil {
		fail("cannot be opened: %v", err)
	}
	if standard {
		if plain[len(plain)-1] != 2 {
			fail("ends with %x", plain[len(plain)-1])
		}
		plain = plain[:len(plain)-1]
	} else {
		plain = plain[2+int(binary.BigEndian.Uint16(plain)):]
	}
	d := json.NewDecoder(bytes.NewReader(plain))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil || !utf8.Valid(plain) {
		fail("says %q: %v", plain, err)
	}
	return out
}

// pushDesk is a desk whose node has a push service and no other network.
type pushDesk struct {
	*desk
	service *pushService
	bo      activitypub.By
	clock   time.Time
}

func newPushDesk(t *testing.T, db *storage.DB) *pushDesk {
	t.Helper()
	d := &pushDesk{desk: newDeskOn(t, db), service: &pushService{t: t}, clock: time.Now().UTC().Truncate(time.Second)}
	db.Now = func() time.Time { return d.clock }
	client, err := activitypub.NewClient(activitypub.ClientConfig{Origin: "https://rye.example", Now: db.Now, Transport: d.service})
	if err != nil {
		t.Fatal(err)
	}
	d.node.Client, d.node.Now = client, db.Now
	d.bo = d.person("bo")
	return d
}

// phone is a new app of ana's with a scope.
func (d *pushDesk) phone(by activitypub.By) *phone {
	d.t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	p := &phone{t: d.t.(*testing.T), key: key, auth: make([]byte, 16), token: d.token(by, "read push")}
	_, _ = rand.Read(p.auth)
	return p
}

// subscribe lets an app subscribe to some alerts.
func (d *pushDesk) subscribe(p *phone, endpoint string, standard bool, more ...string) map[string]any {
	d.t.Helper()
	w := d.ask(p.token, "POST", "/api/v1/push/subscription", strings.NewReader(p.form(endpoint, standard, more...).Encode()))
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 200 {
		d.t.Fatalf("to subscribe answers %d %s", w.Code, w.Body)
	}
	p.server = out["server_key"].(string)
	return out
}

// brings lets all pushes out that are due, and wants so many.
func (d *pushDesk) brings(want int) []parcel {
	d.t.Helper()
	if err := d.web.DoPushes(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	got := d.service.took()
	if len(got) != want {
		d.t.Fatalf("%d pushes went out, want %d", len(got), want)
	}
	return got
}

// calls lets bo mention ana.
func (d *pushDesk) calls(text string) {
	d.t.Helper()
	if _, err := d.node.Publish(d.t.Context(), d.bo, activitypub.Draft{Text: "@ana@rye.example " + text}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *pushDesk) owed() int {
	return len(storagetest.Rows(d.t, d.db)["pushes"])
}

const mentions = "data[alerts][mention]"

// TestAMentionReachesAPhone: both ways to write a push arrive whole, signed by the key that the app was told.
func TestAMentionReachesAPhone(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newPushDesk(t, db)
		old, modern := d.phone(d.by), d.phone(d.by)
		if e := d.subscribe(old, "https://push.example/old", false, mentions, "true"); e["standard"] != false || e["policy"] != "all" {
			t.Errorf("the subscription is %v", e)
		}
		d.subscribe(modern, "https://push.example/new?x=%2B1", true, mentions, "1")
		d.calls("fresh <bread> & butter? ")
		urls := map[string]map[string]any{}
		for _, in := range d.brings(2) {
			p := old
			if strings.Contains(in.url, "new") {
				p = modern
			}
			urls[in.url] = p.read(in)
			if got := urls[in.url]["access_token"]; got != p.token {
				t.Errorf("%s has the token %v, want %s", in.url, got, p.token)
			}
		}
		news, err := db.Notifications(t.Context(), d.by.Actor.ID, storage.Page{Limit: 1})
		if err != nil || len(news) != 1 {
			t.Fatalf("%v, %v", news, err)
		}
		for _, at := range []string{"https://push.example/old", "https://push.example/new?x=%2B1"} {
			got := urls[at]
			if got == nil || got["notification_id"] != json.Number(news[0].ID.String()) || got["notification_type"] != "mention" || got["title"] != "You were mentioned by bo" ||
				got["body"] != "@ana fresh <bread> & butter?" || got["preferred_locale"] != "en" || !strings.HasPrefix(got["icon"].(string), "https://") {
				t.Errorf("%s got %v", at, got)
			}
		}
		if n := d.owed(); n != 0 {
			t.Errorf("%d pushes are still owed", n)
		}
		// An app in JavaScript has rounded the number, and asks for the notification by that.
		rounded := strconv.FormatFloat(float64(news[0].ID), 'f', -1, 64)
		for _, id := range []string{news[0].ID.String(), rounded} {
			w := d.ask(modern.token, "GET", "/api/v1/notifications/"+id, nil)
			if !strings.Contains(w.Body.String(), `"id":"`+news[0].ID.String()+`"`) {
				t.Errorf("the notification %s is %d %s", id, w.Code, w.Body)
			}
		}
		if w := d.ask(d.token(d.bo, "read"), "GET", "/api/v1/notifications/"+rounded, nil); w.Code != 404 {
			t.Errorf("somebody else's notification is %d %s", w.Code, w.Body)
		}
	})
}

// TestASubscriptionIsOneOfItsToken: what is written is read, a new one replaces it, and no other token touches it.
func TestASubscriptionIsOneOfItsToken(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newPushDesk(t, db)
		p, other := d.phone(d.by), d.phone(d.by)
		const path = "/api/v1/push/subscription"
		for _, c := range []struct{ method, body string }{{"GET", ""}, {"PUT", "data[policy]=all"}} {
			if w := d.ask(p.token, c.method, path, strings.NewReader(c.body)); w.Code != 404 || !strings.Contains(w.Body.String(), `"error"`) {
				t.Errorf("%s without a subscription answers %d %s", c.method, w.Code, w.Body)
			}
		}
		raw := fmt.Sprintf(`{"subscription": {"endpoint": "https://push.example/1", "keys": {"p256dh": %q, "auth": %q}, "standard": true},
			"data": {"alerts": {"mention": true, "reblog": false, "admin.sign_up": true}, "policy": "followed"}}`, b64.EncodeToString(p.key.PublicKey().Bytes())+"=", b64.EncodeToString(p.auth)+"==")
		r := httptest.NewRequest("POST", path, strings.NewReader(raw))
		r.Host = "rye.example"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+p.token)
		w := httptest.NewRecorder()
		d.web.Handler().ServeHTTP(w, r)
		var first, second map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &first); err != nil || w.Code != 200 {
			t.Fatalf("JSON is answered %d %s", w.Code, w.Body)
		}
		if wrong := fits("the subscription", "pushsubscription", first); len(wrong) > 0 {
			t.Error(wrong)
		}
		alerts := first["alerts"].(map[string]any)
		if alerts["mention"] != true || alerts["reblog"] != false || alerts["admin.sign_up"] != true || alerts["poll"] != false || first["policy"] != "followed" || first["standard"] != true || first["endpoint"] != "https://push.example/1" {
			t.Errorf("the subscription is %v", first)
		}
		if got := d.ask(p.token, "GET", path, nil).Body.String(); strings.TrimSpace(got) != strings.TrimSpace(w.Body.String()) {
			t.Errorf("it is read as %s, was written as %s", got, w.Body)
		}
		// Of its token alone.
		for _, c := range []struct {
			method, body string
			want         int
		}{{"GET", "", 404}, {"PUT", "data[alerts][mention]=false", 404}, {"DELETE", "", 200}} {
			if w := d.ask(other.token, c.method, path, strings.NewReader(c.body)); w.Code != c.want {
				t.Errorf("%s by another token answers %d %s", c.method, w.Code, w.Body)
			}
		}
		d.subscribe(other, "https://push.example/other", false)
		// Changed, replaced, ended.
		w = d.ask(p.token, "PUT", path, strings.NewReader("data[alerts][follow]=true&data[policy]=follower"))
		if err := json.Unmarshal(w.Body.Bytes(), &second); err != nil || w.Code != 200 || second["policy"] != "follower" || second["alerts"].(map[string]any)["follow"] != true ||
			second["alerts"].(map[string]any)["mention"] != false || second["id"] != first["id"] || second["endpoint"] != first["endpoint"] {
			t.Errorf("it was changed to %d %s", w.Code, w.Body)
		}
		if w = d.ask(p.token, "PUT", path, strings.NewReader("data[alerts][poll]=true")); !strings.Contains(w.Body.String(), `"policy":"follower"`) || !strings.Contains(w.Body.String(), `"follow":false`) {
			t.Errorf("without a policy it was changed to %d %s", w.Code, w.Body)
		}
		third := d.subscribe(p, "https://push.example/2", false, mentions, "true")
		if third["id"] == first["id"] || third["id"].(float64) > 1<<31-1 || third["standard"] != false {
			t.Errorf("the new one is %v", third)
		}
		if rows := storagetest.Rows(t, db)["push_subscriptions"]; len(rows) != 2 || strings.Contains(fmt.Sprint(rows), p.token) {
			t.Errorf("there are the rows %v", rows)
		}
		if w := d.ask(p.token, "DELETE", path, nil); w.Code != 200 || strings.TrimSpace(w.Body.String()) != "{}" {
			t.Errorf("its end is answered %d %s", w.Code, w.Body)
		}
		if w := d.ask(p.token, "GET", path, nil); w.Code != 404 {
			t.Errorf("it has ended, and answers %d %s", w.Code, w.Body)
		}
		if w := d.ask(other.token, "GET", path, nil); w.Code != 200 {
			t.Errorf("the other one has ended too: %d %s", w.Code, w.Body)
		}
	})
}

// TestABadSubscriptionIsRefused, and the one before it stays.
func TestABadSubscriptionIsRefused(t *testing.T) {
	d := newPushDesk(t, storagetest.New(t))
	p := d.phone(d.by)
	d.subscribe(p, "https://push.example/1", true, mentions, "true")
	for _, change := range [][2]string{
		{"subscription[endpoint]", ""}, {"subscription[endpoint]", "push.example"}, {"subscription[endpoint]", "http://push.example/1"}, {"subscription[endpoint]", "https://127.0.0.1/1"},
		{"subscription[endpoint]", "https://localhost/1"}, {"subscription[endpoint]", "https://10.0.0.1/1"}, {"subscription[endpoint]", "https://[::1]/1"}, {"subscription[endpoint]", "https://169.254.169.254/latest"},
		{"subscription[endpoint]", "https://push.example:22/"}, {"subscription[endpoint]", "https://a:b@push.example/"}, {"subscription[endpoint]", "https://push.example/" + strings.Repeat("x", 2048)},
		{"subscription[endpoint]", "file:///etc/passwd"}, {"subscription[endpoint]", "https://push.example/\r\nX: y"},
		{"subscription[keys][p256dh]", ""}, {"subscription[keys][p256dh]", "AAAA"}, {"subscription[keys][p256dh]", "B" + strings.Repeat("A", 86)},
		{"subscription[keys][auth]", ""}, {"subscription[keys][auth]", "AAAA"}, {"subscription[keys][auth]", strings.Repeat("A", 40)}, {"data[policy]", "everybody"},
	} {
		f := p.form("https://push.example/2", true)
		f.Set(change[0], change[1])
		if w := d.ask(p.token, "POST", "/api/v1/push/subscription", strings.NewReader(f.Encode())); w.Code != 422 || !strings.Contains(w.Body.String(), "Validation failed") {
			t.Errorf("%s %.40q is answered %d %s", change[0], change[1], w.Code, w.Body)
		}
	}
	if w := d.ask(p.token, "GET", "/api/v1/push/subscription", nil); !strings.Contains(w.Body.String(), "https://push.example/1") {
		t.Errorf("the old one is %d %s", w.Code, w.Body)
	}
	app := &storage.App{ClientID: "by itself", Name: "x", RedirectURIs: []string{"https://app.example/"}, Scopes: "push"}
	if err := d.db.SaveApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if err := d.db.SaveToken(t.Context(), &storage.Token{Hash: oauth.Hash("of an app"), AppID: app.ID, Scopes: "push"}); err != nil {
		t.Fatal(err)
	}
	if w := d.ask("of an app", "POST", "/api/v1/push/subscription", strings.NewReader(p.form("https://push.example/3", true).Encode())); w.Code != 422 {
		t.Errorf("an app by itself is answered %d %s", w.Code, w.Body)
	}
}

// TestPushesKeepToWhatIsWanted: alerts, policy, mutes, blocks, filters and threads without news.
func TestPushesKeepToWhatIsWanted(t *testing.T) {
	d := newPushDesk(t, storagetest.New(t))
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p := d.phone(d.by)
	const at = "https://push.example/1"
	d.subscribe(p, at, true, "data[alerts][favourite]", "true")
	d.calls("no alert for it")
	d.brings(0)
	if n := d.owed(); n != 0 {
		t.Errorf("%d pushes are owed that nobody wants", n)
	}
	_, err := d.node.Like(ctx, d.bo, d.post.ID)
	must(err)
	if got := p.read(d.brings(1)[0]); got["title"] != "bo favourited your post" || got["body"] != "Fresh #bread" {
		t.Errorf("the like is told as %v", got)
	}
	// Whose doing it is.
	for _, c := range []struct {
		policy               string
		none, follows, after int
	}{{"followed", 0, 0, 1}, {"follower", 0, 1, 1}, {"none", 0, 0, 0}, {"all", 1, 1, 1}} {
		t.Run(c.policy, func(t *testing.T) {
			d := newPushDesk(t, storagetest.New(t))
			p := d.phone(d.by)
			d.subscribe(p, at, true, mentions, "true", "data[policy]", c.policy)
			d.calls("neither follows the other")
			d.brings(c.none)
			if _, err := d.node.Follow(ctx, d.bo, "@ana@rye.example"); err != nil {
				t.Fatal(err)
			}
			d.calls("he follows her")
			d.brings(c.follows)
			if _, err := d.node.Follow(ctx, d.by, "@bo@rye.example"); err != nil {
				t.Fatal(err)
			}
			d.calls("both do")
			d.brings(c.after)
		})
	}
	// Who only asks to follow does not yet.
	must(d.db.SaveFollow(ctx, &storage.Follow{IRI: "https://rye.example/asked", ActorID: d.bo.Actor.ID, TargetID: d.by.Actor.ID, State: storage.FollowPending}))
	d.subscribe(p, at, true, mentions, "true", "data[policy]", "follower")
	d.calls("may I?")
	d.brings(0)
	// An alert that is taken away between the notification and the push.
	d.subscribe(p, at, true, mentions, "true")
	d.calls("too late")
	d.ask(p.token, "PUT", "/api/v1/push/subscription", strings.NewReader("data[alerts][poll]=true"))
	d.brings(0)
	// What the list of notifications hides.
	d.subscribe(p, at, true, mentions, "true")
	must(d.db.SaveFilter(ctx, &storage.Filter{ActorID: d.by.Actor.ID, Title: "x", Contexts: []string{"notifications"}, Action: "hide", Keywords: []storage.FilterKeyword{{Keyword: "wheat"}}}))
	d.calls("about wheat")
	d.brings(0)
	d.calls("about rye")
	d.brings(1)
	// What was put away meanwhile.
	d.calls("seen already")
	if w := d.ask(d.token(d.by, "write"), "POST", "/api/v1/notifications/clear", nil); w.Code != 200 {
		t.Fatal(w.Body)
	}
	if n := d.owed(); n != 0 {
		t.Errorf("%d pushes are owed of what was cleared", n)
	}
	d.brings(0)
	must(d.db.SaveMute(ctx, &storage.Mute{ActorID: d.by.Actor.ID, TargetID: d.bo.Actor.ID}))
	d.calls("muted")
	d.brings(0)
	must(d.db.DeleteMute(ctx, d.by.Actor.ID, d.bo.Actor.ID))
	d.calls("not muted any more")
	d.brings(1)
}

// TestAPushServiceThatFails: what has gone ends the subscription, what is busy is asked again, later and not for ever.
func TestAPushServiceThatFails(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newPushDesk(t, db)
		p := d.phone(d.by)
		const at = "https://push.example/1"
		there := func() bool { return d.ask(p.token, "GET", "/api/v1/push/subscription", nil).Code == 200 }
		for _, status := range []int{404, 410, 400, 403, 413} {
			d.subscribe(p, at, true, mentions, "true")
			d.service.answers = []reply{{status: status}}
			d.calls(fmt.Sprint("one ", status))
			d.calls(fmt.Sprint("two ", status))
			d.brings(1)
			if there() || d.owed() != 0 {
				t.Errorf("after a %d the subscription is there: %v, and %d are owed", status, there(), d.owed())
			}
		}
		d.subscribe(p, at, true, mentions, "true")
		d.service.answers = []reply{{status: 503}, {status: 302, header: http.Header{"Location": {"https://elsewhere.example/"}}}, {status: 429, header: http.Header{"Retry-After": {"3600"}}}}
		d.calls("again")
		d.brings(1)
		d.brings(0) // not at once
		d.clock = d.clock.Add(time.Minute)
		d.brings(1)
		d.clock = d.clock.Add(5 * time.Minute)
		d.brings(1)
		d.clock = d.clock.Add(50 * time.Minute)
		d.brings(0) // it asked for an hour
		d.clock = d.clock.Add(11 * time.Minute)
		if got := p.read(d.brings(1)[0]); got["body"] != "@ana again" || !there() || d.owed() != 0 {
			t.Errorf("it was told %v, and is subscribed: %v", got, there())
		}
		// Not for ever: neither tries nor time.
		for range 20 {
			d.service.answers = append(d.service.answers, reply{status: 500})
		}
		d.calls("never")
		tries := 0
		for range 40 {
			d.clock = d.clock.Add(2 * time.Hour)
			if err := d.web.DoPushes(t.Context()); err != nil {
				t.Fatal(err)
			}
			tries += len(d.service.took())
		}
		if tries != 8 || d.owed() != 0 || !there() {
			t.Errorf("it was tried %d times, %d are owed", tries, d.owed())
		}
		d.service.answers = nil
		for _, after := range []string{"99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "-5", "soon"} {
			d.service.answers = []reply{{status: 503, header: http.Header{"Retry-After": {after}}}}
			d.calls("after " + after)
			d.brings(1)
			d.clock = d.clock.Add(25 * time.Hour)
			d.brings(1)
		}
		d.calls("too old")
		d.clock = d.clock.Add(49 * time.Hour)
		d.brings(0)
		if n := d.owed(); n != 0 {
			t.Errorf("%d pushes are owed that are old", n)
		}
	})
}

// TestPushesEndWithTheToken: after a revocation, a new password, a suspension or a lost role nothing goes out, also of what was owed before.
func TestPushesEndWithTheToken(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newPushDesk(t, db)
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		app := &storage.App{ClientID: "x", Name: "x", RedirectURIs: []string{"https://app.example/"}, Scopes: "read push"}
		must(db.SaveApp(ctx, app))
		coop, err := d.node.FoundCoop(ctx, d.bo.User, activitypub.NewCoop{Username: "bakery", Title: "Bakery", Place: "Girona"})
		must(err)
		bakery := activitypub.By{User: d.bo.User, Actor: coop}
		for name, c := range map[string]struct {
			as   activitypub.By
			ends func(p *phone)
			gone bool
		}{
			"revoked": {d.by, func(p *phone) { must(db.RevokeToken(ctx, oauth.Hash(p.token), app.ID)) }, true},
			"password": {d.by, func(*phone) {
				u := *d.by.User
				u.PasswordHash = "another " + u.PasswordHash
				must(db.UpdateUser(ctx, &u))
			}, true},
			"role":   {bakery, func(*phone) { must(db.RevokeTokensAs(ctx, d.bo.User.ID, coop.ID)) }, true},
			"hushed": {bakery, func(*phone) { must(d.node.SetStanding(ctx, nil, coop, true, false)) }, false}, // the co-op may come back
			"suspended": {d.by, func(*phone) {
				must(d.node.SetStanding(ctx, nil, d.by.Actor, true, false))
				must(d.node.SetStanding(ctx, nil, d.by.Actor, false, false))
			}, true},
		} {
			p := d.phone(c.as)
			if name == "revoked" { // of an app that is registered
				p.token = p.token + "x"
				must(db.SaveToken(ctx, &storage.Token{Hash: oauth.Hash(p.token), AppID: app.ID, UserID: c.as.User.ID, ActorID: c.as.Actor.ID, Scopes: "read push"}))
			}
			d.subscribe(p, "https://push.example/1", true, "data[alerts][follow]", "true")
			n := &storage.Notification{ActorID: c.as.Actor.ID, Kind: "follow", FromID: d.bo.Actor.ID, OrderID: storage.ID(len(name))}
			if c.as.Actor.ID != d.by.Actor.ID {
				n.FromID = d.by.Actor.ID
			}
			must(db.Notify(ctx, n))
			if d.owed() != 1 {
				t.Fatalf("%s: %d are owed", name, d.owed())
			}
			c.ends(p)
			d.brings(0)
			if n := len(storagetest.Rows(t, db)["push_subscriptions"]); (n == 0) != c.gone || d.owed() != 0 {
				t.Errorf("%s: %d subscriptions are left, %d pushes", name, n, d.owed())
			}
			if name == "hushed" {
				must(d.node.SetStanding(ctx, nil, coop, false, false))
				must(db.RevokeTokensAs(ctx, d.bo.User.ID, coop.ID))
			}
		}
		// A co-op that is deleted takes its subscriptions along.
		p := d.phone(bakery)
		d.subscribe(p, "https://push.example/1", true, "data[alerts][follow]", "true")
		must(d.node.DeleteActor(ctx, bakery))
		if rows := storagetest.Rows(t, db)["push_subscriptions"]; len(rows) != 0 {
			t.Errorf("a deleted co-op is subscribed: %v", rows)
		}
	})
}

// TestACrashLosesNoPush: what was committed is brought out by the next process, also when the one before had claimed it.
func TestACrashLosesNoPush(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newPushDesk(t, db)
		p := d.phone(d.by)
		d.subscribe(p, "https://push.example/1", true, mentions, "true")
		d.calls("one")
		claims, err := db.ClaimPushes(t.Context(), nil, 10, time.Minute) // and dies
		if err != nil || len(claims) != 1 {
			t.Fatalf("%v, %v", claims, err)
		}
		d.brings(0)
		d.clock = d.clock.Add(time.Minute)
		if got := p.read(d.brings(1)[0]); got["body"] != "@ana one" {
			t.Errorf("it is told %v", got)
		}
		// What rolls back is not told.
		err = db.Transaction(t.Context(), func(tx *storage.DB) error {
			if err := tx.Notify(t.Context(), &storage.Notification{ActorID: d.by.Actor.ID, Kind: "mention", FromID: d.bo.Actor.ID}); err != nil {
				return err
			}
			return io.ErrUnexpectedEOF
		})
		if err != io.ErrUnexpectedEOF || d.owed() != 0 {
			t.Errorf("%v, and %d are owed", err, d.owed())
		}
	})
}

// TestAStopGivesPushesBack: the loop ends while a push service is silent, and the next process asks it at once.
func TestAStopGivesPushesBack(t *testing.T) {
	d := newPushDesk(t, storagetest.New(t))
	p := d.phone(d.by)
	d.subscribe(p, "https://push.example/1", true, mentions, "true")
	d.service.stalled = make(chan struct{}, 1)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.web.PushLoop(ctx) }()
	d.calls("one") // and the loop is woken
	<-d.service.stalled
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	d.service.stalled = nil
	claims, err := d.db.ClaimPushes(t.Context(), nil, 1, 0)
	if err != nil || len(claims) != 1 || claims[0].Attempts != 1 {
		t.Fatalf("left are %+v, %v", claims, err)
	}
	if got := p.read(d.brings(1)[0]); got["body"] != "@ana one" {
		t.Errorf("it is told %v", got)
	}
}

// TestPushesAreNotDialledIntoOurNetwork: a name that leads to this machine is not followed, and the subscription ends.
func TestPushesAreNotDialledIntoOurNetwork(t *testing.T) {
	d := newPushDesk(t, storagetest.New(t))
	client, err := activitypub.NewClient(activitypub.ClientConfig{Origin: "https://rye.example", Now: d.db.Now,
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
		Record: func(network, addr string) { t.Errorf("%s %s is dialled", network, addr) }})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	d.node.Client = client
	p := d.phone(d.by)
	d.subscribe(p, "https://rebound.example/1", true, mentions, "true")
	d.calls("inwards")
	d.brings(0)
	if w := d.ask(p.token, "GET", "/api/v1/push/subscription", nil); w.Code != 404 {
		t.Errorf("the subscription answers %d %s", w.Code, w.Body)
	}
}

// TestALongPushIsCut between characters, and fits.
func TestALongPushIsCut(t *testing.T) {
	d := newPushDesk(t, storagetest.New(t))
	p := d.phone(d.by)
	d.bo.Actor.Name = strings.Repeat("🥖", 300)
	if err := d.db.SaveActor(t.Context(), d.bo.Actor); err != nil {
		t.Fatal(err)
	}
	for _, standard := range []bool{true, false} {
		d.subscribe(p, "https://push.example/1", standard, mentions, "true")
		d.calls(strings.Repeat("🍞", 4000))
		got := p.read(d.brings(1)[0])
		body, title := got["body"].(string), got["title"].(string)
		if utf8.RuneCountInString(body) != 140 || !strings.HasSuffix(body, "🍞…") || utf8.RuneCountInString(title) != 100 || !strings.HasSuffix(title, "🥖…") {
			t.Errorf("it was cut to %q and %q", title, body)
		}
	}
}

// TestAVapidKeyIsForEver: copies of a node that start at once have one, and after a restart it is the same.
func TestAVapidKeyIsForEver(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		var keys [4]string
		var copies [4]*storage.DB
		newDeskOn(t, db) // founds the node
		storagetest.Exec(t, db, "DELETE FROM settings WHERE key = 'vapid_key'")
		for i := range copies {
			copies[i] = storagetest.Again(t, db)
		}
		var all sync.WaitGroup
		for i := range keys {
			all.Go(func() {
				n, err := activitypub.New(t.Context(), activitypub.Config{Origin: "https://rye.example", DB: copies[i]})
				if err != nil {
					t.Error(err)
					return
				}
				keys[i] = n.VapidKey()
			})
		}
		all.Wait()
		raw, err := b64.DecodeString(keys[0])
		if err != nil || len(raw) != 65 || raw[0] != 4 || keys[1] != keys[0] || keys[2] != keys[0] || keys[3] != keys[0] {
			t.Fatalf("the keys are %v, %v", keys, err)
		}
		node, err := activitypub.New(t.Context(), activitypub.Config{Origin: "https://rye.example", DB: db})
		if err != nil || node.VapidKey() != keys[0] {
			t.Errorf("after a restart it is another: %v", err)
		}
	})
}

// TestAPaymentReachesAPhone as a mention: it is what apps know.
func TestAPaymentReachesAPhone(t *testing.T) {
	d := newPushDesk(t, storagetest.New(t))
	coop, err := d.node.FoundCoop(t.Context(), d.bo.User, activitypub.NewCoop{Username: "bakery", Title: "The Bakery"})
	if err != nil {
		t.Fatal(err)
	}
	baker := activitypub.By{User: d.bo.User, Actor: coop}
	c, err := d.node.FoundCurrency(t.Context(), baker, activitypub.NewCurrency{Code: "GRN", Kind: ledger.Mutual, CreditLimit: "10"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.node.OpenAccount(t.Context(), baker, c, d.by.Actor); err != nil {
		t.Fatal(err)
	}
	p, deaf := d.phone(d.by), d.phone(d.by)
	d.subscribe(p, "https://push.example/p", true, mentions, "true")
	d.subscribe(deaf, "https://push.example/deaf", true, "data[alerts][follow]", "true")
	if _, err := d.node.Pay(t.Context(), baker, activitypub.PayOrder{Currency: activitypub.MoneyHere(c), To: d.by.Actor, Amount: "3", Memo: "a bag"}); err != nil {
		t.Fatal(err)
	}
	got := p.read(d.brings(1)[0])
	if got["notification_type"] != "mention" || !strings.HasPrefix(got["body"].(string), "bakery@rye.example has paid you 3.00 GRN for “a bag”.") {
		t.Errorf("got %v", got)
	}
}
