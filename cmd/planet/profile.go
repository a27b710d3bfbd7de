package main

import (
	"fmt"
	"strings"

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
	profileDetails
	JSON bool `help:"Print JSON."`
}

// profileDetails is what a profile says beside name, words and pictures.
type profileDetails struct {
	Place        *string  `help:"Where it is."`
	Category     *string  `help:"What kind of co-op it is."`
	Hours        *string  `help:"When it is open."`
	Principles   []string `placeholder:"1,…,7" help:"Principles of the International Cooperative Alliance that it names."`
	Link         []string `sep:"none" placeholder:"NAME=URL" help:"A named address; say it again for more. They replace those from before."`
	NoLinks      bool     `help:"Take all addresses away."`
	Locked       *bool    `negatable:"" help:"Follow requests are answered by hand."`
	Discoverable *bool    `negatable:"" help:"Others may list it."`
	Indexable    *bool    `negatable:"" help:"Others may search what it says."`
}

// change puts what was named into the profile; false when nothing was.
func (d profileDetails) change(a *storage.Actor) (bool, error) {
	changed := false
	for _, f := range []struct{ from, to *string }{{d.Place, &a.Place}, {d.Category, &a.Category}, {d.Hours, &a.Hours}} {
		if f.from != nil {
			*f.to, changed = *f.from, true
		}
	}
	for _, f := range []struct{ from, to *bool }{{d.Locked, &a.Locked}, {d.Discoverable, &a.Discoverable}, {d.Indexable, &a.Indexable}} {
		if f.from != nil {
			*f.to, changed = *f.from, true
		}
	}
	if len(d.Principles) > 0 {
		a.Principles, changed = d.Principles, true
	}
	if d.NoLinks || len(d.Link) > 0 {
		a.Links, changed = nil, true
	}
	for _, l := range d.Link {
		name, address, ok := strings.Cut(l, "=")
		switch {
		case d.NoLinks:
			return false, usageError{"--no-links takes all addresses away: say it without --link"}
		case !ok:
			return false, usageError{fmt.Sprintf("--link: want NAME=URL, not %q", l)}
		}
		a.Links = append(a.Links, storage.Link{Name: strings.TrimSpace(name), URL: strings.TrimSpace(address)})
	}
	return changed, nil
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

	Place        string         `json:"place,omitempty"`
	Category     string         `json:"category,omitempty"`
	Hours        string         `json:"hours,omitempty"`
	Principles   []string       `json:"principles,omitempty"`
	Links        []storage.Link `json:"links,omitempty"`
	Locked       bool           `json:"locked"`
	Discoverable bool           `json:"discoverable"`
	Indexable    bool           `json:"indexable"`
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
		told, err := cmd.change(a)
		if err != nil {
			return err
		}
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
		if told || cmd.Title != nil || cmd.Summary != nil {
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
			return c.json(profileEntry{a.Handle(c.host()), a.Name, a.Source, a.IconURL, a.IconAlt, a.HeaderURL,
				a.Place, a.Category, a.Hours, a.Principles, a.Links, a.Locked, a.Discoverable, a.Indexable})
		}
		if !changed {
			return usageError{"say what is to change, as in --title or --summary: see --help"}
		}
		c.say("changed the profile of %s%s", a.Handle(c.host()), c.queued(n.DB))
		return nil
	})
}
