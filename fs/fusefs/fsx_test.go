package fusefs

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// fsxOps is how many operations TestFsx does; make fsx sets FSX to do more.
func fsxOps(t *testing.T) int {
	s := os.Getenv("FSX")
	if s == "" {
		return 800
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("FSX is not a number: %v", err)
	}
	return n
}

// fsxSeed is where random numbers begin: somewhere else in each long run, unless
// FSX_SEED repeats one.
func fsxSeed(t *testing.T) uint64 {
	seed := uint64(1)
	if os.Getenv("FSX") != "" {
		seed = rand.Uint64()
	}
	if s := os.Getenv("FSX_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("FSX_SEED=%d", seed)
	return seed
}

// TestFsx does random operations on the bytes of one file and compares with a
// model, while a second device edits other files.
func TestFsx(t *testing.T) {
	folders := serve(t, 2)
	seed := fsxSeed(t)
	stop := make(chan struct{})
	var other sync.WaitGroup
	other.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			path := filepath.Join(folders[1], fmt.Sprint("other", i%5))
			if err := os.WriteFile(path, fmt.Append(nil, i), 0o644); err != nil {
				t.Error(err)
				return
			}
		}
	})
	f := &fsx{t: t, path: filepath.Join(folders[0], "file"), r: rand.New(rand.NewPCG(seed, 0))}
	for range fsxOps(t) {
		f.step()
		if t.Failed() {
			break
		}
	}
	close(stop)
	other.Wait()
	if f.file != nil {
		f.file.Close()
	}
	if t.Failed() {
		return
	}
	eventually(t, "the other device has the file", func() bool {
		data, err := os.ReadFile(filepath.Join(folders[1], "file"))
		return err == nil && bytes.Equal(data, f.want)
	})
}

// fsx is a file and what it should hold.
type fsx struct {
	t    *testing.T
	path string
	r    *rand.Rand
	want []byte
	file *os.File
	last []string
	puts []put
}

// A put is a step that wrote bytes.
type put struct {
	step     int
	from, to int64
	with     byte
}

// wrote says which of the last steps wrote a byte.
func (f *fsx) wrote(at int64) []string {
	var out []string
	for _, p := range f.puts {
		if p.from <= at && at < p.to {
			out = append(out, fmt.Sprintf("step %d of %d: %d to %d with %x", p.step, len(f.last), p.from, p.to, p.with))
		}
	}
	return out[max(0, len(out)-5):]
}

const fsxSize = 300 << 10 // through all the ways in which a file is kept

func (f *fsx) step() {
	f.t.Helper()
	if f.file == nil {
		var err error
		if f.file, err = os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o644); err != nil {
			f.t.Fatal(err)
		}
	}
	off, n := int64(f.r.IntN(fsxSize)), f.r.IntN(16<<10)
	if f.r.IntN(4) > 0 {
		off = int64(f.r.IntN(len(f.want) + 1))
	}
	data := f.bytes(n)
	var err error
	what := ""
	switch op := f.r.IntN(100); {
	case op < 30:
		what = fmt.Sprintf("write %d at %d", n, off)
		_, err = f.file.WriteAt(data, off)
		f.put(off, data)
	case op < 60:
		what = fmt.Sprintf("read %d at %d", n, off)
		err = f.check(off, n)
	case op < 70:
		what = fmt.Sprintf("truncate to %d", off)
		err = f.file.Truncate(off)
		f.cut(off)
	case op < 75:
		what = fmt.Sprintf("truncate by name to %d", off)
		err = os.Truncate(f.path, off)
		f.cut(off)
	case op < 80:
		what = fmt.Sprintf("allocate %d at %d", n+1, off)
		err = syscall.Fallocate(int(f.file.Fd()), 0, off, int64(n+1))
		if end := off + int64(n) + 1; end > int64(len(f.want)) {
			f.cut(end)
		}
	case op < 85:
		what = fmt.Sprintf("write %d through a mapping at %d", n, off)
		err = f.mapped(off, data)
	case op < 90:
		what = "sync"
		err = f.file.Sync()
	case op < 94:
		what = "stat"
		var st os.FileInfo
		if st, err = os.Stat(f.path); err == nil && st.Size() != int64(len(f.want)) {
			err = fmt.Errorf("%d bytes, want %d", st.Size(), len(f.want))
		}
	case op < 97:
		what = "rename over the file"
		err = f.replace(data)
	default:
		what = "close and open"
		err = f.file.Close()
		f.file = nil
	}
	f.last = append(f.last, what)
	if err != nil {
		f.t.Errorf("%s: %v; before it:\n%s", what, err, strings.Join(f.last[max(0, len(f.last)-20):], "\n"))
	}
}

// bytes are text or not, so that the file is now the one and now the other.
func (f *fsx) bytes(n int) []byte {
	data := make([]byte, n)
	c := byte('a' + f.r.IntN(26))
	if f.r.IntN(3) == 0 {
		c = byte(f.r.IntN(256))
	}
	for i := range data {
		data[i] = c
	}
	return data
}

func (f *fsx) cut(n int64) {
	if n <= int64(len(f.want)) {
		f.want = f.want[:n:n]
		return
	}
	f.want = append(f.want, make([]byte, n-int64(len(f.want)))...)
}

func (f *fsx) put(off int64, data []byte) {
	if end := off + int64(len(data)); len(data) > 0 && end > int64(len(f.want)) {
		f.cut(end)
	}
	if len(data) > 0 {
		copy(f.want[off:], data)
		f.puts = append(f.puts, put{len(f.last), off, off + int64(len(data)), data[0]})
	}
}

func (f *fsx) check(off int64, n int) error {
	got := make([]byte, n)
	m, err := f.file.ReadAt(got, off)
	if err != nil && err != io.EOF {
		return err
	}
	var want []byte
	if off < int64(len(f.want)) {
		want = f.want[off:min(off+int64(n), int64(len(f.want)))]
	}
	if !bytes.Equal(got[:m], want) {
		for i := range min(m, len(want)) {
			if got[i] != want[i] {
				at := off + int64(i)
				fresh := make([]byte, 1)
				if d, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_DIRECT, 0); err == nil {
					d.ReadAt(fresh, at)
					d.Close()
				}
				return fmt.Errorf("%d bytes, want %d; byte %d is %x, want %x; past the cache it is %x; written in\n%s",
					m, len(want), at, got[i], want[i], fresh, strings.Join(f.wrote(at), "\n"))
			}
		}
		return fmt.Errorf("%d bytes, want %d", m, len(want))
	}
	return nil
}

// mapped writes through a shared mapping of the whole file.
func (f *fsx) mapped(off int64, data []byte) error {
	if off >= int64(len(f.want)) || len(data) == 0 {
		return nil
	}
	m, err := syscall.Mmap(int(f.file.Fd()), 0, len(f.want), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	data = data[:min(len(data), len(f.want)-int(off))]
	copy(m[off:], data)
	f.put(off, data)
	if err := syscall.Munmap(m); err != nil {
		return err
	}
	return f.file.Sync()
}

// replace saves as most editors do.
func (f *fsx) replace(data []byte) error {
	if err := f.file.Close(); err != nil {
		return err
	}
	f.file = nil
	if err := os.WriteFile(f.path+".new", data, 0o644); err != nil {
		return err
	}
	f.want = bytes.Clone(data)
	return os.Rename(f.path+".new", f.path)
}
