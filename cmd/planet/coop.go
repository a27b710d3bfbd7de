package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"planet/activitypub"
	"planet/storage"
)

type coopCmd struct {
	Create  coopCreateCmd `cmd:"" help:"Found a co-op."`
	List    coopListCmd   `cmd:"" help:"List the co-ops of this node."`
	Show    coopShowCmd   `cmd:"" help:"Show one co-op."`
	Profile profileCmd    `cmd:"" help:"Change how a co-op looks to others."`
	Delete  coopDeleteCmd `cmd:"" help:"Delete a co-op for ever."`
	Member  coopMemberCmd `cmd:"" help:"Who has which role."`
}

// coopEntry is a co-op as --json prints one.
type coopEntry struct {
	ID       storage.ID   `json:"id"`
	Name     string       `json:"name"`
	Handle   string       `json:"handle"`
	IRI      storage.IRI  `json:"iri"`
	Title    string       `json:"title"`
	Place    string       `json:"place,omitempty"`
	Category string       `json:"category,omitempty"`
	Members  []memberLine `json:"members,omitempty"`
}

type memberLine struct {
	User  string   `json:"user"`
	Roles []string `json:"roles"`
}

func (c *app) coopEntry(a *storage.Actor) coopEntry {
	return coopEntry{ID: a.ID, Name: a.Username, Handle: a.Handle(c.host()), IRI: a.IRI, Title: a.Name, Place: a.Place, Category: a.Category}
}

type coopCreateCmd struct {
	Name       string   `arg:"" help:"The name in its address."`
	Title      string   `required:"" help:"What it is called."`
	Founder    string   `required:"" placeholder:"USER" help:"The person who becomes its first admin."`
	Summary    string   `help:"What it does."`
	Place      string   `help:"Where it is."`
	Category   string   `help:"What kind of co-op it is."`
	Hours      string   `help:"When it is open."`
	Principles []string `placeholder:"1,…,7" help:"Principles of the International Cooperative Alliance that it names."`
	JSON       bool     `help:"Print JSON."`
}

func (coopCreateCmd) Help() string {
	return "Example: planet coop create bakery --title \"Bread for All\" --founder ana --place Reus"
}

func (cmd coopCreateCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		founder, err := c.user(n.DB, cmd.Founder)
		if err != nil {
			return err
		}
		a, err := n.FoundCoop(c.ctx, founder, activitypub.NewCoop{Username: cmd.Name, Title: cmd.Title, Summary: cmd.Summary,
			Place: cmd.Place, Category: cmd.Category, Hours: cmd.Hours, Principles: cmd.Principles})
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(c.coopEntry(a))
		}
		c.say("founded %s; %s is its admin", a.Handle(c.host()), founder.Username)
		return nil
	})
}

type coopListCmd struct {
	JSON bool `help:"Print JSON."`
}

func (coopListCmd) Help() string { return "Example: planet coop list" }

func (cmd coopListCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		actors, err := db.LocalActors(c.ctx, storage.Organization)
		if err != nil {
			return err
		}
		coops := make([]coopEntry, 0, len(actors))
		for i := range actors {
			coops = append(coops, c.coopEntry(&actors[i]))
		}
		if cmd.JSON {
			return c.json(coops)
		}
		t := c.table("NAME", "TITLE", "PLACE", "CATEGORY")
		for _, e := range coops {
			t.row(e.Name, e.Title, e.Place, e.Category)
		}
		return t.flush()
	})
}

type coopShowCmd struct {
	Name string `arg:"" help:"Which co-op."`
	JSON bool   `help:"Print JSON."`
}

func (coopShowCmd) Help() string { return "Example: planet coop show bakery --json" }

func (cmd coopShowCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		a, err := c.coop(db, cmd.Name)
		if err != nil {
			return err
		}
		e := c.coopEntry(a)
		if e.Members, err = c.memberLines(db, a); err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(e)
		}
		t := c.table("name", e.Name)
		t.row("title", e.Title)
		t.row("handle", e.Handle)
		t.row("id", string(e.IRI))
		t.row("place", e.Place)
		t.row("category", e.Category)
		for _, m := range e.Members {
			t.row("member "+m.User, strings.Join(m.Roles, ", "))
		}
		return t.flush()
	})
}

