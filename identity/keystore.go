package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/echofs/echofs/identity/codec"
)

const (
	keystoreName    = "keystore.cbor"
	keystoreVersion = 1
	keystoreMax     = 128 << 10
)

var (
	// ErrPermissions reports a key store that others could read or replace.
	ErrPermissions = errors.New("the key store is not private")
	// ErrDamagedKeystore reports a key store that is not what was written.
	ErrDamagedKeystore = errors.New("the key store is damaged: restore it from a backup, or move it away to start as a new identity")
)

// A keystore is the file that holds this device's key. Keys protected by a
// passphrase come later, as another Protection.
type keystore struct {
	Version    uint64   `cbor:"1,keyasint"`
	Protection uint64   `cbor:"2,keyasint"` // 0: Secrets is a plain secrets
	Secrets    []byte   `cbor:"3,keyasint"`
	Sum        [32]byte `cbor:"4,keyasint"` // SHA-256 of Secrets
}

// Create makes a new identity and its first device and keeps the device's key
// in dir, which it makes. The error matches os.ErrExist when dir has one.
func Create(dir, name string) (*Device, error) {
	if err := makePrivate(dir); err != nil {
		return nil, fmt.Errorf("creating the key store: %w", err)
	}
	path := filepath.Join(dir, keystoreName)
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("creating the key store: %s: %w", path, os.ErrExist)
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("creating the key store: %w", err)
	}
	d, err := NewDevice(nil, name)
	if err != nil {
		return nil, err
	}
	data, err := d.save()
	if err != nil {
		return nil, fmt.Errorf("creating the key store: %w", err)
	}
	defer clear(data)
	if err := writeDurably(path, data); err != nil {
		return nil, fmt.Errorf("creating the key store: %w", err)
	}
	return d, nil
}

// Load reads what Create kept in dir. The error matches os.ErrNotExist when
// there is nothing, ErrPermissions when others could read or replace it, and
// ErrDamagedKeystore when it is not what was written.
func Load(dir string) (*Device, error) {
	path := filepath.Join(dir, keystoreName)
	data, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("opening the key store: %w", err)
	}
	defer clear(data)
	d, err := restore(data)
	if err != nil {
		return nil, fmt.Errorf("opening the key store: %s: %w", path, err)
	}
	return d, nil
}

func (d *Device) save() ([]byte, error) {
	s := d.Secrets()
	body, err := codec.Marshal(s)
	s.Clear()
	if err != nil {
		return nil, err
	}
	defer clear(body)
	return codec.Marshal(keystore{Version: keystoreVersion, Secrets: body, Sum: sha256.Sum256(body)})
}

// restore decodes what save encoded.
func restore(data []byte) (*Device, error) {
	var head struct {
		Version uint64 `cbor:"1,keyasint"`
	}
	if err := codec.Peek(data, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamagedKeystore, err)
	}
	if head.Version > keystoreVersion {
		return nil, fmt.Errorf("version %d: it was written by a newer release: upgrade", head.Version)
	}
	var k keystore
	if err := codec.Unmarshal(data, &k); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamagedKeystore, err)
	}
	defer clear(k.Secrets)
	if k.Version != keystoreVersion || k.Protection != 0 {
		return nil, fmt.Errorf("version %d, protection %d: %w", k.Version, k.Protection, ErrDamagedKeystore)
	}
	sum := sha256.Sum256(k.Secrets)
	if subtle.ConstantTimeCompare(sum[:], k.Sum[:]) != 1 {
		return nil, fmt.Errorf("wrong checksum: %w", ErrDamagedKeystore)
	}
	var s Secrets
	if err := codec.Unmarshal(k.Secrets, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamagedKeystore, err)
	}
	defer s.Clear()
	d, err := FromSecrets(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamagedKeystore, err)
	}
	return d, nil
}

// makePrivate makes dir for its owner alone. A folder that is there already
// must be private, or empty, and then it is made so.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder: %w", dir, ErrPermissions)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) == 0 && owned(info) {
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
		if info, err = os.Lstat(dir); err != nil {
			return err
		}
	}
	if err := checkPrivate(dir, info, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// readPrivate reads a file that nobody else can read or replace.
func readPrivate(path string) ([]byte, error) {
	dir := filepath.Dir(path)
	dirInfo, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link: %w", path, ErrPermissions)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(dir, dirInfo, 0o700); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: %w", path, ErrPermissions)
	}
	if err := checkPrivate(path, info, 0o600); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, keystoreMax+1))
	if err != nil {
		return nil, err
	}
	if len(data) > keystoreMax {
		return nil, fmt.Errorf("%s is larger than %d bytes: %w", path, keystoreMax, ErrDamagedKeystore)
	}
	return data, nil
}

func checkPrivate(path string, info fs.FileInfo, want fs.FileMode) error {
	if !owned(info) {
		return fmt.Errorf("%s belongs to another user: %w", path, ErrPermissions)
	}
	if perm := info.Mode().Perm(); perm&^want != 0 {
		return fmt.Errorf("%s has mode %04o: run chmod %o %s: %w", path, perm, want, path, ErrPermissions)
	}
	return nil
}

func owned(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// writeDurably makes a file that after a power cut is there whole or not at
// all: new file, sync, rename, sync of the folder.
func writeDurably(path string, data []byte) (err error) {
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp)
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
