package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"
)

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(path, mode), os.Chtimes(path, time.Time{}, time.Unix(1e9, 0))); err != nil {
		t.Fatal(err)
	}
}

func TestCopy(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	write(t, filepath.Join(src, "a.txt"), "text", 0o444) // as a reader sees it
	write(t, filepath.Join(src, "dir/run"), "#!", 0o755)
	write(t, filepath.Join(src, ".space/ignore"), "x", 0o644)
	write(t, filepath.Join(src, ".spaces"), "x", 0o644)
	write(t, filepath.Join(src, "secret"), "not here yet", 0o644)
	if err := errors.Join(
		os.Symlink("a.txt", filepath.Join(src, "link")),
		syscall.Mkfifo(filepath.Join(src, "pipe"), 0o644),
		os.Chtimes(filepath.Join(src, "dir"), time.Time{}, time.Unix(2e9, 0)),
	); err != nil {
		t.Fatal(err)
	}
	c := &copier{}
	if err := c.copy(context.Background(), src, dst); err != nil {
		t.Fatal(err)
	}
	if c.files != 5 || len(c.failed) != 0 {
		t.Errorf("%d files, failed %v", c.files, c.failed)
	}
	got := map[string]string{}
	err := filepath.WalkDir(dst, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dst {
			return err
		}
		info, err := d.Info()
		rel, _ := filepath.Rel(dst, path)
		got[rel] = info.Mode().String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a.txt": "-rw-r--r--", "dir": "drwxr-xr-x", "dir/run": "-rwxr-xr-x", ".spaces": "-rw-r--r--", "secret": "-rw-r--r--", "link": "Lrwxrwxrwx"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if info, err := os.Stat(filepath.Join(dst, "dir")); err != nil || info.ModTime().Unix() != 2e9 {
		t.Errorf("time of the folder: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dst, "link")); err != nil || info.Size() != 4 || info.ModTime().Unix() != 1e9 {
		t.Errorf("a.txt: %v", err)
	}
	if err := c.copy(context.Background(), src, dst); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second copy into the same folder: %v", err)
	}
}

// TestCopyLeavesOutWhatCannotBeRead: a file that is not all here yet must not
// keep the others from being saved, nor come out short.
func TestCopyLeavesOutWhatCannotBeRead(t *testing.T) {
	r := &reader{in: io.MultiReader(&io.LimitedReader{R: zeros{}, N: 10}, failing{})}
	if n, err := io.Copy(io.Discard, r); n != 10 || !errors.Is(err, syscall.EIO) || !errors.Is(r.err, syscall.EIO) {
		t.Errorf("%d bytes, %v, %v", n, err, r.err)
	}
	src, dst := t.TempDir(), t.TempDir()
	write(t, filepath.Join(src, "a"), "text", 0o644)
	c := &copier{}
	if err := c.file(filepath.Join(src, "missing"), filepath.Join(dst, "missing"), "missing"); err != nil {
		t.Error(err)
	}
	if err := c.copy(context.Background(), src, dst); err != nil || c.files != 1 || len(c.failed) != 1 || !errors.Is(c.first, fs.ErrNotExist) {
		t.Errorf("%v, %+v", err, c)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, syscall.EIO }

func TestExportWantsAnEmptyFolder(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(emptyFolder(dir), emptyFolder(filepath.Join(dir, "new/one"))); err != nil {
		t.Error(err)
	}
	if err := emptyFolder(dir); err == nil {
		t.Error("a folder with something in it was taken")
	}
}
