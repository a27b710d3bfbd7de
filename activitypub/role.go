package activitypub

import (
	"context"
	"errors"
	"slices"
	"strings"

	"planet/ledger"
	"planet/storage"
)

// limit is what bounds an act beyond its roles.
type limit string

const (
	noLimit limit = ""
	others  limit = "others" // never in one's own case
	amount  limit = "amount" // up to what the co-op has set for the role, if it has set anything
)

// right is a line of the table of who may do what as a co-op.
type right struct {
	act   string
	words string // what it is, for people
	roles []string
	limit limit
}

// rights is the whole table; docs/coops.md shows it. A person may always act as herself, the operator as anyone.
var rights = []right{
	{"post", "publish, edit, delete and pin posts", []string{storage.RoleAdmin, storage.RoleEditor}, noLimit},
	{"profile", "change the profile", []string{storage.RoleAdmin, storage.RoleEditor}, noLimit},
	{"follow", "follow, and answer who asks to follow", []string{storage.RoleAdmin, storage.RoleEditor}, noLimit},
	{"like", "like posts", []string{storage.RoleAdmin, storage.RoleEditor}, noLimit},
	{"boost", "share posts of others", []string{storage.RoleAdmin, storage.RoleEditor}, noLimit},
	{"vote", "vote in polls", []string{storage.RoleAdmin, storage.RoleEditor}, noLimit},
	{"block", "block and mute", []string{storage.RoleAdmin, storage.RoleEditor}, noLimit},
	{"report", "report to moderators", []string{storage.RoleAdmin, storage.RoleEditor}, noLimit},
	{"keys", "renew the signing keys", []string{storage.RoleAdmin}, noLimit},
	{"move", "move to another server", []string{storage.RoleAdmin}, noLimit},
	{"delete", "delete the co-op", []string{storage.RoleAdmin}, noLimit},

	{"settings", "say how people join", []string{storage.RoleAdmin}, noLimit},
	{"members", "give and take roles", []string{storage.RoleAdmin}, noLimit},
	{"invite", "invite people", []string{storage.RoleAdmin}, noLimit},
	{"admit", "approve and refuse join requests", []string{storage.RoleAdmin}, others},
	{"agreement", "set the agreement", []string{storage.RoleAdmin}, noLimit},
	{"dues", "set the dues", []string{storage.RoleAdmin, storage.RoleTreasurer}, noLimit},
	{"limits", "set what a role may pay at once", []string{storage.RoleAdmin}, noLimit},
	{"signatures", "say which payments take a second person", []string{storage.RoleAdmin}, noLimit},
	{"inside", "see members, roles, contributions and the audit log", storage.Roles, noLimit},
	{"export", "take the co-op's records out", []string{storage.RoleAdmin, storage.RoleTreasurer}, noLimit},

	{"contribute", "keep one's own hours", []string{storage.RoleAdmin, storage.RoleTreasurer, storage.RoleCashier, storage.RoleEditor, storage.RoleMember}, noLimit},
	{"confirm", "confirm and refuse hours", []string{storage.RoleAdmin, storage.RoleTreasurer}, others},

	{"offer", "offer, request, change and close offers", []string{storage.RoleAdmin, storage.RoleEditor}, noLimit},
	{"order", "order, and answer orders", []string{storage.RoleAdmin, storage.RoleTreasurer, storage.RoleCashier, storage.RoleEditor}, noLimit},

	{"currency", "found a currency", []string{storage.RoleAdmin}, noLimit},
	{"account", "open accounts, change rules and limits of a currency", []string{storage.RoleAdmin, storage.RoleTreasurer}, noLimit},
	{"issue", "pay with what did not exist before", []string{storage.RoleAdmin, storage.RoleTreasurer}, amount},
	{"pay", "pay, take what is held, give back", []string{storage.RoleAdmin, storage.RoleTreasurer, storage.RoleCashier}, amount},
}

// rightTo finds the line of an act. An act without one is nobody's.
func rightTo(act string) right {
	if i := slices.IndexFunc(rights, func(r right) bool { return r.act == act }); i >= 0 {
		return rights[i]
	}
	return right{act: act}
}

// May refuses who may not do this as that actor: an act of the table in docs/coops.md. What does it asks again, within its transaction.
func (n *Node) May(ctx context.Context, by By, act string) error {
	return n.allowed(ctx, n.DB, by, act)
}

