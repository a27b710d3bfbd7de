package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
)

type inviteCmd struct {
	Create inviteCreateCmd `cmd:"" help:"Make an invitation and print its link."`
	List   inviteListCmd   `cmd:"" help:"List invitations."`
	Revoke inviteRevokeCmd `cmd:"" help:"End an invitation."`
}

// inviteEntry is an invitation as --json prints one. Its link is known only when it is made.
type inviteEntry struct {
	ID      storage.ID `json:"id"`
	Link    string     `json:"link,omitempty"`
	Coop    string     `json:"coop,omitempty"`
	Uses    int        `json:"uses_left"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	State   string     `json:"state"` // open, used, expired or revoked
}

func (c *app) inviteEntry(db *storage.DB, i *storage.Invite) (inviteEntry, error) {
	e := inviteEntry{ID: i.ID, Uses: i.UsesLeft, Created: i.CreatedAt, Expires: i.ExpiresAt, State: "open"}
	switch {
	case i.RevokedAt != nil:
		e.State = "revoked"
	case i.UsesLeft <= 0:
		e.State = "used"
	case i.ExpiresAt != nil && !i.ExpiresAt.After(db.Now()):
		e.State = "expired"
	}
	if i.CoopID != 0 {
		a, err := db.ActorByID(c.ctx, i.CoopID)
		if err != nil {
			return e, err
		}
		e.Coop = a.Username
	}
	return e, nil
}

type inviteCreateCmd struct {
	Coop    string `placeholder:"COOP" aliases:"as" help:"Those who come become members of this co-op, too, without being approved (also --as)."`
	By      string `placeholder:"USER" help:"Who invites: an admin of the co-op (default: the operator)."`
	Uses    int    `default:"1" help:"How many people may use it."`
	Expires string `default:"14d" placeholder:"D" help:"When it ends: a span such as 36h or 14d, a date such as 2027-01-31, or never."`
	JSON    bool   `help:"Print JSON."`
}

func (inviteCreateCmd) Help() string {
	return "Example: planet invite create --coop bakery --uses 5 --expires 14d"
}

func (cmd inviteCreateCmd) Run(c *app) error {
	if cmd.Uses < 1 || cmd.Uses > 10_000 {
		return usageError{"--uses: want 1 to 10000"}
	}
	if cmd.By != "" && cmd.Coop == "" {
		return usageError{"--by is about an invitation to a co-op: say which with --coop"}
	}
	if cmd.Coop == "" {
		return c.withNode(func(n *activitypub.Node) error {
			return cmd.make(c, n.DB, func(hash string, until *time.Time) (*storage.Invite, error) {
				return n.InviteHere(c.ctx, hash, cmd.Uses, until)
			})
		})
	}
	return c.byWhom(cmd.Coop, cmd.By, func(n *activitypub.Node, by activitypub.By) error {
		return cmd.make(c, n.DB, func(hash string, until *time.Time) (*storage.Invite, error) {
			return n.Invite(c.ctx, by, hash, cmd.Uses, until)
		})
	})
}

// make draws a code for an invitation, of which save keeps the hash.
func (cmd inviteCreateCmd) make(c *app, db *storage.DB, save func(hash string, until *time.Time) (*storage.Invite, error)) error {
	until, err := expiry(cmd.Expires, db.Now())
	if err != nil {
		return err
	}
	code := newSecret()
	i, err := save(oauth.Hash(code), until)
	if err != nil {
		return err
	}
	e, err := c.inviteEntry(db, i)
	if err != nil {
		return err
	}
	e.Link = c.cfg.Origin + "/invite/" + code
	if cmd.JSON {
		return c.json(e)
	}
	c.say("%s", e.Link)
	return nil
}

// expiry reads 36h, 14d, 2027-01-31 or never.
func expiry(s string, now time.Time) (*time.Time, error) {
	if s == "never" {
		return nil, nil
	}
	if d, ok := span(s); ok {
		t := now.UTC().Add(d)
		return &t, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		t = t.AddDate(0, 0, 1) // the whole day counts
		if !t.After(now) {
			return nil, fmt.Errorf("%s is over", s)
		}
		return &t, nil
	}
	return nil, usageError{fmt.Sprintf("--expires: want a span such as 36h or 14d, a date such as 2027-01-31, or never, not %q", s)}
}

// span reads a time that something lasts: 36h, 14d.
func span(s string) (time.Duration, bool) {
	if digits, ok := strings.CutSuffix(s, "d"); ok {
		days, err := strconv.ParseUint(digits, 10, 32)
		return time.Duration(days) * 24 * time.Hour, err == nil && days > 0 && days < 100_000
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d > 0
}

type inviteListCmd struct {
	JSON bool `help:"Print JSON."`
}

func (inviteListCmd) Help() string { return "Example: planet invite list" }

func (cmd inviteListCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		invites, err := db.Invites(c.ctx)
		if err != nil {
			return err
		}
		entries := make([]inviteEntry, 0, len(invites))
		for i := range invites {
			e, err := c.inviteEntry(db, &invites[i])
			if err != nil {
				return err
			}
			entries = append(entries, e)
		}
		if cmd.JSON {
			return c.json(entries)
		}
		t := c.table("ID", "STATE", "CO-OP", "USES LEFT", "CREATED", "EXPIRES")
		for _, e := range entries {
			t.row(e.ID.String(), e.State, e.Coop, fmt.Sprint(e.Uses), stamp(&e.Created), stamp(e.Expires))
		}
		return t.flush()
	})
}

type inviteRevokeCmd struct {
	ID string `arg:"" help:"The invitation's id, as in planet invite list."`
	By string `placeholder:"USER" help:"Who ends it: an admin of its co-op (default: the operator)."`
}

func (inviteRevokeCmd) Help() string { return "Example: planet invite revoke 117034567890" }

func (cmd inviteRevokeCmd) Run(c *app) error {
	id, err := storage.ParseID(cmd.ID)
	if err != nil {
		return usageError{fmt.Sprintf("%q is not an id", cmd.ID)}
	}
	return c.withNode(func(n *activitypub.Node) error {
		i, err := n.DB.InviteByID(c.ctx, id)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			return fmt.Errorf("there is no invitation %s", cmd.ID)
		case err != nil:
			return err
		case i.CoopID != 0:
			err = c.revokeInvite(n, i, cmd.By)
		case cmd.By != "":
			return usageError{"--by is about an invitation to a co-op, and this one is to the node"}
		default:
			err = n.RevokeInviteHere(c.ctx, id)
		}
		if err == nil {
			c.say("the invitation %s is ended", cmd.ID)
		}
		return err
	})
}

// revokeInvite ends an invitation to a co-op; one to a co-op that cannot act any more is the operator's to end.
func (c *app) revokeInvite(n *activitypub.Node, i *storage.Invite, name string) error {
	coop, err := n.DB.ActorByID(c.ctx, i.CoopID)
	if err != nil {
		return err
	}
	by := activitypub.By{Actor: coop}
	switch {
	case name != "":
		if by.User, err = c.user(n.DB, name); err != nil {
			return err
		}
	case coop.DeletedAt != nil || coop.SuspendedAt != nil:
		return n.RevokeInviteHere(c.ctx, i.ID)
	}
	return n.RevokeInvite(c.ctx, by, i.ID)
}
