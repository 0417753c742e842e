package fusefs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestTopmost(t *testing.T) {
	const table = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:27 / /mnt rw,nosuid,nodev shared:2 master:1 - tmpfs tmpfs rw
31 30 0:44 / /mnt/a rw,nosuid,nodev - fuse.echofs echofs rw,user_id=0
32 31 0:45 / /mnt/a rw - ext4 /dev/b rw
33 22 0:46 / /mnt/with\040blank\134 rw - fuse.echofs echofs rw
34 22 0:47 / /mnt/b rw - ext4 /dev/b rw
35 34 0:48 / /mnt/b rw - fuse.echofs echofs rw
broken line
36 22
`
	for path, want := range map[string]string{
		"/":                 "ext4",
		"/mnt":              "tmpfs",
		"/mnt/a":            "ext4",
		"/mnt/b":            fsType,
		`/mnt/with blank\`:  fsType,
		"/mnt/nothing/here": "",
		"":                  "",
	} {
		if got := topmost(table, path); got != want {
			t.Errorf("topmost(%q) = %q, want %q", path, got, want)
		}
	}
}

func FuzzTopmost(f *testing.F) {
	f.Add("31 30 0:44 / /mnt/a rw,nosuid,nodev - fuse.echofs echofs rw", "/mnt/a")
	f.Add(`33 22 0:46 / /mnt/with\040blank\1 rw - fuse.echofs`, "/mnt/with blank")
	f.Add(" - ", "")
	f.Fuzz(func(t *testing.T, table, path string) {
		topmost(table, path)
		if s := unescape(path); len(s) > len(path) {
			t.Errorf("unescape(%q) = %q", path, s)
		}
	})
}

// TestBadMountPoint checks that each bad folder is refused with the next step.
func TestBadMountPoint(t *testing.T) {
	dir := t.TempDir()
	full := filepath.Join(dir, "full")
	if err := os.Mkdir(full, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(full, "file"), "")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(full, link); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, dir string
		want      error
		hint      string
	}{
		{"missing", filepath.Join(dir, "missing"), os.ErrNotExist, "mkdir -p"},
		{"below a missing one", filepath.Join(dir, "missing", "too"), os.ErrNotExist, "mkdir -p"},
		{"a file", filepath.Join(full, "file"), syscall.ENOTDIR, "choose a folder"},
		{"not empty", full, ErrNotEmpty, "move its files"},
		{"not empty behind a link", link, ErrNotEmpty, "move its files"},
		{"a link to nothing", filepath.Join(link, "nothing"), os.ErrNotExist, "mkdir -p"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := prepare(tt.dir)
			var bad *MountError
			if !errors.Is(err, tt.want) || !errors.As(err, &bad) {
				t.Fatalf("got %v, want a MountError of %v", err, tt.want)
			}
			if !strings.Contains(bad.Hint, tt.hint) || !strings.Contains(err.Error(), bad.Hint) {
				t.Errorf("%q does not say %q", err, tt.hint)
			}
		})
	}
}

func TestGoodMountPoint(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("empty", link); err != nil {
		t.Fatal(err)
	}
	want, err := filepath.EvalSymlinks(empty)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, empty + "/", link, filepath.Join(dir, ".", "x", "..", "link")} {
		got, err := prepare(path)
		if err != nil || got != want {
			t.Errorf("prepare(%q) = %q, %v; want %q", path, got, err, want)
		}
	}
}
