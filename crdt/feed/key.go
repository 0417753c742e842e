package feed

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"log/slog"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	nonceSize      = chacha20poly1305.NonceSizeX
	commitmentSize = 32
	overhead       = nonceSize + commitmentSize + chacha20poly1305.Overhead
)

// A Key encrypts the entries of a space. Every member has it.
type Key [32]byte

// NewKey makes a key.
func NewKey() (k Key) {
	rand.Read(k[:]) // never fails; see crypto/rand
	return k
}

func newNonce() (n [nonceSize]byte) {
	rand.Read(n[:])
	return n
}

// ID names the key in headers without giving it away.
func (k Key) ID() [8]byte {
	return [8]byte(k.mac(sha256.New, []byte("id")))
}

// Topic is the secret name under which the members of the space meet.
func (k Key) Topic() [32]byte {
	topic, err := hkdf.Key(sha256.New, k[:], nil, "echo/topic/1", 32)
	if err != nil {
		panic(err) // only lengths over 8160 bytes fail
	}
	return [32]byte(topic)
}

// String keeps the key out of logs.
func (k Key) String() string { return "feed.Key(secret)" }

// GoString keeps the key out of logs.
func (k Key) GoString() string { return k.String() }

// LogValue keeps the key out of logs.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

func (k Key) mac(h func() hash.Hash, parts ...[]byte) []byte {
	m := hmac.New(h, k[:])
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// derive returns the encryption key and the commitment for a nonce.
func (k Key) derive(nonce []byte) (encryption, commitment []byte) {
	both := k.mac(sha512.New, []byte("echo/payload/1"), nonce)
	return both[:chacha20poly1305.KeySize], both[chacha20poly1305.KeySize:]
}

func (k Key) encrypt(nonce [nonceSize]byte, aad, plain []byte) ([]byte, error) {
	encryption, commitment := k.derive(nonce[:])
	aead, err := chacha20poly1305.NewX(encryption)
	if err != nil {
		return nil, fmt.Errorf("encrypting: %w", err)
	}
	sealed := make([]byte, 0, overhead+len(plain))
	sealed = append(sealed, nonce[:]...)
	sealed = append(sealed, commitment...)
	return aead.Seal(sealed, nonce[:], plain, aad), nil
}

func (k Key) decrypt(aad, sealed []byte) ([]byte, error) {
	if len(sealed) < overhead {
		return nil, fmt.Errorf("%d bytes: %w", len(sealed), ErrInvalid)
	}
	nonce, rest := sealed[:nonceSize], sealed[nonceSize:]
	encryption, commitment := k.derive(nonce)
	if !hmac.Equal(commitment, rest[:commitmentSize]) {
		return nil, ErrKey
	}
	aead, err := chacha20poly1305.NewX(encryption)
	if err != nil {
		return nil, fmt.Errorf("decrypting: %w", err)
	}
	plain, err := aead.Open(nil, nonce, rest[commitmentSize:], aad)
	if err != nil {
		return nil, fmt.Errorf("decrypting: %w: %w", err, ErrInvalid)
	}
	return plain, nil
}
