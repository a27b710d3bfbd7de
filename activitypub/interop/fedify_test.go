package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"planet/storage"
)

// public is the address of everybody.
const public = "https://www.w3.org/ns/activitystreams#Public"

// story is one node and one peer: a co-op called baker, founded by nuria, here, and ana there.
type story struct {
	planet *planet
	peer   *peer

	baker, anaIRI         string // ids of the two actors
	bakerHandle, anaAcct  string // handles, with @
	scheme                string // how the two sign for each other once they know each other
	loaves, flour, answer string // posts that later steps come back to
	pictured, poll        string // of the co-op's
	ours, theirs          string // a post of each, that the other does things with
	pere                  string // a person of planet, who moves and leaves
}

// post is one post as the node holds it, for its people and apps to read.
type post struct {
	ID         string
	IRI        string
	URL        string
	Author     string // handle
	Content    string
	InReplyTo  string
	Visibility string
	Language   string
	Tags       []string
	Mentions   []string // handles
	Published  time.Time
	Edited     *time.Time
}

// follow is one row of `planet follow list --json`.
type follow struct{ Direction, Handle, IRI, State string }

// TestFedify plays the whole acquaintance of two servers twice: with a Fedify that signs the old way first, and with one that
// signs by RFC 9421, shows its documents to signed requests alone, and refuses the first delivery that is signed the old way.
func TestFedify(t *testing.T) {
	needPeer(t)
	a := newAuthority(t, "planet.localhost", "mill.localhost", "loom.localhost", "moth.localhost")
	p := startPlanet(t, a, "planet.localhost")
	mill := startPeer(t, a, "mill.localhost", "cavage")
	loom := startPeer(t, a, "loom.localhost", "rfc9421", "PEER_SECURE=on")
	loom.refuseCavageOnce()
	mallory := startForger(t, a, "moth.localhost")

	_, err := p.try(t, "a long enough password\n", "user", "create", "nuria", "--password-stdin")
	must(t, err)
	for i, peer := range []*peer{mill, loom} {
		coop := []string{"baker", "weaver"}[i] // each peer meets a co-op that is new to all
		p.run(t, "coop", "create", coop, "--title", "The "+coop+" co-op", "--founder", "nuria")
		s := &story{
			planet: p, peer: peer, scheme: []string{"cavage", "rfc9421"}[i],
			baker: p.origin + "/users/" + coop, bakerHandle: "@" + coop + "@" + p.host(),
			anaIRI: peer.origin + "/people/ana", anaAcct: "@ana@" + peer.host(),
		}
		t.Run(s.scheme, func(t *testing.T) {
			t.Parallel() // most of it is waiting; the two share the node alone
			step := func(name string, do func(t *testing.T)) {
				if !t.Failed() { // each step stands on those before it
					t.Run(name, do)
				}
			}
			step("planet finds ana by webfinger, follows and is accepted", s.planetFollows)
			step("fedify finds the co-op by webfinger", s.webfinger)
			step("fedify follows and is accepted", s.peerFollows)
			step("a post with mention and hashtag arrives at fedify", s.planetPosts)
			step("a post with mention and hashtag arrives at planet", s.peerPosts)
			step("an edit arrives at fedify", s.planetEdits)
			step("an edit arrives at planet", s.peerEdits)
			step("a reply comes back to planet and is answered", s.replies)
			step("a direct post reaches its reader alone", s.directPosts)
			step("a deletion arrives at fedify", s.planetDeletes)
			step("a deletion arrives at planet", s.peerDeletes)
			step("a post with a picture arrives at fedify", s.planetPictures)
			step("a post with pictures arrives at planet", s.peerPictures)
			step("fedify votes in a poll of planet's", s.planetAsks)
			step("planet votes in a poll of fedify's", s.peerAsks)
			step("each has a post of the other's", s.pair)
			step("a like is given and taken back", s.likings)
			step("a boost is made and taken back", s.boostings)
			step("a post is pinned and taken down", s.pinnings)
			step("a report reaches the other side", s.reports)
			step("a changed profile reaches the other side", s.profiles)
			step("planet blocks ana and takes it back", s.planetBlocks)
			step("ana blocks the co-op and takes it back", s.peerBlocks)
			step("fedify's bruno moves", s.peerMoves)
			step("planet's pere moves", s.planetMoves)
			step("planet's pere leaves", s.planetLeaves)
			step("fedify's carla leaves", s.peerLeaves)
			step("planet stops following", s.planetUnfollows)
			step("fedify stops following", s.peerUnfollows)
			step("each signed as the other likes it", s.schemes)
			step("fedify had nothing to complain of", s.noErrors)
			step("a tampered body is refused by fedify", s.tamperedToPeer)
			step("a tampered body is refused by planet", s.tamperedToPlanet)
			step("a wrong key is refused by both", func(t *testing.T) { s.wrongKey(t, mallory) })
		})
	}
}

