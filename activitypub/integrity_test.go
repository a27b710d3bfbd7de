package activitypub

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"github.com/mr-tron/base58"
)

// The vector of FEP-8b32: testdata/good_8b32_signed_create.json, the key in testdata/good_8b32_actor.json, and its secret.
const (
	vectorActor  = "https://server.example/users/alice"
	vectorMethod = vectorActor + "#ed25519-key"
	vectorSecret = "z3u2en7t5LR2WtQH5PfFqMqwVHBeXouLzo6haApm8XHqvjxq"
	vectorValue  = "z42ffGu6AUKPCFcFPiabmUvnGLPJzC7e4DGWC52NUasSSH37UMa9c58tdgVszUcZfytxa4fQ5TYHaJENCxUDe9SdL"
)

var vectorTime = time.Date(2023, 2, 24, 23, 36, 38, 0, time.UTC)

func vectorFile(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// vectorKey decodes the secret (Multikey, ed25519-priv: 0x80 0x26).
func vectorKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	b, err := base58.Decode(vectorSecret[1:])
	if err != nil || len(b) != 34 || b[0] != 0x80 || b[1] != 0x26 {
		t.Fatalf("%x %v", b, err)
	}
	return ed25519.NewKeyFromSeed(b[2:])
}

// hashOfBoth is proofHash of a document as it is written.
func hashOfBoth(config, doc []byte) ([]byte, error) {
	canonical, err := jcs.Transform(doc)
	if err != nil {
		return nil, err
	}
	return proofHash(config, canonical)
}

// vectorLookup knows alice's key, as her document lists it.
func vectorLookup(t testing.TB) func(string) (ed25519.PublicKey, string, error) {
	t.Helper()
	keys, err := keysFromDocument(vectorFile(t, "good_8b32_actor.json"))
	if err != nil || len(keys) != 1 || keys[0].ID != vectorMethod {
		t.Fatalf("%+v %v", keys, err)
	}
	public, err := parsePublicKey(keys[0].Public)
	if err != nil {
		t.Fatal(err)
	}
	return func(method string) (ed25519.PublicKey, string, error) {
		if method != vectorMethod {
			return nil, "", errors.New("no such key")
		}
		return public.(ed25519.PublicKey), keys[0].Owner, nil
	}
}

