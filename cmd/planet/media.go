package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"planet/activitypub"
	"planet/storage"
)

type mediaCmd struct {
	Usage    mediaUsageCmd    `cmd:"" help:"What pictures take on disk."`
	Prune    mediaPruneCmd    `cmd:"" help:"Remove pictures that nothing shows any more."`
	List     mediaListCmd     `cmd:"" help:"List the pictures of a post."`
	Describe mediaDescribeCmd `cmd:"" help:"Change the description of a picture."`
}

func (mediaCmd) Help() string { return "Example: planet media usage" }

type mediaUsageCmd struct {
	JSON bool `help:"Print JSON."`
}

func (mediaUsageCmd) Help() string { return "Example: planet media usage --json" }

func (cmd mediaUsageCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		u, err := n.MediaUsage(c.ctx)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return c.json(struct {
				Files      int   `json:"files"`
				Bytes      int64 `json:"bytes"`
				Attached   int64 `json:"attached"`
				Unattached int64 `json:"unattached"`
				Freed      int64 `json:"freed"`
				CacheFiles int   `json:"cache_files"`
				CacheBytes int64 `json:"cache_bytes"`
				CacheLimit int64 `json:"cache_limit"`
			}{u.Files, u.FileBytes, u.Attached, u.Unattached, u.Freed, u.CacheFiles, u.CacheBytes, u.CacheLimit})
		}
		t := c.table("", "FILES", "SIZE", "")
		t.row("uploaded here", strconv.Itoa(u.Files), size(u.FileBytes), fmt.Sprintf("%d in use, %d not used yet, %d to be removed", u.Attached, u.Unattached, u.Freed))
		t.row("of other servers", strconv.Itoa(u.CacheFiles), size(u.CacheBytes), "at most "+size(u.CacheLimit))
		return t.flush()
	})
}

type mediaPruneCmd struct {
	Cache bool `help:"Forget the pictures of other servers, too; they are fetched again when somebody looks."`
	JSON  bool `help:"Print JSON."`
}

func (mediaPruneCmd) Help() string {
	return "A running node does the same by itself, but for --cache.\n\nExample: planet media prune --cache"
}

func (cmd mediaPruneCmd) Run(c *app) error {
	return c.withNode(func(n *activitypub.Node) error {
		t, err := n.TidyMedia(c.ctx)
		if err != nil {
			return err
		}
		var files int
		var bytes int64
		if cmd.Cache {
			if files, bytes, err = n.ClearMediaCache(); err != nil {
				return err
			}
		}
		if cmd.JSON {
			return c.json(struct {
				Unattached int   `json:"unattached"`
				Files      int   `json:"files"`
				Bytes      int64 `json:"bytes"`
				CacheFiles int   `json:"cache_files"`
				CacheBytes int64 `json:"cache_bytes"`
			}{t.Unattached, t.Files, t.Bytes, files, bytes})
		}
		line := fmt.Sprintf("removed %d files, %s", t.Files, size(t.Bytes))
		if cmd.Cache {
			line += fmt.Sprintf("; of other servers %d files, %s", files, size(bytes))
		}
		c.say("%s", line)
		return nil
	})
}

// pictureEntry is a picture as --json prints one.
type pictureEntry struct {
	ID     storage.ID `json:"id"`
	URL    string     `json:"url"`
	Type   string     `json:"type"`
	Alt    string     `json:"alt"`
	Width  int        `json:"width"`
	Height int        `json:"height"`
}

func picturesOf(p *storage.Post) []pictureEntry {
	var out []pictureEntry
	for _, a := range p.Attachments {
		out = append(out, pictureEntry{a.MediaID, a.URL, a.MediaType, a.Name, a.Width, a.Height})
	}
	return out
}

type mediaListCmd struct {
	Post string `arg:"" help:"The post's id or IRI."`
	As   string `required:"" placeholder:"NAME" help:"Whose post it is."`
	JSON bool   `help:"Print JSON."`
}

func (mediaListCmd) Help() string { return "Example: planet media list 117034567890 --as bakery" }

