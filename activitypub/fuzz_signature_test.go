package activitypub

import (
	"bufio"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

// FuzzCavageParams: what is read of a Signature header says one thing only. Written anew in the one plain form, it says the
// same, and so it does to a reader that knows nothing but the grammar of RFC 9110 §11.2.
func FuzzCavageParams(f *testing.F) {
	for _, s := range []string{
		`keyId="https://far.example/users/ann#main-key",algorithm="rsa-sha256",headers="(request-target) host date digest",signature="YQ=="`,
		`keyId="a", headers="b",created=1,expires=2 , signature="c=="`, `a=b"c`, `a="b" c`, `a="b\"c"`, `a="b\\"`, `=`, `a=`, `a=,b=`, `a="",`, `,a="b"`, `a="b",,c="d"`,
		`Signature a="b"`, `a="b",A="c"`, `a ="b"`, `a= "b"`, "a=\"b\"\t,c=d", `a='b'`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := cavageParams(s)
		if err != nil {
			return
		}
		var plain []string
		for _, name := range slices.Sorted(maps.Keys(got)) {
			plain = append(plain, name+`="`+got[name]+`"`)
		}
		again, err := cavageParams(strings.Join(plain, ","))
		if err != nil || !maps.Equal(got, again) {
			t.Errorf("%q is read as %q, and that written anew as %q, %v", s, got, again, err)
		}
		if want, err := authParams(strings.TrimSpace(s)); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q is read as %q, by the grammar it is %q, %v", s, got, want, err)
		}
	})
}

var (
	authParam = regexp.MustCompile("^[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:\"((?:[^\"\\\\]|\\\\.)*)\"|([!#$%&'*+.^_`|~0-9A-Za-z-]+))[ \t]*(,|$)")
	quotedOne = regexp.MustCompile(`\\(.)`)
)

// authParams reads a list of parameters by RFC 9110 §11.2: a token or a quoted string each, none twice, whatever the case of its name.
func authParams(s string) (map[string]string, error) {
	out := map[string]string{}
	for s != "" {
		m := authParam.FindStringSubmatch(s)
		if m == nil {
			return nil, fmt.Errorf("no parameter at %q", s)
		}
		if slices.ContainsFunc(slices.Collect(maps.Keys(out)), func(k string) bool { return strings.EqualFold(k, m[1]) }) {
			return nil, fmt.Errorf("%q twice", m[1])
		}
		out[m[1]] = quotedOne.ReplaceAllString(m[2], "$1") + m[3]
		s = s[len(m[0]):]
	}
	return out, nil
}

// FuzzSignatureInput: what is taken of a Signature-Input means the same when it is written anew, and names nothing twice.
func FuzzSignatureInput(f *testing.F) {
	for _, s := range []string{
		`sig1=("@method" "@target-uri");created=1763974800;keyid="https://far.example/users/ann#main-key"`,
		`s=("@method" "@target-uri");created=1763974800;keyid="https://far.example/k";alg="ed25519";expires=1763975000;nonce="x";tag="y"`,
		`s=( "@method"   "@target-uri" ) ;created=1763974800; keyid="https://far.example/k"`,
		`s=("@method" "@target-uri");created=1763974800;keyid="https://far.example/k";keyid="https://far.example/l"`,
		`s=("@method";req "@target-uri");created=1763974800;keyid="https://far.example/k"`,
		`s=("@method" "@target-uri");created=1763974800.0;keyid="https://far.example/k"`,
		`s=("@method" "@target-uri");created=1763974800;keyid="https://far.example/k", t=()`,
		`s=("@method" "@target-uri" "date" "host");created=1763974800;keyid="https://far.example/k\"\\"`,
		`s=("@method" "@authority" "@path" "@query");created=1763974800;keyid="https://far.example/k";x=:YQ==:;y=?0;z=tok;w=-1.5`,
	} {
		f.Add(s, "/inbox?a=b")
	}
	f.Fuzz(func(t *testing.T, input, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") {
			return
		}
		c := verifyContext{Origin: "https://rye.example", Now: time.Unix(1763974800, 0)}
		request := func(input string) *http.Request {
			return &http.Request{Method: "GET", Host: "rye.example", URL: u, RequestURI: target, Header: http.Header{"Signature-Input": {input},
				"Date": {"Mon, 24 Nov 2025 09:00:00 GMT"}, "Signature": {strings.SplitN(input, "=", 2)[0] + "=:YQ==:"}}}
		}
		sig, err := parseSignature(request(input), nil, c)
		if err != nil {
			return
		}
		base := func(input string) (string, string) {
			d, err := httpsfv.UnmarshalDictionary([]string{input})
			if err != nil {
				t.Fatal(err)
			}
			m, _ := d.Get(d.Names()[0])
			text, _, err := signatureBase(request(input), m.(httpsfv.InnerList), c.Origin)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := httpsfv.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			return text, plain
		}
		text, plain := base(input)
		other, _ := base(plain)
		again, err := parseSignature(request(plain), nil, c)
		if err != nil || again.KeyID != sig.KeyID || text != other {
			t.Errorf("%q is taken, and written anew as %q it is %+v, %v:\n%s\n%s", input, plain, again, err, text, other)
		}
		want, err := structuredInput(input)
		if err != nil || !strings.HasSuffix(text, `"@signature-params": `+want.params) || want.text("keyid") != sig.KeyID {
			t.Errorf("%q is taken with %q over\n%s\nby the grammar it is %+v, %v", input, sig.KeyID, text, want, err)
		}
	})
}

