package vfs

import (
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/echofs/echofs/crdt/space"
)

// TestLinksOfPeers: a peer can make any link and move it anywhere. None leads out
// of the space.
func TestLinksOfPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.process(10)
		p.mkdir("a")
		p.mkdir("a/b")
		w.pass()
		for name, target := range map[string]string{"absolute": "/etc/passwd", "up": "../../../secret", "through": "x/../../secret", "good": "../good"} {
			if _, err := w.space.Create(w.node("a/b"), name, space.New{Kind: space.Symlink, Target: target}); err != nil {
				t.Fatal(err)
			}
			w.pass()
			got, err := w.fs.Readlink(p.caller(), p.stat("a/b/"+name).Ino)
			switch {
			case name == "good" && (got != target || err != nil):
				t.Errorf("%s: %q, %v", name, got, err)
			case name != "good" && err != syscall.EPERM:
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		ino := p.stat("a/b/good").Ino
		if _, err := w.space.Create(w.node("a/b"), "edge", space.New{Kind: space.Symlink, Target: "../../edge"}); err != nil {
			t.Fatal(err)
		}
		w.pass()
		edge := p.stat("a/b/edge").Ino
		if got, err := w.fs.Readlink(p.caller(), edge); got != "../../edge" || err != nil {
			t.Errorf("readlink: %q, %v", got, err)
		}
		// The folder around it moves up.
		if _, err := w.space.Move(w.node("a/b"), space.Root, "b", false); err != nil {
			t.Fatal(err)
		}
		w.pass()
		if _, err := w.fs.Readlink(p.caller(), edge); err != syscall.EPERM {
			t.Errorf("readlink after the move: %v", err)
		}
		if got, err := w.fs.Readlink(p.caller(), ino); got != "../good" || err != nil {
			t.Errorf("readlink after the move: %q, %v", got, err)
		}
		v := w.fs.volume("s")
		v.mu.Lock()
		defer v.mu.Unlock()
		if n := len(v.linksIn(w.node("b"))); n < 2 {
			t.Errorf("the kernel is told of %d links", n)
		}
	})
}
