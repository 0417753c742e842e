package membership

import (
	"fmt"
	"slices"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// Invite makes the INVITE that lets any member's device admit those who have the
// private key of pub.
func (s *State) Invite(d *identity.Device, role credential.Role, uses uint32, expires time.Time, pub identity.PublicKey, label string, now time.Time) (credential.Signed, error) {
	return s.make(d, credential.Invite, credential.Admin, now, "inviting to the space", func(op *credential.Op) (err error) {
		body := credential.InviteBody{Pub: pub, Uses: uses, Label: label}
		if !expires.IsZero() {
			body.Expires = expires.Unix()
		}
		op.Role = role
		op.Ext, err = body.Encode()
		return err
	})
}

// RevokeInvite makes the INVITE_REVOKE of an invitation: of one's own, or of any
// by an admin.
func (s *State) RevokeInvite(d *identity.Device, id identity.ID, now time.Time) (credential.Signed, error) {
	least := credential.Admin
	s.mu.Lock()
	invite := s.byID[id]
	if invite != nil && invite.Identity == d.Identity() {
		least = credential.Reader
	}
	s.mu.Unlock()
	return s.make(d, credential.InviteRevoke, least, now, "revoking an invitation", func(op *credential.Op) error {
		if invite == nil || invite.Kind != credential.Invite {
			return fmt.Errorf("there is no such invitation: %w", ErrInvitation)
		}
		if invite.Role == credential.Admin && invite.Identity != d.Identity() && s.byID[op.Proof].lineage.compare(invite.lineage) >= 0 {
			return ErrSenior
		}
		op.Subject = id
		return nil
	})
}

// Redeem makes, on the device of any member, what admits the identity of chain
// by an INVITE; sig is by the key of the link, of credential.RedeemMessage. There
// is nothing to make if it has that role, or a higher one, already.
func (s *State) Redeem(witness *identity.Device, invite identity.ID, chain, sig []byte, now time.Time) ([]credential.Signed, error) {
	const doing = "admitting by an invitation"
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.byID[invite]
	if n == nil || n.Kind != credential.Invite {
		return nil, fmt.Errorf("%s: there is none of that name: %w", doing, ErrInvitation)
	}
	guest, err := s.book.open(chain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	body := credential.RedeemBody{Chain: chain, Sig: sig}
	for _, d := range guest.Devices() {
		if s.verify(n.invite.Pub, identity.ContextRedeem, credential.RedeemMessage(s.space, invite, guest.Identity(), d.Key), sig) {
			body.Device = d.Key
		}
	}
	if body.Device == (identity.PublicKey{}) {
		return nil, fmt.Errorf("%s: not signed by its key: %w", doing, ErrInvitation)
	}
	i := s.invitation(n)
	who := guest.Identity()
	switch {
	case s.role(who) >= n.Role:
		return nil, nil
	case i.Revoked:
		return nil, fmt.Errorf("%s: it was revoked: %w", doing, ErrInvitation)
	case len(i.Used) >= int(i.Uses) && !slices.Contains(i.Used, who):
		return nil, fmt.Errorf("%s: it was used: %w", doing, ErrInvitation)
	case s.countMembers() >= MaxMembers && !s.isMember(who):
		return nil, fmt.Errorf("%s: it has %d members, which is the most", doing, MaxMembers)
	}
	op, err := s.draft(witness, credential.Redeem, credential.Reader, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	op.Proof, op.Subject = invite, who
	op.Deps = s.deps(n)
	if op.Ext, err = body.Encode(); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if s.takenBack(&node{Signed: credential.Signed{Op: op}, past: s.now().set, under: n}, s.now()) {
		return nil, fmt.Errorf("%s: it was made before you were removed: %w", doing, ErrInvitation)
	}
	c, err := credential.Make(witness, op)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return []credential.Signed{c}, nil
}
