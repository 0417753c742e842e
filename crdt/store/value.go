package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"runtime/debug"
)

// A bucket is one of the tables of the database.
type bucket byte

const (
	metaBucket bucket = iota
	entryBucket
	logBucket
	credBucket
	credIDBucket
	nodeBucket
	textBucket
	docBucket
	traceBucket
	buckets
)

func (b bucket) name() []byte {
	return []byte([buckets]string{"meta", "entry", "log", "cred", "credid", "node", "text", "doc", "trace"}[b])
}

// sealLen is the length of the checksum in front of every value.
const sealLen = 4

func checksum(b bucket, key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	c := crc32.Update(uint32(b)+1, table, key)
	return crc32.Update(c, table, value)
}

// seal returns parts, joined, behind their checksum.
func seal(b bucket, key []byte, parts ...[]byte) []byte {
	n := sealLen
	for _, p := range parts {
		n += len(p)
	}
	out := make([]byte, sealLen, n)
	for _, p := range parts {
		out = append(out, p...)
	}
	binary.LittleEndian.PutUint32(out, checksum(b, key, out[sealLen:]))
	return out
}

// unseal returns the value behind its checksum, still in the database's memory.
func unseal(b bucket, key, sealed []byte) ([]byte, error) {
	if len(sealed) < sealLen || binary.LittleEndian.Uint32(sealed) != checksum(b, key, sealed[sealLen:]) {
		return nil, fmt.Errorf("%w: %s %x", ErrDamaged, b.name(), key[:min(len(key), 48)])
	}
	return sealed[sealLen:], nil
}

// guard runs fn, which touches bbolt. A damaged page makes bbolt panic or
// touch memory that is not there; both come out as ErrDamaged.
func guard(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: database page: %v", ErrDamaged, r)
		}
	}()
	return fn()
}

// Values of the text and doc buckets begin with how they are packed.
const (
	packedRaw  = 0
	packedZstd = 1
)

// pack compresses a value when that makes it smaller.
func (s *Store) pack(b bucket, key, value []byte) []byte {
	buf := make([]byte, sealLen+1, sealLen+1+len(value)/2+64)
	if len(value) >= 64 {
		buf = s.enc.EncodeAll(value, buf)
	}
	if len(value) < 64 || len(buf)-sealLen-1 >= len(value) {
		buf = append(buf[:sealLen+1], value...)
		buf[sealLen] = packedRaw
	} else {
		buf[sealLen] = packedZstd
	}
	binary.LittleEndian.PutUint32(buf, checksum(b, key, buf[sealLen:]))
	return buf
}

// unpack returns a copy of a packed value.
func (s *Store) unpack(b bucket, key, packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, fmt.Errorf("%w: %s %x is empty", ErrDamaged, b.name(), key)
	}
	switch packed[0] {
	case packedRaw:
		return append([]byte{}, packed[1:]...), nil
	case packedZstd:
		out, err := s.dec.DecodeAll(packed[1:], nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %s %x: %w", ErrDamaged, b.name(), key, err)
		}
		return out, nil
	}
	return nil, fmt.Errorf("%s %x: %w", b.name(), key, ErrNewer)
}