func TestTheVectorOfFEP8b32(t *testing.T) {
	signed := vectorFile(t, "good_8b32_signed_create.json")
	o := parseObject(signed)
	p := parseObject(o["proof"])
	delete(o, "proof")
	delete(p, "proofValue")
	doc, err := marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	config, err := marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("the hashes are those of the canonical configuration and document, in this order", func(t *testing.T) {
		hash, err := hashOfBoth(config, doc)
		if err != nil {
			t.Fatal(err)
		}
		want := "cf63e2308ce7d1137667192c5c5e751ba7b1c6e3d5e746a7b717d309654ad198" + "0793e8d97e2de4b989b2b2d7a5fae8cf941f102a03c0ecab00f03eaa2330c650"
		if got := hex.EncodeToString(hash); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
	t.Run("its proof holds, and is alice's", func(t *testing.T) {
		controller, err := verifyProof(signed, vectorLookup(t), vectorTime)
		if err != nil || controller != vectorActor {
			t.Errorf("%q %v", controller, err)
		}
	})
	t.Run("its proof holds years later: it does not expire", func(t *testing.T) {
		if _, err := verifyProof(signed, vectorLookup(t), signedAt); err != nil {
			t.Error(err)
		}
	})
	t.Run("signed with its secret, the proof is the same", func(t *testing.T) {
		got, err := signProof(doc, vectorMethod, vectorKey(t), vectorTime)
		if err != nil {
			t.Fatal(err)
		}
		if value := parseObject(parseObject(got)["proof"]).str("proofValue"); value != vectorValue {
			t.Errorf("%s, want %s", value, vectorValue)
		}
		if !jsonEqual(t, got, signed) {
			t.Errorf("%s\nwant\n%s", got, signed)
		}
	})
	t.Run("the order of keys, spaces and escapes change nothing", func(t *testing.T) {
		var plain any
		if err := json.Unmarshal(signed, &plain); err != nil {
			t.Fatal(err)
		}
		raw, err := json.MarshalIndent(plain, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		raw = bytes.ReplaceAll(raw, []byte("Hello"), []byte(`\u0048ello`))
		if _, err := verifyProof(raw, vectorLookup(t), vectorTime); err != nil {
			t.Error(err)
		}
	})
	t.Run("what has a proof is not signed again", func(t *testing.T) {
		if _, err := signProof(signed, vectorMethod, vectorKey(t), vectorTime); err == nil {
			t.Error("it was")
		}
	})
}

func jsonEqual(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	ra, _ := json.Marshal(x)
	rb, _ := json.Marshal(y)
	return bytes.Equal(ra, rb)
}

// A proof is signed as the configuration says, and what a case changes afterwards the signature does not know.
func TestProofs(t *testing.T) {
	key := vectorKey(t)
	context := []any{activityStreams, "https://w3id.org/security/data-integrity/v2"}
	note := func() map[string]any {
		return map[string]any{"@context": context, "id": "https://server.example/activities/1", "type": "Create", "actor": vectorActor,
			"object": map[string]any{"id": "https://server.example/objects/1", "type": "Note", "attributedTo": vectorActor, "content": "<p>Brot & Käse ☃ 😀\u2028</p>", "n": []any{1e21, 1e-7, 0.1, math.Copysign(0, -1), 100}}}
	}
	type dict = map[string]any
	for _, c := range []struct {
		name   string
		holds  bool
		doc    func(doc dict)          // before it is signed
		config func(config dict)       // before it is signed
		after  func(doc, proof dict)   // once it is signed
		raw    func(raw []byte) []byte // of the whole
		now    time.Duration           // after it was made
	}{
		{name: "as we send it", holds: true},
		{name: "an hour later", holds: true, now: time.Hour},
		{name: "a year later", holds: true, now: 365 * 24 * time.Hour},
		{name: "without any @context", holds: true, doc: func(d dict) { delete(d, "@context") }, config: func(p dict) { delete(p, "@context") }},
		{name: "with a @context of the document alone, as jcs-eddsa-2022 had it", holds: true, config: func(p dict) { delete(p, "@context") }},
		{name: "with a @context that is a string", holds: true, doc: func(d dict) { d["@context"] = activityStreams }, config: func(p dict) { p["@context"] = activityStreams }},
		{name: "with a term that was added to the @context on the way", holds: true, after: func(d, _ dict) { d["@context"] = append(append([]any{}, context...), dict{"x": "https://x.example/#"}) }},
		{name: "with a Linked Data signature beside it", holds: true, after: func(d, _ dict) {
			d["signature"] = dict{"type": "RsaSignature2017", "creator": vectorActor + "#main-key", "signatureValue": "AAAA"}
		}},
		{name: "not yet expired", holds: true, config: func(p dict) { p["expires"] = wireTime(vectorTime.Add(time.Hour)) }},
		{name: "in a list of one", holds: true, after: func(d, p dict) { d["proof"] = []any{p} }},

		{name: "another body", after: func(d, _ dict) { d["object"].(dict)["content"] = "<p>Bread</p>" }},
		{name: "another actor", after: func(d, _ dict) { d["actor"] = "https://server.example/users/bob" }},
		{name: "another type", after: func(d, _ dict) { d["type"] = "Update" }},
		{name: "an id that was taken away", after: func(d, _ dict) { delete(d, "id") }},
		{name: "a property that was added", after: func(d, _ dict) { d["to"] = []any{publicAddress} }},
		{name: "another created", after: func(_, p dict) { p["created"] = wireTime(vectorTime.Add(time.Second)) }},
		{name: "created was taken away", after: func(_, p dict) { delete(p, "created") }},
		{name: "created in the future", config: func(p dict) { p["created"] = wireTime(vectorTime.Add(2 * time.Hour)) }},
		{name: "expired", config: func(p dict) { p["expires"] = wireTime(vectorTime.Add(time.Minute)) }, now: 2 * time.Minute},
		{name: "an expires that cannot be read", config: func(p dict) { p["expires"] = "later" }},
		{name: "an expires that is a number", config: func(p dict) { p["expires"] = 7 }},
		{name: "another expires", config: func(p dict) { p["expires"] = wireTime(vectorTime) }, after: func(_, p dict) { p["expires"] = wireTime(vectorTime.Add(time.Hour)) }, now: time.Minute},
		{name: "an expires that was taken away", config: func(p dict) { p["expires"] = wireTime(vectorTime) }, after: func(_, p dict) { delete(p, "expires") }, now: time.Minute},

		{name: "the proof's @context was taken away", after: func(_, p dict) { delete(p, "@context") }},
		{name: "the proof's @context is foreign", config: func(p dict) { p["@context"] = []any{"https://evil.example/ns"} }},
		{name: "the proof's @context is longer than the document's", config: func(p dict) { p["@context"] = append(append([]any{}, context...), "https://evil.example/ns") }},
		{name: "the proof's @context is in another order", config: func(p dict) { p["@context"] = []any{context[1], context[0]} }},
		{name: "the proof's @context is empty", config: func(p dict) { p["@context"] = []any{} }},
		{name: "the document's @context was taken away", after: func(d, _ dict) { delete(d, "@context") }},
		{name: "the document's @context was replaced", after: func(d, _ dict) { d["@context"] = []any{"https://evil.example/ns"} }},
		{name: "a foreign @context was put before the document's", after: func(d, _ dict) { d["@context"] = append([]any{"https://evil.example/ns"}, context...) }},

		{name: "another purpose", config: func(p dict) { p["proofPurpose"] = "authentication" }},
		{name: "no purpose", config: func(p dict) { delete(p, "proofPurpose") }},
		{name: "another cryptosuite", config: func(p dict) { p["cryptosuite"] = "eddsa-rdfc-2022" }},
		{name: "no cryptosuite", config: func(p dict) { delete(p, "cryptosuite") }},
		{name: "another type of proof", config: func(p dict) { p["type"] = "Ed25519Signature2020" }},
		{name: "the verificationMethod is of another origin", config: func(p dict) { p["verificationMethod"] = "https://evil.example/users/eve#ed25519-key" }},
		{name: "no verificationMethod", config: func(p dict) { delete(p, "verificationMethod") }},
		{name: "a verificationMethod that is an object", config: func(p dict) { p["verificationMethod"] = dict{"id": vectorMethod} }},

		{name: "no proof", after: func(d, _ dict) { delete(d, "proof") }},
		{name: "a proof that is null", after: func(d, _ dict) { d["proof"] = nil }},
		{name: "a proof that is a string", after: func(d, _ dict) { d["proof"] = vectorMethod }},
		{name: "two proofs", after: func(d, p dict) { d["proof"] = []any{p, p} }},
		{name: "a proofValue in another base", after: func(_, p dict) { p["proofValue"] = "u" + p["proofValue"].(string)[1:] }},
		{name: "a proofValue that is cut short", after: func(_, p dict) { p["proofValue"] = p["proofValue"].(string)[:60] }},
		{name: "a proofValue that is long", after: func(_, p dict) { p["proofValue"] = "z" + string(bytes.Repeat([]byte("1"), 1<<20)) }},
		{name: "a proofValue of zeros", after: func(_, p dict) { p["proofValue"] = "z" + base58.Encode(make([]byte, 64)) }},
		{name: "no proofValue", after: func(_, p dict) { delete(p, "proofValue") }},
		{name: "a proofValue that is a number", after: func(_, p dict) { p["proofValue"] = 7 }},
		{name: "JSON that goes on after its end", raw: func(b []byte) []byte { return append(b, '}') }},
		{name: "a list of the object", raw: func(b []byte) []byte { return append(append([]byte("["), b...), ']') }},
		{name: "a number that no float can hold", raw: func(b []byte) []byte { return bytes.Replace(b, []byte(`100`), []byte(`1e999`), 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := note()
			config := dict{"@context": context, "type": proofType, "cryptosuite": cryptosuite, "created": wireTime(vectorTime), "verificationMethod": vectorMethod, "proofPurpose": "assertionMethod"}
			if c.doc != nil {
				c.doc(doc)
			}
			if c.config != nil {
				c.config(config)
			}
			rawConfig, err := marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			rawDoc, err := marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			hash, err := hashOfBoth(rawConfig, rawDoc)
			if err != nil {
				t.Fatal(err)
			}
			proof := maps.Clone(config)
			proof["proofValue"] = "z" + base58.Encode(ed25519.Sign(key, hash))
			doc["proof"] = proof
			if c.after != nil {
				c.after(doc, proof)
			}
			raw, err := marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			if c.raw != nil {
				raw = c.raw(raw)
			}
			controller, err := verifyProof(raw, vectorLookup(t), vectorTime.Add(c.now))
			if c.holds && (err != nil || controller != vectorActor) {
				t.Errorf("%q %v, want it to hold", controller, err)
			}
			if !c.holds && err == nil {
				t.Errorf("it holds, for %s", controller)
			}
		})
	}
	t.Run("hashes in the wrong order", func(t *testing.T) {
		doc := note()
		config := dict{"@context": context, "type": proofType, "cryptosuite": cryptosuite, "created": wireTime(vectorTime), "verificationMethod": vectorMethod, "proofPurpose": "assertionMethod"}
		rawConfig, _ := marshal(config)
		rawDoc, _ := marshal(doc)
		hash, err := hashOfBoth(rawDoc, rawConfig)
		if err != nil {
			t.Fatal(err)
		}
		config["proofValue"] = "z" + base58.Encode(ed25519.Sign(key, hash))
		doc["proof"] = config
		raw, _ := marshal(doc)
		if _, err := verifyProof(raw, vectorLookup(t), vectorTime); err == nil {
			t.Error("it holds")
		}
	})
	t.Run("a key that is not known is an error of the lookup's", func(t *testing.T) {
		unknown := errors.New("unknown")
		_, err := verifyProof(vectorFile(t, "good_8b32_signed_create.json"), func(string) (ed25519.PublicKey, string, error) { return nil, "", unknown }, vectorTime)
		if !errors.Is(err, unknown) {
			t.Error(err)
		}
	})
}

// FuzzProof looks for a document that is taken although it says something else than the one that was signed.
func FuzzProof(f *testing.F) {
	signed := vectorFile(f, "good_8b32_signed_create.json")
	meaning := func(raw []byte) string { // what the node reads of it, beside the proof and the rest of its @context
		o := parseObject(raw)
		if o == nil {
			return ""
		}
		delete(o, "proof")
		delete(o, "signature")
		delete(o, "@context")
		plain, _ := marshal(o)
		h, err := hashOfBoth([]byte("0"), plain)
		if err != nil {
			return ""
		}
		return string(h)
	}
	want := meaning(signed)
	lookup := vectorLookup(f)
	f.Add(signed)
	f.Add(bytes.Replace(signed, []byte("Hello"), []byte("Bye"), 1))
	f.Add(bytes.Replace(signed, []byte(`"proof": {`), []byte(`"actor":"https://evil.example","proof": {`), 1))
	f.Add([]byte(`{"proof":{"type":"DataIntegrityProof","cryptosuite":"eddsa-jcs-2022","proofPurpose":"assertionMethod","proofValue":"z1"}}`))
	f.Add([]byte(`{"proof":[[]]}`))
	f.Add([]byte(`{"proof":"` + vectorValue + `"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		controller, err := verifyProof(raw, lookup, signedAt)
		if err != nil {
			return
		}
		if controller != vectorActor {
			t.Errorf("it is %q's", controller)
		}
		if got := meaning(raw); got != want {
			t.Errorf("a proof holds for another document:\n%s", raw)
		}
	})
}
