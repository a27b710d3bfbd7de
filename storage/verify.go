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

// DamageError says where a book stops being true.
type DamageError struct {
	Code string     // of the currency
	Seq  ledger.Seq // of the first bad entry; NoEntry when it is no entry
	What string
}

// NoEntry is the Seq of damage that is not in an entry.
const NoEntry = ledger.Seq(1<<64 - 1)

// Error names the currency, the first bad entry and what is wrong with it.
func (e *DamageError) Error() string {
	if e.Seq == NoEntry {
		return fmt.Sprintf("%s is damaged: %s", e.Code, e.What)
	}
	return fmt.Sprintf("%s is damaged, first in entry %d: %s", e.Code, e.Seq, e.What)
}

// Verified is what a verification counted.
type Verified struct {
	Code      string
	Entries   int64
	Erased    int64 // of them, whose openings were erased
	Transfers int
	Accounts  int
	Failures  int // command ids that failed
	Root      proof.Hash
}

// Verify replays the whole book of a currency and compares everything that is stored with what follows from the entries: commitments, limits, counters,
// transfers, claims, ids, chains, tiles, the head and its signature. A *DamageError names the first thing that is not so; then the currency is to be frozen.
func (db *DB) Verify(ctx context.Context, c *Currency) (Verified, error) {
	v := &verifier{db: db, c: c, book: ledger.NewBook(), erased: map[ledger.ID]bool{}, moves: map[ledger.ID]ledger.Entry{}, last: map[ledger.ID]int64{}, chain: map[ledger.ID]movement{}}
	v.out.Code = c.Book.Code
	err := db.eachEntry(ctx, c, 0, v.entry)
	for _, step := range []func(context.Context) error{v.log, v.currency, v.accounts, v.transfers, v.outcomes} {
		if err == nil {
			err = step(ctx)
		}
	}
	return v.out, err
}

type verifier struct {
	db       *DB
	c        *Currency
	out      Verified
	book     *ledger.Book
	frontier proof.Frontier
	erased   map[ledger.ID]bool
	moves    map[ledger.ID]ledger.Entry // the entry that moved a transfer
	last     map[ledger.ID]int64        // an account's last movement
	chain    map[ledger.ID]movement

	levels [8][]byte // hashes of the tile that fills, by level
}

func (v *verifier) damage(seq ledger.Seq, format string, args ...any) error {
	return &DamageError{Code: v.c.Book.Code, Seq: seq, What: fmt.Sprintf(format, args...)}
}

// entry checks one leaf with its opening and replays it.
func (v *verifier) entry(seq int64, text, salt, opening []byte) error {
	at := ledger.Seq(v.out.Entries)
	if seq != v.out.Entries {
		return v.damage(at, "it is missing")
	}
	leaf, err := proof.ParseLeaf(text)
	switch {
	case err != nil:
		return v.damage(at, "%v", err)
	case leaf.Seq != uint64(seq), leaf.Currency != v.c.Book.IRI:
		return v.damage(at, "it calls itself entry %d of %s", leaf.Seq, leaf.Currency)
	case opening == nil:
		return v.damage(at, "its opening is missing")
	}
	if salt != nil {
		if len(salt) != 32 {
			return v.damage(at, "its salt has %d bytes", len(salt))
		}
		if err := leaf.CheckOpening([32]byte(salt), opening); err != nil {
			return v.damage(at, "%v", err)
		}
	} else {
		v.out.Erased++
		v.erased[leaf.ID] = true
	}
	e, err := ledger.ParseEntry(append(headOf(text), opening...))
	if err != nil {
		return v.damage(at, "%v", err)
	}
	if err := v.book.Replay(e); err != nil {
		return v.damage(at, "%v", err)
	}
	if id, ok := e.Moves(); ok {
		e.Cmd = nil // keeps memory small
		v.moves[id] = e
		first := int64(v.book.Transfers[id].Seq)
		v.chain[id] = movement{debitPrev: v.previous(e.Debit, first), creditPrev: v.previous(e.Credit, first)}
	}
	v.out.Entries++
	return v.grow(proof.LeafHash(text))
}

func (v *verifier) previous(account ledger.ID, now int64) int64 {
	was, ok := v.last[account]
	if !ok {
		was = -1
	}
	v.last[account] = now
	return was
}

