package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A small commit is on the way from a save to its being visible elsewhere.
func BenchmarkUpdateSmall(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	prefill(b, s, 10_000)
	entry, record, text := make([]byte, 600), make([]byte, 200), bytes.Repeat([]byte("some words of a text\n"), 500)
	seq := uint64(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		err := s.Update(func(tx *Tx) error {
			if _, err := tx.PutEntry([32]byte{1}, seq, entry); err != nil {
				return err
			}
			id := key(seq % 10_000)
			if err := tx.PutNode(id, record); err != nil {
				return err
			}
			if err := tx.PutText(id[:], text); err != nil {
				return err
			}
			if err := tx.PutDoc(id[:], text); err != nil {
				return err
			}
			return tx.PutMeta("heads", record)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func key(i uint64) (id [16]byte) {
	r := rand.NewPCG(i, 7)
	for j := range id {
		id[j] = byte(r.Uint64())
	}
	return id
}

func prefill(b testing.TB, s *Store, n int) {
	text := bytes.Repeat([]byte("package main // and so on\n"), 40)
	for i := 0; i < n; i += 500 {
		err := s.Update(func(tx *Tx) error {
			for j := i; j < i+500; j++ {
				id := key(uint64(j))
				if err := tx.PutNode(id, make([]byte, 200)); err != nil {
					return err
				}
				if err := tx.PutText(id[:], append(text, fmt.Sprint(j)...)); err != nil {
					return err
				}
			}
			_, err := tx.PutEntry([32]byte{1}, uint64(i+1), make([]byte, 200_000))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// Copying many files in: 256 files to a commit.
func BenchmarkUpdateBatch(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	text := bytes.Repeat([]byte("package main // and so on\n"), 300)
	n := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		err := s.Update(func(tx *Tx) error {
			for range 256 {
				n++
				id := key(n)
				if err := tx.PutNode(id, make([]byte, 200)); err != nil {
					return err
				}
				if err := tx.PutText(id[:], append(text, fmt.Sprint(n)...)); err != nil {
					return err
				}
			}
			_, err := tx.PutEntry([32]byte{1}, n, make([]byte, 500_000))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*256/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkText(b *testing.B) {
	s := open(b, b.TempDir())
	text := bytes.Repeat([]byte("some words of a text\n"), 500)
	update(b, s, func(tx *Tx) error { return tx.PutText([]byte("k"), text) })
	b.ReportAllocs()
	for b.Loop() {
		err := s.View(func(tx *Tx) error { _, err := tx.Text([]byte("k")); return err })
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s := open(b, dir)
	prefill(b, s, 10_000)
	s.Close()
	for b.Loop() {
		s, err := Open(dir, Options{Timeout: time.Second})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func BenchmarkVerify(b *testing.B) {
	s := open(b, b.TempDir())
	prefill(b, s, 10_000)
	b.SetBytes(s.Size())
	for b.Loop() {
		if err := s.Verify(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJournalAppend(b *testing.B) {
	j := openJournal(b, b.TempDir())
	frame := make([]byte, 8000)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if err := j.Append(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJournalSync(b *testing.B) {
	j := openJournal(b, b.TempDir())
	for b.Loop() {
		if err := j.Append(make([]byte, 1000)); err != nil {
			b.Fatal(err)
		}
		if err := j.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJournalSyncShared(b *testing.B) {
	j := openJournal(b, b.TempDir())
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := j.Append(make([]byte, 1000)); err != nil {
				b.Error(err)
			}
			if err := j.Sync(); err != nil {
				b.Error(err)
			}
		}
	})
}
