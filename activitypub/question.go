package activitypub

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"planet/storage"
)

// Limits of a poll: ours are Mastodon's, those of others are what is still shown.
const (
	MaxOptions        = 10
	MaxOptionRunes    = 100
	maxForeignOptions = 100
	minPollTime       = 5 * time.Minute
	MaxPollLife       = 31 * 24 * time.Hour
	tallyEvery        = time.Minute // how often the numbers of a poll of ours go out at most
)

// PollDraft is what a person wants to ask.
type PollDraft struct {
	Options  []string
	Multiple bool
	Lasts    time.Duration
}

func (d *PollDraft) check() error {
	if len(d.Options) < 2 || len(d.Options) > MaxOptions {
		return invalid("poll", "a poll has 2 to %d answers", MaxOptions)
	}
	seen := map[string]bool{}
	for i, o := range d.Options {
		o = strings.Join(strings.Fields(clean(o)), " ")
		d.Options[i] = o
		switch {
		case o == "" || !utf8.ValidString(o):
			return invalid("poll", "an answer is empty")
		case utf8.RuneCountInString(o) > MaxOptionRunes:
			return invalid("poll", "an answer has at most %d characters", MaxOptionRunes)
		case seen[o]:
			return invalid("poll", "%q is there twice", o)
		}
		seen[o] = true
	}
	if d.Lasts < minPollTime || d.Lasts > MaxPollLife {
		return invalid("poll", "a poll lasts from %s to %d days", minPollTime, MaxPollLife/(24*time.Hour))
	}
	return nil
}

// pollToWire adds the answers of a poll to the object of its post (FEP-9967).
func pollToWire(m map[string]any, p *storage.Poll) {
	var options []any
	for _, o := range p.Options {
		options = append(options, map[string]any{"type": "Note", "name": o.Name, "replies": map[string]any{"type": "Collection", "totalItems": o.Votes}})
	}
	m["type"], m["votersCount"] = storage.Question, p.Voters
	if m["oneOf"] = options; p.Multiple {
		delete(m, "oneOf")
		m["anyOf"] = options
	}
	if p.EndsAt != nil {
		m["endTime"] = wireTime(*p.EndsAt)
	}
	if p.ClosedAt != nil {
		m["closed"] = wireTime(*p.ClosedAt)
	}
}

// pollFromWire reads the answers of a Question; nil when there are none.
func pollFromWire(o object, now time.Time) *storage.Poll {
	p := &storage.Poll{}
	options := o.list("oneOf")
	if len(options) == 0 {
		options, p.Multiple = o.list("anyOf"), true
	}
	for _, raw := range options[:min(len(options), maxForeignOptions)] {
		c := parseObject(raw)
		name, _ := c.text("name")
		if name = clip(verbatim(name), 500); name == "" {
			continue
		}
		p.Options = append(p.Options, storage.PollOption{Name: name, Votes: c.child("replies").number("totalItems")})
	}
	if len(p.Options) == 0 {
		return nil
	}
	if t, ok := o.time("endTime"); ok {
		p.EndsAt = &t
	}
	if t, ok := o.time("closed"); ok {
		p.ClosedAt = &t
	} else if o.boolean("closed") {
		p.ClosedAt = &now
	}
	p.Voters = o.number("votersCount")
	if o["votersCount"] == nil && !p.Multiple {
		for _, option := range p.Options {
			p.Voters += option.Votes
		}
	}
	return p
}

// isVote reports whether an object is an answer to a poll: a name and what it answers, and no words of its own.
func isVote(o object) bool {
	content, _ := o.text("content")
	return o.str("name") != "" && o.iri("inReplyTo") != "" && content == ""
}

// applyVote counts an answer to a poll of ours by somebody who may read it.
func (n *Node) applyVote(signer *storage.Actor, o object, place int) preparation {
	return func(ctx context.Context, act *Activity) (effect, error) {
		p, _, err := n.ourPost(ctx, o.iri("inReplyTo"), signer)
		if err != nil || p == nil || p.Type != storage.Question {
			return nothing, err
		}
		iri := storage.IRI(o.str("id"))
		if iri == "" || !sameOrigin(string(iri), string(signer.IRI)) {
			iri = act.ID + storage.IRI("#vote-"+strconv.Itoa(place))
		}
		name := o.str("name")
		return func(ctx context.Context, tx *storage.DB) error {
			poll, err := tx.PollOf(ctx, p.ID)
			if err != nil {
				return err
			}
			choice := slices.IndexFunc(poll.Options, func(o storage.PollOption) bool { return o.Name == name })
			switch err := tx.CastVote(ctx, &storage.Vote{IRI: iri, PostID: p.ID, ActorID: signer.ID, Choice: choice}); {
			case errors.Is(err, storage.ErrVoted):
				n.count("vote.refused")
				return nil
			case err != nil:
				return err
			}
			return n.owesTally(ctx, tx, p, poll)
		}, nil
	}
}

