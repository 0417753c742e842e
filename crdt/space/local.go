package space

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// Frames of the journal begin with what they hold.
const (
	frameLocal  = 1 // feed, then payloads of operations, each after its length
	frameRemote = 2 // an entry as it travels
)

// A change collects the operations of one call. They travel together.
type change struct {
	s     *Space
	feed  identity.ID
	id    NodeID // whose Info the call returns
	ops   []tree.Op
	edits map[uint64]edited // by number of the operation
}

// edited is what an edit does to a document.
type edited struct {
	key  string // of the document
	text string // then
	puts []docPut
	void bool // no device can make sense of the edit: it is counted and ignored
}

// next adds an operation on a node and returns it to be filled in. The pointer
// is good until the next call.
func (c *change) next(node tree.NodeID, lamport uint64) *tree.Op {
	c.ops = append(c.ops, tree.Op{
		N:    c.s.tree.Applied(c.feed) + 1 + uint64(len(c.ops)),
		Node: node, Lamport: min(lamport+1, tree.MaxLamport),
	})
	return &c.ops[len(c.ops)-1]
}

// change runs fn under the write lock and makes what it collected happen: in
// the journal first, then in memory, where nothing can fail any more. It
// returns what the node is then, before anybody else changes it.
func (s *Space) change(name string, id NodeID, fn func(c *change) error) (Info, error) {
	s.settledSoon()
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return Info{}, s.fail(name, id, ErrClosed)
	}
	if s.ReadOnly() {
		return Info{}, s.fail(name, id, ErrReadOnly)
	}
	feedID, err := s.ownFeed()
	if err != nil {
		return Info{}, s.fail(name, id, err)
	}
	c := &change{s: s, feed: feedID, id: id, edits: make(map[uint64]edited)}
	if err := fn(c); err != nil {
		s.forget(c.edits)
		return Info{}, s.fail(name, id, err)
	}
	if len(c.ops) > 0 {
		if err := c.happen(); err != nil {
			s.forget(c.edits)
			return Info{}, s.fail(name, id, err)
		}
	}
	e, ok := s.tree.Get(c.id)
	if !ok {
		return Info{}, nil // removed
	}
	return s.info(e), nil
}

// happen journals the operations and applies them.
func (c *change) happen() error {
	s := c.s
	groups := c.split()
	frame, err := encodeFrame(c.feed, groups)
	if err != nil {
		return err
	}
	if err := s.journal.Append(frame); err != nil {
		return err
	}
	s.apply(c.feed, c.ops, c.edits, func() {
		for _, ops := range groups {
			s.batch.add(localOps{c.feed, ops})
		}
	}, false)
	s.docs.trim()
	s.poke()
	return nil
}

// split cuts the operations so that each part fits into an entry: nearly
// always there is one.
func (c *change) split() [][]tree.Op {
	var groups [][]tree.Op
	from, size := 0, 0
	for i := range c.ops {
		w := weigh(&c.ops[i])
		if i > from && (i-from == tree.MaxOps || size+w > tree.MaxPayload) {
			groups, from, size = append(groups, c.ops[from:i]), i, 0
		}
		size += w
	}
	return append(groups, c.ops[from:])
}

func encodeFrame(feedID identity.ID, groups [][]tree.Op) ([]byte, error) {
	frame := append([]byte{frameLocal}, feedID[:]...)
	for _, ops := range groups {
		payload, err := tree.Encode(ops)
		if err != nil {
			return nil, err
		}
		frame = binary.AppendUvarint(frame, uint64(len(payload)))
		frame = append(frame, payload...)
	}
	return frame, nil
}

// apply makes operations happen in memory: the tree, texts, documents, what
// the next commit writes, and what subscribers are told. note, called under the
// lock, adds the operations or their entry to the batch. The caller holds write.
func (s *Space) apply(feedID identity.ID, ops []tree.Op, edits map[uint64]edited, note func(), remote bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range ops {
		s.applyOp(feedID, ops[i], edits[ops[i].N])
	}
	clear(s.docs.staged)
	s.wait.cameOps(feedID, ops)
	note()
	changes := s.tree.Settle()
	s.gone.noteLocked(changes)
	s.events.add(changes, remote)
}

