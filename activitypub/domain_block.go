package activitypub

import (
	"context"

	"planet/storage"
)

// maxDomainBlocks is how many domains one actor may block: each timeline asks for them.
const maxDomainBlocks = 1000

// BlockDomain keeps everybody of a domain away from an actor of ours: follows in both directions end, what she was told of them goes, and nothing from there is shown to her. InvalidError
// when it is no domain, or this node's own.
func (n *Node) BlockDomain(ctx context.Context, by By, domain string) error {
	name, err := n.RuleDomain(domain)
	if err != nil {
		return err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "block"); err != nil {
			return err
		}
		if all, err := tx.CountDomainBlocks(ctx, by.Actor.ID); err != nil {
			return err
		} else if all >= maxDomainBlocks {
			return invalid("domain", "at most %d domains can be blocked", maxDomainBlocks)
		}
		fresh, err := tx.SaveDomainBlock(ctx, &storage.DomainBlock{ActorID: by.Actor.ID, Domain: name})
		if err != nil || !fresh {
			return err
		}
		if err := record(ctx, tx, by, "domain.block", storage.IRI(name)); err != nil {
			return err
		}
		followed, followers, err := tx.FollowsWith(ctx, by.Actor.ID, name)
		if err != nil {
			return err
		}
		for i := range followed {
			if err := n.endFollow(ctx, tx, by.Actor, &followed[i]); err != nil {
				return err
			}
		}
		for i := range followers {
			if err := n.endFollower(ctx, tx, by.Actor, &followers[i]); err != nil {
				return err
			}
		}
		return tx.ForgetNewsFrom(ctx, by.Actor.ID, name)
	})
	n.Wake()
	return err
}

// UnblockDomain takes that back; the follows that have ended stay so. ErrNotFound when the domain is not blocked.
func (n *Node) UnblockDomain(ctx context.Context, by By, domain string) error {
	name, err := n.RuleDomain(domain)
	if err != nil {
		return err
	}
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "block"); err != nil {
			return err
		}
		if err := tx.DeleteDomainBlock(ctx, by.Actor.ID, name); err != nil {
			return err
		}
		return record(ctx, tx, by, "domain.unblock", storage.IRI(name))
	})
}
