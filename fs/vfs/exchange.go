package vfs

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/echofs/echofs/crdt/space"
)

// exchange swaps two names. If one file is not published, the other keeps its
// identity and gets its content, as in a save; two documents swap places.
func (r *renaming) exchange() error {
	v := r.v
	a, b := r.src, r.dst
	for _, h := range []*hold{v.holds[a.node], v.holds[b.node]} {
		if h != nil && (h.in == a || h.in == b) {
			if err := v.settle(h); err != nil {
				return err
			}
		}
	}
	if a.state == stateScratch || b.state == stateScratch {
		return r.exchangeScratch()
	}
	if a.kind != space.File || b.kind != space.File { // they change places as they are
		for _, in := range []*inode{a, b} {
			if in.state == stateFresh {
				if err := v.publishNow(in); err != nil {
					return err
				}
			}
		}
		if err := r.leadsInside(a, r.to, b, r.from); err != nil {
			return err
		}
	}
	switch {
	case a.state == stateShared && b.state == stateShared:
		if err := v.tree.exchange(a.node, b.node); err != nil {
			return err
		}
		v.touch(r.from.node)
		v.touch(r.to.node)
		v.recount(r.from.node)
		v.recount(r.to.node)
		v.fs.queue.add(v.linksIn(a.node)...)
		v.fs.queue.add(v.linksIn(b.node)...)
		return nil
	case a.kind != space.File || b.kind != space.File:
		return syscall.EINVAL
	case a.state == stateFresh && b.state == stateFresh:
		a.mu.Lock()
		b.mu.Lock()
		defer a.mu.Unlock()
		defer b.mu.Unlock()
		v.unplace(a)
		v.unplace(b)
		v.place(a, r.to.node, r.name2)
		v.place(b, r.from.node, r.name)
		return errors.Join(v.logFresh(a), v.logFresh(b))
	case a.state == stateShared: // the fresh one is always the source
		r.from, r.to, r.name, r.name2, r.src, r.dst = r.to, r.from, r.name2, r.name, b, a
	}
	return r.exchangeFresh(r.src, r.dst)
}

// exchangeFresh swaps fresh with the document doc, whose old content stays under
// the name of the fresh file.
func (r *renaming) exchangeFresh(fresh, doc *inode) error {
	v := r.v
	doc.mu.Lock()
	err := doc.commitLocked()
	var c *content
	if err == nil {
		c, err = doc.loadLocked()
	}
	left := &workingCopy{dir: v.workDir()}
	if err == nil {
		err = left.fill(contentReader(c))
		left.mtime = c.mtime
	}
	node := doc.node
	exec := false
	if info, serr := v.tree.stat(node); serr == nil {
		exec = info.Exec
	}
	doc.mu.Unlock()
	if err != nil {
		return err
	}
	if err := r.replace(); err != nil {
		left.close()
		return err
	}
	doc.mu.Lock()
	defer doc.mu.Unlock()
	doc.state, doc.wc, doc.exec, doc.pinned, doc.key = stateFresh, left, exec, nil, v.log.key()
	v.place(doc, r.from.node, r.name)
	if err := v.logFresh(doc); err != nil {
		return err
	}
	v.enqueueFresh(doc)
	return nil
}

// leadsInside refuses to exchange a symbolic link into a folder from where it
// would lead out of the space. A goes to the folder to, b to the folder from.
func (r *renaming) leadsInside(a, to, b, from *inode) error {
	for _, m := range []struct{ in, dir *inode }{{a, to}, {b, from}} {
		if m.in.kind != space.Symlink {
			continue
		}
		info, err := r.v.tree.stat(m.in.node)
		if err != nil {
			return err
		}
		if !travels(info.Target, r.v.depth(m.dir.node)) {
			return syscall.EPERM
		}
	}
	return nil
}

// publishNow gives a fresh file to the space before its time; v.mu is held.
func (v *volume) publishNow(in *inode) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.hold != nil {
		if err := v.commitFresh(in, true); err != nil || in.state != stateFresh {
			return err
		}
	}
	if err := v.publishFresh(in); err != nil {
		return err
	}
	return v.unlog(in)
}

// exchangeScratch swaps a file of this device with another one, or with a
// document: that gets what the file holds as its next version, as in a save, and
// what it held goes to this device.
func (r *renaming) exchangeScratch() error {
	v, a, b := r.v, r.src, r.dst
	if a.state != stateScratch { // the one of this device is the source
		r.from, r.to, r.name, r.name2, r.src, r.dst = r.to, r.from, r.name2, r.name, b, a
		a, b = r.src, r.dst
	}
	path, err := v.scratchPath(r.from, r.name)
	if err != nil {
		return err
	}
	if b.state == stateScratch {
		other, err := v.scratchPath(r.to, r.name2)
		if err != nil {
			return err
		}
		if err := unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE); err != nil {
			return err
		}
		a.named(link{r.to, r.name2}, true)
		v.unnamed(a, link{r.from, r.name})
		b.named(link{r.from, r.name}, true)
		v.unnamed(b, link{r.to, r.name2})
		v.listed(r.from)
		v.listed(r.to)
		return nil
	}
	if a.kind != space.File || b.kind != space.File || a.special {
		return syscall.EINVAL
	}
	b.mu.Lock()
	left := path + ".exchanged"
	err = v.copyOut(b, left)
	b.mu.Unlock()
	if err == nil {
		err = r.scratchToShared()
	}
	if err == nil {
		err = os.Rename(left, path)
	}
	if err != nil {
		os.Remove(left)
		return err
	}
	back := &renaming{v: v, src: b, to: r.from, name2: r.name}
	return back.becomeScratch(path)
}
