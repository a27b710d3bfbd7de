package activitypub_test

import (
	"regexp"
	"slices"
	"testing"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

const nodeinfoNamespace = "http://nodeinfo.diaspora.software/ns/schema/"

// shape holds an object of a NodeInfo schema: all of need are there, and nothing but need and may.
func shape(t *testing.T, what string, v any, need []string, may ...string) map[string]any {
	t.Helper()
	m, ok := v.(map[string]any)
	if !ok {
		t.Errorf("%s is %v, want an object", what, v)
	}
	for _, key := range need {
		if m[key] == nil {
			t.Errorf("%s has no %s", what, key)
		}
	}
	for key := range m {
		if !slices.Contains(need, key) && !slices.Contains(may, key) {
			t.Errorf("%s has %s, which the schema does not know", what, key)
		}
	}
	return m
}

// wantNodeInfo is the JSON schema of NodeInfo 2.0 and 2.1, written out.
func wantNodeInfo(t *testing.T, net *aptest.Network, version string) map[string]any {
	t.Helper()
	s := ask(t, net, "https://rye.example/nodeinfo/"+version, accepting("application/json"))
	if want := `application/json; profile="` + nodeinfoNamespace + version + `#"`; s.status != 200 || s.header.Get("Content-Type") != want || s.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d %v, want %s", s.status, s.header, want)
	}
	doc := shape(t, "the document", decode(t, s.body), []string{"version", "software", "protocols", "services", "openRegistrations", "usage", "metadata"})
	if doc["version"] != version {
		t.Errorf("version is %v", doc["version"])
	}
	more := []string{}
	if version == "2.1" {
		more = []string{"repository", "homepage"}
	}
	software := shape(t, "software", doc["software"], []string{"name", "version"}, more...)
	if name, _ := software["name"].(string); !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(name) || name != "planet" {
		t.Errorf("the software calls itself %v", software["name"])
	}
	for key, v := range software {
		if _, ok := v.(string); !ok {
			t.Errorf("software.%s is %v", key, v)
		}
	}
	if _, protocols := list(t, doc, "protocols"); !slices.Equal(protocols, []string{"activitypub"}) {
		t.Errorf("protocols are %v", doc["protocols"])
	}
	services := shape(t, "services", doc["services"], []string{"inbound", "outbound"})
	for key := range services {
		list(t, services, key)
	}
	if _, ok := doc["openRegistrations"].(bool); !ok {
		t.Errorf("openRegistrations is %v", doc["openRegistrations"])
	}
	usage := shape(t, "usage", doc["usage"], []string{"users"}, "localPosts", "localComments")
	users := shape(t, "users", usage["users"], nil, "total", "activeHalfyear", "activeMonth")
	for _, m := range []map[string]any{users, {"localPosts": usage["localPosts"]}} {
		for key, v := range m {
			if n, ok := v.(float64); !ok || n < 0 || n != float64(int64(n)) {
				t.Errorf("%s is %v, want a whole number", key, v)
			}
		}
	}
	if _, ok := doc["metadata"].(map[string]any); !ok {
		t.Errorf("metadata is %v", doc["metadata"])
	}
	return doc
}

func TestNodeInfo(t *testing.T) {
	net := aptest.New(t)
	rye := net.Add("rye.example", func(c *activitypub.Config) { c.Name, c.Description = "Rye", "Co-ops of Girona" })
	for _, version := range []string{"2.0", "2.1"} { // on an empty node too
		doc := wantNodeInfo(t, net, version)
		if users := doc["usage"].(map[string]any)["users"].(map[string]any); users["total"] != 0.0 {
			t.Errorf("nobody is here, and %v are counted", users)
		}
	}
	nuria := rye.Person("nuria")
	baker := rye.Coop(nuria, "baker")
	befriend(t, net, newcomer(net, "far.example", "ann", 9), baker.Actor) // who is no user of this node
	rye.Say(nuria, "hello")
	publish(t, rye, baker, activitypub.Draft{Text: "bread", Visibility: storage.Unlisted})
	for _, open := range []bool{true, false} {
		rye.SignupOpen = open
		for _, version := range []string{"2.0", "2.1"} {
			doc := wantNodeInfo(t, net, version)
			usage := doc["usage"].(map[string]any)
			if users := usage["users"].(map[string]any); users["total"] != 1.0 || usage["localPosts"] != 2.0 || doc["openRegistrations"] != open {
				t.Errorf("%s is %v, want one user, two posts, open %v", version, doc, open)
			}
			if m := doc["metadata"].(map[string]any); m["nodeName"] != "Rye" || m["nodeDescription"] != "Co-ops of Girona" {
				t.Errorf("metadata is %v", m)
			}
		}
	}
}

func TestNodeInfoIsFound(t *testing.T) {
	net, _, _, _ := stage(t)
	s := ask(t, net, "https://rye.example/.well-known/nodeinfo", accepting("application/json"))
	if s.status != 200 || s.header.Get("Content-Type") != "application/json" || s.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d %v", s.status, s.header)
	}
	found := map[string]string{}
	links, _ := list(t, decode(t, s.body), "links")
	for _, raw := range links {
		l := raw.(map[string]any)
		found[l["rel"].(string)] = l["href"].(string)
	}
	for rel, want := range map[string]string{
		nodeinfoNamespace + "2.0": "https://rye.example/nodeinfo/2.0", nodeinfoNamespace + "2.1": "https://rye.example/nodeinfo/2.1",
		as2 + "#Application": "https://rye.example/actor", // FEP-2677
	} {
		if found[rel] != want {
			t.Errorf("%s is at %q, want %s", rel, found[rel], want)
		}
		if s := ask(t, net, want, accepting("application/json")); s.status != 200 {
			t.Errorf("%s is %d", want, s.status)
		}
	}
	for _, version := range []string{"1.0", "2.2", "2.0.json", "x"} {
		if s := ask(t, net, "https://rye.example/nodeinfo/"+version); s.status != 404 || s.header.Get("Content-Type") != problems {
			t.Errorf("%s is %d %q, want 404 with a problem", version, s.status, s.header.Get("Content-Type"))
		}
	}
}
