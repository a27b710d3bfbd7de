package sim

import (
	"crypto/ed25519"
	"fmt"
	"strings"

	"planet/ledger"
	"planet/ledger/proof"
)

// auditor replays a log from the bytes on the disk, and believes nothing that the store says.
type auditor struct {
	keys    map[ledger.ID]ed25519.PrivateKey
	book    *ledger.Book
	logs    map[ledger.ID]*auditLog
	at      int // bytes read
	seen    []byte
	entries int
	spans   []span // of the entries, in the order of the log

	opened map[string]proof.Checkpoint // whose signatures were checked before, also by earlier auditors
}

// auditLog is the Merkle log of one book.
type auditLog struct {
	frontier proof.Frontier
	roots    []proof.Hash // by size
	last     ledger.Instant
	origin   string
	verifier proof.Verifier
	hashes   []byte
}

// span is where an entry lies.
type span struct{ from, to int }

func newAuditor(keys map[ledger.ID]ed25519.PrivateKey, opened map[string]proof.Checkpoint) *auditor {
	return &auditor{keys: keys, opened: opened, book: ledger.NewBook(), logs: map[ledger.ID]*auditLog{}}
}

// read takes the records that came since.
func (a *auditor) read(log []byte) error {
	for a.at < len(log) {
		rec, _, err := parseRecord(log[a.at:])
		if err != nil {
			return fmt.Errorf("the disk holds after %d entries what is no record: %w", a.entries, err)
		}
		if err := a.record(rec); err != nil {
			return err
		}
		a.seen = append(a.seen, log[a.at:a.at+rec.size]...)
		a.at += rec.size
	}
	return nil
}

func (a *auditor) record(rec record) error {
	touched := map[ledger.ID]bool{}
	at := a.at + headerSize
	for _, e := range rec.entries {
		size := 4 + 2 + len(e.leaf) + 32 + len(e.opening) + 4
		a.spans = append(a.spans, span{at, at + size})
		at += size
		id, err := a.entry(e)
		if err != nil {
			return fmt.Errorf("entry %d of the disk: %w", a.entries, err)
		}
		touched[id] = true
		a.entries++
	}
	if err := a.book.Ended(); err != nil {
		return fmt.Errorf("a record ends within what belongs together: %w", err)
	}
	for _, o := range rec.failures {
		if !o.Code.Durable() {
			return fmt.Errorf("%s is remembered with %s, which nobody should remember", o.ID, o.Code)
		}
		a.book.Outcomes[o.ID] = o
	}
	for _, h := range rec.heads {
		id, err := a.head(h)
		if err != nil {
			return err
		}
		delete(touched, id)
	}
	if len(touched) > 0 {
		return fmt.Errorf("%d books grew without a new checkpoint", len(touched))
	}
	return nil
}

// entry replays one, and checks what Replay does not: seq, time, place in the tree, and that no debit went beyond the floor.
func (a *auditor) entry(x stored) (ledger.ID, error) {
	e, leaf, err := x.entry()
	if err != nil {
		return ledger.ID{}, err
	}
	id := ledger.NewID("currency", e.Currency)
	l := a.logs[id]
	if l == nil {
		l = &auditLog{roots: []proof.Hash{new(proof.Frontier).Root()}}
		a.logs[id] = l
	}
	if leaf.Seq != uint64(l.frontier.Size()) || e.At <= l.last {
		return id, fmt.Errorf("it is %d of %s at %d, after %d entries until %d (I8)", leaf.Seq, e.Currency, e.At, l.frontier.Size(), l.last)
	}
	l.last = e.At
	if err := a.book.Replay(e); err != nil {
		return id, err
	}
	switch e.Cmd.(type) {
	case ledger.Pay, ledger.Refund:
		d, c := a.book.Accounts[e.Debit], a.book.Accounts[e.Credit]
		if left, limited := d.Spendable(); limited && left < 0 {
			return id, fmt.Errorf("it leaves the payer %d beyond the limit (I4)", left)
		}
		if c.Ceil.Set && c.Balance()+c.CreditsPending > c.Ceil.V {
			return id, fmt.Errorf("it leaves the payee at %d and %d to come, above %d (I4)", c.Balance(), c.CreditsPending, c.Ceil.V)
		}
		if (d.Flags|c.Flags)&ledger.Closed != 0 || d.Flags&ledger.NoDebit != 0 || c.Flags&ledger.NoCredit != 0 {
			return id, fmt.Errorf("it moves an account that is stopped")
		}
	}
	h := proof.LeafHash(x.leaf)
	if _, err := l.frontier.Append(h); err != nil {
		return id, err
	}
	l.hashes = append(l.hashes, h[:]...)
	l.roots = append(l.roots, l.frontier.Root())
	return id, nil
}

// head checks a checkpoint: signed by the log's key of this epoch, over this tree.
func (a *auditor) head(signed []byte) (ledger.ID, error) {
	origin, _, _ := strings.Cut(string(signed), "\n")
	for id, l := range a.logs {
		c := a.book.Currencies[id]
		if c.IRI != "https://"+strings.SplitN(origin, "/e", 2)[0] {
			continue
		}
		s, err := signerOf(c, a.keys[id])
		if err != nil {
			return id, err
		}
		if s.Origin() != origin {
			return id, fmt.Errorf("a checkpoint of %s, where %s is the log", origin, s.Origin())
		}
		if l.origin != origin {
			if l.verifier, err = proof.NewVerifier(s.Vkey()); err != nil {
				return id, err
			}
			l.origin = origin
		}
		cp, known := a.opened[string(signed)]
		if !known {
			if cp, _, err = proof.Open(signed, l.verifier); err != nil {
				return id, err
			}
			a.opened[string(signed)] = cp
		}
		if cp.Size != l.frontier.Size() || cp.Root != l.frontier.Root() {
			return id, fmt.Errorf("the checkpoint of %s has size %d and root %s, the log %d and %s", origin, cp.Size, cp.Root, l.frontier.Size(), l.frontier.Root())
		}
		return id, nil
	}
	return ledger.ID{}, fmt.Errorf("a checkpoint of %q, which is no log here", origin)
}

// tree is a book's log with its hashes, to prove from.
func (l *auditLog) tree() proof.Tree {
	t := &tree{hashes: l.hashes}
	return proof.Tree{Size: l.frontier.Size(), Tiles: t.tiles}
}

// seqOf is where an id stands in its book.
func (a *auditor) seqOf(id ledger.ID) (currency ledger.ID, seq ledger.Seq, digest ledger.Digest, ok bool) {
	if t, is := a.book.Transfers[id]; is {
		return t.Currency, t.Seq, t.Digest, true
	}
	o, is := a.book.Outcomes[id]
	return ledger.ID{}, o.Seq, o.Digest, is && o.Code == ledger.OKCreated
}