// inputOf9421 is a Signature-Input with one signature, as RFC 9651 reads it.
type inputOf9421 struct {
	label   string
	covered []string
	names   []string // of the parameters
	values  []string // of the parameters, as they are written in their canonical form
	params  string   // the value of @signature-params
}

func (i *inputOf9421) raw(name string) string {
	if at := slices.Index(i.names, name); at >= 0 {
		return i.values[at]
	}
	return ""
}

func (i *inputOf9421) text(name string) string {
	s := i.raw(name)
	if !strings.HasPrefix(s, `"`) {
		return ""
	}
	return quotedOne.ReplaceAllString(s[1:len(s)-1], "$1")
}

func (i *inputOf9421) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(i.raw(name), 10, 64)
	return n, err == nil
}

var (
	sfKey    = regexp.MustCompile(`^[a-z*][a-z0-9_.*-]*`)
	sfString = regexp.MustCompile(`^"((?:[ !#-\[\]-~]|\\["\\])*)"`)
	sfNumber = regexp.MustCompile(`^(-?)([0-9]{1,15})(\.[0-9]{1,3})?`)
	sfToken  = regexp.MustCompile("^[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*")
	sfBytes  = regexp.MustCompile(`^:([A-Za-z0-9+/=]*):`)
	sfOther  = regexp.MustCompile(`^(\?[01]|@-?[0-9]{1,15}|%"[^"]*")`)
)

// structuredInput reads a Signature-Input by RFC 9651, as far as a signature needs it: one member, an inner list of strings
// without parameters, no parameter twice.
func structuredInput(s string) (*inputOf9421, error) {
	in := &inputOf9421{}
	take := func(re *regexp.Regexp) (string, bool) {
		m := re.FindString(s)
		s = s[len(m):]
		return m, m != ""
	}
	s = strings.Trim(s, " ")
	var ok bool
	if in.label, ok = take(sfKey); !ok || !strings.HasPrefix(s, "=(") {
		return nil, errors.New("no inner list")
	}
	s = s[2:]
	for {
		blank := strings.HasPrefix(s, " ")
		s = strings.TrimLeft(s, " ")
		if strings.HasPrefix(s, ")") {
			break
		}
		if len(in.covered) > 0 && !blank {
			return nil, errors.New("no space between items")
		}
		item, ok := take(sfString)
		if !ok {
			return nil, errors.New("an item that is no string")
		}
		if slices.Contains(in.covered, item) {
			return nil, errors.New("an item twice")
		}
		in.covered = append(in.covered, item)
	}
	s = s[1:]
	in.params = "(" + strings.Join(in.covered, " ") + ")"
	for strings.HasPrefix(s, ";") {
		s = strings.TrimLeft(s[1:], " ")
		name, ok := take(sfKey)
		if !ok || slices.Contains(in.names, name) {
			return nil, fmt.Errorf("a parameter %q without a name, or twice", name)
		}
		value := "?1"
		if strings.HasPrefix(s, "=") {
			s = s[1:]
			switch {
			case sfString.MatchString(s):
				value, _ = take(sfString)
			case sfNumber.MatchString(s):
				m := sfNumber.FindStringSubmatch(s)
				s = s[len(m[0]):]
				whole := strings.TrimLeft(m[2], "0")
				if whole == "" {
					whole = "0"
				}
				value = m[1] + whole
				if part := m[3]; part != "" {
					if len(m[2]) > 12 {
						return nil, errors.New("a long decimal")
					}
					if part = strings.TrimRight(part, "0"); part == "." {
						part = ".0"
					}
					value += part
				}
				if value == "-0" {
					value = "0"
				}
				if value == "-0.0" {
					value = "0.0"
				}
				if s != "" && (s[0] >= '0' && s[0] <= '9' || s[0] == '.') {
					return nil, errors.New("a long number")
				}
			case sfToken.MatchString(s):
				value, _ = take(sfToken)
			case sfBytes.MatchString(s):
				value, _ = take(sfBytes)
				b, err := base64.StdEncoding.DecodeString(strings.Trim(value, ":"))
				if err != nil {
					return nil, err
				}
				value = ":" + base64.StdEncoding.EncodeToString(b) + ":"
			case sfOther.MatchString(s):
				value, _ = take(sfOther)
			default:
				return nil, errors.New("a value that is none")
			}
		}
		in.names, in.values = append(in.names, name), append(in.values, value)
		in.params += ";" + name
		if value != "?1" {
			in.params += "=" + value
		}
	}
	if s != "" {
		return nil, fmt.Errorf("%q follows", s)
	}
	return in, nil
}

