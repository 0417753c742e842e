// Package invitation is the text that one person hands another so that they
// can join a space, or add a device: what it is for, where to meet, whom to
// trust, and a secret.
//
// There are two kinds for a space. A Link holds the private half of a key that
// an INVITE credential names: any member's device can let its holder in, also
// while the inviter sleeps. A PIN invitation names one device and opens nothing
// by itself: its holder must also know six digits that travel another way.
//
// The other way round goes a Card: with it somebody who shares no space with a
// person can send them an invitation, and no more.
//
// # Format
//
// "echofs://join#" and base64url (no padding) of: version byte 1, canonical
// CBOR, and four bytes of checksum over both. The checksum is there to tell a
// mangled copy from a wrong one; it protects nothing. Every version starts
// with its byte and ends with this checksum. The part after # is never sent
// to a server by a browser. A card is the same behind "echofs://card#".
//
// # Concurrency
//
// Values are immutable; every function may be called from any goroutine.
package invitation

import (
	"crypto/ed25519"
	"crypto/rand"
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
	// MaxQR is how long a text Short makes: a QR code of it fits a terminal.
	MaxQR = 300

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

// A Kind says how an invitation lets somebody in.
type Kind uint8

// The kinds.
const (
	Link   Kind = 1 // into a space, by any member's device
	PIN    Kind = 2 // into a space, by the device Host, with a PIN
	Device Kind = 3 // makes a device one of an identity's, by the device Host, with a PIN
)

// An Invitation lets somebody in until Expires.
type Invitation struct {
	Kind    Kind
	Space   identity.ID // not of a Device
	Secret  [32]byte
	Host    identity.PublicKey // not of a Link: the guest talks to no other device
	Role    credential.Role    // not of a Device; what the inviter says, for people
	Expires time.Time          // whole seconds, UTC
	Signal  []string           // URLs of signaling servers where somebody can be found
	Name    string             // what the inviter calls the space, or themselves
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
	case inv.Kind < Link || inv.Kind > Device:
		return fmt.Errorf("kind %d: %w", inv.Kind, ErrInvalid)
	case inv.Secret == [32]byte{} || inv.Space.IsZero() != (inv.Kind == Device) || (inv.Host == identity.PublicKey{}) != (inv.Kind == Link):
		return fmt.Errorf("space, host or secret missing, or too much: %w", ErrInvalid)
	case inv.Kind == Device && inv.Role != credential.None, inv.Kind != Device && (inv.Role < credential.Reader || inv.Role > credential.Admin):
		return fmt.Errorf("role %v: %w", inv.Role, ErrInvalid)
	case inv.Expires.Unix() <= 0 || inv.Expires.Unix() > maxExpires:
		return fmt.Errorf("it has no expiry: %w", ErrInvalid)
	}
	return checkPublic(inv.Name, inv.Signal)
}

// checkPublic checks what is the same in invitations and cards.
func checkPublic(name string, signal []string) error {
	if len(signal) > MaxSignal {
		return fmt.Errorf("%d signaling servers, at most %d allowed: %w", len(signal), MaxSignal, ErrInvalid)
	}
	if err := identity.CheckName(name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	for _, s := range signal {
		if u, err := url.Parse(s); err != nil || len(s) > MaxURL || u.Scheme == "" || u.Host == "" {
			return fmt.Errorf("signaling server %q: %w", s, ErrInvalid)
		}
	}
	return nil
}

// Check returns an error that matches ErrExpired if the invitation is too old
// by the clock that says now. A guest's clock may be wrong: who lets in decides.
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

// key is the private key of a Link.
func (inv Invitation) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(inv.Secret[:]) }

// Pub is the public key of a Link, which its INVITE names.
func (inv Invitation) Pub() identity.PublicKey {
	return identity.PublicKey(inv.key()[ed25519.SeedSize:])
}

// Sign signs body for a context with the key of a Link.
func (inv Invitation) Sign(context string, body []byte) []byte {
	sig, err := inv.key().Sign(nil, body, &ed25519.Options{Context: context})
	if err != nil {
		panic(fmt.Sprintf("signing for %q: %v", context, err)) // only a context over 255 bytes fails
	}
	return sig
}

// Topic is the secret name under which host and guest find each other.
func (inv Invitation) Topic() [32]byte {
	if inv.Kind == Link {
		return LinkTopic(inv.Pub())
	}
	return inv.derive("echo/invitation/topic/1")
}

// LinkTopic is the topic of the Link with a public key: whoever knows the INVITE
// knows where to wait for its guests.
func LinkTopic(pub identity.PublicKey) [32]byte {
	return identity.Hash("echo/invitation/link-topic/1", pub[:])
}

// ID names an invitation on the device that made it, and to people. It can be
// shown: nothing follows from it.
func (inv Invitation) ID() identity.ID {
	if inv.Kind == Link {
		pub := inv.Pub()
		return identity.Hash("echo/invitation/id/1", pub[:])
	}
	return identity.ID(inv.derive("echo/invitation/id/1"))
}
