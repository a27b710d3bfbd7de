package activitypub

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

// The keys of RFC 9421 appendix B.1: test-key-rsa-pss (B.1.2), test-key-ed25519 (B.1.4) and test-shared-secret (B.1.5).
const (
	rfcPSS = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----
`
	rfcEd25519 = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
`
	rfcEd25519Private = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
`
	rfcSecret = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
)

// rfcRequest is test-request of appendix B.2.
func rfcRequest() *http.Request {
	r := httptest.NewRequest("POST", "/foo?param=Value&Pet=dog", nil)
	r.Host, r.ContentLength = "example.com", 18
	r.Header.Set("Date", "Tue, 20 Apr 2021 02:07:55 GMT")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Digest", "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:")
	return r
}

var rfcBody = []byte(`{"hello": "world"}`)

// innerList reads the value of a label in a Signature-Input header.
func innerList(t *testing.T, value string) httpsfv.InnerList {
	t.Helper()
	d, err := httpsfv.UnmarshalDictionary([]string{"sig=" + value})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := d.Get("sig")
	return m.(httpsfv.InnerList)
}

func publicKey(t *testing.T, text string) crypto.PublicKey {
	t.Helper()
	k, err := parsePublicKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestTheVectorsOfRFC9421 holds base and signature against appendix B.2. Their keyids are words and their components
// are fewer than a node asks for, so that parseSignature refuses each of them as a whole.
func TestTheVectorsOfRFC9421(t *testing.T) {
	for _, c := range []struct {
		name, input, base, signature, key, algorithm string
	}{
		{
			name:      "B.2.1: minimal signature using rsa-pss-sha512",
			input:     `();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"`,
			base:      `"@signature-params": ();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"`,
			signature: "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==",
			key:       rfcPSS, algorithm: "rsa-pss-sha512",
		},
		{
			name:  "B.2.3: full coverage using rsa-pss-sha512",
			input: `("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss"`,
			base: `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@query": ?param=Value&Pet=dog
"@authority": example.com
"content-type": application/json
"content-digest": sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss"`,
			signature: "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
			key:       rfcPSS, algorithm: "rsa-pss-sha512",
		},
		{
			name:  "B.2.6: a request using ed25519",
			input: `("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			base: `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			signature: "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
			key:       rfcEd25519,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			base, _, err := signatureBase(rfcRequest(), innerList(t, c.input), "https://example.com")
			if err != nil {
				t.Fatal(err)
			}
			if base != c.base {
				t.Errorf("the base is\n%s\nwant\n%s", base, c.base)
			}
			sig, err := base64.StdEncoding.DecodeString(c.signature)
			if err != nil {
				t.Fatal(err)
			}
			key := publicKey(t, c.key)
			if err := verifyBase(base, sig, key, c.algorithm); err != nil {
				t.Error(err)
			}
			if verifyBase(strings.Replace(base, "1618884473", "1618884474", 1), sig, key, c.algorithm) == nil {
				t.Error("it holds for another time")
			}
			if verifyBase(base, sig, key, "rsa-v1_5-sha256") == nil || verifyBase(base, sig, key, "hmac-sha256") == nil {
				t.Error("it holds by another algorithm")
			}
			r := rfcRequest()
			r.Header.Set("Signature-Input", "sig="+c.input)
			r.Header.Set("Signature", "sig=:"+c.signature+":")
			if _, err := parseSignature(r, rfcBody, verifyContext{"https://example.com", time.Unix(1618884473, 0)}); err == nil {
				t.Error("a node takes it, whose keyid is not an address")
			}
		})
	}
	t.Run("B.2.2: selective components, one with a parameter, are refused", func(t *testing.T) {
		if base, _, err := signatureBase(rfcRequest(), innerList(t, `("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example"`), "https://example.com"); err == nil {
			t.Errorf("the base is\n%s", base)
		}
	})
	t.Run("no parameter of a component is passed over", func(t *testing.T) {
		for _, list := range []string{`("date";bs)`, `("date";sf)`, `("@method";req)`, `("content-digest";key="sha-512")`, `("date";tr)`} {
			if base, _, err := signatureBase(rfcRequest(), innerList(t, list), "https://example.com"); err == nil {
				t.Errorf("the base of %s is\n%s", list, base)
			}
		}
	})
	t.Run("B.2.5: hmac-sha256 goes with no public key", func(t *testing.T) {
		base, _, err := signatureBase(rfcRequest(), innerList(t, `("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`), "https://example.com")
		if err != nil {
			t.Fatal(err)
		}
		secret, _ := base64.StdEncoding.DecodeString(rfcSecret)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(base))
		sig := mac.Sum(nil)
		if got, want := base64.StdEncoding.EncodeToString(sig), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="; got != want {
			t.Fatalf("the base gives %s, want %s", got, want)
		}
		for _, key := range []crypto.PublicKey{secret, publicKey(t, rfcPSS), publicKey(t, rfcEd25519)} {
			if verifyBase(base, sig, key, "hmac-sha256") == nil || verifyBase(base, sig, key, "") == nil {
				t.Errorf("it holds with a %T", key)
			}
		}
	})
	t.Run("B.2.6: signed again, it is the same", func(t *testing.T) {
		key, err := parsePrivateKey(rfcEd25519Private)
		if err != nil {
			t.Fatal(err)
		}
		r := rfcRequest()
		list := innerList(t, `("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`)
		if err := signList(r, list, "sig-b26", key, "https://example.com"); err != nil {
			t.Fatal(err)
		}
		if got, want := r.Header.Get("Signature"), "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got, want := r.Header.Get("Signature-Input"), `sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	t.Run("B.2: the Content-Digest is that of the body", func(t *testing.T) {
		if err := checkContentDigest(rfcRequest().Header.Values("Content-Digest"), rfcBody); err != nil {
			t.Error(err)
		}
	})
}

