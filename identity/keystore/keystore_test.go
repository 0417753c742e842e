package keystore

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echofs/echofs/identity"
	"github.com/echofs/echofs/identity/phrase"
)

var update = flag.Bool("update", false, "write the golden files")

// counting is a source of randomness that is the same every time.
type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		p[i] = c.n
	}
	return len(p), nil
}

// rings is a keyring in memory.
type rings struct {
	secrets map[string][]byte
	err     error
}

func (r *rings) Get(name string) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	s, ok := r.secrets[name]
	if !ok {
		return nil, ErrNoKey
	}
	return bytes.Clone(s), nil
}

func (r *rings) Set(name string, secret []byte) error {
	if r.err == nil {
		r.secrets[name] = bytes.Clone(secret)
	}
	return r.err
}

func (r *rings) Delete(name string) error {
	delete(r.secrets, name)
	return r.err
}

// config is cheap.
func config() Config {
	return Config{Ring: &rings{secrets: map[string][]byte{}}, cost: &kdf{Time: 1, Memory: 8, Threads: 1}}
}

func device(t testing.TB) *identity.Device {
	t.Helper()
	d, err := identity.NewDevice(&counting{}, "Ada")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const good = "correct horse"

func create(t testing.TB, p Protection, cfg Config) (dir string, s *Store, d *identity.Device) {
	t.Helper()
	dir, d = filepath.Join(t.TempDir(), "home", "identity"), device(t)
	s, err := Create(dir, d, nil, p, []byte(good), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return dir, s, d
}

var protections = []Protection{Passphrase, Keyring, File}

func TestCreateOpenUnlock(t *testing.T) {
	for _, p := range protections {
		t.Run(p.String(), func(t *testing.T) {
			cfg := config()
			if _, err := Open(filepath.Join(t.TempDir(), "none"), cfg); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("Open of nothing = %v, want os.ErrNotExist", err)
			}
			dir, s, d := create(t, p, cfg)
			if s.Locked() || s.Protection() != p {
				t.Error("a new store is locked, or protected otherwise")
			}
			entries, _ := os.ReadDir(dir)
			if want := map[Protection]int{Passphrase: 1, Keyring: 1, File: 2}[p]; len(entries) != want {
				t.Errorf("the folder holds %v", entries)
			}
			for _, e := range entries {
				if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
				}
			}
			if _, err := Create(dir, d, nil, File, nil, cfg); !errors.Is(err, os.ErrExist) {
				t.Errorf("Create over a store = %v, want os.ErrExist", err)
			}
			opened, err := Open(dir, cfg)
			if err != nil || !opened.Locked() || opened.Protection() != p {
				t.Fatalf("Open = %+v, %v", opened, err)
			}
			back, err := opened.Unlock(t.Context(), []byte(good))
			if err != nil {
				t.Fatal(err)
			}
			if back.Profile() != d.Profile() || !bytes.Equal(back.Chain(), d.Chain()) || !bytes.Equal(back.Sign("c", nil), d.Sign("c", nil)) || !bytes.Equal(back.SealKey(), d.SealKey()) {
				t.Error("another device comes back")
			}
			if err := back.RenameDevice(back.Key(), "desk"); err != nil {
				t.Fatal(err)
			}
			again, err := Open(dir, cfg)
			if err != nil {
				t.Fatal(err)
			}
			if back, err = again.Unlock(t.Context(), []byte(good)); err != nil || back.DeviceName() != "desk" {
				t.Errorf("what it learned is gone: %q, %v", back.DeviceName(), err)
			}
			again.Lock()
			if err := back.RenameDevice(back.Key(), "lost"); !errors.Is(err, ErrLocked) || back.DeviceName() != "desk" {
				t.Errorf("a locked store takes what its device learned: %v", err)
			}
			if _, err := again.Words(); !errors.Is(err, ErrLocked) {
				t.Errorf("Words of a locked store = %v", err)
			}
			if err := again.Protect(File, nil); !errors.Is(err, ErrLocked) {
				t.Errorf("Protect of a locked store = %v", err)
			}
		})
	}
}

func TestNothingSecretIsOnDisk(t *testing.T) {
	for _, p := range []Protection{Passphrase, Keyring} {
		dir, s, d := create(t, p, config())
		data, err := os.ReadFile(filepath.Join(dir, fileName))
		if err != nil {
			t.Fatal(err)
		}
		secrets := d.Secrets()
		for _, secret := range [][]byte{secrets.Seed[:], secrets.SealSeed[:], secrets.Chain[:40], []byte(good), s.master} {
			if bytes.Contains(data, secret) {
				t.Errorf("%v: the store holds %x as it is", p, secret)
			}
		}
	}
}

