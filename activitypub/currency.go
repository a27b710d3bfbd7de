package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"planet/ledger"
	"planet/ledger/proof"
	"planet/storage"
)

// NewCurrency is a currency that a co-op founds. What it is stays for ever, its rules change by decisions.
type NewCurrency struct {
	Code  string // ^[A-Z][A-Z0-9]{1,11}$, in any case
	Name  string // "" for the code
	Kind  ledger.Kind
	Scale *uint8 // nil: what the kind usually has

	CreditLimit string // as typed: what a new member may owe, in mutual credit and hours; "" for nothing
	SupplyCap   string // as typed: what may be in circulation, of an issued currency; "" for no limit
	MaxTransfer string // as typed: of one payment; "" for no limit
}

// FoundCurrency makes a currency of the co-op by.Actor, which gets the first account: the issuer's, where the kind has one.
// Its log shows commitments, not contents (ledger.Members).
func (n *Node) FoundCurrency(ctx context.Context, by By, in NewCurrency) (*storage.Currency, error) {
	if by.Actor.Type != storage.Organization {
		return nil, invalid("coop", "%s is not a co-op: a currency belongs to one", by.Actor.Username)
	}
	code := strings.ToUpper(strings.TrimSpace(in.Code))
	name := strings.TrimSpace(plainText(in.Name))
	if name == "" {
		name = code
	}
	u := ledger.Currency{IRI: n.Origin + "/currencies/" + strings.ToLower(code), Code: code, Kind: in.Kind, Scale: 2}
	if in.Kind == ledger.Hours || in.Kind == ledger.Gift {
		u.Scale = 0
	}
	if in.Scale != nil {
		u.Scale = *in.Scale
	}
	issued := in.Kind == ledger.Issued || in.Kind == ledger.Backed
	credit := in.Kind == ledger.Mutual || in.Kind == ledger.Hours
	switch {
	case len(code) < 2 || len(code) > 12 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || code[0] <= '9':
		return nil, invalid("code", "%q: want 2 to 12 of the letters A-Z and the digits, a letter first, like GRN", clip(in.Code, 64))
	case utf8.RuneCountInString(name) > 100:
		return nil, invalid("name", "at most 100 characters")
	case u.Scale > 9:
		return nil, invalid("scale", "at most 9 digits after the point")
	case in.Kind == ledger.Hours && u.Scale != 0:
		return nil, invalid("scale", "hours are counted in whole minutes: leave the scale out")
	case in.CreditLimit != "" && !credit:
		return nil, invalid("credit limit", "members owe nothing in a currency of kind %s", in.Kind)
	case in.SupplyCap != "" && !issued:
		return nil, invalid("supply cap", "nobody issues a currency of kind %s", in.Kind)
	}
	limit, err := n.optional(u, in.CreditLimit, 0)
	if err != nil {
		return nil, err
	}
	u.Rules = ledger.Preset(in.Kind, limit)
	if u.Rules.MaxTransfer, err = n.optional(u, in.MaxTransfer, 0); err != nil {
		return nil, err
	}
	u.ID = ledger.NewID("currency", u.IRI)
	own := u.NewAccount(string(by.Actor.IRI), ledger.Member)
	if issued {
		own = u.NewAccount(string(by.Actor.IRI), ledger.Issuer)
		if in.SupplyCap != "" {
			most, err := n.optional(u, in.SupplyCap, 0)
			if err != nil {
				return nil, err
			}
			own.Floor = ledger.At(-int64(most))
		}
	}
	c := &storage.Currency{ActorID: by.Actor.ID, Name: name, Book: u}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "currency"); err != nil {
			return err
		}
		fresh := *c
		if err := tx.CreateCurrency(ctx, &fresh, ledger.Group{own}); err != nil {
			return err
		}
		*c = fresh
		return record(ctx, tx, by, "currency.found", storage.IRI(u.IRI))
	})
	return c, err
}

// optional reads an amount as typed, "" for otherwise.
func (n *Node) optional(u ledger.Currency, typed string, otherwise ledger.Amount) (ledger.Amount, error) {
	if typed == "" {
		return otherwise, nil
	}
	return ledger.ParseTyped(typed, u.Kind, u.Scale)
}

