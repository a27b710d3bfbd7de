package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"planet/storage"
)

// boostToWire is an Announce of ours.
func boostToWire(b *storage.Post, actor, author *storage.Actor, post storage.IRI) map[string]any {
	to, cc := audienceOf(&storage.Post{Visibility: b.Visibility, Mentions: []storage.Mention{{IRI: author.IRI}}}, actor)
	return map[string]any{"id": b.IRI, "type": "Announce", "actor": actor.IRI, "object": post, "published": wireTime(b.PublishedAt), "to": to, "cc": cc}
}

// applyAnnounce keeps a boost. What is shared is never taken from the activity: it is here, or is fetched from its origin,
// and only what everyone may read is shared. A group that passes an activity on (FEP-1b12) is heard when somebody here
// follows it; the activity is looked at where it came from.
func (n *Node) applyAnnounce(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		if len(act.top.list("object")) != 1 || act.Object == "" {
			return nil, problem(400, "object", "an Announce has exactly one object")
		}
		followed, err := n.DB.FollowedLocally(ctx, signer.ID)
		if err != nil {
			return nil, err
		}
		if act.inner != nil && isActivityName(act.inner.kind(nil)) {
			if !followed {
				return nothing, nil
			}
			return n.passedOn(signer, act), nil
		}
		w := work{Object: act.Object, Actor: signer.IRI, IRI: act.ID, Public: slices.ContainsFunc(act.top.iris("to"), isPublic)}
		p, err := n.DB.PostByIRI(ctx, act.Object)
		if errors.Is(err, storage.ErrNotFound) {
			if !followed || n.isOurs(act.Object) {
				return nothing, nil
			}
			return func(ctx context.Context, tx *storage.DB) error {
				return enqueue(ctx, tx, jobBoost, string(act.ID), time.Time{}, w)
			}, nil
		}
		if err != nil {
			return nil, err
		}
		if !followed && !n.isOurs(p.IRI) {
			return nothing, nil
		}
		return func(ctx context.Context, tx *storage.DB) error { return n.storeBoost(ctx, tx, signer, p, w) }, nil
	}
}

// passedOn is what a followed group says that somebody did: posts are looked at where they are.
func (n *Node) passedOn(signer *storage.Actor, act *Activity) effect {
	object := act.inner.iri("object")
	if object == "" || n.isOurs(object) {
		return nothing
	}
	return func(ctx context.Context, tx *storage.DB) error {
		switch act.inner.kind(nil) {
		case "Create":
			return enqueue(ctx, tx, jobBoost, string(act.ID), time.Time{}, work{Object: object, Actor: signer.IRI, IRI: act.ID, Public: true})
		case "Update", "Delete":
			return enqueue(ctx, tx, jobFetch, string(object), time.Time{}, work{Object: object})
		}
		return nil // likes and the rest are counted by those whom they are for
	}
}

// keepBoost is the job of finding what somebody shares.
func (n *Node) keepBoost(ctx context.Context, w work) error {
	actor, err := n.DB.ActorByIRI(ctx, w.Actor)
	if err != nil {
		return err
	}
	p, err := n.DB.PostByIRI(ctx, w.Object)
	if errors.Is(err, storage.ErrNotFound) {
		p, err = n.fetchOpenPost(ctx, w.Object)
	}
	if err != nil {
		return err
	}
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if s, err := tx.StandingOf(ctx, actor.ID); err != nil || s.Suspended || s.Deleted {
			return err
		}
		return n.storeBoost(ctx, tx, actor, p, w)
	})
}

// storeBoost keeps an actor's boost of a post that everyone may read, by an author who is in good standing.
func (n *Node) storeBoost(ctx context.Context, tx *storage.DB, actor *storage.Actor, p *storage.Post, w work) error {
	if gone, err := tx.Tombstoned(ctx, w.IRI, actor.IRI); err != nil || gone {
		return err // its Undo came first
	}
	now, err := tx.PostByID(ctx, p.ID)
	if err != nil {
		return err
	}
	if now.DeletedAt != nil || now.BoostOfID != nil || now.Visibility != storage.Public && now.Visibility != storage.Unlisted {
		return nil
	}
	if s, err := tx.StandingOf(ctx, p.ActorID); err != nil || s.Suspended || s.Deleted {
		return err
	}
	if blocked, err := tx.Blocked(ctx, p.ActorID, actor.ID); err != nil || blocked {
		return err
	}
	b := &storage.Post{IRI: w.IRI, ActorID: actor.ID, BoostOfID: &p.ID, Visibility: storage.Unlisted, URL: p.URL, PublishedAt: n.Now().UTC()}
	if w.Public {
		b.Visibility = storage.Public
	}
	fresh, err := tx.SaveBoost(ctx, b)
	if err != nil || !fresh || !n.isOurs(p.IRI) {
		return err
	}
	return n.tell(ctx, tx, []storage.ID{p.ActorID}, "reblog", actor, p.ID)
}

