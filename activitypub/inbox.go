package activitypub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"planet/storage"
)

// maxBody is how much another server may send at once (Mastodon's limit).
const maxBody = 1 << 20

// preparation reads what an activity means, without any transaction and without changing anything; effect is what it
// then does, inside the one transaction that also records the activity. A nil effect: nothing is done or kept.
type (
	preparation func(ctx context.Context, act *Activity) (effect, error)
	effect      func(ctx context.Context, tx *storage.DB) error
)

var nothing effect

// receive is the door for what other servers do, in reading order (architecture.md, flow 1). A nil error is a 202:
// what the sender said is on the disk, or was judged to concern nobody here.
func (n *Node) receive(r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if err := checkJSON(body); err != nil {
		return problem(http.StatusBadRequest, "json", "%v", err)
	}
	act, err := parseActivity(body)
	if err != nil {
		return err
	}
	if !understood(act.Type) {
		n.count("unknown." + clip(act.Type, 40))
		return nil
	}
	sig, err := n.parseSignature(r, body)
	if err != nil {
		return err
	}
	if err := n.admits(r.Context(), n.DB, act.Actor); err != nil {
		return err
	}
	if !sameOrigin(sig.KeyID, string(act.Actor)) {
		if err := n.admits(r.Context(), n.DB, storage.IRI(sig.KeyID)); err != nil {
			return err
		}
	}
	if act.Type == "Delete" && act.Object == act.Actor {
		if known, err := n.known(r.Context(), act.Actor); err != nil || !known {
			return err // someone we never heard of is gone; there is nothing to ask and nothing to do
		}
	}
	signer, err := n.verify(r.Context(), sig)
	if err != nil && act.Type == "Delete" && act.Object == act.Actor {
		signer, err = n.departed(r.Context(), act.Actor, err)
	}
	if err != nil {
		return err
	}
	if n.RateLimit && !n.inboxes.take(hostOf(signer.IRI), n.Now()) {
		n.count("limited")
		return problem(http.StatusTooManyRequests, "rate-limit", "%s sends more than this node takes from one server; send it again later", hostOf(signer.IRI))
	}
	if signer.IRI != act.Actor {
		if author := n.proofSigner(r.Context(), act); author != nil { // forwarded by another, signed by its actor
			signer = author
		} else if forwarded, err := n.lookAtOrigin(r.Context(), act); err != nil || forwarded {
			return err
		}
	}
	if signer, err = n.standing(r.Context(), signer); err != nil {
		return err
	}
	if onBehalf, err := n.onBehalf(r.Context(), act); err != nil || onBehalf {
		return err
	}
	f, err := n.gather(r.Context(), signer, act)
	if err != nil {
		return err
	}
	if err := authorise(f); err == errNoRow {
		n.count("ignored." + act.Type + "." + clip(f.object, 40))
		return nil
	} else if err != nil {
		return err
	}
	if act.ID == "" && act.Type != "Delete" && act.Type != "Undo" {
		return problem(http.StatusBadRequest, "id", "the activity has no id")
	}
	if isPayment(act) {
		n.count("received.Offer")
		return n.takePayment(r.Context(), act, signer) // its own transaction: many payments share one
	}
	return n.apply(r.Context(), act, signer, f)
}

// fetched takes an activity that came from its actor's own origin, when somebody here asked for it there.
func (n *Node) fetched(ctx context.Context, act *Activity, signer *storage.Actor) error {
	f, err := n.gather(ctx, signer, act)
	if err != nil {
		return err
	}
	if err := authorise(f); err != nil {
		return err
	}
	return n.apply(ctx, act, signer, f)
}

// apply does what an activity means, in the one transaction that also records it.
func (n *Node) apply(ctx context.Context, act *Activity, signer *storage.Actor, f facts) error {
	do, err := n.prepare(signer, f)(ctx, act)
	if err != nil || do == nil {
		return err
	}
	record := &storage.Activity{IRI: act.ID, ActorIRI: act.Actor, Type: act.Type, Object: act.Object, Raw: act.Raw}
	if act.Type == "Update" || act.ID == "" {
		sum := sha256.Sum256(act.Raw)
		record.Digest = hex.EncodeToString(sum[:])
	}
	fresh := false
	err = n.DB.Transaction(ctx, func(tx *storage.DB) (err error) {
		if fresh, err = tx.SaveActivity(ctx, record); err != nil || !fresh {
			return err // seen before: answering again is harmless
		}
		return do(ctx, tx)
	})
	if err != nil {
		return err
	}
	if !fresh {
		n.count("repeated")
		if act.Type == "Offer" {
			return n.answerAgain(ctx, act, signer)
		}
		return nil
	}
	n.count("received." + act.Type)
	n.Wake()
	return nil
}

