package mastodon

import (
	"strconv"

	"planet/storage"
)

func (a *API) showPoll(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	return a.pollShown(c, p.ID)
}

func (a *API) pollShown(c *call, id storage.ID) error {
	poll, err := a.DB.PollOf(c.ctx, id)
	if err != nil {
		return err
	}
	var own []int
	if c.who != nil {
		votes, err := a.DB.VotesBy(c.ctx, id, c.who.Actor.ID)
		if err != nil {
			return err
		}
		for _, v := range votes {
			own = append(own, v.Choice)
		}
	}
	return c.ok(a.poll(poll, own, c.reader()))
}

func (a *API) vote(c *call) error {
	p, _, err := a.post(c)
	if err != nil {
		return err
	}
	var choices []int
	for _, text := range c.form.List("choices") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return invalid("The chosen vote option does not exist")
		}
		choices = append(choices, n)
	}
	if _, err := a.Node.Vote(c.ctx, c.by(), p.ID, choices); err != nil {
		return err
	}
	return a.pollShown(c, p.ID)
}
