package activitypub_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"planet/activitypub"
	"planet/activitypub/aptest"
	"planet/storage"
	"planet/storage/storagetest"
)

// ACT: what activities may do to whom, and who reads what.

func TestNobodyChangesAnothersPost(t *testing.T) {
	s := newScene(t)
	ours := s.rye.Say(s.baker, "our own words")
	secret := publish(t, s.rye, s.baker, activitypub.Draft{Text: "for followers", Visibility: storage.Private})
	s.net.Deliver()
	theirs := s.says(s.ann, "for her followers", func(n dict) { n["to"], n["cc"] = []any{s.ann.ID() + "/followers"}, []any{} })
	s.take(t, s.ann, theirs)
	closed := theirs["object"].(dict)["id"].(string)
	wide := func(by *aptest.Peer, id string) dict {
		n := noteBy(by, id, "widened")
		n["updated"] = "2026-12-01T00:00:00Z"
		return n
	}
	forgedID := func(act dict, id string) dict { act["id"] = id; return act }
	s.refuse(t,
		abuse{"ACT118 ann edits bob's note", s.ann, s.does(s.ann, "Update", noteBy(s.bob, helloBy(s.bob), "forged")), refusals},
		abuse{"ACT118 ann edits bob's note as hers", s.ann, s.does(s.ann, "Update", noteBy(s.ann, helloBy(s.bob), "forged")), refusals},
		abuse{"ACT118 ann edits what both wrote, she says", s.ann, s.does(s.ann, "Update", with(noteBy(s.ann, helloBy(s.bob), "forged"), "attributedTo", []any{s.bob.ID(), s.ann.ID()})), refusals},
		abuse{"ACT119 eve edits ann's note under an id of ann's host", s.eve, forgedID(s.does(s.eve, "Update", noteBy(s.ann, helloBy(s.ann), "forged")), "https://far.example/users/ann/updates/1"), refusals},
		abuse{"ACT119 eve edits ann's note", s.eve, s.does(s.eve, "Update", noteBy(s.ann, helloBy(s.ann), "forged")), refusals},
		abuse{"ACT119 eve edits one of ours", s.eve, s.does(s.eve, "Update", noteBy(s.eve, string(ours.IRI), "forged")), refusals},
		abuse{"ACT120 bob shows ann's post to everybody", s.bob, s.does(s.bob, "Update", wide(s.bob, closed)), refusals},
		abuse{"ACT120 bob shows ann's post to everybody in her name", s.bob, s.does(s.bob, "Update", wide(s.ann, closed)), refusals},
		abuse{"ACT120 eve shows one of ours to everybody", s.eve, s.does(s.eve, "Update", wide(s.eve, string(secret.IRI))), refusals},
		abuse{"ACT124 ann deletes bob's note", s.ann, s.does(s.ann, "Delete", helloBy(s.bob)), refusals},
		abuse{"ACT124 ann deletes bob's note as a Tombstone", s.ann, s.does(s.ann, "Delete", dict{"id": helloBy(s.bob), "type": "Tombstone", "formerType": "Note"}), refusals},
		abuse{"ACT124 eve deletes ann's note", s.eve, s.does(s.eve, "Delete", helloBy(s.ann)), refusals},
		abuse{"ACT124 eve deletes ann's note under an id of ann's host", s.eve, forgedID(s.does(s.eve, "Delete", helloBy(s.ann)), helloBy(s.ann)+"#delete"), refusals},
		abuse{"ACT125 ann deletes bob", s.ann, s.does(s.ann, "Delete", s.bob.ID()), nop},
		abuse{"ACT125 eve deletes ann", s.eve, s.does(s.eve, "Delete", s.ann.ID()), refusals},
		abuse{"ACT125 eve deletes ann, embedded", s.eve, s.does(s.eve, "Delete", dict{"id": s.ann.ID(), "type": "Person"}), refusals},
		abuse{"ACT126 ann deletes one of our actors", s.ann, s.does(s.ann, "Delete", string(s.baker.Actor.IRI)), refusals},
		abuse{"ACT126 ann deletes one of our posts", s.ann, s.does(s.ann, "Delete", string(ours.IRI)), refusals},
		abuse{"ACT126 ann deletes our inbox", s.ann, s.does(s.ann, "Delete", ryeInbox), refusals},
	)
	t.Run("ACT120 ann herself does not show it to more by an edit", func(t *testing.T) {
		s.take(t, s.ann, s.does(s.ann, "Update", wide(s.ann, closed)))
		if p := s.post(t, closed); p.Visibility != storage.Private {
			t.Errorf("it is %s now", p.Visibility)
		}
	})
}

