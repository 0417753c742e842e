package identity

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/echofs/echofs/identity/codec"
)

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
