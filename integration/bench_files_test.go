package integration

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An operation of a file system, done count times by one call of work. The
// tree below dir is its own.
type operation struct {
	name    string
	count   int
	aim     float64 // how often the time of the loopback it may take; 0: anything
	prepare func(t testing.TB, dir string)
	work    func(t testing.TB, dir string, round int)
}

// files compares operations with the loopback and the disk.
func (m *measures) files(b *testing.B, _ int) {
	w := NewWorld(b)
	alice := w.Up("alice")
	alice.Run("space", "create", "bench")
	places := []struct{ name, dir string }{
		{"ours", alice.Path("bench")}, {"loopback", newLoopback(b).dir}, {"disk", b.TempDir()},
	}
	all := append(operations(m.size), programs(b, m.size)...)
	for n, op := range all {
		m.operations = append(m.operations, op)
		for _, p := range places {
			dir := filepath.Join(p.dir, fmt.Sprint("op", n))
			if err := os.Mkdir(dir, 0o755); err != nil {
				b.Fatal(err)
			}
			if op.prepare != nil {
				op.prepare(b, dir)
			}
		}
		for round := range 2 * m.size.rounds {
			for _, p := range places {
				start := time.Now()
				op.work(b, filepath.Join(p.dir, fmt.Sprint("op", n)), round)
				if round > 0 { // the first time is for the caches
					m.addTime(op.name+" "+p.name, time.Since(start)/time.Duration(op.count))
				}
			}
		}
	}
}

