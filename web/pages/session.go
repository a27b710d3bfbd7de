package pages

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
)

const sessionLife = 30 * 24 * time.Hour

// visitor is who is signed in with a browser.
type visitor struct {
	secret string // of her cookie
	user   *storage.User
	actor  *storage.Actor // her own
}

// cookieName has the prefix by which browsers hold a cookie to this host alone, wherever the origin lets them.
func (p *Pages) cookieName() string {
	if strings.HasPrefix(p.Origin, "https://") {
		return "__Host-planet"
	}
	return "planet"
}

func (p *Pages) cookie(value string, life time.Duration) *http.Cookie {
	return &http.Cookie{Name: p.cookieName(), Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(p.Origin, "https://")}
}

// visitor finds who is signed in; nil for nobody.
func (p *Pages) visitor(c echo.Context) (*visitor, error) {
	ctx := c.Request().Context()
	cookie, err := c.Request().Cookie(p.cookieName())
	if err != nil {
		return nil, nil
	}
	s, err := p.DB.SessionByHash(ctx, oauth.Hash(cookie.Value))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := &visitor{secret: cookie.Value}
	if v.user, err = p.DB.UserByID(ctx, s.UserID); err != nil {
		return nil, err
	}
	if v.actor, err = p.DB.ActorByID(ctx, v.user.ActorID); err != nil {
		return nil, err
	}
	if v.user.SuspendedAt != nil || v.actor.SuspendedAt != nil || v.actor.DeletedAt != nil {
		return nil, nil
	}
	return v, nil
}

// signIn begins a session under a new secret: one that a browser had before is worth nothing (security.md SES 229).
func (p *Pages) signIn(c echo.Context, u *storage.User) error {
	ctx := c.Request().Context()
	if err := p.signOut(c); err != nil {
		return err
	}
	secret := oauth.NewSecret()
	if err := p.DB.SaveSession(ctx, &storage.Session{Hash: oauth.Hash(secret), UserID: u.ID, ExpiresAt: p.DB.Now().UTC().Add(sessionLife)}); err != nil {
		return err
	}
	c.SetCookie(p.cookie(secret, sessionLife))
	return nil
}

// signOut ends the session of this browser, on this node too.
func (p *Pages) signOut(c echo.Context) error {
	cookie, err := c.Request().Cookie(p.cookieName())
	if err != nil {
		return nil
	}
	c.SetCookie(p.cookie("", -time.Second))
	return p.DB.DeleteSession(c.Request().Context(), oauth.Hash(cookie.Value))
}

var (
	errSignIn  = errors.New("the name and the password do not belong together")
	errTooMany = errors.New("too many tries for this name")
)

// checkSignIn finds the person of a name (or address) and a password. It takes the same time whether the name exists (security.md SES 228).
func (p *Pages) checkSignIn(ctx context.Context, name, password string) (*storage.User, error) {
	name = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(name), "@"))
	if at := strings.TrimSuffix(name, "@"+strings.ToLower(p.Node.Host)); at != name {
		name = at
	}
	if !p.tries.take(name, p.DB.Now()) {
		return nil, errTooMany
	}
	find := p.DB.UserByName
	if strings.Contains(name, "@") {
		find = p.DB.UserByEmail
	}
	u, err := find(ctx, name)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	hash, failed := p.nobody()
	if failed != nil {
		return nil, failed
	}
	known := err == nil && u.PasswordHash != ""
	if known {
		hash = u.PasswordHash
	}
	if storage.CheckPassword(hash, password) != nil || !known {
		return nil, errSignIn
	}
	a, err := p.DB.ActorByID(ctx, u.ActorID)
	if err != nil {
		return nil, err
	}
	if u.SuspendedAt != nil || a.SuspendedAt != nil || a.DeletedAt != nil {
		return nil, errSignIn
	}
	p.tries.forget(name)
	return u, nil
}

