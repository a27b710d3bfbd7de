package activitypub_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"planet/activitypub/aptest"
	"planet/storage"
)

func TestFollowersGoAlongWithAnActorWhoMoves(t *testing.T) {
	net, rye, oak, baker, ana := neighbours(t)
	nuria := rye.Person("nil")
	follows(t, net, rye, nuria, "baker")
	elm := net.Add("elm.example")
	shop := elm.Coop(elm.Person("nuria"), "shop")
	if _, err := rye.Move(t.Context(), baker, "@shop@elm.example"); status(err) != 403 {
		t.Fatalf("a move to somebody who knows nothing of it: %v", err)
	}
	must(t, elm.SetAliases(t.Context(), shop, []string{"@baker@rye.example"}))
	_, err := rye.Move(t.Context(), baker, "@shop@elm.example")
	must(t, err)
	net.Deliver()
	for _, f := range []struct {
		n    *aptest.Node
		name string
		id   storage.ID
	}{{oak, "ana", ana.Actor.ID}, {rye, "nil", nuria.Actor.ID}} {
		fs, err := f.n.DB.Following(t.Context(), f.id, "", storage.Page{})
		must(t, err)
		if len(fs) != 1 || fs[0].State != storage.FollowAccepted {
			t.Fatalf("%s follows %+v, want the shop alone", f.name, fs)
		}
		whom, err := f.n.DB.ActorByID(t.Context(), fs[0].TargetID)
		must(t, err)
		want(t, f.name+" follows", whom.IRI, shop.Actor.IRI)
	}
	left, err := rye.DB.CountFollowers(t.Context(), baker.Actor.ID)
	want(t, "followers that stay behind", count(t, left, err), 0)
	if _, err := rye.Move(t.Context(), baker, "@shop@elm.example"); status(err) != 429 {
		t.Errorf("a second move at once: %v", err)
	}
}

func TestIDN071IDN072MovesThatAreNotFollowed(t *testing.T) {
	net, rye, baker, peer := stage(t)
	_, err := rye.Follow(t.Context(), baker, "@ann@far.example")
	must(t, err)
	one := aptest.NewPeer("https://one.example", "one", 12, false)
	two := aptest.NewPeer("https://two.example", "two", 13, false)
	net.Serve("one.example", one)
	net.Serve("two.example", two)
	move := func(id string, from *aptest.Peer, to string) {
		t.Helper()
		act := from.Activity("Move", id, from.ID())
		act["target"] = to
		from.Now = net.Now
		if got, body := post(t, net, from.Request(ryeInbox, act)); got != 202 {
			t.Fatalf("%d %s", got, body)
		}
		net.Deliver()
	}
	follows := func() (names []string) {
		fs, err := rye.DB.Following(t.Context(), baker.Actor.ID, "", storage.Page{})
		must(t, err)
		for _, f := range fs {
			a, err := rye.DB.ActorByID(t.Context(), f.TargetID)
			must(t, err)
			names = append(names, a.Username)
		}
		slices.Sort(names)
		return names
	}
	move("1", peer, one.ID())
	want(t, "a target that does not say so", fmt.Sprint(follows()), "[ann]")
	one.Extra = map[string]any{"alsoKnownAs": []string{peer.ID()}}
	move("2", peer, one.ID())
	want(t, "a source that does not say so", fmt.Sprint(follows()), "[ann]")
	peer.Extra = map[string]any{"movedTo": one.ID()}
	one.Extra = map[string]any{"alsoKnownAs": peer.ID(), "movedTo": two.ID()}
	move("3", peer, one.ID())
	want(t, "a target that has moved itself", fmt.Sprint(follows()), "[ann]")
	one.Extra = map[string]any{"alsoKnownAs": peer.ID()}
	move("4", peer, one.ID())
	want(t, "when both say so", fmt.Sprint(follows()), "[one]")
	peer.Extra = map[string]any{"alsoKnownAs": []string{one.ID()}}
	one.Extra = map[string]any{"alsoKnownAs": []string{peer.ID()}, "movedTo": peer.ID()}
	move("5", one, peer.ID())
	want(t, "back again", fmt.Sprint(follows()), "[ann]")
	peer.Extra = map[string]any{"movedTo": two.ID()}
	two.Extra = map[string]any{"alsoKnownAs": []string{peer.ID()}}
	move("6", peer, two.ID())
	want(t, "a second move within a week", fmt.Sprint(follows()), "[ann]")
	net.Sleep(8 * 24 * time.Hour)
	move("7", peer, two.ID())
	want(t, "and after it", fmt.Sprint(follows()), "[two]")
	// Somebody else's move, and a move by a third.
	act := one.Activity("Move", "8", two.ID())
	act["target"] = peer.ID()
	if got, _ := post(t, net, one.Request(ryeInbox, act)); got != 403 {
		t.Errorf("one moves two: %d", got)
	}
}

// FEP-7628 pull: the new actor says it.
func TestAMoveThatTheNewActorSays(t *testing.T) {
	net, rye, baker, peer := stage(t)
	_, err := rye.Follow(t.Context(), baker, "@ann@far.example")
	must(t, err)
	next := aptest.NewPeer("https://one.example", "one", 12, false)
	next.Now, next.Extra = net.Now, map[string]any{"alsoKnownAs": []string{peer.ID()}}
	peer.Extra = map[string]any{"alsoKnownAs": []string{next.ID()}}
	net.Serve("one.example", next)
	act := next.Activity("Move", "1", peer.ID())
	act["target"] = next.ID()
	if got, body := post(t, net, next.Request(ryeInbox, act)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	net.Deliver()
	lastOf(t, next, "Follow")
	lastOf(t, peer, "Undo")
}
