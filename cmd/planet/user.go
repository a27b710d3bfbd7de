package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

type userCmd struct {
	Create    userCreateCmd    `cmd:"" help:"Add a person."`
	List      userListCmd      `cmd:"" help:"List the people, or who elsewhere is suspended or silenced."`
	Show      userShowCmd      `cmd:"" help:"Show one person and her roles."`
	Role      userRoleCmd      `cmd:"" help:"Change what a person may do on the node."`
	Profile   profileCmd       `cmd:"" help:"Change how a person looks to others."`
	Password  userPasswordCmd  `cmd:"" help:"Give a person a new password."`
	Suspend   userSuspendCmd   `cmd:"" help:"Keep a person from signing in and acting, a co-op from acting, or have nothing to do with somebody elsewhere."`
	Unsuspend userUnsuspendCmd `cmd:"" help:"Take a suspension back."`
	Silence   userSilenceCmd   `cmd:"" help:"Show what somebody says, here or elsewhere, to followers alone."`
	Unsilence userUnsilenceCmd `cmd:"" help:"Take a silence back."`
	Alias     userAliasCmd     `cmd:"" help:"Say under which other names somebody is known; a move from there may come here."`
	Move      userMoveCmd      `cmd:"" help:"Send the followers of a person or co-op to an account elsewhere."`
	Delete    userDeleteCmd    `cmd:"" help:"Delete a person's account for ever."`

	Notifications notificationsCmd `cmd:"" help:"List what a person or co-op was told."`
}

// person is a user as --json prints one.
type person struct {
	ID        storage.ID  `json:"id"`
	Name      string      `json:"name"`
	Handle    string      `json:"handle"`
	IRI       storage.IRI `json:"iri"`
	Email     string      `json:"email,omitempty"`
	Role      string      `json:"role"`
	Created   time.Time   `json:"created"`
	Suspended *time.Time  `json:"suspended,omitempty"`
	Silenced  *time.Time  `json:"silenced,omitempty"`
	MovedTo   storage.IRI `json:"moved_to,omitempty"`
	Coops     []coopRole  `json:"coops,omitempty"`
	Password  string      `json:"password,omitempty"` // only when this command made it
}

type coopRole struct {
	Coop  string   `json:"coop"`
	Roles []string `json:"roles"`
}

func (c *app) person(db *storage.DB, u *storage.User) (person, error) {
	a, err := db.ActorByID(c.ctx, u.ActorID)
	if err != nil {
		return person{}, err
	}
	return person{ID: u.ID, Name: u.Username, Handle: a.Handle(c.host()), IRI: a.IRI, Email: u.Email, Role: u.Role,
		Created: u.CreatedAt, Suspended: u.SuspendedAt, Silenced: a.SilencedAt, MovedTo: a.MovedTo}, nil
}

type userCreateCmd struct {
	Name          string `arg:"" help:"The name she signs in with; it becomes part of her address."`
	Email         string `help:"Her e-mail address."`
	Admin         bool   `help:"Let her administer the node; the first such person becomes its owner."`
	PasswordStdin bool   `help:"Read the password from standard input; without this one is made and printed."`
	JSON          bool   `help:"Print JSON."`
}

func (userCreateCmd) Help() string {
	return "Example: planet user create ana --email ana@coop.example --admin"
}

func (cmd userCreateCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		password, made, err := c.password(cmd.PasswordStdin)
		if err != nil {
			return err
		}
		role := storage.NodeUser
		if cmd.Admin {
			role = storage.NodeAdmin
			owned, err := n.DB.HasOwner(c.ctx)
			if err != nil {
				return err
			}
			if !owned {
				role = storage.NodeOwner
			}
		}
		u, _, err := n.CreatePerson(c.ctx, activitypub.NewUser{Username: cmd.Name, Email: cmd.Email, Password: password, Role: role})
		if err != nil {
			return err
		}
		p, err := c.person(n.DB, u)
		if err != nil {
			return err
		}
		if made {
			p.Password = password
		}
		switch {
		case cmd.JSON:
			return c.json(p)
		case made:
			c.say("created %s (%s) with the password %s", p.Handle, p.Role, password)
		default:
			c.say("created %s (%s)", p.Handle, p.Role)
		}
		return nil
	})
}