func TestAnRFC9421SignatureOfOursHolds(t *testing.T) {
	r, e := pooledKeys(t, 0)
	otherRSA, otherEd := pooledKeys(t, 1)
	body := []byte(`{"type":"Follow"}`)
	for _, key := range []crypto.Signer{r, e} {
		for _, c := range []struct {
			name, path string
			body       []byte
		}{
			{"a POST to an inbox", "/inbox", body},
			{"a POST of nothing", "/inbox", []byte{}},
			{"a POST with a query and escapes", "/users/a%2Fb/inbox?a=1&b=%20", body},
			{"a GET with a query", "/users/ann/followers?page=2&x=a+b", nil},
			{"a GET of the root", "", nil},
		} {
			t.Run(fmt.Sprintf("%s, %T", c.name, key), func(t *testing.T) {
				out := outgoing(t, "https://rye.example"+c.path, c.body)
				if err := signRFC9421(out, c.body, annsKey, key, signedAt); err != nil {
					t.Fatal(err)
				}
				sig, err := parseSignature(arrived(out), c.body, rye)
				if err != nil {
					t.Fatal(err)
				}
				if sig.KeyID != annsKey || sig.Scheme != schemeRFC9421 {
					t.Errorf("read as %s by %s", sig.Scheme, sig.KeyID)
				}
				if err := sig.verify(key.Public()); err != nil {
					t.Error(err)
				}
				for _, other := range []crypto.PublicKey{otherRSA.Public(), otherEd.Public(), nil, "a string"} {
					if sig.verify(other) == nil {
						t.Errorf("it holds with another key, %T", other)
					}
				}
				if verified(retarget(out.Method, "/elsewhere")(arrived(out)), c.body, rye, key.Public()) == nil {
					t.Error("it holds for another path")
				}
				if verified(retarget("PUT", out.URL.RequestURI())(arrived(out)), c.body, rye, key.Public()) == nil {
					t.Error("it holds for another method")
				}
				if c.body != nil && verified(arrived(out), []byte("{}"), rye, key.Public()) == nil {
					t.Error("it holds for another body")
				}
			})
		}
	}
}

