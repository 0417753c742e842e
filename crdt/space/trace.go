package space

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/echofs/echofs/crdt/document"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity"
)

// trace is what history keeps of one operation, until the commit.
type trace struct {
	node tree.NodeID
	tree.Trace
}

// trace notes an operation that has happened.
func (b *batch) trace(feedID identity.ID, op *tree.Op) {
	t, ok := tree.TraceOf(feedID, op)
	if !ok {
		return
	}
	if op.Edit != nil {
		t.Change = document.HashOf(op.Edit.Change)
	}
	b.traces = append(b.traces, trace{op.Node, t})
}

// writeTraces writes the traces, now that all operations are in entries.
func (b *batch) writeTraces(tx *store.Tx) error {
	entries := make(map[identity.ID][]feed.Entry)
	for _, e := range slices.Concat(b.remote, b.sealed) {
		entries[e.Feed] = append(entries[e.Feed], e)
	}
	for _, t := range b.traces { // others may read them meanwhile, so they stay as they are
		in := entries[t.Feed]
		at, _ := slices.BinarySearchFunc(in, t.N, func(e feed.Entry, n uint64) int {
			if e.Next() <= n {
				return -1
			}
			return 1
		})
		if at < len(in) && in[at].First <= t.N {
			t.Seq, t.Time = in[at].Seq, in[at].Time
		}
		if err := tx.PutTrace(t.Key(t.node), t.Encode()); err != nil {
			return err
		}
	}
	return nil
}

// tracesNow says in the store that every operation has left its trace.
var tracesNow = []byte{1}

