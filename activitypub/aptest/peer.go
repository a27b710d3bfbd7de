package aptest

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gowebpki/jcs"
	"github.com/mr-tron/base58"
)

// Peer is another server with one actor, written without any code of ours: what it sends and signs is what the test says.
type Peer struct {
	Origin string // as in https://far.example
	Name   string
	KeyID  string
	Key    crypto.Signer // RSA or Ed25519
	Now    func() time.Time
	Extra  map[string]any     // added to the actor's document
	Ed     ed25519.PrivateKey // signs what lasts (FEP-8b32); it stands in the actor's document as #ed25519-key; nil: none
	EdText string             // its Multikey

	mu       sync.Mutex
	received []json.RawMessage
	Answer   int // status of its inbox; 0 is 202
}

// NewPeer makes a peer that signs with an RSA key of the pool, or with Ed25519 when fast is set.
func NewPeer(origin, name string, pool int, fast bool) *Peer {
	p := &Peer{Origin: origin, Name: name, KeyID: origin + "/users/" + name + "#main-key", Now: time.Now}
	private := Key(pool).RSAPrivate
	if fast {
		private = Key(pool).EdPrivate
	}
	block, _ := pem.Decode([]byte(private))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil
	}
	p.Key = key.(crypto.Signer)
	return p
}

// NewProver makes a peer that signs requests with an RSA key of the pool, and with an Ed25519 key what lasts.
func NewProver(origin, name string, pool int) *Peer {
	return NewPeer(origin, name, pool, false).Proves(pool)
}

// Proves gives the peer an Ed25519 key of the pool for what lasts.
func (p *Peer) Proves(pool int) *Peer {
	block, _ := pem.Decode([]byte(Key(pool).EdPrivate))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil
	}
	p.Ed, p.EdText = key.(ed25519.PrivateKey), Key(pool).EdPublic
	return p
}

// ID is the id of the peer's actor.
func (p *Peer) ID() string { return p.Origin + "/users/" + p.Name }

// Document is the peer's actor.
func (p *Peer) Document() map[string]any {
	der, _ := x509.MarshalPKIXPublicKey(p.Key.Public())
	m := map[string]any{
		"@context": []any{"https://www.w3.org/ns/activitystreams", "https://w3id.org/security/v1"}, "id": p.ID(), "type": "Person",
		"preferredUsername": p.Name, "name": p.Name, "inbox": p.ID() + "/inbox", "outbox": p.ID() + "/outbox", "followers": p.ID() + "/followers",
		"publicKey": map[string]any{"id": p.KeyID, "owner": p.ID(),
			"publicKeyPem": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
	}
	if p.Ed != nil {
		m["assertionMethod"] = []any{map[string]any{"id": p.ID() + "#ed25519-key", "type": "Multikey", "controller": p.ID(), "publicKeyMultibase": p.EdText}}
	}
	for k, v := range p.Extra {
		m[k] = v
	}
	return m
}

// Proven is a document with an integrity proof by the peer (FEP-8b32, eddsa-jcs-2022).
func (p *Peer) Proven(doc map[string]any) []byte { return p.ProvenBy(doc, p.ID()+"#ed25519-key", p.Ed) }

// ProvenBy is Proven with another key, or another name of it.
func (p *Peer) ProvenBy(doc map[string]any, method string, key ed25519.PrivateKey) []byte {
	config := map[string]any{"@context": doc["@context"], "type": "DataIntegrityProof", "cryptosuite": "eddsa-jcs-2022", "created": p.Now().UTC().Format(time.RFC3339),
		"verificationMethod": method, "proofPurpose": "assertionMethod"}
	hash := func(v any) []byte {
		raw, _ := json.Marshal(v)
		canonical, _ := jcs.Transform(raw)
		sum := sha256.Sum256(canonical)
		return sum[:]
	}
	out := map[string]any{}
	for k, v := range doc {
		out[k] = v
	}
	config["proofValue"] = "z" + base58.Encode(ed25519.Sign(key, append(hash(config), hash(doc)...)))
	out["proof"] = config
	raw, _ := json.Marshal(out)
	return raw
}

// PaymentOffer is an Offer of an EconomicEvent by the peer to a ledger, without a proof; more is laid over the event.
func (p *Peer) PaymentOffer(id, ledger, currency, payee, amount string, more map[string]any) map[string]any {
	event := map[string]any{"type": "EconomicEvent", "action": "transfer", "provider": p.ID(), "receiver": payee, "resourceConformsTo": currency,
		"resourceQuantity": map[string]any{"hasUnit": "one", "hasNumericalValue": amount}}
	for k, v := range more {
		event[k] = v
	}
	now := p.Now().UTC()
	return map[string]any{"@context": []any{"https://www.w3.org/ns/activitystreams", "https://w3id.org/security/data-integrity/v1"}, "id": p.ID() + "/activities/" + id, "type": "Offer", "actor": p.ID(),
		"to": []any{ledger}, "cc": []any{payee}, "target": ledger, "published": now.Format(time.RFC3339), "endTime": now.Add(15 * time.Minute).Format(time.RFC3339), "object": event}
}

// ServeHTTP answers for the peer: its actor, WebFinger and its inbox.
func (p *Peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/.well-known/webfinger":
		u, _ := url.Parse(p.Origin)
		w.Header().Set("Content-Type", "application/jrd+json")
		_ = json.NewEncoder(w).Encode(map[string]any{"subject": "acct:" + p.Name + "@" + u.Host,
			"links": []any{map[string]any{"rel": "self", "type": "application/activity+json", "href": p.ID()}}})
	case r.Method == http.MethodGet && r.URL.Path == "/users/"+p.Name:
		w.Header().Set("Content-Type", "application/activity+json")
		_ = json.NewEncoder(w).Encode(p.Document())
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/inbox"):
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.Answer == 0 || p.Answer < 300 {
			p.received = append(p.received, body)
		}
		if p.Answer != 0 {
			w.WriteHeader(p.Answer)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		http.NotFound(w, r)
	}
}

// Received are the activities that came to the peer's inbox.
func (p *Peer) Received() []json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]json.RawMessage(nil), p.received...)
}

