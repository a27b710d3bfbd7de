package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"planet/ledger"
	"planet/ledger/proof"
)

// promise is an answer that left the node.
type promise struct {
	ok   bool
	code ledger.ResultCode
	seq  ledger.Seq
	at   ledger.Instant
}

// clockLook is the world's own memory of what the node may think of its clock.
type clockLook struct{ wall, mono ledger.Instant }

type keptReceipt struct {
	file []byte
	key  proof.Verifier
	act  *act
}

// broken is a promise that did not hold.
type broken struct{ what string }

func (e *broken) Error() string { return e.what }

func brokenf(format string, args ...any) error { return &broken{fmt.Sprintf(format, args...)} }

// secondOpinion is what Apply says with all of the auditor's books in sight, where the store shows it what Keys names. nil: not known.
func (w *world) secondOpinion(groups []ledger.Group) []ledger.Result {
	if w.flipped != nil || w.audit.at != len(w.certain()) || w.wrong != right && w.wrong != loadOnce { // the other checks have to see the mutants
		return nil
	}
	all := w.audit.book.Snapshot
	until := all.DueUntil(w.wall)
	for id := range w.s.held {
		t := all.Transfers[id]
		if t.State == ledger.Pending && t.Expires <= until {
			all.Due = append(all.Due, t)
		}
	}
	ledger.SortDue(all.Due)
	_, rs := ledger.Apply(&all, w.wall, groups)
	return rs
}

// clockIsGood is storage's rule, said again: not more than 5 minutes behind the last entry of a book that is touched, no leap of more than
// 5 minutes since the last look of this process.
func (w *world) clockIsGood(groups []ledger.Group) (good, known bool) {
	if !w.look(false) {
		return false, true
	}
	if w.audit.at < len(w.certain()) { // the auditor may not have read it all
		return true, false
	}
	snap := (&store{book: w.audit.book, held: map[ledger.ID]struct{}{}}).load(w.wall, ledger.Keys(groups), groups)
	for _, c := range snap.Currencies {
		if w.wall < c.Last-ledger.Instant(maxStep) {
			return false, true
		}
	}
	return true, true
}

// look is the part of the rule that is about leaps.
func (w *world) look(opens bool) bool {
	if w.looked.wall != 0 && w.wall-w.looked.wall-(w.mono-w.looked.mono) > ledger.Instant(maxStep) {
		return false
	}
	if w.s.frozen == nil || opens {
		w.looked = clockLook{w.wall, w.mono}
	}
	return true
}

// answer is one answer that left the node: the world holds it against what was said before, and perhaps the client gets it.
func (w *world) answer(a *act, r ledger.Result) error {
	p := &promise{ok: r.Code.OK(), code: r.Reason(), seq: r.Seq, at: r.At}
	if p.ok {
		p.code = ledger.OKCreated
	}
	if b := a.promise; b != nil {
		switch {
		case b.ok != p.ok, b.ok && (b.seq != p.seq || b.at != p.at):
			return brokenf("%s was answered %s at %d before, now %s at %d", name(a), b.code, b.seq, r.Code, p.seq)
		case !b.ok && len(a.group) == 1 && (b.code.Durable() || b.code == ledger.IDAborted) && b.code != p.code:
			return brokenf("%s was refused with %s before, now with %s", name(a), b.code, p.code)
		}
	} else if p.ok || p.code.Durable() || p.code == ledger.IDAborted {
		a.promise = p
	}
	fmt.Fprintf(w.hash, "%d %d %d\n", r.Code, r.Seq, r.At)
	if r.Code == ledger.OKCreated {
		w.rep.Accepted += len(a.group)
		for _, c := range a.group {
			if _, is := c.(ledger.Pay); is {
				w.rep.Payments++
			}
		}
	} else {
		w.rep.Refused[r.Code.String()]++
	}
	if !w.calm && w.chance(0.08) {
		w.fault("answer lost")
		return nil
	}
	a.settled = true
	return nil
}