// prepare finds who does the work; the table in authorize.go has judged before.
func (n *Node) prepare(signer *storage.Actor, f facts) preparation {
	switch {
	case f.order != nil:
		return n.applyOrder(signer, f.order.id)
	case f.payment != nil && f.payment.ours:
		return n.applyPartysWord(signer, f.payment.id)
	case f.payment != nil, f.result == "EconomicEvent":
		return n.applyLedgersWord(signer)
	}
	switch f.act.Type {
	case "Follow":
		return n.applyFollow(signer)
	case "Offer":
		return n.applyOffer(signer)
	case "TentativeAccept":
		return func(context.Context, *Activity) (effect, error) { return nothing, nil } // about nothing that is known here
	case "Accept", "Reject":
		if f.asked != "" {
			return n.applyReplyAnswer(signer)
		}
		return n.applyFollowAnswer(signer)
	case "Undo":
		return n.applyUndo(signer)
	case "Create":
		switch {
		case isProposal(f.object):
			return n.applyProposal(signer)
		case f.object == "Document":
			return n.applyAboutAgreement(signer)
		}
		return n.applyCreate(signer)
	case "Update":
		if f.object == "Agreement" {
			return n.applyAboutAgreement(signer)
		}
		if isProposal(f.object) {
			return n.applyProposal(signer)
		}
		if isActorType(f.object) {
			return n.applyActorUpdate(signer)
		}
		return n.applyUpdateNote(signer)
	case "Like", "EmojiReact":
		return n.applyLike(signer)
	case "Announce":
		return n.applyAnnounce(signer)
	case "Block":
		return n.applyBlock(signer)
	case "Flag":
		return n.applyFlag(signer)
	case "Move":
		return n.applyMove(signer)
	case "Add", "Remove":
		return n.applyFeatured(signer)
	case "QuoteRequest":
		return n.applyQuoteRequest(signer)
	default:
		return n.applyDelete(signer)
	}
}

// lookAtOrigin is for what somebody passes on with a Linked Data signature of its author, which is not verified here: what
// is in it is not believed, but looked at where it comes from, if it concerns anyone here (federation.md §8.4).
func (n *Node) lookAtOrigin(ctx context.Context, act *Activity) (bool, error) {
	if act.top["signature"] == nil || act.Object == "" || n.isOurs(act.Object) || !sameOrigin(string(act.Object), string(act.Actor)) {
		return false, nil
	}
	switch act.Type {
	case "Create", "Update", "Delete":
	default:
		return false, nil
	}
	_, err := n.DB.PostByIRI(ctx, act.Object)
	concerns := err == nil
	if errors.Is(err, storage.ErrNotFound) && act.Type == "Create" && act.inner != nil {
		_, err = n.DB.PostByIRI(ctx, act.inner.iri("inReplyTo"))
		concerns = err == nil
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return false, err
	}
	var quotes []storage.Post
	if !concerns && act.Type == "Delete" { // a stamp: whoever quotes passes on to her readers that she may not any more
		if quotes, err = n.DB.QuotesBy(ctx, act.Object); err != nil {
			return false, err
		}
	}
	if !concerns && len(quotes) == 0 {
		return false, nil
	}
	n.count("forwarded." + act.Type)
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		for i := range quotes {
			if err := n.askForQuote(ctx, tx, &quotes[i]); err != nil {
				return err
			}
		}
		if !concerns {
			return nil
		}
		return enqueue(ctx, tx, jobFetch, string(act.Object), time.Time{}, work{Object: act.Object})
	})
	n.Wake()
	return true, err
}

// onBehalf is for what a person says in the name of a group of her server (Mobilizon). Her signature is not the group's word for it:
// it is looked at where it is, if somebody here follows the group.
func (n *Node) onBehalf(ctx context.Context, act *Activity) (bool, error) {
	o := act.inner
	if act.Type != "Create" && act.Type != "Update" || o == nil || !isNoteType(o.kind(isNoteType)) || o.iri("actor") != act.Actor {
		return false, nil
	}
	owner := ownerOf(o)
	if owner == "" || owner == act.Actor || !sameOrigin(string(owner), string(act.Actor)) || !sameOrigin(string(act.Object), string(act.Actor)) {
		return false, nil
	}
	group, err := n.DB.ActorByIRI(ctx, owner)
	if errors.Is(err, storage.ErrNotFound) {
		return true, nil
	}
	if err != nil || group.Type != storage.Group {
		return false, err
	}
	followed, err := n.DB.FollowedLocally(ctx, group.ID)
	if err != nil || !followed {
		return err == nil, err
	}
	n.count("onbehalf." + act.Type)
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		return enqueue(ctx, tx, jobFetch, string(act.Object), time.Time{}, work{Object: act.Object})
	})
	n.Wake()
	return true, err
}

