package vfs

import (
	"slices"

	"github.com/echofs/echofs/crdt/space"
)

// events is told by the space of changes to its tree, with no lock held. What
// the kernel does not know yet goes to the queue of invalidations.
func (v *volume) events(events []space.Event) {
	var out []Invalidation
	for _, e := range events {
		if e.Op == space.Access {
			out = append(out, v.restricted()...)
			continue
		}
		if e, is := v.tree.news(e); is {
			out = append(out, v.aliased(v.event(e))...)
		}
	}
	v.fs.queue.add(out...)
}

func (v *volume) event(e space.Event) []Invalidation {
	v.mu.Lock()
	defer v.mu.Unlock()
	in := v.byNode[e.ID]
	base := Invalidation{Remote: e.Remote, Ino: nodeIno(v, e.ID), Dir: e.Kind == space.Dir, Kind: kindMode(e.Kind)}
	if in != nil {
		base.Ino, base.Dir, base.Kind = in.ino, in.kind == space.Dir, kindMode(in.kind)
	}
	at := func(dir space.NodeID, name string) Invalidation {
		i := base
		i.Parent, i.Name = nodeIno(v, dir), name
		if p := v.byNode[dir]; p != nil {
			i.Parent = p.ino
			i.At = v.where(dir, name)
		}
		v.touch(dir)
		if base.Dir {
			v.recount(dir)
		}
		return i
	}
	switch e.Op {
	case space.Created:
		i := at(e.Parent, e.Name)
		i.Entry = true
		if !v.shows(e.ID, e.Parent, e.Name) {
			i.At = nil
		}
		return []Invalidation{i}
	case space.Removed:
		dir, name, held := v.heldPlace(e.ID)
		if !held {
			dir, name = e.Parent, e.Name
		}
		i := at(dir, name)
		i.Delete = true
		if !held && !v.showed(e.ID, dir, name) {
			i.At = nil
		}
		if in == nil {
			i.Ino = 0
		} else {
			v.removed(in, e)
		}
		return []Invalidation{i}
	case space.Moved:
		from, to := at(e.OldParent, e.OldName), at(e.Parent, e.Name)
		if in == nil {
			from.Ino = 0
		}
		out := v.movedOver(e, from, to)
		switch { // where a link leads that moved, perhaps nobody may know any more
		case base.Dir:
			out = append(out, v.linksIn(e.ID)...)
		case in != nil && in.kind == space.Symlink:
			out = append(out, Invalidation{Content: true, Ino: in.ino})
		}
		return out
	case space.Changed:
		i := base
		if dir, name, ok := v.placeOf(e.ID); ok {
			i = at(dir, name)
		}
		i.Content, i.Attr = true, true
		v.fs.bases.announced(i.Ino)
		if in != nil {
			in.offer()
		}
		return []Invalidation{i}
	default:
		i := base
		if dir, name, ok := v.placeOf(e.ID); ok {
			i = at(dir, name)
		}
		if info, err := v.tree.stat(e.ID); err == nil && in != nil {
			v.fs.bases.retimed(in.ino, info.Version, info.Mtime)
		}
		i.Attr = true
		return []Invalidation{i}
	}
}

// where is the way to a name, for whoever walks through the kernel: a folder
// that is gone is where it was. It is nil if there is no way; v.mu is held.
func (v *volume) where(dir space.NodeID, name string) *Place {
	var folder []Step
	for dir != space.Root {
		var step Step
		p := v.byNode[dir]
		if p != nil {
			step.Ino = p.ino
		}
		info, err := v.tree.stat(dir)
		switch {
		case len(folder) == maxSteps:
			return nil
		case err == nil:
			step.Name, dir = info.Name, info.Parent
		case p != nil:
			step.Name, dir = p.name, p.parent
		default:
			return nil
		}
		folder = append(folder, step)
	}
	folder = append(folder, Step{v.name, v.root.ino})
	slices.Reverse(folder)
	return &Place{folder, name}
}

// maxSteps is how deep a folder may be for its watchers to be told. Paths that
// programs can use are not that deep.
const maxSteps = 1024

// removed lets go of a node that a peer removed; v.mu is held. If it is open
// for writing here, the next commit revives it under the same name.
func (v *volume) removed(in *inode, e space.Event) {
	if h := v.holds[in.node]; h != nil && h.in == in {
		v.unplace(in)
		v.unhold(h)
		if err := v.log.append(heldRecord{Kind: heldDone, Key: h.key}); err != nil {
			v.fs.log.Warn("noting a removal", "space", v.name, "err", err)
		}
	}
	v.gone(in)
	in.mu.Lock()
	in.parent, in.name = e.Parent, e.Name
	in.mu.Unlock()
}

// lost is gone for who holds no lock.
func (v *volume) lost(in *inode) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.gone(in)
}

// gone makes an orphan of an inode whose node is no more; v.mu is held.
func (v *volume) gone(in *inode) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if v.byNode[in.node] == in {
		delete(v.byNode, in.node)
	}
	if in.state != stateShared {
		return
	}
	in.state = stateOrphan
	in.inspace = in.kind == space.File
	for h := range in.handles {
		if h.content != nil {
			in.pinned = h.content
		}
	}
}

// offer notes that processes which have the file open may have been shown its
// new version: a read that the kernel answers from its cache is not seen here.
func (in *inode) offer() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.state != stateShared || in.kind != space.File {
		return
	}
	in.renewed()
	var c *content
	for h := range in.handles {
		if !h.reads() || h.direct {
			continue
		}
		if c == nil {
			var err error
			if c, err = in.loadLocked(); err != nil {
				return
			}
			if c.snap != nil {
				c.snap.Close()
			}
		}
		in.fs.bases.show(in.ino, h.opener, c.version(), true)
	}
}
