package keystore

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// HardenProcess keeps the memory of this process, which may hold keys, from
// core dumps and from other processes of the same user.
func HardenProcess() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("keeping other processes from the memory: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("turning off core dumps: %w", err)
	}
	return nil
}
