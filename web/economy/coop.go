package economy

import (
	"errors"
	"net/http"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
)

// Coop is a co-op of this node.
type Coop struct {
	Party
	Username   string   `json:"username" doc:"By which these addresses name it."`
	Summary    string   `json:"summary" doc:"Safe HTML."`
	Category   string   `json:"category"`
	Place      string   `json:"place"`
	Hours      string   `json:"hours"`
	Links      []Link   `json:"links"`
	Principles []string `json:"principles" doc:"Of the International Cooperative Alliance, 1 to 7."`
	Joining    string   `json:"joining" enum:"open,approval,invite" doc:"How people become members: at once, when admins say yes, or by invitation."`
	Agreement  int      `json:"agreement" doc:"The newest version of what members agree to; 0: there is none."`
	Dues       string   `json:"dues" doc:"What members pay, in words."`
	Roles      []string `json:"roles" doc:"Of the person whose token it is."`
}

// Link is a link of a profile.
type Link struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// Member is a person in a co-op.
type Member struct {
	Party
	Roles     []string `json:"roles"`
	Since     string   `json:"since"`
	Agreement int      `json:"agreement" doc:"The newest version that she accepted; 0: none."`
}

// JoinDraft is what somebody says who wants to become a member.
type JoinDraft struct {
	Reason    string `json:"reason,omitempty"`
	Agreement int    `json:"agreement,omitempty" doc:"The version that she has read and accepts."`
	Invite    string `json:"invite,omitempty" doc:"The code of an invitation."`
}

// JoinRequest is the wish to become a member.
type JoinRequest struct {
	ID       string `json:"id"`
	Person   Party  `json:"person"`
	Coop     Party  `json:"coop"`
	Reason   string `json:"reason"`
	State    string `json:"state" enum:"pending,approved,refused,withdrawn"`
	Answer   string `json:"answer" doc:"Why it was refused."`
	Approved int    `json:"approved" doc:"How many admins have said yes."`
	Needed   int    `json:"needed" doc:"How many have to."`
	Created  string `json:"created_at"`
}

func (a *API) coop(c *call, x *storage.Actor) (Coop, error) {
	e := Coop{Party: a.partyOf(x), Username: x.Username, Summary: x.Summary, Category: x.Category, Place: x.Place, Hours: x.Hours, Links: []Link{}, Principles: append([]string{}, x.Principles...), Roles: []string{}}
	for _, l := range x.Links {
		e.Links = append(e.Links, Link(l))
	}
	own, err := a.DB.Coop(c.ctx, x.ID)
	if err != nil {
		return e, err
	}
	e.Joining = own.Joining
	if e.Dues, err = a.Node.Dues(c.ctx, a.DB, own); err != nil {
		return e, err
	}
	if g, err := a.DB.Agreement(c.ctx, x.ID, 0); err == nil {
		e.Agreement = g.Version
	} else if !errors.Is(err, storage.ErrNotFound) {
		return e, err
	}
	if c.who != nil {
		roles, err := a.DB.RolesIn(c.ctx, c.who.User.ID, x.ID)
		if err != nil {
			return e, err
		}
		e.Roles = append(e.Roles, roles...)
	}
	return e, nil
}

