package activitypub

import (
	"context"
	"errors"
	"fmt"

	"planet/storage"
)

// followToWire is a Follow of ours.
func followToWire(f *storage.Follow, actor, target storage.IRI) map[string]any {
	return map[string]any{"id": f.IRI, "type": "Follow", "actor": actor, "object": target, "to": []any{target}}
}

// applyFollow lets another server's actor follow one of ours. A repeated Follow is answered again.
func (n *Node) applyFollow(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		if len(act.top.list("object")) != 1 {
			return nil, problem(400, "object", "a Follow has exactly one object")
		}
		target, err := n.DB.ActorByIRI(ctx, act.Object)
		if err != nil || !target.Local() || target.DeletedAt != nil {
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return nil, err
			}
			return nothing, nil // nobody here: no effect, and no oracle
		}
		if act.ID == "" {
			return nil, problem(400, "id", "a Follow needs an id")
		}
		return func(ctx context.Context, tx *storage.DB) error {
			if gone, err := tx.Tombstoned(ctx, act.ID, signer.IRI); err != nil || gone {
				return err // its Undo came first
			}
			if target.Type == storage.Application || target.Type == storage.Service || target.SuspendedAt != nil {
				return n.answer(ctx, tx, target, signer, "Reject", act)
			}
			if blocked, err := tx.Blocked(ctx, target.ID, signer.ID); err != nil {
				return err
			} else if blocked {
				return n.answer(ctx, tx, target, signer, "Reject", act)
			}
			if blocked, err := tx.DomainBlocked(ctx, target.ID, signer.ID); err != nil {
				return err
			} else if blocked[signer.ID] {
				return n.answer(ctx, tx, target, signer, "Reject", act)
			}
			if other, err := tx.FollowByIRI(ctx, act.ID); err == nil && (other.ActorID != signer.ID || other.TargetID != target.ID) {
				return problem(403, "id", "%s is the id of another follow", act.ID)
			} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			f := &storage.Follow{IRI: act.ID, ActorID: signer.ID, TargetID: target.ID, State: storage.FollowAccepted}
			old, err := tx.FollowBetween(ctx, signer.ID, target.ID)
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			if (target.Locked || signer.SilencedAt != nil) && (err != nil || old.State != storage.FollowAccepted) {
				f.State = storage.FollowPending
			}
			if err := tx.SaveFollow(ctx, f); err != nil {
				return err
			}
			kind := "follow"
			if f.State == storage.FollowPending {
				kind = "follow_request"
			}
			if f.State == storage.FollowPending { // also of a silenced actor: without that nobody would ever answer
				err = tx.Notify(ctx, &storage.Notification{ActorID: target.ID, Kind: kind, FromID: signer.ID})
			} else {
				err = n.tell(ctx, tx, []storage.ID{target.ID}, kind, signer, 0)
			}
			if err != nil {
				return err
			}
			if f.State == storage.FollowPending {
				return nil
			}
			return n.answer(ctx, tx, target, signer, "Accept", act)
		}, nil
	}
}

// answer queues an Accept or Reject of a Follow (see answerWith).
func (n *Node) answer(ctx context.Context, tx *storage.DB, from, to *storage.Actor, kind string, act *Activity) error {
	return n.answerWith(ctx, tx, from, to, kind, act, "")
}

// answers is how an answer to a follow goes out: after the one before it, and in its place if that was not tried yet. So one
// follower has one answer waiting, however often she asks (security.md FLO 178).
func answers(target, follower *storage.Actor, follow storage.IRI) shipment {
	return shipment{object: follow, line: lineOf(target.IRI, "answers", follower.IRI), inboxes: []storage.IRI{follower.Inbox}, supersede: storage.SupersedeAll}
}

// answerFollow queues an Accept or Reject of a follow that waits here or holds.
func (n *Node) answerFollow(ctx context.Context, tx *storage.DB, kind string, f *storage.Follow, follower, target *storage.Actor) error {
	object := map[string]any{"id": f.IRI, "type": "Follow", "actor": follower.IRI, "object": target.IRI}
	m := map[string]any{"type": kind, "actor": target.IRI, "to": []any{follower.IRI}, "object": object}
	return n.send(ctx, tx, target, m, answers(target, follower, f.IRI))
}

