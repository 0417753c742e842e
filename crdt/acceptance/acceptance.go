// Package acceptance says which entries of a space count.
//
// An entry is refused for ever if it is not LocalOK: that depends on its own
// past only, so everybody refuses it. Of the others, Dead says which do not
// count now, by everything that is known now:
//
//   - An entry stands if its author might write it in the light of what came to
//     be known later: their right to do so turned out to be real, and no removal
//     and no cut of their device that they did not know of ends their feed before
//     it.
//   - An entry counts if it stands, or if one that stands builds on it: then
//     somebody in good standing has taken it up, and it does no harm that they
//     could not do themselves.
//   - But what was excluded, or lost a fork of its feed, does not count, nor does
//     anything that builds on it.
//
// The result is a function of the credentials, entries and forks alone, not of
// the order in which they came.
//
// # Concurrency
//
// There is no state here; every function may be called from any goroutine.
package acceptance

import (
	"fmt"
	"iter"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// An Entry is what matters of an entry's header.
type Entry struct {
	ID, Feed   identity.ID
	Seq        uint64
	Prev       identity.ID // zero if Seq is 1
	Deps, Auth []identity.ID
}

// A Fork is a feed with two entries of one number, both signed by its device and
// both LocalOK. Those of the branch that loses do not count.
type Fork struct {
	Feed identity.ID
	Seq  uint64
	A, B identity.ID
}

// LocalOK reports why an entry can never count, whatever else is known: by the
// credentials in Auth its author was not editor, or its device was cut. The
// answer stays the same for ever. What Auth and Feed name has to be known; that
// the signature, the number and the entries before are right is for the caller.
func LocalOK(m *membership.State, e Entry) error {
	if err := m.MayWrite(e.Feed, e.Auth); err != nil {
		return fmt.Errorf("entry %d of feed %s: %w", e.Seq, e.Feed.Short(), err)
	}
	return nil
}

// Dead returns those of entries that do not count. The entries are LocalOK and
// come in causal order: each after the one before it in its feed and after its
// deps. An entry whose own past is not among them is judged as if it had none.
func Dead(m *membership.State, entries iter.Seq[Entry], forks []Fork) map[identity.ID]bool {
	l := newLog(m.Judge(), forks)
	for e := range entries {
		l.add(&e)
	}
	l.adopt()
	l.settleForks()
	l.bury()
	return l.dead()
}

// A log is the entries by number, in causal order.
type log struct {
	judge   membership.Judge
	forks   []Fork
	forked  map[identity.ID]bool // feeds
	bounds  map[bound]membership.Bound
	exclude map[credential.Cut]bool

	number map[identity.ID]int32
	ids    []identity.ID
	from   []int32 // where in past the direct past of each begins
	past   []int32
	counts []bool
	out    []bool                  // excluded or, since settleForks, lost
	places map[identity.ID][]place // of forked feeds
}

// A bound is what entries have in common whose standing is the same but for
// their number.
type bound struct{ feed, auth identity.ID }

// A place is where an entry is in a forked feed.
type place struct {
	seq  uint64
	id   identity.ID
	prev identity.ID
}

func newLog(judge membership.Judge, forks []Fork) *log {
	l := &log{
		judge: judge, forks: forks, exclude: judge.Excluded(),
		forked: map[identity.ID]bool{}, bounds: map[bound]membership.Bound{}, number: map[identity.ID]int32{}, places: map[identity.ID][]place{},
	}
	for _, f := range forks {
		l.forked[f.Feed] = true
	}
	return l
}

func (l *log) add(e *Entry) {
	if _, again := l.number[e.ID]; again {
		return
	}
	l.number[e.ID] = int32(len(l.ids))
	l.ids = append(l.ids, e.ID)
	l.from = append(l.from, int32(len(l.past)))
	if n, ok := l.number[e.Prev]; ok && e.Seq > 1 {
		l.past = append(l.past, n)
	}
	for _, dep := range e.Deps {
		if n, ok := l.number[dep]; ok {
			l.past = append(l.past, n)
		}
	}
	l.counts = append(l.counts, l.boundOf(e).Keeps(e.Seq, e.ID))
	l.out = append(l.out, l.exclude[credential.Cut{Feed: e.Feed, Seq: e.Seq, ID: e.ID}])
	if l.forked[e.Feed] {
		l.places[e.Feed] = append(l.places[e.Feed], place{e.Seq, e.ID, e.Prev})
	}
}

func (l *log) boundOf(e *Entry) membership.Bound {
	key := bound{feed: e.Feed}
	switch len(e.Auth) {
	case 0:
	case 1:
		key.auth = e.Auth[0]
	default:
		buf := make([]byte, 0, len(e.Auth)*len(key.auth))
		for _, id := range e.Auth {
			buf = append(buf, id[:]...)
		}
		key.auth = identity.Hash("auth", buf)
	}
	b, ok := l.bounds[key]
	if !ok {
		b = l.judge.Bound(e.Feed, e.Auth)
		l.bounds[key] = b
	}
	return b
}

// pastOf returns the numbers of the direct past of an entry.
func (l *log) pastOf(n int) []int32 {
	if n+1 < len(l.from) {
		return l.past[l.from[n]:l.from[n+1]]
	}
	return l.past[l.from[n]:]
}

// adopt makes everything count that one which stands builds on: backwards, so
// that each is settled before its past.
func (l *log) adopt() {
	for n := len(l.ids) - 1; n >= 0; n-- {
		if l.counts[n] {
			for _, p := range l.pastOf(n) {
				l.counts[p] = true
			}
		}
	}
}

// settleForks puts out the loser of each fork.
func (l *log) settleForks() {
	for _, f := range l.forks {
		if n, ok := l.number[l.loser(f)]; ok {
			l.out[n] = true
		}
	}
}

// loser returns the entry of a fork that does not count: the one that the first
// pin which is on a branch is not behind, or else the one with the greater ID.
func (l *log) loser(f Fork) identity.ID {
	prev := map[identity.ID]identity.ID{}
	seqs := map[identity.ID]uint64{}
	for _, p := range l.places[f.Feed] {
		prev[p.id], seqs[p.id] = p.prev, p.seq
	}
	for _, pin := range l.judge.Pins(f.Feed) {
		at, seq := pin.ID, pin.Seq
		for seq > f.Seq && seqs[at] == seq {
			at, seq = prev[at], seq-1
		}
		switch {
		case seq == f.Seq && at == f.A:
			return f.B
		case seq == f.Seq && at == f.B:
			return f.A
		}
	}
	if f.A.Compare(f.B) < 0 {
		return f.B
	}
	return f.A
}

// bury makes nothing count that is out or builds on something that is.
func (l *log) bury() {
	buried := make([]bool, len(l.ids))
	for n := range l.ids {
		buried[n] = l.out[n]
		for _, p := range l.pastOf(n) {
			buried[n] = buried[n] || buried[p]
		}
		l.counts[n] = l.counts[n] && !buried[n]
	}
}

func (l *log) dead() map[identity.ID]bool {
	dead := map[identity.ID]bool{}
	for n, id := range l.ids {
		if !l.counts[n] {
			dead[id] = true
		}
	}
	return dead
}
