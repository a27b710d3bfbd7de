package activitypub_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
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
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// What follows are the SIG cases of the design's security document, each against the whole handler; those that the header
// alone decides stand in signature_internal_test.go and rfc9421_test.go too. 1, 30, 34, 35, 36 and 45 are in
// inbox_test.go, 28 and 29 also in authorize_test.go.

// unmoved sends a request that must be refused with one of the statuses and change nothing.
func unmoved(t *testing.T, net *aptest.Network, n *aptest.Node, _ activitypub.By, r *http.Request, want ...int) {
	t.Helper()
	before := n.State()
	got, body := post(t, net, r)
	if !slices.Contains(want, got) {
		t.Errorf("%d %s, want %v", got, body, want)
	}
	for _, change := range before.Changes(n.State()) {
		t.Errorf("it was answered %d and changed %s", got, change)
	}
}

// resent is a request with the same headers and body by another method or to another address.
func resent(t *testing.T, r *http.Request, method, address string) *http.Request {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	again, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	again.Header = r.Header
	return again
}

func TestRequestsWhoseSignatureIsRefused(t *testing.T) {
	net, rye, baker, peer := stage(t)
	other := rye.Person("other")
	me := string(baker.Actor.IRI)
	if got, body := post(t, net, peer.Request(ryeInbox, peer.Activity("Follow", "first", me))); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	net.Deliver()
	rye.Person("a")
	n := 0
	note := func() *http.Request {
		n++
		return peer.Request(ryeInbox, peer.Note(fmt.Sprint("n", n), "hello", me))
	}
	with := func(r *http.Request, change func(r *http.Request)) *http.Request { change(r); return r }
	param := func(old, new string) *http.Request { // of the Signature header
		return with(note(), func(r *http.Request) {
			s := r.Header.Get("Signature")
			if !strings.Contains(s, old) {
				t.Fatalf("%s is not in %s", old, s)
			}
			r.Header.Set("Signature", strings.Replace(s, old, new, 1))
		})
	}
	digest := func(change func(right string) string) *http.Request {
		return with(note(), func(r *http.Request) {
			r.Header.Set("Digest", change(r.Header.Get("Digest")))
			peer.Sign(r, "(request-target)", "host", "date", "digest")
		})
	}
	date := func(v string) *http.Request {
		return with(note(), func(r *http.Request) {
			r.Header.Set("Date", v)
			peer.Sign(r, "(request-target)", "host", "date", "digest")
		})
	}
	at := func(d time.Duration) string { return net.Now().Add(d).UTC().Format(http.TimeFormat) }
	document, _ := json.Marshal(peer.Document()["publicKey"])
	var listed struct{ PublicKeyPem string }
	if err := json.Unmarshal(document, &listed); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name string
		r    *http.Request
		want []int
	}{
		{"SIG001 no signature", with(note(), func(r *http.Request) { r.Header.Del("Signature") }), []int{401}},
		{"SIG002 headers cover the date alone", with(note(), func(r *http.Request) { peer.Sign(r, "date") }), []int{401}},
		{"SIG002 the signature hides that it covers the date alone", with(note(), func(r *http.Request) {
			peer.Sign(r, "date")
			s := r.Header.Get("Signature")
			s = strings.Replace(s, `headers="date"`, `headers="(request-target) host date digest"`, 1)
			r.Header.Set("Signature", strings.TrimSuffix(s, `"`)+`,headers=date"`)
		}), []int{401}},
		{"SIG002 the list of headers hides that it covers the date alone", with(note(), func(r *http.Request) {
			peer.Sign(r, "date")
			r.Header.Set("Signature", strings.Replace(r.Header.Get("Signature"), `headers="date"`, `headers="(request-target) host date digest (x,headers=date"`, 1))
		}), []int{401}},
		{"SIG003 headers are not named", with(note(), func(r *http.Request) {
			peer.Sign(r, "date")
			r.Header.Set("Signature", strings.Replace(r.Header.Get("Signature"), `headers="date",`, "", 1))
		}), []int{401}},
		{"SIG004 another body", with(note(), func(r *http.Request) {
			b, _ := json.Marshal(peer.Note("x", "forged", me))
			r.Body = io.NopCloser(bytes.NewReader(b))
		}), []int{401}},
		{"SIG005 the digest is right and not covered", with(note(), func(r *http.Request) { peer.Sign(r, "(request-target)", "host", "date") }), []int{401}},
		{"SIG006 no Digest", with(note(), func(r *http.Request) {
			r.Header.Del("Digest")
			peer.Sign(r, "(request-target)", "host", "date")
		}), []int{401}},
		{"SIG006 an MD5 Digest", digest(func(string) string { return "MD5=1B2M2Y8AsgTpgAmY7PhCfg==" }), []int{401}},
		{"SIG006 an SHA-1 Digest", digest(func(string) string { return "SHA=2jmj7l5rSw0yVb/vlWAYkK/YBwk=" }), []int{401}},
		{"SIG006 a Digest of no known kind", digest(func(string) string { return "ROT13=AAAA" }), []int{401}},
		{"SIG007 a right Digest and a wrong one", digest(func(right string) string {
			return right + ",SHA-512=" + base64.StdEncoding.EncodeToString(make([]byte, 64))
		}), []int{401}},
		{"SIG008 13 hours old", date(at(-13 * time.Hour)), []int{401}},
		{"SIG008 two hours ahead", date(at(2 * time.Hour)), []int{401}},
		{"SIG008 the Date cannot be read", date("tomorrow"), []int{401}},
		{"SIG008 neither Date nor (created)", with(note(), func(r *http.Request) {
			r.Header.Del("Date")
			peer.Sign(r, "(request-target)", "host", "digest")
		}), []int{401}},
		{"SIG010 sent to the inbox of another", resent(t, note(), "POST", string(other.Actor.Inbox)), []int{401}},
		{"SIG011 signed for another host", with(note(), func(r *http.Request) {
			elsewhere := *r
			elsewhere.URL, _ = r.URL.Parse("https://other.example/inbox")
			peer.Sign(&elsewhere, "(request-target)", "host", "date", "digest")
		}), []int{401}},
		{"SIG013 sent as PUT", resent(t, note(), "PUT", ryeInbox), []int{401, 405}},
		{"SIG013 sent as PATCH", resent(t, note(), "PATCH", ryeInbox), []int{401, 405}},
		{"SIG014 signed for an escaped path", resent(t, peer.Request("https://rye.example/users%2Fa/inbox", peer.Note("e1", "hello", me)), "POST", "https://rye.example/users/a/inbox"), []int{401, 404}},
		{"SIG014 sent to an escaped path", resent(t, peer.Request("https://rye.example/users/a/inbox", peer.Note("e2", "hello", me)), "POST", "https://rye.example/users%2Fa/inbox"), []int{401, 404}},
		{"SIG014 sent to a letter that is escaped", resent(t, peer.Request("https://rye.example/users/a/inbox", peer.Note("e3", "hello", me)), "POST", "https://rye.example/users/%61/inbox"), []int{401, 404}},
		{"SIG015 a query is added", resent(t, note(), "POST", ryeInbox+"?x=1"), []int{401}},
		{"SIG016 keyId twice", param(`keyId="`, `keyId="https://victim.example/users/v#main-key",keyId="`), []int{400, 401}},
		{"SIG017 Signature and Authorization", with(note(), func(r *http.Request) { r.Header.Set("Authorization", "Signature "+r.Header.Get("Signature")) }), []int{400, 401}},
		{"SIG019 the keyId is a file", param(peer.KeyID, "file:///etc/passwd"), []int{401}},
		{"SIG019 the keyId is a script", param(peer.KeyID, "javascript:1"), []int{401}},
		{"SIG019 the keyId is a handle", param(peer.KeyID, "acct:ann@far.example"), []int{401}},
		{"SIG019 the keyId is data", param(peer.KeyID, "data:application/activity+json,{}"), []int{401}},
		{"SIG020 the keyId is empty", param(peer.KeyID, ""), []int{401}},
		{"SIG020 the keyId is no address", param(peer.KeyID, "main key"), []int{401}},
		{"SIG020 the keyId has 64 kB", param(peer.KeyID, "https://far.example/"+strings.Repeat("k", 64<<10)), []int{401}},
		{"SIG021 HMAC with the public key", with(note(), func(r *http.Request) {
			mac := hmac.New(sha256.New, []byte(listed.PublicKeyPem))
			fmt.Fprintf(mac, "(request-target): post /inbox\nhost: rye.example\ndate: %s\ndigest: %s", r.Header.Get("Date"), r.Header.Get("Digest"))
			r.Header.Set("Signature", fmt.Sprintf(`keyId="%s",algorithm="hmac-sha256",headers="(request-target) host date digest",signature="%s"`, peer.KeyID, base64.StdEncoding.EncodeToString(mac.Sum(nil))))
		}), []int{401}},
		{"SIG022 the algorithm none", with(note(), func(r *http.Request) {
			r.Header.Set("Signature", fmt.Sprintf(`keyId="%s",algorithm="none",headers="(request-target) host date digest",signature="AA=="`, peer.KeyID))
		}), []int{401}},
		{"SIG031 our own key", param(peer.KeyID, me+"#main-key"), []int{401}},
		{"SIG038 RFC 9421 over nothing", with(note(), func(r *http.Request) {
			r.Header.Set("Signature-Input", fmt.Sprintf(`sig1=();created=%d;keyid="%s"`, net.Now().Unix(), peer.KeyID))
			r.Header.Set("Signature", "sig1=:AAAA:")
		}), []int{401}},
		{"SIG040 expires is not signed", with(note(), func(r *http.Request) {
			r.Header.Set("Signature", r.Header.Get("Signature")+fmt.Sprintf(",expires=%d", net.Now().Add(time.Hour).Unix()))
		}), []int{401}},
		{"SIG047 an inbox that is not there", peer.Request("https://rye.example/users/nobody/inbox", peer.Note("z", "hello", me)), []int{404}},
	} {
		t.Run(c.name, func(t *testing.T) {
			trips := len(net.Trips())
			unmoved(t, net, rye, baker, c.r, c.want...)
			for _, trip := range net.Trips()[trips+1:] {
				if !strings.HasPrefix(trip, "GET https://far.example/users/ann") {
					t.Errorf("it asked for %s", trip)
				}
			}
		})
	}
	t.Run("and the next one that is right is taken", func(t *testing.T) {
		if got, body := post(t, net, note()); got != 202 {
			t.Errorf("%d %s", got, body)
		}
	})
}

