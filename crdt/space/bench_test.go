package space

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

var source = bytes.Repeat([]byte("func main() { fmt.Println(\"a line of a source file\") }\n"), 80) // 4.4 KB

func BenchmarkCreate(b *testing.B) {
	s := founded(b)
	start(b, s)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := s.Create(Root, fmt.Sprint("file", n), New{Content: BytesContent(source)}); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// BenchmarkCreateDurable includes the commit of everything.
func BenchmarkCreateDurable(b *testing.B) {
	s := founded(b)
	stop := start(b, s)
	n := 0
	for b.Loop() {
		if _, err := s.Create(Root, fmt.Sprint("file", n), New{Content: BytesContent(source)}); err != nil {
			b.Fatal(err)
		}
		if n++; n%10_000 == 0 {
			settle(b, s)
		}
	}
	settle(b, s)
	stop()
}

func BenchmarkSave(b *testing.B) {
	s := founded(b)
	start(b, s)
	f := create(b, s, "a.txt", string(source))
	text, version := read(b, s, f.ID)
	for b.Loop() {
		text = text[:100] + "x" + text[100:]
		i, err := s.Save(f.ID, &version, BytesContent([]byte(text)), time.Time{})
		if err != nil {
			b.Fatal(err)
		}
		version = i.Version
	}
}

func full(b *testing.B, n int) *Space {
	s := founded(b)
	for i := range n {
		if _, err := s.Create(Root, fmt.Sprint("file", i), New{Content: BytesContent(source)}); err != nil {
			b.Fatal(err)
		}
	}
	settle(b, s)
	return s
}

func BenchmarkList10000(b *testing.B) {
	s := full(b, 10_000)
	for b.Loop() {
		if l, err := s.List(Root); err != nil || len(l) != 10_000 {
			b.Fatal(len(l), err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	s := full(b, 1000)
	infos, err := s.List(Root)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		p, err := s.Open(infos[n%len(infos)].ID)
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
		n++
	}
}

func BenchmarkOpenSpace10000(b *testing.B) {
	s := full(b, 10_000)
	cfg := Config{Dir: s.dir, Device: s.device}
	for b.Loop() {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		var err error
		if s, err = Open(cfg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAccept256(b *testing.B) {
	s := full(b, 256)
	for b.Loop() {
		b.StopTimer()
		to := joined(b, s, "ben", 2)
		b.StartTimer()
		pull(b, to, s)
		b.StopTimer()
		to.Close()
		b.StartTimer()
	}
}
