// Package keystore keeps the private keys of this device on disk, so that they
// are of no use to whoever has only the disk.
//
// A store is one file. Its secrets are encrypted under a random master key, and
// that under the unlocking key, which is made of a passphrase, or kept by the
// keyring of the person's session, or lies in a file beside the store. The last
// protects copies and backups of the store that leave the key out, but not
// against who can read the account's files.
//
// # Concurrency
//
// A Store's methods may be called from any goroutine. One process at a time may
// use a folder; the daemon's lock on its home sees to that.
package keystore

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/phrase"
)

var (
	// ErrPermissions reports a key store that others could read or replace.
	ErrPermissions = errors.New("the key store is not private")
	// ErrDamaged reports a key store that is not what was written.
	ErrDamaged = errors.New("the key store is damaged: restore it from a backup, or recover the identity on a new home")
	// ErrNewer reports a key store that a later release wrote.
	ErrNewer = errors.New("the key store was written by a newer release: upgrade")
	// ErrWrongPassphrase reports a passphrase that does not open the store.
	ErrWrongPassphrase = errors.New("that is not the passphrase")
	// ErrPassphrase reports a passphrase that no store should have.
	ErrPassphrase = fmt.Errorf("a passphrase needs at least %d characters", MinPassphrase)
	// ErrNoKey reports an unlocking key that is gone, damaged or another store's.
	ErrNoKey = errors.New("the key store cannot be unlocked without its key")
	// ErrNoRing reports a session without a keyring that works.
	ErrNoRing = errors.New("there is no keyring that answers")
	// ErrLocked reports a store whose secrets are not in memory.
	ErrLocked = errors.New("the key store is locked")
)

// MinPassphrase is how many characters a passphrase needs.
const MinPassphrase = 8

// A Protection says where the unlocking key is.
type Protection uint64

// The protections, the strongest first.
const (
	Passphrase Protection = 1 // in the person's head
	Keyring    Protection = 2 // in the keyring of the session
	File       Protection = 3 // in unlock.key beside the store
)

// String returns the name of p in commands.
func (p Protection) String() string {
	switch p {
	case Passphrase:
		return "passphrase"
	case Keyring:
		return "keyring"
	case File:
		return "file"
	}
	return fmt.Sprintf("protection %d", uint64(p))
}

// Config says what a store works with.
type Config struct {
	Ring Ring // nil: the session has none

	random io.Reader // nil: that of the system
	cost   *kdf      // nil: that of cost
}

// A Store is the key store of one folder.
type Store struct {
	cfg Config
	dir string

	trying sync.Mutex // held while the store is unlocked or its protection changes; before mu

	mu     sync.Mutex // guards the fields below
	file   file       // as on disk
	master []byte     // nil: locked

	failures int       // wrong passphrases in a row
	next     time.Time // no passphrase is tried before
}

// Create stores the keys of d in dir, which it makes, and from then on whatever
// d learns. The store is unlocked. words, if not nil, are kept until ForgetWords.
// The error matches os.ErrExist when dir has a store.
func Create(dir string, d *identity.Device, words *phrase.Phrase, p Protection, passphrase []byte, cfg Config) (*Store, error) {
	s := &Store{cfg: cfg.withDefaults(), dir: dir}
	if err := s.create(d, words, p, passphrase); err != nil {
		return nil, fmt.Errorf("creating the key store: %w", err)
	}
	d.Persist(s.keep)
	return s, nil
}

func (c Config) withDefaults() Config {
	if c.random == nil {
		c.random = rand.Reader
	}
	if c.cost == nil {
		standard := cost()
		c.cost = &standard
	}
	return c
}

