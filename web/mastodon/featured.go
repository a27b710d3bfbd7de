package mastodon

import "planet/storage"

func (a *API) pin(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return nil, a.Node.Pin(c.ctx, c.by(), id) })
}

func (a *API) unpin(c *call) error {
	return a.acted(c, func(id storage.ID) (*storage.Post, error) { return gone(nil, a.Node.Unpin(c.ctx, c.by(), id)) })
}