// name is the co-op's name on the node.
func (s *story) name() string { return s.baker[strings.LastIndex(s.baker, "/")+1:] }

// planetFollows: the handle is all that the co-op knows of ana.
func (s *story) planetFollows(t *testing.T) {
	s.planet.run(t, "follow", "--as", s.name(), s.anaAcct)
	eventually(t, "ana has accepted the co-op", func() error { return s.wantFollow(t, "following", "accepted") })
	asked := s.peer.requests(func(e exchange) bool { return strings.HasPrefix(e.URI, "/.well-known/webfinger?") })
	want := "/.well-known/webfinger?resource=" + url.QueryEscape("acct:"+strings.TrimPrefix(s.anaAcct, "@"))
	if !slices.ContainsFunc(asked, func(e exchange) bool {
		return e.Status == http.StatusOK && (e.URI == want || e.URI == strings.ReplaceAll(strings.ReplaceAll(want, "%3A", ":"), "%40", "@"))
	}) {
		t.Errorf("planet has not found ana by WebFinger:%s", lines(asked))
	}
	if got := s.peer.state(t).Followers; len(got) != 1 || got[0].Local != "ana" || got[0].Actor != s.baker || !strings.HasPrefix(got[0].Follow, s.planet.origin+"/") {
		t.Errorf("ana's followers are %+v, want the co-op alone", got)
	}
}

// webfinger: Fedify resolves the co-op's handle, and what it finds is what the node says of it.
func (s *story) webfinger(t *testing.T) {
	jrd := s.jrd(t, s.planet.front, strings.TrimPrefix(s.bakerHandle, "@"))
	if want := "acct:" + strings.TrimPrefix(s.bakerHandle, "@"); jrd.Subject != want {
		t.Errorf("planet's subject is %q, want %q", jrd.Subject, want)
	}
	if !slices.Contains(jrd.Aliases, s.baker) {
		t.Errorf("planet's aliases %v lack the actor %s", jrd.Aliases, s.baker)
	}
	self := sole(t, jrd.Links, func(l jrdLink) bool { return l.Rel == "self" })
	if self.Type != "application/activity+json" || self.Href != s.baker {
		t.Errorf("planet's self link is %+v, want %s", self, s.baker)
	}

	var got peerActor
	s.peer.ask(t, "lookup", map[string]any{"handle": s.bakerHandle}, &got)
	want := peerActor{
		Type: "Organization", ID: s.baker, Username: s.name(), Name: "The " + s.name() + " co-op",
		URL: s.planet.origin + "/@" + s.name(), Inbox: s.baker + "/inbox", Outbox: s.baker + "/outbox",
		Followers: s.baker + "/followers", Following: s.baker + "/following", SharedInbox: s.planet.origin + "/inbox",
		PublicKeys: []string{s.baker + "#main-key"}, AssertionMethods: []string{s.baker + "#ed25519-key"}, Discoverable: true,
		Featured: s.baker + "/featured",
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the co-op as Fedify reads it (-want +got):\n%s", diff)
	}
	asked := s.planet.requests(func(e exchange) bool {
		return strings.HasPrefix(e.URI, "/.well-known/webfinger?") && strings.Contains(e.Header.Get("User-Agent"), "Fedify")
	})
	if !slices.ContainsFunc(asked, func(e exchange) bool { return e.Status == http.StatusOK }) {
		t.Errorf("Fedify has not found the co-op by WebFinger:%s", lines(asked))
	}
	if code := s.webfingerStatus(t, "nobody"); code != http.StatusNotFound {
		t.Errorf("WebFinger of nobody answers %d, want 404", code)
	}
}

