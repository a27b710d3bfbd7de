package activitypub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
)

// More of IDN and ACT: moves, likes, boosts, polls, reports, pins, blocks and domain rules.

// settled sends what must have no effect now, nor by any job that it causes.
func (s *scene) settled(t *testing.T, cases ...abuse) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := s.rye.State()
			got, body := post(t, s.net, c.by.Request(ryeInbox, c.act))
			if !slices.Contains(c.want, got) {
				t.Errorf("%d %s, want %v", got, body, c.want)
			}
			for range 3 {
				s.net.Deliver()
				s.net.Sleep(10 * time.Minute)
			}
			for _, change := range before.Changes(s.rye.State()) {
				t.Errorf("it was answered %d and changed %s", got, change)
			}
		})
	}
}

// whom an actor of ours follows, by handle.
func (s *scene) following(t *testing.T, by activitypub.By) []string {
	t.Helper()
	fs, err := s.rye.DB.Following(t.Context(), by.Actor.ID, "", storage.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range fs {
		a, err := s.rye.DB.ActorByID(t.Context(), f.TargetID)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a.Handle("rye.example"))
	}
	slices.Sort(out)
	return out
}

func TestIDN071AMoveThatTheTargetDoesNotKnowOf(t *testing.T) {
	s := newScene(t)
	to := func(by *aptest.Peer, from, target string) dict {
		return with(s.does(by, "Move", from), "target", target)
	}
	s.settled(t, abuse{"IDN071 to one who names no other", s.ann, to(s.ann, s.ann.ID(), s.eve.ID()), nop})
	s.profile(t, s.ann, dict{"movedTo": s.eve.ID()}, 202)
	s.settled(t, abuse{"IDN071 though her document says so", s.ann, to(s.ann, s.ann.ID(), s.eve.ID()), nop})
	s.profile(t, s.eve, dict{"alsoKnownAs": []any{s.bob.ID(), s.ann.ID() + "#"}}, 202)
	s.settled(t, abuse{"IDN071 to one who names others", s.ann, to(s.ann, s.ann.ID(), s.eve.ID()), nop})
	s.profile(t, s.eve, dict{"alsoKnownAs": []any{s.ann.ID(), s.bob.ID()}}, 202)
	s.profile(t, s.ann, nil, 202)
	s.profile(t, s.bob, nil, 202)
	s.settled(t,
		abuse{"IDN071 eve draws ann's followers to herself", s.eve, to(s.eve, s.ann.ID(), s.eve.ID()), nop},
		abuse{"IDN071 bob moves ann", s.bob, to(s.bob, s.ann.ID(), s.bob.ID()), nop},
		abuse{"IDN071 eve moves one of ours", s.eve, to(s.eve, string(s.baker.Actor.IRI), s.eve.ID()), nop},
		abuse{"IDN071 to herself", s.ann, to(s.ann, s.ann.ID(), s.ann.ID()), nop},
		abuse{"IDN071 to nowhere", s.ann, to(s.ann, s.ann.ID(), "https://far.example/users/nobody"), nop},
		abuse{"IDN071 to one of ours who does not know her", s.ann, to(s.ann, s.ann.ID(), string(s.nuria.Actor.IRI)), nop},
	)
	if got := s.following(t, s.baker); !slices.Equal(got, []string{"@ann@far.example"}) {
		t.Errorf("the baker follows %v", got)
	}
}

