// Package sim puts one node's ledger through a bad month in some milliseconds: a simulated disk that loses, tears and forgets, a clock that
// jumps, a network that doubles and delays, clients of whom a third means harm. It calls the ledger itself, Apply, Replay and the proofs, over a
// small store that keeps the rules of package storage; everything that happens follows from one number, the seed, so that what broke once
// breaks again.
//
// It reads no clock, no disk and no network, starts no goroutine, and decides nothing by the order of a map.
//
// Its words:
//
//   - act: what one client wants, a group of commands, sent again and again until there is an answer.
//   - promise: an answer that left the node. It must stay true for ever, whatever breaks.
//   - fault: what the world does to the node: it is counted by its kind.
//   - auditor: it replays the log from the bytes on the disk, and believes nothing else.
//   - mutant: a store that is wrong on purpose; the tests know by it that the simulator can fail.
package sim

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"planet/ledger/proof"
)

// Report is what a run counted.
type Report struct {
	Seed      uint64         `json:"seed"`
	Steps     int            `json:"steps"`
	Acts      int            `json:"acts"`      // groups that clients wanted
	Commands  int            `json:"commands"`  // in them
	Hostile   int            `json:"hostile"`   // acts that mean harm
	Commits   int            `json:"commits"`   // that grew the log
	Accepted  int            `json:"accepted"`  // commands
	Payments  int            `json:"payments"`  // of them, payments and holds
	Refused   map[string]int `json:"refused"`   // answers that are not ok_created, by code
	Errors    map[string]int `json:"errors"`    // batches that were turned away, by reason
	Faults    map[string]int `json:"faults"`    // by kind
	Restarts  int            `json:"restarts"`  //
	Epochs    int            `json:"epochs"`    // opened after a backup was restored
	Forgotten int            `json:"forgotten"` // answers that a restored backup does not know of
	Receipts  int            `json:"receipts"`  // verified offline
	Audits    int            `json:"audits"`    // of the log, from its bytes
	Simulated int64          `json:"simulated"` // seconds, without the long wait in the end
	Hash      string         `json:"hash"`      // of the whole history

	forked string
}

// BrokenError is a promise that did not hold, and how to see it again.
type BrokenError struct {
	Seed  uint64
	Step  int // Steps of Run is reached when the faults have ended
	Steps int
	What  string
}

// Error names the seed and the step.
func (e *BrokenError) Error() string {
	return fmt.Sprintf("seed %d, step %d: %s; see it again with planet ledger simulate --seed %d --steps %d", e.Seed, e.Step, e.What, e.Seed, e.Steps)
}

// Run simulates. The error is a *BrokenError; the report is of what happened until then.
func Run(seed uint64, steps int) (Report, error) { return run(seed, steps, right) }

func run(seed uint64, steps int, wrong mutant) (Report, error) {
	w := newWorld(seed, wrong)
	w.rep.Steps = steps
	step := 0
	err := w.begin(seed)
	for ; err == nil && step < steps; step++ {
		if err = w.step(); err == nil && w.rep.forked != "" {
			err = &broken{w.rep.forked}
		}
	}
	if err == nil {
		if err = w.calmDown(); err == nil && w.rep.forked != "" {
			err = &broken{w.rep.forked}
		}
	}
	w.rep.Simulated = int64(time.Duration(w.now-year-w.waited) / time.Second)
	w.rep.Hash = fmt.Sprintf("%x", w.hash.Sum(nil))
	if err != nil {
		return w.rep, &BrokenError{Seed: seed, Step: step, Steps: steps, What: err.Error()}
	}
	return w.rep, nil
}

// HostileShare is the share of acts that mean harm.
func (r Report) HostileShare() float64 {
	if r.Acts == 0 {
		return 0
	}
	return float64(r.Hostile) / float64(r.Acts)
}

// Add counts another run in. Seed and hash stay.
func (r *Report) Add(o Report) {
	r.Steps += o.Steps
	r.Acts += o.Acts
	r.Commands += o.Commands
	r.Hostile += o.Hostile
	r.Commits += o.Commits
	r.Accepted += o.Accepted
	r.Payments += o.Payments
	r.Restarts += o.Restarts
	r.Epochs += o.Epochs
	r.Forgotten += o.Forgotten
	r.Receipts += o.Receipts
	r.Audits += o.Audits
	r.Simulated += o.Simulated
	r.Refused, r.Errors, r.Faults = sum(r.Refused, o.Refused), sum(r.Errors, o.Errors), sum(r.Faults, o.Faults)
}

func sum(a, b map[string]int) map[string]int {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]int{}
	}
	for k, n := range b {
		out[k] += n
	}
	return out
}

// String is a table for people.
func (r Report) String() string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s "+format+"\n", append([]any{name}, args...)...)
	}
	row("seed", "%d, %d steps", r.Seed, r.Steps)
	row("time", "%.1f days simulated", float64(r.Simulated)/86_400)
	row("acts", "%d of %d commands, %.0f %% hostile", r.Acts, r.Commands, 100*r.HostileShare())
	row("accepted", "%d commands, %d payments and holds among them, in %d commits", r.Accepted, r.Payments, r.Commits)
	row("refused", "%s", counts(r.Refused))
	row("turned away", "%s", counts(r.Errors))
	row("faults", "%s", counts(r.Faults))
	row("restarts", "%d, %d new epochs, %d answers forgotten by backups", r.Restarts, r.Epochs, r.Forgotten)
	row("checked", "%d audits, %d receipts", r.Audits, r.Receipts)
	row("history", "%s", r.Hash)
	return b.String()
}

// counts lists numbers by name, the largest first.
func counts(m map[string]int) string {
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if m[a] != m[b] {
			return m[b] - m[a]
		}
		return strings.Compare(a, b)
	})
	if len(names) == 0 {
		return "none"
	}
	for i, n := range names {
		names[i] = fmt.Sprintf("%s %d", n, m[n])
	}
	return strings.Join(names, ", ")
}

// proofHash reads a root as checkpoints write it.
func proofHash(s string) (h proof.Hash, ok bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, false
	}
	return proof.Hash(b), true
}
