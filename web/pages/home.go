package pages

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"planet/storage"
)

// coopsOnHome is how many co-ops the home shows.
const coopsOnHome = 60

type homePage struct {
	Coops        []profileCard
	MoreCoops    int
	Offers       []offerCard // the newest, also of what is asked for
	Posts        []postCard
	Newest       bool   // the first page of posts
	Older        string // address of the next page, "" when there is none
	People, Said int64
}

// home is the node itself: what it is, its co-ops, what they say, how to join.
func (p *Pages) home(c echo.Context) error {
	ctx := c.Request().Context()
	from, err := before(c)
	if err != nil {
		return err
	}
	var body homePage
	body.Newest = from.MaxID == 0
	coops, err := p.DB.LocalActors(ctx, storage.Organization)
	if err != nil {
		return err
	}
	for i := range coops {
		switch {
		case coops[i].SuspendedAt != nil || !coops[i].Discoverable:
		case len(body.Coops) == coopsOnHome:
			body.MoreCoops++
		default:
			body.Coops = append(body.Coops, p.profileCard(&coops[i]))
		}
	}
	if body.Newest {
		offers, err := p.DB.Market(ctx, storage.Market{Page: storage.Page{Limit: offersOnHome}})
		if err != nil {
			return err
		}
		if body.Offers, err = p.offerCards(ctx, offers); err != nil {
			return err
		}
	}
	posts, err := p.DB.LocalTimeline(ctx, from)
	if err != nil {
		return err
	}
	if posts, body.Older = older(c, posts); body.Older != "" {
		body.Older += "#said"
	}
	if body.Posts, err = p.postCards(ctx, posts); err != nil {
		return err
	}
	if body.People, err = p.DB.CountUsers(ctx); err != nil {
		return err
	}
	if body.Said, err = p.DB.CountLocalPosts(ctx); err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "home", view{Description: p.describe(), Canonical: p.Origin + "/", NoIndex: !body.Newest, Body: body})
}

// describe says what the node is, in its own words if it has some.
func (p *Pages) describe() string {
	if p.Node.Description != "" {
		return p.Node.Description
	}
	return "A node run by co-ops and their members, and part of the fediverse: follow them from Mastodon and many other places."
}

type aboutPage struct {
	Staff               []profileCard
	Coops, People, Said int64
}

// about is the page for whoever wants to know who runs this, and by what rules it speaks with others.
func (p *Pages) about(c echo.Context) error {
	ctx := c.Request().Context()
	var body aboutPage
	users, err := p.DB.Users(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.Role != storage.NodeOwner && u.Role != storage.NodeAdmin || u.SuspendedAt != nil {
			continue
		}
		a, err := p.DB.ActorByID(ctx, u.ActorID)
		if err != nil {
			return err
		}
		if visible(a) {
			body.Staff = append(body.Staff, p.profileCard(a))
		}
	}
	coops, err := p.DB.LocalActors(ctx, storage.Organization)
	if err != nil {
		return err
	}
	body.Coops = int64(len(coops))
	if body.People, err = p.DB.CountUsers(ctx); err != nil {
		return err
	}
	if body.Said, err = p.DB.CountLocalPosts(ctx); err != nil {
		return err
	}
	return p.render(c, http.StatusOK, "about", view{Title: "About this node", Description: p.describe(), Canonical: p.Origin + "/about", Body: body})
}