type jrdLink struct{ Rel, Type, Href string }

type jrd struct {
	Subject string
	Aliases []string
	Links   []jrdLink
}

// jrd reads the WebFinger document of a name@host.
func (s *story) jrd(t *testing.T, at *front, acct string) (j jrd) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at.origin+"/.well-known/webfinger?resource="+url.QueryEscape("acct:"+acct), nil)
	must(t, err)
	resp, err := at.client.Do(r)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/jrd+json") {
		t.Fatalf("WebFinger of %s: %s, %s: %s", acct, resp.Status, resp.Header.Get("Content-Type"), body)
	}
	must(t, json.Unmarshal(body, &j))
	return j
}

func (s *story) webfingerStatus(t *testing.T, name string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		s.planet.origin+"/.well-known/webfinger?resource="+url.QueryEscape("acct:"+name+"@"+s.planet.host()), nil)
	must(t, err)
	return status(t, s.planet.client, r)
}

// peerFollows is the other direction.
func (s *story) peerFollows(t *testing.T) {
	var sent wrote
	s.peer.ask(t, "follow", map[string]any{"as": "ana", "handle": s.bakerHandle}, &sent)
	eventually(t, "the co-op has accepted ana", func() error {
		got := s.peer.state(t).Following
		want := []peerFollow{{Local: "ana", Actor: s.baker, Follow: sent.ID, State: "accepted"}}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("ana's follow (-want +got):\n%s", diff)
		}
		return nil
	})
	must(t, s.wantFollow(t, "follower", "accepted"))
}

// wantFollow looks for ana in one of the co-op's two lists; "" is no such row.
func (s *story) wantFollow(t *testing.T, direction, state string) error {
	t.Helper()
	var all []follow
	s.planet.read(t, &all, "follow", "list", "--as", s.name())
	i := slices.IndexFunc(all, func(f follow) bool { return f.Direction == direction && f.IRI == s.anaIRI })
	switch {
	case i < 0 && state == "":
		return nil
	case i < 0:
		return fmt.Errorf("no %s %s in %+v, want one that is %s", direction, s.anaIRI, all, state)
	case all[i].State != state:
		return fmt.Errorf("%s %s is %q, want %q", direction, s.anaIRI, all[i].State, state)
	case all[i].Handle != s.anaAcct:
		return fmt.Errorf("%s is listed as %s, want %s", s.anaIRI, all[i].Handle, s.anaAcct)
	}
	return nil
}

// planetPosts: every field of a post, as Fedify reads it, is what the co-op said.
func (s *story) planetPosts(t *testing.T) {
	said := s.say(t, "--language", "en", "Fresh loaves at eight, "+s.anaAcct+" <3 #SourDough")
	s.loaves = said.IRI
	want := peerNote{
		Type: "Note", ID: said.IRI, AttributedTo: s.baker, Content: said.Content, Language: "en", URL: said.URL,
		Published: said.Published, To: []string{public}, Cc: []string{s.baker + "/followers", s.anaIRI},
		Tags: []peerTag{{"Mention", s.anaAcct, s.anaIRI}, {"Hashtag", "#sourdough", s.planet.origin + "/tags/sourdough"}},
	}
	s.wantNote(t, want)
	for _, part := range []string{"Fresh loaves at eight, ", "&lt;3", `href="` + s.peer.origin + "/@ana\"", `href="` + s.planet.origin + `/tags/sourdough"`} {
		if !strings.Contains(said.Content, part) {
			t.Errorf("the content %q lacks %q", said.Content, part)
		}
	}

	// The document at the note's id says the same, also to a server that was not there when it was delivered.
	var fetched peerNote
	s.peer.ask(t, "fetch", map[string]any{"id": said.IRI}, &fetched)
	if diff := cmp.Diff(want, fetched, sameNote...); diff != "" {
		t.Errorf("the note as Fedify fetches it (-want +got):\n%s", diff)
	}
}

