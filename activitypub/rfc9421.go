package activitypub

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// parseRFC9421 reads an HTTP message signature (RFC 9421) as the fediverse uses it: one signature, with created and keyid, over
// @method, @target-uri (or @authority with @path and @query) and, where there is a body, content-digest.
func parseRFC9421(r *http.Request, body []byte, c verifyContext) (*signature, error) {
	malformed := func(what string) error {
		return &signatureError{http.StatusBadRequest, "the " + what + " header is malformed or holds more than one signature"}
	}
	inputs, err := httpsfv.UnmarshalDictionary(r.Header.Values("Signature-Input"))
	if err != nil || len(inputs.Names()) != 1 {
		return nil, malformed("Signature-Input")
	}
	sigs, err := httpsfv.UnmarshalDictionary(r.Header.Values("Signature"))
	if err != nil || len(sigs.Names()) != 1 || sigs.Names()[0] != inputs.Names()[0] {
		return nil, malformed("Signature")
	}
	if commas, semicolons := separators(r.Header.Values("Signature")); commas+semicolons > 0 {
		return nil, malformed("Signature")
	}
	label := inputs.Names()[0]
	m, _ := inputs.Get(label)
	list, ok := m.(httpsfv.InnerList)
	if !ok {
		return nil, malformed("Signature-Input")
	}
	params := len(list.Params.Names())
	for _, component := range list.Items {
		params += len(component.Params.Names())
	}
	if commas, semicolons := separators(r.Header.Values("Signature-Input")); commas > 0 || semicolons != params {
		return nil, malformed("Signature-Input") // something stands there twice
	}
	m, _ = sigs.Get(label)
	item, _ := m.(httpsfv.Item)
	sig, ok := item.Value.([]byte)
	if !ok {
		return nil, malformed("Signature")
	}
	keyID, _ := list.Params.Get("keyid")
	id, _ := keyID.(string)
	if err := checkKeyID(id); err != nil {
		return nil, err
	}
	if err := checkTimes9421(list.Params, c.Now); err != nil {
		return nil, err
	}
	base, covered, err := signatureBase(r, list, c.Origin)
	if err != nil {
		return nil, unsigned("%v", err)
	}
	target := slices.Contains(covered, "@target-uri") ||
		slices.Contains(covered, "@authority") && (slices.Contains(covered, "@request-target") || slices.Contains(covered, "@path") && (r.URL.RawQuery == "" || slices.Contains(covered, "@query")))
	if !slices.Contains(covered, "@method") || !target {
		return nil, unsigned("the signature does not cover @method and @target-uri")
	}
	if body != nil {
		if !slices.Contains(covered, "content-digest") {
			return nil, unsigned("the signature does not cover content-digest")
		}
		if err := checkContentDigest(r.Header.Values("Content-Digest"), body); err != nil {
			return nil, err
		}
	}
	algorithm, _ := list.Params.Get("alg")
	named, _ := algorithm.(string)
	return &signature{Scheme: schemeRFC9421, KeyID: id, verify: func(key crypto.PublicKey) error {
		return verifyBase(base, sig, key, named)
	}}, nil
}

// separators counts the commas and semicolons of a structured field outside of strings. RFC 9651 lets the last of two members or
// parameters with one name win, and the parser does not tell; whoever reads the first one would be told something else.
func separators(values []string) (commas, semicolons int) {
	quoted := false
	field := strings.Join(values, ",")
	for i := 0; i < len(field); i++ {
		switch b := field[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == ',':
			commas++
		case b == ';':
			semicolons++
		}
	}
	return commas, semicolons
}

