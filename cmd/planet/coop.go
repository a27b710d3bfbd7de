package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"time"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

type coopCmd struct {
	Create  coopCreateCmd `cmd:"" help:"Found a co-op."`
	List    coopListCmd   `cmd:"" help:"List the co-ops of this node."`
	Show    coopShowCmd   `cmd:"" help:"Show one co-op."`
	Profile profileCmd    `cmd:"" help:"Change how a co-op looks to others."`
	Delete  coopDeleteCmd `cmd:"" help:"Delete a co-op for ever."`
	Member  coopMemberCmd `cmd:"" help:"Who has which role."`

	Set      coopSetCmd      `cmd:"" help:"Say how people join a co-op."`
	Settings coopSettingsCmd `cmd:"" help:"Show how people join a co-op, and what they owe it."`
	Join     coopJoinCmd     `cmd:"" help:"Ask a co-op to become a member."`
	Requests joinRequestsCmd `cmd:"" name:"join-requests" help:"List who asks to join a co-op."`
	Approve  joinApproveCmd  `cmd:"" help:"Say yes to a join request."`
	Refuse   joinRefuseCmd   `cmd:"" help:"Say no to a join request, and why."`
	Leave    coopLeaveCmd    `cmd:"" help:"Leave a co-op, or take a join request back."`

	Agreement agreementCmd `cmd:"" help:"What a co-op asks of its members: set, show, accept."`
	Dues      duesCmd      `cmd:"" help:"What members pay their co-op: set, none."`
	Limit     roleLimitCmd `cmd:"" help:"What a role may pay at once as a co-op: set, list."`

	Signatures signaturesCmd `cmd:"" help:"Which payments of a co-op take a second person: set, show."`
	Audit      coopAuditCmd  `cmd:"" help:"Read the audit log of a co-op, or verify it."`

	Export coopExportCmd `cmd:"" help:"Print what a co-op offered, ordered, delivered and worked."`
}

// coopEntry is a co-op as --json prints one.
type coopEntry struct {
	ID       storage.ID    `json:"id"`
	Name     string        `json:"name"`
	Handle   string        `json:"handle"`
	IRI      storage.IRI   `json:"iri"`
	Title    string        `json:"title"`
	Place    string        `json:"place,omitempty"`
	Category string        `json:"category,omitempty"`
	Settings *coopSettings `json:"settings,omitempty"`
	Members  []memberLine  `json:"members,omitempty"`
}

type memberLine struct {
	User       string     `json:"user"`
	Roles      []string   `json:"roles"`
	Since      time.Time  `json:"since"`
	Agreement  int        `json:"agreement"` // the newest version that she accepted; 0: none
	AcceptedAt *time.Time `json:"accepted,omitempty"`
}

// coopSettings is what a co-op has decided about itself as --json prints it.
type coopSettings struct {
	Joining   string `json:"joining"`
	Approvals int    `json:"approvals"`
	Dues      string `json:"dues,omitempty"`
	Agreement int    `json:"agreement"` // the newest version; 0: there is none
}

func (c *app) coopSettings(n *activitypub.Node, coop *storage.Actor) (*coopSettings, error) {
	row, err := n.DB.Coop(c.ctx, coop.ID)
	if err != nil {
		return nil, err
	}
	s := &coopSettings{Joining: row.Joining, Approvals: row.Approvals}
	if s.Dues, err = n.Dues(c.ctx, n.DB, row); err != nil {
		return nil, err
	}
	a, err := n.DB.Agreement(c.ctx, coop.ID, 0)
	if err == nil {
		s.Agreement = a.Version
	} else if errors.Is(err, storage.ErrNotFound) {
		err = nil
	}
	return s, err
}

// rows shows the settings to people.
func (s *coopSettings) rows(t *table) {
	t.row("joining", s.Joining)
	t.row("approvals", fmt.Sprint(s.Approvals))
	agreement, dues := "none", s.Dues
	if s.Agreement != 0 {
		agreement = fmt.Sprintf("version %d", s.Agreement)
	}
	if dues == "" {
		dues = "none"
	}
	t.row("agreement", agreement)
	t.row("dues", dues)
}

