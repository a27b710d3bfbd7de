package pages

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"planet/storage"
	"planet/web/oauth"
)

// signInPage asks who somebody is.
type signInPage struct {
	App     string // on whose behalf
	Name    string
	Problem string
}

// authorizePage asks whether an app may act.
type authorizePage struct {
	App, Website string
	Home         string // host to which the answer goes; "" for a program on her device
	Can          []string
	Pays         bool
	Voices       []voice
	Username     string
	Ticket       string
}

// voice is somebody as whom an app may act.
type voice struct {
	ID      storage.ID
	Card    profileCard
	Own     bool
	Checked bool
}

// authorize is the page on which a person lets an app act for her: GET /oauth/authorize.
func (p *Pages) authorize(c echo.Context) error {
	r, err := p.asked(c)
	if r == nil || err != nil {
		return err
	}
	v, err := p.visitor(c)
	if err != nil {
		return err
	}
	if v == nil || r.Login {
		return p.signInForm(c, http.StatusOK, r, signInPage{})
	}
	return p.consentForm(c, r, v)
}

// asked reads what an app asks for. What is wrong is answered, and nothing comes back: to the app where its address is known to be its own, else to the person.
func (p *Pages) asked(c echo.Context) (*oauth.Request, error) {
	c.Response().Header().Del("Cross-Origin-Opener-Policy") // also of what leads on: Phanpy opens a window and watches where it goes
	c.Response().Header().Set("Cache-Control", "no-store")
	r, err := p.OAuth.ReadRequest(c.Request().Context(), c.Request().URL.Query())
	var refused *oauth.Error
	switch {
	case errors.As(err, &refused) && r != nil && r.RedirectURI != oauth.OutOfBand:
		return nil, p.answer(c, r, url.Values{"error": {refused.Code}, "error_description": {refused.Description}})
	case errors.As(err, &refused):
		return nil, p.Error(c, refused.Status, refused.Description)
	case err != nil:
		return nil, err
	}
	return r, nil
}

// answer sends the browser to the app.
func (p *Pages) answer(c echo.Context, r *oauth.Request, values url.Values) error {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	return c.Redirect(http.StatusFound, r.Location(values))
}

// forApp prepares the headers of a page that belongs to an app's request: the form may lead to the app, and nothing is kept.
func (p *Pages) forApp(c echo.Context, r *oauth.Request) {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	if u, err := url.Parse(r.RedirectURI); err == nil && r.RedirectURI != oauth.OutOfBand {
		source := u.Scheme + ":"
		if u.Scheme == "https" || u.Scheme == "http" {
			source = u.Scheme + "://" + u.Host
		}
		if !strings.ContainsAny(source, " ;,'\"") {
			h.Set("Content-Security-Policy", strings.Replace(h.Get("Content-Security-Policy"), "form-action 'self'", "form-action 'self' "+source, 1))
		}
	}
}

func (p *Pages) signInForm(c echo.Context, status int, r *oauth.Request, f signInPage) error {
	p.forApp(c, r)
	f.App = r.App.Name
	return p.render(c, status, "signin", view{Title: "Sign in", NoIndex: true, Body: f})
}

// ticket binds a form to the session that it was shown in, and to what was asked for (security.md OAU 216).
func ticket(c echo.Context, v *visitor) string {
	return oauth.Hash("authorize\n" + v.secret + "\n" + c.Request().URL.RawQuery)
}

func (p *Pages) consentForm(c echo.Context, r *oauth.Request, v *visitor) error {
	voices, err := p.voices(c.Request().Context(), v)
	if err != nil {
		return err
	}
	page := authorizePage{App: r.App.Name, Website: webAddress(r.App.Website), Can: r.Scopes.Words(), Pays: r.Scopes.Allow(oauth.Payments), Username: v.user.Username, Ticket: ticket(c, v)}
	if u, err := url.Parse(r.RedirectURI); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		page.Home = u.Host
	}
	for i, a := range voices {
		page.Voices = append(page.Voices, voice{ID: a.ID, Card: p.profileCard(a), Own: i == 0, Checked: i == 0})
	}
	p.forApp(c, r)
	return p.render(c, http.StatusOK, "authorize", view{Title: "Let " + r.App.Name + " in?", NoIndex: true, Body: page})
}

// voices are the actors as whom an app may act for somebody: herself first, then co-ops where a role lets her.
func (p *Pages) voices(ctx context.Context, v *visitor) ([]*storage.Actor, error) {
	out := []*storage.Actor{v.actor}
	coops, err := p.DB.CoopsOf(ctx, v.user.ID)
	if err != nil {
		return nil, err
	}
	for i := range coops {
		may, err := p.Node.MaySpeak(ctx, v.user, &coops[i])
		if err != nil {
			return nil, err
		}
		if may {
			out = append(out, &coops[i])
		}
	}
	return out, nil
}

// authorizeSubmit takes both forms of the page: who she is, and what she says.
func (p *Pages) authorizeSubmit(c echo.Context) error {
	ctx := c.Request().Context()
	r, err := p.asked(c)
	if r == nil || err != nil {
		return err
	}
	form := c.Request().PostForm
	if form.Get("do") == "signin" {
		return p.takeSignIn(c, func(status int, f signInPage) error { return p.signInForm(c, status, r, f) }, func() error { return p.again(c) })
	}
	v, err := p.visitor(c)
	if err != nil {
		return err
	}
	if v == nil || subtle.ConstantTimeCompare([]byte(form.Get("ticket")), []byte(ticket(c, v))) != 1 {
		return echo.NewHTTPError(http.StatusForbidden)
	}
	switch form.Get("do") {
	case "signout":
		if err := p.signOut(c); err != nil {
			return err
		}
		return p.again(c)
	case "allow":
		voices, err := p.voices(ctx, v)
		if err != nil {
			return err
		}
		for _, a := range voices {
			if a.ID.String() != form.Get("as") {
				continue
			}
			code, err := p.OAuth.Grant(ctx, r, v.user, a)
			if err != nil {
				return err
			}
			if r.RedirectURI == oauth.OutOfBand {
				p.forApp(c, r)
				return p.render(c, http.StatusOK, "code", view{Title: "Your code", NoIndex: true, Body: struct{ App, Code string }{r.App.Name, code}})
			}
			return p.answer(c, r, url.Values{"code": {code}})
		}
		return echo.NewHTTPError(http.StatusForbidden)
	default:
		if r.RedirectURI == oauth.OutOfBand {
			return p.Error(c, http.StatusForbidden, "You have not let the app in. You can close this page.")
		}
		return p.answer(c, r, url.Values{"error": {"access_denied"}, "error_description": {"the person said no"}})
	}
}

// again shows the page anew, by GET, without asking her once more who she is.
func (p *Pages) again(c echo.Context) error {
	u := *c.Request().URL
	q := u.Query()
	q.Del("force_login")
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.Redirect(http.StatusSeeOther, "/oauth/authorize?"+q.Encode())
}
