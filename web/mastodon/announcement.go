package mastodon

import (
	"errors"
	"net/url"
	"unicode"
	"unicode/utf8"

	"planet/storage"
)

// Announcement is what the operator tells everybody who signs in.
type Announcement struct {
	ID          string     `json:"id"`
	Content     string     `json:"content"`
	StartsAt    *string    `json:"starts_at"`
	EndsAt      *string    `json:"ends_at"`
	AllDay      bool       `json:"all_day"`
	PublishedAt string     `json:"published_at"`
	UpdatedAt   string     `json:"updated_at"`
	Read        bool       `json:"read"`
	Mentions    []Mention  `json:"mentions"`
	Statuses    []any      `json:"statuses"`
	Tags        []Tag      `json:"tags"`
	Emojis      []Emoji    `json:"emojis"`
	Reactions   []Reaction `json:"reactions"`
}

// Reaction is an emoji under an announcement.
type Reaction struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
	Me    bool   `json:"me"`
}

func (a *API) announcements(c *call) error {
	rows, err := a.DB.Announcements(c.ctx, false)
	if err != nil {
		return err
	}
	read, err := a.DB.AnnouncementsRead(c.ctx, c.who.Actor.ID)
	if err != nil {
		return err
	}
	reactions, err := a.DB.Reactions(c.ctx, c.who.Actor.ID)
	if err != nil {
		return err
	}
	out := []Announcement{}
	for i := range rows {
		r := &rows[i]
		if read[r.ID] && c.form.Has("with_dismissed") && !c.form.Bool("with_dismissed", true) {
			continue
		}
		e := Announcement{ID: r.ID.String(), Content: r.Content, EndsAt: stampOrNil(r.EndsAt), PublishedAt: stamp(r.CreatedAt), UpdatedAt: stamp(r.CreatedAt), Read: read[r.ID], Mentions: []Mention{},
			Statuses: []any{}, Tags: []Tag{}, Emojis: []Emoji{}, Reactions: []Reaction{}}
		for _, x := range reactions[r.ID] {
			e.Reactions = append(e.Reactions, Reaction{x.Name, x.Count, x.Mine})
		}
		out = append(out, e)
	}
	return c.ok(out)
}

// announcement is the one in the path.
func (a *API) announcement(c *call) (*storage.Announcement, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return a.DB.AnnouncementByID(c.ctx, id)
}

func (a *API) dismissAnnouncement(c *call) error {
	x, err := a.announcement(c)
	if err != nil {
		return err
	}
	if err := a.DB.ReadAnnouncement(c.ctx, x.ID, c.who.Actor.ID); err != nil {
		return err
	}
	return a.nothing(c)
}

// maxReactions is how many different emoji an announcement has at most.
const maxReactions = 8

// emoji reads the emoji in the path; words and numbers are none. This node has no pictures of its own for them.
func emoji(c *call) (string, bool) {
	name := c.Param("name")
	if s, err := url.PathUnescape(name); err == nil {
		name = s
	}
	symbol := false
	for _, r := range name {
		switch {
		case unicode.Is(unicode.So, r) || unicode.Is(unicode.Sk, r) || unicode.Is(unicode.Sm, r) && r > unicode.MaxASCII || unicode.Is(unicode.Po, r) && r > unicode.MaxASCII || r == 0x20e3:
			symbol = true
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Cf, r) || r >= '0' && r <= '9' || r == '#' || r == '*': // parts of one
		default:
			return "", false
		}
	}
	return name, symbol && utf8.ValidString(name) && len(name) <= 64
}

func (a *API) react(c *call) error {
	x, err := a.announcement(c)
	if err != nil {
		return err
	}
	name, ok := emoji(c)
	if !ok {
		return invalid("Name is not a recognized emoji")
	}
	if err := a.DB.React(c.ctx, x.ID, c.who.Actor.ID, name, maxReactions); errors.Is(err, storage.ErrConflict) {
		return invalid("Name limit of different reactions reached")
	} else if err != nil {
		return err
	}
	return a.nothing(c)
}

func (a *API) unreact(c *call) error {
	x, err := a.announcement(c)
	if err != nil {
		return err
	}
	name, ok := emoji(c)
	if !ok {
		return storage.ErrNotFound
	}
	if err := a.DB.Unreact(c.ctx, x.ID, c.who.Actor.ID, name); err != nil {
		return err
	}
	return a.nothing(c)
}
