package storage

import (
	"context"
	"math"
	"strings"
	"time"
)

// What an offer is for (FEP-0837 purpose).
const (
	PurposeOffer   = "offer"
	PurposeRequest = "request"
)

// The two categories of the market; finer ones are tags.
const (
	Goods    = "goods"
	Services = "services"
)

// How an offer is paid.
const (
	PricePriced = "price" // so much for each lot
	PriceGift   = "gift"  // nothing
	PriceOpen   = "open"  // whoever orders says how much
)

// The states of an offer.
const (
	OfferOpen   = "open"
	OfferPaused = "paused" // by its author, for a while
	OfferSold   = "sold"   // nothing is left
	OfferClosed = "closed" // by its author, or its time is over
)

// RelProposal marks the link of a post that leads to an offer (FEP-0ea0, FEP-0837).
const RelProposal = "https://w3id.org/valueflows/ont/vf#Proposal"

// Offer is something offered or asked for, of this node or elsewhere: a Proposal of FEP-0837. It is counted in lots: so much of its unit,
// ordered whole.
type Offer struct {
	ID           ID  `gorm:"primaryKey;autoIncrement:false"`
	IRI          IRI // of the Proposal
	ActorID      ID
	UserID       ID // who made it; 0 elsewhere and for the operator
	PostID       ID // the Note that carries it; 0 when that is not here
	Purpose      string
	Title        string
	Content      string // safe HTML
	Source       string // what the author typed; "" elsewhere
	Language     string
	Category     string
	Tags         []string     `gorm:"serializer:json"`
	Images       []Attachment `gorm:"serializer:json"` // elsewhere; those of this node are the post's
	URL          string       // of its page
	Resource     IRI          // what it conforms to (a Wikidata item, say); "" for nothing in particular
	Unit         string       // of OM2: one, kilogram, hour, …
	Per          Decimal      // how much of the unit one lot is
	UnitBased    bool         // several lots may be ordered at once
	Stock        *int64       // lots that there were; nil: as many as anybody wants
	Available    *int64       // lots that are left
	Minimum      int64        // lots in one order
	Pricing      string
	Price        Decimal // of one lot; "" unless Pricing is PricePriced
	PriceScale   int     // digits after the point that its currency is written with
	PriceValue   float64 // about Price
	Currency     IRI     // "" when none is named
	CurrencyName string  // for people: GRN, EUR; "" when unknown
	Place        string
	Latitude     *float64 // as coarse as its author wants
	Longitude    *float64
	EndsAt       *time.Time
	State        string
	AutoAccept   bool
	HoldSeconds  int64 // how long an accepted order may wait to be fulfilled
	Orderable    bool  // its server takes orders of FEP-0837
	Listed       bool  // in the market of this node
	Raw          []byte
	PublishedAt  time.Time
	UpdatedAt    time.Time
	DeletedAt    *time.Time
}

// Money writes an amount in the offer's currency as people write it there: 4.50.
func (o *Offer) Money(d Decimal) string {
	whole, fraction, _ := strings.Cut(string(d), ".")
	if n := o.PriceScale - len(fraction); n > 0 {
		fraction += strings.Repeat("0", n)
	}
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}

// Open reports whether it can be ordered now.
func (o *Offer) Open(now time.Time) bool {
	return o.State == OfferOpen && o.DeletedAt == nil && (o.EndsAt == nil || now.Before(*o.EndsAt))
}

// AddOffer inserts an offer with the words by which it is found. fresh is false when its IRI is taken, and nothing is changed.
func (db *DB) AddOffer(ctx context.Context, o *Offer, words []string) (fresh bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) (err error) {
		if o.ID == 0 {
			o.ID = tx.NewID()
		}
		if fresh, err = tx.insert(ctx, o, "iri"); err != nil || !fresh {
			return err
		}
		return tx.saveOfferWords(ctx, o.ID, words)
	})
	return fresh, err
}

// SaveOffer stores the terms of an offer, with its words. What is available changes with the orders, and by Restock.
func (db *DB) SaveOffer(ctx context.Context, o *Offer, words []string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if err := tx.q(ctx).Model(o).Select("post_id", "title", "content", "source", "language", "category", "tags", "images", "url", "resource", "unit", "per",
			"unit_based", "minimum", "pricing", "price", "price_scale", "price_value", "currency", "currency_name", "place", "latitude", "longitude", "ends_at", "auto_accept",
			"hold_seconds", "orderable", "listed", "raw", "updated_at").Updates(o).Error; err != nil {
			return translate(err)
		}
		if _, err := tx.run(ctx, "DELETE FROM offer_words WHERE offer_id = ?", o.ID); err != nil {
			return err
		}
		return tx.saveOfferWords(ctx, o.ID, words)
	})
}

