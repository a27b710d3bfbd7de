package storage

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm/clause"
)

// Announcement is what the operator tells everybody who signs in.
type Announcement struct {
	ID        ID     `gorm:"primaryKey;autoIncrement:false"`
	Source    string // as it was typed
	Content   string // safe HTML
	CreatedAt time.Time
	EndsAt    *time.Time // nil: until it is removed
}

type announcementReader struct {
	AnnouncementID ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID        ID `gorm:"primaryKey;autoIncrement:false"`
}

type announcementReaction struct {
	AnnouncementID ID     `gorm:"primaryKey;autoIncrement:false"`
	ActorID        ID     `gorm:"primaryKey;autoIncrement:false"`
	Name           string `gorm:"primaryKey"`
	CreatedAt      time.Time
}

// Reaction is an emoji under an announcement, by how many, and whether a reader is one of them.
type Reaction struct {
	Name  string
	Count int64
	Mine  bool
}

// CreateAnnouncement adds one.
func (db *DB) CreateAnnouncement(ctx context.Context, a *Announcement) error {
	return db.Transaction(ctx, func(tx *DB) error {
		a.CreatedAt = tx.Now().UTC()
		return tx.create(ctx, &a.ID, a)
	})
}

// Announcements lists them, oldest first; without all those alone whose time is not over.
func (db *DB) Announcements(ctx context.Context, all bool) ([]Announcement, error) {
	q := db.q(ctx)
	if !all {
		q = q.Where("ends_at IS NULL OR ends_at > ?", db.Now().UTC())
	}
	var as []Announcement
	return as, translate(q.Order("id").Find(&as).Error)
}

// AnnouncementByID finds one that is not over, or ErrNotFound.
func (db *DB) AnnouncementByID(ctx context.Context, id ID) (*Announcement, error) {
	var a Announcement
	return &a, translate(db.q(ctx).Where("id = ? AND (ends_at IS NULL OR ends_at > ?)", id, db.Now().UTC()).Take(&a).Error)
}

// DeleteAnnouncement takes one away, with what was done about it. ErrNotFound when there is none.
func (db *DB) DeleteAnnouncement(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		for _, row := range []any{&announcementReader{}, &announcementReaction{}} {
			if err := tx.q(ctx).Where("announcement_id = ?", id).Delete(row).Error; err != nil {
				return translate(err)
			}
		}
		return one(tx.q(ctx).Where("id = ?", id).Delete(&Announcement{}))
	})
}

// ReadAnnouncement notes that an actor has seen one.
func (db *DB) ReadAnnouncement(ctx context.Context, id, actor ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&announcementReader{id, actor}).Error)
	})
}

// AnnouncementsRead finds which an actor has seen.
func (db *DB) AnnouncementsRead(ctx context.Context, actor ID) (map[ID]bool, error) {
	var ids []ID
	err := db.q(ctx).Model(&announcementReader{}).Where("actor_id = ?", actor).Pluck("announcement_id", &ids).Error
	out := make(map[ID]bool, len(ids))
	for _, id := range ids {
		out[id] = true
	}
	return out, translate(err)
}

// React puts an emoji of an actor's under an announcement. ErrConflict when there are most different ones already, and this is another.
func (db *DB) React(ctx context.Context, id, actor ID, name string, most int) error {
	return db.Transaction(ctx, func(tx *DB) error {
		var others int
		if err := tx.one(ctx, "SELECT COUNT(DISTINCT name) FROM announcement_reactions WHERE announcement_id = ? AND name <> ?", []any{id, name}, &others); err != nil {
			return err
		}
		if others >= most {
			return ErrConflict
		}
		_, err := tx.insert(ctx, &announcementReaction{id, actor, name, tx.Now().UTC()}, "")
		return err
	})
}

// Unreact takes an emoji of an actor's away. ErrNotFound when there is none.
func (db *DB) Unreact(ctx context.Context, id, actor ID, name string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return one(tx.q(ctx).Where("announcement_id = ? AND actor_id = ? AND name = ?", id, actor, name).Delete(&announcementReaction{}))
	})
}

// Reactions counts the emoji under each announcement, in the order in which they came.
func (db *DB) Reactions(ctx context.Context, reader ID) (map[ID][]Reaction, error) {
	out := map[ID][]Reaction{}
	err := db.each(ctx, `SELECT announcement_id, name, COUNT(*), COUNT(CASE WHEN actor_id = ? THEN 1 END) FROM announcement_reactions
		GROUP BY announcement_id, name ORDER BY MIN(created_at), name`, []any{reader}, func(rows *sql.Rows) error {
		var id ID
		var r Reaction
		var mine int
		if err := rows.Scan(&id, &r.Name, &r.Count, &mine); err != nil {
			return err
		}
		r.Mine = mine > 0
		out[id] = append(out[id], r)
		return nil
	})
	return out, err
}
