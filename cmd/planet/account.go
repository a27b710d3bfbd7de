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

type accountCmd struct {
	Open      accountOpenCmd      `cmd:"" help:"Open accounts in a currency."`
	Invite    accountInviteCmd    `cmd:"" help:"Give somebody an account, as a member."`
	Rebind    accountRebindCmd    `cmd:"" help:"Give an account to another owner, by a decision."`
	Show      accountShowCmd      `cmd:"" help:"Show one account, wherever its book is kept."`
	List      accountListCmd      `cmd:"" help:"List the accounts of a currency, with their balances."`
	Statement accountStatementCmd `cmd:"" help:"What moved on an account."`
}

type accountOpenCmd struct {
	Handles  []string `arg:"" name:"handle" help:"Whose."`
	Currency string   `required:"" placeholder:"CODE" help:"In which currency."`
}

func (accountOpenCmd) Help() string {
	return `Each gets the limits that the currency's rules give. Who has an account already keeps it.

Example: planet account open --currency GRN ana bo`
}

func (cmd accountOpenCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		cur, coop, err := c.currency(n, cmd.Currency)
		if err != nil {
			return err
		}
		for _, h := range cmd.Handles {
			owner, err := c.owner(n, h)
			if err != nil {
				return err
			}
			fresh, err := n.OpenAccount(c.ctx, activitypub.By{Actor: coop}, cur, owner)
			switch {
			case err != nil:
				return refusal(err, nil)
			case fresh:
				c.say("%s has an account in %s and may owe %s", owner.Username, cur.Book.Code, bound(cur.Book, cur.Book.Rules.Floor, -1))
			default:
				c.say("%s has an account in %s already", owner.Username, cur.Book.Code)
			}
		}
		return nil
	})
}

type accountInviteCmd struct {
	Handle   string `arg:"" help:"Whom."`
	As       string `required:"" placeholder:"NAME" help:"The person or co-op that invites: it has an account itself."`
	By       string `placeholder:"USER" help:"Who does it as a co-op (default: the operator)."`
	Currency string `required:"" placeholder:"CODE" help:"In which currency."`
}

func (accountInviteCmd) Help() string {
	return `The currency's rules have to let members invite (planet currency rules CODE --open invite). Whoever comes so owes nothing until the co-op decides otherwise.

Example: planet account invite @pat@far.example --as ana --currency GRN`
}

func (cmd accountInviteCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		cur, _, err := c.currency(n, cmd.Currency)
		if err != nil {
			return err
		}
		var by activitypub.By
		if by.Actor, err = c.actor(n.DB, cmd.As); err != nil {
			return err
		}
		if cmd.By != "" {
			if by.User, err = c.user(n.DB, cmd.By); err != nil {
				return err
			}
		}
		owner, err := c.owner(n, cmd.Handle)
		if err != nil {
			return err
		}
		fresh, err := n.InviteAccount(c.ctx, by, cur, owner)
		switch {
		case err != nil:
			return refusal(err, nil)
		case fresh:
			c.say("%s has an account in %s and may owe nothing", owner.Username, cur.Book.Code)
		default:
			c.say("%s has an account in %s already", owner.Username, cur.Book.Code)
		}
		return nil
	})
}

type accountRebindCmd struct {
	Old      string `arg:"" help:"The address of whose account it is, such as https://old.example/users/pat."`
	New      string `arg:"" help:"The handle of whose it is from now on."`
	Currency string `required:"" placeholder:"CODE" help:"In which currency."`
	Decision string `required:"" placeholder:"URL" help:"Where what was decided can be read. It stays in the book for ever."`
	Alone    bool   `help:"The old server is gone: the decision alone has to do. Else both have to name each other (planet user alias)."`
}

func (accountRebindCmd) Help() string {
	return `Balance and holds stay with the account. A move to another server does not do that by itself.

Example: planet account rebind https://old.example/users/pat @pat@new.example --currency GRN --decision https://coop.example/@bakery/123`
}

func (cmd accountRebindCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		cur, coop, err := c.currency(n, cmd.Currency)
		if err != nil {
			return err
		}
		owner, err := c.owner(n, cmd.New)
		if err != nil {
			return err
		}
		if err := n.RebindAccount(c.ctx, activitypub.By{Actor: coop}, cur, storage.IRI(cmd.Old), owner, cmd.Alone, cmd.Decision); err != nil {
			return refusal(err, nil)
		}
		c.say("the account of %s in %s is that of %s now, by %s", cmd.Old, cur.Book.Code, owner.Handle(n.Host), cmd.Decision)
		return nil
	})
}

