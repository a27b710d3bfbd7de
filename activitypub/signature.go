package activitypub

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-fed/httpsig"
)

// The windows of time in which a signature holds (federation.md §5).
const (
	maxClockSkew = time.Hour        // between Date and our clock, either way
	maxCreated   = 10 * time.Second // that (created) may lie ahead
	maxExpires   = 12 * time.Hour   // that an explicit expires may reach after the signature was made
	maxKeyID     = 2048
)

// signature is what a request says of its signer. All but the key was checked: what is covered, the digest, the time.
type signature struct {
	Scheme string // schemeCavage or schemeRFC9421
	KeyID  string
	verify func(key crypto.PublicKey) error
}

// signatureError says why a request's signature is not taken: 400 when it is malformed, 401 otherwise.
type signatureError struct {
	Status int
	Detail string
}

func (e *signatureError) Error() string { return e.Detail }

func unsigned(format string, args ...any) error {
	return &signatureError{http.StatusUnauthorized, fmt.Sprintf(format, args...)}
}

// verifyContext is what a request is checked against: the origin that others know, and the time.
type verifyContext struct {
	Origin string
	Now    time.Time
}

// parseSignature reads the signature of a request, draft-cavage-http-signatures-12 or RFC 9421, and checks all of it but the key:
// go-fed/httpsig alone takes a signature over nothing but a date from 2006, with any body. body is nil for a GET.
func parseSignature(r *http.Request, body []byte, c verifyContext) (*signature, error) {
	origin, err := url.Parse(c.Origin)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(r.Host, origin.Host) {
		return nil, unsigned("the request is for %.100q, this node is %s", r.Host, origin.Host)
	}
	if strings.HasPrefix(r.Header.Get("Authorization"), "Signature") {
		return nil, unsigned("send the signature in the Signature header, not in Authorization")
	}
	if len(r.Header.Values("Signature-Input")) > 0 {
		return parseRFC9421(r, body, c)
	}
	return parseCavage(r, body, c)
}

// checkKeyID refuses ids that no document can have.
func checkKeyID(id string) error {
	u, err := url.Parse(id)
	if err != nil || len(id) > maxKeyID || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return unsigned("the keyId is not the http(s) address of a key")
	}
	return nil
}

// cavageParams reads the parameters of a cavage signature. Each may stand there once, in whatever case.
func cavageParams(s string) (map[string]string, error) {
	out, seen := map[string]string{}, map[string]bool{}
	for s = strings.TrimSpace(s); s != ""; {
		name, value, rest, ok := cavageParam(s)
		if !ok {
			return nil, fmt.Errorf("there is no name and value at %.20q", s)
		}
		lower := strings.ToLower(name)
		if seen[lower] {
			return nil, fmt.Errorf("the parameter %.20q stands there twice", name)
		}
		seen[lower], out[name] = true, value
		s = rest
	}
	return out, nil
}

