package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// An ID names an identity, credential, entry or space by the hash of its body.
type ID [32]byte

// String returns id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns enough of id to tell a few apart, for people to read.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders IDs by their bytes.
func (id ID) Compare(other ID) int {
	for i, b := range id {
		if b != other[i] {
			return int(b) - int(other[i])
		}
	}
	return 0
}

// ErrBadID reports text that is not an ID.
var ErrBadID = errors.New("not an ID: want 64 hexadecimal digits")

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, ErrBadID
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, ErrBadID
	}
	return id, nil
}

// Hash returns the ID of a body in a context, one of the Context constants or
// another constant that no other use shares. It is SHA-256(context ‖ 0 ‖ body).
func Hash(context string, body []byte) ID {
	h := sha256.New()
	h.Write([]byte(context))
	h.Write([]byte{0})
	h.Write(body)
	return ID(h.Sum(nil))
}

// A PublicKey is the Ed25519 key of a device or identity.
type PublicKey [32]byte

// String returns k in hexadecimal.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// Short returns enough of k to tell a few apart, for people to read.
func (k PublicKey) Short() string { return hex.EncodeToString(k[:4]) }
