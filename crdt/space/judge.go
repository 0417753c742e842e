package space

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/acceptance"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// slowRebuild is from how many entries on a rebuild is told of in the log.
const slowRebuild = 10_000

// judge finds out which entries count, when that may have changed, and makes the
// state anew if it has. Who does not belong to the space any more keeps it as
// it was.
func (s *Space) judge(ctx context.Context) error {
	for {
		if !s.unjudged.Load() && s.members.Generation() == s.judged.Load() || s.Standing() != Present {
			return nil
		}
		if err := s.commit(); err != nil {
			return err
		}
		done, err := s.judgeCommitted(ctx)
		if err != nil {
			return fmt.Errorf("judging the entries of %s: %w", s.name, err)
		}
		if done != nil {
			done()
			return nil
		}
	}
}

// judgeCommitted judges if nothing waits for a commit. It returns what to do
// without locks afterwards.
func (s *Space) judgeCommitted(ctx context.Context) (then func(), err error) {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if !s.batch.empty() || s.inflight != nil {
		return nil, nil
	}
	generation := s.members.Generation()
	s.unjudged.Store(false)
	v, err := s.reach()
	if err == nil && v.changes(s) {
		err = s.enforce(ctx, v)
	}
	if err == nil {
		err = s.db.Update(func(tx *store.Tx) error {
			return tx.PutMeta(metaJudged, binary.BigEndian.AppendUint64(nil, generation))
		})
	}
	if err != nil {
		s.unjudged.Store(true)
		return nil, err
	}
	s.judged.Store(generation)
	return func() { s.aftermath(ctx, v) }, nil
}

// A verdict says which entries of the log count.
type verdict struct {
	log   []logged                  // what stays in the log
	drop  map[[32]byte]uint64       // what leaves it: of each feed all from a number on
	dead  map[identity.ID]bool      // of what stays
	lost  map[identity.ID]bool      // forks' losers
	news  []logged                  // that did not count before now do not
	back  [][]byte                  // set aside once, and has not lost any more; it stays there until it is in the log
	inLog []identity.ID             // what has come back
	own   []logged                  // of news and what leaves the log: what this device wrote
	saved []saved                   // what was in the files those wrote
	was   *tree.State               // before
	heads map[identity.ID]feed.Head // after
}

