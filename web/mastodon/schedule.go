package mastodon

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"planet/activitypub"
	"planet/storage"
	"planet/web/oauth"
)

// ScheduledStatus is a post that waits for its time.
type ScheduledStatus struct {
	ID               string          `json:"id"`
	ScheduledAt      string          `json:"scheduled_at"`
	Params           ScheduledParams `json:"params"`
	MediaAttachments []Attachment    `json:"media_attachments"`
	Planet           *Unpublished    `json:"planet,omitempty"` // ours: it could not be published
}

// ScheduledParams is what the app had sent.
type ScheduledParams struct {
	Text          string         `json:"text"`
	Poll          *ScheduledPoll `json:"poll"`
	MediaIDs      []string       `json:"media_ids"`
	Sensitive     bool           `json:"sensitive"`
	SpoilerText   string         `json:"spoiler_text"`
	Visibility    string         `json:"visibility"`
	InReplyToID   *string        `json:"in_reply_to_id"`
	Language      *string        `json:"language"`
	ApplicationID storage.ID     `json:"application_id"`
	ScheduledAt   *string        `json:"scheduled_at"`
	Idempotency   *string        `json:"idempotency"`
	WithRateLimit bool           `json:"with_rate_limit"`
}

// ScheduledPoll is what the post is to ask.
type ScheduledPoll struct {
	Options    []string `json:"options"`
	ExpiresIn  int64    `json:"expires_in"`
	Multiple   bool     `json:"multiple"`
	HideTotals bool     `json:"hide_totals"`
}

// Unpublished says why a post whose time has come is not published.
type Unpublished struct {
	Problem string `json:"problem"`
	GivenUp bool   `json:"given_up"` // until it gets another time
}

// moment reads a time as apps write it; without a zone it is UTC.
func moment(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05 MST", time.DateTime} {
		if at, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, &oauth.Error{Status: http.StatusUnprocessableEntity, Code: "Record invalid"}
}

// scheduledAt reads when a post is to be published, which has to be far enough ahead.
func (a *API) scheduledAt(c *call) (time.Time, error) {
	at, err := moment(c.form.Text("scheduled_at"))
	if err == nil && at.Before(a.DB.Now().Add(activitypub.MinScheduleAhead)) {
		err = invalid("Scheduled at The scheduled date must be in the future, by five minutes at least")
	}
	return at, err
}

// schedule keeps what somebody writes until its time. Under a key that was used already the answer is what came of it then.
func (a *API) schedule(c *call, d activitypub.Draft) error {
	if made, err := a.madeUnder(c, d.Key); made || err != nil {
		return err
	}
	at, err := a.scheduledAt(c)
	if err != nil {
		return err
	}
	app := storage.ID(0)
	if c.who.App != nil {
		app = c.who.App.ID
	}
	s, err := a.Node.Schedule(c.ctx, c.by(), d, at, app)
	if errors.Is(err, storage.ErrConflict) { // the same request was a moment faster
		if made, err := a.madeUnder(c, d.Key); made || err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return a.scheduledShown(c, s)
}

// madeUnder answers with what came of a key that was used already, be it waiting or published by now; made is false when it was not used.
func (a *API) madeUnder(c *call, key string) (made bool, err error) {
	if key == "" {
		return false, nil
	}
	id, err := a.DB.MadeUnder(c.ctx, c.who.Actor.ID, key)
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s, err := a.DB.ScheduledByID(c.ctx, c.who.Actor.ID, id)
	if isNotFound(err) {
		return true, a.shown(c, id)
	}
	if err != nil {
		return false, err
	}
	return true, a.scheduledShown(c, s)
}

func (a *API) scheduledToWire(s *storage.Scheduled, held []storage.Media) *ScheduledStatus {
	d := s.Draft
	e := &ScheduledStatus{ID: s.ID.String(), ScheduledAt: stamp(s.PublishAt), MediaAttachments: []Attachment{},
		Params: ScheduledParams{Text: d.Text, MediaIDs: []string{}, Sensitive: d.Sensitive, SpoilerText: d.Summary, Visibility: d.Visibility, Language: textOrNil(d.Language), ApplicationID: s.AppID,
			Idempotency: textOrNil(d.Key)}}
	for _, id := range d.Media {
		e.Params.MediaIDs = append(e.Params.MediaIDs, id.String())
	}
	if d.InReplyToID != 0 {
		id := d.InReplyToID.String()
		e.Params.InReplyToID = &id
	}
	if p := d.Poll; p != nil {
		e.Params.Poll = &ScheduledPoll{Options: p.Options, ExpiresIn: int64(p.Lasts / time.Second), Multiple: p.Multiple}
	}
	for i := range held {
		e.MediaAttachments = append(e.MediaAttachments, a.medium(&held[i]))
	}
	if s.Problem != "" {
		e.Planet = &Unpublished{Problem: s.Problem, GivenUp: s.NextAt == nil}
	}
	return e
}

func (a *API) scheduledShown(c *call, s *storage.Scheduled) error {
	held, err := a.DB.HeldMedia(c.ctx, []storage.ID{s.ID})
	if err != nil {
		return err
	}
	return c.ok(a.scheduledToWire(s, held[s.ID]))
}

func (a *API) scheduledStatuses(c *call) error {
	p := c.page(20, 40)
	rows, err := a.DB.ScheduledOf(c.ctx, c.who.Actor.ID, p)
	if err != nil {
		return err
	}
	rows = paged(a, c, p, rows, func(s *storage.Scheduled) storage.ID { return s.ID })
	held, err := a.DB.HeldMedia(c.ctx, about(rows, func(s *storage.Scheduled) storage.ID { return s.ID }))
	if err != nil {
		return err
	}
	out := []*ScheduledStatus{}
	for i := range rows {
		out = append(out, a.scheduledToWire(&rows[i], held[rows[i].ID]))
	}
	return c.ok(out)
}

func (a *API) showScheduled(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	s, err := a.DB.ScheduledByID(c.ctx, c.who.Actor.ID, id)
	if err != nil {
		return err
	}
	return a.scheduledShown(c, s)
}

func (a *API) reschedule(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	if _, err := a.DB.ScheduledByID(c.ctx, c.who.Actor.ID, id); err != nil {
		return err
	}
	at, err := a.scheduledAt(c)
	if err != nil {
		return err
	}
	if err := a.Node.Reschedule(c.ctx, c.by(), id, at); err != nil {
		return err
	}
	return a.showScheduled(c)
}

func (a *API) unschedule(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	if err := a.Node.Unschedule(c.ctx, c.by(), id); err != nil {
		return err
	}
	return a.nothing(c)
}
