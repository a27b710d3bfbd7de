package activitypub_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"planet/activitypub"
	"planet/storage"
)

func TestAPollIsAskedAnsweredAndClosed(t *testing.T) {
	net, rye, oak, baker, ana := neighbours(t)
	nuria, err := rye.Resolve(t.Context(), "nuria")
	must(t, err)
	p, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "Which bread?", Poll: &activitypub.PollDraft{Options: []string{"rye", "wheat"}, Lasts: time.Hour}})
	must(t, err)
	net.Deliver()
	there := copyOf(t, oak, p.IRI)
	want(t, "type", there.Type, storage.Question)
	numbers := func() [2]string {
		var out [2]string
		for i, at := range []struct {
			db *storage.DB
			id storage.ID
		}{{rye.DB, p.ID}, {oak.DB, there.ID}} {
			q, err := at.db.PollOf(t.Context(), at.id)
			must(t, err)
			s := fmt.Sprint(q.Voters)
			for _, o := range q.Options {
				s += fmt.Sprintf(" %s:%d", o.Name, o.Votes)
			}
			out[i] = s
		}
		return out
	}
	want(t, "before", numbers(), [2]string{"0 rye:0 wheat:0", "0 rye:0 wheat:0"})
	for _, c := range []struct {
		choices []int
		want    int
	}{{nil, 422}, {[]int{0, 1}, 422}, {[]int{2}, 422}, {[]int{1}, 0}, {[]int{1}, 422}, {[]int{0}, 422}} {
		_, err := oak.Vote(t.Context(), ana, there.ID, c.choices)
		want(t, fmt.Sprint("ana votes ", c.choices), status(err), c.want)
	}
	net.Deliver()
	want(t, "everywhere, at once", numbers(), [2]string{"1 rye:0 wheat:1", "1 rye:0 wheat:1"})
	_, err = rye.Vote(t.Context(), activitypub.By{Actor: nuria}, p.ID, []int{0})
	must(t, err)
	_, err = rye.Vote(t.Context(), baker, p.ID, []int{0})
	want(t, "the baker in her own poll", status(err), 422)
	net.Deliver()
	want(t, "where the poll is, and elsewhere not yet", numbers(), [2]string{"2 rye:1 wheat:1", "1 rye:0 wheat:1"})
	net.Sleep(2 * time.Minute)
	net.Deliver()
	want(t, "everywhere, a minute later", numbers(), [2]string{"2 rye:1 wheat:1", "2 rye:1 wheat:1"})
	want(t, "no edit of it", copyOf(t, oak, p.IRI).EditedAt == nil, true)
	net.Sleep(time.Hour)
	net.Deliver()
	q, err := oak.DB.PollOf(t.Context(), there.ID)
	must(t, err)
	want(t, "closed everywhere", q.ClosedAt != nil, true)
	want(t, "nuria was told", fmt.Sprint(told(t, rye, activitypub.By{Actor: nuria})), "[poll]")
	want(t, "the baker was told", slices.Contains(told(t, rye, baker), "poll"), true)
	bo := oak.Person("bo")
	_, err = oak.Vote(t.Context(), bo, there.ID, []int{0})
	want(t, "a vote afterwards", status(err), 422)
}

