package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Trim lets go of the pages of the file that are mapped into this process and
// count as its memory. They stay in the system's cache; who needs one again gets
// it from there.
func (s *Store) Trim() error {
	return s.View(func(*Tx) error { // meanwhile the file is not mapped anew
		size := (s.Size() + int64(os.Getpagesize()) - 1) &^ (int64(os.Getpagesize()) - 1)
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, s.db.Info().Data, uintptr(size), unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("letting go of the space's database: %w", errno)
		}
		return nil
	})
}
