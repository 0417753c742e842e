package vfs

import (
	"os"
	"syscall"

	"github.com/echofs/echofs/crdt/space"
)

// Link gives a file one more name. A file of a shared tree has one: what two
// devices would do to two names of one file at the same time is nothing that
// anybody could explain. So it says EPERM, as every file system does that has no
// hard links; programs copy then, or rename.
//
// Files of this device can have several names, a file that has none (see
// Unnamed) gets one, and a document gets a copy under the name of a backup:
// perl -i.bak links the document to one before it replaces it.
func (f *FS) Link(c Caller, ino, parent Ino, name string) (Attr, error) {
	in, err := f.inode(ino)
	if err != nil {
		return Attr{}, err
	}
	dir, err := f.parentFor(parent, name)
	if err != nil {
		return Attr{}, err
	}
	v := dir.vol
	if in.vol != v || in.virtual != nil {
		return Attr{}, syscall.EXDEV
	}
	v.mu.Lock()
	out, err := v.link(in, dir, name)
	v.mu.Unlock()
	if err != nil {
		return Attr{}, err
	}
	return out.attr(f.who(c), nil)
}

func (v *volume) link(in, dir *inode, name string) (*inode, error) {
	if err := v.free(dir, name); err != nil {
		return nil, err
	}
	local := dir.state == stateScratch || scratchName(name, false)
	switch {
	case in.kind != space.File:
		return nil, syscall.EPERM
	case in.state == stateOrphan:
		if !in.unnamed {
			return nil, syscall.ENOENT
		}
		if !local && !v.ignores(dir, name, false) {
			return in, v.nameIt(in, dir, name)
		}
	case !local && !in.pipe():
		return nil, syscall.EPERM
	}
	path, err := v.scratchPath(dir, name)
	if err != nil {
		return nil, err
	}
	if in.state == stateScratch {
		if err := os.Link(in.osPath(), path); err != nil {
			return nil, err
		}
		in.named(link{dir, name}, true) // git's old name goes next
		v.listed(dir)
		return in, nil
	}
	in.mu.Lock()
	err = v.copyOut(in, path)
	in.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if in.state == stateOrphan {
		in.unnamed = false
		r := &renaming{v: v, src: in, to: dir, name2: name}
		return in, r.becomeScratch(path)
	}
	v.listed(dir)
	return v.scratchChild(dir, name)
}

// Unnamed makes a file without a name in a folder and opens it, as open does with
// O_TMPFILE. Link can give it one; else it goes with its last handle, and no peer
// hears of it.
func (f *FS) Unnamed(c Caller, parent Ino, flags, mode uint32) (Attr, *Handle, error) {
	dir, err := f.parentFor(parent, "unnamed")
	if err != nil {
		return Attr{}, nil, err
	}
	who := f.who(c)
	v := dir.vol
	v.mu.Lock()
	if dir.state == stateOrphan {
		v.mu.Unlock()
		return Attr{}, nil, syscall.ENOENT
	}
	in := v.fresh(mode&0o111 != 0)
	in.mu.Lock()
	in.state, in.unnamed = stateOrphan, true
	in.mode = kept(fileMode(in.exec), mode)
	in.wc.who = who()
	h := in.openLocked(in.wc.who, flags)
	in.mu.Unlock()
	v.mu.Unlock()
	a, err := in.attr(who, h)
	return a, h, err
}

// nameIt makes a fresh file of one without a name; v.mu is held.
func (v *volume) nameIt(in, dir *inode, name string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.wc == nil {
		return syscall.ENOENT
	}
	in.state, in.key, in.unnamed = stateFresh, v.log.key(), false
	v.place(in, dir.node, name)
	if h := v.freeHold(dir.node, name); h != nil {
		if err := v.take(in, h); err != nil {
			return err
		}
		if in.writable() {
			return nil // whose next version it is turns out when it is complete
		}
		return v.commitFresh(in, true)
	}
	if err := v.logFresh(in); err != nil {
		v.unplace(in)
		in.state, in.unnamed = stateOrphan, true
		return err
	}
	if in.writable() {
		v.rests(in)
	} else {
		v.enqueueFresh(in)
	}
	return nil
}