func TestIDN072MovesInACircle(t *testing.T) {
	s := newScene(t)
	both := dict{"alsoKnownAs": []any{s.ann.ID(), s.eve.ID(), s.bob.ID()}}
	s.ann.Extra, s.eve.Extra = dict{"alsoKnownAs": both["alsoKnownAs"], "movedTo": s.eve.ID()}, both
	s.take(t, s.ann, with(s.does(s.ann, "Move", s.ann.ID()), "target", s.eve.ID()))
	s.net.Deliver()
	if got := s.following(t, s.baker); !slices.Equal(got, []string{"@eve@evil.example"}) {
		t.Fatalf("the baker follows %v after the move, want eve", got)
	}
	// And back, and on, and again: the actor who moved does not move for a week, and nobody ends up following twice.
	s.eve.Extra = dict{"alsoKnownAs": both["alsoKnownAs"], "movedTo": s.ann.ID()}
	s.bob.Extra = both
	for range 3 {
		for _, m := range []struct {
			by *aptest.Peer
			to string
		}{{s.eve, s.ann.ID()}, {s.ann, s.eve.ID()}, {s.ann, s.bob.ID()}} {
			post(t, s.net, m.by.Request(ryeInbox, with(s.does(m.by, "Move", m.by.ID()), "target", m.to)))
			s.net.Deliver()
			s.net.Sleep(time.Hour)
		}
	}
	if got := s.following(t, s.baker); len(got) != 1 {
		t.Errorf("the baker follows %v, want one of them", got)
	}
	moves := 0
	acts, err := s.rye.DB.Acts(t.Context(), s.baker.Actor.ID, storage.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range acts {
		if a.Kind == "follow.move" {
			moves++
		}
	}
	if moves > 2 {
		t.Errorf("its follow moved %d times in a day, want at most once for each who moved", moves)
	}
}

// tallied is what a counting function of storage says of a post.
func tallied(t *testing.T, of func(context.Context, storage.ID) (int64, error), id storage.ID) int64 {
	t.Helper()
	n, err := of(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestACT129WhatIsTakenBackIsOnesOwn(t *testing.T) {
	s := newScene(t)
	p := s.rye.Say(s.baker, "like this")
	s.net.Deliver()
	claim := func(by *aptest.Peer, kind string, id, object any) dict {
		return dict{"id": id, "type": kind, "actor": by.ID(), "object": object}
	}
	var cases []abuse
	for _, kind := range []string{"Like", "Announce", "Block", "EmojiReact"} {
		object := any(p.IRI)
		victim := s.bob
		if kind == "Block" {
			object = string(s.nuria.Actor.IRI)
		}
		if kind == "EmojiReact" {
			victim = s.eve
		}
		deed := s.does(victim, kind, object)
		s.take(t, victim, deed)
		cases = append(cases,
			abuse{"ACT129 ann takes another's " + kind + " back, as hers", s.ann, s.does(s.ann, "Undo", claim(s.ann, kind, deed["id"], object)), nop},
			abuse{"ACT129 ann takes another's " + kind + " back, in their name", s.ann, s.does(s.ann, "Undo", claim(victim, kind, deed["id"], object)), nop},
			abuse{"ACT129 ann takes another's " + kind + " back, by its id", s.ann, s.does(s.ann, "Undo", deed["id"]), nop},
			abuse{"ACT129 ann deletes another's " + kind, s.ann, s.does(s.ann, "Delete", deed["id"]), nop},
			abuse{"ACT129 ann takes back a " + kind + " of ours that is none", s.ann, s.does(s.ann, "Undo", claim(s.ann, kind, string(p.IRI), object)), nop},
		)
	}
	s.settled(t, cases...)
	if likes, boosts := tallied(t, s.rye.DB.CountLikes, p.ID), tallied(t, s.rye.DB.CountBoosts, p.ID); likes == 0 || boosts != 1 {
		t.Errorf("%d likes and %d boosts are left", likes, boosts)
	}
}

func TestNobodyPinsForAnother(t *testing.T) {
	s := newScene(t)
	featured, moderators := s.ann.ID()+"/featured", s.ann.ID()+"/moderators"
	s.ann.Extra = dict{"featured": featured, "members": s.ann.ID() + "/members", "attributedTo": moderators}
	s.take(t, s.ann, s.does(s.ann, "Update", s.ann.Document()))
	into := func(by *aptest.Peer, kind string, object any, target string) dict {
		return with(s.does(by, kind, object), "target", target)
	}
	s.take(t, s.ann, into(s.ann, "Add", helloBy(s.ann), featured))
	if len(s.rye.State()["pins"]) != 1 {
		t.Fatalf("ann's pin is not kept: %v", s.rye.State()["pins"])
	}
	ours := s.rye.Say(s.baker, "a post of ours")
	s.net.Deliver()
	s.settled(t,
		abuse{"ACT140 eve pins her post on ann's profile", s.eve, into(s.eve, "Add", helloBy(s.eve), featured), nop},
		abuse{"ACT140 eve pins ann's post on ann's profile", s.eve, into(s.eve, "Add", helloBy(s.ann), featured), nop},
		abuse{"ACT140 bob pins his post on ann's profile", s.bob, into(s.bob, "Add", helloBy(s.bob), featured), nop},
		abuse{"ACT140 bob takes ann's pin off", s.bob, into(s.bob, "Remove", helloBy(s.ann), featured), nop},
		abuse{"ACT140 eve takes ann's pin off", s.eve, into(s.eve, "Remove", helloBy(s.ann), featured), nop},
		abuse{"ACT140 ann pins bob's post as hers", s.ann, into(s.ann, "Add", helloBy(s.bob), featured), nop},
		abuse{"ACT140 ann pins one of ours as hers", s.ann, into(s.ann, "Add", string(ours.IRI), featured), nop},
		abuse{"ACT140 eve adds herself to ann's members", s.eve, into(s.eve, "Add", s.eve.ID(), s.ann.ID()+"/members"), nop},
		abuse{"ACT141 bob, who looks after ann's group, removes one above him", s.bob, into(s.bob, "Remove", s.ann.ID(), moderators), nop},
		abuse{"ACT141 bob makes himself one who looks after it", s.bob, into(s.bob, "Add", s.bob.ID(), moderators), nop},
		abuse{"ACT141 bob bans ann from her group", s.bob, with(s.does(s.bob, "Block", s.ann.ID()), "target", s.ann.ID()), nop},
		abuse{"ACT141 ann removes the founder of our co-op", s.ann, into(s.ann, "Remove", string(s.nuria.Actor.IRI), string(s.baker.Actor.IRI)+"/members"), nop},
		abuse{"ACT141 ann makes herself an admin of our co-op", s.ann, into(s.ann, "Add", s.ann.ID(), string(s.baker.Actor.IRI)+"/moderators"), nop},
	)
}

// elsewhereNote puts a document of bob's where only its origin can tell what it says.
func (s *scene) elsewhereNote(id string, change ...func(dict)) string {
	n := noteBy(s.bob, s.bob.ID()+"/notes/"+id, "as bob said it")
	n["@context"] = as2
	for _, f := range change {
		f(n)
	}
	path := strings.TrimPrefix(n["id"].(string), "https://far.example")
	others := town{s.ann, s.bob}
	s.net.Serve("far.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.URL.Path == path {
			w.Header().Set("Content-Type", activityMedia)
			_ = json.NewEncoder(w).Encode(n)
			return
		}
		others.ServeHTTP(w, r)
	}))
	return n["id"].(string)
}

