package vfs

import "github.com/echofs/echofs/crdt/space"

// Forget says that the kernel knows a number no more. What was kept for it goes,
// unless this package still has something to do with it; what a node or a file on
// the disk stands for is found again by name, with the same number.
//
// A reply on its way to the kernel may carry the number still. The kernel then
// gets ESTALE for it, on which it asks for the name again.
func (f *FS) Forget(ino Ino) {
	in, err := f.inode(ino)
	if err != nil || in.vol == nil {
		return
	}
	v := in.vol
	f.mu.Lock()
	late := append(v.late, in)
	v.late = nil
	f.mu.Unlock()
	if !v.mu.TryLock() { // the kernel must not wait here; the next one does it
		f.mu.Lock()
		v.late = append(v.late, late...)
		f.mu.Unlock()
		return
	}
	defer v.mu.Unlock()
	for _, in := range late {
		in.mu.Lock()
		in.forgot = true
		done := in.doneLocked()
		in.mu.Unlock()
		if done {
			v.dropLocked(in)
		}
	}
}

// doneLocked reports whether nobody will ask for an inode again, or could as well
// ask for another one made from the same node or file; in.mu is held.
func (in *inode) doneLocked() bool {
	if !in.forgot || len(in.handles) > 0 || in == in.vol.root {
		return false
	}
	switch in.state {
	case stateOrphan, stateVirtual:
		return true
	case stateScratch:
		return in.gone || in.kind != space.Dir // what is in a folder knows it
	case stateShared:
		return in.wc == nil && in.kind != space.Dir
	}
	return false
}

// dropLocked forgets an inode that is done; v.mu is held. What processes know of
// a node stays under its number.
func (v *volume) dropLocked(in *inode) {
	if in.state == stateShared && v.holds[in.node] != nil {
		return
	}
	f := v.fs
	f.mu.Lock()
	if f.inodes[in.ino] == in {
		delete(f.inodes, in.ino)
	}
	f.mu.Unlock()
	switch in.state {
	case stateShared:
		if v.byNode[in.node] == in {
			delete(v.byNode, in.node)
			if ino := nodeIno(v, in.node); ino != in.ino {
				f.bases.move(in.ino, ino)
			}
		}
	case stateScratch:
		if v.byOS[in.osIno] == in {
			delete(v.byOS, in.osIno)
		}
	default:
		f.bases.forget(in.ino)
	}
}

// drop is dropLocked for who holds no lock.
func (f *FS) drop(in *inode) {
	in.vol.mu.Lock()
	defer in.vol.mu.Unlock()
	in.mu.Lock()
	done := in.doneLocked() // it may have been told again meanwhile
	in.mu.Unlock()
	if done {
		in.vol.dropLocked(in)
	}
}
