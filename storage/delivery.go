package storage

import (
	"context"
	"math/bits"
	"slices"
	"time"

	"gorm.io/gorm/clause"
)

// The states of a delivery.
const (
	DeliveryQueued = "queued"
	DeliveryDone   = "done"
	DeliveryDead   = "dead"
)

// Delivery is the duty to bring one activity to one inbox. It is written in the transaction that causes it.
type Delivery struct {
	ID         ID `gorm:"primaryKey;autoIncrement:false"`
	ActivityID ID
	Inbox      IRI
	Host       string // of the inbox, with its port unless it is the scheme's own
	ActorID    ID     // who signs
	Object     IRI    // deliveries of one object to one host go out one after another
	Lasting    bool   // it is for somebody in particular, and waits for her server however long that is away
	State      string
	Attempts   int
	NextAt     time.Time
	LeaseUntil time.Time // a worker has it until then
	LastStatus int       // HTTP status, 0 when there was no answer
	LastError  string
	CreatedAt  time.Time // or since when it waits anew, by RetryDeliveries
}

// Host is what is known of another server's health.
type Host struct {
	Host           string `gorm:"primaryKey"`
	Failures       int    // in a row
	FirstFailureAt *time.Time
	FailingDays    int
	LastFailureAt  *time.Time
	OpenUntil      *time.Time // the breaker: nothing is sent before
	LastOKAt       *time.Time `gorm:"column:last_ok_at"`
	UnavailableAt  *time.Time // failing for a week
	Scheme         string     // the signature that it took last: "", "cavage" or "rfc9421"
}

// Claim is a delivery that the caller may try now, with what it needs.
type Claim struct {
	Delivery
	Raw  []byte // the activity
	Type string `gorm:"-"` // of the activity
	Host Host   `gorm:"-"`
}

// Supersede says which queued deliveries of an object a new activity about it makes pointless.
type Supersede int

const (
	SupersedeNone    Supersede = iota // nothing
	SupersedeUpdates                  // an Update replaces Updates that wait
	SupersedeAll                      // a Delete or Undo replaces what waits and was never tried
	SupersedeTried                    // likewise, and what was tried: it need not be there first
)

// Enqueue adds deliveries of one activity; an inbox that has it already is left alone. What it makes pointless is superseded
// for the inboxes that get this one, and for no others.
func (db *DB) Enqueue(ctx context.Context, ds []Delivery, s Supersede) error {
	if len(ds) == 0 {
		return nil
	}
	return db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		for i := range ds {
			d := &ds[i]
			d.ID, d.State, d.CreatedAt, d.NextAt, d.LeaseUntil = tx.NewID(), DeliveryQueued, now, now, now
		}
		if err := tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(ds, 200).Error; err != nil || s == SupersedeNone || ds[0].Object == "" {
			return translate(err)
		}
		q := tx.q(ctx).Model(&Delivery{}).Where(`state = 'queued' AND object = ? AND lease_until <= ? AND activity_id <> ?
			AND inbox IN (SELECT fresh.inbox FROM deliveries fresh WHERE fresh.activity_id = ?)`, ds[0].Object, now, ds[0].ActivityID, ds[0].ActivityID)
		if s == SupersedeUpdates {
			q = q.Where("activity_id IN (SELECT id FROM activities WHERE local AND object = ? AND type = 'Update')", ds[0].Object)
		} else if s == SupersedeAll {
			q = q.Where("attempts = 0")
		}
		return translate(q.Updates(map[string]any{"state": DeliveryDone, "last_error": "superseded"}).Error)
	})
}

