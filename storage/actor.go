package storage

import (
	"context"
	"strings"
	"time"
)

// The actor types of ActivityStreams 2.0 §3.3 that speak on this node or to it.
const (
	Person       = "Person"
	Organization = "Organization"
	Group        = "Group"
	Application  = "Application"
	Service      = "Service"
)

// Link is a named address on a profile.
type Link struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// Field is a line of a profile, as `schema:PropertyValue` carries it; Value is safe HTML.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Actor speaks: a person, a co-op, the node itself, or any of these elsewhere.
type Actor struct {
	ID       ID `gorm:"primaryKey;autoIncrement:false"`
	IRI      IRI
	Type     string
	Username string
	Domain   string // "" on this node
	Name     string
	Summary  string // safe HTML
	Source   string // what the summary was written as
	URL      string

	Inbox, SharedInbox, Outbox, Followers, Following, Featured, Liked IRI

	IconURL, IconAlt, HeaderURL string

	Locked, Bot, Discoverable, Indexable bool

	Category            string
	Place               string
	Latitude, Longitude *float64
	Hours               string
	Links               []Link   `gorm:"serializer:json"`
	Principles          []string `gorm:"serializer:json"` // of the International Cooperative Alliance, "1" to "7"
	Fields              []Field  `gorm:"serializer:json"`
	AlsoKnownAs         []IRI    `gorm:"serializer:json"`
	MovedTo             IRI
	MovedAt             *time.Time // when the followers here went along
	Raw                 []byte     // the document as received; nil on this node

	PublishedAt, CreatedAt, UpdatedAt, FetchedAt time.Time
	SuspendedAt, SilencedAt, DeletedAt           *time.Time
}

// Local reports whether the actor lives on this node.
func (a *Actor) Local() bool { return a.Domain == "" }

// Handle is @name@domain; host names this node for its own actors.
func (a *Actor) Handle(host string) string {
	if a.Domain != "" {
		host = a.Domain
	}
	return "@" + a.Username + "@" + host
}

// ActorByIRI finds an actor by its id, or ErrNotFound.
func (db *DB) ActorByIRI(ctx context.Context, iri IRI) (*Actor, error) {
	var a Actor
	return &a, db.take(ctx, &a, "iri = ?", iri)
}

// LocalReader finds what a mention needs of an actor of this node whom speaker can speak to: ID, IRI, Username and URL, no more.
// ErrNotFound also for who is deleted, for the node itself, and where one of both blocks the other.
func (db *DB) LocalReader(ctx context.Context, iri IRI, speaker ID) (*Actor, error) {
	a := &Actor{IRI: iri}
	return a, db.one(ctx, `SELECT id, username, url FROM actors
		WHERE iri = ? AND domain = '' AND deleted_at IS NULL AND type <> 'Application' AND type <> 'Service'
		AND NOT EXISTS (SELECT 1 FROM blocks WHERE actor_id = actors.id AND target_id = ?)
		AND NOT EXISTS (SELECT 1 FROM blocks WHERE actor_id = ? AND target_id = actors.id)`, []any{iri, speaker, speaker}, &a.ID, &a.Username, &a.URL)
}

// ActorByID finds an actor by the id of its row, or ErrNotFound.
func (db *DB) ActorByID(ctx context.Context, id ID) (*Actor, error) {
	var a Actor
	return &a, db.take(ctx, &a, "id = ?", id)
}

// ActorsByID reads several actors, in no order; ids without an actor are left out.
func (db *DB) ActorsByID(ctx context.Context, ids []ID) ([]Actor, error) {
	var as []Actor
	if len(ids) == 0 {
		return as, nil
	}
	return as, translate(db.q(ctx).Where("id IN ?", ids).Find(&as).Error)
}

// unseen are the columns of an actor that nobody is shown: half of them, and the document as it came.
var unseen = []string{"raw", "source", "inbox", "shared_inbox", "outbox", "followers", "following", "featured", "liked", "latitude", "longitude", "principles", "also_known_as", "moved_to", "moved_at"}

// Faces is ActorsByID for lists that people read: without what they are not shown (unseen).
func (db *DB) Faces(ctx context.Context, ids []ID) ([]Actor, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return found[Actor](db, db.q(ctx).Omit(unseen...).Where("id IN ?", padded(ids)), len(ids))
}

// LocalActor finds an actor of this node by name, in any case, or ErrNotFound. Deleted actors are found too.
func (db *DB) LocalActor(ctx context.Context, username string) (*Actor, error) {
	var a Actor
	return &a, translate(db.q(ctx).Where("domain = '' AND lower(username) = ?", strings.ToLower(username)).Take(&a).Error)
}

// ActorByHandle finds an actor elsewhere by name and domain, both in lower case, or ErrNotFound.
func (db *DB) ActorByHandle(ctx context.Context, username, domain string) (*Actor, error) {
	var a Actor
	return &a, translate(db.q(ctx).Where("domain = ? AND lower(username) = ?", strings.ToLower(domain), strings.ToLower(username)).
		Order("id DESC").Take(&a).Error)
}

// ActorByFollowers finds the actor whose followers collection this is, or ErrNotFound.
func (db *DB) ActorByFollowers(ctx context.Context, collection IRI) (*Actor, error) {
	var a Actor
	return &a, translate(db.q(ctx).Where("followers = ? AND followers <> ''", collection).Take(&a).Error)
}

// LocalActors lists this node's actors of one type ("" for all) that are not deleted, oldest first.
func (db *DB) LocalActors(ctx context.Context, kind string) ([]Actor, error) {
	q := db.q(ctx).Where("domain = '' AND deleted_at IS NULL")
	if kind != "" {
		q = q.Where("type = ?", kind)
	}
	var as []Actor
	return as, translate(q.Order("id").Find(&as).Error)
}

// SaveActor inserts the actor, or replaces all that its row holds when the IRI is known; ID and CreatedAt are set to the row's.
// ErrConflict when another actor of this node has the name.
func (db *DB) SaveActor(ctx context.Context, a *Actor) error {
	return db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		var old Actor
		err := tx.q(ctx).Select("id", "created_at", "published_at").Where("iri = ?", a.IRI).Take(&old).Error
		a.UpdatedAt = now
		if a.PublishedAt.IsZero() { // her document does not say: as long as she has been known here
			if a.PublishedAt = now; err == nil {
				a.PublishedAt = old.PublishedAt
			}
		}
		if a.FetchedAt.IsZero() {
			a.FetchedAt = now
		}
		if err == nil {
			a.ID, a.CreatedAt = old.ID, old.CreatedAt
			return translate(tx.q(ctx).Model(a).Select("*").Omit("id", "iri", "created_at").Updates(a).Error)
		}
		if err := translate(err); err != ErrNotFound {
			return err
		}
		a.CreatedAt = now
		if a.ID == 0 {
			a.ID = tx.NewID()
		}
		return translate(tx.q(ctx).Create(a).Error)
	})
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
