package fusefs

import (
	"log/slog"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/echofs/echofs/fs/vfs"
)

// cacheTime is how long the kernel may keep what it was told. It is told of
// every change, so this only bounds the harm of a notice that was lost.
const cacheTime = time.Hour

// virtualTime is how long the kernel may keep what it was told of virtual
// things: of their changes it is not told.
const virtualTime = time.Second

// filesystem answers the kernel's requests. It implements fuse.RawFileSystem:
// vfs has inodes and handles of its own, so the node tree of go-fuse's package
// fs would only be a second one to keep in step. What is not implemented here
// answers ENOSYS, on which the kernel stops asking: locks, lseek,
// copy_file_range and poll are then the kernel's own.
type filesystem struct {
	fuse.RawFileSystem
	vfs   *vfs.FS
	log   *slog.Logger
	inval *invalidator
	live  *live
	known *known
	files *table[*vfs.Handle]
	dirs  *table[*listing]
}

func newFilesystem(v *vfs.FS, log *slog.Logger) *filesystem {
	return &filesystem{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		vfs:           v,
		log:           log,
		live:          newLive(v, log, nil),
		known:         newKnown(),
		files:         newTable[*vfs.Handle](),
		dirs:          newTable[*listing](),
	}
}

func (f *filesystem) String() string { return subtype }

func caller(h *fuse.InHeader) vfs.Caller {
	return vfs.Caller{PID: h.Pid, UID: h.Uid, GID: h.Gid}
}

// status translates an error for the kernel. The one errno that does not say
// what happened is explained in the log.
func (f *filesystem) status(op string, err error) fuse.Status {
	e := errno(err)
	if e == syscall.EIO {
		f.log.Error("request failed", "op", op, "err", err)
	}
	return fuse.Status(e)
}

// A watch tells whether anything was announced to have changed since it was
// made. A reply made in between may be old and must not be cached.
type watch struct {
	f     *filesystem
	epoch uint64
}

func (f *filesystem) watch() watch { return watch{f, f.inval.epoch.Load()} }

// validity is how long the kernel may keep a reply made under this watch.
func (w watch) validity(a vfs.Attr) (entry, attr time.Duration) {
	switch {
	case w.f.inval.epoch.Load() != w.epoch:
		return 0, 0
	case a.Ino.Virtual():
		return virtualTime, virtualTime
	case a.Volatile:
		return cacheTime, 0
	}
	return cacheTime, cacheTime
}

// entry fills in the reply that makes an inode known to the kernel.
func (w watch) entry(a vfs.Attr, out *fuse.EntryOut) {
	w.f.known.add(a.Ino)
	out.NodeId = uint64(a.Ino)
	out.Generation = 1 // vfs never gives a number to a second file
	entry, attr := w.validity(a)
	out.SetEntryTimeout(entry)
	out.SetAttrTimeout(attr)
	fill(&out.Attr, forAll(a))
}

// forAll is what the kernel may take for what is so for everybody.
func forAll(a vfs.Attr) vfs.Attr {
	if a.Apart {
		a.Size = a.True
	}
	return a
}

func (w watch) attr(a vfs.Attr, out *fuse.AttrOut) {
	_, attr := w.validity(a)
	out.SetTimeout(attr)
	fill(&out.Attr, a)
}

func fill(out *fuse.Attr, a vfs.Attr) {
	*out = fuse.Attr{
		Ino:    uint64(a.Ino),
		Mode:   a.Mode,
		Size:   a.Size,
		Blocks: (a.Size + 511) / 512,
		Nlink:  a.Nlink,
		Owner:  fuse.Owner{Uid: a.UID, Gid: a.GID},
	}
	out.Atime, out.Atimensec = seconds(a.Atime)
	out.Mtime, out.Mtimensec = seconds(a.Mtime)
	out.Ctime, out.Ctimensec = seconds(a.Ctime)
}

func seconds(t time.Time) (uint64, uint32) {
	if t.IsZero() {
		return 0, 0
	}
	return uint64(t.Unix()), uint32(t.Nanosecond())
}

func (f *filesystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	var h *vfs.Handle
	if in.Flags()&fuse.FUSE_GETATTR_FH != 0 {
		h = f.files.get(in.Fh())
	}
	if e, ok := f.live.asks(&in.InHeader); ok {
		f.helperAttr(vfs.Ino(in.NodeId), e.kindOf(vfs.Ino(in.NodeId)), &out.Attr)
		return fuse.OK
	}
	w := f.watch()
	a, err := f.vfs.Getattr(caller(&in.InHeader), vfs.Ino(in.NodeId), h)
	if err != nil {
		return f.status("getattr", err)
	}
	if a.Apart {
		f.inval.outdate(a.Ino)
	}
	w.attr(a, out)
	return fuse.OK
}

func (f *filesystem) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if e, ok := f.live.asks(&in.InHeader); ok {
		f.helperAttr(vfs.Ino(in.NodeId), e.kindOf(vfs.Ino(in.NodeId)), &out.Attr)
		return fuse.OK
	}
	var h *vfs.Handle
	if fh, ok := in.GetFh(); ok {
		h = f.files.get(fh)
	}
	var set vfs.SetAttr
	if v, ok := in.GetSize(); ok {
		set.Size = &v
	}
	if v, ok := in.GetMode(); ok {
		set.Mode = &v
	}
	if v, ok := in.GetUID(); ok {
		set.UID = &v
	}
	if v, ok := in.GetGID(); ok {
		set.GID = &v
	}
	if v, ok := in.GetATime(); ok {
		set.Atime = &v
	}
	if v, ok := in.GetMTime(); ok {
		set.Mtime = &v
	}
	set.Lower = in.Valid&fuse.FATTR_KILL_SUIDGID != 0
	w := f.watch()
	a, err := f.vfs.Setattr(caller(&in.InHeader), vfs.Ino(in.NodeId), h, set)
	if err != nil {
		return f.status("setattr", err)
	}
	w.attr(forAll(a), out)
	return fuse.OK
}

func (f *filesystem) StatFs(_ <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	s, err := f.vfs.Statfs(caller(in), vfs.Ino(in.NodeId))
	if err != nil {
		return f.status("statfs", err)
	}
	*out = fuse.StatfsOut{
		Blocks: s.Blocks, Bfree: s.Bfree, Bavail: s.Bavail,
		Files: s.Files, Ffree: s.Ffree,
		Bsize: s.Bsize, Frsize: s.Bsize, NameLen: s.NameLen,
	}
	return fuse.OK
}

// Forget hears that the kernel has dropped an inode. One that it is told again
// at the same time has a name, and such a one vfs keeps anyway.
func (f *filesystem) Forget(ino, lookups uint64) {
	if f.known.drop(vfs.Ino(ino), lookups) {
		f.vfs.Forget(vfs.Ino(ino))
	}
}
