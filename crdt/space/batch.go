package space

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// A batch is what one commit writes.
type batch struct {
	remote  []feed.Entry  // in the order they were applied
	dead    []identity.ID // those of remote that do not count
	local   []localOps    // changes of this device that are not in an entry yet
	recent  []localOps    // the same, kept until the commit
	deps    []identity.ID
	nodes   map[tree.NodeID]bool
	records map[tree.NodeID][]byte // of nodes, taken with the batch
	texts   map[string]stored
	docs    map[string]stored
	traces  []trace
	blobs   bool          // some local content is a blob
	done    chan struct{} // closed when durable
	gen     uint64
	sealed  []feed.Entry // made of local
	segment uint64       // last one of the journal that this batch covers
}

// localOps is one change of this device: operations that travel together.
type localOps struct {
	feed identity.ID
	ops  []tree.Op
}

func newBatch() *batch {
	return &batch{
		nodes: make(map[tree.NodeID]bool),
		texts: make(map[string]stored),
		docs:  make(map[string]stored),
		done:  make(chan struct{}),
	}
}

func (b *batch) add(l localOps) {
	b.local = append(b.local, l)
	b.recent = append(b.recent, l)
}

func (b *batch) empty() bool { return len(b.remote) == 0 && len(b.local) == 0 && len(b.docs) == 0 }

// stored is a value to be, or that has been, written to the store.
type stored struct {
	data []byte
	gone bool
	gen  uint64 // of the batch that writes it
}

// overlay holds what is newer than the store. The caller holds mu.
type overlay struct {
	texts map[string]stored
	docs  map[string]stored
	bytes int
}

func newOverlay() overlay {
	return overlay{texts: make(map[string]stored), docs: make(map[string]stored)}
}

func (s *Space) putText(key string, v stored) {
	v.gen = s.batch.gen
	s.over.bytes += len(v.data) - len(s.over.texts[key].data)
	s.over.texts[key] = v
	s.batch.texts[key] = v
}

func (s *Space) putDoc(key string, v stored) {
	v.gen = s.batch.gen
	s.over.bytes += len(v.data) - len(s.over.docs[key].data)
	s.over.docs[key] = v
	s.batch.docs[key] = v
}

// settled drops from the overlay what the store now holds.
func (o *overlay) settled(b *batch) {
	drop := func(over map[string]stored, written map[string]stored) {
		for key := range written {
			if v := over[key]; v.gen <= b.gen {
				o.bytes -= len(v.data)
				delete(over, key)
			}
		}
	}
	drop(o.texts, b.texts)
	drop(o.docs, b.docs)
}

// pack takes from the front as many whole changes as fit into one entry.
func pack(local []localOps) (ops []tree.Op, rest []localOps) {
	size := 0
	for i, l := range local {
		for _, op := range l.ops {
			size += weigh(&op)
		}
		if i > 0 && (l.feed != local[0].feed || len(ops)+len(l.ops) > feed.MaxOps || size > feed.MaxPayload) {
			return ops, local[i:]
		}
		ops = append(ops, l.ops...)
	}
	return ops, nil
}

// weigh returns no less than op takes in a payload.
func weigh(op *tree.Op) int {
	n := 256 + 48*len(op.Named())
	if op.Place != nil {
		n += len(op.Place.Name)
	}
	if op.Content != nil {
		n += len(op.Content.Data)
	}
	if op.Edit != nil {
		n += len(op.Edit.Change)
	}
	return n
}

func (b *batch) write(heads feed.Timeframe) func(tx *store.Tx) error {
	return func(tx *store.Tx) error {
		for _, e := range slices.Concat(b.remote, b.sealed) {
			if _, err := tx.PutEntry(e.Feed, e.Seq, e.Raw); err != nil {
				return err
			}
			if err := tx.PutMeta(metaEntry+string(e.ID[:]), binary.BigEndian.AppendUint64(e.Feed[:], e.Seq)); err != nil {
				return err
			}
		}
		for _, id := range b.dead {
			if err := tx.PutMeta(metaDead+string(id[:]), nil); err != nil {
				return err
			}
		}
		if err := b.writeState(tx); err != nil {
			return err
		}
		return putHeads(tx, heads)
	}
}

// writeState writes what follows from the entries.
func (b *batch) writeState(tx *store.Tx) error {
	for _, id := range slices.SortedFunc(maps.Keys(b.records), tree.NodeID.Compare) {
		if err := tx.PutNode(id, b.records[id]); err != nil {
			return err
		}
	}
	if err := b.writeTraces(tx); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(b.texts)) {
		if err := put(b.texts[key], []byte(key), tx.PutText, tx.DeleteText); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b.docs)) {
		if err := put(b.docs[key], []byte(key), tx.PutDoc, tx.DeleteDoc); err != nil {
			return err
		}
	}
	return nil
}

func put(v stored, key []byte, set func(key, value []byte) error, del func(key []byte) error) error {
	if v.gone {
		return del(key)
	}
	return set(key, v.data)
}
