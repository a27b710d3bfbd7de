package storage

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"planet/ledger"
	"planet/ledger/proof"
)

// Tile gives the bytes of a tile or of a bundle of entries (proof.Tile with Level proof.Entries) as C2SP tlog-tiles serves them.
// ErrNotFound when the log is not so long. Full tiles are stored; what is partial is computed from the entries.
func (db *DB) Tile(ctx context.Context, c *Currency, t proof.Tile) ([]byte, error) {
	if !t.In(int64(c.Book.Next)) {
		return nil, ErrNotFound
	}
	if t.Level != proof.Entries {
		return db.tileHashes(ctx, c.ID, t.Level, t.Index, t.Width)
	}
	var bundle []byte
	n := 0
	err := db.leaves(ctx, c.ID, t.Index*proof.TileWidth, t.Width, func(leaf []byte) (err error) {
		n++
		bundle, err = proof.AppendEntry(bundle, leaf)
		return err
	})
	if err == nil && n != t.Width {
		err = ErrNotFound
	}
	return bundle, err
}

const (
	selectTile   = "SELECT hashes FROM tiles WHERE currency_id = ? AND level = ? AND idx = ?"
	selectRoots  = "SELECT root FROM tiles WHERE currency_id = ? AND level = ? AND idx >= ? ORDER BY idx LIMIT ?"
	selectLeaves = "SELECT seq, leaf FROM entries WHERE currency_id = ? AND seq >= ? ORDER BY seq LIMIT ?"
)

