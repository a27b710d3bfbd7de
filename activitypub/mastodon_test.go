package activitypub_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
)

// mastodon is how Mastodon 4.7 decides whether an actor exists for it: what its services for fetching and processing accounts
// demand, in their order (app/services/activitypub/fetch_remote_actor_service.rb and process_account_service.rb,
// app/services/resolve_account_service.rb, app/lib/webfinger.rb), written anew.
type mastodon struct {
	get func(address, accept string) (status int, header http.Header, body []byte)
}

// The names that Mastodon takes (Account::USERNAME_RE), and its limits.
var (
	mastodonName  = regexp.MustCompile(`(?i)\A[a-z0-9_]+([.-]+[a-z0-9_]+)*\z`)
	mastodonTypes = []string{"Application", "Group", "Organization", "Person", "Service"}
)

const (
	mastodonAccept = "application/activity+json, application/ld+json"
	mastodonFields = 50
	mastodonText   = 2047
	mastodonKeys   = 10
)

// account is what is stored of an actor.
type account struct {
	Handle, Name, URL, Inbox, Shared, Icon string
	Fields                                 int
	Keys                                   []string
}

func (m mastodon) fetch(address string) (map[string]any, error) {
	status, header, body := m.get(address, mastodonAccept)
	if status != 200 {
		return nil, fmt.Errorf("%s is %d", address, status)
	}
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	if kind = strings.TrimSpace(kind); kind != "application/activity+json" && (kind != "application/ld+json" || !strings.Contains(header.Get("Content-Type"), `profile="https://www.w3.org/ns/activitystreams"`)) {
		return nil, fmt.Errorf("%s is %q", address, header.Get("Content-Type"))
	}
	if len(body) > 1<<20 {
		return nil, fmt.Errorf("%s has %d bytes", address, len(body))
	}
	var doc map[string]any
	return doc, json.Unmarshal(body, &doc)
}

// process is what makes an actor's address an account, or says why it is none.
func (m mastodon) process(address string) (*account, error) {
	doc, err := m.fetch(address)
	if err != nil {
		return nil, err
	}
	text := func(d any, key string) string { o, _ := d.(map[string]any); s, _ := o[key].(string); return s }
	contexts, ok := doc["@context"].([]any)
	if !ok {
		contexts = []any{doc["@context"]}
	}
	if !slices.Contains(contexts, any("https://www.w3.org/ns/activitystreams")) {
		return nil, fmt.Errorf("the context %v is not supported", contexts)
	}
	types, ok := doc["type"].([]any)
	if !ok {
		types = []any{doc["type"]}
	}
	if !slices.ContainsFunc(types, func(v any) bool { s, _ := v.(string); return slices.Contains(mastodonTypes, s) }) {
		return nil, fmt.Errorf("%v is no type of an actor", doc["type"])
	}
	if doc["id"] != address {
		return nil, fmt.Errorf("the id is %v, not what was fetched", doc["id"])
	}
	home, err := url.Parse(address)
	if err != nil || home.Scheme != "https" {
		return nil, fmt.Errorf("the id %s is not of https", address)
	}
	if text(doc, "inbox") == "" {
		return nil, fmt.Errorf("the inbox is %v", doc["inbox"])
	}
	name, domain := text(doc, "preferredUsername"), home.Host
	if handle := strings.TrimPrefix(text(doc, "webfinger"), "acct:"); handle != "" {
		name, domain, _ = strings.Cut(handle, "@")
	}
	if name == "" || len(name) > 2048 || !mastodonName.MatchString(name) {
		return nil, fmt.Errorf("the name %q cannot be used", name)
	}
	if err := m.confirm(name, domain, address); err != nil {
		return nil, err
	}
	a := &account{Handle: name + "@" + domain, Inbox: text(doc, "inbox"), URL: address}
	if a.Name = text(doc, "name"); len(a.Name) > 2048 || len(text(doc, "summary")) > 20_000 {
		return nil, fmt.Errorf("the name or the summary is too long")
	}
	links, ok := doc["url"].([]any)
	if !ok {
		links = []any{doc["url"]}
	}
	for _, l := range links {
		at, _ := l.(string)
		if at == "" && (text(l, "mimeType") == "" || text(l, "mimeType") == "text/html") {
			at = text(l, "href")
		}
		if u, err := url.Parse(at); err == nil && u.Host == home.Host {
			a.URL = at
			break
		}
	}
	if a.Shared = text(doc["endpoints"], "sharedInbox"); a.Shared == "" {
		a.Shared = text(doc, "sharedInbox")
	}
	a.Icon = text(doc["icon"], "url")
	fields, ok := doc["attachment"].([]any)
	if !ok && doc["attachment"] != nil {
		return nil, fmt.Errorf("attachment is %T, and so no field is read", doc["attachment"])
	}
	for _, f := range fields {
		if text(f, "type") == "PropertyValue" && text(f, "name") != "" && len(text(f, "name")) <= mastodonText && len(text(f, "value")) <= mastodonText && a.Fields < mastodonFields {
			a.Fields++
		}
	}
	for _, key := range []string{"published"} {
		if _, err := time.Parse(time.RFC3339, text(doc, key)); err != nil {
			return nil, fmt.Errorf("%s is %v", key, doc[key])
		}
	}
	for _, key := range []string{"manuallyApprovesFollowers", "discoverable", "indexable"} {
		if _, ok := doc[key].(bool); !ok {
			return nil, fmt.Errorf("%s is %v", key, doc[key])
		}
	}
	return a, m.keys(a, doc, address)
}

