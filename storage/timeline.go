package storage

import "context"

// HomeTimeline lists what an actor sees, newest first: its own posts, those of the actors that it follows,
// and those that speak to it by name.
func (db *DB) HomeTimeline(ctx context.Context, actor ID, p Page) ([]Post, error) {
	q := db.q(ctx).Where(`deleted_at IS NULL AND (
		actor_id = ?
		OR id IN (SELECT post_id FROM mentions WHERE actor_id = ?)
		OR (visibility <> 'direct' AND actor_id IN (SELECT target_id FROM follows WHERE actor_id = ? AND state = 'accepted')))`, actor, actor, actor)
	var ps []Post
	return ps, translate(p.of(q).Find(&ps).Error)
}

// LocalTimeline lists the public posts of this node that answer nobody, newest first.
func (db *DB) LocalTimeline(ctx context.Context, p Page) ([]Post, error) {
	q := db.q(ctx).Where("deleted_at IS NULL AND visibility = 'public' AND in_reply_to = '' AND actor_id IN (SELECT id FROM actors WHERE domain = '')")
	var ps []Post
	return ps, translate(p.of(q).Find(&ps).Error)
}

// TagTimeline lists the public posts with a hashtag (lower case, without #), newest first.
func (db *DB) TagTimeline(ctx context.Context, tag string, p Page) ([]Post, error) {
	q := db.q(ctx).Where("deleted_at IS NULL AND visibility = 'public' AND id IN (SELECT post_id FROM hashtags WHERE name = ?)", tag)
	var ps []Post
	return ps, translate(p.of(q).Find(&ps).Error)
}
