package sim

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"planet/ledger"
	"planet/ledger/proof"
)

// What the store answers when it does nothing.
var (
	errFrozen = errors.New("the books are frozen")
	errClock  = errors.New("the clock cannot be right")
)

// maxStep is storage's: how far the clock may go back behind the last entry, and leap ahead of the time that passed.
const maxStep = 5 * time.Minute

// damage says which entry of the log, counted over all books from 0, is the first bad one; entries before it are sound.
// At the number of entries it is the head, or what a record holds beside its entries.
type damage struct {
	entry int
	what  string
}

func (e *damage) Error() string {
	return fmt.Sprintf("the log is damaged, first in entry %d: %s", e.entry, e.what)
}

// store keeps books on a disk. The rules are those of package storage: Keys names what Apply gets to see, an answer leaves after the
// fsync, a checkpoint is shown after it, a failing fsync ends the process, and a restored copy is frozen.
type store struct {
	d     *disk
	r     *rand.Rand // salts
	wrong mutant
	keys  map[ledger.ID]ed25519.PrivateKey // of the currencies that may be opened here

	book    *ledger.Book
	trees   map[ledger.ID]*tree
	held    map[ledger.ID]struct{} // pending transfers
	head    head
	frozen  error
	checked int // entries verified by open

	wall, mono ledger.Instant // at the last look at the clock; 0: none yet

	show func(checkpoint []byte) // hands a checkpoint to the world
}

// tree is the Merkle log of one book.
type tree struct {
	frontier   proof.Frontier
	hashes     []byte  // of the leaves, one after another
	at         []int64 // of each entry, its record's place in the log
	checkpoint []byte
	signer     *proof.Signer
	epoch      uint32
}

// signerOf is the signer of a book's log in an epoch.
func signerOf(c ledger.Currency, key ed25519.PrivateKey) (*proof.Signer, error) {
	host, _, _ := strings.Cut(strings.TrimPrefix(c.IRI, "https://"), "/")
	return proof.NewSigner(proof.Origin{Host: host, Code: strings.ToLower(c.Code), Epoch: c.Epoch + 1}.String(), key)
}

func (t *tree) append(leaf []byte, at int64) error {
	h := proof.LeafHash(leaf)
	if _, err := t.frontier.Append(h); err != nil {
		return err
	}
	t.hashes = append(t.hashes, h[:]...)
	t.at = append(t.at, at)
	return nil
}

// tiles serves the hashes of a tile.
func (t *tree) tiles(level int, index int64, width int) ([]byte, error) {
	const size = len(proof.Hash{})
	if level == 0 {
		from := int(index) * proof.TileWidth * size
		return t.hashes[from : from+width*size], nil
	}
	var out []byte
	for i := range width {
		below, err := t.tiles(level-1, index*proof.TileWidth+int64(i), proof.TileWidth)
		if err != nil {
			return nil, err
		}
		root := proof.TileRoot(below)
		out = append(out, root[:]...)
	}
	return out, nil
}

// commit runs groups as one batch. An error is the answer to all of them, and nothing was stored; with errCrash nobody knows.
// release lets the answers go.
func (s *store) commit(wall, mono ledger.Instant, gs []ledger.Group, release func([]ledger.Result)) error {
	if s.frozen != nil {
		return s.frozen
	}
	if err := s.look(wall, mono); err != nil {
		return err
	}
	snap := s.load(wall, ledger.Keys(gs), gs)
	for _, c := range snap.Currencies {
		if wall < c.Last-ledger.Instant(maxStep) && s.wrong != trusting {
			return errClock
		}
	}
	d, results := s.apply(snap, wall, gs)
	return s.write(d, func() { release(results) })
}

// sweep ends what is due.
func (s *store) sweep(wall, mono ledger.Instant, limit int) error {
	if s.frozen != nil {
		return s.frozen
	}
	if err := s.look(wall, mono); err != nil {
		return err
	}
	var k ledger.KeySet
	for id, c := range s.book.Currencies {
		if wall < c.Last-ledger.Instant(maxStep) && s.wrong != trusting {
			return errClock
		}
		k.Currencies = append(k.Currencies, id)
	}
	return s.write(ledger.Expire(s.load(wall, k, nil), wall, limit), func() {})
}

// look is storage's rule of a clock that leaps ahead: whoever set it on purpose starts the node again.
func (s *store) look(wall, mono ledger.Instant) error {
	if s.wall != 0 && (wall-s.wall)-(mono-s.mono) > ledger.Instant(maxStep) && s.wrong != trusting {
		return errClock
	}
	s.wall, s.mono = wall, mono
	return nil
}