// owesTally lets the numbers of a poll of ours go out: at once, or when they went out a moment ago, once for all votes until then.
func (n *Node) owesTally(ctx context.Context, tx *storage.DB, p *storage.Post, poll *storage.Poll) error {
	at := tx.Now().UTC()
	if poll.ToldAt != nil && at.Before(poll.ToldAt.Add(tallyEvery)) {
		at = poll.ToldAt.Add(tallyEvery)
	}
	if poll.EndsAt != nil && at.After(*poll.EndsAt) {
		return nil // the job of its end tells them
	}
	return enqueue(ctx, tx, jobTally, "now "+p.ID.String(), at, work{Post: p.ID})
}

// tally is the job of telling other servers how a poll of ours stands; after its end it is closed, and those who voted are told.
func (n *Node) tally(ctx context.Context, post storage.ID) error {
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		p, err := tx.PostByID(ctx, post)
		if err != nil || p.DeletedAt != nil {
			return err
		}
		author, err := tx.ActorByID(ctx, p.ActorID)
		if err != nil {
			return err
		}
		poll, err := tx.PollOf(ctx, post)
		if err != nil {
			return err
		}
		now := tx.Now().UTC()
		if poll.EndsAt != nil && !now.Before(*poll.EndsAt) && poll.ClosedAt == nil {
			poll.ClosedAt = poll.EndsAt
			voters, err := tx.Voters(ctx, post)
			if err != nil {
				return err
			}
			for _, id := range append(voters, author.ID) {
				if err := tx.Notify(ctx, &storage.Notification{ActorID: id, Kind: "poll", FromID: author.ID, PostID: post}); err != nil {
					return err
				}
			}
		}
		poll.ToldAt = &now
		if err := tx.SavePoll(ctx, poll); err != nil {
			return err
		}
		return n.sendPost(ctx, tx, author, p, p.Mentions, "Update")
	})
	n.Wake()
	return err
}

// Vote answers a poll as an actor of ours; choices are places in the list of answers. ErrNotFound when the post may not be
// read or has no poll; InvalidError when the vote does not count.
func (n *Node) Vote(ctx context.Context, by By, post storage.ID, choices []int) (*storage.Poll, error) {
	p, author, err := n.readablePost(ctx, n.DB, post, by)
	if err != nil {
		return nil, err
	}
	if author.ID == by.Actor.ID {
		return nil, invalid("choices", "nobody votes in a poll of her own")
	}
	var poll *storage.Poll
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "vote"); err != nil {
			return err
		}
		if poll, err = tx.PollOf(ctx, p.ID); err != nil {
			return err
		}
		switch {
		case len(choices) == 0:
			return invalid("choices", "choose an answer")
		case !poll.Open(tx.Now()):
			return problem(http.StatusUnprocessableEntity, "closed", "this poll is closed")
		case !poll.Multiple && len(choices) > 1:
			return invalid("choices", "this poll takes one answer")
		}
		for _, c := range choices {
			if c < 0 || c >= len(poll.Options) {
				return invalid("choices", "there is no answer %d", c+1)
			}
			id := tx.NewID()
			v := &storage.Vote{IRI: by.Actor.IRI + storage.IRI("#votes/"+id.String()), PostID: p.ID, ActorID: by.Actor.ID, Choice: c}
			if err := tx.CastVote(ctx, v); errors.Is(err, storage.ErrVoted) {
				return invalid("choices", "%s has voted already", by.Actor.Username)
			} else if err != nil {
				return err
			}
			if author.Local() {
				continue
			}
			note := map[string]any{"id": v.IRI, "type": "Note", "name": poll.Options[c].Name, "inReplyTo": p.IRI, "attributedTo": by.Actor.IRI, "to": []any{author.IRI}}
			m := map[string]any{"id": string(v.IRI) + "/activity", "type": "Create", "actor": by.Actor.IRI, "to": []any{author.IRI}, "object": note}
			if err := n.send(ctx, tx, by.Actor, m, shipment{object: v.IRI, inboxes: []storage.IRI{author.Inbox}}); err != nil {
				return err
			}
		}
		if err := record(ctx, tx, by, "poll.vote", p.IRI); err != nil {
			return err
		}
		if poll, err = tx.PollOf(ctx, p.ID); err != nil || !author.Local() {
			return err
		}
		return n.owesTally(ctx, tx, p, poll)
	})
	n.Wake()
	return poll, err
}

// number reads a count, 0 when it is anything but a natural number that fits.
func (o object) number(key string) int64 {
	v, err := strconv.ParseInt(string(o[key]), 10, 64)
	if err != nil || v < 0 {
		return 0
	}
	return v
}
