package mastodon

import "planet/storage"

// relations lists who follows the account in the path, or whom it follows.
func (a *API) relations(c *call, followers bool) error {
	x, err := a.target(c)
	if err != nil {
		return err
	}
	p := c.page(40, 80)
	list := a.DB.Following
	if followers {
		list = a.DB.Followers
	}
	rows, err := list(c.ctx, x.ID, storage.FollowAccepted, p)
	if err != nil {
		return err
	}
	rows = paged(a, c, p, rows, func(f *storage.Follow) storage.ID { return f.ID })
	return a.people(c, about(rows, func(f *storage.Follow) storage.ID {
		if followers {
			return f.ActorID
		}
		return f.TargetID
	}))
}

func (a *API) followers(c *call) error { return a.relations(c, true) }

func (a *API) following(c *call) error { return a.relations(c, false) }

func (a *API) follow(c *call) error {
	return a.toward(c, func(whom string) error {
		f, err := a.Node.Follow(c.ctx, c.by(), whom)
		if err != nil || !c.form.Has("reblogs") && !c.form.Has("notify") {
			return err
		}
		w, err := a.DB.FollowWishOf(c.ctx, c.who.Actor.ID, f.TargetID)
		if err != nil {
			return err
		}
		w.NoBoosts, w.Notify = !c.form.Bool("reblogs", !w.NoBoosts), c.form.Bool("notify", w.Notify)
		return a.DB.SaveFollowWish(c.ctx, w)
	})
}

func (a *API) unfollow(c *call) error {
	return a.toward(c, func(whom string) error {
		if err := a.Node.Unfollow(c.ctx, c.by(), whom); !isNotFound(err) {
			return err
		}
		return nil
	})
}

func (a *API) removeFollower(c *call) error {
	return a.toward(c, func(whom string) error {
		if _, err := a.Node.AnswerFollow(c.ctx, c.by(), whom, false); !isNotFound(err) {
			return err
		}
		return nil
	})
}

func (a *API) followRequests(c *call) error {
	p := c.page(40, 80)
	rows, err := a.DB.Followers(c.ctx, c.who.Actor.ID, storage.FollowPending, p)
	if err != nil {
		return err
	}
	rows = paged(a, c, p, rows, func(f *storage.Follow) storage.ID { return f.ID })
	return a.people(c, about(rows, func(f *storage.Follow) storage.ID { return f.ActorID }))
}

func (a *API) answerFollow(c *call, accept bool) error {
	x, err := a.target(c)
	if err != nil {
		return err
	}
	if _, err := a.Node.AnswerFollow(c.ctx, c.by(), string(x.IRI), accept); err != nil {
		return err
	}
	return a.related(c, x.ID)
}

func (a *API) authorizeFollow(c *call) error { return a.answerFollow(c, true) }

func (a *API) rejectFollow(c *call) error { return a.answerFollow(c, false) }
