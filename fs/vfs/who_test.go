package vfs

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

func TestWhoFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		said := "anna  laptop\n"
		w.fs.cfg.Who = func(s *space.Space) string {
			if s != w.space {
				t.Errorf("asked of another space")
			}
			return said
		}
		equal(t, ".space", p.list(".space"), []string{"history", "who", "withdrawn"})
		a := p.stat(".space/who")
		if a.Mode != syscall.S_IFREG|0o444 || a.Size != uint64(len(said)) || !a.Ino.Virtual() {
			t.Errorf("attributes %+v", a)
		}
		h := p.open(".space/who", rd)
		if got := p.readFrom(h); got != said || !h.Direct() {
			t.Errorf("reads %q, direct %v", got, h.Direct())
		}
		time.Sleep(time.Minute)
		if b := p.stat(".space/who"); b.Mtime != a.Mtime || b.Ino != a.Ino {
			t.Errorf("nothing has changed, and it is %+v", b)
		}
		said += "ben   desk\n"
		if b := p.stat(".space/who"); !b.Mtime.After(a.Mtime) || b.Size != uint64(len(said)) {
			t.Errorf("after a change %+v", b)
		}
		if got := p.readFrom(h); got != "anna  laptop\n" {
			t.Errorf("what was opened before reads %q", got)
		}
		p.close(h)
		if got := p.read(".space/who"); got != said {
			t.Errorf("reads %q", got)
		}
		if _, err := p.tryOpen(".space/who", wr); err != syscall.EROFS {
			t.Errorf("opening for writing: %v", err)
		}
		if err := p.tryUnlink(".space/who"); err == nil {
			t.Error("it can be removed")
		}
		if _, err := p.lookup(".space/who/more"); err != syscall.ENOTDIR {
			t.Errorf("below it: %v", err)
		}
	})
}

func TestPictures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		pictures := []Picture{{"ann.png", []byte("a picture")}, {"ben.jpg", []byte("another")}}
		w.fs.cfg.Pictures = func(*space.Space) []Picture { return pictures }
		equal(t, ".space", p.list(".space"), []string{"history", "people", "withdrawn"})
		equal(t, "people", p.list(".space/people"), []string{"ann.png", "ben.jpg"})
		a := p.stat(".space/people/ann.png")
		if a.Mode != syscall.S_IFREG|0o444 || a.Size != 9 || !a.Ino.Virtual() {
			t.Errorf("attributes %+v", a)
		}
		if got := p.read(".space/people/ben.jpg"); got != "another" {
			t.Errorf("reads %q", got)
		}
		pictures = []Picture{{"ann.png", []byte("a new picture")}}
		if b := p.stat(".space/people/ann.png"); b.Ino == a.Ino || b.Size != 13 {
			t.Errorf("another picture is %+v", b)
		}
		if _, err := p.lookup(".space/people/ben.jpg"); err != syscall.ENOENT {
			t.Errorf("what is gone: %v", err)
		}
		if _, err := p.tryOpen(".space/people/new.png", wr|creat); err == nil {
			t.Error("a picture can be put there")
		}
	})
}

func TestLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, q := w.process(10), w.process(11)
		is := func(want string) {
			t.Helper()
			if got := w.fs.LookedAt("s"); got != want {
				t.Errorf("looks at %q, want %q", got, want)
			}
		}
		is("")
		if got := w.fs.LookedAt("none"); got != "" {
			t.Errorf("in no space: %q", got)
		}
		p.mkdir("docs")
		p.write("docs/a.txt", "a\n")
		w.pass()
		is("docs/a.txt")
		h := q.open("docs/a.txt", rd)
		p.write("b.txt", "b\n")
		w.pass()
		is("b.txt")
		p.close(p.open(".b.txt.swp", wr|creat)) // of this device
		is("b.txt")
		time.Sleep(lookingFor + time.Second)
		is("docs/a.txt") // which is still open
		q.write("docs/.a.txt.swp", string(header(t, "clean", func(b []byte) { binary.LittleEndian.PutUint32(b[swapPID:], q.pid) })))
		q.close(h)
		is("docs/a.txt") // which is still loaded
		q.unlink("docs/.a.txt.swp")
		is("")
		p.read("b.txt")
		p.rename("b.txt", "c.txt")
		w.pass()
		is("c.txt")
		p.unlink("c.txt")
		w.pass()
		is("")
		p.read("docs/a.txt")
		for pid := range uint32(2 * lookingKept) {
			w.process(100+pid).write(fmt.Sprintf("f%d", pid), "x\n")
		}
		w.pass()
		is(fmt.Sprintf("f%d", 2*lookingKept-1))
		if n := len(w.fs.looking.all()); n != lookingKept {
			t.Errorf("%d are remembered", n)
		}
	})
}