// grow appends to the tree, and compares each tile that becomes full with the stored one.
func (v *verifier) grow(h proof.Hash) error {
	levels, err := v.frontier.Append(h)
	if err != nil {
		return err
	}
	v.levels[0] = append(v.levels[0], h[:]...)
	for l := 0; l <= levels; l++ {
		if l > 0 {
			up, _ := v.frontier.TileHash(l)
			v.levels[l] = append(v.levels[l], up[:]...)
		}
		if len(v.levels[l]) < proof.TileWidth*len(proof.Hash{}) {
			continue
		}
		index := v.frontier.Size()>>(proof.TileHeight*(l+1)) - 1
		var hashes, root []byte
		err := scan(v.db.q(context.Background()).Raw("SELECT hashes, root FROM tiles WHERE currency_id = ? AND level = ? AND idx = ?", v.c.ID, l, index), &hashes, &root)
		want := proof.TileRoot(v.levels[l])
		switch {
		case errors.Is(err, ErrNotFound):
			return v.damage(NoEntry, "tile %d/%d is missing", l, index)
		case err != nil:
			return err
		case !bytes.Equal(hashes, v.levels[l]), !bytes.Equal(root, want[:]):
			return v.damage(NoEntry, "tile %d/%d is not what the entries %d to %d give", l, index, index<<(proof.TileHeight*(l+1)), v.frontier.Size()-1)
		}
		v.levels[l] = v.levels[l][:0]
	}
	return nil
}

// log compares the head and its checkpoint with the tree.
func (v *verifier) log(ctx context.Context) error {
	if err := v.book.Ended(); err != nil {
		return v.damage(ledger.Seq(v.out.Entries), "%v", err)
	}
	if v.out.Entries != int64(v.c.Book.Next) {
		return v.damage(ledger.Seq(v.out.Entries), "it is missing: the book says that it has %d entries", v.c.Book.Next)
	}
	v.out.Root = v.frontier.Root()
	if !bytes.Equal(v.frontier.Marshal(), v.c.frontier) {
		return v.damage(NoEntry, "its frontier is not that of its entries")
	}
	if err := v.c.checkHead(v.out.Entries, v.out.Root); err != nil {
		return v.damage(NoEntry, "%v", err)
	}
	return nil
}

// checkHead says whether the checkpoint is signed by the currency's key over this tree.
func (c *Currency) checkHead(size int64, root proof.Hash) error {
	vkey, err := c.Vkey()
	if err != nil {
		return err
	}
	key, err := proof.NewVerifier(vkey)
	if err != nil {
		return err
	}
	cp, _, err := proof.Open([]byte(c.Checkpoint), key)
	switch {
	case err != nil:
		return fmt.Errorf("its checkpoint: %w", err)
	case cp.Size != size, cp.Root != root:
		return fmt.Errorf("its checkpoint is of %d entries with the root %s, the book has %d with the root %s", cp.Size, cp.Root, size, root)
	}
	return nil
}

func (v *verifier) currency(context.Context) error {
	got, want := v.c.Book, v.book.Currencies[v.c.Book.ID]
	if got != want {
		return v.damage(NoEntry, "its row says %+v, its entries %+v", got, want)
	}
	if err := ledger.Check(&v.book.Snapshot); err != nil {
		return v.damage(NoEntry, "%v", err)
	}
	return nil
}

func (v *verifier) accounts(ctx context.Context) error {
	rows, err := v.db.q(ctx).Raw(accountQuery+" WHERE a.currency_id = ?", v.c.ID).Rows()
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		got, moved, err := scanAccount(rows)
		if err != nil {
			return err
		}
		v.out.Accounts++
		want, ok := v.book.Accounts[got.ID]
		last, any := v.last[got.ID]
		if !any {
			last = -1
		}
		switch {
		case !ok:
			return v.damage(NoEntry, "no entry opened the account %s of %s", got.ID, got.Ref)
		case got != want:
			return v.damage(NoEntry, "the account of %s says %+v, the entries %+v", got.Ref, got, want)
		case moved != last:
			return v.damage(NoEntry, "the account of %s moved last in entry %d, its row says %d", got.Ref, last, moved)
		}
	}
	if v.out.Accounts != len(v.book.Accounts) {
		return v.damage(NoEntry, "%d accounts were opened, %d are there", len(v.book.Accounts), v.out.Accounts)
	}
	return translate(rows.Err())
}

