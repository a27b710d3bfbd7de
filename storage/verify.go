package storage

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
			err = tx.checkHead(ctx, c, kept)
		}
		return err
	})
	return out, err
}

// RolledBack and Forked begin the reason of a currency that is frozen because somebody keeps a checkpoint of a longer log, or of another one: both
// are signed by its key, so it goes on in a new epoch alone (Resume).
const (
	RolledBack = "rolled back: "
	Forked     = "fork: "
)

// contradicted says whether a currency is frozen because its log is not the one that it vouched for.
func contradicted(frozen string) bool {
	return strings.HasPrefix(frozen, RolledBack) || strings.HasPrefix(frozen, Forked)
}

// Reason is why a currency with this damage is frozen.
func (e *DamageError) Reason() string {
	if contradicted(e.What) {
		return e.What
	}
	return e.Error()
}

// Continues compares the log with a checkpoint that somebody kept. The caller has checked its signature, by the key of VkeyAt. A *DamageError says that the
// log is shorter now (the book was rolled back, F22) or another one (a fork, F50). Of an epoch that has ended, the log need only hold what the next one took over.
func (db *DB) Continues(ctx context.Context, c *Currency, cp proof.Checkpoint) error {
	damage := func(format string, args ...any) error {
		return &DamageError{Code: c.Book.Code, Seq: NoEntry, What: fmt.Sprintf(format, args...)}
	}
	o, err := proof.ParseOrigin(cp.Origin)
	if err != nil {
		return err
	}
	size := int64(c.Book.Next)
	if o.Epoch <= c.Book.Epoch {
		if size, err = db.endOfEpoch(ctx, c, o.Epoch-1); err != nil {
			return err
		}
		if cp.Size > size {
			return fmt.Errorf("epoch %d had %d entries or more, and the next one goes on after %d of them: entries %d to %d are not in this book, by the decision in its entry %d",
				o.Epoch, cp.Size, size, size, cp.Size-1, size)
		}
	}
	if cp.Size > size {
		return damage(RolledBack+"a checkpoint that this currency signed has %d entries, and there are %d now: %d are gone", cp.Size, size, cp.Size-size)
	}
	then := *c
	then.Book.Next = ledger.Seq(cp.Size)
	root, err := db.tree(ctx, &then).Root()
	if err != nil {
		return fmt.Errorf("root of the first %d entries of %s: %w", cp.Size, c.Book.Code, err)
	}
	if ended := o.Epoch <= c.Book.Epoch; root != cp.Root && ended {
		return fmt.Errorf("in epoch %d, which has ended, the first %d entries of %s had the root %s, and have %s now: the history was rewritten", o.Epoch, cp.Size, c.Book.Code, cp.Root, root)
	} else if root != cp.Root {
		return damage(Forked+"its first %d entries had the root %s when it signed a checkpoint of them, and have %s now: the history was rewritten", cp.Size, cp.Root, root)
	}
	return nil
}

