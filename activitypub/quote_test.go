package activitypub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"planet/activitypub/aptest"
	"planet/storage"
)

// quotation is ann of far.example, whom the baker can hear, and tom of third.example, whom she quotes. Its documents are tom's: what is
// missing is a 404, what is "" a 503.
type quotation struct {
	net       *aptest.Network
	rye       *aptest.Node
	ann, tom  *aptest.Peer
	documents map[string]string
	baker     string
}

const tomsHost = "https://third.example"

func quoting(t *testing.T) *quotation {
	t.Helper()
	net, rye, baker, ann := stage(t)
	q := &quotation{net: net, rye: rye, ann: ann, tom: aptest.NewPeer(tomsHost, "tom", 12, false), documents: map[string]string{}, baker: string(baker.Actor.IRI)}
	q.tom.Now = net.Now
	eve := aptest.NewPeer(tomsHost, "eve", 13, false)
	served := feed(town{q.tom, eve}, q.documents)
	net.Serve("third.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if doc, ok := q.documents[r.URL.Path]; ok && doc == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		served.ServeHTTP(w, r)
	}))
	q.documents["/users/tom/notes/1"] = fmt.Sprintf(noteForAll, q.quoted(), "Note", q.tom.ID(), "what tom said")
	q.documents["/users/tom/stamps/1"] = q.stamp("n", nil)
	return q
}

func (q *quotation) quoted() string         { return q.tom.ID() + "/notes/1" }
func (q *quotation) quote(id string) string { return q.ann.ID() + "/notes/" + id }
func (q *quotation) stampID() string        { return q.tom.ID() + "/stamps/1" }
func (q *quotation) allowed(t *testing.T, id string) bool {
	t.Helper()
	return copyOf(t, q.rye, storage.IRI(q.quote(id))).QuoteAllowed
}

// stamp is the document that lets ann's note quote tom's, with some of it changed.
func (q *quotation) stamp(id string, change map[string]any) string {
	m := map[string]any{"@context": "https://www.w3.org/ns/activitystreams", "id": q.stampID(), "type": "QuoteAuthorization", "attributedTo": q.tom.ID(),
		"interactingObject": q.quote(id), "interactionTarget": q.quoted()}
	for k, v := range change {
		m[k] = v
	}
	raw, _ := json.Marshal(m)
	return string(raw)
}

// say sends ann's note that quotes tom's to the baker, and lets everything come to rest.
func (q *quotation) say(t *testing.T, kind, id, stamp string, change map[string]any) {
	t.Helper()
	act := q.ann.Note(id, "look at this", q.baker)
	act["type"], act["id"] = kind, fmt.Sprintf("%s/activities/%s-%d", q.ann.ID(), id, len(q.net.Trips()))
	note := act["object"].(map[string]any)
	note["quote"] = q.quoted()
	if stamp != "" {
		note["quoteAuthorization"] = stamp
	}
	for k, v := range change {
		note[k] = v
	}
	q.send(t, q.ann, act)
}

func (q *quotation) send(t *testing.T, by *aptest.Peer, act any) {
	t.Helper()
	if got, body := post(t, q.net, by.Request(ryeInbox, act)); got != 202 {
		t.Fatalf("%d %s", got, body)
	}
	q.net.Deliver()
}

