package identity

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCreateAndLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home", "identity")
	if _, err := Load(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of nothing = %v, want os.ErrNotExist", err)
	}
	d, err := Create(dir, "Ada")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, keystoreName): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the folder holds %v", entries)
	}
	back, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if back.Profile() != d.Profile() || !bytes.Equal(back.Chain(), d.Chain()) || !bytes.Equal(back.Sign("c", nil), d.Sign("c", nil)) {
		t.Error("another device comes back")
	}
	if _, err := Create(dir, "Bob"); !errors.Is(err, os.ErrExist) {
		t.Errorf("Create over a key store = %v, want os.ErrExist", err)
	}
	if again, err := Load(dir); err != nil || again.Key() != d.Key() {
		t.Errorf("the key store was replaced: %v", err)
	}
}

func TestCreateAfterACrash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, keystoreName+".new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, "Ada"); err != nil {
		t.Error(err)
	}
}

func TestPermissions(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(dir, file string) error
	}{
		{"file readable by the group", func(_, file string) error { return os.Chmod(file, 0o640) }},
		{"file readable by all", func(_, file string) error { return os.Chmod(file, 0o604) }},
		{"file executable", func(_, file string) error { return os.Chmod(file, 0o700) }},
		{"folder writable by the group", func(dir, _ string) error { return os.Chmod(dir, 0o770) }},
		{"folder readable by all", func(dir, _ string) error { return os.Chmod(dir, 0o755) }},
		{"symbolic link", func(_, file string) error {
			if err := os.Rename(file, file+".real"); err != nil {
				return err
			}
			return os.Symlink(file+".real", file)
		}},
		{"folder in its place", func(_, file string) error {
			if err := os.Remove(file); err != nil {
				return err
			}
			return os.Mkdir(file, 0o600)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "identity")
			if _, err := Create(dir, "Ada"); err != nil {
				t.Fatal(err)
			}
			if err := tt.spoil(dir, filepath.Join(dir, keystoreName)); err != nil {
				t.Fatal(err)
			}
			_, err := Load(dir)
			if !errors.Is(err, ErrPermissions) || !strings.Contains(err.Error(), dir) {
				t.Errorf("Load = %v, want ErrPermissions and the path", err)
			}
		})
	}
	t.Run("create among other things in an open folder", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "thing"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Create(dir, "Ada"); !errors.Is(err, ErrPermissions) || !strings.Contains(err.Error(), "chmod 700 "+dir) {
			t.Errorf("Create = %v, want ErrPermissions and what to do", err)
		}
	})
	t.Run("create in an empty open folder", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := Create(dir, "Ada"); err != nil {
			t.Errorf("Create = %v", err)
		}
	})
}

func TestEveryDamageIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	if _, err := Create(dir, "Ada"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, keystoreName)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, i int, data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(dir)
		if err == nil {
			t.Fatalf("%s %d: no error", what, i)
		}
		newer := i <= 3 && strings.Contains(err.Error(), "newer release")
		if !errors.Is(err, ErrDamagedKeystore) && !newer {
			t.Fatalf("%s %d: %v", what, i, err)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		check("bit of byte", i, bad)
		check("cut at", i+4, good[:i])
	}
	check("too large", 9, append(bytes.Clone(good), make([]byte, keystoreMax)...))
}

func TestKeystoreIsGolden(t *testing.T) {
	d := device(t, 0, "Ada")
	data, err := d.save()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "keystore.hex", data)
	back, err := restore(data)
	if err != nil || back.Profile() != d.Profile() {
		t.Errorf("restore = %v", err)
	}
}

func FuzzKeystore(f *testing.F) {
	data, err := device(f, 0, "Ada").save()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:40])
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := restore(bytes.Clone(data))
		if err != nil {
			return
		}
		again, err := d.save()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x loads, but saves as %x (%v)", data, again, err)
		}
	})
}
