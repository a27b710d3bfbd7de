package interop

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"planet/storage"
)

// planetBlocks: follows end both ways, and what ana says to the co-op does not arrive, until the block is taken back.
func (s *story) planetBlocks(t *testing.T) {
	s.planet.run(t, "block", "add", "--as", s.name(), s.anaAcct)
	s.there(t, "the co-op's block", blocks, peerDeed{Actor: s.baker, Object: s.anaIRI})
	s.strangers(t)

	var said, like wrote
	s.peer.ask(t, "post", map[string]any{"as": "ana", "content": "<p>Can you hear me?</p>", "mention": s.bakerHandle, "in_reply_to": s.ours}, &said)
	s.peer.ask(t, "like", map[string]any{"as": "ana", "id": s.ours, "of": s.bakerHandle}, &like)
	eventually(t, "ana's words and like are at the door", func() error {
		for _, said := range []string{said.ID, like.ID} {
			if !slices.ContainsFunc(s.planet.deliveries(s.peer.host()), func(e exchange) bool { return bytes.Contains(e.Body, []byte(`"`+said+`"`)) && e.Status != 0 }) {
				return fmt.Errorf("%s is not", said)
			}
		}
		return nil
	})
	if p, err := s.planet.db.PostByIRI(t.Context(), storage.IRI(said.ID)); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("what the blocked one says is kept: %+v, %v", p, err)
	}
	if n, err := s.planet.db.CountLikes(t.Context(), s.row(t, s.ours).ID); err != nil || n != 0 {
		t.Errorf("the blocked one's like counts: %d, %v", n, err)
	}
	if out, err := s.planet.try(t, "", "follow", "--as", s.name(), s.anaAcct); err == nil {
		t.Errorf("the co-op follows whom it blocks: %s", out)
	}

	s.planet.run(t, "block", "remove", "--as", s.name(), s.anaAcct)
	s.there(t, "no block of the co-op's", blocks)
	s.meet(t)
}

// peerBlocks is the other direction.
func (s *story) peerBlocks(t *testing.T) {
	var block wrote
	s.peer.ask(t, "block", map[string]any{"as": "ana", "handle": s.bakerHandle}, &block)
	s.strangers(t)
	if out, err := s.planet.try(t, "", "follow", "--as", s.name(), s.anaAcct); err == nil {
		t.Errorf("the co-op follows who blocks it: %s", out)
	}
	before := len(s.peer.deliveries(s.planet.host()))
	s.planet.run(t, "post", "--as", s.name(), "Nobody hears us")
	s.peer.ask(t, "undo", map[string]any{"as": "ana", "id": block.ID}, nil)
	eventually(t, "planet knows of no block", func() error {
		if blocked, err := s.planet.db.Blocked(t.Context(), s.actor(t, s.baker).ID, s.actor(t, s.anaIRI).ID); err != nil || blocked {
			return fmt.Errorf("blocked: %v, %v", blocked, err)
		}
		return nil
	})
	if sent := s.peer.deliveries(s.planet.host()); len(sent) > before {
		t.Errorf("who blocks the co-op gets%s", lines(sent[before:]))
	}
	s.meet(t)
}

// peerMoves: pere, of planet, follows bruno, and follows ana once bruno says that he is ana and she agrees.
func (s *story) peerMoves(t *testing.T) {
	s.pere = "pere_" + s.name()
	_, err := s.planet.try(t, "another long password\n", "user", "create", s.pere, "--password-stdin")
	must(t, err)
	bruno := s.peer.origin + "/people/bruno"
	follows := func() (out []string) {
		var all []follow
		s.planet.read(t, &all, "follow", "list", "--as", s.pere)
		for _, f := range all {
			if f.Direction == "following" && f.State == "accepted" {
				out = append(out, f.IRI)
			}
		}
		return out
	}
	wants := func(iri string) {
		t.Helper()
		eventually(t, "pere follows "+iri, func() error {
			if got := follows(); !slices.Equal(got, []string{iri}) {
				return fmt.Errorf("pere follows %q", got)
			}
			return nil
		})
	}
	s.planet.run(t, "follow", "--as", s.pere, "@bruno@"+s.peer.host())
	wants(bruno)
	s.peer.ask(t, "profile", map[string]any{"as": "ana", "also_known_as": []string{bruno}}, nil)
	s.peer.ask(t, "move", map[string]any{"as": "bruno", "to": s.anaIRI}, nil)
	wants(s.anaIRI)
	if got := s.actor(t, bruno); string(got.MovedTo) != s.anaIRI {
		t.Errorf("bruno has moved to %q, want %s", got.MovedTo, s.anaIRI)
	}
}

