package space

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// rebuildStep is how many entries are applied between writes of a rebuild.
const rebuildStep = 64

// Rebuild drops everything that was made from the log and makes it again. The
// space can be read meanwhile; changes wait.
func (s *Space) Rebuild(ctx context.Context) error {
	for {
		if err := s.commit(); err != nil {
			return err
		}
		done, err := s.rebuildCommitted(ctx)
		if done || err != nil {
			return err
		}
	}
}

// rebuildCommitted rebuilds if nothing waits for a commit.
func (s *Space) rebuildCommitted(ctx context.Context) (done bool, err error) {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return false, ErrClosed
	}
	if !s.batch.empty() || s.inflight != nil {
		return false, nil
	}
	return true, s.rebuild(ctx)
}

// rebuild makes the state from the log in one transaction, so that it is
// either the old or the new one. The caller holds committing and write, or is
// the only one who knows s.
func (s *Space) rebuild(ctx context.Context) error {
	return s.rebuildWithout(ctx, s.dead, s.durable, func(*store.Tx) error { return nil })
}

// rebuildWithout is rebuild where other entries are dead. first changes the log,
// in the same transaction, whose feeds then end at heads.
func (s *Space) rebuildWithout(ctx context.Context, dead map[identity.ID]bool, heads feed.Timeframe, first func(*store.Tx) error) error {
	s.docs.closeAll()
	var r *Space
	err := s.db.Update(func(tx *store.Tx) error {
		if err := first(tx); err != nil {
			return err
		}
		if err := errors.Join(tx.DropMaterialised(), putDead(tx, s.dead, dead), putHeads(tx, heads)); err != nil {
			return err
		}
		r = s.shadow(tx)
		r.dead, r.durable = dead, heads
		defer r.docs.closeAll()
		var refs []LogRef
		err := tx.Log(0, func(pos uint64, f [32]byte, seq uint64) error {
			refs = append(refs, LogRef{pos, f, seq})
			return nil
		})
		if err != nil {
			return err
		}
		for i, ref := range refs {
			if err := ctx.Err(); err != nil {
				return err
			}
			e, err := readEntry(tx, ref.Feed, ref.Seq)
			if err != nil {
				return err
			}
			if err := r.again(&e); err != nil {
				return fmt.Errorf("entry %d of feed %s: %w", e.Seq, e.Feed.Short(), err)
			}
			if (i+1)%slowRebuild == 0 {
				s.log.Info("making the space anew", "space", s.name, "entries", i+1, "of", len(refs))
			}
			if (i+1)%rebuildStep == 0 || i+1 == len(refs) {
				if err := r.flush(tx); err != nil {
					return err
				}
			}
		}
		return tx.PutMeta(metaTraces, tracesNow)
	})
	if err != nil {
		return fmt.Errorf("rebuilding %s: %w", s.name, err)
	}
	s.dead, s.deadChanges = dead, nil
	s.found = payloads{}
	s.lines.clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.tree
	s.tree, s.heads, s.frontier, s.durable = r.tree, r.heads, r.frontier, heads
	s.gone = gone{moment: s.gone.moment + 1}
	s.chunks.want(s.tree)
	s.events.add(differences(was, s.tree), true)
	return nil
}

// differences returns what is shown in one tree and not, or not so, in another.
func differences(was, is *tree.State) (changes []tree.Change) {
	before, after := shown(was), shown(is)
	for id, b := range before {
		if a := after[id]; a != b { // not there: has no kind
			changes = append(changes, tree.Change{ID: id, Before: b, After: a, Attr: true})
		}
	}
	for id, a := range after {
		if _, had := before[id]; !had {
			changes = append(changes, tree.Change{ID: id, After: a})
		}
	}
	slices.SortFunc(changes, func(a, b tree.Change) int { return a.ID.Compare(b.ID) })
	return changes
}

// shown returns everything in a tree by its ID.
func shown(t *tree.State) map[NodeID]tree.Entry {
	all := make(map[NodeID]tree.Entry)
	var walk func(NodeID)
	walk = func(dir NodeID) {
		for _, e := range t.Children(dir) {
			all[e.ID] = e
			if e.Kind == tree.Dir {
				walk(e.ID)
			}
		}
	}
	walk(Root)
	return all
}

// shadow returns a space that sees and fills the store of s through one
// transaction.
func (s *Space) shadow(tx *store.Tx) *Space {
	r := &Space{
		anew: true,
		id:   s.id, name: s.name, device: s.device, members: s.members, blobs: s.blobs, now: s.now,
		log:      slog.New(slog.DiscardHandler), // it was all said the first time
		view:     func(fn func(*store.Tx) error) error { return fn(tx) },
		tree:     tree.New(),
		heads:    make(map[identity.ID]feed.Entry),
		frontier: make(map[identity.ID]identity.ID),
		fresh:    make(map[identity.ID]bool),
		durable:  s.durable,
		over:     newOverlay(),
		batch:    newBatch(),
	}
	r.ring.Store(s.ring.Load())
	return r
}

// again applies an entry that was vetted when it came.
func (s *Space) again(e *feed.Entry) error {
	if s.dead[e.ID] {
		s.applyDead(e, nil)
		return nil
	}
	ops, err := s.opsOf(e)
	if err != nil {
		return err
	}
	edits, err := s.vetEdits(e.Feed, ops)
	if err != nil {
		return err
	}
	s.applyEntry(e, ops, edits)
	s.docs.trim()
	return nil
}

// flush writes the batch into a transaction and begins another.
func (s *Space) flush(tx *store.Tx) error {
	b := s.batch
	b.records = make(map[tree.NodeID][]byte, len(b.nodes))
	for id := range b.nodes {
		b.records[id] = s.tree.Record(id)
	}
	if err := b.writeState(tx); err != nil {
		return err
	}
	s.over.settled(b)
	s.batch = newBatch()
	s.batch.gen = b.gen + 1
	return nil
}
