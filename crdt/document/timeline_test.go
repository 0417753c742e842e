package document

import (
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/echofs/echofs/crdt/textdiff"
)

// Three devices edit and exchange at random. The timeline, written in Go, has
// to give at every change the text that Automerge had there.
func TestTimelineIsAutomerges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		docs := make([]*Doc, 3)
		base := rapid.StringMatching(`[a-cé😀\n]{0,12}`).Draw(t, "base")
		for i := range docs {
			docs[i] = newDoc(t, base)
			defer docs[i].Close()
		}
		then := map[Hash]string{}
		sent := make([][][]byte, 3)
		pull := func(to, from int) {
			_, _, changes, err := unsave(docs[from].Save())
			if err != nil {
				t.Fatal(err)
			}
			apply(t, docs[to], changes...)
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			i, j := rapid.IntRange(0, 2).Draw(t, "who"), rapid.IntRange(0, 2).Draw(t, "other")
			if i != j {
				pull(i, j)
				continue
			}
			d := docs[i]
			runes := utf8.RuneCountInString(d.Text())
			pos := rapid.IntRange(0, runes).Draw(t, "pos")
			s := textdiff.Splice{Pos: pos, Del: rapid.IntRange(0, min(5, runes-pos)).Draw(t, "del"), Ins: rapid.StringMatching(`[x-zé😀]{0,4}`).Draw(t, "ins")}
			if s.Del == 0 && s.Ins == "" {
				continue
			}
			raw, err := d.Edit(actorOf(byte(i)), []textdiff.Splice{s}, noon)
			if err != nil {
				t.Fatal(err)
			}
			info, err := Check(raw)
			if err != nil {
				t.Fatal(err)
			}
			if HashOf(raw) != info.Hash {
				t.Fatal("another hash")
			}
			then[info.Hash] = d.Text()
			sent[i] = append(sent[i], raw)
		}
		pull(0, 1)
		pull(0, 2)
		line, err := NewTimeline(docs[0].Save(), sent[1])
		if err != nil {
			t.Fatal(err)
		}
		for h, want := range then {
			got, err := line.Text(h)
			if err != nil || got != want {
				t.Fatalf("at %x %q, want %q, %v", h[:4], got, want, err)
			}
			if n, ok := line.Size(h); !ok || n != int64(len(want)) {
				t.Fatalf("at %x %d bytes, want %d", h[:4], n, len(want))
			}
		}
		if got, err := line.Text(docs[0].Heads()...); err != nil || got != docs[0].Text() {
			t.Fatalf("now %q, want %q, %v", got, docs[0].Text(), err)
		}
		if got, err := line.Text(); err != nil || got != base {
			t.Fatalf("at first %q, want %q, %v", got, base, err)
		}
	})
}

func FuzzTimeline(f *testing.F) {
	base, changes := workload(f)
	d, err := New(seedOf(1), base)
	if err != nil {
		f.Fatal(err)
	}
	if err := d.Apply(changes); err != nil {
		f.Fatal(err)
	}
	f.Add(d.Save(), changes[0])
	f.Add([]byte{savedVersion}, []byte{})
	f.Fuzz(func(t *testing.T, saved, change []byte) {
		if line, err := NewTimeline(saved, [][]byte{change}); err == nil {
			if _, err := line.Text(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkTimeline(b *testing.B) {
	d := newDoc(b, tenKB)
	for i := range 1000 {
		if _, err := d.Edit(actorOf(1), []textdiff.Splice{{Pos: i * 997 % 10_000, Del: 1, Ins: "x"}}, noon); err != nil {
			b.Fatal(err)
		}
	}
	saved, heads := d.Save(), d.Heads()
	b.ReportAllocs()
	for b.Loop() {
		line, err := NewTimeline(saved, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := line.Text(heads...); err != nil {
			b.Fatal(err)
		}
	}
}
