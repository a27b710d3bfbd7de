package sim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/rand/v2"
	"slices"
	"time"

	"planet/ledger"
	"planet/ledger/proof"
)

// world is one run: clients, a network, a clock, a disk, and the node between them.
type world struct {
	r     *rand.Rand
	wrong mutant
	keys  map[ledger.ID]ed25519.PrivateKey
	work  *workload
	rep   Report
	hash  hash.Hash
	calm  bool // no more faults: the liveness phase

	now        ledger.Instant // true time
	waited     ledger.Instant // of it, for the last holds in the end
	wall, mono ledger.Instant // the node's
	drift      float64        // of both, per second

	d     *disk
	s     *store // nil: down
	audit *auditor
	queue []*act // came in, unanswered

	net     []message
	waiting []*act // sent and without an answer
	made    map[*act]bool

	backups  []backup
	mirror   image // what the disk held before a bit flipped
	flipped  *flip
	restored bool                 // since then no epoch was opened
	epochs   map[ledger.ID]uint32 // of the books in the backup
	looked   clockLook

	shown    map[string]map[int64]proof.Hash // by origin and size
	opened   map[string]proof.Checkpoint
	receipts []keptReceipt
}

func newWorld(seed uint64, wrong mutant) *world {
	r := rand.New(rand.NewPCG(seed, 0x706c616e6574))
	w := &world{r: r, wrong: wrong, keys: map[ledger.ID]ed25519.PrivateKey{}, work: &workload{r: r}, hash: sha256.New(), now: year, wall: year, mono: 1,
		d: &disk{r: r}, shown: map[string]map[int64]proof.Hash{}, made: map[*act]bool{}, opened: map[string]proof.Checkpoint{}}
	w.rep = Report{Seed: seed, Refused: map[string]int{}, Faults: map[string]int{}, Errors: map[string]int{}}
	return w
}

// message is a copy of a request on its way.
type message struct {
	due ledger.Instant
	act *act
}

func (w *world) chance(p float64) bool { return w.r.Float64() < p }

// begin opens three of the five kinds of currency, before anything goes wrong.
func (w *world) begin(seed uint64) error {
	w.audit = newAuditor(w.keys, w.opened)
	w.calm = true
	defer func() { w.calm = false }()
	if err := w.restart(); err != nil {
		return err
	}
	var groups []*act
	for i := range 3 {
		g := w.work.newBook(ledger.Kind((seed + uint64(i)) % 5))
		a := &act{group: g, whole: true}
		w.work.acts = append(w.work.acts, a)
		groups = append(groups, a)
	}
	for _, b := range w.work.books {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(b.IRI), seed))
		w.keys[b.ID] = ed25519.NewKeyFromSeed(sum[:])
	}
	for w.queue = groups; len(w.queue) > 0; {
		if err := w.batch(); err != nil {
			return err
		}
	}
	return nil
}

// step is one turn of everything.
func (w *world) step() error {
	w.pass()
	for range w.r.IntN(5) {
		if len(w.waiting) < 60 {
			w.send(w.work.next())
		}
	}
	w.deliver()
	if w.s == nil && w.chance(0.6) {
		if err := w.restart(); err != nil {
			return err
		}
	}
	if err := w.trouble(); err != nil {
		return err
	}
	if len(w.queue) > 0 && w.chance(0.85) {
		if err := w.batch(); err != nil {
			return err
		}
	}
	if w.s != nil && w.chance(0.2) {
		if err := w.ask(); err != nil {
			return err
		}
	}
	if w.s != nil && w.chance(0.05) {
		return w.sweep()
	}
	return nil
}

// pass lets time pass: mostly seconds, sometimes days.
func (w *world) pass() {
	var d time.Duration
	switch n := w.r.IntN(100); {
	case n < 80:
		d = time.Duration(w.r.Int64N(int64(3 * time.Second)))
	case n < 92:
		d = time.Duration(w.r.Int64N(int64(20 * time.Minute)))
	case n < 99:
		d = time.Duration(w.r.Int64N(int64(12 * time.Hour)))
	default:
		d = time.Duration(w.r.Int64N(int64(72 * time.Hour)))
	}
	w.advance(d)
}

func (w *world) advance(d time.Duration) {
	d = max(d, 1)
	seen := d + time.Duration(w.drift*float64(d))
	w.now += ledger.Instant(d)
	w.wall += ledger.Instant(seen)
	w.mono += ledger.Instant(seen)
}

// send puts an act on its way, perhaps twice, perhaps late, perhaps to nowhere.
func (w *world) send(a *act) {
	if !w.made[a] {
		w.made[a] = true
		w.waiting = append(w.waiting, a)
		w.rep.Acts++
		w.rep.Commands += len(a.group)
		if a.hostile {
			w.rep.Hostile++
		}
	}
	a.tries++
	a.next = w.now + ledger.Instant(min(5*time.Second<<min(a.tries, 12), 6*time.Hour))
	switch {
	case w.calm:
	case w.chance(0.05):
		w.fault("request lost")
		return
	case w.chance(0.08):
		w.fault("request doubled")
		w.net = append(w.net, message{w.now + ledger.Instant(w.r.Int64N(int64(10*24*time.Hour))), a})
	case w.chance(0.05):
		w.fault("request late")
		w.net = append(w.net, message{w.now + ledger.Instant(w.r.Int64N(int64(48*time.Hour))), a})
		return
	}
	w.net = append(w.net, message{w.now + ledger.Instant(w.r.Int64N(int64(time.Second))), a})
}

// deliver brings what is due, in the order of its time, which is not that of sending; and clients try again.
func (w *world) deliver() {
	slices.SortStableFunc(w.net, func(a, b message) int { return int(min(max(a.due-b.due, -1), 1)) })
	n := 0
	for ; n < len(w.net) && w.net[n].due <= w.now; n++ {
		if w.s != nil {
			w.queue = append(w.queue, w.net[n].act)
		}
	}
	w.net = w.net[n:]
	w.waiting = slices.DeleteFunc(w.waiting, func(a *act) bool { return a.settled })
	for _, a := range w.waiting {
		if a.next <= w.now {
			w.send(a)
		}
	}
}
