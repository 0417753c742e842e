package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/restic/chunker"
)

// How files are cut. Other values would give the same file other chunks, so
// these are part of the format: 512 KiB to 2 MiB, about 1 MiB on average.
const (
	polynomial = chunker.Pol(0x3DA3358B4DC173)
	minChunk   = 512 << 10
)

func newChunker() *chunker.Chunker {
	return chunker.NewWithBoundaries(nil, polynomial, minChunk, MaxChunk)
}

// Write stores all of r and returns its name. A full disk is an error that
// wraps ENOSPC; the chunks written until then are found again by the next try.
func (s *Store) Write(ctx context.Context, r io.Reader) (Ref, error) {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	small := (*buf)[:maxInline+1]
	n, err := io.ReadFull(r, small)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return s.finish(encodeInline(small[:n]), int64(n))
	}
	if err != nil {
		return Ref{}, fmt.Errorf("storing a file: %w", err)
	}
	return s.writeChunks(ctx, io.MultiReader(bytes.NewReader(bytes.Clone(small)), r), *buf)
}

func (s *Store) writeChunks(ctx context.Context, r io.Reader, buf []byte) (Ref, error) {
	c := s.chunkers.Get().(*chunker.Chunker)
	defer s.chunkers.Put(c)
	c.ResetWithBoundaries(r, polynomial, minChunk, MaxChunk)
	var chunks []chunkRef
	size := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return Ref{}, err
		}
		chunk, err := c.Next(buf[:0])
		if errors.Is(err, io.EOF) {
			return s.finish(encodeChunks(chunks), size)
		}
		if err != nil {
			return Ref{}, fmt.Errorf("storing a file: %w", err)
		}
		if len(chunks) == maxChunks {
			return Ref{}, ErrTooLarge
		}
		hash := sha256.Sum256(chunk.Data)
		if err := s.put(hash, chunk.Data); err != nil {
			return Ref{}, err
		}
		size += int64(len(chunk.Data))
		chunks = append(chunks, chunkRef{hash, size})
	}
}

// finish stores the manifest.
func (s *Store) finish(manifest []byte, size int64) (Ref, error) {
	ref := Ref{sha256.Sum256(manifest), size}
	return ref, s.put(ref.Hash, manifest)
}