func TestSIG009ARequestThatIsReplayedHasNoSecondEffect(t *testing.T) {
	net, rye, baker, peer := stage(t)
	for _, act := range []map[string]any{peer.Activity("Follow", "f", baker.Actor.IRI), peer.Note("n", "hello", string(baker.Actor.IRI))} {
		body, _ := json.Marshal(act)
		r := peer.Request(ryeInbox, body)
		if got, answer := post(t, net, r); got != 202 {
			t.Fatalf("%d %s", got, answer)
		}
		before := rye.State()
		again := httptest.NewRequest("POST", ryeInbox, bytes.NewReader(body))
		again.Header = r.Header
		if got, answer := post(t, net, again); got != 202 {
			t.Errorf("%d %s", got, answer)
		}
		rye.WantUnmoved(before)
		if n, err := rye.DB.CountActivities(t.Context(), storage.IRI(act["id"].(string)), storage.IRI(peer.ID())); err != nil || n != 1 {
			t.Errorf("kept %d times, %v", n, err)
		}
	}
}

func TestSIG033AKeyThatWasReplaced(t *testing.T) {
	for _, fast := range []bool{false, true} {
		t.Run(fmt.Sprintf("ed25519 %v", fast), func(t *testing.T) {
			net, rye, baker, _ := stage(t)
			peer := aptest.NewPeer("https://far.example", "ann", 9, fast)
			peer.Now = net.Now
			net.Serve("far.example", peer)
			me := string(baker.Actor.IRI)
			if got, body := post(t, net, peer.Request(ryeInbox, peer.Note("1", "with the old key", me))); got != 202 {
				t.Fatalf("%d %s", got, body)
			}
			rye.ForgetRefusals()
			old, fresh := peer.Key, aptest.NewPeer(peer.Origin, peer.Name, 10, fast).Key

			peer.Key = fresh
			before := len(net.Trips())
			if got, body := post(t, net, peer.Request(ryeInbox, peer.Note("2", "with the new key", me))); got != 202 {
				t.Fatalf("%d %s", got, body)
			}
			if got, body := post(t, net, peer.Request(ryeInbox, peer.Note("3", "and again", me))); got != 202 {
				t.Fatalf("%d %s", got, body)
			}
			asked := 0
			for _, trip := range net.Trips()[before:] {
				if trip == "GET "+peer.ID() {
					asked++
				}
			}
			if asked != 1 {
				t.Errorf("the new key was asked for %d times, want once", asked)
			}

			thief := aptest.NewPeer(peer.Origin, peer.Name, 9, fast)
			thief.Key, thief.Now = old, net.Now
			unmoved(t, net, rye, baker, thief.Request(ryeInbox, thief.Note("4", "with the old key", me)), 401)
			rye.ForgetRefusals()
			unmoved(t, net, rye, baker, thief.Request(ryeInbox, thief.Note("5", "with the old key, later", me)), 401)
			if got, body := post(t, net, peer.Request(ryeInbox, peer.Note("6", "still with the new key", me))); got != 202 {
				t.Errorf("%d %s", got, body)
			}
		})
	}
}

