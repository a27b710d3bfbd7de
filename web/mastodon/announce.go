package mastodon

import "planet/storage"

func (a *API) rebloggedBy(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	page := c.page(40, 80)
	rows, err := a.DB.BoostsOf(c.ctx, p.ID, page)
	if err != nil {
		return err
	}
	rows = paged(a, c, page, rows, func(b *storage.Post) storage.ID { return b.ID })
	return a.people(c, about(rows, func(b *storage.Post) storage.ID { return b.ActorID }))
}

// reblog answers with the post that shares.
func (a *API) reblog(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	b, err := a.Node.Boost(c.ctx, c.by(), id, c.form.Text("visibility"))
	if err != nil {
		return err
	}
	return a.shown(c, b.ID)
}

func (a *API) unreblog(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return gone(a.Node.Unboost(c.ctx, c.by(), id)) })
}
