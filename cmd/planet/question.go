package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

// poll is how a post asks something.
type poll struct {
	Poll         []string `sep:"none" placeholder:"ANSWER" help:"An answer to choose from; say it two to ten times to ask something."`
	PollMultiple bool     `help:"Several answers may be chosen."`
	PollLasts    string   `default:"24h" placeholder:"D" help:"How long it may be answered: 5m to 31d."`
}

// draft is what was asked; nil for nothing.
func (p poll) draft() (*activitypub.PollDraft, error) {
	lasts, ok := span(p.PollLasts)
	switch {
	case len(p.Poll) == 0 && p.PollMultiple:
		return nil, usageError{"--poll-multiple goes with --poll"}
	case !ok:
		return nil, usageError{fmt.Sprintf("--poll-lasts: want a span such as 24h or 7d, not %q", p.PollLasts)}
	case len(p.Poll) == 0:
		return nil, nil
	}
	return &activitypub.PollDraft{Options: p.Poll, Multiple: p.PollMultiple, Lasts: lasts}, nil
}

// pollEntry is a poll as --json prints one.
type pollEntry struct {
	Multiple bool                 `json:"multiple"`
	Options  []storage.PollOption `json:"options"`
	Voters   int64                `json:"voters"`
	Open     bool                 `json:"open"`
	Ends     *time.Time           `json:"ends,omitempty"`
}

// pollOf reads the poll of a post; nil when it has none.
func (c *app) pollOf(db *storage.DB, p *storage.Post) (*pollEntry, error) {
	poll, err := db.PollOf(c.ctx, p.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return &pollEntry{poll.Multiple, poll.Options, poll.Voters, poll.Open(db.Now()), poll.EndsAt}, nil
}

type postVoteCmd struct {
	onPost
	Choice []string `arg:"" help:"What to choose: the answer itself, or its number from 1."`
	JSON   bool     `help:"Print JSON."`
}

func (postVoteCmd) Help() string {
	return "Example: planet post vote https://oak.example/@mill/117034567890 \"On Saturday\" --as bakery\n         planet post vote 117034567890 1 3 --as ana"
}

func (cmd postVoteCmd) Run(c *app) error {
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, p *storage.Post) error {
		poll, err := n.DB.PollOf(c.ctx, p.ID)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("%s asks nothing: it is no poll", p.IRI)
		} else if err != nil {
			return err
		}
		var choices []int
		var names []string
		for _, one := range cmd.Choice {
			i := choice(poll.Options, one)
			if i < 0 {
				return fmt.Errorf("%q is none of the answers: %s", one, answers(poll.Options))
			}
			choices, names = append(choices, i), append(names, strconv.Quote(poll.Options[i].Name))
		}
		if _, err := n.Vote(c.ctx, by, p.ID, choices); err != nil {
			return err
		}
		if cmd.JSON {
			now, err := c.pollOf(n.DB, p)
			if err != nil {
				return err
			}
			return c.json(now)
		}
		c.say("%s voted for %s%s", by.Actor.Username, strings.Join(names, ", "), c.queued(n.DB))
		return nil
	})
}

// choice finds an answer by its text, else by its number from 1; -1 when there is none.
func choice(options []storage.PollOption, s string) int {
	if i := slices.IndexFunc(options, func(o storage.PollOption) bool { return strings.EqualFold(o.Name, strings.TrimSpace(s)) }); i >= 0 {
		return i
	}
	if i, err := strconv.Atoi(s); err == nil && i >= 1 && i <= len(options) {
		return i - 1
	}
	return -1
}

func answers(options []storage.PollOption) string {
	var out []string
	for i, o := range options {
		out = append(out, fmt.Sprintf("%d %s", i+1, o.Name))
	}
	return strings.Join(out, ", ")
}