// planetMoves: ana, who follows pere, hears that he is carla from now on; her server can check it.
func (s *story) planetMoves(t *testing.T) {
	pere, carla := s.planet.origin+"/users/"+s.pere, s.peer.origin+"/people/carla"
	handle := "@" + s.pere + "@" + s.planet.host()
	s.peer.ask(t, "follow", map[string]any{"as": "ana", "handle": handle}, nil)
	eventually(t, "pere has accepted ana", func() error {
		if all := s.peer.state(t).Following; !slices.ContainsFunc(all, func(f peerFollow) bool { return f.Actor == pere && f.State == "accepted" }) {
			return fmt.Errorf("ana follows %+v", all)
		}
		return nil
	})
	if out, err := s.planet.try(t, "", "user", "move", s.pere, "@carla@"+s.peer.host()); err == nil {
		t.Errorf("pere moves to somebody who does not know of it: %s", out)
	}
	s.peer.ask(t, "profile", map[string]any{"as": "carla", "also_known_as": []string{pere}}, nil)
	s.planet.run(t, "user", "move", s.pere, "@carla@"+s.peer.host())
	s.there(t, "pere's move", moves, peerDeed{Actor: pere, Object: pere, Target: carla})
	var got peerActor
	s.peer.ask(t, "lookup", map[string]any{"handle": handle}, &got)
	if got.MovedTo != carla {
		t.Errorf("Fedify reads that pere has moved to %q, want %s", got.MovedTo, carla)
	}
}

// planetLeaves: pere's account ends, Fedify is told, and there is nobody at his address.
func (s *story) planetLeaves(t *testing.T) {
	pere := s.planet.origin + "/users/" + s.pere
	s.planet.run(t, "user", "delete", s.pere, "--yes")
	eventually(t, "Fedify knows that pere is gone", func() error {
		if !s.peer.state(t).Actors[pere].Deleted {
			return fmt.Errorf("it does not")
		}
		return nil
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, pere, nil)
	must(t, err)
	r.Header.Set("Accept", "application/activity+json")
	if code := status(t, s.planet.client, r); code != http.StatusGone {
		t.Errorf("pere's address answers %d, want 410", code)
	}
	if code := s.webfingerStatus(t, s.pere); code != http.StatusGone {
		t.Errorf("WebFinger of pere answers %d, want 410", code)
	}
}

// peerLeaves: carla's account ends. What she said to the co-op is gone, and her server says that she is.
func (s *story) peerLeaves(t *testing.T) {
	var said wrote
	s.peer.ask(t, "post", map[string]any{"as": "carla", "content": "<p>Goodbye</p>", "mention": s.bakerHandle}, &said)
	s.arrive(t, said.ID)
	s.peer.ask(t, "leave", map[string]any{"as": "carla", "handles": []string{s.bakerHandle}}, nil)
	carla := s.peer.origin + "/people/carla"
	eventually(t, "planet knows that carla is gone", func() error {
		if a := s.actor(t, carla); a.DeletedAt == nil || a.Name != "" || s.row(t, said.ID).DeletedAt == nil {
			return fmt.Errorf("carla is %+v", a)
		}
		return nil
	})
	if out, err := s.planet.try(t, "", "follow", "--as", s.name(), "@carla@"+s.peer.host()); err == nil || !strings.Contains(err.Error(), "carla") {
		t.Errorf("the co-op follows somebody who is gone: %s, %v", out, err)
	}
}
