package vfs

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What close, unlink and rename acknowledged is there after a kill, and what was
// held is published.
func TestCrashKeepsWhatWasAcknowledged(t *testing.T) {
	tests := []struct {
		name  string
		do    func(p *process)
		files map[string]string
	}{
		{"new file closed", func(p *process) { p.write("new", "text\n") },
			map[string]string{"doc": before, "new": "text\n"}},
		{"large file closed", func(p *process) { p.write("new", strings.Repeat("large ", 1<<19)) },
			map[string]string{"doc": before, "new": strings.Repeat("large ", 1<<19)}},
		{"new file not closed", func(p *process) { p.writeTo(p.open("new", wr|creat), 0, "text\n") },
			map[string]string{"doc": before}},
		{"new file renamed", func(p *process) {
			p.write("new", "text\n")
			p.rename("new", "newer")
		}, map[string]string{"doc": before, "newer": "text\n"}},
		{"new file removed", func(p *process) {
			p.write("new", "text\n")
			p.unlink("new")
		}, map[string]string{"doc": before}},
		{"new file written twice", func(p *process) {
			p.write("new", "text\n")
			p.write("new", "more\n")
		}, map[string]string{"doc": before, "new": "more\n"}},
		{"save", func(p *process) { p.saveOver("doc", after, false) }, map[string]string{"doc": after}},
		{"save by rename", func(p *process) {
			p.write("sedAb", after)
			p.rename("sedAb", "doc")
		}, map[string]string{"doc": after}},
		{"removed", func(p *process) { p.unlink("doc") }, map[string]string{}},
		{"renamed", func(p *process) { p.rename("doc", "new") }, map[string]string{"new": before}},
		{"renamed and removed", func(p *process) {
			p.rename("doc", "new")
			p.unlink("new")
		}, map[string]string{}},
		{"in the middle of a save with a backup", func(p *process) {
			p.rename("doc", "doc~")
			p.writeTo(p.open("doc", wr|creat), 0, "on")
		}, map[string]string{"doc": before, "doc~": before}},
		{"removed, created, removed", func(p *process) {
			p.unlink("doc")
			p.open("doc", wr|creat)
			p.unlink("doc")
		}, map[string]string{}},
		{"scratch file given a name", func(p *process) {
			p.write("x.tmp", "text\n")
			p.rename("x.tmp", "x")
		}, map[string]string{"doc": before, "x": "text\n"}},
	}
	for _, tt := range tests {
		for _, when := range []string{"at once", "after it was published"} {
			t.Run(tt.name+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					p := w.process(10)
					p.write("doc", before)
					w.pass()
					tt.do(p)
					if when != "at once" && !strings.Contains(tt.name, "middle") {
						w.pass()
					}
					w.crash()
					check := func() {
						t.Helper()
						var want []string
						for name, text := range tt.files {
							want = append(want, name)
							if got := p.read(name); got != text {
								t.Errorf("%s holds %d bytes, want %d", name, len(got), len(text))
							}
						}
						if got := p.list(""); len(got) != len(want) {
							t.Errorf("names %v, want %v", got, want)
						}
					}
					check()
					w.pass()
					check()
					w.crash()
					check()
				})
			})
		}
	}
}

func TestCloseCommitsOpenFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("doc", before)
		w.pass()
		p.writeTo(p.open("doc", wr|trunc), 0, after)
		p.writeTo(p.open("new", wr|creat), 0, "text\n")
		if err := w.fs.Close(); err != nil {
			t.Error(err)
		}
		if got := w.text(w.node("doc")); got != after {
			t.Errorf("doc is %q", got)
		}
		if got := w.text(w.node("new")); got != "text\n" {
			t.Errorf("new is %q", got)
		}
		w.crash()
	})
}

func TestHeldLog(t *testing.T) {
	dir := t.TempDir()
	l, recs, err := openHeldLog(dir)
	if err != nil || len(recs) > 0 {
		t.Fatal(recs, err)
	}
	a := heldRecord{Kind: heldFresh, Key: l.key(), Name: "a", Mtime: time.Unix(1, 2).UnixNano(), Exec: true, Data: []byte("text")}
	b := heldRecord{Kind: heldRemove, Key: l.key(), Node: [16]byte{1}, Data: []byte("version")}
	for _, r := range []heldRecord{a, b} {
		if err := l.append(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.sync(); err != nil {
		t.Fatal(err)
	}
	if err := l.append(heldRecord{Kind: heldDone, Key: b.Key}); err != nil {
		t.Fatal(err)
	}
	_, recs, err = openHeldLog(dir)
	if err != nil || len(recs) != 3 {
		t.Fatal(recs, err)
	}
	left := outstanding(recs)
	if len(left) != 1 || left[0].Name != "a" || string(left[0].Data) != "text" || !left[0].Exec || left[0].Mtime != a.Mtime {
		t.Errorf("outstanding %+v", left)
	}
	if err := l.append(heldRecord{Kind: heldDone, Key: a.Key}); err != nil {
		t.Fatal(err)
	}
	if _, recs, _ = openHeldLog(dir); len(recs) > 0 {
		t.Errorf("an empty log holds %+v", recs)
	}
}
