package main

import (
	"errors"
	"fmt"

	"planet/activitypub"
	"planet/storage"
)

type postPinCmd struct{ onPost }

func (postPinCmd) Help() string { return "Example: planet post pin 117034567890 --as bakery" }

func (cmd postPinCmd) Run(c *app) error {
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, p *storage.Post) error {
		if p.ActorID != by.Actor.ID {
			return fmt.Errorf("%s pins posts of its own only", by.Actor.Username)
		}
		if err := n.Pin(c.ctx, by, p.ID); err != nil {
			return err
		}
		c.say("%s pinned %s%s", by.Actor.Username, p.IRI, c.queued(n.DB))
		return nil
	})
}

type postUnpinCmd struct{ onPost }

func (postUnpinCmd) Help() string { return "Example: planet post unpin 117034567890 --as bakery" }

func (cmd postUnpinCmd) Run(c *app) error {
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, p *storage.Post) error {
		err := n.Unpin(c.ctx, by, p.ID)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("%s has not pinned %s", by.Actor.Username, p.IRI)
		} else if err != nil {
			return err
		}
		c.say("%s no longer pins %s%s", by.Actor.Username, p.IRI, c.queued(n.DB))
		return nil
	})
}
