package activitypub

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gowebpki/jcs"
	"github.com/mr-tron/base58"
)

// The proofs of FEP-8b32 that this node makes and takes (W3C vc-di-eddsa §3.3).
const (
	proofType   = "DataIntegrityProof"
	cryptosuite = "eddsa-jcs-2022"
)

// signProof adds an integrity proof to an object of ours. The proof's @context is the object's, as both are arrays.
func signProof(doc []byte, verificationMethod string, key ed25519.PrivateKey, created time.Time) ([]byte, error) {
	o := parseObject(doc)
	if o == nil || o["proof"] != nil {
		return nil, errors.New("only an object without a proof can be signed")
	}
	config := map[string]any{"type": proofType, "cryptosuite": cryptosuite, "created": wireTime(created),
		"verificationMethod": verificationMethod, "proofPurpose": "assertionMethod"}
	if c := o["@context"]; c != nil {
		config["@context"] = c
	}
	raw, err := marshal(config)
	if err != nil {
		return nil, err
	}
	canonical, err := jcs.Transform(doc)
	if err != nil {
		return nil, err
	}
	hash, err := proofHash(raw, canonical)
	if err != nil {
		return nil, err
	}
	config["proofValue"] = "z" + base58.Encode(ed25519.Sign(key, hash))
	if raw, err = marshal(config); err != nil {
		return nil, err
	}
	doc = bytes.TrimSpace(doc)
	name := []byte(`,"proof":`)
	if len(o) == 0 {
		name = name[1:]
	}
	return slices.Concat(doc[:len(doc)-1], name, raw, []byte("}")), nil
}

// proofHash is what is signed: SHA-256 of the canonical proof configuration, then of the canonical document (RFC 8785).
func proofHash(config, canonical []byte) ([]byte, error) {
	c, err := jcs.Transform(config)
	if err != nil {
		return nil, err
	}
	ch, dh := sha256.Sum256(c), sha256.Sum256(canonical)
	return append(ch[:], dh[:]...), nil
}

// withoutProof is the canonical form of an object without its proof, nor the Linked Data signature that Fedify and others add after it.
func withoutProof(o object) ([]byte, error) {
	o = maps.Clone(o)
	delete(o, "proof")
	delete(o, "signature")
	doc, err := marshal(o)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(doc)
}

// verifyProof checks the integrity proof of an object as received and returns who made it. lookup finds the Ed25519 key of a
// verification method and its controller.
func verifyProof(raw []byte, lookup keyLookup, now time.Time) (controller string, err error) {
	o := parseObject(raw)
	return checkProof(o, func() ([]byte, error) { return withoutProof(o) }, lookup, now)
}

// keyLookup finds a key by the id that a proof gives for it, and whose it is.
type keyLookup func(method string) (key ed25519.PublicKey, controller string, err error)

// checkProof is verifyProof of an object that was read before, with its canonical form as withoutProof makes it.
func checkProof(o object, canonical func() ([]byte, error), lookup keyLookup, now time.Time) (controller string, err error) {
	proofs := o.list("proof")
	if len(proofs) != 1 {
		return "", fmt.Errorf("the object has %d proofs, want one", len(proofs))
	}
	p := parseObject(proofs[0])
	if p == nil || p.str("type") != proofType || p.str("cryptosuite") != cryptosuite || p.str("proofPurpose") != "assertionMethod" {
		return "", fmt.Errorf("the proof is not a %s of %s for assertionMethod", proofType, cryptosuite)
	}
	if made, ok := p.time("created"); ok && made.Sub(now) > maxClockSkew {
		return "", errors.New("the proof was made in the future")
	}
	if until, ok := p.time("expires"); ok && until.Before(now) || !ok && p["expires"] != nil {
		return "", errors.New("the proof has expired")
	}
	value := p.str("proofValue")
	if len(value) < 2 || value[0] != 'z' || len(value) > 200 {
		return "", errors.New("the proofValue is not base58 in multibase")
	}
	sig, err := base58.Decode(value[1:])
	if err != nil || len(sig) != ed25519.SignatureSize {
		return "", errors.New("the proofValue is not an Ed25519 signature")
	}
	if context := p["@context"]; context != nil && !bytes.Equal(context, o["@context"]) {
		if !startsWith(o["@context"], context) {
			return "", errors.New("the object's @context does not start with the proof's")
		}
		o = maps.Clone(o)
		o["@context"] = context // vc-di-eddsa §3.3.2, step 4.2
		canonical = func() ([]byte, error) { return withoutProof(o) }
	}
	delete(p, "proofValue")
	config, err := marshal(p)
	if err != nil {
		return "", err
	}
	doc, err := canonical()
	if err != nil {
		return "", err
	}
	hash, err := proofHash(config, doc)
	if err != nil {
		return "", err
	}
	key, controller, err := lookup(p.str("verificationMethod"))
	if err != nil {
		return "", err
	}
	if !ed25519.Verify(key, hash, sig) {
		return "", errors.New("the proof does not fit the object")
	}
	return controller, nil
}

// startsWith reports whether the values of one @context are the first of another's.
func startsWith(whole, part json.RawMessage) bool {
	w, p := object{"c": whole}.list("c"), object{"c": part}.list("c")
	canonical := func(in []json.RawMessage) (out []string) {
		for _, raw := range in {
			c, err := jcs.Transform([]byte(`[` + string(raw) + `]`))
			if err != nil {
				return nil
			}
			out = append(out, string(c))
		}
		return out
	}
	wc, pc := canonical(w), canonical(p)
	return len(pc) > 0 && len(pc) <= len(wc) && slices.Equal(wc[:len(pc)], pc)
}
