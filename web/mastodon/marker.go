package mastodon

import "planet/storage"

// markers says how far the reader has read; who has read nothing has read nothing yet, which Elk wants to be told.
func (a *API) markers(c *call) error {
	rows, err := a.DB.Markers(c.ctx, c.who.Actor.ID)
	if err != nil {
		return err
	}
	out := map[string]any{}
	for _, name := range c.form.List("timeline") {
		if name == storage.MarkerHome || name == storage.MarkerNotifications {
			out[name] = markerToWire(&storage.Marker{UpdatedAt: c.who.User.CreatedAt})
		}
	}
	for i := range rows {
		if _, asked := out[rows[i].Timeline]; asked {
			out[rows[i].Timeline] = markerToWire(&rows[i])
		}
	}
	return c.ok(out)
}

func markerToWire(m *storage.Marker) map[string]any {
	return map[string]any{"last_read_id": m.LastRead.String(), "version": m.Version, "updated_at": stamp(m.UpdatedAt)}
}

func (a *API) setMarkers(c *call) error {
	out := map[string]any{}
	for _, name := range []string{storage.MarkerHome, storage.MarkerNotifications} {
		text := c.form.Text(name + "[last_read_id]")
		if text == "" {
			continue
		}
		id, err := storage.ParseID(text)
		if err != nil {
			return invalid("last_read_id is no id")
		}
		m := &storage.Marker{ActorID: c.who.Actor.ID, Timeline: name, LastRead: id}
		if err := a.DB.SaveMarker(c.ctx, m); err != nil {
			return err
		}
		out[name] = markerToWire(m)
	}
	return c.ok(out)
}
