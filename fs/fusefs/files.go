package fusefs

import (
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/echofs/echofs/fs/vfs"
)

// opened enters a handle into the table and tells the kernel how to use it.
func (f *filesystem) opened(h *vfs.Handle, flags uint32, out *fuse.OpenOut) {
	out.Fh = f.files.add(h)
	if f.inval.waits(h.Ino()) { // what the kernel has, its size too, is of another version
		h.ReadPast()
	}
	fresh := f.known.fresh(h.Ino())
	switch {
	case h.Direct(), flags&syscall.O_APPEND != 0:
		// The kernel believes that an append goes where the file ended when it
		// looked last. vfs knows better, and the page cache must not.
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO
	case fresh:
		out.OpenFlags |= fuse.FOPEN_KEEP_CACHE
	}
	if flags&syscall.O_ACCMODE == syscall.O_RDONLY {
		out.OpenFlags |= fuse.FOPEN_NOFLUSH // nothing to flush: spares a request for each close
	}
}

func (f *filesystem) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if _, ok := f.live.asks(&in.InHeader); ok {
		helperOpened(out)
		return fuse.OK
	}
	h, err := f.vfs.Open(caller(&in.InHeader), vfs.Ino(in.NodeId), in.Flags)
	if err != nil {
		return f.status("open", err)
	}
	if in.Mode&fuse.OPEN_KILL_SUIDGID != 0 && in.Flags&syscall.O_TRUNC != 0 {
		if err := h.Lower(); err != nil {
			f.log.Warn("taking away set-user-ID bits", "err", err)
		}
	}
	f.opened(h, in.Flags, out)
	return fuse.OK
}

func (f *filesystem) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if e, ok := f.live.asks(&in.InHeader); ok {
		helperOpened(&out.OpenOut)
		return f.helperMade(e, &in.InHeader, name, &out.EntryOut)
	}
	w := f.watch()
	a, h, err := f.vfs.Create(caller(&in.InHeader), vfs.Ino(in.NodeId), name, in.Flags, in.Mode)
	status := f.made("create", w, &in.InHeader, name, a, err, &out.EntryOut)
	if err == nil {
		f.opened(h, in.Flags, &out.OpenOut)
	}
	return status
}

// Tmpfile makes a file without a name.
func (f *filesystem) Tmpfile(_ <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	w := f.watch()
	a, h, err := f.vfs.Unnamed(caller(&in.InHeader), vfs.Ino(in.NodeId), in.Flags, in.Mode)
	status := f.made("tmpfile", w, &in.InHeader, "", a, err, &out.EntryOut)
	if err == nil {
		f.opened(h, in.Flags, &out.OpenOut)
	}
	return status
}

func (f *filesystem) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h := f.files.get(in.Fh)
	if h == nil {
		return nil, fuse.EBADF
	}
	n, err := h.Read(caller(&in.InHeader), buf, int64(in.Offset))
	if err != nil {
		return nil, f.status("read", err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (f *filesystem) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	h := f.files.get(in.Fh)
	if h == nil {
		return 0, fuse.EBADF
	}
	if in.WriteFlags&fuse.WRITE_KILL_SUIDGID != 0 {
		if err := h.Lower(); err != nil {
			return 0, f.status("write", err)
		}
	}
	flags := in.Flags
	if in.WriteFlags&fuse.WRITE_CACHE != 0 { // a page, through whichever handle there is
		flags = 0
	}
	n, err := h.WriteWith(caller(&in.InHeader), data, int64(in.Offset), flags)
	if n > 0 {
		err = nil // what was written counts; the next write says the rest
	}
	return uint32(n), f.status("write", err)
}

// Writev gets what the kernel sent in pieces; it is one write all the same.
func (f *filesystem) Writev(cancel <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	if len(data) == 1 {
		return f.Write(cancel, in, data[0])
	}
	return f.Write(cancel, in, slices.Concat(data...))
}

func (f *filesystem) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	h := f.files.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	return f.status("flush", h.Flush(caller(&in.InHeader)))
}

func (f *filesystem) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := f.files.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	return f.status("fsync", h.Fsync(caller(&in.InHeader)))
}

func (f *filesystem) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	h := f.files.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	return f.status("fallocate", h.Allocate(caller(&in.InHeader), int64(in.Offset), int64(in.Length), in.Mode))
}

// Release has nobody to report to: the program was answered by Flush.
func (f *filesystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	h := f.files.remove(in.Fh)
	if h == nil {
		return
	}
	if err := h.Release(caller(&in.InHeader)); err != nil {
		f.log.Error("request failed", "op", "release", "err", err)
	}
}
