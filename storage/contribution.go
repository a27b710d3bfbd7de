package storage

import (
	"context"
	"time"
)

// The states of a contribution.
const (
	ContributionKept      = "kept" // by who worked; nobody has answered
	ContributionConfirmed = "confirmed"
	ContributionRefused   = "refused"
	ContributionWithdrawn = "withdrawn"
)

// Contribution is work for a co-op. What was done is never edited: a correction is a row of its own that names the one it corrects, and
// counts in its place once it is confirmed.
type Contribution struct {
	ID         ID `gorm:"primaryKey;autoIncrement:false"`
	CoopID     ID
	UserID     ID     // who worked
	Day        string // 2026-11-30
	Minutes    int64  // 0 in a correction: it was no work at all
	Words      string
	Paid       bool
	Payment    IRI // of what was paid for it; "" for none
	Corrects   *ID
	State      string
	Answer     string // why it was refused
	AnsweredBy ID     // 0: nobody, or the operator
	CreatedAt  time.Time
	EndedAt    *time.Time // when it was confirmed, refused or withdrawn

	CorrectedBy ID `gorm:"->;-:migration"` // the confirmed one that counts in its place; 0: none. Read, never written
}

// SaveContribution adds a contribution that is kept. ErrConflict when the one that it corrects has a correction that waits or counts.
func (db *DB) SaveContribution(ctx context.Context, c *Contribution) error {
	return db.Transaction(ctx, func(tx *DB) error {
		c.ID, c.CreatedAt, c.State = tx.NewID(), tx.Now().UTC(), ContributionKept
		return translate(tx.q(ctx).Create(c).Error)
	})
}

// Of states the index wants both named.
const contributionColumns = `contributions.*, coalesce((SELECT later.id FROM contributions later
	WHERE later.corrects = contributions.id AND later.state = 'confirmed' AND later.state IN ('kept', 'confirmed')), 0) AS corrected_by`

// ContributionByID finds a contribution, or ErrNotFound.
func (db *DB) ContributionByID(ctx context.Context, id ID) (*Contribution, error) {
	var c Contribution
	return &c, translate(db.q(ctx).Select(contributionColumns).Where("id = ?", id).Take(&c).Error)
}

// ContributionFilter says which contributions to list; what is zero does not matter.
type ContributionFilter struct {
	User     ID
	State    string
	From, To string // days, both included
}

// Contributions lists the contributions to a co-op in the order in which they were written down.
func (db *DB) Contributions(ctx context.Context, coop ID, f ContributionFilter) ([]Contribution, error) {
	var cs []Contribution
	q := db.q(ctx).Select(contributionColumns).Where("coop_id = ?", coop).Order("id")
	if f.User != 0 {
		q = q.Where("user_id = ?", f.User)
	}
	if f.State != "" {
		q = q.Where("state = ?", f.State)
	}
	if f.From != "" {
		q = q.Where("day >= ?", f.From)
	}
	if f.To != "" {
		q = q.Where("day <= ?", f.To)
	}
	return cs, translate(q.Find(&cs).Error)
}

// EndContribution stores the answer to a contribution that was kept. ErrNotFound when it has one already.
func (db *DB) EndContribution(ctx context.Context, c *Contribution) error {
	return db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		c.EndedAt = &now
		q := tx.q(ctx).Model(&Contribution{}).Where("id = ? AND state = ?", c.ID, ContributionKept).
			Updates(map[string]any{"state": c.State, "answer": c.Answer, "answered_by": c.AnsweredBy, "ended_at": now})
		if q.Error == nil && q.RowsAffected == 0 {
			return ErrNotFound
		}
		return translate(q.Error)
	})
}
