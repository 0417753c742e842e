package fusefs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A watcher collects what the kernel tells a program that watches.
type watcher struct {
	fd int

	mu     sync.Mutex // guards the fields below
	names  map[int32]string
	events []string
}

var eventNames = []struct {
	mask uint32
	name string
}{
	{unix.IN_CREATE, "CREATE"}, {unix.IN_OPEN, "OPEN"}, {unix.IN_MODIFY, "MODIFY"}, {unix.IN_ATTRIB, "ATTRIB"},
	{unix.IN_CLOSE_WRITE, "CLOSE_WRITE"}, {unix.IN_DELETE, "DELETE"}, {unix.IN_MOVED_FROM, "MOVED_FROM"},
	{unix.IN_MOVED_TO, "MOVED_TO"}, {unix.IN_DELETE_SELF, "DELETE_SELF"}, {unix.IN_MOVE_SELF, "MOVE_SELF"},
	{unix.IN_IGNORED, "IGNORED"}, {unix.IN_Q_OVERFLOW, "OVERFLOW"},
}

// watchAll watches folders and files, by the names that events are to have.
func watchAll(t testing.TB, dir string, paths ...string) *watcher {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{fd: fd, names: map[int32]string{}}
	for _, p := range paths {
		const mask = unix.IN_CREATE | unix.IN_OPEN | unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_CLOSE_WRITE | unix.IN_DELETE |
			unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
		wd, err := unix.InotifyAddWatch(fd, filepath.Join(dir, p), mask)
		if err != nil {
			t.Fatalf("watch %s: %v", p, err)
		}
		w.names[int32(wd)] = p
	}
	done := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if n, _ := unix.Poll(fds, 20); n > 0 {
				w.read()
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
		unix.Close(fd)
	})
	return w
}

func (w *watcher) read() {
	buf := make([]byte, 64<<10)
	n, err := unix.Read(w.fd, buf)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
		wd := int32(binary.NativeEndian.Uint32(b))
		mask := binary.NativeEndian.Uint32(b[4:])
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:size], []byte{0})
		b = b[size:]
		for _, e := range eventNames {
			if mask&e.mask == 0 || mask&(unix.IN_OPEN|unix.IN_ISDIR) == unix.IN_OPEN|unix.IN_ISDIR {
				continue // rm looks into folders, which changes nothing
			}
			what := fmt.Sprintf("%s:%s %s", w.names[wd], name, e.name)
			if mask&unix.IN_ISDIR != 0 {
				what += "|ISDIR"
			}
			w.events = append(w.events, what)
		}
	}
}

func (w *watcher) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

func (w *watcher) has(what string) bool { return slices.Contains(w.all(), what) }

// by groups events by what was watched: between watches their order is not
// fixed, nor is that of several files that are deleted at once.
func by(events []string) string {
	groups := map[string][]string{}
	var keys []string
	for _, e := range events {
		key, _, _ := strings.Cut(e, ":")
		if groups[key] == nil {
			keys = append(keys, key)
		}
		if l := groups[key]; len(l) == 0 || l[len(l)-1] != e { // as the kernel does
			groups[key] = append(groups[key], e)
		}
	}
	slices.Sort(keys)
	var out []string
	for _, k := range keys {
		if slices.ContainsFunc(groups[k], func(e string) bool { return strings.Contains(e, " DELETE") }) {
			slices.Sort(groups[k])
		}
		out = append(out, groups[k]...)
	}
	return strings.Join(out, "\n")
}
