package space

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// Keyring returns the keys of the space that are known here, the founding one
// first.
func (s *Space) Keyring() feed.Keyring { return *s.ring.Load() }

// Key returns the key that this device's next entry is encrypted with: that of
// the most senior rotation whose key is known here.
func (s *Space) Key() feed.Key {
	ring := s.Keyring()
	for _, e := range s.members.Epochs() {
		if k, ok := ring.Get(e.KeyID); ok {
			return k
		}
	}
	return ring.First()
}

// putRing stores a ring.
func putRing(tx *store.Tx, ring feed.Keyring) error {
	data, err := ring.Encode()
	if err != nil {
		return err
	}
	return tx.PutMeta(metaKeys, data)
}

// loadRing reads the keys.
func (s *Space) loadRing(tx *store.Tx) error {
	data, err := tx.Meta(metaKeys)
	if err != nil {
		return err
	}
	ring, err := feed.DecodeKeyring(data)
	if err == nil && ring.Len() == 0 {
		err = errors.New("there are none")
	}
	if err != nil {
		return fmt.Errorf("%w: keys of the space: %w", store.ErrDamaged, err)
	}
	s.ring.Store(&ring)
	return nil
}

// learn takes keys in, durably, and then the entries that wait for them. The
// caller holds write.
func (s *Space) learn(keys ...feed.Key) error {
	ring := s.Keyring()
	var news [][8]byte
	for _, k := range keys {
		if more, ok := ring.With(k); ok {
			ring = more
			news = append(news, k.ID())
		}
	}
	if len(news) == 0 {
		return nil
	}
	if err := s.db.Update(func(tx *store.Tx) error { return putRing(tx, ring) }); err != nil {
		return err
	}
	s.ring.Store(&ring)
	for _, id := range news {
		s.wait.came(want{key: id})
	}
	return nil
}

// maxVoidKeys is how large a ring may be that still takes keys which no rotation
// in force names: the rest is for those that are written with.
const maxVoidKeys = feed.MaxKeys / 2

// fitting returns those of keys that the ring has a place for: all that a
// rotation in force names, and, of those that may be named otherwise, few. The
// caller holds write.
func (s *Space) fitting(keys []feed.Key, may func([8]byte) bool) (out []feed.Key) {
	inForce := make(map[[8]byte]bool)
	for _, e := range s.members.Epochs() {
		inForce[e.KeyID] = true
	}
	ring := s.Keyring()
	others := max(0, maxVoidKeys-ring.Len())
	for _, k := range keys {
		id := k.ID()
		if _, have := ring.Get(id); have {
			continue
		}
		if !inForce[id] {
			if others == 0 || !may(id) {
				continue
			}
			others--
		}
		out = append(out, k)
	}
	return out
}

// AddKeys takes keys that a member handed over. One that no rotation names is
// left out: a ring has room for few.
func (s *Space) AddKeys(keys []feed.Key) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return ErrClosed
	}
	before := s.Keyring().Len()
	named := s.members.KeyIDs()
	keys = slices.DeleteFunc(slices.Clone(keys), func(k feed.Key) bool { return !s.commits(k) })
	err := s.learn(s.fitting(keys, func(id [8]byte) bool { return named[id] })...)
	if err == nil && s.Keyring().Len() > before {
		err = trouble(s.retryWaiting())
		s.docs.trim()
		s.poke()
		s.notify.fire()
	}
	return err
}

// commits reports whether a key is the one that everybody takes for it: names of
// keys are short enough that an admin can make two keys of one name and seal each
// to some. The earlier keys, sealed under it, are the same for all, and no two
// keys open them.
func (s *Space) commits(k feed.Key) bool {
	for _, e := range s.members.Epochs() {
		if e.KeyID == k.ID() && len(e.Prev) > 0 {
			_, err := k.OpenRing(e.Prev)
			return !errors.Is(err, feed.ErrKey)
		}
	}
	return true
}

// epochInfo is what a box is sealed for.
func (s *Space) epochInfo(key [8]byte) string {
	return "echo/epoch/1" + string(s.id[:]) + string(key[:])
}

