package textdiff

import (
	"strings"
	"unicode/utf8"
)

// The limits of the work one Diff does, in steps of a few nanoseconds, and of
// the hunks that are looked at rune by rune, in bytes.
const (
	lineSteps  = 12_000_000
	wordSteps  = 12_000_000
	runeSteps  = 12_000_000
	smallHunk  = 2048
	wordHunk   = 256
	maxSliding = 4096
)

// Diff returns the splices that turn old into new, both valid UTF-8: few and
// small where the texts are alike, one where they have little in common.
func Diff(old, new string) []Splice {
	if old == new {
		return nil
	}
	c := &comparison{old: old, new: new, lineBudget: lineSteps, wordBudget: wordSteps, runeBudget: runeSteps}
	s := c.unlike()
	c.hunk(s)
	if c.mostlyNew(s, c.out) {
		c.out = []span{s}
	}
	c.widen(word)
	c.widen(line)
	c.slide()
	return splices(old, new, c.out)
}

// A comparison collects the spans of one Diff.
type comparison struct {
	old, new                           string
	lineBudget, wordBudget, runeBudget int
	out                                []span
}

// unlike returns what is left without the common beginning and end. A large
// rest, or one of several lines, is widened to whole lines, so that lines can
// be matched.
func (c *comparison) unlike() span {
	old, new := c.old, c.new
	p, n := 0, min(len(old), len(new))
	for p < n && old[p] == new[p] {
		p++
	}
	for p > 0 && (inRune(old, p) || inRune(new, p)) {
		p--
	}
	q := 0
	for q < n-p && old[len(old)-1-q] == new[len(new)-1-q] {
		q++
	}
	for q > 0 && !utf8.RuneStart(old[len(old)-q]) {
		q--
	}
	large := max(len(old), len(new))-p-q > smallHunk
	if large || strings.Contains(old[p:len(old)-q], "\n") && strings.Contains(new[p:len(new)-q], "\n") {
		for p > 0 && old[p-1] != '\n' {
			p--
		}
		for q > 0 && (inLine(old, len(old)-q) || inLine(new, len(new)-q)) {
			q--
		}
	}
	return span{p, len(old) - q, p, len(new) - q}
}

func inRune(s string, i int) bool { return i < len(s) && !utf8.RuneStart(s[i]) }

func inLine(s string, i int) bool { return i > 0 && s[i-1] != '\n' }

// hunk compares one span by lines, and what is left of that more closely.
func (c *comparison) hunk(s span) {
	if c.plain(s) {
		return
	}
	t := table{}
	a, b := t.lines(c.old[s.a0:s.a1]), t.lines(c.new[s.b0:s.b1])
	changed := compare(a.id, b.id, &c.lineBudget)
	if s.a1-s.a0 <= smallHunk && s.b1-s.b0 <= smallHunk {
		for _, h := range c.bridge(s, a, changed) {
			c.runes(s.part(a, b, h))
		}
		return
	}
	if kept(a, changed) < min(s.a1-s.a0, s.b1-s.b0)/2 {
		c.indented(s)
		return
	}
	for _, h := range c.bridge(s, a, changed) {
		bytes := s.part(a, b, h)
		switch {
		case c.plain(bytes):
		case h.a1-h.a0 == h.b1-h.b0: // each line changed: other line ends, a renamed word
			c.pairs(s, a, b, h)
		case bytes.a1-bytes.a0 <= smallHunk && bytes.b1-bytes.b0 <= smallHunk:
			c.runes(bytes)
		default:
			c.indented(bytes)
		}
	}
}

// bridge joins changed spans of lines between which there are only blank lines
// and single brackets. Those are alike everywhere, so they say little about
// what belongs together; the joined span is compared again, more closely.
func (c *comparison) bridge(s span, a tokens, changed []span) []span {
	joined := changed[:0]
	for _, h := range changed {
		if k := len(joined) - 1; k >= 0 && c.insignificant(s, a, joined[k].a1, h.a0) {
			joined[k].a1, joined[k].b1 = h.a1, h.b1
		} else {
			joined = append(joined, h)
		}
	}
	return joined
}

func (c *comparison) insignificant(s span, a tokens, from, to int) bool {
	for i := from; i < to; i++ {
		if len(strings.TrimSpace(c.old[s.a0+a.at[i]:s.a0+a.at[i+1]])) > 1 {
			return false
		}
	}
	return true
}

// indented compares by lines without the blanks around them.
func (c *comparison) indented(s span) {
	t := table{}
	a, b := t.lines(c.old[s.a0:s.a1]), t.lines(c.new[s.b0:s.b1])
	t.trimmed(a, c.old[s.a0:s.a1])
	t.trimmed(b, c.new[s.b0:s.b1])
	last := span{}
	for _, h := range append(compare(a.id, b.id, &c.lineBudget), span{len(a.id), len(a.id), len(b.id), len(b.id)}) {
		c.pairs(s, a, b, span{last.a1, h.a0, last.b1, h.b0})
		if bytes := s.part(a, b, h); h.a1-h.a0 == h.b1-h.b0 {
			c.pairs(s, a, b, h)
		} else if !c.plain(bytes) {
			c.line(bytes)
		}
		last = h
	}
}

