package credential

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

const (
	// MaxUses is how many identities one INVITE may admit.
	MaxUses = 500
	// MaxLabel is the most bytes of an invitation's label.
	MaxLabel = 256
	// MaxBoxes is for how many recipients one KEY_EPOCH seals its key. A key for
	// more of them takes several.
	MaxBoxes = 40
	// MaxBox is the most bytes of a sealed key.
	MaxBox = 1200
	// MaxPrev is the most bytes of the encrypted list of earlier keys.
	MaxPrev = 10 << 10
	// MaxParts is in how many credentials a key may be sealed.
	MaxParts = 64
	// MaxPicture is the most bytes of a profile's picture.
	MaxPicture = 16 << 10
	// MaxMeta is the most bytes of a META.
	MaxMeta = 48 << 10
)

// InviteBody is what an INVITE has in Ext. The role is in the credential.
type InviteBody struct {
	Pub     identity.PublicKey `cbor:"1,keyasint"`           // Ed25519 key of the link
	Uses    uint32             `cbor:"2,keyasint"`           // how many identities it admits, 1 to MaxUses
	Expires int64              `cbor:"3,keyasint,omitempty"` // seconds since 1970; a hint, since clocks lie
	Label   string             `cbor:"4,keyasint,omitempty"` // for the person who made it
}

// RedeemBody is what a REDEEM has in Ext.
type RedeemBody struct {
	Device identity.PublicKey `cbor:"1,keyasint"` // the guest's, live by the chain
	Chain  []byte             `cbor:"2,keyasint"` // of the guest
	Sig    []byte             `cbor:"3,keyasint"` // by the key of the link, of RedeemMessage
}

// CutBody is what a DEVICE_CUT has in Ext.
type CutBody struct {
	Device identity.PublicKey `cbor:"1,keyasint"` // which is not live by the chain
	Chain  []byte             `cbor:"2,keyasint"` // of the author, with the revocation or reset
}

// EpochBody is what a KEY_EPOCH has in Ext. Those with the same KeyID are about
// the same key.
type EpochBody struct {
	KeyID  [8]byte     `cbor:"1,keyasint"`
	Prev   []byte      `cbor:"2,keyasint,omitempty"` // the earlier keys, encrypted with this one
	Sealed []SealedKey `cbor:"3,keyasint,omitempty"`
	Part   uint32      `cbor:"4,keyasint,omitempty"` // counts from 0
	Parts  uint32      `cbor:"5,keyasint"`           // 1 to MaxParts
}

// A SealedKey is a key for one device or recovery key.
type SealedKey struct {
	_   struct{} `cbor:",toarray"`
	To  [8]byte  // SealTo of the recipient
	Box []byte
}

// SealTo names a recipient of a SealedKey: by its key or, if it has none since
// it is a recovery key, by the hash of its seal key.
func SealTo(key identity.PublicKey, seal []byte) [8]byte {
	if key == (identity.PublicKey{}) {
		id := identity.Hash("echo/seal/1", seal)
		return [8]byte(id[:8])
	}
	return [8]byte(key[:8])
}

// ProfileBody is what a PROFILE_SET has in Ext.
type ProfileBody struct {
	Name    string `cbor:"1,keyasint,omitempty"`
	Picture []byte `cbor:"2,keyasint,omitempty"` // an image file; nobody trusts it
}

// RedeemMessage is what the key of a link signs, for identity.ContextRedeem.
func RedeemMessage(space, invite, guest identity.ID, device identity.PublicKey) []byte {
	data, err := codec.Marshal(struct {
		_                    struct{} `cbor:",toarray"`
		Space, Invite, Guest identity.ID
		Device               identity.PublicKey
	}{Space: space, Invite: invite, Guest: guest, Device: device})
	if err != nil {
		panic(err) // four arrays of bytes can always be encoded
	}
	return data
}

// Encode returns b for Ext.
func (b InviteBody) Encode() ([]byte, error) { return encodeBody(b, b.check()) }

// Encode returns b for Ext.
func (b RedeemBody) Encode() ([]byte, error) { return encodeBody(b, b.check()) }

// Encode returns b for Ext.
func (b CutBody) Encode() ([]byte, error) { return encodeBody(b, b.check()) }

