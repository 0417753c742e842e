package space

import (
	"maps"
	"sync"

	"github.com/echofs/echofs/crdt/blob"
	"github.com/echofs/echofs/crdt/tree"
)

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
