package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"planet/ledger"
	"planet/storage"
)

// NewCoop is a co-op that is to be founded here.
type NewCoop struct {
	Username, Title, Summary string
	Place, Category, Hours   string
	Links                    []storage.Link
	Principles               []string // of the International Cooperative Alliance, "1" to "7"
	Locked                   bool     // follow requests are answered by hand
}

// FoundCoop makes a co-op; its founder becomes its admin.
func (n *Node) FoundCoop(ctx context.Context, founder *storage.User, in NewCoop) (*storage.Actor, error) {
	name := strings.ToLower(strings.TrimSpace(in.Username))
	if err := checkName(name); err != nil {
		return nil, err
	}
	a := &storage.Actor{Type: storage.Organization, Username: name, Name: strings.TrimSpace(in.Title), Source: in.Summary, Discoverable: true, Indexable: true,
		Place: in.Place, Category: in.Category, Hours: in.Hours, Links: in.Links, Principles: in.Principles, Locked: in.Locked}
	if err := n.checkProfile(a); err != nil {
		return nil, err
	}
	n.addresses(a)
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		u, err := tx.UserByID(ctx, founder.ID)
		if err != nil {
			return err
		}
		if u.SuspendedAt != nil {
			return problem(403, "suspended", "%s is suspended", u.Username)
		}
		if err := n.freeName(ctx, tx, name); err != nil {
			return err
		}
		if err := n.addActor(ctx, tx, a); err != nil {
			return err
		}
		if err := tx.CreateCoop(ctx, &storage.Coop{ActorID: a.ID, Joining: storage.JoiningApproval, Approvals: 1}); err != nil {
			return err
		}
		if err := tx.AddMember(ctx, &storage.Member{UserID: u.ID, CoopID: a.ID, Role: storage.RoleAdmin}); err != nil {
			return err
		}
		return n.audit(ctx, tx, By{User: u, Actor: a}, a, change{act: "coop.found", subject: a.IRI, after: map[string]any{"role": storage.RoleAdmin}})
	})
	return a, err
}

// lockCoop locks a co-op of this node for the rest of the transaction: whoever changes who is in it, what it has decided or its audit log
// waits for whoever does so now.
func lockCoop(ctx context.Context, tx *storage.DB, a *storage.Actor) (*storage.Coop, error) {
	c, err := tx.LockCoop(ctx, a.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, invalid("coop", "%s is not a co-op of this node", a.Username)
	}
	return c, err
}

// inCoop runs fn in a transaction that has locked the co-op by.Actor, if by may do this.
func (n *Node) inCoop(ctx context.Context, by By, act string, fn func(tx *storage.DB, c *storage.Coop) error) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		c, err := lockCoop(ctx, tx, by.Actor)
		if err != nil {
			return err
		}
		if err := n.allowed(ctx, tx, by, act); err != nil {
			return err
		}
		return fn(tx, c)
	})
}

// self finds the person who acts as herself.
func (n *Node) self(ctx context.Context, tx *storage.DB, by By) (*storage.User, error) {
	u, err := tx.UserByActor(ctx, by.Actor.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, invalid("as", "%s is no person of this node: this is for a person to do, as herself", by.Actor.Username)
	}
	if err != nil {
		return nil, err
	}
	if by.User != nil && by.User.ID != u.ID {
		return nil, problem(http.StatusForbidden, "role", "%s is not %s: this is for a person to do, as herself", by.User.Username, u.Username)
	}
	return u, n.allowed(ctx, tx, By{User: u, Actor: by.Actor}, "self")
}

// NewSettings is how people are to become members of a co-op; nil: as it was.
type NewSettings struct {
	Joining   *string // storage.JoiningOpen, JoiningApproval or JoiningInvite
	Approvals *int    // how many admins say yes to a request
}

// maxApprovals is more admins than any co-op asks.
const maxApprovals = 20

// SetCoop changes how people join the co-op by.Actor. Requests that have enough approvals by the new rule are done.
func (n *Node) SetCoop(ctx context.Context, by By, in NewSettings) (*storage.Coop, error) {
	switch {
	case in.Joining == nil && in.Approvals == nil:
		return nil, invalid("settings", "say what is to change: how people join, or how many approvals it takes")
	case in.Joining != nil && !slices.Contains([]string{storage.JoiningOpen, storage.JoiningApproval, storage.JoiningInvite}, *in.Joining):
		return nil, invalid("joining", "%q: want open, approval or invite", clip(*in.Joining, 64))
	case in.Approvals != nil && (*in.Approvals < 1 || *in.Approvals > maxApprovals):
		return nil, invalid("approvals", "want 1 to %d", maxApprovals)
	}
	var out *storage.Coop
	err := n.inCoop(ctx, by, "settings", func(tx *storage.DB, c *storage.Coop) error {
		before := map[string]any{"joining": c.Joining, "approvals": c.Approvals}
		if in.Joining != nil {
			c.Joining = *in.Joining
		}
		if in.Approvals != nil {
			c.Approvals = *in.Approvals
		}
		if err := tx.UpdateCoop(ctx, c); err != nil {
			return err
		}
		out = c
		err := n.audit(ctx, tx, by, by.Actor, change{act: "settings.set", subject: by.Actor.IRI, before: before,
			after: map[string]any{"joining": c.Joining, "approvals": c.Approvals}})
		if err != nil {
			return err
		}
		return n.settleJoins(ctx, tx, by, by.Actor, c)
	})
	return out, err
}

