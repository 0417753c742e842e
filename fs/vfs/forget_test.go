package vfs

import (
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
)

// What the kernel has forgotten costs no memory here.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, q := w.process(10), w.process(11)
		p.mkdir(".git")
		var files []string
		for i := range 30 {
			files = append(files, fmt.Sprint("file", i), fmt.Sprintf("file%d.bak", i), fmt.Sprint(".git/", i))
		}
		for i, name := range files {
			p.write(name, name)
			if i%2 == 0 { // before it is published
				w.fs.Forget(p.stat(name).Ino)
			}
		}
		w.pass()
		for i, name := range files {
			if i%2 == 1 {
				w.fs.Forget(p.stat(name).Ino)
			}
		}
		w.fs.mu.Lock()
		left := len(w.fs.inodes)
		w.fs.mu.Unlock()
		if left > 4 { // the roots and the folder
			t.Errorf("%d inodes are left", left)
		}
		for _, name := range files {
			if got := p.read(name); got != name {
				t.Errorf("%s: %q", name, got)
			}
		}

		// What a process knows of a document is still known, and so is the number.
		q.close(q.open("file1", syscall.O_RDONLY))
		ino := q.stat("file1").Ino
		w.fs.Forget(ino)
		p.write("file1", "new\nfile1")
		w.fs.Forget(ino)
		q.write("file1", "file1\nmine")
		w.pass()
		if got := w.text(w.node("file1")); got != "new\nfile1\nmine" {
			t.Errorf("file1: %q", got)
		}
		if now := q.stat("file1").Ino; now != ino {
			t.Errorf("number %d, was %d", now, ino)
		}
	})
}
