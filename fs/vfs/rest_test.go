package vfs

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A new file that a program keeps open is published when it rests, and so is
// what the program writes later.
func TestOpenFileIsCommitted(t *testing.T) {
	pause := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
	for _, tt := range []struct {
		name  string
		flags uint32
		line  string
		after time.Duration // of the first line
		sync  bool
	}{
		{"a log, appended to", syscall.O_APPEND, "line\n", 3 * time.Second, false},
		{"a log", 0, "line\n", 7 * time.Second, false},
		{"a log that is synced", 0, "line\n", 3 * time.Second, true},
		{"a large log", syscall.O_APPEND, strings.Repeat("line\x00", memoryLimit/4), 3 * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p := w.process(10)
				h := p.open("log", wr|creat|trunc|tt.flags)
				pause(10 * time.Second)
				if names := w.published(); len(names) > 0 {
					t.Errorf("an empty file is shown: %q", names)
				}
				want := ""
				for i := range 4 {
					p.writeTo(h, int64(len(want)), tt.line)
					want += tt.line
					if tt.sync {
						p.fsync(h)
					}
					pause(tt.after)
					info, err := w.find("log")
					if err != nil || info.Size != int64(len(want)) {
						t.Fatalf("line %d: %v, %d bytes are published, want %d", i, err, info.Size, len(want))
					}
				}
				if len(tt.line) < 100 {
					w.remote(w.node("log"), "theirs\n"+want)
					p.writeTo(h, int64(len(want)), tt.line)
					want = "theirs\n" + want + tt.line
				}
				p.close(h)
				w.pass()
				equal(t, "names", w.published(), []string{"log"})
				if got := w.process(11).read("log"); got != want {
					t.Errorf("%d bytes in the end, %.80q, want %d", len(got), got, len(want))
				}
			})
		})
	}
}

// A log that never rests is published all the same.
func TestBusyLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		h := p.open("log", wr|creat|syscall.O_APPEND)
		for i := range 100 {
			p.writeTo(h, 0, fmt.Sprintln(i))
			time.Sleep(200 * time.Millisecond)
		}
		synctest.Wait()
		if text := w.text(w.node("log")); strings.Count(text, "\n") < 60 {
			t.Errorf("after 20 seconds: %q", text)
		}
		p.close(h)
	})
}

// A copy that takes long and a save that syncs its new file before it renames
// it show nothing half-done.
func TestSlowWritersAreNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("doc", "old\n")
		w.pass()
		h := p.open("copy", wr|creat|trunc)
		for i := range 20 {
			p.writeTo(h, int64(i), "x")
			time.Sleep(4 * time.Second)
		}
		n := p.open("new", wr|creat|trunc)
		p.writeTo(n, 0, "new\n")
		p.fsync(n)
		time.Sleep(holdTime / 2)
		p.rename("new", "doc")
		synctest.Wait()
		equal(t, "names", w.published(), []string{"doc"})
		p.close(n)
		p.close(h)
		w.pass()
		equal(t, "names", w.published(), []string{"copy", "doc"})
	})
}
