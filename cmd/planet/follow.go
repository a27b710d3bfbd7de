package main

import (
	"errors"
	"fmt"
	"time"

	"planet/activitypub"
	"planet/storage"
)

type followCmd struct {
	Start followStartCmd `cmd:"" default:"withargs" name:"start" help:"Follow somebody (the word start may be left out)."`
	List  followListCmd  `cmd:"" help:"List whom an actor follows and who follows it."`

	Requests followRequestsCmd `cmd:"" help:"List who asks to follow an actor."`
	Accept   followAcceptCmd   `cmd:"" help:"Let somebody follow who asked to."`
	Refuse   followRefuseCmd   `cmd:"" help:"Refuse somebody who asked to follow."`
	Remove   followRemoveCmd   `cmd:"" help:"Take a follower away."`
}

func (followCmd) Help() string { return "Example: planet follow --as bakery @mill@oak.example" }

type followStartCmd struct {
	As     string `required:"" placeholder:"NAME" help:"The person or co-op that follows."`
	Undo   bool   `help:"Stop following."`
	JSON   bool   `help:"Print JSON."`
	Handle string `arg:"" help:"Whom: @name@domain, or the address of an actor."`
}

func (followStartCmd) Help() string {
	return "Example: planet follow --as bakery @mill@oak.example; planet follow --as bakery @mill@oak.example --undo"
}

// followEntry is a follow as --json prints one.
type followEntry struct {
	Direction string      `json:"direction"` // following or follower
	Handle    string      `json:"handle"`
	IRI       storage.IRI `json:"iri"`
	State     string      `json:"state"`
	Since     time.Time   `json:"since"`
}

func (c *app) followEntry(db *storage.DB, direction string, f *storage.Follow) (followEntry, error) {
	other := f.TargetID
	if direction == "follower" {
		other = f.ActorID
	}
	a, err := db.ActorByID(c.ctx, other)
	if err != nil {
		return followEntry{}, err
	}
	return followEntry{Direction: direction, Handle: a.Handle(c.host()), IRI: a.IRI, State: f.State, Since: f.CreatedAt}, nil
}

func (cmd followStartCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.actor(n.DB, cmd.As)
		if err != nil {
			return err
		}
		by := activitypub.By{Actor: a}
		if cmd.Undo {
			if err := n.Unfollow(c.ctx, by, cmd.Handle); err != nil {
				return err
			}
			c.say("%s no longer follows %s%s", a.Username, cmd.Handle, c.queued(n.DB))
			return nil
		}
		f, err := n.Follow(c.ctx, by, cmd.Handle)
		if err != nil {
			return err
		}
		e, err := c.followEntry(n.DB, "following", f)
		if err != nil {
			return err
		}
		switch {
		case cmd.JSON:
			return c.json(e)
		case f.State == storage.FollowAccepted:
			c.say("%s follows %s", a.Username, e.Handle)
		default:
			c.say("%s asked to follow %s%s", a.Username, e.Handle, c.queued(n.DB))
		}
		return nil
	})
}

type followListCmd struct {
	As   string `required:"" placeholder:"NAME" help:"Whose."`
	JSON bool   `help:"Print JSON."`
}

func (followListCmd) Help() string { return "Example: planet follow list --as bakery --json" }

func (cmd followListCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		a, err := c.actor(db, cmd.As)
		if err != nil {
			return err
		}
		entries := []followEntry{}
		for _, side := range []struct {
			direction string
			list      func(storage.Page) ([]storage.Follow, error)
		}{
			{"following", func(p storage.Page) ([]storage.Follow, error) { return db.Following(c.ctx, a.ID, "", p) }},
			{"follower", func(p storage.Page) ([]storage.Follow, error) { return db.Followers(c.ctx, a.ID, "", p) }},
		} {
			page := storage.Page{Limit: 100}
			for {
				follows, err := side.list(page)
				if err != nil {
					return err
				}
				for i := range follows {
					e, err := c.followEntry(db, side.direction, &follows[i])
					if err != nil {
						return err
					}
					entries = append(entries, e)
				}
				if len(follows) < page.Limit {
					break
				}
				page.MaxID = follows[len(follows)-1].ID
			}
		}
		if cmd.JSON {
			return c.json(entries)
		}
		t := c.table("DIRECTION", "HANDLE", "STATE", "SINCE")
		for _, e := range entries {
			t.row(e.Direction, e.Handle, e.State, stamp(&e.Since))
		}
		return t.flush()
	})
}

type followRequestsCmd struct {
	As   string `required:"" placeholder:"NAME" help:"Whom they ask."`
	JSON bool   `help:"Print JSON."`
}

func (followRequestsCmd) Help() string { return "Example: planet follow requests --as bakery" }

func (cmd followRequestsCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		a, err := c.actor(db, cmd.As)
		if err != nil {
			return err
		}
		entries := []followEntry{}
		for page := (storage.Page{Limit: 100}); ; {
			fs, err := db.Followers(c.ctx, a.ID, storage.FollowPending, page)
			if err != nil {
				return err
			}
			for i := range fs {
				e, err := c.followEntry(db, "follower", &fs[i])
				if err != nil {
					return err
				}
				entries = append(entries, e)
				page.MaxID = fs[i].ID
			}
			if len(fs) < page.Limit {
				break
			}
		}
		if cmd.JSON {
			return c.json(entries)
		}
		t := c.table("HANDLE", "SINCE")
		for _, e := range entries {
			t.row(e.Handle, stamp(&e.Since))
		}
		return t.flush()
	})
}

// answer is what accept, refuse and remove are called with.
type answer struct {
	As     string `required:"" placeholder:"NAME" help:"The person or co-op that is followed."`
	Handle string `arg:"" help:"Who follows or asks to: @name@domain, or the address of an actor."`
}

func (r answer) give(c *app, accept bool, says string) error {
	return c.as(r.As, func(n *activitypub.Node, by activitypub.By) error {
		a, err := n.AnswerFollow(c.ctx, by, r.Handle, accept)
		if errors.Is(err, storage.ErrNotFound) && a != nil {
			return fmt.Errorf("%s neither follows %s nor asks to", a.Handle(c.host()), by.Actor.Username)
		} else if err != nil {
			return err
		}
		c.say(says+"%s", a.Handle(c.host()), by.Actor.Username, c.queued(n.DB))
		return nil
	})
}

type followAcceptCmd struct{ answer }

func (followAcceptCmd) Help() string {
	return "Example: planet follow accept --as bakery @mill@oak.example"
}

func (cmd followAcceptCmd) Run(c *app) error { return cmd.give(c, true, "%s follows %s") }

type followRefuseCmd struct{ answer }

func (followRefuseCmd) Help() string {
	return "Example: planet follow refuse --as bakery @mallory@spam.example"
}

func (cmd followRefuseCmd) Run(c *app) error { return cmd.give(c, false, "%s may not follow %s") }

type followRemoveCmd struct{ answer }

func (followRemoveCmd) Help() string {
	return "Example: planet follow remove --as bakery @mallory@spam.example"
}

func (cmd followRemoveCmd) Run(c *app) error { return cmd.give(c, false, "%s no longer follows %s") }
