package document

import (
	"strings"
	"testing"

	"github.com/echofs/echofs/crdt/textdiff"
)

var tenKB = strings.Repeat("some words of a text that is edited\n", 10_240/36)

// An edit of a 10 KB text whose document is loaded.
func BenchmarkEdit(b *testing.B) {
	d := newDoc(b, tenKB)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		pos := i * 997 % 10_000
		if _, err := d.Edit(actorOf(1), []textdiff.Splice{{Pos: pos, Del: 1, Ins: "x"}}, noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	from, to := newDoc(b, tenKB), newDoc(b, tenKB)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		raw, err := from.Edit(actorOf(1), []textdiff.Splice{{Pos: i * 997 % 10_000, Del: 1, Ins: "x"}}, noon)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		apply(b, to, raw)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		newDoc(b, tenKB).Close()
	}
}

// A document with a thousand edits.
func BenchmarkLoad(b *testing.B) {
	d := newDoc(b, tenKB)
	for i := range 1000 {
		if _, err := d.Edit(actorOf(1), []textdiff.Splice{{Pos: i * 997 % 10_000, Del: 1, Ins: "x"}}, noon); err != nil {
			b.Fatal(err)
		}
	}
	saved, heads := d.Save(), d.Heads()
	b.ReportMetric(float64(len(saved)), "bytes")
	for b.Loop() {
		l, err := Load(saved, heads)
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}

func BenchmarkCheck(b *testing.B) {
	for name, text := range map[string]string{"one-word": strings.Replace(tenKB, "words", "letters", 1), "all": strings.ToUpper(tenKB)} {
		b.Run(name, func(b *testing.B) {
			raw := edit(b, newDoc(b, tenKB), 1, text)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Check(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
