package feed

import (
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// ChunkOverhead is how much longer a sealed chunk is.
const ChunkOverhead = 1 + 8 + nonceSize + chacha20poly1305.Overhead

const chunkVersion = 1

// SealChunk appends to dst the sealed form of a piece of a large file:
//
//	1 ‖ KeyID (8) ‖ nonce (24) ‖ XChaCha20-Poly1305
//
// with the first 33 bytes as additional data. The nonce is a MAC of the bytes,
// so that the same bytes have the same sealed form under the same key, and are
// kept and sent once; who does not have the key cannot tell of any bytes whether
// they are these.
func (k Key) SealChunk(dst, plain []byte) []byte {
	id := k.ID()
	dst = slices.Grow(dst, len(plain)+ChunkOverhead)
	begin := len(dst)
	dst = append(append(dst, chunkVersion), id[:]...)
	dst = append(dst, k.chunkNonce(plain)...)
	head := dst[begin:]
	return k.chunkCipher().Seal(dst, head[1+len(id):], plain, head)
}

// OpenChunk returns the bytes of a sealed chunk. The error matches ErrKey when
// its key is not in the ring.
func (r Keyring) OpenChunk(sealed []byte) ([]byte, error) {
	const head = 1 + 8 + nonceSize
	if len(sealed) < ChunkOverhead || sealed[0] != chunkVersion {
		return nil, fmt.Errorf("a chunk of %d bytes that is not sealed: %w", len(sealed), ErrInvalid)
	}
	k, ok := r.Get([8]byte(sealed[1:9]))
	if !ok {
		return nil, fmt.Errorf("opening a chunk: %w", ErrKey)
	}
	plain, err := k.chunkCipher().Open(nil, sealed[9:head], sealed[head:], sealed[:head])
	if err != nil {
		return nil, fmt.Errorf("opening a chunk: %w: %w", err, ErrInvalid)
	}
	return plain, nil
}

// chunkNonce is a MAC of the bytes' hash.
func (k Key) chunkNonce(plain []byte) []byte {
	sum := sha256.Sum256(plain)
	return k.mac(sha256.New, []byte("echo/chunk/nonce/1"), sum[:])[:nonceSize]
}

func (k Key) chunkCipher() cipher.AEAD {
	aead, err := chacha20poly1305.NewX(k.mac(sha256.New, []byte("echo/chunk/key/1")))
	if err != nil {
		panic(err) // the key has the right length
	}
	return aead
}
