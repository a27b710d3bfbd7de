package storage

import (
	"context"
	"time"

	"gorm.io/gorm"
)

// Who may read a post; the four words of the Mastodon API.
const (
	Public   = "public"
	Unlisted = "unlisted"
	Private  = "private" // followers only
	Direct   = "direct"  // those mentioned only
)

// Attachment is a medium or a link that goes with a post.
type Attachment struct {
	URL       string  `json:"url"`
	MediaType string  `json:"mediaType,omitempty"`
	Name      string  `json:"name,omitempty"` // alternative text
	Width     int     `json:"width,omitempty"`
	Height    int     `json:"height,omitempty"`
	Blurhash  string  `json:"blurhash,omitempty"`
	FocusX    float64 `json:"focusX,omitempty"`
	FocusY    float64 `json:"focusY,omitempty"`
	MediaID   ID      `json:"media,omitempty"` // the row of what was uploaded here; 0 elsewhere
	Rel       string  `json:"rel,omitempty"`   // of a link: RelProposal when it leads to an offer
}

// Mention names an actor in a post. ActorID is 0 when the actor is not known here.
type Mention struct {
	ActorID ID     `json:"actor"`
	IRI     IRI    `json:"iri"`
	Handle  string `json:"handle"` // @name@domain
	URL     string `json:"url"`
}

// Post is something said: a Note here, and what other servers say in its place.
type Post struct {
	ID            ID `gorm:"primaryKey;autoIncrement:false"`
	IRI           IRI
	ActorID       ID
	UserID        ID // who wrote it; 0 elsewhere, and for the operator
	Type          string
	InReplyTo     IRI
	InReplyToID   *ID // when that post is here
	BoostOfID     *ID // of an Announce: the post that it shares
	Conversation  string
	Visibility    string
	Title         string // of an article, a page, an event or a medium elsewhere, plain text
	Content       string // safe HTML
	Source        string // what the author typed; "" elsewhere
	Summary       string // content warning, plain text
	Sensitive     bool
	Language      string
	URL           string
	Quote         IRI          // the post that this one quotes
	QuoteApproval IRI          // the stamp that allows it (FEP-044f), as claimed
	QuoteAllowed  bool         // the server of the post that is quoted says so; until then nobody is shown what is quoted
	Approval      string       // of a reply whose parent's author wants to be asked: ApprovalPending, ApprovalRejected, or the IRI that says yes
	Policy        *Policy      `gorm:"serializer:json"`
	Attachments   []Attachment `gorm:"serializer:json"`
	Mentions      []Mention    `gorm:"serializer:json"`
	Tags          []string     `gorm:"serializer:json"` // lower case, without #
	Raw           []byte       // as received; nil on this node
	PublishedAt   time.Time
	EditedAt      *time.Time
	DeletedAt     *time.Time // a tombstone: the id stays taken, the words are gone
}

// What Post.Approval says while nobody has said yes.
const (
	ApprovalPending  = "pending"
	ApprovalRejected = "rejected"
)

// TableName keeps gorm from guessing: mentions are rows of their own beside the column.
func (Post) TableName() string { return "posts" }

// Page asks for part of a list that is sorted by falling id: below MaxID, above MinID, at most Limit (20 when 0). With Up it is the part next above MinID, and by rising id.
type Page struct {
	MaxID, MinID ID
	Limit        int
	Up           bool
}

func (p Page) of(q *gorm.DB) *gorm.DB {
	if p.MaxID > 0 {
		q = q.Where("id < ?", p.MaxID)
	}
	if p.MinID > 0 {
		q = q.Where("id > ?", p.MinID)
	}
	if p.Up {
		return q.Order("id").Limit(p.limit())
	}
	return q.Order("id DESC").Limit(p.limit())
}

func (p Page) limit() int {
	if p.Limit <= 0 {
		return 20
	}
	return p.Limit
}

// SavePost inserts a post, or replaces what an edit may change when the IRI is known; ID is set to the row's.
// ErrConflict when the IRI belongs to another author or to a deleted post.
func (db *DB) SavePost(ctx context.Context, p *Post) error {
	return db.Transaction(ctx, func(tx *DB) error {
		var old Post
		err := translate(tx.q(ctx).Select("id", "actor_id", "deleted_at").Where("iri = ?", p.IRI).Take(&old).Error)
		switch {
		case err == nil:
			if old.ActorID != p.ActorID || old.DeletedAt != nil {
				return ErrConflict
			}
			p.ID = old.ID
			if err := tx.keepVersion(ctx, p); err != nil {
				return err
			}
			err = tx.q(ctx).Model(p).Select("title", "content", "source", "summary", "sensitive", "language", "url", "quote", "quote_approval", "quote_allowed", "policy", "attachments", "mentions", "tags", "raw", "edited_at").
				Updates(p).Error
			if err != nil {
				return translate(err)
			}
			if err := tx.q(ctx).Where("post_id = ?", p.ID).Delete(&mentionRow{}).Error; err != nil {
				return translate(err)
			}
			if err := tx.q(ctx).Where("post_id = ?", p.ID).Delete(&hashtagRow{}).Error; err != nil {
				return translate(err)
			}
		case err == ErrNotFound:
			fresh, err := tx.AddPost(ctx, p)
			if err == nil && !fresh {
				err = ErrConflict // another copy of the node was faster
			}
			return err
		default:
			return err
		}
		if err := tx.savePostRows(ctx, p); err != nil {
			return err
		}
		return tx.changed(ctx, ChangeEdit, p.ID, p.ActorID, 0)
	})
}