func with(o dict, key string, value any) dict { o[key] = value; return o }

func TestACT121ACT122Edits(t *testing.T) {
	s := newScene(t)
	edit := func(id, text, updated string) dict {
		return s.does(s.ann, "Update", with(with(noteBy(s.ann, id, text), "updated", updated), "published", "2026-11-24T08:00:00Z"))
	}
	s.take(t, s.ann, edit(helloBy(s.ann), "second", "2026-11-24T09:10:00Z"))
	if p := s.post(t, helloBy(s.ann)); p.Content != "second" {
		t.Fatalf("the edit was not taken: %q", p.Content)
	}
	s.refuse(t,
		abuse{"ACT121 an older edit", s.ann, edit(helloBy(s.ann), "first", "2026-11-24T09:05:00Z"), nop},
		abuse{"ACT121 an edit of the same time", s.ann, edit(helloBy(s.ann), "again", "2026-11-24T09:10:00Z"), nop},
		abuse{"ACT122 an edit of an old post that never came", s.ann,
			with(s.does(s.ann, "Update", with(with(noteBy(s.ann, s.ann.ID()+"/notes/old", "old news"), "updated", "2026-11-24T09:00:00Z"), "published", "2025-11-24T08:00:00Z")), "x", 1), nop},
		abuse{"ACT122 an edit of a post that concerns nobody here", s.eve, s.does(s.eve, "Update", noteBy(s.eve, s.eve.ID()+"/notes/new", "spam")), nop},
	)
}

