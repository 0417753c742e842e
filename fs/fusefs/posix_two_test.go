package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTravels does things on one device that a disk can do, and looks for them on
// another one.
func TestTravels(t *testing.T) {
	folders := serve(t, 2)
	here, there := folders[0], folders[1]
	long := strings.Repeat("long ", 60_000) // more than merges
	rows := []struct {
		name string
		do   func(dir string)
		want func(dir string) string // "" is right
	}{
		{"symbolic links", func(dir string) {
			write(t, filepath.Join(dir, "f"), "text")
			must(t, os.MkdirAll(filepath.Join(dir, "d/e"), 0o755))
			must(t, os.Symlink("../../f", filepath.Join(dir, "d/e/l")))
			must(t, os.Symlink("d/e", filepath.Join(dir, "m")))
		}, func(dir string) string {
			return holds(filepath.Join(dir, "m/l"), "text")
		}},
		{"attributes", func(dir string) {
			path := filepath.Join(dir, "f")
			write(t, path, "text")
			must(t, os.Chmod(path, 0o750))
			must(t, unix.Setxattr(path, "user.colour", []byte("red\x00"), 0))
			must(t, os.Chtimes(path, time.Time{}, time.Unix(1_600_000_000, 123_456_789)))
		}, func(dir string) string {
			info, err := os.Stat(filepath.Join(dir, "f"))
			if err != nil {
				return err.Error()
			}
			buf := make([]byte, 10)
			n, err := unix.Getxattr(filepath.Join(dir, "f"), "user.colour", buf)
			if err != nil || string(buf[:n]) != "red\x00" {
				return fmt.Sprintf("attribute %q, %v", buf[:max(n, 0)], err)
			}
			return same(fmt.Sprint(info.Mode(), info.ModTime().UnixNano()), "-rwxr-x--- 1600000000123456789")
		}},
		{"names", func(dir string) {
			for _, name := range oddNames {
				write(t, filepath.Join(dir, name), name)
			}
		}, func(dir string) string {
			for _, name := range oddNames {
				if s := holds(filepath.Join(dir, name), name); s != "" {
					return fmt.Sprintf("%q: %s", name, s)
				}
			}
			entries, err := os.ReadDir(dir)
			return same(fmt.Sprint(len(entries), err), fmt.Sprint(len(oddNames), error(nil)))
		}},
		{"holes", func(dir string) {
			path := filepath.Join(dir, "f")
			write(t, path, strings.Repeat("x", 3<<20))
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			must(t, err)
			must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 1<<20, 1<<20))
			must(t, f.Truncate(9<<20))
			must(t, f.Close())
		}, func(dir string) string {
			return holds(filepath.Join(dir, "f"), strings.Repeat("x", 1<<20)+strings.Repeat("\x00", 1<<20)+
				strings.Repeat("x", 1<<20)+strings.Repeat("\x00", 6<<20))
		}},
		{"no text any more", func(dir string) {
			path := filepath.Join(dir, "f")
			write(t, path, "text\n")
			published(t, path)
			write(t, path, "caf\xe9\n") // in latin-1
		}, func(dir string) string { return holds(filepath.Join(dir, "f"), "caf\xe9\n") }},
		{"and text again", func(dir string) {
			path := filepath.Join(dir, "f")
			write(t, path, "text\n")
			published(t, path)
			write(t, path, "\xff\x00\n")
			write(t, path, "text again\n")
		}, func(dir string) string { return holds(filepath.Join(dir, "f"), "text again\n") }},
		{"a text that grows too large", func(dir string) {
			path := filepath.Join(dir, "f")
			write(t, path, "short\n")
			published(t, path)
			write(t, path, "short\n"+long)
		}, func(dir string) string { return holds(filepath.Join(dir, "f"), "short\n"+long) }},
		{"and shrinks", func(dir string) {
			path := filepath.Join(dir, "f")
			write(t, path, "short\n"+long)
			published(t, path)
			write(t, path, "short\nagain\n")
		}, func(dir string) string { return holds(filepath.Join(dir, "f"), "short\nagain\n") }},
		{"a file that got its name late", func(dir string) {
			fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
			must(t, err)
			_, err = unix.Write(fd, []byte("late"))
			must(t, err)
			must(t, unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, filepath.Join(dir, "f"), unix.AT_SYMLINK_FOLLOW))
			must(t, unix.Close(fd))
		}, func(dir string) string { return holds(filepath.Join(dir, "f"), "late") }},
		{"an exchange", func(dir string) {
			write(t, filepath.Join(dir, "a"), "text a\n")
			published(t, filepath.Join(dir, "a"))
			must(t, os.Mkdir(filepath.Join(dir, "b"), 0o755))
			write(t, filepath.Join(dir, "b/in"), "in b")
			must(t, unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "a"), unix.AT_FDCWD, filepath.Join(dir, "b"), unix.RENAME_EXCHANGE))
		}, func(dir string) string {
			return holds(filepath.Join(dir, "b"), "text a\n") + holds(filepath.Join(dir, "a/in"), "in b")
		}},
		{"what stays", func(dir string) {
			must(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
			must(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755))
			write(t, filepath.Join(dir, "x.tmp"), "x")
			write(t, filepath.Join(dir, "f"), "f")
		}, func(dir string) string {
			return holds(filepath.Join(dir, "f"), "f") + same(strings.Join(list(dir), " "), "f")
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			dir := strings.ReplaceAll(row.name, " ", "-")
			must(t, os.Mkdir(filepath.Join(here, dir), 0o755))
			row.do(filepath.Join(here, dir))
			last := ""
			defer func() {
				if t.Failed() {
					t.Log(last)
				}
			}()
			eventually(t, "it is there", func() bool {
				last = row.want(filepath.Join(there, dir))
				return last == ""
			})
			if s := row.want(filepath.Join(here, dir)); row.name != "what stays" && s != "" {
				t.Errorf("and not here: %s", s)
			}
		})
	}
}