// Encode returns b for Ext. It sorts Sealed.
func (b EpochBody) Encode() ([]byte, error) {
	b.Sealed = slices.Clone(b.Sealed)
	slices.SortFunc(b.Sealed, func(a, b SealedKey) int { return slices.Compare(a.To[:], b.To[:]) })
	return encodeBody(b, b.check())
}

// Encode returns b for Ext.
func (b ProfileBody) Encode() ([]byte, error) { return encodeBody(b, b.check()) }

func encodeBody(b any, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return codec.Marshal(b)
}

// DecodeInvite reads the Ext of an INVITE.
func DecodeInvite(ext []byte) (b InviteBody, err error) {
	err = decodeExt(ext, &b, b.check)
	return b, err
}

// DecodeRedeem reads the Ext of a REDEEM. It does not verify the chain or the
// signature.
func DecodeRedeem(ext []byte) (b RedeemBody, err error) {
	err = decodeExt(ext, &b, b.check)
	return b, err
}

// DecodeCut reads the Ext of a DEVICE_CUT. It does not verify the chain.
func DecodeCut(ext []byte) (b CutBody, err error) {
	err = decodeExt(ext, &b, b.check)
	return b, err
}

// DecodeEpoch reads the Ext of a KEY_EPOCH.
func DecodeEpoch(ext []byte) (b EpochBody, err error) {
	err = decodeExt(ext, &b, b.check)
	return b, err
}

// DecodeProfile reads the Ext of a PROFILE_SET.
func DecodeProfile(ext []byte) (b ProfileBody, err error) {
	err = decodeExt(ext, &b, b.check)
	return b, err
}

func decodeExt(ext []byte, b any, check func() error) error {
	if err := codec.Unmarshal(ext, b); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return check()
}

func (b *InviteBody) check() error {
	if b.Pub == (identity.PublicKey{}) || b.Uses < 1 || b.Uses > MaxUses || b.Expires < 0 {
		return fmt.Errorf("invitation without a key or for %d uses: %w", b.Uses, ErrInvalid)
	}
	if len(b.Label) > MaxLabel || !utf8.ValidString(b.Label) {
		return fmt.Errorf("label of %d bytes, at most %d of UTF-8 allowed: %w", len(b.Label), MaxLabel, ErrInvalid)
	}
	return nil
}

func (b *RedeemBody) check() error {
	if b.Device == (identity.PublicKey{}) || len(b.Sig) != ed25519.SignatureSize {
		return fmt.Errorf("redemption without a device or signature: %w", ErrInvalid)
	}
	return checkChain(b.Chain)
}

func (b *CutBody) check() error {
	if b.Device == (identity.PublicKey{}) {
		return fmt.Errorf("cut of no device: %w", ErrInvalid)
	}
	return checkChain(b.Chain)
}

func checkChain(chain []byte) error {
	if len(chain) == 0 || len(chain) > identity.MaxChain {
		return fmt.Errorf("chain of %d bytes, 1 to %d allowed: %w", len(chain), identity.MaxChain, ErrInvalid)
	}
	return nil
}

func (b *EpochBody) check() error {
	if b.KeyID == ([8]byte{}) || b.Parts < 1 || b.Parts > MaxParts || b.Part >= b.Parts {
		return fmt.Errorf("epoch without a key or part %d of %d: %w", b.Part, b.Parts, ErrInvalid)
	}
	if len(b.Prev) > MaxPrev || len(b.Sealed) > MaxBoxes {
		return fmt.Errorf("epoch with %d sealed keys and %d bytes of earlier ones: %w", len(b.Sealed), len(b.Prev), ErrInvalid)
	}
	for i, k := range b.Sealed {
		if len(k.Box) == 0 || len(k.Box) > MaxBox || i > 0 && slices.Compare(b.Sealed[i-1].To[:], k.To[:]) >= 0 {
			return fmt.Errorf("sealed keys empty, too large, repeated or not in order: %w", ErrInvalid)
		}
	}
	return nil
}

func (b *ProfileBody) check() error {
	if err := identity.CheckName(b.Name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(b.Picture) > MaxPicture {
		return fmt.Errorf("picture of %d bytes, at most %d allowed: %w", len(b.Picture), MaxPicture, ErrInvalid)
	}
	return nil
}