func TestFollowsAreTheirOwnersAffair(t *testing.T) {
	s := newScene(t)
	me, annsFollow := string(s.baker.Actor.IRI), s.ann.ID()+"/activities/follow"
	ours := s.received(t, s.ann, "Follow")
	follow := func(id, actor, object string) dict {
		return dict{"id": id, "type": "Follow", "actor": actor, "object": object}
	}
	// nuria asked eve, who has not answered; and asked bob, who refused, and took it back.
	for _, handle := range []string{"@eve@evil.example", "@bob@far.example"} {
		if _, err := s.rye.Follow(t.Context(), s.nuria, handle); err != nil {
			t.Fatal(err)
		}
	}
	s.net.Deliver()
	asked, refused := s.received(t, s.eve, "Follow"), s.received(t, s.bob, "Follow")
	s.take(t, s.bob, s.does(s.bob, "Reject", refused))
	s.refuse(t,
		abuse{"ACT128 bob takes ann's follow back", s.bob, s.does(s.bob, "Undo", follow(annsFollow, s.ann.ID(), me)), refusals},
		abuse{"ACT128 bob takes ann's follow back as his", s.bob, s.does(s.bob, "Undo", follow(annsFollow, s.bob.ID(), me)), nop},
		abuse{"ACT128 bob takes ann's follow back by its id", s.bob, s.does(s.bob, "Undo", annsFollow), refusals},
		abuse{"ACT128 eve takes ann's follow back", s.eve, s.does(s.eve, "Undo", follow(annsFollow, s.ann.ID(), me)), refusals},
		abuse{"ACT128 ann takes back that we follow her", s.ann, s.does(s.ann, "Undo", ours), refusals},
		abuse{"ACT131 an Accept of a Follow of nobody", s.ann, s.does(s.ann, "Accept", dict{"type": "Follow"}), []int{400, 403}},
		abuse{"ACT131 an Accept of a Follow without an object", s.ann, s.does(s.ann, "Accept", dict{"type": "Follow", "actor": me}), []int{400, 403}},
		abuse{"ACT131 an Accept of a Follow without an actor", s.ann, s.does(s.ann, "Accept", dict{"type": "Follow", "object": s.ann.ID()}), []int{400, 403}},
		abuse{"ACT131 an Accept of a Follow with odd ends", s.ann, s.does(s.ann, "Accept", dict{"type": "Follow", "actor": 7, "object": []any{nil}}), []int{400, 403}},
		abuse{"ACT131 an Accept of nothing", s.ann, with(s.does(s.ann, "Accept", nil), "object", nil), nop},
		abuse{"ACT132 bob accepts for eve", s.bob, s.does(s.bob, "Accept", asked), refusals},
		abuse{"ACT132 bob accepts for eve by the id", s.bob, s.does(s.bob, "Accept", asked["id"]), refusals},
		abuse{"ACT132 ann accepts a follow of bob that she makes up", s.ann, s.does(s.ann, "Accept", follow("https://rye.example/activities/1", me, s.bob.ID())), nop},
		abuse{"ACT133 bob accepts a follow that was never sent", s.bob, s.does(s.bob, "Accept", follow("https://rye.example/activities/1", me, s.bob.ID())), nop},
		abuse{"ACT133 bob accepts what he refused before", s.bob, s.does(s.bob, "Accept", refused), nop},
		abuse{"ACT134 bob refuses for ann", s.bob, s.does(s.bob, "Reject", ours), refusals},
		abuse{"ACT134 bob refuses for ann, in her name", s.bob, s.does(s.bob, "Reject", follow(ours["id"].(string), me, s.bob.ID())), refusals},
		abuse{"ACT134 eve refuses for ann by the id", s.eve, s.does(s.eve, "Reject", ours["id"]), refusals},
		abuse{"ACT135 a follow of two", s.bob, s.does(s.bob, "Follow", []any{me, string(s.nuria.Actor.IRI)}), nop},
		abuse{"ACT135 a follow of himself", s.bob, s.does(s.bob, "Follow", s.bob.ID()), refusals},
		abuse{"ACT135 a follow signed by another", s.bob, with(s.does(s.bob, "Follow", me), "actor", s.eve.ID()), refusals},
		abuse{"ACT135 a follow of nobody", s.bob, s.does(s.bob, "Follow", "https://rye.example/users/nobody"), nop},
		abuse{"ACT135 a follow of somebody elsewhere", s.bob, s.does(s.bob, "Follow", s.eve.ID()), nop},
	)
	t.Run("ACT133 a follow that was taken back is not accepted any more", func(t *testing.T) {
		if err := s.rye.Unfollow(t.Context(), s.nuria, "@eve@evil.example"); err != nil {
			t.Fatal(err)
		}
		s.net.Deliver()
		s.refuse(t, abuse{"ACT133 taken back", s.eve, s.does(s.eve, "Accept", asked), nop})
		if _, err := s.rye.Follow(t.Context(), s.nuria, "@eve@evil.example"); err != nil {
			t.Fatal(err)
		}
		s.net.Deliver()
		s.refuse(t, abuse{"ACT133 the answer to the first asking, after the second", s.eve, s.does(s.eve, "Accept", asked), nop})
	})
	t.Run("ACT135 bob follows under the id of ann's follow", func(t *testing.T) {
		before := s.rye.State()
		got, _ := post(t, s.net, s.bob.Request(ryeInbox, follow(annsFollow, s.bob.ID(), me)))
		if got >= 500 {
			t.Errorf("answered %d: bob's server would send it again for days", got)
		}
		for _, change := range before.Changes(s.rye.State()) {
			if strings.HasPrefix(change, "- follows") {
				t.Errorf("it changed %s", change)
			}
		}
	})
}