// sameNote compares notes: times to the second (the wire has no more from some), hashtags by name whatever their case.
var sameNote = []cmp.Option{
	cmpopts.EquateApproxTime(time.Second),
	cmpopts.EquateEmpty(),
	cmpopts.SortSlices(func(a, b peerTag) bool { return a.Href < b.Href }),
	cmpopts.SortSlices(func(a, b string) bool { return a < b }),
	cmp.Comparer(func(a, b peerTag) bool {
		return a.Type == b.Type && strings.EqualFold(a.Name, b.Name) && a.Href == b.Href
	}),
}

// wantNote waits until Fedify holds exactly this note.
func (s *story) wantNote(t *testing.T, want peerNote) {
	t.Helper()
	eventually(t, "Fedify holds the note", func() error {
		got, ok := s.peer.state(t).Notes[want.ID]
		if !ok {
			return fmt.Errorf("Fedify does not know %s", want.ID)
		}
		if diff := cmp.Diff(want, got, sameNote...); diff != "" {
			return fmt.Errorf("the note as Fedify reads it (-want +got):\n%s", diff)
		}
		return nil
	})
}

// planetEdits: the edited post carries the time of its edit, and only what was edited has changed.
func (s *story) planetEdits(t *testing.T) {
	before := s.peer.state(t).Notes[s.loaves]
	was := s.known(t, s.loaves)
	s.planet.run(t, "post", "edit", was.ID, "Fresh loaves at nine, "+s.anaAcct+" #SourDough", "--as", s.name())
	now := s.known(t, s.loaves)
	if now.Edited == nil || !now.Published.Equal(was.Published) || !strings.Contains(now.Content, "at nine") {
		t.Fatalf("the post after its edit is %+v", now)
	}
	want := before
	want.Content, want.Updated = now.Content, now.Edited
	s.wantNote(t, want)
}

// say publishes a post of the co-op's and returns it.
func (s *story) say(t *testing.T, args ...string) post {
	t.Helper()
	var said struct{ IRI string }
	s.planet.read(t, &said, append([]string{"post", "--as", s.name()}, args...)...)
	return s.known(t, said.IRI)
}

// known is a post that the co-op sees.
func (s *story) known(t *testing.T, iri string) post {
	t.Helper()
	p, err := s.seen(t, iri)
	must(t, err)
	return p
}

// seen is a post that the co-op sees, if it does: its own, those of whom it follows, and those that speak to it.
func (s *story) seen(t *testing.T, iri string) (post, error) {
	t.Helper()
	ctx, db := t.Context(), s.planet.db
	me, err := db.LocalActor(ctx, s.name())
	must(t, err)
	all, err := db.HomeTimeline(ctx, me.ID, storage.Page{Limit: 40})
	must(t, err)
	i := slices.IndexFunc(all, func(p storage.Post) bool { return p.IRI == storage.IRI(iri) })
	if i < 0 {
		return post{}, fmt.Errorf("the co-op does not see %s", iri)
	}
	p := all[i]
	author, err := db.ActorByID(ctx, p.ActorID)
	must(t, err)
	out := post{ID: p.ID.String(), IRI: iri, URL: p.URL, Author: author.Handle(s.planet.host()), Content: p.Content, InReplyTo: string(p.InReplyTo),
		Visibility: p.Visibility, Language: p.Language, Tags: p.Tags, Published: p.PublishedAt, Edited: p.EditedAt}
	for _, m := range p.Mentions {
		out.Mentions = append(out.Mentions, m.Handle)
	}
	return out, nil
}