func (s *Space) applyOp(feedID identity.ID, op tree.Op, e edited) {
	if e.void {
		op.Edit = nil
		if op.Place == nil && op.Meta == nil && op.Attr == nil {
			if err := s.tree.Skip(feedID, op.N); err != nil {
				s.log.Error("operation out of order", "space", s.name, "err", err)
			}
			return
		}
	}
	before := s.tree.TextKeys(op.Node)
	if err := s.tree.Apply(feedID, &op); err != nil {
		s.log.Error("operation cannot be applied", "space", s.name, "err", err) // was checked before
		return
	}
	s.batch.nodes[op.Node] = true
	s.batch.trace(feedID, &op)
	if c := op.Content; c != nil {
		switch c.Kind {
		case tree.Bytes:
			s.putText(textKey(op.Node, tree.Version{Feed: feedID, N: op.N}), stored{data: c.Data})
		case tree.Blob:
			s.batch.blobs = true
			s.chunks.wantRef([32]byte(c.Hash), c.Size)
		}
	}
	if op.Edit != nil {
		s.putText(e.key, stored{data: []byte(e.text)})
		s.tree.SetSize(op.Node, op.Edit.Base, int64(len(e.text)))
		for _, p := range e.puts {
			s.putDoc(p.key, p.stored)
		}
		if now, ok := s.tree.Get(op.Node); ok && now.Key == op.Edit.Base { // who saved knows this text
			s.bases.put(now.Tag, []byte(e.text))
		}
	}
	if op.Content != nil || op.Edit != nil {
		after := s.tree.TextKeys(op.Node)
		for _, v := range before {
			if _, still := slices.BinarySearchFunc(after, v, tree.Version.Compare); !still {
				s.putText(textKey(op.Node, v), stored{gone: true})
			}
		}
	}
}

// Create makes a node. An existing name is os.ErrExist.
func (s *Space) Create(parent NodeID, name string, n New) (Info, error) {
	return s.change("create", parent, func(c *change) error {
		if err := s.free(parent, name); err != nil {
			return s.failAt("create", parent, name, err)
		}
		content := &tree.Content{Kind: tree.Dir}
		switch n.Kind {
		case File:
			var err error
			if content, err = s.op(n.Content); err != nil {
				return err
			}
		case Symlink:
			if n.Target == "" || len(n.Target) > tree.MaxTarget {
				return syscall.EINVAL
			}
			content = &tree.Content{Kind: tree.Symlink, Data: []byte(n.Target)}
		}
		id := s.newID(parent, name, n.Kind)
		c.id = id
		live := s.tree.Live(id)
		op := c.next(id, live.Lamport)
		op.Place = &tree.Place{Parent: parent, Name: []byte(name), Over: versions(live.Place)}
		op.Meta = &tree.Meta{Exec: n.Exec, Mtime: s.mtime(n.Mtime), Over: versions(live.Meta)}
		op.Content = content
		op.Content.Over = versions(live.Content, live.Rest)
		return nil
	})
}

func (s *Space) mtime(t time.Time) int64 {
	if t.IsZero() {
		t = s.now()
	}
	return t.UnixNano()
}

// versions returns the union of sorted lists, sorted.
func versions(lists ...[]tree.Version) []tree.Version {
	all := slices.Concat(lists...)
	slices.SortFunc(all, tree.Version.Compare)
	all = slices.Compact(all)
	return all[:min(len(all), tree.MaxOver)]
}

// newID returns the ID of a new node. A folder's follows from where it is made,
// so that one made on two devices is one, unless that folder has moved away.
func (s *Space) newID(parent NodeID, name string, kind Kind) NodeID {
	if kind == Dir {
		id := tree.FolderID(parent, name)
		p, n, known := s.tree.Known(id)
		_, shown := s.tree.Get(id)
		if !known || !shown && p == parent && n == name {
			return id
		}
	}
	var id NodeID
	rand.Read(id[:])
	return id
}

