package activitypub

import (
	"context"
	"errors"

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
			if other, err := tx.FollowByIRI(ctx, act.ID); err == nil && (other.ActorID != signer.ID || other.TargetID != target.ID) {
				return problem(403, "id", "%s is the id of another follow", act.ID)
			} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			f := &storage.Follow{IRI: act.ID, ActorID: signer.ID, TargetID: target.ID, State: storage.FollowAccepted}
			old, err := tx.FollowBetween(ctx, signer.ID, target.ID)
			if target.Locked && (err != nil || old.State != storage.FollowAccepted) {
				f.State = storage.FollowPending
			}
			if err := tx.SaveFollow(ctx, f); err != nil {
				return err
			}
			kind := "follow"
			if f.State == storage.FollowPending {
				kind = "follow_request"
			}
			if err := tx.Notify(ctx, &storage.Notification{ActorID: target.ID, Kind: kind, FromID: signer.ID}); err != nil {
				return err
			}
			if f.State == storage.FollowPending {
				return nil
			}
			return n.answer(ctx, tx, target, signer, "Accept", act)
		}, nil
	}
}

// answer queues an Accept or Reject of an activity, embedded as it was received but for its context: all servers match that.
func (n *Node) answer(ctx context.Context, tx *storage.DB, from, to *storage.Actor, kind string, act *Activity) error {
	object := map[string]any{"id": act.ID, "type": act.Type, "actor": act.Actor, "object": act.Object}
	m := map[string]any{"type": kind, "actor": from.IRI, "to": []any{to.IRI}, "object": object}
	return n.send(ctx, tx, from, m, shipment{object: act.ID, inboxes: []storage.IRI{to.Inbox}})
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

// applyUndo takes back a follow. Of a follow that is not here the id is remembered: it may still arrive.
func (n *Node) applyUndo(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		return func(ctx context.Context, tx *storage.DB) error {
			if act.Object != "" && sameOrigin(string(act.Object), string(signer.IRI)) {
				if err := tx.SaveTombstone(ctx, act.Object, signer.IRI); err != nil {
					return err
				}
			}
			f, fact, err := n.followAbout(ctx, tx, act)
			if errors.Is(err, storage.ErrNotFound) || err == nil && fact.actor != signer.IRI {
				return nil
			}
			if err != nil {
				return err
			}
			if f.IRI != act.Object && act.Object != "" {
				// An earlier follow whose Undo was overtaken by a new Follow. An id never seen here is a server's that
				// makes a new one for what it undoes.
				if seen, err := tx.CountActivities(ctx, act.Object, signer.IRI); err != nil || seen > 0 {
					return err
				}
			}
			return tx.DeleteFollow(ctx, f.ID)
		}, nil
	}
}
