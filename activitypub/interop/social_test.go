package interop

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"planet/storage"
)

// actor is an actor as the node's database holds it.
func (s *story) actor(t *testing.T, iri string) *storage.Actor {
	t.Helper()
	a, err := s.planet.db.ActorByIRI(t.Context(), storage.IRI(iri))
	must(t, err)
	return a
}

// there waits until a list of the peer's holds just these of the co-op's deeds; ids are the node's to choose.
func (s *story) there(t *testing.T, what string, list func(peerState) []peerDeed, want ...peerDeed) {
	t.Helper()
	eventually(t, what, func() error {
		var got []peerDeed
		for _, d := range list(s.peer.state(t)) {
			if strings.HasPrefix(d.Actor, s.planet.origin) {
				got = append(got, d)
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(peerDeed{}, "ID"), cmpopts.EquateEmpty()); diff != "" {
			return fmt.Errorf("with Fedify (-want +got):\n%s", diff)
		}
		return nil
	})
}

func likes(p peerState) []peerDeed  { return p.Likes }
func boosts(p peerState) []peerDeed { return p.Boosts }
func blocks(p peerState) []peerDeed { return p.Blocks }
func pins(p peerState) []peerDeed   { return p.Pins }
func moves(p peerState) []peerDeed  { return p.Moves }

// pair writes a post on each side, for the steps that do something with it.
func (s *story) pair(t *testing.T) {
	s.ours = s.say(t, "Rolls tomorrow").IRI
	var said wrote
	s.peer.ask(t, "post", map[string]any{"as": "ana", "content": "<p>Bran for hens</p>"}, &said)
	s.theirs = said.ID
	s.arrive(t, said.ID)
	eventually(t, "Fedify has the co-op's post", func() error {
		if _, ok := s.peer.state(t).Notes[s.ours]; !ok {
			return fmt.Errorf("Fedify does not know %s", s.ours)
		}
		return nil
	})
}

// counted waits until the node counts as many.
func counted(t *testing.T, what string, want int64, count func() (int64, error)) {
	t.Helper()
	eventually(t, what, func() error {
		got, err := count()
		must(t, err)
		if got != want {
			return fmt.Errorf("planet counts %d, want %d", got, want)
		}
		return nil
	})
}

// likings: a like and its undo, both ways; a like after that counts again.
func (s *story) likings(t *testing.T) {
	s.planet.run(t, "post", "like", s.theirs, "--as", s.name())
	s.there(t, "the co-op's like", likes, peerDeed{Actor: s.baker, Object: s.theirs})
	s.planet.run(t, "post", "unlike", s.theirs, "--as", s.name())
	s.there(t, "no like of the co-op's", likes)

	p := s.row(t, s.ours)
	count := func() (int64, error) { return s.planet.db.CountLikes(t.Context(), p.ID) }
	var like wrote
	for range 2 {
		s.peer.ask(t, "like", map[string]any{"as": "ana", "id": s.ours}, &like)
		counted(t, "ana's like", 1, count)
		l, err := s.planet.db.LikeBetween(t.Context(), s.actor(t, s.anaIRI).ID, p.ID)
		if err != nil || string(l.IRI) != like.ID {
			t.Errorf("ana's like is %+v, %v, want %s", l, err, like.ID)
		}
		s.peer.ask(t, "undo", map[string]any{"as": "ana", "id": like.ID}, nil)
		counted(t, "no like of ana's", 0, count)
	}
}

// boostings: the same of boosts; what ana shares and nobody here has is fetched from where it is.
func (s *story) boostings(t *testing.T) {
	s.planet.run(t, "post", "boost", s.theirs, "--as", s.name())
	s.there(t, "the co-op's boost", boosts, peerDeed{Actor: s.baker, Object: s.theirs})
	s.planet.run(t, "post", "unboost", s.theirs, "--as", s.name())
	s.there(t, "no boost of the co-op's", boosts)

	var far wrote
	s.peer.ask(t, "post", map[string]any{"as": "bruno", "content": "<p>The cart is mended</p>"}, &far)
	ana := s.actor(t, s.anaIRI)
	for _, iri := range []string{s.ours, far.ID} {
		var boost wrote
		s.peer.ask(t, "boost", map[string]any{"as": "ana", "id": iri}, &boost)
		eventually(t, "ana's boost of "+iri, func() error {
			p, err := s.planet.db.PostByIRI(t.Context(), storage.IRI(iri))
			if err != nil {
				return err
			}
			b, err := s.planet.db.BoostBetween(t.Context(), ana.ID, p.ID)
			if err == nil && (string(b.IRI) != boost.ID || b.Visibility != storage.Public) {
				t.Errorf("ana's boost is %s (%s), want %s", b.IRI, b.Visibility, boost.ID)
			}
			return err
		})
		s.peer.ask(t, "undo", map[string]any{"as": "ana", "id": boost.ID}, nil)
		p := s.row(t, iri)
		counted(t, "no boost of "+iri, 0, func() (int64, error) { return s.planet.db.CountBoosts(t.Context(), p.ID) })
	}
	if got := s.row(t, far.ID); got.Content != "<p>The cart is mended</p>" || got.ActorID != s.actor(t, s.peer.origin+"/people/bruno").ID {
		t.Errorf("the post that ana shared is %+v", got)
	}
}

// pinnings: what is on top of a profile, told and looked up.
func (s *story) pinnings(t *testing.T) {
	s.planet.run(t, "post", "pin", s.ours, "--as", s.name())
	s.there(t, "the co-op's pin", pins, peerDeed{Actor: s.baker, Object: s.ours, Target: s.baker + "/featured"})
	var pinned []string
	s.peer.ask(t, "pinned", map[string]any{"handle": s.bakerHandle}, &pinned)
	if !slices.Equal(pinned, []string{s.ours}) {
		t.Errorf("Fedify reads the co-op's featured posts as %q, want %q", pinned, s.ours)
	}
	s.planet.run(t, "post", "unpin", s.ours, "--as", s.name())
	s.there(t, "no pin of the co-op's", pins)

	ana := s.actor(t, s.anaIRI).ID
	count := func() (int64, error) { return s.planet.db.CountPins(t.Context(), ana) }
	s.peer.ask(t, "pin", map[string]any{"as": "ana", "id": s.theirs}, nil)
	counted(t, "ana's pin", 1, count)
	s.peer.ask(t, "pin", map[string]any{"as": "ana", "id": s.theirs, "off": true}, nil)
	counted(t, "no pin of ana's", 0, count)
}

// reports: a complaint that is passed on comes from the node, not from who complains; one of ana's is filed.
func (s *story) reports(t *testing.T) {
	s.planet.run(t, "report", "create", "--as", s.name(), "--post", s.theirs, "--forward", s.anaAcct, "Stones in the <bran>")
	eventually(t, "the report is with Fedify", func() error {
		all := s.peer.state(t).Reports
		if len(all) != 1 || all[0].Actor != s.planet.origin+"/actor" || all[0].Content != "Stones in the <bran>" ||
			!slices.Equal(all[0].Objects, []string{s.anaIRI, s.theirs}) {
			return fmt.Errorf("Fedify's reports are %+v", all)
		}
		return nil
	})

	var sent wrote
	s.peer.ask(t, "report", map[string]any{"as": "ana", "handle": s.bakerHandle, "ids": []string{s.ours}, "content": "Rolls are <b>late</b> & cold"}, &sent)
	eventually(t, "ana's report is filed", func() error {
		all, err := s.planet.db.Reports(t.Context(), false, storage.Page{})
		must(t, err)
		i := slices.IndexFunc(all, func(r storage.Report) bool { return string(r.IRI) == sent.ID })
		if i < 0 {
			return fmt.Errorf("it is not among %+v", all)
		}
		if r, want := all[i], []storage.ID{s.row(t, s.ours).ID}; r.TargetID != s.actor(t, s.baker).ID || r.ReporterID != s.actor(t, s.anaIRI).ID ||
			!slices.Equal(r.Posts, want) || r.Comment != "Rolls are late & cold" {
			t.Errorf("ana's report is filed as %+v", r)
		}
		return nil
	})
}

// profiles: name, words and face of either, after a change.
func (s *story) profiles(t *testing.T) {
	s.planet.run(t, "coop", "profile", s.name(), "--title", "Bread & co", "--summary", "Open at <eight>.", "--icon", picture(t, "face.png", 64, 64), "--icon-alt", "A loaf")
	want := s.actor(t, s.baker)
	if want.IconURL == "" {
		t.Fatalf("the co-op has no face: %+v", want)
	}
	eventually(t, "Fedify knows the co-op's new profile", func() error {
		got := s.peer.state(t).Actors[s.baker]
		if got.Name != "Bread & co" || got.Summary != want.Summary || got.Icon != want.IconURL || got.IconName != "A loaf" || got.Type != "Organization" {
			return fmt.Errorf("Fedify reads %+v", got)
		}
		return nil
	})

	icon := s.peer.origin + "/pictures/ana.webp"
	s.peer.ask(t, "profile", map[string]any{"as": "ana", "name": "Ana & the mill", "summary": `<p>Grinds <a href="https://mill.example/">all day</a>.</p><script>x</script>`,
		"icon": map[string]any{"url": icon, "type": "image/webp", "alt": "A mill"}}, nil)
	eventually(t, "planet knows ana's new profile", func() error {
		got := s.actor(t, s.anaIRI)
		if got.Name != "Ana & the mill" || got.IconURL != icon || got.IconAlt != "A mill" || !strings.Contains(got.Summary, "Grinds") || strings.Contains(got.Summary, "script") {
			return fmt.Errorf("planet reads %q, %q, %q (%q)", got.Name, got.Summary, got.IconURL, got.IconAlt)
		}
		return nil
	})
}

// meet makes the two follow each other again, after either has stopped.
func (s *story) meet(t *testing.T) {
	s.planetFollows(t)
	s.peerFollows(t)
}

// strangers waits until neither side knows of a follow.
func (s *story) strangers(t *testing.T) {
	t.Helper()
	eventually(t, "nobody follows anybody", func() error {
		if err := errors.Join(s.wantFollow(t, "follower", ""), s.wantFollow(t, "following", "")); err != nil {
			return err
		}
		state := s.peer.state(t)
		accepted := slices.ContainsFunc(state.Following, func(f peerFollow) bool { return f.State == "accepted" })
		if len(state.Followers) > 0 || accepted {
			return fmt.Errorf("with Fedify ana follows %+v and is followed by %+v", state.Following, state.Followers)
		}
		return nil
	})
}
