package membership

import (
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// A deviceCut is a DEVICE_CUT in a set.
type deviceCut struct {
	by     *node
	counts bool                        // not undone by a reset of the identity
	ends   map[identity.PublicKey]bool // devices of the identity, if it counts
}

// cutsIn returns the device cuts in a set. Whether one counts is up to the
// identity alone: it does if, by all chains of the identity in the set taken
// together, the device is not live. So two devices that cut each other are both
// out, until a reset says which is kept.
func (s *State) cutsIn(set bitset) []deviceCut {
	var list []deviceCut
	together := map[identity.ID]*chain{}
	for _, n := range s.cuts {
		if set.has(n.index) {
			list = append(list, deviceCut{by: n})
			if together[n.Identity] == nil {
				together[n.Identity] = s.chainIn(n.Identity, set)
			}
		}
	}
	for i := range list {
		c := &list[i]
		who := c.by.Identity
		if c.counts = !together[who].Live(c.by.ends); !c.counts {
			continue
		}
		c.ends = map[identity.PublicKey]bool{c.by.ends: true}
		for _, device := range s.devices[who] {
			for _, p := range s.proofs[device] {
				if p.who == who && set.has(p.by.index) && s.book.ends(c.by.chain, p.by.chain, device) {
					c.ends[device] = true
				}
			}
		}
	}
	return list
}

// chainIn returns all chains of an identity in a set, taken together.
func (s *State) chainIn(who identity.ID, set bitset) (all *chain) {
	for _, n := range s.told[who] { // in order of age
		if set.has(n.index) {
			all = s.book.merge(all, n.chain)
		}
	}
	return all
}

// cutCounts reports whether a DEVICE_CUT is in force.
func (v *view) cutCounts(n *node) bool {
	for i := range v.cuts {
		if v.cuts[i].by == n {
			return v.cuts[i].counts
		}
	}
	return false
}

// isCut reports whether a device was cut, as far as v goes.
func (v *view) isCut(device identity.PublicKey, who identity.ID) bool {
	for i := range v.cuts {
		if c := &v.cuts[i]; c.counts && c.by.Identity == who && c.ends[device] {
			return true
		}
	}
	return false
}

// ended reports whether the device that made by was cut before n was made: n is
// by itself, or a REDEEM of by.
func (s *State) ended(n, by *node, v *view) bool {
	for i := range v.cuts {
		c := &v.cuts[i]
		if c.counts && c.by.Identity == by.Identity && c.ends[by.Device] && !c.by.past.has(n.index) && !s.sealed(n, by, c.by, v) {
			return true
		}
	}
	return false
}

// sealed reports whether n is out of reach of a cut: who took the right to it
// back had seen n and left it standing, and neither knew of the other. Else who
// was removed could undo what they did by cutting their own devices.
func (s *State) sealed(n, by, cut *node, v *view) bool {
	if !s.needsRight(by) {
		return false
	}
	for _, r := range s.to[by.Identity] {
		if r.Kind == credential.SetRole && !r.isOwn() && v.valid.has(r.index) && r.past.has(n.index) &&
			!r.past.has(cut.index) && !cut.past.has(r.index) && takesBack(r, by.under) {
			return true
		}
	}
	return false
}
