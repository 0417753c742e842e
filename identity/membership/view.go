package membership

import (
	"math/bits"
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
	valid bitset // what is in force of set
	cuts  []deviceCut
	roles map[identity.ID]credential.Role
}

// viewAt returns the view of heads, or nil if one is unknown or there is none.
func (s *State) viewAt(heads []identity.ID) *view {
	if len(heads) == 0 || len(heads) > credential.MaxDeps {
		return nil
	}
	key := headsKey(heads)
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

// headsKey names a list of heads.
func headsKey(heads []identity.ID) identity.ID {
	if len(heads) == 1 {
		return heads[0]
	}
	buf := make([]byte, 0, len(heads)*len(heads[0]))
	for _, id := range heads {
		buf = append(buf, id[:]...)
	}
	return identity.Hash("heads", buf)
}

// viewOf works the view of some nodes out.
func (s *State) viewOf(nodes []*node) *view {
	nodes = maximal(nodes)
	v := s.viewOfOne(nodes[0])
	for _, n := range nodes[1:] {
		more := s.viewOfOne(n)
		if v.valid == nil || more.valid == nil || !s.mild(v.set, more.set) {
			v = &view{set: v.set.union(more.set)}
			continue // valid is worked out below
		}
		// Neither has what could make void something that the other has.
		v = &view{set: v.set.union(more.set), valid: v.valid.union(more.valid), cuts: v.cuts}
	}
	if v.valid == nil {
		s.resolve(v)
	}
	return v
}

// viewOfOne is viewOf of one node. If that takes resolving, valid stays nil.
func (s *State) viewOfOne(n *node) *view {
	v := &view{set: n.past.with(n.index)}
	if n.Kind == credential.DeviceCut || s.provesCut(n) {
		return v
	}
	// It is the newest, so it cannot void what it has seen; that it counts
	// itself was found out when it was added.
	v.valid, v.cuts = n.validPast, n.cutsPast
	if n.isSettled() {
		v.valid = v.valid.with(n.index)
	}
	return v
}

// mild reports whether nothing that is in only one of two sets can make anything
// void that is in the other.
func (s *State) mild(a, b bitset) bool {
	for i := range max(len(a), len(b)) {
		for w := a.word(i) ^ b.word(i); w != 0; w &= w - 1 {
			if s.denies(s.nodes[i*64+bits.TrailingZeros64(w)]) {
				return false
			}
		}
	}
	return true
}

// denies reports whether n might make something void.
func (s *State) denies(n *node) bool {
	switch n.Kind {
	case credential.DeviceCut, credential.InviteRevoke:
		return true
	case credential.Import:
		return s.provesCut(n)
	case credential.Redeem:
		return s.provesCut(n) || len(s.redeemed[n.Proof]) > int(n.under.invite.Uses)
	case credential.SetRole:
		return slices.ContainsFunc(s.to[n.Subject], func(g *node) bool {
			_, role := g.to()
			return role > n.Role
		})
	}
	return false
}

// provesCut reports whether n proves devices of an identity that has cut some.
func (s *State) provesCut(n *node) bool {
	return n.chain != nil && len(s.cuts) > 0 && slices.ContainsFunc(s.cuts, func(c *node) bool { return c.Identity == n.chain.Identity() })
}

// maximal returns the nodes that are in the past of no other.
func maximal(nodes []*node) []*node {
	if len(nodes) == 1 {
		return nodes
	}
	return slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool {
		return slices.ContainsFunc(nodes, func(m *node) bool { return m.past.has(n.index) })
	})
}

// role returns an identity's role now.
func (s *State) role(who identity.ID) credential.Role {
	if len(s.nodes) == 0 {
		return credential.None
	}
	return s.roleIn(s.now(), who)
}

// now returns the view of the whole set. What was returned before stays as it is.
func (s *State) now() *view {
	if s.current == nil {
		s.current = &view{set: fullSet(len(s.nodes))}
		s.resolve(s.current)
		s.known = len(s.nodes)
	}
	if s.known == len(s.nodes) {
		return s.current
	}
	v := &view{set: fullSet(len(s.nodes)), cuts: s.current.cuts}
	v.valid = make(bitset, len(v.set))
	copy(v.valid, s.current.valid)
	for _, n := range s.nodes[s.known:] {
		if s.denies(n) {
			v.valid = nil
			break
		}
		if n.isSettled() && s.inForce(n, v) {
			v.valid[n.index/64] |= 1 << (n.index % 64)
		}
	}
	if v.valid == nil {
		s.resolve(v)
	}
	s.current, s.known = v, len(s.nodes)
	return v
}

// manyAuth is from how many deciding nodes that nobody has merged on Auth looks
// for fewer credentials that cover them.
const manyAuth = 8

// cover returns the heads among what decides about roles and devices or, if they
// are many, heads of any kind that cover them, those first that cover most.
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
