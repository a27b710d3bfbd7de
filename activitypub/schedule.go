package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"planet/storage"
)

// Limits of posts that wait for their time; they are Mastodon's.
const (
	MinScheduleAhead  = 5 * time.Minute
	MaxScheduled      = 300 // of one actor
	MaxScheduledADay  = 25  // of one actor, for one day of UTC
	scheduleBatch     = 20
	maxScheduleTrials = 5
)

// Schedule keeps what somebody wants to say until its time, and is as strict about it as Publish; what only the moment of publishing tells (the role, the post that is
// answered, who is spoken to) is asked then. Under an app's key the same is kept once, and Draft.Key says so for the post that comes of it.
func (n *Node) Schedule(ctx context.Context, by By, d Draft, at time.Time, app storage.ID) (*storage.Scheduled, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if d.Visibility == storage.Direct && d.InReplyTo == "" && len(findMentions(d.Text)) == 0 {
		return nil, invalid("text", "a direct post needs to name its reader, as in @ana@coop.example")
	}
	s := &storage.Scheduled{ActorID: by.Actor.ID, AppID: app, PublishAt: at.UTC().Truncate(time.Millisecond),
		Draft: storage.ScheduledDraft{Text: d.Text, Visibility: d.Visibility, Summary: d.Summary, Sensitive: d.Sensitive, Language: d.Language, InReplyTo: d.InReplyTo, Quotes: d.Quotes, Media: d.Media, Key: d.Key}}
	if by.User != nil {
		s.UserID = by.User.ID
	}
	if p := d.Poll; p != nil {
		s.Draft.Poll = &storage.ScheduledPoll{Options: p.Options, Multiple: p.Multiple, Lasts: p.Lasts}
	}
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "post"); err != nil {
			return err
		}
		if err := n.roomAt(ctx, tx, by.Actor, s.PublishAt, true); err != nil {
			return err
		}
		if d.InReplyTo != "" {
			parent, err := tx.PostByIRI(ctx, d.InReplyTo)
			if err != nil {
				return err
			}
			s.Draft.InReplyToID = parent.ID
		}
		if err := tx.CreateScheduled(ctx, s); err != nil {
			return fmt.Errorf("a picture of the post: %w", err)
		}
		if d.Key == "" {
			return nil
		}
		return tx.KeepKey(ctx, by.Actor.ID, d.Key, s.ID)
	})
	return s, err
}

// roomAt refuses a time that is too near, and one more than an actor may have waiting.
func (n *Node) roomAt(ctx context.Context, tx *storage.DB, actor *storage.Actor, at time.Time, more bool) error {
	if at.Before(tx.Now().Add(MinScheduleAhead)) {
		return invalid("scheduled_at", "a post waits for at least %s", MinScheduleAhead)
	}
	day := at.UTC().Truncate(24 * time.Hour)
	all, sameDay, err := tx.CountScheduled(ctx, actor.ID, day, day.Add(24*time.Hour))
	switch {
	case err != nil:
		return err
	case more && all >= MaxScheduled:
		return invalid("scheduled_at", "%d posts wait already, and more cannot", all)
	case sameDay >= MaxScheduledADay:
		return invalid("scheduled_at", "%d posts wait for that day already, and more cannot", sameDay)
	}
	return nil
}

// waiting finds a post of by's actor that waits, for somebody who may post as her.
func (n *Node) waiting(ctx context.Context, tx *storage.DB, by By, id storage.ID) (*storage.Scheduled, error) {
	if err := n.allowed(ctx, tx, by, "post"); err != nil {
		return nil, err
	}
	return tx.ScheduledByID(ctx, by.Actor.ID, id)
}

// Reschedule gives a post that waits another time; one that was given up is tried again then. ErrNotFound when the actor has no such post.
func (n *Node) Reschedule(ctx context.Context, by By, id storage.ID, at time.Time) error {
	at = at.UTC().Truncate(time.Millisecond)
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		s, err := n.waiting(ctx, tx, by, id)
		if err != nil {
			return err
		}
		if s.PublishAt.UTC().Truncate(24*time.Hour).Equal(at.Truncate(24*time.Hour)) && !at.Before(tx.Now().Add(MinScheduleAhead)) {
			return tx.Reschedule(ctx, id, at) // within its day there is room for it
		}
		if err := n.roomAt(ctx, tx, by.Actor, at, false); err != nil {
			return err
		}
		return tx.Reschedule(ctx, id, at)
	})
}

// Unschedule takes a post back that waits. ErrNotFound when the actor has no such post, also when it has just been published.
func (n *Node) Unschedule(ctx context.Context, by By, id storage.ID) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if _, err := n.waiting(ctx, tx, by, id); err != nil {
			return err
		}
		return tx.DeleteScheduled(ctx, id)
	})
}

// scheduleLoop publishes what waits when its time has come.
func (n *Node) scheduleLoop(ctx context.Context) error {
	return n.every(ctx, "posts whose time has come", n.PublishScheduled)
}

// PublishScheduled publishes every post whose time has come. What cannot be published is kept for its author with the reason; what may go better later is tried again.
func (n *Node) PublishScheduled(ctx context.Context) error {
	for {
		due, err := n.DB.ScheduledDue(ctx, scheduleBatch)
		if err != nil {
			return err
		}
		for i := range due {
			if err := n.publishScheduled(ctx, &due[i]); err != nil {
				return err
			}
		}
		if len(due) < scheduleBatch {
			return nil
		}
	}
}

// errTaken: another copy of the node was faster, or its author took it back or gave it another time in this moment.
var errTaken = errors.New("the post does not wait any more")

// publishScheduled publishes one; the error is that of noting why it could not be done.
func (n *Node) publishScheduled(ctx context.Context, s *storage.Scheduled) error {
	err := n.sayScheduled(ctx, s)
	if err == nil || errors.Is(err, errTaken) || ctx.Err() != nil {
		return nil // the last: the node stops, and the post waits for its next start
	}
	var wrong *InvalidError
	var p *Problem
	var next *time.Time
	hopeless := errors.As(err, &wrong) || errors.As(err, &p) && p.Status != http.StatusServiceUnavailable || errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrConflict)
	if !hopeless && s.Attempts+1 < maxScheduleTrials {
		at := n.Now().UTC().Add(backoff(s.Attempts + 1))
		next = &at
	}
	n.Log.Warn("a post whose time has come could not be published", "scheduled", s.ID, "given_up", next == nil, "err", err)
	return n.DB.PostponeScheduled(ctx, s, clip(err.Error(), 500), next)
}

// sayScheduled publishes one, by whoever wrote it: with the roles that she has now.
func (n *Node) sayScheduled(ctx context.Context, s *storage.Scheduled) error {
	by := By{}
	var err error
	if by.Actor, err = n.DB.ActorByID(ctx, s.ActorID); err != nil {
		return err
	}
	if s.UserID != 0 {
		if by.User, err = n.DB.UserByID(ctx, s.UserID); err != nil {
			return err
		}
	}
	d := Draft{Text: s.Draft.Text, Visibility: s.Draft.Visibility, Summary: s.Draft.Summary, Sensitive: s.Draft.Sensitive, Language: s.Draft.Language, InReplyTo: s.Draft.InReplyTo,
		Quotes: s.Draft.Quotes, Media: s.Draft.Media, scheduled: s.ID}
	if p := s.Draft.Poll; p != nil {
		d.Poll = &PollDraft{Options: p.Options, Multiple: p.Multiple, Lasts: p.Lasts}
	}
	_, err = n.Publish(ctx, by, d)
	return err
}
