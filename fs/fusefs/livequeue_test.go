package fusefs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echofs/echofs/fs/vfs"
)

// fakeWorker writes down what it is to do.
type fakeWorker struct {
	mu    sync.Mutex
	tasks []string
	hang  chan struct{} // if not nil, do waits for it
	fail  error
	errno map[string]syscall.Errno // by what is done
}

func (w *fakeWorker) thread() int           { return 1 }
func (w *fakeWorker) gone() <-chan struct{} { return nil }
func (w *fakeWorker) stop(bool)             {}

func (w *fakeWorker) do(ctx context.Context, t task) (syscall.Errno, error) {
	if w.hang != nil {
		select {
		case <-w.hang:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	what := map[deed]string{deedCreate: "create", deedModify: "modify", deedAttrib: "attrib", deedDelete: "delete", deedRename: "rename " + t.OldName + " to"}
	did := what[t.Deed] + " " + t.Name
	w.tasks = append(w.tasks, did)
	return w.errno[did], w.fail
}

func (w *fakeWorker) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.tasks)
}

// liven runs fn beside a live whose helper is w, in a bubble whose time stands
// still. Nothing that it is told of is there when it looks.
func liven(t *testing.T, w worker, fn func(*live)) {
	synctest.Test(t, func(t *testing.T) {
		v := vfs.New(vfs.Config{Dir: t.TempDir()})
		l := newLive(v, slog.New(slog.DiscardHandler), func(context.Context) (worker, error) { return w, nil })
		l.lost = func([]vfs.Invalidation) {}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { l.run(ctx) })
		fn(l)
		cancel()
		run.Wait()
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
}

// deleted is a file that was deleted, moved one that was renamed.
func deleted(name string) vfs.Invalidation {
	return vfs.Invalidation{Delete: true, Ino: 7, Parent: 2, Name: name, Kind: syscall.S_IFREG, At: at(name)}
}

func moved(from, to string) vfs.Invalidation {
	return vfs.Invalidation{Entry: true, Ino: 8, Parent: 2, Name: to, Kind: syscall.S_IFREG, At: at(to), From: at(from)}
}

func at(name string) *vfs.Place {
	return &vfs.Place{Folder: []vfs.Step{{Name: "space", Ino: 2}}, Name: name}
}

// TestLiveOrder checks that the helper comes after the kernel's caches, and that
// the caches are not told that a file is dead which the helper is to delete.
func TestLiveOrder(t *testing.T) {
	w := &fakeWorker{}
	liven(t, w, func(l *live) {
		l.setSlow(true) // or the kernel would hear of a from the helper only
		changes, mark := l.announce([]vfs.Invalidation{deleted("a"), moved("b", "c")})
		synctest.Wait()
		if got := w.all(); len(got) != 0 {
			t.Errorf("before the caches were told: %q", got)
		}
		if changes[0].Ino != 0 || changes[1].Ino != 8 {
			t.Errorf("the caches are told %+v", changes)
		}
		for _, name := range []string{"a", "b", "c"} {
			if !l.pending(dirent{2, name}) {
				t.Errorf("%s may be cached", name)
			}
		}
		l.told(mark)
		synctest.Wait()
		if l.pending(dirent{2, "a"}) || l.pending(dirent{2, "b"}) {
			t.Error("names may not be cached afterwards")
		}
	})
	want := []string{"delete a", "rename b to c"}
	if got := w.all(); !slices.Equal(got[:2], want) {
		t.Errorf("did %q, want %q", got, want)
	}
}

// TestLiveMerges checks which changes become one.
func TestLiveMerges(t *testing.T) {
	content := vfs.Invalidation{Content: true, Attr: true, Ino: 8, Parent: 2, Name: "doc", At: at("doc")}
	attr := content
	attr.Content = false
	created := content
	created.Content, created.Entry = false, true
	over := deleted("doc")
	over.Ino = 9
	replaced := moved("tmp", "doc")
	for _, tt := range []struct {
		name    string
		changes [][]vfs.Invalidation
		want    string
	}{
		{"a write sets the time", [][]vfs.Invalidation{{content, attr}}, "[1]"},
		{"a new file with content", [][]vfs.Invalidation{{created, content, attr}}, "[0]"},
		{"many edits", [][]vfs.Invalidation{{content}, {content}, {content}}, "[1]"},
		{"chmod after an edit", [][]vfs.Invalidation{{content}, {attr}}, "[1 2]"},
		{"replaced", [][]vfs.Invalidation{{over, replaced}}, "[4]"},
		{"edit, replaced, edit", [][]vfs.Invalidation{{content}, {over, replaced}, {content}}, "[1 4 1]"},
		{"not about a place", [][]vfs.Invalidation{{{Content: true, Ino: 8}}}, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLive(nil, slog.New(slog.DiscardHandler), func(context.Context) (worker, error) { return nil, os.ErrInvalid })
			for _, c := range tt.changes {
				l.announce(c)
			}
			got := []deed{}
			for _, e := range l.queue {
				if !e.taken {
					got = append(got, e.deed)
				}
			}
			if fmt.Sprint(got) != tt.want || l.waiting != len(got) {
				t.Errorf("%v and %d wait, want %s", got, l.waiting, tt.want)
			}
		})
	}
}

