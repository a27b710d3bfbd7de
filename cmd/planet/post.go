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
	Show    postShowCmd    `cmd:"" help:"Show one post, from here or elsewhere, and what others did with it."`
	Edit    postEditCmd    `cmd:"" help:"Change the text of a post."`
	Delete  postDeleteCmd  `cmd:"" help:"Delete a post."`

	Like       postLikeCmd       `cmd:"" help:"Like a post."`
	Unlike     postUnlikeCmd     `cmd:"" help:"Take a like back."`
	Boost      postBoostCmd      `cmd:"" help:"Share a post with followers."`
	Unboost    postUnboostCmd    `cmd:"" help:"Take a boost back."`
	Vote       postVoteCmd       `cmd:"" help:"Answer a poll."`
	Bookmark   postBookmarkCmd   `cmd:"" help:"Keep a post to find it again."`
	Unbookmark postUnbookmarkCmd `cmd:"" help:"Let go of a post that was kept."`
	Bookmarks  postBookmarksCmd  `cmd:"" help:"List the posts that were kept."`
	Pin        postPinCmd        `cmd:"" help:"Put a post on top of its author's profile."`
	Unpin      postUnpinCmd      `cmd:"" help:"Take a post off the top of a profile."`
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
	Poll       *pollEntry     `json:"poll,omitempty"`
	BoostOf    storage.IRI    `json:"boost_of,omitempty"` // the post that this one shares
}

func entryOf(a *storage.Actor, p *storage.Post) postEntry {
	return postEntry{ID: p.ID, IRI: p.IRI, URL: p.URL, As: a.Username, Visibility: p.Visibility, InReplyTo: p.InReplyTo, CW: p.Summary,
		Language: p.Language, Text: p.Source, Content: p.Content, Published: p.PublishedAt, Edited: p.EditedAt,
		Images: picturesOf(p)}
}

type postPublishCmd struct {
	As         string `required:"" placeholder:"NAME" help:"The person or co-op that speaks."`
	Visibility string `default:"public" enum:"public,unlisted,private,direct" help:"public, unlisted, private (followers) or direct (those mentioned)."`
	ReplyTo    string `placeholder:"POST" help:"The post that this one answers: its id here, or its address here or elsewhere."`
	CW         string `name:"cw" placeholder:"TEXT" help:"Content warning."`
	Language   string `placeholder:"CODE" help:"Language of the text, such as ca."`
	Quotes     string `default:"public" enum:"public,followers,nobody" help:"Who may quote it: public, followers or nobody."`
	JSON       bool   `help:"Print JSON."`
	images
	poll
	Text *string `arg:"" optional:"" help:"What to say; - reads it from standard input. It may be left out beside a picture."`
}

