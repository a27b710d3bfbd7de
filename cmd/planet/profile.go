package main

import (
	"planet/activitypub"
	"planet/storage"
)

// profileCmd changes how a person or co-op looks to others; what is not named stays.
type profileCmd struct {
	Name    string  `arg:"" help:"The person or co-op."`
	Title   *string `help:"The name that others see."`
	Summary *string `help:"What there is to say."`
	Icon    *string `placeholder:"FILE" help:"The face: a picture, or nothing to take it away."`
	IconAlt string  `placeholder:"TEXT" help:"What the face shows, for those who do not see it."`
	Header  *string `placeholder:"FILE" help:"The picture at the top of the page, or nothing to take it away."`
	JSON    bool    `help:"Print JSON."`
}

func (cmd profileCmd) Help() string {
	return "Example: planet coop profile bakery --icon loaf.png --icon-alt \"A loaf of rye\"\n         planet user profile ana --title Ana --summary \"I bake.\""
}

// profileEntry is a profile as --json prints one.
type profileEntry struct {
	Handle  string `json:"handle"`
	Title   string `json:"title"`
	Summary string `json:"summary"`
	Icon    string `json:"icon"`
	IconAlt string `json:"icon_alt"`
	Header  string `json:"header"`
}

func (cmd profileCmd) Run(c *app) error {
	if cmd.IconAlt != "" && (cmd.Icon == nil || *cmd.Icon == "") {
		return usageError{"--icon-alt describes what --icon FILE shows"}
	}
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.actor(n.DB, cmd.Name)
		if err != nil {
			return err
		}
		by := activitypub.By{Actor: a}
		changed := false
		for _, p := range []struct {
			file *string
			alt  string
			set  func(id storage.ID) error
		}{
			{cmd.Icon, cmd.IconAlt, func(id storage.ID) error { return n.SetIcon(c.ctx, by, id) }},
			{cmd.Header, "", func(id storage.ID) error { return n.SetHeader(c.ctx, by, id) }},
		} {
			if p.file == nil {
				continue
			}
			m := &storage.Media{}
			if *p.file != "" {
				if m, err = upload(c, n, by, *p.file, p.alt); err != nil {
					return err
				}
			}
			if err := p.set(m.ID); err != nil {
				return err
			}
			changed = true
		}
		if cmd.Title != nil || cmd.Summary != nil {
			if cmd.Title != nil {
				a.Name = *cmd.Title
			}
			if cmd.Summary != nil {
				a.Source = *cmd.Summary
			}
			if err := n.UpdateProfile(c.ctx, by, a); err != nil {
				return err
			}
			changed = true
		}
		if a, err = c.actor(n.DB, cmd.Name); err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(profileEntry{a.Handle(c.host()), a.Name, a.Source, a.IconURL, a.IconAlt, a.HeaderURL})
		}
		if !changed {
			return usageError{"say what is to change: --title, --summary, --icon or --header"}
		}
		c.say("changed the profile of %s%s", a.Handle(c.host()), c.queued(n.DB))
		return nil
	})
}
