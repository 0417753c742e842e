package vfs

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// Rename moves a name, in one space, over whatever has the new name.
//
// What is renamed decides what it means. A fresh or scratch file over a
// document is the document's next version. A document to a scratch name is a
// backup, and held, because its next version comes under the old name. A
// document to a shared name is held too, in case that was a backup as well.
func (f *FS) Rename(c Caller, parent Ino, name string, parent2 Ino, name2 string, flags uint32) error {
	parent, name = f.alias(parent, name)
	parent2, name2 = f.alias(parent2, name2)
	from, err := f.parentFor(parent, name)
	if err != nil {
		return err
	}
	to, err := f.parentFor(parent2, name2)
	if err != nil {
		return err
	}
	if from.vol != to.vol {
		return syscall.EXDEV
	}
	if flags&^(RenameNoReplace|RenameExchange) != 0 || flags == RenameNoReplace|RenameExchange {
		return syscall.EINVAL
	}
	r := &renaming{v: from.vol, who: f.procs.of(c.PID), from: from, to: to, name: name, name2: name2}
	r.v.importBefore(from, name, to, name2)
	r.v.mu.Lock()
	defer r.v.mu.Unlock()
	if r.src, err = r.v.child(from, name); err != nil {
		return err
	}
	r.dst, err = r.v.child(to, name2)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	switch {
	case to.state == stateOrphan:
		return syscall.ENOENT
	case flags&RenameExchange != 0 && r.dst == nil:
		return syscall.ENOENT
	case flags&RenameNoReplace != 0 && r.dst != nil:
		return syscall.EEXIST
	case r.src == r.dst:
		return nil
	case flags&RenameExchange != 0:
		return r.exchange()
	}
	return r.run()
}

// A renaming is one call of Rename. Its volume's mu is held.
type renaming struct {
	v           *volume
	who         proc
	from, to    *inode
	name, name2 string
	src, dst    *inode // dst may be nil
}

func (r *renaming) run() error {
	folders := r.src.kind == space.Dir
	if r.dst != nil {
		if !folders && r.dst.kind == space.Dir {
			return syscall.EISDIR
		}
		if folders && r.dst.kind != space.Dir {
			return syscall.ENOTDIR
		}
	}
	if r.src.pipe() || r.dst != nil && r.dst.pipe() {
		return r.pipe()
	}
	local := r.to.state == stateScratch || scratchName(r.name2, folders) || r.ignored(folders)
	switch {
	case r.src.state == stateScratch && local:
		return r.scratchToScratch()
	case r.src.state == stateScratch:
		return r.scratchToShared()
	case local:
		return r.toScratch()
	case folders:
		return r.folder()
	case r.src.kind == space.Symlink:
		return r.symlink()
	case r.src.state == stateFresh:
		return r.fresh()
	}
	return r.document()
}

// makeWay removes what has the new name, when it is not to be edited, and
// publishes what left that name: it is free in the space afterwards.
func (r *renaming) makeWay() error {
	if r.dst != nil {
		switch {
		case r.dst.state == stateFresh:
			if err := r.v.dropFresh(r.dst); err != nil {
				return err
			}
		case r.dst.kind == space.Symlink:
			if err := r.v.tree.remove(r.dst.node); err != nil {
				return err
			}
			r.v.orphan(r.dst)
		default:
			if h := r.v.holds[r.dst.node]; h != nil {
				if err := r.v.settle(h); err != nil {
					return err
				}
			}
		}
	}
	return r.v.settleName(r.to.node, r.name2)
}

// document renames a document to a shared name.
func (r *renaming) document() error {
	v, in := r.v, r.src
	if h := v.holds[in.node]; h != nil { // renamed once more
		if err := v.settle(h); err != nil {
			return err
		}
	}
	if err := r.makeWay(); err != nil {
		return err
	}
	if r.dst != nil && r.dst.state == stateShared {
		r.dst.mu.Lock()
		r.dst.pinLocked()
		r.dst.mu.Unlock()
		if err := v.tree.move(in.node, r.to.node, r.name2, true); err != nil {
			return err
		}
		v.orphan(r.dst)
		v.touch(r.from.node)
		v.touch(r.to.node)
		return nil
	}
	rec := heldRecord{Kind: heldMove, Parent: r.to.node, Name: r.name2}
	if err := v.holdNode(moved, in, r.from.node, r.name, rec); err != nil {
		return err
	}
	v.place(in, r.to.node, r.name2)
	return nil
}

