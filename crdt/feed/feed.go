// Package feed is the form of the log: entries that a device signs, links to
// the one before and encrypts for the members of a space, and timeframes that
// say how far a peer has each feed.
//
// # Format
//
// An entry travels as the canonical CBOR array [header, signature, sealed].
// The header is a map with the fields of Header; the feed's device signs its
// bytes for identity.ContextEntry and their hash is the entry's ID.
//
// Sealed is nonce (24 bytes) ‖ commitment (32) ‖ ciphertext. The payload is
// compressed (zstd), then encrypted (XChaCha20-Poly1305) with the header,
// without its PayloadHash, as additional data. PayloadHash is the SHA-256 of
// sealed, so whoever has no key can still check an entry and forward it. Key
// and commitment are the halves of HMAC-SHA512(space key, "echo/payload/1" ‖
// nonce): nobody can make one entry that two keys open differently.
//
// # Concurrency
//
// Entries are immutable; every function may be called from any goroutine.
package feed

import (
	"errors"
	"fmt"

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
	// MaxSealed is the most bytes a sealed payload may have.
	MaxSealed = MaxPayload + 1<<10
	// MaxEntry is the most bytes an entry may have as it travels.
	MaxEntry = MaxSealed + 4<<10

	// maxNumber bounds sequence numbers, so that sums of them never overflow.
	maxNumber = 1 << 53
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
// What Decode has checked is not checked again.
func (h *Header) Follows(prev *Entry) error {
	if prev == nil {
		if h.Seq != 1 {
			return fmt.Errorf("entry %d cannot be the first of its feed: %w", h.Seq, ErrInvalid)
		}
		return nil
	}
	switch {
	case h.Space != prev.Space || h.Feed != prev.Feed:
		return fmt.Errorf("entry %d continues another feed: %w", h.Seq, ErrInvalid)
	case h.Seq != prev.Seq+1:
		return fmt.Errorf("entry %d cannot follow entry %d: %w", h.Seq, prev.Seq, ErrInvalid)
	case h.Prev != prev.ID:
		return fmt.Errorf("entry %d follows %s, not the %s that is there: %w", h.Seq, h.Prev.Short(), prev.ID.Short(), ErrInvalid)
	case h.First != prev.Next():
		return fmt.Errorf("entry %d starts at operation %d, not %d: %w", h.Seq, h.First, prev.Next(), ErrInvalid)
	}
	return nil
}

// check reports what is wrong with h alone.
func (h *Header) check() error {
	if h.Version != Version {
		return fmt.Errorf("version %d: %w", h.Version, ErrInvalid)
	}
	if h.Space.IsZero() || h.Feed.IsZero() {
		return fmt.Errorf("no space or feed: %w", ErrInvalid)
	}
	if h.Seq < 1 || h.Seq > maxNumber || h.First < h.Seq || h.First > maxNumber || h.Ops < 1 || h.Ops > MaxOps {
		return fmt.Errorf("entry %d with operations %d to %d: %w", h.Seq, h.First, h.Next(), ErrInvalid)
	}
	if first := h.Seq == 1; first != h.Prev.IsZero() || first && h.First != 1 {
		return fmt.Errorf("entry %d with a previous entry or operation that cannot be: %w", h.Seq, ErrInvalid)
	}
	if h.Size < overhead || h.Size > MaxSealed {
		return fmt.Errorf("sealed payload of %d bytes: %w", h.Size, ErrInvalid)
	}
	if err := checkIDs("deps", h.Deps, MaxDeps); err != nil {
		return err
	}
	if len(h.Auth) == 0 {
		return fmt.Errorf("no authority: %w", ErrInvalid)
	}
	return checkIDs("auth", h.Auth, MaxAuth)
}

func checkIDs(what string, ids []identity.ID, most int) error {
	if len(ids) > most {
		return fmt.Errorf("%d %s, at most %d allowed: %w", len(ids), what, most, ErrInvalid)
	}
	for i := 1; i < len(ids); i++ {
		if ids[i-1].Compare(ids[i]) >= 0 {
			return fmt.Errorf("%s repeated or not in order: %w", what, ErrInvalid)
		}
	}
	return nil
}