type accountShowCmd struct {
	Name     string `arg:"" help:"Whose: a person or co-op of this node; in a currency of this node anybody."`
	Currency string `required:"" placeholder:"CODE" help:"In which currency: its code, or the address of one of another node."`
	JSON     bool   `help:"Print JSON."`
}

func (accountShowCmd) Help() string {
	return "Example: planet account show bakery --currency https://coop.example/currencies/grn"
}

func (cmd accountShowCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		m, err := n.Money(c.ctx, cmd.Currency)
		if err != nil {
			return err
		}
		owner, err := c.owner(n, cmd.Name)
		if err != nil {
			return err
		}
		e := struct {
			Owner     storage.IRI `json:"owner"`
			Currency  string      `json:"currency_iri"`
			Balance   string      `json:"balance"`
			Spendable *string     `json:"spendable"`
		}{Owner: owner.IRI, Currency: m.Book.IRI}
		balance, spendable := int64(0), (*int64)(nil)
		if m.Here != nil {
			a, err := n.DB.Account(c.ctx, m.Here, owner.IRI)
			if err != nil {
				return fmt.Errorf("%s has no account in %s", owner.Username, m.Name())
			}
			balance = a.Balance()
			if s, bounded := a.Spendable(); bounded {
				spendable = &s
			}
		} else {
			if !owner.Local() {
				return fmt.Errorf("the account of %s in %s is hers and her node's to see", owner.Handle(n.Host), m.Name())
			}
			a, err := n.AskAccount(c.ctx, activitypub.By{Actor: owner}, m)
			if err != nil {
				return err
			}
			balance, spendable = a.Balance, a.Spendable
		}
		e.Balance = *decimal(m.Book, balance)
		can := activitypub.Unlimited
		if spendable != nil {
			e.Spendable, can = decimal(m.Book, *spendable), m.Book.Format(*spendable)
		}
		if cmd.JSON {
			return c.json(e)
		}
		t := c.table("account", owner.Handle(n.Host))
		t.row("currency", m.Name())
		t.row("balance", m.Book.Format(balance))
		t.row("spendable", can)
		return t.flush()
	})
}

// accountEntry is an account as --json prints one. Amounts are decimals with a point.
type accountEntry struct {
	ID        ledger.ID `json:"-"`
	Account   string    `json:"id"`
	Owner     string    `json:"owner"`
	IRI       string    `json:"iri"`
	Role      string    `json:"role"`
	Balance   string    `json:"balance"`
	Held      string    `json:"held"`     // of what it gives
	Incoming  string    `json:"incoming"` // held for it
	Spendable *string   `json:"spendable"`
	Credit    *string   `json:"credit_limit"`
	Ceiling   *string   `json:"ceiling"`
	Flags     []string  `json:"flags"`
}

type accountListCmd struct {
	Currency string `required:"" placeholder:"CODE" help:"In which currency."`
	JSON     bool   `help:"Print JSON."`
}

func (accountListCmd) Help() string { return "Example: planet account list --currency GRN" }

func (cmd accountListCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		cur, _, err := c.currency(n, cmd.Currency)
		if err != nil {
			return err
		}
		accounts, names, err := c.holders(c.ctx, n.DB, cur)
		if err != nil {
			return err
		}
		u, list := cur.Book, []accountEntry{}
		t := c.table("OWNER", "ROLE", "BALANCE", "HELD", "SPENDABLE", "MAY OWE", "MAY HOLD", "STATE")
		for _, a := range accounts {
			e := accountEntry{Account: a.ID.String(), Owner: names[a.ID].Name, IRI: a.Ref, Role: a.Role.String(), Balance: *decimal(u, a.Balance()),
				Held: *decimal(u, a.DebitsPending), Incoming: *decimal(u, a.CreditsPending), Flags: flagsOf(a.Flags)}
			spendable := activitypub.Unlimited
			if s, bounded := a.Spendable(); bounded {
				e.Spendable, spendable = decimal(u, s), u.Format(s)
			}
			if a.Floor.Set {
				e.Credit = decimal(u, -a.Floor.V)
			}
			if a.Ceil.Set {
				e.Ceiling = decimal(u, a.Ceil.V)
			}
			list = append(list, e)
			state := strings.Join(e.Flags, ", ")
			if a.SoftFloor.Set && a.Balance() < a.SoftFloor.V || a.SoftCeil.Set && a.Balance() > a.SoftCeil.V {
				state = strings.TrimPrefix(state+", beyond the warning", ", ")
			}
			t.row(e.Owner, e.Role, u.Format(a.Balance()), u.Format(a.DebitsPending), spendable, bound(u, a.Floor, -1), bound(u, a.Ceil, 1), state)
		}
		if cmd.JSON {
			return c.json(list)
		}
		return t.flush()
	})
}

