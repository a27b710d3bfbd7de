// Package oauth lets apps act for people: OAuth 2.0 (RFC 6749) with PKCE (RFC 7636) as the Mastodon API has it, revocation (RFC 7009) and server metadata
// (RFC 8414). The page on which a person says yes is web/pages/authorize.go.
//
// A token is a person as an actor: herself, or a co-op in which a role of hers lets her post. It ends with the role. Neither codes nor tokens nor secrets are kept,
// only their SHA-256.
package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"planet/storage"
)

// OutOfBand is the redirect address of an app that is told the code by its user.
const OutOfBand = "urn:ietf:wg:oauth:2.0:oob"

const (
	codeLife  = 10 * time.Minute
	maxForm   = 64 << 10
	maxName   = 200
	maxURI    = 2000
	maxURIs   = 20
	minVerify = 43 // RFC 7636 §4.1
	maxVerify = 128
)

// Error is an answer in the words of RFC 6749 §5.2.
type Error struct {
	Status      int
	Code        string
	Description string
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }

func refuse(status int, code, description string) *Error { return &Error{status, code, description} }

// Server answers the protocol.
type Server struct {
	DB     *storage.DB
	Origin string
	// VapidKey is the key by which push services know the node, in base64url.
	VapidKey string
	// MaySpeak reports whether a user may act as an actor now.
	MaySpeak func(ctx context.Context, user *storage.User, actor *storage.Actor) (bool, error)
}

// Register adds the routes.
func (s *Server) Register(e *echo.Echo) {
	e.POST("/api/v1/apps", s.createApp)
	e.GET("/api/v1/apps/verify_credentials", s.verifyApp)
	e.POST("/oauth/token", s.token)
	e.POST("/oauth/revoke", s.revoke)
	e.GET("/.well-known/oauth-authorization-server", s.metadata)
	e.Match([]string{http.MethodGet, http.MethodPost}, "/oauth/userinfo", s.userinfo)
}

// NewSecret draws what nobody guesses: 256 bits, base64url.
func NewSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Hash is what is kept of a secret: hexadecimal SHA-256.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// checkRedirect says what is wrong with an address to which codes are to go: https, http on the person's own machine alone (or where the node itself has no https), or a scheme of
// the app's own.
func (s *Server) checkRedirect(text string) error {
	if text == OutOfBand {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURI || u.Scheme == "" || u.Fragment != "" || strings.Contains(text, "#") || u.User != nil || strings.ContainsAny(text, " \t\r\n\\") {
		return refuse(http.StatusUnprocessableEntity, "invalid_redirect_uri", "a redirect_uri is a complete address without fragment or user: "+text)
	}
	switch scheme := strings.ToLower(u.Scheme); {
	case scheme == "https" || scheme == "http":
		if u.Host == "" {
			return refuse(http.StatusUnprocessableEntity, "invalid_redirect_uri", "the redirect_uri has no host: "+text)
		}
		if scheme == "http" && !loopback(u.Hostname()) && strings.HasPrefix(s.Origin, "https://") {
			return refuse(http.StatusUnprocessableEntity, "invalid_redirect_uri", "a code does not travel in plain text: the redirect_uri takes https: "+text)
		}
	case slices.Contains([]string{"javascript", "data", "file", "blob", "about", "vbscript", "view-source", "filesystem", "jar", "ws", "wss", "ftp", "mailto"}, scheme):
		return refuse(http.StatusUnprocessableEntity, "invalid_redirect_uri", "no code is sent to "+scheme+": addresses")
	}
	return nil
}

// loopback reports whether a host is the very machine of who asks for it.
func loopback(host string) bool {
	host = strings.ToLower(host)
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// appEntity is an app as it is told about itself.
type appEntity struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	Website      *string  `json:"website"`
	Scopes       []string `json:"scopes"`
	RedirectURIs []string `json:"redirect_uris"`
	RedirectURI  string   `json:"redirect_uri"`
	VapidKey     string   `json:"vapid_key"`
	ClientID     string   `json:"client_id,omitempty"`
	ClientSecret string   `json:"client_secret,omitempty"`
	Expires      *int     `json:"client_secret_expires_at,omitempty"`
}

func (s *Server) appToWire(a *storage.App) appEntity {
	scopes, _ := ParseScopes(a.Scopes)
	e := appEntity{VapidKey: s.VapidKey, ID: a.ID.String(), Name: a.Name, Scopes: scopes, RedirectURIs: a.RedirectURIs, RedirectURI: strings.Join(a.RedirectURIs, "\n")}
	if a.Website != "" {
		e.Website = &a.Website
	}
	return e
}

// oneLine is the name that somebody gave an app as a page can show it: without what steers the way in which lines are written.
func oneLine(name string) string {
	return strings.Join(strings.FieldsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	}), " ")
}

