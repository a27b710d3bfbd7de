package mastodon

import (
	"slices"

	"planet/storage"
)

// page reads which part of a list is asked for: at most most, and otherwise usual.
func (c *call) page(usual, most int) storage.Page {
	id := func(name string) storage.ID {
		id, err := storage.ParseID(c.form.Text(name))
		if err != nil {
			return 0
		}
		return id
	}
	p := storage.Page{MaxID: id("max_id"), MinID: id("since_id"), Limit: min(max(c.form.Int("limit", usual), 1), most)}
	if after := id("min_id"); after > 0 {
		p.MinID, p.Up = after, true
	} else if c.form.Text("min_id") == "0" {
		p.MinID, p.Up = 0, true
	}
	return p
}

// paged puts a page of rows newest first, which with Up came the other way round, and says in the Link header where the list goes on.
func paged[T any](a *API, c *call, p storage.Page, rows []T, id func(*T) storage.ID) []T {
	if p.Up {
		slices.Reverse(rows)
	}
	if len(rows) > 0 {
		a.linked(c, p, len(rows), id(&rows[0]), id(&rows[len(rows)-1]))
	}
	return rows
}

// about lists what rows are about.
func about[T any](rows []T, id func(*T) storage.ID) []storage.ID {
	ids := make([]storage.ID, len(rows))
	for i := range rows {
		ids[i] = id(&rows[i])
	}
	return ids
}

// linked says in the Link header where the list goes on, from the ids of its first and last row.
func (a *API) linked(c *call, p storage.Page, rows int, first, last storage.ID) {
	q := c.Request().URL.Query()
	q.Del("max_id")
	q.Del("since_id")
	q.Del("min_id")
	address := func(name string, id storage.ID) string {
		q.Set(name, id.String())
		defer q.Del(name)
		return "<" + a.Origin + c.Request().URL.Path + "?" + q.Encode() + ">"
	}
	link := address("min_id", first) + `; rel="prev"`
	if rows >= p.Limit || p.Up {
		link = address("max_id", last) + `; rel="next", ` + link
	}
	c.Response().Header().Set("Link", link)
}
