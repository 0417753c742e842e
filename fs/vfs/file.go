package vfs

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// Create makes a file and opens it; without O_EXCL an existing one is opened.
func (f *FS) Create(c Caller, parent Ino, name string, flags, mode uint32) (Attr, *Handle, error) {
	parent, name = f.alias(parent, name)
	dir, err := f.parentFor(parent, name)
	if err != nil {
		return Attr{}, nil, err
	}
	who := f.who(c)
	v := dir.vol
	v.mu.Lock()
	in, err := v.child(dir, name)
	switch {
	case err == nil && flags&syscall.O_EXCL != 0:
		v.mu.Unlock()
		return Attr{}, nil, syscall.EEXIST
	case err == nil:
		v.mu.Unlock()
		h, err := f.Open(c, in.ino, flags)
		if err != nil {
			return Attr{}, nil, err
		}
		a, err := in.attr(who, h)
		return a, h, err
	case !errors.Is(err, os.ErrNotExist):
		v.mu.Unlock()
		return Attr{}, nil, err
	}
	in, h, err := v.createFile(who(), dir, name, flags, mode)
	v.mu.Unlock()
	if err != nil {
		return Attr{}, nil, err
	}
	in.mu.Lock()
	in.lookedAt(h.opener)
	in.mu.Unlock()
	a, err := in.attr(who, h)
	return a, h, err
}

func (v *volume) createFile(who proc, dir *inode, name string, flags, mode uint32) (*inode, *Handle, error) {
	if dir.state == stateOrphan {
		return nil, nil, syscall.ENOENT
	}
	if dir.state == stateScratch || scratchName(name, false) || v.freeHold(dir.node, name) == nil && v.ignores(dir, name, false) {
		return v.scratchCreate(who, dir, name, flags, mode)
	}
	in := v.fresh(mode&0o111 != 0)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.mode = kept(fileMode(in.exec), mode)
	in.wc.who = who
	if h := v.freeHold(dir.node, name); h != nil {
		if err := v.take(in, h); err != nil {
			return nil, nil, err
		}
	}
	v.place(in, dir.node, name)
	return in, in.openLocked(who, flags), nil
}

// openLocked makes a handle; in.mu is held.
func (in *inode) openLocked(who proc, flags uint32) *Handle {
	h := &Handle{in: in, flags: flags, opener: who}
	if in.handles == nil {
		in.handles = map[*Handle]bool{}
	}
	in.handles[h] = true
	return h
}