// byWhom runs a command as the node on behalf of a co-op, by a person whose role has to allow it, or by the operator when name is "".
func (c *app) byWhom(coop, name string, f func(n *activitypub.Node, by activitypub.By) error) error {
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.coop(n.DB, coop)
		if err != nil {
			return err
		}
		by := activitypub.By{Actor: a}
		if name != "" {
			if by.User, err = c.user(n.DB, name); err != nil {
				return err
			}
		}
		return f(n, by)
	})
}

// asHerself is a person who acts for herself.
func (c *app) asHerself(n *activitypub.Node, name string) (activitypub.By, error) {
	u, err := c.user(n.DB, name)
	if err != nil {
		return activitypub.By{}, err
	}
	a, err := n.DB.ActorByID(c.ctx, u.ActorID)
	return activitypub.By{User: u, Actor: a}, err
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
	return c.byWhom(cmd.Name, "", func(n *activitypub.Node, by activitypub.By) error {
		e := c.coopEntry(by.Actor)
		var err error
		if e.Settings, err = c.coopSettings(n, by.Actor); err != nil {
			return err
		}
		if e.Members, err = c.memberLines(n, by); err != nil {
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
		e.Settings.rows(t)
		for _, m := range e.Members {
			t.row("member "+m.User, strings.Join(m.Roles, ", "), m.accepted(e.Settings.Agreement))
		}
		return t.flush()
	})
}

// accepted says which version of the agreement a member has accepted, where there is one.
func (m memberLine) accepted(newest int) string {
	switch {
	case newest == 0:
		return ""
	case m.Agreement == 0:
		return "has accepted no version"
	}
	return fmt.Sprintf("accepted version %d on %s", m.Agreement, m.AcceptedAt.Format(time.DateOnly))
}

// memberLines lists the people of a co-op with their roles, oldest member first.
func (c *app) memberLines(n *activitypub.Node, by activitypub.By) ([]memberLine, error) {
	members, err := n.MembersOf(c.ctx, by, by.Actor)
	if err != nil {
		return nil, err
	}
	lines := make([]memberLine, len(members))
	for i, m := range members {
		lines[i] = memberLine{User: m.User.Username, Roles: m.Roles, Since: m.Since, Agreement: m.Accepted}
		if m.Accepted != 0 {
			lines[i].AcceptedAt = &m.AcceptedAt
		}
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
	By   string `placeholder:"USER" help:"Who does it: an admin (default: the operator)."`
}

func (memberAddCmd) Help() string {
	return "Example: planet coop member add bakery bo --role treasurer"
}

func (cmd memberAddCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, cmd.By, func(n *activitypub.Node, by activitypub.By) error {
		u, err := c.user(n.DB, cmd.User)
		if err != nil {
			return err
		}
		if err := n.GiveRole(c.ctx, by, u, cmd.Role); err != nil {
			return err
		}
		c.say("%s is now %s of %s", u.Username, cmd.Role, by.Actor.Username)
		return nil
	})
}

type memberRemoveCmd struct {
	Coop string `arg:"" help:"Which co-op."`
	User string `arg:"" help:"Whom."`
	Role string `default:"" enum:",admin,treasurer,cashier,editor,member,observer" help:"This role alone; without it she loses all of them."`
	By   string `placeholder:"USER" help:"Who does it: an admin (default: the operator)."`
}

func (memberRemoveCmd) Help() string { return "Example: planet coop member remove bakery bo" }

func (cmd memberRemoveCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, cmd.By, func(n *activitypub.Node, by activitypub.By) error {
		u, err := c.user(n.DB, cmd.User)
		if err != nil {
			return err
		}
		if err := n.TakeRole(c.ctx, by, u, cmd.Role); err != nil {
			return err
		}
		if cmd.Role == "" {
			c.say("%s has no role in %s any more", u.Username, by.Actor.Username)
		} else {
			c.say("%s is no longer %s of %s", u.Username, cmd.Role, by.Actor.Username)
		}
		return nil
	})
}

type memberListCmd struct {
	Coop string `arg:"" help:"Which co-op."`
	As   string `placeholder:"USER" help:"As this person, who has to be a member (default: the operator)."`
	JSON bool   `help:"Print JSON."`
}

