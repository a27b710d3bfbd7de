package activitypub_test

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mr-tron/base58"

	"planet/activitypub/aptest"
	"planet/storage"
)

// TestTheKeyIDsOfOtherServers brings one Follow from each kind of server; what differs is where its key stands.
func TestTheKeyIDsOfOtherServers(t *testing.T) {
	const ann = "https://far.example/users/ann"
	pkcs1 := func(p *aptest.Peer) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(p.Key.Public().(*rsa.PublicKey))}))
	}
	publicKey := func(p *aptest.Peer) dict {
		return dict{"id": p.KeyID, "owner": ann, "publicKeyPem": keyOf(p)["publicKeyPem"]}
	}
	multikey := func(p *aptest.Peer) dict {
		public := p.Key.Public().(ed25519.PublicKey)
		return dict{"id": p.KeyID, "type": "Multikey", "controller": ann, "publicKeyMultibase": "z" + base58.Encode(append([]byte{0xed, 0x01}, public...))}
	}
	with := func(p *aptest.Peer, key string, value any) dict { d := p.Document(); d[key] = value; return d }
	for _, c := range []struct {
		name  string
		keyID string
		fast  bool // Ed25519
		host  func(p *aptest.Peer) shelf
		want  int
		trips string // what is asked, one a line; "" for anything
	}{
		{name: "Mastodon: #main-key", keyID: ann + "#main-key", want: 202, trips: "/users/ann",
			host: func(p *aptest.Peer) shelf { return shelf{"/users/ann": p.Document()} }},
		{name: "GNU social: any other fragment", keyID: ann + "#public-key", want: 202,
			host: func(p *aptest.Peer) shelf { return shelf{"/users/ann": p.Document()} }},
		{name: "Hubzilla: the actor's own id", keyID: ann, want: 202, trips: "/users/ann",
			host: func(p *aptest.Peer) shelf { return shelf{"/users/ann": p.Document()} }},
		{name: "Mobilizon: PKCS#1", keyID: ann + "#main-key", want: 202, host: func(p *aptest.Peer) shelf {
			return shelf{"/users/ann": with(p, "publicKey", dict{"id": p.KeyID, "owner": ann, "publicKeyPem": pkcs1(p) + "\n"})}
		}},
		{name: "GoToSocial: a path that answers with a stub of the actor", keyID: ann + "/main-key", want: 202, trips: "/users/ann/main-key\n/users/ann",
			host: func(p *aptest.Peer) shelf {
				return shelf{"/users/ann": p.Document(), "/users/ann/main-key": dict{"@context": []any{"https://w3id.org/security/v1", "https://www.w3.org/ns/activitystreams"},
					"id": ann, "type": "Person", "preferredUsername": "ann", "publicKey": publicKey(p)}}
			}},
		{name: "a path that redirects to the actor", keyID: ann + "/main-key", want: 202,
			host: func(p *aptest.Peer) shelf {
				return shelf{"/users/ann": p.Document(), "/users/ann/main-key": ann}
			}},
		{name: "a document of its own, with an owner", keyID: "https://far.example/keys/1", want: 202, trips: "/keys/1\n/users/ann",
			host: func(p *aptest.Peer) shelf {
				d := publicKey(p)
				d["type"] = "Key"
				return shelf{"/users/ann": p.Document(), "/keys/1": d}
			}},
		{name: "a document of its own, with a controller", keyID: "https://far.example/keys/1", fast: true, want: 202,
			host: func(p *aptest.Peer) shelf {
				return shelf{"/users/ann": with(p, "assertionMethod", []any{multikey(p)}), "/keys/1": multikey(p)}
			}},
		{name: "a list of keys, of which it is the second", keyID: ann + "#k2", want: 202, host: func(p *aptest.Peer) shelf {
			return shelf{"/users/ann": with(p, "publicKey", []any{dict{"id": ann + "#k1", "owner": ann, "publicKeyPem": aptest.Key(3).RSAPublic}, publicKey(p)})}
		}},
		{name: "a Multikey in a list", keyID: ann + "#ed25519-key", fast: true, want: 202, host: func(p *aptest.Peer) shelf {
			d := with(p, "assertionMethod", []any{multikey(p)})
			delete(d, "publicKey")
			return shelf{"/users/ann": d}
		}},
		{name: "a Multikey that stands alone", keyID: ann + "#ed25519-key", fast: true, want: 202, host: func(p *aptest.Peer) shelf {
			d := with(p, "assertionMethod", multikey(p))
			delete(d, "publicKey")
			return shelf{"/users/ann": d}
		}},
		{name: "Ed25519 as PEM", keyID: ann + "#main-key", fast: true, want: 202,
			host: func(p *aptest.Peer) shelf { return shelf{"/users/ann": p.Document()} }},
		{name: "ten keys, and it is the last", keyID: ann + "#k9", want: 202, host: func(p *aptest.Peer) shelf {
			return shelf{"/users/ann": with(p, "publicKey", keyList(p, ann, 10))}
		}},

		{name: "eleven keys, and it is the last", keyID: ann + "#k10", want: 401, host: func(p *aptest.Peer) shelf {
			return shelf{"/users/ann": with(p, "publicKey", keyList(p, ann, 11))}
		}},
		{name: "an assertionMethod that is a reference", keyID: ann + "#ed25519-key", fast: true, want: 401, host: func(p *aptest.Peer) shelf {
			d := with(p, "assertionMethod", p.KeyID)
			delete(d, "publicKey")
			return shelf{"/users/ann": d}
		}},
		{name: "a key without an owner", keyID: ann + "#main-key", want: 401, host: func(p *aptest.Peer) shelf {
			return shelf{"/users/ann": with(p, "publicKey", dict{"id": p.KeyID, "publicKeyPem": keyOf(p)["publicKeyPem"]})}
		}},
		{name: "a key that another of the host owns", keyID: ann + "#main-key", want: 401, host: func(p *aptest.Peer) shelf {
			return shelf{"/users/ann": with(p, "publicKey", dict{"id": p.KeyID, "owner": "https://far.example/users/bob", "publicKeyPem": keyOf(p)["publicKeyPem"]})}
		}},
		{name: "a Multikey that another controls", keyID: ann + "#ed25519-key", fast: true, want: 401, host: func(p *aptest.Peer) shelf {
			m := multikey(p)
			m["controller"] = "https://far.example/users/bob"
			d := with(p, "assertionMethod", m)
			delete(d, "publicKey")
			return shelf{"/users/ann": d}
		}},
		{name: "a handle", keyID: "acct:ann@far.example", want: 401, trips: "none", host: func(p *aptest.Peer) shelf { return shelf{"/users/ann": p.Document()} }},
		{name: "a document that is not there", keyID: ann + "#main-key", want: 401, host: func(*aptest.Peer) shelf { return shelf{} }},
		{name: "an actor without an inbox", keyID: ann + "#main-key", want: 401, host: func(p *aptest.Peer) shelf {
			d := p.Document()
			delete(d, "inbox")
			return shelf{"/users/ann": d}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			net, rye, baker, _ := stage(t)
			p := aptest.NewPeer("https://far.example", "ann", 9, c.fast)
			p.Now, p.KeyID = net.Now, c.keyID
			net.Serve("far.example", c.host(p))
			before := rye.State()
			r := p.Request(ryeInbox, p.Activity("Follow", "1", baker.Actor.IRI))
			trips := len(net.Trips()) + 1 // the one of the request itself
			if got, body := post(t, net, r); got != c.want {
				t.Errorf("%d %s, want %d", got, body, c.want)
			}
			if changes := before.Changes(rye.State()); (len(changes) == 0) == (c.want == 202) {
				t.Errorf("answered %d, and it changed %q", c.want, changes)
			}
			var asked []string
			for _, trip := range net.Trips()[trips:] {
				if path, ok := strings.CutPrefix(trip, "GET https://far.example"); ok && !strings.HasPrefix(path, "/.well-known") {
					asked = append(asked, path)
				}
			}
			if got := strings.Join(asked, "\n"); c.trips == "none" && got != "" || c.trips != "" && c.trips != "none" && got != c.trips {
				t.Errorf("it asked for\n%s\nwant\n%s", got, c.trips)
			}
			if c.want != 202 {
				return
			}
			k, err := rye.DB.KeyByIRI(t.Context(), storage.IRI(c.keyID))
			if err != nil || k.Private != "" {
				t.Errorf("the key is kept as %+v, %v", k, err)
			}
		})
	}
}

