package fusefs

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/echofs/echofs/fs/vfs"
)

// worker is the helper process as live sees it.
type worker interface {
	thread() int
	// gone is closed when it has ended by itself.
	gone() <-chan struct{}
	// do carries out a task. An error means that the worker is of no use any more.
	do(ctx context.Context, t task) (syscall.Errno, error)
	// stop ends it, gently or at once, and waits for that, within reason.
	stop(gently bool)
}

// A launcher starts a worker, unless ctx ends first.
type launcher func(ctx context.Context) (worker, error)

const helperEnded = "the helper that tells programs of changes ended"

// run keeps a helper and tells watchers until ctx ends. The helper is there from
// the start, because it also guards the mount: see workplace.guard.
func (l *live) run(ctx context.Context) {
	guarded := sync.OnceFunc(func() { close(l.guard) })
	defer guarded()
	if l.launch == nil {
		return
	}
	var (
		w     worker
		gone  <-chan struct{}  // w's
		retry <-chan time.Time // when to start one; nil: now
		pause = minPause
	)
	end := func(err error) {
		if w != nil {
			l.dismiss(w)
			w.stop(err == nil)
		}
		w, gone = nil, nil
		if err != nil {
			l.tell()
			retry = time.After(pause)
			pause = min(2*pause, maxPause)
		}
	}
	defer func() { end(nil) }()
	for ctx.Err() == nil {
		if w == nil && retry == nil {
			var err error
			if w, err = l.launch(ctx); err != nil {
				w = nil
				if pause > minPause { // once is soon put right, and no news to a person
					l.complain(helperEnded, err)
				}
				end(err)
				l.giveUp()
			} else {
				gone = w.gone()
				l.thread.Store(int64(w.thread()))
			}
			guarded()
		}
		if w != nil {
			if e, last := l.next(); e != nil {
				if err := l.perform(ctx, w, e, last); err != nil {
					l.complain(helperEnded, err)
					end(err)
				} else {
					pause = minPause
				}
				continue
			}
		}
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-retry:
			retry = nil
		case <-gone:
			l.complain(helperEnded, io.ErrUnexpectedEOF)
			end(io.ErrUnexpectedEOF)
		}
	}
}

// perform has the helper tell of one event. An error means that the helper is
// of no use any more.
func (l *live) perform(ctx context.Context, w worker, e *event, last bool) error {
	deed := e.deed
	if e.again {
		l.forget(e.names()...)
	}
	t, tried := l.prepare(e, last)
	var err error
	done := false
	if tried {
		late := time.AfterFunc(patience, func() { l.tell(); l.setSlow(true) })
		l.current.Store(e)
		var errno syscall.Errno
		errno, err = w.do(ctx, t)
		l.current.Store(nil)
		late.Stop()
		l.setSlow(false)
		done = err == nil && errno == 0
	}
	more := l.settle(e, tried, done)
	l.finished(e)
	if (e.quiet && (!done || e.deed != deed || !l.holds(e)) || !done && e.deed == deedDelete) && (!more || err != nil) {
		l.lost(e.notices())
	}
	return err
}

// dismiss sees to it that a helper that is killed does no more harm than one
// that works: what it was about to do may still become a request.
func (l *live) dismiss(w worker) {
	former := []worker{w}
	if all := l.former.Load(); all != nil {
		for _, old := range *all {
			if !ended(old) {
				former = append(former, old)
			}
		}
	}
	l.former.Store(&former)
	l.thread.Store(0)
}

func ended(w worker) bool {
	select {
	case <-w.gone():
		return true
	default:
		return false
	}
}

// holds reports whether what the helper did to a name is how things are.
func (l *live) holds(e *event) bool {
	a, err := l.vfs.Lookup(vfs.Caller{}, e.at.parent, e.at.name)
	if e.deed == deedDelete {
		return errors.Is(err, os.ErrNotExist)
	}
	return err == nil && a.Ino == e.ino
}

// complain logs what cannot be helped, unless the mount has just gone.
func (l *live) complain(what string, err error) {
	if !errors.Is(err, errNotMounted) && !errors.Is(err, context.Canceled) {
		l.log.Warn(what, "err", err)
	}
}

func (l *live) setSlow(slow bool) {
	l.mu.Lock()
	l.slow = slow
	l.mu.Unlock()
}

// tell tells the kernel of the names about which it was to learn from the
// helper, which does not come.
func (l *live) tell() {
	var all []vfs.Invalidation
	l.mu.Lock()
	for _, e := range l.queue {
		if e != nil && e.quiet && !e.taken {
			e.quiet = false
			all = append(all, e.notices()...)
		}
	}
	l.mu.Unlock()
	if e := l.current.Load(); e != nil && e.quiet { // told again when it has failed
		all = append(all, e.notices()...)
	}
	if len(all) > 0 {
		l.lost(all)
	}
}

// giveUp drops what waits: there is nobody to tell of it.
func (l *live) giveUp() {
	for {
		e, _ := l.next()
		if e == nil {
			return
		}
		l.finished(e)
		if e.quiet || e.deed == deedDelete {
			l.lost(e.notices())
		}
	}
}

// notices are what the kernel has to be told of the names of an event.
func (e *event) notices() []vfs.Invalidation {
	if e.deed == deedDelete {
		return []vfs.Invalidation{{Delete: true, Ino: e.ino, Parent: e.at.parent, Name: e.at.name}}
	}
	all := []vfs.Invalidation{{Entry: true, Parent: e.at.parent, Name: e.at.name}}
	if e.oldPlace != nil {
		all = append(all, vfs.Invalidation{Delete: true, Parent: e.from.parent, Name: e.from.name})
	}
	return all
}