// Currency finds a currency of this node by its code, in any case, or by its IRI; ErrNotFound wrapped when there is none.
func (n *Node) Currency(ctx context.Context, name string) (c *storage.Currency, err error) {
	if strings.Contains(name, "://") {
		c, err = n.DB.CurrencyByIRI(ctx, storage.IRI(name))
	} else {
		c, err = n.DB.CurrencyByCode(ctx, name)
	}
	if errors.Is(err, storage.ErrNotFound) {
		err = fmt.Errorf("there is no currency %q here: %w", clip(name, 200), err)
	}
	return c, err
}

// govern runs commands of a currency's co-op about its book in one transaction with the record of it, and with a line of the audit log where there is a decision.
// make gives the commands, and what they are about.
func (n *Node) govern(ctx context.Context, by By, c *storage.Currency, kind, decision string, make func(tx *storage.DB, id ledger.ID) (ledger.Group, storage.IRI, error)) (res ledger.Result, err error) {
	if by.Actor.ID != c.ActorID {
		return res, problem(http.StatusForbidden, "role", "%s is not a currency of %s", c.Book.Code, by.Actor.Username)
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := n.allowed(ctx, tx, by, "account"); err != nil {
			return err
		}
		g, object, err := make(tx, ledger.NewID(kind, n.Origin+"/activities/"+tx.NewID().String()))
		if err != nil {
			return err
		}
		results, err := tx.Ledger(ctx, g)
		if err != nil {
			return err
		}
		if res = results[0]; res.Code != ledger.OKCreated {
			return nil // a refusal is kept, and nothing was done
		}
		if decision == "" {
			return record(ctx, tx, by, kind, object)
		}
		return n.audit(ctx, tx, by, by.Actor, change{act: kind, subject: object, words: decision})
	})
	if err == nil {
		err = res.Err()
	}
	return res, err
}

// OpenAccount gives an actor who is known here an account in a currency of the co-op by.Actor, with the limits of the rules.
// false: it had one already.
func (n *Node) OpenAccount(ctx context.Context, by By, c *storage.Currency, owner *storage.Actor) (fresh bool, err error) {
	if err := mayHold(owner); err != nil {
		return false, err
	}
	if _, err := n.DB.Account(ctx, c, owner.IRI); err == nil {
		return false, nil
	} else if !errors.Is(err, storage.ErrNotFound) {
		return false, err
	}
	res, err := n.govern(ctx, by, c, "account.open", "", func(*storage.DB, ledger.ID) (ledger.Group, storage.IRI, error) {
		return ledger.Group{c.Book.NewAccount(string(owner.IRI), ledger.Member)}, owner.IRI, nil
	})
	return res.Code == ledger.OKCreated && err == nil, err
}

// mayHold says whether an actor can have an account at all.
func mayHold(owner *storage.Actor) error {
	switch {
	case owner.DeletedAt != nil:
		return invalid("handle", "%s is gone", owner.Username)
	case owner.Local() && (owner.Type == storage.Application || owner.Type == storage.Service):
		return invalid("handle", "%s is the node itself", owner.Username)
	}
	return nil
}

// maxNewcomers is how many accounts one holder brings about in a day, by inviting or by paying (F53).
const maxNewcomers = 10