// MirrorStock stores what is left of an offer elsewhere, and how it stands, as its server says.
func (db *DB) MirrorStock(ctx context.Context, o *Offer) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(o).Select("stock", "available", "state").Updates(o).Error)
	})
}

var insertOfferWords = newBulk("INSERT INTO offer_words (word, offer_id) VALUES ", 2, " ON CONFLICT DO NOTHING")

func (db *DB) saveOfferWords(ctx context.Context, offer ID, words []string) error {
	args := make([]any, 0, 2*len(words))
	for _, w := range words {
		args = append(args, w, offer)
	}
	return insertOfferWords.exec(ctx, db, args)
}

// OfferByID finds an offer, deleted ones too, or ErrNotFound.
func (db *DB) OfferByID(ctx context.Context, id ID) (*Offer, error) {
	var o Offer
	return &o, translate(db.q(ctx).Where("id = ?", id).Take(&o).Error)
}

// OfferByIRI finds an offer by the id of its Proposal, deleted ones too, or ErrNotFound.
func (db *DB) OfferByIRI(ctx context.Context, iri IRI) (*Offer, error) {
	var o Offer
	return &o, translate(db.q(ctx).Where("iri = ?", iri).Take(&o).Error)
}

// OfferByPost finds the offer that a post carries, or ErrNotFound.
func (db *DB) OfferByPost(ctx context.Context, post ID) (*Offer, error) {
	var o Offer
	return &o, translate(db.q(ctx).Where("post_id = ? AND post_id <> 0", post).Take(&o).Error)
}

// OffersByPosts finds the offers that some posts carry, but for deleted ones.
func (db *DB) OffersByPosts(ctx context.Context, posts []ID) ([]Offer, error) {
	var os []Offer
	if len(posts) == 0 {
		return os, nil
	}
	return os, translate(db.q(ctx).Where("post_id IN ? AND post_id <> 0 AND deleted_at IS NULL", posts).Find(&os).Error)
}

// OwnerOfOffer finds whose an offer is by its id, deleted ones too, or ErrNotFound.
func (db *DB) OwnerOfOffer(ctx context.Context, iri IRI) (owner IRI, err error) {
	err = db.one(ctx, "SELECT actors.iri FROM offers JOIN actors ON actors.id = offers.actor_id WHERE offers.iri = ?", []any{iri}, &owner)
	return owner, err
}

// SetOfferState opens, pauses or closes an offer.
func (db *DB) SetOfferState(ctx context.Context, id ID, state string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		_, err := tx.run(ctx, "UPDATE offers SET state = ?, updated_at = ? WHERE id = ?", state, tx.Now().UTC(), id)
		return err
	})
}

// DeleteOffer leaves what its orders need of an offer, and takes it out of sight for ever.
func (db *DB) DeleteOffer(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if _, err := tx.run(ctx, "DELETE FROM offer_words WHERE offer_id = ?", id); err != nil {
			return err
		}
		now := tx.Now().UTC()
		_, err := tx.run(ctx, "UPDATE offers SET state = 'closed', listed = ?, content = '', source = '', images = NULL, raw = NULL, latitude = NULL, longitude = NULL, updated_at = ?, deleted_at = ? WHERE id = ?", false, now, now, id)
		return err
	})
}

// Reserve takes lots from what is left of an offer that is open; what does not suffice for another order any more is sold. ErrConflict when so
// many are not left, and nothing is changed: no lot is sold twice.
func (db *DB) Reserve(ctx context.Context, offer ID, lots int64) error {
	return db.Transaction(ctx, func(tx *DB) error {
		n, err := tx.run(ctx, `UPDATE offers SET available = available - ?, state = CASE WHEN state = 'open' AND available - ? < minimum THEN 'sold' ELSE state END, updated_at = ?
			WHERE id = ? AND (available IS NULL OR available >= ?)`, lots, lots, tx.Now().UTC(), offer, lots)
		if err == nil && n == 0 {
			err = ErrConflict
		}
		return err
	})
}

