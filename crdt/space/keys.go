package space

import (
	"errors"
	"fmt"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
)

// Keyring returns the keys of the space that are known here, the founding one
// first.
func (s *Space) Keyring() feed.Keyring { return *s.ring.Load() }

// Key returns the key that this device's next entry is encrypted with: that of
// the most senior rotation whose key is known here.
func (s *Space) Key() feed.Key {
	return s.Keyring().First()
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

// AddKeys takes keys that a member handed over.
func (s *Space) AddKeys(keys []feed.Key) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return ErrClosed
	}
	before := s.Keyring().Len()
	err := s.learn(keys...)
	if err == nil && s.Keyring().Len() > before {
		err = errors.Join(s.retryWaiting()...)
		s.docs.trim()
		s.poke()
		s.notify.fire()
	}
	return err
}