// readBody checks method and media type and reads at most maxBody.
func readBody(r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPost {
		return nil, problem(http.StatusMethodNotAllowed, "method", "an inbox takes POST only")
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	profile := strings.Trim(params["profile"], `"`)
	if err != nil && errors.Is(err, mime.ErrInvalidMediaParameter) { // an unquoted profile
		kind, profile = strings.ToLower(strings.TrimSpace(strings.Split(r.Header.Get("Content-Type"), ";")[0])), ""
	}
	if kind != activityJSON && (kind != "application/ld+json" || profile != "" && profile != activityStreams) {
		return nil, problem(http.StatusUnsupportedMediaType, "media-type", "send %s or %s", activityJSON, ldJSON)
	}
	if r.ContentLength > maxBody {
		return nil, problem(http.StatusRequestEntityTooLarge, "size", "an activity has at most %d bytes", maxBody)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, problem(http.StatusBadRequest, "body", "the body did not arrive whole")
	}
	if len(body) > maxBody {
		return nil, problem(http.StatusRequestEntityTooLarge, "size", "an activity has at most %d bytes", maxBody)
	}
	return body, nil
}

// known reports whether an actor elsewhere has a row here and is not gone.
func (n *Node) known(ctx context.Context, iri storage.IRI) (bool, error) {
	a, err := n.DB.ActorByIRI(ctx, iri)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil && a.DeletedAt == nil, err
}

// departed finds an actor whose Delete of herself cannot be verified, as her server has already let go of her key: it is
// asked for her, and believed when it says that she is gone (federation.md §8.3). Otherwise err stands.
func (n *Node) departed(ctx context.Context, actor storage.IRI, err error) (*storage.Actor, error) {
	asked := actor + " departed"
	if _, lately := n.keys.refused.GetIfPresent(asked); lately {
		return nil, err
	}
	n.keys.refused.Set(asked, refusal{nil, keyRefusal})
	var fe *FetchError
	if _, answer := n.fetch(ctx, actor); errors.As(answer, &fe) && fe.Gone {
		return n.DB.ActorByIRI(ctx, actor)
	}
	return nil, err
}

// gather finds the facts that authorise judges. It asks the database only.
func (n *Node) gather(ctx context.Context, signer *storage.Actor, act *Activity) (facts, error) {
	f := facts{signer: signer.IRI, act: act}
	if act.inner != nil {
		f.object = act.inner.kind(func(t string) bool { return isNoteType(t) || isActorType(t) })
		if kind := economicKind(act.inner); kind != "" && !isNoteType(f.object) && !isActorType(f.object) { // a Note that is a Proposal, too, is a post
			f.object = kind
		}
	} else if act.Object == act.Actor {
		f.object = signer.Type
	}
	switch act.Type {
	case "Accept", "TentativeAccept", "Reject", "Undo":
		order, err := n.orderAbout(ctx, n.DB, act.Object)
		if err == nil {
			f.order = order
			break
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return f, err
		}
		payment, err := n.paymentAbout(ctx, n.DB, act.Object)
		if err == nil {
			f.payment = payment
			break
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return f, err
		}
		if result := act.top.child("result"); result != nil && act.Type != "Undo" {
			if f.result = economicKind(result); f.result == "EconomicEvent" {
				f.currency = terms(result).iri("resourceConformsTo")
				break
			}
		}
		_, fact, err := n.followAbout(ctx, n.DB, act)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return f, err
		}
		if f.follow = fact; fact != nil {
			break
		}
		if act.Type == "Undo" {
			d, err := n.deedAbout(ctx, n.DB, act)
			if errors.Is(err, storage.ErrNotFound) {
				break
			}
			if err != nil {
				return f, err
			}
			f.doer = d.actor
		} else if f.asked, err = n.asked(ctx, act.Object); err != nil {
			return f, err
		}
	case "Update", "Delete", "Create":
		if act.Type == "Create" && act.inner != nil {
			break // keepNew asks when it inserts: what is here already stays as it is, whoever says it again
		}
		owner, kind, err := n.DB.OwnerOfPost(ctx, act.Object)
		if errors.Is(err, storage.ErrNotFound) {
			if owner, err = n.DB.OwnerOfOffer(ctx, act.Object); errors.Is(err, storage.ErrNotFound) {
				break
			}
		}
		if err != nil {
			return f, err
		}
		f.owner = owner
		if f.object == "" {
			f.object = kind
		}
	case "Add", "Remove", "Move":
		f.target = act.top.iri("target")
		f.ours = f.target != "" && n.isOurs(f.target)
		f.featured = f.target != "" && f.target == signer.Featured
	}
	return f, nil
}

// retryLater turns a failed fetch during receipt into an answer that makes the sender try again, if that can help.
func retryLater(err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return err
	}
	if fe := (*FetchError)(nil); errors.As(err, &fe) && !fe.Temporary {
		return problem(http.StatusUnprocessableEntity, "fetch", "a document that this depends on cannot be used: %v", fe)
	}
	return problem(http.StatusServiceUnavailable, "fetch", "a document that this depends on could not be fetched")
}
