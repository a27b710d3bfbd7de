package mastodon

import (
	"slices"

	"planet/storage"
	"planet/web/oauth"
)

// page reads which part of a list is asked for: at most most, and otherwise usual.
func (c *call) page(usual, most int) storage.Page {
	return c.form.Page(usual, most)
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
	oauth.Link(c.Response().Header(), a.Origin, c.Request().URL, p, rows, first, last)
}
