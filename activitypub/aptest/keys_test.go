package aptest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"os"
	"testing"

	"github.com/mr-tron/base58"
)

var update = flag.Bool("update", false, "draw the pool of keys anew")

const pairs = 24

// TestPoolHoldsMatchingPairs keeps the pool honest: the public halves belong to the private ones, and no two are alike.
func TestPoolHoldsMatchingPairs(t *testing.T) {
	if *update {
		drawPool(t)
	}
	seen := map[string]bool{}
	for i := range pairs {
		k := Key(i)
		if seen[k.RSAPublic] || seen[k.EdPublic] {
			t.Fatalf("pair %d stands in the pool twice", i)
		}
		seen[k.RSAPublic], seen[k.EdPublic] = true, true
		if got := publicPEM(t, private[*rsa.PrivateKey](t, k.RSAPrivate).Public()); got != k.RSAPublic {
			t.Errorf("pair %d: the RSA halves do not belong together", i)
		}
		if got := multikey(private[ed25519.PrivateKey](t, k.EdPrivate).Public().(ed25519.PublicKey)); got != k.EdPublic {
			t.Errorf("pair %d: the Ed25519 halves do not belong together", i)
		}
	}
}

func private[K any](t *testing.T, text string) K {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no PEM block")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	k, ok := key.(K)
	if !ok {
		t.Fatalf("a key of type %T", key)
	}
	return k
}

func privatePEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func publicPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func multikey(key ed25519.PublicKey) string {
	return "z" + base58.Encode(append([]byte{0xed, 0x01}, key...))
}

func drawPool(t *testing.T) {
	t.Helper()
	var keys []Keys
	for range pairs {
		r, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		public, e, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, Keys{
			RSAPrivate: privatePEM(t, r), RSAPublic: publicPEM(t, r.Public()),
			EdPrivate: privatePEM(t, e), EdPublic: multikey(public),
		})
	}
	raw, err := json.MarshalIndent(keys, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/keys.json", append(raw, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	pooled = raw
}
