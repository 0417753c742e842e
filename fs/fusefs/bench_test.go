package fusefs

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	fusenode "github.com/hanwen/go-fuse/v2/fs"
)

// Each benchmark does the same in three places in turn, so that a busy machine
// slows all of them: in a space, in go-fuse's own loopback mount with its
// default options, and on the disk under both. It reports the time of each and,
// as "x-loopback", how much longer the space takes than the loopback.

const loopbackVariable = "ECHOFS_TEST_LOOPBACK"

// loopbackProcess mounts go-fuse's loopback of one folder at another one.
func loopbackProcess(from, to string) error {
	root, err := fusenode.NewLoopbackRoot(from)
	if err != nil {
		return err
	}
	second := time.Second // what its example program uses
	opts := &fusenode.Options{EntryTimeout: &second, AttrTimeout: &second}
	opts.DirectMountStrict = os.Geteuid() == 0
	server, err := fusenode.Mount(to, root, opts)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	waitForEnd()
	return server.Unmount()
}

// places are the folders that a benchmark compares.
func places(b *testing.B) (all [3]string) {
	loop := b.TempDir()
	p := startWith(b, loopbackVariable, [2]string{b.TempDir(), loop}, nil)
	b.Cleanup(func() { p.stop(b) })
	return [3]string{serve(b, 1)[0], loop, b.TempDir()}
}

// compare prepares each place and then times work in each of them in turn.
func compare(b *testing.B, prepare, work func(dir string, i int)) {
	dirs := places(b)
	for _, dir := range dirs {
		prepare(dir, 0)
		work(dir, -1) // the first time is for the caches
	}
	var spent [3]time.Duration
	i := 0
	for b.Loop() {
		for n, dir := range dirs {
			start := time.Now()
			work(dir, i)
			spent[n] += time.Since(start)
		}
		i++
	}
	for n, name := range []string{"echofs", "loopback", "disk"} {
		b.ReportMetric(float64(spent[n].Nanoseconds())/float64(i), name+"-ns")
	}
	b.ReportMetric(float64(spent[0])/float64(spent[1]), "x-loopback")
	b.ReportMetric(float64(spent[0])/float64(spent[2]), "x-disk")
	b.ReportMetric(0, "ns/op") // the sum of the three says nothing
}

func nothing(string, int) {}

var text10k = bytes.Repeat([]byte("a line of text, more or less\n"), 350)

func BenchmarkCreate(b *testing.B) {
	compare(b, nothing, func(dir string, i int) {
		write(b, filepath.Join(dir, fmt.Sprint("new", i)), "a line of text\n")
	})
}

func BenchmarkStat(b *testing.B) {
	compare(b, tree(1, 100), func(dir string, i int) {
		for n := range 100 {
			if _, err := os.Stat(leaf(dir, 0, n)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkStatAbsent(b *testing.B) {
	compare(b, nothing, func(dir string, i int) {
		for n := range 100 {
			if _, err := os.Stat(leaf(dir, 0, n)); err == nil {
				b.Fatal("there is something")
			}
		}
	})
}

func BenchmarkOpenReadClose(b *testing.B) {
	compare(b, tree(1, 100), func(dir string, i int) {
		for n := range 100 {
			read(b, leaf(dir, 0, n))
		}
	})
}

// BenchmarkAtomicSave is how most programs save: a temporary file, renamed.
func BenchmarkAtomicSave(b *testing.B) {
	compare(b, tree(1, 1), func(dir string, i int) {
		doc := leaf(dir, 0, 0)
		text := bytes.Clone(text10k)
		copy(text, fmt.Sprint("version ", i, " "))
		write(b, doc+".tmp", string(text))
		if err := os.Rename(doc+".tmp", doc); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkSave is how vim with backupcopy and nano save: truncate and write.
func BenchmarkSave(b *testing.B) {
	compare(b, tree(1, 1), func(dir string, i int) {
		text := bytes.Clone(text10k)
		copy(text, fmt.Sprint("version ", i, " "))
		write(b, leaf(dir, 0, 0), string(text))
	})
}

func BenchmarkList10000(b *testing.B) {
	compare(b, tree(1, 10_000), func(dir string, i int) {
		entries, err := os.ReadDir(filepath.Join(dir, "d0"))
		if err != nil || len(entries) != 10_000 {
			b.Fatal(len(entries), err)
		}
	})
}

func BenchmarkListLong10000(b *testing.B) {
	compare(b, tree(1, 10_000), func(dir string, i int) { run(b, dir, "ls", "-l", "d0") })
}

// BenchmarkWalk reads every file of a tree, as grep -r does.
func BenchmarkWalk(b *testing.B) {
	compare(b, tree(20, 50), func(dir string, i int) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				_, err = os.ReadFile(path)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkCopyTree copies a source tree of some hundred files in.
func BenchmarkCopyTree(b *testing.B) {
	source := filepath.Join(goroot(b), "src", "net")
	compare(b, nothing, func(dir string, i int) { run(b, dir, "cp", "-r", source, fmt.Sprint("tree", i)) })
}

const large = 16 << 20

func BenchmarkSequentialWrite16MB(b *testing.B) {
	data := make([]byte, large)
	compare(b, nothing, func(dir string, i int) {
		data[i&0xffff] ^= 1 // not text, and another blob each time
		if err := os.WriteFile(filepath.Join(dir, "large"), data, 0o644); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkSequentialRead16MB(b *testing.B) {
	data := make([]byte, large)
	compare(b, func(dir string, _ int) { write(b, filepath.Join(dir, "large"), string(data)) },
		func(dir string, i int) { read(b, filepath.Join(dir, "large")) })
}

// tree makes folders with files in each place.
func tree(dirs, files int) func(string, int) {
	return func(dir string, _ int) {
		for d := range dirs {
			if err := os.Mkdir(filepath.Join(dir, fmt.Sprint("d", d)), 0o755); err != nil {
				panic(err)
			}
			for n := range files {
				if err := os.WriteFile(leaf(dir, d, n), text10k[:2000], 0o644); err != nil {
					panic(err)
				}
			}
		}
	}
}

func leaf(dir string, d, n int) string {
	return filepath.Join(dir, fmt.Sprint("d", d), fmt.Sprint("f", n))
}
