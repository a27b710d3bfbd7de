package storage

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// Media is a picture that was uploaded here. The file lies in storage/media under Name; several rows may name the same file, and it
// goes with the last of them.
type Media struct {
	ID             ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID        ID // whose it is
	UserID         ID // who uploaded it; 0 for the operator
	PostID         ID // 0: not attached yet
	Position       int
	ScheduledID    ID   // the post that waits for its time and will show it; 0: none
	Profile        bool // it is its actor's icon or header, and belongs to no post
	Name           string
	MediaType      string
	Alt            string
	Width, Height  int
	Size           int64
	Blurhash       string
	FocusX, FocusY float64 // what must stay in sight when it is cut, -1 to 1 from the middle
	CreatedAt      time.Time
	FreedAt        *time.Time // nothing needs it any more: nobody sees it, and the file may go
}

// TableName keeps gorm from guessing.
func (Media) TableName() string { return "media" }

// unattached is true of what was uploaded and not used yet; a post that waits for its time has not used it.
const unattached = "post_id = 0 AND NOT profile AND freed_at IS NULL"

// CreateMedia adds a picture that was stored.
func (db *DB) CreateMedia(ctx context.Context, m *Media) error {
	return db.Transaction(ctx, func(tx *DB) error {
		m.CreatedAt = tx.Now().UTC()
		return tx.create(ctx, &m.ID, m)
	})
}

// MediaByID finds a picture, or ErrNotFound.
func (db *DB) MediaByID(ctx context.Context, id ID) (*Media, error) {
	var m Media
	return &m, translate(db.q(ctx).Where("id = ? AND freed_at IS NULL", id).Take(&m).Error)
}

// MediaByName finds a picture by its file, to be shown; ErrNotFound when none is needed any more.
func (db *DB) MediaByName(ctx context.Context, name string) (*Media, error) {
	var m Media
	return &m, translate(db.q(ctx).Where("name = ? AND freed_at IS NULL", name).Order("id").Take(&m).Error)
}

// MediaOf lists the pictures of a post in their order.
func (db *DB) MediaOf(ctx context.Context, post ID) ([]Media, error) {
	var ms []Media
	if post == 0 {
		return ms, nil
	}
	return ms, translate(db.q(ctx).Where("post_id = ? AND post_id <> 0 AND freed_at IS NULL", post).Order("position, id").Find(&ms).Error)
}

// AttachMedia gives pictures of an actor to a post, in this order behind those that it has. ErrNotFound, and nothing is changed, when
// one is somebody else's or used already.
func (db *DB) AttachMedia(ctx context.Context, ids []ID, actor, post ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		old, err := tx.MediaOf(ctx, post)
		if err != nil {
			return err
		}
		next := 0
		if len(old) > 0 {
			next = old[len(old)-1].Position + 1
		}
		for i, id := range ids {
			r := tx.q(ctx).Model(&Media{}).Where("id = ? AND actor_id = ? AND "+unattached, id, actor).
				Updates(map[string]any{"post_id": post, "position": next + i, "scheduled_id": 0})
			if err := one(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// ShowMedia makes a picture of an actor her icon or header. ErrNotFound when it is somebody else's or used already.
func (db *DB) ShowMedia(ctx context.Context, id, actor ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return one(tx.q(ctx).Model(&Media{}).Where("id = ? AND actor_id = ? AND "+unattached, id, actor).Updates(map[string]any{"profile": true, "scheduled_id": 0}))
	})
}

// ProfileMedia lists the pictures that an actor's profile shows or showed.
func (db *DB) ProfileMedia(ctx context.Context, actor ID) ([]Media, error) {
	var ms []Media
	return ms, translate(db.q(ctx).Where("actor_id = ? AND profile AND freed_at IS NULL", actor).Order("id").Find(&ms).Error)
}

// one wants exactly one row to have been changed; none is ErrNotFound.
func one(r *gorm.DB) error {
	if r.Error == nil && r.RowsAffected == 0 {
		return ErrNotFound
	}
	return translate(r.Error)
}

// DescribeMedia changes what a picture is said to show. ErrNotFound when there is none.
func (db *DB) DescribeMedia(ctx context.Context, id ID, alt string, focusX, focusY float64) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return one(tx.q(ctx).Model(&Media{}).Where("id = ? AND freed_at IS NULL", id).
			Updates(map[string]any{"alt": alt, "focus_x": focusX, "focus_y": focusY}))
	})
}

