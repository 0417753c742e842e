package identity

import (
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"fmt"
)

// SealKeySize is the size of a public seal key.
const SealKeySize = 1184 + 32 // ML-KEM-768, then X25519

const sealSeedSize = 32

var (
	// ErrBadSealKey reports bytes that nothing can be sealed to.
	ErrBadSealKey = errors.New("not a seal key")
	// ErrNotSealed reports a box that was not sealed to this key for this use.
	ErrNotSealed = errors.New("the box is not sealed to this device, or damaged")
)

// Seal encrypts plain so that only the holder of the seal key to reads it. It
// is HPKE with MLKEM768-X25519, HKDF-SHA256 and ChaCha20-Poly1305, and hides
// nothing but the content: not the length, and not who sealed it. info says
// what for; the same must be given to open.
func Seal(to []byte, info string, plain []byte) ([]byte, error) {
	key, err := hpke.MLKEM768X25519().NewPublicKey(to)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSealKey, err)
	}
	box, err := hpke.Seal(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(info), plain)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return box, nil
}

func openSealed(key hpke.PrivateKey, info string, box []byte) ([]byte, error) {
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(info), box)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSealed, err)
	}
	return plain, nil
}

func newSealKey(seed []byte) (hpke.PrivateKey, error) {
	key, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
	if err != nil {
		return nil, fmt.Errorf("making a seal key: %w", err)
	}
	return key, nil
}

// checkSealKey reports whether Seal can seal to key: a device whose key only
// makes errors could stop others from changing a space's key.
func checkSealKey(key []byte) error {
	if len(key) != SealKeySize {
		return fmt.Errorf("%d bytes: %w", len(key), ErrBadSealKey)
	}
	if _, err := hpke.MLKEM768X25519().NewPublicKey(key); err != nil {
		return fmt.Errorf("%w: %w", ErrBadSealKey, err)
	}
	point, err := ecdh.X25519().NewPublicKey(key[SealKeySize-32:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadSealKey, err)
	}
	probe, err := ecdh.X25519().NewPrivateKey([]byte("any scalar tells a point of low o"[:32]))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadSealKey, err)
	}
	if _, err := probe.ECDH(point); err != nil { // a point of low order
		return fmt.Errorf("%w: %w", ErrBadSealKey, err)
	}
	return nil
}