// A shelf is a host that answers with documents by path; a string redirects.
type shelf map[string]any

func (s shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch d := s[r.URL.Path].(type) {
	case nil:
		http.NotFound(w, r)
	case string:
		http.Redirect(w, r, d, http.StatusFound)
	default:
		w.Header().Set("Content-Type", "application/activity+json")
		_ = json.NewEncoder(w).Encode(d)
	}
}

// keyOf is the key that a peer's document lists.
func keyOf(p *aptest.Peer) map[string]any { return p.Document()["publicKey"].(map[string]any) }

type dict = map[string]any

func TestKeysThatAreNotTheActors(t *testing.T) {
	const victimID, evilKey = "https://good.example/users/victim", "https://evil.example/keys/1"
	standalone := func(eve *aptest.Peer, id, owner string) dict {
		return dict{"@context": "https://w3id.org/security/v1", "id": id, "type": "Key", "owner": owner, "publicKeyPem": keyOf(eve)["publicKeyPem"]}
	}
	for _, c := range []struct {
		name  string
		keyID string
		good  func(eve, victim *aptest.Peer) shelf // what the victim's host says, beside the victim
		evil  func(eve, victim *aptest.Peer) shelf
		as    func(eve, victim *aptest.Peer) string // who did it, says the activity; nil for the victim
	}{
		{name: "SIG025 a key on evil's host says that the victim owns it", keyID: evilKey,
			evil: func(eve, _ *aptest.Peer) shelf { return shelf{"/keys/1": standalone(eve, evilKey, victimID)} }},
		{name: "SIG025 the same in the name of eve", keyID: evilKey, as: func(eve, _ *aptest.Peer) string { return eve.ID() },
			evil: func(eve, _ *aptest.Peer) shelf {
				return shelf{"/keys/1": standalone(eve, evilKey, victimID), "/users/eve": eve.Document()}
			}},
		{name: "SIG025 a key on the victim's host that her document does not list", keyID: "https://good.example/upload/1",
			good: func(eve, _ *aptest.Peer) shelf {
				return shelf{"/upload/1": standalone(eve, "https://good.example/upload/1", victimID)}
			}},
		{name: "SIG025 a key that says who controls it", keyID: evilKey,
			evil: func(eve, _ *aptest.Peer) shelf {
				d := standalone(eve, evilKey, "")
				d["controller"] = victimID
				return shelf{"/keys/1": d}
			}},
		{name: "SIG025 eve's document lists a key of the victim's host", keyID: victimID + "#main-key",
			evil: func(eve, _ *aptest.Peer) shelf { return shelf{"/users/eve": eve.Document()} }},
		{name: "SIG025 eve's document lists a key that the victim owns", keyID: "https://evil.example/users/eve#main-key",
			evil: func(eve, _ *aptest.Peer) shelf {
				d := eve.Document()
				d["publicKey"] = dict{"id": "https://evil.example/users/eve#main-key", "owner": victimID, "publicKeyPem": keyOf(eve)["publicKeyPem"]}
				return shelf{"/users/eve": d}
			}},
		{name: "SIG026 eve's document lists another key only", keyID: "https://evil.example/users/eve#main-key", as: func(eve, _ *aptest.Peer) string { return eve.ID() },
			evil: func(eve, _ *aptest.Peer) shelf {
				d := eve.Document()
				d["publicKey"] = dict{"id": "https://evil.example/users/eve#other", "owner": eve.ID(), "publicKeyPem": keyOf(eve)["publicKeyPem"]}
				return shelf{"/users/eve": d}
			}},
		{name: "SIG026 the document has the victim's id", keyID: "https://evil.example/users/eve#main-key",
			evil: func(eve, victim *aptest.Peer) shelf {
				d := victim.Document()
				d["publicKey"] = dict{"id": "https://evil.example/users/eve#main-key", "owner": victimID, "publicKeyPem": keyOf(eve)["publicKeyPem"]}
				return shelf{"/users/eve": d}
			}},
		{name: "SIG026 the key's document has another id of that host", keyID: evilKey, as: func(eve, _ *aptest.Peer) string { return eve.ID() },
			evil: func(eve, _ *aptest.Peer) shelf {
				return shelf{"/keys/1": standalone(eve, "https://evil.example/keys/2", eve.ID()), "/keys/2": standalone(eve, "https://evil.example/keys/2", eve.ID()), "/users/eve": eve.Document()}
			}},
		{name: "SIG027 the keyId redirects to a document on another host", keyID: victimID + "/key",
			good: func(*aptest.Peer, *aptest.Peer) shelf { return shelf{"/users/victim/key": evilKey} },
			evil: func(eve, _ *aptest.Peer) shelf { return shelf{"/keys/1": standalone(eve, victimID+"/key", victimID)} }},
		{name: "SIG027 the victim's host has an open redirect", keyID: "https://good.example/redirect#main-key",
			good: func(*aptest.Peer, *aptest.Peer) shelf { return shelf{"/redirect": "https://evil.example/users/eve"} },
			evil: func(eve, victim *aptest.Peer) shelf {
				d := victim.Document()
				d["publicKey"] = dict{"id": "https://good.example/redirect#main-key", "owner": victimID, "publicKeyPem": keyOf(eve)["publicKeyPem"]}
				return shelf{"/users/eve": d}
			}},
		{name: "SIG029 eve signs for the victim", keyID: "https://evil.example/users/eve#main-key",
			evil: func(eve, _ *aptest.Peer) shelf { return shelf{"/users/eve": eve.Document()} }},
		{name: "a key that says that an actor of ours owns it", keyID: evilKey, as: func(*aptest.Peer, *aptest.Peer) string { return "https://rye.example/users/baker" },
			evil: func(eve, _ *aptest.Peer) shelf {
				return shelf{"/keys/1": standalone(eve, evilKey, "https://rye.example/users/baker")}
			}},
		{name: "the key's owner is nobody", keyID: evilKey,
			evil: func(eve, _ *aptest.Peer) shelf { return shelf{"/keys/1": standalone(eve, evilKey, "")} }},
		{name: "the key's document is no actor's and has no key", keyID: evilKey,
			evil: func(*aptest.Peer, *aptest.Peer) shelf { return shelf{"/keys/1": dict{"id": evilKey, "type": "Note"}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			net, rye, baker, _ := stage(t)
			victim, eve := aptest.NewPeer("https://good.example", "victim", 11, false), aptest.NewPeer("https://evil.example", "eve", 12, true)
			victim.Now, eve.Now = net.Now, net.Now
			good, evil := shelf{}, shelf{}
			if c.good != nil {
				good = c.good(eve, victim)
			}
			if c.evil != nil {
				evil = c.evil(eve, victim)
			}
			good["/users/victim"] = victim.Document()
			net.Serve("good.example", good)
			net.Serve("evil.example", evil)
			eve.KeyID = c.keyID
			as := victimID
			if c.as != nil {
				as = c.as(eve, victim)
			}
			act := dict{"id": as + "/follows/1", "type": "Follow", "actor": as, "object": baker.Actor.IRI}
			unmoved(t, net, rye, baker, eve.Request(ryeInbox, act), 401, 403)
			rye.ForgetRefusals()
			unmoved(t, net, rye, baker, eve.Request(ryeInbox, act), 401, 403) // nothing of it was kept
			if a, err := rye.DB.ActorByIRI(t.Context(), victimID); err == nil {
				keys, err := rye.DB.KeysOf(t.Context(), a.ID)
				if err != nil || len(keys) != 1 || keys[0].IRI != victimID+"#main-key" || keys[0].Public != keyOf(victim)["publicKeyPem"] {
					t.Errorf("the victim's keys are %+v, %v", keys, err)
				}
			}
		})
	}
}

// A key id is its host's to give: eve's document names the victim's as hers, before the victim was ever heard of.
func TestSIG025EveTakesTheIDOfTheVictimsKey(t *testing.T) {
	net, rye, baker, _ := stage(t)
	victim, eve := aptest.NewPeer("https://good.example", "victim", 11, false), aptest.NewPeer("https://evil.example", "eve", 12, true)
	victim.Now, eve.Now = net.Now, net.Now
	own := keyOf(eve)
	eve.Extra = dict{"publicKey": []any{own, dict{"id": victim.KeyID, "owner": eve.ID(), "publicKeyPem": own["publicKeyPem"]}}}
	net.Serve("good.example", victim)
	net.Serve("evil.example", eve)
	if got, body := post(t, net, eve.Request(ryeInbox, eve.Activity("Follow", "1", baker.Actor.IRI))); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	if got, body := post(t, net, victim.Request(ryeInbox, victim.Activity("Follow", "1", baker.Actor.IRI))); got != 202 {
		t.Errorf("the victim: %d %s", got, body)
	}
	eve.KeyID = victim.KeyID
	unmoved(t, net, rye, baker, eve.Request(ryeInbox, victim.Activity("Undo", "2", victim.Activity("Follow", "1", baker.Actor.IRI))), 401)
}

func TestSIG028SIG030AnotherOfTheSameHost(t *testing.T) {
	net, rye, baker, ann := stage(t)
	bob := aptest.NewPeer("https://far.example", "bob", 11, true)
	bob.Now = net.Now
	net.Serve("far.example", shelf{"/users/ann": ann.Document(), "/users/bob": bob.Document()})
	me := baker.Actor.IRI
	for _, c := range []struct {
		name string
		act  any
		want []int
	}{
		{"SIG028 signed by ann, done by bob", bob.Activity("Follow", "1", me), []int{401, 403}},
		{"SIG030 done by both", dict{"id": ann.ID() + "/1", "type": "Follow", "actor": []any{ann.ID(), bob.ID()}, "object": me}, []int{400, 403}},
		{"SIG031 the actor is embedded with a key of ann's", dict{"id": bob.ID() + "/1", "type": "Follow", "object": me, "actor": dict{"id": bob.ID(), "type": "Person",
			"publicKey": dict{"id": ann.KeyID, "owner": bob.ID(), "publicKeyPem": keyOf(ann)["publicKeyPem"]}}}, []int{401, 403}},
		{"SIG045 the actor twice", []byte(`{"id":"` + ann.ID() + `/1","type":"Follow","actor":"` + bob.ID() + `","actor":"` + ann.ID() + `","object":"` + string(me) + `"}`), []int{400}},
		{"SIG045 the actor twice, once escaped", []byte(`{"id":"` + ann.ID() + `/1","type":"Follow","actor":"` + bob.ID() + `","\u0061ctor":"` + ann.ID() + `","object":"` + string(me) + `"}`), []int{400}},
	} {
		t.Run(c.name, func(t *testing.T) { unmoved(t, net, rye, baker, ann.Request(ryeInbox, c.act), c.want...) })
	}
	t.Run("SIG031 the embedded actor brings the key that signs", func(t *testing.T) {
		eve := aptest.NewPeer("https://far.example", "bob", 12, true)
		eve.Now = net.Now
		unmoved(t, net, rye, baker, eve.Request(ryeInbox, dict{"id": bob.ID() + "/2", "type": "Follow", "object": me, "actor": eve.Document()}), 401)
	})
}

func TestSIG024KeysThatNobodyShouldHave(t *testing.T) {
	net, rye, baker, _ := stage(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	ecPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	good := aptest.Key(9).RSAPublic
	for i, c := range []struct{ name, pem string }{
		{"SIG022 hs2019 with an EC key", ecPEM},
		{"SIG024 a private key", aptest.Key(9).RSAPrivate},
		{"SIG024 two keys", good + good},
		{"SIG024 text after the key", good + "junk"},
		{"SIG024 an empty key", ""},
		{"SIG024 no PEM", "MIIB"},
		{"SIG024 a block without bytes", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := fmt.Sprintf("k%d.example", i)
			p := aptest.NewPeer("https://"+host, "ann", 9, false)
			p.Now = net.Now
			p.Extra = dict{"publicKey": dict{"id": p.KeyID, "owner": p.ID(), "publicKeyPem": c.pem}}
			net.Serve(host, p)
			unmoved(t, net, rye, baker, p.Request(ryeInbox, p.Activity("Follow", "1", baker.Actor.IRI)), 401)
		})
	}
}

func TestSIG037ASignatureThatOnlyNamesAFollowerReadsNothing(t *testing.T) {
	net, rye, baker, peer := stage(t)
	if got, body := post(t, net, peer.Request(ryeInbox, peer.Activity("Follow", "1", baker.Actor.IRI))); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	p, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "for followers only", Visibility: storage.Private})
	if err != nil {
		t.Fatal(err)
	}
	get := func(change func(r *http.Request)) (int, string) {
		r, err := http.NewRequest("GET", string(p.IRI), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "application/activity+json")
		r.Header.Set("Date", net.Now().Format(http.TimeFormat))
		peer.Sign(r, "(request-target)", "host", "date")
		change(r)
		return post(t, net, r)
	}
	if got, body := get(func(*http.Request) {}); got != 200 || !strings.Contains(body, "for followers only") {
		t.Fatalf("a follower gets %d %s", got, body)
	}
	for _, c := range []struct {
		name   string
		change func(r *http.Request)
	}{
		{"a signature of zeros", func(r *http.Request) {
			s := r.Header.Get("Signature")
			r.Header.Set("Signature", s[:strings.Index(s, `signature="`)]+`signature="`+base64.StdEncoding.EncodeToString(make([]byte, 256))+`"`)
		}},
		{"no signature", func(r *http.Request) { r.Header.Del("Signature") }},
		{"headers cover the date alone", func(r *http.Request) { peer.Sign(r, "date") }},
		{"a signature for another document", func(r *http.Request) {
			other := *r
			other.URL, _ = r.URL.Parse("/users/baker")
			peer.Sign(&other, "(request-target)", "host", "date")
			r.Header = other.Header
		}},
		{"a signature in Authorization", func(r *http.Request) {
			r.Header.Set("Authorization", "Signature "+r.Header.Get("Signature"))
			r.Header.Del("Signature")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, body := get(c.change); got != 401 && got != 404 || strings.Contains(body, "followers only") {
				t.Errorf("%d %s", got, body)
			}
		})
	}
}

