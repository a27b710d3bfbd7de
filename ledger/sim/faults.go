package sim

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"planet/ledger"
)

// backup is an image, and what had been promised when it was made.
type backup struct {
	image
	promises map[*act]*promise
	epochs   map[ledger.ID]uint32
}

// flip is a bit that turned.
type flip struct {
	entry int    // -1: in the head
	head  []byte // then: as it is since
}

func (w *world) fault(kind string) {
	w.rep.Faults[kind]++
	w.hash.Write([]byte(kind))
}

// plan sets what the disk does to the next operations.
func (w *world) plan(p float64) {
	w.d.plan = nil
	if w.calm || !w.chance(p) {
		return
	}
	at, what := op(w.r.IntN(int(ops))), crash
	if w.chance(0.4) && at != opHead {
		what = refuse
	}
	w.d.plan = func(o op) trouble {
		if o != at {
			return fine
		}
		w.d.plan = nil
		switch {
		case what == refuse && o == opAppend:
			w.fault("disk full")
		case what == refuse:
			w.fault("fsync failed")
		default:
			w.fault([...]string{"crash while appending", "crash in fsync", "crash at the head", "crash at the head's fsync"}[o])
		}
		return what
	}
}

// trouble is what happens to the node from outside.
func (w *world) trouble() error {
	switch n := w.r.IntN(1000); {
	case n < 7:
		w.fault("process killed")
		w.stop(false)
	case n < 14:
		w.stop(true)
	case n < 24:
		w.fault("clock jumped")
		w.wall += ledger.Instant(w.r.Int64N(int64(48*time.Hour))) - ledger.Instant(24*time.Hour)
	case n < 32:
		w.fault("clock drifts")
		w.drift = (w.r.Float64() - 0.5) / 500
	case n < 40:
		w.turnBit()
	case n < 55 && w.s != nil:
		w.s.verify()
		return w.damaged(w.s.frozen)
	case n < 70 && w.s != nil && w.flipped == nil && !w.restored:
		b := backup{w.d.image(), map[*act]*promise{}, map[ledger.ID]uint32{}}
		for id, c := range w.s.book.Currencies {
			b.epochs[id] = c.Epoch
		}
		for _, a := range w.work.acts {
			b.promises[a] = a.promise
		}
		w.backups = append(w.backups[max(0, len(w.backups)-3):], b) // the last four are kept
	case n < 76 && len(w.backups) > 0:
		w.restore()
	}
	return w.operator(0.15)
}

// turnBit turns one bit of what is at rest. There is one at a time, as nothing could tell of two.
func (w *world) turnBit() {
	if w.s == nil || w.flipped != nil || w.restored || w.d.log.clean != len(w.d.log.cache) || w.audit.at != len(w.certain()) {
		return
	}
	w.mirror = w.d.image()
	at := w.r.IntN(w.audit.at)
	f := &flip{entry: -1}
	if w.chance(0.1) {
		at = -1 - w.r.IntN(len(w.d.head))
	} else {
		f.entry = w.entryAt(at)
	}
	w.fault("bit flipped")
	w.flipped = f
	w.d.flip(at, uint(w.r.IntN(8)))
	f.head = w.d.head
}

// entryAt is the entry that is damaged where the byte is: that of the byte, or the first after it.
func (w *world) entryAt(at int) int {
	n, _ := slices.BinarySearchFunc(w.audit.spans, at, func(s span, at int) int {
		if s.to <= at {
			return -1
		}
		return 1
	})
	return n
}

// overwritten forgets a bit that turned in the head when another head took its place.
func (w *world) overwritten() {
	if w.flipped != nil && w.flipped.entry < 0 && !bytes.Equal(w.d.head, w.flipped.head) {
		w.flipped = nil
	}
}

// restore puts an old backup in the place of the disk, as planet restore does: the copy knows that it is one.
func (w *world) restore() {
	w.fault("backup restored")
	w.stop(false)
	m := w.backups[w.r.IntN(len(w.backups))]
	h, err := parseHead(m.head)
	if err != nil {
		return // a backup is made of a sound disk alone
	}
	h.restored = true
	w.d.put(image{m.log, h.marshal()})
	w.restored, w.flipped, w.epochs = true, nil, m.epochs
	for _, a := range w.work.acts {
		if a.promise != nil && m.promises[a] != a.promise {
			a.promise = nil
			w.rep.Forgotten++
		}
	}
}

// operator mends what keeps the node from working.
func (w *world) operator(p float64) error {
	if !w.chance(p) {
		return nil
	}
	if w.s == nil {
		return nil
	}
	var d *damage
	switch {
	case errors.As(w.s.frozen, &d) && len(w.backups) > 0 && w.chance(0.3):
		w.restore()
	case errors.As(w.s.frozen, &d):
		w.mend()
		return w.restart()
	case w.restored:
		return w.newEpoch()
	}
	last := w.last()
	if w.wall == w.now || w.wall >= last && w.wall <= w.now+ledger.Instant(time.Minute) {
		return nil
	}
	w.stop(false)
	if w.chance(0.75) { // else it is only started again, without a look at the clock
		w.advance(time.Duration(max(last-w.now, 0)))
		w.wall = w.now
	}
	return w.restart()
}

// last is the time of the newest entry.
func (w *world) last() (t ledger.Instant) {
	for _, c := range w.audit.book.Currencies {
		t = max(t, c.Last)
	}
	return t
}

// mend brings back what was on the disk before the bit turned, and what was written since: the copy of a partner who mirrors the log.
func (w *world) mend() {
	log := slices.Clone(w.d.log.durable)
	copy(log, w.mirror.log)
	hd := w.d.head
	if w.flipped.entry < 0 {
		hd = w.mirror.head
	}
	w.stop(false)
	w.d.put(image{log, hd})
	w.flipped = nil
}

// newEpoch is the decision to go on from a restored copy.
func (w *world) newEpoch() error {
	before := w.audit.entries
	w.advance(max(time.Second, time.Duration(w.last()-w.now)))               // no two epochs in one second
	if off := w.wall - w.now; max(off, -off) > ledger.Instant(time.Minute) { // whoever decides that looks at the clock
		w.stop(false)
		w.wall = w.now
		return w.restart()
	}
	w.wall = w.now
	w.plan(0.1)
	w.look(true)
	err := w.s.openEpoch(w.wall, w.mono)
	w.d.plan = nil
	if err == nil {
		w.restored = false
		w.rep.Epochs++
	}
	return w.after(err, before)
}
