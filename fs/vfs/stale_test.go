package vfs

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

// shared makes a published file that process 10 has read.
func (w *world) shared(name, text string) (*process, space.NodeID) {
	w.t.Helper()
	p := w.process(10)
	w.process(9).write(name, text)
	w.pass()
	if p.read(name) != text {
		w.t.Fatal("not there")
	}
	time.Sleep(time.Minute)
	return p, w.node(name)
}

func TestOpenDescriptorAcrossRemoteChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		h := p.open("doc", syscall.O_RDWR)
		if p.readFrom(h) != before {
			t.Fatal("not there")
		}
		time.Sleep(time.Minute)
		w.remote(node, "zero\n"+before)
		p.writeTo(h, 8, after[8:])
		p.close(h)
		if got := w.text(node); got != "zero\n"+after {
			t.Errorf("published %q", got)
		}
	})
}

func TestAppendGoesToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("log", "a\n")
		h := p.open("log", wr|syscall.O_APPEND)
		for i, line := range []string{"b\n", "c\n"} {
			w.remote(node, w.text(node)+"peer\n")
			p.writeTo(h, 2, line) // what the kernel believes is the end
			p.fsync(h)
			if got := strings.Count(w.text(node), "\n"); got != 3+2*i {
				t.Errorf("text %q", w.text(node))
			}
		}
		p.close(h)
		if got := w.text(node); got != "a\npeer\nb\npeer\nc\n" {
			t.Errorf("text %q", got)
		}
	})
}

func TestReaderSeesOneVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		old, new := strings.Repeat("old ", 2000), strings.Repeat("new ", 2000)
		p, node := w.shared("doc", old)
		h := p.open("doc", rd)
		buf := make([]byte, 4096)
		n, _ := h.Read(p.caller(), buf, 0)
		got := string(buf[:n])
		w.remote(node, new)
		n, _ = h.Read(p.caller(), buf, 4096)
		got += string(buf[:n])
		if got != old {
			t.Error("half of two versions")
		}
		time.Sleep(dropTime) // for the kernel, of which others may read pages
		if got := p.readFrom(h); got != new {
			t.Error("reading from the start again shows the old version")
		}
		p.close(h)
	})
}

func TestFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("log", "a\n")
		h := p.open("log", rd)
		got := p.readFrom(h)
		for range 3 {
			w.remote(node, w.text(node)+"more\n")
			buf := make([]byte, 100)
			n, err := h.Read(p.caller(), buf, int64(len(got)))
			if err != nil {
				t.Fatal(err)
			}
			got += string(buf[:n])
		}
		if got != "a\nmore\nmore\nmore\n" {
			t.Errorf("tail -f shows %q", got)
		}
		p.close(h)
	})
}

// vim with backupcopy=yes reads the file once more, to copy it, just before it
// writes its old buffer over it. That is not loading the new version.
func TestReadingForABackupIsNotLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		w.remote(node, "zero\n"+before)
		p.copyTo("doc", "doc~")
		p.saveOver("doc", after, true)
		if got := w.text(node); got != "zero\n"+after {
			t.Errorf("published %q", got)
		}
	})
}

func TestReloadIsTheNewBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		w.remote(node, "zero\n"+before)
		p.read("doc") // told by a watcher
		time.Sleep(time.Minute)
		p.saveOver("doc", before, true) // deletes the peer's line on purpose
		if got := w.text(node); got != before {
			t.Errorf("published %q", got)
		}
	})
}

func TestTwoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		q := w.process(20)
		q.read("doc")
		p.saveOver("doc", "zero\n"+before, true)
		if got := q.read("doc"); got != "zero\n"+before {
			t.Errorf("another process reads %q", got)
		}
		r := w.process(30)
		r.read("doc")
		time.Sleep(time.Minute)
		p.saveOver("doc", "minus one\nzero\n"+before, true)
		r.saveOver("doc", "zero\n"+after, true) // stale against a local process
		if got := w.text(node); got != "minus one\nzero\n"+after {
			t.Errorf("published %q", got)
		}
	})
}

func TestWritesAreSeenBeforeTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		q := w.process(20)
		h := p.open("doc", wr|trunc)
		if got := q.read("doc"); got != "" {
			t.Errorf("after truncating: %q", got)
		}
		p.flush(h)
		p.writeTo(h, 0, "new\n")
		if got := q.read("doc"); got != "new\n" {
			t.Errorf("after writing: %q", got)
		}
		if got := q.stat("doc").Size; got != 4 {
			t.Errorf("size %d", got)
		}
		if got := w.text(node); got != before {
			t.Errorf("published too early: %q", got)
		}
		p.close(h)
		if got := w.text(node); got != "new\n" {
			t.Errorf("published %q", got)
		}
	})
}

func TestTruncationAloneIsCommittedAtRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		h := p.open("doc", wr|trunc)
		p.flush(h)
		if got := w.text(node); got != before {
			t.Errorf("an empty document was published")
		}
		p.must("release", h.Release(p.caller()))
		if got := w.text(node); got != "" {
			t.Errorf("published %q", got)
		}
	})
}

func TestRemoteRemovalWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		h := p.open("doc", syscall.O_RDWR)
		p.readFrom(h)
		if err := w.space.Remove(node); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, err := p.lookup("doc")
		wantErr(t, "lookup", err, os.ErrNotExist)
		if got := p.readFrom(h); got != before {
			t.Errorf("the descriptor reads %q", got)
		}
		p.writeTo(h, 0, "ONE")
		p.close(h)
		if got := p.read("doc"); got != "ONE"+before[3:] {
			t.Errorf("what was written is lost: %q", got)
		}
		w.pass()
		if got := w.text(w.node("doc")); got != "ONE"+before[3:] {
			t.Errorf("published %q", got)
		}
	})
}

func TestRemoteEditBeatsHeldRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		p.unlink("doc")
		w.remote(node, "zero\n"+before)
		w.pass()
		if got := p.read("doc"); got != "zero\n"+before {
			t.Errorf("read %q", got)
		}
	})
}

func TestBlobOvertakenByAPeerStaysBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("img", "\x00old")
		w.remote(node, "\x00peer's")
		if a := p.stat("img"); a.Size != 7 {
			t.Errorf("size %d: about what does not merge the truth is told", a.Size)
		}
		p.saveOver("img", "\x00mine", false)
		if got := len(w.published()); got != 2 {
			t.Errorf("published %v", w.published())
		}
		if got := p.read("img"); got != "\x00mine" {
			t.Errorf("read %q", got)
		}
	})
}

func TestInvalidations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		root, _, _ := p.walk("doc")
		drain := func() (all []Invalidation) {
			for {
				synctest.Wait()
				select {
				case i := <-w.told:
					all = append(all, i...)
				default:
					return all
				}
			}
		}
		if got := drain(); len(got) > 1 { // the space in the root
			t.Errorf("told of its own doing: %+v", got)
		}
		p.saveOver("doc", after, true)
		p.unlink("doc")
		p.saveNew("doc", before, true)
		p.rename("doc", "new")
		p.mkdir("d")
		p.rename("new", "d/new")
		w.pass()
		p.rename("d/new", "doc")
		w.pass()
		if got := drain(); len(got) > 0 {
			t.Errorf("told of its own doing: %+v", got)
		}
		ino := p.stat("doc").Ino
		w.remote(node, "zero\n"+before)
		if got := drain(); len(got) == 0 || !got[0].Content || got[0].Ino != ino || got[0].Name != "doc" || got[0].Parent != root {
			t.Errorf("told of a change: %+v", got)
		}
		if _, err := w.space.Move(node, space.Root, "name", false); err != nil {
			t.Fatal(err)
		}
		got := drain()
		if len(got) != 2 || !got[0].Delete || got[0].Name != "doc" || !got[1].Entry || got[1].Name != "name" {
			t.Errorf("told of a move: %+v", got)
		}
		if err := w.space.Remove(node); err != nil {
			t.Fatal(err)
		}
		if got := drain(); len(got) != 1 || !got[0].Delete || got[0].Name != "name" || got[0].Ino != ino {
			t.Errorf("told of a removal: %+v", got)
		}
	})
}

// A backup may get another name again before the document has its next version.
// What processes know of the document stays with the document.
func TestBackupMovesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, other := w.process(10), w.process(11)
		p.write("doc", "one\ntwo\nthree\n")
		w.pass()
		p.read("doc")
		id := w.node("doc")
		w.remote(id, "zero\none\ntwo\nthree\n")
		other.rename("doc", "doc.bak")
		other.rename("doc.bak", "old")
		p.write("doc", "one\ntwo\nthree\nfour\n")
		other.write("old", "quite\x00different\n")
		w.pass()
		if got := w.text(id); got != "zero\none\ntwo\nthree\nfour\n" {
			t.Errorf("doc: %q", got)
		}
		equal(t, "names", w.published(), []string{"doc", "old"})
	})
}

