package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A sim is a few devices that change their own state and hear of the others'
// operations late, in any order that keeps cause before effect.
type sim struct {
	t        *rapid.T
	replicas []*State
	log      [][]Op // by feed
	contents map[Version]bool
	replaced map[Version]bool
	next     uint64
}

func feedOf(i int) (f [32]byte) { f[0] = byte(i + 1); return f }

func newSim(t *rapid.T, n int) *sim {
	s := &sim{t: t, log: make([][]Op, n), contents: map[Version]bool{}, replaced: map[Version]bool{}}
	for range n {
		s.replicas = append(s.replicas, New())
	}
	return s
}

// do applies an operation on device i and logs it.
func (s *sim) do(i int, op Op) {
	op.N = uint64(len(s.log[i]) + 1)
	if op.Lamport == 0 {
		op.Lamport = s.replicas[i].Live(op.Node).Lamport + 1
	}
	data, err := Encode([]Op{op})
	if err != nil {
		s.t.Fatalf("encode: %v", err)
	}
	back, err := Decode(data)
	if err != nil {
		s.t.Fatalf("decode: %v", err)
	}
	if err := s.replicas[i].Apply(feedOf(i), &back[0]); err != nil {
		s.t.Fatalf("apply: %v", err)
	}
	s.log[i] = append(s.log[i], back[0])
	v := Version{Feed: feedOf(i), N: op.N}
	if c := op.Content; c != nil {
		s.contents[v] = c.Kind != None && c.Kind != Dir
		for _, o := range c.Over {
			s.replaced[o] = true
		}
	}
	if e := op.Edit; e != nil {
		s.contents[v] = true
		for _, o := range e.Over {
			s.replaced[o] = true
		}
	}
	s.replicas[i].Settle()
}

// deliver gives device i one operation of another device, if one is ready.
func (s *sim) deliver(i, j int) bool {
	st := s.replicas[i]
	have := st.Applied(feedOf(j))
	if have >= uint64(len(s.log[j])) {
		return false
	}
	op := s.log[j][have]
	if st.Ready(feedOf(j), op.N, &op) != nil {
		return false
	}
	if err := st.Apply(feedOf(j), &op); err != nil {
		s.t.Fatalf("apply remote: %v", err)
	}
	if i%2 == 0 { // the others see several at once
		st.Settle()
	}
	return true
}

var simNames = []string{"a", "b.txt", "c", "..", "", "x/y", ".space", strings.Repeat("n", 300)}

// step makes one random change on device i.
func (s *sim) step(i int) {
	st := s.replicas[i]
	st.Settle()
	var all, folders []Entry
	folders = append(folders, Entry{Kind: Dir})
	var walk func(NodeID)
	walk = func(d NodeID) {
		for _, e := range st.Children(d) {
			all = append(all, e)
			if e.Kind == Dir {
				folders = append(folders, e)
				walk(e.ID)
			}
		}
	}
	walk(Root)
	dir := rapid.SampledFrom(folders).Draw(s.t, "dir").ID
	name := rapid.SampledFrom(simNames).Draw(s.t, "name")
	kind := rapid.IntRange(0, 7).Draw(s.t, "op")
	if len(all) == 0 || kind == 0 { // file
		var id NodeID
		s.next++
		binary.BigEndian.PutUint64(id[8:], s.next)
		id[0] = byte(rapid.IntRange(1, 3).Draw(s.t, "id"))
		s.do(i, Op{Node: id, Place: &Place{Parent: dir, Name: []byte(name)},
			Content: &Content{Kind: Bytes, Data: binary.BigEndian.AppendUint64(nil, s.next)}})
		return
	}
	if kind == 1 { // folder
		id := FolderID(dir, name)
		l := st.Live(id)
		s.do(i, Op{Node: id, Place: &Place{Parent: dir, Name: []byte(name), Over: l.Place},
			Content: &Content{Kind: Dir, Over: sorted(l.Content, l.Rest)}})
		return
	}
	e := rapid.SampledFrom(all).Draw(s.t, "entry")
	l := st.Live(e.ID)
	switch {
	case kind == 2:
		s.do(i, Op{Node: e.Node, Content: &Content{Kind: None, Over: sorted(l.Content, l.Rest)}})
	case kind <= 4 && !e.Copy: // moves may close cycles
		s.do(i, Op{Node: e.Node, Place: &Place{Parent: dir, Name: []byte(name), Over: l.Place}})
	case kind == 5 && e.Kind == Bytes:
		s.next++
		s.do(i, Op{Node: e.Node, Content: &Content{Kind: Bytes, Data: binary.BigEndian.AppendUint64(nil, s.next), Over: sorted(l.Content, l.Rest)}})
	case kind == 6 && e.Kind == Bytes:
		s.do(i, Op{Node: e.Node, Edit: &Edit{Base: e.Key, Change: []byte("change"), Over: sorted(l.Content, l.Rest)}})
	case kind == 7 && rapid.Bool().Draw(s.t, "attr"):
		name := rapid.SampledFrom([]string{"user.a", "user.b"}).Draw(s.t, "attribute")
		_, over := st.LiveAttr(e.Node, name)
		a := &Attr{Name: []byte(name), Over: over}
		if a.Gone = rapid.Bool().Draw(s.t, "gone"); !a.Gone {
			a.Value = binary.BigEndian.AppendUint64(nil, s.next)
		}
		s.do(i, Op{Node: e.Node, Attr: a})
	default:
		s.do(i, Op{Node: e.Node, Meta: &Meta{Exec: true, Mtime: int64(s.next), Over: l.Meta}})
	}
}

