package storage

import (
	"context"
	"database/sql"
	"strings"
)

// Tally is how often a post was answered, shared and liked, as far as this node knows.
type Tally struct{ Replies, Boosts, Likes int64 }

// Mark is what a reader has done with a post.
type Mark struct {
	Liked, Bookmarked, Pinned bool
	Boost                     ID // hers of it; 0: none
}

// some makes a list of ids fit for IN ?: never empty, and of few lengths.
func some(ids []ID) []ID {
	if len(ids) == 0 {
		return []ID{0}
	}
	return padded(append([]ID(nil), ids...))
}

// scanned hands the rows of a query on, one by one.
func scanned(rows *sql.Rows, err error, fn func(*sql.Rows) error) error {
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

// Tallies counts for several posts at once.
func (db *DB) Tallies(ctx context.Context, posts []ID) (map[ID]Tally, error) {
	out, ids := make(map[ID]Tally, len(posts)), some(posts)
	count := func(set func(t *Tally, n int64)) func(*sql.Rows) error {
		return func(rows *sql.Rows) error {
			var id ID
			var n int64
			if err := rows.Scan(&id, &n); err != nil {
				return err
			}
			t := out[id]
			set(&t, n)
			out[id] = t
			return nil
		}
	}
	rows, err := db.q(ctx).Raw("SELECT post_id, COUNT(*) FROM likes WHERE post_id IN ? GROUP BY post_id", ids).Rows()
	if err := scanned(rows, err, count(func(t *Tally, n int64) { t.Likes = n })); err != nil {
		return nil, err
	}
	rows, err = db.q(ctx).Raw("SELECT boost_of_id, COUNT(*) FROM posts WHERE boost_of_id IN ? AND deleted_at IS NULL GROUP BY boost_of_id", ids).Rows()
	if err := scanned(rows, err, count(func(t *Tally, n int64) { t.Boosts = n })); err != nil {
		return nil, err
	}
	rows, err = db.q(ctx).Raw(`SELECT p.id, COUNT(*) FROM posts p JOIN posts r ON r.in_reply_to = p.iri AND r.in_reply_to <> '' AND r.deleted_at IS NULL
		WHERE p.id IN ? AND r.visibility IN ('public', 'unlisted') GROUP BY p.id`, ids).Rows()
	return out, scanned(rows, err, count(func(t *Tally, n int64) { t.Replies = n }))
}

// Marks finds what a reader has done with several posts.
func (db *DB) Marks(ctx context.Context, reader ID, posts []ID) (map[ID]Mark, error) {
	out, ids := make(map[ID]Mark, len(posts)), some(posts)
	mark := func(set func(m *Mark, id ID)) func(*sql.Rows) error {
		return func(rows *sql.Rows) error {
			var post, id ID
			if err := rows.Scan(&post, &id); err != nil {
				return err
			}
			m := out[post]
			set(&m, id)
			out[post] = m
			return nil
		}
	}
	rows, err := db.q(ctx).Raw("SELECT post_id, id FROM likes WHERE actor_id = ? AND post_id IN ?", reader, ids).Rows()
	if err := scanned(rows, err, mark(func(m *Mark, _ ID) { m.Liked = true })); err != nil {
		return nil, err
	}
	rows, err = db.q(ctx).Raw("SELECT post_id, id FROM bookmarks WHERE actor_id = ? AND post_id IN ?", reader, ids).Rows()
	if err := scanned(rows, err, mark(func(m *Mark, _ ID) { m.Bookmarked = true })); err != nil {
		return nil, err
	}
	rows, err = db.q(ctx).Raw("SELECT post_id, id FROM pins WHERE actor_id = ? AND post_id IN ?", reader, ids).Rows()
	if err := scanned(rows, err, mark(func(m *Mark, _ ID) { m.Pinned = true })); err != nil {
		return nil, err
	}
	rows, err = db.q(ctx).Raw("SELECT boost_of_id, id FROM posts WHERE actor_id = ? AND boost_of_id IN ? AND deleted_at IS NULL", reader, ids).Rows()
	return out, scanned(rows, err, mark(func(m *Mark, id ID) { m.Boost = id }))
}

// PostsByID reads several posts that are not deleted, by id.
func (db *DB) PostsByID(ctx context.Context, ids []ID) (map[ID]*Post, error) {
	var ps []Post
	if len(ids) > 0 {
		if err := db.q(ctx).Where("id IN ? AND deleted_at IS NULL", padded(append([]ID(nil), ids...))).Find(&ps).Error; err != nil {
			return nil, translate(err)
		}
	}
	out := make(map[ID]*Post, len(ps))
	for i := range ps {
		out[ps[i].ID] = &ps[i]
	}
	return out, nil
}

// PollsOf reads the polls of several posts.
func (db *DB) PollsOf(ctx context.Context, posts []ID) (map[ID]*Poll, error) {
	var ps []Poll
	if len(posts) > 0 {
		if err := db.q(ctx).Where("post_id IN ?", padded(append([]ID(nil), posts...))).Find(&ps).Error; err != nil {
			return nil, translate(err)
		}
	}
	out := make(map[ID]*Poll, len(ps))
	for i := range ps {
		out[ps[i].PostID] = &ps[i]
	}
	return out, nil
}

// OffersOfPosts reads the offers that several posts carry, by post.
func (db *DB) OffersOfPosts(ctx context.Context, posts []ID) (map[ID]*Offer, error) {
	var os []Offer
	if len(posts) > 0 {
		if err := db.q(ctx).Where("post_id IN ?", padded(append([]ID(nil), posts...))).Find(&os).Error; err != nil {
			return nil, translate(err)
		}
	}
	out := make(map[ID]*Offer, len(os))
	for i := range os {
		out[os[i].PostID] = &os[i]
	}
	return out, nil
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
	rows, err := db.q(ctx).Raw("SELECT target_id, COUNT(*), 0 FROM follows WHERE target_id IN ? AND state = 'accepted' GROUP BY target_id", ids).Rows()
	if err := scanned(rows, err, count(func(t *AccountTally, n int64, _ ID) { t.Followers = n })); err != nil {
		return nil, err
	}
	rows, err = db.q(ctx).Raw("SELECT actor_id, COUNT(*), 0 FROM follows WHERE actor_id IN ? AND state = 'accepted' GROUP BY actor_id", ids).Rows()
	if err := scanned(rows, err, count(func(t *AccountTally, n int64, _ ID) { t.Following = n })); err != nil {
		return nil, err
	}
	rows, err = db.q(ctx).Raw(`SELECT actor_id, COUNT(*), MAX(id) FROM posts WHERE actor_id IN ? AND deleted_at IS NULL AND visibility IN ('public', 'unlisted', 'private')
		GROUP BY actor_id`, ids).Rows()
	return out, scanned(rows, err, count(func(t *AccountTally, n int64, last ID) { t.Posts, t.Last = n, last }))
}

// SearchActors finds actors whose name or shown name begins with some words, in any case; those that somebody (0: anybody) follows alone. Those of this node come first.
func (db *DB) SearchActors(ctx context.Context, words string, following ID, offset, limit int) ([]Actor, error) {
	name, host, whole := strings.Cut(strings.ToLower(words), "@")
	like := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	q := db.q(ctx).Where("deleted_at IS NULL AND suspended_at IS NULL AND type NOT IN ('Application', 'Service')")
	if whole {
		q = q.Where(`lower(username) = ? AND domain LIKE ? ESCAPE '\'`, name, like.Replace(host)+"%")
	} else {
		q = q.Where(`(lower(username) LIKE ? ESCAPE '\' OR lower(name) LIKE ? ESCAPE '\')`, like.Replace(name)+"%", "%"+like.Replace(name)+"%")
	}
	if following != 0 {
		q = q.Where("id IN (SELECT target_id FROM follows WHERE actor_id = ? AND state = 'accepted')", following)
	}
	var as []Actor
	return as, translate(q.Order("domain <> '', id DESC").Offset(max(offset, 0)).Limit(limit).Find(&as).Error)
}

// SearchTags finds hashtags that begin with a word (lower case, without #).
func (db *DB) SearchTags(ctx context.Context, word string, limit int) (names []string, err error) {
	if word == "" {
		return nil, nil
	}
	like := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(word) + "%"
	err = translate(db.q(ctx).Raw(`SELECT DISTINCT name FROM hashtags WHERE name LIKE ? ESCAPE '\' ORDER BY name LIMIT ?`, like, limit).Scan(&names).Error)
	return names, err
}

// Muted reports whether an actor has muted another for now.
func (db *DB) Muted(ctx context.Context, actor, target ID) (bool, error) {
	var n int
	err := db.one(ctx, "SELECT COUNT(*) FROM mutes WHERE actor_id = ? AND target_id = ? AND (expires_at IS NULL OR expires_at > ?)", []any{actor, target, db.Now().UTC()}, &n)
	return n > 0, err
}
