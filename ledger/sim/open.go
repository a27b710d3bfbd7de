package sim

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"planet/ledger"
	"planet/ledger/proof"
)

// open reads and verifies everything. What is beyond the head was never answered: a whole record is written again, what is torn is cut off.
// With damage, and on a restored copy, the store that comes back is frozen.
func open(d *disk, r *rand.Rand, keys map[ledger.ID]ed25519.PrivateKey, wrong mutant, show func([]byte)) (*store, error) {
	s := &store{d: d, r: r, wrong: wrong, keys: keys, show: show, book: ledger.NewBook(), trees: map[ledger.ID]*tree{}, held: map[ledger.ID]struct{}{}}
	if len(d.headCache) > 0 {
		var err error
		if s.head, err = parseHead(d.headCache); err != nil && wrong != blind {
			s.frozen = &damage{s.checked, err.Error()}
			return s, nil
		}
	}
	certain := int(s.head.bytes)
	at := 0
	for at < certain {
		rec, good, err := parseRecord(d.log.cache[min(at, len(d.log.cache)):])
		if wrong == blind && rec.size > 0 && err != nil { // takes what still reads
			err = nil
		}
		if err != nil || at+rec.size > certain {
			rec.entries = rec.entries[:good]
			if s.take(rec, int64(at)) == nil {
				s.frozen = &damage{s.checked, "its record is torn"}
			}
			return s, nil
		}
		if s.take(rec, int64(at)) != nil {
			return s, nil
		}
		at += rec.size
	}
	if s.head.entries != uint64(s.checked) && wrong != blind {
		s.frozen = &damage{s.checked, fmt.Sprintf("the head says that there are %d entries", s.head.entries)}
		return s, nil
	}
	if err := s.compare(s.head.books); err != nil && wrong != blind {
		s.frozen = &damage{s.checked, err.Error()}
		return s, nil
	}
	return s, s.forward(at)
}

// forward takes up what a crash left behind the head.
func (s *store) forward(at int) error {
	rest := slices.Clone(s.d.log.cache[at:])
	restored := s.head.restored
	if len(rest) > 0 {
		s.d.cutTo(at)
		records := int(s.head.records)
		if rec, _, err := parseRecord(rest); err == nil && s.take(rec, int64(at)) == nil {
			// Whether it reached the disk nobody knows after a failed fsync, so it is written anew.
			if err := s.d.append(rest[:rec.size]); err != nil {
				return err
			}
			at += rec.size
			records++
		}
		if err := s.d.sync(); err != nil {
			return err
		}
		s.head = s.headNow(at, records)
		s.head.restored = restored
	}
	if err := s.d.setHead(s.head.marshal()); err != nil {
		return err
	}
	if err := s.d.syncHead(); err != nil {
		return err
	}
	if restored && s.wrong != amnesiac {
		s.frozen = fmt.Errorf("%w: they were restored from a backup", errFrozen)
	}
	return nil
}

// take replays one record. An error is damage, and freezes.
func (s *store) take(rec record, at int64) error {
	bad := func(format string, args ...any) error {
		if s.wrong == blind {
			return nil
		}
		s.frozen = &damage{s.checked, fmt.Sprintf(format, args...)}
		return s.frozen
	}
	for _, e := range rec.entries {
		entry, leaf, err := e.entry()
		if err != nil {
			return bad("%v", err)
		}
		id := ledger.NewID("currency", leaf.Currency)
		t := s.trees[id]
		if t == nil {
			t = &tree{}
			s.trees[id] = t
		}
		if leaf.Seq != uint64(t.frontier.Size()) {
			return bad("it calls itself %d of %s, which has %d", leaf.Seq, leaf.Currency, t.frontier.Size())
		}
		if err := s.book.Replay(entry); err != nil {
			return bad("%v", err)
		}
		if err := t.append(e.leaf, at); err != nil {
			return bad("%v", err)
		}
		s.hold(entry.ID())
		s.checked++
	}
	if err := s.book.Ended(); err != nil {
		return bad("%v", err)
	}
	if s.wrong != forgetFailures {
		for _, o := range rec.failures {
			s.book.Outcomes[o.ID] = o
		}
	}
	for _, h := range rec.heads {
		if err := s.note(h); err != nil {
			return bad("%v", err)
		}
	}
	return nil
}

// hold keeps in mind that a transfer is pending, if it is.
func (s *store) hold(id ledger.ID) {
	if s.book.Transfers[id].State == ledger.Pending && !s.book.Transfers[id].ID.IsZero() {
		s.held[id] = struct{}{}
	}
}

// note keeps the newest checkpoint of a book. Whether it is true is looked at in the end, by compare.
func (s *store) note(checkpoint []byte) error {
	origin, _, _ := strings.Cut(string(checkpoint), "\n")
	for id, t := range s.trees {
		if s.book.Currencies[id].IRI == "https://"+strings.SplitN(origin, "/e", 2)[0] {
			t.checkpoint = bytes.Clone(checkpoint) // the log's bytes may turn later
			return nil
		}
	}
	return fmt.Errorf("a checkpoint of %q, which is no log here", origin)
}

// signed says whether the newest checkpoint of a book is signed over its tree, in its epoch.
func (s *store) signed(id ledger.ID) error {
	t := s.trees[id]
	sign, err := signerOf(s.book.Currencies[id], s.keys[id])
	if err != nil {
		return err
	}
	v, err := proof.NewVerifier(sign.Vkey())
	if err != nil {
		return err
	}
	c, _, err := proof.Open(t.checkpoint, v)
	if err != nil {
		return err
	}
	if c.Size != t.frontier.Size() || c.Root != t.frontier.Root() {
		return fmt.Errorf("the checkpoint of %s is of %d entries, and not of its %d", sign.Origin(), c.Size, t.frontier.Size())
	}
	return nil
}

// compare holds the head's books against those of the log.
func (s *store) compare(books []bookHead) error {
	if len(books) != len(s.trees) {
		return fmt.Errorf("the head has %d books, the log %d", len(books), len(s.trees))
	}
	for _, k := range books {
		t := s.trees[k.id]
		if t == nil || !bytes.Equal(k.frontier, t.frontier.Marshal()) || !bytes.Equal(k.checkpoint, t.checkpoint) {
			return fmt.Errorf("the head of %s is not that of its entries", k.id)
		}
		if err := s.signed(k.id); err != nil {
			return err
		}
	}
	return nil
}

// verify reads everything again, as a scrub does while the node runs. Damage freezes.
func (s *store) verify() {
	again := &store{d: s.d, wrong: s.wrong, keys: s.keys, book: ledger.NewBook(), trees: map[ledger.ID]*tree{}, held: map[ledger.ID]struct{}{}}
	if s.wrong == blind {
		return
	}
	h, err := parseHead(s.d.headCache)
	if err != nil {
		s.frozen = &damage{s.checked, err.Error()}
		return
	}
	for at := 0; at < int(h.bytes); {
		rec, good, err := parseRecord(s.d.log.cache[at:])
		if err != nil {
			rec.entries = rec.entries[:good]
		}
		if again.take(rec, int64(at)) != nil {
			s.frozen = again.frozen
			return
		}
		if err != nil {
			s.frozen = &damage{again.checked, "its record is torn"}
			return
		}
		at += rec.size
	}
	if err := again.compare(h.books); err != nil {
		s.frozen = &damage{again.checked, err.Error()}
	}
}
