package activitypub

import (
	"slices"

	"planet/storage"
)

// facts are what the table below judges: the activity and what is known of its object. They are gathered before any
// transaction, and nothing else decides who may do what.
type facts struct {
	signer storage.IRI // whose key signed the request
	act    *Activity
	object string      // the type of the object: embedded, or of the stored one; "" when unknown
	owner  storage.IRI // of the stored object; "" when it is unknown here
	follow *followFact // the follow that an Accept, Reject or Undo is about, when it is known here
}

// followFact is a stored follow by its ends.
type followFact struct{ actor, target storage.IRI }

// condition is one thing that must hold; it answers "" or what is wrong.
type condition func(facts) string

// permit is one row: who may do what to which object.
type permit struct {
	activity string
	objects  []string // types of the object; nil for any
	when     []condition
}

// permits is the whole law of the inbox (FEP-fe34, security.md ACT and IDN). What has no row is not done.
var permits = []permit{
	{"Follow", nil, []condition{objectIsNotSelf}},
	{"Accept", nil, []condition{followHasEnds, followNamesSignerAsTarget}},
	{"Reject", nil, []condition{followHasEnds, followNamesSignerAsTarget}},
	{"Undo", nil, []condition{followNamesSignerAsActor}},
	{"Create", noteTypes, []condition{objectIsEmbedded, objectAtActorsOrigin, objectAttributedToActor, storedObjectIsActors}},
	{"Update", noteTypes, []condition{objectIsEmbedded, objectAtActorsOrigin, objectAttributedToActor, storedObjectIsActors}},
	{"Update", actorTypes, []condition{objectIsSelf}},
	{"Delete", nil, []condition{objectAtActorsOrigin, storedObjectIsActors}},
}

// noteTypes are the objects that are read as posts.
var noteTypes = []string{"Note"}

// understood reports whether the table has a row for an activity of this type.
func understood(activity string) bool {
	return slices.ContainsFunc(permits, func(p permit) bool { return p.activity == activity })
}

// authorise says whether the signer may do this: nil, or a Problem with 401 or 403. errNoRow when the table is silent,
// which is no fault of the sender's.
func authorise(f facts) error {
	if f.act.Actor != f.signer {
		return problem(401, "signer", "the request is signed by %s, but the activity is by %s", f.signer, f.act.Actor)
	}
	if f.act.ID != "" && !sameOrigin(string(f.act.ID), string(f.act.Actor)) {
		return problem(403, "id", "the activity's id is not at its actor's origin")
	}
	for _, p := range permits {
		if p.activity != f.act.Type || p.objects != nil && !slices.Contains(p.objects, f.object) {
			continue
		}
		for _, c := range p.when {
			if wrong := c(f); wrong != "" {
				return problem(403, "forbidden", "%s refused: %s", f.act.Type, wrong)
			}
		}
		return nil
	}
	return errNoRow
}

// errNoRow: nothing is done, and the sender is told 202.
var errNoRow = problem(202, "ignored", "this node does nothing with such an activity")

func objectIsNotSelf(f facts) string {
	if f.act.Object == f.signer {
		return "nobody follows herself"
	}
	return ""
}

func objectIsSelf(f facts) string {
	if f.act.Object != f.signer {
		return "an actor may change herself only"
	}
	return ""
}

func objectIsEmbedded(f facts) string {
	if f.act.inner == nil {
		return "the object is not embedded"
	}
	return ""
}

func objectAtActorsOrigin(f facts) string {
	if !sameOrigin(string(f.act.Object), string(f.act.Actor)) {
		return "the object is not at the actor's origin"
	}
	return ""
}

func objectAttributedToActor(f facts) string {
	if owners := f.act.inner.iris("attributedTo"); len(owners) == 0 || !slices.Contains(owners, f.act.Actor) {
		return "the object is not attributed to the actor"
	} else if len(owners) > 1 {
		return "the object is attributed to several actors"
	}
	return ""
}

func storedObjectIsActors(f facts) string {
	if f.owner != "" && f.owner != f.act.Actor {
		return "the object belongs to another actor"
	}
	return ""
}

// followHasEnds refuses a follow that is not known here and that says neither whose it is nor of whom.
func followHasEnds(f facts) string {
	if o := f.act.inner; f.follow == nil && o != nil && o.kind(nil) == "Follow" && (o.iri("actor") == "" || o.iri("object") == "") {
		return "the follow that it answers names nobody"
	}
	return ""
}

func followNamesSignerAsTarget(f facts) string {
	if f.follow != nil && f.follow.target != f.signer {
		return "only the one who is followed answers"
	}
	return ""
}

func followNamesSignerAsActor(f facts) string {
	if f.follow != nil && f.follow.actor != f.signer {
		return "only the one who did it takes it back"
	}
	return ""
}