// GiveRole gives a person of this node a role in the co-op by.Actor.
func (n *Node) GiveRole(ctx context.Context, by By, who *storage.User, role string) error {
	if !slices.Contains(storage.Roles, role) {
		return invalid("role", "%q: want one of %s", clip(role, 64), strings.Join(storage.Roles, ", "))
	}
	return n.inCoop(ctx, by, "members", func(tx *storage.DB, c *storage.Coop) error {
		own, err := tx.ActorByID(ctx, who.ActorID)
		if err != nil {
			return err
		}
		if own.DeletedAt != nil {
			return invalid("user", "%s is gone", who.Username)
		}
		roles, err := tx.RolesIn(ctx, who.ID, by.Actor.ID)
		if err != nil {
			return err
		}
		if slices.Contains(roles, role) {
			return problem(http.StatusConflict, "role", "%s is %s of %s already", who.Username, role, by.Actor.Username)
		}
		if err := tx.AddMember(ctx, &storage.Member{UserID: who.ID, CoopID: by.Actor.ID, Role: role}); err != nil {
			return err
		}
		err = n.audit(ctx, tx, by, by.Actor, change{act: "member.add", subject: own.IRI, before: map[string]any{"roles": sorted(roles)},
			after: map[string]any{"roles": sorted(append(roles, role))}})
		if err != nil {
			return err
		}
		if role != storage.RoleObserver { // she is in: nobody has to answer any more
			r, err := tx.PendingJoin(ctx, by.Actor.ID, who.ID)
			if err == nil {
				r.State = storage.JoinApproved
				err = n.endJoin(ctx, tx, by.Actor, own, r)
			}
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
		}
		if len(roles) == 0 {
			return n.askToAccept(ctx, tx, by.Actor, who)
		}
		return nil
	})
}

// sorted puts roles into the order of storage.Roles.
func sorted(roles []string) []string {
	return slices.DeleteFunc(slices.Clone(storage.Roles), func(r string) bool { return !slices.Contains(roles, r) })
}

// TakeRole takes a role in the co-op by.Actor from a person, or all of them when role is "". The last admin keeps hers.
func (n *Node) TakeRole(ctx context.Context, by By, who *storage.User, role string) error {
	return n.inCoop(ctx, by, "members", func(tx *storage.DB, c *storage.Coop) error {
		roles, err := tx.RolesIn(ctx, who.ID, by.Actor.ID)
		if err != nil {
			return err
		}
		if role == "" && len(roles) > 0 || len(roles) == 1 && roles[0] == role { // she is no member any more
			if err := n.squareWith(ctx, tx, by.Actor, who); err != nil {
				return err
			}
		}
		return n.dropRoles(ctx, tx, by, by.Actor, c, who, role, "member.remove")
	})
}

// Leave ends the membership of the person by.Actor in a co-op, with all her roles, or takes her join request back. The last admin stays.
func (n *Node) Leave(ctx context.Context, by By, coop *storage.Actor) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		c, err := lockCoop(ctx, tx, coop)
		if err != nil {
			return err
		}
		u, err := n.self(ctx, tx, by)
		if err != nil {
			return err
		}
		roles, err := tx.RolesIn(ctx, u.ID, coop.ID)
		if err != nil {
			return err
		}
		asked, err := n.withdrawJoin(ctx, tx, by, coop, u)
		switch {
		case err != nil:
			return err
		case len(roles) == 0 && !asked:
			return invalid("coop", "%s is no member of %s", u.Username, coop.Username)
		case len(roles) == 0:
			return nil
		}
		if err := n.squareWith(ctx, tx, coop, u); err != nil {
			return err
		}
		return n.dropRoles(ctx, tx, by, coop, c, u, "", "member.leave")
	})
}