func operations(size size) []operation {
	const some = 200
	text := string(bytes.Repeat([]byte("a line of text, more or less\n"), 350)) // 10 KB
	some2k := func(t testing.TB, dir string) { fill(t, dir, some, text[:2000]) }
	return []operation{
		{"create", some, 2, nil, func(t testing.TB, dir string, round int) {
			for n := range some {
				put(t, filepath.Join(dir, fmt.Sprintf("new-%d-%d", round, n)), "a line of text\n")
			}
		}},
		{"stat", 20 * some, 1, some2k, func(t testing.TB, dir string, _ int) {
			f := open(t, dir) // the ways there are not equally long
			defer f.Close()
			var st unix.Stat_t
			for n := range 20 * some {
				if err := unix.Fstatat(int(f.Fd()), fmt.Sprint("f", n%some), &st, 0); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"open, read, close", 10 * some, 1, some2k, func(t testing.TB, dir string, _ int) {
			for n := range 10 * some {
				read(t, nth(dir, n%some))
			}
		}},
		{"atomic save, 10 KB", 50, 2, nil, func(t testing.TB, dir string, round int) {
			for n := range 50 {
				path := filepath.Join(dir, "notes.txt")
				put(t, path+".tmp", fmt.Sprintf("version %d of round %d %s", n, round, text))
				rename(t, path+".tmp", path)
			}
		}},
		{"rename", some, 0, some2k, func(t testing.TB, dir string, round int) {
			for n := range some {
				from, to := nth(dir, n), filepath.Join(dir, fmt.Sprint("moved", n))
				if round%2 == 1 {
					from, to = to, from
				}
				rename(t, from, to)
			}
		}},
		{fmt.Sprintf("list %d", size.list), 1, 1, func(t testing.TB, dir string) { fill(t, dir, size.list, "x\n") },
			func(t testing.TB, dir string, _ int) {
				if list, err := os.ReadDir(dir); err != nil || len(list) != size.list {
					t.Fatal(len(list), err)
				}
			}},
		{fmt.Sprintf("write %d MiB", size.stream>>20), 1, 2, nil, func(t testing.TB, dir string, round int) {
			writeStream(t, size.stream, dir, fmt.Sprint("stream", round), uint64(round))
			if round > 0 {
				if err := os.Remove(filepath.Join(dir, fmt.Sprint("stream", round-1))); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{fmt.Sprintf("read %d MiB", size.stream>>20), 1, 1, func(t testing.TB, dir string) { writeStream(t, size.stream, dir, "stream", 1000) },
			func(t testing.TB, dir string, _ int) {
				f := open(t, filepath.Join(dir, "stream"))
				defer f.Close()
				if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 1<<20)); err != nil || n != int64(size.stream) {
					t.Fatal(n, err)
				}
			}},
		{"read 4 KiB at random", 5000, 1, func(t testing.TB, dir string) { writeStream(t, size.stream, dir, "stream", 2000) },
			func(t testing.TB, dir string, round int) {
				f := open(t, filepath.Join(dir, "stream"))
				defer f.Close()
				if round == 0 { // into the kernel's cache, all of it
					if _, err := io.Copy(io.Discard, f); err != nil {
						t.Fatal(err)
					}
				}
				random, buf := rand.New(rand.NewPCG(uint64(round), 0)), make([]byte, 4<<10)
				for range 5000 {
					if _, err := f.ReadAt(buf, random.Int64N(int64(size.stream-len(buf)))); err != nil {
						t.Fatal(err)
					}
				}
			}},
		{fmt.Sprintf("write %d MiB over others", size.stream>>20), 1, 0, func(t testing.TB, dir string) { writeStream(t, size.stream, dir, "stream", 3000) },
			func(t testing.TB, dir string, round int) {
				writeStream(t, size.stream, dir, "stream", uint64(3001+round))
			}},
		{"write 4 KiB at random in 16 MiB", 1000, 0, func(t testing.TB, dir string) { writeStream(t, 16<<20, dir, "stream", 4000) },
			func(t testing.TB, dir string, round int) {
				f, err := os.OpenFile(filepath.Join(dir, "stream"), os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				random, buf := rand.New(rand.NewPCG(uint64(round), 1)), make([]byte, 4<<10)
				for n := range 1000 {
					copy(buf, fmt.Sprint(round, n))
					if _, err := f.WriteAt(buf, random.Int64N(16<<20-int64(len(buf)))); err != nil {
						t.Fatal(err)
					}
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			}},
	}
}

// programs are operations that other programs do on a tree of source code.
func programs(t testing.TB, size size) []operation {
	t.Helper()
	source, repository := filepath.Join(goroot(t), size.small), filepath.Join(t.TempDir(), "bare.git")
	bench(t, filepath.Dir(repository), `cp -r "$SOURCE" work; cd work; git init -q; git add .; git commit -qm 1; git clone -q --bare . "$REPOSITORY"`, source, repository)
	script := func(script string) func(testing.TB, string, int) {
		return func(t testing.TB, dir string, round int) {
			t.Helper()
			bench(t, dir, script, source, repository, fmt.Sprint("ROUND=", round))
		}
	}
	prepared := func(script string) func(testing.TB, string) {
		return func(t testing.TB, dir string) {
			t.Helper()
			bench(t, dir, script, source, repository)
		}
	}
	const copied, cloned = `cp -r "$SOURCE" tree`, `git clone -q "$REPOSITORY" tree; cd tree; git status`
	return []operation{
		{"find", 1, 1, prepared(copied), script(`find tree -type f -size +0 | wc -l`)},
		{"ls -lR", 1, 1, prepared(copied), script(`ls -lR tree | wc -l`)},
		{"grep -r", 1, 1, prepared(copied), script(`! grep -rF "words that nobody ""has written" tree`)},
		{"tar c", 1, 0, prepared(copied), script(`tar cf - tree | wc -c`)},
		{"tar x", 1, 0, prepared(`tar cf tar -C "$SOURCE" .`), script(`mkdir out$ROUND; tar xf tar -C out$ROUND`)},
		{"rm -r", 1, 0, prepared(`for n in $(seq 0 5); do cp -r "$SOURCE" tree$n; done`), script(`rm -r tree$ROUND`)},
		{"git clone", 1, 0, nil, script(`git clone -q "$REPOSITORY" tree$ROUND`)},
		{"git status", 1, 0, prepared(cloned), script(`cd tree; git status --short`)},
	}
}

// bench runs a shell script in a folder.
func bench(t testing.TB, dir, script, source, repository string, more ...string) {
	t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = dir
	cmd.Env = append(append(cmd.Environ(), "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "SOURCE="+source, "REPOSITORY="+repository,
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org"), more...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// stream writes a large file of bytes that occur nowhere else.
func writeStream(t testing.TB, total int, dir, name string, seed uint64) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	random.Read(buf)
	for n := range total >> 20 {
		for at := 0; at < len(buf); at += 4 << 10 { // new bytes cost no time worth mentioning
			copy(buf[at:], fmt.Sprint(seed, n, at))
		}
		if _, err := f.Write(buf); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func fill(t testing.TB, dir string, files int, text string) {
	t.Helper()
	for n := range files {
		put(t, nth(dir, n), text)
	}
}

func nth(dir string, n int) string { return filepath.Join(dir, fmt.Sprint("f", n)) }

func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
