package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"planet/activitypub"
	"planet/ledger"
	"planet/storage"
)

type currencyCmd struct {
	Create currencyCreateCmd `cmd:"" help:"Found a currency of a co-op."`
	List   currencyListCmd   `cmd:"" help:"List the currencies of this node."`
	Show   currencyShowCmd   `cmd:"" help:"Show one currency, with its rules and its log."`
	Rules  currencyRulesCmd  `cmd:"" help:"Change a currency's rules, by a decision."`
	Limit  currencyLimitCmd  `cmd:"" help:"Change the limits of an account, by a decision."`
	Flag   currencyFlagCmd   `cmd:"" help:"Stop an account, or let it go on, by a decision."`
}

// currencyEntry is a currency as --json prints one. Amounts are decimals with a point.
type currencyEntry struct {
	Code        string    `json:"code"`
	Name        string    `json:"name"`
	IRI         string    `json:"iri"`
	Coop        string    `json:"coop"`
	Kind        string    `json:"kind"`
	Scale       uint8     `json:"scale"`
	Privacy     string    `json:"privacy"`
	CreditLimit *string   `json:"credit_limit"` // of new members; null: none
	Ceiling     *string   `json:"ceiling"`
	MaxTransfer *string   `json:"max_transfer"`
	MaxPending  uint16    `json:"max_pending"`
	Open        string    `json:"open"` // who brings accounts about
	Levy        *levyLine `json:"levy,omitempty"`
	Entries     uint64    `json:"entries"`
	Log         string    `json:"log"`
	Vkey        string    `json:"vkey"`
	Epoch       uint32    `json:"epoch"` // from 1
	Frozen      string    `json:"frozen,omitempty"`
	Created     time.Time `json:"created"`
}

type levyLine struct {
	Percent string `json:"percent"`
	Least   string `json:"least"`
	Most    string `json:"most,omitempty"`
	To      string `json:"to"` // the account's id
}

func (c *app) currencyEntry(db *storage.DB, cur *storage.Currency) (currencyEntry, error) {
	coop, err := db.ActorByID(c.ctx, cur.ActorID)
	if err != nil {
		return currencyEntry{}, err
	}
	vkey, err := cur.Vkey()
	u := cur.Book
	e := currencyEntry{Code: u.Code, Name: cur.Name, IRI: u.IRI, Coop: coop.Username, Kind: u.Kind.String(), Scale: u.Scale, Privacy: u.Privacy.String(),
		MaxPending: u.Rules.MaxPending, Open: u.Rules.Open.String(), Entries: uint64(u.Next), Log: activitypub.LogURL(cur), Vkey: vkey, Epoch: u.Epoch + 1, Frozen: cur.Frozen, Created: cur.CreatedAt}
	if b := u.Rules.Floor; b.Set {
		e.CreditLimit = decimal(u, -b.V)
	}
	if b := u.Rules.Ceil; b.Set {
		e.Ceiling = decimal(u, b.V)
	}
	if m := u.Rules.MaxTransfer; m > 0 {
		e.MaxTransfer = decimal(u, int64(m))
	}
	if l := u.Rules.Levy; !l.To.IsZero() {
		e.Levy = &levyLine{Percent: ledger.FormatAmount(int64(l.BasisPoints), 2), Least: *decimal(u, int64(l.Least)), To: l.To.String()}
		if l.Most > 0 {
			e.Levy.Most = *decimal(u, int64(l.Most))
		}
	}
	return e, err
}

// decimal is an amount as --json and the wire have it.
func decimal(u ledger.Currency, v int64) *string {
	s := ledger.FormatAmount(v, u.Scale)
	return &s
}

// money is an amount with its currency, as people read it.
func money(u ledger.Currency, v int64) string { return u.Format(v) + " " + u.Code }

// bound is a limit as people read it; sign is -1 for what may be owed.
func bound(u ledger.Currency, b ledger.Bound, sign int64) string {
	if !b.Set {
		return activitypub.Unlimited
	}
	return u.Format(sign * b.V)
}

// currency finds a currency with the co-op that it belongs to.
func (c *app) currency(n *activitypub.Node, name string) (*storage.Currency, *storage.Actor, error) {
	cur, err := n.Currency(c.ctx, name)
	if err != nil {
		return nil, nil, noted(err)
	}
	coop, err := n.DB.ActorByID(c.ctx, cur.ActorID)
	return cur, coop, err
}

// noted drops ErrNotFound's own words from an error that says them better.
func noted(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return errors.New(strings.TrimSuffix(err.Error(), ": "+storage.ErrNotFound.Error()))
	}
	return err
}