// dropRoles takes one role or all of them away, in a transaction that has locked the co-op. A co-op keeps an admin who can act.
func (n *Node) dropRoles(ctx context.Context, tx *storage.DB, by By, coop *storage.Actor, c *storage.Coop, who *storage.User, role, act string) error {
	own, err := tx.ActorByID(ctx, who.ActorID)
	if err != nil {
		return err
	}
	roles, err := tx.RolesIn(ctx, who.ID, coop.ID)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return role == "" || r == role })
	if len(left) == len(roles) {
		return invalid("role", "%s has no such role in %s", who.Username, coop.Username)
	}
	if slices.Contains(roles, storage.RoleAdmin) && !slices.Contains(left, storage.RoleAdmin) {
		admins, err := tx.Holders(ctx, coop.ID, storage.RoleAdmin)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(admins, func(id storage.ID) bool { return id != who.ID }) {
			return problem(http.StatusConflict, "last-admin", "%s is the only admin of %s: give somebody else the role first", who.Username, coop.Username)
		}
	}
	if err := tx.RemoveMember(ctx, coop.ID, who.ID, role); err != nil {
		return err
	}
	err = n.audit(ctx, tx, by, coop, change{act: act, subject: own.IRI, before: map[string]any{"roles": sorted(roles)}, after: map[string]any{"roles": sorted(left)}})
	if err != nil {
		return err
	}
	if len(left) == 0 {
		if err := tx.Untell(ctx, own.ID, "agreement", coop.ID); err != nil {
			return err
		}
		if err := tx.RevokeTokensAs(ctx, who.ID, coop.ID); err != nil {
			return err
		}
	}
	return n.settleJoins(ctx, tx, by, coop, c) // fewer admins are fewer who have to say yes
}

// squareWith refuses whoever leaves a co-op while something stands on her account in one of its currencies. Whoever deletes her account may: it is frozen.
func (n *Node) squareWith(ctx context.Context, tx *storage.DB, coop *storage.Actor, who *storage.User) error {
	own, err := tx.ActorByID(ctx, who.ActorID)
	if err != nil {
		return err
	}
	cs, err := tx.Currencies(ctx)
	if err != nil {
		return err
	}
	for _, c := range cs {
		if c.ActorID != coop.ID {
			continue
		}
		a, err := tx.Account(ctx, c, own.IRI)
		switch {
		case errors.Is(err, storage.ErrNotFound):
		case err != nil:
			return err
		case a.DebitsPending != 0 || a.CreditsPending != 0:
			return problem(http.StatusConflict, "held", "something is held on the account of %s in %s: it has to be taken or let go first", own.Username, c.Book.Code)
		case a.Balance() < 0:
			return problem(http.StatusConflict, "balance", "%s owes %s %s: it has to come to 0 first", own.Username, c.Book.Format(-a.Balance()), c.Book.Code)
		case a.Balance() > 0:
			return problem(http.StatusConflict, "balance", "%s has %s %s: she spends it, or gives it to somebody, first", own.Username, c.Book.Format(a.Balance()), c.Book.Code)
		}
	}
	return nil
}

// Membership is a person in a co-op, as its members see her.
type Membership struct {
	User       *storage.User
	Roles      []string // the strongest first
	Since      time.Time
	Accepted   int // the newest version of the agreement that she accepted; 0: none
	AcceptedAt time.Time
}

// MembersOf lists the people of a co-op with their roles to its members, oldest first.
func (n *Node) MembersOf(ctx context.Context, by By, coop *storage.Actor) ([]Membership, error) {
	if err := n.insider(ctx, n.DB, by, coop); err != nil {
		return nil, err
	}
	rows, err := n.DB.Members(ctx, coop.ID)
	if err != nil {
		return nil, err
	}
	accepted, err := n.DB.Acceptances(ctx, coop.ID)
	if err != nil {
		return nil, err
	}
	var out []Membership
	at := map[storage.ID]int{}
	for _, m := range rows {
		i, ok := at[m.UserID]
		if !ok {
			u, err := n.DB.UserByID(ctx, m.UserID)
			if err != nil {
				return nil, err
			}
			i = len(out)
			at[m.UserID] = i
			out = append(out, Membership{User: u, Since: m.CreatedAt})
		}
		out[i].Roles = sorted(append(out[i].Roles, m.Role))
	}
	for _, a := range accepted { // the oldest version first
		if i, ok := at[a.UserID]; ok {
			out[i].Accepted, out[i].AcceptedAt = a.Version, a.CreatedAt
		}
	}
	return out, nil
}

