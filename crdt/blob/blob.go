// Package blob keeps the bytes of large and binary files as content-addressed
// chunks in a folder.
//
// A blob is named by the hash of its manifest: the list of its chunks, or the
// bytes themselves when they are few. Chunks are cut where the content says
// so, so that a change in the middle of a file leaves most of them as they
// were. Every chunk and manifest is verified when it is read from disk and
// when it arrives, so the bytes handed out are right or there is an error.
// Files appear under their names only when complete; Sync makes everything
// written so far durable.
//
// Chunks and manifests are sealed: what lies on the disk and is sent to peers is
// ciphertext, and its hash is what names it. Who has no key can keep and pass on
// what it cannot read.
//
// # Concurrency
//
// Every method of Store and Reader may be called from any goroutine.
package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// A Ref names a blob: the hash of its manifest and its size in bytes.
type Ref struct {
	Hash [32]byte
	Size int64
}

const (
	// MaxChunk is the greatest length of a chunk or manifest.
	MaxChunk = 2 << 20
	// MaxSealed is the greatest length of anything Chunk returns or PutChunk takes.
	MaxSealed = MaxChunk + 256
)

// A Cipher seals chunks: the same bytes always in the same way, at least while
// the key is the same, so that what is there already is found.
type Cipher interface {
	Seal(dst, plain []byte) []byte      // appends at most MaxSealed-MaxChunk bytes more than plain has
	Open(sealed []byte) ([]byte, error) // ErrCorrupt if no key can open it
}

// ErrCorrupt reports bytes that are not those their hash names.
var ErrCorrupt = errors.New("bytes do not match their hash")

// ErrTooLarge reports a file with more chunks than a manifest holds, about
// 58 GB.
var ErrTooLarge error = syscall.EFBIG

// ErrMissing reports a chunk or manifest that is not on this device yet.
type ErrMissing struct{ Hash [32]byte }

func (e ErrMissing) Error() string { return "chunk " + hex.EncodeToString(e.Hash[:6]) + " is not here" }

// A Store is a folder of chunks: DIR/ab/cdef… for the chunk abcdef…, and
// DIR/tmp for files that are being written.
type Store struct {
	dir      string
	cipher   Cipher
	cache    *cache    // of opened chunks
	chunkers sync.Pool // *chunker.Chunker
	buffers  sync.Pool // *[]byte of MaxSealed

	syncing sync.Mutex // held by the one Sync that runs; taken before mu

	mu       sync.Mutex            // guards the fields below
	good     map[[32]byte]struct{} // on disk and right, since the store was opened
	unsynced map[[32]byte]struct{} // of these, those that a power cut may take
}

// Open opens or makes the store in dir. Files that were not finished when the
// last process died are removed.
func Open(dir string, c Cipher) (*Store, error) {
	tmp := filepath.Join(dir, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, fmt.Errorf("opening the chunks: %w", err)
	}
	left, err := os.ReadDir(tmp)
	if err != nil {
		return nil, fmt.Errorf("opening the chunks: %w", err)
	}
	for _, f := range left {
		if err := os.Remove(filepath.Join(tmp, f.Name())); err != nil {
			return nil, fmt.Errorf("removing an unfinished chunk: %w", err)
		}
	}
	s := &Store{dir: dir, cipher: c, good: map[[32]byte]struct{}{}, unsynced: map[[32]byte]struct{}{}}
	s.cache = newCache(s.read)
	s.buffers.New = func() any { b := make([]byte, MaxSealed); return &b }
	s.chunkers.New = func() any { return newChunker() }
	return s, nil
}

// Trim forgets the chunks that were read last.
func (s *Store) Trim() { s.cache.clear() }

// Close forgets what is cached. It does not sync.
func (s *Store) Close() error {
	s.cache.clear()
	return nil
}

func (s *Store) shard(hash [32]byte) string {
	return filepath.Join(s.dir, hex.EncodeToString(hash[:1]))
}

func (s *Store) path(hash [32]byte) string {
	return filepath.Join(s.shard(hash), hex.EncodeToString(hash[1:]))
}

// Has tells whether a chunk or manifest is here.
func (s *Store) Has(hash [32]byte) bool {
	s.mu.Lock()
	_, ok := s.good[hash]
	s.mu.Unlock()
	if ok {
		return true
	}
	_, err := os.Stat(s.path(hash))
	return err == nil
}