// name says which act it is.
func name(a *act) string {
	if len(a.group) == 0 || a.group[0] == nil {
		return "an empty group"
	}
	e := ledger.Entry{Cmd: a.group[0]}
	return fmt.Sprintf("%s %s (of %d commands)", e.Kind(), e.ID(), len(a.group))
}

// read lets the auditor read what is new on the disk, and looks at the books.
func (w *world) read() error {
	if w.flipped != nil {
		return nil // the auditor would stumble over it, too
	}
	if err := w.audit.read(w.certain()); err != nil {
		return brokenf("audit: %v", err)
	}
	if err := ledger.Check(&w.audit.book.Snapshot); err != nil {
		return brokenf("audit: %v", err)
	}
	w.rep.Audits++
	return nil
}

// certain is what the disk holds, as far as the head on the disk says.
func (w *world) certain() []byte {
	h, err := parseHead(w.d.head)
	if err != nil {
		return nil
	}
	return w.d.log.durable[:min(int(h.bytes), len(w.d.log.durable))]
}

// halves checks that groups are in the book as a whole or not at all.
func (w *world) halves(acts []*act) error {
	if w.s == nil || w.flipped != nil {
		return nil
	}
	for _, a := range acts {
		if !a.whole || len(a.group) < 2 {
			continue
		}
		in := 0
		for _, c := range a.group {
			if _, _, digest, ok := w.audit.seqOf(ledger.Entry{Cmd: c}.ID()); ok && digest == ledger.DigestOf(c) {
				in++
			}
		}
		if in != 0 && in != len(a.group) {
			return brokenf("of %s, %d are in the book", name(a), in)
		}
	}
	return nil
}

// damaged holds what the store says of its disk against what is so.
func (w *world) damaged(frozen error) error {
	var d *damage
	is := errors.As(frozen, &d)
	switch {
	case is && w.flipped == nil:
		return brokenf("a sound disk is called damaged: %v", d)
	case !is && w.flipped != nil:
		return brokenf("a bit turned in entry %d, and nobody noticed", w.flipped.entry)
	case is && w.flipped.entry >= 0 && d.entry != w.flipped.entry:
		return brokenf("a bit turned in entry %d, and the store says: %v", w.flipped.entry, d)
	case is:
		w.rep.Faults["flip found"]++
	}
	return nil
}

// wholeAudit holds every promise against what is on the disk.
func (w *world) wholeAudit() error {
	for id, l := range w.audit.logs {
		c, mine := w.audit.book.Currencies[id], w.s.book.Currencies[id]
		if c != mine {
			return brokenf("the store's %s is %+v, the disk's %+v", c.Code, mine, c)
		}
		if w.restored || l.origin == "" {
			continue
		}
		for size, root := range w.shown[l.origin] {
			if size > l.frontier.Size() {
				return brokenf("a checkpoint of %s of size %d was shown, and the log has %d entries", l.origin, size, l.frontier.Size())
			}
			if l.roots[size] != root {
				return brokenf("a checkpoint of %s of size %d was shown with another root than the log has", l.origin, size)
			}
		}
	}
	if ledger.StateDigest(&w.audit.book.Snapshot) != ledger.StateDigest(&w.s.book.Snapshot) {
		return brokenf("the store's books are not those of the disk")
	}
	for _, a := range w.work.acts {
		p := a.promise
		switch {
		case p == nil:
		case p.ok:
			_, seq, digest, ok := w.audit.seqOf(ledger.Entry{Cmd: a.group[0]}.ID())
			if !ok || digest != ledger.DigestOf(a.group[0]) || seq != p.seq {
				return brokenf("%s was answered with entry %d, and the disk does not have it there", name(a), p.seq)
			}
			for _, c := range a.group {
				if _, _, digest, ok := w.audit.seqOf(ledger.Entry{Cmd: c}.ID()); !ok || digest != ledger.DigestOf(c) {
					return brokenf("%s was answered with entry %d, and a part of it is missing", name(a), p.seq)
				}
			}
		case len(a.group) == 1 && (p.code.Durable() || p.code == ledger.IDAborted):
			if o := w.audit.book.Outcomes[ledger.Entry{Cmd: a.group[0]}.ID()]; o.Code != p.code {
				return brokenf("%s was refused with %s, and the disk says %s", name(a), p.code, o.Code)
			}
		}
	}
	if err := w.halves(w.work.acts); err != nil {
		return err
	}
	return w.consistent()
}

