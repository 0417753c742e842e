package identity

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/echofs/echofs/identity/codec"
)

// A kind says what a statement states.
type kind uint64

const (
	kindGenesis  kind = 1 // founds the identity
	kindAdd      kind = 2 // adds a device
	kindRevoke   kind = 3 // ends a device
	kindName     kind = 4 // names a device
	kindRecovery kind = 5 // sets the recovery keys of an identity that has none
	kindReset    kind = 6 // starts anew, by the recovery key
)

const (
	statementVersion = 1
	maxDeps          = 16
	maxSigners       = 4
	maxKeep          = 64
)

// A body is what is signed and hashed. Every version has fields 1 to 4, and one
// signature by each key of By; what else a statement of this release has depends
// on its kind.
type body struct {
	Version      uint64      `cbor:"1,keyasint"`
	Kind         kind        `cbor:"2,keyasint"`
	Deps         []ID        `cbor:"3,keyasint,omitempty"` // heads its author knew, sorted
	By           []PublicKey `cbor:"4,keyasint"`           // who signs: the device of a genesis or reset second, new recovery keys last
	Device       PublicKey   `cbor:"5,keyasint,omitzero"`  // that is added, revoked or named
	Seal         []byte      `cbor:"6,keyasint,omitempty"` // seal key of the new device
	Name         string      `cbor:"7,keyasint,omitempty"` // of the person
	DeviceName   string      `cbor:"8,keyasint,omitempty"`
	RecoverySign PublicKey   `cbor:"9,keyasint,omitzero"`
	RecoverySeal []byte      `cbor:"10,keyasint,omitempty"`
	Keep         []PublicKey `cbor:"11,keyasint,omitempty"` // devices that survive a reset, sorted
	Consent      []byte      `cbor:"12,keyasint,omitempty"` // signature of the added device, see consent
}

// An envelope is what every version of a body has.
type envelope struct {
	Version uint64      `cbor:"1,keyasint"`
	Kind    kind        `cbor:"2,keyasint"`
	Deps    []ID        `cbor:"3,keyasint,omitempty"`
	By      []PublicKey `cbor:"4,keyasint"`
}

// A statement is one signed sentence about an identity. A newer one than this
// release knows has only its envelope, and is kept as it is.
type statement struct {
	body
	id    ID
	raw   codec.Raw // [body, signature…] as it travels
	newer bool
}

// is reports whether s is of a kind that this release knows.
func (s *statement) is(k kind) bool { return !s.newer && s.Kind == k }

// added returns the device that s brings into being.
func (s *statement) added() (DeviceInfo, bool) {
	d := DeviceInfo{Seal: s.Seal, Name: s.DeviceName}
	switch {
	case s.is(kindGenesis), s.is(kindReset):
		d.Key = s.By[1]
	case s.is(kindAdd):
		d.Key = s.Device
	default:
		return DeviceInfo{}, false
	}
	return d, true
}

// sign makes a statement. The keys must be those of b.By, in that order.
func (b body) sign(keys ...ed25519.PrivateKey) (statement, error) {
	b.By = make([]PublicKey, len(keys))
	for i, key := range keys {
		b.By[i] = PublicKey(key[ed25519.SeedSize:])
	}
	if err := b.check(); err != nil {
		return statement{}, err
	}
	data, err := codec.Marshal(b)
	if err != nil {
		return statement{}, err
	}
	parts := [][]byte{data}
	for _, key := range keys {
		sig, err := key.Sign(nil, data, &ed25519.Options{Context: ContextIdentity})
		if err != nil {
			return statement{}, fmt.Errorf("signing for the identity: %w", err)
		}
		parts = append(parts, sig)
	}
	raw, err := codec.Marshal(parts)
	if err != nil {
		return statement{}, err
	}
	return statement{body: b, id: Hash(ContextIdentity, data), raw: raw}, nil
}

// readStatement decodes a statement without verifying its signatures.
func readStatement(raw codec.Raw) (s statement, data []byte, sigs [][]byte, err error) {
	var parts [][]byte
	if err := codec.Unmarshal(raw, &parts); err != nil {
		return s, nil, nil, err
	}
	if len(parts) < 2 || len(parts) > 1+maxSigners {
		return s, nil, nil, fmt.Errorf("statement of %d parts", len(parts))
	}
	data, sigs = parts[0], parts[1:]
	var head envelope
	if err := codec.Peek(data, &head); err != nil {
		return s, nil, nil, err
	}
	if head.Version < 1 || head.Kind < 1 {
		return s, nil, nil, fmt.Errorf("statement of version %d, kind %d", head.Version, head.Kind)
	}
	if len(head.By) != len(sigs) {
		return s, nil, nil, fmt.Errorf("%d signers, %d signatures", len(head.By), len(sigs))
	}
	s = statement{id: Hash(ContextIdentity, data), raw: slices.Clone(raw)}
	if s.newer = head.Version > statementVersion || head.Kind > kindReset; s.newer {
		s.body = body{Version: head.Version, Kind: head.Kind, Deps: head.Deps, By: head.By}
	} else if err := codec.Unmarshal(data, &s.body); err != nil {
		return s, nil, nil, err
	}
	return s, data, sigs, s.check(s.newer)
}

