package storage

import (
	"context"
	"time"

	"gorm.io/gorm/clause"
)

// Job is work that is owed and waits for its time: it is written in the transaction that causes it, and may be done twice.
type Job struct {
	ID         ID `gorm:"primaryKey;autoIncrement:false"`
	Kind       string
	About      string // of one kind only one job waits about the same thing; "" for any number
	Payload    []byte // JSON
	Attempts   int
	RunAt      time.Time
	LeaseUntil time.Time
	LastError  string
	CreatedAt  time.Time
	DeadAt     *time.Time // given up
}

// EnqueueJob adds a job that is due at RunAt, at once when that is zero. One that waits about the same thing stays alone.
func (db *DB) EnqueueJob(ctx context.Context, j *Job) error {
	return db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		if j.About != "" {
			var n int64
			err := tx.q(ctx).Model(&Job{}).Where("kind = ? AND about = ? AND dead_at IS NULL AND lease_until <= ?", j.Kind, j.About, now).Count(&n).Error
			if err != nil || n > 0 {
				return translate(err)
			}
		}
		j.ID, j.CreatedAt, j.LeaseUntil = tx.NewID(), now, now
		if j.RunAt.IsZero() {
			j.RunAt = now
		}
		if j.Payload == nil {
			j.Payload = []byte("{}")
		}
		return translate(tx.q(ctx).Create(j).Error)
	})
}

// JobDue reports whether a claim would find anything.
func (db *DB) JobDue(ctx context.Context) (bool, error) {
	now := db.Now().UTC()
	var ids []ID
	err := db.q(ctx).Model(&Job{}).Where("dead_at IS NULL AND run_at <= ? AND lease_until <= ?", now, now).Limit(1).Pluck("id", &ids).Error
	return len(ids) > 0, translate(err)
}

// ClaimJobs leases up to limit jobs that are due, the oldest first. A job whose lease ends unfinished is claimed again.
func (db *DB) ClaimJobs(ctx context.Context, limit int, lease time.Duration) ([]Job, error) {
	var js []Job
	err := db.Transaction(ctx, func(tx *DB) error {
		js = nil
		now := tx.Now().UTC()
		err := tx.q(ctx).Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"}).
			Where("dead_at IS NULL AND run_at <= ? AND lease_until <= ?", now, now).Order("run_at, id").Limit(limit).Find(&js).Error
		if err != nil || len(js) == 0 {
			return translate(err)
		}
		var ids []ID
		for i := range js {
			js[i].Attempts++
			ids = append(ids, js[i].ID)
		}
		return translate(tx.q(ctx).Model(&Job{}).Where("id IN ?", padded(ids)).
			Updates(map[string]any{"lease_until": now.Add(lease), "attempts": clause.Expr{SQL: "attempts + 1"}}).Error)
	})
	return js, err
}

// FinishJob forgets a job that is done.
func (db *DB) FinishJob(ctx context.Context, id ID) error {
	return db.Transaction(ctx, func(tx *DB) error {
		return translate(tx.q(ctx).Where("id = ?", id).Delete(&Job{}).Error)
	})
}

// PostponeJob keeps a job that failed: to be done again at next, or given up when dead. The reason is kept for people.
func (db *DB) PostponeJob(ctx context.Context, id ID, reason string, next time.Time, dead bool) error {
	return db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		change := map[string]any{"last_error": reason, "run_at": next.UTC(), "lease_until": now}
		if dead {
			change["dead_at"] = now
		}
		return translate(tx.q(ctx).Model(&Job{}).Where("id = ?", id).Updates(change).Error)
	})
}

// RetryJobs makes a job that failed or was given up due now, or all of those when id is 0; n counts them. One that has not
// been tried yet keeps its time: it may be owed at a certain one.
func (db *DB) RetryJobs(ctx context.Context, id ID) (n int64, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		now := tx.Now().UTC()
		q := tx.q(ctx).Model(&Job{}).Where("(dead_at IS NOT NULL OR last_error <> '') AND lease_until <= ?", now)
		if id != 0 {
			q = q.Where("id = ?", id)
		}
		r := q.Updates(map[string]any{"run_at": now, "lease_until": now, "attempts": 0, "dead_at": nil})
		n = r.RowsAffected
		return translate(r.Error)
	})
	return n, err
}

// DropJobs forgets a job, or all that were given up when id is 0; n counts them.
func (db *DB) DropJobs(ctx context.Context, id ID) (n int64, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		q := tx.q(ctx).Where("dead_at IS NOT NULL")
		if id != 0 {
			q = tx.q(ctx).Where("id = ?", id)
		}
		r := q.Delete(&Job{})
		n = r.RowsAffected
		return translate(r.Error)
	})
	return n, err
}

// Jobs lists jobs that wait or were given up, oldest first.
func (db *DB) Jobs(ctx context.Context, limit int) ([]Job, error) {
	var js []Job
	return js, translate(db.q(ctx).Order("id").Limit(limit).Find(&js).Error)
}

// DeadJobs lists jobs that were given up, oldest first.
func (db *DB) DeadJobs(ctx context.Context, limit int) ([]Job, error) {
	var js []Job
	return js, translate(db.q(ctx).Where("dead_at IS NOT NULL").Order("id").Limit(limit).Find(&js).Error)
}
