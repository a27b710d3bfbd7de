package activitypub_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

func actorNamed(t *testing.T, n *aptest.Node, name string) *storage.Actor {
	t.Helper()
	a, err := n.DB.LocalActor(t.Context(), name)
	must(t, err)
	return a
}

func TestACT159ABlockedServerAndAllBelowIt(t *testing.T) {
	net, rye, baker, peer := stage(t)
	sub := aptest.NewPeer("https://sub.far.example", "sue", 12, false)
	near := aptest.NewPeer("https://notfar.example", "ned", 13, false)
	sub.Now, near.Now = net.Now, net.Now
	net.Serve("sub.far.example", sub)
	net.Serve("notfar.example", near)
	befriend(t, net, peer, baker.Actor)
	net.Deliver()
	p := rye.Say(baker, "Fresh bread") // waits for the block
	_, err := rye.SetDomainRule(t.Context(), nil, "FAR.example.", "block", "spam")
	must(t, err)
	before := len(net.Trips())
	net.Deliver()
	for _, who := range []*aptest.Peer{peer, sub} {
		if got, _ := post(t, net, who.Request(ryeInbox, who.Note("n", "hello", string(baker.Actor.IRI)))); got != 403 {
			t.Errorf("%s is answered %d, want 403", who.ID(), got)
		}
		want(t, "a document for "+who.Name, ask(t, net, string(p.IRI), signedBy(who)).status, 403)
	}
	for _, trip := range net.Trips()[before:] {
		if strings.Contains(trip, "far.example") && !strings.Contains(trip, "notfar") {
			t.Errorf("it asked %s", trip)
		}
	}
	if got, _ := post(t, net, near.Request(ryeInbox, near.Note("n", "hello", string(baker.Actor.IRI)))); got != 202 {
		t.Errorf("a server whose name only ends alike is answered %d", got)
	}
	if _, err := rye.Follow(t.Context(), baker, "@sue@sub.far.example"); status(err) != 403 {
		t.Errorf("a follow there: %v", err)
	}
	n, err := rye.DB.CountFollowers(t.Context(), baker.Actor.ID)
	want(t, "followers", count(t, n, err), 0)

	must(t, rye.RemoveDomainRule(t.Context(), nil, "far.example"))
	if got, _ := post(t, net, peer.Request(ryeInbox, peer.Note("m", "hello", string(baker.Actor.IRI)))); got != 202 {
		t.Errorf("after the rule is gone: %d", got)
	}
	want(t, "a rule that is not there", status(rye.RemoveDomainRule(t.Context(), nil, "far.example")), 404)
	for _, bad := range []string{"rye.example", "", "a b", "http://x"} {
		_, err := rye.SetDomainRule(t.Context(), nil, bad, "block", "")
		want(t, "a rule for "+bad, status(err), 422)
	}
}

func TestACT160AnAllowedServerDoesNotSpeakForABlockedOne(t *testing.T) {
	net, rye, baker, peer := stage(t)
	oak := net.Add("oak.example")
	ana := oak.Person("ana")
	_, err := rye.SetDomainRule(t.Context(), nil, "oak.example", "block", "")
	must(t, err)
	befriend(t, net, peer, ana.Actor)
	_, err = oak.Publish(t.Context(), ana, activitypub.Draft{Text: "hello @baker@rye.example"})
	must(t, err)
	net.Deliver()
	create := lastRaw(t, peer, "Create") // with ana's own proof
	if got, body := post(t, net, peer.Request(ryeInbox, create)); got != 403 {
		t.Errorf("%d %s, want 403", got, body)
	}
	want(t, "what the baker sees", len(rye.Home(baker)), 0)
}

// lastRaw are the bytes of the last activity of a type that a peer received.
func lastRaw(t *testing.T, p *aptest.Peer, kind string) []byte {
	t.Helper()
	for _, raw := range slices.Backward(p.Received()) {
		if decoded(t, raw)["type"] == kind {
			return raw
		}
	}
	t.Fatalf("the peer has received no %s", kind)
	return nil
}

