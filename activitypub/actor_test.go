package activitypub_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mr-tron/base58"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// handles are the names that Mastodon takes.
var handles = regexp.MustCompile(`^[A-Za-z0-9_]+([.-]+[A-Za-z0-9_]+)*$`)

// wantActor holds what Mastodon, GoToSocial, Lemmy, Misskey and Pleroma demand of an actor (federation.md §3.1, §4).
func wantActor(t *testing.T, net *aptest.Network, address, kind string) map[string]any {
	t.Helper()
	doc := open(t, net, address)
	if doc["type"] != kind {
		t.Errorf("%s is of type %v, want the word %s", address, doc["type"], kind)
	}
	name, _ := doc["preferredUsername"].(string)
	if !handles.MatchString(name) {
		t.Errorf("preferredUsername is %v", doc["preferredUsername"])
	}
	home, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	text := func(m map[string]any, key string) string { s, _ := m[key].(string); return s }
	for _, key := range []string{"inbox", "outbox", "followers", "following", "featured", "url"} {
		if u, err := url.Parse(text(doc, key)); err != nil || u.Scheme != "https" || u.Host != home.Host {
			t.Errorf("%s is %v, want an address at %s", key, doc[key], home.Host)
		}
	}
	if endpoints, _ := doc["endpoints"].(map[string]any); text(endpoints, "sharedInbox") != "https://"+home.Host+"/inbox" {
		t.Errorf("endpoints are %v", doc["endpoints"])
	}
	if _, err := time.Parse(time.RFC3339, text(doc, "published")); err != nil {
		t.Errorf("published: %v", err)
	}
	for _, key := range []string{"manuallyApprovesFollowers", "discoverable", "indexable"} {
		if _, ok := doc[key].(bool); !ok {
			t.Errorf("%s is %v, want true or false", key, doc[key])
		}
	}
	if text(doc, "name") == "" || doc["summary"] == nil {
		t.Errorf("name is %v, summary %v", doc["name"], doc["summary"])
	}

	key, _ := doc["publicKey"].(map[string]any)
	if before, fragment, _ := strings.Cut(text(key, "id"), "#"); key["owner"] != address || before != address || fragment == "" {
		t.Errorf("the key is %v of %v, want a fragment of its owner", key["id"], key["owner"])
	}
	block, rest := pem.Decode([]byte(text(key, "publicKeyPem")))
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
		t.Fatalf("publicKeyPem is %q, want one SPKI block", key["publicKeyPem"])
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if k, ok := public.(*rsa.PublicKey); err != nil || !ok || k.N.BitLen() < 2048 {
		t.Errorf("the key is %T, %v; want RSA of 2048 bits", public, err)
	}
	methods, _ := list(t, doc, "assertionMethod")
	if len(methods) != 1 {
		t.Fatalf("assertionMethod is %v, want one key", methods)
	}
	method := methods[0].(map[string]any)
	if before, fragment, _ := strings.Cut(text(method, "id"), "#"); method["type"] != "Multikey" || method["controller"] != address || before != address || fragment == "" || method["id"] == key["id"] {
		t.Errorf("assertionMethod is %v", method)
	}
	multibase := text(method, "publicKeyMultibase")
	if raw, err := base58.Decode(strings.TrimPrefix(multibase, "z")); !strings.HasPrefix(multibase, "z6Mk") || err != nil || len(raw) != 34 || raw[0] != 0xed || raw[1] != 1 {
		t.Errorf("publicKeyMultibase is %q, want an Ed25519 Multikey", multibase)
	}

	if doc["attachment"] != nil {
		fields, _ := list(t, doc, "attachment")
		for _, raw := range fields {
			if f, _ := raw.(map[string]any); f["type"] != "PropertyValue" || text(f, "name") == "" || text(f, "value") == "" {
				t.Errorf("a profile field is %v", raw)
			}
		}
	}
	// Every server walks from the document to the handle and back.
	handle := name + "@" + home.Host
	if doc["webfinger"] != handle {
		t.Errorf("webfinger is %v, want %s", doc["webfinger"], handle)
	}
	jrd := finger(t, net, "acct:"+handle)
	if jrd.Subject != "acct:"+handle || jrd.self() != address {
		t.Errorf("WebFinger says %+v, want %s", jrd, address)
	}
	// GoToSocial and Mastodon count what is there at first contact.
	for _, key := range []string{"outbox", "followers", "following", "featured"} {
		c := open(t, net, text(doc, key))
		if n, ok := c["totalItems"].(float64); c["type"] != "OrderedCollection" || !ok || n < 0 {
			t.Errorf("%s is %v", key, c)
		}
	}
	return doc
}

func TestEveryActorIsOneThatAllServersTake(t *testing.T) {
	net, _, _, _ := stage(t)
	for address, kind := range map[string]string{
		"https://rye.example/users/baker": "Organization", "https://rye.example/users/nuria": "Person",
		"https://rye.example/actor": "Application", "https://rye.example/ledger": "Service",
	} {
		t.Run(kind, func(t *testing.T) {
			doc := wantActor(t, net, address, kind)
			if s := ask(t, net, address); strings.Contains(s.body, "PRIVATE") || s.header.Get("Cache-Control") != "public, max-age=60" {
				t.Errorf("kept %q: %s", s.header.Get("Cache-Control"), s.body)
			}
			if itself := kind == "Application" || kind == "Service"; doc["manuallyApprovesFollowers"] != itself {
				t.Errorf("manuallyApprovesFollowers is %v", doc["manuallyApprovesFollowers"])
			}
		})
	}
}