// SetRoleLimit says how much somebody in a role pays at once as the co-op by.Actor, as typed; Unlimited takes the limit away.
func (n *Node) SetRoleLimit(ctx context.Context, by By, role string, c *storage.Currency, typed string) error {
	if may := rightTo("pay").roles; !slices.Contains(may, role) {
		return invalid("role", "%q pays nothing: want one of %s", clip(role, 64), strings.Join(may, ", "))
	}
	l := &storage.RoleLimit{CoopID: by.Actor.ID, Role: role, CurrencyID: c.ID, Amount: -1}
	if typed != Unlimited {
		v, err := ledger.ParseTyped(typed, c.Book.Kind, c.Book.Scale)
		if err != nil {
			return err
		}
		l.Amount = v
	}
	return n.inCoop(ctx, by, "limits", func(tx *storage.DB, _ *storage.Coop) error {
		old, err := tx.RoleLimits(ctx, by.Actor.ID, c.ID)
		if err != nil {
			return err
		}
		before := ledger.Amount(-1)
		for _, o := range old {
			if o.Role == role {
				before = o.Amount
			}
		}
		if err := tx.SetRoleLimit(ctx, l); err != nil {
			return err
		}
		say := func(v ledger.Amount) map[string]any {
			if v < 0 {
				return map[string]any{"role": role, "limit": Unlimited}
			}
			return map[string]any{"role": role, "limit": ledger.FormatAmount(int64(v), c.Book.Scale)}
		}
		return n.audit(ctx, tx, by, by.Actor, change{act: "limit.set", subject: storage.IRI(c.Book.IRI), before: say(before), after: say(l.Amount)})
	})
}

// RoleLimitsOf lists what the roles of a co-op may pay at once, to its members.
func (n *Node) RoleLimitsOf(ctx context.Context, by By, coop *storage.Actor) ([]storage.RoleLimit, error) {
	if err := n.insider(ctx, n.DB, by, coop); err != nil {
		return nil, err
	}
	return n.DB.RoleLimits(ctx, coop.ID, 0)
}

// How often dues are due.
var duesEvery = []string{"once", "month", "quarter", "year"}

// SetDues says what the members of the co-op by.Actor pay it, as typed, in a currency of its own; nil takes the dues away. Whoever joins sees them, and
// with first is asked for them at once, by a request for payment.
func (n *Node) SetDues(ctx context.Context, by By, c *storage.Currency, typed, every string, first bool) error {
	var v ledger.Amount
	if c != nil {
		var err error
		if v, err = ledger.ParseTyped(typed, c.Book.Kind, c.Book.Scale); err != nil {
			return err
		}
		switch {
		case c.ActorID != by.Actor.ID:
			return invalid("currency", "%s is not a currency of %s", c.Book.Code, by.Actor.Username)
		case v == 0:
			return invalid("amount", "dues of nothing are none: take them away instead")
		case !slices.Contains(duesEvery, every):
			return invalid("every", "%q: want one of %s", clip(every, 64), strings.Join(duesEvery, ", "))
		}
	}
	return n.inCoop(ctx, by, "dues", func(tx *storage.DB, coop *storage.Coop) error {
		before, err := n.Dues(ctx, tx, coop)
		if err != nil {
			return err
		}
		coop.Dues, coop.DuesCurrency, coop.DuesEvery, coop.DuesFirst = 0, 0, "", false
		if c != nil {
			coop.Dues, coop.DuesCurrency, coop.DuesEvery, coop.DuesFirst = v, c.ID, every, first
		}
		after, err := n.Dues(ctx, tx, coop)
		if err != nil {
			return err
		}
		if err := tx.UpdateCoop(ctx, coop); err != nil {
			return err
		}
		return n.audit(ctx, tx, by, by.Actor, change{act: "dues.set", subject: by.Actor.IRI, before: map[string]any{"dues": before}, after: map[string]any{"dues": after}})
	})
}

// Dues says what a co-op's members pay it, in words such as "5.00 GRN every month"; "" for nothing.
func (n *Node) Dues(ctx context.Context, db *storage.DB, coop *storage.Coop) (string, error) {
	if coop.DuesCurrency == 0 {
		return "", nil
	}
	c, err := db.CurrencyByID(ctx, coop.DuesCurrency)
	if err != nil {
		return "", err
	}
	when := "every " + coop.DuesEvery
	if coop.DuesEvery == "once" {
		when = "once"
	}
	if coop.DuesFirst {
		when += ", first when they join"
	}
	return fmt.Sprintf("%s %s %s", c.Book.Format(int64(coop.Dues)), c.Book.Code, when), nil
}

// askForDues asks whoever has joined for her first dues, where the co-op wants that.
func (n *Node) askForDues(ctx context.Context, tx *storage.DB, coop, own *storage.Actor) error {
	rules, err := tx.Coop(ctx, coop.ID)
	if err != nil || rules.DuesCurrency == 0 || !rules.DuesFirst {
		return err
	}
	c, err := tx.CurrencyByID(ctx, rules.DuesCurrency)
	if err != nil {
		return err
	}
	_, err = n.requestPayment(ctx, tx, By{Actor: coop}, NewRequest{Currency: MoneyHere(c), Of: own, Amount: ledger.FormatAmount(int64(rules.Dues), c.Book.Scale), Memo: "Dues, for the first time"})
	if full := (*Problem)(nil); errors.As(err, &full) { // she is a member all the same
		n.Log.Warn("first dues", "coop", coop.Username, "err", err)
		err = nil
	}
	return err
}
