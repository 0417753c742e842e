package membership

import (
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

// Found makes the GENESIS of a new space with d's identity as its founder. The
// caller adds it to a State, as it does with everything the methods below make.
func Found(d *identity.Device, now time.Time) (credential.Signed, error) { panic("to be written") }

// OpenFeed makes the credential that opens a feed of d; the feed has its ID.
func (s *State) OpenFeed(d *identity.Device, now time.Time) (credential.Signed, error) {
	panic("to be written")
}

// Admit makes the credentials, in the order to add them, that prove the device
// of chain to the space and give its identity a role.
func (s *State) Admit(d *identity.Device, chain []byte, role credential.Role, now time.Time) ([]credential.Signed, error) {
	panic("to be written")
}

// SetRole makes the credential that gives an identity another role, or None.
// The cuts are the last entries of its feeds that d has, if the role is lowered.
func (s *State) SetRole(d *identity.Device, who identity.ID, role credential.Role, cuts []credential.Cut, now time.Time) (credential.Signed, error) {
	panic("to be written")
}
