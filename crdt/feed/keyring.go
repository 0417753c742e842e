package feed

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/echofs/echofs/identity/codec"
)

// MaxKeys is how many keys a ring may hold: a key for each week of five years.
const MaxKeys = 256

// maxRing is the most bytes an encoded ring of MaxKeys can have.
const maxRing = 8 + MaxKeys*34

// A Keyring is the keys of a space, in the order in which they were learned:
// the first one is that of the founding or of joining. It is immutable; the
// zero Keyring is empty.
type Keyring struct {
	keys []Key
	ids  [][8]byte // of keys
}

// Ring returns the ring of some keys. It leaves out those beyond MaxKeys, and
// those that are there already.
func Ring(keys ...Key) Keyring {
	var r Keyring
	for _, k := range keys {
		r, _ = r.With(k)
	}
	return r
}

// With returns the ring with one more key, and whether it is one more: it is
// not when it was there, or the ring is full, or its ID is that of another.
func (r Keyring) With(k Key) (Keyring, bool) {
	if _, have := r.Get(k.ID()); have || len(r.keys) >= MaxKeys {
		return r, false
	}
	return Keyring{append(slices.Clip(r.keys), k), append(slices.Clip(r.ids), k.ID())}, true
}

// Get returns the key that headers name by id.
func (r Keyring) Get(id [8]byte) (Key, bool) {
	if i := slices.Index(r.ids, id); i >= 0 {
		return r.keys[i], true
	}
	return Key{}, false
}

// First returns the first key; the ring must not be empty.
func (r Keyring) First() Key { return r.keys[0] }

// Keys returns the keys in order.
func (r Keyring) Keys() []Key { return slices.Clone(r.keys) }

// Len returns how many keys there are.
func (r Keyring) Len() int { return len(r.keys) }

// Encode returns the canonical form, which is as secret as the keys.
func (r Keyring) Encode() ([]byte, error) {
	raw := make([][32]byte, len(r.keys))
	for i, k := range r.keys {
		raw[i] = k
	}
	return codec.Marshal(raw)
}

// DecodeKeyring reads what Encode wrote.
func DecodeKeyring(data []byte) (Keyring, error) {
	if len(data) > maxRing {
		return Keyring{}, fmt.Errorf("ring of %d bytes, at most %d allowed: %w", len(data), maxRing, ErrInvalid)
	}
	var raw [][32]byte
	if err := codec.Unmarshal(data, &raw); err != nil {
		return Keyring{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var r Keyring
	for _, k := range raw {
		more, ok := r.With(k)
		if !ok {
			return Keyring{}, fmt.Errorf("a key twice in a ring, or too many: %w", ErrInvalid)
		}
		r = more
	}
	return r, nil
}

// ringContext is the additional data of a ring under a key.
var ringContext = []byte("echo/ring/1")

// SealRing encrypts a ring for whoever has k, for the Prev of a KEY_EPOCH.
func (k Key) SealRing(r Keyring) ([]byte, error) {
	return k.sealRing(r, newNonce())
}

func (k Key) sealRing(r Keyring, nonce [nonceSize]byte) ([]byte, error) {
	plain, err := r.Encode()
	if err != nil {
		return nil, err
	}
	return k.encrypt(nonce, ringContext, plain)
}

// OpenRing reads what SealRing wrote under k.
func (k Key) OpenRing(sealed []byte) (Keyring, error) {
	if len(sealed) > overhead+maxRing {
		return Keyring{}, fmt.Errorf("sealed ring of %d bytes: %w", len(sealed), ErrInvalid)
	}
	plain, err := k.decrypt(ringContext, sealed)
	if err != nil {
		return Keyring{}, fmt.Errorf("opening a ring: %w", err)
	}
	return DecodeKeyring(plain)
}

// Open returns the payload of e, under whichever key of the ring it is.
func (r Keyring) Open(e *Entry) ([]byte, error) {
	k, ok := r.Get(e.KeyID)
	if !ok {
		return nil, fmt.Errorf("opening entry %d of feed %s: %w", e.Seq, e.Feed.Short(), ErrKey)
	}
	return e.Open(k)
}

// TopicOn is the secret name under which the members of the space who have the
// key meet on a day, counted from 1970 in UTC. Whoever has one of a day cannot
// tell that of another day, nor the space.
func (k Key) TopicOn(day int64) [32]byte {
	t := Key(k.Topic())
	return [32]byte(t.mac(sha256.New, fmt.Appendf(nil, "day %d", day)))
}
