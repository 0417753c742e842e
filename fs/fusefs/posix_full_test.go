package fusefs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullDisk fills the disk of the device. A save says so, at write or at
// close; the version before it stays, and with room again everything works.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can mount a small disk
	}
	disk, mount := t.TempDir(), t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64m,mode=700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(disk, unix.MNT_DETACH) })
	s := setup{Dir: filepath.Join(disk, "home"), Mounts: []string{mount}}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := start(t, s)
	t.Cleanup(func() { p.stdin.Close(); p.cmd.Wait() }) // it has something to complain about
	folder := filepath.Join(mount, shared)

	text, binary := strings.Repeat("text\n", 2000), "\x00"+strings.Repeat("binary", 200_000)
	write(t, filepath.Join(folder, "text"), text)
	write(t, filepath.Join(folder, "binary"), binary)
	write(t, filepath.Join(folder, "replaced"), text)
	for _, name := range []string{"text", "binary", "replaced"} {
		eventually(t, name+" is published", func() bool {
			n, err := unix.Getxattr(filepath.Join(folder, name), "user.echofs.id", make([]byte, 100))
			return err == nil && n > 0
		})
	}
	fillDisk(t, disk)

	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil || st.Bavail*uint64(st.Bsize) > 1<<20 {
		t.Errorf("free on a full disk: %d blocks, %v", st.Bavail, err)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MB
	saves := []struct {
		name string
		save func(path string) error
		keep string
	}{
		{"new", func(path string) error { return os.WriteFile(path, large, 0o644) }, ""},
		{"text", func(path string) error { return os.WriteFile(path, large, 0o644) }, text},
		{"binary", func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(large, 1000)
			return firstOf(err, f.Sync(), f.Close())
		}, binary},
		{"replaced", func(path string) error {
			if err := os.WriteFile(path+".new", large, 0o644); err != nil {
				return firstOf(err, os.Remove(path+".new"))
			}
			return os.Rename(path+".new", path)
		}, text},
		{"allocated", func(path string) error {
			f, err := os.Create(path)
			if err != nil {
				return err
			}
			return firstOf(unix.Fallocate(int(f.Fd()), 0, 0, 16<<20), f.Close())
		}, ""},
		{"x.tmp", func(path string) error { return os.WriteFile(path, large, 0o644) }, ""},
	}
	for _, s := range saves {
		if err := s.save(filepath.Join(folder, s.name)); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("saving %s: %v", s.name, err)
		}
	}
	for _, s := range saves {
		if s.keep == "" {
			os.Remove(filepath.Join(folder, s.name))
		}
	}
	// Nothing of what failed counts.
	for name, want := range map[string]string{"text": text, "replaced": text} {
		eventually(t, name+" is what it was", func() bool {
			got, err := os.ReadFile(filepath.Join(folder, name))
			return err == nil && string(got) == want
		})
	}
	// Small changes work, or they say why not.
	if err := os.Mkdir(filepath.Join(folder, "d"), 0o755); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("mkdir: %v", err)
	}

	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	for _, s := range saves {
		path := filepath.Join(folder, s.name)
		eventually(t, s.name+" can be saved again", func() bool {
			err := os.WriteFile(path, []byte("saved "+s.name), 0o644)
			got, rerr := os.ReadFile(path)
			return err == nil && rerr == nil && string(got) == "saved "+s.name
		})
	}
	// What the space has kept of before.
	for _, s := range saves {
		if s.keep != "" && !strings.Contains(versions(t, folder, s.name), runs([]byte(s.keep))) {
			t.Errorf("the version of %s before is gone", s.name)
		}
	}
}

// versions describes every version of a file that there is.
func versions(t *testing.T, folder, name string) string {
	t.Helper()
	var out []string
	entries, err := os.ReadDir(filepath.Join(folder, ".space", "history", name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(folder, ".space", "history", name, e.Name()))
		out = append(out, fmt.Sprint(runs(data), err))
	}
	return strings.Join(out, "\n")
}

// fillDisk takes all room of a disk.
func fillDisk(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, n := range []int{1 << 20, 4096} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, n))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}
