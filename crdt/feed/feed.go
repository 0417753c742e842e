// Package feed is the form of the log: entries that a device signs, links to
// the one before and encrypts for the members of a space, and timeframes that
// say how far a peer has each feed.
//
// # Format
//
// An entry travels as the canonical CBOR array [header, signature, sealed].
// The header is a map with the fields of Header; the feed's device signs its
// bytes for identity.ContextEntry and their hash is the entry's ID. The payload
// is compressed (zstd), then encrypted (XChaCha20-Poly1305) with the header as
// additional data, and the header holds the hash of the result: whoever has no
// key can still check and forward an entry.
//
// # Concurrency
//
// Entries are immutable; every function may be called from any goroutine.
package feed

import (
	"errors"

	"github.com/echofs/echofs/identity"
)

const (
	// Version is the only version of a header so far.
	Version = 1
	// MaxPayload is the most bytes a payload may have before compression.
	MaxPayload = 1 << 20
	// MaxOps is how many operations the payload of one entry may have.
	MaxOps = 256
	// MaxDeps is how many entries of other feeds an entry may build on directly.
	MaxDeps = 64
	// MaxAuth is how many credentials an entry may name as its authority.
	MaxAuth = 16
)

var (
	// ErrInvalid reports bytes that are no entry.
	ErrInvalid = errors.New("not a valid entry")
	// ErrNewer reports an entry that only a later release understands.
	ErrNewer = errors.New("the entry was made by a newer release: upgrade")
	// ErrKey reports an entry that is encrypted with another key.
	ErrKey = errors.New("the entry is encrypted with another key")
)

// A Header is the signed part of an entry.
type Header struct {
	Version     uint64        `cbor:"1,keyasint"`
	Space       identity.ID   `cbor:"2,keyasint"`
	Feed        identity.ID   `cbor:"3,keyasint"`
	Seq         uint64        `cbor:"4,keyasint"`           // 1, 2, 3… in the feed
	Prev        identity.ID   `cbor:"5,keyasint,omitzero"`  // the entry before; zero in the first
	Deps        []identity.ID `cbor:"6,keyasint,omitempty"` // entries of other feeds it builds on, sorted
	Auth        []identity.ID `cbor:"7,keyasint"`           // credentials the author acts under, sorted
	KeyID       [8]byte       `cbor:"8,keyasint"`
	PayloadHash identity.ID   `cbor:"9,keyasint,omitzero"`
	Size        uint64        `cbor:"10,keyasint"`           // of the sealed payload
	Time        int64         `cbor:"11,keyasint,omitempty"` // milliseconds; for display only
	First       uint64        `cbor:"12,keyasint"`           // number of the first operation in the feed: 1, 2, 3… over all entries
	Ops         uint64        `cbor:"13,keyasint"`           // how many operations there are, at least one
}

// Next returns the number of the first operation of the entry after h.
func (h *Header) Next() uint64 { return h.First + h.Ops }

// Follows reports, as an error that matches ErrInvalid, why h is not the
// header of the entry right after prev, or of a first entry if prev is nil.
func (h *Header) Follows(prev *Entry) error { panic("to be written") }

// An Entry is one signed batch of operations.
type Entry struct {
	Header
	ID  identity.ID
	Raw []byte // as it travels and is stored
}

// Seal makes an entry. The caller fills in Space, Feed, Seq, Prev, Deps, Auth,
// Time, First and Ops of h; Deps and Auth are sorted here. The payload is
// compressed here too.
func Seal(d *identity.Device, h Header, key Key, payload []byte) (Entry, error) {
	panic("to be written")
}

// Decode reads an entry and checks everything that needs neither key nor
// membership: structure, limits, the hash of the payload. It keeps raw.
func Decode(raw []byte) (Entry, error) { panic("to be written") }

// Verify reports whether device signed the entry.
func (e Entry) Verify(device identity.PublicKey) bool { panic("to be written") }

// Open returns the payload as it was given to Seal.
func (e Entry) Open(key Key) ([]byte, error) { panic("to be written") }
