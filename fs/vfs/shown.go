package vfs

import "github.com/echofs/echofs/crdt/space"

// What shows is not always what the space has: a fresh file hides what a peer
// made under its name, and a document that was removed or renamed here a moment
// ago has left a place where the space still has it. So what the kernel and
// programs that watch are told of the space is translated here.

// shows reports whether what the space has at a place shows there; v.mu is held.
func (v *volume) shows(id, dir space.NodeID, name string) bool {
	return v.holds[id] == nil && v.showed(id, dir, name)
}

// showed reports whether it did before it left that place: what is held since
// did everywhere but where it was when it was held.
func (v *volume) showed(id, dir space.NodeID, name string) bool {
	if h := v.holds[id]; h != nil && h.dir == dir && h.name == name {
		return false
	}
	over := v.overlay[dir][name]
	return over == nil || over == v.byNode[id]
}

// heldPlace is where a document shows that was renamed here a moment ago; v.mu
// is held.
func (v *volume) heldPlace(id space.NodeID) (dir space.NodeID, name string, ok bool) {
	h := v.holds[id]
	if h == nil || h.kind != moved || v.overlay[h.in.parent][h.in.name] != h.in {
		return dir, "", false
	}
	return h.in.parent, h.in.name, true
}

// placeOf is where a node shows, if it does; v.mu is held.
func (v *volume) placeOf(id space.NodeID) (dir space.NodeID, name string, ok bool) {
	if dir, name, ok = v.heldPlace(id); ok {
		return dir, name, true
	}
	info, err := v.tree.stat(id)
	if err != nil || !v.shows(id, info.Parent, info.Name) {
		return dir, "", false
	}
	return info.Parent, info.Name, true
}

// movedOver is what is told of a move in the space, of which perhaps one end
// does not show; v.mu is held.
func (v *volume) movedOver(e space.Event, from, to Invalidation) []Invalidation {
	from.Delete, from.Moved, to.Entry = true, true, true
	from.At = nil
	showed, shows := v.showed(e.ID, e.OldParent, e.OldName), v.shows(e.ID, e.Parent, e.Name)
	if showed && !shows {
		from.At = v.where(e.OldParent, e.OldName)
	}
	if to.At = nil; shows {
		to.At = v.where(e.Parent, e.Name)
	}
	if showed && shows {
		to.From = v.where(e.OldParent, e.OldName)
	}
	return []Invalidation{from, to}
}

// appears tells the kernel and programs that watch of what shows at a place,
// and may not have; v.mu is held.
func (v *volume) appears(dir space.NodeID, name string) {
	p := v.byNode[dir]
	if p == nil {
		return
	}
	i := Invalidation{Entry: true, Parent: p.ino, Name: name, At: v.where(dir, name)}
	if in, err := v.child(p, name); err == nil {
		i.Ino, i.Kind, i.Dir = in.ino, kindMode(in.kind), in.kind == space.Dir
	} else {
		i.Entry, i.Delete = false, true
	}
	v.touch(dir)
	v.fs.queue.add(v.aliased([]Invalidation{i})...)
}

// reveals tells them of what a name is that something of this device had; v.mu
// is held.
func (v *volume) reveals(dir space.NodeID, name string) {
	if info, err := v.tree.lookup(dir, name); err == nil && v.holds[info.ID] == nil {
		v.appears(dir, name)
	}
}

// stepsAside tells them of a file of this device that has to go by another name,
// because a peer was first; v.mu is held.
func (v *volume) stepsAside(in *inode, from, to spot) {
	p, q := v.byNode[from.dir], v.byNode[to.dir]
	if p == nil || q == nil {
		v.announce(from.dir, from.name)
		v.announce(to.dir, to.name)
		return
	}
	kind := kindMode(in.kind)
	v.fs.queue.add(
		Invalidation{Delete: true, Moved: true, Ino: in.ino, Parent: p.ino, Name: from.name, Kind: kind},
		Invalidation{Entry: true, Ino: in.ino, Parent: q.ino, Name: to.name, Kind: kind,
			At: v.where(to.dir, to.name), From: v.where(from.dir, from.name)},
	)
	v.reveals(from.dir, from.name)
}

// Where is the folder of what has a number, and the way to it, as it shows now.
// The place is nil if it has none, or is not in a space.
func (f *FS) Where(ino Ino) (Ino, *Place) {
	in, err := f.inode(ino)
	if err != nil || in.vol == nil || in.virtual != nil {
		return 0, nil
	}
	v := in.vol
	v.mu.Lock()
	defer v.mu.Unlock()
	dir, name, ok := in.parent, in.name, in.state == stateFresh
	if in.state == stateShared {
		dir, name, ok = v.placeOf(in.node)
	}
	if p := v.byNode[dir]; ok && p != nil {
		return p.ino, v.where(dir, name)
	}
	return 0, nil
}
