package space

import (
	"maps"
	"slices"

	"github.com/echofs/echofs/crdt/tree"
)

// gone knows the removed nodes, once somebody has asked for them. Space.mu
// guards it.
type gone struct {
	moment uint64 // grows with every change
	nodes  map[NodeID]bool
	in     map[NodeID][]NodeID // by folder, at a moment
	at     uint64
}

// noteLocked follows what happens to nodes.
func (g *gone) noteLocked(changes []tree.Change) {
	g.moment++
	if g.nodes == nil {
		return
	}
	for _, c := range changes {
		switch {
		case c.Before.Copy || c.After.Copy: // is no node
		case c.After.Kind == tree.None:
			g.nodes[c.ID] = true
		default:
			delete(g.nodes, c.ID)
		}
	}
}

// loadGoneLocked looks for removed nodes, the first time. The caller holds mu for
// writing.
func (s *Space) loadGoneLocked() {
	if s.gone.nodes != nil {
		return
	}
	s.gone.nodes = make(map[NodeID]bool)
	for _, id := range s.tree.Gone() {
		s.gone.nodes[id] = true
	}
}

// allGone returns the removed nodes, sorted.
func (s *Space) allGone() []NodeID {
	s.mu.Lock()
	s.loadGoneLocked()
	ids := slices.Collect(maps.Keys(s.gone.nodes))
	s.mu.Unlock()
	slices.SortFunc(ids, NodeID.Compare)
	return ids
}

// goneIn returns the removed nodes of a folder, sorted.
func (s *Space) goneIn(dir NodeID) []NodeID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loadGoneLocked()
	g := &s.gone
	if g.in == nil || g.at != g.moment {
		g.in, g.at = make(map[NodeID][]NodeID), g.moment
		for id := range g.nodes {
			if parent, _, ok := s.tree.Where(id); ok {
				g.in[parent] = append(g.in[parent], id)
			}
		}
	}
	ids := slices.Clone(g.in[dir])
	slices.SortFunc(ids, NodeID.Compare)
	return ids
}

// Gone is a removed node.
type Gone struct {
	ID   NodeID
	Name string
	Kind Kind
}

// RemovedIn returns what was removed in a folder, which may be gone itself,
// and can come back.
func (s *Space) RemovedIn(dir NodeID) ([]Gone, error) {
	var out []Gone
	for _, id := range s.goneIn(dir) {
		p, err := s.pastOf(id)
		if err != nil {
			return nil, s.failPast("list", dir, err)
		}
		won, _ := p.lastContent()
		if won == nil {
			continue
		}
		g := Gone{ID: id}
		switch won.Kind {
		case tree.Dir:
			g.Kind = Dir
		case tree.Symlink:
			g.Kind = Symlink
		}
		s.mu.RLock()
		_, g.Name, _ = s.tree.Where(id)
		s.mu.RUnlock()
		out = append(out, g)
	}
	return out, nil
}

// Moment returns a number that grows with every change and every commit: what
// was read at one moment is true while it stays.
func (s *Space) Moment() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.gone.moment
}
