package vfs

import (
	"errors"
	"syscall"

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
	switch {
	case a.state == stateShared && b.state == stateShared:
		if err := v.tree.exchange(a.node, b.node); err != nil {
			return err
		}
		v.touch(r.from.node)
		v.touch(r.to.node)
		v.recount(r.from.node)
		v.recount(r.to.node)
		return nil
	case a.kind != space.File || b.kind != space.File, a.state == stateScratch || b.state == stateScratch:
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