// apply is ledger.Apply, or what a wrong machine makes of it.
func (s *store) apply(snap *ledger.Snapshot, at ledger.Instant, gs []ledger.Group) (ledger.Delta, []ledger.Result) {
	if s.wrong != halfGroups {
		return ledger.Apply(snap, at, gs)
	}
	var single []ledger.Group
	var of []int
	for i, g := range gs {
		if len(g) == 0 {
			single, of = append(single, g), append(of, i)
		}
		for j := range g {
			single, of = append(single, g[j:j+1]), append(of, i)
		}
	}
	d, rs := ledger.Apply(snap, at, single)
	results, set := make([]ledger.Result, len(gs)), make([]bool, len(gs))
	for k, r := range rs {
		if i := of[k]; !set[i] || results[i].Code.OK() && !r.Code.OK() {
			results[i], set[i] = r, true
		}
	}
	return d, results
}

// load is what package storage does: the rows that Keys asks for, in the order that it says, and nothing else.
func (s *store) load(at ledger.Instant, k ledger.KeySet, gs []ledger.Group) *ledger.Snapshot {
	snap := &ledger.Snapshot{Currencies: map[ledger.ID]ledger.Currency{}, Accounts: map[ledger.ID]ledger.Account{}, Transfers: map[ledger.ID]ledger.Transfer{},
		Outcomes: map[ledger.ID]ledger.Outcome{}, Settled: map[ledger.ID]ledger.ID{}}
	named := func(ids []ledger.ID) {
		for _, id := range ids {
			if t, ok := s.book.Transfers[id]; ok && s.wrong != forgetIDs {
				snap.Transfers[id] = t
			}
			if o, ok := s.book.Outcomes[id]; ok && s.wrong != forgetIDs {
				snap.Outcomes[id] = o
			}
		}
	}
	named(k.IDs)
	for _, key := range k.Settles {
		if id, ok := s.book.Settled[key]; ok {
			snap.Settled[key], snap.Transfers[id] = id, s.book.Transfers[id]
		}
	}
	accounts := func() {
		for _, id := range snap.WantAccounts(k) {
			if a, ok := s.book.Accounts[id]; ok {
				snap.Accounts[id] = a
			}
		}
	}
	accounts()
	for _, id := range snap.WantCurrencies(k) {
		if c, ok := s.book.Currencies[id]; ok {
			snap.Currencies[id] = c
		}
	}
	named(snap.WantIDs(gs))
	until := snap.DueUntil(at)
	for id := range s.held {
		t := s.book.Transfers[id]
		if t.State != ledger.Pending {
			delete(s.held, id)
			continue
		}
		if _, ours := snap.Currencies[t.Currency]; ours && t.Expires <= until && s.wrong != noExpiry {
			snap.Due = append(snap.Due, t)
		}
	}
	ledger.SortDue(snap.Due)
	if s.wrong != loadOnce {
		accounts()
	}
	return snap
}

// write makes a delta durable, and only then keeps it, shows the checkpoints and lets the answers go.
func (s *store) write(d ledger.Delta, release func()) error {
	rec, grown, err := s.record(d)
	if err != nil {
		return err
	}
	if len(rec.entries) == 0 && len(rec.failures) == 0 {
		release()
		return nil
	}
	if s.wrong == showEarly {
		s.showAll(rec)
	}
	from := len(s.d.log.cache)
	b := rec.marshal()
	if err := s.d.append(b); err != nil {
		if err == errFull && s.wrong != litter {
			s.d.cutTo(from)
		}
		return err
	}
	if s.wrong == ackEarly {
		s.keep(d, grown)
		release()
	}
	if err := s.sure(s.d.sync); err != nil {
		return err
	}
	if s.wrong != ackEarly {
		s.keep(d, grown)
	}
	s.head = s.headNow(from+len(b), int(s.head.records)+1)
	if err := s.d.setHead(s.head.marshal()); err != nil {
		return err
	}
	if err := s.sure(s.d.syncHead); err != nil {
		return err
	}
	if s.wrong != showEarly {
		s.showAll(rec)
	}
	if s.wrong != ackEarly {
		release()
	}
	return nil
}

// sure is an fsync that either happened or ends the process.
func (s *store) sure(sync func() error) error {
	err := sync()
	if err == errSync && s.wrong == retrySync {
		err = sync()
	}
	return err
}

func (s *store) showAll(rec record) {
	for _, h := range rec.heads {
		s.show(h)
	}
}

