package vfs

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/echofs/echofs/crdt/space"
)

func TestIgnore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.write("old.log", "shared before\n")
		w.pass()
		p.write(".space/ignore", "*.log\n/build/\n!keep.log\n")
		w.pass()
		if got := p.read(".space/ignore"); !strings.HasPrefix(got, "*.log") {
			t.Errorf("the file reads %q", got)
		}
		equal(t, "listing", p.list(""), []string{"old.log"})
		if names := p.list(".space"); !slices.Contains(names, "ignore") {
			t.Errorf(".space has %q", names)
		}

		p.mkdir("src")
		p.mkdir("build")
		for _, path := range []string{"new.log", "src/deep.log", "keep.log", "build/out", "src/main.go"} {
			p.write(path, path)
		}
		p.write("out.txt", "renamed to a name that is ignored\n")
		p.rename("out.txt", "out.log")
		p.saveNew("tmp", "shared before, edited\n", false)
		p.rename("tmp", "old.log") // a save of what is shared already
		w.pass()
		for path, want := range map[string]bool{
			"new.log": false, "src/deep.log": false, "build": false, "out.log": false,
			"keep.log": true, "src/main.go": true, "old.log": true,
		} {
			if _, err := w.find(path); (err == nil) != want {
				t.Errorf("%s: shared %v, want %v", path, err == nil, want)
			}
			p.stat(path)
		}
		if got := w.text(w.node("old.log")); got != "shared before, edited\n" {
			t.Errorf("old.log: %q", got)
		}

		// Edited as by an editor, and by a peer; what stayed here goes on to.
		p.saveOver(".space/ignore", "nothing\n", false)
		w.pass()
		p.write("other.log", "shared\n")
		w.pass()
		w.node("other.log")
		if got := p.read("new.log"); got != "new.log" {
			t.Errorf("new.log: %q", got)
		}
		w.remote(w.node(ignoreNode), "*.txt\n")
		p.write("a.txt", "local\n")
		w.pass()
		if _, err := w.find("a.txt"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a.txt: %v", err)
		}
		p.unlink(".space/ignore")
		w.pass()
		if _, err := w.space.Lookup(space.Root, ignoreNode); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("removed: %v", err)
		}
	})
}

// No patterns of a peer stop the file system.
func FuzzIgnore(f *testing.F) {
	f.Add("*.log\n!a\n/b/**/c\n[", "x/y.log")
	f.Fuzz(func(t *testing.T, patterns, path string) {
		w := newWorld(t)
		info, err := w.space.Create(space.Root, ignoreNode, space.New{Content: space.BytesContent([]byte(patterns))})
		if err != nil {
			t.Fatal(err)
		}
		v := w.fs.volume("s")
		v.mu.Lock()
		defer v.mu.Unlock()
		if rules, err := v.readIgnore(info); err == nil && rules != nil {
			rules.MatchesPath(path)
		}
	})
}
