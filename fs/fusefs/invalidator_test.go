package fusefs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/echofs/echofs/fs/vfs"
)

// fakeKernel writes down what it is told.
type fakeKernel struct {
	mu    sync.Mutex
	told  []string
	reply map[string]fuse.Status // by what was told; the zero value is OK
	hang  map[uint64]chan struct{}
}

func (k *fakeKernel) note(format string, args ...any) fuse.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	what := fmt.Sprintf(format, args...)
	k.told = append(k.told, what)
	return k.reply[what]
}

func (k *fakeKernel) InodeNotify(ino uint64, off, _ int64) fuse.Status {
	if gate := k.hang[ino]; gate != nil {
		<-gate
	}
	if off < 0 {
		return k.note("attributes of %d", ino)
	}
	return k.note("content of %d", ino)
}

func (k *fakeKernel) EntryNotify(parent uint64, name string) fuse.Status {
	return k.note("name %s in %d", name, parent)
}

func (k *fakeKernel) DeleteNotify(parent, child uint64, name string) fuse.Status {
	return k.note("%d is no longer %s in %d", child, name, parent)
}

func (k *fakeKernel) all() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.told)
}

// invalidate runs fn beside an invalidator, in a bubble whose time stands still.
func invalidate(t *testing.T, k *fakeKernel, fn func(*invalidator)) {
	synctest.Test(t, func(t *testing.T) {
		v := newInvalidator(k, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { v.run(ctx) })
		fn(v)
		v.close()
		cancel()
		run.Wait()
	})
}

