package activitypub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"planet/storage"
)

// JoinDraft is what somebody says who wants to become a member of a co-op.
type JoinDraft struct {
	Reason    string // plain text
	Agreement int    // the version that she has read and accepts; 0: none
	Invite    string // the hash of an invitation's code; "" for none
}

// Join asks a co-op of this node to take the person by.Actor as a member. She is one at once where joining is open or she is invited; else
// the request waits for admins. A version of the agreement that is not the newest any more is refused.
func (n *Node) Join(ctx context.Context, by By, coop *storage.Actor, in JoinDraft) (*storage.JoinRequest, error) {
	reason, err := cleanWords("reason", in.Reason)
	if err != nil {
		return nil, err
	}
	var out *storage.JoinRequest
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		c, err := lockCoop(ctx, tx, coop)
		if err != nil {
			return err
		}
		u, err := n.self(ctx, tx, by)
		if err != nil {
			return err
		}
		invited := false
		if in.Invite != "" {
			if invited, err = n.useInvite(ctx, tx, in.Invite, coop); err != nil {
				return err
			}
		}
		if err := n.mayJoin(ctx, tx, by, coop, c, u, invited); err != nil {
			return err
		}
		if err := n.accept(ctx, tx, by, coop, u, in.Agreement); err != nil {
			return err
		}
		r, err := tx.PendingJoin(ctx, coop.ID, u.ID)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			r = &storage.JoinRequest{CoopID: coop.ID, UserID: u.ID, Reason: reason, Agreement: in.Agreement}
			if err := tx.CreateJoinRequest(ctx, r); err != nil {
				return err
			}
		case err != nil:
			return err
		case !invited && c.Joining != storage.JoiningOpen:
			return problem(http.StatusConflict, "joining", "%s has asked %s already: the request %s waits for its admins", u.Username, coop.Username, r.ID)
		}
		out = r
		switch {
		case invited:
			return n.admit(ctx, tx, by, coop, u, r, "by invitation")
		case c.Joining == storage.JoiningOpen:
			return n.admit(ctx, tx, by, coop, u, r, "whoever asks is a member")
		}
		if err := record(ctx, tx, by.as(coop), "join.ask", by.Actor.IRI); err != nil {
			return err
		}
		return n.tell(ctx, tx, []storage.ID{coop.ID}, "join_request", by.Actor, 0)
	})
	return out, err
}

// useInvite takes one use of an invitation to a co-op.
func (n *Node) useInvite(ctx context.Context, tx *storage.DB, hash string, coop *storage.Actor) (bool, error) {
	i, err := tx.UseInvite(ctx, hash)
	if errors.Is(err, storage.ErrNotFound) || err == nil && i.CoopID != coop.ID {
		return false, problem(http.StatusForbidden, "invite", "this is no invitation to %s, or it is used up or over: ask for another one", coop.Username)
	}
	return err == nil, err
}

// mayJoin refuses who is a member already, and whom the co-op does not want to be asked by.
func (n *Node) mayJoin(ctx context.Context, tx *storage.DB, by By, coop *storage.Actor, c *storage.Coop, u *storage.User, invited bool) error {
	if err := n.allowed(ctx, tx, By{Actor: coop}, "self"); err != nil { // it may be gone
		return err
	}
	roles, err := tx.RolesIn(ctx, u.ID, coop.ID)
	if err != nil {
		return err
	}
	blocked, err := tx.Blocked(ctx, coop.ID, by.Actor.ID)
	switch {
	case err != nil:
		return err
	case slices.ContainsFunc(roles, func(r string) bool { return r != storage.RoleObserver }):
		return problem(http.StatusConflict, "joining", "%s is a member of %s already", u.Username, coop.Username)
	case blocked:
		return problem(http.StatusForbidden, "blocked", "%s takes no requests from %s", coop.Username, u.Username)
	case c.Joining == storage.JoiningInvite && !invited:
		return problem(http.StatusForbidden, "joining", "%s takes members by invitation alone: ask one of its admins for one", coop.Username)
	}
	return nil
}

