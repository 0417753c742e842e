package membership

import (
	"fmt"
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// Add puts a credential from credential.Decode into the set, and then those
// that waited for it. An error that matches ErrInvalid says why it can never
// be there; one that matches ErrFull, that it was dropped for now.
func (s *State) Add(op credential.Signed) (Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[op.ID] != nil || s.waiting.has(op.ID) {
		return Duplicate, nil
	}
	status, err := s.add(op)
	if err != nil || status != Added {
		return status, err
	}
	for ready := s.waiting.take(op.ID); len(ready) > 0; {
		next := ready[0]
		ready = ready[1:]
		// One that is refused here can never be in the set: it is dropped, as
		// it would have been had it come after its past.
		if status, err := s.add(next); err == nil && status == Added {
			ready = append(ready, s.waiting.take(next.ID)...)
		}
	}
	return Added, nil
}

func (s *State) add(op credential.Signed) (Status, error) {
	if op.Kind == credential.Genesis && !op.Newer {
		return s.addGenesis(op)
	}
	if op.Space != s.space && !s.space.IsZero() {
		return 0, fmt.Errorf("it belongs to the space %s: %w", op.Space.Short(), ErrInvalid)
	}
	if len(op.Deps) == 0 && op.Newer {
		return 0, fmt.Errorf("the space was made by a newer release: upgrade: %w", ErrInvalid)
	}
	if len(op.Deps) == 0 {
		return 0, fmt.Errorf("it has no past: %w", ErrInvalid)
	}
	for _, id := range op.Deps {
		if s.byID[id] == nil {
			return s.wait(op, id)
		}
	}
	n := s.newNode(op)
	if err := s.checkSigner(n); err != nil {
		return 0, err
	}
	if op.Newer {
		return s.wait(op, identity.ID{})
	}
	profile, err := s.checkKind(n)
	if err != nil {
		return 0, err
	}
	s.insert(n, profile)
	return Added, nil
}

func (s *State) addGenesis(op credential.Signed) (Status, error) {
	if len(s.nodes) > 0 || !s.space.IsZero() && s.space != op.ID {
		return 0, fmt.Errorf("it founds another space: %w", ErrInvalid)
	}
	profile, err := identity.VerifyChain(op.Ext, op.Device)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if profile.Identity != op.Identity || profile.Device != op.Device {
		return 0, fmt.Errorf("the founder's chain is somebody else's: %w", ErrInvalid)
	}
	s.space = op.ID
	s.waiting.keep(func(w credential.Signed) bool { return w.Space == op.ID })
	s.insert(&node{Signed: op}, profile)
	return Added, nil
}

// proves returns what a chain says about the first of the devices that are live.
func proves(chain []byte) (identity.Profile, error) {
	h, err := identity.ReadHalo(chain)
	if err != nil {
		return identity.Profile{}, err
	}
	for _, d := range h.Devices() {
		return h.Profile(d.Key)
	}
	return identity.Profile{}, identity.ErrRevoked
}

// wait keeps op until missing arrives; a zero ID stands for a later release.
func (s *State) wait(op credential.Signed, missing identity.ID) (Status, error) {
	kept := s.waiting.add(op, missing, func(w credential.Signed) bool { return len(s.proofs[w.Device]) > 0 })
	if !kept {
		return 0, ErrFull
	}
	return Pending, nil
}

// newNode places op, whose past is complete, behind the nodes that are there.
func (s *State) newNode(op credential.Signed) *node {
	n := &node{Signed: op, index: len(s.nodes)}
	deps := make([]*node, len(op.Deps))
	for i, id := range op.Deps {
		deps[i] = s.byID[id]
		n.depth = max(n.depth, deps[i].depth+1)
	}
	v := s.viewAt(op.Deps)
	n.past, n.validPast = v.set, v.valid
	return n
}

// checkSigner reports whether n's author was a member in n's own past.
func (s *State) checkSigner(n *node) error {
	if !s.proven(n.Device, n.Identity, n.past) {
		return fmt.Errorf("its device is not proven to act for its identity: %w", ErrInvalid)
	}
	if s.roleIn(s.viewAt(n.Deps), n.Identity) == credential.None {
		return fmt.Errorf("its author was not a member: %w", ErrInvalid)
	}
	return nil
}

// proven reports whether the nodes in past prove that a device acts for who.
func (s *State) proven(device identity.PublicKey, who identity.ID, past bitset) bool {
	return slices.ContainsFunc(s.proofs[device], func(p proof) bool {
		return p.who == who && past.has(p.by.index)
	})
}

// checkKind reports whether n is well made for its kind and allowed by its own
// past. The profile is what an IMPORT proves.
func (s *State) checkKind(n *node) (identity.Profile, error) {
	under := s.byID[n.Proof]
	if under == nil || !n.past.has(under.index) || !under.isGrant() {
		return identity.Profile{}, fmt.Errorf("the grant it was made under is not in its past: %w", ErrInvalid)
	}
	who, role := under.to()
	if who != n.Identity || role == credential.None {
		return identity.Profile{}, fmt.Errorf("the grant it was made under is not its author's: %w", ErrInvalid)
	}
	switch n.Kind {
	case credential.SetRole:
		n.under = under
		return identity.Profile{}, s.checkGrant(n, role)
	case credential.FeedOpen:
		open := 0
		for _, f := range s.feeds[n.Device] {
			if n.past.has(f.index) {
				open++
			}
		}
		if open >= MaxFeedsPerDevice {
			return identity.Profile{}, fmt.Errorf("its device has %d feeds already: %w", open, ErrInvalid)
		}
		return identity.Profile{}, nil
	case credential.Import:
		profile, err := proves(n.Ext)
		if err != nil {
			return identity.Profile{}, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if role != credential.Admin && profile.Identity != n.Identity {
			return identity.Profile{}, fmt.Errorf("its author was %v, not admin: %w", role, ErrInvalid)
		}
		if s.proven(profile.Device, profile.Identity, n.past) {
			return identity.Profile{}, fmt.Errorf("it proves what was proven before: %w", ErrInvalid)
		}
		return profile, nil
	}
	return identity.Profile{}, fmt.Errorf("kind %d: %w", n.Kind, ErrInvalid)
}

// checkGrant judges a SET_ROLE made under a grant of role.
func (s *State) checkGrant(n *node, role credential.Role) error {
	n.lineage = append(slices.Clone(n.under.lineage), step{n.depth, n.ID})
	if n.isLeaving() {
		return nil // any member may leave
	}
	if role != credential.Admin {
		return fmt.Errorf("its author was %v, not admin: %w", role, ErrInvalid)
	}
	if len(n.lineage) > MaxLineage {
		return fmt.Errorf("the right to admit passed through more than %d hands: %w", MaxLineage, ErrInvalid)
	}
	if !s.inForce(n, n.validPast, n.past) {
		return fmt.Errorf("its author was not admin any more: %w", ErrInvalid)
	}
	return nil
}

// insert makes n part of the set. The profile is what it proves, if anything.
func (s *State) insert(n *node, profile identity.Profile) {
	n.index = len(s.nodes)
	s.nodes = append(s.nodes, n)
	s.byID[n.ID] = n
	s.heads = append(maximalAfter(s.heads, n), n)
	s.covered = nil
	if n.isGrant() {
		who, _ := n.to()
		s.to[who] = append(s.to[who], n)
		at, _ := slices.BinarySearchFunc(s.grants, n, compareGrants)
		s.grants = slices.Insert(s.grants, at, n)
		s.auth = append(maximalAfter(s.auth, n), n)
		s.current = nil
	}
	if n.Kind == credential.FeedOpen {
		s.feeds[n.Device] = append(s.feeds[n.Device], n)
	}
	if !profile.Identity.IsZero() {
		s.proofs[profile.Device] = append(s.proofs[profile.Device], proof{profile.Identity, n})
		if _, ok := s.names[profile.Identity]; !ok {
			s.names[profile.Identity] = profile
		}
		if !slices.Contains(s.devices[profile.Identity], profile.Device) {
			s.devices[profile.Identity] = append(s.devices[profile.Identity], profile.Device)
		}
	}
}

// maximalAfter returns those of heads that are not in n's past.
func maximalAfter(heads []*node, n *node) []*node {
	return slices.DeleteFunc(slices.Clone(heads), func(h *node) bool { return n.past.has(h.index) })
}
