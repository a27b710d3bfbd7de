package aptest

import (
	_ "embed"
	"encoding/json"
	"sync"
)

// Keys are the key pairs of one test actor: PEM (PKCS #8, PKIX) for the private halves and the RSA public key, a Multikey
// ("z6Mk…", W3C Controlled Identifiers §2.2.2) for the public half of Ed25519.
type Keys struct {
	RSAPrivate string `json:"rsaPrivate"`
	RSAPublic  string `json:"rsaPublic"`
	EdPrivate  string `json:"edPrivate"`
	EdPublic   string `json:"edPublic"`
}

// RSA keys take a tenth of a second each to draw, and a test network draws hundreds: the pool is drawn once and kept. It
// protects nothing. `go test ./activitypub/aptest -update` draws it anew.
//
//go:embed testdata/keys.json
var pooled []byte

var pool = sync.OnceValue(func() []Keys {
	var keys []Keys
	if err := json.Unmarshal(pooled, &keys); err != nil || len(keys) == 0 {
		return []Keys{{}}
	}
	return keys
})

// Key is the i-th pair of the pool, counted round.
func Key(i int) Keys {
	keys := pool()
	return keys[i%len(keys)]
}