func TestAQuoteCountsWhenTheQuotedAuthorsServerSaysSo(t *testing.T) {
	for _, c := range []struct {
		name    string
		set     func(q *quotation)
		stamp   string
		note    map[string]any
		allowed bool
	}{
		{name: "her stamp is there", allowed: true},
		{name: "the stamp is of another type", set: func(q *quotation) {
			q.documents["/users/tom/stamps/1"] = q.stamp("n", map[string]any{"type": "LikeAuthorization"})
		}},
		{name: "the stamp is for another quote", set: func(q *quotation) { q.documents["/users/tom/stamps/1"] = q.stamp("other", nil) }},
		{name: "the stamp is about another post", set: func(q *quotation) {
			q.documents["/users/tom/stamps/1"] = q.stamp("n", map[string]any{"interactionTarget": tomsHost + "/users/tom/notes/2"})
		}},
		{name: "the stamp is by another of the same server", set: func(q *quotation) {
			q.documents["/users/tom/stamps/1"] = q.stamp("n", map[string]any{"attributedTo": tomsHost + "/users/eve"})
		}},
		{name: "the stamp is by the one who quotes", set: func(q *quotation) {
			q.documents["/users/tom/stamps/1"] = q.stamp("n", map[string]any{"attributedTo": q.ann.ID()})
		}},
		{name: "the stamp is by nobody", set: func(q *quotation) {
			q.documents["/users/tom/stamps/1"] = q.stamp("n", map[string]any{"attributedTo": nil})
		}},
		{name: "the stamp says that it is another document", set: func(q *quotation) {
			q.documents["/users/tom/stamps/1"] = q.stamp("n", map[string]any{"id": "https://far.example/users/ann/stamps/1"})
		}},
		{name: "the stamp is not there", set: func(q *quotation) { delete(q.documents, "/users/tom/stamps/1") }},
		{name: "the stamp is at the host of the one who quotes", stamp: "https://far.example/users/ann/stamps/1", set: func(q *quotation) {
			q.net.Serve("far.example", feed(q.ann, map[string]string{"/users/ann/stamps/1": q.stamp("n", map[string]any{"id": "https://far.example/users/ann/stamps/1"})}))
		}},
		{name: "there is no stamp", stamp: "none"},
		{name: "the quoted post is not for everyone", set: func(q *quotation) {
			q.documents["/users/tom/notes/1"] = strings.Replace(q.documents["/users/tom/notes/1"], "https://www.w3.org/ns/activitystreams#Public", q.tom.ID()+"/followers", 1)
		}},
		{name: "the quoted post is gone", set: func(q *quotation) { delete(q.documents, "/users/tom/notes/1") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := quoting(t)
			if c.set != nil {
				c.set(q)
			}
			stamp := q.stampID()
			if c.stamp == "none" {
				stamp = ""
			} else if c.stamp != "" {
				stamp = c.stamp
			}
			q.say(t, "Create", "n", stamp, c.note)
			want(t, "the quote counts", q.allowed(t, "n"), c.allowed)
			due, err := q.rye.DB.JobDue(t.Context())
			must(t, err)
			want(t, "something is left to do", due, false)
		})
	}
}

func TestWhoQuotesHerselfNeedsNoLeave(t *testing.T) {
	q := quoting(t)
	q.say(t, "Create", "first", "", map[string]any{"quote": nil})
	q.say(t, "Create", "n", "", map[string]any{"quote": q.quote("first")})
	want(t, "her own words", q.allowed(t, "n"), true)
	q.say(t, "Create", "m", "", nil)
	want(t, "those of another", q.allowed(t, "m"), false)
}

// What is quoted is fetched, and what that quotes is not: nobody makes us fetch a chain.
func TestAQuoteOfAQuoteIsNotFollowed(t *testing.T) {
	q := quoting(t)
	q.documents["/users/tom/notes/1"] = strings.Replace(q.documents["/users/tom/notes/1"], `"content"`, `"quote":"`+tomsHost+`/users/tom/notes/2","content"`, 1)
	q.say(t, "Create", "n", q.stampID(), nil)
	want(t, "the quote counts", q.allowed(t, "n"), true)
	for _, trip := range q.net.Trips() {
		if strings.HasSuffix(trip, "/notes/2") {
			t.Error("it asked for what the quoted post quotes")
		}
	}
}

func TestAStampIsAskedForAgainWhileItsServerIsAway(t *testing.T) {
	q := quoting(t)
	q.documents["/users/tom/stamps/1"] = ""
	q.say(t, "Create", "n", q.stampID(), nil)
	want(t, "while it is away", q.allowed(t, "n"), false)
	q.documents["/users/tom/stamps/1"] = q.stamp("n", nil)
	q.net.Sleep(time.Hour)
	q.net.Deliver()
	want(t, "when it is back", q.allowed(t, "n"), true)
	q.documents["/users/tom/stamps/1"] = ""
	q.say(t, "Update", "n", q.stampID(), map[string]any{"content": "look at that"})
	want(t, "asked again while it is away", q.allowed(t, "n"), true)
}

// Mastodon tells of a stamp that was given later by an Update of a post that is otherwise the same.
func TestAStampThatIsGivenLaterIsNoEdit(t *testing.T) {
	q := quoting(t)
	q.say(t, "Create", "n", "", nil)
	want(t, "before", q.allowed(t, "n"), false)
	q.say(t, "Update", "n", q.stampID(), nil)
	want(t, "after", q.allowed(t, "n"), true)
	want(t, "an edit", copyOf(t, q.rye, storage.IRI(q.quote("n"))).EditedAt == nil, true)

	q.say(t, "Update", "n", q.stampID(), map[string]any{"quote": tomsHost + "/users/tom/notes/2"})
	want(t, "another post under the same stamp", q.allowed(t, "n"), false)
}

