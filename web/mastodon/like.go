package mastodon

import "planet/storage"

func (a *API) favouritedBy(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	page := c.page(40, 80)
	rows, err := a.DB.LikesOf(c.ctx, p.ID, page)
	if err != nil {
		return err
	}
	rows = paged(a, c, page, rows, func(l *storage.Like) storage.ID { return l.ID })
	return a.people(c, about(rows, func(l *storage.Like) storage.ID { return l.ActorID }))
}

func (a *API) favourite(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return a.Node.Like(c.ctx, c.by(), id) })
}

func (a *API) unfavourite(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return gone(a.Node.Unlike(c.ctx, c.by(), id)) })
}

func (a *API) favourites(c *call) error {
	p := c.page(20, 40)
	rows, err := a.DB.LikesBy(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	rows = paged(a, c, p, rows, func(l *storage.Like) storage.ID { return l.ID })
	return a.collected(c, about(rows, func(l *storage.Like) storage.ID { return l.PostID }))
}