func (s *Store) create(d *identity.Device, words *phrase.Phrase, p Protection, passphrase []byte) error {
	if err := makePrivate(s.dir); err != nil {
		return err
	}
	if _, err := os.Lstat(s.path(fileName)); err == nil {
		return fmt.Errorf("%s: %w", s.path(fileName), os.ErrExist)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f := file{Version: fileVersion}
	if _, err := io.ReadFull(s.cfg.random, f.ID[:]); err != nil {
		return err
	}
	c := contents{Device: d.Secrets()}
	if words != nil {
		entropy := words.Entropy()
		c.Words = entropy[:]
	}
	defer c.clear()
	return s.protectLocked(f, c, p, passphrase)
}

// protectLocked writes f anew with contents c, under a new master key that is
// protected by p, and makes it the store. The unlocking key is stored before
// what needs it.
func (s *Store) protectLocked(f file, c contents, p Protection, passphrase []byte) error {
	f.Protection, f.KDF = p, nil
	key, err := s.newKey(&f, passphrase)
	if err != nil {
		return err
	}
	defer clear(key)
	master := make([]byte, 32)
	if _, err := io.ReadFull(s.cfg.random, master); err != nil {
		return err
	}
	if err := f.sealMaster(s.cfg.random, key, master); err != nil {
		return err
	}
	if err := f.sealSecrets(s.cfg.random, master, c); err != nil {
		return err
	}
	if err := s.write(f); err != nil {
		return err
	}
	clear(s.master)
	s.file, s.master = f, master
	return nil
}

// newKey makes the unlocking key and keeps it where f.Protection says.
func (s *Store) newKey(f *file, passphrase []byte) ([]byte, error) {
	if f.Protection == Passphrase {
		if len([]rune(string(passphrase))) < MinPassphrase {
			return nil, ErrPassphrase
		}
		k := *s.cfg.cost
		if _, err := io.ReadFull(s.cfg.random, k.Salt[:]); err != nil {
			return nil, err
		}
		f.KDF = &k
		return k.key(passphrase), nil
	}
	k := unlockKey{Version: 1, Store: f.ID}
	defer clear(k.Key[:])
	if _, err := io.ReadFull(s.cfg.random, k.Key[:]); err != nil {
		return nil, err
	}
	data, err := encodeKey(k)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	switch f.Protection {
	case Keyring:
		if s.cfg.Ring == nil {
			return nil, ErrNoRing
		}
		err = s.cfg.Ring.Set(f.ringName(), data)
	case File:
		err = writeDurably(s.path(keyName), data)
	default:
		err = fmt.Errorf("no such protection: %v", f.Protection)
	}
	if err != nil {
		return nil, err
	}
	return append([]byte{}, k.Key[:]...), nil
}

func (f *file) ringName() string { return hex.EncodeToString(f.ID[:]) }

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Store) write(f file) error {
	data, err := encodeFile(f)
	if err != nil {
		return err
	}
	return writeDurably(s.path(fileName), data)
}

// Open reads the store of dir, which stays locked. The error matches
// os.ErrNotExist when there is none, ErrPermissions when others could read or
// replace it, ErrDamaged or ErrNewer.
func Open(dir string, cfg Config) (*Store, error) {
	s := &Store{cfg: cfg.withDefaults(), dir: dir}
	data, err := readPrivate(s.path(fileName))
	if err != nil {
		return nil, fmt.Errorf("opening the key store: %w", err)
	}
	if s.file, err = decodeFile(data); err != nil {
		return nil, fmt.Errorf("opening the key store: %s: %w", s.path(fileName), err)
	}
	return s, nil
}

// Protection returns how the store is protected.
func (s *Store) Protection() Protection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file.Protection
}

// Locked reports whether the store's secrets are not in memory.
func (s *Store) Locked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.master == nil
}

// Lock forgets the keys. A device that Unlock returned keeps its own until
// nobody uses it any more; what it learns is refused from now on.
func (s *Store) Lock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.master)
	s.master = nil
}

// Destroy removes the store with all keys. Whoever was only this device is gone.
func (s *Store) Destroy() error {
	s.Lock()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := os.RemoveAll(s.dir)
	if s.file.Protection == Keyring && s.cfg.Ring != nil {
		err = errors.Join(err, s.cfg.Ring.Delete(s.file.ringName()))
	}
	return err
}
