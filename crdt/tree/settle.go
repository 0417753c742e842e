package tree

import (
	"cmp"
	"maps"
	"slices"
)

// Change is how one entry is shown before and after some operations. A Kind of
// None means that it was not or is not shown.
type Change struct {
	ID            NodeID
	Before, After Entry
	Attr          bool // attributes were written
}

// Settle brings what is shown up to date, gives out names and returns what
// changed since the last call, folders before what is in them. It must be
// called after the last Apply and before anything is looked up.
func (s *State) Settle() []Change {
	p := &s.project
	for _, id := range slices.SortedFunc(maps.Keys(p.changed), NodeID.Compare) {
		p.update(s, s.nodes[id])
	}
	clear(p.changed)
	for len(p.unnamed) > 0 {
		for id := range p.unnamed {
			delete(p.unnamed, id)
			p.giveNames(s, id)
		}
	}
	var changes []Change
	depth := make(map[NodeID]int)
	for id, before := range p.before {
		after, _ := s.Get(id)
		if before == after && !p.attr[id] {
			continue
		}
		changes = append(changes, Change{id, before, after, p.attr[id]})
		if n := s.nodes[after.Node]; n != nil {
			depth[id] = n.depth()
		}
	}
	clear(p.before)
	clear(p.attr)
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(min(a.After.Kind, 1), min(b.After.Kind, 1)), cmp.Compare(depth[a.ID], depth[b.ID]), a.ID.Compare(b.ID))
	})
	return changes
}
