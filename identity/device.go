package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"sync"
	"sync/atomic"
	"time"
)

// A Device is this device: its private keys and the identity it acts for.
type Device struct {
	private  ed25519.PrivateKey
	seal     hpke.PrivateKey
	identity ID
	key      PublicKey
	sealSeed [sealSeedSize]byte

	halo atomic.Pointer[Halo]

	mu   sync.Mutex          // held while halo changes; guards keep
	keep func(Secrets) error // stores before a change counts; may be nil
}

// Secrets is what a key store keeps of a device.
type Secrets struct {
	Seed     [ed25519.SeedSize]byte `cbor:"1,keyasint"` // of the device's key
	SealSeed [sealSeedSize]byte     `cbor:"2,keyasint"`
	Chain    []byte                 `cbor:"3,keyasint"`
}

// Clear overwrites the private keys.
func (s *Secrets) Clear() {
	clear(s.Seed[:])
	clear(s.SealSeed[:])
}

// A Start is what a new identity begins with.
type Start struct {
	Random     io.Reader // nil: that of the system
	Name       string    // of the person
	DeviceName string
	Recovery   *RecoveryKeys // nil: none, until SetRecovery
}

// NewDevice makes an identity with one device in memory, which has the same
// name. Randomness comes from random, or from the system when it is nil.
func NewDevice(random io.Reader, name string) (*Device, error) {
	return NewIdentity(Start{Random: random, Name: name, DeviceName: name})
}

// NewIdentity makes an identity with one device in memory.
func NewIdentity(start Start) (*Device, error) {
	if start.Random == nil {
		start.Random = rand.Reader
	}
	identityKey, err := newKey(start.Random)
	if err != nil {
		return nil, err
	}
	defer clear(identityKey)
	s, err := newSecrets(start.Random)
	if err != nil {
		return nil, err
	}
	defer s.Clear()
	d, err := s.device()
	if err != nil {
		return nil, err
	}
	genesis := body{Version: statementVersion, Kind: kindGenesis, Seal: d.SealKey(), Name: start.Name, DeviceName: start.DeviceName}
	keys := []ed25519.PrivateKey{identityKey, d.private}
	if start.Recovery != nil {
		genesis.RecoverySign, genesis.RecoverySeal = start.Recovery.Public()
		keys = append(keys, start.Recovery.sign)
	}
	st, err := genesis.sign(keys...)
	if err != nil {
		return nil, err
	}
	h, err := newHalo([]statement{st})
	if err != nil {
		return nil, err
	}
	return d, d.act(h)
}

// FromSecrets makes a Device of what Secrets returned. Its identity may have
// revoked it meanwhile.
func FromSecrets(s Secrets) (*Device, error) {
	h, err := ReadHalo(s.Chain)
	if err != nil {
		return nil, err
	}
	d, err := s.device()
	if err != nil {
		return nil, err
	}
	return d, d.act(h)
}

// newKey reads the seed itself: ed25519.GenerateKey takes a random extra byte
// now and then, and the same reader must give the same key.
func newKey(random io.Reader) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	defer clear(seed)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func newSecrets(random io.Reader) (s Secrets, err error) {
	_, err = io.ReadFull(random, s.Seed[:])
	if err == nil {
		_, err = io.ReadFull(random, s.SealSeed[:])
	}
	if err != nil {
		return s, fmt.Errorf("making a key: %w", err)
	}
	return s, nil
}

// device makes a Device that acts for nobody yet.
func (s *Secrets) device() (*Device, error) {
	seal, err := newSealKey(s.SealSeed[:])
	if err != nil {
		return nil, err
	}
	d := &Device{private: ed25519.NewKeyFromSeed(s.Seed[:]), seal: seal, sealSeed: s.SealSeed}
	d.key = PublicKey(d.private[ed25519.SeedSize:])
	return d, nil
}

// act makes d one of the devices of h.
func (d *Device) act(h Halo) error {
	info, ok := h.Known(d.key)
	if !ok || !bytes.Equal(info.Seal, d.SealKey()) {
		return fmt.Errorf("the device's keys are not in the identity's chain: %w", ErrBadChain)
	}
	d.identity = h.Identity()
	d.halo.Store(&h)
	return nil
}

// Secrets returns what FromSecrets needs.
func (d *Device) Secrets() Secrets {
	s := Secrets{SealSeed: d.sealSeed, Chain: d.Chain()}
	copy(s.Seed[:], d.private[:ed25519.SeedSize])
	return s
}

// Forget overwrites what it can of the private keys. Nobody may use the device
// any more. Go may have left copies of them in memory.
func (d *Device) Forget() {
	clear(d.private)
	clear(d.sealSeed[:])
}

// Key returns the device's public key.
func (d *Device) Key() PublicKey { return d.key }

// SealKey returns the key with which others Seal for the device.
func (d *Device) SealKey() []byte { return d.seal.PublicKey().Bytes() }

// OpenSealed opens what was sealed to SealKey with the same info.
func (d *Device) OpenSealed(info string, sealed []byte) ([]byte, error) {
	return openSealed(d.seal, info, sealed)
}

// Identity returns the identity that the device acts for.
func (d *Device) Identity() ID { return d.identity }

// Halo returns the identity as far as the device knows it.
func (d *Device) Halo() Halo { return *d.halo.Load() }

// Chain returns the proof that the device acts for its identity, for
// VerifyChain on another device. The caller must not change it.
func (d *Device) Chain() []byte { return d.Halo().Chain() }

// Name returns the name that the person's identity was made with.
func (d *Device) Name() string { return d.Halo().Name() }

// DeviceName returns the device's own name.
func (d *Device) DeviceName() string {
	info, _ := d.Halo().Known(d.key)
	return info.Name
}

// Profile returns what the chain proves about the device, if it is live.
func (d *Device) Profile() Profile {
	return Profile{Identity: d.identity, Device: d.key, Name: d.Name(), DeviceName: d.DeviceName()}
}

// String names the device; its private key is never printed.
func (d *Device) String() string {
	return fmt.Sprintf("device %s of %s", d.key.Short(), d.identity.Short())
}

// GoString is String.
func (d *Device) GoString() string { return d.String() }

// Sign signs body for a context.
func (d *Device) Sign(context string, body []byte) []byte {
	sig, err := d.private.Sign(nil, body, &ed25519.Options{Context: context})
	if err != nil {
		panic(fmt.Sprintf("signing for %q: %v", context, err)) // only a context over 255 bytes fails
	}
	return sig
}

// TLSCertificate returns a self-signed certificate of the device's key. It
// proves only possession of the key, and never expires: the peer pins the key
// and the membership decides what it may do.
func (d *Device) TLSCertificate() (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: d.Key().String()},
		NotBefore:             time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, d.private.Public(), d.private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the device's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making the device's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: d.private, Leaf: leaf}, nil
}