func (v *verifier) transfers(ctx context.Context) error {
	rows, err := v.db.q(ctx).Raw("SELECT "+transferColumns+", moved_seq, debit_after, credit_after, debit_prev, credit_prev FROM transfers WHERE currency_id = ? ORDER BY seq", v.c.ID).Rows()
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var m movement
		var movedSeq sql.NullInt64
		var got ledger.Transfer
		var currency int64
		err := scanTransferInto(rows, &got, &currency, &movedSeq, &m.debitAfter, &m.creditAfter, &m.debitPrev, &m.creditPrev)
		if err != nil {
			return err
		}
		got.Currency = v.c.Book.ID
		v.out.Transfers++
		want, ok := v.book.Transfers[got.ID]
		if v.erased[got.ID] {
			want.Digest = got.Digest
		}
		switch {
		case !ok:
			return v.damage(got.Seq, "there is a transfer %s that no entry made", got.ID)
		case got != want:
			return v.damage(got.Seq, "its transfer says %+v, the entries %+v", got, want)
		}
		e, moved := v.moves[got.ID]
		if moved != movedSeq.Valid {
			return v.damage(got.Seq, "its transfer says that it moved: %t, the entries: %t", movedSeq.Valid, moved)
		}
		if c := v.chain[got.ID]; moved && (ledger.Seq(movedSeq.Int64) != e.Seq || m.debitAfter != e.DebitAfter || m.creditAfter != e.CreditAfter ||
			m.debitPrev != c.debitPrev || m.creditPrev != c.creditPrev) {
			return v.damage(e.Seq, "its transfer's row gives other balances, or another movement before it, than the entries")
		}
	}
	if v.out.Transfers != len(v.book.Transfers) {
		return v.damage(NoEntry, "the entries made %d transfers, %d are there", len(v.book.Transfers), v.out.Transfers)
	}
	return translate(rows.Err())
}

// outcomes compares the ids: what the entries made is there, and what failed is nothing else.
func (v *verifier) outcomes(ctx context.Context) error {
	rows, err := v.db.q(ctx).Raw("SELECT uid, digest, code, seq, at FROM outcomes").Rows()
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	found := 0
	for rows.Next() {
		var (
			uid, digest []byte
			code        string
			seq         int64
			at          ledger.Instant
		)
		if err := rows.Scan(&uid, &digest, &code, &seq, &at); err != nil {
			return err
		}
		id := toID(uid)
		if _, both := v.book.Transfers[id]; both {
			return v.damage(NoEntry, "the id %s failed, and is a transfer", id)
		}
		want, ok := v.book.Outcomes[id]
		switch {
		case !ok && code != ledger.OKCreated.String():
			v.out.Failures++ // of any currency: a failure is in no log
		case ok && (code != want.Code.String() || !v.erased[id] && !bytes.Equal(digest, want.Digest[:]) || ledger.Seq(seq) != want.Seq || at != want.At):
			return v.damage(want.Seq, "the id %s is remembered otherwise than its entry says", id)
		case ok:
			found++
		}
	}
	if found != len(v.book.Outcomes) {
		return v.damage(NoEntry, "the entries used %d ids, %d of them are remembered", len(v.book.Outcomes), found)
	}
	return translate(rows.Err())
}

// CheckBooks is what a node does with its money before it starts: for every currency the head, the newest entries, and whether the books balance.
// What is damaged is frozen and comes back; the rest of the node goes on. Verify is the whole check.
func (db *DB) CheckBooks(ctx context.Context) ([]*DamageError, error) {
	cs, err := db.Currencies(ctx)
	if err != nil {
		return nil, err
	}
	var found []*DamageError
	for _, c := range cs {
		err := db.checkTail(ctx, c)
		var damage *DamageError
		switch {
		case errors.As(err, &damage):
			found = append(found, damage)
			if err := db.Freeze(ctx, c.ID, damage.Error()); err != nil {
				return found, err
			}
		case err != nil:
			return found, err
		}
	}
	return found, nil
}

// tail is how many of the newest entries are looked at when a node starts.
const tail = 1000