// AnswerFollow lets an actor follow one of ours that asked to, or refuses it. ErrNotFound when nobody waits. A refusal
// also ends a follow that holds.
func (n *Node) AnswerFollow(ctx context.Context, by By, whom string, accept bool) (*storage.Actor, error) {
	follower, err := n.Resolve(ctx, whom)
	if err != nil {
		return nil, err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "follow"); err != nil {
			return err
		}
		f, err := tx.FollowBetween(ctx, follower.ID, by.Actor.ID)
		if err == nil && accept && f.State != storage.FollowPending {
			err = storage.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("%s does not ask to follow %s: %w", whom, by.Actor.Username, err)
		}
		if !accept {
			if err := record(ctx, tx, by, "follow.refuse", follower.IRI); err != nil {
				return err
			}
			return n.endFollower(ctx, tx, by.Actor, follower)
		}
		f.State = storage.FollowAccepted
		if err := tx.SaveFollow(ctx, f); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "follow.accept", follower.IRI); err != nil {
			return err
		}
		if err := n.tell(ctx, tx, []storage.ID{by.Actor.ID}, "follow", follower, 0); err != nil || follower.Local() {
			return err
		}
		return n.answerFollow(ctx, tx, "Accept", f, follower, by.Actor)
	})
	n.Wake()
	return follower, err
}

// followAbout finds the follow that an Accept, Reject or Undo speaks of: by its id, else by its ends when it is embedded.
// ErrNotFound when there is none here.
func (n *Node) followAbout(ctx context.Context, db *storage.DB, act *Activity) (*storage.Follow, *followFact, error) {
	f, err := db.FollowByIRI(ctx, act.Object)
	if errors.Is(err, storage.ErrNotFound) && act.inner != nil && act.inner.kind(nil) == "Follow" {
		var actor, target *storage.Actor
		if actor, err = db.ActorByIRI(ctx, act.inner.iri("actor")); err != nil {
			return nil, nil, err
		}
		if target, err = db.ActorByIRI(ctx, act.inner.iri("object")); err != nil {
			return nil, nil, err
		}
		if f, err = db.FollowBetween(ctx, actor.ID, target.ID); err != nil {
			return nil, nil, err
		}
		if act.Object != "" && n.isOurs(act.Object) && f.IRI != act.Object {
			return nil, nil, storage.ErrNotFound // an answer to an earlier follow of ours
		}
		return f, &followFact{actor.IRI, target.IRI}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	ends, err := db.ActorsByID(ctx, []storage.ID{f.ActorID, f.TargetID})
	if err != nil {
		return nil, nil, err
	}
	fact := &followFact{}
	for _, a := range ends {
		if a.ID == f.ActorID {
			fact.actor = a.IRI
		}
		if a.ID == f.TargetID {
			fact.target = a.IRI
		}
	}
	return f, fact, nil
}

// applyFollowAnswer settles a follow of ours that its target accepts, or ends one that it rejects.
func (n *Node) applyFollowAnswer(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		return func(ctx context.Context, tx *storage.DB) error {
			f, fact, err := n.followAbout(ctx, tx, act)
			if errors.Is(err, storage.ErrNotFound) || err == nil && fact.target != signer.IRI {
				return nil
			}
			if err != nil {
				return err
			}
			if act.Type == "Reject" {
				return tx.DeleteFollow(ctx, f.ID)
			}
			if f.State != storage.FollowPending {
				return nil
			}
			f.State = storage.FollowAccepted
			return tx.SaveFollow(ctx, f)
		}, nil
	}
}

// deed is a like, a boost or a block that an Undo takes back; one of the three is set.
type deed struct {
	actor storage.IRI // who did it
	iri   storage.IRI
	like  *storage.Like
	boost *storage.Post
	block *storage.Block
}