func TestACT148VotesFromElsewhere(t *testing.T) {
	net, rye, baker, peer := stage(t)
	p, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "Which?", Poll: &activitypub.PollDraft{Options: []string{"a", "b", "c"}, Lasts: time.Hour}})
	must(t, err)
	many, err := rye.Publish(t.Context(), baker, activitypub.Draft{Text: "Which ones?", Poll: &activitypub.PollDraft{Options: []string{"a", "b", "c"}, Multiple: true, Lasts: time.Hour}})
	must(t, err)
	votes := 0
	vote := func(on *storage.Post, names ...string) {
		t.Helper()
		var notes []any
		for _, name := range names {
			votes++
			notes = append(notes, map[string]any{"id": fmt.Sprint(peer.ID(), "#votes/", votes), "type": "Note", "name": name, "inReplyTo": on.IRI, "attributedTo": peer.ID(), "to": baker.Actor.IRI})
		}
		var object any = notes
		if len(notes) == 1 {
			object = notes[0]
		}
		if got, body := post(t, net, peer.Request(ryeInbox, peer.Activity("Create", fmt.Sprint("v", votes), object))); got != 202 {
			t.Errorf("%v: %d %s", names, got, body)
		}
	}
	vote(p, "d")
	vote(p, "b")
	vote(p, "b")
	vote(p, "a")
	vote(many, "a", "c") // GoToSocial's array
	vote(many, "a", "b")
	net.Sleep(2 * time.Hour)
	vote(many, "b")
	result := func(p *storage.Post) string {
		q, err := rye.DB.PollOf(t.Context(), p.ID)
		must(t, err)
		s := fmt.Sprint(q.Voters)
		for _, o := range q.Options {
			s += fmt.Sprint(" ", o.Votes)
		}
		return s
	}
	want(t, "one answer", result(p), "1 0 1 0")
	want(t, "several answers", result(many), "1 1 1 1")
	want(t, "votes are no posts", len(rye.Home(baker)), 2)
	want(t, "nor news", len(told(t, rye, baker)), 0)
}

func TestAPollOfAnotherServerAndItsNumbers(t *testing.T) {
	net, rye, baker, peer := stage(t)
	_, err := rye.Follow(t.Context(), baker, "@ann@far.example")
	must(t, err)
	act := peer.Note("q", "Which?")
	q := act["object"].(map[string]any)
	option := func(name string, n int) any {
		return map[string]any{"type": "Note", "name": name, "replies": map[string]any{"type": "Collection", "totalItems": n}}
	}
	q["type"], q["oneOf"], q["votersCount"], q["endTime"] = "Question", []any{option("<b>yes</b>", 0), option("no", 0)}, 0, net.Now().Add(time.Hour).Format(time.RFC3339)
	if got, body := post(t, net, peer.Request(ryeInbox, act)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	p := copyOf(t, rye, storage.IRI(q["id"].(string)))
	_, err = rye.Vote(t.Context(), baker, p.ID, []int{0})
	must(t, err)
	net.Deliver()
	vote := lastOf(t, peer, "Create")["object"].(map[string]any)
	want(t, "the vote's name, to the letter", vote["name"], any("<b>yes</b>"))
	want(t, "the vote has no words", vote["content"], nil)
	for i, u := range []struct {
		yes, no int
		updated bool
		other   string
	}{{1, 0, false, ""}, {3, 2, false, ""}, {9, 9, false, "maybe"}} {
		q["oneOf"], q["votersCount"] = []any{option("<b>yes</b>", u.yes), option("no"+u.other, u.no)}, u.yes+u.no
		if got, body := post(t, net, peer.Request(ryeInbox, peer.Activity("Update", fmt.Sprint("u", i), q))); got != 202 {
			t.Fatalf("%d %s", got, body)
		}
	}
	got, err := rye.DB.PollOf(t.Context(), p.ID)
	must(t, err)
	want(t, "the numbers", fmt.Sprint(got.Voters, got.Options), "5 [{<b>yes</b> 3} {no 2}]")
	want(t, "edited", copyOf(t, rye, p.IRI).EditedAt == nil, true)

	// Other answers are an edit when it says so; its version before keeps those from before.
	q["updated"], q["oneOf"], q["votersCount"] = net.Now().Add(time.Minute).Format(time.RFC3339), []any{option("oats", 0), option("barley", 0)}, 0
	if got, body := post(t, net, peer.Request(ryeInbox, peer.Activity("Update", "u9", q))); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	got, err = rye.DB.PollOf(t.Context(), p.ID)
	must(t, err)
	want(t, "the new answers", fmt.Sprint(got.Voters, got.Options), "0 [{oats 0} {barley 0}]")
	vs, err := rye.DB.Versions(t.Context(), p.ID)
	must(t, err)
	want(t, "versions", len(vs), 1)
	want(t, "the answers before", fmt.Sprint(vs[0].Answers), "[<b>yes</b> no]")
}
