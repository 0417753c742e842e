package space

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/store"
	"github.com/echofs/echofs/crdt/tree"
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
	for _, c := range fresh {
		s.wait.came(want{cred: c.ID})
	}
	errs = append(errs, s.retryWaiting()...)
	s.docs.trim()
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

// chunks knows which blobs are not complete here, and who waits for them.
type chunks struct {
	mu      sync.Mutex // guards the fields below
	wanted  map[[32]byte]int64
	urgent  [][32]byte
	arrived chan struct{} // closed and replaced when a chunk comes
	fire    func()
}

func (c *chunks) want(t *tree.State) { t.Blobs(c.wantRef) }

func (c *chunks) wantRef(hash [32]byte, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted == nil {
		c.wanted = make(map[[32]byte]int64)
	}
	c.wanted[hash] = size
}

// arrivals returns a channel that is closed when the next chunk comes.
func (c *chunks) arrivals() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.arrived == nil {
		c.arrived = make(chan struct{})
	}
	return c.arrived
}

// urge puts a chunk that a reader waits for before all others.
func (c *chunks) urge(hash [32]byte) {
	c.mu.Lock()
	for _, h := range c.urgent {
		if h == hash {
			c.mu.Unlock()
			return
		}
	}
	c.urgent = append(c.urgent, hash)
	c.mu.Unlock()
	if c.fire != nil {
		c.fire()
	}
}

func (c *chunks) came(hash [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, h := range c.urgent {
		if h == hash {
			c.urgent = append(c.urgent[:i:i], c.urgent[i+1:]...)
			break
		}
	}
	if c.arrived != nil {
		close(c.arrived)
		c.arrived = nil
	}
}

// MissingChunks returns up to limit chunks to fetch, those somebody waits for
// first.
func (s *Space) MissingChunks(limit int) [][32]byte {
	s.chunks.mu.Lock()
	missing := append([][32]byte(nil), s.chunks.urgent...)
	wanted := maps.Clone(s.chunks.wanted)
	s.chunks.mu.Unlock()
	have := make(map[[32]byte]bool)
	for _, h := range missing {
		have[h] = true
	}
	for hash, size := range wanted {
		if len(missing) >= limit {
			break
		}
		hashes, known := s.blobs.Missing(blob.Ref{Hash: hash, Size: size})
		if known && len(hashes) == 0 {
			s.chunks.mu.Lock()
			delete(s.chunks.wanted, hash)
			s.chunks.mu.Unlock()
			continue
		}
		for _, h := range hashes {
			if !have[h] {
				have[h] = true
				missing = append(missing, h)
			}
		}
	}
	return missing[:min(len(missing), limit)]
}

// HasChunk reports whether a chunk is here.
func (s *Space) HasChunk(hash [32]byte) bool { return s.blobs.Has(hash) }

// Chunk returns a chunk, verified.
func (s *Space) Chunk(hash [32]byte) ([]byte, error) { return s.blobs.Chunk(hash) }

// PutChunk stores a chunk of a peer, if it is the right one.
func (s *Space) PutChunk(hash [32]byte, data []byte) error {
	if err := s.blobs.PutChunk(hash, data); err != nil {
		return err
	}
	s.chunks.came(hash)
	return nil
}
