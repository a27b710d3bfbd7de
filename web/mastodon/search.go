package mastodon

import (
	"errors"
	"slices"
	"strings"

	"planet/activitypub"
	"planet/storage"
)

// searchAccounts finds people by the beginning of their names; with resolve also somebody elsewhere whom a whole handle names.
func (a *API) searchAccounts(c *call) error {
	found, err := a.findAccounts(c, c.form.Text("q"), min(max(c.form.Int("limit", 40), 1), 80), c.form.Bool("resolve", false))
	if err != nil {
		return err
	}
	return c.ok(found)
}

func (a *API) findAccounts(c *call, q string, limit int, resolve bool) ([]*Account, error) {
	q = strings.TrimSpace(q)
	if q == "" {
		return []*Account{}, nil
	}
	var actors []*storage.Actor
	whole := strings.Count(strings.TrimPrefix(q, "@"), "@") == 1 || strings.HasPrefix(q, "https://") || strings.HasPrefix(q, "http://")
	if whole && resolve && c.who != nil {
		x, err := a.Node.Resolve(c.ctx, q)
		var p *activitypub.Problem
		var invalid *activitypub.InvalidError
		var fetch *activitypub.FetchError
		switch {
		case err == nil:
			actors = append(actors, x)
		case isNotFound(err), errors.As(err, &p), errors.As(err, &invalid), errors.As(err, &fetch):
		default:
			return nil, err
		}
	}
	following := storage.ID(0)
	if c.form.Bool("following", false) && c.who != nil {
		following = c.who.Actor.ID
	}
	more, err := a.DB.SearchActors(c.ctx, strings.TrimPrefix(q, "@"), following, c.form.Int("offset", 0), limit)
	if err != nil {
		return nil, err
	}
	for i := range more {
		if len(actors) == 0 || actors[0].ID != more[i].ID {
			actors = append(actors, &more[i])
		}
	}
	if c.who != nil { // those of domains that she blocks are found by their whole name alone
		blocked, err := a.DB.DomainBlocked(c.ctx, c.who.Actor.ID, about(more, func(x *storage.Actor) storage.ID { return x.ID })...)
		if err != nil {
			return nil, err
		}
		actors = slices.DeleteFunc(actors, func(x *storage.Actor) bool { return blocked[x.ID] && !(whole && resolve) })
	}
	return a.accounts(c.ctx, actors[:min(len(actors), limit)])
}

// search finds people, posts and hashtags. With resolve an address is looked up, here or where it leads: that is how clients open a link.
func (a *API) search(c *call) error {
	q, kind := strings.TrimSpace(c.form.Text("q")), c.form.Text("type")
	limit := min(max(c.form.Int("limit", 20), 1), 40)
	resolve := c.form.Bool("resolve", false)
	accounts, statuses, tags := []*Account{}, []*Status{}, []Tag{}
	address := strings.HasPrefix(q, "https://") || strings.HasPrefix(q, "http://")
	if address && (kind == "" || kind == "statuses") && c.who != nil {
		p, err := a.found(c, q, resolve)
		if err != nil && !isNotFound(err) {
			return err
		}
		if err == nil {
			e, err := a.statusOf(c.ctx, c.reader(), p)
			if err != nil && !isNotFound(err) {
				return err
			}
			if err == nil {
				statuses = append(statuses, e)
			}
		}
	}
	if (kind == "" || kind == "accounts") && q != "" && len(statuses) == 0 {
		found, err := a.findAccounts(c, q, limit, resolve)
		if err != nil {
			return err
		}
		accounts = found
	}
	if (kind == "" || kind == "hashtags") && !address && !strings.ContainsAny(q, "@ ") && q != "" {
		names, err := a.DB.SearchTags(c.ctx, strings.ToLower(strings.TrimPrefix(q, "#")), limit)
		if err != nil {
			return err
		}
		for _, name := range names {
			tags = append(tags, a.tag(name))
		}
	}
	return c.ok(map[string]any{"accounts": accounts, "statuses": statuses, "hashtags": tags})
}

// found is the post of an address: of ours, of an offer of ours, or, with resolve, elsewhere.
func (a *API) found(c *call, address string, resolve bool) (*storage.Post, error) {
	if o, err := a.DB.OfferByIRI(c.ctx, storage.IRI(address)); err == nil {
		p, _, err := a.Node.ReadPost(c.ctx, c.reader(), o.PostID)
		return p, err
	} else if !isNotFound(err) {
		return nil, err
	}
	if !resolve && !strings.HasPrefix(address, a.Origin+"/") {
		p, err := a.DB.PostByIRI(c.ctx, storage.IRI(address))
		if err != nil {
			return nil, err
		}
		p, _, err = a.Node.ReadPost(c.ctx, c.reader(), p.ID)
		return p, err
	}
	p, err := a.Node.ResolvePost(c.ctx, c.by(), address)
	var problem *activitypub.Problem
	var wrong *activitypub.InvalidError
	var fetch *activitypub.FetchError
	if errors.As(err, &problem) || errors.As(err, &wrong) || errors.As(err, &fetch) {
		return nil, storage.ErrNotFound
	}
	return p, err
}
