package activitypub

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"planet/storage"
)

// How long a key that verified is used without a look at the database, and how long nobody is asked again for a key
// that did not.
const (
	keyLife        = 24 * time.Hour
	keyRefusal     = 5 * time.Minute
	keyUnavailable = 20 * time.Second
)

// keyring holds parsed keys. A write never relies on it: what it says of an actor is who signed, not what she may do.
type keyring struct {
	verified *otter.Cache[storage.IRI, ownedKey]
	refused  *otter.Cache[storage.IRI, refusal] // asked for lately
	private  *otter.Cache[storage.IRI, crypto.Signer]
}

type ownedKey struct {
	public crypto.PublicKey
	owner  *storage.Actor
}

type refusal struct {
	err  error // nil: the key was found, and is not asked for again
	life time.Duration
}

func newKeyring() *keyring {
	return &keyring{
		verified: otter.Must(&otter.Options[storage.IRI, ownedKey]{MaximumSize: 20_000, ExpiryCalculator: otter.ExpiryWriting[storage.IRI, ownedKey](keyLife)}),
		refused: otter.Must(&otter.Options[storage.IRI, refusal]{MaximumSize: 20_000, ExpiryCalculator: otter.ExpiryWritingFunc(
			func(e otter.Entry[storage.IRI, refusal]) time.Duration { return e.Value.life })}),
		private: otter.Must(&otter.Options[storage.IRI, crypto.Signer]{MaximumSize: 2_000}),
	}
}

// forget drops the keys of an actor whose document has changed.
func (k *keyring) forget(actor storage.IRI) {
	for id, key := range k.verified.All() {
		if key.owner.IRI == actor {
			k.verified.Invalidate(id)
		}
	}
}

