package interop

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// forger is an actor that the test plays itself, with a signer that shares no code with either side: what it signs with its own
// key in its own name is good, and everything else that it signs must be refused.
type forger struct {
	*front
	actor, key string // ids
	private    *rsa.PrivateKey
	count      atomic.Int64 // of what it has said, to both stories' servers at once
}

// startForger serves an actor called mallory under the name.
func startForger(t *testing.T, a *authority, name string) *forger {
	t.Helper()
	f := &forger{front: a.newFront(t, name)}
	f.actor = f.origin + "/mallory"
	f.key = f.actor + "#main-key"
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	f.private = private
	spki, err := x509.MarshalPKIXPublicKey(private.Public())
	must(t, err)
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))

	answer := func(mediaType string, v any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			json.NewEncoder(w).Encode(v)
		}
	}
	const activity = "application/activity+json"
	mux := http.NewServeMux()
	mux.Handle("GET /mallory", answer(activity, map[string]any{
		"@context": []any{"https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"},
		"id":       f.actor, "type": "Person", "preferredUsername": "mallory", "name": "Mallory",
		"inbox": f.actor + "/inbox", "outbox": f.actor + "/outbox", "followers": f.actor + "/followers", "following": f.actor + "/following",
		"publicKey": map[string]any{"id": f.key, "owner": f.actor, "publicKeyPem": public},
	}))
	mux.Handle("GET /.well-known/webfinger", answer("application/jrd+json", map[string]any{
		"subject": "acct:mallory@" + f.host(),
		"links":   []any{map[string]any{"rel": "self", "type": activity, "href": f.actor}},
	}))
	mux.HandleFunc("POST /mallory/inbox", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) })
	f.serve(mux)
	return f
}

// claim is one delivery of the forger: who it says did it, and how it is signed.
type claim struct {
	to      *front
	inbox   string // path
	actor   string // who is said to have written the note
	origin  string // of that actor
	mention string // id of the actor spoken to
	words   string
	scheme  string // cavage or rfc9421
	keyID   string
}

// deliver sends a Create of a public note and returns its id and the status of the answer.
func (f *forger) deliver(t *testing.T, c claim) (note string, code int) {
	t.Helper()
	note = fmt.Sprintf("%s/notes/forged-%d", c.origin, f.count.Add(1))
	body, err := json.Marshal(map[string]any{
		"@context": "https://www.w3.org/ns/activitystreams",
		"id":       note + "/create", "type": "Create", "actor": c.actor,
		"to": []string{"https://www.w3.org/ns/activitystreams#Public"}, "cc": []string{c.mention},
		"object": map[string]any{
			"id": note, "type": "Note", "attributedTo": c.actor, "content": "<p>" + c.words + "</p>",
			"published": time.Now().UTC().Format(time.RFC3339),
			"to":        []string{"https://www.w3.org/ns/activitystreams#Public"}, "cc": []string{c.mention},
			"tag": []any{map[string]any{"type": "Mention", "href": c.mention, "name": "@you"}},
		},
	})
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.to.origin+c.inbox, bytes.NewReader(body))
	must(t, err)
	r.Header.Set("Content-Type", "application/activity+json")
	switch c.scheme {
	case "cavage":
		signCavage(t, r, body, c.keyID, f.private)
	case "rfc9421":
		signRFC9421(t, r, body, c.keyID, f.private)
	default:
		t.Fatalf("no scheme is called %q", c.scheme)
	}
	return note, status(t, f.client, r)
}

// signCavage signs as draft-cavage-http-signatures-12 has it.
func signCavage(t *testing.T, r *http.Request, body []byte, keyID string, key *rsa.PrivateKey) {
	t.Helper()
	sum := sha256.Sum256(body)
	r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	r.Header.Set("Digest", "SHA-256="+base64.StdEncoding.EncodeToString(sum[:]))
	text := strings.Join([]string{
		"(request-target): post " + r.URL.RequestURI(),
		"host: " + r.URL.Host,
		"date: " + r.Header.Get("Date"),
		"digest: " + r.Header.Get("Digest"),
		"content-type: " + r.Header.Get("Content-Type"),
	}, "\n")
	r.Header.Set("Signature", fmt.Sprintf(`keyId="%s",algorithm="rsa-sha256",headers="(request-target) host date digest content-type",signature="%s"`,
		keyID, base64.StdEncoding.EncodeToString(signRSA(t, key, text))))
}

// signRFC9421 signs as RFC 9421 has it, in the profile of the fediverse (rsa-v1_5-sha256).
func signRFC9421(t *testing.T, r *http.Request, body []byte, keyID string, key *rsa.PrivateKey) {
	t.Helper()
	sum := sha256.Sum256(body)
	r.Header.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	params := fmt.Sprintf(`("@method" "@target-uri" "content-digest");created=%d;keyid="%s";alg="rsa-v1_5-sha256"`, time.Now().Unix(), keyID)
	text := strings.Join([]string{
		`"@method": POST`,
		`"@target-uri": ` + r.URL.String(),
		`"content-digest": ` + r.Header.Get("Content-Digest"),
		`"@signature-params": ` + params,
	}, "\n")
	r.Header.Set("Signature-Input", "sig1="+params)
	r.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(signRSA(t, key, text))+":")
}

func signRSA(t *testing.T, key *rsa.PrivateKey, text string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	b, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	must(t, err)
	return b
}

// path is the path of an address.
func path(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u.Path
}

// fitDigest makes the digests true again for another body; the signature over them cannot follow.
func fitDigest(h http.Header, body []byte) {
	sum := sha256.Sum256(body)
	text := base64.StdEncoding.EncodeToString(sum[:])
	if h.Get("Digest") != "" {
		h.Set("Digest", "SHA-256="+text)
	}
	if h.Get("Content-Digest") != "" {
		h.Set("Content-Digest", "sha-256=:"+text+":")
	}
}