func (cmd mediaListCmd) Run(c *app) error {
	return c.withDB(func(db *storage.DB) error {
		_, p, err := c.postOf(db, cmd.As, cmd.Post)
		if err != nil {
			return err
		}
		entries := append([]pictureEntry{}, picturesOf(p)...)
		if cmd.JSON {
			return c.json(entries)
		}
		t := c.table("ID", "SIZE", "URL", "DESCRIPTION")
		for _, e := range entries {
			t.row(e.ID.String(), fmt.Sprintf("%dx%d", e.Width, e.Height), e.URL, short(e.Alt))
		}
		return t.flush()
	})
}

type mediaDescribeCmd struct {
	ID  string `arg:"" help:"The picture's id, as planet media list prints it."`
	Alt string `arg:"" help:"What it shows, for those who do not see it."`
	As  string `required:"" placeholder:"NAME" help:"Whose picture it is."`
}

func (mediaDescribeCmd) Help() string {
	return "Everyone who has the post hears of the change.\n\nExample: planet media describe 117034567891 \"Two loaves on a board\" --as bakery"
}

func (cmd mediaDescribeCmd) Run(c *app) error {
	id, err := storage.ParseID(cmd.ID)
	if err != nil {
		return usageError{fmt.Sprintf("%q is not an id", cmd.ID)}
	}
	return c.withNode(func(n *activitypub.Node) error {
		a, err := c.actor(n.DB, cmd.As)
		if err != nil {
			return err
		}
		old, err := n.DB.MediaByID(c.ctx, id)
		if err == nil {
			_, err = n.Describe(c.ctx, activitypub.By{Actor: a}, id, activitypub.Description{Alt: cmd.Alt, FocusX: old.FocusX, FocusY: old.FocusY})
		}
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("%s has no picture %s", a.Username, id)
		}
		if err != nil {
			return err
		}
		c.say("described %s%s", id, c.queued(n.DB))
		return nil
	})
}

// images are the pictures of a command, each with its description.
type images struct {
	Image []string `name:"image" sep:"none" placeholder:"FILE" help:"A picture (JPEG, PNG, GIF or WebP); up to four times."`
	Alt   []string `name:"alt" sep:"none" placeholder:"TEXT" help:"What the picture shows, for those who do not see it; once for each --image, in their order."`
}

// upload stores the pictures for an actor. With an error all of them are gone again; undo is for errors that come later.
func (i images) upload(c *app, n *activitypub.Node, by activitypub.By) (ids []storage.ID, undo func(), err error) {
	undo = func() {
		for _, id := range ids {
			_ = n.Discard(c.ctx, by, id) // else it goes within a day
		}
	}
	defer func() {
		if err != nil {
			undo()
		}
	}()
	if len(i.Alt) > 0 && len(i.Alt) != len(i.Image) {
		return nil, undo, usageError{fmt.Sprintf("there are %d --image and %d --alt: give one --alt for each picture, if need be an empty one", len(i.Image), len(i.Alt))}
	}
	for k, name := range i.Image {
		alt := ""
		if len(i.Alt) > 0 {
			alt = i.Alt[k]
		}
		m, err := upload(c, n, by, name, alt)
		if err != nil {
			return ids, undo, err
		}
		ids = append(ids, m.ID)
	}
	return ids, undo, nil
}

func upload(c *app, n *activitypub.Node, by activitypub.By, name, alt string) (*storage.Media, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, reason(err))
	}
	defer f.Close()
	m, err := n.Upload(c.ctx, by, f, activitypub.Description{Alt: alt})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, reason(err))
	}
	return m, nil
}

// size shows bytes to people.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}

// parseSize reads a number of bytes such as 256MB or 1GiB.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "KMGTiBkmgtb ")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, ok := map[string]int64{"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}[strings.ToLower(strings.TrimSpace(s[len(digits):]))]
	if err != nil || !ok || n < 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("want a size such as 256MB, not %q", s)
	}
	return n * unit, nil
}
