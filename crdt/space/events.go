package space

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/echofs/echofs/crdt/tree"
)

// events is the queue between changes and those who want to hear of them.
type events struct {
	wake chan struct{} // capacity 1: the queue has grown

	mu    sync.Mutex // guards the fields below
	queue []Event
	fns   map[int]func([]Event)
	next  int
}

// Subscribe has fn called with every change to the tree from now on, in order,
// by Run and with no lock held. After cancel has returned, fn may still be in a
// last call.
func (s *Space) Subscribe(fn func([]Event)) (cancel func()) {
	e := &s.events
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fns == nil {
		e.fns = make(map[int]func([]Event))
	}
	id := e.next
	e.next++
	e.fns[id] = fn
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.fns, id)
	}
}

// add queues what changes amount to. It never blocks, so callers may hold locks.
func (e *events) add(changes []tree.Change, remote bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.fns) == 0 {
		return
	}
	for _, c := range inOrder(changes) {
		e.queue = append(e.queue, eventsOf(c, remote)...)
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// tell queues an event. It never blocks.
func (e *events) tell(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.fns) == 0 {
		return
	}
	e.queue = append(e.queue, ev)
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// inOrder sorts changes that came at once as a program could have made them:
// a folder is made before something moves into it, and empty when it goes.
func inOrder(changes []tree.Change) []tree.Change {
	removed := make(map[NodeID]NodeID) // folder: the one it was in
	for _, c := range changes {
		if c.After.Kind == tree.None && c.Before.Kind == tree.Dir {
			removed[c.ID] = c.Before.Parent
		}
	}
	depth := func(c tree.Change) (n int) {
		for dir, ok := c.ID, true; ok && n <= len(removed); n++ {
			dir, ok = removed[dir]
		}
		return n
	}
	rank := func(c tree.Change) int {
		switch {
		case c.After.Kind == tree.None && c.Before.Kind != tree.Dir:
			return 0
		case c.After.Kind == tree.None:
			return 2
		case c.Before.Kind == tree.None && c.After.Kind != tree.Dir:
			return 3
		}
		return 1
	}
	slices.SortStableFunc(changes, func(a, b tree.Change) int {
		if by := cmp.Compare(rank(a), rank(b)); by != 0 || rank(a) != 2 {
			return by
		}
		return cmp.Compare(depth(b), depth(a))
	})
	return changes
}

func kindOf(k tree.Kind) Kind {
	switch k {
	case tree.Dir:
		return Dir
	case tree.Symlink:
		return Symlink
	}
	return File
}

func eventsOf(c tree.Change, remote bool) []Event {
	before, after := c.Before, c.After
	ev := Event{ID: c.ID, Parent: after.Parent, Name: after.Name, Kind: kindOf(after.Kind), Remote: remote}
	with := func(op EventOp) Event { ev.Op = op; return ev }
	switch {
	case before.Kind == tree.None && after.Kind == tree.None:
		return nil
	case before.Kind == tree.None:
		return []Event{with(Created)}
	case after.Kind == tree.None:
		ev.Parent, ev.Name, ev.Kind = before.Parent, before.Name, kindOf(before.Kind)
		return []Event{with(Removed)}
	}
	var out []Event
	if before.Parent != after.Parent || before.Name != after.Name {
		moved := with(Moved)
		moved.OldParent, moved.OldName = before.Parent, before.Name
		out = append(out, moved)
	}
	if before.Tag != after.Tag || before.Kind != after.Kind || before.Size != after.Size {
		out = append(out, with(Changed))
	}
	if before.Exec != after.Exec || before.Mtime != after.Mtime || c.Attr && len(out) == 0 {
		out = append(out, with(Attr))
	}
	return out
}

// run calls subscribers until ctx ends and the queue is empty.
func (e *events) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			e.deliver()
			return
		case <-e.wake:
			e.deliver()
		}
	}
}

func (e *events) deliver() {
	e.mu.Lock()
	queue := e.queue
	e.queue = nil
	ids := make([]int, 0, len(e.fns))
	for id := range e.fns {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var fns []func([]Event)
	for _, id := range ids {
		fns = append(fns, e.fns[id])
	}
	e.mu.Unlock()
	if len(queue) == 0 {
		return
	}
	for _, fn := range fns {
		fn(slices.Clone(queue))
	}
}

// notifier wakes those who send what is new.
type notifier struct {
	mu   sync.Mutex // guards chs
	chs  map[int]chan struct{}
	next int
}

// Notify returns a channel that has a token after each commit, after new
// credentials, and when a missing chunk becomes urgent.
func (s *Space) Notify() (<-chan struct{}, func()) {
	n := &s.notify
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.chs == nil {
		n.chs = make(map[int]chan struct{})
	}
	id := n.next
	n.next++
	ch := make(chan struct{}, 1)
	n.chs[id] = ch
	return ch, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.chs, id)
	}
}

func (n *notifier) fire() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ch := range n.chs {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
