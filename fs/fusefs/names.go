package fusefs

import (
	"errors"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/echofs/echofs/fs/vfs"
)

// lookup finds a name and tells the kernel what it stands for.
func (f *filesystem) lookup(h *fuse.InHeader, parent vfs.Ino, name string, out *fuse.EntryOut) error {
	w := f.watch()
	a, err := f.vfs.Lookup(caller(h), parent, name)
	if err != nil {
		return err
	}
	w.entry(a, out)
	if f.live.pending(dirent{parent, name}) {
		out.SetEntryTimeout(0)
	}
	return nil
}

func (f *filesystem) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if e, ok := f.live.asks(in); ok {
		return f.helperLookup(e, in, name, out)
	}
	w := f.watch()
	err := f.lookup(in, vfs.Ino(in.NodeId), name, out)
	if errors.Is(err, os.ErrNotExist) {
		// Inode 0 says that there is no such name, for as long as this holds.
		entry, _ := w.validity(vfs.Attr{Ino: vfs.Ino(in.NodeId)})
		if f.live.pending(dirent{vfs.Ino(in.NodeId), name}) {
			entry = 0
		}
		*out = fuse.EntryOut{}
		out.SetEntryTimeout(entry)
		return fuse.OK
	}
	return f.status("lookup", err)
}

// made answers a request that made a name.
func (f *filesystem) made(op string, w watch, h *fuse.InHeader, name string, a vfs.Attr, err error, out *fuse.EntryOut) fuse.Status {
	if err != nil {
		return f.status(op, err)
	}
	at := dirent{vfs.Ino(h.NodeId), name}
	w.entry(a, out)
	if f.live.pending(at) {
		out.SetEntryTimeout(0)
	}
	f.live.did(at, isThere)
	return fuse.OK
}

func (f *filesystem) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if e, ok := f.live.asks(&in.InHeader); ok {
		return f.helperMade(e, &in.InHeader, name, out)
	}
	w := f.watch()
	a, err := f.vfs.Mkdir(caller(&in.InHeader), vfs.Ino(in.NodeId), name, in.Mode)
	return f.made("mkdir", w, &in.InHeader, name, a, err, out)
}

// Mknod makes regular files, pipes and sockets.
func (f *filesystem) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if kind := in.Mode & syscall.S_IFMT; kind != syscall.S_IFREG && kind != 0 {
		w := f.watch()
		a, err := f.vfs.Mknod(caller(&in.InHeader), vfs.Ino(in.NodeId), name, in.Mode)
		return f.made("mknod", w, &in.InHeader, name, a, err, out)
	}
	w := f.watch()
	c := caller(&in.InHeader)
	a, h, err := f.vfs.Create(c, vfs.Ino(in.NodeId), name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, in.Mode)
	status := f.made("mknod", w, &in.InHeader, name, a, err, out)
	if err == nil {
		if err := h.Release(c); err != nil {
			f.log.Error("request failed", "op", "mknod", "err", err)
		}
	}
	return status
}

func (f *filesystem) Symlink(_ <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	if e, ok := f.live.asks(in); ok {
		return f.helperMade(e, in, name, out)
	}
	w := f.watch()
	a, err := f.vfs.Symlink(caller(in), vfs.Ino(in.NodeId), name, target)
	return f.made("symlink", w, in, name, a, err, out)
}

func (f *filesystem) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	w := f.watch()
	a, err := f.vfs.Link(caller(&in.InHeader), vfs.Ino(in.Oldnodeid), vfs.Ino(in.NodeId), name)
	return f.made("link", w, &in.InHeader, name, a, err, out)
}

func (f *filesystem) Readlink(_ <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	target, err := f.vfs.Readlink(caller(in), vfs.Ino(in.NodeId))
	return []byte(target), f.status("readlink", err)
}

func (f *filesystem) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if e, ok := f.live.asks(in); ok {
		return f.helperGone(e, in, name)
	}
	err := f.vfs.Unlink(caller(in), vfs.Ino(in.NodeId), name)
	if err == nil {
		f.live.did(dirent{vfs.Ino(in.NodeId), name}, isGone)
	}
	return f.status("unlink", err)
}

func (f *filesystem) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if e, ok := f.live.asks(in); ok {
		return f.helperGone(e, in, name)
	}
	err := f.vfs.Rmdir(caller(in), vfs.Ino(in.NodeId), name)
	if err == nil {
		f.live.did(dirent{vfs.Ino(in.NodeId), name}, isGone)
	}
	return f.status("rmdir", err)
}

func (f *filesystem) Rename(_ <-chan struct{}, in *fuse.RenameIn, name, newName string) fuse.Status {
	if e, ok := f.live.asks(&in.InHeader); ok {
		return f.helperRenamed(e, in, name, newName)
	}
	err := f.vfs.Rename(caller(&in.InHeader), vfs.Ino(in.NodeId), name, vfs.Ino(in.Newdir), newName, in.Flags)
	if err == nil {
		left := isGone
		if in.Flags&vfs.RenameExchange != 0 {
			left = isThere
		}
		f.live.did(dirent{vfs.Ino(in.NodeId), name}, left)
		f.live.did(dirent{vfs.Ino(in.Newdir), newName}, isThere)
	}
	return f.status("rename", err)
}
