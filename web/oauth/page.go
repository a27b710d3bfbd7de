package oauth

import (
	"net/http"
	"net/url"

	"planet/storage"
)

// Page reads which part of a list is asked for: at most most, and otherwise usual.
func (f *Form) Page(usual, most int) storage.Page {
	id := func(name string) storage.ID {
		id, err := storage.ParseID(f.Text(name))
		if err != nil {
			return 0
		}
		return id
	}
	p := storage.Page{MaxID: id("max_id"), MinID: id("since_id"), Limit: min(max(f.Int("limit", usual), 1), most)}
	if after := id("min_id"); after > 0 {
		p.MinID, p.Up = after, true
	} else if f.Text("min_id") == "0" {
		p.MinID, p.Up = 0, true
	}
	return p
}

// Link says in the Link header where a list goes on, from the ids of its first and last row. The origin is that of the node.
func Link(h http.Header, origin string, at *url.URL, p storage.Page, rows int, first, last storage.ID) {
	q := at.Query()
	q.Del("max_id")
	q.Del("since_id")
	q.Del("min_id")
	address := func(name string, id storage.ID) string {
		q.Set(name, id.String())
		defer q.Del(name)
		return "<" + origin + at.Path + "?" + q.Encode() + ">"
	}
	link := address("min_id", first) + `; rel="prev"`
	if rows >= p.Limit || p.Up {
		link = address("max_id", last) + `; rel="next", ` + link
	}
	h.Set("Link", link)
}
