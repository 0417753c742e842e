package vfs

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/echofs/echofs/crdt/space"
)

// An ahead is the import of a large working copy into the chunk store, done
// with no lock held, and before anybody waits for it where that is possible. It
// is thrown away when the copy changes.
type ahead struct {
	cancel  context.CancelFunc
	done    chan struct{} // closed when what is below is set
	content space.Content
	err     error // context.Canceled: thrown away
}

// importsAtOnce is how many large files of a space are imported at the same time.
const importsAtOnce = 2

// imports are the imports of a volume that run.
type imports struct {
	slots chan struct{} // a token for each that reads now

	mu     sync.Mutex // guards the fields below
	closed bool
	all    sync.WaitGroup
}

// start runs fn, unless it is too late.
func (i *imports) start(fn func()) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.closed {
		i.all.Go(fn)
	}
	return !i.closed
}

// close waits for those that run, which the caller has told to end.
func (i *imports) close() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.all.Wait()
}

// importAhead begins to import a copy, unless that has begun already; the mu of
// its inode is held. It returns nil for a copy that is not large.
func (v *volume) importAhead(w *workingCopy) *ahead {
	if w == nil || w.file == nil || w.size <= textLimit {
		return nil
	}
	if w.ahead != nil {
		return w.ahead
	}
	ctx, cancel := context.WithCancel(v.tree.ctx)
	a := &ahead{cancel: cancel, done: make(chan struct{})}
	r := io.NewSectionReader(w.file, 0, w.size)
	if !v.imports.start(func() { v.runImport(ctx, a, r) }) {
		cancel()
		return nil
	}
	w.ahead = a
	return a
}

func (v *volume) runImport(ctx context.Context, a *ahead, r io.Reader) {
	defer close(a.done)
	defer a.cancel()
	select {
	case v.imports.slots <- struct{}{}:
		defer func() { <-v.imports.slots }()
	case <-ctx.Done():
		a.err = ctx.Err()
		return
	}
	a.content, a.err = v.tree.space.Import(ctx, r)
	if ctx.Err() != nil { // and perhaps the file was closed below it
		a.err = ctx.Err()
	}
	a.err = spaceErr(a.err)
}

func (a *ahead) ended() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// throwAway forgets what was imported of the copy: it changes, or goes.
func (w *workingCopy) throwAway() {
	if w.ahead != nil {
		w.ahead.cancel()
		w.ahead = nil
	}
}

// imported is the content of the copy if its import has begun; it waits for the
// end of that. The mu of the inode is held. After an error the next import
// starts anew.
func (w *workingCopy) imported() (*space.Content, error) {
	a := w.ahead
	if a == nil {
		return nil, nil
	}
	<-a.done
	if a.err != nil {
		w.ahead = nil
		if errors.Is(a.err, context.Canceled) {
			return nil, nil
		}
		return nil, a.err
	}
	return &a.content, nil
}

// payload is the content on its way into the space; the mu of the inode is held.
func (w *workingCopy) payload() (payload, error) {
	p := payload{data: w.data}
	w.lent = true
	var err error
	if w.file != nil {
		p.file = io.NewSectionReader(w.file, 0, w.size)
		p.ready, err = w.imported()
	}
	return p, err
}

// importFirst imports a large file that is about to become a version of a
// document, so that the commit need not do it with the file's lock held. If
// somebody writes on meanwhile, that is what the commit has to do.
func (in *inode) importFirst() {
	for range 2 {
		in.mu.Lock()
		var a *ahead
		if w := in.wc; w != nil && w.dirty && (in.state == stateShared || in.state == stateFresh && in.hold != nil) {
			a = in.vol.importAhead(w)
		}
		in.mu.Unlock()
		if a == nil {
			return
		}
		<-a.done
		if !errors.Is(a.err, context.Canceled) {
			return
		}
	}
}

// importBefore waits for the import of a fresh file that is to replace a
// document, while no lock is held.
func (v *volume) importBefore(dir *inode, name string, dir2 *inode, name2 string) {
	v.mu.Lock()
	var a *ahead
	if in := v.overlay[dir.node][name]; in != nil && dir.kind == space.Dir && dir.state == stateShared {
		in.mu.Lock()
		if in.state == stateFresh && in.wc != nil {
			a = in.wc.ahead
		}
		in.mu.Unlock()
	}
	if a != nil {
		if dst, err := v.child(dir2, name2); err != nil || dst.state != stateShared || dst.kind != space.File {
			a = nil
		}
	}
	v.mu.Unlock()
	if a != nil {
		<-a.done
	}
}
