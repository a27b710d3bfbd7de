package main

import (
	"errors"
	"fmt"
	"time"

	"planet/activitypub"
	"planet/storage"
)

type contributionCmd struct {
	Add      contributionAddCmd      `cmd:"" help:"Write down work for a co-op."`
	List     contributionListCmd     `cmd:"" help:"List the work for a co-op, and how much counts."`
	Confirm  contributionConfirmCmd  `cmd:"" help:"Say for the co-op that work was done."`
	Refuse   contributionRefuseCmd   `cmd:"" help:"Say for the co-op that work does not count, and why."`
	Withdraw contributionWithdrawCmd `cmd:"" help:"Take back what nobody has answered."`
	Correct  contributionCorrectCmd  `cmd:"" help:"Write down what it should have been."`
}

// contributionEntry is a contribution as --json prints one.
type contributionEntry struct {
	ID          storage.ID  `json:"id"`
	User        string      `json:"user"`
	Day         string      `json:"day"`
	Minutes     int64       `json:"minutes"`
	Words       string      `json:"words"`
	Paid        bool        `json:"paid"`
	Payment     storage.IRI `json:"payment,omitempty"`
	State       string      `json:"state"`
	Answer      string      `json:"answer,omitempty"`
	AnsweredBy  string      `json:"answered_by,omitempty"`
	Corrects    *storage.ID `json:"corrects,omitempty"`
	CorrectedBy *storage.ID `json:"corrected_by,omitempty"`
	Created     time.Time   `json:"created"`
	Ended       *time.Time  `json:"ended,omitempty"`
}

func (c *app) contributionEntry(db *storage.DB, w *storage.Contribution) (contributionEntry, error) {
	u, err := db.UserByID(c.ctx, w.UserID)
	if err != nil {
		return contributionEntry{}, err
	}
	e := contributionEntry{ID: w.ID, User: u.Username, Day: w.Day, Minutes: w.Minutes, Words: w.Words, Paid: w.Paid, Payment: w.Payment, State: w.State,
		Answer: w.Answer, Corrects: w.Corrects, Created: w.CreatedAt, Ended: w.EndedAt}
	if w.CorrectedBy != 0 {
		e.CorrectedBy = &w.CorrectedBy
	}
	if w.AnsweredBy != 0 {
		by, err := db.UserByID(c.ctx, w.AnsweredBy)
		if err != nil {
			return e, err
		}
		e.AnsweredBy = by.Username
	}
	return e, nil
}

// counts reports whether the time of a contribution is part of the sum.
func (e contributionEntry) counts() bool {
	return e.State == storage.ContributionConfirmed && e.CorrectedBy == nil
}

// work is what a contribution says, as flags.
type work struct {
	Time    string     `arg:"" help:"How long, in whole minutes: 1:30, 90m or 1.5h."`
	Words   string     `arg:"" help:"What was done: at most 500 characters."`
	Day     string     `placeholder:"DAY" help:"When, such as 2026-11-30 (default: today)."`
	Paid    bool       `help:"It was paid for."`
	Payment storage.ID `placeholder:"ID" help:"The payment of the co-op for it."`
}

func (w work) draft(c *app, n *activitypub.Node) (activitypub.NewContribution, error) {
	in := activitypub.NewContribution{Day: w.Day, Time: w.Time, Words: w.Words, Paid: w.Paid}
	if in.Day == "" {
		in.Day = n.Now().UTC().Format(time.DateOnly)
	}
	if w.Payment != 0 {
		p, _, err := c.payment(n, w.Payment)
		if err != nil {
			return in, err
		}
		in.Payment = p.IRI
	}
	return in, nil
}

type contributionAddCmd struct {
	Coop string `arg:"" help:"For which co-op."`
	work
	As   string `required:"" placeholder:"USER" help:"Who worked."`
	JSON bool   `help:"Print JSON."`
}

func (contributionAddCmd) Help() string {
	return "It counts when the co-op has confirmed it.\n\nExample: planet contribution add bakery 1:30 \"cleaned the oven\" --as bo --day 2026-11-20"
}

func (cmd contributionAddCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		in, err := cmd.draft(c, n)
		if err != nil {
			return err
		}
		w, err := n.KeepContribution(c.ctx, by, in)
		if err != nil {
			return err
		}
		return c.wrote(n.DB, w, cmd.JSON)
	})
}

// wrote says that work was written down.
func (c *app) wrote(db *storage.DB, w *storage.Contribution, asJSON bool) error {
	e, err := c.contributionEntry(db, w)
	if err != nil {
		return err
	}
	if asJSON {
		return c.json(e)
	}
	c.say("%s worked %s on %s: contribution %s, %s", e.User, activitypub.FormatMinutes(e.Minutes), e.Day, e.ID, e.State)
	return nil
}

type contributionListCmd struct {
	Coop  string `arg:"" help:"For which co-op."`
	As    string `placeholder:"USER" help:"As this person, who has to be a member (default: the operator)."`
	User  string `placeholder:"USER" help:"Of this person alone."`
	State string `default:"" enum:",kept,confirmed,refused,withdrawn" help:"In this state alone: kept, confirmed, refused or withdrawn."`
	From  string `placeholder:"DAY" help:"From this day on."`
	To    string `placeholder:"DAY" help:"Up to this day."`
	JSON  bool   `help:"Print JSON."`
}

func (contributionListCmd) Help() string {
	return "Example: planet contribution list bakery --from 2026-11-01 --to 2026-11-30"
}

