package activitypub

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"planet/storage"
)

// pemOf is a block of PEM around a key.
func pemOf(t testing.TB, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func spki(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	return pemOf(t, "PUBLIC KEY", der, err)
}

// pkcs1 writes an RSA key as PKCS#1 does, whatever its numbers are.
func pkcs1(t testing.TB, n *big.Int, e int64) string {
	t.Helper()
	der, err := asn1.Marshal(struct{ N, E *big.Int }{n, big.NewInt(e)})
	return pemOf(t, "RSA PUBLIC KEY", der, err)
}

func TestPublicKeysThatAreReadAndRefused(t *testing.T) {
	r, e := pooledKeys(t, 0)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := spki(t, r.Public())
	rsaDER, err := x509.MarshalPKCS8PrivateKey(r)
	private := pemOf(t, "PRIVATE KEY", rsaDER, err)
	odd := func(bits int) *big.Int { // an odd number of so many bits, good enough to be read
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return n.Add(n, big.NewInt(1))
	}
	id := multikey(e.Public().(ed25519.PublicKey))
	for _, c := range []struct {
		name string
		text string
		want string // the kind of key; "" when it is refused
	}{
		{"RSA as SPKI: Mastodon, Pleroma and most others", good, "*rsa.PublicKey"},
		{"RSA as SPKI with empty lines after it: Pleroma", good + "\n\n", "*rsa.PublicKey"},
		{"RSA as SPKI without a last line break", strings.TrimSpace(good), "*rsa.PublicKey"},
		{"RSA as SPKI with Windows line breaks", strings.ReplaceAll(good, "\n", "\r\n"), "*rsa.PublicKey"},
		{"RSA as PKCS#1: Mobilizon", pkcs1(t, r.N, int64(r.E)) + "\n", "*rsa.PublicKey"},
		{"RSA of 1024 bits: old accounts", pkcs1(t, odd(1024), 65537), "*rsa.PublicKey"},
		{"RSA of 4096 bits: Gancio", pkcs1(t, odd(4096), 65537), "*rsa.PublicKey"},
		{"RSA with the exponent 3", pkcs1(t, odd(2048), 3), "*rsa.PublicKey"},
		{"Ed25519 as SPKI", spki(t, e.Public()), "ed25519.PublicKey"},
		{"Ed25519 as Multikey", id, "ed25519.PublicKey"},

		{"RSA of 1023 bits", pkcs1(t, odd(1023), 65537), ""},
		{"RSA of 512 bits", pkcs1(t, odd(512), 65537), ""},
		{"RSA of 8193 bits", pkcs1(t, odd(8193), 65537), ""},
		{"RSA with the exponent 1", pkcs1(t, odd(2048), 1), ""},
		{"RSA with the exponent 2", pkcs1(t, odd(2048), 2), ""},
		{"RSA with an even exponent", pkcs1(t, odd(2048), 65536), ""},
		{"RSA with the exponent 0", pkcs1(t, odd(2048), 0), ""},
		{"RSA with a negative exponent", pkcs1(t, odd(2048), -3), ""},
		{"RSA with a huge exponent", pkcs1(t, odd(2048), 1<<40+1), ""},
		{"RSA with a negative modulus", pkcs1(t, new(big.Int).Neg(odd(2048)), 65537), ""},
		{"RSA with the modulus 0", pkcs1(t, big.NewInt(0), 65537), ""},
		{"RSA with an even modulus", pkcs1(t, new(big.Int).Add(odd(2048), big.NewInt(1)), 65537), ""},
		{"SIG024 an EC key", spki(t, ec.Public()), ""},
		{"SIG024 a private key", private, ""},
		{"SIG024 a private key called public", strings.ReplaceAll(private, "PRIVATE", "PUBLIC"), ""},
		{"SIG024 a public key called a certificate", strings.ReplaceAll(good, "PUBLIC KEY", "CERTIFICATE"), ""},
		{"SIG024 SPKI called PKCS#1", strings.ReplaceAll(good, "PUBLIC KEY", "RSA PUBLIC KEY"), ""},
		{"SIG024 two keys", good + good, ""},
		{"SIG024 text after the key", good + "x", ""},
		{"SIG024 text before the key", "x\n" + good, ""},
		{"SIG024 nothing", "", ""},
		{"SIG024 spaces", " \n ", ""},
		{"SIG024 a block without bytes", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", ""},
		{"SIG024 half a block", good[:len(good)/2], ""},
		{"SIG024 bytes after the key within the block", pemOf(t, "PUBLIC KEY", append(block(t, good), 0), nil), ""},
		{"SIG024 a long text", good + strings.Repeat("\n", maxKeyText), ""},
		{"a Multikey in another base", "u" + id[1:], ""},
		{"a Multikey of another kind: secp256k1", "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme", ""},
		{"a Multikey that is cut short", id[:20], ""},
		{"a Multikey with more behind it", id + "111", ""},
		{"a Multikey of the secret", vectorSecret, ""},
		{"a Multikey with a letter that base58 has not", id[:10] + "0" + id[11:], ""},
		{"a long Multikey", "z" + strings.Repeat("2", maxKeyText), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := parsePublicKey(c.text)
			got := ""
			if err == nil {
				got = fmt.Sprintf("%T", key)
			}
			if got != c.want {
				t.Errorf("%q %v, want %q", got, err, c.want)
			}
		})
	}
}

func block(t testing.TB, text string) []byte {
	t.Helper()
	b, _ := pem.Decode([]byte(text))
	return b.Bytes
}

// With the exponent 1 the signature is the padded hash itself: anybody makes it, without any secret.
func TestASignatureByTheExponentOneIsNobodys(t *testing.T) {
	r, _ := pooledKeys(t, 0)
	key := &rsa.PublicKey{N: r.N, E: 1}
	base := "anything"
	em := forged([]byte(base), key.Size())
	if verifyBase(base, em, key, "") == nil {
		t.Error("it holds")
	}
}

// The keys that documents of real servers list, in their shapes (the ids and keys are ours).
func TestTheKeysOfADocument(t *testing.T) {
	r, e := pooledKeys(t, 0)
	r2, _ := pooledKeys(t, 1)
	quoted := func(s string) string { return `"` + strings.ReplaceAll(s, "\n", `\n`) + `"` }
	p8, p1, second := quoted(spki(t, r.Public())), quoted(pkcs1(t, r.N, int64(r.E))), quoted(spki(t, r2.Public()))
	small := quoted(pkcs1(t, new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 511), big.NewInt(1)), 65537))
	mk := quoted(multikey(e.Public().(ed25519.PublicKey)))
	const a = "https://far.example/users/ann"
	pk := func(id, owner, key string) string {
		return `{"id":"` + id + `","owner":"` + owner + `","publicKeyPem":` + key + `}`
	}
	am := func(id, controller string) string {
		return `{"id":"` + id + `","type":"Multikey","controller":"` + controller + `","publicKeyMultibase":` + mk + `}`
	}
	many := func(n int, one func(i int) string) string {
		var all []string
		for i := range n {
			all = append(all, one(i))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	for _, c := range []struct {
		name string
		doc  string
		want string // "kind id owner", one a line
	}{
		{"Mastodon: an object", `{"publicKey":` + pk(a+"#main-key", a, p8) + `}`, "rsa " + a + "#main-key " + a},
		{"Mobilizon: PKCS#1", `{"publicKey":` + pk(a+"#main-key", a, p1+"") + `}`, "rsa " + a + "#main-key " + a},
		{"GoToSocial: a path", `{"publicKey":` + pk(a+"/main-key", a, p8) + `}`, "rsa " + a + "/main-key " + a},
		{"Hubzilla: the actor's own id", `{"publicKey":` + pk(a, a, p8) + `}`, "rsa " + a + " " + a},
		{"a list of keys", `{"publicKey":[` + pk(a+"#k1", a, p8) + `,` + pk(a+"#k2", a, second) + `]}`, "rsa " + a + "#k1 " + a + "\nrsa " + a + "#k2 " + a},
		{"a list of one", `{"publicKey":[` + pk(a+"#k1", a, p8) + `]}`, "rsa " + a + "#k1 " + a},
		{"an owner that is an object", `{"publicKey":{"id":"` + a + `#k1","owner":{"id":"` + a + `"},"publicKeyPem":` + p8 + `}}`, "rsa " + a + "#k1 " + a},
		{"a type and other properties beside it", `{"publicKey":{"type":"Key","created":"2026-01-01T00:00:00Z","id":"` + a + `#k1","owner":"` + a + `","publicKeyPem":` + p8 + `}}`, "rsa " + a + "#k1 " + a},
		{"Mitra: RSA and a Multikey", `{"publicKey":` + pk(a+"#main-key", a, p8) + `,"assertionMethod":[` + am(a+"#ed25519-key", a) + `]}`, "rsa " + a + "#main-key " + a + "\ned25519 " + a + "#ed25519-key " + a},
		{"a Multikey that is an object", `{"assertionMethod":` + am(a+"#ed25519-key", a) + `}`, "ed25519 " + a + "#ed25519-key " + a},
		{"a Multikey that is a reference", `{"assertionMethod":"` + a + `#ed25519-key"}`, ""},
		{"a reference beside a Multikey", `{"assertionMethod":["` + a + `#other",` + am(a+"#ed25519-key", a) + `]}`, "ed25519 " + a + "#ed25519-key " + a},
		{"a publicKey that is a reference", `{"publicKey":"` + a + `/main-key"}`, ""},
		{"a key of Ed25519 as PEM", `{"publicKey":` + pk(a+"#k1", a, quoted(spki(t, e.Public()))) + `}`, "ed25519 " + a + "#k1 " + a},
		{"a key that is too small, and one that is not", `{"publicKey":[` + pk(a+"#k1", a, small) + `,` + pk(a+"#k2", a, p8) + `]}`, "rsa " + a + "#k2 " + a},
		{"a key without an id", `{"publicKey":{"owner":"` + a + `","publicKeyPem":` + p8 + `}}`, ""},
		{"a key without an owner: whoever stores it refuses", `{"publicKey":{"id":"` + a + `#k1","publicKeyPem":` + p8 + `}}`, "rsa " + a + "#k1 "},
		{"a key without its text", `{"publicKey":{"id":"` + a + `#k1","owner":"` + a + `"}}`, ""},
		{"the same id twice: the first is it", `{"publicKey":[` + pk(a+"#k1", a, p8) + `,` + pk(a+"#k1", a, second) + `],"assertionMethod":` + am(a+"#k1", a) + `}`, "rsa " + a + "#k1 " + a},
		{"no keys", `{"id":"` + a + `"}`, ""},
		{"null", `{"publicKey":null,"assertionMethod":null}`, ""},
		{"numbers and lists of lists", `{"publicKey":[7,[[]],null,true],"assertionMethod":7}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := keysFromDocument([]byte(c.doc))
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, k := range keys {
				lines = append(lines, k.Kind+" "+k.ID+" "+k.Owner)
				if _, err := parsePublicKey(k.Public); err != nil {
					t.Errorf("what is kept of %s cannot be read again: %v", k.ID, err)
				}
			}
			if got := strings.Join(lines, "\n"); got != c.want {
				t.Errorf("%s\nwant\n%s", got, c.want)
			}
		})
	}
	t.Run("of a hundred keys the first ten of each kind", func(t *testing.T) {
		doc := `{"publicKey":` + many(100, func(i int) string { return pk(fmt.Sprintf("%s#r%d", a, i), a, p8) }) +
			`,"assertionMethod":` + many(100, func(i int) string { return am(fmt.Sprintf("%s#e%d", a, i), a) }) + `}`
		keys, err := keysFromDocument([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]int{}
		for _, k := range keys {
			kinds[k.Kind]++
		}
		if kinds[storage.KeyRSA] != 10 || kinds[storage.KeyEd25519] != 10 {
			t.Errorf("%v, want 10 of each", kinds)
		}
	})
	for _, doc := range []string{``, `[]`, `7`, `"x"`, `{`} {
		if _, err := keysFromDocument([]byte(doc)); err == nil {
			t.Errorf("%q is read as a document", doc)
		}
	}
}

func TestTheKeysThatWeMakeAreReadAgain(t *testing.T) {
	rsaPrivate, rsaPublic, edPrivate, edPublic, err := generateKeys()
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{{rsaPrivate, rsaPublic}, {edPrivate, edPublic}} {
		private, err := parsePrivateKey(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		public, err := parsePublicKey(pair[1])
		if err != nil {
			t.Fatal(err)
		}
		if !private.Public().(interface{ Equal(x crypto.PublicKey) bool }).Equal(public) {
			t.Errorf("%T: the halves are not of one key", private)
		}
	}
	if !strings.HasPrefix(edPublic, "z6Mk") {
		t.Errorf("the Multikey is %s, want z6Mk…", edPublic)
	}
}

// forged is a message as PKCS#1 v1.5 pads it for SHA-256 (RFC 8017 §9.2), not signed by anybody.
func forged(message []byte, size int) []byte {
	sum := sha256.Sum256(message)
	info, _ := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, Parameters: asn1.NullRawValue}, sum[:]})
	em := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-len(info)-3)...)
	return append(append(em, 0), info...)
}
