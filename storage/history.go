package storage

import (
	"context"
	"errors"
	"time"
)

// PostVersion is what a post said before an edit. The one of now is the post itself.
type PostVersion struct {
	ID          ID `gorm:"primaryKey;autoIncrement:false"`
	PostID      ID
	Title       string
	Content     string
	Summary     string
	Sensitive   bool
	Attachments []Attachment `gorm:"serializer:json"`
	Answers     []string     `gorm:"serializer:json"` // of its poll; nil for none
	WrittenAt   time.Time    // when it was published, or edited to this
}

// maxVersions is how many a post has at most: the first one and the newest stay.
const maxVersions = 100

// keepVersion keeps what a post says now, in the transaction of the edit that replaces it. What changes no time of an edit is none.
func (db *DB) keepVersion(ctx context.Context, edited *Post) error {
	if edited.EditedAt == nil {
		return nil
	}
	old, err := db.PostByID(ctx, edited.ID)
	if err != nil {
		return err
	}
	v := &PostVersion{ID: db.NewID(), PostID: old.ID, Title: old.Title, Content: old.Content, Summary: old.Summary, Sensitive: old.Sensitive, Attachments: old.Attachments, WrittenAt: old.PublishedAt}
	if old.EditedAt != nil {
		if v.WrittenAt = *old.EditedAt; v.WrittenAt.Equal(*edited.EditedAt) {
			return nil
		}
	}
	poll, err := db.PollOf(ctx, old.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil {
		for _, o := range poll.Options {
			v.Answers = append(v.Answers, o.Name)
		}
	}
	if err := translate(db.q(ctx).Create(v).Error); err != nil {
		return err
	}
	_, err = db.run(ctx, `DELETE FROM post_versions WHERE post_id = ? AND id <> (SELECT MIN(id) FROM post_versions WHERE post_id = ?)
		AND id NOT IN (SELECT id FROM post_versions WHERE post_id = ? ORDER BY id DESC LIMIT ?)`, old.ID, old.ID, old.ID, maxVersions-1)
	return err
}

// Versions lists what a post said before its edits, the oldest first.
func (db *DB) Versions(ctx context.Context, post ID) ([]PostVersion, error) {
	var vs []PostVersion
	return vs, translate(db.q(ctx).Where("post_id = ?", post).Order("id").Find(&vs).Error)
}