// verify checks every signature. That of an added device is part of the body.
func (s *statement) verify(identity ID, data []byte, sigs [][]byte) error {
	if s.is(kindAdd) {
		c, err := codec.Marshal(consent{Version: statementVersion, Identity: identity, Device: s.Device, Seal: s.Seal, Name: s.DeviceName})
		if err != nil {
			return err
		}
		if !Verify(s.Device, ContextDevice, c, s.Consent) {
			return fmt.Errorf("wrong consent of %s", s.Device.Short())
		}
	}
	for i, key := range s.By {
		if !Verify(key, ContextIdentity, data, sigs[i]) {
			return fmt.Errorf("wrong signature of %s", key.Short())
		}
	}
	return nil
}

func (s *statement) check(newer bool) error {
	if newer {
		return s.body.checkDeps()
	}
	return s.body.check()
}

func (b *body) checkDeps() error {
	if len(b.Deps) > maxDeps {
		return fmt.Errorf("%d deps, at most %d allowed", len(b.Deps), maxDeps)
	}
	for i := 1; i < len(b.Deps); i++ {
		if b.Deps[i-1].Compare(b.Deps[i]) >= 0 {
			return errors.New("deps repeated or not in order")
		}
	}
	return nil
}

// check reports whether a body of this release has what its kind needs, and
// nothing else.
func (b *body) check() error {
	if err := b.checkDeps(); err != nil {
		return err
	}
	if err := errors.Join(CheckName(b.Name), CheckName(b.DeviceName)); err != nil {
		return err
	}
	if err := b.checkKeys(); err != nil {
		return err
	}
	rest, signers := *b, 2
	rest.Version, rest.Kind, rest.Deps, rest.By = 0, 0, nil, nil
	need := func(ok bool) error {
		if !ok {
			return fmt.Errorf("kind %d without what it is about", b.Kind)
		}
		return nil
	}
	var err error
	switch b.Kind {
	case kindGenesis:
		err = need(b.Seal != nil && b.Deps == nil)
		rest.Seal, rest.Name, rest.DeviceName, rest.RecoverySign, rest.RecoverySeal = nil, "", "", PublicKey{}, nil
	case kindAdd:
		err = need(b.Device != PublicKey{} && b.Seal != nil && b.Consent != nil)
		rest.Device, rest.Seal, rest.DeviceName, rest.Consent, signers = PublicKey{}, nil, "", nil, 1
	case kindRevoke:
		err = need(b.Device != PublicKey{})
		rest.Device, signers = PublicKey{}, 1
	case kindName:
		err = need(b.Device != PublicKey{})
		rest.Device, rest.DeviceName, signers = PublicKey{}, "", 1
	case kindRecovery:
		err = need(b.RecoverySeal != nil)
		rest.RecoverySign, rest.RecoverySeal, signers = PublicKey{}, nil, 1
	case kindReset:
		err = need(b.Seal != nil && b.RecoverySeal != nil)
		rest.Seal, rest.DeviceName, rest.RecoverySign, rest.RecoverySeal, rest.Keep = nil, "", PublicKey{}, nil, nil
	}
	if err != nil {
		return err
	}
	if rest.Device != (PublicKey{}) || rest.Seal != nil || rest.Name != "" || rest.DeviceName != "" || rest.RecoverySign != (PublicKey{}) || rest.RecoverySeal != nil || rest.Keep != nil || rest.Consent != nil {
		return fmt.Errorf("kind %d with a field of another", b.Kind)
	}
	if b.RecoverySeal != nil { // or somebody could take the words of another for theirs
		signers++
	}
	if len(b.By) != signers || (b.Kind == kindGenesis || b.Kind == kindReset) && b.By[0] == b.By[1] {
		return fmt.Errorf("kind %d with %d signers", b.Kind, len(b.By))
	}
	if b.RecoverySeal != nil && b.By[signers-1] != b.RecoverySign {
		return errors.New("recovery keys whose owner did not sign")
	}
	return nil
}

func (b *body) checkKeys() error {
	if b.Seal != nil {
		if err := checkSealKey(b.Seal); err != nil {
			return err
		}
	}
	if (b.RecoverySign == PublicKey{}) != (b.RecoverySeal == nil) {
		return errors.New("half of the recovery keys")
	}
	if b.RecoverySeal != nil {
		if err := checkSealKey(b.RecoverySeal); err != nil {
			return err
		}
	}
	if len(b.Keep) > maxKeep {
		return fmt.Errorf("%d devices kept, at most %d allowed", len(b.Keep), maxKeep)
	}
	for i := 1; i < len(b.Keep); i++ {
		if slices.Compare(b.Keep[i-1][:], b.Keep[i][:]) >= 0 {
			return errors.New("kept devices repeated or not in order")
		}
	}
	return nil
}
