package identity

import (
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrNotTheWords reports recovery keys that are not those of the identity.
var ErrNotTheWords = errors.New("these are not the recovery words of this identity")

// RecoveryKeys are the private keys that the recovery words stand for.
type RecoveryKeys struct {
	sign ed25519.PrivateKey
	seal hpke.PrivateKey
}

// NewRecoveryKeys makes the keys of two seeds of 32 bytes.
func NewRecoveryKeys(sign, seal []byte) (*RecoveryKeys, error) {
	if len(sign) != ed25519.SeedSize {
		return nil, fmt.Errorf("a seed of %d bytes, not %d", len(sign), ed25519.SeedSize)
	}
	key, err := newSealKey(seal)
	if err != nil {
		return nil, err
	}
	return &RecoveryKeys{sign: ed25519.NewKeyFromSeed(sign), seal: key}, nil
}

// Public returns the public keys, as Halo.Recovery does.
func (k *RecoveryKeys) Public() (sign PublicKey, seal []byte) {
	return PublicKey(k.sign[ed25519.SeedSize:]), k.seal.PublicKey().Bytes()
}

// Sign signs body for a context.
func (k *RecoveryKeys) Sign(context string, body []byte) []byte {
	sig, err := k.sign.Sign(nil, body, &ed25519.Options{Context: context})
	if err != nil {
		panic(fmt.Sprintf("signing for %q: %v", context, err)) // only a context over 255 bytes fails
	}
	return sig
}

// OpenSealed opens what was sealed to the public seal key with the same info.
func (k *RecoveryKeys) OpenSealed(info string, sealed []byte) ([]byte, error) {
	return openSealed(k.seal, info, sealed)
}

// Recover makes a device that replaces all others of an identity but those to
// keep, which may also be ones that were revoked since the identity was last
// reset. It voids whatever the lost devices state without knowing of it, at any
// time. The keys lose their power to those of next.
func Recover(keys *RecoveryKeys, h Halo, deviceName string, keep []PublicKey, next *RecoveryKeys) (*Device, error) {
	return recoverWith(rand.Reader, keys, h, deviceName, keep, next)
}

func recoverWith(random io.Reader, keys *RecoveryKeys, h Halo, deviceName string, keep []PublicKey, next *RecoveryKeys) (*Device, error) {
	if sign, _ := keys.Public(); len(h.nodes) == 0 || sign != h.state.recovery.sign {
		return nil, ErrNotTheWords
	}
	s, err := newSecrets(random)
	if err != nil {
		return nil, err
	}
	defer s.Clear()
	d, err := s.device()
	if err != nil {
		return nil, err
	}
	b := body{
		Version: statementVersion, Kind: kindReset, Deps: h.heads(h.before(keep)),
		Seal: d.SealKey(), DeviceName: deviceName, Keep: slices.Clone(keep),
	}
	slices.SortFunc(b.Keep, func(a, b PublicKey) int { return slices.Compare(a[:], b[:]) })
	b.RecoverySign, b.RecoverySeal = next.Public()
	reset, err := h.with(b, keys.sign, d.private, next.sign)
	if err != nil {
		return nil, fmt.Errorf("recovering the identity: %w", err)
	}
	return d, d.act(reset)
}

// before returns the statements that know of no revocation of a device to keep.
func (h Halo) before(keep []PublicKey) bitset {
	ends := newBitset(len(h.nodes))
	for _, n := range h.nodes {
		if n.is(kindRevoke) && slices.Contains(keep, n.Device) {
			ends.set(n.index)
		}
	}
	set := newBitset(len(h.nodes))
	for _, n := range h.nodes {
		if !ends.has(n.index) && !n.past.meets(ends) {
			set.set(n.index)
		}
	}
	return set
}
