package daemon

import (
	"fmt"
	"slices"
	"strings"

	"github.com/echofs/echofs/crdt/textdiff"
)

// around is how many lines are shown before and after a change.
const around = 3

// A hunk replaces the old lines from a1 up to a2 by the new ones from b1 up to b2.
type hunk struct{ a1, a2, b1, b2 int }

// unified writes the difference of two texts as `diff -u` does, "" if there is none.
func unified(a, b, nameA, nameB string) string {
	if a == b {
		return ""
	}
	la, lb := lines(a), lines(b)
	hunks := lineHunks(a, b, la, lb)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", nameA, nameB)
	for i := 0; i < len(hunks); {
		j := i + 1
		for j < len(hunks) && hunks[j].a1-hunks[j-1].a2 <= 2*around {
			j++
		}
		writeHunks(&out, la, lb, hunks[i:j])
		i = j
	}
	return out.String()
}

func lines(s string) []string {
	l := strings.SplitAfter(s, "\n")
	if l[len(l)-1] == "" {
		l = l[:len(l)-1]
	}
	return l
}

// lineHunks turns changes within lines into changes of lines.
func lineHunks(a, b string, la, lb []string) []hunk {
	ra, rb := runeLines(la), runeLines(lb)
	var hunks []hunk
	shift := 0
	for _, s := range textdiff.Diff(a, b) {
		n := len([]rune(s.Ins))
		endA, endB := s.Pos+s.Del, s.Pos+shift+n
		h := hunk{a1: lineAt(ra, s.Pos), b1: lineAt(rb, s.Pos+shift), a2: lineAt(ra, endA), b2: lineAt(rb, endB)}
		if !begins(ra, endA) || !begins(rb, endB) { // the rest of the line is part of it
			h.a2, h.b2 = min(h.a2+1, len(la)), min(h.b2+1, len(lb))
		}
		shift += n - s.Del
		if k := len(hunks) - 1; k >= 0 && (h.a1 < hunks[k].a2 || h.b1 < hunks[k].b2 || h.a1-hunks[k].a2 != h.b1-hunks[k].b2) {
			hunks[k].a2, hunks[k].b2 = max(hunks[k].a2, h.a2), max(hunks[k].b2, h.b2)
			continue
		}
		hunks = append(hunks, h)
	}
	// What both sides of a hunk begin or end with did not change. Between
	// hunks the same number of lines is the same.
	out := hunks[:0]
	for _, h := range hunks {
		for h.a1 < h.a2 && h.b1 < h.b2 && la[h.a1] == lb[h.b1] {
			h.a1++
			h.b1++
		}
		for h.a1 < h.a2 && h.b1 < h.b2 && la[h.a2-1] == lb[h.b2-1] {
			h.a2--
			h.b2--
		}
		if h.a1 < h.a2 || h.b1 < h.b2 {
			out = append(out, h)
		}
	}
	return out
}

// runeLines returns where lines begin, in runes: also the one that would come
// behind a text that ends with a line break.
func runeLines(l []string) []int {
	at := make([]int, 1, len(l)+1)
	for _, s := range l {
		if strings.HasSuffix(s, "\n") {
			at = append(at, at[len(at)-1]+len([]rune(s)))
		}
	}
	return at
}

// lineAt returns the line that a rune is in, or would be in.
func lineAt(at []int, pos int) int {
	i, found := slices.BinarySearch(at, pos)
	if !found {
		i--
	}
	return i
}

// begins reports whether a line begins at a rune.
func begins(at []int, pos int) bool {
	_, found := slices.BinarySearch(at, pos)
	return found
}

func writeHunks(out *strings.Builder, la, lb []string, hunks []hunk) {
	first, last := hunks[0], hunks[len(hunks)-1]
	lead := min(around, first.a1)
	tail := min(around, len(la)-last.a2)
	a1, a2 := first.a1-lead, last.a2+tail
	b1, b2 := first.b1-lead, last.b2+tail
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(a1, a2), span(b1, b2))
	line := func(mark byte, s string) {
		out.WriteByte(mark)
		out.WriteString(s)
		if !strings.HasSuffix(s, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
	at := a1
	for _, h := range hunks {
		for ; at < h.a1; at++ {
			line(' ', la[at])
		}
		for ; at < h.a2; at++ {
			line('-', la[at])
		}
		for i := h.b1; i < h.b2; i++ {
			line('+', lb[i])
		}
	}
	for ; at < a2; at++ {
		line(' ', la[at])
	}
}

func span(from, to int) string {
	switch n := to - from; n {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(from + 1)
	default:
		return fmt.Sprintf("%d,%d", from+1, n)
	}
}
