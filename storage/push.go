package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// Of whom an app wants to be told.
const (
	PushAll      = "all"
	PushFollowed = "followed" // whom the actor follows
	PushFollower = "follower" // who follows the actor
	PushNone     = "none"
)

// PushSubscription is where an app wants to be told of an actor's notifications (RFC 8030). A token has at most one, and it ends with the token.
type PushSubscription struct {
	ID        int64 `gorm:"primaryKey"` // never given twice; apps keep it in 32 bits
	TokenID   ID
	ActorID   ID // whose notifications
	Endpoint  string
	Host      string   // of the endpoint
	P256dh    []byte   `gorm:"column:p256dh"` // the app's public key, an uncompressed point of P-256
	Auth      []byte   // 16 bytes that only the app and the node know
	Standard  bool     // RFC 8291; otherwise the draft that apps began with
	Alerts    []string `gorm:"serializer:json"` // kinds of notifications
	Policy    string
	Bearer    []byte // the token, sealed: an app finds by it which of its accounts a push is for
	CreatedAt time.Time
}

// Push is the duty to tell one app of one notification. It is written in the transaction of the notification, and goes with it.
type Push struct {
	ID             int64 `gorm:"primaryKey"`
	SubscriptionID int64
	NotificationID ID
	Attempts       int
	NextAt         time.Time
	LeaseUntil     time.Time // a worker has it until then
	CreatedAt      time.Time
}

// PushClaim is a push that the caller may try now.
type PushClaim struct {
	Push
	Subscription PushSubscription
}

// maxSubscriptions bounds to how many addresses one notification may go.
const maxSubscriptions = 100

// SavePushSubscription puts a subscription in the place of that which its token had. ErrNotFound when the token has ended.
func (db *DB) SavePushSubscription(ctx context.Context, s *PushSubscription) error {
	return db.Transaction(ctx, func(tx *DB) error {
		var t Token // locked: nobody ends it meanwhile, nor subscribes
		err := tx.q(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("id = ? AND revoked_at IS NULL", s.TokenID).Take(&t).Error
		if err != nil {
			return translate(err)
		}
		if err := tx.DeletePushSubscription(ctx, s.TokenID); err != nil {
			return err
		}
		s.ID, s.CreatedAt = 0, tx.Now().UTC()
		if err := tx.q(ctx).Create(s).Error; err != nil {
			return translate(err)
		}
		_, err = tx.run(ctx, `DELETE FROM push_subscriptions WHERE actor_id = ? AND id NOT IN
			(SELECT id FROM push_subscriptions WHERE actor_id = ? ORDER BY id DESC LIMIT ?)`, s.ActorID, s.ActorID, maxSubscriptions)
		return err
	})
}

// PushSubscriptionOf finds the subscription of a token, or ErrNotFound.
func (db *DB) PushSubscriptionOf(ctx context.Context, token ID) (*PushSubscription, error) {
	var s PushSubscription
	return &s, translate(db.q(ctx).Where("token_id = ?", token).Take(&s).Error)
}

// SetPushAlerts changes what the subscription of a token is told of, and of whom unless policy is "". ErrNotFound when it has none.
func (db *DB) SetPushAlerts(ctx context.Context, token ID, alerts []string, policy string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		q := tx.q(ctx).Model(&PushSubscription{}).Where("token_id = ?", token).Select("alerts", "policy")
		if policy == "" {
			q = q.Select("alerts")
		}
		r := q.Updates(&PushSubscription{Alerts: alerts, Policy: policy})
		if r.Error == nil && r.RowsAffected == 0 {
			return ErrNotFound
		}
		return translate(r.Error)
	})
}

// DeletePushSubscription ends the subscription of a token, if it has one, and forgets what was owed to it.
func (db *DB) DeletePushSubscription(ctx context.Context, token ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("token_id = ?", token).Delete(&PushSubscription{}).Error)
	})
}

// DeletePushSubscriptionsTo ends all subscriptions to an actor's notifications.
func (db *DB) DeletePushSubscriptionsTo(ctx context.Context, actor ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("actor_id = ?", actor).Delete(&PushSubscription{}).Error)
	})
}

