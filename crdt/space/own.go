package space

import (
	"encoding/binary"
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity"
)

// Two entries of one feed with one number split a space, so a device must not
// continue a feed of which others may have more than it has itself. That is so
// when its files are an old copy, from a backup: then their file was made at
// another time than the one it remembers, and the device opens a new feed. It
// also does when a peer brings more of its feed than it knows.

// loadOwn reads which feed this device writes. It is none when it has to open a
// new one.
func (s *Space) loadOwn(tx *store.Tx) error {
	own, err := tx.Meta(metaOwn)
	if errors.Is(err, store.ErrNotFound) {
		if feeds := s.members.Feeds(s.device.Key()); len(feeds) > 0 {
			s.feed = feeds[len(feeds)-1]
		}
		return nil
	}
	if err != nil {
		return err
	}
	if len(own) != 40 {
		return store.ErrDamaged
	}
	then, now := binary.BigEndian.Uint64(own[32:]), born(s.dir)
	if then != now && then != 0 && now != 0 {
		s.log.Warn("these files are a copy; a new feed is begun, others may have more of the old one", "space", s.name)
		return nil
	}
	s.feed = identity.ID(own[:32])
	return nil
}

// noteOwn has a space from before this was remembered remember it.
func (s *Space) noteOwn() error {
	err := s.db.View(func(tx *store.Tx) error {
		_, err := tx.Meta(metaOwn)
		return err
	})
	switch {
	case !errors.Is(err, store.ErrNotFound):
		return err
	case s.feed.IsZero():
		return nil
	}
	return s.db.Update(func(tx *store.Tx) error { return s.putOwn(tx, s.feed) })
}

// putOwn notes which feed this device writes; zero is a new one.
func (s *Space) putOwn(tx *store.Tx, f identity.ID) error {
	return tx.PutMeta(metaOwn, binary.BigEndian.AppendUint64(f[:], born(s.dir)))
}

// retire gives this device's feed up.
func (s *Space) retire() error {
	err := s.db.Update(func(tx *store.Tx) error { return s.putOwn(tx, identity.ID{}) })
	if err == nil {
		s.feed = identity.ID{}
	}
	return err
}

// ended reports whether entries of a feed of this device have left the log.
func (s *Space) ended(f identity.ID) (ended bool, err error) {
	err = s.view(func(tx *store.Tx) error {
		_, err := tx.Meta(metaEnded + string(f[:]))
		ended = err == nil
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return ended, err
}

// born returns when the store's file was made, in nanoseconds, or 0 where the
// file system does not know. No copy has the time of its original.
func born(dir string) uint64 {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, filepath.Join(dir, "space.db"), 0, unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return uint64(st.Btime.Sec)*1e9 + uint64(st.Btime.Nsec)
}

// ownFeed returns this device's feed, opening it at the first write. The
// caller holds write.
func (s *Space) ownFeed() (identity.ID, error) {
	if !s.feed.IsZero() {
		return s.feed, nil
	}
	id, err := s.openFeed(s.putOwn)
	if err == nil {
		s.feed = id
	}
	return s.feed, err
}

// openFeed makes the credential that opens a feed of this device. also is done
// in the same transaction.
func (s *Space) openFeed(also func(*store.Tx, identity.ID) error) (identity.ID, error) {
	open, err := s.members.OpenFeed(s.device, s.now())
	if err != nil {
		return identity.ID{}, err
	}
	err = s.db.Update(func(tx *store.Tx) error {
		return errors.Join(tx.PutCredential(open.ID, open.Raw), also(tx, open.ID))
	})
	if err != nil {
		return identity.ID{}, err
	}
	if _, err := s.members.Add(open); err != nil {
		return identity.ID{}, err
	}
	s.notify.fire()
	return open.ID, nil
}