// MaySpeak reports whether an app may act for a user as an actor: as herself, or as a co-op that she may post or pay for.
func (n *Node) MaySpeak(ctx context.Context, user *storage.User, actor *storage.Actor) (bool, error) {
	for _, act := range []string{"post", "pay"} {
		err := n.allowed(ctx, n.DB, By{User: user, Actor: actor}, act)
		var p *Problem
		if err == nil || !errors.As(err, &p) {
			return err == nil, err
		}
	}
	return false, nil
}

// allowed refuses who may not do this as that actor.
func (n *Node) allowed(ctx context.Context, db *storage.DB, by By, act string) error {
	_, err := n.rolesFor(ctx, db, by, act)
	return err
}

// rolesFor lists the roles by which somebody may do this as that actor: none when she needs none, being herself or the operator. Who may
// not is refused.
func (n *Node) rolesFor(ctx context.Context, db *storage.DB, by By, act string) ([]string, error) {
	a, err := db.ActorByID(ctx, by.Actor.ID)
	if err != nil {
		return nil, err
	}
	if !a.Local() || a.DeletedAt != nil || a.SuspendedAt != nil {
		return nil, problem(403, "suspended", "%s cannot act here", a.Username)
	}
	if by.User == nil {
		return nil, nil
	}
	u, err := db.UserByID(ctx, by.User.ID)
	if err != nil {
		return nil, err
	}
	if u.SuspendedAt != nil {
		return nil, problem(403, "suspended", "%s is suspended", u.Username)
	}
	if u.ActorID == a.ID {
		return nil, nil
	}
	roles, err := db.RolesIn(ctx, u.ID, a.ID)
	if err != nil {
		return nil, err
	}
	may := rightTo(act).roles
	roles = slices.DeleteFunc(roles, func(r string) bool { return !slices.Contains(may, r) })
	if len(roles) == 0 {
		return nil, problem(403, "role", "%s may not do this as %s: it takes one of the roles %s", u.Username, a.Username, strings.Join(may, ", "))
	}
	return roles, nil
}

// allowedAbout is allowed for an act in somebody's case, which is not for herself to decide where the table says so.
func (n *Node) allowedAbout(ctx context.Context, db *storage.DB, by By, act string, whose storage.ID) error {
	if err := n.allowed(ctx, db, by, act); err != nil {
		return err
	}
	r := rightTo(act)
	if r.limit == others && by.User != nil && by.User.ID == whose {
		return problem(403, "own-case", "%s cannot decide in her own case: ask another %s of %s", by.User.Username, strings.Join(r.roles, " or "), by.Actor.Username)
	}
	return nil
}

// allowedAmount is allowed for an act about an amount, which is bounded where the table says so and the co-op has set a limit for the role. Of
// several roles the one counts that allows most.
func (n *Node) allowedAmount(ctx context.Context, db *storage.DB, by By, act string, m *Money, v ledger.Amount) error {
	roles, err := n.rolesFor(ctx, db, by, act)
	if err != nil || len(roles) == 0 || rightTo(act).limit != amount || m.Here == nil { // limits of roles are of the currencies of this node
		return err
	}
	limits, err := db.RoleLimits(ctx, by.Actor.ID, m.Here.ID)
	if err != nil {
		return err
	}
	var most *storage.RoleLimit
	for _, role := range roles {
		i := slices.IndexFunc(limits, func(l storage.RoleLimit) bool { return l.Role == role })
		if i < 0 {
			return nil
		}
		if most == nil || limits[i].Amount > most.Amount {
			most = &limits[i]
		}
	}
	if v <= most.Amount {
		return nil
	}
	return problem(403, "limit", "%s, as %s of %s, pays at most %s %s at once, and this is %s %s: ask somebody who may pay more, or an admin to raise the limit",
		by.User.Username, most.Role, by.Actor.Username, m.Book.Format(int64(most.Amount)), m.Book.Code, m.Book.Format(int64(v)), m.Book.Code)
}

// insider refuses who has no role in a co-op: others see the co-op alone. Its members read on when the co-op is suspended, and the operator
// always does.
func (n *Node) insider(ctx context.Context, db *storage.DB, by By, coop *storage.Actor) error {
	if by.User == nil {
		return nil
	}
	u, err := db.UserByID(ctx, by.User.ID)
	if err != nil {
		return err
	}
	roles, err := db.RolesIn(ctx, u.ID, coop.ID)
	switch {
	case err != nil:
		return err
	case u.SuspendedAt != nil:
		return problem(403, "suspended", "%s is suspended", u.Username)
	case !slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(rightTo("inside").roles, r) }):
		return problem(403, "members-only", "%s shows this to its members alone, and %s is none: ask to join", coop.Username, u.Username)
	}
	return nil
}