// Missing returns the chunks of a blob that are not here. Without the
// manifest it returns the manifest's hash and false: ask again when it came.
// Of a blob that cannot be read, whoever sends what, nothing is missing.
func (s *Store) Missing(ref Ref) (hashes [][32]byte, known bool) {
	m, err := s.manifest(ref)
	if errors.As(err, new(ErrMissing)) {
		return [][32]byte{ref.Hash}, false
	}
	if err != nil { // the author's fault, or a trouble here that may pass
		return nil, errors.Is(err, ErrCorrupt)
	}
	seen := map[[32]byte]bool{}
	for _, c := range m.chunks {
		if !seen[c.hash] && !s.Has(c.hash) {
			hashes = append(hashes, c.hash)
		}
		seen[c.hash] = true
	}
	return hashes, true
}

// Chunk returns a chunk or manifest as it is stored and sent, verified.
func (s *Store) Chunk(hash [32]byte) ([]byte, error) { return s.sealed(hash) }

// read loads, verifies and opens a chunk. Of one that was right since the store
// was opened the cipher alone notices if it went bad: it is authenticated.
func (s *Store) read(hash [32]byte) ([]byte, error) {
	s.mu.Lock()
	_, good := s.good[hash]
	s.mu.Unlock()
	if good {
		if sealed, err := readFile(s.path(hash)); err == nil {
			if plain, err := s.open(hash, sealed); err == nil {
				return plain, nil
			}
		}
	}
	sealed, err := s.sealed(hash)
	if err != nil {
		return nil, err
	}
	plain, err := s.open(hash, sealed)
	if err == nil {
		s.mu.Lock()
		s.good[hash] = struct{}{}
		s.mu.Unlock()
	}
	return plain, err
}

func (s *Store) open(hash [32]byte, sealed []byte) ([]byte, error) {
	plain, err := s.cipher.Open(sealed)
	if err != nil {
		return nil, fmt.Errorf("chunk %x: %w", hash[:6], err)
	}
	if len(plain) > MaxChunk {
		return nil, fmt.Errorf("chunk %x of %d bytes: %w", hash[:6], len(plain), ErrCorrupt)
	}
	return plain, nil
}

// sealed loads and verifies a chunk. One that went bad is set aside, so that it
// counts as missing and a peer can send it again.
func (s *Store) sealed(hash [32]byte) ([]byte, error) {
	path := s.path(hash)
	data, err := readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		s.forget(hash)
		return nil, ErrMissing{hash}
	}
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return nil, fmt.Errorf("reading a chunk: %w", err)
	}
	if err == nil && sha256.Sum256(data) == hash {
		return data, nil
	}
	s.forget(hash)
	if err := os.Rename(path, path+".bad"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("setting a bad chunk aside: %w", err)
	}
	return nil, fmt.Errorf("%s: %w: %w", path, ErrCorrupt, ErrMissing{hash})
}

// forget has a chunk looked for on the disk again.
func (s *Store) forget(hash [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.good, hash)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if fi.Size() > MaxSealed {
		return nil, ErrCorrupt
	}
	data := make([]byte, fi.Size())
	_, err = io.ReadFull(f, data)
	return data, err
}

// PutChunk stores a chunk or manifest that came from a peer, once verified.
func (s *Store) PutChunk(hash [32]byte, data []byte) error {
	if len(data) > MaxSealed || sha256.Sum256(data) != hash {
		return fmt.Errorf("a chunk of %d bytes: %w", len(data), ErrCorrupt)
	}
	return s.put(hash, data)
}

// put stores a chunk that is verified, unless it is there already.
func (s *Store) put(hash [32]byte, data []byte) error {
	s.mu.Lock()
	_, ok := s.good[hash]
	s.mu.Unlock()
	if ok {
		return nil
	}
	// A file of an earlier process may be what a power cut left of it.
	if _, err := os.Stat(s.path(hash)); err == nil {
		if _, err := s.sealed(hash); err == nil {
			s.stored(hash)
			return nil
		}
	}
	if err := s.create(hash, data); err != nil {
		return fmt.Errorf("storing a chunk: %w", err)
	}
	s.stored(hash)
	return nil
}

func (s *Store) stored(hash [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.good[hash] = struct{}{}
	s.unsynced[hash] = struct{}{}
}

// create writes a file under another name and renames it.
func (s *Store) create(hash [32]byte, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	err = os.Rename(f.Name(), s.path(hash))
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(s.shard(hash), 0o700); err == nil {
			err = os.Rename(f.Name(), s.path(hash))
		}
	}
	return err
}