// flourHTML is what ana writes: a mention and a hashtag as Mastodon marks them up, and a script that must not arrive.
func (s *story) flourHTML(when string) string {
	return `<p>Flour ` + when + `, <span class="h-card"><a href="` + s.planet.origin + `/@` + s.name() + `" class="u-url mention">@<span>` +
		s.name() + `</span></a></span> <a href="` + s.peer.origin + `/tags/Flour" class="mention hashtag" rel="tag">#<span>Flour</span></a></p>` +
		`<script>alert(1)</script>`
}

// peerPosts: every field of a post of ana's, as the co-op sees it.
func (s *story) peerPosts(t *testing.T) {
	var said wrote
	s.peer.ask(t, "post", map[string]any{"as": "ana", "content": s.flourHTML("at six"), "mention": s.bakerHandle, "hashtag": "Flour", "language": "ca"}, &said)
	s.flour = said.ID
	var got post
	eventually(t, "the co-op sees ana's post", func() (err error) {
		got, err = s.seen(t, said.ID)
		return err
	})
	want := post{
		IRI: said.ID, URL: got.URL, Author: s.anaAcct, Visibility: "public", Language: "ca", Tags: []string{"flour"}, Mentions: []string{s.bakerHandle},
		Published: said.Published,
	}
	s.wantPost(t, want, got)
	for _, part := range []string{"<p>Flour at six", `href="` + s.bakerPage() + `"`, `href="` + s.peer.origin + `/tags/Flour"`} {
		if !strings.Contains(got.Content, part) {
			t.Errorf("the content %q lacks %q", got.Content, part)
		}
	}
	if strings.Contains(got.Content, "script") || strings.Contains(got.Content, "alert") {
		t.Errorf("a script has come in: %q", got.Content)
	}
	if !strings.HasPrefix(got.URL, s.peer.origin+"/@ana/") {
		t.Errorf("the post's page is %q, want the one that ana gave", got.URL)
	}
}

func (s *story) bakerPage() string { return s.planet.origin + "/@" + s.name() }

// wantPost compares all but the number that the node gave it and the content.
func (s *story) wantPost(t *testing.T, want, got post) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(post{}, "ID", "Content"), cmpopts.EquateApproxTime(time.Second), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the post as the co-op sees it (-want +got):\n%s", diff)
	}
}

// peerEdits: the text changes, the time of the edit is ana's, the rest stays.
func (s *story) peerEdits(t *testing.T) {
	want := s.known(t, s.flour)
	var said wrote
	s.peer.ask(t, "edit", map[string]any{"as": "ana", "id": s.flour, "content": s.flourHTML("at seven")}, &said)
	var got post
	eventually(t, "the co-op sees the edit", func() (err error) {
		if got, err = s.seen(t, s.flour); err == nil && !strings.Contains(got.Content, "at seven") {
			err = fmt.Errorf("the content is still %q", got.Content)
		}
		return err
	})
	want.Edited, want.Language = &said.Updated, got.Language // the edit names no language
	s.wantPost(t, want, got)
}

// replies: ana answers the co-op, and the co-op answers the answer.
func (s *story) replies(t *testing.T) {
	var said wrote
	s.peer.ask(t, "reply", map[string]any{"as": "ana", "content": "<p>Keep me two.</p>", "mention": s.bakerHandle, "in_reply_to": s.loaves}, &said)
	s.answer = said.ID
	var got post
	eventually(t, "the co-op sees ana's reply", func() (err error) {
		got, err = s.seen(t, said.ID)
		return err
	})
	s.wantPost(t, post{IRI: said.ID, URL: got.URL, Author: s.anaAcct, InReplyTo: s.loaves, Visibility: "public", Mentions: []string{s.bakerHandle}, Published: said.Published}, got)
	if got.Content != "<p>Keep me two.</p>" {
		t.Errorf("the reply's content is %q", got.Content)
	}

	back := s.say(t, "--reply-to", said.ID, "Two it is.")
	s.wantNote(t, peerNote{
		Type: "Note", ID: back.IRI, AttributedTo: s.baker, Content: back.Content, URL: back.URL, Published: back.Published,
		To: []string{public}, Cc: []string{s.baker + "/followers", s.anaIRI}, InReplyTo: said.ID, Tags: []peerTag{{"Mention", s.anaAcct, s.anaIRI}},
	})
}