func (a *API) coops(c *call) (any, error) {
	all, err := a.DB.LocalActors(c.ctx, storage.Organization)
	if err != nil {
		return nil, err
	}
	out := []Coop{}
	for i := range all {
		if x := &all[i]; x.DeletedAt == nil && x.SuspendedAt == nil {
			e, err := a.coop(c, x)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
	}
	return out, nil
}

func (a *API) showCoop(c *call) (any, error) {
	x, err := a.coopAt(c)
	if err != nil {
		return nil, err
	}
	return a.coop(c, x)
}

func (a *API) members(c *call) (any, error) {
	x, err := a.coopAt(c)
	if err != nil {
		return nil, err
	}
	ms, err := a.Node.MembersOf(c.ctx, c.by(), x)
	if err != nil {
		return nil, err
	}
	out := []Member{}
	for _, m := range ms {
		own, err := a.DB.ActorByID(c.ctx, m.User.ActorID)
		if err != nil {
			return nil, err
		}
		out = append(out, Member{Party: a.partyOf(own), Roles: append([]string{}, m.Roles...), Since: stamp(m.Since), Agreement: m.Accepted})
	}
	return out, nil
}

func (a *API) joinRequest(c *call, j *activitypub.JoinCase) (JoinRequest, error) {
	r := &j.Request
	own, err := a.DB.ActorByID(c.ctx, j.User.ActorID)
	if err != nil {
		return JoinRequest{}, err
	}
	x, err := a.DB.ActorByID(c.ctx, r.CoopID)
	if err != nil {
		return JoinRequest{}, err
	}
	return JoinRequest{ID: r.ID.String(), Person: a.partyOf(own), Coop: a.partyOf(x), Reason: r.Reason, State: r.State, Answer: r.Answer, Approved: len(j.Approved), Needed: j.Needed, Created: stamp(r.CreatedAt)}, nil
}

func (a *API) join(c *call) (any, error) {
	var in JoinDraft
	if err := c.read(&in); err != nil {
		return nil, err
	}
	x, err := a.coopAt(c)
	if err != nil {
		return nil, err
	}
	d := activitypub.JoinDraft{Reason: in.Reason, Agreement: in.Agreement}
	if in.Invite != "" {
		d.Invite = oauth.Hash(in.Invite)
	}
	show := func(id storage.ID) (any, error) {
		j, err := a.Node.JoinOf(c.ctx, c.by(), id)
		if err != nil {
			return nil, err
		}
		return a.joinRequest(c, j)
	}
	return a.doOnce(c, in, func(by activitypub.By) (any, error) {
		r, err := a.Node.Join(c.ctx, by, x, d)
		if err != nil {
			return nil, err
		}
		return show(r.ID)
	}, func(storage.IRI) (any, error) { // the newest one of hers is what came of it
		r, err := a.DB.LastJoin(c.ctx, x.ID, c.who.User.ID)
		if err != nil {
			return nil, err
		}
		return show(r.ID)
	})
}

// asCoop refuses a token of somebody else: an app that acts for a person does not act for her co-op.
func (a *API) asCoop(c *call) error {
	x, err := a.coopAt(c)
	if err == nil && x.ID != c.who.Actor.ID {
		err = &activitypub.Problem{Status: http.StatusForbidden, Code: "not_authorized", Detail: "This is for " + x.Username + " to do: sign in as it."}
	}
	return err
}

func (a *API) joinRequests(c *call) (any, error) {
	if err := a.asCoop(c); err != nil {
		return nil, err
	}
	js, err := a.Node.JoinRequestsOf(c.ctx, c.by(), c.form.Bool("all", false), storage.Page{Limit: 200})
	if err != nil {
		return nil, err
	}
	out := []JoinRequest{}
	for i := range js {
		e, err := a.joinRequest(c, &js[i])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// answerJoin is what approving and refusing have in common.
func (a *API) answerJoin(c *call, in any, do func(by activitypub.By, id storage.ID) error) (any, error) {
	if err := a.asCoop(c); err != nil {
		return nil, err
	}
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	show := func(storage.IRI) (any, error) {
		j, err := a.Node.JoinCaseOf(c.ctx, c.by(), id)
		if err != nil {
			return nil, err
		}
		return a.joinRequest(c, j)
	}
	return a.doOnce(c, in, func(by activitypub.By) (any, error) {
		if err := do(by, id); err != nil {
			return nil, err
		}
		return show("")
	}, show)
}

func (a *API) approveJoin(c *call) (any, error) {
	return a.answerJoin(c, nil, func(by activitypub.By, id storage.ID) error {
		_, err := a.Node.ApproveJoin(c.ctx, by, id)
		return err
	})
}

func (a *API) refuseJoin(c *call) (any, error) {
	var in Reason
	if err := c.read(&in); err != nil {
		return nil, err
	}
	return a.answerJoin(c, in, func(by activitypub.By, id storage.ID) error { return a.Node.RefuseJoin(c.ctx, by, id, in.Reason) })
}
