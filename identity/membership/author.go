package membership

import (
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// Found makes the GENESIS of a new space with d's identity as its founder. The
// caller adds it to a State, as it does with everything the methods below make.
func Found(d *identity.Device, now time.Time) (credential.Signed, error) {
	return credential.Make(d, credential.Op{
		Kind: credential.Genesis, Ext: d.Chain(), Time: now.UnixMilli(), Nonce: nonce(),
	})
}

// OpenFeed makes the credential that opens a feed of d; the feed has its ID.
func (s *State) OpenFeed(d *identity.Device, now time.Time) (credential.Signed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op, err := s.draft(d, credential.FeedOpen, credential.Reader, now)
	if err != nil {
		return credential.Signed{}, fmt.Errorf("opening a feed: %w", err)
	}
	return credential.Make(d, op)
}

// Admit makes the credentials, in the order to add them, that prove the device
// of chain to the space and give its identity a role. There are none if it has
// that role, or a higher one, already.
func (s *State) Admit(d *identity.Device, chain []byte, role credential.Role, now time.Time) ([]credential.Signed, error) {
	guest, err := proves(chain)
	if err != nil {
		return nil, fmt.Errorf("admitting to the space: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isMember(guest.Identity) && s.countMembers() >= MaxMembers {
		return nil, fmt.Errorf("admitting to the space: it has %d members, which is the most", MaxMembers)
	}
	var made []credential.Signed
	if !s.provenNow(guest.Device, guest.Identity) {
		op, err := s.draft(d, credential.Import, credential.Admin, now)
		if err != nil {
			return nil, fmt.Errorf("admitting to the space: %w", err)
		}
		op.Ext = chain
		imp, err := credential.Make(d, op)
		if err != nil {
			return nil, fmt.Errorf("admitting to the space: %w", err)
		}
		made = append(made, imp)
	}
	if s.role(guest.Identity) >= role {
		return made, nil
	}
	op, err := s.draft(d, credential.SetRole, credential.Admin, now)
	if err != nil {
		return nil, fmt.Errorf("admitting to the space: %w", err)
	}
	op.Subject, op.Role = guest.Identity, role
	if len(made) > 0 {
		op.Deps = []identity.ID{made[0].ID} // which has the heads in its past
	}
	grant, err := credential.Make(d, op)
	if err != nil {
		return nil, fmt.Errorf("admitting to the space: %w", err)
	}
	return append(made, grant), nil
}

// SetRole makes the credential that gives an identity another role, or None.
// The cuts are the last entries of its feeds that d has, if the role is lowered
// below editor. A member may end their own membership, whatever their role.
func (s *State) SetRole(d *identity.Device, who identity.ID, role credential.Role, cuts []credential.Cut, now time.Time) (credential.Signed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	least := credential.Admin
	if who == d.Identity() {
		least = credential.Reader
	}
	op, err := s.draft(d, credential.SetRole, least, now)
	if err != nil {
		return credential.Signed{}, fmt.Errorf("changing a role: %w", err)
	}
	op.Subject, op.Role = who, role
	if role < credential.Editor {
		op.Cuts = slices.Clone(cuts)
		slices.SortFunc(op.Cuts, func(a, b credential.Cut) int { return a.Feed.Compare(b.Feed) })
	}
	for _, g := range s.to[who] {
		_, has := g.to()
		if who != d.Identity() && has == credential.Admin && role < has && s.now().valid.has(g.index) && !s.lowered(g, s.now()) &&
			s.byID[op.Proof].lineage.compare(g.lineage) >= 0 {
			return credential.Signed{}, fmt.Errorf("changing a role: %w", ErrSenior)
		}
	}
	return credential.Make(d, op)
}

// draft starts a credential of d under the most senior grant that gives its
// identity at least a role.
func (s *State) draft(d *identity.Device, kind credential.Kind, least credential.Role, now time.Time) (credential.Op, error) {
	if !s.provenNow(d.Key(), d.Identity()) || s.role(d.Identity()) < least {
		return credential.Op{}, ErrNotAllowed
	}
	var under *node
	for _, g := range s.to[d.Identity()] {
		_, role := g.to()
		if role >= least && s.now().valid.has(g.index) && !s.lowered(g, s.now()) &&
			(under == nil || g.lineage.compare(under.lineage) < 0) {
			under = g
		}
	}
	if under == nil {
		return credential.Op{}, ErrNotAllowed
	}
	return credential.Op{
		Space: s.space, Kind: kind, Deps: s.deps(under), Proof: under.ID, Time: now.UnixMilli(), Nonce: nonce(),
	}, nil
}

// deps returns the heads, or as many as a credential may name: first one that
// has the grant it is made under in its past, then those that have most of the
// other grants.
func (s *State) deps(under *node) []identity.ID {
	if len(s.heads) <= credential.MaxDeps {
		return sortedIDs(s.heads)
	}
	first := slices.IndexFunc(s.heads, func(h *node) bool { return h == under || h.past.has(under.index) })
	some := []*node{s.heads[first]}
	for _, h := range slices.Concat(s.cover(), s.heads) {
		if !slices.Contains(some, h) && len(some) < credential.MaxDeps {
			some = append(some, h)
		}
	}
	return sortedIDs(maximal(some))
}

func (s *State) provenNow(device identity.PublicKey, who identity.ID) bool {
	return slices.ContainsFunc(s.proofs[device], func(p proof) bool { return p.who == who })
}

func (s *State) isMember(who identity.ID) bool { return s.role(who) > credential.None }

func (s *State) countMembers() int {
	count := 0
	for who := range s.to {
		if s.isMember(who) {
			count++
		}
	}
	return count
}

func nonce() (n [16]byte) {
	rand.Read(n[:]) // never fails; see crypto/rand
	return n
}