// fresh renames a file that the space does not have to a shared name.
func (r *renaming) fresh() error {
	v, in := r.v, r.src
	if r.dst != nil {
		if err := v.publishStale(r.dst, r.who); err != nil {
			return err
		}
	}
	if r.dst != nil && r.dst.state == stateShared && r.dst.kind == space.File {
		if err := r.replace(); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		v.gone(r.dst) // a peer removed it a moment ago
		r.dst = nil
	}
	in.mu.Lock()
	err := v.giveBack(in)
	in.mu.Unlock()
	if err != nil {
		return err
	}
	if r.dst != nil {
		if r.dst.state == stateFresh {
			v.fs.bases.move(r.dst.ino, in.ino) // it is the next version
			err = v.dropFresh(r.dst)
		} else {
			err = r.makeWay()
		}
		if err != nil {
			return err
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	v.unplace(in)
	v.place(in, r.to.node, r.name2)
	v.reveals(r.from.node, r.name)
	if h := v.freeHold(r.to.node, r.name2); h != nil {
		if err := v.take(in, h); err != nil {
			return err
		}
		if !in.writable() {
			return r.decide()
		}
	}
	if !in.inLog {
		return nil
	}
	return v.log.append(heldRecord{
		Kind: heldPlace, Key: in.key, Parent: in.parent, Name: in.name, Exec: in.exec, Mtime: in.wc.mtime.UnixNano(),
	})
}

// decide commits a fresh file that is complete and took a name that is held; the
// source's mu is held.
func (r *renaming) decide() error {
	in := r.src
	in.logged = false // under another name
	if err := r.v.commitFresh(in, true); err != nil {
		return err
	}
	if in.state == stateShared {
		in.wc.close()
		in.wc = nil
	}
	return nil
}

// replace makes a fresh file the next version of the document that has the new
// name. If the space does not take it, everything is as before.
func (r *renaming) replace() error {
	v, in, doc := r.v, r.src, r.dst
	if h := v.holds[doc.node]; h != nil {
		if err := v.settle(h); err != nil {
			return err
		}
	}
	doc.mu.Lock()
	err := doc.commitLocked() // what somebody is writing to it is the version before
	doc.pinLocked()
	var base *version
	if c, lerr := doc.loadLocked(); lerr == nil && err == nil {
		base = c.version()
		if c.snap != nil {
			c.snap.Close()
		}
	}
	doc.mu.Unlock()
	if err != nil {
		return err
	}

	in.mu.Lock()
	err = v.giveBack(in)
	w := in.wc
	text, isText := w.text()
	for _, p := range []proc{r.who, w.who} {
		if known := v.fs.bases.nearest(doc.ino, p, text, !isText); known != nil {
			base, w.who = known, p
			break
		}
	}
	old, node := in.node, doc.node
	if err == nil {
		in.node, w.base, w.exact, w.dirty = node, base, true, true
		in.state = stateShared
		v.fs.bases.move(doc.ino, in.ino)
		err = in.commitLocked()
		if err != nil {
			in.state, in.node = stateFresh, old
			v.fs.bases.move(in.ino, doc.ino)
		}
	}
	if err != nil {
		in.mu.Unlock()
		return err
	}
	v.unplace(in)
	in.due = time.Time{}
	if !in.writable() {
		in.wc.close()
		in.wc = nil
	}
	v.keepExec(in)
	in.giveXattrs(in.chmod)
	err = v.unlog(in)
	in.mu.Unlock()

	v.orphan(doc)
	v.byNode[node] = in
	v.reveals(r.from.node, r.name)
	v.touch(r.to.node)
	return err
}

// symlink renames a shared symbolic link.
func (r *renaming) symlink() error {
	v := r.v
	info, err := v.tree.stat(r.src.node)
	if err != nil {
		return err
	}
	if !travels(info.Target, v.depth(r.to.node)) {
		return syscall.EPERM
	}
	replace := r.dst != nil && r.dst.state == stateShared
	if err := r.makeWay(); err != nil {
		return err
	}
	replace = replace && r.dst.kind == space.File
	if err := v.tree.move(r.src.node, r.to.node, r.name2, replace); err != nil {
		return err
	}
	if replace {
		v.orphan(r.dst)
	}
	v.touch(r.from.node)
	v.touch(r.to.node)
	return nil
}

// folder renames a shared folder, over an empty one if there is one.
func (r *renaming) folder() error {
	v := r.v
	for in := r.to.node; in != space.Root; { // into itself?
		if in == r.src.node {
			return syscall.EINVAL
		}
		info, err := v.tree.stat(in)
		if err != nil {
			return err
		}
		in = info.Parent
	}
	if r.dst != nil {
		if r.dst.state == stateScratch {
			return syscall.EXDEV
		}
		if err := v.clear(r.dst); err != nil {
			return err
		}
	} else if err := v.settleName(r.to.node, r.name2); err != nil {
		return err
	}
	if err := v.tree.move(r.src.node, r.to.node, r.name2, r.dst != nil); err != nil {
		return err
	}
	if r.dst != nil {
		v.orphan(r.dst)
	}
	v.recount(r.from.node)
	v.recount(r.to.node)
	v.touch(r.from.node)
	v.touch(r.to.node)
	v.fs.queue.add(v.linksIn(r.src.node)...)
	return nil
}
