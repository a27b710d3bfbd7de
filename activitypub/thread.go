package activitypub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"planet/storage"
)

// Posts that nobody brought here are asked for where they are: what somebody answers, shares or pins. Each search is a job
// with a budget of requests, or a person's own wish.

// fetchPost asks another server for a post and keeps it. A document that says that somebody said it leads to what was said.
func (n *Node) fetchPost(ctx context.Context, iri storage.IRI) (*storage.Post, error) {
	return n.fetchPostOf(ctx, iri, nil)
}

// fetchOpenPost is fetchPost for what somebody shares: of a post that is not for everyone nothing is kept.
func (n *Node) fetchOpenPost(ctx context.Context, iri storage.IRI) (*storage.Post, error) {
	return n.fetchPostOf(ctx, iri, everyone)
}

// fetchSought is for a post that is searched for because of another one: what is answered, quoted or pinned. What it answers and quotes
// itself is not owed another search, or there would be no end.
func (n *Node) fetchSought(ctx context.Context, iri storage.IRI, visibilities []string) (*storage.Post, error) {
	if p, err := n.DB.PostByIRI(ctx, iri); !errors.Is(err, storage.ErrNotFound) {
		return p, err
	}
	a, err := n.fetchArrival(ctx, iri)
	if err != nil {
		return nil, err
	}
	a.sought = true
	return n.keepFetched(ctx, iri, a, visibilities)
}

// fetchPostOf keeps a post if it has one of the visibilities, nil for any.
func (n *Node) fetchPostOf(ctx context.Context, iri storage.IRI, visibilities []string) (*storage.Post, error) {
	if p, err := n.DB.PostByIRI(ctx, iri); !errors.Is(err, storage.ErrNotFound) {
		return p, err
	}
	a, err := n.fetchArrival(ctx, iri)
	if err != nil {
		return nil, err
	}
	return n.keepFetched(ctx, iri, a, visibilities)
}

func (n *Node) keepFetched(ctx context.Context, iri storage.IRI, a *arrival, visibilities []string) (*storage.Post, error) {
	if visibilities != nil && !slices.Contains(visibilities, a.post.Visibility) {
		return nil, fmt.Errorf("%s is not for everyone: %w", iri, storage.ErrNotFound)
	}
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error { return n.keepNew(ctx, tx, a) })
	if err != nil {
		return nil, err
	}
	return n.DB.PostByIRI(ctx, a.post.IRI)
}