func TestACT136ACT137NobodyFollowsBeforeTheAnswer(t *testing.T) {
	s := newScene(t)
	if _, err := s.rye.Follow(t.Context(), s.nuria, "@eve@evil.example"); err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
	closed := s.says(s.eve, "for her followers", func(n dict) { n["to"], n["cc"] = []any{s.eve.ID() + "/followers"}, []any{} })
	post(t, s.net, s.eve.Request(ryeInbox, closed))
	if f, err := s.rye.DB.FollowBetween(t.Context(), s.nuria.Actor.ID, s.actor(t, s.eve.ID()).ID); err != nil || f.State != storage.FollowPending {
		t.Errorf("the follow is %+v, %v; want it pending", f, err)
	}
	if n, err := s.rye.DB.CountFollowing(t.Context(), s.nuria.Actor.ID); err != nil || n != 0 {
		t.Errorf("nuria follows %d, %v; want nobody before the answer", n, err)
	}
	for _, by := range []activitypub.By{s.nuria, s.baker} {
		for _, p := range s.rye.Home(by) {
			if p.IRI == storage.IRI(closed["object"].(dict)["id"].(string)) {
				t.Errorf("ACT136: %s sees a post that is for eve's followers", by.Actor.Username)
			}
		}
	}
	s.take(t, s.eve, s.does(s.eve, "Accept", s.received(t, s.eve, "Follow")))
	after := s.says(s.eve, "now you may", func(n dict) { n["to"], n["cc"] = []any{s.eve.ID() + "/followers"}, []any{} })
	s.take(t, s.eve, after)
	if home := s.rye.Home(s.nuria); len(home) == 0 || home[0].Content != "now you may" {
		t.Errorf("nuria sees %+v after the answer", home)
	}
}

func TestNobodyEditsOurCollections(t *testing.T) {
	s := newScene(t)
	a := s.baker.Actor
	into := func(by *aptest.Peer, kind string, object any, target storage.IRI) dict {
		return with(s.does(by, kind, object), "target", target)
	}
	var cases []abuse
	for _, c := range []storage.IRI{a.Followers, a.Following, a.Featured, a.Outbox, a.Inbox} {
		cases = append(cases,
			abuse{"ACT138 eve adds herself to " + string(c), s.eve, into(s.eve, "Add", s.eve.ID(), c), nop},
			abuse{"ACT138 eve adds a post to " + string(c), s.eve, into(s.eve, "Add", noteBy(s.eve, helloBy(s.eve), "hello"), c), nop},
			abuse{"ACT139 eve removes ann from " + string(c), s.eve, into(s.eve, "Remove", s.ann.ID(), c), nop},
			abuse{"ACT139 ann removes herself from " + string(c), s.ann, into(s.ann, "Remove", s.ann.ID(), c), nop},
		)
	}
	s.refuse(t, cases...)
}

func TestACT150AReplyToAClosedPostDoesNotTellIt(t *testing.T) {
	s := newScene(t)
	closed := publish(t, s.rye, s.baker, activitypub.Draft{Text: "the secret recipe", Visibility: storage.Private})
	s.net.Deliver()
	s.take(t, s.ann, s.says(s.ann, "thank you", func(n dict) { n["inReplyTo"] = closed.IRI }))
	open := s.rye.Say(s.baker, "hello all")
	answer, err := s.rye.Publish(t.Context(), s.baker, activitypub.Draft{Text: "said aloud", InReplyTo: closed.IRI})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{string(answer.IRI), string(answer.IRI) + "/activity", string(answer.IRI) + "/replies", string(answer.IRI) + "/context", answer.Conversation,
		string(open.IRI) + "/replies", string(closed.IRI) + "/replies", string(closed.IRI) + "/context", closed.Conversation, string(s.baker.Actor.Outbox) + "?page=true"} {
		if !strings.HasPrefix(address, "https://rye.example/") {
			continue
		}
		for name, change := range map[string]func(*http.Request){"unsigned": func(*http.Request) {}, "signed by eve": signedBy(s.eve)} {
			if got := ask(t, s.net, address, change); strings.Contains(got.body, "recipe") || got.status >= 500 {
				t.Errorf("%s, %s: %d %s", address, name, got.status, got.body)
			}
		}
	}
}

