package vfs

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity"
)

// A world is one device with one space called "s", in a synctest bubble.
type world struct {
	t      testing.TB
	dir    string
	device *identity.Device
	space  *space.Space
	fs     *FS
	told   chan []Invalidation
	stop   func()
}

func newDevice(t testing.TB, name string) *identity.Device {
	t.Helper()
	d, err := identity.NewDevice(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), device: newDevice(t, "a")}
	s, err := space.Create(w.config(), "s")
	if err != nil {
		t.Fatal(err)
	}
	w.start(s)
	t.Cleanup(func() { w.close() })
	return w
}

func (w *world) config() space.Config {
	return space.Config{Dir: filepath.Join(w.dir, "space"), Device: w.device}
}

func (w *world) start(s *space.Space) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	w.space = s
	w.fs = New(Config{
		Dir: filepath.Join(w.dir, "local"), UID: 1000, GID: 1000,
		Process: func(tid uint32) uint32 { return tid },
	})
	w.told = make(chan []Invalidation, 10000)
	w.fs.Invalidations(func(i []Invalidation) { w.told <- i })
	if err := w.fs.Add("s", s); err != nil {
		w.t.Fatal(err)
	}
	w.stop = func() {
		cancel()
		<-done
		if err := s.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) close() {
	if w.stop == nil {
		return
	}
	if err := w.fs.Close(); err != nil {
		w.t.Errorf("Close: %v", err)
	}
	w.stop()
	w.stop = nil
}

// crash forgets the file system as kill -9 does, and starts another on the same
// folders. The space is stopped in an orderly way: its own tests kill it.
func (w *world) crash() {
	w.t.Helper()
	w.fs.mu.Lock()
	vols := w.fs.volumes
	w.fs.mu.Unlock()
	for _, v := range vols {
		v.mu.Lock()
		v.closed = true
		if v.timer != nil {
			v.timer.Stop()
		}
		v.mu.Unlock()
		v.unsubscribe()
		v.cancel()
	}
	w.stop()
	s, err := space.Open(w.config())
	if err != nil {
		w.t.Fatal(err)
	}
	w.start(s)
}

// A process makes system calls.
type process struct {
	w   *world
	pid uint32
}

func (w *world) process(pid uint32) *process { return &process{w, pid} }

func (p *process) caller() Caller { return Caller{PID: p.pid, UID: 1000, GID: 1000} }

// walk finds the folder of a path and its last part.
func (p *process) walk(path string) (Ino, string, error) {
	parts := strings.Split("s/"+path, "/")
	ino := RootIno
	for _, name := range parts[:len(parts)-1] {
		a, err := p.w.fs.Lookup(p.caller(), ino, name)
		if err != nil {
			return 0, "", err
		}
		ino = a.Ino
	}
	return ino, parts[len(parts)-1], nil
}

func (p *process) lookup(path string) (Attr, error) {
	dir, name, err := p.walk(path)
	if err != nil {
		return Attr{}, err
	}
	return p.w.fs.Lookup(p.caller(), dir, name)
}

func (p *process) must(what string, err error) {
	p.w.t.Helper()
	if err != nil {
		p.w.t.Fatalf("%s: %v", what, err)
	}
}

func (p *process) tryOpen(path string, flags uint32) (*Handle, error) {
	dir, name, err := p.walk(path)
	if err != nil {
		return nil, err
	}
	if flags&syscall.O_CREAT != 0 {
		_, h, err := p.w.fs.Create(p.caller(), dir, name, flags, 0o644)
		return h, err
	}
	a, err := p.w.fs.Lookup(p.caller(), dir, name)
	if err != nil {
		return nil, err
	}
	return p.w.fs.Open(p.caller(), a.Ino, flags)
}

func (p *process) open(path string, flags uint32) *Handle {
	p.w.t.Helper()
	h, err := p.tryOpen(path, flags)
	p.must("open "+path, err)
	return h
}

func (p *process) writeTo(h *Handle, off int64, text string) {
	p.w.t.Helper()
	n, err := h.Write(p.caller(), []byte(text), off)
	p.must("write", err)
	if n != len(text) {
		p.w.t.Fatalf("wrote %d of %d bytes", n, len(text))
	}
}

func (p *process) readFrom(h *Handle) string {
	p.w.t.Helper()
	var out []byte
	buf := make([]byte, 4096)
	for {
		n, err := h.Read(p.caller(), buf, int64(len(out)))
		p.must("read", err)
		if n == 0 {
			return string(out)
		}
		out = append(out, buf[:n]...)
	}
}

func (p *process) flush(h *Handle) {
	p.w.t.Helper()
	p.must("flush", h.Flush(p.caller()))
}

func (p *process) fsync(h *Handle) {
	p.w.t.Helper()
	p.must("fsync", h.Fsync(p.caller()))
}

