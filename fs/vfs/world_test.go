package vfs

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
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

	watching map[uint32]bool // processes that watch every folder
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
	w.fs.watchers.custom = func(pid uint32, _, _ Ino) bool { return w.watching[pid] }
	told := make(chan []Invalidation, 10000)
	w.told = told
	w.fs.Invalidations(func(i []Invalidation) { told <- i })
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
		v.resting.close()
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
