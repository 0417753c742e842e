package vfs

// Trim gives memory back: what processes that have ended were shown. For a
// daemon with nothing to do; under work it happens by itself now and then.
func (f *FS) Trim() {
	f.bases.mu.Lock()
	defer f.bases.mu.Unlock()
	f.bases.sweep()
}

// sweep forgets what dead processes were shown; mu is held.
func (b *bases) sweep() {
	b.added = 0
	alive := map[proc]bool{}
	for at := b.lru.Back(); at != nil; {
		e := at.Value.(*base)
		at = at.Prev()
		live, asked := alive[e.who]
		if !asked {
			live = b.procs.alive(e.who)
			alive[e.who] = live
		}
		if !live {
			b.drop(e)
		}
	}
}
