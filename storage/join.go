package storage

import (
	"context"
	"time"
)

// The states of a join request.
const (
	JoinPending   = "pending"
	JoinApproved  = "approved"
	JoinRefused   = "refused"
	JoinWithdrawn = "withdrawn"
)

// JoinRequest is the wish of a person to become a member of a co-op. One at a time is pending.
type JoinRequest struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	CoopID    ID
	UserID    ID
	Reason    string
	Agreement int // the version that she accepted; 0: there was none
	State     string
	Answer    string // why it was refused
	CreatedAt time.Time
	EndedAt   *time.Time
}

// Approval is the yes of an admin to a join request.
type Approval struct {
	JoinRequestID ID
	UserID        ID
	CreatedAt     time.Time
}

// CreateJoinRequest adds a request that is pending. ErrConflict when another one of hers is.
func (db *DB) CreateJoinRequest(ctx context.Context, r *JoinRequest) error {
	return db.Transaction(ctx, func(tx *DB) error {
		r.ID, r.CreatedAt, r.State = tx.NewID(), tx.Now().UTC(), JoinPending
		return translate(tx.q(ctx).Create(r).Error)
	})
}

// JoinRequestByID finds a request, or ErrNotFound.
func (db *DB) JoinRequestByID(ctx context.Context, id ID) (*JoinRequest, error) {
	var r JoinRequest
	return &r, translate(db.q(ctx).Where("id = ?", id).Take(&r).Error)
}

// PendingJoin finds the pending request of a user, or ErrNotFound.
func (db *DB) PendingJoin(ctx context.Context, coop, user ID) (*JoinRequest, error) {
	var r JoinRequest
	return &r, translate(db.q(ctx).Where("coop_id = ? AND user_id = ? AND state = ?", coop, user, JoinPending).Take(&r).Error)
}

// LastJoin finds the newest request of a person to a co-op, however it stands, or ErrNotFound.
func (db *DB) LastJoin(ctx context.Context, coop, user ID) (*JoinRequest, error) {
	var r JoinRequest
	return &r, translate(db.q(ctx).Where("coop_id = ? AND user_id = ?", coop, user).Order("id DESC").Take(&r).Error)
}

// PendingJoins lists the requests that wait in a co-op, oldest first.
func (db *DB) PendingJoins(ctx context.Context, coop ID) ([]JoinRequest, error) {
	var rs []JoinRequest
	return rs, translate(db.q(ctx).Where("coop_id = ? AND state = ?", coop, JoinPending).Order("id").Find(&rs).Error)
}

// PendingJoinsOf lists the requests of a user that wait, oldest first.
func (db *DB) PendingJoinsOf(ctx context.Context, user ID) ([]JoinRequest, error) {
	var rs []JoinRequest
	return rs, translate(db.q(ctx).Where("user_id = ? AND state = ?", user, JoinPending).Order("id").Find(&rs).Error)
}

// JoinRequests lists all requests to a co-op, newest first.
func (db *DB) JoinRequests(ctx context.Context, coop ID, p Page) ([]JoinRequest, error) {
	var rs []JoinRequest
	return rs, translate(p.of(db.q(ctx).Where("coop_id = ?", coop)).Find(&rs).Error)
}

// EndJoinRequest stores what became of a request that was pending. ErrNotFound when it is not.
func (db *DB) EndJoinRequest(ctx context.Context, r *JoinRequest) error {
	return db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		r.EndedAt = &now
		q := tx.q(ctx).Model(&JoinRequest{}).Where("id = ? AND state = ?", r.ID, JoinPending).Updates(map[string]any{"state": r.State, "answer": r.Answer, "ended_at": now})
		if q.Error == nil && q.RowsAffected == 0 {
			return ErrNotFound
		}
		return translate(q.Error)
	})
}

// Approve keeps the yes of a user. fresh is false when she has said it before.
func (db *DB) Approve(ctx context.Context, a *Approval) (fresh bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		a.CreatedAt = tx.Now().UTC()
		fresh, err = tx.insert(ctx, a, "join_request_id, user_id")
		return err
	})
	return fresh, err
}

// Approvals lists who said yes to a request, in the order in which they did.
func (db *DB) Approvals(ctx context.Context, request ID) ([]Approval, error) {
	var as []Approval
	return as, translate(db.q(ctx).Where("join_request_id = ?", request).Order("created_at, user_id").Find(&as).Error)
}
