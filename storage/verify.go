package storage

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

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
// The book is looked at as it is at one moment, so that payments may go on meanwhile. What failed is in no log: of those ids only that they are nothing else is checked.
func (db *DB) Verify(ctx context.Context, c *Currency) (Verified, error) {
	return db.verify(ctx, c, db.keptHead(c.Book.Code))
}

// verify is Verify with the checkpoint that is to be continued; "": with none.
func (db *DB) verify(ctx context.Context, c *Currency, kept string) (out Verified, err error) {
	err = db.moment(ctx, func(tx *DB) error {
		c, err := tx.currencyByID(ctx, c.ID)
		if err != nil {
			return err
		}
		v := &verifier{db: tx, c: c, book: ledger.NewBook(), erased: map[ledger.ID]bool{}, moves: map[ledger.ID]ledger.Entry{}, last: map[ledger.ID]int64{},
			chain: map[ledger.ID]movement{}, tiles: map[[2]int64]proof.Hash{}}
		v.out.Code = c.Book.Code
		err = tx.eachEntry(ctx, c, 0, v.entry)
		for _, step := range []func(context.Context) error{v.log, v.fullTiles, v.currency, v.accounts, v.outcomes, v.transfers} {
			if err == nil {
				err = step(ctx)
			}
		}
		if out = v.out; err == nil {
			err = tx.checkKept(ctx, c, kept)
		}
		return err
	})
	return out, err
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
	tiles    map[[2]int64]proof.Hash // roots of the full tiles, by level and index
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

// grow appends to the tree, and keeps the roots of the tiles that become full.
func (v *verifier) grow(h proof.Hash) error {
	levels, err := v.frontier.Append(h)
	if err != nil {
		return err
	}
	for l := 1; l <= levels; l++ {
		root, _ := v.frontier.TileHash(l)
		v.tiles[[2]int64{int64(l - 1), v.frontier.Size()>>(proof.TileHeight*l) - 1}] = root
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

// fullTiles compares the stored tiles with the tree. The root of a tile stands for all its hashes.
func (v *verifier) fullTiles(ctx context.Context) error {
	rows, err := v.db.q(ctx).Raw("SELECT level, idx, hashes, root FROM tiles WHERE currency_id = ? ORDER BY level, idx", v.c.ID).Rows()
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var level, index int64
		var hashes, root sql.RawBytes
		if err := rows.Scan(&level, &index, &hashes, &root); err != nil {
			return err
		}
		want, ok := v.tiles[[2]int64{level, index}]
		switch {
		case !ok:
			return v.damage(NoEntry, "it has no full tile %d/%d, but one is stored", level, index)
		case len(hashes) != proof.TileWidth*len(want), proof.TileRoot(hashes) != want, !bytes.Equal(root, want[:]):
			shift := proof.TileHeight * (level + 1)
			return v.damage(NoEntry, "tile %d/%d is not what the entries %d to %d give", level, index, index<<shift, (index+1)<<shift-1)
		}
		delete(v.tiles, [2]int64{level, index})
	}
	if err := rows.Err(); err != nil {
		return translate(err)
	}
	if len(v.tiles) > 0 {
		first := slices.MinFunc(slices.Collect(maps.Keys(v.tiles)), func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) })
		return v.damage(NoEntry, "tile %d/%d is missing", first[0], first[1])
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
			return v.damage(NoEntry, "an account cannot be read: %v", err)
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
		delete(v.book.Accounts, got.ID)
	}
	if err := rows.Err(); err != nil {
		return translate(err)
	}
	for _, a := range v.book.Accounts {
		return v.damage(NoEntry, "the account of %s is missing", a.Ref)
	}
	return nil
}

func (v *verifier) transfers(ctx context.Context) error {
	rows, err := v.db.q(ctx).Raw("SELECT "+transferColumns+", t.moved_seq, t.debit_after, t.credit_after, t.debit_prev, t.credit_prev"+transferTables+" WHERE t.currency_id = ? ORDER BY t.seq", v.c.ID).Rows()
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var m movement
		var movedSeq sql.NullInt64
		got, err := scanTransfer(rows, &movedSeq, &m.debitAfter, &m.creditAfter, &m.debitPrev, &m.creditPrev)
		if err != nil {
			return v.damage(NoEntry, "a transfer cannot be read: %v", err)
		}
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
		delete(v.book.Transfers, got.ID)
	}
	if err := rows.Err(); err != nil {
		return translate(err)
	}
	first := NoEntry
	for _, t := range v.book.Transfers {
		first = min(first, t.Seq)
	}
	if first != NoEntry {
		return v.damage(first, "its transfer is missing")
	}
	return nil
}

// outcomes compares the ids: what the entries made is there, and what failed is nothing else.
func (v *verifier) outcomes(ctx context.Context) error {
	rows, err := v.db.q(ctx).Raw("SELECT uid, digest, code, seq, at FROM outcomes").Rows()
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
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
		case ok && want.Code == ledger.IDAborted && durableFailure(code):
			delete(v.book.Outcomes, id) // it had failed before somebody aborted it
		case ok && (code != want.Code.String() || !v.erased[id] && !bytes.Equal(digest, want.Digest[:]) || ledger.Seq(seq) != want.Seq || at != want.At):
			return v.damage(want.Seq, "the id %s is remembered otherwise than its entry says", id)
		case ok:
			delete(v.book.Outcomes, id)
		}
	}
	if err := rows.Err(); err != nil {
		return translate(err)
	}
	first := NoEntry
	for _, o := range v.book.Outcomes {
		if o.Code == ledger.OKCreated { // an id that was aborted has no entry of its own
			first = min(first, o.Seq)
		}
	}
	if len(v.book.Outcomes) > 0 {
		return v.damage(first, "an id that was used is forgotten")
	}
	return nil
}

// durableFailure says whether code is that of a failure that an id keeps.
func durableFailure(code string) bool {
	c, err := ledger.ParseResultCode(code)
	return err == nil && c.Durable()
}
