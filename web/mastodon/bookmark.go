package mastodon

import "planet/storage"

func (a *API) bookmark(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return nil, a.Node.Bookmark(c.ctx, c.by(), id, true) })
}

func (a *API) unbookmark(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) {
		return gone(nil, a.Node.Bookmark(c.ctx, c.by(), id, false))
	})
}

func (a *API) bookmarks(c *call) error {
	p := c.page(20, 40)
	rows, err := a.DB.Bookmarks(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	rows = paged(a, c, p, rows, func(b *storage.Bookmark) storage.ID { return b.ID })
	return a.collected(c, about(rows, func(b *storage.Bookmark) storage.ID { return b.PostID }))
}
