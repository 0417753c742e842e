package space

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/echofs/echofs/crdt/feed"
	"github.com/echofs/echofs/identity/credential"
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

// edited makes a space with a text of 100 KB that was edited n times.
func muchEdited(b *testing.B, n int) (*Space, NodeID) {
	s := founded(b)
	text := bytes.Repeat([]byte("some words of a text that people edit\n"), 100<<10/38)
	f := create(b, s, "a.txt", string(text))
	for i := range n {
		text[i*997%len(text)] = 'x'
		if _, err := s.Save(f.ID, nil, BytesContent(bytes.Clone(text)), time.Time{}); err != nil {
			b.Fatal(err)
		}
		settle(b, s)
	}
	return s, f.ID
}

// BenchmarkOldVersion reads an old version of a text that nobody looked back
// at before.
func BenchmarkOldVersion(b *testing.B) {
	s, id := muchEdited(b, 1000)
	defer s.Close()
	h, err := s.History(id)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.lines.clear()
		if _, err := s.OpenVersion(id, h[len(h)/2].ID); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOldVersionAgain reads versions of a text that somebody looks at.
func BenchmarkOldVersionAgain(b *testing.B) {
	s, id := muchEdited(b, 1000)
	defer s.Close()
	h, err := s.History(id)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		if _, err := s.OpenVersion(id, h[n%len(h)].ID); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// BenchmarkHistory lists the versions of a text.
func BenchmarkHistory(b *testing.B) {
	s, id := muchEdited(b, 1000)
	defer s.Close()
	for b.Loop() {
		s.lines.clear()
		if h, err := s.History(id); err != nil || len(h) < 900 {
			b.Fatal(len(h), err)
		}
	}
}

// BenchmarkRotate100 changes the key of a space with a hundred devices.
func BenchmarkRotate100(b *testing.B) {
	crowd := func() *Space {
		s := founded(b)
		for n := range 99 {
			if _, err := s.Admit(device(b, fmt.Sprint("guest", n)).Chain(), credential.Reader); err != nil {
				b.Fatal(err)
			}
		}
		return s
	}
	s, keys := crowd(), 1
	for b.Loop() {
		if keys == feed.MaxKeys {
			b.StopTimer()
			s, keys = crowd(), 1
			b.StartTimer()
		}
		if err := s.Rotate(b.Context()); err != nil {
			b.Fatal(err)
		}
		keys++
	}
}
