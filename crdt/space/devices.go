package space

import (
	"errors"

	"github.com/echofs/echofs/identity"
)

// Halo returns an identity as far as the space knows it; zero if it does not.
func (s *Space) Halo(who identity.ID) identity.Halo { return s.members.Halo(who) }

// Prove makes known to the space what this device knows of its own identity's
// devices, if that is news. It is ErrNotAllowed for who is no member.
func (s *Space) Prove() error { return s.ImportChain(s.device.Chain()) }

// Uncut reports whether devices that the identity of this one has revoked are not
// cut off here yet.
func (s *Space) Uncut() bool { return len(s.members.Uncut(s.device.Halo())) > 0 }

// CutRevoked cuts all devices off that the identity of this one has revoked and
// that acted for it here. What they wrote until now, as far as it is here, stays.
func (s *Space) CutRevoked() error {
	halo := s.device.Halo()
	var errs []error
	for _, key := range s.members.Uncut(halo) {
		errs = append(errs, s.CutDevice(key, halo.Chain()))
	}
	return errors.Join(errs...)
}
