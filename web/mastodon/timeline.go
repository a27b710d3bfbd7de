package mastodon

import (
	"strings"

	"planet/storage"
)

func (a *API) home(c *call) error {
	p := c.page(20, 40)
	posts, err := a.DB.HomeTimeline(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	return a.listed(c, p, posts, "home")
}

func (a *API) public(c *call) error {
	return a.publicly(c, storage.PostFilter{})
}

func (a *API) tagTimeline(c *call) error {
	f := storage.PostFilter{Tag: tagged(c.Param("tag"))}
	for name, list := range map[string]*[]string{"any": &f.Any, "all": &f.All, "none": &f.None} {
		for _, tag := range c.form.List(name) {
			if tag = tagged(tag); tag != "" && len(*list) < maxMoreTags {
				*list = append(*list, tag)
			}
		}
	}
	return a.publicly(c, f)
}

// maxMoreTags is how many hashtags may stand in each of any, all and none.
const maxMoreTags = 4

// tagged is a hashtag in the form in which it is stored.
func tagged(name string) string {
	return strings.ToLower(strings.TrimPrefix(strings.TrimSpace(name), "#"))
}

func (a *API) publicly(c *call, f storage.PostFilter) error {
	f.Local, f.Remote, f.OnlyMedia = c.form.Bool("local", false), c.form.Bool("remote", false), c.form.Bool("only_media", false)
	p, reader := c.page(20, 40), storage.ID(0)
	if c.who != nil {
		reader = c.who.Actor.ID
	}
	posts, err := a.DB.PublicTimeline(c.ctx, reader, f, p)
	if err != nil {
		return err
	}
	return a.listed(c, p, posts, "public")
}