func (p *process) close(h *Handle) {
	p.w.t.Helper()
	p.must("flush", h.Flush(p.caller()))
	p.must("release", h.Release(p.caller()))
}

func (p *process) read(path string) string {
	p.w.t.Helper()
	h := p.open(path, syscall.O_RDONLY)
	defer p.close(h)
	return p.readFrom(h)
}

// write makes a file of text as cp does.
func (p *process) write(path, text string) {
	p.w.t.Helper()
	h := p.open(path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC)
	if text != "" {
		p.writeTo(h, 0, text)
	}
	p.close(h)
}

func (p *process) tryRename(from, to string, flags uint32) error {
	d1, n1, err := p.walk(from)
	if err != nil {
		return err
	}
	d2, n2, err := p.walk(to)
	if err != nil {
		return err
	}
	return p.w.fs.Rename(p.caller(), d1, n1, d2, n2, flags)
}

func (p *process) rename(from, to string) {
	p.w.t.Helper()
	p.must("rename "+from+" "+to, p.tryRename(from, to, 0))
}

func (p *process) tryUnlink(path string) error {
	dir, name, err := p.walk(path)
	if err != nil {
		return err
	}
	return p.w.fs.Unlink(p.caller(), dir, name)
}

func (p *process) unlink(path string) {
	p.w.t.Helper()
	p.must("unlink "+path, p.tryUnlink(path))
}

func (p *process) mkdir(path string) {
	p.w.t.Helper()
	dir, name, err := p.walk(path)
	if err == nil {
		_, err = p.w.fs.Mkdir(p.caller(), dir, name, 0o755)
	}
	p.must("mkdir "+path, err)
}

func (p *process) stat(path string) Attr {
	p.w.t.Helper()
	a, err := p.lookup(path)
	p.must("stat "+path, err)
	return a
}

func (p *process) set(path string, s SetAttr) {
	p.w.t.Helper()
	a, err := p.lookup(path)
	if err == nil {
		_, err = p.w.fs.Setattr(p.caller(), a.Ino, nil, s)
	}
	p.must("setattr "+path, err)
}

func (p *process) list(path string) []string {
	p.w.t.Helper()
	ino := Ino(0)
	if path == "" {
		a, err := p.w.fs.Lookup(p.caller(), RootIno, "s")
		p.must("lookup", err)
		ino = a.Ino
	} else {
		ino = p.stat(path).Ino
	}
	entries, err := p.w.fs.ReadDir(p.caller(), ino)
	p.must("readdir", err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	sort.Strings(names)
	return names
}

// node is the ID of what a path is in the space.
func (w *world) node(path string) space.NodeID {
	w.t.Helper()
	info, err := w.find(path)
	if err != nil {
		w.t.Fatalf("%s is not in the space: %v", path, err)
	}
	return info.ID
}

func (w *world) find(path string) (space.Info, error) {
	id := space.Root
	var info space.Info
	for _, name := range strings.Split(path, "/") {
		var err error
		if info, err = w.space.Lookup(id, name); err != nil {
			return info, err
		}
		id = info.ID
	}
	return info, nil
}

// published is what the root of the space has: what peers see.
func (w *world) published() []string {
	w.t.Helper()
	infos, err := w.space.List(space.Root)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
	}
	sort.Strings(names)
	return names
}

func (w *world) text(id space.NodeID) string {
	w.t.Helper()
	snap, err := w.space.Open(id)
	if err != nil {
		w.t.Fatal(err)
	}
	defer snap.Close()
	data, ok := snap.Bytes()
	if !ok {
		w.t.Fatal("not text")
	}
	return string(data)
}

// remote changes a text as if a peer had, from the version that is current.
func (w *world) remote(id space.NodeID, text string) {
	w.t.Helper()
	info, err := w.space.Stat(id)
	if err == nil {
		_, err = w.space.Save(id, &info.Version, space.BytesContent([]byte(text)), time.Now())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// pass lets time go by until everything held is published.
func (w *world) pass() {
	time.Sleep(2 * holdTime)
	synctest.Wait()
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// TestMain commits once outside of any bubble: the shared compressors make
// channels at first use, and a channel made in one bubble is no use in another.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "vfs")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		device, err := identity.NewDevice(rand.Reader, "warm")
		if err != nil {
			panic(err)
		}
		s, err := space.Create(space.Config{Dir: dir, Device: device}, "s")
		if err != nil {
			panic(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go s.Run(ctx)
		n := space.New{Content: space.BytesContent([]byte(strings.Repeat("warm ", 1000)))}
		for _, name := range []string{"a", "b"} {
			committed, stop := s.Notify()
			if _, err := s.Create(space.Root, name, n); err != nil {
				panic(err)
			}
			<-committed
			stop()
		}
		if err := s.Rebuild(ctx); err != nil { // decompresses
			panic(err)
		}
		cancel()
		s.Close()
		return m.Run()
	}())
}
