package vfs

import "sync"

// notices is the queue of invalidations. Anybody may add to it under any lock;
// a goroutine that lives while there is something to say empties it.
type notices struct {
	mu      sync.Mutex // guards the fields below
	fn      func([]Invalidation)
	pending []Invalidation
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
		n.pending = nil
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
