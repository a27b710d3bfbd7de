package activitypub

import (
	"context"
	"encoding/json"

	"github.com/gowebpki/jcs"

	"planet/storage"
)

// AuditEntry is a line of a co-op's audit log: what was decided about roles, limits, requests, agreement, dues, hours and exports.
type AuditEntry struct {
	Seq      int64           `json:"seq"`
	Coop     storage.IRI     `json:"coop"`
	Time     string          `json:"time"` // RFC 3339, with milliseconds
	Who      string          `json:"who"`  // IRI of a person, or "operator"
	Act      string          `json:"act"`
	Subject  storage.IRI     `json:"subject,omitempty"` // whom or what it is about
	Words    string          `json:"words,omitempty"`
	Before   json.RawMessage `json:"before,omitempty"`
	After    json.RawMessage `json:"after,omitempty"`
	Previous string          `json:"previous"` // hash of the entry before; "" of the first

	Hash string `json:"-"` // SHA-256 of Text, in hexadecimal
	Text string `json:"-"` // the entry as it is hashed (RFC 8785)
}

// operator is who acts at the command line, in an audit log.
const operator = "operator"

// change is what an audit log is told of an act.
type change struct {
	act           string
	subject       storage.IRI
	words         string
	before, after map[string]any
}

// audit records an act and adds it to the co-op's audit log, in the transaction of the act.
func (n *Node) audit(ctx context.Context, tx *storage.DB, by By, coop *storage.Actor, c change) error {
	if err := record(ctx, tx, by.as(coop), c.act, c.subject); err != nil {
		return err
	}
	e := AuditEntry{Coop: coop.IRI, Time: n.Now().UTC().Format("2006-01-02T15:04:05.000Z"), Who: operator, Act: c.act, Subject: c.subject, Words: c.words}
	if by.User != nil {
		own, err := tx.ActorByID(ctx, by.User.ActorID)
		if err != nil {
			return err
		}
		e.Who = string(own.IRI)
	}
	var err error
	if c.before != nil {
		if e.Before, err = marshal(c.before); err != nil {
			return err
		}
	}
	if c.after != nil {
		if e.After, err = marshal(c.after); err != nil {
			return err
		}
	}
	return tx.AppendAudit(ctx, coop.ID, func(seq int64, previous string) ([]byte, error) {
		e.Seq, e.Previous = seq, previous
		raw, err := marshal(e)
		if err != nil {
			return nil, err
		}
		return jcs.Transform(raw)
	})
}

// readAudit reads what audit wrote.
func readAudit(row storage.AuditEntry) (AuditEntry, error) {
	e := AuditEntry{Hash: row.Hash, Text: row.Entry}
	return e, json.Unmarshal([]byte(row.Entry), &e)
}

// AuditOf lists the audit log of a co-op to its members, newest first, before a number (0: from the newest on).
func (n *Node) AuditOf(ctx context.Context, by By, coop *storage.Actor, before int64, limit int) ([]AuditEntry, error) {
	if err := n.insider(ctx, n.DB, by, coop); err != nil {
		return nil, err
	}
	rows, err := n.DB.Audit(ctx, coop.ID, before, limit)
	if err != nil {
		return nil, err
	}
	es := make([]AuditEntry, len(rows))
	for i := range rows {
		if es[i], err = readAudit(rows[i]); err != nil {
			return nil, err
		}
	}
	return es, nil
}

// VerifyAudit reads the whole audit log of a co-op for one of its members and hands each sound line to fn, oldest first. A *storage.AuditError names
// the first that is broken.
func (n *Node) VerifyAudit(ctx context.Context, by By, coop *storage.Actor, fn func(AuditEntry) error) error {
	if err := n.insider(ctx, n.DB, by, coop); err != nil {
		return err
	}
	return n.DB.VerifyAudit(ctx, coop.ID, func(row storage.AuditEntry) error {
		e, err := readAudit(row)
		if err != nil {
			return err
		}
		return fn(e)
	})
}

// Exported notes in the audit log of the co-op by.Actor that its records are taken out: which ones, in words. Whoever exports calls it first, and
// goes on when it may. The operator may also when the co-op is suspended.
func (n *Node) Exported(ctx context.Context, by By, what string) error {
	return n.DB.Transaction(ctx, func(tx *storage.DB) error {
		if _, err := lockCoop(ctx, tx, by.Actor); err != nil {
			return err
		}
		if by.User != nil {
			if err := n.allowed(ctx, tx, by, "export"); err != nil {
				return err
			}
		}
		return n.audit(ctx, tx, by, by.Actor, change{act: "export", subject: by.Actor.IRI, words: what})
	})
}
