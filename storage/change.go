package storage

import (
	"context"
	"time"
)

// What a change is about.
const (
	ChangePost   = "post" // a new one
	ChangeEdit   = "edit"
	ChangeDelete = "delete"
	ChangeNews   = "news" // a notification
	ChangeTalk   = "talk" // a direct post in a conversation
)

// Change is something that has just happened, whichever process did it, for those who look on. It is forgotten after some minutes.
type Change struct {
	Seq       int64 `gorm:"primaryKey"`
	Kind      string
	PostID    ID // 0 for news
	ActorID   ID // who wrote it, or is told; 0 for what is deleted
	NewsID    ID // the notification, or the conversation; 0 for posts
	CreatedAt time.Time
}

func (db *DB) changed(ctx context.Context, kind string, post, actor, news ID) error {
	_, err := db.run(ctx, "INSERT INTO changes (kind, post_id, actor_id, news_id, created_at) VALUES (?, ?, ?, ?, ?)", kind, post, actor, news, db.Now().UTC())
	return err
}

// Changes lists what has happened after a change, in its order. With several copies of the node on PostgreSQL a change may show up behind one of a higher number.
func (db *DB) Changes(ctx context.Context, after int64, limit int) ([]Change, error) {
	var cs []Change
	return cs, translate(db.q(ctx).Where("seq > ?", after).Order("seq").Limit(limit).Find(&cs).Error)
}

// LastChange is the number of the newest change; 0 when there was none.
func (db *DB) LastChange(ctx context.Context) (seq int64, err error) {
	err = db.one(ctx, "SELECT COALESCE(MAX(seq), 0) FROM changes", nil, &seq)
	return seq, err
}

// PruneChanges forgets what happened before a moment.
func (db *DB) PruneChanges(ctx context.Context, before time.Time) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("created_at < ?", before.UTC()).Delete(&Change{}).Error)
	})
}

// InHome reports whether a post belongs to an actor's home timeline.
func (db *DB) InHome(ctx context.Context, actor, post ID) (bool, error) {
	ps, err := db.HomeTimeline(ctx, actor, Page{MaxID: post + 1, MinID: post - 1, Limit: 1})
	return len(ps) == 1 && ps[0].ID == post, err
}