// admit makes a member of who asked to be one, in a transaction that has locked the co-op.
func (n *Node) admit(ctx context.Context, tx *storage.DB, by By, coop *storage.Actor, u *storage.User, r *storage.JoinRequest, how string) error {
	own, err := tx.ActorByID(ctx, u.ActorID)
	if err != nil {
		return err
	}
	roles, err := tx.RolesIn(ctx, u.ID, coop.ID)
	if err != nil {
		return err
	}
	r.State = storage.JoinApproved
	if err := n.endJoin(ctx, tx, coop, own, r); err != nil {
		return err
	}
	if err := tx.AddMember(ctx, &storage.Member{UserID: u.ID, CoopID: coop.ID, Role: storage.RoleMember}); err != nil {
		return err
	}
	err = n.audit(ctx, tx, by, coop, change{act: "member.join", subject: own.IRI, words: how, before: map[string]any{"roles": sorted(roles)},
		after: map[string]any{"roles": sorted(append(roles, storage.RoleMember)), "agreement": r.Agreement}})
	if err != nil {
		return err
	}
	if err := n.askForDues(ctx, tx, coop, own); err != nil {
		return err
	}
	return n.askToAccept(ctx, tx, coop, u) // there may be a newer version than she read
}

// endJoin stores what became of a request, and tells who asked.
func (n *Node) endJoin(ctx context.Context, tx *storage.DB, coop, own *storage.Actor, r *storage.JoinRequest) error {
	if err := tx.EndJoinRequest(ctx, r); err != nil {
		return err
	}
	if err := tx.Untell(ctx, coop.ID, "join_request", own.ID); err != nil || r.State == storage.JoinWithdrawn {
		return err
	}
	for _, kind := range []string{"join_approved", "join_refused"} { // of an earlier request
		if err := tx.Untell(ctx, own.ID, kind, coop.ID); err != nil {
			return err
		}
	}
	return n.tell(ctx, tx, []storage.ID{own.ID}, "join_"+r.State, coop, 0)
}

