package mastodon

import "planet/storage"

func (a *API) domainBlocks(c *call) error {
	p := c.page(100, 200)
	rows, err := a.DB.DomainBlocks(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	rows = paged(a, c, p, rows, func(b *storage.DomainBlock) storage.ID { return b.ID })
	out := []string{}
	for i := range rows {
		out = append(out, rows[i].Domain)
	}
	return c.ok(out)
}

func (a *API) blockDomain(c *call) error {
	if c.form.Text("domain") == "" {
		return invalid("Domain can't be blank")
	}
	if err := a.Node.BlockDomain(c.ctx, c.by(), c.form.Text("domain")); err != nil {
		return err
	}
	return a.nothing(c)
}

func (a *API) unblockDomain(c *call) error {
	if c.form.Text("domain") == "" {
		return invalid("Domain can't be blank")
	}
	if err := a.Node.UnblockDomain(c.ctx, c.by(), c.form.Text("domain")); err != nil && !isNotFound(err) {
		return err
	}
	return a.nothing(c)
}