// reach works the verdict out. The caller holds write.
func (s *Space) reach() (*verdict, error) {
	v := &verdict{drop: make(map[[32]byte]uint64), lost: make(map[identity.ID]bool), heads: make(map[identity.ID]feed.Head)}
	var log []logged
	var aside []acceptance.Entry
	raws := make(map[identity.ID][]byte)
	err := s.db.View(func(tx *store.Tx) (err error) {
		if log, err = headers(tx); err != nil {
			return err
		}
		return tx.Metas(metaAside, func(_ string, raw []byte) error {
			h, id, err := feed.Peek(raw)
			if err == nil {
				aside = append(aside, head(&h, id))
				raws[id] = raw
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	known := make(map[identity.ID]bool, len(log))
	for i := range log {
		known[log[i].ID] = true
	}
	places := s.places()
	var pairs []acceptance.Fork
	for i := range places {
		pairs = append(pairs, places[i].pairs()...)
		for _, e := range places[i].all {
			if !slices.ContainsFunc(aside, func(a acceptance.Entry) bool { return a.ID == e.ID }) {
				aside = append(aside, e)
			}
		}
	}
	aside = causal(aside)
	dead := acceptance.Dead(s.members, each(log, aside), pairs)
	gone := make(map[identity.ID]bool)
	for i := range places {
		for _, id := range places[i].losers(dead) {
			v.lost[id], gone[id] = true, true
		}
	}
	v.dead = make(map[identity.ID]bool)
	descends := func(e *acceptance.Entry) bool {
		return gone[e.ID] || gone[e.Prev] || slices.ContainsFunc(e.Deps, func(d identity.ID) bool { return gone[d] })
	}
	for i := range log {
		e := &log[i]
		if descends(&e.Entry) {
			gone[e.ID] = true
			if _, already := v.drop[e.Feed]; !already {
				v.drop[e.Feed] = e.Seq
			}
			v.noteOwn(s, e)
			continue
		}
		v.log = append(v.log, *e)
		v.heads[e.Feed] = feed.Head{Seq: e.Seq, ID: e.ID}
		if dead[e.ID] {
			v.dead[e.ID] = true
			if !s.dead[e.ID] {
				v.news = append(v.news, *e)
				v.noteOwn(s, e)
			}
		}
	}
	for i := range aside {
		e := &aside[i]
		if descends(e) {
			gone[e.ID] = true
		} else if known[e.ID] {
			v.inLog = append(v.inLog, e.ID)
		} else if raw := raws[e.ID]; raw != nil {
			v.back = append(v.back, raw)
		}
	}
	return v, nil
}

// noteOwn notes an entry that this device wrote and that counted until now.
func (v *verdict) noteOwn(s *Space, e *logged) {
	if owner, ok := s.members.Feed(e.Feed); ok && owner.Device == s.device.Key() && !s.dead[e.ID] {
		v.own = append(v.own, *e)
	}
}

// causal sorts entries so that what they build on, if it is among them, comes
// before them.
func causal(entries []acceptance.Entry) []acceptance.Entry {
	slices.SortFunc(entries, func(a, b acceptance.Entry) int { return a.ID.Compare(b.ID) })
	at := make(map[identity.ID]int, len(entries))
	for i := range entries {
		at[entries[i].ID] = i
	}
	out := make([]acceptance.Entry, 0, len(entries))
	var visit func(id identity.ID)
	visit = func(id identity.ID) {
		i, waits := at[id]
		if !waits {
			return
		}
		delete(at, id)
		visit(entries[i].Prev)
		for _, dep := range entries[i].Deps {
			visit(dep)
		}
		out = append(out, entries[i])
	}
	for i := range entries {
		visit(entries[i].ID)
	}
	return out
}

// changes reports whether the state has to be made anew.
func (v *verdict) changes(s *Space) bool {
	return len(v.drop) > 0 || !maps.Equal(v.dead, s.dead) || !maps.Equal(v.lost, s.forks.lost)
}

// enforce makes the state by the verdict. The caller holds committing and write.
func (s *Space) enforce(ctx context.Context, v *verdict) error {
	begun := time.Now()
	if len(v.log) >= slowRebuild {
		s.log.Info("which entries count has changed; the space is made anew", "space", s.name, "entries", len(v.log))
	}
	if err := s.save(v); err != nil {
		return err
	}
	v.was = s.tree
	own := s.feed
	_, forked := s.forks.proofs[own]
	_, dropped := v.drop[own]
	retire := !own.IsZero() && (forked || dropped || v.dead[v.heads[own].ID])
	err := s.rebuildWithout(ctx, v.dead, v.heads, func(tx *store.Tx) error {
		if err := s.setAside(tx, v); err != nil {
			return err
		}
		if retire {
			if err := s.putOwn(tx, identity.ID{}); err != nil {
				return err
			}
		}
		for _, w := range v.saved {
			if w.keep == nil {
				continue
			}
			if err := putWithdrawn(tx, *w.keep); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.forks.lost = v.lost
	for id := range v.lost {
		s.wait.came(want{entry: id}) // what waits for it will never be taken
	}
	if retire {
		s.feed = identity.ID{}
	}
	if len(v.drop) > 0 {
		s.lineage.Add(1)
		s.auths = nil
		s.notify.fire()
	}
	s.log.Info("which entries count has changed", "space", s.name, "entries", len(v.log), "dead", len(v.dead),
		"new", len(v.news), "feeds cut", len(v.drop), "took", time.Since(begun).Round(time.Millisecond))
	return nil
}

// setAside moves what leaves the log, and notes who lost.
func (s *Space) setAside(tx *store.Tx, v *verdict) error {
	if len(v.drop) > 0 {
		raws, err := tx.DropFrom(v.drop)
		if err != nil {
			return err
		}
		for _, raw := range raws {
			_, id, err := feed.Peek(raw)
			if err != nil {
				return err
			}
			if err := tx.PutMeta(metaAside+string(id[:]), raw); err != nil {
				return err
			}
			if err := tx.DeleteMeta(metaEntry + string(id[:])); err != nil {
				return err
			}
		}
		for f := range v.drop {
			if owner, ok := s.members.Feed(f); ok && owner.Device == s.device.Key() {
				if err := tx.PutMeta(metaEnded+string(f[:]), nil); err != nil {
					return err
				}
			}
		}
	}
	for _, id := range v.inLog {
		if err := tx.DeleteMeta(metaAside + string(id[:])); err != nil {
			return err
		}
	}
	for id := range s.forks.lost {
		if !v.lost[id] {
			if err := tx.DeleteMeta(metaLost + string(id[:])); err != nil {
				return err
			}
		}
	}
	for id := range v.lost {
		if err := tx.PutMeta(metaLost+string(id[:]), nil); err != nil {
			return err
		}
	}
	return nil
}

// aftermath does what takes no lock: what has not lost any more comes back, and
// what this device wrote in vain is written again.
func (s *Space) aftermath(ctx context.Context, v *verdict) {
	for _, raw := range v.back {
		if e, err := feed.Decode(raw); err == nil {
			if _, errs := s.acceptOne(&e); len(errs) > 0 {
				s.log.Warn("an entry that was set aside cannot be taken back", "space", s.name, "err", errs[0])
			}
		}
	}
	s.writeAgain(v)
	s.poke()
}
