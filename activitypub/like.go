package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"planet/storage"
)

// likeToWire is a Like of ours.
func likeToWire(l *storage.Like, actor, author, post storage.IRI) map[string]any {
	return map[string]any{"id": l.IRI, "type": "Like", "actor": actor, "object": post, "to": []any{author}}
}

// applyLike counts a like, or a reaction with an emoji, of a post of ours that the sender may read.
func (n *Node) applyLike(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		p, author, err := n.ourPost(ctx, act.Object, signer)
		if err != nil || p == nil {
			return nothing, err
		}
		emoji, _ := act.top.text("content")
		if emoji == "" {
			emoji = act.top.str("_misskey_reaction")
		}
		return func(ctx context.Context, tx *storage.DB) error {
			if gone, err := tx.Tombstoned(ctx, act.ID, signer.IRI); err != nil || gone {
				return err // its Undo came first
			}
			fresh, err := tx.SaveLike(ctx, &storage.Like{IRI: act.ID, ActorID: signer.ID, PostID: p.ID, Content: clip(plainText(emoji), 100)})
			if err != nil || !fresh {
				return err
			}
			return n.tell(ctx, tx, []storage.ID{author.ID}, "favourite", signer, p.ID)
		}, nil
	}
}

// ourPost finds a post of this node that an actor elsewhere does something with: nil, without an error, when there is none
// that she may read, so that nobody learns what is here.
func (n *Node) ourPost(ctx context.Context, iri storage.IRI, actor *storage.Actor) (*storage.Post, *storage.Actor, error) {
	if !n.isOurs(iri) {
		return nil, nil, nil
	}
	p, err := n.DB.PostByIRI(ctx, iri)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (p.DeletedAt != nil || p.BoostOfID != nil) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if may, err := n.mayRead(ctx, p, actor); err != nil || !may {
		return nil, nil, err
	}
	author, err := n.DB.ActorByID(ctx, p.ActorID)
	return p, author, err
}

// readablePost finds a post that an actor of ours wants to do something with. ErrNotFound when she may not read it, or when its
// author is suspended: with her nobody has to do.
func (n *Node) readablePost(ctx context.Context, db *storage.DB, id storage.ID, by By) (*storage.Post, *storage.Actor, error) {
	p, err := db.PostByID(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if p.BoostOfID != nil { // what is liked or shared is what was shared
		if p, err = db.PostByID(ctx, *p.BoostOfID); err != nil {
			return nil, nil, err
		}
	}
	if p.DeletedAt != nil {
		return nil, nil, storage.ErrNotFound
	}
	if may, err := n.mayRead(ctx, p, by.Actor); err != nil || !may {
		return nil, nil, errors.Join(err, storage.ErrNotFound)
	}
	author, err := db.ActorByID(ctx, p.ActorID)
	if err == nil && author.SuspendedAt != nil {
		err = storage.ErrNotFound
	}
	return p, author, err
}

// Like says that an actor of ours likes a post. Liking again changes nothing. ErrNotFound when it may not be read.
func (n *Node) Like(ctx context.Context, by By, post storage.ID) (*storage.Post, error) {
	p, author, err := n.readablePost(ctx, n.DB, post, by)
	if err != nil {
		return nil, err
	}
	if may, err := n.permitted(ctx, n.DB, p, author, by.Actor, func(p *storage.Policy) *storage.PolicyRule { return p.Like }); err != nil {
		return nil, err
	} else if may == mayNot {
		return nil, problem(http.StatusForbidden, "policy", "%s does not let you like this post", author.Handle(n.Host))
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "like"); err != nil {
			return err
		}
		l := &storage.Like{IRI: storage.IRI(n.Origin + "/activities/" + tx.NewID().String()), ActorID: by.Actor.ID, PostID: p.ID}
		fresh, err := tx.SaveLike(ctx, l)
		if err != nil || !fresh {
			return err
		}
		if err := record(ctx, tx, by, "like.create", p.IRI); err != nil {
			return err
		}
		if author.Local() {
			return n.tell(ctx, tx, []storage.ID{author.ID}, "favourite", by.Actor, p.ID)
		}
		return n.send(ctx, tx, by.Actor, likeToWire(l, by.Actor.IRI, author.IRI, p.IRI), shipment{object: l.IRI, line: lineOf(by.Actor.IRI, "likes", p.IRI), inboxes: []storage.IRI{author.Inbox}})
	})
	n.Wake()
	return p, err
}

// Unlike takes a like back. ErrNotFound when there is none.
func (n *Node) Unlike(ctx context.Context, by By, post storage.ID) (*storage.Post, error) {
	p, author, err := n.readablePost(ctx, n.DB, post, by)
	if err != nil {
		return nil, err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "like"); err != nil {
			return err
		}
		l, err := tx.LikeBetween(ctx, by.Actor.ID, p.ID)
		if err != nil {
			return fmt.Errorf("%s does not like this post: %w", by.Actor.Username, err)
		}
		if err := tx.DeleteLike(ctx, l); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "like.undo", p.IRI); err != nil {
			return err
		}
		if author.Local() {
			return nil
		}
		return n.undo(ctx, tx, by.Actor, likeToWire(l, by.Actor.IRI, author.IRI, p.IRI), []any{author.IRI}, shipment{object: l.IRI, line: lineOf(by.Actor.IRI, "likes", p.IRI), inboxes: []storage.IRI{author.Inbox}})
	})
	n.Wake()
	return p, err
}

// undo takes back an activity of ours, which it embeds whole: all servers match that.
func (n *Node) undo(ctx context.Context, tx *storage.DB, from *storage.Actor, of map[string]any, to any, s shipment) error {
	s.supersede = storage.SupersedeAll
	return n.send(ctx, tx, from, map[string]any{"type": "Undo", "actor": from.IRI, "to": to, "object": of}, s)
}
