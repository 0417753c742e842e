package vfs

import (
	"syscall"
	"testing"
	"testing/synctest"
)

// TestWriteAfterCommit: what a program writes after an fsync is another version
// also when the space has not yet put the one before on the disk.
func TestWriteAfterCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("doc", "\xff123456789")
		w.pass()
		for _, again := range []string{"\xfe", "\xfd"} {
			h := p.open("doc", syscall.O_RDWR)
			p.writeTo(h, 2, "A")
			p.fsync(h)
			p.writeTo(h, 5, again)
			p.close(h)
			if got, want := p.read("doc"), "\xff1A34"+again+"6789"; got != want {
				t.Errorf("read %q, want %q", got, want)
			}
			h = p.open("doc", syscall.O_RDWR)
			p.writeTo(h, 2, "B")
			p.fsync(h)
			if err := h.Allocate(p.caller(), 1, 2, allocatePunch|allocateKeep); err != nil {
				t.Error(err)
			}
			p.close(h)
			if got, want := p.read("doc"), "\xff\x00\x0034"+again+"6789"; got != want {
				t.Errorf("read %q, want %q", got, want)
			}
			w.pass()
			if got, want := p.read("doc"), "\xff\x00\x0034"+again+"6789"; got != want {
				t.Errorf("later: read %q, want %q", got, want)
			}
			p.write("doc", "\xff123456789")
			w.pass()
		}
	})
}

// TestOpenBeforeRelease: the kernel tells of a close later than of the next open.
// Who opens a file in between sees what it wrote.
func TestOpenBeforeRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("doc", "text\n")
		w.pass()
		h := p.open("doc", syscall.O_RDWR)
		if err := h.Allocate(p.caller(), 0, 10, 0); err != nil {
			t.Fatal(err)
		}
		if err := h.Flush(p.caller()); err != nil {
			t.Fatal(err)
		}
		again := p.open("doc", syscall.O_RDWR)
		if err := h.Release(p.caller()); err != nil {
			t.Fatal(err)
		}
		if a := p.stat("doc"); a.Size != 10 {
			t.Errorf("size %d", a.Size)
		}
		if got := p.readFrom(again); got != "text\n\x00\x00\x00\x00\x00" {
			t.Errorf("read %q", got)
		}
		p.close(again)
	})
}
