package activitypub

import (
	"errors"
	"fmt"
	"testing"

	"planet/storage"
)

// TestAuthorise holds the one table against cases from security.md (SIG, IDN, ACT): who may do what to which object.
func TestAuthorise(t *testing.T) {
	const (
		ann   = "https://far.example/users/ann"
		bob   = "https://far.example/users/bob" // same host
		eve   = "https://evil.example/users/eve"
		baker = "https://rye.example/users/baker"
		note  = "https://far.example/notes/1"
		ours  = "https://rye.example/users/baker/statuses/1"
	)
	embed := func(kind, id, by string) string {
		return fmt.Sprintf(`{"id":%q,"type":%q,"attributedTo":%q,"content":"x"}`, id, kind, by)
	}
	follow := &followFact{actor: ann, target: baker}
	outgoing := &followFact{actor: baker, target: ann}
	for _, c := range []struct {
		name          string
		signer        storage.IRI
		kind          string
		actor, object string
		id            string // "" is far.example's
		owner         storage.IRI
		follow        *followFact
		objectType    string
		want          int // 0 is permitted, 202 is no row
	}{
		{name: "a follow", signer: ann, kind: "Follow", actor: ann, object: `"` + baker + `"`},
		{name: "ACT135 a follow of oneself", signer: ann, kind: "Follow", actor: ann, object: `"` + ann + `"`, want: 403},
		{name: "SIG028 by another of the same host", signer: ann, kind: "Follow", actor: bob, object: `"` + baker + `"`, want: 401},
		{name: "SIG029 by another host", signer: eve, kind: "Follow", actor: ann, object: `"` + baker + `"`, want: 401},
		{name: "IDN052 with an id at another origin", signer: ann, kind: "Follow", actor: ann, object: `"` + baker + `"`, id: "https://evil.example/1", want: 403},
		{name: "IDN078 with an id at another port", signer: ann, kind: "Follow", actor: ann, object: `"` + baker + `"`, id: "https://far.example:8443/1", want: 403},
		{name: "a post", signer: ann, kind: "Create", actor: ann, object: embed("Note", note, ann), objectType: "Note"},
		{name: "IDN048 a post with an id elsewhere", signer: ann, kind: "Create", actor: ann, object: embed("Note", "https://third.example/1", ann), objectType: "Note", want: 403},
		{name: "IDN049 a post with an id of ours", signer: ann, kind: "Create", actor: ann, object: embed("Note", ours, ann), objectType: "Note", want: 403},
		{name: "IDN050 a post by another of the same host", signer: ann, kind: "Create", actor: ann, object: embed("Note", note, bob), objectType: "Note", want: 403},
		{name: "IDN051 a post by nobody", signer: ann, kind: "Create", actor: ann, object: `{"id":"` + note + `","type":"Note"}`, objectType: "Note", want: 403},
		{name: "IDN051 a post by two", signer: ann, kind: "Create", actor: ann, object: `{"id":"` + note + `","type":"Note","attributedTo":["` + ann + `","` + bob + `"]}`, objectType: "Note", want: 403},
		{name: "a post that is not embedded", signer: ann, kind: "Create", actor: ann, object: `"` + note + `"`, objectType: "Note", want: 403},
		{name: "something that is no post", signer: ann, kind: "Create", actor: ann, object: embed("Place", note, ann), objectType: "Place", want: 202},
		{name: "an edit of one's own", signer: ann, kind: "Update", actor: ann, object: embed("Note", note, ann), owner: ann, objectType: "Note"},
		{name: "ACT118 an edit of another's, same host", signer: ann, kind: "Update", actor: ann, object: embed("Note", note, ann), owner: bob, objectType: "Note", want: 403},
		{name: "ACT119 an edit of ours", signer: eve, kind: "Update", actor: eve, object: embed("Note", ours, eve), owner: baker, id: "https://evil.example/u", objectType: "Note", want: 403},
		{name: "a profile of one's own", signer: ann, kind: "Update", actor: ann, object: embed("Person", ann, ""), objectType: "Person"},
		{name: "a profile where a post of another has the id", signer: ann, kind: "Update", actor: ann, object: embed("Person", ann, ""), owner: bob, objectType: "Person", want: 403},
		{name: "IDN070 a profile of another, same host", signer: ann, kind: "Update", actor: ann, object: embed("Person", bob, ""), objectType: "Person", want: 403},
		{name: "a deletion of one's own", signer: ann, kind: "Delete", actor: ann, object: `"` + note + `"`, owner: ann},
		{name: "ACT124 a deletion of another's, same host", signer: ann, kind: "Delete", actor: ann, object: `"` + note + `"`, owner: bob, want: 403},
		{name: "ACT125 a deletion of another actor elsewhere", signer: eve, kind: "Delete", actor: eve, object: `"` + ann + `"`, id: "https://evil.example/d", want: 403},
		{name: "ACT126 a deletion of ours", signer: ann, kind: "Delete", actor: ann, object: `"` + ours + `"`, owner: baker, want: 403},
		{name: "an undo of one's own follow", signer: ann, kind: "Undo", actor: ann, object: `"` + note + `"`, follow: follow},
		{name: "ACT128 an undo of another's follow", signer: bob, kind: "Undo", actor: bob, object: `"` + note + `"`, follow: follow, want: 403},
		{name: "an answer to our follow", signer: ann, kind: "Accept", actor: ann, object: `"` + ours + `"`, follow: outgoing},
		{name: "ACT132 an answer by a third", signer: eve, kind: "Accept", actor: eve, object: `"` + ours + `"`, id: "https://evil.example/a", follow: outgoing, want: 403},
		{name: "ACT134 a refusal by a third", signer: bob, kind: "Reject", actor: bob, object: `"` + ours + `"`, follow: outgoing, want: 403},
		{name: "ACT138 something for our followers collection", signer: ann, kind: "Add", actor: ann, object: `"` + ann + `"`, want: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := c.id
			if id == "" {
				id = "https://far.example/activities/1"
			}
			act, err := parseActivity([]byte(fmt.Sprintf(`{"id":%q,"type":%q,"actor":%q,"object":%s}`, id, c.kind, c.actor, c.object)))
			if err != nil {
				t.Fatal(err)
			}
			got := 0
			err = authorise(facts{signer: c.signer, act: act, object: c.objectType, owner: c.owner, follow: c.follow})
			var p *Problem
			if errors.As(err, &p) {
				got = p.Status
			} else if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("authorise says %d (%v), want %d", got, err, c.want)
			}
		})
	}
}

func TestEveryPermitIsReachable(t *testing.T) {
	for _, p := range permits {
		if !understood(p.activity) || len(p.when) == 0 {
			t.Errorf("the row %s %v judges nothing", p.activity, p.objects)
		}
	}
}
