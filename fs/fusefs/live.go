package fusefs

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/echofs/echofs/fs/vfs"
)

const (
	// liveLimit bounds the changes that watchers are still to hear of. It is
	// what one inotify descriptor queues by default: more would be lost anyhow.
	liveLimit = 1 << 14

	// promptLimit is how many events may wait before the kernel is told of
	// another name itself. The helper is through with that many in a blink.
	promptLimit = 256

	// deedTime is how long one task may take before the helper counts as hung.
	deedTime = 5 * time.Second

	// The pause before a helper is started again doubles from one to the other.
	minPause = 100 * time.Millisecond
	maxPause = 30 * time.Second
)

// live has the kernel raise the events that programs watch for, of changes that
// did not pass through it: the helper does each of them again, through the
// mount, after the kernel dropped what it had cached of it.
//
// announce never blocks. Changes of one file that nobody was told of yet are one.
type live struct {
	log    *slog.Logger
	vfs    *vfs.FS
	lost   func([]vfs.Invalidation) // the kernel has to be told of these itself
	forget func(...dirent)          // the same at once, of names only; waits for it, within reason
	launch launcher                 // nil: watchers are told of nothing
	wake   chan struct{}            // capacity 1: a token means that there may be work
	guard  chan struct{}            // closed when there is a helper, or was none to be had

	thread  atomic.Int64             // of the helper; 0: none
	former  atomic.Pointer[[]worker] // helpers that were killed and may not have ended
	current atomic.Pointer[event]
	busy    atomic.Bool // names is not empty
	ghosts  vfs.Ino     // given out by run

	mu        sync.Mutex // guards the fields below
	queue     []*event   // in order; those taken back are marked
	waiting   int        // in queue and not taken back
	last      map[dirent]*event
	names     map[dirent]*telling // those of waiting events, and of the current one
	announced uint64
	batch     uint64 // announced before the present call of announce
	sent      uint64 // events up to this one are no news to the kernel's caches
	missed    map[dirent]*event
	slow      bool // the helper is taking long over the current event
}

// An event is one change that watchers are to be told of.
type event struct {
	deed     deed
	at       dirent
	from     dirent // deedRename
	ino      vfs.Ino
	over     vfs.Ino // deedRename: what was there before
	kind     uint32
	place    *vfs.Place
	oldPlace *vfs.Place
	number   uint64
	merged   int  // how often it was put off because it changed again
	tries    int  // how often it failed
	again    bool // it failed, or is no longer so: the kernel forgets the names first
	taken    bool // back: another event says the same
	quiet    bool // the kernel was not told of the names: it learns from the helper

	asked, askedFrom atomic.Bool // the helper was asked what at, from is: see sure
}

func newLive(v *vfs.FS, log *slog.Logger, launch launcher) *live {
	return &live{
		log: log, vfs: v, launch: launch,
		forget: func(...dirent) {},
		wake:   make(chan struct{}, 1),
		guard:  make(chan struct{}),
		last:   map[dirent]*event{},
		names:  map[dirent]*telling{},
		missed: map[dirent]*event{},
	}
}

// announce queues what watchers should hear of these changes, once the kernel's
// caches know of them: see told. It returns the changes as the caches are to be
// told of them, and the mark for told.
func (l *live) announce(changes []vfs.Invalidation) ([]vfs.Invalidation, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batch = l.announced
	out := make([]vfs.Invalidation, len(changes))
	for i, c := range changes {
		e := eventOf(c)
		queued := e != nil && l.launch != nil && l.add(e)
		if c.Delete && (c.Moved || queued) {
			// Told that the file is gone, the kernel would give up a folder
			// that only moved, and a file before the helper takes it away.
			c.Ino = 0
		}
		out[i] = c
		// Not what moved: the kernel would remember the new name for as long as
		// it was to remember the old one, even if it means something else by now.
		if queued && (e.deed == deedCreate || e.deed == deedDelete) && l.prompt() {
			e.quiet = true
			out[i] = onlyListing(c)
		}
	}
	return out, l.announced
}

// onlyListing is what is left to tell the kernel of a name that the helper will
// make or take away. The notice of a name waits in the kernel for whoever
// changes something in that folder, and so for requests to this process.
func onlyListing(c vfs.Invalidation) vfs.Invalidation {
	return vfs.Invalidation{Content: true, Ino: c.Parent, Remote: c.Remote}
}

// prompt reports whether the helper will come soon; l.mu is held.
func (l *live) prompt() bool {
	return l.thread.Load() != 0 && !l.slow && l.waiting <= promptLimit
}

func eventOf(c vfs.Invalidation) *event {
	if c.At == nil {
		return nil
	}
	e := &event{ino: c.Ino, kind: c.Kind, at: dirent{c.Parent, c.Name}, place: c.At}
	switch {
	case c.From != nil:
		e.deed, e.oldPlace = deedRename, c.From
		e.from = dirent{vfs.RootIno, c.From.Name}
		if n := len(c.From.Folder); n > 0 {
			e.from.parent = c.From.Folder[n-1].Ino
		}
	case c.Delete:
		e.deed = deedDelete
	case c.Entry:
		e.deed = deedCreate
	case c.Content:
		e.deed = deedModify
	default:
		e.deed = deedAttrib
	}
	return e
}

