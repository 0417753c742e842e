package textdiff

import (
	"strings"
	"unicode/utf8"
)

// A Splice replaces Del runes at Pos by Ins. Pos counts runes of the old text;
// the splices of one edit are in ascending order and do not overlap.
type Splice struct {
	Pos, Del int
	Ins      string
}

// Apply returns text with the splices made. Places beyond the end of the text
// count as its end.
func Apply(text string, splices []Splice) string {
	if len(splices) == 0 {
		return text
	}
	grow := 0
	for _, s := range splices {
		grow += len(s.Ins)
	}
	var out strings.Builder
	out.Grow(len(text) + grow)
	pos := 0
	for _, s := range splices {
		n := prefix(text, s.Pos-pos)
		out.WriteString(text[:n])
		out.WriteString(s.Ins)
		text = text[n:]
		text = text[prefix(text, s.Del):]
		pos = s.Pos + s.Del
	}
	out.WriteString(text)
	return out.String()
}

// prefix returns the length in bytes of the first n runes of s, or of all of s
// when it has fewer.
func prefix(s string, n int) int {
	i := 0
	for ; n > 0 && i < len(s); n-- {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		i += size
	}
	return i
}

// A span says that the bytes [a0,a1) of the old text became [b0,b1) of the
// new one. Inside package code it also counts tokens.
type span struct{ a0, a1, b0, b1 int }

// splices turns byte spans, in ascending order, into splices.
func splices(old, new string, spans []span) []Splice {
	out := make([]Splice, 0, len(spans))
	at, runes := 0, 0
	for _, s := range spans {
		runes += utf8.RuneCountInString(old[at:s.a0])
		del := utf8.RuneCountInString(old[s.a0:s.a1])
		out = append(out, Splice{Pos: runes, Del: del, Ins: new[s.b0:s.b1]})
		runes += del
		at = s.a1
	}
	return out
}

// appendSpan adds a span that comes after all of spans, joining it to the last
// one where they touch.
func appendSpan(spans []span, s span) []span {
	if s.a0 == s.a1 && s.b0 == s.b1 {
		return spans
	}
	if k := len(spans) - 1; k >= 0 && spans[k].a1 == s.a0 && spans[k].b1 == s.b0 {
		spans[k].a1, spans[k].b1 = s.a1, s.b1
		return spans
	}
	return append(spans, s)
}
