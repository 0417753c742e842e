package textdiff

import "unicode/utf8"

// A unit is what people replace as a whole: a word, or a line. What two of them
// that are unlike have in common is chance, and must not be kept: should
// somebody else replace the same line, the letter that both lines began with
// would end up somewhere in between.
type unit struct {
	edge  func(s string, i int) bool // a unit ends and another begins at i
	weigh func(s string) int
	// unlike compares one old unit with one new one, of these weights.
	unlike func(kept, old, new int) bool
}

var (
	word = unit{
		edge:   func(s string, i int) bool { return i == 0 || i == len(s) || !wordByte(s[i-1]) || !wordByte(s[i]) },
		weigh:  utf8.RuneCountInString,
		unlike: func(kept, old, new int) bool { return 2*kept < max(old, new) },
	}
	line = unit{
		edge:   func(s string, i int) bool { return i == 0 || i == len(s) || s[i-1] == '\n' },
		weigh:  inked,
		unlike: mostlyUnlike,
	}
)

func wordByte(b byte) bool { return isWord(rune(b)) }

func mostlyUnlike(kept, old, new int) bool { return 3*kept <= min(old, new) }

// inked returns how many runes of s are not blanks.
func inked(s string) (n int) {
	for _, r := range s {
		if r > ' ' {
			n++
		}
	}
	return n
}

// end returns where the unit that begins at i ends.
func (u unit) end(s string, i int) int {
	for i++; i < len(s) && !u.edge(s, i); i++ {
	}
	return min(i, len(s))
}

// begin returns where the unit that ends at i begins.
func (u unit) begin(s string, i int) int {
	for i--; i > 0 && !u.edge(s, i); i-- {
	}
	return max(i, 0)
}

// widen replaces units that are unlike as a whole.
func (c *comparison) widen(u unit) {
	spans, last := c.out, span{}
	c.out = nil
	for len(spans) > 0 {
		n, r := c.around(u, spans)
		for _, s := range c.whole(u, r, spans[:n], last) {
			c.out = appendSpan(c.out, s)
		}
		spans, last = spans[n:], r
	}
}

// around returns how many of spans, from the first on, are in the same units,
// and where those units are.
func (c *comparison) around(u unit, spans []span) (n int, r span) {
	edge := func(a, b int) bool { return u.edge(c.old, a) && u.edge(c.new, b) }
	r, n = spans[0], 1
	for !edge(r.a0, r.b0) {
		r.a0, r.b0 = r.a0-1, r.b0-1
	}
	for !edge(r.a1, r.b1) {
		if n < len(spans) && r.a1 == spans[n].a0 {
			r.a1, r.b1 = spans[n].a1, spans[n].b1
			n++
			continue
		}
		r.a1, r.b1 = r.a1+1, r.b1+1
	}
	return n, r
}

// whole returns what becomes of the spans in the units r, which come after last.
func (c *comparison) whole(u unit, r span, spans []span, last span) []span {
	removed, inserted := 0, 0
	for _, s := range spans {
		removed += u.weigh(c.old[s.a0:s.a1])
		inserted += u.weigh(c.new[s.b0:s.b1])
	}
	if removed == 0 || inserted == 0 {
		return spans
	}
	old, new := u.weigh(c.old[r.a0:r.a1]), u.weigh(c.new[r.b0:r.b1])
	unlike := mostlyUnlike
	if u.end(c.old, r.a0) == r.a1 && u.end(c.new, r.b0) == r.b1 {
		unlike = u.unlike
	}
	if unlike(old-removed, old, new) {
		return []span{c.ended(r, last)}
	}
	// Of several units the first or the last may be unlike all the same.
	first, final := &spans[0], &spans[len(spans)-1]
	if a, b := u.end(c.old, r.a0), u.end(c.new, r.b0); a <= first.a1 && b <= first.b1 &&
		u.unlike(u.weigh(c.old[r.a0:first.a0]), u.weigh(c.old[r.a0:a]), u.weigh(c.new[r.b0:b])) {
		first.a0, first.b0 = r.a0, r.b0
	}
	if a, b := u.begin(c.old, r.a1), u.begin(c.new, r.b1); a >= final.a0 && b >= final.b0 &&
		u.unlike(u.weigh(c.old[final.a1:r.a1]), u.weigh(c.old[a:r.a1]), u.weigh(c.new[b:r.b1])) {
		final.a1, final.b1 = r.a1, r.b1
	}
	return spans
}

// ended takes the newline before the last line of a text along when that has
// none behind it, so that two last lines that people put there stay two lines.
func (c *comparison) ended(r, last span) span {
	open := c.old[r.a1-1] != '\n' || c.new[r.b1-1] != '\n'
	isLast := line.end(c.old, r.a0) == len(c.old) && r.b1 == len(c.new)
	if open && isLast && r.a0 > last.a1 && r.b0 > last.b1 && c.old[r.a0-1] == '\n' {
		r.a0, r.b0 = r.a0-1, r.b0-1
	}
	return r
}