// TestLiveBounded checks that a helper that does nothing costs no more than the
// queue, holds nobody up, and that what did not fit is told in short.
func TestLiveBounded(t *testing.T) {
	w := &fakeWorker{hang: make(chan struct{})}
	liven(t, w, func(l *live) {
		var mark uint64
		for i := range liveLimit + 5000 {
			_, mark = l.announce([]vfs.Invalidation{deleted(fmt.Sprint("f", i))})
		}
		for range 100000 {
			_, mark = l.announce([]vfs.Invalidation{{Content: true, Ino: 8, Parent: 2, Name: "f1", At: at("f1")}})
		}
		if l.waiting > liveLimit || len(l.missed) != 1 {
			t.Errorf("%d wait, %d are missed", l.waiting, len(l.missed))
		}
		l.told(mark)
		close(w.hang)
		synctest.Wait()
		if l.waiting != 0 || len(l.names) != 0 || len(l.last) != 0 || len(l.missed) != 0 {
			t.Errorf("left: %d events, %d names, %d, %d", l.waiting, len(l.names), len(l.last), len(l.missed))
		}
	})
	if got := w.all(); len(got) < liveLimit {
		t.Errorf("did %d tasks", len(got))
	}
}

// TestLiveBackOff checks that a helper that fails is started again, and not at
// full speed, that the next one tries once more what it failed at, and that
// names it did not delete are dropped by other means.
func TestLiveBackOff(t *testing.T) {
	w := &fakeWorker{fail: os.ErrDeadlineExceeded}
	liven(t, w, func(l *live) {
		synctest.Wait()   // the first one is there
		var mu sync.Mutex // guards starts and lost
		starts, lost := 0, map[string]int{}
		launch := l.launch
		l.launch = func(ctx context.Context) (worker, error) {
			mu.Lock()
			defer mu.Unlock()
			starts++
			return launch(ctx)
		}
		l.lost = func(changes []vfs.Invalidation) {
			mu.Lock()
			defer mu.Unlock()
			for _, c := range changes {
				lost[c.Name]++
			}
		}
		l.setSlow(true) // or the kernel would hear of the names from the helper only
		_, mark := l.announce([]vfs.Invalidation{deleted("a"), deleted("b"), deleted("c")})
		l.told(mark)
		for _, want := range []struct {
			after        time.Duration
			starts, lost int
		}{{0, 0, 1}, {minPause + 2*minPause, 2, 2}, {10 * maxPause, 6, 3}} {
			wait(want.after)
			synctest.Wait()
			mu.Lock()
			if starts != want.starts || len(lost) != want.lost {
				t.Errorf("after %v: %d starts, %v lost", want.after, starts, lost)
			}
			mu.Unlock()
		}
	})
}