func TestWhatAThirdSignedWithinTheBody(t *testing.T) {
	net, rye, baker, relay := stage(t)
	victim := aptest.NewPeer("https://good.example", "victim", 11, false)
	victim.Now = net.Now
	net.Serve("good.example", victim)
	me := string(baker.Actor.IRI)
	ld := dict{"type": "RsaSignature2017", "creator": victim.KeyID, "created": "2026-11-24T09:00:00Z", "signatureValue": "AAAA"}
	create := func() dict {
		act := victim.Note("n", "hello", me)
		act["signature"] = ld
		return act
	}
	with := func(key string, value any) dict { act := create(); act[key] = value; return act }
	for _, c := range []struct {
		name string
		act  dict
	}{
		{"SIG041 a Linked Data signature", create()},
		{"SIG042 and a @graph", with("@graph", []any{relay.Note("g", "hello", me)})},
		{"SIG042 and @included", with("@included", []any{relay.Note("g", "hello", me)})},
		{"SIG042 and @reverse", with("@reverse", dict{"object": relay.Note("g", "hello", me)})},
		{"SIG044 a proof that nobody made", with("proof", dict{"type": "DataIntegrityProof", "cryptosuite": "eddsa-jcs-2022", "proofPurpose": "assertionMethod", "verificationMethod": victim.KeyID, "proofValue": "z1"})},
	} {
		t.Run(c.name, func(t *testing.T) { unmoved(t, net, rye, baker, relay.Request(ryeInbox, c.act), 202, 401, 403) })
	}
	t.Run("SIG043 a @context that gives the words another meaning makes nobody else the actor", func(t *testing.T) {
		act := relay.Note("c", "hello", me)
		act["@context"] = []any{"https://www.w3.org/ns/activitystreams", dict{"actor": "https://x.example/other", "author": dict{"@id": "as:actor", "@type": "@id"}}}
		act["author"] = victim.ID()
		post(t, net, relay.Request(ryeInbox, act))
		for _, p := range rye.Home(baker) {
			if a, err := rye.DB.ActorByID(t.Context(), p.ActorID); err != nil || a.IRI != storage.IRI(relay.ID()) {
				t.Errorf("a post of %+v, %v", a, err)
			}
		}
	})
}

