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

	"github.com/echofs/echofs/fs/vfs"
)

// fakeWorker writes down what it is to do.
type fakeWorker struct {
	mu    sync.Mutex
	tasks []string
	hang  chan struct{} // if not nil, do waits for it
	fail  error
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
	w.tasks = append(w.tasks, what[t.Deed]+" "+t.Name)
	return 0, w.fail
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
// full speed, and that names it did not delete are dropped by other means.
func TestLiveBackOff(t *testing.T) {
	w := &fakeWorker{fail: os.ErrDeadlineExceeded}
	liven(t, w, func(l *live) {
		starts, lost := 0, 0
		launch := l.launch
		l.launch = func(ctx context.Context) (worker, error) { starts++; return launch(ctx) }
		l.lost = func(c []vfs.Invalidation) { lost += len(c) }
		_, mark := l.announce([]vfs.Invalidation{deleted("a"), deleted("b"), deleted("c")})
		l.told(mark)
		synctest.Wait()
		if starts != 1 || lost != 1 {
			t.Errorf("%d starts, %d lost, at once", starts, lost)
		}
		wait(minPause + 2*minPause)
		synctest.Wait()
		if starts != 3 || lost != 3 {
			t.Errorf("%d starts, %d lost", starts, lost)
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
