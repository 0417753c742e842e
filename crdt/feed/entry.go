package feed

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

// An Entry is one signed batch of operations. Make one with Seal or Decode.
type Entry struct {
	Header
	ID  identity.ID
	Raw []byte // as it travels and is stored

	body, sig, sealed []byte // parts of Raw
}

// Seal makes an entry. The caller fills in Space, Feed, Seq, Prev, Deps, Auth,
// Time, First and Ops of h; Deps and Auth are sorted here. The payload is
// compressed here too.
func Seal(d *identity.Device, h Header, key Key, payload []byte) (Entry, error) {
	e, err := seal(d, h, key, payload, newNonce())
	if err != nil {
		return Entry{}, fmt.Errorf("sealing entry %d: %w", h.Seq, err)
	}
	return e, nil
}

func seal(d *identity.Device, h Header, key Key, payload []byte, nonce [nonceSize]byte) (Entry, error) {
	if len(payload) > MaxPayload {
		return Entry{}, fmt.Errorf("payload of %d bytes, at most %d allowed: %w", len(payload), MaxPayload, ErrInvalid)
	}
	packed := pack(payload)
	h.Version = Version
	h.Deps, h.Auth = sorted(h.Deps), sorted(h.Auth)
	h.KeyID = key.ID()
	h.Size = uint64(overhead + len(packed))
	if err := h.check(); err != nil {
		return Entry{}, err
	}
	aad, err := h.additionalData()
	if err != nil {
		return Entry{}, err
	}
	sealed, err := key.encrypt(nonce, aad, packed)
	if err != nil {
		return Entry{}, err
	}
	h.PayloadHash = sha256.Sum256(sealed)
	body, err := codec.Marshal(&h)
	if err != nil {
		return Entry{}, err
	}
	raw, err := codec.Marshal(struct {
		_                 struct{} `cbor:",toarray"`
		Body, Sig, Sealed []byte
	}{Body: body, Sig: d.Sign(identity.ContextEntry, body), Sealed: sealed})
	if err != nil {
		return Entry{}, err
	}
	return split(h, raw)
}

// Decode reads an entry and checks everything that needs neither key nor
// membership: structure, limits, the hash of the payload. It keeps raw.
func Decode(raw []byte) (Entry, error) {
	e, err := decode(raw)
	if err != nil {
		return Entry{}, fmt.Errorf("decoding an entry: %w", err)
	}
	return e, nil
}

func decode(raw []byte) (Entry, error) {
	if len(raw) > MaxEntry {
		return Entry{}, fmt.Errorf("%d bytes, at most %d allowed: %w", len(raw), MaxEntry, ErrInvalid)
	}
	e, err := split(Header{}, raw)
	if err != nil {
		return Entry{}, err
	}
	var version struct {
		Version uint64 `cbor:"1,keyasint"`
	}
	if err := codec.Peek(e.body, &version); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if version.Version > Version {
		return Entry{}, ErrNewer
	}
	if err := codec.Unmarshal(e.body, &e.Header); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := e.check(); err != nil {
		return Entry{}, err
	}
	if e.Size != uint64(len(e.sealed)) || e.PayloadHash != sha256.Sum256(e.sealed) {
		return Entry{}, fmt.Errorf("entry %d has another payload than was signed: %w", e.Seq, ErrInvalid)
	}
	return e, nil
}

// split finds the parts of raw.
func split(h Header, raw []byte) (Entry, error) {
	parts, err := codec.SplitByteStrings(raw, 3)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(parts[1]) != ed25519.SignatureSize {
		return Entry{}, fmt.Errorf("signature of %d bytes: %w", len(parts[1]), ErrInvalid)
	}
	return Entry{
		Header: h, ID: identity.Hash(identity.ContextEntry, parts[0]), Raw: raw,
		body: parts[0], sig: parts[1], sealed: parts[2],
	}, nil
}

// Verify reports whether device signed the entry.
func (e Entry) Verify(device identity.PublicKey) bool {
	return identity.Verify(device, identity.ContextEntry, e.body, e.sig)
}

// Open returns the payload as it was given to Seal. The error matches ErrKey
// when the entry is encrypted with another key.
func (e Entry) Open(key Key) ([]byte, error) {
	payload, err := e.open(key)
	if err != nil {
		return nil, fmt.Errorf("opening entry %d of feed %s: %w", e.Seq, e.Feed.Short(), err)
	}
	return payload, nil
}

func (e Entry) open(key Key) ([]byte, error) {
	if e.KeyID != key.ID() {
		return nil, ErrKey
	}
	aad, err := e.additionalData()
	if err != nil {
		return nil, err
	}
	packed, err := key.decrypt(aad, e.sealed)
	if err != nil {
		return nil, err
	}
	return unpack(packed)
}

// additionalData binds the ciphertext to its header: all but the hash of the
// ciphertext itself.
func (h Header) additionalData() ([]byte, error) {
	h.PayloadHash = identity.ID{}
	return codec.Marshal(&h)
}

func sorted(ids []identity.ID) []identity.ID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, identity.ID.Compare)
	return ids
}