func TestAStampIsRevoked(t *testing.T) {
	remove := func(q *quotation, by *aptest.Peer, id string) map[string]any {
		return by.Activity("Delete", id, map[string]any{"id": q.stampID(), "type": "Tombstone"})
	}
	t.Run("by its author", func(t *testing.T) {
		q := quoting(t)
		q.say(t, "Create", "n", q.stampID(), nil)
		q.send(t, q.tom, remove(q, q.tom, "d"))
		want(t, "the quote counts", q.allowed(t, "n"), false)
	})
	t.Run("not by another of his server", func(t *testing.T) {
		q := quoting(t)
		q.say(t, "Create", "n", q.stampID(), nil)
		eve := aptest.NewPeer(tomsHost, "eve", 13, false)
		eve.Now = q.net.Now
		q.send(t, eve, remove(q, eve, "d"))
		want(t, "the quote counts", q.allowed(t, "n"), true)
	})
	t.Run("before the quote arrives, though the document is still there", func(t *testing.T) {
		q := quoting(t)
		q.send(t, q.tom, remove(q, q.tom, "d"))
		q.say(t, "Create", "n", q.stampID(), nil)
		want(t, "the quote counts", q.allowed(t, "n"), false)
	})
	t.Run("as whoever quotes passes on", func(t *testing.T) {
		q := quoting(t)
		q.say(t, "Create", "n", q.stampID(), nil)
		passed := remove(q, q.tom, "d")
		passed["signature"] = map[string]any{"type": "RsaSignature2017"}
		q.send(t, q.ann, passed)
		want(t, "a quote whose stamp is there", q.allowed(t, "n"), true)
		delete(q.documents, "/users/tom/stamps/1")
		passed["id"] = q.tom.ID() + "/activities/e"
		q.send(t, q.ann, passed)
		want(t, "and when it is not", q.allowed(t, "n"), false)
	})
	t.Run("in silence, seen at the next edit", func(t *testing.T) {
		q := quoting(t)
		q.say(t, "Create", "n", q.stampID(), nil)
		delete(q.documents, "/users/tom/stamps/1")
		q.say(t, "Update", "n", q.stampID(), map[string]any{"content": "look at that"})
		want(t, "the quote counts", q.allowed(t, "n"), false)
	})
}

// A post of ours is quoted elsewhere: the stamp is our own, and nothing is asked of anybody.
func TestAQuoteOfOursCountsByOurOwnStamp(t *testing.T) {
	net, rye, baker, peer := stage(t)
	p, other := rye.Say(baker, "quote me"), rye.Say(baker, "and me")
	act := peer.Activity("QuoteRequest", "ask", p.IRI)
	act["instrument"] = peer.ID() + "/notes/n"
	post(t, net, peer.Request(ryeInbox, act))
	net.Deliver()
	stamp := lastOf(t, peer, "Accept")["result"].(string)
	say := func(id string, quoted *storage.Post, stamp string, edit ...string) bool {
		act := peer.Note(id, "look"+fmt.Sprint(edit), string(baker.Actor.IRI))
		if len(edit) > 0 {
			act["type"], act["id"] = "Update", fmt.Sprint(act["id"], edit)
		}
		act["object"].(map[string]any)["quote"], act["object"].(map[string]any)["quoteAuthorization"] = quoted.IRI, stamp
		if got, body := post(t, net, peer.Request(ryeInbox, act)); got != 202 {
			t.Fatalf("%d %s", got, body)
		}
		net.Deliver()
		return copyOf(t, rye, storage.IRI(peer.ID()+"/notes/"+id)).QuoteAllowed
	}
	trips := len(net.Trips())
	want(t, "with the stamp", say("n", p, stamp), true)
	want(t, "another quote with it", say("m", p, stamp), false)
	want(t, "of another post with it", say("o", other, stamp), false)
	want(t, "with one that was never given", say("q", p, string(baker.Actor.IRI)+"/stamps/1"), false)
	want(t, "what was asked for that", len(net.Trips())-trips, 4) // the four notes themselves
	id, err := storage.ParseID(stamp[strings.LastIndex(stamp, "/")+1:])
	must(t, err)
	must(t, rye.RevokeQuote(t.Context(), baker, id))
	want(t, "after it is revoked", copyOf(t, rye, storage.IRI(peer.ID()+"/notes/n")).QuoteAllowed, false)
	want(t, "and when the quote is edited", say("n", p, stamp, "once"), false)
	act = peer.Activity("QuoteRequest", "ask2", other.IRI)
	act["instrument"] = peer.ID() + "/notes/o"
	post(t, net, peer.Request(ryeInbox, act))
	net.Deliver()
	stamp = lastOf(t, peer, "Accept")["result"].(string)
	want(t, "with a stamp for it", say("o", other, stamp, "twice"), true)
	want(t, "turned to another post", say("o", p, stamp, "thrice"), false)
}