type currencyCreateCmd struct {
	Code        string `arg:"" help:"Its short name, such as GRN."`
	Coop        string `required:"" help:"The co-op that it belongs to, and whose admins look after it."`
	Kind        string `required:"" enum:"mutual,issued,backed,hours,gift" help:"mutual (members owe each other), hours (the same, in minutes), issued or backed (the co-op issues it), gift (counted, also without amounts)."`
	Name        string `help:"What it is called."`
	Scale       *uint8 `help:"Digits after the point, for ever (default: 2; of hours and gifts 0)."`
	CreditLimit string `placeholder:"X" help:"What each new member may owe (mutual, hours; default: nothing)."`
	SupplyCap   string `placeholder:"X" help:"What may be in circulation at most (issued, backed; default: no limit)."`
	MaxTransfer string `placeholder:"X" help:"The largest single payment."`
	Privacy     string `default:"members" enum:"members,public" help:"What the public log shows: with members, that something was paid, and not by whom or how much."`
	JSON        bool   `help:"Print JSON."`
}

func (currencyCreateCmd) Help() string {
	return `Kind, scale and privacy stay for ever; the rules change by planet currency rules. The co-op gets the first account.

Example: planet currency create GRN --coop bakery --kind mutual --name Grain --credit-limit 100`
}

func (cmd currencyCreateCmd) Run(c *app) error {
	if cmd.Privacy == "public" {
		return errors.New("a log that shows everybody who paid whom comes with a later version: leave --privacy out")
	}
	kind, err := ledger.ParseKind(cmd.Kind)
	if err != nil {
		return usageError{err.Error()}
	}
	return c.withNode(func(n *activitypub.Node) error {
		coop, err := c.coop(n.DB, cmd.Coop)
		if err != nil {
			return err
		}
		cur, err := n.FoundCurrency(c.ctx, activitypub.By{Actor: coop}, activitypub.NewCurrency{Code: cmd.Code, Name: cmd.Name, Kind: kind, Scale: cmd.Scale,
			CreditLimit: cmd.CreditLimit, SupplyCap: cmd.SupplyCap, MaxTransfer: cmd.MaxTransfer})
		if errors.Is(err, storage.ErrConflict) {
			return fmt.Errorf("there is a currency %s here already", strings.ToUpper(cmd.Code))
		} else if err != nil {
			return err
		}
		if cmd.JSON {
			e, err := c.currencyEntry(n.DB, cur)
			if err != nil {
				return err
			}
			return c.json(e)
		}
		c.say("%s founded %s: %s", coop.Username, cur.Book.Code, cur.Book.IRI)
		if f := cur.Book.Rules.Floor; f == ledger.At(0) && cur.Book.Issuer.IsZero() {
			c.say("Nobody may owe anything yet: planet currency rules %s --credit-limit X, before accounts are opened, says how much.", cur.Book.Code)
		}
		return nil
	})
}

type currencyListCmd struct {
	JSON bool `help:"Print JSON."`
}

func (currencyListCmd) Help() string { return "Example: planet currency list" }

func (cmd currencyListCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		all, err := db.Currencies(c.ctx)
		if err != nil {
			return err
		}
		list := []currencyEntry{}
		for _, cur := range all {
			e, err := c.currencyEntry(db, cur)
			if err != nil {
				return err
			}
			list = append(list, e)
		}
		if cmd.JSON {
			return c.json(list)
		}
		t := c.table("CODE", "NAME", "CO-OP", "KIND", "ENTRIES", "STATE")
		for _, e := range list {
			state := "good"
			if e.Frozen != "" {
				state = "frozen: " + e.Frozen
			}
			t.row(e.Code, e.Name, e.Coop, e.Kind, fmt.Sprint(e.Entries), state)
		}
		return t.flush()
	})
}

type currencyShowCmd struct {
	Code string `arg:"" help:"Which currency."`
	JSON bool   `help:"Print JSON."`
}

func (currencyShowCmd) Help() string { return "Example: planet currency show GRN" }

