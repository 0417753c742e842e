// Package membership works out from credentials who belongs to a space, with
// which role, devices and feeds. The result is a function of the set of
// credentials alone: neither the order they arrive in nor any clock matters.
//
// # Concurrency
//
// Every method of a State may be called from any goroutine.
package membership

import (
	"errors"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

var (
	// ErrInvalid reports a credential that no past and no future makes count.
	ErrInvalid = errors.New("credential refused")
	// ErrNotAllowed reports an action for which this device's identity lacks the role.
	ErrNotAllowed = errors.New("not allowed by your role in the space")
)

// A Status is what became of a credential.
type Status uint8

const (
	Added     Status = iota + 1 // it is in the set, and perhaps some that waited for it
	Pending                     // it waits for its past, or for a release that understands it
	Duplicate                   // it was there, or waiting, already
)

// FeedInfo says whose feed it is.
type FeedInfo struct {
	Device   identity.PublicKey
	Identity identity.ID
}

// A Member is an identity with a role now.
type Member struct {
	identity.Profile // Device is the first of Devices
	Role             credential.Role
	Devices          []identity.PublicKey
}

// A State is a set of credentials and what it amounts to.
type State struct{}

// New returns a state without a space: the first GENESIS added decides.
func New() *State { panic("to be written") }

// Of returns the empty state of one space, which takes no other GENESIS.
func Of(space identity.ID) *State { panic("to be written") }

// Add puts a credential from credential.Decode into the set. An error that
// matches ErrInvalid says why it can never be there.
func (s *State) Add(op credential.Signed) (Status, error) { panic("to be written") }

// Space returns the ID of the space: that of its GENESIS.
func (s *State) Space() identity.ID { panic("to be written") }

// Heads returns the credentials that no other has in its past, sorted. It is
// what peers compare and what the next credential's Deps are.
func (s *State) Heads() []identity.ID { panic("to be written") }

// Auth returns the heads among the credentials that decide about roles. It is
// what an entry names as Auth: it covers what every earlier entry could name.
func (s *State) Auth() []identity.ID { panic("to be written") }

// Len returns how many credentials are in the set.
func (s *State) Len() int { panic("to be written") }

// Ops returns the set in causal order: the order of acceptance.
func (s *State) Ops() []credential.Signed { panic("to be written") }

// Since returns Ops()[n:]: what was accepted after Len() was n.
func (s *State) Since(n int) []credential.Signed { panic("to be written") }

// Waiting returns the pending credentials, to keep and pass on.
func (s *State) Waiting() []credential.Signed { panic("to be written") }

// Has reports whether a credential is in the set.
func (s *State) Has(id identity.ID) bool { panic("to be written") }

// Covers reports whether every credential in of is one of heads or in the past
// of one. Unknown credentials cover and are covered by nothing.
func (s *State) Covers(heads, of []identity.ID) bool { panic("to be written") }

// Role returns an identity's role now.
func (s *State) Role(who identity.ID) credential.Role { panic("to be written") }

// RoleAt returns an identity's role for somebody who knew only heads and their
// past: None if any of heads is unknown.
func (s *State) RoleAt(who identity.ID, heads []identity.ID) credential.Role {
	panic("to be written")
}

// Feed says who owns a feed; its ID is that of the credential that opened it.
func (s *State) Feed(feed identity.ID) (FeedInfo, bool) { panic("to be written") }

// Feeds returns the feeds a device opened, in order of acceptance.
func (s *State) Feeds(device identity.PublicKey) []identity.ID { panic("to be written") }

// Device returns the profile of a device of a present member.
func (s *State) Device(key identity.PublicKey) (identity.Profile, bool) { panic("to be written") }

// Profile returns the profile of an identity that is or was a member.
func (s *State) Profile(who identity.ID) (identity.Profile, bool) { panic("to be written") }

// Members returns the present members, founder first, then by identity.
func (s *State) Members() []Member { panic("to be written") }