// The rest of this file is a second reader of signed requests, slow and by the letter, written without a look at the first.
// It knows draft-cavage-12, RFC 9421, RFC 3230 and RFC 9530, and the bounds that docs/federation.md names.

// slowVerify says whether a request is signed with a key. body is nil for a GET.
func slowVerify(r *http.Request, body []byte, c verifyContext, key crypto.PublicKey) error {
	if !strings.EqualFold("https://"+r.Host, c.Origin) {
		return errors.New("for another host")
	}
	if strings.HasPrefix(r.Header.Get("Authorization"), "Signature") {
		return errors.New("signed in Authorization")
	}
	if r.Header["Signature-Input"] != nil {
		return slow9421(r, body, c, key)
	}
	return slowCavage(r, body, c, key)
}

func slowKeyID(s string) error {
	if u, err := url.Parse(s); err != nil || len(s) > 2048 || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("the keyId is no address")
	}
	return nil
}

func slowWindow(now time.Time, created, expires *int64, date *time.Time) error {
	age := time.Hour
	if expires != nil {
		if time.Unix(*expires, 0).Before(now) {
			return errors.New("expired")
		}
		age = 12 * time.Hour
	}
	if created == nil && date == nil {
		return errors.New("made at no time")
	}
	if created != nil {
		if at := time.Unix(*created, 0); at.After(now.Add(10*time.Second)) || at.Before(now.Add(-age)) {
			return errors.New("created too early or too late")
		}
	}
	if date != nil {
		if date.After(now.Add(time.Hour)) || date.Before(now.Add(-age)) {
			return errors.New("dated too early or too late")
		}
	}
	return nil
}

// slowCavageText is the signing string of draft-cavage-12 §2.3, with what it covers and what it says.
func slowCavageText(r *http.Request, query bool) (text string, p map[string]string, covered []string, err error) {
	if len(r.Header["Signature"]) != 1 {
		return "", nil, nil, errors.New("not one signature")
	}
	if p, err = authParams(strings.TrimSpace(strings.TrimPrefix(r.Header.Get("Signature"), "Signature "))); err != nil {
		return "", nil, nil, err
	}
	covered = strings.Fields(strings.ToLower(p["headers"]))
	uri := r.RequestURI
	if !query {
		uri, _, _ = strings.Cut(uri, "?")
	}
	var lines []string
	for i, name := range covered {
		if slices.Contains(covered[:i], name) {
			return "", nil, nil, errors.New("covered twice")
		}
		var value string
		switch name {
		case "(request-target)":
			value = strings.ToLower(r.Method) + " " + uri
		case "(created)", "(expires)":
			param := strings.Trim(name, "()")
			if value = p[param]; value == "" {
				return "", nil, nil, errors.New("no " + param)
			}
		case "host":
			value = r.Host
		default:
			values, ok := r.Header[http.CanonicalHeaderKey(name)]
			if !ok {
				return "", nil, nil, errors.New("a header that is not there")
			}
			for i, v := range values {
				if i > 0 {
					value += ", "
				}
				value += strings.Trim(v, " \t")
			}
		}
		lines = append(lines, name+": "+value)
	}
	return strings.Join(lines, "\n"), p, covered, nil
}