// memberLines lists the people of a co-op with their roles, oldest member first.
func (c *app) memberLines(db *storage.DB, coop *storage.Actor) ([]memberLine, error) {
	members, err := db.Members(c.ctx, coop.ID)
	if err != nil {
		return nil, err
	}
	lines := []memberLine{}
	at := map[storage.ID]int{}
	for _, m := range members {
		i, ok := at[m.UserID]
		if !ok {
			u, err := db.UserByID(c.ctx, m.UserID)
			if err != nil {
				return nil, err
			}
			i = len(lines)
			at[m.UserID] = i
			lines = append(lines, memberLine{User: u.Username})
		}
		lines[i].Roles = append(lines[i].Roles, m.Role)
	}
	return lines, nil
}

type coopMemberCmd struct {
	Add    memberAddCmd    `cmd:"" help:"Give a person a role in a co-op."`
	Remove memberRemoveCmd `cmd:"" help:"Take a role away, or all of them."`
	List   memberListCmd   `cmd:"" help:"List who has which role."`
}

type memberAddCmd struct {
	Coop string `arg:"" help:"Which co-op."`
	User string `arg:"" help:"Whom."`
	Role string `default:"member" enum:"admin,treasurer,cashier,editor,member,observer" help:"admin, treasurer, cashier, editor, member or observer (default: member)."`
}

func (memberAddCmd) Help() string {
	return "Example: planet coop member add bakery bo --role treasurer"
}

func (cmd memberAddCmd) Run(c *app) error {
	err := c.changeMember(cmd.Coop, cmd.User, "member.add", func(tx *storage.DB, coop *storage.Actor, u *storage.User) error {
		err := tx.AddMember(c.ctx, &storage.Member{UserID: u.ID, CoopID: coop.ID, Role: cmd.Role})
		if errors.Is(err, storage.ErrConflict) {
			return fmt.Errorf("%s is %s of %s already", u.Username, cmd.Role, coop.Username)
		}
		return err
	})
	if err == nil {
		c.say("%s is now %s of %s", cmd.User, cmd.Role, cmd.Coop)
	}
	return err
}

type memberRemoveCmd struct {
	Coop string `arg:"" help:"Which co-op."`
	User string `arg:"" help:"Whom."`
	Role string `default:"" enum:",admin,treasurer,cashier,editor,member,observer" help:"This role alone; without it she loses all of them."`
}

func (memberRemoveCmd) Help() string { return "Example: planet coop member remove bakery bo" }

func (cmd memberRemoveCmd) Run(c *app) error {
	err := c.changeMember(cmd.Coop, cmd.User, "member.remove", func(tx *storage.DB, coop *storage.Actor, u *storage.User) error {
		err := tx.RemoveMember(c.ctx, coop.ID, u.ID, cmd.Role)
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("%s has no such role in %s", u.Username, coop.Username)
		} else if err != nil {
			return err
		}
		members, err := tx.Members(c.ctx, coop.ID)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(members, func(m storage.Member) bool { return m.Role == storage.RoleAdmin }) {
			return fmt.Errorf("%s is the only admin of %s: give somebody else the role first", u.Username, coop.Username)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case cmd.Role == "":
		c.say("%s has no role in %s any more", cmd.User, cmd.Coop)
	default:
		c.say("%s is no longer %s of %s", cmd.User, cmd.Role, cmd.Coop)
	}
	return nil
}

// changeMember alters the roles of a person in a co-op in one transaction and records it as the operator's act.
func (c *app) changeMember(coop, user, kind string, f func(tx *storage.DB, coop *storage.Actor, u *storage.User) error) error {
	return c.withDB(func(db *storage.DB) error {
		return db.Transaction(c.ctx, func(tx *storage.DB) error {
			a, err := c.coop(tx, coop)
			if err != nil {
				return err
			}
			u, err := c.user(tx, user)
			if err != nil {
				return err
			}
			if err := f(tx, a, u); err != nil {
				return err
			}
			own, err := tx.ActorByID(c.ctx, u.ActorID)
			if err != nil {
				return err
			}
			return tx.RecordAct(c.ctx, &storage.Act{ActorID: a.ID, Kind: kind, Object: own.IRI})
		})
	})
}

type memberListCmd struct {
	Coop string `arg:"" help:"Which co-op."`
	JSON bool   `help:"Print JSON."`
}

func (memberListCmd) Help() string { return "Example: planet coop member list bakery" }

func (cmd memberListCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		a, err := c.coop(db, cmd.Coop)
		if err != nil {
			return err
		}
		lines, err := c.memberLines(db, a)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(lines)
		}
		t := c.table("USER", "ROLES")
		for _, l := range lines {
			t.row(l.User, strings.Join(l.Roles, ", "))
		}
		return t.flush()
	})
}