func (db *DB) checkTail(ctx context.Context, c *Currency) error {
	v := &verifier{db: db, c: c}
	size := int64(c.Book.Next)
	f, err := proof.ParseFrontier(c.frontier)
	if err != nil {
		return v.damage(NoEntry, "%v", err)
	}
	if f.Size() != size {
		return v.damage(NoEntry, "its frontier is of %d entries, it has %d", f.Size(), size)
	}
	if err := c.checkHead(size, f.Root()); err != nil {
		return v.damage(NoEntry, "%v", err)
	}
	root, err := db.tree(ctx, c).Root()
	if err != nil || root != f.Root() {
		return v.damage(NoEntry, "the newest entries and tiles do not give the root that was signed (%v)", err)
	}
	n, from := max(size-tail, 0), max(size-tail, 0)
	after := map[ledger.ID]int64{}
	err = db.eachEntry(ctx, c, from, func(seq int64, text, salt, opening []byte) error {
		at := ledger.Seq(n)
		if seq != n || opening == nil {
			return v.damage(at, "it, or its opening, is missing")
		}
		n++
		leaf, err := proof.ParseLeaf(text)
		if err == nil && len(salt) == 32 {
			err = leaf.CheckOpening([32]byte(salt), opening)
		}
		var e ledger.Entry
		if err == nil {
			e, err = ledger.ParseEntry(append(headOf(text), opening...))
		}
		if err != nil {
			return v.damage(at, "%v", err)
		}
		if !e.Debit.IsZero() {
			after[e.Debit], after[e.Credit] = e.DebitAfter, e.CreditAfter
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n != size {
		return v.damage(ledger.Seq(n), "it is missing: the book says that it has %d entries", size)
	}
	for id, want := range after {
		var got int64
		err := scan(db.q(ctx).Raw("SELECT credits_posted - debits_posted FROM accounts WHERE uid = ?", id[:]), &got)
		if err != nil || got != want {
			return v.damage(NoEntry, "the account %s stands at %d, its newest entry left %d (%v)", id, got, want, err)
		}
	}
	var posted, pending sql.NullFloat64 // exact where it matters: at zero
	if err := scan(db.q(ctx).Raw("SELECT sum(credits_posted - debits_posted), sum(credits_pending - debits_pending) FROM accounts WHERE currency_id = ?", c.ID), &posted, &pending); err != nil {
		return v.damage(NoEntry, "its counters cannot be summed: %v", err)
	}
	if posted.Float64 != 0 || pending.Float64 != 0 {
		return v.damage(NoEntry, "its balances sum to %.0f, and what is held to %.0f, instead of 0", posted.Float64, pending.Float64)
	}
	return nil
}

// Erase takes a person out of a book: the owner's IRI, and the salts of the entries that name it. The numbers stay, under the account's id, which says nothing
// without the IRI; the leaves stay as they are, and every proof valid (ledger.md §4.3).
func (db *DB) Erase(ctx context.Context, account ledger.ID) error {
	var currency int64
	if err := scan(db.q(ctx).Raw("SELECT currency_id FROM accounts WHERE uid = ?", account[:]), &currency); err != nil {
		return err
	}
	uid, err := db.currencyUID(ctx, currency)
	if err != nil {
		return err
	}
	c, err := db.currencyByUID(ctx, uid)
	if err != nil {
		return err
	}
	return db.Transaction(ctx, func(tx *DB) error {
		name := "erased:" + account.String()
		blank := map[ledger.Seq][]byte{}
		err := tx.EachEntry(ctx, c, 0, func(e ledger.Entry, _ bool) error {
			switch cmd := e.Cmd.(type) {
			case ledger.OpenAccount:
				if cmd.Account == account {
					cmd.Ref = name
					e.Cmd = cmd
					blank[e.Seq] = ledger.AppendOpening(nil, e)
				}
			case ledger.Rebind:
				if cmd.Account == account {
					cmd.NewRef = name
					e.Cmd = cmd
					blank[e.Seq] = ledger.AppendOpening(nil, e)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for seq, opening := range blank {
			if err := tx.q(ctx).Exec("UPDATE openings SET salt = NULL, opening = ? WHERE currency_id = ? AND seq = ?", opening, c.ID, int64(seq)).Error; err != nil {
				return translate(err)
			}
		}
		return translate(tx.q(ctx).Exec("UPDATE accounts SET ref = ? WHERE uid = ?", name, account[:]).Error)
	})
}

// Resume lets a frozen currency be written again, once the whole book has been verified: what is damaged stays frozen. A book that came out of a backup
// goes on in a new epoch, under a new name of its log: payments made after the backup are not in this copy, and signing over their places under the old
// name would contradict checkpoints that members hold (F22). decision says who decided that.
func (db *DB) Resume(ctx context.Context, c *Currency, decision string) error {
	if _, err := db.Verify(ctx, c); err != nil {
		return err
	}
	return db.Transaction(ctx, func(tx *DB) error {
		was, err := tx.currencyByUID(ctx, c.Book.ID)
		if err != nil || was.Frozen == "" {
			return err
		}
		if was.Book.Next != c.Book.Next {
			return fmt.Errorf("%s was written while it was verified: %w", c.Book.Code, ErrConflict)
		}
		if err := tx.Thaw(ctx, c.ID); err != nil {
			return err
		}
		made, restored, err := tx.Restored(ctx)
		if err != nil || !restored {
			return err
		}
		body := fmt.Sprintf("restored from a backup made at %s\ndecision %s\n\n%s", made.UTC().Format(time.RFC3339), decision, was.Checkpoint)
		results, err := tx.Ledger(ctx, ledger.Group{ledger.Note{ID: ledger.NewID("epoch", c.Book.IRI, fmt.Sprint(was.Book.Epoch+1), fmt.Sprint(was.Book.Next)),
			Currency: c.Book.ID, Kind: ledger.NoteEpoch, Body: []byte(body)}})
		if err != nil {
			return err
		}
		if err := results[0].Err(); err != nil {
			return err
		}
		var frozen int64
		if err := scan(tx.q(ctx).Raw("SELECT count(*) FROM currencies WHERE frozen <> ''"), &frozen); err != nil || frozen > 0 {
			return err
		}
		return tx.ConfirmRestored(ctx)
	})
}
