package vfs

import (
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// Whoever reads a file in pieces, from its start to its end, reads one version,
// whatever arrives meanwhile.
//
// Of a descriptor that reads past the page cache every read is seen here, so it
// has a version of its own. The others share the kernel's pages of the file, and
// what they read from those is not seen: so one that was opened, or heard of, a
// moment ago counts as reading on, and all of them go to another version together.
// Descriptors that are opened meanwhile read past the page cache.
const (
	// readPause is how long a reader may take from one read to the next and still
	// get the version that it began with.
	readPause = 2 * time.Second

	// readAhead is more than the kernel reads before it is asked to.
	readAhead = 1 << 20

	// dropTime is longer than the kernel takes to drop pages when it is told to.
	dropTime = 100 * time.Millisecond

	// cacheAfter is how long a new version is read past the page cache by those
	// who open it: the kernel may not have heard of it.
	cacheAfter = time.Second

	// mergeTime is how long after a save, into which edits of others were merged,
	// programs that watch are told that the file is not what was saved. The one
	// that saved it must have asked for the time of its save by then.
	mergeTime = 500 * time.Millisecond
)

// pages is what the kernel may have cached of a shared file; the inode's mu
// guards it.
type pages struct {
	seen  string    // the version that this package last knew of
	since time.Time // when that came, if it did not come through the kernel
	old   time.Time // when an older one was last read into the page cache
	again bool      // an announcement is to be repeated
}

// renewed notes that a version came that the kernel does not know; in.mu is held.
func (in *inode) renewed() {
	info, err := in.vol.tree.stat(in.node)
	if err != nil {
		return
	}
	now := in.fs.now()
	in.pages.seen, in.pages.since = info.Version, now
	for h := range in.handles {
		if h.readsOn(now) && !h.direct { // and may not look again
			in.vol.announceAgain(in, readPause)
			break
		}
	}
}

// cacheable reports whether who opens the file now may read it through the page
// cache; in.mu is held.
func (in *inode) cacheable(id string) bool {
	now := in.fs.now()
	if p := &in.pages; p.seen != id {
		if p.seen != "" {
			p.since = now
		}
		p.seen = id
	}
	if now.Sub(in.pages.since) < cacheAfter || now.Sub(in.pages.old) < cacheAfter {
		return false
	}
	for h := range in.handles {
		if h.reads() && !h.direct && h.content != nil && h.content.id != id {
			return false
		}
	}
	return true
}

// readsOn reports whether the handle is somewhere between the start and the end
// of a version; its inode's mu is held.
func (h *Handle) readsOn(now time.Time) bool {
	return h.reads() && h.content != nil && !h.ended && now.Sub(h.read) < readPause
}

// readsOnAt is readsOn for what is going to read at off.
func (h *Handle) readsOnAt(off int64, now time.Time) bool {
	switch {
	case !h.readsOn(now):
		return false
	case h.next == 0: // it was opened a moment ago
		return true
	case h.direct:
		return off == h.next
	}
	return off > 0 && off+readAhead >= h.next
}

// sharesOld reports whether the handle has to stay at an old version because of
// those with which it shares the kernel's pages; the inode's mu is held.
func (h *Handle) sharesOld(now time.Time) bool {
	if h.direct || h.content == nil {
		return false
	}
	if now.Sub(h.in.pages.old) < dropTime {
		return true
	}
	for o := range h.in.handles {
		if o != h && !o.direct && o.readsOn(now) && o.content.id == h.content.id && o.next < o.content.size() {
			return true
		}
	}
	return false
}

// versionAt is the version that a read of n bytes at off is answered from; in.mu
// is held.
func (h *Handle) versionAt(off int64, n int) (*content, error) {
	in, now := h.in, h.in.fs.now()
	on := h.readsOnAt(off, now)
	h.read = now
	if in.state != stateShared {
		if in.pinned != nil {
			return in.pinned, nil
		}
		if h.content != nil {
			return h.content, nil
		}
		return nil, syscall.ESTALE
	}
	info, err := in.vol.tree.stat(in.node)
	if err != nil {
		if h.content != nil {
			return h.content, nil
		}
		return nil, err
	}
	switch {
	case h.content == nil:
	case h.content.id == info.Version:
		h.went(off, n)
		return h.content, nil
	case on && h.patient(now), h.sharesOld(now) && h.patient(now):
		if h.behind.IsZero() {
			h.behind = now
		}
		if !h.direct { // what the kernel caches of this answer is out of date
			in.pages.old = now
			in.fs.queue.add(Invalidation{Content: true, Ino: in.ino})
		}
		h.went(off, n)
		return h.content, nil
	}
	c, err := in.loadLocked()
	if err != nil {
		return nil, err
	}
	if h.content != nil && h.content.snap != nil {
		h.old = append(h.old, h.content)
	}
	if in.pages.seen != c.id {
		in.pages.seen, in.pages.since = c.id, now
	}
	h.follows = h.content != nil && off > 0 && off >= h.content.size()
	h.content, h.behind, h.next, h.ended = c, time.Time{}, 0, false
	h.went(off, n)
	return c, nil
}

// patient reports whether the handle may stay at an old version. Through the page
// cache that has an end, or who maps a text and looks at it all the time would
// never see another one.
func (h *Handle) patient(now time.Time) bool {
	return h.direct || h.content.snap != nil || h.behind.IsZero() || now.Sub(h.behind) < readPause
}

// went notes what is read; in.mu is held.
func (h *Handle) went(off int64, n int) {
	size := h.content.size()
	end := min(off+int64(n), size)
	switch {
	case off >= size:
		h.ended = true
	case off == 0 || h.direct:
		h.next, h.ended = end, false
	default:
		h.next = max(h.next, end)
	}
	if h.follows && end == size { // and waits for more
		h.ended = true
	}
}

// readBy is what somebody who asks for the size of the file is reading of it: an
// old version, or nil. It is the one that h reads, which the kernel asks for to
// know where that ends, or without h one that who reads. Nobody, that is the
// helper, is told what readers through the page cache read: the kernel takes what
// it hears last for the size of the file, also for a reader that is in the middle
// of it. reading reports whether
// anybody reads an old version, so that not everybody is told the same; in.mu is
// held.
func (in *inode) readBy(who func() proc, h *Handle, id string) (c *content, reading bool) {
	now := in.fs.now()
	for o := range in.handles {
		if o.content == nil || o.content.id == id || !o.readsOn(now) {
			continue
		}
		reading = true
		if o == h || h == nil && (o.opener == who() || !o.direct && who() == (proc{})) {
			c = o.content
		}
	}
	return c, reading
}

// sizeForAll sees to it that what one process is told of the size does not cut
// what another one reads. The kernel has one size of a file, the one that it heard
// last from anybody, and readers through the page cache get no more than that. So
// while there are any, all are told the size of what these get. When there are
// none, who is told another size is told it apart: files that are read past the
// page cache can be mapped. in.mu is held.
func (in *inode) sizeForAll(a *Attr, h *Handle, info space.Info) {
	size, cached, now := uint64(info.Size), false, in.fs.now()
	for o := range in.handles {
		if o.direct || !o.reads() {
			continue
		}
		cached = true
		if o.content != nil && o.content.id != info.Version && o.readsOn(now) {
			size = uint64(o.content.size())
		}
	}
	switch {
	case a.Size == size:
	case cached:
		a.Size, a.Volatile = size, true
	case h == nil: // with a handle, the kernel asks where that ends
		a.Apart, a.True, a.Volatile = true, size, true
	}
}

// followedBy reports whether who has the file open for nothing but reading, and
// has read what there was: it waits for more, as tail does; in.mu is held.
func (in *inode) followedBy(who proc) bool {
	now := in.fs.now()
	for h := range in.handles {
		if h.opener == who && !h.writes() && h.content != nil && !h.readsOn(now) {
			return true
		}
	}
	return false
}

// announceAgain tells programs that watch a file once more that it has changed,
// after a time; in.mu is held.
func (v *volume) announceAgain(in *inode, after time.Duration) {
	if in.pages.again {
		return
	}
	in.pages.again = true
	time.AfterFunc(after, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		in.mu.Lock()
		in.pages.again = false
		node, shared := in.node, in.state == stateShared
		in.mu.Unlock()
		info, err := v.tree.stat(node)
		if v.closed || !shared || err != nil || info.Kind != space.File {
			return
		}
		parent, name, shows := v.placeOf(node)
		dir := v.byNode[parent]
		if !shows || dir == nil {
			return
		}
		v.fs.bases.announced(in.ino)
		i := Invalidation{
			Content: true, Attr: true, Ino: in.ino, Kind: kindMode(info.Kind),
			Parent: dir.ino, Name: name, At: v.where(parent, name),
		}
		v.fs.queue.add(v.aliased([]Invalidation{i})...)
	})
}
