package main

import (
	"strings"

	"planet/activitypub"
)

type userAliasCmd struct {
	Name   string   `arg:"" help:"The person or co-op."`
	Handle []string `arg:"" optional:"" help:"The other names, at most ten; they replace those from before. Without any, those that are set are printed."`
	Clear  bool     `help:"Take all of them away."`
	JSON   bool     `help:"Print JSON."`
}

func (userAliasCmd) Help() string {
	return "Before ana moves here from another server, ana of this node says that she is known there, too.\n\nExample: planet user alias ana @ana@old.example"
}

func (cmd userAliasCmd) Run(c *app) error {
	if cmd.Clear && len(cmd.Handle) > 0 {
		return usageError{"--clear takes all names away: say it alone"}
	}
	return c.as(cmd.Name, func(n *activitypub.Node, by activitypub.By) error {
		changed := cmd.Clear || len(cmd.Handle) > 0
		if changed {
			if err := n.SetAliases(c.ctx, by, cmd.Handle); err != nil {
				return err
			}
		}
		a, err := n.DB.ActorByID(c.ctx, by.Actor.ID)
		if err != nil {
			return err
		}
		names := make([]string, 0, len(a.AlsoKnownAs))
		for _, i := range a.AlsoKnownAs {
			names = append(names, string(i))
		}
		switch {
		case cmd.JSON:
			return c.json(names)
		case len(names) == 0:
			c.say("%s has no other names", a.Username)
		case changed:
			c.say("%s is also known as %s%s", a.Username, strings.Join(names, ", "), c.queued(n.DB))
		default:
			c.say("%s is also known as %s", a.Username, strings.Join(names, ", "))
		}
		return nil
	})
}

type userMoveCmd struct {
	Name   string `arg:"" help:"The person or co-op of this node."`
	Handle string `arg:"" help:"Where to: the account there must name this one among its aliases."`
}

func (userMoveCmd) Help() string {
	return "Followers are told, and follow the other account. Posts, roles and balances stay. It can be done once a week.\n\nExample: planet user move ana @ana@new.example"
}

func (cmd userMoveCmd) Run(c *app) error {
	return c.as(cmd.Name, func(n *activitypub.Node, by activitypub.By) error {
		to, err := n.Move(c.ctx, by, cmd.Handle)
		if err != nil {
			return err
		}
		c.say("%s has moved to %s: its followers are told%s", by.Actor.Username, to.Handle(c.host()), c.queued(n.DB))
		return nil
	})
}