func TestRFC9421Headers(t *testing.T) {
	rsaKey, edKey := pooledKeys(t, 0)
	body := []byte(`{"type":"Follow"}`)
	sum, sum512 := sha256.Sum256(body), sha512.Sum512(body)
	right := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	right512 := "sha-512=:" + base64.StdEncoding.EncodeToString(sum512[:]) + ":"
	wrong := "sha-256=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":"
	wrong512 := "sha-512=:" + base64.StdEncoding.EncodeToString(make([]byte, 64)) + ":"
	at := signedAt.Unix()
	times := func(created time.Duration) string {
		return fmt.Sprintf(`;created=%d;keyid="%s"`, signedAt.Add(created).Unix(), annsKey)
	}
	usual := times(0)
	const everything = `("@method" "@target-uri" "content-digest")`

	// base writes what is signed in the test's own words.
	base := func(r *http.Request, list, params string) string {
		var b strings.Builder
		for _, name := range strings.Fields(strings.Trim(list, "()")) {
			value := r.Header.Get(strings.Trim(name, `"`))
			switch name {
			case `"@method"`:
				value = r.Method
			case `"@target-uri"`:
				value = "https://rye.example" + r.RequestURI
			case `"@authority"`, `"host"`:
				value = "rye.example"
			case `"@path"`:
				value = r.URL.Path
			case `"@query"`:
				value = "?" + r.URL.RawQuery
			case `"@request-target"`:
				value = r.RequestURI
			case `"@scheme"`:
				value = "https"
			}
			b.WriteString(name + ": " + value + "\n")
		}
		return b.String() + `"@signature-params": ` + list + params
	}
	for _, c := range []struct {
		name   string
		want   int    // 0: it holds
		list   string // "" for everything
		params string // "" for usual
		digest string // "" for the right one, "-" for none
		target string // "" for /inbox
		key    crypto.Signer
		alg    string // how the test signs: "" for the key's usual way
		change func(r *http.Request)
	}{
		{name: "as everybody sends it"},
		{name: "with an RSA key", key: rsaKey},
		{name: "with an RSA key and its algorithm", key: rsaKey, params: usual + `;alg="rsa-v1_5-sha256"`},
		{name: "with an RSA key by PSS", key: rsaKey, params: usual + `;alg="rsa-pss-sha512"`, alg: "pss"},
		{name: "with the algorithm ed25519", params: usual + `;alg="ed25519"`},
		{name: "with a nonce and a tag", params: usual + `;nonce="n";tag="fedi"`},
		{name: "over the parts of the target", list: `("@method" "@authority" "@path" "content-digest")`},
		{name: "over the parts of the target with its query", list: `("@method" "@authority" "@path" "@query" "content-digest")`, target: "/inbox?x=1"},
		{name: "over the request target and the authority", list: `("@method" "@authority" "@request-target" "@scheme" "content-digest")`, target: "/inbox?x=1"},
		{name: "over headers too", list: `("@method" "@target-uri" "content-digest" "content-type" "host" "date")`},
		{name: "with a digest of SHA-512", digest: right512},
		{name: "with two digests", digest: right + ", " + right512},

		{name: "SIG038 the method is not covered", want: 401, list: `("@target-uri" "content-digest")`},
		{name: "SIG038 the target is not covered", want: 401, list: `("@method" "content-digest")`},
		{name: "SIG038 the path is covered and not the host", want: 401, list: `("@method" "@path" "content-digest")`},
		{name: "SIG038 the host is covered and not the path", want: 401, list: `("@method" "@authority" "content-digest")`},
		{name: "SIG038 the path is covered and not the query", want: 401, list: `("@method" "@authority" "@path" "content-digest")`, target: "/inbox?x=1"},
		{name: "SIG038 the Host header takes no authority's place", want: 401, list: `("@method" "host" "@path" "content-digest")`},
		{name: "SIG038 the digest is not covered", want: 401, list: `("@method" "@target-uri")`},
		{name: "SIG038 nothing is covered", want: 401, list: `()`},
		{name: "a component stands there twice", want: 401, list: `("@method" "@target-uri" "content-digest" "@method")`},
		{name: "a component is not known", want: 401, list: `("@method" "@target-uri" "content-digest" "@status")`},
		{name: "a component is the parameters themselves", want: 401, list: `("@method" "@target-uri" "content-digest" "@signature-params")`},
		{name: "a component has a parameter", want: 401, list: `("@method" "@target-uri" "content-digest";bs)`},
		{name: "a component asks for another request", want: 401, list: `("@method";req "@target-uri" "content-digest")`},
		{name: "a component is in capitals", want: 401, list: `("@method" "@target-uri" "Content-Digest")`},
		{name: "a component is not there", want: 401, list: `("@method" "@target-uri" "content-digest" "x-none")`},
		{name: "a component is not a string", want: 401, list: `(method "@target-uri" "content-digest")`},

		{name: "without created", want: 401, params: fmt.Sprintf(`;keyid="%s"`, annsKey)},
		{name: "created is a string", want: 401, params: fmt.Sprintf(`;created="%d";keyid="%s"`, at, annsKey)},
		{name: "created is a decimal", want: 401, params: fmt.Sprintf(`;created=%d.0;keyid="%s"`, at, annsKey)},
		{name: "59 minutes old", params: times(-59 * time.Minute)},
		{name: "61 minutes old", want: 401, params: times(-61 * time.Minute)},
		{name: "a second ahead", params: times(time.Second)},
		{name: "a minute ahead", want: 401, params: times(time.Minute)},
		{name: "from the end of time", want: 401, params: fmt.Sprintf(`;created=999999999999999;keyid="%s"`, annsKey)},
		{name: "from the beginning of time", want: 401, params: fmt.Sprintf(`;created=-999999999999999;keyid="%s"`, annsKey)},
		{name: "expires in an hour", params: usual + fmt.Sprintf(`;expires=%d`, at+3600)},
		{name: "two hours old, and expires in one", params: times(-2*time.Hour) + fmt.Sprintf(`;expires=%d`, at+3600)},
		{name: "13 hours old, and expires in one", want: 401, params: times(-13*time.Hour) + fmt.Sprintf(`;expires=%d`, at+3600)},
		{name: "expired", want: 401, params: usual + fmt.Sprintf(`;expires=%d`, at-1)},
		{name: "expires is a string", want: 401, params: usual + `;expires="never"`},

		{name: "SIG019 the keyid is a word", want: 401, params: fmt.Sprintf(`;created=%d;keyid="test-key"`, at)},
		{name: "SIG019 the keyid is a handle", want: 401, params: fmt.Sprintf(`;created=%d;keyid="acct:ann@far.example"`, at)},
		{name: "SIG020 there is no keyid", want: 401, params: fmt.Sprintf(`;created=%d`, at)},
		{name: "SIG020 the keyid is a number", want: 401, params: fmt.Sprintf(`;created=%d;keyid=7`, at)},

		{name: "the algorithm is of another kind of key", want: 401, params: usual + `;alg="rsa-v1_5-sha256"`},
		{name: "the algorithm of an RSA key is ed25519", want: 401, key: rsaKey, params: usual + `;alg="ed25519"`},
		{name: "the algorithm is ECDSA", want: 401, params: usual + `;alg="ecdsa-p256-sha256"`},
		{name: "PKCS#1 v1.5 is called PSS", want: 401, key: rsaKey, params: usual + `;alg="rsa-pss-sha512"`},
		{name: "PSS is not called so", want: 401, key: rsaKey, alg: "pss"},
		{name: "SIG021 HMAC with the public key", want: 401, params: usual + `;alg="hmac-sha256"`, alg: "hmac"},
		{name: "SIG022 the algorithm none", want: 401, params: usual + `;alg="none"`, change: func(r *http.Request) { r.Header.Set("Signature", "sig1=::") }},

		{name: "without a digest", want: 401, digest: "-"},
		{name: "the digest is of another body", want: 401, digest: wrong},
		{name: "SIG007 a right digest and a wrong one", want: 401, digest: right + ", " + wrong512},
		{name: "the digest is of no known kind", want: 401, digest: "md5=:AAAA:"},
		{name: "the digest is not a structured field", want: 401, digest: "SHA-256=AAAA"},
		{name: "the digest is a string", want: 401, digest: `sha-256="AAAA"`},
		{name: "the digest is a list", want: 401, digest: `sha-256=(:AAAA:)`},

		{name: "two labels", want: 400, change: func(r *http.Request) {
			r.Header.Set("Signature-Input", r.Header.Get("Signature-Input")+", sig2=()")
		}},
		{name: "two labels in two headers", want: 400, change: func(r *http.Request) { r.Header.Add("Signature", "sig2=:AAAA:") }},
		{name: "the labels differ", want: 400, change: func(r *http.Request) {
			r.Header.Set("Signature", strings.Replace(r.Header.Get("Signature"), "sig1", "sig2", 1))
		}},
		{name: "no Signature", want: 400, change: func(r *http.Request) { r.Header.Del("Signature") }},
		{name: "the signature is a string", want: 400, change: func(r *http.Request) { r.Header.Set("Signature", `sig1="AAAA"`) }},
		{name: "the signature is a list", want: 400, change: func(r *http.Request) { r.Header.Set("Signature", `sig1=(:AAAA:)`) }},
		{name: "the signature is empty", want: 401, change: func(r *http.Request) { r.Header.Set("Signature", `sig1=::`) }},
		{name: "the input is an item", want: 400, change: func(r *http.Request) { r.Header.Set("Signature-Input", `sig1="@method"`) }},
		{name: "the input is not a structured field", want: 400, change: func(r *http.Request) { r.Header.Set("Signature-Input", `((`) }},
		{name: "the input is empty", want: 400, change: func(r *http.Request) { r.Header.Set("Signature-Input", ``) }},
		{name: "SIG017 in Authorization too", want: 401, change: func(r *http.Request) { r.Header.Set("Authorization", `Signature keyId="x"`) }},
		{name: "SIG011 for another host", want: 401, change: func(r *http.Request) { r.Host = "oak.example" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := "/inbox"
			if c.target != "" {
				target = c.target
			}
			r := httptest.NewRequest("POST", target, nil)
			r.Host = "rye.example"
			r.Header.Set("Date", signedAt.Format(http.TimeFormat))
			r.Header.Set("Content-Type", activityJSON)
			r.Header.Set("Content-Digest", right)
			if c.digest != "" {
				r.Header.Set("Content-Digest", c.digest)
			}
			if c.digest == "-" {
				r.Header.Del("Content-Digest")
			}
			list, params, key := everything, usual, crypto.Signer(edKey)
			if c.list != "" {
				list = c.list
			}
			if c.params != "" {
				params = c.params
			}
			if c.key != nil {
				key = c.key
			}
			r.Header.Set("Signature-Input", "sig1="+list+params)
			r.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(signBase(t, base(r, list, params), key, c.alg))+":")
			if c.change != nil {
				c.change(r)
			}
			err := verified(r, body, rye, key.Public())
			if got := statusOf(err); got != c.want {
				t.Errorf("%d %v, want %d", got, err, c.want)
			}
		})
	}
}

