package keystore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/phrase"
)

// After a wrong passphrase the next one waits, twice as long each time.
const (
	firstWait = 500 * time.Millisecond
	lastWait  = 30 * time.Second
)

// Unlock returns the device, which stores in the store whatever it learns. The
// passphrase is looked at only if there is one. A wrong one costs as much time as
// the right one, and makes the next try wait; the error matches
// ErrWrongPassphrase.
func (s *Store) Unlock(ctx context.Context, passphrase []byte) (*identity.Device, error) {
	s.trying.Lock()
	defer s.trying.Unlock()
	d, err := s.unlock(ctx, passphrase)
	if err != nil {
		return nil, fmt.Errorf("unlocking the key store: %w", err)
	}
	return d, nil
}

func (s *Store) unlock(ctx context.Context, passphrase []byte) (*identity.Device, error) {
	s.mu.Lock()
	f := s.file
	s.mu.Unlock()
	master, err := s.openMaster(ctx, f, passphrase)
	if err != nil {
		return nil, err
	}
	c, err := f.openSecrets(master)
	if err != nil {
		return nil, err
	}
	defer c.clear()
	d, err := identity.FromSecrets(c.Device)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if f.Protection != File { // a crash may have left the old key behind
		if err := os.Remove(s.path(keyName)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	d.Persist(s.keep)
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.master)
	s.master = master
	return d, nil
}

// openMaster returns the master key, with all that Unlock promises.
func (s *Store) openMaster(ctx context.Context, f file, passphrase []byte) ([]byte, error) {
	if f.Protection != Passphrase {
		key, err := s.keptKey(f)
		if err != nil {
			return nil, err
		}
		defer clear(key[:])
		master, err := f.openMaster(key[:])
		if err != nil {
			return nil, fmt.Errorf("the unlocking key is an old one: %w", ErrNoKey)
		}
		return master, nil
	}
	s.mu.Lock()
	wait := time.Until(s.next)
	s.mu.Unlock()
	if wait > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
	key := f.KDF.key(passphrase)
	defer clear(key)
	master, err := f.openMaster(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.next = time.Now().Add(min(firstWait<<min(s.failures, 10), lastWait))
		s.failures++
		return nil, ErrWrongPassphrase
	}
	s.failures, s.next = 0, time.Time{}
	return master, nil
}

// keptKey returns the unlocking key from where it is kept.
func (s *Store) keptKey(f file) (key [32]byte, err error) {
	var data []byte
	if f.Protection == Keyring {
		if s.cfg.Ring == nil {
			return key, ErrNoRing
		}
		data, err = s.cfg.Ring.Get(f.ringName())
	} else {
		data, err = readPrivate(s.path(keyName))
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%s is gone: %w", s.path(keyName), ErrNoKey)
		}
	}
	if err != nil {
		return key, err
	}
	defer clear(data)
	return decodeKey(data, f.ID)
}

// Check reports whether passphrase is the one that Unlock needs, as Unlock does.
func (s *Store) Check(ctx context.Context, passphrase []byte) error {
	s.trying.Lock()
	defer s.trying.Unlock()
	s.mu.Lock()
	f := s.file
	s.mu.Unlock()
	master, err := s.openMaster(ctx, f, passphrase)
	clear(master)
	return err
}

// Protect changes how an unlocked store is protected. After it, or a crash in
// it, the store opens the new way or still the old one.
func (s *Store) Protect(p Protection, passphrase []byte) error {
	s.trying.Lock()
	defer s.trying.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.master == nil {
		return ErrLocked
	}
	old := s.file
	if p == old.Protection && p != Passphrase {
		return nil
	}
	c, err := old.openSecrets(s.master)
	if err != nil {
		return err
	}
	defer c.clear()
	f := old
	if err := s.protectLocked(f, c, p, passphrase); err != nil {
		return fmt.Errorf("changing the protection of the key store: %w", err)
	}
	s.failures, s.next = 0, time.Time{}
	// The old key opens nothing any more but old copies of the store.
	switch old.Protection {
	case Keyring:
		if s.cfg.Ring != nil {
			err = s.cfg.Ring.Delete(old.ringName())
		}
	case File:
		err = os.Remove(s.path(keyName))
	}
	if err != nil {
		return fmt.Errorf("removing the old key of the key store: %w", err)
	}
	return nil
}

// keep stores what the device has learned.
func (s *Store) keep(secrets identity.Secrets) error {
	return s.change(func(c *contents) { c.Device = secrets })
}

func (s *Store) change(edit func(c *contents)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.master == nil {
		return ErrLocked
	}
	c, err := s.file.openSecrets(s.master)
	if err != nil {
		return err
	}
	defer c.clear()
	edit(&c)
	f := s.file
	if err := f.sealSecrets(s.cfg.random, s.master, c); err != nil {
		return err
	}
	if err := s.write(f); err != nil {
		return err
	}
	s.file = f
	return nil
}

// Words returns the recovery words, while they are kept; nil if they are not.
func (s *Store) Words() (*phrase.Phrase, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.master == nil {
		return nil, ErrLocked
	}
	c, err := s.file.openSecrets(s.master)
	if err != nil || c.Words == nil {
		return nil, err
	}
	defer c.clear()
	p := phrase.FromEntropy([32]byte(c.Words))
	return &p, nil
}

// ForgetWords removes the recovery words from the store: somebody wrote them down.
func (s *Store) ForgetWords() error {
	return s.change(func(c *contents) { clear(c.Words); c.Words = nil })
}
