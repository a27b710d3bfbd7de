package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// Report is a complaint about an actor, by somebody here or elsewhere.
type Report struct {
	ID         ID  `gorm:"primaryKey;autoIncrement:false"`
	IRI        IRI // of the Flag activity
	ReporterID ID
	TargetID   ID
	Posts      []ID   `gorm:"serializer:json"`
	Comment    string // plain text
	Forwarded  bool   // to the target's server
	CreatedAt  time.Time
	ResolvedAt *time.Time
	ResolvedBy ID // a user; 0: nobody, or the operator
}

// SaveReport files a report once: fresh is false when its IRI is known.
func (db *DB) SaveReport(ctx context.Context, r *Report) (fresh bool, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		if r.ID == 0 {
			r.ID = tx.NewID()
		}
		r.CreatedAt = tx.Now().UTC()
		res := tx.q(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(r)
		fresh = res.RowsAffected == 1
		return translate(res.Error)
	})
	return fresh, err
}

// Reports lists reports, newest first; those that are resolved too if all.
func (db *DB) Reports(ctx context.Context, all bool, p Page) ([]Report, error) {
	q := db.q(ctx)
	if !all {
		q = q.Where("resolved_at IS NULL")
	}
	var rs []Report
	return rs, translate(p.of(q).Find(&rs).Error)
}

// ReportByID finds a report, or ErrNotFound.
func (db *DB) ReportByID(ctx context.Context, id ID) (*Report, error) {
	var r Report
	return &r, translate(db.q(ctx).Where("id = ?", id).Take(&r).Error)
}

// ResolveReport closes a report. ErrNotFound when there is none that is open.
func (db *DB) ResolveReport(ctx context.Context, id, by ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		r := tx.q(ctx).Model(&Report{}).Where("id = ? AND resolved_at IS NULL", id).Updates(map[string]any{"resolved_at": tx.Now().UTC(), "resolved_by": by})
		if r.Error == nil && r.RowsAffected == 0 {
			return ErrNotFound
		}
		return translate(r.Error)
	})
}
