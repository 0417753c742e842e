package vfs

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestHistoryFolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.mkdir("docs")
		p.write("docs/a.txt", "one\n")
		w.pass()
		p.write("docs/a.txt", "one\ntwo\n")
		w.pass()
		equal(t, "the hidden folder is not listed", p.list(""), []string{"docs"})
		equal(t, ".space", p.list(".space"), []string{"history", "withdrawn"})
		equal(t, "history", p.list(".space/history"), []string{"docs"})
		equal(t, "docs", p.list(".space/history/docs"), []string{"a.txt"})
		versions := p.list(".space/history/docs/a.txt")
		if len(versions) != 2 || !strings.HasSuffix(versions[0], "Z-a") || versions[0] >= versions[1] {
			t.Fatalf("versions %q", versions)
		}
		first := ".space/history/docs/a.txt/" + versions[0]
		if got := p.read(first); got != "one\n" {
			t.Errorf("first version %q", got)
		}
		if got := p.read(".space/history/docs/a.txt/" + versions[1]); got != "one\ntwo\n" {
			t.Errorf("second version %q", got)
		}
		a := p.stat(first)
		if a.Mode != syscall.S_IFREG|0o444 || a.Size != 4 || !a.Ino.Virtual() || time.Since(a.Mtime) > time.Hour {
			t.Errorf("attributes %+v", a)
		}
		if again := p.stat(first); again.Ino != a.Ino {
			t.Errorf("number %d, then %d", a.Ino, again.Ino)
		}
		if a := p.stat(".space/history"); a.Mode != syscall.S_IFDIR|0o555 || !a.Ino.Virtual() {
			t.Errorf("attributes %+v", a)
		}
		for _, in := range []string{"docs", "docs/a.txt"} {
			if p.stat(in).Ino.Virtual() {
				t.Errorf("%s is virtual", in)
			}
		}

		p.write("docs/a.txt", p.read(first)) // cp restores
		w.pass()
		if got := w.text(w.node("docs/a.txt")); got != "one\n" {
			t.Errorf("restored %q", got)
		}
		if got := p.list(".space/history/docs/a.txt"); len(got) != 3 {
			t.Errorf("versions %q", got)
		}

		p.unlink("docs/a.txt")
		w.pass()
		equal(t, "of a removed file", p.list(".space/history/docs"), []string{"a.txt"})
		if got := p.read(first); got != "one\n" {
			t.Errorf("of a removed file %q", got)
		}
		if err := w.space.Remove(w.node("docs")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "of a removed folder", p.list(".space/history/docs"), []string{"a.txt"})
		p.write("docs", "a file now\n")
		w.pass()
		if got := p.list(".space/history/docs"); len(got) != 1 || !strings.HasSuffix(got[0], "Z-a") {
			t.Errorf("versions of a file that was a folder %q", got)
		}
		if _, err := p.lookup(".space/history/none"); err != syscall.ENOENT {
			t.Errorf("what never was: %v", err)
		}
		if _, err := p.lookup("docs/.space"); err == nil {
			t.Error(".space is in a folder")
		}
	})
}

func TestHistoryFolderIsReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("a.txt", "one\n")
		w.pass()
		dir := ".space/history/a.txt"
		file := dir + "/" + p.list(dir)[0]
		for _, path := range []string{".space/x", ".space/history/x", dir + "/x", file, ".space"} {
			_, err := p.tryOpen(path, syscall.O_CREAT|syscall.O_WRONLY)
			wantErr(t, "creating "+path, err, syscall.EROFS)
			wantErr(t, "unlinking "+path, p.tryUnlink(path), syscall.EROFS)
			wantErr(t, "renaming to "+path, p.tryRename("a.txt", path, 0), syscall.EROFS)
			wantErr(t, "renaming "+path, p.tryRename(path, "b.txt", 0), syscall.EROFS)
		}
		size := uint64(0)
		ino := p.stat(file).Ino
		_, err := w.fs.Setattr(p.caller(), ino, nil, SetAttr{Size: &size})
		wantErr(t, "truncating", err, syscall.EROFS)
		_, err = w.fs.Link(p.caller(), ino, w.fs.volume("s").root.ino, "x.bak")
		wantErr(t, "linking", err, syscall.EXDEV)
		_, err = w.fs.Getxattr(p.caller(), ino, xattrID)
		wantErr(t, "attribute", err, syscall.ENODATA)
		h := p.open(file, syscall.O_RDONLY)
		w.fs.Forget(ino)
		if got := p.readFrom(h); got != "one\n" {
			t.Errorf("forgotten while open: %q", got)
		}
		if _, err := h.Write(p.caller(), []byte("x"), 0); err != syscall.EBADF {
			t.Errorf("writing: %v", err)
		}
		p.close(h)
		if _, err := w.fs.Getattr(p.caller(), ino, nil); err != syscall.ESTALE {
			t.Errorf("after forgetting: %v", err)
		}
		equal(t, "the space", w.published(), []string{"a.txt"})
	})
}
