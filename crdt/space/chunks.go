package space

import (
	"maps"
	"slices"
	"sync"

	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/crdt/tree"
)

// chunks knows which blobs are not complete here, and who waits for them.
type chunks struct {
	mu      sync.Mutex // guards the fields below
	wanted  map[[32]byte]int64
	urgent  []*urgentChunk // in the order in which readers came
	arrived chan struct{}  // closed and replaced when a chunk comes
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

// An urgentChunk goes before all others while readers wait for it.
type urgentChunk struct {
	hash    [32]byte
	readers int
}

// urge puts a chunk before all others until it comes or every reader that waits
// for it has called its calm.
func (c *chunks) urge(hash [32]byte) (calm func()) {
	c.mu.Lock()
	i := slices.IndexFunc(c.urgent, func(u *urgentChunk) bool { return u.hash == hash })
	news := i < 0
	if news {
		i = len(c.urgent)
		c.urgent = append(c.urgent, &urgentChunk{hash: hash})
	}
	u := c.urgent[i]
	u.readers++
	c.mu.Unlock()
	if news && c.fire != nil {
		c.fire()
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if u.readers--; u.readers == 0 {
			c.urgent = slices.DeleteFunc(c.urgent, func(o *urgentChunk) bool { return o == u })
		}
	}
}

func (c *chunks) came(hash [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.urgent = slices.DeleteFunc(c.urgent, func(u *urgentChunk) bool { return u.hash == hash })
	if c.arrived != nil {
		close(c.arrived)
		c.arrived = nil
	}
}

// MissingChunks returns up to limit chunks to fetch, those somebody waits for
// first; none if the disk is nearly full.
func (s *Space) MissingChunks(limit int) [][32]byte {
	if s.room() != nil {
		return nil
	}
	s.chunks.mu.Lock()
	missing := make([][32]byte, len(s.chunks.urgent))
	for i, u := range s.chunks.urgent {
		missing[i] = u.hash
	}
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
