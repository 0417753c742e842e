package textdiff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestDiffIsSmall(t *testing.T) {
	tests := []struct {
		name, old, new string
		want           []Splice
	}{
		{"nothing", "same", "same", nil},
		{"from empty", "", "new", []Splice{{0, 0, "new"}}},
		{"to empty", "old", "", []Splice{{0, 3, ""}}},
		{"one letter", "colour", "color", []Splice{{4, 1, ""}}},
		{"a word", "the quick fox", "the slow fox", []Splice{{4, 5, "slow"}}},
		{"beyond ASCII", "aé😀z", "aé😁z", []Splice{{2, 1, "😁"}}},
		{"a rune that shares its first bytes", "é", "è", []Splice{{0, 1, "è"}}},
		{"two places", "one two three four", "One two three FOUR", []Splice{{0, 1, "O"}, {14, 4, "FOUR"}}},
		{"a line in a list", "- one\n- two\n", "- one\n- and\n- two\n", []Splice{{6, 0, "- and\n"}}},
		{"a function", "func a() {\n}\n", "func a() {\n}\n\nfunc b() {\n}\n", []Splice{{13, 0, "\nfunc b() {\n}\n"}}},
		{"a deleted line", "- one\n- and\n- two\n", "- one\n- two\n", []Splice{{6, 6, ""}}},
		{"line ends", "alpha\nbeta\n", "alpha\r\nbeta\r\n", []Splice{{5, 0, "\r"}, {10, 0, "\r"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Diff(tt.old, tt.new)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			checkDiff(t, tt.old, tt.new)
		})
	}
}

// checkDiff fails unless Diff keeps its promises for two texts.
func checkDiff(t interface {
	Helper()
	Fatalf(string, ...any)
}, old, new string) []Splice {
	t.Helper()
	sp := Diff(old, new)
	if got := Apply(old, sp); got != new {
		t.Fatalf("%.200q + %.200v gave %.200q", old, sp, got)
	}
	at := 0
	for _, s := range sp {
		if s.Pos < at || s.Del < 0 || !utf8.ValidString(s.Ins) || s.Del == 0 && s.Ins == "" {
			t.Fatalf("bad splice %v of %v", s, sp)
		}
		at = s.Pos + s.Del
	}
	if at > utf8.RuneCountInString(old) {
		t.Fatalf("splices %v end beyond the text", sp)
	}
	return sp
}

// lineText makes n lines of words, the same for the same seed.
func lineText(r *rand.Rand, n int) string {
	words := strings.Fields("if err != nil return the quick brown fox for i := range x é 😀 { } ( ) // and so on")
	var b strings.Builder
	for range n {
		b.WriteString(strings.Repeat("\t", r.IntN(4)))
		for range r.IntN(10) {
			b.WriteString(words[r.IntN(len(words))])
			fmt.Fprintf(&b, "%d ", r.IntN(300))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func megabyte(seed uint64) string { return lineText(rand.New(rand.NewPCG(seed, 1)), 38000) }

// scatter makes n small edits.
func scatter(r *rand.Rand, text string, n int) string {
	runes := []rune(text)
	for range n {
		i := r.IntN(len(runes))
		runes = slices.Insert(runes, i, []rune(fmt.Sprintf("edit%d", r.IntN(1000)))...)
	}
	return string(runes)
}

func large() map[string][2]string {
	text := megabyte(1)
	r := rand.New(rand.NewPCG(3, 4))
	lines := strings.SplitAfter(text, "\n")
	moved := strings.Join(append(slices.Clone(lines[len(lines)/2:]), lines[:len(lines)/2]...), "")
	shuffled := slices.Clone(lines)
	r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	return map[string][2]string{
		"one edit":   {text, scatter(r, text, 1)},
		"50 edits":   {text, scatter(r, text, 50)},
		"5000 edits": {text, scatter(r, text, 5000)},
		"indented":   {text, "\t" + strings.ReplaceAll(text, "\n", "\n\t")},
		"line ends":  {text, strings.ReplaceAll(text, "\n", "\r\n")},
		"unlike":     {text, megabyte(2)},
		"moved":      {text, moved},
		"shuffled":   {text, strings.Join(shuffled, "")},
		"one line":   {strings.ReplaceAll(text, "\n", " "), strings.ReplaceAll(megabyte(2), "\n", " ")},
		"letters":    {strings.Repeat("ab", 1<<19), strings.Repeat("ba\n", 1<<18)},
		"empty line": {strings.Repeat("\n", 1<<20), strings.Repeat("\nx\n", 1<<18)},
	}
}

// The edit must stay in proportion to what changed, because every rune put in
// again costs a document 600 bytes for ever.
func TestDiffOfLargeTexts(t *testing.T) {
	most := map[string]int{ // inserted bytes
		"one edit": 8, "50 edits": 400, "5000 edits": 60_000, "indented": 40_000, "line ends": 40_000, "moved": 600_000,
	}
	for name, texts := range large() {
		sp := checkDiff(t, texts[0], texts[1])
		inserted := 0
		for _, s := range sp {
			inserted += len(s.Ins)
		}
		t.Logf("%s: %d splices, %d bytes inserted", name, len(sp), inserted)
		if n, ok := most[name]; ok && inserted > n {
			t.Errorf("%s: %d bytes inserted, want at most %d", name, inserted, n)
		}
		if (name == "unlike" || name == "one line") && len(sp) != 1 {
			t.Errorf("%s: %d splices, want 1", name, len(sp))
		}
	}
}

// text draws a short text in which the same parts come up again and again.
func text() *rapid.Generator[string] {
	part := rapid.SampledFrom([]string{"a", "b", " ", "\n", "\n\n", "word ", "é", "😀", "- item\n", "}\n", "\tif x {\n"})
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 0, 60).Draw(t, "parts"), "")
	})
}

func TestDiffProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkDiff(t, text().Draw(t, "old"), text().Draw(t, "new"))
	})
}

// edits draws splices of a text of n runes that insert letters of one kind.
func edits(t *rapid.T, name string, n int, letter rune) (out []Splice) {
	at := 0
	for range rapid.IntRange(0, 6).Draw(t, name) {
		if at > n {
			break
		}
		s := Splice{Pos: rapid.IntRange(at, n).Draw(t, "pos")}
		s.Del = rapid.IntRange(0, min(4, n-s.Pos)).Draw(t, "del")
		for range rapid.IntRange(0, 3).Draw(t, "ins") {
			s.Ins += string(letter)
			letter++
		}
		if s.Del > 0 || s.Ins != "" {
			out = append(out, s)
		}
		at = s.Pos + s.Del
	}
	return out
}

func keep(s string, lo, hi rune) string {
	return strings.Map(func(r rune) rune {
		if r < lo || r > hi {
			return -1
		}
		return r
	}, s)
}

// Every rune has a number of its own here, so what became of each of them can
// be told.
func TestRebaseProperty(t *testing.T) {
	const base0, mine0, theirs0 = 'Ā', 'Ѐ', '一'
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 20).Draw(t, "length")
		var base string
		for i := range n {
			base += string(rune(base0 + i))
		}
		mine, theirs := edits(t, "mine", n, mine0), edits(t, "theirs", n, theirs0)
		afterMine, afterTheirs := Apply(base, mine), Apply(base, theirs)
		rebased := Rebase(mine, theirs)
		at := 0
		for _, s := range rebased {
			if s.Pos < at || s.Pos+s.Del > utf8.RuneCountInString(afterTheirs) {
				t.Fatalf("bad splice %v of %v", s, rebased)
			}
			at = s.Pos + s.Del
		}
		got := Apply(afterTheirs, rebased)
		if a, b := keep(got, theirs0, theirs0+99), keep(afterTheirs, theirs0, theirs0+99); a != b {
			t.Fatalf("theirs inserted %q, left is %q", b, a)
		}
		if a, b := keep(got, mine0, mine0+99), keep(afterMine, mine0, mine0+99); a != b {
			t.Fatalf("mine inserted %q, left is %q", b, a)
		}
		want := strings.Map(func(r rune) rune {
			if strings.ContainsRune(afterMine, r) && strings.ContainsRune(afterTheirs, r) {
				return r
			}
			return -1
		}, base)
		if a := keep(got, base0, base0+99); a != want {
			t.Fatalf("of the common text %q is left, want %q", a, want)
		}
		if theirs == nil && got != afterMine || mine == nil && got != afterTheirs {
			t.Fatalf("one side alone gave %q", got)
		}
	})
}