// InviteAccount gives an actor of any server an account in a currency of this node, as somebody who has one herself, where the currency's rules let members invite. Whoever comes so owes nothing
// until the co-op decides otherwise. false: it had one already.
func (n *Node) InviteAccount(ctx context.Context, by By, c *storage.Currency, owner *storage.Actor) (fresh bool, err error) {
	if err := mayHold(owner); err != nil {
		return false, err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		fresh = false
		if err := n.allowed(ctx, tx, by, "pay"); err != nil {
			return err
		}
		now, err := tx.CurrencyByID(ctx, c.ID)
		if err != nil {
			return err
		}
		if now.Book.Rules.Open == ledger.OpenByAdmin {
			return problem(http.StatusForbidden, "rules", "in %s the co-op alone opens accounts: ask it", c.Book.Code)
		}
		own, err := tx.Account(ctx, c, by.Actor.IRI)
		if err != nil {
			return noAccount(err, by.Actor, c)
		}
		if own.Flags != 0 {
			return problem(http.StatusForbidden, codeFrozen, "the account of %s is frozen: ask the co-op of the currency", by.Actor.Username)
		}
		if _, err := tx.Account(ctx, c, owner.IRI); !errors.Is(err, storage.ErrNotFound) {
			return err // she has one
		}
		if err := n.mayBring(ctx, tx, by.Actor); err != nil {
			return problem(http.StatusTooManyRequests, codeLimited, "%v", err)
		}
		results, err := tx.Ledger(ctx, ledger.Group{newcomer(now, owner)})
		if err != nil {
			return err
		}
		if fresh = results[0].Code == ledger.OKCreated; !fresh {
			return results[0].Err()
		}
		return record(ctx, tx, by, actNewcomer, owner.IRI)
	})
	return fresh, err
}

// actNewcomer is what is recorded of whoever brings an account about.
const actNewcomer = "account.invite"

// newcomer opens the account of somebody whom a member brings.
func newcomer(c *storage.Currency, owner *storage.Actor) ledger.OpenAccount {
	o := c.Book.NewAccount(string(owner.IRI), ledger.Member)
	if c.Book.Kind != ledger.Gift { // nobody owes gifts
		o.Floor = ledger.At(0)
	}
	return o
}

// mayBring says whether somebody may bring one more account about today.
func (n *Node) mayBring(ctx context.Context, tx *storage.DB, who *storage.Actor) error {
	count, err := tx.CountActs(ctx, who.ID, actNewcomer, n.Now().Add(-24*time.Hour))
	if err == nil && count >= maxNewcomers {
		err = &refusedBefore{codeLimited, fmt.Sprintf("%d accounts were opened for you today: bring more tomorrow, or ask the co-op to open them.", count)}
	}
	return err
}

// RebindAccount gives an account in a currency of the co-op by.Actor to another owner, by a decision. Both have to say that they are the same: the new one's document names the old one in
// alsoKnownAs, and the old one's names the new one, there or in movedTo (FEP-7628). Where the old server is gone the decision alone has to do, and the audit log says so.
func (n *Node) RebindAccount(ctx context.Context, by By, c *storage.Currency, old storage.IRI, owner *storage.Actor, alone bool, decision string) error {
	if err := errors.Join(checkDecision(decision), mayHold(owner)); err != nil {
		return err
	}
	kind := "account.rebind"
	if alone {
		kind = "account.rebind.alone"
	} else if err := n.sameOwner(ctx, old, owner); err != nil {
		return err
	}
	_, err := n.govern(ctx, by, c, kind, decision, func(tx *storage.DB, id ledger.ID) (ledger.Group, storage.IRI, error) {
		a, err := tx.Account(ctx, c, old)
		if errors.Is(err, storage.ErrNotFound) {
			err = fmt.Errorf("%s has no account in %s: %w", old, c.Book.Code, err)
		}
		if err != nil {
			return nil, "", err
		}
		if _, err := tx.Account(ctx, c, owner.IRI); err == nil {
			return nil, "", problem(http.StatusConflict, "account", "%s has an account in %s already: one of both has to be emptied by a payment instead", owner.Username, c.Book.Code)
		} else if !errors.Is(err, storage.ErrNotFound) {
			return nil, "", err
		}
		return ledger.Group{ledger.Rebind{ID: id, Account: a.ID, NewRef: string(owner.IRI), Decision: decision}}, owner.IRI, nil
	})
	return err
}

// sameOwner asks both for their documents, and wants each to name the other.
func (n *Node) sameOwner(ctx context.Context, old storage.IRI, owner *storage.Actor) error {
	fresh := func(iri storage.IRI) (*storage.Actor, error) {
		if n.isOurs(iri) {
			return n.DB.ActorByIRI(ctx, iri)
		}
		return n.fetchActor(ctx, iri)
	}
	was, err := fresh(old)
	if err != nil {
		return fmt.Errorf("the document of %s: %w", old, err)
	}
	is, err := fresh(owner.IRI)
	if err != nil {
		return fmt.Errorf("the document of %s: %w", owner.IRI, err)
	}
	if !slices.Contains(is.AlsoKnownAs, was.IRI) || was.MovedTo != is.IRI && !slices.Contains(was.AlsoKnownAs, is.IRI) {
		return problem(http.StatusConflict, "proof", "%s and %s do not name each other (alsoKnownAs): both have to say that they are the same", old, owner.IRI)
	}
	return nil
}