func (cmd currencyShowCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		cur, _, err := c.currency(n, cmd.Code)
		if err != nil {
			return err
		}
		e, err := c.currencyEntry(n.DB, cur)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(e)
		}
		u := cur.Book
		t := c.table("code", e.Code)
		t.row("name", e.Name)
		t.row("co-op", e.Coop)
		t.row("id", e.IRI)
		t.row("kind", e.Kind)
		t.row("digits after the point", fmt.Sprint(e.Scale))
		t.row("a new member may owe", bound(u, u.Rules.Floor, -1))
		t.row("and hold", bound(u, u.Rules.Ceil, 1))
		largest := activitypub.Unlimited
		if u.Rules.MaxTransfer > 0 {
			largest = u.Format(int64(u.Rules.MaxTransfer))
		}
		t.row("largest payment", largest)
		t.row("holds of one account", fmt.Sprint(e.MaxPending))
		t.row("accounts are opened by", map[string]string{"admin": "the co-op", "invite": "the co-op, and members who invite", "credit": "the co-op, and members who invite or pay"}[e.Open])
		if l := e.Levy; l != nil {
			t.row("levy", fmt.Sprintf("%s %%, at least %s", l.Percent, u.Format(int64(u.Rules.Levy.Least))))
		}
		t.row("entries", fmt.Sprint(e.Entries))
		t.row("log", e.Log)
		t.row("vkey", e.Vkey)
		t.row("epoch", fmt.Sprint(e.Epoch))
		if e.Frozen != "" {
			t.row("frozen", e.Frozen)
		}
		return t.flush()
	})
}

type currencyRulesCmd struct {
	Code        string  `arg:"" help:"Which currency."`
	Decision    string  `required:"" placeholder:"URL" help:"Where what was decided can be read. It stays in the book for ever."`
	CreditLimit *string `placeholder:"X" help:"What a new member may owe; none: no limit."`
	Ceiling     *string `placeholder:"X" help:"What a new member may hold; none: no limit."`
	MaxTransfer *string `placeholder:"X" help:"The largest single payment; none: no limit."`
	MaxPending  *uint16 `placeholder:"N" help:"How many payments of one account may be held at once."`
	Levy        *string `placeholder:"PERCENT" help:"What the payer of each payment gives on top; 0: nothing."`
	LevyLeast   *string `placeholder:"X" help:"The smallest levy."`
	LevyMost    *string `placeholder:"X" help:"The largest levy; none: no limit."`
	LevyTo      string  `placeholder:"NAME" help:"Whose account it goes to."`
	Open        *string `enum:"admin,invite,credit" placeholder:"RULE" help:"Who brings a new account about: admin, the co-op alone; invite, each member too; credit, a member's payment as well."`
}

func (currencyRulesCmd) Help() string {
	return `What is not named stays. Accounts that are open keep their limits: planet currency limit changes those.

Example: planet currency rules GRN --credit-limit 150 --levy 1.5 --levy-to bakery --decision https://coop.example/@bakery/123`
}

func (cmd currencyRulesCmd) Run(c *app) error {
	in := activitypub.NewRules{Credit: cmd.CreditLimit, Ceiling: cmd.Ceiling, MaxTransfer: cmd.MaxTransfer, MaxPending: cmd.MaxPending, LevyLeast: cmd.LevyLeast, LevyMost: cmd.LevyMost}
	if cmd.Levy != nil {
		points, err := ledger.ParseAmount(*cmd.Levy, 2)
		if err != nil || points > 10_000 {
			return usageError{fmt.Sprintf("--levy %s: want percent, like 1.5", *cmd.Levy)}
		}
		n := uint16(points)
		in.Levy = &n
	}
	if cmd.Open != nil {
		rule, err := ledger.ParseOpenRule(*cmd.Open)
		if err != nil {
			return usageError{fmt.Sprintf("--open %s: want admin, invite or credit", *cmd.Open)}
		}
		in.Open = &rule
	}
	return c.withNode(func(n *activitypub.Node) (err error) {
		cur, coop, err := c.currency(n, cmd.Code)
		if err != nil {
			return err
		}
		if cmd.LevyTo != "" {
			if in.LevyTo, err = c.actor(n.DB, cmd.LevyTo); err != nil {
				return err
			}
		}
		if err := n.SetRules(c.ctx, activitypub.By{Actor: coop}, cur, in, cmd.Decision); err != nil {
			return refusal(err, nil)
		}
		c.say("the rules of %s are changed, by %s", cur.Book.Code, cmd.Decision)
		return nil
	})
}

type currencyLimitCmd struct {
	Code        string  `arg:"" help:"Which currency."`
	Handle      string  `arg:"" help:"Whose account."`
	Credit      *string `arg:"" optional:"" name:"x" help:"How much may be owed (of the co-op that issues it: be in circulation); none: no limit."`
	Ceiling     *string `placeholder:"X" help:"How much may be held; none: no limit."`
	WarnCredit  *string `placeholder:"X" help:"Warn from this debt on; none: never."`
	WarnCeiling *string `placeholder:"X" help:"Warn from this balance on; none: never."`
	Decision    string  `required:"" placeholder:"URL" help:"Where what was decided can be read. It stays in the book for ever."`
}

