package space

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrNoRoom reports entries of others that were not taken because the disk is
// nearly full. They come again when peers next compare.
var ErrNoRoom = errors.New("the disk is nearly full")

// maxSpare is the most that is kept free on the disk for what is written on this
// device: others may write any amount, and some of it may not even count.
const maxSpare = 64 << 20

// room reports whether the disk has any for what others wrote.
func (s *Space) room() error {
	free, total, err := s.disk()
	if err != nil {
		return nil // then writing says what is wrong
	}
	spare := min(maxSpare, total/20)
	if free >= spare {
		s.cramped.Store(false)
		return nil
	}
	if !s.cramped.Swap(true) {
		s.log.Error("the disk is nearly full; nothing is taken from others until there is room",
			"space", s.name, "dir", s.dir, "free", free, "needed", spare)
	}
	return fmt.Errorf("taking entries of others: %w", ErrNoRoom)
}

// diskOf returns how many bytes are free for this user, and how many there are.
func diskOf(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}
