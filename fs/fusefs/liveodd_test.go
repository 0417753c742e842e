package fusefs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHungReader has a program watch that never reads what it is told, until the
// kernel keeps no more for it. Nobody else may notice.
func TestHungReader(t *testing.T) {
	folders := serve(t, 2)
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(folders[0], name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the folders are there", func() bool { return names(t, folders[1]) == "a b" })
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, folders[1], unix.IN_ALL_EVENTS); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	var limit int
	if _, err := fmt.Sscan(string(raw), &limit); err != nil {
		t.Fatal(err)
	}
	for i := range min(limit, 1<<15) + 100 { // no two alike in a row, or they are one
		f, err := unix.Open(filepath.Join(folders[1], []string{"a", "b"}[i%2]), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(f)
	}
	w := watchAll(t, folders[1], ".")
	for i := range 200 {
		if err := os.Rename(filepath.Join(folders[0], []string{"a", "c"}[i%2]), filepath.Join(folders[0], []string{"c", "a"}[i%2])); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folders[0], "last"), 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "who reads is told", func() bool { return w.has(".:last CREATE|ISDIR") })
	if got := names(t, folders[1]); got != "a b last" {
		t.Errorf("there is %s", got)
	}
}

// TestManyEdits saves one file thousands of times. Who watches it elsewhere is
// told of no more than there were, and of the last one when it can be read.
func TestManyEdits(t *testing.T) {
	folders := serve(t, 2)
	here, there := filepath.Join(folders[0], "doc"), filepath.Join(folders[1], "doc")
	write(t, here, "0000\n")
	arrives(t, there, "0000\n")
	w := watchAll(t, folders[1], "doc")
	const edits = 2000
	for i := range edits {
		f, err := os.OpenFile(here, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(f, "%04d\n", i+1); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	want, read := fmt.Sprintf("%04d\n", edits), 0
	eventually(t, "the last edit is told", func() bool {
		all := w.all()
		for _, e := range all[read:] {
			read++
			if text, err := os.ReadFile(there); err == nil && string(text) == want && e == "doc: CLOSE_WRITE" {
				return true
			}
		}
		return false
	})
	closed := 0
	for _, e := range w.all() {
		if e == "doc: CLOSE_WRITE" {
			closed++
		}
	}
	if closed > edits {
		t.Errorf("%d edits were told as %d", edits, closed)
	}
	t.Logf("%d edits were told as %d", edits, closed)
}

// TestRemovedUnderFoot removes and replaces on one device what a program on the
// other one stands in or has open.
func TestRemovedUnderFoot(t *testing.T) {
	folders := serve(t, 2)
	here, there := folders[0], folders[1]
	if err := os.Mkdir(filepath.Join(here, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"read", "written", "kind"} {
		write(t, filepath.Join(here, name), "text\n")
		arrives(t, filepath.Join(there, name), "text\n")
	}

	t.Run("a folder, under a shell", func(t *testing.T) {
		sh := exec.Command("/bin/sh")
		sh.Dir = filepath.Join(there, "dir")
		in, err := sh.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		sh.Stdout, sh.Stderr = &said, &said
		if err := sh.Start(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(here, "dir")); err != nil {
			t.Fatal(err)
		}
		gone(t, filepath.Join(there, "dir"))
		io.WriteString(in, "for f in *; do echo \"found $f\"; done\necho text >new || echo refused\ncat new || echo missing\ncd .. && cd dir || echo nowhere\necho the end\n")
		in.Close()
		sh.Wait()
		for _, line := range []string{"refused", "missing", "nowhere", "the end"} {
			if !strings.Contains(said.String(), line+"\n") {
				t.Errorf("the shell does not say %q:\n%s", line, said.String())
			}
		}
		if err := os.Mkdir(filepath.Join(here, "dir"), 0o755); err != nil { // the same again
			t.Fatal(err)
		}
		eventually(t, "a file can be made in the new folder", func() bool {
			return os.WriteFile(filepath.Join(there, "dir", "new"), []byte("new\n"), 0o644) == nil
		})
		arrives(t, filepath.Join(here, "dir", "new"), "new\n")
	})

	t.Run("a file that is read", func(t *testing.T) {
		f, err := os.Open(filepath.Join(there, "read"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.Remove(filepath.Join(here, "read")); err != nil {
			t.Fatal(err)
		}
		gone(t, f.Name())
		if text, err := io.ReadAll(f); err != nil || string(text) != "text\n" {
			t.Errorf("the descriptor reads %q, %v", text, err)
		}
	})

	t.Run("a file that is written", func(t *testing.T) {
		f, err := os.OpenFile(filepath.Join(there, "written"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.Remove(filepath.Join(here, "written")); err != nil {
			t.Fatal(err)
		}
		gone(t, f.Name())
		w := watchAll(t, there, ".")
		if _, err := f.WriteString("kept\n"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		arrives(t, f.Name(), "kept\n")
		arrives(t, filepath.Join(here, "written"), "kept\n")
		eventually(t, "the name is told", func() bool { return w.has(".:written CREATE") })
	})

	t.Run("a file that becomes a folder", func(t *testing.T) {
		f, err := os.OpenFile(filepath.Join(there, "kind"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.Remove(filepath.Join(here, "kind")); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(here, "kind"), 0o755); err != nil {
			t.Fatal(err)
		}
		eventually(t, "there is a folder", func() bool {
			info, err := os.Stat(f.Name())
			return err == nil && info.IsDir()
		})
		if text, err := io.ReadAll(f); err != nil || string(text) != "text\n" {
			t.Errorf("the descriptor reads %q, %v", text, err)
		}
		if _, err := os.ReadFile(f.Name()); !errors.Is(err, unix.EISDIR) {
			t.Errorf("reading the folder: %v", err)
		}
		if _, err := f.WriteString("more\n"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "what was written stands beside it, on both", func() bool {
			for _, dir := range folders {
				if text, err := os.ReadFile(filepath.Join(dir, "kind (2)")); err != nil || string(text) != "text\nmore\n" {
					return false
				}
			}
			return true
		})
	})
}