func TestPassphrases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		dir, _, _ := create(t, Passphrase, cfg)
		s, err := Open(dir, cfg)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for _, wait := range []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second} {
			before := time.Now()
			if _, err := s.Unlock(t.Context(), []byte("correct horse!")); !errors.Is(err, ErrWrongPassphrase) {
				t.Fatalf("a wrong passphrase = %v", err)
			}
			if got := time.Since(before); got != wait {
				t.Errorf("after %v it waited %v, want %v", before.Sub(start), got, wait)
			}
		}
		for range 40 {
			if err := s.Check(t.Context(), nil); !errors.Is(err, ErrWrongPassphrase) {
				t.Fatalf("no passphrase = %v", err)
			}
		}
		before := time.Now()
		if _, err := s.Unlock(t.Context(), []byte(good)); err != nil || time.Since(before) != lastWait {
			t.Errorf("the right one after %v: %v", time.Since(before), err)
		}
		before = time.Now()
		if err := s.Check(t.Context(), []byte(good)); err != nil || time.Since(before) != 0 {
			t.Errorf("the right one again after %v: %v", time.Since(before), err)
		}
		_ = s.Check(t.Context(), nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Check(ctx, []byte(good)); !errors.Is(err, context.Canceled) {
			t.Errorf("who does not want to wait gets %v", err)
		}
	})
	for _, weak := range []string{"", "1234567", "äöüßäöü"} {
		if _, err := Create(filepath.Join(t.TempDir(), "x"), device(t), nil, Passphrase, []byte(weak), config()); !errors.Is(err, ErrPassphrase) {
			t.Errorf("passphrase %q = %v", weak, err)
		}
	}
}

func TestProtect(t *testing.T) {
	for _, from := range protections {
		for _, to := range protections {
			t.Run(fmt.Sprint(from, " to ", to), func(t *testing.T) {
				cfg := config()
				dir, s, d := create(t, from, cfg)
				if err := s.Protect(to, []byte("another one")); err != nil {
					t.Fatal(err)
				}
				if s.Protection() != to || s.Locked() {
					t.Errorf("it is protected by %v", s.Protection())
				}
				if err := d.RenameDevice(d.Key(), "desk"); err != nil {
					t.Errorf("its device cannot learn any more: %v", err)
				}
				s, err := Open(dir, cfg)
				if err != nil {
					t.Fatal(err)
				}
				if to == Passphrase {
					if _, err := s.Unlock(t.Context(), []byte(good)); !errors.Is(err, ErrWrongPassphrase) {
						t.Errorf("the old passphrase = %v", err)
					}
				}
				if back, err := s.Unlock(t.Context(), []byte("another one")); err != nil || back.DeviceName() != "desk" {
					t.Errorf("Unlock = %v", err)
				}
				if _, err := os.Stat(filepath.Join(dir, keyName)); (err == nil) != (to == File) {
					t.Errorf("unlock.key: %v", err)
				}
				if n := len(cfg.Ring.(*rings).secrets); (n == 1) != (to == Keyring) {
					t.Errorf("%d keys in the keyring", n)
				}
			})
		}
	}
	t.Run("fails", func(t *testing.T) {
		cfg := config()
		dir, s, d := create(t, File, cfg)
		cfg.Ring.(*rings).err = ErrNoRing
		if err := s.Protect(Keyring, nil); !errors.Is(err, ErrNoRing) {
			t.Errorf("Protect = %v", err)
		}
		if err := s.Protect(Passphrase, []byte("short")); !errors.Is(err, ErrPassphrase) {
			t.Errorf("Protect = %v", err)
		}
		if back, err := load(dir, cfg); err != nil || back.Key() != d.Key() {
			t.Errorf("a failure locked the store: %v", err)
		}
	})
}