var oddNames = []string{
	"caf\u00e9", "cafe\u0301", "Readme", "README", "readme", "\xff\xfe", "latin\xe9", "new\nline", "back\\slash", "a:b", "con",
	"trailing ", "trailing.", " ", "*", "\x01", "a\u202eb", "😀", "%2f", strings.Repeat("n", 255), strings.Repeat("é", 127),
}

// TestBothMakeOneName makes one name on both devices before either hears of the
// other. Both files stay, and both devices show the same.
func TestBothMakeOneName(t *testing.T) {
	folders := serve(t, 2)
	for _, name := range []string{"note.txt", strings.Repeat("n", 250) + ".text"} {
		var open []*os.File
		for _, folder := range folders { // while it is open, nobody hears of a new file
			f, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			must(t, err)
			open = append(open, f)
		}
		for i, f := range open {
			fmt.Fprintf(f, "%s by %d", name[:4], i)
			must(t, f.Close())
		}
	}
	must(t, os.MkdirAll(filepath.Join(folders[0], "d"), 0o755))
	write(t, filepath.Join(folders[0], "d/of0"), "of 0")
	if err := os.MkdirAll(filepath.Join(folders[1], "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folders[1], "d/of1"), "of 1")
	eventually(t, "both show everything", func() bool {
		a, b := contents(folders[0]), contents(folders[1])
		return a == b && strings.Count(a, " by 0") == 2 && strings.Count(a, " by 1") == 2 &&
			strings.Contains(a, "/d/of0") && strings.Contains(a, "/d/of1")
	})
	names := list(folders[0])
	if !slices.Contains(names, "note.txt") || !slices.Contains(names, "d") || len(names) != 5 {
		t.Errorf("the names are %q", names)
	}
	for _, name := range names {
		if len(name) > 255 || strings.HasPrefix(name, "note") && !strings.HasSuffix(name, ".txt") {
			t.Errorf("%q is no good name", name)
		}
	}
}

// published waits until a peer could have the file.
func published(t testing.TB, path string) {
	t.Helper()
	eventually(t, path+" is published", func() bool {
		n, err := unix.Getxattr(path, "user.echofs.id", make([]byte, 100))
		return err == nil && n > 0
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func list(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// holds says what is wrong with the content of a file.
func holds(path, want string) string {
	got, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return same(string(got), want)
}

func same(got, want string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("%d bytes %.100q, want %d bytes %.100q", len(got), got, len(want), want)
}
