package activitypub

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"planet/storage"
)

// moveCooldown is how long after a move another one of the same actor is not followed (Mastodon's).
const moveCooldown = 7 * 24 * time.Hour

// applyMove lets the followers here go along with an actor who moves. Nothing is believed of either side before both
// documents were read anew at their origins: that is a job. What an actor owns or owes does not move.
func (n *Node) applyMove(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		target := act.top.iri("target")
		if target == "" {
			return nil, problem(400, "target", "a Move names its target")
		}
		if act.Object == target {
			return nil, problem(400, "target", "nobody moves to where she is")
		}
		old, err := n.DB.ActorByIRI(ctx, act.Object)
		if errors.Is(err, storage.ErrNotFound) || err == nil && old.Local() {
			return nothing, nil // nobody here follows her
		}
		if err != nil {
			return nil, err
		}
		followed, err := n.DB.FollowedLocally(ctx, old.ID)
		if err != nil || !followed {
			return nothing, err
		}
		return func(ctx context.Context, tx *storage.DB) error {
			return enqueue(ctx, tx, jobMove, string(old.IRI), time.Time{}, work{Object: old.IRI, Target: target, IRI: act.ID})
		}, nil
	}
}

// followAlong is the job of a Move: when both sides say so, each follower here follows the new actor in place of the old.
func (n *Node) followAlong(ctx context.Context, w work) error {
	known, err := n.DB.ActorByIRI(ctx, w.Object)
	if err != nil {
		return err
	}
	old := known
	if !known.Local() {
		if known.MovedAt != nil && n.Now().Sub(*known.MovedAt) < moveCooldown {
			return nil
		}
		if old, err = n.fetchActor(ctx, w.Object); err != nil {
			return err
		}
	}
	var target *storage.Actor
	if n.isOurs(w.Target) {
		target, err = n.DB.ActorByIRI(ctx, w.Target)
	} else {
		target, err = n.fetchActor(ctx, w.Target)
	}
	if err != nil {
		return err
	}
	claimed := slices.Contains(target.AlsoKnownAs, old.IRI)
	confirmed := old.MovedTo == target.IRI || slices.Contains(old.AlsoKnownAs, target.IRI)
	if !claimed || !confirmed || target.MovedTo != "" || target.DeletedAt != nil || target.SuspendedAt != nil || old.SuspendedAt != nil {
		n.count("move.refused")
		return nil
	}
	page := storage.Page{Limit: 100}
	for {
		fs, err := n.DB.Followers(ctx, old.ID, "", page)
		if err != nil {
			return err
		}
		for _, f := range fs {
			if err := n.goAlong(ctx, f, old, target); err != nil {
				return err
			}
			page.MaxID = f.ID
		}
		if len(fs) < page.Limit {
			break
		}
	}
	if old.Local() {
		return nil // Move has marked it
	}
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		a, err := tx.ActorByID(ctx, old.ID)
		if err != nil {
			return err
		}
		now := tx.Now().UTC()
		a.MovedTo, a.MovedAt = target.IRI, &now
		return tx.SaveActor(ctx, a)
	})
}

// goAlong lets one follower of ours follow target in place of old.
func (n *Node) goAlong(ctx context.Context, f storage.Follow, old, target *storage.Actor) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		a, err := tx.ActorByID(ctx, f.ActorID)
		if err != nil || !a.Local() || a.DeletedAt != nil {
			return err
		}
		if blocked, err := tx.Blocked(ctx, a.ID, target.ID); err != nil || blocked {
			return err
		}
		if blocked, err := tx.DomainBlocked(ctx, a.ID, target.ID); err != nil || blocked[target.ID] {
			return err
		}
		if a.ID != target.ID {
			if _, err := n.follow(ctx, tx, By{Actor: a}, target); err != nil {
				return err
			}
		}
		if err := record(ctx, tx, By{Actor: a}, "follow.move", target.IRI); err != nil {
			return err
		}
		return n.endFollow(ctx, tx, a, old)
	})
}

// SetAliases says under which other names an actor of ours is known: a Move from any of them may then come here.
func (n *Node) SetAliases(ctx context.Context, by By, handles []string) error {
	if len(handles) > 10 {
		return invalid("aliases", "at most 10 names")
	}
	var known []storage.IRI
	for _, h := range handles {
		a, err := n.acquaintance(ctx, by, h)
		if err != nil {
			return err
		}
		known = append(known, a.IRI)
	}
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "move"); err != nil {
			return err
		}
		a, err := tx.ActorByID(ctx, by.Actor.ID)
		if err != nil {
			return err
		}
		a.AlsoKnownAs = known
		if err := tx.SaveActor(ctx, a); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "aliases.set", a.IRI); err != nil {
			return err
		}
		return n.announceActor(ctx, tx, a)
	})
	n.Wake()
	return err
}

// Move tells the followers of an actor of ours that it is to be found elsewhere from now on (FEP-7628, push). The new
// actor must name this one among its aliases. Posts, roles and balances stay.
func (n *Node) Move(ctx context.Context, by By, whom string) (*storage.Actor, error) {
	target, err := n.acquaintance(ctx, by, whom)
	if err != nil {
		return nil, err
	}
	if !target.Local() {
		if target, err = n.fetchActor(ctx, target.IRI); err != nil { // its aliases may have been set just now
			return nil, notFound(whom, err)
		}
	}
	if !slices.Contains(target.AlsoKnownAs, by.Actor.IRI) {
		return nil, problem(http.StatusForbidden, "alias", "%s does not say that it is also known as %s: add that alias there first", whom, by.Actor.Handle(n.Host))
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "move"); err != nil {
			return err
		}
		a, err := tx.ActorByID(ctx, by.Actor.ID)
		if err != nil {
			return err
		}
		now := tx.Now().UTC()
		if a.MovedAt != nil && now.Sub(*a.MovedAt) < moveCooldown {
			return problem(http.StatusTooManyRequests, "cooldown", "%s moved on %s, and may move again a week later", a.Username, a.MovedAt.Format(time.DateOnly))
		}
		a.MovedTo, a.MovedAt = target.IRI, &now
		if err := tx.SaveActor(ctx, a); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "move", target.IRI); err != nil {
			return err
		}
		if err := n.announceActor(ctx, tx, a); err != nil {
			return err
		}
		inboxes, err := n.followerInboxes(ctx, tx, a)
		if err != nil {
			return err
		}
		m := map[string]any{"type": "Move", "actor": a.IRI, "object": a.IRI, "target": target.IRI, "to": []any{a.Followers}}
		if err := n.send(ctx, tx, a, m, shipment{inboxes: inboxes, public: true}); err != nil {
			return err
		}
		return enqueueLocalMove(ctx, tx, a, target)
	})
	n.Wake()
	return target, err
}

// enqueueLocalMove lets the followers on this node go along too.
func enqueueLocalMove(ctx context.Context, tx *storage.DB, a, target *storage.Actor) error {
	return enqueue(ctx, tx, jobMove, string(a.IRI), time.Time{}, work{Object: a.IRI, Target: target.IRI})
}
