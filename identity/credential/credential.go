// Package credential is the form of the signed statements about a space: who
// founded it, who belongs to it with which role, which devices and feeds they
// have. What the statements amount to together is package membership's.
//
// # Format
//
// A credential travels as the canonical CBOR array [body, signature]. The body
// is a map with the fields of Op; the device named in field 5 signs it for
// identity.ContextCredential. Its ID is the hash of the body, so a second
// signature of the same statement is the same credential. Every version keeps
// this envelope and fields 1 to 6; a version or kind that this release does
// not know is kept and passed on, not refused.
//
// # Concurrency
//
// Values are immutable; every function may be called from any goroutine.
package credential

import (
	"errors"

	"github.com/echofs/echofs/identity"
)

const (
	// Version is the only version of a credential's body so far.
	Version = 1
	// MaxSize is the most bytes a credential may have as it travels.
	MaxSize = 64 << 10
	// MaxDeps is how many credentials one may name as its direct past.
	MaxDeps = 64
	// MaxCuts is how many feeds a credential may cut.
	MaxCuts = 512
)

// ErrInvalid reports bytes that are no credential.
var ErrInvalid = errors.New("not a valid credential")

// A Kind says what an Op states.
type Kind uint8

// The kinds.
const (
	Genesis      Kind = 1  // founds a space; Ext is the founder's chain
	SetRole      Kind = 2  // gives Subject the role Role; to oneself only a lower one
	FeedOpen     Kind = 3  // opens the feed of Device that has the credential's ID
	Import       Kind = 4  // Ext is a chain; proves its devices to the space
	Invite       Kind = 5  // admits whoever has a key; Ext is an InviteBody
	InviteRevoke Kind = 6  // ends the INVITE that Subject names
	Redeem       Kind = 7  // admits Subject by the INVITE in Proof; Ext is a RedeemBody; signed by any member
	DeviceCut    Kind = 8  // ends a device of the signer's identity; Ext is a CutBody
	KeyEpoch     Kind = 9  // gives members a key of the space; Ext is an EpochBody
	ProfileSet   Kind = 10 // how the signer's identity is called; Ext is a ProfileBody
	Exclude      Kind = 11 // takes the entries in Cuts, and what builds on them, out of the space
	Meta         Kind = 12 // something opaque of the signer's identity
)

// Known reports whether this release understands k.
func (k Kind) Known() bool { return k >= Genesis && k <= Meta }

// An Op is the body of a credential. Optional fields that a kind does not use
// must be empty.
type Op struct {
	Version  uint64             `cbor:"1,keyasint"`
	Space    identity.ID        `cbor:"2,keyasint,omitzero"` // ID of the GENESIS, in which it is zero
	Kind     Kind               `cbor:"3,keyasint"`
	Deps     []identity.ID      `cbor:"4,keyasint,omitempty"` // all heads the signer knew, sorted
	Device   identity.PublicKey `cbor:"5,keyasint"`           // who signs
	Identity identity.ID        `cbor:"6,keyasint"`           // whom it acts for
	Proof    identity.ID        `cbor:"7,keyasint,omitzero"`  // the grant it acts under
	Subject  identity.ID        `cbor:"8,keyasint,omitzero"`
	Role     Role               `cbor:"9,keyasint,omitempty"`
	Cuts     []Cut              `cbor:"10,keyasint,omitempty"` // last entries that a lowered role or a cut leaves standing, or the excluded ones; sorted
	Time     int64              `cbor:"11,keyasint,omitempty"` // milliseconds; for display only
	Ext      []byte             `cbor:"12,keyasint,omitempty"`
	Nonce    [16]byte           `cbor:"13,keyasint"`
}

// A Cut names the last entry of a feed that still counts.
type Cut struct {
	_    struct{} `cbor:",toarray"`
	Feed identity.ID
	Seq  uint64
	ID   identity.ID
}

// Signed is a credential whose signature has been verified.
type Signed struct {
	Op
	ID  identity.ID
	Raw []byte // as it travels and is stored

	// Newer says that the credential has a version or kind that only a later
	// release understands; then only Space, Deps, Device and Identity hold.
	Newer bool
}
