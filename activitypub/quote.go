package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"planet/storage"
)

// Quotes by consent (FEP-044f): who wants to quote a post of ours asks, and gets a stamp, a document that others look up.

func stampIRI(author storage.IRI, id storage.ID) storage.IRI {
	return author + storage.IRI("/stamps/"+id.String())
}

// stampToWire is a QuoteAuthorization of ours.
func stampToWire(s *storage.Stamp, author *storage.Actor, post storage.IRI) map[string]any {
	return map[string]any{"id": stampIRI(author.IRI, s.ID), "type": "QuoteAuthorization", "attributedTo": author.IRI, "interactingObject": s.Quote, "interactionTarget": post}
}

// applyQuoteRequest answers by the policy of the post, at once.
func (n *Node) applyQuoteRequest(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		quote := act.top.iri("instrument")
		if quote == "" || !sameOrigin(string(quote), string(signer.IRI)) {
			return nil, problem(400, "instrument", "a QuoteRequest names the post that quotes, of its actor's origin, as its instrument")
		}
		if inner := act.top.child("instrument"); inner != nil && inner["attributedTo"] != nil && inner.iri("attributedTo") != signer.IRI {
			return nil, problem(403, "instrument", "the post that quotes is another's")
		}
		p, author, err := n.ourPost(ctx, act.Object, signer)
		if err != nil || p == nil {
			return nothing, err
		}
		return func(ctx context.Context, tx *storage.DB) error {
			if may, err := n.mayQuote(ctx, tx, p, author, signer); err != nil {
				return err
			} else if !may {
				return n.answerWith(ctx, tx, author, signer, "Reject", act, "")
			}
			s := &storage.Stamp{PostID: p.ID, ActorID: signer.ID, Quote: quote}
			if err := tx.SaveStamp(ctx, s); err != nil {
				return err
			}
			if s.RevokedAt != nil { // once taken back, not given again for the asking
				return n.answerWith(ctx, tx, author, signer, "Reject", act, "")
			}
			if err := n.tell(ctx, tx, []storage.ID{author.ID}, "quote", signer, p.ID); err != nil {
				return err
			}
			return n.answerWith(ctx, tx, author, signer, "Accept", act, stampIRI(author.IRI, s.ID))
		}, nil
	}
}

// mayQuote says whether an actor may quote a post of ours.
func (n *Node) mayQuote(ctx context.Context, db *storage.DB, p *storage.Post, author, actor *storage.Actor) (bool, error) {
	if blocked, err := db.Blocked(ctx, author.ID, actor.ID); err != nil || blocked {
		return false, err
	}
	rule := quoteRule(p, author, "")
	if p.Policy != nil && p.Policy.Quote != nil {
		rule = p.Policy.Quote
	}
	follows := false
	if slices.Contains(rule.Automatic, author.Followers) {
		f, err := db.FollowBetween(ctx, actor.ID, author.ID)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return false, err
		}
		follows = err == nil && f.State == storage.FollowAccepted
	}
	return permission(rule, author, actor.IRI, false, follows, false) == mayDo, nil
}

// answerWith queues an Accept or Reject of an activity, embedded as it was received but for its context, with what it
// results in.
func (n *Node) answerWith(ctx context.Context, tx *storage.DB, from, to *storage.Actor, kind string, act *Activity, result storage.IRI) error {
	object := map[string]any{"id": act.ID, "type": act.Type, "actor": act.Actor, "object": act.Object}
	if i := act.top.iri("instrument"); i != "" {
		object["instrument"] = i
	}
	m := map[string]any{"type": kind, "actor": from.IRI, "to": []any{to.IRI}, "object": object}
	if result != "" {
		m["result"] = result
	}
	s := shipment{object: act.ID, inboxes: []storage.IRI{to.Inbox}}
	if act.Type == "Follow" {
		s = answers(from, to, act.ID)
	}
	return n.send(ctx, tx, from, m, s)
}

// getStamp shows leave to quote, until it is revoked.
func (n *Node) getStamp(r *http.Request, by *reader) ([]byte, error) {
	author, err := n.hostOfDocument(r, by)
	if err != nil {
		return nil, err
	}
	id, err := storage.ParseID(r.PathValue("id"))
	if err != nil {
		return nil, storage.ErrNotFound
	}
	s, err := n.DB.StampByID(r.Context(), id)
	if err != nil {
		return nil, err
	}
	p, err := n.DB.PostByID(r.Context(), s.PostID)
	if err != nil {
		return nil, err
	}
	if p.ActorID != author.ID {
		return nil, storage.ErrNotFound
	}
	if s.RevokedAt != nil || p.DeletedAt != nil {
		return nil, gone(stampIRI(author.IRI, s.ID))
	}
	if p.Visibility != storage.Public && p.Visibility != storage.Unlisted {
		if err := n.mustRead(r.Context(), p, author, by); err != nil {
			return nil, err
		}
	}
	doc := stampToWire(s, author, p.IRI)
	doc["@context"] = contextStamp
	return encodePlain(doc)
}

// RevokeQuote takes leave back that was given to quote a post of an actor of ours; the other server is told. ErrNotFound
// when there is none that holds.
func (n *Node) RevokeQuote(ctx context.Context, by By, stamp storage.ID) error {
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "post"); err != nil {
			return err
		}
		s, err := tx.StampByID(ctx, stamp)
		if err != nil {
			return err
		}
		p, err := tx.PostByID(ctx, s.PostID)
		if err != nil {
			return err
		}
		if p.ActorID != by.Actor.ID {
			return fmt.Errorf("leave to quote: %w", storage.ErrNotFound)
		}
		if err := tx.RevokeStamp(ctx, stamp); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "quote.revoke", s.Quote); err != nil {
			return err
		}
		whom, err := tx.ActorByID(ctx, s.ActorID)
		if err != nil {
			return err
		}
		iri := stampIRI(by.Actor.IRI, s.ID)
		m := map[string]any{"type": "Delete", "actor": by.Actor.IRI, "to": []any{whom.IRI}, "object": map[string]any{"id": iri, "type": "Tombstone"}}
		return n.send(ctx, tx, by.Actor, m, shipment{object: iri, inboxes: []storage.IRI{whom.Inbox}})
	})
	n.Wake()
	return err
}
