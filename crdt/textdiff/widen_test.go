package textdiff

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestUnlikeIsReplacedWhole(t *testing.T) {
	tests := []struct {
		name, old, new string
		want           []Splice
	}{
		{"a line", "one\ngekxl mop\ntwo\n", "one\nghwq ztup\ntwo\n", []Splice{{4, 10, "ghwq ztup\n"}}},
		{"a line of one word", "gekxl\n", "ghwql\n", []Splice{{0, 6, "ghwql\n"}}},
		{"the last line, without an end", "one\ngekxl", "one\nghwq", []Splice{{3, 6, "\nghwq"}}},
		{"two lines", "one\ngekxl\nmopst\ntwo\n", "one\nghwq\nmuvwxyz\ntwo\n", []Splice{{4, 12, "ghwq\nmuvwxyz\n"}}},
		{"an indented line", "\treturn x\n", "\tif y {\n", []Splice{{0, 10, "\tif y {\n"}}},
		{"a word", "keep gekxl here\n", "keep ghwqz here\n", []Splice{{5, 5, "ghwqz"}}},
		{"a word at the end of much", "keep all this, gekxl\nand abcdefgh\n", "keep all this, ghwq\nxyz\nand abcdefgh\n", []Splice{{15, 5, "ghwq\nxyz"}}},
		{"an alike word", "keep colour here\n", "keep color here\n", []Splice{{9, 1, ""}}},
		{"a longer word", "keep foo here\n", "keep fooBar here\n", []Splice{{8, 0, "Bar"}}},
		{"the end of a line", "- buy milk\n", "- buy milk, bread and butter\n", []Splice{{10, 0, ", bread and butter"}}},
		{"most of a line removed", "a very long line with words\n", "a\n", []Splice{{1, 26, ""}}},
		{"one letter of two", "ab", "ax", []Splice{{1, 1, "x"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := checkDiff(t, tt.old, tt.new); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Lines that two people write in place of others share their first and last
// letters with those, nothing else. Each must stay a line.
func TestLinesStayLines(t *testing.T) {
	lineOf := func(r *rand.Rand, letters string) string {
		var b strings.Builder
		b.WriteByte("gh"[r.IntN(2)])
		for range 4 + r.IntN(12) {
			b.WriteByte(letters[r.IntN(len(letters))])
		}
		b.WriteByte("yz"[r.IntN(2)])
		return b.String()
	}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		base := make([]string, 1+r.IntN(12))
		for i := range base {
			base[i] = lineOf(r, "abcdef")
		}
		known := map[string]bool{"": true}
		side := func(letters string) string {
			lines := slices.Clone(base)
			for i := range lines {
				if r.IntN(3) == 0 {
					lines[i] = lineOf(r, letters)
				}
			}
			for _, l := range lines {
				known[l] = true
			}
			return strings.Join(lines, "\n") + "\n"
		}
		old := strings.Join(base, "\n") + "\n"
		mine, theirs := side("klmnop"), side("rstuvw")
		merged := Apply(theirs, Rebase(checkDiff(t, old, mine), checkDiff(t, old, theirs)))
		for l := range strings.SplitSeq(merged, "\n") {
			if !known[l] {
				t.Fatalf("seed %d: nobody wrote %q in\n%s\nold\n%s\nmine\n%s\ntheirs\n%s", seed, l, merged, old, mine, theirs)
			}
		}
	}
}
