package main

import (
	"errors"
	"time"

	"planet/storage"
)

type notificationsCmd struct {
	Name  string `arg:"" help:"The person or co-op."`
	Limit int    `default:"40" help:"How many at most, the newest first."`
	JSON  bool   `help:"Print JSON."`
}

func (notificationsCmd) Help() string { return "Example: planet user notifications bakery --json" }

// notificationEntry is a notification as --json prints one.
type notificationEntry struct {
	ID     storage.ID  `json:"id"`
	Kind   string      `json:"kind"` // mention, follow, follow_request, favourite, reblog, poll, quote, admin.report, join_request, join_approved, join_refused, agreement, or order., payment. or request. and how it stands
	From   string      `json:"from"`
	Post   storage.IRI `json:"post,omitempty"`
	Report storage.ID  `json:"report,omitempty"`
	Order  storage.ID  `json:"order,omitempty"`
	Pay    storage.ID  `json:"payment,omitempty"`
	Text   string      `json:"text,omitempty"` // for people: the news of an order or a payment, and what to do
	When   time.Time   `json:"when"`
}

func (cmd notificationsCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		a, err := c.actor(db, cmd.Name)
		if err != nil {
			return err
		}
		ns, err := db.Notifications(c.ctx, a.ID, storage.Page{Limit: cmd.Limit})
		if err != nil {
			return err
		}
		entries := make([]notificationEntry, 0, len(ns))
		for _, n := range ns {
			e := notificationEntry{ID: n.ID, Kind: n.Kind, When: n.CreatedAt}
			if e.From, err = c.handle(db, n.FromID); err != nil {
				return err
			}
			e.Order, e.Pay = n.OrderID, n.PaymentID
			switch {
			case n.PaymentID != 0:
				if e.Text, err = c.paymentNews(db, &n); err != nil {
					return err
				}
			case n.OrderID != 0:
				if e.Text, err = c.orderNews(db, &n, e.From); err != nil {
					return err
				}
			case n.Kind == "admin.report":
				e.Report = n.PostID
			case n.PostID != 0:
				p, err := db.PostByID(c.ctx, n.PostID)
				if err == nil {
					e.Post = p.IRI
				} else if !errors.Is(err, storage.ErrNotFound) {
					return err
				}
			}
			entries = append(entries, e)
		}
		if cmd.JSON {
			return c.json(entries)
		}
		t := c.table("WHEN", "KIND", "FROM", "ABOUT")
		for _, e := range entries {
			about := string(e.Post)
			if e.Text != "" {
				about = e.Text
			} else if e.Kind == "request."+storage.RequestRefused {
				about = "no to what was asked for in " + about
			} else if e.Report != 0 {
				about = "report " + e.Report.String()
			}
			t.row(stamp(&e.When), e.Kind, e.From, about)
		}
		return t.flush()
	})
}