func TestWhatIsNotForEveryoneIsNotShared(t *testing.T) {
	s := newScene(t)
	private := publish(t, s.rye, s.baker, activitypub.Draft{Text: "for followers", Visibility: storage.Private})
	direct := publish(t, s.rye, s.baker, activitypub.Draft{Text: "for @ann@far.example", Visibility: storage.Direct})
	s.net.Deliver()
	closed := s.says(s.ann, "for her followers", func(n dict) { n["to"], n["cc"] = []any{s.ann.ID() + "/followers"}, []any{} })
	s.take(t, s.ann, closed)
	annsClosed := closed["object"].(dict)["id"].(string)
	bobsClosed := s.elsewhereNote("closed", func(n dict) { n["to"] = []any{s.bob.ID() + "/followers"} })
	s.settled(t,
		abuse{"ACT142 ann shares what we said to followers", s.ann, s.does(s.ann, "Announce", string(private.IRI)), nop},
		abuse{"ACT142 ann shares what we said to her alone", s.ann, s.does(s.ann, "Announce", string(direct.IRI)), nop},
		abuse{"ACT142 ann shares her own post for followers", s.ann, s.does(s.ann, "Announce", annsClosed), nop},
		abuse{"ACT142 eve shares ann's post for followers", s.eve, s.does(s.eve, "Announce", annsClosed), nop},
		abuse{"ACT142 ann shares a post of bob's that is not here and not for all", s.ann, s.does(s.ann, "Announce", bobsClosed), nop},
		abuse{"ACT145 ann shares that she shared", s.ann, s.does(s.ann, "Announce", s.ann.ID()+"/activities/accept"), nop},
	)
	first := s.does(s.ann, "Announce", helloBy(s.bob))
	s.take(t, s.ann, first)
	own := s.does(s.ann, "Announce", nil)
	own["object"] = own["id"]
	s.settled(t,
		abuse{"ACT145 ann shares her Announce", s.ann, s.does(s.ann, "Announce", first["id"]), nop},
		abuse{"ACT145 ann shares her Announce, embedded", s.ann, s.does(s.ann, "Announce", first), nop},
		abuse{"ACT145 an Announce of itself", s.ann, own, nop},
		abuse{"ACT145 bob shares ann's Announce", s.bob, s.does(s.bob, "Announce", first["id"]), nop},
	)
}

