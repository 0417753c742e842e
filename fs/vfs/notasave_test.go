package vfs

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/echofs/echofs/crdt/space"
)

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
		p.link("d/.git/objects/ab12", "d/.git/objects/cd34")
		ino := p.stat("d/.git/objects/cd34").Ino
		p.unlink("d/.git/objects/cd34")
		// The kernel asks by number, without looking the name up again.
		if a, err := w.fs.Getattr(p.caller(), ino, nil); err != nil || a.Nlink != 1 {
			t.Errorf("after unlinking another name: %+v, %v", a, err)
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
