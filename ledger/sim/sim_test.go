package sim

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// steps is how long a run of the tests is: some days to some weeks of simulated time.
const steps = 100

// seeds is how many runs a test makes: few by default, and what PLANET_SIM_SEEDS says.
func seeds(t *testing.T, few uint64) uint64 {
	t.Helper()
	s := os.Getenv("PLANET_SIM_SEEDS")
	if s == "" {
		return few
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatalf("PLANET_SIM_SEEDS=%s: want a number", s)
	}
	return n
}

// Whatever happens to the disk, the clock and the network, what was answered stays true.
func TestTheLedgerSurvivesABadMonth(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // small books, many of them
	n, began := seeds(t, 200), time.Now()
	var (
		next atomic.Uint64
		mu   sync.Mutex
		all  Report
		wait sync.WaitGroup
		bad  int
		done int
	)
	for range min(runtime.GOMAXPROCS(0), 4) {
		wait.Go(func() {
			for seed := next.Add(1) - 1; seed < n; seed = next.Add(1) - 1 {
				r, err := Run(seed, steps)
				mu.Lock()
				if done++; n > 1000 && done%500 == 0 {
					t.Logf("%d seeds, %d broken, %d payments, %.0f days, %s", done, bad, all.Payments, float64(all.Simulated)/86_400, time.Since(began).Round(time.Second))
				}
				if all.Add(r); err != nil {
					if bad++; bad <= 20 {
						t.Error(err)
					}
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	real := time.Since(began)
	t.Logf("%d seeds, %d of them broken, %s real, %.0f times as fast as life\n%s", n, bad, real.Round(time.Millisecond), float64(all.Simulated)/real.Seconds(), all)
	if share := all.HostileShare(); share < 0.3 {
		t.Errorf("%.0f %% of the acts are hostile, want at least 30 %%", 100*share)
	}
	for _, kind := range []string{"tail lost", "write torn", "bit flipped", "flip found", "disk full", "fsync failed", "backup restored", "process killed", "power off",
		"crash while appending", "crash in fsync", "crash at the head", "crash at the head's fsync", "crash before answering", "clock jumped", "clock drifts",
		"request lost", "request doubled", "request late", "answer lost"} {
		if all.Faults[kind] == 0 {
			t.Errorf("there was no %q", kind)
		}
	}
	for _, code := range strings.Fields("exceeds_floor exceeds_ceiling already_settled expired already_posted already_voided exceeds_original refund_of_refund too_many_pending version_mismatch id_aborted") {
		if all.Refused[code] == 0 {
			t.Errorf("nothing was refused with %s", code)
		}
	}
	if all.Epochs == 0 || all.Receipts == 0 {
		t.Errorf("%d epochs were opened and %d receipts checked, want some of both", all.Epochs, all.Receipts)
	}
}

// A seed is a whole history: the same one again, to the bit.
func TestASeedIsAHistory(t *testing.T) {
	seen := map[string]uint64{}
	for seed := range uint64(5) {
		one, err := Run(seed, steps)
		if err != nil {
			t.Fatal(err)
		}
		two, _ := Run(seed, steps)
		if one.Hash != two.Hash || one.String() != two.String() {
			t.Errorf("seed %d gave two histories:\n%s\n%s", seed, one, two)
		}
		if other, twice := seen[one.Hash]; twice {
			t.Errorf("the seeds %d and %d gave one history", other, seed)
		}
		seen[one.Hash] = seed
	}
}

// The simulator can fail: it sees each store that is wrong on purpose.
func TestEachMutantIsCaught(t *testing.T) {
	const most = 150
	for m := right + 1; m < mutants; m++ {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(most) {
				if _, err := run(seed, steps, m); err != nil {
					t.Logf("caught: %v", err)
					return
				}
			}
			t.Errorf("%d seeds saw nothing", most)
		})
	}
}