// tileHashes is the first width hashes of a tile.
func (db *DB) tileHashes(ctx context.Context, currency ID, level int, index int64, width int) ([]byte, error) {
	const size = len(proof.Hash{})
	var full []byte
	err := db.one(ctx, selectTile, []any{currency, level, index}, &full)
	switch {
	case err == nil && len(full) == proof.TileWidth*size:
		return full[:width*size], nil
	case err == nil:
		return nil, fmt.Errorf("tile %d/%d has %d bytes: %w", level, index, len(full), proof.ErrMalformed)
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	out := make([]byte, 0, width*size)
	if level == 0 {
		err = db.leaves(ctx, currency, index*proof.TileWidth, width, func(leaf []byte) error {
			h := proof.LeafHash(leaf)
			out = append(out, h[:]...)
			return nil
		})
	} else {
		err = db.each(ctx, selectRoots, []any{currency, level - 1, index * proof.TileWidth, width}, func(rows *sql.Rows) error {
			var root sql.RawBytes
			err := rows.Scan(&root)
			out = append(out, root...)
			return err
		})
	}
	if err == nil && len(out) != width*size {
		err = fmt.Errorf("tile %d/%d: %d of %d hashes: %w", level, index, len(out)/size, width, ErrNotFound)
	}
	return out, err
}

// leaves reads n leaves of a log from an index on, and none beyond one that is missing. The bytes are each's until it returns.
func (db *DB) leaves(ctx context.Context, currency ID, from int64, n int, each func(leaf []byte) error) error {
	return db.each(ctx, selectLeaves, []any{currency, from, n}, func(rows *sql.Rows) error {
		var seq int64
		var leaf sql.RawBytes
		if err := rows.Scan(&seq, &leaf); err != nil {
			return err
		}
		if seq != from {
			return fmt.Errorf("entry %d: %w", from, ErrNotFound)
		}
		from++
		return each(leaf)
	})
}

// Receipt makes the receipt of an entry under the newest checkpoint: a file that planet receipt verify checks offline (docs/receipts.md).
// ErrNotFound when there is no such entry, or when its opening was erased.
func (db *DB) Receipt(ctx context.Context, currency ledger.ID, seq ledger.Seq) ([]byte, error) {
	c, err := db.currencyByUID(ctx, currency)
	if err != nil {
		return nil, err
	}
	r := proof.Receipt{Index: int64(seq), Checkpoint: []byte(c.Checkpoint)}
	var salt []byte
	err = db.one(ctx, "SELECT e.leaf, o.salt, o.opening FROM entries e JOIN openings o ON o.currency_id = e.currency_id AND o.seq = e.seq WHERE e.currency_id = ? AND e.seq = ?", []any{c.ID, int64(seq)}, &r.Leaf, &salt, &r.Opening)
	if err != nil {
		return nil, err
	}
	if len(salt) != len(r.Salt) {
		return nil, fmt.Errorf("entry %d was erased: %w", seq, ErrNotFound)
	}
	copy(r.Salt[:], salt)
	if r.Path, err = db.tree(ctx, c).Prove(int64(seq)); err != nil {
		return nil, err
	}
	return r.Marshal()
}

// tree is the log of a currency as long as c says.
func (db *DB) tree(ctx context.Context, c *Currency) proof.Tree {
	return proof.Tree{Size: int64(c.Book.Next), Tiles: func(level int, index int64, width int) ([]byte, error) {
		return db.tileHashes(ctx, c.ID, level, index, width)
	}}
}

func (db *DB) currencyByID(ctx context.Context, id ID) (*Currency, error) {
	return scanCurrency(db.row(ctx, "SELECT "+currencyColumns+" FROM currencies WHERE id = ?", id))
}

// CurrencyByUID finds a currency by the ledger's id of it, or ErrNotFound.
func (db *DB) CurrencyByUID(ctx context.Context, uid ledger.ID) (*Currency, error) {
	return db.currencyByUID(ctx, uid)
}

func (db *DB) currencyByUID(ctx context.Context, uid ledger.ID) (*Currency, error) {
	return scanCurrency(db.row(ctx, "SELECT "+currencyColumns+" FROM currencies WHERE uid = ?", uid[:]))
}

// Transfer finds a transfer, and the seq of the entry that moved it last (its own while it is held). ErrNotFound when there is none.
func (db *DB) Transfer(ctx context.Context, id ledger.ID) (t ledger.Transfer, moved ledger.Seq, err error) {
	found := false
	err = db.each(ctx, "SELECT "+transferColumns+", coalesce(t.moved_seq, t.seq)"+transferTables+" WHERE t.uid = ?", []any{id[:]}, func(rows *sql.Rows) (err error) {
		var seq int64
		t, err = scanTransfer(rows, &seq)
		moved, found = ledger.Seq(seq), true
		return err
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return t, moved, err
}

// Outcome finds what the ledger remembers of an id that is no transfer, or ErrNotFound.
func (db *DB) Outcome(ctx context.Context, id ledger.ID) (ledger.ResultCode, error) {
	var code string
	if err := db.one(ctx, "SELECT code FROM outcomes WHERE uid = ?", []any{id[:]}, &code); err != nil {
		return 0, err
	}
	return ledger.ParseResultCode(code)
}

// AccountByID finds an account by the ledger's id of it, or ErrNotFound.
func (db *DB) AccountByID(ctx context.Context, id ledger.ID) (ledger.Account, error) {
	a, _, err := scanAccount(db.row(ctx, accountQuery+" WHERE a.uid = ?", id[:]))
	return a, err
}

// OwnerOf says whose an account is, or ErrNotFound.
func (db *DB) OwnerOf(ctx context.Context, account ledger.ID) (owner IRI, err error) {
	err = db.one(ctx, "SELECT ref FROM accounts WHERE uid = ?", []any{account[:]}, &owner)
	return owner, err
}

// Account finds the account of an owner in a currency, or ErrNotFound.
func (db *DB) Account(ctx context.Context, c *Currency, owner IRI) (ledger.Account, error) {
	a, _, err := scanAccount(db.row(ctx, accountQuery+" WHERE a.currency_id = ? AND a.ref = ?", c.ID, owner))
	return a, err
}

// Holdings finds which accounts two owners have in a currency, by owner: of each its id and when it was opened.
func (db *DB) Holdings(ctx context.Context, c *Currency, one, other IRI) (map[IRI]Holding, error) {
	out := make(map[IRI]Holding, 2)
	return out, db.each(ctx, "SELECT ref, uid, opened_at FROM accounts WHERE currency_id = ? AND ref IN (?, ?)", []any{c.ID, one, other}, func(rows *sql.Rows) error {
		var owner IRI
		var uid []byte
		var h Holding
		if err := rows.Scan(&owner, &uid, &h.OpenedAt); err != nil {
			return err
		}
		h.Account = toID(uid)
		out[owner] = h
		return nil
	})
}

// Holding is an account as its owner names it.
type Holding struct {
	Account  ledger.ID
	OpenedAt ledger.Instant
}

// Accounts lists the accounts of a currency by owner.
func (db *DB) Accounts(ctx context.Context, c *Currency) ([]ledger.Account, error) {
	rows, err := db.q(ctx).Raw(accountQuery+" WHERE a.currency_id = ? ORDER BY a.ref", c.ID).Rows()
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var as []ledger.Account
	for rows.Next() {
		a, _, err := scanAccount(rows)
		if err != nil {
			return nil, err
		}
		as = append(as, a)
	}
	return as, translate(rows.Err())
}

// Statement is what moved on an account at or after from and before to (zero: without end), oldest first, with the balance running from
// line to line. It walks back from the account's last movement, at most limit of them (0: all); more says that there were older ones in the time asked for.
func (db *DB) Statement(ctx context.Context, account ledger.ID, from, to time.Time, limit int) (s ledger.Statement, more bool, err error) {
	return db.statement(ctx, account, -1, from, to, limit)
}

// StatementAfter is what moved on an account after an entry, oldest first; -1: from the beginning.
func (db *DB) StatementAfter(ctx context.Context, account ledger.ID, after int64) (ledger.Statement, error) {
	s, _, err := db.statement(ctx, account, after, time.Time{}, time.Time{}, 0)
	return s, err
}

func (db *DB) statement(ctx context.Context, account ledger.ID, after int64, from, to time.Time, limit int) (s ledger.Statement, more bool, err error) {
	if limit <= 0 {
		limit = 1 << 30
	}
	var currency, next int64
	if err := db.one(ctx, "SELECT currency_id, last_moved FROM accounts WHERE uid = ?", []any{account[:]}, &currency, &next); err != nil {
		return s, false, err
	}
	s.Account = account
	var lines []ledger.Line // newest first
	first := true           // the newest line seen gives the closing balance
	for next >= 0 && !more {
		n := 0
		err := db.each(ctx, walk, []any{currency, next, account[:], account[:]}, func(rows *sql.Rows) error {
			l, prev, err := scanLine(rows, account)
			if err != nil {
				return err
			}
			n++
			next = prev
			at := time.Unix(0, int64(l.At))
			switch {
			case !to.IsZero() && !at.Before(to):
				return nil
			case !from.IsZero() && at.Before(from) || int64(l.Seq) <= after:
				if first {
					s.Closing, first = l.Balance, false
				}
				s.Opening, next = l.Balance, -2
				return errEnough
			case len(lines) == limit:
				s.Opening, more = l.Balance, true
				return errEnough
			}
			if first {
				s.Closing, first = l.Balance, false
			}
			lines = append(lines, l)
			s.Opening = l.Balance - l.Change
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return s, false, err
		}
		if n == 0 {
			return s, false, fmt.Errorf("account %s: the transfer of entry %d is missing", account, next)
		}
	}
	closing := s.Closing
	s.Closing = s.Opening
	for i := len(lines) - 1; i >= 0; i-- {
		if err := s.Add(lines[i]); err != nil {
			return s, more, err
		}
	}
	if s.Closing != closing {
		return s, more, fmt.Errorf("account %s: its statement ends at %d, its last line at %d", account, s.Closing, closing)
	}
	return s, more, nil
}

var errEnough = errors.New("enough")

// walk follows the chain of an account's movements back in time. It ends with a page, and the caller goes on from there.
const walk = `WITH RECURSIVE chain AS (
	SELECT t.*, 1 AS depth FROM transfers t WHERE t.currency_id = ? AND t.seq = ?
	UNION ALL
	SELECT t.*, chain.depth + 1 FROM chain JOIN transfers t ON t.currency_id = chain.currency_id AND t.seq = CASE WHEN chain.debit = ? THEN chain.debit_prev ELSE chain.credit_prev END
	WHERE chain.depth < 500)
	SELECT moved_seq, uid, debit, credit, posted, code, debit_after, credit_after, CASE WHEN debit = ? THEN debit_prev ELSE credit_prev END, at, resolved_at FROM chain ORDER BY depth`

func scanLine(rows *sql.Rows, account ledger.ID) (l ledger.Line, prev int64, err error) {
	var uid, debit, credit sql.RawBytes
	var seq, amount, debitAfter, creditAfter int64
	var at ledger.Instant
	if err = rows.Scan(&seq, &uid, &debit, &credit, &amount, &l.Code, &debitAfter, &creditAfter, &prev, &at, &l.At); err != nil {
		return l, -1, err
	}
	l.Seq, l.Transfer = ledger.Seq(seq), toID(uid)
	if bytes.Equal(debit, account[:]) {
		l.Other, l.Change, l.Balance = toID(credit), -amount, debitAfter
	} else {
		l.Other, l.Change, l.Balance = toID(debit), amount, creditAfter
	}
	return l, prev, nil
}

// EachEntry hands the entries of a currency to each, in order, with their leaves and openings. salted is false where the opening was erased.
func (db *DB) EachEntry(ctx context.Context, c *Currency, from ledger.Seq, each func(e ledger.Entry, salted bool) error) error {
	return db.eachEntry(ctx, c, int64(from), func(seq int64, leaf, salt, opening []byte) error {
		e, err := ledger.ParseEntry(append(headOf(leaf), opening...))
		if err != nil {
			return err
		}
		return each(e, len(salt) > 0)
	})
}

// headOf is a copy of the lines of a leaf before the commitment, with room for an opening.
func headOf(leaf []byte) []byte {
	i := bytes.LastIndex(leaf, []byte("\nbody "))
	return append(make([]byte, 0, 1024), leaf[:i+1]...)
}

const selectEntries = `SELECT e.seq, e.leaf, o.salt, o.opening FROM entries e LEFT JOIN openings o ON o.currency_id = e.currency_id AND o.seq = e.seq
	WHERE e.currency_id = ? AND e.seq >= ? ORDER BY e.seq LIMIT ?`

// eachEntry reads in pages, so that no read transaction stays open for long.
func (db *DB) eachEntry(ctx context.Context, c *Currency, from int64, each func(seq int64, leaf, salt, opening []byte) error) error {
	const page = 2000
	for n := page; n == page && from < int64(c.Book.Next); {
		n = 0
		err := db.each(ctx, selectEntries, []any{c.ID, from, page}, func(rows *sql.Rows) error {
			var seq int64
			var leaf, salt, opening sql.RawBytes
			if err := rows.Scan(&seq, &leaf, &salt, &opening); err != nil {
				return err
			}
			if n++; seq >= int64(c.Book.Next) {
				return nil // came while we read
			}
			from = seq + 1
			return each(seq, leaf, salt, opening)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
