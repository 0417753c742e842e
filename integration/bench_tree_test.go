package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tree measures what a large tree costs: copying it in, until the other side
// has it, memory, a start, and reading it all.
func (m *measures) tree(b *testing.B, round int) {
	source := filepath.Join(goroot(b), m.size.tree)
	files := regularFiles(b, source)
	m.add("tree files", float64(len(files)))
	loop, disk := newLoopback(b), b.TempDir()
	w := NewWorld(b)
	alice, bob := w.Pair("bench")
	alice.Connected(1)
	for _, f := range files {
		read(b, filepath.Join(source, f.path)) // the source is in memory for everybody
	}

	ours := alice.Path("bench/tree")
	turns := []func(){
		func() { m.addTime("copy disk", copyTree(b, source, filepath.Join(disk, "tree"))) },
		func() { m.addTime("copy loopback", copyTree(b, source, filepath.Join(loop.dir, "tree"))) },
		func() {
			m.addTime("copy ours", copyTree(b, source, ours))
			m.addTime("arrived", arrival(b, source, bob.Path("bench/tree"), files))
		},
	}
	for i := range turns {
		turns[(i+round)%len(turns)]()
	}
	var total int64
	for _, f := range files {
		total += f.size
	}
	m.add("tree bytes", float64(total))

	<-time.After(m.size.idle)
	m.add("memory writer", memory(b, alice))
	m.add("memory reader", memory(b, bob))
	for _, d := range []*Device{alice, bob} {
		if err := sameTree(source, d.Path("bench/tree")); err != nil {
			b.Fatalf("%s: %v", d.name, err)
		}
	}

	alice.Stop()
	start := time.Now()
	alice.Up()
	m.addTime("start", time.Since(start))
	alice.Connected(1)
	<-time.After(m.size.idle)
	m.add("memory restart", memory(b, alice))

	loop.unmount()
	loop.mount()
	for _, name := range []string{"grep ", "grep again "} {
		m.addTime(name+"loopback", grep(b, filepath.Join(loop.dir, "tree")))
		m.addTime(name+"ours", grep(b, ours))
	}
}

// regular is a file of the source: its path below it and its size.
type regular struct {
	path string
	size int64
}

func regularFiles(t testing.TB, root string) (list []regular) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		list = append(list, regular{rel, info.Size()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func copyTree(t testing.TB, from, to string) time.Duration {
	t.Helper()
	start := time.Now()
	if out, err := exec.Command("cp", "-r", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	return time.Since(start)
}

// arrival returns how long it takes until a tree is complete: each file is
// there with its size, and those whose bytes travel on their own have arrived.
// All bytes are compared by the caller, off the clock.
func arrival(b *testing.B, source, at string, files []regular) time.Duration {
	b.Helper()
	const apart = 64 << 10 // larger ones may be blobs
	start := time.Now()
	for _, f := range files {
		path := filepath.Join(at, f.path)
		for {
			info, err := os.Lstat(path)
			if err == nil && info.Size() == f.size {
				break
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) || time.Since(start) > patience {
				b.Fatalf("%s has not arrived: %v", f.path, err)
			}
			<-time.After(5 * time.Millisecond)
		}
		if f.size > apart && read(b, path) != read(b, filepath.Join(source, f.path)) {
			b.Fatalf("%s has other bytes", f.path)
		}
	}
	return time.Since(start)
}

// memory is what a daemon holds, in MB.
func memory(b *testing.B, d *Device) float64 {
	b.Helper()
	status := read(b, fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	for line := range strings.Lines(status) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			return kib * 1024 / 1e6
		}
	}
	b.Fatal("the daemon is gone")
	return 0
}

// grep reads a whole tree, as somebody does who searches it.
func grep(b *testing.B, dir string) time.Duration {
	b.Helper()
	cmd := exec.Command("grep", "-rF", "words that nobody "+"has written", dir)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		b.Fatalf("grep: %v\n%.1000s", err, out.String())
	}
	return took
}
