package activitypub

import (
	"context"
	"errors"
	"slices"

	"planet/storage"
)

// Limits of a report (Mastodon's).
const (
	maxReportRunes = 5000
	maxReportPosts = 50
)

// applyFlag files a report about somebody here. The reporter is who signed, which is often another server's own actor.
func (n *Node) applyFlag(signer *storage.Actor) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		r := &storage.Report{IRI: act.ID, ReporterID: signer.ID}
		text, _ := act.top.text("content")
		if text == "" { // Lemmy's word for it
			text, _ = act.top.text("summary")
		}
		r.Comment = clip(plainText(text), maxReportRunes)
		for _, i := range act.top.iris("object") {
			if !n.isOurs(i) {
				continue
			}
			if a, err := n.DB.ActorByIRI(ctx, i); err == nil && a.DeletedAt == nil && (r.TargetID == 0 || r.TargetID == a.ID) {
				r.TargetID = a.ID
				continue
			} else if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return nil, err
			}
			p, err := n.DB.PostByIRI(ctx, i)
			if errors.Is(err, storage.ErrNotFound) || err == nil && (p.DeletedAt != nil || r.TargetID != 0 && p.ActorID != r.TargetID || len(r.Posts) >= maxReportPosts) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if r.TargetID = p.ActorID; !slices.Contains(r.Posts, p.ID) {
				r.Posts = append(r.Posts, p.ID)
			}
		}
		if r.TargetID == 0 {
			return nothing, nil
		}
		return func(ctx context.Context, tx *storage.DB) error { return n.fileReport(ctx, tx, r, signer) }, nil
	}
}

// fileReport keeps a report and tells those who look after the node.
func (n *Node) fileReport(ctx context.Context, tx *storage.DB, r *storage.Report, reporter *storage.Actor) error {
	fresh, err := tx.SaveReport(ctx, r)
	if err != nil || !fresh {
		return err
	}
	users, err := tx.Users(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.SuspendedAt != nil || u.Role == storage.NodeUser {
			continue
		}
		if err := tx.Notify(ctx, &storage.Notification{ActorID: u.ActorID, Kind: "admin.report", FromID: reporter.ID, PostID: r.ID}); err != nil {
			return err
		}
	}
	return nil
}

// Complaint is what an actor of ours has to say about another.
type Complaint struct {
	Whom    string       // handle or id
	Posts   []storage.ID // of hers
	Comment string
	Forward bool // to her server too, where it arrives in the name of this node, not of who complains
}

// Report files a complaint with those who look after this node, and, if that is wanted, with the other's server.
func (n *Node) Report(ctx context.Context, by By, c Complaint) (*storage.Report, error) {
	target, err := n.acquaintance(ctx, by, c.Whom)
	if err != nil {
		return nil, err
	}
	if len([]rune(c.Comment)) > maxReportRunes {
		return nil, invalid("comment", "at most %d characters", maxReportRunes)
	}
	if len(c.Posts) > maxReportPosts {
		return nil, invalid("posts", "at most %d posts", maxReportPosts)
	}
	objects := []any{target.IRI}
	for _, id := range c.Posts {
		p, author, err := n.readablePost(ctx, n.DB, id, by)
		if err != nil {
			return nil, err
		}
		if author.ID != target.ID {
			return nil, invalid("posts", "%s is not by %s", p.IRI, c.Whom)
		}
		objects = append(objects, p.IRI)
	}
	r := &storage.Report{ReporterID: by.Actor.ID, TargetID: target.ID, Posts: c.Posts, Comment: c.Comment, Forwarded: c.Forward && !target.Local()}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "report"); err != nil {
			return err
		}
		r.ID = tx.NewID()
		r.IRI = storage.IRI(n.Origin + "/activities/" + r.ID.String())
		if err := n.fileReport(ctx, tx, r, by.Actor); err != nil {
			return err
		}
		if err := record(ctx, tx, by, "report.create", target.IRI); err != nil {
			return err
		}
		if !r.Forwarded {
			return nil
		}
		m := map[string]any{"id": r.IRI, "type": "Flag", "actor": n.service.IRI, "content": c.Comment, "object": objects, "to": []any{target.IRI}}
		return n.send(ctx, tx, n.service, m, shipment{object: r.IRI, inboxes: []storage.IRI{target.Inbox}})
	})
	n.Wake()
	return r, err
}

// ResolveReport closes a report; user is nil for the operator. ErrNotFound when there is none that is open.
func (n *Node) ResolveReport(ctx context.Context, user *storage.User, id storage.ID) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		r, err := tx.ReportByID(ctx, id)
		if err != nil {
			return err
		}
		var by storage.ID
		if user != nil {
			by = user.ID
		}
		if err := tx.ResolveReport(ctx, id, by); err != nil {
			return err
		}
		return record(ctx, tx, By{User: user, Actor: n.service}, "report.resolve", r.IRI)
	})
}
