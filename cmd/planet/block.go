package main

import (
	"fmt"
	"time"

	"planet/activitypub"
	"planet/storage"
)

type blockCmd struct {
	Add    blockAddCmd    `cmd:"" help:"Have nothing to do with somebody: follows in both directions end."`
	Remove blockRemoveCmd `cmd:"" help:"Take a block back."`
	List   blockListCmd   `cmd:"" help:"List whom an actor blocks."`
}

func (blockCmd) Help() string { return "Example: planet block add --as bakery @mallory@spam.example" }

type blockAddCmd struct {
	As     string `required:"" placeholder:"NAME" help:"The person or co-op that blocks."`
	Handle string `arg:"" help:"Whom: @name@domain, or the address of an actor."`
}

func (blockAddCmd) Help() string {
	return "Example: planet block add --as bakery @mallory@spam.example"
}

func (cmd blockAddCmd) Run(c *app) error {
	return c.as(cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		a, err := n.Block(c.ctx, by, cmd.Handle)
		if err != nil {
			return err
		}
		c.say("%s blocks %s%s", by.Actor.Username, a.Handle(c.host()), c.queued(n.DB))
		return nil
	})
}

type blockRemoveCmd struct {
	As     string `required:"" placeholder:"NAME" help:"The person or co-op that blocks."`
	Handle string `arg:"" help:"Whom: @name@domain, or the address of an actor."`
}

func (blockRemoveCmd) Help() string {
	return "Example: planet block remove --as bakery @mallory@spam.example"
}

func (cmd blockRemoveCmd) Run(c *app) error {
	return c.as(cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		a, err := n.Unblock(c.ctx, by, cmd.Handle)
		if err != nil {
			return err
		}
		c.say("%s no longer blocks %s%s", by.Actor.Username, a.Handle(c.host()), c.queued(n.DB))
		return nil
	})
}

// whomEntry is somebody who is blocked or muted as --json prints it.
type whomEntry struct {
	Handle string      `json:"handle"`
	IRI    storage.IRI `json:"iri"`
	Since  time.Time   `json:"since"`
	Until  *time.Time  `json:"until,omitempty"`
}

type blockListCmd struct {
	As   string `required:"" placeholder:"NAME" help:"Whose."`
	JSON bool   `help:"Print JSON."`
}

func (blockListCmd) Help() string { return "Example: planet block list --as bakery" }

func (cmd blockListCmd) Run(c *app) error {
	return c.listWhom(cmd.As, cmd.JSON, func(db *storage.DB, a *storage.Actor, p storage.Page) (rows []whomRow, err error) {
		bs, err := db.Blocks(c.ctx, a.ID, p)
		for _, b := range bs {
			rows = append(rows, whomRow{b.ID, b.TargetID, b.CreatedAt, nil})
		}
		return rows, err
	})
}

// whomRow is a block or a mute.
type whomRow struct {
	id, target storage.ID
	since      time.Time
	until      *time.Time
}

// listWhom prints the whole of a paged list of blocks or mutes.
func (c *app) listWhom(as string, asJSON bool, next func(*storage.DB, *storage.Actor, storage.Page) ([]whomRow, error)) error {
	return c.withDB(func(db *storage.DB) error {
		a, err := c.actor(db, as)
		if err != nil {
			return err
		}
		entries := []whomEntry{}
		for page := (storage.Page{Limit: 100}); ; {
			rows, err := next(db, a, page)
			if err != nil {
				return err
			}
			for _, r := range rows {
				whom, err := db.ActorByID(c.ctx, r.target)
				if err != nil {
					return err
				}
				entries = append(entries, whomEntry{whom.Handle(c.host()), whom.IRI, r.since, r.until})
				page.MaxID = r.id
			}
			if len(rows) < page.Limit {
				break
			}
		}
		if asJSON {
			return c.json(entries)
		}
		t := c.table("HANDLE", "SINCE", "UNTIL")
		for _, e := range entries {
			t.row(e.Handle, stamp(&e.Since), stamp(e.Until))
		}
		return t.flush()
	})
}

type muteCmd struct {
	Add    muteAddCmd    `cmd:"" help:"Do not read what somebody says; nobody learns of it."`
	Remove muteRemoveCmd `cmd:"" help:"Take a mute back."`
	List   muteListCmd   `cmd:"" help:"List whom an actor mutes."`
}

func (muteCmd) Help() string {
	return "Example: planet mute add --as ana @loud@noise.example --for 24h"
}

type muteAddCmd struct {
	As     string `required:"" placeholder:"NAME" help:"The person or co-op that does not want to read it."`
	For    string `placeholder:"D" help:"How long, such as 24h or 7d; without it until it is taken back."`
	Handle string `arg:"" help:"Whom: @name@domain, or the address of an actor."`
}

func (muteAddCmd) Help() string {
	return "Example: planet mute add --as ana @loud@noise.example --for 24h"
}

func (cmd muteAddCmd) Run(c *app) error {
	lasts, ok := time.Duration(0), true
	if cmd.For != "" {
		if lasts, ok = span(cmd.For); !ok {
			return usageError{fmt.Sprintf("--for: want a span such as 24h or 7d, not %q", cmd.For)}
		}
	}
	return c.as(cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		a, err := n.Mute(c.ctx, by, cmd.Handle, lasts)
		if err != nil {
			return err
		}
		until := ""
		if lasts > 0 {
			end := n.Now().Add(lasts)
			until = " until " + stamp(&end)
		}
		c.say("%s mutes %s%s", by.Actor.Username, a.Handle(c.host()), until)
		return nil
	})
}

type muteRemoveCmd struct {
	As     string `required:"" placeholder:"NAME" help:"The person or co-op that mutes."`
	Handle string `arg:"" help:"Whom: @name@domain, or the address of an actor."`
}

func (muteRemoveCmd) Help() string { return "Example: planet mute remove --as ana @loud@noise.example" }

func (cmd muteRemoveCmd) Run(c *app) error {
	return c.as(cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		a, err := n.Unmute(c.ctx, by, cmd.Handle)
		if err != nil {
			return err
		}
		c.say("%s no longer mutes %s", by.Actor.Username, a.Handle(c.host()))
		return nil
	})
}

type muteListCmd struct {
	As   string `required:"" placeholder:"NAME" help:"Whose."`
	JSON bool   `help:"Print JSON."`
}

func (muteListCmd) Help() string { return "Example: planet mute list --as ana" }

func (cmd muteListCmd) Run(c *app) error {
	return c.listWhom(cmd.As, cmd.JSON, func(db *storage.DB, a *storage.Actor, p storage.Page) (rows []whomRow, err error) {
		ms, err := db.Mutes(c.ctx, a.ID, p)
		for _, m := range ms {
			rows = append(rows, whomRow{m.ID, m.TargetID, m.CreatedAt, m.ExpiresAt})
		}
		return rows, err
	})
}
