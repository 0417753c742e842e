package vfs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// shared is a space as this package uses it: the one place that calls it,
// translates its errors, and knows which of its events we caused ourselves.
type shared struct {
	space *space.Space
	ctx   context.Context // ends when the volume closes; bounds waiting for peers
	now   func() time.Time

	mu     sync.Mutex // guards the fields below
	expect map[cause][]time.Time
	recent map[space.NodeID]time.Time // last change of ours
}

// A cause is a change of ours whose event is still to come. The kernel knows
// what it asked for itself and must not be told again. A node can move between
// two moves of ours, as when what had its name before goes: that is news.
type cause struct {
	op   space.EventOp
	node space.NodeID // zero for Created
	from spot         // of Moved
	to   spot         // of Created and Moved
}

type spot struct {
	dir  space.NodeID
	name string
}

// causeKept is how long an event may take. One that never comes must not hide
// a later one for ever.
const causeKept = 5 * time.Second

const recentKept = 4096 // nodes in shared.recent before it is emptied

// A payload is content on its way into the space.
type payload struct {
	data []byte
	file io.Reader // if not nil, instead of data
	// ready, if not nil, is the same content and already in the chunk store.
	ready *space.Content
}

func (s *shared) content(p payload) (space.Content, error) {
	if p.ready != nil {
		return *p.ready, nil
	}
	if p.file == nil && (len(p.data) <= inlineLimit || isText(p.data)) {
		return space.BytesContent(p.data), nil
	}
	r := p.file
	if r == nil {
		r = bytes.NewReader(p.data)
	}
	return s.space.Import(s.ctx, r)
}

func (s *shared) readOnly() bool { return s.space.ReadOnly() }

func (s *shared) lookup(dir space.NodeID, name string) (space.Info, error) {
	info, err := s.space.Lookup(dir, name)
	return info, spaceErr(err)
}

func (s *shared) stat(id space.NodeID) (space.Info, error) {
	info, err := s.space.Stat(id)
	return info, spaceErr(err)
}

func (s *shared) list(dir space.NodeID) ([]space.Info, error) {
	l, err := s.space.List(dir)
	return l, spaceErr(err)
}

func (s *shared) open(id space.NodeID) (*space.Snapshot, error) {
	snap, err := s.space.Open(id)
	return snap, spaceErr(err)
}

func (s *shared) create(parent space.NodeID, name string, n space.New, p payload) (space.Info, error) {
	if n.Kind == space.File {
		c, err := s.content(p)
		if err != nil {
			return space.Info{}, spaceErr(err)
		}
		n.Content = c
	}
	k := s.cause(cause{op: space.Created, to: spot{parent, name}})
	info, err := s.space.Create(parent, name, n)
	return info, s.caused(k, err)
}

// save saves; base names the version that the content is an edit of.
func (s *shared) save(id space.NodeID, base *string, p payload, mtime time.Time) (space.Info, error) {
	c, err := s.content(p)
	if err != nil {
		return space.Info{}, spaceErr(err)
	}
	before, err := s.space.Stat(id)
	if err != nil {
		return space.Info{}, spaceErr(err)
	}
	k := s.cause(cause{op: space.Changed, node: id})
	info, err := s.space.Save(id, base, c, mtime)
	if err == nil && info.Version == before.Version {
		s.forget(k) // the time alone changed
	}
	return info, s.caused(k, err)
}

func (s *shared) move(id, parent space.NodeID, name string, replace bool) error {
	var over cause
	if replace {
		if old, err := s.space.Lookup(parent, name); err == nil {
			over = s.cause(cause{op: space.Removed, node: old.ID})
		}
	}
	before, err := s.space.Stat(id)
	if err != nil {
		return s.caused(over, err)
	}
	k := s.cause(cause{space.Moved, id, spot{before.Parent, before.Name}, spot{parent, name}})
	_, err = s.space.Move(id, parent, name, replace)
	s.caused(over, err)
	return s.caused(k, err)
}

