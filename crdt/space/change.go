package space

import (
	"encoding/binary"
	"slices"

	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
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
			s.remember(now.Tag, []byte(e.text))
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
