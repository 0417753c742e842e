package membership

import (
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// resolve returns the grants of a set that are in force. The set holds the
// past of everything in it.
func (s *State) resolve(set bitset) bitset {
	valid := make(bitset, len(set))
	for _, g := range s.grants {
		if set.has(g.index) && s.inForce(g, valid, set) {
			valid[g.index/64] |= 1 << (g.index % 64)
		}
	}
	return valid
}

// inForce reports whether g counts in a set whose grants senior to it are
// settled in valid. That g is well made is known since it was added.
func (s *State) inForce(g *node, valid, set bitset) bool {
	if g.under == nil || g.isLeaving() {
		return true
	}
	if !valid.has(g.under.index) {
		return false
	}
	for _, r := range s.to[g.Identity] {
		if !set.has(r.index) || !takesBack(r, g.under) {
			continue
		}
		if r.isLeaving() {
			if g.past.has(r.index) {
				return false // its author had left
			}
			continue // what they did before, or at the same time, stands
		}
		// A senior took back the right that g was made with. What they had
		// not seen is void, whether it is concurrent or only claims to be.
		if valid.has(r.index) && !r.past.has(g.index) {
			return false
		}
	}
	return true
}

// roleIn returns the highest role of who among the grants in force in v.
func (s *State) roleIn(v *view, who identity.ID) credential.Role {
	if role, ok := v.roles[who]; ok {
		return role
	}
	best := credential.None
	for _, g := range s.to[who] {
		if _, role := g.to(); role > best && v.valid.has(g.index) && !s.lowered(g, v) {
			best = role
		}
	}
	v.roles[who] = best
	return best
}

// lowered reports whether a grant in force in v takes back what g gave.
func (s *State) lowered(g *node, v *view) bool {
	who, _ := g.to()
	return slices.ContainsFunc(s.to[who], func(r *node) bool {
		return v.valid.has(r.index) && takesBack(r, g)
	})
}

// takesBack reports whether r, a grant to the same identity as g, takes back
// what g gave, if r is in force.
func takesBack(r, g *node) bool {
	_, role := g.to()
	if r.Kind != credential.SetRole || r.Role >= role || g.past.has(r.index) {
		return false // no less, or g was given in the knowledge of r
	}
	if r.isLeaving() {
		return true
	}
	if role == credential.Admin && r.rank().compare(g.lineage) >= 0 {
		return false // only seniors lower an admin
	}
	// If the two did not know of each other, the senior author prevails.
	return r.past.has(g.index) || r.rank().compare(g.rank()) <= 0
}