// kept returns how many bytes of the old text are in no changed span.
func kept(a tokens, changed []span) int {
	n := a.at[len(a.at)-1]
	for _, h := range changed {
		n -= a.at[h.a1] - a.at[h.a0]
	}
	return n
}

// part returns the bytes of a span of tokens of s.
func (s span) part(a, b tokens, h span) span {
	return span{s.a0 + a.at[h.a0], s.a0 + a.at[h.a1], s.b0 + b.at[h.b0], s.b0 + b.at[h.b1]}
}

// pairs compares each line of a span of as many lines on both sides with the
// one that took its place.
func (c *comparison) pairs(s span, a, b tokens, h span) {
	for i := range h.a1 - h.a0 {
		c.line(s.part(a, b, span{h.a0 + i, h.a0 + i + 1, h.b0 + i, h.b0 + i + 1}))
	}
}

// line compares a few lines or one.
func (c *comparison) line(s span) {
	if s.a1-s.a0 <= smallHunk && s.b1-s.b0 <= smallHunk {
		c.runes(s)
	} else {
		c.words(s)
	}
}

// plain deals with a span that needs no comparing.
func (c *comparison) plain(s span) bool {
	if s.a0 == s.a1 || s.b0 == s.b1 {
		c.out = appendSpan(c.out, s)
		return true
	}
	return c.old[s.a0:s.a1] == c.new[s.b0:s.b1]
}

// words compares word by word, and small rests rune by rune.
func (c *comparison) words(s span) {
	t := table{}
	a, b := t.words(c.old[s.a0:s.a1]), t.words(c.new[s.b0:s.b1])
	found := compare(a.id, b.id, &c.wordBudget)
	for i, h := range found {
		found[i] = span{s.a0 + a.at[h.a0], s.a0 + a.at[h.a1], s.b0 + b.at[h.b0], s.b0 + b.at[h.b1]}
	}
	if c.mostlyNew(s, found) {
		c.out = appendSpan(c.out, s)
		return
	}
	for _, h := range found {
		if h.a1-h.a0 <= wordHunk && h.b1-h.b0 <= wordHunk {
			c.runes(h)
		} else {
			c.out = appendSpan(c.out, h)
		}
	}
}

// runes compares rune by rune. Fewer than three runes between two edits do not
// keep them apart, and a span with little in common is replaced as a whole:
// nobody retypes every other letter.
func (c *comparison) runes(s span) {
	s = c.trim(s)
	if c.plain(s) {
		return
	}
	a, b := runes(c.old[s.a0:s.a1]), runes(c.new[s.b0:s.b1])
	found := compare(a.id, b.id, &c.runeBudget)
	joined := found[:0]
	for _, h := range found {
		if k := len(joined) - 1; k >= 0 && h.a0-joined[k].a1 < 3 {
			joined[k].a1, joined[k].b1 = h.a1, h.b1
			continue
		}
		joined = append(joined, h)
	}
	for i, h := range joined {
		joined[i] = span{s.a0 + a.at[h.a0], s.a0 + a.at[h.a1], s.b0 + b.at[h.b0], s.b0 + b.at[h.b1]}
	}
	if len(joined) > 2 && c.mostlyNew(s, joined) {
		c.out = appendSpan(c.out, s)
		return
	}
	for _, h := range joined {
		c.out = appendSpan(c.out, h)
	}
}

// trim cuts the common beginning and end of a span off.
func (c *comparison) trim(s span) span {
	for s.a0 < s.a1 && s.b0 < s.b1 && c.old[s.a0] == c.new[s.b0] {
		s.a0, s.b0 = s.a0+1, s.b0+1
	}
	for inRune(c.old, s.a0) || inRune(c.new, s.b0) {
		s.a0, s.b0 = s.a0-1, s.b0-1
	}
	for s.a0 < s.a1 && s.b0 < s.b1 && c.old[s.a1-1] == c.new[s.b1-1] {
		s.a1, s.b1 = s.a1-1, s.b1-1
	}
	for inRune(c.old, s.a1) || inRune(c.new, s.b1) {
		s.a1, s.b1 = s.a1+1, s.b1+1
	}
	return s
}

// mostlyNew tells whether so little of a span was kept that its parts would be
// confetti: less than a third of the shorter side.
func (c *comparison) mostlyNew(s span, changed []span) bool {
	kept := s.a1 - s.a0
	for _, h := range changed {
		kept -= h.a1 - h.a0
	}
	return len(changed) > 1 && 3*kept < min(s.a1-s.a0, s.b1-s.b0)
}
