package sim

import (
	"bytes"
	"slices"
	"time"

	"planet/ledger"
)

// calmDown ends all faults, and then everybody must come to an end: each client to an answer, each hold whose time has passed to its own.
func (w *world) calmDown() error {
	w.calm, w.drift = true, 0
	for turn := 0; ; turn++ {
		if turn == 2000 {
			return brokenf("%d acts have no answer after everything was mended", len(w.waiting))
		}
		if w.s == nil {
			if err := w.restart(); err != nil {
				return err
			}
		}
		if w.flipped != nil {
			w.s.verify()
			if err := w.damaged(w.s.frozen); err != nil {
				return err
			}
			w.mend()
			continue
		}
		if last := w.last(); w.now < last {
			w.advance(time.Duration(last - w.now))
		}
		if w.wall != w.now {
			w.stop(false)
			w.wall = w.now
			continue
		}
		if w.restored {
			if err := w.newEpoch(); err != nil {
				return err
			}
			continue
		}
		break
	}
	for turn := 0; len(w.net) > 0 || len(w.queue) > 0 || len(w.waiting) > 0; turn++ {
		if turn == 5000 {
			return brokenf("%d acts have no answer after everything was mended", len(w.waiting))
		}
		if len(w.queue) == 0 {
			w.advance(time.Minute)
			if len(w.net) > 0 {
				w.advance(time.Duration(max(w.net[0].due-w.now, 1)))
			}
		}
		w.deliver()
		if len(w.queue) > 0 {
			if err := w.batch(); err != nil {
				return err
			}
		}
	}
	for range 2 {
		for range 1 + len(w.s.held) { // a sweep ends at least one
			if err := w.sweep(); err != nil {
				return err
			}
		}
		for _, id := range sortedIDs(w.audit.book.Transfers) {
			t := w.audit.book.Transfers[id]
			if t.State == ledger.Pending && t.Expires <= w.wall {
				return brokenf("the hold %s ended %s ago, and stands", t.ID, time.Duration(w.wall-t.Expires))
			}
		}
		w.advance(400 * 24 * time.Hour) // beyond the longest hold
		w.waited += ledger.Instant(400 * 24 * time.Hour)
	}
	w.stop(true)
	if err := w.restart(); err != nil {
		return err
	}
	for _, k := range w.receipts {
		if err := k.check(); err != nil {
			return err
		}
	}
	return nil
}

func sortedIDs[T any](m map[ledger.ID]T) []ledger.ID {
	ids := make([]ledger.ID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ledger.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}