func TestRebase(t *testing.T) {
	tests := []struct{ name, base, mine, theirs, want string }{
		{"different lines", "one\ntwo\nthree\n", "one\nTWO\nthree\n", "zero\none\ntwo\nthree!\n", "zero\none\nTWO\nthree!\n"},
		{"both at the end", "log\n", "log\nmine\n", "log\ntheirs\n", "log\ntheirs\nmine\n"},
		{"both delete", "abc def ghi", "abc ghi", "abc def", "abc "},
		{"an edit in a deleted paragraph", "a\nparagraph\nb\n", "a\nparagraph, longer\nb\n", "a\nb\n", "a\n, longerb\n"},
		{"the same word", "say foo now", "say bar now", "say baz now", "say bazbar now"},
		{"the same line", "one\ngekxl\ntwo\n", "one\nghwq\ntwo\n", "one\ngpz\ntwo\n", "one\ngpz\nghwq\ntwo\n"},
		{"the same line at the end", "one\ngekxl", "one\nghwq", "one\ngpzz", "one\ngpzz\nghwq"},
		{"next to each other", "ab", "aXb", "a", "aX"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Apply(tt.theirs, Rebase(Diff(tt.base, tt.mine), Diff(tt.base, tt.theirs)))
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSimilarity(t *testing.T) {
	a, b := megabyte(1), megabyte(2)
	edited := scatter(rand.New(rand.NewPCG(5, 6)), a, 100)
	tests := []struct {
		name   string
		a, b   string
		lo, hi float64
	}{
		{"equal", a, a, 1, 1},
		{"empty", "", "", 1, 1},
		{"one empty", "", "text", 0, 0},
		{"edited", a, edited, 0.95, 0.9999},
		{"unlike", a, b, 0, 0.2},
		{"short", "hello world", "hello there", 0.5, 0.9},
		{"doubled", "one two three four five\n", "one two three four five\none two three four five\n", 0.5, 0.6},
	}
	for _, tt := range tests {
		if got := Similarity(tt.a, tt.b); got < tt.lo || got > tt.hi {
			t.Errorf("%s: %.4f, want %v to %v", tt.name, got, tt.lo, tt.hi)
		}
	}
}

func FuzzDiff(f *testing.F) {
	f.Add("", "x")
	f.Add("a\nb\nc\n", "a\nc\nd\n")
	f.Add("é😀", "è😁")
	f.Add(strings.Repeat("line\n", 600), strings.Repeat("line \n", 500))
	f.Fuzz(func(t *testing.T, old, new string) {
		if !utf8.ValidString(old) || !utf8.ValidString(new) {
			return
		}
		checkDiff(t, old, new)
		if s := Similarity(old, new); s < 0 || s > 1 {
			t.Errorf("similarity %v", s)
		}
	})
}

func FuzzRebase(f *testing.F) {
	f.Add("one two three", "one 2 three", "zero one two three")
	f.Add("", "a", "b")
	f.Add("abc", "", "axbyc")
	f.Fuzz(func(t *testing.T, base, mine, theirs string) {
		if !utf8.ValidString(base) || !utf8.ValidString(mine) || !utf8.ValidString(theirs) {
			return
		}
		m, o := Diff(base, mine), Diff(base, theirs)
		merged := Apply(theirs, Rebase(m, o))
		if !utf8.ValidString(merged) {
			t.Fatalf("invalid text %q", merged)
		}
		if mine == base && merged != theirs || theirs == base && merged != mine {
			t.Fatalf("one side alone gave %q", merged)
		}
		inserted := 0
		for _, s := range append(slices.Clone(m), o...) {
			inserted += len(s.Ins)
		}
		if len(merged) < inserted {
			t.Fatalf("an insertion was lost: %q", merged)
		}
	})
}

func BenchmarkDiff(b *testing.B) {
	for name, texts := range large() {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Diff(texts[0], texts[1])
			}
		})
	}
}

func BenchmarkDiffSmall(b *testing.B) {
	old := lineText(rand.New(rand.NewPCG(1, 1)), 300)
	new := scatter(rand.New(rand.NewPCG(2, 2)), old, 3)
	b.ReportAllocs()
	for b.Loop() {
		Diff(old, new)
	}
}

func BenchmarkRebase(b *testing.B) {
	texts := large()["5000 edits"]
	sp := Diff(texts[0], texts[1])
	b.ReportAllocs()
	for b.Loop() {
		Rebase(sp, sp)
	}
}

func BenchmarkSimilarity(b *testing.B) {
	texts := large()["unlike"]
	for b.Loop() {
		Similarity(texts[0], texts[1])
	}
}
