package storage

import (
	"context"
	"time"
)

// Scheduled is a post that waits for its time. It is published by the transaction that takes the row away, so that this happens once.
type Scheduled struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID   ID
	UserID    ID             // who wrote it
	AppID     ID             // with which app; 0 for one of the command line
	Draft     ScheduledDraft `gorm:"serializer:json"`
	PublishAt time.Time
	NextAt    *time.Time // when it is tried next; nil when it was given up
	Attempts  int
	Problem   string // why it is not published, for its author; "" when nothing is wrong
	CreatedAt time.Time
}

// TableName keeps gorm from guessing.
func (Scheduled) TableName() string { return "scheduled_posts" }

// ScheduledDraft is what is to be said.
type ScheduledDraft struct {
	Text        string         `json:"text"`
	Visibility  string         `json:"visibility"`
	Summary     string         `json:"summary,omitempty"`
	Sensitive   bool           `json:"sensitive,omitempty"`
	Language    string         `json:"language,omitempty"`
	InReplyTo   IRI            `json:"inReplyTo,omitempty"`
	InReplyToID ID             `json:"inReplyToId,omitempty"`
	Quotes      string         `json:"quotes,omitempty"`
	Media       []ID           `json:"media,omitempty"`
	Poll        *ScheduledPoll `json:"poll,omitempty"`
	Key         string         `json:"key,omitempty"` // an app's own
}

// ScheduledPoll is what it is to ask; a poll begins when it is published.
type ScheduledPoll struct {
	Options  []string      `json:"options"`
	Multiple bool          `json:"multiple,omitempty"`
	Lasts    time.Duration `json:"lasts"`
}

// CreateScheduled adds a post that waits, with its pictures, which are kept for it. ErrNotFound when one of those is somebody else's or used already.
func (db *DB) CreateScheduled(ctx context.Context, s *Scheduled) error {
	return db.Transaction(ctx, func(tx *DB) error {
		at := s.PublishAt.UTC()
		s.PublishAt, s.NextAt, s.CreatedAt = at, &at, tx.Now().UTC()
		if err := tx.create(ctx, &s.ID, s); err != nil {
			return err
		}
		for i, id := range s.Draft.Media {
			r := tx.q(ctx).Model(&Media{}).Where("id = ? AND actor_id = ? AND "+unattached, id, s.ActorID).Updates(map[string]any{"scheduled_id": s.ID, "position": i})
			if err := one(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// CountScheduled counts an actor's posts that wait, and those of them whose time is from one moment to before another.
func (db *DB) CountScheduled(ctx context.Context, actor ID, from, to time.Time) (all, between int64, err error) {
	err = db.one(ctx, "SELECT COUNT(*), COUNT(CASE WHEN publish_at >= ? AND publish_at < ? THEN 1 END) FROM scheduled_posts WHERE actor_id = ?", []any{from.UTC(), to.UTC(), actor}, &all, &between)
	return all, between, err
}

// ScheduledOf lists an actor's posts that wait, newest first.
func (db *DB) ScheduledOf(ctx context.Context, actor ID, p Page) ([]Scheduled, error) {
	var ss []Scheduled
	return ss, translate(p.of(db.q(ctx).Where("actor_id = ?", actor)).Find(&ss).Error)
}

// ScheduledByID finds a post of an actor's that waits; that of anybody else is ErrNotFound.
func (db *DB) ScheduledByID(ctx context.Context, actor, id ID) (*Scheduled, error) {
	var s Scheduled
	return &s, translate(db.q(ctx).Where("id = ? AND actor_id = ?", id, actor).Take(&s).Error)
}

// Reschedule gives a post that waits another time, also one that was given up. ErrNotFound when it does not wait any more.
func (db *DB) Reschedule(ctx context.Context, id ID, at time.Time) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return one(tx.q(ctx).Model(&Scheduled{}).Where("id = ?", id).Updates(map[string]any{"publish_at": at.UTC(), "next_at": at.UTC(), "attempts": 0, "problem": ""}))
	})
}

// ScheduledDue lists posts whose time has come, the one that has waited longest first.
func (db *DB) ScheduledDue(ctx context.Context, limit int) ([]Scheduled, error) {
	var ss []Scheduled
	return ss, translate(db.q(ctx).Where("next_at <= ?", db.Now().UTC()).Order("next_at, id").Limit(limit).Find(&ss).Error)
}

// TakeScheduled takes a post whose time has come, in the transaction that publishes it. ErrNotFound when another copy of the node was faster, or its time has changed.
func (db *DB) TakeScheduled(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return one(tx.q(ctx).Where("id = ? AND next_at <= ?", id, tx.Now().UTC()).Delete(&Scheduled{}))
	})
}

// PostponeScheduled notes why a post could not be published: it is tried again at next, or given up when that is nil. One whose time has changed meanwhile is left alone.
func (db *DB) PostponeScheduled(ctx context.Context, s *Scheduled, why string, next *time.Time) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Scheduled{}).Where("id = ? AND publish_at = ?", s.ID, s.PublishAt).
			Updates(map[string]any{"next_at": next, "attempts": s.Attempts + 1, "problem": why}).Error)
	})
}

// DeleteScheduled takes a post back that waits: its pictures are free again. ErrNotFound when it does not wait any more.
func (db *DB) DeleteScheduled(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if err := one(tx.q(ctx).Where("id = ?", id).Delete(&Scheduled{})); err != nil {
			return err
		}
		return translate(tx.q(ctx).Model(&Media{}).Where("scheduled_id = ? AND scheduled_id <> 0", id).Update("scheduled_id", 0).Error)
	})
}

// HeldMedia lists the pictures that posts which wait will show, by post.
func (db *DB) HeldMedia(ctx context.Context, scheduled []ID) (map[ID][]Media, error) {
	out := map[ID][]Media{}
	if len(scheduled) == 0 {
		return out, nil
	}
	var ms []Media
	err := db.q(ctx).Where("scheduled_id IN ? AND scheduled_id <> 0 AND freed_at IS NULL", padded(append([]ID(nil), scheduled...))).Order("position, id").Find(&ms).Error
	for _, m := range ms {
		out[m.ScheduledID] = append(out[m.ScheduledID], m)
	}
	return out, translate(err)
}
