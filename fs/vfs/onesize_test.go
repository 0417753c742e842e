package vfs

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestOneSize checks who is told what of a size, of which the kernel has only one.
func TestOneSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p, node := w.shared("doc", before)
		reader, stranger := w.process(20), w.process(21)
		told := func(p *process) Attr { return p.stat("doc") }
		h := reader.open("doc", rd)
		if h.Direct() {
			t.Fatal("it is not read through the page cache")
		}
		news := "zero\n" + before
		w.remote(node, news)
		for _, p := range []*process{p, reader, stranger} {
			if a := told(p); a.Apart || a.Size != uint64(len(before)) {
				t.Errorf("while somebody reads the old version: %+v", a)
			}
		}
		time.Sleep(readPause)
		for _, p := range []*process{p, reader, stranger} {
			if a := told(p); a.Apart || a.Size != uint64(len(news)) {
				t.Errorf("while somebody has it open: %+v", a)
			}
		}
		reader.close(h)
		if a := told(p); !a.Apart || a.Size != uint64(len(before)) || a.True != uint64(len(news)) || !a.Volatile {
			t.Errorf("who knows the old version is told %+v", a)
		}
		if a := told(stranger); a.Apart || a.Size != uint64(len(news)) {
			t.Errorf("who knows nothing is told %+v", a)
		}
	})
}
