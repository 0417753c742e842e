package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/echofs/echofs/identity/codec"
)

// ErrNoDevice reports a key that is not a live device of the identity.
var ErrNoDevice = errors.New("the identity has no such device")

// Persist makes keep the place where the device's secrets are stored: it is
// called before a change of the identity counts, never twice at once. The
// Secrets are the caller's to clear.
func (d *Device) Persist(keep func(Secrets) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep = keep
}

// Learn takes in what another device knows about the identity, and stores it
// before it returns. changed says whether that was news.
func (d *Device) Learn(chain []byte) (changed bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	own := d.Halo()
	if bytes.Equal(own.chain, chain) {
		return false, nil
	}
	other, err := readHalo(chain, own)
	if err != nil {
		return false, err
	}
	merged, err := own.Merge(other)
	if err != nil {
		return false, err
	}
	return d.setLocked(merged)
}

func (d *Device) setLocked(h Halo) (changed bool, err error) {
	if bytes.Equal(h.chain, d.Halo().chain) {
		return false, nil
	}
	if d.keep != nil {
		s := d.Secrets()
		s.Chain = h.chain
		err := d.keep(s)
		s.Clear()
		if err != nil {
			return false, fmt.Errorf("keeping the identity: %w", err)
		}
	}
	d.halo.Store(&h)
	return true, nil
}

// state adds a statement of this device.
func (d *Device) state(b body) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	own := d.Halo()
	b.Version, b.Deps = statementVersion, own.heads()
	h, err := own.with(b, d.private)
	if err != nil {
		return err
	}
	_, err = d.setLocked(h)
	return err
}

// with returns h with one more statement, which must be allowed.
func (h Halo) with(b body, keys ...ed25519.PrivateKey) (Halo, error) {
	s, err := b.sign(keys...)
	if err != nil {
		return Halo{}, err
	}
	next, err := unite(h.statements(), []statement{s})
	if err != nil {
		return Halo{}, err
	}
	for _, n := range next.nodes {
		if n.id == s.id {
			return next, n.allowed(judge(next.nodes, n.past))
		}
	}
	return Halo{}, ErrChainFull
}

// heads returns the statements that are in nobody's past, sorted.
func (h Halo) heads() []ID {
	past := newBitset(len(h.nodes))
	for _, n := range h.nodes {
		past.union(n.past)
	}
	var ids []ID
	for _, n := range slices.Backward(h.nodes) {
		if !past.has(n.index) && len(ids) < maxDeps {
			ids = append(ids, n.id)
		}
	}
	slices.SortFunc(ids, ID.Compare)
	return ids
}

// RevokeDevice ends a device of the identity, which may be d itself. It cannot
// be undone.
func (d *Device) RevokeDevice(key PublicKey) error {
	if !d.Halo().Live(key) {
		return ErrNoDevice
	}
	return d.state(body{Kind: kindRevoke, Device: key})
}

// RenameDevice gives a device of the identity another name.
func (d *Device) RenameDevice(key PublicKey, name string) error {
	if !d.Halo().Live(key) {
		return ErrNoDevice
	}
	return d.state(body{Kind: kindName, Device: key, DeviceName: name})
}

// SetRecovery gives the identity recovery keys, if it has none.
func (d *Device) SetRecovery(keys *RecoveryKeys) error {
	b := body{Kind: kindRecovery}
	b.RecoverySign, b.RecoverySeal = keys.Public()
	return d.state(b)
}

// A consent is what a device signs that wants to be added to an identity.
type consent struct {
	Version  uint64    `cbor:"1,keyasint"`
	Identity ID        `cbor:"2,keyasint"`
	Device   PublicKey `cbor:"3,keyasint"`
	Seal     []byte    `cbor:"4,keyasint"`
	Name     string    `cbor:"5,keyasint,omitempty"`
}

// MaxRequest is the most bytes a device request may have.
const MaxRequest = 4 << 10

// A Joining is a device that wants to be added to an identity.
type Joining struct {
	device  *Device
	request []byte
}

// NewDeviceRequest makes the keys of a device that wants to act for identity.
// Randomness comes from random, or from the system when it is nil.
func NewDeviceRequest(random io.Reader, identity ID, deviceName string) (*Joining, error) {
	if random == nil {
		random = rand.Reader
	}
	if err := CheckName(deviceName); err != nil {
		return nil, err
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
	d.identity = identity
	c, err := codec.Marshal(consent{Version: statementVersion, Identity: identity, Device: d.key, Seal: d.SealKey(), Name: deviceName})
	if err != nil {
		return nil, err
	}
	request, err := codec.Marshal([][]byte{c, d.Sign(ContextDevice, c)})
	if err != nil {
		return nil, err
	}
	return &Joining{device: d, request: request}, nil
}

// Key returns the key of the new device.
func (j *Joining) Key() PublicKey { return j.device.key }

// Request returns what AddDevice needs on a device of the identity.
func (j *Joining) Request() []byte { return j.request }

// Finish returns the device, once it has the chain that AddDevice returned.
func (j *Joining) Finish(chain []byte) (*Device, error) {
	h, err := ReadHalo(chain)
	if err != nil {
		return nil, err
	}
	if h.Identity() != j.device.identity {
		return nil, ErrOtherIdentity
	}
	if _, err := h.Profile(j.device.key); err != nil {
		return nil, err
	}
	return j.device, j.device.act(h)
}

// ReadDeviceRequest returns who a request wants to add.
func ReadDeviceRequest(request []byte) (identity ID, device DeviceInfo, err error) {
	c, _, err := readRequest(request)
	return c.Identity, DeviceInfo{Key: c.Device, Seal: c.Seal, Name: c.Name}, err
}

// ErrBadRequest reports bytes that are no device request.
var ErrBadRequest = errors.New("not a request of a new device")

func readRequest(request []byte) (c consent, sig []byte, err error) {
	if len(request) > MaxRequest {
		return c, nil, fmt.Errorf("%d bytes, at most %d allowed: %w", len(request), MaxRequest, ErrBadRequest)
	}
	parts, err := codec.SplitByteStrings(request, 2)
	if err == nil {
		err = codec.Unmarshal(parts[0], &c)
	}
	if err != nil {
		return c, nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if c.Version != statementVersion {
		return c, nil, fmt.Errorf("version %d: %w", c.Version, ErrBadRequest)
	}
	if err := errors.Join(CheckName(c.Name), checkSealKey(c.Seal)); err != nil {
		return c, nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if !Verify(c.Device, ContextDevice, parts[0], parts[1]) {
		return c, nil, fmt.Errorf("wrong signature: %w", ErrBadRequest)
	}
	return c, parts[1], nil
}

// AddDevice adds the device that made a request, and returns the chain for its
// Finish. Who asks must have been checked before: the new device can do
// everything that d can.
func (d *Device) AddDevice(request []byte) (chain []byte, err error) {
	c, sig, err := readRequest(request)
	if err != nil {
		return nil, err
	}
	if c.Identity != d.identity {
		return nil, ErrOtherIdentity
	}
	if d.Halo().Live(c.Device) {
		return d.Chain(), nil // asked twice
	}
	err = d.state(body{Kind: kindAdd, Device: c.Device, Seal: c.Seal, DeviceName: c.Name, Consent: slices.Clone(sig)})
	if err != nil {
		return nil, err
	}
	return d.Chain(), nil
}

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

// OpenSealed opens what was sealed to the public seal key with the same info.
func (k *RecoveryKeys) OpenSealed(info string, sealed []byte) ([]byte, error) {
	return openSealed(k.seal, info, sealed)
}
