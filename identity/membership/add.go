package membership

import (
	"bytes"
	"errors"
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
	n, v := s.newNode(op)
	err := s.check(n, v)
	switch {
	case errors.Is(err, errNewer):
		return s.wait(op, identity.ID{})
	case err != nil:
		return 0, err
	}
	s.insert(n)
	return Added, nil
}

func (s *State) addGenesis(op credential.Signed) (Status, error) {
	if len(s.nodes) > 0 || !s.space.IsZero() && s.space != op.ID {
		return 0, fmt.Errorf("it founds another space: %w", ErrInvalid)
	}
	c, err := s.book.open(op.Ext)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if c.Identity() != op.Identity || !c.Live(op.Device) {
		return 0, fmt.Errorf("the founder's chain is somebody else's: %w", ErrInvalid)
	}
	s.space = op.ID
	s.waiting.keep(func(w credential.Signed) bool { return w.Space == op.ID })
	s.insert(&node{Signed: op, chain: c})
	return Added, nil
}

// wait keeps op until missing arrives; a zero ID stands for a later release.
func (s *State) wait(op credential.Signed, missing identity.ID) (Status, error) {
	kept := s.waiting.add(op, missing, func(w credential.Signed) bool { return len(s.proofs[w.Device]) > 0 })
	if !kept {
		return 0, ErrFull
	}
	return Pending, nil
}

// newNode places op, whose past is complete, behind the nodes that are there. It
// returns what somebody sees who knows only the past.
func (s *State) newNode(op credential.Signed) (*node, *view) {
	n := &node{Signed: op, index: len(s.nodes)}
	for _, id := range op.Deps {
		n.depth = max(n.depth, s.byID[id].depth+1)
	}
	v := s.viewAt(op.Deps)
	n.past, n.validPast, n.cutsPast = v.set, v.valid, v.cuts
	return n, v
}

// insert makes n part of the set.
func (s *State) insert(n *node) {
	n.index = len(s.nodes)
	s.nodes = append(s.nodes, n)
	s.byID[n.ID] = n
	s.heads = append(maximalAfter(s.heads, n), n)
	s.covered = nil
	if n.decides() {
		s.auth = append(maximalAfter(s.auth, n), n)
	}
	if n.isGrant() {
		who, _ := n.to()
		s.to[who] = append(s.to[who], n)
	}
	if n.isSettled() {
		s.settled = insertNode(s.settled, n, compareSettled)
	}
	switch n.Kind {
	case credential.FeedOpen:
		s.feeds[n.Device] = append(s.feeds[n.Device], n)
	case credential.InviteRevoke:
		s.revokes[n.Subject] = append(s.revokes[n.Subject], n)
	case credential.Redeem:
		s.redeemed[n.Proof] = insertNode(s.redeemed[n.Proof], n, compareAge)
	case credential.Invite:
		s.invites = append(s.invites, n)
	case credential.KeyEpoch:
		s.epochs = append(s.epochs, n)
	case credential.Exclude:
		s.excludes = append(s.excludes, n)
	case credential.ProfileSet, credential.Meta:
		s.about[n.Identity] = append(s.about[n.Identity], n)
	case credential.DeviceCut:
		s.cuts = insertNode(s.cuts, n, compareAge)
	}
	if n.chain != nil {
		s.learn(n)
	}
}

// learn takes what the chain of n proves.
func (s *State) learn(n *node) {
	who := n.chain.Identity()
	s.chains[who] = s.book.merge(s.chains[who], n.chain)
	s.told[who] = insertNode(s.told[who], n, compareAge)
	if n.Kind == credential.DeviceCut {
		return // by it nobody becomes a device
	}
	for _, d := range n.chain.Devices() {
		s.proofs[d.Key] = append(s.proofs[d.Key], proof{who, n})
		list := s.devices[who]
		if at, found := slices.BinarySearchFunc(list, d.Key, compareKeys); !found {
			s.devices[who] = slices.Insert(list, at, d.Key)
		}
	}
}

// maximalAfter returns those of heads that are not in n's past.
func maximalAfter(heads []*node, n *node) []*node {
	return slices.DeleteFunc(slices.Clone(heads), func(h *node) bool { return n.past.has(h.index) })
}

func compareKeys(a, b identity.PublicKey) int { return bytes.Compare(a[:], b[:]) }
