package vfs

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A model is the same sequence of operations on a folder of the real disk.
type model struct {
	dir  string
	open []opened
}

type opened struct {
	h *Handle
	f *os.File
}

func (m *model) path(p string) string { return filepath.Join(m.dir, p) }

// TestModel does random operations on a space and on the disk, lets time pass
// and the process die in between, and compares.
func TestModel(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runModel(t, seed, 600, seed < 2, time.Millisecond) })
		})
	}
	// Pauses of quarters of a second: what is held comes due while something
	// else is being done.
	for _, seed := range []uint64{200, 201, 202, 203, 210, 320} {
		t.Run(fmt.Sprint("tie/", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runModel(t, seed, 600, false, 250*time.Millisecond) })
		})
	}
}

func runModel(t *testing.T, seed uint64, steps int, each bool, tick time.Duration) {
	w := newWorld(t)
	m := &model{dir: t.TempDir()}
	r := rand.New(rand.NewPCG(seed, 1))
	p := w.process(10)
	names := []string{"a", "b", "c.txt", "d.bak", "e~", ".f.swp"}
	dirs := []string{"", "x/", "y/", "x/z/", ".git/"}
	pick := func() string { return dirs[r.IntN(len(dirs))] + names[r.IntN(len(names))] }
	var trace []string
	check := func(what string, err, want error) {
		t.Helper()
		trace = append(trace, fmt.Sprintf("%s: %v", what, err))
		if (err == nil) != (want == nil) {
			t.Fatalf("%s: %v, the disk says %v; trace:\n%s", what, err, want, strings.Join(trace[max(len(trace)-30, 0):], "\n"))
		}
	}
	closeAll := func() {
		for _, o := range m.open {
			p.close(o.h)
			o.f.Close()
		}
		m.open = nil
	}
	forget := rand.New(rand.NewPCG(seed, 2))
	for range steps {
		if forget.IntN(3) == 0 { // the kernel is short of memory
			w.fs.mu.Lock()
			inos := slices.Sorted(maps.Keys(w.fs.inodes))
			w.fs.mu.Unlock()
			w.fs.Forget(inos[forget.IntN(len(inos))])
		}
		if each {
			compare(t, w, p, m, trace)
		}
		switch op := r.IntN(100); {
		case op < 25: // write anew
			path, text := pick(), randomText(r)
			h, err := p.tryOpen(path, wr|creat|trunc)
			f, want := os.OpenFile(m.path(path), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
			check("write "+path, err, want)
			if err == nil {
				p.writeTo(h, 0, text)
				f.WriteString(text)
				p.close(h)
				f.Close()
			}
		case op < 35: // open and keep
			path := pick()
			flags := syscall.O_RDWR | creat
			if r.IntN(3) == 0 {
				flags |= syscall.O_APPEND
			}
			h, err := p.tryOpen(path, flags)
			f, want := os.OpenFile(m.path(path), int(flags), 0o644)
			check(fmt.Sprintf("open %s %o", path, flags), err, want)
			if err == nil {
				m.open = append(m.open, opened{h, f})
			}
		case op < 50: // use an open file
			if len(m.open) == 0 {
				continue
			}
			i := r.IntN(len(m.open))
			h, f := m.open[i].h, m.open[i].f
			off, text := int64(r.IntN(100)), randomText(r)
			switch r.IntN(4) {
			case 0:
				p.close(h)
				f.Close()
				m.open = append(m.open[:i:i], m.open[i+1:]...)
			case 1:
				p.fsync(h)
			case 2:
				size := uint64(off)
				_, err := w.fs.Setattr(p.caller(), h.Ino(), h, SetAttr{Size: &size})
				check("ftruncate", err, f.Truncate(off))
			default:
				_, err := h.Write(p.caller(), []byte(text), off)
				var want error
				if h.flags&syscall.O_APPEND != 0 {
					_, want = f.WriteString(text)
				} else {
					_, want = f.WriteAt([]byte(text), off)
				}
				check(fmt.Sprintf("pwrite %d", off), err, want)
			}
		case op < 65:
			from, to := pick(), pick()
			if local(from) && !local(to) && strings.HasPrefix(from, ".git/") {
				continue
			}
			err := p.tryRename(from, to, 0)
			check("rename "+from+" "+to, err, os.Rename(m.path(from), m.path(to)))
		case op < 75:
			path := pick()
			check("unlink "+path, p.tryUnlink(path), syscall.Unlink(m.path(path)))
		case op < 80:
			dir := strings.TrimSuffix(dirs[1+r.IntN(len(dirs)-1)], "/")
			parent, name, err := p.walk(dir)
			if err == nil {
				_, err = w.fs.Mkdir(p.caller(), parent, name, 0o755)
			}
			check("mkdir "+dir, err, os.Mkdir(m.path(dir), 0o755))
		case op < 83:
			dir := strings.TrimSuffix(dirs[1+r.IntN(len(dirs)-1)], "/")
			parent, name, err := p.walk(dir)
			if err == nil {
				err = w.fs.Rmdir(p.caller(), parent, name)
			}
			check("rmdir "+dir, err, syscall.Rmdir(m.path(dir)))
		case op < 85:
			from, to := []string{"x", "y"}[r.IntN(2)], []string{"x", "y", "x/z"}[r.IntN(3)]
			check("rename folder "+from+" "+to, p.tryRename(from, to, 0), syscall.Rename(m.path(from), m.path(to)))
		case op < 92:
			time.Sleep(tick * time.Duration(r.IntN(int(time.Second*9/10/tick)+1)))
		case op < 96:
			w.pass()
			trace = append(trace, "pass")
		case op < 98:
			closeAll()
			w.crash()
			trace = append(trace, "crash")
		default:
			compare(t, w, p, m, trace)
		}
	}
	compare(t, w, p, m, trace)
	closeAll()
	w.pass()
	compare(t, w, p, m, trace)
	for path := range m.tree(t) {
		if _, err := w.find(path); !local(path) && err != nil {
			t.Errorf("%s is not published: %v", path, err)
		}
	}
}

func local(path string) bool {
	return strings.HasPrefix(path, ".git/") || scratchName(filepath.Base(path), false)
}

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(20) {
		fmt.Fprintf(&b, "line %d\n", r.IntN(10))
	}
	if r.IntN(10) == 0 {
		b.WriteByte(0)
	}
	return b.String()
}

