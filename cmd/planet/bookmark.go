package main

import (
	"time"

	"planet/activitypub"
	"planet/storage"
)

type postBookmarkCmd struct{ onPost }

func (postBookmarkCmd) Help() string {
	return "Nobody else learns of it.\n\nExample: planet post bookmark https://oak.example/@mill/117034567890 --as ana"
}

func (cmd postBookmarkCmd) Run(c *app) error {
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, p *storage.Post) error {
		if err := n.Bookmark(c.ctx, by, p.ID, true); err != nil {
			return err
		}
		c.say("%s has a bookmark at %s", by.Actor.Username, p.IRI)
		return nil
	})
}

type postUnbookmarkCmd struct{ onPost }

func (postUnbookmarkCmd) Help() string {
	return "Example: planet post unbookmark 117034567890 --as ana"
}

func (cmd postUnbookmarkCmd) Run(c *app) error {
	return cmd.do(c, func(n *activitypub.Node, by activitypub.By, p *storage.Post) error {
		if err := n.Bookmark(c.ctx, by, p.ID, false); err != nil {
			return err
		}
		c.say("%s has no bookmark at %s", by.Actor.Username, p.IRI)
		return nil
	})
}

type postBookmarksCmd struct {
	As    string `required:"" placeholder:"NAME" help:"Whose bookmarks."`
	Limit int    `default:"40" help:"How many at most, the one kept last first."`
	JSON  bool   `help:"Print JSON."`
}

func (postBookmarksCmd) Help() string { return "Example: planet post bookmarks --as ana --json" }

// bookmarkEntry is a bookmark as --json prints one.
type bookmarkEntry struct {
	ID     storage.ID  `json:"id"` // of the post
	IRI    storage.IRI `json:"iri"`
	URL    string      `json:"url"`
	Author string      `json:"author"`
	Text   string      `json:"text"`
	Kept   time.Time   `json:"kept"`
}

func (cmd postBookmarksCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		a, err := c.actor(db, cmd.As)
		if err != nil {
			return err
		}
		bs, err := db.Bookmarks(c.ctx, a.ID, storage.Page{Limit: cmd.Limit})
		if err != nil {
			return err
		}
		entries := make([]bookmarkEntry, 0, len(bs))
		for _, b := range bs {
			p, err := db.PostByID(c.ctx, b.PostID)
			if err != nil {
				return err
			}
			author, err := c.handle(db, p.ActorID)
			if err != nil {
				return err
			}
			entries = append(entries, bookmarkEntry{p.ID, p.IRI, p.URL, author, textOf(p), b.CreatedAt})
		}
		if cmd.JSON {
			return c.json(entries)
		}
		t := c.table("ID", "KEPT", "AUTHOR", "TEXT")
		for _, e := range entries {
			t.row(e.ID.String(), stamp(&e.Kept), e.Author, short(e.Text))
		}
		return t.flush()
	})
}
