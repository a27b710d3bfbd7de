package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
)

type postCmd struct {
	Publish postPublishCmd `cmd:"" default:"withargs" help:"Publish a post (the word publish may be left out)."`
	List    postListCmd    `cmd:"" help:"List an actor's posts."`
	Edit    postEditCmd    `cmd:"" help:"Change the text of a post."`
	Delete  postDeleteCmd  `cmd:"" help:"Delete a post."`
}

func (postCmd) Help() string { return "Example: planet post --as bakery \"Fresh loaves at eight\"" }

// postEntry is a post as --json prints one.
type postEntry struct {
	ID         storage.ID     `json:"id"`
	IRI        storage.IRI    `json:"iri"`
	URL        string         `json:"url"`
	As         string         `json:"as"`
	Visibility string         `json:"visibility"`
	InReplyTo  storage.IRI    `json:"in_reply_to,omitempty"`
	CW         string         `json:"cw,omitempty"`
	Language   string         `json:"language,omitempty"`
	Text       string         `json:"text"`
	Content    string         `json:"content"`
	Published  time.Time      `json:"published"`
	Edited     *time.Time     `json:"edited,omitempty"`
	Images     []pictureEntry `json:"images,omitempty"`
}

func entryOf(a *storage.Actor, p *storage.Post) postEntry {
	return postEntry{ID: p.ID, IRI: p.IRI, URL: p.URL, As: a.Username, Visibility: p.Visibility, InReplyTo: p.InReplyTo, CW: p.Summary,
		Language: p.Language, Text: p.Source, Content: p.Content, Published: p.PublishedAt, Edited: p.EditedAt,
		Images: picturesOf(p)}
}

type postPublishCmd struct {
	As         string `required:"" placeholder:"NAME" help:"The person or co-op that speaks."`
	Visibility string `default:"public" enum:"public,unlisted,private,direct" help:"public, unlisted, private (followers) or direct (those mentioned)."`
	ReplyTo    string `placeholder:"IRI" help:"The post that this one answers."`
	CW         string `name:"cw" placeholder:"TEXT" help:"Content warning."`
	Language   string `placeholder:"CODE" help:"Language of the text, such as ca."`
	JSON       bool   `help:"Print JSON."`
	images
	Text *string `arg:"" optional:"" help:"What to say; - reads it from standard input. It may be left out beside a picture."`
}

func (postPublishCmd) Help() string {
	return "Example: planet post --as bakery --language en \"Fresh loaves at eight #bread\"\n         planet post --as bakery --image loaf.jpg --alt \"A round loaf\" \"Just out of the oven\""
}

func (cmd postPublishCmd) Run(c *app) error {
	text := ""
	if cmd.Text != nil {
		var err error
		if text, err = c.text(*cmd.Text); err != nil {
			return err
		}
	} else if len(cmd.Image) == 0 {
		return usageError{"a post needs a text, or a picture with --image"}
	}
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.actor(n.DB, cmd.As)
		if err != nil {
			return err
		}
		pictures, undo, err := cmd.upload(c, n, activitypub.By{Actor: a})
		if err != nil {
			return err
		}
		p, err := n.Publish(c.ctx, activitypub.By{Actor: a}, activitypub.Draft{Text: text, Visibility: cmd.Visibility, Summary: cmd.CW,
			Language: cmd.Language, InReplyTo: storage.IRI(cmd.ReplyTo), Sensitive: cmd.CW != "", Media: pictures})
		if err != nil {
			undo()
			return err
		}
		if cmd.JSON {
			return c.json(entryOf(a, p))
		}
		c.say("published %s as %s%s", p.IRI, a.Username, c.queued(n.DB))
		return nil
	})
}

// text is the argument, or standard input when it is "-".
func (c *app) text(arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	b, err := io.ReadAll(io.LimitReader(c.stdin, 1<<20))
	return strings.TrimRight(string(b), "\r\n"), err
}

