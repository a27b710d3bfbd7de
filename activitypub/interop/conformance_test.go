package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// conformance is which tests of the npm package activitypub-testing are about which documents of ours.
var conformance = struct {
	actors, posts []string          // must pass
	not           map[string]string // do not apply, and why
}{
	actors: []string{
		"actor-objects-must-have-inbox-outbox-properties",
		"actor-must-serve-as2-object-to-get",
		"inbox-must-be-an-orderedcollection",
		"outbox-must-be-an-orderedcollection",
		"liked-collection-must-be-a-collection",
		"followers-collection-must-be-a-collection",
		"following-collection-must-be-a-collection",
	},
	posts: []string{
		"shares-collection-must-be-a-collection",
		"likes-collection-must-be-a-collection",
	},
	not: map[string]string{
		"outbox-post-servers-must-return-a-201-created-http-code":            noClients,
		"outbox-post-must-accept-non-activity-object":                        noClients,
		"outbox-wraps-object-with-create-checked-using-get-location":         noClients,
		"post-outbox-server-overwrites-id-property":                          noClients,
		"outbox-post-server-adds-to-outbox-collection-checked-by-outbox-get": noClients,
		"create-then-update-modifies-object-checked-by-get":                  noClients,
	},
}

const noClients = "ActivityPub's client-to-server protocol is not spoken: an outbox answers a POST with 405, apps use the client API"

// TestActivityPubTesting holds the documents of every kind of actor, and of a post, against the tests of the socialweb.coop.
func TestActivityPubTesting(t *testing.T) {
	needPeer(t)
	a := newAuthority(t, "planet.localhost")
	p := startPlanet(t, a, "planet.localhost")
	_, err := p.try(t, "a long enough password\n", "user", "create", "nuria", "--password-stdin")
	must(t, err)
	p.run(t, "coop", "create", "baker", "--title", "The baker co-op", "--founder", "nuria")
	var said post
	p.read(t, &said, "post", "--as", "baker", "Loaves at nine")

	type question struct {
		Slug   string         `json:"slug"`
		Inputs map[string]any `json:"inputs"`
		about  string
		want   string
	}
	var ask []question
	read := func(address string) (doc map[string]any) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		must(t, err)
		r.Header.Set("Accept", `application/ld+json; profile="https://www.w3.org/ns/activitystreams"`)
		resp, err := p.client.Do(r)
		must(t, err)
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		must(t, err)
		if err := json.Unmarshal(raw, &doc); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s %v", address, resp.StatusCode, raw, err)
		}
		return doc
	}
	about := func(path string, slugs []string, want string) {
		doc := read(p.origin + path)
		raw, err := json.Marshal(doc)
		must(t, err)
		for _, slug := range slugs {
			ask = append(ask, question{slug, map[string]any{
				"actor": string(raw), "object": string(raw), "id": doc["id"], "outbox": doc["outbox"], "time": "T20S",
			}, path, want})
		}
	}
	for _, path := range []string{"/users/baker", "/users/nuria", "/actor", "/ledger"} {
		about(path, conformance.actors, "passed")
	}
	about(said.IRI[len(p.origin):], conformance.posts, "passed")
	var not []string
	for slug := range conformance.not {
		not = append(not, slug)
	}
	slices.Sort(not)
	about("/users/baker", not, "inapplicable")

	in, err := json.Marshal(ask)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, nodeBinary, "conformance.mjs")
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+a.file)
	var complaints bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("activitypub-testing: %v\n%s", err, complaints.String())
	}
	var got struct {
		Slugs   []string
		Results []struct{ Slug, Outcome, Info string }
	}
	if err := json.Unmarshal(out, &got); err != nil || len(got.Results) != len(ask) {
		t.Fatalf("activitypub-testing answered %s, %v", out, err)
	}
	for _, slug := range got.Slugs {
		if !slices.Contains(conformance.actors, slug) && !slices.Contains(conformance.posts, slug) && conformance.not[slug] == "" {
			t.Errorf("nobody has said whether %s applies", slug)
		}
	}
	for i, r := range got.Results {
		if r.Outcome != ask[i].want {
			t.Errorf("%s of %s: %s, want %s: %s", r.Slug, ask[i].about, r.Outcome, ask[i].want, r.Info)
		}
	}
}
