package vfs

import (
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echofs/echofs/crdt/space"
)

const (
	before = "one\ntwo\nthree\nfour\nfive\n"
	after  = "one\ntwo\nthree and a half\nfour\nfive\n"
)

// A recorder notes what the space tells its subscribers, which is what peers
// get to see.
type recorder struct {
	mu  sync.Mutex
	got []string
}

func (r *recorder) record(events []space.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		if e.Op == space.Attr {
			continue
		}
		op := []string{"created", "removed", "moved", "changed"}[e.Op]
		r.got = append(r.got, op+" "+e.Name)
	}
}

func (w *world) recordEvents() *recorder {
	r := &recorder{}
	w.space.Subscribe(r.record)
	return r
}

func (r *recorder) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

const (
	rd    = uint32(syscall.O_RDONLY)
	wr    = uint32(syscall.O_WRONLY)
	creat = uint32(syscall.O_CREAT)
	excl  = uint32(syscall.O_EXCL)
	trunc = uint32(syscall.O_TRUNC)
)

// copyTo reads one file and writes another, as editors make backups.
func (p *process) copyTo(from, to string) { p.write(to, p.read(from)) }

// saveNew writes a new file.
func (p *process) saveNew(path, text string, sync bool) {
	h := p.open(path, wr|creat|excl)
	p.writeTo(h, 0, text)
	if sync {
		p.fsync(h)
	}
	p.close(h)
}

// saveOver truncates and writes.
func (p *process) saveOver(path, text string, sync bool) {
	h := p.open(path, wr|trunc)
	p.writeTo(h, 0, text)
	if sync {
		p.fsync(h)
	}
	p.close(h)
}

func (p *process) link(from, to string) {
	p.w.t.Helper()
	dir, name, err := p.walk(to)
	if err == nil {
		_, err = p.w.fs.Link(p.caller(), p.stat(from).Ino, dir, name)
	}
	p.must("link", err)
}

// Each of these is the save of one tool, as it arrives from the kernel. The
// tool has read "doc" and saves it with one line changed.
var dances = []struct {
	name string
	save func(p *process)
	left []string // names in the folder afterwards, beside doc
}{
	{"vim", func(p *process) {
		p.write(".doc.swp", "swap")
		p.saveNew("4913", "", false)
		p.unlink("4913")
		p.rename("doc", "doc~")
		p.saveNew("doc", after, true)
		p.unlink("doc~")
	}, []string{".doc.swp"}},
	{"vim without fsync", func(p *process) {
		p.rename("doc", "doc~")
		p.saveNew("doc", after, false)
		p.unlink("doc~")
	}, nil},
	{"vim, many writes", func(p *process) {
		p.rename("doc", "doc~")
		h := p.open("doc", wr|creat)
		p.writeTo(h, 0, after[:7])
		p.writeTo(h, 7, after[7:])
		p.fsync(h)
		p.close(h)
		p.unlink("doc~")
	}, nil},
	{"vim with backupcopy=yes, nano -B", func(p *process) {
		p.copyTo("doc", "doc~")
		p.saveOver("doc", after, true)
		p.unlink("doc~")
	}, nil},
	{"nano, micro, tee, VS Code", func(p *process) { p.saveOver("doc", after, false) }, nil},
	{"cp", func(p *process) {
		h := p.open("doc", wr|trunc)
		p.writeTo(h, 0, after)
		p.close(h)
	}, nil},
	{"emacs", func(p *process) {
		d, _, _ := p.walk("doc")
		if _, err := p.w.fs.Symlink(p.caller(), d, ".#doc", "me@host.1:2"); err != nil {
			p.w.t.Error(err)
		}
		p.write("#doc#", "autosave")
		p.rename("doc", "doc~")
		h := p.open("doc", wr|creat|trunc)
		p.writeTo(h, 0, after[:10])
		p.writeTo(h, 10, after[10:])
		p.fsync(h)
		p.close(h)
		p.unlink("#doc#")
		p.unlink(".#doc")
	}, []string{"doc~"}},
	{"sed -i, perl -i, LibreOffice", func(p *process) {
		p.saveNew("sedAbCdEf", after, false)
		p.rename("sedAbCdEf", "doc")
	}, nil},
	{"scratch file over", func(p *process) {
		p.saveNew("lu12.tmp", after, true)
		p.rename("lu12.tmp", "doc")
	}, nil},
	{"rsync", func(p *process) {
		h := p.open(".doc.Xy12Zz", wr|creat|excl)
		p.writeTo(h, 0, after)
		p.close(h)
		when := p.w.fs.now()
		p.set(".doc.Xy12Zz", SetAttr{Mtime: &when})
		p.rename(".doc.Xy12Zz", "doc")
	}, nil},
	{"sed -i.bak, mv -b", func(p *process) {
		p.saveNew("sedAbCdEf", after, false)
		p.rename("doc", "doc.bak")
		p.rename("sedAbCdEf", "doc")
	}, []string{"doc.bak"}},
	{"perl -pi.bak", func(p *process) {
		p.saveNew("XXabcd", after, false)
		p.link("doc", "doc.bak")
		p.rename("XXabcd", "doc")
	}, []string{"doc.bak"}},
	{"git checkout, cp --remove-destination", func(p *process) {
		p.unlink("doc")
		p.saveNew("doc", after, false)
	}, nil},
	{"shell redirection", func(p *process) {
		h := p.open("doc", wr|trunc)
		p.flush(h) // the shell duplicates the descriptor and closes the first
		p.writeTo(h, 0, after)
		p.close(h)
	}, nil},
	{"exchange", func(p *process) {
		p.saveNew("doc.new", after, true)
		p.must("exchange", p.tryRename("doc.new", "doc", RenameExchange))
		p.unlink("doc.new")
	}, nil},
	{"backup that failed and is put back", func(p *process) {
		p.rename("doc", "doc~")
		p.rename("doc~", "doc")
		p.saveOver("doc", after, true)
	}, nil},
	{"in place", func(p *process) {
		h := p.open("doc", syscall.O_RDWR)
		p.writeTo(h, 8, after[8:])
		p.close(h)
	}, nil},
}