// ResolvePost finds a post that by's actor may read, by its id or by the address of its page, here or elsewhere; one that is
// not here is fetched. What shares a post leads to that. InvalidError when address is none; ErrNotFound wrapped when there is
// nothing that she may read.
func (n *Node) ResolvePost(ctx context.Context, by By, address string) (*storage.Post, error) {
	address = strings.TrimSpace(address)
	if _, err := parseAddress(address); err != nil {
		return nil, invalid("post", "%v", err)
	}
	p, err := n.postAt(ctx, address)
	if err == nil && p.BoostOfID != nil {
		p, err = n.DB.PostByID(ctx, *p.BoostOfID)
	}
	if err == nil && p.DeletedAt != nil {
		err = storage.ErrNotFound
	}
	if err == nil {
		var may bool
		if may, err = n.mayRead(ctx, p, by.Actor); err == nil && !may {
			err = storage.ErrNotFound
		}
	}
	if err == nil {
		var s storage.Standing
		if s, err = n.DB.StandingOf(ctx, p.ActorID); err == nil && (s.Suspended || s.Deleted) {
			err = storage.ErrNotFound
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the post %s: %w", address, err)
	}
	return p, nil
}

// postAt finds what is at an address of a post. The pages of ours are known by their form (see Publish), those of others are
// asked.
func (n *Node) postAt(ctx context.Context, address string) (*storage.Post, error) {
	if !n.isOurs(storage.IRI(address)) {
		return n.fetchPost(ctx, storage.IRI(address))
	}
	_, last, page := strings.Cut(address, "/@")
	if !page {
		return n.DB.PostByIRI(ctx, storage.IRI(address))
	}
	_, last, _ = strings.Cut(last, "/")
	id, err := storage.ParseID(last)
	if err != nil {
		return nil, storage.ErrNotFound
	}
	p, err := n.DB.PostByID(ctx, id)
	if err == nil && p.URL != address {
		err = storage.ErrNotFound
	}
	return p, err
}

// fetchArrival reads a post at its origin, with its author.
func (n *Node) fetchArrival(ctx context.Context, iri storage.IRI) (*arrival, error) {
	for range 2 {
		if n.isOurs(iri) {
			return nil, storage.ErrNotFound
		}
		raw, err := n.fetch(ctx, iri)
		if err != nil {
			return nil, err
		}
		o := parseObject(raw)
		kind := o.kind(isNoteType)
		if kind == "Create" {
			iri = o.iri("object")
			continue
		}
		if kind == "Tombstone" {
			return nil, &FetchError{URL: string(iri), Status: 410, Gone: true}
		}
		id := o.str("id")
		owner := ownerOf(o)
		if !isNoteType(kind) || owner == "" || !sameOrigin(string(owner), id) {
			return nil, problem(422, "object", "%s is not a post of one author at its origin", iri)
		}
		author, err := n.actor(ctx, owner)
		if err != nil {
			return nil, err
		}
		if author.SuspendedAt != nil || author.DeletedAt != nil {
			return nil, problem(403, "suspended", "this node has nothing to do with %s", author.IRI)
		}
		return n.readArrival(ctx, o, raw, author)
	}
	return nil, problem(422, "object", "%s does not lead to a post", iri)
}

// ownerOf is who said something: the one in attributedTo, or of a medium in a channel the person. "" when that is ambiguous.
func ownerOf(o object) storage.IRI {
	owners := o.iris("attributedTo")
	switch {
	case len(owners) == 1:
		return owners[0]
	case len(owners) > 1 && isMedium(o.kind(isNoteType)):
		for _, raw := range o.list("attributedTo") {
			if c := parseObject(raw); c != nil && c.kind(nil) == storage.Person && slices.ContainsFunc(owners, func(i storage.IRI) bool { return sameOrigin(string(i), string(iriOf(raw))) }) {
				return iriOf(raw)
			}
		}
	}
	return ""
}

// completeThread is the job of finding what a post answers, and what that answers, up to the first one that is here, as
// far as the budget goes.
func (n *Node) completeThread(ctx context.Context, post storage.ID) error {
	p, err := n.DB.PostByID(ctx, post)
	for err == nil && p.InReplyTo != "" && p.InReplyToID == nil && p.DeletedAt == nil {
		if n.isOurs(p.InReplyTo) {
			return nil
		}
		p, err = n.fetchSought(ctx, p.InReplyTo, nil)
	}
	return err
}

// lookAgain is the job of asking an object's origin what has become of it: an edit is kept, and what is gone is forgotten.
// Something new is kept only when it concerns somebody here.
func (n *Node) lookAgain(ctx context.Context, iri storage.IRI) error {
	a, err := n.fetchArrival(ctx, iri)
	var fe *FetchError
	if errors.As(err, &fe) && fe.Gone {
		return n.DB.Transaction(ctx, func(tx *storage.DB) error {
			p, err := tx.PostByIRI(ctx, iri)
			if err != nil || n.isOurs(iri) || p.DeletedAt != nil {
				return err
			}
			author, err := tx.ActorByID(ctx, p.ActorID)
			if err != nil {
				return err
			}
			if err := tx.SaveTombstone(ctx, iri, author.IRI); err != nil {
				return err
			}
			return n.forgetPost(ctx, tx, p, author)
		})
	}
	if err != nil {
		return err
	}
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		old, err := tx.PostByIRI(ctx, a.post.IRI)
		if errors.Is(err, storage.ErrNotFound) {
			if !a.related {
				return nil
			}
			return n.keepNew(ctx, tx, a)
		}
		if err != nil {
			return err
		}
		return n.keepEdit(ctx, tx, a, old)
	})
}

// asked is whom a post of ours asks for leave to answer, "" when it is no such post.
func (n *Node) asked(ctx context.Context, reply storage.IRI) (storage.IRI, error) {
	if !n.isOurs(reply) {
		return "", nil
	}
	p, err := n.DB.PostByIRI(ctx, reply)
	if errors.Is(err, storage.ErrNotFound) || err == nil && (p.Approval == "" || p.InReplyToID == nil) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	parent, err := n.DB.PostByID(ctx, *p.InReplyToID)
	if err != nil {
		return "", err
	}
	author, err := n.DB.ActorByID(ctx, parent.ActorID)
	if err != nil {
		return "", err
	}
	return author.IRI, nil
}

// applyReplyAnswer is what the author of a post says to our answer: yes, and it goes to everyone whom it is for; or no.
func (n *Node) applyReplyAnswer(_ *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		result := act.top.iri("result")
		if act.Type == "Accept" && (result == "" || !sameOrigin(string(result), string(act.Actor))) {
			return nil, problem(400, "result", "leave to answer is an object at its giver's origin")
		}
		return func(ctx context.Context, tx *storage.DB) error {
			p, err := tx.PostByIRI(ctx, act.Object)
			if err != nil || p.DeletedAt != nil {
				return err
			}
			if act.Type == "Reject" {
				return tx.SetApproval(ctx, p.ID, storage.ApprovalRejected)
			}
			if p.Approval != storage.ApprovalPending {
				return nil
			}
			if p.Approval = string(result); len(p.Approval) > 2048 {
				return nil
			}
			if err := tx.SetApproval(ctx, p.ID, p.Approval); err != nil {
				return err
			}
			author, err := tx.ActorByID(ctx, p.ActorID)
			if err != nil {
				return err
			}
			return n.sendPost(ctx, tx, author, p, p.Mentions, "Create")
		}, nil
	}
}