// checkDecision wants the address of what was decided.
func checkDecision(decision string) error {
	u, err := url.Parse(decision)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(decision) > ledger.MaxText || strings.ContainsAny(decision, " \t\r\n") {
		return invalid("decision", "%q is not the http(s) address of what was decided", clip(decision, 200))
	}
	return nil
}

// Unlimited is how people write that there is no limit.
const Unlimited = "none"

// NewLimits are an account's limits as typed; nil: as it was. Unlimited: no limit.
type NewLimits struct {
	Credit, Ceiling         *string // how much may be owed, and held
	WarnCredit, WarnCeiling *string // where people are warned
}

// bound reads a limit into b; sign is -1 for what may be owed.
func bound(u ledger.Currency, typed *string, sign int64, b *ledger.Bound) error {
	if typed == nil {
		return nil
	}
	if *typed == Unlimited {
		*b = ledger.Bound{}
		return nil
	}
	v, err := ledger.ParseTyped(*typed, u.Kind, u.Scale)
	*b = ledger.At(sign * int64(v))
	return err
}

// SetLimits changes the limits of an account in a currency of the co-op by.Actor, by a decision that everybody can look up.
func (n *Node) SetLimits(ctx context.Context, by By, c *storage.Currency, owner *storage.Actor, l NewLimits, decision string) error {
	if err := checkDecision(decision); err != nil {
		return err
	}
	_, err := n.govern(ctx, by, c, "account.limits", decision, func(tx *storage.DB, id ledger.ID) (ledger.Group, storage.IRI, error) {
		a, err := tx.Account(ctx, c, owner.IRI)
		if err != nil {
			return nil, "", noAccount(err, owner, c)
		}
		s := ledger.SetLimits{ID: id, Account: a.ID, Floor: a.Floor, Ceil: a.Ceil, SoftFloor: a.SoftFloor, SoftCeil: a.SoftCeil, Decision: decision, IfVersion: a.Version}
		err = errors.Join(bound(c.Book, l.Credit, -1, &s.Floor), bound(c.Book, l.Ceiling, 1, &s.Ceil),
			bound(c.Book, l.WarnCredit, -1, &s.SoftFloor), bound(c.Book, l.WarnCeiling, 1, &s.SoftCeil))
		return ledger.Group{s}, owner.IRI, err
	})
	return err
}

func noAccount(err error, owner *storage.Actor, c *storage.Currency) error {
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("%s has no account in %s: %w", owner.Username, c.Book.Code, err)
	}
	return err
}

// SetFlags stops an account, or lets it go on, by a decision.
func (n *Node) SetFlags(ctx context.Context, by By, c *storage.Currency, owner *storage.Actor, flags ledger.Flags, decision string) error {
	if err := checkDecision(decision); err != nil {
		return err
	}
	_, err := n.govern(ctx, by, c, "account.flags", decision, func(tx *storage.DB, id ledger.ID) (ledger.Group, storage.IRI, error) {
		a, err := tx.Account(ctx, c, owner.IRI)
		if err != nil {
			return nil, "", noAccount(err, owner, c)
		}
		return ledger.Group{ledger.SetFlags{ID: id, Account: a.ID, Flags: flags, Decision: decision, IfVersion: a.Version}}, owner.IRI, nil
	})
	return err
}

// NewRules are what changes in a currency's rules, as typed; nil: as it was.
type NewRules struct {
	Credit, Ceiling *string // of new member accounts; Unlimited: no limit
	MaxTransfer     *string // Unlimited: no limit
	MaxPending      *uint16
	Open            *ledger.OpenRule // who brings accounts about
	Levy            *uint16          // basis points; with 0 and no LevyLeast there is none
	LevyLeast       *string
	LevyMost        *string // Unlimited: no limit
	LevyTo          *storage.Actor
}