func TestACoopsDocument(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	baker, err := rye.FoundCoop(t.Context(), rye.Person("nuria").User, activitypub.NewCoop{
		Username: "baker", Title: "Baker & Co-op", Summary: "Bread of #rye.\n\nSince <1978>.", Place: "Girona & around", Category: "food", Hours: "Tu-Sa 08:00-14:00",
		Links:      []storage.Link{{Name: "Shop", URL: "https://shop.example/?a=1&b=2"}, {Name: "Statutes", URL: "http://baker.example/statutes.pdf"}},
		Principles: []string{"1", "2", "7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	doc := wantActor(t, net, string(baker.IRI), "Organization")
	wantGolden(t, "golden_coop.json", doc)

	shown := map[string]string{}
	fields, _ := list(t, doc, "attachment")
	for _, raw := range fields {
		f := raw.(map[string]any)
		shown[f["name"].(string)] = f["value"].(string)
	}
	for name, want := range map[string]string{
		"Place": "Girona &amp; around", "Hours": "Tu-Sa 08:00-14:00", "Category": "food",
		"Shop": `<a href="https://shop.example/?a=1&amp;b=2" rel="me nofollow noopener">https://shop.example/?a=1&amp;b=2</a>`,
	} {
		if shown[name] != want {
			t.Errorf("the field %s is %q, want %q", name, shown[name], want)
		}
	}
	if _, principles := list(t, doc, "principles"); !slices.Equal(principles, []string{"1", "2", "7"}) {
		t.Errorf("principles are %v", principles)
	}
}

func TestASingleProfileFieldIsAListToo(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	baker, err := rye.FoundCoop(t.Context(), rye.Person("nuria").User, activitypub.NewCoop{Username: "baker", Title: "Baker", Place: "Girona", Principles: []string{"3"}})
	if err != nil {
		t.Fatal(err)
	}
	doc := wantActor(t, net, string(baker.IRI), "Organization")
	for _, key := range []string{"attachment", "principles"} {
		if all, _ := list(t, doc, key); len(all) != 1 {
			t.Errorf("%s is %v, want a list of one", key, doc[key])
		}
	}
}

func TestAChangedProfileIsServedAtOnce(t *testing.T) {
	net, rye, baker, _ := stage(t)
	latitude, longitude := 41.98, 2.82
	profile := *baker.Actor
	profile.Name, profile.Locked, profile.Discoverable, profile.Latitude, profile.Longitude = "Mill", true, false, &latitude, &longitude
	if err := rye.UpdateProfile(t.Context(), baker, &profile); err != nil {
		t.Fatal(err)
	}
	doc := wantActor(t, net, string(baker.Actor.IRI), "Organization")
	if doc["name"] != "Mill" || doc["manuallyApprovesFollowers"] != true || doc["discoverable"] != false {
		t.Errorf("the document is %v", doc)
	}
	if place, _ := doc["location"].(map[string]any); place["type"] != "Place" || place["latitude"] != latitude || place["longitude"] != longitude {
		t.Errorf("the place is %v", doc["location"])
	}
}

func TestNewKeysAreShownInThePlaceOfTheOld(t *testing.T) {
	net, rye, baker, _ := stage(t)
	me := string(baker.Actor.IRI)
	before := wantActor(t, net, me, "Organization")
	if err := rye.RotateKeys(t.Context(), baker); err != nil {
		t.Fatal(err)
	}
	after := wantActor(t, net, me, "Organization")
	old, now := before["publicKey"].(map[string]any), after["publicKey"].(map[string]any)
	if old["id"] == now["id"] || old["publicKeyPem"] == now["publicKeyPem"] {
		t.Errorf("the key is still %v", now["id"])
	}
	if one, other := before["assertionMethod"].([]any)[0].(map[string]any), after["assertionMethod"].([]any)[0].(map[string]any); one["id"] == other["id"] || one["publicKeyMultibase"] == other["publicKeyMultibase"] {
		t.Errorf("the Multikey is still %v", other["id"])
	}
}

func TestAnActorWhoIsGoneIsATombstone(t *testing.T) {
	net, rye, baker, _ := stage(t)
	p := rye.Say(baker, "bread")
	gone := *baker.Actor
	now := net.Now()
	gone.DeletedAt = &now
	if err := rye.DB.SaveActor(t.Context(), &gone); err != nil {
		t.Fatal(err)
	}
	for _, address := range []storage.IRI{gone.IRI, gone.Outbox, gone.Followers, gone.Following, gone.Featured, p.IRI, p.IRI + "/activity"} {
		s := ask(t, net, string(address))
		if s.status != http.StatusGone || s.header.Get("Content-Type") != activityMedia+"; charset=utf-8" {
			t.Errorf("%s is %d %q, want 410", address, s.status, s.header.Get("Content-Type"))
		}
		if doc := decode(t, s.body); doc["type"] != "Tombstone" || doc["id"] != string(gone.IRI) {
			t.Errorf("%s is %s", address, s.body)
		}
	}
}

func TestOnlyThisNodesOwnActorsAreServed(t *testing.T) {
	net, rye, baker, ann := stage(t)
	befriend(t, net, ann, baker.Actor)
	if _, err := rye.Resolve(t.Context(), "@ann@far.example"); err != nil {
		t.Fatal(err)
	}
	// The node's own actors have one address each.
	for _, path := range []string{"/users/ann", "/users/nobody", "/users/actor", "/users/ledger", "/users/", "/users/ann/outbox", "/users/nobody/followers", "/ledger/nothing"} {
		if s := ask(t, net, "https://rye.example"+path); s.status != 404 || s.header.Get("Content-Type") != problems {
			t.Errorf("%s is %d %q, want 404 with a problem", path, s.status, s.header.Get("Content-Type"))
		}
	}
}
