package main

import (
	"errors"
	"fmt"
	"time"

	"planet/activitypub"
	"planet/storage"
)

type announcementCmd struct {
	Create announcementCreateCmd `cmd:"" help:"Tell everybody who signs in something, and print its id."`
	List   announcementListCmd   `cmd:"" help:"List announcements, also those that are over."`
	Remove announcementRemoveCmd `cmd:"" help:"Take an announcement away."`
}

// announcementEntry is an announcement as --json prints one.
type announcementEntry struct {
	ID      storage.ID `json:"id"`
	Text    string     `json:"text"`
	Created time.Time  `json:"created"`
	Ends    *time.Time `json:"ends,omitempty"`
	State   string     `json:"state"` // shown or over
}

func newAnnouncementEntry(db *storage.DB, a *storage.Announcement) announcementEntry {
	e := announcementEntry{ID: a.ID, Text: a.Source, Created: a.CreatedAt, Ends: a.EndsAt, State: "shown"}
	if a.EndsAt != nil && !a.EndsAt.After(db.Now()) {
		e.State = "over"
	}
	return e
}

type announcementCreateCmd struct {
	Text    string `arg:"" help:"What to tell. Addresses and hashtags become links."`
	Expires string `default:"never" placeholder:"D" help:"When it ends: a span such as 36h or 14d, a date such as 2027-01-31, or never."`
	JSON    bool   `help:"Print JSON."`
}

func (announcementCreateCmd) Help() string {
	return "Example: planet announcement create 'On Sunday this node moves: it is away from 9 to 10.' --expires 7d"
}

func (cmd announcementCreateCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		until, err := expiry(cmd.Expires, n.DB.Now())
		if err != nil {
			return err
		}
		a, err := n.CreateAnnouncement(c.ctx, cmd.Text, until)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(newAnnouncementEntry(n.DB, a))
		}
		c.say("%s", a.ID)
		return nil
	})
}

type announcementListCmd struct {
	JSON bool `help:"Print JSON."`
}

func (announcementListCmd) Help() string { return "Example: planet announcement list" }

func (cmd announcementListCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		rows, err := db.Announcements(c.ctx, true)
		if err != nil {
			return err
		}
		entries := make([]announcementEntry, 0, len(rows))
		for i := range rows {
			entries = append(entries, newAnnouncementEntry(db, &rows[i]))
		}
		if cmd.JSON {
			return c.json(entries)
		}
		t := c.table("ID", "STATE", "CREATED", "ENDS", "TEXT")
		for _, e := range entries {
			t.row(e.ID.String(), e.State, stamp(&e.Created), stamp(e.Ends), e.Text)
		}
		return t.flush()
	})
}

type announcementRemoveCmd struct {
	ID string `arg:"" help:"The announcement's id, as in planet announcement list."`
}

func (announcementRemoveCmd) Help() string {
	return "Example: planet announcement remove 117034567890"
}

func (cmd announcementRemoveCmd) Run(c *app) error {
	id, err := storage.ParseID(cmd.ID)
	if err != nil {
		return usageError{fmt.Sprintf("%q is not an id", cmd.ID)}
	}
	return c.withDB(func(db *storage.DB) error {
		err := db.DeleteAnnouncement(c.ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("there is no announcement %s", cmd.ID)
		}
		if err == nil {
			c.say("the announcement %s is removed", cmd.ID)
		}
		return err
	})
}