// tree is the content of every file; a folder's is "/".
func (m *model) tree(t *testing.T) map[string]string {
	out := map[string]string{}
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == m.dir {
			return err
		}
		rel, _ := filepath.Rel(m.dir, path)
		if d.IsDir() {
			out[rel] = "/"
			return nil
		}
		data, err := os.ReadFile(path)
		out[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func compare(t *testing.T, w *world, p *process, m *model, trace []string) {
	t.Helper()
	want := m.tree(t)
	got := map[string]string{}
	var walk func(dir string)
	walk = func(dir string) {
		for _, name := range p.list(strings.TrimSuffix(dir, "/")) {
			path := dir + name
			if p.stat(path).IsDir() {
				got[path] = "/"
				walk(path + "/")
				continue
			}
			got[path] = p.read(path)
			if size := p.stat(path).Size; size != uint64(len(got[path])) {
				t.Errorf("%s: size %d, %d bytes", path, size, len(got[path]))
			}
		}
	}
	walk("")
	bad := false
	for path, text := range want {
		if g, ok := got[path]; !ok || g != text {
			t.Errorf("%s: %q (there: %v), the disk has %q", path, g, ok, text)
			bad = true
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s is there and not on the disk", path)
			bad = true
		}
	}
	if bad {
		t.Fatalf("trace:\n%s", strings.Join(trace[max(len(trace)-40, 0):], "\n"))
	}
}
