package blob

import (
	"encoding/binary"
	"fmt"
)

// A manifest is, in bytes:
//
//	1 0 bytes…                          a small blob
//	1 1 count {length hash}…            a large one, in its chunks
//
// with 4-byte big-endian numbers and 32-byte hashes. There is one manifest for
// given chunks, and its hash names the blob.
const (
	manifestVersion = 1
	kindInline      = 0
	kindChunks      = 1
	manifestHead    = 2
	chunksHead      = 6
	chunkLen        = 36
	// maxInline is the length of the largest blob that is its own manifest:
	// the least length of a chunk, so that such a blob would be one chunk.
	maxInline = 512 << 10
	maxChunks = (MaxChunk - chunksHead) / chunkLen
)

type manifest struct {
	size   int64
	inline bool
	chunks []chunkRef
}

type chunkRef struct {
	hash [32]byte
	end  int64 // where the chunk ends in the blob
}

func encodeInline(data []byte) []byte {
	return append(append(make([]byte, 0, manifestHead+len(data)), manifestVersion, kindInline), data...)
}

func encodeChunks(chunks []chunkRef) []byte {
	b := make([]byte, 0, chunksHead+chunkLen*len(chunks))
	b = append(b, manifestVersion, kindChunks)
	b = binary.BigEndian.AppendUint32(b, uint32(len(chunks)))
	begin := int64(0)
	for _, c := range chunks {
		b = binary.BigEndian.AppendUint32(b, uint32(c.end-begin))
		b = append(b, c.hash[:]...)
		begin = c.end
	}
	return b
}

func decodeManifest(b []byte) (*manifest, error) {
	bad := func(what string) (*manifest, error) {
		return nil, fmt.Errorf("manifest: %s: %w", what, ErrCorrupt)
	}
	if len(b) < manifestHead || len(b) > MaxChunk {
		return bad("bad length")
	}
	if b[0] != manifestVersion {
		return bad(fmt.Sprintf("version %d is unknown", b[0]))
	}
	m := &manifest{}
	switch b[1] {
	case kindInline:
		m.inline, m.size = true, int64(len(b)-manifestHead)
		if m.size > maxInline {
			return bad("too long to be a blob itself")
		}
		return m, nil
	case kindChunks:
	default:
		return bad("unknown kind")
	}
	if len(b) < chunksHead {
		return bad("cut off")
	}
	n := int(binary.BigEndian.Uint32(b[2:]))
	if n == 0 || n > maxChunks || len(b) != chunksHead+n*chunkLen {
		return bad("wrong number of chunks")
	}
	m.chunks = make([]chunkRef, n)
	for i := range m.chunks {
		c := b[chunksHead+i*chunkLen:]
		length := binary.BigEndian.Uint32(c)
		if length == 0 || length > MaxChunk {
			return bad("a chunk of wrong length")
		}
		m.size += int64(length)
		m.chunks[i] = chunkRef{[32]byte(c[4:36]), m.size}
	}
	return m, nil
}

// manifest loads the manifest of a blob.
func (s *Store) manifest(ref Ref) (*manifest, error) {
	b, err := s.cache.get(ref.Hash)
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, err
	}
	if m.size != ref.Size {
		return nil, fmt.Errorf("manifest of %d bytes for a blob of %d: %w", m.size, ref.Size, ErrCorrupt)
	}
	return m, nil
}
