package membership

import (
	"slices"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// An Invitation is an INVITE and what became of it.
type Invitation struct {
	ID      identity.ID
	By      identity.ID
	Pub     identity.PublicKey
	Role    credential.Role
	Uses    uint32
	Used    []identity.ID // whom it admitted, first come first
	Expires time.Time     // zero if it does not say
	Label   string
	Revoked bool // by an INVITE_REVOKE, or because its author may not admit any more
}

// Open reports whether it would admit somebody now.
func (i Invitation) Open(now time.Time) bool {
	return !i.Revoked && uint32(len(i.Used)) < i.Uses && (i.Expires.IsZero() || now.Before(i.Expires))
}

// Invitations returns the INVITEs in order of age.
func (s *State) Invitations() []Invitation {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.nodes) == 0 {
		return nil
	}
	var list []Invitation
	invites := slices.Clone(s.invites)
	slices.SortFunc(invites, compareAge)
	for _, n := range invites {
		list = append(list, s.invitation(n))
	}
	return list
}

func (s *State) invitation(n *node) Invitation {
	i := Invitation{
		ID: n.ID, By: n.Identity, Pub: n.invite.Pub, Role: n.Role, Uses: n.invite.Uses, Label: n.invite.Label, Revoked: !s.admits(n),
	}
	if n.invite.Expires > 0 {
		i.Expires = time.Unix(n.invite.Expires, 0)
	}
	for _, r := range s.redeemed[n.ID] {
		if s.now().valid.has(r.index) && !slices.Contains(i.Used, r.Subject) {
			i.Used = append(i.Used, r.Subject)
		}
	}
	return i
}

// admits reports whether a REDEEM of an INVITE that has all in its past would
// count, uses left aside.
func (s *State) admits(invite *node) bool {
	v := s.now()
	next := &node{past: v.set, under: invite, index: len(s.nodes)}
	if !v.valid.has(invite.index) || s.stripped(next, invite.under, v) || s.ended(next, invite, v) {
		return false
	}
	return !slices.ContainsFunc(s.revokes[invite.ID], func(r *node) bool { return s.countsAgainst(r, invite, v) })
}

// takenBack reports whether the role that a REDEEM would give has been taken
// back, in the view that it is made in.
func (s *State) takenBack(redeem *node, v *view) bool {
	return slices.ContainsFunc(s.to[redeem.Subject], func(r *node) bool {
		return v.set.has(r.index) && takesBack(r, redeem) && s.lowers(r, v)
	})
}
