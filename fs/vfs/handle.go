package vfs

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// Handle is an open file. Its methods may be called from any goroutine.
type Handle struct {
	in     *inode
	flags  uint32
	direct bool
	opener proc

	osMu sync.Mutex // guards the field below
	os   *os.File   // scratch

	// Guarded by the inode's mu.
	wrote   bool // bytes since the last commit
	cut     bool // truncated since the last commit
	closed  bool
	content *content   // version being read
	read    time.Time  // when it was opened or read last
	next    int64      // end of what was read of content
	ended   bool       // the end was read
	follows bool       // it read on where an older version ended
	behind  time.Time  // when it was first read on although it is not current
	old     []*content // versions read before, closed at release
}

// Ino is the number of the open file.
func (h *Handle) Ino() Ino { return h.in.ino }

// Direct reports whether the file should be read past the kernel's page cache,
// because processes are shown different versions of it now.
func (h *Handle) Direct() bool { return h.direct }

// ReadPast has the file read past the page cache through this handle, because the
// kernel may not have dropped what it has of an older version. It must be called
// before anything is read.
func (h *Handle) ReadPast() {
	h.in.mu.Lock()
	defer h.in.mu.Unlock()
	h.direct = true
}

func (h *Handle) writes() bool { return h.flags&syscall.O_ACCMODE != syscall.O_RDONLY }
func (h *Handle) reads() bool  { return h.flags&syscall.O_ACCMODE != syscall.O_WRONLY }

// Read fills p from off and returns how much there was; at the end of the file
// that is less, without an error. A file read from the start to the end in one
// go is one version, whatever arrives meanwhile.
func (h *Handle) Read(c Caller, p []byte, off int64) (int, error) {
	in := h.in
	in.mu.Lock()
	if in.state == stateScratch {
		in.mu.Unlock()
		f, err := h.osFile()
		if err != nil {
			return 0, err
		}
		return eof(f.ReadAt(p, off))
	}
	who := h.opener
	if off == 0 || h.content == nil {
		who = in.fs.procs.of(c.PID)
		if who == (proc{}) {
			who = h.opener
		}
	}
	if w := in.wc; w != nil && (in.state != stateShared || w.dirty) {
		if off == 0 && who != w.who {
			in.showFresh(who)
		}
		n, err := w.ReadAt(p, off)
		in.mu.Unlock()
		return eof(n, err)
	}
	cont, err := h.versionAt(off, len(p))
	if err != nil {
		in.mu.Unlock()
		return 0, err
	}
	if cont.v != nil && in.state == stateShared {
		in.fs.bases.show(in.ino, who, cont.v, false)
	}
	in.mu.Unlock()
	return eof(cont.ReadAt(p, off)) // may wait for a peer
}

func eof(n int, err error) (int, error) {
	if errors.Is(err, io.EOF) {
		return n, nil
	}
	return n, err
}

// Write writes p at off, or, on a handle opened for appending, at the end: the
// kernel computes that offset from a size that a peer may have changed since.
func (h *Handle) Write(c Caller, p []byte, off int64) (int, error) {
	return h.WriteWith(c, p, off, h.flags)
}