// endOfEpoch is how many entries there were when an epoch, as ledger.Currency counts it, ended: the place of the note that opened the next.
func (db *DB) endOfEpoch(ctx context.Context, c *Currency, epoch uint32) (size int64, err error) {
	now, found := uint32(0), false
	err = db.EachEntry(ctx, c, 0, func(e ledger.Entry, _ bool) error {
		if note, ok := e.Cmd.(ledger.Note); ok && note.Kind == ledger.NoteEpoch {
			if now == epoch {
				size, found = int64(e.Seq), true
			}
			now = ledger.NextEpoch(now, e.At)
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("this book of %s has no epoch %d: it comes from a backup that was made before that began", c.Book.Code, epoch+1)
	}
	return size, err
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

// CheckBooks is what a node does with its money before it starts: for every currency the head, the newest entries, and whether the books balance.
// What is damaged is frozen and comes back; the rest of the node goes on. Verify is the whole check.
func (db *DB) CheckBooks(ctx context.Context) ([]*DamageError, error) {
	cs, err := db.Currencies(ctx)
	if err != nil {
		return nil, err
	}
	var found []*DamageError
	for _, c := range cs {
		kept := db.keptHead(c.Book.Code)
		err := db.moment(ctx, func(tx *DB) error {
			if err := tx.checkTail(ctx, c.ID); err != nil {
				return err
			}
			now, err := tx.currencyByID(ctx, c.ID)
			if err != nil {
				return err
			}
			return tx.checkHead(ctx, now, kept)
		})
		var damage *DamageError
		switch {
		case errors.As(err, &damage):
			found = append(found, damage)
			if err := db.Freeze(ctx, c.ID, damage.Reason()); err != nil {
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

// checkTail runs within a moment.
func (db *DB) checkTail(ctx context.Context, id ID) error {
	c, err := db.currencyByID(ctx, id)
	if err != nil {
		return err
	}
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
	switch root, err := db.tree(ctx, c).Root(); {
	case errors.Is(err, ErrNotFound), errors.Is(err, proof.ErrMalformed):
		return v.damage(NoEntry, "the root that was signed cannot be made of the newest entries and tiles: %v", err)
	case err != nil:
		return err
	case root != f.Root():
		return v.damage(NoEntry, "the newest entries and tiles do not give the root that was signed")
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
		if err == nil && leaf.Seq != uint64(seq) {
			err = fmt.Errorf("it calls itself entry %d", leaf.Seq)
		}
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
		switch err := db.one(ctx, "SELECT credits_posted - debits_posted FROM accounts WHERE uid = ?", []any{id[:]}, &got); {
		case errors.Is(err, ErrNotFound):
			return v.damage(NoEntry, "the account %s is missing", id)
		case err != nil:
			return err
		case got != want:
			return v.damage(NoEntry, "the account %s stands at %d, its newest entry left %d", id, got, want)
		}
	}
	var posted, pending sql.NullFloat64 // exact where it matters: at zero
	if err := db.one(ctx, "SELECT sum(credits_posted - debits_posted), sum(credits_pending - debits_pending) FROM accounts WHERE currency_id = ?", []any{c.ID}, &posted, &pending); err != nil {
		return err
	}
	if posted.Float64 != 0 || pending.Float64 != 0 {
		return v.damage(NoEntry, "its balances sum to %.0f, and what is held to %.0f, instead of 0", posted.Float64, pending.Float64)
	}
	return nil
}

// Erase takes a person out of a book: the owner's IRI, the salts of the entries that name it, and the words on her payments. The numbers stay, under the account's id, which says nothing
// without the IRI; the leaves stay as they are, and every proof valid (ledger.md §4.3).
func (db *DB) Erase(ctx context.Context, account ledger.ID) error {
	var currency int64
	if err := db.one(ctx, "SELECT currency_id FROM accounts WHERE uid = ?", []any{account[:]}, &currency); err != nil {
		return err
	}
	return db.Transaction(ctx, func(tx *DB) error {
		c, err := tx.currencyByID(ctx, ID(currency))
		if err != nil {
			return err
		}
		name := "erased:" + account.String()
		blank := map[ledger.Seq][]byte{}
		err = tx.EachEntry(ctx, c, 0, func(e ledger.Entry, _ bool) error {
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
		var ref string
		if err := tx.one(ctx, "SELECT ref FROM accounts WHERE uid = ?", []any{account[:]}, &ref); err != nil {
			return err
		}
		// Words that were written for one of both are about both.
		if err := tx.q(ctx).Exec("UPDATE payments SET memo = '', memo_salt = NULL WHERE currency_id = ? AND (payer = ? OR payee = ?)", c.ID, ref, ref).Error; err != nil {
			return translate(err)
		}
		if err := tx.q(ctx).Exec("UPDATE payments SET payer = ? WHERE currency_id = ? AND payer = ?", name, c.ID, ref).Error; err != nil {
			return translate(err)
		}
		if err := tx.q(ctx).Exec("UPDATE payments SET payee = ? WHERE currency_id = ? AND payee = ?", name, c.ID, ref).Error; err != nil {
			return translate(err)
		}
		return translate(tx.q(ctx).Exec("UPDATE accounts SET ref = ? WHERE uid = ?", name, account[:]).Error)
	})
}

// Resume lets a frozen currency be written again, once the whole book has been verified: what is damaged stays frozen. A book that came out of a backup
// goes on in a new epoch, under a new name of its log: payments made after the backup are not in this copy, and signing over their places under the old
// name would contradict checkpoints that members hold (F22). decision says who decided that.
func (db *DB) Resume(ctx context.Context, c *Currency, decision string) error {
	if _, err := db.verify(ctx, c, ""); err != nil {
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
		if err != nil || !restored && !contradicted(was.Frozen) {
			return err
		}
		why := strings.TrimSpace(was.Frozen)
		if restored {
			why = "restored from a backup made at " + made.UTC().Format(time.RFC3339)
		}
		body := fmt.Sprintf("%s\ndecision %s\n\n%s", why, decision, was.Checkpoint)
		results, err := tx.Ledger(ctx, ledger.Group{ledger.Note{ID: ledger.NewID("epoch", c.Book.IRI, fmt.Sprint(was.Book.Epoch+1), fmt.Sprint(was.Book.Next)),
			Currency: c.Book.ID, Kind: ledger.NoteEpoch, Body: []byte(body)}})
		if err != nil {
			return err
		}
		if err := results[0].Err(); err != nil {
			return err
		}
		var frozen int64
		if err := tx.one(ctx, "SELECT count(*) FROM currencies WHERE frozen <> ''", nil, &frozen); err != nil || frozen > 0 || !restored {
			return err
		}
		return tx.ConfirmRestored(ctx)
	})
}
