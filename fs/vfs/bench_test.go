package vfs

import (
	"fmt"
	"strings"
	"testing"
)

func benchWorld(b *testing.B) (*world, *process) {
	w := newWorld(b)
	w.fs.Invalidations(nil)
	return w, w.process(uint32(1 << 20))
}

func BenchmarkCreateWriteClose(b *testing.B) {
	w, p := benchWorld(b)
	dir, _, _ := p.walk("x")
	text := []byte(strings.Repeat("0123456789abcde\n", 256))
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	i := 0
	for b.Loop() {
		i++
		_, h, err := w.fs.Create(p.caller(), dir, fmt.Sprintf("file%d", i), wr|creat|excl, 0o644)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := h.Write(p.caller(), text, 0); err != nil {
			b.Fatal(err)
		}
		if err := h.Flush(p.caller()); err != nil {
			b.Fatal(err)
		}
		h.Release(p.caller())
	}
	b.StopTimer()
	if err := w.fs.volumes["s"].publish(true); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPublish is the second half of a copy: from the held log to the space.
func BenchmarkPublish(b *testing.B) {
	w, p := benchWorld(b)
	dir, _, _ := p.walk("x")
	text := strings.Repeat("0123456789abcde\n", 256)
	v := w.fs.volumes["s"]
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		for range 1000 {
			i++
			_, h, err := w.fs.Create(p.caller(), dir, fmt.Sprintf("file%d", i), wr|creat|excl, 0o644)
			if err != nil {
				b.Fatal(err)
			}
			p.writeTo(h, 0, text)
			p.close(h)
		}
		if err := v.publish(true); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkReadDir10000(b *testing.B) {
	w, p := benchWorld(b)
	for i := range 10000 {
		p.write(fmt.Sprintf("file%05d", i), "x")
	}
	if err := w.fs.volumes["s"].publish(true); err != nil {
		b.Fatal(err)
	}
	dir, _, _ := p.walk("x")
	b.ReportAllocs()
	for b.Loop() {
		entries, err := w.fs.ReadDir(p.caller(), dir)
		if err != nil || len(entries) != 10000 {
			b.Fatal(len(entries), err)
		}
	}
}

func benchFile(b *testing.B) (*world, *process, Ino) {
	w, p := benchWorld(b)
	p.write("doc", strings.Repeat("0123456789abcde\n", 640))
	if err := w.fs.volumes["s"].publish(true); err != nil {
		b.Fatal(err)
	}
	return w, p, p.stat("doc").Ino
}

func BenchmarkGetattr(b *testing.B) {
	w, p, ino := benchFile(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.fs.Getattr(p.caller(), ino, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	w, p, _ := benchFile(b)
	dir, name, _ := p.walk("doc")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.fs.Lookup(p.caller(), dir, name); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenReadClose(b *testing.B) {
	w, p, ino := benchFile(b)
	buf := make([]byte, 128<<10)
	b.ReportAllocs()
	for b.Loop() {
		h, err := w.fs.Open(p.caller(), ino, rd)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := h.Read(p.caller(), buf, 0); err != nil {
			b.Fatal(err)
		}
		h.Release(p.caller())
	}
}

func BenchmarkSave(b *testing.B) {
	w, p, _ := benchFile(b)
	text := p.read("doc")
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		text = text[:512] + fmt.Sprintf("%08d", i) + text[520:]
		p.saveOver("doc", text, false)
	}
	_ = w
}