func TestANodeOfChosenServers(t *testing.T) {
	net := aptest.New(t, "oak.example", "elm.example")
	rye := net.Add("rye.example", func(c *activitypub.Config) { c.Federation = activitypub.FederationAllowlist })
	baker := rye.Coop(rye.Person("nuria"), "baker")
	oak, elm := net.Node("oak.example"), net.Node("elm.example")
	ana, bo := oak.Person("ana"), elm.Person("bo")
	_, err := rye.SetDomainRule(t.Context(), nil, "oak.example", "allow", "sister")
	must(t, err)
	follows(t, net, oak, ana, "@baker@rye.example")
	_, err = elm.Follow(t.Context(), bo, "@baker@rye.example") // its signed question is refused
	want(t, "elm finds the baker", err == nil, false)
	p := rye.Say(baker, "Fresh bread")
	net.Deliver()
	want(t, "what ana sees", len(oak.Home(ana)), 1)
	want(t, "by elm", status(errOf(elm.Resolve(t.Context(), string(p.IRI)))) != 0, true)
	if _, err := rye.Follow(t.Context(), baker, "@bo@elm.example"); status(err) != 403 {
		t.Errorf("the baker follows bo: %v", err)
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestANodeThatSpeaksWithNobody(t *testing.T) {
	net := aptest.New(t, "oak.example")
	rye := net.Add("rye.example", func(c *activitypub.Config) { c.Federation = activitypub.FederationOff })
	baker, nuria := rye.Coop(rye.Person("nuria"), "baker"), activitypub.By{Actor: actorNamed(t, rye, "nuria")}
	follows(t, net, rye, nuria, "baker")
	p := rye.Say(baker, "among us")
	want(t, "what nuria sees", len(rye.Home(nuria)), 1)
	want(t, "a document", ask(t, net, string(p.IRI)).status, 403)
	peer := newcomer(net, "far.example", "ann", 9)
	if got, _ := post(t, net, peer.Request(ryeInbox, peer.Note("n", "hello", string(baker.Actor.IRI)))); got != 403 {
		t.Errorf("the inbox answers %d, want 403", got)
	}
	_, err := rye.Follow(t.Context(), baker, "@ana@oak.example")
	want(t, "a follow", status(err), 403)
}

func TestASilencedServerIsHeardByItsFollowersAlone(t *testing.T) {
	net, rye, baker, peer := stage(t)
	nil1 := rye.Person("nil")
	_, err := rye.SetDomainRule(t.Context(), nil, "far.example", "silence", "")
	must(t, err)
	_, err = rye.Follow(t.Context(), nil1, "@ann@far.example")
	must(t, err)
	net.Deliver()
	post(t, net, peer.Request(ryeInbox, peer.Activity("Accept", "a", lastOf(t, peer, "Follow"))))
	act := peer.Note("n", "hello #bread", string(baker.Actor.IRI), string(nil1.Actor.IRI))
	act["object"].(map[string]any)["tag"] = append(act["object"].(map[string]any)["tag"].([]any), map[string]any{"type": "Hashtag", "name": "#bread"})
	if got, body := post(t, net, peer.Request(ryeInbox, act)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	want(t, "the baker, who does not follow her, was told", fmt.Sprint(told(t, rye, baker)), "[]")
	want(t, "nil, who does, was told", fmt.Sprint(told(t, rye, nil1)), "[mention]")
	tagged, err := rye.DB.TagTimeline(t.Context(), "bread", storage.Page{})
	must(t, err)
	want(t, "what everyone sees under the tag", len(tagged), 0)
	post(t, net, peer.Request(ryeInbox, peer.Activity("Follow", "f", baker.Actor.IRI)))
	f, err := rye.DB.FollowBetween(t.Context(), actorByIRI(t, rye, peer.ID()).ID, baker.Actor.ID)
	must(t, err)
	want(t, "her follow waits", f.State, storage.FollowPending)
}

func actorByIRI(t *testing.T, n *aptest.Node, iri string) *storage.Actor {
	t.Helper()
	a, err := n.DB.ActorByIRI(t.Context(), storage.IRI(iri))
	must(t, err)
	return a
}

func TestASuspendedActorIsNotHeard(t *testing.T) {
	net, rye, baker, peer := stage(t)
	post(t, net, peer.Request(ryeInbox, peer.Note("n", "hello", string(baker.Actor.IRI))))
	want(t, "what the baker sees", len(rye.Home(baker)), 1)
	note := rye.Home(baker)[0].IRI
	ann := actorByIRI(t, rye, peer.ID())
	must(t, rye.SetStanding(t.Context(), nil, ann, true, false))
	if got, _ := post(t, net, peer.Request(ryeInbox, peer.Note("m", "hello", string(baker.Actor.IRI)))); got != 403 {
		t.Errorf("%d, want 403", got)
	}
	want(t, "what the baker sees now", len(rye.Home(baker)), 0)
	want(t, "a like of her post", status(errOf(rye.Like(t.Context(), baker, copyOf(t, rye, note).ID))), 404)
	want(t, "her post", status(errOf(rye.ResolvePost(t.Context(), baker, string(note)))), 404)
	must(t, rye.SetStanding(t.Context(), nil, ann, false, false))
	if got, _ := post(t, net, peer.Request(ryeInbox, peer.Note("o", "hello", string(baker.Actor.IRI)))); got != 202 {
		t.Errorf("%d, want 202", got)
	}
	want(t, "and when she is back", len(rye.Home(baker)), 2)
}

func TestAQuoteIsAllowedByTheWordOfItsAuthor(t *testing.T) {
	net, rye, baker, peer := stage(t)
	asked := 0
	ask044f := func(id string, p *storage.Post) map[string]any {
		t.Helper()
		asked++
		act := peer.Activity("QuoteRequest", fmt.Sprint("ask", asked), p.IRI)
		act["instrument"] = peer.ID() + "/notes/" + id
		if got, body := post(t, net, peer.Request(ryeInbox, act)); got != 202 {
			t.Fatalf("%d %s", got, body)
		}
		net.Deliver()
		got := peer.Received()
		return decoded(t, got[len(got)-1])
	}
	say := func(quotes string) *storage.Post {
		p, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "quote me", Quotes: quotes})
		must(t, err)
		return p
	}
	p := say("")
	yes := ask044f("1", p)
	want(t, "answer", yes["type"], any("Accept"))
	want(t, "its object", yes["object"].(map[string]any)["instrument"], any(peer.ID()+"/notes/1"))
	stamp := yes["result"].(string)
	s := ask(t, net, stamp)
	want(t, "the stamp", s.status, 200)
	doc := decoded(t, []byte(s.body))
	want(t, "its type", doc["type"], any("QuoteAuthorization"))
	want(t, "what quotes", doc["interactingObject"], any(peer.ID()+"/notes/1"))
	want(t, "what is quoted", doc["interactionTarget"], any(string(p.IRI)))
	want(t, "who allows it", doc["attributedTo"], any(string(baker.Actor.IRI)))
	want(t, "asked again it is the same", ask044f("1", p)["result"], any(stamp))

	want(t, "nobody may", ask044f("2", say(activitypub.QuoteNobody))["type"], any("Reject"))
	forFollowers := say(activitypub.QuoteFollowers)
	want(t, "followers may, and she is none", ask044f("3", forFollowers)["type"], any("Reject"))
	befriend(t, net, peer, baker.Actor)
	want(t, "now she is", ask044f("4", forFollowers)["type"], any("Accept"))

	id, err := storage.ParseID(stamp[strings.LastIndex(stamp, "/")+1:])
	must(t, err)
	must(t, rye.RevokeQuote(t.Context(), baker, id))
	net.Deliver()
	want(t, "the stamp after that", ask(t, net, stamp).status, 410)
	want(t, "the peer is told", lastOf(t, peer, "Delete")["object"].(map[string]any)["id"], any(stamp))
	want(t, "it is not given again", ask044f("1", p)["type"], any("Reject"))
	note := decoded(t, []byte(ask(t, net, string(p.IRI)).body))
	want(t, "the policy that others read", fmt.Sprint(note["interactionPolicy"]), "map[canQuote:map[automaticApproval:[https://www.w3.org/ns/activitystreams#Public]]]")
}

// GoToSocial's interaction policies: who may answer, like and share, and who asks first.
func TestAPolicyOfAnotherServerIsKept(t *testing.T) {
	net, rye, baker, peer := stage(t)
	_, err := rye.Follow(t.Context(), baker, "@ann@far.example")
	must(t, err)
	say := func(id string, policy map[string]any) *storage.Post {
		act := peer.Note(id, "hello")
		act["object"].(map[string]any)["interactionPolicy"] = policy
		if got, body := post(t, net, peer.Request(ryeInbox, act)); got != 202 {
			t.Fatalf("%d %s", got, body)
		}
		return copyOf(t, rye, storage.IRI(peer.ID()+"/notes/"+id))
	}
	rule := func(automatic, manual []string) map[string]any {
		return map[string]any{"automaticApproval": automatic, "manualApproval": manual}
	}
	closed := say("closed", map[string]any{"canReply": rule([]string{peer.ID()}, nil), "canLike": rule([]string{peer.ID()}, nil), "canAnnounce": rule([]string{peer.ID()}, nil)})
	_, err = rye.Publish(t.Context(), baker, activitypub.Draft{Text: "but", InReplyTo: closed.IRI})
	want(t, "an answer", status(err), 403)
	_, err = rye.Like(t.Context(), baker, closed.ID)
	want(t, "a like", status(err), 403)
	_, err = rye.Boost(t.Context(), baker, closed.ID, "")
	want(t, "a boost", status(err), 403)

	other := newcomer(net, "other.example", "flo", 14)
	befriend(t, net, other, baker.Actor)
	asks := say("asks", map[string]any{"canReply": map[string]any{"always": []string{peer.ID()}, "approvalRequired": []string{"https://www.w3.org/ns/activitystreams#Public"}}})
	reply, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "may I?", InReplyTo: asks.IRI})
	must(t, err)
	net.Deliver()
	want(t, "the author is asked", lastOf(t, peer, "Create")["object"].(map[string]any)["id"], any(string(reply.IRI)))
	want(t, "followers wait", len(kindsOf(t, other, "Create")), 0)
	third := newcomer(net, "third.example", "tom", 15)
	yes := func(by *aptest.Peer, id string) int {
		act := by.Activity("Accept", id, reply.IRI)
		act["result"] = by.ID() + "/approvals/" + id
		got, _ := post(t, net, by.Request(ryeInbox, act))
		net.Deliver()
		return got
	}
	want(t, "a third says yes", yes(third, "0"), 403)
	want(t, "followers wait", len(kindsOf(t, other, "Create")), 0)
	want(t, "the author says yes", yes(peer, "1"), 202)
	got := kindsOf(t, other, "Create")
	if len(got) != 1 {
		t.Fatalf("followers got %d, want the answer", len(got))
	}
	want(t, "with the approval", got[0]["object"].(map[string]any)["approvedBy"], any(peer.ID()+"/approvals/1"))
}

