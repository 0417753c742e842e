package daemon

import (
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/metrics"

	"golang.org/x/sys/unix"
)

// quiet is what an idle daemon allocates at most between two ticks.
const quiet = 4 << 20

// An idler tells when it is time to give memory back: once, after a busy time
// has ended. Left alone, the runtime keeps the memory of a large copy for minutes.
type idler struct {
	allocated uint64 // at the last tick
	busy      bool   // since memory was last given back
}

// tick takes how much the process has ever allocated.
func (i *idler) tick(allocated uint64) (giveBack bool) {
	calm := allocated-i.allocated <= quiet
	i.allocated = allocated
	giveBack = calm && i.busy
	i.busy = !calm
	return giveBack
}

// allocated is how much the process has ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// protect keeps secrets out of core dumps and memory within bounds.
func protect(log *slog.Logger) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		log.Debug("the process can be dumped", "err", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		log.Debug("the process can leave core files", "err", err)
	}
	// An idle daemon holds few short-lived objects, so a frequent collection is
	// cheap, and half of the heap as garbage would be most of its memory.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	var info unix.Sysinfo_t
	if os.Getenv("GOMEMLIMIT") == "" && unix.Sysinfo(&info) == nil {
		debug.SetMemoryLimit(int64(uint64(info.Totalram) * uint64(info.Unit) / 4 * 3))
	}
}
