package vfs

import (
	"sync"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// Programs that keep a file open, such as one that writes a log, never come to
// the close at which a file is committed. So one that rests is committed too: not
// in the middle of a save or of a copy, which pause for less than that.
const (
	restTime  = 5 * time.Second // without a write, or from one commit to the next of what only grows
	restCheck = time.Second
	restBytes = 64 << 20 // of a large file, that make the rest a second longer
)

// resting is the files of a volume that are open and have been written to.
type resting struct {
	mu     sync.Mutex // leaf; guards the fields below
	files  map[*inode]bool
	timer  *time.Timer // armed while there are files
	closed bool
}

// rests notes a file that was written to; in.mu is held.
func (v *volume) rests(in *inode) {
	r := &v.resting
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.files[in] {
		return
	}
	if r.files == nil {
		r.files = map[*inode]bool{}
	}
	r.files[in] = true
	if len(r.files) > 1 {
		return
	}
	if r.timer == nil {
		r.timer = time.AfterFunc(restCheck, v.commitRested)
	} else {
		r.timer.Reset(restCheck)
	}
}

func (r *resting) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
}

// commitRested commits open files that have rested long enough.
func (v *volume) commitRested() {
	r := &v.resting
	r.mu.Lock()
	files := make([]*inode, 0, len(r.files))
	for in := range r.files {
		files = append(files, in)
	}
	r.mu.Unlock()
	for _, in := range files {
		in.mu.Lock()
		if !in.restsLocked() {
			r.mu.Lock()
			delete(r.files, in)
			r.mu.Unlock()
			in.mu.Unlock()
			continue
		}
		rested := !in.restedLocked().After(v.fs.now())
		in.mu.Unlock()
		if rested {
			if err := v.commitOpen(in); err != nil {
				v.fs.log.Warn("committing an open file", "space", v.name, "err", err)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.files) > 0 && !r.closed {
		r.timer.Reset(restCheck)
	}
}

// restsLocked reports whether a file is open and has something to commit that
// no close has committed; in.mu is held.
func (in *inode) restsLocked() bool {
	if in.wc == nil || !in.writable() {
		return false
	}
	switch in.state {
	case stateShared:
		return in.wc.dirty
	case stateFresh:
		return in.wc.size > 0 // an empty new file may be the first half of a save
	}
	return false
}

// restedLocked is when an open file can be committed if nobody writes until
// then; in.mu is held.
func (in *inode) restedLocked() time.Time {
	at := in.written.Add(restTime + time.Second*time.Duration(in.wc.size/restBytes))
	switch {
	case in.synced == in.changes: // its author wants to be sure of it
		at = in.syncedAt.Add(holdTime)
	case in.appending(): // each line is whole
		at = in.written.Add(holdTime)
		if latest := in.since.Add(restTime + time.Second*time.Duration(in.wc.size/restBytes)); latest.Before(at) {
			at = latest
		}
	}
	return at
}

// appending reports whether all who write can only append.
func (in *inode) appending() bool {
	for h := range in.handles {
		if h.writes() && h.flags&syscall.O_APPEND == 0 {
			return false
		}
	}
	return true
}

// commitOpen commits, or publishes, a file that is open.
func (v *volume) commitOpen(in *inode) error {
	if err := in.commit(false); err != nil {
		return err
	}
	v.mu.Lock()
	in.mu.Lock()
	if in.state == stateFresh && in.wc != nil && in.kind == space.File && !v.closed {
		in.due = v.fs.now()
		v.enqueue(due{at: in.due, in: in})
		in.since = in.due
	}
	in.mu.Unlock()
	v.mu.Unlock()
	return nil
}

// fsynced notes that a fresh file was synced.
func (in *inode) fsynced(failed error) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if failed == nil && in.state == stateFresh && in.wc != nil {
		in.synced, in.syncedAt = in.changes, in.fs.now()
		in.vol.rests(in)
	}
	return failed
}
