package sim

import (
	"errors"
	"math/rand/v2"
	"slices"
)

// What a disk may answer.
var (
	errCrash = errors.New("the process is gone")
	errFull  = errors.New("the disk is full")
	errSync  = errors.New("fsync failed")
)

// op is one operation of the disk, at which something may happen.
type op uint8

const (
	opAppend op = iota
	opSync
	opHead
	opSyncHead
	ops
)

// trouble is what happens at an operation.
type trouble uint8

const (
	fine   trouble = iota
	crash          // the process ends in the midst of it
	refuse         // an append finds the disk full, an fsync fails
)

// disk is two files of one machine: the log, which is only appended to and cut, and the head, which is replaced as a whole. What is
// written is in the machine's memory; what was synced survives the loss of power.
//
// A failing fsync behaves as on Linux: some of what was written reached the disk, the rest never will, and the machine's memory takes
// all of it for clean, so that the next fsync has nothing to do and succeeds.
type disk struct {
	log       file
	head      []byte // on the disk
	headCache []byte // as programs read it
	headDirty bool

	r    *rand.Rand
	plan func(op) trouble // what happens next; nil: nothing
}

// file is what programs read and what the disk holds.
type file struct {
	cache, durable []byte
	clean          int // cache[clean:] waits for an fsync
}

func (d *disk) next(o op) trouble {
	if d.plan == nil {
		return fine
	}
	return d.plan(o)
}

// append writes b at the end of the log. Where it fails, some of b may stand there.
func (d *disk) append(b []byte) error {
	switch d.next(opAppend) {
	case crash:
		d.log.cache = append(d.log.cache, b[:d.r.IntN(len(b)+1)]...)
		return errCrash
	case refuse:
		d.log.cache = append(d.log.cache, b[:d.r.IntN(len(b))]...)
		return errFull
	}
	d.log.cache = append(d.log.cache, b...)
	return nil
}

// cutTo ends the log at n, for programs at once and on the disk with the next sync.
func (d *disk) cutTo(n int) {
	d.log.cache = d.log.cache[:n]
	d.log.clean = min(d.log.clean, n)
}

// sync brings the log to the disk.
func (d *disk) sync() error {
	f := &d.log
	switch d.next(opSync) {
	case crash:
		f.settle(f.clean + d.r.IntN(len(f.cache)-f.clean+1))
		return errCrash
	case refuse:
		f.settle(f.clean + d.r.IntN(len(f.cache)-f.clean+1))
		f.clean = len(f.cache)
		return errSync
	}
	f.settle(len(f.cache))
	f.durable = f.durable[:len(f.cache)]
	f.clean = len(f.cache)
	return nil
}

// settle brings cache[clean:n] to the disk, in its place; what the disk had beyond stays.
func (f *file) settle(n int) {
	for len(f.durable) < f.clean { // never written: a hole
		f.durable = append(f.durable, 0)
	}
	if n > len(f.durable) {
		f.durable = append(f.durable[:f.clean], f.cache[f.clean:n]...)
		return
	}
	copy(f.durable[f.clean:], f.cache[f.clean:n])
}

// setHead replaces the head, by a new file that is renamed over the old one.
func (d *disk) setHead(b []byte) error {
	t := d.next(opHead)
	if t == crash && d.r.IntN(2) == 0 {
		return errCrash
	}
	d.headCache, d.headDirty = b, true
	if t == crash {
		return errCrash
	}
	return nil
}

// syncHead brings the head to the disk.
func (d *disk) syncHead() error {
	t := d.next(opSyncHead)
	if t != fine && d.r.IntN(2) == 0 {
		if t == refuse {
			d.headDirty = false // and the old one stays on the disk
			return errSync
		}
		return errCrash
	}
	if d.headDirty {
		d.head, d.headDirty = d.headCache, false
	}
	switch t {
	case crash:
		return errCrash
	case refuse:
		return errSync
	}
	return nil
}

// powerOff loses what was not synced: a tail of the log, perhaps with a torn last write, and perhaps the head.
func (d *disk) powerOff() (lost, torn bool) {
	f := &d.log
	n := f.clean + d.r.IntN(len(f.cache)-f.clean+1)
	lost = n < len(f.cache)
	if f.clean < len(f.cache) {
		f.settle(n)
	}
	if torn = n > f.clean && d.r.IntN(2) == 0; torn {
		for i := max(f.clean, n-1-d.r.IntN(64)); i < n; i++ {
			f.durable[i] = byte(d.r.Uint32())
		}
	}
	f.cache, f.clean = slices.Clone(f.durable), len(f.durable)
	if d.headDirty && d.r.IntN(2) == 0 {
		d.head = d.headCache
	}
	d.headCache, d.headDirty = d.head, false
	return lost, torn
}

// flip turns one bit of what is at rest: at an offset of the log, or below zero of the head.
func (d *disk) flip(at int, bit uint) {
	if at < 0 {
		d.head = slices.Clone(d.head)
		d.head[-at-1] ^= 1 << bit
		d.headCache = d.head
		return
	}
	d.log.durable[at] ^= 1 << bit
	d.log.cache[at] ^= 1 << bit
}

// image is a copy of what is on a disk.
type image struct{ log, head []byte }

func (d *disk) image() image { return image{slices.Clone(d.log.durable), slices.Clone(d.head)} }

// put makes the disk hold what is in an image, and nothing else.
func (d *disk) put(m image) {
	d.log = file{cache: slices.Clone(m.log), durable: slices.Clone(m.log), clean: len(m.log)}
	d.head = slices.Clone(m.head)
	d.headCache, d.headDirty = d.head, false
}
