package activitypub

import (
	"slices"

	"planet/storage"
)

// facts are what the table below judges: the activity and what is known of its object. They are gathered before any
// transaction, and nothing else decides who may do what.
type facts struct {
	signer   storage.IRI // whose key signed the request
	act      *Activity
	object   string       // the type of the object: embedded, or of the stored one; "" when unknown
	owner    storage.IRI  // of the stored object; "" when it is unknown here
	follow   *followFact  // the follow that an Accept, Reject or Undo is about, when it is known here
	doer     storage.IRI  // who did what an Undo takes back, when it is a like, a boost or a block that is known here
	order    *orderFact   // the order that an Accept, TentativeAccept, Reject or Undo is about, when it is known here
	payment  *paymentFact // the payment that an Accept, TentativeAccept, Reject or Undo is about, when it is known here
	result   string       // the type of the result of an Accept or TentativeAccept about something that is not known here
	currency storage.IRI  // of that result
	asked    storage.IRI  // whom a reply of ours asked for leave, when an Accept or Reject is about one
	target   storage.IRI  // of an Add, Remove or Move
	ours     bool         // the target is at this node's own origin
	featured bool         // the target is the signer's own collection of pinned posts
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
	{"Offer", []string{"Agreement"}, []condition{objectIsEmbedded}},
	{"Offer", []string{"EconomicEvent"}, []condition{objectIsEmbedded, payerIsActor}},
	{"TentativeAccept", nil, []condition{orderIsProposedBySigner, paymentIsSigners, ledgerIsCurrencys}},
	{"Accept", nil, []condition{orderIsProposedBySigner, paymentIsSigners, ledgerIsCurrencys, followHasEnds, followNamesSignerAsTarget, replyAsksSigner}},
	{"Reject", nil, []condition{orderIsProposedBySigner, paymentIsSigners, followHasEnds, followNamesSignerAsTarget, replyAsksSigner}},
	{"Undo", nil, []condition{orderIsAskedBySigner, paymentIsSigners, followNamesSignerAsActor, deedIsSigners}},
	{"Create", noteTypes, []condition{objectIsEmbedded, objectAtActorsOrigin, objectAttributedToActor, storedObjectIsActors}},
	{"Create", []string{"Document"}, []condition{objectIsEmbedded, objectAtActorsOrigin, objectIsNobodyElses, storedObjectIsActors}},
	{"Update", []string{"Agreement"}, []condition{objectIsEmbedded, objectAtActorsOrigin, objectAttributedToActor, storedObjectIsActors}},
	{"Create", proposalTypes, []condition{objectIsEmbedded, objectAtActorsOrigin, objectAttributedToActor, storedObjectIsActors}},
	{"Create", []string{""}, []condition{objectIsNamed, objectAtActorsOrigin, storedObjectIsActors}},
	{"Update", noteTypes, []condition{objectIsEmbedded, objectAtActorsOrigin, objectAttributedToActor, storedObjectIsActors}},
	{"Update", proposalTypes, []condition{objectIsEmbedded, objectAtActorsOrigin, objectAttributedToActor, storedObjectIsActors}},
	{"Update", actorTypes, []condition{objectIsSelf, objectAtActorsOrigin, storedObjectIsActors}},
	{"Delete", nil, []condition{objectAtActorsOrigin, storedObjectIsActors}},
	{"Like", nil, []condition{objectIsNotSelf}},
	{"EmojiReact", nil, []condition{objectIsNotSelf}},
	{"Announce", nil, []condition{objectIsNotSelf}},
	{"Block", nil, []condition{objectIsNotSelf}},
	{"Flag", nil, []condition{objectIsNotSelf}},
	{"Move", nil, []condition{moveIsOfSigner}},
	{"Add", nil, []condition{targetIsNotOurs, targetIsSigners}},
	{"Remove", nil, []condition{targetIsNotOurs, targetIsSigners}},
	{"QuoteRequest", nil, []condition{objectIsNotSelf}},
}

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

// objectIsNamed is for a Create that embeds nothing; what it names is looked at where it is.
func objectIsNamed(f facts) string {
	if f.act.inner != nil {
		return "the object has no type"
	}
	return ""
}

