// Package invitation is the text that one person hands another so that they
// can join a space: which space, where to meet, whom to trust, and a secret
// that can be used once until it expires.
//
// # Format
//
// "echofs://join#" and base64url (no padding) of: version byte 1, canonical
// CBOR, and four bytes of checksum over both. The checksum is there to tell a
// mangled copy from a wrong one; it protects nothing. Every version starts
// with its byte and ends with this checksum. The part after # is never sent
// to a server by a browser.
//
// # Concurrency
//
// Values are immutable; every function may be called from any goroutine.
package invitation

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

const (
	// MaxSignal is how many signaling servers an invitation may name.
	MaxSignal = 8
	// MaxURL is the most bytes the URL of one may have.
	MaxURL = 256

	maxExpires = 253402300799 // the last second of the year 9999
)

var (
	// ErrNotInvitation reports text that is something else.
	ErrNotInvitation = errors.New("this is not an invitation: one starts with " + Prefix)
	// ErrDamaged reports an invitation that was cut short or mistyped.
	ErrDamaged = errors.New("the invitation is incomplete or mistyped: copy all of it again")
	// ErrNewer reports an invitation of a later release.
	ErrNewer = errors.New("the invitation was made by a newer release: upgrade to use it")
	// ErrExpired reports an invitation that is too old.
	ErrExpired = errors.New("the invitation has expired: ask for a new one")
	// ErrInvalid reports an invitation that makes no sense.
	ErrInvalid = errors.New("not a valid invitation")
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

// New completes inv with a fresh secret, rounds its expiry and checks it.
func New(inv Invitation) (Invitation, error) {
	rand.Read(inv.Secret[:]) // never fails; see crypto/rand
	inv.Expires = inv.Expires.UTC().Truncate(time.Second)
	if err := inv.check(); err != nil {
		return Invitation{}, fmt.Errorf("making an invitation: %w", err)
	}
	return inv, nil
}

func (inv Invitation) check() error {
	switch {
	case inv.Space.IsZero() || inv.Host == (identity.PublicKey{}) || inv.Secret == [32]byte{}:
		return fmt.Errorf("space, host or secret missing: %w", ErrInvalid)
	case inv.Role < credential.Reader || inv.Role > credential.Admin:
		return fmt.Errorf("role %v: %w", inv.Role, ErrInvalid)
	case inv.Expires.Unix() <= 0 || inv.Expires.Unix() > maxExpires:
		return fmt.Errorf("it has no expiry: %w", ErrInvalid)
	case len(inv.Signal) > MaxSignal:
		return fmt.Errorf("%d signaling servers, at most %d allowed: %w", len(inv.Signal), MaxSignal, ErrInvalid)
	}
	if err := identity.CheckName(inv.Name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for _, s := range inv.Signal {
		if u, err := url.Parse(s); err != nil || len(s) > MaxURL || u.Scheme == "" || u.Host == "" {
			return fmt.Errorf("signaling server %q: %w", s, ErrInvalid)
		}
	}
	return nil
}

// Check returns an error that matches ErrExpired if the invitation is too old.
func (inv Invitation) Check(now time.Time) error {
	if !now.Before(inv.Expires) {
		return fmt.Errorf("%w (it was good until %s)", ErrExpired, inv.Expires.Format("2006-01-02 15:04 MST"))
	}
	return nil
}

// LogValue keeps the secret out of logs.
func (inv Invitation) LogValue() slog.Value {
	return slog.StringValue("invitation to " + inv.Space.Short())
}

// Topic is the secret name under which host and guest find each other.
func (inv Invitation) Topic() [32]byte { return inv.derive("echo/invitation/topic/1") }

// SecretHash names the invitation where the secret must not be kept.
func (inv Invitation) SecretHash() [32]byte { return inv.derive("echo/invitation/hash/1") }

// Proof shows, to somebody who has the invitation too, that the guest has it.
// It is good for one connection: exporter is that connection's key material.
func (inv Invitation) Proof(exporter []byte) []byte {
	key := inv.derive("echo/invitation/proof/1")
	m := hmac.New(sha256.New, key[:])
	m.Write(exporter)
	return m.Sum(nil)
}

// CheckProof reports, in constant time, whether proof is the right one.
func (inv Invitation) CheckProof(exporter, proof []byte) bool {
	return hmac.Equal(inv.Proof(exporter), proof)
}

func (inv Invitation) derive(purpose string) [32]byte {
	m := hmac.New(sha256.New, inv.Secret[:])
	m.Write([]byte(purpose))
	return [32]byte(m.Sum(nil))
}