// record writes down a delta, and what the trees are after it.
func (s *store) record(d ledger.Delta) (rec record, grown map[ledger.ID]*tree, err error) {
	grown = map[ledger.ID]*tree{}
	for _, e := range d.Entries {
		id := ledger.NewID("currency", e.Currency)
		t := grown[id]
		if t == nil {
			t = &tree{}
			if was := s.trees[id]; was != nil {
				*t = *was
			}
			grown[id] = t
		}
		var x stored
		for i := 0; i < len(x.salt); i += 8 {
			v := s.r.Uint64()
			for j := range 8 {
				x.salt[i+j] = byte(v >> (8 * j))
			}
		}
		x.opening = ledger.AppendOpening(nil, e)
		x.leaf = proof.AppendBody(ledger.AppendHead(make([]byte, 0, 320), e), proof.Commitment(x.salt, x.opening))
		if err := t.append(x.leaf, int64(s.head.bytes)); err != nil {
			return rec, nil, err
		}
		rec.entries = append(rec.entries, x)
	}
	for _, o := range d.Outcomes {
		if o.Code != ledger.OKCreated && o.Code != ledger.IDAborted { // those are in the entries
			rec.failures = append(rec.failures, o)
		}
	}
	for _, c := range d.Currencies {
		t := grown[c.ID]
		if t == nil {
			continue
		}
		if t.signer == nil || t.epoch != c.Epoch {
			if t.signer, err = signerOf(c, s.keys[c.ID]); err != nil {
				return rec, nil, err
			}
			t.epoch = c.Epoch
		}
		if t.checkpoint, err = t.signer.Sign(t.frontier.Size(), t.frontier.Root()); err != nil {
			return rec, nil, err
		}
		rec.heads = append(rec.heads, t.checkpoint)
	}
	return rec, grown, nil
}

func (s *store) keep(d ledger.Delta, grown map[ledger.ID]*tree) {
	for id, t := range grown {
		s.trees[id] = t
	}
	s.book.Merge(d)
	for _, t := range d.Transfers {
		s.hold(t.ID)
		if t.State != ledger.Pending {
			delete(s.held, t.ID)
		}
	}
	s.checked += len(d.Entries)
}

func (s *store) headNow(bytes, records int) head {
	h := head{bytes: uint64(bytes), records: uint64(records), entries: uint64(s.checked)}
	for id := range s.trees {
		h.books = append(h.books, bookHead{id: id})
	}
	slices.SortFunc(h.books, func(a, b bookHead) int { return slices.Compare(a.id[:], b.id[:]) })
	for i := range h.books {
		t := s.trees[h.books[i].id]
		h.books[i].frontier, h.books[i].checkpoint = t.frontier.Marshal(), t.checkpoint
	}
	return h
}

// openEpoch lets a restored copy be written again, under new names of its logs.
func (s *store) openEpoch(wall, mono ledger.Instant) error {
	if !s.head.restored {
		return nil
	}
	if err := s.look(wall, mono); err != nil {
		return err
	}
	var g ledger.Group
	for _, k := range s.head.books {
		c := s.book.Currencies[k.id]
		if wall < c.Last-ledger.Instant(maxStep) {
			return errClock
		}
		g = append(g, ledger.Note{ID: ledger.NewID("epoch", c.IRI, fmt.Sprint(c.Epoch+1), fmt.Sprint(c.Next)), Currency: c.ID, Kind: ledger.NoteEpoch,
			Body: append([]byte("restored from a backup\n\n"), k.checkpoint...)})
	}
	gs := []ledger.Group{g}
	d, results := ledger.Apply(s.load(wall, ledger.Keys(gs), gs), wall, gs)
	if err := results[0].Err(); err != nil {
		return err
	}
	if err := s.write(d, func() {}); err != nil {
		return err
	}
	s.frozen = nil
	return nil
}

// receipt makes the receipt of an entry from what lies on the disk.
func (s *store) receipt(currency ledger.ID, seq ledger.Seq) ([]byte, error) {
	t := s.trees[currency]
	if t == nil || int64(seq) >= t.frontier.Size() {
		return nil, fmt.Errorf("there is no entry %d", seq)
	}
	rec, _, err := parseRecord(s.d.log.cache[t.at[seq]:])
	if err != nil {
		return nil, err
	}
	for _, e := range rec.entries {
		leaf, err := proof.ParseLeaf(e.leaf)
		if err != nil {
			return nil, err
		}
		if leaf.Seq != uint64(seq) || ledger.NewID("currency", leaf.Currency) != currency {
			continue
		}
		path, err := proof.Tree{Size: t.frontier.Size(), Tiles: t.tiles}.Prove(int64(seq))
		if err != nil {
			return nil, err
		}
		return proof.Receipt{Leaf: e.leaf, Salt: e.salt, Opening: e.opening, Index: int64(seq), Path: path, Checkpoint: t.checkpoint}.Marshal()
	}
	return nil, fmt.Errorf("entry %d is not in its record", seq)
}
