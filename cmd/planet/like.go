package main

import (
	"planet/activitypub"
	"planet/storage"
)

// onPost is what a command is called with that does something with one post.
type onPost struct {
	Post string `arg:"" help:"The post: its id here, or its address here or elsewhere."`
	As   string `required:"" placeholder:"NAME" help:"The person or co-op that does it."`
}

func (o onPost) do(c *app, f func(n *activitypub.Node, by activitypub.By, p *storage.Post) error) error {
	return c.as(o.As, func(n *activitypub.Node, by activitypub.By) error {
		p, err := c.postAt(n, by, o.Post)
		if err != nil {
			return err
		}
		return f(n, by, p)
	})
}

type postLikeCmd struct{ onPost }

func (postLikeCmd) Help() string {
	return "Example: planet post like https://oak.example/@mill/117034567890 --as bakery"
}

func (cmd postLikeCmd) Run(c *app) error {
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, p *storage.Post) error {
		if _, err := n.Like(c.ctx, by, p.ID); err != nil {
			return err
		}
		c.say("%s likes %s%s", by.Actor.Username, p.IRI, c.queued(n.DB))
		return nil
	})
}

type postUnlikeCmd struct{ onPost }

func (postUnlikeCmd) Help() string { return "Example: planet post unlike 117034567890 --as bakery" }

func (cmd postUnlikeCmd) Run(c *app) error {
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, p *storage.Post) error {
		if _, err := n.Unlike(c.ctx, by, p.ID); err != nil {
			return err
		}
		c.say("%s no longer likes %s%s", by.Actor.Username, p.IRI, c.queued(n.DB))
		return nil
	})
}
