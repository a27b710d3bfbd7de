package activitypub

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"planet/storage"
)

// ForgetRefusals lets the minutes pass in which nobody is asked again for a key: they are counted by the real clock.
func (n *Node) ForgetRefusals() { n.keys.refused.InvalidateAll() }

// Remembers lets n hosts fail, send and be asked for keys, and is how many of them the node holds in memory at most.
func (n *Node) Remembers(hosts int) int {
	for i := range hosts {
		host := fmt.Sprintf("h%d.example", i)
		for range breakerFailures {
			n.hostFailed(&storage.Host{Host: host, Failures: breakerFailures}, n.Now())
		}
		n.inboxes.take(host, n.Now())
		n.unknown.take(host, n.Now())
		n.count("unknown." + host)
		id := storage.IRI("https://" + host + "/key")
		n.keys.refused.Set(id, refusal{nil, keyRefusal})
		n.keys.verified.Set(id, ownedKey{nil, &storage.Actor{IRI: id}})
	}
	n.inboxes.hosts.CleanUp()
	n.unknown.hosts.CleanUp()
	n.keys.refused.CleanUp()
	n.keys.verified.CleanUp()
	return max(len(n.down), len(n.counts), n.inboxes.hosts.EstimatedSize(), n.unknown.hosts.EstimatedSize(), n.keys.refused.EstimatedSize(), n.keys.verified.EstimatedSize())
}

// SignProof lets the tests of other packages' nodes sign what a node would not say.
func SignProof(doc []byte, method, private string, at time.Time) ([]byte, error) {
	key, err := parsePrivateKey(private)
	if err != nil {
		return nil, err
	}
	return signProof(doc, method, key.(ed25519.PrivateKey), at)
}

const annsKey = "https://far.example/users/ann#main-key"

var (
	signedAt = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	rye      = verifyContext{Origin: "https://rye.example", Now: signedAt}
)

// pooledKeys are a pair of the pool that aptest keeps; this package cannot import it.
func pooledKeys(t testing.TB, i int) (*rsa.PrivateKey, ed25519.PrivateKey) {
	t.Helper()
	raw, err := os.ReadFile("aptest/testdata/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var pool []struct{ RSAPrivate, EdPrivate string }
	if err := json.Unmarshal(raw, &pool); err != nil || len(pool) <= i {
		t.Fatal(len(pool), err)
	}
	r, err := parsePrivateKey(pool[i].RSAPrivate)
	if err != nil {
		t.Fatal(err)
	}
	e, err := parsePrivateKey(pool[i].EdPrivate)
	if err != nil {
		t.Fatal(err)
	}
	return r.(*rsa.PrivateKey), e.(ed25519.PrivateKey)
}

// outgoing is a request of ours to a peer, before it is signed. A nil body makes it a GET.
func outgoing(t testing.TB, address string, body []byte) *http.Request {
	t.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", activityJSON)
	}
	return r
}

// arrived is the same request as net/http hands it to a handler.
func arrived(out *http.Request) *http.Request {
	in := httptest.NewRequest(out.Method, out.URL.RequestURI(), nil)
	in.Header, in.Host, in.ContentLength = out.Header.Clone(), out.URL.Host, out.ContentLength
	return in
}

// verified reads a request's signature and holds it against a key.
func verified(r *http.Request, body []byte, c verifyContext, key crypto.PublicKey) error {
	sig, err := parseSignature(r, body, c)
	if err != nil {
		return err
	}
	return sig.verify(key)
}