// SetRules changes the rules of a currency of the co-op by.Actor, by a decision. Accounts that are there keep their limits.
func (n *Node) SetRules(ctx context.Context, by By, c *storage.Currency, in NewRules, decision string) error {
	if err := checkDecision(decision); err != nil {
		return err
	}
	_, err := n.govern(ctx, by, c, "currency.rules", decision, func(tx *storage.DB, id ledger.ID) (ledger.Group, storage.IRI, error) {
		now, err := tx.CurrencyByIRI(ctx, storage.IRI(c.Book.IRI))
		if err != nil {
			return nil, "", err
		}
		r, most, least, top := now.Book.Rules, ledger.Bound{}, ledger.Bound{}, ledger.Bound{}
		err = errors.Join(bound(c.Book, in.Credit, -1, &r.Floor), bound(c.Book, in.Ceiling, 1, &r.Ceil), bound(c.Book, in.MaxTransfer, 1, &most),
			bound(c.Book, in.LevyLeast, 1, &least), bound(c.Book, in.LevyMost, 1, &top))
		if in.MaxTransfer != nil {
			r.MaxTransfer = ledger.Amount(most.V)
		}
		if in.MaxPending != nil {
			r.MaxPending = *in.MaxPending
		}
		if in.Open != nil {
			r.Open = *in.Open
		}
		if in.LevyTo != nil {
			a, err := tx.Account(ctx, c, in.LevyTo.IRI)
			if err != nil {
				return nil, "", noAccount(err, in.LevyTo, c)
			}
			r.Levy.To = a.ID
		}
		if in.Levy != nil {
			r.Levy.BasisPoints = *in.Levy
		}
		if in.LevyLeast != nil {
			r.Levy.Least = ledger.Amount(least.V)
		}
		if in.LevyMost != nil {
			r.Levy.Most = ledger.Amount(top.V)
		}
		switch l := r.Levy; {
		case err != nil:
		case l.BasisPoints == 0 && l.Least == 0:
			r.Levy = ledger.Levy{}
		case l.To.IsZero():
			err = invalid("levy", "say whose account it goes to")
		case l.BasisPoints > 10_000:
			err = invalid("levy", "at most the whole payment: 100 %%")
		case l.Most != 0 && l.Most < l.Least:
			err = invalid("levy", "it cannot be at least %s and at most %s", c.Book.Format(int64(l.Least)), c.Book.Format(int64(l.Most)))
		}
		return ledger.Group{ledger.SetRules{ID: id, Currency: c.Book.ID, Rules: r, Decision: decision}}, storage.IRI(c.Book.IRI), err
	})
	return err
}

// ResumeCurrency lets a frozen currency of the co-op by.Actor be written again, by a decision, after its whole book was verified (storage.Resume).
func (n *Node) ResumeCurrency(ctx context.Context, by By, c *storage.Currency, decision string) error {
	if err := checkDecision(decision); err != nil {
		return err
	}
	if by.Actor.ID != c.ActorID {
		return problem(http.StatusForbidden, "role", "%s is not a currency of %s", c.Book.Code, by.Actor.Username)
	}
	if err := n.allowed(ctx, n.DB, by, "currency"); err != nil {
		return err
	}
	if err := n.DB.Resume(ctx, c, decision); err != nil {
		return err
	}
	return n.DB.Transaction(ctx, func(tx *storage.DB) error { return record(ctx, tx, by, "currency.resume", storage.IRI(c.Book.IRI)) })
}

// OpeningBalance is what somebody has, or owes below zero, when a book begins with the balances of another.
type OpeningBalance struct {
	Owner *storage.Actor
	Minor int64
}

// ImportError says which of the opening balances was refused.
type ImportError struct {
	Index int // of the balance; -1: none of them
	Err   error
}

func (e *ImportError) Error() string { return e.Err.Error() }
func (e *ImportError) Unwrap() error { return e.Err }

// Imported is what an import did.
type Imported struct {
	Opened, Booked int
	Before         bool // all of it was there already
}