// verify finds the signer of a request. A key that does not fit is asked for once more at its origin: it may have been
// replaced. 401 when nothing fits, 503 when the key's server does not answer.
func (n *Node) verify(ctx context.Context, sig *signature) (*storage.Actor, error) {
	id := storage.IRI(sig.KeyID)
	if n.isOurs(id) {
		return nil, problem(http.StatusUnauthorized, "signature", "this node signs nothing that it sends to itself")
	}
	key, err := n.knownKey(ctx, id)
	if err == nil && sig.verify(key.public) == nil {
		n.alive(ctx, key.owner)
		return key.owner, nil
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	if r, ok := n.keys.refused.GetIfPresent(id); ok {
		if r.err != nil {
			return nil, r.err
		}
		return nil, problem(http.StatusUnauthorized, "signature", "the signature does not fit the key %s", sig.KeyID)
	}
	key, err = n.fetchKey(ctx, id)
	if err != nil {
		r := refusal{problem(http.StatusUnauthorized, "key", "the key %s could not be used: %v", sig.KeyID, err), keyRefusal}
		var fe *FetchError
		if errors.As(err, &fe) && fe.Temporary {
			r = refusal{problem(http.StatusServiceUnavailable, "key", "the key %s could not be fetched now", sig.KeyID), keyUnavailable}
		}
		n.keys.refused.Set(id, r)
		return nil, r.err
	}
	n.keys.refused.Set(id, refusal{nil, keyRefusal})
	if err := sig.verify(key.public); err != nil {
		return nil, problem(http.StatusUnauthorized, "signature", "the signature does not fit the key %s", sig.KeyID)
	}
	n.alive(ctx, key.owner)
	return key.owner, nil
}

// errManyKeys: a host has more keys that are not known here than may be asked for now.
var errManyKeys = errors.New("too many unknown keys of this host")

// knownKey finds a key here, or storage.ErrNotFound.
func (n *Node) knownKey(ctx context.Context, id storage.IRI) (ownedKey, error) {
	if k, ok := n.keys.verified.GetIfPresent(id); ok {
		return k, nil
	}
	row, err := n.DB.KeyByIRI(ctx, id)
	if err != nil {
		return ownedKey{}, err
	}
	owner, err := n.DB.ActorByID(ctx, row.ActorID)
	if err != nil {
		return ownedKey{}, err
	}
	if owner.DeletedAt != nil || row.RetiredAt != nil {
		return ownedKey{}, storage.ErrNotFound
	}
	public, err := parsePublicKey(row.Public)
	if err != nil {
		return ownedKey{}, storage.ErrNotFound // stored before the rules were stricter
	}
	k := ownedKey{public, owner}
	n.keys.verified.Set(id, k)
	return k, nil
}

// fetchKey asks the key's origin for it: for the actor that the id names without its fragment, for the actor behind
// GoToSocial's key stub, or for the owner of a key that is a document of its own. The owner's own document must list
// the key (FEP-fe34: claims both ways).
func (n *Node) fetchKey(ctx context.Context, id storage.IRI) (ownedKey, error) {
	if n.RateLimit && !n.unknown.take(hostOf(id), n.Now()) { // or a thousand made-up keys were a thousand requests to their host
		return ownedKey{}, &FetchError{URL: string(id), Temporary: true, Err: errManyKeys}
	}
	address, _, _ := strings.Cut(string(id), "#")
	raw, err := n.fetch(ctx, storage.IRI(address))
	if err != nil {
		return ownedKey{}, err
	}
	o := parseObject(raw)
	if isActorType(o.kind(isActorType)) {
		_, err = n.storeActor(ctx, raw)
	} else {
		owner := o.iri("owner")
		if owner == "" {
			owner = o.iri("controller")
		}
		_, err = n.fetchActor(ctx, owner)
	}
	if err != nil {
		return ownedKey{}, err
	}
	k, err := n.knownKey(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return k, fmt.Errorf("the owner's document does not list it")
	}
	return k, err
}

// proofSigner finds who signed an activity itself (FEP-8b32); nil when it carries no proof that holds.
func (n *Node) proofSigner(ctx context.Context, act *Activity) *storage.Actor {
	if act.top["proof"] == nil {
		return nil
	}
	var owner *storage.Actor
	controller, err := checkProof(act.top, act.withoutProof, func(method string) (ed25519.PublicKey, string, error) {
		id := storage.IRI(method)
		if n.isOurs(id) {
			return nil, "", problem(http.StatusUnauthorized, "proof", "a proof of our own comes from nobody else")
		}
		key, err := n.knownKey(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			if _, asked := n.keys.refused.GetIfPresent(id); asked {
				return nil, "", err
			}
			n.keys.refused.Set(id, refusal{nil, keyRefusal})
			key, err = n.fetchKey(ctx, id)
		}
		if err != nil {
			return nil, "", err
		}
		public, ok := key.public.(ed25519.PublicKey)
		if !ok {
			return nil, "", fmt.Errorf("%s is not an Ed25519 key", method)
		}
		owner = key.owner
		return public, string(key.owner.IRI), nil
	}, n.Now())
	if err != nil || owner == nil || controller != string(act.Actor) {
		n.count("proof.refused")
		return nil
	}
	n.count("proof.verified")
	return owner
}

// addKeys makes an RSA and an Ed25519 key for an actor of this node; the fragments are the ends of their ids.
func (n *Node) addKeys(ctx context.Context, tx *storage.DB, a *storage.Actor, rsaFragment, edFragment storage.IRI) error {
	rsaPrivate, rsaPublic, edPrivate, edPublic, err := n.Keys()
	if err != nil {
		return err
	}
	if err := tx.SaveKey(ctx, &storage.Key{IRI: a.IRI + rsaFragment, ActorID: a.ID, Kind: storage.KeyRSA, Public: rsaPublic, Private: rsaPrivate}); err != nil {
		return err
	}
	return tx.SaveKey(ctx, &storage.Key{IRI: a.IRI + edFragment, ActorID: a.ID, Kind: storage.KeyEd25519, Public: edPublic, Private: edPrivate})
}

// signingKey is the key of one kind that an actor of this node signs with now.
func (n *Node) signingKey(ctx context.Context, actor storage.ID, kind string) (id storage.IRI, key crypto.Signer, err error) {
	id, err = n.DB.NewestKey(ctx, actor, kind)
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil, fmt.Errorf("actor %s has no %s key: %w", actor, kind, err)
	}
	if err != nil {
		return "", nil, err
	}
	if key, ok := n.keys.private.GetIfPresent(id); ok {
		return id, key, nil
	}
	row, err := n.DB.KeyByIRI(ctx, id)
	if err != nil {
		return "", nil, err
	}
	if key, err = parsePrivateKey(row.Private); err != nil {
		return "", nil, fmt.Errorf("key %s: %w", id, err)
	}
	n.keys.private.Set(id, key)
	return id, key, nil
}

// edKey is the Ed25519 key with which an actor of this node signs what lasts.
func (n *Node) edKey(ctx context.Context, actor storage.ID) (storage.IRI, ed25519.PrivateKey, error) {
	id, key, err := n.signingKey(ctx, actor, storage.KeyEd25519)
	if err != nil {
		return "", nil, err
	}
	return id, key.(ed25519.PrivateKey), nil
}

// signGet signs what the node asks, as the node itself (federation.md §0).
func (n *Node) signGet(r *http.Request) error {
	id, key, err := n.signingKey(r.Context(), n.service.ID, storage.KeyRSA)
	if err != nil {
		return err
	}
	return signCavage(r, nil, string(id), key, n.Now())
}

// signGetAs signs what somebody of this node asks herself, of what is for her alone.
func (n *Node) signGetAs(actor storage.ID) func(*http.Request) error {
	return func(r *http.Request) error {
		id, key, err := n.signingKey(r.Context(), actor, storage.KeyRSA)
		if err != nil {
			return err
		}
		return signCavage(r, nil, string(id), key, n.Now())
	}
}

// parseSignature checks all of a request's signature but the key; the address that it covers is that of our origin, as
// TLS may end before us.
func (n *Node) parseSignature(r *http.Request, body []byte) (*signature, error) {
	return parseSignature(r, body, verifyContext{Origin: n.Origin, Now: n.Now()})
}