func TestACT153TheOutboxShowsWhatIsForAll(t *testing.T) {
	s := newScene(t)
	for visibility, text := range map[string]string{storage.Public: "open bread", storage.Unlisted: "quiet bread", storage.Private: "secret for followers", storage.Direct: "secret for @ann@far.example"} {
		publish(t, s.rye, s.baker, activitypub.Draft{Text: text, Visibility: visibility})
	}
	for name, change := range map[string]func(*http.Request){"unsigned": func(*http.Request) {}, "signed by a follower": signedBy(s.ann), "signed by a stranger": signedBy(s.eve)} {
		whole := ask(t, s.net, string(s.baker.Actor.Outbox), change)
		page := ask(t, s.net, string(s.baker.Actor.Outbox)+"?page=true", change)
		if whole.status != 200 || page.status != 200 || !strings.Contains(page.body, "open bread") || !strings.Contains(page.body, "quiet bread") {
			t.Errorf("%s: %d, %d %s", name, whole.status, page.status, page.body)
		}
		if strings.Contains(whole.body+page.body, "secret") || !strings.Contains(whole.body, `"totalItems":2`) {
			t.Errorf("%s: the outbox tells %s %s", name, whole.body, page.body)
		}
	}
}

func TestACT156NobodyReadsABlindCopy(t *testing.T) {
	s := newScene(t)
	direct := publish(t, s.rye, s.baker, activitypub.Draft{Text: "to @ann@far.example", Visibility: storage.Direct})
	s.rye.Say(s.baker, "to all")
	s.net.Deliver()
	blind := s.says(s.ann, "psst", func(n dict) { n["bto"], n["bcc"] = []any{s.eve.ID()}, []any{s.bob.ID()} })
	blind["bto"], blind["bcc"] = []any{s.eve.ID()}, []any{s.bob.ID()}
	s.take(t, s.ann, blind)
	reply, err := s.rye.Publish(t.Context(), s.baker, activitypub.Draft{Text: "psst yourself", InReplyTo: storage.IRI(blind["object"].(dict)["id"].(string))})
	if err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
	var texts []string
	for _, p := range []*aptest.Peer{s.ann, s.bob, s.eve} {
		for _, raw := range p.Received() {
			texts = append(texts, string(raw))
		}
	}
	for _, address := range []string{string(direct.IRI), string(reply.IRI), string(reply.IRI) + "/activity", string(s.baker.Actor.Outbox) + "?page=true"} {
		texts = append(texts, ask(t, s.net, address, signedBy(s.ann)).body)
	}
	for _, text := range texts {
		if strings.Contains(text, `"bto"`) || strings.Contains(text, `"bcc"`) {
			t.Errorf("a blind copy in %s", text)
		}
	}
	if len(s.bob.Received()) != 0 {
		t.Errorf("bob, of whom nobody should know, was sent %s", s.bob.Received())
	}
}

func TestACT157ADirectPostIsNotForTheReadersNeighbours(t *testing.T) {
	s := newScene(t)
	direct := publish(t, s.rye, s.baker, activitypub.Draft{Text: "the recipe, for @ann@far.example", Visibility: storage.Direct})
	s.net.Deliver()
	create := s.received(t, s.ann, "Create")["id"].(string)
	s.net.Sleep(time.Minute)
	if _, err := s.rye.Edit(t.Context(), s.baker, direct.ID, activitypub.Draft{Text: "the recipe, mended, for @ann@far.example"}); err != nil {
		t.Fatal(err)
	}
	s.net.Deliver()
	edit := s.received(t, s.ann, "Update")["id"].(string)
	for _, c := range []struct {
		who  *aptest.Peer
		want int
	}{{s.ann, 200}, {s.bob, 404}, {s.eve, 404}} {
		for _, address := range []string{string(direct.IRI), string(direct.IRI) + "/activity", create, edit} {
			if got := ask(t, s.net, address, signedBy(c.who)); got.status != c.want || c.want != 200 && strings.Contains(got.body, "recipe") {
				t.Errorf("%s asks for %s: %d %s, want %d", c.who.Name, address, got.status, got.body, c.want)
			}
		}
	}
}

