package fusefs

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"github.com/echofs/echofs/fs/vfs"
)

// What watchers know, and what is done until it is so.
//
// The kernel makes the changes of a folder one after the other: it holds the
// folder's lock from before it asks until its caches are changed and watchers
// are told. That goes for the helper as for anybody, so the order in which their
// requests are served is the order in which watchers hear. Of each name that is
// being told of, live therefore notes what was heard last; when nothing more
// waits that is about the name, that is compared with what is so, and what is
// not is said once more, until it is so. A change that comes later has its own
// event.
//
// The helper's deed does not become a request if the kernel remembers the
// opposite: an answer that was given after the change, before it was announced.
// Then the kernel forgets the name, while every answer about it is one that may
// not be remembered, and the helper tries again.

// retries bounds how often a deed is tried again that fails: its folder may be
// gone, or the name be too long by now.
const retries = 3

// heard is what watchers were told last of a name.
type heard uint8

const (
	unsaid heard = iota // nothing since there is something to tell of it
	isThere
	isGone
	inDoubt // the helper could not
)

// telling is a name of which there is something to tell.
type telling struct {
	events int // that are about it: those that wait, and the current one
	heard  heard
}

// did notes what watchers are told of a name by a request that succeeds.
func (l *live) did(at dirent, h heard) {
	if !l.busy.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.names[at]; t != nil {
		t.heard = h
	}
}

// said is what watchers were told of a name.
func (l *live) said(at dirent) heard {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.names[at]; t != nil {
		return t.heard
	}
	return unsaid
}

// settle queues what is still to say after an event was told of, or was not. It
// reports whether it did.
func (l *live) settle(e *event, tried, done bool) (more bool) {
	failed := tried && !done
	if failed && e.tries >= retries {
		l.log.Debug("programs that watch were not told of a change", "name", e.at.name, "deed", e.deed)
		return false
	}
	if failed && e.tries == 0 {
		return l.retry(e)
	}
	if e.deed == deedModify || e.deed == deedAttrib {
		more, failed = l.settleFile(e, failed), false
	}
	if l.settleName(e, e.at, e.place, failed) {
		more = true
	}
	if e.oldPlace != nil && l.settleName(e, e.from, e.oldPlace, failed) {
		more = true
	}
	return more
}

// retry has the same event tried once more, before any other.
func (l *live) retry(e *event) bool {
	next := e.after(e.deed, e.at, e.place, true)
	next.from, next.oldPlace = e.from, e.oldPlace
	next.ino, next.over, next.kind = e.ino, e.over, e.kind
	return l.repeat(next, true)
}

// settleFile says a change of a file again, if that failed or it is elsewhere.
func (l *live) settleFile(e *event, failed bool) bool {
	next := e.after(e.deed, e.at, e.place, failed)
	next.ino, next.kind = e.ino, e.kind
	now, err := l.vfs.Lookup(vfs.Caller{}, e.at.parent, e.at.name)
	if err != nil || now.Ino != e.ino {
		at, place := l.vfs.Where(e.ino)
		if place == nil || at == e.at.parent && place.Name == e.at.name {
			return false
		}
		next.at, next.place = dirent{at, place.Name}, place
	} else if !failed {
		return false
	}
	return l.repeat(next, false)
}

// settleName says how it is with a name, if watchers were told otherwise, or
// nothing because that failed.
func (l *live) settleName(e *event, at dirent, place *vfs.Place, failed bool) bool {
	if !l.alone(at, failed) {
		return false // that event will see to it
	}
	h := l.said(at)
	now, err := l.vfs.Lookup(vfs.Caller{}, at.parent, at.name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false
	}
	here := err == nil
	switch h {
	case inDoubt:
	case unsaid:
		return false
	case isThere, isGone:
		if here == (h == isThere) {
			return false
		}
	}
	next := e.after(deedDelete, at, place, failed)
	switch {
	case here:
		next.deed, next.ino, next.kind = deedCreate, now.Ino, now.Mode&syscall.S_IFMT
	case e.deed == deedDelete:
		next.ino, next.kind = e.ino, e.kind
	default:
		next.kind = e.kind
	}
	return l.repeat(next, false)
}

// alone reports whether no other event waits that is about a name, and notes
// that nobody knows what was heard of it if that failed.
func (l *live) alone(at dirent, failed bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.names[at]
	if t == nil {
		return false
	}
	if failed {
		t.heard = inDoubt
	}
	return t.events == 1
}

// after is another event because of e.
func (e *event) after(d deed, at dirent, place *vfs.Place, failed bool) *event {
	next := &event{deed: d, at: at, place: place, again: true}
	if failed {
		next.tries = e.tries + 1
	}
	return next
}

// repeat queues an event of which the kernel's caches know, perhaps before any
// other.
func (l *live) repeat(e *event, first bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting >= liveLimit {
		l.miss(e)
		return false
	}
	l.waiting++
	if first {
		l.queue = slices.Insert(l.queue, 0, e)
	} else {
		l.queue = append(l.queue, e)
	}
	for _, at := range e.names() { // it is not what to merge others with
		l.telling(at, 1)
	}
	return true
}

// sure reports whether the kernel means by a name that the helper takes away or
// moves what the helper was told that it is: it asked in the course of this
// deed. Else it remembers a name from before, which may by now be something that
// is there to stay.
func (f *filesystem) sure(e *event, at dirent, asked bool) bool {
	if asked {
		return true
	}
	if !f.live.alone(at, false) {
		return false
	}
	_, err := f.vfs.Lookup(vfs.Caller{}, at.parent, at.name)
	return errors.Is(err, os.ErrNotExist)
}