// OrderMedia gives the pictures of a post the order of ids.
func (db *DB) OrderMedia(ctx context.Context, ids []ID, post ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		for i, id := range ids {
			if err := one(tx.q(ctx).Model(&Media{}).Where("id = ? AND post_id = ?", id, post).Update("position", i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// FreeMedia ends the use of a picture: it is seen no more, and TidyMedia of activitypub removes the file. ErrNotFound when there is
// none.
func (db *DB) FreeMedia(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return one(tx.q(ctx).Model(&Media{}).Where("id = ? AND freed_at IS NULL", id).Update("freed_at", tx.Now().UTC()))
	})
}

// freeMediaOf ends the use of all pictures of a post, in the transaction that deletes it.
func (db *DB) freeMediaOf(ctx context.Context, post ID) error {
	return translate(db.q(ctx).Model(&Media{}).Where("post_id = ? AND post_id <> 0 AND freed_at IS NULL", post).Update("freed_at", db.Now().UTC()).Error)
}

// FreeMediaOfActor ends the use of all pictures that an actor ever uploaded.
func (db *DB) FreeMediaOfActor(ctx context.Context, actor ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Media{}).Where("actor_id = ? AND freed_at IS NULL", actor).Update("freed_at", tx.Now().UTC()).Error)
	})
}

// UnattachedMedia lists what was uploaded before a time and never used, oldest first; what a post that waits for its time will show is not among it.
func (db *DB) UnattachedMedia(ctx context.Context, before time.Time, limit int) ([]Media, error) {
	var ms []Media
	return ms, translate(db.q(ctx).Where(unattached+" AND scheduled_id = 0 AND created_at < ?", before.UTC()).Order("id").Limit(limit).Find(&ms).Error)
}

// FreedMedia lists what nothing needs any more, oldest first.
func (db *DB) FreedMedia(ctx context.Context, limit int) ([]Media, error) {
	var ms []Media
	return ms, translate(db.q(ctx).Where("freed_at IS NOT NULL").Order("id").Limit(limit).Find(&ms).Error)
}

// ForgetMedia removes the row of a picture that was freed, if it is there. last says that no other row names the file: the caller
// removes that inside the same transaction, so that nobody who stores the same picture meanwhile is left without (see MediaNamed).
func (db *DB) ForgetMedia(ctx context.Context, m *Media) (last bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		if err := tx.lockMedia(ctx); err != nil {
			return err
		}
		if err := tx.q(ctx).Where("id = ? AND freed_at IS NOT NULL", m.ID).Delete(&Media{}).Error; err != nil {
			return translate(err)
		}
		named, err := tx.MediaNamed(ctx, m.Name)
		last = !named
		return err
	})
	return last, err
}

// MediaNamed reports whether any row names a file. Inside a transaction nobody adds one before that ends.
func (db *DB) MediaNamed(ctx context.Context, name string) (bool, error) {
	if db.tx != nil {
		if err := db.lockMedia(ctx); err != nil {
			return false, err
		}
	}
	var n int64
	return n > 0, translate(db.q(ctx).Model(&Media{}).Where("name = ?", name).Count(&n).Error)
}

// lockMedia keeps other copies of the node from adding rows until the transaction ends; with SQLite there is one writer anyway.
func (db *DB) lockMedia(ctx context.Context) error {
	if db.dialect != postgresDialect {
		return nil
	}
	return translate(db.q(ctx).Exec("LOCK TABLE media IN SHARE ROW EXCLUSIVE MODE").Error)
}

// MediaUsage is how much was uploaded; Bytes count a file once for each row that names it.
type MediaUsage struct {
	Attached, Unattached, Freed int64 // rows
	Bytes                       int64
}

// MediaUsage counts the rows.
func (db *DB) MediaUsage(ctx context.Context) (MediaUsage, error) {
	var u MediaUsage
	err := db.q(ctx).Raw(`SELECT
		count(CASE WHEN freed_at IS NULL AND (post_id <> 0 OR profile OR scheduled_id <> 0) THEN 1 END) AS attached,
		count(CASE WHEN freed_at IS NULL AND post_id = 0 AND scheduled_id = 0 AND NOT profile THEN 1 END) AS unattached,
		count(CASE WHEN freed_at IS NOT NULL THEN 1 END) AS freed,
		CAST(coalesce(sum(size), 0) AS BIGINT) AS bytes FROM media`).Scan(&u).Error
	return u, translate(err)
}
