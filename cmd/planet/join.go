package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
)

type coopJoinCmd struct {
	Coop      string `arg:"" help:"Which co-op."`
	As        string `required:"" placeholder:"USER" help:"Who wants to join."`
	Reason    string `help:"Why: its admins read it."`
	Agreement int    `placeholder:"N" help:"The version of its agreement that she has read and accepts."`
	Invite    string `placeholder:"LINK" help:"The link or code of an invitation: nobody has to approve."`
	JSON      bool   `help:"Print JSON."`
}

func (coopJoinCmd) Help() string {
	return "Example: planet coop join bakery --as bo --reason \"I bake on Fridays\" --agreement 1"
}

// joinEntry is a join request as --json prints one.
type joinEntry struct {
	ID        storage.ID `json:"id"`
	Coop      string     `json:"coop"`
	User      string     `json:"user"`
	Reason    string     `json:"reason,omitempty"`
	Agreement int        `json:"agreement"`
	State     string     `json:"state"`
	Answer    string     `json:"answer,omitempty"`
	Approved  []string   `json:"approved"` // by whom
	Needed    int        `json:"needed"`
	Created   time.Time  `json:"created"`
	Ended     *time.Time `json:"ended,omitempty"`
}

func joinOf(coop *storage.Actor, j *activitypub.JoinCase) joinEntry {
	r := j.Request
	e := joinEntry{ID: r.ID, Coop: coop.Username, User: j.User.Username, Reason: r.Reason, Agreement: r.Agreement, State: r.State, Answer: r.Answer,
		Approved: []string{}, Needed: j.Needed, Created: r.CreatedAt, Ended: r.EndedAt}
	for _, u := range j.Approved {
		e.Approved = append(e.Approved, u.Username)
	}
	return e
}

// waits says what a request waits for.
func (e joinEntry) waits() string {
	if e.Needed == 0 {
		return "for an admin who is not " + e.User
	}
	return fmt.Sprintf("for %d of %s", e.Needed-len(e.Approved), plural(int64(e.Needed), "approval", "approvals"))
}

func (cmd coopJoinCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, "", func(n *activitypub.Node, by activitypub.By) error {
		coop := by.Actor
		who, err := c.asHerself(n, cmd.As)
		if err != nil {
			return err
		}
		in := activitypub.JoinDraft{Reason: cmd.Reason, Agreement: cmd.Agreement}
		if cmd.Invite != "" {
			in.Invite = oauth.Hash(cmd.Invite[strings.LastIndex(cmd.Invite, "/")+1:])
		}
		r, err := n.Join(c.ctx, who, coop, in)
		if err != nil {
			return err
		}
		j, err := n.JoinOf(c.ctx, who, r.ID)
		if err != nil {
			return err
		}
		e := joinOf(coop, j)
		if cmd.JSON {
			return c.json(e)
		}
		if e.State == storage.JoinApproved {
			c.say("%s is now a member of %s", e.User, e.Coop)
		} else {
			c.say("%s asks to join %s: request %s waits %s", e.User, e.Coop, e.ID, e.waits())
		}
		s, err := c.coopSettings(n, coop)
		if err == nil && s.Dues != "" {
			c.say("Members of %s pay %s.", e.Coop, s.Dues)
		}
		return err
	})
}

type joinRequestsCmd struct {
	Coop  string `arg:"" help:"Which co-op."`
	As    string `placeholder:"USER" help:"As this person, who has to be an admin (default: the operator)."`
	All   bool   `help:"Those that were answered, too."`
	Limit int    `default:"50" help:"With --all: at most so many, the newest first."`
	JSON  bool   `help:"Print JSON."`
}

func (joinRequestsCmd) Help() string { return "Example: planet coop join-requests bakery" }

func (cmd joinRequestsCmd) Run(c *app) error {
	if cmd.Limit < 1 || cmd.Limit > 10_000 {
		return usageError{"--limit: want 1 to 10000"}
	}
	return c.byWhom(cmd.Coop, cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		js, err := n.JoinRequestsOf(c.ctx, by, cmd.All, storage.Page{Limit: cmd.Limit})
		if err != nil {
			return err
		}
		entries, t := []joinEntry{}, c.table("REQUEST", "USER", "ASKED", "STATE", "APPROVED BY", "WHY")
		for i := range js {
			e := joinOf(by.Actor, &js[i])
			entries = append(entries, e)
			state := e.State
			switch {
			case e.State == storage.JoinPending:
				state = "waits " + e.waits()
			case e.Answer != "":
				state += ": " + e.Answer
			}
			t.row(e.ID.String(), e.User, stamp(&e.Created), state, strings.Join(e.Approved, ", "), e.Reason)
		}
		if cmd.JSON {
			return c.json(entries)
		}
		return t.flush()
	})
}

// answer runs a command about one join request, by a person as its co-op.
func (c *app) answer(id storage.ID, as string, f func(n *activitypub.Node, by activitypub.By, u *storage.User) error) error {
	return c.withNode(func(n *activitypub.Node) error {
		r, err := n.DB.JoinRequestByID(c.ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("there is no join request %s", id)
		} else if err != nil {
			return err
		}
		coop, err := n.DB.ActorByID(c.ctx, r.CoopID)
		if err != nil {
			return err
		}
		who, err := n.DB.UserByID(c.ctx, r.UserID)
		if err != nil {
			return err
		}
		u, err := c.user(n.DB, as)
		if err != nil {
			return err
		}
		return f(n, activitypub.By{User: u, Actor: coop}, who)
	})
}

type joinApproveCmd struct {
	ID   storage.ID `arg:"" help:"Which request, as in planet coop join-requests."`
	As   string     `required:"" placeholder:"USER" help:"Who says yes: an admin, and not who asks."`
	JSON bool       `help:"Print JSON."`
}

func (joinApproveCmd) Help() string { return "Example: planet coop approve 117034567890 --as ana" }

func (cmd joinApproveCmd) Run(c *app) error {
	return c.answer(cmd.ID, cmd.As, func(n *activitypub.Node, by activitypub.By, u *storage.User) error {
		j, err := n.ApproveJoin(c.ctx, by, cmd.ID)
		if err != nil {
			return err
		}
		e := joinOf(by.Actor, j)
		switch {
		case cmd.JSON:
			return c.json(e)
		case e.State == storage.JoinApproved:
			c.say("%s is now a member of %s", e.User, e.Coop)
		default:
			c.say("%s says yes; the request of %s waits %s", by.User.Username, e.User, e.waits())
		}
		return nil
	})
}

type joinRefuseCmd struct {
	ID     storage.ID `arg:"" help:"Which request, as in planet coop join-requests."`
	As     string     `required:"" placeholder:"USER" help:"Who says no: an admin, and not who asks."`
	Reason string     `required:"" help:"Why: who asked reads it."`
}

func (joinRefuseCmd) Help() string {
	return "Example: planet coop refuse 117034567890 --as ana --reason \"we are full until spring\""
}

func (cmd joinRefuseCmd) Run(c *app) error {
	return c.answer(cmd.ID, cmd.As, func(n *activitypub.Node, by activitypub.By, u *storage.User) error {
		if err := n.RefuseJoin(c.ctx, by, cmd.ID, cmd.Reason); err != nil {
			return err
		}
		c.say("the request of %s to join %s is refused", u.Username, by.Actor.Username)
		return nil
	})
}
