package activitypub

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/mr-tron/base58"

	"planet/storage"
)

// What a key of another server may be.
const (
	minRSABits     = 1024 // old accounts elsewhere still have such keys; ours have 2048
	maxRSABits     = 8192 // a longer one only costs time
	maxKeyText     = 16 << 10
	maxKeysOfActor = 10 // of each kind (Mastodon)
)

// multikeyEd25519 begins the bytes of an Ed25519 Multikey (FEP-521a).
var multikeyEd25519 = []byte{0xed, 0x01}

// generateKeys makes what an actor of this node signs with: RSA-2048 for requests as PKCS#8 and SPKI PEM, Ed25519 for objects as
// PKCS#8 PEM and Multikey.
func generateKeys() (rsaPrivate, rsaPublic, edPrivate, edPublic string, err error) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", "", "", "", err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", "", "", err
	}
	if rsaPrivate, err = privatePEM(r); err != nil {
		return "", "", "", "", err
	}
	if edPrivate, err = privatePEM(private); err != nil {
		return "", "", "", "", err
	}
	spki, err := x509.MarshalPKIXPublicKey(&r.PublicKey)
	if err != nil {
		return "", "", "", "", err
	}
	rsaPublic = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	return rsaPrivate, rsaPublic, edPrivate, multikey(public), nil
}

func privatePEM(key any) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// multikey is the publicKeyMultibase of an Ed25519 key: it starts with z6Mk.
func multikey(k ed25519.PublicKey) string {
	return "z" + base58.Encode(append(append([]byte(nil), multikeyEd25519...), k...))
}

// parsePrivateKey reads a PKCS#8 PEM of our own.
func parsePrivateKey(s string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(s))
	if block == nil {
		return nil, errors.New("the private key is no PEM block")
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	switch k := k.(type) {
	case *rsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	default:
		return nil, fmt.Errorf("a private key of type %T is not used here", k)
	}
}

// parsePublicKey reads a key of an actor: one PEM block (SPKI, or PKCS#1) with an RSA or Ed25519 key, or an Ed25519 Multikey.
// All else is refused: private keys, several blocks, text around them, other algorithms.
func parsePublicKey(s string) (crypto.PublicKey, error) {
	if len(s) > maxKeyText {
		return nil, errors.New("the key is too long")
	}
	if strings.HasPrefix(s, "z") {
		b, err := base58.Decode(s[1:])
		if err != nil || len(b) != len(multikeyEd25519)+ed25519.PublicKeySize || b[0] != multikeyEd25519[0] || b[1] != multikeyEd25519[1] {
			return nil, errors.New("the key is not an Ed25519 Multikey")
		}
		return ed25519.PublicKey(b[2:]), nil
	}
	s = strings.TrimSpace(s)
	block, rest := pem.Decode([]byte(s))
	if block == nil || !strings.HasPrefix(s, "-----BEGIN ") {
		return nil, errors.New("the key is neither a PEM block nor a Multikey")
	}
	if len(strings.TrimSpace(string(rest))) > 0 {
		return nil, errors.New("there is something after the key")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("a PEM block %.40q is not a public key", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("the key cannot be read: %w", err)
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSABits || n > maxRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits is not used: %d to %d are", n, minRSABits, maxRSABits)
		}
		if k.E < 3 || k.E%2 == 0 || k.N.Bit(0) == 0 { // with 1, anybody signs
			return nil, fmt.Errorf("an RSA key with the exponent %d or an even modulus is not used", k.E)
		}
		return k, nil
	case ed25519.PublicKey:
		return k, nil
	default:
		return nil, fmt.Errorf("a key of type %T is not used: RSA and Ed25519 are", k)
	}
}

// actorKey is a key as a document lists it.
type actorKey struct {
	ID     string
	Owner  string
	Kind   string // storage.KeyRSA or storage.KeyEd25519
	Public string // as storage.Key keeps it
}

// keysFromDocument reads the keys that an actor's document lists: publicKey as an object or a list, whatever the form of its id
// (a fragment, a path as GoToSocial's, the actor's own id as Hubzilla's), and assertionMethod with Multikeys (FEP-521a). Keys that
// this node cannot use are left out: another key of the same actor may do.
func keysFromDocument(raw []byte) ([]actorKey, error) {
	o := parseObject(raw)
	if o == nil {
		return nil, errors.New("the document is no JSON object")
	}
	var out []actorKey
	add := func(k actorKey) {
		public, err := parsePublicKey(k.Public)
		if err != nil || k.ID == "" {
			return
		}
		k.Kind = storage.KeyRSA
		if _, ok := public.(ed25519.PublicKey); ok {
			k.Kind = storage.KeyEd25519
		}
		for _, other := range out {
			if other.ID == k.ID {
				return
			}
		}
		out = append(out, k)
	}
	for i, r := range o.list("publicKey") {
		if k := parseObject(r); k != nil && i < maxKeysOfActor {
			add(actorKey{ID: k.str("id"), Owner: string(k.iri("owner")), Public: k.str("publicKeyPem")})
		}
	}
	for i, r := range o.list("assertionMethod") {
		if k := parseObject(r); k != nil && i < maxKeysOfActor {
			add(actorKey{ID: k.str("id"), Owner: string(k.iri("controller")), Public: k.str("publicKeyMultibase")})
		}
	}
	return out, nil
}
