package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"planet/storage"
)

// Quotes by consent (FEP-044f): who wants to quote a post of ours asks, and gets a stamp, a document that others look up. Of quotes
// elsewhere the stamp is looked up by us.

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

// askForQuote owes the look at the stamp that lets a post of another server quote what it quotes.
func (n *Node) askForQuote(ctx context.Context, tx *storage.DB, p *storage.Post) error {
	if p.Quote == "" {
		return nil
	}
	return enqueue(ctx, tx, jobQuote, p.ID.String(), time.Time{}, work{Post: p.ID})
}

// checkQuote is the job of asking whether a post of another server may quote what it quotes. What its author claims counts for
// nothing; until the quoted author's server says so, and once it does not any more, what is quoted is not shown.
func (n *Node) checkQuote(ctx context.Context, post storage.ID) error {
	p, err := n.DB.PostByID(ctx, post)
	if err != nil || p.Quote == "" {
		return err
	}
	author, err := n.leaveToQuote(ctx, p)
	if err != nil && !final(err) {
		return err // what was known before holds until the other server answers
	}
	why := err
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if author != nil {
			if gone, err := tx.Tombstoned(ctx, p.QuoteApproval, author.IRI); err != nil {
				return err
			} else if gone {
				author = nil // she has revoked it meanwhile
			}
		}
		return tx.AllowQuote(ctx, p, author != nil)
	})
	return errors.Join(err, why)
}

// leaveToQuote finds the author who lets p quote her: nil when nobody does. Who quotes herself needs no leave; a stamp of another
// is a document of the quoted author's server, and names her, both posts and nothing else (FEP-044f).
func (n *Node) leaveToQuote(ctx context.Context, p *storage.Post) (*storage.Actor, error) {
	self, err := n.DB.ActorByID(ctx, p.ActorID)
	if err != nil {
		return nil, err
	}
	var by storage.IRI // who gives leave
	switch {
	case p.QuoteApproval == "":
		by = self.IRI
	case !sameOrigin(string(p.QuoteApproval), string(p.Quote)):
		return nil, nil
	case n.isOurs(p.QuoteApproval):
		if by, err = n.ourStamp(ctx, p); err != nil {
			return nil, err
		}
	default:
		raw, err := n.fetch(ctx, p.QuoteApproval)
		if err != nil {
			return nil, err
		}
		o := parseObject(raw)
		if o.kind(nil) != "QuoteAuthorization" || o.iri("interactingObject") != p.IRI || o.iri("interactionTarget") != p.Quote {
			return nil, nil
		}
		by = o.iri("attributedTo")
	}
	if by == "" || !sameOrigin(string(by), string(p.Quote)) {
		return nil, nil
	}
	quoted, err := n.DB.PostByIRI(ctx, p.Quote)
	if errors.Is(err, storage.ErrNotFound) && !n.isOurs(p.Quote) {
		quoted, err = n.fetchSought(ctx, p.Quote, everyone)
	}
	if err != nil {
		return nil, err
	}
	author, err := n.DB.ActorByID(ctx, quoted.ActorID)
	if err != nil || author.IRI != by || quoted.DeletedAt != nil {
		return nil, err
	}
	return author, nil
}

// ourStamp finds the author of ours who gave the leave that a post elsewhere claims, "" when it was not given or is taken back.
func (n *Node) ourStamp(ctx context.Context, p *storage.Post) (storage.IRI, error) {
	quoted, err := n.DB.PostByIRI(ctx, p.Quote)
	if err != nil {
		return "", err
	}
	author, err := n.DB.ActorByID(ctx, quoted.ActorID)
	if err != nil {
		return "", err
	}
	id, err := storage.ParseID(strings.TrimPrefix(string(p.QuoteApproval), string(author.IRI)+"/stamps/"))
	if err != nil {
		return "", nil
	}
	s, err := n.DB.StampByID(ctx, id)
	if err != nil || s.PostID != quoted.ID || s.Quote != p.IRI || s.RevokedAt != nil {
		return "", err
	}
	return author.IRI, nil
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
		if err := tx.DisallowQuotes(ctx, iri, by.Actor.ID); err != nil {
			return err
		}
		m := map[string]any{"type": "Delete", "actor": by.Actor.IRI, "to": []any{whom.IRI}, "object": map[string]any{"id": iri, "type": "Tombstone"}}
		return n.send(ctx, tx, by.Actor, m, shipment{object: iri, inboxes: []storage.IRI{whom.Inbox}})
	})
	n.Wake()
	return err
}
