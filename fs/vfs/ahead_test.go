package vfs

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// big is a large file of bytes that are no text.
func big(c string) string { return strings.Repeat("\x00"+c, 1<<20) }

func TestLargeNewFileIsPublishedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("small", "text\n")
		p.write("big", big("a"))
		p.write("doc", big("0"))
		w.pass()
		node := w.node("doc")

		p.write("small2", "text\n")
		p.write("big2", big("b"))
		p.unlink("doc")
		p.write("doc", big("c"))
		time.Sleep(holdLarge + 2*importPoll)
		if got, want := w.published(), []string{"big", "big2", "doc", "small"}; !slices.Equal(got, want) {
			t.Errorf("soon: %v, not %v", got, want)
		}
		if w.node("doc") != node {
			t.Error("what replaced doc is another file")
		}
		w.pass()
		if got, want := w.published(), []string{"big", "big2", "doc", "small", "small2"}; !slices.Equal(got, want) {
			t.Errorf("in the end: %v, not %v", got, want)
		}
		for name, c := range map[string]string{"big": "a", "big2": "b", "doc": "c"} {
			if p.read(name) != big(c) {
				t.Errorf("%s has other bytes", name)
			}
		}
	})
}

func TestLargeFileChangesWhileItIsImported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v, p := w.fs.volumes["s"], w.process(10)
		stopImports(v)
		p.write("big", big("a"))
		h := p.open("big", syscall.O_WRONLY)
		p.writeTo(h, 0, "changed")
		letGo(v)
		time.Sleep(2 * holdLarge)
		if got := w.published(); len(got) > 0 {
			t.Errorf("%v is published while it is open for writing", got)
		}
		p.close(h)
		w.pass()
		if got := p.read("big"); got != "changed"+big("a")[7:] {
			t.Errorf("%d bytes beginning with %q", len(got), got[:7])
		}
		checkEmpty(t, v.workDir())
	})
}

func TestLargeSaveDoesNotHoldTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v, p, q := w.fs.volumes["s"], w.process(10), w.process(20)
		p.write("big", big("a"))
		p.write("new", big("b"))
		w.pass()
		node := w.node("big")

		stopImports(v)
		saved := make(chan bool)
		go func() {
			p.write("big", big("c")) // in place
			close(saved)
		}()
		synctest.Wait()
		if a := q.stat("big"); a.Size != 2<<20 || q.read("big") != big("c") {
			t.Errorf("while it is saved: %d bytes, or others", a.Size)
		}
		letGo(v)
		<-saved
		if p.read("big") != big("c") || w.node("big") != node {
			t.Error("another file, or other bytes")
		}

		stopImports(v)
		p.write("fresh", big("d"))
		saved = make(chan bool)
		go func() {
			p.rename("fresh", "big")
			close(saved)
		}()
		synctest.Wait()
		if q.read("big") != big("c") || q.read("new") != big("b") {
			t.Error("other bytes while a file is renamed over it")
		}
		letGo(v)
		<-saved
		if p.read("big") != big("d") || w.node("big") != node {
			t.Error("another file, or other bytes, after the rename")
		}
		w.pass()
		checkEmpty(t, v.workDir())
	})
}

func TestLargeFileWhoseImportFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v, p := w.fs.volumes["s"], w.process(10)
		stopImports(v)
		p.write("big", big("a"))
		in := v.overlay[v.root.node]["big"]
		in.wc.ahead.cancel() // as if the disk had been full
		letGo(v)
		w.pass()
		if got := w.published(); !slices.Equal(got, []string{"big"}) || p.read("big") != big("a") {
			t.Errorf("published: %v, or other bytes", got)
		}
	})
}

// stopImports stops imports until letGo.
func stopImports(v *volume) {
	for range importsAtOnce {
		v.imports.slots <- struct{}{}
	}
}

func letGo(v *volume) {
	for range importsAtOnce {
		<-v.imports.slots
	}
}

func checkEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}
