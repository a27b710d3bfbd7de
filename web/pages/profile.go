package pages

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"planet/storage"
)

// principles are those of the Statement on the Cooperative Identity (International Cooperative Alliance, 1995).
var principles = map[string]string{
	"1": "Voluntary and open membership",
	"2": "Democratic member control",
	"3": "Member economic participation",
	"4": "Autonomy and independence",
	"5": "Education, training and information",
	"6": "Cooperation among co-operatives",
	"7": "Concern for community",
}

// profileCard is an actor as lists show one.
type profileCard struct {
	Name, Handle, Page string // Page is where a person reads more: here, or where the actor lives
	Kind               string // "Co-op", "Person", …
	Place, Category    string
	Picture, Alt       string // address on this node, or ""
	Blurb              string // the summary's beginning, plain
}

func (p *Pages) profileCard(a *storage.Actor) profileCard {
	card := profileCard{Name: a.Name, Handle: a.Handle(p.Node.Host), Page: p.actorPage(a), Kind: kindOf(a), Place: a.Place, Category: a.Category,
		Picture: p.Node.MediaURL(a.IconURL), Alt: a.IconAlt, Blurb: clip(plain(a.Summary), 160)}
	if card.Name == "" {
		card.Name = a.Username
	}
	return card
}

func kindOf(a *storage.Actor) string {
	switch a.Type {
	case storage.Organization:
		return "Co-op"
	case storage.Group:
		return "Group"
	case storage.Person:
		return "Person"
	default:
		return "Service"
	}
}

// visible reports whether an actor is shown to visitors.
func visible(a *storage.Actor) bool { return a.DeletedAt == nil && a.SuspendedAt == nil }

// actorPage is where a person reads about an actor: "" when that is nowhere we would send anyone.
func (p *Pages) actorPage(a *storage.Actor) string {
	if a.Local() {
		return "/@" + a.Username
	}
	if a.URL != "" {
		return webAddress(a.URL)
	}
	return webAddress(string(a.IRI))
}

// webAddress lets http and https through, and no other scheme.
func webAddress(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" { // a user's name looks like a host
		return ""
	}
	return s
}

// hostOf is the host of an address, for people to see where a link leads.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

type profilePage struct {
	Actor      *storage.Actor
	Card       profileCard
	Header     string // picture on this node, or ""
	Summary    template.HTML
	Fields     []field
	Links      []storage.Link
	Principles []principle
	MovedTo    string
	Offers     []offerCard // what is open, the newest
	MoreOffers bool
	Pinned     []postCard
	Posts      []postCard
	Newest     bool
	Older      string
	Followers  int64
	Said       int64
	Members    int64 // of a co-op
}

type field struct {
	Name  string
	Value template.HTML
}

type principle struct{ Number, Name string }

// Profile is the page of an actor of this node.
func (p *Pages) Profile(c echo.Context) error {
	ctx := c.Request().Context()
	a, err := p.speaker(c)
	if err != nil {
		return err
	}
	from, err := before(c)
	if err != nil {
		return err
	}
	body := profilePage{Actor: a, Card: p.profileCard(a), Header: p.Node.MediaURL(a.HeaderURL), Summary: safeHTML(a.Summary), Newest: from.MaxID == 0, MovedTo: webAddress(string(a.MovedTo))}
	for _, f := range a.Fields {
		body.Fields = append(body.Fields, field{f.Name, safeHTML(f.Value)})
	}
	for _, l := range a.Links {
		if webAddress(l.URL) != "" {
			body.Links = append(body.Links, l)
		}
	}
	for _, n := range a.Principles {
		if name := principles[n]; name != "" {
			body.Principles = append(body.Principles, principle{n, name})
		}
	}
	posts, err := p.DB.PostsBy(ctx, a.ID, forAnyone, from)
	if err != nil {
		return err
	}
	posts, body.Older = older(c, posts)
	if body.Newest {
		if err := p.addMarket(ctx, &body); err != nil {
			return err
		}
	}
	if body.Newest { // what is pinned stands on top, and not a second time below
		pinned, err := p.DB.Pinned(ctx, a.ID, forAnyone)
		if err != nil {
			return err
		}
		if body.Pinned, err = p.postCards(ctx, pinned); err != nil {
			return err
		}
		for i := range body.Pinned {
			body.Pinned[i].Pinned = true
		}
		posts = slices.DeleteFunc(posts, func(post storage.Post) bool {
			return slices.ContainsFunc(pinned, func(q storage.Post) bool { return q.ID == post.ID })
		})
	}
	if body.Posts, err = p.postCards(ctx, posts); err != nil {
		return err
	}
	if body.Followers, err = p.DB.CountFollowers(ctx, a.ID); err != nil {
		return err
	}
	if body.Said, err = p.DB.CountPosts(ctx, a.ID); err != nil {
		return err
	}
	if a.Type == storage.Organization {
		members, err := p.DB.Members(ctx, a.ID)
		if err != nil {
			return err
		}
		people := map[storage.ID]bool{}
		for _, m := range members {
			if m.Role != storage.RoleObserver {
				people[m.UserID] = true
			}
		}
		body.Members = int64(len(people))
	}
	v := view{Title: body.Card.Name + " (" + body.Card.Handle + ")", Description: clip(plain(a.Summary), 200), Canonical: p.Origin + body.Card.Page,
		Alternate: string(a.IRI), Kind: "profile", Image: body.Card.Picture, Creator: body.Card.Handle, NoIndex: !a.Discoverable || !body.Newest, Body: body}
	if v.Description == "" {
		v.Description = body.Card.Name + " on " + p.Node.Host
	}
	return p.render(c, http.StatusOK, "profile", v)
}

// addMarket shows what an actor offers and looks for.
func (p *Pages) addMarket(ctx context.Context, body *profilePage) error {
	offers, err := p.DB.OffersOf(ctx, body.Actor.ID, false, storage.Page{Limit: 100})
	if err != nil {
		return err
	}
	now := p.DB.Now()
	offers = slices.DeleteFunc(offers, func(o storage.Offer) bool { return !o.Open(now) })
	if body.MoreOffers = len(offers) > offersOnProfile; body.MoreOffers {
		offers = offers[:offersOnProfile]
	}
	body.Offers, err = p.offerCards(ctx, offers)
	return err
}

// speaker finds the actor that a page is about; those of the node itself have no page.
func (p *Pages) speaker(c echo.Context) (*storage.Actor, error) {
	a, err := p.DB.LocalActor(c.Request().Context(), c.Param("name"))
	if err != nil {
		return nil, err
	}
	if !visible(a) || a.Type == storage.Application || a.Type == storage.Service {
		return nil, storage.ErrNotFound
	}
	return a, nil
}