func TestACT143WhatIsSharedIsWhatItsOriginSays(t *testing.T) {
	s := newScene(t)
	altered := func(id string) dict { return with(noteBy(s.bob, id, "as ann would have it"), "@context", as2) }
	s.take(t, s.ann, s.does(s.ann, "Announce", altered(helloBy(s.bob))))
	fresh := s.elsewhereNote("fresh")
	s.take(t, s.ann, s.does(s.ann, "Announce", altered(fresh)))
	s.take(t, s.ann, s.does(s.ann, "Announce", s.does(s.bob, "Create", altered(fresh))))
	s.net.Deliver()
	for _, id := range []string{helloBy(s.bob), fresh} {
		if p := s.post(t, id); strings.Contains(p.Content, "ann would") {
			t.Errorf("%s says %q", id, p.Content)
		}
	}
	if p := s.post(t, fresh); !strings.Contains(p.Content, "as bob said it") {
		t.Errorf("it says %q", p.Content)
	}
	never := altered("https://far.example/users/bob/notes/never")
	s.settled(t, abuse{"ACT143 a post that its origin does not have", s.ann, s.does(s.ann, "Announce", never), nop})
}

func TestACT144NobodyBringsBackWhoIsSuspended(t *testing.T) {
	s := newScene(t)
	more := s.elsewhereNote("more")
	s.net.Serve("blocked.example", shelf{})
	if err := s.rye.SetStanding(t.Context(), nil, s.actor(t, s.bob.ID()), true, false); err != nil {
		t.Fatal(err)
	}
	for _, domain := range []string{"evil.example", "blocked.example"} {
		if _, err := s.rye.SetDomainRule(t.Context(), nil, domain, storage.RuleBlock, "spam"); err != nil {
			t.Fatal(err)
		}
	}
	before := len(s.net.Trips())
	s.settled(t,
		abuse{"ACT144 ann shares a known post of bob's, who is suspended", s.ann, s.does(s.ann, "Announce", helloBy(s.bob)), nop},
		abuse{"ACT144 ann shares a new post of bob's", s.ann, s.does(s.ann, "Announce", more), nop},
		abuse{"ACT144 ann shares a known post of a blocked server", s.ann, s.does(s.ann, "Announce", helloBy(s.eve)), nop},
		abuse{"ACT144 ann shares a new post of a blocked server", s.ann, s.does(s.ann, "Announce", "https://blocked.example/notes/1"), nop},
		abuse{"ACT144 ann answers a post of a blocked server in a thread", s.eve, s.says(s.eve, "x"), []int{403}},
		abuse{"ACT144 bob speaks for himself", s.bob, s.says(s.bob, "x"), []int{403}},
	)
	for _, trip := range s.net.Trips()[before:] {
		if strings.Contains(trip, "blocked.example") || strings.Contains(trip, "GET https://evil.example") {
			t.Errorf("it asked a blocked server: %s", trip)
		}
	}
}