// Release gives lots back that were reserved; what was sold is open again.
func (db *DB) Release(ctx context.Context, offer ID, lots int64) error {
	return db.Transaction(ctx, func(tx *DB) error {
		_, err := tx.run(ctx, `UPDATE offers SET available = available + ?, state = CASE WHEN state = 'sold' AND available + ? >= minimum THEN 'open' ELSE state END, updated_at = ?
			WHERE id = ?`, lots, lots, tx.Now().UTC(), offer)
		return err
	})
}

// Restock sets how many lots of an offer are left for new orders; nil for as many as anybody wants. What is reserved stays reserved.
func (db *DB) Restock(ctx context.Context, offer ID, available *int64) error {
	return db.Transaction(ctx, func(tx *DB) error {
		var reserved int64
		err := tx.one(ctx, "SELECT COALESCE(SUM(lots), 0) FROM orders WHERE offer_id = ? AND reserved", []any{offer}, &reserved)
		if err != nil {
			return err
		}
		var stock *int64
		if available != nil {
			total := *available + reserved
			stock = &total
		}
		left := int64(math.MaxInt64)
		if available != nil {
			left = *available
		}
		_, err = tx.run(ctx, `UPDATE offers SET stock = ?, available = ?, updated_at = ?,
			state = CASE WHEN state IN ('open', 'sold') THEN CASE WHEN minimum <= ? THEN 'open' ELSE 'sold' END ELSE state END WHERE id = ?`,
			stock, available, tx.Now().UTC(), left, offer)
		return err
	})
}

// LockOffer makes others wait who want to change an offer, until the transaction ends. SQLite has one writer anyway.
func (db *DB) LockOffer(ctx context.Context, id ID) (*Offer, error) {
	if db.dialect == postgresDialect {
		if err := db.one(ctx, "SELECT id FROM offers WHERE id = ? FOR UPDATE", []any{id}, new(ID)); err != nil {
			return nil, err
		}
	}
	return db.OfferByID(ctx, id)
}

// OffersEnding lists the open offers of this node whose time is over, oldest first.
func (db *DB) OffersEnding(ctx context.Context, limit int) ([]Offer, error) {
	var os []Offer
	return os, translate(db.q(ctx).Where("state = 'open' AND ends_at IS NOT NULL AND ends_at <= ? AND deleted_at IS NULL AND actor_id IN (SELECT id FROM actors WHERE domain = '')", db.Now().UTC()).
		Order("ends_at").Limit(limit).Find(&os).Error)
}

// OffersOf lists what an actor offers and asks for, closed ones too when all is set, newest first.
func (db *DB) OffersOf(ctx context.Context, actor ID, all bool, p Page) ([]Offer, error) {
	q := db.q(ctx).Where("actor_id = ? AND deleted_at IS NULL", actor)
	if !all {
		q = q.Where("state IN ('open', 'sold')")
	}
	var os []Offer
	return os, translate(p.of(q).Find(&os).Error)
}

// EachOffer hands over all that an actor ever offered and asked for, deleted ones too, oldest first, so many at a time.
func (db *DB) EachOffer(ctx context.Context, actor ID, at int, fn func(*Offer) error) error {
	for after := ID(0); ; {
		var os []Offer
		if err := translate(db.q(ctx).Where("actor_id = ? AND id > ?", actor, after).Order("id").Limit(at).Find(&os).Error); err != nil {
			return err
		}
		for i := range os {
			if err := fn(&os[i]); err != nil {
				return err
			}
			after = os[i].ID
		}
		if len(os) < at {
			return nil
		}
	}
}

// Market asks for what is in the market of this node.
type Market struct {
	Purpose  string   // PurposeOffer or PurposeRequest; "" for both
	Words    []string // folded; each is the beginning of a word that is found
	Category string   // "" for both
	Currency IRI      // "" for any
	Most     float64  // price of a lot at most; 0 for any. Gifts cost nothing; what has an open price is left out
	Coop     ID       // of one actor alone; 0 for all
	Near     *Near
	Page     Page
}

// Near is a box around a place.
type Near struct{ South, North, West, East float64 }

