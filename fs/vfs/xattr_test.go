package vfs

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
)

func TestXattrs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		c := p.caller()
		p.write("doc", "text\n")
		p.mkdir("folder")
		p.write("doc.bak", "local\n")
		check := func(path string) {
			t.Helper()
			ino := p.stat(path).Ino
			wantErr(t, "get", fail1(w.fs.Getxattr(c, ino, "user.a")), syscall.ENODATA)
			wantErr(t, "replace", w.fs.Setxattr(c, ino, "user.a", []byte("x"), xattrChange), syscall.ENODATA)
			wantErr(t, "set", w.fs.Setxattr(c, ino, "user.a", []byte("one"), 0), nil)
			wantErr(t, "create", w.fs.Setxattr(c, ino, "user.a", []byte("x"), xattrCreate), syscall.EEXIST)
			wantErr(t, "set nothing", w.fs.Setxattr(c, ino, "user.empty", nil, 0), nil)
			wantErr(t, "ours", w.fs.Setxattr(c, ino, "user.echofs.id", []byte("x"), 0), syscall.EOPNOTSUPP)
			wantErr(t, "long", w.fs.Setxattr(c, ino, "user.b", make([]byte, 4097), 0), syscall.E2BIG)
			wantErr(t, "remove", w.fs.Removexattr(c, ino, "user.empty"), nil)
			if v, err := w.fs.Getxattr(c, ino, "user.a"); err != nil || string(v) != "one" {
				t.Errorf("%s: %q, %v", path, v, err)
			}
			if names, err := w.fs.Listxattr(c, ino); err != nil || !slices.Contains(names, "user.a") || slices.Contains(names, "user.empty") {
				t.Errorf("%s: %q, %v", path, names, err)
			}
		}
		check("doc")
		check("folder")
		check("doc.bak")

		// They stay with the document through publication and save dances.
		w.pass()
		p.rename("doc", "doc~")
		p.saveNew("doc", "text, edited\n", true)
		p.unlink("doc~")
		p.saveNew("new", "text, edited again\n", true)
		p.rename("new", "doc")
		w.pass()
		if v, err := w.space.Xattr(w.node("doc"), "user.a"); err != nil || string(v) != "one" {
			t.Errorf("after saves: %q, %v", v, err)
		}
		ino := p.stat("doc").Ino
		if v, err := w.fs.Getxattr(c, ino, xattrAuthors); err != nil || !strings.Contains(string(v), "a <"+w.device.Identity().String()) {
			t.Errorf("authors: %q, %v", v, err)
		}
	})
}

func fail1[T any](_ T, err error) error { return err }

func TestModes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		mode := func(path string, want uint32) {
			t.Helper()
			if got := p.stat(path).Mode & 0o7777; got != want {
				t.Errorf("%s: mode %o, want %o", path, got, want)
			}
		}
		chmod := func(path string, m uint32) { p.set(path, SetAttr{Mode: &m}) }
		p.write("doc", "text\n")
		p.mkdir("folder")
		mode("doc", 0o644)
		for _, m := range []uint32{0o600, 0o755, 0o444, 0o111, 0, 0o4711, 0o644} {
			chmod("doc", m)
			chmod("folder", m)
			mode("doc", m)
			mode("folder", m)
			w.pass()
			mode("doc", m)
		}
		chmod("doc", 0o640)
		w.crash()
		mode("doc", 0o640)

		// A save keeps them, unless it says otherwise.
		p.saveNew("new", "more\n", false)
		p.rename("new", "doc")
		mode("doc", 0o640)
		p.saveNew("new", "more and more\n", false)
		chmod("new", 0o600)
		p.rename("new", "doc")
		mode("doc", 0o600)
		p.saveNew("new", "much more\n", false)
		chmod("new", 0o644)
		p.rename("new", "doc")
		mode("doc", 0o644)
		if info, err := w.space.Stat(w.node("doc")); err != nil || info.Mode != 0 {
			t.Errorf("kept %o, %v", info.Mode, err)
		}
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("text", "text\n")
		p.write("bytes", "\xff\n")
		p.write("long", strings.Repeat("x", textLimit+1))
		p.write("empty", "")
		p.mkdir("folder")
		p.write("a.bak", "local\n")
		status := func(path, want string) {
			t.Helper()
			v, err := w.fs.Getxattr(p.caller(), p.stat(path).Ino, xattrStatus)
			if err != nil || !strings.HasPrefix(string(v), want) {
				t.Errorf("status of %s: %q, %v, want %q", path, v, err, want)
			}
		}
		status("text", "held back")
		w.pass()
		h := p.open("text", syscall.O_RDWR)
		p.writeTo(h, 0, "TEXT")
		status("text", "being written")
		p.close(h)
		for path, want := range map[string]string{
			"text": "shared", "empty": "shared", "folder": "shared", "a.bak": "local",
			"bytes": "shared as a whole: it is no text", "long": "shared as a whole: it is larger",
		} {
			status(path, want)
		}
		if v, _ := w.fs.Getxattr(p.caller(), p.stat("text").Ino, xattrStatus); string(v) != "shared" {
			t.Errorf("status of a text: %q", v)
		}
	})
}
