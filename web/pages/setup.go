package pages

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
)

// joinForm is the form of somebody who becomes a user: the first administrator, or who was invited.
type joinForm struct {
	Username, Name, Email string
	Coop                  string            // name of the co-op that she joins, or ""
	Agreement             *agreementCard    // that she accepts with it; nil for none
	Dues                  string            // that its members pay; "" for none
	Problems              map[string]string // by field
}

// agreementCard is the agreement of a co-op, to be read.
type agreementCard struct {
	Version int
	Set     time.Time
	Content template.HTML
	Ticked  bool // the box was ticked: of this version
}

func readJoinForm(c echo.Context) joinForm {
	return joinForm{Username: strings.TrimSpace(c.FormValue("username")), Name: strings.TrimSpace(c.FormValue("name")), Email: strings.TrimSpace(c.FormValue("email"))}
}

// refuse keeps what is wrong with a form beside its field; an error that is not the visitor's is returned.
func (f *joinForm) refuse(err error) error {
	var (
		invalid *activitypub.InvalidError
		problem *activitypub.Problem
	)
	switch {
	case errors.As(err, &problem) && problem.Code == "agreement": // it has changed while she was reading
		f.Problems = map[string]string{"agreement": problem.Detail}
	case errors.As(err, &invalid):
		f.Problems = map[string]string{invalid.Field: invalid.Msg}
	case errors.Is(err, storage.ErrConflict):
		f.Problems = map[string]string{"username": "this name is taken, choose another one"}
	default:
		return err
	}
	return nil
}

type welcomePage struct {
	Name, Username, Handle, Page string
	Coop                         string // that she joined, or ""
	Owner                        bool
}

func (p *Pages) welcome(c echo.Context, a *storage.Actor, coop string, owner bool) error {
	card := p.profileCard(a)
	c.Response().Header().Set("Cache-Control", "no-store")
	return p.render(c, http.StatusCreated, "welcome", view{Title: "Welcome", NoIndex: true, Body: welcomePage{Name: card.Name, Username: a.Username, Handle: card.Handle, Page: card.Page, Coop: coop, Owner: owner}})
}

// setup is the page behind the link that the first start prints: it makes the first administrator, once.
func (p *Pages) setup(c echo.Context) error {
	if err := p.setupOpen(c.Request().Context(), c.Param("code")); err != nil {
		return err
	}
	return p.setupForm(c, http.StatusOK, joinForm{})
}

func (p *Pages) setupForm(c echo.Context, status int, f joinForm) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	return p.render(c, status, "setup", view{Title: "Set up this node", NoIndex: true, Body: f})
}

// setupSubmit makes the owner. Afterwards the link leads nowhere (security.md ADM 244).
func (p *Pages) setupSubmit(c echo.Context) error {
	ctx := c.Request().Context()
	p.joining.Lock()
	defer p.joining.Unlock()
	if err := p.setupOpen(ctx, c.Param("code")); err != nil {
		return err
	}
	f := readJoinForm(c)
	a, err := p.create(ctx, f, c.FormValue("password"), storage.NodeOwner)
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return p.setupForm(c, http.StatusUnprocessableEntity, f)
	}
	return p.welcome(c, a, "", true)
}

// setupOpen is nil when the code is the one that is open, else ErrNotFound.
func (p *Pages) setupOpen(ctx context.Context, code string) error {
	if p.SetupCode == nil {
		return storage.ErrNotFound
	}
	want, err := p.SetupCode(ctx)
	if err != nil {
		return err
	}
	owned, err := p.DB.HasOwner(ctx)
	if err != nil {
		return err
	}
	got, right := sha256.Sum256([]byte(code)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(got[:], right[:]) != 1 || want == "" || owned {
		return storage.ErrNotFound
	}
	return nil
}

// create makes a person with a password: without one she could never sign in.
func (p *Pages) create(ctx context.Context, f joinForm, password, role string) (*storage.Actor, error) {
	if err := needPassword(password); err != nil {
		return nil, err
	}
	_, a, err := p.Node.CreatePerson(ctx, activitypub.NewUser{Username: f.Username, Name: f.Name, Email: f.Email, Password: password, Role: role})
	return a, err
}

func needPassword(password string) error {
	if password == "" {
		return &activitypub.InvalidError{Field: "password", Msg: "choose a password"}
	}
	return nil
}

// invite is the page behind an invitation's link.
func (p *Pages) invite(c echo.Context) error {
	_, coop, err := p.invitation(c)
	if err != nil {
		return err
	}
	return p.inviteForm(c, http.StatusOK, joinForm{}, coop)
}

// inviteForm shows the form with what the co-op asks of its members now.
func (p *Pages) inviteForm(c echo.Context, status int, f joinForm, coop *storage.Actor) error {
	if f.Coop = coopName(coop); coop != nil {
		ctx := c.Request().Context()
		row, err := p.DB.Coop(ctx, coop.ID)
		if err != nil {
			return err
		}
		if f.Dues, err = p.Node.Dues(ctx, p.DB, row); err != nil {
			return err
		}
		a, err := p.DB.Agreement(ctx, coop.ID, 0)
		switch {
		case err == nil:
			f.Agreement = &agreementCard{Version: a.Version, Set: a.CreatedAt, Content: safeHTML(a.Content), Ticked: c.FormValue("agreement") == strconv.Itoa(a.Version)}
		case !errors.Is(err, storage.ErrNotFound):
			return err
		}
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return p.render(c, status, "invite", view{Title: "You are invited", NoIndex: true, Body: f})
}

// inviteSubmit makes a person, and a member of the co-op that invited her.
func (p *Pages) inviteSubmit(c echo.Context) error {
	ctx := c.Request().Context()
	p.joining.Lock()
	defer p.joining.Unlock()
	hash, coop, err := p.invitation(c)
	if err != nil {
		return err
	}
	f, password := readJoinForm(c), c.FormValue("password")
	version, _ := strconv.Atoi(c.FormValue("agreement")) // what is no number was not ticked
	var a *storage.Actor
	if err = needPassword(password); err == nil {
		a, err = p.Node.AcceptInvite(ctx, activitypub.NewUser{Username: f.Username, Name: f.Name, Email: f.Email, Password: password, Role: storage.NodeUser}, hash, version)
	}
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return p.inviteForm(c, http.StatusUnprocessableEntity, f, coop)
	}
	return p.welcome(c, a, coopName(coop), false)
}

// invitation finds the invitation of a link, and the co-op that it leads to, if any; ErrNotFound when it cannot be used.
func (p *Pages) invitation(c echo.Context) (hash string, coop *storage.Actor, err error) {
	ctx := c.Request().Context()
	if p.Signup == "closed" {
		return "", nil, storage.ErrNotFound
	}
	hash = oauth.Hash(c.Param("code"))
	i, err := p.DB.InviteByCodeHash(ctx, hash)
	if err != nil || i.CoopID == 0 {
		return hash, nil, err
	}
	coop, err = p.DB.ActorByID(ctx, i.CoopID)
	if err == nil && !visible(coop) {
		err = storage.ErrNotFound
	}
	return hash, coop, err
}

func coopName(coop *storage.Actor) string {
	switch {
	case coop == nil:
		return ""
	case coop.Name == "":
		return coop.Username
	default:
		return coop.Name
	}
}