// consistent proves for one shown checkpoint of each log that the log goes on from it.
func (w *world) consistent() error {
	for _, b := range w.work.books {
		l := w.audit.logs[b.ID]
		if l == nil || w.restored {
			continue
		}
		sizes := make([]int64, 0, len(w.shown[l.origin]))
		for size := range w.shown[l.origin] {
			sizes = append(sizes, size)
		}
		if len(sizes) == 0 {
			continue
		}
		slices.Sort(sizes)
		older := sizes[w.r.IntN(len(sizes))]
		path, err := l.tree().ProveOlder(older)
		if err != nil {
			return brokenf("prove %s from %d: %v", l.origin, older, err)
		}
		one := proof.Checkpoint{Origin: l.origin, Size: older, Root: w.shown[l.origin][older]}
		two := proof.Checkpoint{Origin: l.origin, Size: l.frontier.Size(), Root: l.frontier.Root()}
		if err := proof.CheckConsistent(one, two, path); err != nil {
			return brokenf("%v", err)
		}
	}
	return nil
}

// sees is everybody who gets to see a checkpoint.
func (w *world) sees(signed []byte) {
	lines := strings.SplitN(string(signed), "\n", 4)
	var size int64
	_, _ = fmt.Sscan(lines[1], &size)
	root, _ := proofHash(lines[2])
	if w.shown[lines[0]] == nil {
		w.shown[lines[0]] = map[int64]proof.Hash{}
	}
	if was, ok := w.shown[lines[0]][size]; ok && was != root {
		w.rep.forked = fmt.Sprintf("two checkpoints of %s of size %d were shown", lines[0], size)
	}
	w.shown[lines[0]][size] = root
}

// ask wants the receipt of something that was answered, and checks it without the node.
func (w *world) ask() error {
	if w.flipped != nil || w.s == nil || len(w.work.acts) == 0 {
		return nil
	}
	a := w.work.acts[w.r.IntN(len(w.work.acts))]
	if a.promise == nil || !a.promise.ok {
		return nil
	}
	var currency ledger.ID
	var seq ledger.Seq
	switch c := a.group[0].(type) {
	case ledger.Pay:
		currency, seq = c.Currency, a.promise.seq
	default:
		return nil
	}
	file, err := w.s.receipt(currency, seq)
	if err != nil {
		return brokenf("receipt of %s: %v", name(a), err)
	}
	s, err := signerOf(w.s.book.Currencies[currency], w.keys[currency])
	if err != nil {
		return err
	}
	key, err := proof.NewVerifier(s.Vkey())
	if err != nil {
		return err
	}
	k := keptReceipt{file, key, a}
	w.rep.Receipts++
	if len(w.receipts) < 20 {
		w.receipts = append(w.receipts, k)
	}
	return k.check()
}

// check says that a receipt proves what was asked for.
func (k keptReceipt) check() error {
	v, err := proof.Verify(k.file, k.key)
	if err != nil {
		return brokenf("receipt of %s: %v", name(k.act), err)
	}
	e, err := ledger.ParseEntry(v.Entry())
	if err != nil {
		return brokenf("receipt of %s: %v", name(k.act), err)
	}
	if ledger.DigestOf(e.Cmd) != ledger.DigestOf(k.act.group[0]) {
		return brokenf("the receipt of %s is of another command", name(k.act))
	}
	return nil
}
