package main

import (
	"planet/activitypub"
	"planet/storage"
)

type postBoostCmd struct {
	onPost
	Visibility string `default:"public" enum:"public,unlisted,private" help:"public, unlisted or private (followers)."`
}

func (postBoostCmd) Help() string {
	return "Example: planet post boost https://oak.example/@mill/117034567890 --as bakery"
}

func (cmd postBoostCmd) Run(c *app) error {
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, p *storage.Post) error {
		if _, err := n.Boost(c.ctx, by, p.ID, cmd.Visibility); err != nil {
			return err
		}
		c.say("%s boosted %s%s", by.Actor.Username, p.IRI, c.queued(n.DB))
		return nil
	})
}

type postUnboostCmd struct{ onPost }

func (postUnboostCmd) Help() string { return "Example: planet post unboost 117034567890 --as bakery" }

func (cmd postUnboostCmd) Run(c *app) error {
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, p *storage.Post) error {
		if _, err := n.Unboost(c.ctx, by, p.ID); err != nil {
			return err
		}
		c.say("%s no longer boosts %s%s", by.Actor.Username, p.IRI, c.queued(n.DB))
		return nil
	})
}