// confirm walks from the handle to the actor, as is done once for each new account. One hop of the subject is allowed, and the
// second answer must be stable.
func (m mastodon) confirm(name, domain, actor string) error {
	asked := "acct:" + name + "@" + domain
	for range 2 {
		status, header, body := m.get("https://"+domain+"/.well-known/webfinger?resource="+asked, "application/jrd+json, application/json")
		if status != 200 || !strings.Contains(header.Get("Content-Type"), "json") {
			return fmt.Errorf("WebFinger of %s is %d %s", asked, status, header.Get("Content-Type"))
		}
		var jrd struct {
			Subject string
			Links   []struct{ Rel, Type, Href string }
		}
		if err := json.Unmarshal(body, &jrd); err != nil {
			return err
		}
		if !strings.HasPrefix(jrd.Subject, "acct:") {
			return fmt.Errorf("the subject is %q", jrd.Subject)
		}
		if !strings.EqualFold(jrd.Subject, asked) {
			asked = jrd.Subject
			_, domain, _ = strings.Cut(strings.TrimPrefix(asked, "acct:"), "@")
			continue
		}
		for _, l := range jrd.Links {
			if l.Rel == "self" && (l.Type == "application/activity+json" || l.Type == `application/ld+json; profile="https://www.w3.org/ns/activitystreams"`) {
				if l.Href != actor {
					return fmt.Errorf("%s leads to %s", asked, l.Href)
				}
				return nil
			}
		}
		return fmt.Errorf("%s has no self link", asked)
	}
	return fmt.Errorf("the subject of %s is not stable", asked)
}

// keys are those of publicKey that are the actor's own and stand inline, and the Multikeys.
func (m mastodon) keys(a *account, doc map[string]any, actor string) error {
	all, ok := doc["publicKey"].([]any)
	if !ok {
		all = []any{doc["publicKey"]}
	}
	for _, v := range all[:min(len(all), mastodonKeys)] {
		k, _ := v.(map[string]any)
		id, _ := k["id"].(string)
		if before, _, _ := strings.Cut(id, "#"); k["owner"] != actor || before != actor {
			continue
		}
		text, _ := k["publicKeyPem"].(string)
		block, rest := pem.Decode([]byte(text))
		if block == nil || len(bytes.TrimSpace(rest)) > 0 {
			return fmt.Errorf("the key %s is no PEM", id)
		}
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if r, ok := public.(*rsa.PublicKey); err != nil || !ok || r.N.BitLen() < 2048 {
			return fmt.Errorf("the key %s is %T, %v", id, public, err)
		}
		a.Keys = append(a.Keys, id)
	}
	if len(a.Keys) == 0 {
		return fmt.Errorf("none of the keys %v is the actor's", all)
	}
	methods, _ := doc["assertionMethod"].([]any)
	for _, v := range methods[:min(len(methods), mastodonKeys)] {
		if k, _ := v.(map[string]any); k["type"] == "Multikey" && k["controller"] == actor {
			a.Keys = append(a.Keys, fmt.Sprint(k["id"]))
		}
	}
	return nil
}