func TestACT146ManyLikesOfOneCountOnce(t *testing.T) {
	s := newScene(t)
	p := s.rye.Say(s.baker, "like this")
	s.net.Deliver()
	for range 100 {
		s.take(t, s.ann, s.does(s.ann, "Like", string(p.IRI)))
		s.take(t, s.ann, s.does(s.ann, "Announce", string(p.IRI)))
		s.take(t, s.ann, with(s.does(s.ann, "EmojiReact", string(p.IRI)), "content", "🍞"))
	}
	if likes, boosts := tallied(t, s.rye.DB.CountLikes, p.ID), tallied(t, s.rye.DB.CountBoosts, p.ID); likes != 1 || boosts != 1 {
		t.Errorf("%d likes and %d boosts, want one of each", likes, boosts)
	}
	told, err := s.rye.DB.Notifications(t.Context(), s.baker.Actor.ID, storage.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, n := range told {
		kinds[n.Kind]++
	}
	if kinds["favourite"] != 1 || kinds["reblog"] != 1 {
		t.Errorf("the baker was told %v", kinds)
	}
}

// ask with a poll: a post with two answers.
func poll(t *testing.T, s *scene, visibility string, multiple bool) *storage.Post {
	t.Helper()
	p := publish(t, s.rye, s.baker, activitypub.Draft{Text: "rye or oat?", Visibility: visibility, Poll: &activitypub.PollDraft{Options: []string{"rye", "oat"}, Multiple: multiple, Lasts: 24 * time.Hour}})
	s.net.Deliver()
	return p
}

// votes is an answer to a poll, as Mastodon sends it.
func (s *scene) votes(by *aptest.Peer, p *storage.Post, name string) dict {
	return s.does(by, "Create", dict{"id": s.id(by, "votes"), "type": "Note", "attributedTo": by.ID(), "name": name, "inReplyTo": p.IRI, "to": []any{s.baker.Actor.IRI}})
}

func TestACT147WhatMayNotBeSeenIsNotTouched(t *testing.T) {
	s := newScene(t)
	private := publish(t, s.rye, s.baker, activitypub.Draft{Text: "for followers", Visibility: storage.Private})
	direct := publish(t, s.rye, s.baker, activitypub.Draft{Text: "for @ann@far.example", Visibility: storage.Direct})
	asked := poll(t, s, storage.Private, false)
	s.net.Deliver()
	var cases []abuse
	for _, p := range []*storage.Post{private, direct, asked} {
		for _, kind := range []string{"Like", "EmojiReact", "Announce"} {
			cases = append(cases, abuse{fmt.Sprintf("ACT147 eve's %s of a %s post", kind, p.Visibility), s.eve, s.does(s.eve, kind, string(p.IRI)), nop})
		}
		quote := with(s.does(s.eve, "QuoteRequest", string(p.IRI)), "instrument", s.eve.ID()+"/notes/quote")
		cases = append(cases, abuse{fmt.Sprintf("ACT147 eve wants to quote a %s post", p.Visibility), s.eve, quote, nop})
	}
	cases = append(cases, abuse{"ACT147 eve votes in a poll for followers", s.eve, s.votes(s.eve, asked, "rye"), nop})
	s.settled(t, cases...)
}

func TestACT148VotesThatDoNotCount(t *testing.T) {
	s := newScene(t)
	one, many := poll(t, s, storage.Public, false), poll(t, s, storage.Public, true)
	tally := func(p *storage.Post) string {
		poll, err := s.rye.DB.PollOf(t.Context(), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(poll.Options, poll.Voters)
	}
	s.take(t, s.ann, s.votes(s.ann, one, "rye"))
	s.take(t, s.ann, s.votes(s.ann, many, "rye"))
	for _, c := range []struct {
		name string
		by   *aptest.Peer
		act  dict
		p    *storage.Post
	}{
		{"ACT148 the same answer again", s.ann, s.votes(s.ann, one, "rye"), one},
		{"ACT148 the other answer of one", s.ann, s.votes(s.ann, one, "oat"), one},
		{"ACT148 the same of many again", s.ann, s.votes(s.ann, many, "rye"), many},
		{"ACT148 an answer that is none", s.bob, s.votes(s.bob, one, "wheat"), one},
		{"ACT148 an answer in other letters", s.bob, s.votes(s.bob, one, "RYE"), one},
		{"ACT148 an answer of SQL", s.bob, s.votes(s.bob, one, "rye' OR 1=1 --"), one},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := tally(c.p)
			if got, body := post(t, s.net, c.by.Request(ryeInbox, c.act)); got >= 500 {
				t.Errorf("%d %s", got, body)
			}
			if after := tally(c.p); after != before {
				t.Errorf("from %s to %s", before, after)
			}
		})
	}
	t.Run("ACT148 both of one at once", func(t *testing.T) {
		both := s.votes(s.bob, one, "rye")
		both["object"] = []any{both["object"], s.votes(s.bob, one, "oat")["object"]}
		post(t, s.net, s.bob.Request(ryeInbox, both))
		poll, err := s.rye.DB.PollOf(t.Context(), one.ID)
		if err != nil || poll.Options[0].Votes+poll.Options[1].Votes > 2 || poll.Voters > 2 {
			t.Errorf("%+v, %v; want ann's vote and one of bob's at most", poll, err)
		}
	})
	t.Run("ACT148 after the end", func(t *testing.T) {
		before := tally(one)
		s.net.Sleep(25 * time.Hour)
		post(t, s.net, s.eve.Request(ryeInbox, s.votes(s.eve, one, "rye")))
		if after := tally(one); after != before {
			t.Errorf("from %s to %s", before, after)
		}
	})
}