// createApp registers an app: POST /api/v1/apps.
func (s *Server) createApp(c echo.Context) error {
	f, err := ReadForm(c.Response(), c.Request(), maxForm)
	if err != nil {
		return err
	}
	invalid := func(text string) error {
		return refuse(http.StatusUnprocessableEntity, "Validation failed: "+text, "")
	}
	a := &storage.App{Name: oneLine(f.Text("client_name")), Website: strings.TrimSpace(f.Text("website"))}
	if a.Name == "" || len(a.Name) > maxName {
		return invalid("Application name can't be blank, nor longer than 200 bytes")
	}
	if u, err := url.Parse(a.Website); a.Website != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || len(a.Website) > maxURI) {
		return invalid("Website must be a valid URL")
	}
	for _, line := range f.List("redirect_uris") {
		a.RedirectURIs = append(a.RedirectURIs, strings.Fields(line)...)
	}
	if len(a.RedirectURIs) == 0 || len(a.RedirectURIs) > maxURIs {
		return invalid("Redirect URI can't be blank")
	}
	for _, u := range a.RedirectURIs {
		if err := s.checkRedirect(u); err != nil {
			return err
		}
	}
	text := strings.Join(f.List("scopes"), " ")
	if text == "" {
		text = "read"
	}
	scopes, ok := ParseScopes(text)
	if !ok {
		return invalid("Scopes doesn't match configured on the server.")
	}
	a.Scopes = scopes.String()
	secret := NewSecret()
	a.ClientID, a.SecretHash = NewSecret(), Hash(secret)
	if err := s.DB.SaveApp(c.Request().Context(), a); err != nil {
		return err
	}
	e, never := s.appToWire(a), 0
	e.ClientID, e.ClientSecret, e.Expires = a.ClientID, secret, &never
	return noStore(c, e)
}

func (s *Server) verifyApp(c echo.Context) error {
	who, err := s.Caller(c.Request())
	if err != nil {
		return err
	}
	if who.App == nil {
		return refuse(http.StatusUnauthorized, "The access token is invalid", "")
	}
	return noStore(c, s.appToWire(who.App))
}

func noStore(c echo.Context, v any) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	c.Response().Header().Set("Pragma", "no-cache")
	return c.JSON(http.StatusOK, v)
}

// Request is what an app asks a person for.
type Request struct {
	App         *storage.App
	RedirectURI string
	Scopes      Scopes
	State       string
	Challenge   string // of PKCE, S256; "" for none
	Login       bool   // she is to say who she is again
}