func TestACavageSignatureOfOursHolds(t *testing.T) {
	r, e := pooledKeys(t, 0)
	body := []byte(`{"type":"Follow"}`)
	for _, key := range []crypto.Signer{r, e} {
		for _, c := range []struct {
			name, path string
			body       []byte
		}{
			{"a POST to an inbox", "/inbox", body},
			{"a POST of nothing", "/inbox", []byte{}},
			{"a POST with a query", "/inbox?a=1&b=%20", body},
			{"a POST to a path with an escaped slash", "/users/a%2Fb/inbox", body},
			{"a POST to a path outside ASCII", "/users/%C3%A9/inbox", body},
			{"a GET", "/users/ann", nil},
			{"a GET with a query", "/users/ann/followers?page=2&x=a+b", nil},
			{"a GET of a path with escapes", "/users/a%2Fb%20c?q=%2F", nil},
			{"a GET of the root", "", nil},
		} {
			t.Run(fmt.Sprintf("%s, %T", c.name, key), func(t *testing.T) {
				out := outgoing(t, "https://rye.example"+c.path, c.body)
				if err := signCavage(out, c.body, annsKey, key, signedAt); err != nil {
					t.Fatal(err)
				}
				if out.Header.Get("Host") != "" {
					t.Error("the Host header is still set: net/http sends its own")
				}
				sig, err := parseSignature(arrived(out), c.body, rye)
				if err != nil {
					t.Fatal(err)
				}
				if sig.KeyID != annsKey || sig.Scheme != schemeCavage {
					t.Errorf("read as %s by %s", sig.Scheme, sig.KeyID)
				}
				if err := sig.verify(key.Public()); err != nil {
					t.Error(err)
				}
				otherRSA, otherEd := pooledKeys(t, 1)
				for _, other := range []crypto.PublicKey{otherRSA.Public(), otherEd.Public(), nil, "a string", []byte("secret")} {
					if sig.verify(other) == nil {
						t.Errorf("it holds with another key, %T", other)
					}
				}
			})
		}
	}
}

func TestACavageSignatureIsOfOneRequestOnly(t *testing.T) {
	_, key := pooledKeys(t, 0)
	body := []byte(`{"type":"Follow"}`)
	for _, c := range []struct {
		name   string
		get    bool
		path   string
		change func(r *http.Request) *http.Request
	}{
		{"SIG010 sent to another inbox", false, "/users/a/inbox", retarget("POST", "/users/b/inbox")},
		{"SIG013 sent with another method", false, "/inbox", retarget("PUT", "/inbox")},
		{"SIG014 an escaped slash becomes a slash", false, "/users/a%2Fb/inbox", retarget("POST", "/users/a/b/inbox")},
		{"SIG014 a slash becomes an escaped slash", false, "/users/a/b/inbox", retarget("POST", "/users/a%2Fb/inbox")},
		{"SIG015 a query is added to a POST", false, "/inbox", retarget("POST", "/inbox?x=1")},
		{"a query is taken from a POST", false, "/inbox?x=1", retarget("POST", "/inbox")},
		{"a query of a GET is changed", true, "/users/a?page=1", retarget("GET", "/users/a?page=2")},
		{"a GET is sent to another path", true, "/users/a?page=1", retarget("GET", "/users/b?page=1")},
		{"the date is changed", false, "/inbox", func(r *http.Request) *http.Request {
			r.Header.Set("Date", signedAt.Add(time.Second).Format(http.TimeFormat))
			return r
		}},
		{"the media type is changed", false, "/inbox", func(r *http.Request) *http.Request {
			r.Header.Set("Content-Type", "application/ld+json")
			return r
		}},
		{"a second media type is added", false, "/inbox", func(r *http.Request) *http.Request {
			r.Header.Add("Content-Type", "text/html")
			return r
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := body
			if c.get {
				body = nil
			}
			out := outgoing(t, "https://rye.example"+c.path, body)
			if err := signCavage(out, body, annsKey, key, signedAt); err != nil {
				t.Fatal(err)
			}
			if err := verified(arrived(out), body, rye, key.Public()); err != nil {
				t.Fatalf("unchanged: %v", err)
			}
			if verified(c.change(arrived(out)), body, rye, key.Public()) == nil {
				t.Error("it still holds")
			}
		})
	}
}

func retarget(method, target string) func(*http.Request) *http.Request {
	return func(r *http.Request) *http.Request {
		in := httptest.NewRequest(method, target, nil)
		in.Header, in.Host = r.Header, r.Host
		return in
	}
}

