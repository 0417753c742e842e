package membership

import (
	"errors"
	"fmt"
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// errNewer reports a credential that only a later release can judge.
var errNewer = errors.New("made by a newer release")

// check reports whether n may be in the set: whether it is well made for its
// kind and was allowed, all by its own past, of which v is the view. It fills in
// what n means.
func (s *State) check(n *node, v *view) error {
	if n.Kind == credential.Import && !n.Newer && s.roleIn(v, n.Identity) > credential.None {
		if err := s.readChain(n, n.Ext); err != nil {
			return err
		}
	}
	if err := s.checkSigner(n, v); err != nil {
		return err
	}
	if n.Newer {
		return errNewer
	}
	var err error
	if n.Kind == credential.Redeem {
		err = s.checkRedeem(n, v)
	} else {
		err = s.checkUnder(n, v)
	}
	if err != nil {
		return err
	}
	if n.isSettled() && n.Kind != credential.DeviceCut && !s.inForce(n, v) {
		return fmt.Errorf("it was not in force when it was made: %w", ErrInvalid)
	}
	return nil
}

// checkSigner reports whether n's author was a member in n's own past.
func (s *State) checkSigner(n *node, v *view) error {
	// A new device may prove itself: the chain is all that counts.
	self := n.chain != nil && n.chain.Identity() == n.Identity && n.chain.Live(n.Device)
	if !self && !s.proven(n.Device, n.Identity, n.past) {
		return fmt.Errorf("its device is not proven to act for its identity: %w", ErrInvalid)
	}
	if v.isCut(n.Device, n.Identity) {
		return fmt.Errorf("its device was cut: %w", ErrInvalid)
	}
	if s.roleIn(v, n.Identity) == credential.None {
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

// readChain fills in the chain of n.
func (s *State) readChain(n *node, data []byte) (err error) {
	n.chain, err = s.book.open(data)
	switch {
	case errors.Is(err, identity.ErrNewerChain):
		return errNewer
	case err != nil:
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// checkUnder judges n, which is made under a grant.
func (s *State) checkUnder(n *node, v *view) (err error) {
	under := s.byID[n.Proof]
	if under == nil || !n.past.has(under.index) || !under.isGrant() || under.isOwn() {
		return fmt.Errorf("the grant it was made under is not in its past: %w", ErrInvalid)
	}
	who, role := under.to()
	if who != n.Identity || role == credential.None {
		return fmt.Errorf("the grant it was made under is not its author's: %w", ErrInvalid)
	}
	n.under = under
	if least := s.leastRole(n); role < least {
		return fmt.Errorf("its author was %v, not %v: %w", role, least, ErrInvalid)
	}
	switch n.Kind {
	case credential.SetRole, credential.Invite:
		return s.checkGrant(n)
	case credential.FeedOpen:
		return s.checkFeed(n)
	case credential.Import:
		return s.checkImport(n, v, role)
	case credential.InviteRevoke:
		if invite := s.byID[n.Subject]; invite == nil || invite.Kind != credential.Invite || !n.past.has(invite.index) {
			return fmt.Errorf("the invitation it ends is not in its past: %w", ErrInvalid)
		}
	case credential.DeviceCut:
		return s.checkCut(n, v)
	case credential.KeyEpoch:
		n.epoch, err = credential.DecodeEpoch(n.Ext)
		return err
	case credential.Exclude:
		for _, c := range n.Cuts {
			if s.mayExclude(n, c.Feed, v) {
				n.excludes = append(n.excludes, c)
			}
		}
	}
	return nil
}

// leastRole is what the grant that n is made under has to give.
func (s *State) leastRole(n *node) credential.Role {
	switch {
	case n.isOwn():
		return n.Role + 1
	case n.Kind == credential.InviteRevoke:
		if invite := s.byID[n.Subject]; invite != nil && n.isOwnRevoke(invite) {
			return credential.Reader
		}
		return credential.Admin
	case s.needsRight(n):
		return credential.Admin
	}
	return credential.Reader
}

func (s *State) checkGrant(n *node) (err error) {
	n.lineage = append(slices.Clone(n.under.lineage), step{n.depth, n.ID})
	if len(n.lineage) > MaxLineage && !n.isOwn() {
		return fmt.Errorf("the right to admit passed through more than %d hands: %w", MaxLineage, ErrInvalid)
	}
	if n.Kind == credential.Invite {
		n.invite, err = credential.DecodeInvite(n.Ext)
	}
	return err
}

func (s *State) checkFeed(n *node) error {
	open := 0
	for _, f := range s.feeds[n.Device] {
		if n.past.has(f.index) {
			open++
		}
	}
	if open >= MaxFeedsPerDevice {
		return fmt.Errorf("its device has %d feeds already: %w", open, ErrInvalid)
	}
	return nil
}

// checkImport judges an IMPORT: by an admin, of any identity; by others, of one
// that is a member. What was known is not worth another.
func (s *State) checkImport(n *node, v *view, role credential.Role) error {
	who := n.chain.Identity()
	if role != credential.Admin && s.roleIn(v, who) == credential.None {
		return fmt.Errorf("its author was %v, not admin: %w", role, ErrInvalid)
	}
	if s.imported(n.chain, n.past) {
		return fmt.Errorf("it says what was known before: %w", ErrInvalid)
	}
	return nil
}

// imported reports whether a chain in past says all that another does.
func (s *State) imported(c *chain, past bitset) bool {
	return slices.ContainsFunc(s.told[c.Identity()], func(n *node) bool {
		return n.Kind != credential.DeviceCut && past.has(n.index) && n.chain.Covers(c.Halo)
	})
}

func (s *State) checkCut(n *node, v *view) error {
	body, err := credential.DecodeCut(n.Ext)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := s.readChain(n, body.Chain); err != nil {
		return err
	}
	n.ends = body.Device
	_, known := n.chain.Known(body.Device)
	if n.chain.Identity() != n.Identity || !known || n.chain.Live(body.Device) || !n.chain.Live(n.Device) {
		return fmt.Errorf("its chain does not say that its author is a device and the other is none: %w", ErrInvalid)
	}
	others := 0
	for _, c := range v.cuts {
		if c.by.Identity == n.Identity {
			others++
		}
	}
	if others >= MaxDeviceCuts {
		return fmt.Errorf("its identity has cut %d devices already: %w", others, ErrInvalid)
	}
	if s.book.merge(s.chainIn(n.Identity, n.past), n.chain).Live(body.Device) {
		return fmt.Errorf("the identity was reset and the device kept: %w", ErrInvalid)
	}
	return nil
}

// checkRedeem judges a REDEEM, which is made under an INVITE by somebody who
// need not have made that.
func (s *State) checkRedeem(n *node, v *view) error {
	invite := s.byID[n.Proof]
	if invite == nil || !n.past.has(invite.index) || invite.Kind != credential.Invite {
		return fmt.Errorf("the invitation is not in its past: %w", ErrInvalid)
	}
	n.under = invite
	n.lineage = append(slices.Clone(invite.lineage), step{n.depth, n.ID})
	body, err := credential.DecodeRedeem(n.Ext)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	message := credential.RedeemMessage(n.Space, invite.ID, n.Subject, body.Device)
	if !s.verify(invite.invite.Pub, identity.ContextRedeem, message, body.Sig) {
		return fmt.Errorf("it is not signed by the invitation's key: %w", ErrInvalid)
	}
	if err := s.readChain(n, body.Chain); err != nil {
		return err
	}
	if n.chain.Identity() != n.Subject || !n.chain.Live(body.Device) {
		return fmt.Errorf("the guest's chain is somebody else's: %w", ErrInvalid)
	}
	if s.takenBack(n, v) {
		return fmt.Errorf("the guest was removed after the invitation: %w", ErrInvalid)
	}
	if s.roleIn(v, n.Subject) >= invite.Role {
		return fmt.Errorf("the guest has that role already: %w", ErrInvalid)
	}
	return nil
}