// deedAbout finds what an Undo speaks of: by its id, else by its ends when it is embedded. ErrNotFound when it is not here.
func (n *Node) deedAbout(ctx context.Context, db *storage.DB, act *Activity) (*deed, error) {
	kind := ""
	if act.inner != nil {
		kind = act.inner.kind(nil)
	}
	d := &deed{}
	var by storage.ID
	found := func(actor storage.ID, iri storage.IRI, err error) (bool, error) {
		if errors.Is(err, storage.ErrNotFound) {
			return false, nil
		}
		by, d.iri = actor, iri
		return err == nil, err
	}
	look := func() (bool, error) {
		if kind == "" || kind == "Like" || kind == "EmojiReact" {
			l, err := db.LikeByIRI(ctx, act.Object)
			if ok, err := found(l.ActorID, l.IRI, err); ok || err != nil {
				d.like = l
				return ok, err
			}
		}
		if kind == "" || kind == "Announce" {
			p, err := db.PostByIRI(ctx, act.Object)
			if err == nil && p.BoostOfID == nil {
				err = storage.ErrNotFound
			}
			if ok, err := found(p.ActorID, p.IRI, err); ok || err != nil {
				d.boost = p
				return ok, err
			}
		}
		if kind == "" || kind == "Block" {
			b, err := db.BlockByIRI(ctx, act.Object)
			if ok, err := found(b.ActorID, b.IRI, err); ok || err != nil {
				d.block = b
				return ok, err
			}
		}
		return false, nil
	}
	ok, err := look()
	if err == nil && !ok && act.inner != nil {
		ok, err = n.deedBetween(ctx, db, act, kind, d, &by)
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, storage.ErrNotFound
	}
	a, err := db.ActorByID(ctx, by)
	if err != nil {
		return nil, err
	}
	d.actor = a.IRI
	return d, nil
}

// deedBetween finds what an embedded activity names by its actor and its object.
func (n *Node) deedBetween(ctx context.Context, db *storage.DB, act *Activity, kind string, d *deed, by *storage.ID) (bool, error) {
	actor, err := db.ActorByIRI(ctx, act.inner.iri("actor"))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	*by = actor.ID
	object := act.inner.iri("object")
	switch kind {
	case "Like", "EmojiReact", "Announce":
		p, perr := db.PostByIRI(ctx, object)
		if err = perr; err != nil {
			break
		}
		if kind == "Announce" {
			if d.boost, err = db.BoostBetween(ctx, actor.ID, p.ID); err == nil {
				d.iri = d.boost.IRI
			}
		} else if d.like, err = db.LikeBetween(ctx, actor.ID, p.ID); err == nil {
			d.iri = d.like.IRI
		}
	case "Block":
		target, terr := db.ActorByIRI(ctx, object)
		if err = terr; err != nil {
			break
		}
		if d.block, err = db.BlockBetween(ctx, actor.ID, target.ID); err == nil {
			d.iri = d.block.IRI
		}
	default:
		return false, nil
	}
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// applyUndo takes back a follow, a like, a boost or a block. Of what is not here the id is remembered: it may still arrive.
func (n *Node) applyUndo(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		return func(ctx context.Context, tx *storage.DB) error {
			if act.Object != "" && sameOrigin(string(act.Object), string(signer.IRI)) {
				if err := tx.SaveTombstone(ctx, act.Object, signer.IRI); err != nil {
					return err
				}
			}
			f, fact, err := n.followAbout(ctx, tx, act)
			if err == nil {
				if fact.actor != signer.IRI {
					return nil
				}
				if overtaken, err := n.overtaken(ctx, tx, act, f.IRI, signer); err != nil || overtaken {
					return err
				}
				return tx.DeleteFollow(ctx, f.ID)
			}
			if !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			d, err := n.deedAbout(ctx, tx, act)
			if errors.Is(err, storage.ErrNotFound) || err == nil && d.actor != signer.IRI {
				return nil
			}
			if err != nil {
				return err
			}
			if overtaken, err := n.overtaken(ctx, tx, act, d.iri, signer); err != nil || overtaken {
				return err
			}
			switch {
			case d.like != nil:
				return tx.DeleteLike(ctx, d.like)
			case d.boost != nil:
				return tx.DeleteBoost(ctx, d.boost)
			default:
				return tx.DeleteBlock(ctx, d.block.ID)
			}
		}, nil
	}
}

// overtaken reports whether an Undo is of an earlier deed than the one that is here, as the new one overtook it. An id never
// seen here is a server's that makes a new one for what it undoes.
func (n *Node) overtaken(ctx context.Context, tx *storage.DB, act *Activity, here storage.IRI, signer *storage.Actor) (bool, error) {
	if here == act.Object || act.Object == "" {
		return false, nil
	}
	seen, err := tx.CountActivities(ctx, act.Object, signer.IRI)
	return seen > 0, err
}
