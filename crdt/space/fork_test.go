package space

import (
	"slices"
	"testing"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// stubs signs n entries for one place, smallest ID first.
func (r *rogue) stubs(n, seq int, prev identity.ID) []feed.Stub {
	r.t.Helper()
	stubs := make([]feed.Stub, n)
	for i := range stubs {
		h := feed.Header{
			Space: r.s.id, Feed: r.feed, Seq: uint64(seq), Prev: prev, Auth: r.s.members.Auth(),
			First: uint64(seq), Ops: 1, Time: int64(i),
		}
		e, err := feed.Seal(r.s.device, h, r.s.Key(), []byte("x"))
		if err != nil {
			r.t.Fatal(err)
		}
		if stubs[i], err = e.Stub(); err != nil {
			r.t.Fatal(err)
		}
	}
	slices.SortFunc(stubs, func(a, b feed.Stub) int { return a.ID.Compare(b.ID) })
	return stubs
}

func proof(t *testing.T, a, b feed.Stub) []byte {
	t.Helper()
	f, err := feed.NewFork(a, b)
	if err != nil {
		t.Fatal(err)
	}
	data, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// However many proofs a hostile device makes, few are kept, and they say the
// same as all of them.
func TestProofsAreBounded(t *testing.T) {
	a := founded(t)
	t.Cleanup(func() { a.Close() })
	r := rogueMember(t, a, credential.Editor)
	give(t, a, r.entry(file(1, "first")))
	settle(t, a)
	first := r.head.ID
	give(t, a, r.entry(file(2, "second")))
	settle(t, a)
	second, err := r.head.Stub()
	if err != nil {
		t.Fatal(err)
	}
	const many = 40
	add := func(proofs ...[]byte) int {
		t.Helper()
		if err := a.AddForks(proofs); err != nil {
			t.Fatal(err)
		}
		return len(a.Forks())
	}

	far := r.stubs(2*many, 100, identity.ID{100})
	for i := range many {
		add(proof(t, far[2*i], far[2*i+1]))
		nowhere := r.stubs(2, 2, identity.ID{byte(i + 1)})
		add(proof(t, nowhere[0], nowhere[1]))
	}
	if got := len(a.Forks()); got > maxRivals {
		t.Errorf("%d proofs about places that are not here", got)
	}
	for i := range 2 * maxFar {
		s := r.stubs(2, 200+i, identity.ID{1})
		add(proof(t, s[0], s[1]))
	}
	if got := len(a.Forks()); got > maxRivals+maxFar {
		t.Errorf("%d proofs about places that are far", got)
	}

	before := len(a.Forks())
	rivals := r.stubs(many, 2, first)
	for i := range rivals { // each says more than the one before
		next := rivals[many-1-i]
		add(proof(t, next, second))
		if i > 0 {
			add(proof(t, next, rivals[many-i]))
		}
	}
	if got := len(a.Forks()) - before; got > 2*maxRivals+1 {
		t.Errorf("%d proofs of one place", got)
	}
	settle(t, a)
	if lost := rivals[0].ID.Compare(second.ID) < 0; a.forks.lost[second.ID] != lost || lost && listing(t, a, Root) != "f1" {
		t.Errorf("the second entry lost: %v, want %v", a.forks.lost[second.ID], lost)
	}

	// The same is known after a restart.
	kept := len(a.Forks())
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(Config{Dir: a.dir, Device: a.device, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	if got := len(again.Forks()); got != kept {
		t.Errorf("%d proofs after a restart, %d before", got, kept)
	}
}
