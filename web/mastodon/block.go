package mastodon

import "planet/storage"

func (a *API) block(c *call) error {
	return a.toward(c, func(whom string) error { _, err := a.Node.Block(c.ctx, c.by(), whom); return err })
}

func (a *API) unblock(c *call) error {
	return a.toward(c, func(whom string) error {
		if _, err := a.Node.Unblock(c.ctx, c.by(), whom); !isNotFound(err) {
			return err
		}
		return nil
	})
}

func (a *API) mute(c *call) error {
	lasts := seconds(c.form.Text("duration"))
	return a.toward(c, func(whom string) error { _, err := a.Node.Mute(c.ctx, c.by(), whom, lasts); return err })
}

func (a *API) unmute(c *call) error {
	return a.toward(c, func(whom string) error {
		if _, err := a.Node.Unmute(c.ctx, c.by(), whom); !isNotFound(err) {
			return err
		}
		return nil
	})
}

func (a *API) blocks(c *call) error {
	p := c.page(40, 80)
	rows, err := a.DB.Blocks(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	rows = paged(a, c, p, rows, func(b *storage.Block) storage.ID { return b.ID })
	return a.people(c, about(rows, func(b *storage.Block) storage.ID { return b.TargetID }))
}

func (a *API) mutes(c *call) error {
	p := c.page(40, 80)
	rows, err := a.DB.Mutes(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	rows = paged(a, c, p, rows, func(m *storage.Mute) storage.ID { return m.ID })
	return a.people(c, about(rows, func(m *storage.Mute) storage.ID { return m.TargetID }))
}

func (a *API) hears(c *call, mute bool) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	if p.Conversation != "" {
		if err := a.DB.MuteConversation(c.ctx, c.who.Actor.ID, p.Conversation, mute); err != nil {
			return err
		}
	}
	return a.shown(c, p.ID)
}

func (a *API) muteThread(c *call) error { return a.hears(c, true) }

func (a *API) unmuteThread(c *call) error { return a.hears(c, false) }