// Boost shares a post with the followers of an actor of ours. Sharing again changes nothing. ErrNotFound when the post may
// not be read, a Problem when it is not for everyone. Visibility is storage.Public when "".
func (n *Node) Boost(ctx context.Context, by By, post storage.ID, visibility string) (*storage.Post, error) {
	if visibility == "" {
		visibility = storage.Public
	}
	if !slices.Contains([]string{storage.Public, storage.Unlisted, storage.Private}, visibility) {
		return nil, invalid("visibility", "%q is not public, unlisted or private", visibility)
	}
	p, author, err := n.readablePost(ctx, n.DB, post, by)
	if err != nil {
		return nil, err
	}
	own := author.ID == by.Actor.ID
	switch {
	case p.Visibility == storage.Direct, p.Visibility == storage.Private && !own:
		return nil, problem(http.StatusForbidden, "visibility", "this post is not for everyone, and is not shared")
	case p.Visibility == storage.Private:
		visibility = storage.Private
	}
	if may, err := n.permitted(ctx, n.DB, p, author, by.Actor, func(p *storage.Policy) *storage.PolicyRule { return p.Boost }); err != nil {
		return nil, err
	} else if may != mayDo {
		return nil, problem(http.StatusForbidden, "policy", "%s does not let you share this post", author.Handle(n.Host))
	}
	var b *storage.Post
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "boost"); err != nil {
			return err
		}
		b = &storage.Post{ID: tx.NewID(), ActorID: by.Actor.ID, BoostOfID: &p.ID, Visibility: visibility, PublishedAt: n.Now().UTC().Truncate(time.Second)}
		if by.User != nil {
			b.UserID = by.User.ID
		}
		b.IRI = by.Actor.IRI + storage.IRI("/statuses/"+b.ID.String()+"/activity")
		b.URL = p.URL
		fresh, err := tx.SaveBoost(ctx, b)
		if err != nil {
			return err
		}
		if !fresh {
			b, err = tx.BoostBetween(ctx, by.Actor.ID, p.ID)
			return err
		}
		if err := record(ctx, tx, by, "boost.create", p.IRI); err != nil {
			return err
		}
		if author.Local() && !own {
			if err := n.tell(ctx, tx, []storage.ID{author.ID}, "reblog", by.Actor, p.ID); err != nil {
				return err
			}
		}
		return n.sendBoost(ctx, tx, by.Actor, author, b, p, false)
	})
	n.Wake()
	return b, err
}

// sendBoost brings a boost, or its Undo, to the followers and to the author of what is shared.
func (n *Node) sendBoost(ctx context.Context, tx *storage.DB, actor, author *storage.Actor, b, p *storage.Post, undo bool) error {
	inboxes, err := n.followerInboxes(ctx, tx, actor)
	if err != nil {
		return err
	}
	if !author.Local() {
		inbox := author.SharedInbox
		if inbox == "" {
			inbox = author.Inbox
		}
		inboxes = append(inboxes, inbox)
	}
	if undo { // also where nobody follows any more
		told, err := tx.InboxesToldOf(ctx, b)
		if err != nil {
			return err
		}
		inboxes = append(inboxes, told...)
	}
	m := boostToWire(b, actor, author, p.IRI)
	s := shipment{object: b.IRI, line: lineOf(actor.IRI, "shares", p.IRI), inboxes: inboxes, public: b.Visibility != storage.Private}
	if undo {
		return n.undo(ctx, tx, actor, m, m["to"], s)
	}
	return n.send(ctx, tx, actor, m, s)
}

// forgetPost leaves a tombstone where a post of another server was. Whoever of ours shared it has not any more: the followers are told,
// as a server that knows the post by that boost alone may never hear of its end.
func (n *Node) forgetPost(ctx context.Context, tx *storage.DB, p *storage.Post, author *storage.Actor) error {
	boosts, err := tx.LocalBoostsOf(ctx, p.ID)
	if err != nil {
		return err
	}
	for i := range boosts {
		actor, err := tx.ActorByID(ctx, boosts[i].ActorID)
		if err != nil {
			return err
		}
		if err := n.sendBoost(ctx, tx, actor, author, &boosts[i], p, true); err != nil {
			return err
		}
	}
	return tx.DeletePost(ctx, p.ID)
}

// Unboost takes a boost back. ErrNotFound when there is none.
func (n *Node) Unboost(ctx context.Context, by By, post storage.ID) (*storage.Post, error) {
	p, author, err := n.readablePost(ctx, n.DB, post, by)
	if err != nil {
		return nil, err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "boost"); err != nil {
			return err
		}
		b, err := tx.BoostBetween(ctx, by.Actor.ID, p.ID)
		if err != nil {
			return fmt.Errorf("%s has not shared this post: %w", by.Actor.Username, err)
		}
		if err := tx.DeleteBoost(ctx, b); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "boost.undo", p.IRI); err != nil {
			return err
		}
		return n.sendBoost(ctx, tx, by.Actor, author, b, p, true)
	})
	n.Wake()
	return p, err
}