// signByRFC9421 covers components with an HTTP message signature in the place of the cavage one.
func signByRFC9421(p *aptest.Peer, r *http.Request, components ...string) {
	r.Header.Del("Digest")
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256(body)
	r.Header.Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	values := map[string]string{"@method": r.Method, "@target-uri": r.URL.String(), "content-digest": r.Header.Get("Content-Digest"), "content-type": r.Header.Get("Content-Type")}
	var base, names string
	for _, name := range components {
		base += fmt.Sprintf("%q: %s\n", name, values[name])
		names += fmt.Sprintf("%q ", name)
	}
	params := fmt.Sprintf(`(%s);created=%d;keyid="%s"`, strings.TrimSpace(names), p.Now().Unix(), p.KeyID)
	base += `"@signature-params": ` + params
	sig, err := p.Key.Sign(rand.Reader, []byte(base), crypto.Hash(0))
	if _, ok := p.Key.(*rsa.PrivateKey); ok {
		sum := sha256.Sum256([]byte(base))
		sig, err = p.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	if err != nil {
		panic(err)
	}
	r.Header.Set("Signature-Input", "sig1="+params)
	r.Header.Set("Signature", "sig1=:"+base64.StdEncoding.EncodeToString(sig)+":")
}

func TestSIG038HTTPMessageSignatures(t *testing.T) {
	for _, fast := range []bool{false, true} {
		net, rye, baker, _ := stage(t)
		peer := aptest.NewPeer("https://far.example", "ann", 9, fast)
		peer.Now = net.Now
		net.Serve("far.example", peer)
		me := string(baker.Actor.IRI)
		for i, c := range []struct {
			name    string
			covered []string
			change  func(r *http.Request)
			want    int
		}{
			{"all that is needed", []string{"@method", "@target-uri", "content-digest"}, nil, 202},
			{"and the media type", []string{"@method", "@target-uri", "content-digest", "content-type"}, nil, 202},
			{"SIG038 without the method", []string{"@target-uri", "content-digest"}, nil, 401},
			{"SIG038 without the target", []string{"@method", "content-digest"}, nil, 401},
			{"SIG038 without the digest", []string{"@method", "@target-uri"}, nil, 401},
			{"SIG004 another body", []string{"@method", "@target-uri", "content-digest"}, func(r *http.Request) {
				b, _ := json.Marshal(peer.Note("x", "forged", me))
				r.Body = io.NopCloser(bytes.NewReader(b))
			}, 401},
			{"SIG008 two hours old", []string{"@method", "@target-uri", "content-digest"}, func(*http.Request) { net.Sleep(2 * time.Hour) }, 401},
		} {
			t.Run(fmt.Sprintf("%s, %T", c.name, peer.Key), func(t *testing.T) {
				r := peer.Request(ryeInbox, peer.Note(fmt.Sprint(i), "hello", me))
				signByRFC9421(peer, r, c.covered...)
				if c.change != nil {
					c.change(r)
				}
				if c.want != 202 {
					unmoved(t, net, rye, baker, r, c.want)
				} else if got, body := post(t, net, r); got != c.want {
					t.Errorf("%d %s, want %d", got, body, c.want)
				}
			})
		}
		if home := rye.Home(baker); len(home) != 2 {
			t.Errorf("%d posts are here, want 2", len(home))
		}
	}
}

// A proof is its actor's when the key is: SIG044 with proofs that are whole.
func TestSIG044AProofByAnothersKey(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example", "evil.example")
	rye, oak, evil := net.Node("rye.example"), net.Node("oak.example"), net.Node("evil.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	ana, eve := oak.Person("ana"), evil.Person("eve")
	relay := aptest.NewPeer("https://far.example", "ann", 9, false)
	relay.Now = net.Now
	net.Serve("far.example", relay)
	sealed := func(n *aptest.Node, as activitypub.By, actor storage.IRI, text string) []byte {
		key, err := n.DB.KeysOf(t.Context(), as.Actor.ID)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(key, func(k storage.Key) bool { return k.Kind == storage.KeyEd25519 })
		raw, err := json.Marshal(dict{"@context": []any{"https://www.w3.org/ns/activitystreams"}, "id": string(actor) + "/creates/" + text, "type": "Create", "actor": actor,
			"object": dict{"id": string(actor) + "/notes/" + text, "type": "Note", "attributedTo": actor, "content": text, "to": []any{"https://www.w3.org/ns/activitystreams#Public"},
				"tag": []any{dict{"type": "Mention", "href": baker.Actor.IRI}}}})
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = activitypub.SignProof(raw, string(key[i].IRI), key[i].Private, net.Now()); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	t.Run("eve's key, and eve says that she is ana", func(t *testing.T) {
		unmoved(t, net, rye, baker, relay.Request(ryeInbox, sealed(evil, eve, ana.Actor.IRI, "forged")), 202, 401, 403)
	})
	t.Run("another of ana's host says that she is ana", func(t *testing.T) {
		unmoved(t, net, rye, baker, relay.Request(ryeInbox, sealed(oak, oak.Person("bo"), ana.Actor.IRI, "forged")), 202, 401, 403)
	})
	t.Run("the relay changed it", func(t *testing.T) {
		raw := bytes.ReplaceAll(sealed(oak, ana, ana.Actor.IRI, "bread"), []byte("bread"), []byte("forged"))
		unmoved(t, net, rye, baker, relay.Request(ryeInbox, raw), 202, 401, 403)
	})
	if n := rye.Counts()["proof.verified"]; n != 0 {
		t.Errorf("%d proofs counted as right, want none", n)
	}
	t.Run("ana's own key", func(t *testing.T) {
		if got, body := post(t, net, relay.Request(ryeInbox, sealed(oak, ana, ana.Actor.IRI, "bread"))); got != 202 {
			t.Errorf("%d %s", got, body)
		}
		if home := rye.Home(baker); len(home) != 1 || home[0].Content != "bread" {
			t.Errorf("the baker sees %d posts", len(home))
		}
	})
}