// add queues an event, unless one that waits says the same; l.mu is held.
func (l *live) add(e *event) bool {
	l.announced++
	e.number = l.announced
	if before := l.last[e.at]; before != nil && before.ino == e.ino {
		switch {
		case before.number > l.batch && e.deed >= deedModify && e.deed <= deedAttrib && before.deed <= e.deed:
			return true // one change, told in parts: writing sets the time as well
		case e.deed == before.deed && (e.deed == deedModify || e.deed == deedAttrib) && before.merged < 8:
			e.merged = before.merged + 1
			l.takeBack(before)
		}
	} else if before != nil && e.deed == deedRename && before.deed == deedDelete &&
		before.kind != syscall.S_IFDIR && e.kind != syscall.S_IFDIR {
		e.over = before.ino
		l.takeBack(before)
	}
	if l.waiting >= liveLimit {
		l.miss(e)
		return false
	}
	l.waiting++
	l.queue = append(l.queue, e)
	l.count(e, 1)
	return true
}

// count notes that names are about to change, or have; l.mu is held.
func (l *live) count(e *event, n int) {
	for _, at := range e.names() {
		if n > 0 {
			l.last[at] = e
		} else if l.last[at] == e {
			delete(l.last, at)
		}
		l.telling(at, n)
	}
}

// telling notes that so many more events are about a name; l.mu is held.
func (l *live) telling(at dirent, n int) {
	t := l.names[at]
	if t == nil {
		t = &telling{}
		l.names[at] = t
	}
	if t.events += n; t.events == 0 {
		delete(l.names, at)
	}
	l.busy.Store(len(l.names) > 0)
}

func (e *event) names() []dirent {
	if e.oldPlace != nil {
		return []dirent{e.at, e.from}
	}
	return []dirent{e.at}
}

// takeBack takes an event out of the queue; l.mu is held.
func (l *live) takeBack(e *event) {
	e.taken = true
	l.waiting--
	l.count(e, -1)
}

// miss notes that watchers of a folder did not hear of everything in it; l.mu
// is held. Its attributes will change, on which many look at it again.
func (l *live) miss(e *event) {
	n := len(e.place.Folder)
	if n == 0 || len(l.missed) >= liveLimit {
		return
	}
	if len(l.missed) == 0 {
		l.log.Warn("more changes at once than programs that watch can be told of one by one")
	}
	dir := e.place.Folder[n-1]
	at := dirent{vfs.RootIno, dir.Name}
	if n > 1 {
		at.parent = e.place.Folder[n-2].Ino
	}
	l.missed[at] = &event{
		deed: deedAttrib, at: at, ino: dir.Ino, kind: syscall.S_IFDIR,
		place: &vfs.Place{Folder: e.place.Folder[:n-1], Name: dir.Name},
	}
}

// told says that the kernel dropped what it had cached of everything announced
// up to mark.
func (l *live) told(mark uint64) {
	l.mu.Lock()
	l.sent = max(l.sent, mark)
	l.mu.Unlock()
	l.poke()
}

func (l *live) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // run has a token already
	}
}

// pending reports whether watchers are still to hear of a name. The kernel must
// not remember it until then: it would not ask again when the helper comes.
func (l *live) pending(at dirent) bool {
	if !l.busy.Load() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.names[at] != nil
}

// next takes the first event that the kernel's caches know of. last reports
// that no other one waits that is about the same name.
func (l *live) next() (e *event, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		e := l.queue[0]
		if !e.taken && e.number > l.sent {
			return nil, false
		}
		l.queue[0] = nil
		l.queue = l.queue[1:]
		if e.taken {
			continue
		}
		l.waiting--
		for _, at := range e.names() { // from now on, another change of it is news
			if l.last[at] == e {
				delete(l.last, at)
			}
		}
		return e, l.names[e.at].events == 1
	}
	for at, e := range l.missed {
		delete(l.missed, at)
		l.count(e, 1)
		return e, true
	}
	return nil, false
}

// finished says that watchers heard of an event, or never will.
func (l *live) finished(e *event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(e, -1)
}

// prepare makes a task of an event, as things are now; false if there is
// nothing to tell any more. last: no other event about that name waits.
func (l *live) prepare(e *event, last bool) (task, bool) {
	now, err := l.vfs.Lookup(vfs.Caller{}, e.at.parent, e.at.name)
	there := err == nil
	t := task{Dir: folderOf(e.place), Name: e.place.Name, Kind: e.kind}
	if len(t.Dir)+len(t.Name) >= syscall.PathMax {
		return t, false
	}
	said := l.said(e.at)
	switch {
	case e.deed == deedCreate && said == isThere && there, e.deed == deedDelete && said == isGone && !there:
		return t, false // somebody here did the same meanwhile, and was heard
	case e.deed == deedDelete && there && (said == isThere || now.Ino == e.ino || last && now.Mode&syscall.S_IFMT == e.kind):
		// It is here again, and whoever made it was heard, or will be.
		e.deed = deedAttrib
	}
	if e.ino == 0 {
		l.ghosts++
		e.ino = ghost | l.ghosts
	}
	t.Deed = e.deed
	switch e.deed {
	case deedCreate:
		switch {
		case there:
			e.ino, e.kind = now.Ino, now.Mode&syscall.S_IFMT
		case last:
			return t, false
		}
		t.Kind, t.Written = e.kind, now.Size > 0
		if e.kind == syscall.S_IFLNK {
			t.Target, err = l.vfs.Readlink(vfs.Caller{}, e.ino)
			return t, err == nil
		}
	case deedDelete, deedRename:
		if e.oldPlace != nil {
			t.OldDir, t.OldName = folderOf(e.oldPlace), e.oldPlace.Name
		}
	default:
		return t, there
	}
	return t, true
}

// ghost marks numbers for what the kernel never knew and is gone already. No
// number of vfs has both of these bits.
const ghost vfs.Ino = 3 << 62

func folderOf(p *vfs.Place) string {
	names := make([]string, 0, len(p.Folder))
	for _, s := range p.Folder {
		names = append(names, s.Name)
	}
	return strings.Join(names, "/")
}
