package vfs

// A save that writes a document anew and fails half-way, as on a full disk, is
// none: the version before stays. Whoever saves is told at the write, and again
// at the close. A write in the middle of a file that fails leaves what it did
// write, as on every disk.

// broken is why a copy must not be saved, if something is missing in it.
func (w *workingCopy) broken() error {
	if w.exact {
		return nil
	}
	return w.failed
}

// givenUp reports that the copy of a shared file is broken. When the last who
// could write to it has closed it, it goes.
func (in *inode) givenUp(final bool) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	w := in.wc
	if in.state != stateShared || w == nil || !w.dirty {
		return nil
	}
	err := w.broken()
	if err != nil && final && !in.writable() {
		w.close()
		in.wc = nil
		in.fs.queue.add(Invalidation{Content: true, Attr: true, Ino: in.ino})
	}
	return err
}
