package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"time"
)

// A Device is this device: its private key and the identity it acts for.
type Device struct {
	private ed25519.PrivateKey
	profile Profile
	chain   []byte
}

// NewDevice makes an identity with one device in memory. Randomness comes from
// random, or from the system when it is nil; name is what other people see.
func NewDevice(random io.Reader, name string) (*Device, error) {
	if random == nil {
		random = rand.Reader
	}
	identityKey, err := newKey(random)
	if err != nil {
		return nil, err
	}
	defer clear(identityKey)
	deviceKey, err := newKey(random)
	if err != nil {
		return nil, err
	}
	g := genesis{Version: genesisVersion, Name: name}
	copy(g.Identity[:], identityKey[ed25519.SeedSize:])
	copy(g.Device[:], deviceKey[ed25519.SeedSize:])
	chain, err := g.sign(identityKey, deviceKey)
	if err != nil {
		return nil, err
	}
	return newDevice(deviceKey, chain)
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

func newDevice(private ed25519.PrivateKey, chain []byte) (*Device, error) {
	profile, err := VerifyChain(chain)
	if err != nil {
		return nil, err
	}
	d := &Device{private: private, profile: profile, chain: chain}
	if PublicKey(private[ed25519.SeedSize:]) != profile.Device {
		return nil, fmt.Errorf("the device key is not the one in the identity's chain: %w", ErrBadChain)
	}
	return d, nil
}

// Key returns the device's public key.
func (d *Device) Key() PublicKey { return d.profile.Device }

// Identity returns the identity that the device acts for.
func (d *Device) Identity() ID { return d.profile.Identity }

// Name returns the identity's name as people see it.
func (d *Device) Name() string { return d.profile.Name }

// Profile returns what the chain proves about the device.
func (d *Device) Profile() Profile { return d.profile }

// Chain returns the proof that the device acts for its identity, for
// VerifyChain on another device. The caller must not change it.
func (d *Device) Chain() []byte { return d.chain }

// String names the device; its private key is never printed.
func (d *Device) String() string {
	return fmt.Sprintf("device %s of %s", d.profile.Device.Short(), d.profile.Identity.Short())
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
