package pages

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
	"planet/storage"
)

type interactPage struct {
	Address string // as it came, for people to copy
	Link    string // the same, when it may be a link
}

// interact is where other servers send our members, to follow or answer something with the account that they have here.
// Nobody is signed in on pages yet: the page says what to do, and nothing is fetched (security.md FET 94).
func (p *Pages) interact(c echo.Context) error {
	address := c.QueryParam("uri")
	if address == "" {
		address = c.QueryParam("acct")
	}
	address = strings.TrimSpace(address)
	if address == "" || len(address) > 2048 || strings.ContainsFunc(address, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return &activitypub.Problem{Status: http.StatusBadRequest, Code: "uri", Detail: "The address of what you want to follow or answer is missing."}
	}
	body := interactPage{Address: strings.TrimPrefix(address, "acct:"), Link: webAddress(address)}
	return p.render(c, http.StatusOK, "interact", view{Title: "Follow or reply", NoIndex: true, Body: body})
}

type continuePage struct {
	Host    string
	Link    string // https://host/authorize_interaction?uri=…
	Back    string
	Address string // what the visitor can paste into her server's search
	Follow  bool   // an actor, not a post
	Handle  string // as it was typed
	Problem string // what is wrong with it
	About   string // name or beginning of what it is about
	IRI     string
}

// continueElsewhere brings a visitor to her own server, where she can follow or answer. The way there is computed from the
// handle that she gives, without asking anyone: an anonymous visitor makes this node fetch nothing (security.md FET 95). She
// goes by a link on a page that names the host: a redirect could send people anywhere, and form-action forbids it.
func (p *Pages) continueElsewhere(c echo.Context) error {
	body, err := p.interaction(c, storage.IRI(c.FormValue("uri")))
	if err != nil {
		return err
	}
	body.Handle = strings.TrimSpace(c.FormValue("handle"))
	host, wrong := serverOf(body.Handle, p.Origin)
	status := http.StatusOK
	if wrong != "" {
		status, body.Problem = http.StatusUnprocessableEntity, wrong
	} else {
		body.Host = host
		body.Link = schemeFor(host, p.Origin) + "://" + host + "/authorize_interaction?uri=" + url.QueryEscape(body.IRI)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return p.render(c, status, "continue", view{Title: "Continue on your server", NoIndex: true, Body: body})
}

// interaction finds the actor or post of this node that a visitor wants to follow or answer.
func (p *Pages) interaction(c echo.Context, iri storage.IRI) (continuePage, error) {
	ctx := c.Request().Context()
	if iri == "" {
		return continuePage{}, storage.ErrNotFound
	}
	a, err := p.DB.ActorByIRI(ctx, iri)
	if err == nil {
		if !a.Local() || !visible(a) {
			return continuePage{}, storage.ErrNotFound
		}
		card := p.profileCard(a)
		return continuePage{IRI: string(iri), Follow: true, Back: card.Page, About: card.Name, Address: card.Handle}, nil
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return continuePage{}, err
	}
	post, err := p.DB.PostByIRI(ctx, iri)
	if err != nil {
		return continuePage{}, err
	}
	author, err := p.DB.ActorByID(ctx, post.ActorID)
	if err != nil {
		return continuePage{}, err
	}
	if !readable(post) || !author.Local() || !visible(author) {
		return continuePage{}, storage.ErrNotFound
	}
	card := p.postCard(*post, author)
	return continuePage{IRI: string(iri), Back: card.Page, About: excerpt(post, 80), Address: p.Origin + card.Page}, nil
}

// hostNames are DNS names of two parts or more whose last is no number (so no address), with an optional port.
var hostNames = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?(:[1-9][0-9]{0,4})?$`)

// serverOf reads the host of somebody's handle: @name@host, name@host, a profile's address, or the host alone. Names that
// are not for the public internet are refused, unless this node itself lives on such a one.
// wrong tells the visitor what she typed wrong, "" when nothing.
func serverOf(handle, origin string) (host, wrong string) {
	host = strings.ToLower(handle)
	if rest, ok := strings.CutPrefix(host, "https://"); ok {
		host, _, _ = strings.Cut(rest, "/")
	} else {
		host = strings.TrimPrefix(host, "acct:")
		host = host[strings.LastIndex(host, "@")+1:]
	}
	host = strings.TrimSuffix(host, ".")
	port := 0
	if _, p, ok := strings.Cut(host, ":"); ok {
		port, _ = strconv.Atoi(p)
	}
	switch {
	case host == "":
		return "", "Type your address on your server, such as @you@example.social."
	case host == hostOf(origin):
		return host, ""
	case isASCII(host) && hostNames.MatchString(host) && len(host) <= 253 && port <= math.MaxUint16 && (!local(host) || local(hostOf(origin))):
		return host, ""
	case !isASCII(host):
		return "", "Write the name of your server with the letters a to z: a name such as münchen.example is xn--mnchen-3ya.example there."
	default:
		return "", "That does not look like an address on a server, such as @you@example.social."
	}
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 126 })
}

// local reports whether a host name has a meaning inside a machine or a network only (RFC 6761, RFC 6762, RFC 8375).
func local(host string) bool {
	name, _, _ := strings.Cut(host, ":")
	for _, zone := range []string{"localhost", "local", "internal", "home.arpa", "lan", "onion"} {
		if name == zone || strings.HasSuffix(name, "."+zone) {
			return true
		}
	}
	return false
}

// schemeFor is https, but for names of this machine when this node itself is tried out there over http.
func schemeFor(host, origin string) string {
	if strings.HasPrefix(origin, "http://") && local(host) {
		return "http"
	}
	return "https"
}