// Open opens a file. Opening it for reading is being shown it: the kernel may
// answer the reads from what it has cached.
func (f *FS) Open(c Caller, ino Ino, flags uint32) (*Handle, error) {
	in, err := f.inode(ino)
	if err != nil {
		return nil, err
	}
	switch {
	case in.kind == space.Dir:
		return nil, syscall.EISDIR
	case in.kind == space.Symlink:
		return nil, syscall.ELOOP
	case in.virtual != nil:
		return in.openVirtual(f.procs.of(c.PID), flags)
	}
	h := &Handle{in: in, flags: flags, opener: f.procs.of(c.PID)}
	v := in.vol
	if h.writes() || flags&syscall.O_TRUNC != 0 {
		if v.tree.readOnly() {
			return nil, syscall.EROFS
		}
	}
	v.mu.Lock()
	if flags&syscall.O_TRUNC != 0 {
		if err := v.publishStale(in, h.opener); err != nil {
			v.mu.Unlock()
			return nil, err
		}
	}
	scratch, path := in.state == stateScratch, ""
	if scratch {
		path = in.osPath()
	}
	v.mu.Unlock()
	if scratch {
		const pass = syscall.O_ACCMODE | syscall.O_APPEND | syscall.O_TRUNC
		if h.os, err = os.OpenFile(path, int(flags&pass), 0); err != nil {
			return nil, err
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := h.beginLocked(); err != nil {
		return nil, err
	}
	if in.handles == nil {
		in.handles = map[*Handle]bool{}
	}
	in.handles[h] = true
	in.lookedAt(h.opener)
	return h, nil
}

// beginLocked does what opening means for the content; in.mu is held.
func (h *Handle) beginLocked() error {
	in := h.in
	if in.state == stateScratch {
		return nil
	}
	if in.state == stateShared {
		info, err := in.vol.tree.stat(in.node)
		if err != nil {
			return err
		}
		h.direct = !in.cacheable(info.Version) || in.fs.bases.known(in.ino) && in.fs.bases.differ(in.ino, info.Version)
		if h.reads() && h.flags&syscall.O_TRUNC == 0 && h.opener != (proc{}) {
			c, err := in.loadLocked()
			if err != nil {
				return err
			}
			w := in.wc
			writing := w != nil && w.dirty // it reads what is being written, not c
			if !writing || w.who != h.opener {
				in.fs.bases.show(in.ino, h.opener, c.version(), false)
			}
			if !writing {
				h.content, h.read = c, in.fs.now()
			} else if c.snap != nil {
				c.snap.Close()
			}
		}
	}
	if in.state == stateFresh && h.reads() && h.flags&syscall.O_TRUNC == 0 {
		in.showFresh(h.opener)
	}
	if h.flags&syscall.O_TRUNC != 0 {
		w, err := in.startCopy(h.opener, truncate)
		if err != nil {
			return err
		}
		if in.state != stateShared || w.size > 0 || in.sizeLocked() > 0 {
			if err := w.Truncate(0); err != nil {
				return err
			}
			in.changed(w)
			h.cut = true
		}
	}
	if h.writes() && in.state == stateFresh {
		in.due = time.Time{} // held back until a second after the last close
	}
	return nil
}

// sizeLocked is the size of a shared file; in.mu is held.
func (in *inode) sizeLocked() int64 {
	info, err := in.vol.tree.stat(in.node)
	if err != nil {
		return 0
	}
	return info.Size
}

// Unlink removes a name that is not a folder's.
func (f *FS) Unlink(_ Caller, parent Ino, name string) error {
	parent, name = f.alias(parent, name)
	dir, err := f.parentFor(parent, name)
	if err != nil {
		return err
	}
	v := dir.vol
	v.mu.Lock()
	defer v.mu.Unlock()
	in, err := v.child(dir, name)
	if err != nil {
		return err
	}
	if in.kind == space.Dir {
		return syscall.EISDIR
	}
	return v.unlink(in, dir, name)
}

// unlink takes a file or a link away from its name; v.mu is held.
func (v *volume) unlink(in, dir *inode, name string) error {
	switch {
	case in.state == stateScratch:
		path, err := v.scratchPath(dir, name)
		if err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		v.unnamed(in, link{dir, name})
		v.listed(dir)
		return nil
	case in.state == stateFresh:
		return v.dropFresh(in)
	case in.kind == space.Symlink:
		if err := v.tree.remove(in.node); err != nil {
			return err
		}
		v.touch(dir.node)
		v.orphan(in)
		return nil
	}
	if h := v.holds[in.node]; h != nil { // it was moved here a moment ago
		if err := v.settle(h); err != nil {
			return err
		}
	}
	in.mu.Lock()
	in.pinLocked()
	in.mu.Unlock()
	if err := v.holdNode(unlinked, in, dir.node, name, heldRecord{Kind: heldRemove}); err != nil {
		return err
	}
	v.orphan(in)
	return nil
}

// dropFresh takes a fresh file's name away; v.mu is held.
func (v *volume) dropFresh(in *inode) error {
	in.mu.Lock()
	err := v.giveBack(in)
	if err == nil {
		err = v.unlog(in)
	}
	in.due = time.Time{}
	in.mu.Unlock()
	if err != nil {
		return err
	}
	v.unplace(in)
	v.orphan(in)
	v.reveals(in.parent, in.name)
	return nil
}
