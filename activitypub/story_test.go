package activitypub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// follows makes a follower elsewhere, and delivers until both sides know.
func follows(t *testing.T, net *aptest.Network, n *aptest.Node, by activitypub.By, handle string) *storage.Follow {
	t.Helper()
	if _, err := n.Follow(t.Context(), by, handle); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	target, err := n.Resolve(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	f, err := n.DB.FollowBetween(t.Context(), by.Actor.ID, target.ID)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAPostReachesAFollowerElsewhereAndTheReplyComesBack(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	ana := oak.Person("ana")

	if f := follows(t, net, oak, ana, "@baker@rye.example"); f.State != storage.FollowAccepted {
		t.Fatalf("the follow is %s, want accepted", f.State)
	}
	post := rye.Say(baker, "Fresh #Bread, @ana@oak.example <b>today</b>\nhttps://rye.example/@baker")
	net.Deliver()

	home := oak.Home(ana)
	if len(home) != 1 || home[0].IRI != post.IRI {
		t.Fatalf("ana sees %d posts, want the baker's one", len(home))
	}
	got := home[0]
	if got.Visibility != storage.Public || len(got.Tags) != 1 || got.Tags[0] != "bread" || len(got.Mentions) != 1 || got.Mentions[0].IRI != ana.Actor.IRI {
		t.Errorf("the post came as %+v", got)
	}
	if strings.Contains(got.Content, "<b>") || !strings.Contains(got.Content, "&lt;b&gt;today") {
		t.Errorf("the text was not taken as text: %s", got.Content)
	}
	told, err := oak.DB.Notifications(t.Context(), ana.Actor.ID, storage.Page{})
	if err != nil || len(told) != 1 || told[0].Kind != "mention" {
		t.Errorf("ana was told %+v, %v; want one mention", told, err)
	}

	reply, err := oak.Publish(t.Context(), ana, activitypub.Draft{Text: "Two please", InReplyTo: post.IRI})
	if err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	seen := rye.Home(baker)
	if len(seen) != 2 || seen[0].IRI != reply.IRI || seen[0].InReplyToID == nil || *seen[0].InReplyToID != post.ID {
		t.Fatalf("the baker sees %+v, want the reply first", seen)
	}

	net.Sleep(time.Minute)
	if _, err := rye.Edit(t.Context(), baker, post.ID, activitypub.Draft{Text: "Sold out, @ana@oak.example"}); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	if home = oak.Home(ana); !strings.Contains(home[1].Content, "Sold out") || home[1].EditedAt == nil {
		t.Errorf("after the edit ana reads %q, edited %v", home[1].Content, home[1].EditedAt)
	}
	if err := rye.Delete(t.Context(), baker, post.ID); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	if home = oak.Home(ana); len(home) != 1 || home[0].IRI != reply.IRI {
		t.Errorf("after the deletion ana sees %+v", home)
	}

	if err := oak.Unfollow(t.Context(), ana, "@baker@rye.example"); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	if n, err := rye.DB.CountFollowers(t.Context(), baker.Actor.ID); err != nil || n != 0 {
		t.Errorf("the baker has %d followers, %v; want none", n, err)
	}
}

func TestADirectPostIsReadByItsReaderAlone(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker := rye.Coop(rye.Person("nuria"), "baker")
	ana, bo := oak.Person("ana"), oak.Person("bo")
	follows(t, net, oak, ana, "@baker@rye.example")
	follows(t, net, oak, bo, "@baker@rye.example")
	if _, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "@ana@oak.example your order is ready", Visibility: storage.Direct}); err != nil {
		t.Fatal(err)
	}
	net.Deliver()
	if got := len(oak.Home(ana)); got != 1 {
		t.Errorf("ana sees %d posts, want 1", got)
	}
	if got := len(oak.Home(bo)); got != 0 {
		t.Errorf("bo sees %d posts, want none", got)
	}
}

func TestWhoMayActAsACoop(t *testing.T) {
	net := aptest.New(t, "rye.example")
	rye := net.Node("rye.example")
	nuria, pau := rye.Person("nuria"), rye.Person("pau")
	baker := rye.Coop(nuria, "baker")
	asPau := activitypub.By{User: pau.User, Actor: baker.Actor}
	say := func() error {
		_, err := rye.Publish(t.Context(), asPau, activitypub.Draft{Text: "hello"})
		return err
	}
	var p *activitypub.Problem
	if err := say(); !errors.As(err, &p) || p.Status != 403 {
		t.Errorf("a stranger posts as the co-op: %v, want a 403", err)
	}
	m := storage.Member{UserID: pau.User.ID, CoopID: baker.Actor.ID, Role: storage.RoleMember}
	if err := rye.DB.AddMember(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	if err := say(); !errors.As(err, &p) {
		t.Errorf("a plain member posts as the co-op: %v, want a refusal", err)
	}
	m.Role = storage.RoleEditor
	if err := rye.DB.AddMember(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	if err := say(); err != nil {
		t.Errorf("an editor cannot post: %v", err)
	}
	acts, err := rye.DB.Acts(t.Context(), baker.Actor.ID, storage.Page{})
	if err != nil || len(acts) != 2 || acts[0].Kind != "post.create" || acts[0].UserID != pau.User.ID {
		t.Errorf("the record says %+v, %v; want pau's post first", acts, err)
	}
}

func TestADeliveryIsTriedAgainUntilTheHostIsBack(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker, ana := rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana")
	follows(t, net, oak, ana, "@baker@rye.example")
	net.Serve("oak.example", nil)
	rye.Say(baker, "one")
	net.Deliver()
	net.Serve("oak.example", oak.Handler())
	net.Deliver()
	if got := len(oak.Home(ana)); got != 0 {
		t.Fatalf("the retry did not wait: ana sees %d posts", got)
	}
	net.Sleep(time.Minute)
	net.Deliver()
	if got := len(oak.Home(ana)); got != 1 {
		t.Errorf("ana sees %d posts after the host is back, want 1", got)
	}
	ds, err := rye.DB.Deliveries(context.Background(), "", 10)
	if err != nil || len(ds) != 0 {
		t.Errorf("%d deliveries are left, %v", len(ds), err)
	}
}

func TestRotatedKeysAreLearned(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker, ana := rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana")
	follows(t, net, oak, ana, "@baker@rye.example")
	if err := rye.RotateKeys(t.Context(), baker); err != nil {
		t.Fatal(err)
	}
	rye.Say(baker, "signed anew")
	net.Deliver()
	if got := len(oak.Home(ana)); got != 1 {
		t.Errorf("ana sees %d posts, want 1", got)
	}
}

func TestANodeKeepsItsOrigin(t *testing.T) {
	net := aptest.New(t, "rye.example")
	c := net.Node("rye.example").Config
	c.Origin = "https://other.example"
	if _, err := activitypub.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), "https://rye.example") {
		t.Errorf("another origin is taken: %v", err)
	}
}
