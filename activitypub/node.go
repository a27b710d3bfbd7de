// Package activitypub speaks with other servers: what they see of this node, what they send to it and what it sends to them.
//
// Everything that others may see goes through two doors: outbox.go (what our people do) and inbox.go (what others do).
// Who may do what stands in one table in authorize.go. A signer is whoever signed a request; an actor is whoever an
// activity says did it. A duty that must survive a crash (a delivery) is a row, written in the transaction of the change
// that causes it. The bytes of others are evidence: they are kept, and never written anew.
package activitypub

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"planet/storage"
)

// Config is what a Node needs to run.
type Config struct {
	Origin          string // scheme and host, no path; part of every id
	DB              *storage.DB
	Client          *Client
	Now             func() time.Time // nil: the database's clock
	Log             *slog.Logger     // nil: the default one
	AuthorizedFetch bool             // only signed requests read documents
	Federation      string           // FederationOpen ("" too), FederationAllowlist or FederationOff
	RateLimit       bool             // bound what one other server may bring
	Version         string
	Name            string // of the node, for people; "" for its host
	Description     string
	SignupOpen      bool // NodeInfo openRegistrations

	MediaDir      string // where uploaded pictures lie; "": none are taken
	MediaCacheDir string // where those of other servers are kept for a while; "": none are shown
	MediaCache    int64  // bytes that these may take; 0: none are kept

	// Keys makes what a new actor signs with. nil: RSA-2048 and Ed25519, newly made. Tests bring theirs, as RSA takes its time.
	Keys NewKeys
}

// NewKeys makes what a new actor signs with: a PKCS#8 PEM, its SPKI PEM, a PKCS#8 PEM and its Multikey.
type NewKeys func() (rsaPrivate, rsaPublic, edPrivate, edPublic string, err error)

// Node is one server of the fediverse.
type Node struct {
	Config
	Host string // of the origin, with its port unless it is the scheme's own

	origin string // as originOf writes it

	secret     []byte
	vapid      *ecdsa.PrivateKey // by which push services know this node
	keys       *keyring
	gallery    *gallery
	wake       chan struct{} // the delivery loop
	wakeJobs   chan struct{}
	wakePushes chan struct{}
	mux        *http.ServeMux
	service    *storage.Actor // /actor, who signs what the node itself asks
	keeper     *storage.Actor // /ledger, who keeps the books of this node; nothing of it changes but its keys

	mu     sync.Mutex
	counts map[string]int64 // touched under mu
	down   map[string]bool  // hosts whose breaker is open, as far as this process knows, at most maxDown; under mu

	inboxes *buckets // what hosts may bring
	unknown *buckets // keys of theirs that may be asked for
	payers  *buckets // what one actor may ask of the ledger
	askers  *buckets // how often one actor may ask people of this node for money
}

// New makes a node on a migrated database. At its first use the database gets the node's own actors and their keys;
// afterwards another origin is refused, as it is part of every id that others keep.
func New(ctx context.Context, c Config) (*Node, error) {
	u, err := url.Parse(c.Origin)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("the origin %q is not a scheme and a host, as in https://coop.example", c.Origin)
	}
	if c.Now == nil {
		c.Now = c.DB.Now
	}
	if c.Keys == nil {
		c.Keys = generateKeys
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	n := &Node{Config: c, wake: make(chan struct{}, 1), wakeJobs: make(chan struct{}, 1), wakePushes: make(chan struct{}, 1), counts: map[string]int64{}, down: map[string]bool{}}
	if n.Host, err = normaliseHost(u.Host); err != nil {
		return nil, fmt.Errorf("the origin %q: %w", c.Origin, err)
	}
	if n.origin = originOf(c.Origin); n.origin == "" {
		return nil, fmt.Errorf("the origin %q is not an address", c.Origin)
	}
	switch n.Federation {
	case "":
		n.Federation = FederationOpen
	case FederationOpen, FederationAllowlist, FederationOff:
	default:
		return nil, fmt.Errorf("federation is %q, want open, allowlist or off", n.Federation)
	}
	if n.Config.Name == "" {
		n.Config.Name = n.Host
	}
	n.keys = newKeyring()
	n.inboxes, n.unknown = newBuckets(inboxRate, inboxBurst), newBuckets(keyRate, keyBurst)
	n.payers, n.askers = newBuckets(payerRate, payerBurst), newBuckets(askerRate, askerBurst)
	n.mux = n.routes()
	if err := n.found(ctx); err != nil {
		return nil, err
	}
	down, err := n.DB.HostsDown(ctx, maxDown)
	if err != nil {
		return nil, err
	}
	for _, host := range down {
		n.down[host] = true
	}
	if err := n.findSecret(ctx); err != nil {
		return nil, err
	}
	n.openGallery()
	return n, nil
}

