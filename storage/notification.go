package storage

import (
	"context"
	"math"
	"time"
)

// Notification tells an actor of this node what others did to it.
type Notification struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID   ID // who is told
	Kind      string
	FromID    ID
	PostID    ID // 0: about no post
	OrderID   ID // 0: about no order
	PaymentID ID // 0: about no payment
	CreatedAt time.Time
	ReadAt    *time.Time
}

// Alerts are the kinds of notifications that apps hear of, by what these call them. What is told of orders, payments and requests is a mention: it comes with a message of the node.
var Alerts = map[string]string{
	"mention": "mention", "follow": "follow", "follow_request": "follow_request", "favourite": "favourite", "reblog": "reblog", "poll": "poll", "status": "status",
	"order.proposed": "mention", "order.accepted": "mention", "order.rejected": "mention", "order.fulfilled": "mention", "order.confirmed": "mention", "order.disputed": "mention",
	"order.cancelled": "mention", "order.expired": "mention",
	"payment.waiting": "mention", "payment.approved": "mention", "payment.refused": "mention", "payment.sent": "mention", "payment.held": "mention", "payment.committed": "mention",
	"payment.rejected": "mention", "payment.cancelled": "mention", "payment.expired": "mention",
	"request.refused": "mention",
}

// Notify tells once: the same news from the same actor about the same post is not told again.
func (db *DB) Notify(ctx context.Context, n *Notification) error {
	return db.Transaction(ctx, func(tx *DB) error {
		n.ID, n.CreatedAt = tx.NewID(), tx.Now().UTC()
		fresh, err := tx.insert(ctx, n, "")
		if err != nil || !fresh {
			return err
		}
		if err := tx.owePushes(ctx, n); err != nil {
			return err
		}
		return tx.changed(ctx, ChangeNews, 0, n.ActorID, n.ID)
	})
}

// Untold lists those of told whom nobody has told this yet: the same kind of news from the same actor about the same order and payment. Of neither, everybody was told nothing.
func (db *DB) Untold(ctx context.Context, told []ID, n *Notification) ([]ID, error) {
	if len(told) == 0 || n.OrderID == 0 && n.PaymentID == 0 {
		return told, nil
	}
	var fresh []ID
	for _, id := range told {
		var before int
		err := db.one(ctx, "SELECT COUNT(*) FROM notifications WHERE actor_id = ? AND kind = ? AND from_id = ? AND order_id = ? AND payment_id = ?", []any{id, n.Kind, n.FromID, n.OrderID, n.PaymentID}, &before)
		if err != nil {
			return nil, err
		}
		if before == 0 {
			fresh = append(fresh, id)
		}
	}
	return fresh, nil
}

// Notifications lists what an actor was told, newest first.
func (db *DB) Notifications(ctx context.Context, actor ID, p Page) ([]Notification, error) {
	var ns []Notification
	return ns, translate(p.of(db.q(ctx).Where("actor_id = ?", actor)).Find(&ns).Error)
}

// Untell takes news back that does not hold any more, or that is to be told anew.
func (db *DB) Untell(ctx context.Context, told ID, kind string, from ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("actor_id = ? AND kind = ? AND from_id = ? AND post_id = 0", told, kind, from).Delete(&Notification{}).Error)
	})
}

// untell takes the news of something back that was taken back.
func (db *DB) untell(ctx context.Context, kind string, from, post ID) error {
	return translate(db.q(ctx).Where("kind = ? AND from_id = ? AND post_id = ?", kind, from, post).Delete(&Notification{}).Error)
}

// NotificationsOf lists an actor's notifications of some kinds, newest first; from somebody alone unless from is 0.
func (db *DB) NotificationsOf(ctx context.Context, actor ID, kinds []string, from ID, p Page) ([]Notification, error) {
	var ns []Notification
	if len(kinds) == 0 {
		return ns, nil
	}
	q := db.q(ctx).Where("actor_id = ? AND kind IN ?", actor, kinds)
	if from != 0 {
		q = q.Where("from_id = ?", from)
	}
	return ns, translate(p.of(q).Find(&ns).Error)
}

// NotificationOf finds a notification of an actor's; that of anybody else is ErrNotFound.
func (db *DB) NotificationOf(ctx context.Context, actor, id ID) (*Notification, error) {
	var n Notification
	return &n, translate(db.q(ctx).Where("id = ? AND actor_id = ?", id, actor).Take(&n).Error)
}

// rounding is by how much an id may be off once it was a number of JavaScript's: 64 bits of floating point, written in the fewest digits that lead back to it. (16 until 2039.)
const rounding = 32

// NotificationNear finds the notification of an actor's whose id an app has rounded to this, or ErrNotFound.
func (db *DB) NotificationNear(ctx context.Context, actor, id ID) (*Notification, error) {
	var n Notification
	return &n, db.take(ctx, &n, "actor_id = ? AND id BETWEEN ? AND ? ORDER BY abs(id - ?) LIMIT 1", actor, max(id, rounding)-rounding, min(id, math.MaxInt64-rounding)+rounding, id)
}

// ForgetNotifications deletes one notification of an actor's, or with 0 all.
func (db *DB) ForgetNotifications(ctx context.Context, actor, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		q := tx.q(ctx).Where("actor_id = ?", actor)
		if id != 0 {
			q = q.Where("id = ?", id)
		}
		return translate(q.Delete(&Notification{}).Error)
	})
}
