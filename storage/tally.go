package storage

import (
	"context"
	"database/sql"
)

// Tally is how often a post was answered, shared and liked, as far as this node knows.
type Tally struct{ Replies, Boosts, Likes int64 }

// Mark is what a reader has done with a post.
type Mark struct {
	Liked, Bookmarked, Pinned bool
	Boost                     ID // hers of it; 0: none
}

// Tallies counts for several posts at once.
func (db *DB) Tallies(ctx context.Context, posts []ID) (map[ID]Tally, error) {
	out, ids := make(map[ID]Tally, len(posts)), some(posts)
	return out, db.spread(ctx, `SELECT 'likes', post_id, COUNT(*) FROM likes WHERE post_id IN ? GROUP BY post_id
		UNION ALL SELECT 'boosts', boost_of_id, COUNT(*) FROM posts WHERE boost_of_id IN ? AND deleted_at IS NULL GROUP BY boost_of_id
		UNION ALL SELECT 'replies', p.id, COUNT(*) FROM posts p JOIN posts r ON r.in_reply_to = p.iri AND r.in_reply_to <> '' AND r.deleted_at IS NULL
			WHERE p.id IN ? AND r.visibility IN ('public', 'unlisted') GROUP BY p.id`, []any{ids, ids, ids}, func(rows *sql.Rows) error {
		var of string
		var id ID
		var n int64
		if err := rows.Scan(&of, &id, &n); err != nil {
			return err
		}
		t := out[id]
		switch of {
		case "likes":
			t.Likes = n
		case "boosts":
			t.Boosts = n
		case "replies":
			t.Replies = n
		}
		out[id] = t
		return nil
	})
}

// Marks finds what a reader has done with several posts.
func (db *DB) Marks(ctx context.Context, reader ID, posts []ID) (map[ID]Mark, error) {
	out, ids := make(map[ID]Mark, len(posts)), some(posts)
	return out, db.spread(ctx, `SELECT 'liked', post_id, id FROM likes WHERE actor_id = ? AND post_id IN ?
		UNION ALL SELECT 'bookmarked', post_id, id FROM bookmarks WHERE actor_id = ? AND post_id IN ?
		UNION ALL SELECT 'pinned', post_id, id FROM pins WHERE actor_id = ? AND post_id IN ?
		UNION ALL SELECT 'boosted', boost_of_id, id FROM posts WHERE actor_id = ? AND boost_of_id IN ? AND deleted_at IS NULL`, []any{reader, ids, reader, ids, reader, ids, reader, ids}, func(rows *sql.Rows) error {
		var what string
		var post, id ID
		if err := rows.Scan(&what, &post, &id); err != nil {
			return err
		}
		m := out[post]
		switch what {
		case "liked":
			m.Liked = true
		case "bookmarked":
			m.Bookmarked = true
		case "pinned":
			m.Pinned = true
		case "boosted":
			m.Boost = id
		}
		out[post] = m
		return nil
	})
}

// AccountTally is an account in numbers, as far as this node knows.
type AccountTally struct {
	Followers, Following, Posts int64
	Last                        ID // the newest post; 0: none
}

// AccountTallies counts for several actors at once, as far as this node knows.
func (db *DB) AccountTallies(ctx context.Context, actors []ID) (map[ID]AccountTally, error) {
	out, ids := make(map[ID]AccountTally, len(actors)), some(actors)
	count := func(set func(t *AccountTally, n int64, last ID)) func(*sql.Rows) error {
		return func(rows *sql.Rows) error {
			var id, last ID
			var n int64
			if err := rows.Scan(&id, &n, &last); err != nil {
				return err
			}
			t := out[id]
			set(&t, n, last)
			out[id] = t
			return nil
		}
	}
	if err := db.spread(ctx, "SELECT target_id, COUNT(*), 0 FROM follows WHERE target_id IN ? AND state = 'accepted' GROUP BY target_id", []any{ids}, count(func(t *AccountTally, n int64, _ ID) { t.Followers = n })); err != nil {
		return nil, err
	}
	if err := db.spread(ctx, "SELECT actor_id, COUNT(*), 0 FROM follows WHERE actor_id IN ? AND state = 'accepted' GROUP BY actor_id", []any{ids}, count(func(t *AccountTally, n int64, _ ID) { t.Following = n })); err != nil {
		return nil, err
	}
	return out, db.spread(ctx, `SELECT actor_id, COUNT(*), MAX(id) FROM posts WHERE actor_id IN ? AND deleted_at IS NULL AND visibility IN ('public', 'unlisted', 'private')
		GROUP BY actor_id`, []any{ids}, count(func(t *AccountTally, n int64, last ID) { t.Posts, t.Last = n, last }))
}