// findSecret gives the node its secret, at its first use a new one: without it nobody can compute the name of a picture, make this node fetch an
// address, write the link of an order, or read the token of an app that wants pushes. The key of its pushes likewise.
func (n *Node) findSecret(ctx context.Context) error {
	secret, err := n.kept(ctx, "secret", func() (string, error) { return rand.Text(), nil })
	if err != nil {
		return err
	}
	n.secret = []byte(secret)
	key, err := n.kept(ctx, "vapid_key", newVapidKey)
	if err != nil {
		return err
	}
	n.vapid, err = parseVapidKey(key)
	return err
}

// kept is what the database keeps under a key; at its first use what first makes.
func (n *Node) kept(ctx context.Context, key string, first func() (string, error)) (string, error) {
	value, err := n.DB.Setting(ctx, key)
	if !errors.Is(err, storage.ErrNotFound) {
		return value, err
	}
	if value, err = first(); err != nil {
		return "", err
	}
	return n.DB.KeepSetting(ctx, key, value)
}

// digest is keyed with the node's secret; what it is for keeps those of one use from counting for another.
func (n *Node) digest(use, text string) []byte {
	mac := hmac.New(sha256.New, n.secret)
	mac.Write([]byte(use + "\x00" + text))
	return mac.Sum(nil)
}

// hide hides a text in the database from whoever reads one row without the node's secret; reveal reads it, for the same use alone.
func (n *Node) hide(use, text string) ([]byte, error) {
	box, err := n.box()
	if err != nil {
		return nil, err
	}
	return box.Seal(nil, nil, []byte(text), []byte(use)), nil
}

// reveal reads what hide wrote for the same use.
func (n *Node) reveal(use string, sealed []byte) (string, error) {
	box, err := n.box()
	if err != nil {
		return "", err
	}
	text, err := box.Open(nil, nil, sealed, []byte(use))
	return string(text), err
}

// box is AES-256-GCM, which draws its nonces by itself.
func (n *Node) box() (cipher.AEAD, error) {
	block, err := aes.NewCipher(n.digest("seal", ""))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// found makes the node's own actors once, and holds the origin that it was founded with.
func (n *Node) found(ctx context.Context) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		origin, err := tx.Setting(ctx, "origin")
		switch {
		case errors.Is(err, storage.ErrNotFound):
			if err := tx.SetSetting(ctx, "origin", n.Origin); err != nil {
				return err
			}
		case err != nil:
			return err
		case origin != n.Origin:
			return fmt.Errorf("this database belongs to %s and cannot serve %s: the origin is part of every id that other servers keep", origin, n.Origin)
		}
		for _, a := range []*storage.Actor{
			{Type: storage.Application, Username: "actor", Name: n.Config.Name, Summary: "<p>This node itself: it signs what the node asks of others.</p>", Locked: true, Bot: true},
			{Type: storage.Service, Username: "ledger", Name: n.Config.Name + " ledger", Summary: "<p>The ledger of this node.</p>", Locked: true, Bot: true},
		} {
			n.addresses(a)
			old, err := tx.ActorByIRI(ctx, a.IRI)
			if errors.Is(err, storage.ErrNotFound) {
				old, err = a, n.addActor(ctx, tx, a)
			}
			if err != nil {
				return err
			}
			if a.Type == storage.Application {
				n.service = old
			} else {
				n.keeper = old
			}
		}
		return nil
	})
}

// addActor stores a new actor of this node with keys of its own.
func (n *Node) addActor(ctx context.Context, tx *storage.DB, a *storage.Actor) error {
	if err := tx.SaveActor(ctx, a); err != nil {
		return err
	}
	return n.addKeys(ctx, tx, a, "#main-key", "#ed25519-key")
}

// Handler serves everything that ActivityPub, WebFinger and NodeInfo ask for. Addresses that people open too are
// answered as documents here; web/routes.go decides which of both is meant.
func (n *Node) Handler() http.Handler { return n.mux }

// Run does the node's work in the background until ctx ends: deliveries, jobs, holds and orders that run out, payments that wait for a ledger elsewhere, and tidying up after pictures.
func (n *Node) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.deliverLoop(ctx) })
	g.Go(func() error { return n.jobLoop(ctx) })
	g.Go(func() error { return n.holdLoop(ctx) })
	g.Go(func() error { return n.paymentLoop(ctx) })
	g.Go(func() error { return n.orderLoop(ctx) })
	g.Go(func() error { return n.mediaLoop(ctx) })
	g.Go(func() error { return n.scheduleLoop(ctx) })
	return g.Wait()
}

// Wake tells the background work that there is something new.
func (n *Node) Wake() {
	for _, c := range []chan struct{}{n.wake, n.wakeJobs, n.wakePushes} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// count adds one to a counter of what came in.
func (n *Node) count(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.counts[name]; !ok && len(n.counts) >= 1000 {
		name = "other" // names come from outside
	}
	n.counts[name]++
}

// Counts are how often each kind of activity was received, ignored or unknown since the start.
func (n *Node) Counts() map[string]int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.counts)
}
