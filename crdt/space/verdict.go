package space

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/echofs/echofs/crdt/acceptance"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// An entry that is in the log and does not count, for now, is dead: it is kept
// and passed on, and its operations are numbered but not applied. Package
// acceptance decides which those are. Entries that lost a fork, and what was
// built on them, leave the log: see fork.go.

// errDead says of an entry that it is well made and does not count now.
var errDead = errors.New("does not count now")

func head(h *feed.Header, id identity.ID) acceptance.Entry {
	return acceptance.Entry{ID: id, Feed: h.Feed, Seq: h.Seq, Prev: h.Prev, Deps: h.Deps, Auth: h.Auth}
}

// deadOnArrival reports whether an entry does not count now. If that has to be
// looked into, with all others, it asks for that. The caller holds write.
func (s *Space) deadOnArrival(e *feed.Entry) bool {
	parents := s.dead[e.Prev] || slices.ContainsFunc(e.Deps, func(id identity.ID) bool { return s.dead[id] })
	stands := s.members.Stands(credential.Cut{Feed: e.Feed, Seq: e.Seq, ID: e.ID}, e.Auth)
	switch {
	case stands && !parents && !s.excluded()[e.ID]:
		return false
	case stands:
		s.unjudged.Store(true) // perhaps it adopts what it builds on
	}
	return true
}

// excluded returns the entries that some credential excludes, whether that is in
// force or not.
func (s *Space) excluded() map[identity.ID]bool {
	if n := s.members.Len(); s.excludes.seen < n {
		for _, c := range s.members.Since(s.excludes.seen) {
			if c.Kind == credential.Exclude && !c.Newer {
				for _, cut := range c.Cuts {
					if s.excludes.ids == nil {
						s.excludes.ids = make(map[identity.ID]bool)
					}
					s.excludes.ids[cut.ID] = true
				}
			}
		}
		s.excludes.seen = n
	}
	return s.excludes.ids
}

// excludes are the entries named by the first seen credentials.
type excludes struct {
	seen int
	ids  map[identity.ID]bool
}

// loadDead reads which entries the state was made without.
func (s *Space) loadDead(tx *store.Tx) error {
	s.dead = make(map[identity.ID]bool)
	switch judged, err := tx.Meta(metaJudged); {
	case err == nil && len(judged) == 8:
		s.judged.Store(binary.BigEndian.Uint64(judged))
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	}
	return tx.Metas(metaDead, func(name string, _ []byte) error {
		id := name[len(metaDead):]
		if len(id) != len(identity.ID{}) {
			return fmt.Errorf("%w: name of an entry that does not count", store.ErrDamaged)
		}
		s.dead[identity.ID([]byte(id))] = true
		return nil
	})
}

// putDead stores which entries the state was made without.
func putDead(tx *store.Tx, old, now map[identity.ID]bool) error {
	for id := range old {
		if !now[id] {
			if err := tx.DeleteMeta(metaDead + string(id[:])); err != nil {
				return err
			}
		}
	}
	for id := range now {
		if !old[id] {
			if err := tx.PutMeta(metaDead+string(id[:]), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// A logged entry is one of the log, without its payload.
type logged struct {
	acceptance.Entry
	ref LogRef
}

// headers reads the log.
func headers(tx *store.Tx) ([]logged, error) {
	var refs []LogRef
	err := tx.Log(0, func(pos uint64, f [32]byte, seq uint64) error {
		refs = append(refs, LogRef{pos, f, seq})
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]logged, len(refs))
	for i, ref := range refs {
		raw, err := tx.Entry(ref.Feed, ref.Seq)
		if err != nil {
			return nil, fmt.Errorf("entry %d of feed %s: %w", ref.Seq, ref.Feed.Short(), err)
		}
		h, id, err := feed.Peek(raw)
		if err != nil {
			return nil, err
		}
		out[i] = logged{head(&h, id), ref}
	}
	return out, nil
}

func each(log []logged, aside []acceptance.Entry) iter.Seq[acceptance.Entry] {
	return func(yield func(acceptance.Entry) bool) {
		for i := range log {
			if !yield(log[i].Entry) {
				return
			}
		}
		for _, e := range aside {
			if !yield(e) {
				return
			}
		}
	}
}