func objectAtActorsOrigin(f facts) string {
	for _, p := range f.act.parts {
		if p.id != "" && !sameOrigin(string(p.id), string(f.act.Actor)) {
			return "the object is not at the actor's origin"
		}
	}
	if f.act.Object == "" && f.act.Type != "Create" {
		return "the object has no id"
	}
	return ""
}

// objectAttributedToActor wants one author; a medium may name its channel beside her, as PeerTube's do.
func objectAttributedToActor(f facts) string {
	for _, p := range f.act.parts {
		o := p.object
		if o == nil {
			return "an object is not embedded"
		}
		owners := o.iris("attributedTo")
		switch {
		case !slices.Contains(owners, f.act.Actor):
			return "the object is not attributed to the actor"
		case len(owners) > 1 && !(isMedium(o.kind(isNoteType)) && !slices.ContainsFunc(owners, func(i storage.IRI) bool { return !sameOrigin(string(i), string(f.act.Actor)) })):
			return "the object is attributed to several actors"
		}
	}
	return ""
}

func storedObjectIsActors(f facts) string {
	if f.owner != "" && f.owner != f.act.Actor {
		return "the object belongs to another actor"
	}
	return ""
}

// objectIsNobodyElses is for a receipt, of which FEP-0837 does not say whose it is.
func objectIsNobodyElses(f facts) string {
	if len(f.act.parts) == 1 && f.act.inner["attributedTo"] == nil {
		return ""
	}
	return objectAttributedToActor(f)
}

// orderIsProposedBySigner wants the answer of the one who was asked; what was agreed upon either side may say to be wrong.
func orderIsProposedBySigner(f facts) string {
	o := f.order
	if o != nil && o.proposer != f.signer && (f.act.Type != "Reject" || o.asked || o.responder != f.signer) {
		return "only the one who was asked answers an order"
	}
	return ""
}

func orderIsAskedBySigner(f facts) string {
	if f.order != nil && (f.order.responder != f.signer || !f.order.asked) {
		return "only the one who ordered takes it back"
	}
	return ""
}

// payerIsActor wants the payer's own word: nobody pays with what is another's, and a co-op's node signs as the co-op.
func payerIsActor(f facts) string {
	if terms(f.act.inner).iri("provider") != f.signer {
		return "who pays is not who asks for it"
	}
	return ""
}

// paymentIsSigners: a ledger elsewhere answers payments in its books, alone; to the ledger of this node a payer takes back, and a payee takes what is held or lets it go.
func paymentIsSigners(f facts) string {
	p := f.payment
	switch {
	case p == nil:
	case !p.ours && (f.act.Type == "Undo" || p.keeper != f.signer):
		return "only the ledger of the currency answers a payment"
	case p.ours && f.act.Type == "Undo" && p.payer != f.signer:
		return "only the payer takes a payment back"
	case p.ours && f.act.Type != "Undo" && (p.payee != f.signer || f.act.Type == "TentativeAccept"):
		return "only the payee takes what is held, or lets it go"
	}
	return ""
}

// ledgerIsCurrencys wants the word of a ledger about its own currency.
func ledgerIsCurrencys(f facts) string {
	if f.result == "EconomicEvent" && !sameOrigin(string(f.currency), string(f.signer)) {
		return "the currency is not one of this ledger"
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

func deedIsSigners(f facts) string {
	if f.doer != "" && f.doer != f.signer {
		return "only the one who did it takes it back"
	}
	return ""
}

func replyAsksSigner(f facts) string {
	if f.asked != "" && f.asked != f.signer {
		return "only the author of what is answered says yes or no"
	}
	return ""
}

func moveIsOfSigner(f facts) string {
	if f.act.Object != f.signer && f.target != f.signer {
		return "an actor moves herself only"
	}
	return ""
}

func targetIsNotOurs(f facts) string {
	if f.ours {
		return "the collections of this node are its own"
	}
	return ""
}

func targetIsSigners(f facts) string {
	if !f.featured && !sameOrigin(string(f.target), string(f.signer)) {
		return "the collection is not at the actor's origin"
	}
	return ""
}