// Note is a Create of a Note by the peer with ids of its own, addressed to the public and to those named.
func (p *Peer) Note(id, text string, to ...string) map[string]any {
	var tags []any
	for _, t := range to {
		tags = append(tags, map[string]any{"type": "Mention", "href": t, "name": "@someone"})
	}
	note := map[string]any{"id": p.ID() + "/notes/" + id, "type": "Note", "attributedTo": p.ID(), "content": "<p>" + text + "</p>",
		"to": []any{"https://www.w3.org/ns/activitystreams#Public"}, "cc": to, "tag": tags, "published": p.Now().UTC().Format(time.RFC3339)}
	return p.Activity("Create", id, note)
}

// Activity is any activity by the peer.
func (p *Peer) Activity(kind, id string, object any) map[string]any {
	return map[string]any{"@context": "https://www.w3.org/ns/activitystreams", "id": p.ID() + "/activities/" + id, "type": kind, "actor": p.ID(), "object": object}
}

// Request is a POST of an activity to an inbox, signed by draft-cavage with RSA-SHA256 or Ed25519.
func (p *Peer) Request(inbox string, activity any) *http.Request {
	body, ok := activity.([]byte)
	if !ok {
		body, _ = json.Marshal(activity)
	}
	r, err := http.NewRequest(http.MethodPost, inbox, bytes.NewReader(body))
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(body)
	r.Header.Set("Content-Type", "application/activity+json")
	r.Header.Set("Date", p.Now().UTC().Format(http.TimeFormat))
	r.Header.Set("Digest", "SHA-256="+base64.StdEncoding.EncodeToString(sum[:]))
	p.Sign(r, "(request-target)", "host", "date", "digest", "content-type")
	return r
}

// Sign covers the named headers, by draft-cavage-http-signatures-12.
func (p *Peer) Sign(r *http.Request, headers ...string) {
	var lines []string
	for _, h := range headers {
		v := r.Header.Get(h)
		switch h {
		case "(request-target)":
			v = strings.ToLower(r.Method) + " " + r.URL.RequestURI()
		case "host":
			v = r.URL.Host
		}
		lines = append(lines, h+": "+v)
	}
	text := []byte(strings.Join(lines, "\n"))
	var sig []byte
	switch k := p.Key.(type) {
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, text)
	case *rsa.PrivateKey:
		sum := sha256.Sum256(text)
		sig, _ = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	}
	r.Header.Set("Signature", fmt.Sprintf(`keyId="%s",algorithm="hs2019",headers="%s",signature="%s"`, p.KeyID, strings.Join(headers, " "), base64.StdEncoding.EncodeToString(sig)))
}
