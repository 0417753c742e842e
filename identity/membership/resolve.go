package membership

import (
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// resolve works out what is in force in the set of v, which holds the past of
// everything in it.
func (s *State) resolve(v *view) {
	v.cuts = s.cutsIn(v.set)
	v.valid = make(bitset, len(v.set))
	for _, n := range s.settled {
		if v.set.has(n.index) && s.inForce(n, v) {
			v.valid[n.index/64] |= 1 << (n.index % 64)
		}
	}
}

// inForce reports whether n counts in the set of v, of which everything is
// settled that can make n void. That n is well made is known since it was added.
func (s *State) inForce(n *node, v *view) bool {
	switch {
	case n.under == nil:
		return true
	case n.Kind == credential.DeviceCut:
		return v.cutCounts(n)
	case n.Kind == credential.Redeem:
		return s.redeems(n, v)
	case s.ended(n, n, v):
		return false
	case !s.needsRight(n):
		return true
	}
	return v.valid.has(n.under.index) && !s.stripped(n, n.under, v)
}

// needsRight reports whether n counts only while the grant it was made under
// does. What members give up, and say about themselves, needs none.
func (s *State) needsRight(n *node) bool {
	switch n.Kind {
	case credential.SetRole:
		return !n.isOwn()
	case credential.InviteRevoke:
		return !n.isOwnRevoke(s.byID[n.Subject])
	case credential.Invite, credential.KeyEpoch, credential.Exclude:
		return true
	}
	return false
}

// stripped reports whether the right that under gives was taken back before n
// was made by it.
func (s *State) stripped(n, under *node, v *view) bool {
	who, _ := under.to()
	for _, r := range s.to[who] {
		if !v.set.has(r.index) || !takesBack(r, under) {
			continue
		}
		if r.isOwn() {
			if n.past.has(r.index) && s.lowers(r, v) {
				return true // its author had given it up
			}
			continue // what they did before, or at the same time, stands
		}
		// A senior took back the right that n was made with. What they had
		// not seen is void, whether it is concurrent or only claims to be.
		if v.valid.has(r.index) && !r.past.has(n.index) {
			return true
		}
	}
	return false
}

// redeems reports whether a REDEEM counts: as an act of who made the INVITE.
func (s *State) redeems(n *node, v *view) bool {
	invite := n.under
	if !v.valid.has(invite.index) || s.stripped(n, invite.under, v) || s.ended(n, invite, v) {
		return false
	}
	for _, r := range s.revokes[invite.ID] {
		if v.set.has(r.index) && !r.past.has(n.index) && s.countsAgainst(r, invite, v) {
			return false
		}
	}
	var used []identity.ID
	for _, m := range s.redeemed[invite.ID] {
		if m == n || compareAge(m, n) > 0 {
			break
		}
		if v.valid.has(m.index) && !slices.Contains(used, m.Subject) {
			if m.Subject == n.Subject {
				return true // once more by whom it has admitted
			}
			used = append(used, m.Subject)
		}
	}
	return len(used) < int(invite.invite.Uses)
}

// countsAgainst reports whether an INVITE_REVOKE counts against its INVITE: one by
// the same author always, one by another admin if it is in force, and against an
// INVITE of admins only if senior.
func (s *State) countsAgainst(r, invite *node, v *view) bool {
	if r.isOwnRevoke(invite) {
		return !s.ended(r, r, v)
	}
	return v.valid.has(r.index) && (invite.Role < credential.Admin || r.rank().compare(invite.lineage) < 0)
}

// roleIn returns the highest role of who among the grants in force in v.
func (s *State) roleIn(v *view, who identity.ID) credential.Role {
	if role, ok := v.roles[who]; ok {
		return role
	}
	role := s.roleAmong(who, v.set, v)
	if v.roles == nil {
		v.roles = map[identity.ID]credential.Role{}
	}
	v.roles[who] = role
	return role
}

// roleAmong is the role by the grants of a set, judged by all that v knows.
func (s *State) roleAmong(who identity.ID, set bitset, v *view) credential.Role {
	best := credential.None
	for _, g := range s.to[who] {
		if _, role := g.to(); role > best && set.has(g.index) {
			best = max(best, s.gives(g, set, v))
		}
	}
	return best
}

// gives returns the role that a grant gives, judged by all that v knows: none if
// it is not in force, or if something in set takes it back, and no more than its
// subject has left of it.
func (s *State) gives(g *node, set bitset, v *view) credential.Role {
	if g.isOwn() || !v.valid.has(g.index) {
		return credential.None
	}
	who, role := g.to()
	for _, r := range s.to[who] {
		if !set.has(r.index) || !v.set.has(r.index) || !s.lowers(r, v) {
			continue
		}
		switch {
		case r.isOwn():
			if takesBack(r, g) {
				role = min(role, r.Role)
			}
		case takesBack(r, g) || s.gaveUp(g, r, v):
			return credential.None
		}
	}
	return role
}

// gaveUp reports whether r takes back what is left of a grant of admin that its
// subject had given up: then it takes no senior.
func (s *State) gaveUp(g, r *node, v *view) bool {
	who, _ := g.to()
	if !r.past.has(g.index) || g.past.has(r.index) || r.Kind != credential.SetRole {
		return false
	}
	return slices.ContainsFunc(s.to[who], func(c *node) bool {
		return c.isOwn() && r.past.has(c.index) && r.Role < c.Role && takesBack(c, g) && s.lowers(c, v)
	})
}

// lowers reports whether a SET_ROLE is in force. What a member gives up is looked
// at by itself, since it may be asked for before it is settled.
func (s *State) lowers(r *node, v *view) bool {
	if r.isOwn() {
		return !s.ended(r, r, v)
	}
	return v.valid.has(r.index)
}

// takesBack reports whether r, a grant to the same identity as g, takes back
// what g gave, if r is in force; one that members make themselves takes back
// only what is above its role.
func takesBack(r, g *node) bool {
	_, role := g.to()
	if r.Kind != credential.SetRole || r.Role >= role || g == r {
		return false
	}
	if r.isOwn() {
		return !g.past.has(r.index)
	}
	if role == credential.Admin && r.rank().compare(g.lineage) >= 0 {
		return false // only seniors lower an admin
	}
	if g.Kind == credential.Redeem {
		// An invitation speaks for nobody in particular: whoever was lowered
		// is not raised by one that was made without knowing it.
		return !g.under.past.has(r.index)
	}
	// If the two did not know of each other, the senior author prevails.
	return !g.past.has(r.index) && (r.past.has(g.index) || r.rank().compare(g.rank()) <= 0)
}