// ImportBalances books opening balances into a currency of the co-op by.Actor, all or nothing, against one account that has to end where it began: at zero.
// The difference goes to suspense, when that is named; a suspense account that is not there is opened. An account gets one opening balance, once:
// the same import again does nothing, and another one for the same account is refused. Accounts that are missing are opened.
func (n *Node) ImportBalances(ctx context.Context, by By, c *storage.Currency, in []OpeningBalance, suspense string) (done Imported, err error) {
	sum, overflow := int64(0), false
	for i, o := range in {
		if o.Minor > int64(ledger.MaxAmount) || o.Minor < -int64(ledger.MaxAmount) {
			return done, &ImportError{i, invalid("amount", "it is too large")}
		}
		next := sum + o.Minor
		overflow = overflow || (next > sum) != (o.Minor > 0)
		sum = next
	}
	switch {
	case overflow:
		return done, &ImportError{-1, invalid("amount", "the balances are too large together")}
	case sum != 0 && suspense == "":
		return done, &ImportError{-1, invalid("sum", "the balances sum to %s instead of 0: mend the file, or name an account of difference (--suspense)", c.Book.Format(sum))}
	}
	other := c.Book.NewAccount(c.Book.IRI+"#suspense-"+strings.ToLower(suspense), ledger.Suspense)
	if suspense == "" {
		other = c.Book.NewAccount(c.Book.IRI+"#opening", ledger.Suspense)
	} else if a, err := n.DB.LocalActor(ctx, suspense); err == nil && a.DeletedAt == nil {
		account, err := n.DB.Account(ctx, c, a.IRI)
		if err != nil {
			return done, &ImportError{-1, noAccount(err, a, c)}
		}
		other.Account, other.Ref = account.ID, account.Ref
	} else if !localNames.MatchString(strings.ToLower(suspense)) {
		return done, &ImportError{-1, invalid("suspense", "use 1 to 30 of the letters a-z, digits and _")}
	}
	res, err := n.govern(ctx, by, c, "ledger.import", "", func(tx *storage.DB, _ ledger.ID) (ledger.Group, storage.IRI, error) {
		done = Imported{}
		var opens, gives, takes ledger.Group
		var from, to []int // index of each in in
		if _, err := tx.Account(ctx, c, storage.IRI(other.Ref)); errors.Is(err, storage.ErrNotFound) {
			opens = append(opens, other)
		} else if err != nil {
			return nil, "", err
		}
		for i, o := range in {
			a, err := tx.Account(ctx, c, o.Owner.IRI)
			if errors.Is(err, storage.ErrNotFound) {
				open := c.Book.NewAccount(string(o.Owner.IRI), ledger.Member)
				opens, done.Opened = append(opens, open), done.Opened+1
				a.ID = open.Account
			} else if err != nil {
				return nil, "", err
			}
			p := ledger.Pay{ID: ledger.NewID("opening", c.Book.IRI, string(o.Owner.IRI)), Currency: c.Book.ID, Debit: other.Account, Credit: a.ID,
				Amount: ledger.Amount(o.Minor), Code: ledger.Opening}
			switch {
			case o.Minor > 0:
				takes, to = append(takes, p), append(to, i)
			case o.Minor < 0:
				p.Debit, p.Credit, p.Amount = p.Credit, p.Debit, ledger.Amount(-o.Minor)
				gives, from = append(gives, p), append(from, i)
			}
		}
		g := append(append(opens, gives...), takes...)
		if len(gives)+len(takes) == 0 {
			return nil, "", invalid("file", "there is no balance in it")
		}
		done.Booked = len(gives) + len(takes)
		// A failure is remembered for ever with its id, and the id is the account's: it must not be burnt by a file that can be mended.
		would, _, err := tx.Preview(ctx, g)
		if err == nil && !would.Code.OK() {
			index := -1
			if i := would.Index - len(opens); i >= len(gives) {
				index = to[i-len(gives)]
			} else if i >= 0 {
				index = from[i]
			}
			err = &ImportError{index, would.Err()}
			if would.Reason() == ledger.ExistsWithDifferent {
				err = &ImportError{index, invalid("amount", "this account had another opening balance before")}
			}
		}
		return g, storage.IRI(c.Book.IRI), err
	})
	done.Before = err == nil && res.Code == ledger.OKExists
	return done, err
}

