package membership

import (
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// maxViews bounds how many pasts are remembered. Entries name few: as many as
// there are distinct Auth lists in use.
const maxViews = 256

// A view is what somebody sees who knows some heads and their past.
type view struct {
	set   bitset // the heads and their past
	valid bitset // the grants in set that are in force
	roles map[identity.ID]credential.Role
}

// viewAt returns the view of heads, or nil if one is unknown or there is none.
func (s *State) viewAt(heads []identity.ID) *view {
	if len(heads) == 0 || len(heads) > credential.MaxDeps {
		return nil
	}
	key := heads[0]
	if len(heads) > 1 {
		buf := make([]byte, 0, len(heads)*len(key))
		for _, id := range heads {
			buf = append(buf, id[:]...)
		}
		key = identity.Hash("heads", buf)
	}
	if v := s.views[key]; v != nil {
		return v
	}
	nodes := make([]*node, len(heads))
	for i, id := range heads {
		if nodes[i] = s.byID[id]; nodes[i] == nil {
			return nil
		}
	}
	if len(s.views) >= maxViews {
		clear(s.views)
	}
	v := s.viewOf(nodes)
	s.views[key] = v
	return v
}

// viewOf works the view of some nodes out.
func (s *State) viewOf(nodes []*node) *view {
	nodes = maximal(nodes)
	v := &view{roles: map[identity.ID]credential.Role{}}
	if len(nodes) == 1 {
		n := nodes[0]
		v.set, v.valid = n.past.with(n.index), n.validPast
		if n.isGrant() {
			// It is the newest, so it cannot void what it has seen; that it
			// counts itself was found out when it was added.
			v.valid = v.valid.with(n.index)
		}
		return v
	}
	for _, n := range nodes {
		v.set = v.set.union(n.past.with(n.index))
	}
	v.valid = s.resolve(v.set)
	return v
}

// maximal returns the nodes that are in the past of no other.
func maximal(nodes []*node) []*node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool {
		return slices.ContainsFunc(nodes, func(m *node) bool { return m.past.has(n.index) })
	})
}

// role returns an identity's role now.
func (s *State) role(who identity.ID) credential.Role {
	if len(s.auth) == 0 {
		return credential.None
	}
	return s.roleIn(s.now(), who)
}

// now returns the view of the whole set, as far as roles go.
func (s *State) now() *view {
	if s.current == nil {
		s.current = s.viewOf(s.auth)
	}
	return s.current
}

// manyAuth is from how many grants that nobody has merged on Auth looks for
// fewer credentials that cover them.
const manyAuth = 8

// cover returns the heads among grants or, if they are many, heads of any
// kind that cover them, those first that cover most.
func (s *State) cover() []*node {
	if len(s.auth) <= manyAuth {
		return s.auth
	}
	if s.covered != nil {
		return s.covered
	}
	var chosen []*node
	for left := slices.Clone(s.auth); len(left) > 0; {
		var best *node
		most := 0
		for _, h := range s.heads {
			covers := 0
			for _, g := range left {
				if g == h || h.past.has(g.index) {
					covers++
				}
			}
			if covers > most || covers == most && best != nil && h.ID.Compare(best.ID) < 0 {
				best, most = h, covers
			}
		}
		if most == 1 { // each covers itself
			chosen = append(chosen, left...)
			break
		}
		chosen = append(chosen, best)
		left = slices.DeleteFunc(left, func(g *node) bool { return g == best || best.past.has(g.index) })
	}
	s.covered = chosen
	return chosen
}