func TestAnOldMastodonLeavesTheQueryOutOfAGet(t *testing.T) {
	_, key := pooledKeys(t, 0)
	out := outgoing(t, "https://rye.example/users/a/followers", nil)
	if err := signCavage(out, nil, annsKey, key, signedAt); err != nil {
		t.Fatal(err)
	}
	if err := verified(retarget("GET", "/users/a/followers?page=1")(arrived(out)), nil, rye, key.Public()); err != nil {
		t.Error(err)
	}
}

// by signs lines of the test's own, as a peer would that is not bound by our rules.
func by(key ed25519.PrivateKey, lines ...string) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(strings.Join(lines, "\n"))))
}

func TestCavageHeaders(t *testing.T) {
	_, key := pooledKeys(t, 0)
	body := []byte(`{"type":"Follow"}`)
	sum, sum512 := sha256.Sum256(body), sha512.Sum512(body)
	right, right512 := base64.StdEncoding.EncodeToString(sum[:]), base64.StdEncoding.EncodeToString(sum512[:])
	wrong := base64.StdEncoding.EncodeToString(make([]byte, 32))
	wrong512 := base64.StdEncoding.EncodeToString(make([]byte, 64))
	date := signedAt.Format(http.TimeFormat)
	const target, host = "(request-target): post /inbox", "host: rye.example"

	// usual is the header that everybody sends, over the Date and Digest given.
	usual := func(date, digest string) string {
		return fmt.Sprintf(`keyId="%s",algorithm="hs2019",headers="(request-target) host date digest",signature="%s"`, annsKey,
			by(key, target, host, "date: "+date, "digest: "+digest))
	}
	whole := usual(date, "SHA-256="+right)
	sig := whole[strings.LastIndex(whole, `signature="`)+len(`signature="`) : len(whole)-1]
	now := time.Now() // httpsig asks the real clock about (created) and (expires)
	unix := func(d time.Duration) int64 { return now.Add(d).Unix() }
	timed := func(params string, covered string, lines ...string) string {
		return fmt.Sprintf(`keyId="%s",%sheaders="(request-target) host digest %s",signature="%s"`, annsKey, params, covered,
			by(key, append([]string{target, host, "digest: SHA-256=" + right}, lines...)...))
	}

	for _, c := range []struct {
		name      string
		want      int // 0: it holds
		signature string
		date      string // "" for signedAt
		digest    string // "" for the right one; "-" for none
		now       time.Time
		change    func(r *http.Request)
	}{
		{name: "as everybody sends it", signature: whole},
		{name: "with spaces after the commas", signature: strings.ReplaceAll(whole, `",`, `", `)},
		{name: "with spaces all around", signature: "  " + strings.ReplaceAll(whole, `",`, `"  ,  `) + "  "},
		{name: "with the scheme before it", signature: "Signature " + whole},
		{name: "in another order", signature: fmt.Sprintf(`signature="%s",headers="(request-target) host date digest",keyId="%s"`, sig, annsKey)},
		{name: "with names of headers in capitals", signature: strings.Replace(whole, "host date digest", "Host Date Digest", 1)},
		{name: "with an algorithm that is not the key's: the key decides", signature: strings.Replace(whole, "hs2019", "rsa-sha256", 1)},
		{name: "with a parameter that nobody knows", signature: whole + `,ext="1"`},
		{name: "SIG022 the algorithm none is not asked", want: 401, signature: strings.Replace(strings.Replace(whole, "hs2019", "none", 1), sig, "", 1)},

		{name: "SIG001 no header", want: 401, change: func(r *http.Request) { r.Header.Del("Signature") }},
		{name: "an empty header", want: 401, signature: " "},
		{name: "SIG002 headers cover the date alone", want: 401, signature: fmt.Sprintf(`keyId="%s",headers="date",signature="%s"`, annsKey, by(key, "date: "+date))},
		{name: "SIG003 headers are not named", want: 401, signature: fmt.Sprintf(`keyId="%s",signature="%s"`, annsKey, by(key, "date: "+date))},
		{name: "SIG003 headers are empty", want: 401, signature: fmt.Sprintf(`keyId="%s",headers="",signature="%s"`, annsKey, by(key, "date: "+date))},
		{name: "the target is not covered", want: 401, signature: fmt.Sprintf(`keyId="%s",headers="host date digest",signature="%s"`, annsKey, by(key, host, "date: "+date, "digest: SHA-256="+right))},
		{name: "the host is not covered", want: 401, signature: fmt.Sprintf(`keyId="%s",headers="(request-target) date digest",signature="%s"`, annsKey, by(key, target, "date: "+date, "digest: SHA-256="+right))},
		{name: "SIG005 the digest is not covered", want: 401, signature: fmt.Sprintf(`keyId="%s",headers="(request-target) host date",signature="%s"`, annsKey, by(key, target, host, "date: "+date))},
		{name: "SIG008 no time is covered", want: 401, signature: fmt.Sprintf(`keyId="%s",headers="(request-target) host digest",signature="%s"`, annsKey, by(key, target, host, "digest: SHA-256="+right))},
		{name: "a header is covered twice", want: 401, signature: strings.Replace(whole, "host date", "host host date", 1)},
		{name: "a header is covered that is not there", want: 401, signature: strings.Replace(whole, "date digest", "date digest x-none", 1)},
		{name: "a made-up part is covered", want: 401, signature: strings.Replace(whole, "date digest", "date digest (request-body)", 1)},
		{name: "SIG002 the signature brings a second list of headers", want: 401,
			signature: fmt.Sprintf(`keyId="%s",headers="(request-target) host date digest",signature="%s,headers=date"`, annsKey, by(key, "date: "+date))},
		{name: "SIG002 the signature brings a second list of headers, without quotes", want: 400,
			signature: fmt.Sprintf(`headers="(request-target) host date digest",keyId="%s",signature=%s,headers=date`, annsKey, by(key, "date: "+date))},
		{name: "SIG002 the list of headers hides a second one", want: 401,
			signature: fmt.Sprintf(`keyId="%s",headers="(request-target) host date digest (x,headers=date",signature="%s"`, annsKey, by(key, "date: "+date))},
		{name: "SIG002 the keyId brings a second list of headers", want: 401,
			signature: fmt.Sprintf(`keyId="%s,headers=date",headers="(request-target) host date digest",signature="%s"`, annsKey, by(key, "date: "+date))},

		{name: "SIG006 no digest", want: 401, digest: "-", signature: whole},
		{name: "SIG006 an MD5 digest", want: 401, digest: "MD5=1B2M2Y8AsgTpgAmY7PhCfg==", signature: usual(date, "MD5=1B2M2Y8AsgTpgAmY7PhCfg==")},
		{name: "SIG006 a digest of no known kind", want: 401, digest: "XXH=AAAA", signature: usual(date, "XXH=AAAA")},
		{name: "SIG006 a digest that is not base64", want: 401, digest: "SHA-256=?", signature: usual(date, "SHA-256=?")},
		{name: "SIG006 an empty digest", want: 401, digest: "SHA-256=", signature: usual(date, "SHA-256=")},
		{name: "SIG004 the digest is of another body", want: 401, digest: "SHA-256=" + wrong, signature: usual(date, "SHA-256="+wrong)},
		{name: "SIG007 a right digest and a wrong one", want: 401, digest: "SHA-256=" + right + ",SHA-512=" + wrong512, signature: usual(date, "SHA-256="+right+",SHA-512="+wrong512)},
		{name: "SIG007 a wrong digest and a right one", want: 401, digest: "SHA-256=" + wrong + ",SHA-256=" + right, signature: usual(date, "SHA-256="+wrong+",SHA-256="+right)},
		{name: "two right digests", digest: "SHA-256=" + right + ", SHA-512=" + right512, signature: usual(date, "SHA-256="+right+", SHA-512="+right512)},
		{name: "a digest of SHA-512 alone", digest: "SHA-512=" + right512, signature: usual(date, "SHA-512="+right512)},
		{name: "a digest in small letters", digest: "sha-256=" + right, signature: usual(date, "sha-256="+right)},

		{name: "a clock that is 59 minutes behind", date: date, now: signedAt.Add(59 * time.Minute), signature: whole},
		{name: "a clock that is 59 minutes ahead", date: date, now: signedAt.Add(-59 * time.Minute), signature: whole},
		{name: "SIG008 61 minutes old", want: 401, now: signedAt.Add(61 * time.Minute), signature: whole},
		{name: "SIG008 13 hours old", want: 401, now: signedAt.Add(13 * time.Hour), signature: whole},
		{name: "SIG008 two hours ahead", want: 401, now: signedAt.Add(-2 * time.Hour), signature: whole},
		{name: "SIG008 the Date cannot be read", want: 401, date: "yesterday", signature: usual("yesterday", "SHA-256="+right)},
		{name: "SIG008 two Dates", want: 401, signature: usual(date+", "+date, "SHA-256="+right), change: func(r *http.Request) { r.Header.Add("Date", date) }},

		{name: "(created) in the place of a Date", now: now, signature: timed(fmt.Sprintf("created=%d,", unix(0)), "(created)", fmt.Sprintf("(created): %d", unix(0)))},
		{name: "(created) in quotes", now: now, signature: timed(fmt.Sprintf(`created="%d",`, unix(0)), "(created)", fmt.Sprintf("(created): %d", unix(0)))},
		{name: "(created) two hours ago", want: 401, now: now, signature: timed(fmt.Sprintf("created=%d,", unix(-2*time.Hour)), "(created)", fmt.Sprintf("(created): %d", unix(-2*time.Hour)))},
		{name: "(created) two hours ago, and expires in one", now: now,
			signature: timed(fmt.Sprintf("created=%d,expires=%d,", unix(-2*time.Hour), unix(time.Hour)), "(created) (expires)", fmt.Sprintf("(created): %d", unix(-2*time.Hour)), fmt.Sprintf("(expires): %d", unix(time.Hour)))},
		{name: "(created) 13 hours ago, and expires in one", want: 401, now: now,
			signature: timed(fmt.Sprintf("created=%d,expires=%d,", unix(-13*time.Hour), unix(time.Hour)), "(created) (expires)", fmt.Sprintf("(created): %d", unix(-13*time.Hour)), fmt.Sprintf("(expires): %d", unix(time.Hour)))},
		{name: "SIG040 (created) one hour ahead", want: 401, now: now, signature: timed(fmt.Sprintf("created=%d,", unix(time.Hour)), "(created)", fmt.Sprintf("(created): %d", unix(time.Hour)))},
		{name: "SIG040 (expires) is past", want: 401, now: now,
			signature: timed(fmt.Sprintf("created=%d,expires=%d,", unix(-time.Minute), unix(-time.Second)), "(created) (expires)", fmt.Sprintf("(created): %d", unix(-time.Minute)), fmt.Sprintf("(expires): %d", unix(-time.Second)))},
		{name: "SIG040 expires is given and not signed", want: 401, signature: strings.Replace(whole, ",algorithm", fmt.Sprintf(",expires=%d,algorithm", unix(time.Hour)), 1)},
		{name: "SIG040 created is given and not signed", want: 401, signature: strings.Replace(whole, ",algorithm", fmt.Sprintf(",created=%d,algorithm", unix(0)), 1)},
		{name: "SIG040 (created) is signed and not given", want: 401, now: now, signature: timed("", "(created)", "(created): 0")},
		{name: "SIG040 (created) is no number", want: 401, now: now, signature: timed("created=soon,", "(created)", "(created): soon")},

		{name: "SIG016 keyId twice", want: 400, signature: `keyId="https://victim.example/users/v#main-key",` + whole},
		{name: "SIG016 signature twice", want: 400, signature: whole + `,signature="` + sig + `"`},
		{name: "SIG016 two Signature headers", want: 401, signature: whole, change: func(r *http.Request) { r.Header.Add("Signature", whole) }},
		{name: "SIG017 in Authorization too", want: 401, signature: whole, change: func(r *http.Request) { r.Header.Set("Authorization", "Signature "+whole) }},
		{name: "SIG017 in Authorization alone", want: 401, change: func(r *http.Request) {
			r.Header.Del("Signature")
			r.Header.Set("Authorization", "Signature "+whole)
		}},
		{name: "a quote is not closed", want: 400, signature: strings.TrimSuffix(whole, `"`)},
		{name: "something follows a quote", want: 400, signature: whole + `x`},
		{name: "a parameter has no value", want: 400, signature: whole + `,x`},
		{name: "the signature is not base64", want: 401, signature: strings.Replace(whole, sig, "###", 1)},
		{name: "SIG019 the keyId is a file", want: 401, signature: strings.Replace(whole, annsKey, "file:///etc/passwd", 1)},
		{name: "SIG019 the keyId is a script", want: 401, signature: strings.Replace(whole, annsKey, "javascript:1", 1)},
		{name: "SIG019 the keyId is a handle", want: 401, signature: strings.Replace(whole, annsKey, "acct:ann@far.example", 1)},
		{name: "SIG019 the keyId is data", want: 401, signature: strings.Replace(whole, annsKey, "data:application/json;base64;e30=", 1)},
		{name: "SIG019 the keyId names a user and a password", want: 401, signature: strings.Replace(whole, annsKey, "https://a:b@far.example/k", 1)},
		{name: "SIG020 the keyId is empty", want: 401, signature: strings.Replace(whole, annsKey, "", 1)},
		{name: "SIG020 the keyId is a word", want: 401, signature: strings.Replace(whole, annsKey, "main-key", 1)},
		{name: "SIG020 the keyId is a path", want: 401, signature: strings.Replace(whole, annsKey, "/users/ann#main-key", 1)},
		{name: "SIG020 the keyId is long", want: 401, signature: strings.Replace(whole, annsKey, "https://far.example/"+strings.Repeat("k", 2100), 1)},
		{name: "SIG020 the keyId is 64 kB long", want: 401, signature: strings.Replace(whole, annsKey, "https://far.example/"+strings.Repeat("k", 64<<10), 1)},
		{name: "SIG011 for another host", want: 401, signature: strings.Replace(whole, sig, by(key, target, "host: other.example", "date: "+date, "digest: SHA-256="+right), 1), change: func(r *http.Request) { r.Host = "other.example" }},
		{name: "SIG011 signed for another host, and sent to ours", want: 401, signature: strings.Replace(whole, sig, by(key, target, "host: other.example", "date: "+date, "digest: SHA-256="+right), 1)},
		{name: "our host in capitals", signature: strings.Replace(whole, sig, by(key, target, "host: RYE.example", "date: "+date, "digest: SHA-256="+right), 1), change: func(r *http.Request) { r.Host = "RYE.example" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/inbox", nil)
			r.Host = "rye.example"
			r.Header.Set("Signature", c.signature)
			r.Header.Set("Date", date)
			r.Header.Set("Digest", "SHA-256="+right)
			if c.date != "" {
				r.Header.Set("Date", c.date)
			}
			if c.digest != "" {
				r.Header.Set("Digest", c.digest)
			}
			if c.digest == "-" {
				r.Header.Del("Digest")
			}
			if c.change != nil {
				c.change(r)
			}
			at := rye
			if !c.now.IsZero() {
				at.Now = c.now
			}
			err := verified(r, body, at, key.Public())
			if got := statusOf(err); got != c.want {
				t.Errorf("%d %v, want %d", got, err, c.want)
			}
		})
	}
}

