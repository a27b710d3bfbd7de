package activitypub_test

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub/aptest"
)

// jrd is a JSON Resource Descriptor (RFC 7033 §4.4).
type jrd struct {
	Subject string
	Aliases []string
	Links   []struct{ Rel, Type, Href, Template string }
}

// self is the address of the actor, as Mastodon picks it: by the exact media type.
func (j jrd) self() string { return j.link("self", activityMedia) }

func (j jrd) link(rel, kind string) string {
	for _, l := range j.Links {
		if l.Rel == rel && l.Type == kind {
			return l.Href + l.Template
		}
	}
	return ""
}

func fingered(t *testing.T, net *aptest.Network, resource string) served {
	t.Helper()
	s := ask(t, net, "https://rye.example/.well-known/webfinger?resource="+url.QueryEscape(resource), accepting("application/jrd+json, application/json"))
	if got := s.header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("%q may be asked by pages of %q, want all", resource, got)
	}
	want := "application/jrd+json"
	if s.status != 200 {
		want = problems
	}
	if got := s.header.Get("Content-Type"); got != want {
		t.Errorf("%q is answered %d %q, want %q", resource, s.status, got, want)
	}
	return s
}

// finger asks rye.example who a resource is.
func finger(t *testing.T, net *aptest.Network, resource string) (j jrd) {
	t.Helper()
	s := fingered(t, net, resource)
	if s.status != 200 {
		t.Errorf("%q is %d %s, want 200", resource, s.status, s.body)
		return j
	}
	if err := json.Unmarshal([]byte(s.body), &j); err != nil {
		t.Fatal(err)
	}
	return j
}

func TestWebFingerKnowsACoopByAllItsNames(t *testing.T) {
	net, _, _, _ := stage(t)
	for _, resource := range []string{
		"acct:baker@rye.example", "acct:baker@RYE.Example", "acct:Baker@rye.example", "acct:baker@rye.example:443", "acct:baker@rye.example.",
		"@baker@rye.example", "baker@rye.example", "acct:@baker@rye.example",
		"https://rye.example/users/baker", "https://rye.example/@baker", "HTTPS://RYE.example/@baker", "https://Rye.Example/users/baker",
	} {
		j := finger(t, net, resource)
		if j.Subject != "acct:baker@rye.example" || j.self() != "https://rye.example/users/baker" {
			t.Errorf("%q is %+v", resource, j)
		}
		for _, alias := range []string{"https://rye.example/@baker", "https://rye.example/users/baker"} {
			if !slices.Contains(j.Aliases, alias) {
				t.Errorf("%q has the aliases %v, without %s", resource, j.Aliases, alias)
			}
		}
		if got := j.link("http://webfinger.net/rel/profile-page", "text/html"); got != "https://rye.example/@baker" {
			t.Errorf("%q has its page at %q", resource, got)
		}
		for rel, mark := range map[string]string{"http://ostatus.org/schema/1.0/subscribe": "{uri}", "https://w3id.org/fep/3b86/Object": "{object}"} {
			if got := j.link(rel, ""); !strings.HasPrefix(got, "https://rye.example/authorize_interaction?") || strings.Count(got, mark) != 1 {
				t.Errorf("%q is interacted with at %q by %s", resource, got, rel)
			}
		}
	}
}

func TestWebFingerKnowsTheNodeItself(t *testing.T) {
	net, _, _, _ := stage(t)
	for _, resource := range []string{"https://rye.example", "https://rye.example/", "https://RYE.example/"} {
		if j := finger(t, net, resource); j.Subject != "https://rye.example/" || j.link(as2+"#Service", activityMedia) != "https://rye.example/actor" {
			t.Errorf("%q is %+v, want the node's own actor (FEP-d556)", resource, j)
		}
	}
	for _, resource := range []string{"acct:actor@rye.example", "acct:rye.example@rye.example", "acct:instance@rye.example", "https://rye.example/actor"} {
		if j := finger(t, net, resource); j.Subject != "acct:actor@rye.example" || j.self() != "https://rye.example/actor" {
			t.Errorf("%q is %+v", resource, j)
		}
	}
	if j := finger(t, net, "https://rye.example/ledger"); j.self() != "https://rye.example/ledger" || j.Subject != "acct:ledger@rye.example" {
		t.Errorf("the ledger is %+v", j)
	}
}