// What owePushes writes. With PostgreSQL another copy of the node may be ending a subscription: it waits, or is waited for.
const (
	owed = `INSERT INTO pushes (subscription_id, notification_id, attempts, next_at, lease_until, created_at)
		SELECT id, ?, 0, ?, ?, ? FROM push_subscriptions WHERE actor_id = ? AND policy <> 'none' AND alerts LIKE ?`
	owedLocked = owed + " FOR KEY SHARE"
)

// owePushes owes the push of a notification to each app that wants to hear of its kind.
func (db *DB) owePushes(ctx context.Context, n *Notification) (err error) {
	alert, heard := Alerts[n.Kind]
	if !heard {
		return nil
	}
	now := db.Now().UTC()
	values := []any{n.ID, now, now, now, n.ActorID, `%"` + alert + `"%`}
	if db.dialect == postgresDialect {
		_, err = db.run(ctx, owedLocked, values...)
	} else {
		_, err = db.run(ctx, owed, values...)
	}
	return err
}

// duePush is which pushes may be tried: of one subscription only the oldest that is due, and none while another one is under way.
const duePush = `next_at <= ? AND lease_until <= ? AND NOT EXISTS (SELECT 1 FROM pushes e WHERE e.subscription_id = pushes.subscription_id
	AND (e.lease_until > ? OR e.next_at <= ? AND e.id < pushes.id))`

// PushDue reports whether a claim would find anything.
func (db *DB) PushDue(ctx context.Context) (bool, error) {
	now := db.Now().UTC()
	var ids []int64
	err := db.q(ctx).Model(&Push{}).Where(duePush, now, now, now, now).Limit(1).Pluck("id", &ids).Error
	return len(ids) > 0, translate(err)
}

// ClaimPushes leases up to limit pushes that are due, the oldest first, but for those to the hosts in busy.
func (db *DB) ClaimPushes(ctx context.Context, busy []string, limit int, lease time.Duration) (claims []PushClaim, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		claims = nil
		now := tx.Now().UTC()
		q := tx.q(ctx).Where(duePush, now, now, now, now)
		if len(busy) > 0 {
			q = q.Where("subscription_id NOT IN (SELECT id FROM push_subscriptions WHERE host IN ?)", padded(busy))
		}
		var ps []Push
		err := q.Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"}).Order("next_at, id").Limit(limit).Find(&ps).Error
		if err != nil || len(ps) == 0 {
			return translate(err)
		}
		var ids, of []int64
		for _, p := range ps {
			ids, of = append(ids, p.ID), append(of, p.SubscriptionID)
		}
		var subs []PushSubscription
		if err := tx.q(ctx).Where("id IN ?", padded(of)).Find(&subs).Error; err != nil {
			return translate(err)
		}
		known := map[int64]PushSubscription{}
		for _, s := range subs {
			known[s.ID] = s
		}
		for _, p := range ps {
			p.Attempts++
			claims = append(claims, PushClaim{p, known[p.SubscriptionID]})
		}
		return translate(tx.q(ctx).Model(&Push{}).Where("id IN ?", padded(ids)).
			Updates(map[string]any{"lease_until": now.Add(lease), "attempts": clause.Expr{SQL: "attempts + 1"}}).Error)
	})
	return claims, err
}

// FinishPush forgets a push that was brought out, or that is owed no more.
func (db *DB) FinishPush(ctx context.Context, id int64) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("id = ?", id).Delete(&Push{}).Error)
	})
}

// PostponePush keeps a push that failed, to be tried again at next.
func (db *DB) PostponePush(ctx context.Context, id int64, next time.Time) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Push{}).Where("id = ?", id).Updates(map[string]any{"next_at": next.UTC(), "lease_until": tx.Now().UTC()}).Error)
	})
}

// ReleasePush gives a claim back untried.
func (db *DB) ReleasePush(ctx context.Context, id int64) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Push{}).Where("id = ?", id).
			Updates(map[string]any{"lease_until": tx.Now().UTC(), "attempts": clause.Expr{SQL: "attempts - 1"}}).Error)
	})
}

// EndPushSubscription ends a subscription by its id: its push service does not know it any more. One that took its place stays.
func (db *DB) EndPushSubscription(ctx context.Context, id int64) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("id = ?", id).Delete(&PushSubscription{}).Error)
	})
}
