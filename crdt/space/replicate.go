package space

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/credential"
	"github.com/echofs/echofs/identity/membership"
)

// Timeframe returns how far this device has each feed, durably.
func (s *Space) Timeframe() feed.Timeframe {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.durable)
}

// Device returns the key of this device.
func (s *Space) Device() identity.PublicKey { return s.device.Key() }

// CredentialHeads returns the credentials that no other builds on.
func (s *Space) CredentialHeads() []identity.ID { return s.members.Heads() }

// Credentials returns all credentials, past before future, also those that
// wait for others or for a newer release.
func (s *Space) Credentials() [][]byte {
	var raw [][]byte
	for _, c := range s.members.Ops() {
		raw = append(raw, c.Raw)
	}
	for _, c := range s.members.Waiting() {
		raw = append(raw, c.Raw)
	}
	return raw
}

// AddCredentials takes credentials of peers and returns when they are durable.
// One that is refused is named in the error and keeps nothing else out.
func (s *Space) AddCredentials(ctx context.Context, raw [][]byte) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return ErrClosed
	}
	var errs []error
	before, news := s.members.Len(), false
	for _, r := range raw {
		c, err := credential.Decode(r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		status, err := s.members.Add(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("credential %s: %w", c.ID.Short(), err))
			continue
		}
		news = news || status != membership.Duplicate
	}
	// What waits for others is not stored: anybody can make any amount of it,
	// and who has the others has it too.
	fresh := s.members.Since(before)
	if len(fresh) == 0 {
		if news {
			s.notify.fire()
		}
		return errors.Join(errs...)
	}
	s.unstored = append(s.unstored, fresh...)
	if err := s.storeCredentials(); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, s.credentialsCame(fresh))
	s.poke()
	s.notify.fire()
	return errors.Join(errs...)
}

// storeCredentials stores what could not be stored before. Nothing is accepted
// on the authority of a credential that a restart would forget.
func (s *Space) storeCredentials() error {
	if len(s.unstored) == 0 {
		return nil
	}
	err := s.db.Update(func(tx *store.Tx) error {
		for _, c := range s.unstored {
			if err := tx.PutCredential(c.ID, c.Raw); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.unstored = nil
	}
	return err
}

// Log returns up to limit entries in the order in which this device committed
// them, after the position after. What an entry builds on comes before it.
func (s *Space) Log(after uint64, limit int) ([]LogRef, error) {
	var refs []LogRef
	full := errors.New("full")
	err := s.db.View(func(tx *store.Tx) error {
		return tx.Log(after, func(pos uint64, f [32]byte, seq uint64) error {
			if len(refs) >= limit {
				return full
			}
			refs = append(refs, LogRef{pos, f, seq})
			return nil
		})
	})
	if errors.Is(err, full) {
		err = nil
	}
	return refs, err
}

// Entry returns an entry of the log as it travels.
func (s *Space) Entry(f identity.ID, seq uint64) (raw []byte, err error) {
	err = s.db.View(func(tx *store.Tx) (err error) {
		raw, err = tx.Entry(f, seq)
		return err
	})
	return raw, err
}