// TestT15MastodonTakesEveryActor: T15 of the list that federation is held against.
func TestT15MastodonTakesEveryActor(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	nuria := rye.Person("nuria")
	rich, err := rye.FoundCoop(t.Context(), nuria.User, activitypub.NewCoop{
		Username: "baker_2", Title: "Baker & Co", Summary: "Bread", Place: "Girona", Category: "food", Hours: "Tu-Sa", Principles: []string{"1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	rye.Coop(nuria, "plain")
	m := mastodon{get: func(address, accept string) (int, http.Header, []byte) {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		res, err := net.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(res.Body); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.Header, body.Bytes()
	}}
	for address, want := range map[string]account{
		string(rich.IRI):                  {Handle: "baker_2@rye.example", Name: "Baker & Co", URL: "https://rye.example/@baker_2", Fields: 3},
		"https://rye.example/users/plain": {Handle: "plain@rye.example", Name: "plain co-op", URL: "https://rye.example/@plain", Fields: 2},
		"https://rye.example/users/nuria": {Handle: "nuria@rye.example", Name: "nuria", URL: "https://rye.example/@nuria"},
		"https://rye.example/actor":       {Handle: "actor@rye.example", Name: "rye.example", URL: "https://rye.example/about"},
		"https://rye.example/ledger":      {Handle: "ledger@rye.example", Name: "rye.example ledger", URL: "https://rye.example/about"},
	} {
		t.Run(want.Handle, func(t *testing.T) {
			got, err := m.process(address)
			if err != nil {
				t.Fatalf("Mastodon takes it for nobody: %v", err)
			}
			want.Inbox, want.Shared = address+"/inbox", "https://rye.example/inbox"
			want.Keys = []string{address + "#main-key", address + "#ed25519-key"}
			if fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", want) {
				t.Errorf("Mastodon stores %+v, want %+v", *got, want)
			}
		})
	}
}

// TestT16CollectionsTellWhatIsForAllAndNothingElse: T16 of the list that federation is held against. Whatever an actor does that is
// not said to everyone is in none of its collections, whoever asks.
func TestT16CollectionsTellWhatIsForAllAndNothingElse(t *testing.T) {
	s := newScene(t)
	open := publish(t, s.rye, s.baker, activitypub.Draft{Text: "open bread"})
	closed := publish(t, s.rye, s.baker, activitypub.Draft{Text: "secret for @ann@far.example", Visibility: "direct"})
	heard := s.post(t, helloBy(s.ann))
	for _, err := range []error{
		func() error { _, err := s.rye.Like(t.Context(), s.baker, heard.ID); return err }(),
		func() error { _, err := s.rye.Boost(t.Context(), s.baker, heard.ID, ""); return err }(),
		func() error { _, err := s.rye.Block(t.Context(), s.baker, s.eve.ID()); return err }(),
		func() error {
			_, err := s.rye.Report(t.Context(), s.baker, activitypub.Complaint{Whom: s.bob.ID(), Comment: "secret", Forward: true})
			return err
		}(),
		s.rye.Bookmark(t.Context(), s.baker, heard.ID, true),
		s.rye.Pin(t.Context(), s.baker, open.ID),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.rye.Pin(t.Context(), s.baker, closed.ID); err == nil {
		t.Error("a direct post was pinned")
	}
	for name, change := range map[string]func(*http.Request){"unsigned": func(*http.Request) {}, "signed by a follower": signedBy(s.ann), "signed by a stranger": signedBy(s.bob)} {
		for _, at := range []string{string(s.baker.Actor.Outbox), string(s.baker.Actor.Outbox) + "?page=true", string(s.baker.Actor.Featured), string(s.baker.Actor.Inbox)} {
			got := ask(t, s.net, at, change)
			var doc struct {
				Items []json.RawMessage `json:"orderedItems"`
			}
			if err := json.Unmarshal([]byte(got.body), &doc); got.status != 200 || err != nil {
				t.Fatalf("%s, %s: %d %s", at, name, got.status, got.body)
			}
			if strings.Contains(got.body, "secret") || strings.Contains(got.body, closed.ID.String()) || strings.Contains(got.body, s.eve.ID()) {
				t.Errorf("%s, %s, tells %s", at, name, got.body)
			}
			for _, item := range doc.Items {
				var act struct {
					Type   string
					To, Cc []string
				}
				if item[0] == '"' {
					if at != string(s.baker.Actor.Featured) || string(item) != `"`+string(open.IRI)+`"` {
						t.Errorf("%s, %s, lists %s", at, name, item)
					}
					continue
				}
				if err := json.Unmarshal(item, &act); err != nil || act.Type != "Create" && act.Type != "Announce" || !slices.Contains(append(act.To, act.Cc...), asPublic) {
					t.Errorf("%s, %s, lists %s", at, name, item)
				}
			}
		}
	}
}