// free returns nil if parent can hold a new entry called name.
func (s *Space) free(parent NodeID, name string) error {
	if err := s.folder(parent); err != nil {
		return err
	}
	if !tree.Legal(name) {
		if len(name) > 255 {
			return syscall.ENAMETOOLONG
		}
		return fmt.Errorf("name %q: %w", name, syscall.EINVAL)
	}
	if _, taken := s.tree.Lookup(parent, name); taken {
		return os.ErrExist
	}
	return nil
}

func (s *Space) folder(id NodeID) error {
	e, ok := s.tree.Get(id)
	if !ok {
		return os.ErrNotExist
	}
	if e.Kind != tree.Dir {
		return syscall.ENOTDIR
	}
	return nil
}

// Move renames a node. With replace, what has the name already is removed in
// the same entry.
func (s *Space) Move(id, parent NodeID, name string, replace bool) (Info, error) {
	return s.change("rename", id, func(c *change) error {
		e, ok := s.tree.Get(id)
		if !ok {
			return os.ErrNotExist
		}
		if e.ID == Root {
			return syscall.EBUSY
		}
		if e.Kind == tree.Dir && s.tree.Within(parent, id) {
			return syscall.EINVAL
		}
		if e.Parent == parent && e.Name == name {
			return nil
		}
		err := s.free(parent, name)
		if err == os.ErrExist && replace {
			err = c.replace(e, parent, name)
		}
		if err != nil {
			return s.failAt("rename to", parent, name, err)
		}
		if e.Copy {
			c.id, err = c.part(e, parent, name, nil, nil)
			return err
		}
		live := s.tree.Live(id)
		c.next(id, live.Lamport).Place = &tree.Place{Parent: parent, Name: []byte(name), Over: versions(live.Place)}
		return nil
	})
}

// replace removes what e is moved over.
func (c *change) replace(e tree.Entry, parent NodeID, name string) error {
	id, _ := c.s.tree.Lookup(parent, name)
	old, ok := c.s.tree.Get(id)
	if !ok {
		return os.ErrNotExist
	}
	if old.Kind == tree.Dir && e.Kind != tree.Dir {
		return syscall.EISDIR
	}
	if old.Kind != tree.Dir && e.Kind == tree.Dir {
		return syscall.ENOTDIR
	}
	return c.remove(old)
}

// Exchange swaps the places of two nodes.
func (s *Space) Exchange(a, b NodeID) error {
	_, err := s.change("exchange", a, func(c *change) error {
		ea, okA := s.tree.Get(a)
		eb, okB := s.tree.Get(b)
		switch {
		case !okA || !okB:
			return os.ErrNotExist
		case a == Root || b == Root || ea.Copy || eb.Copy:
			return syscall.EINVAL
		case s.tree.Within(a, b) || s.tree.Within(b, a):
			if a == b {
				return nil
			}
			return syscall.EINVAL
		}
		for _, m := range []struct{ from, to tree.Entry }{{ea, eb}, {eb, ea}} {
			live := s.tree.Live(m.from.ID)
			c.next(m.from.ID, live.Lamport).Place = &tree.Place{Parent: m.to.Parent, Name: []byte(m.to.Name), Over: versions(live.Place)}
		}
		return nil
	})
	return err
}

// SetAttr sets attributes; nil leaves one as it is.
func (s *Space) SetAttr(id NodeID, exec *bool, mtime *time.Time) error {
	_, err := s.change("setattr", id, func(c *change) error {
		e, ok := s.tree.Get(id)
		if !ok {
			return os.ErrNotExist
		}
		if e.ID == Root {
			return nil // has none
		}
		meta := &tree.Meta{Exec: e.Exec, Mtime: e.Mtime}
		if exec != nil {
			meta.Exec = *exec
		}
		if mtime != nil {
			meta.Mtime = mtime.UnixNano()
		}
		if meta.Exec == e.Exec && meta.Mtime == e.Mtime {
			return nil
		}
		if e.Copy {
			_, err := c.part(e, e.Parent, e.Name, nil, meta)
			return err
		}
		live := s.tree.Live(id)
		meta.Over = versions(live.Meta)
		c.next(id, live.Lamport).Meta = meta
		return nil
	})
	return err
}