func kindsOf(t *testing.T, p *aptest.Peer, kind string) (out []map[string]any) {
	t.Helper()
	for _, raw := range p.Received() {
		if m := decoded(t, raw); m["type"] == kind {
			out = append(out, m)
		}
	}
	return out
}

func TestFollowRequestsAreAnswered(t *testing.T) {
	net, rye, oak, baker, _ := neighbours(t)
	bo, cy := oak.Person("bo"), oak.Person("cy")
	a := *baker.Actor
	a.Locked = true
	must(t, rye.UpdateProfile(t.Context(), baker, &a))
	net.Deliver()
	want(t, "bo waits", follows(t, net, oak, bo, "@baker@rye.example").State, storage.FollowPending)
	want(t, "cy waits", follows(t, net, oak, cy, "@baker@rye.example").State, storage.FollowPending)
	_, err := rye.AnswerFollow(t.Context(), baker, "@bo@oak.example", true)
	must(t, err)
	_, err = rye.AnswerFollow(t.Context(), baker, "@cy@oak.example", false)
	must(t, err)
	net.Deliver()
	f, err := oak.DB.FollowBetween(t.Context(), bo.Actor.ID, actorOf(t, oak, baker).ID)
	must(t, err)
	want(t, "bo follows", f.State, storage.FollowAccepted)
	_, err = oak.DB.FollowBetween(t.Context(), cy.Actor.ID, actorOf(t, oak, baker).ID)
	want(t, "cy does not", status(err), 404)
	_, err = rye.AnswerFollow(t.Context(), baker, "@cy@oak.example", true)
	want(t, "cy's second answer", status(err), 404)
	_, err = rye.AnswerFollow(t.Context(), baker, "@bo@oak.example", false) // a follower is let go
	must(t, err)
	net.Deliver()
	_, err = oak.DB.FollowBetween(t.Context(), bo.Actor.ID, actorOf(t, oak, baker).ID)
	want(t, "bo does not any more", status(err), 404)
}

