package identity

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/echofs/echofs/identity/codec"
)

const (
	// MaxChain is the most bytes a chain may have.
	MaxChain = 16 << 10
	// MaxName is the most bytes a person's name may have.
	MaxName = 128

	genesisVersion = 1
	maxSealKey     = 2 << 10
)

// A Profile is what a chain proves: that Device acts for Identity, who calls
// itself Name. The name is a claim, not a proof of anything.
type Profile struct {
	Identity ID
	Device   PublicKey
	Name     string
}

var (
	// ErrBadChain reports a chain that proves nothing.
	ErrBadChain = errors.New("the proof of the identity's device is not valid")
	// ErrNewerChain reports a chain that only a later release understands.
	ErrNewerChain = errors.New("the identity was made by a newer release: upgrade")
)

// A genesis is the first statement of an identity. Its hash is the identity.
type genesis struct {
	Version  uint64    `cbor:"1,keyasint"`
	Identity PublicKey `cbor:"2,keyasint"` // the key that signed this and was then forgotten
	Device   PublicKey `cbor:"3,keyasint"` // the first device, which signed it too
	Name     string    `cbor:"4,keyasint,omitempty"`
	Seal     []byte    `cbor:"5,keyasint,omitempty"` // HPKE key of the device; kept for later
	Recovery []byte    `cbor:"6,keyasint,omitempty"` // Ed25519 key of the recovery phrase; kept for later
}

// A signedGenesis is how a genesis travels. Both keys sign, so that nobody can
// claim somebody else's device for an identity of theirs.
type signedGenesis struct {
	_          struct{} `cbor:",toarray"`
	Body       []byte
	ByIdentity []byte
	ByDevice   []byte
}

func (g genesis) sign(identity, device ed25519.PrivateKey) ([]byte, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	body, err := codec.Marshal(g)
	if err != nil {
		return nil, err
	}
	opts := &ed25519.Options{Context: ContextIdentity}
	byIdentity, err := identity.Sign(nil, body, opts)
	if err != nil {
		return nil, fmt.Errorf("signing the identity: %w", err)
	}
	byDevice, err := device.Sign(nil, body, opts)
	if err != nil {
		return nil, fmt.Errorf("signing the identity: %w", err)
	}
	return codec.Marshal(signedGenesis{Body: body, ByIdentity: byIdentity, ByDevice: byDevice})
}

func (g genesis) check() error {
	if err := CheckName(g.Name); err != nil {
		return err
	}
	if len(g.Seal) > maxSealKey || len(g.Recovery) != 0 && len(g.Recovery) != ed25519.PublicKeySize {
		return fmt.Errorf("key of a wrong size: %w", ErrBadChain)
	}
	return nil
}

// VerifyChain checks what Chain returned on another device and says what it
// proves.
func VerifyChain(chain []byte) (Profile, error) {
	if len(chain) > MaxChain {
		return Profile{}, fmt.Errorf("%d bytes, at most %d allowed: %w", len(chain), MaxChain, ErrBadChain)
	}
	var s signedGenesis
	if err := codec.Unmarshal(chain, &s); err != nil {
		return Profile{}, fmt.Errorf("%w: %w", ErrBadChain, err)
	}
	var version struct {
		Version uint64 `cbor:"1,keyasint"`
	}
	if err := codec.Peek(s.Body, &version); err != nil {
		return Profile{}, fmt.Errorf("%w: %w", ErrBadChain, err)
	}
	if version.Version > genesisVersion {
		return Profile{}, ErrNewerChain
	}
	var g genesis
	if err := codec.Unmarshal(s.Body, &g); err != nil {
		return Profile{}, fmt.Errorf("%w: %w", ErrBadChain, err)
	}
	if g.Version != genesisVersion {
		return Profile{}, fmt.Errorf("version %d: %w", g.Version, ErrBadChain)
	}
	if err := g.check(); err != nil {
		return Profile{}, err
	}
	if !Verify(g.Identity, ContextIdentity, s.Body, s.ByIdentity) || !Verify(g.Device, ContextIdentity, s.Body, s.ByDevice) {
		return Profile{}, fmt.Errorf("wrong signature: %w", ErrBadChain)
	}
	return Profile{Identity: Hash(ContextIdentity, s.Body), Device: g.Device, Name: g.Name}, nil
}

// ErrBadName reports a name that cannot be shown to other people.
var ErrBadName = errors.New("not a usable name")

// CheckName reports whether a person can be called name.
func CheckName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("name of %d bytes, at most %d allowed: %w", len(name), MaxName, ErrBadName)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("name is not UTF-8: %w", ErrBadName)
	}
	for _, r := range name {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return fmt.Errorf("name has the control character %U: %w", r, ErrBadName)
		}
	}
	return nil
}