func TestUnlockingKeys(t *testing.T) {
	t.Run("no keyring", func(t *testing.T) {
		cfg := config()
		dir, _, _ := create(t, Keyring, cfg)
		if _, err := load(dir, Config{}); !errors.Is(err, ErrNoRing) {
			t.Errorf("Load = %v", err)
		}
		cfg.Ring = config().Ring
		if _, err := load(dir, cfg); !errors.Is(err, ErrNoKey) {
			t.Errorf("Load with an empty keyring = %v", err)
		}
	})
	t.Run("file", func(t *testing.T) {
		cfg := config()
		dir, _, d := create(t, File, cfg)
		other, _, _ := create(t, File, cfg)
		key := filepath.Join(dir, keyName)
		own, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		foreign, err := os.ReadFile(filepath.Join(other, keyName))
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"foreign": foreign, "cut": own[:20], "empty": nil} {
			if err := os.WriteFile(key, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := load(dir, cfg); !errors.Is(err, ErrNoKey) {
				t.Errorf("%s = %v", name, err)
			}
		}
		changed := bytes.Clone(own)
		changed[len(changed)-1] ^= 1
		if err := os.WriteFile(key, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := load(dir, cfg); !errors.Is(err, ErrNoKey) {
			t.Errorf("changed = %v", err)
		}
		if err := os.Remove(key); err != nil {
			t.Fatal(err)
		}
		if _, err := load(dir, cfg); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), key) {
			t.Errorf("gone = %v", err)
		}
		if err := os.WriteFile(key, own, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(key, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := load(dir, cfg); !errors.Is(err, ErrPermissions) {
			t.Errorf("readable by all = %v", err)
		}
		if err := os.Chmod(key, 0o600); err != nil {
			t.Fatal(err)
		}
		if back, err := load(dir, cfg); err != nil || back.Key() != d.Key() {
			t.Errorf("as it was = %v", err)
		}
	})
}

func TestWords(t *testing.T) {
	cfg, words := config(), phrase.New()
	dir := filepath.Join(t.TempDir(), "identity")
	d := device(t)
	s, err := Create(dir, d, &words, File, nil, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.RenameDevice(d.Key(), "desk"); err != nil { // writes the store anew
		t.Fatal(err)
	}
	if got, err := s.Words(); err != nil || got == nil || *got != words {
		t.Errorf("Words = %v, %v", got, err)
	}
	if err := s.ForgetWords(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Words(); err != nil || got != nil {
		t.Errorf("Words = %v, %v", got, err)
	}
	if _, err := load(dir, cfg); err != nil {
		t.Error(err)
	}
}

func TestDestroy(t *testing.T) {
	cfg := config()
	dir, s, _ := create(t, Keyring, cfg)
	if err := s.Destroy(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) || len(cfg.Ring.(*rings).secrets) != 0 {
		t.Errorf("it is still there: %v", err)
	}
}

func TestCostIsWhatWasChosen(t *testing.T) {
	if c := cost(); c.Time < 3 || c.Memory < 64<<10 || c.Threads < 1 {
		t.Errorf("trying a passphrase costs %+v", c)
	}
}

func TestFileIsGolden(t *testing.T) {
	for _, p := range []Protection{Passphrase, File} {
		cfg := config()
		cfg.random = &counting{}
		dir := filepath.Join(t.TempDir(), "identity")
		if _, err := Create(dir, device(t), nil, p, []byte(good), cfg); err != nil {
			t.Fatal(err)
		}
		names := []string{fileName}
		if p == File {
			names = append(names, keyName)
		}
		for _, name := range names {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", p.String()+"-"+name+".hex")
			if *update {
				if err := os.WriteFile(path, []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(got) != strings.TrimSpace(string(want)) {
				t.Errorf("%s has changed: nobody's store opens any more\ngot %x", path, got)
			}
		}
	}
}

func FuzzFile(f *testing.F) {
	for _, p := range []Protection{Passphrase, File} {
		dir, _, _ := create(f, p, config())
		for _, name := range []string{fileName, keyName} {
			if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				f.Add(data)
				f.Add(data[:40])
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if file, err := decodeFile(data); err == nil {
			if again, err := encodeFile(file); err != nil || !bytes.Equal(again, data) {
				t.Errorf("%x is read, but written as %x (%v)", data, again, err)
			}
			if _, err := file.openMaster(make([]byte, 32)); err == nil {
				t.Error("zeros open it")
			}
			if _, err := file.openSecrets(make([]byte, 32)); err == nil {
				t.Error("zeros open it")
			}
		}
		_, _ = decodeKey(data, [16]byte{})
	})
}

// load is Open and Unlock of a store that is not protected by a passphrase.
func load(dir string, cfg Config) (*identity.Device, error) {
	s, err := Open(dir, cfg)
	if err != nil {
		return nil, err
	}
	return s.Unlock(context.Background(), nil)
}