func sorted(lists ...[]Version) []Version {
	return slices.SortedFunc(slices.Values(slices.Concat(lists...)), Version.Compare)
}

func (s *sim) settle() {
	for again := true; again; {
		again = false
		for i := range s.replicas {
			for j := range s.replicas {
				for s.deliver(i, j) {
					again = true
				}
			}
		}
	}
	for _, r := range s.replicas {
		r.Settle()
	}
}

// records returns every node record of a state.
func records(s *State) []byte {
	ids := make([]NodeID, 0)
	for id := range s.nodes {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, NodeID.Compare)
	var b bytes.Buffer
	for _, id := range ids {
		b.Write(id[:])
		b.Write(s.Record(id))
	}
	return b.Bytes()
}

// shownVersions returns the content versions that the tree shows, and checks
// that what it shows could be on a disk.
func shownVersions(s *State) (map[string]bool, error) {
	tags := make(map[string]bool)
	var walk func(NodeID, int) error
	walk = func(d NodeID, depth int) error {
		if depth > 1000 {
			return fmt.Errorf("a cycle is shown")
		}
		seen := make(map[string]bool)
		for _, e := range s.Children(d) {
			if !Legal(e.Name) || seen[e.Name] {
				return fmt.Errorf("%q is shown, legal %v, twice %v", e.Name, Legal(e.Name), seen[e.Name])
			}
			seen[e.Name] = true
			if id, ok := s.Lookup(d, e.Name); !ok || id != e.ID {
				return fmt.Errorf("%q listed as %v, found as %v", e.Name, e.ID, id)
			}
			if e.Parent != d {
				return fmt.Errorf("%q is in %v, says %v", e.Name, d, e.Parent)
			}
			for t := range strings.SplitSeq(e.Tag, ".") {
				tags[t] = true
			}
			if e.Kind == Dir {
				if err := walk(e.ID, depth+1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return tags, walk(Root, 0)
}

func TestReplicasConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSim(t, rapid.IntRange(2, 4).Draw(t, "devices"))
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			i := rapid.IntRange(0, len(s.replicas)-1).Draw(t, "device")
			if rapid.IntRange(0, 3).Draw(t, "hear") == 0 {
				s.deliver(i, rapid.IntRange(0, len(s.replicas)-1).Draw(t, "from"))
			} else {
				s.step(i)
			}
		}
		s.settle()
		want, wantRecords := s.replicas[0].Dump(), records(s.replicas[0])
		for i, r := range s.replicas {
			if got := r.Dump(); got != want {
				t.Fatalf("device %d shows\n%s\ndevice 0\n%s", i, got, want)
			}
			if !bytes.Equal(records(r), wantRecords) {
				t.Fatalf("device %d has other records", i)
			}
		}
		tags, err := shownVersions(s.replicas[0])
		if err != nil {
			t.Fatalf("%v\n%s", err, want)
		}
		for v, real := range s.contents {
			if real && !s.replaced[v] && !tags[Tag([]Version{v})] {
				t.Fatalf("content %s vanished from\n%s", Tag([]Version{v}), want)
			}
		}
		// The projection made at once is the one kept up to date.
		loaded := New()
		for id := range s.replicas[0].nodes {
			if err := loaded.Load(id, s.replicas[0].Record(id)); err != nil {
				t.Fatal(err)
			}
		}
		loaded.Project()
		if got := loaded.Dump(); got != want {
			t.Fatalf("loaded\n%s\nkept\n%s", got, want)
		}
	})
}
