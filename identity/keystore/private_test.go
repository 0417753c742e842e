package keystore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCreateAfterACrash(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fileName+".new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, device(t), nil, File, nil, config()); err != nil {
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
			if _, err := Create(dir, device(t), nil, File, nil, config()); err != nil {
				t.Fatal(err)
			}
			if err := tt.spoil(dir, filepath.Join(dir, fileName)); err != nil {
				t.Fatal(err)
			}
			_, err := load(dir, config())
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
		if _, err := Create(dir, device(t), nil, File, nil, config()); !errors.Is(err, ErrPermissions) || !strings.Contains(err.Error(), "chmod 700 "+dir) {
			t.Errorf("Create = %v, want ErrPermissions and what to do", err)
		}
	})
	t.Run("create in an empty open folder", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := Create(dir, device(t), nil, File, nil, config()); err != nil {
			t.Errorf("Create = %v", err)
		}
	})
}

func TestEveryDamageIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	if _, err := Create(dir, device(t), nil, File, nil, config()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, fileName)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, i int, data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := load(dir, config())
		if err == nil {
			t.Fatalf("%s %d: no error", what, i)
		}
		newer := i <= 3 && errors.Is(err, ErrNewer)
		if !errors.Is(err, ErrDamaged) && !newer {
			t.Fatalf("%s %d: %v", what, i, err)
		}
	}
	for i := range good {
		if i > 300 && i%29 != 0 {
			continue // a box looks the same everywhere
		}
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		check("bit of byte", i, bad)
		check("cut at", i+4, good[:i])
	}
	check("too large", 9, append(bytes.Clone(good), make([]byte, maxFile)...))
}
