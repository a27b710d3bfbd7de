package storage

import (
	"context"
	"strings"
	"time"

	"gorm.io/gorm"
)

// What a user may do on the node as a whole.
const (
	NodeOwner     = "owner"
	NodeAdmin     = "admin"
	NodeModerator = "moderator"
	NodeUser      = "user"
)

// The roles of a user in a co-op. One user may hold several.
const (
	RoleAdmin     = "admin"
	RoleTreasurer = "treasurer"
	RoleCashier   = "cashier"
	RoleEditor    = "editor"
	RoleMember    = "member"
	RoleObserver  = "observer"
)

// Roles lists the roles in a co-op, the strongest first.
var Roles = []string{RoleAdmin, RoleTreasurer, RoleCashier, RoleEditor, RoleMember, RoleObserver}

// User is a person who signs in. What she says, she says as an Actor.
type User struct {
	ID           ID `gorm:"primaryKey;autoIncrement:false"`
	ActorID      ID // her own Person actor
	Username     string
	Email        string
	PasswordHash string // argon2id in PHC form, "" when she has no password
	Role         string
	CreatedAt    time.Time
	SuspendedAt  *time.Time
}

// Member is a role of a user in a co-op.
type Member struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	UserID    ID
	CoopID    ID
	Role      string
	CreatedAt time.Time
}

// Act is one line of the record of who did what as whom. Rows are never changed.
type Act struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	UserID    ID // 0: the operator, at the command line
	ActorID   ID
	Kind      string // "post.create", "member.add", …
	Object    IRI
	Detail    string // what was → what is now, where the kind does not say it
	CreatedAt time.Time
}

// Invite lets people join the node, and a co-op when CoopID is set. The code itself is not kept.
type Invite struct {
	ID        ID `gorm:"primaryKey;autoIncrement:false"`
	CodeHash  string
	CoopID    ID
	UsesLeft  int
	CreatedBy ID
	CreatedAt time.Time
	ExpiresAt *time.Time
	RevokedAt *time.Time
}

// CreateUser adds a user. ErrConflict when the name is taken.
func (db *DB) CreateUser(ctx context.Context, u *User) error {
	return db.Transaction(ctx, func(tx *DB) error {
		u.ID, u.CreatedAt = tx.NewID(), tx.Now().UTC()
		u.Username = strings.ToLower(u.Username)
		return translate(tx.q(ctx).Create(u).Error)
	})
}

// UpdateUser stores email, password, role and suspension of a user. With another password, and when she is suspended, all ends by which she was signed in.
func (db *DB) UpdateUser(ctx context.Context, u *User) error {
	return db.Transaction(ctx, func(tx *DB) error {
		old, err := tx.UserByID(ctx, u.ID)
		if err != nil {
			return err
		}
		if u.PasswordHash != old.PasswordHash || u.SuspendedAt != nil {
			if err := tx.RevokeTokens(ctx, u.ID); err != nil {
				return err
			}
		}
		return translate(tx.q(ctx).Model(u).Select("email", "password_hash", "role", "suspended_at").Updates(u).Error)
	})
}

// UserByName finds a user by the name she signs in with, or ErrNotFound.
func (db *DB) UserByName(ctx context.Context, name string) (*User, error) {
	var u User
	return &u, translate(db.q(ctx).Where("username = ?", strings.ToLower(name)).Take(&u).Error)
}

// UserByID finds a user, or ErrNotFound.
func (db *DB) UserByID(ctx context.Context, id ID) (*User, error) {
	var u User
	return &u, translate(db.q(ctx).Where("id = ?", id).Take(&u).Error)
}

// UserByEmail finds a user by her address, in any case, or ErrNotFound; also when two have it.
func (db *DB) UserByEmail(ctx context.Context, email string) (*User, error) {
	var us []User
	if err := db.q(ctx).Where("lower(email) = ? AND email <> ''", strings.ToLower(email)).Limit(2).Find(&us).Error; err != nil {
		return nil, translate(err)
	}
	if len(us) != 1 {
		return nil, ErrNotFound
	}
	return &us[0], nil
}

// UserByActor finds the user whose own actor this is, or ErrNotFound.
func (db *DB) UserByActor(ctx context.Context, actor ID) (*User, error) {
	var u User
	return &u, translate(db.q(ctx).Where("actor_id = ?", actor).Take(&u).Error)
}

// Users lists all users, oldest first.
func (db *DB) Users(ctx context.Context) ([]User, error) {
	var us []User
	return us, translate(db.q(ctx).Order("id").Find(&us).Error)
}

// CountUsers counts the users that are not suspended.
func (db *DB) CountUsers(ctx context.Context) (int64, error) {
	var n int64
	return n, translate(db.q(ctx).Model(&User{}).Where("suspended_at IS NULL").Count(&n).Error)
}

// HasOwner reports whether the node's first administrator exists.
func (db *DB) HasOwner(ctx context.Context) (bool, error) {
	var n int64
	err := db.q(ctx).Model(&User{}).Where("role = ?", NodeOwner).Count(&n).Error
	return n > 0, translate(err)
}

// AddMember gives a user a role in a co-op. ErrConflict when she has it.
func (db *DB) AddMember(ctx context.Context, m *Member) error {
	return db.Transaction(ctx, func(tx *DB) error {
		m.ID, m.CreatedAt = tx.NewID(), tx.Now().UTC()
		return translate(tx.q(ctx).Create(m).Error)
	})
}