// ReadRequest reads what GET /oauth/authorize is asked with. An *Error beside a Request goes to the app; without one the address may be anybody's, and it is shown to the person
// alone (RFC 6749 §4.1.2.1).
func (s *Server) ReadRequest(ctx context.Context, q url.Values) (*Request, error) {
	app, err := s.DB.AppByClientID(ctx, q.Get("client_id"))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, refuse(http.StatusBadRequest, "invalid_client", "This node does not know the app that sent you here. Sign out in the app, and sign in again.")
	}
	if err != nil {
		return nil, err
	}
	if len(q["redirect_uri"]) > 1 || !slices.Contains(app.RedirectURIs, q.Get("redirect_uri")) {
		return nil, refuse(http.StatusBadRequest, "invalid_redirect_uri", "The app wants to be answered at an address that it has not registered.")
	}
	r := &Request{App: app, RedirectURI: q.Get("redirect_uri"), State: q.Get("state"), Challenge: q.Get("code_challenge"), Login: q.Get("force_login") == "true"}
	if q.Get("response_type") != "code" {
		return r, refuse(http.StatusBadRequest, "unsupported_response_type", "response_type has to be code")
	}
	if r.Scopes, err = within(app, q.Get("scope")); err != nil {
		return r, err
	}
	if method := q.Get("code_challenge_method"); r.Challenge != "" && method != "S256" || r.Challenge == "" && method != "" || len(r.Challenge) > maxVerify {
		return r, refuse(http.StatusBadRequest, "invalid_request", "code_challenge_method has to be S256")
	}
	return r, nil
}

// within reads the scopes that an app asks for ("": read), which have to be within those that it has registered.
func within(app *storage.App, text string) (Scopes, error) {
	if text == "" {
		text = "read"
	}
	scopes, known := ParseScopes(text)
	if registered, _ := ParseScopes(app.Scopes); !known || !registered.AllowAll(scopes) {
		return nil, refuse(http.StatusBadRequest, "invalid_scope", "the scope is unknown, or more than the app has registered")
	}
	return scopes, nil
}

