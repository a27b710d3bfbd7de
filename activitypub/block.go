package activitypub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"planet/storage"
)

func blockToWire(b *storage.Block, actor, target storage.IRI) map[string]any {
	return map[string]any{"id": b.IRI, "type": "Block", "actor": actor, "object": target, "to": []any{target}}
}

// applyBlock ends what was between the sender and one of ours, and keeps it from beginning again.
func (n *Node) applyBlock(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		if from := act.top.iri("target"); from != "" && from != signer.IRI {
			return nothing, nil // a ban from a group or a server (Lemmy), by one who looks after it: nothing between the two
		}
		target, err := n.DB.ActorByIRI(ctx, act.Object)
		if errors.Is(err, storage.ErrNotFound) || err == nil && (!target.Local() || target.DeletedAt != nil) {
			return nothing, nil // a ban from a group elsewhere, say
		}
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, tx *storage.DB) error {
			if gone, err := tx.Tombstoned(ctx, act.ID, signer.IRI); err != nil || gone {
				return err // its Undo came first
			}
			if _, err := tx.SaveBlock(ctx, &storage.Block{IRI: act.ID, ActorID: signer.ID, TargetID: target.ID}); err != nil {
				return err
			}
			for _, pair := range [][2]storage.ID{{signer.ID, target.ID}, {target.ID, signer.ID}} {
				f, err := tx.FollowBetween(ctx, pair[0], pair[1])
				if err == nil {
					err = tx.DeleteFollow(ctx, f.ID)
				}
				if err != nil && !errors.Is(err, storage.ErrNotFound) {
					return err
				}
			}
			return nil
		}, nil
	}
}

// Block makes sure that an actor of ours and another one do not meet: follows in both directions end, what the other says
// to her does not arrive, and hers is not shown to the other when she asks by name. The other's server is told.
func (n *Node) Block(ctx context.Context, by By, whom string) (*storage.Actor, error) {
	target, err := n.acquaintance(ctx, by, whom)
	if err != nil {
		return nil, err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "block"); err != nil {
			return err
		}
		b := &storage.Block{IRI: storage.IRI(n.Origin + "/activities/" + tx.NewID().String()), ActorID: by.Actor.ID, TargetID: target.ID}
		fresh, err := tx.SaveBlock(ctx, b)
		if err != nil || !fresh {
			return err
		}
		if err := record(ctx, tx, by, "block.create", target.IRI); err != nil {
			return err
		}
		if err := n.endFollow(ctx, tx, by.Actor, target); err != nil {
			return err
		}
		if err := n.endFollower(ctx, tx, by.Actor, target); err != nil {
			return err
		}
		if target.Local() {
			return nil
		}
		return n.send(ctx, tx, by.Actor, blockToWire(b, by.Actor.IRI, target.IRI), shipment{object: b.IRI, line: lineOf(by.Actor.IRI, "blocks", target.IRI), inboxes: []storage.IRI{target.Inbox}})
	})
	n.Wake()
	return target, err
}

// acquaintance resolves whom an actor of ours wants to block, mute or report: anyone but herself and the node.
func (n *Node) acquaintance(ctx context.Context, by By, whom string) (*storage.Actor, error) {
	target, err := n.Resolve(ctx, whom)
	if err != nil {
		return nil, err
	}
	if target.ID == by.Actor.ID {
		return nil, invalid("handle", "%s is the one who acts", whom)
	}
	if target.Local() && (target.Type == storage.Application || target.Type == storage.Service) {
		return nil, invalid("handle", "%s is the node itself", whom)
	}
	return target, nil
}

// endFollow takes back that actor follows target, if it does, and tells target's server.
func (n *Node) endFollow(ctx context.Context, tx *storage.DB, actor, target *storage.Actor) error {
	f, err := tx.FollowBetween(ctx, actor.ID, target.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := tx.DeleteFollow(ctx, f.ID); err != nil || target.Local() {
		return err
	}
	return n.undo(ctx, tx, actor, followToWire(f, actor.IRI, target.IRI), []any{target.IRI}, shipment{object: f.IRI, line: lineOf(actor.IRI, "follows", target.IRI), inboxes: []storage.IRI{target.Inbox}})
}

// endFollower ends that follower follows actor, or asks to, and tells its server.
func (n *Node) endFollower(ctx context.Context, tx *storage.DB, actor, follower *storage.Actor) error {
	f, err := tx.FollowBetween(ctx, follower.ID, actor.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := tx.DeleteFollow(ctx, f.ID); err != nil || follower.Local() {
		return err
	}
	return n.answerFollow(ctx, tx, "Reject", f, follower, actor)
}

// Unblock takes a block back. ErrNotFound when there is none.
func (n *Node) Unblock(ctx context.Context, by By, whom string) (*storage.Actor, error) {
	target, err := n.acquaintance(ctx, by, whom)
	if err != nil {
		return nil, err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "block"); err != nil {
			return err
		}
		b, err := tx.BlockBetween(ctx, by.Actor.ID, target.ID)
		if err != nil {
			return fmt.Errorf("%s does not block %s: %w", by.Actor.Username, whom, err)
		}
		if err := tx.DeleteBlock(ctx, b.ID); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "block.undo", target.IRI); err != nil {
			return err
		}
		if target.Local() {
			return nil
		}
		return n.undo(ctx, tx, by.Actor, blockToWire(b, by.Actor.IRI, target.IRI), []any{target.IRI}, shipment{object: b.IRI, line: lineOf(by.Actor.IRI, "blocks", target.IRI), inboxes: []storage.IRI{target.Inbox}})
	})
	n.Wake()
	return target, err
}

// Mute hides what an actor says from one of ours, for a while or, when that is 0, until it is taken back. Nobody else
// learns of it.
func (n *Node) Mute(ctx context.Context, by By, whom string, lasts time.Duration) (*storage.Actor, error) {
	target, err := n.acquaintance(ctx, by, whom)
	if err != nil {
		return nil, err
	}
	m := &storage.Mute{ActorID: by.Actor.ID, TargetID: target.ID}
	if lasts > 0 {
		end := n.Now().UTC().Add(lasts)
		m.ExpiresAt = &end
	}
	return target, n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "block"); err != nil {
			return err
		}
		if err := tx.SaveMute(ctx, m); err != nil {
			return err
		}
		return record(ctx, tx, by, "mute.create", target.IRI)
	})
}

// Unmute takes a mute back. ErrNotFound when there is none.
func (n *Node) Unmute(ctx context.Context, by By, whom string) (*storage.Actor, error) {
	target, err := n.acquaintance(ctx, by, whom)
	if err != nil {
		return nil, err
	}
	return target, n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "block"); err != nil {
			return err
		}
		if err := tx.DeleteMute(ctx, by.Actor.ID, target.ID); err != nil {
			return fmt.Errorf("%s does not mute %s: %w", by.Actor.Username, whom, err)
		}
		return record(ctx, tx, by, "mute.undo", target.IRI)
	})
}
