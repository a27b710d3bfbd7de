package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"planet/ledger"
	"planet/ledger/proof"
)

// ErrFrozen: nothing may be written to this currency, because its book was found damaged or the node was restored from a backup.
var ErrFrozen = errors.New("the currency is frozen")

// ErrClock: the machine's clock cannot be right, and money would get wrong times by it.
var ErrClock = errors.New("the clock cannot be right")

// maxStep is how far the clock may go back behind the last entry, and how far it may leap ahead of the time that passed (F12, F13).
const maxStep = 5 * time.Minute

// Ledger runs groups of commands against the books of this node, in order, each all or nothing, and stores what they did: entries and their openings,
// accounts, transfers, ids, tiles and a signed checkpoint. A refusal is a result, not an error, and is as durable as an acceptance.
//
// Inside a transaction it is a part of it. Outside it is one of its own; payments that come in numbers go through Pay, where they share one Apply.
func (db *DB) Ledger(ctx context.Context, groups ...ledger.Group) (results []ledger.Result, err error) {
	err = db.Transaction(ctx, func(tx *DB) error {
		b, err := tx.bookkeeper(ctx)
		if err != nil {
			return err
		}
		results, err = b.apply(ctx, groups)
		return err
	})
	return results, err
}

// Preview says what would come of a group now, and stores nothing.
func (db *DB) Preview(ctx context.Context, g ledger.Group) (ledger.Result, ledger.Delta, error) {
	b := &bookkeeper{tx: db, at: ledger.Instant(db.Now().UnixNano()), currencies: map[ledger.ID]*Currency{}, moved: map[ledger.ID]int64{}}
	groups := []ledger.Group{g}
	s, err := b.load(ctx, ledger.Keys(groups), groups)
	if err != nil {
		return ledger.Result{}, ledger.Delta{}, err
	}
	d, results := ledger.Apply(s, b.at, groups)
	return results[0], d, nil
}

// bookkeeper carries one Apply from the rows and back to them.
type bookkeeper struct {
	tx         *DB
	at         ledger.Instant
	currencies map[ledger.ID]*Currency
	moved      map[ledger.ID]int64 // an account's last_moved
	born       *Currency           // is being created
}

func (db *DB) bookkeeper(ctx context.Context) (*bookkeeper, error) {
	at, err := db.clock.read(db.Now())
	if err != nil {
		return nil, err
	}
	return &bookkeeper{tx: db, at: at, currencies: map[ledger.ID]*Currency{}, moved: map[ledger.ID]int64{}}, nil
}

// apply is the whole way: load what Keys names, decide, store.
func (b *bookkeeper) apply(ctx context.Context, groups []ledger.Group) ([]ledger.Result, error) {
	s, err := b.load(ctx, ledger.Keys(groups), groups)
	if err != nil {
		return nil, err
	}
	if err := b.ready(); err != nil {
		return nil, err
	}
	d, results := ledger.Apply(s, b.at, groups)
	return results, b.store(ctx, d)
}

