package membership

import (
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
	under := g.under
	if !valid.has(under.index) {
		return false
	}
	for _, r := range s.to[g.Identity] {
		if !set.has(r.index) || r.Kind != credential.SetRole || r.Role >= credential.Admin || under.past.has(r.index) {
			continue
		}
		if r.isLeaving() {
			if g.past.has(r.index) {
				return false // they had left, and acted under a grant from before
			}
			continue
		}
		// A senior lowered g's author. What the remover had not seen is void,
		// whether it is concurrent or only claims to be.
		if valid.has(r.index) && r.rank().compare(under.lineage) < 0 && !r.past.has(g.index) {
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
	who, role := g.to()
	for _, r := range s.to[who] {
		if r == g || !v.valid.has(r.index) || r.Kind != credential.SetRole || r.Role >= role || !canLower(r, g) {
			continue
		}
		if r.past.has(g.index) {
			return true
		}
		if !g.past.has(r.index) && !r.isLeaving() && r.rank().compare(g.rank()) <= 0 {
			return true // concurrent, and not by a junior of whoever granted
		}
	}
	return false
}

// canLower reports whether r's author had the authority to take back g.
func canLower(r, g *node) bool {
	_, role := g.to()
	return r.isLeaving() || role < credential.Admin || r.rank().compare(g.lineage) < 0
}