func (postPublishCmd) Help() string {
	return "Example: planet post --as bakery --language en \"Fresh loaves at eight #bread\"\n         planet post --as bakery --image loaf.jpg --alt \"A round loaf\" \"Just out of the oven\"\n         planet post --as bakery --poll Rye --poll Spelt --poll-lasts 3d \"What shall we bake?\""
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
	ask, err := cmd.poll.draft()
	if err != nil {
		return err
	}
	return c.as(cmd.As, func(n *activitypub.Node, by activitypub.By) error {
		d := activitypub.Draft{Text: text, Visibility: cmd.Visibility, Summary: cmd.CW, Language: cmd.Language, Sensitive: cmd.CW != "", Poll: ask, Quotes: cmd.Quotes}
		if cmd.ReplyTo != "" {
			parent, err := c.postAt(n, by, cmd.ReplyTo)
			if err != nil {
				return err
			}
			d.InReplyTo = parent.IRI
		}
		pictures, undo, err := cmd.upload(c, n, by)
		if err != nil {
			return err
		}
		d.Media = pictures
		p, err := n.Publish(c.ctx, by, d)
		if err != nil {
			undo()
			return err
		}
		if cmd.JSON {
			e := entryOf(by.Actor, p)
			if e.Poll, err = c.pollOf(n.DB, p); err != nil {
				return err
			}
			return c.json(e)
		}
		c.say("published %s as %s%s", p.IRI, by.Actor.Username, c.queued(n.DB))
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

var everyVisibility = []string{storage.Public, storage.Unlisted, storage.Private, storage.Direct}

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
		posts, err := db.PostsBy(c.ctx, a.ID, everyVisibility, storage.Page{Limit: cmd.Limit})
		if err != nil {
			return err
		}
		entries := make([]postEntry, 0, len(posts))
		for i := range posts {
			e := entryOf(a, &posts[i])
			if of := posts[i].BoostOfID; of != nil {
				shared, err := db.PostByID(c.ctx, *of)
				if err != nil {
					return err
				}
				e.BoostOf = shared.IRI
			}
			entries = append(entries, e)
		}
		if cmd.JSON {
			return c.json(entries)
		}
		t := c.table("ID", "PUBLISHED", "VISIBILITY", "TEXT")
		for _, e := range entries {
			text := short(e.Text)
			if e.BoostOf != "" {
				text = "boosts " + string(e.BoostOf)
			}
			t.row(e.ID.String(), stamp(&e.Published), e.Visibility, text)
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

// textOf is what a post says, for people: as its author typed it, or without its markup.
func textOf(p *storage.Post) string {
	if p.Source != "" {
		return p.Source
	}
	return activitypub.PlainText(p.Content)
}

type postShowCmd struct {
	Post string `arg:"" help:"The post: its id here, or its address here or elsewhere."`
	JSON bool   `help:"Print JSON."`
}

func (postShowCmd) Help() string {
	return "Of a post elsewhere it shows what is known here.\n\nExample: planet post show 117034567890"
}

// postDetails is a post with what others did with it.
type postDetails struct {
	postEntry
	Author  string      `json:"author"`
	Quotes  storage.IRI `json:"quotes,omitempty"`
	Allowed bool        `json:"quote_allowed,omitempty"` // the quoted author's server says so
	Likes   int64       `json:"likes"`
	Boosts  int64       `json:"boosts"`
	Replies int64       `json:"replies"`
}

func (c *app) postDetails(db *storage.DB, p *storage.Post) (*postDetails, error) {
	a, err := db.ActorByID(c.ctx, p.ActorID)
	if err != nil {
		return nil, err
	}
	d := &postDetails{postEntry: entryOf(a, p), Author: a.Handle(c.host()), Quotes: p.Quote, Allowed: p.QuoteAllowed}
	d.Text = textOf(p)
	if d.Likes, err = db.CountLikes(c.ctx, p.ID); err != nil {
		return nil, err
	}
	if d.Boosts, err = db.CountBoosts(c.ctx, p.ID); err != nil {
		return nil, err
	}
	if d.Replies, err = db.CountReplies(c.ctx, p.IRI, everyVisibility); err != nil {
		return nil, err
	}
	d.Poll, err = c.pollOf(db, p)
	return d, err
}

func (cmd postShowCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		p, err := c.anyPost(n, cmd.Post)
		if err != nil {
			return err
		}
		d, err := c.postDetails(n.DB, p)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(d)
		}
		t := c.table("post", d.ID.String())
		t.row("address", string(d.IRI))
		t.row("author", d.Author)
		t.row("published", stamp(&d.Published))
		if d.Edited != nil {
			t.row("edited", stamp(d.Edited))
		}
		t.row("visibility", d.Visibility)
		if d.InReplyTo != "" {
			t.row("answers", string(d.InReplyTo))
		}
		if d.Quotes != "" {
			leave := "without leave"
			if d.Allowed {
				leave = "with leave of its author"
			}
			t.row("quotes", string(d.Quotes)+", "+leave)
		}
		if d.CW != "" {
			t.row("warning", d.CW)
		}
		t.row("text", d.Text)
		for _, i := range d.Images {
			t.row("picture", i.URL, i.Alt)
		}
		if d.Poll != nil {
			for i, o := range d.Poll.Options {
				t.row(fmt.Sprintf("answer %d", i+1), fmt.Sprintf("%d", o.Votes)+" "+o.Name)
			}
			state := "open"
			if !d.Poll.Open {
				state = "closed"
			}
			t.row("poll", fmt.Sprintf("%s, %d voted", state, d.Poll.Voters))
		}
		t.row("likes", fmt.Sprint(d.Likes))
		t.row("boosts", fmt.Sprint(d.Boosts))
		t.row("replies", fmt.Sprint(d.Replies))
		return t.flush()
	})
}

// anyPost finds a post whoever may read it: the operator reads the database anyway. One that is not here is fetched.
func (c *app) anyPost(n *activitypub.Node, post string) (*storage.Post, error) {
	var p *storage.Post
	id, err := storage.ParseID(post)
	if err == nil {
		p, err = n.DB.PostByID(c.ctx, id)
	} else if p, err = n.DB.PostByIRI(c.ctx, storage.IRI(post)); errors.Is(err, storage.ErrNotFound) {
		if id, err = storage.ParseID(post[strings.LastIndex(post, "/")+1:]); err == nil { // our own pages end in the id
			p, err = n.DB.PostByID(c.ctx, id)
		}
		if err != nil || p.URL != post {
			return c.postAt(n, activitypub.By{}, post)
		}
	}
	if err == nil && p.BoostOfID != nil {
		p, err = n.DB.PostByID(c.ctx, *p.BoostOfID)
	}
	if errors.Is(err, storage.ErrNotFound) || err == nil && p.DeletedAt != nil {
		return nil, fmt.Errorf("there is no post %s", post)
	}
	return p, err
}

// postAt finds a post that an actor may read (a nil one: that everyone may), by its id here or by its address.
func (c *app) postAt(n *activitypub.Node, by activitypub.By, post string) (*storage.Post, error) {
	address := post
	id, err := storage.ParseID(post)
	if err == nil {
		var p *storage.Post
		if p, err = n.DB.PostByID(c.ctx, id); err == nil {
			address = string(p.IRI)
		}
	} else {
		err = nil
	}
	var p *storage.Post
	if err == nil {
		p, err = n.ResolvePost(c.ctx, by, address)
	}
	if errors.Is(err, storage.ErrNotFound) && by.Actor != nil {
		return nil, fmt.Errorf("there is no post %s that %s may read", post, by.Actor.Username)
	} else if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("there is no post %s", post)
	}
	return p, err
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
	case errors.Is(err, storage.ErrNotFound), err == nil && (p.ActorID != a.ID || p.DeletedAt != nil || p.BoostOfID != nil):
		return nil, nil, fmt.Errorf("%s has no post %s", a.Username, id)
	case err != nil:
		return nil, nil, err
	}
	return a, p, nil
}
