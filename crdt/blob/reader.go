package blob

import (
	"errors"
	"io"
	"slices"
)

// A Reader reads one blob. A chunk that is not here gives ErrMissing; once it
// is there, the same read works.
type Reader struct {
	s    *Store
	hash [32]byte
	*manifest
}

// Open opens a blob whose manifest is here. Its chunks may be missing.
func (s *Store) Open(ref Ref) (*Reader, error) {
	m, err := s.manifest(ref)
	if err != nil {
		return nil, err
	}
	return &Reader{s: s, hash: ref.Hash, manifest: m}, nil
}

// Size returns the size of the blob.
func (r *Reader) Size() int64 { return r.size }

// Close releases the reader.
func (r *Reader) Close() error { return nil }

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("reading a file: negative offset")
	}
	for n < len(p) && off < r.size {
		data, begin, err := r.chunkAt(off)
		if err != nil {
			return n, err
		}
		k := copy(p[n:], data[off-begin:])
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// chunkAt returns the chunk that holds the byte at off, and where it begins.
func (r *Reader) chunkAt(off int64) (data []byte, begin int64, err error) {
	if r.inline {
		data, err = r.s.cache.get(r.hash)
		if err != nil {
			return nil, 0, err
		}
		return data[manifestHead:], 0, nil
	}
	i, _ := slices.BinarySearchFunc(r.chunks, off+1, func(c chunkRef, end int64) int {
		if c.end < end {
			return -1
		}
		return 1
	})
	if i > 0 {
		begin = r.chunks[i-1].end
	}
	data, err = r.s.cache.get(r.chunks[i].hash)
	if err == nil && int64(len(data)) != r.chunks[i].end-begin {
		err = ErrCorrupt // the author of the manifest gave a wrong length
	}
	return data, begin, err
}
