package replicate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/net/mesh"
)

// Two peers may have two branches of one feed. They see it by the last entries
// they name, or because what comes does not continue what is there. Then one
// asks the other which entry it has in some place, until it knows the first that
// is another one: both together are the proof.

// errLineage is why links end when entries have left the log: what the peers
// were told does not hold any more. They begin anew.
var errLineage = errors.New("a feed has forked: beginning anew")

// seek is the search for the place where a feed parts.
type seek struct {
	low, high uint64 // there it is the same, there not
	asked     uint64
}

const (
	maxSeeks = 64 // at once on a link
	maxStubs = 64 // that wait to be sent
)

// openSession makes the session of a link, with the proofs of all keys.
func openSession(s Space, ml *mesh.Link) *session {
	key := s.Key()
	n := newSession(prove(key, ml.Exporter, ml.Initiator), prove(key, ml.Exporter, !ml.Initiator))
	n.keyID = key.ID()
	for _, k := range s.Keyring().Keys() {
		if k != key {
			n.older = append(n.older, older{k.ID(), prove(k, ml.Exporter, !ml.Initiator)})
			n.olderProofs = append(n.olderProofs, prove(k, ml.Exporter, ml.Initiator))
		}
	}
	return n
}

// suspect looks for feeds of which the peer has another entry than this device
// where its branch ends.
func (l *link) suspect(theirs feed.Timeframe) {
	if len(theirs) == 0 {
		return
	}
	have := l.r.space.Timeframe()
	for f, head := range theirs {
		mine := have[f]
		if head.Seq > mine.Seq {
			continue // what comes will show it
		}
		if head.Seq < mine.Seq {
			raw, err := l.r.space.StubOf(f, head.Seq)
			if err != nil {
				continue
			}
			s, err := feed.DecodeStub(raw)
			if err != nil {
				continue
			}
			mine.ID = s.ID
		}
		if mine.ID != head.ID {
			l.seek(f, head.Seq)
		}
	}
}

// doubt looks whether entries that the peer has named, and that are here already,
// are the same: two peers may have got two branches of one length on links that
// were there before. Of each feed it looks once between two ticks.
func (l *link) doubt(named map[identity.ID]uint64) {
	have := l.r.space.Timeframe()
	var now []identity.ID
	l.mu.Lock()
	for f, n := range named {
		if n > have[f].Seq || len(l.doubts) >= maxNews || len(l.settled) >= maxNews {
			continue // what comes will show it
		}
		l.doubts[f] = n
		if !l.settled[f] {
			now = append(now, f)
		}
	}
	l.mu.Unlock()
	l.settle(now)
}

// doubtAgain looks at what was named since the last tick.
func (l *link) doubtAgain() {
	l.mu.Lock()
	clear(l.settled)
	now := slices.Collect(maps.Keys(l.doubts))
	l.mu.Unlock()
	l.settle(now)
}

func (l *link) settle(feeds []identity.ID) {
	for _, f := range feeds {
		l.mu.Lock()
		maps.DeleteFunc(l.seeks, func(g identity.ID, s *seek) bool {
			return s.asked == 0 && (g == f || len(l.seeks) >= maxSeeks) // it has ended
		})
		n := l.doubts[f]
		room := l.seeks[f] == nil && len(l.seeks) < maxSeeks
		if room {
			delete(l.doubts, f)
			l.settled[f] = true
		}
		l.mu.Unlock()
		if room {
			l.seek(f, n)
		}
	}
}

// seek begins to look for the place where a feed parts: the peer's entry with a
// number, or the one before, is another one.
func (l *link) seek(f identity.ID, seq uint64) {
	high := min(seq, l.r.space.Timeframe()[f].Seq)
	if high == 0 {
		return
	}
	l.mu.Lock()
	if l.seeks[f] == nil && len(l.seeks) < maxSeeks {
		l.seeks[f] = &seek{high: high}
		l.askLocked(f)
	}
	l.mu.Unlock()
	poke(l.wake)
}

// askLocked asks for the next entry of a search.
func (l *link) askLocked(f identity.ID) {
	s := l.seeks[f]
	if s.asked = s.high; s.high-s.low > 1 {
		s.asked = (s.low + s.high) / 2
	}
	l.out = append(l.out, sendAsk{ask{f, s.asked}})
}

// compare takes an answer.
func (l *link) compare(o compare) error {
	if len(o.raw) == 0 {
		return nil // it has none there any more
	}
	theirs, err := feed.DecodeStub(o.raw)
	if err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	l.mu.Lock()
	s := l.seeks[theirs.Feed]
	asked := s != nil && s.asked == theirs.Seq
	l.mu.Unlock()
	if !asked {
		return fmt.Errorf("%w: an answer to a question nobody asked", errProtocol)
	}
	same, proof, err := l.r.space.Compare(o.raw)
	if err != nil {
		l.r.log.Warn("a fork cannot be proved", "space", l.r.space.Name(), "from", l.peer.Name, "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	defer poke(l.wake)
	switch {
	case same:
		s.low = theirs.Seq
	default:
		s.high = theirs.Seq
	}
	if proof || err != nil || s.low >= s.high || !same && s.high-s.low == 1 && s.asked == s.high && s.low > 0 {
		s.asked = 0 // found, or there is nothing to find
		return nil
	}
	if s.asked == s.high && same { // all as it should be
		return nil
	}
	l.askLocked(theirs.Feed)
	return nil
}

func (l *link) sendStub(o sendStub) error {
	raw, err := l.r.space.StubOf(o.Feed, o.Seq)
	if err != nil {
		return fmt.Errorf("reading entry %d of feed %s: %w", o.Seq, o.Feed.Short(), err)
	}
	l.mu.Lock()
	l.stubs--
	l.mu.Unlock()
	return l.sync.Send(frameStub, stub{raw})
}

func (l *link) addKeys(o addKeys) error {
	ring := make([]feed.Key, len(o.keys))
	for i, k := range o.keys {
		ring[i] = k
	}
	if err := l.r.space.AddKeys(ring); err != nil {
		return fmt.Errorf("taking keys: %w", err)
	}
	return nil
}

func (l *link) addForks(ctx context.Context, o addForks) error {
	if err := l.r.space.AddForks(o.proofs); err != nil {
		l.r.refused.Add(1)
		l.r.log.Warn("proofs of a peer", "space", l.r.space.Name(), "from", l.peer.Name, "err", err)
	}
	return ctx.Err()
}

// relined forgets how far feeds have come: some have become shorter.
func (r *Replicator) relined() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.puller.came)
	clear(r.puller.quiet)
	r.goal = nil
	if !r.met {
		r.met = true
		close(r.synced)
	}
}