func TestAnActorEndsForEver(t *testing.T) {
	net, rye, oak, baker, ana := neighbours(t)
	p := rye.Say(baker, "Fresh bread @ana@oak.example")
	net.Deliver()
	must(t, rye.DeleteActor(t.Context(), baker))
	net.Deliver()
	want(t, "what ana sees", len(oak.Home(ana)), 0)
	want(t, "the baker there", actorOf(t, oak, baker).DeletedAt != nil, true)
	want(t, "the document", ask(t, net, string(baker.Actor.IRI)).status, 410)
	want(t, "the post", ask(t, net, string(p.IRI)).status, 410)
	_, err := rye.FoundCoop(t.Context(), baker.User, activitypub.NewCoop{Username: "baker", Title: "again"})
	want(t, "IDN073 the name is free", err == nil, false)
	want(t, "she speaks", errOf(rye.Publish(t.Context(), baker, activitypub.Draft{Text: "boo"})) == nil, false)
	ds, err := rye.DB.Deliveries(t.Context(), "", 10)
	must(t, err)
	want(t, "deliveries that are left", len(ds), 0)

	second := rye.Coop(activitypub.By{User: baker.User}, "second")
	me := activitypub.By{User: baker.User, Actor: actorNamed(t, rye, "nuria")}
	want(t, "the last admin of a co-op leaves", status(rye.DeleteActor(t.Context(), me)), 409)
	must(t, rye.DeleteActor(t.Context(), second))
	must(t, rye.DeleteActor(t.Context(), me))
	u, err := rye.DB.UserByName(t.Context(), "nuria")
	must(t, err)
	want(t, "she may sign in", u.SuspendedAt == nil, false)
}