// Location is where the browser goes with an answer: a code, or an error.
func (r *Request) Location(answer url.Values) string {
	if r.State != "" {
		answer.Set("state", r.State)
	}
	u, err := url.Parse(r.RedirectURI)
	if err != nil {
		return r.RedirectURI // it was read before
	}
	q := u.Query()
	for key, values := range answer {
		q[key] = values
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Grant gives an app a code, by which it acts for a user as an actor.
func (s *Server) Grant(ctx context.Context, r *Request, user *storage.User, actor *storage.Actor) (code string, err error) {
	code = NewSecret()
	return code, s.DB.SaveGrant(ctx, &storage.Grant{Hash: Hash(code), AppID: r.App.ID, UserID: user.ID, ActorID: actor.ID, RedirectURI: r.RedirectURI, Scopes: r.Scopes.String(),
		Challenge: r.Challenge})
}

// tokenEntity is a token as an app gets it.
type tokenEntity struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	Scope       string `json:"scope"`
	CreatedAt   int64  `json:"created_at"`
}

// Issue gives an app a token of somebody who has just signed up by it: what moves value is not within it, as no page has named that to her.
func (s *Server) Issue(ctx context.Context, app *storage.App, user *storage.User, actor *storage.Actor, scopes Scopes) (any, error) {
	scopes = slices.DeleteFunc(slices.Clone(scopes), func(name string) bool { return name == Payments })
	secret := NewSecret()
	t := &storage.Token{Hash: Hash(secret), AppID: app.ID, UserID: user.ID, ActorID: actor.ID, Scopes: scopes.String()}
	if err := s.DB.SaveToken(ctx, t); err != nil {
		return nil, err
	}
	return tokenEntity{secret, "Bearer", t.Scopes, t.CreatedAt.Unix()}, nil
}

// client finds the app that a request names, and whether it has shown its secret.
func (s *Server) client(c echo.Context, f *Form) (app *storage.App, proven bool, err error) {
	id, secret := f.Text("client_id"), f.Text("client_secret")
	if name, word, basic := c.Request().BasicAuth(); basic {
		if id != "" && id != name {
			return nil, false, refuse(http.StatusUnauthorized, "invalid_client", "the request names two clients")
		}
		id, secret = name, word
	}
	app, err = s.DB.AppByClientID(c.Request().Context(), id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, false, refuse(http.StatusUnauthorized, "invalid_client", "this node does not know the client")
	}
	if err != nil {
		return nil, false, err
	}
	if secret == "" {
		return app, false, nil
	}
	if subtle.ConstantTimeCompare([]byte(Hash(secret)), []byte(app.SecretHash)) != 1 {
		return nil, false, refuse(http.StatusUnauthorized, "invalid_client", "the client_secret is another one")
	}
	return app, true, nil
}

// token changes a code into a token: POST /oauth/token.
func (s *Server) token(c echo.Context) error {
	ctx := c.Request().Context()
	f, err := ReadForm(c.Response(), c.Request(), maxForm)
	if err != nil {
		return err
	}
	app, proven, err := s.client(c, f)
	if err != nil {
		return err
	}
	secret := NewSecret()
	t := &storage.Token{Hash: Hash(secret)}
	switch f.Text("grant_type") {
	case "client_credentials":
		if !proven {
			return refuse(http.StatusUnauthorized, "invalid_client", "the client_secret is missing")
		}
		scopes, err := within(app, f.Text("scope"))
		if err != nil {
			return err
		}
		t.AppID, t.Scopes = app.ID, scopes.String()
		if err := s.DB.SaveToken(ctx, t); err != nil {
			return err
		}
	case "authorization_code":
		err := s.DB.UseGrant(ctx, Hash(f.Text("code")), func(g *storage.Grant) error { return s.judge(g, app, proven, f) }, t)
		if errors.Is(err, storage.ErrNotFound) {
			return refuse(http.StatusBadRequest, "invalid_grant", "the code is unknown, or was used")
		}
		if err != nil {
			return err
		}
	default:
		return refuse(http.StatusBadRequest, "unsupported_grant_type", "grant_type is authorization_code or client_credentials")
	}
	return noStore(c, tokenEntity{secret, "Bearer", t.Scopes, t.CreatedAt.Unix()})
}

// judge says what speaks against changing a code into a token.
func (s *Server) judge(g *storage.Grant, app *storage.App, proven bool, f *Form) error {
	bad := func(why string) error { return refuse(http.StatusBadRequest, "invalid_grant", why) }
	verifier := f.Text("code_verifier")
	switch {
	case g.AppID != app.ID:
		return bad("the code was given to another client")
	case g.RedirectURI != f.Text("redirect_uri"):
		return bad("the redirect_uri is another one than that of the code")
	case s.DB.Now().Sub(g.CreatedAt) > codeLife:
		return bad("the code has expired")
	case g.Challenge == "" && verifier != "":
		return bad("there is a code_verifier and was no code_challenge")
	case g.Challenge == "" && !proven:
		return refuse(http.StatusUnauthorized, "invalid_client", "the client_secret is missing, and there was no code_challenge")
	case g.Challenge == "":
		return nil
	case len(verifier) < minVerify || len(verifier) > maxVerify:
		return bad("the code_verifier is missing, or has not 43 to 128 characters")
	}
	sum := sha256.Sum256([]byte(verifier))
	if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(strings.TrimRight(g.Challenge, "="))) != 1 {
		return bad("the code_verifier does not fit")
	}
	return nil
}

// revoke ends a token of the client that asks; of any other nothing is said (RFC 7009 §2.2).
func (s *Server) revoke(c echo.Context) error {
	f, err := ReadForm(c.Response(), c.Request(), maxForm)
	if err != nil {
		return err
	}
	app, proven, err := s.client(c, f)
	if err != nil {
		return err
	}
	if !proven {
		return refuse(http.StatusForbidden, "unauthorized_client", "You are not authorized to revoke this token")
	}
	if err := s.DB.RevokeToken(c.Request().Context(), Hash(f.Text("token")), app.ID); err != nil {
		return err
	}
	return noStore(c, struct{}{})
}

