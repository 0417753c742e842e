package tree

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func numbered(kind byte, i int) (id NodeID) {
	id[0] = kind
	binary.BigEndian.PutUint64(id[8:], uint64(i))
	return id
}

func applyAll(t testing.TB, s *State, feed byte, ops ...Op) {
	t.Helper()
	for i := range ops {
		ops[i].N = s.Applied([32]byte{feed}) + 1
		if ops[i].Lamport == 0 {
			ops[i].Lamport = 1
		}
		if err := s.Apply([32]byte{feed}, &ops[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// Somebody who knows how names are told apart can claim all of one node's.
func TestEveryNameIsTaken(t *testing.T) {
	s := New()
	victim := numbered(9, 1)
	place := func(id NodeID, name string) Op {
		return Op{Node: id, Place: &Place{Name: []byte(name)}, Content: &Content{Kind: Bytes, Data: id[:]}}
	}
	applyAll(t, s, 1, place(numbered(1, 1), "a.txt"), place(victim, "a.txt"))
	seen := map[string]bool{}
	for i := range 400 {
		s.Settle()
		e, ok := s.Get(victim)
		if !ok || !Legal(e.Name) || seen[e.Name] {
			t.Fatalf("after %d claims: shown %v as %q", i, ok, e.Name)
		}
		seen[e.Name] = true
		applyAll(t, s, 1, place(numbered(2, i), e.Name))
	}
	s.Settle()
	if _, err := shownVersions(s); err != nil {
		t.Fatal(err)
	}
}

// A write may leave those before it alone. This takes minutes unless the time
// for each of many live writes is about the same.
func TestManyLiveWrites(t *testing.T) {
	s := New()
	id := NodeID{1}
	const n = 20000
	for i := range n {
		applyAll(t, s, 1, Op{Node: id, Place: &Place{Name: fmt.Appendf(nil, "n%d", i)}, Meta: &Meta{Mtime: int64(i)},
			Content: &Content{Kind: Bytes, Data: binary.BigEndian.AppendUint64(nil, uint64(i))}})
		if i%MaxOps == 0 {
			s.Settle()
		}
	}
	s.Settle()
	if e, ok := s.Get(id); !ok || e.Mtime != n-1 {
		t.Errorf("shown %v as %+v", ok, e)
	}
	copies := s.Copies(id)
	if len(copies) != maxCopies {
		t.Errorf("%d copies, want %d", len(copies), maxCopies)
	}
	// Who deals with those that are shown sees the next.
	before, _ := s.Get(copies[0])
	var over []Version
	for _, c := range copies {
		over = append(over, s.Live(c).Content...)
	}
	slices.SortFunc(over, Version.Compare)
	applyAll(t, s, 1, Op{Node: id, Content: &Content{Kind: None, Over: over}})
	s.Settle()
	if after, ok := s.Get(s.Copies(id)[0]); !ok || after.Key == before.Key || len(s.Copies(id)) != maxCopies {
		t.Errorf("shown %v as %+v, %d copies", ok, after, len(s.Copies(id)))
	}
	if got := len(s.nodes[id].content); got != n-maxCopies+1 {
		t.Errorf("%d live writes, want %d", got, n-maxCopies+1)
	}
}

// So does this unless an operation takes much less time than the folder is deep.
func TestDeepFolders(t *testing.T) {
	s := New()
	const n = 50000
	up := Root
	for i := range n {
		id := numbered(1, n-i)
		applyAll(t, s, 1, Op{Node: id, Place: &Place{Parent: up, Name: []byte("d")}, Content: &Content{Kind: Dir}})
		if changes := s.Settle(); len(changes) != 1 {
			t.Fatalf("folder %d: %d changes", i, len(changes))
		}
		up = id
	}
	// Closing and opening the great circle again and again.
	top, bottom, least := numbered(1, n), numbered(1, 1), numbered(1, 1)
	for i := range 20000 {
		parent, want := bottom, top
		if i%2 == 1 {
			parent, want = Root, Root
		}
		applyAll(t, s, 1, Op{Node: top, Place: &Place{Parent: parent, Name: []byte("d"), Over: s.Live(top).Place}})
		s.Settle()
		e, _ := s.Get(least)
		if i%2 == 0 && e.Parent != Root || i%2 == 1 && e.Parent == Root {
			t.Fatalf("after %d: the least is in %v, want %v", i, e.Parent, want)
		}
	}
	// Many in a folder that is not here yet.
	late := NodeID{3}
	for i := range n {
		applyAll(t, s, 1, Op{Node: numbered(2, i), Place: &Place{Parent: late, Name: fmt.Appendf(nil, "f%d", i)}, Content: &Content{Kind: Bytes}})
		s.Settle()
	}
	applyAll(t, s, 1, Op{Node: late, Place: &Place{Name: []byte("late")}, Content: &Content{Kind: Dir}})
	if s.Settle(); len(s.Children(late)) != n {
		t.Errorf("%d of %d are in the folder", len(s.Children(late)), n)
	}
}

// Changes come with folders before what is in them.
func TestChangesAreInOrder(t *testing.T) {
	s := New()
	for i := range 50 {
		applyAll(t, s, 1, Op{Node: numbered(1, i), Place: &Place{Parent: numbered(1, i+1), Name: []byte("d")}, Content: &Content{Kind: Dir}})
	}
	applyAll(t, s, 1, Op{Node: numbered(1, 50), Place: &Place{Name: []byte("d")}, Content: &Content{Kind: Dir}})
	known := map[NodeID]bool{Root: true}
	for _, c := range s.Settle() {
		if !known[c.After.Parent] {
			t.Fatalf("%v comes before the folder it is in", c.ID)
		}
		known[c.ID] = true
	}
	if len(known) != 52 {
		t.Errorf("%d changes", len(known))
	}
}

// slowCycle is what the forest is about: the nodes on the circle through n.
func slowCycle(s *State, n *node) (members []*node) {
	seen := map[*node]bool{}
	for m := n; m != nil && !seen[m]; m = s.nodes[m.shown.raw] {
		seen[m] = true
		members = append(members, m)
		if !m.shown.placed {
			return nil
		}
		if s.nodes[m.shown.raw] == n {
			return members
		}
	}
	return nil
}

func TestCycles(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := New()
		n := 2 + r.IntN(12)
		for range 60 {
			id, parent := numbered(1, r.IntN(n)), numbered(1, r.IntN(n))
			if r.IntN(6) == 0 {
				parent = Root
			}
			kind := Dir
			if r.IntN(4) == 0 {
				kind = Bytes
			}
			l := s.Live(id)
			applyAll(t, s, 1, Op{Node: id, Lamport: l.Lamport + 1, Place: &Place{Parent: parent, Name: []byte("x"), Over: l.Place},
				Content: &Content{Kind: kind, Over: sorted(l.Content, l.Rest)}})
			if r.IntN(2) == 0 {
				s.Settle()
			}
		}
		s.Settle()
		for id, n := range s.nodes {
			members := slowCycle(s, n)
			least := members != nil
			for _, m := range members {
				least = least && id.Compare(m.id) <= 0
			}
			if n.shown.cut != least {
				t.Fatalf("seed %d: %v is cut %v, want %v", seed, id, n.shown.cut, least)
			}
			up := Root
			if p := s.nodes[n.shown.raw]; p != nil && p.folder && !least {
				up = p.id
			}
			if n.shown.up != up {
				t.Fatalf("seed %d: %v is in %v, want %v", seed, id, n.shown.up, up)
			}
		}
	}
}

// TestGroups compares with the rule as it is written, pair by pair.
func TestGroups(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 2))
		n := &node{folder: r.IntN(2) == 0}
		count := 1 + r.IntN(10)
		version := func(i int) Version { return Version{Feed: [32]byte{byte(i % 3)}, N: uint64(i/3 + 1)} }
		for i := range count {
			w := &contentWrite{stamp: stamp{version(i), uint64(1 + r.IntN(4))}, Kind: []Kind{None, Dir, Bytes, Bytes, Bytes, Symlink}[r.IntN(6)]}
			w.Hash[0] = byte(r.IntN(3))
			if w.Kind == Dir {
				w.Hash[0] = 0
			}
			if w.Kind == Bytes && r.IntN(2) == 0 {
				w.Base, w.Hash = version(r.IntN(count)), [32]byte{}
			}
			n.content = append(n.content, w)
		}
		slices.SortFunc(n.content, func(a, b *contentWrite) int { return a.Version.Compare(b.Version) })
		edited := func(w *contentWrite) (Version, bool) {
			if !w.Base.IsZero() {
				return w.Base, true
			}
			return w.Version, w.Kind == Bytes && slices.ContainsFunc(n.content, func(e *contentWrite) bool { return e.Base == w.Version })
		}
		groups := n.groups()
		where := map[Version]int{}
		for i, g := range groups {
			if !slices.IsSortedFunc(g.live, Version.Compare) {
				t.Fatalf("seed %d: versions of a group are not sorted", seed)
			}
			for _, v := range g.live {
				if _, twice := where[v]; twice {
					t.Fatalf("seed %d: %v is in two groups", seed, v)
				}
				where[v] = i
			}
			if i > 0 && n.folder && g.best.Kind == Dir {
				t.Fatalf("seed %d: the folder is not first", seed)
			}
			if i > 0 && groups[i-1].best.Kind != Dir && g.best.after(groups[i-1].best.stamp) {
				t.Fatalf("seed %d: groups are not in order", seed)
			}
		}
		for _, a := range n.content {
			ga, ok := where[a.Version]
			if ok != (a.Kind != None) {
				t.Fatalf("seed %d: %v is in a group: %v", seed, a.Version, ok)
			}
			if !ok {
				continue
			}
			ka, ea := edited(a)
			if groups[ga].plain == ea || ea && groups[ga].key != ka || a.after(groups[ga].best.stamp) {
				t.Fatalf("seed %d: %v is in %+v", seed, a.Version, groups[ga])
			}
			if !ea && groups[ga].key != groups[ga].best.Version {
				t.Fatalf("seed %d: group of %v has key %v", seed, groups[ga].best.Version, groups[ga].key)
			}
			for _, b := range n.content {
				if b.Kind == None {
					continue
				}
				kb, eb := edited(b)
				same := ea && eb && ka == kb || !ea && !eb && a.Kind == b.Kind && a.Hash == b.Hash && a.Size == b.Size
				if same != (where[b.Version] == ga) {
					t.Fatalf("seed %d: %v and %v are in one group: %v, want %v", seed, a.Version, b.Version, !same, same)
				}
			}
		}
	}
}
