package storage

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// AuditEntry is a line of a co-op's audit log. Its number and the hash of the line before it are in the text that is hashed, so that no line
// can be changed, left out or moved without all that follow it being written anew.
type AuditEntry struct {
	CoopID ID
	Seq    int64  // from 1, without a gap
	Entry  string // canonical JSON (RFC 8785): the members seq and previous, and what activitypub says was done
	Hash   string // SHA-256 of Entry, in hexadecimal
}

// AuditError names the first entry of an audit log that is not what it was.
type AuditError struct {
	CoopID ID
	Seq    int64
	Reason string
}

func (e *AuditError) Error() string {
	return fmt.Sprintf("entry %d of the audit log of the co-op %s: %s", e.Seq, e.CoopID, e.Reason)
}

// AppendAudit adds a line to a co-op's audit log, which write makes for its number and the hash of the line before it. It locks the co-op's
// row until the transaction ends, so that two writers do not draw one number.
func (db *DB) AppendAudit(ctx context.Context, coop ID, write func(seq int64, previous string) ([]byte, error)) error {
	return db.Transaction(ctx, func(tx *DB) error {
		c, err := tx.LockCoop(ctx, coop)
		if err != nil {
			return err
		}
		e := &AuditEntry{CoopID: coop, Seq: c.AuditSeq + 1}
		text, err := write(e.Seq, c.AuditHash)
		if err != nil {
			return err
		}
		e.Entry, e.Hash = string(text), auditHash(text)
		if err := tx.q(ctx).Create(e).Error; err != nil {
			return translate(err)
		}
		return translate(tx.q(ctx).Model(&Coop{}).Where("actor_id = ?", coop).Updates(map[string]any{"audit_seq": e.Seq, "audit_hash": e.Hash}).Error)
	})
}

func auditHash(entry []byte) string {
	sum := sha256.Sum256(entry)
	return hex.EncodeToString(sum[:])
}

// Audit lists the lines of a co-op's audit log, newest first, before a number (0: from the newest on).
func (db *DB) Audit(ctx context.Context, coop ID, before int64, limit int) ([]AuditEntry, error) {
	var es []AuditEntry
	q := db.q(ctx).Where("coop_id = ?", coop).Order("seq DESC").Limit(limit)
	if before != 0 {
		q = q.Where("seq < ?", before)
	}
	return es, translate(q.Find(&es).Error)
}

const selectAudit = "SELECT seq, entry, hash FROM audit_entries WHERE coop_id = ? ORDER BY seq"

// VerifyAudit reads the whole audit log of a co-op and hands each sound line to fn, oldest first (nil: to nobody). An *AuditError names the first that
// is missing, was changed, or does not follow the one before it.
func (db *DB) VerifyAudit(ctx context.Context, coop ID, fn func(AuditEntry) error) error {
	return db.moment(ctx, func(tx *DB) error {
		head, err := tx.Coop(ctx, coop)
		if err != nil {
			return err
		}
		last := AuditEntry{CoopID: coop}
		err = tx.each(ctx, selectAudit, []any{coop}, func(rows *sql.Rows) error {
			e := AuditEntry{CoopID: coop}
			if err := rows.Scan(&e.Seq, &e.Entry, &e.Hash); err != nil {
				return err
			}
			if err := follows(last, e); err != nil {
				return err
			}
			last = e
			if fn == nil {
				return nil
			}
			return fn(e)
		})
		switch {
		case err != nil:
			return err
		case head.AuditSeq > last.Seq:
			return &AuditError{coop, last.Seq + 1, fmt.Sprintf("it is missing: there were %d entries", head.AuditSeq)}
		case head.AuditSeq < last.Seq:
			return &AuditError{coop, head.AuditSeq + 1, "it was not written by the node"}
		case head.AuditHash != last.Hash:
			return &AuditError{coop, last.Seq, "it was written anew: the co-op remembers another hash"}
		}
		return nil
	})
}

// follows says what is wrong with an entry as the one after last.
func follows(last, e AuditEntry) error {
	if e.Seq != last.Seq+1 {
		return &AuditError{e.CoopID, last.Seq + 1, "it is missing"}
	}
	if got := auditHash([]byte(e.Entry)); got != e.Hash {
		return &AuditError{e.CoopID, e.Seq, fmt.Sprintf("it was changed: its hash would be %s, and is said to be %s", got, e.Hash)}
	}
	var in struct {
		Seq      int64  `json:"seq"`
		Previous string `json:"previous"`
	}
	switch err := json.Unmarshal([]byte(e.Entry), &in); {
	case err != nil:
		return &AuditError{e.CoopID, e.Seq, "it is not JSON"}
	case in.Seq != e.Seq:
		return &AuditError{e.CoopID, e.Seq, fmt.Sprintf("it was written as entry %d", in.Seq)}
	case in.Previous != last.Hash:
		return &AuditError{e.CoopID, e.Seq, "it does not follow the entry before it"}
	}
	return nil
}

// verifyAudits is VerifyAudit of all co-ops.
func (db *DB) verifyAudits(ctx context.Context) error {
	var coops []ID
	if err := db.q(ctx).Model(&Coop{}).Order("actor_id").Pluck("actor_id", &coops).Error; err != nil {
		return translate(err)
	}
	for _, id := range coops {
		if err := db.VerifyAudit(ctx, id, nil); err != nil {
			return err
		}
	}
	return nil
}
