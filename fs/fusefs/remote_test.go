package fusefs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRemoteEdit checks that an edit on one device is seen on the other by new
// opens, open descriptors, mappings and stat, although all of them have cached
// the old content.
func TestRemoteEdit(t *testing.T) {
	folders := serve(t, 2)
	here, there := filepath.Join(folders[0], "doc"), filepath.Join(folders[1], "doc")
	write(t, here, "one\n")
	arrives(t, there, "one\n")

	f, err := os.Open(there)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	descriptor := func() string {
		b := make([]byte, 4096)
		n, err := f.ReadAt(b, 0)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	size := func() int64 {
		info, err := os.Stat(there)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if descriptor() != "one\n" || string(mem[:4]) != "one\n" || size() != 4 {
		t.Fatal("not even the first version is there")
	}
	for _, text := range []string{"one\ntwo\n", "zero\none\ntwo\n", "0\n", "1\n", strings.Repeat("long\n", 700)} {
		write(t, here, text)
		eventually(t, fmt.Sprintf("%.10q is seen", text), func() bool {
			return read(t, there) == text && descriptor() == text && size() == int64(len(text)) &&
				string(mem[:len(text)]) == text
		})
	}
}

// TestRemoteNames checks names that are made, moved and removed elsewhere, with
// the old state of affairs in the kernel's caches.
func TestRemoteNames(t *testing.T) {
	folders := serve(t, 2)
	at := func(i int, name string) string { return filepath.Join(folders[i], name) }
	list := func() string { return names(t, folders[1]) }
	list()
	if _, err := os.Stat(at(1, "a")); err == nil {
		t.Fatal("a is there already")
	}
	write(t, at(0, "a"), "text a")
	eventually(t, "a appears", func() bool { return list() == "a" })
	arrives(t, at(1, "a"), "text a")

	if err := os.Mkdir(at(0, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "d appears", func() bool { return list() == "a d" })
	if err := os.Rename(at(0, "a"), at(0, "d/b")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a moves", func() bool { return list() == "d" && names(t, at(1, "d")) == "b" })
	arrives(t, at(1, "d/b"), "text a")
	gone(t, at(1, "a"))

	if err := os.Chmod(at(0, "d/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b becomes executable", func() bool {
		info, err := os.Stat(at(1, "d/b"))
		return err == nil && info.Mode() == 0o755
	})
	if err := os.Rename(at(0, "d"), at(0, "e")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "d is renamed", func() bool { return list() == "e" })
	arrives(t, at(1, "e/b"), "text a")
	if err := os.RemoveAll(at(0, "e")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything is gone", func() bool { return list() == "" })
	for _, name := range []string{"e", "e/b", "d/b"} {
		gone(t, at(1, name))
	}
}

// TestBothEdit checks the point of it all: two devices edit different lines of
// one file at once, and both edits are on both.
func TestBothEdit(t *testing.T) {
	folders := serve(t, 2)
	docs := []string{filepath.Join(folders[0], "doc"), filepath.Join(folders[1], "doc")}
	write(t, docs[0], "top\nmiddle\nbottom\n")
	arrives(t, docs[1], "top\nmiddle\nbottom\n")
	var files [2]*os.File // both are open before either is saved
	for i, doc := range docs {
		f, err := os.OpenFile(doc, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := io.ReadAll(f); err != nil {
			t.Fatal(err)
		}
		files[i] = f
	}
	for i, text := range []string{"top, by one\nmiddle\nbottom\n", "top\nmiddle\nbottom, by two\n"} {
		if err := files[i].Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := files[i].WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
		if err := files[i].Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, doc := range docs {
		arrives(t, doc, "top, by one\nmiddle\nbottom, by two\n")
	}
	for _, folder := range folders {
		if got := names(t, folder); got != "doc" {
			t.Errorf("beside the file there is %q", got)
		}
	}
}

// TestRemoteStorm has both devices work in one folder at full speed: requests
// and notices that wait for each other would hang here.
func TestRemoteStorm(t *testing.T) {
	folders := serve(t, 2)
	const writers, rounds = 2, 60
	var group sync.WaitGroup
	for side, folder := range folders {
		for w := range writers {
			group.Go(func() {
				for i := range rounds {
					name := filepath.Join(folder, fmt.Sprintf("f%d", i%5)) // others use it too
					text := fmt.Sprintf("side %d writer %d round %d\n", side, w, i)
					if err := os.WriteFile(name, []byte(text), 0o644); err != nil && !os.IsNotExist(err) {
						t.Errorf("write: %v", err)
					}
					if _, err := os.ReadDir(folder); err != nil {
						t.Errorf("list: %v", err)
					}
					if _, err := os.ReadFile(name); err != nil && !os.IsNotExist(err) {
						t.Errorf("read: %v", err)
					}
					switch i % 7 {
					case 3:
						if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
							t.Errorf("remove: %v", err)
						}
					case 5:
						own := filepath.Join(folder, fmt.Sprintf("own%d-%d", side, w))
						if err := os.Rename(name, own); err != nil && !os.IsNotExist(err) {
							t.Errorf("rename: %v", err)
						}
					}
				}
			})
		}
	}
	group.Wait()
	defer func() {
		if t.Failed() {
			t.Logf("one device shows\n%s\nthe other one\n%s", contents(folders[0]), contents(folders[1]))
		}
	}()
	eventually(t, "both devices show the same", func() bool {
		return contents(folders[0]) == contents(folders[1])
	})
}

// arrives waits until path reads as text.
func arrives(t testing.TB, path, text string) {
	t.Helper()
	var last string
	defer func() {
		if t.Failed() {
			t.Logf("%s reads %.100q", path, last)
		}
	}()
	eventually(t, fmt.Sprintf("%s reads %.20q", path, text), func() bool {
		b, err := os.ReadFile(path)
		last = string(b)
		return err == nil && last == text
	})
}

func gone(t testing.TB, path string) {
	t.Helper()
	eventually(t, path+" is gone", func() bool {
		_, err := os.Stat(path)
		return os.IsNotExist(err)
	})
}

// names lists a folder on one line.
func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		if os.IsNotExist(err) {
			return ""
		}
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// contents describes a whole folder; a file that vanishes meanwhile is left out.
func contents(dir string) string {
	var b strings.Builder
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			fmt.Fprintf(&b, "%s: %q\n", strings.TrimPrefix(path, dir), text)
		}
		return nil
	})
	return b.String()
}
