package invitation

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

// CardPrefix is how every card starts.
const CardPrefix = "echofs://card#"

// Why a card is not taken. Match with errors.Is.
var (
	ErrNotCard     = errors.New("this is not a card: one starts with " + CardPrefix)
	ErrCardExpired = errors.New("the card has expired: ask for a new one")
)

// A Card lets whoever has it send invitations to one person, until Expires. It
// opens nothing: what is sent waits for that person's consent.
type Card struct {
	Identity identity.ID        // whose it is
	Device   identity.PublicKey // the one that waits; nobody else is given a letter
	Secret   [32]byte
	Expires  time.Time // whole seconds, UTC
	Signal   []string  // URLs of signaling servers where the device waits
	Name     string    // what the person calls themselves
}

// cardBody is what is encoded, after the version byte.
type cardBody struct {
	Identity identity.ID        `cbor:"1,keyasint"`
	Device   identity.PublicKey `cbor:"2,keyasint"`
	Secret   [32]byte           `cbor:"3,keyasint"`
	Expires  int64              `cbor:"4,keyasint"` // seconds since 1970
	Signal   []string           `cbor:"5,keyasint,omitempty"`
	Name     string             `cbor:"6,keyasint,omitempty"`
}

// NewCard completes c with a fresh secret, rounds its expiry and checks it.
func NewCard(c Card) (Card, error) {
	rand.Read(c.Secret[:]) // never fails; see crypto/rand
	c.Expires = c.Expires.UTC().Truncate(time.Second)
	if err := c.check(); err != nil {
		return Card{}, fmt.Errorf("making a card: %w", err)
	}
	return c, nil
}

func (c Card) check() error {
	switch {
	case c.Identity.IsZero() || c.Device == identity.PublicKey{} || c.Secret == [32]byte{}:
		return fmt.Errorf("identity, device or secret missing: %w", ErrInvalid)
	case c.Expires.Unix() <= 0 || c.Expires.Unix() > maxExpires:
		return fmt.Errorf("it has no expiry: %w", ErrInvalid)
	}
	return checkPublic(c.Name, c.Signal)
}

// String returns the text to hand over. It holds the secret: never log it.
func (c Card) String() string {
	data, err := codec.Marshal(cardBody{c.Identity, c.Device, c.Secret, c.Expires.Unix(), c.Signal, c.Name})
	if err != nil {
		return "invalid card: " + err.Error() // only a name that is not UTF-8, which NewCard refuses
	}
	return wrap(CardPrefix, data)
}

// Short returns a text of at most MaxQR bytes that works like String, as that of
// an Invitation does.
func (c Card) Short() string {
	text := c.String()
	if len(text) <= MaxQR {
		return text
	}
	c.Name = ""
	for text = c.String(); len(text) > MaxQR && len(c.Signal) > 0; text = c.String() {
		c.Signal = c.Signal[:len(c.Signal)-1]
	}
	return text
}

// ParseCard reads the text of a card as Parse reads that of an invitation. The
// error matches ErrNotCard, ErrDamaged, ErrNewer or ErrInvalid.
func ParseCard(text string) (Card, error) {
	data, err := unwrap(CardPrefix, text)
	if errors.Is(err, ErrNotInvitation) {
		return Card{}, ErrNotCard
	}
	if err != nil {
		return Card{}, err
	}
	var b cardBody
	if err := codec.Unmarshal(data, &b); err != nil {
		return Card{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c := Card{b.Identity, b.Device, b.Secret, time.Unix(b.Expires, 0).UTC(), b.Signal, b.Name}
	return c, c.check()
}

// Check returns an error that matches ErrCardExpired if the card is too old by
// the clock that says now.
func (c Card) Check(now time.Time) error {
	if !now.Before(c.Expires) {
		return fmt.Errorf("%w (it was good until %s)", ErrCardExpired, c.Expires.Format("2006-01-02 15:04 MST"))
	}
	return nil
}

// LogValue keeps the secret out of logs.
func (c Card) LogValue() slog.Value { return slog.StringValue("card of " + c.Identity.Short()) }

// Topic is the secret name under which the device waits.
func (c Card) Topic() [32]byte { return c.derive("echo/card/topic/1") }

// Prove shows to the card's device that sender has the card, on one connection
// only: exporter is that connection's key material.
func (c Card) Prove(exporter []byte, sender identity.PublicKey) []byte {
	key := c.derive("echo/card/proof/1")
	m := hmac.New(sha256.New, key[:])
	for _, part := range [][]byte{exporter, sender[:], c.Device[:]} {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		m.Write(part)
	}
	return m.Sum(nil)
}

// Proves reports, in constant time, whether proof is the one of sender.
func (c Card) Proves(exporter []byte, sender identity.PublicKey, proof []byte) bool {
	return hmac.Equal(c.Prove(exporter, sender), proof)
}

func (c Card) derive(purpose string) [32]byte {
	m := hmac.New(sha256.New, c.Secret[:])
	m.Write([]byte(purpose))
	return [32]byte(m.Sum(nil))
}
