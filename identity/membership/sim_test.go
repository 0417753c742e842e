package membership_test

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echofs/echofs/identity/membership"
)

var (
	simulate  = flag.Duration("simulate", 0, "how long to simulate, instead of some scenarios")
	scenarios = flag.Uint64("scenarios", 3000, "how many scenarios to simulate")
	simSeed   = flag.Uint64("sim.seed", 0, "the first scenario, or with -scenarios=1 the only one")
)

// TestSimulation runs scenarios of devices that are cut off from each other, some
// of them hostile, and checks each by the reference and by what must hold.
//
// make simulate runs it until it is stopped; -sim.seed N -scenarios 1 runs one.
func TestSimulation(t *testing.T) {
	p := newPool(t)
	begin := time.Now()
	var next, done, ops, entries, refused, void, dead atomic.Uint64
	next.Store(*simSeed)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			book := p.book()
			for !t.Failed() {
				seed := next.Add(1) - 1
				if *simulate > 0 && time.Since(begin) >= *simulate || *simulate == 0 && seed-*simSeed >= *scenarios {
					return
				}
				w, err := scenario(p, book, "", seed)
				if err != nil {
					t.Errorf("scenario %d: %v\n\tto see it again: go test ./identity/membership -run '^TestSimulation$' -scenarios 1 -sim.seed %d", seed, err, seed)
					return
				}
				all := uint64(1)<<len(w.ops) - 1
				ops.Add(uint64(len(w.ops)))
				entries.Add(uint64(len(w.entries)))
				refused.Add(uint64(w.refused))
				for n, o := range w.ref.ops {
					if o.kind != 3 && o.kind != 4 && !has(w.ref.view(all).valid, n) {
						void.Add(1)
					}
				}
				counts := w.ref.accepted(w.entries, 1<<len(w.entries)-1, all)
				for n := range w.entries {
					if !has(counts, n) {
						dead.Add(1)
					}
				}
				if n := done.Add(1); n%20000 == 0 {
					fmt.Printf("%d scenarios from seed %d, %v\n", n, *simSeed, time.Since(begin).Round(time.Second))
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d scenarios: %d credentials, %d of them void; %d entries, %d of them dead; %d refused",
		done.Load(), ops.Load(), void.Load(), entries.Load(), dead.Load(), refused.Load())
}

// scenario runs one scenario, whose world it returns.
func scenario(p *pool, book *membership.Book, weak string, seed uint64) (*world, error) {
	w := newWorld(p, book, weak, seed)
	if err := w.run(); err != nil {
		return w, err
	}
	return w, w.check()
}