// metadata is RFC 8414's.
func (s *Server) metadata(c echo.Context) error {
	var scopes []string
	for _, top := range []string{"read", "write"} {
		scopes = append(scopes, top)
		for _, part := range narrow[top] {
			scopes = append(scopes, top+":"+part)
		}
	}
	c.Response().Header().Set("Cache-Control", "public, max-age=3600")
	return c.JSON(http.StatusOK, map[string]any{
		"issuer": s.Origin + "/", "service_documentation": s.Origin + "/about", "authorization_endpoint": s.Origin + "/oauth/authorize", "token_endpoint": s.Origin + "/oauth/token",
		"app_registration_endpoint": s.Origin + "/api/v1/apps", "revocation_endpoint": s.Origin + "/oauth/revoke", "userinfo_endpoint": s.Origin + "/oauth/userinfo",
		"scopes_supported": append(scopes, "follow", "push", "profile", Payments), "response_types_supported": []string{"code"}, "response_modes_supported": []string{"query"},
		"grant_types_supported": []string{"authorization_code", "client_credentials"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
	})
}

// userinfo is OpenID's, as far as Mastodon has it.
func (s *Server) userinfo(c echo.Context) error {
	who, err := s.Caller(c.Request())
	if err != nil {
		return err
	}
	if err := who.Need("profile"); err != nil {
		return err
	}
	a := who.Actor
	return noStore(c, map[string]any{"iss": s.Origin + "/", "sub": a.IRI, "name": a.Name, "preferred_username": a.Username, "profile": a.URL, "picture": a.IconURL})
}

// Caller is who speaks by a token: a person as an actor, or an app by itself.
type Caller struct {
	Token  *storage.Token
	App    *storage.App   // nil for a token of the command line
	User   *storage.User  // nil for an app by itself
	Actor  *storage.Actor // as whom; nil likewise
	Scopes Scopes
}

var errToken = refuse(http.StatusUnauthorized, "The access token is invalid", "")

// Caller finds who sent a request, by its Authorization header. It is asked of the database each time: what has ended has ended everywhere.
func (s *Server) Caller(r *http.Request) (*Caller, error) {
	token := Bearer(r)
	if token == "" {
		return nil, errToken
	}
	return s.CallerOf(r.Context(), token)
}

// Bearer is the token in the Authorization header of a request; "" when there is none.
func Bearer(r *http.Request) string {
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// CallerOf finds who speaks by a token.
func (s *Server) CallerOf(ctx context.Context, token string) (*Caller, error) {
	t, err := s.DB.TokenByHash(ctx, Hash(token))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, errToken
	}
	if err != nil {
		return nil, err
	}
	return s.callerOf(ctx, t)
}

// CallerByID is CallerOf for whom the token was read before: it is read again.
func (s *Server) CallerByID(ctx context.Context, token storage.ID) (*Caller, error) {
	now, err := s.DB.TokenByID(ctx, token)
	if err != nil {
		return nil, hide(err)
	}
	return s.callerOf(ctx, now)
}

func (s *Server) callerOf(ctx context.Context, t *storage.Token) (who *Caller, err error) {
	who = &Caller{Token: t}
	who.Scopes, _ = ParseScopes(t.Scopes)
	if t.AppID != 0 {
		if who.App, err = s.DB.AppByID(ctx, t.AppID); err != nil {
			return nil, hide(err)
		}
	}
	if t.UserID == 0 {
		return who, nil
	}
	if who.User, err = s.DB.UserByID(ctx, t.UserID); err != nil {
		return nil, hide(err)
	}
	if who.Actor, err = s.DB.ActorByID(ctx, t.ActorID); err != nil {
		return nil, hide(err)
	}
	if who.User.SuspendedAt != nil || who.Actor.DeletedAt != nil || who.Actor.SuspendedAt != nil {
		return nil, errToken
	}
	if who.User.ActorID == who.Actor.ID {
		return who, nil
	}
	if may, err := s.MaySpeak(ctx, who.User, who.Actor); err != nil || !may {
		return nil, errors.Join(err, errToken)
	}
	return who, nil
}

func hide(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return errToken
	}
	return err
}

// Need refuses a caller without a scope, and an app by itself.
func (w *Caller) Need(scope string) error {
	if w.User == nil {
		return refuse(http.StatusUnprocessableEntity, "This method requires an authenticated user", "")
	}
	if !w.Scopes.Allow(scope) {
		return refuse(http.StatusForbidden, "This action is outside the authorized scopes", "the token lacks "+scope)
	}
	return nil
}