func (memberListCmd) Help() string { return "Example: planet coop member list bakery" }

func (cmd memberListCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		lines, err := c.memberLines(n, by)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(lines)
		}
		s, err := c.coopSettings(n, by.Actor)
		if err != nil {
			return err
		}
		t := c.table("USER", "ROLES", "SINCE", "AGREEMENT")
		for _, l := range lines {
			t.row(l.User, strings.Join(l.Roles, ", "), l.Since.Format(time.DateOnly), l.accepted(s.Agreement))
		}
		return t.flush()
	})
}

type coopSetCmd struct {
	Coop      string  `arg:"" help:"Which co-op."`
	Joining   *string `enum:"open,approval,invite" help:"open: whoever asks is a member at once; approval: admins say yes or no; invite: with an invitation alone."`
	Approvals *int    `placeholder:"N" help:"How many admins have to say yes to a join request."`
	By        string  `placeholder:"USER" help:"Who does it: an admin (default: the operator)."`
}

func (coopSetCmd) Help() string {
	return "Where there are fewer admins than approvals, all of them are enough.\n\nExample: planet coop set bakery --joining approval --approvals 2"
}

func (cmd coopSetCmd) Run(c *app) error {
	if cmd.Joining == nil && cmd.Approvals == nil {
		return usageError{"say --joining, --approvals or both"}
	}
	return c.byWhom(cmd.Coop, cmd.By, func(n *activitypub.Node, by activitypub.By) error {
		s, err := n.SetCoop(c.ctx, by, activitypub.NewSettings{Joining: cmd.Joining, Approvals: cmd.Approvals})
		if err != nil {
			return err
		}
		c.say("%s: joining is %s, with %s", by.Actor.Username, s.Joining, plural(int64(s.Approvals), "approval", "approvals"))
		return nil
	})
}

type coopSettingsCmd struct {
	Coop string `arg:"" help:"Which co-op."`
	JSON bool   `help:"Print JSON."`
}

func (coopSettingsCmd) Help() string { return "Example: planet coop settings bakery" }

func (cmd coopSettingsCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, "", func(n *activitypub.Node, by activitypub.By) error {
		s, err := c.coopSettings(n, by.Actor)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(s)
		}
		t := c.table("co-op", by.Actor.Username)
		s.rows(t)
		return t.flush()
	})
}

type coopLeaveCmd struct {
	Coop string `arg:"" help:"Which co-op."`
	As   string `required:"" placeholder:"USER" help:"Who leaves."`
}

func (coopLeaveCmd) Help() string {
	return "She loses all her roles. The last admin gives somebody else the role first.\n\nExample: planet coop leave bakery --as bo"
}

func (cmd coopLeaveCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, "", func(n *activitypub.Node, by activitypub.By) error {
		who, err := c.asHerself(n, cmd.As)
		if err != nil {
			return err
		}
		if err := n.Leave(c.ctx, who, by.Actor); err != nil {
			return err
		}
		c.say("%s has left %s", who.User.Username, by.Actor.Username)
		return nil
	})
}

type duesCmd struct {
	Set  duesSetCmd  `cmd:"" help:"Say what members pay their co-op."`
	None duesNoneCmd `cmd:"" help:"Take the dues away."`
}

type duesSetCmd struct {
	Coop     string `arg:"" help:"Which co-op."`
	Amount   string `arg:"" help:"How much, such as 5.00."`
	Currency string `required:"" placeholder:"CODE" help:"In which currency of the co-op."`
	Every    string `default:"month" enum:"once,month,quarter,year" help:"once, or every month, quarter or year (default: month)."`
	First    bool   `help:"Whoever joins is asked for them at once, by a request for payment."`
	By       string `placeholder:"USER" help:"Who does it: an admin or treasurer (default: the operator)."`
}

func (duesSetCmd) Help() string {
	return "Whoever joins sees them. Nobody is charged by it: with --first she is asked for them when she joins, and pays with planet pay --request.\n\nExample: planet coop dues set bakery 5.00 --currency GRN --every month"
}