func TestACT149Reports(t *testing.T) {
	s := newScene(t)
	s.rye.Person("mona")
	p := s.rye.Say(s.baker, "reported")
	s.net.Deliver()
	flag := func(by *aptest.Peer, content string, objects ...any) dict {
		return with(s.does(by, "Flag", objects), "content", content)
	}
	me := string(s.baker.Actor.IRI)
	ids := append([]any{me, string(p.IRI)}, many(60, func(i int) any { return string(s.rye.Say(s.baker, fmt.Sprint("post ", i)).IRI) })...)
	ids = append(ids, many(900, func(i int) any { return fmt.Sprintf("https://rye.example/users/baker/statuses/%d", i) })...)
	s.net.Deliver()
	s.take(t, s.eve, flag(s.eve, `<script>alert(1)</script><b onclick=x>bad</b> `+strings.Repeat("x", 50_000), ids...))
	s.settled(t,
		abuse{"ACT149 in another's name", s.eve, with(flag(s.eve, "forged", me), "actor", s.ann.ID()), refusals},
		abuse{"ACT149 with 10 000 objects", s.eve, flag(s.eve, "many", many(10_000, func(int) any { return me })...), nop},
		abuse{"ACT149 of nobody here", s.eve, flag(s.eve, "bob is bad", s.bob.ID()), nop},
		abuse{"ACT149 of nothing", s.eve, flag(s.eve, "all are bad"), nop},
	)
	reports, err := s.rye.DB.Reports(t.Context(), true, storage.Page{Limit: 100})
	if err != nil || len(reports) != 1 {
		t.Fatalf("%d reports, %v; want 1", len(reports), err)
	}
	r := reports[0]
	if r.ReporterID != s.actor(t, s.eve.ID()).ID || r.TargetID != s.baker.Actor.ID || len(r.Posts) > 50 || !slices.Contains(r.Posts, p.ID) {
		t.Errorf("the report is %+v", r)
	}
	if len(r.Comment) > 5000 || strings.Contains(r.Comment, "<") {
		t.Errorf("its words are %d bytes: %.100s", len(r.Comment), r.Comment)
	}
}