// withdrawJoin takes the pending request of a person back; false when there is none.
func (n *Node) withdrawJoin(ctx context.Context, tx *storage.DB, by By, coop *storage.Actor, u *storage.User) (bool, error) {
	r, err := tx.PendingJoin(ctx, coop.ID, u.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	own, err := tx.ActorByID(ctx, u.ActorID)
	if err != nil {
		return false, err
	}
	r.State = storage.JoinWithdrawn
	if err := n.endJoin(ctx, tx, coop, own, r); err != nil {
		return false, err
	}
	return true, record(ctx, tx, by.as(coop), "join.withdraw", own.IRI)
}

// JoinCase is a join request with what it waits for.
type JoinCase struct {
	Request  storage.JoinRequest
	User     *storage.User
	Approved []*storage.User // those who said yes and are admins now, without herself
	Needed   int             // how many have to; 0: nobody is there who could
}

// joinCase counts. Who said yes counts while she is an admin and not suspended. Where there are fewer admins than the co-op wants,
// all of them are enough; who asks is never one of them.
func (n *Node) joinCase(ctx context.Context, db *storage.DB, c *storage.Coop, r *storage.JoinRequest) (*JoinCase, error) {
	u, err := db.UserByID(ctx, r.UserID)
	if err != nil {
		return nil, err
	}
	admins, err := db.Holders(ctx, c.ActorID, storage.RoleAdmin)
	if err != nil {
		return nil, err
	}
	admins = slices.DeleteFunc(admins, func(id storage.ID) bool { return id == r.UserID })
	said, err := db.Approvals(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	out := &JoinCase{Request: *r, User: u, Needed: min(c.Approvals, len(admins))}
	for _, a := range said {
		if slices.Contains(admins, a.UserID) {
			admin, err := db.UserByID(ctx, a.UserID)
			if err != nil {
				return nil, err
			}
			out.Approved = append(out.Approved, admin)
		}
	}
	return out, nil
}

// settleJoin makes a member of who has enough approvals.
func (n *Node) settleJoin(ctx context.Context, tx *storage.DB, by By, coop *storage.Actor, c *storage.Coop, r *storage.JoinRequest) error {
	j, err := n.joinCase(ctx, tx, c, r)
	if err != nil || len(j.Approved) == 0 || len(j.Approved) < j.Needed || j.User.SuspendedAt != nil {
		return err
	}
	how := "approved by 1 admin"
	if len(j.Approved) > 1 {
		how = fmt.Sprintf("approved by %d admins", len(j.Approved))
	}
	return n.admit(ctx, tx, by, coop, j.User, r, how)
}

// settleJoins is settleJoin of all requests that wait: there may be fewer who have to say yes than before.
func (n *Node) settleJoins(ctx context.Context, tx *storage.DB, by By, coop *storage.Actor, c *storage.Coop) error {
	rs, err := tx.PendingJoins(ctx, coop.ID)
	if err != nil {
		return err
	}
	for i := range rs {
		if err := n.settleJoin(ctx, tx, by, coop, c, &rs[i]); err != nil {
			return err
		}
	}
	return nil
}

// inJoin runs fn in a transaction that has locked the co-op by.Actor, with one of its requests that waits, if by may answer it.
func (n *Node) inJoin(ctx context.Context, by By, id storage.ID, fn func(tx *storage.DB, c *storage.Coop, u *storage.User, r *storage.JoinRequest) error) error {
	return n.inCoop(ctx, by, "admit", func(tx *storage.DB, c *storage.Coop) error {
		r, err := tx.JoinRequestByID(ctx, id)
		if err == nil && r.CoopID != by.Actor.ID {
			err = storage.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := n.allowedAbout(ctx, tx, by, "admit", r.UserID); err != nil {
			return err
		}
		u, err := tx.UserByID(ctx, r.UserID)
		switch {
		case err != nil:
			return err
		case r.State != storage.JoinPending:
			return problem(http.StatusConflict, "joining", "the request of %s was answered before: it is %s", u.Username, r.State)
		case by.User == nil:
			return invalid("as", "an answer to a request is an admin's: say whose")
		}
		return fn(tx, c, u, r)
	})
}

// ApproveJoin says yes to a request, as an admin of the co-op by.Actor: each once, and not to her own. The person is a member when enough have
// said it. ErrNotFound when there is no such request.
func (n *Node) ApproveJoin(ctx context.Context, by By, id storage.ID) (*JoinCase, error) {
	var out *JoinCase
	err := n.inJoin(ctx, by, id, func(tx *storage.DB, c *storage.Coop, u *storage.User, r *storage.JoinRequest) error {
		if u.SuspendedAt != nil {
			return problem(http.StatusConflict, "suspended", "%s is suspended: the request waits until she is not", u.Username)
		}
		fresh, err := tx.Approve(ctx, &storage.Approval{JoinRequestID: r.ID, UserID: by.User.ID})
		if err != nil {
			return err
		}
		if out, err = n.joinCase(ctx, tx, c, r); err != nil {
			return err
		}
		if !fresh { // what she said before may be enough now: somebody may have been suspended
			if err := n.settleJoin(ctx, tx, by, by.Actor, c, r); err != nil {
				return err
			}
			if r.State == storage.JoinPending {
				return problem(http.StatusConflict, "joining", "%s has approved this already: each admin counts once", by.User.Username)
			}
			out.Request = *r
			return nil
		}
		own, err := tx.ActorByID(ctx, u.ActorID)
		if err != nil {
			return err
		}
		err = n.audit(ctx, tx, by, by.Actor, change{act: "join.approve", subject: own.IRI, words: fmt.Sprintf("%d of %d", len(out.Approved), out.Needed)})
		if err != nil {
			return err
		}
		if err := n.settleJoin(ctx, tx, by, by.Actor, c, r); err != nil {
			return err
		}
		out.Request = *r
		return nil
	})
	return out, err
}

// RefuseJoin says no to a request, as an admin of the co-op by.Actor, and why. One no is the end of it; the person may ask again.
func (n *Node) RefuseJoin(ctx context.Context, by By, id storage.ID, reason string) error {
	reason, err := cleanWords("reason", reason)
	if err != nil {
		return err
	}
	if reason == "" {
		return invalid("reason", "say why: who asked reads it")
	}
	return n.inJoin(ctx, by, id, func(tx *storage.DB, _ *storage.Coop, u *storage.User, r *storage.JoinRequest) error {
		own, err := tx.ActorByID(ctx, u.ActorID)
		if err != nil {
			return err
		}
		r.State, r.Answer = storage.JoinRefused, reason
		if err := n.endJoin(ctx, tx, by.Actor, own, r); err != nil {
			return err
		}
		return n.audit(ctx, tx, by, by.Actor, change{act: "join.refuse", subject: own.IRI, words: reason})
	})
}

// JoinRequestsOf lists the requests to the co-op by.Actor to those who answer them: those that wait, oldest first, or all of them, newest first.
func (n *Node) JoinRequestsOf(ctx context.Context, by By, all bool, p storage.Page) ([]JoinCase, error) {
	if err := n.allowed(ctx, n.DB, by, "admit"); err != nil {
		return nil, err
	}
	rs, err := n.DB.PendingJoins(ctx, by.Actor.ID)
	if all {
		rs, err = n.DB.JoinRequests(ctx, by.Actor.ID, p)
	}
	if err != nil {
		return nil, err
	}
	c, err := n.DB.Coop(ctx, by.Actor.ID)
	if err != nil {
		return nil, err
	}
	out := make([]JoinCase, len(rs))
	for i := range rs {
		j, err := n.joinCase(ctx, n.DB, c, &rs[i])
		if err != nil {
			return nil, err
		}
		out[i] = *j
	}
	return out, nil
}

// JoinOf finds a request for the person by.Actor who made it, so that she sees what it waits for and how it was answered. ErrNotFound to all others.
func (n *Node) JoinOf(ctx context.Context, by By, id storage.ID) (*JoinCase, error) {
	u, err := n.self(ctx, n.DB, by)
	if err != nil {
		return nil, err
	}
	return n.joinAt(ctx, id, func(r *storage.JoinRequest) bool { return r.UserID == u.ID })
}

// JoinCaseOf finds a request to the co-op by.Actor for those who answer them. ErrNotFound when it is none of its.
func (n *Node) JoinCaseOf(ctx context.Context, by By, id storage.ID) (*JoinCase, error) {
	if err := n.allowed(ctx, n.DB, by, "admit"); err != nil {
		return nil, err
	}
	return n.joinAt(ctx, id, func(r *storage.JoinRequest) bool { return r.CoopID == by.Actor.ID })
}

// joinAt finds a request that is somebody's to see.
func (n *Node) joinAt(ctx context.Context, id storage.ID, hers func(r *storage.JoinRequest) bool) (*JoinCase, error) {
	r, err := n.DB.JoinRequestByID(ctx, id)
	if err == nil && !hers(r) {
		err = storage.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	c, err := n.DB.Coop(ctx, r.CoopID)
	if err != nil {
		return nil, err
	}
	return n.joinCase(ctx, n.DB, c, r)
}

// Invite makes an invitation to the co-op by.Actor, of whose code the hash is kept: who has it is a member without being approved.
func (n *Node) Invite(ctx context.Context, by By, hash string, uses int, expires *time.Time) (*storage.Invite, error) {
	i := &storage.Invite{CodeHash: hash, CoopID: by.Actor.ID, UsesLeft: uses, ExpiresAt: expires}
	if by.User != nil {
		i.CreatedBy = by.User.ID
	}
	err := n.inCoop(ctx, by, "invite", func(tx *storage.DB, _ *storage.Coop) error {
		if err := tx.SaveInvite(ctx, i); err != nil {
			return err
		}
		after := map[string]any{"id": i.ID, "uses": uses}
		if expires != nil {
			after["expires"] = wireTime(*expires)
		}
		return n.audit(ctx, tx, by, by.Actor, change{act: "invite.create", subject: by.Actor.IRI, after: after})
	})
	return i, err
}

// RevokeInvite ends an invitation to the co-op by.Actor. ErrNotFound when there is none with this id.
func (n *Node) RevokeInvite(ctx context.Context, by By, id storage.ID) error {
	return n.inCoop(ctx, by, "invite", func(tx *storage.DB, _ *storage.Coop) error {
		i, err := tx.InviteByID(ctx, id)
		if err == nil && i.CoopID != by.Actor.ID {
			err = storage.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := tx.RevokeInvite(ctx, id); err != nil {
			return err
		}
		return n.audit(ctx, tx, by, by.Actor, change{act: "invite.revoke", subject: by.Actor.IRI, after: map[string]any{"id": id}})
	})
}

// InviteHere makes an invitation to this node alone, by the operator, of whose code the hash is kept.
func (n *Node) InviteHere(ctx context.Context, hash string, uses int, expires *time.Time) (*storage.Invite, error) {
	i := &storage.Invite{CodeHash: hash, UsesLeft: uses, ExpiresAt: expires}
	err := n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := tx.SaveInvite(ctx, i); err != nil {
			return err
		}
		return recordWith(ctx, tx, By{Actor: n.service}, "invite.create", n.service.IRI, fmt.Sprintf("%s, for %d", i.ID, uses))
	})
	return i, err
}

// RevokeInviteHere ends any invitation, by the operator. ErrNotFound when there is none with this id.
func (n *Node) RevokeInviteHere(ctx context.Context, id storage.ID) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if err := tx.RevokeInvite(ctx, id); err != nil {
			return err
		}
		return recordWith(ctx, tx, By{Actor: n.service}, "invite.revoke", n.service.IRI, id.String())
	})
}

