package acceptance

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

var epoch = time.UnixMilli(1700000000000)

// A world is a space of some people, each with a feed, and its entries.
type world struct {
	t       testing.TB
	m       *membership.State
	people  []*identity.Device
	feeds   []identity.ID
	entries []Entry
}

func newWorld(t testing.TB, roles ...credential.Role) *world {
	w := &world{t: t, m: membership.New()}
	for i := range len(roles) + 1 {
		d, err := identity.NewDevice(nil, string(rune('a'+i)))
		w.must(err)
		w.people = append(w.people, d)
	}
	w.add(membership.Found(w.people[0], epoch))
	for i, role := range roles {
		ops, err := w.m.Admit(w.people[0], w.people[i+1].Chain(), role, epoch)
		w.must(err)
		for _, op := range ops {
			w.add(op, nil)
		}
	}
	for _, d := range w.people {
		w.feeds = append(w.feeds, w.add(w.m.OpenFeed(d, epoch)).ID)
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) add(op credential.Signed, err error) credential.Signed {
	w.t.Helper()
	w.must(err)
	_, err = w.m.Add(op)
	w.must(err)
	return op
}

func id(n byte) identity.ID { return identity.ID{n} }

// entry makes the entry n of somebody, on all that is known of the members.
func (w *world) entry(who int, n byte, seq uint64, prev byte, deps ...byte) Entry {
	e := Entry{ID: id(n), Feed: w.feeds[who], Seq: seq, Auth: w.m.Auth()}
	if prev > 0 {
		e.Prev = id(prev)
	}
	for _, d := range deps {
		e.Deps = append(e.Deps, id(d))
	}
	w.entries = append(w.entries, e)
	return e
}

func (w *world) cut(who int, n byte, seq uint64) credential.Cut {
	return credential.Cut{Feed: w.feeds[who], Seq: seq, ID: id(n)}
}

// dead wants these entries not to count.
func (w *world) dead(forks []Fork, want ...byte) {
	w.t.Helper()
	var got []byte
	for id := range Dead(w.m, slices.Values(w.entries), forks) {
		got = append(got, id[0])
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.t.Errorf("dead are %v, want %v", got, want)
	}
}

func TestLocalOK(t *testing.T) {
	w := newWorld(t, credential.Reader, credential.Editor)
	for who, ok := range []bool{true, false, true} {
		if err := LocalOK(w.m, w.entry(who, 1, 1, 0)); (err == nil) != ok || err != nil && !errors.Is(err, membership.ErrInvalid) {
			t.Errorf("person %d writes: %v", who, err)
		}
	}
	back := w.entry(2, 2, 1, 0)
	w.add(w.m.SetRole(w.people[0], w.people[2].Identity(), credential.None, nil, epoch))
	if err := LocalOK(w.m, back); err != nil {
		t.Errorf("with what was known then: %v", err)
	}
	if err := LocalOK(w.m, w.entry(2, 3, 1, 0)); err == nil {
		t.Error("a removed member writes")
	}
	for _, bad := range []Entry{{Feed: id(9), Auth: w.m.Auth()}, {Feed: w.feeds[0]}, {Feed: w.feeds[0], Auth: []identity.ID{id(9)}}} {
		if LocalOK(w.m, bad) == nil {
			t.Errorf("%+v is an entry", bad)
		}
	}
}

// What a removed member wrote counts up to the cut, and what others built on.
func TestRemovalAndAdoption(t *testing.T) {
	w := newWorld(t, credential.Editor, credential.Editor)
	w.entry(1, 1, 1, 0)
	w.entry(1, 2, 2, 1)
	w.entry(1, 3, 3, 2)
	w.entry(1, 4, 4, 3)
	w.dead(nil)
	w.add(w.m.SetRole(w.people[0], w.people[1].Identity(), credential.Reader, []credential.Cut{w.cut(1, 1, 1)}, epoch))
	w.dead(nil, 2, 3, 4)
	// Somebody who did not know of it built on the third.
	e := w.entry(2, 5, 1, 0, 3)
	w.entries[len(w.entries)-1].Auth = w.entries[0].Auth
	w.dead(nil, 4)
	// And somebody who was removed, too, does not count for that.
	w.add(w.m.SetRole(w.people[0], w.people[2].Identity(), credential.None, nil, epoch))
	w.dead(nil, 2, 3, 4, 5)
	if len(e.Deps) != 1 {
		t.Error("it builds on nothing")
	}
}

func TestCutNamesTheEntry(t *testing.T) {
	w := newWorld(t, credential.Editor)
	w.entry(1, 1, 1, 0)
	w.entry(1, 2, 2, 1)
	w.add(w.m.SetRole(w.people[0], w.people[1].Identity(), credential.None, []credential.Cut{w.cut(1, 9, 2)}, epoch))
	w.dead(nil, 2)
}

func TestExclusion(t *testing.T) {
	w := newWorld(t, credential.Editor, credential.Editor)
	w.entry(1, 1, 1, 0)
	w.entry(1, 2, 2, 1)
	w.entry(2, 3, 1, 0, 1)
	w.entry(2, 4, 2, 3, 2)
	w.entry(0, 5, 1, 0, 1)
	w.add(w.m.Exclude(w.people[0], []credential.Cut{w.cut(1, 2, 2)}, epoch))
	w.dead(nil, 2, 4)
	w.add(w.m.Exclude(w.people[0], []credential.Cut{w.cut(1, 1, 2)}, epoch)) // under a wrong number
	w.dead(nil, 2, 4)
}

func TestForks(t *testing.T) {
	w := newWorld(t, credential.Editor, credential.Editor)
	w.entry(1, 1, 1, 0)
	w.entry(1, 8, 2, 1) // one branch
	w.entry(1, 9, 3, 8)
	w.entry(1, 5, 2, 1) // and the other
	w.entry(1, 6, 3, 5)
	w.entry(2, 7, 1, 0, 9) // on the first
	fork := []Fork{{Feed: w.feeds[1], Seq: 2, A: id(8), B: id(5)}}
	w.dead(nil)
	w.dead(fork, 7, 8, 9) // the smaller ID wins
	fork[0].A, fork[0].B = fork[0].B, fork[0].A
	w.dead(fork, 7, 8, 9)
	three := append(fork, Fork{Feed: w.feeds[1], Seq: 2, A: id(4), B: id(5)}, Fork{Feed: w.feeds[1], Seq: 2, A: id(8), B: id(4)})
	w.dead(three, 5, 6, 7, 8, 9) // the third is not even here
	// A removal says which branch it leaves standing.
	w.add(w.m.SetRole(w.people[0], w.people[1].Identity(), credential.None, []credential.Cut{w.cut(1, 9, 3)}, epoch))
	w.dead(fork, 5, 6)
}

// The order of the entries, as long as it is causal, does not matter, nor does
// one that comes twice.
func TestAnyOrder(t *testing.T) {
	w := newWorld(t, credential.Editor, credential.Editor)
	w.entry(1, 1, 1, 0)
	w.entry(1, 2, 2, 1)
	w.entry(2, 3, 1, 0)
	w.entry(2, 4, 2, 3, 1)
	w.add(w.m.SetRole(w.people[0], w.people[1].Identity(), credential.None, nil, epoch))
	w.dead(nil, 2)
	w.entries = []Entry{w.entries[2], w.entries[0], w.entries[3], w.entries[1], w.entries[0]}
	w.dead(nil, 2)
	if got := maps.Collect(maps.All(Dead(membership.New(), slices.Values(w.entries), nil))); len(got) != 4 {
		t.Errorf("without members %d are dead", len(got))
	}
}

// large returns a log of n entries of ten people, a hundred of each in turn.
func large(t testing.TB, n int) *world {
	roles := slices.Repeat([]credential.Role{credential.Editor}, 9)
	w := newWorld(t, roles...)
	last := make([]identity.ID, 10)
	auth := w.m.Auth()
	var head identity.ID
	for i := range n {
		who := i / 100 % 10
		e := Entry{Feed: w.feeds[who], Seq: uint64(i/1000*100 + i%100 + 1), Prev: last[who], Auth: auth}
		binary.BigEndian.PutUint64(e.ID[:], uint64(i)+1)
		if i > 0 {
			e.Deps = []identity.ID{head}
		}
		last[who], head = e.ID, e.ID
		w.entries = append(w.entries, e)
	}
	w.add(w.m.SetRole(w.people[0], w.people[3].Identity(), credential.None, nil, epoch))
	return w
}

// BenchmarkDead judges a log of 100,000 entries.
func BenchmarkDead(b *testing.B) {
	w := large(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		Dead(w.m, slices.Values(w.entries), nil)
	}
}

func BenchmarkLocalOK(b *testing.B) {
	w := newWorld(b, credential.Editor)
	e := w.entry(1, 1, 1, 0)
	b.ReportAllocs()
	for b.Loop() {
		if err := LocalOK(w.m, e); err != nil {
			b.Fatal(err)
		}
	}
}