func TestACT154WhatABlockedReaderIsShown(t *testing.T) {
	s := newScene(t)
	p := s.rye.Say(s.baker, "hello")
	s.net.Deliver()
	a := s.baker.Actor
	for _, address := range []string{string(p.IRI) + "/replies", string(p.IRI) + "/likes", string(p.IRI) + "/shares", string(p.IRI), string(a.Featured), string(a.Followers) + "?page=true", string(a.Outbox) + "?page=true"} {
		for range 2 { // a cache that is warm
			if got := ask(t, s.net, address, signedBy(s.eve)); got.status != 200 {
				t.Errorf("before the block %s is %d", address, got.status)
			}
		}
	}
	if _, err := s.rye.Block(t.Context(), s.baker, "@eve@evil.example"); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{string(p.IRI) + "/replies", string(p.IRI) + "/likes", string(p.IRI) + "/shares", string(p.IRI), string(p.IRI) + "/context", string(a.Featured), string(a.Followers) + "?page=true", string(a.Following) + "?page=true", string(a.Outbox) + "?page=true"} {
		t.Run("ACT154 "+strings.TrimPrefix(address, "https://rye.example"), func(t *testing.T) {
			if got := ask(t, s.net, address, signedBy(s.eve)); got.status != 404 {
				t.Errorf("the blocked one is answered %d %s", got.status, got.body)
			}
			got := ask(t, s.net, address, signedBy(s.bob))
			if got.status != 200 {
				t.Errorf("another one is answered %d %s", got.status, got.body)
			}
			if c := got.header.Get("Cache-Control"); c != "private, no-store" {
				t.Errorf("what depends on who asks may be kept by others: %q", c)
			}
			if v := got.header.Get("Vary"); !strings.Contains(v, "Signature") {
				t.Errorf("it varies by %q", v)
			}
		})
	}
}

func TestACT158WhomOneBlocksIsNotHeard(t *testing.T) {
	s := newScene(t)
	p := s.rye.Say(s.baker, "hello")
	direct := s.says(s.eve, "an old letter", func(n dict) { n["to"], n["cc"] = []any{s.baker.Actor.IRI}, []any{} })
	s.take(t, s.eve, direct)
	letter := direct["object"].(dict)["id"].(string)
	s.net.Deliver()
	if _, err := s.rye.Block(t.Context(), s.baker, "@eve@evil.example"); err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
	edited := with(with(noteBy(s.eve, letter, "a new letter in the old envelope"), "to", []any{s.baker.Actor.IRI}), "updated", "2026-12-01T00:00:00Z")
	s.settled(t,
		abuse{"ACT158 a mention", s.eve, s.says(s.eve, "you again", func(n dict) { n["tag"] = []any{dict{"type": "Mention", "href": s.baker.Actor.IRI, "name": "@baker"}} }), nop},
		abuse{"ACT158 a letter", s.eve, s.says(s.eve, "psst", func(n dict) { n["to"], n["cc"] = []any{s.baker.Actor.IRI}, []any{} }), nop},
		abuse{"ACT158 an answer", s.eve, s.says(s.eve, "no", func(n dict) { n["inReplyTo"] = p.IRI }), nop},
		abuse{"ACT158 a like", s.eve, s.does(s.eve, "Like", string(p.IRI)), nop},
		abuse{"ACT158 a reaction", s.eve, with(s.does(s.eve, "EmojiReact", string(p.IRI)), "content", "🍞"), nop},
		abuse{"ACT158 a boost", s.eve, s.does(s.eve, "Announce", string(p.IRI)), nop},
		abuse{"ACT158 an edit of an old letter", s.eve, s.does(s.eve, "Update", edited), nop},
		abuse{"ACT158 a vote", s.eve, s.votes(s.eve, p, "rye"), nop},
	)
	t.Run("ACT158 a follow", func(t *testing.T) {
		s.take(t, s.eve, s.does(s.eve, "Follow", string(s.baker.Actor.IRI)))
		s.net.Deliver()
		if _, err := s.rye.DB.FollowBetween(t.Context(), s.actor(t, s.eve.ID()).ID, s.baker.Actor.ID); err == nil {
			t.Error("she follows")
		}
	})
}

