package main

import (
	"fmt"
	"time"

	"planet/storage"
)

type queueCmd struct {
	List  queueListCmd  `cmd:"" default:"withargs" help:"List deliveries (the word list may be left out)."`
	Retry queueRetryCmd `cmd:"" help:"Try deliveries again now."`
	Drop  queueDropCmd  `cmd:"" help:"Forget deliveries."`
}

func (queueCmd) Help() string { return "Example: planet queue --json" }

// deliveryEntry is a delivery as --json prints one.
type deliveryEntry struct {
	ID       storage.ID  `json:"id"`
	State    string      `json:"state"` // waiting, failing or dead
	Host     string      `json:"host"`
	Inbox    storage.IRI `json:"inbox"`
	Object   storage.IRI `json:"object,omitempty"`
	Attempts int         `json:"attempts"`
	Next     time.Time   `json:"next"`
	Status   int         `json:"last_status,omitempty"`
	Error    string      `json:"last_error,omitempty"`
	Created  time.Time   `json:"created"`
}

type queueListCmd struct {
	Limit int  `default:"100" help:"How many at most, the oldest first."`
	JSON  bool `help:"Print JSON."`
}

func (queueListCmd) Help() string { return "Example: planet queue" }

func (cmd queueListCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		ds, err := db.Deliveries(c.ctx, "", cmd.Limit)
		if err != nil {
			return err
		}
		entries := make([]deliveryEntry, 0, len(ds))
		for _, d := range ds {
			e := deliveryEntry{ID: d.ID, State: "waiting", Host: d.Host, Inbox: d.Inbox, Object: d.Object, Attempts: d.Attempts,
				Next: d.NextAt, Status: d.LastStatus, Error: d.LastError, Created: d.CreatedAt}
			switch {
			case d.State == storage.DeliveryDead:
				e.State = "dead"
			case d.LastError != "":
				e.State = "failing"
			}
			entries = append(entries, e)
		}
		if cmd.JSON {
			return c.json(entries)
		}
		if len(entries) == 0 {
			c.say("nothing waits to be delivered")
			return nil
		}
		t := c.table("ID", "STATE", "HOST", "TRIES", "NEXT", "LAST ERROR")
		for _, e := range entries {
			next := stamp(&e.Next)
			if e.State == "dead" {
				next = ""
			}
			t.row(e.ID.String(), e.State, e.Host, fmt.Sprint(e.Attempts), next, short(e.Error))
		}
		return t.flush()
	})
}

type queueRetryCmd struct {
	ID string `arg:"" optional:"" help:"One delivery; without it all that wait or were given up."`
}

func (queueRetryCmd) Help() string { return "Example: planet queue retry" }

func (cmd queueRetryCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		n, err := onDeliveries(cmd.ID, func(id storage.ID) (int64, error) { return db.RetryDeliveries(c.ctx, id) })
		if err != nil {
			return err
		}
		c.say("%d deliveries are due now%s", n, c.queued(db))
		return nil
	})
}

type queueDropCmd struct {
	ID string `arg:"" optional:"" help:"One delivery; without it all that were given up."`
}

func (queueDropCmd) Help() string { return "Example: planet queue drop 117034567890" }

func (cmd queueDropCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		n, err := onDeliveries(cmd.ID, func(id storage.ID) (int64, error) { return db.DropDeliveries(c.ctx, id) })
		if err != nil {
			return err
		}
		c.say("%d deliveries are forgotten", n)
		return nil
	})
}

// onDeliveries does something to one delivery, which must be there, or to all.
func onDeliveries(id string, do func(storage.ID) (int64, error)) (int64, error) {
	if id == "" {
		return do(0)
	}
	i, err := storage.ParseID(id)
	if err != nil || i == 0 {
		return 0, usageError{fmt.Sprintf("%q is not an id", id)}
	}
	n, err := do(i)
	if err == nil && n == 0 {
		err = fmt.Errorf("no delivery %s waits or was given up", id)
	}
	return n, err
}