// cavageParam reads one parameter and its comma: a token, and a token or a quoted string (RFC 9110 §11.2). A backslash in a
// string is refused: some readers take it for an escape, others for itself.
func cavageParam(s string) (name, value, rest string, ok bool) {
	const blank = " \t"
	name, s = token(strings.TrimLeft(s, blank))
	s, ok = strings.CutPrefix(strings.TrimLeft(s, blank), "=")
	if name == "" || !ok {
		return "", "", "", false
	}
	s = strings.TrimLeft(s, blank)
	if text, quoted := strings.CutPrefix(s, `"`); quoted {
		value, s, ok = strings.Cut(text, `"`)
		ok = ok && !strings.Contains(value, `\`)
	} else {
		value, s = token(s)
		ok = value != ""
	}
	s = strings.TrimLeft(s, blank)
	rest, comma := strings.CutPrefix(s, ",")
	return name, value, rest, ok && (comma || s == "")
}

// token splits a token from what follows it.
func token(s string) (token, rest string) {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] >= 'A' && s[i] <= 'Z' || s[i] >= 'a' && s[i] <= 'z' || strings.IndexByte("!#$%&'*+.^_|~-", s[i]) >= 0) {
		i++
	}
	return s[:i], s[i:]
}

func parseCavage(r *http.Request, body []byte, c verifyContext) (*signature, error) {
	values := r.Header.Values("Signature")
	switch {
	case len(values) == 0:
		return nil, unsigned("the request is not signed")
	case len(values) > 1 || len(values[0]) > 16<<10:
		return nil, unsigned("the request has several signatures, or one that is too long")
	}
	p, err := cavageParams(strings.TrimPrefix(values[0], "Signature "))
	if err != nil {
		return nil, &signatureError{http.StatusBadRequest, "the Signature header is malformed: " + err.Error()}
	}
	if err := checkKeyID(p["keyId"]); err != nil {
		return nil, err
	}
	if p["signature"] == "" || strings.Contains(p["keyId"]+p["headers"]+p["signature"], ",") { // httpsig splits at every comma, quoted or not
		return nil, unsigned("the keyId, the headers or the signature cannot be read")
	}
	covered := strings.Fields(strings.ToLower(p["headers"]))
	if err := checkCovered(covered, r, p); err != nil {
		return nil, err
	}
	if err := checkTimes(r, p, covered, c.Now); err != nil {
		return nil, err
	}
	if body != nil {
		if err := checkDigest(r.Header.Values("Digest"), body); err != nil {
			return nil, err
		}
	}
	return &signature{Scheme: schemeCavage, KeyID: p["keyId"], verify: func(key crypto.PublicKey) error {
		err := verifyCavage(r, p, covered, key, true)
		if err != nil && r.Method == http.MethodGet && r.URL.RawQuery != "" {
			err = verifyCavage(r, p, covered, key, false) // Mastodon before 4.3 leaves the query out
		}
		return err
	}}, nil
}

// checkCovered refuses a signature that leaves out what it is about.
func checkCovered(covered []string, r *http.Request, p map[string]string) error {
	for i, h := range covered {
		if slices.Contains(covered[:i], h) {
			return unsigned("the signature covers %.40q twice", h)
		}
		if !strings.HasPrefix(h, "(") && h != "host" && len(r.Header.Values(h)) == 0 {
			return unsigned("the signature covers %.40q, which is not there", h)
		}
	}
	need := []string{"(request-target)", "host"}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		need = append(need, "digest")
	}
	for _, h := range need {
		if !slices.Contains(covered, h) {
			return unsigned("the signature does not cover %s", h)
		}
	}
	if !slices.Contains(covered, "date") && !slices.Contains(covered, "(created)") {
		return unsigned("the signature covers neither date nor (created)")
	}
	for param, name := range map[string]string{"created": "(created)", "expires": "(expires)"} {
		if (p[param] != "") != slices.Contains(covered, name) {
			return unsigned("%s is given and not signed, or signed and not given", param)
		}
	}
	return nil
}

// checkTimes refuses what was signed too long ago, or in the future.
func checkTimes(r *http.Request, p map[string]string, covered []string, now time.Time) error {
	latest := maxClockSkew
	made := time.Time{}
	if slices.Contains(covered, "(created)") {
		at, err := unixTime(p["created"])
		if err != nil || at.Sub(now) > maxCreated {
			return unsigned("(created) is not a time, or lies in the future")
		}
		made = at
	}
	if slices.Contains(covered, "date") {
		dates := r.Header.Values("Date")
		at, err := http.ParseTime(r.Header.Get("Date"))
		if err != nil || len(dates) != 1 {
			return unsigned("the Date cannot be read")
		}
		if at.Sub(now) > maxClockSkew {
			return unsigned("the Date %s lies in the future; it is %s here", at.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		}
		if made.IsZero() || at.Before(made) {
			made = at
		}
	}
	if slices.Contains(covered, "(expires)") {
		at, err := unixTime(p["expires"])
		if err != nil || at.Before(now) {
			return unsigned("the signature has expired")
		}
		latest = maxExpires
	}
	if now.Sub(made) > latest {
		return unsigned("the request was signed at %s; it is %s here", made.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

func unixTime(s string) (time.Time, error) {
	v, err := strconv.ParseInt(s, 10, 48)
	if err != nil || v <= 0 {
		return time.Time{}, fmt.Errorf("%.30q is not a time", s)
	}
	return time.Unix(v, 0), nil
}

// checkDigest holds the body against RFC 3230's header: SHA-256 or SHA-512 must be there, and each that is must be right.
func checkDigest(headers []string, body []byte) error {
	known := 0
	for _, part := range strings.Split(strings.Join(headers, ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		var sum []byte
		switch strings.ToUpper(name) {
		case "SHA-256":
			s := sha256.Sum256(body)
			sum = s[:]
		case "SHA-512":
			s := sha512.Sum512(body)
			sum = s[:]
		default:
			continue
		}
		got, err := base64.StdEncoding.DecodeString(value)
		if err != nil || subtle.ConstantTimeCompare(got, sum) != 1 {
			return unsigned("the %s digest is not that of the body", name)
		}
		known++
	}
	if known == 0 {
		return unsigned("the request has no SHA-256 digest of its body")
	}
	return nil
}

// algorithms are those that a key may be used with. The key decides, never the header.
func algorithms(key crypto.PublicKey) []httpsig.Algorithm {
	switch key.(type) {
	case *rsa.PublicKey:
		return []httpsig.Algorithm{httpsig.RSA_SHA256, httpsig.RSA_SHA512}
	case ed25519.PublicKey:
		return []httpsig.Algorithm{httpsig.ED25519}
	default:
		return nil
	}
}

// verifyCavage gives httpsig the request as it came over the wire: its path still escaped, and the header without spaces.
func verifyCavage(r *http.Request, p map[string]string, covered []string, key crypto.PublicKey, query bool) error {
	path, rawQuery, _ := strings.Cut(requestURI(r), "?")
	if !query {
		rawQuery = ""
	}
	plain := fmt.Sprintf(`keyId="%s",headers="%s",signature="%s"`, p["keyId"], strings.Join(covered, " "), p["signature"])
	for _, name := range []string{"created", "expires"} {
		if p[name] != "" {
			plain += "," + name + "=" + p[name]
		}
	}
	in := &http.Request{Method: r.Method, Host: r.Host, URL: &url.URL{Path: path, RawQuery: rawQuery}, Header: make(http.Header, len(covered)+2)}
	for _, h := range covered {
		if v := r.Header.Values(h); len(v) > 0 {
			in.Header[http.CanonicalHeaderKey(h)] = v
		}
	}
	in.Header.Set("Host", r.Host)
	in.Header.Set("Signature", plain)
	v, err := httpsig.NewVerifier(in)
	if err != nil {
		return err
	}
	err = errors.New("this kind of key signs no requests")
	for _, a := range algorithms(key) {
		if err = v.Verify(key, a); err == nil {
			return nil
		}
	}
	return err
}

// requestURI is the request's target as it was sent.
func requestURI(r *http.Request) string {
	if r.RequestURI != "" && strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// signCavage signs a request of ours with draft-cavage-http-signatures-12, as all servers take it: a POST over (request-target),
// host, date, digest and content-type, a GET over (request-target), host and date. body is nil for a GET.
func signCavage(r *http.Request, body []byte, keyID string, key crypto.Signer, now time.Time) error {
	r.Header.Set("Date", now.UTC().Format(http.TimeFormat))
	r.Header.Set("Host", r.URL.Host) // for httpsig; net/http sends its own
	defer r.Header.Del("Host")
	covered := []string{"(request-target)", "host", "date"}
	if body != nil {
		covered = append(covered, "digest", "content-type")
		sum := sha256.Sum256(body)
		r.Header.Set("Digest", "SHA-256="+base64.StdEncoding.EncodeToString(sum[:]))
	}
	algorithm := httpsig.RSA_SHA256
	if _, ok := key.(ed25519.PrivateKey); ok {
		algorithm = httpsig.ED25519
	}
	s, _, err := httpsig.NewSigner([]httpsig.Algorithm{algorithm}, httpsig.DigestSha256, covered, httpsig.Signature, 0)
	if err != nil {
		return err
	}
	path, rawQuery, _ := strings.Cut(r.URL.RequestURI(), "?") // httpsig signs the decoded path; what goes over the wire is the escaped one
	signed := &http.Request{Method: r.Method, Host: r.Host, Header: r.Header, URL: &url.URL{Path: path, RawQuery: rawQuery}}
	return s.SignRequest(key, keyID, signed, nil)
}