func TestACT159ABlockedServerByAllItsNames(t *testing.T) {
	s := newScene(t)
	for domain, want := range map[string]string{"EVIL.example.": "evil.example", "münchen.example": "xn--mnchen-3ya.example"} {
		r, err := s.rye.SetDomainRule(t.Context(), nil, domain, storage.RuleBlock, "spam")
		if err != nil || r.Domain != want {
			t.Fatalf("the rule for %s is %+v, %v", domain, r, err)
		}
	}
	before := len(s.net.Trips())
	sent := 0
	for i, host := range []string{"evil.example", "EVIL.example", "evil.example.", "EVIL.example.:443", "evil.example:443", "sub.evil.example", "a.b.evil.example", "Sub.Evil.Example.", "xn--mnchen-3ya.example", "MÜNCHEN.example", "x.münchen.example", "evil.example:8443"} {
		p := s.peer(host, "eve", i)
		sent++
		s.refuse(t, abuse{"ACT159 from " + host, p, s.says(p, "hello"), []int{403}})
	}
	for _, trip := range s.net.Trips()[before:] {
		if strings.HasPrefix(trip, "GET ") {
			t.Errorf("it asked for %s", trip)
		}
	}
	for _, host := range []string{"notevil.example", "evil.example.org", "evil-example.example"} {
		p := s.peer(host, "joe", 9)
		s.net.Serve(host, p)
		s.take(t, p, s.says(p, "hello"))
	}
}

func TestACT160NobodySpeaksForABlockedServer(t *testing.T) {
	net := aptest.New(t, "rye.example", "oak.example")
	rye, oak := net.Node("rye.example"), net.Node("oak.example")
	baker, ana := rye.Coop(rye.Person("nuria"), "baker"), oak.Person("ana")
	relay := newcomer(net, "far.example", "ann", 9)
	befriend(t, net, relay, baker.Actor)
	befriend(t, net, relay, ana.Actor) // so that the relay is sent what ana signs
	follows(t, net, rye, baker, "@ana@oak.example")
	oak.Say(ana, "first, and heard")
	net.Deliver()
	if home := rye.Home(baker); len(home) != 1 {
		t.Fatalf("the baker sees %d posts before the block", len(home))
	}
	if _, err := rye.SetDomainRule(t.Context(), nil, "oak.example", storage.RuleBlock, "spam"); err != nil {
		t.Fatal(err)
	}
	oak.Say(ana, "second, @baker@rye.example")
	for range 3 {
		net.Deliver()
		net.Sleep(time.Hour)
	}
	s := &scene{net: net, rye: rye, baker: baker}
	before := rye.State()
	passed := 0
	for _, raw := range relay.Received() {
		if !strings.Contains(string(raw), "second") {
			continue
		}
		passed++
		if got, body := post(t, net, relay.Request(ryeInbox, []byte(raw))); !slices.Contains(nop, got) {
			t.Errorf("%d %s", got, body)
		}
		var create dict
		if err := json.Unmarshal(raw, &create); err != nil {
			t.Fatal(err)
		}
		post(t, net, relay.Request(ryeInbox, s.does(relay, "Announce", create["object"].(dict)["id"])))
		post(t, net, relay.Request(ryeInbox, s.does(relay, "Announce", create)))
		with(create, "signature", dict{"type": "RsaSignature2017"})
		post(t, net, relay.Request(ryeInbox, create))
	}
	if passed == 0 {
		t.Fatal("the relay has nothing to pass on")
	}
	trips := len(net.Trips())
	net.Deliver()
	for _, trip := range net.Trips()[trips:] {
		if strings.Contains(trip, "oak.example") {
			t.Errorf("it asked the blocked server: %s", trip)
		}
	}
	rye.WantUnmoved(before)
}
