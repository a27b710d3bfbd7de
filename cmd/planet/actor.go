package main

import (
	"fmt"

	"planet/activitypub"
	"planet/storage"
)

// as runs a command as the node, on behalf of one of its actors.
func (c *app) as(name string, f func(n *activitypub.Node, by activitypub.By) error) error {
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.actor(n.DB, name)
		if err != nil {
			return err
		}
		return f(n, activitypub.By{Actor: a})
	})
}

// handle is how people write an actor.
func (c *app) handle(db *storage.DB, id storage.ID) (string, error) {
	a, err := db.ActorByID(c.ctx, id)
	if err != nil {
		return "", err
	}
	return a.Handle(c.host()), nil
}

// whoActed names a user; 0 is the operator.
func (c *app) whoActed(db *storage.DB, id storage.ID) (string, error) {
	if id == 0 {
		return "the operator", nil
	}
	u, err := db.UserByID(c.ctx, id)
	if err != nil {
		return "", err
	}
	return c.handle(db, u.ActorID)
}

type userDeleteCmd struct {
	Name string `arg:"" help:"Whom."`
	Yes  bool   `help:"It is meant: this cannot be taken back."`
}

func (userDeleteCmd) Help() string {
	return "Her posts are deleted here and wherever they went, and her name is never given again. She leaves her co-ops.\n\nExample: planet user delete ana --yes"
}

func (cmd userDeleteCmd) Run(c *app) error {
	return c.deleteActor(cmd.Yes, func(db *storage.DB) (*storage.Actor, error) {
		u, err := c.user(db, cmd.Name)
		if err != nil {
			return nil, err
		}
		return db.ActorByID(c.ctx, u.ActorID)
	})
}

type coopDeleteCmd struct {
	Name string `arg:"" help:"Which co-op."`
	Yes  bool   `help:"It is meant: this cannot be taken back."`
}

func (coopDeleteCmd) Help() string {
	return "Its posts are deleted here and wherever they went, and its name is never given again.\n\nExample: planet coop delete bakery --yes"
}

func (cmd coopDeleteCmd) Run(c *app) error {
	return c.deleteActor(cmd.Yes, func(db *storage.DB) (*storage.Actor, error) { return c.coop(db, cmd.Name) })
}

func (c *app) deleteActor(meant bool, find func(*storage.DB) (*storage.Actor, error)) error {
	return c.withNode(func(n *activitypub.Node) error {
		a, err := find(n.DB)
		if err != nil {
			return err
		}
		if !meant {
			return usageError{fmt.Sprintf("%s and its posts would be deleted for ever: say --yes if that is meant", a.Handle(c.host()))}
		}
		if err := n.DeleteActor(c.ctx, activitypub.By{Actor: a}); err != nil {
			return err
		}
		c.say("deleted %s for ever%s", a.Handle(c.host()), c.queued(n.DB))
		return nil
	})
}
