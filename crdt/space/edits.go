package space

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/echofs/echofs/crdt/document"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// maxTogether bounds the operations of one document, and so its memory, when
// many write it at the same time: alone nobody gets beyond two thirds. It is
// more than any honest use comes to, and less than stops a computer.
const maxTogether = 3 << 19

var (
	// errTooMuch reports an edit of a document that has no room for it.
	errTooMuch = errors.New("it edits a text that too many have edited at the same time")
	// errNotText reports an edit of what is no text on any device.
	errNotText = errors.New("an edit of what is not text")
)

// forget closes documents that hold edits which do not happen.
func (s *Space) forget(edits map[uint64]edited) {
	for _, e := range edits {
		s.docs.drop(e.key)
	}
	clear(s.docs.staged)
}

// vetEdits applies the edits among ops to their documents. An edit that no
// device can make sense of, whatever else it has, is void: it is counted and
// ignored, and everybody decides so.
func (s *Space) vetEdits(feedID identity.ID, ops []tree.Op) (map[uint64]edited, error) {
	if !slices.ContainsFunc(ops, func(op tree.Op) bool { return op.Edit != nil }) {
		return nil, nil
	}
	infos, err := s.checkEdits(feedID, ops)
	if err != nil {
		return nil, err
	}
	edits := make(map[uint64]edited)
	for _, op := range ops {
		if op.Edit == nil {
			continue
		}
		if _, ok := infos[op.N]; !ok {
			edits[op.N] = edited{void: true}
			continue
		}
		doc, err := s.document(op.Node, op.Edit.Base, feedID, ops)
		if err == nil && doc.doc.Ops()+infos[op.N].Ops > maxTogether {
			err = errTooMuch
		}
		if err != nil {
			s.forget(edits)
			return nil, err
		}
		err = doc.doc.Apply([][]byte{op.Edit.Change})
		void := errors.Is(err, document.ErrInvalid) ||
			errors.Is(err, document.ErrMissing) // it builds on a void one of this entry
		if err != nil && !void {
			s.docs.drop(doc.key) // the trouble is here, not with the edit
			s.forget(edits)
			return nil, err
		}
		if err != nil {
			s.complain("an edit cannot be applied and is ignored", "space", s.name,
				"feed", feedID.Short(), "op", op.N, "err", err)
			edits[op.N] = edited{void: true}
			continue
		}
		if why := doc.doc.Degraded(); why != nil {
			s.complain("a text can be read but not edited; the next save writes it as a whole",
				"space", s.name, "path", s.Path(op.Node), "err", why)
		}
		edits[op.N] = s.edited(doc, op.Edit.Change)
		s.docs.trim() // an entry may edit more texts than fit into memory
	}
	return edits, nil
}

// checkEdits says which edits make sense, without changing anything. An edit
// that builds on a change which is not here makes the entry wait.
func (s *Space) checkEdits(feedID identity.ID, ops []tree.Op) (map[uint64]document.Info, error) {
	infos := make(map[uint64]document.Info)
	within := make(map[document.Hash]bool) // changes made by this entry
	for _, op := range ops {
		if op.Edit == nil {
			continue
		}
		void := func(reason string, err error) {
			s.complain("an edit is ignored: "+reason, "space", s.name, "feed", feedID.Short(), "op", op.N, "err", err)
		}
		info, err := document.Check(op.Edit.Change)
		if err != nil {
			void("its change is not valid", err)
			continue
		}
		if info.Actor != actor(feedID, textKey(op.Node, op.Edit.Base)) {
			void("it names another author", nil)
			continue
		}
		doc, err := s.document(op.Node, op.Edit.Base, feedID, ops)
		if errors.Is(err, errNotText) || errors.Is(err, document.ErrTooLarge) || errors.Is(err, errDead) {
			void("what it changes is not a text", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		lacks := slices.IndexFunc(info.Deps, func(dep document.Hash) bool { return !within[dep] && !doc.doc.Has(dep) })
		if lacks >= 0 {
			never, err := s.neverComes(info.Deps[lacks])
			if err != nil {
				return nil, err
			}
			if !never {
				return nil, errWait{want{change: info.Deps[lacks]}}
			}
			void("it builds on what does not count", nil)
			continue
		}
		within[info.Hash] = true
		infos[op.N] = info
		s.docs.trim()
	}
	return infos, nil
}

// document returns the document of a base, made from its bytes if nobody has
// edited it yet. ops are those of the entry at hand.
func (s *Space) document(node tree.NodeID, base tree.Version, feedID identity.ID, ops []tree.Op) (*openDoc, error) {
	key := textKey(node, base)
	if doc, err := s.openText(key); doc != nil || err != nil {
		return doc, err
	}
	var op *tree.Op
	if i := base.N - ops[0].N; base.Feed == feedID && i < uint64(len(ops)) {
		op = &ops[i]
	} else {
		var err error
		if op, err = s.findOp(base); err != nil {
			return nil, err
		}
	}
	if op.Node != node || op.Content == nil || op.Content.Kind != tree.Bytes || !tree.IsText(op.Content.Data) {
		return nil, errNotText
	}
	return s.beginText(key, op.Content.Data)
}

// neverComes reports whether no entry that counts will bring a change: one that
// does not has it, or everything there is has been looked at.
func (s *Space) neverComes(change document.Hash) (bool, error) {
	if s.anew || len(s.dead) == 0 {
		return s.anew, nil
	}
	if s.deadChanges == nil {
		changes := make(map[document.Hash]bool)
		for id := range s.dead {
			ops, err := s.opsByID(id)
			if err != nil {
				return false, err
			}
			for i := range ops {
				if edit := ops[i].Edit; edit != nil {
					if info, err := document.Check(edit.Change); err == nil {
						changes[info.Hash] = true
					}
				}
			}
		}
		s.deadChanges = changes
	}
	return s.deadChanges[change], nil
}

// opsByID returns the operations of an entry of the log.
func (s *Space) opsByID(id identity.ID) ([]tree.Op, error) {
	s.mu.RLock()
	for _, b := range []*batch{s.batch, s.inflight} {
		if b == nil {
			continue
		}
		for i := range b.remote {
			if b.remote[i].ID == id {
				e := b.remote[i]
				s.mu.RUnlock()
				return s.opsOf(&e)
			}
		}
	}
	s.mu.RUnlock()
	var e feed.Entry
	err := s.view(func(tx *store.Tx) error {
		at, err := tx.Meta(metaEntry + string(id[:]))
		if err != nil {
			return err
		}
		if len(at) != 40 {
			return fmt.Errorf("%w: place of an entry", store.ErrDamaged)
		}
		e, err = readEntry(tx, identity.ID(at[:32]), binary.BigEndian.Uint64(at[32:]))
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.opsOf(&e)
}