// ClaimDeliveries leases up to limit deliveries that are due: not to the hosts in busy nor to those with an open breaker,
// at most room(host) for each host, and of each object and host the oldest only. more says that there may be others.
func (db *DB) ClaimDeliveries(ctx context.Context, busy []string, room func(Host) int, limit int, lease time.Duration) (claims []Claim, more bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		claims, more = nil, false
		now := tx.Now().UTC()
		var due []Claim
		q := tx.q(ctx).Table("deliveries").Select("deliveries.*").
			Joins("LEFT JOIN hosts ON hosts.host = deliveries.host").
			Where("state = 'queued' AND next_at <= ? AND lease_until <= ? AND (open_until IS NULL OR open_until <= ?)", now, now, now).
			Where(`NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.state = 'queued' AND e.host = deliveries.host AND e.object = deliveries.object
				AND e.object <> '' AND e.id < deliveries.id)`)
		if len(busy) > 0 {
			q = q.Where("deliveries.host NOT IN ?", padded(busy))
		}
		err := q.Clauses(clause.Locking{Strength: "UPDATE", Table: clause.Table{Name: "deliveries"}, Options: "SKIP LOCKED"}).
			Order("next_at, deliveries.id").Limit(limit).Find(&due).Error
		if err != nil || len(due) == 0 {
			return translate(err)
		}
		more = len(due) == limit
		names, activities := map[string]bool{}, map[ID]Activity{}
		for _, d := range due {
			names[d.Delivery.Host] = true
		}
		var hs []Host
		if err := tx.q(ctx).Where("host IN ?", padded(keys(names))).Find(&hs).Error; err != nil {
			return translate(err)
		}
		known := make(map[string]Host, len(hs))
		for _, h := range hs {
			known[h.Host] = h
		}
		left, ids := map[string]int{}, []ID{}
		for _, d := range due {
			name := d.Delivery.Host
			h, ok := known[name]
			if !ok {
				h = Host{Host: name}
			}
			if _, ok := left[name]; !ok {
				left[name] = room(h)
			}
			if left[name] <= 0 {
				continue
			}
			left[name]--
			d.Host = h
			d.Attempts++
			ids = append(ids, d.ID)
			activities[d.ActivityID] = Activity{}
			claims = append(claims, d)
		}
		if len(ids) == 0 {
			return nil
		}
		var as []Activity
		if err := tx.q(ctx).Select("id", "type", "raw").Where("id IN ?", padded(keys(activities))).Find(&as).Error; err != nil {
			return translate(err)
		}
		for _, a := range as {
			activities[a.ID] = a
		}
		for i := range claims {
			a := activities[claims[i].ActivityID]
			claims[i].Raw, claims[i].Type = a.Raw, a.Type
		}
		return translate(tx.q(ctx).Model(&Delivery{}).Where("id IN ?", padded(ids)).
			Updates(map[string]any{"lease_until": now.Add(lease), "attempts": clause.Expr{SQL: "attempts + 1"}}).Error)
	})
	if err != nil {
		return nil, false, err
	}
	return claims, more, nil
}

// some makes a list of ids fit for IN ?: never empty, and of few lengths.
func some(ids []ID) []ID {
	if len(ids) == 0 {
		return []ID{0}
	}
	return padded(append([]ID(nil), ids...))
}

// padded repeats the last element up to a power of two, so that few statements are prepared.
func padded[T any](in []T) []T {
	n := 1 << bits.Len(uint(max(len(in)-1, 0)))
	for len(in) < n {
		in = append(in, in[len(in)-1])
	}
	return in
}

func keys[K comparable, V any](m map[K]V) []K {
	out := make([]K, 0, len(m)+1)
	for k := range m {
		out = append(out, k)
	}
	return out
}

// FinishDelivery stores the outcome of a try: State, NextAt, LastStatus and LastError of d, and h unless it is nil.
func (db *DB) FinishDelivery(ctx context.Context, d *Delivery, h *Host) error {
	return db.Transaction(ctx, func(tx *DB) error {
		d.LeaseUntil = tx.Now().UTC()
		err := tx.q(ctx).Model(&Delivery{ID: d.ID}).Select("state", "next_at", "lease_until", "last_status", "last_error").Updates(d).Error
		if err != nil || h == nil {
			return translate(err)
		}
		return tx.SaveHost(ctx, h)
	})
}

// momentary are activities that are worth nothing days later: what they brought is asked for where it is. The others say
// what holds or holds no more, and a server that has not heard them goes on telling its people something untrue.
var momentary = []string{"Create", "Announce", "Like"}

// Momentary reports whether a delivery is worth nothing once its host was away for some days.
func (c *Claim) Momentary() bool { return !c.Lasting && slices.Contains(momentary, c.Type) }

