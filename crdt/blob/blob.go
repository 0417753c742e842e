// Package blob keeps the bytes of large and binary files as content-addressed
// chunks in a folder.
//
// A blob is named by the hash of its manifest, the list of its chunks. Every
// chunk and manifest is verified when it is read or arrives, so the bytes
// handed out are right or there is an error. Files appear under their names
// only when complete; Sync makes everything written so far durable.
//
// # Concurrency
//
// Every method of Store and Reader may be called from any goroutine.
package blob

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
)

// A Ref names a blob: the hash of its manifest and its size in bytes.
type Ref struct {
	Hash [32]byte
	Size int64
}

// MaxChunk is the greatest length of anything Chunk returns or PutChunk takes.
const MaxChunk = 2 << 20

// ErrCorrupt reports bytes that are not those their hash names.
var ErrCorrupt = errors.New("bytes do not match their hash")

// ErrMissing reports a chunk or manifest that is not on this device yet.
type ErrMissing struct{ Hash [32]byte }

func (e ErrMissing) Error() string { return "chunk " + hex.EncodeToString(e.Hash[:6]) + " is not here" }

// A Store is a folder of chunks.
type Store struct{}

// Open opens or makes the store in dir.
func Open(dir string) (*Store, error) { panic("blob: not written yet") }

// Close forgets caches. It does not sync.
func (s *Store) Close() error { panic("blob: not written yet") }

// Write stores all of r and returns its name.
func (s *Store) Write(ctx context.Context, r io.Reader) (Ref, error) { panic("blob: not written yet") }

// Sync makes everything written so far survive a power cut.
func (s *Store) Sync() error { panic("blob: not written yet") }

// Open opens a blob whose manifest is here. Its chunks may be missing.
func (s *Store) Open(ref Ref) (*Reader, error) { panic("blob: not written yet") }

// Missing returns the chunks of a blob that are not here. Without the
// manifest it returns the manifest's hash and false: ask again when it came.
func (s *Store) Missing(ref Ref) (hashes [][32]byte, known bool) { panic("blob: not written yet") }

// Has tells whether a chunk or manifest is here.
func (s *Store) Has(hash [32]byte) bool { panic("blob: not written yet") }

// Chunk returns a chunk or manifest, verified. The caller must not change it.
func (s *Store) Chunk(hash [32]byte) ([]byte, error) { panic("blob: not written yet") }

// PutChunk stores a chunk or manifest that came from a peer, once verified.
func (s *Store) PutChunk(hash [32]byte, data []byte) error { panic("blob: not written yet") }

// A Reader reads one blob. A chunk that is not here gives ErrMissing.
type Reader struct{}

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) { panic("blob: not written yet") }

// Size returns the size of the blob.
func (r *Reader) Size() int64 { panic("blob: not written yet") }

// Close releases the reader.
func (r *Reader) Close() error { panic("blob: not written yet") }