// directPosts: a post to one reader goes to her own inbox and says so; one that comes is not taken for a public one.
func (s *story) directPosts(t *testing.T) {
	said := s.say(t, "--visibility", "direct", s.anaAcct+" the back door is open")
	s.wantNote(t, peerNote{
		Type: "Note", ID: said.IRI, AttributedTo: s.baker, Content: said.Content, URL: said.URL, Published: said.Published,
		To: []string{s.anaIRI}, Tags: []peerTag{{"Mention", s.anaAcct, s.anaIRI}},
	})
	for _, e := range s.peer.deliveries(s.planet.host()) {
		if bytes.Contains(e.Body, []byte("the back door is open")) && e.URI != "/people/ana/inbox" {
			t.Errorf("a direct post went to %s", e.URI)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, said.IRI, nil)
	must(t, err)
	r.Header.Set("Accept", "application/activity+json")
	if code := status(t, s.planet.client, r); code != http.StatusNotFound && code != http.StatusForbidden && code != http.StatusUnauthorized {
		t.Errorf("anyone who asks for a direct post gets %d", code)
	}

	var back wrote
	s.peer.ask(t, "post", map[string]any{"as": "ana", "content": "<p>I saw nothing.</p>", "mention": s.bakerHandle, "only": true}, &back)
	eventually(t, "the co-op sees ana's direct post", func() error {
		got, err := s.seen(t, back.ID)
		if err == nil && got.Visibility != "direct" {
			err = fmt.Errorf("it is %s", got.Visibility)
		}
		return err
	})
}

// planetDeletes: Fedify is told, and the document is gone for good.
func (s *story) planetDeletes(t *testing.T) {
	s.planet.run(t, "post", "delete", s.known(t, s.loaves).ID, "--as", s.name())
	eventually(t, "Fedify has deleted the note", func() error {
		if n := s.peer.state(t).Notes[s.loaves]; !n.Deleted {
			return fmt.Errorf("%+v is still there", n)
		}
		return nil
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.loaves, nil)
	must(t, err)
	r.Header.Set("Accept", "application/activity+json")
	if code := status(t, s.planet.client, r); code != http.StatusGone {
		t.Errorf("the deleted note answers %d, want 410", code)
	}
}

// peerDeletes: the co-op no longer sees it.
func (s *story) peerDeletes(t *testing.T) {
	s.known(t, s.flour)
	s.peer.ask(t, "delete", map[string]any{"as": "ana", "id": s.flour}, nil)
	eventually(t, "the co-op no longer sees ana's post", func() error {
		if p, err := s.seen(t, s.flour); err == nil {
			return fmt.Errorf("it sees %q", p.Content)
		}
		return nil
	})
}

// schemes reads the record of the fronts: what was sent in each direction, how it was signed, how it was answered.
func (s *story) schemes(t *testing.T) {
	sent := s.peer.deliveries(s.planet.host())
	if s.scheme == "rfc9421" {
		// The old way was refused once; the second knock came at once, with the same activity, and nothing was knocked twice since.
		if len(sent) < 2 || !sent[0].Refused || sent[0].scheme() != "cavage" {
			t.Fatalf("the first knock was not the old way, or was not refused:%s", lines(sent))
		}
		if sent[1].scheme() != "rfc9421" || !bytes.Equal(sent[0].Body, sent[1].Body) {
			t.Errorf("the second knock is not the same activity signed by RFC 9421:%s", lines(sent[:2]))
		}
		sent = sent[1:]
	}
	for direction, es := range map[string][]exchange{
		"planet to fedify": sent,
		"fedify to planet": s.planet.deliveries(s.peer.host()),
	} {
		if len(es) < 5 {
			t.Errorf("%s: only %d deliveries were seen", direction, len(es))
		}
		for _, e := range es {
			if e.scheme() != s.scheme || e.Status != http.StatusAccepted {
				t.Errorf("%s, want %s and 202: %s", direction, s.scheme, e)
			}
		}
	}
	if s.scheme != "rfc9421" {
		return
	}
	// This peer shows its actors to signed requests alone, so the node's own fetches are signed, by its instance actor.
	shown := s.peer.state(t).Shown
	if !slices.ContainsFunc(shown, func(d struct{ Path, By string }) bool {
		return d.Path == "/people/ana" && d.By == s.planet.origin+"/actor"
	}) {
		t.Errorf("ana was shown to %+v, want the node's instance actor among them", shown)
	}
}

// tamperedToPeer repeats a delivery of the co-op's that Fedify took, with other words and ids that it has not seen: refused. The
// same request with nothing changed is taken again, so it is the change that is refused.
func (s *story) tamperedToPeer(t *testing.T) {
	sent := s.peer.deliveries(s.planet.host())
	i := slices.IndexFunc(sent, func(e exchange) bool { return !e.Refused && bytes.Contains(e.Body, []byte("Two it is.")) })
	if i < 0 {
		t.Fatalf("no delivery to repeat among%s", lines(sent))
	}
	if code := s.peer.again(t, sent[i], nil); code != http.StatusAccepted {
		t.Fatalf("the same request again answers %d, want 202: %s", code, sent[i])
	}
	for name, header := range spoilers {
		before := s.peer.state(t)
		code := s.peer.again(t, sent[i], func(h http.Header, body []byte) []byte {
			body = bytes.ReplaceAll(body, []byte("Two it is."), []byte("None left."))
			body = bytes.ReplaceAll(body, []byte(s.planet.origin+"/users/"+s.name()+"/statuses/"), []byte(s.planet.origin+"/users/"+s.name()+"/statuses/9"))
			header(h, body)
			return body
		})
		if code != http.StatusUnauthorized {
			t.Errorf("%s: Fedify answers %d, want 401", name, code)
		}
		time.Sleep(300 * time.Millisecond) // its queue, had it taken the activity
		after := s.peer.state(t)
		if diff := cmp.Diff(before.Notes, after.Notes); diff != "" || len(after.Activities) != len(before.Activities) {
			t.Errorf("%s had an effect at Fedify: %s", name, diff)
		}
	}
}

// spoilers are what a tamperer does to the headers once the body is another: nothing, or a digest that fits it again.
var spoilers = map[string]func(http.Header, []byte){
	"a changed body":                          func(http.Header, []byte) {},
	"a changed body with a digest to fit":     fitDigest,
	"a changed body with nothing signed left": func(h http.Header, _ []byte) { h.Del("Signature"); h.Del("Signature-Input") },
}

// tamperedToPlanet is the other direction.
func (s *story) tamperedToPlanet(t *testing.T) {
	sent := s.planet.deliveries(s.peer.host())
	i := slices.IndexFunc(sent, func(e exchange) bool { return bytes.Contains(e.Body, []byte("Keep me two.")) })
	if i < 0 {
		t.Fatalf("no delivery to repeat among%s", lines(sent))
	}
	if code := s.planet.again(t, sent[i], nil); code != http.StatusAccepted {
		t.Fatalf("the same request again answers %d, want 202: %s", code, sent[i])
	}
	n := 0
	for name, header := range spoilers {
		n++
		forged := fmt.Sprintf("%s/notes/tampered-%d", s.peer.origin, n)
		code := s.planet.again(t, sent[i], func(h http.Header, body []byte) []byte {
			body = bytes.ReplaceAll(body, []byte("Keep me two."), []byte("Keep me twenty."))
			body = bytes.ReplaceAll(body, []byte(s.answer), []byte(forged))
			body = bytes.ReplaceAll(body, []byte("/activities/create/"), fmt.Appendf(nil, "/activities/create/%d", n))
			header(h, body)
			return body
		})
		if code != http.StatusUnauthorized {
			t.Errorf("%s: planet answers %d, want 401", name, code)
		}
		if p, err := s.seen(t, forged); err == nil {
			t.Errorf("%s has come in as %+v", name, p)
		}
	}
	if got := s.known(t, s.answer); !strings.Contains(got.Content, "Keep me two.") {
		t.Errorf("the true reply now reads %q", got.Content)
	}
}

// wrongKey: mallory's deliveries in her own name are taken by both; signed with her key in ana's or the co-op's name, whether
// under their key's id or her own, they are refused and have no effect.
func (s *story) wrongKey(t *testing.T, mallory *forger) {
	var key struct{ ID string }
	s.peer.ask(t, "key", map[string]any{"as": "ana"}, &key)
	for _, side := range []struct {
		name                    string
		to                      *front
		inbox, mention          string
		victim, origin, theirID string
		arrived                 func(note string) error
	}{
		{"planet", s.planet.front, path(t, s.baker) + "/inbox", s.baker, s.anaIRI, s.peer.origin, key.ID, func(note string) error {
			_, err := s.seen(t, note)
			return err
		}},
		{"fedify", s.peer.front, "/people/ana/inbox", s.anaIRI, s.baker, s.planet.origin, s.baker + "#main-key", func(note string) error {
			if _, ok := s.peer.state(t).Notes[note]; !ok {
				return fmt.Errorf("Fedify does not hold %s", note)
			}
			return nil
		}},
	} {
		for _, scheme := range []string{"cavage", "rfc9421"} {
			base := claim{to: side.to, inbox: side.inbox, mention: side.mention, scheme: scheme, words: "I am who I say"}
			var forged []string
			for how, keyID := range map[string]string{"under the victim's key id": side.theirID, "under her own key id": mallory.key} {
				c := base
				c.actor, c.origin, c.keyID = side.victim, side.origin, keyID
				note, code := mallory.deliver(t, c)
				if code != http.StatusUnauthorized && (code != http.StatusForbidden || keyID != mallory.key) {
					t.Errorf("%s, %s, %s: answered with %d, want a refusal", side.name, scheme, how, code)
				}
				forged = append(forged, note)
			}
			c := base
			c.actor, c.origin, c.keyID = mallory.actor, mallory.origin, mallory.key
			note, code := mallory.deliver(t, c)
			if code != http.StatusAccepted {
				t.Errorf("%s, %s: what mallory says in her own name is answered with %d, want 202", side.name, scheme, code)
			}
			eventually(t, side.name+" has what mallory said in her own name", func() error { return side.arrived(note) })
			for _, note := range forged {
				if side.arrived(note) == nil {
					t.Errorf("%s, %s: the forged %s has come in", side.name, scheme, note)
				}
			}
		}
	}
}

// planetUnfollows: the Undo reaches ana.
func (s *story) planetUnfollows(t *testing.T) {
	s.planet.run(t, "follow", "--as", s.name(), "--undo", s.anaAcct)
	must(t, s.wantFollow(t, "following", ""))
	eventually(t, "ana has one follower less", func() error {
		if got := s.peer.state(t).Followers; len(got) != 0 {
			return fmt.Errorf("ana's followers are %+v", got)
		}
		return nil
	})
}

// peerUnfollows: the Undo reaches the co-op, and ana hears no more of it.
func (s *story) peerUnfollows(t *testing.T) {
	s.peer.ask(t, "unfollow", map[string]any{"as": "ana", "handle": s.bakerHandle}, nil)
	eventually(t, "the co-op has one follower less", func() error { return s.wantFollow(t, "follower", "") })
	before := len(s.peer.deliveries(s.planet.host()))
	s.planet.run(t, "post", "--as", s.name(), "Nobody follows us")
	time.Sleep(time.Second)
	if sent := s.peer.deliveries(s.planet.host()); len(sent) > before {
		t.Errorf("a server without followers still gets%s", lines(sent[before:]))
	}
}

// noErrors: Fedify could read everything that it was sent.
func (s *story) noErrors(t *testing.T) {
	for _, e := range s.peer.state(t).Errors {
		t.Errorf("Fedify: %s", clip(e, 600))
	}
}