func (cmd duesSetCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, cmd.By, func(n *activitypub.Node, by activitypub.By) error {
		cur, _, err := c.currency(n, cmd.Currency)
		if err != nil {
			return err
		}
		if err := n.SetDues(c.ctx, by, cur, cmd.Amount, cmd.Every, cmd.First); err != nil {
			return err
		}
		s, err := c.coopSettings(n, by.Actor)
		if err == nil {
			c.say("members of %s pay %s", by.Actor.Username, s.Dues)
		}
		return err
	})
}

type duesNoneCmd struct {
	Coop string `arg:"" help:"Which co-op."`
	By   string `placeholder:"USER" help:"Who does it: an admin or treasurer (default: the operator)."`
}

func (duesNoneCmd) Help() string { return "Example: planet coop dues none bakery" }

func (cmd duesNoneCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, cmd.By, func(n *activitypub.Node, by activitypub.By) error {
		if err := n.SetDues(c.ctx, by, nil, "", "", false); err != nil {
			return err
		}
		c.say("members of %s pay no dues", by.Actor.Username)
		return nil
	})
}

type coopExportCmd struct {
	Coop   string `arg:"" help:"Which co-op."`
	Format string `default:"valueflows" enum:"valueflows" help:"valueflows: JSON-LD (default: valueflows)."`
	By     string `placeholder:"USER" help:"Who does it: an admin or treasurer (default: the operator)."`
}

func (coopExportCmd) Help() string {
	return "It prints offers, orders, deliveries, payments and hours as ValueFlows 1.0. The audit log says that it was done.\n\nExample: planet coop export bakery > bakery.jsonld"
}

func (cmd coopExportCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, cmd.By, func(n *activitypub.Node, by activitypub.By) error {
		out := bufio.NewWriter(c.stdout)
		return errors.Join(n.ExportValueFlows(c.ctx, by, out), out.Flush())
	})
}

type roleLimitCmd struct {
	Set  roleLimitSetCmd  `cmd:"" help:"Say how much a role may pay at once."`
	List roleLimitListCmd `cmd:"" help:"List what the roles may pay at once."`
}

type roleLimitSetCmd struct {
	Coop     string `arg:"" help:"Which co-op."`
	Role     string `arg:"" enum:"admin,treasurer,cashier" help:"admin, treasurer or cashier."`
	Amount   string `arg:"" help:"At most so much in one payment, or none for no limit."`
	Currency string `required:"" placeholder:"CODE" help:"In which currency."`
	By       string `placeholder:"USER" help:"Who does it: an admin (default: the operator)."`
}

func (roleLimitSetCmd) Help() string {
	return "Who has several roles may pay what the one allows that allows most.\n\nExample: planet coop limit set bakery cashier 20.00 --currency GRN"
}

func (cmd roleLimitSetCmd) Run(c *app) error {
	return c.byWhom(cmd.Coop, cmd.By, func(n *activitypub.Node, by activitypub.By) error {
		cur, _, err := c.currency(n, cmd.Currency)
		if err != nil {
			return err
		}
		if err := n.SetRoleLimit(c.ctx, by, cmd.Role, cur, cmd.Amount); err != nil {
			return err
		}
		if cmd.Amount == activitypub.Unlimited {
			c.say("a %s of %s may pay any amount of %s", cmd.Role, by.Actor.Username, cur.Book.Code)
		} else {
			c.say("a %s of %s may pay at most %s %s at once", cmd.Role, by.Actor.Username, cmd.Amount, cur.Book.Code)
		}
		return nil
	})
}

type roleLimitListCmd struct {
	Coop string `arg:"" help:"Which co-op."`
	As   string `placeholder:"USER" help:"As this person, who has to be a member (default: the operator)."`
	JSON bool   `help:"Print JSON."`
}

func (roleLimitListCmd) Help() string { return "Example: planet coop limit list bakery" }

