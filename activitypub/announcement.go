package activitypub

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"planet/storage"
)

// MaxAnnouncementRunes is how long an announcement may be.
const MaxAnnouncementRunes = 5000

// CreateAnnouncement tells everybody who signs in something, until it ends (nil: until it is removed). It goes to no other server.
func (n *Node) CreateAnnouncement(ctx context.Context, text string, ends *time.Time) (*storage.Announcement, error) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	switch {
	case text == "":
		return nil, invalid("text", "an announcement needs some text")
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return nil, invalid("text", "the text is not valid UTF-8")
	case utf8.RuneCountInString(text) > MaxAnnouncementRunes:
		return nil, invalid("text", "an announcement has at most %d characters, this has %d", MaxAnnouncementRunes, utf8.RuneCountInString(text))
	}
	a := &storage.Announcement{Source: text, EndsAt: ends}
	a.Content, _ = n.render(text, nil)
	return a, n.DB.CreateAnnouncement(ctx, a)
}