func TestSaveIsOneEdit(t *testing.T) {
	for _, tt := range dances {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p := w.process(10)
				p.write("doc", before)
				mode := uint32(0o755)
				p.set("doc", SetAttr{Mode: &mode})
				w.pass()
				node := w.node("doc")
				if p.read("doc") != before {
					t.Fatal("doc is not there")
				}
				r := w.recordEvents()
				tt.save(p)
				synctest.Wait()
				if got := p.read("doc"); got != after {
					t.Errorf("read %q", got)
				}
				// All of them are published at once, not after the hold.
				if got := w.text(node); got != after {
					t.Errorf("published at once: %q", got)
				}
				w.pass()
				equal(t, "events", r.events(), []string{"changed doc"})
				if got := w.node("doc"); got != node {
					t.Errorf("node %v became %v", node, got)
				}
				if got := p.read("doc"); got != after {
					t.Errorf("later read %q", got)
				}
				want := append(slices.Clone(tt.left), "doc")
				slices.Sort(want)
				equal(t, "names", p.list(""), want)
				if a := p.stat("doc"); a.Size != uint64(len(after)) || a.Volatile {
					t.Errorf("attributes %+v", a)
				}
			})
		})
	}
}

// The same saves from a buffer that a peer has overtaken.
func TestSaveOfStaleBuffer(t *testing.T) {
	const (
		peer = "zero\none\ntwo\nthree\nfour\n"
		both = "zero\none\ntwo\nthree and a half\nfour\n"
	)
	for _, tt := range dances {
		if tt.name == "in place" {
			continue // whoever opens a file to change bytes in the middle knows which ones
		}
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p := w.process(10)
				w.process(9).write("doc", before)
				w.pass()
				node := w.node("doc")
				if p.read("doc") != before {
					t.Fatal("doc is not there")
				}
				time.Sleep(time.Minute)
				w.remote(node, peer)
				if a := p.stat("doc"); a.Size != uint64(len(before)) || !a.Volatile {
					t.Errorf("the process is told of a change of the peer: %+v", a)
				}
				if a := w.process(11).stat("doc"); a.Size != uint64(len(peer)) || !a.Volatile {
					t.Errorf("another process is told %+v", a)
				}
				tt.save(p)
				synctest.Wait()
				if got := w.text(node); got != both {
					t.Errorf("published %q", got)
				}
				a := p.stat("doc")
				if a.Size != uint64(len(after)) {
					t.Errorf("after its save the process is told of size %d, it wrote %d", a.Size, len(after))
				}
				// It goes on from its own buffer.
				p.saveOver("doc", after+"six\n", true)
				if got := w.text(node); got != both+"six\n" {
					t.Errorf("after another save: %q", got)
				}
				// And takes back what it typed, which must not be mistaken for
				// a save of what it once read.
				p.saveOver("doc", before, true)
				if got := w.text(node); got != peer {
					t.Errorf("after undo: %q", got)
				}
			})
		})
	}
}

// A name that was just removed is made again by somebody who only reads, as
// flock does.
func TestNameMadeAgainForReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("doc", before)
		w.pass()
		p.unlink("doc")
		h := p.open("doc", syscall.O_RDONLY|creat)
		p.close(h)
		w.pass()
		equal(t, "names", w.published(), []string{"doc"})
		if got := p.read("doc"); got != "" {
			t.Errorf("doc: %q", got)
		}
		p.write("doc", after)
		w.pass()
		if got := w.text(w.node("doc")); got != after {
			t.Errorf("doc: %q", got)
		}
	})
}
