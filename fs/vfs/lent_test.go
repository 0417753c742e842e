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
