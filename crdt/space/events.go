package space

import (
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
	for _, c := range changes {
		e.queue = append(e.queue, eventsOf(c, remote)...)
	}
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func eventsOf(c tree.Change, remote bool) []Event {
	before, after := c.Before, c.After
	ev := Event{ID: c.ID, Parent: after.Parent, Name: after.Name, Remote: remote}
	with := func(op EventOp) Event { ev.Op = op; return ev }
	switch {
	case before.Kind == tree.None && after.Kind == tree.None:
		return nil
	case before.Kind == tree.None:
		return []Event{with(Created)}
	case after.Kind == tree.None:
		ev.Parent, ev.Name = before.Parent, before.Name
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
