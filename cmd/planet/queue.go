package main

import (
	"fmt"
	"time"

	"planet/storage"
)

type queueCmd struct {
	List  queueListCmd  `cmd:"" default:"withargs" help:"List deliveries (the word list may be left out)."`
	Jobs  queueJobsCmd  `cmd:"" help:"List jobs: what the node owes beside deliveries."`
	Retry queueRetryCmd `cmd:"" help:"Try deliveries and jobs again now."`
	Drop  queueDropCmd  `cmd:"" help:"Forget deliveries and jobs."`
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

type queueJobsCmd struct {
	Dead  bool `help:"Only those that were given up."`
	Limit int  `default:"100" help:"How many at most, the oldest first."`
	JSON  bool `help:"Print JSON."`
}

func (queueJobsCmd) Help() string {
	return "Jobs find what others answer or share, follow those who move, and close polls.\n\nExample: planet queue jobs --dead"
}

// jobEntry is a job as --json prints one.
type jobEntry struct {
	ID       storage.ID `json:"id"`
	State    string     `json:"state"` // waiting, failing or dead
	Kind     string     `json:"kind"`
	About    string     `json:"about,omitempty"`
	Attempts int        `json:"attempts"`
	Next     time.Time  `json:"next"`
	Error    string     `json:"last_error,omitempty"`
	Created  time.Time  `json:"created"`
}

func (cmd queueJobsCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		list := db.Jobs
		if cmd.Dead {
			list = db.DeadJobs
		}
		jobs, err := list(c.ctx, cmd.Limit)
		if err != nil {
			return err
		}
		entries := make([]jobEntry, 0, len(jobs))
		for _, j := range jobs {
			e := jobEntry{ID: j.ID, State: "waiting", Kind: j.Kind, About: j.About, Attempts: j.Attempts, Next: j.RunAt, Error: j.LastError, Created: j.CreatedAt}
			switch {
			case j.DeadAt != nil:
				e.State = "dead"
			case j.LastError != "":
				e.State = "failing"
			}
			entries = append(entries, e)
		}
		if cmd.JSON {
			return c.json(entries)
		}
		if len(entries) == 0 {
			c.say("no job waits")
			return nil
		}
		t := c.table("ID", "STATE", "KIND", "ABOUT", "TRIES", "NEXT", "LAST ERROR")
		for _, e := range entries {
			next := stamp(&e.Next)
			if e.State == "dead" {
				next = ""
			}
			t.row(e.ID.String(), e.State, e.Kind, short(e.About), fmt.Sprint(e.Attempts), next, short(e.Error))
		}
		return t.flush()
	})
}

type queueRetryCmd struct {
	ID string `arg:"" optional:"" help:"One delivery or job; without it all deliveries that wait or were given up, and all jobs that failed."`
}

func (queueRetryCmd) Help() string { return "Example: planet queue retry" }

func (cmd queueRetryCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		ds, js, err := onQueue(cmd.ID, func(id storage.ID) (int64, error) { return db.RetryDeliveries(c.ctx, id) },
			func(id storage.ID) (int64, error) { return db.RetryJobs(c.ctx, id) })
		if err != nil {
			return err
		}
		c.say("%d deliveries and %d jobs are due now%s", ds, js, c.queued(db))
		return nil
	})
}

type queueDropCmd struct {
	ID string `arg:"" optional:"" help:"One delivery or job; without it all that were given up."`
}

func (queueDropCmd) Help() string { return "Example: planet queue drop 117034567890" }

func (cmd queueDropCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		ds, js, err := onQueue(cmd.ID, func(id storage.ID) (int64, error) { return db.DropDeliveries(c.ctx, id) },
			func(id storage.ID) (int64, error) { return db.DropJobs(c.ctx, id) })
		if err != nil {
			return err
		}
		c.say("%d deliveries and %d jobs are forgotten", ds, js)
		return nil
	})
}

// onQueue does something to one delivery or job, which must be there, or to all.
func onQueue(id string, delivery, job func(storage.ID) (int64, error)) (deliveries, jobs int64, err error) {
	var i storage.ID
	if id != "" {
		if i, err = storage.ParseID(id); err != nil || i == 0 {
			return 0, 0, usageError{fmt.Sprintf("%q is not an id", id)}
		}
	}
	if deliveries, err = delivery(i); err != nil || id != "" && deliveries > 0 {
		return deliveries, 0, err
	}
	if jobs, err = job(i); err == nil && jobs == 0 && id != "" {
		err = fmt.Errorf("no delivery or job %s waits or was given up", id)
	}
	return deliveries, jobs, err
}