func flagsOf(f ledger.Flags) []string {
	out := []string{}
	for _, name := range []string{"no-debit", "no-credit", "closed"} {
		if f&flagNames[name] != 0 {
			out = append(out, name)
		}
	}
	return out
}

type accountStatementCmd struct {
	Name     string `arg:"" help:"Whose account."`
	Currency string `required:"" placeholder:"CODE" help:"In which currency: its code, or the address of one of another node."`
	From     string `placeholder:"DAY" help:"From this day on, such as 2026-11-01 (UTC)."`
	To       string `placeholder:"DAY" help:"Until the end of this day."`
	Format   string `default:"text" enum:"text,csv,hledger,beancount,jsonl,ofx,valueflows" help:"text, csv, hledger, beancount, jsonl, ofx or valueflows."`
}

func (accountStatementCmd) Help() string {
	return "Example: planet account statement --currency GRN bakery --from 2026-11-01 --to 2026-11-30 --format hledger"
}

func (cmd accountStatementCmd) Run(c *app) error {
	from, to, err := days(cmd.From, cmd.To)
	if err != nil {
		return err
	}
	return c.withNode(func(n *activitypub.Node) error {
		if strings.Contains(cmd.Currency, "://") {
			if m, err := n.Money(c.ctx, cmd.Currency); err != nil {
				return err
			} else if m.Here == nil {
				return cmd.elsewhere(c, n, m, from, to)
			}
		}
		cur, _, err := c.currency(n, cmd.Currency)
		if err != nil {
			return err
		}
		owner, err := c.owner(n, cmd.Name)
		if err != nil {
			return err
		}
		a, err := n.DB.Account(c.ctx, cur, owner.IRI)
		if err != nil {
			return fmt.Errorf("%s has no account in %s", owner.Username, cur.Book.Code)
		}
		s, _, err := n.Statement(c.ctx, cur, a.ID, from, to, 0)
		if err != nil {
			return err
		}
		j := &s.Journal
		if cmd.Format == "valueflows" {
			out := bufio.NewWriter(c.stdout)
			return errors.Join(n.WriteEvents(c.ctx, cur, j, out), out.Flush())
		}
		return j.Write(c.stdout, cmd.Format)
	})
}

// elsewhere writes the statement of an account in the book of another node, which it is asked for.
func (cmd accountStatementCmd) elsewhere(c *app, n *activitypub.Node, m *activitypub.Money, from, to time.Time) error {
	owner, err := c.actor(n.DB, cmd.Name)
	if err != nil {
		return err
	}
	j, err := n.AskStatement(c.ctx, activitypub.By{Actor: owner}, m)
	if err != nil {
		return err
	}
	j.Between(from, to)
	if cmd.Format == "valueflows" {
		return n.WriteEventsAbroad(j.Events, c.stdout)
	}
	return j.Write(c.stdout, cmd.Format)
}

// days reads the first and the last day of a statement; the end is the beginning of the day after.
func days(first, last string) (from, to time.Time, err error) {
	for _, d := range []struct {
		flag, text string
		at         *time.Time
		add        int
	}{{"--from", first, &from, 0}, {"--to", last, &to, 1}} {
		if d.text == "" {
			continue
		}
		t, err := time.Parse(time.DateOnly, d.text)
		if err != nil {
			return from, to, usageError{fmt.Sprintf("%s %s: want a day, such as 2026-11-01", d.flag, d.text)}
		}
		*d.at = t.AddDate(0, 0, d.add)
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, usageError{"--from is after --to"}
	}
	return from, to, nil
}