func TestACT161ASharedInboxIsNoDump(t *testing.T) {
	s := newScene(t)
	for i := range 3 {
		act := s.says(s.eve, fmt.Sprintf("buy %d", i), func(n dict) { n["cc"] = []any{"https://far.example/users/bob"} })
		s.refuse(t, abuse{"ACT161 spam for nobody", s.eve, act, []int{202}})
		if n, err := s.rye.DB.CountActivities(t.Context(), storage.IRI(act["id"].(string)), storage.IRI(s.eve.ID())); err != nil || n != 0 {
			t.Errorf("it was kept %d times, %v", n, err)
		}
	}
}

func TestTypesAndIDsThatAreNone(t *testing.T) {
	s := newScene(t)
	me := string(s.baker.Actor.IRI)
	typed := func(kind any) dict { return with(s.says(s.ann, "x"), "type", kind) }
	named := func(id any) dict { return with(s.says(s.ann, "x"), "id", id) }
	without := s.does(s.ann, "Follow", me)
	delete(without, "id")
	anonymous := s.says(s.ann, "x")
	delete(anonymous["object"].(dict), "id")
	s.refuse(t,
		abuse{"ACT162 two types", s.ann, typed([]any{"Create", "Delete"}), []int{400}},
		abuse{"ACT162 the same type twice", s.ann, typed([]any{"Create", "Create"}), []int{400}},
		abuse{"ACT162 in lower case", s.ann, typed("create"), nop},
		abuse{"ACT162 a number", s.ann, typed(7), []int{400}},
		abuse{"ACT162 null", s.ann, typed(nil), []int{400}},
		abuse{"ACT162 an object", s.ann, typed(dict{"type": "Create"}), []int{400}},
		abuse{"ACT162 an object that is of no type", s.ann, s.says(s.ann, "x", func(n dict) { delete(n, "type") }), nop},
		abuse{"ACT162 an object that is an actor", s.ann, s.says(s.ann, "x", func(n dict) { n["type"] = "Person" }), nop},
		abuse{"ACT162 an Update of a note that is a person, and bob's", s.ann, s.does(s.ann, "Update", with(noteBy(s.bob, s.bob.ID(), "x"), "type", []any{"Note", "Person"})), nop},
		abuse{"ACT163 no id", s.ann, without, []int{400}},
		abuse{"ACT163 an empty id", s.ann, named(""), []int{400}},
		abuse{"ACT163 an object as id", s.ann, named(dict{}), []int{400}},
		abuse{"ACT163 a list as id", s.ann, named([]any{}), []int{400}},
		abuse{"ACT163 a number as id", s.ann, named(7), []int{400}},
		abuse{"ACT163 null as id", s.ann, named(nil), []int{400}},
		abuse{"ACT163 a post without an id", s.ann, anonymous, refusals},
		abuse{"ACT163 a post with a number as id", s.ann, s.says(s.ann, "x", func(n dict) { n["id"] = 7 }), refusals},
	)
	t.Run("ACT162 a note that is a person too is one of both", func(t *testing.T) {
		before := s.rye.State()
		act := s.says(s.ann, "x", func(n dict) { n["type"] = []any{"Note", "Person"} })
		got, _ := post(t, s.net, s.ann.Request(ryeInbox, act))
		for _, change := range before.Changes(s.rye.State()) {
			if strings.Contains(change, "actors") || strings.Contains(change, "keys") {
				t.Errorf("answered %d, and it changed %s", got, change)
			}
		}
	})
}

