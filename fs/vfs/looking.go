package vfs

import (
	"sync"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

const (
	// lookingKept bounds how many processes are remembered with what they opened.
	lookingKept = 64
	// lookingFor is how long a process that runs on is taken to look at what it
	// opened last and has closed, as an editor does. An editor that leaves a note
	// beside the file does so for as long as that is there.
	lookingFor = 15 * time.Minute
)

// looking remembers what processes opened last, in memory only.
type looking struct {
	mu   sync.Mutex // guards the fields below
	last map[proc]looked
	next uint64
}

type looked struct {
	in   *inode
	at   time.Time
	turn uint64 // greater: later
}

// note remembers that a process has opened a file.
func (l *looking) note(who proc, in *inode, now time.Time) {
	if who == (proc{}) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[proc]looked{}
	}
	l.next++
	l.last[who] = looked{in, now, l.next}
	if len(l.last) <= lookingKept {
		return
	}
	oldest := who
	for p, a := range l.last {
		if a.turn < l.last[oldest].turn {
			oldest = p
		}
	}
	delete(l.last, oldest)
}

// lookedAt notes who opens a file, unless it is one of this device, such as an
// editor's swap file; in.mu is held.
func (in *inode) lookedAt(who proc) {
	if in.state != stateScratch {
		in.fs.looking.note(who, in, in.fs.now())
	}
}

// all returns what is remembered.
func (l *looking) all() map[proc]looked {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[proc]looked, len(l.last))
	for p, a := range l.last {
		out[p] = a
	}
	return out
}

// forget drops a process, unless it has opened something since.
func (l *looking) forget(who proc, was looked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last[who] == was {
		delete(l.last, who)
	}
}

// LookedAt returns the path in a space of the file that a person seems to look
// at: of those that running programs have open, or opened last and not long ago,
// the one opened latest. It is empty if there is none; files that only this
// device has do not count.
func (f *FS) LookedAt(spaceName string) string {
	v := f.volume(spaceName)
	if v == nil {
		return ""
	}
	now := f.now()
	path, turn := "", uint64(0)
	for who, a := range f.looking.all() {
		if !f.procs.alive(who) || now.Sub(a.at) > lookingFor && !a.in.openBy(who) && !a.in.editedBy(who) {
			f.looking.forget(who, a)
			continue
		}
		if a.in.vol != v || a.turn <= turn {
			continue
		}
		if p := a.in.sharedPath(); p != "" {
			path, turn = p, a.turn
		}
	}
	return path
}

// openBy reports whether a process has a file open that it opened itself.
func (in *inode) openBy(who proc) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for h := range in.handles {
		if h.opener == who {
			return true
		}
	}
	return false
}

// editedBy reports whether a process says beside a file that it has it loaded, as
// vim does in a swap file. It is called without locks.
func (in *inode) editedBy(who proc) bool {
	v := in.vol
	beside := ""
	v.mu.Lock()
	parent, name := in.parent, in.name
	at := v.where(parent, name)
	if v.hasScratch(parent) {
		beside = v.folderDir(parent)
	}
	v.mu.Unlock()
	is := unheard
	if beside != "" {
		is, _ = bufferOf(beside, name, who.pid)
	}
	if is == unheard && at != nil && in.fs.procs.real() {
		is, _ = bufferElsewhere(at.path(), who.pid)
	}
	return is != unheard
}

// sharedPath is where a file is in its space; empty if it is not there.
func (in *inode) sharedPath() string {
	in.mu.Lock()
	node, shared := in.node, in.state == stateShared
	in.mu.Unlock()
	if !shared || node == space.Root {
		return ""
	}
	return in.vol.tree.space.Path(node)
}