// The kernel forgets a file that has no name while its next version is on the
// way: git checkout unlinks and creates.
func TestForgetBeforeNextVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, git := w.process(10), w.process(11)
		p.write("doc", "one\ntwo\nthree\n")
		w.pass()
		p.read("doc")
		id, ino := w.node("doc"), p.stat("doc").Ino
		git.unlink("doc")
		w.fs.Forget(ino)
		git.write("doc", "zero\none\ntwo\nthree\n")
		p.write("doc", "one\ntwo\nthree\nfour\n")
		w.pass()
		if got := w.text(id); got != "zero\none\ntwo\nthree\nfour\n" {
			t.Errorf("doc: %q", got)
		}
	})
}

// In the first second of a file, before anybody else hears of it, two processes
// may already edit it, each with its own buffer.
func TestStaleBufferOfNewFile(t *testing.T) {
	for name, save := range map[string]func(p *process, text string){
		"truncate and write": func(p *process, text string) { p.saveOver("doc", text, false) },
		"write and rename": func(p *process, text string) {
			p.saveNew("doc.new", text, false)
			p.rename("doc.new", "doc")
		},
		"ftruncate": func(p *process, text string) {
			h := p.open("doc", wr)
			size := uint64(0)
			_, err := p.w.fs.Setattr(p.caller(), h.Ino(), h, SetAttr{Size: &size})
			p.must("ftruncate", err)
			p.writeTo(h, 0, text)
			p.close(h)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p, q := w.process(10), w.process(11)
				p.write("doc", "one\ntwo\nthree\n")
				for _, r := range []*process{p, q} { // from the kernel's cache, for all we see
					r.close(r.open("doc", syscall.O_RDONLY))
				}
				save(p, "zero\none\ntwo\nthree\n")
				save(q, "one\ntwo\nthree\nfour\n")
				if got := w.process(12).read("doc"); got != "zero\none\ntwo\nthree\nfour\n" {
					t.Errorf("doc: %q", got)
				}
				w.pass()
				equal(t, "names", w.published(), []string{"doc"})
				if got := w.text(w.node("doc")); got != "zero\none\ntwo\nthree\nfour\n" {
					t.Errorf("doc: %q", got)
				}
				if a := q.stat("doc"); a.Size != uint64(len("one\ntwo\nthree\nfour\n")) {
					t.Errorf("its author is told of %d bytes", a.Size)
				}
			})
		})
	}
}

// vim asks for the time of a file just before it loads it, and compares that
// with the time before it saves. When it loads what others have saved, it must
// not be told another time later.
func TestLoadingAgainIsNoAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		for i := range 3 {
			w.remote(node, w.text(node)+"more\n")
			time.Sleep(time.Minute)
			asked := p.stat("doc")
			if i == 2 {
				w.remote(node, w.text(node)+"between\n")
			}
			loaded := p.read("doc")
			time.Sleep(time.Minute)
			if now := p.stat("doc"); !now.Mtime.Equal(asked.Mtime) || now.Size != uint64(len(loaded)) {
				t.Errorf("round %d: asked %v, then %v; %d bytes, not %d", i, asked.Mtime, now.Mtime, now.Size, len(loaded))
			}
			if other := w.process(11).stat("doc"); other.Mtime.Equal(asked.Mtime) {
				t.Error("others are told the same")
			}
		}
		loaded := p.read("doc")
		p.saveOver("doc", "mine\n"+loaded, false)
		if got := w.text(node); got != "mine\n"+loaded {
			t.Errorf("published %q", got)
		}
		if mine, theirs := p.stat("doc"), w.process(11).stat("doc"); !mine.Mtime.Equal(theirs.Mtime) {
			t.Errorf("after its own save it is told %v, not %v", mine.Mtime, theirs.Mtime)
		}
	})
}

// Somebody else saves the file as it is.
func TestSavingTheSameIsNoAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		first := p.stat("doc")
		q := w.process(11)
		for range 2 {
			time.Sleep(time.Minute)
			w.remote(node, before)
			asked := q.stat("doc")
			q.read("doc")
			if asked.Mtime.Equal(first.Mtime) {
				t.Error("who does not know the file is not told its time")
			}
			time.Sleep(time.Minute)
			w.remote(node, before)
			for who, want := range map[*process]Attr{p: first, q: asked} {
				if got := who.stat("doc"); !got.Mtime.Equal(want.Mtime) {
					t.Errorf("process %d is told %v, then %v", who.pid, want.Mtime, got.Mtime)
				}
			}
			q = w.process(q.pid + 1)
		}
	})
}
