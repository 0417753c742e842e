package space

import (
	"fmt"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// payloads remembers the operations of entries read last.
type payloads struct {
	entries [8]struct {
		feed  identity.ID
		first uint64
		ops   []tree.Op
	}
	next int
}

// findOp returns an operation that was applied before. The caller holds write.
func (s *Space) findOp(v tree.Version) (*tree.Op, error) {
	f := identity.ID(v.Feed)
	pick := func(ops []tree.Op) *tree.Op {
		if len(ops) > 0 && v.N >= ops[0].N && v.N-ops[0].N < uint64(len(ops)) {
			return &ops[v.N-ops[0].N]
		}
		return nil
	}
	for _, p := range s.found.entries {
		if p.feed == f {
			if op := pick(p.ops); op != nil {
				return op, nil
			}
		}
	}
	e, ops, err := s.findEntry(f, v.N)
	if err != nil {
		return nil, err
	}
	if s.dead[e.ID] {
		return nil, errDead
	}
	if ops == nil {
		if ops, err = s.opsOf(&e); err != nil {
			return nil, err
		}
		slot := &s.found.entries[s.found.next]
		slot.feed, slot.first, slot.ops = f, e.First, ops
		s.found.next = (s.found.next + 1) % len(s.found.entries)
	}
	if op := pick(ops); op != nil {
		return op, nil
	}
	return nil, fmt.Errorf("operation %d of feed %s is not in the log", v.N, f.Short())
}

// opsOf decrypts the operations of an entry.
func (s *Space) opsOf(e *feed.Entry) ([]tree.Op, error) {
	payload, err := s.Keyring().Open(e)
	if err != nil {
		return nil, err
	}
	return tree.Decode(payload)
}

// findEntry returns the entry with the n-th operation of a feed, or the
// operations themselves if they are not in an entry yet.
func (s *Space) findEntry(f identity.ID, n uint64) (e feed.Entry, ops []tree.Op, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, b := range []*batch{s.batch, s.inflight} {
		if b == nil {
			continue
		}
		for _, r := range b.remote {
			if r.Feed == f && n >= r.First && n < r.Next() {
				return r, nil, nil
			}
		}
		for _, l := range b.recent {
			if l.feed == f && n >= l.ops[0].N && n < l.ops[0].N+uint64(len(l.ops)) {
				return e, l.ops, nil
			}
		}
	}
	low, high := uint64(1), s.durable[f].Seq
	err = s.view(func(tx *store.Tx) error {
		for low <= high {
			mid := (low + high) / 2
			if e, err = readEntry(tx, f, mid); err != nil {
				return err
			}
			switch {
			case n < e.First:
				high = mid - 1
			case n >= e.Next():
				low = mid + 1
			default:
				return nil
			}
		}
		return fmt.Errorf("operation %d of feed %s is not in the log", n, f.Short())
	})
	return e, nil, err
}