func TestACT140ACT141OnlyOnesOwnCollections(t *testing.T) {
	net, rye, baker, peer := stage(t)
	peer.Extra = map[string]any{"featured": peer.ID() + "/featured"}
	bob := aptest.NewPeer("https://far.example", "bob", 11, false)
	bob.Now = net.Now
	net.Serve("far.example", twoOf(peer, bob))
	post(t, net, peer.Request(ryeInbox, peer.Note("n", "hello", string(baker.Actor.IRI))))
	note := peer.ID() + "/notes/n"
	p := copyOf(t, rye, storage.IRI(note))
	pins := func() int {
		ps, err := rye.DB.Pinned(t.Context(), p.ActorID, []string{storage.Public})
		must(t, err)
		return len(ps)
	}
	send := func(by *aptest.Peer, kind, id, object, target string, status int) {
		t.Helper()
		act := by.Activity(kind, id, object)
		act["target"] = target
		if got, body := post(t, net, by.Request(ryeInbox, act)); got != status {
			t.Errorf("%s by %s to %s: %d %s, want %d", kind, by.Name, target, got, body, status)
		}
	}
	send(peer, "Add", "1", peer.ID(), string(baker.Actor.Followers), 403)
	send(peer, "Remove", "2", peer.ID(), string(baker.Actor.Following), 403)
	send(bob, "Add", "3", note, peer.ID()+"/featured", 202)
	want(t, "pinned by another of the same host", pins(), 0)
	send(peer, "Add", "4", note, peer.ID()+"/featured", 202)
	want(t, "pinned by herself", pins(), 1)
	send(bob, "Remove", "5", note, peer.ID()+"/featured", 202)
	want(t, "taken off by another", pins(), 1)
	send(peer, "Remove", "6", note, peer.ID()+"/featured", 202)
	want(t, "taken off by herself", pins(), 0)
	net.Sleep(time.Second)
}

func TestPinsAreShownAndTold(t *testing.T) {
	net, rye, oak, baker, _ := neighbours(t)
	p := rye.Say(baker, "Opening hours")
	net.Deliver()
	must(t, rye.Pin(t.Context(), baker, p.ID))
	net.Deliver()
	there := actorOf(t, oak, baker)
	ps, err := oak.DB.Pinned(t.Context(), there.ID, []string{storage.Public})
	must(t, err)
	want(t, "pinned there", len(ps), 1)
	featured := decoded(t, []byte(ask(t, net, string(baker.Actor.Featured)).body))
	want(t, "the collection", fmt.Sprint(featured["orderedItems"]), fmt.Sprint([]any{string(p.IRI)}))
	must(t, rye.Unpin(t.Context(), baker, p.ID))
	net.Deliver()
	ps, err = oak.DB.Pinned(t.Context(), there.ID, []string{storage.Public})
	must(t, err)
	want(t, "pinned there in the end", len(ps), 0)
	want(t, "a second time", status(rye.Unpin(t.Context(), baker, p.ID)), 404)
}