// AcceptInvite makes a person of who was invited, and a member of the co-op that invited her, if one did; all of it or nothing. The version of the
// agreement is the one that she has read and accepts. ErrNotFound when the invitation cannot be used; other errors as those of CreatePerson and Join.
func (n *Node) AcceptInvite(ctx context.Context, in NewUser, hash string, agreement int) (*storage.Actor, error) {
	u, a, err := n.newPerson(in)
	if err != nil {
		return nil, err
	}
	err = n.DB.Transaction(ctx, func(tx *storage.DB) error {
		i, err := tx.UseInvite(ctx, hash)
		if err != nil {
			return err
		}
		if err := n.addPerson(ctx, tx, u, a); err != nil || i.CoopID == 0 {
			return err
		}
		coop, err := tx.ActorByID(ctx, i.CoopID)
		if err != nil {
			return err
		}
		if _, err := lockCoop(ctx, tx, coop); err != nil {
			return err
		}
		if err := n.allowed(ctx, tx, By{Actor: coop}, "self"); err != nil { // it may be gone
			return err
		}
		by := By{User: u, Actor: a}
		if err := n.accept(ctx, tx, by, coop, u, agreement); err != nil {
			return err
		}
		r := &storage.JoinRequest{CoopID: coop.ID, UserID: u.ID, Agreement: agreement}
		if err := tx.CreateJoinRequest(ctx, r); err != nil {
			return err
		}
		return n.admit(ctx, tx, by, coop, u, r, "by invitation")
	})
	return a, err
}