// takeSignIn reads a name and a password. Who is who she says begins a session and goes on; else the form is shown again.
func (p *Pages) takeSignIn(c echo.Context, show func(status int, f signInPage) error, on func() error) error {
	form := c.Request().PostForm
	u, err := p.checkSignIn(c.Request().Context(), form.Get("name"), form.Get("password"))
	switch {
	case errors.Is(err, errSignIn):
		return show(http.StatusUnprocessableEntity, signInPage{Name: form.Get("name"), Problem: "This name and this password do not belong together. Look at both again."})
	case errors.Is(err, errTooMany):
		for name, value := range triesLater(p.DB.Now()) {
			c.Response().Header().Set(name, value)
		}
		return show(http.StatusTooManyRequests, signInPage{Name: form.Get("name"), Problem: "There were too many tries for this name. Wait some minutes, then try again."})
	case err != nil:
		return err
	}
	if err := p.signIn(c, u); err != nil {
		return err
	}
	return on()
}

// member finds who is signed in, for a page that people of this node see. With nil it has answered: it has asked her who she is, or taken her word and shown the same page anew. A form
// of another session or page is refused.
func (p *Pages) member(c echo.Context) (*visitor, error) {
	c.Response().Header().Set("Cache-Control", "no-store")
	show := func(status int, f signInPage) error {
		return p.render(c, status, "signin", view{Title: "Sign in", NoIndex: true, Body: f})
	}
	if c.Request().Method == http.MethodPost && c.Request().PostForm.Get("do") == "signin" {
		return nil, p.takeSignIn(c, show, func() error { return c.Redirect(http.StatusSeeOther, c.Request().URL.RequestURI()) })
	}
	v, err := p.visitor(c)
	switch {
	case err != nil:
		return nil, err
	case v == nil:
		return nil, show(http.StatusUnauthorized, signInPage{})
	case c.Request().Method == http.MethodPost && subtle.ConstantTimeCompare([]byte(c.Request().PostForm.Get("ticket")), []byte(formTicket(c, v))) != 1:
		return nil, echo.NewHTTPError(http.StatusForbidden)
	}
	return v, nil
}

// formTicket binds the forms of a page to the session that it was shown in.
func formTicket(c echo.Context, v *visitor) string {
	return oauth.Hash("form\n" + v.secret + "\n" + c.Request().URL.Path)
}

// sides are the parties of something as whom somebody may look at it: herself, and co-ops of which she is a member. ErrNotFound when she is none.
func (p *Pages) sides(c echo.Context, v *visitor, parties ...storage.IRI) (out []*storage.Actor, err error) {
	for _, iri := range parties {
		a, err := p.DB.ActorByIRI(c.Request().Context(), iri)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var no *activitypub.Problem
		if !a.Local() {
			continue
		} else if err := p.Node.May(c.Request().Context(), activitypub.By{User: v.user, Actor: a}, "inside"); err == nil {
			out = append(out, a)
		} else if !errors.As(err, &no) {
			return nil, err
		}
	}
	if out == nil {
		return nil, storage.ErrNotFound
	}
	return out, nil
}

// chosen is the side as whom she looks, and the other one when that is hers, too: the one that she has asked for (?as=), or the first.
func chosen(c echo.Context, sides []*storage.Actor) (as, instead *storage.Actor) {
	if len(sides) == 1 {
		return sides[0], nil
	}
	if c.QueryParam("as") == sides[1].ID.String() {
		return sides[1], sides[0]
	}
	return sides[0], sides[1]
}

// tries bounds how often somebody may be guessed at: burst times, then once every pause. Nobody is locked out for longer than that.
type tries struct {
	mu   sync.Mutex
	last map[string]time.Time // when the bucket of a name was empty; touched under mu
}

const (
	triesBurst = 20
	triesPause = 2 * time.Minute
	maxTried   = 10_000
)

func (t *tries) take(name string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last = map[string]time.Time{}
	}
	full := now.Add(-triesBurst * triesPause)
	at, known := t.last[name]
	if !known || at.Before(full) {
		at = full
	}
	if at = at.Add(triesPause); at.After(now) {
		return false
	}
	if !known && len(t.last) >= maxTried {
		for other, used := range t.last {
			if used.Before(full) || len(t.last) >= maxTried {
				delete(t.last, other)
			}
		}
	}
	t.last[name] = at
	return true
}

// triesLater are the headers that say to a program when to come again.
func triesLater(now time.Time) map[string]string {
	return map[string]string{"Retry-After": strconv.Itoa(int(triesPause / time.Second)), "X-RateLimit-Limit": strconv.Itoa(triesBurst), "X-RateLimit-Remaining": "0",
		"X-RateLimit-Reset": now.Add(triesPause).UTC().Format("2006-01-02T15:04:05.000Z")}
}

func (t *tries) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.last, name)
}
