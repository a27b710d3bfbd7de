package activitypub_test

import (
	"fmt"
	"strings"
	"testing"

	"planet/activitypub"
	"planet/storage"
)

func TestAReportReachesThoseWhoLookAfterBothNodes(t *testing.T) {
	net, rye, oak, baker, ana := neighbours(t)
	bea, err := rye.DB.UserByName(t.Context(), "nuria")
	must(t, err)
	bea.Role = storage.NodeOwner
	must(t, rye.DB.UpdateUser(t.Context(), bea))
	p := rye.Say(baker, "Buy my coins")
	net.Deliver()
	_, err = oak.Report(t.Context(), ana, activitypub.Complaint{Whom: "@baker@rye.example", Posts: []storage.ID{copyOf(t, oak, p.IRI).ID}, Comment: "<b>spam</b> & more", Forward: true})
	must(t, err)
	net.Deliver()
	here, err := rye.DB.Reports(t.Context(), false, storage.Page{})
	must(t, err)
	if len(here) != 1 {
		t.Fatalf("%d reports, want 1", len(here))
	}
	r := here[0]
	want(t, "comment", r.Comment, "spam & more")
	want(t, "posts", fmt.Sprint(r.Posts), fmt.Sprint([]storage.ID{p.ID}))
	reporter, err := rye.DB.ActorByID(t.Context(), r.ReporterID)
	must(t, err)
	want(t, "it comes in the name of the node, not of ana", reporter.IRI, storage.IRI("https://oak.example/actor"))
	boss, err := rye.Resolve(t.Context(), "nuria")
	must(t, err)
	want(t, "the owner was told", fmt.Sprint(told(t, rye, activitypub.By{Actor: boss})), "[admin.report]")
	must(t, rye.ResolveReport(t.Context(), bea, r.ID))
	want(t, "resolved twice", status(rye.ResolveReport(t.Context(), bea, r.ID)), 404)
	there, err := oak.DB.Reports(t.Context(), false, storage.Page{})
	must(t, err)
	want(t, "oak's own", len(there), 1)
}

func TestACT149AReportIsCutAndEscaped(t *testing.T) {
	net, rye, baker, peer := stage(t)
	p := rye.Say(baker, "one")
	q := rye.Say(activitypub.By{Actor: actorNamed(t, rye, "nuria")}, "another's")
	objects := []any{baker.Actor.IRI, q.IRI, "https://elsewhere.example/1"}
	for range 900 {
		objects = append(objects, p.IRI)
	}
	flag := peer.Activity("Flag", "1", objects)
	flag["content"] = "<script>alert(1)</script>bad" + strings.Repeat("x", 20_000)
	flag["attributedTo"] = "https://victim.example/users/v"
	if got, body := post(t, net, peer.Request(ryeInbox, flag)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	rs, err := rye.DB.Reports(t.Context(), false, storage.Page{})
	must(t, err)
	if len(rs) != 1 {
		t.Fatalf("%d reports, want 1", len(rs))
	}
	want(t, "posts", fmt.Sprint(rs[0].Posts), fmt.Sprint([]storage.ID{p.ID}))
	want(t, "the length of the comment", len(rs[0].Comment), 5000)
	want(t, "markup", strings.Contains(rs[0].Comment, "<"), false)
	reporter, err := rye.DB.ActorByID(t.Context(), rs[0].ReporterID)
	must(t, err)
	want(t, "the reporter is who signed", string(reporter.IRI), peer.ID())
	// About nobody here: nothing.
	if got, _ := post(t, net, peer.Request(ryeInbox, peer.Activity("Flag", "2", []any{"https://elsewhere.example/1"}))); got != 202 {
		t.Errorf("%d", got)
	}
	rs, err = rye.DB.Reports(t.Context(), true, storage.Page{})
	must(t, err)
	want(t, "reports", len(rs), 1)
}
