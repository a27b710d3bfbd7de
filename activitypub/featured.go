package activitypub

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"planet/storage"
)

const (
	maxPins     = 5
	maxFeatured = 20 // that are read of an actor elsewhere
)

// applyFeatured keeps what an actor elsewhere pins to its profile, or takes off it (Add and Remove).
func (n *Node) applyFeatured(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		if act.Object == "" || act.top.iri("target") != signer.Featured || !sameOrigin(string(act.Object), string(signer.IRI)) {
			return nothing, nil // moderators, members, tags: not kept here
		}
		p, err := n.DB.PostByIRI(ctx, act.Object)
		if errors.Is(err, storage.ErrNotFound) {
			followed, err := n.DB.FollowedLocally(ctx, signer.ID)
			if err != nil || !followed || act.Type == "Remove" {
				return nothing, err
			}
			return func(ctx context.Context, tx *storage.DB) error {
				return enqueue(ctx, tx, jobPin, string(act.Object), time.Time{}, work{Object: act.Object, Actor: signer.IRI})
			}, nil
		}
		if err != nil || p.ActorID != signer.ID || p.DeletedAt != nil {
			return nothing, err
		}
		return func(ctx context.Context, tx *storage.DB) error {
			if act.Type == "Remove" {
				if err := tx.DeletePin(ctx, signer.ID, p.ID); !errors.Is(err, storage.ErrNotFound) {
					return err
				}
				return nil
			}
			return n.pin(ctx, tx, signer.ID, p.ID)
		}, nil
	}
}

// pin keeps a pin of an actor elsewhere; of too many the latest are not kept.
func (n *Node) pin(ctx context.Context, tx *storage.DB, actor, post storage.ID) error {
	count, err := tx.CountPins(ctx, actor)
	if err != nil || count >= 50 {
		return err
	}
	return tx.SavePin(ctx, actor, post)
}

// keepPin is the job of finding what somebody pins.
func (n *Node) keepPin(ctx context.Context, w work) error {
	p, err := n.fetchSought(ctx, w.Object, everyone)
	if err != nil {
		return err
	}
	a, err := n.DB.ActorByIRI(ctx, w.Actor)
	if err != nil || a.ID != p.ActorID || p.DeletedAt != nil || p.BoostOfID != nil {
		return err
	}
	return n.DB.Transaction(ctx, func(tx *storage.DB) error { return n.pin(ctx, tx, a.ID, p.ID) })
}

// askForPins owes the look at what an actor elsewhere has pinned.
func askForPins(ctx context.Context, tx *storage.DB, a *storage.Actor) error {
	if a.Featured == "" || a.SuspendedAt != nil || a.DeletedAt != nil {
		return nil
	}
	return enqueue(ctx, tx, jobPins, string(a.IRI), time.Time{}, work{Actor: a.IRI})
}

// keepPins is the job of reading an actor's featured collection when somebody here begins to follow or looks for her; later Add and
// Remove tell the rest. Only ids count, of her own host; the posts are fetched, as many as the budget allows.
func (n *Node) keepPins(ctx context.Context, actor storage.IRI) error {
	a, err := n.DB.ActorByIRI(ctx, actor)
	if err != nil || a.Featured == "" || a.SuspendedAt != nil || a.DeletedAt != nil {
		return err
	}
	items, err := n.itemsOf(ctx, a.Featured)
	if err != nil {
		return err
	}
	items = slices.DeleteFunc(items, func(i storage.IRI) bool { return !sameOrigin(string(i), string(a.IRI)) })
	items = items[:min(len(items), maxFeatured)]
	var later error
	for _, i := range slices.Backward(items) { // the first one stays on top
		err := n.keepPin(ctx, work{Object: i, Actor: a.IRI})
		switch {
		case errors.Is(err, errBudget):
			return err
		case err != nil && !final(err):
			later = err
		}
	}
	return later
}

// itemsOf are the ids in a collection elsewhere, or on its first page.
func (n *Node) itemsOf(ctx context.Context, collection storage.IRI) ([]storage.IRI, error) {
	for at := collection; ; {
		raw, err := n.fetch(ctx, at)
		if err != nil {
			return nil, err
		}
		o := parseObject(raw)
		if items := append(o.iris("orderedItems"), o.iris("items")...); len(items) > 0 || at != collection {
			return items, nil
		}
		if first := o.child("first"); first != nil {
			return append(first.iris("orderedItems"), first.iris("items")...), nil
		}
		if at = o.iri("first"); at == "" || at == collection || !sameOrigin(string(at), string(collection)) {
			return nil, nil
		}
	}
}

// Pin puts a post of an actor of ours on top of its profile; Unpin takes it off. Only what everyone may read is pinned.
func (n *Node) Pin(ctx context.Context, by By, post storage.ID) error {
	return n.setPin(ctx, by, post, "Add")
}

// Unpin takes a post off the top of a profile. ErrNotFound when it is not there.
func (n *Node) Unpin(ctx context.Context, by By, post storage.ID) error {
	return n.setPin(ctx, by, post, "Remove")
}

func (n *Node) setPin(ctx context.Context, by By, post storage.ID, kind string) error {
	p, err := n.ownPost(ctx, by, post)
	if err != nil {
		return err
	}
	if p.BoostOfID != nil || p.Visibility != storage.Public && p.Visibility != storage.Unlisted {
		return problem(http.StatusForbidden, "visibility", "only posts of one's own that everyone may read are pinned")
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "post"); err != nil {
			return err
		}
		act := "post.pin"
		if kind == "Add" {
			count, err := tx.CountPins(ctx, by.Actor.ID)
			if err != nil {
				return err
			}
			if count >= maxPins {
				return invalid("post", "at most %d posts are pinned: take one off first", maxPins)
			}
			if err := tx.SavePin(ctx, by.Actor.ID, p.ID); err != nil {
				return err
			}
		} else {
			act = "post.unpin"
			if err := tx.DeletePin(ctx, by.Actor.ID, p.ID); err != nil {
				return err
			}
		}
		if err := record(ctx, tx, by, act, p.IRI); err != nil {
			return err
		}
		inboxes, err := n.followerInboxes(ctx, tx, by.Actor)
		if err != nil {
			return err
		}
		m := map[string]any{"type": kind, "actor": by.Actor.IRI, "object": p.IRI, "target": by.Actor.Featured, "to": []any{publicAddress}, "cc": []any{by.Actor.Followers}}
		return n.send(ctx, tx, by.Actor, m, shipment{object: p.IRI, inboxes: inboxes, public: true})
	})
	n.Wake()
	return err
}

// Bookmark keeps a post for an actor of ours to find again; nobody else learns of it. keep false lets go of it.
func (n *Node) Bookmark(ctx context.Context, by By, post storage.ID, keep bool) error {
	p, _, err := n.readablePost(ctx, n.DB, post, by)
	if err != nil {
		return err
	}
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "like"); err != nil {
			return err
		}
		if !keep {
			return tx.DeleteBookmark(ctx, by.Actor.ID, p.ID)
		}
		return tx.SaveBookmark(ctx, by.Actor.ID, p.ID)
	})
}