func TestInvalidatorOrder(t *testing.T) {
	k := &fakeKernel{}
	invalidate(t, k, func(v *invalidator) {
		v.add([]vfs.Invalidation{
			{Entry: true, Parent: 2, Name: "doc", Ino: 7},
			{Content: true, Ino: 7},
		})
		synctest.Wait()
	})
	want := []string{"content of 7", "name doc in 2", "content of 2"}
	if got := k.all(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestInvalidatorCoalesces(t *testing.T) {
	k := &fakeKernel{}
	invalidate(t, k, func(v *invalidator) {
		gate := make(chan struct{})
		k.hang = map[uint64]chan struct{}{1: gate}
		v.add([]vfs.Invalidation{{Attr: true, Ino: 1}})
		synctest.Wait()
		for range 1000 { // while the kernel sits on the first one
			v.add([]vfs.Invalidation{{Attr: true, Ino: 2}, {Content: true, Ino: 2}, {Attr: true, Ino: 2}})
		}
		close(gate)
		synctest.Wait()
	})
	want := []string{"attributes of 1", "content of 2"}
	if got := k.all(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestInvalidatorHungKernel checks that one notice the kernel does not take
// delays the others a little, not for ever, and that the queue is bounded.
func TestInvalidatorHungKernel(t *testing.T) {
	k := &fakeKernel{}
	invalidate(t, k, func(v *invalidator) {
		gate := make(chan struct{})
		k.hang = map[uint64]chan struct{}{1: gate}
		v.add([]vfs.Invalidation{{Content: true, Ino: 1}, {Entry: true, Parent: 2, Name: "a"}})
		synctest.Wait()
		if got := k.all(); len(got) != 0 {
			t.Errorf("names were told before contents: %q", got)
		}
		for len(k.all()) < 2 {
			wait(patience)
		}
		v.add([]vfs.Invalidation{{Content: true, Ino: 3}})
		synctest.Wait()
		if got := k.all(); !slices.Contains(got, "content of 3") {
			t.Errorf("a hung notice holds up others: %q", got)
		}
		close(gate)
		synctest.Wait()
	})
}

func TestInvalidatorQueueIsBounded(t *testing.T) {
	k := &fakeKernel{hang: map[uint64]chan struct{}{}}
	invalidate(t, k, func(v *invalidator) {
		gate := make(chan struct{})
		for i := range uint64(noticesInFlight + 1) {
			k.hang[i] = gate
		}
		for i := range vfs.Ino(noticesInFlight + 1) {
			v.add([]vfs.Invalidation{{Content: true, Ino: i}})
		}
		synctest.Wait()
		added := make(chan struct{})
		go func() {
			defer close(added)
			for i := range vfs.Ino(queueLimit + 10) {
				v.add([]vfs.Invalidation{{Content: true, Ino: 1000 + i}})
			}
		}()
		synctest.Wait()
		v.mu.Lock()
		n := v.pending.len()
		v.mu.Unlock()
		if n > queueLimit+1 {
			t.Errorf("%d notices wait, the limit is %d", n, queueLimit)
		}
		select {
		case <-added:
			t.Error("add did not wait")
		default:
		}
		close(gate)
		<-added
	})
}

// TestInvalidatorRepeatsEarlyNotices checks the race between a reply on its way
// into the kernel and the notice that makes it old.
func TestInvalidatorRepeatsEarlyNotices(t *testing.T) {
	k := &fakeKernel{reply: map[string]fuse.Status{"content of 5": fuse.ENOENT}}
	invalidate(t, k, func(v *invalidator) {
		v.add([]vfs.Invalidation{{Content: true, Ino: 5}})
		synctest.Wait()
		wait(raceWindow)
		synctest.Wait()
		wait(10 * raceWindow)
		synctest.Wait()
	})
	if got := k.all(); len(got) != 2 {
		t.Errorf("told %q, want the same twice", got)
	}
}

func TestInvalidatorDelete(t *testing.T) {
	k := &fakeKernel{reply: map[string]fuse.Status{
		"8 is no longer full in 2": fuse.Status(39), // ENOTEMPTY, as far as the kernel knows
	}}
	invalidate(t, k, func(v *invalidator) {
		v.add([]vfs.Invalidation{{Delete: true, Parent: 2, Name: "gone", Ino: 7}})
		synctest.Wait()
		v.add([]vfs.Invalidation{{Delete: true, Parent: 2, Name: "full", Ino: 8}})
		synctest.Wait()
		v.add([]vfs.Invalidation{{Delete: true, Parent: 2, Name: "unknown"}})
		synctest.Wait()
	})
	want := []string{
		"7 is no longer gone in 2", "content of 2",
		"8 is no longer full in 2", "name full in 2", "content of 2",
		"name unknown in 2", "content of 2",
	}
	if got := k.all(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestKnown(t *testing.T) {
	k := newKnown()
	k.add(7)
	k.add(7)
	if k.drop(7, 1) || k.drop(8, 1) {
		t.Error("forgotten while the kernel knows it, or never knew it")
	}
	if !k.drop(7, 1) {
		t.Error("not forgotten")
	}
	k.add(7)

	if !k.fresh(7) {
		t.Error("nothing was announced")
	}
	k.changed([]vfs.Invalidation{{Content: true, Ino: 7}})
	if k.fresh(7) {
		t.Error("a change was announced")
	}
	if !k.fresh(7) {
		t.Error("that change was taken note of")
	}
	k.changed([]vfs.Invalidation{{Entry: true, Parent: 7, Name: "new"}})
	if k.fresh(7) {
		t.Error("a name in the folder was announced")
	}
	if k.fresh(8) {
		t.Error("nothing is known of this inode")
	}
}

// TestInvalidatorWaits checks that it is known which contents the kernel still
// has to drop, also while it sits on the notice.
func TestInvalidatorWaits(t *testing.T) {
	k := &fakeKernel{reply: map[string]fuse.Status{"content of 8": fuse.ENOENT}}
	invalidate(t, k, func(v *invalidator) {
		gate := make(chan struct{})
		k.hang = map[uint64]chan struct{}{7: gate}
		v.add([]vfs.Invalidation{{Content: true, Ino: 7}, {Content: true, Ino: 8}, {Attr: true, Ino: 9}})
		if !v.waits(7) || !v.waits(8) || v.waits(9) {
			t.Error("it does not wait for what was just announced")
		}
		synctest.Wait()
		if !v.waits(7) || v.waits(8) {
			t.Error("it does not wait for the one notice that hangs")
		}
		wait(2 * patience)
		v.add([]vfs.Invalidation{{Content: true, Ino: 7}})
		wait(2 * patience)
		if !v.waits(7) {
			t.Error("it does not wait for two notices of one file")
		}
		close(gate)
		synctest.Wait()
		if v.waits(7) || len(v.taking) > 0 {
			t.Error("it waits for what the kernel has taken")
		}
	})
}
