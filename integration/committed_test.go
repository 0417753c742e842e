package integration

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/crdt/tree"
	"github.com/echofs/echofs/identity/keystore"
)

// A life is what the log of a space says about one node: every name that it
// ever had, and what was done to it.
type life struct {
	id     tree.NodeID
	parent tree.NodeID // the last one
	names  []string
	writes int // of content, the first one included
	gone   int // removals
}

// lives reads the whole log of the only space of a device, which must be
// stopped: nothing that was ever committed can hide there.
func (d *Device) lives() map[tree.NodeID]*life {
	d.w.t.Helper()
	check := func(err error) {
		d.w.t.Helper()
		if err != nil {
			d.w.t.Fatal(err)
		}
	}
	store, err := keystore.Open(filepath.Join(d.home, "identity"), keystore.Config{})
	check(err)
	device, err := store.Unlock(d.w.t.Context(), nil)
	check(err)
	spaces, err := os.ReadDir(filepath.Join(d.home, "spaces"))
	check(err)
	if len(spaces) != 1 {
		d.w.t.Fatalf("%s has %d spaces", d.name, len(spaces))
	}
	s, err := space.Open(space.Config{Dir: filepath.Join(d.home, "spaces", spaces[0].Name()), Device: device})
	check(err)
	defer s.Close()
	lives := map[tree.NodeID]*life{}
	for after := uint64(0); ; {
		refs, err := s.Log(after, 1000)
		check(err)
		if len(refs) == 0 {
			return lives
		}
		for _, ref := range refs {
			raw, err := s.Entry(ref.Feed, ref.Seq)
			check(err)
			entry, err := feed.Decode(raw)
			check(err)
			payload, err := entry.Open(s.Key())
			check(err)
			ops, err := tree.Decode(payload)
			check(err)
			for _, op := range ops {
				l := lives[op.Node]
				if l == nil {
					l = &life{id: op.Node}
					lives[op.Node] = l
				}
				l.add(op)
			}
			after = ref.Pos
		}
	}
}

func (l *life) add(op tree.Op) {
	if op.Place != nil {
		l.parent = op.Place.Parent
		if name := string(op.Place.Name); !slices.Contains(l.names, name) {
			l.names = append(l.names, name)
		}
	}
	switch {
	case op.Content != nil && op.Content.Kind == tree.None:
		l.gone++
	case op.Content != nil, op.Edit != nil:
		l.writes++
	}
}