// TestLiveQuiet checks when the kernel is not told of a name because the helper
// will see to it, and that it is after all when the helper fails.
func TestLiveQuiet(t *testing.T) {
	created := vfs.Invalidation{Entry: true, Ino: 8, Parent: 2, Name: "new", Kind: syscall.S_IFREG, At: at("new")}
	w := &fakeWorker{fail: os.ErrDeadlineExceeded}
	liven(t, w, func(l *live) {
		var lost []string
		l.lost = func(changes []vfs.Invalidation) {
			for _, c := range changes {
				lost = append(lost, c.Name)
			}
		}
		synctest.Wait() // the helper is there
		told, mark := l.announce([]vfs.Invalidation{created, deleted("old"), moved("a", "b")})
		for i, want := range []vfs.Invalidation{{Content: true, Ino: 2}, {Content: true, Ino: 2}, moved("a", "b")} {
			if got := told[i]; got.Entry != want.Entry || got.Delete || got.Ino != want.Ino {
				t.Errorf("%d: the kernel is told %+v", i, got)
			}
		}
		l.told(mark)
		synctest.Wait()
		if slices.Sort(lost); !slices.Equal(slices.Compact(lost), []string{"new", "old"}) {
			t.Errorf("after the helper failed, the kernel is told of %q", lost)
		}
		if told, _ = l.announce([]vfs.Invalidation{deleted("later")}); !told[0].Delete {
			t.Error("without a helper, the kernel is not told")
		}
	})
}

// TestLiveRetries checks that what the helper could not do is tried again, when
// the kernel has forgotten the names, before anything else, and not for ever.
func TestLiveRetries(t *testing.T) {
	w := &fakeWorker{errno: map[string]syscall.Errno{"delete a": syscall.ENOENT, "rename b to c": syscall.ESTALE, "delete c": syscall.EAGAIN}}
	liven(t, w, func(l *live) {
		var forgotten []string
		l.forget = func(names ...dirent) {
			for _, at := range names {
				if !l.pending(at) {
					t.Errorf("%s may be cached again at once", at.name)
				}
				forgotten = append(forgotten, at.name)
			}
		}
		lost := map[string]bool{}
		l.lost = func(changes []vfs.Invalidation) {
			for _, c := range changes {
				lost[c.Name] = true
			}
		}
		_, mark := l.announce([]vfs.Invalidation{deleted("a"), moved("b", "c"), deleted("d")})
		l.told(mark)
		synctest.Wait()
		if !slices.Equal(forgotten[:3], []string{"a", "c", "b"}) {
			t.Errorf("the kernel forgets %q", forgotten)
		}
		if len(l.names) > 0 || l.waiting > 0 || !lost["a"] {
			t.Errorf("left: %v, %d events; dropped: %v", l.names, l.waiting, lost)
		}
	})
	got := w.all()
	if len(got) > 20 || !slices.Equal(got[:5], []string{"delete a", "delete a", "rename b to c", "rename b to c", "delete d"}) {
		t.Errorf("did %q", got)
	}
}

// TestLiveSettles checks that watchers are told how it is in the end, if a
// program here was heard in between.
func TestLiveSettles(t *testing.T) {
	w := &fakeWorker{}
	liven(t, w, func(l *live) {
		w.hang = make(chan struct{})
		inRoot := func(name string) vfs.Invalidation {
			i := deleted(name)
			i.Parent, i.At = vfs.RootIno, &vfs.Place{Name: name}
			return i
		}
		_, mark := l.announce([]vfs.Invalidation{inRoot("a"), inRoot("b")})
		l.told(mark)
		synctest.Wait()
		l.did(dirent{vfs.RootIno, "a"}, isThere) // and it went without a word
		l.did(dirent{vfs.RootIno, "b"}, isGone)
		l.did(dirent{vfs.RootIno, "other"}, isThere)
		w.hang <- struct{}{}
		synctest.Wait()
		l.did(dirent{vfs.RootIno, "a"}, isGone)
		close(w.hang)
		synctest.Wait()
		if len(l.names) > 0 {
			t.Errorf("left: %v", l.names)
		}
	})
	if got := w.all(); !slices.Equal(got, []string{"delete a", "delete a"}) {
		t.Errorf("did %q", got)
	}
}
