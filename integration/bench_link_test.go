package integration

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// saves measures how long it takes from close on one mount until the other one
// serves the new bytes, beside the least it could take: a round trip of a bare
// data channel and one fsync.
func (m *measures) saves(b *testing.B, _ int) {
	w := NewWorld(b)
	alice, bob := w.Pair("bench")
	alice.Connected(1)
	bare := newChannel(b)
	disk, err := os.Create(filepath.Join(b.TempDir(), "journal"))
	if err != nil {
		b.Fatal(err)
	}
	defer disk.Close()

	text := bytes.Repeat([]byte("a line of text, more or less\n"), 350) // 10 KB
	alice.Write("bench/notes.txt", string(text))
	bob.Sees("bench/notes.txt", string(text))
	for i := range m.size.saves {
		line := (i * 37 % 350) * 29
		copy(text[line:], fmt.Sprintf("line of save %6d", i))
		m.addTime("save", save(b, alice.Path("bench/notes.txt"), bob.Path("bench/notes.txt"), text))
		m.addTime("round trip", bare.roundTrip(b))
		start := time.Now()
		if _, err := disk.Write(text); err != nil {
			b.Fatal(err)
		}
		if err := disk.Sync(); err != nil {
			b.Fatal(err)
		}
		m.addTime("fsync", time.Since(start))
	}
}

// save writes text at one path and returns how long after the start of close
// the other path has it.
func save(b *testing.B, to, from string, text []byte) time.Duration {
	b.Helper()
	f, err := os.Create(to)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := f.Write(text); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	for {
		got, err := os.ReadFile(from)
		took := time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		if bytes.Equal(got, text) {
			return took
		}
		if took > patience {
			b.Fatalf("a save was not visible within %v", patience)
		}
	}
}

// largeFile measures how long a file of random bytes takes to the other side.
func (m *measures) largeFile(b *testing.B, _ int) {
	w := NewWorld(b)
	alice, bob := w.Pair("bench")
	alice.Connected(1)
	bare := newChannel(b)
	for round := range m.size.rounds {
		name := fmt.Sprintf("bench/large-%d.bin", round)
		data := make([]byte, m.size.large)
		if _, err := rand.Read(data); err != nil {
			b.Fatal(err)
		}
		turns := []func(){
			func() { m.cross(b, alice.Path(name), bob.Path(name), data) },
			func() { m.addTime("large bare 16", bare.bulk(b, len(data), 16<<10)) },
			func() { m.addTime("large bare 64", bare.bulk(b, len(data), 64<<10-1)) },
		}
		for i := range turns {
			turns[(i+round)%len(turns)]()
		}
	}
}

// cross writes data at one path and reads it at the other one.
func (m *measures) cross(b *testing.B, to, from string, data []byte) {
	b.Helper()
	start := time.Now()
	if err := os.WriteFile(to, data, 0o644); err != nil {
		b.Fatal(err)
	}
	closed := time.Now()
	var f *os.File
	for {
		var err error
		if f, err = os.Open(from); err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) || time.Since(closed) > patience {
			b.Fatal(err)
		}
		<-time.After(time.Millisecond) // it is seconds that are measured
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for rest := data; len(rest) > 0; {
		n, err := io.ReadFull(f, buf[:min(len(buf), len(rest))])
		if err != nil || !bytes.Equal(buf[:n], rest[:n]) {
			b.Fatalf("%d bytes before the end: %v, or other bytes", len(rest), err)
		}
		rest = rest[n:]
	}
	m.addTime("large sent", time.Since(closed))
	m.addTime("large whole", time.Since(start))
}