// contextCurrency is that of the currency document (payments.md §6.3).
var contextCurrency = []any{
	activityStreams, "https://w3id.org/security/multikey/v1",
	map[string]any{
		"vf": "https://w3id.org/valueflows/ont/vf#", "ResourceSpecification": "vf:ResourceSpecification", "pl": namespace,
		"ledger": map[string]any{"@id": "pl:ledger", "@type": "@id"}, "scale": "pl:scale", "symbol": "vf:symbol", "kind": "pl:kind", "privacy": "pl:privacy",
		"log": map[string]any{"@id": "pl:log", "@type": "@id"}, "vkey": "pl:vkey",
		"assertionMethod": map[string]any{"@id": "https://w3id.org/security#assertionMethod", "@type": "@id", "@container": "@set"},
	},
}

// currencyToWire is the document of a currency.
func (n *Node) currencyToWire(ctx context.Context, c *storage.Currency) (map[string]any, error) {
	coop, err := n.DB.ActorByID(ctx, c.ActorID)
	if err != nil {
		return nil, err
	}
	vkey, err := c.Vkey()
	if err != nil {
		return nil, err
	}
	return map[string]any{"@context": contextCurrency, "id": c.Book.IRI, "type": "ResourceSpecification", "name": c.Name, "symbol": c.Book.Code,
		"scale": c.Book.Scale, "kind": c.Book.Kind.String(), "privacy": c.Book.Privacy.String(), "log": LogURL(c), "vkey": vkey,
		"assertionMethod": []any{map[string]any{"id": c.Book.IRI + "#log-key", "type": "Multikey", "controller": c.Book.IRI, "publicKeyMultibase": multikey(c.PublicKey())}},
		"attributedTo":    coop.IRI, "ledger": n.Origin + "/ledger", "url": c.Book.IRI, "published": wireTime(c.CreatedAt)}, nil
}

// LogURL is where the log of a currency is served. Each epoch has an address of its own, as it has an origin: full tiles are kept for ever by whoever has read
// them, and those of a book that was restored from a backup need not be the ones from before.
func LogURL(c *storage.Currency) string {
	if c.Book.Epoch == 0 {
		return c.Book.IRI + "/log"
	}
	return fmt.Sprintf("%s/e%d/log", c.Book.IRI, c.Book.Epoch+1)
}

// currencyAt finds the currency of an address; its code stands there in lower case.
func (n *Node) currencyAt(r *http.Request) (*storage.Currency, error) {
	code := r.PathValue("code")
	if code != strings.ToLower(code) || len(code) > 12 {
		return nil, storage.ErrNotFound
	}
	return n.DB.CurrencyByCode(r.Context(), code)
}

func (n *Node) getCurrency(r *http.Request, _ *reader) ([]byte, error) {
	c, err := n.currencyAt(r)
	if err != nil {
		return nil, err
	}
	doc, err := n.currencyToWire(r.Context(), c)
	if err != nil {
		return nil, err
	}
	return encodePlain(doc) // go-fed knows no ResourceSpecification
}

// getLog serves what hangs below a currency: its log as C2SP tlog-tiles has it, to everybody. It shows how many entries there are, of which kind and when;
// who paid whom is blinded.
func (n *Node) getLog(w http.ResponseWriter, r *http.Request) {
	c, err := n.currencyAt(r)
	if err != nil {
		n.fail(w, r, err)
		return
	}
	path, ok := strings.CutPrefix(c.Book.IRI+"/"+r.PathValue("path"), LogURL(c)+"/")
	if !ok {
		n.fail(w, r, storage.ErrNotFound)
		return
	}
	h := w.Header()
	if path == "checkpoint" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		_, _ = w.Write([]byte(c.Checkpoint))
		return
	}
	t, err := proof.ParseTile(path)
	var raw []byte
	if err == nil {
		raw, err = n.DB.Tile(r.Context(), c, t)
	}
	if errors.Is(err, proof.ErrMalformed) {
		err = storage.ErrNotFound
	}
	if err != nil {
		n.fail(w, r, err)
		return
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "public, max-age=60")
	if t.Width == proof.TileWidth {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(raw)
}
