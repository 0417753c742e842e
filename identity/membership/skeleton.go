package membership

import (
	"errors"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
)

var errUnbuilt = errors.New("not built yet")

// An Invitation is an INVITE and what became of it.
type Invitation struct {
	ID      identity.ID
	By      identity.ID
	Pub     identity.PublicKey
	Role    credential.Role
	Uses    uint32
	Used    []identity.ID // who was admitted by it, in the order that counts
	Expires time.Time     // zero if it does not say
	Label   string
	Revoked bool // by an INVITE_REVOKE, or because its author's right to admit has ended
}

// Open reports whether it would admit somebody now.
func (i Invitation) Open(now time.Time) bool {
	return !i.Revoked && uint32(len(i.Used)) < i.Uses && (i.Expires.IsZero() || now.Before(i.Expires))
}

// An Epoch is a key of the space, as its KEY_EPOCHs give it.
type Epoch struct {
	ID    identity.ID // of the first KEY_EPOCH that is in force
	By    identity.ID
	KeyID [8]byte
	Prev  []byte // the earlier keys, encrypted with this one
	boxes map[[8]byte][]byte
}

// Box returns the key as sealed for a device, nil if it is not.
func (e Epoch) Box(device identity.PublicKey) []byte {
	return e.boxes[credential.SealTo(device, nil)]
}

// RecoveryBox returns the key as sealed for a recovery key, nil if it is not.
func (e Epoch) RecoveryBox(seal []byte) []byte {
	return e.boxes[credential.SealTo(identity.PublicKey{}, seal)]
}

// Invite makes the INVITE that lets any member's device admit those who have the
// private key of pub.
func (s *State) Invite(d *identity.Device, role credential.Role, uses uint32, expires time.Time, pub identity.PublicKey, label string, now time.Time) (credential.Signed, error) {
	return credential.Signed{}, errUnbuilt
}

// RevokeInvite makes the INVITE_REVOKE of an invitation.
func (s *State) RevokeInvite(d *identity.Device, id identity.ID, now time.Time) (credential.Signed, error) {
	return credential.Signed{}, errUnbuilt
}

// Redeem makes, on the device of any member, what admits the identity of chain
// by an INVITE; sig is by the key of the link, of credential.RedeemMessage.
func (s *State) Redeem(witness *identity.Device, invite identity.ID, chain, sig []byte, now time.Time) ([]credential.Signed, error) {
	return nil, errUnbuilt
}

// Invitations returns the INVITEs that were made, oldest first.
func (s *State) Invitations() []Invitation { return nil }

// Import makes what proves the devices of a chain to the space; nothing if they are.
func (s *State) Import(d *identity.Device, chain []byte, now time.Time) ([]credential.Signed, error) {
	return nil, errUnbuilt
}

// CutDevice makes the DEVICE_CUT of a device of d's own identity. The cuts are
// the last entries that d has of all feeds of its identity.
func (s *State) CutDevice(d *identity.Device, device identity.PublicKey, chain []byte, cuts []credential.Cut, now time.Time) (credential.Signed, error) {
	return credential.Signed{}, errUnbuilt
}

// Exclude makes the EXCLUDE of entries.
func (s *State) Exclude(d *identity.Device, entries []credential.Cut, now time.Time) (credential.Signed, error) {
	return credential.Signed{}, errUnbuilt
}

// SetProfile makes the PROFILE_SET of d's identity.
func (s *State) SetProfile(d *identity.Device, profile credential.ProfileBody, now time.Time) (credential.Signed, error) {
	return credential.Signed{}, errUnbuilt
}

// SetMeta makes the META of d's identity.
func (s *State) SetMeta(d *identity.Device, ext []byte, now time.Time) (credential.Signed, error) {
	return credential.Signed{}, errUnbuilt
}

// Meta returns what an identity keeps in the space.
func (s *State) Meta(who identity.ID) []byte { return nil }

// NewEpoch makes the KEY_EPOCHs that give a key to the recipients of boxes.
func (s *State) NewEpoch(d *identity.Device, keyID [8]byte, prev []byte, boxes []credential.SealedKey, now time.Time) ([]credential.Signed, error) {
	return nil, errUnbuilt
}

// Epochs returns the keys of the space: first the one that entries are written
// under.
func (s *State) Epochs() []Epoch { return nil }

// SealTo returns whom a new key is sealed to: the devices of present members and
// their recovery keys, which have no Key. See credential.SealTo.
func (s *State) SealTo() []identity.DeviceInfo { return nil }

// Generation changes whenever some entry's verdict may have changed. It depends
// on the set alone.
func (s *State) Generation() uint64 { return 0 }