// GiveUpDeliveries ends what waits for a host since before a time, or of what is momentary since before another one, and says
// how many. Tries to a host that does not answer are shared by all that waits for it: alone they would come to their last one
// years later, or never.
func (db *DB) GiveUpDeliveries(ctx context.Context, host string, before, momentaryBefore time.Time) (n int64, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		r := tx.q(ctx).Model(&Delivery{}).Where(`state = 'queued' AND host = ? AND lease_until <= ? AND (created_at < ?
			OR created_at < ? AND NOT lasting AND activity_id IN (SELECT id FROM activities WHERE local AND type IN ?))`,
			host, tx.Now().UTC(), before.UTC(), momentaryBefore.UTC(), momentary).
			Updates(map[string]any{"state": DeliveryDead, "last_error": "its host did not answer in time"})
		n = r.RowsAffected
		return translate(r.Error)
	})
	return n, err
}

// HastenDeliveries is for a host that is back: what waits for it is due now, and has had at most so many tries, that one request
// which is lost does not end it. It says how many.
func (db *DB) HastenDeliveries(ctx context.Context, host string, tries int) (n int64, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		r := tx.q(ctx).Model(&Delivery{}).Where("state = 'queued' AND host = ? AND lease_until <= ?", host, now).
			Updates(map[string]any{"next_at": now, "attempts": clause.Expr{SQL: "CASE WHEN attempts > ? THEN ? ELSE attempts END", Vars: []any{tries, tries}}})
		n = r.RowsAffected
		return translate(r.Error)
	})
	return n, err
}

// Redeliver brings an activity of ours to an inbox again: one who asks again gets the same answer, and it does not matter what became of the first.
func (db *DB) Redeliver(ctx context.Context, d *Delivery) error {
	return db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		d.ID, d.State, d.CreatedAt, d.NextAt, d.LeaseUntil = tx.NewID(), DeliveryQueued, now, now, now
		fresh, err := tx.insert(ctx, d, "activity_id, inbox")
		if err != nil || fresh {
			return err
		}
		_, err = tx.run(ctx, "UPDATE deliveries SET state = 'queued', attempts = 0, next_at = ?, created_at = ? WHERE activity_id = ? AND inbox = ? AND state <> 'queued'", now, now, d.ActivityID, d.Inbox)
		return err
	})
}

// ReleaseDelivery gives a claim back untried.
func (db *DB) ReleaseDelivery(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Delivery{}).Where("id = ? AND state = 'queued'", id).
			Updates(map[string]any{"lease_until": tx.Now().UTC(), "attempts": clause.Expr{SQL: "attempts - 1"}}).Error)
	})
}

// DeliveryDue reports whether a claim would find anything: a queued delivery that is due, that nobody has, whose host's breaker
// is closed, and that waits for no older one about the same object.
func (db *DB) DeliveryDue(ctx context.Context) (bool, error) {
	now := db.Now().UTC()
	var ids []ID
	err := db.q(ctx).Model(&Delivery{}).Where(`state = 'queued' AND next_at <= ? AND lease_until <= ?
		AND NOT EXISTS (SELECT 1 FROM hosts WHERE hosts.host = deliveries.host AND open_until > ?)
		AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.state = 'queued' AND e.host = deliveries.host AND e.object = deliveries.object
			AND e.object <> '' AND e.id < deliveries.id)`, now, now, now).Limit(1).Pluck("id", &ids).Error
	return len(ids) > 0, translate(err)
}

// Deliveries lists deliveries in a state ("" for queued and dead), oldest first.
func (db *DB) Deliveries(ctx context.Context, state string, limit int) ([]Delivery, error) {
	q := db.q(ctx)
	if state == "" {
		q = q.Where("state <> 'done'")
	} else {
		q = q.Where("state = ?", state)
	}
	var ds []Delivery
	return ds, translate(q.Order("id").Limit(limit).Find(&ds).Error)
}

// RetryDeliveries makes queued and dead deliveries due now and closes breakers: one by id, or all when id is 0. It says how many.
func (db *DB) RetryDeliveries(ctx context.Context, id ID) (n int64, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		q := tx.q(ctx).Model(&Delivery{}).Where("state <> 'done'")
		hosts := tx.q(ctx).Model(&Host{}).Where("open_until IS NOT NULL OR unavailable_at IS NOT NULL")
		if id != 0 {
			q = q.Where("id = ?", id)
			hosts = hosts.Where("host IN (SELECT host FROM deliveries WHERE id = ?)", id)
		}
		r := q.Updates(map[string]any{"state": DeliveryQueued, "next_at": now, "created_at": now, "lease_until": now, "attempts": 0})
		n = r.RowsAffected
		if r.Error != nil {
			return translate(r.Error)
		}
		return translate(hosts.Updates(map[string]any{"open_until": nil, "unavailable_at": nil, "failures": 0}).Error)
	})
	return n, err
}

