package vfs

import (
	"slices"
	"sync"
)

// noticesLoose is how many invalidations may wait before those that say the
// same are made one.
const noticesLoose = 1024

// notices is the queue of invalidations. Anybody may add to it under any lock;
// a goroutine that lives while there is something to say empties it. Who listens
// may be slow: then no more waits than one for each file and one for each name.
type notices struct {
	mu      sync.Mutex // guards the fields below
	fn      func([]Invalidation)
	pending []Invalidation
	merge   int // length of pending at which to look for what says the same
	running bool
	closed  bool
}

// to sets who is told. What was added before nobody listened is not repeated:
// there was no kernel that could have known the old state.
func (n *notices) to(fn func([]Invalidation)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fn = fn
	if fn == nil {
		n.pending = nil
	}
}

func (n *notices) add(i ...Invalidation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fn == nil || n.closed || len(i) == 0 {
		return
	}
	n.pending = append(n.pending, i...)
	if n.merge = max(n.merge, noticesLoose); len(n.pending) > n.merge {
		n.pending = merged(n.pending)
		n.merge = 2 * len(n.pending)
	}
	if !n.running {
		n.running = true
		go n.run()
	}
}

func (n *notices) run() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.pending) > 0 {
		batch, fn := n.pending, n.fn
		n.pending, n.merge = nil, 0
		n.mu.Unlock()
		fn(batch)
		n.mu.Lock()
	}
	n.running = false
}

// close drops what is still to say.
func (n *notices) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed, n.pending = true, nil
}

// merged leaves the last of those invalidations that are about the content of
// one file, or about one name. The order of what is left stays.
func merged(all []Invalidation) []Invalidation {
	type dirent struct {
		parent Ino
		name   string
	}
	files, names := map[Ino]int{}, map[dirent]bool{}
	left := map[dirent]*Place{}                // by what moved to a place of which more is said
	out := make([]Invalidation, 0, len(all)/2) // last first
	for _, i := range slices.Backward(all) {
		news := false
		if i.Content || i.Attr {
			if at, known := files[i.Ino]; known {
				out[at].Content = out[at].Content || i.Content
				out[at].Attr = out[at].Attr || i.Attr
				out[at].Remote = out[at].Remote || i.Remote
			} else {
				files[i.Ino] = len(out)
				news = true
			}
		}
		switch at := (dirent{i.Parent, i.Name}); {
		case !i.Entry && !i.Delete:
		case !names[at]:
			names[at] = true
			news = true
			if i.Moved && i.At == nil {
				i.At = left[at]
			}
			delete(left, at)
		case i.From != nil && len(i.From.Folder) > 0:
			left[dirent{i.From.Folder[len(i.From.Folder)-1].Ino, i.From.Name}] = i.From
		}
		if news {
			out = append(out, i)
		}
	}
	slices.Reverse(out)
	return out
}
