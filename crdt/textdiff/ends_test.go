package textdiff

import (
	"strings"
	"testing"
)

// Much is put in front of a text, or taken away there, or behind it.
func TestMuchAtOneEnd(t *testing.T) {
	much := strings.Repeat("one more line\n", 300)
	for _, rest := range []string{"middle\n", "no line end", "\n", "", "two\nlines\n"} {
		for _, pair := range [][2]string{{rest, much + rest}, {rest, rest + much}, {rest, much[1:] + rest}, {rest, much[:len(much)-1] + rest}} {
			for _, p := range [][2]string{pair, {pair[1], pair[0]}} {
				s := Diff(p[0], p[1])
				if got := Apply(p[0], s); got != p[1] {
					t.Errorf("%d to %d bytes: made %d bytes", len(p[0]), len(p[1]), len(got))
				}
				if len(s) != 1 {
					t.Errorf("%d to %d bytes: %d splices", len(p[0]), len(p[1]), len(s))
				}
			}
		}
	}
}