func (currencyLimitCmd) Help() string {
	return `A balance outside the new limit stays as it is; payments that would make it worse are refused.

Example: planet currency limit GRN bo 200 --decision https://coop.example/@bakery/123`
}

func (cmd currencyLimitCmd) Run(c *app) error {
	if cmd.Credit == nil && cmd.Ceiling == nil && cmd.WarnCredit == nil && cmd.WarnCeiling == nil {
		return usageError{"say which limit: an amount, or one of --ceiling, --warn-credit and --warn-ceiling"}
	}
	return c.withNode(func(n *activitypub.Node) error {
		cur, coop, err := c.currency(n, cmd.Code)
		if err != nil {
			return err
		}
		owner, err := c.owner(n, cmd.Handle)
		if err != nil {
			return err
		}
		l := activitypub.NewLimits{Credit: cmd.Credit, Ceiling: cmd.Ceiling, WarnCredit: cmd.WarnCredit, WarnCeiling: cmd.WarnCeiling}
		if err := n.SetLimits(c.ctx, activitypub.By{Actor: coop}, cur, owner, l, cmd.Decision); err != nil {
			return refusal(err, nil)
		}
		a, err := n.DB.Account(c.ctx, cur, owner.IRI)
		if err != nil {
			return err
		}
		c.say("%s may owe %s and hold %s of %s, by %s", owner.Username, bound(cur.Book, a.Floor, -1), bound(cur.Book, a.Ceil, 1), cur.Book.Code, cmd.Decision)
		return nil
	})
}

type currencyFlagCmd struct {
	Code     string   `arg:"" help:"Which currency."`
	Handle   string   `arg:"" help:"Whose account."`
	Flags    []string `arg:"" enum:"none,no-debit,no-credit,closed" help:"no-debit (cannot pay), no-credit (cannot be paid), closed (an empty account, for good), or none."`
	Decision string   `required:"" placeholder:"URL" help:"Where what was decided can be read. It stays in the book for ever."`
}

func (currencyFlagCmd) Help() string {
	return "Example: planet currency flag GRN bo no-debit --decision https://coop.example/@bakery/123"
}

var flagNames = map[string]ledger.Flags{"none": 0, "no-debit": ledger.NoDebit, "no-credit": ledger.NoCredit, "closed": ledger.Closed}

func (cmd currencyFlagCmd) Run(c *app) error {
	var flags ledger.Flags
	for _, f := range cmd.Flags {
		flags |= flagNames[f]
	}
	return c.withNode(func(n *activitypub.Node) error {
		cur, coop, err := c.currency(n, cmd.Code)
		if err != nil {
			return err
		}
		owner, err := c.owner(n, cmd.Handle)
		if err != nil {
			return err
		}
		if err := n.SetFlags(c.ctx, activitypub.By{Actor: coop}, cur, owner, flags, cmd.Decision); err != nil {
			return refusal(err, nil)
		}
		c.say("the account of %s in %s: %s, by %s", owner.Username, cur.Book.Code, strings.Join(cmd.Flags, ", "), cmd.Decision)
		return nil
	})
}

// owner finds an actor who is known here, by name or handle.
func (c *app) owner(n *activitypub.Node, handle string) (*storage.Actor, error) {
	name, host, elsewhere := strings.Cut(strings.TrimPrefix(handle, "@"), "@")
	if strings.Contains(handle, "://") || elsewhere && host != n.Host {
		return c.anyone(n, handle)
	}
	return c.actor(n.DB, name)
}

// refusal makes one line of the ledger's refusal, with its word, and the payment that it is kept as.
func refusal(err error, p *storage.Payment) error {
	var told *activitypub.RefusedError
	if errors.As(err, &told) {
		return fmt.Errorf("refused: %w (%s, payment %s)", told, told.Payment.Reason, told.Payment.ID)
	}
	var r *ledger.RefusedError
	if !errors.As(err, &r) {
		return noted(err)
	}
	kept := ""
	if p != nil {
		kept = ", payment " + p.ID.String()
	}
	return fmt.Errorf("refused: %w (%s%s)", r, r.Result.Reason(), kept)
}

// holders are the accounts of a currency in the order in which they were opened, with names for people.
func (c *app) holders(ctx context.Context, db *storage.DB, cur *storage.Currency) ([]ledger.Account, map[ledger.ID]ledger.Holder, error) {
	accounts, err := db.Accounts(ctx, cur)
	if err != nil {
		return nil, nil, err
	}
	names := make(map[ledger.ID]ledger.Holder, len(accounts))
	for _, a := range accounts {
		if names[a.ID], err = activitypub.HolderOf(ctx, db, cur, a); err != nil {
			return nil, nil, err
		}
	}
	return accounts, names, nil
}
