package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

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
	small := make([]byte, maxInline+1)
	n, err := io.ReadFull(r, small)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return s.finish(encodeInline(small[:n]), int64(n))
	}
	if err != nil {
		return Ref{}, fmt.Errorf("storing a file: %w", err)
	}
	return s.writeChunks(ctx, io.MultiReader(bytes.NewReader(small), r))
}

// writers is how many chunks of a file are hashed and written at once, while the
// next one is read and cut.
const writers = 2

func (s *Store) writeChunks(ctx context.Context, r io.Reader) (Ref, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	defer all.Wait()
	slots := make(chan struct{}, writers)
	c := s.chunkers.Get().(*chunker.Chunker)
	defer s.chunkers.Put(c)
	c.ResetWithBoundaries(r, polynomial, minChunk, MaxChunk)
	var chunks []*chunkRef
	size := int64(0)
	for {
		if ctx.Err() != nil {
			return Ref{}, context.Cause(ctx)
		}
		buf := s.buffers.Get().(*[]byte)
		chunk, err := c.Next((*buf)[:0])
		if errors.Is(err, io.EOF) {
			s.buffers.Put(buf)
			all.Wait()
			if ctx.Err() != nil {
				return Ref{}, context.Cause(ctx)
			}
			return s.finish(encodeChunks(values(chunks)), size)
		}
		if err != nil {
			return Ref{}, fmt.Errorf("storing a file: %w", err)
		}
		if len(chunks) == maxChunks {
			return Ref{}, ErrTooLarge
		}
		size += int64(len(chunk.Data))
		ref := &chunkRef{end: size}
		chunks = append(chunks, ref)
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			out := s.buffers.Get().(*[]byte)
			*out = s.cipher.Seal((*out)[:0], chunk.Data)
			ref.hash = sha256.Sum256(*out)
			if err := s.put(ref.hash, *out); err != nil {
				cancel(err)
			}
			s.buffers.Put(out)
			s.buffers.Put(buf)
		})
	}
}

func values(refs []*chunkRef) []chunkRef {
	out := make([]chunkRef, len(refs))
	for i, r := range refs {
		out[i] = *r
	}
	return out
}

// finish stores the manifest.
func (s *Store) finish(manifest []byte, size int64) (Ref, error) {
	sealed := s.cipher.Seal(nil, manifest)
	ref := Ref{sha256.Sum256(sealed), size}
	return ref, s.put(ref.Hash, sealed)
}