// DropDeliveries forgets queued and dead deliveries: one by id, or all dead ones when id is 0. It says how many.
func (db *DB) DropDeliveries(ctx context.Context, id ID) (n int64, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		q := tx.q(ctx).Where("state = 'dead'")
		if id != 0 {
			q = tx.q(ctx).Where("state <> 'done' AND id = ?", id)
		}
		r := q.Delete(&Delivery{})
		n = r.RowsAffected
		return translate(r.Error)
	})
	return n, err
}

// HostByName reads what is known of a server, or ErrNotFound.
func (db *DB) HostByName(ctx context.Context, name string) (*Host, error) {
	var h Host
	return &h, translate(db.q(ctx).Where("host = ?", name).Take(&h).Error)
}

// HostsDown lists the servers that have not answered lately: their breaker is open, or they failed on several days. Those that failed last come first.
func (db *DB) HostsDown(ctx context.Context, limit int) ([]string, error) {
	var names []string
	return names, translate(db.q(ctx).Model(&Host{}).Where("open_until IS NOT NULL OR failing_days > 1").Order("last_failure_at DESC").Limit(limit).Pluck("host", &names).Error)
}

// SaveHost writes what is known of a server.
func (db *DB) SaveHost(ctx context.Context, h *Host) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(h).Error)
	})
}

// InboxesToldOf lists the inboxes that anything about a post of ours was sent to, or about a boost of it by one of ours.
func (db *DB) InboxesToldOf(ctx context.Context, p *Post) ([]IRI, error) {
	var is []IRI
	err := db.q(ctx).Model(&Delivery{}).Where(`activity_id IN (SELECT id FROM activities WHERE local AND object = ?
		UNION ALL SELECT a.id FROM posts p JOIN activities a ON a.object = p.iri AND a.local WHERE p.boost_of_id = ?)`, p.IRI, p.ID).Distinct("inbox").Order("inbox").Pluck("inbox", &is).Error
	return is, translate(err)
}

// InboxesConcerned lists where those elsewhere receive who like, share or answer a post.
func (db *DB) InboxesConcerned(ctx context.Context, p *Post) ([]Inbox, error) {
	var is []Inbox
	return is, translate(db.q(ctx).Model(&Actor{}).Select("iri AS actor_iri", "inbox", "shared_inbox").
		Where(`domain <> '' AND deleted_at IS NULL AND suspended_at IS NULL AND id IN (SELECT actor_id FROM likes WHERE post_id = ?
			UNION SELECT actor_id FROM posts WHERE boost_of_id = ? UNION SELECT actor_id FROM posts WHERE in_reply_to = ? AND in_reply_to <> '')`, p.ID, p.ID, p.IRI).
		Order("id").Find(&is).Error)
}

// InboxesReached lists the inboxes that anything of an actor was brought to.
func (db *DB) InboxesReached(ctx context.Context, actor ID) ([]IRI, error) {
	var is []IRI
	return is, translate(db.q(ctx).Model(&Delivery{}).Where("actor_id = ? AND state = 'done'", actor).Distinct("inbox").Order("inbox").Pluck("inbox", &is).Error)
}

// DropDeliveriesOf forgets what waits to be brought out for an actor.
func (db *DB) DropDeliveriesOf(ctx context.Context, actor ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("actor_id = ? AND state = 'queued' AND lease_until <= ?", actor, tx.Now().UTC()).Delete(&Delivery{}).Error)
	})
}

// PruneHosts forgets the servers of which nothing was heard since before, and to whom nothing is owed. It says how many.
func (db *DB) PruneHosts(ctx context.Context, before time.Time) (n int64, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		at := before.UTC()
		r := tx.q(ctx).Where(`(last_ok_at IS NULL OR last_ok_at < ?) AND (last_failure_at IS NULL OR last_failure_at < ?)
			AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.host = hosts.host AND state = 'queued')`, at, at).Delete(&Host{})
		n = r.RowsAffected
		return translate(r.Error)
	})
	return n, err
}
