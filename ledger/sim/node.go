package sim

import (
	"bytes"
	"errors"

	"planet/ledger"
)

// batch lets the node take what came in, at most 16 at once.
func (w *world) batch() error {
	if w.s == nil {
		w.queue = nil
		return nil
	}
	n := min(len(w.queue), 1+w.r.IntN(16))
	acts := w.queue[:n:n]
	w.queue = w.queue[n:]
	groups := make([]ledger.Group, n)
	for i, a := range acts {
		groups[i] = a.group
	}
	w.plan(0.04)
	var found error
	released := false
	second := w.secondOpinion(groups)
	before := w.audit.entries
	mayClock, known := w.clockIsGood(groups)
	mayWrite := !w.restored && w.flipped == nil
	err := w.s.commit(w.wall, w.mono, groups, func(rs []ledger.Result) {
		released = true
		for i, a := range acts {
			if found == nil && second != nil && rs[i] != second[i] {
				found = brokenf("%s is answered %+v, and with all books in sight it would be %+v", name(a), rs[i], second[i])
			}
			if found == nil {
				found = w.answer(a, rs[i])
			}
		}
	})
	w.d.plan = nil
	if found != nil {
		return found
	}
	switch {
	case err == nil && known && !mayClock:
		return brokenf("the node wrote though its clock cannot be right")
	case err == errClock && known && mayClock:
		return brokenf("the node says that its clock cannot be right, and it can")
	case err == nil && w.restored:
		return brokenf("the node wrote to a restored copy before a new epoch")
	case errors.Is(err, errFrozen) && mayWrite:
		return brokenf("the node is frozen without a reason: %v", err)
	}
	if err == nil && !released {
		return brokenf("no answer left the node")
	}
	if err == nil && !w.calm && w.chance(0.02) { // after the fsync, before the answers
		w.fault("crash before answering")
		w.stop(w.chance(0.5))
	}
	if err := w.after(err, before); err != nil {
		return err
	}
	return w.halves(acts)
}

// after is what follows a write that ended with err.
func (w *world) after(err error, before int) error {
	switch err {
	case errCrash, errSync:
		w.stop(err == errCrash && w.chance(0.6))
	case nil:
	default:
		w.rep.Errors[kindOf(err)]++
	}
	w.hash.Write(w.d.log.durable[min(w.audit.at, len(w.d.log.durable)):])
	w.overwritten()
	if w.s == nil || err != nil {
		return nil
	}
	if err := w.read(); err != nil {
		return err
	}
	if w.audit.entries > before {
		w.rep.Commits++
	}
	return nil
}

func kindOf(err error) string {
	var d *damage
	switch {
	case errors.As(err, &d):
		return "damaged"
	case errors.Is(err, errFrozen):
		return "frozen"
	case errors.Is(err, errClock):
		return "clock"
	}
	return err.Error()
}

// stop ends the process; without power what was not synced is lost, too.
func (w *world) stop(power bool) {
	w.s, w.queue, w.looked = nil, nil, clockLook{}
	if power {
		w.fault("power off")
		lost, torn := w.d.powerOff()
		if lost {
			w.fault("tail lost")
		}
		if torn {
			w.fault("write torn")
		}
	}
}

// restart opens the books again, and a new auditor reads all of them. A crash within is another restart.
func (w *world) restart() error {
	w.rep.Restarts++
	w.plan(0.05)
	w.mono, w.looked = 1, clockLook{}
	s, err := open(w.d, w.r, w.keys, w.wrong, w.sees)
	w.d.plan = nil
	switch err {
	case nil:
	case errCrash, errSync, errFull:
		w.stop(err == errCrash && w.chance(0.5))
		return nil
	default:
		return brokenf("open: %v", err)
	}
	w.s = s
	w.overwritten()
	if err := w.damaged(s.frozen); err != nil {
		return err
	}
	if w.flipped != nil {
		return nil
	}
	if w.calm || !bytes.HasPrefix(w.certain(), w.audit.seen) { // else it goes on from bytes that are the same
		w.audit = newAuditor(w.keys, w.opened)
	}
	if err := w.read(); err != nil {
		return err
	}
	if w.restored && s.frozen == nil {
		for id, was := range w.epochs {
			if w.audit.book.Currencies[id].Epoch <= was {
				return brokenf("a restored copy is open for writing, in the epoch in which it was made")
			}
		}
		w.restored = false // a crash came after the epoch was on the disk
		w.rep.Epochs++
	}
	return w.wholeAudit()
}

func (w *world) sweep() error {
	before := w.audit.entries
	w.plan(0.05)
	w.look(false)
	err := w.s.sweep(w.wall, w.mono, 1+w.r.IntN(50))
	w.d.plan = nil
	return w.after(err, before)
}