func TestWebFingerKnowsNobodyElse(t *testing.T) {
	net, rye, baker, ann := stage(t)
	befriend(t, net, ann, baker.Actor) // ann's actor is stored here
	p := rye.Say(baker, "bread")
	for resource, want := range map[string]int{
		"acct:nobody@rye.example": 404, "acct:baker@oak.example": 404, "acct:baker@rye.example:8443": 404, "acct:baker@www.rye.example": 404,
		"acct:ann@rye.example": 404, "acct:ann@far.example": 404, ann.ID(): 404, "https://far.example/": 404,
		"https://oak.example/@baker": 404, "http://rye.example/@baker": 404, "https://rye.example:8443/@baker": 404, "https://rye.example.oak.example/@baker": 404,
		"https://rye.example/@nobody": 404, "https://rye.example/@ann": 404, "https://rye.example/@": 404, "https://rye.example/nothing": 404, string(p.IRI): 404, p.URL: 404,
		"": 400, "baker": 400, "acct:baker": 400, "acct:": 400, "acct:baker@": 400, "acct:@rye.example": 400, "mailto:baker@rye.example": 400, "acct:b%ker@rye.example": 400,
		"acct:baker@rye.example@oak.example": 400, "acct:ba ker@rye.example": 400, "acct:baker'--@rye.example": 400, "acct:baker@rye.example/x": 400, "acct:bäcker@rye.example": 400,
		"acct:" + strings.Repeat("a", 3000) + "@rye.example": 400, "acct:baker\x00@rye.example": 400, "\xff": 400,
	} {
		if s := fingered(t, net, resource); s.status != want {
			t.Errorf("%.100q is %d %s, want %d", resource, s.status, s.body, want)
		}
	}
	for _, query := range []string{"", "?", "?resource", "?rel=self", "?resource=%zz"} {
		if s := ask(t, net, "https://rye.example/.well-known/webfinger"+query); s.status != 400 || s.header.Get("Content-Type") != problems || s.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%q is %d %v, want 400", query, s.status, s.header)
		}
	}
}

func TestWebFingerSaysWhoIsGone(t *testing.T) {
	net, rye, baker, _ := stage(t)
	gone := *baker.Actor
	now := net.Now()
	gone.DeletedAt = &now
	if err := rye.DB.SaveActor(t.Context(), &gone); err != nil {
		t.Fatal(err)
	}
	for _, resource := range []string{"acct:baker@rye.example", "https://rye.example/@baker", "https://rye.example/users/baker"} {
		if s := fingered(t, net, resource); s.status != 410 {
			t.Errorf("%q is %d %s, want 410", resource, s.status, s.body)
		}
	}
}

func TestHostMetaLeadsToWebFinger(t *testing.T) {
	net, _, _, _ := stage(t)
	const template = "https://rye.example/.well-known/webfinger?resource={uri}"
	s := ask(t, net, "https://rye.example/.well-known/host-meta", accepting("application/xrd+xml"))
	var xrd struct {
		XMLName xml.Name `xml:"http://docs.oasis-open.org/ns/xri/xrd-1.0 XRD"`
		Links   []struct {
			Rel      string `xml:"rel,attr"`
			Template string `xml:"template,attr"`
		} `xml:"Link"`
	}
	if err := xml.Unmarshal([]byte(s.body), &xrd); err != nil || s.status != 200 {
		t.Fatalf("%d, %v in %s", s.status, err, s.body)
	}
	if len(xrd.Links) != 1 || xrd.Links[0].Rel != "lrdd" || xrd.Links[0].Template != template {
		t.Errorf("the XRD is %+v", xrd)
	}
	if s.header.Get("Content-Type") != "application/xrd+xml; charset=utf-8" || s.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("its headers are %v", s.header)
	}
	s = ask(t, net, "https://rye.example/.well-known/host-meta.json", accepting("application/json"))
	var j jrd
	if err := json.Unmarshal([]byte(s.body), &j); err != nil || s.status != 200 {
		t.Fatalf("%d, %v in %s", s.status, err, s.body)
	}
	if j.link("lrdd", "application/jrd+json") != template || s.header.Get("Content-Type") != "application/jrd+json" || s.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%+v with %v", j, s.header)
	}
}

func TestSheWhoseServerIsAwayCanStillBeUnfollowed(t *testing.T) {
	net, rye, baker, peer := stage(t)
	net.Serve("far.example", peer)
	follows(t, net, rye, baker, "@ann@far.example")
	net.Sleep(48 * time.Hour)
	net.Serve("far.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	if err := rye.Unfollow(t.Context(), baker, "@ann@far.example"); err != nil {
		t.Errorf("unfollow: %v", err)
	}
	if _, err := rye.Block(t.Context(), baker, "@ann@far.example"); err != nil {
		t.Errorf("block: %v", err)
	}
	net.Serve("far.example", http.NotFoundHandler())
	if _, err := rye.Follow(t.Context(), baker, "@ann@far.example"); err == nil {
		t.Error("she was followed although her server says that she is gone")
	}
}