type postListCmd struct {
	As    string `required:"" placeholder:"NAME" help:"Whose posts."`
	Limit int    `default:"40" help:"How many at most, the newest first."`
	JSON  bool   `help:"Print JSON."`
}

func (postListCmd) Help() string { return "Example: planet post list --as bakery --json" }

func (cmd postListCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		a, err := c.actor(db, cmd.As)
		if err != nil {
			return err
		}
		posts, err := db.PostsBy(c.ctx, a.ID, []string{storage.Public, storage.Unlisted, storage.Private, storage.Direct}, storage.Page{Limit: cmd.Limit})
		if err != nil {
			return err
		}
		entries := make([]postEntry, 0, len(posts))
		for i := range posts {
			entries = append(entries, entryOf(a, &posts[i]))
		}
		if cmd.JSON {
			return c.json(entries)
		}
		t := c.table("ID", "PUBLISHED", "VISIBILITY", "TEXT")
		for _, e := range entries {
			t.row(e.ID.String(), stamp(&e.Published), e.Visibility, short(e.Text))
		}
		return t.flush()
	})
}

// short cuts a text for a table.
func short(text string) string {
	if r := []rune(text); len(r) > 72 {
		return string(r[:71]) + "…"
	}
	return text
}

type postEditCmd struct {
	ID   string `arg:"" help:"The post's id or IRI."`
	Text string `arg:"" help:"What it says from now on; - reads it from standard input."`
	As   string `required:"" placeholder:"NAME" help:"Whose post it is."`
	CW   string `name:"cw" placeholder:"TEXT" help:"Content warning; without it the old one stays."`
	JSON bool   `help:"Print JSON."`
}

func (postEditCmd) Help() string {
	return "Example: planet post edit 117034567890 \"Fresh loaves at nine\" --as bakery"
}

func (cmd postEditCmd) Run(c *app) error {
	text, err := c.text(cmd.Text)
	if err != nil {
		return err
	}
	return c.withNode(func(n *activitypub.Node) error {
		a, p, err := c.postOf(n.DB, cmd.As, cmd.ID)
		if err != nil {
			return err
		}
		d := activitypub.Draft{Text: text, Visibility: p.Visibility, Summary: p.Summary, Language: p.Language, InReplyTo: p.InReplyTo, Sensitive: p.Sensitive}
		if cmd.CW != "" {
			d.Summary, d.Sensitive = cmd.CW, true
		}
		if p, err = n.Edit(c.ctx, activitypub.By{Actor: a}, p.ID, d); err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(entryOf(a, p))
		}
		c.say("edited %s%s", p.IRI, c.queued(n.DB))
		return nil
	})
}

type postDeleteCmd struct {
	ID string `arg:"" help:"The post's id or IRI."`
	As string `required:"" placeholder:"NAME" help:"Whose post it is."`
}

func (postDeleteCmd) Help() string { return "Example: planet post delete 117034567890 --as bakery" }

func (cmd postDeleteCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		a, p, err := c.postOf(n.DB, cmd.As, cmd.ID)
		if err != nil {
			return err
		}
		if err := n.Delete(c.ctx, activitypub.By{Actor: a}, p.ID); err != nil {
			return err
		}
		c.say("deleted %s%s", p.IRI, c.queued(n.DB))
		return nil
	})
}

// postOf finds a post of an actor of this node by id or IRI.
func (c *app) postOf(db *storage.DB, as, id string) (*storage.Actor, *storage.Post, error) {
	a, err := c.actor(db, as)
	if err != nil {
		return nil, nil, err
	}
	var p *storage.Post
	if n, perr := strconv.ParseInt(id, 10, 64); perr == nil {
		p, err = db.PostByID(c.ctx, storage.ID(n))
	} else {
		p, err = db.PostByIRI(c.ctx, storage.IRI(id))
	}
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && (p.ActorID != a.ID || p.DeletedAt != nil):
		return nil, nil, fmt.Errorf("%s has no post %s", a.Username, id)
	case err != nil:
		return nil, nil, err
	}
	return a, p, nil
}
