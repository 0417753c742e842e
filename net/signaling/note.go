package signaling

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

// nonce is random and marks one presence or one start of a program.
type nonce [16]byte

func newNonce() (n nonce) {
	rand.Read(n[:]) // never fails
	return n
}

// Kinds of notes.
const (
	announce = 1 // who I am, to everybody present
	message  = 2 // Body, to one
)

// A note is what one device tells another through a server.
type note struct {
	Version  uint64             `cbor:"1,keyasint"`
	Kind     uint64             `cbor:"2,keyasint"`
	Device   identity.PublicKey `cbor:"3,keyasint"`           // the sender
	Presence nonce              `cbor:"4,keyasint"`           // of the sender, new each time it joins
	Instance nonce              `cbor:"5,keyasint"`           // of the sender's program
	To       nonce              `cbor:"6,keyasint,omitzero"`  // presence of the recipient
	Seq      uint64             `cbor:"7,keyasint,omitempty"` // grows from message to message
	Body     []byte             `cbor:"8,keyasint,omitempty"`
}

// signedNote is what is sealed.
type signedNote struct {
	_    struct{} `cbor:",toarray"`
	Note []byte
	Sig  []byte
}

// envelope is the route of a note. It is signed with the note, so that nobody
// who can open the seal can pass a note on as meant for somebody else.
type envelope struct {
	Topic    TopicID
	From, To PeerID
}

func (e envelope) bytes() []byte {
	b := make([]byte, 0, len(e.Topic)+len(e.From)+len(e.To))
	b = append(b, e.Topic[:]...)
	b = append(b, e.From[:]...)
	return append(b, e.To[:]...)
}

const noteVersion = 1

// ErrNote reports a note that was not written by the device it names for this
// route, or not in this topic.
var ErrNote = errors.New("not a valid note")

func seal(aead cipher.AEAD, d *identity.Device, e envelope, n note) ([]byte, error) {
	n.Version, n.Device = noteVersion, d.Key()
	body, err := codec.Marshal(n)
	if err != nil {
		return nil, err
	}
	route := e.bytes()
	plain, err := codec.Marshal(signedNote{Note: body, Sig: d.Sign(identity.ContextSignal, append(route[:len(route):len(route)], body...))})
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, route), nil
}

func open(aead cipher.AEAD, e envelope, sealed []byte) (note, error) {
	route := e.bytes()
	plain, err := aead.Open(nil, nil, sealed, route)
	if err != nil {
		return note{}, fmt.Errorf("%w: the seal is broken", ErrNote)
	}
	return decodeNote(plain, route)
}

// decodeNote checks what was inside the seal.
func decodeNote(plain, route []byte) (note, error) {
	var s signedNote
	if err := codec.Unmarshal(plain, &s); err != nil {
		return note{}, fmt.Errorf("%w: %w", ErrNote, err)
	}
	var n note
	if err := codec.Unmarshal(s.Note, &n); err != nil {
		return note{}, fmt.Errorf("%w: %w", ErrNote, err)
	}
	if n.Version != noteVersion {
		return note{}, fmt.Errorf("%w: version %d, this device speaks %d", ErrNote, n.Version, noteVersion)
	}
	if !identity.Verify(n.Device, identity.ContextSignal, append(route[:len(route):len(route)], s.Note...), s.Sig) {
		return note{}, fmt.Errorf("%w: wrong signature", ErrNote)
	}
	return n, nil
}