// statusOf is what a request is answered with: 0 when its signature holds, 401 also when the key does not fit.
func statusOf(err error) int {
	var s *signatureError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &s):
		return s.Status
	}
	return http.StatusUnauthorized
}

// FuzzSignatureHeader looks for a header that is taken although its key never signed that request. The weak key has
// signed parts of it only, so that nothing may hold with it; what holds with the honest one must hold for no other target and no
// other body.
func FuzzSignatureHeader(f *testing.F) {
	_, weak := pooledKeys(f, 0)
	_, honest := pooledKeys(f, 1)
	body, other := []byte(`{"type":"Follow"}`), []byte(`{"type":"Undo"}`)
	sum := sha256.Sum256(body)
	digest := base64.StdEncoding.EncodeToString(sum[:])
	date := signedAt.Format(http.TimeFormat)
	request := func(method, target, signature, input string) *http.Request {
		r := httptest.NewRequest(method, target, nil)
		r.Host = "rye.example"
		r.Header.Set("Date", date)
		r.Header.Set("Content-Type", activityJSON)
		r.Header.Set("Digest", "SHA-256="+digest)
		r.Header.Set("Content-Digest", "sha-256=:"+digest+":")
		r.Header.Set("Signature", signature)
		if input != "" {
			r.Header.Set("Signature-Input", input)
		}
		return r
	}
	for _, key := range []ed25519.PrivateKey{weak, honest} {
		f.Add(fmt.Sprintf(`keyId="%s",headers="date",signature="%s"`, annsKey, by(key, "date: "+date)), "", false)
		f.Add(fmt.Sprintf(`keyId="%s",headers="(request-target) host date digest",signature="%s,headers=date"`, annsKey, by(key, "date: "+date)), "", false)
		f.Add(fmt.Sprintf(`keyId="%s",headers="(request-target) host date digest (x,headers=date",signature="%s"`, annsKey, by(key, "date: "+date)), "", false)
		f.Add(fmt.Sprintf(`keyId="%s",headers="host date digest",signature="%s"`, annsKey, by(key, "host: rye.example", "date: "+date, "digest: SHA-256="+digest)), "", false)
		f.Add(fmt.Sprintf(`keyId="%s",headers="(request-target) host date",signature="%s"`, annsKey, by(key, "(request-target): post /inbox", "host: rye.example", "date: "+date)), "", false)
		for _, covered := range []string{`("@method")`, `("@target-uri" "content-digest")`, `("@method" "@target-uri")`, `()`} {
			params := fmt.Sprintf(`%s;created=%d;keyid="%s"`, covered, signedAt.Unix(), annsKey)
			lines := []string{`"@method": POST`, `"@target-uri": https://rye.example/inbox`, `"content-digest": sha-256=:` + digest + ":"}
			var base []string
			for _, line := range lines {
				if name, _, _ := strings.Cut(line, ":"); strings.Contains(covered, name) {
					base = append(base, line)
				}
			}
			f.Add("s=:"+by(key, append(base, `"@signature-params": `+params)...)+":", "s="+params, false)
		}
	}
	for _, get := range []bool{false, true} {
		b := body
		if get {
			b = nil
		}
		r := outgoing(f, "https://rye.example/inbox", b)
		if err := signCavage(r, b, annsKey, honest, signedAt); err != nil {
			f.Fatal(err)
		}
		f.Add(r.Header.Get("Signature"), "", get)
		if err := signRFC9421(r, b, annsKey, honest, signedAt); err != nil {
			f.Fatal(err)
		}
		f.Add(r.Header.Get("Signature"), r.Header.Get("Signature-Input"), get)
	}
	f.Fuzz(func(t *testing.T, signature, input string, get bool) {
		method, b := "POST", body
		if get {
			method, b = "GET", nil
		}
		sig, err := parseSignature(request(method, "/inbox", signature, input), b, rye)
		if err != nil {
			return
		}
		if err := checkKeyID(sig.KeyID); err != nil {
			t.Errorf("taken with the keyId %q", sig.KeyID)
		}
		if !get && sig.verify(weak.Public()) == nil {
			t.Error("a signature holds that was made for less than the request")
		}
		if sig.verify(honest.Public()) != nil {
			return
		}
		if verified(request(method, "/users/a/inbox", signature, input), b, rye, honest.Public()) == nil {
			t.Error("it holds for another target")
		}
		if !get && verified(request(method, "/inbox", signature, input), other, rye, honest.Public()) == nil {
			t.Error("it holds for another body")
		}
		elsewhere := request(method, "/inbox", signature, input)
		elsewhere.Host = "oak.example"
		if verified(elsewhere, b, verifyContext{"https://oak.example", signedAt}, honest.Public()) == nil {
			t.Error("it holds for another host")
		}
	})
}
