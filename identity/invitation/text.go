package invitation

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
	"github.com/echofs/echofs/identity/credential"
)

// Prefix is how every invitation starts.
const Prefix = "echofs://join#"

const (
	version  = 1
	sumSize  = 4
	maxBytes = 4 << 10
)

// body is what is encoded, after the version byte.
type body struct {
	Kind    Kind               `cbor:"1,keyasint"`
	Space   identity.ID        `cbor:"2,keyasint,omitzero"`
	Secret  [32]byte           `cbor:"3,keyasint"`
	Host    identity.PublicKey `cbor:"4,keyasint,omitzero"`
	Role    credential.Role    `cbor:"5,keyasint,omitempty"`
	Expires int64              `cbor:"6,keyasint"` // seconds since 1970
	Signal  []string           `cbor:"7,keyasint,omitempty"`
	Name    string             `cbor:"8,keyasint,omitempty"`
}

// String returns the text to hand over. It holds the secret: never log it.
func (inv Invitation) String() string {
	data, err := codec.Marshal(body{
		Kind: inv.Kind, Space: inv.Space, Secret: inv.Secret, Host: inv.Host, Role: inv.Role,
		Expires: inv.Expires.Unix(), Signal: inv.Signal, Name: inv.Name,
	})
	if err != nil {
		return "invalid invitation: " + err.Error() // only a name that is not UTF-8, which New refuses
	}
	return wrap(Prefix, data)
}

// wrap makes the text of an encoded body.
func wrap(prefix string, data []byte) string {
	data = append([]byte{version}, data...)
	return prefix + base64.RawURLEncoding.EncodeToString(append(data, sum(data)...))
}

// Short returns a text of at most MaxQR bytes that works like String: without
// the name if it is too long, and with only as many signaling servers as there
// is room for.
func (inv Invitation) Short() string {
	text := inv.String()
	if len(text) <= MaxQR {
		return text
	}
	inv.Name = ""
	for text = inv.String(); len(text) > MaxQR && len(inv.Signal) > 0; text = inv.String() {
		inv.Signal = inv.Signal[:len(inv.Signal)-1]
	}
	return text
}

// Parse reads the text of an invitation. Spaces and line breaks that mail or a
// terminal put into it do no harm. Whether it is still good is for Check. The
// error matches ErrNotInvitation, ErrDamaged, ErrNewer or ErrInvalid.
func Parse(text string) (Invitation, error) {
	data, err := unwrap(Prefix, text)
	if err != nil {
		return Invitation{}, err
	}
	var b body
	if err := codec.Unmarshal(data, &b); err != nil {
		return Invitation{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	inv := Invitation{
		Kind: b.Kind, Space: b.Space, Secret: b.Secret, Host: b.Host, Role: b.Role,
		Expires: time.Unix(b.Expires, 0).UTC(), Signal: b.Signal, Name: b.Name,
	}
	return inv, inv.check()
}

// unwrap returns the encoded body of a text that starts with prefix.
func unwrap(prefix, text string) ([]byte, error) {
	if len(text) > 4*maxBytes {
		return nil, ErrNotInvitation
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	text = strings.Trim(text, `"'<>`)
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return nil, ErrNotInvitation
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text[len(prefix):])
	if err != nil || len(data) <= 1+sumSize || len(data) > maxBytes {
		return nil, ErrDamaged
	}
	data, check := data[:len(data)-sumSize], data[len(data)-sumSize:]
	if !bytes.Equal(sum(data), check) {
		return nil, ErrDamaged
	}
	if data[0] > version {
		return nil, ErrNewer
	}
	if data[0] != version {
		return nil, fmt.Errorf("version %d: %w", data[0], ErrInvalid)
	}
	return data[1:], nil
}

func sum(data []byte) []byte {
	h := sha256.Sum256(data)
	return h[:sumSize]
}
