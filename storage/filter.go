package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// Filter is what an actor does not want to read.
type Filter struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID   ID
	Title     string
	Contexts  []string `gorm:"serializer:json"` // home, notifications, public, thread, account
	Action    string   // warn or hide
	ExpiresAt *time.Time
	Keywords  []FilterKeyword `gorm:"-"`
	Posts     []FilterPost    `gorm:"-"` // read by Filters; SaveFilter leaves them as they are
}

// FilterPost is a single post that a filter is about.
type FilterPost struct {
	ID       ID `gorm:"primaryKey;autoIncrement:false"`
	FilterID ID
	PostID   ID
}

// FilterKeyword is a word of a filter.
type FilterKeyword struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	FilterID  ID
	Keyword   string
	WholeWord bool
}

// SaveFilter adds a filter, or changes one, with all of its words: those without an id are new, those that are not named go.
func (db *DB) SaveFilter(ctx context.Context, f *Filter) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if f.ID == 0 {
			f.ID = tx.NewID()
		}
		if err := tx.q(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(f).Error; err != nil {
			return translate(err)
		}
		if err := tx.q(ctx).Where("filter_id = ?", f.ID).Delete(&FilterKeyword{}).Error; err != nil {
			return translate(err)
		}
		for i := range f.Keywords {
			k := &f.Keywords[i]
			if k.FilterID = f.ID; k.ID == 0 {
				k.ID = tx.NewID()
			}
			if err := tx.q(ctx).Create(k).Error; err != nil {
				return translate(err)
			}
		}
		return nil
	})
}

// DeleteFilter deletes a filter, its words and its posts.
func (db *DB) DeleteFilter(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		for _, row := range []any{&FilterKeyword{}, &FilterPost{}} {
			if err := tx.q(ctx).Where("filter_id = ?", id).Delete(row).Error; err != nil {
				return translate(err)
			}
		}
		return translate(tx.q(ctx).Where("id = ?", id).Delete(&Filter{}).Error)
	})
}

// AddFilterPost puts a post into a filter; ID is that of the row that is there.
func (db *DB) AddFilterPost(ctx context.Context, f *FilterPost) error {
	return db.Transaction(ctx, func(tx *DB) error {
		f.ID = tx.NewID()
		if _, err := tx.insert(ctx, f, ""); err != nil {
			return err
		}
		return tx.take(ctx, f, "filter_id = ? AND post_id = ?", f.FilterID, f.PostID)
	})
}

// DeleteFilterPost takes a post out of a filter.
func (db *DB) DeleteFilterPost(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("id = ?", id).Delete(&FilterPost{}).Error)
	})
}

// Filters lists an actor's filters with their words and posts, those that have expired too.
func (db *DB) Filters(ctx context.Context, actor ID) ([]Filter, error) {
	fs, err := found[Filter](db, db.q(ctx).Where("actor_id = ?", actor).Order("id"), 4)
	if err != nil || len(fs) == 0 {
		return nil, err
	}
	var ks []FilterKeyword
	if err := db.q(ctx).Where("filter_id IN (SELECT id FROM filters WHERE actor_id = ?)", actor).Order("id").Find(&ks).Error; err != nil {
		return nil, translate(err)
	}
	var ps []FilterPost
	if err := db.q(ctx).Where("filter_id IN (SELECT id FROM filters WHERE actor_id = ?)", actor).Order("id").Find(&ps).Error; err != nil {
		return nil, translate(err)
	}
	for i := range fs {
		for _, p := range ps {
			if p.FilterID == fs[i].ID {
				fs[i].Posts = append(fs[i].Posts, p)
			}
		}
		for _, k := range ks {
			if k.FilterID == fs[i].ID {
				fs[i].Keywords = append(fs[i].Keywords, k)
			}
		}
	}
	return fs, nil
}