func (cmd contributionListCmd) Run(c *app) error {
	for flag, day := range map[string]string{"--from": cmd.From, "--to": cmd.To} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			return usageError{fmt.Sprintf("%s %s: want a day, such as 2026-11-01", flag, day)}
		}
	}
	return c.byWhom(cmd.Coop, cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		f := storage.ContributionFilter{State: cmd.State, From: cmd.From, To: cmd.To}
		if cmd.User != "" {
			u, err := c.user(n.DB, cmd.User)
			if err != nil {
				return err
			}
			f.User = u.ID
		}
		ws, err := n.ContributionsOf(c.ctx, by, by.Actor, f)
		if err != nil {
			return err
		}
		entries, t := []contributionEntry{}, c.table("CONTRIBUTION", "DAY", "WHO", "TIME", "PAID", "STATE", "WHAT")
		var sum int64
		for i := range ws {
			e, err := c.contributionEntry(n.DB, &ws[i])
			if err != nil {
				return err
			}
			entries = append(entries, e)
			if e.counts() {
				sum += e.Minutes
			}
			paid, state := "no", e.State
			if e.Paid {
				paid = "yes"
			}
			if e.Answer != "" {
				state += ": " + e.Answer
			}
			if e.CorrectedBy != nil {
				state += ", corrected by " + e.CorrectedBy.String()
			}
			if e.Corrects != nil {
				state += ", corrects " + e.Corrects.String()
			}
			t.row(e.ID.String(), e.Day, e.User, activitypub.FormatMinutes(e.Minutes), paid, state, e.Words)
		}
		if cmd.JSON {
			return c.json(entries)
		}
		if err := t.flush(); err != nil {
			return err
		}
		c.say("%s hours are confirmed", activitypub.FormatMinutes(sum))
		return nil
	})
}

// onContribution runs a command about one contribution, by a person as its co-op.
func (c *app) onContribution(id storage.ID, as string, f func(n *activitypub.Node, by activitypub.By) error) error {
	return c.withNode(func(n *activitypub.Node) error {
		w, err := n.DB.ContributionByID(c.ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("there is no contribution %s", id)
		} else if err != nil {
			return err
		}
		coop, err := n.DB.ActorByID(c.ctx, w.CoopID)
		if err != nil {
			return err
		}
		by := activitypub.By{Actor: coop}
		if as != "" {
			if by.User, err = c.user(n.DB, as); err != nil {
				return err
			}
		}
		return f(n, by)
	})
}

type contributionConfirmCmd struct {
	ID storage.ID `arg:"" help:"Which contribution."`
	As string     `placeholder:"USER" help:"Who says it: an admin or treasurer who did not do the work herself (default: the operator)."`
}

func (contributionConfirmCmd) Help() string {
	return "Who is the only one that could confirm it confirms her own work, too; the audit log says so.\n\nExample: planet contribution confirm 117034567890 --as ana"
}

func (cmd contributionConfirmCmd) Run(c *app) error {
	return c.onContribution(cmd.ID, cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		w, err := n.ConfirmContribution(c.ctx, by, cmd.ID)
		if err != nil {
			return err
		}
		c.say("confirmed %s on %s: contribution %s", activitypub.FormatMinutes(w.Minutes), w.Day, w.ID)
		return nil
	})
}

type contributionRefuseCmd struct {
	ID     storage.ID `arg:"" help:"Which contribution."`
	As     string     `placeholder:"USER" help:"Who says it: an admin or treasurer who did not do the work herself (default: the operator)."`
	Reason string     `required:"" help:"Why: who did the work reads it."`
}

func (contributionRefuseCmd) Help() string {
	return "Example: planet contribution refuse 117034567890 --as ana --reason \"the oven was cleaned on Monday\""
}

func (cmd contributionRefuseCmd) Run(c *app) error {
	return c.onContribution(cmd.ID, cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		if err := n.RefuseContribution(c.ctx, by, cmd.ID, cmd.Reason); err != nil {
			return err
		}
		c.say("refused the contribution %s", cmd.ID)
		return nil
	})
}

type contributionWithdrawCmd struct {
	ID storage.ID `arg:"" help:"Which contribution."`
	As string     `required:"" placeholder:"USER" help:"Who worked."`
}

func (contributionWithdrawCmd) Help() string {
	return "Example: planet contribution withdraw 117034567890 --as bo"
}

func (cmd contributionWithdrawCmd) Run(c *app) error {
	return c.onContribution(cmd.ID, cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		if err := n.WithdrawContribution(c.ctx, by, cmd.ID); err != nil {
			return err
		}
		c.say("withdrew the contribution %s", cmd.ID)
		return nil
	})
}

type contributionCorrectCmd struct {
	ID storage.ID `arg:"" help:"Which contribution."`
	work
	As   string `required:"" placeholder:"USER" help:"Who worked."`
	JSON bool   `help:"Print JSON."`
}

func (contributionCorrectCmd) Help() string {
	return `What is confirmed is never edited: it counts until the correction is confirmed. 0:00 says that it was no work at all.

Example: planet contribution correct 117034567890 1:00 "cleaned the oven" --as bo --day 2026-11-20`
}

func (cmd contributionCorrectCmd) Run(c *app) error {
	return c.onContribution(cmd.ID, cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		in, err := cmd.draft(c, n)
		if err != nil {
			return err
		}
		if cmd.Day == "" { // of the one that it corrects
			old, err := n.DB.ContributionByID(c.ctx, cmd.ID)
			if err != nil {
				return err
			}
			in.Day = old.Day
		}
		w, err := n.CorrectContribution(c.ctx, by, cmd.ID, in)
		if err != nil {
			return err
		}
		return c.wrote(n.DB, w, cmd.JSON)
	})
}
