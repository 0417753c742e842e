package vfs

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

func TestFreshFileIsHeldBackAndThenPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("a.txt", "hello\n")
		if got := p.read("a.txt"); got != "hello\n" {
			t.Errorf("read %q", got)
		}
		equal(t, "here", p.list(""), []string{"a.txt"})
		equal(t, "published at once", w.published(), nil)
		ino := p.stat("a.txt").Ino
		w.pass()
		equal(t, "published", w.published(), []string{"a.txt"})
		if got := w.text(w.node("a.txt")); got != "hello\n" {
			t.Errorf("published %q", got)
		}
		if got := p.stat("a.txt").Ino; got != ino {
			t.Errorf("number changed from %d to %d", ino, got)
		}
		if got := p.read("a.txt"); got != "hello\n" {
			t.Errorf("read %q", got)
		}
	})
}

func TestFilesAndFolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.mkdir("d")
		p.write("d/a", "1")
		h := p.open("d/a", syscall.O_WRONLY|syscall.O_APPEND)
		p.writeTo(h, 0, "2") // the kernel's offset does not count
		p.writeTo(h, 0, "3")
		p.close(h)
		if got := p.read("d/a"); got != "123" {
			t.Errorf("after appending: %q", got)
		}
		size := uint64(2)
		p.set("d/a", SetAttr{Size: &size})
		size = 4
		p.set("d/a", SetAttr{Size: &size})
		if got := p.read("d/a"); got != "12\x00\x00" {
			t.Errorf("after truncating: %q", got)
		}
		if _, err := p.tryOpen("d/a", syscall.O_CREAT|syscall.O_EXCL|syscall.O_WRONLY); err != syscall.EEXIST {
			t.Errorf("O_EXCL: %v", err)
		}
		wantErr(t, "unlink a folder", p.tryUnlink("d"), syscall.EISDIR)
		d, name, _ := p.walk("d")
		wantErr(t, "rmdir with a file", w.fs.Rmdir(p.caller(), d, name), syscall.ENOTEMPTY)
		p.write("d/.a.swp", "swap")
		p.unlink("d/a")
		wantErr(t, "rmdir with a scratch file", w.fs.Rmdir(p.caller(), d, name), syscall.ENOTEMPTY)
		p.unlink("d/.a.swp")
		if err := w.fs.Rmdir(p.caller(), d, name); err != nil {
			t.Errorf("rmdir: %v", err)
		}
		_, err := p.lookup("d")
		wantErr(t, "lookup after rmdir", err, os.ErrNotExist)
		long := make([]byte, 256)
		for i := range long {
			long[i] = 'x'
		}
		_, err = p.tryOpen(string(long), syscall.O_CREAT|syscall.O_WRONLY)
		wantErr(t, "long name", err, syscall.ENAMETOOLONG)
		w.pass()
		equal(t, "published", w.published(), nil)
	})
}

func TestModeAndTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("run", "#!/bin/sh\n")
		mode, when := uint32(0o755), time.Unix(1234567890, 987654321)
		p.set("run", SetAttr{Mode: &mode, Mtime: &when})
		check := func(when time.Time) {
			t.Helper()
			a := p.stat("run")
			if a.Mode != syscall.S_IFREG|0o755 || !a.Mtime.Equal(when) {
				t.Errorf("mode %o, mtime %v", a.Mode, a.Mtime)
			}
		}
		check(when)
		w.pass()
		check(when)
		when = when.Add(time.Nanosecond)
		p.set("run", SetAttr{Mtime: &when})
		check(when)
		h := p.open("run", syscall.O_WRONLY)
		time.Sleep(time.Second)
		p.writeTo(h, 0, "#!/bin/bs\n")
		written := time.Now()
		check(written)
		time.Sleep(time.Minute)
		p.close(h)
		check(written)
	})
}

func TestUnlinkWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("old", "old text\n")
		w.pass()
		p.write("new", "new text\n")
		for _, name := range []string{"old", "new"} {
			h := p.open(name, syscall.O_RDWR)
			p.unlink(name)
			_, err := p.lookup(name)
			wantErr(t, "lookup", err, os.ErrNotExist)
			if got := p.readFrom(h); got != name+" text\n" {
				t.Errorf("read %q", got)
			}
			p.writeTo(h, 0, "OLD")
			if got := p.readFrom(h); got != "OLD text\n" {
				t.Errorf("after writing: %q", got)
			}
			a, err := w.fs.Getattr(p.caller(), h.Ino(), h)
			if err != nil || a.Nlink != 0 {
				t.Errorf("attributes %+v, %v", a, err)
			}
			p.close(h)
		}
		w.pass()
		equal(t, "published", w.published(), nil)
	})
}

func TestSymlinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.mkdir("d")
		d := p.stat("d").Ino
		for _, tt := range []struct {
			target string
			err    error
		}{
			{"x", nil}, {"../x", nil}, {"./.././x/y", nil},
			{"/etc/passwd", syscall.EPERM}, {"../../x", syscall.EPERM}, {"a/../../../x", syscall.EPERM},
			{"a/../x", syscall.EPERM}, {".././../x", syscall.EPERM},
		} {
			a, err := w.fs.Symlink(p.caller(), d, "l", tt.target)
			if err != tt.err {
				t.Errorf("%s: %v, want %v", tt.target, err, tt.err)
			}
			if err != nil {
				continue
			}
			if got, err := w.fs.Readlink(p.caller(), a.Ino); got != tt.target || err != nil {
				t.Errorf("readlink: %q, %v", got, err)
			}
			p.unlink("d/l")
		}
		// Emacs locks with a link to nowhere: local, so anything goes.
		if _, err := w.fs.Symlink(p.caller(), d, ".#doc", "user@host.1:2"); err != nil {
			t.Error(err)
		}
		w.pass()
		if _, err := w.find("d/.#doc"); err == nil {
			t.Error("a lock was published")
		}
	})
}

func TestLargeFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		block := make([]byte, 256<<10)
		for i := range block {
			block[i] = byte(i * i >> 3)
		}
		h := p.open("big", syscall.O_CREAT|syscall.O_WRONLY)
		for i := range 16 {
			p.writeTo(h, int64(i)<<18, string(block))
		}
		p.close(h)
		check := func() {
			t.Helper()
			if got := p.read("big"); len(got) != 4<<20 || got[5<<18:6<<18] != string(block) {
				t.Errorf("read %d bytes", len(got))
			}
		}
		check()
		w.pass()
		check()
		h = p.open("big", syscall.O_WRONLY)
		p.writeTo(h, 1<<18, "changed")
		p.close(h)
		if got := p.read("big"); len(got) != 4<<20 || got[1<<18:1<<18+7] != "changed" {
			t.Errorf("after a change: %d bytes", len(got))
		}
		left, _ := os.ReadDir(w.fs.volumes["s"].workDir())
		if len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	})
}

func TestHeldFilesAreBoundedInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		data := strings.Repeat("0123456\x00", memoryLimit/8)
		for i := range 80 {
			p.write(fmt.Sprint(i), data)
		}
		if got := w.fs.held.Load(); got > heldMemory || got == 0 {
			t.Errorf("%d bytes in memory", got)
		}
		if p.read("0") != data || p.read("79") != data {
			t.Error("content is lost")
		}
		w.pass()
		if got := w.fs.held.Load(); got != 0 {
			t.Errorf("%d bytes in memory after all is published", got)
		}
		if len(w.published()) != 80 || p.read("79") != data {
			t.Error("content is lost")
		}
	})
}

func TestFolderLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		want := func(path string, n uint32) {
			t.Helper()
			if got := p.stat(path).Nlink; got != n {
				t.Errorf("%q has %d links, want %d", path, got, n)
			}
		}
		p.mkdir("a")
		want("a", 2)
		p.mkdir("a/b")
		p.mkdir("a/c")
		p.mkdir("a/.git")
		p.write("a/file", "")
		want("a", 5)
		p.rename("a/b", "b")
		want("a", 4)
		want("b", 2)
		if _, err := w.space.Create(w.node("a"), "theirs", space.New{Kind: space.Dir}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want("a", 5)
	})
}

// Who reads on in a file that was written to meanwhile reads what was written.
func TestReadAfterOwnWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("doc", "one\ntwo\nthree\n")
		w.pass()
		h := p.open("doc", syscall.O_RDWR)
		buf := make([]byte, 4)
		for _, text := range []string{"two\n", "TWO\n"} {
			if n, err := h.Read(p.caller(), buf, 4); err != nil || string(buf[:n]) != text {
				t.Errorf("read %q, %v, want %q", buf[:n], err, text)
			}
			p.writeTo(h, 4, "TWO\n")
			p.fsync(h)
		}
		p.close(h)
	})
}
