package space

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity"
)

// durableWith returns the timeframe after b.
func (s *Space) durableWith(b *batch) feed.Timeframe {
	s.mu.RLock()
	t := maps.Clone(s.durable)
	s.mu.RUnlock()
	for _, e := range slices.Concat(b.remote, b.sealed) {
		t[e.Feed] = feed.Head{Seq: e.Seq, ID: e.ID}
	}
	return t
}

// putHeads stores a timeframe, in parts if it names more feeds than one can.
func putHeads(tx *store.Tx, heads feed.Timeframe) error {
	feeds := slices.SortedFunc(maps.Keys(heads), identity.ID.Compare)
	for part := 0; part == 0 || len(feeds) > 0; part++ {
		t := make(feed.Timeframe)
		for _, f := range feeds[:min(len(feeds), feed.MaxFeeds)] {
			t[f] = heads[f]
		}
		feeds = feeds[len(t):]
		data, err := t.Encode()
		if err != nil {
			return err
		}
		if err := tx.PutMeta(headsPart(part), data); err != nil {
			return err
		}
		if len(feeds) == 0 {
			return tx.DeleteMeta(headsPart(part + 1))
		}
	}
	return nil
}

func headsPart(i int) string {
	if i == 0 {
		return metaHeads
	}
	return metaHeads + "/" + strconv.Itoa(i)
}

// getHeads reads what putHeads stored.
func getHeads(tx *store.Tx) (feed.Timeframe, error) {
	heads := make(feed.Timeframe)
	for part := 0; ; part++ {
		data, err := tx.Meta(headsPart(part))
		if errors.Is(err, store.ErrNotFound) {
			return heads, nil
		}
		if err != nil {
			return nil, err
		}
		t, err := feed.DecodeTimeframe(data)
		if err != nil {
			return nil, err
		}
		maps.Copy(heads, t)
	}
}

// loadHeads reads how far each feed is.
func (s *Space) loadHeads(tx *store.Tx) error {
	var err error
	if s.durable, err = getHeads(tx); err != nil {
		return err
	}
	if err := errors.Join(s.loadDead(tx), s.loadForks(tx)); err != nil {
		return err
	}
	for id, head := range s.durable {
		e, err := readEntry(tx, id, head.Seq)
		if err != nil {
			return err
		}
		e.Raw = nil
		s.heads[id] = e
		if !s.dead[e.ID] {
			s.frontier[id] = e.ID
		}
		s.tree.SetApplied(id, e.Next()-1)
	}
	return nil
}

func readEntry(tx *store.Tx, id identity.ID, seq uint64) (feed.Entry, error) {
	raw, err := tx.Entry(id, seq)
	if err != nil {
		return feed.Entry{}, fmt.Errorf("entry %d of feed %s: %w", seq, id.Short(), err)
	}
	return feed.Decode(raw)
}