func TestACT165TheFirstWithAnIDCounts(t *testing.T) {
	s := newScene(t)
	first := s.says(s.ann, "the first")
	s.take(t, s.ann, first)
	other := s.says(s.ann, "another post")
	other["id"] = first["id"]
	same := with(s.does(s.ann, "Create", with(with(noteBy(s.ann, first["object"].(dict)["id"].(string), "the same post, other words"), "cc", []any{s.baker.Actor.IRI}), "x", 1)), "id", first["id"])
	s.refuse(t,
		abuse{"ACT165 another post under the same id", s.ann, other, nop},
		abuse{"ACT165 other words under the same ids", s.ann, same, nop},
		abuse{"ACT165 a follow under the id of a post", s.ann, with(s.does(s.ann, "Follow", string(s.nuria.Actor.IRI)), "id", first["id"]), nop},
	)
	if got := s.rye.Counts()["repeated"]; got < 3 {
		t.Errorf("%d repetitions were counted, want 3", got)
	}
	t.Run("ACT165 another of the host does not take the id of what is to come", func(t *testing.T) {
		coming := s.says(s.ann, "on its way")
		s.take(t, s.bob, with(s.says(s.bob, "squatter"), "id", coming["id"]))
		s.take(t, s.ann, coming)
		s.post(t, coming["object"].(dict)["id"].(string))
	})
}

func TestACT166TimesThatCannotBe(t *testing.T) {
	s := newScene(t)
	var ids []string
	for i, published := range []string{"1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "-0001-01-01T00:00:00Z", "+99999-01-01T00:00:00Z", "yesterday", "2026-11-24T25:00:00Z", "2026-11-24T08:59:00Z"} {
		act := s.says(s.ann, fmt.Sprint("post ", i), func(n dict) { n["published"] = published })
		s.take(t, s.ann, act)
		ids = append(ids, act["object"].(dict)["id"].(string))
		p := s.post(t, ids[i])
		if want := s.net.Now(); p.PublishedAt.After(want) || p.PublishedAt.Before(want.Add(-24*time.Hour)) {
			t.Errorf("published %s counts as %s", published, p.PublishedAt)
		}
	}
	home := s.rye.Home(s.baker)
	for i, id := range ids { // newest first, by when they came
		if got := home[len(ids)-1-i]; got.IRI != storage.IRI(id) {
			t.Errorf("at %d stands %s, want %s", len(ids)-1-i, got.IRI, id)
		}
	}
}

func TestACT170AFailureIsMadeGoodByTheNextTry(t *testing.T) {
	s := newScene(t)
	for table, act := range map[string]dict{
		"posts": s.says(s.ann, "hello again"), "notifications": s.says(s.ann, "and again"), "follows": s.does(s.bob, "Follow", s.baker.Actor.IRI), "deliveries": s.does(s.bob, "Follow", s.nuria.Actor.IRI),
	} {
		t.Run("ACT170 writing "+table+" fails", func(t *testing.T) {
			by := s.ann
			if act["actor"] == s.bob.ID() {
				by = s.bob
			}
			s.net.Forgive("no room")
			storagetest.Exec(t, s.rye.DB, "CREATE TRIGGER broken BEFORE INSERT ON "+table+" BEGIN SELECT RAISE(ABORT, 'no room'); END")
			before := s.rye.State()
			got, body := post(t, s.net, by.Request(ryeInbox, act))
			if got != http.StatusServiceUnavailable {
				t.Errorf("%d %s, want 503", got, body)
			}
			s.rye.WantUnmoved(before)
			storagetest.Exec(t, s.rye.DB, "DROP TRIGGER broken")
			s.take(t, by, act)
			if len(before.Changes(s.rye.State())) == 0 {
				t.Error("the second try did nothing")
			}
		})
	}
}