// WriteWith is Write by flags that were changed since the file was opened.
func (h *Handle) WriteWith(c Caller, p []byte, off int64, flags uint32) (int, error) {
	in := h.in
	if !h.writes() {
		return 0, syscall.EBADF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if in.vol.tree.readOnly() { // since it was opened
		return 0, syscall.EROFS
	}
	in.mu.Lock()
	if in.state == stateScratch {
		in.mu.Unlock()
		f, err := h.osFile()
		if err != nil {
			return 0, err
		}
		return writeOS(f, p, off, flags&syscall.O_APPEND != 0)
	}
	defer in.mu.Unlock()
	who := in.fs.procs.of(c.PID)
	if who == (proc{}) {
		who = h.opener
	}
	how := rewrite
	if flags&syscall.O_APPEND != 0 {
		how = extend
	}
	w, err := in.startCopy(who, how)
	if err != nil {
		return 0, err
	}
	if how == extend {
		if off != w.size && h.flags&syscall.O_APPEND == 0 { // the kernel has cached it elsewhere
			in.fs.queue.add(Invalidation{Content: true, Ino: in.ino})
		}
		off = w.size
	}
	n, err := w.WriteAt(p, off)
	if n > 0 {
		in.changed(w)
		h.wrote = true
	}
	return n, err
}

// Flush is called at each close of a descriptor: what was written since the
// last one is committed. A truncation alone waits: a shell's "echo > file"
// truncates, flushes, and only then writes.
func (h *Handle) Flush(Caller) error {
	in := h.in
	in.mu.Lock()
	wrote := h.wrote || in.state == stateFresh && !in.logged
	in.mu.Unlock()
	if !wrote {
		return nil
	}
	return h.commit(false)
}

func (h *Handle) commit(final bool) error {
	err := h.in.commit(final)
	if err == nil {
		h.in.mu.Lock()
		h.wrote, h.cut = false, false
		h.in.mu.Unlock()
	}
	return err
}

// Fsync commits and returns when the file would survive a power cut.
func (h *Handle) Fsync(Caller) error {
	in := h.in
	in.mu.Lock()
	if in.state == stateScratch {
		in.mu.Unlock()
		f, err := h.osFile()
		if err != nil {
			return err
		}
		return f.Sync()
	}
	in.mu.Unlock()
	if err := h.commit(false); err != nil {
		return err
	}
	in.mu.Lock()
	st := in.state
	var file *os.File
	if st == stateFresh && in.wc != nil {
		file = in.wc.file
	}
	in.mu.Unlock()
	switch st {
	case stateShared:
		return in.vol.tree.sync()
	case stateFresh:
		if file != nil {
			if err := errors.Join(file.Sync(), syncDir(in.vol.workDir())); err != nil {
				return err
			}
		}
		return in.fsynced(in.vol.log.sync())
	}
	return nil
}

// Release ends the handle. It commits what is left; an error is logged, since
// nobody hears of it, and the commit is tried again.
func (h *Handle) Release(Caller) error {
	in, v := h.in, h.in.vol
	in.mu.Lock()
	if h.closed {
		in.mu.Unlock()
		return nil
	}
	h.closed = true
	dirty := h.wrote || h.cut
	delete(in.handles, h)
	last := len(in.handles) == 0
	for _, c := range append(h.old, h.content) {
		if c != nil && c.snap != nil && c != in.pinned {
			c.snap.Close()
		}
	}
	h.content, h.old = nil, nil
	in.mu.Unlock()
	h.osMu.Lock()
	if h.os != nil {
		h.os.Close()
	}
	h.osMu.Unlock()
	var err error
	if dirty || last && h.writes() {
		if err = in.commit(true); err != nil {
			in.fs.log.Error("committing a closed file", "space", v.name, "file", in.name, "err", err)
		}
	}
	if last || h.writes() {
		v.released(in, err, h.writes())
	}
	in.mu.Lock()
	done := in.doneLocked()
	in.mu.Unlock()
	if done {
		in.fs.drop(in)
	}
	return err
}

// released tidies up after a handle that was the last one, or wrote.
func (v *volume) released(in *inode, failed error, wrote bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.state == stateShared && failed == nil:
		if in.wc != nil && !in.wc.dirty && !in.writable() {
			in.wc.close()
			in.wc = nil
		}
		return
	case in.state == stateScratch, in.vol == nil, in.kind != space.File:
		return
	}
	in.mu.Unlock()
	v.mu.Lock()
	in.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case in.state == stateOrphan && len(in.handles) == 0:
		if in.wc != nil {
			in.wc.close()
			in.wc = nil
		}
		if in.pinned != nil && in.pinned.snap != nil {
			in.pinned.snap.Close()
		}
		in.pinned = nil
	// A reader does not put off the day: whoever polls a file would keep it here for ever.
	case in.state == stateFresh && !in.writable() && (wrote || in.due.IsZero()), in.state == stateShared && failed != nil:
		v.enqueueFresh(in)
	}
}

// osFile is the open file of this device behind a scratch handle.
func (h *Handle) osFile() (*os.File, error) {
	h.osMu.Lock()
	defer h.osMu.Unlock()
	if h.os == nil {
		return nil, syscall.ESTALE
	}
	return h.os, nil
}

// reopen gives a handle the file of this device that its inode has become.
func (h *Handle) reopen(path string) error {
	f, err := os.OpenFile(path, int(h.flags&(syscall.O_ACCMODE|syscall.O_APPEND)), 0)
	if err != nil {
		return err
	}
	h.osMu.Lock()
	defer h.osMu.Unlock()
	if h.os != nil {
		h.os.Close()
	}
	h.os = f
	return nil
}
