package storage

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// HomeTimeline lists what an actor sees, newest first: its own posts, those of the actors that it follows (but for what it reads in a list alone, and what they share
// where it does not want that), those that speak to it by name, and public ones with a hashtag that it follows. What suspended, blocked and muted actors say is left out, also when it is shared.
func (db *DB) HomeTimeline(ctx context.Context, actor ID, p Page) ([]Post, error) {
	// From the newest post down, each is asked whether it belongs: to collect all that might, and sort it, takes longer the more somebody follows. The + keeps SQLite from
	// that, and CASE both databases from asking what the reader would not hear of posts that do not belong.
	q := db.q(ctx).Where(`deleted_at IS NULL AND CASE WHEN (
		+posts.actor_id = ?
		OR (visibility <> 'direct' AND EXISTS (SELECT 1 FROM follows f WHERE f.actor_id = ? AND f.target_id = posts.actor_id AND f.state = 'accepted'))
		OR EXISTS (SELECT 1 FROM mentions m WHERE m.actor_id = ? AND m.post_id = posts.id)
		OR (visibility = 'public' AND EXISTS (SELECT 1 FROM hashtags h JOIN followed_tags t ON t.name = h.name WHERE h.post_id = posts.id AND t.actor_id = ? AND NOT t.featured)))
		THEN (boost_of_id IS NULL OR posts.actor_id NOT IN (SELECT target_id FROM follow_wishes WHERE actor_id = ? AND no_boosts))
			AND posts.actor_id NOT IN (SELECT m.target_id FROM list_members m JOIN lists l ON l.id = m.list_id WHERE l.actor_id = ? AND l.exclusive AND m.target_id <> l.actor_id)
			AND ? ELSE FALSE END`,
		actor, actor, actor, actor, actor, actor, db.audible(actor))
	return found[Post](db, p.of(q).Omit("raw", "source"), p.limit()) // a reader has no use for them, and they are most of a row
}

// LocalTimeline lists the public posts of this node that answer nobody, newest first.
func (db *DB) LocalTimeline(ctx context.Context, p Page) ([]Post, error) {
	q := db.q(ctx).Where("deleted_at IS NULL AND visibility = 'public' AND in_reply_to = '' AND boost_of_id IS NULL AND actor_id IN (SELECT id FROM actors WHERE domain = '' AND suspended_at IS NULL AND silenced_at IS NULL)")
	return found[Post](db, p.of(q), p.limit())
}

// PostFilter narrows a list of posts down.
type PostFilter struct {
	Local, Remote                  bool // of this node, or of others, alone
	OnlyMedia, NoReplies, NoBoosts bool
	Tag                            string   // lower case, without #
	Any, All, None                 []string // with Tag: others that do as well, that have to be there too, that must not be; likewise
}

func (f PostFilter) of(q *gorm.DB) *gorm.DB {
	if f.Local {
		q = q.Where("actor_id IN (SELECT id FROM actors WHERE domain = '')")
	}
	if f.Remote {
		q = q.Where("actor_id NOT IN (SELECT id FROM actors WHERE domain = '')")
	}
	if f.OnlyMedia {
		q = q.Where("attachments IS NOT NULL AND attachments NOT IN ('', 'null', '[]')")
	}
	if f.NoReplies {
		q = q.Where("in_reply_to = ''")
	}
	if f.NoBoosts {
		q = q.Where("boost_of_id IS NULL")
	}
	if f.Tag != "" {
		q = q.Where("id IN (SELECT post_id FROM hashtags WHERE name IN ?)", append([]string{f.Tag}, f.Any...))
	}
	for _, name := range f.All {
		q = q.Where("id IN (SELECT post_id FROM hashtags WHERE name = ?)", name)
	}
	if len(f.None) > 0 {
		q = q.Where("id NOT IN (SELECT post_id FROM hashtags WHERE name IN ?)", f.None)
	}
	return q
}

// heard is what is true of posts whose authors are neither suspended nor silenced. It is asked of each post: of all actors it would be a look at all of them.
const heard = "(SELECT a.suspended_at IS NULL AND a.silenced_at IS NULL FROM actors a WHERE a.id = posts.actor_id)"

// PublicTimeline lists public posts that share nothing, newest first, also with a hashtag alone; replies only with one. What reader (0: anybody) does not want to hear is left out.
func (db *DB) PublicTimeline(ctx context.Context, reader ID, f PostFilter, p Page) ([]Post, error) {
	f.NoBoosts, f.NoReplies = true, f.Tag == ""
	q := f.of(db.q(ctx).Where("deleted_at IS NULL AND visibility = 'public' AND " + heard))
	if reader != 0 {
		q = q.Where(db.audible(reader))
	}
	return found[Post](db, p.of(q), p.limit())
}

// PostsOf lists an actor's posts of some visibilities, newest first.
func (db *DB) PostsOf(ctx context.Context, actor ID, visibilities []string, f PostFilter, p Page) ([]Post, error) {
	return found[Post](db, p.of(f.of(db.q(ctx).Where("actor_id = ? AND deleted_at IS NULL AND visibility IN ?", actor, visibilities))), p.limit())
}

// TagTimeline lists the public posts with a hashtag (lower case, without #), newest first.
func (db *DB) TagTimeline(ctx context.Context, tag string, p Page) ([]Post, error) {
	q := db.q(ctx).Where("deleted_at IS NULL AND visibility = 'public' AND id IN (SELECT post_id FROM hashtags WHERE name = ?) AND "+heard, tag)
	return found[Post](db, p.of(q), p.limit())
}

// audible leaves out what an actor does not want to hear, and nobody is to hear. What does not depend on a post is asked once, not for each.
func (db *DB) audible(actor ID) clause.Expr {
	const unheard = `IN (SELECT target_id FROM blocks WHERE actor_id = ? UNION ALL SELECT target_id FROM mutes WHERE actor_id = ? AND (expires_at IS NULL OR expires_at > ?))`
	now := db.Now().UTC()
	return gorm.Expr(`posts.actor_id NOT `+unheard+`
		AND posts.actor_id NOT IN (SELECT actor_id FROM blocks WHERE target_id = ?)
		AND (SELECT a.suspended_at FROM actors a WHERE a.id = posts.actor_id) IS NULL
		AND (posts.boost_of_id IS NULL OR NOT EXISTS (SELECT 1 FROM posts b JOIN actors a ON a.id = b.actor_id WHERE b.id = posts.boost_of_id
			AND (a.suspended_at IS NOT NULL OR a.id `+unheard+`)))
		AND (NOT EXISTS (SELECT 1 FROM domain_blocks WHERE actor_id = ?)
			OR NOT EXISTS (SELECT 1 FROM actors a JOIN domain_blocks d ON d.domain = a.domain WHERE d.actor_id = ?
				AND (a.id = posts.actor_id OR a.id = (SELECT b.actor_id FROM posts b WHERE b.id = posts.boost_of_id))))`,
		actor, actor, now, actor, actor, actor, now, actor, actor)
}