// AddMessage inserts a direct post of the node itself to people of this node. It begins no conversation, and nobody looks on but those who are told by a notification.
func (db *DB) AddMessage(ctx context.Context, p *Post) error {
	return db.Transaction(ctx, func(tx *DB) error {
		fresh, err := tx.insert(ctx, p, "iri")
		if err == nil && !fresh {
			err = ErrConflict
		}
		if err != nil {
			return err
		}
		return tx.savePostRows(ctx, p)
	})
}

// AddPost inserts a post. fresh is false when its IRI is taken, and nothing is changed.
func (db *DB) AddPost(ctx context.Context, p *Post) (fresh bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) (err error) {
		if p.ID == 0 {
			p.ID = tx.NewID()
		}
		if fresh, err = tx.insert(ctx, p, "iri"); err != nil || !fresh {
			return err
		}
		_, err = tx.run(ctx, "UPDATE posts SET in_reply_to_id = ? WHERE in_reply_to = ? AND in_reply_to <> '' AND in_reply_to_id IS NULL", p.ID, p.IRI)
		if err != nil { // answers that came before
			return err
		}
		if err := tx.savePostRows(ctx, p); err != nil {
			return err
		}
		if p.Visibility == Direct {
			if err := tx.converse(ctx, p); err != nil {
				return err
			}
		}
		return tx.changed(ctx, ChangePost, p.ID, p.ActorID, 0)
	})
	return fresh, err
}

type mentionRow struct{ ActorID, PostID ID }

func (mentionRow) TableName() string { return "mentions" }

type hashtagRow struct {
	Name   string
	PostID ID
}

func (hashtagRow) TableName() string { return "hashtags" }

func (db *DB) savePostRows(ctx context.Context, p *Post) error {
	for _, m := range p.Mentions {
		if m.ActorID == 0 {
			continue
		}
		if _, err := db.insert(ctx, &mentionRow{m.ActorID, p.ID}, ""); err != nil {
			return err
		}
	}
	for _, name := range p.Tags {
		if _, err := db.insert(ctx, &hashtagRow{name, p.ID}, ""); err != nil {
			return err
		}
	}
	return nil
}

// PostByIRI finds a post by its id, deleted ones too, or ErrNotFound.
func (db *DB) PostByIRI(ctx context.Context, iri IRI) (*Post, error) {
	var p Post
	return &p, translate(db.q(ctx).Where("iri = ?", iri).Take(&p).Error)
}

// OwnerOfPost finds who wrote a post, and its type, by the post's id, deleted ones too, or ErrNotFound.
func (db *DB) OwnerOfPost(ctx context.Context, iri IRI) (owner IRI, kind string, err error) {
	err = db.one(ctx, "SELECT actors.iri, posts.type FROM posts JOIN actors ON actors.id = posts.actor_id WHERE posts.iri = ?", []any{iri}, &owner, &kind)
	return owner, kind, err
}

// PostByID finds a post by the id of its row, deleted ones too, or ErrNotFound.
func (db *DB) PostByID(ctx context.Context, id ID) (*Post, error) {
	var p Post
	return &p, translate(db.q(ctx).Where("id = ?", id).Take(&p).Error)
}

// DeletePost leaves a tombstone: the id stays taken for ever, the words are gone.
func (db *DB) DeletePost(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		err := tx.q(ctx).Model(&Post{}).Where("id = ?", id).Updates(map[string]any{
			"title": "", "content": "", "source": "", "summary": "", "quote": "", "quote_approval": "", "quote_allowed": false, "attachments": nil, "mentions": nil, "tags": nil, "raw": nil, "deleted_at": tx.Now().UTC(),
		}).Error
		if err != nil {
			return translate(err)
		}
		if err := tx.freeMediaOf(ctx, id); err != nil {
			return err
		}
		if err := tx.unconverse(ctx, id); err != nil {
			return err
		}
		var offers []ID
		if err := tx.q(ctx).Model(&Offer{}).Where("post_id = ? AND post_id <> 0 AND deleted_at IS NULL", id).Pluck("id", &offers).Error; err != nil {
			return translate(err)
		}
		for _, offer := range offers {
			if err := tx.DeleteOffer(ctx, offer); err != nil {
				return err
			}
		}
		if err := tx.q(ctx).Where("boost_of_id = ?", id).Delete(&Post{}).Error; err != nil {
			return translate(err)
		}
		for _, row := range []any{&hashtagRow{}, &Notification{}, &mentionRow{}, &Like{}, &Pin{}, &Bookmark{}, &Vote{}, &Poll{}, &Stamp{}, &PostVersion{}, &FilterPost{}} {
			if err := tx.q(ctx).Where("post_id = ?", id).Delete(row).Error; err != nil {
				return translate(err)
			}
		}
		return tx.changed(ctx, ChangeDelete, id, 0, 0)
	})
}

