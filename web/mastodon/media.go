package mastodon

import (
	"strconv"
	"strings"

	"planet/activitypub"
	"planet/storage"
)

func (a *API) upload(c *call) error {
	file := c.form.Files["file"]
	if file == nil {
		return invalid("File can't be blank")
	}
	r, err := file.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	d := activitypub.Description{Alt: c.form.Text("description")}
	d.FocusX, d.FocusY = focusOf(c.form.Text("focus"))
	m, err := a.Node.Upload(c.ctx, c.by(), r, d)
	if err != nil {
		return err
	}
	return c.ok(a.medium(m))
}

func focusOf(text string) (x, y float64) {
	one, other, _ := strings.Cut(text, ",")
	x, _ = strconv.ParseFloat(strings.TrimSpace(one), 64)
	y, _ = strconv.ParseFloat(strings.TrimSpace(other), 64)
	return x, y
}

func (a *API) medium(m *storage.Media) Attachment {
	e := mediumEntity(m.ID.String(), m.Alt, m.Blurhash, m.Width, m.Height, m.FocusX, m.FocusY)
	e.URL = a.Origin + "/media/" + m.Name
	e.PreviewURL = e.URL
	return e
}

// ownMedia is a picture that the caller has uploaded; of anybody else there is none (security.md MED 200).
func (a *API) ownMedia(c *call, id storage.ID) (*storage.Media, error) {
	m, err := a.DB.MediaByID(c.ctx, id)
	if err == nil && m.ActorID != c.who.Actor.ID {
		err = storage.ErrNotFound
	}
	return m, err
}

func (a *API) showMedia(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	m, err := a.ownMedia(c, id)
	if err != nil {
		return err
	}
	return c.ok(a.medium(m))
}

func (a *API) describe(c *call, id storage.ID, alt, focus string) error {
	m, err := a.ownMedia(c, id)
	if err != nil {
		return err
	}
	d := activitypub.Description{Alt: m.Alt, FocusX: m.FocusX, FocusY: m.FocusY}
	if c.form.Has(alt) {
		d.Alt = c.form.Text(alt)
	}
	if c.form.Has(focus) {
		d.FocusX, d.FocusY = focusOf(c.form.Text(focus))
	}
	_, err = a.Node.Describe(c.ctx, c.by(), id, d)
	return err
}

func (a *API) describeMedia(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	if err := a.describe(c, id, "description", "focus"); err != nil {
		return err
	}
	return a.showMedia(c)
}
