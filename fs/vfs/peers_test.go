package vfs

import (
	"context"
	"errors"
	"maps"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/crdt/space"
	"github.com/echofs/echofs/identity/credential"
)

// join makes another device with the same space.
func (w *world) join(role credential.Role) *world {
	w.t.Helper()
	o := &world{t: w.t, dir: w.t.TempDir(), device: newDevice(w.t, "b")}
	adm, err := w.space.Admit(o.device.Chain(), role)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := space.Join(o.config(), adm.Name, adm.Credentials, feed.Key(adm.Key))
	if err != nil {
		w.t.Fatal(err)
	}
	o.start(s)
	w.t.Cleanup(o.close)
	return o
}

// send gives everything that w has committed to o.
func (w *world) send(o *world) {
	w.t.Helper()
	synctest.Wait()
	time.Sleep(2 * time.Second) // until everything is committed
	ctx := context.Background()
	if err := o.space.AddCredentials(ctx, w.space.Credentials()); err != nil {
		w.t.Fatal(err)
	}
	refs, err := w.space.Log(0, 1<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	var raw [][]byte
	for _, r := range refs {
		e, err := w.space.Entry(r.Feed, r.Seq)
		if err != nil {
			w.t.Fatal(err)
		}
		raw = append(raw, e)
	}
	if err := o.space.Accept(ctx, raw); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

// Two editors on two devices, both opened before either saved.
func TestTwoDevicesTwoEditors(t *testing.T) {
	for i, dance := range dances {
		other := dances[(i*7+3)%len(dances)]
		if dance.name == "in place" || other.name == "in place" {
			continue
		}
		t.Run(dance.name+" and "+other.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newWorld(t)
				b := a.join(credential.Editor)
				a.process(9).write("doc", before)
				a.pass()
				a.send(b)
				p, q := a.process(10), b.process(10)
				if p.read("doc") != before || q.read("doc") != before {
					t.Fatal("the file did not arrive")
				}
				time.Sleep(time.Minute)
				dance.save(p)
				q.saveOver("doc", "zero\n"+before, true)
				a.send(b)
				b.send(a)
				other.save(p) // saves the same again, from what it knows
				a.send(b)
				for _, w := range []*world{a, b} {
					if got := w.process(20).read("doc"); got != "zero\n"+after {
						t.Errorf("one side has %q", got)
					}
					if got := w.published(); len(got) != 1 {
						t.Errorf("published %v", got)
					}
				}
			})
		})
	}
}

func TestReaderMayNotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newWorld(t)
		a.process(9).write("doc", before)
		a.process(9).mkdir("d")
		a.pass()
		b := a.join(credential.Reader)
		a.send(b)
		p := b.process(10)
		if got := p.read("doc"); got != before {
			t.Errorf("read %q", got)
		}
		if got := p.stat("doc").Mode; got != syscall.S_IFREG|0o444 {
			t.Errorf("mode %o", got)
		}
		if got := p.stat("d").Mode; got != syscall.S_IFDIR|0o555 {
			t.Errorf("mode %o", got)
		}
		dir, _, _ := p.walk("doc")
		size := uint64(0)
		for name, do := range map[string]func() error{
			"open":    func() error { _, err := p.tryOpen("doc", wr); return err },
			"create":  func() error { _, err := p.tryOpen("new", wr|creat); return err },
			"scratch": func() error { _, err := p.tryOpen("new~", wr|creat); return err },
			"unlink":  func() error { return p.tryUnlink("doc") },
			"rename":  func() error { return p.tryRename("doc", "new", 0) },
			"mkdir":   func() error { _, err := b.fs.Mkdir(p.caller(), dir, "new", 0o755); return err },
			"rmdir":   func() error { return b.fs.Rmdir(p.caller(), dir, "d") },
			"symlink": func() error { _, err := b.fs.Symlink(p.caller(), dir, "l", "x"); return err },
			"truncate": func() error {
				_, err := b.fs.Setattr(p.caller(), p.stat("doc").Ino, nil, SetAttr{Size: &size})
				return err
			},
		} {
			if err := do(); !errors.Is(err, syscall.EROFS) {
				t.Errorf("%s: %v, want EROFS", name, err)
			}
		}
	})
}

func TestOtherSpaceIsAnotherDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newWorld(t)
		o := newWorld(t)
		if err := a.fs.Add("s2", o.space); err != nil {
			t.Fatal(err)
		}
		p := a.process(10)
		p.write("doc", before)
		dir, _, _ := p.walk("doc")
		s2, err := a.fs.Lookup(p.caller(), RootIno, "s2")
		if err != nil {
			t.Fatal(err)
		}
		wantErr(t, "rename", a.fs.Rename(p.caller(), dir, "doc", s2.Ino, "doc", 0), syscall.EXDEV)
		wantErr(t, "remove a space", a.fs.Rmdir(p.caller(), RootIno, "s2"), syscall.EPERM)
		_, err = a.fs.Mkdir(p.caller(), RootIno, "s3", 0o755)
		wantErr(t, "make a space", err, syscall.EPERM)
		entries, err := a.fs.ReadDir(p.caller(), RootIno)
		if err != nil || len(entries) != 2 {
			t.Errorf("root lists %v, %v", entries, err)
		}
		a.fs.Remove("s2")
		_, err = a.fs.Lookup(p.caller(), RootIno, "s2")
		wantErr(t, "after Remove", err, syscall.ENOENT)
	})
}

// What stops being text, or outgrows its document, after a peer's edits were
// merged into it takes none of them away.
func TestOutgrowsTextBesidePeer(t *testing.T) {
	long := strings.Repeat("a line that is long enough to matter\n", 8000)
	for _, tt := range []struct {
		name  string
		saves []string // each by a process that never reads again
		want  map[string]string
	}{
		{"bytes after a merge", []string{"one\ntwo\nmine\n", "\x00mine"}, map[string]string{
			"doc": "\x00mine", "doc (conflict": "zero\none\ntwo\nmine\n"}},
		{"bytes at once", []string{"\x00mine"}, map[string]string{
			"doc": "\x00mine", "doc (conflict": "zero\none\ntwo\n"}},
		{"long after a merge", []string{"one\ntwo\nmine\n", "one\ntwo\n" + long}, map[string]string{
			"doc": "zero\none\ntwo\n" + long}},
		{"long at once", []string{"one\ntwo\n" + long}, map[string]string{
			"doc": "zero\none\ntwo\n" + long}},
		{"long, and longer", []string{"one\ntwo\n" + long, "one\ntwo\n" + long + "more\n"}, map[string]string{
			"doc": "zero\none\ntwo\n" + long + "more\n"}},
		{"long, and short again", []string{"one\ntwo\n" + long, "one\ntwo\nmine\n"}, map[string]string{
			"doc": "zero\none\ntwo\nmine\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, reader := w.process(10), w.process(11)
				p.write("doc", "one\ntwo\n")
				w.pass()
				p.read("doc")
				w.remote(w.node("doc"), "zero\none\ntwo\n")
				for _, text := range tt.saves {
					p.saveOver("doc", text, false)
					time.Sleep(5 * time.Second)
				}
				left := maps.Clone(tt.want)
				for _, name := range reader.list("") {
					key := name
					if strings.HasPrefix(name, "doc (conflict") {
						key = "doc (conflict"
					}
					want, ok := left[key]
					if got := reader.read(name); !ok || got != want {
						t.Errorf("%s: %d bytes, %.60q…, want %d bytes, %.60q…", name, len(got), got, len(want), want)
					}
					delete(left, key)
				}
				for name := range left {
					t.Errorf("%s is missing", name)
				}
			})
		})
	}
}