// password reads one from standard input, or makes one of 80 random bits.
func (c *app) password(fromStdin bool) (password string, made bool, err error) {
	if !fromStdin {
		return strings.ToLower(rand.Text()[:16]), true, nil
	}
	line, err := bufio.NewReader(io.LimitReader(c.stdin, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", false, errors.New("standard input holds no password")
	}
	return line, false, nil
}

type userListCmd struct {
	Elsewhere bool `help:"Those of other servers who are suspended or silenced, instead."`
	All       bool `help:"With --elsewhere: also those who are so with all of their server, see planet domain list."`
	JSON      bool `help:"Print JSON."`
}

func (userListCmd) Help() string {
	return "Example: planet user list --json\n         planet user list --elsewhere"
}

func (cmd userListCmd) Run(c *app) error {
	if cmd.Elsewhere {
		return c.listRestricted(cmd.All, cmd.JSON)
	}
	if cmd.All {
		return usageError{"--all goes with --elsewhere"}
	}
	return c.withDB(func(db *storage.DB) error {
		users, err := db.Users(c.ctx)
		if err != nil {
			return err
		}
		people := make([]person, 0, len(users))
		for i := range users {
			if gone, err := c.gone(db, &users[i]); err != nil {
				return err
			} else if gone {
				continue
			}
			p, err := c.person(db, &users[i])
			if err != nil {
				return err
			}
			people = append(people, p)
		}
		if cmd.JSON {
			return c.json(people)
		}
		t := c.table("NAME", "ROLE", "EMAIL", "CREATED", "SUSPENDED")
		for _, p := range people {
			t.row(p.Name, p.Role, p.Email, stamp(&p.Created), stamp(p.Suspended))
		}
		return t.flush()
	})
}

type userShowCmd struct {
	Name string `arg:"" help:"Whom."`
	JSON bool   `help:"Print JSON."`
}

func (userShowCmd) Help() string { return "Example: planet user show ana" }

func (cmd userShowCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		u, err := c.user(db, cmd.Name)
		if err != nil {
			return err
		}
		p, err := c.person(db, u)
		if err != nil {
			return err
		}
		coops, err := db.CoopsOf(c.ctx, u.ID)
		if err != nil {
			return err
		}
		for _, coop := range coops {
			roles, err := db.RolesIn(c.ctx, u.ID, coop.ID)
			if err != nil {
				return err
			}
			p.Coops = append(p.Coops, coopRole{coop.Username, roles})
		}
		if cmd.JSON {
			return c.json(p)
		}
		t := c.table("name", p.Name)
		t.row("handle", p.Handle)
		t.row("id", string(p.IRI))
		t.row("role", p.Role)
		t.row("email", p.Email)
		t.row("created", stamp(&p.Created))
		if p.Suspended != nil {
			t.row("suspended", stamp(p.Suspended))
		}
		if p.Silenced != nil {
			t.row("silenced", stamp(p.Silenced))
		}
		if p.MovedTo != "" {
			t.row("moved to", string(p.MovedTo))
		}
		for _, r := range p.Coops {
			t.row("co-op "+r.Coop, strings.Join(r.Roles, ", "))
		}
		return t.flush()
	})
}

// change alters one user in one transaction and records it as the operator's act.
func (c *app) change(db *storage.DB, name, kind string, f func(tx *storage.DB, u *storage.User) error) error {
	return db.Transaction(c.ctx, func(tx *storage.DB) error {
		u, err := c.user(tx, name)
		if err != nil {
			return err
		}
		was := *u
		if err := f(tx, u); err != nil {
			return err
		}
		if err := tx.UpdateUser(c.ctx, u); err != nil {
			return err
		}
		act := &storage.Act{ActorID: u.ActorID, Kind: kind}
		if was.Role != u.Role {
			act.Detail = was.Role + " → " + u.Role
		}
		return tx.RecordAct(c.ctx, act)
	})
}

type userRoleCmd struct {
	Name string `arg:"" help:"Whom."`
	Role string `arg:"" enum:"owner,admin,moderator,user" help:"owner, admin, moderator or user."`
}

func (userRoleCmd) Help() string { return "Example: planet user role ana moderator" }

func (cmd userRoleCmd) Run(c *app) error {
	err := c.withDB(func(db *storage.DB) error {
		return c.change(db, cmd.Name, "user.role", func(tx *storage.DB, u *storage.User) error {
			u.Role = cmd.Role
			return c.keepsOwner(tx, u)
		})
	})
	if err == nil {
		c.say("%s is now %s", cmd.Name, cmd.Role)
	}
	return err
}

// keepsOwner refuses a change that would leave the node without an owner who can sign in.
func (c *app) keepsOwner(tx *storage.DB, changed *storage.User) error {
	if changed.Role == storage.NodeOwner && changed.SuspendedAt == nil {
		return nil
	}
	users, err := tx.Users(c.ctx)
	if err != nil {
		return err
	}
	was := false
	for _, u := range users {
		if u.Role == storage.NodeOwner && u.SuspendedAt == nil {
			if u.ID != changed.ID {
				return nil
			}
			was = true
		}
	}
	if was {
		return fmt.Errorf("%s is the only owner of this node: make somebody else owner first", changed.Username)
	}
	return nil
}

type userPasswordCmd struct {
	Name          string `arg:"" help:"Whose."`
	PasswordStdin bool   `help:"Read the password from standard input; without this one is made and printed."`
}

func (userPasswordCmd) Help() string {
	return "Example: printf '%s' \"$NEW\" | planet user password ana --password-stdin"
}

func (cmd userPasswordCmd) Run(c *app) error {
	password, made, err := c.password(cmd.PasswordStdin)
	if err != nil {
		return err
	}
	hash, err := storage.HashPassword(password)
	if err != nil {
		return err
	}
	err = c.withDB(func(db *storage.DB) error {
		return c.change(db, cmd.Name, "user.password", func(_ *storage.DB, u *storage.User) error {
			u.PasswordHash = hash
			return nil
		})
	})
	switch {
	case err != nil:
		return err
	case made:
		c.say("the password of %s is now %s", cmd.Name, password)
	default:
		c.say("%s has a new password", cmd.Name)
	}
	return nil
}
