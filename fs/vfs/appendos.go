package vfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// writeOS writes to a file of this device: at off, or at the end, whichever way
// it was opened. Programs change that of an open file, and the kernel writes what
// was mapped through whatever handle there is.
func writeOS(f *os.File, p []byte, off int64, end bool) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	n := 0
	cerr := raw.Control(func(fd uintptr) {
		var flags int
		if flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil {
			return
		}
		if is := flags&unix.O_APPEND != 0; is != end {
			if _, err = unix.FcntlInt(fd, unix.F_SETFL, flags^unix.O_APPEND); err != nil {
				return
			}
		}
		for n < len(p) {
			var m int
			if m, err = unix.Pwrite(int(fd), p[n:], off+int64(n)); err == unix.EINTR {
				continue
			}
			if err != nil {
				return
			}
			n += m
		}
	})
	if cerr != nil {
		return 0, cerr
	}
	return n, err
}
