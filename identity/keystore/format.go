package keystore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/codec"
)

const (
	fileName = "keystore.cbor"
	keyName  = "unlock.key"

	fileVersion = 2
	maxFile     = 128 << 10

	contextMaster  = "echofs/keystore/master/1"
	contextSecrets = "echofs/keystore/secrets/1"
)

// A file is the key store on disk. Whoever has the unlocking key opens Master,
// and with it Secrets.
type file struct {
	Version    uint64     `cbor:"1,keyasint"`
	ID         [16]byte   `cbor:"2,keyasint"` // names the store where its unlocking key is kept
	Protection Protection `cbor:"3,keyasint"`
	KDF        *kdf       `cbor:"4,keyasint,omitempty"` // makes the unlocking key of a passphrase
	Master     []byte     `cbor:"5,keyasint"`           // sealed with the unlocking key
	Secrets    []byte     `cbor:"6,keyasint"`           // sealed with the master key
	Sum        [32]byte   `cbor:"7,keyasint"`           // SHA-256 of the file with zeros here: tells damage from a wrong passphrase
}

// A kdf is what argon2id needs beside the passphrase.
type kdf struct {
	Salt    [16]byte `cbor:"1,keyasint"`
	Time    uint32   `cbor:"2,keyasint"`
	Memory  uint32   `cbor:"3,keyasint"` // KiB
	Threads uint8    `cbor:"4,keyasint"`
}

// cost is what a passphrase costs to try: about a third of a second and 64 MiB.
func cost() kdf { return kdf{Time: 3, Memory: 64 << 10, Threads: 4} }

// Limits on what a file may ask for.
const (
	maxTime    = 20
	maxMemory  = 1 << 20 // KiB
	maxThreads = 64
)

func (k kdf) key(passphrase []byte) []byte {
	return argon2.IDKey(passphrase, k.Salt[:], k.Time, k.Memory, k.Threads, chacha20poly1305.KeySize)
}

// contents is what is sealed in Secrets.
type contents struct {
	Device identity.Secrets `cbor:"1,keyasint"`
	Words  []byte           `cbor:"2,keyasint,omitempty"` // recovery words that nobody has written down yet
}

func (c *contents) clear() {
	c.Device.Clear()
	clear(c.Words)
}

// An unlockKey is how an unlocking key is kept outside of the store.
type unlockKey struct {
	Version uint64   `cbor:"1,keyasint"`
	Store   [16]byte `cbor:"2,keyasint"` // ID of the store that it opens
	Key     [32]byte `cbor:"3,keyasint"`
}

func encodeFile(f file) ([]byte, error) {
	f.Sum = [32]byte{}
	data, err := codec.Marshal(f)
	if err != nil {
		return nil, err
	}
	f.Sum = sha256.Sum256(data)
	return codec.Marshal(f)
}

func decodeFile(data []byte) (file, error) {
	var head struct {
		Version uint64 `cbor:"1,keyasint"`
	}
	if err := codec.Peek(data, &head); err != nil {
		return file{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if head.Version > fileVersion {
		return file{}, fmt.Errorf("version %d: %w", head.Version, ErrNewer)
	}
	var f file
	if err := codec.Unmarshal(data, &f); err != nil {
		return file{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if again, err := encodeFile(f); err != nil || string(again) != string(data) {
		return file{}, fmt.Errorf("wrong checksum: %w", ErrDamaged)
	}
	if f.Version != fileVersion || f.Protection < Passphrase || f.Protection > File || (f.Protection == Passphrase) != (f.KDF != nil) {
		return file{}, fmt.Errorf("version %d, protection %d: %w", f.Version, f.Protection, ErrDamaged)
	}
	if k := f.KDF; k != nil && (k.Time < 1 || k.Time > maxTime || k.Threads < 1 || k.Threads > maxThreads || k.Memory < 8 || k.Memory > maxMemory) {
		return file{}, fmt.Errorf("%d rounds over %d KiB: %w", k.Time, k.Memory, ErrDamaged)
	}
	return f, nil
}

func (f *file) sealMaster(random io.Reader, unlock, master []byte) (err error) {
	f.Master, err = seal(random, unlock, master, f.bound())
	return err
}

func (f *file) openMaster(unlock []byte) ([]byte, error) { return open(unlock, f.Master, f.bound()) }

// bound is what the master key is sealed together with: how it is protected.
func (f *file) bound() []byte {
	b := append([]byte(contextMaster), byte(f.Protection))
	return append(b, f.ID[:]...)
}

func (f *file) sealSecrets(random io.Reader, master []byte, c contents) error {
	plain, err := codec.Marshal(c)
	if err != nil {
		return err
	}
	defer clear(plain)
	f.Secrets, err = seal(random, master, plain, append([]byte(contextSecrets), f.ID[:]...))
	return err
}

func (f *file) openSecrets(master []byte) (c contents, err error) {
	plain, err := open(master, f.Secrets, append([]byte(contextSecrets), f.ID[:]...))
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer clear(plain)
	if err := codec.Unmarshal(plain, &c); err != nil {
		return c, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if n := len(c.Words); n != 0 && n != 32 {
		return c, fmt.Errorf("%d bytes of words: %w", n, ErrDamaged)
	}
	return c, nil
}

// seal encrypts with XChaCha20-Poly1305 under a random nonce, which comes first.
func seal(random io.Reader, key, plain, bound []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, err
	}
	return aead.Seal(nonce, nonce, plain, bound), nil
}

var errSealed = errors.New("it does not open")

func open(key, box, bound []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, err
	}
	if len(box) < aead.NonceSize() {
		return nil, errSealed
	}
	plain, err := aead.Open(nil, box[:aead.NonceSize()], box[aead.NonceSize():], bound)
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

func encodeKey(k unlockKey) ([]byte, error) { return codec.Marshal(k) }

func decodeKey(data []byte, store [16]byte) (key [32]byte, err error) {
	var k unlockKey
	if err := codec.Unmarshal(data, &k); err != nil || k.Version != 1 {
		return key, fmt.Errorf("the unlocking key is damaged: %w", ErrNoKey)
	}
	if k.Store != store {
		return key, fmt.Errorf("the unlocking key is that of another key store: %w", ErrNoKey)
	}
	return k.Key, nil
}
