package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"

	"planet/ledger"
)

// How people become members of a co-op.
const (
	JoiningOpen     = "open"     // whoever asks is a member at once
	JoiningApproval = "approval" // admins say yes or no
	JoiningInvite   = "invite"   // with an invitation alone
)

// Coop is what a co-op has decided about itself, beside its actor, and the end of its audit log.
type Coop struct {
	ActorID      ID `gorm:"primaryKey;autoIncrement:false"`
	Joining      string
	Approvals    int           // how many admins say yes to a join request
	Dues         ledger.Amount // 0: none
	DuesCurrency ID
	DuesEvery    string // once, month, quarter or year; "" for none
	DuesFirst    bool   // whoever joins is asked for them at once
	AuditSeq     int64  // of the last entry of its audit log; 0: none yet
	AuditHash    string // of that entry
}

// Agreement is a version of what a co-op asks of its members. Rows are never changed.
type Agreement struct {
	CoopID    ID
	Version   int    // from 1
	Source    string // plain text, as it was set
	Content   string // safe HTML
	UserID    ID     // who set it; 0: the operator
	CreatedAt time.Time
}

// Acceptance says that a person accepted a version of an agreement. Rows are never changed.
type Acceptance struct {
	CoopID    ID
	Version   int
	UserID    ID
	CreatedAt time.Time
}

// RoleLimit is the most that somebody in a role pays at once as a co-op.
type RoleLimit struct {
	CoopID     ID
	Role       string
	CurrencyID ID
	Amount     ledger.Amount
}

// CreateCoop adds what a new co-op has decided.
func (db *DB) CreateCoop(ctx context.Context, c *Coop) error {
	return db.Transaction(ctx, func(tx *DB) error { return translate(tx.q(ctx).Create(c).Error) })
}

// Coop finds what a co-op has decided, or ErrNotFound.
func (db *DB) Coop(ctx context.Context, actor ID) (*Coop, error) {
	var c Coop
	return &c, translate(db.q(ctx).Where("actor_id = ?", actor).Take(&c).Error)
}

// LockCoop is Coop for a transaction that changes who is in it, what it has decided, or its audit log: others wait until it has ended, also
// those of other copies of the node. SQLite has one writer anyway.
func (db *DB) LockCoop(ctx context.Context, actor ID) (*Coop, error) {
	var c Coop
	return &c, translate(db.q(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("actor_id = ?", actor).Take(&c).Error)
}

// UpdateCoop stores what a co-op has decided. Its audit log is AppendAudit's.
func (db *DB) UpdateCoop(ctx context.Context, c *Coop) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Model(&Coop{}).Where("actor_id = ?", c.ActorID).Select("joining", "approvals", "dues", "dues_currency", "dues_every", "dues_first").Updates(c).Error)
	})
}

// Holders lists the users, those that are not suspended, with one of the roles in a co-op.
func (db *DB) Holders(ctx context.Context, coop ID, roles ...string) ([]ID, error) {
	var ids []ID
	return ids, translate(db.q(ctx).Model(&Member{}).Where("coop_id = ? AND role IN ? AND user_id IN (SELECT id FROM users WHERE suspended_at IS NULL)", coop, roles).
		Distinct("user_id").Order("user_id").Pluck("user_id", &ids).Error)
}

// AddAgreement stores the next version of a co-op's agreement and sets a.Version.
func (db *DB) AddAgreement(ctx context.Context, a *Agreement) error {
	return db.Transaction(ctx, func(tx *DB) error {
		if err := tx.one(ctx, "SELECT coalesce(max(version), 0) + 1 FROM agreements WHERE coop_id = ?", []any{a.CoopID}, &a.Version); err != nil {
			return err
		}
		a.CreatedAt = tx.Now().UTC()
		return translate(tx.q(ctx).Create(a).Error)
	})
}

// Agreement finds a version of a co-op's agreement, 0 for the newest; or ErrNotFound.
func (db *DB) Agreement(ctx context.Context, coop ID, version int) (*Agreement, error) {
	var a Agreement
	q := db.q(ctx).Where("coop_id = ?", coop).Order("version DESC")
	if version != 0 {
		q = q.Where("version = ?", version)
	}
	return &a, translate(q.Take(&a).Error)
}

// AcceptAgreement keeps that a person accepts a version. Accepting it again changes nothing, and fresh is false.
func (db *DB) AcceptAgreement(ctx context.Context, a *Acceptance) (fresh bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		a.CreatedAt = tx.Now().UTC()
		fresh, err = tx.insert(ctx, a, "coop_id, user_id, version")
		return err
	})
	return fresh, err
}

// Acceptances lists what was accepted of a co-op's agreement, the oldest version first.
func (db *DB) Acceptances(ctx context.Context, coop ID) ([]Acceptance, error) {
	var as []Acceptance
	return as, translate(db.q(ctx).Where("coop_id = ?", coop).Order("version, created_at, user_id").Find(&as).Error)
}

// SetRoleLimit stores the most that a role pays at once; a negative amount takes the limit away.
func (db *DB) SetRoleLimit(ctx context.Context, l *RoleLimit) error {
	return db.Transaction(ctx, func(tx *DB) error {
		err := tx.q(ctx).Where("coop_id = ? AND role = ? AND currency_id = ?", l.CoopID, l.Role, l.CurrencyID).Delete(&RoleLimit{}).Error
		if err != nil || l.Amount < 0 {
			return translate(err)
		}
		return translate(tx.q(ctx).Create(l).Error)
	})
}

// RoleLimits lists the limits of a co-op's roles, in one currency or, with 0, in all.
func (db *DB) RoleLimits(ctx context.Context, coop, currency ID) ([]RoleLimit, error) {
	var ls []RoleLimit
	q := db.q(ctx).Where("coop_id = ?", coop).Order("currency_id, role")
	if currency != 0 {
		q = q.Where("currency_id = ?", currency)
	}
	return ls, translate(q.Find(&ls).Error)
}

// Accepted is the newest version of a co-op's agreement that a person accepted; 0: none.
func (db *DB) Accepted(ctx context.Context, coop, user ID) (version int, err error) {
	err = db.one(ctx, "SELECT coalesce(max(version), 0) FROM acceptances WHERE coop_id = ? AND user_id = ?", []any{coop, user}, &version)
	return version, err
}