// signBase signs without any code of ours.
func signBase(t *testing.T, base string, key crypto.Signer, how string) []byte {
	t.Helper()
	var sig []byte
	var err error
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if how == "pss" {
			sum := sha512.Sum512([]byte(base))
			sig, err = rsa.SignPSS(rand.Reader, k, crypto.SHA512, sum[:], &rsa.PSSOptions{SaltLength: 64})
			break
		}
		sum := sha256.Sum256([]byte(base))
		sig, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	case ed25519.PrivateKey:
		if how == "hmac" {
			mac := hmac.New(sha256.New, k.Public().(ed25519.PublicKey))
			mac.Write([]byte(base))
			return mac.Sum(nil)
		}
		sig = ed25519.Sign(k, []byte(base))
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestARFC9421TargetIsThatOfOurOrigin(t *testing.T) {
	_, key := pooledKeys(t, 0)
	out := outgoing(t, "http://rye.example/inbox", []byte(`{}`)) // TLS ends before us: the sender said https
	if err := signRFC9421(out, []byte(`{}`), annsKey, key, signedAt); err != nil {
		t.Fatal(err)
	}
	if verified(arrived(out), []byte(`{}`), rye, key.Public()) == nil {
		t.Error("a signature over http:// holds for a node of https://")
	}
}
