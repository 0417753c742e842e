package feed

import (
	"crypto/ed25519"
	"fmt"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

// MaxStub is the most bytes a stub may have.
const MaxStub = 4 << 10

// A Stub is an entry without its payload: enough to see who signed what is
// before it, not what it says.
type Stub struct {
	Header
	ID  identity.ID
	Raw []byte

	body, sig []byte
}

// Stub returns e without its payload.
func (e Entry) Stub() (Stub, error) {
	raw, err := codec.Marshal(struct {
		_         struct{} `cbor:",toarray"`
		Body, Sig []byte
	}{Body: e.body, Sig: e.sig})
	if err != nil {
		return Stub{}, err
	}
	return Stub{Header: e.Header, ID: e.ID, Raw: raw, body: e.body, sig: e.sig}, nil
}

// DecodeStub reads a stub. It keeps raw, and verifies no signature.
func DecodeStub(raw []byte) (s Stub, err error) {
	if len(raw) > MaxStub {
		return s, fmt.Errorf("stub of %d bytes, at most %d allowed: %w", len(raw), MaxStub, ErrInvalid)
	}
	parts, err := codec.SplitByteStrings(raw, 2)
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(parts[1]) != ed25519.SignatureSize {
		return s, fmt.Errorf("signature of %d bytes: %w", len(parts[1]), ErrInvalid)
	}
	if err := codec.Unmarshal(parts[0], &s.Header); err != nil {
		return s, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := s.check(); err != nil {
		return s, err
	}
	s.ID, s.Raw = identity.Hash(identity.ContextEntry, parts[0]), raw
	s.body, s.sig = parts[0], parts[1]
	return s, nil
}

// Verify reports whether device signed the entry.
func (s Stub) Verify(device identity.PublicKey) bool {
	return identity.Verify(device, identity.ContextEntry, s.body, s.sig)
}

// A Fork is two entries that one device signed for one place in its feed: proof
// that it, or a copy of its files, breaks the rules. They follow the same entry,
// so this is where the feed parts.
type Fork struct {
	A, B Stub // A has the smaller ID
}

// NewFork makes the proof of two entries, or says why they are none.
func NewFork(a, b Stub) (Fork, error) {
	switch {
	case a.ID == b.ID:
		return Fork{}, fmt.Errorf("both entries are one: %w", ErrInvalid)
	case a.Space != b.Space || a.Feed != b.Feed || a.Seq != b.Seq || a.Prev != b.Prev:
		return Fork{}, fmt.Errorf("the entries are not of one place: %w", ErrInvalid)
	}
	if b.ID.Compare(a.ID) < 0 {
		a, b = b, a
	}
	return Fork{a, b}, nil
}

// Encode returns the canonical form.
func (f Fork) Encode() ([]byte, error) {
	return codec.Marshal(struct {
		_    struct{} `cbor:",toarray"`
		A, B []byte
	}{A: f.A.Raw, B: f.B.Raw})
}

// DecodeFork reads what Encode wrote. It verifies no signature.
func DecodeFork(data []byte) (Fork, error) {
	if len(data) > 2*MaxStub+16 {
		return Fork{}, fmt.Errorf("proof of %d bytes: %w", len(data), ErrInvalid)
	}
	parts, err := codec.SplitByteStrings(data, 2)
	if err != nil {
		return Fork{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	a, err := DecodeStub(parts[0])
	if err != nil {
		return Fork{}, err
	}
	b, err := DecodeStub(parts[1])
	if err != nil {
		return Fork{}, err
	}
	f, err := NewFork(a, b)
	if err == nil && f.A.ID != a.ID {
		return Fork{}, fmt.Errorf("a proof in the wrong order: %w", ErrInvalid)
	}
	return f, err
}

// Same reports whether both prove the same.
func (f Fork) Same(o Fork) bool { return f.A.ID == o.A.ID && f.B.ID == o.B.ID }

// Verify reports whether device signed both.
func (f Fork) Verify(device identity.PublicKey) bool { return f.A.Verify(device) && f.B.Verify(device) }

// Peek reads the header of an entry that Decode has taken before, without
// checking the payload.
func Peek(raw []byte) (h Header, id identity.ID, err error) {
	e, err := split(Header{}, raw)
	if err == nil {
		err = codec.Unmarshal(e.body, &e.Header)
	}
	if err != nil {
		return h, id, fmt.Errorf("reading a header: %w: %w", ErrInvalid, err)
	}
	return e.Header, e.ID, nil
}