// openEpochs learns the keys that rotations have for this device. The caller
// holds write.
func (s *Space) openEpochs() error {
	for _, e := range s.members.Epochs() {
		if s.opened[e.ID] {
			continue
		}
		key, ok := s.Keyring().Get(e.KeyID)
		if !ok {
			box := e.Box(s.device.Key())
			if box == nil {
				continue // whoever admits this device hands it over
			}
			plain, err := s.device.OpenSealed(s.epochInfo(e.KeyID), box)
			if err != nil || len(plain) != len(key) || feed.Key(plain).ID() != e.KeyID {
				s.complain("a key of the space is not what it should be", "space", s.name, "by", e.By.Short(), "err", err)
				s.noteOpened(e.ID)
				continue
			}
			key = feed.Key(plain)
			if !s.commits(key) {
				s.complain("a key of the space is another one for others", "space", s.name, "by", e.By.Short())
				s.noteOpened(e.ID)
				continue
			}
		}
		keys := []feed.Key{key}
		if len(e.Prev) > 0 {
			prev, err := key.OpenRing(e.Prev)
			if err != nil {
				s.complain("earlier keys of the space cannot be read", "space", s.name, "by", e.By.Short(), "err", err)
			}
			keys = append(keys, s.fitting(prev.Keys(), func([8]byte) bool { return true })...)
		}
		if err := s.learn(keys...); err != nil {
			return err
		}
		s.noteOpened(e.ID)
	}
	return nil
}

func (s *Space) noteOpened(epoch identity.ID) {
	if s.opened == nil {
		s.opened = make(map[identity.ID]bool)
	}
	s.opened[epoch] = true
}

// Rotate gives the space another key, which all present members get and nobody
// else. Entries are written under it from now on; the earlier keys go with it.
func (s *Space) Rotate(ctx context.Context) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return ErrClosed
	}
	return s.rotateLocked()
}

func (s *Space) rotateLocked() error {
	key := feed.NewKey()
	prev, err := key.SealRing(s.Keyring())
	if err != nil {
		return err
	}
	ring, ok := s.Keyring().With(key)
	if !ok {
		return fmt.Errorf("the space has had %d keys, which is the most: begin a new one with echofs space fork", feed.MaxKeys)
	}
	var boxes []credential.SealedKey
	for _, to := range s.members.SealTo() {
		box, err := identity.Seal(to.Seal, s.epochInfo(key.ID()), key[:])
		if err != nil { // others must not do without a key because of one
			s.log.Warn("the new key cannot be sealed to a device", "space", s.name, "device", to.Key.Short(), "err", err)
			continue
		}
		boxes = append(boxes, credential.SealedKey{To: credential.SealTo(to.Key, to.Seal), Box: box})
	}
	err = s.actLocked(func(m *membership.State, now time.Time) ([]credential.Signed, error) {
		return m.NewEpoch(s.device, key.ID(), prev, boxes, now)
	}, func(tx *store.Tx) error { return putRing(tx, ring) })
	if err != nil {
		return fmt.Errorf("changing the key of space %s: %w", s.name, err)
	}
	return s.learn(key)
}

// Stale reports whether somebody who is no member any more, or a device that was
// cut off, has the key that entries are written under: whether an admin should
// Rotate.
func (s *Space) Stale() bool {
	stale, _ := s.StaleBy()
	return stale
}

// StaleBy is Stale, and tells whether this device made it so: then it is the one
// to rotate, and the others need not wait whether somebody does.
func (s *Space) StaleBy() (stale, here bool) {
	epochs, ops := s.members.Epochs(), s.members.Ops()
	known := func(c credential.Signed) bool { // to who made the newest key
		return len(epochs) > 0 && s.members.Covers([]identity.ID{epochs[0].ID}, []identity.ID{c.ID})
	}
	for _, c := range ops {
		ends := c.Kind == credential.SetRole && c.Role == credential.None || c.Kind == credential.DeviceCut ||
			c.Kind == credential.Redeem && s.members.Role(c.Subject) == credential.None // it got the key, and lost to another
		if !ends || c.Newer || known(c) {
			continue
		}
		if c.Kind == credential.SetRole && len(epochs) > 0 && !s.givenSince(c.Subject, epochs[0].ID, ops, known) {
			continue // it is out already: leaving again and again must not use the keys up
		}
		stale, here = true, here || c.Device == s.device.Key()
	}
	return stale, here
}

// givenSince reports whether an identity can have got the key of an epoch: it
// was a member by what the epoch's author knew, or by what they did not know.
func (s *Space) givenSince(who, epoch identity.ID, ops []credential.Signed, known func(credential.Signed) bool) bool {
	if s.members.RoleAt(who, []identity.ID{epoch}) > credential.None {
		return true
	}
	return slices.ContainsFunc(ops, func(c credential.Signed) bool {
		gives := c.Kind == credential.SetRole && c.Role > credential.None || c.Kind == credential.Redeem
		return gives && c.Subject == who && !known(c)
	})
}

// chunkKeys seals the chunks of large files under the key that is written with.
type chunkKeys struct{ s *Space }

func (c chunkKeys) Seal(dst, plain []byte) []byte { return c.s.Key().SealChunk(dst, plain) }

func (c chunkKeys) Open(sealed []byte) ([]byte, error) {
	plain, err := c.s.Keyring().OpenChunk(sealed)
	if errors.Is(err, feed.ErrInvalid) {
		return nil, fmt.Errorf("%w: %w", blob.ErrCorrupt, err)
	}
	return plain, err
}
