package invitation

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/echofs/echofs/identity"
)

// PINDigits is how many digits a PIN and a check code have.
const PINDigits = 6

// ErrBadPIN reports text that is not a PIN.
var ErrBadPIN = errors.New("a PIN has six digits")

// NewPIN makes a PIN.
func NewPIN() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic(fmt.Sprintf("making a PIN: %v", err)) // the reader never fails; see crypto/rand
	}
	return fmt.Sprintf("%0*d", PINDigits, n)
}

// ParsePIN reads a PIN as people type it: spaces and dashes do no harm.
func ParsePIN(text string) (string, error) {
	pin := strings.NewReplacer(" ", "", "-", "", "\t", "", "\r", "", "\n", "").Replace(text)
	if len(pin) != PINDigits || strings.Trim(pin, "0123456789") != "" {
		return "", ErrBadPIN
	}
	return pin, nil
}

// ProvePIN shows to the host that guest knows the PIN, on one connection only:
// exporter is that connection's key material. Whoever sees the proof and the
// exporter can find the PIN by trying all, so only the right host may see it.
func (inv Invitation) ProvePIN(pin string, exporter []byte, guest identity.PublicKey) []byte {
	key := inv.derive("echo/invitation/pin/1")
	m := hmac.New(sha256.New, key[:])
	for _, part := range [][]byte{[]byte(pin), exporter, guest[:], inv.Host[:]} {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		m.Write(part)
	}
	return m.Sum(nil)
}

// CheckPIN reports, in constant time, whether proof is the one for pin.
func (inv Invitation) CheckPIN(pin string, exporter []byte, guest identity.PublicKey, proof []byte) bool {
	return hmac.Equal(inv.ProvePIN(pin, exporter, guest), proof)
}

// CheckCode is what both sides of one connection show their person: equal
// digits mean that nobody is in between.
func (inv Invitation) CheckCode(exporter []byte) string {
	key := inv.derive("echo/invitation/check/1")
	m := hmac.New(sha256.New, key[:])
	m.Write(exporter)
	n := binary.BigEndian.Uint64(m.Sum(nil)) % 1_000_000
	return fmt.Sprintf("%0*d", PINDigits, n)
}

func (inv Invitation) derive(purpose string) [32]byte {
	m := hmac.New(sha256.New, inv.Secret[:])
	m.Write([]byte(purpose))
	return [32]byte(m.Sum(nil))
}
