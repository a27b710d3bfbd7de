package activitypub_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"planet/activitypub/aptest"
	"planet/storage"
)

// pinning is ann of far.example with a collection of pinned posts; the note n/<name> of hers is there when its name is among notes.
func pinning(t *testing.T, collection string, notes ...string) (*aptest.Network, *aptest.Node, *aptest.Peer, map[string]string) {
	t.Helper()
	net, rye, _, ann := stage(t)
	ann.Extra = map[string]any{"featured": ann.ID() + "/featured"}
	documents := map[string]string{"/users/ann/featured": `{"@context":"https://www.w3.org/ns/activitystreams","id":"` + ann.ID() + `/featured","type":"OrderedCollection",` + collection + `}`}
	for _, n := range notes {
		documents["/n/"+n] = fmt.Sprintf(noteForAll, "https://far.example/n/"+n, "Note", ann.ID(), n)
	}
	served := feed(ann, documents)
	net.Serve("far.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if doc, ok := documents[r.URL.Path]; ok && (doc == "" || r.Header.Get("Signature") == "") {
			w.WriteHeader(map[bool]int{true: 503, false: 401}[doc == ""])
			return
		}
		served.ServeHTTP(w, r)
	}))
	return net, rye, ann, documents
}

// pins are the words of what is pinned on a profile, the first on top.
func pins(t *testing.T, rye *aptest.Node, ann *aptest.Peer) string {
	t.Helper()
	ps, err := rye.DB.Pinned(t.Context(), actorByIRI(t, rye, ann.ID()).ID, []string{storage.Public})
	must(t, err)
	var out []string
	for _, p := range ps {
		out = append(out, strings.TrimSuffix(strings.TrimPrefix(p.Content, "<p>"), "</p>"))
	}
	return strings.Join(out, " ")
}

func TestWhatSomebodyElsewhereHasPinnedIsRead(t *testing.T) {
	a, b := `"https://far.example/n/a"`, `"https://far.example/n/b"`
	for name, collection := range map[string]string{
		"ids":               `"orderedItems":[` + a + `,` + b + `]`,
		"posts":             `"orderedItems":[{"id":` + a + `,"type":"Note","content":"forged","attributedTo":"https://far.example/users/ann"},{"id":` + b + `,"type":"Note"}]`,
		"a page":            `"first":"https://far.example/users/ann/featured/1"`,
		"a page within":     `"first":{"type":"OrderedCollectionPage","items":[` + a + `,` + b + `]}`,
		"others in between": `"orderedItems":["https://victim.example/n/1",` + a + `,"https://far.example/n/none","https://far.example/users/ann",` + b + `,"https://far.example/n/eve"]`,
	} {
		t.Run(name, func(t *testing.T) {
			net, rye, ann, documents := pinning(t, collection, "a", "b")
			documents["/users/ann/featured/1"] = `{"id":"https://far.example/users/ann/featured/1","type":"OrderedCollectionPage","orderedItems":[` + a + `,` + b + `]}`
			documents["/n/eve"] = fmt.Sprintf(noteForAll, "https://far.example/n/eve", "Note", "https://far.example/users/eve", "eve's")
			_, err := rye.Resolve(t.Context(), "@ann@far.example")
			must(t, err)
			net.Deliver()
			want(t, "pinned", pins(t, rye, ann), "a b")
		})
	}
}

func TestPinsAreReadWhenAFollowBegins(t *testing.T) {
	net, rye, ann, documents := pinning(t, `"orderedItems":["https://far.example/n/a"]`, "a")
	nil1 := rye.Person("nil")
	post(t, net, ann.Request(ryeInbox, ann.Note("hello", "hello", string(nil1.Actor.IRI)))) // a stranger who writes is not asked for it
	net.Deliver()
	want(t, "pinned by one who only writes", pins(t, rye, ann), "")
	documents["/n/a"] = "" // away
	_, err := rye.Follow(t.Context(), nil1, "@ann@far.example")
	must(t, err)
	net.Deliver()
	want(t, "while the server is away", pins(t, rye, ann), "")
	documents["/n/a"] = fmt.Sprintf(noteForAll, "https://far.example/n/a", "Note", ann.ID(), "a")
	net.Sleep(time.Hour)
	net.Deliver()
	want(t, "pinned by one who is followed", pins(t, rye, ann), "a")
}

func TestALongListOfPinsIsReadAsFarAsTheBudgetGoes(t *testing.T) {
	var ids, names []string
	for i := range 60 {
		names = append(names, fmt.Sprint(i))
		ids = append(ids, fmt.Sprintf("%q", fmt.Sprint("https://far.example/n/", i)))
	}
	net, rye, ann, _ := pinning(t, `"orderedItems":[`+strings.Join(ids, ",")+`]`, names...)
	_, err := rye.Resolve(t.Context(), "@ann@far.example")
	must(t, err)
	trips := len(net.Trips())
	net.Deliver()
	got := strings.Fields(pins(t, rye, ann))
	if n := len(net.Trips()) - trips; n > 20 || len(got) < 15 || len(got) > 20 || got[len(got)-1] != "19" {
		t.Errorf("%d requests, pinned: %v; want those of the first twenty for which twenty requests last", n, got)
	}
}