// keyList are n keys, of which the last is the peer's.
func keyList(p *aptest.Peer, owner string, n int) []any {
	var all []any
	for i := range n - 1 {
		all = append(all, dict{"id": fmt.Sprintf("%s#k%d", owner, i), "owner": owner, "publicKeyPem": aptest.Key(3).RSAPublic})
	}
	return append(all, dict{"id": p.KeyID, "owner": owner, "publicKeyPem": keyOf(p)["publicKeyPem"]})
}

// GoToSocial shows its actors to signed requests only, and its key stub to everybody: its key is found all the same,
// as our own actor is there for everyone who wants to check our request.
func TestAKeyOnAServerThatWantsSignedRequests(t *testing.T) {
	net, rye, baker, _ := stage(t)
	p := aptest.NewPeer("https://far.example", "ann", 9, false)
	p.Now, p.KeyID = net.Now, "https://far.example/users/ann/main-key"
	net.Serve("far.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := p.Document()
		switch {
		case r.URL.Path == "/users/ann/main-key":
			d = dict{"id": p.ID(), "type": "Person", "preferredUsername": "ann", "publicKey": d["publicKey"]}
		case !strings.Contains(r.Header.Get("Signature"), `keyId="https://rye.example/actor#main-key"`):
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/activity+json")
		_ = json.NewEncoder(w).Encode(d)
	}))
	if got, body := post(t, net, p.Request(ryeInbox, p.Activity("Follow", "1", baker.Actor.IRI))); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	if n, err := rye.DB.CountFollowers(t.Context(), baker.Actor.ID); err != nil || n != 1 {
		t.Errorf("%d followers, %v", n, err)
	}
}