// Market lists what is open in the market of this node, newest first: what its own actors offer, and what was read from others. Suspended and
// silenced actors are left out.
func (db *DB) Market(ctx context.Context, m Market) ([]Offer, error) {
	q := db.q(ctx).Where(`listed AND state = 'open' AND deleted_at IS NULL AND (ends_at IS NULL OR ends_at > ?)
		AND NOT EXISTS (SELECT 1 FROM actors a WHERE a.id = offers.actor_id AND (a.suspended_at IS NOT NULL OR a.silenced_at IS NOT NULL OR a.deleted_at IS NOT NULL))`, db.Now().UTC())
	if m.Purpose != "" {
		q = q.Where("purpose = ?", m.Purpose)
	}
	narrow := m.Near != nil && m.Near.North-m.Near.South < wideBox
	rarest := -1
	if !narrow { // else the place leaves few enough
		var err error
		if rarest, err = db.rarest(ctx, m.Words); err != nil {
			return nil, err
		}
	}
	for i, w := range m.Words {
		if i == rarest {
			q = q.Where("id IN (SELECT offer_id FROM offer_words WHERE word >= ? AND word < ?)", w, w+lastRune)
			continue
		}
		q = q.Where("EXISTS (SELECT 1 FROM offer_words w WHERE w.offer_id = offers.id AND w.word >= ? AND w.word < ?)", w, w+lastRune)
	}
	if m.Category != "" {
		q = q.Where("category = ?", m.Category)
	}
	if m.Currency != "" {
		q = q.Where("currency = ?", m.Currency)
	}
	if m.Most > 0 {
		q = q.Where("(pricing = 'gift' OR pricing = 'price' AND price_value <= ?)", m.Most)
	}
	if m.Coop != 0 {
		q = q.Where("actor_id = ?", m.Coop)
	}
	if m.Near != nil {
		if narrow {
			q = q.Where("latitude BETWEEN ? AND ?", m.Near.South, m.Near.North)
		} else { // the newest are looked at until there are enough; + keeps SQLite from sorting all that lie in the box
			q = q.Where("+latitude BETWEEN ? AND ?", m.Near.South, m.Near.North)
		}
		if m.Near.West <= m.Near.East {
			q = q.Where("longitude BETWEEN ? AND ?", m.Near.West, m.Near.East)
		} else { // across the date line
			q = q.Where("(longitude >= ? OR longitude <= ?)", m.Near.West, m.Near.East)
		}
	}
	var os []Offer
	return os, translate(m.Page.of(q).Find(&os).Error)
}

// lastRune ends the range of all words that begin alike.
const lastRune = "\U0010FFFF"

// fewOffers is up to how many offers that hold a word are collected and sorted; above that the newest offers are looked at, one after the other, until enough
// of them hold it. wideBox, in degrees, is the like for places.
const (
	fewOffers = 1500
	wideBox   = 0.5
)

// rarest finds the word that the fewest offers hold, -1 when all of them are common.
func (db *DB) rarest(ctx context.Context, words []string) (int, error) {
	best, least := -1, int64(fewOffers)
	for i, w := range words {
		var n int64
		err := db.one(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM offer_words WHERE word >= ? AND word < ? LIMIT ?) few", []any{w, w + lastRune, least}, &n)
		if err != nil {
			return -1, err
		}
		if n < least {
			best, least = i, n
		}
	}
	return best, nil
}

// KnowsHost reports whether this node has to do with a server: somebody here follows somebody there or is followed from there, or it is let in by name.
func (db *DB) KnowsHost(ctx context.Context, domain string) (bool, error) {
	var known int
	err := db.one(ctx, `SELECT CASE WHEN EXISTS (SELECT 1 FROM domain_rules WHERE domain = ? AND kind = 'allow')
		OR EXISTS (SELECT 1 FROM actors a JOIN follows f ON f.target_id = a.id JOIN actors l ON l.id = f.actor_id AND l.domain = '' WHERE a.domain = ? AND f.state = 'accepted')
		OR EXISTS (SELECT 1 FROM actors a JOIN follows f ON f.actor_id = a.id JOIN actors l ON l.id = f.target_id AND l.domain = '' WHERE a.domain = ? AND f.state = 'accepted')
		THEN 1 ELSE 0 END`, []any{domain, domain, domain}, &known)
	return known == 1, err
}

// OffersOfPosts reads the offers that several posts carry, by post.
func (db *DB) OffersOfPosts(ctx context.Context, posts []ID) (map[ID]*Offer, error) {
	if len(posts) == 0 {
		return nil, nil
	}
	os, err := found[Offer](db, db.q(ctx).Where("post_id IN ? AND post_id <> 0", some(posts)), 1)
	if err != nil {
		return nil, err
	}
	out := make(map[ID]*Offer, len(os))
	for i := range os {
		out[os[i].PostID] = &os[i]
	}
	return out, nil
}