// RemoveMember takes a role away, or all roles when role is "". ErrNotFound when there was none.
func (db *DB) RemoveMember(ctx context.Context, coop, user ID, role string) error {
	return db.Transaction(ctx, func(tx *DB) error {
		q := tx.q(ctx).Where("coop_id = ? AND user_id = ?", coop, user)
		if role != "" {
			q = q.Where("role = ?", role)
		}
		r := q.Delete(&Member{})
		if r.Error == nil && r.RowsAffected == 0 {
			return ErrNotFound
		}
		return translate(r.Error)
	})
}

// Members lists the roles of all users in a co-op, oldest first.
func (db *DB) Members(ctx context.Context, coop ID) ([]Member, error) {
	var ms []Member
	return ms, translate(db.q(ctx).Where("coop_id = ?", coop).Order("id").Find(&ms).Error)
}

// RolesIn lists the roles of a user in a co-op; none is no error.
func (db *DB) RolesIn(ctx context.Context, user, coop ID) ([]string, error) {
	var roles []string
	return roles, translate(db.q(ctx).Model(&Member{}).Where("user_id = ? AND coop_id = ?", user, coop).Order("id").Pluck("role", &roles).Error)
}

// CoopsOf lists the co-ops in which a user has a role.
func (db *DB) CoopsOf(ctx context.Context, user ID) ([]Actor, error) {
	var as []Actor
	return as, translate(db.q(ctx).Where("id IN (SELECT coop_id FROM members WHERE user_id = ?)", user).Order("id").Find(&as).Error)
}

// RecordAct appends to the record of who did what as whom.
func (db *DB) RecordAct(ctx context.Context, a *Act) error {
	return db.Transaction(ctx, func(tx *DB) error {
		a.ID, a.CreatedAt = tx.NewID(), tx.Now().UTC()
		return translate(tx.q(ctx).Create(a).Error)
	})
}

// CountActs counts what an actor did of a kind since a time.
func (db *DB) CountActs(ctx context.Context, actor ID, kind string, since time.Time) (n int64, err error) {
	err = db.one(ctx, "SELECT COUNT(*) FROM acts WHERE actor_id = ? AND kind = ? AND created_at > ?", []any{actor, kind, since.UTC()}, &n)
	return n, err
}

// RecordActs adds many lines to the record.
func (db *DB) RecordActs(ctx context.Context, as []Act) error {
	if len(as) == 0 {
		return nil
	}
	return db.Transaction(ctx, func(tx *DB) error {
		for i := range as {
			as[i].ID, as[i].CreatedAt = tx.NewID(), tx.Now().UTC()
		}
		return translate(tx.q(ctx).CreateInBatches(as, 500).Error)
	})
}

// Acts lists what was done as an actor, newest first.
func (db *DB) Acts(ctx context.Context, actor ID, p Page) ([]Act, error) {
	var as []Act
	return as, translate(p.of(db.q(ctx).Where("actor_id = ?", actor)).Find(&as).Error)
}

// SaveInvite adds an invitation.
func (db *DB) SaveInvite(ctx context.Context, i *Invite) error {
	return db.Transaction(ctx, func(tx *DB) error {
		i.ID, i.CreatedAt = tx.NewID(), tx.Now().UTC()
		return translate(tx.q(ctx).Create(i).Error)
	})
}

// Invites lists invitations, newest first.
func (db *DB) Invites(ctx context.Context) ([]Invite, error) {
	var is []Invite
	return is, translate(db.q(ctx).Order("id DESC").Find(&is).Error)
}

// InviteByCodeHash finds an invitation that can still be used, or ErrNotFound.
func (db *DB) InviteByCodeHash(ctx context.Context, hash string) (*Invite, error) {
	var i Invite
	return &i, translate(db.openInvite(ctx, hash).Take(&i).Error)
}

// InviteByID finds an invitation, whatever its state, or ErrNotFound.
func (db *DB) InviteByID(ctx context.Context, id ID) (*Invite, error) {
	var i Invite
	return &i, translate(db.q(ctx).Where("id = ?", id).Take(&i).Error)
}

// UseInvite takes one use of an invitation, or says ErrNotFound when none is left.
func (db *DB) UseInvite(ctx context.Context, hash string) (*Invite, error) {
	var i Invite
	err := db.Transaction(ctx, func(tx *DB) error {
		if err := translate(tx.openInvite(ctx, hash).Take(&i).Error); err != nil {
			return err
		}
		r := tx.q(ctx).Model(&Invite{}).Where("id = ? AND uses_left > 0", i.ID).Update("uses_left", gorm.Expr("uses_left - 1"))
		if r.Error == nil && r.RowsAffected == 0 {
			return ErrNotFound
		}
		return translate(r.Error)
	})
	return &i, err
}

func (db *DB) openInvite(ctx context.Context, hash string) *gorm.DB {
	return db.q(ctx).Where("code_hash = ? AND uses_left > 0 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)", hash, db.Now().UTC())
}

// RevokeInvite ends an invitation. ErrNotFound when there is none with this id.
func (db *DB) RevokeInvite(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		r := tx.q(ctx).Model(&Invite{}).Where("id = ?", id).Update("revoked_at", tx.Now().UTC())
		if r.Error == nil && r.RowsAffected == 0 {
			return ErrNotFound
		}
		return translate(r.Error)
	})
}
