package fusefs

import (
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/echofs/echofs/fs/vfs"
)

// What the helper is answered. It acts as if the change it tells of had not
// happened yet and it made it: what it creates is not there when it looks and
// is the thing itself when it was made; what it deletes is there until then.
// Nothing it does reaches vfs, and nothing it is told may be cached.

// asks reports whether a request is the helper's, and what it is about; nil if
// it is late.
func (l *live) asks(h *fuse.InHeader) (*event, bool) {
	if t := l.thread.Load(); t == 0 || t != int64(h.Pid) {
		former := l.former.Load()
		if former == nil || !slices.ContainsFunc(*former, func(w worker) bool { return w.thread() == int(h.Pid) && !ended(w) }) {
			return nil, false
		}
		return &event{}, true
	}
	e := l.current.Load()
	if e == nil {
		e = &event{}
	}
	return e, true
}

// shown is what a name is for the helper. given is false if it is what it is
// for anybody; 0 is nothing.
func (e *event) shown(at dirent) (ino vfs.Ino, kind uint32, given bool) {
	switch {
	case e.deed == deedCreate && at == e.at:
		return 0, 0, true
	case e.deed == deedDelete && at == e.at, e.deed == deedRename && at == e.from:
		return e.ino, e.kind, true
	case e.deed == deedRename && at == e.at:
		return e.over, syscall.S_IFREG, true
	}
	return 0, 0, false
}

// note remembers that the kernel asked what a name is.
func (e *event) note(at dirent) {
	if at == e.at {
		e.asked.Store(true)
	} else {
		e.askedFrom.Store(true)
	}
}

// way is the folder of that name on the way to where the helper has to go.
func (e *event) way(at dirent) vfs.Ino {
	for _, p := range []*vfs.Place{e.place, e.oldPlace} {
		parent := vfs.RootIno
		for i := 0; p != nil && i < len(p.Folder); i++ {
			if at == (dirent{parent, p.Folder[i].Name}) && p.Folder[i].Ino != 0 {
				return p.Folder[i].Ino
			}
			parent = p.Folder[i].Ino
		}
	}
	return 0
}

// kindOf is what kind of thing the event says that an inode is, 0 if nothing.
func (e *event) kindOf(ino vfs.Ino) uint32 {
	if ino == e.ino {
		return e.kind
	}
	for _, p := range []*vfs.Place{e.place, e.oldPlace} {
		if p != nil && slices.ContainsFunc(p.Folder, func(s vfs.Step) bool { return s.Ino == ino }) {
			return syscall.S_IFDIR
		}
	}
	return 0
}

func (f *filesystem) helperLookup(e *event, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	at := dirent{vfs.Ino(h.NodeId), name}
	ino, kind, given := e.shown(at)
	if given {
		e.note(at)
	}
	switch way := e.way(at); {
	case given && ino == 0:
		return fuse.ENOENT
	case given:
	case way != 0: // it may be gone, or its name have another meaning
		ino, kind = way, syscall.S_IFDIR
	default:
		return f.helperEntry(h, at, out)
	}
	f.present(ino, kind, out)
	return fuse.OK
}

// helperEntry answers with what the name is, which the kernel then knows.
func (f *filesystem) helperEntry(h *fuse.InHeader, at dirent, out *fuse.EntryOut) fuse.Status {
	err := f.lookup(h, at.parent, at.name, out)
	if err == nil {
		out.SetEntryTimeout(0)
		out.SetAttrTimeout(0)
		out.Attr.Mode |= 0o200
	}
	return f.status("lookup", err)
}

// present answers with an inode whatever its name is.
func (f *filesystem) present(ino vfs.Ino, kind uint32, out *fuse.EntryOut) {
	f.known.add(ino)
	*out = fuse.EntryOut{NodeId: uint64(ino), Generation: 1}
	f.helperAttr(ino, kind, &out.Attr)
}

// helperAttr tells what an inode is, even if it is gone. The owner may write,
// or the kernel would not let the helper: in a space for reading nobody else can.
func (f *filesystem) helperAttr(ino vfs.Ino, kind uint32, out *fuse.Attr) {
	a, err := f.vfs.Getattr(vfs.Caller{}, ino, nil)
	if err != nil {
		owner, err := f.vfs.Getattr(vfs.Caller{}, vfs.RootIno, nil)
		if err != nil {
			owner = vfs.Attr{}
		}
		a = vfs.Attr{Ino: ino, Mode: 0o644, UID: owner.UID, GID: owner.GID}
	}
	if kind != 0 { // of what is gone, vfs does not know it
		a.Mode = a.Mode&^syscall.S_IFMT | kind
	}
	if kind == syscall.S_IFDIR {
		a.Mode |= 0o700
	}
	a.Mode |= 0o200
	a.Nlink = max(a.Nlink, 1)
	fill(out, forAll(a))
}

// helperMade answers the request that makes the name of an event.
func (f *filesystem) helperMade(e *event, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	at := dirent{vfs.Ino(h.NodeId), name}
	if e.deed != deedCreate || at != e.at {
		return fuse.EPERM
	}
	if f.helperEntry(h, at, out) != fuse.OK || out.Attr.Mode&syscall.S_IFMT != e.kind {
		if out.NodeId != 0 {
			f.Forget(out.NodeId, 1)
		}
		f.present(e.ino, e.kind, out) // gone again
	}
	f.live.did(at, isThere)
	return fuse.OK
}

// helperGone answers the request that takes the name of an event away.
func (f *filesystem) helperGone(e *event, h *fuse.InHeader, name string) fuse.Status {
	at := dirent{vfs.Ino(h.NodeId), name}
	if e.deed != deedDelete || e.at != at {
		return fuse.EPERM
	}
	if !f.sure(e, at, e.asked.Load()) {
		return fuse.EAGAIN
	}
	f.live.did(at, isGone)
	return fuse.OK
}

func (f *filesystem) helperRenamed(e *event, in *fuse.RenameIn, name, newName string) fuse.Status {
	from, to := dirent{vfs.Ino(in.NodeId), name}, dirent{vfs.Ino(in.Newdir), newName}
	if e.deed != deedRename || e.from != from || e.at != to {
		return fuse.EPERM
	}
	if !e.asked.Load() || !e.askedFrom.Load() {
		return fuse.EAGAIN
	}
	f.live.did(from, isGone)
	f.live.did(to, isThere)
	return fuse.OK
}

// helperOpened opens a file for its events only: there is nothing behind it.
func helperOpened(out *fuse.OpenOut) {
	out.Fh = 0
	out.OpenFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH
}