func TestManyRulesAreSetAtOnceOrNotAtAll(t *testing.T) {
	net, rye, baker, peer := stage(t)
	befriend(t, net, peer, baker.Actor)
	rules := []storage.DomainRule{{Domain: "FAR.example", Kind: storage.RuleBlock, Reason: "spam"}, {Domain: "bücher.example", Kind: storage.RuleSilence}}
	for i := range 1200 {
		rules = append(rules, storage.DomainRule{Domain: fmt.Sprintf("n%d.bad.example", i), Kind: storage.RuleBlock})
	}
	for _, bad := range []storage.DomainRule{{Domain: "not a name", Kind: storage.RuleBlock}, {Domain: "rye.example", Kind: storage.RuleBlock}, {Domain: "x.example", Kind: "noop"}} {
		var invalid *activitypub.InvalidError
		if _, err := rye.SetDomainRules(t.Context(), nil, append(slices.Clone(rules), bad)); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	kept, err := rye.DB.DomainRules(t.Context())
	must(t, err)
	want(t, "rules after a refusal", len(kept), 0)

	for _, changed := range []int{1202, 0} { // the second time nothing is new
		n, err := rye.SetDomainRules(t.Context(), nil, rules)
		must(t, err)
		want(t, "rules that are new", n, changed)
	}
	if got, _ := post(t, net, peer.Request(ryeInbox, peer.Note("n", "hello", string(baker.Actor.IRI)))); got != 403 {
		t.Errorf("a blocked server is answered %d", got)
	}
	n, err := rye.DB.CountFollowers(t.Context(), baker.Actor.ID)
	want(t, "followers", count(t, n, err), 0)
	r, err := rye.DB.DomainRuleFor(t.Context(), "xn--bcher-kva.example")
	must(t, err)
	want(t, "an internationalised name", r.Kind, storage.RuleSilence)
	acts, err := rye.DB.Acts(t.Context(), actorNamed(t, rye, "actor").ID, storage.Page{Limit: 5000})
	must(t, err)
	want(t, "lines of the record", len(acts), 1202)
}

func TestARuleIsAboutAServerOnAnyPort(t *testing.T) {
	_, rye, _, _ := stage(t)
	a := &storage.Actor{IRI: "https://sub.far.example:8443/u/bo", Type: storage.Person, Username: "bo", Domain: "sub.far.example:8443", Inbox: "https://sub.far.example:8443/u/bo/inbox"}
	must(t, rye.DB.SaveActor(t.Context(), a))
	_, err := rye.SetDomainRule(t.Context(), nil, "far.example", storage.RuleBlock, "")
	must(t, err)
	s, err := rye.DB.StandingOf(t.Context(), a.ID)
	must(t, err)
	want(t, "suspended", s.Suspended, true)
	must(t, rye.RemoveDomainRule(t.Context(), nil, "far.example"))
	s, err = rye.DB.StandingOf(t.Context(), a.ID)
	must(t, err)
	want(t, "suspended when the rule is gone", s.Suspended, false)
}

func TestASuspendedActorOfOursIsNotShownAndCannotAct(t *testing.T) {
	net, rye, oak, baker, _ := neighbours(t)
	p := rye.Say(baker, "Fresh bread")
	net.Deliver()
	must(t, rye.SetStanding(t.Context(), nil, baker.Actor, true, false))
	net.Deliver()
	for _, part := range []string{string(p.IRI), string(baker.Actor.Outbox), string(baker.Actor.Featured)} {
		want(t, part, ask(t, net, part).status, 404)
	}
	doc := ask(t, net, string(baker.Actor.IRI))
	want(t, "the actor, for its key", doc.status, 200)
	want(t, "it says why", decoded(t, []byte(doc.body))["suspended"], any(true))
	want(t, "it speaks", status(errOf(rye.Publish(t.Context(), baker, activitypub.Draft{Text: "boo"}))), 403)
	if there := actorOf(t, oak, baker); !strings.Contains(string(there.Raw), `"suspended":true`) {
		t.Errorf("the other server was not told: %s", there.Raw)
	}
	must(t, rye.SetStanding(t.Context(), nil, actorNamed(t, rye, "baker"), false, false))
	want(t, "the post again", ask(t, net, string(p.IRI)).status, 200)
	rye.Say(baker, "back again")
}