func slowCavage(r *http.Request, body []byte, c verifyContext, key crypto.PublicKey) error {
	text, p, covered, err := slowCavageText(r, true)
	if err != nil {
		return err
	}
	if err := slowKeyID(p["keyId"]); err != nil {
		return err
	}
	need := []string{"(request-target)", "host"}
	if body != nil {
		need = append(need, "digest")
	}
	for _, n := range need {
		if !slices.Contains(covered, n) {
			return errors.New("not covered: " + n)
		}
	}
	for _, name := range []string{"created", "expires"} {
		if (p[name] != "") != slices.Contains(covered, "("+name+")") {
			return errors.New(name + " is not covered")
		}
	}
	var created, expires *int64
	var date *time.Time
	for name, to := range map[string]**int64{"created": &created, "expires": &expires} {
		if p[name] != "" {
			n, err := strconv.ParseInt(p[name], 10, 64)
			if err != nil || n <= 0 {
				return err
			}
			*to = &n
		}
	}
	if slices.Contains(covered, "date") {
		at, err := http.ParseTime(r.Header.Get("Date"))
		if err != nil || len(r.Header["Date"]) != 1 {
			return errors.New("no date")
		}
		date = &at
	}
	if err := slowWindow(c.Now, created, expires, date); err != nil {
		return err
	}
	if body != nil {
		if err := slowDigest(r.Header["Digest"], body, `^(?i:sha-(256|512))=(.*)$`); err != nil {
			return err
		}
	}
	sig, err := base64.StdEncoding.DecodeString(p["signature"])
	if err != nil {
		return err
	}
	if slowHolds(key, text, sig, "") {
		return nil
	}
	if body == nil { // old servers leave the query out
		if text, _, _, err = slowCavageText(r, false); err == nil && slowHolds(key, text, sig, "") {
			return nil
		}
	}
	return errors.New("it does not fit")
}

// slowDigest wants a digest of the body that fits, and none that does not.
func slowDigest(headers []string, body []byte, form string) error {
	fits := false
	for _, h := range headers {
		for part := range strings.SplitSeq(h, ",") {
			m := regexp.MustCompile(form).FindStringSubmatch(strings.TrimSpace(part))
			if m == nil {
				continue
			}
			var sum []byte
			if m[1] == "256" {
				s := sha256.Sum256(body)
				sum = s[:]
			} else {
				s := sha512.Sum512(body)
				sum = s[:]
			}
			if m[2] != base64.StdEncoding.EncodeToString(sum) {
				return errors.New("another body's digest")
			}
			fits = true
		}
	}
	if !fits {
		return errors.New("no digest")
	}
	return nil
}

// slowHolds tries a key; algorithm is "" for any that goes with it.
func slowHolds(key crypto.PublicKey, text string, sig []byte, algorithm string) bool {
	s256, s512 := sha256.Sum256([]byte(text)), sha512.Sum512([]byte(text))
	switch k := key.(type) {
	case ed25519.PublicKey:
		return (algorithm == "" || algorithm == "ed25519") && ed25519.Verify(k, []byte(text), sig)
	case *rsa.PublicKey:
		switch algorithm {
		case "":
			return rsa.VerifyPKCS1v15(k, crypto.SHA256, s256[:], sig) == nil || rsa.VerifyPKCS1v15(k, crypto.SHA512, s512[:], sig) == nil
		case "rsa-v1_5-sha256":
			return rsa.VerifyPKCS1v15(k, crypto.SHA256, s256[:], sig) == nil
		case "rsa-pss-sha512":
			return rsa.VerifyPSS(k, crypto.SHA512, s512[:], sig, &rsa.PSSOptions{SaltLength: 64}) == nil
		}
	}
	return false
}

