package vfs

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// header is the first block of a swap file as vim 9.0 wrote it for process 4711.
func header(t testing.TB, is string, change func(b []byte)) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "swap", "vim-"+is))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(b)
	}
	return b
}

func TestSwapHeader(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    []byte
		pid  uint32
		want buffer
	}{
		{"clean", header(t, "clean", nil), 4711, clean},
		{"changed", header(t, "dirty", nil), 4711, unsaved},
		{"encrypted", header(t, "dirty", func(b []byte) { b[1] = 'd' }), 4711, unsaved},
		{"of neovim", header(t, "clean", func(b []byte) { copy(b[2:], "VIM 8.1") }), 4711, clean},
		{"long name over the flag", header(t, "clean", func(b []byte) { b[swapDirty] = 'x' }), 4711, unheard},
		{"no swap file", header(t, "clean", func(b []byte) { b[0] = 'B' }), 0, unheard},
		{"a later format", header(t, "clean", func(b []byte) { b[1] = '1' }), 0, unheard},
		{"by somebody else", header(t, "clean", func(b []byte) { copy(b[2:], "EMACS") }), 0, unheard},
		{"cut off", header(t, "clean", nil)[:swapDirty], 0, unheard},
		{"empty", nil, 0, unheard},
	} {
		if pid, is := swapHeader(tt.b); pid != tt.pid || is != tt.want {
			t.Errorf("%s: process %d, buffer %d; want %d, %d", tt.name, pid, is, tt.pid, tt.want)
		}
	}
}

func FuzzSwapHeader(f *testing.F) {
	f.Add(header(f, "clean", nil))
	f.Add(header(f, "dirty", nil))
	f.Add([]byte("b0VIM 9.0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if pid, is := swapHeader(b); is != unheard && (len(b) < swapHeaderSize || pid != binary.LittleEndian.Uint32(b[24:])) {
			t.Errorf("process %d, buffer %d of %d bytes", pid, is, len(b))
		}
	})
}

func TestBufferOf(t *testing.T) {
	dir := t.TempDir()
	said := time.Unix(1700000000, 0)
	put := func(name, is string, pid uint32) {
		t.Helper()
		path := filepath.Join(dir, name)
		b := header(t, is, func(b []byte) { binary.LittleEndian.PutUint32(b[swapPID:], pid) })
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, said, said); err != nil {
			t.Fatal(err)
		}
	}
	put(".doc.txt.swp", "clean", 10)
	put(".doc.txt.swo", "dirty", 11)
	put(".profile.swp", "dirty", 10)
	for name, target := range map[string]string{
		".#doc.txt": "user@host.example.12:1700000000",
		".#other":   "user@host.12",
		".#empty":   "nobody",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		pid  uint32
		want buffer
		at   time.Time
	}{
		{"doc.txt", 10, clean, said},
		{"doc.txt", 11, unsaved, said},
		{"doc.txt", 12, unsaved, time.Time{}},
		{"doc.txt", 13, unheard, time.Time{}},
		{".profile", 10, unsaved, said},
		{"other", 12, unsaved, time.Time{}},
		{"other", 10, unheard, time.Time{}},
		{"empty", 0, unheard, time.Time{}},
	} {
		if is, at := bufferOf(dir, tt.name, tt.pid); is != tt.want || !at.Equal(tt.at) {
			t.Errorf("%s of %d: buffer %d at %v; want %d at %v", tt.name, tt.pid, is, at, tt.want, tt.at)
		}
	}
}

// neovim keeps its swap files elsewhere; this process is one here.
func TestBufferElsewhere(t *testing.T) {
	pid := uint32(os.Getpid())
	b := header(t, "dirty", func(b []byte) { binary.LittleEndian.PutUint32(b[swapPID:], pid) })
	path := filepath.Join(t.TempDir(), "%home%user%echofs%notes%some folder%doc.txt.swo")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if is, _ := bufferElsewhere("notes/some folder/doc.txt", pid); is != unheard {
		t.Error("it is not open yet")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for path, want := range map[string]buffer{
		"notes/some folder/doc.txt": unsaved,
		"other/some folder/doc.txt": unheard,
		"notes/doc.txt":             unheard,
	} {
		if is, _ := bufferElsewhere(path, pid); is != want {
			t.Errorf("%s: buffer %d, want %d", path, is, want)
		}
	}
	if is, _ := bufferElsewhere("notes/some folder/doc.txt", 1<<30); is != unheard {
		t.Error("nobody has a buffer")
	}
}