func checkTimes9421(p *httpsfv.Params, now time.Time) error {
	created, _ := p.Get("created")
	at, ok := created.(int64)
	if !ok {
		return unsigned("the signature says not when it was created")
	}
	made := time.Unix(at, 0)
	if made.Sub(now) > maxCreated {
		return unsigned("the signature was created in the future")
	}
	latest := maxClockSkew
	if e, given := p.Get("expires"); given {
		until, ok := e.(int64)
		if !ok || time.Unix(until, 0).Before(now) {
			return unsigned("the signature has expired")
		}
		latest = maxExpires
	}
	if now.Sub(made) > latest {
		return unsigned("the request was signed at %s; it is %s here", made.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// signatureBase is what is signed (RFC 9421 §2.5). Components with parameters are refused: nobody sends them, and each is
// one more way to say something else.
func signatureBase(r *http.Request, list httpsfv.InnerList, origin string) (base string, covered []string, err error) {
	var b strings.Builder
	for _, item := range list.Items {
		name, ok := item.Value.(string)
		if !ok || item.Params != nil && len(item.Params.Names()) > 0 {
			return "", nil, errors.New("a covered component is not a plain name")
		}
		if slices.Contains(covered, name) {
			return "", nil, fmt.Errorf("the signature covers %.40q twice", name)
		}
		value, err := component(r, name, origin)
		if err != nil {
			return "", nil, err
		}
		covered = append(covered, name)
		b.WriteString(`"` + name + `": ` + value + "\n")
	}
	params, err := httpsfv.Marshal(list)
	if err != nil {
		return "", nil, err
	}
	b.WriteString(`"@signature-params": ` + params)
	return b.String(), covered, nil
}

// component is the value of a covered component (RFC 9421 §2.1, §2.2). The target is that of our origin: TLS may end before us.
func component(r *http.Request, name, origin string) (string, error) {
	uri := requestURI(r)
	path, query, _ := strings.Cut(uri, "?")
	switch name {
	case "@method":
		return r.Method, nil
	case "@target-uri":
		return origin + uri, nil
	case "@authority":
		u, err := url.Parse(origin)
		if err != nil {
			return "", err
		}
		return strings.ToLower(u.Host), nil
	case "@scheme":
		scheme, _, _ := strings.Cut(origin, ":")
		return scheme, nil
	case "@request-target":
		return uri, nil
	case "@path":
		return path, nil
	case "@query":
		return "?" + query, nil
	}
	if strings.HasPrefix(name, "@") || name != strings.ToLower(name) {
		return "", fmt.Errorf("the component %.40q is not known", name)
	}
	values := r.Header.Values(name)
	if name == "host" && len(values) == 0 {
		values = []string{r.Host}
	}
	if name == "content-length" && len(values) == 0 && r.ContentLength >= 0 {
		values = []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	if len(values) == 0 {
		return "", fmt.Errorf("the signature covers %.40q, which is not there", name)
	}
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = strings.TrimSpace(v)
	}
	return strings.Join(trimmed, ", "), nil
}

// checkContentDigest holds the body against RFC 9530's header: sha-256 or sha-512 must be there, and each that is must be right.
func checkContentDigest(headers []string, body []byte) error {
	d, err := httpsfv.UnmarshalDictionary(headers)
	if err != nil {
		return unsigned("the Content-Digest cannot be read")
	}
	if commas, _ := separators(headers); commas != len(d.Names())-1 {
		return unsigned("the Content-Digest names something twice")
	}
	known := 0
	for _, name := range d.Names() {
		var sum []byte
		switch name {
		case "sha-256":
			s := sha256.Sum256(body)
			sum = s[:]
		case "sha-512":
			s := sha512.Sum512(body)
			sum = s[:]
		default:
			continue
		}
		m, _ := d.Get(name)
		item, _ := m.(httpsfv.Item)
		if got, ok := item.Value.([]byte); !ok || !slices.Equal(got, sum) {
			return unsigned("the %s digest is not that of the body", name)
		}
		known++
	}
	if known == 0 {
		return unsigned("the request has no sha-256 digest of its body")
	}
	return nil
}

// verifyBase checks a signature with the algorithm of the key; a named one must be that of the key.
func verifyBase(base string, sig []byte, key crypto.PublicKey, named string) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		sum256, sum512 := sha256.Sum256([]byte(base)), sha512.Sum512([]byte(base))
		switch named {
		case "", "rsa-v1_5-sha256":
			return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum256[:], sig)
		case "rsa-pss-sha512":
			return rsa.VerifyPSS(k, crypto.SHA512, sum512[:], sig, &rsa.PSSOptions{SaltLength: 64})
		}
	case ed25519.PublicKey:
		if named != "" && named != "ed25519" {
			break
		}
		if !ed25519.Verify(k, []byte(base), sig) {
			return errors.New("the signature does not fit")
		}
		return nil
	}
	return fmt.Errorf("the algorithm %.40q does not go with the key", named)
}

// signRFC9421 signs a request of ours with an HTTP message signature: @method and @target-uri, and for a POST content-digest and
// content-type. body is nil for a GET.
func signRFC9421(r *http.Request, body []byte, keyID string, key crypto.Signer, now time.Time) error {
	names := []string{"@method", "@target-uri"}
	if body != nil {
		sum := sha256.Sum256(body)
		r.Header.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		names = append(names, "content-digest", "content-type")
	}
	list := httpsfv.InnerList{Params: httpsfv.NewParams()}
	for _, name := range names {
		list.Items = append(list.Items, httpsfv.NewItem(name))
	}
	list.Params.Add("created", now.Unix())
	list.Params.Add("keyid", keyID)
	return signList(r, list, "sig1", key, r.URL.Scheme+"://"+r.URL.Host)
}

// signList signs a list of components under a label.
func signList(r *http.Request, list httpsfv.InnerList, label string, key crypto.Signer, origin string) error {
	base, _, err := signatureBase(r, list, origin)
	if err != nil {
		return err
	}
	var sig []byte
	switch k := key.(type) {
	case *rsa.PrivateKey:
		sum := sha256.Sum256([]byte(base))
		sig, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(base))
	default:
		err = fmt.Errorf("a key of type %T signs no requests", key)
	}
	if err != nil {
		return err
	}
	params, err := httpsfv.Marshal(list)
	if err != nil {
		return err
	}
	r.Header.Set("Signature-Input", label+"="+params)
	r.Header.Set("Signature", label+"=:"+base64.StdEncoding.EncodeToString(sig)+":")
	return nil
}