// DeletePostsOf leaves tombstones for all that an actor said.
func (db *DB) DeletePostsOf(ctx context.Context, actor ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		var ids []ID
		if err := tx.q(ctx).Model(&Post{}).Where("actor_id = ? AND deleted_at IS NULL", actor).Pluck("id", &ids).Error; err != nil {
			return translate(err)
		}
		for _, id := range ids {
			if err := tx.DeletePost(ctx, id); err != nil {
				return err
			}
		}
		return translate(tx.q(ctx).Where("actor_id = ? AND boost_of_id IS NOT NULL", actor).Delete(&Post{}).Error)
	})
}

// Mentioned reports whether a post speaks to an actor by name.
func (db *DB) Mentioned(ctx context.Context, post, actor ID) (bool, error) {
	var n int64
	return n > 0, translate(db.q(ctx).Model(&mentionRow{}).Where("actor_id = ? AND post_id = ?", actor, post).Count(&n).Error)
}

// PostsBy lists an actor's posts of the given visibilities, newest first.
func (db *DB) PostsBy(ctx context.Context, actor ID, visibilities []string, p Page) ([]Post, error) {
	var ps []Post
	return ps, translate(p.of(db.q(ctx).Where("actor_id = ? AND deleted_at IS NULL AND visibility IN ?", actor, visibilities)).Find(&ps).Error)
}

// Replies lists the posts that answer a post, newest first.
func (db *DB) Replies(ctx context.Context, iri IRI, visibilities []string, p Page) ([]Post, error) {
	var ps []Post
	return ps, translate(p.of(db.q(ctx).Where("in_reply_to = ? AND in_reply_to <> '' AND deleted_at IS NULL AND visibility IN ?", iri, visibilities)).Find(&ps).Error)
}

// Conversation lists the posts of a conversation of the given visibilities, oldest first.
func (db *DB) Conversation(ctx context.Context, conversation string, visibilities []string, after ID, limit int) ([]Post, error) {
	var ps []Post
	return ps, translate(db.q(ctx).Where("conversation = ? AND conversation <> '' AND id > ? AND deleted_at IS NULL AND visibility IN ?", conversation, after, visibilities).
		Order("id").Limit(limit).Find(&ps).Error)
}

// CountConversation counts the posts of a conversation of the given visibilities.
func (db *DB) CountConversation(ctx context.Context, conversation string, visibilities []string) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&Post{}).Where("conversation = ? AND conversation <> '' AND deleted_at IS NULL AND visibility IN ?", conversation, visibilities).Count(&n).Error)
}

// CountReplies counts the posts that answer a post, of the given visibilities.
func (db *DB) CountReplies(ctx context.Context, iri IRI, visibilities []string) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&Post{}).Where("in_reply_to = ? AND in_reply_to <> '' AND deleted_at IS NULL AND visibility IN ?", iri, visibilities).Count(&n).Error)
}

// SetApproval stores what a parent's author said of a reply.
func (db *DB) SetApproval(ctx context.Context, post ID, approval string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Post{}).Where("id = ?", post).Update("approval", approval).Error)
	})
}

// CountPosts counts an actor's public and unlisted posts.
func (db *DB) CountPosts(ctx context.Context, actor ID) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&Post{}).Where("actor_id = ? AND deleted_at IS NULL AND visibility IN ('public', 'unlisted')", actor).Count(&n).Error)
}

// CountLocalPosts counts what was said on this node.
func (db *DB) CountLocalPosts(ctx context.Context) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&Post{}).Where("deleted_at IS NULL AND boost_of_id IS NULL AND actor_id IN (SELECT id FROM actors WHERE domain = '' AND type NOT IN ('Application', 'Service'))").Count(&n).Error)
}

// PostsByID reads several posts that are not deleted, by id.
func (db *DB) PostsByID(ctx context.Context, ids []ID) (map[ID]*Post, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ps, err := found[Post](db, db.q(ctx).Where("id IN ? AND deleted_at IS NULL", some(ids)), len(ids))
	if err != nil {
		return nil, err
	}
	out := make(map[ID]*Post, len(ps))
	for i := range ps {
		out[ps[i].ID] = &ps[i]
	}
	return out, nil
}