func (cmd roleLimitListCmd) Run(c *app) error {
	type line struct {
		Role     string `json:"role"`
		Amount   string `json:"amount"`
		Currency string `json:"currency"`
	}
	return c.byWhom(cmd.Coop, cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		limits, err := n.RoleLimitsOf(c.ctx, by, by.Actor)
		if err != nil {
			return err
		}
		lines, t := []line{}, c.table("ROLE", "AT MOST")
		for _, l := range limits {
			cur, err := n.DB.CurrencyByID(c.ctx, l.CurrencyID)
			if err != nil {
				return err
			}
			lines = append(lines, line{l.Role, *decimal(cur.Book, int64(l.Amount)), cur.Book.Code})
			t.row(l.Role, money(cur.Book, int64(l.Amount)))
		}
		if cmd.JSON {
			return c.json(lines)
		}
		return t.flush()
	})
}

type signaturesCmd struct {
	Set  signaturesSetCmd  `cmd:"" help:"Say above what a payment takes a second person."`
	Show signaturesShowCmd `cmd:"" help:"Show above what a payment takes a second person."`
}

type signaturesSetCmd struct {
	Coop       string  `arg:"" help:"Which co-op."`
	Currency   string  `required:"" placeholder:"CODE" help:"In which currency: its code, or the address of one of another node."`
	PerPayment *string `placeholder:"X" help:"A payment above this waits for a second person; none: never."`
	PerDay     *string `placeholder:"X" help:"And one with which all payments of a day (UTC) are above this; none: never."`
	OwnBenefit *string `placeholder:"X" help:"And one above this to whoever proposes it; 0: each; none: never."`
	By         string  `placeholder:"USER" help:"Who does it: an admin (default: the operator)."`
}

func (signaturesSetCmd) Help() string {
	return "What is not named stays.\n\nExample: planet coop signatures set bakery --currency GRN --per-payment 100 --per-day 300 --own-benefit 0"
}

func (cmd signaturesSetCmd) Run(c *app) error {
	if cmd.PerPayment == nil && cmd.PerDay == nil && cmd.OwnBenefit == nil {
		return usageError{"say what: --per-payment, --per-day or --own-benefit"}
	}
	return c.byWhom(cmd.Coop, cmd.By, func(n *activitypub.Node, by activitypub.By) error {
		m, err := n.Money(c.ctx, cmd.Currency)
		if err != nil {
			return err
		}
		if err := n.SetSignatures(c.ctx, by, m, activitypub.NewSignatures{PerPayment: cmd.PerPayment, PerDay: cmd.PerDay, OwnBenefit: cmd.OwnBenefit}); err != nil {
			return err
		}
		c.say("it is set above what payments of %s in %s take a second person", by.Actor.Username, m.Name())
		return nil
	})
}

type signaturesShowCmd struct {
	Coop string `arg:"" help:"Which co-op."`
	As   string `placeholder:"USER" help:"As this person, who has to be a member (default: the operator)."`
	JSON bool   `help:"Print JSON."`
}

func (signaturesShowCmd) Help() string { return "Example: planet coop signatures show bakery" }

func (cmd signaturesShowCmd) Run(c *app) error {
	type line struct {
		Currency   string  `json:"currency"`
		PerPayment *string `json:"per_payment"`
		PerDay     *string `json:"per_day"`
		OwnBenefit *string `json:"own_benefit"`
	}
	return c.byWhom(cmd.Coop, cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		rules, err := n.SignaturesOf(c.ctx, by, by.Actor)
		if err != nil {
			return err
		}
		lines, t := []line{}, c.table("CURRENCY", "PAYMENT ABOVE", "DAY ABOVE", "OWN BENEFIT ABOVE")
		for _, r := range rules {
			m, err := n.Money(c.ctx, string(r.Currency))
			if err != nil {
				return err
			}
			say := func(v *ledger.Amount) (*string, string) {
				if v == nil {
					return nil, activitypub.Unlimited
				}
				return decimal(m.Book, int64(*v)), m.Book.Format(int64(*v))
			}
			l := line{Currency: m.Name()}
			var words [3]string
			l.PerPayment, words[0] = say(r.PerPayment)
			l.PerDay, words[1] = say(r.PerDay)
			l.OwnBenefit, words[2] = say(r.OwnBenefit)
			lines = append(lines, l)
			t.row(l.Currency, words[0], words[1], words[2])
		}
		if cmd.JSON {
			return c.json(lines)
		}
		return t.flush()
	})
}
