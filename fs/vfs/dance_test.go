package vfs

import (
	"fmt"
	"os"
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

func TestNotASave(t *testing.T) {
	tests := []struct {
		name   string
		do     func(p *process)
		events []string
		files  map[string]string // content by name
		nodes  map[string]string // which document is where now
	}{
		{"delete", func(p *process) { p.unlink("doc") },
			[]string{"removed doc"}, map[string]string{}, nil},
		{"rename", func(p *process) { p.rename("doc", "new") },
			[]string{"moved new"}, map[string]string{"new": before}, map[string]string{"new": "doc"}},
		{"delete, much later create", func(p *process) {
			p.unlink("doc")
			p.w.pass()
			p.write("doc", after)
		}, []string{"removed doc", "created doc"}, map[string]string{"doc": after}, map[string]string{"doc": ""}},
		{"mv doc archive; echo > doc", func(p *process) {
			p.rename("doc", "archive")
			h := p.open("doc", wr|creat|trunc)
			p.flush(h)
			p.writeTo(h, 0, "something else\n")
			p.close(h)
		}, []string{"moved archive", "created doc"},
			map[string]string{"archive": before, "doc": "something else\n"},
			map[string]string{"archive": "doc", "doc": ""}},
		{"sed -i.old, whose backup is shared", func(p *process) {
			p.saveNew("sedAbCdEf", after, false)
			p.rename("doc", "doc.old")
			p.rename("sedAbCdEf", "doc")
		}, []string{"changed doc", "created doc.old"},
			map[string]string{"doc.old": before, "doc": after}, map[string]string{"doc": "doc", "doc.old": ""}},
		{"rename twice", func(p *process) {
			p.rename("doc", "a")
			p.rename("a", "b")
		}, []string{"moved a", "moved b"}, map[string]string{"b": before}, map[string]string{"b": "doc"}},
		{"rename and back", func(p *process) {
			p.rename("doc", "a")
			p.rename("a", "doc")
		}, []string{"moved a", "moved doc"}, map[string]string{"doc": before}, map[string]string{"doc": "doc"}},
		{"rename and delete", func(p *process) {
			p.rename("doc", "a")
			p.unlink("a")
		}, []string{"moved a", "removed a"}, map[string]string{}, nil},
		{"move to a backup name for good", func(p *process) { p.rename("doc", "doc.bak") },
			[]string{"removed doc"}, map[string]string{}, nil},
		{"touch after rm", func(p *process) {
			p.unlink("doc")
			p.close(p.open("doc", wr|creat))
		}, []string{"changed doc"}, map[string]string{"doc": ""}, map[string]string{"doc": "doc"}},
		{"log rotation", func(p *process) {
			p.rename("doc", "doc.1")
			p.close(p.open("doc", wr|creat))
		}, []string{"moved doc.1", "created doc"},
			map[string]string{"doc": "", "doc.1": before}, map[string]string{"doc.1": "doc", "doc": ""}},
		{"temporary file that goes", func(p *process) {
			p.write("scan", "x")
			p.unlink("scan")
		}, nil, map[string]string{"doc": before}, map[string]string{"doc": "doc"}},
		{"rename over another document", func(p *process) { p.rename("other", "doc") },
			[]string{"removed doc", "moved doc"}, map[string]string{"doc": "other text\n"}, map[string]string{"doc": "other"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				p := w.process(10)
				p.write("doc", before)
				if tt.nodes["doc"] == "other" {
					p.write("other", "other text\n")
				}
				w.pass()
				was := map[string]space.NodeID{"doc": w.node("doc")}
				if o, err := w.find("other"); err == nil {
					was["other"] = o.ID
				}
				r := w.recordEvents()
				tt.do(p)
				check := func(when string) {
					t.Helper()
					for name, text := range tt.files {
						if got := p.read(name); got != text {
							t.Errorf("%s %s holds %q, want %q", when, name, got, text)
						}
					}
				}
				check("at once")
				w.pass()
				check("later")
				slices.Sort(tt.events)
				got := r.events()
				slices.Sort(got)
				equal(t, "events", got, tt.events)
				if n := len(w.published()); n != len(tt.files) {
					t.Errorf("published %v", w.published())
				}
				for name, old := range tt.nodes {
					node := w.node(name)
					if old != "" && node != was[old] {
						t.Errorf("%s is not the document that was %s", name, old)
					}
					if old == "" && (node == was["doc"] || node == was["other"]) {
						t.Errorf("%s is an old document", name)
					}
				}
			})
		})
	}
}

func TestThreeWaySwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("a", "text of a\n")
		p.write("b", "text of b\n")
		w.pass()
		a, b := w.node("a"), w.node("b")
		p.rename("a", "t")
		p.rename("b", "a")
		p.rename("t", "b")
		if p.read("a") != "text of b\n" || p.read("b") != "text of a\n" {
			t.Error("not swapped")
		}
		w.pass()
		if w.node("a") != b || w.node("b") != a {
			t.Error("documents did not keep their identity")
		}
		p.must("exchange", p.tryRename("a", "b", RenameExchange))
		synctest.Wait()
		if w.node("a") != a || w.node("b") != b {
			t.Error("not exchanged")
		}
		wantErr(t, "no replace", p.tryRename("a", "b", RenameNoReplace), os.ErrExist)
	})
}

func TestScratchStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.mkdir("d")
		p.mkdir("d/.git")
		p.mkdir("d/.git/objects")
		p.write("d/.git/objects/tmp_obj", "object")
		p.link("d/.git/objects/tmp_obj", "d/.git/objects/ab12")
		p.unlink("d/.git/objects/tmp_obj")
		if got := p.read("d/.git/objects/ab12"); got != "object" {
			t.Errorf("linked: %q", got)
		}
		p.write("d/.git/index.lock", "index")
		p.rename("d/.git/index.lock", "d/.git/index")
		p.rename("d", "e")
		if got := p.read("e/.git/index"); got != "index" {
			t.Errorf("after the folder moved: %q", got)
		}
		for i, name := range []string{".x.swp", "x~", ".#x", "#x#", "a.tmp", ".DS_Store", "db.sqlite-wal"} {
			p.write("e/"+name, fmt.Sprint(i))
			if got := p.read("e/" + name); got != fmt.Sprint(i) {
				t.Errorf("%s holds %q", name, got)
			}
		}
		p.write("e/my-journal", "dear diary")
		w.pass()
		infos, err := w.space.List(w.node("e"))
		if err != nil || len(infos) != 1 || infos[0].Name != "my-journal" {
			t.Errorf("published %v, %v", infos, err)
		}
	})
}