// ready says whether the currencies that were loaded may be written now.
func (b *bookkeeper) ready() error {
	for _, c := range b.currencies {
		if c.Frozen != "" {
			return fmt.Errorf("%w: %s: %s", ErrFrozen, c.Book.Code, c.Frozen)
		}
		if b.at < c.Book.Last-ledger.Instant(maxStep) {
			return fmt.Errorf("%w: it says %s, and the last entry of %s is of %s: set the clock right", ErrClock,
				time.Unix(0, int64(b.at)).UTC().Format(time.RFC3339), c.Book.Code, time.Unix(0, int64(c.Book.Last)).UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// Reading. The order is that of ledger.Keys.

var (
	selectTransfers  = newIn(transferQuery+" WHERE t.uid IN (", ")")
	selectSettled    = newIn("SELECT settles, uid FROM transfers WHERE state <= 1 AND settles IN (", ")")
	selectOutcomes   = newIn("SELECT uid, digest, code, seq, at FROM outcomes WHERE uid IN (", ")")
	selectAccounts   = newIn(accountQuery+" WHERE a.uid IN (", ")")
	selectCurrencies = newIn("SELECT "+currencyColumns+" FROM currencies WHERE uid IN (", ")")
	lockCurrencies   = newIn("SELECT "+currencyColumns+" FROM currencies WHERE uid IN (", ") ORDER BY id FOR UPDATE")
)

const (
	transferColumns = `t.uid, c.uid, t.debit, t.credit, t.amount, t.code, t.state, t.held, t.expires, t.settles, t.refund_of, t.posted, t.refunded, t.at, t.resolved_at, t.seq, t.digest`
	transferTables  = " FROM transfers t JOIN currencies c ON c.id = t.currency_id"
	transferQuery   = "SELECT " + transferColumns + transferTables

	accountQuery = `SELECT a.uid, c.uid, a.ref, a.role, a.floor, a.ceil, a.soft_floor, a.soft_ceil, a.flags, a.debits_pending, a.debits_posted,
		a.credits_pending, a.credits_posted, a.pending_count, a.opened_at, a.version, a.last_moved FROM accounts a JOIN currencies c ON c.id = a.currency_id`
)

func (b *bookkeeper) load(ctx context.Context, k ledger.KeySet, groups []ledger.Group) (*ledger.Snapshot, error) {
	locks := b.tx.tx != nil && b.tx.dialect == postgresDialect
	for want := k.Currencies; ; {
		s := &ledger.Snapshot{Currencies: map[ledger.ID]ledger.Currency{}, Accounts: make(map[ledger.ID]ledger.Account, len(k.Accounts)), Transfers: map[ledger.ID]ledger.Transfer{},
			Outcomes: map[ledger.ID]ledger.Outcome{}, Settled: map[ledger.ID]ledger.ID{}}
		err := b.loadCurrencies(ctx, s, want, locks)
		if err == nil {
			err = b.loadNamed(ctx, s, k)
		}
		if err != nil {
			return nil, fmt.Errorf("load from the ledger: %w", err)
		}
		more := slices.DeleteFunc(s.WantCurrencies(k), func(id ledger.ID) bool { return slices.Contains(want, id) })
		if len(more) == 0 {
			return s, b.loadDues(ctx, s, k, groups)
		}
		if !locks {
			if err := b.loadCurrencies(ctx, s, more, locks); err != nil {
				return nil, fmt.Errorf("load from the ledger: %w", err)
			}
			return s, b.loadDues(ctx, s, k, groups)
		}
		want = slices.Concat(want, more) // what was read before the lock of its book may be old by now: again
	}
}

// loadNamed loads what k names, but for the currencies.
func (b *bookkeeper) loadNamed(ctx context.Context, s *ledger.Snapshot, k ledger.KeySet) error {
	err := b.loadIDs(ctx, s, k.IDs)
	if err == nil && len(k.Settles) > 0 {
		var settling []ledger.ID // may be of another currency, and due
		err = selectSettled.query(ctx, b.tx, idArgs(k.Settles), func(rows *sql.Rows) error {
			var key, uid []byte
			err := rows.Scan(&key, &uid)
			id := toID(uid)
			if s.Settled[toID(key)] = id; s.Transfers[id].ID.IsZero() {
				settling = append(settling, id)
			}
			return err
		})
		if err == nil {
			err = b.loadIDs(ctx, s, settling)
		}
	}
	if err != nil {
		return err
	}
	return b.loadAccounts(ctx, s, s.WantAccounts(k))
}

// loadIDs loads the transfers and the outcomes that have the ids.
func (b *bookkeeper) loadIDs(ctx context.Context, s *ledger.Snapshot, ids []ledger.ID) error {
	err := selectTransfers.query(ctx, b.tx, idArgs(ids), func(rows *sql.Rows) error {
		t, err := scanTransfer(rows)
		s.Transfers[t.ID] = t
		return err
	})
	if err != nil {
		return err
	}
	return selectOutcomes.query(ctx, b.tx, idArgs(ids), func(rows *sql.Rows) error {
		var (
			o           ledger.Outcome
			uid, digest []byte
			code        string
			seq         int64
		)
		err := rows.Scan(&uid, &digest, &code, &seq, &o.At)
		if err == nil {
			o.Code, err = ledger.ParseResultCode(code)
		}
		o.ID, o.Seq = toID(uid), ledger.Seq(seq)
		copy(o.Digest[:], digest)
		s.Outcomes[o.ID] = o
		return err
	})
}

// loadDues loads what has expired in the currencies, and the accounts that this touches; and what has an id that a levy will need.
func (b *bookkeeper) loadDues(ctx context.Context, s *ledger.Snapshot, k ledger.KeySet, groups []ledger.Group) error {
	if err := b.loadIDs(ctx, s, s.WantIDs(groups)); err != nil {
		return fmt.Errorf("load from the ledger: %w", err)
	}
	for _, c := range b.currencies {
		if err := b.loadDue(ctx, s, c); err != nil {
			return fmt.Errorf("load what is due: %w", err)
		}
	}
	ledger.SortDue(s.Due)
	var more []ledger.ID
	for _, id := range s.WantAccounts(k) {
		if _, have := s.Accounts[id]; !have {
			more = append(more, id)
		}
	}
	return b.loadAccounts(ctx, s, more)
}

func (b *bookkeeper) loadAccounts(ctx context.Context, s *ledger.Snapshot, ids []ledger.ID) error {
	return selectAccounts.query(ctx, b.tx, idArgs(ids), func(rows *sql.Rows) error {
		a, moved, err := scanAccount(rows)
		s.Accounts[a.ID], b.moved[a.ID] = a, moved
		return err
	})
}

// loadCurrencies loads currencies, and with lock keeps their rows from other copies of the node until the transaction ends: on PostgreSQL they take
// turns by that, where SQLite has one writer anyway. Everything else in a book may be read only after it.
func (b *bookkeeper) loadCurrencies(ctx context.Context, s *ledger.Snapshot, ids []ledger.ID, lock bool) error {
	q := selectCurrencies
	if lock {
		q = lockCurrencies
	}
	return q.query(ctx, b.tx, idArgs(ids), func(rows *sql.Rows) error {
		c, err := scanCurrency(rows)
		if err != nil {
			return err
		}
		b.currencies[c.Book.ID], s.Currencies[c.Book.ID] = c, c.Book
		return nil
	})
}

func (b *bookkeeper) loadDue(ctx context.Context, s *ledger.Snapshot, c *Currency) error {
	return b.tx.each(ctx, selectDue, []any{c.ID, s.DueUntil(b.at)}, func(rows *sql.Rows) error {
		t, err := scanTransfer(rows)
		s.Due = append(s.Due, t)
		return err
	})
}

const selectDue = transferQuery + " WHERE t.currency_id = ? AND t.state = 0 AND t.expires <= ? ORDER BY t.expires, t.seq"

// scanTransfer reads the columns of transferColumns, and more after them.
func scanTransfer(rows *sql.Rows, more ...any) (t ledger.Transfer, err error) {
	var uid, currency, debit, credit, settles, refundOf, digest sql.RawBytes
	var seq int64
	err = rows.Scan(append([]any{&uid, &currency, &debit, &credit, &t.Amount, &t.Code, &t.State, &t.Held, &t.Expires, &settles, &refundOf, &t.Posted, &t.Refunded,
		&t.At, &t.ResolvedAt, &seq, &digest}, more...)...)
	t.ID, t.Currency, t.Debit, t.Credit, t.Settles, t.RefundOf, t.Seq = toID(uid), toID(currency), toID(debit), toID(credit), toID(settles), toID(refundOf), ledger.Seq(seq)
	copy(t.Digest[:], digest)
	return t, translate(err)
}

func scanAccount(rows interface{ Scan(...any) error }) (a ledger.Account, moved int64, err error) {
	var (
		uid, currency                    []byte
		role                             string
		floor, ceil, softFloor, softCeil sql.NullInt64
		version, pending                 int64
	)
	err = rows.Scan(&uid, &currency, &a.Ref, &role, &floor, &ceil, &softFloor, &softCeil, &a.Flags, &a.DebitsPending, &a.DebitsPosted,
		&a.CreditsPending, &a.CreditsPosted, &pending, &a.OpenedAt, &version, &moved)
	if err != nil {
		return a, 0, translate(err)
	}
	a.Role, err = ledger.ParseRole(role)
	a.ID, a.Currency, a.PendingCount, a.Version = toID(uid), toID(currency), uint16(pending), uint64(version)
	a.Floor, a.Ceil, a.SoftFloor, a.SoftCeil = toBound(floor), toBound(ceil), toBound(softFloor), toBound(softCeil)
	return a, moved, err
}

func idArgs(ids []ledger.ID) []any {
	args := make([]any, len(ids))
	for i := range ids {
		args[i] = ids[i][:]
	}
	return args
}

// Writing. Every account and transfer once, whatever happened to it.

var (
	insertEntries  = newBulk("INSERT INTO entries (currency_id, seq, leaf) VALUES ", 3, "")
	insertOpenings = newBulk("INSERT INTO openings (currency_id, seq, salt, opening) VALUES ", 4, "")
	insertOutcomes = newBulk("INSERT INTO outcomes (uid, digest, code, seq, at) VALUES ", 5, "")
	insertTiles    = newBulk("INSERT INTO tiles (currency_id, level, idx, hashes, root) VALUES ", 5, "")
	// The owner is not among what it sets: its index would be written anew for each payment. A Rebind sets it.
	upsertAccounts = newBulk(`INSERT INTO accounts (uid, currency_id, ref, role, floor, ceil, soft_floor, soft_ceil, flags, debits_pending, debits_posted,
		credits_pending, credits_posted, pending_count, opened_at, version, last_moved) VALUES `, 17, ` ON CONFLICT (uid) DO UPDATE SET
		floor = excluded.floor, ceil = excluded.ceil, soft_floor = excluded.soft_floor, soft_ceil = excluded.soft_ceil, flags = excluded.flags,
		debits_pending = excluded.debits_pending, debits_posted = excluded.debits_posted, credits_pending = excluded.credits_pending,
		credits_posted = excluded.credits_posted, pending_count = excluded.pending_count, version = excluded.version, last_moved = excluded.last_moved`)
	upsertTransfers = newBulk(`INSERT INTO transfers (currency_id, seq, uid, debit, credit, amount, code, state, held, expires, settles, refund_of, posted, refunded,
		at, resolved_at, digest, moved_seq, debit_after, credit_after, debit_prev, credit_prev) VALUES `, 22, ` ON CONFLICT (currency_id, seq) DO UPDATE SET
		state = excluded.state, posted = excluded.posted, refunded = excluded.refunded, resolved_at = excluded.resolved_at,
		moved_seq = coalesce(transfers.moved_seq, excluded.moved_seq),
		debit_after = CASE WHEN transfers.moved_seq IS NULL THEN excluded.debit_after ELSE transfers.debit_after END,
		credit_after = CASE WHEN transfers.moved_seq IS NULL THEN excluded.credit_after ELSE transfers.credit_after END,
		debit_prev = CASE WHEN transfers.moved_seq IS NULL THEN excluded.debit_prev ELSE transfers.debit_prev END,
		credit_prev = CASE WHEN transfers.moved_seq IS NULL THEN excluded.credit_prev ELSE transfers.credit_prev END`)
)

// movement is what an entry that moved a transfer adds to its row.
type movement struct {
	seq                     any // nil: it has not moved in this delta
	debitAfter, creditAfter int64
	debitPrev, creditPrev   int64
}

func (b *bookkeeper) store(ctx context.Context, d ledger.Delta) error {
	if err := b.storeBooks(ctx, d); err != nil {
		return fmt.Errorf("store in the ledger: %w", err)
	}
	moves := b.chain(d)
	args := make([]any, 0, 22*len(d.Transfers))
	for i := range d.Transfers {
		t := &d.Transfers[i]
		m, ok := moves[t.ID]
		if !ok {
			m = movement{debitPrev: -1, creditPrev: -1}
		}
		args = append(args, b.currencies[t.Currency].ID, int64(t.Seq), t.ID[:], t.Debit[:], t.Credit[:], int64(t.Amount), int64(t.Code), int64(t.State), t.Held, int64(t.Expires),
			fromID(t.Settles), fromID(t.RefundOf), int64(t.Posted), int64(t.Refunded), int64(t.At), int64(t.ResolvedAt), t.Digest[:],
			m.seq, m.debitAfter, m.creditAfter, m.debitPrev, m.creditPrev)
	}
	if err := upsertTransfers.exec(ctx, b.tx, args); err != nil {
		return fmt.Errorf("store transfers: %w", err)
	}
	args = args[:0]
	for i := range d.Accounts {
		a := &d.Accounts[i]
		moved, ok := b.moved[a.ID]
		if !ok {
			moved = -1
		}
		args = append(args, a.ID[:], b.currencies[a.Currency].ID, a.Ref, a.Role.String(), fromBound(a.Floor), fromBound(a.Ceil), fromBound(a.SoftFloor), fromBound(a.SoftCeil),
			int64(a.Flags), a.DebitsPending, a.DebitsPosted, a.CreditsPending, a.CreditsPosted, int64(a.PendingCount), int64(a.OpenedAt), int64(a.Version), moved)
	}
	if err := upsertAccounts.exec(ctx, b.tx, args); err != nil {
		return fmt.Errorf("store accounts: %w", err)
	}
	for i := range d.Entries {
		if r, ok := d.Entries[i].Cmd.(ledger.Rebind); ok {
			if _, err := b.tx.run(ctx, "UPDATE accounts SET ref = ? WHERE uid = ?", r.NewRef, r.Account[:]); err != nil {
				return fmt.Errorf("rebind an account: %w", err)
			}
		}
	}
	args = args[:0]
	for i := range d.Outcomes {
		o := &d.Outcomes[i]
		args = append(args, o.ID[:], o.Digest[:], o.Code.String(), int64(o.Seq), int64(o.At))
	}
	if err := insertOutcomes.exec(ctx, b.tx, args); err != nil {
		return fmt.Errorf("store outcomes: %w", err)
	}
	return b.expired(ctx, d)
}

// chain links each movement to the one before it on either account, so that a statement needs no index (docs/ledger.md).
func (b *bookkeeper) chain(d ledger.Delta) map[ledger.ID]movement {
	made := make(map[ledger.ID]int64, len(d.Transfers))
	for i := range d.Transfers {
		made[d.Transfers[i].ID] = int64(d.Transfers[i].Seq)
	}
	moves := make(map[ledger.ID]movement, len(d.Entries))
	prev := func(account ledger.ID, now int64) int64 {
		was, ok := b.moved[account]
		if !ok {
			was = -1
		}
		b.moved[account] = now
		return was
	}
	for i := range d.Entries {
		e := &d.Entries[i]
		id, ok := e.Moves()
		if !ok {
			continue
		}
		seq := made[id]
		moves[id] = movement{seq: int64(e.Seq), debitAfter: e.DebitAfter, creditAfter: e.CreditAfter, debitPrev: prev(e.Debit, seq), creditPrev: prev(e.Credit, seq)}
	}
	return moves
}

// storeBooks appends the entries to their logs, and signs what the logs are now.
func (b *bookkeeper) storeBooks(ctx context.Context, d ledger.Delta) error {
	if len(d.Entries) == 0 {
		return nil
	}
	heads := make(map[string]*head, 1)
	for i := range d.Currencies {
		u := &d.Currencies[i]
		c := b.currencies[u.ID]
		if c == nil {
			if b.born == nil || b.born.Book.ID != u.ID {
				return fmt.Errorf("currency %s was opened past CreateCurrency", u.Code)
			}
			c = b.born
			b.currencies[u.ID] = c
		}
		h := &head{c: c}
		var err error
		if h.frontier, err = proof.ParseFrontier(c.frontier); err != nil {
			return fmt.Errorf("currency %s: %w", u.Code, err)
		}
		born := c == b.born && h.frontier.Size() == 0
		c.Book = *u
		if born {
			if err := b.create(ctx, c); err != nil {
				return err
			}
		}
		heads[u.IRI] = h
	}
	salts := make([]byte, 32*len(d.Entries))
	if _, err := rand.Read(salts); err != nil {
		return err
	}
	entries, openings := make([]any, 0, 3*len(d.Entries)), make([]any, 0, 4*len(d.Entries))
	text := make([]byte, 0, 700*len(d.Entries)) // one buffer for all: the drivers copy
	for i := range d.Entries {
		e := &d.Entries[i]
		h := heads[e.Currency]
		salt := [32]byte(salts[32*i:])
		from := len(text)
		text = ledger.AppendOpening(text, *e)
		opening := text[from:len(text):len(text)]
		from = len(text)
		text = proof.AppendBody(ledger.AppendHead(text, *e), proof.Commitment(salt, opening))
		leaf := text[from:len(text):len(text)]
		if err := h.append(leaf); err != nil {
			return err
		}
		entries = append(entries, h.c.ID, int64(e.Seq), leaf)
		openings = append(openings, h.c.ID, int64(e.Seq), salt[:], opening)
	}
	if err := insertEntries.exec(ctx, b.tx, entries); err != nil {
		return err
	}
	if err := insertOpenings.exec(ctx, b.tx, openings); err != nil {
		return err
	}
	for _, h := range heads {
		if err := h.store(ctx, b.tx); err != nil {
			return err
		}
	}
	return nil
}

// create stores the row of a currency as it is born.
func (b *bookkeeper) create(ctx context.Context, c *Currency) error {
	u := &c.Book
	_, err := b.tx.run(ctx, insertCurrency, c.ID, u.ID[:], u.IRI, u.Code, c.ActorID, c.Name, int64(u.Scale), u.Kind.String(), u.Privacy.String(),
		fromBound(u.Rules.Floor), fromBound(u.Rules.Ceil), int64(u.Rules.MaxTransfer), int64(u.Rules.MaxPending), u.Rules.Open.String(), int64(u.Rules.Levy.BasisPoints),
		int64(u.Rules.Levy.Least), int64(u.Rules.Levy.Most), fromID(u.Rules.Levy.To), int64(u.Epoch), fromID(u.Issuer), int64(u.Next), int64(u.Last), c.frontier, "",
		c.seed, "", c.CreatedAt)
	return translate(err)
}

const insertCurrency = "INSERT INTO currencies (" + currencyColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

const updateHead = `UPDATE currencies SET floor = ?, ceil = ?, max_transfer = ?, max_pending = ?, opened_by = ?, levy_points = ?, levy_least = ?, levy_most = ?, levy_to = ?,
	epoch = ?, issuer = ?, next = ?, last = ?, frontier = ?, checkpoint = ? WHERE id = ? AND next = ?`

// head is a log that grows.
type head struct {
	c        *Currency
	frontier *proof.Frontier
	hashes   []proof.Hash // of the leaves that came
	raised   [8][]proof.Hash
}

func (h *head) append(leaf []byte) error {
	hash := proof.LeafHash(leaf)
	levels, err := h.frontier.Append(hash)
	if err != nil {
		return err
	}
	h.hashes = append(h.hashes, hash)
	for l := 1; l <= levels; l++ {
		up, _ := h.frontier.TileHash(l)
		h.raised[l] = append(h.raised[l], up)
	}
	return nil
}

// store writes the tiles that became full, and the head with its checkpoint. The head has to be what it was when it was read: nobody else wrote.
func (h *head) store(ctx context.Context, tx *DB) error {
	size := h.frontier.Size()
	before := size - int64(len(h.hashes))
	if ledger.Seq(size) != h.c.Book.Next {
		return fmt.Errorf("currency %s has %d leaves and %d entries", h.c.Book.Code, size, h.c.Book.Next)
	}
	h.raised[0] = h.hashes
	for tile := range proof.Filled(before, size) {
		hashes, err := h.fill(ctx, tx, tile, size)
		if err != nil {
			return err
		}
		root := proof.TileRoot(hashes)
		if err := insertTiles.exec(ctx, tx, []any{h.c.ID, int64(tile.Level), tile.Index, hashes, root[:]}); err != nil {
			return err
		}
	}
	s, err := h.c.signer()
	if err != nil {
		return err
	}
	checkpoint, err := s.Sign(size, h.frontier.Root())
	if err != nil {
		return err
	}
	h.c.frontier, h.c.Checkpoint = h.frontier.Marshal(), string(checkpoint)
	u := &h.c.Book
	next := before
	if before == 0 { // create wrote it with the entries counted already
		next = size
	}
	n, err := tx.run(ctx, updateHead, fromBound(u.Rules.Floor), fromBound(u.Rules.Ceil), int64(u.Rules.MaxTransfer), int64(u.Rules.MaxPending), u.Rules.Open.String(),
		int64(u.Rules.Levy.BasisPoints), int64(u.Rules.Levy.Least), int64(u.Rules.Levy.Most), fromID(u.Rules.Levy.To), int64(u.Epoch), fromID(u.Issuer),
		int64(u.Next), int64(u.Last), h.c.frontier, h.c.Checkpoint, h.c.ID, next)
	if err != nil {
		return translate(err)
	}
	if n != 1 {
		return fmt.Errorf("currency %s was written by somebody else meanwhile: %w", u.Code, ErrConflict)
	}
	return nil
}

// fill is the hashes of a tile that became full: the ones that came now, after those that were there.
func (h *head) fill(ctx context.Context, tx *DB, tile proof.Tile, size int64) ([]byte, error) {
	came := h.raised[tile.Level]
	first := size>>(proof.TileHeight*tile.Level) - int64(len(came)) // index on this level of the first that came
	from := tile.Index * proof.TileWidth
	out := make([]byte, 0, proof.TileWidth*32)
	if old := first - from; old > 0 {
		hashes, err := tx.tileHashes(ctx, h.c.ID, tile.Level, tile.Index, int(old))
		if err != nil {
			return nil, err
		}
		out = append(out, hashes...)
	}
	for i := max(from-first, 0); len(out) < proof.TileWidth*32; i++ {
		out = append(out, came[i][:]...)
	}
	return out, nil
}

// ledgerClock tells a wrong clock from a right one.
type ledgerClock struct{ last time.Time }

// read gives the instant of now, or ErrClock if the wall clock leapt ahead of the time that passed since the last look. It looks from the
// writer's goroutine alone. Whoever set the clock on purpose, or woke a machine that slept, starts the node again.
func (c *ledgerClock) read(now time.Time) (ledger.Instant, error) {
	if c == nil {
		return ledger.Instant(now.UnixNano()), nil
	}
	leap := time.Duration(0)
	if !c.last.IsZero() {
		passed := now.Sub(c.last) // by the monotonic clock, where both have one
		if leap = now.Round(0).Sub(c.last.Round(0)) - passed; leap > maxStep {
			return 0, fmt.Errorf("%w: it leapt ahead by %s; if it is right now, start the node again", ErrClock, leap.Round(time.Second))
		}
	}
	if leap >= 0 { // a clock that went back may be set right again, and that is no leap ahead
		c.last = now
	}
	return ledger.Instant(now.UnixNano()), nil
}
