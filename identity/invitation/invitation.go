// Package invitation is the text that one person hands another so that they
// can join a space: which space, where to meet, whom to trust, and a secret
// that can be used once until it expires.
//
// # Format
//
// "echofs://join#" and base64url (no padding) of: version byte 1, canonical
// CBOR, and four bytes of checksum over both. The checksum is there to tell a
// mangled copy from a wrong one; it protects nothing. The part after # is
// never sent to a server by a browser.
//
// # Concurrency
//
// Values are immutable; every function may be called from any goroutine.
package invitation

import (
	"errors"
	"log/slog"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

var (
	// ErrNotInvitation reports text that is something else.
	ErrNotInvitation = errors.New("this is not an invitation: it starts with echofs://join#")
	// ErrDamaged reports an invitation that was cut short or mistyped.
	ErrDamaged = errors.New("the invitation is incomplete or mistyped: copy all of it again")
	// ErrNewer reports an invitation of a later release.
	ErrNewer = errors.New("the invitation was made by a newer release: upgrade to use it")
	// ErrExpired reports an invitation that is too old.
	ErrExpired = errors.New("the invitation has expired: ask for a new one")
)

// An Invitation lets one identity join Space until Expires.
type Invitation struct {
	Space   identity.ID
	Secret  [32]byte
	Host    identity.PublicKey // the device that invites; the guest talks to no other
	Role    credential.Role
	Expires time.Time // whole seconds, UTC
	Signal  []string  // URLs of signaling servers where the host can be found
	Name    string    // what the host calls the space
}

// New makes an invitation with a fresh secret.
func New(inv Invitation) (Invitation, error) { panic("to be written") }

// String returns the text to hand over. It holds the secret: never log it.
func (inv Invitation) String() string { panic("to be written") }

// LogValue keeps the secret out of logs.
func (inv Invitation) LogValue() slog.Value {
	return slog.StringValue("invitation to " + inv.Space.Short())
}

// Parse reads the text of an invitation. Spaces and line breaks that mail or a
// terminal put into it do no harm. Whether it is still good is for Check.
func Parse(text string) (Invitation, error) { panic("to be written") }

// Check returns an error that matches ErrExpired if the invitation is too old.
func (inv Invitation) Check(now time.Time) error { panic("to be written") }

// Topic is the secret name under which host and guest find each other.
func (inv Invitation) Topic() [32]byte { panic("to be written") }

// Proof shows, to somebody who has the invitation too, that the guest has it.
// It is good for one connection: exporter is that connection's key material.
func (inv Invitation) Proof(exporter []byte) []byte { panic("to be written") }

// CheckProof reports, in constant time, whether proof is the right one.
func (inv Invitation) CheckProof(exporter, proof []byte) bool { panic("to be written") }

// SecretHash names the invitation where the secret must not be kept.
func (inv Invitation) SecretHash() [32]byte { panic("to be written") }