// traceAll makes the traces of a space that is older than they are.
func (s *Space) traceAll() error {
	var version []byte
	err := s.db.View(func(tx *store.Tx) (err error) {
		version, err = tx.Meta(metaTraces)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if bytes.Equal(version, tracesNow) {
		return nil
	}
	s.log.Info("making the history of a space from its log; this happens once", "space", s.name)
	return s.rebuild(context.Background())
}

// past is all that happened to one node, in the order of history.
type past struct {
	node   tree.NodeID
	traces []tree.Trace
	at     map[tree.Version]int
}

// pastOf reads what happened to a node, or to a version shown beside one. No
// lock is held while the store is read.
func (s *Space) pastOf(id NodeID) (*past, error) {
	p := &past{node: id}
	var beside []tree.Version
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, ErrClosed
	}
	if e, ok := s.tree.Get(id); ok {
		p.node = e.Node
		if e.Copy {
			beside = s.tree.Live(id).Content
		}
	} else if _, _, ok := s.tree.Known(id); !ok {
		s.mu.RUnlock()
		return nil, os.ErrNotExist
	}
	for _, b := range []*batch{s.inflight, s.batch} {
		if b == nil {
			continue
		}
		for i := range b.traces {
			if b.traces[i].node == p.node {
				t := b.traces[i].Trace
				t.Seq, t.Time = 0, s.now().UnixMilli() // it is being written
				p.traces = append(p.traces, t)
			}
		}
	}
	s.mu.RUnlock()
	err := s.view(func(tx *store.Tx) error {
		return tx.Traces(p.node, func(key, value []byte) error {
			t, err := tree.DecodeTrace(key, value)
			if err != nil {
				return fmt.Errorf("%w: %w", store.ErrDamaged, err)
			}
			p.traces = append(p.traces, t)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	p.sort()
	if beside != nil {
		p.only(beside)
	}
	return p, nil
}

func (p *past) sort() {
	slices.SortFunc(p.traces, func(a, b tree.Trace) int {
		switch {
		case a.After(&b):
			return 1
		case b.After(&a):
			return -1
		}
		return int(min(b.Seq, 1)) - int(min(a.Seq, 1)) // the stored one first
	})
	p.traces = slices.CompactFunc(p.traces, func(a, b tree.Trace) bool { return a.Version == b.Version })
	p.at = make(map[tree.Version]int, len(p.traces))
	for i := range p.traces {
		p.at[p.traces[i].Version] = i
	}
}

// only drops what did not lead to some versions of the content.
func (p *past) only(live []tree.Version) {
	led := make(map[tree.Version]bool)
	for todo := slices.Clone(live); len(todo) > 0; {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if i, ok := p.at[v]; ok && !led[v] {
			led[v] = true
			todo = append(todo, p.traces[i].Over...)
		}
	}
	p.traces = slices.DeleteFunc(p.traces, func(t tree.Trace) bool { return !led[t.Version] })
	p.sort()
}

// find returns the traces that a version names: parts feed-number, of which
// the feed may be cut as short as the node's history allows.
func (p *past) find(version string) ([]*tree.Trace, error) {
	var found []*tree.Trace
	for part := range strings.SplitSeq(version, ".") {
		begin, num, _ := strings.Cut(part, "-")
		n, err := strconv.ParseUint(num, 10, 64)
		if err != nil || begin == "" {
			return nil, fmt.Errorf("%q: %w", version, ErrNoVersion)
		}
		var is *tree.Trace
		for i := range p.traces {
			t := &p.traces[i]
			if t.N != n || !strings.HasPrefix(hex.EncodeToString(t.Feed[:]), begin) {
				continue
			}
			if is != nil {
				return nil, fmt.Errorf("%q names several versions: %w", version, ErrNoVersion)
			}
			is = t
		}
		if is == nil {
			return nil, fmt.Errorf("%q: %w", version, ErrNoVersion)
		}
		found = append(found, is)
	}
	return found, nil
}

// live returns the content that is live after the trace with an index.
func (p *past) live(after int) []*tree.Trace {
	var live []*tree.Trace
	for i := range after + 1 {
		live = replaced(live, &p.traces[i])
	}
	return live
}

// replaced returns live with t, and without what t replaces.
func replaced(live []*tree.Trace, t *tree.Trace) []*tree.Trace {
	if !t.Written && !t.IsEdit() {
		return live
	}
	live = slices.DeleteFunc(live, func(l *tree.Trace) bool { return slices.Contains(t.Over, l.Version) })
	return append(live, t)
}

// best returns the trace that wins among live ones, or nil when none of them
// is content.
func best(live []*tree.Trace) (won *tree.Trace) {
	for _, t := range live {
		if t.Kind != tree.None && (won == nil || t.After(won)) {
			won = t
		}
	}
	return won
}

// edits returns the changes of the document of base that led to some traces,
// also those that something else has replaced: the document has them all.
func (p *past) edits(base tree.Version, live []*tree.Trace) (changes []document.Hash) {
	seen := make(map[*tree.Trace]bool)
	for todo := slices.Clone(live); len(todo) > 0; {
		t := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[t] {
			continue
		}
		seen[t] = true
		if t.Base == base {
			changes = append(changes, t.Change)
		}
		for _, v := range t.Over {
			if i, ok := p.at[v]; ok {
				todo = append(todo, &p.traces[i])
			}
		}
	}
	return changes
}

// lastContent returns what was live before the node was removed last, and
// which of it the file was; nil if nothing was ever there.
func (p *past) lastContent() (won *tree.Trace, live []*tree.Trace) {
	for i := len(p.traces) - 1; i >= 0; i-- {
		if t := &p.traces[i]; t.Written && t.Kind == tree.None {
			continue
		}
		live = p.live(i)
		if won = best(live); won != nil {
			return won, live
		}
	}
	return nil, nil
}

// opOf reads an operation from the log.
func (s *Space) opOf(t *tree.Trace) (*tree.Op, error) {
	var e feed.Entry
	var ops []tree.Op
	var err error
	if t.Seq > 0 {
		err = s.view(func(tx *store.Tx) error {
			e, err = readEntry(tx, t.Feed, t.Seq)
			return err
		})
	} else {
		e, ops, err = s.findEntry(t.Feed, t.N)
	}
	if err != nil {
		return nil, err
	}
	if ops == nil {
		if ops, err = s.opsOf(&e); err != nil {
			return nil, err
		}
	}
	if t.N < ops[0].N || t.N-ops[0].N >= uint64(len(ops)) {
		return nil, fmt.Errorf("%w: operation %d is not in its entry", store.ErrDamaged, t.N)
	}
	return &ops[t.N-ops[0].N], nil
}
