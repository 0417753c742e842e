package identity

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxName is the most bytes the name of a person or device may have.
const MaxName = 128

// A Profile is what a chain proves: that Device acts for Identity, who calls
// itself Name. The names are claims, not proofs of anything. The seal key of the
// device is in its Halo.
type Profile struct {
	Identity   ID
	Device     PublicKey
	Name       string
	DeviceName string
}

// VerifyChain reports what a chain proves about a device: that it is live as
// far as the chain goes. The error matches ErrRevoked if it was, and ErrBadChain
// if it never was.
func VerifyChain(chain []byte, device PublicKey) (Profile, error) {
	h, err := ReadHalo(chain)
	if err != nil {
		return Profile{}, err
	}
	return h.Profile(device)
}

// Profile returns what h says about a live device.
func (h Halo) Profile(device PublicKey) (Profile, error) {
	d, known := h.Known(device)
	switch {
	case !known:
		return Profile{}, fmt.Errorf("it does not name the device %s: %w", device.Short(), ErrBadChain)
	case !h.Live(device):
		return Profile{}, ErrRevoked
	}
	return Profile{Identity: h.Identity(), Device: device, Name: h.Name(), DeviceName: d.Name}, nil
}

// ErrBadName reports a name that cannot be shown to other people.
var ErrBadName = errors.New("not a usable name")

// CheckName reports whether a person or device can be called name.
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