// slow9421Text is the signature base of RFC 9421 §2.5.
func slow9421Text(r *http.Request, c verifyContext) (text string, in *inputOf9421, err error) {
	if in, err = structuredInput(strings.Join(r.Header["Signature-Input"], ", ")); err != nil {
		return "", nil, err
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	for _, item := range in.covered {
		name := strings.Trim(item, `"`)
		var value string
		switch name {
		case "@method":
			value = r.Method
		case "@target-uri":
			value = c.Origin + r.RequestURI
		case "@authority":
			value = strings.ToLower(strings.TrimPrefix(c.Origin, "https://"))
		case "@scheme":
			value = "https"
		case "@request-target":
			value = r.RequestURI
		case "@path":
			value = path
		case "@query":
			value = "?" + query
		default:
			if !regexp.MustCompile("^[!#$%&'*+.^_`|~0-9a-z-]+$").MatchString(name) {
				return "", nil, errors.New("no such component")
			}
			values, ok := r.Header[http.CanonicalHeaderKey(name)]
			if name == "host" {
				values, ok = []string{r.Host}, true
			}
			if name == "content-length" {
				values, ok = []string{strconv.FormatInt(r.ContentLength, 10)}, true
			}
			if !ok {
				return "", nil, errors.New("a header that is not there")
			}
			for i, v := range values {
				if i > 0 {
					value += ", "
				}
				value += strings.Trim(v, " \t")
			}
		}
		text += item + ": " + value + "\n"
	}
	return text + `"@signature-params": ` + in.params, in, nil
}

var signatureOf9421 = regexp.MustCompile(`^ *([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*): *$`)

func slow9421(r *http.Request, body []byte, c verifyContext, key crypto.PublicKey) error {
	text, in, err := slow9421Text(r, c)
	if err != nil {
		return err
	}
	m := signatureOf9421.FindStringSubmatch(strings.Join(r.Header["Signature"], ", "))
	if m == nil || m[1] != in.label {
		return errors.New("no signature with that label")
	}
	if err := slowKeyID(in.text("keyid")); err != nil {
		return err
	}
	covers := func(name string) bool { return slices.Contains(in.covered, `"`+name+`"`) }
	whole := covers("@target-uri") || covers("@authority") && (covers("@request-target") || covers("@path") && (covers("@query") || !strings.Contains(r.RequestURI, "?")))
	if !covers("@method") || !whole || body != nil && !covers("content-digest") {
		return errors.New("it covers too little")
	}
	created, ok := in.number("created")
	if !ok {
		return errors.New("it was never created")
	}
	var expires *int64
	if in.raw("expires") != "" {
		e, ok := in.number("expires")
		if !ok {
			return errors.New("it expires never")
		}
		expires = &e
	}
	if err := slowWindow(c.Now, &created, expires, nil); err != nil {
		return err
	}
	if body != nil {
		if err := slowDigest(r.Header["Content-Digest"], body, `^sha-(256|512)=:(.*):$`); err != nil {
			return err
		}
	}
	sig, err := base64.StdEncoding.DecodeString(m[2])
	if err != nil {
		return err
	}
	algorithm := "" // for RSA, RFC 9421 has no default: rsa-v1_5-sha256 is the fediverse's
	if in.raw("alg") != "" {
		if algorithm = in.text("alg"); algorithm == "" {
			algorithm = "none"
		}
	} else if _, ok := key.(*rsa.PublicKey); ok {
		algorithm = "rsa-v1_5-sha256"
	}
	if !slowHolds(key, text, sig, algorithm) {
		return errors.New("it does not fit")
	}
	return nil
}

// FuzzVerify sends requests that are signed by the slow reader's idea of what is to be signed, each one changed once after
// that. What the node takes, the slow reader must take; what it takes, the node must take, but where the node is stricter
// on purpose.
//
// raw is a request as it stands on the wire. {digest} in it becomes the SHA-256 of the body, {signature} the signature.
func FuzzVerify(f *testing.F) {
	r1, e1 := pooledKeys(f, 0)
	head := func(line, more string) string {
		return line + " HTTP/1.1\r\nHost: rye.example\r\nDate: Tue, 24 Nov 2026 09:00:00 GMT\r\nContent-Type: application/activity+json\r\n" + more + "\r\n\r\n"
	}
	const id = `keyId="https://far.example/users/ann#main-key"`
	cavage := func(covered, more string) string {
		return "Digest: SHA-256={digest}\r\nSignature: " + id + `,headers="` + covered + `",signature="{signature}"` + more
	}
	message := func(covered, more string) string {
		return "Content-Digest: sha-256=:{digest}:\r\nSignature-Input: s=(" + covered + `);created=1795510800;keyid="https://far.example/users/ann#main-key"` + more + "\r\nSignature: s=:{signature}:"
	}
	for i, raw := range []string{
		head("POST /inbox", cavage("(request-target) host date digest content-type", "")) + `{"type":"Follow"}`,
		head("POST /inbox", cavage("(request-target) host (created) digest", ",created=1795510800")) + `{}`,
		head("POST /inbox", cavage("(request-target) host (created) (expires) digest", `,created=1795510800,expires=4000000000`)) + `{}`,
		head("POST /users/a%2Fb/inbox?x=y", cavage("(request-target)  Host date DIGEST", `, algorithm="hs2019"`)) + `{}`,
		head("GET /users/a?page=true", cavage("(request-target) host date", "")),
		head("GET /users/a", cavage("(request-target) host date x", "\r\nX: a\r\nX:  b ")),
		head("POST /inbox", strings.Replace(cavage("(request-target) host date digest", ""), "Digest: ", "Digest: sha-512=x,", 1)) + `{}`,
		head("POST /inbox", message(`"@method" "@target-uri" "content-digest"`, "")) + `{}`,
		head("POST /inbox?a", message(`"@method" "@authority" "@path" "@query" "content-digest" "content-type"`, `;alg="ed25519"`)) + `{}`,
		head("POST /inbox", message(`"@method" "@request-target" "@authority" "content-digest" "host" "content-length"`, `;expires=1795510900;nonce="a\"b"`)) + `{}`,
		head("GET /actor", message(`"@method" "@target-uri" "@scheme" "date"`, `;alg="rsa-v1_5-sha256"`)),
		head("GET /actor?", message(`"@method"  "@target-uri" "x"`, ` ; tag=t;a;b=?0;c=1.50;d=-0`+"\r\nX: a\r\nx:\tb")),
	} {
		f.Add(raw, i%4 == 3, uint16(0), byte(0), int32(0))
		f.Add(raw, false, uint16(40*i), byte(1<<(i%7)), int32(i*600))
	}
	f.Fuzz(func(t *testing.T, raw string, useRSA bool, at uint16, flip byte, seconds int32) {
		c := verifyContext{Origin: "https://rye.example", Now: time.Unix(1795510800+int64(seconds), 0).UTC()}
		head, rest, ok := strings.Cut(raw, "\r\n\r\n")
		if !ok || len(raw) > 16<<10 {
			return
		}
		sum := sha256.Sum256([]byte(rest))
		head = strings.ReplaceAll(head, "{digest}", base64.StdEncoding.EncodeToString(sum[:]))
		read := func(head string) *http.Request {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n\r\n")))
			if err != nil || r.Method != "POST" && r.Method != "GET" || !strings.HasPrefix(r.RequestURI, "/") {
				return nil
			}
			r.ContentLength = int64(len(rest))
			return r
		}
		unsigned := read(head)
		if unsigned == nil {
			return
		}
		var text string
		var err error
		if unsigned.Header["Signature-Input"] != nil {
			text, _, err = slow9421Text(unsigned, c)
		} else {
			text, _, _, err = slowCavageText(unsigned, true)
		}
		if err != nil {
			text = "nothing"
		}
		var key crypto.PublicKey = e1.Public()
		sig := ed25519.Sign(e1, []byte(text))
		if useRSA {
			key = r1.Public()
			s := sha256.Sum256([]byte(text))
			if sig, err = rsa.SignPKCS1v15(rand.Reader, r1, crypto.SHA256, s[:]); err != nil {
				t.Fatal(err)
			}
		}
		head = strings.ReplaceAll(head, "{signature}", base64.StdEncoding.EncodeToString(sig))
		changed, body := []byte(head), []byte(rest)
		if n := int(at) % (len(changed) + len(body) + 1); n < len(changed) {
			changed[n] ^= flip
		} else if n -= len(changed); n < len(body) {
			body[n] ^= flip
		}
		r := read(string(changed))
		if r == nil {
			return
		}
		if r.Method == "GET" {
			body = nil
		}
		got, want := verified(r, body, c, key), slowVerify(r, body, c, key)
		if got == nil && want != nil {
			t.Errorf("it was taken, and should not be: %v\n%s\n\n%s", want, changed, body)
		}
		if got != nil && want == nil && !stricter(r) {
			t.Errorf("it was refused, and should not be: %v\n%s\n\n%s", got, changed, body)
		}
	})
}

// stricter reports whether the node may refuse what the slow reader takes.
func stricter(r *http.Request) bool {
	s := r.Header.Get("Signature")
	p, err := authParams(strings.TrimPrefix(s, "Signature "))
	switch {
	case r.Header["Signature-Input"] != nil: // an escape is read by both, but a comma may end a member
		return false
	case err != nil:
		return true
	case p["created"]+p["expires"] != "": // httpsig holds them against the real clock too
		return true
	case strings.ContainsAny(p["keyId"]+p["headers"]+p["signature"], `,"`+"\\"), strings.Contains(s, "\\"): // httpsig splits at commas
		return true
	}
	return false
}