func (s *shared) exchange(a, b space.NodeID) error {
	var at [2]spot
	for i, id := range []space.NodeID{a, b} {
		info, err := s.space.Stat(id)
		if err != nil {
			return spaceErr(err)
		}
		at[i] = spot{info.Parent, info.Name}
	}
	ka, kb := s.cause(cause{space.Moved, a, at[0], at[1]}), s.cause(cause{space.Moved, b, at[1], at[0]})
	err := s.space.Exchange(a, b)
	s.caused(ka, err)
	return s.caused(kb, err)
}

func (s *shared) remove(id space.NodeID) error {
	k := s.cause(cause{op: space.Removed, node: id})
	return s.caused(k, s.space.Remove(id))
}

func (s *shared) setAttr(id space.NodeID, exec *bool, mtime *time.Time) error {
	s.changing(id)
	return spaceErr(s.space.SetAttr(id, exec, mtime))
}

func (s *shared) setXattr(id space.NodeID, name string, value []byte) error {
	s.changing(id)
	return spaceErr(s.space.SetXattr(id, name, value))
}

func (s *shared) setMode(id space.NodeID, mode uint32) error {
	s.changing(id)
	return spaceErr(s.space.SetMode(id, mode))
}

// changing notes that attributes of a node are about to change.
func (s *shared) changing(id space.NodeID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent[id] = s.now()
}

func (s *shared) sync() error { return spaceErr(s.space.Sync(s.ctx)) }

// cause notes that a change of ours is about to happen.
func (s *shared) cause(c cause) cause {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expect[c] = append(s.expect[c], s.now())
	if len(s.recent) >= recentKept {
		clear(s.recent)
	}
	s.recent[c.node] = s.now()
	return c
}

// caused takes the note back if the change did not happen.
func (s *shared) caused(c cause, err error) error {
	if err != nil {
		s.forget(c)
	}
	return spaceErr(err)
}

func (s *shared) forget(c cause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeLocked(c)
}

// news is what an event tells the kernel, unless it is the echo of a change of
// ours. What moved by a call of ours to another place than it was to is there
// for the kernel: somebody else has a better right to that name.
func (s *shared) news(e space.Event) (space.Event, bool) {
	if e.Remote {
		return e, true
	}
	c := cause{op: e.Op, node: e.ID}
	switch e.Op {
	case space.Created:
		c = cause{op: e.Op, to: spot{e.Parent, e.Name}}
	case space.Moved:
		c.from, c.to = spot{e.OldParent, e.OldName}, spot{e.Parent, e.Name}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Op == space.Attr { // comes alone or after any other event of the node
		return e, s.now().Sub(s.recent[e.ID]) >= causeKept
	}
	if s.expectedLocked(c) {
		return e, false
	}
	if e.Op == space.Moved {
		for k := range s.expect {
			if k.op == e.Op && k.node == e.ID && k.from == c.from && s.expectedLocked(k) {
				e.OldParent, e.OldName = k.to.dir, k.to.name
				return e, true
			}
		}
	}
	return e, true
}

// expectedLocked reports whether a change of ours is still to be told of, and
// takes it for told.
func (s *shared) expectedLocked(c cause) bool {
	for len(s.expect[c]) > 0 {
		if s.now().Sub(s.takeLocked(c)) < causeKept {
			return true
		}
	}
	return false
}

func (s *shared) takeLocked(c cause) time.Time {
	l := s.expect[c]
	if len(l) == 0 {
		return time.Time{}
	}
	if len(l) == 1 {
		delete(s.expect, c)
	} else {
		s.expect[c] = l[1:]
	}
	return l[0]
}

// spaceErr makes an errno of what only package space can say.
func spaceErr(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, space.ErrReadOnly):
		return syscall.EROFS
	case errors.Is(err, space.ErrClosed):
		return syscall.ENODEV
	}
	return err
}
