package fusefs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOneSize checks that what one process is told of the size of a file does not
// cut what another one reads of it through the page cache: the kernel has one size
// of a file for all of them. A reader is in the middle of an old version when one
// of another size comes, and others ask: who knows nothing of the file, who knows
// the old version, and who has loaded the new one.
func TestOneSize(t *testing.T) {
	folders := serve(t, 2)
	stranger, knows := another(t, folders[1]), another(t, folders[1])
	text := func(what string, lines int) string {
		var b strings.Builder
		for i := range lines {
			fmt.Fprintf(&b, "%s, line %d\n", what, i)
		}
		return b.String()
	}
	sizes := []int{1, 420, 500, 560, 2010}
	name := func(i int) string { return fmt.Sprint("f", i) }
	for i := range sizes {
		write(t, filepath.Join(folders[0], name(i)), text("old", 2000))
	}
	for i := range sizes {
		arrives(t, filepath.Join(folders[1], name(i)), text("old", 2000))
		knows.do(t, "load", name(i))
	}
	wait(1200 * time.Millisecond) // what came a moment ago is read past the page cache

	for i, lines := range sizes {
		path := filepath.Join(folders[1], name(i))
		began := time.Now()
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		want, slow := text("old", 2000), false
		var got strings.Builder
		piece := func(n int) error {
			b := make([]byte, n)
			n, err := f.Read(b)
			// Who takes too long goes on in the new version.
			slow = slow || time.Since(began) > time.Second
			got.Write(b[:n])
			return err
		}
		// Not in the first page any more: a request for that begins from the start.
		if err := piece(5000); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folders[0], name(i)), text("new", lines))
		arrives(t, path, text("new", lines))
		for n := 0; ; n++ {
			stranger.do(t, "stat", name(i))
			knows.do(t, "stat", name(i))
			next := 400
			if n > 8 {
				next = 8000
			}
			if n == 4 {
				knows.do(t, "load", name(i))
			}
			if err := piece(next); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if !slow && got.String() != want {
			at := 0
			for at < min(len(want), got.Len()) && got.String()[at] == want[at] {
				at++
			}
			t.Errorf("2000 lines became %d: %d bytes instead of %d, at %d %.100q", lines, got.Len(), len(want), at, got.String()[at:])
		}
	}
}

// TestMappedSize checks that a program which has mapped a file keeps what it
// wrote there, when another one is told the smaller size of the version that it
// knows.
func TestMappedSize(t *testing.T) {
	folders := serve(t, 2)
	knows := another(t, folders[1])
	path := filepath.Join(folders[1], "doc")
	long := strings.Repeat("a long line of text\n", 600)
	write(t, filepath.Join(folders[0], "doc"), "short\n")
	arrives(t, path, "short\n")
	knows.do(t, "load", "doc")
	write(t, filepath.Join(folders[0], "doc"), long)
	arrives(t, path, long)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != int64(len(long)) {
		t.Fatalf("size %d, %v", info.Size(), err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, len(long), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err == unix.ENODEV { // before Linux 6.6 what is read past the page cache cannot be mapped
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	for i := 0; i < len(m); i += 20 {
		m[i] = 'A'
	}
	want := strings.ReplaceAll(long, "a long", "A long")
	for range 20 {
		knows.do(t, "stat", "doc")
		knows.do(t, "list", "doc")
	}
	if err := errors.Join(unix.Msync(m, unix.MS_SYNC), f.Sync()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != want {
		t.Errorf("it has %d bytes, %d of them changed", len(got), strings.Count(got, "A"))
	}
	arrives(t, filepath.Join(folders[0], "doc"), want)
}

// An otherProgram loads files and asks about them.
type otherProgram struct {
	in  io.Writer
	out *bufio.Reader
}

// another starts one in a folder. It ends with the test.
func another(t *testing.T, dir string) *otherProgram {
	t.Helper()
	const script = `while read -r what name; do case $what in
		load) read -r line <"$name";;
		stat) test -s "$name";;
		list) for name in *; do test -s "$name"; done;;
		esac; echo done; done`
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &otherProgram{in, bufio.NewReader(out)}
}

func (p *otherProgram) do(t *testing.T, what, name string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, what, name); err != nil {
		t.Fatal(err)
	}
	if line, err := p.out.ReadString('\n'); err != nil || line != "done\n" {
		t.Fatalf("another process: %q, %v", line, err)
	}
}
