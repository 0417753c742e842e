package vfs

import (
	"errors"
	"io"
	"syscall"
)

// Modes of Allocate, as in fallocate. Mode 0 is room for what is to be written:
// the file grows. With allocateKeep it does not grow. Ranges cannot be taken out
// of a file or put into it: then everything after them would be another text.
const (
	allocateKeep  = 0x01
	allocatePunch = 0x02 // only with allocateKeep: zeros, and less on the disk
	allocateZero  = 0x10 // zeros
)

// Allocate does what fallocate does with size bytes at off.
func (h *Handle) Allocate(c Caller, off, size int64, mode uint32) error {
	in := h.in
	switch {
	case !h.writes():
		return syscall.EBADF
	case off < 0 || size <= 0:
		return syscall.EINVAL
	case off+size < off:
		return syscall.EFBIG
	case in.vol.tree.readOnly(): // since it was opened
		return syscall.EROFS
	}
	switch mode {
	case 0, allocateKeep, allocatePunch | allocateKeep, allocateZero, allocateZero | allocateKeep:
	default:
		return syscall.EOPNOTSUPP
	}
	in.mu.Lock()
	scratch, node := in.state == stateScratch, in.state == stateShared
	length := int64(0)
	if in.wc != nil && (!node || in.wc.dirty) {
		length = in.wc.size
	} else if node {
		length = in.sizeLocked()
	}
	in.mu.Unlock()
	clearing := mode&(allocatePunch|allocateZero) != 0
	if mode&allocatePunch == 0 {
		// A disk that is full says so now, and is not filled up to see.
		if err := in.fs.roomFor(off + size - length); err != nil {
			return err
		}
	}
	if scratch {
		f, err := h.osFile()
		if err != nil {
			return err
		}
		return syscall.Fallocate(int(f.Fd()), mode, off, size)
	}
	if mode == allocateKeep {
		return nil
	}
	who := in.fs.procs.of(c.PID)
	in.mu.Lock()
	defer in.mu.Unlock()
	if who == (proc{}) {
		who = h.opener
	}
	w, err := in.startCopy(who, rewrite)
	if err != nil {
		return err
	}
	end, longer := off+size, false
	if mode&allocateKeep == 0 && end > w.size {
		if err := w.Truncate(end); err != nil {
			return err
		}
		longer = true
	}
	if clearing {
		if end = min(end, w.size); off >= end {
			return nil
		}
		if err := w.zero(off, end-off); err != nil {
			return err
		}
		h.wrote = true
	}
	if clearing || longer {
		in.changed(w)
		h.cut = true
	}
	return nil
}

// roomFor says ENOSPC if the disk has no room for n more bytes.
func (f *FS) roomFor(n int64) error {
	if n <= memoryLimit {
		return nil
	}
	s, err := f.Statfs(Caller{}, RootIno)
	if err == nil && uint64(n)/uint64(max(s.Bsize, 1)) >= s.Bavail {
		return syscall.ENOSPC
	}
	return nil
}

// zero makes n bytes at off zeros; they are all in the copy.
func (w *workingCopy) zero(off, n int64) error {
	w.throwAway()
	if w.file == nil {
		w.own()
		clear(w.data[off : off+n])
		return nil
	}
	err := syscall.Fallocate(int(w.file.Fd()), allocatePunch|allocateKeep, off, n)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	_, err = io.CopyN(io.NewOffsetWriter(w.file, off), zeros{}, n)
	return err
}

// zeros is as many of them as somebody reads.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
